// SPDX-License-Identifier: Apache-2.0
// Both roles of HTTP/2 against each other, over any split of the same bytes: messages, credit,
// output that does not run ahead, ends.
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/websocket_key.h"

static const size_t pieces[] = {1, 3, 17, 1000, 16 * 1024};

#define EACH_PIECE(pair, i)                                                           \
	for (size_t i = 0; i < ARRAY_LEN(pieces) && (pair_init(&(pair), true), true); \
		i++, pair_done(&(pair)))                                              \
		if (((pair).piece = pieces[i]))

static bool answer_small(struct heard *heard, struct http_head *head)
{
	(void)head;
	pair_answer(heard, 200, 5);
	return heard->has_end;
}

static void test_get(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct heard *heard;

		pair.server.on_request = answer_small;
		heard = pair_ask(&pair, "GET", "/x?y=z", 0);
		pair_run(&pair);
		assert_string_equal(pair.server.streams[0].head, "GET /x?y=z a.test host=a.test");
		assert_true(pair.server.streams[0].has_end);
		assert_string_equal(heard->head, "200 x-name=Value content-length=5");
		assert_int_equal(heard->body_bytes, 5);
		assert_true(heard->has_end && heard->framed_by_length);
		assert_int_equal(pair.server.streams[0].drained_bytes, 5);
		assert_int_equal(pair.client.done_count, 1);
		assert_int_equal(pair.server.done_count, 1);
		assert_false(pair.client.session->busy || pair.server.session->busy);
		assert_true(pair.client.open_limits > 0);
	}
}

static void test_many(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		pair.server.on_request = answer_small;
		pair_run(&pair);
		assert_int_equal(
			pair.client.session->ops->room(pair.client.session), H2_STREAMS_MAX);
		for (u32 n = 0; n < H2_STREAMS_MAX; n++)
			pair_ask(&pair, "GET", "/", 0);
		assert_int_equal(pair.client.session->ops->room(pair.client.session), 0);
		pair_run(&pair);
		for (u32 n = 0; n < H2_STREAMS_MAX; n++)
			assert_int_equal(pair.client.streams[n].body_bytes, 5);
		assert_int_equal(
			pair.client.session->ops->room(pair.client.session), H2_STREAMS_MAX);
	}
}

static bool answer_large(struct heard *heard, struct http_head *head)
{
	(void)head;
	pair_answer(heard, 200, 1000000);
	return heard->has_end;
}

static void test_bodies(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct heard *heard;

		pair.server.on_request = answer_large;
		heard = pair_ask(&pair, "POST", "/", 700000);
		pair_run(&pair);
		assert_int_equal(pair.server.streams[0].body_bytes, 700000);
		assert_int_equal(pair.server.streams[0].body_sum, (u32)('x' * 700000));
		assert_true(pair.server.streams[0].has_end);
		assert_int_equal(heard->drained_bytes, 700000);
		assert_int_equal(heard->body_bytes, 1000000);
		assert_true(heard->has_end);
		assert_int_equal(pair.server.streams[0].drained_bytes, 1000000);
	}
}

static bool stall_first(struct heard *heard, struct http_head *head)
{
	(void)head;
	heard->stalls = heard->end->count == 1;
	return false;
}

// Ruling of the windows: one of ten uploads has a reader that stands still.
static void test_stalled(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair, true);
	pair.server.on_request = stall_first;
	pair_run(&pair);
	for (u32 n = 0; n < 10; n++)
		pair_ask(&pair, "PUT", "/", 2000000);
	pair_run(&pair);
	assert_int_equal(pair.server.streams[0].body_bytes, 0);
	assert_true(pair.client.streams[0].drained_bytes <= H2_STREAM_WINDOW);
	for (u32 n = 1; n < 10; n++) {
		assert_int_equal(pair.server.streams[n].body_bytes, 2000000);
		assert_true(pair.server.streams[n].has_end);
	}
	// It goes on when its reader does.
	pair.server.streams[0].stalls = false;
	pair.server.streams[0].stream->ops->grant(pair.server.streams[0].stream, 100000);
	pair_run(&pair);
	assert_int_equal(pair.server.streams[0].body_bytes, 2000000);
	assert_true(pair.server.streams[0].has_end);
	pair_done(&pair);
}

