// SPDX-License-Identifier: Apache-2.0
// Messages as a peer should not write them, over seeds: what our sessions take as a message,
// libnghttp2's own judging (RFC 9113 8.1 to 8.3), which is switched off in them, takes too. And the
// order that RFC 9218 asks for.
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <nghttp2/nghttp2.h>

#include "base/rng.h"

enum {
	DATA,
	HEADERS,
	SETTINGS = 4,
};
enum { END_STREAM = 1, END_HEADERS = 4 };
enum { fields_max = 16, messages = 20000, said_max = 64 * 1024 };

struct field {
	struct str name, value;
};

struct message {
	struct field fields[fields_max];
	u32 count;
};

struct wire {
	char bytes[8192];
	size_t len;
};

#define F(name, value)                \
	{                             \
		STR(name), STR(value) \
	}

static const struct field get_fields[] = {F(":method", "GET"), F(":scheme", "http"),
	F(":path", "/"), F(":authority", "a.test"), F("user-agent", "test")};
static const struct field post_fields[] = {F(":method", "POST"), F(":scheme", "https"),
	F(":path", "/a?b"), F(":authority", "a.test"), F("content-length", "3"),
	F("te", "trailers")};
static const struct field connect_fields[] = {
	F(":method", "CONNECT"), F(":authority", "a.test:80"), F("x", "y")};
static const struct field websocket_fields[] = {F(":method", "CONNECT"),
	F(":protocol", "websocket"), F(":scheme", "https"), F(":path", "/chat"),
	F(":authority", "a.test")};
static const struct field answer_fields[] = {
	F(":status", "200"), F("content-length", "3"), F("content-type", "text/plain")};
static const struct field trailer_fields[] = {F("x-sum", "7"), F("grpc-status", "0")};

static const struct str names[] = {STR(":method"), STR(":scheme"), STR(":path"), STR(":authority"),
	STR(":protocol"), STR(":status"), STR(":x"), STR(":"), STR(":Path"), STR(""), STR("x"),
	STR("X"), STR("x-Long-name-of-a-field"), STR("x y"), STR("x:y"), STR("x: y"), STR("x\r\ny"),
	STR("x\n"), STR("x\0y"), STR("\xe4"), STR(" x"), STR("x "), STR("host"),
	STR("content-length"), STR("te"), STR("connection"), STR("keep-alive"),
	STR("proxy-connection"), STR("transfer-encoding"), STR("upgrade"), STR("cookie"),
	STR("priority"), STR("x_y"), STR("user-agent"), STR("content-encodings"), STR("expect"),
	STR("trailer"), STR("sec-websocket-key")};

static const struct str values[] = {STR(""), STR("a"), STR(" a"), STR("a "), STR("\ta"), STR("a\t"),
	STR("a\tb"), STR("a b"), STR("a\r\nb: c"), STR("a\r\n b"), STR("a\nb"), STR("a\r"),
	STR("a\0b"), STR("\x7f"), STR("\x01"), STR("\x80\xff"), STR("trailers"), STR("Trailers"),
	STR("trailers, gzip"), STR("gzip"), STR("0"), STR("3"), STR("4"), STR("03"), STR("+3"),
	STR("3,3"), STR("18446744073709551619"), STR("chunked"), STR("a.test"), STR("b.test"),
	STR("me@a.test"), STR("a.test:99999"), STR("[::1]"), STR("[::1\0]"), STR("/"), STR("/x y"),
	STR("/#a"), STR("*"), STR("x"), STR("http://b.test/"), STR("/ HTTP/1.1\r\nx: y"),
	STR("GET"), STR("HEAD"), STR("POST"), STR("OPTIONS"), STR("CONNECT"), STR("get"),
	STR("G T"), STR("GET /x HTTP/1.1\r\ny:"), STR("http"), STR("https"), STR("ftp"),
	STR("h\r\nx: y"), STR("1http"), STR("200"), STR("100"), STR("101"), STR("103"), STR("204"),
	STR("304"), STR("20"), STR("2000"), STR("2 0"), STR("abc"), STR("-10"), STR("websocket"),
	STR("u=1, i"), STR("100-continue")};

// ---- Writing them -------------------------------------------------------------------------------

static struct field any_field(struct rng *rng)
{
	return (struct field){
		names[rng_below(rng, ARRAY_LEN(names))], values[rng_below(rng, ARRAY_LEN(values))]};
}

