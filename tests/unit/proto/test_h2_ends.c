// SPDX-License-Identifier: Apache-2.0
// HTTP/2 where something ends in the middle or does not fit: what of it is still said, to whom, and
// that the siblings of a stream go on.
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { long_bytes = 20000, huge_bytes = 70000, huge_fields = 5 };

static char long_value[long_bytes + 1], huge_value[huge_bytes + 1];

static void begin(struct pair *pair)
{
	memset(long_value, '~', long_bytes); // what Huffman's code does not make smaller
	memset(huge_value, '~', huge_bytes);
	pair_init(pair, true);
	pair->parser.limits = (struct h1_limits){64 * 1024, 8 * 1024};
	pair_run(pair);
}

static void go_on(struct end *end)
{
	end->session->again = false;
	end->session->ops->feed(end->session, (struct slice){0});
}

// A backend has ended its connection behind an answer that its reader has not taken yet. Nothing
// more is framed toward it: streams that are over here are still known to libnghttp2, which would
// ask memory that is somebody else's for their bytes.
static void test_nobody_hears(void **state)
{
	struct pair pair;
	struct heard *waits, *other;

	(void)state;
	begin(&pair);
	waits = pair_ask(&pair, "GET", "/", 0);
	waits->stalls = true;
	other = pair_ask(&pair, "PUT", "/", 200000);
	other->left = 0; // what is more is sent below
	pair_run(&pair);
	pair_answer(&pair.server.streams[0], 200, 100);
	pair_run(&pair);
	assert_true(waits->has_head && !waits->has_end);

	other->left = 15000; // queued with its end, and to be framed in the next turn
	pair_send_some(other);
	pair_send_some(other);
	pair.client.session->ops->ended(pair.client.session, 0);
	assert_true(other->was_reset && !waits->was_reset);
	other->stream->ops->reset(other->stream);
	go_on(&pair.client); // here it is freed
	assert_int_equal(pair.client.out.len, 0);
	go_on(&pair.client);
	assert_int_equal(pair.client.out.len, 0);

	waits->stream->ops->grant(waits->stream, 1000);
	go_on(&pair.client);
	assert_int_equal(waits->body_bytes, 100);
	assert_true(waits->has_end && !waits->was_reset);
	assert_int_equal(pair.client.out.len, 0);
	assert_int_equal(pair.client.session->end, SESSION_CLOSE);
	pair_done(&pair);
}

static void answer_chunked(struct heard *heard)
{
	struct stream *stream = heard->stream;
	struct maker maker;

	maker_answer(&maker, 200);
	maker.head.framing = HTTP_CHUNKED;
	stream->ops->send_head(stream, &maker.head, false);
	stream->ops->send_body(stream, (struct slice){.ptr = "hello", .len = 5}, false);
}

static void send_trailer(struct heard *heard, const char *name, const char *value)
{
	struct maker maker;

	maker_answer(&maker, 200);
	maker_add(&maker, name, value);
	heard->stream->ops->send_trailers(heard->stream, maker.fields, 1);
}

// Trailers that need CONTINUATION are framed at once as far as one frame goes. The head that
// follows in the same turn comes behind all of them, and has its fields.
static void test_continuation_goes_on(void **state)
{
	struct pair pair;
	struct heard *first, *second;

	(void)state;
	begin(&pair);
	first = pair_ask(&pair, "GET", "/", 0);
	second = pair_ask(&pair, "GET", "/", 0);
	pair_run(&pair);
	answer_chunked(&pair.server.streams[0]);
	pair_run(&pair);
	assert_int_equal(first->body_bytes, 5);

	send_trailer(&pair.server.streams[0], "x-long", long_value);
	pair_answer(&pair.server.streams[1], 200, 5);
	pair_run(&pair);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	assert_int_equal(pair.client.session->end, SESSION_GOES_ON);
	assert_true(first->has_end && !first->was_reset);
	assert_memory_equal(first->trailers, " x-long=~~~~", 12);
	assert_string_equal(second->head, "200 x-name=Value content-length=5");
	assert_true(second->has_end);
	pair_done(&pair);
}

// ... and so does a request, or an answer, that is itself in several pieces.
static void test_heads_in_pieces(void **state)
{
	struct pair pair;
	struct heard *first, *second;
	struct maker maker;

	(void)state;
	begin(&pair);
	maker_request(&maker, "GET", "/long");
	maker_add(&maker, "x-long", long_value);
	maker_add(&maker, "x-last", "here");
	first = pair_ask_head(&pair, &maker.head, 0);
	second = pair_ask(&pair, "GET", "/short", 0);
	pair_run(&pair);
	assert_int_equal(pair.server.count, 2);
	assert_memory_equal(
		pair.server.streams[0].head, "GET /long a.test host=a.test x-long=~~~~", 40);
	assert_string_equal(pair.server.streams[1].head, "GET /short a.test host=a.test");

	maker_answer(&maker, 200);
	maker_add(&maker, "x-long", long_value);
	maker.head.framing = HTTP_CHUNKED;
	pair.server.streams[0].stream->ops->send_head(
		pair.server.streams[0].stream, &maker.head, true);
	pair_answer(&pair.server.streams[1], 200, 5);
	pair_run(&pair);
	assert_memory_equal(first->head, "200 x-long=~~~~", 15);
	assert_true(first->has_end);
	assert_string_equal(second->head, "200 x-name=Value content-length=5");
	pair_done(&pair);
}

