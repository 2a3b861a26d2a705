// SPDX-License-Identifier: Apache-2.0
// bench-origin: a cheap server to stand behind a proxy. One thread, edge-triggered epoll, answers
// built once and sent with one call.
//
// HTTP (default): GET /SIZE[/ANYTHING][?fields=N] gives SIZE bytes (100 for "/") and N header
// fields in all, of which Content-Type and Content-Length are the first two. Keep-alive and
// pipelining; "Connection: close" and HTTP/1.0 close. Requests with a body are refused: nothing
// here sends any. TCP (--tcp): each line "SIZE\n" gives SIZE bytes.
//
// On 0.0.0.0 it stands for as many servers as are wanted: every address of 127.0.0.0/8 is answered,
// and nobody else, since bench_listen keeps such a socket to the loopback.

#include "common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX	512
#define REQUEST_MAX	16384
#define ANSWERS_MAX	64
#define SIZE_MAX_BYTES	(64u << 20)
#define SIZE_DEFAULT	100
#define FIELDS_DEFAULT	2
#define FIELDS_MAX	32
#define FIELD_BYTES_MAX 160

struct answer {
	uint64_t size;
	unsigned int fields, status;
	bool close;
	size_t bytes; // head and body
	char *data;
};

struct connection {
	int fd;
	bool ending;		     // the peer has closed: read up to the end
	const struct answer *answer; // not yet sent completely
	size_t offset;
	size_t held; // bytes of an incomplete request
	char in[REQUEST_MAX];
};

static bool tcp_mode;
static struct answer answers[ANSWERS_MAX];
static unsigned int answer_count;
static char scratch[REQUEST_MAX];

// What servers like to add; the rest are numbered.
static const char *const extra_fields[] = {
	"Cache-Control: public, max-age=3600, stale-while-revalidate=60",
	"ETag: \"5f2b1c9a-1a2b3c4d5e6f\"",
	"Last-Modified: Tue, 03 Jun 2025 08:15:30 GMT",
	"Vary: Accept-Encoding, Accept-Language",
	"Set-Cookie: session=8c1f0e2a9b7d4c6e; Path=/; HttpOnly; SameSite=Lax",
	"X-Content-Type-Options: nosniff",
};

static size_t write_head(char *to, size_t room, const struct answer *answer)
{
	const unsigned int named = sizeof(extra_fields) / sizeof(extra_fields[0]);
	int used = snprintf(to, room,
		"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %llu\r\n",
		answer->status == 200 ? "200 OK" : "400 Bad Request",
		(unsigned long long)answer->size);

	for (unsigned int i = 0; i + FIELDS_DEFAULT < answer->fields; i++) {
		if (i < named)
			used += snprintf(to + used, room - (size_t)used, "%s\r\n", extra_fields[i]);
		else
			used += snprintf(
				to + used, room - (size_t)used, "X-Bench-%u: %u\r\n", i, i);
	}
	used += snprintf(to + used, room - (size_t)used, "%s\r\n",
		answer->close ? "Connection: close\r\n" : "");
	return (size_t)used;
}

static const struct answer *answer_for(
	uint64_t size, unsigned int fields, unsigned int status, bool close_after)
{
	char head[FIELDS_MAX * FIELD_BYTES_MAX];

	for (unsigned int i = 0; i < answer_count; i++) {
		const struct answer *known = &answers[i];

		if (known->size == size && known->fields == fields && known->status == status &&
			known->close == close_after)
			return known;
	}
	errno = 0;
	if (answer_count == ANSWERS_MAX)
		bench_die("more than %d different answers were asked for", ANSWERS_MAX);
	struct answer *answer = &answers[answer_count++];
	*answer = (struct answer){
		.size = size, .fields = fields, .status = status, .close = close_after};
	size_t head_bytes = tcp_mode ? 0 : write_head(head, sizeof(head), answer);
	answer->bytes = head_bytes + size;
	answer->data = bench_alloc(answer->bytes + 1);
	memcpy(answer->data, head, head_bytes);
	memset(answer->data + head_bytes, 'x', size);
	return answer;
}

static const struct answer *refuse(void)
{
	return answer_for(0, FIELDS_DEFAULT, 400, true);
}

static bool take_number(const char **at, const char *end, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *start = *at;

	for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
		value = value * 10 + (uint64_t)(**at - '0');
		if (value > max)
			return false;
	}
	if (*at == start)
		return false;
	*ret_value = value;
	return true;
}

static bool field_is(const char *line, const char *end, const char *name)
{
	size_t bytes = strlen(name);

	return (size_t)(end - line) > bytes && line[bytes] == ':' &&
	       !strncasecmp(line, name, bytes);
}

// Looks for what changes the framing: true if the request may be answered.
static bool read_fields(const char *at, const char *end, bool *ret_close)
{
	while (at < end) {
		const char *next = memchr(at, '\n', (size_t)(end - at));

		if (!next)
			return false;
		if (field_is(at, next, "connection") && memmem(at, (size_t)(next - at), "close", 5))
			*ret_close = true;
		if (field_is(at, next, "transfer-encoding"))
			return false;
		if (field_is(at, next, "content-length") &&
			!memmem(at, (size_t)(next - at), ": 0\r", 4))
			return false;
		at = next + 1;
	}
	return true;
}

