// SPDX-License-Identifier: Apache-2.0
// Messages of HTTP/2 on their way to a peer that speaks HTTP/1: requests of a client to a backend,
// and answers of a backend to clients. Whatever goes in, what comes out of each request is exactly
// one request or the visible beginning of one, what comes out of each answer exactly one answer
// behind interim ones, with the body that was sent, also for a reader that is lax about the ends of
// lines.
//
// The first byte of the input: 1 cuts header sections, 2 and 4 choose the size of the pieces, 8 the
// credit, 16 that these are answers. Of requests 32 makes the limits of heads small; of answers the
// upper three bits choose which question is asked first. Behind it are records (fuzz_frames.h).
#include "fuzz_check.h"
#include "fuzz_frames.h"

#include "proto/h1.h"
#include "proto/h2.h"

enum {
	blocks_max = 4096,
	input_max = 64 * 1024,
	streams_max = 32,
	asked_max = 8, // streams on which answers may come
};

// A stream of HTTP/2 and the session of HTTP/1 at the other end of the way: a backend's for a
// request, a client's for an answer.
struct way {
	struct stream *two, *one;
	struct h1 h1;
	struct bytes out;
	bool asked, upgrade, whole, over;
	u64 body_len; // that came out of HTTP/2
	u16 status;   // of the answer; 0: none came
	u32 interim;
	u8 method;
	bool minor_0;
	struct http_head *request; // that an answer is for
};

struct fuzz {
	struct block_pool pool;
	u64 now_us;
	struct h1_parser down, up;
	struct bytes out;
	struct arena arena;
	struct way ways[streams_max];
	struct session *session; // of HTTP/2
	struct frames frames;
	u32 count;
	u32 step; // of DATA, granted at a time
};

static struct fuzz fuzz;

// ---- From stream to stream ----------------------------------------------------------------------

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct way *way = stream->owner;

	way->body_len += slice.len;
	way->whole = end;
	if (slice.len)
		stream->ops->grant(stream, slice.len);
	way->one->ops->send_body(way->one, slice, end);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct way *way = stream->owner;

	way->whole = true;
	way->one->ops->send_trailers(way->one, fields, count);
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	struct way *way = stream->owner;

	(void)fault;
	way->over = true;
	stream->owner = NULL;
}

static void on_no_head(struct stream *stream, struct http_head *head, bool end)
{
	(void)stream;
	(void)head;
	(void)end;
	ASSERT(false && "nobody answers");
}

static struct way *new_way(struct stream *stream)
{
	struct way *way = &fuzz.ways[fuzz.count];

	if (fuzz.count == streams_max) {
		stream->ops->refuse(stream);
		return NULL;
	}
	fuzz.count++;
	*way = (struct way){.two = stream};
	stream->owner = way;
	return way;
}

// ---- Requests -----------------------------------------------------------------------------------

static const struct stream_events request_events = {
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = fuzz_on_drained,
	.on_reset = on_reset,
};

static const struct stream_events backend_stream_events = {
	.on_head = on_no_head, .on_drained = fuzz_on_drained};

static const struct session_events backend_events = {
	.on_stream_done = fuzz_on_stream_done, .on_poke = fuzz_on_poke};

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct way *way = new_way(stream);
	struct http_head *copy;

	(void)session;
	if (!way)
		return;
	stream->events = &request_events;
	fuzz_check_fields(head->fields, head->field_count, head->raw);
	copy = http_head_copy(&fuzz.arena, head);
	ASSERT(copy != NULL);
	http_mark_hop_fields(copy);
	h1_init(&way->h1, STREAM_CLIENT, &fuzz.up, &fuzz.pool, &way->out, &backend_events);
	way->one = way->h1.session.ops->open(&way->h1.session);
	way->one->events = &backend_stream_events;
	way->asked = true;
	way->upgrade = copy->upgrade;
	way->whole = end;
	way->one->ops->send_head(way->one, copy, end);
	if (!end)
		stream->ops->grant(stream, fuzz.step);
}

static void on_refused(struct session *session, struct stream *stream)
{
	ASSERT(session->refusal != HTTP_REFUSE_OK && session->refusal < HTTP_REFUSE_COUNT);
	if (new_way(stream))
		stream->events = &request_events;
}

static const struct session_events client_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = fuzz_on_stream_done,
	.on_poke = fuzz_on_poke,
};

