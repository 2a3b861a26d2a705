// SPDX-License-Identifier: Apache-2.0
#include "cli/cells.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/plan.h"

enum { piece_bytes = 512, unknown = '?' };

// ---- Characters ---------------------------------------------------------------------------------

struct range {
	u32 first, last;
};

// What is one column wide in all terminals that know UTF-8 (but where East Asian ambiguous
// characters are wide). Anything else would shift what stands behind it.
static const struct range narrow[] = {{0x20, 0x7e}, {0xa1, 0xac}, {0xae, 0x2ff}, {0x370, 0x377},
	{0x37a, 0x37f}, {0x384, 0x482}, {0x48a, 0x52f}, {0x2010, 0x2015}, {0x2018, 0x2027},
	{0x2030, 0x205e}, {0x20a0, 0x20bf}, {0x2190, 0x22ff}, {0x2500, 0x25fc}, {0x2713, 0x2718}};

struct substitute {
	const char *sign;
	char ascii;
};

static const struct substitute substitutes[] = {{"µ", 'u'}, {"×", 'x'}, {"…", '.'}, {"→", '>'},
	{"–", '-'}, {"▁", '_'}, {"▂", '.'}, {"▃", '-'}, {"▅", '='}, {"▇", '#'}, {"·", '.'},
	{"✖", 'X'}, {"▲", '!'}, {"●", '*'}, {"○", 'o'}, {"─", '-'}, {"│", '|'}, {"▼", 'v'},
	{"▸", '>'}};

static bool is_narrow(u32 code)
{
	for (u32 i = 0; i < ARRAY_LEN(narrow); i++)
		if (code >= narrow[i].first && code <= narrow[i].last)
			return true;
	return false;
}

// How many bytes the character at the front has, 0 when they are no UTF-8, and its code point.
static size_t decode(struct str text, u32 *ret_code)
{
	static const u32 least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)text.ptr[0];
	size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	u32 code = len == 1 ? first : len == 0 ? 0 : first & (0x7fu >> len);

	if (len == 0 || len > text.len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		unsigned char next = (unsigned char)text.ptr[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (next & 0x3f);
	}
	*ret_code = code;
	return code >= least[len] && code <= 0x10ffff ? len : 0;
}

// The next character of *rest, as it may be written.
static struct str next_character(struct str *rest)
{
	u32 code = 0;
	size_t len = decode(*rest, &code);
	struct str one = len && is_narrow(code) ? str_make(rest->ptr, len)
			 : code == 0xa0		? STR(" ")
						: STR("?");

	len = MAX(len, (size_t)1);
	*rest = str_make(rest->ptr + len, rest->len - len);
	return one;
}

static char substitute_for(struct str one)
{
	for (u32 i = 0; i < ARRAY_LEN(substitutes); i++)
		if (str_eq(one, str_from(substitutes[i].sign)))
			return substitutes[i].ascii;
	return unknown;
}

u32 cells_width(struct str text)
{
	u32 width = 0;

	for (; text.len; width++)
		(void)next_character(&text);
	return width;
}

struct str cells_wrap(struct str *rest, u32 width)
{
	struct str left = *rest, piece = {rest->ptr, 0};
	size_t word_end = 0;

	while (left.len && width > 0) {
		if (left.ptr[0] == ' ')
			word_end = (size_t)(left.ptr - rest->ptr);
		(void)next_character(&left);
		width--;
	}
	piece.len = (size_t)(left.ptr - rest->ptr);
	if (left.len && left.ptr[0] != ' ' && word_end)
		piece.len = word_end;
	*rest = str_make(rest->ptr + piece.len, rest->len - piece.len);
	*rest = str_trim(*rest);
	return piece;
}

bool cells_is_ascii(char *const *environ)
{
	const char *term = plan_variable(environ, "TERM");
	const char *set = plan_variable(environ, "LC_ALL");

	if (!set)
		set = plan_variable(environ, "LC_CTYPE");
	if (!set)
		set = plan_variable(environ, "LANG");
	if (term && (strcmp(term, "linux") == 0 || str_starts(str_from(term), STR("vt"))))
		return true;
	return set && !strcasestr(set, "utf-8") && !strcasestr(set, "utf8");
}

// ---- Lines --------------------------------------------------------------------------------------

void cells_init(struct cells *cells, struct text *text, const struct cells_look *look)
{
	*cells = (struct cells){.text = text, .look = *look};
}

void cells_style(struct cells *cells, u32 style)
{
	static const char *const codes[] = {"1", "2", "7", "4", "31", "32", "33", "36"};
	u32 colours = CELLS_RED | CELLS_GREEN | CELLS_YELLOW | CELLS_CYAN;

	style |= cells->base;
	if (!cells->look.has_colour)
		style &= ~colours;
	if (!cells->look.has_attributes)
		style &= colours;
	if (style == cells->style)
		return;
	cells->style = style;
	text_add(cells->text, STR("\033[0"));
	for (u32 i = 0; i < ARRAY_LEN(codes); i++)
		if (style & 1u << i)
			text_printf(cells->text, ";%s", codes[i]);
	text_addc(cells->text, 'm');
}

static u32 room_left(const struct cells *cells)
{
	return cells->look.columns ? cells->look.columns - cells->at : UINT32_MAX - cells->at;
}

static void put_most(struct cells *cells, struct str text, u32 width)
{
	width = MIN(width, room_left(cells));
	for (; text.len && width > 0; width--) {
		struct str one = next_character(&text);

		if (one.len > 1 && cells->look.is_ascii)
			text_addc(cells->text, substitute_for(one));
		else
			text_add(cells->text, one);
		cells->at++;
	}
}

void cells_put(struct cells *cells, struct str text)
{
	put_most(cells, text, UINT32_MAX);
}

void cells_printf(struct cells *cells, const char *format, ...)
{
	char piece[piece_bytes];
	va_list args;

	va_start(args, format);
	vsnprintf(piece, sizeof(piece), format, args);
	va_end(args);
	cells_put(cells, str_from(piece));
}

void cells_fill(struct cells *cells, u32 upto)
{
	while (cells->at < upto && room_left(cells))
		cells_put(cells, STR(" "));
}

static void put_cut(struct cells *cells, struct str text, u32 width)
{
	put_most(cells, text, width - 1);
	put_most(cells, STR("…"), 1);
}

void cells_left(struct cells *cells, struct str text, u32 width)
{
	u32 end = cells->at + width;

	if (width && cells_width(text) > width)
		put_cut(cells, text, width);
	else
		put_most(cells, text, width);
	cells_fill(cells, end);
}

void cells_name(struct cells *cells, struct str text, u32 width)
{
	u32 have = cells_width(text), end = cells->at + width;

	if (width && have > width) {
		put_most(cells, STR("…"), 1);
		for (; have >= width; have--)
			(void)next_character(&text);
	}
	put_most(cells, text, width);
	cells_fill(cells, end);
}

void cells_right(struct cells *cells, struct str text, u32 width)
{
	u32 have = cells_width(text);

	if (have < width)
		cells_fill(cells, cells->at + width - have);
	cells_left(cells, text, MIN(have, width));
}

// Plain lines are for files and pipes too: they have no spaces at their end.
void cells_end(struct cells *cells)
{
	struct text *text = cells->text;

	cells->base = 0;
	cells_style(cells, CELLS_PLAIN);
	while (!cells->look.has_attributes && cells->at && text->data[text->len - 1] == ' ') {
		text->len--;
		cells->at--;
	}
	text_addc(cells->text, '\n');
	cells->at = 0;
}
