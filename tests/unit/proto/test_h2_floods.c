// SPDX-License-Identifier: Apache-2.0
// A peer that does what costs it nothing, frame by frame, in either role: it is told to calm down,
// once, counted, and its connection ends.
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION,
	UNKNOWN = 0x42
};
enum { END_STREAM = 1, END_HEADERS = 4, ENHANCE_YOUR_CALM = 11, PROTOCOL_ERROR = 1 };

struct frames {
	char bytes[512 * 1024];
	size_t len;
};

static void put_frame(
	struct frames *frames, u8 type, u8 flags, u32 stream, const void *payload, size_t len)
{
	u8 head[9] = {(u8)(len >> 16), (u8)(len >> 8), (u8)len, type, flags, (u8)(stream >> 24),
		(u8)(stream >> 16), (u8)(stream >> 8), (u8)stream};

	assert_true(frames->len + 9 + len <= sizeof(frames->bytes));
	memcpy(frames->bytes + frames->len, head, 9);
	if (len)
		memcpy(frames->bytes + frames->len + 9, payload, len);
	frames->len += 9 + len;
}

// GET / on a.test, from the static table but for the authority.
static const char get[] = "\x82\x84\x86\x41\x06"
			  "a.test";

static void put_get(struct frames *frames, u32 stream, u8 flags)
{
	put_frame(frames, HEADERS, flags, stream, get, sizeof(get) - 1);
}

static void greet(struct pair *pair, struct frames *frames, bool as_client)
{
	frames->len = 0;
	if (as_client) {
		memcpy(frames->bytes, h2_preface.ptr, h2_preface.len);
		frames->len = h2_preface.len;
	}
	put_frame(frames, SETTINGS, 0, 0, NULL, 0);
	pair_feed(pair, as_client ? &pair->server : &pair->client, frames->bytes, frames->len);
	frames->len = 0;
}

// The code of the GOAWAY among what was sent, or -1.
static int goaway_code(const char *bytes, size_t len)
{
	int code = -1;
	size_t start = len >= h2_preface.len && memcmp(bytes, "PRI", 3) == 0 ? h2_preface.len : 0;

	for (size_t at = start; at + 9 <= len;) {
		const u8 *frame = (const u8 *)bytes + at;
		size_t size = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];

		if (frame[3] == GOAWAY)
			code = frame[9 + 7];
		at += 9 + size;
	}
	return code;
}

static void check_end(struct pair *pair, struct end *end, enum h2_excess excess, int code)
{
	static char bytes[512 * 1024];
	size_t len = pair_take(pair, end, bytes, sizeof(bytes));

	assert_int_equal(goaway_code(bytes, len), code);
	assert_int_equal(end->excesses, 1);
	assert_int_equal(h2_excess_of(end->session), excess);
	assert_true(end->session->end >= SESSION_LINGER);
}

static struct frames frames;

static void each_role(void (*fill)(struct frames *), enum h2_excess excess)
{
	for (int as_client = 0; as_client < 2; as_client++) {
		struct pair pair;
		struct end *end;

		pair_init(&pair, true);
		end = as_client ? &pair.server : &pair.client;
		greet(&pair, &frames, as_client);
		fill(&frames);
		pair_feed(&pair, end, frames.bytes, frames.len);
		check_end(&pair, end, excess, ENHANCE_YOUR_CALM);
		pair_done(&pair);
	}
}

static void fill_pings(struct frames *f)
{
	for (u32 i = 0; i < 300; i++)
		put_frame(f, PING, 0, 0, "12345678", 8);
}

static void fill_settings(struct frames *f)
{
	for (u32 i = 0; i < 100; i++)
		put_frame(f, SETTINGS, 0, 0, NULL, 0);
}

static void fill_unknown(struct frames *f)
{
	for (u32 i = 0; i < 300; i++)
		put_frame(f, UNKNOWN, 0, 0, NULL, 0);
}

