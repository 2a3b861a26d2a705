// SPDX-License-Identifier: Apache-2.0
#include "admin/expose_rows.h"

#include <stdlib.h>

#include "admin/expose_lines.h"
#include "base/mem.h"

// ---- Labels -------------------------------------------------------------------------------------

static const struct str other = {"_OTHER", 6};

static void begin_labels(struct expose_rows *rows, struct expose_labels *labels)
{
	text_addc(&rows->labels, '\n'); // so that the first label has no comma in front
	labels->at = rows->labels.len;
}

static void end_labels(struct expose_rows *rows, struct expose_labels *labels)
{
	labels->len = rows->labels.len - labels->at;
}

// NULL: nobody, or it is gone from the configuration, or too new for this page.
static const struct frontend *frontend_at(const struct expose_rows *rows, u32 slot)
{
	return slot < rows->snapshot->frontend_count ? rows->snapshot->frontends[slot] : NULL;
}

static const struct pool *pool_at(const struct expose_rows *rows, u32 slot)
{
	return slot < rows->snapshot->pool_count ? rows->snapshot->pools[slot] : NULL;
}

static const struct backend *backend_at(const struct expose_rows *rows, u32 slot)
{
	return slot < rows->snapshot->backend_count ? rows->snapshot->backends[slot] : NULL;
}

static void name_flow(
	struct expose_rows *rows, struct expose_labels *labels, u32 frontend_slot, u32 pool_slot)
{
	const struct frontend *frontend = frontend_at(rows, frontend_slot);
	const struct pool *pool = pool_at(rows, pool_slot);

	begin_labels(rows, labels);
	expose_label(&rows->labels, "frontend", frontend ? frontend->conf->name : other);
	expose_label(&rows->labels, "pool", pool ? pool->name : frontend ? STR_EMPTY : other);
	end_labels(rows, labels);
}

static void name_group(struct expose_rows *rows, struct expose_group *group)
{
	name_flow(rows, &group->labels, group->frontend, group->pool);
	expose_label(&rows->labels, "backend",
		backend_at(rows, group->backend)     ? backend_at(rows, group->backend)->id
		: frontend_at(rows, group->frontend) ? STR_EMPTY
						     : other);
	end_labels(rows, &group->labels);
}

static void name_pools(struct expose_rows *rows, const struct snapshot *snapshot)
{
	for (u32 p = 0; p < snapshot->pool_count; p++) {
		const struct pool *pool = snapshot->pools[p];

		if (!pool)
			continue;
		begin_labels(rows, &rows->waits[p].labels);
		expose_label(&rows->labels, "pool", pool->name);
		end_labels(rows, &rows->waits[p].labels);
		for (u32 b = 0; b < pool->backend_count; b++) {
			struct expose_labels *labels = &rows->parts[pool->backends[b].cell].labels;

			begin_labels(rows, labels);
			expose_label(&rows->labels, "pool", pool->name);
			expose_label(&rows->labels, "backend", pool->backends[b].id);
			end_labels(rows, labels);
		}
	}
}

// ---- Rows ---------------------------------------------------------------------------------------

static bool is_tcp(const struct frontend *frontend)
{
	return frontend && frontend->conf->protocol != CONF_HTTP;
}

