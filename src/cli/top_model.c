// SPDX-License-Identifier: Apache-2.0
#include "cli/top_model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/call.h"
#include "cli/verdict_text.h"

const char *top_finding_word(enum top_finding finding)
{
	static const char *const words[] = {
#define X(name, word) word,
		TOP_FINDINGS(X)
#undef X
	};

	return words[finding];
}

const char *top_sort_word(enum top_sort sort)
{
	static const char *const words[] = {
#define X(name, word) word,
		TOP_SORTS(X)
#undef X
	};

	return words[sort];
}

// ---- Memory -------------------------------------------------------------------------------------

void top_model_init(struct top_model *model)
{
	*model = (struct top_model){.instance = "", .verdict = "", .level = LEVEL_NOTE};
}

static void drop_events(struct top_model *model)
{
	for (u32 i = 0; i < model->event_count; i++)
		json_decref(model->events[i].tree);
	model->event_count = 0;
}

static void drop_backends(struct top_model *model)
{
	for (u32 i = 0; i < model->backend_count; i++)
		json_decref(model->backends[i].tree);
	model->backend_count = 0;
}

void top_model_done(struct top_model *model)
{
	drop_events(model);
	drop_backends(model);
	json_decref(model->state);
	text_done(&model->said);
	mem_free(model->pools);
	mem_free(model->backends);
	mem_free(model->rows);
	top_model_init(model);
}

// At least `count` elements of `size` bytes.
static void *grow(void *array, u32 *room, u32 count, size_t size)
{
	if (count <= *room)
		return array;
	*room = MAX(count, *room * 2);
	return mem_realloc(array, *room * size);
}

// ---- State --------------------------------------------------------------------------------------

static void read_spark(struct top_backend *one, const json_t *spark)
{
	size_t count = json_array_size(spark), skip = 0;

	if (count > TOP_SPARK_MAX)
		skip = count - TOP_SPARK_MAX;
	one->spark_count = (u32)(count - skip);
	for (size_t i = skip; i < count; i++) {
		const json_t *value = json_array_get(spark, i);

		one->spark[i - skip] = json_is_number(value) ? json_number_value(value) : NAN;
	}
}

static void read_texts(struct top_backend *one, const json_t *tree)
{
	one->pool = call_string(tree, "pool");
	one->id = call_string(tree, "id");
	one->address = call_string(tree, "address");
	one->etag = call_string(tree, "etag");
	one->state = call_string(tree, "state");
	one->reason = call_string(tree, "reason");
	one->admin = call_string(tree, "admin");
	one->breaker = call_string(tree, "breaker");
	one->breaker_forced = call_string(tree, "breaker_forced");
	one->takes = call_is(tree, "takes_requests");
	one->is_backup = call_is(tree, "backup");
}

static void read_oddities(struct top_backend *one, const json_t *tree)
{
	static const char *const words[] = {
		[TOP_ERRORS] = "fails", [TOP_SLOW] = "slow", [TOP_FLAPS] = "flapping"};
	const json_t *odd;
	size_t at;

	json_array_foreach(json_object_get(tree, "odd"), at, odd)
	{
		const char *what = call_string(odd, "what");

		for (u32 i = TOP_NOTHING + 1; i < TOP_FINDING_COUNT; i++)
			if (strcmp(what, words[i]) == 0)
				one->odd[i] = (struct top_odd){.text = call_string(odd, "text"),
					.since_at_ms = call_number(odd, "since_at_ms")};
	}
	one->changes = (u32)MAX(call_number(tree, "changes"), 0.0);
	one->changes_span_ms = call_number(tree, "changes_span_ms");
	one->times = one->odd[TOP_SLOW].text ? call_number(tree, "slow_times")
					     : one->p99_us / call_number(tree, "peers_p99_us");
}

