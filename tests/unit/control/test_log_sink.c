// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/log_sink.h"

static char directory[] = "/tmp/weir-sink-XXXXXX";
static char path[128];

static int make_directory(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN); // the logger's thread has it blocked
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static const char *path_of(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

// The sink's output, as a path that leads to this descriptor.
static struct logger_output output_to(int fd)
{
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return (struct logger_output){.kind = LOGGER_FILE, .path = path};
}

static struct log_sink open_sink(struct logger_output output)
{
	struct log_sink sink;

	assert_int_equal(log_sink_open(&sink, &output), 0);
	return sink;
}

static bool put(struct log_sink *sink, const char *text)
{
	return log_sink_put(sink, STR("> "), str_from(text));
}

static struct str read_some(int fd)
{
	static char buffer[128 * 1024];
	ssize_t got = read(fd, buffer, sizeof(buffer));

	return str_make(buffer, got > 0 ? (size_t)got : 0);
}

static void assert_read(int fd, const char *expected)
{
	struct str text = read_some(fd);

	if (!str_eq(text, str_from(expected)))
		fail_msg("got \"%.*s\", expected \"%s\"", STR_FMT(text), expected);
}

static void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
}

static void test_file_is_appended_and_private(void **state)
{
	struct logger_output output = {.kind = LOGGER_FILE, .path = path_of("a.log")};
	struct stat status;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct log_sink sink = open_sink(output);

		assert_true(put(&sink, i ? "two" : "one"));
		log_sink_flush(&sink);
		log_sink_done(&sink);
		assert_int_equal(sink.lost, 0);
	}
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0137, 0);
	assert_int_equal(status.st_size, strlen("> one\n> two\n"));
	unlink(path);
}

static void test_file_that_can_not_be_opened(void **state)
{
	struct logger_output output = {.kind = LOGGER_FILE, .path = path_of("no/such/file")};
	struct log_sink sink;

	(void)state;
	assert_int_equal(log_sink_open(&sink, &output), -ENOENT);
}

static void test_reopen_follows_the_name(void **state)
{
	char old_path[160];
	struct log_sink sink = open_sink(
		(struct logger_output){.kind = LOGGER_FILE, .path = path_of("rotated.log")});
	int fd;

	(void)state;
	assert_true(put(&sink, "before"));
	log_sink_flush(&sink);
	snprintf(old_path, sizeof(old_path), "%s.1", path);
	assert_int_equal(rename(path, old_path), 0);
	assert_int_equal(log_sink_reopen(&sink), 0);
	assert_true(put(&sink, "after"));
	log_sink_flush(&sink);
	log_sink_done(&sink);
	fd = open(old_path, O_RDONLY);
	assert_read(fd, "> before\n");
	close(fd);
	fd = open(path, O_RDONLY);
	assert_read(fd, "> after\n");
	close(fd);
	unlink(path);
	unlink(old_path);
}

static void test_full_disk_keeps_lines_and_recovers(void **state)
{
	struct log_sink sink =
		open_sink((struct logger_output){.kind = LOGGER_FILE, .path = "/dev/full"});
	int fds[2];

	(void)state;
	assert_true(put(&sink, "kept"));
	log_sink_flush(&sink);
	assert_true(sink.resting);
	assert_int_equal(sink.error, ENOSPC);
	assert_true(put(&sink, "too"));
	log_sink_flush(&sink); // rests: does not even try
	log_sink_wake(&sink);
	log_sink_flush(&sink);
	assert_true(sink.resting);
	assert_int_equal(sink.lost, 0);

	make_pipe(fds); // there is room again
	assert_true(dup2(fds[1], sink.fd) >= 0);
	log_sink_wake(&sink);
	log_sink_flush(&sink);
	assert_true(log_sink_is_well(&sink));
	assert_read(fds[0], "> kept\n> too\n");
	log_sink_done(&sink);
	assert_int_equal(sink.lost, 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_stuck_pipe_blocks_nobody(void **state)
{
	char line[1000], *at;
	u64 put_count = 0, read_count = 0;
	struct log_sink sink;
	struct str text;
	int fds[2];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	make_pipe(fds);
	sink = open_sink(output_to(fds[1]));
	while (put(&sink, line)) {
		put_count++;
		log_sink_flush(&sink);
	}
	assert_true(sink.blocked);
	assert_false(put(&sink, line));
	assert_int_equal(sink.lost, 2);
	for (;;) { // the reader is back
		text = read_some(fds[0]);
		if (text.len == 0)
			break;
		for (at = (char *)text.ptr; at < text.ptr + text.len; at++)
			read_count += *at == '\n';
		log_sink_flush(&sink);
	}
	assert_int_equal(read_count, put_count);
	assert_true(put(&sink, "well again"));
	log_sink_flush(&sink);
	assert_read(fds[0], "> well again\n");
	log_sink_done(&sink);
	close(fds[0]);
	close(fds[1]);
}

// Lines that share a pipe with other processes stay whole: each write ends with a line.
static void test_pipes_get_whole_lines(void **state)
{
	char line[1500];
	struct log_sink sink;
	struct str text;
	int fds[2];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = 0;
	make_pipe(fds);
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, PIPE_BUF) >= PIPE_BUF);
	sink = open_sink(output_to(fds[1]));
	for (int i = 0; i < 20; i++)
		assert_true(put(&sink, line));
	for (int lines = 0; lines < 20; lines += 2) {
		log_sink_flush(&sink);
		text = read_some(fds[0]);
		assert_int_equal(text.len, 2 * (sizeof(line) - 1 + 3));
		assert_int_equal(text.ptr[text.len - 1], '\n');
	}
	log_sink_done(&sink);
	close(fds[0]);
	close(fds[1]);
}

