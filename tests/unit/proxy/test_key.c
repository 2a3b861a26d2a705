// SPDX-License-Identifier: Apache-2.0
// What requests have the same key, and which have not.
#include "scene.h"

#include "proxy/key.h"

static void by(struct scene *scene, const struct conf_hash_part *parts, u32 count)
{
	scene->conf_pool.hash.parts = parts;
	scene->conf_pool.hash.part_count = count;
}

static u64 key(struct scene *scene, const char *target, const char *lines)
{
	scene_request(scene, target, lines);
	return key_of_request(&scene->x);
}

static u64 key_of_peer(struct scene *scene, const char *ip)
{
	scene_peer(scene, ip);
	return key_of_request(&scene->x);
}

static void test_address(void **state)
{
	struct scene *scene = *state;
	u64 one = key_of_peer(scene, "192.0.2.1");

	assert_true(one == key_of_peer(scene, "192.0.2.1"));
	assert_true(one != key_of_peer(scene, "192.0.2.2"));
	assert_true(one == (scene_peer(scene, "192.0.2.1"), key(scene, "/x?y", "Cookie: a=b\r\n")));
}

static void test_only_the_prefix_counts(void **state)
{
	struct scene *scene = *state;

	assert_true(key_of_peer(scene, "2001:db8::1") == key_of_peer(scene, "2001:db8::2:3:4:5"));
	assert_true(key_of_peer(scene, "2001:db8::1") != key_of_peer(scene, "2001:db8:0:1::1"));
	scene->conf_pool.hash.ipv6_bits = 128;
	assert_true(key_of_peer(scene, "2001:db8::1") != key_of_peer(scene, "2001:db8::2"));
	scene->conf_pool.hash.ipv6_bits = 45; // within a byte
	assert_true(key_of_peer(scene, "2001:db8:7::") == key_of_peer(scene, "2001:db8::ff"));
	assert_true(key_of_peer(scene, "2001:db8:8::") != key_of_peer(scene, "2001:db8::ff"));
	scene->conf_pool.hash.ipv4_bits = 23;
	assert_true(key_of_peer(scene, "10.0.3.9") == key_of_peer(scene, "10.0.2.1"));
	assert_true(key_of_peer(scene, "10.0.3.9") != key_of_peer(scene, "10.0.4.9"));
	scene->conf_pool.hash.ipv4_bits = 1;
	assert_true(key_of_peer(scene, "10.0.3.9") == key_of_peer(scene, "127.0.0.1"));
	assert_true(key_of_peer(scene, "10.0.3.9") != key_of_peer(scene, "128.0.0.1"));
}

static void test_the_word_of_a_trusted_proxy(void **state)
{
	struct scene *scene = *state;
	u64 client = key_of_peer(scene, "10.0.0.7"), proxy = key_of_peer(scene, SCENE_PROXY);

	assert_true(client == key(scene, "/", "X-Forwarded-For: 10.0.0.7\r\n"));
	assert_true(client == key(scene, "/", "X-Forwarded-For: 1.1.1.1, 10.0.0.7\r\n"));
	assert_true(client == key(scene, "/", "X-Forwarded-For: ::ffff:10.0.0.7\r\n"));
	assert_true(proxy == key(scene, "/", "X-Forwarded-For: nobody\r\n"));
	assert_true(key_of_peer(scene, "192.0.2.1") ==
		    key(scene, "/", "X-Forwarded-For: 10.0.0.7\r\n"));
}

static void test_path(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part parts[] = {{.kind = CONF_HASH_PATH}};

	by(scene, parts, 1);
	assert_true(key(scene, "/a/b", "") == key(scene, "/a/b?c=d", "X: y\r\n"));
	assert_true(key(scene, "/a/b", "") == key(scene, "/a/./x/../%62", ""));
	assert_true(key(scene, "/a/b", "") != key(scene, "/a/c", ""));
}

static void test_header(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part parts[] = {{CONF_HASH_HEADER, {"x-user", 6}}};
	u64 one;

	by(scene, parts, 1);
	one = key(scene, "/", "X-User: ann\r\n");
	assert_true(one == key(scene, "/other?q", "A: b\r\nx-uSER:  ann \r\n"));
	assert_true(one == key(scene, "/", "X-User: ann\r\nX-User: bob\r\n"));
	assert_true(one != key(scene, "/", "X-User: bob\r\n"));
	assert_true(one != key(scene, "/", "X-User: Ann\r\n"));
}

