// SPDX-License-Identifier: Apache-2.0
// Requests of HTTP/2 on their way to a backend that speaks HTTP/1: whatever goes in, what comes out
// of each is exactly one request or the visible beginning of one, with the body that was sent, also
// for a reader that is lax about the ends of lines.
//
// Records, divided by the byte 0x1f, say what a client sends: "NAME:VALUE" is a field (a colon in
// front belongs to the name), "=BYTES" is DATA, "#" ends a header section, "%" begins another
// stream, "!" resets this one. The first byte of the input chooses how it is cut.
#include "fuzz_check.h"

#include "proto/h1.h"
#include "proto/h2.h"

enum {
	blocks_max = 4096,
	text_max = 256 * 1024,
	input_max = 64 * 1024,
	frame_max = 16 * 1024,
	streams_max = 32,
	separator = 0x1f,
};

struct text {
	size_t len;
	char at[text_max];
};

// A stream from a client and the session with a backend behind it.
struct way {
	struct stream *down, *up;
	struct h1 h1;
	struct bytes out;
	bool asked, upgrade, whole, over;
	u64 body_len; // that came out of HTTP/2
};

struct fuzz {
	struct block_pool pool;
	u64 now_us;
	struct h1_parser down, up;
	struct bytes out;
	struct arena arena;
	struct way ways[streams_max];
	u32 count;
	u32 step; // of DATA, granted at a time
};

// ---- From stream to stream ----------------------------------------------------------------------

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct way *way = stream->owner;

	way->body_len += slice.len;
	way->whole = end;
	if (slice.len)
		stream->ops->grant(stream, slice.len);
	way->up->ops->send_body(way->up, slice, end);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct way *way = stream->owner;

	way->whole = true;
	way->up->ops->send_trailers(way->up, fields, count);
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	struct way *way = stream->owner;

	(void)fault;
	way->over = true;
}

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	(void)stream;
	(void)head;
	(void)end;
	ASSERT(false && "nobody answers");
}

static const struct stream_events down_events = {
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

static const struct stream_events up_events = {.on_head = on_head, .on_drained = on_drained};

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)session;
	(void)stream;
}

static void on_poke(struct session *session)
{
	(void)session;
}

static const struct session_events backend_events = {
	.on_stream_done = on_stream_done, .on_poke = on_poke};

static struct way *new_way(struct fuzz *fuzz, struct stream *stream)
{
	struct way *way = &fuzz->ways[fuzz->count];

	if (fuzz->count == streams_max) {
		stream->ops->refuse(stream);
		return NULL;
	}
	fuzz->count++;
	*way = (struct way){.down = stream};
	stream->events = &down_events;
	stream->owner = way;
	return way;
}

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct fuzz *fuzz = h2_carrier(session);
	struct way *way = new_way(fuzz, stream);
	struct http_head *copy;

	if (!way)
		return;
	fuzz_check_fields(head->fields, head->field_count, head->raw);
	copy = http_head_copy(&fuzz->arena, head);
	ASSERT(copy != NULL);
	http_mark_hop_fields(copy);
	h1_init(&way->h1, STREAM_CLIENT, &fuzz->up, &fuzz->pool, &way->out, &backend_events);
	way->up = way->h1.session.ops->open(&way->h1.session);
	way->up->events = &up_events;
	way->asked = true;
	way->upgrade = copy->upgrade;
	way->whole = end;
	way->up->ops->send_head(way->up, copy, end);
	if (!end)
		stream->ops->grant(stream, fuzz->step);
}

static void on_refused(struct session *session, struct stream *stream)
{
	ASSERT(session->refusal != HTTP_REFUSE_OK && session->refusal < HTTP_REFUSE_COUNT);
	(void)new_way(h2_carrier(session), stream);
}

static const struct session_events client_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
};

// ---- What a backend reads -----------------------------------------------------------------------

