// SPDX-License-Identifier: Apache-2.0
#include "cli/database.h"

#include <stdio.h>

#include "cli/load.h"
#include "conf/file.h"
#include "conf/report.h"
#include "conf/variables.h"

int database_complain(const char *cause)
{
	fprintf(stderr, "weir: %s\n", cause);
	return EXIT_FAILED;
}

// Whether the environment or .env name one.
static bool has_variable(const struct cli *cli)
{
	struct variables variables = {0};
	const struct variable *found;
	struct errs errs;
	struct report report = {.arena = cli->arena, .errs = &errs};
	struct str text;
	u64 identity;

	errs_init(&errs); // a broken .env is reported when it is loaded
	variables_add_environ(&variables, cli->arena, cli->environ);
	if (!cli->plan->no_env_file && file_read(cli->arena, ".env", &text, &identity) == 0)
		variables_add_dotenv(&variables, &report, ".env", text);
	found = variables_find(&variables, STR("DATABASE_URL"));
	errs_done(&errs);
	return found && found->value.len;
}

static const struct conf_provider *first_database(const struct conf *conf)
{
	for (u32 i = 0; i < conf->provider_count; i++)
		if (conf->providers[i].type == CONF_PROVIDER_SQLITE ||
			conf->providers[i].type == CONF_PROVIDER_POSTGRES)
			return &conf->providers[i];
	return NULL;
}

static struct conf *load_url(const struct cli *cli, char *const *environ, const char *dotenv)
{
	struct conf_input input = {.environ = environ, .dotenv = dotenv};
	struct conf_flags flags = {0};
	struct conf *conf;
	struct errs errs;

	errs_init(&errs);
	conf = conf_from_database(&flags, &input, cli->arena, &errs);
	if (!conf)
		load_print(cli, &errs);
	errs_done(&errs);
	return conf;
}

// The configuration that a start would take, without a word about what is wrong with it.
static bool is_in_configuration(const struct cli *cli)
{
	struct conf_input input = {.files = cli->plan->files,
		.file_count = cli->plan->file_count,
		.environ = cli->environ,
		.dotenv = cli->plan->no_env_file ? NULL : ".env"};
	const struct conf *conf;
	struct errs errs;

	if (!input.file_count)
		input.file_count = conf_locate(cli->environ, cli->arena, &input.files);
	if (!input.file_count)
		return false;
	errs_init(&errs);
	conf = conf_load(&input, cli->arena, &errs);
	errs_done(&errs);
	return conf && first_database(conf);
}

bool database_is_named(const struct cli *cli)
{
	return cli->plan->database_url || (!cli->plan->file_count && has_variable(cli)) ||
	       is_in_configuration(cli);
}

static int find_database(const struct cli *cli, struct conf_provider *ret_provider)
{
	const struct plan *plan = cli->plan;
	char *given[] = {NULL, NULL};
	const struct conf_provider *found;
	const struct conf *conf;
	struct load load;
	int code = EXIT_OK;

	if (plan->database_url)
		given[0] = arena_printf(cli->arena, "DATABASE_URL=%s", plan->database_url);
	if (plan->database_url)
		conf = load_url(cli, given, NULL);
	else if (!plan->file_count && has_variable(cli))
		conf = load_url(cli, cli->environ, plan->no_env_file ? NULL : ".env");
	else
		conf = (code = load_conf(cli, &load)) == EXIT_OK ? load.conf : NULL;
	if (!conf)
		return code ? code : EXIT_CONFIG;
	found = first_database(conf);
	if (!found) {
		fprintf(stderr,
			"weir: no database is named. Set DATABASE_URL, in the environment or in "
			".env; "
			"or use --database-url URL, or -c FILE with a provider that is one.\n");
		return EXIT_CONFIG;
	}
	*ret_provider = *found;
	if (plan->database_url)
		ret_provider->url_from = STR("--database-url");
	return EXIT_OK;
}

int database_open(const struct cli *cli, bool creates, struct database *ret_database)
{
	char error[SQL_ERROR_MAX];
	int code = find_database(cli, &ret_database->provider);

	if (code)
		return code;
	ret_database->kind =
		ret_database->provider.type == CONF_PROVIDER_SQLITE ? &sql_sqlite : &sql_postgres;
	if (!ret_database->kind->open)
		return database_complain(ret_database->provider.type == CONF_PROVIDER_SQLITE
						 ? "this weir was built without SQLite"
						 : "this weir was built without PostgreSQL");
	ret_database->sql = ret_database->kind->open(&ret_database->provider, creates, error);
	return ret_database->sql ? EXIT_OK : database_complain(error);
}

void database_close(struct database *database)
{
	database->kind->close(database->sql);
}
