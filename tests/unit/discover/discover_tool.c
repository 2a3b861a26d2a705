// SPDX-License-Identifier: Apache-2.0
// Providers without the rest of weir, for tests with real servers:
//
//	discover_tool CONFIGURATION STATE-FOLDER
//
// Each list that is told is a line of JSON on standard output, each log line one on standard error.
// Ends in order with SIGTERM.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
#include "discover/discover.h"

static volatile sig_atomic_t ended;

static void on_term(int number)
{
	(void)number;
	ended = 1;
}

static void on_changed(void *owner, struct str pool, const struct row *rows, u32 count)
{
	struct text text = {0};
	struct json json;

	(void)owner;
	json_init(&json, &text);
	json_object_begin(&json);
	json_key_str(&json, "pool", pool);
	json_key(&json, "rows");
	json_array_begin(&json);
	for (u32 i = 0; i < count; i++) {
		json_object_begin(&json);
		json_key_str(&json, "id", rows[i].id);
		json_key_str(&json, "address", rows[i].address);
		json_key_u64(&json, "weight", rows[i].weight);
		json_key_u64(&json, "max_connections", rows[i].max_connections);
		json_key_cstr(&json, "state", row_state_name(rows[i].state));
		json_key_bool(&json, "backup", rows[i].is_backup);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_object_end(&json);
	printf("%s\n", text.data);
	fflush(stdout);
	text_done(&text);
}

static void print_log(struct log *log)
{
	struct log_record record;

	while (log_ring_peek(&log->ring, &record)) {
		fprintf(stderr, "{\"level\":\"%s\",%.*s\n", log_level_name(record.level),
			STR_FMT(record.body));
		log_ring_next(&log->ring);
	}
	fflush(stderr);
}

static struct conf *load(const char *file, char *const *variables, struct arena *arena)
{
	struct conf_input input = {.files = &file, .file_count = 1, .environ = variables};
	struct conf *conf;
	struct errs errs;

	errs_init(&errs);
	conf = conf_load(&input, arena, &errs);
	if (!conf)
		fprintf(stderr, "%s", errs_format(&errs, arena, false).ptr);
	errs_done(&errs);
	return conf;
}

int main(int argc, char **argv)
{
	struct loop_limits limits = {8, 8};
	struct discover *discover;
	struct arena arena;
	struct conf *conf;
	struct loop *loop;
	struct log log;
	const char *why;

	arena_init(&arena, CONF_ARENA_BYTES_MAX);
	conf = argc == 3 ? load(argv[1], environ, &arena) : NULL;
	if (!conf || loop_new(LOOP_EPOLL, &limits, &loop, &why) != 0)
		return 2;
	signal(SIGTERM, on_term);
	log_init(&log, LOG_INFO, LOG_JSON, &loop->wall_ms, 1 << 18, NULL);
	discover = discover_open(&(struct discover_config){.conf = conf,
		.loop = loop,
		.log = &log,
		.sink = {.changed = on_changed},
		.state_folder = argv[2],
		.seed = 1});
	while (!ended) {
		loop_turn(loop, loop_now_ms(loop) + 50);
		print_log(&log);
	}
	discover_free(discover);
	loop_turn(loop, 0);
	print_log(&log);
	log_done(&log);
	loop_free(loop);
	arena_done(&arena);
	return 0;
}
