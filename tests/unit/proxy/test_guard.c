// SPDX-License-Identifier: Apache-2.0
// Who may connect, and how often at the same time; many threads at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "proxy/guard.h"
#include "proxy/snapshot.h"

struct scene {
	struct conf_frontend conf[2];
	struct frontend frontends[2];
};

static int set_up(void **state)
{
	static struct scene scene;
	struct guard *guard = guard_new(1000, 4, 42);

	scene = (struct scene){0};
	for (u32 i = 0; i < 2; i++) {
		scene.conf[i].name = i ? STR("api") : STR("web");
		scene.frontends[i].conf = &scene.conf[i];
		scene.frontends[i].index = i;
		scene.frontends[i].guard = guard;
	}
	*state = &scene;
	return 0;
}

// One guard, which both frontends have.
static int tear_down(void **state)
{
	guard_free(((struct scene *)*state)->frontends[0].guard);
	return 0;
}

static struct addr address(const char *text)
{
	struct addr addr = {.family = ADDR_UNIX, .path = ""};

	if (text[0])
		assert_int_equal(addr_parse_ip(str_from(text), &addr), 0);
	return addr;
}

static struct addr_prefix prefix(const char *text)
{
	struct addr_prefix prefix;

	assert_int_equal(addr_prefix_parse(str_from(text), &prefix), 0);
	return prefix;
}

static enum guard_answer ask(const struct frontend *frontend, const char *text)
{
	struct addr peer = address(text);

	return guard_ask(frontend, &peer);
}

static void leave(const struct frontend *frontend, const char *text)
{
	struct addr peer = address(text);

	guard_leave(frontend->guard, frontend->index, &peer);
}

static void test_lists(void **state)
{
	struct scene *scene = *state;
	const struct frontend *web = &scene->frontends[0];
	struct addr_prefix denied[] = {prefix("10.1.0.0/16"), prefix("2001:db8::/32")};
	struct addr_prefix allowed[] = {prefix("10.0.0.0/8"), prefix("::1/128")};
	struct access_list *list = &scene->conf[0].access;

	assert_false(guard_is_wanted(&scene->conf[0]));
	*list = (struct access_list){.deny = denied, .deny_count = 2};
	assert_true(guard_is_wanted(&scene->conf[0]));
	assert_int_equal(ask(web, "10.1.2.3"), GUARD_DENIED);
	assert_int_equal(ask(web, "10.2.2.3"), GUARD_IN);
	assert_int_equal(ask(web, "2001:db8::1"), GUARD_DENIED);
	assert_int_equal(ask(web, "2001:db9::1"), GUARD_IN);
	*list = (struct access_list){.allow = allowed, .allow_count = 2};
	assert_true(guard_is_wanted(&scene->conf[0]));
	assert_int_equal(ask(web, "10.1.2.3"), GUARD_IN);
	assert_int_equal(ask(web, "11.1.2.3"), GUARD_NOT_ALLOWED);
	assert_int_equal(ask(web, "::1"), GUARD_IN);
	assert_int_equal(ask(web, "::2"), GUARD_NOT_ALLOWED);
	*list = (struct access_list){allowed, denied, 2, 2};
	assert_int_equal(ask(web, "10.1.2.3"), GUARD_DENIED);
	assert_int_equal(ask(web, "10.2.2.3"), GUARD_IN);
	assert_int_equal(ask(web, "192.0.2.1"), GUARD_NOT_ALLOWED);
}

static void test_peers_without_an_address(void **state)
{
	struct scene *scene = *state;
	const struct frontend *web = &scene->frontends[0];
	struct addr_prefix allowed[] = {prefix("10.0.0.0/8")};
	struct addr gone = {.family = ADDR_NONE};

	scene->conf[0].access = (struct access_list){.allow = allowed, .allow_count = 1};
	scene->conf[0].limits.per_ip_connections = 1;
	for (u32 i = 0; i < 3; i++) { // over a unix socket: never bounded
		assert_int_equal(ask(web, ""), GUARD_IN);
		assert_int_equal(guard_ask(web, &gone), GUARD_GONE);
	}
	assert_true(guard_refuses(GUARD_GONE));
}

static void test_each_client_has_its_own_count(void **state)
{
	struct scene *scene = *state;
	const struct frontend *web = &scene->frontends[0];

	scene->conf[0].limits.per_ip_connections = 2;
	assert_true(guard_is_wanted(&scene->conf[0]));
	assert_int_equal(ask(web, "10.0.0.1"), GUARD_IN_COUNTED);
	assert_int_equal(ask(web, "10.0.0.1"), GUARD_IN_COUNTED);
	assert_int_equal(ask(web, "10.0.0.1"), GUARD_FULL);
	assert_int_equal(ask(web, "10.0.0.2"), GUARD_IN_COUNTED);
	leave(web, "10.0.0.1");
	assert_int_equal(ask(web, "10.0.0.1"), GUARD_IN_COUNTED);
	assert_int_equal(ask(web, "10.0.0.1"), GUARD_FULL);
}

