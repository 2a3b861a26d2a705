// SPDX-License-Identifier: Apache-2.0
// What jobs ask for, and which edits are in force on top of the files.
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "conf/same.h"
#include "conf/scheme.h"
#include "control/reload_parts.h"

enum { texts_bytes_max = 64 << 20 };

// ---- Jobs ---------------------------------------------------------------------------------------

struct job *reload_job_new(enum reload_kind kind, const char *who, struct str pool,
	const struct conf_edit_backend *backends, u32 count)
{
	static const u8 kinds[RELOAD_JOURNAL + 1] = {[RELOAD_ADD] = CONF_EDIT_ADD,
		[RELOAD_REMOVE] = CONF_EDIT_REMOVE,
		[RELOAD_LIST] = CONF_EDIT_LIST};
	struct job *job = mem_alloc(sizeof(*job));

	list_init(&job->node);
	job->kind = (u8)kind;
	snprintf(job->who, sizeof(job->who), "%s", who);
	arena_init(&job->texts, texts_bytes_max);
	job->edit = (struct conf_edit){.kind = kinds[kind],
		.pool = arena_str(&job->texts, pool),
		.origin = kind == RELOAD_LIST ? "provider" : "api",
		.backends = conf_edit_copy_backends(&job->texts, backends, count),
		.count = count};
	return job;
}

void reload_job_free(struct job *job)
{
	if (job->has_errs)
		errs_done(&job->errs);
	text_done(&job->left_out);
	shelf_text_drop(job->text);
	shelf_text_drop(job->kept);
	mem_free(job->edits);
	arena_done(&job->texts);
	mem_free(job);
}

// ---- The journal --------------------------------------------------------------------------------

static void make(struct journal *journal)
{
	if (journal->is_made)
		return;
	list_init(&journal->entries);
	list_init(&journal->removed);
	journal->is_made = true;
}

enum reload_result reload_journal_check(
	struct journal *journal, struct job *job, const struct snapshot *snapshot)
{
	const struct pool *pool = snapshot_find_pool(snapshot, job->edit.pool);
	const struct backend *backend;

	make(journal);
	if (!pool)
		return RELOAD_NO_POOL;
	if (job->kind == RELOAD_LIST)
		return RELOAD_DONE;
	backend = snapshot_find_backend(pool, job->edit.backends[0].id);
	if (job->kind == RELOAD_ADD)
		return backend ? RELOAD_EXISTS : RELOAD_DONE;
	if (!backend)
		return RELOAD_NO_BACKEND;
	job->was = (struct conf_edit_backend){.id = arena_str(&job->texts, backend->id),
		.address = scheme_url(&job->texts, scheme_of(backend->conf)),
		.weight = backend->conf->weight,
		.max_connections = backend->conf->max_connections,
		.is_backup = backend->conf->is_backup,
		.own = conf_edit_own(snapshot->conf, job->edit.pool, backend->id, &job->texts)};
	return RELOAD_DONE;
}

static bool is_about(const struct conf_edit *edit, const struct conf_edit *other)
{
	if (!str_eq(edit->pool, other->pool))
		return false;
	if (edit->kind == CONF_EDIT_LIST || other->kind == CONF_EDIT_LIST)
		return edit->kind == other->kind;
	return str_eq(edit->backends[0].id, other->backends[0].id);
}

// What the next edit makes superfluous. One that adds what was removed undoes that where the files
// have the same; else it comes behind it.
static bool replaces(const struct job *job, const struct journal_entry *entry)
{
	const struct conf_edit *edit = &job->edit;

	if (!reload_job_is_edit(job) || !is_about(&entry->edit, edit))
		return false;
	return edit->kind != CONF_EDIT_ADD || entry->edit.kind == CONF_EDIT_ADD ||
	       str_eq(entry->edit.backends[0].address, edit->backends[0].address);
}

static void add_kind(struct journal *journal, struct job *job, bool lists)
{
	list_for_each (node, &journal->entries) {
		struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if ((entry->edit.kind == CONF_EDIT_LIST) != lists || replaces(job, entry))
			continue;
		if (lists || job->kind != RELOAD_ROLLBACK) // else those of then count
			job->edits[job->edit_count++] = entry->edit;
	}
	for (u32 i = 0; i < job->shelved_count && !lists; i++)
		job->edits[job->edit_count++] = job->shelved[i];
	if (reload_job_is_edit(job) && (job->edit.kind == CONF_EDIT_LIST) == lists)
		job->edits[job->edit_count++] = job->edit;
}

