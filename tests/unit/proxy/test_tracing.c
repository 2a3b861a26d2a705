// SPDX-License-Identifier: Apache-2.0
// Which trace a request belongs to, what backends are told of it, and its way through the ring.
#include "scene.h"

#include <pthread.h>
#include <stdio.h>

#include "base/hex.h"
#include "base/text.h"
#include "proxy/exchange_parts.h"
#include "proxy/request.h"

#define PARENT	"4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
#define SAMPLED "00-" PARENT "-01"
#define OTHER	"00-" PARENT "-00"

enum { ring_count = 8 };

static struct span_ring ring;
static struct metrics_cells cells;
static struct conf_tracing conf;
static struct loop loop;
static struct route route = {.pattern = {"/v1/*", 5}};

static int set_up(void **state)
{
	struct scene *scene;

	if (scene_set_up(state) != 0)
		return -1;
	scene = *state;
	cells = (struct metrics_cells){0};
	conf = (struct conf_tracing){.sample = CONF_WHOLE};
	loop = (struct loop){.now_us = 5000000};
	span_ring_init(&ring, ring_count);
	scene->proxy.spans = &ring;
	scene->proxy.metrics = &cells;
	scene->proxy.loop = &loop;
	scene->x.headed_us = 5000000;
	scene->x.began_us = 4999000;
	scene->x.headed_wall_ms = 1700000000000;
	return 0;
}

static int tear_down(void **state)
{
	span_ring_done(&ring);
	return scene_tear_down(state);
}

// The request with these lines begins; gives what a backend would be told of its trace.
static const char *begin(struct scene *scene, const char *lines)
{
	struct http_head *head = &scene->head;
	struct text text = {0};

	tracing_rules_init(&scene->proxy.tracing, &conf);
	scene_request(scene, "/v1/a?secret", lines);
	tracing_begin(&scene->x);
	for (u32 i = 0; i < head->field_count; i++)
		if (!head->fields[i].hop && head->fields[i].name[0] == 't')
			text_printf(&text, "%.*s: %.*s\r\n", head->fields[i].name_len,
				head->fields[i].name, (int)head->fields[i].value_len,
				head->fields[i].value);
	text_add(&text, scene->x.tracing.lines);
	return text_take(&text, &scene->arena).ptr;
}

static const char *ours(struct scene *scene)
{
	char text[TRACE_PARENT_BYTES];

	trace_context_write(&scene->x.tracing.context, text);
	return arena_printf(&scene->arena, "traceparent: %.*s\r\n", TRACE_PARENT_BYTES, text);
}

static void tells_ours(struct scene *scene, const char *told)
{
	assert_string_equal(told, ours(scene));
}

static void is_below(struct scene *scene, const char *parent)
{
	struct trace_context context;

	assert_true(trace_context_parse(str_from(parent), &context));
	assert_memory_equal(
		scene->x.tracing.context.trace_id, context.trace_id, sizeof(context.trace_id));
	assert_true(scene->x.tracing.remote_id == context.parent_id);
}

static void is_new(struct scene *scene)
{
	assert_true(scene->x.tracing.remote_id == 0);
	assert_true(scene->x.tracing.context.flags & TRACE_RANDOM);
	assert_true(scene->x.tracing.context.parent_id != 0);
}

static void goes_on_with_what_the_client_began(void **state)
{
	struct scene *scene = *state;

	tells_ours(scene, begin(scene, "traceparent: " SAMPLED "\r\n"));
	is_below(scene, SAMPLED);
	assert_true(scene->x.is_traced && scene->x.is_recorded);
	assert_int_equal(scene->x.tracing.context.flags, TRACE_SAMPLED);
	assert_true(scene->x.tracing.context.parent_id != scene->x.tracing.remote_id);
	begin(scene, "traceparent: 00-" PARENT "-03\r\n");
	assert_int_equal(scene->x.tracing.context.flags, TRACE_SAMPLED | TRACE_RANDOM);
}

