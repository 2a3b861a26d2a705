// SPDX-License-Identifier: Apache-2.0
#include "proto/h1_write.h"

#include <errno.h>

enum { reserve_bytes = 256 };

// Appends small pieces to a queue; the room of the last block is used directly, so that an ordinary
// head costs one memcpy a piece and nothing else.
struct writer {
	struct block_pool *pool;
	struct bytes *out;
	char *start, *at, *end;
	bool failed;
};

static void writer_take_room(struct writer *w)
{
	w->start = w->at = bytes_reserve(w->pool, w->out, reserve_bytes);
	w->failed = w->at == NULL;
	w->end = w->at ? w->at + bytes_tail_room(w->out) : NULL;
}

static int writer_close(struct writer *w)
{
	if (w->failed)
		return -ENOMEM;
	bytes_commit(w->out, (size_t)(w->at - w->start));
	return 0;
}

static void put_slow(struct writer *w, const char *ptr, size_t len)
{
	if (w->failed)
		return;
	bytes_commit(w->out, (size_t)(w->at - w->start));
	if (bytes_write(w->pool, w->out, ptr, len) != 0) {
		w->failed = true;
		w->at = w->end = w->start;
		return;
	}
	writer_take_room(w);
}

static inline void put(struct writer *w, const char *ptr, size_t len)
{
	if (unlikely((size_t)(w->end - w->at) < len)) {
		put_slow(w, ptr, len);
		return;
	}
	memcpy(w->at, ptr, len);
	w->at += len;
}

static inline void put_str(struct writer *w, struct str text)
{
	put(w, text.ptr, text.len);
}

#define put_text(w, literal) put(w, literal, sizeof(literal) - 1)

// A line as received ("Name: value") is one copy; any other spacing is written anew.
static void put_field(struct writer *w, const struct http_field *field)
{
	const char *colon = field->name + field->name_len;

	if (likely(field->value == colon + 2 && colon[0] == ':' && colon[1] == ' ')) {
		put(w, field->name, (size_t)field->name_len + 2 + field->value_len);
	} else {
		put(w, field->name, field->name_len);
		put_text(w, ": ");
		put(w, field->value, field->value_len);
	}
	put_text(w, "\r\n");
}

static void put_number(struct writer *w, u64 number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	put(w, digits + at, sizeof(digits) - at);
}

static void put_status_line(struct writer *w, const struct http_head *head)
{
	char line[13] = {'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ',
		(char)('0' + head->status / 100), (char)('0' + head->status / 10 % 10),
		(char)('0' + head->status % 10), ' '};

	put(w, line, sizeof(line));
	put_str(w, head->reason);
	put_text(w, "\r\n");
}

static void put_request_line(struct writer *w, const struct http_head *head)
{
	put_str(w, head->method_text);
	put_text(w, " ");
	put_str(w, head->method == HTTP_CONNECT ? head->authority : head->path);
	put_text(w, " HTTP/1.1\r\nHost: ");
	put_str(w, head->authority);
	put_text(w, "\r\n");
}

static void put_upgrade(struct writer *w, const struct http_head *head)
{
	const struct http_field *upgrade = http_head_find(head, HTTP_F_UPGRADE);

	put_text(w, "Connection: upgrade\r\n");
	if (upgrade)
		put_field(w, upgrade);
}

static bool is_upgrade(const struct http_head *head, const struct h1_head_form *form)
{
	return form->server ? head->status == 101 : head->upgrade;
}

int h1_write_head(struct block_pool *pool, struct bytes *out, const struct http_head *head,
	const struct h1_head_form *form)
{
	struct writer w = {.pool = pool, .out = out};

	writer_take_room(&w);
	if (w.failed)
		return -ENOMEM;
	if (form->server)
		put_status_line(&w, head);
	else
		put_request_line(&w, head);
	for (u32 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (field->hop || field->known == HTTP_F_TRANSFER_ENCODING ||
			field->known == HTTP_F_CONTENT_LENGTH ||
			(field->known == HTTP_F_HOST && !form->server))
			continue;
		put_field(&w, field);
	}
	if (form->chunked) {
		put_text(&w, "Transfer-Encoding: chunked\r\n");
	} else if (head->framing == HTTP_LENGTH ||
		   (head->framing == HTTP_NO_BODY && head->has_content_length)) {
		put_text(&w, "Content-Length: ");
		put_number(&w, head->content_length);
		put_text(&w, "\r\n");
	}
	if (is_upgrade(head, form))
		put_upgrade(&w, head);
	else if (!form->keep_alive)
		put_text(&w, "Connection: close\r\n");
	else if (form->server && form->peer_minor_0)
		put_text(&w, "Connection: keep-alive\r\n");
	put_text(&w, "\r\n");
	return writer_close(&w);
}

int h1_write_trailers(
	struct block_pool *pool, struct bytes *out, const struct http_field *fields, u16 count)
{
	struct writer w = {.pool = pool, .out = out};

	writer_take_room(&w);
	if (w.failed)
		return -ENOMEM;
	put_text(&w, "0\r\n");
	for (u32 i = 0; i < count; i++)
		put_field(&w, &fields[i]);
	put_text(&w, "\r\n");
	return writer_close(&w);
}
