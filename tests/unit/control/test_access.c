// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <jansson.h>

#include "proxy/access.h"

static char buffer[ACCESS_LINE_MAX];
static struct log_clock clock_;

static struct access_entry sample(void)
{
	struct access_entry entry = {
		.wall_ms = 1620483525305,
		.method = STR("GET"),
		.target = STR("/a/b?token=secret"),
		.host = STR("example.com"),
		.protocol = ACCESS_HTTP_1_1,
		.client = STR("192.0.2.7"),
		.client_port = 50312,
		.request_id = STR("5f0c"),
		.user_agent = STR("curl/7.88.1"),
		.referer = STR("https://example.org/?q=1"),
		.frontend = STR("web"),
		.route = STR("api"),
		.pool = STR("app"),
		.backend = STR("app-1"),
		.bytes_in = 3,
		.bytes_out = 512,
		.total_us = 1800,
		.head_us = 15,
		.queue_us = 0,
		.connect_us = 230,
		.first_byte_us = 900,
		.status = 200,
		.tries = 1,
		.outcome = OUTCOME_OK,
	};

	return entry;
}

static struct str combined(const struct access_entry *entry)
{
	return str_make(buffer, access_format_combined(entry, &clock_, buffer));
}

static struct str haproxy(const struct access_entry *entry)
{
	return str_make(buffer, access_format_haproxy(entry, &clock_, buffer));
}

static struct str ecs_line(const struct access_entry *entry)
{
	return str_make(buffer, access_format_ecs(entry, &clock_, buffer));
}

static struct str json_line(const struct access_entry *entry)
{
	return str_make(buffer, access_format_json(entry, &clock_, buffer));
}

static void assert_str(struct str actual, const char *expected)
{
	if (!str_eq(actual, str_from(expected)))
		fail_msg("got      %.*s\nexpected %s", STR_FMT(actual), expected);
}

static void test_combined(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	assert_str(combined(&entry),
		"192.0.2.7 - - [08/May/2021:14:18:45 +0000] \"GET /a/b?[redacted] HTTP/1.1\" 200 "
		"512 \"https://example.org/?[redacted]\" \"curl/7.88.1\" outcome=ok frontend=web "
		"route=api pool=app backend=app-1 tries=1 reused=false bytes_in=3 head_us=15 "
		"queue_us=0 connect_us=230 first_byte_us=900 total_us=1800 host=example.com "
		"id=5f0c");
}

static void test_combined_of_a_failure(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	entry.target = STR("/plain");
	entry.referer = entry.user_agent = entry.backend = entry.request_id = STR_EMPTY;
	entry.status = 503;
	entry.connect_us = entry.first_byte_us = ACCESS_NO_TIME;
	entry.outcome = OUTCOME_NO_BACKEND_AVAILABLE;
	entry.route = STR("two words");
	assert_str(combined(&entry),
		"192.0.2.7 - - [08/May/2021:14:18:45 +0000] \"GET /plain HTTP/1.1\" 503 512 \"-\" "
		"\"-\" outcome=no_backend_available frontend=web route=\"two words\" pool=app "
		"tries=1 reused=false bytes_in=3 head_us=15 queue_us=0 total_us=1800 "
		"host=example.com");
}

static void test_combined_of_a_tunnel(void **state)
{
	struct access_entry entry = {
		.frontend = STR("db"), .protocol = ACCESS_TCP, .client = STR("::1")};

	(void)state;
	entry.outcome = OUTCOME_TUNNEL_CLOSED;
	assert_str(combined(&entry),
		"::1 - - [01/Jan/1970:00:00:00 +0000] \"-\" 000 0 \"-\" \"-\" "
		"outcome=tunnel_closed "
		"frontend=db tries=0 reused=false bytes_in=0 head_us=0 queue_us=0 connect_us=0 "
		"first_byte_us=0 total_us=0");
}

static void test_json(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	entry.reused = true;
	assert_str(json_line(&entry),
		"{\"timestamp\":\"2021-05-08T14:18:45.305Z\",\"client.address\":\"192.0.2.7\","
		"\"client.port\":50312,\"http.request.method\":\"GET\",\"url.path\":\"/a/b\","
		"\"server.address\":\"example.com\","
		"\"network.protocol.version\":\"1.1\","
		"\"http.response.status_code\":200,\"http.request.body.size\":3,"
		"\"http.response.body.size\":512,\"referer\":\"https://example.org/\","
		"\"user_agent.original\":\"curl/7.88.1\",\"request_id\":\"5f0c\","
		"\"outcome\":\"ok\",\"frontend\":\"web\",\"http.route\":\"api\",\"pool\":\"app\","
		"\"backend\":\"app-1\",\"tries\":1,\"reused\":true,\"head_us\":15,"
		"\"connect_us\":230,\"first_byte_us\":900,\"total_us\":1800}");
}