static void spoil(struct message *message, struct rng *rng)
{
	u32 at = rng_below(rng, message->count + 1), last = message->count ? message->count - 1 : 0;
	struct field *field = &message->fields[MIN(at, last)];

	switch (rng_below(rng, 6)) {
	case 0:
		field->name = any_field(rng).name;
		break;
	case 1:
		field->value = any_field(rng).value;
		break;
	case 2:
		if (message->count)
			*field = message->fields[--message->count];
		break;
	case 3:
		if (message->count < fields_max)
			message->fields[message->count++] = *field;
		break;
	default:
		if (message->count == fields_max)
			break;
		memmove(&message->fields[at + 1], &message->fields[at],
			(message->count - at) * sizeof(*field));
		message->fields[at] = any_field(rng);
		message->count++;
	}
}

static struct message spoilt(struct rng *rng, const struct field *fields, size_t count)
{
	struct message message = {.count = (u32)count};

	memcpy(message.fields, fields, count * sizeof(*fields));
	for (u32 i = rng_below(rng, 4); i > 0; i--)
		spoil(&message, rng);
	return message;
}

static void put(struct wire *wire, const void *bytes, size_t len)
{
	assert_true(wire->len + len <= sizeof(wire->bytes));
	if (len)
		memcpy(wire->bytes + wire->len, bytes, len);
	wire->len += len;
}

static void put_frame(struct wire *wire, u8 type, u8 flags, const void *payload, size_t len)
{
	u8 head[9] = {(u8)(len >> 16), (u8)(len >> 8), (u8)len, type, flags, 0, 0, 0,
		type == SETTINGS ? 0 : 1};

	put(wire, head, sizeof(head));
	put(wire, payload, len);
}

// Literals that no table keeps (RFC 7541 6.2.2), without Huffman's code.
static void put_fields(struct wire *wire, u8 flags, const struct message *message)
{
	struct wire block = {0};

	for (u32 i = 0; i < message->count; i++) {
		u8 how = 0, name_len = (u8)message->fields[i].name.len,
		   value_len = (u8)message->fields[i].value.len;

		put(&block, &how, 1);
		put(&block, &name_len, 1);
		put(&block, message->fields[i].name.ptr, name_len);
		put(&block, &value_len, 1);
		put(&block, message->fields[i].value.ptr, value_len);
	}
	put_frame(wire, HEADERS, flags | END_HEADERS, block.bytes, block.len);
}

static void put_body(struct wire *wire, struct rng *rng)
{
	struct message trailers = spoilt(rng, trailer_fields, ARRAY_LEN(trailer_fields));

	switch (rng_below(rng, 4)) {
	case 0:
		put_frame(wire, DATA, END_STREAM, "abc", 3);
		break;
	case 1:
		put_frame(wire, DATA, 0, "ab", 2);
		put_frame(wire, DATA, END_STREAM, "c", rng_below(rng, 2));
		break;
	case 2:
		put_frame(wire, DATA, 0, "abc", 3);
		put_fields(wire, rng_one_in(rng, 4) ? 0 : END_STREAM, &trailers);
		break;
	default:
		put_fields(wire, rng_one_in(rng, 4) ? 0 : END_STREAM, &trailers);
	}
}

static void put_request(struct wire *wire, struct rng *rng)
{
	static const struct {
		const struct field *fields;
		size_t count;
	} kinds[] = {{get_fields, ARRAY_LEN(get_fields)}, {post_fields, ARRAY_LEN(post_fields)},
		{connect_fields, ARRAY_LEN(connect_fields)},
		{websocket_fields, ARRAY_LEN(websocket_fields)}};
	u32 kind = rng_below(rng, ARRAY_LEN(kinds));
	struct message message = spoilt(rng, kinds[kind].fields, kinds[kind].count);
	bool end = rng_one_in(rng, 2);

	put(wire, h2_preface.ptr, h2_preface.len);
	put_frame(wire, SETTINGS, 0, NULL, 0);
	put_fields(wire, end ? END_STREAM : 0, &message);
	if (!end)
		put_body(wire, rng);
}

static void put_answer(struct wire *wire, struct rng *rng)
{
	struct message message = spoilt(rng, answer_fields, ARRAY_LEN(answer_fields));
	struct message interim = {.fields = {F(":status", "103")}, .count = 1};
	bool end = rng_one_in(rng, 3);

	put_frame(wire, SETTINGS, 0, NULL, 0);
	if (rng_one_in(rng, 4)) {
		spoil(&interim, rng);
		put_fields(wire, rng_one_in(rng, 8) ? END_STREAM : 0, &interim);
	}
	put_fields(wire, end ? END_STREAM : 0, &message);
	if (!end)
		put_body(wire, rng);
}