static void stands_aside_where_the_client_does_not_record(void **state)
{
	static const char lines[] = "traceparent: " OTHER "\r\ntracestate: a=1,,b=2\r\n";
	struct scene *scene = *state;

	assert_string_equal(begin(scene, lines), lines);
	assert_true(scene->x.is_traced);
	assert_false(scene->x.is_recorded);
}

static void the_ratio_counts_where_it_is_to_count_for_all(void **state)
{
	struct scene *scene = *state;

	conf.sampler = CONF_SAMPLER_RATIO;
	tells_ours(scene, begin(scene, "traceparent: " OTHER "\r\n"));
	assert_true(scene->x.is_recorded);
	assert_int_equal(scene->x.tracing.context.flags, TRACE_SAMPLED);
	conf.sample = 0;
	tells_ours(scene, begin(scene, "traceparent: " SAMPLED "\r\n"));
	is_below(scene, SAMPLED);
	assert_false(scene->x.is_recorded);
	assert_int_equal(scene->x.tracing.context.flags, 0);
}

static void begins_a_trace_where_there_is_none(void **state)
{
	static const char *const lines[] = {"", "traceparent: nonsense\r\n",
		"traceparent: " SAMPLED "\r\ntraceparent: " SAMPLED "\r\n", "tracestate: a=1\r\n",
		"traceparent: ff-" PARENT "-01\r\ntracestate: a=1\r\n"};
	struct scene *scene = *state;

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		tells_ours(scene, begin(scene, lines[i]));
		is_new(scene);
		assert_true(scene->x.is_recorded);
	}
	conf.sample = 0; // those behind us hear of that, too
	tells_ours(scene, begin(scene, ""));
	is_new(scene);
	assert_true(scene->x.is_traced);
	assert_false(scene->x.is_recorded);
	assert_int_equal(scene->x.tracing.context.flags, TRACE_RANDOM);
}

static void believes_whom_it_may(void **state)
{
	struct scene *scene = *state;

	conf.trust = CONF_TRUST_PROXIES;
	begin(scene, "traceparent: " SAMPLED "\r\ntracestate: a=1\r\n");
	is_new(scene);
	scene_peer(scene, SCENE_PROXY);
	begin(scene, "traceparent: " SAMPLED "\r\n");
	is_below(scene, SAMPLED);
}

static void passes_a_state_that_is_well_formed(void **state)
{
	static const char good[] = "traceparent: " SAMPLED "\r\ntracestate: a=1 , b=2\r\n"
				   "tracestate: c=3\r\n";
	struct scene *scene = *state;
	const char *told = begin(scene, good);

	assert_true(
		str_starts(str_from(told), STR("tracestate: a=1 , b=2\r\ntracestate: c=3\r\n")));
	told = begin(scene, "traceparent: " SAMPLED "\r\ntracestate: a=1\r\ntracestate: B\r\n");
	tells_ours(scene, told);
}

static void shortens_a_state_that_is_too_long(void **state)
{
	struct scene *scene = *state;
	const char *told = begin(scene,
		arena_printf(&scene->arena,
			"traceparent: " SAMPLED "\r\ntracestate: k=%0250d,a=1\r\ntracestate: "
			"l=%0250d,b=2\r\n",
			0, 0));

	assert_string_equal(told,
		arena_printf(&scene->arena, "%stracestate: k=%0250d,a=1,b=2\r\n", ours(scene), 0));
}

// How many of 100,000 new traces are recorded.
static void the_ratio_is_kept(void **state)
{
	struct scene *scene = *state;
	u32 recorded = 0;

	conf.sample = 50000; // 5 %
	tracing_rules_init(&scene->proxy.tracing, &conf);
	scene_request(scene, "/", "");
	scene->x.request = NULL;
	for (int i = 0; i < 100000; i++) {
		tracing_begin(&scene->x);
		recorded += scene->x.is_recorded;
	}
	assert_in_range(recorded, 4700, 5300);
	assert_true(tracing_threshold(CONF_WHOLE) == 1ull << TRACE_CHANCE_BITS);
	assert_true(tracing_threshold(0) == 0);
}

