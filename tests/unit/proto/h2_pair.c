// SPDX-License-Identifier: Apache-2.0
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"

enum { chunk = 10000 };

static struct end *end_of(struct session *session)
{
	return h2_carrier(session);
}

// ---- What streams say ---------------------------------------------------------------------------

static void put(char text[static PAIR_TEXT_MAX], struct str name, struct str value)
{
	size_t len = strlen(text);

	snprintf(text + len, PAIR_TEXT_MAX - len, " %.*s=%.*s", STR_FMT(name), STR_FMT(value));
}

static void put_fields(char text[static PAIR_TEXT_MAX], const struct http_field *fields, u16 count)
{
	for (u16 i = 0; i < count; i++)
		if (!fields[i].hop)
			put(text, str_make(fields[i].name, fields[i].name_len),
				str_make(fields[i].value, fields[i].value_len));
}

static u64 sum_number(u64 sum, u64 number)
{
	return hash_bytes(&number, sizeof(number), sum);
}

// A part of the head, with its place.
static u64 sum_part(u64 sum, struct str part, struct str raw)
{
	uintptr_t at = (uintptr_t)part.ptr - (uintptr_t)raw.ptr;

	sum = sum_number(sum, part.len && at < raw.len ? at : UINT64_MAX);
	return part.len ? hash_bytes(part.ptr, part.len, sum) : sum_number(sum, 0);
}

static u64 sum_head(u64 sum, const struct http_head *head)
{
	const u64 numbers[] = {head->method, head->status, head->version_minor, head->is_h2,
		head->framing, head->keep_alive, head->expect_continue, head->upgrade,
		head->has_content_length, head->plain, head->any_hop, head->has_underscore,
		head->field_count, head->sent_count, head->content_length, head->known_seen,
		head->known_repeated, head->added_count};
	const struct str parts[] = {head->method_text, head->target, head->path, head->authority,
		head->reason, head->raw};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sum = sum_number(sum, numbers[i]);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		sum = sum_part(sum, parts[i], head->raw);
	sum = hash_bytes(head->first_known, sizeof(head->first_known), sum);
	for (u16 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		sum = sum_part(sum, str_make(field->name, field->name_len), head->raw);
		sum = sum_part(sum, str_make(field->value, field->value_len), head->raw);
		sum = sum_number(sum, (u64)field->known << 1 | field->hop);
	}
	return sum;
}

static void note_head(struct heard *heard, const struct http_head *head)
{
	size_t len = strlen(heard->head);

	heard->heads++;
	heard->has_head = true;
	heard->head_sum = sum_head(heard->head_sum, head);
	heard->framed_by_length = head->framing == HTTP_LENGTH;
	if (head->status)
		snprintf(heard->head + len, PAIR_TEXT_MAX - len, "%u", head->status);
	else
		snprintf(heard->head + len, PAIR_TEXT_MAX - len, "%.*s %.*s %.*s",
			STR_FMT(head->method_text), STR_FMT(head->path), STR_FMT(head->authority));
	put_fields(heard->head, head->fields, head->field_count);
}

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	struct heard *heard = stream->owner;

	note_head(heard, head);
	heard->has_end = end;
	if (!end && !heard->stalls)
		stream->ops->grant(stream, 64 * 1024);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct heard *heard = stream->owner;

	assert_false(heard->has_end);
	heard->body_bytes += slice.len;
	for (size_t i = 0; i < slice.len; i++)
		heard->body_sum += (u8)slice.ptr[i];
	heard->has_end = end;
	if (slice.len && !heard->stalls)
		stream->ops->grant(stream, slice.len);
	slice_drop(&slice);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct heard *heard = stream->owner;

	assert_false(heard->has_end);
	heard->has_end = true;
	put_fields(heard->trailers, fields, count);
}

static void on_drained(struct stream *stream, size_t len)
{
	struct heard *heard = stream->owner;

	heard->drained_bytes += len;
	pair_send_some(heard);
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	struct heard *heard = stream->owner;

	assert_false(heard->was_reset);
	heard->was_reset = true;
	heard->fault = (u8)fault;
}

