// SPDX-License-Identifier: Apache-2.0
// What another configuration changes, in words.
#include "conf/diff.h"

#include "test_says.h"

static const char base[] =
	"frontends:\n"
	"  web:\n"
	"    bind: ['10.1.0.1:80', '10.1.0.1:81']\n"
	"    routes:\n"
	"      - {match: {path: /a}, pool: app}\n"
	"      - {name: old, match: {path: /old}, redirect: {to: /new}}\n"
	"      - {name: api, match: {path: '/api/*'}, pool: app}\n"
	"    pool: app\n"
	"pools:\n"
	"  app: {backends: ['10.0.0.1:80', {id: b, address: '10.0.0.2:80', weight: 3}]}\n"
	"  other: {backends: ['10.0.0.9:80']}\n";

// The last line apart, which has the sums.
static void differs(const char *a, const char *b, const char *expected)
{
	struct world world, second;
	const struct conf *conf_a = load(&world, a), *conf_b = load(&second, b);
	const struct conf_diff *diff = conf_diff(conf_a, conf_b, &world.arena);

	assert_string_equal(conf_diff_text(diff, &world.arena).ptr, expected);
	world_done(&world);
	world_done(&second);
}

static const char *with(const char *text, const char *from, const char *to)
{
	static char buffers[2][4096];
	static int turn;
	const char *at = strstr(text, from);
	char *buffer = buffers[turn ^= 1];

	assert_non_null(at);
	snprintf(buffer, sizeof(buffers[0]), "%.*s%s%s", (int)(at - text), text, to,
		at + strlen(from));
	return buffer;
}

static void the_same_is_no_change(void **state)
{
	(void)state;
	differs(base, base, "no change; as before: 1 frontend, 2 pools, 3 backends\n");
	// A default that is written out.
	differs(base, with(base, "weight: 3}", "weight: 3, backup: false}"),
		"no change; as before: 1 frontend, 2 pools, 3 backends\n");
}

static void backends_come_go_and_change(void **state)
{
	(void)state;
	differs(base, with(base, "'10.0.0.1:80',", "'10.0.0.3:80',"),
		"- backend app/10.0.0.1:80: address: 10.0.0.1:80  (drained: nothing new, what runs "
		"may finish)\n"
		"+ backend app/10.0.0.3:80: address: 10.0.0.3:80  (gets requests once a check has "
		"passed)\n"
		"2 changes; as before: 1 frontend, 1 pool, 2 backends\n");
	differs(base, with(base, "weight: 3", "weight: 5"),
		"~ backend app/b\n"
		"    ~ weight: 3 → 5  (kept: its health, counters and connections stay)\n"
		"1 change; as before: 1 frontend, 1 pool, 2 backends\n");
	differs(base, with(base, "10.0.0.2:80", "10.0.0.7:80"),
		"~ backend app/b\n"
		"    ~ address: 10.0.0.2:80 → 10.0.0.7:80  (another server under the same name: "
		"nothing is known of it)\n"
		"1 change; as before: 1 frontend, 1 pool, 2 backends\n");
}

static void pools_and_frontends_come_go_and_change(void **state)
{
	(void)state;
	differs(base, with(base, "  other: {", "  third: {algorithm: random, "),
		"- pool other: backends: [{address: 10.0.0.9:80, weight: 1, max_connections: none, "
		"backup: false}]  (drained: nothing new, what runs may finish)\n"
		"+ pool third: algorithm: random, backends: [{address: 10.0.0.9:80, weight: 1, "
		"max_connections: none, backup: false}]  (opened)\n"
		"2 changes; as before: 1 frontend, 1 pool, 2 backends\n");
	differs(base, with(base, "  other: {", "  other: {timeouts: {connect: 2s}, "),
		"~ pool other\n"
		"    ~ timeouts.connect: 5s → 2s  (the pool is replaced; its backends keep what is "
		"known of them)\n"
		"1 change; as before: 1 frontend, 1 pool, 3 backends\n");
	differs(base, with(base, "10.1.0.1:81", "10.1.0.1:82"),
		"~ frontend web\n"
		"    - bind: 10.1.0.1:81  (drained: nothing new, what runs may finish)\n"
		"    + bind: 10.1.0.1:82  (opened)\n"
		"2 changes; as before: 0 frontends, 2 pools, 3 backends\n");
	differs(base,
		with(base, "    pool: app\npools",
			"    limits: {connections: 7}\n"
			"    timeouts: {client_idle: 9s}\n"
			"    pool: app\npools"),
		"~ frontend web\n"
		"    ~ limits.connections: none → 7  (counts for new connections; those there are "
		"stay)\n"
		"    ~ timeouts.client_idle: 1m15s → 9s  (counts from the next request on; "
		"connections "
		"stay)\n"
		"2 changes; as before: 0 frontends, 2 pools, 3 backends\n");
	differs(base, with(base, "pools:\n", "  more: {bind: '10.1.0.2:80', pool: app}\npools:\n"),
		"+ frontend more: bind: [10.1.0.2:80], pool: app  (opened)\n"
		"1 change; as before: 1 frontend, 2 pools, 3 backends\n");
}