// ---- Spans --------------------------------------------------------------------------------------

static void text_is(const struct span *span, enum span_text which, const char *expected)
{
	struct str text = span_text(span, which);

	assert_int_equal(text.len, strlen(expected));
	assert_memory_equal(text.ptr, expected, text.len);
}

static void tells_of_a_request_and_its_tries(void **state)
{
	struct scene *scene = *state;
	struct exchange *x = &scene->x;
	struct attempt *attempt = &x->tries[0];
	const struct span *span;
	char line[16], id[16];

	begin(scene, "traceparent: " SAMPLED "\r\nUser-Agent: tester\r\n");
	x->route = &route;
	attempt_init(x);
	attempt->pick.backend = &scene->backends[0];
	attempt->leased_us = 5000100;
	tracing_try(x, attempt);
	attempt->sent_us = 5000300;
	tracing_send(x, attempt);
	memcpy(line, x->tracing.lines.ptr + 13 + TRACE_PARENT_ID_AT, 16);
	hex_put_8(id, attempt->span_id);
	assert_memory_equal(line, id, sizeof(id));
	loop.now_us = 5001000;
	tracing_tried(x, attempt, OUTCOME_CONNECTION_RESET, 0);
	tracing_tried(x, attempt, OUTCOME_CONNECTION_RESET, 0); // told of already

	attempt->leased_us = 5001000;
	tracing_try(x, attempt);
	attempt->sent_us = 5001100;
	tracing_send(x, attempt);
	assert_memory_not_equal(x->tracing.lines.ptr + 13 + TRACE_PARENT_ID_AT, id, sizeof(id));
	x->status = 200;
	x->answer_begun = true;
	x->answered_us = 5001500;
	loop.now_us = 5002000;
	tracing_tried(x, attempt, OUTCOME_OK, 200);
	x->outcome = OUTCOME_OK;
	tracing_end(x);

	assert_int_equal(span_ring_waiting(&ring), 3);
	span = span_ring_peek(&ring, 0);
	assert_int_equal(span->kind, SPAN_CLIENT);
	assert_true(span->parent_id == x->tracing.context.parent_id);
	assert_false(span->parent_is_remote);
	assert_int_equal(span->begun_us, 1700000000000100);
	assert_int_equal(span->took_us, 900);
	assert_int_equal(span->connect_us, 200);
	assert_true(span->first_byte_us == UINT32_MAX);
	assert_int_equal(span->outcome, OUTCOME_CONNECTION_RESET);
	assert_int_equal(span->resends, 0);
	text_is(span, SPAN_PATH, "/v1/a");
	span = span_ring_peek(&ring, 1);
	assert_int_equal(span->resends, 1);
	assert_int_equal(span->first_byte_us, 400);
	assert_int_equal(span->status, 200);
	assert_ptr_equal(span->backend, &scene->backends[0]);
	span = span_ring_peek(&ring, 2);
	assert_int_equal(span->kind, SPAN_SERVER);
	assert_true(span->id == x->tracing.context.parent_id);
	assert_true(span->parent_id == x->tracing.remote_id && span->parent_is_remote);
	assert_int_equal(span->begun_us, 1700000000000000 - 1000);
	assert_int_equal(span->took_us, 3000);
	assert_ptr_equal(span->route, &route);
	text_is(span, SPAN_PATH, "/v1/a");
	text_is(span, SPAN_HOST, "a");
	text_is(span, SPAN_AGENT, "tester");
	text_is(span, SPAN_CLIENT_IP, "192.0.2.1");
	assert_int_equal(span_text(span, SPAN_REQUEST_ID).len, 32);
}

