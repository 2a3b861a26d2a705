// SPDX-License-Identifier: Apache-2.0
#include "admin/expose_lines.h"
#include "admin/expose_rows.h"
#include "decide/breaker.h"
#include "proxy/outcome.h"

struct page {
	struct expose_lines lines;
	const struct expose_source *source;
	struct expose_rows rows;
	struct metrics_cells cells; // summed
	struct text more;	    // labels of one line
};

static struct str text_of(const struct page *page, const struct expose_labels *labels)
{
	return expose_rows_text(&page->rows, labels);
}

static struct str more_of(const struct page *page)
{
	return str_make(page->more.data, page->more.len);
}

// One label of our own words, for one line.
static struct str one_label(struct page *page, const char *name, struct str value)
{
	page->more.len = 0;
	expose_label(&page->more, name, value);
	return more_of(page);
}

// ---- Cells --------------------------------------------------------------------------------------

static void put_cells(struct page *page, enum metric_family family)
{
	for (u32 i = 0; i < METRICS_COUNT; i++) {
		const struct metric_info *info = &metric_infos[i];

		if (info->family == family)
			expose_sample(&page->lines, str_from(info->labels),
				expose_gauge(page->cells.values[i]));
	}
}

static struct str origin_text(u8 origin)
{
	switch ((enum outcome_origin)origin) {
	case ORIGIN_CLIENT:
		return STR("client");
	case ORIGIN_BALANCER:
		return STR("balancer");
	case ORIGIN_BACKEND:
		return STR("backend");
	case ORIGIN_NOBODY:
		break;
	}
	return STR("nobody");
}

static void put_outcomes(struct page *page)
{
	for (u32 i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_info *info = outcome_info((enum outcome)i);

		(void)one_label(page, "outcome", info->name);
		expose_label(&page->more, "origin", origin_text(info->origin));
		expose_sample(&page->lines, more_of(page), page->cells.outcomes[i]);
	}
}

static void put_local_answers(struct page *page)
{
	for (u32 i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_info *info = outcome_info((enum outcome)i);

		if (info->status)
			expose_sample(&page->lines, one_label(page, "outcome", info->name),
				page->cells.local_answers[i]);
	}
}

static void put_reuse_ratio(struct page *page)
{
	u64 hits = page->cells.values[M_REUSE_HITS], misses = page->cells.values[M_REUSE_MISSES];

	if (hits + misses)
		expose_sample_micro(&page->lines, STR_EMPTY,
			(u64)((double)hits / (double)(hits + misses) * 1e6));
}

// ---- Requests -----------------------------------------------------------------------------------

static void label_count(struct text *more, const struct stats_count *count)
{
	static const char *const classes[] = {"0", "1xx", "2xx", "3xx", "4xx", "5xx"};
	const char *method = count->method == HTTP_OTHER_METHOD
				     ? "_OTHER"
				     : http_method_text((enum http_method)count->method);

	more->len = 0;
	expose_label(more, "method", str_from(method));
	if (count->status < ARRAY_LEN(classes)) {
		expose_label(more, "status", str_from(classes[count->status]));
		return;
	}
	text_add(more, STR(",status=\""));
	text_u64(more, count->status);
	text_addc(more, '"');
}

static void put_requests(struct page *page)
{
	for (u32 i = 0; i < page->rows.group_count; i++) {
		const struct expose_group *group = &page->rows.groups[i];
		u32 count = group->tcp ? 0 : expose_rows_count(&page->rows, group);

		for (u32 k = 0; k < count; k++) {
			label_count(&page->more, &page->rows.counts[k]);
			expose_sample_more(&page->lines, text_of(page, &group->labels),
				more_of(page), page->rows.counts[k].count);
		}
	}
}

static void put_bytes(struct page *page)
{
	for (u32 i = 0; i < page->rows.group_count; i++) {
		const struct expose_group *group = &page->rows.groups[i];
		struct str labels = text_of(page, &group->labels);

		expose_sample_more(
			&page->lines, labels, STR("direction=\"to_backend\""), group->bytes_in);
		expose_sample_more(
			&page->lines, labels, STR("direction=\"to_client\""), group->bytes_out);
	}
}

