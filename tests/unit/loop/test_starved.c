// SPDX-License-Identifier: Apache-2.0
// For how long a thread waited for a processor. A thread that sleeps has all that it needs, so that
// the number stands; of two on one processor one has to wait, however long that takes.
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include <pthread.h>
#include <setjmp.h>
#include <cmocka.h>

#include "loop/loop.h"

enum { looks = 1000 };

struct helper {
	pthread_t thread;
	int wake[2];
	_Atomic(pid_t) number;
	_Atomic(bool) is_over, spins;
};

static void *help(void *arg)
{
	struct helper *helper = arg;
	char byte;

	helper->number = gettid();
	while (helper->spins && !helper->is_over)
		;
	if (!helper->spins)
		(void)!read(helper->wake[0], &byte, 1);
	return NULL;
}

static void begin(struct helper *helper, bool spins)
{
	*helper = (struct helper){.spins = spins};
	assert_int_equal(pipe(helper->wake), 0);
	assert_int_equal(pthread_create(&helper->thread, NULL, help, helper), 0);
	while (!helper->number)
		sched_yield();
}

static void end(struct helper *helper)
{
	helper->is_over = true;
	assert_int_equal(write(helper->wake[1], "", 1), 1);
	pthread_join(helper->thread, NULL);
	close(helper->wake[0]);
	close(helper->wake[1]);
}

// The letter of its state, '\0' where there is no such thread; as the kernel has it.
static char state_of(pid_t number)
{
	char path[64], state = '\0';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)number);
	file = fopen(path, "r");
	if (!file)
		return '\0';
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '\0';
	fclose(file);
	return state;
}

static bool read_kernel(
	pid_t number, unsigned long long *ret_ran_ns, unsigned long long *ret_ready_ns)
{
	char path[64];
	FILE *file;
	int count;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", (int)number);
	file = fopen(path, "r");
	if (!file)
		return false;
	count = fscanf(file, "%llu %llu", ret_ran_ns, ret_ready_ns);
	fclose(file);
	return count == 2 && *ret_ran_ns;
}

static void who_sleeps_misses_nothing(void **state)
{
	unsigned long long ran_ns, ready_ns;
	struct helper helper;
	u64 before;
	u32 changes = 0;

	(void)state;
	begin(&helper, false);
	while (state_of(helper.number) != 'S')
		sched_yield();
	before = loop_starved_us(helper.number);
	for (int i = 0; i < looks; i++) {
		u64 now = loop_starved_us(helper.number);

		sched_yield();
		changes += now != before;
		before = now;
	}
	assert_true(changes <= 1); // on its last steps to the kernel it may have been pushed aside
	if (read_kernel(helper.number, &ran_ns, &ready_ns))
		assert_int_equal(before, ready_ns / 1000);
	else
		assert_int_equal(before, 0);
	end(&helper);
}

static void who_is_gone_has_none(void **state)
{
	struct helper helper;

	(void)state;
	begin(&helper, false);
	end(&helper);
	while (state_of(helper.number)) // a joined thread may be on its way out yet
		sched_yield();
	assert_int_equal(loop_starved_us(helper.number), 0);
	assert_int_equal(loop_starved_us(getppid()), 0); // of another process
	assert_int_equal(loop_starved_us(-1), 0);
}

static void two_on_one_processor_wait_for_each_other(void **state)
{
	unsigned long long ran_ns, ready_ns;
	u64 before = loop_starved_us(gettid()), last = before;
	struct helper helper;
	cpu_set_t all, one;
	size_t cpu = 0;

	(void)state;
	if (!read_kernel(gettid(), &ran_ns, &ready_ns))
		skip(); // this kernel does not count
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	begin(&helper, true);
	for (int i = 0; i < looks || last == before; i++) {
		u64 now = loop_starved_us(gettid());

		assert_true(now >= last);
		last = now;
	}
	end(&helper);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_sleeps_misses_nothing),
		cmocka_unit_test(who_is_gone_has_none),
		cmocka_unit_test(two_on_one_processor_wait_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