static void read_backend(struct top_backend *one, json_t *tree)
{
	const json_t *check = json_object_get(tree, "last_check");

	*one = (struct top_backend){.tree = json_incref(tree)};
	read_texts(one, tree);
	one->since_at_ms = call_number(tree, "since_at_ms");
	one->weight = call_number(tree, "weight");
	one->weight_configured = call_number(tree, "weight_configured");
	one->share = call_number(tree, "share_ratio");
	one->rate = call_number(tree, "requests_per_s");
	one->errors = call_number(tree, "errors_per_s");
	one->p50_us = call_number(tree, "p50_us");
	one->p99_us = call_number(tree, "p99_us");
	one->in_flight = call_number(tree, "in_flight");
	one->connections = call_number(tree, "connections");
	one->connections_max = call_number(tree, "connections_max");
	one->idle = call_number(tree, "idle");
	one->streak = call_number(tree, "streak");
	one->ejected_until_at_ms = call_number(tree, "ejected_until_at_ms");
	one->next_check_at_ms = call_number(tree, "next_check_at_ms");
	one->check_passed = call_is(check, "passed");
	one->check_reason = call_string(check, "reason");
	one->check_us = call_number(check, "latency_us");
	one->checked_at_ms = call_number(check, "at_ms");
	read_spark(one, json_object_get(tree, "spark"));
	read_oddities(one, tree);
}

static bool is_same(const struct top_backend *one, const json_t *tree)
{
	return strcmp(one->id, call_string(tree, "id")) == 0 &&
	       strcmp(one->pool, call_string(tree, "pool")) == 0;
}

static void add_backend(struct top_model *model, json_t *tree)
{
	model->backends = grow(model->backends, &model->backend_room, model->backend_count + 1,
		sizeof(*model->backends));
	read_backend(&model->backends[model->backend_count++], tree);
}

// Those that changed come in the order that all of them have, so each is looked for from where the
// last one was.
static void merge_backends(struct top_model *model, const json_t *changed)
{
	u32 from = 0;
	json_t *tree;
	size_t at;

	json_array_foreach(changed, at, tree)
	{
		u32 steps = 0;

		while (steps < model->backend_count && !is_same(&model->backends[from], tree)) {
			from = from + 1 < model->backend_count ? from + 1 : 0;
			steps++;
		}
		if (steps == model->backend_count) {
			add_backend(model, tree);
			continue;
		}
		json_decref(model->backends[from].tree);
		read_backend(&model->backends[from], tree);
	}
}

static void read_pool(struct top_pool *pool, const json_t *tree)
{
	*pool = (struct top_pool){
		.name = call_string(tree, "name"),
		.algorithm = call_string(tree, "algorithm"),
		.state = call_string(tree, "state"),
		.check = call_string(tree, "check"),
		.failover = call_string(tree, "failover"),
		.backends = call_number(tree, "backends"),
		.eligible = call_number(tree, "eligible"),
		.up = call_number(tree, "up"),
		.queued = call_number(tree, "queued"),
		.in_flight = call_number(tree, "in_flight"),
		.rate = call_number(tree, "requests_per_s"),
		.errors = call_number(tree, "errors_per_s"),
		.retries = call_number(tree, "retries_per_s"),
		.p50_us = call_number(tree, "p50_us"),
		.p90_us = call_number(tree, "p90_us"),
		.p99_us = call_number(tree, "p99_us"),
		.max_us = call_number(tree, "max_us"),
	};
	pool->level = level_of_pool(pool->state);
}

static void read_pools(struct top_model *model, const json_t *pools)
{
	json_t *tree;
	size_t at;

	model->pool_count = 0;
	json_array_foreach(pools, at, tree)
	{
		model->pools = grow(model->pools, &model->pool_room, model->pool_count + 1,
			sizeof(*model->pools));
		read_pool(&model->pools[model->pool_count++], tree);
	}
}

static void read_providers(struct top_totals *totals, const json_t *providers)
{
	const json_t *one;
	size_t at;

	totals->providers = totals->providers_up = 0;
	json_array_foreach(providers, at, one)
	{
		double read = call_number(one, "read_at_ms");

		if (at == 0 || isnan(read) || read < totals->read_at_ms)
			totals->read_at_ms = read;
		totals->providers++;
		totals->providers_up += call_is(one, "up");
	}
}