static void put_tcp_connections(struct page *page)
{
	for (u32 i = 0; i < page->rows.group_count; i++) {
		const struct expose_group *group = &page->rows.groups[i];
		struct str labels = text_of(page, &group->labels);
		u64 failed = group->errors, all = 0;

		if (!group->tcp)
			continue;
		for (u32 k = expose_rows_count(&page->rows, group); k > 0; k--)
			all += page->rows.counts[k - 1].count;
		expose_sample_more(&page->lines, labels, STR("result=\"ok\""),
			all > failed ? all - failed : 0);
		expose_sample_more(&page->lines, labels, STR("result=\"failed\""), failed);
	}
}

static void put_upgrades(struct page *page)
{
	for (u32 i = 0; i < page->rows.group_count; i++) {
		const struct expose_group *group = &page->rows.groups[i];

		if (group->upgrades)
			expose_sample(&page->lines, text_of(page, &group->labels), group->upgrades);
	}
}

static bool is_empty(const struct histogram_classic *spans)
{
	for (u32 i = 0; i < HISTOGRAM_CLASSICS; i++)
		if (spans->counts[i])
			return false;
	return true;
}

static void put_spans(struct page *page, const struct expose_labels *labels,
	const struct histogram_classic *spans, const struct stats_exemplar *exemplar)
{
	if (!is_empty(spans))
		expose_spans(&page->lines, text_of(page, labels), spans, exemplar);
}

static void put_flows(struct page *page, bool tcp)
{
	for (u32 i = 0; i < page->rows.flow_count; i++) {
		const struct expose_flow *flow = &page->rows.flows[i];

		if (flow->tcp == tcp)
			put_spans(page, &flow->labels, &flow->total,
				flow->has_exemplar ? &flow->exemplar : NULL);
	}
}

static void put_sizes(struct page *page, bool of_answers)
{
	for (u32 i = 0; i < page->rows.flow_count; i++) {
		const struct expose_flow *flow = &page->rows.flows[i];

		if (!flow->tcp && !is_empty(&flow->total))
			expose_sizes(&page->lines, text_of(page, &flow->labels),
				of_answers ? &flow->response : &flow->request);
	}
}

static void put_frontend_connections(struct page *page)
{
	const struct expose_source *source = page->source;

	if (!source->stats)
		return;
	for (u32 i = 0; i < source->snapshot->frontend_count; i++) {
		const struct frontend *frontend = source->snapshot->frontends[i];
		u64 sum = 0;

		if (!frontend)
			continue;
		for (u32 w = 0; w < source->worker_count; w++)
			sum += stats_connections(source->stats[w], frontend);
		expose_sample(&page->lines, one_label(page, "frontend", frontend->conf->name),
			expose_gauge(sum));
	}
}

// ---- Pools --------------------------------------------------------------------------------------

static u64 pool_value(const struct page *page, const struct pool *pool, enum metric_family family)
{
	const struct expose_pool *state = &page->source->pools[pool->index];
	u64 healthy = 0, eligible = 0;

	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct expose_backend *backend =
			&page->source->backends[pool->backends[i].cell];

		healthy += backend->healthy;
		eligible += backend->eligible;
	}
	switch (family) {
	case MF_TOTAL_BACKENDS:
		return pool->backend_count;
	case MF_HEALTHY_BACKENDS:
		return healthy;
	case MF_ELIGIBLE_BACKENDS:
		return eligible;
	case MF_POOL_PANIC:
		return state->panic;
	case MF_QUEUE_LENGTH:
		return state->waiting;
	default:
		ASSERT(false && "no family of pools");
		return 0;
	}
}

static void put_pools(struct page *page, enum metric_family family)
{
	const struct snapshot *snapshot = page->source->snapshot;

	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			expose_sample(&page->lines, text_of(page, &page->rows.waits[i].labels),
				pool_value(page, snapshot->pools[i], family));
}

static const struct histogram_classic *wait_of(
	const struct expose_waits *waits, enum metric_family family)
{
	switch (family) {
	case MF_QUEUE_DURATION:
		return &waits->queue;
	case MF_CONNECT_DURATION:
		return &waits->connect;
	default:
		return &waits->first_byte;
	}
}

