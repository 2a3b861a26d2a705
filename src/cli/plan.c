// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include "cli/plan_inside.h"

enum { slips_max = 2, words_max = 16 };

#define TAKES(command) (1ull << PLAN_##command)
#define SOURCE	       (TAKES(RUN) | TAKES(CHECK) | TAKES(CONFIG_SHOW))
#define TELLS                                                                       \
	(TAKES(TOP) | TAKES(STATUS) | TAKES(EVENTS) | TAKES(WHY) | TAKES(EXPLAIN) | \
		TAKES(CONNECTIONS) | TAKES(GENERATIONS) | TAKES(DIFF) | TAKES(JOURNAL))
#define STEERS                                                                                  \
	(TAKES(DRAIN) | TAKES(DISABLE) | TAKES(ENABLE) | TAKES(WEIGHT) | TAKES(BREAKER) |       \
		TAKES(LOG_LEVEL) | TAKES(UNDO) | TAKES(RELOAD) | TAKES(BACKENDS_ADD) |          \
		TAKES(BACKENDS_REMOVE) | TAKES(BACKENDS_LIST) | TAKES(APPLY) | TAKES(CONFIRM) | \
		TAKES(ROLLBACK))
#define ASKS (TAKES(HEALTHCHECK) | TAKES(UPGRADE) | TAKES(EXPORT) | TELLS | STEERS)
#define DATABASE \
	(TAKES(MIGRATE) | TAKES(BACKENDS_ADD) | TAKES(BACKENDS_REMOVE) | TAKES(BACKENDS_LIST))
#define ALL ((1ull << PLAN_COMMAND_COUNT) - 1)

const struct plan_option_info plan_options[] = {
#define OPTION(id, short_name, long_name, value, commands, prose) \
	{short_name, long_name, value, commands, prose},
#include "cli/options.def"
#undef OPTION
};
const u32 plan_option_count = OPTION_COUNT;
_Static_assert(OPTION_COUNT <= 64, "parser.seen has a bit for each option");
_Static_assert(PLAN_COMMAND_COUNT < 64, "plan_option_info.commands has a bit for each command");

const struct plan_command_info plan_commands[PLAN_COMMAND_COUNT] = {
#define X(name, words, rest, prose) {words, rest, prose},
	PLAN_COMMANDS(X)
#undef X
};

const char *plan_variable(char *const *environ, const char *name)
{
	size_t len = strlen(name);

	for (; environ && *environ; environ++)
		if (strncmp(*environ, name, len) == 0 && (*environ)[len] == '=' &&
			(*environ)[len + 1])
			return *environ + len + 1;
	return NULL;
}

const char *plan_near(const char *word, const char *const *words, u32 count)
{
	const char *best = NULL;
	u32 least = slips_max + 1;

	for (u32 i = 0; i < count; i++) {
		u32 slips = str_distance(str_from(word), str_from(words[i]), slips_max);

		// Two slips in a word of two letters leave nothing of it.
		if (slips < least && slips < strlen(words[i])) {
			least = slips;
			best = words[i];
		}
	}
	return best;
}

// ---- Errors -------------------------------------------------------------------------------------

int plan_fail(struct parser *parser, const char *error, const char *hint)
{
	parser->plan->error = error;
	parser->plan->hint = hint;
	return -EINVAL;
}

const char *plan_did_you_mean(struct parser *parser, const char *prefix, const char *near)
{
	return near ? arena_printf(parser->arena, "did you mean '%s%s'?", prefix, near) : NULL;
}

static int fail_unknown_option(struct parser *parser)
{
	const char *names[OPTION_COUNT];
	const char *text = parser->argv[optind - 1];
	struct str name;

	if (text[0] != '-' || text[1] != '-')
		return FAIL(parser, "all options: weir --help-all", "unknown option '-%c'", optopt);
	name = str_from(text + 2);
	name.len = str_find(name, '=');
	if (optopt >= first_value)
		return FAIL(parser, NULL, "option '--%.*s' takes no value", STR_FMT(name));
	for (u32 i = 0; i < OPTION_COUNT; i++)
		names[i] = plan_options[i].long_name;
	text = plan_near(arena_str(parser->arena, name).ptr, names, OPTION_COUNT);
	return FAIL(parser,
		text ? plan_did_you_mean(parser, "--", text) : "all options: weir --help-all",
		"unknown option '--%.*s'", STR_FMT(name));
}

