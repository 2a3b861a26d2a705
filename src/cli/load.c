// SPDX-License-Identifier: Apache-2.0
#include "cli/load.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/check_deep.h"
#include "cli/terminal.h"
#include "conf/file.h"
#include "conf/override.h"
#include "conf/report.h"
#include "control/rehearse.h"
#include "discover/discover.h"

static const char dotenv_file[] = ".env", machine_id_file[] = "/etc/machine-id";

struct source {
	const char *const *files;
	u32 file_count;
	bool by_settings; // the environment or --set describes the whole
	bool by_database; // DATABASE_URL is there, and nothing else says what to balance
};

// ---- Where from ---------------------------------------------------------------------------------

// Settings of the process do not say what to balance; with them alone the defaults still hold.
static bool describes_traffic(struct str name, char separator)
{
	static const struct str process[] = {
		{"runtime", 7}, {"log", 3}, {"version", 7}, {"config", 6}};
	struct str first = name;

	first.len = str_find(name, separator);
	for (u32 i = 0; i < ARRAY_LEN(process); i++)
		if (str_eq_nocase(first, process[i]))
			return false;
	return true;
}

static void look_at_variables(const struct cli *cli, struct errs *errs, struct source *source)
{
	struct report report = {.arena = cli->arena, .errs = errs};
	struct variables variables = {0};
	struct str text, prefix = STR("WEIR_");
	u64 identity;

	variables_add_environ(&variables, cli->arena, cli->environ);
	if (!cli->plan->no_env_file && file_read(cli->arena, dotenv_file, &text, &identity) == 0)
		variables_add_dotenv(&variables, &report, dotenv_file, text);
	for (u32 i = 0; i < variables.count; i++) {
		struct str name = variables.list[i].name;

		if (str_eq(name, STR("DATABASE_URL")) && variables.list[i].value.len)
			source->by_database = !cli->plan->flags.backends;
		if (override_is_setting(name) &&
			describes_traffic(
				str_make(name.ptr + prefix.len, name.len - prefix.len), '_'))
			source->by_settings = true;
	}
}

static void choose(const struct cli *cli, struct source *source)
{
	const struct plan *plan = cli->plan;
	struct errs errs;

	if (plan->file_count) {
		source->files = plan->files;
		source->file_count = plan->file_count;
		return;
	}
	if (!plan->from_flags)
		source->file_count = conf_locate(cli->environ, cli->arena, &source->files);
	if (source->file_count)
		return;
	errs_init(&errs); // a broken .env is reported when it is loaded
	look_at_variables(cli, &errs, source);
	errs_done(&errs);
	for (u32 i = 0; i < plan->set_count; i++)
		source->by_settings |= describes_traffic(str_from(plan->sets[i]), '.');
	if (source->by_settings && !plan->from_flags)
		source->by_database = false;
}

static const char *name_source(
	const struct cli *cli, const struct source *source, const struct conf *conf)
{
	struct text text = {0};

	if (!source->file_count) {
		const char *name = source->by_database	   ? "DATABASE_URL"
				   : cli->plan->from_flags ? "command line + defaults"
				   : source->by_settings   ? "environment and --set"
							   : "built-in defaults";

		text_add(&text, str_from(name));
	}
	for (u32 i = 0; i < conf->file_count; i++) {
		text_add(&text, text.len ? STR(", ") : STR(""));
		text_add(&text, str_from(conf->files[i]));
	}
	return text_take(&text, cli->arena).ptr;
}

// ---- Errors -------------------------------------------------------------------------------------

static void print_json(const struct cli *cli, struct errs *errs)
{
	struct str text = errs_format_json(errs, cli->arena);

	(void)terminal_print(text);
}

void load_print(const struct cli *cli, struct errs *errs)
{
	struct str text;

	errs_sort(errs);
	if (cli->plan->as_json) {
		print_json(cli, errs);
		return;
	}
	if (errs->error_count + errs->warning_count == 0)
		return;
	text = errs_format(
		errs, cli->arena, terminal_has_colour(cli->environ, isatty(STDERR_FILENO)));
	fwrite(text.ptr, 1, text.len, stderr);
}

// A file that cannot be read has said so itself.
static bool has_parse_error(const struct errs *errs)
{
	for (const struct err *err = errs->first; err; err = err->next)
		if (err->kind == ERR_ERROR && err->code != CODE_UNREADABLE)
			return true;
	return false;
}

// ---- Loading ------------------------------------------------------------------------------------

