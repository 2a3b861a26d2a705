// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <errno.h>
#include <jansson.h>

#include "base/log.h"

static char buffer[LOG_LINE_MAX];

#define LINE(format, level, message, ...)                                                   \
	str_make(buffer, log_format_line((format), (level), "src/proxy/front.c", (message), \
				 (const struct log_field[]){__VA_ARGS__},                   \
				 ARRAY_LEN(((const struct log_field[]){__VA_ARGS__})), buffer))

static void assert_str(struct str actual, const char *expected)
{
	if (!str_eq(actual, str_from(expected)))
		fail_msg("got      %.*s\nexpected %s", STR_FMT(actual), expected);
}

// The four lines of the mini-balancer's README, with our module path.
static void test_human_lines_of_connections(void **state)
{
	struct addr local, peer, target;

	(void)state;
	assert_int_equal(addr_parse(STR("127.0.0.1:7070"), &local), 0);
	assert_int_equal(addr_parse(STR("127.0.0.1:49438"), &peer), 0);
	assert_int_equal(addr_parse(STR("127.0.0.1:8080"), &target), 0);
	assert_str(LINE(LOG_HUMAN, LOG_INFO, "listening for connections", LOG_SPAN("frontend"),
			   LOG_ADDR("local_address", &local)),
		"frontend{local_address=127.0.0.1:7070}: weir::proxy::front: listening for "
		"connections");
	assert_str(LINE(LOG_HUMAN, LOG_INFO, "serving connection", LOG_SPAN("handle_connection"),
			   LOG_ADDR("peer_address", &peer)),
		"handle_connection{peer_address=127.0.0.1:49438}: weir::proxy::front: serving "
		"connection");
	assert_str(LINE(LOG_HUMAN, LOG_INFO, "opened client connection", LOG_U64("tries", 1),
			   LOG_SPAN("handle_connection"), LOG_ADDR("peer_address", &peer),
			   LOG_SPAN("through"), LOG_ADDR("target_address", &target)),
		"handle_connection{peer_address=127.0.0.1:49438}:through{target_address=127.0.0.1:"
		"8080}: weir::proxy::front: opened client connection tries=1");
}

static void test_prefixes(void **state)
{
	const i64 wall_ms = 1620483525305; // 2021-05-08 14:18:45.305 UTC
	struct log_clock clock = {0};
	char prefix[LOG_PREFIX_MAX];
	size_t len;

	(void)state;
	len = log_format_prefix(LOG_HUMAN, LOG_INFO, &clock, wall_ms, false, prefix);
	assert_str(str_make(prefix, len), "May 08 14:18:45.305  INFO ");
	len = log_format_prefix(LOG_HUMAN, LOG_NOTICE, &clock, wall_ms, true, prefix);
	assert_str(str_make(prefix, len), "May 08 14:18:45.305 \033[36mNOTICE\033[0m ");
	len = log_format_prefix(LOG_LOGFMT, LOG_WARN, &clock, wall_ms, false, prefix);
	assert_str(str_make(prefix, len), "time=2021-05-08T14:18:45.305Z level=warn ");
	len = log_format_prefix(LOG_JSON, LOG_ERROR, &clock, wall_ms, false, prefix);
	assert_str(str_make(prefix, len),
		"{\"time\":\"2021-05-08T14:18:45.305Z\",\"level\":\"error\",");
}

static void test_every_kind_of_field(void **state)
{
	struct addr addr;

	(void)state;
	assert_int_equal(addr_parse(STR("[::1]:80"), &addr), 0);
	assert_str(LINE(LOG_LOGFMT, LOG_NOTICE, "all kinds", LOG_STR("s", STR("a b")),
			   LOG_CSTR("c", "bare"), LOG_STR("empty", STR_EMPTY),
			   LOG_U64("u", UINT64_MAX), LOG_I64("i", -5), LOG_BOOL("yes", 2),
			   LOG_BOOL("no", 0), LOG_ADDR("a", &addr), LOG_ERRNO(-ECONNREFUSED),
			   LOG_SPAN("outer"), LOG_U64("x", 1), LOG_SPAN("inner"), LOG_U64("y", 2)),
		"msg=\"all kinds\" span=outer:inner s=\"a b\" c=bare empty=\"\" "
		"u=18446744073709551615 i=-5 yes=true no=false a=[::1]:80 "
		"error=\"Connection refused\" x=1 y=2");
	assert_str(LINE(LOG_JSON, LOG_INFO, "all kinds", LOG_STR("s", STR("a \"b\"")),
			   LOG_U64("u", 7), LOG_I64("i", -5), LOG_BOOL("yes", true),
			   LOG_ADDR("a", &addr), LOG_ERRNO(ENOENT), LOG_SPAN("outer")),
		"\"msg\":\"all kinds\",\"module\":\"proxy/front\",\"span\":\"outer\","
		"\"s\":\"a \\\"b\\\"\",\"u\":7,\"i\":-5,\"yes\":true,\"a\":\"[::1]:80\","
		"\"error\":\"No such file or directory\"}");
	assert_str(LINE(LOG_HUMAN, LOG_WARN, "people need no module", LOG_ERRNO(99999)),
		"people need no module error=\"unknown error\"");
}