static void test_names_made_before(void **state)
{
	struct access_entry entry = sample();
	struct arena arena;
	char expected[ACCESS_LINE_MAX];
	struct str line;

	(void)state;
	arena_init(&arena, 65536);
	entry.frontend = STR("a\"b");
	entry.backend = STR("x\\");
	line = json_line(&entry);
	memcpy(expected, line.ptr, line.len);
	expected[line.len] = '\0';
	entry.frontend_json = access_name_json(&arena, "frontend", entry.frontend);
	entry.route_json = access_name_json(&arena, "http.route", entry.route);
	entry.backend_json = str_from(
		arena_printf(&arena, "%s%s", access_name_json(&arena, "pool", entry.pool).ptr,
			access_name_json(&arena, "backend", entry.backend).ptr));
	assert_str(json_line(&entry), expected);
	assert_int_equal(access_name_json(&arena, "pool", STR_EMPTY).len, 0);
	assert_true(
		access_name_json(&arena, "k", str_make(buffer, 5000)).len <= ACCESS_NAME_MAX + 8);
	arena_done(&arena);
}

static void test_traces(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	entry.trace_id[0] = 0x0807060504030201;
	entry.trace_id[1] = 0x100f0e0d0c0b0a09;
	assert_true(has(json_line(&entry), "\"request_id\":\"5f0c\",\"trace_id\":"
					   "\"0102030405060708090a0b0c0d0e0f10\",\"outcome\""));
	assert_true(has(combined(&entry), " id=5f0c trace_id=0102030405060708090a0b0c0d0e0f10"));
	assert_false(has(combined(&entry), "span_id"));
	entry.span_id = 0x1716151413121110;
	assert_true(has(json_line(&entry), "0f10\",\"span_id\":\"1011121314151617\",\"outcome"));
	assert_true(has(combined(&entry), " span_id=1011121314151617"));
	assert_true(has(ecs_line(&entry), ",\"trace.id\":\"0102030405060708090a0b0c0d0e0f10\","
					  "\"span.id\":\"1011121314151617\","));
}

static void test_ecs(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	assert_str(ecs_line(&entry),
		"{\"@timestamp\":\"2021-05-08T14:18:45.305Z\",\"ecs.version\":\"8.11.0\","
		"\"event.kind\":\"event\",\"event.category\":[\"web\"],\"event.dataset\":"
		"\"weir.access\",\"event.outcome\":\"success\",\"event.duration\":1800000,"
		"\"source.ip\":\"192.0.2.7\",\"source.port\":50312,\"http.version\":\"1.1\","
		"\"http.request.method\":\"GET\",\"url.path\":\"/a/b\",\"url.domain\":"
		"\"example.com\",\"http.response.status_code\":200,\"http.request.referrer\":"
		"\"https://example.org/\",\"http.request.id\":\"5f0c\",\"user_agent.original\":"
		"\"curl/7.88.1\",\"http.request.body.bytes\":3,\"http.response.body.bytes\":512,"
		"\"weir.outcome\":\"ok\",\"weir.frontend\":\"web\",\"weir.route\":\"api\","
		"\"weir.pool\":\"app\",\"weir.backend\":\"app-1\",\"weir.tries\":1,"
		"\"weir.head_us\":15,"
		"\"weir.connect_us\":230,\"weir.first_byte_us\":900}");
	entry.status = 0;
	entry.outcome = OUTCOME_CLIENT_ABORTED;
	assert_true(has(ecs_line(&entry), "\"event.outcome\":\"failure\""));
	assert_false(has(ecs_line(&entry), "status_code"));
	entry.protocol = ACCESS_TCP;
	assert_true(has(ecs_line(&entry), "\"network.transport\":\"tcp\""));
}

static void test_haproxy(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	entry.head_us = 10499;
	entry.queue_us = 999;
	entry.connect_us = 30000;
	entry.first_byte_us = 69123;
	entry.total_us = 109456;
	entry.connections = 7;
	entry.tries = 3;
	assert_str(haproxy(&entry),
		"192.0.2.7:50312 [08/May/2021:14:18:45.305] web app/app-1 10/0/30/69/109 200 512 "
		"- - ---- 7/0/0/0/2 0/0 \"GET /a/b?[redacted] HTTP/1.1\"");
	entry.connect_us = entry.first_byte_us = ACCESS_NO_TIME;
	entry.outcome = OUTCOME_CONNECTION_REFUSED;
	entry.status = 503;
	assert_true(has(haproxy(&entry), " 10/0/-1/-1/109 503 512 - - SC-- "));
	entry.backend = entry.pool = STR_EMPTY;
	entry.status = 0;
	entry.method = STR_EMPTY;
	entry.tries = 0;
	entry.outcome = OUTCOME_CLIENT_ABORTED;
	assert_true(has(haproxy(&entry),
		" web web/<NOSRV> 10/0/-1/-1/109 -1 512 - - CR-- 7/0/0/0/0 0/0 \"<BADREQ>\""));
}

