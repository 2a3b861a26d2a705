// SPDX-License-Identifier: Apache-2.0
// What was ordered while weir runs: listed, with who and when, and written down as a configuration
// that says the same.
#include <stdio.h>

#include "base/json.h"
#include "base/mem.h"
#include "control/desk.h"
#include "control/reload_parts.h"

// One order in force, as it is told.
struct standing {
	const char *kind;
	struct str pool, backend;
	char value[ORDERS_VALUE_BYTES];
	const char *who;
	i64 wall_ms;
	u64 event;
};

typedef void standing_fn(
	void *context, const struct standing *standing, const struct backend *backend);

static bool is_written(const struct conf *conf, const struct standing *standing)
{
	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct conf_pool *pool = &conf->pools[i];

		for (u32 k = 0; str_eq(pool->name, standing->pool) && k < pool->backend_count; k++)
			if (str_eq(pool->backends[k].id, standing->backend))
				return true;
	}
	return false;
}

static void sign(
	struct standing *standing, const struct reload *reload, enum orders_kind kind, u32 cell)
{
	const struct orders_note *note = orders_find(desk_orders(reload->config.desk), kind, cell);

	standing->who = note ? note->who : "";
	standing->wall_ms = note ? note->wall_ms : 0;
	standing->event = note ? note->event : 0;
}

static void look_at_backend(const struct reload *reload, const struct backend *backend,
	standing_fn *tell, void *context)
{
	const struct model *model = watch_model(reload->config.watch);
	struct model_orders orders = model_orders(model, backend);
	u8 forced = model_state(model, backend)->breaker.forced;
	struct standing one = {.pool = backend->pool->name, .backend = backend->id};

	if (orders.order != backend->conf->state) {
		one.kind = orders_kind_word(ORDERS_STATE);
		orders_format(one.value, ORDERS_STATE, orders.order);
		sign(&one, reload, ORDERS_STATE, backend->cell);
		tell(context, &one, backend);
	}
	if (backend->weight != backend->conf->weight) {
		one.kind = orders_kind_word(ORDERS_WEIGHT);
		orders_format(one.value, ORDERS_WEIGHT, backend->weight);
		sign(&one, reload, ORDERS_WEIGHT, backend->cell);
		tell(context, &one, backend);
	}
	if (forced != BREAKER_AUTOMATIC) {
		one.kind = orders_kind_word(ORDERS_BREAKER);
		orders_format(one.value, ORDERS_BREAKER, forced);
		sign(&one, reload, ORDERS_BREAKER, backend->cell);
		tell(context, &one, backend);
	}
}

// In the order of edits, then of backends.
static void look(const struct reload *reload, standing_fn *tell, void *context)
{
	const struct snapshot *snapshot = reload->reign->snapshot;
	const struct conf *conf = snapshot->conf;
	u8 level = desk_log_level(reload->config.desk);

	list_for_each (node, &reload->journal.entries) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);
		struct standing one = {.kind = entry->edit.kind == CONF_EDIT_ADD ? "add" : "remove",
			.pool = entry->edit.pool,
			.who = entry->who,
			.wall_ms = entry->wall_ms,
			.event = entry->event};

		if (entry->edit.kind == CONF_EDIT_LIST)
			continue;
		one.backend = entry->edit.backends[0].id;
		if (entry->edit.kind == CONF_EDIT_ADD && is_written(reload->base, &one))
			continue; // it is there without that
		tell(context, &one, NULL);
	}
	for (u32 i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backends[i])
			look_at_backend(reload, snapshot->backends[i], tell, context);
	// A level of the file that counts from the next start is nobody's order.
	if (level != conf->log.level + LOG_ERROR &&
		orders_find(desk_orders(reload->config.desk), ORDERS_LOG_LEVEL, 0)) {
		struct standing one = {.kind = orders_kind_word(ORDERS_LOG_LEVEL)};

		orders_format(one.value, ORDERS_LOG_LEVEL, level);
		sign(&one, reload, ORDERS_LOG_LEVEL, 0);
		tell(context, &one, NULL);
	}
}

// ---- Listed -------------------------------------------------------------------------------------

