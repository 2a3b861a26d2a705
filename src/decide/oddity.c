// SPDX-License-Identifier: Apache-2.0
#include "decide/oddity.h"

#include <stdio.h>
#include <stdlib.h>

const char *oddity_word(enum oddity oddity)
{
	static const char *const words[ODDITY_COUNT] = {
#define X(name, word) [ODDITY_##name] = word,
		ODDITIES(X)
#undef X
	};

	ASSERT(oddity < ODDITY_COUNT);
	return words[oddity];
}

static int by_value(const void *a, const void *b)
{
	u32 first = *(const u32 *)a, second = *(const u32 *)b;

	return first < second ? -1 : first > second;
}

static bool is_measured(const struct oddity_facts *facts)
{
	return facts->takes && facts->requests >= ODDITY_REQUESTS_MIN;
}

// The lower median of `sorted` without one element of this value; 0: there is no other.
static u32 median_of_others(const u32 *sorted, u32 count, u32 value)
{
	u32 low = 0, high = count, middle;

	if (count < 2)
		return 0;
	while (low < high) { // the first that is not smaller
		u32 at = low + (high - low) / 2;

		if (sorted[at] < value)
			low = at + 1;
		else
			high = at;
	}
	middle = (count - 2) / 2;
	return sorted[middle < low ? middle : middle + 1];
}

static u32 gather(const struct oddity_facts *facts, u32 count, bool p99, u32 *room)
{
	u32 measured = 0;

	for (u32 i = 0; i < count; i++)
		if (is_measured(&facts[i]))
			room[measured++] = p99 ? facts[i].p99_us : facts[i].p50_us;
	if (measured)
		qsort(room, measured, sizeof(*room), by_value);
	return measured;
}

static bool is_times(u32 own_us, u32 peers_us, u32 more_us)
{
	return peers_us && own_us / ODDITY_TIMES >= peers_us && own_us - peers_us >= more_us;
}

struct oddity_slowness oddity_slowness(
	const struct oddity_facts *facts, const struct oddity_finding *finding)
{
	struct oddity_slowness slowness = {0};

	if (!is_measured(facts))
		return slowness;
	if (is_times(facts->p50_us, finding->peers_p50_us, ODDITY_P50_MORE_US))
		slowness = (struct oddity_slowness){.figure = "p50",
			.own_us = facts->p50_us,
			.peers_us = finding->peers_p50_us};
	else if (facts->requests_per_s >= ODDITY_P99_PER_S_MIN &&
		 is_times(facts->p99_us, finding->peers_p99_us, ODDITY_P99_MORE_US))
		slowness = (struct oddity_slowness){.figure = "p99",
			.own_us = facts->p99_us,
			.peers_us = finding->peers_p99_us};
	else
		return slowness;
	slowness.times = slowness.own_us / slowness.peers_us;
	return slowness;
}

u32 oddity_errors_percent(const struct oddity_facts *facts)
{
	double part = facts->errors_per_s / MAX(facts->requests_per_s, facts->errors_per_s);

	return facts->errors_per_s > 0 ? (u32)(100 * part + 0.5) : 0;
}

static bool fails(const struct oddity_facts *facts)
{
	return facts->errors_per_s > 0 &&
	       facts->errors_per_s * 100 >= facts->requests_per_s * ODDITY_ERRORS_PERCENT;
}

void oddity_judge(
	const struct oddity_facts *facts, u32 count, u32 *room, struct oddity_finding *ret_findings)
{
	for (u32 p99 = 0; p99 < 2; p99++) {
		u32 measured = gather(facts, count, p99, room);

		for (u32 i = 0; i < count; i++) {
			u32 *peers =
				p99 ? &ret_findings[i].peers_p99_us : &ret_findings[i].peers_p50_us;

			*peers = 0;
			if (is_measured(&facts[i]))
				*peers = median_of_others(
					room, measured, p99 ? facts[i].p99_us : facts[i].p50_us);
		}
	}
	for (u32 i = 0; i < count; i++) {
		struct oddity_finding *finding = &ret_findings[i];

		finding->is[ODDITY_FLAPPING] = flapping_is(facts[i].changes);
		finding->is[ODDITY_FAILS] = fails(&facts[i]);
		finding->is[ODDITY_SLOW] = oddity_slowness(&facts[i], finding).times > 0;
	}
}

