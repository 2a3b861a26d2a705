// SPDX-License-Identifier: Apache-2.0
#include "proto/load_report.h"

enum {
	digits_max = 32,     // of either part of a number
	fraction_digits = 6, // of them count: a millionth
};

static const u32 millionths = 1000 * 1000;

static bool has_only_digits(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_digit(text.ptr[i]))
			return false;
	return text.len > 0 && text.len <= digits_max;
}

// A plain decimal up to `max`, in millionths; what is finer is cut off.
static bool parse_decimal(struct str text, u32 max, u64 *ret_millionths)
{
	struct str fraction = text, whole = str_cut(&fraction, '.');
	bool has_point = whole.len < text.len;
	u64 value = 0;

	if (!has_only_digits(whole) || (has_point && !has_only_digits(fraction)))
		return false;
	if (str_to_u64(whole, max, &value) != 0)
		return false;
	for (u32 i = 0; i < fraction_digits; i++)
		value = value * 10 + (i < fraction.len ? (u64)(fraction.ptr[i] - '0') : 0);
	*ret_millionths = value;
	return value <= (u64)max * millionths;
}

static bool take_member(
	struct str name, struct str value, bool *has_in_flight, struct load_report *report)
{
	u64 number;

	if (str_eq(name, STR("in_flight"))) {
		if (*has_in_flight || !parse_decimal(value, LOAD_IN_FLIGHT_MAX, &number))
			return false;
		*has_in_flight = true;
		report->in_flight = (u32)((number + millionths / 2) / millionths);
	} else if (str_eq(name, STR("latency_ms"))) {
		if (report->has_latency || !parse_decimal(value, LOAD_LATENCY_MS_MAX, &number))
			return false;
		report->has_latency = true;
		report->latency = number; // millionths of a millisecond
	}
	return true;
}

bool load_report_parse(struct str value, struct load_report *ret_report)
{
	struct load_report report = {0};
	bool has_in_flight = false;

	// A comma inside of a quoted text would be none; nobody needs one here.
	if (str_find(value, '"') < value.len)
		return false;
	for (u32 members = 0; value.len; members++) {
		struct str member = str_cut(&value, ','), rest = member;
		struct str name = str_trim(str_cut(&rest, '='));

		if (members == LOAD_REPORT_MEMBERS_MAX ||
			!take_member(name, str_trim(rest), &has_in_flight, &report))
			return false;
	}
	if (has_in_flight)
		*ret_report = report;
	return has_in_flight;
}
