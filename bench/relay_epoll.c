// SPDX-License-Identifier: Apache-2.0
// The relay on epoll. Every socket is registered once, edge-triggered, for everything; readiness is
// remembered here and the sockets are tried first, so that a message costs one recv, one send and
// its share of one epoll_wait. A short read means that the socket is empty.

#include "common.h"
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 512

struct pair;

// One socket, and the way from it to its peer.
struct side {
	int fd;
	bool readable, writable;
	bool ending; // the peer of this socket has closed: read up to the end
	bool ended;  // the end was read and passed on
	bool spliced;
	int pipe[2];	// spliced: the way to the peer
	size_t in_pipe; // bytes read from fd and not yet written to the peer
	char *held;	// copied: the same
	size_t held_offset, held_bytes;
	struct side *peer;
	struct pair *pair;
};

struct pair {
	struct side client, upstream;
	bool dead;
	struct pair *next_dead;
};

struct relay {
	const struct relay_options *options;
	int epoll_fd;
	bool splice;
	char *buffer;
	struct pair *dead; // freed after the batch, since later events of it may name them
};

static void watch(struct relay *relay, struct side *side)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = side}};

	if (epoll_ctl(relay->epoll_fd, EPOLL_CTL_ADD, side->fd, &event))
		bench_die("epoll_ctl");
}

static void side_init(
	struct relay *relay, struct side *side, int fd, bool spliced, struct side *peer)
{
	*side = (struct side){.fd = fd, .spliced = spliced, .peer = peer, .pipe = {-1, -1}};
	if (!spliced)
		return;
	if (pipe2(side->pipe, O_NONBLOCK | O_CLOEXEC))
		bench_die("pipe2");
	if (fcntl(side->pipe[1], F_SETPIPE_SZ, (int)relay->options->pipe_bytes) < 0)
		bench_die("F_SETPIPE_SZ");
}

static void side_done(struct side *side)
{
	close(side->fd);
	if (side->spliced) {
		close(side->pipe[0]);
		close(side->pipe[1]);
	}
	free(side->held);
}