static const struct stream_events stream_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

static struct heard *hear(struct end *end, struct stream *stream)
{
	struct heard *heard = &end->streams[end->count++];

	assert_true(end->count <= PAIR_STREAMS_MAX);
	heard->stream = stream;
	heard->end = end;
	stream->events = &stream_events;
	stream->owner = heard;
	return heard;
}

// ---- What sessions say --------------------------------------------------------------------------

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct end *at = end_of(session);
	struct heard *heard = hear(at, stream);

	note_head(heard, head);
	heard->has_end = end;
	if (at->on_request && at->on_request(heard, head))
		return;
	if (!end && !heard->stalls)
		stream->ops->grant(stream, 64 * 1024);
}

static void on_refused(struct session *session, struct stream *stream)
{
	struct heard *heard = hear(end_of(session), stream);

	snprintf(heard->head, PAIR_TEXT_MAX, "refused: %s",
		http_refusal_text((enum http_refusal)session->refusal));
	pair_answer(heard, http_refusal_status((enum http_refusal)session->refusal), 0);
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)stream;
	end_of(session)->done_count++;
}

static void on_poke(struct session *session)
{
	end_of(session)->pokes++;
}

static void on_open_limit(struct session *session)
{
	end_of(session)->open_limits++;
}

static void on_goaway(struct session *session)
{
	end_of(session)->goaways++;
}

static void on_excess(struct session *session)
{
	end_of(session)->excesses++;
}

static const struct session_events session_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
	.on_open_limit = on_open_limit,
	.on_goaway = on_goaway,
	.on_excess = on_excess,
};

// ---- The wire -----------------------------------------------------------------------------------

static void init_end(struct pair *pair, struct end *end, enum stream_role role)
{
	end->session =
		h2_new(pair->kit, role, &pair->parser, &end->out, end, false, &session_events);
	assert_non_null(end->session);
}

void pair_init(struct pair *pair, bool has_client)
{
	memset(pair, 0, sizeof(*pair));
	pair->piece = 16 * 1024;
	pair->now_us = 1000000;
	pair->parser.limits = (struct h1_limits){16 * 1024, 8 * 1024};
	block_pool_init(&pair->pool, 4096, 4096);
	pair->kit = h2_kit_new(&pair->pool, &pair->now_us, 2, 1000, 1);
	init_end(pair, &pair->server, STREAM_SERVER);
	if (has_client)
		init_end(pair, &pair->client, STREAM_CLIENT);
}

static void done_end(struct end *end)
{
	if (!end->session)
		return;
	end->session->ops->done(end->session);
	bytes_clear(&end->out);
	bytes_clear(&end->sending);
}

void pair_done(struct pair *pair)
{
	done_end(&pair->client);
	done_end(&pair->server);
	h2_kit_free(pair->kit);
	block_pool_done(&pair->pool);
}

void pair_feed(struct pair *pair, struct end *end, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		size_t piece = MIN(MIN(len, pair->piece), (size_t)BLOCK_BYTES);
		struct block *block = block_get(&pair->pool, true);

		assert_non_null(block);
		memcpy(block->data, at, piece);
		end->session->ops->feed(end->session,
			(struct slice){.block = block, .ptr = block->data, .len = piece});
		at += piece;
		len -= piece;
	}
}

// What the connection does at the end of a turn.
static bool turn(struct pair *pair, struct end *end)
{
	struct session *session = end->session;
	bool did = session->again;

	(void)pair;
	if (session->again) {
		session->again = false;
		session->ops->feed(session, (struct slice){0});
	}
	if (bytes_is_empty(&end->out))
		return did;
	bytes_move_all(&end->sending, &end->out);
	session->ops->taken(session);
	return true;
}

size_t pair_take(struct pair *pair, struct end *end, char *ret_bytes, size_t max)
{
	size_t total = 0;

	while (turn(pair, end)) {
		while (!bytes_is_empty(&end->sending)) {
			struct slice slice = bytes_pop(&end->sending);

			assert_true(total + slice.len <= max);
			memcpy(ret_bytes + total, slice.ptr, slice.len);
			total += slice.len;
			slice_drop(&slice);
		}
		end->session->ops->sent(end->session);
	}
	return total;
}

