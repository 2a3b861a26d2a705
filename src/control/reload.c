// SPDX-License-Identifier: Apache-2.0
#include "control/reload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/mem.h"
#include "conf/diff.h"
#include "control/desk.h"
#include "control/rehearse.h"
#include "control/reload_parts.h"
#include "control/resolver.h"
#include "control/thread.h"
#include "net/tls_cert.h"
#include "upstream/view.h"

enum { rest_ms = 20, again_ms = 1 };

// ---- Papers and reigns --------------------------------------------------------------------------

static struct paper *paper_new(struct paper *below)
{
	struct paper *paper = mem_alloc(sizeof(*paper));

	arena_init(&paper->arena, CONF_ARENA_BYTES_MAX);
	paper->users = 1;
	paper->below = below;
	if (below)
		below->users++;
	return paper;
}

static void paper_drop(struct paper *paper)
{
	while (paper && --paper->users == 0) {
		struct paper *below = paper->below;

		arena_done(&paper->arena);
		mem_free(paper);
		paper = below;
	}
}

static struct reign *reign_new(struct snapshot *snapshot, struct paper *paper, u32 workers)
{
	struct reign *reign = mem_alloc(sizeof(*reign));

	reign->snapshot = snapshot;
	reign->paper = paper;
	reign->generation = snapshot->generation;
	reign->workers_left = workers;
	list_init(&reign->node);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		reign->pools_left +=
			snapshot->pools[i] && snapshot->pools[i]->since == reign->generation;
	return reign;
}

// Its memory goes with the last of the pools that were made with it.
static void maybe_free(struct reign *reign)
{
	if (!reign->is_retired || reign->pools_left)
		return;
	list_remove(&reign->node);
	paper_drop(reign->paper);
	mem_free(reign);
}

static struct reign *find_reign(struct reload *reload, u32 generation)
{
	list_for_each (node, &reload->reigns) {
		struct reign *reign = list_entry(node, struct reign, node);

		if (reign->generation == generation)
			return reign;
	}
	return NULL;
}

// ---- What nobody uses any more ------------------------------------------------------------------

static void add_slot(struct slot_list *list, u32 slot)
{
	if (list->count == list->room) {
		list->room = MAX(2 * list->room, 16u);
		list->slots = mem_realloc(list->slots, sizeof(u32) * list->room);
	}
	list->slots[list->count++] = slot;
}

static void on_backend(void *owner, u32 slot)
{
	add_slot(&((struct reload *)owner)->resting.backends, slot);
}

static void on_pool_slot(void *owner, u32 slot)
{
	add_slot(&((struct reload *)owner)->resting.pools, slot);
}

static void on_frontend(void *owner, u32 slot)
{
	add_slot(&((struct reload *)owner)->resting.frontends, slot);
}

static void on_pool(void *owner, struct pool *pool)
{
	struct reign *maker = find_reign(owner, pool->since);

	view_done(pool);
	ASSERT(maker && maker->pools_left);
	maker->pools_left--;
	if (maker->is_retired)
		maybe_free(maker);
}

static void set_rest_timer(struct reload *reload)
{
	if (!timer_is_set(&reload->rest))
		loop_timer_set(reload->config.loop, &reload->rest,
			loop_now_ms(reload->config.loop) + rest_ms);
}

static void maybe_retire(struct reload *reload, struct reign *reign);

static void on_left(struct message *message)
{
	struct reign *reign = container_of(message, struct reign, left);

	reign->has_left = true;
	maybe_retire(reign->reload, reign);
}

// Whether the follower uses it no more.
static bool leave(struct reload *reload, struct reign *reign)
{
	const struct reload_follower *follower = &reload->follower;

	if (!follower->leave || reign->has_left)
		return true;
	if (reign->is_leaving)
		return false;
	reign->is_leaving = true;
	reign->left = (struct message){.deliver = on_left};
	follower->leave(follower->owner, reign->snapshot, &reign->left);
	return false; // or this was called again, and it is over
}