static void pair_end(struct relay *relay, struct pair *pair, bool reset)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	if (pair->dead)
		return;
	if (reset) {
		setsockopt(pair->client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		setsockopt(pair->upstream.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	}
	side_done(&pair->client);
	side_done(&pair->upstream);
	pair->dead = true;
	pair->next_dead = relay->dead;
	relay->dead = pair;
}

static void bury(struct relay *relay)
{
	while (relay->dead) {
		struct pair *pair = relay->dead;

		relay->dead = pair->next_dead;
		free(pair);
	}
}

static void end_read(struct relay *relay, struct side *from)
{
	from->readable = false;
	from->ended = true;
	shutdown(from->peer->fd, SHUT_WR);
	if (from->peer->ended)
		pair_end(relay, from->pair, false);
}

static void hold(struct side *from, const char *data, size_t bytes)
{
	from->held = bench_alloc(bytes);
	memcpy(from->held, data, bytes);
	from->held_offset = 0;
	from->held_bytes = bytes;
	from->peer->writable = false;
}

// Sends what a full socket left behind. False while something is left, or after an error.
static bool send_held(struct relay *relay, struct side *from)
{
	size_t left = from->held_bytes - from->held_offset;
	ssize_t sent = send(from->peer->fd, from->held + from->held_offset, left, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN) {
		pair_end(relay, from->pair, true);
		return false;
	}
	if (sent > 0)
		from->held_offset += (size_t)sent;
	if (from->held_offset < from->held_bytes) {
		from->peer->writable = false;
		return false;
	}
	free(from->held);
	from->held = NULL;
	return true;
}

static void pump_copy(struct relay *relay, struct side *from)
{
	struct side *to = from->peer;
	size_t size = relay->options->buffer_bytes;

	if (from->held && to->writable && !send_held(relay, from))
		return;
	while (from->readable && to->writable) {
		ssize_t got = recv(from->fd, relay->buffer, size, 0);

		if (got <= 0) {
			if (!got)
				end_read(relay, from);
			else if (errno == EAGAIN)
				from->readable = false;
			else
				pair_end(relay, from->pair, true);
			return;
		}
		ssize_t sent = send(to->fd, relay->buffer, (size_t)got, MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN) {
			pair_end(relay, from->pair, true);
			return;
		}
		if (sent < got)
			hold(from, relay->buffer + (sent > 0 ? sent : 0),
				(size_t)(got - (sent > 0 ? sent : 0)));
		if ((size_t)got < size && !from->ending)
			from->readable = false;
	}
}

// Socket to pipe. False when neither the socket nor the pipe allows more just now.
static bool fill_pipe(struct relay *relay, struct side *from)
{
	ssize_t got = splice(from->fd, NULL, from->pipe[1], NULL, relay->options->pipe_bytes,
		SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (got > 0) {
		from->in_pipe += (size_t)got;
		return true;
	}
	if (got < 0 && errno == EAGAIN) {
		// A full pipe says the same as an empty socket: only an empty pipe tells.
		if (!from->in_pipe)
			from->readable = false;
		return false;
	}
	if (!got && !from->in_pipe)
		end_read(relay, from);
	else if (got < 0)
		pair_end(relay, from->pair, true);
	return false;
}

static void pump_splice(struct relay *relay, struct side *from)
{
	struct side *to = from->peer;

	while ((from->readable || from->in_pipe) && to->writable) {
		if (from->readable)
			fill_pipe(relay, from);
		if (from->pair->dead || !from->in_pipe)
			return;
		ssize_t sent = splice(from->pipe[0], NULL, to->fd, NULL, from->in_pipe,
			SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (sent > 0) {
			from->in_pipe -= (size_t)sent;
		} else if (sent < 0 && errno == EAGAIN) {
			to->writable = false;
		} else {
			pair_end(relay, from->pair, true);
			return;
		}
	}
}

static void pump(struct relay *relay, struct side *from)
{
	if (from->spliced)
		pump_splice(relay, from);
	else
		pump_copy(relay, from);
}

static void take_event(struct relay *relay, struct side *side, uint32_t events)
{
	if (side->pair->dead)
		return;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->ending = true;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->readable = !side->ended;
	bool unblocked = (events & EPOLLOUT) && !side->writable;
	if (unblocked)
		side->writable = true;
	if (side->readable)
		pump(relay, side);
	if (unblocked && !side->pair->dead)
		pump(relay, side->peer);
}

static void accept_all(struct relay *relay)
{
	for (;;) {
		int fd = accept4(
			relay->options->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && errno == EAGAIN)
			return;
		if (fd < 0)
			bench_die("accept4");
		struct pair *pair = bench_alloc(sizeof(*pair));
		pair->dead = false;
		side_init(relay, &pair->client, fd, false, &pair->upstream);
		side_init(relay, &pair->upstream, bench_socket(), relay->splice, &pair->client);
		pair->client.pair = pair;
		pair->upstream.pair = pair;
		bench_connect(pair->upstream.fd, &relay->options->upstream);
		watch(relay, &pair->upstream);
		watch(relay, &pair->client);
	}
}

_Noreturn void relay_epoll_run(const struct relay_options *options, bool splice)
{
	struct relay relay = {.options = options, .splice = splice};
	struct epoll_event listen_event = {.events = EPOLLIN, .data = {.ptr = NULL}};
	static struct epoll_event events[EVENTS_MAX];

	relay.buffer = bench_alloc(options->buffer_bytes);
	relay.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (relay.epoll_fd < 0)
		bench_die("epoll_create1");
	if (epoll_ctl(relay.epoll_fd, EPOLL_CTL_ADD, options->listen_fd, &listen_event))
		bench_die("epoll_ctl");
	for (;;) {
		int count = epoll_wait(relay.epoll_fd, events, EVENTS_MAX, -1);

		if (count < 0 && errno != EINTR)
			bench_die("epoll_wait");
		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr)
				take_event(&relay, events[i].data.ptr, events[i].events);
			else
				accept_all(&relay);
		}
		bury(&relay);
	}
}