// ---- Answers ------------------------------------------------------------------------------------

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	struct way *way = stream->owner;
	bool interim = head->status < 200 && head->status != 101;

	ASSERT(way->status == 0 && head->status >= 100 && head->status <= 999);
	fuzz_check_fields(head->fields, head->field_count, head->raw);
	if (head->status == 101)
		ASSERT(http_upgrade_agrees(way->request, head));
	if (interim)
		way->interim++;
	else
		way->status = head->status;
	way->whole = end;
	http_mark_hop_fields(head);
	way->one->ops->send_head(way->one, head, end);
	if (!interim && !end)
		stream->ops->grant(stream, fuzz.step);
}

static const struct stream_events answer_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = fuzz_on_drained,
	.on_reset = on_reset,
};

static void on_question_body(struct stream *stream, struct slice slice, bool end)
{
	struct way *way = stream->owner;

	way->two->ops->send_body(way->two, slice, end);
}

static void on_question_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct way *way = stream->owner;

	way->two->ops->send_trailers(way->two, fields, count);
}

static void on_no_reset(struct stream *stream, enum stream_fault fault)
{
	(void)stream;
	(void)fault;
	ASSERT(false && "the questions are good");
}

static const struct stream_events question_events = {
	.on_body = on_question_body,
	.on_trailers = on_question_trailers,
	.on_drained = fuzz_on_drained,
	.on_reset = on_no_reset,
};

static void on_question(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct stream *two = fuzz.session->ops->open(fuzz.session);
	struct way *way = container_of(session, struct way, h1.session);

	ASSERT(two != NULL);
	stream->owner = two->owner = way;
	stream->events = &question_events;
	two->events = &answer_events;
	way->one = stream;
	way->two = two;
	way->method = head->method;
	way->minor_0 = head->version_minor == 0;
	way->request = http_head_copy(&fuzz.arena, head);
	ASSERT(way->request != NULL);
	http_mark_hop_fields(way->request);
	two->ops->send_head(two, way->request, end);
	if (!end)
		stream->ops->grant(stream, 100);
}

static const struct session_events asking_events = {
	.on_request = on_question,
	.on_stream_done = fuzz_on_stream_done,
	.on_poke = fuzz_on_poke,
};

static void ask(u32 first)
{
	static const char *const questions[asked_max] = {
		"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: "
		"close\r\n\r\n"
		"3\r\nabc\r\n0\r\nt: u\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
	};

	for (u32 i = 0; i < asked_max; i++) {
		struct way *way = &fuzz.ways[fuzz.count++];
		struct str question = str_from(questions[(first + i) % asked_max]);
		struct block *block = block_get(&fuzz.pool, true);

		ASSERT(block != NULL);
		*way = (struct way){0};
		h1_init(&way->h1, STREAM_SERVER, &fuzz.down, &fuzz.pool, &way->out, &asking_events);
		memcpy(block->data, question.ptr, question.len);
		way->h1.session.ops->feed(
			&way->h1.session, (struct slice){block, block->data, question.len});
		if (way->h1.session.again)
			way->h1.session.ops->feed(&way->h1.session, (struct slice){0});
		ASSERT(way->two != NULL);
	}
}

// ---- What the other end reads -------------------------------------------------------------------

// No two readers may see two ends of a line, or of the head.
static void check_lines(struct str head)
{
	u32 empty = 0;

	for (size_t i = 0; i < head.len; i++) {
		ASSERT(head.ptr[i] != 0);
		ASSERT(head.ptr[i] != '\n' || (i > 0 && head.ptr[i - 1] == '\r'));
		ASSERT(head.ptr[i] != '\r' || (i + 1 < head.len && head.ptr[i + 1] == '\n'));
		if (head.ptr[i] == '\n' && i >= 3 && head.ptr[i - 2] == '\n')
			empty++;
		ASSERT(i == 0 || head.ptr[i - 1] != '\n' ||
			(head.ptr[i] != ' ' && head.ptr[i] != '\t'));
	}
	ASSERT(empty == 1);
}

