// SPDX-License-Identifier: Apache-2.0
#include "proxy/front.h"

#include <errno.h>

#include "proxy/exchange.h"
#include "proxy/front_inside.h"
#include "proxy/opening.h"
#include "proxy/request.h"
#include "proxy/roster.h"

enum {
	drain_grace_ms = 1000, // for a request already on its way to an idle connection
	busy_check_ms = 60 * 1000,
};

// Every idle connection costs one of these (docs/performance.md): 8 bytes more and the figure of
// 600 is missed with io_uring, which needs 24 of its own.
_Static_assert(sizeof(struct client) <= 568, "a client has grown");

static u64 now_ms(const struct client *client)
{
	return loop_now_ms(client->proxy->loop);
}

static u64 patience_ms(const struct client *client, enum client_waiting what)
{
	const struct conf_frontend *conf = client->gate->frontend->conf;

	switch (what) {
	case WAITS_OPENING:
	case WAITS_FIRST:
	case WAITS_HEAD:
		return conf->timeouts.client_header_ms;
	case WAITS_NEXT:
		return client->gate->draining ? (u64)drain_grace_ms : conf->timeouts.client_idle_ms;
	case WAITS_NOT:
	case WAITS_HANDSHAKE:
		break;
	}
	return busy_check_ms;
}

// From now on. While an exchange runs its own deadline rules, and the timer stays where it was.
static void wait_for(struct client *client, enum client_waiting what)
{
	client->waiting = (u8)what;
	conn_set_timer(&client->conn, now_ms(client) + patience_ms(client, what));
}

static void on_timer(struct conn *conn)
{
	struct client *client = container_of(conn, struct client, conn);
	enum client_waiting what = (enum client_waiting)client->waiting;

	if (client->conn.session->end != SESSION_GOES_ON)
		return; // it ends by itself
	if (what == WAITS_NOT) {
		wait_for(client, WAITS_NOT);
		conn->session->ops->check_alive(conn->session);
		return;
	}
	metrics_inc(client->proxy->metrics, M_TIMEOUTS);
	if (what == WAITS_HANDSHAKE) {
		front_secure_late(client);
	} else if (what == WAITS_OPENING) {
		opening_is_late(client);
	} else if (what == WAITS_HEAD) {
		conn_set_timer(conn, now_ms(client) + busy_check_ms);
		conn->session->ops->refuse_late(conn->session);
	} else if (conn_is_flushed(conn) && !conn->session->says_goodbye) {
		conn_finish(&client->conn);
	} else { // it still takes its last answer
		wait_for(client, WAITS_NOT);
		conn->session->ops->finish(conn->session);
	}
}

// A head is complete, or refused. Most come in one piece.
void front_head_is_over(struct client *client)
{
	client->requests++;
	if (client->waiting != WAITS_HEAD)
		client->head_began_us = loop_now_us(client->proxy->loop);
	client->waiting = WAITS_NOT;
}

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct client *client = front_client_of(session);

	front_head_is_over(client);
	if (!exchange_begin_http(client, stream, head, end))
		stream->ops->refuse(stream);
}

static void on_refused(struct session *session, struct stream *stream)
{
	struct client *client = front_client_of(session);

	front_head_is_over(client);
	if (!exchange_begin_refused(client, stream, (enum http_refusal)session->refusal))
		stream->ops->refuse(stream);
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	struct client *client = front_client_of(session);

	(void)stream;

	if (session->end == SESSION_GOES_ON && likely(!session->busy))
		wait_for(client, WAITS_NEXT);
}

static void on_poke(struct session *session)
{
	struct client *client = front_client_of(session);

	conn_poke(&client->conn);
	if ((client->waiting == WAITS_FIRST || client->waiting == WAITS_NEXT) &&
		session->ops->head_is_partial(session)) {
		client->head_began_us = loop_now_us(client->proxy->loop);
		// The time for a first head runs from the accept: one deadline for both.
		if (client->waiting == WAITS_NEXT)
			wait_for(client, WAITS_HEAD);
		else
			client->waiting = WAITS_HEAD;
	}
}

static int use_h2(struct client *client, bool is_secure);