static void put_waits(struct page *page, enum metric_family family)
{
	for (u32 i = 0; i < page->source->snapshot->pool_count; i++) {
		const struct expose_waits *waits = &page->rows.waits[i];

		if (page->source->snapshot->pools[i])
			put_spans(page, &waits->labels, wait_of(waits, family), NULL);
	}
}

// ---- Backends -----------------------------------------------------------------------------------

static u64 backend_value(const struct page *page, u32 cell, enum metric_family family)
{
	const struct expose_backend *backend = &page->source->backends[cell];
	const struct expose_part *part = &page->rows.parts[cell];

	switch (family) {
	case MF_BACKEND_HEALTH:
		return backend->healthy;
	case MF_BACKEND_ELIGIBLE:
		return backend->eligible;
	case MF_BACKEND_WEIGHT:
		return backend->weight;
	case MF_BACKEND_EJECTIONS:
		return backend->ejections;
	case MF_BREAKER_STATE:
		return backend->breaker;
	case MF_BREAKER_OPENINGS:
		return backend->breaker_openings;
	case MF_BREAKER_FAILURES:
		return backend->breaker_failures;
	case MF_BACKEND_REQUESTS:
		return part->requests + part->repeated + part->hedged;
	case MF_BACKEND_RETRIES:
		return part->repeated;
	case MF_BACKEND_ERRORS:
		return part->errors;
	case MF_BACKEND_REQUESTS_ACTIVE:
		return backend->in_flight;
	case MF_BACKEND_CONNECTIONS:
		return backend->connections;
	case MF_BACKEND_CONNECTIONS_IDLE:
		return backend->idle;
	default:
		ASSERT(false && "no family of backends");
		return 0;
	}
}

static void put_backends(struct page *page, enum metric_family family)
{
	for (u32 cell = 0; cell < page->source->snapshot->backend_count; cell++)
		if (page->source->snapshot->backends[cell])
			expose_sample(&page->lines, text_of(page, &page->rows.parts[cell].labels),
				backend_value(page, cell, family));
}

static void put_checks(struct page *page)
{
	for (u32 cell = 0; cell < page->source->snapshot->backend_count; cell++) {
		const struct expose_backend *backend = &page->source->backends[cell];
		struct str labels = text_of(page, &page->rows.parts[cell].labels);

		if (!page->source->snapshot->backends[cell] || !backend->is_checked)
			continue;
		expose_sample_more(
			&page->lines, labels, STR("result=\"passed\""), backend->checks_passed);
		expose_sample_more(
			&page->lines, labels, STR("result=\"failed\""), backend->checks_failed);
	}
}

static void put_backend_spans(struct page *page)
{
	for (u32 cell = 0; cell < page->source->snapshot->backend_count; cell++)
		if (page->source->snapshot->backends[cell])
			put_spans(page, &page->rows.parts[cell].labels,
				&page->rows.parts[cell].spent, NULL);
}

// ---- The instance -------------------------------------------------------------------------------

static void put_build(struct page *page)
{
	(void)one_label(page, "version", page->source->version);
	expose_label(&page->more, "io", page->source->io);
	expose_sample(&page->lines, more_of(page), 1);
}

static struct str worker_label(struct page *page, u32 worker)
{
	page->more.len = 0;
	text_add(&page->more, STR("worker=\""));
	text_u64(&page->more, worker);
	text_addc(&page->more, '"');
	return more_of(page);
}

static u64 worker_micro(const struct expose_worker *worker, enum metric_family family)
{
	switch (family) {
	case MF_WORKER_BUSY:
		return worker->busy_us;
	case MF_WORKER_STARVED:
		return worker->starved_us;
	default:
		return (u64)(MAX(worker->busy_ratio, 0) * 1e6);
	}
}

static void put_workers(struct page *page, enum metric_family family)
{
	for (u32 i = 0; i < page->source->worker_count; i++)
		expose_sample_micro(&page->lines, worker_label(page, i),
			worker_micro(&page->source->workers[i], family));
}

static void put_turns(struct page *page)
{
	for (u32 i = 0; i < page->source->worker_count; i++)
		expose_spans(
			&page->lines, worker_label(page, i), &page->source->workers[i].turns, NULL);
}

static void put_results(struct page *page, u64 successes, u64 failures)
{
	expose_sample(&page->lines, STR("result=\"success\""), successes);
	expose_sample(&page->lines, STR("result=\"failure\""), failures);
}

