// SPDX-License-Identifier: Apache-2.0
#include "proxy/evict.h"

#include <stdlib.h>

#include "base/mem.h"
#include "net/tls.h"
#include "proxy/exchange.h"

enum {
	suspects_max = 1024,
	clients_per_look_max = 32 * 1024,
	look_every_ms = 250,
	patience_ms = 1000,
	held_bytes_min = BLOCK_BYTES,
	moved_part = 4, // of what is held, within patience_ms
};

// What a client keeps from others, and how far it has come: of answers on the way to it, and of
// uploads on their way to backends.
struct hoard {
	u64 answers, uploads;
	i64 taken, came;
};

struct suspect {
	struct client *client;
	u64 since_ms;
	struct hoard hoard; // at that time
	u64 holds;	    // now, if it holds on; else 0
	u8 outcome;
};

// What was received of an answer and waits for its client, before it comes as far as that one's
// connection. A connection of HTTP/2 has many clients: what waits in its socket is nobody's.
static u64 waiting_of(const struct exchange *x)
{
	struct stream *source = x->answer.source;
	u64 held;

	if (x->answer.state != HALF_OPEN)
		return 0;
	held = source->ops->held(source);
	if (source->session->ops == &h1_session_ops)
		held += sock_held(x->proxy->loop, &conn_of_session(source->session)->sock);
	return held;
}

static struct hoard hoard_of(const struct client *client)
{
	const struct conn *conn = &client->conn;
	const struct session *session = conn->session;
	const struct tls *tls = conn_tls(conn);
	u64 sealed = conn->sending.len + (tls ? tls->wire.len : 0);
	struct hoard hoard = {.answers = conn->out.len + sealed, .came = (i64)conn->bytes_in};

	if (session->ops->queued)
		hoard.answers += session->ops->queued(session);
	for (const struct exchange *x = client->exchanges; x; x = x->next_of_client) {
		hoard.uploads += x->up.undrained + x->replay.len;
		if (x->down)
			hoard.uploads += x->down->ops->held(x->down);
		hoard.answers += waiting_of(x);
	}
	hoard.taken = (i64)(conn->bytes_out - sealed) -
		      (i64)sock_unsent(client->proxy->loop, &conn->sock);
	return hoard;
}

static bool is_stuck(u64 held, u64 now, i64 moved)
{
	return MIN(held, now) >= held_bytes_min && moved < (i64)(held / moved_part);
}

static void judge(struct suspect *suspect)
{
	struct hoard now = hoard_of(suspect->client);
	const struct hoard *then = &suspect->hoard;

	suspect->holds = 0;
	if (is_stuck(then->answers, now.answers, now.taken - then->taken)) {
		suspect->holds = now.answers;
		suspect->outcome = OUTCOME_CLIENT_STALLED;
	} else if (is_stuck(then->uploads, now.uploads, now.came - then->came)) {
		suspect->holds = now.uploads;
		suspect->outcome = OUTCOME_OVERLOADED;
	}
}

static void drop(struct evict *evict, u32 index)
{
	evict->suspects[index].client->is_suspect = false;
	evict->suspects[index] = evict->suspects[--evict->count];
}

void evict_forget(struct evict *evict, const struct client *client)
{
	for (u32 i = 0; i < evict->count; i++)
		if (evict->suspects[i].client == client) {
			drop(evict, i);
			return;
		}
}

static int by_holds(const void *a, const void *b)
{
	const struct suspect *first = a, *second = b;

	return first->holds < second->holds ? 1 : first->holds > second->holds ? -1 : 0;
}

// Those who were watched long enough are judged: who does not hold on is no suspect any more.
static void judge_all(struct evict *evict, u64 now_ms)
{
	for (u32 i = evict->count; i-- > 0;) {
		struct suspect *suspect = &evict->suspects[i];

		suspect->holds = 0;
		if (suspect->client->conn.closing) {
			drop(evict, i);
			continue;
		}
		if (now_ms - suspect->since_ms < patience_ms)
			continue;
		judge(suspect);
		if (!suspect->holds)
			drop(evict, i);
	}
}

