// SPDX-License-Identifier: Apache-2.0
// The test backend as a process of its own, over real sockets.
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
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
	port = addr.port = ntohs(bound.sin_port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct origin_options options = {.fd = fd, .addr = addr, .io = LOOP_EPOLL};
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

static void test_load(void **state)
{
	static const char begun[] = "POST /?load=1 HTTP/1.1\r\nContent-Length: 1\r\n" CLOSE;
	int fds[2] = {dial(), dial()};

	(void)state;
	assert_true(
		has(ask("GET /load HTTP/1.1\r\n" CLOSE), "X-Weir-Load: in_flight=0, latency_ms="));
	assert_true(has(str_from(answer), "{\"in_flight\":0,\"latency_ms\":"));
	assert_false(has(ask("GET / HTTP/1.1\r\n" CLOSE), "X-Weir-Load"));
	tell(fds[0], begun, sizeof(begun) - 1);
	tell(fds[1], begun, sizeof(begun) - 1);
	while (!has(ask("GET /load HTTP/1.1\r\n" CLOSE), "X-Weir-Load: in_flight=2, "))
		; // they are on their way
	tell(fds[0], "x", 1);
	assert_true(has(hear(fds[0]), "X-Weir-Load: in_flight=2, "));
	tell(fds[1], "x", 1);
	assert_true(has(hear(fds[1]), "X-Weir-Load: in_flight=1, "));
	assert_true(has(ask("GET /load HTTP/1.1\r\n" CLOSE), "X-Weir-Load: in_flight=0, "));
	assert_true(has(ask("GET /?load=1 HTTP/1.1\r\n" CLOSE), "X-Weir-Load: in_flight=1, "));
	assert_false(has(ask("GET /?load=0 HTTP/1.1\r\n" CLOSE), "X-Weir-Load"));
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

// ---- Told to fail -------------------------------------------------------------------------------

static struct str control(const char *method, const char *words)
{
	char request[256];

	snprintf(request, sizeof(request), "%s /-/fault%s%s HTTP/1.1\r\n" CLOSE, method,
		*words ? "?" : "", words);
	return ask(request);
}

static void tell_fault(const char *words)
{
	assert_true(has(control("POST", words), "200 OK"));
}

// What comes before the connection ends, and how it ends.
static struct str hear_until(int fd, int wanted_error)
{
	size_t len = 0;
	ssize_t got;

	while ((got = recv(fd, answer + len, sizeof(answer) - len, 0)) > 0)
		len += (size_t)got;
	assert_int_equal(got < 0 ? errno : 0, wanted_error);
	close(fd);
	return str_make(answer, len);
}

static void tell_text(int fd, const char *text)
{
	tell(fd, text, strlen(text));
}

static int send_request(const char *request)
{
	int fd = dial();

	tell_text(fd, request);
	return fd;
}

#define GO_ON "Host: x\r\n\r\n"

static void test_told_status(void **state)
{
	(void)state;
	tell_fault("status=500");
	assert_true(has(ask("GET / HTTP/1.1\r\n" CLOSE), "HTTP/1.1 500 "));
	assert_true(has(str_from(answer), "\"error\":\"told to fail\""));
	assert_true(has(ask("GET /health HTTP/1.1\r\n" CLOSE), "HTTP/1.1 500 "));
	assert_true(has(ask("GET /?size=9 HTTP/1.1\r\n" CLOSE), "HTTP/1.1 500 "));
	assert_true(has(ask("POST /echo HTTP/1.1\r\nContent-Length: 1\r\n" CLOSE "x"), " 500 "));
	assert_true(has(control("GET", ""), "\"fault\":\"status=500\""));
	tell_fault("status=500&health=200");
	assert_true(has(ask("GET /health HTTP/1.1\r\n" CLOSE), "\"status\":\"healthy\""));
	tell_fault("health=503");
	assert_true(has(ask("GET /health HTTP/1.1\r\n" CLOSE), "\"status\":\"unhealthy\""));
	assert_true(has(ask("GET / HTTP/1.1\r\n" CLOSE), "200 OK"));
	tell_fault("");
	assert_true(has(ask("GET /health HTTP/1.1\r\n" CLOSE), "200 OK"));
}

// What hangs is answered once it is over, by order or by itself; meanwhile /-/fault is heard.
static void test_told_to_hang(void **state)
{
	int get, post;

	(void)state;
	assert_true(has(control("DELETE", ""), "\"faulty\":0"));
	tell_fault("hang=1");
	get = send_request("GET /1 HTTP/1.1\r\n" CLOSE);
	post = send_request("POST /2 HTTP/1.1\r\nExpect: 100-continue\r\n"
			    "Content-Length: 3\r\n" CLOSE "abc");
	while (!has(control("GET", ""), "\"faulty\":2"))
		;
	assert_int_equal(recv(get, answer, 1, MSG_DONTWAIT), -1);
	tell_fault("");
	assert_true(has(hear(get), "\"path\":\"/1\""));
	assert_true(has(hear(post), "HTTP/1.1 100 Continue\r\n"));
	assert_true(has(str_from(answer), "\"body\":{\"bytes\":3,"));
	tell_fault("hang=1&for=1ms");
	assert_true(has(ask("GET / HTTP/1.1\r\n" CLOSE), "200 OK"));
	assert_true(has(control("GET", ""), "\"fault\":\"\",\"left_ms\":0"));
}

static void test_told_to_break_off(void **state)
{
	static const char *const requests[] = {"GET / HTTP/1.1\r\n" GO_ON,
		"GET /?size=1000000 HTTP/1.1\r\n" GO_ON,
		"POST / HTTP/1.1\r\nContent-Length: 3\r\n" GO_ON "abc",
		"POST /echo HTTP/1.1\r\nContent-Length: 3\r\n" GO_ON,
		"GET /?delay=1 HTTP/1.1\r\n" GO_ON "GET /2 HTTP/1.1\r\n" GO_ON,
		"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n" GO_ON};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		tell_fault("reset=1");
		assert_int_equal(hear_until(send_request(requests[i]), ECONNRESET).len, 0);
		tell_fault("close=1");
		assert_int_equal(hear_until(send_request(requests[i]), 0).len, 0);
	}
	tell_fault("");
}

static void test_told_to_cut(void **state)
{
	struct str got;

	(void)state;
	tell_fault("cut=1");
	got = hear_until(send_request("GET / HTTP/1.1\r\n" GO_ON), 0);
	assert_true(has(got, "200 OK"));
	assert_in_range(body_of(got).len, 20, 200);
	assert_false(has(got, "}"));
	got = hear_until(send_request("GET /?size=1000000 HTTP/1.1\r\n" GO_ON), 0);
	assert_int_equal(body_of(got).len, 500000);
	got = hear_until(send_request("GET /?size=1000&chunked=1 HTTP/1.1\r\n" GO_ON), 0);
	assert_false(has(got, "\r\n0\r\n\r\n"));
	assert_in_range(body_of(got).len, 500, 520);
	got = hear_until(
		send_request("POST /echo HTTP/1.1\r\nContent-Length: 6\r\n" GO_ON "abcdef"), 0);
	assert_true(str_eq(body_of(got), STR("abc")));
	got = hear_until(send_request("POST /?size=100 HTTP/1.1\r\nExpect: 100-continue\r\n"
				      "Content-Length: 1\r\n" GO_ON "x"),
		0);
	assert_true(has(got, "Content-Length: 100\r\n"));
	assert_int_equal(hear_until(send_request("HEAD / HTTP/1.1\r\n" GO_ON), 0).len, 0);
	assert_int_equal(hear_until(send_request("GET /?size=1 HTTP/1.1\r\n" GO_ON), 0).len, 0);
	tell_fault("");
}

// Whether somebody listens now.
static bool is_open(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_connected = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;

	close(fd);
	return is_connected;
}

// Nobody listens, and nobody stays but who can end it.
static void test_told_to_refuse(void **state)
{
	int idle = dial(), asked = dial();

	(void)state;
	tell_text(asked, "POST /-/fault?refuse=1&for=1h HTTP/1.1\r\n" GO_ON);
	assert_int_equal(hear_until(idle, 0).len, 0);
	while (is_open()) // the connections end before the port is closed
		;
	// Back by order, gone again, and back by itself.
	tell_text(asked, "POST /-/fault HTTP/1.1\r\n" GO_ON);
	while (!is_open())
		;
	tell_text(asked, "POST /-/fault?refuse=1&for=1h HTTP/1.1\r\n" GO_ON);
	while (is_open())
		;
	tell_text(asked, "POST /-/fault?refuse=1&for=1ms HTTP/1.1\r\n" CLOSE);
	while (!is_open())
		;
	assert_true(has(hear(asked), "\"fault\":\"refuse=1&for=1h\",\"left_ms\":3600000"));
	assert_true(has(ask("GET / HTTP/1.1\r\n" CLOSE), "200 OK"));
}

static void test_counts(void **state)
{
	static const char start[] = "DELETE /-/fault HTTP/1.1\r\n" GO_ON;
	static const char end[] = "GET /-/fault HTTP/1.1\r\n" CLOSE;
	int asking = dial(), others[3];
	struct str got;

	(void)state;
	// Clients that earlier tests have left are open or not: this counts from here on.
	tell(asking, start, sizeof(start) - 1);
	assert_true(recv(asking, answer, sizeof(answer), 0) > 0);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		others[i] = send_request("GET /?status=404 HTTP/1.1\r\n" GO_ON);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_true(recv(others[i], answer, sizeof(answer), 0) > 0);
		close(others[i]);
	}
	(void)ask("POST / HTTP/1.1\r\nContent-Length: 5\r\n" CLOSE "hello");
	(void)ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" CLOSE "2\r\nab\r\n0\r\n\r\n");
	(void)ask("GET /health HTTP/1.1\r\n" CLOSE);
	tell(asking, end, sizeof(end) - 1);
	got = hear(asking);
	assert_true(has(got, "\"requests\":5,\"health_checks\":1,\"faulty\":0,"
			     "\"methods\":{\"GET\":3,\"POST\":2},"
			     "\"statuses\":{\"200\":2,\"404\":3},"
			     "\"bodies\":2,\"body_bytes\":7,\"connections\":6,"));
}

static void test_wrong_faults(void **state)
{
	(void)state;
	assert_true(has(control("POST", "hang=1&reset=1"), "HTTP/1.1 400 "));
	assert_true(has(control("POST", "hnag=1"), "unknown word"));
	assert_true(has(control("PATCH", "hang=1"), "HTTP/1.1 400 "));
	assert_true(has(control("GET", "hang=1"), "\"fault\":\"\""));
	assert_true(has(ask("GET / HTTP/1.1\r\n" CLOSE), "200 OK"));
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
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_wrong_parameters),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_continue_comes_first),
		cmocka_unit_test(test_pipelined_requests),
		cmocka_unit_test(test_refused_requests),
		cmocka_unit_test(test_upgrade_to_echo),
		cmocka_unit_test(test_upgrade_to_websocket),
		cmocka_unit_test(test_told_status),
		cmocka_unit_test(test_told_to_hang),
		cmocka_unit_test(test_told_to_break_off),
		cmocka_unit_test(test_told_to_cut),
		cmocka_unit_test(test_told_to_refuse),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_wrong_faults),
		cmocka_unit_test(test_clients_that_go),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
