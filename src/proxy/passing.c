// SPDX-License-Identifier: Apache-2.0
// Giving tunnels to another process.
#include "proxy/passing.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"
#include "proxy/exchange_parts.h"
#include "proxy/request.h"

enum {
	passings_max = 64, // at the same time: each costs two descriptors, and is silent meanwhile
	looks_max = 256,   // at tunnels, in a turn
	soon_ms = 1,
	later_ms = 50, // when there is nothing to give
};

struct passing {
	struct list node;
	struct exchange *x;
	u64 number;
	int claim;     // -1: none yet
	bool is_given; // its parcel is on its way
};

struct giver {
	struct proxy *proxy;
	struct passing_sink sink;
	struct timer timer;
	struct list passings;
	u32 count;
	u64 unfit; // tunnels in a row, of those that were looked at, that cannot go
	u64 next_number;
	bool is_through;
};

static struct conn *client_of(const struct exchange *x)
{
	return &x->client->conn;
}

static struct conn *backend_of(const struct exchange *x)
{
	return &x->attempt->lease.link->conn;
}

static bool is_plain(const struct conn *conn)
{
	const struct session_ops *ops = conn->session->ops;

	return !conn->is_secure && (ops == &h1_session_ops || ops == &raw_session_ops);
}

static bool is_open(const struct conn *conn)
{
	return !conn->closing && !conn->failed && !conn->connecting && conn->sock.fd >= 0 &&
	       conn->session->end <= SESSION_SHUT;
}

static bool is_open_tunnel(const struct exchange *x)
{
	return !x->over && x->attempt->lease.link && is_open(client_of(x)) &&
	       is_open(backend_of(x)) && (x->up.state == HALF_OPEN || x->answer.state == HALF_OPEN);
}

static bool may_go(const struct exchange *x)
{
	return !x->stays && !x->passing && !x->second && is_open_tunnel(x) &&
	       is_plain(client_of(x)) && is_plain(backend_of(x));
}

// ---- The parcel ---------------------------------------------------------------------------------

static u64 age_us(const struct exchange *x, u64 at_us)
{
	u64 now_us = exchange_now_us(x);

	return at_us && at_us <= now_us ? now_us - at_us : PARCEL_UNTOLD;
}

static struct str field_of(const struct exchange *x, enum http_known known)
{
	const struct http_field *field = http_head_find(x->request, known);

	return field ? str_make(field->value, field->value_len) : STR_EMPTY;
}

static void tell_request(const struct exchange *x, struct parcel_facts *facts)
{
	facts->method = x->request->method_text;
	facts->target = x->request->target;
	facts->host = x->request->authority;
	facts->user_agent = field_of(x, HTTP_F_USER_AGENT);
	facts->referer = field_of(x, HTTP_F_REFERER);
	facts->request_id = request_id(x);
	facts->version_minor = x->request->version_minor;
}

static void tell_times(const struct exchange *x, struct parcel_facts *facts)
{
	u64 now_ms = exchange_now_ms(x);
	u64 active_ms = MAX(x->active_ms, MAX(x->up.mover.active_ms, x->answer.mover.active_ms));

	facts->silent_ms = now_ms > active_ms ? now_ms - active_ms : 0;
	facts->opened_s = now_ms / 1000 - x->client->opened_s;
	facts->began_us = age_us(x, x->began_us);
	facts->headed_us = age_us(x, x->headed_us);
	facts->leased_us = age_us(x, x->attempt->leased_us);
	facts->sent_us = age_us(x, x->attempt->sent_us);
	facts->answered_us = age_us(x, x->answered_us);
	facts->headed_wall_ms = (u64)x->headed_wall_ms;
}

static u64 told_id(u64 id)
{
	return id ? id : PARCEL_UNTOLD;
}

// Its spans are told by who sees its end.
static void tell_trace(struct exchange *x, struct parcel_facts *facts)
{
	u64 trace_id[2], span_id;

	if (!tracing_ids(x, trace_id, &span_id))
		return;
	facts->trace_high = trace_id[0];
	facts->trace_low = trace_id[1];
	facts->span = told_id(span_id);
	if (!x->is_traced)
		return;
	facts->trace_flags = x->tracing.context.flags;
	facts->span_parent = told_id(x->tracing.remote_id);
	if (x->is_recorded)
		facts->span_try = told_id(x->attempt->span_id);
	facts->resends = x->attempt->resends;
}

