// SPDX-License-Identifier: Apache-2.0
#include "control/reload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "control/desk.h"
#include "control/reload_parts.h"
#include "control/resolver.h"
#include "control/staples.h"
#include "control/thread.h"

enum { again_ms = 1 };

// ---- The end of a job ---------------------------------------------------------------------------

static const char *text_of(enum reload_kind kind, bool done)
{
	static const char *const texts[][2] = {
		[RELOAD_FILES] = {"configuration is refused, the old one stays",
			"configuration is reloaded"},
		[RELOAD_ADD] = {"backend is not added: the configuration would be wrong",
			"backend is added by order"},
		[RELOAD_REMOVE] = {"backend is not removed: the configuration would be wrong",
			"backend is removed by order"},
		[RELOAD_LIST] = {"list of backends is refused, the last one stays",
			"pool has another list of backends"},
		[RELOAD_TEXT] = {"configuration that was sent is refused, the old one stays",
			"configuration that was sent is in effect"},
		[RELOAD_ROLLBACK] = {"configuration of before is refused, the newer one stays",
			"configuration of before is in effect again"},
		[RELOAD_REVERT] = {"configuration on probation cannot be taken back, it stays",
			"configuration on probation is taken back"},
	};

	ASSERT(kind < ARRAY_LEN(texts));
	return texts[kind][done];
}

static struct str first_line(const struct job *job, char buffer[static 256])
{
	const struct err *err = job->errs.first;

	while (err && err->kind != ERR_ERROR)
		err = err->next;
	if (job->what[0])
		return str_from(job->what);
	if (!err)
		return STR_EMPTY;
	if (err->place.file && err->place.line)
		snprintf(buffer, 256, "%s:%u:%u: %s", err->place.file, err->place.line,
			err->place.column, err->message);
	else
		snprintf(buffer, 256, "%s%s%s", err->place.file ? err->place.file : "",
			err->place.file ? ": " : "", err->message);
	return str_from(buffer);
}

static void tell(struct reload *reload, struct job *job, bool done)
{
	char from[16], to[16], line[256];
	struct event_said said = {.kind = done ? EVENT_STEERING : EVENT_LIFE, // its line is below
		.text = text_of((enum reload_kind)job->kind, done),
		.pool = job->edit.pool,
		.backend = job->kind == RELOAD_ADD || job->kind == RELOAD_REMOVE
				   ? job->edit.backends[0].id
				   : STR_EMPTY,
		.reason = str_from(job->reason ? job->reason : ""),
		.by = str_from(job->who)};

	snprintf(from, sizeof(from), "%u", done ? reload->status.generation - 1 : 0);
	snprintf(to, sizeof(to), "%u", reload->status.generation);
	said.to = str_from(to);
	if (done)
		said.from = str_from(from);
	else
		said.reason = first_line(job, line);
	if (done)
		reload_add_undo(job, &said);
	job->event = changes_say(watch_changes(reload->config.watch), &said);
	if (done && job->restart.len)
		LOG(reload->config.log, LOG_WARN,
			"changes of these sections count from the next start on",
			LOG_STR("sections", job->restart));
	if (!done)
		LOG(reload->config.log, LOG_ERROR, "configuration is refused",
			LOG_STR("first", said.reason),
			LOG_U64("errors", MAX(job->errs.error_count, 1u)),
			LOG_CSTR("state", "the old configuration stays"),
			LOG_CSTR("cure", "weir check --deep FILE shows all errors"));
	reload_undo_done(job);
}

static void deliver_answer(struct message *message)
{
	struct reload_ask *ask = container_of(message, struct reload_ask, message);

	ask->answered(ask);
}

static void answer(struct reload *reload, struct reload_ask *ask, enum reload_result result)
{
	ask->result = (u8)result;
	ask->generation = reload->status.generation;
	ask->message = (struct message){.deliver = deliver_answer};
	loop_post(ask->from, &ask->message);
}

