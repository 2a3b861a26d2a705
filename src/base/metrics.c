// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

const struct metric_info metric_infos[METRICS_COUNT] = {
#define X(enum_name, row_type, text, row_labels, row_help) \
	[M_##enum_name] = {                                \
		.name = text,                              \
		.labels = row_labels,                      \
		.help = row_help,                          \
		.type = METRIC_##row_type,                 \
	},
#include "base/metrics.def"
#undef X
};

static void sum_row(const u64 *cells, u64 *sum, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sum[i] += __atomic_load_n(&cells[i], __ATOMIC_RELAXED);
}

void metrics_sum(const struct metrics_cells *cells, struct metrics_cells *sum)
{
	sum_row(cells->values, sum->values, METRICS_COUNT);
	sum_row(cells->outcomes, sum->outcomes, METRICS_OUTCOMES_MAX);
	sum_row(cells->local_answers, sum->local_answers, METRICS_OUTCOMES_MAX);
}