// ---- Two judges ---------------------------------------------------------------------------------

static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags, void *user)
{
	(void)ng, (void)frame, (void)name, (void)namelen, (void)value, (void)valuelen, (void)flags;
	*(bool *)user = true;
	return 0;
}

static bool says_no(const u8 *bytes, size_t len)
{
	enum { RST_STREAM = 3, GOAWAY = 7 };

	for (size_t at = 0; at + 9 <= len;) {
		size_t size = (size_t)bytes[at] << 16 | (size_t)bytes[at + 1] << 8 | bytes[at + 2];

		if (bytes[at + 3] == RST_STREAM || bytes[at + 3] == GOAWAY)
			return true;
		at += 9 + size;
	}
	return false;
}

static nghttp2_session *new_judge(bool of_requests, bool *no, const char *method)
{
	nghttp2_settings_entry connect = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
	nghttp2_session_callbacks *callbacks;
	nghttp2_session *judge;
	nghttp2_nv nv[] = {{(u8 *)":method", (u8 *)method, 7, strlen(method), 0},
		{(u8 *)":scheme", (u8 *)"http", 7, 4, 0}, {(u8 *)":path", (u8 *)"/", 5, 1, 0},
		{(u8 *)":authority", (u8 *)"a.test", 10, 6, 0}};

	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
	if (of_requests) {
		assert_int_equal(nghttp2_session_server_new(&judge, callbacks, no), 0);
		nghttp2_submit_settings(judge, 0, &connect, 1);
	} else {
		assert_int_equal(nghttp2_session_client_new(&judge, callbacks, no), 0);
		nghttp2_submit_settings(judge, 0, NULL, 0);
		assert_int_equal(
			nghttp2_submit_request(judge, NULL, nv, ARRAY_LEN(nv), NULL, NULL), 1);
	}
	nghttp2_session_callbacks_del(callbacks);
	return judge;
}

static bool is_taken_by_libnghttp2(const struct wire *wire, bool of_requests, const char *method)
{
	bool no = false;
	nghttp2_session *judge = new_judge(of_requests, &no, method);
	const u8 *said;
	ssize_t len, used;

	while (nghttp2_session_mem_send(judge, &said) > 0)
		;
	used = nghttp2_session_mem_recv(judge, (const u8 *)wire->bytes, wire->len);
	no |= used != (ssize_t)wire->len;
	while ((len = nghttp2_session_mem_send(judge, &said)) > 0)
		no |= says_no(said, (size_t)len);
	nghttp2_session_del(judge);
	return !no;
}

static bool is_taken_by_us(const struct wire *wire, bool of_requests, const char *method)
{
	static char said[said_max];
	struct pair pair;
	struct heard *heard;
	bool taken;

	pair_init(&pair, !of_requests);
	if (of_requests) {
		heard = &pair.server.streams[0];
		pair_feed(&pair, &pair.server, wire->bytes, wire->len);
		(void)pair_take(&pair, &pair.server, said, sizeof(said));
	} else {
		heard = pair_ask(&pair, method, "/", 0);
		(void)pair_take(&pair, &pair.client, said, sizeof(said));
		pair_feed(&pair, &pair.client, wire->bytes, wire->len);
		(void)pair_take(&pair, &pair.client, said, sizeof(said));
	}
	taken = heard->has_head && !heard->was_reset && !pair.server.excesses &&
		!pair.client.excesses;
	if (!of_requests) // an interim head alone is no answer
		taken &= heard->has_end;
	pair_done(&pair);
	return taken;
}

static void show(const struct wire *wire)
{
	for (size_t i = 0; i < wire->len; i++)
		print_message(wire->bytes[i] >= ' ' && wire->bytes[i] < 0x7f ? "%c" : "\\x%02x",
			(u8)wire->bytes[i]);
	print_message("\n");
}

static void judge(bool of_requests)
{
	static const char *const methods[] = {"GET", "HEAD", "POST"};
	u32 seeds = getenv("MESSAGES") ? (u32)atol(getenv("MESSAGES")) : messages;
	u32 both = 0, we_alone_refuse = 0;

	for (u32 seed = 1; seed <= seeds; seed++) {
		struct wire wire = {0};
		struct rng rng;
		const char *method;
		bool ours, theirs;

		rng_init(&rng, seed);
		method = methods[rng_below(&rng, ARRAY_LEN(methods))];
		(of_requests ? put_request : put_answer)(&wire, &rng);
		ours = is_taken_by_us(&wire, of_requests, method);
		theirs = is_taken_by_libnghttp2(&wire, of_requests, method);
		if (ours && !theirs) {
			show(&wire);
			fail_msg("seed %u (%s): taken, though it is malformed", seed, method);
		}
		both += ours && theirs;
		we_alone_refuse += !ours && theirs;
	}
	print_message("# %u taken by both, %u refused by us alone, of %u\n", both, we_alone_refuse,
		seeds);
	assert_true(both > seeds / 16); // else little was tried
}

