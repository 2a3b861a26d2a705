// SPDX-License-Identifier: Apache-2.0
// A session of HTTP/2 whose peer sends anything. The first byte chooses the role, the size of the
// pieces, how it ends, and whether the session drains (16) or asks for a WebSocket (32). Whatever a
// client sends, what comes out of it as a request is, written for an HTTP/1 backend, exactly one
// request with the same meaning; and every stream and every block is given back.
#include "fuzz_check.h"

#include "proto/h1_write.h"
#include "proto/h2.h"

enum { blocks_max = 4096, text_max = 256 * 1024 };

struct fuzz {
	struct block_pool pool;
	u64 now_us;
	struct h1_parser parser;
	struct bytes out;
	struct stream *streams[1024];
	u32 count;
};

// ---- What comes out is one request --------------------------------------------------------------

static size_t flatten(struct bytes *bytes, char *text)
{
	size_t len = 0;

	while (!bytes_is_empty(bytes)) {
		struct slice slice = bytes_pop(bytes);

		ASSERT(len + slice.len <= text_max);
		memcpy(text + len, slice.ptr, slice.len);
		len += slice.len;
		slice_drop(&slice);
	}
	return len;
}

static void check_request(struct fuzz *fuzz, const struct http_head *head, bool end)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	static char text[text_max];
	const struct h1_limits limits = {HTTP_HEAD_BYTES_MAX, HTTP_HEAD_BYTES_MAX / 2};
	struct h1_head_form form = {.keep_alive = true, .chunked = head->framing == HTTP_CHUNKED};
	struct http_head again;
	struct bytes bytes = {0};
	enum http_refusal why;
	size_t len;
	int used;

	fuzz_check_fields(head->fields, head->field_count, head->raw);
	ASSERT(head->path.len && (head->path.ptr[0] == '/' || str_eq(head->path, STR("*"))));
	ASSERT(http_authority_valid(head->authority));
	ASSERT(!end || head->framing != HTTP_CHUNKED);
	ASSERT(head->method != HTTP_CONNECT);
	ASSERT(h1_write_head(&fuzz->pool, &bytes, head, &form) == 0);
	len = flatten(&bytes, text);
	used = h1_parse_request(text, len, &limits, fields, &again, &why);
	ASSERT(used > 0 && (size_t)used == len);
	ASSERT(str_eq(again.path, head->path) && str_eq(again.method_text, head->method_text));
	ASSERT(str_eq(again.authority, head->authority));
	ASSERT(again.framing == head->framing && again.content_length == head->content_length);
	ASSERT(again.upgrade == head->upgrade);
}

// ---- Events -------------------------------------------------------------------------------------

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	fuzz_check_fields(head->fields, head->field_count, head->raw);
	ASSERT(head->status >= 100 && head->status <= 999);
	if (!end)
		stream->ops->grant(stream, 3000);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	(void)end;
	stream->ops->grant(stream, slice.len);
	slice_drop(&slice);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)stream;
	for (u16 i = 0; i < count; i++)
		ASSERT(fields[i].name_len > 0 &&
			http_trailer_allowed((enum http_known)fields[i].known));
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	(void)fault;
	stream->owner = NULL;
}

static const struct stream_events stream_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

static void keep(struct fuzz *fuzz, struct stream *stream)
{
	stream->events = &stream_events;
	stream->owner = fuzz;
	if (fuzz->count < ARRAY_LEN(fuzz->streams))
		fuzz->streams[fuzz->count++] = stream;
	else
		stream->ops->refuse(stream);
}

static void answer(struct stream *stream, u16 status)
{
	struct http_head head = {.status = status, .version_minor = 1, .framing = HTTP_CHUNKED};

	stream->ops->send_head(stream, &head, false);
	stream->ops->send_body(stream, (struct slice){.ptr = "hello", .len = 5}, true);
}

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct fuzz *fuzz = h2_carrier(session);

	http_mark_hop_fields(head); // as whoever sends it on
	check_request(fuzz, head, end);
	keep(fuzz, stream);
	if (stream->events && !end)
		stream->ops->grant(stream, 1000);
	if (stream->events)
		answer(stream, head->upgrade ? 101 : 200);
}

static void on_refused(struct session *session, struct stream *stream)
{
	ASSERT(session->refusal != HTTP_REFUSE_OK && session->refusal < HTTP_REFUSE_COUNT);
	keep(h2_carrier(session), stream);
	if (stream->events)
		answer(stream, 400);
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)session;
	(void)stream;
}

static void on_poke(struct session *session)
{
	(void)session;
}

static const struct session_events session_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
};

// ---- A run --------------------------------------------------------------------------------------

