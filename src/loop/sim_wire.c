// SPDX-License-Identifier: Apache-2.0
#include "loop/sim_wire.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum own_event { EVENT_ARRIVE = WIRE_NEWS_COUNT, EVENT_CONNECT };

enum { piece_bytes_max = 16 * 1024, first_port = 32768 };

bool wire_strikes(struct sim_net *net, u32 one_in, u64 *count)
{
	if (one_in == 0 || !rng_one_in(&net->rng, one_in))
		return false;
	(*count)++;
	return true;
}

u64 wire_latency_us(struct sim_net *net)
{
	const struct sim_config *config = &net->config;
	u64 span = config->latency_us_max - config->latency_us_min;

	return config->latency_us_min + rng_below(&net->rng, (u32)span + 1);
}

// Events: a binary heap, earliest first, in order of making when at the same moment.

static bool is_before(const struct wire_event *a, const struct wire_event *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void event_add(struct sim_net *net, const struct wire_end *end, u8 what, u64 at_us)
{
	struct wire_event event = {.at_us = at_us,
		.number = net->event_number++,
		.slot = end->slot,
		.generation = end->generation,
		.what = what};
	u32 at = net->event_count++;

	if (net->event_count > net->event_room) {
		net->event_room = MAX(64, net->event_room * 2);
		net->events = mem_realloc(net->events, net->event_room * sizeof(event));
	}
	while (at && is_before(&event, &net->events[(at - 1) / 2])) {
		net->events[at] = net->events[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	net->events[at] = event;
}

static struct wire_event event_take(struct sim_net *net)
{
	struct wire_event first = net->events[0], last = net->events[--net->event_count];
	u32 at = 0;

	for (;;) {
		u32 child = 2 * at + 1;

		if (child >= net->event_count)
			break;
		if (child + 1 < net->event_count &&
			is_before(&net->events[child + 1], &net->events[child]))
			child++;
		if (!is_before(&net->events[child], &last))
			break;
		net->events[at] = net->events[child];
		at = child;
	}
	net->events[at] = last;
	return first;
}

u64 wire_next_us(const struct sim_net *net)
{
	return net->event_count ? net->events[0].at_us : UINT64_MAX;
}

void wire_later(struct wire_end *end, enum wire_news news, u64 in_us)
{
	event_add(end->net, end, (u8)news, end->net->now_us + in_us);
}

// Ends.

struct wire_end *wire_end_new(struct sim_net *net)
{
	struct wire_end *end = mem_alloc(sizeof(*end));

	if (net->free_count) {
		end->slot = net->free_slots[--net->free_count];
	} else {
		if (net->slot_count == net->slot_room) {
			net->slot_room = MAX(16, net->slot_room * 2);
			net->ends = mem_realloc(net->ends, net->slot_room * sizeof(*net->ends));
			net->free_slots = mem_realloc(
				net->free_slots, net->slot_room * sizeof(*net->free_slots));
		}
		end->slot = net->slot_count++;
	}
	end->net = net;
	end->generation = ++net->next_generation;
	list_init(&end->backlog);
	net->ends[end->slot] = end;
	return end;
}

struct wire_end *wire_end_of(struct sim_net *net, int fd)
{
	u32 slot = (u32)(fd - SIM_FD_BASE);

	ASSERT(fd >= SIM_FD_BASE && slot < net->slot_count && net->ends[slot]);
	return net->ends[slot];
}

static void pieces_push(struct pieces *pieces, struct piece *piece)
{
	piece->next = NULL;
	if (pieces->head)
		pieces->tail->next = piece;
	else
		pieces->head = piece;
	pieces->tail = piece;
}

static struct piece *pieces_pop(struct pieces *pieces)
{
	struct piece *piece = pieces->head;

	pieces->head = piece->next;
	return piece;
}

static void pieces_clear(struct pieces *pieces)
{
	while (pieces->head)
		mem_free(pieces_pop(pieces));
}

static void end_free(struct wire_end *end)
{
	struct sim_net *net = end->net;

	pieces_clear(&end->under_way);
	pieces_clear(&end->arrived);
	list_remove(&end->backlog);
	net->ends[end->slot] = NULL;
	net->free_slots[net->free_count++] = end->slot;
	mem_free(end);
}

void wire_join(struct wire_end *a, struct wire_end *b)
{
	a->peer = b;
	b->peer = a;
	a->net->counts.connects++;
}

// Pieces under way.

// The slot of an end that was closed may already belong to another, but its pieces are still in
// `under_way` as long as the end lives, and an end lives until its peer is closed too.
static void send_piece(struct wire_end *to, struct piece *piece)
{
	struct sim_net *net = to->net;
	u64 at_us = net->now_us + wire_latency_us(net);

	if (wire_strikes(net, net->config.delay_one_in, &net->counts.delays))
		at_us += rng_below(&net->rng, net->config.delay_us_max + 1);
	at_us = MAX(at_us, to->last_arrival_us);
	to->last_arrival_us = at_us;
	pieces_push(&to->under_way, piece);
	event_add(net, to, EVENT_ARRIVE, at_us);
}

static void send_mark(struct wire_end *to, enum piece_kind kind)
{
	struct piece *piece = mem_alloc(sizeof(*piece));

	piece->kind = (u8)kind;
	send_piece(to, piece);
}

size_t wire_room(const struct wire_end *end)
{
	const struct wire_end *peer = end->peer;
	size_t window = end->net->config.window_bytes;

	if (end->swallowing || !peer)
		return window;
	return window > peer->window_used ? window - peer->window_used : 0;
}

static void send_part(struct wire_end *end, struct bytes *queue, size_t len)
{
	struct piece *piece = mem_alloc(sizeof(*piece) + len);
	struct sim_net *net = end->net;
	size_t filled = 0;

	while (filled < len) {
		struct iovec first;
		size_t part;

		bytes_peek(queue, &first, 1);
		part = MIN(len - filled, first.iov_len);
		memcpy(piece->data + filled, first.iov_base, part);
		bytes_consume(queue, part);
		filled += part;
	}
	piece->len = (u32)len;
	if (end->outside &&
		wire_strikes(net, net->config.early_end_one_in, &net->counts.early_ends)) {
		// The rest of this piece and all that follows is lost, as if the peer had died
		// there with its kernel closing for it.
		piece->len = rng_below(&net->rng, (u32)len + 1);
		end->swallowing = true;
	}
	end->peer->window_used += piece->len;
	send_piece(end->peer, piece);
	if (end->swallowing)
		send_mark(end->peer, PIECE_FIN);
}

void wire_send(struct wire_end *end, struct bytes *queue, size_t len)
{
	while (len) {
		size_t part = MIN(len, (size_t)piece_bytes_max);

		if (end->swallowing || !end->peer)
			bytes_consume(queue, part);
		else
			send_part(end, queue, part);
		len -= part;
	}
}

static void tell(struct wire_end *end, enum wire_news news)
{
	if (end->sock)
		end->net->news(end, news);
}

void wire_read(struct wire_end *end, char *to, size_t len)
{
	ASSERT(len <= end->unread);
	end->unread -= len;
	end->window_used -= len;
	while (len) {
		struct piece *piece = end->arrived.head;
		size_t part = MIN(len, (size_t)(piece->len - piece->at));

		memcpy(to, piece->data + piece->at, part);
		piece->at += (u32)part;
		to += part;
		len -= part;
		if (piece->at == piece->len)
			mem_free(pieces_pop(&end->arrived));
	}
	if (end->peer)
		wire_later(end->peer, WIRE_WRITE, wire_latency_us(end->net));
}

static void arrive_reset(struct wire_end *end)
{
	struct sim_net *net = end->net;

	if (end->unread && rng_one_in(&net->rng, 2)) {
		net->counts.discards++;
		pieces_clear(&end->arrived);
		end->unread = 0;
	}
	end->was_reset = true;
	end->error = ECONNRESET;
	tell(end, WIRE_READ);
	tell(end, WIRE_WRITE);
}

static void arrive_data(struct wire_end *end, struct piece *piece)
{
	struct sim_net *net = end->net;
	bool resets = wire_strikes(net, net->config.reset_one_in, &net->counts.resets);

	if (resets) {
		end->window_used -= piece->len;
		piece->len = rng_below(&net->rng, piece->len + 1);
		end->window_used += piece->len;
		send_mark(end->peer, PIECE_RESET);
	}
	net->counts.bytes += piece->len;
	end->unread += piece->len;
	if (piece->len)
		pieces_push(&end->arrived, piece);
	else
		mem_free(piece);
	if (resets)
		arrive_reset(end);
	else
		tell(end, WIRE_READ);
}

static void arrive(struct wire_end *end)
{
	struct piece *piece = pieces_pop(&end->under_way);

	if (end->was_reset || end->closed || end->listening) {
		// Data for somebody who has closed is answered by a reset.
		if (end->closed && !end->was_reset && piece->kind == PIECE_DATA) {
			end->was_reset = true;
			send_mark(end->peer, PIECE_RESET);
		}
		mem_free(piece);
		return;
	}
	switch ((enum piece_kind)piece->kind) {
	case PIECE_DATA:
		arrive_data(end, piece);
		return;
	case PIECE_FIN:
		end->fin_arrived = true;
		tell(end, WIRE_READ);
		break;
	case PIECE_RESET:
		arrive_reset(end);
		break;
	}
	mem_free(piece);
}

// Connecting.

static bool listens_at(const struct wire_end *end, const struct addr *to)
{
	static const u8 any[16];
	size_t len = to->family == ADDR_V4 ? 4 : 16;

	if (!end || !end->listening || end->closed || end->local.family != to->family)
		return false;
	if (to->family == ADDR_UNIX)
		return strcmp(end->local.path, to->path) == 0;
	return end->local.port == to->port &&
	       (memcmp(end->local.ip, to->ip, len) == 0 || memcmp(end->local.ip, any, len) == 0);
}

static struct wire_end *listener_at(struct sim_net *net, const struct addr *to)
{
	for (u32 slot = 0; slot < net->slot_count; slot++)
		if (listens_at(net->ends[slot], to))
			return net->ends[slot];
	return NULL;
}

void wire_connect(struct wire_end *end, const struct addr *to)
{
	struct sim_net *net = end->net;
	u64 in_us = 2 * wire_latency_us(net);

	ASSERT(!end->peer && !end->listening);
	end->remote = *to;
	end->local = (struct addr){.family = to->family};
	if (to->family != ADDR_UNIX) {
		end->local.ip[0] = to->family == ADDR_V4 ? 10 : 0xfd;
		end->local.ip[3] = 1;
		end->local.port = (u16)(first_port + net->next_port++ % first_port);
	} else {
		end->local.path = "";
	}
	end->connect_result = 0;
	if (wire_strikes(net, net->config.refuse_one_in, &net->counts.refusals)) {
		end->connect_result = -ECONNREFUSED;
	} else if (wire_strikes(net, net->config.connect_timeout_one_in,
			   &net->counts.connect_timeouts)) {
		end->connect_result = -ETIMEDOUT;
		in_us = net->config.connect_timeout_us;
	}
	event_add(net, end, EVENT_CONNECT, net->now_us + in_us);
}

static void connect_now(struct wire_end *end)
{
	struct sim_net *net = end->net;
	struct wire_end *listener = listener_at(net, &end->remote), *other;

	if (end->closed)
		return;
	if (end->connect_result == 0 && !listener)
		end->connect_result = -ECONNREFUSED;
	if (end->connect_result == 0) {
		other = wire_end_new(net);
		other->local = end->remote;
		other->remote = end->local;
		wire_join(end, other);
		other->in_backlog = true;
		list_push_back(&listener->backlog, &other->backlog);
		tell(listener, WIRE_READ);
	}
	tell(end, WIRE_CONNECTED);
}

struct wire_end *wire_accept(struct wire_end *listener)
{
	struct wire_end *end;

	if (list_is_empty(&listener->backlog))
		return NULL;
	end = list_first(&listener->backlog, struct wire_end, backlog);
	list_remove(&end->backlog);
	end->in_backlog = false;
	return end;
}

// Ending.

void wire_shutdown(struct wire_end *end)
{
	if (end->fin_sent || !end->peer)
		return;
	end->fin_sent = true;
	if (!end->swallowing && !end->was_reset)
		send_mark(end->peer, PIECE_FIN);
}

// Like the kernel: bytes that the closing side has not read make a reset of its end.
void wire_close(struct wire_end *end)
{
	struct wire_end *peer = end->peer;

	while (end->listening && !list_is_empty(&end->backlog)) {
		struct wire_end *waiting = wire_accept(end);

		waiting->reset_on_close = true;
		wire_close(waiting);
	}
	end->closed = true;
	end->sock = NULL;
	end->loop = NULL;
	if (!peer) {
		end_free(end);
		return;
	}
	if (peer->closed) {
		end_free(peer);
		end_free(end);
		return;
	}
	if (end->was_reset)
		return;
	if (end->reset_on_close || end->unread) {
		end->was_reset = true;
		send_mark(peer, PIECE_RESET);
	} else {
		wire_shutdown(end);
	}
}

void wire_run_due(struct sim_net *net)
{
	while (net->event_count && net->events[0].at_us <= net->now_us) {
		struct wire_event event = event_take(net);
		struct wire_end *end = net->ends[event.slot];

		if (!end || end->generation != event.generation)
			continue;
		net->counts.events++;
		switch (event.what) {
		case EVENT_ARRIVE:
			arrive(end);
			break;
		case EVENT_CONNECT:
			connect_now(end);
			break;
		default:
			tell(end, (enum wire_news)event.what);
		}
	}
}

void wire_done(struct sim_net *net)
{
	for (u32 slot = 0; slot < net->slot_count; slot++)
		if (net->ends[slot])
			end_free(net->ends[slot]);
	mem_free(net->ends);
	mem_free(net->free_slots);
	mem_free(net->events);
}
