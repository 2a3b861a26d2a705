// SPDX-License-Identifier: Apache-2.0
// Where does a run of allowed bytes end? The byte classes of RFC 9110 and 9112 as one table, and
// scanners that judge 16 bytes (SSE2) or 8 bytes (portable) at a time with the same answer. A test
// holds all of them against the table. Inside proto/ only.
#pragma once

#include "base/str.h"

enum {
	SCAN_TOKEN = 1,	  // RFC 9110 5.6.2
	SCAN_WORD = 2,	  // the tokens of everyday: letters, digits, "-", ".", "_"
	SCAN_VALUE = 4,	  // field value with its spaces: SP, VCHAR, obs-text (HTAB too: scan_value)
	SCAN_TARGET = 8,  // visible ASCII without "#"
	SCAN_HOST = 16,	  // RFC 3986 reg-name without escapes; no comma (two merged Hosts)
	SCAN_HEX = 32,	  // HEXDIG
	SCAN_PATH = 64,	  // what needs no thought in a path: not "%", "?", "."
	SCAN_QUOTED = 128 // inside a quoted-string: qdtext of RFC 9110 5.6.4
};

extern const u8 scan_classes[256];

static inline bool scan_is(char c, u8 class)
{
	return scan_classes[(unsigned char)c] & class;
}

// The reference: first byte in [at, end) that is not of `class`, or end.
static inline const char *scan_table(const char *at, const char *end, u8 class)
{
	while (at < end && scan_is(*at, class))
		at++;
	return at;
}

// RFC 9110 5.6.2; not empty.
static inline bool scan_is_token(struct str text)
{
	return text.len &&
	       scan_table(text.ptr, text.ptr + text.len, SCAN_TOKEN) == text.ptr + text.len;
}

static inline u64 scan_load64(const char *at)
{
	u64 word;

	memcpy(&word, at, sizeof(word));
	return word;
}

static inline u32 scan_load32(const char *at)
{
	u32 word;

	memcpy(&word, at, sizeof(word));
	return word;
}

// Tests build the parser thrice: as it is, portable (SCAN_PORTABLE), and by the table alone
// (SCAN_REFERENCE).
#if defined(__SSE2__) && !defined(SCAN_PORTABLE) && !defined(SCAN_REFERENCE)
#include <emmintrin.h>
#define SCAN_SSE2 1

typedef __m128i scan_stop_fn(__m128i bytes);

// Less than 16 bytes, filled up with zeros, without reading outside [at, at + len). Overlapping
// loads see the same bytes, so that they may be put together by OR.
static inline __m128i scan_load_part(const char *at, size_t len)
{
	u64 low, high = 0;

	if (len >= 8) {
		low = scan_load64(at);
		if (len > 8)
			high = scan_load64(at + len - 8) >> (8 * (16 - len));
	} else if (len >= 4) {
		low = scan_load32(at) | (u64)scan_load32(at + len - 4) << (8 * (len - 4));
	} else {
		low = (u64)(u8)at[0] | (u64)(u8)at[len / 2] << (8 * (len / 2)) |
		      (u64)(u8)at[len - 1] << (8 * (len - 1));
	}
	return _mm_set_epi64x((long long)high, (long long)low);
}

static inline __attribute__((always_inline)) const char *scan_sse2(
	const char *at, const char *end, scan_stop_fn *stop)
{
	unsigned mask;

	for (; end - at >= 16; at += 16) {
		mask = (unsigned)_mm_movemask_epi8(
			stop(_mm_loadu_si128((const __m128i *)(const void *)at)));
		if (mask)
			return at + __builtin_ctz(mask);
	}
	if (at == end)
		return end;
	mask = (unsigned)_mm_movemask_epi8(stop(scan_load_part(at, (size_t)(end - at))));
	return at + __builtin_ctz(mask | 1u << (end - at));
}

