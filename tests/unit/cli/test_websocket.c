// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include "base/bytes.h"
#include "base/rng.h"
#include "cli/websocket.h"

enum { room = 256 * 1024, rounds = 300 };

// A stream that only remembers.
struct fake {
	struct stream stream;
	char sent[room];
	size_t sent_len, granted;
	bool ended;
};

static struct fake fake;
static struct block_pool pool;

static void fake_send_body(struct stream *stream, struct slice slice, bool end)
{
	struct fake *self = container_of(stream, struct fake, stream);

	assert_false(self->ended);
	assert_true(self->sent_len + slice.len <= room);
	if (slice.len)
		memcpy(self->sent + self->sent_len, slice.ptr, slice.len);
	self->sent_len += slice.len;
	self->ended = end;
	slice_drop(&slice);
}

static void fake_grant(struct stream *stream, size_t len)
{
	container_of(stream, struct fake, stream)->granted += len;
}

static const struct stream_ops ops = {.send_body = fake_send_body, .grant = fake_grant};

static void begin(struct websocket *websocket)
{
	*websocket = (struct websocket){0};
	fake.stream = (struct stream){.ops = &ops};
	fake.sent_len = fake.granted = 0;
	fake.ended = false;
}

static void feed(struct websocket *websocket, const char *bytes, size_t len, bool end)
{
	struct slice slice = {.len = len};

	slice.block = block_get_sized(&pool, MAX(len, 1));
	assert_non_null(slice.block);
	memcpy(slice.block->data, bytes, len);
	slice.ptr = slice.block->data;
	websocket_feed(websocket, &fake.stream, slice, end);
}

// A frame of a client (masked) or of a server.
static size_t frame(char *out, u8 first, const char *payload, size_t len, const u8 *mask)
{
	size_t at = 0;

	out[at++] = (char)first;
	if (len < 126) {
		out[at++] = (char)(len | (mask ? 0x80 : 0));
	} else {
		u32 bytes = len < 65536 ? 2 : 8;

		out[at++] = (char)((bytes == 2 ? 126 : 127) | (mask ? 0x80 : 0));
		for (u32 i = bytes; i-- > 0;)
			out[at++] = (char)((u64)len >> (i * 8));
	}
	for (u32 i = 0; mask && i < 4; i++)
		out[at++] = (char)mask[i];
	for (size_t i = 0; i < len; i++)
		out[at++] = (char)(payload[i] ^ (mask ? mask[i & 3] : 0));
	return at;
}

static const u8 mask[4] = {0x12, 0x34, 0x56, 0x78};

// The example of RFC 6455 1.3.
static void test_accept(void **state)
{
	char accept[WEBSOCKET_ACCEPT_BYTES];

	(void)state;
	websocket_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);
	assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof(accept));
}

// Random conversations, cut at random places: what comes back is what went in, unmasked, and all
// credit is granted again or waits for what was sent to drain.
static void test_messages_come_back(void **state)
{
	static char in[room], want[room], payload[70000];
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (u32 round = 0; round < rounds; round++) {
		static const size_t sizes[] = {0, 1, 125, 126, 1000, 65535, 65536};
		struct websocket websocket;
		size_t in_len = 0, want_len = 0, at = 0;

		begin(&websocket);
		for (u32 i = 0; i < 3; i++) {
			size_t len = sizes[rng_below(&rng, ARRAY_LEN(sizes))];
			u8 opcode = (u8)rng_below(&rng, 3);

			for (size_t j = 0; j < len; j++)
				payload[j] = (char)rng_below(&rng, 256);
			in_len += frame(in + in_len, opcode | 0x80, payload, len, mask);
			want_len += frame(want + want_len, opcode | 0x80, payload, len, NULL);
		}
		while (at < in_len) {
			size_t len = 1 + rng_below(&rng, rng_one_in(&rng, 2) ? 5 : 8000);

			len = MIN(len, in_len - at);
			feed(&websocket, in + at, len, false);
			at += len;
		}
		assert_int_equal(fake.sent_len, want_len);
		assert_memory_equal(fake.sent, want, want_len);
		// A header that came in two pieces is granted before it is sent on.
		assert_in_range(
			fake.granted + fake.sent_len, in_len, in_len + WEBSOCKET_HEADER_MAX);
		assert_false(fake.ended);
	}
}

static void test_control_frames(void **state)
{
	struct websocket websocket;
	char in[64];
	size_t len;

	(void)state;
	begin(&websocket);
	len = frame(in, 0x89, "hi", 2, mask);
	feed(&websocket, in, len, false);
	assert_int_equal(fake.sent_len, 4);
	assert_memory_equal(fake.sent, "\x8a\x02hi", 4);
	len = frame(in, 0x8a, "hi", 2, mask); // a pong nobody asked for
	feed(&websocket, in, len, false);
	assert_int_equal(fake.sent_len, 4);
	len = frame(in, 0x88, "\x03\xe8", 2, mask);
	feed(&websocket, in, len, false);
	assert_int_equal(fake.sent_len, 8);
	assert_memory_equal(fake.sent + 4, "\x88\x02\x03\xe8", 4);
	assert_true(fake.ended);
	feed(&websocket, in, len, false); // behind the end nothing counts
	assert_int_equal(fake.sent_len, 8);
}

static void test_what_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"\x81\x01\0\0\0\0", 6},	 // not masked
		{"\xc1\x80\0\0\0\0", 6},	 // a reserved bit
		{"\x83\x80\0\0\0\0", 6},	 // an unknown opcode
		{"\x8b\x80\0\0\0\0", 6},	 // an unknown control opcode
		{"\x09\x80\0\0\0\0", 6},	 // a ping in parts
		{"\x89\xfe\x00\x7e\0\0\0\0", 8}, // a ping that is too long
		{"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct websocket websocket;

		begin(&websocket);
		feed(&websocket, rows[i].bytes, rows[i].len, false);
		assert_true(fake.ended);
		assert_int_equal(fake.sent_len, 4);
		assert_memory_equal(fake.sent, "\x88\x02\x03\xea", 4);
	}
}

static void test_an_end_is_answered(void **state)
{
	struct websocket websocket;

	(void)state;
	begin(&websocket);
	feed(&websocket, "\x81", 1, true);
	assert_true(fake.ended);
}

static int setup(void **state)
{
	(void)state;
	block_pool_init(&pool, 64, 64);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	block_pool_done(&pool); // asserts that every block came back
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_messages_come_back),
		cmocka_unit_test(test_control_frames),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_an_end_is_answered),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
