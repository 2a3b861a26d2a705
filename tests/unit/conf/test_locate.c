// SPDX-License-Identifier: Apache-2.0
// Where a configuration is looked for.
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
	char path[64];
	char home[80];
	char *environ[3];
};

static int enter(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	snprintf(folder->path, sizeof(folder->path), "/tmp/weir-locate-XXXXXX");
	assert_non_null(mkdtemp(folder->path));
	assert_int_equal(chdir(folder->path), 0);
	snprintf(folder->home, sizeof(folder->home), "HOME=%s/home", folder->path);
	folder->environ[0] = folder->home;
	*state = folder;
	return 0;
}

static int leave(void **state)
{
	static const char *const names[] = {"weir.yaml", "weir.yml", "weir.toml", "weir.json",
		"config.yaml", "mini-balancer.toml", "home/.config/weir/weir.toml",
		"home/.config/weir", "home/.config", "home"};
	struct folder *folder = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (unlink(names[i]) < 0)
			rmdir(names[i]);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(folder->path), 0);
	free(folder);
	return 0;
}

static void put(const char *name)
{
	FILE *file = fopen(name, "w");

	assert_non_null(file);
	fclose(file);
}

static const char *locate(struct folder *folder, struct arena *arena)
{
	const char *const *files;
	u32 count = conf_locate(folder->environ, arena, &files);

	if (count == 0 || strncmp(files[0], "/etc/", 5) == 0)
		return "none";
	assert_int_equal(count, 1);
	return files[0];
}

static void takes_the_first_place(void **state)
{
	struct folder *folder = *state;
	struct world world;
	const char *at;

	world_init(&world);
	assert_string_equal(locate(folder, &world.arena), "none");
	mkdir("home", 0700);
	mkdir("home/.config", 0700);
	mkdir("home/.config/weir", 0700);
	put("home/.config/weir/weir.toml");
	at = locate(folder, &world.arena);
	assert_contains(at, "home/.config/weir/weir.toml");
	put("mini-balancer.toml");
	assert_string_equal(locate(folder, &world.arena), "mini-balancer.toml");
	put("config.yaml");
	assert_string_equal(locate(folder, &world.arena), "config.yaml");
	put("weir.json");
	assert_string_equal(locate(folder, &world.arena), "./weir.json");
	put("weir.yaml");
	assert_string_equal(locate(folder, &world.arena), "./weir.yaml");
	folder->environ[1] = "WEIR_CONFIG=/nonexistent/x.yaml";
	assert_string_equal(locate(folder, &world.arena), "/nonexistent/x.yaml");
	folder->environ[1] = "WEIR_CONFIG=";
	assert_string_equal(locate(folder, &world.arena), "./weir.yaml");
	world_done(&world);
}

static void tells_syntaxes_apart(void **state)
{
	(void)state;
	assert_int_equal(conf_syntax_of("a.toml"), CONF_TOML);
	assert_int_equal(conf_syntax_of("a.TOML"), CONF_TOML);
	assert_int_equal(conf_syntax_of("a.json"), CONF_JSON);
	assert_int_equal(conf_syntax_of("a.yml"), CONF_YAML);
	assert_int_equal(conf_syntax_of(".toml"), CONF_YAML);
	assert_int_equal(conf_syntax_of("-"), CONF_YAML);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(takes_the_first_place, enter, leave),
		cmocka_unit_test(tells_syntaxes_apart),
	};

	return cmocka_run_group_tests_name("locate", tests, NULL, NULL);
}
