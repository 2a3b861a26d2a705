// SPDX-License-Identifier: Apache-2.0
// Converters of plain values.
#include <errno.h>
#include <inttypes.h>

#include "conf/build.h"
#include "conf/value.h"

enum { text_bytes_max = 255 };

static void *field_of(void *object, const struct schema_key *key)
{
	return (char *)object + key->offset;
}

bool build_is_token(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = ascii_lower(text.ptr[i]);

		if (!((c >= 'a' && c <= 'z') || ascii_is_digit(c) ||
			    (c && strchr("!#$%&'*+-.^_`|~", c))))
			return false;
	}
	return text.len > 0;
}

bool build_is_printable(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((u8)text.ptr[i] < 0x20 || (u8)text.ptr[i] == 0x7f)
			return false;
	return true;
}

void build_flag(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	bool *field = field_of(object, key);
	struct nearest nearest = {0};
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (value_parse_flag(text, field)) {
		build_canonical(build, node, *field ? "true" : "false", true);
		return;
	}
	nearest_try(&nearest, text, STR("true"));
	nearest_try(&nearest, text, STR("false"));
	build_suggest(build,
		report_value(build->report, CODE_WRONG_TYPE, node,
			"'%.*s' is neither true nor false (%s)", CLIP(text),
			path_text(build, path)),
		&nearest);
}

static const char *or_word(const struct build *build, const char *word)
{
	return word ? arena_printf(build->arena, ", or '%s'", word) : "";
}

void build_count(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u32 *field = field_of(object, key);
	struct nearest nearest = {0};
	struct str text;
	u64 number = 0;
	int rc;

	if (!build_scalar(build, path, node, &text))
		return;
	if (key->other && str_eq_nocase(text, str_from(key->other))) {
		*field = 0;
		build_canonical(build, node, key->other, false);
		return;
	}
	rc = str_to_u64(text, key->max, &number);
	if (rc == -ERANGE || (rc == 0 && number < key->min)) {
		report_value(build->report, CODE_OUT_OF_RANGE, node,
			"%.*s is too %s for %s: %" PRIu64 " to %" PRIu64 "%s", CLIP(text),
			rc < 0 ? "large" : "small", path_text(build, path), key->min, key->max,
			or_word(build, key->other));
		return;
	}
	if (rc == 0) {
		*field = (u32)number;
		build_canonical(build, node, arena_printf(build->arena, "%" PRIu64, number), true);
		return;
	}
	if (key->other)
		nearest_try(&nearest, text, str_from(key->other));
	build_suggest(build,
		report_value(build->report, CODE_WRONG_TYPE, node,
			"'%.*s' is not a number (%s): %" PRIu64 " to %" PRIu64 "%s", CLIP(text),
			path_text(build, path), key->min, key->max, or_word(build, key->other)),
		&nearest);
}

// "5 sec" and "5min" are clear to people: show the form that is meant.
static const char *guess_duration(const struct build *build, struct str text)
{
	static const char *const spellings[][2] = {{"seconds", "s"}, {"second", "s"}, {"secs", "s"},
		{"sec", "s"}, {"minutes", "m"}, {"minute", "m"}, {"mins", "m"}, {"min", "m"},
		{"hours", "h"}, {"hour", "h"}, {"hrs", "h"}, {"hr", "h"}, {"days", "d"},
		{"day", "d"}, {"msec", "ms"}, {"millis", "ms"}, {"milliseconds", "ms"}, {"s", "s"},
		{"ms", "ms"}, {"m", "m"}, {"h", "h"}};
	struct str number = text, unit;

	number.len = 0;
	while (number.len < text.len && ascii_is_digit(text.ptr[number.len]))
		number.len++;
	unit = str_trim(str_make(text.ptr + number.len, text.len - number.len));
	for (size_t i = 0; i < ARRAY_LEN(spellings) && number.len; i++)
		if (str_eq_nocase(unit, str_from(spellings[i][0])))
			return arena_printf(build->arena, "%.*s%s", CLIP(number), spellings[i][1]);
	return NULL;
}

static void report_duration(struct build *build, const struct path *path, const struct node *node,
	enum value_result result)
{
	const char *guess = node->written.ptr ? NULL : guess_duration(build, node->text);
	struct err *err;

