// SPDX-License-Identifier: Apache-2.0
#include "proxy/opening.h"

#include "proto/proxy_header.h"
#include "proxy/exchange.h"

static struct client *of_peek(struct peek *peek)
{
	return container_of(conn_of_session(&peek->session), struct client, conn);
}

static struct str gathered(const struct peek *peek)
{
	return str_make(peek->held.ptr, peek->held.len);
}

static void begin(struct client *client, const struct session_events *events,
	const struct peek_events *peek_events)
{
	conn_use_peek(&client->conn, events, peek_events);
	front_wait_opening(client);
	conn_start(&client->conn);
}

// ---- PROXY headers ------------------------------------------------------------------------------

static void refuse_header(struct client *client, enum proxy_header_fault fault)
{
	bool is_late = fault == PROXY_HEADER_LATE;
	enum outcome outcome =
		is_late ? OUTCOME_PROXY_HEADER_TIMEOUT : OUTCOME_PROXY_HEADER_MALFORMED;
	struct proxy *proxy = client->proxy;
	struct addr peer;

	front_peer(client, &peer);
	metrics_inc(proxy->metrics, is_late ? M_PROXY_HEADERS_LATE : M_PROXY_HEADERS_BAD);
	metrics_bump(&proxy->metrics->outcomes[outcome], 1);
	faults_header(&proxy->faults, client->gate->frontend, outcome, &peer, fault);
	conn_abort(&client->conn);
}

// What it says counts from now on: whom the guard asks about, whom backends and logs hear of.
static bool believe(struct client *client, const struct proxy_header *header)
{
	struct origin *origin = front_origin(client);
	bool is_told = !header->is_local && header->source.family != ADDR_NONE;

	origin->is_told = is_told;
	if (is_told)
		origin->target = header->target;
	return front_rename(client, is_told ? &header->source : &origin->peer);
}

static bool on_header_bytes(struct peek *peek)
{
	struct client *client = of_peek(peek);
	struct proxy_header header;
	struct slice rest;
	size_t len, need;
	enum proxy_header_fault fault = proxy_header_read(gathered(peek), &header, &len, &need);

	if (fault) {
		refuse_header(client, fault);
		return false;
	}
	if (len == 0) {
		peek->need = (u32)need;
		return true;
	}
	metrics_inc(client->proxy->metrics, M_PROXY_HEADERS_TAKEN);
	if (!believe(client, &header)) {
		conn_abort(&client->conn);
		return false;
	}
	rest = peek_take(peek, len);
	front_begin_session(client);
	conn_feed(&client->conn, rest);
	return false;
}

// One that comes and goes without a word is a check of the proxy in front, mostly.
static void on_header_ended(struct peek *peek, int error)
{
	struct client *client = of_peek(peek);

	(void)error;
	if (peek->held.len)
		refuse_header(client, PROXY_HEADER_ENDED);
	else
		conn_close(&client->conn);
}

static const struct peek_events header_events = {
	.on_bytes = on_header_bytes, .on_ended = on_header_ended};

void opening_read_header(struct client *client, const struct session_events *events)
{
	begin(client, events, &header_events);
}

// ---- Hellos -------------------------------------------------------------------------------------

static void pass_on(
	struct client *client, const struct route *route, struct pool *pool, struct str server_name)
{
	struct conn *conn = &client->conn;
	struct slice hello = peek_take(&conn->peek, 0);

	conn_use_raw(conn, STREAM_SERVER, conn->session->events);
	front_wait_not(client);
	if (!exchange_begin_tls(client, &conn->raw.stream, route, pool, server_name))
		conn_abort(conn);
	conn_feed(conn, hello);
}

// An alert where the peer speaks TLS and hears one; else the end has to do.
static void refuse_hello(
	struct client *client, enum outcome outcome, enum tls_alert alert, struct str server_name)
{
	struct peek *peek = &client->conn.peek;
	char buffer[TLS_ALERT_BYTES];

	peek_refuse(peek, alert ? client_hello_alert(alert, buffer) : STR_EMPTY);
	if (!exchange_tell_end(client, &peek->stream, outcome, server_name))
		conn_abort(&client->conn);
}

static void route_hello(struct client *client, const struct client_hello *hello)
{
	const struct frontend *frontend = client->gate->frontend;
	const struct route *route = router_find_hello(frontend, hello);
	struct pool *pool = frontend->pool;

	if (route)
		pool = router_pool(route, (u32)(rng_u64(&client->proxy->rng) >> 32));
	if (pool)
		pass_on(client, route, pool, client_hello_name(hello));
	else
		refuse_hello(client, OUTCOME_NAME_UNKNOWN, TLS_ALERT_UNRECOGNIZED_NAME,
			client_hello_name(hello));
}

static bool on_hello_bytes(struct peek *peek)
{
	struct client *client = of_peek(peek);
	struct client_hello hello;
	size_t need;

	switch (client_hello_read(gathered(peek), &hello, &need)) {
	case CLIENT_HELLO_MORE:
		peek->need = (u32)need;
		return true;
	case CLIENT_HELLO_DONE:
		route_hello(client, &hello);
		break;
	case CLIENT_HELLO_NOT_TLS:
		if (client->gate->frontend->pool)
			pass_on(client, NULL, client->gate->frontend->pool, STR_EMPTY);
		else
			refuse_hello(client, OUTCOME_HELLO_MALFORMED, TLS_ALERT_NONE, STR_EMPTY);
		break;
	case CLIENT_HELLO_MALFORMED:
	case CLIENT_HELLO_TOO_LARGE:
		refuse_hello(client, OUTCOME_HELLO_MALFORMED, TLS_ALERT_DECODE_ERROR, STR_EMPTY);
		break;
	}
	return false;
}

static void on_hello_ended(struct peek *peek, int error)
{
	struct client *client = of_peek(peek);

	if (peek->held.len &&
		!exchange_tell_end(client, &peek->stream,
			error ? OUTCOME_CLIENT_ABORTED : OUTCOME_HELLO_MALFORMED, STR_EMPTY))
		conn_abort(&client->conn);
	conn_close(&client->conn);
}

static const struct peek_events hello_events = {
	.on_bytes = on_hello_bytes, .on_ended = on_hello_ended};

void opening_read_hello(struct client *client, const struct session_events *events)
{
	client->head_began_us = loop_now_us(client->proxy->loop);
	begin(client, events, &hello_events);
}

void opening_is_late(struct client *client)
{
	struct peek *peek = &client->conn.peek;

	ASSERT(client->conn.session->ops == &peek_session_ops);
	if (peek->events == &header_events) {
		refuse_header(client, PROXY_HEADER_LATE);
		return;
	}
	(void)!exchange_tell_end(client, &peek->stream, OUTCOME_HELLO_TIMEOUT, STR_EMPTY);
	conn_close(&client->conn);
}
