// SPDX-License-Identifier: Apache-2.0
// Spans on their way to a collector, on the simulated network and in virtual time: what it is told,
// and what follows when it refuses, fails, or is not there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "admin/otlp.h"
#include "base/text.h"
#include "loop/loop_sim.h"
#include "net/conn.h"
#include "proxy/outcome.h"

enum { blocks_max = 4096, ring_count = 1024, statuses_max = 16, start_ms = 1000 };

struct collector {
	struct addr addr;
	struct sock sock;
	struct op accept;
	bool listening;
	u16 statuses[statuses_max]; // of the answers; 0: none is given. The last one goes on
	u32 status_count;
	u32 asked;
	u64 asked_ms[64];
	struct text bodies[64];
	char path[64], type[64];
};

// A connection to it.
struct visit {
	struct conn conn;
	struct collector *collector;
	struct text body;
};

static struct {
	struct sim_net *net;
	struct loop *inside, *outside;
	struct collector collector;
	struct h1_parser parser;
	struct slab visits;
	struct arena arena;
	struct conf_tracing conf;
	struct conf_frontend conf_frontend;
	struct conf_route conf_route;
	struct frontend frontend;
	struct route route;
	struct pool pool;
	struct backend backend;
	struct span_ring rings[2];
	struct span_ring *ring_list[2];
	struct log log;
	struct metrics_cells cells;
	struct otlp *otlp;
	u64 next_id;
} scene;

// ---- A collector --------------------------------------------------------------------------------

static struct visit *visit_of(struct session *session)
{
	return container_of(conn_of_session(session), struct visit, conn);
}

static void answer(struct visit *visit, struct stream *stream)
{
	static const struct str body = STR("{\"partialSuccess\":{}}");
	struct collector *collector = visit->collector;
	u16 status = collector->statuses[MIN(collector->asked, collector->status_count - 1)];
	struct http_field field = {.name = "Content-Type",
		.name_len = 12,
		.value = "application/json",
		.value_len = 16};
	struct http_head head = {.fields = &field,
		.field_count = 1,
		.version_minor = 1,
		.framing = HTTP_LENGTH,
		.status = status,
		.reason = STR("Fine"),
		.content_length = body.len,
		.has_content_length = true};

	assert_true(collector->asked < ARRAY_LEN(collector->bodies));
	collector->asked_ms[collector->asked] = loop_now_ms(scene.outside);
	collector->bodies[collector->asked++] = visit->body;
	visit->body = (struct text){0};
	if (status == 0)
		return;
	stream->ops->send_head(stream, &head, false);
	stream->ops->send_body(stream, (struct slice){.ptr = body.ptr, .len = body.len}, true);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct visit *visit = stream->owner;

	text_add(&visit->body, str_make(slice.ptr, slice.len));
	stream->ops->grant(stream, slice.len);
	slice_drop(&slice);
	if (end)
		answer(visit, stream);
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	(void)stream;
	(void)fault;
}

static const struct stream_events stream_events = {
	.on_body = on_body, .on_drained = on_drained, .on_reset = on_reset};

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct visit *visit = visit_of(session);
	const struct http_field *type = http_head_find(head, HTTP_F_CONTENT_TYPE);

	assert_false(end);
	assert_int_equal(head->method, HTTP_POST);
	assert_int_equal(head->framing, HTTP_LENGTH);
	snprintf(visit->collector->path, 64, "%.*s", STR_FMT(head->path));
	snprintf(visit->collector->type, 64, "%.*s", (int)type->value_len, type->value);
	stream->events = &stream_events;
	stream->owner = visit;
	stream->ops->grant(stream, 64 * 1024);
}

static void on_refused(struct session *session, struct stream *stream)
{
	(void)session;
	(void)stream;
	fail_msg("the collector was sent what is no request");
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)session;
	(void)stream;
}

static void on_poke(struct session *session)
{
	conn_poke(&visit_of(session)->conn);
}

static const struct session_events session_events = {.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = on_stream_done,
	.on_poke = on_poke};

static void on_closed(struct conn *conn)
{
	struct visit *visit = container_of(conn, struct visit, conn);

	text_done(&visit->body);
	slab_put(&scene.visits, visit);
}