static void test_haproxy_of_a_tunnel(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	entry.protocol = ACCESS_TCP;
	entry.outcome = OUTCOME_TUNNEL_CLOSED;
	entry.connect_us = 2000;
	entry.method = entry.target = STR_EMPTY;
	assert_str(haproxy(&entry), "192.0.2.7:50312 [08/May/2021:14:18:45.305] web app/app-1 "
				    "0/2/1 512 -- 0/0/0/0/0 0/0");
}

// Every outcome has its two letters, and a client may go away in any phase.
static void test_terminations(void **state)
{
	struct access_entry entry = sample();
	char letters[2];

	(void)state;
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		entry.outcome = (u8)i;
		access_termination(&entry, letters);
		assert_non_null(memchr("-CScsPLRIK", letters[0], 10));
		assert_non_null(memchr("-RQCHD", letters[1], 6));
		assert_int_equal(letters[0] == '-', letters[1] == '-');
	}
	entry.outcome = OUTCOME_CLIENT_ABORTED;
	access_termination(&entry, letters);
	assert_memory_equal(letters, "CD", 2);
	entry.first_byte_us = ACCESS_NO_TIME;
	access_termination(&entry, letters);
	assert_memory_equal(letters, "CH", 2);
	entry.connect_us = ACCESS_NO_TIME;
	access_termination(&entry, letters);
	assert_memory_equal(letters, "CC", 2);
	entry.tries = 0;
	access_termination(&entry, letters);
	assert_memory_equal(letters, "CQ", 2);
}

static struct access_config config_of(struct conf_log log)
{
	struct access_config config;

	log.access.output.kind = CONF_OUTPUT_STDOUT;
	access_config_init(&config, &log);
	return config;
}

static void test_filters(void **state)
{
	struct conf_log log = {.access = {.sample = CONF_WHOLE}};
	struct access_config config = config_of(log);

	(void)state;
	assert_int_equal(config.format, ACCESS_COMBINED);
	assert_false(config.is_thinned);
	log.access.filter.status_min = 400;
	config = config_of(log);
	assert_true(config.is_thinned);
	assert_false(access_passes(&config, 399, OUTCOME_OK, 0));
	assert_true(access_passes(&config, 400, OUTCOME_OK, 0));
	assert_false(access_passes(&config, 0, OUTCOME_CLIENT_ABORTED, 0));
	log.access.filter.slower_than_ms = 5;
	config = config_of(log);
	assert_false(access_passes(&config, 200, OUTCOME_OK, 5000));
	assert_true(access_passes(&config, 200, OUTCOME_OK, 5001));
	log.access.filter.outcomes = 1 << CONF_OUTCOME_CLIENT | 1 << CONF_OUTCOME_BACKEND;
	config = config_of(log);
	assert_true(access_passes(&config, 0, OUTCOME_CLIENT_ABORTED, 0));
	assert_true(access_passes(&config, 200, OUTCOME_RESPONSE_CUT, 0));
	assert_false(access_passes(&config, 200, OUTCOME_OK, 0));
	assert_false(access_passes(&config, 302, OUTCOME_REDIRECTED, 0));
	log.access.filter = (struct conf_access_filter){.outcomes = 1 << CONF_OUTCOME_NOBODY};
	config = config_of(log);
	assert_true(access_passes(&config, 302, OUTCOME_REDIRECTED, 0));
	assert_false(access_passes(&config, 503, OUTCOME_SHED, 0));
}

static void test_what_is_an_error(void **state)
{
	struct conf_log log = {.access = {.sample = 10000}};

	(void)state;
	assert_true(config_of(log).is_thinned);
	assert_true(config_of(log).sampled_below ==
		    (1ull << 56) / 100 - (1ull << 56) / 100 % (1 << 24));
	assert_true(access_is_error(500, OUTCOME_OK));
	assert_true(access_is_error(200, OUTCOME_RESPONSE_CUT));
	assert_true(access_is_error(404, OUTCOME_NO_ROUTE));
	assert_false(access_is_error(404, OUTCOME_OK));
	assert_false(access_is_error(101, OUTCOME_TUNNEL_CLOSED));
}