static void write_standing(
	void *context, const struct standing *standing, const struct backend *backend)
{
	struct json *json = context;

	(void)backend;
	json_object_begin(json);
	json_key_cstr(json, "kind", standing->kind);
	json_key_name(json, "pool", standing->pool);
	json_key_name(json, "backend", standing->backend);
	json_key_name(json, "value", str_from(standing->value));
	json_key_name(json, "by", str_from(standing->who));
	json_key_i64(json, "at_ms", standing->wall_ms);
	json_key_u64(json, "event", standing->event);
	json_object_end(json);
}

struct str reload_journal_json(const struct reload *reload, struct arena *arena)
{
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_array_begin(&json);
	look(reload, write_standing, &json);
	json_array_end(&json);
	return text_take(&text, arena);
}

// ---- Written down -------------------------------------------------------------------------------

struct writing {
	struct job *job;
	const struct reload *reload;
	u32 room;
};

static void add_edit(struct writing *writing, const struct conf_edit *edit)
{
	struct job *job = writing->job;

	if (job->edit_count == writing->room) {
		writing->room = MAX(2 * writing->room, 16u);
		job->edits = mem_realloc(job->edits, sizeof(*job->edits) * writing->room);
	}
	job->edits[job->edit_count++] = *edit;
}

static void leave_out(struct job *job, const struct standing *standing, const char *why)
{
	text_printf(&job->left_out, "# %s %.*s%s%.*s%s%s: %s\n", standing->kind,
		STR_FMT(standing->pool), standing->pool.len ? "/" : "", STR_FMT(standing->backend),
		standing->value[0] ? " " : "", standing->value, why);
}

static bool is_added(const struct journal *journal, const struct standing *standing)
{
	list_for_each (node, &journal->entries) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (entry->edit.kind == CONF_EDIT_ADD && str_eq(entry->edit.pool, standing->pool) &&
			str_eq(entry->edit.backends[0].id, standing->backend))
			return true;
	}
	return false;
}

static void write_order(
	void *context, const struct standing *standing, const struct backend *backend)
{
	struct writing *writing = context;
	struct job *job = writing->job;
	struct conf_edit_backend *one = arena_zalloc(&job->texts, sizeof(*one));
	struct conf_edit edit = {.origin = "api", .backends = one, .count = 1};
	bool is_known = is_written(writing->reload->base, standing) ||
			is_added(&writing->reload->journal, standing);

	if (strcmp(standing->kind, "add") == 0)
		return; // among the edits already
	if (strcmp(standing->kind, "remove") == 0) {
		if (!is_known)
			leave_out(job, standing, "a list from elsewhere has it");
		return;
	}
	if (strcmp(standing->kind, "breaker") == 0) {
		leave_out(job, standing, "a configuration cannot hold a breaker");
		return;
	}
	if (backend && !is_known) {
		leave_out(job, standing, "a list from elsewhere has it");
		return;
	}
	edit.pool = arena_str(&job->texts, standing->pool);
	one->id = arena_str(&job->texts, standing->backend);
	edit.kind = CONF_EDIT_STATE;
	one->address = arena_str(&job->texts, str_from(standing->value));
	if (!backend) {
		edit.kind = CONF_EDIT_LOG_LEVEL;
	} else if (strcmp(standing->kind, "weight") == 0) {
		edit.kind = CONF_EDIT_WEIGHT;
		one->weight = backend->weight;
	}
	add_edit(writing, &edit);
}

// What was removed stays removed, what was added stays added, and of both what was ordered last.
void reload_export_list(const struct reload *reload, struct job *job)
{
	struct writing writing = {.job = job, .reload = reload};
	u32 count;
	struct conf_edit *edits = reload_journal_copy(&reload->journal, &job->texts, &count);

	for (u32 i = 0; i < count; i++)
		add_edit(&writing, &edits[i]);
	look(reload, write_order, &writing);
}

void reload_export_write(struct job *job)
{
	struct arena *arena = &job->paper->arena;
	const struct conf *conf = job->edit_count ? conf_edit(job->base, job->edits,
							    job->edit_count, arena, &job->errs)
						  : job->base;
	struct text text = {0};

	if (!conf)
		return;
	if (job->syntax != CONF_JSON && job->left_out.len)
		text_printf(
			&text, "# What was ordered and is not in here:\n%s", job->left_out.data);
	text_add(&text, conf_show(conf, (enum conf_syntax)job->syntax, false, arena));
	job->exported = text_take(&text, arena);
}
