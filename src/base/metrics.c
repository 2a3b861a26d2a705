// SPDX-License-Identifier: Apache-2.0
#include "base/metrics.h"

#include "base/text.h"

const struct metric_info metric_infos[METRICS_COUNT] = {
#define CELL(enum_name, of, text) [M_##enum_name] = {.family = MF_##of, .labels = text},
#include "base/metrics.def"
};

const struct metric_family_info metric_families[METRIC_FAMILIES_COUNT] = {
#define FAMILY(enum_name, row_type, text, row_unit, row_labels, row_help) \
	[MF_##enum_name] = {                                              \
		.name = text,                                             \
		.unit = row_unit,                                         \
		.labels = row_labels,                                     \
		.help = row_help,                                         \
		.type = METRIC_##row_type,                                \
	},
#include "base/metrics.def"
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

// ---- The reference ------------------------------------------------------------------------------

enum doc_kind { DOC_GROUP, DOC_FAMILY };

struct doc_row {
	u8 kind;
	u8 family;
	const char *title, *prose;
};

static const struct doc_row doc_rows[] = {
#define GROUP(group_title, group_prose) \
	{.kind = DOC_GROUP, .title = group_title, .prose = group_prose},
#define FAMILY(name, type, text, unit, labels, help) {.kind = DOC_FAMILY, .family = MF_##name},
#include "base/metrics.def"
};

static const char doc_head[] =
	"<!-- Made from src/base/metrics.def; to renew it: weir help metrics > docs/metrics.md "
	"-->\n"
	"# Metrics\n"
	"\n"
	"What `/metrics` of the admin address shows, in the format of Prometheus or, where the "
	"scraper\n"
	"asks for it, as OpenMetrics 1.0. Names and labels stay; new ones may come. Counters and\n"
	"histograms begin at 0 with the process.\n"
	"\n"
	"Labels are names from the configuration, or words of a list that is known beforehand: "
	"`frontend`,\n"
	"`pool`, `backend` (its `id`), `method`, `status`, `outcome` (the words of the log), "
	"`worker` (a\n"
	"number). `_OTHER` stands for all that had no room of its own.\n"
	"\n"
	"Where requests are traced, OpenMetrics has an exemplar beside the bucket of the last one "
	"that\n"
	"was recorded, for each frontend and pool in `lb_request_duration_seconds`: its "
	"`trace_id`.\n"
	"\n"
	"`etc/grafana/weir.json` is a dashboard over these, `etc/prometheus/weir.rules.yml` has "
	"alerts.\n";

static const char *type_text(u8 type)
{
	static const char *const texts[] = {
		[METRIC_COUNTER] = "counter",
		[METRIC_GAUGE] = "gauge",
		[METRIC_HISTOGRAM] = "histogram",
		[METRIC_INFO] = "info",
	};

	return texts[type];
}

static void add_labels(struct text *text, const char *labels)
{
	struct str rest = str_from(labels);
	const char *between = "";

	while (rest.len) {
		struct str label = str_cut(&rest, ',');

		text_printf(text, "%s`%.*s`", between, STR_FMT(label));
		between = ", ";
	}
}

static void add_group(struct text *text, const struct doc_row *row)
{
	text_printf(text, "\n## %s\n\n", row->title);
	if (row->prose[0])
		text_printf(text, "%s\n\n", row->prose);
	text_add(text, STR("| name | type | labels | what |\n|---|---|---|---|\n"));
}

static void add_family(struct text *text, const struct metric_family_info *family)
{
	text_printf(text, "| `%s` | %s | ", family->name, type_text(family->type));
	add_labels(text, family->labels);
	text_printf(text, " | %s |\n", family->help);
}

struct str metrics_reference(struct arena *arena)
{
	struct text text = {0};

	text_add(&text, str_make(doc_head, sizeof(doc_head) - 1));
	for (size_t i = 0; i < ARRAY_LEN(doc_rows); i++)
		if (doc_rows[i].kind == DOC_GROUP)
			add_group(&text, &doc_rows[i]);
		else
			add_family(&text, &metric_families[doc_rows[i].family]);
	return text_take(&text, arena);
}