static int fail_no_value(struct parser *parser)
{
	for (u32 i = 0; i < OPTION_COUNT; i++)
		if (optopt == plan_options[i].short_name || optopt == (int)(first_value + i))
			return FAIL(parser, plan_options[i].prose,
				"option '--%s' needs a value: %s", plan_options[i].long_name,
				plan_options[i].value);
	return FAIL(parser, NULL, "an option needs a value");
}

// ---- Options ------------------------------------------------------------------------------------

static void fill_getopt_tables(struct parser *parser)
{
	char *at = parser->short_options;

	*at++ = ':'; // a missing value is told from an unknown option
	for (u32 i = 0; i < OPTION_COUNT; i++) {
		const struct plan_option_info *info = &plan_options[i];

		parser->long_options[i] = (struct option){.name = info->long_name,
			.has_arg = info->value ? required_argument : no_argument,
			.val = (int)(first_value + i)};
		if (info->short_name)
			*at++ = (char)info->short_name;
		if (info->short_name && info->value)
			*at++ = ':';
	}
}

static enum option_id option_of(int result)
{
	if (result >= first_value)
		return (enum option_id)(result - first_value);
	for (u32 i = 0; i < OPTION_COUNT; i++)
		if (plan_options[i].short_name == result)
			return (enum option_id)i;
	return OPTION_COUNT;
}

static int parse_options(struct parser *parser)
{
	int result, error;

	fill_getopt_tables(parser);
	optind = 0; // glibc: start anew
	opterr = 0;
	while ((result = getopt_long(parser->argc, parser->argv, parser->short_options,
			parser->long_options, NULL)) != -1) {
		if (result == '?')
			return fail_unknown_option(parser);
		if (result == ':')
			return fail_no_value(parser);
		error = plan_take_option(parser, option_of(result), optarg);
		if (error)
			return error;
	}
	return 0;
}

// ---- Command ------------------------------------------------------------------------------------

static bool looks_like_file(const char *word)
{
	return strchr(word, '.') || strchr(word, '/') || strcmp(word, "-") == 0;
}

static int fail_unknown_command(struct parser *parser, const char *words)
{
	const char *names[PLAN_COMMAND_COUNT], *near;

	for (u32 i = 0; i < PLAN_COMMAND_COUNT; i++)
		names[i] = plan_commands[i].words;
	near = plan_near(words, names, PLAN_COMMAND_COUNT);
	return FAIL(parser,
		near ? plan_did_you_mean(parser, "weir ", near)
		     : "all commands: weir --help; a file in this folder is written ./NAME",
		"unknown command '%s'", words);
}

static bool has_second_word(const char *word)
{
	return strcmp(word, "config") == 0 || strcmp(word, "import") == 0 ||
	       strcmp(word, "backends") == 0;
}

// Words that name a command, among what is no option. Moves optind behind them.
static int take_command(struct parser *parser)
{
	const char *first = optind < parser->argc ? parser->argv[optind] : NULL;
	const char *words = first;

	if (!first || looks_like_file(first))
		return 0;
	if (has_second_word(first)) {
		if (optind + 1 == parser->argc && !(parser->seen & OPTION_BIT(OPTION_HELP)))
			return FAIL(parser, NULL,
				first[0] == 'c'	  ? "weir config show, schema or convert?"
				: first[0] == 'b' ? "weir backends add, remove or list?"
						  : "weir import bal-rs FILE?");
		if (optind + 1 < parser->argc)
			words = arena_printf(parser->arena, "%s %s", first, parser->argv[++optind]);
	}
	for (u32 i = 0; i < PLAN_COMMAND_COUNT; i++)
		if (strcmp(words, plan_commands[i].words) == 0) {
			parser->plan->command = (enum plan_command)i;
			parser->has_command = true;
			optind++;
			return 0;
		}
	if (parser->seen & OPTION_BIT(OPTION_HELP) && has_second_word(words))
		return 0;
	return fail_unknown_command(parser, words);
}

static int take_word(struct parser *parser, const char **ret_word)
{
	if (parser->argc - optind > 1)
		return FAIL(parser, NULL, "'%s' is one word too many", parser->argv[optind + 1]);
	if (optind < parser->argc)
		*ret_word = parser->argv[optind];
	return 0;
}

static int take_address(struct parser *parser)
{
	const char *word = NULL;
	int error = take_word(parser, &word);

	if (error)
		return error;
	parser->plan->address = word ? word : plan_variable(parser->environ, "PORT");
	if (!word) // seed 3's servers never change their health
		parser->plan->is_steady = true;
	if (!parser->plan->address)
		return plan_fail(parser, "test-backend needs a port",
			"weir test-backend 8001, or PORT=3001 weir test-backend");
	return 0;
}

