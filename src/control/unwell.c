// SPDX-License-Identifier: Apache-2.0
#include "control/unwell.h"

#include "base/mem.h"
#include "base/text.h"
#include "control/reason.h"

enum { second_ms = 1000 };

// One backend. Of ODDITY_FLAPPING changes.c knows the course.
struct patient {
	struct oddity_course courses[ODDITY_COUNT];
	char texts[ODDITY_COUNT][ODDITY_TEXT_BYTES]; // the figures of the last look that found it
};

struct unwell {
	struct loop *loop;
	struct log *log;
	const struct snapshot *snapshot;
	const struct model *model;
	struct changes *changes;
	struct patient *patients; // by slot
	struct timer timer;
	u32 told, untold; // of this look
};

// What is told of each oddity that has a course here.
struct words {
	const char *begins, *ends, *comes_and_goes;
};

static const struct words all_words[ODDITY_COUNT] = {
	[ODDITY_FAILS] = {"backend fails", "backend fails no more", "backend fails on and off"},
	[ODDITY_SLOW] = {"backend is slow beside its peers", "backend is slow no more",
		"backend is slow on and off"},
};

// ---- Telling changes ----------------------------------------------------------------------------

static void say_line(const struct unwell *unwell, const struct backend *backend, bool is_over,
	const char *message, const char *reason)
{
	struct log_field fields[] = {LOG_STR("pool", backend->pool->name),
		LOG_STR("backend", backend->id), LOG_STR("address", backend->address),
		LOG_CSTR("reason", reason), LOG_CSTR("see", "weir why; its own log")};
	enum log_level level = is_over ? LOG_NOTICE : LOG_WARN;

	if (log_is_on(unwell->log, level))
		log_write(unwell->log, level, __FILE__, message, fields, is_over ? 3 : 5);
}

static void say_event(const struct unwell *unwell, const struct backend *backend,
	enum oddity oddity, bool is_over, const char *message, const char *reason)
{
	struct event_said said = {.kind = EVENT_ODDITY,
		.text = message,
		.pool = backend->pool->name,
		.backend = backend->id,
		.from = str_from(is_over ? oddity_word(oddity) : ""),
		.to = str_from(is_over ? "well" : oddity_word(oddity)),
		.reason = str_from(reason)};

	(void)changes_say(unwell->changes, &said);
}

static void tell(struct unwell *unwell, const struct backend *backend, enum oddity oddity,
	enum oddity_news news)
{
	static const char quiet[] = "single changes are not told until that is over";
	const struct words *words = &all_words[oddity];
	bool is_over = news == ODDITY_ENDS, unsteady = news == ODDITY_COMES_AND_GOES;
	const char *message = is_over	 ? words->ends
			      : unsteady ? words->comes_and_goes
					 : words->begins;
	const char *reason = is_over	? ""
			     : unsteady ? quiet
					: unwell->patients[backend->cell].texts[oddity];

	if (unwell->told == UNWELL_TOLD_MAX) {
		unwell->untold++;
		return;
	}
	unwell->told++;
	say_line(unwell, backend, is_over, message, reason);
	say_event(unwell, backend, oddity, is_over, message, reason);
}

static void look_for(struct unwell *unwell, const struct backend *backend, enum oddity oddity,
	const struct oddity_facts *facts, const struct oddity_finding *finding)
{
	struct patient *patient = &unwell->patients[backend->cell];
	struct oddity_course *course = &patient->courses[oddity];
	u64 now_ms = loop_now_ms(unwell->loop);
	enum oddity_news news;

	if (!facts->takes) {
		oddity_course_break(course, now_ms);
		return;
	}
	if (!oddity_is_known(facts, oddity))
		return;
	if (finding->is[oddity])
		oddity_describe(oddity, facts, finding, patient->texts[oddity]);
	news = oddity_course_look(course, finding->is[oddity], now_ms);
	if (news != ODDITY_NOTHING_NEW)
		tell(unwell, backend, oddity, news);
}