static void fill_updates(struct frames *f)
{
	for (u32 i = 0; i < 6000; i++)
		put_frame(f, WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
}

static void fill_priorities(struct frames *f)
{
	for (u32 i = 0; i < 700; i++)
		put_frame(f, PRIORITY, 0, 1 + 2 * i, "\0\0\0\0\1", 5);
}

static void test_cheap_frames(void **state)
{
	(void)state;
	each_role(fill_pings, H2_PINGS);
	each_role(fill_settings, H2_SETTINGS);
	each_role(fill_unknown, H2_UNKNOWN_FRAMES);
	each_role(fill_updates, H2_WINDOW_UPDATES);
	each_role(fill_priorities, H2_PRIORITIES);
}

static void feed_server(struct pair *pair)
{
	pair_feed(pair, &pair->server, frames.bytes, frames.len);
	frames.len = 0;
}

static void end_server(void (*fill)(struct frames *), enum h2_excess excess)
{
	struct pair pair;

	pair_init(&pair, false);
	greet(&pair, &frames, true);
	fill(&frames);
	feed_server(&pair);
	check_end(&pair, &pair.server, excess, ENHANCE_YOUR_CALM);
	pair_done(&pair);
}

static void fill_resets(struct frames *f)
{
	for (u32 i = 0; i < 300; i++) {
		put_get(f, 1 + 2 * i, END_HEADERS | END_STREAM);
		put_frame(f, RST_STREAM, 0, 1 + 2 * i, "\0\0\0\x8", 4);
	}
}

static void test_rapid_reset(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	greet(&pair, &frames, true);
	fill_resets(&frames);
	feed_server(&pair);
	assert_true(pair.server.count <= 201);
	check_end(&pair, &pair.server, H2_RESETS, ENHANCE_YOUR_CALM);
	pair_done(&pair);
}

// The server is made to reset, which costs a client as little.
static void fill_window_overflows(struct frames *f)
{
	for (u32 i = 0; i < 300; i++) {
		put_get(f, 1 + 2 * i, END_HEADERS);
		put_frame(f, WINDOW_UPDATE, 0, 1 + 2 * i, "\x7f\xff\xff\xff", 4);
	}
}

static void test_made_to_reset(void **state)
{
	(void)state;
	end_server(fill_window_overflows, H2_RESETS);
}

static void fill_empty_data(struct frames *f)
{
	put_get(f, 1, END_HEADERS);
	for (u32 i = 0; i < 300; i++)
		put_frame(f, DATA, 0, 1, NULL, 0);
}

static void test_empty_data(void **state)
{
	(void)state;
	end_server(fill_empty_data, H2_EMPTY_DATA);
}

static void fill_continuations(struct frames *f)
{
	put_get(f, 1, END_STREAM);
	for (u32 i = 0; i < 20; i++)
		put_frame(f, CONTINUATION, 0, 1, NULL, 0);
}

static void test_continuations(void **state)
{
	(void)state;
	end_server(fill_continuations, H2_CONTINUATIONS);
}

// As many as may be, their heads cut anywhere, in message after message.
static void test_continuations_in_pieces(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	greet(&pair, &frames, true);
	for (u32 stream = 1; stream < 9; stream += 2) {
		put_get(&frames, stream, END_STREAM);
		for (u32 i = 0; i < H2_CONTINUATIONS_MAX; i++)
			put_frame(&frames, CONTINUATION,
				i + 1 == H2_CONTINUATIONS_MAX ? END_HEADERS : 0, stream, NULL, 0);
	}
	for (size_t at = 0; at < frames.len; at++)
		pair_feed(&pair, &pair.server, frames.bytes + at, 1);
	assert_int_equal(pair.server.excesses, 0);
	assert_int_equal(pair.server.count, 4);
	frames.len = 0;
	put_get(&frames, 9, END_STREAM);
	for (u32 i = 0; i <= H2_CONTINUATIONS_MAX; i++)
		put_frame(&frames, CONTINUATION, 0, 9, NULL, 0);
	feed_server(&pair);
	check_end(&pair, &pair.server, H2_CONTINUATIONS, ENHANCE_YOUR_CALM);
	pair_done(&pair);
}

// One entry of the dynamic table, named again and again.
static void fill_header_list(struct frames *f)
{
	static char block[16000];
	char value[3000];
	size_t len = sizeof(get) - 1;

	memset(value, 'v', sizeof(value));
	memcpy(block, get, len);
	memcpy(block + len, "\x40\x01x\x7f\xb9\x16", 6); // x: 3000 bytes
	memcpy(block + len + 6, value, sizeof(value));
	len += 6 + sizeof(value);
	memset(block + len, 0xbe, 1000);
	put_frame(f, HEADERS, END_HEADERS | END_STREAM, 1, block, len + 1000);
}

static void test_header_list(void **state)
{
	(void)state;
	end_server(fill_header_list, H2_HEADER_LIST);
}

static void fill_wrong_priority(struct frames *f)
{
	put_frame(f, PRIORITY, 0, 0, "\0\0\0\0\1", 5);
}

// Whatever the peer says behind what has ended its connection, and however it is cut, nobody reads
// it: libnghttp2 would not survive some of it.
static void test_wrong_frames_behind_the_end(void **state)
{
	static const struct {
		void (*fill)(struct frames *f);
		enum h2_excess excess;
		int code;
	} ends[] = {
		{fill_pings, H2_PINGS, ENHANCE_YOUR_CALM},
		{fill_settings, H2_SETTINGS, ENHANCE_YOUR_CALM},
		{fill_unknown, H2_UNKNOWN_FRAMES, ENHANCE_YOUR_CALM},
		{fill_updates, H2_WINDOW_UPDATES, ENHANCE_YOUR_CALM},
		{fill_priorities, H2_PRIORITIES, ENHANCE_YOUR_CALM},
		{fill_resets, H2_RESETS, ENHANCE_YOUR_CALM},
		{fill_window_overflows, H2_RESETS, ENHANCE_YOUR_CALM},
		{fill_empty_data, H2_EMPTY_DATA, ENHANCE_YOUR_CALM},
		{fill_continuations, H2_CONTINUATIONS, ENHANCE_YOUR_CALM},
		{fill_header_list, H2_HEADER_LIST, ENHANCE_YOUR_CALM},
		{fill_wrong_priority, H2_PROTOCOL_ERROR, PROTOCOL_ERROR},
	};
	static const struct {
		u8 type, flags;
		u32 stream;
		size_t len;
	} wrong[] = {{DATA, 8, 1, 0}, {HEADERS, 8, 401, 0}, {HEADERS, 0x20, 401, 4},
		{PRIORITY, 0, 1, 4}, {RST_STREAM, 0, 1, 3}, {SETTINGS, 0, 0, 5},
		{SETTINGS, 1, 0, 6}, {PUSH_PROMISE, 8, 1, 3}, {PING, 0, 0, 7}, {GOAWAY, 0, 0, 7},
		{WINDOW_UPDATE, 0, 0, 8}, {CONTINUATION, 0, 1, 1}, {UNKNOWN, 0, 1, 17000}};
	static const char payload[17000];
	static const size_t pieces[] = {sizeof(frames.bytes), 100};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(ends) * ARRAY_LEN(wrong) * ARRAY_LEN(pieces); i++) {
		u32 end = i % ARRAY_LEN(ends), tail = i / ARRAY_LEN(ends) % ARRAY_LEN(wrong);
		size_t piece = pieces[i / ARRAY_LEN(ends) / ARRAY_LEN(wrong)];
		struct pair pair;

		pair_init(&pair, false);
		greet(&pair, &frames, true);
		ends[end].fill(&frames);
		put_frame(&frames, wrong[tail].type, wrong[tail].flags, wrong[tail].stream, payload,
			wrong[tail].len);
		for (size_t at = 0; at < frames.len; at += piece)
			pair_feed(&pair, &pair.server, frames.bytes + at,
				MIN(piece, frames.len - at));
		check_end(&pair, &pair.server, ends[end].excess, ends[end].code);
		pair_done(&pair);
	}
}