// An answer that can have no body is whole with its head. The end of its stream, in an empty frame
// behind it, is heard, and is no reset.
static void test_end_behind_the_end(void **state)
{
	struct pair pair;
	struct heard *heard;
	struct maker maker;
	struct stream *stream;

	(void)state;
	begin(&pair);
	heard = pair_ask(&pair, "GET", "/", 0);
	pair_run(&pair);
	stream = pair.server.streams[0].stream;
	maker_answer(&maker, 204);
	stream->ops->send_head(stream, &maker.head, false);
	pair_run(&pair);
	assert_true(heard->has_end);
	stream->ops->send_body(stream, (struct slice){0}, true);
	pair_run(&pair);
	assert_false(heard->was_reset);
	assert_int_equal(pair.client.done_count, 1);
	assert_int_equal(pair.server.done_count, 1);
	assert_int_equal(pair.client.session->end, SESSION_GOES_ON);
	pair_done(&pair);
}

static bool refuse_tunnel(struct heard *heard, struct http_head *head)
{
	assert_true(head->upgrade);
	pair_answer(heard, 403, 5);
	return true;
}

// The same on the other side: whoever asked for a tunnel that was refused ends what it would have
// sent.
static void test_end_of_a_refused_tunnel(void **state)
{
	struct pair pair;
	struct heard *heard;
	struct maker maker;

	(void)state;
	begin(&pair);
	pair.server.on_request = refuse_tunnel;
	maker_websocket(&maker);
	heard = pair_ask_head(&pair, &maker.head, 0);
	pair_run(&pair);
	assert_string_equal(heard->head, "403 x-name=Value content-length=5");
	assert_true(heard->has_end && !heard->was_reset);
	assert_int_equal(heard->body_bytes, 5);
	assert_false(pair.server.streams[0].was_reset);
	assert_int_equal(pair.server.done_count, 1);
	assert_int_equal(pair.client.done_count, 1);
	pair_done(&pair);
}

static void make_huge(struct maker *maker)
{
	for (u32 i = 0; i < huge_fields; i++)
		maker_add(maker, "x-huge", huge_value);
}

// A head that is larger than any that may be sent ends its stream, so that nobody waits in vain.
static void test_head_that_is_not_sent(void **state)
{
	struct pair pair;
	struct heard *first, *second, *third;
	struct maker maker;

	(void)state;
	begin(&pair);
	first = pair_ask(&pair, "GET", "/", 0);
	second = pair_ask(&pair, "GET", "/", 0);
	pair_run(&pair);
	maker_answer(&maker, 200);
	make_huge(&maker);
	maker.head.framing = HTTP_CHUNKED;
	pair.server.streams[0].stream->ops->send_head(
		pair.server.streams[0].stream, &maker.head, true);
	pair_run(&pair);
	assert_true(first->was_reset && !first->has_head);
	pair_answer(&pair.server.streams[1], 200, 5);
	pair_run(&pair);
	assert_true(second->has_end);

	maker_request(&maker, "GET", "/");
	make_huge(&maker);
	third = pair_ask_head(&pair, &maker.head, 0);
	pair_run(&pair);
	assert_true(third->was_reset);
	assert_int_equal(third->fault, STREAM_NOT_PROCESSED);
	assert_int_equal(pair.server.count, 2);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	assert_int_equal(pair.client.session->end, SESSION_GOES_ON);
	pair_done(&pair);
}

// Trailers that are none cut their message, in either direction, and nothing else.
static void test_trailers_that_are_not_sent(void **state)
{
	struct pair pair;
	struct heard *first, *second;
	struct maker maker;
	struct stream *stream;

	(void)state;
	begin(&pair);
	first = pair_ask(&pair, "GET", "/", 0);
	second = pair_ask(&pair, "GET", "/", 0);
	pair_run(&pair);
	answer_chunked(&pair.server.streams[0]);
	send_trailer(&pair.server.streams[0], "Content-Length", "7");
	answer_chunked(&pair.server.streams[1]);
	send_trailer(&pair.server.streams[1], "X-Sum", "7");
	pair_run(&pair);
	assert_true(first->was_reset && !first->has_end);
	assert_true(second->has_end && !second->was_reset);
	assert_string_equal(second->trailers, " x-sum=7");

	stream = pair.client.session->ops->open(pair.client.session);
	maker_request(&maker, "PUT", "/");
	maker.head.framing = HTTP_CHUNKED;
	stream->ops->send_head(stream, &maker.head, false);
	stream->ops->send_body(stream, (struct slice){.ptr = "abc", .len = 3}, false);
	maker_add(&maker, "Host", "evil");
	stream->ops->send_trailers(stream, maker.fields, 1);
	pair_run(&pair);
	assert_int_equal(pair.server.count, 3);
	assert_true(pair.server.streams[2].was_reset && !pair.server.streams[2].has_end);
	assert_int_equal(pair.server.session->end, SESSION_GOES_ON);
	assert_int_equal(pair.client.session->end, SESSION_GOES_ON);
	stream->ops->reset(stream);
	pair_done(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_hears),
		cmocka_unit_test(test_continuation_goes_on),
		cmocka_unit_test(test_heads_in_pieces),
		cmocka_unit_test(test_end_behind_the_end),
		cmocka_unit_test(test_end_of_a_refused_tunnel),
		cmocka_unit_test(test_head_that_is_not_sent),
		cmocka_unit_test(test_trailers_that_are_not_sent),
	};

	return cmocka_run_group_tests_name("h2 ends", tests, NULL, NULL);
}