void unwell_look(struct unwell *unwell, const struct oddity_facts *facts,
	const struct oddity_finding *findings)
{
	static const char many[] = "more backends began or ceased to be slow or to fail";
	const struct snapshot *snapshot = unwell->snapshot;
	struct event_said said = {.kind = EVENT_ODDITY, .text = many};

	unwell->told = unwell->untold = 0;
	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct backend *backend = snapshot->backends[i];

		if (!backend)
			continue;
		look_for(unwell, backend, ODDITY_FAILS, &facts[i], &findings[i]);
		look_for(unwell, backend, ODDITY_SLOW, &facts[i], &findings[i]);
	}
	if (!unwell->untold)
		return;
	LOG(unwell->log, LOG_WARN, many, LOG_U64("times", unwell->untold),
		LOG_CSTR("see", "weir top"));
	said.count = unwell->untold;
	(void)changes_say(unwell->changes, &said);
}

u64 unwell_since_ms(const struct unwell *unwell, const struct backend *backend, enum oddity oddity)
{
	if (oddity == ODDITY_FLAPPING)
		return changes_flaps(unwell->changes, backend).since_ms;
	return oddity_course_since_ms(&unwell->patients[backend->cell].courses[oddity]);
}

// ---- Who is not well ----------------------------------------------------------------------------

// In the order in which they are named.
enum illness { ILL_OUT, ILL_FLAPS, ILL_FAILS, ILL_SLOW, ILL_COUNT };

struct round {
	struct text who;
	u32 counts[ILL_COUNT], all, named;
};

static bool is_told(const struct unwell *unwell, const struct backend *backend, enum oddity oddity)
{
	const struct oddity_course *course = &unwell->patients[backend->cell].courses[oddity];

	return course->is_told || course->is_unsteady;
}

// Of several the first.
static enum illness illness_of(const struct unwell *unwell, const struct backend *backend)
{
	if (changes_flaps(unwell->changes, backend).since_ms)
		return ILL_FLAPS;
	if (eligible_is_trouble((enum eligible_why)model_state(unwell->model, backend)->why))
		return ILL_OUT;
	if (is_told(unwell, backend, ODDITY_FAILS))
		return ILL_FAILS;
	return is_told(unwell, backend, ODDITY_SLOW) ? ILL_SLOW : ILL_COUNT;
}

static void add_date(const struct unwell *unwell, struct text *text, u64 moment_ms)
{
	struct log_clock clock = {0};

	log_clock_set(
		&clock, loop_wall_ms(unwell->loop) - (i64)(loop_now_ms(unwell->loop) - moment_ms));
	text_printf(text, " since %.*sZ", (int)sizeof(clock.iso), clock.iso);
}

// Who comes and goes may be well just now, and has no figures then.
static void name_oddity(struct unwell *unwell, struct round *round, const struct backend *backend,
	enum oddity oddity)
{
	const struct patient *patient = &unwell->patients[backend->cell];
	const struct oddity_course *course = &patient->courses[oddity];

	text_printf(&round->who, " %s%s", oddity_word(oddity),
		course->is_unsteady ? " on and off" : "");
	add_date(unwell, &round->who, course->since_ms);
	if (course->is)
		text_printf(&round->who, ": %s", patient->texts[oddity]);
}

static void name_one(struct unwell *unwell, struct round *round, const struct backend *backend,
	enum illness illness)
{
	const struct model_state *state = model_state(unwell->model, backend);
	struct changes_flaps flaps = changes_flaps(unwell->changes, backend);
	char room[REASON_BYTES];

