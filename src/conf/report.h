// SPDX-License-Identifier: Apache-2.0
// Findings with the source line they point at. The report remembers the texts that were read, so
// that any place in them can be shown.
#pragma once

#include "base/err.h"

enum conf_code {
#define CODE(number, name, prose) CODE_##name = (number),
#include "conf/codes.def"
#undef CODE
	CODE_FIRST_WARNING = 100,
};

struct report_source {
	struct report_source *next;
	const char *file;
	struct str text;
};

struct report {
	struct arena *arena;
	struct errs *errs;
	struct report_source *sources;
};

// Both borrow `file` and `text` for the life of the report.
void report_add_source(struct report *report, const char *file, struct str text);

// Codes below 100 are errors, the others warnings. Gives the finding for an advice to be added.
struct err *report_at(struct report *report, enum conf_code code, struct place place, u32 width,
	const char *format, ...) printf_like(5, 6);

void report_advice(struct report *report, struct err *err, const char *format, ...)
	printf_like(3, 4);

// "file:line:column" for the text of a message.
const char *report_place_text(struct report *report, struct place place);

// User text inside a message: "%.*s" of at most 80 bytes.
#define CLIP(s) (int)MIN((s).len, (size_t)80), (s).ptr