static int take_url(struct parser *parser)
{
	const char *word = NULL;
	int error = take_word(parser, &word);

	if (error)
		return error;
	if (word && (parser->plan->admin || parser->plan->token_file))
		return plan_fail(parser, "a URL is asked, or the admin address: not both",
			"weir healthcheck --admin ADDRESS, or weir healthcheck URL");
	parser->plan->url = word;
	return 0;
}

// What follows a command that asks: as many words as its help shows, less those in brackets.
static int take_words(struct parser *parser, u32 least, u32 most)
{
	const struct plan_command_info *info = &plan_commands[parser->plan->command];
	const char *usage = arena_printf(parser->arena, "weir %s %s", info->words, info->rest);
	u32 count = (u32)(parser->argc - optind);

	if (count < least)
		return FAIL(parser, usage, "weir %s needs %s", info->words, info->rest);
	if (count > most)
		return FAIL(parser, usage, "'%s' is one word too many",
			parser->argv[optind + (int)most]);
	parser->plan->words = (const char *const *)parser->argv + optind;
	parser->plan->word_count = count;
	return 0;
}

static int take_rest(struct parser *parser)
{
	struct plan *plan = parser->plan;

	switch (plan->command) {
	case PLAN_RUN:
	case PLAN_CHECK:
	case PLAN_CONFIG_SHOW:
	case PLAN_CONVERT:
	case PLAN_IMPORT:
		for (; optind < parser->argc; optind++)
			parser->files[plan->file_count++] = parser->argv[optind];
		return 0;
	case PLAN_SIMULATE:
	case PLAN_CERT:
		for (; optind < parser->argc; optind++)
			plan_add_set(parser, parser->argv[optind]);
		return 0;
	case PLAN_HELP:
		return take_word(parser, &plan->topic);
	case PLAN_HEALTHCHECK:
		return take_url(parser);
	case PLAN_TEST_BACKEND:
		return take_address(parser);
	case PLAN_DIFF:
		return plan->is_live ? take_words(parser, 0, 1) : take_words(parser, 2, 2);
	case PLAN_WHY:
	case PLAN_ROLLBACK:
	case PLAN_UPGRADE:
	case PLAN_CONNECTIONS:
		return take_words(parser, 0, 1);
	case PLAN_MIGRATE:
		return take_words(parser, 1, 2);
	case PLAN_EXPLAIN:
	case PLAN_WEIGHT:
	case PLAN_BREAKER:
		return take_words(parser, 2, 2);
	case PLAN_DRAIN:
	case PLAN_DISABLE:
	case PLAN_ENABLE:
	case PLAN_LOG_LEVEL:
	case PLAN_UNDO:
	case PLAN_APPLY:
	case PLAN_BACKENDS_REMOVE:
		return take_words(parser, 1, 1);
	case PLAN_BACKENDS_ADD:
		return take_words(parser, 1, words_max);
	case PLAN_TOP:
	case PLAN_BACKENDS_LIST:
	case PLAN_RELOAD:
	case PLAN_CONFIRM:
	case PLAN_GENERATIONS:
	case PLAN_JOURNAL:
	case PLAN_EXPORT:
	case PLAN_STATUS:
	case PLAN_EVENTS:
	case PLAN_DEMO:
	case PLAN_CONFIG_SCHEMA:
	case PLAN_VERSION:
	case PLAN_COMMAND_COUNT:
		break;
	}
	if (optind < parser->argc)
		return FAIL(parser, NULL, "weir %s takes no '%s'",
			plan_commands[plan->command].words, parser->argv[optind]);
	return 0;
}

// ---- What must fit together ---------------------------------------------------------------------

static int check_options(struct parser *parser)
{
	enum plan_command command = parser->plan->command;

	for (u32 i = 0; i < OPTION_COUNT; i++)
		if (parser->seen & OPTION_BIT(i) && !(plan_options[i].commands & 1ull << command))
			return FAIL(parser,
				arena_printf(parser->arena, "weir %s --help",
					plan_commands[command].words),
				"weir %s does not take --%s", plan_commands[command].words,
				plan_options[i].long_name);
	return 0;
}

