// SPDX-License-Identifier: Apache-2.0
// Clients that come by TLS: the handshake before the session, how many of them at a time, what
// happens to those that fail, and which session follows.
#include "proxy/client_cert.h"
#include "proxy/exchange.h"
#include "proxy/front_inside.h"
#include "proxy/secure.h"

_Static_assert(M_TLS_FAILED_KEY_UPDATES - M_TLS_FAILED_TIMEOUT == TLS_FAULT_KEY_UPDATES,
	"base/metrics.def has a cell for each row of net/tls_fault.def, in the same order");

static void on_poke(struct session *session)
{
	conn_poke(&front_client_of(session)->conn);
}

// A session without a stream, until the handshake tells which one it will be.
static const struct session_events no_session_events = {.on_poke = on_poke};

static void leave(struct client *client)
{
	client->is_shaking = false;
	client->proxy->handshakes--;
}

static void failed(struct client *client, enum tls_fault fault)
{
	struct proxy *proxy = client->proxy;
	struct addr peer;

	metrics_inc(proxy->metrics, (enum metric)(M_TLS_FAILED_TIMEOUT + (u32)fault));
	front_peer(client, &peer);
	faults_tls(
		&proxy->faults, client->gate->frontend, fault, proxy->secure->env->detail, &peer);
}

bool front_secure_begin(struct client *client)
{
	const struct frontend *frontend = client->gate->frontend;
	struct proxy *proxy = client->proxy;

	conn_use_raw(&client->conn, STREAM_SERVER, &no_session_events);
	if (proxy->handshakes >= frontend->conf->limits.handshakes) {
		proxy->secure->env->detail[0] = '\0';
		failed(client, TLS_FAULT_BUSY);
		return false;
	}
	if (!conn_use_tls_server(&client->conn, proxy->secure->servers[frontend->index]))
		return false;
	client->waiting = WAITS_HANDSHAKE;
	client->is_shaking = true;
	proxy->handshakes++;
	conn_set_timer(&client->conn,
		loop_now_ms(proxy->loop) + frontend->conf->timeouts.tls_handshake_ms);
	conn_start(&client->conn);
	return true;
}

void front_secure_late(struct client *client)
{
	leave(client);
	client->waiting = WAITS_NOT;
	client->proxy->secure->env->detail[0] = '\0';
	failed(client, TLS_FAULT_TIMEOUT);
	conn_close(&client->conn);
}

void front_secure_closed(struct client *client)
{
	if (client->is_shaking)
		leave(client);
}

// ---- Plain HTTP on a TLS port -------------------------------------------------------------------

static void on_plain_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct client *client = front_client_of(session);

	front_head_is_over(client);
	if (!exchange_begin_unwanted(client, stream, head, end, HTTP_REFUSE_PLAIN_ON_TLS))
		conn_abort(&client->conn);
}

static void on_plain_refused(struct session *session, struct stream *stream)
{
	struct client *client = front_client_of(session);

	front_head_is_over(client);
	if (!exchange_begin_refused(client, stream, HTTP_REFUSE_PLAIN_ON_TLS))
		conn_abort(&client->conn);
}

static void on_plain_poke(struct session *session)
{
	front_session_events.on_poke(session);
}

static void on_plain_done(struct session *session, struct stream *stream)
{
	front_session_events.on_stream_done(session, stream);
}

static const struct session_events plain_events = {
	.on_request = on_plain_request,
	.on_refused = on_plain_refused,
	.on_stream_done = on_plain_done,
	.on_poke = on_plain_poke,
};

static void answer_plainly(struct client *client)
{
	struct slice slice = conn_drop_tls(&client->conn);

	front_begin(client);
	client->conn.bytes_in += slice.len;
	client->conn.session->ops->feed(client->conn.session, slice);
}

// ---- Requests for another host than the handshake was for ---------------------------------------

static void on_request(
	struct session *session, struct stream *stream, struct http_head *head, bool end)
{
	struct client *client = front_client_of(session);

	if (!tls_server_is_misdirected(client->conn.tls, head->authority)) {
		front_session_events.on_request(session, stream, head, end);
		return;
	}
	front_head_is_over(client);
	if (!exchange_begin_unwanted(client, stream, head, end, HTTP_REFUSE_MISDIRECTED))
		conn_abort(&client->conn);
}

static void on_refused(struct session *session, struct stream *stream)
{
	front_session_events.on_refused(session, stream);
}

static void on_excess(struct session *session)
{
	front_session_events.on_excess(session);
}

static const struct session_events secure_events = {
	.on_request = on_request,
	.on_refused = on_refused,
	.on_stream_done = on_plain_done,
	.on_poke = on_plain_poke,
	.on_excess = on_excess,
};

const struct session_events *front_secure_events(const struct client *client)
{
	return client->conn.is_secure ? &secure_events : &plain_events;
}

// ---- The end of the handshake -------------------------------------------------------------------

void front_on_secured(struct conn *conn, int error)
{
	struct client *client = container_of(conn, struct client, conn);
	enum tls_fault fault = tls_error_fault(error);

	leave(client);
	client->waiting = WAITS_NOT;
	if (error == 0) {
		metrics_inc(client->proxy->metrics, tls_is_resumed(conn->tls)
							    ? M_TLS_HANDSHAKES_RESUMED
							    : M_TLS_HANDSHAKES_FULL);
		if (client->gate->frontend->asks_certificates)
			client_cert_note(conn);
		front_begin(client);
		return;
	}
	failed(client, fault == TLS_FAULT_NONE ? TLS_FAULT_CLOSED : fault);
	if (fault == TLS_FAULT_PLAIN_HTTP && client->gate->frontend->conf->protocol == CONF_HTTP)
		answer_plainly(client);
}

void front_on_tls_excess(struct conn *conn)
{
	failed(container_of(conn, struct client, conn), (enum tls_fault)conn->tls->fault);
}
