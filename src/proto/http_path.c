// SPDX-License-Identifier: Apache-2.0
// Authorities and paths: what is well formed, and their normal form for routing.
#include <arpa/inet.h>

#include "proto/http.h"
#include "proto/scan.h"

// "[" IPv6 "]" without zone. Behind the bracket, or NULL. (IPvFuture has no user and is refused.)
static const char *ip_literal_end(const char *at, const char *end)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ip;
	size_t len = str_find(str_make(at + 1, (size_t)(end - at - 1)), ']');

	if (len >= sizeof(text) || at + 1 + len == end)
		return NULL;
	memcpy(text, at + 1, len);
	text[len] = 0;
	return inet_pton(AF_INET6, text, &ip) == 1 ? at + len + 2 : NULL;
}

static const char *reg_name_end(const char *at, const char *end)
{
	for (;;) {
		at = scan_table(at, end, SCAN_HOST);
		if (at == end || *at != '%')
			return at;
		if (end - at < 3 || !scan_is(at[1], SCAN_HEX) || !scan_is(at[2], SCAN_HEX))
			return NULL;
		at += 3;
	}
}

// ":" and up to five digits, 1 to 65535 or none at all (RFC 3986 3.2.3).
static inline bool port_valid(const char *at, const char *end)
{
	size_t len = (size_t)(end - at) - 1;
	u32 port = 0;

	if (*at != ':' || len > 5)
		return false;
	for (const char *digit = at + 1; digit < end; digit++) {
		u32 value = (u32)(*digit - '0');

		if (unlikely(value > 9))
			return false;
		port = port * 10 + value;
	}
	return port - 1 < 65535 || len == 0;
}

// A host with other bytes than those of everyday, the first of them at `at`.
static __attribute__((noinline)) bool odd_host_valid(struct str authority, const char *at)
{
	const char *end = authority.ptr + authority.len;

	at = *authority.ptr == '[' ? ip_literal_end(authority.ptr, end) : reg_name_end(at, end);
	if (!at || at == authority.ptr)
		return false;
	return at == end || port_valid(at, end);
}

bool http_authority_valid(struct str authority)
{
	const char *end = authority.ptr + authority.len;
	const char *at = scan_word(authority.ptr, end);

	if (at == end)
		return authority.len > 0;
	if (unlikely(*at != ':' || at == authority.ptr))
		return odd_host_valid(authority, at);
	return port_valid(at, end);
}

static inline u64 lower_case_word(u64 word)
{
	const u64 each = 0x0101010101010101ull, high = each * 0x80;
	u64 low = word & ~high;
	u64 from_a = low + each * (0x80 - 'A'), above_z = low + each * (0x7f - 'Z');

	return word | (from_a & ~above_z & ~word & high) >> 2;
}

static void lower_case(char *to, const char *from, size_t len)
{
	const char *last = from + len - 8;

	if (len < 8) {
		for (size_t i = 0; i < len; i++)
			to[i] = ascii_lower(from[i]);
		return;
	}
	// The last group may overlap the one before: the same bytes are written twice.
	for (const char *at = from;; at = MIN(at + 8, last)) {
		u64 word = lower_case_word(scan_load64(at));

		memcpy(to + (at - from), &word, sizeof(word));
		if (at == last)
			return;
	}
}

struct str http_host_of(struct str authority, char *buffer)
{
	const char *start = authority.ptr, *end = start + authority.len, *at = end;

	while (at > start && ascii_is_digit(at[-1]))
		at--;
	if (at > start && at[-1] == ':')
		end = at - 1;
	lower_case(buffer, start, (size_t)(end - start));
	return str_make(buffer, (size_t)(end - start));
}

