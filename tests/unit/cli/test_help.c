// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <stdio.h>

#include "cli/help.h"
#include "cli/plan.h"
#include "cli/terminal.h"

enum { columns = 80, lines = 25 };

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 24);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

// Printable ASCII, so that characters are columns. Gives the number of lines.
static u32 assert_narrow(struct str text)
{
	u32 count = 0;

	assert_true(text.len > 0 && text.ptr[text.len - 1] == '\n');
	while (text.len) {
		struct str line = str_cut(&text, '\n');

		if (line.len > columns)
			fail_msg("%zu columns: %.*s", line.len, STR_FMT(line));
		for (size_t i = 0; i < line.len; i++)
			assert_in_range(line.ptr[i], ' ', '~');
		count++;
	}
	return count;
}

static void test_screen_fits(void **state)
{
	(void)state;
	assert_in_range(assert_narrow(help_screen(&arena)), 10, lines);
}

// What seed 3 promises of its help: the six options with these defaults.
static void test_screen_has_the_first_options(void **state)
{
	static const char *const pieces[] = {"-p, --port", "[default: 8080]", "-b, --backends",
		"[default: 127.0.0.1:3001,127.0.0.1:3002,127.0.0.1:3003]", "-a, --algorithm",
		"[default: round_robin]", "--health-check-interval", "[default: 30]", "-h, --help",
		"-V, --version", "--help-all", "weir demo", "weir check", "weir test-backend",
		"weir top", "weir why", "weir drain"};
	struct str screen = help_screen(&arena);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		if (!has(screen, pieces[i]))
			fail_msg("no '%s'", pieces[i]);
}

// No option on the screen that the parser does not know.
static void test_screen_tells_no_lies(void **state)
{
	struct str rest = help_screen(&arena);

	(void)state;
	for (; rest.len > 2; rest = str_make(rest.ptr + 1, rest.len - 1)) {
		char name[32];
		size_t len = 0;
		bool known = false;

		if (!str_starts(rest, STR(" --")) || rest.ptr[3] < 'a' || rest.ptr[3] > 'z')
			continue;
		while (len + 1 < sizeof(name) &&
			strchr("abcdefghijklmnopqrstuvwxyz-", rest.ptr[3 + len]))
			len++;
		snprintf(name, sizeof(name), "%.*s", (int)len, rest.ptr + 3);
		for (u32 i = 0; i < plan_option_count; i++)
			known |= strcmp(plan_options[i].long_name, name) == 0;
		if (!known)
			fail_msg("--%s", name);
	}
}

static void test_all_has_everything(void **state)
{
	struct str all = help_all(&arena);

	(void)state;
	assert_narrow(all);
	for (u32 i = 0; i < plan_option_count; i++)
		assert_true(has(all, arena_printf(&arena, "--%s", plan_options[i].long_name)));
	for (u32 i = 0; i < PLAN_COMMAND_COUNT; i++)
		assert_true(has(all, arena_printf(&arena, "weir %s", plan_commands[i].words)));
}

static void test_each_command_has_help(void **state)
{
	(void)state;
	for (u32 i = 0; i < PLAN_COMMAND_COUNT; i++) {
		struct str text = help_command(plan_commands[i].words, &arena);

		assert_narrow(text);
		for (u32 j = 0; j < plan_option_count; j++) {
			bool takes = plan_options[j].commands >> i & 1;
			const char *row =
				arena_printf(&arena, "  --%s ", plan_options[j].long_name);
			const char *other =
				arena_printf(&arena, ", --%s ", plan_options[j].long_name);

			assert_int_equal(
				takes, has(text, row) || has(text, other) ||
					       has(text, arena_printf(&arena, "%.*s\n",
								 (int)strlen(row) - 1, row)));
		}
	}
	assert_int_equal(help_command("nothing", &arena).len, 0);
	assert_true(has(help_command("config", &arena), "weir config convert"));
}

static void test_colour(void **state)
{
	char *plain[] = {(char *)"TERM=xterm", NULL};
	char *none[] = {(char *)"TERM=xterm", (char *)"NO_COLOR=1", NULL};
	char *empty[] = {(char *)"TERM=xterm", (char *)"NO_COLOR=", NULL};
	char *dumb[] = {(char *)"TERM=dumb", NULL};
	char *forced[] = {(char *)"TERM=dumb", (char *)"CLICOLOR_FORCE=1", NULL};
	char *not_forced[] = {(char *)"CLICOLOR_FORCE=0", NULL};
	char *both[] = {(char *)"CLICOLOR_FORCE=1", (char *)"NO_COLOR=1", NULL};

	(void)state;
	assert_true(terminal_has_colour(plain, true));
	assert_false(terminal_has_colour(plain, false));
	assert_false(terminal_has_colour(none, true));
	assert_true(terminal_has_colour(empty, true));
	assert_false(terminal_has_colour(dumb, true));
	assert_true(terminal_has_colour(forced, false));
	assert_false(terminal_has_colour(not_forced, false));
	assert_false(terminal_has_colour(both, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_screen_fits),
		cmocka_unit_test(test_screen_has_the_first_options),
		cmocka_unit_test(test_screen_tells_no_lies),
		cmocka_unit_test(test_all_has_everything),
		cmocka_unit_test(test_each_command_has_help),
		cmocka_unit_test(test_colour),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
