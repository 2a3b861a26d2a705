// SPDX-License-Identifier: Apache-2.0
#include "reader.h"

#include <stdlib.h>

enum state {
	IN_HEAD,
	IN_LENGTH,
	IN_CHUNK_LINE,
	IN_CHUNK,
	IN_CHUNK_END,
	IN_TRAILERS,
	IN_TO_END,
	IN_RAW,
};

static void fail(struct reader *reader, const char *why)
{
	if (!reader->error)
		reader->error = why;
}

void reader_init(struct reader *reader, bool request, const struct reader_events *events)
{
	reader->events = events;
	reader->error = NULL;
	reader->left = reader->at = 0;
	reader->len = 0;
	reader->state = IN_HEAD;
	reader->framing = READ_NONE;
	reader->request = request;
	reader->no_body = reader->raw = reader->paused = false;
}

bool reader_is_idle(const struct reader *reader)
{
	return reader->state == IN_HEAD && reader->len == 0;
}

void reader_go_raw(struct reader *reader)
{
	reader->state = IN_RAW;
	reader->raw = true;
	reader->at = 0;
}

const struct str *message_find(const struct read_message *message, const char *name)
{
	for (u32 i = 0; i < message->count; i++)
		if (str_eq_nocase(message->fields[i].name, str_from(name)))
			return &message->fields[i].value;
	return NULL;
}

u32 message_count(const struct read_message *message, const char *name)
{
	u32 count = 0;

	for (u32 i = 0; i < message->count; i++)
		count += str_eq_nocase(message->fields[i].name, str_from(name));
	return count;
}

static bool is_token(struct str text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i], low = (char)(c | 0x20);

		if (!(low >= 'a' && low <= 'z') && !ascii_is_digit(c) &&
			(c == 0 || !strchr(others, c)))
			return false;
	}
	return text.len > 0;
}

// One line without its CRLF; a bare CR or LF or NUL is an error.
static bool next_line(struct reader *reader, struct str *rest, struct str *ret_line)
{
	for (size_t i = 0; i < rest->len; i++) {
		char c = rest->ptr[i];

		if (c == '\n' || c == 0 || (c == '\r' && rest->ptr[i + 1] != '\n')) {
			fail(reader, "bare CR, bare LF or NUL in a head");
			return false;
		}
		if (c == '\r') {
			*ret_line = str_make(rest->ptr, i);
			*rest = str_make(rest->ptr + i + 2, rest->len - i - 2);
			return true;
		}
	}
	fail(reader, "head without an end");
	return false;
}

static bool read_fields(struct reader *reader, struct str rest, struct read_message *message)
{
	struct str line;

	message->count = 0;
	while (next_line(reader, &rest, &line) && line.len) {
		struct str value = line, name = str_cut(&value, ':');

		if (message->count == READER_FIELDS_MAX) {
			fail(reader, "too many fields");
			return false;
		}
		if (!is_token(name) || name.len == line.len) {
			fail(reader, "field name is no token");
			return false;
		}
		message->fields[message->count].name = name;
		message->fields[message->count++].value = str_trim(value);
	}
	return !reader->error;
}

static bool read_version(struct str text, u8 *ret_minor)
{
	if (text.len != 8 || memcmp(text.ptr, "HTTP/1.", 7) != 0 ||
		(text.ptr[7] != '0' && text.ptr[7] != '1'))
		return false;
	*ret_minor = (u8)(text.ptr[7] - '0');
	return true;
}

static bool read_start(struct reader *reader, struct str line, struct read_message *message)
{
	struct str rest = line, first = str_cut(&rest, ' ');

	if (reader->request) {
		message->method = first;
		message->target = str_cut(&rest, ' ');
		if (!is_token(first) || message->target.len == 0 ||
			!read_version(rest, &message->minor))
			fail(reader, "malformed request line");
	} else {
		struct str status = str_cut(&rest, ' ');
		u64 number;

		if (!read_version(first, &message->minor) || status.len != 3 ||
			str_to_u64(status, 599, &number) != 0 || number < 100)
			fail(reader, "malformed status line");
		else
			message->status = (u16)number;
	}
	return !reader->error;
}

static void read_connection(struct read_message *message)
{
	const struct str *field = message_find(message, "connection");
	struct str rest = field ? *field : STR_EMPTY;

	message->close = message->keep_alive = message->upgrade = false;
	while (rest.len) {
		struct str option = str_trim(str_cut(&rest, ','));

		message->close |= str_eq_nocase(option, STR("close"));
		message->keep_alive |= str_eq_nocase(option, STR("keep-alive"));
		message->upgrade |= str_eq_nocase(option, STR("upgrade"));
	}
}

static void read_framing(struct reader *reader, struct read_message *message)
{
	u32 lengths = message_count(message, "content-length");
	u32 codings = message_count(message, "transfer-encoding");
	bool bodiless = !reader->request &&
			(message->status < 200 || message->status == 204 || message->status == 304);

	message->has_length = lengths > 0;
	message->length = 0;
	if (lengths + codings > 1)
		fail(reader, "more than one framing field");
	if (message_count(message, "connection") > 1)
		fail(reader, "more than one Connection field");
	message->framing = reader->request || bodiless || reader->no_body ? READ_NONE : READ_TO_END;
	if (lengths) {
		if (str_to_u64(*message_find(message, "content-length"), INT64_MAX,
			    &message->length) != 0)
			fail(reader, "malformed Content-Length");
		if (!bodiless && !reader->no_body)
			message->framing = READ_LENGTH;
	} else if (codings) {
		if (!str_eq(*message_find(message, "transfer-encoding"), STR("chunked")) ||
			message->minor == 0)
			fail(reader, "Transfer-Encoding is not chunked");
		if (bodiless)
			fail(reader, "Transfer-Encoding where no body can be");
		if (!reader->no_body)
			message->framing = READ_CHUNKED;
	}
}

