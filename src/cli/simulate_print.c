// SPDX-License-Identifier: Apache-2.0
// The results of weir simulate as a table and as JSON.
#include "cli/simulate.h"

static const double parts[] = {0.5, 0.9, 0.99, 0.999};

// Three digits are enough to compare by.
static void add_ms(struct text *text, double ms)
{
	int decimals = ms < 9.995 ? 2 : ms < 99.95 ? 1 : 0;

	text_printf(text, " %8.*f", decimals, ms);
}

static double breaks_of(const struct simulate_result *result)
{
	return result->returns ? 100.0 * (double)result->breaks / (double)result->returns : 0;
}

static void add_world(struct text *text, const struct simulate_options *options)
{
	if (options->trace)
		text_printf(text, "%u requests of %u clients from a log, %llu servers",
			options->trace->count, options->trace->client_count,
			(unsigned long long)options->servers);
	else
		text_printf(text, "%llu requests, load %g, %llu servers, mean service time %g ms",
			(unsigned long long)options->requests, options->load,
			(unsigned long long)options->servers, options->mean_ms);
	if (options->slow)
		text_printf(text, ", %llu %% of them %g times slower",
			(unsigned long long)options->slow, options->slow_factor);
	if (options->workers > 1)
		text_printf(text, ", %llu workers", (unsigned long long)options->workers);
	text_printf(text, ", seed %llu\n", (unsigned long long)options->seed);
	if (options->lose)
		text_printf(text, "%llu servers are lost from %g to %g of the requests\n",
			(unsigned long long)options->lose, options->lose_at, options->back_at);
}

void simulate_print_table(struct text *text, const struct simulate_options *options,
	const struct simulate_result *results, u32 count)
{
	add_world(text, options);
	text_printf(text, "\n%-20s %8s %8s %8s %8s %7s %7s %7s%s\n", "times in ms", "p50", "p90",
		"p99", "p99.9", "busiest", "longest", "breaks", options->lose ? " lost p99" : "");
	for (u32 i = 0; i < count; i++) {
		const struct simulate_result *result = &results[i];

		text_printf(text, "%-20s", balance_kind_info(result->kind)->name);
		for (size_t p = 0; p < ARRAY_LEN(parts); p++)
			add_ms(text, simulate_percentile(&result->all, parts[p]));
		text_printf(text, " %6.2fx %7llu %6.1f%%", result->busiest,
			(unsigned long long)result->longest, breaks_of(result));
		if (options->lose)
			add_ms(text, simulate_percentile(&result->while_lost, 0.99));
		text_addc(text, '\n');
	}
	text_add(text, STR("\nbusiest: the most requests of a server to its fair part. longest: "
			   "the most requests\nat a server at a time. breaks: requests of known "
			   "clients that met another server.\n"));
}

static void add_latency(struct text *text, const char *name, const struct simulate_latency *latency)
{
	text_printf(text, "\"%s\":{\"requests\":%llu", name, (unsigned long long)latency->count);
	for (size_t p = 0; p < ARRAY_LEN(parts); p++)
		text_printf(text, ",\"p%g\":%.4g", 100 * parts[p],
			simulate_percentile(latency, parts[p]));
	text_addc(text, '}');
}

void simulate_print_json(struct text *text, const struct simulate_options *options,
	const struct simulate_result *results, u32 count)
{
	text_printf(text, "{\"seed\":%llu,\"servers\":%llu,\"workers\":%llu,\"lost\":%llu,",
		(unsigned long long)options->seed, (unsigned long long)options->servers,
		(unsigned long long)options->workers, (unsigned long long)options->lose);
	if (options->trace)
		text_printf(text, "\"replayed\":%u,\"skipped_lines\":%u,", options->trace->count,
			options->trace->skipped);
	else
		text_printf(text, "\"load\":%g,\"mean_ms\":%g,", options->load, options->mean_ms);
	text_add(text, STR("\"algorithms\":["));
	for (u32 i = 0; i < count; i++) {
		const struct simulate_result *result = &results[i];

		text_printf(text, "%s{\"algorithm\":\"%s\",\"mean_ms\":%.6g,", i ? "," : "",
			balance_kind_info(result->kind)->name, result->mean_ms);
		add_latency(text, "latency_ms", &result->all);
		if (options->lose) {
			text_addc(text, ',');
			add_latency(text, "while_lost_ms", &result->while_lost);
		}
		text_printf(text,
			",\"busiest\":%.4f,\"longest\":%llu,\"returns\":%llu,\"breaks\":%llu,"
			"\"refused\":%llu}",
			result->busiest, (unsigned long long)result->longest,
			(unsigned long long)result->returns, (unsigned long long)result->breaks,
			(unsigned long long)result->refused);
	}
	text_add(text, STR("]}\n"));
}
