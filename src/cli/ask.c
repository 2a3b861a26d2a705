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
#include "proto/h1.h"

enum { blocks_max = 16, window_bytes = 1 << 20, busy_ms = 10 };

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
	struct block_pool blocks;
	struct bytes out;
	struct h1_parser parser;
	struct h1 h1;
	struct stream *stream;
	struct ask_answer *answer; // to be filled with what the head says
	piece_fn *take;
	void *owner;
	bool has_bytes, is_headed, is_ended; // any of the answer is there | its head | all of it
	bool has_credit;		     // the body may come
	int error;			     // what `take` said, or that the answer is no good
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

// ---- What the session tells ---------------------------------------------------------------------

static struct talk *of_stream(const struct stream *stream)
{
	return stream->owner;
}

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	const struct http_field *type = http_head_find(head, HTTP_F_CONTENT_TYPE);
	struct talk *talk = of_stream(stream);

	if (head->status < 200)
		return; // interim
	talk->answer->status = head->status;
	talk->answer->from = talk->with;
	if (type)
		talk->answer->content_type =
			arena_str(talk->arena, str_make(type->value, type->value_len));
	talk->is_headed = true;
	talk->is_ended = end;
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct talk *talk = of_stream(stream);
	size_t len = slice.len;

	if (len && !talk->error)
		talk->error = talk->take(talk->owner, str_make(slice.ptr, len));
	slice_drop(&slice);
	talk->is_ended |= end;
	if (!end)
		stream->ops->grant(stream, len);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)fields;
	(void)count;
	of_stream(stream)->is_ended = true;
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	struct talk *talk = of_stream(stream);

	if (talk->error)
		return;
	if (fault == STREAM_MALFORMED)
		talk->error = fail_protocol(
			talk, http_refusal_text((enum http_refusal)talk->h1.session.refusal));
	else if (fault == STREAM_PEER_CLOSED)
		talk->error = fail_protocol(talk,
			talk->has_bytes ? "its answer is cut short" : "it closes the connection");
	else
		talk->error = fail_talk(talk, fault == STREAM_NO_MEMORY ? -ENOMEM : -ECONNRESET);
}

static const struct stream_events stream_events = {.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset};

// There is nothing to be done later: whoever reads looks after each piece.
static void ignore(struct session *session)
{
	(void)session;
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)session;
	(void)stream;
}

static const struct session_events session_events = {
	.on_stream_done = on_stream_done, .on_poke = ignore};

// ---- The question -------------------------------------------------------------------------------

static struct str own_lines(
	const struct talk *talk, const struct ask_where *where, const struct ask_question *question)
{
	struct text text = {0};

	text_add(&text, STR("User-Agent: weir/" WEIR_VERSION "\r\nConnection: close\r\n"));
	if (where->token.len)
		text_printf(&text, "Authorization: Bearer %.*s\r\n", STR_FMT(where->token));
	if (question->body.len)
		text_add(&text, STR("Content-Type: application/json\r\n"));
	if (question->fields)
		text_add(&text, str_from(question->fields));
	return text_take(&text, talk->arena);
}

static void put_question(struct talk *talk, const struct ask_where *where,
	const struct ask_place *place, const struct ask_question *question)
{
	struct str method = str_from(question->method);
	bool has_body = question->body.len > 0;
	struct http_head head = {
		.method = (u8)http_method_parse(method),
		.method_text = method,
		.path = question->path	    ? str_from(question->path)
			: place->target.len ? place->target
					    : STR("/"),
		.authority = place->host,
		.version_minor = 1,
		.framing = str_eq(method, STR("GET")) && !has_body ? HTTP_NO_BODY : HTTP_LENGTH,
		.content_length = question->body.len,
		.added = {own_lines(talk, where, question)},
		.added_count = 1,
	};

	talk->stream->ops->send_head(talk->stream, &head, !has_body);
	if (has_body)
		talk->stream->ops->send_body(talk->stream,
			(struct slice){.ptr = question->body.ptr, .len = question->body.len}, true);
}

