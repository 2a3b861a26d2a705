// SPDX-License-Identifier: Apache-2.0
#include "proto/client_hello.h"

enum {
	record_head_bytes = 5,
	record_body_max = 16 * 1024,
	record_handshake = 22,
	record_alert = 21,
	message_head_bytes = 4,
	message_client_hello = 1,
	random_bytes = 32,
	session_id_max = 32,
};

enum {
	extension_name = 0,
	extension_alpn = 16,
	extension_ech = 0xfe0d,
};

// Where in the bytes the message goes on: it lies in the bodies of records, one behind the other.
// All of it is there, as look_through has seen.
struct cursor {
	const char *at;
	size_t body_left; // of the present record
	size_t left;	  // of what may be read: the message, or a vector in it
};

static u32 read_u16(const char *at)
{
	return (u32)((u8)at[0] << 8 | (u8)at[1]);
}

// ---- Is all of it there? ------------------------------------------------------------------------

// One record's head, as much as there is of it.
static bool begins_like_tls(struct str head)
{
	return (u8)head.ptr[0] == record_handshake && (head.len < 2 || head.ptr[1] == 3);
}

static bool head_is_good(struct str head)
{
	return begins_like_tls(head) &&
	       (head.len < record_head_bytes ||
		       (read_u16(head.ptr + 3) != 0 && read_u16(head.ptr + 3) <= record_body_max));
}

// The message's own head, byte by byte: it may be cut by records too.
struct measure {
	u8 head[message_head_bytes];
	size_t got; // of the message, its head included
	size_t len; // of the whole message; 0: not known yet
};

static enum client_hello_state take_body(struct measure *measure, const char *body, size_t len)
{
	for (size_t i = 0; i < len && measure->got + i < message_head_bytes; i++)
		measure->head[measure->got + i] = (u8)body[i];
	measure->got += len;
	if (measure->got > 0 && measure->head[0] != message_client_hello)
		return CLIENT_HELLO_MALFORMED;
	if (measure->got < message_head_bytes)
		return CLIENT_HELLO_MORE;
	measure->len =
		message_head_bytes +
		((size_t)measure->head[1] << 16 | (size_t)measure->head[2] << 8 | measure->head[3]);
	if (measure->len > CLIENT_HELLO_BYTES_MAX - record_head_bytes)
		return CLIENT_HELLO_TOO_LARGE;
	return measure->got >= measure->len ? CLIENT_HELLO_DONE : CLIENT_HELLO_MORE;
}

// At least so many bytes more: the rest of the message, and the head of another record where the
// present one does not reach.
static size_t still_needed(const struct measure *measure, size_t body_missing)
{
	size_t missing = (measure->len ? measure->len : (size_t)message_head_bytes) - measure->got;

	return missing <= body_missing ? missing : missing + record_head_bytes;
}

// The message ends here, or goes on: within the bound?
static enum client_hello_state check_bound(const struct measure *measure,
	enum client_hello_state state, size_t at, size_t body_missing, size_t *ret_need)
{
	if (state == CLIENT_HELLO_DONE)
		at -= measure->got - measure->len;
	else if (state == CLIENT_HELLO_MORE)
		at += still_needed(measure, body_missing);
	*ret_need = at;
	return state <= CLIENT_HELLO_MORE && at > CLIENT_HELLO_BYTES_MAX ? CLIENT_HELLO_TOO_LARGE
									 : state;
}

static enum client_hello_state look_through(struct str bytes, size_t *ret_need, size_t *ret_len)
{
	struct measure measure = {.got = 0};
	enum client_hello_state state = CLIENT_HELLO_MORE;
	size_t at = 0;

	*ret_need = record_head_bytes;
	while (state == CLIENT_HELLO_MORE && bytes.len > at) {
		size_t left = bytes.len - at, body, here;
		struct str head = str_make(bytes.ptr + at, MIN(left, (size_t)record_head_bytes));

		if (!head_is_good(head))
			return at == 0 && !begins_like_tls(head) ? CLIENT_HELLO_NOT_TLS
								 : CLIENT_HELLO_MALFORMED;
		if (left < record_head_bytes)
			return CLIENT_HELLO_MORE;
		body = read_u16(head.ptr + 3);
		here = MIN(body, left - record_head_bytes);
		state = take_body(&measure, head.ptr + record_head_bytes, here);
		at += record_head_bytes + here;
		state = check_bound(&measure, state, at, body - here, ret_need);
	}
	*ret_len = measure.len;
	return state;
}

// ---- Reading ------------------------------------------------------------------------------------

static u8 next(struct cursor *cursor)
{
	if (cursor->body_left == 0) {
		cursor->body_left = read_u16(cursor->at + 3);
		cursor->at += record_head_bytes;
	}
	cursor->body_left--;
	cursor->left--;
	return (u8)*cursor->at++;
}

static bool take(struct cursor *cursor, size_t size, size_t *ret_value)
{
	size_t value = 0;

	if (cursor->left < size)
		return false;
	for (size_t i = 0; i < size; i++)
		value = value << 8 | next(cursor);
	*ret_value = value;
	return true;
}

