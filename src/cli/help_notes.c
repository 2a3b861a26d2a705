// SPDX-License-Identifier: Apache-2.0
#include "cli/help_notes.h"

#include "cli/plan.h"

#define TAKES(command) (1ull << PLAN_##command)

struct note {
	u64 commands;
	const char *text;
};

static const struct note notes[] = {
	{TAKES(TOP),
		"\n"
		"Keys: arrows, j, k, PgUp and PgDn choose a backend; s sorts, / filters, u leaves\n"
		"what is not up and well; d drains, or enables again, once you say yes; e shows\n"
		"what has changed; ? explains the rest; q quits. What is wrong stands on top.\n"
		"\n"
		"Without a terminal, or with TERM=dumb, it prints one plain table as --once does;\n"
		"--json prints the state of the admin API. NO_COLOR leaves out the colours.\n"},
	{TAKES(MIGRATE),
		"\n"
		"  echo DATABASE_URL=postgres://user:password@localhost/db_name > .env\n"
		"  weir migrate add migration_name      makes migrations/DATE_migration_name.sql\n"
		"  weir migrate run                     runs what has not been run yet\n"
		"\n"
		"Each file is a transaction of its own: what fails is rolled back, and what\n"
		"comes behind it is not begun. Any number may run at once; each file runs once.\n"
		"What ran is noted in the table _sqlx_migrations, as sqlx-cli does.\n"},
	{TAKES(BACKENDS_ADD) | TAKES(BACKENDS_REMOVE) | TAKES(BACKENDS_LIST),
		"\n"
		"  weir backends add 10.0.0.7:8000 weight=2 state=drain\n"
		"  weir backends remove 10.0.0.7:8000\n"
		"\n"
		"write to the database, where one is named: every weir that reads the table\n"
		"follows. Words behind an address are columns of the table; to add one that is\n"
		"there changes them.\n"
		"\n"
		"  weir backends add app 10.0.0.7:8000 2\n"
		"  weir backends remove app/10.0.0.7:8000\n"
		"\n"
		"with a pool in front change a running weir alone, until it is started again.\n"
		"\n"
		"  weir backends list\n"
		"\n"
		"shows the rows of the table; where no database is named, or with --admin, the\n"
		"backends of the running weir.\n"},
	{TAKES(STATUS),
		"\n"
		"Ends with 0 when it is ready: it takes connections, and some backend may get\n"
		"requests. With 69 when it is not, or when it cannot be reached. What is wrong\n"
		"although it is ready stands in the text, and in the verdict of --json.\n"},
	{TAKES(EVENTS),
		"\n"
		"  weir events -n 100\n"
		"  weir events -f --json | jq 'select(.kind == \"health\")'\n"
		"\n"
		"--json prints one object in each line. What somebody ordered has its number:\n"
		"weir undo NUMBER takes it back.\n"},
	{TAKES(WHY),
		"\n"
		"  weir why                                     the last requests that failed\n"
		"  weir why 01977f0c2f4a7b2e8d31c5a90e6b7f12    one of them, or any recent one\n"
		"\n"
		"The id of a request stands in the access log, in weir's own error pages, and in\n"
		"what its backend received (X-Request-Id).\n"},
	{TAKES(EXPLAIN),
		"\n"
		"  weir explain GET http://www.example.com/cart -H 'Cookie: id=7'\n"
		"  weir explain POST /api/orders --from 203.0.113.9 --frontend web\n"
		"  weir explain GET https://www.example.com/ --cert-subject CN=me,O=Example\n"
		"\n"
		"Nothing is sent to a backend and nothing changes. weir help KEY explains a key\n"
		"of the configuration.\n"},
	{TAKES(UPGRADE),
		"\n"
		"BINARY is an absolute path; without it the one that weir was started as. The new\n"
		"one checks its configuration and its backends, serves beside the old one for a\n"
		"second, and then the old one finishes what it has (shutdown_timeout). Ends\n"
		"with 0 once the new one serves; with 1 and the reason when it cannot, and then\n"
		"nothing has changed. The same without a word: kill -USR2 of the process that was\n"
		"started.\n"},
	{TAKES(DIFF),
		"\n"
		"  weir diff /etc/weir/weir.yaml new.yaml\n"
		"  weir diff --live new.yaml\n"
		"\n"
		"Each line says in brackets what a reload makes of it. Secrets are compared and\n"
		"never shown. Ends with 0 when both say the same, 1 when not, 2 when one of them\n"
		"cannot be read.\n"},
	{TAKES(APPLY) | TAKES(CONFIRM),
		"\n"
		"  weir apply new.yaml --confirm 60s && weir explain GET / && weir confirm\n"
		"\n"
		"The file is read here and sent; the files that weir was started with stay as\n"
		"they are, and are read again by the next reload, upgrade or start. Without\n"
		"weir confirm the one before comes again; after a crash too.\n"},
	{TAKES(ROLLBACK) | TAKES(GENERATIONS),
		"\n"
		"The last 16 are kept, over crashes and upgrades too, with the backends that were\n"
		"added and removed by hand then. Lists from elsewhere stay as they are now.\n"},
	{TAKES(EXPORT) | TAKES(JOURNAL),
		"\n"
		"  weir export > weir.yaml && weir check weir.yaml\n"
		"\n"
		"What was ordered stays until the process ends, or until the configuration says\n"
		"something else; exported it stays. Secrets come as the places where they are;\n"
		"one that stands in the configuration itself is left out as ***.\n"},
	{TAKES(CONNECTIONS),
		"\n"
		"  weir connections app/app-1               with a request that is there now\n"
		"  weir connections --state request --oldest\n"
		"  weir connections --from 203.0.113.0/24 -n 1000 --json\n"
		"\n"
		"OPEN is the time since the connection came, FOR the time that its request or\n"
		"tunnel has taken so far. IN and OUT are bytes.\n"},
	{TAKES(DRAIN) | TAKES(DISABLE) | TAKES(ENABLE) | TAKES(WEIGHT) | TAKES(BREAKER),
		"\n"
		"BACKEND is an id, or an address, where only one backend has it; else POOL/ID.\n"},
	{TAKES(DRAIN),
		"\n"
		"  weir drain app/app-1 --wait --timeout 10m && systemctl restart app\n"
		"\n"
		"With --wait it ends with 0 once nothing is in flight, and with 1 when --timeout\n"
		"is over before that; the backend stays drained either way, until weir enable.\n"},
	{TAKES(BREAKER),
		"\n"
		"STATE is open (no requests), closed (requests whatever fails) or auto.\n"},
	{TAKES(LOG_LEVEL),
		"\n"
		"LEVEL is error, warn, notice, info, debug or trace, until the next start.\n"},
	{TAKES(DRAIN) | TAKES(DISABLE) | TAKES(ENABLE) | TAKES(WEIGHT) | TAKES(BREAKER) |
			TAKES(LOG_LEVEL) | TAKES(UNDO),
		"\n"
		"Who may: root and weir's own user by the unix socket; others with a token whose\n"
		"role is operate (WEIR_TOKEN, --token-file). Each change is an event that says\n"
		"who did it; its number is what weir undo takes.\n"},
};

void help_add_notes(u64 commands, struct text *text)
{
	for (u32 i = 0; i < ARRAY_LEN(notes); i++)
		if (notes[i].commands & commands)
			text_add(text, str_from(notes[i].text));
}
