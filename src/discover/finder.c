// SPDX-License-Identifier: Apache-2.0
#include "discover/finder.h"

#include <stdio.h>

#include "base/mem.h"
#include "discover/compose.h"
#include "discover/discover.h"

struct finder {
	const char *state_folder;
	struct discover *discover; // NULL: not open
	struct control_finding finding;
};

static void tell(struct finder *finder, struct str pool, const struct row *rows, u32 count)
{
	struct conf_edit_backend *backends = mem_alloc(sizeof(*backends) * MAX(count, 1u));
	u32 told = 0;

	for (u32 i = 0; i < count; i++)
		if (rows[i].state != ROW_DISABLED)
			backends[told++] = (struct conf_edit_backend){.id = rows[i].id,
				.address = rows[i].url,
				.weight = rows[i].state == ROW_ACTIVE ? rows[i].weight : 0,
				.max_connections = rows[i].max_connections,
				.is_backup = rows[i].is_backup};
	finder->finding.changed(finder->finding.control, pool, backends, told);
	mem_free(backends);
}

static void on_changed(void *owner, struct str pool, const struct row *rows, u32 count)
{
	tell(owner, pool, rows, count);
}

static void on_told(void *owner, const struct control_finding_news *news)
{
	struct finder *finder = owner;

	finder->finding.told(finder->finding.control, news);
}

static void repeat(void *owner)
{
	struct finder *finder = owner;
	const struct conf *conf = finder->finding.conf;

	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct rows *rows = discover_rows(finder->discover, conf->pools[i].name);

		if (rows)
			tell(finder, conf->pools[i].name, rows->list, rows->count);
	}
}

static void open(void *owner, const struct control_finding *finding)
{
	struct finder *finder = owner;

	finder->finding = *finding;
	finder->discover = discover_open(&(struct discover_config){.conf = finding->conf,
		.loop = finding->loop,
		.log = finding->log,
		.sink = {.owner = finder, .changed = on_changed, .told = on_told},
		.state_folder = finder->state_folder,
		.seed = finding->seed});
}

static void follow(void *owner, const struct conf *conf)
{
	struct finder *finder = owner;

	discover_reload(finder->discover, conf);
}

static bool is_settled(void *owner)
{
	const struct finder *finder = owner;

	return discover_is_settled(finder->discover);
}

static const struct rows *rows_of(const void *owner, struct str pool)
{
	const struct finder *finder = owner;

	return discover_rows(finder->discover, pool);
}

static const struct conf *complete(void *owner, const struct conf *conf, struct arena *arena)
{
	return compose_conf(conf, rows_of, owner, arena);
}

static void show(const struct discover_state *state, struct desk_provider *shown)
{
	*shown = (struct desk_provider){.type = state->type,
		.is_up = state->is_up,
		.is_stored = state->is_stored,
		.is_held = state->is_held,
		.rows = state->rows,
		.left_out = state->skipped,
		.reads = state->successes,
		.errors = state->errors,
		.read_wall_ms = state->success_wall_ms,
		.since_wall_ms = state->since_wall_ms,
		.fault_count = state->fault_total};
	snprintf(shown->pool, sizeof(shown->pool), "%s", state->pool);
	for (u32 i = 0; i < MIN(state->fault_count, (u32)DESK_FAULTS_MAX); i++)
		snprintf(shown->faults[i], sizeof(shown->faults[i]), "%.*s",
			(int)sizeof(shown->faults[i]) - 1, state->faults[i]);
	snprintf(shown->name, sizeof(shown->name), "%s", state->name);
	snprintf(shown->cause, sizeof(shown->cause), "%.*s", (int)sizeof(shown->cause) - 1,
		state->cause);
}

static u32 look(void *owner, struct desk_provider *providers, u32 max)
{
	const struct finder *finder = owner;
	u32 count = MIN(discover_count(finder->discover), max);
	struct discover_state state;

	for (u32 i = 0; i < count; i++) {
		discover_look(finder->discover, i, &state);
		show(&state, &providers[i]);
	}
	return count;
}

static void end(void *owner)
{
	struct finder *finder = owner;

	discover_free(finder->discover);
	finder->discover = NULL;
}

struct finder *finder_new(const char *state_folder)
{
	struct finder *finder = mem_alloc(sizeof(*finder));

	finder->state_folder = state_folder;
	return finder;
}

void finder_free(struct finder *finder)
{
	mem_free(finder);
}

struct control_finder finder_table(struct finder *finder)
{
	return (struct control_finder){.owner = finder,
		.open = open,
		.follow = follow,
		.is_settled = is_settled,
		.complete = complete,
		.repeat = repeat,
		.look = look,
		.close = end};
}
