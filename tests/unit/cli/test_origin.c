// SPDX-License-Identifier: Apache-2.0
// The test backend as a process of its own, over real sockets.
#include "test.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/origin.h"
#include "net/listen.h"

enum { answer_room = 4 * 1024 * 1024 };

static u16 port;
static pid_t pid;
static char answer[answer_room];

static int setup(void **state)
{
	struct addr addr = {.family = ADDR_V4, .ip = {127, 0, 0, 1}};
	struct sockaddr_in bound;
	socklen_t len = sizeof(bound);
	int fd = listen_open(&addr, false);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &len), 0);
	port = ntohs(bound.sin_port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct origin_options options = {.fd = fd, .port = port, .io = LOOP_EPOLL};
		const char *why;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(origin_serve(&options, &why) ? 1 : 0);
	}
	close(fd);
	return 0;
}

// TERM ends it in order: every connection closed, no block lost (loop_free asserts).
static int teardown(void **state)
{
	int status = -1;

	(void)state;
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return 0;
}

static int dial(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void tell(int fd, const char *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

// Everything up to the end of the stream.
static struct str hear(int fd)
{
	size_t len = 0;
	ssize_t got;

	while ((got = recv(fd, answer + len, sizeof(answer) - len, 0)) > 0)
		len += (size_t)got;
	assert_int_equal(got, 0);
	close(fd);
	return str_make(answer, len);
}

static struct str ask(const char *request)
{
	int fd = dial();

	tell(fd, request, strlen(request));
	return hear(fd);
}

static struct str body_of(struct str text)
{
	const char *end = memmem(text.ptr, text.len, "\r\n\r\n", 4);

	assert_non_null(end);
	end += 4;
	return str_make(end, (size_t)(text.ptr + text.len - end));
}

#define CLOSE "Host: x\r\nConnection: close\r\n\r\n"

static void test_mirror(void **state)
{
	struct str got = ask("PUT /a/b?c=d HTTP/1.1\r\nX-One: 1\r\nx-one: \"2\"\r\n"
			     "Content-Length: 3\r\n" CLOSE "abc");

	(void)state;
	assert_true(has(got, "HTTP/1.1 200 OK\r\n"));
	assert_true(has(got, "Content-Type: application/json\r\n"));
	assert_true(has(got, "\"path\":\"/a/b\",\"method\":\"PUT\",\"query\":\"c=d\""));
	assert_true(has(got, "\"x-one\":\"1, \\\"2\\\"\""));
	assert_true(has(got, "\"body\":{\"bytes\":3,\"adler32\":\"024d0127\"}}"));
	assert_true(has(got, "\"server_port\":"));
}

static void test_health(void **state)
{
	(void)state;
	assert_true(has(ask("GET /health HTTP/1.1\r\n" CLOSE), "200 OK"));
	assert_true(has(str_from(answer), "\"status\":\"healthy\""));
}

static void test_parameters(void **state)
{
	struct str got;

	(void)state;
	assert_true(has(ask("GET /?status=503 HTTP/1.1\r\n" CLOSE), "HTTP/1.1 503 "));
	got = ask("GET /?size=1000000 HTTP/1.1\r\n" CLOSE);
	assert_true(has(got, "Content-Length: 1000000\r\n"));
	assert_int_equal(body_of(got).len, 1000000);
	got = ask("GET /?size=0 HTTP/1.1\r\n" CLOSE);
	assert_int_equal(body_of(got).len, 0);
	got = ask("GET /?size=100000&chunked=1 HTTP/1.1\r\n" CLOSE);
	assert_true(has(got, "Transfer-Encoding: chunked\r\n"));
	assert_true(str_eq(str_make(got.ptr + got.len - 5, 5), STR("0\r\n\r\n")));
	got = ask("HEAD /?size=77 HTTP/1.1\r\n" CLOSE);
	assert_true(has(got, "Content-Length: 77\r\n"));
	assert_int_equal(body_of(got).len, 0);
	got = ask("GET /?status=204 HTTP/1.1\r\n" CLOSE);
	assert_false(has(got, "Content-Length"));
	assert_int_equal(body_of(got).len, 0);
	assert_true(has(ask("GET /?delay=1 HTTP/1.1\r\n" CLOSE), "200 OK"));
}

static void test_wrong_parameters(void **state)
{
	static const char *const queries[] = {"status=100", "status=600", "status=x", "delay=-1",
		"delay=600001", "size=1k", "size=99999999999999999999"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		char request[128];

		snprintf(request, sizeof(request), "GET /?%s HTTP/1.1\r\n" CLOSE, queries[i]);
		assert_true(has(ask(request), "HTTP/1.1 400 Bad Request\r\n"));
	}
}

static void test_echo(void **state)
{
	struct str got = ask("POST /echo HTTP/1.1\r\nContent-Length: 5\r\n" CLOSE "hello");

	(void)state;
	assert_true(has(got, "Content-Length: 5\r\n"));
	assert_true(str_eq(body_of(got), STR("hello")));
	got = ask("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE
		  "5\r\nhello\r\n0\r\n\r\n");
	assert_true(str_eq(body_of(got), STR("5\r\nhello\r\n0\r\n\r\n")));
	got = ask("POST /echo HTTP/1.1\r\nContent-Length: 0\r\n" CLOSE);
	assert_int_equal(body_of(got).len, 0);
	got = ask("GET /echo HTTP/1.1\r\n" CLOSE);
	assert_true(has(got, "200 OK"));
}

static void test_continue_comes_first(void **state)
{
	struct str got =
		ask("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n" CLOSE "x");

	(void)state;
	assert_true(str_starts(got, STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")));
}

static void test_pipelined_requests(void **state)
{
	struct str got = ask("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2?size=3 HTTP/1.1\r\n"
			     "Host: x\r\n\r\nGET /3 HTTP/1.1\r\n" CLOSE);
	const char *one = memmem(got.ptr, got.len, "\"/1\"", 4);
	const char *three = memmem(got.ptr, got.len, "\"/3\"", 4);

	(void)state;
	assert_non_null(one);
	assert_non_null(three);
	assert_true(one < three);
}

static void test_refused_requests(void **state)
{
	struct str got = ask("GET / HTTP/1.1\r\nHost : x\r\n\r\n");

	(void)state;
	assert_true(str_starts(got, STR("HTTP/1.1 400 Bad Request\r\n")));
	assert_true(has(got, "\"error\":"));
	assert_true(has(got, "Connection: close\r\n"));
}

static void test_upgrade_to_echo(void **state)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
				      "Upgrade: echo\r\n\r\nabc";
	int fd = dial();
	struct str got;

	(void)state;
	tell(fd, request, sizeof(request) - 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	got = hear(fd);
	assert_true(str_starts(got, STR("HTTP/1.1 101 ")));
	assert_true(str_eq(body_of(got), STR("abc")));
}

static void test_upgrade_to_websocket(void **state)
{
	static const char request[] =
		"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
		"\x81\x82\1\1\1\1if\x88\x80\1\1\1\1";
	int fd = dial();
	struct str got;

	(void)state;
	tell(fd, request, sizeof(request) - 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	got = hear(fd);
	assert_true(has(got, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	assert_true(str_eq(body_of(got), STR("\x81\x02hg\x88\x00")));
}

// Whatever is cut short leaves the others alone; the teardown finds what it leaks.
static void test_clients_that_go(void **state)
{
	static const char *const starts[] = {"G", "GET / HTTP/1.1\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
		"GET /?size=100000000 HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /?delay=600000 HTTP/1.1\r\nHost: x\r\n\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		int fd = dial();

		tell(fd, starts[i], strlen(starts[i]));
		close(fd);
		(void)dial(); // and one that stays until the end of this program
	}
	assert_true(has(ask("GET / HTTP/1.1\r\n" CLOSE), "200 OK"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mirror),
		cmocka_unit_test(test_health),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_wrong_parameters),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_continue_comes_first),
		cmocka_unit_test(test_pipelined_requests),
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_upgrade_to_echo),
		cmocka_unit_test(test_upgrade_to_websocket),
		cmocka_unit_test(test_clients_that_go),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
