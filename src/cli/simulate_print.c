// SPDX-License-Identifier: Apache-2.0
// The results of weir simulate as a table and as JSON.
#include <stdarg.h>

#include "cli/simulate.h"

static const double parts[] = {0.5, 0.9, 0.99, 0.999};
static const char *const part_names[] = {"p50", "p90", "p99", "p99.9"};

// ---- In words -----------------------------------------------------------------------------------

static bool is_series(const struct simulate_options *options, const char *key)
{
	return options->series.key && strcmp(options->series.key, key) == 0;
}

// What the load is made of. What the series varies is left out, here and below.
static void describe_load(struct text *text, const struct simulate_options *options)
{
	static const char *const arrivals[] = {
		"", ", arrivals at a constant rate", ", arrivals in bursts"};
	static const char *const services[] = {
		"exponential ", "lognormal ", "constant ", "bimodal "};

	if (options->trace) {
		if (!is_series(options, "pace") && !is_series(options, "servers") &&
			!is_series(options, "slots"))
			text_printf(text, " at load %.3g", simulate_trace_load(options));
		text_printf(text, ", %u requests of a log, %u %s", options->trace->count,
			options->trace->client_count, options->by == BY_PATH ? "paths" : "clients");
		return;
	}
	if (!is_series(options, "load"))
		text_printf(text, " at load %g", options->load);
	text_printf(text, ", %sservice times", services[options->service]);
	if (!is_series(options, "mean"))
		text_printf(text, " of %g ms", options->mean_ms);
	text_printf(text, "%s", arrivals[options->arrival]);
	if (options->skew > 0 && !is_series(options, "skew"))
		text_printf(text, ", clients of skew %g", options->skew);
}

static void describe_trouble(struct text *text, const struct simulate_options *options)
{
	if (options->slow && !is_series(options, "slow"))
		text_printf(
			text, ", %llu %% of the servers slow", (unsigned long long)options->slow);
	if (options->slow && !is_series(options, "slow_factor"))
		text_printf(text, " by %g times", options->slow_factor);
	if (options->lose && !is_series(options, "lose"))
		text_printf(text, ", %llu lost from %g to %g %% of the run",
			(unsigned long long)options->lose, 100 * options->lose_at,
			100 * options->back_at);
}

void simulate_describe(struct text *text, const struct simulate_options *options)
{
	if (!is_series(options, "servers"))
		text_printf(text, "%llu server%s", (unsigned long long)options->servers,
			options->servers > 1 ? "s" : "");
	else
		text_add(text, STR("servers"));
	if (options->slots > 1 && !is_series(options, "slots"))
		text_printf(text, " of %llu slots", (unsigned long long)options->slots);
	for (u32 i = 0; i < options->weight_count; i++)
		text_printf(text, "%s%u", i ? "," : ", weights ", options->weights[i]);
	describe_load(text, options);
	describe_trouble(text, options);
	if (options->max_connections && !is_series(options, "max_connections"))
		text_printf(text, ", max_connections %llu",
			(unsigned long long)options->max_connections);
	if (options->bound && !is_series(options, "bound"))
		text_printf(text, ", bound %llu %%", (unsigned long long)options->bound);
	if (options->workers > 1 && !is_series(options, "workers"))
		text_printf(text, ", %llu workers", (unsigned long long)options->workers);
	text_printf(text, ", seed %llu", (unsigned long long)options->seed);
}

// ---- Table --------------------------------------------------------------------------------------

// Three digits are enough to compare by.
static void add_ms(struct text *text, double ms)
{
	int decimals = ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0;

	text_printf(text, " %8.*f", decimals, ms);
}

static void add_parts(struct text *text, const struct simulate_latency *latency)
{
	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		add_ms(text, simulate_percentile(latency, parts[p]));
}

static int series_width(const struct simulate_report *report)
{
	return (int)MAX(strlen(report->options->series.key), 5);
}

static void add_names(struct text *text, const struct simulate_report *report,
	const struct simulate_result *result)
{
	text_printf(text, "%-20s", balance_kind_info(result->kind)->name);
	if (report->options->series.key)
		text_printf(text, " %*g", series_width(report), result->value);
}

static void add_heading(
	struct text *text, const struct simulate_report *report, const char *of_what)
{
	text_printf(text, "\n%-20s", of_what);
	if (report->options->series.key)
		text_printf(text, " %*s", series_width(report), report->options->series.key);
	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		text_printf(text, " %8s", part_names[p]);
}

static double breaks_of(const struct simulate_result *result)
{
	return result->returns ? 100.0 * (double)result->breaks / (double)result->returns : 0;
}

// A line between the values of the series.
static void end_row(struct text *text, const struct simulate_report *report, u32 number)
{
	text_addc(text, '\n');
	if (report->kinds > 1 && (number + 1) % report->kinds == 0 && number + 1 < report->count)
		text_addc(text, '\n');
}