static void maybe_retire(struct reload *reload, struct reign *reign)
{
	struct snapshot_heirs heirs = {.owner = reload,
		.backend = on_backend,
		.pool = on_pool,
		.pool_slot = on_pool_slot,
		.frontend = on_frontend};

	if (reign->is_retired || !reign->is_over || reign->workers_left || !leave(reload, reign))
		return;
	snapshot_retire(reign->snapshot, &heirs);
	reign->is_retired = true;
	maybe_free(reign);
	set_rest_timer(reload);
}

struct let_go {
	struct message message;
	struct reload *reload;
	u32 generation;
};

static void deliver_let_go(struct message *message)
{
	struct let_go *gone = container_of(message, struct let_go, message);
	struct reign *reign = find_reign(gone->reload, gone->generation);

	ASSERT(reign && reign->workers_left);
	reign->workers_left--;
	maybe_retire(gone->reload, reign);
	mem_free(gone);
}

void reload_let_go(struct worker *worker, const struct snapshot *snapshot)
{
	struct let_go *gone = mem_alloc(sizeof(*gone));

	*gone = (struct let_go){.message = {.deliver = deliver_let_go},
		.reload = worker->config.reload,
		.generation = snapshot->generation};
	loop_post(worker->config.control_loop, &gone->message);
}

// ---- Slots at rest ------------------------------------------------------------------------------

static bool is_at_rest(const struct reload *reload, u32 slot)
{
	const struct snapshot *snapshot = reload->reign->snapshot;

	for (u32 i = 0; i < snapshot->worker_count; i++) {
		const struct cell *cell = &snapshot->cells[i][slot];

		if (cell_read(&cell->connections) || cell_read(&cell->in_flight))
			return false;
	}
	return true;
}

static void take_at_rest(struct reload *reload)
{
	struct slot_list *resting = &reload->resting.backends;
	u32 left = 0;

	for (u32 i = 0; i < resting->count; i++) {
		u32 slot = resting->slots[i];

		if (is_at_rest(reload, slot))
			add_slot(&reload->forgetting.backends, slot);
		else
			resting->slots[left++] = slot;
	}
	resting->count = left;
	for (u32 i = 0; i < reload->resting.pools.count; i++)
		add_slot(&reload->forgetting.pools, reload->resting.pools.slots[i]);
	for (u32 i = 0; i < reload->resting.frontends.count; i++)
		add_slot(&reload->forgetting.frontends, reload->resting.frontends.slots[i]);
	reload->resting.pools.count = reload->resting.frontends.count = 0;
}

static bool has_slots(const struct slot_lists *lists)
{
	return lists->backends.count + lists->pools.count + lists->frontends.count > 0;
}

static void run_forget(struct worker_call *call, struct proxy *proxy)
{
	const struct reload *reload = container_of(call, struct reload_call, call)->reload;
	const struct slot_lists *lists = &reload->forgetting;

	for (u32 i = 0; i < lists->backends.count; i++)
		proxy_forget_backend(proxy, lists->backends.slots[i]);
	for (u32 i = 0; proxy->stats && i < lists->pools.count; i++)
		stats_forget_pool(proxy->stats, lists->pools.slots[i]);
	for (u32 i = 0; proxy->stats && i < lists->frontends.count; i++)
		stats_forget_frontend(proxy->stats, lists->frontends.slots[i]);
}

static void call_all(struct reload *reload, struct reload_call *calls,
	void (*run)(struct worker_call *call, struct proxy *proxy), message_fn *answered)
{
	for (u32 i = 0; i < reload->config.workers->count; i++) {
		calls[i] = (struct reload_call){.reload = reload,
			.call = {.run = run, .asker = reload->config.loop, .answered = answered}};
		worker_call(&reload->config.workers->all[i], &calls[i].call);
	}
}

static struct reload_call *call_of(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);

	return container_of(call, struct reload_call, call);
}

