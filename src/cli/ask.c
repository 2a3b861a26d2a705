// SPDX-License-Identifier: Apache-2.0
#include "cli/ask.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/sse.h"
#include "proto/h1_parse.h"

enum { piece_bytes = 64 * 1024, busy_ms = 10 };

// What a piece of a body goes to. 0 or negative errno.
typedef int piece_fn(void *owner, struct str piece);

// One connection with one answer on it.
struct talk {
	struct arena *arena;
	struct ask_trouble *trouble;
	struct str with; // the place, for people
	u64 timeout_ms;
	int fd, timer; // the timer tells that it took too long, so that no clock need be read
	int stop_fd;   // -1: none
	struct text head;
	u8 framing;
	bool ended; // the body is complete
	u64 left;   // of a body with a length
	struct h1_chunked chunked;
};

// ---- What went wrong ----------------------------------------------------------------------------

static int fail(struct talk *talk, int error, const char *cause, const char *cure)
{
	*talk->trouble = (struct ask_trouble){cause, cure};
	return error;
}

#define FAIL(talk, error, cure, ...) \
	fail((talk), (error), arena_printf((talk)->arena, __VA_ARGS__), (cure))

static int fail_talk(struct talk *talk, int error)
{
	if (error == -ECANCELED)
		return fail(talk, error, "given up", "Ask again.");
	if (error == -ETIMEDOUT)
		return FAIL(talk, error,
			"Is the process stopped, or overloaded? --timeout waits longer.",
			"%.*s did not answer within %gs", STR_FMT(talk->with),
			(double)talk->timeout_ms / 1000);
	return FAIL(talk, error, "Did the process end? Ask again.",
		"the connection to %.*s failed: %s", STR_FMT(talk->with), strerror(-error));
}

static int fail_protocol(struct talk *talk, const char *why)
{
	return FAIL(talk, -EPROTO, "Is it weir that listens there? See admin.bind.",
		"%.*s does not answer as HTTP/1.1 does: %s", STR_FMT(talk->with), why);
}

static int fail_size(struct talk *talk)
{
	return FAIL(talk, -EMSGSIZE, "Ask for less.", "the answer of %.*s is larger than %d MiB",
		STR_FMT(talk->with), ASK_ANSWER_BYTES_MAX >> 20);
}

// ---- The connection -----------------------------------------------------------------------------

static void set_timer(struct talk *talk)
{
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(talk->timeout_ms / 1000),
					  .tv_nsec = (long)(talk->timeout_ms % 1000) * 1000000}};

	ASSERT(timerfd_settime(talk->timer, 0, &when, NULL) == 0);
}

// Until the socket is ready for `events`. 0, -ETIMEDOUT or -ECANCELED.
static int wait_for(const struct talk *talk, short events)
{
	struct pollfd polls[] = {{.fd = talk->fd, .events = events},
		{.fd = talk->timer, .events = POLLIN}, {.fd = talk->stop_fd, .events = POLLIN}};

	while (poll(polls, ARRAY_LEN(polls), -1) < 0)
		if (errno != EINTR)
			return -errno;
	if (polls[2].revents)
		return -ECANCELED;
	return polls[0].revents ? 0 : -ETIMEDOUT;
}

// A unix socket whose queue is full says so at once, and not when there is room.
static int wait_for_room(const struct talk *talk)
{
	struct pollfd polls[] = {
		{.fd = talk->timer, .events = POLLIN}, {.fd = talk->stop_fd, .events = POLLIN}};

	if (poll(polls, ARRAY_LEN(polls), busy_ms) <= 0)
		return 0;
	return polls[1].revents ? -ECANCELED : -ETIMEDOUT;
}

static bool is_over(int error)
{
	return error == -ETIMEDOUT || error == -ECANCELED;
}