// A client that knows beforehand that we speak HTTP/2 (RFC 9113 3.3).
static bool on_preface(struct session *session, struct slice *held)
{
	struct client *client = front_client_of(session);
	struct conn *conn = &client->conn;

	if (!client->gate->frontend->conf->http.h2 || client->requests || conn->is_secure ||
		use_h2(client, false) != 0)
		return false;
	conn->session->ops->feed(conn->session, *held);
	return true;
}

_Static_assert((int)M_H2_PROTOCOL_ERROR - (int)M_H2_RESETS == (int)H2_PROTOCOL_ERROR &&
		       (int)H2_PROTOCOL_ERROR + 1 == (int)H2_EXCESS_COUNT,
	"a counter for each excess, in their order");

static void on_excess(struct session *session)
{
	struct client *client = front_client_of(session);
	struct proxy *proxy = client->proxy;
	enum h2_excess excess = h2_excess_of(session);
	struct addr peer;

	metrics_inc(proxy->metrics, M_H2_RESETS + (u32)excess);
	front_peer(client, &peer);
	faults_excess_of_client(&proxy->faults, client->gate->frontend, excess, &peer);
}

const struct session_events front_session_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
	.on_preface = on_preface,
	.on_excess = on_excess,
};

static int use_h2(struct client *client, bool is_secure)
{
	struct proxy *proxy = client->proxy;

	return conn_use_h2(&client->conn, STREAM_SERVER, proxy->h2,
		&proxy->parsers[client->gate->frontend->index], is_secure,
		is_secure ? front_secure_events(client) : &front_session_events);
}

void front_client(const struct client *client, struct addr *ret_addr)
{
	if (addr_parse_ip(str_make(client->ip, client->ip_len), ret_addr) != 0)
		*ret_addr = (struct addr){.family = ADDR_UNIX, .path = ""};
	ret_addr->port = client->port;
}

void front_peer(const struct client *client, struct addr *ret_addr)
{
	if (unlikely(client->has_origin))
		*ret_addr = front_origin((struct client *)client)->peer;
	else
		front_client(client, ret_addr);
}

static void say(const struct client *client, const char *what)
{
	struct addr peer;

	if (!log_is_on(client->proxy->log, LOG_INFO))
		return;
	front_peer(client, &peer);
	LOG(client->proxy->log, LOG_INFO, what, LOG_SPAN("handle_connection"),
		LOG_ADDR("peer_address", &peer));
}

// Also after the frontend has lost its limit, or got one.
static void give_place(const struct proxy *proxy, u32 index)
{
	atomic_fetch_sub(&proxy->snapshot->slots->frontend_clients[index], 1);
}

static void leave_guard(const struct client *client)
{
	struct addr addr;

	if (!client->counted)
		return;
	front_client(client, &addr);
	guard_leave(client->proxy->snapshot->guard, client->gate->frontend->index, &addr);
}

static void leave_gate(struct proxy *proxy, struct gate *gate)
{
	struct hold *hold = gate->hold;

	if (--gate->clients > 0 || !hold)
		return;
	*gate = (struct gate){0};
	proxy_let_go(proxy, hold);
}

static void on_closed(struct conn *conn)
{
	struct client *client = container_of(conn, struct client, conn);
	struct proxy *proxy = client->proxy;

	say(client, "served connection");
	ASSERT(!client->exchanges);
	if (unlikely(!list_is_empty(&proxy->rosters)))
		roster_client_leaves(proxy, client);
	list_remove(&client->node);
	proxy->client_count--;
	front_secure_closed(client);
	if (unlikely(client->is_suspect))
		evict_forget(&proxy->evict, client);
	if (client->placed)
		give_place(proxy, client->gate->frontend->index);
	leave_guard(client);
	if (unlikely(client->has_origin))
		lease_owner_done(&front_origin(client)->links);
	metrics_dec(proxy->metrics, M_CONNECTIONS_ACTIVE);
	if (proxy->stats)
		stats_note_connection(proxy->stats, client->gate->frontend, -1);
	metrics_add(proxy->metrics, M_CLIENT_BYTES_IN, conn->bytes_in);
	metrics_add(proxy->metrics, M_CLIENT_BYTES_OUT, conn->bytes_out);
	trace_add(proxy->trace, TRACE_CONN_CLOSE, 0, 0, conn->bytes_in, conn->bytes_out);
	leave_gate(proxy, client->gate);
	slab_put(client->has_origin ? &proxy->clients_with_origin : &proxy->clients, client);
}