// Whoever refuses a question before it has all of it may close: its answer is read all the same.
static int send_all(struct talk *talk)
{
	while (!bytes_is_empty(&talk->out)) {
		struct iovec pieces[8];
		struct msghdr message = {.msg_iov = pieces,
			.msg_iovlen = (size_t)bytes_peek(&talk->out, pieces, ARRAY_LEN(pieces))};
		ssize_t len = sendmsg(talk->fd, &message, MSG_NOSIGNAL);
		int error = 0;

		if (len >= 0)
			bytes_consume(&talk->out, (size_t)len);
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

static void look_again(struct talk *talk)
{
	struct session *session = &talk->h1.session;

	while (session->again) {
		session->again = false;
		session->ops->feed(session, (struct slice){0});
	}
}

// What comes next: 0, -EAGAIN when there is nothing and it may not wait, or another negative errno
// and trouble.
static int receive(struct talk *talk, bool may_wait)
{
	struct block *block = block_get(&talk->blocks, true);
	struct session *session = &talk->h1.session;
	ssize_t len;
	int error = 0;

	if (!block)
		return fail_talk(talk, -ENOMEM);
	do {
		len = recv(talk->fd, block->data, block->size, 0);
		if (len < 0 && errno == EAGAIN)
			error = may_wait ? wait_for(talk, POLLIN) : -EAGAIN;
		else if (len < 0 && errno != EINTR)
			error = -errno;
	} while (len < 0 && !error);
	if (len > 0) {
		talk->has_bytes = true;
		session->ops->feed(session, (struct slice){block, block->data, (size_t)len});
		look_again(talk);
		return talk->error;
	}
	block_unref(block);
	if (len == 0)
		session->ops->ended(session, 0);
	else if (error != -EAGAIN)
		error = fail_talk(talk, error);
	return error ? error : talk->error;
}

// The same for the body, of which the first piece may have come with the head.
static int read_piece(struct talk *talk, bool may_wait)
{
	if (talk->has_credit)
		return receive(talk, may_wait);
	talk->has_credit = true;
	talk->stream->ops->grant(talk->stream, window_bytes);
	look_again(talk);
	return talk->error;
}

// ---- A talk as a whole --------------------------------------------------------------------------

static void talk_init(struct talk *talk, const struct ask_where *where, struct ask_answer *answer)
{
	talk->fd = -1;
	talk->stop_fd = where->stop_fd ? *where->stop_fd : -1;
	talk->timeout_ms = where->timeout_ms;
	talk->answer = answer;
	block_pool_init(&talk->blocks, blocks_max, blocks_max);
	talk->parser.limits.head_bytes_max = HTTP_HEAD_BYTES_MAX;
	talk->parser.limits.target_bytes_max = HTTP_HEAD_BYTES_MAX;
	h1_init(&talk->h1, STREAM_CLIENT, &talk->parser, &talk->blocks, &talk->out,
		&session_events);
	talk->stream = talk->h1.session.ops->open(&talk->h1.session);
	talk->stream->events = &stream_events;
	talk->stream->owner = talk;
}

static void talk_end(struct talk *talk)
{
	if (talk->fd >= 0)
		close(talk->fd);
	if (talk->timer >= 0)
		close(talk->timer);
	talk->h1.session.ops->done(&talk->h1.session);
	bytes_clear(&talk->out);
	block_pool_done(&talk->blocks);
}

// Asks, and reads the head of the answer. After an error there is nothing to end.
static int talk_begin(struct talk *talk, const struct ask_where *where,
	const struct ask_question *question, struct ask_answer *answer)
{
	const struct ask_place *place = NULL;
	int error = 0;

	talk_init(talk, where, answer);
	talk->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (talk->timer < 0)
		error = FAIL(talk, -errno, "See the limits of this shell (ulimit -a).",
			"no timer: %s", strerror(errno));
	if (!error) {
		set_timer(talk);
		error = connect_to_any(talk, where, &place);
	}
	if (!error) {
		put_question(talk, where, place, question);
		error = send_all(talk);
		if (error)
			error = fail_talk(talk, error);
	}
	while (!error && !talk->is_headed)
		error = receive(talk, true);
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

static int read_into(struct text *body, struct talk *talk)
{
	int error = 0;

	talk->take = collect;
	talk->owner = body;
	while (!error && !talk->is_ended)
		error = read_piece(talk, true);
	if (error == -EMSGSIZE)
		error = fail_size(talk);
	return error;
}

static int read_all(struct talk *talk, struct ask_answer *answer)
{
	struct text body = {0};
	int error = read_into(&body, talk);

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
	int error = talk_begin(&talk, where, question, &answer);

	// In the moment of an upgrade the process that leaves may have taken the connection.
	if ((error == -EPROTO || error == -ECONNRESET) && !talk.has_bytes &&
		strcmp(question->method, "GET") == 0) {
		talk = (struct talk){.arena = arena, .trouble = ret_trouble};
		error = talk_begin(&talk, where, question, &answer);
	}
	if (error)
		return error;
	error = read_all(&talk, &answer);
	talk_end(&talk);
	if (!error)
		*ret_answer = answer;
	return error;
}

// ---- Server-sent events -------------------------------------------------------------------------

struct ask_stream {
	struct talk talk;
	struct ask_answer answer;
	struct sse sse;
	ask_event_fn *tell;
	void *owner;
};

static int take_events(void *owner, struct str piece)
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
	struct ask_answer *answer = &stream->answer;
	int error;

	answer->content_type = answer->body = STR_EMPTY;
	sse_init(&stream->sse, ASK_ANSWER_BYTES_MAX);
	stream->talk.arena = arena;
	stream->talk.trouble = ret_trouble;
	error = talk_begin(&stream->talk, where, question, answer);
	if (error) {
		mem_free(stream);
		return error;
	}
	if (is_stream(answer)) {
		*ret_stream = stream;
		return 0;
	}
	error = read_all(&stream->talk, answer);
	if (!error) {
		*ret_answer = *answer;
		*ret_stream = NULL;
	}
	ask_stream_close(stream);
	return error;
}

int ask_stream_fd(const struct ask_stream *stream)
{
	return stream->talk.fd;
}

int ask_stream_read(struct ask_stream *stream, bool may_wait, ask_event_fn *tell, void *owner,
	struct ask_trouble *ret_trouble)
{
	int error;

	if (stream->talk.is_ended)
		return 0;
	stream->tell = tell;
	stream->owner = owner;
	stream->talk.trouble = ret_trouble;
	stream->talk.take = take_events;
	stream->talk.owner = stream;
	error = read_piece(&stream->talk, may_wait);
	if (error == -EAGAIN)
		return 1;
	if (error == -ECANCELED)
		return 0;
	if (error == -EMSGSIZE)
		return fail_size(&stream->talk);
	if (error)
		return error;
	set_timer(&stream->talk);
	return !stream->talk.is_ended;
}

void ask_stream_close(struct ask_stream *stream)
{
	if (!stream)
		return;
	talk_end(&stream->talk);
	sse_done(&stream->sse);
	mem_free(stream);
}
