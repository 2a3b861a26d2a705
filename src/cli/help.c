// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <stdio.h>

#include "base/text.h"
#include "cli/help_notes.h"
#include "cli/origin_faults.h"
#include "cli/plan.h"
#include "cli/simulate.h"

enum {
	columns = 80,
	indent = 30, // where explanations start
};

// Seed 3's users look for these options with these defaults; the first screen holds what a first
// hour needs. Kept by hand so that each of its lines earns its place.
static const char screen[] =
	"weir " WEIR_VERSION ", a TCP and HTTP/1.1 load balancer\n"
	"\n"
	"  weir demo                    try it: three servers and the balancer\n"
	"  weir -b HOST:PORT,HOST:PORT  balance over these servers on port 8080\n"
	"  weir FILE                    balance as FILE says (YAML, TOML or JSON)\n"
	"  weir check [FILE]            check a configuration; also: config show, convert\n"
	"  weir top                     watch a running weir; also: status, events\n"
	"  weir why ID                  what was done with a request; also: explain\n"
	"  weir drain BACKEND           steer it; also: enable, disable, weight, undo\n"
	"  weir test-backend PORT       a server that shows what arrives\n"
	"  weir help KEY                explain a key of the configuration, or a command\n"
	"\n"
	"Options:\n"
	"  -c, --config FILE            as FILE; - is standard input; may be repeated\n"
	"  -p, --port PORT              port to listen on [default: 8080]\n"
	"  -b, --backends LIST          servers, comma-separated\n"
	"                 [default: 127.0.0.1:3001,127.0.0.1:3002,127.0.0.1:3003]\n"
	"  -a, --algorithm NAME         how a server is chosen [default: round_robin]\n"
	"      --health-check-interval SECONDS     between checks [default: 30]\n"
	"      --set KEY=VALUE          one setting on top of file and environment\n"
	"  -v, -q                       log more (-vv, -vvv) or less (-qq)\n"
	"  -h, --help, --help-all       this screen; everything\n"
	"  -V, --version                version; -VV with libraries and io\n"
	"\n"
	"Without FILE or options: ./weir.yaml and others, WEIR_* variables, defaults.\n";

static const char appendix[] =
	"Where the configuration comes from, when neither FILE nor -p, -b, -a is given:\n"
	"  $WEIR_CONFIG; ./weir.yaml, .yml, .toml or .json; ./config.yaml;\n"
	"  ./mini-balancer.toml; $XDG_CONFIG_HOME/weir/ or ~/.config/weir/;\n"
	"  /etc/weir/weir.yaml with /etc/weir/conf.d/*; else WEIR_* variables; else the\n"
	"  defaults of -p, -b and -a. The first log line says which was taken.\n"
	"\n"
	"What wins: --set and other options, then variables, then files, then defaults.\n"
	"\n"
	"Variables:\n"
	"  WEIR_CONFIG                 the file to read\n"
	"  WEIR_FRONTENDS__WEB__BIND   a setting; __ separates the parts of its key\n"
	"  WEIR_TOKEN                  the token of the admin address\n"
	"  PORT                        the port of test-backend\n"
	"  NO_COLOR, CLICOLOR_FORCE    never, or always, colours; TERM=dumb: none\n"
	"  ./.env is read as well; what the environment says wins (--no-env-file)\n"
	"\n"
	"Signals:\n"
	"  TERM, INT, QUIT             finish what runs, within runtime.shutdown_timeout;\n"
	"                              a second one stops at once\n"
	"  USR1                        open log files again (after rotation)\n"
	"\n"
	"Exit codes:\n"
	"  0 done   1 could not start or go on   2 wrong command line\n"
	"  69 not ready or not there (healthcheck, status, and all that ask)\n"
	"  78 configuration missing or wrong\n";

// Explanations are cut at spaces.
static void add_prose(struct text *text, const char *prose, size_t at)
{
	struct str rest = str_from(prose);

	while (rest.len) {
		struct str word = str_cut(&rest, ' ');

		if (at > indent && at + 1 + word.len > columns) {
			text_printf(text, "\n%*s", indent, "");
			at = indent;
		} else if (at > indent) {
			text_addc(text, ' ');
			at++;
		}
		text_add(text, word);
		at += word.len;
	}
	text_addc(text, '\n');
}

static void add_row(struct text *text, struct str left, const char *prose)
{
	text_add(text, left);
	if (left.len + 2 > indent)
		text_printf(text, "\n%*s", indent, "");
	else
		text_printf(text, "%*s", (int)(indent - left.len), "");
	add_prose(text, prose, indent);
}

static void add_command(struct text *text, const struct plan_command_info *info)
{
	char left[columns];
	int len = snprintf(left, sizeof(left), "  weir %s %s", info->words, info->rest);

	add_row(text, str_make(left, (size_t)len), info->prose);
}

static void add_option(struct text *text, const struct plan_option_info *info)
{
	char left[columns], letter[5] = "    ";
	int len;

	if (info->short_name)
		snprintf(letter, sizeof(letter), "-%c, ", info->short_name);
	len = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, info->long_name,
		info->value ? " " : "", info->value ? info->value : "");
	add_row(text, str_make(left, (size_t)len), info->prose);
}

struct str help_screen(struct arena *arena)
{
	return arena_str(arena, str_make(screen, sizeof(screen) - 1));
}

struct str help_all(struct arena *arena)
{
	struct text text = {0};

	text_add(&text,
		STR("weir " WEIR_VERSION ", a TCP and HTTP/1.1 load balancer\n\nCommands:\n"));
	for (u32 i = 0; i < PLAN_COMMAND_COUNT; i++)
		add_command(&text, &plan_commands[i]);
	text_add(&text, STR("\nOptions:\n"));
	for (u32 i = 0; i < plan_option_count; i++)
		add_option(&text, &plan_options[i]);
	text_add(&text, STR("  --                          ends the options\n\n"));
	text_add(&text, str_make(appendix, sizeof(appendix) - 1));
	return text_take(&text, arena);
}

static bool is_meant(const char *words, const char *command)
{
	return strcmp(words, command) == 0 ||
	       (str_starts(str_from(command), str_from(words)) && command[strlen(words)] == ' ');
}

struct str help_command(const char *words, struct arena *arena)
{
	struct text text = {0};
	u64 commands = 0;

	for (u32 i = 0; i < PLAN_COMMAND_COUNT; i++)
		if (is_meant(words, plan_commands[i].words)) {
			add_command(&text, &plan_commands[i]);
			commands |= 1ull << i;
		}
	if (!commands)
		return STR_EMPTY;
	text_add(&text, STR("\nOptions:\n"));
	for (u32 i = 0; i < plan_option_count; i++)
		if (plan_options[i].commands & commands)
			add_option(&text, &plan_options[i]);
	help_add_notes(commands, &text);
	if (commands & 1ull << PLAN_TEST_BACKEND) {
		text_add(&text,
			STR("\nWhat it can be told to do, at the start with --fault or while it "
			    "runs with\ncurl -X POST '127.0.0.1:PORT/-/fault?WORDS', WORDS "
			    "being WORD&WORD...; without\nWORDS all is well again. GET tells "
			    "what it does and has counted.\n"));
		origin_faults_list_words(&text);
	}
	if (commands & 1ull << PLAN_SIMULATE) {
		text_add(&text, STR("\nThe model, KEY=VALUE:\n"));
		simulate_list_words(&text);
	}
	return text_take(&text, arena);
}
