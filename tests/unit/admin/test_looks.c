// SPDX-License-Identifier: Apache-2.0
// Records, explain and events as JSON: the fields of docs/api.md, and sentences that say what
// happened.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "admin/event_json.h"
#include "admin/explain_json.h"
#include "admin/record_json.h"
#include "base/mem.h"
#include "loop/loop_sim.h"
#include "proxy/exchange.h"
#include "upstream/view.h"

static const char configuration[] =
	"frontends:\n"
	"  web:\n"
	"    bind: '10.0.0.1:80'\n"
	"    deny: [10.9.0.0/16]\n"
	"    http: {max_body_size: 1KiB}\n"
	"    routes:\n"
	"      - {name: api, match: {host: '*.test', path: '/v1/*', methods: [GET], header: "
	"{x-beta: "
	"'yes'}}, pool: app}\n"
	"      - {name: old, match: {path: /old}, redirect: {to: 'https://{host}/new'}}\n"
	"      - {name: both, match: {path: '/both/*'}, split: {app: 3, spare: 1}}\n"
	"      - {name: many, match: {path: '/many/*'}, pool: many}\n"
	"    pool: app\n"
	"  db: {bind: '10.0.0.1:3306', protocol: tcp, pool: spare}\n"
	"pools:\n"
	"  app: {algorithm: consistent_hash, hash: {by: path}, failover: spare, backends: [\n"
	"    {id: app-1, address: '10.0.1.1:80'}, {id: app-2, address: '10.0.1.2:80'}]}\n"
	"  spare: {algorithm: least_connections, backends: ['10.0.2.1:80', '10.0.2.2:80']}\n"
	"  many: {algorithm: power_of_two, backends: [";

struct scene {
	struct sim_net *net;
	struct loop *loop;
	struct arena arena;
	struct snapshot *snapshot;
	struct proxy proxy;
	struct log log;
	struct trace_ring trace;
	struct metrics_cells metrics;
	struct text text;
};

static int set_up(void **state)
{
	static const struct loop_limits limits = {64, 256};
	static const struct proxy_limits proxy_limits = {8, 8};
	struct scene *scene = calloc(1, sizeof(*scene));
	struct sim_config calm = sim_config_calm();
	struct text text = {0};
	const struct conf *conf;
	struct errs errs;

	arena_init(&scene->arena, 64 << 20);
	errs_init(&errs);
	text_add(&text, str_from(configuration));
	for (u32 i = 0; i < 100; i++)
		text_printf(&text, "%s'10.0.3.%u:80'", i ? ", " : "", i + 1);
	text_add(&text, STR("]}\n"));
	conf = conf_load_text(
		"test", str_make(text.data, text.len), CONF_YAML, &scene->arena, &errs);
	if (!conf)
		fail_msg("%.*s", STR_FMT(errs_format(&errs, &scene->arena, false)));
	errs_done(&errs);
	text_done(&text);
	scene->net = sim_net_new(1, &calm);
	scene->loop = sim_loop_new(scene->net, &limits);
	scene->snapshot = snapshot_build(conf, &scene->arena, 1);
	trace_init(&scene->trace, &scene->loop->now_us);
	log_init(&scene->log, LOG_OFF, LOG_JSON, &scene->loop->wall_ms, 4096, NULL);
	snapshot_guard(scene->snapshot, 8, 1);
	proxy_init(&scene->proxy, scene->loop, scene->snapshot, 0, &proxy_limits, &scene->log,
		&scene->trace, &scene->metrics, 1);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	text_done(&scene->text);
	proxy_abort(&scene->proxy);
	while (!proxy_is_empty(&scene->proxy))
		loop_turn(scene->loop, loop_now_ms(scene->loop) + 1);
	proxy_done(&scene->proxy);
	log_done(&scene->log);
	loop_free(scene->loop);
	sim_net_free(scene->net);
	snapshot_done(scene->snapshot);
	arena_done(&scene->arena);
	free(scene);
	return 0;
}