// While a builder takes slots none are given.
static void give_slots(struct reload *reload)
{
	struct slots *slots = reload->reign->snapshot->slots;
	struct slot_lists *lists = &reload->forgetting;

	for (u32 i = 0; i < lists->backends.count; i++) {
		slots->seats[lists->backends.slots[i]] = (struct seat){0};
		slot_give(&slots->backends, lists->backends.slots[i]);
	}
	for (u32 i = 0; i < lists->pools.count; i++)
		slot_give(&slots->pools, lists->pools.slots[i]);
	for (u32 i = 0; i < lists->frontends.count; i++)
		slot_give(&slots->frontends, lists->frontends.slots[i]);
	lists->backends.count = lists->pools.count = lists->frontends.count = 0;
	reload->is_forgotten = false;
}

static void on_forgotten(struct message *message)
{
	struct reload *reload = call_of(message)->reload;

	if (--reload->forgets_out)
		return;
	reload->is_forgotten = true;
	if (!reload->is_building)
		give_slots(reload);
}

static void on_rest(struct timer *timer)
{
	struct reload *reload = container_of(timer, struct reload, rest);

	if (reload->is_stopped)
		return;
	if (!reload->forgets_out && !reload->is_forgotten) {
		take_at_rest(reload);
		if (has_slots(&reload->forgetting)) {
			reload->forgets_out = reload->config.workers->count;
			call_all(reload, reload->forgets, run_forget, on_forgotten);
		}
	}
	if (has_slots(&reload->resting))
		set_rest_timer(reload);
}

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
			LOG_CSTR("cure", "weir check FILE shows all errors"));
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
	paper_drop(job->paper);
	paper_drop(job->base_paper);
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
	paper_drop(paper);
	paper_drop(base);
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
	if (reload->config.handover && !reload->trial.is_on)
		handover_keep_conf(reload->config.handover, reload->reign->snapshot->conf);
	tell(reload, job, true);
	reload_journal_sign(&reload->journal, job);
	maybe_retire(reload, before);
	end_job(reload, job, RELOAD_DONE);
}

static void on_begun(struct message *message)
{
	struct reload_call *own = call_of(message);
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
	call_all(reload, reload->calls, run_begin, on_begun);
}

static void on_again(struct timer *timer)
{
	begin_listening(container_of(timer, struct reload, again));
}