static void end(struct proxy *proxy, const struct suspect *suspect)
{
	struct client *client = suspect->client;
	struct addr peer;

	metrics_inc(proxy->metrics, M_CLIENTS_EVICTED);
	front_peer(client, &peer);
	faults_evicted(&proxy->faults, client->gate->frontend, &peer, suspect->holds);
	front_give_up(client, (enum outcome)suspect->outcome);
}

// Of so many of `room`, what is to go so that five eighths are left; 0 below three quarters.
static u64 surplus_of(u64 used, u64 room)
{
	return used * 4 < room * 3 ? 0 : used - room * 5 / 8;
}

static u64 requests_of(const struct client *client)
{
	u64 count = 0;

	for (const struct exchange *x = client->exchanges; x; x = x->next_of_client)
		count++;
	return count;
}

static void end_greatest(struct proxy *proxy)
{
	const struct slab *blocks = &proxy->loop->blocks.large, *links = &proxy->upstream.links;
	u64 many_blocks = surplus_of(blocks->used, blocks->used_max);
	u64 many_links = surplus_of(upstream_busy_links(&proxy->upstream), links->used_max);
	struct evict *evict = &proxy->evict;

	qsort(evict->suspects, evict->count, sizeof(*evict->suspects), by_holds);
	for (u32 i = 0; i < evict->count && many_blocks + many_links; i++) {
		const struct suspect *suspect = &evict->suspects[i];

		if (!suspect->holds)
			return;
		many_blocks -= MIN(many_blocks, suspect->holds / BLOCK_BYTES);
		many_links -= MIN(many_links, requests_of(suspect->client));
		end(proxy, suspect);
	}
}

static bool are_many(const struct proxy *proxy)
{
	return proxy->loop->blocks.large.used > proxy->loop->blocks.large_many ||
	       upstream_busy_links(&proxy->upstream) > proxy->upstream.links.used_max / 2;
}

static void suspect_more(struct proxy *proxy, u64 now_ms)
{
	struct evict *evict = &proxy->evict;
	u32 at = 0, begin = evict->next < proxy->client_count ? evict->next : 0;
	u32 end = begin + clients_per_look_max;

	list_for_each (node, &proxy->client_list) {
		struct client *client = list_entry(node, struct client, node);
		struct hoard hoard;

		if (at++ < begin || client->is_suspect || client->conn.closing)
			continue;
		if (at > end || evict->count == suspects_max)
			break;
		hoard = hoard_of(client);
		if (MAX(hoard.answers, hoard.uploads) < held_bytes_min)
			continue;
		client->is_suspect = true;
		evict->suspects[evict->count++] =
			(struct suspect){.client = client, .since_ms = now_ms, .hoard = hoard};
	}
	evict->next = at < proxy->client_count ? at : 0;
}

static void on_timer(struct timer *timer)
{
	struct evict *evict = container_of(timer, struct evict, timer);
	struct proxy *proxy = container_of(evict, struct proxy, evict);
	u64 now_ms = loop_now_ms(proxy->loop);

	if (!are_many(proxy)) {
		while (evict->count)
			drop(evict, evict->count - 1);
		return;
	}
	judge_all(evict, now_ms);
	end_greatest(proxy);
	suspect_more(proxy, now_ms);
	loop_timer_set(proxy->loop, timer, now_ms + look_every_ms);
}

static void begin(struct proxy *proxy)
{
	if (!timer_is_set(&proxy->evict.timer))
		loop_timer_set(proxy->loop, &proxy->evict.timer, loop_now_ms(proxy->loop));
}

static void on_many_blocks(void *owner)
{
	begin(owner);
}

static void on_many_links(struct upstream *upstream)
{
	begin(container_of(upstream, struct proxy, upstream));
}

void evict_init(struct proxy *proxy)
{
	struct evict *evict = &proxy->evict;

	*evict = (struct evict){.suspects = mem_alloc(suspects_max * sizeof(*evict->suspects))};
	timer_init(&evict->timer, on_timer);
	proxy->loop->blocks.on_many = on_many_blocks;
	proxy->loop->blocks.on_many_owner = proxy;
	proxy->upstream.on_many = on_many_links;
}

void evict_done(struct proxy *proxy)
{
	ASSERT(proxy->evict.count == 0);
	proxy->loop->blocks.on_many = NULL;
	loop_timer_cancel(proxy->loop, &proxy->evict.timer);
	mem_free(proxy->evict.suspects);
}
