// SPDX-License-Identifier: Apache-2.0
// What flaps, fails or is slow: the bounds of each rule, and who the peers are.
#include "test.h"

#include "decide/oddity.h"

enum { minute_ms = 60 * 1000, pool_max = 9 };

static void flapping_forgets(void **state)
{
	struct flapping flapping = {0};
	u64 now_ms = 77 * minute_ms + 59 * 1000;

	(void)state;
	assert_int_equal(flapping_changes(&flapping, now_ms), 0);
	for (u32 i = 0; i < 3; i++)
		flapping_note(&flapping, now_ms);
	assert_int_equal(flapping_changes(&flapping, now_ms), 3);
	assert_false(flapping_is(3));
	assert_true(flapping_is(4));
	now_ms += 9 * minute_ms;
	assert_int_equal(flapping_changes(&flapping, now_ms), 3);
	flapping_note(&flapping, now_ms);
	assert_int_equal(flapping_changes(&flapping, now_ms), 4);
	now_ms += minute_ms;
	assert_int_equal(flapping_changes(&flapping, now_ms), 1);
	flapping_note(&flapping, now_ms + 1000 * minute_ms);
	assert_int_equal(flapping_changes(&flapping, now_ms + 1000 * minute_ms), 1);
	assert_int_equal(flapping_changes(&flapping, now_ms + 2000 * minute_ms), 0);
	for (u32 i = 0; i < 100000; i++)
		flapping_note(&flapping, now_ms + 2000 * minute_ms);
	assert_true(flapping_is(flapping_changes(&flapping, now_ms + 2000 * minute_ms)));
}

// Who has not been looked at for so long is not said to have changed within all of it.
static void flapping_says_its_span(void **state)
{
	static const struct {
		u64 after_ms;
		const char *text;
	} rows[] = {
		{0, "4 changes within 1 second"},
		{20 * 1000, "4 changes within 20 seconds"},
		{119 * 1000, "4 changes within 119 seconds"},
		{3 * minute_ms + 59 * 1000, "4 changes within 3 minutes"},
		{10 * minute_ms, "4 changes within 10 minutes"},
		{1000 * minute_ms, "4 changes within 10 minutes"},
	};
	struct flapping flapping;
	char text[FLAPPING_TEXT_BYTES];

	(void)state;
	flapping_init(&flapping, 77 * minute_ms);
	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		flapping_describe(
			4, flapping_span_ms(&flapping, 77 * minute_ms + rows[i].after_ms), text);
		assert_string_equal(text, rows[i].text);
	}
}

static struct oddity_facts well(void)
{
	return (struct oddity_facts){.takes = true,
		.requests = 1000,
		.requests_per_s = 100,
		.p50_us = 900,
		.p99_us = 4000};
}

static struct oddity_finding found[pool_max];

// Of a pool of `count` that are well, but for its first one.
static struct oddity_finding judge(struct oddity_facts first, u32 count)
{
	struct oddity_facts facts[pool_max] = {first};
	u32 room[pool_max];

	for (u32 i = 1; i < count; i++)
		facts[i] = well();
	oddity_judge(facts, count, room, found);
	for (u32 i = 1; i < count; i++)
		for (u32 odd = 0; odd < ODDITY_COUNT; odd++)
			assert_false(found[i].is[odd]);
	return found[0];
}

static bool is_slow(u32 p50_us, u32 p99_us, double per_s, u64 requests)
{
	struct oddity_facts one = well();

	one.p50_us = p50_us;
	one.p99_us = p99_us;
	one.requests_per_s = per_s;
	one.requests = requests;
	return judge(one, 3).is[ODDITY_SLOW];
}

static void slow_by_its_median(void **state)
{
	(void)state;
	assert_false(is_slow(900, 4000, 100, 1000));
	assert_false(is_slow(3599, 4000, 100, 1000));
	assert_true(is_slow(3600, 4000, 100, 1000));
	assert_true(is_slow(3600, 4000, 1, ODDITY_REQUESTS_MIN));
	assert_false(is_slow(3600, 4000, 1, ODDITY_REQUESTS_MIN - 1));
}

static void slow_by_its_p99(void **state)
{
	(void)state;
	assert_false(is_slow(900, 15999, 100, 1000));
	assert_true(is_slow(900, 16000, 100, 1000));
	assert_true(is_slow(900, 16000, ODDITY_P99_PER_S_MIN, 1000));
	assert_false(is_slow(900, 16000, 5, 1000)); // one of few makes a p99
}

