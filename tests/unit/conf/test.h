// SPDX-License-Identifier: Apache-2.0
// What every test of the configuration needs: memory, a list of findings, and texts to load.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "conf/conf.h"

struct world {
	struct arena arena;
	struct errs errs;
};

static inline void world_init(struct world *world)
{
	arena_init(&world->arena, CONF_ARENA_BYTES_MAX);
	errs_init(&world->errs);
}

static inline void world_done(struct world *world)
{
	errs_done(&world->errs);
	arena_done(&world->arena);
}

static inline struct conf *world_load(
	struct world *world, const char *name, const char *text, enum conf_syntax syntax)
{
	return conf_load_text(name, str_from(text), syntax, &world->arena, &world->errs);
}

static inline const char *world_errors(struct world *world)
{
	errs_sort(&world->errs);
	return errs_format(&world->errs, &world->arena, false).ptr;
}

static inline void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

static inline void assert_str(struct str text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.ptr, expected, text.len);
}