static struct conf *load_from(const struct cli *cli, const struct source *source, struct errs *errs)
{
	const struct plan *plan = cli->plan;
	struct conf_input input = {
		.files = source->files,
		.file_count = source->file_count,
		.sets = plan->sets,
		.set_count = plan->set_count,
		.environ = cli->environ,
		.dotenv = plan->no_env_file ? NULL : dotenv_file,
		.machine_id = machine_id_file,
	};

	if (source->file_count || (source->by_settings && !plan->from_flags))
		return conf_load(&input, cli->arena, errs);
	if (source->by_database)
		return conf_from_database(&plan->flags, &input, cli->arena, errs);
	return conf_from_flags(&plan->flags, &input, cli->arena, errs);
}

// What this build cannot do is no mistake of the configuration, but just as final.
static bool has_all_sources(const struct conf *conf)
{
	bool has_all = true;

	for (u32 i = 0; i < conf->provider_count; i++) {
		const struct conf_provider *provider = &conf->providers[i];
		const char *missing = discover_missing(provider);

		if (missing)
			fprintf(stderr, "weir: provider '%.*s': %s\n", STR_FMT(provider->name),
				missing);
		has_all &= !missing;
	}
	return has_all;
}

struct conf *load_again(void *owner, struct arena *arena, struct errs *errs)
{
	const struct cli *cli = owner;
	struct cli fresh = {.plan = cli->plan, .environ = cli->environ, .arena = arena};
	struct source source = {0};

	choose(&fresh, &source);
	return load_from(&fresh, &source, errs);
}

struct conf *load_sent(
	void *owner, const char *name, struct str text, struct arena *arena, struct errs *errs)
{
	const struct cli *cli = owner;
	struct conf_input input = {.environ = cli->environ,
		.dotenv = cli->plan->no_env_file ? NULL : dotenv_file,
		.machine_id = machine_id_file};

	return conf_load_kept(name, text, &input, arena, errs);
}

const char *load_source(const struct cli *cli)
{
	struct source source = {0};
	struct text text = {0};

	if (!load_is_lasting(cli))
		return NULL;
	choose(cli, &source);
	for (u32 i = 0; i < source.file_count; i++) {
		char path[PATH_MAX];

		text_printf(
			&text, "%s\n", realpath(source.files[i], path) ? path : source.files[i]);
	}
	return text.len ? text_take(&text, cli->arena).ptr : NULL;
}

bool load_is_lasting(const struct cli *cli)
{
	for (u32 i = 0; i < cli->plan->file_count; i++)
		if (strcmp(cli->plan->files[i], "-") == 0)
			return false;
	return true;
}

int load_conf(const struct cli *cli, struct load *ret_load)
{
	struct source source = {0};
	struct errs errs;
	struct conf *conf;
	struct text deep = {0};
	bool has_failed = false; // a test of the configuration's own, or what it names

	choose(cli, &source);
	errs_init(&errs);
	conf = load_from(cli, &source, &errs);
	if (conf && cli->plan->command == PLAN_CHECK && rehearse(conf, &errs))
		has_failed = true;
	if (conf && cli->plan->is_deep && check_deep(conf, cli->arena, &deep, &errs))
		has_failed = true;
	load_print(cli, &errs);
	if (conf)
		*ret_load = (struct load){.conf = conf,
			.source = name_source(cli, &source, conf),
			.has_file = source.file_count > 0,
			.deep = text_take(&deep, cli->arena),
			.warning_count = errs.warning_count};
	else if (has_parse_error(&errs) && !cli->plan->as_json)
		fprintf(stderr, "weir: failed to parse configuration\n");
	errs_done(&errs);
	return conf && !has_failed && has_all_sources(conf) ? 0 : EXIT_CONFIG;
}

int load_one(const struct cli *cli, const char *const *file, struct load *ret_load)
{
	struct plan plan = *cli->plan;
	struct cli one = {.plan = &plan, .environ = cli->environ, .arena = cli->arena};

	plan.files = file;
	plan.file_count = file ? 1 : 0;
	plan.as_json = false; // what is wrong is told to people, on standard error
	return load_conf(&one, ret_load);
}

int load_kept(const struct cli *cli, int fd, struct load *ret_load)
{
	const char *file = arena_printf(cli->arena, "/proc/self/fd/%d", fd);
	struct conf_input input = {.files = &file,
		.file_count = 1,
		.environ = cli->environ,
		.machine_id = machine_id_file};
	struct errs errs;
	struct conf *conf;

	errs_init(&errs);
	conf = conf_load(&input, cli->arena, &errs);
	errs_done(&errs);
	if (!conf)
		return -1;
	*ret_load = (struct load){.conf = conf, .source = "what served before", .has_file = true};
	return 0;
}