static void test_closed_standard_error_is_forgotten(void **state)
{
	struct log_sink sink;
	int fds[2], saved = dup(STDERR_FILENO);

	(void)state;
	make_pipe(fds);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	sink = open_sink((struct logger_output){.kind = LOGGER_STDERR});
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	close(fds[1]);
	assert_true(put(&sink, "heard"));
	log_sink_flush(&sink);
	assert_read(fds[0], "> heard\n");

	close(fds[0]);
	assert_true(put(&sink, "unheard"));
	assert_true(put(&sink, "unheard"));
	log_sink_flush(&sink);
	assert_true(sink.dead);
	assert_int_equal(sink.lost, 2);
	assert_false(put(&sink, "unheard"));
	log_sink_wake(&sink);
	assert_false(log_sink_is_well(&sink));
	assert_int_equal(sink.lost, 3);
	log_sink_done(&sink);
}

// Our own non-blocking mode must not leak into the descriptor that others share.
static void test_standard_error_stays_blocking(void **state)
{
	struct log_sink sink;
	int fds[2], saved = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	sink = open_sink((struct logger_output){.kind = LOGGER_STDERR});
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	log_sink_done(&sink);
	close(fds[0]);
	close(fds[1]);
}

static int listen_unix(const char *socket_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_syslog_comes_and_goes(void **state)
{
	struct log_sink sink;
	int fd;

	(void)state;
	sink = open_sink(
		(struct logger_output){.kind = LOGGER_SYSLOG_UNIX, .path = path_of("syslog")});
	assert_true(sink.resting); // not there yet
	assert_int_equal(sink.error, ENOENT);
	assert_true(put(&sink, "early"));
	log_sink_flush(&sink);

	fd = listen_unix(path);
	log_sink_wake(&sink);
	assert_true(put(&sink, "second"));
	log_sink_flush(&sink);
	assert_read(fd, "> early"); // one datagram per line, no newline
	assert_read(fd, "> second");

	close(fd); // restarted
	unlink(path);
	assert_true(put(&sink, "meanwhile"));
	log_sink_flush(&sink);
	assert_true(sink.resting);
	fd = listen_unix(path);
	log_sink_wake(&sink);
	log_sink_flush(&sink);
	assert_read(fd, "> meanwhile");
	log_sink_done(&sink);
	assert_int_equal(sink.lost, 0);
	close(fd);
	unlink(path);
}

static void test_syslog_over_udp(void **state)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct logger_output output = {.kind = LOGGER_SYSLOG_UDP};
	socklen_t len = sizeof(address);
	struct log_sink sink;
	char text[64];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(addr_parse(str_from(text), &output.address), 0);
	sink = open_sink(output);
	assert_true(put(&sink, "over the wire"));
	log_sink_flush(&sink);
	assert_read(fd, "> over the wire");
	log_sink_done(&sink);
	close(fd);
}

static void test_what_waits_at_the_end_is_counted(void **state)
{
	struct log_sink full =
		open_sink((struct logger_output){.kind = LOGGER_FILE, .path = "/dev/full"});
	struct log_sink absent = open_sink(
		(struct logger_output){.kind = LOGGER_SYSLOG_UNIX, .path = path_of("nobody")});

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_true(put(&full, "line"));
		assert_true(put(&absent, "a\nb")); // a datagram may hold anything
	}
	log_sink_flush(&full);
	log_sink_done(&full);
	log_sink_done(&absent);
	assert_int_equal(full.lost, 5);
	assert_int_equal(absent.lost, 5);
}

static void test_none_takes_everything(void **state)
{
	struct log_sink sink = open_sink((struct logger_output){.kind = LOGGER_NONE});

	(void)state;
	for (int i = 0; i < 100000; i++)
		assert_true(put(&sink, "nobody wants this"));
	log_sink_flush(&sink);
	log_sink_done(&sink);
	assert_int_equal(sink.lost, 0);
}

static void test_same_output_is_noticed(void **state)
{
	struct log_sink a, b, c;
	int fds[2], others[2];

	(void)state;
	make_pipe(fds);
	make_pipe(others);
	a = open_sink(output_to(fds[1]));
	b = open_sink(output_to(fds[1]));
	c = open_sink(output_to(others[1]));
	assert_true(log_sink_same(&a, &b));
	assert_false(log_sink_same(&a, &c));
	log_sink_done(&a);
	log_sink_done(&b);
	log_sink_done(&c);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(others[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_is_appended_and_private),
		cmocka_unit_test(test_file_that_can_not_be_opened),
		cmocka_unit_test(test_reopen_follows_the_name),
		cmocka_unit_test(test_full_disk_keeps_lines_and_recovers),
		cmocka_unit_test(test_stuck_pipe_blocks_nobody),
		cmocka_unit_test(test_pipes_get_whole_lines),
		cmocka_unit_test(test_closed_standard_error_is_forgotten),
		cmocka_unit_test(test_standard_error_stays_blocking),
		cmocka_unit_test(test_syslog_comes_and_goes),
		cmocka_unit_test(test_syslog_over_udp),
		cmocka_unit_test(test_what_waits_at_the_end_is_counted),
		cmocka_unit_test(test_none_takes_everything),
		cmocka_unit_test(test_same_output_is_noticed),
	};

	return cmocka_run_group_tests_name("log_sink", tests, make_directory, remove_directory);
}
