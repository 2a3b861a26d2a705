// SPDX-License-Identifier: Apache-2.0
// What a backend says of its load: within its bounds, the same when it is written anew, and the
// same with members around it that nobody knows.
#include <stdio.h>

#include "fuzz_check.h"
#include "proto/load_report.h"

enum { room = 256 };

static bool parse(const char *text, size_t len, struct load_report *ret_report)
{
	char *copy = fuzz_copy(text, len);
	bool is_report = load_report_parse(str_make(copy, len), ret_report);

	free(copy);
	return is_report;
}

static void check_same(const struct load_report *a, const char *text, size_t len)
{
	struct load_report b;

	ASSERT(parse(text, len, &b));
	ASSERT(a->in_flight == b.in_flight && a->has_latency == b.has_latency);
	ASSERT(!a->has_latency || a->latency == b.latency);
}

static void check_written_again(const struct load_report *report)
{
	char text[room];
	int len = snprintf(text, sizeof(text), "in_flight=%u", report->in_flight);

	if (report->has_latency)
		len += snprintf(text + len, sizeof(text) - (size_t)len, ", latency_ms=%llu.%06llu",
			(unsigned long long)(report->latency / NSEC_PER_MS),
			(unsigned long long)(report->latency % NSEC_PER_MS));
	check_same(report, text, (size_t)len);
}

static void check_with_more(const struct load_report *report, const char *text, size_t size)
{
	static const char before[] = "x=1 ,", behind[] = ",\ty";
	char *longer = malloc(sizeof(before) + size + sizeof(behind));
	u32 members = 2; // x, and the last one

	for (size_t i = 0; i < size; i++)
		members += text[i] == ',';
	ASSERT(longer != NULL);
	memcpy(longer, before, sizeof(before) - 1);
	memcpy(longer + sizeof(before) - 1, text, size);
	memcpy(longer + sizeof(before) - 1 + size, behind, sizeof(behind) - 1);
	if (members + 1 <= LOAD_REPORT_MEMBERS_MAX)
		check_same(report, longer, size + sizeof(before) + sizeof(behind) - 2);
	free(longer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct load_report report;

	if (!parse(text, size, &report))
		return 0;
	ASSERT(report.in_flight <= LOAD_IN_FLIGHT_MAX);
	ASSERT(!report.has_latency || report.latency <= LOAD_LATENCY_MS_MAX * NSEC_PER_MS);
	check_written_again(&report);
	check_with_more(&report, text, size);
	return 0;
}
