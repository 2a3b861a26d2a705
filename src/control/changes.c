// SPDX-License-Identifier: Apache-2.0
#include "control/changes.h"

#include "base/mem.h"

enum { fields_max = 12 };

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
	u64 since_ms;		       // of the first of `said`
	u32 said;
};

struct changes {
	struct loop *loop;
	struct log *log;
	const struct snapshot *snapshot;
	struct speaker *backends, *pools; // by slot; with pool NULL: nobody has it
	u64 newest;
	struct event_copy events[CHANGES_KEPT];
};

// ---- Lines --------------------------------------------------------------------------------------

struct line {
	enum log_level level;
	const char *message;
	const char *next; // what the key of next_ms says
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
			"backend is healthy", next};
	if (is(change->to, "down"))
		return (struct line){LOG_WARN, "backend is down", next};
	return (struct line){LOG_WARN, "backend has lost its address", next};
}

static struct line line_of_breaker(const struct model_change *change)
{
	if (is(change->to, "open"))
		return (struct line){LOG_WARN, "circuit breaker opens", "open_for_ms"};
	if (is(change->to, "closed"))
		return (struct line){LOG_NOTICE, "circuit breaker closes", ""};
	return (struct line){LOG_NOTICE, "circuit breaker lets trial requests through", ""};
}

static struct line line_of(const struct model_change *change)
{
	switch ((enum model_change_kind)change->kind) {
	case MODEL_HEALTH:
		return line_of_health(change);
	case MODEL_EJECTED:
		return (struct line){LOG_WARN, "backend is ejected", "ejected_for_ms"};
	case MODEL_RETURNED:
		return (struct line){LOG_NOTICE, "backend has returned", ""};
	case MODEL_BREAKER:
		return line_of_breaker(change);
	case MODEL_PANIC:
		if (is(change->to, "panic"))
			return (struct line){
				LOG_WARN, "pool panics: its ejections are ignored", ""};
		return (struct line){LOG_NOTICE, "pool panics no more", ""};
	case MODEL_POOL:
		if (is(change->to, "unavailable"))
			return (struct line){LOG_WARN, "pool has lost its last backend", ""};
		return (struct line){LOG_NOTICE, "pool has a backend again", ""};
	case MODEL_CHECK_TYPE:
		break;
	}
	return (struct line){LOG_NOTICE, "the kind of health check is decided", ""};
}

// Fields that mean nothing for this change are left out.
static size_t add_fields(const struct model_change *change, const char *next,
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
	fields[count++] = LOG_CSTR("reason", change->reason);
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

static void write_line(struct changes *changes, const struct model_change *change, struct line line)
{
	struct log_field fields[fields_max];

	log_write(changes->log, line.level, __FILE__, line.message, fields,
		add_fields(change, line.next, fields));
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

static bool may_say(struct changes *changes, const struct model_change *change)
{
	u64 now_ms = loop_now_ms(changes->loop);
	struct speaker *speaker = change->backend ? &changes->backends[change->backend->cell]
						  : &changes->pools[change->pool->index];

	if (!speaker->pool) // the newest configuration has it no more
		return true;
	speaker->state = change->to;
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

static void add_change(struct changes *changes, const struct model_change *change, const char *text)
{
	struct event_copy *event =
		next_event(changes, kind_of((enum model_change_kind)change->kind));

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
	COPY(event->reason, str_from(change->reason));
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

	ASSERT(said->kind == EVENT_STEERING || said->kind == EVENT_LIFE);
	event->text = said->text;
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

void changes_note(void *owner, const struct model_change *change)
{
	struct changes *changes = owner;
	struct line line = line_of(change);

	add_change(changes, change, line.message);
	if (log_is_on(changes->log, line.level) && may_say(changes, change))
		write_line(changes, change, line);
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
		speaker->changes = changes;
		speaker->state = "";
		speaker->said = 0;
	}
	speaker->pool = pool;
	speaker->backend = backend;
}

static void end_speaker(struct speaker *speaker)
{
	if (speaker->pool)
		hush_done(&speaker->hush);
	speaker->pool = NULL;
}

static void set_speakers(struct changes *changes, const struct pool *pool)
{
	set_speaker(changes, &changes->pools[pool->index], pool, NULL);
	for (u32 i = 0; i < pool->backend_count; i++)
		set_speaker(changes, &changes->backends[pool->backends[i].cell], pool,
			&pool->backends[i]);
}

void changes_adopt(struct changes *changes, const struct snapshot *snapshot)
{
	const struct snapshot *before = changes->snapshot;

	for (u32 i = 0; i < before->backend_count; i++)
		if (before->backends[i] && !snapshot->backends[i])
			end_speaker(&changes->backends[i]);
	for (u32 i = 0; i < before->pool_count; i++)
		if (before->pools[i] && !snapshot->pools[i])
			end_speaker(&changes->pools[i]);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] &&
			(i >= before->pool_count || before->pools[i] != snapshot->pools[i]))
			set_speakers(changes, snapshot->pools[i]);
	changes->snapshot = snapshot;
}

struct changes *changes_new(struct loop *loop, struct log *log, const struct snapshot *snapshot)
{
	struct changes *changes = mem_alloc(sizeof(*changes));

	changes->loop = loop;
	changes->log = log;
	changes->snapshot = snapshot;
	changes->backends =
		mem_alloc(sizeof(struct speaker) * MAX(snapshot->slots->backends.max, 1));
	changes->pools = mem_alloc(sizeof(struct speaker) * MAX(snapshot->slots->pools.max, 1));
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			set_speakers(changes, snapshot->pools[i]);
	return changes;
}

void changes_free(struct changes *changes)
{
	if (!changes)
		return;
	for (u32 i = 0; i < changes->snapshot->backend_count; i++)
		end_speaker(&changes->backends[i]);
	for (u32 i = 0; i < changes->snapshot->pool_count; i++)
		end_speaker(&changes->pools[i]);
	mem_free(changes->backends);
	mem_free(changes->pools);
	mem_free(changes);
}