static void cuts_what_is_too_long(void **state)
{
	struct scene *scene = *state;
	const struct span *span;
	char target[400];

	memset(target, 'p', sizeof(target) - 1);
	target[0] = '/';
	target[sizeof(target) - 1] = '\0';
	tracing_rules_init(&scene->proxy.tracing, &conf);
	scene_request(scene, target, arena_printf(&scene->arena, "User-Agent: %0200d\r\n", 0));
	tracing_begin(&scene->x);
	tracing_end(&scene->x);
	span = span_ring_peek(&ring, 0);
	assert_int_equal(span_text(span, SPAN_PATH).len, 128);
	assert_int_equal(span_text(span, SPAN_AGENT).len, 64);
	text_is(span, SPAN_HOST, "a");
}

static void what_finds_no_room_is_dropped_and_counted(void **state)
{
	struct scene *scene = *state;

	begin(scene, "");
	for (int i = 0; i < ring_count + 3; i++)
		tracing_end(&scene->x);
	assert_int_equal(span_ring_waiting(&ring), ring_count);
	assert_int_equal(metrics_read(&cells, M_SPANS_DROPPED), 3);
	span_ring_take(&ring, 2);
	for (int i = 0; i < 3; i++)
		tracing_end(&scene->x);
	assert_int_equal(span_ring_waiting(&ring), ring_count);
	assert_int_equal(metrics_read(&cells, M_SPANS_DROPPED), 4);
}

static void the_log_knows_a_trace_that_only_passes(void **state)
{
	struct scene *scene = *state;
	u64 trace_id[2], span_id;
	char text[32];

	scene_request(scene, "/", "traceparent: " SAMPLED "\r\n");
	assert_true(tracing_ids(&scene->x, trace_id, &span_id));
	hex_put_16(text, trace_id[0], trace_id[1]);
	assert_memory_equal(text, PARENT, sizeof(text));
	assert_true(span_id == 0);
	scene_request(scene, "/", "");
	assert_false(tracing_ids(&scene->x, trace_id, &span_id));
	begin(scene, "traceparent: " OTHER "\r\n");
	assert_true(tracing_ids(&scene->x, trace_id, &span_id));
	assert_true(span_id == 0);
	begin(scene, "");
	assert_true(tracing_ids(&scene->x, trace_id, &span_id));
	assert_true(span_id == scene->x.tracing.context.parent_id);
}

// ---- Two threads --------------------------------------------------------------------------------

enum { sent_max = 100 * 1000 };

static void *write_spans(void *arg)
{
	(void)arg;
	for (u64 i = 0; i < sent_max;) {
		struct span *span = span_ring_open(&ring);

		if (!span)
			continue;
		*span = (struct span){.id = i + 1, .took_us = i * 3};
		span_ring_commit(&ring);
		i++;
	}
	return NULL;
}

static void a_reader_in_another_thread(void **state)
{
	pthread_t writer;

	(void)state;
	assert_int_equal(pthread_create(&writer, NULL, write_spans, NULL), 0);
	for (u64 read = 0; read < sent_max;) {
		u32 waiting = span_ring_waiting(&ring);

		assert_true(waiting <= ring_count);
		for (u32 i = 0; i < waiting; i++) {
			const struct span *span = span_ring_peek(&ring, i);

			assert_true(span->id == read + i + 1 && span->took_us == (read + i) * 3);
		}
		span_ring_take(&ring, waiting);
		read += waiting;
	}
	pthread_join(writer, NULL);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(goes_on_with_what_the_client_began),
		TEST(stands_aside_where_the_client_does_not_record),
		TEST(the_ratio_counts_where_it_is_to_count_for_all),
		TEST(begins_a_trace_where_there_is_none),
		TEST(believes_whom_it_may),
		TEST(passes_a_state_that_is_well_formed),
		TEST(shortens_a_state_that_is_too_long),
		TEST(the_ratio_is_kept),
		TEST(tells_of_a_request_and_its_tries),
		TEST(cuts_what_is_too_long),
		TEST(what_finds_no_room_is_dropped_and_counted),
		TEST(the_log_knows_a_trace_that_only_passes),
		TEST(a_reader_in_another_thread),
	};

	return cmocka_run_group_tests_name("tracing", tests, NULL, NULL);
}