static const struct conn_events conn_events = {
	.on_closed = on_closed,
	.on_secured = front_on_secured,
	.on_excess = front_on_tls_excess,
	.on_timer = on_timer,
};

static void set_address(struct client *client, const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];

	client->trusted = request_is_trusted(client->gate->frontend->conf, addr);
	client->ip_len = (u8)MIN(addr_format_ip(addr, text), sizeof(client->ip));
	memcpy(client->ip, text, client->ip_len);
	client->is_long = client->trusted || client->ip_len > RECORD_SHORT_IP_MAX;
	client->port = addr->port;
}

static struct client *new_client(
	struct proxy *proxy, const struct frontend *frontend, int fd, const struct addr *peer)
{
	bool has_origin = frontend->expects_header || proxy->snapshot->tells_backends;
	struct client *client =
		slab_get(has_origin ? &proxy->clients_with_origin : &proxy->clients);

	if (!client)
		return NULL;
	client->has_origin = has_origin;
	if (unlikely(has_origin)) {
		*front_origin(client) = (struct origin){.peer = *peer};
		lease_owner_init(&front_origin(client)->links);
	}
	client->proxy = proxy;
	client->gate = &proxy->gates[frontend->index];
	client->gate->clients++;
	client->placed = frontend->clients;
	client->exchanges = NULL;
	client->requests = 0;
	client->is_shaking = false;
	client->is_suspect = false;
	client->opened_s = (u32)(loop_now_ms(proxy->loop) / 1000);
	conn_init_fd(&client->conn, proxy->loop, fd, &conn_events);
	set_address(client, peer);
	list_push_front(&proxy->client_list, &client->node);
	proxy->client_count++;
	metrics_inc(proxy->metrics, M_CONNECTIONS_ACCEPTED);
	metrics_inc(proxy->metrics, M_CONNECTIONS_ACTIVE);
	if (proxy->stats)
		stats_note_connection(proxy->stats, frontend, 1);
	trace_add(proxy->trace, TRACE_ACCEPT, 0, (u32)fd, 0, 0);
	say(client, "serving connection");
	return client;
}

bool front_has_room(const struct proxy *proxy, const struct frontend *frontend)
{
	return proxy->client_count < proxy->clients_max &&
	       (!frontend->clients ||
		       atomic_load(frontend->clients) < frontend->conf->limits.connections);
}

// Takes one of a limited frontend's places.
static bool take_place(const struct frontend *frontend)
{
	if (!frontend->clients ||
		atomic_fetch_add(frontend->clients, 1) < frontend->conf->limits.connections)
		return true;
	atomic_fetch_sub(frontend->clients, 1);
	return false;
}

void front_wait_opening(struct client *client)
{
	wait_for(client, WAITS_OPENING);
}

void front_wait_not(struct client *client)
{
	client->waiting = WAITS_NOT;
}

void front_begin_session(struct client *client)
{
	const struct frontend *frontend = client->gate->frontend;

	if (unlikely(frontend->conf->protocol == CONF_TLS_PASSTHROUGH)) {
		opening_read_hello(client, &front_session_events);
		return;
	}
	if (!frontend->conf->tls.enabled)
		front_begin(client);
	else if (!front_secure_begin(client))
		conn_abort(&client->conn);
}

// The protocol that ALPN agreed on (RFC 7301); empty: none.
static struct str tls_agreed(const struct conn *conn)
{
	const struct tls *tls = conn_tls(conn);

	return tls ? tls_alpn(tls) : STR_EMPTY;
}