static inline __m128i scan_stop_value(__m128i bytes)
{
	__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);

	return _mm_or_si128(control, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
}

// Signed: bytes from 0x80 on count as smaller than the space.
static inline __m128i scan_stop_target(__m128i bytes)
{
	__m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8('!'));
	__m128i odd = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)),
		_mm_cmpeq_epi8(bytes, _mm_set1_epi8('#')));

	return _mm_or_si128(low, odd);
}

// A range check by one signed compare: the range is moved to the lowest signed values.
static inline __m128i scan_in_range(__m128i bytes, char first, char last)
{
	__m128i moved = _mm_add_epi8(bytes, _mm_set1_epi8((char)(0x80 - first)));

	return _mm_cmplt_epi8(moved, _mm_set1_epi8((char)(0x80 + last - first + 1)));
}

static inline __m128i scan_stop_word(__m128i bytes)
{
	__m128i letters = scan_in_range(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
	__m128i others = _mm_andnot_si128(
		_mm_cmpeq_epi8(bytes, _mm_set1_epi8('/')), scan_in_range(bytes, '-', '9'));
	__m128i good = _mm_or_si128(
		_mm_or_si128(letters, others), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')));

	return _mm_xor_si128(good, _mm_set1_epi8(-1));
}

static inline __m128i scan_stop_path(__m128i bytes)
{
	return _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('%')),
				    _mm_cmpeq_epi8(bytes, _mm_set1_epi8('?'))),
		_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
}

static inline __m128i scan_stop_upper(__m128i bytes)
{
	return scan_in_range(bytes, 'A', 'Z');
}

#define SCAN_FUNCTION(name, class)                                             \
	static inline const char *scan_##name(const char *at, const char *end) \
	{                                                                      \
		return scan_sse2(at, end, scan_stop_##name);                   \
	}

static inline bool scan_has_upper(const char *at, const char *end)
{
	return scan_sse2(at, end, scan_stop_upper) != end;
}

// Where the first colon stands in the 16 bytes at `at`; 16 when there is none.
static inline u32 scan_colon(const char *at)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
	int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(':')));

	return (u32)__builtin_ctz((unsigned)mask | 1u << 16);
}

// Are the first `len` (1 to 15) of the 16 bytes at `at` all of SCAN_WORD, and none of them "_"?
static inline bool scan_all_plain(const char *at, u32 len)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i odd =
		_mm_or_si128(scan_stop_word(bytes), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('_')));

	return (unsigned)_mm_movemask_epi8(odd) << (32 - len) == 0;
}

// Are the first `len` (1 to 15) of the 16 bytes at `at` all letters in lower case, digits, "-" or
// "."?
static inline bool scan_all_lower(const char *at, u32 len)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i others = _mm_andnot_si128(
		_mm_cmpeq_epi8(bytes, _mm_set1_epi8('/')), scan_in_range(bytes, '-', '9'));
	__m128i good = _mm_or_si128(scan_in_range(bytes, 'a', 'z'), others);

	return ~(unsigned)_mm_movemask_epi8(good) << (32 - len) == 0;
}

// Are the first `len` (1 to 15) of the 16 bytes at `at` those at `text`?
static inline bool scan_equal(const char *at, const char *text, u32 len)
{
	__m128i want = _mm_loadu_si128((const __m128i *)(const void *)text);
	__m128i have = _mm_loadu_si128((const __m128i *)(const void *)at);

	return ~(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(have, want)) << (32 - len) == 0;
}

// The byte at which a scanner stops, where there is one, and 16 bytes can be read from any byte
// before it on.
static inline __attribute__((always_inline)) const char *scan_roomy(
	const char *at, scan_stop_fn *stop)
{
	unsigned mask;

	do {
		mask = (unsigned)_mm_movemask_epi8(
			stop(_mm_loadu_si128((const __m128i *)(const void *)at)));
		at += 16;
	} while (unlikely(!mask));
	return at - 16 + __builtin_ctz(mask);
}