static json_t *load_json(struct str line)
{
	char whole[LOG_LINE_MAX + 1] = "{";

	memcpy(whole + 1, line.ptr, line.len);
	return json_loadb(whole, line.len + 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

// Four strangers' values of any bytes and length: one safe line in every format, and JSON stays
// JSON even when fields had to be left out.
static void test_no_bytes_forge_a_line(void **state)
{
	static char values[4][3000];
	u64 truncated = 0;

	(void)state;
	for (u64 seed = 0; seed < 3000; seed++) {
		struct str v[4];
		struct rng rng;
		json_t *json;

		rng_init(&rng, seed);
		for (int i = 0; i < 4; i++)
			v[i] = str_make(values[i],
				random_bytes(&rng, values[i], rng_one_in(&rng, 2) ? 3000 : 30));
		for (int format = LOG_HUMAN; format <= LOG_JSON; format++) {
			struct str line = LINE((enum log_format)format, LOG_INFO, "strangers",
				LOG_STR("a", v[0]), LOG_STR("b", v[1]), LOG_SPAN("outer"),
				LOG_STR("c", v[2]), LOG_SPAN("inner"), LOG_STR("d", v[3]),
				LOG_U64("e", 1));

			SEEDED(seed, is_one_safe_line(line.ptr, line.len));
			SEEDED(seed, line.len <= LOG_LINE_MAX);
			SEEDED(seed, has(line, "strangers"));
			truncated += has(line, "truncated");
			if (format != LOG_JSON)
				continue;
			json = load_json(line);
			SEEDED(seed, json_is_object(json));
			SEEDED(seed, json_string_value(json_object_get(json, "msg")));
			json_decref(json);
		}
	}
	assert_true(truncated > 100);
}

static void test_too_much_is_left_out_whole(void **state)
{
	static char value[1000];
	struct str v = str_make(value, sizeof(value)), line;

	(void)state;
	memset(value, 'v', sizeof(value));
	line = LINE(LOG_LOGFMT, LOG_NOTICE, "many", LOG_STR("a", v), LOG_STR("b", v),
		LOG_STR("c", v), LOG_STR("d", v), LOG_U64("small", 5));
	assert_true(has(line, " c=vvv"));
	assert_false(has(line, " d="));
	assert_true(has(line, "vvv small=5 truncated=true"));
	line = LINE(LOG_HUMAN, LOG_INFO, "many", LOG_SPAN("s"), LOG_STR("a", v), LOG_STR("b", v),
		LOG_STR("c", v), LOG_STR("d", v));
	assert_true(has(line, "vvv}: weir::proxy::front: many truncated=true"));
	line = LINE(LOG_JSON, LOG_NOTICE, "many", LOG_STR("a", v), LOG_STR("b", v), LOG_STR("c", v),
		LOG_STR("d", v));
	assert_true(has(line, "vvv\",\"truncated\":true}"));
}

static int evaluated;

static u64 costly(void)
{
	return (u64)++evaluated;
}

static void test_levels(void **state)
{
	i64 wall_ms = 42;
	struct log log;
	struct log_record record;

	(void)state;
	log_init(&log, LOG_NOTICE, LOG_LOGFMT, &wall_ms, 4096, NULL);
	LOG(&log, LOG_INFO, "not made", LOG_U64("n", costly()));
	assert_int_equal(evaluated, 0);
	assert_false(log_ring_peek(&log.ring, &record));

	LOG(&log, LOG_NOTICE, "made", LOG_U64("n", costly()));
	assert_int_equal(evaluated, 1);
	assert_true(log_ring_peek(&log.ring, &record));
	assert_str(record.body, "msg=\"made\" n=1");
	assert_int_equal(record.level, LOG_NOTICE);
	assert_int_equal(record.kind, LOG_RECORD_LINE);
	assert_int_equal(record.wall_ms, 42);
	log_ring_next(&log.ring);

	log_set_level(&log, LOG_INFO);
	LOG(&log, LOG_INFO, "without fields");
	assert_true(log_ring_peek(&log.ring, &record));
	assert_true(has(record.body, "msg=\"without fields\" module=control/test_log"));
	log_ring_next(&log.ring);

	log_set_level(&log, LOG_OFF);
	LOG(&log, LOG_ERROR, "not even errors");
	assert_false(log_ring_peek(&log.ring, &record));
	log_done(&log);
}

static void test_zeroed_log_is_silent(void **state)
{
	struct log log = {0};

	(void)state;
	evaluated = 0;
	LOG(&log, LOG_ERROR, "nowhere to go", LOG_U64("n", costly()));
	assert_int_equal(evaluated, 0);
}

static void test_level_names(void **state)
{
	enum log_level level = LOG_WARN;

	(void)state;
	for (int i = LOG_OFF; i <= LOG_TRACE; i++) {
		assert_int_equal(
			log_level_parse(str_from(log_level_name((enum log_level)i)), &level), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(log_level_parse(STR("verbose"), &level), -EINVAL);
	assert_int_equal(level, LOG_TRACE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_human_lines_of_connections),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_every_kind_of_field),
		cmocka_unit_test(test_no_bytes_forge_a_line),
		cmocka_unit_test(test_too_much_is_left_out_whole),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_zeroed_log_is_silent),
		cmocka_unit_test(test_level_names),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