static void end_message(struct reader *reader, const struct read_message *trailers)
{
	reader->state = IN_HEAD;
	reader->len = 0;
	reader->events->on_end(reader, trailers);
}

static void enter_body(struct reader *reader)
{
	const struct read_message *message = &reader->message;

	reader->at = 0;
	reader->len = 0;
	reader->framing = message->framing;
	if (reader->raw)
		return;
	switch ((enum reader_framing)message->framing) {
	case READ_NONE:
		end_message(reader, NULL);
		break;
	case READ_LENGTH:
		reader->left = message->length;
		reader->state = IN_LENGTH;
		if (reader->left == 0)
			end_message(reader, NULL);
		break;
	case READ_CHUNKED:
		reader->state = IN_CHUNK_LINE;
		break;
	case READ_TO_END:
		reader->state = IN_TO_END;
		break;
	}
}

static void take_head(struct reader *reader)
{
	struct read_message *message = &reader->message;
	struct str rest = str_make(reader->text, reader->len), line;

	if (!next_line(reader, &rest, &line) || !read_start(reader, line, message) ||
		!read_fields(reader, rest, message))
		return;
	read_connection(message);
	read_framing(reader, message);
	if (reader->error)
		return;
	reader->events->on_head(reader, message);
	if (reader->error)
		return;
	if (!reader->request && message->status < 200 && message->status != 101) {
		reader->len = 0; // interim: the next head follows
		return;
	}
	enter_body(reader);
}

static void take_trailers(struct reader *reader)
{
	struct read_message *message = &reader->message;

	if (read_fields(reader, str_make(reader->text, reader->len), message))
		end_message(reader, message);
}

static void take_chunk_line(struct reader *reader)
{
	char *end;

	reader->text[reader->len - 2] = 0;
	reader->left = strtoull(reader->text, &end, 16);
	if (*end || reader->len < 3 || reader->len > 18 || end == reader->text ||
		reader->text[0] == '+' || reader->text[0] == '-' || reader->text[0] == ' ' ||
		reader->text[1] == 'x')
		fail(reader, "malformed chunk size");
	reader->len = 0;
	reader->state = reader->left ? IN_CHUNK : IN_TRAILERS;
}

// Collects text up to the end the state wants; true when it is there.
static bool collect(struct reader *reader, char c)
{
	const char *text = reader->text;
	u32 len;

	if (reader->len == READER_TEXT_MAX - 1) {
		fail(reader, "head without an end");
		return false;
	}
	reader->text[reader->len++] = c;
	len = reader->len;
	if (c != '\n')
		return false;
	if (reader->state != IN_CHUNK_LINE && len >= 4 &&
		memcmp(text + len - 4, "\r\n\r\n", 4) == 0)
		return true;
	if (len < 2 || text[len - 2] != '\r') {
		fail(reader, "line ended by a bare LF");
		return false;
	}
	return reader->state == IN_CHUNK_LINE || (reader->state == IN_TRAILERS && len == 2);
}

static size_t take_text(struct reader *reader, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!collect(reader, bytes[i])) {
			if (reader->error)
				return len;
			continue;
		}
		if (reader->state == IN_HEAD)
			take_head(reader);
		else if (reader->state == IN_TRAILERS)
			take_trailers(reader);
		else
			take_chunk_line(reader);
		return i + 1;
	}
	return len;
}

static size_t take_body(struct reader *reader, const char *bytes, size_t len)
{
	bool bounded = reader->state == IN_LENGTH || reader->state == IN_CHUNK;
	size_t part = bounded ? (size_t)MIN(reader->left, (u64)len) : len;

	reader->events->on_body(reader, reader->at, bytes, part);
	reader->at += part;
	if (!bounded)
		return part;
	reader->left -= part;
	if (reader->left == 0 && reader->state == IN_LENGTH)
		end_message(reader, NULL);
	else if (reader->left == 0)
		reader->state = IN_CHUNK_END;
	return part;
}

static size_t take_chunk_end(struct reader *reader, char c)
{
	if (c != "\r\n"[reader->len])
		fail(reader, "chunk not ended by CRLF");
	if (++reader->len == 2) {
		reader->len = 0;
		reader->state = IN_CHUNK_LINE;
	}
	return 1;
}

size_t reader_feed(struct reader *reader, const char *bytes, size_t len)
{
	size_t used = 0;

	while (used < len && !reader->error && !reader->paused) {
		switch ((enum state)reader->state) {
		case IN_HEAD:
		case IN_CHUNK_LINE:
		case IN_TRAILERS:
			used += take_text(reader, bytes + used, len - used);
			break;
		case IN_LENGTH:
		case IN_CHUNK:
		case IN_TO_END:
		case IN_RAW:
			used += take_body(reader, bytes + used, len - used);
			break;
		case IN_CHUNK_END:
			used += take_chunk_end(reader, bytes[used]);
			break;
		}
	}
	return used;
}

bool reader_end(struct reader *reader)
{
	if (reader->state == IN_TO_END) {
		end_message(reader, NULL);
		return true;
	}
	return reader_is_idle(reader) || reader->state == IN_RAW;
}