static void test_large_head(void **state)
{
	static char block[16000], bytes[4096];
	size_t len = sizeof(get) - 1;
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	greet(&pair, &frames, true);
	memcpy(block, get, len);
	for (u32 i = 0; i < 130; i++, len += 4)
		memcpy(block + len, "\x00\x01x\x00", 4);
	put_frame(&frames, HEADERS, END_HEADERS | END_STREAM, 1, block, len);
	feed_server(&pair);
	assert_string_equal(pair.server.streams[0].head, "refused: too many fields");
	assert_true(pair_take(&pair, &pair.server, bytes, sizeof(bytes)) > 0);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	pair.server.streams[0].stream->ops->reset(pair.server.streams[0].stream);
	pair_done(&pair);
}

// What a patient peer does over time is no flood.
static void test_patience(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	greet(&pair, &frames, true);
	for (u32 i = 0; i < 2000; i++) {
		put_frame(&frames, PING, 0, 0, "12345678", 8);
		feed_server(&pair);
		pair.now_us += 100000;
		assert_true(
			pair_take(&pair, &pair.server, frames.bytes, sizeof(frames.bytes)) >= 17);
	}
	assert_int_equal(pair.server.excesses, 0);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	pair_done(&pair);
}

static bool stall(struct heard *heard, struct http_head *head)
{
	(void)head;
	heard->stalls = true;
	return false;
}

