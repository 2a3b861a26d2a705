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

// A stretch of text that goes out in one copy: lines left as received, one behind the other.
struct run {
	const char *start, *end; // without the line end behind it; NULL: empty
};

static void run_flush(struct writer *w, struct run *run)
{
	if (!run->start)
		return;
	put(w, run->start, (size_t)(run->end - run->start));
	put_text(w, "\r\n");
	run->start = run->end = NULL;
}

static void run_add(struct writer *w, struct run *run, const char *start, const char *end)
{
	bool follows =
		run->start && start == run->end + 2 && run->end[0] == '\r' && run->end[1] == '\n';

	if (!follows) {
		run_flush(w, run);
		run->start = start;
	}
	run->end = end;
}

// "HTTP/1.1 200 Reason" as received is what we would write.
static bool status_line_is_as_sent(const struct http_head *head)
{
	const char *raw = head->raw.ptr;

	return head->raw.len > 13 && head->reason.ptr == raw + 13 &&
	       memcmp(raw, "HTTP/1.1 ", 9) == 0;
}

static void put_status_line(struct writer *w, struct run *run, const struct http_head *head)
{
	char line[13] = {'H', 'T', 'T', 'P', '/', '1', '.', '1', ' ',
		(char)('0' + head->status / 100), (char)('0' + head->status / 10 % 10),
		(char)('0' + head->status % 10), ' '};

	if (status_line_is_as_sent(head)) {
		run_add(w, run, head->raw.ptr, head->reason.ptr + head->reason.len);
		return;
	}
	put(w, line, sizeof(line));
	put_str(w, head->reason);
	put_text(w, "\r\n");
}

static bool request_line_is_as_sent(const struct http_head *head)
{
	const char *version = head->path.ptr + head->path.len;

	return head->method_text.ptr == head->raw.ptr && head->version_minor == 1 &&
	       head->path.ptr == head->method_text.ptr + head->method_text.len + 1 &&
	       (size_t)(version - head->raw.ptr) + 9 <= head->raw.len;
}

static void put_request_line(struct writer *w, struct run *run, const struct http_head *head)
{
	// "GET /x HTTP/1.1" as received, when nothing of it has to change.
	if (request_line_is_as_sent(head)) {
		run_add(w, run, head->raw.ptr, head->path.ptr + head->path.len + 9);
		return;
	}
	put_str(w, head->method_text);
	put_text(w, " ");
	put_str(w, head->method == HTTP_CONNECT ? head->authority : head->path);
	put_text(w, " HTTP/1.1\r\n");
}

// The Host field may stay where it is when it says what is to be said.
static bool host_is_as_sent(const struct http_head *head)
{
	const struct http_field *host = http_head_find(head, HTTP_F_HOST);

	return host && host->value == head->authority.ptr && host->value_len == head->authority.len;
}

static void put_host(struct writer *w, struct run *run, const struct http_head *head)
{
	run_flush(w, run);
	put_text(w, "Host: ");
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

static inline u64 known_bit(enum http_known known)
{
	return 1ull << known;
}
_Static_assert(HTTP_F_COUNT <= 64, "known fields fit a mask");

static void put_fields(
	struct writer *w, struct run *run, const struct http_head *head, u64 left_out)
{
	u32 first = 0;

	// Nothing to leave out and no line to write anew: all received lines at once.
	if (head->plain && !head->any_hop && !(head->known_seen & left_out) && head->sent_count) {
		const struct http_field *last = &head->fields[head->sent_count - 1];

		run_add(w, run, head->fields[0].name, last->value + last->value_len);
		first = head->sent_count;
	}
	for (u32 i = first; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		const char *colon = field->name + field->name_len;

		if (field->hop || (left_out >> field->known & 1))
			continue;
		if (likely(field->value == colon + 2 && colon[0] == ':' && colon[1] == ' ')) {
			run_add(w, run, field->name, field->value + field->value_len);
		} else {
			run_flush(w, run);
			put_field(w, field);
		}
	}
	run_flush(w, run);
	for (u32 i = 0; i < head->added_count; i++)
		put_str(w, head->added[i]);
}

static bool has_length(const struct http_head *head, const struct h1_head_form *form)
{
	return !form->chunked &&
	       (head->framing == HTTP_LENGTH ||
		       (head->framing == HTTP_NO_BODY && head->has_content_length));
}

// Names that may not simply go on as they came.
static u64 fields_left_out(const struct http_head *head, const struct h1_head_form *form)
{
	u64 left_out = known_bit(HTTP_F_TRANSFER_ENCODING);

	if (!has_length(head, form))
		left_out |= known_bit(HTTP_F_CONTENT_LENGTH);
	if (!form->server && !host_is_as_sent(head))
		left_out |= known_bit(HTTP_F_HOST);
	return left_out;
}

// Can the head go out letter for letter as it came, with our own lines behind it?
static bool is_as_sent(const struct http_head *head, const struct h1_head_form *form, u64 left_out)
{
	if (!head->plain || head->any_hop || (head->known_seen & left_out) || !form->keep_alive ||
		form->chunked || form->peer_minor_0 || is_upgrade(head, form) ||
		head->field_count != head->sent_count)
		return false;
	if (has_length(head, form) && !head->first_known[HTTP_F_CONTENT_LENGTH])
		return false;
	// Whether Host is as sent is what left_out says.
	return form->server ? status_line_is_as_sent(head)
			    : !(left_out & known_bit(HTTP_F_HOST)) && request_line_is_as_sent(head);
}

static int write_as_sent(struct block_pool *pool, struct bytes *out, const struct http_head *head)
{
	size_t len = head->raw.len;
	char *at;

	for (u32 i = 0; i < head->added_count; i++)
		len += head->added[i].len;
	if (unlikely(len > BLOCK_SMALL_BYTES))
		return -EMSGSIZE;
	at = bytes_reserve(pool, out, len);
	if (!at)
		return -ENOMEM;
	memcpy(at, head->raw.ptr, head->raw.len - 2);
	at += head->raw.len - 2;
	for (u32 i = 0; i < head->added_count; i++) {
		memcpy(at, head->added[i].ptr, head->added[i].len);
		at += head->added[i].len;
	}
	memcpy(at, "\r\n", 2);
	bytes_commit(out, len);
	return 0;
}

static int write_anew(struct block_pool *pool, struct bytes *out, const struct http_head *head,
	const struct h1_head_form *form, u64 left_out)
{
	struct writer w = {.pool = pool, .out = out};
	struct run run = {0};

	writer_take_room(&w);
	if (w.failed)
		return -ENOMEM;
	if (form->server) {
		put_status_line(&w, &run, head);
	} else {
		put_request_line(&w, &run, head);
		if (left_out & known_bit(HTTP_F_HOST))
			put_host(&w, &run, head);
	}
	put_fields(&w, &run, head, left_out);
	if (form->chunked) {
		put_text(&w, "Transfer-Encoding: chunked\r\n");
	} else if (has_length(head, form) && !head->first_known[HTTP_F_CONTENT_LENGTH]) {
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

inline int h1_write_head(struct block_pool *pool, struct bytes *out, const struct http_head *head,
	const struct h1_head_form *form)
{
	u64 left_out = fields_left_out(head, form);

	if (likely(is_as_sent(head, form, left_out))) {
		int result = write_as_sent(pool, out, head);

		if (result != -EMSGSIZE)
			return result;
	}
	return write_anew(pool, out, head, form, left_out);
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
