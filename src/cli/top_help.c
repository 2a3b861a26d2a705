// SPDX-License-Identifier: Apache-2.0
// What the keys and words of weir top mean.
#include "cli/top_draw.h"

enum { narrow_columns = 38, wide_from = 78 };

// Each at most narrow_columns wide.
static const char *const left_lines[] = {
	"KEYS",
	"j k ↓ ↑  PgDn PgUp   choose a backend",
	"g G  Home End        first, last",
	"s S   sort by the next, the one before",
	"/     only names, states that contain…",
	"u     only what is not up and well",
	"Esc   all of them again",
	"d     drain it, or enable it again",
	"E     enable it",
	"e     what has changed",
	"q     quit",
	"",
	"SIGNS",
	"✖ out: gets no requests; or errors",
	"▲ slow, flapping, on trial",
	"○ as somebody ordered it",
	"· not checked yet   ● well",
	"",
};

static const char *const right_lines[] = {
	"WORDS",
	"up, slow    p50 or p99 4x its peers'",
	"up, fails   over 5% of its answers",
	"up, flaps   changed 4 times in 10m",
	"xPEERS      its p99 over that of the",
	"            others; what it is slow by",
	"CHG10M      changes in 10 minutes",
	"ERR/S       answers from 500 on, and",
	"            requests without a whole",
	"            answer",
	"ACTIVE      requests in flight",
	"half_open   its breaker lets a few",
	"            requests through",
	"ejected     out for a while by its",
	"            conduct",
};

static struct str line_at(u32 at)
{
	if (at < ARRAY_LEN(left_lines))
		return str_from(left_lines[at]);
	at -= (u32)ARRAY_LEN(left_lines);
	return at < ARRAY_LEN(right_lines) ? str_from(right_lines[at]) : STR_EMPTY;
}

static void put_line(struct cells *cells, struct str line)
{
	bool is_title = line.len && line.ptr[0] >= 'A' && line.ptr[0] <= 'Z' &&
			str_find(line, ' ') == line.len;

	cells_style(cells, is_title ? CELLS_BOLD | CELLS_UNDERLINE : CELLS_PLAIN);
	cells_left(cells, line, narrow_columns);
	cells_style(cells, CELLS_PLAIN);
}

// How many lines there are to scroll through.
u32 top_draw_help(struct cells *cells, u32 scroll, u32 lines)
{
	bool is_wide = cells->look.columns >= wide_from;
	u32 half = ARRAY_LEN(left_lines);
	u32 count = half + (is_wide ? 0 : (u32)ARRAY_LEN(right_lines));

	scroll = MIN(scroll, count > lines ? count - lines : 0);
	for (u32 i = 0; i < lines; i++) {
		u32 at = scroll + i;

		if (at < count)
			put_line(cells, line_at(at));
		if (at < count && is_wide) {
			cells_put(cells, STR("  "));
			put_line(cells, line_at(half + at));
		}
		cells_end(cells);
	}
	return count;
}