void reload_journal_list(struct journal *journal, struct job *job)
{
	u32 room = 1 + job->shelved_count;

	make(journal);
	list_for_each (node, &journal->entries)
		room++;
	job->edits = mem_alloc(sizeof(*job->edits) * room);
	add_kind(journal, job, true);
	add_kind(journal, job, false);
}

bool reload_journal_recall(struct journal *journal, struct job *job)
{
	make(journal);
	list_for_each (node, &journal->removed) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (entry->event != job->undoes)
			continue;
		job->edit.pool = arena_str(&job->texts, entry->edit.pool);
		job->edit.backends = conf_edit_copy_backends(&job->texts, entry->edit.backends, 1);
		return true;
	}
	return false;
}

static void drop(struct journal_entry *entry)
{
	list_remove(&entry->node);
	arena_done(&entry->texts);
	mem_free(entry);
}

static bool has_id(const struct conf *conf, const struct conf_edit *edit)
{
	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct conf_pool *pool = &conf->pools[i];

		if (!str_eq(pool->name, edit->pool))
			continue;
		for (u32 j = 0; j < pool->backend_count; j++)
			if (str_eq(pool->backends[j].id, edit->backends[0].id))
				return true;
	}
	return false;
}

static bool has_list(const struct journal *journal, struct str pool)
{
	list_for_each (node, &journal->entries) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (entry->edit.kind == CONF_EDIT_LIST && str_eq(entry->edit.pool, pool))
			return true;
	}
	return false;
}

// Who only ever came by an edit is gone with that: nothing has to be kept of a removal.
static bool is_needless(const struct journal *journal, const struct job *job)
{
	return job->kind == RELOAD_REMOVE && !has_id(job->base, &job->edit) &&
	       !has_list(journal, job->edit.pool);
}

static struct journal_entry *add_entry(
	struct list *list, const struct conf_edit *edit, const struct job *job, i64 wall_ms)
{
	struct journal_entry *entry = mem_alloc(sizeof(*entry));

	arena_init(&entry->texts, texts_bytes_max);
	entry->edit = *edit;
	entry->wall_ms = wall_ms;
	snprintf(entry->who, sizeof(entry->who), "%s", job->who);
	entry->edit.pool = arena_str(&entry->texts, edit->pool);
	entry->edit.backends = conf_edit_copy_backends(&entry->texts, edit->backends, edit->count);
	list_push_back(list, &entry->node);
	return entry;
}

// The edits of then instead of those of now.
static void take_shelved(struct journal *journal, const struct job *job, i64 wall_ms)
{
	list_for_each_safe (node, &journal->entries) {
		struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (entry->edit.kind != CONF_EDIT_LIST)
			drop(entry);
	}
	for (u32 i = 0; i < job->shelved_count; i++)
		add_entry(&journal->entries, &job->shelved[i], job, wall_ms);
}

struct conf_edit *reload_edits_copy(struct arena *arena, const struct conf_edit *edits, u32 count)
{
	struct conf_edit *copies = arena_zalloc(arena, sizeof(*copies) * MAX(count, 1u));

	for (u32 i = 0; i < count; i++) {
		copies[i] = edits[i];
		copies[i].pool = arena_str(arena, edits[i].pool);
		copies[i].backends =
			conf_edit_copy_backends(arena, edits[i].backends, edits[i].count);
	}
	return copies;
}

struct conf_edit *reload_journal_copy(
	const struct journal *journal, struct arena *arena, u32 *ret_count)
{
	struct conf_edit *edits, *copies;
	u32 count = 0;

	*ret_count = 0;
	if (!journal->is_made)
		return NULL;
	list_for_each (node, &journal->entries)
		count++;
	edits = mem_alloc(sizeof(*edits) * MAX(count, 1u));
	list_for_each (node, &journal->entries) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (entry->edit.kind != CONF_EDIT_LIST)
			edits[(*ret_count)++] = entry->edit;
	}
	copies = reload_edits_copy(arena, edits, *ret_count);
	mem_free(edits);
	return copies;
}

// A removal in place of an earlier one of the same id, behind which something else was added: what
// lies under all edits is still what the earlier one took away.
static void find_first_removed(const struct journal *journal, struct job *job)
{
	list_for_each (node, &journal->entries) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (entry->edit.kind != CONF_EDIT_REMOVE || !replaces(job, entry))
			continue;
		job->under = conf_edit_copy_backends(&job->texts, entry->edit.backends, 1);
		return;
	}
}

