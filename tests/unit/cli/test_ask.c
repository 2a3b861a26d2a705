// SPDX-License-Identifier: Apache-2.0
// Whom commands ask, and what they read: addresses as people write them, events however the bytes
// are cut, and a stream of them over a real socket.
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/ask.h"
#include "cli/sse.h"
#include "net/listen.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 1 << 28);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

// ---- Addresses ----------------------------------------------------------------------------------

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *address, *name, *host, *target;
	} rows[] = {
		{"unix:/run/weir/admin.sock", "unix:/run/weir/admin.sock", NULL, "localhost", ""},
		{"/run/weir/admin.sock", "unix:/run/weir/admin.sock", NULL, "localhost", ""},
		{"127.0.0.1:9900", "127.0.0.1:9900", NULL, "127.0.0.1:9900", ""},
		{":9900", "127.0.0.1:9900", NULL, "127.0.0.1:9900", ""},
		{"0.0.0.0:9900", "127.0.0.1:9900", NULL, "0.0.0.0:9900", ""},
		{"[::1]:9900", "[::1]:9900", NULL, "[::1]:9900", ""},
		{"[::]:9900", "[::1]:9900", NULL, "[::]:9900", ""},
		{"localhost:9900", NULL, "localhost", "localhost:9900", ""},
		{"http://127.0.0.1:8080/lb-health", "127.0.0.1:8080", NULL, "127.0.0.1:8080",
			"/lb-health"},
		{"http://127.0.0.1/", "127.0.0.1:80", NULL, "127.0.0.1:80", "/"},
		{"http://127.0.0.1", "127.0.0.1:80", NULL, "127.0.0.1:80", "/"},
		{"http://[::1]/a", "[::1]:80", NULL, "[::1]:80", "/a"},
		{"http://[::1]:81/a", "[::1]:81", NULL, "[::1]:81", "/a"},
		{"http://lb.test?x=1/y#z", NULL, "lb.test", "lb.test:80", "/?x=1/y"},
		{"http://lb.test:81/a?b=c#d", NULL, "lb.test", "lb.test:81", "/a?b=c"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ask_trouble trouble = {0};
		struct ask_place place;
		char text[ADDR_TEXT_MAX];

		if (ask_parse(str_from(rows[i].text), &arena, &place, &trouble) != 0)
			fail_msg("%s: %s", rows[i].text, trouble.cause);
		if (rows[i].address) {
			addr_format(&place.addr, text);
			assert_string_equal(text, rows[i].address);
		} else {
			assert_int_equal(place.addr.family, ADDR_NONE);
			assert_string_equal(place.name, rows[i].name);
			assert_true(place.addr.port > 0);
		}
		assert_true(str_eq(place.host, str_from(rows[i].host)));
		assert_int_equal(place.target.len, strlen(rows[i].target));
		assert_memory_equal(place.target.ptr, rows[i].target, place.target.len);
		assert_true(str_eq(place.text, str_from(rows[i].text)));
	}
}

static void test_no_addresses(void **state)
{
	static const char *const texts[] = {"", "x", "9900", "http://", "http://:x/", "http:///a",
		"127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "ftp://x:1/",
		"https://127.0.0.1:1/", "http://x/a\r\nHost: y", "http://x /", "http://x/\x80",
		"unix:", "unix:relative", ":", "[::1", "[::1]", "1.2.3:80", "http://a@b:80/"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct ask_trouble trouble = {0};
		struct ask_place place = {.name = "untouched"};

		if (ask_parse(str_from(texts[i]), &arena, &place, &trouble) != -EINVAL)
			fail_msg("'%s' was taken", texts[i]);
		assert_string_equal(place.name, "untouched");
		assert_true(trouble.cause[0] && trouble.cure[0]);
	}
}

// ---- Events -------------------------------------------------------------------------------------

struct heard {
	struct text text; // "event=data;" of each
	u32 left;	  // to be heard
};