// A connection that takes nothing gets no more framed than a few frames.
static void test_output_is_bounded(void **state)
{
	struct pair pair;
	struct heard *heard;

	(void)state;
	pair_init(&pair, true);
	pair_run(&pair);
	heard = pair_ask(&pair, "PUT", "/", 10);
	for (u32 n = 0; n < 20; n++)
		pair_ask(&pair, "PUT", "/", 10000);
	pair.client.session->again = false;
	pair.client.session->ops->feed(pair.client.session, (struct slice){0});
	assert_true(pair.client.out.len > 50000 && pair.client.out.len <= 96 * 1024);
	assert_int_equal(heard->drained_bytes, 0);
	pair_run(&pair);
	for (u32 n = 0; n < 21; n++)
		assert_true(pair.server.streams[n].has_end);
	pair_done(&pair);
}

static bool answer_with_trailers(struct heard *heard, struct http_head *head)
{
	struct stream *stream = heard->stream;
	struct maker maker;

	(void)head;
	maker_answer(&maker, 103);
	maker_add(&maker, "link", "</a>");
	stream->ops->send_head(stream, &maker.head, false);
	maker_answer(&maker, 200);
	maker.head.framing = HTTP_CHUNKED;
	stream->ops->send_head(stream, &maker.head, false);
	stream->ops->send_body(stream, (struct slice){.ptr = "hello", .len = 5}, false);
	maker_answer(&maker, 200);
	maker_add(&maker, "Grpc-Status", "0");
	maker_add(&maker, "grpc-message", "fine");
	stream->ops->send_trailers(stream, maker.fields, 2);
	return false;
}

static void test_trailers(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct heard *heard;
		struct maker maker;

		pair.server.on_request = answer_with_trailers;
		maker_request(&maker, "POST", "/g");
		maker_add(&maker, "te", "trailers");
		maker.head.framing = HTTP_CHUNKED;
		heard = pair_ask_head(&pair, &maker.head, 10);
		// The end of the body is still to come: it comes as trailers.
		pair_run(&pair);
		assert_string_equal(heard->head, "103 link=</a>200");
		assert_int_equal(heard->heads, 2);
		assert_int_equal(heard->body_bytes, 5);
		assert_string_equal(heard->trailers, " grpc-status=0 grpc-message=fine");
		assert_true(heard->has_end);
		assert_string_equal(
			pair.server.streams[0].head, "POST /g a.test host=a.test te=trailers");
	}
}

static void test_request_trailers(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct maker maker;
		struct session *session = pair.client.session;
		struct stream *stream = session->ops->open(session);

		maker_request(&maker, "POST", "/g");
		maker.head.framing = HTTP_CHUNKED;
		stream->ops->send_head(stream, &maker.head, false);
		stream->ops->send_body(stream, (struct slice){.ptr = "abc", .len = 3}, false);
		maker_answer(&maker, 200);
		maker_add(&maker, "X-Sum", "7");
		stream->ops->send_trailers(stream, maker.fields, 1);
		pair_run(&pair);
		assert_int_equal(pair.server.streams[0].body_bytes, 3);
		assert_string_equal(pair.server.streams[0].trailers, " x-sum=7");
		assert_true(pair.server.streams[0].has_end);
		stream->ops->reset(stream);
	}
}

static bool refuse(struct heard *heard, struct http_head *head)
{
	(void)head;
	heard->stream->ops->refuse(heard->stream);
	return true;
}

static void test_refused(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct heard *heard;

		pair.server.on_request = refuse;
		heard = pair_ask(&pair, "POST", "/", 300000);
		pair_run(&pair);
		assert_true(heard->was_reset && !heard->has_head);
		assert_int_equal(heard->fault, STREAM_NOT_PROCESSED);
		assert_int_equal(pair.client.done_count, 1);
		assert_int_equal(pair.client.session->end, SESSION_GOES_ON);
	}
}

static bool answer_and_cut(struct heard *heard, struct http_head *head)
{
	struct stream *stream = heard->stream;
	struct maker maker;

	(void)head;
	maker_answer(&maker, 200);
	maker.head.framing = HTTP_CHUNKED;
	stream->ops->send_head(stream, &maker.head, false);
	stream->ops->send_body(stream, (struct slice){.ptr = "hello", .len = 5}, false);
	stream->ops->reset(stream);
	return true;
}

// An answer that was cut short looks so, and its siblings go on.
static void test_cut(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct heard *cut, *whole;

		pair.server.on_request = answer_and_cut;
		cut = pair_ask(&pair, "GET", "/", 0);
		pair_run(&pair);
		assert_true(cut->was_reset && !cut->has_end);
		pair.server.on_request = answer_small;
		whole = pair_ask(&pair, "GET", "/", 0);
		pair_run(&pair);
		assert_true(whole->has_end);
	}
}

