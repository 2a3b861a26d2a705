// SPDX-License-Identifier: Apache-2.0
// providers: and resolver:, what they imply, and DATABASE_URL alone.
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "conf/hide.h"

#define WEB "frontends: {web: {bind: \":1\", pool: app}}\npools: {app: {}}\n"

static const struct conf *load_env(
	struct world *world, const char *text, char *const *variables, const char *dotenv)
{
	char path[] = "/tmp/weir-provider-XXXXXX";
	int fd = mkstemp(path);
	const char *files[] = {path};
	struct conf_input input = {
		.files = files, .file_count = 1, .environ = variables, .dotenv = dotenv};
	const struct conf *conf;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	conf = conf_load(&input, &world->arena, &world->errs);
	unlink(path);
	return conf;
}

static void complains(const char *text, const char *part)
{
	struct world world;

	world_init(&world);
	assert_null(world_load(&world, "a.yaml", text, CONF_YAML));
	assert_contains(world_errors(&world), part);
	world_done(&world);
}

static void takes_a_database(void **state)
{
	char *variables[] = {(char *)"DATABASE_URL=postgres://me:geheim@localhost/db", NULL};
	const struct conf_provider *provider;
	const struct conf *conf;
	struct world world;

	(void)state;
	world_init(&world);
	conf = load_env(&world,
		WEB "providers:\n  - {type: postgres, url: \"${DATABASE_URL}\", table: workers, "
		    "column: "
		    "worker_address, pool: app, refresh: 10s}\n",
		variables, NULL);
	assert_non_null(conf);
	assert_int_equal(world.errs.warning_count, 0);
	assert_int_equal(conf->provider_count, 1);
	assert_int_equal(conf->pools[0].backend_count, 0);
	provider = &conf->providers[0];
	assert_int_equal(provider->type, CONF_PROVIDER_POSTGRES);
	assert_str(provider->name, "postgres");
	assert_str(provider->url_from, "DATABASE_URL");
	assert_str(provider->pool, "app");
	assert_str(provider->table, "workers");
	assert_str(provider->channel, "weir_backends");
	assert_int_equal(provider->refresh_ms, 10000);
	assert_int_equal(provider->backends_min, 1);
	assert_int_equal(provider->vanish_percent, 50);
	world_done(&world);
}

static void shows_no_password(void **state)
{
	char *variables[] = {(char *)"DATABASE_URL=mysql://me:geheim@localhost/db", NULL};
	struct world world;
	struct str shown;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	assert_null(load_env(&world, WEB "providers: [{url: \"${DATABASE_URL}\", pool: app}]\n",
		variables, NULL));
	assert_contains(
		world_errors(&world), "DATABASE_URL (providers[0]) is no URL of a database");
	assert_null(strstr(world_errors(&world), "geheim"));
	world_done(&world);
	world_init(&world);
	conf = world_load(&world, "a.yaml",
		WEB "providers: [{url: \"postgres://me:geheim@localhost/db\", pool: app}]\n",
		CONF_YAML);
	assert_non_null(conf);
	assert_contains(world_errors(&world), "providers[0].url stands in the configuration");
	assert_null(strstr(world_errors(&world), "geheim"));
	shown = conf_show(conf, CONF_YAML, false, &world.arena);
	assert_null(strstr(shown.ptr, "geheim"));
	shown = hide_secrets(
		&world.arena, STR("a: postgres://me:geheim@h/x # x://a:b@c\nb: http://h:1/"));
	assert_str(shown, "a: postgres://me:******@h/x # x://a:*@c\nb: http://h:1/");
	world_done(&world);
}

static void knows_types_by_their_keys(void **state)
{
	static const struct {
		const char *text;
		enum conf_provider_type type;
		const char *name, *path, *host;
		u16 port;
	} cases[] = {
		{"path: /x/weir.db", CONF_PROVIDER_SQLITE, "sqlite", "/x/weir.db", "", 0},
		{"url: sqlite:/x/w", CONF_PROVIDER_SQLITE, "sqlite", "/x/w", "", 0},
		{"url: \"sqlite:///x/w?mode=rwc\"", CONF_PROVIDER_SQLITE, "sqlite", "/x/w", "", 0},
		{"path: /x/list.txt", CONF_PROVIDER_FILE, "file", "/x/list.txt", "", 0},
		{"type: file, path: /x/w.db", CONF_PROVIDER_FILE, "file", "/x/w.db", "", 0},
		{"host: \"app.internal:80\"", CONF_PROVIDER_DNS, "dns", "", "app.internal", 80},
		{"host: _http._tcp.app", CONF_PROVIDER_DNS, "dns", "", "_http._tcp.app", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world world;
		const struct conf *conf;

		world_init(&world);
		conf = world_load(&world, "a.yaml",
			arena_printf(&world.arena, "providers: [{%s}]\n", cases[i].text),
			CONF_YAML);
		if (!conf)
			fail_msg("%s: %s", cases[i].text, world_errors(&world));
		assert_int_equal(conf->providers[0].type, cases[i].type);
		assert_str(conf->providers[0].name, cases[i].name);
		assert_str(conf->providers[0].path, cases[i].path);
		assert_str(conf->providers[0].host, cases[i].host);
		assert_int_equal(conf->providers[0].port, cases[i].port);
		assert_str(conf->pools[0].name, "default");
		assert_int_equal(conf->frontends[0].binds[0].addr.port, 8080);
		world_done(&world);
	}
}

static void numbers_names(void **state)
{
	struct world world;
	const struct conf *conf;
	struct str shown;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "a.yaml",
		"providers: [{path: /a.db}, {path: /b.db}, {path: /c.db, name: third}]\n"
		"resolver: {nameservers: [127.0.0.1:5353, \"::1\"], ttl_max: 10s}\n",
		CONF_YAML);
	assert_non_null(conf);
	assert_str(conf->providers[0].name, "sqlite");
	assert_str(conf->providers[1].name, "sqlite-2");
	assert_str(conf->providers[2].name, "third");
	assert_int_equal(conf->resolver.server_count, 2);
	assert_str(conf->resolver.servers[0], "127.0.0.1:5353");
	assert_str(conf->resolver.servers[1], "[::1]:53");
	assert_int_equal(conf->resolver.ttl_max_ms, 10000);
	assert_int_equal(conf->resolver.timeout_ms, 2000);
	// What is shown loads again, and says the same.
	shown = conf_show(conf, CONF_YAML, false, &world.arena);
	conf = world_load(&world, "b.yaml", shown.ptr, CONF_YAML);
	if (!conf)
		fail_msg("%s", world_errors(&world));
	assert_int_equal(conf->provider_count, 3);
	assert_memory_equal(
		conf_show(conf, CONF_YAML, false, &world.arena).ptr, shown.ptr, shown.len);
	world_done(&world);
}