static void fill_answer(struct job *job, struct reload_ask *ask)
{
	arena_init(&ask->arena, CONF_ARENA_BYTES_MAX);
	ask->event = job->event;
	ask->restart = arena_str(&ask->arena, job->restart);
	ask->diff = arena_str(&ask->arena, job->diff);
	ask->changes = arena_str(&ask->arena, job->changes);
	if (job->what[0])
		errs_add(&job->errs, ERR_ERROR, 0, (struct place){0}, 1, "%s", job->what);
	ask->error_count = job->errs.error_count;
	errs_sort(&job->errs);
	ask->errors = errs_format_json(&job->errs, &ask->arena);
	ask->text = job->exported.len ? arena_str(&ask->arena, job->exported)
				      : errs_format(&job->errs, &ask->arena, false);
}

static void begin_next(struct reload *reload);

static void end_job(struct reload *reload, struct job *job, enum reload_result result)
{
	reload->job = NULL;
	if (job->kind == RELOAD_FILES && reload->config.handover)
		handover_reloaded(reload->config.handover,
			result == RELOAD_DONE ? "serves" : "serves; the last reload was refused");
	if (job->ask) {
		fill_answer(job, job->ask);
		answer(reload, job->ask, result);
	}
	reload_job_free(job);
	begin_next(reload);
}

static void set_status(struct reload *reload, bool done, u32 generation)
{
	struct reload_status *status = &reload->status;

	pthread_mutex_lock(&reload->lock);
	status->last_succeeded = done;
	if (done) {
		status->successes++;
		status->generation = generation;
		status->taken_wall_ms = loop_wall_ms(reload->config.loop);
	} else {
		status->failures++;
	}
	pthread_mutex_unlock(&reload->lock);
}

// With what was made of it, and what is said about that.
static void drop_papers(struct job *job)
{
	if (job->snapshot)
		snapshot_cancel(job->snapshot);
	job->restart = job->diff = job->changes = job->exported = STR_EMPTY;
	reload_paper_drop(job->paper);
	reload_paper_drop(job->base_paper);
}

static void refuse(struct reload *reload, struct job *job)
{
	drop_papers(job);
	if (!job->only_looks) {
		set_status(reload, false, 0);
		tell(reload, job, false);
	}
	if (job->kind == RELOAD_REVERT)
		reload_trial_end(reload);
	end_job(reload, job, RELOAD_REFUSED);
}

// Nothing was wanted but to know.
static void end_look(struct reload *reload, struct job *job)
{
	struct paper *base, *paper;

	if (job->snapshot)
		snapshot_cancel(job->snapshot);
	base = job->base_paper;
	paper = job->paper;
	end_job(reload, job, RELOAD_DONE); // which tells what stands there
	reload_paper_drop(paper);
	reload_paper_drop(base);
}

// ---- Swapping -----------------------------------------------------------------------------------

static void run_swap(struct worker_call *call, struct proxy *proxy)
{
	const struct reload *reload = container_of(call, struct reload_call, call)->reload;
	struct worker *worker = container_of(proxy, struct worker, proxy);

	worker_adopt(worker, reload->reign->snapshot, reload->binds.plans, reload->binds.count);
}

static void run_begin(struct worker_call *call, struct proxy *proxy)
{
	struct reload_call *own = container_of(call, struct reload_call, call);

	own->is_pending = !worker_begin_listening(container_of(proxy, struct worker, proxy));
}

static void describe(struct shelf_entry *entry, const struct reload *reload, const struct job *job)
{
	bool is_edit = reload_job_is_edit(job);

	entry->wall_ms = reload->status.taken_wall_ms;
	entry->event = text_of((enum reload_kind)job->kind, true);
	snprintf(entry->who, sizeof(entry->who), "%s", job->who);
	if (is_edit)
		snprintf(entry->about, sizeof(entry->about), "%.*s/%.*s", STR_FMT(job->edit.pool),
			STR_FMT(job->edit.backends[0].id));
	else if (job->reason)
		snprintf(entry->about, sizeof(entry->about), "%s", job->reason);
	entry->edits = reload_journal_copy(&reload->journal, &entry->arena, &entry->edit_count);
}

// What lists from elsewhere say is no generation to go back to.
static void shelve(struct reload *reload, struct job *job)
{
	struct shelf_entry *before = shelf_newest(&reload->shelf);

	if (job->kind == RELOAD_LIST)
		return;
	if (reload_job_has_base(job))
		reload_trial_end(reload); // of another one than this
	if (job->confirm_ms)
		reload_trial_begin(reload, job, before);
	describe(shelf_add(&reload->shelf, reload->reign->generation,
			 job->kept ? job->kept : before->text),
		reload, job);
}

