// SPDX-License-Identifier: Apache-2.0
#include "base/log_text.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { PLAIN = 0, ESCAPED = 1, QUOTED = 2 }; // what a byte asks for in a value

// clang-format off
static const u8 byte_class[256] = {
	[0x00 ... 0x1f] = ESCAPED, [0x7f ... 0xff] = ESCAPED, ['"'] = ESCAPED, ['\\'] = ESCAPED,
	[' '] = QUOTED, ['='] = QUOTED, ['{'] = QUOTED, ['}'] = QUOTED,
};
// clang-format on

static const char hex_digits[] = "0123456789abcdef";

// ---- Integers -----------------------------------------------------------------------------------

const char log_digit_pairs[] = "00010203040506070809"
			       "10111213141516171819"
			       "20212223242526272829"
			       "30313233343536373839"
			       "40414243444546474849"
			       "50515253545556575859"
			       "60616263646566676869"
			       "70717273747576777879"
			       "80818283848586878889"
			       "90919293949596979899";

char *log_put_large(char *at, u64 value)
{
	u32 groups[5], count = 0; // of four digits, the last ones first

	do {
		groups[count++] = (u32)(value % 10000);
		value /= 10000;
	} while (value >= 10000);
	at = log_put_u64(at, value);
	while (count--) {
		memcpy(at, &log_digit_pairs[groups[count] / 100 * 2], 2);
		memcpy(at + 2, &log_digit_pairs[groups[count] % 100 * 2], 2);
		at += 4;
	}
	return at;
}

void log_text_u64(struct log_text *text, u64 value)
{
	char digits[20], *at = digits + sizeof(digits);

	while (value >= 100) {
		at -= 2;
		memcpy(at, &log_digit_pairs[value % 100 * 2], 2);
		value /= 100;
	}
	if (value >= 10) {
		at -= 2;
		memcpy(at, &log_digit_pairs[value * 2], 2);
	} else {
		*--at = (char)('0' + value);
	}
	log_text_bytes(text, at, (size_t)(digits + sizeof(digits) - at));
}

void log_text_i64(struct log_text *text, i64 value)
{
	if (value < 0)
		log_text_char(text, '-');
	log_text_u64(text, value < 0 ? 0 - (u64)value : (u64)value);
}

