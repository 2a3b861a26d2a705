// SPDX-License-Identifier: Apache-2.0
#include "admin/expose_lines.h"

enum { million = 1000 * 1000 };

#define ADD(text, literal) text_add((text), STR(literal))

// ---- Heads --------------------------------------------------------------------------------------

void expose_family(struct expose_lines *lines, enum metric_family family)
{
	lines->family = &metric_families[family];
	lines->name = str_from(lines->family->name);
	lines->has_head = false;
}

// OpenMetrics calls a family by what its samples have in common.
static struct str head_name(const struct expose_lines *lines)
{
	struct str name = lines->name;

	if (lines->openmetrics && lines->family->type == METRIC_COUNTER)
		name.len -= strlen("_total");
	if (lines->openmetrics && lines->family->type == METRIC_INFO)
		name.len -= strlen("_info");
	return name;
}

static struct str type_text(const struct expose_lines *lines)
{
	switch ((enum metric_type)lines->family->type) {
	case METRIC_COUNTER:
		return STR("counter");
	case METRIC_HISTOGRAM:
		return STR("histogram");
	case METRIC_INFO:
		return lines->openmetrics ? STR("info") : STR("gauge");
	case METRIC_GAUGE:
		break;
	}
	return STR("gauge");
}

static void put_head(struct expose_lines *lines, struct str keyword, struct str rest)
{
	text_add(lines->text, keyword);
	text_add(lines->text, head_name(lines));
	text_addc(lines->text, ' ');
	text_add(lines->text, rest);
	text_addc(lines->text, '\n');
}

// Our help texts have nothing in them that would have to be escaped.
static void put_heads(struct expose_lines *lines)
{
	lines->has_head = true;
	put_head(lines, STR("# HELP "), str_from(lines->family->help));
	put_head(lines, STR("# TYPE "), type_text(lines));
	if (lines->openmetrics && lines->family->unit[0])
		put_head(lines, STR("# UNIT "), str_from(lines->family->unit));
}

// ---- Labels -------------------------------------------------------------------------------------

