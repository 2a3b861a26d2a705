// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_what_is_there(void **state)
{
	char buffer[512];
	struct str text = proc_read("/proc/self/stat", buffer, sizeof(buffer));
	u64 pid = 0;

	(void)state;
	assert_int_equal(str_to_u64(str_cut(&text, ' '), UINT64_MAX, &pid), 0);
	assert_int_equal(pid, getpid());
	assert_int_equal(text.ptr[text.len - 1], '\n');
}

static void test_no_more_than_fits(void **state)
{
	char buffer[8] = "abcdefg";
	struct str text = proc_read("/proc/self/stat", buffer, 4);

	(void)state;
	assert_int_equal(text.len, 4);
	assert_memory_equal(buffer + 4, "efg", 4);
}

static void test_what_is_not_there(void **state)
{
	char buffer[8];

	(void)state;
	assert_int_equal(proc_read("/proc/self/no such file", buffer, sizeof(buffer)).len, 0);
	assert_int_equal(proc_read("/proc/self", buffer, sizeof(buffer)).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_there),
		cmocka_unit_test(test_no_more_than_fits),
		cmocka_unit_test(test_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
