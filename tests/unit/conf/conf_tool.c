// SPDX-License-Identifier: Apache-2.0
// The configuration from a shell, for tests and for making docs/config.md: what `weir check` and
// `weir config` do, without the rest of weir.
//   conf_tool check|show|origin|convert FILE… [--to yaml|toml|json] [--json] [--set K=V]…
//   conf_tool schema | reference | help KEY
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/conf.h"

enum { args_max = 64, exit_config = 78 };

struct options {
	const char *command;
	const char *files[args_max], *sets[args_max];
	u32 file_count, set_count;
	enum conf_syntax syntax;
	bool is_json;
};

static bool parse(struct options *options, int argc, char **argv)
{
	static const char *const syntaxes[] = {"yaml", "toml", "json"};

	if (argc < 2 || argc > args_max)
		return false;
	options->command = argv[1];
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			options->is_json = true;
		} else if (strcmp(argv[i], "--set") == 0 && i + 1 < argc) {
			options->sets[options->set_count++] = argv[++i];
		} else if (strcmp(argv[i], "--to") == 0 && i + 1 < argc) {
			i++;
			for (u32 j = 0; j < 3; j++)
				if (strcmp(argv[i], syntaxes[j]) == 0)
					options->syntax = (enum conf_syntax)j;
		} else {
			options->files[options->file_count++] = argv[i];
		}
	}
	return true;
}

static int print_errors(struct errs *errs, struct arena *arena, bool is_json)
{
	struct str text;

	errs_sort(errs);
	text = is_json ? errs_format_json(errs, arena) : errs_format(errs, arena, false);
	fwrite(text.ptr, 1, text.len, stderr);
	return errs->error_count ? exit_config : 0;
}

static int run(const struct options *options, struct arena *arena, struct errs *errs)
{
	struct conf_input input = {.files = options->files,
		.file_count = options->file_count,
		.sets = options->sets,
		.set_count = options->set_count,
		.environ = environ};
	struct str text = STR_EMPTY;
	const char *near = NULL;

	if (strcmp(options->command, "schema") == 0) {
		text = conf_schema(arena);
	} else if (strcmp(options->command, "reference") == 0) {
		text = conf_reference(arena);
	} else if (strcmp(options->command, "help") == 0) {
		text = conf_help_key(str_from(options->files[0]), arena, &near);
		if (near)
			fprintf(stderr, "did you mean '%s'?\n", near);
	} else if (strcmp(options->command, "convert") == 0) {
		text = conf_convert(&input, options->syntax, arena, errs);
	} else {
		const struct conf *conf = conf_load(&input, arena, errs);

		if (conf && strcmp(options->command, "check") != 0)
			text = conf_show(conf, options->syntax,
				strcmp(options->command, "origin") == 0, arena);
	}
	fwrite(text.ptr, 1, text.len, stdout);
	return print_errors(errs, arena, options->is_json);
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct arena arena;
	struct errs errs;
	int rc;

	if (!parse(&options, argc, argv)) {
		fprintf(stderr, "usage: see the head of conf_tool.c\n");
		return 2;
	}
	arena_init(&arena, CONF_ARENA_BYTES_MAX);
	errs_init(&errs);
	rc = run(&options, &arena, &errs);
	errs_done(&errs);
	arena_done(&arena);
	return rc;
}
