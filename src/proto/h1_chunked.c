// SPDX-License-Identifier: Apache-2.0
// The chunked coding, byte by byte over its lines and in one step over its data. Lines are read by
// the letter of RFC 9112 7.1: anything else is how two readers come to see different bodies.
#include "proto/h1_parse.h"
#include "proto/scan.h"

enum { size_digits_max = 16 };

enum chunk_state {
	at_size, // first digit of a size
	in_size,
	behind_size,   // white space: only ";" may follow
	at_name,       // behind ";", with white space
	in_name,       // chunk-ext-name
	behind_name,   // white space: "=" or ";" must follow
	at_value,      // behind "=", with white space
	in_value,      // token
	in_quoted,     // quoted-string
	in_escape,     // behind a backslash in it
	behind_quoted, // its end
	behind_value,  // white space: ";" must follow
	at_line_feed,  // behind the CR of a line
	in_data,       //
	at_data_cr,    // behind the data
	at_data_line_feed,
	at_trailers, // behind the line of the last chunk
};

// The next state in or behind an extension, by its current state and a byte that is not the line's
// end; -1 when that byte may not come.
static int extension_step(enum chunk_state state, char c)
{
	bool token = scan_is(c, SCAN_TOKEN);

	switch (state) {
	case at_name:
		return ascii_is_blank(c) ? at_name : token ? in_name : -1;
	case in_name:
		if (token)
			return in_name;
		if (c == '=')
			return at_value;
		return c == ';' ? at_name : ascii_is_blank(c) ? behind_name : -1;
	case behind_name:
		return ascii_is_blank(c) ? behind_name
		       : c == '='	 ? at_value
		       : c == ';'	 ? at_name
					 : -1;
	case at_value:
		if (c == '"')
			return in_quoted;
		return ascii_is_blank(c) ? at_value : token ? in_value : -1;
	case in_value:
		if (token)
			return in_value;
		return c == ';' ? at_name : ascii_is_blank(c) ? behind_value : -1;
	case in_quoted:
		if (c == '"')
			return behind_quoted;
		return c == '\\' ? in_escape : scan_is(c, SCAN_QUOTED) ? in_quoted : -1;
	case in_escape:
		return scan_is(c, SCAN_VALUE) ? in_quoted : -1;
	case behind_quoted:
	case behind_value:
	case behind_size:
		return c == ';'		      ? at_name
		       : !ascii_is_blank(c)   ? -1
		       : state == behind_size ? behind_size
					      : behind_value;
	default:
		return -1;
	}
}

// One byte of a chunk's line. HTTP_REFUSE_OK or why not.
static enum http_refusal line_step(struct h1_chunked *chunked, char c)
{
	enum chunk_state state = chunked->state;
	bool may_end =
		state == in_size || state == in_name || state == in_value || state == behind_quoted;
	int next;

	if (state <= in_size && scan_is(c, SCAN_HEX)) {
		u8 digit = (u8)(ascii_is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);

		if (++chunked->size_digits > size_digits_max || chunked->left >> 59)
			return HTTP_REFUSE_CHUNK;
		chunked->left = chunked->left << 4 | digit;
		chunked->state = in_size;
		return HTTP_REFUSE_OK;
	}
	if (c == '\n')
		return HTTP_REFUSE_LINE_END;
	if (c == '\r') {
		chunked->state = at_line_feed;
		return may_end ? HTTP_REFUSE_OK : HTTP_REFUSE_CHUNK;
	}
	if (++chunked->extension_bytes > H1_EXTENSION_BYTES_MAX)
		return HTTP_REFUSE_CHUNK_EXTENSIONS;
	if (state == in_size)
		state = behind_size;
	next = extension_step(state, c);
	if (next < 0)
		return HTTP_REFUSE_CHUNK;
	chunked->state = (u8)next;
	return HTTP_REFUSE_OK;
}

// One byte outside the data. HTTP_REFUSE_OK or why not.
static enum http_refusal step(struct h1_chunked *chunked, char c)
{
	switch ((enum chunk_state)chunked->state) {
	case at_line_feed:
		if (c != '\n')
			return HTTP_REFUSE_LINE_END;
		chunked->state = chunked->left ? in_data : at_trailers;
		return HTTP_REFUSE_OK;
	case at_data_cr:
		chunked->state = at_data_line_feed;
		return c == '\r' ? HTTP_REFUSE_OK : HTTP_REFUSE_CHUNK;
	case at_data_line_feed:
		chunked->state = at_size;
		chunked->size_digits = 0;
		return c == '\n' ? HTTP_REFUSE_OK : HTTP_REFUSE_CHUNK;
	default:
		return line_step(chunked, c);
	}
}

enum h1_chunk_event h1_chunked_feed(struct h1_chunked *chunked, const char *buf, size_t len,
	size_t *ret_used, struct str *ret_data, enum http_refusal *ret_why)
{
	size_t used = 0;

	while (used < len && chunked->state != in_data && chunked->state != at_trailers) {
		enum http_refusal why = step(chunked, buf[used]);

		if (unlikely(why)) {
			*ret_why = why;
			*ret_used = used;
			return H1_CHUNK_BAD;
		}
		used++;
	}
	if (used == len) {
		*ret_used = used;
		return H1_CHUNK_MORE;
	}
	if (chunked->state == at_trailers) {
		chunked->trailers_follow = buf[used] != '\r';
		*ret_used = used;
		return H1_CHUNK_TRAILERS;
	}
	*ret_data = str_make(buf + used, (size_t)MIN((u64)(len - used), chunked->left));
	chunked->left -= ret_data->len;
	if (chunked->left == 0)
		chunked->state = at_data_cr;
	*ret_used = used + ret_data->len;
	return H1_CHUNK_DATA;
}