static struct str provider_labels(struct page *page, const struct expose_provider *provider)
{
	(void)one_label(page, "provider", provider->name);
	expose_label(&page->more, "type", provider->type);
	return more_of(page);
}

static void put_providers(struct page *page, enum metric_family family)
{
	for (u32 i = 0; i < page->source->provider_count; i++) {
		const struct expose_provider *one = &page->source->providers[i];
		struct str labels = provider_labels(page, one);

		if (family == MF_PROVIDER_UP)
			expose_sample(&page->lines, labels, one->is_up);
		else if (family == MF_PROVIDER_ROWS)
			expose_sample(&page->lines, labels, one->rows);
		else if (family == MF_PROVIDER_LEFT_OUT)
			expose_sample(&page->lines, labels, one->left_out);
		else if (family == MF_PROVIDER_HELD)
			expose_sample(&page->lines, labels, one->is_held);
		else if (family == MF_PROVIDER_TIME && one->read_at_ms > 0)
			expose_sample_micro(&page->lines, labels, (u64)one->read_at_ms * 1000);
	}
}

static void put_reads(struct page *page)
{
	for (u32 i = 0; i < page->source->provider_count; i++) {
		const struct expose_provider *one = &page->source->providers[i];
		struct str labels = provider_labels(page, one);

		expose_sample_more(&page->lines, labels, STR("result=\"success\""), one->reads);
		expose_sample_more(&page->lines, labels, STR("result=\"failure\""), one->errors);
	}
}

static void put_ends(
	struct page *page, const char *label, const struct expose_certificate *all, u32 count)
{
	for (u32 i = 0; i < count; i++)
		expose_sample(&page->lines, one_label(page, label, all[i].name),
			(u64)MAX(all[i].expires_at_s, 0));
}

static void put_moment(struct page *page, i64 at_ms)
{
	if (at_ms > 0)
		expose_sample_micro(&page->lines, STR_EMPTY, (u64)at_ms * 1000);
}

static void put_if(struct page *page, u64 value)
{
	if (value)
		expose_sample(&page->lines, STR_EMPTY, value);
}

// ---- All of it ----------------------------------------------------------------------------------

// False: it is one of cells.
static bool put_of_instance(struct page *page, enum metric_family family)
{
	const struct expose_source *source = page->source;

	switch (family) {
	case MF_MAX_CONNECTIONS:
		put_if(page, source->connections_max);
		return true;
	case MF_REUSE_RATIO:
		put_reuse_ratio(page);
		return true;
	case MF_BUILD:
		put_build(page);
		return true;
	case MF_WORKERS:
		expose_sample(&page->lines, STR_EMPTY, source->worker_count);
		return true;
	case MF_WORKER_BUSY:
	case MF_WORKER_STARVED:
	case MF_WORKER_BUSY_RATIO:
		put_workers(page, family);
		return true;
	case MF_WORKER_TURN:
		put_turns(page);
		return true;
	case MF_DRAINING:
		expose_sample(&page->lines, STR_EMPTY, source->draining);
		return true;
	case MF_RESTARTS:
		expose_sample(&page->lines, STR_EMPTY, source->restarts);
		return true;
	case MF_BINARY_UPGRADES:
		put_results(page, source->upgrades, source->upgrades_failed);
		return true;
	case MF_CONFIG_RELOADS:
		put_results(page, source->reloads, source->reloads_failed);
		return true;
	case MF_CONFIG_SUCCESS:
		expose_sample(&page->lines, STR_EMPTY, !source->config_refused);
		return true;
	case MF_CONFIG_GENERATION:
		expose_sample(&page->lines, STR_EMPTY, source->config_generation);
		return true;
	case MF_CONFIG_TIME:
		put_moment(page, source->config_at_ms);
		return true;
	case MF_CERTIFICATE:
		put_ends(page, "certificate", source->certificates, source->certificate_count);
		return true;
	case MF_OCSP:
		put_ends(page, "response", source->staples, source->staple_count);
		return true;
	case MF_PROVIDER_UP:
	case MF_PROVIDER_ROWS:
	case MF_PROVIDER_LEFT_OUT:
	case MF_PROVIDER_HELD:
	case MF_PROVIDER_TIME:
		put_providers(page, family);
		return true;
	case MF_PROVIDER_READS:
		put_reads(page);
		return true;
	case MF_PROCESS_CPU:
		expose_sample_micro(&page->lines, STR_EMPTY, source->process.cpu_us);
		return true;
	case MF_PROCESS_RESIDENT:
		put_if(page, source->process.resident_bytes);
		return true;
	case MF_PROCESS_VIRTUAL:
		put_if(page, source->process.virtual_bytes);
		return true;
	case MF_PROCESS_FDS:
		put_if(page, source->process.fds);
		return true;
	case MF_PROCESS_FDS_MAX:
		put_if(page, source->process.fds_max);
		return true;
	case MF_PROCESS_START:
		put_moment(page, source->process.started_at_ms);
		return true;
	default:
		return false;
	}
}