	if (result == VALUE_NO_UNIT) {
		report_value(build->report, CODE_NO_UNIT, node,
			"'%.*s' has no unit (%s): write %.*ss or %.*sms", CLIP(node->text),
			path_text(build, path), CLIP(node->text), CLIP(node->text));
		return;
	}
	err = report_value(build->report, CODE_MALFORMED, node,
		"'%.*s' is not a duration (%s): write it like 250ms, 5s, 1m30s or 1h",
		CLIP(node->text), path_text(build, path));
	if (guess)
		report_advice(build->report, err, "did you mean '%s'?", guess);
}

bool build_parse_duration(struct build *build, const struct path *path, struct node *node, u64 min,
	u64 max, u64 *ret_ms)
{
	enum value_result result;
	struct str text;
	u64 ms;

	if (!build_scalar(build, path, node, &text))
		return false;
	result = value_parse_duration(text, &ms);
	if (result == VALUE_TOO_LARGE || (result == VALUE_OK && (ms < min || ms > max))) {
		report_value(build->report, CODE_OUT_OF_RANGE, node,
			"%.*s is too %s for %s: %s to %s", CLIP(text),
			result == VALUE_OK && ms < min ? "short" : "long", path_text(build, path),
			value_format_duration(build->arena, min),
			value_format_duration(build->arena, max));
		return false;
	}
	if (result != VALUE_OK) {
		report_duration(build, path, node, result);
		return false;
	}
	build_canonical(build, node, value_format_duration(build->arena, ms), false);
	*ret_ms = ms;
	return true;
}

void build_duration(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u64 *field = field_of(object, key);

	if (key->other && node->kind == NODE_TEXT &&
		str_eq_nocase(node->text, str_from(key->other))) {
		*field = 0;
		build_canonical(build, node, key->other, false);
		return;
	}
	if (!build_parse_duration(build, path, node, key->min, key->max, field))
		return;
}

void build_percent(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u32 *field = field_of(object, key);
	u64 number = 0;
	struct str text, digits;
	bool has_sign;
	int rc;

	if (!build_scalar(build, path, node, &text))
		return;
	if (key->other && str_eq_nocase(text, str_from(key->other))) {
		*field = 0;
		build_canonical(build, node, key->other, false);
		return;
	}
	has_sign = text.len && text.ptr[text.len - 1] == '%';
	digits = str_make(text.ptr, text.len - has_sign);
	rc = str_to_u64(digits, key->max, &number);
	if (rc == -EINVAL)
		report_value(build->report, CODE_WRONG_TYPE, node,
			"'%.*s' is no percentage (%s): write it like 50%%%s", CLIP(text),
			path_text(build, path), or_word(build, key->other));
	else if (rc < 0 || number < key->min)
		report_value(build->report, CODE_OUT_OF_RANGE, node,
			"%.*s is too %s for %s: %" PRIu64 "%% to %" PRIu64 "%%%s", CLIP(text),
			rc < 0 ? "large" : "small", path_text(build, path), key->min, key->max,
			or_word(build, key->other));
	else if (!has_sign)
		report_value(build->report, CODE_NO_UNIT, node,
			"'%.*s' has no unit (%s): write %.*s%%", CLIP(text), path_text(build, path),
			CLIP(text));
	else {
		*field = (u32)number;
		build_canonical(
			build, node, arena_printf(build->arena, "%" PRIu64 "%%", number), false);
	}
}