static void requests_are_judged_as_strictly(void **state)
{
	(void)state;
	judge(true);
}

static void answers_are_judged_as_strictly(void **state)
{
	(void)state;
	judge(false);
}

// ---- Two ways to read
// ----------------------------------------------------------------------------

// What was heard of a message that comes in such pieces.
static struct heard heard_of(
	const struct wire *wire, bool of_requests, const char *method, size_t piece)
{
	static char said[said_max];
	struct pair pair;
	struct heard heard;

	pair_init(&pair, !of_requests);
	pair.piece = piece;
	if (of_requests) {
		pair_feed(&pair, &pair.server, wire->bytes, wire->len);
		(void)pair_take(&pair, &pair.server, said, sizeof(said));
		heard = pair.server.streams[0];
	} else {
		(void)pair_ask(&pair, method, "/", 0);
		(void)pair_take(&pair, &pair.client, said, sizeof(said));
		pair_feed(&pair, &pair.client, wire->bytes, wire->len);
		(void)pair_take(&pair, &pair.client, said, sizeof(said));
		heard = pair.client.streams[0];
	}
	pair_done(&pair);
	return heard;
}

// A head that comes in one is put together from what was noted while it was written, one that comes
// byte by byte is read by HTTP/1's parser.
static void compare(bool of_requests)
{
	static const char *const methods[] = {"GET", "HEAD", "POST"};
	u32 seeds = getenv("MESSAGES") ? (u32)atol(getenv("MESSAGES")) : messages;
	u32 heads = 0;

	for (u32 seed = 1; seed <= seeds; seed++) {
		struct heard noted, parsed;
		struct wire wire = {0};
		struct rng rng;
		const char *method;

		rng_init(&rng, seed);
		method = methods[rng_below(&rng, ARRAY_LEN(methods))];
		(of_requests ? put_request : put_answer)(&wire, &rng);
		noted = heard_of(&wire, of_requests, method, sizeof(wire.bytes));
		parsed = heard_of(&wire, of_requests, method, 1);
		heads += noted.has_head;
		if (noted.head_sum == parsed.head_sum && strcmp(noted.head, parsed.head) == 0 &&
			noted.was_reset == parsed.was_reset && noted.heads == parsed.heads)
			continue;
		show(&wire);
		fail_msg("seed %u (%s): \"%s\" was noted, \"%s\" parsed", seed, method, noted.head,
			parsed.head);
	}
	assert_true(heads > seeds / 16);
}

static void requests_are_noted_as_they_are_parsed(void **state)
{
	(void)state;
	compare(true);
}

static void answers_are_noted_as_they_are_parsed(void **state)
{
	(void)state;
	compare(false);
}

// ---- Heads of all lengths -----------------------------------------------------------------------

enum { long_max = 15 * 1024 };

// A literal's length with a prefix of seven bits (RFC 7541 5.1).
static size_t put_length(u8 *at, size_t len)
{
	size_t count = 1;

	if (len < 127) {
		at[0] = (u8)len;
		return 1;
	}
	at[0] = 127;
	for (len -= 127; len >= 128; len >>= 7)
		at[count++] = (u8)(len | 128);
	at[count++] = (u8)len;
	return count;
}

static size_t put_long(u8 *at, struct str text, size_t more)
{
	size_t len = put_length(at, text.len + more);

	memcpy(at + len, text.ptr, text.len);
	memset(at + len + text.len, 'a', more);
	return len + text.len + more;
}