static bool skip(struct cursor *cursor, size_t len)
{
	if (cursor->left < len)
		return false;
	cursor->left -= len;
	while (len) {
		size_t piece;

		if (cursor->body_left == 0) {
			cursor->body_left = read_u16(cursor->at + 3);
			cursor->at += record_head_bytes;
		}
		piece = MIN(len, cursor->body_left);
		cursor->at += piece;
		cursor->body_left -= piece;
		len -= piece;
	}
	return true;
}

// A vector with `size` bytes of length; it may be read until its end is reached: *ret_behind is
// what is left behind it.
static bool open_vector(struct cursor *cursor, size_t size, size_t *ret_behind)
{
	size_t len;

	if (!take(cursor, size, &len) || len > cursor->left)
		return false;
	*ret_behind = cursor->left - len;
	cursor->left = len;
	return true;
}

static void close_vector(struct cursor *cursor, size_t behind)
{
	cursor->left = behind;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '-' || c == '_' || c == '.';
}

// A list of exactly one name, of the only kind there is.
static bool read_name(struct cursor *cursor, struct client_hello *hello)
{
	size_t kind, len, behind;

	if (!open_vector(cursor, 2, &behind) || behind || !take(cursor, 1, &kind) || kind != 0 ||
		!take(cursor, 2, &len) || len == 0 || len != cursor->left ||
		len > CLIENT_HELLO_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		hello->name[i] = ascii_lower((char)next(cursor));
		if (!is_name_char(hello->name[i]))
			return false;
	}
	if (hello->name[len - 1] == '.')
		len--;
	hello->name_len = (u8)len;
	return len > 0;
}

static bool read_alpn(struct cursor *cursor, struct client_hello *hello)
{
	size_t behind, len;

	if (!open_vector(cursor, 2, &behind) || behind || cursor->left == 0)
		return false;
	hello->is_alpn_whole = true;
	while (cursor->left) {
		if (!take(cursor, 1, &len) || len == 0 || len > cursor->left)
			return false;
		if (!hello->is_alpn_whole || hello->alpn_len + 1 + len > CLIENT_HELLO_ALPN_MAX) {
			hello->is_alpn_whole = false;
			if (!skip(cursor, len))
				return false;
			continue;
		}
		hello->alpn[hello->alpn_len++] = (char)len;
		while (len--)
			hello->alpn[hello->alpn_len++] = (char)next(cursor);
	}
	return true;
}

// Those that are read may be there once.
struct seen {
	bool name, alpn;
};

static bool read_extension(struct cursor *cursor, struct client_hello *hello, struct seen *seen)
{
	size_t type, behind;
	bool is_good = true;

	if (!take(cursor, 2, &type) || !open_vector(cursor, 2, &behind))
		return false;
	if (type == extension_name) {
		is_good = !seen->name && read_name(cursor, hello);
		seen->name = true;
	} else if (type == extension_alpn) {
		is_good = !seen->alpn && read_alpn(cursor, hello);
		seen->alpn = true;
	} else {
		hello->has_ech |= type == extension_ech;
		is_good = skip(cursor, cursor->left);
	}
	if (!is_good || cursor->left)
		return false;
	close_vector(cursor, behind);
	return true;
}

static bool skip_vector(struct cursor *cursor, size_t size, size_t least, size_t most, size_t step)
{
	size_t len;

	return take(cursor, size, &len) && len >= least && len <= most && len % step == 0 &&
	       skip(cursor, len);
}

// struct ClientHello, RFC 8446 section 4.1.2. One of TLS 1.2 may end without extensions.
static bool read_message(struct cursor *cursor, struct client_hello *hello)
{
	struct seen seen = {0};
	size_t major, behind;

	if (!skip(cursor, message_head_bytes) || !take(cursor, 1, &major) || major != 3 ||
		!skip(cursor, 1 + random_bytes) || !skip_vector(cursor, 1, 0, session_id_max, 1) ||
		!skip_vector(cursor, 2, 2, UINT16_MAX, 2) ||
		!skip_vector(cursor, 1, 1, UINT8_MAX, 1))
		return false;
	if (cursor->left == 0)
		return true;
	if (!open_vector(cursor, 2, &behind) || behind)
		return false;
	while (cursor->left)
		if (!read_extension(cursor, hello, &seen))
			return false;
	return true;
}

enum client_hello_state client_hello_read(
	struct str bytes, struct client_hello *ret_hello, size_t *ret_need)
{
	struct client_hello hello = {0};
	struct cursor cursor = {.at = bytes.ptr};
	enum client_hello_state state = look_through(bytes, ret_need, &cursor.left);

	if (state != CLIENT_HELLO_DONE)
		return state;
	if (!read_message(&cursor, &hello))
		return CLIENT_HELLO_MALFORMED;
	*ret_hello = hello;
	return CLIENT_HELLO_DONE;
}

bool client_hello_offers(const struct client_hello *hello, struct str protocol)
{
	for (size_t at = 0; at < hello->alpn_len; at += 1u + (u8)hello->alpn[at])
		if (str_eq(str_make(hello->alpn + at + 1, (u8)hello->alpn[at]), protocol))
			return true;
	return false;
}

struct str client_hello_alert(enum tls_alert alert, char buffer[static TLS_ALERT_BYTES])
{
	const u8 bytes[TLS_ALERT_BYTES] = {record_alert, 3, 3, 0, 2, 2, (u8)alert};

	memcpy(buffer, bytes, sizeof(bytes));
	return str_make(buffer, sizeof(bytes));
}
