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
	// Within patience_ms at least this part of the bytes has to move, and of few bytes so many.
	moved_part = 4,
	moved_bytes_min = 4096,
};

// Bytes that wait, and the sizes of the blocks that keep them: a short piece keeps a whole block.
struct amount {
	u64 bytes, held;
};

// What a client keeps from others, and how far it has come: of answers on the way to it, and of
// uploads on their way to backends.
struct hoard {
	struct amount answers, uploads;
	i64 taken, came;
};

struct suspect {
	struct client *client;
	u64 since_ms;
	struct hoard hoard; // at that time
	u64 holds;	    // now, if it holds on; else 0
	u8 outcome;
};

static void add_queue(struct amount *amount, const struct bytes *queue)
{
	amount->bytes += queue->len;
	amount->held += bytes_held(queue);
}

static void add_len(struct amount *amount, u64 len)
{
	amount->bytes += len;
	amount->held += (len + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

// What was received of an answer and waits for its client, before it comes as far as that one's
// connection. A connection of HTTP/2 has many clients: what waits in its socket is nobody's.
static void add_waiting(struct amount *amount, const struct exchange *x)
{
	struct stream *source = x->answer.source;

	if (x->answer.state != HALF_OPEN)
		return;
	add_len(amount, source->ops->held(source));
	if (source->session->ops == &h1_session_ops)
		add_len(amount, sock_held(x->proxy->loop, &conn_of_session(source->session)->sock));
}

static struct hoard held_by(const struct client *client)
{
	const struct conn *conn = &client->conn;
	const struct session *session = conn->session;
	const struct tls *tls = conn_tls(conn);
	struct hoard hoard = {0};

	add_queue(&hoard.answers, &conn->out);
	add_queue(&hoard.answers, &conn->sending);
	if (tls)
		add_queue(&hoard.answers, &tls->wire);
	if (session->ops->queued)
		hoard.answers.bytes += session->ops->queued(session, &hoard.answers.held);
	for (const struct exchange *x = client->exchanges; x; x = x->next_of_client) {
		add_waiting(&hoard.answers, x);
		add_len(&hoard.uploads, x->up.undrained);
		if (x->down)
			add_len(&hoard.uploads, x->down->ops->held(x->down));
	}
	return hoard;
}

static bool is_much(const struct amount *amount)
{
	return amount->held >= held_bytes_min;
}

// What has left for the peer and come from it: a system call each.
static void look_at_progress(const struct client *client, struct hoard *hoard)
{
	const struct conn *conn = &client->conn;
	const struct tls *tls = conn_tls(conn);

	hoard->came = (i64)conn->bytes_in;
	hoard->taken = (i64)(conn->bytes_out - conn->sending.len - (tls ? tls->wire.len : 0)) -
		       (i64)sock_unsent(client->proxy->loop, &conn->sock);
}

static bool is_stuck(const struct amount *then, const struct amount *now, i64 moved)
{
	u64 wanted = MAX(then->bytes / moved_part, MIN(then->bytes, (u64)moved_bytes_min));

	return is_much(then) && is_much(now) && moved < (i64)wanted;
}

static void judge(struct suspect *suspect)
{
	struct hoard now = held_by(suspect->client);
	const struct hoard *then = &suspect->hoard;

	look_at_progress(suspect->client, &now);
	suspect->holds = 0;
	if (is_stuck(&then->answers, &now.answers, now.taken - then->taken)) {
		suspect->holds = now.answers.held;
		suspect->outcome = OUTCOME_CLIENT_STALLED;
	} else if (is_stuck(&then->uploads, &now.uploads, now.came - then->came)) {
		suspect->holds = now.uploads.held;
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
	faults_evicted(&proxy->faults, client->gate->frontend, &peer, suspect->holds,
		suspect->outcome == OUTCOME_OVERLOADED);
	front_give_up(client, (enum outcome)suspect->outcome);
}

// Of so many of `room`, what is to go so that five eighths are left; 0 below three quarters.
static u64 surplus_of(u64 used, u64 room)
{
	return used * 4 < room * 3 ? 0 : used - room * 5 / 8;
}

// Connections to backends that it holds by bodies that do not come to their end.
static u64 links_of(const struct client *client)
{
	u64 count = 0;

	for (const struct exchange *x = client->exchanges; x; x = x->next_of_client)
		count += x->answer.state == HALF_OPEN || x->up.state == HALF_OPEN;
	return count;
}

static u64 many_blocks(const struct proxy *proxy)
{
	const struct slab *blocks = &proxy->loop->blocks.large;

	return surplus_of(blocks->used, blocks->used_max);
}

static u64 many_links(const struct proxy *proxy)
{
	return surplus_of(upstream_busy_links(&proxy->upstream), proxy->upstream.links.used_max);
}

// One link is what everybody has.
static void end_greatest(struct proxy *proxy)
{
	u64 blocks = many_blocks(proxy), links = many_links(proxy);
	struct evict *evict = &proxy->evict;

	if (blocks + links == 0)
		return;
	qsort(evict->suspects, evict->count, sizeof(*evict->suspects), by_holds);
	for (u32 i = 0; i < evict->count && blocks + links; i++) {
		const struct suspect *suspect = &evict->suspects[i];
		u64 its_links = links_of(suspect->client);

		if (!suspect->holds)
			return;
		if (!blocks && its_links < 2)
			continue;
		blocks -= MIN(blocks, suspect->holds / BLOCK_BYTES);
		links -= MIN(links, its_links);
		end(proxy, suspect);
	}
}

// What is kept in case that a request has to be sent again is not worth what others wait for.
static void forget_replays(const struct client *client)
{
	for (struct exchange *x = client->exchanges; x; x = x->next_of_client)
		exchange_forget_replay(x);
}

static bool are_many(const struct proxy *proxy)
{
	return block_pool_has_many_out(&proxy->loop->blocks) ||
	       upstream_has_many_busy(&proxy->upstream);
}

static void suspect_more(struct proxy *proxy, u64 now_ms)
{
	struct evict *evict = &proxy->evict;
	u32 at = 0, begin = evict->next < proxy->client_count ? evict->next : 0;
	u32 end = begin + clients_per_look_max;
	bool is_short = many_blocks(proxy) > 0;

	list_for_each (node, &proxy->client_list) {
		struct client *client = list_entry(node, struct client, node);
		struct hoard hoard;

		if (at == end || evict->count == suspects_max)
			break;
		if (at++ < begin || client->conn.closing)
			continue;
		if (is_short)
			forget_replays(client);
		if (client->is_suspect)
			continue;
		hoard = held_by(client);
		if (!is_much(&hoard.answers) && !is_much(&hoard.uploads))
			continue;
		look_at_progress(client, &hoard);
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