// A reader that paused finds many small frames, and gives each of them back, on both levels. It may
// say so whenever it likes, but not more often than there was something to read.
static void test_updates_behind_a_pause(void **state)
{
	enum { pieces = 3000, piece_bytes = 10, updates_per_frame = 8, burst = 5000 };
	struct heard *heard;
	struct maker maker;
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	pair.server.on_request = stall;
	greet(&pair, &frames, true);
	put_get(&frames, 1, END_HEADERS | END_STREAM);
	feed_server(&pair);
	heard = &pair.server.streams[0];
	maker_answer(&maker, 200);
	maker.head.framing = HTTP_CHUNKED;
	heard->stream->ops->send_head(heard->stream, &maker.head, false);
	for (u32 i = 0; i < pieces; i++) {
		struct block *block = block_get(&pair.pool, true);

		memset(block->data, 'x', piece_bytes);
		heard->stream->ops->send_body(
			heard->stream, (struct slice){block, block->data, piece_bytes}, false);
		assert_true(pair_take(&pair, &pair.server, frames.bytes, sizeof(frames.bytes)) > 0);
	}
	frames.len = 0;
	for (u32 i = 0; i < 2 * pieces; i++)
		put_frame(&frames, WINDOW_UPDATE, 0, i % 2, "\0\0\0\xa", 4);
	feed_server(&pair);
	assert_int_equal(pair.server.excesses, 0);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	for (u32 i = 0; i < (updates_per_frame - 2) * pieces + burst + 10; i++)
		put_frame(&frames, WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4);
	feed_server(&pair);
	check_end(&pair, &pair.server, H2_WINDOW_UPDATES, ENHANCE_YOUR_CALM);
	heard->stream->ops->reset(heard->stream);
	pair_done(&pair);
}

// RFC 9113 6.9.1: more than a stream's window holds ends the stream; the bytes are not kept.
static void test_window(void **state)
{
	static char piece[16000];
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	pair.server.on_request = stall;
	greet(&pair, &frames, true);
	(void)pair_take(&pair, &pair.server, frames.bytes, sizeof(frames.bytes));
	frames.len = 0;
	put_frame(&frames, SETTINGS, 1, 0, NULL, 0); // what they allow counts from here on
	put_get(&frames, 1, END_HEADERS);
	for (u32 i = 0; i < H2_STREAM_WINDOW / sizeof(piece); i++)
		put_frame(&frames, DATA, 0, 1, piece, sizeof(piece));
	feed_server(&pair);
	assert_false(pair.server.streams[0].was_reset);
	put_frame(&frames, DATA, 0, 1, piece, sizeof(piece));
	feed_server(&pair);
	(void)pair_take(&pair, &pair.server, frames.bytes, sizeof(frames.bytes));
	assert_true(pair.server.streams[0].was_reset);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	pair.server.streams[0].stream->ops->reset(pair.server.streams[0].stream);
	pair_done(&pair);
}

static void test_protocol_error(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	greet(&pair, &frames, true);
	put_get(&frames, 1, END_HEADERS);
	put_frame(&frames, DATA, 0, 0, "x", 1);
	feed_server(&pair);
	check_end(&pair, &pair.server, H2_PROTOCOL_ERROR, PROTOCOL_ERROR);
	assert_true(pair.server.streams[0].was_reset);
	pair_done(&pair);
}

static void test_wrong_preface(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair, false);
	pair_feed(&pair, &pair.server, "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 24);
	check_end(&pair, &pair.server, H2_PROTOCOL_ERROR, PROTOCOL_ERROR);
	pair_done(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cheap_frames),
		cmocka_unit_test(test_rapid_reset),
		cmocka_unit_test(test_made_to_reset),
		cmocka_unit_test(test_empty_data),
		cmocka_unit_test(test_continuations),
		cmocka_unit_test(test_continuations_in_pieces),
		cmocka_unit_test(test_header_list),
		cmocka_unit_test(test_wrong_frames_behind_the_end),
		cmocka_unit_test(test_large_head),
		cmocka_unit_test(test_patience),
		cmocka_unit_test(test_updates_behind_a_pause),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_protocol_error),
		cmocka_unit_test(test_wrong_preface),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