static bool hear(void *owner, struct str event, struct str data)
{
	struct heard *heard = owner;

	text_printf(&heard->text, "%.*s=%.*s;", STR_FMT(event), STR_FMT(data));
	return --heard->left > 0;
}

static const char stream[] = ": hello\n\nevent: state\ndata: {\"a\":1}\nid: 7\n\n"
			     "data: one\r\ndata:two\r\ndata\r\n\r\nretry: 5\n\n"
			     "event: empty\n\nevent:event\rdata:  spaced\r\rdata: cut";
static const char meant[] = "state={\"a\":1};message=one\ntwo\n;event= spaced;";

static void test_events_however_they_are_cut(void **state)
{
	size_t len = sizeof(stream) - 1;

	(void)state;
	for (size_t size = 1; size <= len; size++) {
		struct heard heard = {.left = 100};
		struct sse sse;

		sse_init(&sse, 1000);
		for (size_t at = 0; at < len; at += size) {
			struct str piece = str_make(stream + at, MIN(size, len - at));

			assert_int_equal(sse_feed(&sse, piece, hear, &heard), 0);
		}
		assert_string_equal(heard.text.data, meant);
		sse_done(&sse);
		text_done(&heard.text);
	}
}

static void test_events_have_bounds(void **state)
{
	struct heard heard = {.left = 1};
	struct sse sse;

	(void)state;
	sse_init(&sse, 10);
	assert_int_equal(sse_feed(&sse, STR("data: 1234"), hear, &heard), 0);
	assert_int_equal(sse_feed(&sse, STR("5"), hear, &heard), -EMSGSIZE);
	sse_done(&sse);
	sse_init(&sse, 10);
	assert_int_equal(sse_feed(&sse, STR("data:12\ndata:34\n"), hear, &heard), 0);
	assert_int_equal(sse_feed(&sse, STR("data:56\n"), hear, &heard), -EMSGSIZE);
	sse_done(&sse);
	sse_init(&sse, 10);
	assert_int_equal(sse_feed(&sse, STR("data:1\n\ndata:2\n\n"), hear, &heard), -ECANCELED);
	assert_string_equal(heard.text.data, "message=1;");
	sse_done(&sse);
	text_done(&heard.text);
}

// ---- Over a socket ------------------------------------------------------------------------------

// A child answers one connection.
struct server {
	int listener;
	pid_t pid; // of the child that answers
	struct ask_where where;
	char text[ADDR_TEXT_MAX];
};

static void open_server(struct server *server)
{
	struct addr addr = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	struct ask_trouble trouble;

	server->listener = listen_open(&addr, false);
	assert_true(server->listener >= 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&bound, &len), 0);
	addr_from_sockaddr(&bound, &addr);
	addr_format(&addr, server->text);
	server->where = (struct ask_where){.count = 1, .token = STR_EMPTY, .timeout_ms = 30000};
	assert_int_equal(
		ask_parse(str_from(server->text), &arena, &server->where.places[0], &trouble), 0);
}