// Many times as slow as nothing is still quick.
static void not_slow_by_little(void **state)
{
	struct oddity_facts facts[2] = {well(), well()};
	u32 room[2];

	(void)state;
	facts[0].p50_us = 50;
	facts[0].p99_us = 100;
	facts[1].p50_us = 1049;
	facts[1].p99_us = 10099;
	oddity_judge(facts, 2, room, found);
	assert_false(found[1].is[ODDITY_SLOW]);
	facts[1].p50_us = 1050;
	oddity_judge(facts, 2, room, found);
	assert_true(found[1].is[ODDITY_SLOW]);
	assert_int_equal(oddity_slowness(&facts[1], &found[1]).times, 21);
	facts[0].p50_us = 0; // nothing is known of the other one
	oddity_judge(facts, 2, room, found);
	assert_false(found[1].is[ODDITY_SLOW]);
}

static void who_the_peers_are(void **state)
{
	struct oddity_facts facts[5], slow = well();
	u32 room[5];

	(void)state;
	slow.p50_us = 36000;
	assert_false(judge(slow, 1).is[ODDITY_SLOW]); // it is alone
	assert_int_equal(found[0].peers_p50_us, 0);
	assert_true(judge(slow, 2).is[ODDITY_SLOW]);
	assert_int_equal(found[0].peers_p50_us, 900);
	assert_int_equal(found[1].peers_p50_us, 36000);
	assert_int_equal(found[0].peers_p99_us, 4000);
	slow.takes = false; // who is out is compared with nobody
	assert_false(judge(slow, 2).is[ODDITY_SLOW]);
	slow.takes = true;
	for (u32 i = 0; i < 5; i++)
		facts[i] = i < 2 ? slow : well();
	oddity_judge(facts, 5, room, found);
	for (u32 i = 0; i < 5; i++)
		assert_int_equal(found[i].is[ODDITY_SLOW], i < 2);
	oddity_judge(facts, 0, room, found);
}

static bool fails(double errors_per_s, double per_s)
{
	struct oddity_facts one = well();

	one.errors_per_s = errors_per_s;
	one.requests_per_s = per_s;
	return judge(one, 3).is[ODDITY_FAILS];
}

static void who_fails(void **state)
{
	(void)state;
	assert_false(fails(0, 0));
	assert_false(fails(4.9, 100));
	assert_true(fails(5, 100));
	assert_true(fails(1, 1));
	assert_int_equal(oddity_errors_percent(
				 &(struct oddity_facts){.requests_per_s = 8, .errors_per_s = 1}),
		13);
	assert_int_equal(oddity_errors_percent(&(struct oddity_facts){.errors_per_s = 1}), 100);
	assert_int_equal(oddity_errors_percent(&(struct oddity_facts){.errors_per_s = 0}), 0);
}

static void who_flaps(void **state)
{
	struct oddity_facts one = well();

	(void)state;
	one.changes = FLAPPING_FROM - 1;
	assert_false(judge(one, 3).is[ODDITY_FLAPPING]);
	one.changes = FLAPPING_FROM;
	one.takes = false;
	assert_true(judge(one, 3).is[ODDITY_FLAPPING]); // in or out
	assert_string_equal(oddity_word(ODDITY_FLAPPING), "flapping");
}

// ---- Words, and what lasts ----------------------------------------------------------------------

static const char *describe(enum oddity oddity, const struct oddity_facts *facts, u32 p50, u32 p99)
{
	static char text[ODDITY_TEXT_BYTES];
	struct oddity_finding finding = {.peers_p50_us = p50, .peers_p99_us = p99};

	oddity_describe(oddity, facts, &finding, text);
	return text;
}

static void words_have_the_figures(void **state)
{
	struct oddity_facts one = well();

	(void)state;
	one.changes = 6;
	one.changes_span_ms = 3 * minute_ms;
	one.errors_per_s = 12;
	one.p50_us = 411600;
	one.p99_us = 499000;
	assert_string_equal(describe(ODDITY_FLAPPING, &one, 0, 0), "6 changes within 3 minutes");
	assert_string_equal(describe(ODDITY_FAILS, &one, 0, 0), "12 % of its requests");
	assert_string_equal(
		describe(ODDITY_SLOW, &one, 9000, 12000), "p50 412 ms, its peers 9.0 ms");
	assert_string_equal(
		describe(ODDITY_SLOW, &one, 156, 12000), "p50 412 ms, its peers 0.16 ms");
	one.p50_us = 9000; // its median is theirs
	assert_string_equal(
		describe(ODDITY_SLOW, &one, 9000, 12000), "p99 499 ms, its peers 12 ms");
	one.p99_us = 9000;
	assert_string_equal(describe(ODDITY_SLOW, &one, 9000, 12000), "");
	one.p50_us = one.p99_us = UINT32_MAX;
	assert_string_equal(describe(ODDITY_SLOW, &one, 1000 * 1000 * 1000, 0),
		"p50 4294967 ms, its peers 1000000 ms");
}