static void add_all(struct text *text, const struct simulate_report *report)
{
	const struct simulate_options *options = report->options;

	add_heading(text, report, "times in ms");
	text_add(text, STR(" busiest longest  breaks"));
	if (options->max_connections)
		text_add(text, STR("   waited"));
	text_addc(text, '\n');
	if (options->trace) {
		text_printf(text, "%-20s%*s", "as logged",
			options->series.key ? series_width(report) + 1 : 0, "");
		add_parts(text, &options->trace->logged);
		text_addc(text, '\n');
	}
	for (u32 i = 0; i < report->count; i++) {
		const struct simulate_result *result = &report->results[i];

		add_names(text, report, result);
		add_parts(text, &result->all);
		text_printf(text, " %6.2fx %7llu %6.1f%%", result->busiest,
			(unsigned long long)result->longest, breaks_of(result));
		if (options->max_connections)
			text_printf(text, " %8llu", (unsigned long long)result->waited);
		end_row(text, report, i);
	}
}

static void add_lost(struct text *text, const struct simulate_report *report)
{
	add_heading(text, report, "while some are lost");
	text_add(text, STR(" busiest\n"));
	for (u32 i = 0; i < report->count; i++) {
		const struct simulate_result *result = &report->results[i];

		add_names(text, report, result);
		add_parts(text, &result->while_lost);
		text_printf(text, " %6.2fx", result->busiest_left);
		end_row(text, report, i);
	}
}

static bool has_first(const struct simulate_report *report)
{
	for (u32 i = 0; i < report->kinds; i++)
		if (report->results[i].kind == BALANCE_FIRST)
			return true;
	return false;
}

static void add_notes(struct text *text, const struct simulate_report *report)
{
	text_add(text, STR("\nbusiest: the most requests of a server to its fair part. longest: "
			   "the most requests\nat a server at a time. breaks: requests of known "
			   "clients that met another server.\n"));
	if (report->options->max_connections)
		text_add(text, STR("waited: requests that no server had room for.\n"));
	else if (has_first(report))
		text_add(text, STR("first: without max_connections one server gets everything.\n"));
}

void simulate_print_table(struct text *text, const struct simulate_report *report)
{
	simulate_describe(text, report->options);
	text_addc(text, '\n');
	add_all(text, report);
	if (report->options->lose || is_series(report->options, "lose"))
		add_lost(text, report);
	add_notes(text, report);
}

// ---- JSON ---------------------------------------------------------------------------------------

static void add_latency(struct text *text, const char *name, const struct simulate_latency *latency)
{
	text_printf(text, "\"%s\":{\"requests\":%llu", name, (unsigned long long)latency->count);
	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		text_printf(text, ",\"%s\":%.4g", part_names[p],
			simulate_percentile(latency, parts[p]));
	text_addc(text, '}');
}

static void add_result(struct text *text, const struct simulate_report *report,
	const struct simulate_result *result)
{
	const char *series = report->options->series.key;

	text_printf(text, "{\"algorithm\":\"%s\",", balance_kind_info(result->kind)->name);
	if (series)
		text_printf(text, "\"%s\":%.9g,", series, result->value);
	text_printf(text, "\"mean_ms\":%.6g,", result->mean_ms);
	add_latency(text, "latency_ms", &result->all);
	if (result->while_lost.count) {
		text_addc(text, ',');
		add_latency(text, "while_lost_ms", &result->while_lost);
		text_printf(text, ",\"busiest_while_lost\":%.4f", result->busiest_left);
	}
	text_printf(text,
		",\"busiest\":%.4f,\"deviation\":%.4f,\"longest\":%llu,\"returns\":%llu,"
		"\"breaks\":%llu,\"waited\":%llu}",
		result->busiest, result->deviation, (unsigned long long)result->longest,
		(unsigned long long)result->returns, (unsigned long long)result->breaks,
		(unsigned long long)result->waited);
}

static void add_trace(struct text *text, const struct simulate_trace *trace)
{
	text_printf(text, "\"log\":{\"requests\":%u,\"skipped_lines\":%u,\"unsent\":%u,",
		trace->count, trace->skipped, trace->unsent);
	add_latency(text, "latency_ms", &trace->logged);
	text_add(text, STR("},"));
}

void simulate_print_json(struct text *text, const struct simulate_report *report)
{
	const struct simulate_options *options = report->options;

	text_printf(text, "{\"seed\":%llu,\"model\":", (unsigned long long)options->seed);
	simulate_print_words(text, options);
	text_addc(text, ',');
	if (options->trace)
		add_trace(text, options->trace);
	text_add(text, STR("\"algorithms\":["));
	for (u32 i = 0; i < report->count; i++) {
		if (i)
			text_addc(text, ',');
		add_result(text, report, &report->results[i]);
	}
	text_add(text, STR("]}\n"));
}