// Length of the UTF-8 character at the beginning of `text`, 0 when there is none.
static size_t character_len(struct str text)
{
	static const u32 least[] = {0, 0, 0x80, 0x800, 0x10000};
	u8 first = (u8)text.ptr[0];
	size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	u32 code;

	if (len == 1)
		return 1;
	if (len == 0 || first > 0xf4 || len > text.len)
		return 0;
	code = first & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if (((u8)text.ptr[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((u8)text.ptr[i] & 0x3f);
	}
	if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return len;
}

static void put_escaped(struct text *text, struct str value)
{
	while (value.len) {
		size_t len = character_len(value);

		if (len == 0)
			text_addc(text, '?');
		else if (value.ptr[0] == '\n')
			ADD(text, "\\n");
		else if (value.ptr[0] == '"' || value.ptr[0] == '\\') {
			text_addc(text, '\\');
			text_addc(text, value.ptr[0]);
		} else
			text_add(text, str_make(value.ptr, len));
		len = MAX(len, (size_t)1);
		value = str_make(value.ptr + len, value.len - len);
	}
}

void expose_label(struct text *labels, const char *name, struct str value)
{
	if (labels->len && labels->data[labels->len - 1] == '"')
		text_addc(labels, ',');
	text_add(labels, str_from(name));
	ADD(labels, "=\"");
	put_escaped(labels, value);
	text_addc(labels, '"');
}

// ---- Samples ------------------------------------------------------------------------------------

// Up to the space before the value.
static void put_name(
	struct expose_lines *lines, struct str suffix, struct str labels, struct str more)
{
	struct text *text = lines->text;

	if (!lines->has_head)
		put_heads(lines);
	text_add(text, lines->name);
	text_add(text, suffix);
	if (labels.len + more.len) {
		text_addc(text, '{');
		text_add(text, labels);
		if (labels.len && more.len)
			text_addc(text, ',');
		text_add(text, more);
		text_addc(text, '}');
	}
	text_addc(text, ' ');
}

// Without zeros at the end.
static void put_micro(struct text *text, u64 millionths)
{
	u64 rest = millionths % million;
	char digits[] = ".000000";
	size_t len = 0;

	for (size_t i = 6; i > 0; i--, rest /= 10) {
		digits[i] = (char)('0' + rest % 10);
		if (!len && digits[i] != '0')
			len = i + 1;
	}
	text_u64(text, millionths / million);
	text_add(text, str_make(digits, len));
}

void expose_sample_more(struct expose_lines *lines, struct str labels, struct str more, u64 value)
{
	put_name(lines, STR_EMPTY, labels, more);
	text_u64(lines->text, value);
	text_addc(lines->text, '\n');
}

void expose_sample(struct expose_lines *lines, struct str labels, u64 value)
{
	expose_sample_more(lines, labels, STR_EMPTY, value);
}

void expose_sample_micro(struct expose_lines *lines, struct str labels, u64 millionths)
{
	put_name(lines, STR_EMPTY, labels, STR_EMPTY);
	put_micro(lines->text, millionths);
	text_addc(lines->text, '\n');
}

// ---- Histograms ---------------------------------------------------------------------------------

static void put_bucket(struct expose_lines *lines, struct str labels, struct str bound, u64 count)
{
	struct text *text = lines->text;

	put_name(lines, STR("_bucket"), labels, bound);
	text_u64(text, count);
}

static void put_exemplar(struct text *text, const struct stats_exemplar *exemplar)
{
	static const char digits[] = "0123456789abcdef";
	u8 id[16];

	memcpy(id, exemplar->trace_id, sizeof(id));
	ADD(text, " # {trace_id=\"");
	for (u32 i = 0; i < sizeof(id); i++) {
		text_addc(text, digits[id[i] >> 4]);
		text_addc(text, digits[id[i] & 15]);
	}
	ADD(text, "\"} ");
	put_micro(text, exemplar->total_us);
	text_addc(text, ' ');
	put_micro(text, (u64)MAX(exemplar->wall_ms, 0) * 1000);
}

static void put_count(struct expose_lines *lines, struct str labels, u64 count)
{
	put_name(lines, STR("_count"), labels, STR_EMPTY);
	text_u64(lines->text, count);
	text_addc(lines->text, '\n');
}

static const struct str spans_le[HISTOGRAM_CLASSICS] = {
#define CLASSIC(us, text) {"le=\"" text "\"", sizeof("le=\"" text "\"") - 1},
#include "base/histogram.def"
	{"le=\"+Inf\"", sizeof("le=\"+Inf\"") - 1},
};

static const u32 classic_bounds[HISTOGRAM_CLASSICS] = {
#define CLASSIC(us, text) us,
#include "base/histogram.def"
	UINT32_MAX,
};

void expose_spans(struct expose_lines *lines, struct str labels,
	const struct histogram_classic *spans, const struct stats_exemplar *exemplar)
{
	u64 count = 0;

	if (!lines->openmetrics)
		exemplar = NULL;
	for (u32 i = 0; i < HISTOGRAM_CLASSICS; i++) {
		bool is_last = i + 1 == HISTOGRAM_CLASSICS;

		count += spans->counts[i];
		put_bucket(lines, labels, spans_le[i], count);
		if (exemplar && (is_last || exemplar->total_us <= classic_bounds[i])) {
			put_exemplar(lines->text, exemplar);
			exemplar = NULL;
		}
		text_addc(lines->text, '\n');
	}
	put_name(lines, STR("_sum"), labels, STR_EMPTY);
	put_micro(lines->text, spans->sum_us);
	text_addc(lines->text, '\n');
	put_count(lines, labels, count);
}

void expose_sizes(struct expose_lines *lines, struct str labels, const struct sizes *sizes)
{
	struct text bound = {0};
	u64 count = 0;

	for (u32 i = 0; i < SIZES_BUCKETS; i++) {
		bound.len = 0;
		ADD(&bound, "le=\"");
		if (i + 1 == SIZES_BUCKETS)
			ADD(&bound, "+Inf\"");
		else {
			text_u64(&bound, sizes_bound(i));
			ADD(&bound, ".0\"");
		}
		count += sizes->counts[i];
		put_bucket(lines, labels, str_make(bound.data, bound.len), count);
		text_addc(lines->text, '\n');
	}
	put_name(lines, STR("_sum"), labels, STR_EMPTY);
	text_u64(lines->text, sizes->sum);
	text_addc(lines->text, '\n');
	put_count(lines, labels, count);
	text_done(&bound);
}