// Every worker has it.
static void finish(struct reload *reload)
{
	struct job *job = reload->job;
	struct reign *before = reload->before;

	reload->before = NULL;
	before->is_over = true;
	reload_binds_settle(&reload->binds);
	set_status(reload, true, reload->reign->generation);
	shelve(reload, job);
	tell(reload, job, true);
	reload_journal_sign(&reload->journal, job);
	reload_take_waiting(reload);
	if (job->kind != RELOAD_LIST)
		reload_leave_conf(reload);
	reload_leave_orders(reload);
	reload_maybe_retire(reload, before);
	end_job(reload, job, RELOAD_DONE);
}

static void on_begun(struct message *message)
{
	struct reload_call *own = reload_call_of(message);
	struct reload *reload = own->reload;

	reload->is_pending |= own->is_pending && !own->call.gone;
	if (--reload->calls_out)
		return;
	if (reload->is_pending)
		loop_timer_set(reload->config.loop, &reload->again,
			loop_now_ms(reload->config.loop) + again_ms);
	else
		finish(reload);
}

static void begin_listening(struct reload *reload)
{
	reload->is_pending = false;
	reload->calls_out = reload->config.workers->count;
	reload_call_all(reload, reload->calls, run_begin, on_begun);
}

static void on_again(struct timer *timer)
{
	begin_listening(container_of(timer, struct reload, again));
}

static void on_swapped(struct message *message)
{
	struct reload_call *own = reload_call_of(message);
	struct reload *reload = own->reload;
	const struct reload_follower *follower = &reload->follower;

	if (own->call.gone) // it uses nothing any more
		reload->before->workers_left--;
	if (--reload->calls_out)
		return;
	reload->is_told = true;
	if (follower->adopt)
		follower->adopt(follower->owner, reload->reign->snapshot);
	begin_listening(reload);
}

static void on_resolved(
	void *owner, struct backend *backend, const struct addr *addr, const char *error)
{
	struct reload *reload = owner;
	struct backend *now = reload->reign->snapshot->backends[backend->cell];

	if (!now || !str_eq(now->name, backend->name))
		return;
	if (error) {
		LOG(reload->config.log, LOG_WARN, "backend name cannot be resolved",
			LOG_STR("pool", now->pool->name), LOG_STR("backend", now->id),
			LOG_STR("name", now->name), LOG_CSTR("error", error),
			LOG_CSTR("state", "unresolved"));
		watch_resolved(reload->config.watch, now, false);
		return;
	}
	now->addr = *addr;
	watch_resolved(reload->config.watch, now, true);
}

// One look-up at a time: who has no address yet is asked for again with each configuration.
static void resolve(struct reload *reload)
{
	int error = 0;

	resolver_stop(*reload->config.resolver);
	*reload->config.resolver = resolver_start(
		reload->reign->snapshot, reload->config.loop, reload, on_resolved, &error);
	if (error)
		LOG(reload->config.log, LOG_ERROR, "names of backends cannot be looked up",
			LOG_ERRNO(error));
}

static void take(struct reload *reload, struct job *job)
{
	struct reign *reign = reload_reign_new(reload, job->snapshot, job->paper);
	bool is_read = false;

	reload_journal_take(&reload->journal, job, loop_wall_ms(reload->config.loop));
	if (job->base_paper) {
		reload_paper_drop(reload->base_paper);
		reload->base_paper = job->base_paper;
		reload->base = job->base;
		is_read = true;
	}
	snapshot_adopt(reign->snapshot);
	snapshot_guard(reign->snapshot, reload->config.clients_max, reload->config.seed);
	reload->before = reload->reign;
	reload->reign = reign;
	reload->is_told = false;
	watch_adopt(reload->config.watch, reign->snapshot);
	desk_adopt(reload->config.desk, reign->snapshot);
	staples_adopt(reload->config.staples, reign->snapshot, !reload_job_is_edit(job));
	resolve(reload);
	reload->calls_out = reload->config.workers->count;
	reload_call_all(reload, reload->calls, run_swap, on_swapped);
	if (is_read && reload->config.read)
		reload->config.read(reload->config.read_owner, reload->base);
}

