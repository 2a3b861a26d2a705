// SPDX-License-Identifier: Apache-2.0
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"

enum {
	message_bytes_max = 2048,
	source_chars_max = 160, // a longer line is shown around the place only
	source_chars_before = 60,
	width_max = 80,
	arena_bytes_max = 64 << 20, // far above ERRS_KEPT_MAX findings of the sizes above
};

void errs_init(struct errs *errs)
{
	*errs = (struct errs){0};
	arena_init(&errs->arena, arena_bytes_max);
}

void errs_done(struct errs *errs)
{
	arena_done(&errs->arena);
	*errs = (struct errs){0};
}

// Control bytes must not reach a terminal or a log; the bytes of UTF-8 may.
static char *make_harmless(char *text)
{
	for (char *c = text; *c; c++)
		if ((u8)*c < 0x20 || *c == 0x7f)
			*c = *c == '\t' ? ' ' : '?';
	return text;
}

static const char *add_text(struct errs *errs, const char *format, va_list args)
{
	char buffer[message_bytes_max];
	int len = vsnprintf(buffer, sizeof(buffer), format, args);

	ASSERT(len >= 0);
	return arena_str(&errs->arena, str_from(make_harmless(buffer))).ptr;
}

const char *errs_text(struct errs *errs, const char *format, ...)
{
	const char *text;
	va_list args;

	if (errs->kept_count == ERRS_KEPT_MAX)
		return NULL;
	va_start(args, format);
	text = add_text(errs, format, args);
	va_end(args);
	return text;
}

static struct err *add(struct errs *errs)
{
	struct err *err = &errs->scratch;

	*err = (struct err){0};
	if (errs->kept_count == ERRS_KEPT_MAX)
		return err;
	errs->kept_count++;
	err = arena_zalloc(&errs->arena, sizeof(*err));
	if (errs->last)
		errs->last->next = err;
	else
		errs->first = err;
	errs->last = err;
	return err;
}

static const char *copy_file_name(struct errs *errs, const struct err *err, const char *file)
{
	if (!file)
		return NULL;
	for (const struct err *old = errs->first; old; old = old->next)
		if (old != err && old->place.file && strcmp(old->place.file, file) == 0)
			return old->place.file;
	return make_harmless((char *)(uintptr_t)arena_str(&errs->arena, str_from(file)).ptr);
}

struct err *errs_add(struct errs *errs, enum err_kind kind, u16 code, struct place place, u32 width,
	const char *format, ...)
{
	struct err *err = add(errs);
	va_list args;

	if (kind == ERR_ERROR)
		errs->error_count++;
	else
		errs->warning_count++;
	err->kind = (u8)kind;
	err->code = code;
	err->width = MIN(MAX(width, 1u), (u32)width_max);
	if (err == &errs->scratch)
		return err;
	err->place = place;
	err->place.file = copy_file_name(errs, err, place.file);
	va_start(args, format);
	err->message = add_text(errs, format, args);
	va_end(args);
	return err;
}

static bool starts_char(char c)
{
	return ((u8)c & 0xc0) != 0x80;
}

static struct str skip_chars(struct str text, u32 chars)
{
	while (text.len && chars) {
		do {
			text.ptr++;
			text.len--;
		} while (text.len && !starts_char(*text.ptr));
		chars--;
	}
	return text;
}

static u32 count_chars(struct str text)
{
	u32 chars = 0;

	for (size_t i = 0; i < text.len; i++)
		chars += starts_char(text.ptr[i]);
	return chars;
}

void errs_source(struct errs *errs, struct err *err, struct str text)
{
	struct str line = str_cut(&text, '\n'), tail;
	u32 skipped = 0;
	bool cut = false;

	if (err == &errs->scratch || err->place.line == 0)
		return;
	for (u32 number = 1; number < err->place.line; number++)
		line = str_cut(&text, '\n');
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (count_chars(line) > source_chars_max) {
		if (err->place.column > source_chars_before)
			skipped = err->place.column - source_chars_before;
		line = skip_chars(line, skipped);
		tail = skip_chars(line, source_chars_max);
		cut = tail.len > 0;
		line.len -= tail.len;
	}
	err->source =
		errs_text(errs, "%s%.*s%s", skipped ? "..." : "", STR_FMT(line), cut ? "..." : "");
	err->caret = MAX(err->place.column, 1u) - skipped + (skipped ? 3 : 0);
	if (err->source && err->caret > count_chars(str_from(err->source)) + 1)
		err->source = NULL;
	else if (err->source)
		err->width = MAX(
			1u, MIN(err->width, count_chars(str_from(err->source)) + 1 - err->caret));
}

// Names differ by their pointer: copy_file_name keeps one copy of each.
static u32 file_rank(const struct errs *errs, const struct err *err)
{
	const char *seen = NULL;
	u32 rank = 0;

	for (const struct err *old = errs->first; old; old = old->next) {
		if (old->place.file == err->place.file)
			return rank;
		rank += old == errs->first || old->place.file != seen;
		seen = old->place.file;
	}
	return rank;
}