static void on_swapped(struct message *message)
{
	struct reload_call *own = call_of(message);
	struct reload *reload = own->reload;
	const struct reload_follower *follower = &reload->follower;

	if (own->call.gone) // it uses nothing any more
		reload->before->workers_left--;
	if (--reload->calls_out)
		return;
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
	struct reign *reign = reign_new(job->snapshot, job->paper, reload->config.workers->count);
	bool is_read = false;

	reload_journal_take(&reload->journal, job, loop_wall_ms(reload->config.loop));
	if (job->base_paper) {
		paper_drop(reload->base_paper);
		reload->base_paper = job->base_paper;
		reload->base = job->base;
		is_read = true;
	}
	snapshot_adopt(reign->snapshot);
	snapshot_guard(reign->snapshot, reload->config.clients_max, reload->config.seed);
	reign->reload = reload;
	list_push_back(&reload->reigns, &reign->node);
	reload->before = reload->reign;
	reload->reign = reign;
	watch_adopt(reload->config.watch, reign->snapshot);
	desk_adopt(reload->config.desk, reign->snapshot);
	resolve(reload);
	reload->calls_out = reload->config.workers->count;
	call_all(reload, reload->calls, run_swap, on_swapped);
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
		give_slots(reload);
	if (reload->is_stopped) {
		drop_papers(job);
		end_job(reload, job, RELOAD_GONE);
		return;
	}
	if (job->first_kept) {
		struct shelf_entry *first = shelf_newest(&reload->shelf);

		if (!first->text) {
			first->text = job->first_kept;
			job->first_kept = NULL;
		}
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

// ---- Building -----------------------------------------------------------------------------------

// Certificates and keys of now: what cannot be used leaves everything as it is.
static void open_tls(struct job *job)
{
	const struct reload_config *config = &job->reload->config;
	struct tls_error error;

	if (snapshot_secure(
		    job->snapshot, job->before, config->tls_secret, config->clients_max, &error))
		return;
	snprintf(job->what, sizeof(job->what), "TLS cannot be set up: %.200s", error.text);
	snapshot_cancel(job->snapshot);
	job->snapshot = NULL;
}

// What everything else stands on: the files, or a text that is one.
static bool read_base(struct job *job)
{
	const struct reload_config *config = &job->reload->config;
	struct arena *arena;

	job->base_paper = paper_new(NULL);
	arena = &job->base_paper->arena;
	if (job->kind == RELOAD_FILES)
		job->base = config->load(config->load_owner, arena, &job->errs);
	else
		job->base = config->load_text(config->load_owner,
			job->kind == RELOAD_TEXT ? "the configuration that was sent"
						 : "the configuration of before",
			job->text->text, arena, &job->errs);
	return job->base != NULL;
}

// For going back to it. The first one's text is made when the second one comes.
static void keep_texts(struct job *job)
{
	struct arena scratch;

	arena_init(&scratch, CONF_ARENA_BYTES_MAX);
	if (job->base_paper)
		job->kept = shelf_text_new(conf_keep(job->base, &scratch));
	if (job->wants_first)
		job->first_kept = shelf_text_new(conf_keep(job->reload->config.conf, &scratch));
	arena_done(&scratch);
}

static void compare(struct job *job, const struct conf *conf)
{
	struct arena *arena = &job->paper->arena;
	const struct conf_diff *diff;

	if (job->kind != RELOAD_TEXT && job->kind != RELOAD_ROLLBACK)
		return;
	diff = conf_diff(job->before->conf, conf, arena);
	job->diff = conf_diff_json(diff, arena);
	job->changes = conf_diff_text(diff, arena);
}

// In a thread of its own. While it runs nobody gives slots back, and the newest snapshot stays.
static void build(struct job *job)
{
	struct reload *reload = job->reload;
	const struct conf *conf;
	const char *what = NULL;

	if (reload_job_has_base(job) && !read_base(job))
		return;
	keep_texts(job);
	job->paper = paper_new(job->base_paper ? job->base_paper : reload->base_paper);
	if (job->kind == RELOAD_EXPORT) {
		reload_export_write(job);
		return;
	}
	conf = job->base;
	if (job->edit_count)
		conf = conf_edit(
			job->base, job->edits, job->edit_count, &job->paper->arena, &job->errs);
	// Lists from elsewhere are no work of a hand, and nobody is there to hear of it.
	if (!conf || (job->kind != RELOAD_LIST && rehearse(conf, &job->errs)))
		return;
	compare(job, conf);
	job->restart = reload_restart_sections(reload->config.conf, conf, &job->paper->arena);
	job->snapshot = snapshot_follow(
		job->before, conf, &job->paper->arena, job->before->generation + 1, &what);
	if (!job->snapshot)
		snprintf(job->what, sizeof(job->what),
			"there are more %s than this process has room for: restart it", what);
	else
		open_tls(job);
}

static void *build_main(void *arg)
{
	struct job *job = arg;

	thread_give_way();
	build(job);
	loop_post(job->reload->config.loop, &job->built);
	return NULL;
}

// The text and the edits of a generation that is kept.
static enum reload_result take_from_shelf(const struct reload *reload, struct job *job)
{
	const struct shelf_entry *entry =
		job->number ? shelf_find(&reload->shelf, job->number)
			    : shelf_before(&reload->shelf, shelf_newest(&reload->shelf));

	if (!entry || !entry->text)
		return RELOAD_NO_GENERATION;
	job->text = entry->text;
	job->text->users++;
	job->shelved = reload_edits_copy(&job->texts, entry->edits, entry->edit_count);
	job->shelved_count = entry->edit_count;
	return RELOAD_DONE;
}

static void begin(struct reload *reload, struct job *job)
{
	enum reload_result result = RELOAD_DONE;

	reload->job = job;
	job->reload = reload;
	job->before = reload->reign->snapshot;
	job->base = reload->base;
	job->built = (struct message){.deliver = on_built};
	errs_init(&job->errs);
	job->has_errs = true;
	if (job->kind == RELOAD_FILES && reload->config.handover)
		handover_reloading(reload->config.handover, loop_now_us(reload->config.loop));
	job->wants_first = shelf_newest(&reload->shelf)->text == NULL;
	if (job->kind == RELOAD_ROLLBACK)
		result = take_from_shelf(reload, job);
	else if (job->kind == RELOAD_TEXT && job->confirm_ms && reload->trial.is_on)
		result = RELOAD_TRIAL;
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
	if (thread_start(&job->thread, build_main, job) != 0) {
		reload->is_building = false;
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
		answer(reload, ask, RELOAD_DONE);
	} else if (!reload->trial.is_on || reload->trial.is_reverting) {
		answer(reload, ask, RELOAD_NO_TRIAL);
	} else {
		ask->event = reload_trial_confirm(reload, ask->who);
		answer(reload, ask, RELOAD_DONE);
	}
	return true;
}

static void deliver_ask(struct message *message)
{
	struct reload_ask *ask = container_of(message, struct reload_ask, message);
	struct job *job;

	if (answer_at_once(ask->reload, ask))
		return;
	job = reload_job_new(
		(enum reload_kind)ask->kind, ask->who, ask->pool, ask->backends, ask->count);
	if (ask->kind == RELOAD_TEXT)
		job->text = shelf_text_new(ask->sent);
	job->confirm_ms = ask->only_looks ? 0 : ask->confirm_ms;
	job->only_looks = ask->only_looks || ask->kind == RELOAD_EXPORT;
	job->syntax = ask->syntax;
	job->number = ask->number;
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
	struct shelf_entry *entry;

	reload->config = *config;
	pthread_mutex_init(&reload->lock, NULL);
	list_init(&reload->jobs);
	list_init(&reload->reigns);
	timer_init(&reload->rest, on_rest);
	timer_init(&reload->again, on_again);
	list_init(&reload->journal.entries);
	reload->journal.is_made = true;
	reload_trial_init(reload);
	shelf_init(&reload->shelf);
	reload->calls = mem_alloc(sizeof(*reload->calls) * config->workers->count);
	reload->forgets = mem_alloc(sizeof(*reload->forgets) * config->workers->count);
	reload->base = config->conf;
	reload->base_paper = paper_new(NULL); // its memory is the process'
	reload->reign = reign_new(first, paper_new(reload->base_paper), config->workers->count);
	reload->reign->reload = reload;
	list_push_back(&reload->reigns, &reload->reign->node);
	reload->status = (struct reload_status){.generation = first->generation,
		.last_succeeded = true,
		.taken_wall_ms = loop_wall_ms(config->loop)};
	entry = shelf_add(&reload->shelf, first->generation, NULL);
	entry->wall_ms = reload->status.taken_wall_ms;
	entry->event = "start";
	snprintf(entry->who, sizeof(entry->who), "weir");
	return reload;
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
	return !reload->job && list_is_empty(&reload->jobs) && !reload->forgets_out;
}

static void free_lists(struct slot_lists *lists)
{
	mem_free(lists->backends.slots);
	mem_free(lists->pools.slots);
	mem_free(lists->frontends.slots);
}

void reload_free(struct reload *reload)
{
	struct snapshot *last;

	if (!reload)
		return;
	last = reload->reign->snapshot;
	list_for_each_safe (node, &reload->reigns) {
		struct reign *reign = list_entry(node, struct reign, node);

		for (u32 i = 0; i < reign->snapshot->pool_count && !reign->is_retired; i++)
			if (reign->snapshot->pools[i])
				view_done(reign->snapshot->pools[i]);
		if (!reign->is_retired)
			snapshot_unsecure(reign->snapshot);
	}
	guard_free(last->guard);
	list_for_each_safe (node, &reload->reigns) {
		struct reign *reign = list_entry(node, struct reign, node);

		list_remove(&reign->node);
		paper_drop(reign->paper);
		mem_free(reign);
	}
	paper_drop(reload->base_paper);
	reload_trial_done(reload);
	shelf_done(&reload->shelf);
	reload_journal_done(&reload->journal);
	reload_binds_done(&reload->binds);
	free_lists(&reload->resting);
	free_lists(&reload->forgetting);
	pthread_mutex_destroy(&reload->lock);
	mem_free(reload->calls);
	mem_free(reload->forgets);
	mem_free(reload);
}