// Where the chunked body at `text` ends; 0: not in it.
static size_t end_of_chunks(struct str text, u64 *ret_len)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	const struct h1_limits limits = {HTTP_HEAD_BYTES_MAX, HTTP_HEAD_BYTES_MAX / 2};
	struct h1_chunked chunked = {0};
	enum http_refusal why;
	size_t at = 0;
	u16 count;

	*ret_len = 0;
	while (at < text.len) {
		size_t used = 0;
		struct str data = {0};
		int end;

		switch (h1_chunked_feed(
			&chunked, text.ptr + at, text.len - at, &used, &data, &why)) {
		case H1_CHUNK_MORE:
			at += used;
			ASSERT(used > 0 || at == text.len);
			break;
		case H1_CHUNK_DATA:
			at += used;
			*ret_len += data.len;
			break;
		case H1_CHUNK_TRAILERS:
			at += used;
			end = h1_parse_trailers(
				text.ptr + at, text.len - at, &limits, fields, &count, &why);
			ASSERT(end > 0);
			for (u16 i = 0; i < count; i++)
				ASSERT(http_trailer_allowed((enum http_known)fields[i].known));
			return at + (size_t)end;
		case H1_CHUNK_BAD:
			ASSERT(false && "the chunks are malformed");
		}
	}
	return 0;
}

static void check_body(const struct way *way, const struct http_head *head, struct str body)
{
	u64 len = 0;
	size_t end;

	switch ((enum http_framing)head->framing) {
	case HTTP_NO_BODY:
		ASSERT(body.len == 0 && (way->whole || head->status));
		break;
	case HTTP_LENGTH:
		ASSERT(body.len == way->body_len && body.len <= head->content_length);
		ASSERT(!way->whole || body.len == head->content_length);
		break;
	case HTTP_CHUNKED:
		end = end_of_chunks(body, &len);
		ASSERT(len == way->body_len);
		ASSERT(way->whole ? end == body.len : end == 0);
		break;
	case HTTP_UNTIL_CLOSE: // the end of an answer that was cut is not like that of a whole one
		ASSERT(head->status && way->minor_0 && body.len == way->body_len);
		ASSERT(way->whole || way->h1.session.end == SESSION_ABORT);
		break;
	}
}

// A message may have as many fields as we read, and what we add comes on top: without so many of
// its own it must be readable again.
static struct str without_some(struct str text)
{
	static struct fuzz_text shorter;
	u32 spare = HTTP_FIELDS_EXTRA, dropped = 0;

	shorter.len = 0;
	while (text.len) {
		size_t len = str_find(text, '\n') + 1;
		bool goes = spare && text.len > 2 && memcmp(text.ptr, "x-", 2) == 0;

		len = MIN(len, text.len);
		if (text.ptr[0] == '\r')
			spare = 0; // what follows is no head
		spare -= goes;
		dropped += goes;
		if (!goes)
			fuzz_put(&shorter, text.ptr, len);
		text = str_make(text.ptr + len, text.len - len);
	}
	ASSERT(dropped > 0);
	return str_make(shorter.at, shorter.len);
}

static void check_request(const struct way *way, struct str text)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	const struct h1_limits limits = {HTTP_HEAD_BYTES_MAX, HTTP_HEAD_BYTES_MAX / 2};
	struct http_head head;
	enum http_refusal why;
	int used;

	used = h1_parse_request(text.ptr, text.len, &limits, fields, &head, &why);
	if (used < 0 && why == HTTP_REFUSE_TOO_MANY_FIELDS) {
		text = without_some(text);
		used = h1_parse_request(text.ptr, text.len, &limits, fields, &head, &why);
	}
	ASSERT(used > 0);
	ASSERT(text.ptr[0] != '\r' &&
		str_eq(str_make(text.ptr, head.method_text.len), head.method_text));
	ASSERT(http_authority_valid(head.authority) && head.method != HTTP_CONNECT);
	ASSERT(head.upgrade == way->upgrade);
	check_lines(str_make(text.ptr, (size_t)used));
	fuzz_check_framing(&head);
	if (way->upgrade)
		ASSERT((size_t)used == text.len && head.content_length == 0);
	else
		check_body(way, &head, str_make(text.ptr + used, text.len - (size_t)used));
}