static u8 hex_value(char c)
{
	return (u8)(ascii_is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
}

// Reads "%XX" at `at`.
static enum http_refusal escape_read(const char *at, const char *end, u8 *ret_byte)
{
	if (end - at < 3 || !scan_is(at[1], SCAN_HEX) || !scan_is(at[2], SCAN_HEX))
		return HTTP_REFUSE_PATH_ESCAPE;
	*ret_byte = (u8)(hex_value(at[1]) << 4 | hex_value(at[2]));
	return *ret_byte == 0 ? HTTP_REFUSE_PATH_NUL : HTTP_REFUSE_OK;
}

// Is the escaped byte the lead of an overlong UTF-8 sequence: another spelling of a shorter one,
// with which "/" or "." is smuggled past a filter (RFC 3629 10)?
static bool escape_overlong(u8 byte, const char *behind, const char *end)
{
	u8 next;

	if (likely(byte < 0xc0) || end == behind || *behind != '%' ||
		escape_read(behind, end, &next))
		return false;
	switch (byte) {
	case 0xc0:
	case 0xc1:
		return next >= 0x80 && next <= 0xbf;
	case 0xe0:
		return next >= 0x80 && next <= 0x9f;
	case 0xf0:
		return next >= 0x80 && next <= 0x8f;
	default:
		return false;
	}
}

static bool is_unreserved(u8 byte)
{
	return byte == '~' || scan_is((char)byte, SCAN_WORD);
}

// Writes the segment that starts at `at` (behind its "/") in its normal form, up to the next "/" or
// the end.
static enum http_refusal segment_copy(
	const char **at, const char *end, char *buffer, size_t *ret_len)
{
	static const char digits[16] = "0123456789ABCDEF";
	size_t len = 0;
	u8 byte;

	while (*at < end && **at != '/') {
		enum http_refusal why;

		if (**at != '%') {
			buffer[len++] = *(*at)++;
			continue;
		}
		why = escape_read(*at, end, &byte);
		if (why)
			return why;
		*at += 3;
		if (escape_overlong(byte, *at, end))
			return HTTP_REFUSE_PATH_ESCAPE;
		if (is_unreserved(byte)) {
			buffer[len++] = (char)byte;
		} else {
			buffer[len++] = '%';
			buffer[len++] = digits[byte >> 4];
			buffer[len++] = digits[byte & 15];
		}
	}
	*ret_len = len;
	return HTTP_REFUSE_OK;
}

// RFC 3986 5.2.4 over segments whose escapes are already in their normal form. `path` begins with
// "/" and has no query.
static enum http_refusal normalize_slowly(struct str path, char *buffer, struct str *ret_normal)
{
	const char *at = path.ptr, *end = path.ptr + path.len;
	size_t len = 0, segment;

	while (at < end) {
		enum http_refusal why;
		bool last;

		at++;
		buffer[len++] = '/';
		why = segment_copy(&at, end, buffer + len, &segment);
		if (why)
			return why;
		last = at == end;
		if (segment == 1 && buffer[len] == '.') {
			len -= !last;
		} else if (segment == 2 && buffer[len] == '.' && buffer[len + 1] == '.') {
			if (len == 1)
				return HTTP_REFUSE_PATH_ABOVE_ROOT;
			len--;
			while (buffer[--len] != '/')
				;
			len += last;
		} else {
			len += segment;
		}
	}
	*ret_normal = str_make(buffer, len);
	return HTTP_REFUSE_OK;
}

// Is the dot at `at`, which is behind a "/", a dot segment? An escaped dot is found by itself,
// since it is never normal.
static bool is_dot_segment(const char *at, const char *end)
{
	at++;
	if (at < end && *at == '.')
		at++;
	return at == end || *at == '/' || *at == '?';
}

// A path with something to think about at `at`: most of them turn out to be normal all the same.
static __attribute__((noinline)) enum http_refusal normalize_odd(
	struct str path, const char *at, char *buffer, struct str *ret_normal)
{
	const char *end = path.ptr + path.len;
	u8 byte;

	for (; at < end && *at != '?'; at = scan_path(at, end)) {
		enum http_refusal why;

		if (*at == '.') {
			if (at[-1] == '/' && is_dot_segment(at, end))
				break;
			at++;
			continue;
		}
		why = escape_read(at, end, &byte);
		if (why)
			return why;
		if (escape_overlong(byte, at + 3, end))
			return HTTP_REFUSE_PATH_ESCAPE;
		if (is_unreserved(byte) || at[1] >= 'a' || at[2] >= 'a')
			break;
		at += 3;
	}
	if (at == end || *at == '?') {
		*ret_normal = str_make(path.ptr, (size_t)(at - path.ptr));
		return HTTP_REFUSE_OK;
	}
	return normalize_slowly(str_make(path.ptr, str_find(path, '?')), buffer, ret_normal);
}

enum http_refusal http_path_normalize(struct str path, char *buffer, struct str *ret_normal)
{
	const char *end = path.ptr + path.len, *at;

	if (unlikely(path.len == 0 || path.ptr[0] != '/')) {
		*ret_normal = path;
		return HTTP_REFUSE_OK;
	}
	at = scan_path(path.ptr, end);
	if (unlikely(at < end && *at != '?'))
		return normalize_odd(path, at, buffer, ret_normal);
	*ret_normal = str_make(path.ptr, (size_t)(at - path.ptr));
	return HTTP_REFUSE_OK;
}