void front_begin(struct client *client)
{
	const struct frontend *frontend = client->gate->frontend;
	bool secure = frontend->conf->tls.enabled;

	if (frontend->conf->protocol == CONF_TCP) {
		conn_use_raw(&client->conn, STREAM_SERVER, &front_session_events);
		client->waiting = WAITS_NOT;
		client->head_began_us = loop_now_us(client->proxy->loop);
		conn_start(&client->conn);
		if (!exchange_begin_tcp(client, &client->conn.raw.stream))
			conn_abort(&client->conn);
		return;
	}
	if (secure && str_eq(tls_agreed(&client->conn), STR("h2"))) {
		if (use_h2(client, true) != 0) {
			conn_abort(&client->conn);
			return;
		}
	} else {
		conn_use_h1(&client->conn, STREAM_SERVER, &client->proxy->parsers[frontend->index],
			secure ? front_secure_events(client) : &front_session_events);
	}
	wait_for(client, WAITS_FIRST);
	conn_start(&client->conn);
}

static void begin(struct client *client)
{
	if (unlikely(client->gate->frontend->expects_header))
		opening_read_header(client, &front_session_events);
	else
		front_begin_session(client);
}

// Asked once in the life of a connection: the answer is another one when it was reset meanwhile.
static void peer_of(struct proxy *proxy, int fd, struct addr *ret_peer)
{
	struct sock sock;

	sock_open_accepted(proxy->loop, &sock, fd);
	sock_peer(proxy->loop, &sock, ret_peer);
	(void)sock_release(proxy->loop, &sock);
}

static void reset(struct proxy *proxy, int fd)
{
	struct sock sock;

	sock_open(proxy->loop, &sock, fd);
	sock_reset_on_close(proxy->loop, &sock);
	sock_close(proxy->loop, &sock);
}

static void note_denial(struct proxy *proxy, const struct frontend *frontend, enum guard_answer why,
	const struct addr *addr)
{
	metrics_inc(proxy->metrics, why == GUARD_FULL	     ? M_CONNECTIONS_CROWDED
				    : why == GUARD_UNTRUSTED ? M_CONNECTIONS_UNTRUSTED
							     : M_CONNECTIONS_DENIED);
	if (why != GUARD_GONE)
		faults_denied(&proxy->faults, frontend, why, addr);
}

bool front_rename(struct client *client, const struct addr *source)
{
	const struct frontend *frontend = client->gate->frontend;
	enum guard_answer answer = GUARD_IN;

	if (frontend->is_guarded)
		answer = guard_ask(frontend, source);
	set_address(client, source);
	client->counted = answer == GUARD_IN_COUNTED;
	if (!guard_refuses(answer))
		return true;
	note_denial(client->proxy, frontend, answer, source);
	return false;
}

static struct client *admit(
	struct proxy *proxy, const struct frontend *frontend, int fd, const struct addr *peer)
{
	struct client *client;

	if (!take_place(frontend))
		return NULL;
	client = new_client(proxy, frontend, fd, peer);
	if (!client && frontend->clients)
		give_place(proxy, frontend->index);
	return client;
}

bool front_offer(struct proxy *proxy, const struct frontend *frontend, int fd)
{
	enum guard_answer answer = GUARD_IN;
	struct client *client;
	struct addr peer;

	// A frontend may be gone while somebody is on the way to it.
	if (proxy->client_count >= proxy->clients_max || !proxy->gates[frontend->index].frontend)
		return false;
	peer_of(proxy, fd, &peer);
	if (unlikely(frontend->expects_header))
		answer = guard_ask_sender(frontend, &peer);
	else if (frontend->is_guarded)
		answer = guard_ask(frontend, &peer);
	if (guard_refuses(answer)) {
		note_denial(proxy, frontend, answer, &peer);
		reset(proxy, fd);
		return true;
	}
	client = admit(proxy, frontend, fd, &peer);
	if (client) {
		client->counted = answer == GUARD_IN_COUNTED;
		begin(client);
	} else if (answer == GUARD_IN_COUNTED) {
		guard_leave(frontend->guard, frontend->index, &peer);
	}
	return client;
}

struct client *front_take(
	struct proxy *proxy, const struct frontend *frontend, int fd, const struct addr *addr)
{
	enum guard_answer answer = GUARD_IN;
	struct client *client;
	struct addr peer;

