// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/trace.h"

static u64 now_us;
static struct trace_ring ring;

static size_t read_all(int fd, char *buffer, size_t size)
{
	size_t len = 0;
	ssize_t got;

	while (len < size && (got = read(fd, buffer + len, size - len)) > 0)
		len += (size_t)got;
	return len;
}

// Runs `die` in a child and gives what it wrote to standard error; *ret_signal: what it died of.
static struct str death_of(void (*die)(void), int *ret_signal)
{
	static char buffer[256 * 1024];
	int fds[2], status;
	size_t len;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
		dup2(fds[1], STDERR_FILENO);
		for (int number = 1; number < 32; number++)
			signal(number, SIG_DFL); // cmocka's handlers would catch it
		die();
		_exit(0);
	}
	close(fds[1]);
	len = read_all(fds[0], buffer, sizeof(buffer));
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	*ret_signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	return str_make(buffer, len);
}

static void prepare(void)
{
	trace_init(&ring, &now_us);
	trace_attach_thread(&ring);
	trace_install_crash_handlers();
	now_us = 1000;
	trace_add(&ring, TRACE_STEP, 0, 17, 0x23, 0);
	now_us = 2500;
	trace_add(&ring, TRACE_DRAIN, 0, 4, 100, 0);
}

static void die_of_assert(void)
{
	prepare();
	ASSERT(now_us == 0);
}

static uintptr_t volatile nowhere = 16;

static void die_of_segv(void)
{
	prepare();
	*(volatile int *)nowhere = 1;
}

static void die_of_abort(void)
{
	prepare();
	abort();
}

static u64 overrun(volatile u64 *before)
{
	volatile u64 frame[512];

	frame[0] = *before + 1;
	if (frame[0] == UINT64_MAX)
		return 0;
	return overrun(frame) + frame[0];
}

static void die_of_overrun(void)
{
	volatile u64 zero = 0;

	prepare();
	zero = overrun(&zero);
}

static void die_without_ring(void)
{
	prepare();
	trace_attach_thread(NULL);
	abort();
}

static int count_of(struct str text, const char *piece)
{
	int count = 0;

	for (const char *at = text.ptr;
		(at = memmem(at, (size_t)(text.ptr + text.len - at), piece, strlen(piece))); at++)
		count++;
	return count;
}

static void assert_ring_printed_once(struct str text)
{
	assert_int_equal(count_of(text, "trace: the last 2 of 2 events of this thread\n"
					"trace: -1.500ms steps exchange=17 path=23 backend=0\n"
					"trace: -0.000ms drain conns=4 exchanges=100\n"),
		1);
	assert_int_equal(count_of(text, "events of this thread"), 1);
}

static bool is_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	return true;
#else
	return false;
#endif
#else
	return false;
#endif
}

static void test_assert_prints_the_ring(void **state)
{
	int number;
	struct str text = death_of(die_of_assert, &number);

	(void)state;
	assert_int_equal(number, SIGABRT);
	assert_true(has(text, "assertion failed: now_us == 0 at "));
	assert_ring_printed_once(text);
}

static void test_abort_prints_the_ring(void **state)
{
	int number;
	struct str text = death_of(die_of_abort, &number);

	(void)state;
	assert_int_equal(number, SIGABRT);
	assert_true(has(text, "weir: fatal signal SIGABRT."));
	assert_ring_printed_once(text);
}

static void test_segv_prints_the_ring(void **state)
{
	int number;
	struct str text;

	(void)state;
	if (is_sanitized())
		skip(); // the sanitizer's own report comes instead
	text = death_of(die_of_segv, &number);
	assert_int_equal(number, SIGSEGV);
	assert_true(has(text, "fatal signal SIGSEGV at address 0x0000000000000010."));
	assert_ring_printed_once(text);
}

static void test_overrun_stack_prints_the_ring(void **state)
{
	int number;
	struct str text;

	(void)state;
	if (is_sanitized())
		skip();
	text = death_of(die_of_overrun, &number);
	assert_int_equal(number, SIGSEGV);
	assert_ring_printed_once(text);
}

static void test_thread_without_ring_just_dies(void **state)
{
	int number;
	struct str text = death_of(die_without_ring, &number);

	(void)state;
	assert_int_equal(number, SIGABRT);
	assert_false(has(text, "trace:"));
}

static void test_keeps_the_last(void **state)
{
	static char buffer[256 * 1024];
	FILE *file = tmpfile();
	struct str text;
	char line[128];
	size_t len;

	(void)state;
	assert_non_null(file);
	trace_init(&ring, &now_us);
	for (u64 i = 0; i < 3 * TRACE_EVENTS + 5; i++) {
		now_us = i * 10;
		trace_add(&ring, TRACE_CONN_CLOSE, (u16)(i % 7), (u32)i, i * 3, UINT64_MAX);
	}
	trace_print(&ring, fileno(file));
	rewind(file);
	len = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	text = str_make(buffer, len);
	assert_int_equal(count_of(text, "\n"), TRACE_EVENTS + 1);
	snprintf(
		line, sizeof(line), "the last %d of %d events", TRACE_EVENTS, 3 * TRACE_EVENTS + 5);
	assert_true(has(text, line));
	snprintf(line, sizeof(line), "conn_close conn=%d why=%d bytes_in=%d", 2 * TRACE_EVENTS + 5,
		(2 * TRACE_EVENTS + 5) % 7, (2 * TRACE_EVENTS + 5) * 3);
	assert_true(has(text, line)); // the oldest that is kept
	snprintf(line, sizeof(line), " conn=%d ", 2 * TRACE_EVENTS + 4);
	assert_false(has(text, line));
}

static void test_empty_ring(void **state)
{
	FILE *file = tmpfile();
	char buffer[128];

	(void)state;
	assert_non_null(file);
	trace_init(&ring, &now_us);
	trace_print(&ring, fileno(file));
	rewind(file);
	assert_int_equal(fread(buffer, 1, sizeof(buffer), file),
		strlen("trace: the last 0 of 0 events of this thread\n"));
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assert_prints_the_ring),
		cmocka_unit_test(test_abort_prints_the_ring),
		cmocka_unit_test(test_segv_prints_the_ring),
		cmocka_unit_test(test_overrun_stack_prints_the_ring),
		cmocka_unit_test(test_thread_without_ring_just_dies),
		cmocka_unit_test(test_keeps_the_last),
		cmocka_unit_test(test_empty_ring),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
