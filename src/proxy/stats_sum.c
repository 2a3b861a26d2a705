// SPDX-License-Identifier: Apache-2.0
// What several workers counted, added up for whoever shows it.
#include "proxy/stats.h"

static u64 read_cell(const u64 *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

static void add_counts(
	const struct stats *stats, const struct stats_row *row, struct stats_sum *sum)
{
	struct stats_count counts[STATS_COUNTS_MAX];
	u32 count = stats_row_counts(stats, row, counts);

	for (u32 i = 0; i < count; i++) {
		u32 status = counts[i].status, class = MIN(status < 10 ? status : status / 100, 5);

		sum->requests += counts[i].count;
		sum->classes[class] += counts[i].count;
		if (class == 4)
			sum->client_errors += counts[i].count;
	}
	sum->errors += read_cell(&row->errors);
	sum->upgrades += read_cell(&row->upgrades);
	for (u32 i = 0; i < STATS_TRIES; i++)
		sum->tries[i] += read_cell(&row->tries[i]);
	sum->bytes_in += read_cell(&row->bytes_in);
	sum->bytes_out += read_cell(&row->bytes_out);
}

static void add_plain(const struct stats_sum *from, struct stats_sum *sum)
{
	sum->requests += from->requests;
	sum->errors += from->errors;
	sum->client_errors += from->client_errors;
	sum->upgrades += from->upgrades;
	for (u32 i = 0; i < STATS_CLASSES; i++)
		sum->classes[i] += from->classes[i];
	for (u32 i = 0; i < STATS_TRIES; i++)
		sum->tries[i] += from->tries[i];
	sum->bytes_in += from->bytes_in;
	sum->bytes_out += from->bytes_out;
}

static void each_row(const struct stats *stats, struct stats_sums *sums)
{
	u32 count = stats_row_count(stats);

	for (u32 i = 0; i < count; i++) {
		const struct stats_row *row = stats_row(stats, i);
		struct stats_names names = stats_row_names(row);
		struct stats_sum sum = {0};

		add_counts(stats, row, &sum);
		add_plain(&sum, &sums->all);
		if (sums->frontends && names.frontend < sums->frontend_count)
			add_plain(&sum, &sums->frontends[names.frontend]);
		if (sums->pools && names.pool < sums->pool_count)
			add_plain(&sum, &sums->pools[names.pool]);
		if (sums->backends && names.backend < sums->backend_count) {
			add_plain(&sum, &sums->backends[names.backend]);
			histogram_add(&row->spent, &sums->backends[names.backend].time);
		}
	}
}

static void each_flow(const struct stats *stats, struct stats_sums *sums)
{
	u32 count = stats_flow_count(stats);

	for (u32 i = 0; i < count; i++) {
		const struct stats_flow *flow = stats_flow(stats, i);
		struct stats_names names = stats_flow_names(flow);

		histogram_add(&flow->total, &sums->all.time);
		if (sums->frontends && names.frontend < sums->frontend_count)
			histogram_add(&flow->total, &sums->frontends[names.frontend].time);
		if (sums->pools && names.pool < sums->pool_count)
			histogram_add(&flow->total, &sums->pools[names.pool].time);
	}
}

void stats_sum_each(const struct stats *const *stats, u32 count, struct stats_sums *sums)
{
	sums->all = (struct stats_sum){0};
	for (u32 i = 0; i < count; i++) {
		each_row(stats[i], sums);
		each_flow(stats[i], sums);
	}
}

void stats_sum_backend(const struct stats *const *stats, u32 count, const struct backend *backend,
	struct stats_sum *ret_sum)
{
	*ret_sum = (struct stats_sum){0};
	for (u32 i = 0; i < count; i++) {
		u32 rows = stats_row_count(stats[i]);

		for (u32 at = 0; at < rows; at++) {
			const struct stats_row *row = stats_row(stats[i], at);

			if (stats_row_names(row).backend != backend->cell)
				continue;
			add_counts(stats[i], row, ret_sum);
			histogram_add(&row->spent, &ret_sum->time);
		}
	}
}

static bool is_of(
	struct stats_names names, const struct frontend *frontend, const struct pool *pool)
{
	return (!frontend || names.frontend == frontend->index) &&
	       (!pool || names.pool == pool->index);
}

// NULL: of any.
static void sum_of(const struct stats *const *stats, u32 count, const struct frontend *frontend,
	const struct pool *pool, struct stats_sum *ret_sum)
{
	*ret_sum = (struct stats_sum){0};
	for (u32 i = 0; i < count; i++) {
		u32 rows = stats_row_count(stats[i]), flows = stats_flow_count(stats[i]);

		for (u32 at = 0; at < rows; at++) {
			const struct stats_row *row = stats_row(stats[i], at);

			if (is_of(stats_row_names(row), frontend, pool))
				add_counts(stats[i], row, ret_sum);
		}
		for (u32 at = 0; at < flows; at++) {
			const struct stats_flow *flow = stats_flow(stats[i], at);

			if (is_of(stats_flow_names(flow), frontend, pool))
				histogram_add(&flow->total, &ret_sum->time);
		}
	}
}

void stats_sum_pool(const struct stats *const *stats, u32 count, const struct pool *pool,
	struct stats_sum *ret_sum)
{
	sum_of(stats, count, NULL, pool, ret_sum);
}

void stats_sum_frontend(const struct stats *const *stats, u32 count,
	const struct frontend *frontend, struct stats_sum *ret_sum)
{
	sum_of(stats, count, frontend, NULL, ret_sum);
}

void stats_sum_all(const struct stats *const *stats, u32 count, struct stats_sum *ret_sum)
{
	sum_of(stats, count, NULL, NULL, ret_sum);
}

void stats_sum_minus(
	const struct stats_sum *now, const struct stats_sum *before, struct stats_sum *ret_between)
{
	struct stats_sum between = *now;

	histogram_minus(&now->time, &before->time, &between.time);
	between.requests -= before->requests;
	between.errors -= before->errors;
	between.client_errors -= before->client_errors;
	between.upgrades -= before->upgrades;
	for (u32 i = 0; i < STATS_CLASSES; i++)
		between.classes[i] -= before->classes[i];
	for (u32 i = 0; i < STATS_TRIES; i++)
		between.tries[i] -= before->tries[i];
	between.bytes_in -= before->bytes_in;
	between.bytes_out -= before->bytes_out;
	*ret_between = between;
}