static void on_built(struct message *message)
{
	struct job *job = container_of(message, struct job, built);
	struct reload *reload = job->reload;

	pthread_join(job->thread, NULL);
	reload->is_building = false;
	if (reload->is_forgotten)
		reload_give_slots(reload);
	if (reload->is_stopped) {
		drop_papers(job);
		end_job(reload, job, RELOAD_GONE);
		return;
	}
	if (job->exported.len || (job->snapshot && job->only_looks))
		end_look(reload, job);
	else if (job->snapshot &&
		 reload_binds_plan(&reload->binds, job->snapshot, reload->config.workers->count,
			 job->what, sizeof(job->what)))
		take(reload, job);
	else
		refuse(reload, job);
}

// ---- The next one -------------------------------------------------------------------------------

// The text and the edits of a generation that is kept.
static enum reload_result take_from_shelf(const struct reload *reload, struct job *job)
{
	const struct shelf_entry *newest = shelf_newest(&reload->shelf), *entry;
	u32 number = job->number;

	if (!number && reload->trial.is_on) // what is on probation may be of several generations
		number = reload->status.trial.before;
	entry = number ? shelf_find(&reload->shelf, number) : shelf_before(&reload->shelf, newest);

	if (!entry)
		return RELOAD_NO_GENERATION;
	job->text = entry->text;
	job->text->users++;
	job->shelved = reload_edits_copy(&job->texts, entry->edits, entry->edit_count);
	job->shelved_count = entry->edit_count;
	return RELOAD_DONE;
}

// What was on probation when it was asked for still is: nobody has decided otherwise meanwhile.
static bool is_wanted_back(const struct reload *reload, const struct job *job)
{
	return reload->trial.is_on && reload->trial.is_reverting &&
	       reload->trial.before == job->text;
}

static void begin(struct reload *reload, struct job *job)
{
	enum reload_result result = RELOAD_DONE;

	reload->job = job;
	job->reload = reload;
	if (job->kind == RELOAD_REVERT && !is_wanted_back(reload, job)) {
		end_job(reload, job, RELOAD_GONE);
		return;
	}
	job->before = reload->reign->snapshot;
	job->base = reload->base;
	job->built = (struct message){.deliver = on_built};
	errs_init(&job->errs);
	job->has_errs = true;
	if (job->kind == RELOAD_FILES && reload->config.handover)
		handover_reloading(reload->config.handover, loop_now_us(reload->config.loop));
	if (job->kind == RELOAD_ROLLBACK)
		result = take_from_shelf(reload, job);
	else if (job->kind == RELOAD_TEXT && job->confirm_ms && reload->trial.is_on)
		result = RELOAD_TRIAL;
	else if (job->undoes && !reload_journal_recall(&reload->journal, job))
		result = RELOAD_NO_BACKEND;
	else if (reload_job_is_edit(job))
		result = reload_journal_check(&reload->journal, job, job->before);
	if (result != RELOAD_DONE) {
		end_job(reload, job, result);
		return;
	}
	if (job->kind == RELOAD_EXPORT)
		reload_export_list(reload, job);
	else
		reload_journal_list(&reload->journal, job);
	if (reload_job_has_base(job) && job->kind != RELOAD_FILES && !reload->config.load_text) {
		snprintf(job->what, sizeof(job->what),
			"a configuration that is sent cannot be read here");
		refuse(reload, job);
		return;
	}
	if (job->kind == RELOAD_FILES && !reload->config.load) {
		snprintf(job->what, sizeof(job->what),
			"the configuration came from standard input: it cannot be read again");
		refuse(reload, job);
		return;
	}
	reload->is_building = true;
	job->tls_secret = *reload->config.tls_secret;
	if (thread_start(&job->thread, reload_build, job) != 0) {
		reload->is_building = false;
		tls_wipe(&job->tls_secret, sizeof(job->tls_secret));
		snprintf(job->what, sizeof(job->what), "there is no thread to be had");
		refuse(reload, job);
	}
}