static void test_an_ipv6_client_is_its_network(void **state)
{
	struct scene *scene = *state;
	const struct frontend *web = &scene->frontends[0];

	scene->conf[0].limits.per_ip_connections = 1;
	assert_int_equal(ask(web, "2001:db8::1"), GUARD_IN_COUNTED);
	assert_int_equal(ask(web, "2001:db8::2:3:4:5"), GUARD_FULL);
	assert_int_equal(ask(web, "2001:db8:0:1::1"), GUARD_IN_COUNTED);
	leave(web, "2001:db8::9");
	assert_int_equal(ask(web, "2001:db8::2:3:4:5"), GUARD_IN_COUNTED);
}

static void test_frontends_count_apart(void **state)
{
	struct scene *scene = *state;
	struct addr peer = address("10.0.0.1");

	scene->conf[0].limits.per_ip_connections = 1;
	scene->conf[1].limits.per_ip_connections = 2;
	assert_int_equal(ask(&scene->frontends[0], "10.0.0.1"), GUARD_IN_COUNTED);
	assert_int_equal(ask(&scene->frontends[1], "10.0.0.1"), GUARD_IN_COUNTED);
	assert_int_equal(ask(&scene->frontends[0], "10.0.0.1"), GUARD_FULL);
	assert_int_equal(ask(&scene->frontends[1], "10.0.0.1"), GUARD_IN_COUNTED);
	assert_int_equal(ask(&scene->frontends[1], "10.0.0.1"), GUARD_FULL);
	assert_int_equal(guard_count(&scene->frontends[0], &peer), 1);
	assert_int_equal(guard_count(&scene->frontends[1], &peer), 2);
}

// As many clients as there may be connections, all different: every one is counted.
static void test_the_table_is_never_full(void **state)
{
	struct scene *scene = *state;
	const struct frontend *web = &scene->frontends[0];
	static const u64 sizes[] = {1, 63, 64, 1000, 20000};

	scene->conf[0].limits.per_ip_connections = 1;
	for (u32 s = 0; s < ARRAY_LEN(sizes) * 3; s++) {
		u64 clients = sizes[s / 3];
		struct addr peer = {.family = ADDR_V4};

		guard_free(scene->frontends[0].guard);
		scene->frontends[0].guard = guard_new(clients, s % 3 * 20, s);
		for (u32 turn = 0; turn < 2; turn++) {
			for (u32 i = 0; i < clients; i++) {
				memcpy(peer.ip, &i, sizeof(i));
				assert_int_equal(guard_ask(web, &peer), GUARD_IN_COUNTED);
				assert_int_equal(guard_ask(web, &peer), GUARD_FULL);
			}
			for (u32 i = 0; i < clients; i++) {
				memcpy(peer.ip, &i, sizeof(i));
				guard_leave(web->guard, web->index, &peer);
			}
		}
	}
}

enum { threads = 4, rounds = 20000, crowd_max = 3 };

struct rush {
	const struct frontend *frontend;
	_Atomic(u32) inside, too_many, refused;
};

static void *come_and_go(void *arg)
{
	struct rush *rush = arg;
	struct addr peer = address("10.0.0.1");

	for (u32 i = 0; i < rounds; i++) {
		if (guard_ask(rush->frontend, &peer) != GUARD_IN_COUNTED) {
			atomic_fetch_add(&rush->refused, 1);
			continue;
		}
		if (atomic_fetch_add(&rush->inside, 1) >= crowd_max)
			atomic_fetch_add(&rush->too_many, 1);
		atomic_fetch_sub(&rush->inside, 1);
		guard_leave(rush->frontend->guard, rush->frontend->index, &peer);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct scene *scene = *state;
	struct rush rush = {.frontend = &scene->frontends[0]};
	struct addr peer = address("10.0.0.1");
	pthread_t running[threads];

	scene->conf[0].limits.per_ip_connections = crowd_max;
	for (u32 i = 0; i < threads; i++)
		assert_int_equal(pthread_create(&running[i], NULL, come_and_go, &rush), 0);
	for (u32 i = 0; i < threads; i++)
		pthread_join(running[i], NULL);
	assert_int_equal(rush.too_many, 0);
	assert_true(rush.refused < threads * rounds);
	assert_int_equal(guard_count(rush.frontend, &peer), 0);
}

static void test_words_for_people(void **state)
{
	struct scene *scene = *state;
	struct addr v4 = address("192.0.2.7"), v6 = address("2001:db8:1:2:3:4:5:6");
	char client[GUARD_TEXT_MAX], key[GUARD_KEY_MAX];

	guard_client_text(&v4, client);
	assert_string_equal(client, "192.0.2.7");
	guard_client_text(&v6, client);
	assert_string_equal(client, "2001:db8:1:2::/64");
	guard_key_text(&scene->frontends[0], GUARD_DENIED, key);
	assert_string_equal(key, "frontends.web.deny");
	guard_key_text(&scene->frontends[1], GUARD_NOT_ALLOWED, key);
	assert_string_equal(key, "frontends.api.allow");
	guard_key_text(&scene->frontends[0], GUARD_FULL, key);
	assert_string_equal(key, "frontends.web.limits.per_ip_connections");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peers_without_an_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_each_client_has_its_own_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_an_ipv6_client_is_its_network, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_frontends_count_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_table_is_never_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_words_for_people, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