static void turn(struct fuzz *fuzz, struct session *session)
{
	for (u32 i = 0; i < 4; i++) {
		if (session->again) {
			session->again = false;
			session->ops->feed(session, (struct slice){0});
		}
		bytes_clear(&fuzz->out);
		session->ops->taken(session);
		session->ops->sent(session);
	}
}

static void ask(struct fuzz *fuzz, struct session *session)
{
	for (u32 i = 0; i < 3; i++) {
		struct stream *stream = session->ops->open(session);
		struct http_head head = {.method = i == 1 ? HTTP_HEAD : HTTP_GET,
			.method_text = i == 1 ? STR("HEAD") : STR("GET"),
			.path = STR("/"),
			.authority = STR("a"),
			.version_minor = 1};

		ASSERT(stream != NULL);
		keep(fuzz, stream);
		stream->ops->send_head(stream, &head, i < 2);
		if (i == 2)
			stream->ops->send_body(
				stream, (struct slice){.ptr = "abc", .len = 3}, true);
	}
}

// A request that goes over to another protocol (RFC 8441).
static void ask_tunnel(struct fuzz *fuzz, struct session *session)
{
	static struct http_field fields[] = {
		{.name = "Upgrade", .name_len = 7, .value = "websocket", .value_len = 9},
		{.name = "Sec-WebSocket-Key",
			.name_len = 17,
			.value = "MDEyMzQ1Njc4OWFiY2RlZg==",
			.value_len = 24},
	};
	struct http_head head = {.method = HTTP_GET,
		.method_text = STR("GET"),
		.path = STR("/"),
		.authority = STR("a"),
		.version_minor = 1,
		.upgrade = true,
		.fields = fields};
	struct stream *stream;

	for (u32 i = 0; i < ARRAY_LEN(fields); i++) {
		fields[i].known = (u8)http_field_known(fields[i].name, fields[i].name_len);
		head.known_seen |= HTTP_BIT(fields[i].known);
		head.first_known[fields[i].known] = (u8)(i + 1);
	}
	head.field_count = head.sent_count = ARRAY_LEN(fields);
	stream = session->ops->open(session);
	ASSERT(stream != NULL);
	keep(fuzz, stream);
	stream->ops->send_head(stream, &head, true);
	stream->ops->grant(stream, 1000);
}

static void feed(
	struct fuzz *fuzz, struct session *session, const uint8_t *data, size_t size, size_t piece)
{
	while (size && session->end == SESSION_GOES_ON) {
		size_t len = MIN(size, piece);
		struct block *block = block_get(&fuzz->pool, true);

		ASSERT(block != NULL);
		memcpy(block->data, data, len);
		session->ops->feed(session, (struct slice){block, block->data, len});
		turn(fuzz, session);
		data += len;
		size -= len;
		fuzz->now_us += 1000;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 7, 100, BLOCK_BYTES};
	static const char allows_connect[] = "\0\0\6\4\0\0\0\0\0\0\x8\0\0\0\1";
	static struct fuzz fuzz;
	struct session *session;
	struct h2_kit *kit;
	bool server;

	if (size == 0)
		return 0;
	server = !(data[0] & 1);
	fuzz.count = 0;
	fuzz.now_us = 1;
	fuzz.parser.limits = fuzz_limits;
	block_pool_init(&fuzz.pool, blocks_max, blocks_max);
	kit = h2_kit_new(&fuzz.pool, &fuzz.now_us, 1, 2048, 1);
	session = h2_new(kit, server ? STREAM_SERVER : STREAM_CLIENT, &fuzz.parser, &fuzz.out,
		&fuzz, false, &session_events);
	ASSERT(session != NULL);
	turn(&fuzz, session);
	if (server)
		feed(&fuzz, session, (const uint8_t *)h2_preface.ptr, h2_preface.len, BLOCK_BYTES);
	else
		ask(&fuzz, session);
	turn(&fuzz, session);
	if (!server && data[0] & 32) {
		feed(&fuzz, session, (const uint8_t *)allows_connect, sizeof(allows_connect) - 1,
			BLOCK_BYTES);
		ask_tunnel(&fuzz, session);
	}
	if (data[0] & 16) {
		session->ops->drain(session);
		session->ops->check_alive(session);
	}
	turn(&fuzz, session);
	feed(&fuzz, session, data + 1, size - 1, pieces[data[0] >> 1 & 3]);
	session->ops->ended(session, data[0] & 8 ? -104 : 0);
	for (u32 i = 0; i < fuzz.count; i++)
		fuzz.streams[i]->ops->reset(fuzz.streams[i]);
	turn(&fuzz, session);
	session->ops->done(session);
	bytes_clear(&fuzz.out);
	h2_kit_free(kit);
	block_pool_done(&fuzz.pool);
	return 0;
}