static void on_timer(struct conn *conn)
{
	conn_close(conn);
}

static const struct conn_events conn_events = {.on_closed = on_closed, .on_timer = on_timer};

static void on_accept(struct op *op)
{
	struct collector *collector = container_of(op, struct collector, accept);
	struct visit *visit;

	if (op->result < 0)
		return;
	visit = slab_get(&scene.visits);
	assert_non_null(visit);
	visit->collector = collector;
	visit->body = (struct text){0};
	conn_init_fd(&visit->conn, scene.outside, op->result, &conn_events);
	conn_use_h1(&visit->conn, STREAM_SERVER, &scene.parser, &session_events);
	conn_set_timer(&visit->conn, loop_now_ms(scene.outside) + 60 * 1000);
	conn_start(&visit->conn);
}

static void listen_now(void)
{
	struct collector *collector = &scene.collector;

	collector->listening = true;
	op_init(&collector->accept, on_accept);
	sock_open(scene.outside, &collector->sock, sim_listen(scene.net, &collector->addr));
	loop_accept(scene.outside, &collector->sock, &collector->accept);
}

// ---- The scene ----------------------------------------------------------------------------------

static i64 wall_ms;

static int set_up(void **state)
{
	static const struct loop_limits limits = {blocks_max, blocks_max};
	struct sim_config calm = sim_config_calm();

	(void)state;
	memset(&scene, 0, sizeof(scene));
	scene.net = sim_net_new(1, &calm);
	scene.inside = sim_loop_new(scene.net, &limits);
	scene.outside = sim_loop_new(scene.net, &limits);
	sim_loop_set_outside(scene.outside);
	slab_init(&scene.visits, "visit", sizeof(struct visit), 64);
	arena_init(&scene.arena, 1 << 20);
	scene.parser.limits = (struct h1_limits){.head_bytes_max = 65536, .target_bytes_max = 8192};
	assert_int_equal(addr_parse(STR("10.9.9.9:4318"), &scene.collector.addr), 0);
	scene.collector.statuses[0] = 200;
	scene.collector.status_count = 1;
	scene.conf.otlp.url = STR("http://10.9.9.9:4318");
	scene.conf.otlp.addr = scene.collector.addr;
	scene.conf.otlp.authority = STR("10.9.9.9:4318");
	scene.conf.otlp.path = STR("/v1/traces");
	scene.conf_frontend.name = STR("web");
	scene.conf_route.name = STR("api");
	scene.frontend = (struct frontend){.conf = &scene.conf_frontend, .scheme = STR("http")};
	scene.route = (struct route){.conf = &scene.conf_route, .pattern = STR("/v1/*")};
	scene.pool.name = STR("app");
	scene.backend = (struct backend){
		.id = STR("app-1"), .address = STR("10.0.0.1:80"), .pool = &scene.pool};
	assert_int_equal(addr_parse(scene.backend.address, &scene.backend.addr), 0);
	for (u32 i = 0; i < 2; i++) {
		span_ring_init(&scene.rings[i], ring_count);
		scene.ring_list[i] = &scene.rings[i];
	}
	log_init(&scene.log, LOG_NOTICE, LOG_LOGFMT, &wall_ms, 65536, NULL);
	return 0;
}

static void start(void)
{
	struct otlp_config config = {.tracing = &scene.conf, .seed = 7};

	scene.otlp = otlp_new(scene.inside, &config, scene.ring_list, 2, &scene.log, &scene.cells);
}

static void run_ms(u64 span_ms)
{
	sim_net_run(scene.net, loop_now_ms(scene.inside) + span_ms);
}

static void stop(void)
{
	if (!scene.otlp)
		return;
	otlp_stop(scene.otlp);
	while (!otlp_is_idle(scene.otlp))
		loop_turn(scene.inside, UINT64_MAX);
	otlp_free(scene.otlp);
	scene.otlp = NULL;
}