	text_printf(&round->who, "%s%.*s/%.*s", round->named ? "; " : "",
		STR_FMT(backend->pool->name), STR_FMT(backend->id));
	switch (illness) {
	case ILL_OUT:
		text_add(&round->who, STR(" out"));
		add_date(unwell, &round->who, state->why_since_ms);
		text_printf(
			&round->who, ": %s", reason_of_state(backend, state, MODEL_ENABLED, room));
		break;
	case ILL_FLAPS:
		text_printf(&round->who, " %s", oddity_word(ODDITY_FLAPPING));
		add_date(unwell, &round->who, flaps.since_ms);
		flapping_describe(flaps.changes, flaps.span_ms, room);
		text_printf(&round->who, ": %s", room);
		break;
	case ILL_FAILS:
		name_oddity(unwell, round, backend, ODDITY_FAILS);
		break;
	case ILL_SLOW:
	case ILL_COUNT:
		name_oddity(unwell, round, backend, ODDITY_SLOW);
		break;
	}
	round->named++;
}

static void go_round(struct unwell *unwell, struct round *round, enum illness illness)
{
	const struct snapshot *snapshot = unwell->snapshot;

	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct backend *backend = snapshot->backends[i];

		if (!backend || illness_of(unwell, backend) != illness)
			continue;
		round->counts[illness]++;
		round->all++;
		if (round->named < UNWELL_NAMED_MAX)
			name_one(unwell, round, backend, illness);
	}
}

static void on_timer(struct timer *timer)
{
	struct unwell *unwell = container_of(timer, struct unwell, timer);
	struct round round = {0};

	loop_timer_set(unwell->loop, timer, loop_now_ms(unwell->loop) + UNWELL_EVERY_MS);
	for (u32 illness = 0; illness < ILL_COUNT; illness++)
		go_round(unwell, &round, (enum illness)illness);
	if (round.all)
		LOG(unwell->log, LOG_WARN, "backends are not well",
			LOG_U64("out", round.counts[ILL_OUT]),
			LOG_U64("flapping", round.counts[ILL_FLAPS]),
			LOG_U64("fail", round.counts[ILL_FAILS]),
			LOG_U64("slow", round.counts[ILL_SLOW]),
			LOG_STR("who", str_make(round.who.data, round.who.len)),
			LOG_U64("more", round.all - round.named), LOG_CSTR("see", "weir top"));
	text_done(&round.who);
}

// ---- Life ---------------------------------------------------------------------------------------

static void forget(struct unwell *unwell, u32 slot)
{
	u64 now_ms = loop_now_ms(unwell->loop);

	for (u32 i = 0; i < ODDITY_COUNT; i++) {
		oddity_course_init(&unwell->patients[slot].courses[i], now_ms);
		unwell->patients[slot].texts[i][0] = '\0';
	}
}

void unwell_adopt(struct unwell *unwell, const struct snapshot *snapshot)
{
	const struct snapshot *before = unwell->snapshot;

	for (u32 i = 0; i < snapshot->backend_count; i++)
		if (snapshot->backends[i] && (i >= before->backend_count || !before->backends[i]))
			forget(unwell, i);
	unwell->snapshot = snapshot;
}

struct unwell *unwell_new(struct loop *loop, struct log *log, const struct snapshot *snapshot,
	const struct model *model, struct changes *changes)
{
	struct unwell *unwell = mem_alloc(sizeof(*unwell));

	*unwell = (struct unwell){.loop = loop,
		.log = log,
		.snapshot = snapshot,
		.model = model,
		.changes = changes,
		.patients =
			mem_alloc(sizeof(struct patient) * MAX(snapshot->slots->backends.max, 1))};
	for (u32 i = 0; i < snapshot->backend_count; i++)
		forget(unwell, i);
	timer_init(&unwell->timer, on_timer);
	loop_timer_set(loop, &unwell->timer, loop_now_ms(loop) + UNWELL_EVERY_MS);
	return unwell;
}

void unwell_free(struct unwell *unwell)
{
	if (!unwell)
		return;
	loop_timer_cancel(unwell->loop, &unwell->timer);
	mem_free(unwell->patients);
	mem_free(unwell);
}
