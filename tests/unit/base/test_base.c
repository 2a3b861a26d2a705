// SPDX-License-Identifier: Apache-2.0
#include "base/base.h"

#include "test.h"

static void fail_now(void)
{
	ASSERT(1 + 1 == 3);
}

static void pass_now(void)
{
	ASSERT(1 + 1 == 2);
}

static void hook_leaves(void)
{
	_exit(7);
}

static void assert_ends_the_process(void **state)
{
	(void)state;
	assert_true(aborts(fail_now));
	assert_false(aborts(pass_now));
}

static void crash_hook_is_called_first(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		dup2(open("/dev/null", O_WRONLY), 2);
		base_set_crash_hook(hook_leaves);
		fail_now();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void container_of_finds_the_owner(void **state)
{
	struct owner {
		int before;
		char member;
	} owner;

	(void)state;
	assert_ptr_equal(container_of(&owner.member, struct owner, member), &owner);
	assert_int_equal(ARRAY_LEN(((int[]){1, 2, 3})), 3);
}

static void min_and_max_read_their_arguments_once(void **state)
{
	u32 small = 3, large = 5;
	u64 wide = UINT64_MAX;
	i32 negative = -1;

	(void)state;
	assert_int_equal(MIN(small++, large++), 3);
	assert_int_equal(MAX(small++, large++), 6);
	assert_int_equal(small, 5);
	assert_int_equal(large, 7);
	// One inside another, in both places.
	assert_int_equal(MAX(MIN(small++, large), MIN(large++, 9)), 7);
	assert_int_equal(small, 6);
	assert_int_equal(large, 8);
	// The type is the one of both.
	assert_true(MAX(wide, small) == UINT64_MAX);
	assert_int_equal(sizeof(MIN(wide, small)), sizeof(u64));
	assert_true(MIN(negative, 0) == -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(assert_ends_the_process),
		cmocka_unit_test(crash_hook_is_called_first),
		cmocka_unit_test(container_of_finds_the_owner),
		cmocka_unit_test(min_and_max_read_their_arguments_once),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
