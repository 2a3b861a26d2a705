// SPDX-License-Identifier: Apache-2.0
// weir --version, -VV, and both as JSON.
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include <cli/build_commit.h>
#include <cli/build_info.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "control/confine.h"
#include "loop/loop.h"

enum { path_bytes_max = 4096 };

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

struct library {
	const char *name, *compiled;
	const char *soname; // NULL: only its headers are used, nothing is loaded
};

static const struct library libraries[] = {
	{"liburing", BUILD_LIBURING, "liburing.so"},
	{"libyaml", BUILD_LIBYAML, "libyaml"},
	{"jansson", BUILD_JANSSON, "libjansson.so"},
	{"sqlite", BUILD_SQLITE, "libsqlite3.so"},
	{"libpq", BUILD_LIBPQ, "libpq.so"},
	{"c-ares", BUILD_CARES, "libcares.so"},
	{"xxhash", BUILD_XXHASH, "libxxhash.so"},
	{"tomlplusplus", BUILD_TOMLPLUSPLUS, NULL},
};

// ---- What is loaded -----------------------------------------------------------------------------

struct search {
	const char *soname;
	char path[path_bytes_max]; // where the file really is: its name tells the version
};

static int look_at_object(struct dl_phdr_info *info, size_t size, void *data)
{
	struct search *search = data;
	const char *base = strrchr(info->dlpi_name, '/');

	(void)size;
	if (!base || strncmp(base + 1, search->soname, strlen(search->soname)) != 0)
		return 0;
	return realpath(info->dlpi_name, search->path) != NULL;
}

static const char *find_loaded(const struct library *library, struct arena *arena)
{
	struct search search = {.soname = library->soname};

	if (!library->soname)
		return "headers only";
	if (!dl_iterate_phdr(look_at_object, &search))
		return "not loaded";
	return arena_str(arena, str_from(strrchr(search.path, '/') + 1)).ptr;
}

// ---- Forms --------------------------------------------------------------------------------------

static const char *commit(void)
{
	return BUILD_COMMIT[0] ? BUILD_COMMIT : "unknown";
}

static const char *sanitizers(void)
{
	return BUILD_SANITIZE[0] ? BUILD_SANITIZE : "none";
}

static void add_confinement(struct text *text)
{
	const char *calls = confine_calls_missing(), *files;
	char room[80];
	u32 version;

	files = confine_files_missing(room, &version);
	text_printf(text, "confinement seccomp: %s%s\n            landlock: ",
		calls ? "not usable now: " : "usable now", calls ? calls : "");
	if (files)
		text_printf(text, "not usable now: %s\n", files);
	else
		text_printf(text, "usable now, version %u\n", version);
}

static void add_long(struct text *text, struct arena *arena)
{
	const char *missing = loop_uring_missing();

	text_printf(text, "commit      %s\n", commit());
	text_printf(text, "compiler    %s, -O%s%s, assertions on, sanitizers: %s\n", COMPILER,
		BUILD_OPTIMIZATION, BUILD_LTO ? ", link-time optimisation" : "", sanitizers());
	text_add(text, STR("libraries   compiled with, and loaded now\n"));
	for (u32 i = 0; i < ARRAY_LEN(libraries); i++)
		text_printf(text, "            %-13s %-8s %s\n", libraries[i].name,
			libraries[i].compiled[0] ? libraries[i].compiled : "without",
			find_loaded(&libraries[i], arena));
	text_add(text, STR("protocols   HTTP/1.0, HTTP/1.1, Upgrade (WebSocket), TCP\n"));
	text_add(text, STR("files       YAML, TOML, JSON\n"));
	text_add(text, STR("algorithms  round_robin\n"));
	text_printf(text, "io          io_uring: %s%s\n            epoll: usable now\n",
		missing ? "not usable now: " : "usable now", missing ? missing : "");
	add_confinement(text);
	text_add(text, STR("licence     Apache-2.0\n"));
}

static void add_json(struct text *text, struct arena *arena)
{
	const char *missing = loop_uring_missing();

	text_printf(text, "{\"name\":\"weir\",\"version\":\"%s\",\"commit\":", WEIR_VERSION);
	text_add(text, BUILD_COMMIT[0] ? STR("\"" BUILD_COMMIT "\"") : STR("null"));
	text_printf(text, ",\"compiler\":\"%s\",\"optimization\":\"%s\",\"sanitizers\":\"%s\"",
		COMPILER, BUILD_OPTIMIZATION, sanitizers());
	text_add(text, STR(",\"libraries\":{"));
	for (u32 i = 0; i < ARRAY_LEN(libraries); i++)
		text_printf(text, "%s\"%s\":{\"compiled\":\"%s\",\"loaded\":\"%s\"}", i ? "," : "",
			libraries[i].name, libraries[i].compiled,
			find_loaded(&libraries[i], arena));
	text_add(text, STR("},\"protocols\":[\"http/1.0\",\"http/1.1\",\"tcp\"]"));
	text_add(text, STR(",\"algorithms\":[\"round_robin\"],\"io\":{\"io_uring\":"));
	text_printf(text, "{\"usable\":%s", missing ? "false" : "true");
	if (missing)
		text_printf(text, ",\"why\":\"%s\"", missing);
	text_add(text, STR("},\"epoll\":{\"usable\":true}}}\n"));
}

int version_main(const struct cli *cli)
{
	struct text text = {0};

	if (cli->plan->as_json) {
		add_json(&text, cli->arena);
	} else {
		text_add(&text, STR("weir " WEIR_VERSION "\n"));
		if (cli->plan->version_level > 1)
			add_long(&text, cli->arena);
	}
	return terminal_print(text_take(&text, cli->arena));
}
