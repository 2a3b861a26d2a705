// SPDX-License-Identifier: Apache-2.0
// Cookies that lead back to a backend, and those that do not.
#include "scene.h"

#include <stdio.h>

#include "proxy/sticky.h"

static void build(struct scene *scene, u32 backends)
{
	scene->pool.backend_count = backends;
	for (u32 i = 0; i < backends; i++)
		scene->backends[i] = (struct backend){
			.id = str_from(arena_printf(&scene->arena, "backend-%u", i)),
			.pool = &scene->pool,
			.index = i};
	scene->pool.sticky = sticky_build(&scene->pool, &scene->arena);
}

static int set_up(void **state)
{
	struct scene *scene;

	if (scene_set_up(state) != 0)
		return -1;
	scene = *state;
	scene->conf_pool.sticky = (struct conf_sticky){.enabled = true,
		.name = STR("weir"),
		.secret = STR("a secret of the operator"),
		.path = STR("/")};
	build(scene, 3);
	return 0;
}

// The line that binds a new client to this backend, terminated.
static const char *line_of(struct scene *scene, u32 index)
{
	struct str line;

	scene->x.backend = &scene->backends[index];
	scene->x.sticky = BALANCE_NONE;
	line = sticky_line(&scene->x);
	return arena_str(&scene->arena, line).ptr;
}

// What a browser would make of that line: "weir=...".
static const char *cookie_of(struct scene *scene, u32 index)
{
	const char *line = line_of(scene, index), *start = strstr(line, "weir=");

	assert_non_null(start);
	return arena_printf(&scene->arena, "%.*s", (int)strcspn(start, ";"), start);
}

static u32 find(struct scene *scene, const char *cookies)
{
	scene_request(scene, "/",
		arena_printf(&scene->arena, cookies[0] ? "Cookie: %s\r\n" : "%s", cookies));
	return sticky_find(&scene->x);
}

static void test_a_pool_that_is_not_sticky(void **state)
{
	struct scene *scene = *state;

	scene->conf_pool.sticky = (struct conf_sticky){0};
	build(scene, 3);
	assert_null(scene->pool.sticky);
	assert_int_equal(find(scene, "weir=x"), BALANCE_NONE);
	assert_string_equal(line_of(scene, 1), "");
}

static void test_the_line(void **state)
{
	struct scene *scene = *state;
	struct conf_sticky *conf = &scene->conf_pool.sticky;
	const char *line = line_of(scene, 1);

	assert_true(str_starts(str_from(line), STR("Set-Cookie: weir=")));
	assert_string_equal(strchr(line, ';'), "; Path=/; HttpOnly; SameSite=Lax\r\n");
	assert_int_equal(strlen(cookie_of(scene, 1)), strlen("weir=") + 22);
	conf->ttl_ms = 3600 * 1000;
	conf->path = STR("/shop");
	conf->same_site = CONF_SAME_SITE_STRICT;
	build(scene, 3);
	assert_string_equal(strchr(line_of(scene, 1), ';'),
		"; Path=/shop; Max-Age=3600; HttpOnly; SameSite=Strict\r\n");
	conf->same_site = CONF_SAME_SITE_NONE;
	conf->secure = true;
	build(scene, 3);
	assert_string_equal(strchr(line_of(scene, 1), ';'),
		"; Path=/shop; Max-Age=3600; HttpOnly; SameSite=None; Secure\r\n");
}

static void test_it_leads_back(void **state)
{
	struct scene *scene = *state;

	for (u32 i = 0; i < 3; i++) {
		scene->x.sticky = find(scene, cookie_of(scene, i));
		assert_int_equal(scene->x.sticky, i);
		scene->x.backend = &scene->backends[i];
		assert_int_equal(sticky_line(&scene->x).len, 0); // the client knows it
		scene->x.backend = &scene->backends[(i + 1) % 3];
		assert_true(sticky_line(&scene->x).len > 0); // and learns of another one
	}
}

