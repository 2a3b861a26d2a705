// SPDX-License-Identifier: Apache-2.0
// Frames of HTTP/2 from records, which a fuzzer can change without breaking frames. Records are
// divided by the byte 0x1f: "NAME:VALUE" is a field (a colon in front belongs to the name),
// "=BYTES" is DATA, "#" ends a header section ("#" with anything behind it the stream too), "%"
// goes on to the next stream, "!" resets this one.
#pragma once

#include "fuzz_session.h"

enum { frames_separator = 0x1f, frame_bytes_max = 16 * 1024 };

struct frames {
	struct fuzz_text text, section;
	u32 stream;
	bool is_cut;  // header sections are
	bool is_open; // a header section has begun
};

static inline void frames_put_byte(struct fuzz_text *to, u32 byte)
{
	char c = (char)byte;

	fuzz_put(to, &c, 1);
}

static inline void frames_put(
	struct fuzz_text *to, u32 type, u32 flags, u32 stream, struct str payload)
{
	frames_put_byte(to, (u32)payload.len >> 16);
	frames_put_byte(to, (u32)payload.len >> 8);
	frames_put_byte(to, (u32)payload.len);
	frames_put_byte(to, type);
	frames_put_byte(to, flags);
	for (u32 shift = 32; shift; shift -= 8)
		frames_put_byte(to, stream >> (shift - 8));
	fuzz_put(to, payload.ptr, payload.len);
}

// RFC 7541 5.1, with a prefix of seven bits.
static inline void frames_put_number(struct fuzz_text *to, size_t number)
{
	if (number < 127) {
		frames_put_byte(to, (u32)number);
		return;
	}
	frames_put_byte(to, 127);
	for (number -= 127; number >= 128; number >>= 7)
		frames_put_byte(to, (u32)(number & 127) | 128);
	frames_put_byte(to, (u32)number);
}

// A literal field with a literal name, into no table (RFC 7541 6.2.2).
static inline void frames_put_field(struct fuzz_text *to, struct str record)
{
	size_t colon = 1;
	struct str name, value;

	while (colon < record.len && record.ptr[colon] != ':')
		colon++;
	name = str_make(record.ptr, MIN(colon, record.len));
	value = str_make(record.ptr + name.len, record.len - name.len);
	if (value.len)
		value = str_make(value.ptr + 1, value.len - 1);
	frames_put_byte(to, 0);
	frames_put_number(to, name.len);
	fuzz_put(to, name.ptr, name.len);
	frames_put_number(to, value.len);
	fuzz_put(to, value.ptr, value.len);
}

static inline void frames_end_section(struct frames *frames, bool end)
{
	struct str rest = str_make(frames->section.at, frames->section.len);
	size_t piece = frames->is_cut ? 40 : frame_bytes_max;
	u32 type = 1, end_stream = end ? 1 : 0;

	do {
		size_t len = MIN(rest.len, piece);
		bool last = len == rest.len;

		frames_put(&frames->text, type, end_stream | (last ? 4 : 0), frames->stream,
			str_make(rest.ptr, len));
		rest = str_make(rest.ptr + len, rest.len - len);
		type = 9;
		end_stream = 0;
		piece = frame_bytes_max; // few enough of them
	} while (rest.len);
	frames->section.len = 0;
	frames->is_open = false;
}

static inline void frames_add_record(struct frames *frames, struct str record, bool last)
{
	struct str rest = record.len ? str_make(record.ptr + 1, record.len - 1) : STR_EMPTY;

	switch (record.len ? record.ptr[0] : '#') {
	case '#':
		frames_end_section(frames, last || rest.len);
		break;
	case '=':
		if (frames->is_open)
			frames_end_section(frames, false);
		rest.len = MIN(rest.len, (size_t)frame_bytes_max);
		frames_put(&frames->text, 0, last ? 1 : 0, frames->stream, rest);
		break;
	case '%':
		if (frames->is_open)
			frames_end_section(frames, true);
		frames->stream += 2;
		break;
	case '!':
		frames_put(&frames->text, 3, 0, frames->stream, STR("\0\0\0\x8"));
		break;
	default:
		frames->is_open = true;
		frames_put_field(&frames->section, record);
	}
}

// The frames of all the records, from stream 1 on; what was in it is gone.
static inline void frames_make(struct frames *frames, struct str input, bool is_cut)
{
	frames->text.len = frames->section.len = 0;
	frames->stream = 1;
	frames->is_cut = is_cut;
	frames->is_open = false;
	while (input.len) {
		struct str record = str_cut(&input, frames_separator);

		frames_add_record(frames, record, input.len == 0 || input.ptr[0] == '%');
	}
	if (frames->is_open)
		frames_end_section(frames, true);
}
