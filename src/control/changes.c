// SPDX-License-Identifier: Apache-2.0
#include "control/changes.h"

#include <stdio.h>

#include "base/mem.h"
#include "control/reason.h"

enum { fields_max = 12, second_ms = 1000 };

const char *event_kind_name(enum event_kind kind)
{
	static const char *const names[EVENT_KIND_COUNT] = {
#define X(name, text) [EVENT_##name] = text,
		EVENT_KINDS(X)
#undef X
	};

	ASSERT(kind < EVENT_KIND_COUNT);
	return names[kind];
}

// What was said of one backend, or of a pool as a whole.
struct speaker {
	struct hush hush; // once it has been said often
	struct changes *changes;
	const struct pool *pool;
	const struct backend *backend; // NULL: of the pool
	const char *state;	       // its last
	struct flapping flapping;
	struct timer calm;  // set while it flaps
	u64 flaps_since_ms; // when that began
	u64 since_ms;	    // of the first of `said`
	u32 said;
};

// The backends of one pool.
struct company {
	struct throng throng;
	struct changes *changes;
};

struct changes {
	struct loop *loop;
	struct log *log;
	const struct snapshot *snapshot;
	struct speaker *backends, *pools; // by slot; with pool NULL: nobody has it
	struct company *companies;	  // by slot of the pool
	struct hush flaps;		  // beyond CHANGES_FLAPS_SAID in a second
	u64 flaps_ms;			  // when that second began
	u32 flaps_said;
	u64 newest;
	struct event_copy events[CHANGES_KEPT];
};

// ---- Lines --------------------------------------------------------------------------------------

struct line {
	enum log_level level;
	const char *message;
	const char *next; // what the key of next_ms says
	const char *many; // what many of a pool have become
};

static bool is(const char *state, const char *name)
{
	return strcmp(state, name) == 0;
}

static struct line line_of_health(const struct model_change *change)
{
	static const char next[] = "next_check_ms";

	if (is(change->to, "up"))
		// That all is well at first is no news; the summary at start says so.
		return (struct line){is(change->from, "unknown") ? LOG_INFO : LOG_NOTICE,
			"backend is healthy", next, "backends are healthy"};
	if (is(change->to, "down"))
		return (struct line){LOG_WARN, "backend is down", next, "backends are down"};
	if (is(change->reason, health_reason_text(HEALTH_RECONFIGURED)))
		return (struct line){LOG_NOTICE, "backend is to be checked anew", next,
			"backends are to be checked anew"};
	return (struct line){
		LOG_WARN, "backend has lost its address", next, "backends have lost their address"};
}

static struct line line_of_breaker(const struct model_change *change)
{
	if (is(change->to, "open"))
		return (struct line){
			LOG_WARN, "circuit breaker opens", "open_for_ms", "circuit breakers open"};
	if (is(change->to, "closed"))
		return (struct line){
			LOG_NOTICE, "circuit breaker closes", "", "circuit breakers close"};
	return (struct line){LOG_NOTICE, "circuit breaker lets trial requests through", "",
		"circuit breakers let trial requests through"};
}

static struct line line_of(const struct model_change *change)
{
	switch ((enum model_change_kind)change->kind) {
	case MODEL_HEALTH:
		return line_of_health(change);
	case MODEL_EJECTED:
		return (struct line){
			LOG_WARN, "backend is ejected", "ejected_for_ms", "backends are ejected"};
	case MODEL_RETURNED:
		return (struct line){
			LOG_NOTICE, "backend has returned", "", "backends have returned"};
	case MODEL_BREAKER:
		return line_of_breaker(change);
	case MODEL_PANIC:
		if (is(change->to, "panic"))
			return (struct line){
				LOG_WARN, "pool panics: its ejections are ignored", "", ""};
		return (struct line){LOG_NOTICE, "pool panics no more", "", ""};
	case MODEL_POOL:
		if (is(change->to, "unavailable"))
			return (struct line){LOG_WARN, "pool has lost its last backend", "", ""};
		return (struct line){LOG_NOTICE, "pool has a backend again", "", ""};
	case MODEL_CHECK_TYPE:
		break;
	}
	return (struct line){LOG_NOTICE, "the kind of health check is decided", "", ""};
}

// Fields that mean nothing for this change are left out.
static size_t add_fields(const struct model_change *change, const char *next, const char *reason,
	struct log_field fields[static fields_max])
{
	size_t count = 0;

