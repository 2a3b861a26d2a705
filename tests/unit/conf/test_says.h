// SPDX-License-Identifier: Apache-2.0
// For tests of single keys: what a configuration of a few lines gives, or what is said about it.
#pragma once

#include "test.h"

static inline const struct conf *load(struct world *world, const char *text)
{
	const struct conf *conf;

	world_init(world);
	conf = world_load(world, "t", text, CONF_YAML);
	if (!conf)
		fail_msg("%s", world_errors(world));
	return conf;
}

static inline void says(const char *text, const char *expected, bool is_good)
{
	struct world world;
	bool was_good;

	world_init(&world);
	was_good = world_load(&world, "t", text, CONF_YAML) != NULL;
	assert_contains(world_errors(&world), expected);
	if (is_good != was_good)
		fail_msg("%s: %s", was_good ? "accepted" : "refused", text);
	world_done(&world);
}

static inline void refuses(const char *text, const char *expected)
{
	says(text, expected, false);
}

static inline void warns(const char *text, const char *expected)
{
	says(text, expected, true);
}

// Accepted, and whatever is said, not this.
static inline void says_not(const char *text, const char *unexpected)
{
	struct world world;

	(void)load(&world, text);
	if (strstr(world_errors(&world), unexpected))
		fail_msg("%s", world_errors(&world));
	world_done(&world);
}

static inline void is_silent(const char *text)
{
	struct world world;

	(void)load(&world, text);
	if (world.errs.warning_count)
		fail_msg("%s", world_errors(&world));
	world_done(&world);
}

#define ONE   "backends: [10.0.0.1:80]\n"
#define THREE "backends: [10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]\n"

// One pool with more keys; one pool, and one frontend with more keys.
#define POOL(text) "pools: {default: {backends: [a:1, b:1], " text "}}"
#define WEB(text) \
	"pools: {p: {backends: [a:1, b:1], " text "}}\nfrontends: {web: {bind: \":1\", pool: p, "