static void flatten(struct bytes *bytes, struct text *text)
{
	text->len = 0;
	while (!bytes_is_empty(bytes)) {
		struct slice slice = bytes_pop(bytes);

		ASSERT(text->len + slice.len <= text_max);
		memcpy(text->at + text->len, slice.ptr, slice.len);
		text->len += slice.len;
		slice_drop(&slice);
	}
}

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
		ASSERT(body.len == 0 && way->whole);
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
	case HTTP_UNTIL_CLOSE:
		ASSERT(false && "no request has such a body");
	}
}

static void check_way(struct way *way)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	static struct text text;
	const struct h1_limits limits = {HTTP_HEAD_BYTES_MAX, HTTP_HEAD_BYTES_MAX / 2};
	struct http_head head;
	enum http_refusal why;
	int used;

	flatten(&way->out, &text);
	if (!way->asked)
		return;
	used = h1_parse_request(text.at, text.len, &limits, fields, &head, &why);
	ASSERT(used > 0);
	ASSERT(text.at[0] != '\r' &&
		str_eq(str_make(text.at, head.method_text.len), head.method_text));
	ASSERT(http_authority_valid(head.authority) && head.method != HTTP_CONNECT);
	ASSERT(head.upgrade == way->upgrade);
	check_lines(str_make(text.at, (size_t)used));
	fuzz_check_framing(&head);
	if (way->upgrade)
		ASSERT((size_t)used == text.len);
	else
		check_body(way, &head, str_make(text.at + used, text.len - (size_t)used));
}

// ---- What a client sends ------------------------------------------------------------------------

static void put(struct text *to, const void *bytes, size_t len)
{
	ASSERT(to->len + len <= text_max);
	memcpy(to->at + to->len, bytes, len);
	to->len += len;
}

static void put_byte(struct text *to, u32 byte)
{
	char c = (char)byte;

	put(to, &c, 1);
}

static void put_frame(struct text *to, u32 type, u32 flags, u32 stream, struct str payload)
{
	put_byte(to, (u32)payload.len >> 16);
	put_byte(to, (u32)payload.len >> 8);
	put_byte(to, (u32)payload.len);
	put_byte(to, type);
	put_byte(to, flags);
	for (u32 shift = 32; shift; shift -= 8)
		put_byte(to, stream >> (shift - 8));
	put(to, payload.ptr, payload.len);
}

// RFC 7541 5.1, with a prefix of seven bits.
static void put_number(struct text *to, size_t number)
{
	if (number < 127) {
		put_byte(to, (u32)number);
		return;
	}
	put_byte(to, 127);
	for (number -= 127; number >= 128; number >>= 7)
		put_byte(to, (u32)(number & 127) | 128);
	put_byte(to, (u32)number);
}

// A literal field with a literal name, into no table (RFC 7541 6.2.2).
static void put_field(struct text *to, struct str record)
{
	size_t colon = 1;
	struct str name, value;

	while (colon < record.len && record.ptr[colon] != ':')
		colon++;
	name = str_make(record.ptr, MIN(colon, record.len));
	value = str_make(record.ptr + name.len, record.len - name.len);
	if (value.len)
		value = str_make(value.ptr + 1, value.len - 1);
	put_byte(to, 0);
	put_number(to, name.len);
	put(to, name.ptr, name.len);
	put_number(to, value.len);
	put(to, value.ptr, value.len);
}

struct sender {
	struct text frames, section;
	u32 stream, cut;
	bool open; // a header section has begun
};

static void put_section(struct sender *sender, bool end)
{
	struct str rest = str_make(sender->section.at, sender->section.len);
	size_t piece = sender->cut & 1 ? 40 : frame_max;
	u32 type = 1, end_stream = end ? 1 : 0;

	do {
		size_t len = MIN(rest.len, piece);
		bool last = len == rest.len;

		put_frame(&sender->frames, type, end_stream | (last ? 4 : 0), sender->stream,
			str_make(rest.ptr, len));
		rest = str_make(rest.ptr + len, rest.len - len);
		type = 9;
		end_stream = 0;
		piece = frame_max; // few enough of them
	} while (rest.len);
	sender->section.len = 0;
	sender->open = false;
}