static int tear_down(void **state)
{
	(void)state;
	stop();
	if (scene.collector.listening) {
		loop_cancel(scene.outside, &scene.collector.accept);
		while (op_is_out(&scene.collector.accept))
			loop_turn(scene.outside, 0);
		sock_close(scene.outside, &scene.collector.sock);
	}
	while (scene.visits.used)
		loop_turn(scene.outside, UINT64_MAX);
	for (u32 i = 0; i < ARRAY_LEN(scene.collector.bodies); i++)
		text_done(&scene.collector.bodies[i]);
	for (u32 i = 0; i < 2; i++)
		span_ring_done(&scene.rings[i]);
	log_done(&scene.log);
	slab_done(&scene.visits);
	arena_done(&scene.arena);
	loop_free(scene.inside);
	loop_free(scene.outside);
	sim_net_free(scene.net);
	return 0;
}

static struct span *open_span(u32 ring)
{
	struct span *span = span_ring_open(&scene.rings[ring]);

	assert_non_null(span);
	*span = (struct span){.trace_id = {0x0807060504030201, 0x100f0e0d0c0b0a09},
		.id = ++scene.next_id,
		.begun_us = 1700000000000000,
		.took_us = 1500,
		.frontend = &scene.frontend,
		.status = 200,
		.method = HTTP_GET,
		.version_minor = 1,
		.connect_us = UINT32_MAX,
		.first_byte_us = UINT32_MAX};
	return span;
}

static void add_spans(u32 ring, u32 count)
{
	while (count--) {
		(void)open_span(ring);
		span_ring_commit(&scene.rings[ring]);
	}
}

static u64 counted(enum metric metric)
{
	return metrics_read(&scene.cells, metric);
}

// How many lines with this text were logged.
static u32 logged(const char *text)
{
	struct log_record record;
	u32 count = 0;

	while (log_ring_peek(&scene.log.ring, &record)) {
		count += memmem(record.body.ptr, record.body.len, text, strlen(text)) != NULL;
		log_ring_next(&scene.log.ring);
	}
	return count;
}

// ---- What it was told ---------------------------------------------------------------------------