static void put_digits(char *at, u64 value, u32 digits)
{
	while (digits > 0) {
		at[--digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

void log_text_digits(struct log_text *text, u64 value, u32 digits)
{
	char buffer[20];

	ASSERT(digits >= 1 && digits <= sizeof(buffer));
	put_digits(buffer, value, digits);
	log_text_bytes(text, buffer, digits);
}

// ---- Strangers' bytes ---------------------------------------------------------------------------

// The code point at the start of `value` and its length in bytes, or 0 when this is not UTF-8
// (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
static size_t utf8_decode(struct str value, u32 *ret_point)
{
	static const u32 smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	u8 first = (u8)value.ptr[0];
	size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	u32 point = first & (0x7fu >> len);

	if (first < 0xc2 || first > 0xf4 || value.len < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		u8 byte = (u8)value.ptr[i];

		if ((byte & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (byte & 0x3f);
	}
	if (point < smallest[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	*ret_point = point;
	return len;
}

static size_t put_unicode(char *at, u32 unit)
{
	at[0] = '\\';
	at[1] = 'u';
	for (int i = 0; i < 4; i++)
		at[2 + i] = hex_digits[unit >> (12 - 4 * i) & 15];
	return 6;
}

enum { ESCAPE_BYTES_MAX = 12 }; // a surrogate pair

// One escape for the start of `value` into `buffer`: gives its length, and how many bytes of the
// value it stands for.
static size_t make_escape(
	struct str value, enum log_escape escape, char buffer[ESCAPE_BYTES_MAX], size_t *ret_used)
{
	u8 byte = (u8)value.ptr[0];
	size_t len = 0;
	u32 point;

	*ret_used = 1;
	buffer[0] = '\\';
	if (byte == '"' || byte == '\\') {
		buffer[1] = (char)byte;
		return 2;
	}
	if (escape == LOG_ESCAPE_JSON) {
		if (byte < 0x80)
			return put_unicode(buffer, byte);
		len = utf8_decode(value, &point);
		if (len) {
			*ret_used = len;
			if (point < 0x10000)
				return put_unicode(buffer, point);
			point -= 0x10000;
			len = put_unicode(buffer, 0xd800 + (point >> 10));
			return len + put_unicode(buffer + len, 0xdc00 + (point & 0x3ff));
		}
		buffer[++len] = '\\'; // the reader of the object sees \xNN
	}
	buffer[++len] = 'x';
	buffer[++len] = hex_digits[byte >> 4];
	buffer[++len] = hex_digits[byte & 15];
	return len + 1;
}

// Does one of these eight bytes need an escape? Each term sets a byte's highest bit where that byte
// is out of bounds: not ASCII, 0x7f, below a space, a quote, a backslash. Borrows and carries into
// the next byte come only from bytes that are out of bounds themselves.
static inline bool word_has_escaped(const char *bytes)
{
	const u64 ones = 0x0101010101010101;
	u64 word, found;

	memcpy(&word, bytes, 8);
	found = word | (word + ones) | (word - ones * ' ') | ((word ^ (ones * '"')) - ones) |
		((word ^ (ones * '\\')) - ones);
	return (found & (ones * 0x80)) != 0;
}

// How many bytes at the start need no escape.
static size_t plain_run(const char *bytes, size_t len)
{
	size_t run = 0;

	while (len - run >= 8 && !word_has_escaped(bytes + run))
		run += 8;
	if (len - run < 8 && len >= 8 && !word_has_escaped(bytes + len - 8))
		return len;
	while (run < len && !(byte_class[(u8)bytes[run]] & ESCAPED))
		run++;
	return run;
}

#ifdef __SSE2__
// A byte of the result is set where a byte needs an escape: below a space, which those that are not
// ASCII are as signed numbers, 0x7f, a quote, a backslash.
static inline __m128i escaped_of(__m128i bytes)
{
	__m128i out = _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')),
		_mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
	__m128i ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
		_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')));

	return _mm_or_si128(out, ends);
}

static inline __m128i load_16(const char *from)
{
	return _mm_loadu_si128((const __m128i *)(const void *)from);
}

static inline void store_16(char *to, __m128i bytes)
{
	_mm_storeu_si128((__m128i *)(void *)to, bytes);
}

// Copies and looks at the same time. False: some byte needs an escape, and `to` is rubbish.
static inline bool copy_plain(char *to, const char *from, size_t len)
{
	__m128i found = _mm_setzero_si128(), bytes;

	if (len >= 16) {
		for (size_t at = 0; at + 16 < len; at += 16) {
			bytes = load_16(from + at);
			store_16(to + at, bytes);
			found = _mm_or_si128(found, escaped_of(bytes));
		}
		bytes = load_16(from + len - 16); // again some of those before
		store_16(to + len - 16, bytes);
	} else if (len >= 8) {
		u64 first, last;

		memcpy(&first, from, 8);
		memcpy(&last, from + len - 8, 8);
		memcpy(to, &first, 8);
		memcpy(to + len - 8, &last, 8);
		bytes = _mm_set_epi64x((i64)last, (i64)first);
	} else {
		bool plain = true;

		for (size_t at = 0; at < len; at++) {
			to[at] = from[at];
			plain &= !(byte_class[(u8)from[at]] & ESCAPED);
		}
		return plain;
	}
	return _mm_movemask_epi8(_mm_or_si128(found, escaped_of(bytes))) == 0;
}
#else
static inline bool copy_plain(char *to, const char *from, size_t len)
{
	if (plain_run(from, len) < len)
		return false;
	memcpy(to, from, len);
	return true;
}
#endif

// log_text_escaped for what is not simply copied.
static void escape_slowly(
	struct log_text *text, struct str value, enum log_escape escape, size_t bytes_max)
{
	size_t room = (size_t)(text->end - text->at), max = MIN(room, bytes_max);
	size_t at = 0, used = 0, dots_at = 0; // dots_at: the last place where "..." would still fit
	char *out = text->at;

	while (used < value.len) {
		char one[ESCAPE_BYTES_MAX];
		const char *piece = value.ptr + used;
		size_t run = plain_run(piece, value.len - used), step = run;

		if (run == 0) {
			run = make_escape(str_make(piece, value.len - used), escape, one, &step);
			piece = one;
		} else if (at + run > max && at + 3 <= max) {
			memcpy(out + at, piece, max - at); // plain bytes can be cut anywhere
			dots_at = max - 3;
			break;
		}
		if (at + run > max)
			break;
		memcpy(out + at, piece, run);
		at += run;
		used += step;
		if (at + 3 <= max)
			dots_at = at;
		else if (piece != one && at - run + 3 <= max)
			dots_at = max - 3;
	}
	if (used < value.len) {
		if (max >= 3) {
			memcpy(out + dots_at, "...", 3);
			at = dots_at + 3;
		}
		text->cut |= room < bytes_max;
	}
	text->at = out + at;
}

void log_text_escaped(
	struct log_text *text, struct str value, enum log_escape escape, size_t bytes_max)
{
	size_t room = (size_t)(text->end - text->at);

	if (likely(value.len <= MIN(room, bytes_max) &&
		    copy_plain(text->at, value.ptr, value.len))) {
		text->at += value.len;
		return;
	}
	escape_slowly(text, value, escape, bytes_max);
}

char *log_put_escaped(char *at, struct str value, enum log_escape escape, size_t bytes_max)
{
	struct log_text text;

	if (likely(value.len <= bytes_max && copy_plain(at, value.ptr, value.len)))
		return at + value.len;
	log_text_init(&text, at, bytes_max);
	escape_slowly(&text, value, escape, bytes_max);
	return text.at;
}

bool log_text_is_bare(struct str value)
{
	u8 all = 0;

	for (size_t i = 0; i < value.len; i++)
		all |= byte_class[(u8)value.ptr[i]];
	return all == PLAIN && value.len > 0;
}

// ---- Addresses ----------------------------------------------------------------------------------

static void put_ipv4(struct log_text *text, const u8 ip[static 4])
{
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			log_text_char(text, '.');
		log_text_u64(text, ip[i]);
	}
}

void log_text_ip(struct log_text *text, const struct addr *addr)
{
	char buffer[ADDR_TEXT_MAX];
	size_t len;

	if (addr->family == ADDR_V4) {
		put_ipv4(text, addr->ip);
		return;
	}
	len = addr_format_ip(addr, buffer);
	log_text_escaped(text, str_make(buffer, len), LOG_ESCAPE_TEXT, sizeof(buffer) * 4);
}

void log_text_addr(struct log_text *text, const struct addr *addr)
{
	char buffer[ADDR_TEXT_MAX];
	size_t len;

	if (addr->family == ADDR_V4) {
		put_ipv4(text, addr->ip);
		log_text_char(text, ':');
		log_text_u64(text, addr->port);
		return;
	}
	len = addr_format(addr, buffer);
	log_text_escaped(text, str_make(buffer, len), LOG_ESCAPE_TEXT, sizeof(buffer) * 4);
}

// ---- Dates --------------------------------------------------------------------------------------

struct date {
	u32 year, month, day, hour, minute, second; // month 1 to 12
};

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

// Gregorian calendar, counted in years that begin in March, so that the leap day is the last one.
static struct date date_of(u64 unix_second)
{
	u64 days = unix_second / 86400 + 719468; // since 0000-03-01
	u32 of_day = (u32)(unix_second % 86400);
	u64 era = days / 146097, of_era = days % 146097;
	u64 year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	u64 of_year = of_era - (365 * year + year / 4 - year / 100);
	u64 month = (5 * of_year + 2) / 153; // 0 = March

	return (struct date){
		.year = (u32)(year + era * 400 + (month >= 10)),
		.month = (u32)(month < 10 ? month + 3 : month - 9),
		.day = (u32)(of_year - (153 * month + 2) / 5 + 1),
		.hour = of_day / 3600,
		.minute = of_day / 60 % 60,
		.second = of_day % 60,
	};
}

static void put_time(char *at, const struct date *date)
{
	put_digits(at, date->hour, 2);
	at[2] = ':';
	put_digits(at + 3, date->minute, 2);
	at[5] = ':';
	put_digits(at + 6, date->second, 2);
}

void log_clock_set(struct log_clock *clock, i64 wall_ms)
{
	const i64 last = 253402300799; // the end of 9999
	i64 second = MIN(MAX(wall_ms / 1000, 0), last);
	struct date date;

	if (likely(clock->made && clock->second == second))
		return;
	clock->second = second;
	clock->made = true;

	date = date_of((u64)second);
	put_digits(clock->iso, date.year, 4);
	clock->iso[4] = '-';
	put_digits(clock->iso + 5, date.month, 2);
	clock->iso[7] = '-';
	put_digits(clock->iso + 8, date.day, 2);
	clock->iso[10] = 'T';
	put_time(clock->iso + 11, &date);

	put_digits(clock->clf, date.day, 2);
	clock->clf[2] = '/';
	memcpy(clock->clf + 3, &month_names[(date.month - 1) * 3], 3);
	clock->clf[6] = '/';
	put_digits(clock->clf + 7, date.year, 4);
	clock->clf[11] = ':';
	put_time(clock->clf + 12, &date);
	memcpy(clock->clf + 20, " +0000", 6);

	date = date_of((u64)MIN(MAX(second + clock->offset_s, 0), last));
	memcpy(clock->human, &month_names[(date.month - 1) * 3], 3);
	clock->human[3] = ' ';
	put_digits(clock->human + 4, date.day, 2);
	clock->human[6] = ' ';
	put_time(clock->human + 7, &date);
}
