// SPDX-License-Identifier: Apache-2.0
// What is wrong with what the user wrote: a list of findings, each with its place, the source line,
// a sentence and an advice. All of one run are collected, then shown together, in the order of the
// places.
//
// Ownership: the list owns all its texts (an arena), names of files too; what is given is copied,
// cut to a sane length, and bytes that could disturb a terminal become '?'. Not shared between
// threads.
#pragma once

#include "base/arena.h"

// Where a value came from. `file` is the name as the user knows it: a path, "--set KEY" or
// "environment NAME"; NULL = nowhere (a built-in default). Lines and columns count from 1, columns
// in characters; line 0 = the whole of `file`.
struct place {
	const char *file; // borrowed, terminated
	u32 line, column;
};

enum err_kind { ERR_ERROR, ERR_WARNING };

struct err {
	struct err *next;
	struct place place;
	u32 width; // characters the caret line underlines; at least 1
	u32 caret; // column in `source` where it starts (a long line is shown in part)
	u16 code;  // "E012"; the list stands in conf/codes.def
	u8 kind;   // enum err_kind
	const char *message;
	const char *source;  // the line of the file, or NULL
	const char *advice;  // "did you mean 'algorithm'?", or NULL
	const char *pointer; // "weir help pools.app.algorithm", or NULL
};

struct errs {
	struct arena arena;
	struct err *first, *last;
	struct err scratch;
	u32 error_count, warning_count; // all, also those beyond the kept ones
	u32 kept_count;
};

enum { ERRS_KEPT_MAX = 500 };

void errs_init(struct errs *errs);
void errs_done(struct errs *errs);

// Adds a finding and gives it back for `advice`, `source` and `pointer` to be set with errs_text.
// Beyond ERRS_KEPT_MAX findings are only counted, and a scratch finding is given back.
struct err *errs_add(struct errs *errs, enum err_kind kind, u16 code, struct place place, u32 width,
	const char *format, ...) printf_like(6, 7);

// A text that lives as long as the list.
const char *errs_text(struct errs *errs, const char *format, ...) printf_like(2, 3);

// Sets the source line of `err` from the whole text of its file; of a long line only the part
// around the place.
void errs_source(struct errs *errs, struct err *err, struct str text);

// Orders by file (first seen first), line and column. Call once, before printing.
void errs_sort(struct errs *errs);

// The human form: place, source line and advice of each, and the closing line "3 errors, 1 warning
// in 2 files." The text is taken from `arena` and zero-terminated. `colour` adds ANSI colours.
struct str errs_format(const struct errs *errs, struct arena *arena, bool colour);

// The same as one JSON array for editors and CI: file, line, column, width, kind, code, message,
// advice.
struct str errs_format_json(const struct errs *errs, struct arena *arena);