static json_t *load(u32 request)
{
	const struct text *body = &scene.collector.bodies[request];
	json_t *json = json_loadb(body->data, body->len, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(json);
	return json;
}

static json_t *first_of(json_t *object, const char *key)
{
	json_t *array = json_object_get(object, key);

	assert_int_equal(json_array_size(array), 1);
	return json_array_get(array, 0);
}

static json_t *spans_of(json_t *json)
{
	return json_object_get(first_of(first_of(json, "resourceSpans"), "scopeSpans"), "spans");
}

// The value of an attribute as text, or NULL; the key stands there once at most.
static const char *attribute(json_t *object, const char *key)
{
	static char number[32];
	json_t *each, *found = NULL, *value;
	size_t i;

	json_array_foreach(json_object_get(object, "attributes"), i, each)
	{
		if (strcmp(json_string_value(json_object_get(each, "key")), key) != 0)
			continue;
		assert_null(found);
		found = json_object_get(each, "value");
	}
	if (!found)
		return NULL;
	assert_int_equal(json_object_size(found), 1);
	value = json_object_iter_value(json_object_iter(found));
	if (strcmp(json_object_iter_key(json_object_iter(found)), "boolValue") == 0)
		return json_is_true(value) ? "true" : "false";
	snprintf(number, sizeof(number), "%s", json_string_value(value));
	return strlen(number) < sizeof(number) - 1 ? number : json_string_value(value);
}

static void has(json_t *object, const char *key, const char *expected)
{
	const char *value = attribute(object, key);

	if (!value || strcmp(value, expected) != 0)
		fail_msg("%s is '%s', expected '%s'", key, value ? value : "(absent)", expected);
}

static void text_is(json_t *object, const char *key, const char *expected)
{
	assert_string_equal(json_string_value(json_object_get(object, key)), expected);
}

static void tells_what_happened(void **state)
{
	struct span *span;
	json_t *json, *spans, *one, *resource;

	(void)state;
	scene.conf.service = STR("edge");
	scene.conf.attributes = (const struct conf_attribute[]){
		{STR("zone"), STR("a\"b")}, {STR("service.name"), STR("x")}};
	scene.conf.attribute_count = 2;
	listen_now();
	start();
	span = open_span(0);
	span->kind = SPAN_CLIENT;
	span->parent_id = 9;
	span->backend = &scene.backend;
	span->status = 0;
	span->outcome = OUTCOME_CONNECTION_REFUSED;
	span->flags = 1;
	span_put(span, SPAN_PATH, STR("/v1/a"));
	span_ring_commit(&scene.rings[0]);
	span = open_span(1);
	span->kind = SPAN_SERVER;
	span->route = &scene.route;
	span->backend = &scene.backend;
	span->status = 503;
	span->outcome = OUTCOME_OK;
	span->client_port = 1234;
	span_put(span, SPAN_PATH, STR("/v1/a\"\xff"));
	span_put(span, SPAN_HOST, STR("example.com:8080"));
	span_put(span, SPAN_CLIENT_IP, STR("192.0.2.1"));
	span_ring_commit(&scene.rings[1]);
	run_ms(3000);
	assert_int_equal(scene.collector.asked, 1);
	assert_string_equal(scene.collector.path, "/v1/traces");
	assert_string_equal(scene.collector.type, "application/json");
	json = load(0);
	resource = json_object_get(first_of(json, "resourceSpans"), "resource");
	has(resource, "service.name", "edge");
	has(resource, "zone", "a\"b");
	assert_int_equal(
		strlen(json_string_value(json_object_get(
			json_object_get(json_array_get(json_object_get(resource, "attributes"), 2),
				"value"),
			"stringValue"))),
		36);
	spans = spans_of(json);
	assert_int_equal(json_array_size(spans), 2);
	one = json_array_get(spans, 0);
	text_is(one, "traceId", "0102030405060708090a0b0c0d0e0f10");
	text_is(one, "spanId", "0100000000000000");
	text_is(one, "parentSpanId", "0900000000000000");
	text_is(one, "name", "GET");
	text_is(one, "startTimeUnixNano", "1700000000000000000");
	text_is(one, "endTimeUnixNano", "1700000000001500000");
	assert_int_equal(json_integer_value(json_object_get(one, "kind")), 3);
	assert_int_equal(json_integer_value(json_object_get(one, "flags")), 0x101);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(one, "status"), "code")), 2);
	has(one, "error.type", "connection_refused");
	has(one, "url.full", "http://10.0.0.1:80/v1/a");
	has(one, "server.address", "10.0.0.1");
	has(one, "server.port", "80");
	has(one, "weir.pool", "app");
	has(one, "weir.backend", "app-1");
	assert_null(attribute(one, "http.response.status_code"));
	assert_null(attribute(one, "http.request.resend_count"));
	one = json_array_get(spans, 1);
	text_is(one, "name", "GET /v1/*");
	assert_null(json_object_get(one, "parentSpanId"));
	assert_int_equal(json_integer_value(json_object_get(one, "kind")), 2);
	has(one, "http.route", "/v1/*");
	has(one, "http.request.method", "GET");
	has(one, "http.response.status_code", "503");
	has(one, "error.type", "503");
	has(one, "url.path", "/v1/a\"\\xff");
	has(one, "url.scheme", "http");
	has(one, "server.address", "example.com");
	has(one, "server.port", "8080");
	has(one, "client.address", "192.0.2.1");
	has(one, "client.port", "1234");
	has(one, "weir.outcome", "ok");
	has(one, "weir.route", "api");
	has(one, "weir.frontend", "web");
	json_decref(json);
	assert_int_equal(counted(M_SPANS_SENT), 2);
	assert_int_equal(counted(M_SPAN_EXPORTS_FAILED), 0);
	assert_int_equal(logged(""), 0);
}

