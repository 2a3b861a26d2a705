// SPDX-License-Identifier: Apache-2.0
// Inside of plans only: what plan.c, which reads the words of a command line, and plan_options.c,
// which takes one option after the other, know of each other.
#pragma once

#include <getopt.h>

#include "cli/plan.h"

enum { first_value = 256 }; // of getopt's results, above all characters

enum option_id {
#define OPTION(id, short_name, long_name, value, commands, prose) OPTION_##id,
#include "cli/options.def"
#undef OPTION
	OPTION_COUNT
};

#define OPTION_BIT(id) (1ull << (id))

struct parser {
	struct arena *arena;
	char *const *environ;
	struct plan *plan;
	int argc;
	char **argv; // a copy: getopt_long moves what is no option to the end
	char short_options[2 + OPTION_COUNT * 2];
	struct option long_options[OPTION_COUNT + 1];
	u64 seen; // bit of each option that was given
	u32 verbose, quiet;
	const char *format;
	const char **sets, **files, **fields;
	bool has_command;
};

// Notes why there is no plan, and what helps; gives -EINVAL.
int plan_fail(struct parser *parser, const char *error, const char *hint);

#define FAIL(parser, hint, ...) \
	plan_fail((parser), arena_printf((parser)->arena, __VA_ARGS__), (hint))

// NULL where nothing is near.
const char *plan_did_you_mean(struct parser *parser, const char *prefix, const char *near);

void plan_add_set(struct parser *parser, const char *set);

// 0, or -EINVAL: its value is none.
int plan_take_option(struct parser *parser, enum option_id id, const char *value);
