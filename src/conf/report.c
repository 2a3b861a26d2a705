// SPDX-License-Identifier: Apache-2.0
#include "conf/report.h"

#include <stdarg.h>
#include <stdio.h>

enum { message_bytes_max = 1024 };

void report_add_source(struct report *report, const char *file, struct str text)
{
	struct report_source *source = arena_zalloc(report->arena, sizeof(*source));

	*source = (struct report_source){report->sources, file, text};
	report->sources = source;
}

struct err *report_at(struct report *report, enum conf_code code, struct place place, u32 width,
	const char *format, ...)
{
	enum err_kind kind = code < CODE_FIRST_WARNING ? ERR_ERROR : ERR_WARNING;
	char message[message_bytes_max];
	struct err *err;
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	err = errs_add(report->errs, kind, (u16)code, place, width, "%s", message);
	for (const struct report_source *source = report->sources; source && place.line;
		source = source->next) {
		if (source->file != place.file)
			continue;
		errs_source(report->errs, err, source->text);
		break;
	}
	return err;
}

void report_advice(struct report *report, struct err *err, const char *format, ...)
{
	char advice[message_bytes_max];
	va_list args;

	va_start(args, format);
	vsnprintf(advice, sizeof(advice), format, args);
	va_end(args);
	err->advice = errs_text(report->errs, "%s", advice);
}

const char *report_place_text(struct report *report, struct place place)
{
	if (!place.file)
		return "the built-in defaults";
	if (!place.line)
		return place.file;
	return arena_printf(report->arena, "%s:%u:%u", place.file, place.line, place.column);
}