// The kernel takes the connection, the question and the answer; nobody need run meanwhile.
static int answer(const struct server *server, const char *text)
{
	int fd;

	do {
		fd = accept(server->listener, NULL, NULL);
	} while (fd < 0 && errno == EAGAIN);
	assert_true(fd >= 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	return fd;
}

// A child answers one connection with this text, waits for the client to leave, and ends.
static void serve(struct server *server, const char *text, bool stays)
{
	char byte;
	int fd;

	open_server(server);
	server->pid = fork();
	if (server->pid != 0)
		return;
	fd = answer(server, text);
	if (!stays)
		shutdown(fd, SHUT_WR);
	while (recv(fd, &byte, 1, 0) > 0)
		continue;
	_exit(0);
}

static void end_server(struct server *server)
{
	close(server->listener);
	assert_int_equal(waitpid(server->pid, NULL, 0), server->pid);
}

#define STREAM_HEAD                                                             \
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n" \
	"Transfer-Encoding: chunked\r\n\r\n"

static void test_a_stream(void **state)
{
	struct ask_question question = {.method = "GET", .path = "/stream", .body = STR_EMPTY};
	struct heard heard = {.left = 100};
	struct ask_answer unused = {0};
	struct ask_stream *events;
	struct ask_trouble trouble;
	struct server server;
	int more;

	(void)state;
	serve(&server,
		STREAM_HEAD "10\r\ndata: one\n\ndata:\r\n8\r\n two\n\nda\r\n8\r\nta:end\n\n\r\n"
			    "0\r\n\r\n",
		true);
	assert_int_equal(
		ask_stream_open(&server.where, &question, &arena, &events, &unused, &trouble), 0);
	assert_non_null(events);
	assert_true(ask_stream_fd(events) >= 0);
	do {
		more = ask_stream_read(events, true, hear, &heard, &trouble);
	} while (more > 0);
	assert_int_equal(more, 0);
	assert_string_equal(heard.text.data, "message=one;message=two;message=end;");
	assert_int_equal(ask_stream_read(events, true, hear, &heard, &trouble), 0);
	ask_stream_close(events);
	text_done(&heard.text);
	end_server(&server);
}

static void test_a_stream_that_is_left_early(void **state)
{
	struct ask_question question = {.method = "GET", .path = "/stream", .body = STR_EMPTY};
	struct heard heard = {.left = 2};
	struct ask_answer unused = {0};
	struct ask_stream *events;
	struct ask_trouble trouble;
	struct server server;
	int more;

	(void)state;
	serve(&server, STREAM_HEAD "14\r\ndata: 1\n\ndata: 2\n\nda\r\n", true);
	assert_int_equal(
		ask_stream_open(&server.where, &question, &arena, &events, &unused, &trouble), 0);
	do {
		more = ask_stream_read(events, true, hear, &heard, &trouble);
	} while (more > 0);
	assert_int_equal(more, 0);
	assert_string_equal(heard.text.data, "message=1;message=2;");
	ask_stream_close(events);
	text_done(&heard.text);
	end_server(&server);
}

static void test_a_stream_that_breaks(void **state)
{
	struct ask_question question = {.method = "GET", .path = "/stream", .body = STR_EMPTY};
	struct heard heard = {.left = 100};
	struct ask_answer unused = {0};
	struct ask_stream *events;
	struct ask_trouble trouble = {0};
	struct server server;
	int more;

	(void)state;
	serve(&server, STREAM_HEAD "9\r\ndata: 1\n\n", false);
	assert_int_equal(
		ask_stream_open(&server.where, &question, &arena, &events, &unused, &trouble), 0);
	do {
		more = ask_stream_read(events, true, hear, &heard, &trouble);
	} while (more > 0);
	assert_int_equal(more, -EPROTO);
	assert_true(has(str_from(trouble.cause), "cut short"));
	assert_string_equal(heard.text.data, "message=1;");
	ask_stream_close(events);
	text_done(&heard.text);
	end_server(&server);
}

static void test_a_stream_that_is_silent(void **state)
{
	struct ask_question question = {.method = "GET", .path = "/stream", .body = STR_EMPTY};
	struct heard heard = {.left = 100};
	struct ask_answer unused = {0};
	struct ask_stream *events;
	struct ask_trouble trouble = {0};
	struct server server;

	(void)state;
	serve(&server, STREAM_HEAD, true);
	server.where.timeout_ms = 300;
	assert_int_equal(
		ask_stream_open(&server.where, &question, &arena, &events, &unused, &trouble), 0);
	assert_int_equal(ask_stream_read(events, false, hear, &heard, &trouble), 1);
	assert_int_equal(ask_stream_read(events, true, hear, &heard, &trouble), -ETIMEDOUT);
	assert_true(has(str_from(trouble.cause), "did not answer within 0.3s"));
	ask_stream_close(events);
	end_server(&server);
}

static void test_no_stream(void **state)
{
	struct ask_question question = {.method = "GET", .path = "/stream", .body = STR_EMPTY};
	struct ask_stream *events = (struct ask_stream *)&question;
	struct ask_answer got = {0};
	struct ask_trouble trouble;
	struct server server;

	(void)state;
	serve(&server,
		"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/problem+json\r\n"
		"Content-Length: 2\r\n\r\n{}",
		true);
	assert_int_equal(
		ask_stream_open(&server.where, &question, &arena, &events, &got, &trouble), 0);
	assert_null(events);
	assert_int_equal(got.status, 401);
	assert_true(str_eq(got.content_type, STR("application/problem+json")));
	assert_true(str_eq(got.body, STR("{}")));
	end_server(&server);
}

// ---- What goes out ------------------------------------------------------------------------------

static void test_the_question(void **state)
{
	struct ask_question question = {.method = "POST",
		.path = "/api?x=1",
		.body = STR("{\"a\":1}"),
		.fields = "X-Weir-Request: 1\r\n"};
	struct ask_trouble trouble;
	struct ask_answer got;
	struct server server;
	char text[2048] = {0};
	size_t len = 0;
	int pipe_ends[2];

	(void)state;
	assert_int_equal(pipe(pipe_ends), 0);
	open_server(&server);
	server.where.token = STR("sesame");
	server.pid = fork();
	if (server.pid == 0) {
		int fd = answer(&server, "");

		while (!strstr(text, "}"))
			len += (size_t)recv(fd, text + len, sizeof(text) - len - 1, 0);
		assert_int_equal(write(pipe_ends[1], text, len), len);
		assert_int_equal(send(fd, "HTTP/1.1 204 Fine\r\n\r\n", 21, MSG_NOSIGNAL), 21);
		_exit(0);
	}
	assert_int_equal(ask(&server.where, &question, &arena, &got, &trouble), 0);
	assert_int_equal(got.status, 204);
	assert_int_equal(got.body.len, 0);
	assert_true(str_eq(got.from, str_from(server.text)));
	assert_true(read(pipe_ends[0], text, sizeof(text) - 1) > 0);
	snprintf(text + 1024, 1024,
		"POST /api?x=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: weir/" WEIR_VERSION
		"\r\nConnection: close\r\nAuthorization: Bearer sesame\r\n"
		"Content-Type: application/json\r\nX-Weir-Request: 1\r\nContent-Length: 7\r\n\r\n"
		"{\"a\":1}",
		server.text);
	assert_memory_equal(text, text + 1024, strlen(text + 1024));
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	end_server(&server);
}

// The first place that takes the connection; all of them are named when none does.
static void test_several_places(void **state)
{
	struct ask_question question = {.method = "GET", .path = "/", .body = STR_EMPTY};
	struct ask_trouble trouble;
	struct ask_answer got;
	struct server server;

	(void)state;
	serve(&server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", true);
	server.where.places[1] = server.where.places[0];
	server.where.count = 2;
	assert_int_equal(
		ask_parse(STR("unix:/nowhere/at.all"), &arena, &server.where.places[0], &trouble),
		0);
	assert_int_equal(ask(&server.where, &question, &arena, &got, &trouble), 0);
	assert_true(str_eq(got.body, STR("hi")));
	assert_true(str_eq(got.from, str_from(server.text)));
	end_server(&server);
	assert_int_equal(ask(&server.where, &question, &arena, &got, &trouble), -ECONNREFUSED);
	assert_true(has(str_from(trouble.cause), "unix:/nowhere/at.all (No such file"));
	assert_true(has(str_from(trouble.cause), server.text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_no_addresses),
		cmocka_unit_test(test_events_however_they_are_cut),
		cmocka_unit_test(test_events_have_bounds),
		cmocka_unit_test(test_a_stream),
		cmocka_unit_test(test_a_stream_that_is_left_early),
		cmocka_unit_test(test_a_stream_that_breaks),
		cmocka_unit_test(test_a_stream_that_is_silent),
		cmocka_unit_test(test_no_stream),
		cmocka_unit_test(test_the_question),
		cmocka_unit_test(test_several_places),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