static int finish_connect(const struct talk *talk)
{
	socklen_t len = sizeof(int);
	int error = wait_for(talk, POLLOUT), result = 0;

	if (error)
		return error;
	if (getsockopt(talk->fd, SOL_SOCKET, SO_ERROR, &result, &len) != 0)
		return -errno;
	return -result;
}

static int connect_to(struct talk *talk, const struct addr *addr)
{
	struct sockaddr_storage to;
	socklen_t len = addr_to_sockaddr(addr, &to);
	int error;

	talk->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (talk->fd < 0)
		return -errno;
	do {
		error = connect(talk->fd, (const struct sockaddr *)&to, len) == 0 ? 0 : -errno;
	} while (error == -EAGAIN && (error = wait_for_room(talk)) == 0);
	if (error == -EINPROGRESS || error == -EINTR)
		error = finish_connect(talk);
	if (error) {
		close(talk->fd);
		talk->fd = -1;
	}
	return error;
}

// A name may stand for several addresses. 0, negative errno, or a positive code of getaddrinfo.
static int connect_to_name(struct talk *talk, const struct ask_place *place)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	int error = getaddrinfo(place->name, NULL, &hints, &list);

	if (error)
		return error < 0 ? -error : error; // of the GNU library they are negative
	error = -ENOENT;
	for (const struct addrinfo *each = list; each && error && !is_over(error);
		each = each->ai_next) {
		struct sockaddr_storage sockaddr = {0};
		struct addr addr;

		memcpy(&sockaddr, each->ai_addr, MIN((size_t)each->ai_addrlen, sizeof(sockaddr)));
		addr_from_sockaddr(&sockaddr, &addr);
		addr.port = place->addr.port;
		error = connect_to(talk, &addr);
	}
	freeaddrinfo(list);
	return error;
}

static int connect_to_place(struct talk *talk, const struct ask_place *place)
{
	return place->addr.family == ADDR_NONE ? connect_to_name(talk, place)
					       : connect_to(talk, &place->addr);
}

static const char *error_text(int error)
{
	return error > 0 ? gai_strerror(-error) : strerror(-error);
}

static int fail_connect(struct talk *talk, const struct ask_where *where, const int *errors)
{
	const char *cure = where->count > 1
				   ? "Is weir running? --admin ADDRESS asks where admin.bind says."
				   : "Is weir running, and does it listen there?";
	struct text cause = {0};

	text_add(&cause, STR("unable to connect to "));
	for (u32 i = 0; i < where->count; i++) {
		text_printf(&cause, "%s%.*s (%s)", i ? ", " : "", STR_FMT(where->places[i].text),
			error_text(errors[i]));
		if (errors[i] == -EACCES || errors[i] == -EPERM)
			cure = "Run it as the user that weir runs as, or as root.";
	}
	return fail(talk, errors[where->count - 1] > 0 ? -ENOENT : errors[where->count - 1],
		text_take(&cause, talk->arena).ptr, cure);
}

static int connect_to_any(
	struct talk *talk, const struct ask_where *where, const struct ask_place **ret_place)
{
	int errors[ASK_PLACES_MAX];

	ASSERT(where->count > 0 && where->count <= ASK_PLACES_MAX);
	for (u32 i = 0; i < where->count; i++) {
		errors[i] = connect_to_place(talk, &where->places[i]);
		if (errors[i] == 0) {
			*ret_place = &where->places[i];
			talk->with = where->places[i].text;
			return 0;
		}
		if (is_over(errors[i])) {
			talk->with = where->places[i].text;
			return fail_talk(talk, errors[i]);
		}
	}
	return fail_connect(talk, where, errors);
}

// ---- The question -------------------------------------------------------------------------------