// ---- Words --------------------------------------------------------------------------------------

enum { ms_text_bytes = 16 };

// Two digits at least: 0.31 ms, 9.0 ms, 412 ms.
static void format_ms(u32 us, char text[static ms_text_bytes])
{
	if (us < 995)
		snprintf(text, ms_text_bytes, "%.2f ms", us / 1e3);
	else if (us < 9950)
		snprintf(text, ms_text_bytes, "%.1f ms", us / 1e3);
	else
		snprintf(text, ms_text_bytes, "%.0f ms", us / 1e3);
}

void oddity_describe(enum oddity oddity, const struct oddity_facts *facts,
	const struct oddity_finding *finding, char text[static ODDITY_TEXT_BYTES])
{
	struct oddity_slowness slowness = oddity_slowness(facts, finding);
	char own[ms_text_bytes], peers[ms_text_bytes];

	_Static_assert((int)FLAPPING_TEXT_BYTES <= (int)ODDITY_TEXT_BYTES, "it has to fit");
	text[0] = '\0';
	switch (oddity) {
	case ODDITY_FLAPPING:
		flapping_describe(facts->changes, facts->changes_span_ms, text);
		break;
	case ODDITY_FAILS:
		snprintf(text, ODDITY_TEXT_BYTES, "%u %% of its requests",
			oddity_errors_percent(facts));
		break;
	case ODDITY_SLOW:
		if (slowness.times == 0)
			break;
		format_ms(slowness.own_us, own);
		format_ms(slowness.peers_us, peers);
		snprintf(text, ODDITY_TEXT_BYTES, "%s %s, its peers %s", slowness.figure, own,
			peers);
		break;
	case ODDITY_COUNT:
		break;
	}
}

// ---- What lasts ---------------------------------------------------------------------------------

bool oddity_is_known(const struct oddity_facts *facts, enum oddity oddity)
{
	return oddity == ODDITY_SLOW ? facts->requests >= ODDITY_REQUESTS_MIN
				     : facts->requests_per_s > 0;
}

void oddity_course_init(struct oddity_course *course, u64 now_ms)
{
	*course = (struct oddity_course){0};
	flapping_init(&course->flips, now_ms);
}

static bool keeps_flipping(const struct oddity_course *course, u64 now_ms)
{
	return flapping_is(flapping_changes(&course->flips, now_ms));
}

static enum oddity_news flip(struct oddity_course *course, u64 now_ms)
{
	course->is_told = course->is;
	if (course->is && !course->is_unsteady)
		course->since_ms = course->moved_ms;
	flapping_note(&course->flips, now_ms);
	if (course->is_unsteady)
		return ODDITY_NOTHING_NEW;
	course->is_unsteady = keeps_flipping(course, now_ms);
	if (course->is_unsteady)
		return ODDITY_COMES_AND_GOES;
	return course->is ? ODDITY_BEGINS : ODDITY_ENDS;
}

// It may have come to rest.
static enum oddity_news settle(struct oddity_course *course, u64 now_ms)
{
	if (!course->is_unsteady || keeps_flipping(course, now_ms))
		return ODDITY_NOTHING_NEW;
	course->is_unsteady = false;
	return course->is_told ? ODDITY_BEGINS : ODDITY_ENDS;
}

enum oddity_news oddity_course_look(struct oddity_course *course, bool is, u64 now_ms)
{
	if (is != course->is) {
		course->is = is;
		course->moved_ms = now_ms;
	}
	if (is != course->is_told && now_ms - course->moved_ms >= ODDITY_LASTS_MS)
		return flip(course, now_ms);
	return settle(course, now_ms);
}

void oddity_course_break(struct oddity_course *course, u64 now_ms)
{
	if (course->is_told)
		flapping_note(&course->flips, now_ms);
	course->is = course->is_told = false;
	course->is_unsteady = course->is_unsteady && keeps_flipping(course, now_ms);
}

u64 oddity_course_since_ms(const struct oddity_course *course)
{
	if (course->is_told || (course->is && course->is_unsteady))
		return course->since_ms;
	return course->is ? course->moved_ms : 0;
}