static json_t *read_back(struct scene *scene)
{
	json_error_t error;
	json_t *root =
		json_loadb(scene->text.data, scene->text.len, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		fail_msg("%s: %s", error.text, scene->text.data);
	return root;
}

static void assert_str(json_t *object, const char *key, const char *expected)
{
	json_t *value = json_object_get(object, key);

	if (!value)
		fail_msg("there is no %s", key);
	if (!expected)
		assert_true(json_is_null(value));
	else if (!json_is_string(value))
		fail_msg("%s is no text", key);
	else
		assert_string_equal(json_string_value(value), expected);
}

static void assert_int(json_t *object, const char *key, i64 expected)
{
	json_t *value = json_object_get(object, key);

	if (!json_is_integer(value))
		fail_msg("%s is no number", key);
	assert_int_equal(json_integer_value(value), expected);
}

// Every sentence, in order.
static void assert_sentences(json_t *root, const char *const *expected, size_t count)
{
	json_t *text = json_object_get(root, "text");

	for (size_t i = 0; i < count; i++)
		assert_string_equal(json_string_value(json_array_get(text, i)), expected[i]);
	assert_int_equal(json_array_size(text), count);
}

// ---- Records ------------------------------------------------------------------------------------

static json_t *write_record(struct scene *scene, const struct record *record)
{
	struct json json;

	text_clear(&scene->text);
	json_init(&json, &scene->text);
	record_write_json(&json, scene->snapshot, record);
	assert_true(json_is_complete(&json));
	return read_back(scene);
}

static struct record retried(void)
{
	return (struct record){.at_ms = 1790000000000,
		.total_us = 12345,
		.bytes_in = 5,
		.bytes_out = 7,
		.key = 0xabc,
		.worker = 1,
		.sticky = BALANCE_NONE,
		.head_us = 0,
		.queue_us = 450,
		.connect_us = 100,
		.first_byte_us = 11000,
		.frontend = 0,
		.route = 0,
		.pool = 0,
		.backend = 1,
		.status = 200,
		.eligible = 2,
		.look_count = 1,
		.look_count_seen = 1,
		.try_count = 2,
		.attempts = 2,
		.method = HTTP_GET,
		.outcome = OUTCOME_OK,
		.is_picked = true,
		.tries = {{.pool = 0,
				  .backend = 0,
				  .ended = OUTCOME_CONNECTION_REFUSED,
				  .at_us = 0,
				  .took_us = 300},
			{.pool = 0,
				.backend = 1,
				.status = 200,
				.ended = OUTCOME_OK,
				.at_us = 450,
				.took_us = 11500}},
		.looks = {{.index = 0, .verdict = BALANCE_SKIPPED}},
		.id = "0123456789abcdef0123456789abcdef",
		.path = "/v1/\x1b\"x",
		.client = "192.0.2.7"};
}

static void a_retried_request(void **state)
{
	static const char *const sentences[] = {"GET /v1/\x1b\"x from 192.0.2.7 came to frontend "
						"web; route api took it to pool app.",
		"2 of the pool's 2 backends could get requests.",
		"For the last try consistent_hash chose app-2 by the key 0000000000000abc; it "
		"looked at "
		"app-1 (may not get this request now).",
		"Try 1 went to app-1 at once and ended after 300 us as connection_refused: the "
		"backend "
		"refused the connection.",
		"Try 2 went to app-2 after 450 us and was answered with 200 after another 11.0 ms.",
		"It ended with 200 after 12.3 ms as ok: answered in full."};
	struct scene *scene = *state;
	struct record record = retried();
	json_t *root = write_record(scene, &record), *tries, *candidates;

	assert_str(root, "id", "0123456789abcdef0123456789abcdef");
	assert_int(root, "at_ms", 1790000000000);
	assert_int(root, "worker", 1);
	assert_str(root, "frontend", "web");
	assert_str(root, "route", "api");
	assert_str(root, "pool", "app");
	assert_str(root, "method", "GET");
	assert_str(root, "path", "/v1/\x1b\"x");
	assert_str(root, "client", "192.0.2.7");
	assert_int(root, "status", 200);
	assert_str(root, "outcome", "ok");
	assert_str(root, "ended", "ok");
	assert_str(root, "cause", "answered in full");
	assert_str(root, "cure", NULL);
	assert_int(root, "total_us", 12345);
	assert_int(root, "queue_us", 450);
	assert_int(root, "connect_us", 100);
	assert_int(root, "first_byte_us", 11000);
	assert_int(root, "bytes_in", 5);
	assert_int(root, "bytes_out", 7);
	assert_true(json_is_false(json_object_get(root, "reused")));
	tries = json_object_get(root, "tries");
	assert_int_equal(json_array_size(tries), 2);
	assert_str(json_array_get(tries, 0), "backend", "app-1");
	assert_str(json_array_get(tries, 0), "ended", "connection_refused");
	assert_int(json_array_get(tries, 0), "took_us", 300);
	assert_str(json_array_get(tries, 1), "ended", "ok");
	assert_int(json_array_get(tries, 1), "at_us", 450);
	assert_str(root, "picked", "app-2");
	assert_str(root, "algorithm", "consistent_hash");
	candidates = json_object_get(root, "candidates");
	assert_int_equal(json_array_size(candidates), 2);
	assert_str(json_array_get(candidates, 0), "backend", "app-1");
	assert_str(json_array_get(candidates, 0), "verdict", "skipped");
	assert_str(json_array_get(candidates, 1), "backend", "app-2");
	assert_str(json_array_get(candidates, 1), "verdict", "picked");
	assert_int(root, "eligible", 2);
	assert_int(root, "of", 2);
	assert_sentences(root, sentences, ARRAY_LEN(sentences));
	json_decref(root);
}

static void a_failed_request(void **state)
{
	static const char *const sentences[] = {"GET /x... from unix: came to frontend web; no "
						"route matched, so it went to pool spare.",
		"That is the pool it ended in: 1 pool before it had no backend that could be "
		"asked.",
		"1 of the pool's 2 backends could get requests; 1 of them had no place.",
		"It waited for a place, and went on 20.0 ms after it had come.",
		"least_connections chose 10.0.2.2:80 with the cost 1.5.",
		"Try 1 went to 10.0.2.2:80 after 1.5 s and ended after 2.0 s as response_timeout: "
		"the "
		"backend did not begin its answer in time.",
		"It ended with 504 after 3.5 s as response_timeout: the backend did not begin its "
		"answer "
		"in time.",
		"No other try followed: the request's deadline leaves no time.",
		"See timeouts.response, or find out what keeps the backend busy."};
	struct scene *scene = *state;
	struct record record = {.at_ms = 1,
		.total_us = 3500000,
		.sticky = BALANCE_NONE,
		.queue_us = 20000,
		.connect_us = RECORD_NO_TIME,
		.first_byte_us = RECORD_NO_TIME,
		.route = RECORD_NOBODY,
		.pool = 1,
		.backend = 3,
		.status = 504,
		.eligible = 1,
		.full = 1,
		.look_count = 1,
		.look_count_seen = 1,
		.try_count = 1,
		.attempts = 1,
		.failovers = 1,
		.method = HTTP_GET,
		.outcome = OUTCOME_RESPONSE_TIMEOUT,
		.failure = OUTCOME_RESPONSE_TIMEOUT,
		.no_retry = RETRY_BECAUSE_NO_TIME,
		.is_picked = true,
		.may_wait = true,
		.path_is_cut = true,
		.tries = {{.pool = 1,
			.backend = 3,
			.ended = OUTCOME_RESPONSE_TIMEOUT,
			.at_us = 1500000,
			.took_us = 2000000}},
		.looks = {{.index = 1, .verdict = BALANCE_COMPARED, .cost = 1.5f}},
		.id = "x",
		.path = "/x",
		.client = "unix:"};
	json_t *root = write_record(scene, &record);

	assert_str(root, "route", NULL);
	assert_true(json_is_null(json_object_get(root, "connect_us")));
	assert_true(json_is_null(json_object_get(root, "first_byte_us")));
	assert_str(root, "no_retry", "the request's deadline leaves no time");
	assert_sentences(root, sentences, ARRAY_LEN(sentences));
	json_decref(root);
}

// Its names are gone with its configuration; what it came to is still told.
// Among failures the word "ok" would be a riddle; it is that of metrics and fields all the same.
static void what_a_backend_answered_itself(void **state)
{
	struct scene *scene = *state;
	struct record record = retried();
	json_t *root;

	record.status = 503;
	root = write_record(scene, &record);
	assert_str(root, "outcome", "ok");
	assert_str(root, "ended", "backend answered 503");
	assert_str(root, "cause", "it is the backend's own answer");
	json_decref(root);
	record.status = 404;
	root = write_record(scene, &record);
	assert_str(root, "ended", "ok");
	json_decref(root);
}

static void a_request_of_another_configuration(void **state)
{
	struct scene *scene = *state;
	struct record record = retried();
	json_t *root, *text;

	record.generation = 5;
	for (u32 i = 0; i < scene->snapshot->backend_count; i++)
		scene->snapshot->slots->backends.since[i] = 6;
	scene->snapshot->slots->pools.since[0] = scene->snapshot->slots->frontends.since[0] = 6;
	root = write_record(scene, &record);
	assert_str(root, "frontend", NULL);
	assert_str(root, "route", NULL);
	assert_str(root, "pool", NULL);
	assert_str(root, "picked", NULL);
	assert_str(root, "algorithm", NULL);
	assert_true(json_is_null(json_object_get(root, "of")));
	assert_str(json_array_get(json_object_get(root, "tries"), 0), "backend", NULL);
	text = json_object_get(root, "text");
	assert_string_equal(json_string_value(json_array_get(text, 0)),
		"GET /v1/\x1b\"x from 192.0.2.7 came while another configuration was in force, "
		"whose "
		"names are gone.");
	json_decref(root);
}

// ---- Explain ------------------------------------------------------------------------------------

static json_t *explain(struct scene *scene, struct explain_ask ask)
{
	struct explain result;
	struct json json;

	text_clear(&scene->text);
	json_init(&json, &scene->text);
	explain_run(&result, &scene->proxy, &ask);
	explain_write_json(&json, &result);
	assert_true(json_is_complete(&json));
	explain_done(&result);
	return read_back(scene);
}

static json_t *at(json_t *root, const char *key, size_t index)
{
	json_t *value = json_array_get(json_object_get(root, key), index);

	assert_non_null(value);
	return value;
}

static void a_request_that_is_sent(void **state)
{
	static const struct explain_field fields[] = {{{"X-Beta", 6}, {"no", 2}}};
	struct scene *scene = *state;
	json_t *root = explain(scene,
		(struct explain_ask){
			.url = STR("http://a.test/v1/x?y=z"), .fields = fields, .field_count = 1});
	json_t *pool, *sent;

	assert_str(root, "end", "sent");
	assert_str(root, "frontend", "web");
	assert_str(json_object_get(root, "client"), "address", "127.0.0.1");
	assert_str(root, "method", "GET");
	assert_str(root, "host", "a.test");
	assert_str(root, "path", "/v1/x");
	assert_int_equal(json_array_size(json_object_get(root, "routes")), 4);
	assert_str(at(root, "routes", 0), "name", "api");
	assert_str(at(root, "routes", 0), "condition", "header");
	assert_str(at(root, "routes", 0), "wanted", "x-beta: yes");
	assert_str(at(root, "routes", 0), "got", "no");
	assert_str(at(root, "routes", 1), "condition", "path");
	assert_str(at(root, "routes", 1), "wanted", "/old");
	assert_str(at(root, "routes", 1), "got", "/v1/x");
	assert_str(root, "route", NULL);
	pool = at(root, "pools", 0);
	assert_str(pool, "name", "app");
	assert_str(pool, "algorithm", "consistent_hash");
	assert_int(pool, "of", 2);
	assert_int_equal(json_array_size(json_object_get(pool, "backends")), 2);
	assert_str(at(pool, "backends", 0), "why", "may get requests");
	assert_str(json_object_get(root, "pick"), "pool", "app");
	assert_true(json_is_false(json_object_get(root, "chance")));
	sent = json_object_get(root, "sent");
	assert_str(sent, "line", "GET /v1/x?y=z HTTP/1.1");
	assert_string_equal(json_string_value(json_array_get(at(sent, "headers", 0), 0)), "Host");
	assert_string_equal(json_string_value(json_array_get(at(sent, "headers", 0), 1)), "a.test");
	assert_int(json_object_get(root, "bounds"), "body_bytes_max", 1024);
	json_decref(root);
}

static void a_route_by_its_host(void **state)
{
	static const struct explain_field fields[] = {{{"X-Beta", 6}, {"yes", 3}}};
	struct scene *scene = *state;
	json_t *root = explain(scene,
		(struct explain_ask){
			.url = STR("http://b.example/v1/x"), .fields = fields, .field_count = 1});

	assert_str(at(root, "routes", 0), "condition", "host");
	assert_str(at(root, "routes", 0), "wanted", "*.test");
	assert_str(at(root, "routes", 0), "got", "b.example");
	json_decref(root);
	root = explain(scene,
		(struct explain_ask){
			.url = STR("http://b.test/v1/x"), .fields = fields, .field_count = 1});
	assert_str(root, "route", "api");
	assert_int_equal(json_array_size(json_object_get(root, "routes")), 1);
	assert_true(json_is_true(json_object_get(at(root, "routes", 0), "matched")));
	json_decref(root);
}

static void answers_of_our_own(void **state)
{
	static const struct explain_field length[] = {{{"Content-Length", 14}, {"2000", 4}}};
	struct scene *scene = *state;
	json_t *root = explain(scene, (struct explain_ask){.url = STR("a.test/old")}), *answer;

	assert_str(root, "end", "answered");
	answer = json_object_get(root, "answer");
	assert_int(answer, "status", 308);
	assert_str(answer, "outcome", "redirected");
	assert_str(answer, "location", "https://a.test/new");
	json_decref(root);
	root = explain(scene, (struct explain_ask){.method = STR("POST"),
				      .url = STR("/x"),
				      .fields = length,
				      .field_count = 1});
	answer = json_object_get(root, "answer");
	assert_int(answer, "status", 413);
	assert_str(answer, "cure", "Raise http.max_body_size if such uploads are wanted.");
	assert_str(root, "host", "localhost");
	json_decref(root);
	root = explain(scene, (struct explain_ask){.url = STR("/../x")});
	answer = json_object_get(root, "answer");
	assert_int(answer, "status", 400);
	assert_str(answer, "cause", "path climbs above the root");
	json_decref(root);
	root = explain(
		scene, (struct explain_ask){.method = STR("CONNECT"), .url = STR("a.test:443")});
	assert_int(json_object_get(root, "answer"), "status", 405);
	json_decref(root);
}

static void who_may_not_connect(void **state)
{
	struct scene *scene = *state;
	struct explain_ask ask = {.url = STR("/")};
	json_t *root;

	assert_int_equal(addr_parse_ip(STR("10.9.3.4"), &ask.from), 0);
	root = explain(scene, ask);
	assert_str(root, "end", "denied");
	assert_str(json_object_get(root, "client"), "why", "its address is denied");
	assert_str(json_object_get(root, "client"), "key", "frontends.web.deny");
	assert_true(json_is_null(json_object_get(root, "pick")));
	json_decref(root);
}

static void a_pool_that_fails_over(void **state)
{
	static const u8 why[] = {ELIGIBLE_DOWN, ELIGIBLE_EJECTED};
	static const u8 shares[] = {SLOW_START_WHOLE, SLOW_START_WHOLE};
	struct scene *scene = *state;
	json_t *root, *pool;

	view_publish(scene->snapshot->pools[0], why, shares, 0);
	root = explain(scene, (struct explain_ask){.url = STR("/x")});
	assert_str(root, "end", "sent");
	assert_int_equal(json_array_size(json_object_get(root, "pools")), 2);
	pool = at(root, "pools", 0);
	assert_str(pool, "why", "none of its backends may get it");
	assert_true(json_is_false(json_object_get(pool, "picked")));
	assert_str(at(pool, "backends", 0), "why", "its health checks fail");
	assert_str(at(pool, "backends", 1), "why", "ejected by how it answers");
	pool = at(root, "pools", 1);
	assert_str(pool, "name", "spare");
	assert_str(at(pool, "candidates", 0), "verdict", "compared");
	assert_true(json_real_value(json_object_get(at(pool, "candidates", 0), "cost")) > 0);
	assert_str(json_object_get(root, "pick"), "pool", "spare");
	json_decref(root);
}

static void shares_and_chance(void **state)
{
	struct scene *scene = *state;
	json_t *root = explain(scene, (struct explain_ask){.url = STR("/both/x")});

	assert_str(root, "route", "both");
	assert_str(at(root, "shares", 0), "pool", "app");
	assert_true(json_real_value(json_object_get(at(root, "shares", 0), "ratio")) > 0.74);
	assert_true(json_is_true(json_object_get(root, "chance")));
	json_decref(root);
}

// The picked one is always told, and nobody twice.
static void a_pool_of_many(void **state)
{
	struct scene *scene = *state;

	for (u32 i = 0; i < 50; i++) {
		json_t *root = explain(scene, (struct explain_ask){.url = STR("/many/x")});
		json_t *pool = at(root, "pools", 0), *backends = json_object_get(pool, "backends");
		u32 picked = 0;

		assert_int_equal(json_array_size(backends), EXPLAIN_BACKENDS_MAX);
		assert_int(pool, "backends_left_out", 100 - EXPLAIN_BACKENDS_MAX);
		assert_int_equal(json_array_size(json_object_get(pool, "candidates")), 2);
		for (size_t k = 0; k < json_array_size(backends); k++) {
			json_t *one = json_array_get(backends, k);

			picked += json_is_true(json_object_get(one, "picked"));
			for (size_t j = 0; j < k; j++)
				assert_string_not_equal(
					json_string_value(json_object_get(one, "id")),
					json_string_value(json_object_get(
						json_array_get(backends, j), "id")));
		}
		assert_int_equal(picked, 1);
		json_decref(root);
		(void)rng_u64(&scene->proxy.upstream.rng); // another pick
	}
}

static void where_it_arrives(void **state)
{
	struct scene *scene = *state;
	json_t *root = explain(scene, (struct explain_ask){.frontend = STR("db")});

	assert_str(root, "protocol", "tcp");
	assert_str(root, "end", "sent");
	assert_str(json_object_get(root, "pick"), "pool", "spare");
	assert_true(json_is_null(json_object_get(root, "sent")));
	json_decref(root);
	root = explain(scene, (struct explain_ask){.address = STR(":3306")});
	assert_str(root, "frontend", "db");
	json_decref(root);
	root = explain(scene, (struct explain_ask){.url = STR("http://x:3306/")});
	assert_str(root, "frontend", "db");
	json_decref(root);
	root = explain(scene, (struct explain_ask){.url = STR("http://x:99/")});
	assert_str(root, "frontend", "web");
	json_decref(root);
}

static void questions_without_an_answer(void **state)
{
	static const struct explain_field fields[] = {{{"X", 1}, {"a\r\nY: b", 7}}};
	struct scene *scene = *state;
	json_t *root = explain(scene, (struct explain_ask){.frontend = STR("nobody")});

	assert_str(root, "end", "error");
	assert_str(root, "error", "there is no frontend 'nobody'");
	json_decref(root);
	root = explain(scene, (struct explain_ask){.address = STR("1.2.3.4:5")});
	assert_str(root, "error", "no frontend is bound to 1.2.3.4:5");
	json_decref(root);
	root = explain(scene, (struct explain_ask){.address = STR("web")});
	assert_str(root, "error", "'web' is no address to listen on");
	json_decref(root);
	root = explain(
		scene, (struct explain_ask){.url = STR("/"), .fields = fields, .field_count = 1});
	assert_str(root, "error", "a line end stands in the request");
	json_decref(root);
}

// ---- Events -------------------------------------------------------------------------------------

static void an_event(void **state)
{
	struct scene *scene = *state;
	struct event_copy event = {.number = 12,
		.wall_ms = 1790000000000,
		.kind = EVENT_STEERING,
		.text = "backend is drained by order",
		.pool = "app",
		.backend = "app-1",
		.from = "1",
		.to = "2",
		.by = "unix uid 0",
		.undo_method = "PUT",
		.undo_path = "/api/v1/pools/app/backends/app-1/weight",
		.undo_body = "{\"weight\":1}"};
	struct json json;
	json_t *root, *undo;

	json_init(&json, &scene->text);
	event_write_json(&json, &event);
	root = read_back(scene);
	assert_int(root, "number", 12);
	assert_str(root, "kind", "steering");
	assert_str(root, "by", "unix uid 0");
	assert_str(root, "reason", NULL);
	assert_true(json_is_null(json_object_get(root, "streak")));
	undo = json_object_get(root, "undo");
	assert_str(undo, "method", "PUT");
	assert_int(json_object_get(undo, "body"), "weight", 1);
	json_decref(root);
	event.undo_method[0] = '\0';
	text_clear(&scene->text);
	json_init(&json, &scene->text);
	event_write_json(&json, &event);
	root = read_back(scene);
	assert_true(json_is_null(json_object_get(root, "undo")));
	json_decref(root);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_retried_request),
		TEST(a_failed_request),
		TEST(what_a_backend_answered_itself),
		TEST(a_request_of_another_configuration),
		TEST(a_request_that_is_sent),
		TEST(a_route_by_its_host),
		TEST(answers_of_our_own),
		TEST(who_may_not_connect),
		TEST(a_pool_that_fails_over),
		TEST(shares_and_chance),
		TEST(a_pool_of_many),
		TEST(where_it_arrives),
		TEST(questions_without_an_answer),
		TEST(an_event),
	};

	return cmocka_run_group_tests_name("looks", tests, NULL, NULL);
}