	fields[count++] = LOG_STR("pool", change->pool->name);
	if (change->backend) {
		fields[count++] = LOG_STR("backend", change->backend->id);
		fields[count++] = LOG_STR("address", change->backend->address);
	}
	fields[count++] = LOG_CSTR("from", change->from);
	fields[count++] = LOG_CSTR("to", change->to);
	fields[count++] = LOG_CSTR("reason", reason);
	if (change->streak)
		fields[count++] = LOG_U64("streak", change->streak);
	if (change->next_ms)
		fields[count++] = LOG_U64(next, change->next_ms);
	if (change->kind == MODEL_CHECK_TYPE) // says nothing about who may get requests
		return count;
	fields[count++] = LOG_U64("eligible", change->eligible);
	fields[count++] = LOG_U64("of", change->pool->backend_count);
	return count;
}

// Of many at once: whatever they have in common.
static void write_line_of_many(struct changes *changes, const struct model_change *change,
	struct line line, u32 count, const char *reason)
{
	if (log_is_on(changes->log, line.level))
		log_write(changes->log, line.level, __FILE__, line.many,
			(const struct log_field[]){LOG_U64("backends", count),
				LOG_U64("of", change->pool->backend_count),
				LOG_STR("pool", change->pool->name), LOG_CSTR("to", change->to),
				LOG_CSTR("reason", reason), LOG_U64("eligible", change->eligible)},
			6);
}

static void write_line(struct changes *changes, const struct model_change *change, struct line line)
{
	struct log_field fields[fields_max];
	char room[REASON_BYTES];

	log_write(changes->log, line.level, __FILE__, line.message, fields,
		add_fields(change, line.next, reason_of_change(change, room), fields));
}

static void say_rest(struct hush *hush, u64 times)
{
	struct speaker *speaker = container_of(hush, struct speaker, hush);
	const struct backend *backend = speaker->backend;
	struct log *log = speaker->changes->log;

	if (backend)
		LOG(log, LOG_WARN, "backend changed again in the last second",
			LOG_U64("times", times), LOG_STR("pool", speaker->pool->name),
			LOG_STR("backend", backend->id), LOG_STR("address", backend->address),
			LOG_CSTR("to", speaker->state),
			LOG_CSTR("cure", "higher thresholds or longer intervals, if it is well"));
	else
		LOG(log, LOG_WARN, "pool changed again in the last second", LOG_U64("times", times),
			LOG_STR("pool", speaker->pool->name), LOG_CSTR("to", speaker->state));
}

static struct speaker *speaker_of(struct changes *changes, const struct model_change *change)
{
	return change->backend ? &changes->backends[change->backend->cell]
			       : &changes->pools[change->pool->index];
}

static bool may_say(struct changes *changes, const struct model_change *change)
{
	u64 now_ms = loop_now_ms(changes->loop);
	struct speaker *speaker = speaker_of(changes, change);

	if (!speaker->pool) // the newest configuration has it no more
		return true;
	if (now_ms - speaker->since_ms >= CHANGES_CALM_MS) {
		speaker->since_ms = now_ms;
		speaker->said = 0;
	}
	if (speaker->said < CHANGES_SAID) {
		speaker->said++;
		return true;
	}
	return hush_is_news(&speaker->hush);
}

// ---- Flapping -----------------------------------------------------------------------------------

static u32 count_flaps(const struct speaker *speaker)
{
	return flapping_changes(&speaker->flapping, loop_now_ms(speaker->changes->loop));
}

static void describe_flaps(
	const struct speaker *speaker, const char *more, char text[static EVENT_REASON_MAX + 1])
{
	u64 now_ms = loop_now_ms(speaker->changes->loop);
	char changes[FLAPPING_TEXT_BYTES];

	flapping_describe(
		count_flaps(speaker), flapping_span_ms(&speaker->flapping, now_ms), changes);
	snprintf(text, EVENT_REASON_MAX + 1, "%s%s", changes, more);
}

static void say_more_flaps(struct hush *hush, u64 times)
{
	struct changes *changes = container_of(hush, struct changes, flaps);

	LOG(changes->log, LOG_WARN, "more backends flap", LOG_U64("times", times));
}

// With thousands that flap it is enough to know of the first.
static bool may_say_flap(struct changes *changes)
{
	u64 now_ms = loop_now_ms(changes->loop);

	if (now_ms - changes->flaps_ms >= second_ms) {
		changes->flaps_ms = now_ms;
		changes->flaps_said = 0;
	}
	return changes->flaps_said++ < CHANGES_FLAPS_SAID || hush_is_news(&changes->flaps);
}

static void wait_for_calm(struct speaker *speaker)
{
	struct loop *loop = speaker->changes->loop;

	loop_timer_set(loop, &speaker->calm, loop_now_ms(loop) + CHANGES_FLAPS_MS);
}