static void begin_next(struct reload *reload)
{
	struct job *job;

	if (reload->job || list_is_empty(&reload->jobs))
		return;
	job = list_first(&reload->jobs, struct job, node);
	list_remove(&job->node);
	if (reload->is_stopped) {
		if (job->ask)
			answer(reload, job->ask, RELOAD_GONE);
		reload_job_free(job);
		begin_next(reload);
		return;
	}
	begin(reload, job);
}

static void add_job(struct reload *reload, struct job *job)
{
	list_push_back(&reload->jobs, &job->node);
	begin_next(reload);
}

// ---- Asking -------------------------------------------------------------------------------------

// What needs no configuration to be made is answered at once.
static bool answer_at_once(struct reload *reload, struct reload_ask *ask)
{
	if (ask->kind < RELOAD_CONFIRM)
		return false;
	arena_init(&ask->arena, CONF_ARENA_BYTES_MAX);
	ask->errors = STR("[]"); // there is an arena to be given back
	if (ask->kind == RELOAD_SHELF) {
		ask->text = shelf_json(&reload->shelf, &ask->arena);
		answer(reload, ask, RELOAD_DONE);
	} else if (ask->kind == RELOAD_JOURNAL) {
		ask->text = reload_journal_json(reload, &ask->arena);
		ask->dropped = reload->taken.dropped;
		ask->waiting = reload_count_waiting(reload);
		answer(reload, ask, RELOAD_DONE);
	} else if (!reload->trial.is_on || reload->trial.is_reverting) {
		answer(reload, ask, RELOAD_NO_TRIAL);
	} else {
		ask->event = reload_trial_confirm(reload, ask->who);
		answer(reload, ask, RELOAD_DONE);
	}
	return true;
}

// What the process that takes over would not know of, since it has read the files.
static bool is_refused(const struct reload *reload, const struct reload_ask *ask)
{
	return reload->is_upgrading && !ask->only_looks &&
	       (ask->kind == RELOAD_FILES || ask->kind == RELOAD_TEXT ||
		       ask->kind == RELOAD_ROLLBACK);
}

static void deliver_ask(struct message *message)
{
	struct reload_ask *ask = container_of(message, struct reload_ask, message);
	struct job *job;

	if (answer_at_once(ask->reload, ask))
		return;
	if (is_refused(ask->reload, ask)) {
		answer(ask->reload, ask, RELOAD_UPGRADING);
		return;
	}
	job = reload_job_new(
		(enum reload_kind)ask->kind, ask->who, ask->pool, ask->backends, ask->count);
	if (ask->kind == RELOAD_TEXT)
		job->text = shelf_text_new(ask->sent);
	job->confirm_ms = ask->only_looks ? 0 : ask->confirm_ms;
	job->only_looks = ask->only_looks || ask->kind == RELOAD_EXPORT;
	job->syntax = ask->syntax;
	job->number = ask->number;
	job->undoes = ask->undoes;
	job->ask = ask;
	add_job(ask->reload, job);
}

void reload_ask(struct reload *reload, struct reload_ask *ask, struct loop *from,
	void (*answered)(struct reload_ask *ask))
{
	ask->reload = reload;
	ask->from = from;
	ask->answered = answered;
	ask->arena = (struct arena){0};
	ask->errors = ask->text = ask->restart = ask->diff = ask->changes = STR_EMPTY;
	ask->message = (struct message){.deliver = deliver_ask};
	loop_post(reload->config.loop, &ask->message);
}

void reload_ask_done(struct reload_ask *ask)
{
	if (ask->errors.ptr)
		arena_done(&ask->arena);
}

void reload_now(struct reload *reload, const char *who)
{
	// One that waits reads what is there then.
	list_for_each (node, &reload->jobs) {
		const struct job *job = list_entry(node, struct job, node);

		if (job->kind == RELOAD_FILES && !job->ask)
			return;
	}
	add_job(reload, reload_job_new(RELOAD_FILES, who, STR_EMPTY, NULL, 0));
}

void reload_revert(struct reload *reload, struct shelf_text *text, const char *reason)
{
	struct job *job = reload_job_new(RELOAD_REVERT, "weir", STR_EMPTY, NULL, 0);

	job->text = text;
	text->users++;
	job->reason = reason;
	add_job(reload, job);
}