// "1.9" in thousandths, without sign and exponent. 0, -EINVAL or -ERANGE.
static int parse_thousandths(struct str text, u64 max, u64 *ret_value)
{
	struct str fraction = text, whole = str_cut(&fraction, '.');
	u64 number = 0, value;
	int rc = str_to_u64(whole, max / 1000, &number);

	if (rc < 0)
		return rc;
	value = number * 1000;
	if (whole.len < text.len && (fraction.len == 0 || fraction.len > 3))
		return -EINVAL;
	if (fraction.len) {
		rc = str_to_u64(fraction, 999, &number);
		if (rc < 0)
			return -EINVAL;
		for (size_t i = fraction.len; i < 3; i++)
			number *= 10;
		value += number;
	}
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static const char *format_thousandths(const struct build *build, u64 value)
{
	char *text =
		arena_printf(build->arena, "%" PRIu64 ".%03u", value / 1000, (u32)(value % 1000));
	size_t len = strlen(text);

	while (text[len - 1] == '0')
		len--;
	if (text[len - 1] == '.')
		len--;
	text[len] = '\0';
	return text;
}

void build_decimal(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u32 *field = field_of(object, key);
	struct str text;
	u64 number = 0;
	int rc;

	if (!build_scalar(build, path, node, &text))
		return;
	rc = parse_thousandths(text, key->max, &number);
	if (rc == -EINVAL) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"'%.*s' is no decimal number (%s): write it like 1.9", CLIP(text),
			path_text(build, path));
	} else if (rc < 0 || number < key->min) {
		report_value(build->report, CODE_OUT_OF_RANGE, node,
			"%.*s is too %s for %s: %s to %s", CLIP(text), rc < 0 ? "large" : "small",
			path_text(build, path), format_thousandths(build, key->min),
			format_thousandths(build, key->max));
	} else {
		*field = (u32)number;
		build_canonical(build, node, format_thousandths(build, number), true);
	}
}

static void report_size(struct build *build, const struct schema_key *key, const struct path *path,
	const struct node *node, enum value_result result)
{
	struct nearest nearest = {0};

	if (result == VALUE_NO_UNIT) {
		report_value(build->report, CODE_NO_UNIT, node,
			"'%.*s' has no unit (%s): write %.*sB for bytes or %.*sKiB",
			CLIP(node->text), path_text(build, path), CLIP(node->text),
			CLIP(node->text));
		return;
	}
	if (key->other)
		nearest_try(&nearest, node->text, str_from(key->other));
	build_suggest(build,
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is not a size (%s): write it like 512B, 64KiB, 10MB or 1g%s",
			CLIP(node->text), path_text(build, path), or_word(build, key->other)),
		&nearest);
}

void build_size(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u64 *field = field_of(object, key), bytes = 0;
	enum value_result result;
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (key->other && str_eq_nocase(text, str_from(key->other))) {
		*field = UINT64_MAX;
		build_canonical(build, node, key->other, false);
		return;
	}
	result = value_parse_size(text, &bytes);
	if (result == VALUE_OK && bytes >= key->min && bytes <= key->max) {
		*field = bytes;
		build_canonical(build, node, value_format_size(build->arena, bytes), false);
	} else if (result == VALUE_OK || result == VALUE_TOO_LARGE) {
		report_value(build->report, CODE_OUT_OF_RANGE, node,
			"%.*s is too %s for %s: %s to %s%s", CLIP(text),
			result == VALUE_OK && bytes < key->min ? "small" : "large",
			path_text(build, path), value_format_size(build->arena, key->min),
			value_format_size(build->arena, key->max), or_word(build, key->other));
	} else {
		report_size(build, key, path, node, result);
	}
}

void build_words(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	int *field = field_of(object, key);
	const struct schema_word *word, *near;
	struct str text;
	struct err *err;

	if (!build_scalar(build, path, node, &text))
		return;
	word = schema_find_word(key->words, text);
	if (word && word->same_as)
		word = schema_find_word(key->words, str_from(word->same_as));
	if (word && word->milestone) {
		report_value(build->report, CODE_NOT_BUILT, node,
			"%.*s '%.*s' is not built yet (planned with %s); built: %s",
			STR_FMT(key->name), CLIP(text), schema_milestone_text(word->milestone),
			schema_list_words(key->words, build->arena));
		return;
	}
	if (word) {
		*field = word->value;
		build_canonical(build, node, word->word.ptr, false);
		return;
	}
	err = report_value(build->report, CODE_UNKNOWN_WORD, node, "unknown %.*s '%.*s' (%s): %s",
		STR_FMT(key->name), CLIP(text), path_text(build, path),
		schema_list_words(key->words, build->arena));
	near = schema_near_word(key->words, text);
	if (near)
		report_advice(build->report, err, "did you mean '%.*s'?", STR_FMT(near->word));
}

// The name of a route.
void build_text(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_route *route = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > text_bytes_max || !build_is_printable(text))
		report_value(build->report, CODE_MALFORMED, node,
			"%s is 1 to %d printable characters", path_text(build, path),
			text_bytes_max);
	else
		route->name = text;
}