static struct str question_text(const struct talk *talk, const struct ask_where *where,
	const struct ask_place *place, const struct ask_question *question)
{
	struct text text = {0};

	text_printf(&text,
		"%s %s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: weir/" WEIR_VERSION
		"\r\nConnection: close\r\n",
		question->method,
		question->path	    ? question->path
		: place->target.len ? place->target.ptr
				    : "/",
		STR_FMT(place->host));
	if (where->token.len)
		text_printf(&text, "Authorization: Bearer %.*s\r\n", STR_FMT(where->token));
	if (question->fields)
		text_add(&text, str_from(question->fields));
	if (question->body.len)
		text_printf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			question->body.len);
	else if (strcmp(question->method, "GET") != 0)
		text_add(&text, STR("Content-Length: 0\r\n"));
	text_add(&text, STR("\r\n"));
	text_add(&text, question->body);
	return text_take(&text, talk->arena);
}

// Whoever refuses a question before it has all of it may close: its answer is read all the same.
static int send_all(const struct talk *talk, struct str bytes)
{
	while (bytes.len) {
		ssize_t len = send(talk->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
		int error = 0;

		if (len >= 0)
			bytes = str_make(bytes.ptr + len, bytes.len - (size_t)len);
		else if (errno == EAGAIN)
			error = wait_for(talk, POLLOUT);
		else if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		else if (errno != EINTR)
			error = -errno;
		if (error)
			return error;
	}
	return 0;
}

// ---- The answer ---------------------------------------------------------------------------------

// Bytes received, 0 at the end of them, -EAGAIN when there are none and it may not wait.
static int receive(const struct talk *talk, char *piece, bool may_wait)
{
	for (;;) {
		ssize_t len = recv(talk->fd, piece, piece_bytes, 0);
		int error = 0;

		if (len >= 0)
			return (int)len;
		if (errno == EAGAIN)
			error = may_wait ? wait_for(talk, POLLIN) : -EAGAIN;
		else if (errno != EINTR)
			error = -errno;
		if (error)
			return error;
	}
}

static int decode_chunks(struct talk *talk, struct str bytes, piece_fn *take, void *owner)
{
	while (bytes.len && !talk->ended) {
		enum http_refusal why = HTTP_REFUSE_OK;
		struct str data = STR_EMPTY;
		size_t used = 0;
		enum h1_chunk_event event =
			h1_chunked_feed(&talk->chunked, bytes.ptr, bytes.len, &used, &data, &why);
		int error = 0;

		bytes = str_make(bytes.ptr + used, bytes.len - used);
		if (event == H1_CHUNK_BAD)
			return fail_protocol(talk, http_refusal_text(why));
		if (event == H1_CHUNK_TRAILERS)
			talk->ended = true; // the connection ends with this answer, trailers or not
		if (event == H1_CHUNK_DATA)
			error = take(owner, data);
		if (error)
			return error;
	}
	return 0;
}

static int decode(struct talk *talk, struct str bytes, piece_fn *take, void *owner)
{
	int error = 0;

	switch ((enum http_framing)talk->framing) {
	case HTTP_CHUNKED:
		return decode_chunks(talk, bytes, take, owner);
	case HTTP_LENGTH:
		bytes.len = (size_t)MIN((u64)bytes.len, talk->left);
		talk->left -= bytes.len;
		talk->ended = talk->left == 0;
		break;
	case HTTP_NO_BODY:
		talk->ended = true;
		return 0;
	case HTTP_UNTIL_CLOSE:
		break;
	}
	if (bytes.len)
		error = take(owner, bytes);
	return error;
}

static int end_of_bytes(struct talk *talk)
{
	if (talk->framing != HTTP_UNTIL_CLOSE)
		return fail_protocol(talk, "the answer is cut short");
	talk->ended = true;
	return 0;
}

static void take_head(
	struct talk *talk, const struct http_head *head, struct ask_answer *ret_answer)
{
	const struct http_field *type = http_head_find(head, HTTP_F_CONTENT_TYPE);

	ret_answer->status = head->status;
	ret_answer->from = talk->with;
	if (type)
		ret_answer->content_type =
			arena_str(talk->arena, str_make(type->value, type->value_len));
	talk->framing = head->framing;
	talk->left = head->content_length;
	talk->ended = head->framing == HTTP_NO_BODY ||
		      (head->framing == HTTP_LENGTH && head->content_length == 0);
}

// The final head at the start of what was received: its length, 0 when it is not complete, negative
// errno. Interim ones are passed over.
static int parse_head(struct talk *talk, enum http_method method, struct ask_answer *ret_answer)
{
	static const struct h1_limits limits = {
		.head_bytes_max = HTTP_HEAD_BYTES_MAX, .target_bytes_max = HTTP_HEAD_BYTES_MAX};
	struct http_field fields[HTTP_FIELDS_MAX];
	struct http_head head;
	enum http_refusal why;
	size_t at = 0;
	int used;

	do {
		used = h1_parse_response(talk->head.data + at, talk->head.len - at, &limits, method,
			fields, &head, &why);
		if (used < 0)
			return fail_protocol(talk, http_refusal_text(why));
		at += (size_t)used;
	} while (used > 0 && head.status < 200 && head.status != 101);
	if (used == 0)
		return 0;
	take_head(talk, &head, ret_answer);
	return (int)at;
}

// Up to the end of the head; what was received behind it is *ret_rest.
static int read_head(struct talk *talk, enum http_method method, struct ask_answer *ret_answer,
	struct str *ret_rest)
{
	char piece[piece_bytes];
	int len, used;

	do {
		len = receive(talk, piece, true);
		if (len < 0)
			return fail_talk(talk, len);
		if (len == 0)
			return fail_protocol(talk, talk->head.len ? "its head is cut short"
								  : "it closes the connection");
		text_add(&talk->head, str_make(piece, (size_t)len));
		used = parse_head(talk, method, ret_answer);
		if (used < 0)
			return used;
	} while (used == 0);
	*ret_rest = str_make(talk->head.data + used, talk->head.len - (size_t)used);
	return 0;
}

// One piece of the body: 0 or negative errno.
static int read_piece(struct talk *talk, bool may_wait, piece_fn *take, void *owner)
{
	char piece[piece_bytes];
	int len = receive(talk, piece, may_wait);

	if (len == -EAGAIN)
		return len;
	if (len < 0)
		return fail_talk(talk, len);
	if (len == 0)
		return end_of_bytes(talk);
	return decode(talk, str_make(piece, (size_t)len), take, owner);
}

// ---- A talk as a whole --------------------------------------------------------------------------

static void talk_end(struct talk *talk)
{
	if (talk->fd >= 0)
		close(talk->fd);
	if (talk->timer >= 0)
		close(talk->timer);
	talk->fd = talk->timer = -1;
	text_done(&talk->head);
}

// Asks, and reads the head of the answer. After an error there is nothing to end.
static int talk_begin(struct talk *talk, const struct ask_where *where,
	const struct ask_question *question, struct ask_answer *ret_answer, struct str *ret_rest)
{
	const struct ask_place *place = NULL;
	int error;

	talk->fd = -1;
	talk->stop_fd = where->stop_fd ? *where->stop_fd : -1;
	talk->timeout_ms = where->timeout_ms;
	talk->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (talk->timer < 0)
		return FAIL(talk, -errno, "See the limits of this shell (ulimit -a).",
			"no timer: %s", strerror(errno));
	set_timer(talk);
	error = connect_to_any(talk, where, &place);
	if (!error) {
		error = send_all(talk, question_text(talk, where, place, question));
		if (error)
			error = fail_talk(talk, error);
	}
	if (!error)
		error = read_head(
			talk, http_method_parse(str_from(question->method)), ret_answer, ret_rest);
	if (error)
		talk_end(talk);
	return error;
}

static int collect(void *owner, struct str piece)
{
	struct text *body = owner;

	if (body->len + piece.len > ASK_ANSWER_BYTES_MAX)
		return -EMSGSIZE;
	text_add(body, piece);
	return 0;
}

// The whole body, of which `rest` is there already.
static int read_all(struct talk *talk, struct str rest, struct ask_answer *answer)
{
	struct text body = {0};
	int error = decode(talk, rest, collect, &body);

	while (!error && !talk->ended)
		error = read_piece(talk, true, collect, &body);
	if (error == -EMSGSIZE)
		error = fail_size(talk);
	if (!error)
		answer->body = text_take(&body, talk->arena);
	text_done(&body);
	return error;
}

int ask(const struct ask_where *where, const struct ask_question *question, struct arena *arena,
	struct ask_answer *ret_answer, struct ask_trouble *ret_trouble)
{
	struct talk talk = {.arena = arena, .trouble = ret_trouble};
	struct ask_answer answer = {.content_type = STR_EMPTY, .body = STR_EMPTY};
	struct str rest = STR_EMPTY;
	int error = talk_begin(&talk, where, question, &answer, &rest);

	if (error)
		return error;
	error = read_all(&talk, rest, &answer);
	talk_end(&talk);
	if (!error)
		*ret_answer = answer;
	return error;
}

// ---- Server-sent events -------------------------------------------------------------------------

struct ask_stream {
	struct talk talk;
	struct sse sse;
	struct text first; // came with the head
	ask_event_fn *tell;
	void *owner;
};

static int feed(void *owner, struct str piece)
{
	struct ask_stream *stream = owner;

	return sse_feed(&stream->sse, piece, stream->tell, stream->owner);
}

static bool is_stream(const struct ask_answer *answer)
{
	return answer->status == 200 && str_starts(answer->content_type, STR("text/event-stream"));
}

int ask_stream_open(const struct ask_where *where, const struct ask_question *question,
	struct arena *arena, struct ask_stream **ret_stream, struct ask_answer *ret_answer,
	struct ask_trouble *ret_trouble)
{
	struct ask_stream *stream = mem_alloc(sizeof(*stream));
	struct ask_answer answer = {.content_type = STR_EMPTY, .body = STR_EMPTY};
	struct str rest = STR_EMPTY;
	int error;

	sse_init(&stream->sse, ASK_ANSWER_BYTES_MAX);
	stream->talk.arena = arena;
	stream->talk.trouble = ret_trouble;
	error = talk_begin(&stream->talk, where, question, &answer, &rest);
	if (error) {
		mem_free(stream);
		return error;
	}
	if (is_stream(&answer)) {
		text_add(&stream->first, rest);
		*ret_stream = stream;
		return 0;
	}
	error = read_all(&stream->talk, rest, &answer);
	ask_stream_close(stream);
	if (!error) {
		*ret_stream = NULL;
		*ret_answer = answer;
	}
	return error;
}

int ask_stream_fd(const struct ask_stream *stream)
{
	return stream->talk.fd;
}

static int read_stream(struct ask_stream *stream, bool may_wait)
{
	struct text first = stream->first;
	int error;

	if (first.len == 0)
		return read_piece(&stream->talk, may_wait, feed, stream);
	stream->first = (struct text){0};
	error = decode(&stream->talk, str_make(first.data, first.len), feed, stream);
	text_done(&first);
	return error;
}

int ask_stream_read(struct ask_stream *stream, bool may_wait, ask_event_fn *tell, void *owner,
	struct ask_trouble *ret_trouble)
{
	int error;

	if (stream->talk.ended)
		return 0;
	stream->talk.trouble = ret_trouble;
	stream->tell = tell;
	stream->owner = owner;
	error = read_stream(stream, may_wait);
	if (error == -EAGAIN)
		return 1;
	if (error == -ECANCELED)
		return 0;
	if (error == -EMSGSIZE)
		return fail_size(&stream->talk);
	if (error)
		return error;
	set_timer(&stream->talk);
	return !stream->talk.ended;
}

void ask_stream_close(struct ask_stream *stream)
{
	if (!stream)
		return;
	talk_end(&stream->talk);
	sse_done(&stream->sse);
	text_done(&stream->first);
	mem_free(stream);
}
