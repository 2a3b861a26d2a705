// SPDX-License-Identifier: Apache-2.0
#include "admin/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum {
	errors_bad_percent = 5,
	slow_requests_min = 20, // for a backend to be called slow
	slow_factor = 4,	// of the median of its pool's other backends
	slow_us_min = 20 * 1000,
	names_max = 3,
};

const char *verdict_word(enum verdict_level level)
{
	static const char *const words[] = {
		[VERDICT_OK] = "ok", [VERDICT_WARN] = "warn", [VERDICT_BAD] = "bad"};

	return words[level];
}

static void say(struct verdict *verdict, enum verdict_level level, const char *format, ...)
	printf_like(3, 4);

static void say(struct verdict *verdict, enum verdict_level level, const char *format, ...)
{
	size_t len = strlen(verdict->text);
	va_list args;

	if (level > (enum verdict_level)verdict->level)
		verdict->level = (u8)level;
	if (len && len + 2 < sizeof(verdict->text)) {
		memcpy(verdict->text + len, "; ", 3);
		len += 2;
	}
	va_start(args, format);
	vsnprintf(verdict->text + len, sizeof(verdict->text) - len, format, args);
	va_end(args);
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

static void format_time(i64 wall_ms, char text[16])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm broken;

	gmtime_r(&seconds, &broken);
	strftime(text, 16, "%H:%M:%S", &broken);
}

// ---- Pools --------------------------------------------------------------------------------------

static bool is_out(const struct desk_backend *one)
{
	switch ((enum eligible_why)one->state.why) {
	case ELIGIBLE_OK:
	case ELIGIBLE_BACKUP:
	case ELIGIBLE_DISABLED:
	case ELIGIBLE_HELD_OPEN:
	case ELIGIBLE_DRAINING: // as somebody wanted it
		return false;
	default:
		return true;
	}
}

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
		if (!is_out(one))
			continue;
		outage.out++;
		if (one->state.why_since_ms < outage.since_ms) {
			outage.since_ms = one->state.why_since_ms;
			outage.first = &pool->backends[i];
		}
	}
	return outage;
}

static void say_of_pool(struct verdict *verdict, const struct admin *admin, const struct pool *pool)
{
	const struct admin_state *state = admin->state;
	struct outage outage = outage_of(admin, pool);
	char since[16] = "", room[API_REASON_BYTES];

	if (outage.first)
		format_time(state_wall_ms(state, outage.since_ms), since);
	if (state->ask.pools[pool->index].state.judged.eligible == 0)
		say(verdict, VERDICT_BAD, "pool %.*s has no backend left%s%s%s%s",
			STR_FMT(pool->name), since[0] ? " since " : "", since,
			outage.first ? ": " : "",
			outage.first
				? api_reason_text(&state->ask.backends[outage.first->cell], room)
				: "");
	else if (outage.out == 1)
		say(verdict, VERDICT_WARN, "%.*s of pool %.*s is out since %s: %s",
			STR_FMT(outage.first->id), STR_FMT(pool->name), since,
			api_reason_text(&state->ask.backends[outage.first->cell], room));
	else if (outage.out)
		say(verdict, VERDICT_WARN,
			"%u of %u backends of pool %.*s are out, the first since %s: %s",
			outage.out, pool->backend_count, STR_FMT(pool->name), since,
			api_reason_text(&state->ask.backends[outage.first->cell], room));
	if (outage.ordered)
		say(verdict, VERDICT_OK, "%u of pool %.*s %s out by order", outage.ordered,
			STR_FMT(pool->name), outage.ordered == 1 ? "is" : "are");
}

// What the quickest of the others but one takes, which is robust enough for three and for three
// hundred; 0 where none of them has enough requests.
static u32 peers_p50_us(
	const struct admin *admin, const struct pool *pool, const struct backend *but)
{
	u32 least = UINT32_MAX, second = UINT32_MAX, count = 0;

	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct figures_rate *rate =
			figures_of_backend(admin->figures, &pool->backends[i]);

		if (&pool->backends[i] == but || rate->requests < slow_requests_min)
			continue;
		count++;
		if (rate->p50_us < least) {
			second = least;
			least = rate->p50_us;
		} else if (rate->p50_us < second) {
			second = rate->p50_us;
		}
	}
	return count == 0 ? 0 : count == 1 ? least : second;
}

static void say_of_slow(struct verdict *verdict, const struct admin *admin, const struct pool *pool)
{
	const struct backend *slowest = NULL;
	u32 slowest_us = slow_us_min, peers;

	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct figures_rate *rate =
			figures_of_backend(admin->figures, &pool->backends[i]);

		if (rate->requests >= slow_requests_min && rate->p50_us > slowest_us) {
			slowest = &pool->backends[i];
			slowest_us = rate->p50_us;
		}
	}
	if (!slowest)
		return;
	peers = peers_p50_us(admin, pool, slowest);
	if (peers && slowest_us / slow_factor > peers)
		say(verdict, VERDICT_WARN,
			"%.*s of pool %.*s answers %u times slower than its peers",
			STR_FMT(slowest->id), STR_FMT(pool->name), slowest_us / peers);
}

// ---- The whole ----------------------------------------------------------------------------------

static void say_errors(struct verdict *verdict, const struct figures_rate *whole)
{
	double percent =
		whole->requests_per_s > 0 ? 100 * whole->errors_per_s / whole->requests_per_s : 0;

	if (percent >= errors_bad_percent)
		say(verdict, VERDICT_BAD, "%.0f %% of requests fail", percent);
	else if (whole->errors_per_s > 0)
		say(verdict, VERDICT_WARN, "%.2g %% of requests fail", percent);
}

struct verdict verdict_make(const struct admin *admin)
{
	const struct snapshot *snapshot = admin->face.snapshot;
	const struct figures_rate *whole = figures_whole(admin->figures);
	struct verdict verdict = {0};
	u32 told = 0;
	char rate[16];

	format_rate(whole->requests_per_s, rate);
	if (*admin->face.draining)
		say(&verdict, VERDICT_WARN, "Ending: takes nothing new, %s requests/s go on", rate);
	else
		say(&verdict, VERDICT_OK, "Serving %s requests/s", rate);
	say_errors(&verdict, whole);
	for (u32 i = 0; i < snapshot->pool_count && told < names_max; i++) {
		size_t before = strlen(verdict.text);

		say_of_pool(&verdict, admin, &snapshot->pools[i]);
		say_of_slow(&verdict, admin, &snapshot->pools[i]);
		told += strlen(verdict.text) > before;
	}
	if (verdict.level == VERDICT_OK && told == 0 && !*admin->face.draining)
		say(&verdict, VERDICT_OK, "all backends are well");
	return verdict;
}
