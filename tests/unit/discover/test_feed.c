// SPDX-License-Identifier: Apache-2.0
// Providers as a whole, threads and all, with sources that need no server: a SQLite file and a
// list. What is told of pools, of trouble, and from one start to the next.
#include "test.h"

#include <fcntl.h>

#include "discover/discover.h"
#ifdef WITH_SQLITE
#include <sqlite3.h>
#endif

struct world {
	char folder[64], state[96];
	struct arena arena;
	struct errs errs;
	struct conf *conf;
	struct loop *loop;
	struct log log;
	struct discover *discover;
	struct rows *told;
	u32 told_count;
	char told_pool[32];
};

static void on_changed(void *owner, struct str pool, const struct row *rows, u32 count)
{
	struct world *world = owner;

	rows_free(world->told);
	world->told = rows_new();
	for (u32 i = 0; i < count; i++)
		rows_copy(world->told, &rows[i]);
	snprintf(world->told_pool, sizeof(world->told_pool), "%.*s", STR_FMT(pool));
	world->told_count++;
}

static int make_world(void **state)
{
	struct loop_limits limits = {8, 8};
	struct world *world = mem_alloc(sizeof(*world));
	const char *why;

	snprintf(world->folder, sizeof(world->folder), "/tmp/weir-feed-XXXXXX");
	if (!mkdtemp(world->folder))
		return -1;
	snprintf(world->state, sizeof(world->state), "%s/state", world->folder);
	arena_init(&world->arena, CONF_ARENA_BYTES_MAX);
	errs_init(&world->errs);
	if (loop_new(LOOP_EPOLL, &limits, &world->loop, &why) != 0)
		return -1;
	*state = world;
	return 0;
}

static void close_discover(struct world *world)
{
	discover_free(world->discover);
	world->discover = NULL;
	loop_turn(world->loop, 0);
}

static int free_world(void **state)
{
	struct world *world = *state;
	char command[128];

	close_discover(world);
	rows_free(world->told);
	loop_free(world->loop);
	errs_done(&world->errs);
	arena_done(&world->arena);
	snprintf(command, sizeof(command), "rm -r '%s'", world->folder);
	(void)!system(command);
	mem_free(world);
	return 0;
}

static const struct conf *load(struct world *world, const char *providers)
{
	const char *text = arena_printf(&world->arena,
		"frontends: {web: {bind: \":1\", pool: app}}\npools: {app: {}, other: {}}\n%s\n",
		providers);
	struct conf *conf =
		conf_load_text("t", str_from(text), CONF_YAML, &world->arena, &world->errs);

	if (!conf)
		fail_msg("%s", errs_format(&world->errs, &world->arena, false).ptr);
	return conf;
}

static void open_discover(struct world *world, const char *providers)
{
	world->discover = discover_open(&(struct discover_config){.conf = load(world, providers),
		.loop = world->loop,
		.log = &world->log,
		.sink = {.owner = world, .changed = on_changed},
		.state_folder = world->state,
		.seed = 1});
	world->told_count = 0;
}

