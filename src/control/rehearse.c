// SPDX-License-Identifier: Apache-2.0
#include "control/rehearse.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "control/model.h"
#include "proxy/explain.h"
#include "proxy/proxy.h"

enum { text_bytes = 512, sans_bytes = 1024 };

// For "%.*s", of what may be long.
#define CUT(text) (int)MIN((text).len, (size_t)80), (text).ptr

// All that a proxy wants to have.
struct stage {
	struct arena arena;
	struct loop *loop;
	struct snapshot *snapshot;
	struct model *model;
	struct log log;
	struct trace_ring trace;
	struct metrics_cells metrics;
	struct proxy proxy;
	const struct conf *conf;
	struct errs *errs;
	u32 failed;
};

// ---- The stage ----------------------------------------------------------------------------------

static void hear_nothing(void *owner, const struct model_change *change)
{
	(void)owner;
	(void)change;
}

static void give_addresses(struct snapshot *snapshot)
{
	for (u32 i = 0; i < snapshot->backend_count; i++) {
		struct backend *backend = snapshot->backends[i];

		if (backend && backend->addr.family == ADDR_NONE)
			backend->addr = (struct addr){.family = ADDR_V4,
				.ip = {127, 0, 0, 1},
				.port = backend->conf->port};
	}
}

static bool stage_open(struct stage *stage, const struct conf *conf)
{
	const struct loop_limits blocks = {.large_blocks_max = 1, .small_blocks_max = 1};
	const struct proxy_limits limits = {.clients_max = 1, .links_max = 1};
	const char *why;

	if (loop_new(LOOP_EPOLL, &blocks, &stage->loop, &why) != 0)
		return false;
	arena_init(&stage->arena, CONF_ARENA_BYTES_MAX);
	stage->snapshot = snapshot_build(conf, &stage->arena, 1);
	give_addresses(stage->snapshot);
	snapshot_guard(stage->snapshot, 1, 1);
	stage->model = model_new(stage->snapshot, hear_nothing, NULL, 1, loop_now_ms(stage->loop));
	trace_init(&stage->trace, &stage->loop->now_us);
	log_init(&stage->log, LOG_OFF, LOG_JSON, &stage->loop->wall_ms, 4096, NULL);
	proxy_init(&stage->proxy, stage->loop, stage->snapshot, 0, &limits, &stage->log,
		&stage->trace, &stage->metrics, 1);
	return true;
}

static void stage_close(struct stage *stage)
{
	proxy_drain(&stage->proxy);
	while (!proxy_is_empty(&stage->proxy))
		loop_turn(stage->loop, UINT64_MAX);
	proxy_done(&stage->proxy);
	log_done(&stage->log);
	model_free(stage->model);
	loop_free(stage->loop);
	snapshot_done(stage->snapshot);
	arena_done(&stage->arena);
}

// ---- What is said -------------------------------------------------------------------------------

static void fail_test(struct stage *stage, const struct conf_test *test,
	const struct conf_expected *at, const char *what, const char *advice)
{
	stage->failed++;
	conf_fail_test(stage->conf, test, at, what, advice, stage->errs);
}

// Why the route that was expected did not take it. False: it was not asked.
static bool tell_why(const struct explain *explain, const struct conf_expected *route,
	char advice[static text_bytes])
{
	static const char *const conditions[] = {[ROUTER_MISS_HOST] = "the host",
		[ROUTER_MISS_PATH] = "the path",
		[ROUTER_MISS_METHOD] = "the method",
		[ROUTER_MISS_HEADER] = "the field",
		[ROUTER_MISS_VERIFIED] = "client_cert.verified",
		[ROUTER_MISS_SUBJECT] = "client_cert.subject",
		[ROUTER_MISS_SAN] = "client_cert.san"};

	for (u32 i = 0; i < explain->route_count; i++) {
		const struct explain_route *one = &explain->routes[i];
		struct str got = one->got.ptr ? one->got : STR("nothing");

		if (one->miss == ROUTER_MATCHES || !str_eq(one->name, route->text))
			continue;
		snprintf(advice, text_bytes, "%.*s wants %s %.*s, and this is %.*s", CUT(one->name),
			conditions[one->miss], CUT(one->wanted), CUT(got));
		return true;
	}
	return false;
}

// ---- What came ----------------------------------------------------------------------------------

static bool is_it(const struct conf_expected *expected, struct str got)
{
	return str_eq(expected->text, got.len ? got : STR("none"));
}

static void expect_with(struct stage *stage, const struct conf_test *test,
	const struct conf_expected *expected, const char *what, struct str got, const char *advice)
{
	char text[text_bytes];

	if (!expected->text.ptr || is_it(expected, got))
		return;
	got = got.len ? got : STR("none");
	snprintf(text, sizeof(text), "%s is %.*s, not %.*s", what, CUT(got), CUT(expected->text));
	fail_test(stage, test, expected, text, advice);
}

