// SPDX-License-Identifier: Apache-2.0
// What a backend says of its load, by the letter.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/load_report.h"

enum { no_latency = -1 };

// In memory of its exact size.
static bool parse(struct str text, struct load_report *ret_report)
{
	char *copy = malloc(text.len ? text.len : 1);
	bool is_report;

	assert_non_null(copy);
	memcpy(copy, text.ptr, text.len);
	is_report = load_report_parse(str_make(copy, text.len), ret_report);
	free(copy);
	return is_report;
}

static void says(const char *text, u32 in_flight, i64 latency_ns)
{
	struct load_report report;

	if (!parse(str_from(text), &report))
		fail_msg("'%s' was refused", text);
	assert_int_equal(report.in_flight, in_flight);
	assert_int_equal(report.has_latency, latency_ns != no_latency);
	if (report.has_latency)
		assert_int_equal(report.latency, latency_ns);
}

static void says_nothing(const char *text)
{
	struct load_report report = {.in_flight = 77};

	if (parse(str_from(text), &report))
		fail_msg("'%s' was taken", text);
	assert_int_equal(report.in_flight, 77); // not touched
}

static void takes_reports(void **state)
{
	(void)state;
	says("in_flight=12, latency_ms=3.5", 12, 3500000);
	says("latency_ms=3.5, in_flight=12", 12, 3500000);
	says("in_flight=0", 0, no_latency);
	says("in_flight=0,latency_ms=0", 0, 0);
	says("in_flight = 7 \t, latency_ms\t=2", 7, 2000000);
}

static void skips_what_it_does_not_know(void **state)
{
	(void)state;
	says("cpu=0.7, in_flight=3, note=a=b, v", 3, no_latency);
	says(", in_flight=3,,", 3, no_latency);
	says("IN_FLIGHT=9, in_flight=3, in_flight2=4", 3, no_latency);
	says("memory=-1e9, in_flight=3", 3, no_latency);
}

static void takes_decimals(void **state)
{
	(void)state;
	says("in_flight=2.5", 3, no_latency);
	says("in_flight=2.499999", 2, no_latency);
	says("in_flight=0012.40", 12, no_latency);
	says("in_flight=1, latency_ms=0.000001", 1, 1);
	says("in_flight=1, latency_ms=0.0000019", 1, 1);
	says("in_flight=1, latency_ms=3.5000000000000001", 1, 3500000);
	says_nothing("in_flight=.5");
	says_nothing("in_flight=5.");
	says_nothing("in_flight=1.2.3");
	says_nothing("in_flight=1, latency_ms=1e-05");
	says_nothing("in_flight=+1");
	says_nothing("in_flight=-1");
	says_nothing("in_flight=0x10");
	says_nothing("in_flight=1 2");
	says_nothing("in_flight=1;latency_ms=2");
	says_nothing("in_flight=nan");
	says_nothing("in_flight=1, latency_ms=3.5ms");
}

static void has_bounds(void **state)
{
	(void)state;
	says("in_flight=1000000", 1000000, no_latency);
	says("in_flight=1000000.000000", 1000000, no_latency);
	says_nothing("in_flight=1000000.000001");
	says_nothing("in_flight=1000001");
	says_nothing("in_flight=18446744073709551617");
	says_nothing("in_flight=000000000000000000000000000000001");
	says("in_flight=1, latency_ms=3600000", 1, 3600 * (i64)NSEC_PER_SEC);
	says_nothing("in_flight=1, latency_ms=3600000.1");
	says_nothing("in_flight=1, latency_ms=3600001");
}

static void refuses_what_could_be_read_twice(void **state)
{
	(void)state;
	says_nothing("in_flight=1, in_flight=1");
	says_nothing("in_flight=1, latency_ms=1, latency_ms=2");
	says_nothing("in_flight=1, note=\"a, b\"");
}

static void needs_requests_in_flight(void **state)
{
	(void)state;
	says_nothing("");
	says_nothing("latency_ms=3");
	says_nothing("in_flight");
	says_nothing("in_flight=");
	says_nothing("in_flight=, latency_ms=3");
	says_nothing("12");
}

static void counts_members(void **state)
{
	char text[3 * LOAD_REPORT_MEMBERS_MAX + 16] = "";

	(void)state;
	for (u32 i = 0; i < LOAD_REPORT_MEMBERS_MAX - 1; i++)
		strcat(text, "a, ");
	strcat(text, "in_flight=5");
	says(text, 5, no_latency);
	memmove(text + 2, text, strlen(text) + 1);
	memcpy(text, "a,", 2);
	says_nothing(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_reports),
		cmocka_unit_test(skips_what_it_does_not_know),
		cmocka_unit_test(takes_decimals),
		cmocka_unit_test(has_bounds),
		cmocka_unit_test(refuses_what_could_be_read_twice),
		cmocka_unit_test(needs_requests_in_flight),
		cmocka_unit_test(counts_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