	if (proxy->client_count >= proxy->clients_max)
		return NULL;
	peer_of(proxy, fd, &peer);
	if (frontend->is_guarded)
		answer = guard_ask(frontend, addr);
	if (answer == GUARD_FULL)
		answer = GUARD_IN; // it was there before those that fill it
	client = guard_refuses(answer) ? NULL : new_client(proxy, frontend, fd, &peer);
	if (!client) {
		if (answer == GUARD_IN_COUNTED)
			guard_leave(frontend->guard, frontend->index, addr);
		return NULL;
	}
	if (frontend->clients)
		atomic_fetch_add(frontend->clients, 1); // it was there before the limit
	set_address(client, addr);
	if (client->has_origin)
		front_origin(client)->is_told = !addr_equal(&peer, addr);
	client->counted = answer == GUARD_IN_COUNTED;
	conn_use_raw(&client->conn, STREAM_SERVER, &front_session_events);
	client->waiting = WAITS_NOT;
	client->head_began_us = loop_now_us(proxy->loop);
	return client;
}

void front_accept(struct proxy *proxy, const struct frontend *frontend, int fd)
{
	if (front_offer(proxy, frontend, fd))
		return;
	metrics_inc(proxy->metrics, M_CONNECTIONS_REFUSED);
	reset(proxy, fd);
}

void front_exchange_begins(struct client *client, struct exchange *x)
{
	x->next_of_client = client->exchanges;
	x->at_client = &client->exchanges;
	if (unlikely(x->next_of_client))
		x->next_of_client->at_client = &x->next_of_client;
	client->exchanges = x;
}

void front_exchange_done(struct client *client, struct exchange *x)
{
	const struct session *session = client->conn.session;

	*x->at_client = x->next_of_client;
	if (unlikely(x->next_of_client))
		x->next_of_client->at_client = x->at_client;
	// Where its stream was reset and the connection goes on.
	if (unlikely(client->waiting == WAITS_NOT && !client->exchanges && !session->busy &&
		     session->end == SESSION_GOES_ON))
		wait_for(client, WAITS_NEXT);
}

// Only the clients of draining gates.
static void drain(struct proxy *proxy)
{
	list_for_each (node, &proxy->client_list) {
		struct client *client = list_entry(node, struct client, node);
		struct session *session = client->conn.session;

		if (!client->gate->draining)
			continue;
		session->ops->drain(session);
		if (client->waiting == WAITS_OPENING || client->waiting == WAITS_FIRST ||
			client->waiting == WAITS_NEXT)
			wait_for(client, WAITS_NEXT);
	}
}

void front_drain(struct proxy *proxy)
{
	for (u32 i = 0; i < proxy->snapshot->frontend_count; i++)
		proxy->gates[i].draining = true;
	drain(proxy);
}

// True: it is left behind with clients.
static bool turn_gate(struct proxy *proxy, u32 index, struct hold *hold)
{
	const struct frontend *frontend = proxy->snapshot->frontends[index];
	struct gate *gate = &proxy->gates[index];

	if (frontend) {
		gate->frontend = frontend;
		gate->draining = proxy->draining;
		return false;
	}
	if (!gate->frontend || gate->hold)
		return false;
	if (gate->clients == 0) {
		*gate = (struct gate){0};
		return false;
	}
	gate->hold = hold;
	hold->count++;
	gate->draining = true;
	return true;
}

void front_adopt(struct proxy *proxy, struct hold *before)
{
	bool is_left = false;

	for (u32 i = 0; i < proxy->snapshot->frontend_count; i++)
		is_left |= turn_gate(proxy, i, before);
	if (is_left)
		drain(proxy);
}

static void end_requests(struct client *client, enum outcome outcome)
{
	while (client->exchanges)
		exchange_abort(client->exchanges, outcome);
}

void front_give_up(struct client *client, enum outcome outcome)
{
	end_requests(client, outcome);
	conn_abort(&client->conn);
}

void front_abort(struct proxy *proxy)
{
	list_for_each_safe (node, &proxy->client_list) {
		struct client *client = list_entry(node, struct client, node);

		end_requests(client, OUTCOME_DRAINING);
		conn_part(&client->conn);
	}
}