static void put(struct world *world, const char *name, const char *text)
{
	const char *path = arena_printf(&world->arena, "%s/%s", world->folder, name);
	const char *beside = arena_printf(&world->arena, "%s.new", path);
	FILE *file = fopen(beside, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(rename(beside, path), 0);
}

static void await_told(struct world *world, u32 count)
{
	while (world->told_count < count)
		loop_turn(world->loop, UINT64_MAX);
}

static struct discover_state look(const struct world *world)
{
	struct discover_state state;

	discover_look(world->discover, 0, &state);
	return state;
}

static void follows_a_file(void **state)
{
	struct world *world = *state;

	put(world, "list", "10.0.0.1:80\n10.0.0.2:80 weight=3\n");
	open_discover(world, arena_printf(&world->arena,
				     "providers: [{path: \"%s/list\", pool: app}]", world->folder));
	await_told(world, 1);
	assert_string_equal(world->told_pool, "app");
	assert_rows(world->told, "10.0.0.1:80 10.0.0.2:80");
	assert_int_equal(world->told->list[1].weight, 3);
	assert_true(discover_is_settled(world->discover));
	put(world, "list", "10.0.0.2:80\n10.0.0.3:80\nnonsense\n");
	await_told(world, 2);
	assert_rows(world->told, "10.0.0.2:80 10.0.0.3:80");
	assert_int_equal(look(world).skipped, 1);
	assert_true(look(world).is_up);
	// Emptied by accident.
	put(world, "list", "");
	while (!look(world).is_held)
		loop_turn(world->loop, UINT64_MAX);
	assert_int_equal(look(world).rows, 2);
	put(world, "list", "10.0.0.2:80\n");
	await_told(world, 3);
	assert_false(look(world).is_held);
	assert_rows(world->told, "10.0.0.2:80");
	// Broken: what was there serves.
	put(world, "list", "[10.0.0.1:80");
	while (look(world).is_up)
		loop_turn(world->loop, UINT64_MAX);
	assert_contains(look(world).cause, "/list:2:1: ");
	assert_int_equal(look(world).rows, 1);
	put(world, "list", "[10.0.0.1:80, 10.0.0.2:80]");
	await_told(world, 4);
	assert_rows(world->told, "10.0.0.1:80 10.0.0.2:80");
}

static void serves_what_it_kept(void **state)
{
	struct world *world = *state;
	const char *providers = arena_printf(&world->arena,
		"providers: [{path: \"%s/list\", pool: app, name: here}]", world->folder);
	const char *kept = arena_printf(&world->arena, "%s/here.rows", world->state);

	put(world, "list", "10.0.0.1:80\n10.0.0.2:80\n10.0.0.3:80\n");
	open_discover(world, providers);
	await_told(world, 1);
	while (access(kept, R_OK) != 0)
		loop_turn(world->loop, loop_now_ms(world->loop) + 5);
	close_discover(world);
	unlink(arena_printf(&world->arena, "%s/list", world->folder));
	open_discover(world, providers);
	await_told(world, 1);
	assert_rows(world->told, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80");
	assert_true(look(world).is_stored);
	assert_false(look(world).is_up);
	assert_contains(look(world).cause, "No such file");
	// Less than half of it is there: since the last time much may have happened.
	put(world, "list", "10.0.0.3:80\n");
	await_told(world, 2);
	assert_rows(world->told, "10.0.0.3:80");
	assert_true(look(world).is_up);
	assert_false(look(world).is_stored);
}

static void puts_providers_together(void **state)
{
	struct world *world = *state;
	const char *first =
		arena_printf(&world->arena, "{path: \"%s/a\", pool: app, name: a}", world->folder);
	const char *second =
		arena_printf(&world->arena, "{path: \"%s/b\", pool: app, name: b}", world->folder);

	put(world, "a", "10.0.0.1:80\n10.0.0.2:80\n10.0.0.9:80 pool=other\n");
	open_discover(world, arena_printf(&world->arena, "providers: [%s]", first));
	await_told(world, 2);
	assert_string_equal(world->told_pool, "other");
	assert_rows(world->told, "10.0.0.9:80");
	put(world, "b", "10.0.0.2:80\n10.0.0.3:80\n10.0.0.8:80 pool=stranger\n");
	discover_reload(world->discover,
		load(world, arena_printf(&world->arena, "providers: [%s, %s]", first, second)));
	await_told(world, 3);
	assert_string_equal(world->told_pool, "app");
	assert_rows(world->told, "10.0.0.1:80 10.0.0.2:80 10.0.0.3:80");
	// The first one goes: what only it knew goes as well.
	discover_reload(world->discover,
		load(world, arena_printf(&world->arena, "providers: [%s]", second)));
	await_told(world, 5);
	assert_string_equal(world->told_pool, "other");
	assert_int_equal(world->told->count, 0);
	assert_int_equal(discover_count(world->discover), 1);
}

#ifdef WITH_SQLITE
static void execute(struct world *world, const char *statements)
{
	const char *path = arena_printf(&world->arena, "%s/w.db", world->folder);
	char *error = NULL;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 60000);
	if (sqlite3_exec(db, statements, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s", error);
	sqlite3_close(db);
}

static void follows_a_table(void **state)
{
	struct world *world = *state;

	execute(world, "CREATE TABLE IF NOT EXISTS workers(worker_address VARCHAR(255) NOT NULL "
		       "PRIMARY KEY);"
		       "INSERT INTO workers(worker_address) VALUES "
		       "('127.0.0.1:8000'),('127.0.0.1:8001');");
	open_discover(world,
		arena_printf(&world->arena,
			"providers: [{path: \"%s/w.db\", pool: app, poll: 50ms}]", world->folder));
	await_told(world, 1);
	assert_rows(world->told, "127.0.0.1:8000 127.0.0.1:8001");
	execute(world, "INSERT INTO workers VALUES ('127.0.0.1:8002'), ('bad')");
	await_told(world, 2);
	assert_rows(world->told, "127.0.0.1:8000 127.0.0.1:8001 127.0.0.1:8002");
	assert_int_equal(look(world).skipped, 1);
	execute(world, "DELETE FROM workers WHERE worker_address IN ('127.0.0.1:8000', 'bad')");
	await_told(world, 3);
	assert_rows(world->told, "127.0.0.1:8001 127.0.0.1:8002");
	execute(world,
		"ALTER TABLE workers ADD COLUMN weight INTEGER; ALTER TABLE workers ADD COLUMN "
		"State TEXT; UPDATE workers SET weight = 9, state = 'drain' WHERE "
		"worker_address LIKE '%8002'");
	await_told(world, 4);
	assert_int_equal(world->told->list[0].weight, 1);
	assert_int_equal(world->told->list[1].weight, 9);
	assert_int_equal(world->told->list[1].state, ROW_DRAIN);
	// The table is gone, the file is gone, and another one comes in its place.
	execute(world, "DROP TABLE workers");
	while (look(world).is_up)
		loop_turn(world->loop, UINT64_MAX);
	assert_contains(look(world).cause, "has no table 'workers' with a column 'worker_address'");
	assert_int_equal(look(world).rows, 2);
	unlink(arena_printf(&world->arena, "%s/w.db", world->folder));
	while (!strstr(look(world).cause, "No such file"))
		loop_turn(world->loop, UINT64_MAX);
	execute(world, "CREATE TABLE workers(worker_address TEXT); INSERT INTO workers VALUES "
		       "('127.0.0.1:8002'), ('127.0.0.1:9')");
	await_told(world, 5);
	assert_rows(world->told, "127.0.0.1:8002 127.0.0.1:9");
}

static void waits_for_locks(void **state)
{
	struct world *world = *state;
	const char *path = arena_printf(&world->arena, "%s/w.db", world->folder);
	sqlite3 *db;

	execute(world,
		"CREATE TABLE workers(worker_address TEXT); INSERT INTO workers VALUES ('a:1')");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	open_discover(world, arena_printf(&world->arena,
				     "providers: [{path: \"%s/w.db\", pool: app, timeout: 20ms}]",
				     world->folder));
	while (look(world).errors < 2)
		loop_turn(world->loop, UINT64_MAX);
	assert_contains(look(world).cause, "locked");
	assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	await_told(world, 1);
	assert_rows(world->told, "a:1");
}

static void refuses_what_is_no_database(void **state)
{
	struct world *world = *state;

	put(world, "w.db",
		"this is text, and long enough to be looked at as a header of a file ......"
		"...................................................................");
	open_discover(world, arena_printf(&world->arena,
				     "providers: [{path: \"%s/w.db\", pool: app}]", world->folder));
	while (look(world).errors < 1)
		loop_turn(world->loop, UINT64_MAX);
	assert_contains(look(world).cause, "file is not a database");
	assert_true(discover_is_settled(world->discover));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(follows_a_file, make_world, free_world),
		cmocka_unit_test_setup_teardown(serves_what_it_kept, make_world, free_world),
		cmocka_unit_test_setup_teardown(puts_providers_together, make_world, free_world),
#ifdef WITH_SQLITE
		cmocka_unit_test_setup_teardown(follows_a_table, make_world, free_world),
		cmocka_unit_test_setup_teardown(waits_for_locks, make_world, free_world),
		cmocka_unit_test_setup_teardown(
			refuses_what_is_no_database, make_world, free_world),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
