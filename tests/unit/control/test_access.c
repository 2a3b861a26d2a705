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
		.protocol = STR("HTTP/1.1"),
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

	assert_int_equal(addr_parse(STR("192.0.2.7:50312"), &entry.client), 0);
	return entry;
}

static struct str combined(const struct access_entry *entry)
{
	return str_make(buffer, access_format_combined(entry, &clock_, buffer));
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
	struct access_entry entry = {.frontend = STR("db"), .protocol = STR("TCP")};

	(void)state;
	entry.outcome = OUTCOME_TUNNEL_CLOSED;
	assert_int_equal(addr_parse(STR("[::1]:9"), &entry.client), 0);
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
		"\"network.protocol.name\":\"http\",\"network.protocol.version\":\"1.1\","
		"\"http.response.status_code\":200,\"http.request.body.size\":3,"
		"\"http.response.body.size\":512,\"referer\":\"https://example.org/\","
		"\"user_agent.original\":\"curl/7.88.1\",\"request_id\":\"5f0c\","
		"\"outcome\":\"ok\",\"frontend\":\"web\",\"http.route\":\"api\",\"pool\":\"app\","
		"\"backend\":\"app-1\",\"tries\":1,\"reused\":true,\"head_us\":15,\"queue_us\":0,"
		"\"connect_us\":230,\"first_byte_us\":900,\"total_us\":1800}");
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
	static char values[11][9000];

	(void)state;
	for (u64 seed = 0; seed < 2000; seed++) {
		struct access_entry entry = sample();
		struct str *texts[] = {&entry.method, &entry.target, &entry.host, &entry.protocol,
			&entry.request_id, &entry.user_agent, &entry.referer, &entry.frontend,
			&entry.route, &entry.pool, &entry.backend};
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
		line = json_line(&entry);
		SEEDED(seed, is_one_safe_line(line.ptr, line.len));
		json = load_json(line);
		SEEDED(seed, json_is_object(json));
		SEEDED(seed, json_object_get(json, "total_us"));
		json_decref(json);
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
		cmocka_unit_test(test_the_query_is_hidden),
		cmocka_unit_test(test_no_bytes_forge_a_line),
		cmocka_unit_test(test_a_target_can_not_leave_its_quotes),
		cmocka_unit_test(test_write_goes_into_the_ring),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