static void test_the_query_is_hidden(void **state)
{
	struct access_entry entry = sample();

	(void)state;
	assert_false(has(json_line(&entry), "secret"));
	assert_false(has(json_line(&entry), "q=1"));
	entry.target = STR("http://h/p?token=secret");
	assert_true(has(json_line(&entry), "\"url.original\":\"http://h/p\""));
	assert_false(has(json_line(&entry), "secret"));
	assert_false(has(combined(&entry), "secret"));
}

static json_t *load_json(struct str line)
{
	return json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

// Every text of any bytes and length: one safe line, not longer than promised, JSON that parses,
// and the last field always there, so nothing was cut off.
static void test_no_bytes_forge_a_line(void **state)
{
	static char values[10][9000];

	(void)state;
	for (u64 seed = 0; seed < 2000; seed++) {
		struct access_entry entry = sample();
		struct str *texts[] = {&entry.method, &entry.target, &entry.host, &entry.request_id,
			&entry.user_agent, &entry.referer, &entry.frontend, &entry.route,
			&entry.pool, &entry.backend};
		struct str line;
		struct rng rng;
		json_t *json;

		rng_init(&rng, seed);
		for (size_t i = 0; i < ARRAY_LEN(texts); i++)
			*texts[i] = str_make(values[i],
				random_bytes(&rng, values[i], rng_one_in(&rng, 2) ? 9000 : 20));
		entry.bytes_in = entry.bytes_out = entry.total_us = INT64_MAX;
		entry.head_us = entry.queue_us = UINT32_MAX - 1;
		line = combined(&entry);
		SEEDED(seed, is_one_safe_line(line.ptr, line.len));
		SEEDED(seed, has(line, "total_us=9223372036854775807"));
		line = haproxy(&entry);
		SEEDED(seed, is_one_safe_line(line.ptr, line.len));
		for (int ecs = 0; ecs < 2; ecs++) {
			line = ecs ? ecs_line(&entry) : json_line(&entry);
			SEEDED(seed, is_one_safe_line(line.ptr, line.len));
			json = load_json(line);
			SEEDED(seed, json_is_object(json));
			SEEDED(seed, json_object_get(json, ecs ? "weir.head_us" : "total_us"));
			json_decref(json);
		}
	}
}

static void test_a_target_can_not_leave_its_quotes(void **state)
{
	struct access_entry entry = sample();
	struct str line;

	(void)state;
	entry.target = STR("/x\" 200 0\n10.0.0.1 - - \"GET /admin");
	line = combined(&entry);
	assert_true(has(line, "\"GET /x\\\" 200 0\\x0a10.0.0.1 - - \\\"GET /admin HTTP/1.1\" 200"));
}

static void test_write_goes_into_the_ring(void **state)
{
	struct access_entry entry = sample();
	struct access_config config = {.format = ACCESS_COMBINED};
	struct log_record record;
	i64 wall_ms = 0;
	struct log log;

	(void)state;
	log_init(&log, LOG_ERROR, LOG_JSON, &wall_ms, 4096, NULL);
	assert_true(access_is_on(&config));
	access_write(&log, &config, &entry);
	assert_true(log_ring_peek(&log.ring, &record));
	assert_int_equal(record.kind, LOG_RECORD_ACCESS);
	assert_int_equal(record.wall_ms, entry.wall_ms);
	assert_true(has(record.body, "\"GET /a/b?[redacted] HTTP/1.1\" 200"));
	log_ring_next(&log.ring);
	config.format = ACCESS_JSON;
	access_write(&log, &config, &entry);
	assert_true(log_ring_peek(&log.ring, &record));
	assert_true(has(record.body, "{\"timestamp\":"));
	log_done(&log);
	config.format = ACCESS_OFF;
	assert_false(access_is_on(&config));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_combined),
		cmocka_unit_test(test_combined_of_a_failure),
		cmocka_unit_test(test_combined_of_a_tunnel),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_names_made_before),
		cmocka_unit_test(test_traces),
		cmocka_unit_test(test_ecs),
		cmocka_unit_test(test_haproxy),
		cmocka_unit_test(test_haproxy_of_a_tunnel),
		cmocka_unit_test(test_terminations),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_what_is_an_error),
		cmocka_unit_test(test_the_query_is_hidden),
		cmocka_unit_test(test_no_bytes_forge_a_line),
		cmocka_unit_test(test_a_target_can_not_leave_its_quotes),
		cmocka_unit_test(test_write_goes_into_the_ring),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