// Out is what takes no ordinary requests. Between open and half-open it is out all the time, and
// what somebody ordered is no flapping; nor is the first result of its checks.
static bool is_flap(const struct model_change *change)
{
	switch ((enum model_change_kind)change->kind) {
	case MODEL_HEALTH:
		return !is(change->from, "unknown") && !is(change->to, "unknown");
	case MODEL_EJECTED:
	case MODEL_RETURNED:
		return true;
	case MODEL_BREAKER:
		return (is(change->from, "closed") || is(change->to, "closed")) &&
		       !is(change->reason, breaker_cause_text(BREAKER_FORCED));
	case MODEL_PANIC:
	case MODEL_POOL:
	case MODEL_CHECK_TYPE:
		break;
	}
	return false;
}

struct changes_flaps changes_flaps(const struct changes *changes, const struct backend *backend)
{
	const struct speaker *speaker = &changes->backends[backend->cell];
	bool flaps = timer_is_set(&speaker->calm);

	return (struct changes_flaps){.changes = count_flaps(speaker),
		.span_ms = flapping_span_ms(&speaker->flapping, loop_now_ms(changes->loop)),
		.since_ms = flaps ? speaker->flaps_since_ms : 0};
}

// ---- Events -------------------------------------------------------------------------------------

static void copy(char *to, size_t size, struct str text)
{
	size_t len = MIN(text.len, size - 1);

	if (len)
		memcpy(to, text.ptr, len);
	to[len] = '\0';
}

#define COPY(field, text) copy((field), sizeof(field), (text))

static struct event_copy *next_event(struct changes *changes, enum event_kind kind)
{
	struct event_copy *event = &changes->events[changes->newest++ % CHANGES_KEPT];

	*event = (struct event_copy){.number = changes->newest,
		.wall_ms = loop_wall_ms(changes->loop),
		.kind = (u8)kind};
	return event;
}

static enum event_kind kind_of(enum model_change_kind kind)
{
	static const u8 kinds[] = {
		[MODEL_HEALTH] = EVENT_HEALTH,
		[MODEL_EJECTED] = EVENT_EJECTION,
		[MODEL_RETURNED] = EVENT_EJECTION,
		[MODEL_BREAKER] = EVENT_BREAKER,
		[MODEL_PANIC] = EVENT_PANIC,
		[MODEL_POOL] = EVENT_POOL,
		[MODEL_CHECK_TYPE] = EVENT_CHECK_TYPE,
	};

	return (enum event_kind)kinds[kind];
}

static struct event_copy *add_change(
	struct changes *changes, const struct model_change *change, const char *text)
{
	struct event_copy *event =
		next_event(changes, kind_of((enum model_change_kind)change->kind));
	char room[REASON_BYTES];

	event->text = text;
	event->streak = change->streak;
	event->next_ms = change->next_ms;
	if (change->kind != MODEL_CHECK_TYPE) {
		event->eligible = change->eligible;
		event->of = change->pool->backend_count;
	}
	COPY(event->pool, change->pool->name);
	if (change->backend)
		COPY(event->backend, change->backend->id);
	COPY(event->from, str_from(change->from));
	COPY(event->to, str_from(change->to));
	COPY(event->reason, str_from(reason_of_change(change, room)));
	return event;
}

static void add_flapping(
	struct speaker *speaker, const char *text, const char *to, const char *reason)
{
	struct event_copy *event = next_event(speaker->changes, EVENT_FLAPPING);

	event->text = text;
	COPY(event->pool, speaker->pool->name);
	COPY(event->backend, speaker->backend->id);
	COPY(event->to, str_from(to));
	COPY(event->reason, str_from(reason));
}

static void tell_that_it_flaps(struct speaker *speaker)
{
	char reason[EVENT_REASON_MAX + 1];

	describe_flaps(speaker, "; single changes are not told until it is calm", reason);
	LOG(speaker->changes->log, LOG_WARN, "backend is flapping",
		LOG_STR("pool", speaker->pool->name), LOG_STR("backend", speaker->backend->id),
		LOG_STR("address", speaker->backend->address),
		LOG_U64("changes", count_flaps(speaker)), LOG_CSTR("to", speaker->state),
		LOG_CSTR("reason", reason),
		LOG_CSTR("cure", "see why it goes and comes (weir events); if it is well, higher "
				 "thresholds or longer intervals"));
	add_flapping(speaker, "backend is flapping", "flapping", reason);
}