static inline const char *scan_value_stop(const char *at)
{
	return scan_roomy(at, scan_stop_value);
}

static inline const char *scan_target_stop(const char *at)
{
	return scan_roomy(at, scan_stop_target);
}

// How many of the 16 bytes at `at` come before one that scan_value stops at.
static inline u32 scan_value_start(const char *at)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);

	return (u32)__builtin_ctz((unsigned)_mm_movemask_epi8(scan_stop_value(bytes)) | 1u << 16);
}

// Are the first `len` (1 to 15) of the 16 bytes at `at` those at `text`, which is in lower case,
// but for the case of letters? Bit 6 marks the letters among the bytes that names are made of.
static inline bool scan_same(const char *at, const char *text, u32 len)
{
	__m128i want = _mm_loadu_si128((const __m128i *)(const void *)text);
	__m128i have = _mm_loadu_si128((const __m128i *)(const void *)at);
	__m128i fold = _mm_srli_epi16(_mm_and_si128(want, _mm_set1_epi8(0x40)), 1);
	int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(have, fold), want));

	return ~(unsigned)mask << (32 - len) == 0;
}

#else
#define SCAN_SSE2 0

static inline bool scan_has_upper(const char *at, const char *end)
{
	while (at < end && (u8)(*at - 'A') > 'Z' - 'A')
		at++;
	return at < end;
}

#define SCAN_EACH(byte) (0x0101010101010101ull * (byte))
#define SCAN_HIGH	SCAN_EACH(0x80)

// Not zero when a byte of the word is below `limit` (at most 0x80); high bytes never count.
static inline u64 scan_has_less(u64 word, u8 limit)
{
	return (word - SCAN_EACH((u64)limit)) & ~word & SCAN_HIGH;
}

static inline u64 scan_has(u64 word, u8 byte)
{
	return scan_has_less(word ^ SCAN_EACH((u64)byte), 1);
}

// These may stop for nothing (a borrow); the table then decides.
static inline u64 scan_stop_value(u64 word)
{
	return scan_has_less(word, ' ') | scan_has(word, 0x7f);
}

static inline u64 scan_stop_target(u64 word)
{
	return scan_has_less(word, '!') | scan_has(word, 0x7f) | scan_has(word, '#') |
	       (word & SCAN_HIGH);
}

static inline u64 scan_stop_word(u64 word)
{
	return word | 1; // short and of many ranges: left to the table
}

static inline u64 scan_stop_path(u64 word)
{
	return scan_has(word, '%') | scan_has(word, '?') | scan_has(word, '.');
}

typedef u64 scan_stop_fn(u64 word);

static inline __attribute__((always_inline)) const char *scan_words(
	const char *at, const char *end, scan_stop_fn *stop, u8 class)
{
	while (end - at >= 8) {
		const char *group_end = at + 8;

		if (stop(scan_load64(at)))
			at = scan_table(at, group_end, class);
		else
			at = group_end;
		if (at != group_end)
			return at;
	}
	return scan_table(at, end, class);
}

#define SCAN_FUNCTION(name, class)                                             \
	static inline const char *scan_##name(const char *at, const char *end) \
	{                                                                      \
		return scan_words(at, end, scan_stop_##name, class);           \
	}
#endif

// First byte in [at, end) that is not of the class, or end.
#ifdef SCAN_REFERENCE
#undef SCAN_FUNCTION
#define SCAN_FUNCTION(name, class)                                             \
	static inline const char *scan_##name(const char *at, const char *end) \
	{                                                                      \
		return scan_table(at, end, class);                             \
	}
#endif
SCAN_FUNCTION(value, SCAN_VALUE)
SCAN_FUNCTION(target, SCAN_TARGET)
SCAN_FUNCTION(word, SCAN_WORD)
SCAN_FUNCTION(path, SCAN_PATH)
