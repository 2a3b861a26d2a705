// SPDX-License-Identifier: Apache-2.0
#include "cli/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/plan.h"

bool terminal_has_colour(char *const *env, bool is_terminal)
{
	const char *force = plan_variable(env, "CLICOLOR_FORCE");
	const char *term = plan_variable(env, "TERM");

	if (plan_variable(env, "NO_COLOR"))
		return false;
	if (force && strcmp(force, "0") != 0)
		return true;
	return is_terminal && term && strcmp(term, "dumb") != 0;
}

int terminal_print(struct str text)
{
	if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
		return 0;
	fprintf(stderr, "weir: cannot write to standard output: %s\n", strerror(errno));
	return 1;
}

bool terminal_is_one(char *const *env)
{
	const char *term = plan_variable(env, "TERM");

	return isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
}

struct cells_look terminal_look(char *const *env)
{
	bool is_terminal = isatty(STDOUT_FILENO);
	bool has_colour = terminal_has_colour(env, is_terminal);

	return (struct cells_look){.is_ascii = is_terminal && cells_is_ascii(env),
		.has_colour = has_colour,
		.has_attributes = has_colour || terminal_is_one(env)};
}