struct ranked {
	struct err *err;
	u32 rank;
};

static bool comes_before(const struct ranked *a, const struct ranked *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank;
	if (a->err->place.line != b->err->place.line)
		return a->err->place.line < b->err->place.line;
	return a->err->place.column < b->err->place.column;
}

void errs_sort(struct errs *errs)
{
	struct ranked *all = mem_alloc(sizeof(*all) * (errs->kept_count + 1u));
	u32 count = 0;

	// Insertion keeps the order in which findings of one place were made.
	for (struct err *err = errs->first; err; err = err->next) {
		struct ranked new = {err, file_rank(errs, err)};
		u32 at = count++;

		for (; at > 0 && comes_before(&new, &all[at - 1]); at--)
			all[at] = all[at - 1];
		all[at] = new;
	}
	for (u32 i = 0; i < count; i++)
		all[i].err->next = i + 1 < count ? all[i + 1].err : NULL;
	errs->first = count ? all[0].err : NULL;
	errs->last = count ? all[count - 1].err : NULL;
	mem_free(all);
}

static u32 count_files(const struct errs *errs)
{
	u32 count = 0;

	for (const struct err *err = errs->first; err; err = err->next) {
		bool seen = false;

		for (const struct err *old = errs->first; old != err && !seen; old = old->next)
			seen = old->place.file == err->place.file;
		count += !seen;
	}
	return count;
}

static void format_place(struct text *text, const struct place *place)
{
	text_add(text, str_from(place->file ? place->file : "configuration"));
	if (place->line)
		text_printf(text, ":%u:%u", place->line, MAX(place->column, 1u));
	text_add(text, STR(": "));
}

static void format_source(struct text *text, const struct err *err, const char *on, const char *off)
{
	text_printf(text, "%5u | %s\n      | ", err->place.line, err->source);
	for (u32 i = 1; i < err->caret; i++)
		text_addc(text, ' ');
	text_add(text, str_from(on));
	for (u32 i = 0; i < err->width; i++)
		text_addc(text, '^');
	text_add(text, str_from(off));
}

static void format_one(struct text *text, const struct err *err, bool colour)
{
	bool is_error = err->kind == ERR_ERROR;
	const char *on = !colour ? "" : is_error ? "\033[31m" : "\033[33m";
	const char *off = colour ? "\033[0m" : "";

	format_place(text, &err->place);
	text_printf(text, "%s%s[%c%03u]%s: %s\n", on, is_error ? "error" : "warning",
		is_error ? 'E' : 'W', err->code, off, err->message);
	if (err->source)
		format_source(text, err, on, off);
	else if (err->advice || err->pointer)
		text_add(text, STR("      |"));
	if (err->advice)
		text_printf(text, " %s", err->advice);
	if (err->pointer)
		text_printf(text, "%s%s", err->advice ? "        " : " ", err->pointer);
	if (err->source || err->advice || err->pointer)
		text_addc(text, '\n');
}

static void format_total(struct text *text, const struct errs *errs)
{
	u32 files = count_files(errs);

	text_printf(text, "%u error%s", errs->error_count, errs->error_count == 1 ? "" : "s");
	if (errs->warning_count)
		text_printf(text, ", %u warning%s", errs->warning_count,
			errs->warning_count == 1 ? "" : "s");
	if (errs->error_count + errs->warning_count > errs->kept_count)
		text_printf(text, " (the first %u are shown)", errs->kept_count);
	if (files > 1)
		text_printf(text, " in %u files", files);
	text_add(text, STR(".\n"));
}

struct str errs_format(const struct errs *errs, struct arena *arena, bool colour)
{
	struct text text = {0};

	if (!errs->first)
		return STR_EMPTY;
	for (const struct err *err = errs->first; err; err = err->next)
		format_one(&text, err, colour);
	format_total(&text, errs);
	return text_take(&text, arena);
}

static void json_text(struct text *text, const char *name, const char *value)
{
	if (!value)
		return;
	text_printf(text, ",\"%s\":\"", name);
	for (; *value; value++) {
		if (*value == '"' || *value == '\\')
			text_addc(text, '\\');
		text_addc(text, *value);
	}
	text_addc(text, '"');
}

struct str errs_format_json(const struct errs *errs, struct arena *arena)
{
	struct text text = {0};

	text_addc(&text, '[');
	for (const struct err *err = errs->first; err; err = err->next) {
		bool is_error = err->kind == ERR_ERROR;

		text_printf(&text, "%s\n{\"kind\":\"%s\",\"code\":\"%c%03u\"",
			err == errs->first ? "" : ",", is_error ? "error" : "warning",
			is_error ? 'E' : 'W', err->code);
		json_text(&text, "file", err->place.file);
		text_printf(&text, ",\"line\":%u,\"column\":%u,\"width\":%u", err->place.line,
			err->place.column, err->width);
		json_text(&text, "message", err->message);
		json_text(&text, "advice", err->advice);
		json_text(&text, "help", err->pointer);
		text_addc(&text, '}');
	}
	text_add(&text, STR("\n]\n"));
	return text_take(&text, arena);
}