static void refuses_what_is_no_source(void **state)
{
	(void)state;
	complains("providers: [{}]\n", "providers[0] needs 'url', 'path' or 'host'");
	complains("providers: [{type: dns}]\n", "providers[0] needs 'host'");
	complains("providers: [{type: postgres}]\n", "providers[0] needs 'url'");
	complains("providers: [{path: /a.db, host: \"a:1\"}]\n", "is one source");
	complains("providers: [{url: ftp://x}]\n", "is no URL of a database");
	complains("providers: [{host: app}]\n", "cannot be looked up");
	complains("providers: [{path: /a.db, table: \"a.b.c\"}]\n", "is no name in a database");
	complains("providers: [{path: /a.db, channel: \"a'b\"}]\n", "is no name in a database");
	complains("providers: [{path: /a.db, pool: other}]\n", "pool 'other' is not defined");
	complains("providers: [{path: /a.db, name: x}, {path: /b.db, name: x}]\n",
		"another provider");
	complains("providers: [{path: /a.db}]\nresolver: {servers: [here]}\n", "is no name server");
	// A pool that nobody feeds still needs backends.
	complains("frontends: {web: {bind: \":1\", pool: app}}\npools: {app: {}, other: {}}\n"
		  "providers: [{host: \"a:1\", pool: app}]\n",
		"pools.other needs 'backends'");
}

static void takes_names_for_providers(void **state)
{
	struct world world;
	const struct conf *conf;
	struct str shown;

	(void)state;
	world_init(&world);
	conf = world_load(&world, "a.yaml",
		"backends: [10.0.0.1:80, \"dns:app.internal:8080\", \"srv:_http._tcp.app\"]\n",
		CONF_YAML);
	if (!conf)
		fail_msg("%s", world_errors(&world));
	assert_int_equal(conf->pools[0].backend_count, 1);
	assert_int_equal(conf->provider_count, 2);
	assert_str(conf->providers[0].host, "app.internal");
	assert_int_equal(conf->providers[0].port, 8080);
	assert_str(conf->providers[0].pool, "default");
	assert_str(conf->providers[1].host, "_http._tcp.app");
	shown = conf_show(conf, CONF_YAML, false, &world.arena);
	assert_non_null(world_load(&world, "b.yaml", shown.ptr, CONF_YAML));
	conf = world_load(&world, "c.yaml", "backends: \"dns:app.internal:8080\"\n", CONF_YAML);
	assert_non_null(conf);
	assert_int_equal(conf->pools[0].backend_count, 0);
	world_done(&world);
	complains("backends: [{address: \"dns:a:80\", weight: 2}]\n", "has no other keys");
	complains("backends: [\"dns:a\"]\n", "a.yaml:1:12: error[E019]: 'a' cannot be looked up");
}

static void takes_the_variable_alone(void **state)
{
	char *variables[] = {(char *)"DATABASE_URL=postgres://me:geheim@localhost/db", NULL};
	struct conf_input input = {.environ = variables};
	struct conf_flags flags = {.algorithm = "random"};
	const struct conf *conf;
	struct world world;

	(void)state;
	world_init(&world);
	conf = conf_from_database(&flags, &input, &world.arena, &world.errs);
	if (!conf)
		fail_msg("%s", world_errors(&world));
	assert_int_equal(world.errs.warning_count, 0);
	assert_int_equal(conf->providers[0].type, CONF_PROVIDER_POSTGRES);
	assert_str(conf->providers[0].url_from, "DATABASE_URL");
	assert_str(conf->providers[0].pool, "default");
	assert_int_equal(conf->frontends[0].binds[0].addr.port, 8080);
	assert_int_equal(conf->frontends[0].pool, 0);
	assert_int_equal(conf->pools[0].algorithm, CONF_RANDOM);
	world_done(&world);
}

static void finds_the_state_folder(void **state)
{
	char *systemd[] = {(char *)"STATE_DIRECTORY=/var/lib/w:/x", (char *)"HOME=/h", NULL};
	char *xdg[] = {(char *)"XDG_STATE_HOME=/s", (char *)"HOME=/h", NULL};
	struct world world;

	(void)state;
	world_init(&world);
	assert_string_equal(conf_state_folder(systemd, &world.arena), "/var/lib/w");
	assert_string_equal(conf_state_folder(xdg, &world.arena), "/s/weir");
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_database),
		cmocka_unit_test(shows_no_password),
		cmocka_unit_test(knows_types_by_their_keys),
		cmocka_unit_test(numbers_names),
		cmocka_unit_test(refuses_what_is_no_source),
		cmocka_unit_test(takes_names_for_providers),
		cmocka_unit_test(takes_the_variable_alone),
		cmocka_unit_test(finds_the_state_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
