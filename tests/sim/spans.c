// SPDX-License-Identifier: Apache-2.0
// Seeds in which requests are traced: what backends were told of their traces, against the spans
// that the worker left behind.
#include "base/mem.h"
#include "sim.h"

enum { ring_count = 8192, seen_max = 4 * CALLS_MAX * ATTEMPTS_MAX, traced_one_in = 4 };

struct spans {
	struct span_ring ring;
	struct trace_context seen[seen_max]; // in heads that came to backends
	u32 seen_count;
};

void spans_start(struct world *world)
{
	struct conf_tracing conf = {.sample = CONF_WHOLE};

	// Not by the world's dice: what happens in a seed stays the same.
	if (world->seed % traced_one_in)
		return;
	world->spans = mem_alloc(sizeof(*world->spans));
	span_ring_init(&world->spans->ring, ring_count);
	world->proxy->spans = &world->spans->ring;
	tracing_rules_init(&world->proxy->tracing, &conf);
}

void spans_note(struct call *call, const struct read_message *message)
{
	const struct str *field = message_find(message, "traceparent");
	struct spans *spans = call->world->spans;
	struct trace_context *context;

	if (!spans) {
		if (field)
			world_fail(call->world, "call %u: has a trace that nobody began", call->id);
		return;
	}
	context = &spans->seen[spans->seen_count];
	if (spans->seen_count == seen_max || !field || message_count(message, "traceparent") != 1 ||
		!trace_context_parse(*field, context))
		world_fail(call->world, "call %u: came without its trace", call->id);
	else
		spans->seen_count++;
}

static const struct span *span_at(const struct spans *spans, u32 at)
{
	return span_ring_peek(&spans->ring, at);
}

static bool is_same_trace(const struct span *span, const u64 trace_id[2])
{
	return span->trace_id[0] == trace_id[0] && span->trace_id[1] == trace_id[1];
}

// The only span of this id, or NULL.
static const struct span *find(const struct spans *spans, u64 id)
{
	const struct span *found = NULL;

	for (u32 i = 0; i < span_ring_waiting(&spans->ring); i++) {
		if (span_at(spans, i)->id != id)
			continue;
		if (found)
			return NULL;
		found = span_at(spans, i);
	}
	return found;
}

// Tries are numbered as they were made: each has its span, and within that of its request.
static void check_tries(struct world *world, const struct span *server)
{
	u32 tries = 0, sum = 0;

	for (u32 i = 0; i < span_ring_waiting(&world->spans->ring); i++) {
		const struct span *span = span_at(world->spans, i);

		if (span->kind != SPAN_CLIENT || span->parent_id != server->id)
			continue;
		tries++;
		sum += span->resends;
		if (!is_same_trace(span, server->trace_id) || !span->backend ||
			span->begun_us < server->begun_us ||
			span->begun_us + (i64)span->took_us >
				server->begun_us + (i64)server->took_us)
			world_fail(world, "a try is no part of its request's span");
	}
	if (tries && sum != tries * (tries - 1) / 2)
		world_fail(world, "a request of %u tries lacks some of their spans", tries);
}

static bool has_tcp(const struct world *world)
{
	for (u32 i = 0; i < world->conf->frontend_count; i++)
		if (world->conf->frontends[i].protocol == CONF_TCP)
			return true;
	return false;
}

void spans_check(struct world *world)
{
	struct spans *spans = world->spans;
	u64 requests = metrics_read(&world->metrics, M_REQUESTS), servers = 0;

	if (!spans)
		return;
	for (u32 i = 0; i < spans->seen_count; i++) {
		const struct span *span = find(spans, spans->seen[i].parent_id);

		if (!span || span->kind != SPAN_CLIENT ||
			!is_same_trace(span, spans->seen[i].trace_id))
			world_fail(world, "a backend was told of a span that nobody left");
	}
	for (u32 i = 0; i < span_ring_waiting(&spans->ring); i++) {
		const struct span *span = span_at(spans, i);

		servers += span->kind == SPAN_SERVER;
		if (!find(spans, span->id))
			world_fail(world, "two spans have one id");
		if (span->kind == SPAN_SERVER)
			check_tries(world, span);
		else if (!find(spans, span->parent_id))
			world_fail(world, "a try without its request's span");
	}
	if (servers > requests || (!has_tcp(world) && servers != requests))
		world_fail(world, "%llu spans of %llu requests", (unsigned long long)servers,
			(unsigned long long)requests);
	if (metrics_read(&world->metrics, M_SPANS_DROPPED))
		world_fail(world, "spans were dropped");
}

void spans_free(struct world *world)
{
	if (!world->spans)
		return;
	span_ring_done(&world->spans->ring);
	mem_free(world->spans);
}
