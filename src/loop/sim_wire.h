// SPDX-License-Identifier: Apache-2.0
// The virtual network under loop_sim.c: ends of connections, pieces under way between them, and the
// list of coming events. Knows nothing of ops; it tells the twin when an end may have changed.
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "base/list.h"
#include "loop/loop_sim.h"

enum { SIM_FD_BASE = 1 << 20 }; // far beyond the kernel's, so that a mix-up is an EBADF

// What the network tells the twin about an end, and what the twin may ask to be told later.
enum wire_news {
	WIRE_READ,	// something to read or to accept, an end, an error
	WIRE_WRITE,	// room to write, or an error
	WIRE_CONNECTED, // end->connect_result is known
	WIRE_CANCEL_READ,
	WIRE_CANCEL_WRITE,
	WIRE_NEWS_COUNT,
};

struct wire_end;
typedef void wire_news_fn(struct wire_end *end, enum wire_news news);

enum piece_kind { PIECE_DATA, PIECE_FIN, PIECE_RESET };

struct piece {
	struct piece *next;
	u8 kind; // enum piece_kind
	u32 at, len;
	char data[];
};

struct pieces {
	struct piece *head, *tail;
};

struct wire_end {
	struct sim_net *net;
	u32 slot, generation;

	// The twin's.
	struct loop *loop;
	struct sock *sock; // NULL: nobody has opened it, or it is closed

	struct addr local, remote;
	struct wire_end *peer; // NULL: not connected, or gone after a reset
	bool listening, closed;
	bool outside; // sends for a loop that plays the outside world
	bool reset_on_close;
	bool fin_sent;	 // nothing more can be sent
	bool swallowing; // its direction ended early: what it sends is lost
	bool fin_arrived, was_reset;
	i32 error; // to be told once
	i32 connect_result;
	u64 last_arrival_us; // pieces towards this end keep their order
	size_t unread;	     // bytes in `arrived`
	size_t window_used;  // these and the ones under way
	struct pieces under_way, arrived;
	struct list backlog; // a listener's; else the node in one
	bool in_backlog;
};

struct wire_event {
	u64 at_us, number;
	u32 slot, generation;
	u8 what; // enum wire_news, or the wire's own
};

struct sim_net {
	struct sim_config config;
	struct sim_counts counts;
	struct rng rng;
	u64 now_us;
	struct list loops; // sim_loop.node
	wire_news_fn *news;
	struct wire_event *events; // a heap
	u32 event_count, event_room;
	u64 event_number;
	struct wire_end **ends; // by slot; NULL = free
	u32 *free_slots;
	u32 slot_count, slot_room, free_count;
	u32 next_generation;
	u16 next_port;
	bool stuck;
};

// Once in `one_in` times, counted.
bool wire_strikes(struct sim_net *net, u32 one_in, u64 *count);
u64 wire_latency_us(struct sim_net *net);

struct wire_end *wire_end_new(struct sim_net *net);
struct wire_end *wire_end_of(struct sim_net *net, int fd);
static inline int wire_fd(const struct wire_end *end)
{
	return SIM_FD_BASE + (int)end->slot;
}

// The twin wants to hear `news` about this end after `in_us`.
void wire_later(struct wire_end *end, enum wire_news news, u64 in_us);

void wire_connect(struct wire_end *end, const struct addr *to);
struct wire_end *wire_accept(struct wire_end *listener); // NULL: none waits

void wire_join(struct wire_end *a, struct wire_end *b);

// Room for bytes from this end to its peer.
size_t wire_room(const struct wire_end *end);

// Sends the first `len` bytes of the queue (at most wire_room) and drops them from it.
void wire_send(struct wire_end *end, struct bytes *queue, size_t len);

// Copies up to `len` unread bytes out.
void wire_read(struct wire_end *end, char *to, size_t len);

void wire_shutdown(struct wire_end *end);
void wire_close(struct wire_end *end);

// The moment of the next event, or UINT64_MAX; and everything that is due by `now_us`.
u64 wire_next_us(const struct sim_net *net);
void wire_run_due(struct sim_net *net);

void wire_done(struct sim_net *net);
