// SPDX-License-Identifier: Apache-2.0
// weir simulate: algorithms compared in virtual time, by a model or by an access log.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/simulate.h"
#include "cli/terminal.h"
#include "conf/schema.h"

// A second or two.
enum { long_run_requests = 10000000 };

// By the words of the configuration, other spellings too.
static bool find_kind(struct str name, enum balance_kind *ret_kind)
{
	const struct schema_word *word = schema_find_word(WORDS_algorithm, name);
	struct str real = !word ? STR_EMPTY : word->same_as ? str_from(word->same_as) : word->word;

	for (u32 i = 0; word && i < BALANCE_KINDS; i++)
		if (str_eq(real, str_from(balance_kind_info((enum balance_kind)i)->name))) {
			*ret_kind = (enum balance_kind)i;
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

// Comma-separated, each once; "all" and none are all of them.
static int take_kinds(const char *list, enum balance_kind kinds[BALANCE_KINDS], u32 *ret_count)
{
	struct str rest = str_from(list ? list : "all");
	bool is_taken[BALANCE_KINDS] = {false};
	u32 count = 0;

	if (str_eq(rest, STR("all"))) {
		for (u32 i = 0; i < BALANCE_KINDS; i++)
			kinds[i] = (enum balance_kind)i;
		*ret_count = BALANCE_KINDS;
		return 0;
	}
	do {
		struct str name = str_cut(&rest, ',');
		enum balance_kind kind;

		if (!find_kind(name, &kind))
			return fail_kind(name);
		if (is_taken[kind])
			continue;
		is_taken[kind] = true;
		kinds[count++] = kind;
	} while (rest.len);
	*ret_count = count;
	return 0;
}

static int fail_usage(const char *error)
{
	fprintf(stderr, "weir: %s\n", error);
	return EXIT_USAGE;
}

// The words by themselves; whether they fit together is asked when a log is read.
static int take_words(const struct cli *cli, struct simulate_options *options)
{
	const char *error = NULL;
	const char *seed = cli->plan->seed;

	simulate_defaults(options);
	for (u32 i = 0; i < cli->plan->set_count && !error; i++)
		error = simulate_word(options, cli->plan->sets[i], cli->arena);
	if (!error && seed && str_to_u64(str_from(seed), UINT64_MAX, &options->seed) != 0)
		error = "--seed is a whole number";
	if (!error)
		error = simulate_check_scope(options, cli->plan->replay != NULL, cli->arena);
	if (!error && cli->plan->draw && !cli->plan->svg)
		error = "--draw says what --svg draws: give it a FILE";
	if (!error && cli->plan->svg)
		error = simulate_plot_check(options, cli->plan->draw);
	return error ? fail_usage(error) : 0;
}

// ---- Progress -----------------------------------------------------------------------------------

struct progress {
	u32 run, runs;
};

static void show_progress(void *context, const char *what, double part)
{
	const struct progress *progress = context;

	if (progress->runs > 1)
		fprintf(stderr, "\r%u of %u ", progress->run + 1, progress->runs);
	else
		fprintf(stderr, "\r");
	fprintf(stderr, "%-20s %3.0f %%", what, 100 * part);
}

static void end_progress(void)
{
	fprintf(stderr, "\r%40s\r", "");
}

// ---- Log ----------------------------------------------------------------------------------------

static int read_log(const char *path, enum simulate_by by, struct simulate_trace *trace)
{
	struct progress progress = {.runs = 1};
	bool is_live = isatty(STDERR_FILENO);
	int error = simulate_trace_read(path, by, is_live ? show_progress : NULL, &progress, trace);

	if (is_live)
		end_progress();
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
		"weir: %s has no request that a backend got: an access log of weir, JSON or "
		"combined, is wanted\n",
		path);
	simulate_trace_done(trace);
	return EXIT_FAILED;
}

static void tell_speeds(const struct simulate_trace *trace)
{
	enum { told_max = 8 };

	fprintf(stderr, "weir: speeds by the log:");
	for (u32 i = 0; i < MIN(trace->backend_count, told_max); i++)
		fprintf(stderr, "%s %s %.2f", i ? "," : "", trace->backends[i].name,
			trace->backends[i].speed);
	fprintf(stderr, "%s\n", trace->backend_count > told_max ? " ..." : "");
}

static void tell_load(const struct simulate_options *options, double impossible)
{
	double load = simulate_trace_load(options);

	if (impossible > 0.02)
		fprintf(stderr,
			"weir: slots=%llu is too few: %.0f %% of the requests of the log would "
			"have "
			"been done before they began\n",
			(unsigned long long)options->slots, 100 * impossible);
	else if (load >= 1)
		fprintf(stderr,
			"weir: the log asks for %.2g times what %llu servers with slots=%llu can "
			"do: whatever chooses, they fall behind\n",
			load, (unsigned long long)options->servers,
			(unsigned long long)options->slots);
}

static bool varies(const struct simulate_options *options, const char *key)
{
	return options->series.key && strcmp(options->series.key, key) == 0;
}

// Where slots vary, the log is prepared anew for each value.
static int take_log(
	const char *path, struct simulate_trace *trace, struct simulate_options *options)
{
	int code = read_log(path, options->by, trace);
	double impossible;

	if (code)
		return code;
	options->trace = trace;
	if (!simulate_is_given(options, "servers") && trace->backend_count)
		options->servers = trace->backend_count;
	if (!simulate_is_given(options, "slots"))
		options->slots = simulate_trace_slots(trace);
	impossible = simulate_trace_prepare(trace, (u32)options->slots);
	if (options->servers == trace->backend_count && !varies(options, "slots"))
		tell_speeds(trace);
	if (!options->series.key)
		tell_load(options, impossible);
	return 0;
}

// ---- Runs ---------------------------------------------------------------------------------------

static struct simulate_result *run_all(const struct simulate_options *options,
	struct simulate_trace *trace, const enum balance_kind *kinds, u32 count)
{
	u32 values = MAX(options->series.count, 1);
	struct progress progress = {.runs = count * values};
	u64 requests = options->trace ? options->trace->count : options->requests;
	bool is_live = requests * progress.runs >= long_run_requests && isatty(STDERR_FILENO);
	struct simulate_result *results = mem_alloc(sizeof(*results) * progress.runs);

	for (; progress.run < progress.runs; progress.run++) {
		u32 value = progress.run / count;
		struct simulate_options one = simulate_of_series(options, value);

		if (varies(options, "slots") && options->trace && progress.run % count == 0)
			simulate_trace_prepare(trace, (u32)one.slots);
		simulate_run(&one, kinds[progress.run % count], is_live ? show_progress : NULL,
			&progress, &results[progress.run]);
		results[progress.run].value = options->series.values[value];
	}
	if (is_live)
		end_progress();
	return results;
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

static int report(const struct cli *cli, const struct simulate_report *report)
{
	struct text text = {0};
	int code = 0;

	if (cli->plan->svg) {
		simulate_print_svg(&text, report, cli->plan->draw);
		code = write_svg(cli->plan->svg, text_take(&text, cli->arena));
	}
	if (code)
		return code;
	if (cli->plan->as_json)
		simulate_print_json(&text, report);
	else
		simulate_print_table(&text, report);
	return terminal_print(text_take(&text, cli->arena));
}

static int simulate(const struct cli *cli, const struct simulate_options *options,
	struct simulate_trace *trace, const enum balance_kind *kinds, u32 count)
{
	const char *error = simulate_check(options, cli->arena);
	struct simulate_result *results;
	int code;

	if (error)
		return fail_usage(error);
	results = run_all(options, trace, kinds, count);
	code = report(cli, &(struct simulate_report){.options = options,
				   .results = results,
				   .kinds = count,
				   .count = count * MAX(options->series.count, 1)});
	mem_free(results);
	return code;
}

int simulate_main(const struct cli *cli)
{
	enum balance_kind kinds[BALANCE_KINDS];
	struct simulate_options options;
	struct simulate_trace trace = {0};
	u32 count = 0;
	int code = take_kinds(cli->plan->flags.algorithm, kinds, &count);

	if (!code)
		code = take_words(cli, &options);
	if (!code && cli->plan->replay)
		code = take_log(cli->plan->replay, &trace, &options);
	if (code)
		return code;
	code = simulate(cli, &options, &trace, kinds, count);
	simulate_trace_done(&trace);
	return code;
}