// The head at the beginning of `text`, which is cut off.
static void cut_answer(const struct way *way, struct str *text, struct http_head *ret_head)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	const struct h1_limits limits = {HTTP_HEAD_BYTES_MAX, HTTP_HEAD_BYTES_MAX / 2};
	enum http_refusal why;
	int used = h1_parse_response(text->ptr, text->len, &limits, (enum http_method)way->method,
		fields, ret_head, &why);

	if (used < 0 && why == HTTP_REFUSE_TOO_MANY_FIELDS) {
		*text = without_some(*text);
		used = h1_parse_response(text->ptr, text->len, &limits,
			(enum http_method)way->method, fields, ret_head, &why);
	}
	ASSERT(used > 0);
	check_lines(str_make(text->ptr, (size_t)used));
	*text = str_make(text->ptr + used, text->len - (size_t)used);
}

static void check_answer(const struct way *way, struct str text)
{
	struct http_head head;

	for (u32 i = 0; i < way->interim && !way->minor_0; i++) {
		cut_answer(way, &text, &head);
		ASSERT(head.status < 200 && head.status != 101);
	}
	if (way->status == 0) {
		ASSERT(text.len == 0);
		return;
	}
	cut_answer(way, &text, &head);
	ASSERT(head.status == way->status);
	fuzz_check_framing(&head);
	if (head.status == 101)
		ASSERT(way->request->upgrade && text.len == way->body_len);
	else
		check_body(way, &head, text);
}

static void end_way(struct way *way, bool is_answer)
{
	static struct fuzz_text text;

	if (is_answer) {
		way->two->ops->reset(way->two);
		way->one->ops->reset(way->one);
	} else {
		way->two->ops->reset(way->two);
	}
	fuzz_flatten(&way->out, &text);
	if (is_answer)
		check_answer(way, str_make(text.at, text.len));
	else if (way->asked)
		check_request(way, str_make(text.at, text.len));
	if (is_answer || way->asked)
		way->h1.session.ops->done(&way->h1.session);
}

// ---- A run --------------------------------------------------------------------------------------

static void feed(struct str input, size_t piece)
{
	fuzz_feed(fuzz.session, input, piece, &fuzz.pool, &fuzz.now_us);
}

static void run(u8 how, bool is_answer)
{
	static const size_t pieces[] = {1, 7, 1000, BLOCK_BYTES};

	fuzz_turn(fuzz.session);
	if (is_answer) {
		feed(STR("\0\0\6\4\0\0\0\0\0\0\x8\0\0\0\1"), BLOCK_BYTES);
		ask(how >> 5);
	} else {
		feed(h2_preface, BLOCK_BYTES);
		feed(STR("\0\0\0\4\0\0\0\0\0"), BLOCK_BYTES);
	}
	fuzz_turn(fuzz.session);
	feed(str_make(fuzz.frames.text.at, fuzz.frames.text.len), pieces[how >> 1 & 3]);
	fuzz.session->ops->ended(fuzz.session, 0);
	fuzz_turn(fuzz.session);
	for (u32 i = 0; i < fuzz.count; i++)
		end_way(&fuzz.ways[i], is_answer);
	fuzz_turn(fuzz.session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct h2_kit *kit;
	bool is_answer;

	if (size == 0 || size > input_max)
		return 0;
	is_answer = data[0] & 16;
	frames_make(&fuzz.frames, str_make((const char *)data + 1, size - 1), data[0] & 1);
	fuzz.count = 0;
	fuzz.now_us = 1;
	fuzz.step = data[0] & 8 ? 10 : 100000;
	fuzz.down.limits = fuzz.up.limits = fuzz_limits;
	if (!is_answer && data[0] & 32)
		fuzz.down.limits =
			(struct h1_limits){.head_bytes_max = 600, .target_bytes_max = 50};
	arena_init(&fuzz.arena, 4 * 1024 * 1024);
	block_pool_init(&fuzz.pool, blocks_max, blocks_max);
	kit = h2_kit_new(&fuzz.pool, &fuzz.now_us, 1, 2048, 1);
	fuzz.session = h2_new(kit, is_answer ? STREAM_CLIENT : STREAM_SERVER,
		is_answer ? &fuzz.up : &fuzz.down, &fuzz.out, &fuzz, false, &client_events);
	ASSERT(fuzz.session != NULL);
	run(data[0], is_answer);
	fuzz.session->ops->done(fuzz.session);
	bytes_clear(&fuzz.out);
	h2_kit_free(kit);
	block_pool_done(&fuzz.pool);
	arena_done(&fuzz.arena);
	return 0;
}