// ... also while its next frame waits for room in the output.
static void test_cut_while_clogged(void **state)
{
	struct pair pair;
	struct heard *cut, *whole;

	(void)state;
	pair_init(&pair, true);
	pair_run(&pair);
	cut = pair_ask(&pair, "PUT", "/", 300000);
	for (u32 n = 0; n < 15; n++)
		pair_send_some(cut);
	whole = pair_ask(&pair, "PUT", "/", 10);
	pair.client.session->again = false;
	pair.client.session->ops->feed(pair.client.session, (struct slice){0});
	assert_true(pair.client.out.len > 50000);
	cut->stream->ops->reset(cut->stream);
	pair_run(&pair);
	assert_true(pair.server.streams[0].was_reset);
	assert_true(pair.server.streams[1].has_end);
	assert_int_equal(whole->drained_bytes, 10);
	pair_done(&pair);
}

static bool answer_early(struct heard *heard, struct http_head *head)
{
	(void)head;
	pair_answer(heard, 413, 5000);
	heard->stream->ops->reset(heard->stream);
	return true;
}

// RFC 9113 8.1: an answer that does not wait for the request's end arrives whole, and the rest of
// the request is then not wanted.
static void test_early_answer(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct heard *heard;

		pair.server.on_request = answer_early;
		heard = pair_ask(&pair, "PUT", "/", 5000000);
		pair_run(&pair);
		assert_true(heard->has_head);
		assert_string_equal(heard->head, "413 x-name=Value content-length=5000");
		assert_int_equal(heard->body_bytes, 5000);
		assert_true(heard->has_end && heard->left > 0);
		assert_false(pair.server.session->busy);
	}
}

// What ends, and what is left of it: a client that goes, a server that drains.
static void test_goes(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct heard *first = pair_ask(&pair, "GET", "/", 0);

		pair_run(&pair);
		pair.server.session->ops->drain(pair.server.session);
		pair_run(&pair);
		assert_true(pair.client.goaways >= 1);
		assert_int_equal(pair.client.session->ops->room(pair.client.session), 0);
		assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
		pair_answer(&pair.server.streams[0], 200, 5);
		pair_run(&pair);
		assert_true(first->has_end);
		assert_true(pair.server.session->end >= SESSION_LINGER);
		assert_int_equal(pair.client.session->end, SESSION_CLOSE);
	}
}

static void test_peer_gone(void **state)
{
	struct pair pair;
	struct heard *heard;

	(void)state;
	pair_init(&pair, true);
	heard = pair_ask(&pair, "GET", "/", 0);
	pair_run(&pair);
	pair.client.session->ops->ended(pair.client.session, 0);
	assert_true(heard->was_reset);
	assert_int_equal(heard->fault, STREAM_PEER_CLOSED);
	assert_false(heard->stream->ops->heard(heard->stream));
	pair.server.session->ops->ended(pair.server.session, -104);
	assert_int_equal(pair.server.streams[0].fault, STREAM_PEER_RESET);
	assert_int_equal(pair.server.session->end, SESSION_ABORT);
	pair_done(&pair);
}

static void test_alive(void **state)
{
	struct pair pair;
	char bytes[4096];

	(void)state;
	pair_init(&pair, true);
	pair_run(&pair);
	for (u32 i = 0; i < 5; i++) { // asked, and it answers
		pair.server.session->ops->check_alive(pair.server.session);
		pair_run(&pair);
		assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	}
	while (pair_take(&pair, &pair.server, bytes, sizeof(bytes)) < 17)
		pair.server.session->ops->check_alive(pair.server.session);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	pair.server.session->ops->check_alive(pair.server.session);
	assert_int_equal(pair.server.session->end, SESSION_ABORT);
	pair_done(&pair);
}

// A reader that is alive and takes nothing of an answer that is complete for everybody else.
static void test_stalled_answer(void **state)
{
	struct pair pair;
	struct heard *slow, *other;

	(void)state;
	pair_init(&pair, true);
	pair_run(&pair);
	slow = pair_ask(&pair, "GET", "/", 0);
	slow->stalls = true;
	other = pair_ask(&pair, "GET", "/", 0);
	pair_run(&pair);
	pair_answer(&pair.server.streams[0], 200, 400000);
	pair_answer(&pair.server.streams[1], 200, 100);
	for (u32 i = 0; i < 10; i++) {
		pair_send_some(&pair.server.streams[0]);
		pair_run(&pair);
	}
	assert_true(other->has_end);
	assert_false(slow->has_end);
	pair.server.streams[0].stream->ops->release(pair.server.streams[0].stream);
	for (u32 i = 0; i < 2; i++) {
		assert_false(slow->was_reset);
		pair.server.session->ops->check_alive(pair.server.session);
		pair_run(&pair);
	}
	assert_true(slow->was_reset);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	assert_int_equal(pair.server.done_count, 2);
	pair_done(&pair);
}