static void routes_are_known_by_name_or_place(void **state)
{
	(void)state;
	differs(base, with(base, "{to: /new}", "{to: /newer}"),
		"~ route web/old\n"
		"    ~ redirect.to: /new → /newer  (counts from the next request on; connections "
		"stay)\n"
		"1 change; as before: 0 frontends, 2 pools, 3 backends\n");
	differs(base, with(base, "path: /a}", "path: /b}"),
		"~ route web.routes[0]\n"
		"    ~ match.path: /a → /b  (counts from the next request on; connections stay)\n"
		"1 change; as before: 0 frontends, 2 pools, 3 backends\n");
	differs(base,
		with(base, "      - {match: {path: /a}, pool: app}\n",
			"      - {match: {path: /z}, pool: other}\n"
			"      - {match: {path: /a}, pool: app}\n"),
		"+ route web.routes[0]: match: {path: /z}, pool: other  (counts from the next "
		"request "
		"on; connections stay)\n"
		"1 change; as before: 0 frontends, 2 pools, 3 backends\n");
}

static void an_order_of_routes_is_a_change(void **state)
{
	static const char routes[] = "frontends: {w: {bind: ':1', routes: [%s], pool: p}}\n"
				     "pools: {p: {backends: ['10.0.0.1:1']}}\n";
	static const char one[] = "{name: one, match: {path: /1}, pool: p}",
			  two[] = "{name: two, match: {path: /2}, pool: p}";
	char a[512], b[512], list[256];

	(void)state;
	snprintf(list, sizeof(list), "%s, %s", one, two);
	snprintf(a, sizeof(a), routes, list);
	snprintf(list, sizeof(list), "%s, %s", two, one);
	snprintf(b, sizeof(b), routes, list);
	differs(a, b,
		"~ frontend w\n"
		"    ~ routes: their order: is another one  (counts from the next request on; "
		"connections stay)\n"
		"1 change; as before: 0 frontends, 1 pool, 1 backend\n");
}

static void sections_need_a_restart(void **state)
{
	char other[2048];

	(void)state;
	snprintf(other, sizeof(other), "log: {level: debug}\n%s", base);
	differs(base, other,
		"~ section log\n"
		"    ~ level: notice → debug  (needs a restart: counts from the next start on)\n"
		"1 change; as before: 1 frontend, 2 pools, 3 backends\n");
}

static void secrets_are_compared_and_not_shown(void **state)
{
	const char *a =
		with(base, "  other: {", "  other: {sticky: {secret: 'abcdefgh-0123456789'}, ");
	char first[4096];

	(void)state;
	snprintf(first, sizeof(first), "%s", a);
	differs(first, with(first, "0123456789", "9876543210"),
		"~ pool other\n"
		"    ~ sticky.secret: *** → ***  (the pool is replaced; its backends keep what is "
		"known "
		"of them)\n"
		"1 change; as before: 1 frontend, 1 pool, 3 backends\n");
}

static void json_has_the_same(void **state)
{
	struct world world, second;
	const struct conf *a = load(&world, base),
			  *b = load(&second, with(base, "weight: 3", "weight: 5"));
	struct str text;

	(void)state;
	text = conf_diff_json(conf_diff(a, b, &world.arena), &world.arena);
	assert_string_equal(text.ptr,
		"{\"same\":false,\"count\":1,\"changes\":[{\"group\":\"backend\",\"name\":\"app/"
		"b\","
		"\"change\":\"changed\",\"key\":\"weight\",\"before\":\"3\",\"after\":\"5\","
		"\"effect\":\"kept\"}],\"kept\":{\"frontends\":1,\"pools\":1,\"backends\":2}}\n");
	world_done(&world);
	world_done(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_is_no_change),
		cmocka_unit_test(backends_come_go_and_change),
		cmocka_unit_test(pools_and_frontends_come_go_and_change),
		cmocka_unit_test(routes_are_known_by_name_or_place),
		cmocka_unit_test(an_order_of_routes_is_a_change),
		cmocka_unit_test(sections_need_a_restart),
		cmocka_unit_test(secrets_are_compared_and_not_shown),
		cmocka_unit_test(json_has_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