static void on_calm_timer(struct timer *timer)
{
	struct speaker *speaker = container_of(timer, struct speaker, calm);
	char reason[EVENT_REASON_MAX + 1];

	if (flapping_is(count_flaps(speaker))) {
		wait_for_calm(speaker);
		return;
	}
	if (!may_say_flap(speaker->changes))
		return;
	LOG(speaker->changes->log, LOG_NOTICE, "backend flaps no more",
		LOG_STR("pool", speaker->pool->name), LOG_STR("backend", speaker->backend->id),
		LOG_STR("address", speaker->backend->address), LOG_CSTR("to", speaker->state));
	describe_flaps(speaker, "", reason);
	add_flapping(speaker, "backend flaps no more", "calm", reason);
}

static bool flaps(const struct speaker *speaker)
{
	return timer_is_set(&speaker->calm);
}

static void note_flap(struct speaker *speaker, const struct model_change *change)
{
	struct changes *changes = speaker->changes;

	if (!is_flap(change))
		return;
	flapping_note(&speaker->flapping, loop_now_ms(changes->loop));
	if (flaps(speaker) || !flapping_is(count_flaps(speaker)))
		return;
	wait_for_calm(speaker);
	speaker->flaps_since_ms = loop_now_ms(changes->loop);
	if (may_say_flap(changes))
		tell_that_it_flaps(speaker);
}

static void add_undo(struct event_copy *event, const struct event_said *said)
{
	if (said->undo_method.len >= sizeof(event->undo_method) ||
		said->undo_path.len > EVENT_PATH_MAX || said->undo_body.len > EVENT_BODY_MAX)
		return;
	COPY(event->undo_method, said->undo_method);
	COPY(event->undo_path, said->undo_path);
	COPY(event->undo_body, said->undo_body);
	event->undo = said->undo;
}

// A line for everything that somebody did, however often; what somebody does is no flood.
static void write_steering(struct changes *changes, const struct event_said *said)
{
	const struct log_field all[] = {LOG_STR("pool", said->pool),
		LOG_STR("backend", said->backend), LOG_STR("from", said->from),
		LOG_STR("to", said->to), LOG_STR("reason", said->reason), LOG_STR("by", said->by)};
	const size_t lengths[] = {said->pool.len, said->backend.len, said->from.len, said->to.len,
		said->reason.len, said->by.len};
	struct log_field fields[ARRAY_LEN(all)];
	size_t count = 0;

	if (!log_is_on(changes->log, LOG_NOTICE))
		return;
	for (u32 i = 0; i < ARRAY_LEN(all); i++)
		if (lengths[i])
			fields[count++] = all[i];
	log_write(changes->log, LOG_NOTICE, __FILE__, said->text, fields, count);
}

// ---- Calls --------------------------------------------------------------------------------------

u64 changes_say(struct changes *changes, const struct event_said *said)
{
	struct event_copy *event = next_event(changes, (enum event_kind)said->kind);

	ASSERT(said->kind >= EVENT_PROVIDER);
	event->text = said->text;
	event->count = said->count;
	COPY(event->pool, said->pool);
	COPY(event->backend, said->backend);
	COPY(event->from, said->from);
	COPY(event->to, said->to);
	COPY(event->reason, said->reason);
	COPY(event->by, said->by);
	add_undo(event, said);
	if (said->kind == EVENT_STEERING)
		write_steering(changes, said);
	return event->number;
}

static void tell_one(struct changes *changes, const struct model_change *change)
{
	struct line line = line_of(change);

	(void)add_change(changes, change, line.message);
	if (log_is_on(changes->log, line.level) && may_say(changes, change))
		write_line(changes, change, line);
}

static void tell_many(
	struct throng *throng, const struct model_change *last, u32 count, bool is_same)
{
	struct changes *changes = container_of(throng, struct company, throng)->changes;
	char room[REASON_BYTES];
	const char *reason = is_same ? reason_of_change(last, room) : "for several reasons";
	struct line line = line_of(last);
	struct model_change change = *last;
	struct event_copy *event;

	if (count == 1) {
		tell_one(changes, last);
		return;
	}
	count = MIN(count, last->pool->backend_count); // one may have changed twice
	change.backend = NULL;
	change.reason = reason;
	change.status = 0;
	change.streak = 0;
	change.next_ms = 0;
	event = add_change(changes, &change, line.many);
	event->count = count;
	write_line_of_many(changes, last, line, count, reason);
}

void changes_note(void *owner, const struct model_change *change)
{
	struct changes *changes = owner;
	struct speaker *speaker = speaker_of(changes, change);
	struct throng *throng = &changes->companies[change->pool->index].throng;

	speaker->state = change->to;
	if (!speaker->pool || !change->backend) {
		tell_one(changes, change);
		return;
	}
	if (!flaps(speaker) && !throng_holds(throng, change))
		tell_one(changes, change);
	note_flap(speaker, change);
}

