// SPDX-License-Identifier: Apache-2.0
#include "conf/value.h"

#include <errno.h>
#include <inttypes.h>

#include "base/text.h"

struct unit {
	struct str name;
	u64 factor;
};

// Largest first, as they are written one after the other.
static const struct unit duration_units[] = {
	{{"d", 1}, 24ull * 3600 * 1000},
	{{"h", 1}, 3600ull * 1000},
	{{"m", 1}, 60ull * 1000},
	{{"s", 1}, 1000},
	{{"ms", 2}, 1},
};

static const struct unit size_units[] = {
	{{"B", 1}, 1},
	{{"KiB", 3}, 1ull << 10},
	{{"MiB", 3}, 1ull << 20},
	{{"GiB", 3}, 1ull << 30},
	{{"TiB", 3}, 1ull << 40},
	{{"kB", 2}, 1000},
	{{"MB", 2}, 1000 * 1000},
	{{"GB", 2}, 1000 * 1000 * 1000},
	{{"TB", 2}, 1000ull * 1000 * 1000 * 1000},
	{{"k", 1}, 1ull << 10},
	{{"m", 1}, 1ull << 20},
	{{"g", 1}, 1ull << 30},
	{{"t", 1}, 1ull << 40},
};

// Cuts one "number unit" off the front.
static enum value_result cut_part(struct str *rest, u64 *ret_number, struct str *ret_unit)
{
	struct str number = *rest, unit;
	int rc;

	number.len = 0;
	while (number.len < rest->len && ascii_is_digit(rest->ptr[number.len]))
		number.len++;
	unit = str_make(rest->ptr + number.len, 0);
	while (number.len + unit.len < rest->len && !ascii_is_digit(unit.ptr[unit.len]))
		unit.len++;
	rc = str_to_u64(number, UINT64_MAX, ret_number);
	if (rc < 0)
		return rc == -ERANGE ? VALUE_TOO_LARGE : VALUE_MALFORMED;
	rest->ptr += number.len + unit.len;
	rest->len -= number.len + unit.len;
	*ret_unit = unit;
	return VALUE_OK;
}

enum value_result value_parse_duration(struct str text, u64 *ret_ms)
{
	struct str rest = text, unit;
	u64 total = 0, number;
	size_t next_unit = 0;

	if (str_eq(text, STR("0"))) {
		*ret_ms = 0;
		return VALUE_OK;
	}
	do {
		enum value_result result = cut_part(&rest, &number, &unit);

		if (result != VALUE_OK)
			return result;
		if (unit.len == 0)
			return next_unit == 0 ? VALUE_NO_UNIT : VALUE_MALFORMED;
		while (next_unit < ARRAY_LEN(duration_units) &&
			!str_eq_nocase(unit, duration_units[next_unit].name))
			next_unit++;
		if (next_unit == ARRAY_LEN(duration_units))
			return VALUE_MALFORMED;
		if (__builtin_mul_overflow(number, duration_units[next_unit].factor, &number) ||
			__builtin_add_overflow(total, number, &total))
			return VALUE_TOO_LARGE;
		next_unit++;
	} while (rest.len);
	*ret_ms = total;
	return VALUE_OK;
}

enum value_result value_parse_size(struct str text, u64 *ret_bytes)
{
	struct str rest = text, unit;
	u64 number;
	enum value_result result = cut_part(&rest, &number, &unit);

	if (result != VALUE_OK)
		return result;
	if (rest.len)
		return VALUE_MALFORMED;
	if (unit.len == 0 && number)
		return VALUE_NO_UNIT;
	for (size_t i = 0; i < ARRAY_LEN(size_units) && unit.len; i++) {
		if (!str_eq_nocase(unit, size_units[i].name))
			continue;
		if (__builtin_mul_overflow(number, size_units[i].factor, &number))
			return VALUE_TOO_LARGE;
		*ret_bytes = number;
		return VALUE_OK;
	}
	if (unit.len)
		return VALUE_MALFORMED;
	*ret_bytes = 0;
	return VALUE_OK;
}

const char *value_format_duration(struct arena *arena, u64 ms)
{
	struct text text = {0};

	for (size_t i = 0; i < ARRAY_LEN(duration_units); i++) {
		u64 number = ms / duration_units[i].factor;

		ms %= duration_units[i].factor;
		if (number)
			text_printf(&text, "%" PRIu64 "%s", number, duration_units[i].name.ptr);
	}
	if (text.len == 0)
		text_add(&text, STR("0s"));
	return text_take(&text, arena).ptr;
}

const char *value_format_size(struct arena *arena, u64 bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (bytes && bytes % 1024 == 0 && unit + 1 < ARRAY_LEN(units)) {
		bytes /= 1024;
		unit++;
	}
	return arena_printf(arena, "%" PRIu64 "%s", bytes, units[unit]);
}

bool value_parse_flag(struct str text, bool *ret_flag)
{
	static const struct {
		struct str word;
		bool flag;
	} words[] = {
		{{"true", 4}, true},
		{{"yes", 3}, true},
		{{"on", 2}, true},
		{{"false", 5}, false},
		{{"no", 2}, false},
		{{"off", 3}, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (!str_eq_nocase(text, words[i].word))
			continue;
		*ret_flag = words[i].flag;
		return true;
	}
	return false;
}
