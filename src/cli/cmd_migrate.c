// SPDX-License-Identifier: Apache-2.0
// weir migrate: numbered SQL files, run once each. What it prints has the form of sqlx-cli, whose
// folders and notes it shares.
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "cli/database.h"
#include "cli/terminal.h"
#include "discover/migrate.h"
#include "loop/loop.h"

struct migrate {
	const struct cli *cli;
	const char *folder;
	struct database database;
	struct migrations migrations;
	struct loop *loop; // for its clock
};

static int open_clock(struct migrate *migrate)
{
	struct loop_limits limits = {8, 8};
	const char *why;
	int error = loop_new(LOOP_EPOLL, &limits, &migrate->loop, &why);

	return error ? database_complain(strerror(-error)) : EXIT_OK;
}

static u64 now_us(struct migrate *migrate)
{
	loop_turn(migrate->loop, 0);
	return loop_now_us(migrate->loop);
}

static int print(const struct cli *cli, const char *format, ...) printf_like(2, 3);

static int print(const struct cli *cli, const char *format, ...)
{
	char text[1024];
	va_list args;
	int len;

	(void)cli;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return terminal_print(str_make(text, MIN((size_t)MAX(len, 0), sizeof(text) - 1)));
}

static int print_applied(
	struct migrate *migrate, const struct migration *migration, const char *what, u64 began_us)
{
	u64 elapsed_us = now_us(migrate) - began_us;

	return print(migrate->cli, "Applied %llu/%s %.*s (%llu.%03llums)\n",
		(unsigned long long)migration->version, what, STR_FMT(migration->description),
		(unsigned long long)(elapsed_us / 1000), (unsigned long long)(elapsed_us % 1000));
}

// How far it got, on standard error.
static void say_state(const struct migrate *migrate)
{
	u32 installed = 0;

	for (u32 i = 0; i < migrate->migrations.count; i++)
		installed += migrate->migrations.list[i].state == MIGRATION_INSTALLED;
	fprintf(stderr,
		"      %u of %u migrations are installed; weir migrate status shows which.\n",
		installed, migrate->migrations.count);
}

// ---- The words ----------------------------------------------------------------------------------

static int add(struct migrate *migrate)
{
	const struct plan *plan = migrate->cli->plan;
	char error[SQL_ERROR_MAX], date[32];
	const char *files[2];
	time_t seconds = (time_t)(loop_wall_ms(migrate->loop) / 1000);
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date), "%Y%m%d%H%M%S", &utc);
	if (migration_create(migrate->folder, date, plan->words[1], plan->is_reversible,
		    migrate->cli->arena, files, error) < 0)
		return database_complain(error);
	for (u32 i = 0; i < 2 && files[i]; i++)
		if (print(migrate->cli, "Creating %s\n", files[i]))
			return EXIT_FAILED;
	return EXIT_OK;
}

static int run(struct migrate *migrate)
{
	char error[SQL_ERROR_MAX];

	for (u32 i = 0; i < migrate->migrations.count; i++) {
		struct migration *migration = &migrate->migrations.list[i];
		u64 began_us = now_us(migrate);
		int done;

		if (migration->state != MIGRATION_PENDING)
			continue;
		done = migration_run(
			migration, migrate->database.kind, migrate->database.sql, error);
		if (done < 0) {
			fprintf(stderr,
				"weir: migration %llu failed and was rolled back: %s\n      file: "
				"%s\n",
				(unsigned long long)migration->version, error, migration->up);
			say_state(migrate);
			return EXIT_FAILED;
		}
		migration->state = MIGRATION_INSTALLED;
		if (done > 0 && print_applied(migrate, migration, "migrate", began_us))
			return EXIT_FAILED;
	}
	return EXIT_OK;
}