void reload_journal_take(struct journal *journal, struct job *job, i64 wall_ms)
{
	struct journal_entry *entry;

	make(journal);
	if (job->kind == RELOAD_ROLLBACK)
		take_shelved(journal, job, wall_ms);
	if (!reload_job_is_edit(job))
		return;
	find_first_removed(journal, job);
	list_for_each_safe (node, &journal->entries) {
		entry = list_entry(node, struct journal_entry, node);
		if (replaces(job, entry))
			drop(entry);
	}
	if (is_needless(journal, job))
		return;
	entry = add_entry(
		&journal->entries, &job->edit, job, job->wall_ms ? job->wall_ms : wall_ms);
	// What a removal took away: whoever adds just that takes the removal back.
	if (job->kind == RELOAD_REMOVE)
		entry->edit.backends = conf_edit_copy_backends(
			&entry->texts, job->under ? job->under : &job->was, 1);
}

// As many as there are events that can be taken back.
static void remember(struct journal *journal, const struct job *job)
{
	struct conf_edit edit = job->edit;

	edit.kind = CONF_EDIT_ADD;
	edit.backends = &job->was;
	add_entry(&journal->removed, &edit, job, 0)->event = job->event;
	if (++journal->removed_count <= CHANGES_KEPT)
		return;
	journal->removed_count--;
	drop(list_first(&journal->removed, struct journal_entry, node));
}

void reload_journal_sign(struct journal *journal, const struct job *job)
{
	if (job->kind == RELOAD_REMOVE)
		remember(journal, job);
	if (job->kind != RELOAD_ADD && job->kind != RELOAD_REMOVE)
		return;
	list_for_each (node, &journal->entries) {
		struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (is_about(&entry->edit, &job->edit))
			entry->event = job->event;
	}
}

void reload_journal_put(struct journal *journal, const struct bequest_edit *edit, u64 event)
{
	struct job signature = {0};
	struct journal_entry *entry;

	make(journal);
	snprintf(signature.who, sizeof(signature.who), "%.*s", STR_FMT(edit->who));
	entry = add_entry(&journal->entries, &edit->edit, &signature, edit->wall_ms);
	entry->event = event;
}

void reload_journal_done(struct journal *journal)
{
	if (!journal->is_made)
		return;
	list_for_each_safe (node, &journal->entries)
		drop(list_entry(node, struct journal_entry, node));
	list_for_each_safe (node, &journal->removed)
		drop(list_entry(node, struct journal_entry, node));
}

// ---- Taking back --------------------------------------------------------------------------------

static struct str str_of(const struct text *text)
{
	return text->len ? str_make(text->data, text->len) : STR_EMPTY;
}

void reload_add_undo(struct job *job, struct event_said *said)
{
	if (job->kind == RELOAD_REMOVE) {
		said->undo_method = STR("POST");
		said->undo = (struct event_undo){.order = EVENT_UNDO_REMOVE};
	}
	if (job->kind != RELOAD_ADD)
		return;
	text_add(&job->undo_path, STR("/api/v1/pools/"));
	text_add_segment(&job->undo_path, job->edit.pool);
	text_add(&job->undo_path, STR("/backends/"));
	text_add_segment(&job->undo_path, job->edit.backends[0].id);
	said->undo_method = STR("DELETE");
	said->undo_path = str_of(&job->undo_path);
	said->undo = (struct event_undo){.order = EVENT_UNDO_ADD};
}

void reload_undo_done(struct job *job)
{
	text_done(&job->undo_path);
}

// ---- What counts from the next start on ---------------------------------------------------------

struct str reload_restart_sections(
	const struct conf *first, const struct conf *conf, struct arena *arena)
{
	static const struct str sections[] = {
		{"runtime", 7}, {"log", 3}, {"admin", 5}, {"metrics", 7}, {"tracing", 7}};
	struct text text = {0};
	struct str names;

	for (u32 i = 0; i < ARRAY_LEN(sections); i++) {
		if (conf_same_section(first, conf, sections[i]))
			continue;
		if (text.len)
			text_add(&text, STR(", "));
		text_add(&text, sections[i]);
	}
	names = text.len ? arena_str(arena, str_of(&text)) : STR_EMPTY;
	text_done(&text);
	return names;
}
