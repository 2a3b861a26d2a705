// SPDX-License-Identifier: Apache-2.0
#include "upstream/load.h"

#include "proto/load_report.h"
#include "upstream/pick.h"

static nsec now_of(const struct upstream *upstream)
{
	return loop_now_us(upstream->loop) * 1000;
}

void load_init(struct picker *picker)
{
	struct pool *pool = picker->pool;
	const struct prequal_options *options = &pool->conf->prequal.options;

	list_init(&picker->told);
	picker->prequal = NULL;
	if (pool->load == CONF_PREQUAL_PROBE) {
		picker->prequal = arena_zalloc(&picker->arena, sizeof(*picker->prequal));
		prequal_init(picker->prequal, options, pool->backend_count);
	}
	for (u32 i = 0; pool->load == CONF_PREQUAL_HEADER && i < pool->backend_count; i++) {
		struct load_told *told = arena_zalloc(&picker->arena, sizeof(*told));

		list_init(&told->node);
		told->backend = &pool->backends[i];
		upstream_cell(picker->upstream, told->backend)->told = told;
	}
}

// False: it tells nothing.
static bool read_report(struct upstream *upstream, const struct pool *pool,
	const struct http_head *head, struct load_report *ret_report)
{
	const struct http_field *field = http_head_find_name(head, pool->conf->prequal.header);

	if (!field)
		return false;
	if (!load_report_parse(str_make(field->value, field->value_len), ret_report)) {
		metrics_inc(upstream->metrics, M_LOAD_REPORTS_MALFORMED);
		return false;
	}
	metrics_inc(upstream->metrics, M_LOAD_REPORTS);
	return true;
}

// ---- Heads of answers ---------------------------------------------------------------------------

void load_note_answer(
	struct upstream *upstream, struct backend *backend, const struct http_head *head)
{
	struct picker *picker = upstream_picker(upstream, backend->pool);
	struct load_told *told = upstream_cell(upstream, backend)->told;
	struct load_report report;

	backend = told ? picker_backend_now(upstream, backend) : NULL;
	if (!backend)
		return;
	// A failure is quickly made and leaves little in flight: it shall not draw more requests.
	if (head->status >= 500 || !read_report(upstream, backend->pool, head, &report))
		return;
	told->in_flight = report.in_flight;
	told->met = picker_in_flight(upstream, backend);
	told->has_latency = report.has_latency;
	told->latency = report.latency;
	told->at = now_of(upstream);
	list_remove(&told->node);
	list_push_back(&picker->told, &told->node);
	picker_cost_changed(picker, backend);
}

void load_expire(struct picker *picker)
{
	nsec age_max = picker->pool->conf->prequal.options.age_max;

	while (!list_is_empty(&picker->told)) {
		struct load_told *told = list_first(&picker->told, struct load_told, node);

		if (told->at + age_max >= now_of(picker->upstream))
			return;
		list_remove(&told->node);
		picker_cost_changed(picker, told->backend);
	}
}

// ---- Probes -------------------------------------------------------------------------------------

void load_note_probe(
	struct upstream *upstream, struct backend *backend, const struct http_head *head)
{
	struct picker *picker = upstream_picker(upstream, backend->pool);
	u32 own = picker_in_flight(upstream, backend);
	struct load_report report;
	double in_flight;

	if (!head || !read_report(upstream, backend->pool, head, &report))
		report = (struct load_report){.in_flight = own};
	if (!report.has_latency) {
		const struct balance_curve *curve = upstream_cell(upstream, backend)->curve;
		struct balance_ewma latency = curve_read(curve, own);

		report.latency = (nsec)ewma_read(&latency, now_of(upstream));
	}
	in_flight = picker_cost(picker, backend, report.in_flight);
	// It grows with each use.
	prequal_add(picker->prequal, backend->index, (u32)MIN(in_flight, (double)(UINT32_MAX / 2)),
		report.latency, now_of(upstream), &upstream->rng);
}