static void expect(struct stage *stage, const struct conf_test *test,
	const struct conf_expected *expected, const char *what, struct str got)
{
	expect_with(stage, test, expected, what, got, NULL);
}

static void expect_route(
	struct stage *stage, const struct conf_test *test, const struct explain *explain)
{
	char advice[text_bytes];
	bool is_known = tell_why(explain, &test->expect.route, advice);

	expect_with(stage, test, &test->expect.route, "the route", explain->route,
		is_known ? advice : NULL);
}

// Of a split any pool that may be.
static void expect_pool(
	struct stage *stage, const struct conf_test *test, const struct explain *explain)
{
	for (u32 i = 0; i < explain->share_count; i++)
		if (test->expect.pool.text.ptr && explain->shares[i].weight &&
			is_it(&test->expect.pool, explain->shares[i].pool))
			return;
	expect(stage, test, &test->expect.pool, "the pool",
		explain->pool_count ? explain->pools[0].name : STR_EMPTY);
}

static void expect_status(
	struct stage *stage, const struct conf_test *test, const struct explain *explain)
{
	char status[8] = "";

	// A page of our own says how the servers are, and is there in any case.
	if (explain->end == EXPLAIN_ANSWERED && explain->outcome == OUTCOME_BUILTIN)
		snprintf(status, sizeof(status), "200");
	else if (explain->end == EXPLAIN_ANSWERED)
		snprintf(status, sizeof(status), "%u", explain->status);
	expect(stage, test, &test->expect.status, "the status", str_from(status));
}

static struct str find_field(struct str head, struct str name)
{
	(void)str_cut(&head, '\n');
	while (head.len) {
		struct str value = str_cut(&head, '\n'), field = str_cut(&value, ':');

		if (!str_eq_nocase(field, name))
			continue;
		if (value.len && value.ptr[value.len - 1] == '\r')
			value.len--;
		return str_trim(value);
	}
	return STR_EMPTY;
}

static void expect_fields(
	struct stage *stage, const struct conf_test *test, const struct explain *explain)
{
	for (u32 i = 0; i < test->expect.header_count; i++) {
		const struct conf_expected *one = &test->expect.headers[i];
		char what[text_bytes];

		if (explain->end != EXPLAIN_SENT) {
			fail_test(stage, test, one, "nothing is sent to a backend", NULL);
			return;
		}
		snprintf(what, sizeof(what), "the backend's field %.*s", CUT(one->name));
		expect(stage, test, one, what, find_field(explain->head, one->name));
	}
}

// As a client would show them; those that do not fit would not fit there either.
static struct str join_names(const struct conf_names *names, char text[static sans_bytes])
{
	size_t len = 0;

	for (u32 i = 0; i < names->count; i++) {
		struct str name = names->names[i];

		if (len + name.len + 1 > sans_bytes)
			continue;
		if (len)
			text[len++] = ',';
		memcpy(text + len, name.ptr, name.len);
		len += name.len;
	}
	return str_make(text, len);
}

static void run_test(struct stage *stage, const struct conf_test *test)
{
	struct explain_ask ask = {.method = test->method,
		.url = test->url,
		.frontend = test->frontend,
		.from = test->from,
		.field_count = test->field_count};
	struct explain_field *fields = mem_alloc(sizeof(*fields) * MAX(test->field_count, 1u));
	struct explain *explain = mem_alloc(sizeof(*explain));
	char sans[sans_bytes], text[text_bytes];

	ask.cert_subject = test->cert_subject;
	ask.cert_sans = join_names(&test->cert_sans, sans);
	for (u32 i = 0; i < test->field_count; i++)
		fields[i] = (struct explain_field){test->fields[i].name, test->fields[i].text};
	ask.fields = fields;
	explain_run(explain, &stage->proxy, &ask);
	if (explain->end == EXPLAIN_ERROR) {
		fail_test(stage, test, NULL, explain->error, explain->cure);
	} else if (explain->end == EXPLAIN_DENIED) {
		snprintf(text, sizeof(text), "its client may not connect, by %s",
			explain->guard_key);
		fail_test(stage, test, NULL, text, NULL);
	} else {
		expect_route(stage, test, explain);
		expect_pool(stage, test, explain);
		expect_status(stage, test, explain);
		expect(stage, test, &test->expect.location, "the location", explain->location);
		expect_fields(stage, test, explain);
	}
	explain_done(explain);
	mem_free(explain);
	mem_free(fields);
}

u32 rehearse(const struct conf *conf, struct errs *errs)
{
	struct stage *stage;
	u32 failed;

	if (conf->test_count == 0)
		return 0;
	stage = mem_alloc(sizeof(*stage));
	stage->conf = conf;
	stage->errs = errs;
	if (stage_open(stage, conf)) {
		for (u32 i = 0; i < conf->test_count; i++)
			run_test(stage, &conf->tests[i]);
		stage_close(stage);
	} else {
		fail_test(stage, &conf->tests[0], NULL, "there is no descriptor to run it with",
			NULL);
	}
	failed = stage->failed;
	mem_free(stage);
	return failed;
}
