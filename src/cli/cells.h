// SPDX-License-Identifier: Apache-2.0
// Lines whose width is known: text for a terminal, behind a growing text.
//
// Promises: each character is one column wide. A stranger's bytes never steer the terminal: control
// characters, what is not UTF-8 and what is not surely one column wide are shown as '?'. A line is
// never longer than `columns`. Where a terminal has ASCII only, our own signs have each their
// substitute; where it has no colours or no attributes at all, none are written.
#pragma once

#include "base/text.h"

enum cells_style {
	CELLS_PLAIN = 0,
	CELLS_BOLD = 1 << 0,
	CELLS_DIM = 1 << 1,
	CELLS_REVERSE = 1 << 2,
	CELLS_UNDERLINE = 1 << 3,
	CELLS_RED = 1 << 4,
	CELLS_GREEN = 1 << 5,
	CELLS_YELLOW = 1 << 6,
	CELLS_CYAN = 1 << 7,
};

struct cells_look {
	u32 columns; // 0: lines of any length
	bool is_ascii, has_colour, has_attributes;
};

struct cells {
	struct text *text; // borrowed
	struct cells_look look;
	u32 at;	   // columns of this line so far
	u32 base;  // styles that stay until the end of the line
	u32 style; // that is on
};

void cells_init(struct cells *cells, struct text *text, const struct cells_look *look);

void cells_style(struct cells *cells, u32 style); // of what follows; with `base`
void cells_put(struct cells *cells, struct str text);
void cells_printf(struct cells *cells, const char *format, ...) printf_like(2, 3);

// Exactly `width` columns: filled up with spaces behind it, or before it, or cut, the last column
// then an ellipsis.
void cells_left(struct cells *cells, struct str text, u32 width);

// As cells_left, but cut at its front: names differ at their ends.
void cells_name(struct cells *cells, struct str text, u32 width);
void cells_right(struct cells *cells, struct str text, u32 width);

void cells_fill(struct cells *cells, u32 upto); // spaces, until so many columns
void cells_end(struct cells *cells);		// of the line

// Columns that a text takes.
u32 cells_width(struct str text);

// Cuts a piece of at most `width` columns off the front of *rest, between words where it can.
struct str cells_wrap(struct str *rest, u32 width);

// What the environment says of the terminal's character set: ASCII when it names another one than
// UTF-8, or a terminal that is known to have few signs.
bool cells_is_ascii(char *const *environ);
