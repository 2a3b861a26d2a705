// SPDX-License-Identifier: Apache-2.0
#include "admin/verdict.h"

#include <stdarg.h>
#include <stdio.h>

enum verdict_level { VERDICT_OK, VERDICT_WARN, VERDICT_BAD };

enum {
	errors_bad_percent = 5,
	pools_max = 3,
	providers_max = 3,
	parts_max = 20,
	part_bytes = 240,
	reason_bytes = DESK_CAUSE_BYTES // of a provider; a backend's are shorter
};

_Static_assert(
	(int)reason_bytes >= (int)REASON_BYTES && (int)reason_bytes >= (int)ODDITY_TEXT_BYTES,
	"every reason fits");

struct part {
	u8 level;				     // enum verdict_level
	i64 wall_ms;				     // since when; 0: it is of now
	char text[part_bytes], reason[reason_bytes]; // reason: "" where there is none to tell
};

struct verdict {
	u8 level; // the worst of its parts
	u32 count;
	struct part parts[parts_max];
};

static const char *level_word(u8 level)
{
	static const char *const words[] = {
		[VERDICT_OK] = "ok", [VERDICT_WARN] = "warn", [VERDICT_BAD] = "bad"};

	return words[level];
}

static void say(struct verdict *verdict, enum verdict_level level, i64 wall_ms, const char *format,
	...) printf_like(4, 5);

static void say(
	struct verdict *verdict, enum verdict_level level, i64 wall_ms, const char *format, ...)
{
	struct part *part = &verdict->parts[verdict->count];
	va_list args;

	if (verdict->count == parts_max)
		return;
	verdict->count++;
	if (level > (enum verdict_level)verdict->level)
		verdict->level = (u8)level;
	part->level = (u8)level;
	part->wall_ms = wall_ms;
	part->reason[0] = '\0';
	va_start(args, format);
	vsnprintf(part->text, sizeof(part->text), format, args);
	va_end(args);
}

// Of the part that was said last.
static void say_why(struct verdict *verdict, const char *reason)
{
	struct part *part = &verdict->parts[verdict->count - 1];

	snprintf(part->reason, sizeof(part->reason), "%s", reason);
}

static void format_rate(double per_s, char text[16])
{
	if (per_s >= 1e6)
		snprintf(text, 16, "%.1fM", per_s / 1e6);
	else if (per_s >= 1e4)
		snprintf(text, 16, "%.1fk", per_s / 1e3);
	else
		snprintf(text, 16, "%.0f", per_s);
}

// ---- Pools --------------------------------------------------------------------------------------

struct outage {
	u32 out, ordered;
	const struct backend *first; // out for the longest time
	u64 since_ms;
};

static struct outage outage_of(const struct admin *admin, const struct pool *pool)
{
	struct outage outage = {.since_ms = UINT64_MAX};

	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct desk_backend *one =
			&admin->state->ask.backends[pool->backends[i].cell];

		outage.ordered +=
			one->state.why == ELIGIBLE_DRAINING || one->state.why == ELIGIBLE_HELD_OPEN;
		// Of one that comes and goes that is told, whether or not it is out just now.
		if (!eligible_is_trouble((enum eligible_why)one->state.why) ||
			admin->state->findings[pool->backends[i].cell].is[ODDITY_FLAPPING])
			continue;
		outage.out++;
		if (one->state.why_since_ms < outage.since_ms) {
			outage.since_ms = one->state.why_since_ms;
			outage.first = &pool->backends[i];
		}
	}
	return outage;
}

static void say_who_is_out(
	struct verdict *verdict, const struct admin *admin, const struct pool *pool)
{
	const struct admin_state *state = admin->state;
	struct outage outage = outage_of(admin, pool);
	char room[REASON_BYTES];
	const char *reason = "";
	i64 since = 0;

	if (outage.first) {
		since = state_wall_ms(state, outage.since_ms);
		reason = api_reason_text(
			outage.first, &state->ask.backends[outage.first->cell], room);
	}
	if (state->ask.pools[pool->index].state.judged.eligible == 0)
		say(verdict, VERDICT_BAD, since, "pool %.*s has no backend left",
			STR_FMT(pool->name));
	else if (outage.first && outage.out == 1)
		say(verdict, VERDICT_WARN, since, "%.*s of pool %.*s is out",
			STR_FMT(outage.first->id), STR_FMT(pool->name));
	else if (outage.out)
		say(verdict, VERDICT_WARN, since,
			"%u of %u backends of pool %.*s are out, the first", outage.out,
			pool->backend_count, STR_FMT(pool->name));
	if (outage.out)
		say_why(verdict, reason);
	if (outage.ordered)
		say(verdict, VERDICT_OK, 0, "%u of pool %.*s %s out by order", outage.ordered,
			STR_FMT(pool->name), outage.ordered == 1 ? "is" : "are");
}

// One is described; several are counted, and that for the longest time is named.
static void say_who_is(struct verdict *verdict, const struct admin *admin, const struct pool *pool,
	enum oddity oddity)
{
	static const char *const one[] = {[ODDITY_FLAPPING] = "is flapping",
		[ODDITY_FAILS] = "fails",
		[ODDITY_SLOW] = "is slow"};
	static const char *const many[] = {[ODDITY_FLAPPING] = "are flapping",
		[ODDITY_FAILS] = "fail",
		[ODDITY_SLOW] = "are slow"};
	const struct admin_state *state = admin->state;
	const struct backend *first = NULL;
	char text[ODDITY_TEXT_BYTES];
	u64 since_ms = UINT64_MAX;
	i64 since;
	u32 count = 0;

	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct backend *backend = &pool->backends[i];
		u64 its_ms = state->ask.backends[backend->cell].odd_since_ms[oddity];