// head ends after its empty line.
static const struct answer *read_request(const char *head, const char *end)
{
	static const char get[] = "GET /";
	uint64_t size = SIZE_DEFAULT, fields = FIELDS_DEFAULT;
	const char *line_end = memchr(head, '\n', (size_t)(end - head));
	const char *at = head + sizeof(get) - 1;

	if (at >= line_end || memcmp(head, get, sizeof(get) - 1) != 0)
		return refuse();
	if (*at != ' ' && *at != '?' && !take_number(&at, line_end, SIZE_MAX_BYTES, &size))
		return refuse();
	if (*at == '/')
		at += strcspn(at, "? \n");
	if (line_end - at > 8 && !memcmp(at, "?fields=", 8)) {
		at += 8;
		if (!take_number(&at, line_end, FIELDS_MAX, &fields))
			return refuse();
	}
	if (line_end - at < 10 || memcmp(at, " HTTP/1.", 8) != 0)
		return refuse();
	bool close_after = at[8] == '0';
	if (!read_fields(line_end + 1, end, &close_after))
		return refuse();
	return answer_for(size, (unsigned int)fields, 200, close_after);
}

static const struct answer *read_line(const char *line, const char *end)
{
	uint64_t size;

	errno = 0;
	if (!take_number(&line, end, SIZE_MAX_BYTES, &size) || *line != '\n')
		bench_die("a line is not a number");
	return answer_for(size, 0, 200, false);
}

static void connection_close(struct connection *connection)
{
	close(connection->fd);
	free(connection);
}

// Sends what is left of the answer. False if the connection is gone; answer is NULL when all is
// sent.
static bool send_answer(struct connection *connection)
{
	const struct answer *answer = connection->answer;

	while (connection->offset < answer->bytes) {
		ssize_t sent = send(connection->fd, answer->data + connection->offset,
			answer->bytes - connection->offset, MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			return true;
		if (sent < 0) {
			connection_close(connection);
			return false;
		}
		connection->offset += (size_t)sent;
	}
	connection->answer = NULL;
	if (answer->close) {
		connection_close(connection);
		return false;
	}
	return true;
}

// Answers the requests in data until one blocks or is incomplete; keeps the rest. False if the
// connection is gone.
static bool serve(struct connection *connection, const char *data, size_t bytes)
{
	const char *end = data + bytes;

	while (!connection->answer && data < end) {
		const char *mark = tcp_mode ? memchr(data, '\n', (size_t)(end - data))
					    : memmem(data, (size_t)(end - data), "\r\n\r\n", 4);

		if (!mark)
			break;
		const char *next = mark + (tcp_mode ? 1 : 4);
		connection->answer = tcp_mode ? read_line(data, next) : read_request(data, next);
		connection->offset = 0;
		data = next;
		if (!send_answer(connection))
			return false;
	}
	connection->held = (size_t)(end - data);
	if (connection->held)
		memmove(connection->in, data, connection->held);
	return true;
}

static void take_input(struct connection *connection)
{
	for (;;) {
		bool fresh = !connection->held;
		char *into = fresh ? scratch : connection->in + connection->held;
		size_t room = REQUEST_MAX - connection->held;
		ssize_t got = room ? recv(connection->fd, into, room, 0) : 0;

		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			connection_close(connection);
			return;
		}
		if (!serve(connection, fresh ? scratch : connection->in,
			    connection->held + (size_t)got))
			return;
		// Until the answer is out nothing more is read; a short read means empty.
		if (connection->answer || ((size_t)got < room && !connection->ending))
			return;
	}
}

static void take_event(struct connection *connection, uint32_t events)
{
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		connection->ending = true;
	if (connection->answer) {
		if (!(events & EPOLLOUT) || !send_answer(connection) || connection->answer)
			return;
		size_t held = connection->held;
		connection->held = 0;
		if (held && (!serve(connection, connection->in, held) || connection->answer))
			return;
		take_input(connection);
	} else if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		take_input(connection);
	}
}

static void accept_all(int listen_fd, int epoll_fd)
{
	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			bench_die("accept4");
		struct connection *connection = bench_alloc(sizeof(*connection));
		connection->fd = fd;
		connection->ending = false;
		connection->answer = NULL;
		connection->held = 0;
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			.data = {.ptr = connection}};
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
			bench_die("epoll_ctl");
	}
}

int main(int argc, char **argv)
{
	static struct epoll_event events[EVENTS_MAX];

	if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "--tcp") != 0)) {
		fputs("usage: bench-origin HOST:PORT [--tcp]\n", stderr);
		return 2;
	}
	tcp_mode = argc == 3;
	struct sockaddr_in at = bench_address(argv[1]);
	bench_prepare();
	int listen_fd = bench_listen(&at);
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event listen_event = {.events = EPOLLIN, .data = {.ptr = NULL}};
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &listen_event))
		bench_die("epoll");
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		if (count < 0 && errno != EINTR)
			bench_die("epoll_wait");
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				take_event(events[i].data.ptr, events[i].events);
			else
				accept_all(listen_fd, epoll_fd);
		}
	}
}