u64 changes_newest(const struct changes *changes)
{
	return changes->newest;
}

u32 changes_copy(const struct changes *changes, u64 after, struct event_copy *ret_events, u32 max)
{
	u64 gone = changes->newest > CHANGES_KEPT ? changes->newest - CHANGES_KEPT : 0;
	u64 number = MAX(after, gone);
	u32 count = 0;

	for (; number < changes->newest && count < max; number++)
		ret_events[count++] = changes->events[number % CHANGES_KEPT];
	return count;
}

// What is known of what was said before stays with who was in the last configuration too.
static void set_speaker(struct changes *changes, struct speaker *speaker, const struct pool *pool,
	const struct backend *backend)
{
	if (!speaker->pool) {
		hush_init(&speaker->hush, changes->loop, say_rest);
		timer_init(&speaker->calm, on_calm_timer);
		flapping_init(&speaker->flapping, loop_now_ms(changes->loop));
		speaker->changes = changes;
		speaker->state = "";
		speaker->said = 0;
	}
	speaker->pool = pool;
	speaker->backend = backend;
}

static void end_speaker(struct changes *changes, struct speaker *speaker)
{
	if (speaker->pool) {
		loop_timer_cancel(changes->loop, &speaker->calm);
		hush_done(&speaker->hush);
	}
	speaker->pool = NULL;
}

// Tells what is held: it names the objects of the configuration that is about to go.
static void end_company(struct company *company)
{
	if (company->changes)
		throng_done(&company->throng);
	company->changes = NULL;
}

static void set_speakers(struct changes *changes, const struct pool *pool)
{
	struct company *company = &changes->companies[pool->index];
	u32 known = 0;

	set_speaker(changes, &changes->pools[pool->index], pool, NULL);
	for (u32 i = 0; i < pool->backend_count; i++) {
		struct speaker *speaker = &changes->backends[pool->backends[i].cell];

		known += speaker->pool != NULL;
		set_speaker(changes, speaker, pool, &pool->backends[i]);
	}
	company->changes = changes;
	throng_init(&company->throng, changes->loop, pool->backend_count, known, tell_many);
}

static bool is_replaced(
	const struct snapshot *before, const struct snapshot *snapshot, u32 pool_slot)
{
	return pool_slot >= before->pool_count ||
	       before->pools[pool_slot] != snapshot->pools[pool_slot];
}

void changes_adopt(struct changes *changes, const struct snapshot *snapshot)
{
	const struct snapshot *before = changes->snapshot;

	for (u32 i = 0; i < before->pool_count; i++)
		if (is_replaced(before, snapshot, i))
			end_company(&changes->companies[i]);
	for (u32 i = 0; i < before->backend_count; i++)
		if (before->backends[i] && !snapshot->backends[i])
			end_speaker(changes, &changes->backends[i]);
	for (u32 i = 0; i < before->pool_count; i++)
		if (before->pools[i] && !snapshot->pools[i])
			end_speaker(changes, &changes->pools[i]);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] && is_replaced(before, snapshot, i))
			set_speakers(changes, snapshot->pools[i]);
	changes->snapshot = snapshot;
}

struct changes *changes_new(struct loop *loop, struct log *log, const struct snapshot *snapshot)
{
	struct changes *changes = mem_alloc(sizeof(*changes));

	changes->loop = loop;
	changes->log = log;
	changes->snapshot = snapshot;
	hush_init(&changes->flaps, loop, say_more_flaps);
	changes->backends =
		mem_alloc(sizeof(struct speaker) * MAX(snapshot->slots->backends.max, 1));
	changes->pools = mem_alloc(sizeof(struct speaker) * MAX(snapshot->slots->pools.max, 1));
	changes->companies = mem_alloc(sizeof(struct company) * MAX(snapshot->slots->pools.max, 1));
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			set_speakers(changes, snapshot->pools[i]);
	return changes;
}

void changes_free(struct changes *changes)
{
	if (!changes)
		return;
	for (u32 i = 0; i < changes->snapshot->pool_count; i++)
		end_company(&changes->companies[i]);
	for (u32 i = 0; i < changes->snapshot->backend_count; i++)
		end_speaker(changes, &changes->backends[i]);
	for (u32 i = 0; i < changes->snapshot->pool_count; i++)
		end_speaker(changes, &changes->pools[i]);
	hush_done(&changes->flaps);
	mem_free(changes->companies);
	mem_free(changes->backends);
	mem_free(changes->pools);
	mem_free(changes);
}