// ---- Translation --------------------------------------------------------------------------------

static void check_request(struct maker *maker, const char *want)
{
	struct pair pair;

	pair_init(&pair, true);
	pair_ask_head(&pair, &maker->head, 0);
	pair_run(&pair);
	assert_int_equal(pair.server.count, 1);
	assert_string_equal(pair.server.streams[0].head, want);
	pair_done(&pair);
}

static void test_fields(void **state)
{
	struct maker maker;

	(void)state;
	maker_request(&maker, "GET", "/");
	maker_add(&maker, "Connection", "close");
	maker_add(&maker, "Keep-Alive", "5");
	maker_add(&maker, "Host", "other.test");
	maker_add(&maker, "X-UPPER", "Stays As It Is");
	maker_add(&maker, "TE", "gzip, Trailers");
	maker.head.added_count = 1;
	maker.head.added[0] = STR("X-Forwarded-For: 1.2.3.4\r\nX-Empty:\r\n");
	check_request(&maker,
		"GET / a.test host=a.test x-upper=Stays As It Is x-forwarded-for=1.2.3.4 x-empty= "
		"te=trailers");
	maker_request(&maker, "GET", "/");
	maker_add(&maker, "cookie", "a=1");
	maker_add(&maker, "x", "y");
	maker_add(&maker, "cookie", "b=2");
	maker_add(&maker, "cookie", "c=3");
	check_request(&maker, "GET / a.test host=a.test x=y cookie=a=1; b=2; c=3");
	maker_request(&maker, "OPTIONS", "*");
	check_request(&maker, "OPTIONS * a.test host=a.test");
}

static bool answer_switch(struct heard *heard, struct http_head *head)
{
	const struct http_field *key = http_head_find(head, HTTP_F_SEC_WEBSOCKET_KEY);
	struct stream *stream = heard->stream;
	char accept[29] = {0};
	struct maker maker;

	assert_true(head->upgrade && head->method == HTTP_GET && heard->has_end);
	assert_non_null(key);
	maker_answer(&maker, 101);
	maker_add(&maker, "Connection", "upgrade");
	maker_add(&maker, "Upgrade", "websocket");
	websocket_accept(str_make(key->value, key->value_len), accept);
	maker_add(&maker, "Sec-WebSocket-Accept", accept);
	heard->has_end = false;
	stream->ops->send_head(stream, &maker.head, false);
	stream->ops->grant(stream, 1000);
	stream->ops->send_body(stream, (struct slice){.ptr = "hello", .len = 5}, false);
	return true;
}

// RFC 8441: what is an upgrade in HTTP/1 is a CONNECT with a protocol here; both ends see the
// former.
static void test_websocket(void **state)
{
	struct pair pair;

	(void)state;
	EACH_PIECE(pair, i)
	{
		struct maker maker;
		struct heard *heard;
		struct stream *stream;

		pair.server.on_request = answer_switch;
		pair_run(&pair);
		maker_websocket(&maker);
		heard = pair_ask_head(&pair, &maker.head, 0);
		stream = heard->stream;
		pair_run(&pair);
		assert_string_equal(heard->head,
			"101 connection=upgrade upgrade=websocket "
			"sec-websocket-accept=s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
		stream->ops->grant(stream, 1000);
		stream->ops->send_body(stream, (struct slice){.ptr = "abc", .len = 3}, false);
		pair_run(&pair);
		assert_int_equal(heard->body_bytes, 5);
		assert_int_equal(pair.server.streams[0].body_bytes, 3);
		stream->ops->send_body(stream, (struct slice){0}, true);
		pair_run(&pair);
		assert_true(pair.server.streams[0].has_end);
		pair.server.streams[0].stream->ops->send_body(
			pair.server.streams[0].stream, (struct slice){0}, true);
		pair_run(&pair);
		assert_true(heard->has_end);
		assert_int_equal(pair.client.done_count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_stalled),
		cmocka_unit_test(test_output_is_bounded),
		cmocka_unit_test(test_trailers),
		cmocka_unit_test(test_request_trailers),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_while_clogged),
		cmocka_unit_test(test_early_answer),
		cmocka_unit_test(test_goes),
		cmocka_unit_test(test_peer_gone),
		cmocka_unit_test(test_alive),
		cmocka_unit_test(test_stalled_answer),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_websocket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