// Texts of the greatest length, of bytes that all need an escape.
static void fits_whatever_it_is(void **state)
{
	static char long_text[600];
	struct span *span;
	json_t *json;

	(void)state;
	memset(long_text, 1, sizeof(long_text));
	scene.route.pattern = scene.conf_route.name = scene.conf_frontend.name = scene.pool.name =
		scene.backend.id = scene.backend.address = scene.backend.name =
			str_make(long_text, sizeof(long_text));
	listen_now();
	start();
	for (u32 kind = 0; kind < 2; kind++) {
		span = open_span(0);
		*span = (struct span){.trace_id = {1, 1},
			.id = UINT64_MAX,
			.parent_id = UINT64_MAX,
			.begun_us = INT64_MAX / 1000,
			.took_us = UINT32_MAX,
			.kind = (u8)kind,
			.frontend = &scene.frontend,
			.route = &scene.route,
			.backend = &scene.backend,
			.bytes_in = UINT64_MAX,
			.bytes_out = UINT64_MAX,
			.connect_us = UINT32_MAX - 1,
			.first_byte_us = UINT32_MAX - 1,
			.status = 999,
			.client_port = 65535,
			.peer_port = 65535,
			.flags = 3,
			.outcome = OUTCOME_RESPONSE_HEAD_TOO_LARGE,
			.resends = 255,
			.is_hedge = true};
		for (u32 i = 0; i < SPAN_TEXT_COUNT; i++)
			span_put(span, (enum span_text)i, str_make(long_text, sizeof(long_text)));
		span_ring_commit(&scene.rings[0]);
	}
	run_ms(3000);
	json = load(0);
	assert_int_equal(json_array_size(spans_of(json)), 2);
	json_decref(json);
}

// ---- When ---------------------------------------------------------------------------------------

static void few_wait_for_others_and_many_do_not(void **state)
{
	(void)state;
	listen_now();
	start();
	run_ms(5000);
	assert_int_equal(scene.collector.asked, 0); // nothing to tell
	add_spans(0, 1);
	run_ms(300);
	assert_int_equal(scene.collector.asked, 1); // long since the last ones
	add_spans(0, 1);
	run_ms(300);
	assert_int_equal(scene.collector.asked, 1);
	run_ms(1000);
	assert_int_equal(scene.collector.asked, 2);
	add_spans(1, 100);
	run_ms(300);
	assert_int_equal(scene.collector.asked, 3);
	assert_int_equal(counted(M_SPANS_SENT), 102);
}

static void a_batch_has_its_bounds(void **state)
{
	size_t sum = 0;

	(void)state;
	listen_now();
	add_spans(0, ring_count);
	add_spans(1, ring_count);
	start();
	run_ms(2000);
	assert_in_range(scene.collector.asked, 4, 8);
	for (u32 i = 0; i < scene.collector.asked; i++) {
		json_t *json = load(i);

		assert_in_range(json_array_size(spans_of(json)), 1, 512);
		sum += json_array_size(spans_of(json));
		json_decref(json);
	}
	assert_int_equal(sum, 2 * ring_count);
	assert_int_equal(counted(M_SPANS_SENT), 2 * ring_count);
}

// ---- Trouble ------------------------------------------------------------------------------------

static void comes_back_with_the_same_later(void **state)
{
	(void)state;
	scene.collector.statuses[0] = 503;
	scene.collector.statuses[1] = 429;
	scene.collector.statuses[2] = 200;
	scene.collector.status_count = 3;
	listen_now();
	start();
	add_spans(0, 3);
	run_ms(1500);
	add_spans(0, 70);
	run_ms(8000);
	assert_true(scene.collector.asked >= 4);
	assert_string_equal(scene.collector.bodies[0].data, scene.collector.bodies[1].data);
	assert_string_equal(scene.collector.bodies[0].data, scene.collector.bodies[2].data);
	assert_in_range(scene.collector.asked_ms[1] - scene.collector.asked_ms[0], 500, 1050);
	assert_in_range(scene.collector.asked_ms[2] - scene.collector.asked_ms[1], 1000, 2050);
	assert_int_equal(counted(M_SPANS_SENT), 73);
	assert_int_equal(counted(M_SPAN_EXPORTS_FAILED), 2);
	assert_int_equal(counted(M_SPANS_REFUSED), 0);
}

static void what_is_refused_is_not_sent_again(void **state)
{
	(void)state;
	scene.collector.statuses[0] = 400;
	scene.collector.statuses[1] = 200;
	scene.collector.status_count = 2;
	listen_now();
	start();
	add_spans(0, 3);
	run_ms(1200);
	add_spans(0, 2);
	run_ms(5000);
	assert_int_equal(scene.collector.asked, 2);
	assert_int_equal(counted(M_SPANS_REFUSED), 3);
	assert_int_equal(counted(M_SPANS_SENT), 2);
	assert_int_equal(counted(M_SPAN_EXPORTS_FAILED), 1);
}