static void test_cookie_and_query(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part cookie[] = {{CONF_HASH_COOKIE, {"sid", 3}}};
	static const struct conf_hash_part query[] = {{CONF_HASH_QUERY, {"id", 2}}};

	by(scene, cookie, 1);
	assert_true(key(scene, "/", "Cookie: sid=7\r\n") ==
		    key(scene, "/x", "Cookie: a=b\r\nCookie: c=d;sid=7\r\n"));
	assert_true(key(scene, "/", "Cookie: sid=7\r\n") != key(scene, "/", "Cookie: sid=8\r\n"));
	by(scene, query, 1);
	assert_true(key(scene, "/?id=7", "") == key(scene, "/x?y=z&id=7", ""));
	assert_true(key(scene, "/?id=7", "") != key(scene, "/?id=8", ""));
}

static void test_several_parts(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part parts[] = {
		{CONF_HASH_QUERY, {"a", 1}}, {CONF_HASH_QUERY, {"b", 1}}};
	static const struct conf_hash_part turned[] = {
		{CONF_HASH_QUERY, {"b", 1}}, {CONF_HASH_QUERY, {"a", 1}}};
	u64 one;

	by(scene, parts, 2);
	one = key(scene, "/?a=12&b=3", "");
	assert_true(one == key(scene, "/?b=3&a=12", ""));
	assert_true(one != key(scene, "/?a=1&b=23", "")); // where one ends counts
	assert_true(one != key(scene, "/?a=3&b=12", ""));
	assert_true(one != key(scene, "/?a=12", ""));
	by(scene, turned, 2);
	assert_true(one != key(scene, "/?a=12&b=3", ""));
}

static void test_absent_is_not_empty(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part parts[] = {
		{CONF_HASH_QUERY, {"a", 1}}, {CONF_HASH_QUERY, {"b", 1}}};
	u64 absent, empty;

	by(scene, parts, 2);
	absent = key(scene, "/?a=1", "");
	empty = key(scene, "/?a=1&b=", "");
	assert_true(absent != empty);
	assert_true(absent == key(scene, "/?a=1&c=", "")); // and is no chance either
	assert_true(empty == key(scene, "/?a=1&b", ""));
	assert_true(key(scene, "/?b=1", "") != key(scene, "/?a=&b=1", ""));
}

static void test_requests_without_any_part_are_spread_out(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part parts[] = {{CONF_HASH_HEADER, {"x-user", 6}}};
	u64 seen[64];

	by(scene, parts, 1);
	for (u32 i = 0; i < ARRAY_LEN(seen); i++) {
		seen[i] = key(scene, "/", "");
		for (u32 j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
	assert_true(key(scene, "/", "X-User:\r\n") == key(scene, "/", "X-User:\r\n"));
	by(scene, &(struct conf_hash_part){.kind = CONF_HASH_CLIENT_IP}, 1);
	assert_true(key_of_peer(scene, "") != key_of_peer(scene, ""));
}

static void test_ip_hash_looks_at_nothing_else(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part parts[] = {{CONF_HASH_HEADER, {"x-user", 6}}};

	by(scene, parts, 1);
	scene->pool.kind = BALANCE_IP_HASH;
	assert_true(key(scene, "/", "X-User: ann\r\n") == key(scene, "/q", "X-User: bob\r\n"));
	assert_true(key_of_peer(scene, "192.0.2.1") != key_of_peer(scene, "192.0.2.2"));
}

static void test_a_connection_has_only_its_address(void **state)
{
	struct scene *scene = *state;
	static const struct conf_hash_part parts[] = {
		{CONF_HASH_HEADER, {"x-user", 6}}, {.kind = CONF_HASH_PATH}};

	by(scene, parts, 2);
	scene->x.request = NULL;
	scene->x.tcp = true;
	scene->x.path = STR_EMPTY;
	assert_true(key_of_peer(scene, "192.0.2.1") == key_of_peer(scene, "192.0.2.1"));
	assert_true(key_of_peer(scene, "192.0.2.1") != key_of_peer(scene, "192.0.2.2"));
}

static void test_the_secret_counts(void **state)
{
	struct scene *scene = *state;
	u64 before = key_of_request(&scene->x);

	scene->pool.hash_secret = key_hash_secret(STR("another"));
	assert_true(before != key_of_request(&scene->x));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_address, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_only_the_prefix_counts, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_word_of_a_trusted_proxy, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_path, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_header, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_cookie_and_query, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_several_parts, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_absent_is_not_empty, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(test_requests_without_any_part_are_spread_out,
			scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_ip_hash_looks_at_nothing_else, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_connection_has_only_its_address, scene_set_up, scene_tear_down),
		cmocka_unit_test_setup_teardown(
			test_the_secret_counts, scene_set_up, scene_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