static void put_record(struct sender *sender, struct str record, bool last)
{
	struct str rest = record.len ? str_make(record.ptr + 1, record.len - 1) : STR_EMPTY;

	switch (record.len ? record.ptr[0] : '#') {
	case '#':
		put_section(sender, last || rest.len);
		break;
	case '=':
		if (sender->open)
			put_section(sender, false);
		rest.len = MIN(rest.len, (size_t)frame_max);
		put_frame(&sender->frames, 0, last ? 1 : 0, sender->stream, rest);
		break;
	case '%':
		if (sender->open)
			put_section(sender, true);
		sender->stream += 2;
		break;
	case '!':
		put_frame(&sender->frames, 3, 0, sender->stream, STR("\0\0\0\x8"));
		break;
	default:
		sender->open = true;
		put_field(&sender->section, record);
	}
}

static void put_records(struct sender *sender, struct str input)
{
	while (input.len) {
		struct str record = str_cut(&input, separator);

		put_record(sender, record, input.len == 0 || input.ptr[0] == '%');
	}
	if (sender->open)
		put_section(sender, true);
}

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

static void feed(struct fuzz *fuzz, struct session *session, struct str input, size_t piece)
{
	while (input.len && session->end == SESSION_GOES_ON) {
		size_t len = MIN(input.len, piece);
		struct block *block = block_get(&fuzz->pool, true);

		ASSERT(block != NULL);
		memcpy(block->data, input.ptr, len);
		session->ops->feed(session, (struct slice){block, block->data, len});
		turn(fuzz, session);
		input = str_make(input.ptr + len, input.len - len);
		fuzz->now_us += 1000;
	}
}

static void run(struct fuzz *fuzz, struct session *session, struct str frames, size_t piece)
{
	turn(fuzz, session);
	feed(fuzz, session, h2_preface, BLOCK_BYTES);
	feed(fuzz, session, STR("\0\0\0\4\0\0\0\0\0"), BLOCK_BYTES);
	feed(fuzz, session, frames, piece);
	session->ops->ended(session, 0);
	turn(fuzz, session);
	for (u32 i = 0; i < fuzz->count; i++) {
		struct way *way = &fuzz->ways[i];

		way->down->ops->reset(way->down);
		check_way(way);
		if (way->asked)
			way->h1.session.ops->done(&way->h1.session);
	}
	turn(fuzz, session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 7, 1000, BLOCK_BYTES};
	static struct fuzz fuzz;
	static struct sender sender;
	struct session *session;
	struct h2_kit *kit;

	if (size == 0 || size > input_max)
		return 0;
	sender.frames.len = sender.section.len = 0;
	sender.stream = 1;
	sender.cut = data[0];
	sender.open = false;
	put_records(&sender, str_make((const char *)data + 1, size - 1));
	fuzz.count = 0;
	fuzz.now_us = 1;
	fuzz.step = data[0] & 8 ? 10 : 100000;
	fuzz.down.limits = fuzz.up.limits = fuzz_limits;
	arena_init(&fuzz.arena, 4 * 1024 * 1024);
	block_pool_init(&fuzz.pool, blocks_max, blocks_max);
	kit = h2_kit_new(&fuzz.pool, &fuzz.now_us, 1, 2048, 1);
	session = h2_new(kit, STREAM_SERVER, &fuzz.down, &fuzz.out, &fuzz, false, &client_events);
	ASSERT(session != NULL);
	run(&fuzz, session, str_make(sender.frames.at, sender.frames.len),
		pieces[data[0] >> 1 & 3]);
	session->ops->done(session);
	bytes_clear(&fuzz.out);
	h2_kit_free(kit);
	block_pool_done(&fuzz.pool);
	arena_done(&fuzz.arena);
	return 0;
}