static void test_among_other_cookies(void **state)
{
	struct scene *scene = *state;
	const char *two = cookie_of(scene, 2);

	assert_int_equal(find(scene, arena_printf(&scene->arena, "a=b; %s; c=d", two)), 2);
	assert_int_equal(find(scene, arena_printf(&scene->arena, "a=b\r\nCookie: c=d;%s", two)), 2);
	assert_int_equal(
		find(scene, arena_printf(&scene->arena, "%s; %s", two, cookie_of(scene, 0))), 2);
	assert_int_equal(find(scene, arena_printf(&scene->arena, "x%s", two)), BALANCE_NONE);
}

static void test_unknown_values(void **state)
{
	struct scene *scene = *state;
	char cookie[64];

	assert_int_equal(find(scene, ""), BALANCE_NONE);
	assert_int_equal(find(scene, "weir="), BALANCE_NONE);
	assert_int_equal(find(scene, "weir=backend-1"), BALANCE_NONE);
	assert_int_equal(find(scene, "weir=AAAAAAAAAAAAAAAAAAAAAA"), BALANCE_NONE);
	assert_int_equal(
		find(scene, arena_printf(&scene->arena, "%sA", cookie_of(scene, 1))), BALANCE_NONE);
	assert_int_equal(find(scene, arena_printf(&scene->arena, "weir=\"%s\"",
					     cookie_of(scene, 1) + strlen("weir="))),
		BALANCE_NONE);
	// One digit of a good one is another, in each place.
	for (size_t at = strlen("weir="); at < strlen("weir=") + 22; at++) {
		snprintf(cookie, sizeof(cookie), "%s", cookie_of(scene, 1));
		assert_int_equal(find(scene, cookie), 1);
		cookie[at] = cookie[at] == 'x' ? 'y' : 'x';
		assert_int_equal(find(scene, cookie), BALANCE_NONE);
	}
}

static void test_a_connection_has_no_cookie(void **state)
{
	struct scene *scene = *state;

	scene->x.request = NULL;
	assert_int_equal(sticky_find(&scene->x), BALANCE_NONE);
}

// Another start, another instance, other backends beside it: the same secret, the same cookie.
static void test_the_same_secret_makes_the_same_cookies(void **state)
{
	struct scene *scene = *state;
	const char *before = cookie_of(scene, 1);

	build(scene, 2);
	assert_string_equal(cookie_of(scene, 1), before);
	build(scene, 500);
	assert_int_equal(find(scene, before), 1);
	scene->backends[1].id = STR("another");
	scene->pool.sticky = sticky_build(&scene->pool, &scene->arena);
	assert_int_equal(find(scene, before), BALANCE_NONE);
	scene->backends[77].id = STR("backend-1"); // the order does not count
	scene->pool.sticky = sticky_build(&scene->pool, &scene->arena);
	assert_int_equal(find(scene, before), 77);
}

static void test_another_secret_or_pool_makes_others(void **state)
{
	struct scene *scene = *state;
	const char *before = cookie_of(scene, 1);

	scene->pool.name = STR("apq");
	build(scene, 3);
	assert_string_not_equal(cookie_of(scene, 1), before);
	assert_int_equal(find(scene, before), BALANCE_NONE);
	scene->pool.name = STR("app");
	scene->conf_pool.sticky.secret = STR("a secret of the operatos");
	build(scene, 3);
	assert_int_equal(find(scene, before), BALANCE_NONE);
	scene->conf_pool.sticky.secret = STR_EMPTY; // known, but one all the same
	build(scene, 3);
	assert_int_equal(find(scene, before), BALANCE_NONE);
	assert_int_equal(find(scene, cookie_of(scene, 1)), 1);
}

static void test_many_backends(void **state)
{
	struct scene *scene = *state;

	for (u32 count = 1; count <= SCENE_BACKENDS_MAX; count = count * 3 + 1) {
		build(scene, count);
		for (u32 i = 0; i < count; i++)
			assert_int_equal(find(scene, cookie_of(scene, i)), i);
		assert_int_equal(find(scene, "weir=AAAAAAAAAAAAAAAAAAAAAA"), BALANCE_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_pool_that_is_not_sticky, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_the_line, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_it_leads_back, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_among_other_cookies, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_values, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_connection_has_no_cookie, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_same_secret_makes_the_same_cookies, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_another_secret_or_pool_makes_others, set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_many_backends, set_up, scene_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
