// SPDX-License-Identifier: Apache-2.0
#include "decide/oddity.h"

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

u32 oddity_slow_times(const struct oddity_facts *facts, const struct oddity_finding *finding)
{
	if (!is_measured(facts))
		return 0;
	if (is_times(facts->p50_us, finding->peers_p50_us, ODDITY_P50_MORE_US))
		return facts->p50_us / finding->peers_p50_us;
	if (facts->requests_per_s >= ODDITY_P99_PER_S_MIN &&
		is_times(facts->p99_us, finding->peers_p99_us, ODDITY_P99_MORE_US))
		return facts->p99_us / finding->peers_p99_us;
	return 0;
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
		finding->is[ODDITY_SLOW] = oddity_slow_times(&facts[i], finding) > 0;
	}
}