static struct oddity_course course;
static u64 now_ms;

// Looks once a second.
static enum oddity_news look_for_s(bool is, u32 seconds)
{
	enum oddity_news news = ODDITY_NOTHING_NEW;

	for (u32 i = 0; i < seconds; i++) {
		enum oddity_news one;

		now_ms += 1000;
		one = oddity_course_look(&course, is, now_ms);
		assert_true(news == ODDITY_NOTHING_NEW || one == ODDITY_NOTHING_NEW);
		news = one ? one : news;
	}
	return news;
}

static void what_lasts_is_told(void **state)
{
	u64 began_ms;

	(void)state;
	now_ms = 77 * minute_ms;
	oddity_course_init(&course, now_ms);
	assert_int_equal(look_for_s(false, 100), ODDITY_NOTHING_NEW);
	assert_int_equal(oddity_course_since_ms(&course), 0);
	assert_int_equal(look_for_s(true, 5), ODDITY_NOTHING_NEW);
	began_ms = now_ms - 4000;
	assert_int_equal(oddity_course_since_ms(&course), began_ms);
	assert_int_equal(look_for_s(true, 1), ODDITY_BEGINS);
	assert_int_equal(look_for_s(true, 100), ODDITY_NOTHING_NEW);
	assert_int_equal(look_for_s(false, 5), ODDITY_NOTHING_NEW); // a breath
	assert_int_equal(look_for_s(true, 100), ODDITY_NOTHING_NEW);
	assert_int_equal(oddity_course_since_ms(&course), began_ms);
	assert_int_equal(look_for_s(false, 6), ODDITY_ENDS);
	assert_int_equal(oddity_course_since_ms(&course), 0);
	assert_int_equal(look_for_s(true, 3), ODDITY_NOTHING_NEW); // a glance
	assert_int_equal(look_for_s(false, 100), ODDITY_NOTHING_NEW);
}

// On and off for an hour: told to begin, to end, to begin, to come and go; at rest once more.
static void coming_and_going_is_told_once(void **state)
{
	u64 began_ms;
	u32 news = 0;

	(void)state;
	now_ms = 77 * minute_ms;
	oddity_course_init(&course, now_ms);
	assert_int_equal(look_for_s(true, 10), ODDITY_BEGINS);
	assert_int_equal(look_for_s(false, 10), ODDITY_ENDS);
	assert_int_equal(look_for_s(true, 10), ODDITY_BEGINS);
	began_ms = now_ms - 9000;
	assert_int_equal(look_for_s(false, 10), ODDITY_COMES_AND_GOES);
	for (u32 i = 0; i < 180; i++) {
		news += look_for_s(true, 10) != ODDITY_NOTHING_NEW;
		assert_int_equal(oddity_course_since_ms(&course), began_ms);
		news += look_for_s(false, 10) != ODDITY_NOTHING_NEW;
	}
	assert_int_equal(news, 0);
	assert_int_equal(look_for_s(false, 11 * 60), ODDITY_ENDS);
	assert_int_equal(look_for_s(true, 10), ODDITY_BEGINS);
}

// One that takes requests only now and then, and fails each time.
static void a_break_is_an_end(void **state)
{
	u32 begun = 0, unsteady = 0;

	(void)state;
	now_ms = 77 * minute_ms;
	oddity_course_init(&course, now_ms);
	for (u32 i = 0; i < 20; i++) {
		enum oddity_news news = look_for_s(true, 10);

		begun += news == ODDITY_BEGINS;
		unsteady += news == ODDITY_COMES_AND_GOES;
		now_ms += 10 * 1000;
		oddity_course_break(&course, now_ms);
		assert_int_equal(oddity_course_since_ms(&course), 0);
	}
	assert_int_equal(begun, 2);
	assert_int_equal(unsteady, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flapping_forgets),
		cmocka_unit_test(flapping_says_its_span),
		cmocka_unit_test(slow_by_its_median),
		cmocka_unit_test(slow_by_its_p99),
		cmocka_unit_test(not_slow_by_little),
		cmocka_unit_test(who_the_peers_are),
		cmocka_unit_test(who_fails),
		cmocka_unit_test(who_flaps),
		cmocka_unit_test(words_have_the_figures),
		cmocka_unit_test(what_lasts_is_told),
		cmocka_unit_test(coming_and_going_is_told_once),
		cmocka_unit_test(a_break_is_an_end),
	};

	return cmocka_run_group_tests_name("oddity", tests, NULL, NULL);
}