static int revert(struct migrate *migrate)
{
	struct migration *last = NULL;
	char error[SQL_ERROR_MAX];
	u64 began_us;
	int done;

	for (u32 i = 0; i < migrate->migrations.count; i++)
		if (migrate->migrations.list[i].state == MIGRATION_INSTALLED)
			last = &migrate->migrations.list[i];
	if (!last)
		return print(migrate->cli, "No migrations available to revert\n");
	if (!last->down) {
		fprintf(stderr,
			"weir: migration %llu (%.*s) cannot be reverted: there is no .down.sql for "
			"it. "
			"Write what undoes it as a new migration.\n",
			(unsigned long long)last->version, STR_FMT(last->description));
		return EXIT_FAILED;
	}
	began_us = now_us(migrate);
	done = migration_revert(last, migrate->database.kind, migrate->database.sql, error);
	if (done < 0) {
		fprintf(stderr, "weir: reverting migration %llu failed, it is still there: %s\n",
			(unsigned long long)last->version, error);
		say_state(migrate);
		return EXIT_FAILED;
	}
	return done ? print_applied(migrate, last, "revert", began_us)
		    : print(migrate->cli, "No migrations available to revert\n");
}

static int status(struct migrate *migrate)
{
	static const char *const texts[] = {
		[MIGRATION_PENDING] = "pending",
		[MIGRATION_INSTALLED] = "installed",
		[MIGRATION_CHANGED] = "installed (different checksum)",
		[MIGRATION_FILELESS] = "installed (its file is missing)",
		[MIGRATION_BROKEN] = "partially applied",
	};

	for (u32 i = 0; i < migrate->migrations.count; i++) {
		const struct migration *migration = &migrate->migrations.list[i];

		if (print(migrate->cli, "%llu/%s %.*s\n", (unsigned long long)migration->version,
			    texts[migration->state], STR_FMT(migration->description)))
			return EXIT_FAILED;
	}
	return EXIT_OK;
}

// ---- The command --------------------------------------------------------------------------------

static const struct word {
	const char *word;
	int (*act)(struct migrate *migrate);
	bool wants_no_obstacle;
} words[] = {
	{"run", run, true}, {"revert", revert, true}, {"status", status, false},
	{"info", status, false}, // what sqlx-cli calls it
};

static int fail_word(const struct cli *cli)
{
	static const char *const known[] = {"add", "run", "status", "revert"};
	const char *near = plan_near(cli->plan->words[0], known, ARRAY_LEN(known));

	fprintf(stderr,
		"weir: migrate is followed by add NAME, run, status or revert, not '%s'%s%s\n",
		cli->plan->words[0], near ? ". Did you mean " : "", near ? near : "");
	return EXIT_USAGE;
}

static int act_on_database(struct migrate *migrate, const struct word *word)
{
	char error[SQL_ERROR_MAX];
	const char *obstacle = NULL;
	int code;

	if (migrations_load(&migrate->migrations, migrate->folder, migrate->cli->arena, error) < 0)
		return database_complain(error);
	code = database_open(migrate->cli, true, &migrate->database);
	if (code)
		return code;
	if (migrations_look(
		    &migrate->migrations, migrate->database.kind, migrate->database.sql, error) < 0)
		code = database_complain(error);
	else if (word->wants_no_obstacle)
		obstacle = migrations_obstacle(&migrate->migrations, migrate->cli->arena);
	if (obstacle)
		code = database_complain(obstacle);
	if (!code)
		code = word->act(migrate);
	database_close(&migrate->database);
	return code;
}

int migrate_main(const struct cli *cli)
{
	struct migrate migrate = {
		.cli = cli, .folder = cli->plan->source ? cli->plan->source : "migrations"};
	const struct word *found = NULL;
	bool adds = strcmp(cli->plan->words[0], "add") == 0;
	int code;

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].word, cli->plan->words[0]) == 0)
			found = &words[i];
	if (!found && !adds)
		return fail_word(cli);
	if (cli->plan->word_count != (adds ? 2u : 1u)) {
		fprintf(stderr,
			adds ? "weir: migrate add needs a name: weir migrate add NAME\n"
			     : "weir: migrate %s takes nothing more\n",
			cli->plan->words[0]);
		return EXIT_USAGE;
	}
	code = open_clock(&migrate);
	if (code)
		return code;
	code = adds ? add(&migrate) : act_on_database(&migrate, found);
	loop_free(migrate.loop);
	return code;
}