static void tell(struct exchange *x, struct parcel_facts *facts)
{
	struct addr addr; // of a unix socket there is none

	parcel_facts_init(facts);
	facts->frontend = x->frontend->conf->name;
	if (x->route) {
		facts->route = x->route->conf->name;
		facts->pattern = x->route->pattern;
	}
	facts->pool = x->pool->name;
	facts->backend = x->backend->id;
	if (addr_parse_ip(str_make(x->client->ip, x->client->ip_len), &addr) == 0)
		facts->client = str_make(x->client->ip, x->client->ip_len);
	facts->client_port = x->client->port;
	facts->server_name = x->server_name;
	facts->tcp = x->tcp;
	if (x->request)
		tell_request(x, facts);
	facts->requests = x->client->requests;
	facts->status = x->status;
	facts->tries = x->attempts;
	facts->reused = x->attempt->lease.reused;
	facts->bytes_up = x->up.total;
	facts->bytes_down = x->answer.total;
	facts->ended_up = x->up.state == HALF_ENDED;
	facts->ended_down = x->answer.state == HALF_ENDED;
	tell_times(x, facts);
	tell_trace(x, facts);
}

static void copy(struct text *to, const struct bytes *bytes)
{
	for (const struct segment *segment = bytes->head; segment; segment = segment->next)
		text_add(to, str_make(segment->slice.ptr, segment->slice.len));
}

// Also what is written by another than the relay, as a 101.
static void copy_queues(struct text *to, const struct conn *conn)
{
	copy(to, &conn->sending);
	copy(to, &conn->out);
}

// NULL: it cannot be given, for want of memory or descriptors.
static struct parcel *pack(struct exchange *x)
{
	struct parcel *parcel = parcel_new();
	struct parcel_facts facts;

	if (!parcel)
		return NULL;
	parcel->client = conn_copy_fd(client_of(x));
	parcel->backend = conn_copy_fd(backend_of(x));
	parcel->claim = fcntl(x->passing->claim, F_DUPFD_CLOEXEC, 0);
	copy_queues(&parcel->up, backend_of(x));
	copy_queues(&parcel->down, client_of(x));
	if (parcel->client < 0 || parcel->backend < 0 || parcel->claim < 0 ||
		parcel->up.len > PARCEL_BYTES_MAX || parcel->down.len > PARCEL_BYTES_MAX) {
		parcel_free(parcel);
		return NULL;
	}
	tell(x, &facts);
	parcel_write(&facts, &parcel->words);
	return parcel;
}

// ---- Stopping and going on ----------------------------------------------------------------------

static void forget(struct passing *passing)
{
	struct giver *giver = passing->x->proxy->giver;

	list_remove(&passing->node);
	giver->count--;
	passing->x->passing = NULL;
	if (passing->claim >= 0)
		close(passing->claim);
	mem_free(passing);
}

// `is_copied`: copies of its descriptors may be somewhere for a while.
static void go_on(struct exchange *x, bool is_copied)
{
	half_go_on(&x->up, x->proxy->splice);
	half_go_on(&x->answer, x->proxy->splice);
	if (x->attempt->lease.link)
		conn_thaw(backend_of(x), is_copied);
	conn_thaw(client_of(x), is_copied);
}

static void stay(struct passing *passing, bool is_copied)
{
	struct exchange *x = passing->x;

	forget(passing);
	x->stays = true;
	go_on(x, is_copied);
}

// Its bytes are the other process' to send.
static void forsake(struct passing *passing)
{
	struct exchange *x = passing->x;

	forget(passing);
	x->is_given = true;
	metrics_inc(x->proxy->metrics, M_TUNNELS_GIVEN);
	conn_forsake(client_of(x));
	if (x->attempt->lease.link)
		conn_forsake(backend_of(x));
}

void passing_forget(struct exchange *x)
{
	struct passing *passing = x->passing;
	bool is_given = passing->is_given;

	if (is_given && !parcel_claim(passing->claim)) {
		forsake(passing);
		return;
	}
	forget(passing);
	go_on(x, is_given);
}

bool passing_is_under_way(const struct exchange *x)
{
	return x->tunnelling && x->passing && x->passing->is_given;
}

static bool halt(struct giver *giver, struct exchange *x)
{
	struct passing *passing = mem_try_alloc(sizeof(*passing));

	if (!passing)
		return false;
	*passing = (struct passing){.x = x, .number = giver->next_number++, .claim = -1};
	list_push_back(&giver->passings, &passing->node);
	giver->count++;
	x->passing = passing;
	half_halt(&x->up);
	half_halt(&x->answer);
	conn_freeze(client_of(x));
	conn_freeze(backend_of(x));
	return true;
}