static void nobody_is_there_for_a_while(void **state)
{
	u64 failed;

	(void)state;
	start();
	add_spans(0, 5);
	run_ms(300 * 1000);
	failed = counted(M_SPAN_EXPORTS_FAILED);
	assert_in_range(failed, 10, 30); // the pauses have grown to half a minute at most
	assert_int_equal(logged("spans cannot be sent"), 1);
	while (span_ring_open(&scene.rings[0])) // workers go on until there is no room
		span_ring_commit(&scene.rings[0]);
	for (u32 i = 0; i < ring_count; i++)
		*(struct span *)(uintptr_t)span_ring_peek(&scene.rings[0], i) =
			(struct span){.frontend = &scene.frontend, .id = 1};
	listen_now();
	run_ms(40 * 1000);
	assert_int_equal(logged("takes spans again"), 1);
	assert_int_equal(counted(M_SPANS_SENT), 5 + ring_count);
	assert_int_equal(counted(M_SPAN_EXPORTS_FAILED), failed);
}

static void one_that_never_answers_is_left(void **state)
{
	(void)state;
	scene.collector.statuses[0] = 0;
	scene.collector.statuses[1] = 200;
	scene.collector.status_count = 2;
	listen_now();
	start();
	add_spans(0, 5);
	run_ms(9000);
	assert_int_equal(counted(M_SPAN_EXPORTS_FAILED), 0);
	run_ms(5000);
	assert_int_equal(counted(M_SPAN_EXPORTS_FAILED), 1);
	run_ms(3000);
	assert_int_equal(counted(M_SPANS_SENT), 5);
}

// ---- The end ------------------------------------------------------------------------------------

static void the_last_ones_are_sent(void **state)
{
	u64 begun_ms;

	(void)state;
	listen_now();
	start();
	run_ms(3000);
	add_spans(0, 1);
	run_ms(300);
	add_spans(0, 1); // would wait for others
	add_spans(1, 600);
	loop_turn(scene.inside, 0);
	begun_ms = loop_now_ms(scene.inside);
	stop();
	assert_true(loop_now_ms(scene.inside) - begun_ms <= 1000);
	assert_int_equal(counted(M_SPANS_SENT), 602);
	assert_int_equal(counted(M_SPANS_DROPPED), 0);
}

static void the_end_does_not_wait_for_a_dead_collector(void **state)
{
	static const u16 ways[] = {0, 1, 2};

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		u64 begun_ms;

		if (ways[i] > 0) { // it is there, and does not answer
			scene.collector.statuses[0] = 0;
			listen_now();
		}
		start();
		add_spans(0, 5);
		if (ways[i] < 2)
			run_ms(2000);
		add_spans(0, 5);
		loop_turn(scene.inside, 0); // the network may be ahead of the loop's clock
		begun_ms = loop_now_ms(scene.inside);
		stop();
		assert_in_range(loop_now_ms(scene.inside) - begun_ms, 0, 1100);
		assert_int_equal(counted(M_SPANS_SENT), 0);
		assert_int_equal(counted(M_SPANS_DROPPED), 10);
		assert_int_equal(tear_down(state), 0);
		assert_int_equal(set_up(state), 0);
	}
}

static void ends_while_it_rests(void **state)
{
	(void)state;
	start();
	stop();
	assert_int_equal(counted(M_SPANS_DROPPED), 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(tells_what_happened),
		TEST(fits_whatever_it_is),
		TEST(few_wait_for_others_and_many_do_not),
		TEST(a_batch_has_its_bounds),
		TEST(comes_back_with_the_same_later),
		TEST(what_is_refused_is_not_sent_again),
		TEST(nobody_is_there_for_a_while),
		TEST(one_that_never_answers_is_left),
		TEST(the_last_ones_are_sent),
		TEST(the_end_does_not_wait_for_a_dead_collector),
		TEST(ends_while_it_rests),
	};

	return cmocka_run_group_tests_name("otlp", tests, NULL, NULL);
}
