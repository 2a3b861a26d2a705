// SPDX-License-Identifier: Apache-2.0
// What the requests of a log ask for, and how quick its backends are.
//
// A log has the time that a request spent at its backend, which is waiting and being served;
// replayed as it is, everybody would wait twice. With so many slots, first come, first served,
// waiting can be told from service: a request was begun when it came or when the last but (slots -
// 1) of those before it was done, whichever was later. Were the slots fewer than they are, some
// requests would have been done before they began.
//
// A backend's speed is one over the mean of its service times, and what a request asks for is its
// service time times the speed of the backend that it met.
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/simulate.h"

enum {
	samples_min = 30, // of a backend, below which its speed is taken to be the mean
};

// Times are in whole milliseconds in a log.
static const double tolerance_ms = 2;
static const double impossible_most = 0.01;
static const double service_min_ms = 0.001;

struct visit {
	double sent_ms;
	u32 request, backend;
};

// ---- Service times ------------------------------------------------------------------------------

static int by_visit(const void *a, const void *b)
{
	const struct visit *x = a, *y = b;

	if (x->backend != y->backend)
		return x->backend > y->backend ? 1 : -1;
	if (x->sent_ms > y->sent_ms || x->sent_ms < y->sent_ms)
		return x->sent_ms > y->sent_ms ? 1 : -1;
	return x->request > y->request ? 1 : -1;
}

static struct visit *sort_visits(const struct simulate_trace *trace)
{
	struct visit *visits = mem_alloc(sizeof(*visits) * MAX(trace->count, 1));

	for (u32 i = 0; i < trace->count; i++)
		visits[i] =
			(struct visit){trace->requests[i].sent_ms, i, trace->requests[i].backend};
	qsort(visits, trace->count, sizeof(*visits), by_visit);
	return visits;
}

// The latest ends of those before, as many as there are slots; the earliest of them first.
struct ends {
	double *heap;
	u32 count, slots;
};

static void ends_add(struct ends *ends, double at)
{
	u32 i;

	if (ends->count < ends->slots) {
		for (i = ends->count++; i > 0 && ends->heap[(i - 1) / 2] > at; i = (i - 1) / 2)
			ends->heap[i] = ends->heap[(i - 1) / 2];
		ends->heap[i] = at;
		return;
	}
	if (at <= ends->heap[0])
		return;
	for (i = 0;;) {
		u32 child = 2 * i + 1;

		if (child >= ends->count)
			break;
		if (child + 1 < ends->count && ends->heap[child + 1] < ends->heap[child])
			child++;
		if (ends->heap[child] >= at)
			break;
		ends->heap[i] = ends->heap[child];
		i = child;
	}
	ends->heap[i] = at;
}

// Sets service_ms as it was at the backend. Gives how many would have been done before they began.
static u32 take_out_waiting(struct simulate_trace *trace, const struct visit *visits, u32 slots)
{
	struct ends ends = {.heap = mem_alloc(sizeof(double) * slots), .slots = slots};
	u32 impossible = 0;

	for (u32 i = 0; i < trace->count; i++) {
		struct simulate_request *request = &trace->requests[visits[i].request];
		double begun = request->sent_ms;

		if (i > 0 && visits[i].backend != visits[i - 1].backend)
			ends.count = 0;
		if (ends.count == slots && visits[i].backend != SIMULATE_NO_BACKEND)
			begun = fmax(begun, ends.heap[0]);
		impossible += request->done_ms < begun - tolerance_ms;
		request->service_ms = fmax(request->done_ms - begun, service_min_ms);
		ends_add(&ends, request->done_ms);
	}
	mem_free(ends.heap);
	return impossible;
}

// ---- Speeds -------------------------------------------------------------------------------------

static double mean_of(const struct simulate_trace *trace, const struct visit *visits, u32 count)
{
	double sum = 0;

	for (u32 i = 0; i < count; i++)
		sum += trace->requests[visits[i].request].service_ms;
	return sum / count;
}

static void find_speeds(struct simulate_trace *trace, const struct visit *visits)
{
	double sum = 0;
	u32 known = 0;

	for (u32 i = 0; i < trace->backend_count; i++)
		trace->backends[i].speed = 0;
	for (u32 i = 0, end; i < trace->count; i = end) {
		u32 backend = visits[i].backend;

		end = i + 1;
		while (end < trace->count && visits[end].backend == backend)
			end++;
		if (end - i < samples_min || backend == SIMULATE_NO_BACKEND)
			continue;
		trace->backends[backend].speed = 1 / mean_of(trace, visits + i, end - i);
		sum += trace->backends[backend].speed;
		known++;
	}
	for (u32 i = 0; i < trace->backend_count; i++) {
		double *speed = &trace->backends[i].speed;

		*speed = *speed > 0 ? *speed * known / sum : 1;
	}
}

static void apply_speeds(struct simulate_trace *trace)
{
	double work = 0;

	for (u32 i = 0; i < trace->count; i++) {
		struct simulate_request *request = &trace->requests[i];

		if (request->backend != SIMULATE_NO_BACKEND)
			request->service_ms *= trace->backends[request->backend].speed;
		work += request->service_ms;
	}
	trace->busy = trace->count && trace->requests[trace->count - 1].at_ms > 0
			      ? work / trace->requests[trace->count - 1].at_ms
			      : 0;
}

// ---- The two calls ------------------------------------------------------------------------------

u32 simulate_trace_slots(struct simulate_trace *trace)
{
	static const u32 tries[] = {
		1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
	struct visit *visits = sort_visits(trace);
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(tries) &&
		take_out_waiting(trace, visits, tries[i]) > impossible_most * trace->count)
		i++;
	mem_free(visits);
	return tries[i];
}

double simulate_trace_prepare(struct simulate_trace *trace, u32 slots)
{
	struct visit *visits = sort_visits(trace);
	u32 impossible = take_out_waiting(trace, visits, slots);

	find_speeds(trace, visits);
	apply_speeds(trace);
	mem_free(visits);
	return trace->count ? (double)impossible / trace->count : 0;
}

double simulate_trace_load(const struct simulate_options *options)
{
	const struct simulate_trace *trace = options->trace;
	bool are_logged = options->servers == trace->backend_count;
	double speeds = are_logged ? 0 : (double)options->servers;

	for (u32 i = 0; are_logged && i < trace->backend_count; i++)
		speeds += trace->backends[i].speed;
	return trace->busy * options->pace / (speeds * (double)options->slots);
}