static bool carry(struct pair *pair, struct end *from, struct end *to)
{
	bool did = turn(pair, from);

	while (!bytes_is_empty(&from->sending)) {
		struct slice slice = bytes_pop(&from->sending);

		if (to->session->ops->wants_input(to->session))
			pair_feed(pair, to, slice.ptr, slice.len);
		slice_drop(&slice);
		did = true;
	}
	from->session->ops->sent(from->session);
	return did;
}

bool pair_run(struct pair *pair)
{
	bool did = false, moved = true;

	while (moved) {
		moved = carry(pair, &pair->client, &pair->server);
		moved |= carry(pair, &pair->server, &pair->client);
		did |= moved;
	}
	return did;
}

// ---- Messages -----------------------------------------------------------------------------------

void maker_add(struct maker *maker, const char *name, const char *value)
{
	struct http_head *head = &maker->head;
	struct http_field *field = &maker->fields[head->field_count];
	enum http_known known = http_field_known(name, strlen(name));

	*field = (struct http_field){.name = name,
		.value = value,
		.name_len = (u16)strlen(name),
		.value_len = (u32)strlen(value),
		.known = (u8)known};
	head->field_count++;
	if (known && !head->first_known[known])
		head->first_known[known] = (u8)head->field_count;
	head->known_seen |= HTTP_BIT(known);
}

void maker_request(struct maker *maker, const char *method, const char *path)
{
	memset(maker, 0, sizeof(*maker));
	maker->head.fields = maker->fields;
	maker->head.method_text = str_from(method);
	maker->head.method = (u8)http_method_parse(maker->head.method_text);
	maker->head.path = maker->head.target = str_from(path);
	maker->head.authority = STR("a.test");
	maker->head.version_minor = 1;
}

void maker_websocket(struct maker *maker)
{
	maker_request(maker, "GET", "/chat");
	maker_add(maker, "Upgrade", "websocket");
	maker_add(maker, "Connection", "upgrade");
	maker_add(maker, "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
	maker->head.upgrade = true;
}

void maker_answer(struct maker *maker, u16 status)
{
	memset(maker, 0, sizeof(*maker));
	maker->head.fields = maker->fields;
	maker->head.status = status;
	maker->head.version_minor = 1;
}

void pair_send_some(struct heard *heard)
{
	static char bytes[chunk];
	size_t len = (size_t)MIN(heard->left, (u64)chunk);
	struct stream *stream = heard->stream;
	struct block *block;

	if (len == 0)
		return;
	memset(bytes, 'x', sizeof(bytes));
	block = block_get(stream->session->pool, true);
	assert_non_null(block);
	memcpy(block->data, bytes, len);
	heard->left -= len;
	stream->ops->send_body(stream, (struct slice){block, block->data, len}, heard->left == 0);
}

struct heard *pair_ask_head(struct pair *pair, struct http_head *head, u64 body_bytes)
{
	struct session *session = pair->client.session;
	struct stream *stream = session->ops->open(session);
	struct heard *heard;

	assert_non_null(stream);
	heard = hear(&pair->client, stream);
	heard->left = body_bytes;
	stream->ops->send_head(stream, head, body_bytes == 0);
	pair_send_some(heard);
	return heard;
}

struct heard *pair_ask(struct pair *pair, const char *method, const char *path, u64 body_bytes)
{
	struct maker maker;

	maker_request(&maker, method, path);
	maker.head.framing = body_bytes ? HTTP_CHUNKED : HTTP_NO_BODY;
	return pair_ask_head(pair, &maker.head, body_bytes);
}

void pair_answer(struct heard *heard, u16 status, u64 body_bytes)
{
	struct maker maker;

	maker_answer(&maker, status);
	maker_add(&maker, "X-Name", "Value");
	maker.head.framing = HTTP_LENGTH;
	maker.head.content_length = body_bytes;
	heard->left = body_bytes;
	heard->stream->ops->send_head(heard->stream, &maker.head, body_bytes == 0);
	pair_send_some(heard);
}
