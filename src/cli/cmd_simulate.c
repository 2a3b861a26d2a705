// SPDX-License-Identifier: Apache-2.0
// weir simulate: algorithms compared in virtual time, by a model or by an access log.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/simulate.h"
#include "cli/terminal.h"

enum { long_run_requests = 1000000 };

static const struct {
	const char *alias;
	enum balance_kind kind;
} aliases[] = {{"rr", BALANCE_ROUND_ROBIN}, {"wrr", BALANCE_ROUND_ROBIN},
	{"weighted_round_robin", BALANCE_ROUND_ROBIN}, {"lc", BALANCE_LEAST_CONNECTIONS},
	{"wlc", BALANCE_LEAST_CONNECTIONS},
	{"weighted_least_connections", BALANCE_LEAST_CONNECTIONS},
	{"lrt", BALANCE_LEAST_RESPONSE_TIME}, {"wlrt", BALANCE_LEAST_RESPONSE_TIME},
	{"weighted_least_response_time", BALANCE_LEAST_RESPONSE_TIME},
	{"ewma", BALANCE_LEAST_RESPONSE_TIME}};

static bool find_kind(struct str name, enum balance_kind *ret_kind)
{
	for (u32 i = 0; i < BALANCE_KINDS; i++)
		if (str_eq(name, str_from(balance_kind_info((enum balance_kind)i)->name))) {
			*ret_kind = (enum balance_kind)i;
			return true;
		}
	for (u32 i = 0; i < ARRAY_LEN(aliases); i++)
		if (str_eq(name, str_from(aliases[i].alias))) {
			*ret_kind = aliases[i].kind;
			return true;
		}
	return false;
}

static int fail_kind(struct str name)
{
	fprintf(stderr, "weir: no algorithm is called '%.*s'; there are:", STR_FMT(name));
	for (u32 i = 0; i < BALANCE_KINDS; i++)
		fprintf(stderr, " %s", balance_kind_info((enum balance_kind)i)->name);
	fprintf(stderr, "\n");
	return EXIT_USAGE;
}

// Comma-separated; "all" and none are all of them.
static int take_kinds(const char *list, enum balance_kind kinds[BALANCE_KINDS], u32 *ret_count)
{
	struct str rest = str_from(list ? list : "all");
	u32 count = 0;

	if (str_eq(rest, STR("all"))) {
		for (u32 i = 0; i < BALANCE_KINDS; i++)
			kinds[i] = (enum balance_kind)i;
		*ret_count = BALANCE_KINDS;
		return 0;
	}
	while (rest.len && count < BALANCE_KINDS) {
		struct str name = str_cut(&rest, ',');

		if (!find_kind(name, &kinds[count++]))
			return fail_kind(name);
	}
	*ret_count = count;
	return 0;
}

static int take_model(const struct cli *cli, struct simulate_options *options)
{
	const char *error = NULL;
	const char *seed = cli->plan->seed;

	simulate_defaults(options);
	for (u32 i = 0; i < cli->plan->set_count && !error; i++)
		error = simulate_word(options, cli->plan->sets[i], cli->arena);
	if (!error && seed && str_to_u64(str_from(seed), UINT64_MAX, &options->seed) != 0)
		error = "--seed is a whole number";
	if (!error)
		error = simulate_check(options, cli->arena);
	if (!error)
		return 0;
	fprintf(stderr, "weir: %s\n", error);
	return EXIT_USAGE;
}

static int take_log(const char *path, struct simulate_trace *trace)
{
	int error = simulate_trace_read(path, trace);

	if (error) {
		fprintf(stderr, "weir: cannot read %s: %s\n", path, strerror(-error));
		return EXIT_FAILED;
	}
	if (trace->skipped)
		fprintf(stderr, "weir: %u lines of %s are no requests with a time and total_us\n",
			trace->skipped, path);
	if (trace->count > 0)
		return 0;
	fprintf(stderr,
		"weir: %s has no request: an access log of weir, JSON or combined, is wanted\n",
		path);
	simulate_trace_done(trace);
	return EXIT_FAILED;
}

static int write_svg(const char *path, struct str svg)
{
	FILE *file = fopen(path, "we");
	bool good = file && fwrite(svg.ptr, 1, svg.len, file) == svg.len;

	if (file && fclose(file) != 0)
		good = false;
	if (good)
		return 0;
	fprintf(stderr, "weir: cannot write %s: %s\n", path, strerror(errno));
	return EXIT_FAILED;
}

static void show_progress(void *context, enum balance_kind kind, double part)
{
	(void)context;
	fprintf(stderr, "\r%-20s %3.0f %%", balance_kind_info(kind)->name, 100 * part);
}

static void run_all(const struct simulate_options *options, const enum balance_kind *kinds,
	struct simulate_result *results, u32 count)
{
	u64 requests = options->trace ? options->trace->count : options->requests;
	bool is_long = requests * count >= long_run_requests;
	bool is_live = is_long && isatty(STDERR_FILENO);

	for (u32 i = 0; i < count; i++) {
		if (is_long && !is_live)
			fprintf(stderr, "weir: simulating %s (%u of %u)\n",
				balance_kind_info(kinds[i])->name, i + 1, count);
		simulate_run(options, kinds[i], is_live ? show_progress : NULL, NULL, &results[i]);
	}
	if (is_live)
		fprintf(stderr, "\r%26s\r", "");
}

static int report(const struct cli *cli, const struct simulate_options *options,
	const struct simulate_result *results, u32 count)
{
	struct text text = {0};
	int code = 0;

	if (cli->plan->svg) {
		simulate_print_svg(&text, options, results, count);
		code = write_svg(cli->plan->svg, text_take(&text, cli->arena));
	}
	if (code)
		return code;
	if (cli->plan->as_json)
		simulate_print_json(&text, options, results, count);
	else
		simulate_print_table(&text, options, results, count);
	return terminal_print(text_take(&text, cli->arena));
}

int simulate_main(const struct cli *cli)
{
	enum balance_kind kinds[BALANCE_KINDS];
	struct simulate_options options;
	struct simulate_trace trace = {0};
	struct simulate_result *results;
	u32 count = 0;
	int code = take_kinds(cli->plan->flags.algorithm, kinds, &count);

	if (!code)
		code = take_model(cli, &options);
	if (!code && cli->plan->replay)
		code = take_log(cli->plan->replay, &trace);
	if (code)
		return code;
	options.trace = cli->plan->replay ? &trace : NULL;
	results = mem_alloc(sizeof(*results) * BALANCE_KINDS);
	run_all(&options, kinds, results, count);
	code = report(cli, &options, results, count);
	mem_free(results);
	simulate_trace_done(&trace);
	return code;
}