void reload_edit(struct reload *reload, const struct bequest_edit *edit, bool back)
{
	bool adds = (edit->edit.kind == CONF_EDIT_ADD) != back;
	struct job *job;
	char who[RELOAD_WHO_BYTES];

	snprintf(who, sizeof(who), "%.*s", STR_FMT(edit->who));
	job = reload_job_new(
		adds ? RELOAD_ADD : RELOAD_REMOVE, who, edit->edit.pool, edit->edit.backends, 1);
	job->wall_ms = back ? 0 : edit->wall_ms;
	add_job(reload, job);
}

void reload_set_upgrading(struct reload *reload, bool upgrading)
{
	reload->is_upgrading = upgrading;
}

void reload_set_backends(
	struct reload *reload, struct str pool, const struct conf_edit_backend *backends, u32 count)
{
	add_job(reload, reload_job_new(RELOAD_LIST, "provider", pool, backends, count));
}

void reload_know_backends(
	struct reload *reload, struct str pool, const struct conf_edit_backend *backends, u32 count)
{
	struct job *job = reload_job_new(RELOAD_LIST, "provider", pool, backends, count);

	reload_journal_take(&reload->journal, job, loop_wall_ms(reload->config.loop));
	reload_job_free(job);
}

struct reload_status reload_status(const struct reload *reload)
{
	struct reload *inside = (struct reload *)(uintptr_t)reload; // for its lock
	struct reload_status status;

	pthread_mutex_lock(&inside->lock);
	status = inside->status;
	pthread_mutex_unlock(&inside->lock);
	return status;
}

// ---- Life ---------------------------------------------------------------------------------------

struct reload *reload_new(const struct reload_config *config)
{
	struct reload *reload = mem_alloc(sizeof(*reload));
	struct snapshot *first = config->snapshot;

	reload->config = *config;
	pthread_mutex_init(&reload->lock, NULL);
	list_init(&reload->jobs);
	reload_reigns_init(reload);
	timer_init(&reload->again, on_again);
	list_init(&reload->journal.entries);
	list_init(&reload->journal.removed);
	reload->journal.is_made = true;
	reload_trial_init(reload);
	shelf_init(&reload->shelf);
	reload->calls = mem_alloc(sizeof(*reload->calls) * config->workers->count);
	reload->forgets = mem_alloc(sizeof(*reload->forgets) * config->workers->count);
	reload->base = config->conf;
	reload->base_paper = reload_paper_new(NULL); // its memory is the process'
	reload->reign = reload_reign_new(reload, first, reload_paper_new(reload->base_paper));
	reload->status = (struct reload_status){.generation = first->generation,
		.last_succeeded = true,
		.taken_wall_ms = loop_wall_ms(config->loop)};
	bequest_init(&reload->taken);
	reload->is_told = true;
	reload_take_shelf(reload, config->estate);
	return reload;
}

const struct snapshot *reload_snapshot(const struct reload *reload)
{
	return (reload->is_told ? reload->reign : reload->before)->snapshot;
}

void reload_follow(struct reload *reload, const struct reload_follower *follower)
{
	reload->follower = *follower;
}

struct reload_binds *reload_binds(struct reload *reload)
{
	return &reload->binds;
}

void reload_stop(struct reload *reload)
{
	reload->is_stopped = true;
	reload_trial_end(reload);
	loop_timer_cancel(reload->config.loop, &reload->rest);
	begin_next(reload);
}

bool reload_is_idle(const struct reload *reload)
{
	return !reload->job && list_is_empty(&reload->jobs) && !reload->forgets_out &&
	       shelf_file_is_idle(reload->config.file);
}

void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	reload_reigns_done(reload);
	reload_paper_drop(reload->base_paper);
	reload_trial_done(reload);
	shelf_done(&reload->shelf);
	bequest_done(&reload->taken);
	reload_journal_done(&reload->journal);
	reload_binds_done(&reload->binds);
	pthread_mutex_destroy(&reload->lock);
	mem_free(reload->calls);
	mem_free(reload->forgets);
	mem_free(reload);
}