// False: it is none of these.
static bool put_of_requests(struct page *page, enum metric_family family)
{
	switch (family) {
	case MF_REQUESTS:
		put_requests(page);
		return true;
	case MF_REQUEST_DURATION:
		put_flows(page, false);
		return true;
	case MF_REQUEST_SIZE:
		put_sizes(page, false);
		return true;
	case MF_RESPONSE_SIZE:
		put_sizes(page, true);
		return true;
	case MF_PROXIED_BYTES:
		put_bytes(page);
		return true;
	case MF_OUTCOMES:
		put_outcomes(page);
		return true;
	case MF_LOCAL_ANSWERS:
		put_local_answers(page);
		return true;
	case MF_TCP_CONNECTIONS:
		put_tcp_connections(page);
		return true;
	case MF_TCP_DURATION:
		put_flows(page, true);
		return true;
	case MF_UPGRADES:
		put_upgrades(page);
		return true;
	case MF_FRONTEND_CONNECTIONS:
		put_frontend_connections(page);
		return true;
	default:
		return false;
	}
}

static bool put_of_backends(struct page *page, enum metric_family family)
{
	switch (family) {
	case MF_TOTAL_BACKENDS:
	case MF_HEALTHY_BACKENDS:
	case MF_ELIGIBLE_BACKENDS:
	case MF_POOL_PANIC:
	case MF_QUEUE_LENGTH:
		put_pools(page, family);
		return true;
	case MF_QUEUE_DURATION:
	case MF_CONNECT_DURATION:
	case MF_FIRST_BYTE_DURATION:
		put_waits(page, family);
		return true;
	case MF_BACKEND_CHECKS:
		put_checks(page);
		return true;
	case MF_BACKEND_DURATION:
		put_backend_spans(page);
		return true;
	case MF_BACKEND_HEALTH:
	case MF_BACKEND_ELIGIBLE:
	case MF_BACKEND_WEIGHT:
	case MF_BACKEND_EJECTIONS:
	case MF_BREAKER_STATE:
	case MF_BREAKER_OPENINGS:
	case MF_BREAKER_FAILURES:
	case MF_BACKEND_REQUESTS:
	case MF_BACKEND_RETRIES:
	case MF_BACKEND_ERRORS:
	case MF_BACKEND_REQUESTS_ACTIVE:
	case MF_BACKEND_CONNECTIONS:
	case MF_BACKEND_CONNECTIONS_IDLE:
		put_backends(page, family);
		return true;
	default:
		return false;
	}
}

void expose_write(struct text *text, enum expose_format format, const struct expose_source *source)
{
	struct page page = {
		.lines = {.text = text, .openmetrics = format == EXPOSE_OPENMETRICS},
		.source = source,
	};

	for (u32 i = 0; i < source->cells_count; i++)
		metrics_sum(source->cells[i], &page.cells);
	expose_rows_init(&page.rows, source);
	for (u32 i = 0; i < METRIC_FAMILIES_COUNT; i++) {
		enum metric_family family = (enum metric_family)i;

		expose_family(&page.lines, family);
		if (!put_of_requests(&page, family) && !put_of_backends(&page, family) &&
			!put_of_instance(&page, family))
			put_cells(&page, family);
	}
	if (format == EXPOSE_OPENMETRICS)
		text_add(text, STR("# EOF\n"));
	expose_rows_done(&page.rows);
	text_done(&page.more);
}