static u64 read_cell(const u64 *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

static u64 count_of(const struct expose_ref *ref)
{
	struct stats_count counts[STATS_COUNTS_MAX];
	u32 count = stats_row_counts(ref->stats, ref->row, counts);
	u64 sum = 0;

	for (u32 i = 0; i < count; i++)
		sum += counts[i].count;
	return sum;
}

static int compare_refs(const void *a, const void *b)
{
	u64 left = ((const struct expose_ref *)a)->key, right = ((const struct expose_ref *)b)->key;

	return (left > right) - (left < right);
}

// Rows of who is gone are one group, as if they were of nobody: series must not come twice.
static struct expose_ref ref_of(
	const struct expose_rows *rows, const struct stats *stats, const struct stats_row *row)
{
	struct expose_ref ref = {.stats = stats, .row = row};
	struct stats_names names = stats_row_names(row);

	ref.frontend = frontend_at(rows, names.frontend) ? names.frontend : STATS_NOBODY;
	ref.pool = ref.frontend != STATS_NOBODY && pool_at(rows, names.pool) ? names.pool
									     : STATS_NOBODY;
	ref.backend = ref.pool != STATS_NOBODY && backend_at(rows, names.backend) ? names.backend
										  : STATS_NOBODY;
	ref.key = stats_key(stats, ref.frontend, ref.pool, ref.backend);
	return ref;
}

static void collect_refs(struct expose_rows *rows, const struct expose_source *source)
{
	u32 room = 0;

	for (u32 w = 0; w < source->worker_count; w++)
		room += stats_row_count(source->stats[w]);
	rows->refs = mem_alloc(sizeof(struct expose_ref) * MAX(room, 1));
	// Rows that have come meanwhile are for the next scrape.
	for (u32 w = 0; w < source->worker_count; w++) {
		const struct stats *stats = source->stats[w];
		u32 count = stats_row_count(stats);

		for (u32 i = 0; i < count && rows->ref_count < room; i++) {
			const struct stats_row *row = stats_row(stats, i);
			struct expose_ref ref = ref_of(rows, stats, row);

			// Row 0 of all workers is empty as a rule.
			if (ref.frontend != STATS_NOBODY || count_of(&ref))
				rows->refs[rows->ref_count++] = ref;
		}
	}
	qsort(rows->refs, rows->ref_count, sizeof(struct expose_ref), compare_refs);
}

static void add_part(struct expose_rows *rows, const struct expose_ref *ref)
{
	const struct stats_row *row = ref->row;
	struct expose_part *part;

	if (ref->backend == STATS_NOBODY)
		return;
	part = &rows->parts[ref->backend];
	part->requests += count_of(ref);
	part->repeated += read_cell(&row->tries[STATS_TRY_REPEATED]);
	part->hedged += read_cell(&row->tries[STATS_TRY_HEDGE]);
	part->errors += read_cell(&row->errors);
	if (!is_tcp(frontend_at(rows, ref->frontend)))
		histogram_fold(&row->spent, &part->spent);
}

static void add_to_group(struct expose_group *group, const struct stats_row *row)
{
	group->count++;
	group->bytes_in += read_cell(&row->bytes_in);
	group->bytes_out += read_cell(&row->bytes_out);
	group->errors += read_cell(&row->errors);
	group->upgrades += read_cell(&row->upgrades);
}

static void make_groups(struct expose_rows *rows)
{
	struct expose_group *group = NULL;

	rows->groups = mem_alloc(sizeof(struct expose_group) * MAX(rows->ref_count, 1));
	for (u32 i = 0; i < rows->ref_count; i++) {
		const struct expose_ref *ref = &rows->refs[i];

		if (i == 0 || ref->key != ref[-1].key) {
			group = &rows->groups[rows->group_count++];
			group->first = i;
			group->frontend = ref->frontend;
			group->pool = ref->pool;
			group->backend = ref->backend;
			group->tcp = is_tcp(frontend_at(rows, ref->frontend));
			name_group(rows, group);
		}
		add_to_group(group, ref->row);
		add_part(rows, ref);
	}
}

// For the counts of the largest group. Of a backend that is gone there may be many rows of a
// worker.
static void make_room_for_counts(struct expose_rows *rows)
{
	u32 most = 1;

	for (u32 i = 0; i < rows->group_count; i++)
		most = MAX(most, rows->groups[i].count);
	rows->counts = mem_alloc(sizeof(struct stats_count) * STATS_COUNTS_MAX * most);
}

static void merge_count(struct stats_count *counts, u32 *count, const struct stats_count *one)
{
	for (u32 i = 0; i < *count; i++)
		if (counts[i].status == one->status && counts[i].method == one->method) {
			counts[i].count += one->count;
			return;
		}
	counts[(*count)++] = *one;
}

u32 expose_rows_count(struct expose_rows *rows, const struct expose_group *group)
{
	struct stats_count own[STATS_COUNTS_MAX];
	u32 count = 0;

	for (u32 i = group->first; i < group->first + group->count; i++) {
		u32 of_row = stats_row_counts(rows->refs[i].stats, rows->refs[i].row, own);

		for (u32 k = 0; k < of_row; k++)
			merge_count(rows->counts, &count, &own[k]);
	}
	return count;
}

// ---- Flows --------------------------------------------------------------------------------------

struct flow_ref {
	u64 key;
	const struct stats_flow *flow;
	u32 frontend, pool;
};

static int compare_flows(const void *a, const void *b)
{
	u64 left = ((const struct flow_ref *)a)->key, right = ((const struct flow_ref *)b)->key;

	return (left > right) - (left < right);
}

static struct flow_ref flow_ref_of(const struct expose_rows *rows, const struct stats_flow *flow)
{
	struct stats_names names = stats_flow_names(flow);
	struct flow_ref ref = {.flow = flow};

	ref.frontend = frontend_at(rows, names.frontend) ? names.frontend : STATS_NOBODY;
	ref.pool = ref.frontend != STATS_NOBODY && pool_at(rows, names.pool) ? names.pool
									     : STATS_NOBODY;
	ref.key = (u64)ref.frontend << 32 | ref.pool;
	return ref;
}

static struct expose_flow *new_flow(struct expose_rows *rows, const struct flow_ref *ref)
{
	struct expose_flow *one = &rows->flows[rows->flow_count++];

	one->tcp = is_tcp(frontend_at(rows, ref->frontend));
	name_flow(rows, &one->labels, ref->frontend, ref->pool);
	return one;
}

static void add_flow(struct expose_rows *rows, struct expose_flow *one, const struct flow_ref *ref)
{
	const struct stats_flow *flow = ref->flow;
	struct stats_exemplar exemplar;

	histogram_fold(&flow->total, &one->total);
	sizes_add(&flow->request, &one->request);
	sizes_add(&flow->response, &one->response);
	if (stats_exemplar_of(flow, &exemplar) &&
		(!one->has_exemplar || exemplar.wall_ms > one->exemplar.wall_ms)) {
		one->has_exemplar = true;
		one->exemplar = exemplar;
	}
	if (ref->pool != STATS_NOBODY) {
		struct expose_waits *waits = &rows->waits[ref->pool];

		histogram_fold(&flow->queue, &waits->queue);
		histogram_fold(&flow->connect, &waits->connect);
		histogram_fold(&flow->first_byte, &waits->first_byte);
	}
}

static void add_flows(struct expose_rows *rows, const struct expose_source *source)
{
	struct expose_flow *one = NULL;
	struct flow_ref *refs;
	u32 room = 0, count = 0;

	for (u32 w = 0; w < source->worker_count; w++)
		room += stats_flow_count(source->stats[w]);
	rows->flows = mem_alloc(sizeof(struct expose_flow) * MAX(room, 1));
	refs = mem_alloc(sizeof(struct flow_ref) * MAX(room, 1));
	for (u32 w = 0; w < source->worker_count; w++) {
		u32 of_worker = stats_flow_count(source->stats[w]);

		for (u32 i = 0; i < of_worker && count < room; i++) {
			const struct stats_flow *flow = stats_flow(source->stats[w], i);

			refs[count++] = flow_ref_of(rows, flow);
		}
	}
	qsort(refs, count, sizeof(struct flow_ref), compare_flows);
	for (u32 i = 0; i < count; i++) {
		if (i == 0 || refs[i].key != refs[i - 1].key)
			one = new_flow(rows, &refs[i]);
		add_flow(rows, one, &refs[i]);
	}
	mem_free(refs);
}

// ---- Life ---------------------------------------------------------------------------------------

void expose_rows_init(struct expose_rows *rows, const struct expose_source *source)
{
	const struct snapshot *snapshot = source->snapshot;
	u32 workers = source->stats ? source->worker_count : 0;
	struct expose_source counted = *source;

	*rows = (struct expose_rows){
		.snapshot = snapshot,
		.parts = mem_alloc(sizeof(struct expose_part) * MAX(snapshot->backend_count, 1)),
		.waits = mem_alloc(sizeof(struct expose_waits) * MAX(snapshot->pool_count, 1)),
	};
	counted.worker_count = workers;
	name_pools(rows, snapshot);
	collect_refs(rows, &counted);
	make_groups(rows);
	make_room_for_counts(rows);
	add_flows(rows, &counted);
}

void expose_rows_done(struct expose_rows *rows)
{
	mem_free(rows->counts);
	mem_free(rows->waits);
	mem_free(rows->parts);
	mem_free(rows->flows);
	mem_free(rows->groups);
	mem_free(rows->refs);
	text_done(&rows->labels);
}