		if (!state->findings[backend->cell].is[oddity])
			continue;
		count++;
		if (first && (!its_ms || its_ms >= since_ms))
			continue;
		first = backend;
		since_ms = its_ms ? its_ms : UINT64_MAX; // not noted yet
	}
	if (!count)
		return;
	since = since_ms == UINT64_MAX ? 0 : state_wall_ms(state, since_ms);
	if (count == 1)
		say(verdict, VERDICT_WARN, since, "%.*s of pool %.*s %s", STR_FMT(first->id),
			STR_FMT(pool->name), one[oddity]);
	else
		say(verdict, VERDICT_WARN, since, "%u of %u backends of pool %.*s %s, %.*s", count,
			pool->backend_count, STR_FMT(pool->name), many[oddity], STR_FMT(first->id));
	oddity_describe(oddity, &state->facts[first->cell], &state->findings[first->cell], text);
	say_why(verdict, text);
}

// ---- The whole ----------------------------------------------------------------------------------

static void say_errors(struct verdict *verdict, const struct figures_rate *whole)
{
	double percent =
		whole->requests_per_s > 0 ? 100 * whole->errors_per_s / whole->requests_per_s : 0;

	if (percent >= errors_bad_percent)
		say(verdict, VERDICT_BAD, 0, "%.0f %% of requests fail", percent);
	else if (whole->errors_per_s > 0)
		say(verdict, VERDICT_WARN, 0, "%.2g %% of requests fail", percent);
}

static const char *rows_word(u32 rows)
{
	return rows == 1 ? "row" : "rows";
}

// In trouble, held back, or with rows that are none: the heaviest of them.
static void say_provider(struct verdict *verdict, const struct desk_provider *one)
{
	if (!one->is_up && one->cause[0]) {
		say(verdict, VERDICT_WARN, one->since_wall_ms,
			"provider %s cannot be read, its last list of %u %s serves", one->name,
			one->rows, rows_word(one->rows));
		say_why(verdict, one->cause);
	} else if (one->is_held) {
		say(verdict, VERDICT_WARN, 0,
			"the list of provider %s is not believed, what vanished from it stays",
			one->name);
	} else if (one->left_out) {
		say(verdict, VERDICT_OK, 0, "%u %s of provider %s left out", one->left_out,
			rows_word(one->left_out), one->name);
		say_why(verdict, one->faults[0]);
	}
}

static void say_providers(struct verdict *verdict, const struct admin *admin)
{
	const struct desk_ask *state = &admin->state->ask;
	u32 before = verdict->count;

	for (u32 i = 0; i < state->provider_count && verdict->count < before + providers_max; i++)
		say_provider(verdict, &state->providers[i]);
}

static struct verdict make(const struct admin *admin)
{
	const struct snapshot *snapshot = admin->face.snapshot;
	const struct figures_rate *whole = figures_whole(admin->figures);
	struct verdict verdict = {0};
	u32 told = 0;
	char rate[16];

	format_rate(whole->requests_per_s, rate);
	if (*admin->face.draining)
		say(&verdict, VERDICT_WARN, 0, "Ending: takes nothing new, %s requests/s go on",
			rate);
	else
		say(&verdict, VERDICT_OK, 0, "Serving %s requests/s", rate);
	say_errors(&verdict, whole);
	for (u32 i = 0; i < snapshot->pool_count && told < pools_max; i++) {
		u32 before = verdict.count;

		if (!snapshot->pools[i])
			continue;
		say_who_is_out(&verdict, admin, snapshot->pools[i]);
		for (u32 oddity = 0; oddity < ODDITY_COUNT; oddity++)
			say_who_is(&verdict, admin, snapshot->pools[i], (enum oddity)oddity);
		told += verdict.count > before;
	}
	say_providers(&verdict, admin);
	if (verdict.level == VERDICT_OK && told == 0 && !*admin->face.draining)
		say(&verdict, VERDICT_OK, 0, "all backends are well");
	return verdict;
}

// ---- Writing ------------------------------------------------------------------------------------

static void key_since(struct json *json, i64 wall_ms)
{
	if (wall_ms)
		json_key_i64(json, "since_at_ms", wall_ms);
	else
		json_key_none(json, "since_at_ms");
}

static void write_parts(struct json *json, const struct verdict *verdict)
{
	json_key(json, "parts");
	json_array_begin(json);
	for (u32 i = 0; i < verdict->count; i++) {
		const struct part *part = &verdict->parts[i];

		json_object_begin(json);
		json_key_cstr(json, "level", level_word(part->level));
		json_key_cstr(json, "text", part->text);
		json_key_cstr(json, "reason", part->reason[0] ? part->reason : NULL);
		key_since(json, part->wall_ms);
		json_object_end(json);
	}
	json_array_end(json);
}

// Since when it is as bad as it is.
static i64 since(const struct verdict *verdict)
{
	i64 first = 0;

	for (u32 i = 0; i < verdict->count; i++) {
		const struct part *part = &verdict->parts[i];

		if (part->level == verdict->level && part->wall_ms &&
			(!first || part->wall_ms < first))
			first = part->wall_ms;
	}
	return first;
}

void verdict_write(struct json *json, const struct admin *admin)
{
	struct verdict verdict = make(admin);
	struct text text = {0};

	for (u32 i = 0; i < verdict.count; i++)
		text_printf(&text, "%s%s%s%s", i ? "; " : "", verdict.parts[i].text,
			verdict.parts[i].reason[0] ? ": " : "", verdict.parts[i].reason);
	json_object_begin(json);
	json_key_cstr(json, "level", level_word(verdict.level));
	json_key_str(json, "text", str_make(text.data, text.len));
	key_since(json, since(&verdict));
	write_parts(json, &verdict);
	json_object_end(json);
	text_done(&text);
}