static void read_totals(struct top_totals *totals, const json_t *tree, const json_t *process)
{
	*totals = (struct top_totals){
		.rate = call_number(tree, "requests_per_s"),
		.errors = call_number(tree, "errors_per_s"),
		.errors_ratio = call_number(tree, "errors_ratio"),
		.client_errors = call_number(tree, "client_errors_per_s"),
		.p50_us = call_number(tree, "p50_us"),
		.p90_us = call_number(tree, "p90_us"),
		.p99_us = call_number(tree, "p99_us"),
		.max_us = call_number(tree, "max_us"),
		.connections = call_number(tree, "connections"),
		.connections_max = call_number(tree, "connections_max"),
		.in_flight = call_number(tree, "in_flight"),
		.queued = call_number(tree, "queued"),
		.tunnels = call_number(tree, "tunnels"),
		.retries = call_number(tree, "retries_per_s"),
		.workers = call_number(process, "workers"),
		.busy_ratio = call_number(process, "busy_ratio"),
	};
}

static void read_verdict(struct top_model *model)
{
	const json_t *verdict = json_object_get(model->state, "verdict");
	bool ready = call_is(model->state, "ready");

	text_clear(&model->said);
	verdict_add(&model->said, verdict);
	model->verdict = model->said.data;
	model->level = level_of_verdict(call_string(verdict, "level"));
	if (model->said.len)
		return;
	model->verdict = ready ? "ready" : "not ready: no backend may get requests";
	model->level = ready ? LEVEL_GOOD : LEVEL_BAD;
}

int top_model_take_state(struct top_model *model, struct str text)
{
	json_t *state = json_loadb(text.ptr, text.len, 0, NULL), *backends, *one;
	size_t at;

	backends = json_object_get(state, "backends");
	if (!json_is_array(backends)) {
		json_decref(state);
		return -EINVAL;
	}
	if (call_is(state, "partial")) {
		merge_backends(model, backends);
	} else {
		drop_backends(model);
		json_array_foreach(backends, at, one) add_backend(model, one);
	}
	json_object_del(state, "backends");
	json_decref(model->state);
	model->state = state;
	model->instance = call_string(state, "instance");
	model->now_at_ms = call_number(state, "now_at_ms");
	model->started_at_ms = call_number(state, "started_at_ms");
	model->may_operate = strcmp(call_string(state, "may"), "operate") == 0;
	model->draining = call_is(state, "draining");
	read_verdict(model);
	read_totals(&model->totals, json_object_get(state, "totals"),
		json_object_get(state, "process"));
	read_providers(&model->totals, json_object_get(state, "providers"));
	read_pools(model, json_object_get(state, "pools"));
	return 0;
}

// ---- Events -------------------------------------------------------------------------------------

static void add_event(struct top_model *model, json_t *tree)
{
	struct top_event *events = model->events;
	double number = call_number(tree, "number");

	if (isnan(number) ||
		(model->event_count && number <= events[model->event_count - 1].number))
		return;
	if (model->event_count == TOP_EVENTS_MAX) {
		json_decref(events[0].tree);
		memmove(&events[0], &events[1], (TOP_EVENTS_MAX - 1) * sizeof(events[0]));
		model->event_count--;
	}
	events[model->event_count++] = (struct top_event){.tree = json_incref(tree),
		.pool = call_string(tree, "pool"),
		.backend = call_string(tree, "backend"),
		.number = number,
		.at_ms = call_number(tree, "at_ms")};
}

static int by_number(const void *a, const void *b)
{
	double first = call_number(*(json_t *const *)a, "number");
	double second = call_number(*(json_t *const *)b, "number");

	return first < second ? -1 : first > second;
}

void top_model_take_events(struct top_model *model, struct str text)
{
	json_t *tree = json_loadb(text.ptr, text.len, 0, NULL);
	json_t *list = json_object_get(tree, "events");
	size_t count = json_array_size(list);
	json_t **all = mem_alloc((count + 1) * sizeof(json_t *));

	drop_events(model);
	for (size_t i = 0; i < count; i++)
		all[i] = json_array_get(list, i);
	qsort(all, count, sizeof(json_t *), by_number);
	for (size_t i = 0; i < count; i++)
		add_event(model, all[i]);
	mem_free(all);
	json_decref(tree);
}

void top_model_take_event(struct top_model *model, struct str text)
{
	json_t *tree = json_loadb(text.ptr, text.len, 0, NULL);

	add_event(model, tree);
	json_decref(tree);
}
