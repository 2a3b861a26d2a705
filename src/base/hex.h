// SPDX-License-Identifier: Apache-2.0
// Bytes as hexadecimal digits, in lower case, and back.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/base.h"

// The 32 digits of 16 bytes, which are those of two numbers as they lie in memory. They never pass
// through memory on their way into the vector: a wide load behind two narrow stores waits until all
// stores before it are through, cold ones included.
static inline void hex_put_16(char *text, u64 first, u64 second)
{
#ifdef __SSE2__
	__m128i bytes = _mm_set_epi64x((i64)second, (i64)first);
	__m128i low_mask = _mm_set1_epi8(15), nine = _mm_set1_epi8(9);
	__m128i low = _mm_and_si128(bytes, low_mask);
	__m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), low_mask);
	__m128i digits[2] = {_mm_unpacklo_epi8(high, low), _mm_unpackhi_epi8(high, low)};

	for (int i = 0; i < 2; i++) {
		__m128i letter = _mm_and_si128(
			_mm_cmpgt_epi8(digits[i], nine), _mm_set1_epi8('a' - '9' - 1));

		_mm_storeu_si128((__m128i *)(void *)(text + i * 16),
			_mm_add_epi8(_mm_add_epi8(digits[i], letter), _mm_set1_epi8('0')));
	}
#else
	const u64 numbers[2] = {first, second};
	const u8 *bytes = (const u8 *)numbers;

	for (int i = 0; i < 16; i++) {
		text[i * 2] = "0123456789abcdef"[bytes[i] >> 4];
		text[i * 2 + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
#endif
}

// The 16 digits of the 8 bytes of a number as they lie in memory.
static inline void hex_put_8(char *text, u64 number)
{
	char all[32];

	hex_put_16(all, number, 0);
	memcpy(text, all, 16);
}

// The value of a digit, 0 to 15; more than 15 for everything else, capital letters too.
static inline u32 hex_value(char digit)
{
	u32 number = (u32)(u8)digit - '0', letter = (u32)(u8)digit - 'a';

	return number <= 9 ? number : letter <= 5 ? letter + 10 : 16;
}

// `count` bytes from twice as many digits. False: something is no digit, and `bytes` is rubbish.
static inline bool hex_take(const char *text, u8 *bytes, size_t count)
{
	u32 wrong = 0;

	for (size_t i = 0; i < count; i++) {
		u32 high = hex_value(text[i * 2]), low = hex_value(text[i * 2 + 1]);

		wrong |= high | low;
		bytes[i] = (u8)(high << 4 | low);
	}
	return wrong < 16;
}