// What each of these asks for comes in a later turn, so that all are asked.
static bool is_still(struct exchange *x)
{
	bool up = half_is_halted(&x->up), answer = half_is_halted(&x->answer);
	bool client = conn_is_still(client_of(x)), backend = conn_is_still(backend_of(x));

	return up && answer && client && backend;
}

static void give(struct giver *giver, struct passing *passing)
{
	struct parcel *parcel = NULL;

	passing->claim = parcel_claim_new();
	if (passing->claim >= 0)
		parcel = pack(passing->x);
	if (!parcel) {
		stay(passing, false);
		return;
	}
	passing->is_given = true;
	parcel->owner = giver->sink.owner;
	parcel->worker = giver->proxy->upstream.number;
	parcel->number = passing->number;
	parcel->message.deliver = giver->sink.deliver;
	loop_post(giver->sink.loop, &parcel->message);
}

static void look_at(struct giver *giver, struct passing *passing)
{
	if (passing->is_given)
		return;
	if (!is_open_tunnel(passing->x))
		stay(passing, false); // it ends by itself
	else if (is_still(passing->x))
		give(giver, passing);
}

// ---- Which ones, and when -----------------------------------------------------------------------

static u64 count_tunnels(const struct giver *giver)
{
	return metrics_read(giver->proxy->metrics, M_TUNNELS_ACTIVE);
}

// Each of them comes to the end of the list, so that all have their turn.
static void halt_some(struct giver *giver)
{
	struct list *tunnels = &giver->proxy->tunnels;
	u64 looks = MIN(count_tunnels(giver), (u64)looks_max);

	for (; looks && giver->count < passings_max; looks--) {
		struct exchange *x = list_first(tunnels, struct exchange, tunnel);

		list_remove(&x->tunnel);
		list_push_back(tunnels, &x->tunnel);
		giver->unfit++;
		if (!may_go(x))
			continue;
		giver->unfit = 0;
		if (!halt(giver, x))
			return;
	}
}

static void tell_through(struct giver *giver)
{
	if (giver->is_through)
		return;
	giver->is_through = true;
	loop_post(giver->sink.loop, giver->sink.through);
}

static void on_tick(struct timer *timer)
{
	struct giver *giver = container_of(timer, struct giver, timer);
	struct loop *loop = giver->proxy->loop;
	bool is_expecting = atomic_load(giver->sink.is_expecting);

	if (is_expecting)
		giver->unfit = 0; // what comes has not been looked at
	halt_some(giver);
	list_for_each_safe (node, &giver->passings)
		look_at(giver, list_entry(node, struct passing, node));
	if (!is_expecting && !giver->count && giver->unfit >= count_tunnels(giver))
		tell_through(giver);
	loop_timer_set(loop, timer, loop_now_ms(loop) + (giver->count ? soon_ms : later_ms));
}

void passing_begin(struct proxy *proxy, const struct passing_sink *sink)
{
	struct giver *giver;

	ASSERT(!proxy->giver);
	giver = mem_alloc(sizeof(*giver));
	giver->proxy = proxy;
	giver->sink = *sink;
	list_init(&giver->passings);
	timer_init(&giver->timer, on_tick);
	proxy->giver = giver;
	loop_timer_set(proxy->loop, &giver->timer, loop_now_ms(proxy->loop));
}

static struct passing *find(const struct proxy *proxy, u64 number)
{
	if (!proxy->giver)
		return NULL;
	list_for_each (node, &proxy->giver->passings) {
		struct passing *passing = list_entry(node, struct passing, node);

		if (passing->number == number)
			return passing;
	}
	return NULL;
}

bool passing_settle(struct proxy *proxy, u64 number, enum passing_verdict verdict)
{
	struct passing *passing = find(proxy, number);
	struct exchange *x;

	if (!passing)
		return false;
	x = passing->x;
	if (verdict == PASSING_REFUSED ||
		(verdict == PASSING_UNANSWERED && parcel_claim(passing->claim))) {
		stay(passing, verdict == PASSING_UNANSWERED);
		return false;
	}
	forsake(passing);
	exchange_finish(x, OUTCOME_TUNNEL_CLOSED);
	return true;
}

void passing_done(struct proxy *proxy)
{
	if (!proxy->giver)
		return;
	ASSERT(proxy->giver->count == 0);
	tell_through(proxy->giver);
	loop_timer_cancel(proxy->loop, &proxy->giver->timer);
	mem_free(proxy->giver);
	proxy->giver = NULL;
}