// The values of two fields are longer by so much each.
static void feed_long(
	const struct field *fields, size_t count, size_t first, size_t second, u32 more)
{
	static u8 bytes[64 + 2 * long_max];
	static char said[said_max];
	struct wire wire = {0};
	size_t len = 9, payload;
	struct pair pair;

	for (size_t i = 0; i < count; i++) {
		bytes[len++] = 0;
		len += put_long(bytes + len, fields[i].name, 0);
		len += put_long(bytes + len, fields[i].value,
			(i == first ? more : 0) + (i == second ? more : 0));
	}
	payload = len - 9;
	memcpy(bytes,
		(u8[9]){(u8)(payload >> 16), (u8)(payload >> 8), (u8)payload, HEADERS,
			END_STREAM | END_HEADERS, 0, 0, 0, 1},
		9);
	put(&wire, h2_preface.ptr, h2_preface.len);
	put_frame(&wire, SETTINGS, 0, NULL, 0);
	pair_init(&pair, false);
	pair.piece = sizeof(bytes);
	pair_feed(&pair, &pair.server, wire.bytes, wire.len);
	pair_feed(&pair, &pair.server, bytes, len);
	(void)pair_take(&pair, &pair.server, said, sizeof(said));
	pair_done(&pair);
}

// Nothing is written behind the room that was made for it, whichever part is long (h2_text.c:
// took).
static void heads_of_all_lengths(void **state)
{
	static const struct {
		const struct field *fields;
		size_t count;
	} kinds[] = {{get_fields, ARRAY_LEN(get_fields)}, {post_fields, ARRAY_LEN(post_fields)},
		{connect_fields, ARRAY_LEN(connect_fields)},
		{websocket_fields, ARRAY_LEN(websocket_fields)}};

	(void)state;
	for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++)
		for (size_t first = 0; first < kinds[kind].count; first++)
			for (size_t second = first; second < kinds[kind].count; second++)
				for (u32 more = 7; more < long_max / 2; more += 97)
					feed_long(kinds[kind].fields, kinds[kind].count, first,
						second, more);
}

// ---- RFC 9218 -----------------------------------------------------------------------------------

static void put_get(struct wire *wire, u8 stream, const char *priority)
{
	struct message message = {.count = ARRAY_LEN(get_fields)};
	size_t at = wire->len;

	memcpy(message.fields, get_fields, sizeof(get_fields));
	message.fields[message.count++] = (struct field){STR("priority"), str_from(priority)};
	put_fields(wire, END_STREAM, &message);
	wire->bytes[at + 8] = (char)stream;
}

// Whose DATA was sent first; 0: nobody's.
static u8 first_data(const char *bytes, size_t len)
{
	for (size_t at = 0; at + 9 <= len;) {
		const u8 *frame = (const u8 *)bytes + at;

		if (frame[3] == DATA)
			return frame[8];
		at += 9 + ((size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2]);
	}
	return 0;
}

// The window of the connection is full of the first answer when the second is made. Which goes on
// when there is room again?
static u8 who_goes_on(const char *first, const char *second)
{
	static const u8 more[] = {
		0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 1, 0, 0};
	static char said[4 * said_max];
	struct wire wire = {0};
	struct pair pair;
	size_t len;

	pair_init(&pair, false);
	put(&wire, h2_preface.ptr, h2_preface.len);
	put_frame(&wire, SETTINGS, 0, NULL, 0);
	put_get(&wire, 1, first);
	put_get(&wire, 3, second);
	pair_feed(&pair, &pair.server, wire.bytes, wire.len);
	assert_int_equal(pair.server.count, 2);
	pair_answer(&pair.server.streams[0], 200, 200000);
	len = pair_take(&pair, &pair.server, said, sizeof(said));
	assert_int_equal(first_data(said, len), 1);
	pair_answer(&pair.server.streams[1], 200, 1000);
	len = pair_take(&pair, &pair.server, said, sizeof(said));
	assert_int_equal(first_data(said, len), 0);
	pair_feed(&pair, &pair.server, more, sizeof(more));
	len = pair_take(&pair, &pair.server, said, sizeof(said));
	pair_done(&pair);
	return first_data(said, len);
}

static void the_urgent_answer_goes_first(void **state)
{
	(void)state;
	assert_int_equal(who_goes_on("u=5", "u=1"), 3);
	assert_int_equal(who_goes_on("u=1", "u=5"), 1);
	assert_int_equal(who_goes_on("i, u=5;x=1", "a=b ,  u=2,u=x"), 3);
	assert_int_equal(who_goes_on("u=3", ""), who_goes_on("", "u=3"));
	assert_int_equal(who_goes_on("", "u=8"), who_goes_on("", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_judged_as_strictly),
		cmocka_unit_test(answers_are_judged_as_strictly),
		cmocka_unit_test(requests_are_noted_as_they_are_parsed),
		cmocka_unit_test(answers_are_noted_as_they_are_parsed),
		cmocka_unit_test(heads_of_all_lengths),
		cmocka_unit_test(the_urgent_answer_goes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