static int check_sources(struct parser *parser)
{
	static const enum option_id flags[] = {
		OPTION_PORT, OPTION_BACKENDS, OPTION_ALGORITHM, OPTION_HEALTH};
	struct plan *plan = parser->plan;

	if ((plan->command == PLAN_CONVERT || plan->command == PLAN_IMPORT) &&
		plan->file_count != 1)
		return FAIL(parser,
			arena_printf(
				parser->arena, "weir %s FILE", plan_commands[plan->command].words),
			"%s takes one file", plan_commands[plan->command].words);
	for (u32 i = 0; i < ARRAY_LEN(flags); i++) {
		if (!(parser->seen & OPTION_BIT(flags[i])))
			continue;
		plan->from_flags = true;
		if (plan->file_count)
			return FAIL(parser, "change the file, or use --set KEY=VALUE on top of it",
				"--%s has no meaning together with a configuration file",
				plan_options[flags[i]].long_name);
	}
	return 0;
}

static int take_format(struct parser *parser)
{
	static const char *const syntaxes[] = {"yaml", "toml", "json"};
	const char *format = parser->format;

	if (!format)
		return 0;
	if (parser->plan->command == PLAN_CHECK) {
		parser->plan->as_json = strcmp(format, "json") == 0;
		if (!parser->plan->as_json && strcmp(format, "human") != 0)
			return plan_fail(parser, "--format of check is human or json", NULL);
		return 0;
	}
	for (u32 i = 0; i < ARRAY_LEN(syntaxes); i++)
		if (strcmp(format, syntaxes[i]) == 0) {
			parser->plan->syntax = (enum conf_syntax)i;
			return 0;
		}
	return FAIL(parser,
		plan_did_you_mean(parser, "", plan_near(format, syntaxes, ARRAY_LEN(syntaxes))),
		"--format is yaml, toml or json");
}

static int take_loudness(struct parser *parser)
{
	static const char *const loud[] = {"info", "debug", "trace"};
	static const char *const quiet[] = {"warn", "error"};

	if (parser->verbose && parser->quiet)
		return plan_fail(parser, "-v and -q contradict each other", NULL);
	if (parser->verbose)
		plan_add_set(
			parser, arena_printf(parser->arena, "log.level=%s",
					loud[MIN(parser->verbose - 1, (u32)ARRAY_LEN(loud) - 1)]));
	if (parser->quiet)
		plan_add_set(
			parser, arena_printf(parser->arena, "log.level=%s",
					quiet[MIN(parser->quiet - 1, (u32)ARRAY_LEN(quiet) - 1)]));
	return 0;
}

// --help and --version take precedence over whatever else is there.
static bool take_help(struct parser *parser)
{
	struct plan *plan = parser->plan;

	if (parser->seen & (OPTION_BIT(OPTION_HELP) | OPTION_BIT(OPTION_HELP_ALL))) {
		if (parser->has_command && plan->command != PLAN_HELP)
			plan->topic = plan_commands[plan->command].words;
		plan->command = PLAN_HELP;
		return true;
	}
	if (plan->version_level) {
		plan->command = PLAN_VERSION;
		return true;
	}
	return false;
}

static int finish(struct parser *parser)
{
	struct plan *plan = parser->plan;
	int error = take_rest(parser);

	if (error)
		return error;
	if (parser->seen & OPTION_BIT(OPTION_PRINT_CONFIG) && plan->command == PLAN_RUN)
		plan->command = PLAN_CONFIG_SHOW;
	if (parser->seen & OPTION_BIT(OPTION_CHECK) && plan->command == PLAN_RUN)
		plan->command = PLAN_CHECK;
	error = check_options(parser);
	if (!error)
		error = check_sources(parser);
	if (!error)
		error = take_format(parser);
	if (!error)
		error = take_loudness(parser);
	return error;
}

int plan_make(int argc, char *const *argv, char *const *environ, struct arena *arena,
	struct plan *ret_plan)
{
	size_t room = (size_t)argc + OPTION_COUNT + 1;
	struct parser parser = {
		.arena = arena,
		.environ = environ,
		.plan = ret_plan,
		.argc = argc,
		.argv = arena_zalloc(arena, room * sizeof(char *)),
		.sets = arena_zalloc(arena, room * sizeof(char *)),
		.files = arena_zalloc(arena, room * sizeof(char *)),
		.fields = arena_zalloc(arena, room * sizeof(char *)),
	};
	int error;

	*ret_plan =
		(struct plan){.sets = parser.sets, .files = parser.files, .fields = parser.fields};
	memcpy(parser.argv, argv, (size_t)argc * sizeof(char *));
	error = parse_options(&parser);
	if (!error)
		error = take_command(&parser);
	if (error || take_help(&parser))
		return error;
	return finish(&parser);
}
