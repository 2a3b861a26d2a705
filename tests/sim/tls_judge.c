// SPDX-License-Identifier: Apache-2.0
// What must hold of TLS, whatever happens: who is let in and who is refused, and how each of them
// hears of it; what is shown to whom; what backends hear of a client's certificate.
#include <stdio.h>
#include <string.h>

#include "server.h"
#include "tls_plan.h"
#include "tls_wire.h"

enum { tcp_frontend = 2 };

// ---- Who is refused -----------------------------------------------------------------------------

const char *tls_refusal_of(
	const struct conf_frontend_tls *conf, enum tls_cert_id shows, bool is_1_2)
{
	if (conf->client.mode == CONF_CLIENT_CERT_NONE)
		return NULL;
	switch (shows) {
	case TLS_CERT_NONE:
		if (conf->client.mode == CONF_CLIENT_CERT_OPTIONAL)
			return NULL;
		return is_1_2 ? "handshake failure" : "certificate required";
	case TLS_CERT_REVOKED:
		return conf->client.crl.len ? "certificate revoked" : NULL;
	case TLS_CERT_LAPSED:
		return "certificate expired";
	case TLS_CERT_UNKNOWN:
		return "unknown ca";
	default:
		return NULL;
	}
}

const char *tls_refusal_of_backend(const struct server *server, enum tls_cert_id shows)
{
	if (!server->is_verified)
		return NULL;
	switch (shows) {
	case TLS_CERT_WRONG_NAME:
		return "bad certificate";
	case TLS_CERT_WRONG_CA:
		return "unknown ca";
	case TLS_CERT_PAST:
		return "certificate expired";
	default:
		return NULL;
	}
}

bool tls_is_never_believed(const struct server *server)
{
	return server->wrong_cert && server->is_verified && server->wrong_one_in == 1;
}

void tls_expect_refusal(struct world *world, const char *refusal)
{
	world->tls_refusals += refusal != NULL;
}

// True: it is all as it should be.
static bool check_refusal(struct world *world, const struct peer *peer, int error)
{
	if (error == PEER_BELIEVED)
		world_fail(world, "whoever owes the alert \"%s\" says nothing and goes on",
			peer->ways.refusal);
	if (!peer->ways.refusal || error != PEER_BAD_TLS ||
		!strstr(tls_wire_error(peer->tls), peer->ways.refusal))
		return false;
	world_fault(world, peer->ways.is_client ? FAULT_TLS_REFUSED : FAULT_TLS_SERVER_REFUSED);
	world->tls_refused += peer->ways.is_client;
	return true;
}

// Where connections end for other reasons, or none is left for an alert.
static bool is_troubled(const struct world *world)
{
	return world->scarce || world->may_be_full || world->few_handshakes || world->drained_ms;
}

void tls_check_failed(struct world *world, u32 frontend, const struct peer *peer, int error)
{
	if (!peer->tls || !peer->connected || check_refusal(world, peer, error))
		return;
	if (error == PEER_BAD_TLS)
		world_fail(world, "a handshake went wrong: %s", tls_wire_error(peer->tls));
	// A connection of TCP that leads nowhere is reset, which overtakes its last flight.
	if (frontend != tcp_frontend && !peer->spoiled && !is_troubled(world))
		world_fail(world, "a client's handshake failed for no reason: %d", error);
	if (peer->spoiled && !world->scarce && !world->chaotic &&
		world_now_ms(world) > peer->began_ms + world->limits.handshake_ms + 3 * SLACK_MS)
		world_fail(world, "a handshake that stalls was not ended in time");
}

// Whoever ends a connection on which nothing is under way says so before, and so does who refuses
// somebody.
void tls_check_broken(struct world *world, const struct peer *peer, int error, bool is_idle)
{
	bool is_owed = peer->ways.refusal && peer->ways.is_client && !peer->spoiled;

	if (check_refusal(world, peer, error))
		return;
	if (error == PEER_BAD_TLS)
		world_fail(world, "TLS: %s", tls_wire_error(peer->tls));
	if (is_owed && !is_troubled(world))
		world_fail(world, "a client is refused without the alert \"%s\": %d",
			peer->ways.refusal, error);
	if (error == PEER_CUT && is_idle && !peer->ways.refusal && !world->aborted_ms &&
		!world->scarce)
		world_fail(world, "an idle connection of TLS ended without close_notify");
}

// ---- What is shown ------------------------------------------------------------------------------

void tls_check_open(struct world *world, const struct caller *caller, const struct peer *peer)
{
	const struct conf_frontend_tls *conf = &world->conf->frontends[caller_frontend(caller)].tls;
	const char *asked = tls_name_text(tls_name_of(caller));
	enum tls_cert_id due = TLS_CERT_NONE, shown;

	if (!peer->tls)
		return;
	if (asked)
		due = tls_names_cert(conf->certificate_count, str_from(asked));
	if (due == TLS_CERT_NONE)
		due = tls_names_of(0);
	shown = tls_wire_shown(peer->tls);
	if (shown != due)
		world_fail(world, "who asks for %s gets certificate %u, not %u",
			asked ? asked : "nothing", shown, due);
	if (due != tls_names_of(0))
		world_fault(world, FAULT_TLS_NAME);
	if (!peer->ways.is_strange)
		return;
	world_fault(world, FAULT_TLS_STRANGE);
	if (tls_wire_is_resumed(peer->tls))
		world_fail(world, "a session of another frontend is resumed");
}

void tls_begin_call(struct call *call, const struct peer *peer)
{
	call->shows = peer->ways.shows;
	call->is_unwelcome = peer->ways.refusal != NULL;
}

void tls_check_unwelcome(const struct call *call)
{
	if (call->attempt_count || call->got_head || call->result != RESULT_NONE)
		world_fail(
			call->world, "call %u: its client must be refused and is served", call->id);
}

// ---- What backends hear -------------------------------------------------------------------------

static bool some_ask(const struct conf *conf)
{
	for (u32 i = 0; i < conf->frontend_count; i++)
		if (conf->frontends[i].tls.client.mode != CONF_CLIENT_CERT_NONE)
			return true;
	return false;
}

void tls_check_request(struct call *call, const struct read_message *message)
{
	const struct conf_frontend_tls *conf =
		&call->world->conf->frontends[caller_frontend(call->caller)].tls;
	enum tls_cert_id shows = (enum tls_cert_id)call->shows;
	bool forges = call->spoofs && call->world->has_tls;
	const char *subject = NULL, *names = NULL;

	if (conf->client.mode != CONF_CLIENT_CERT_NONE && shows) {
		subject = tls_certs_subject(shows);
		names = tls_certs_names(shows);
		world_fault(call->world, FAULT_TLS_IDENTITY);
	} else if (forges && call->world->trusting && !some_ask(call->world->conf)) {
		// Proxies are believed. Those of HTTP/1 name one of the fields in Connection.
		subject = call->h2 ? SIM_FORGED : NULL;
		names = SIM_FORGED;
	}
	check_field(call, message, "X-Client-Cert-Subject", subject);
	check_field(call, message, "X-Client-Cert-San", names);
}

// ---- Answers ------------------------------------------------------------------------------------

// Whether this outcome may be told to it.
bool tls_outcome_is_fair(const struct call *call)
{
	const struct world *world = call->world;
	i32 failover = world->conf->pools[call->pool].failover;

	if (!str_eq(str_from(call->outcome), STR("tls_certificate")))
		return true;
	for (u32 i = 0; i < world->server_count; i++) {
		const struct server *server = world->servers[i];

		if (server->wrong_cert && server->is_verified &&
			(server->pool == call->pool || (i32)server->pool == failover))
			return true;
	}
	return false;
}

// ---- The end ------------------------------------------------------------------------------------

// Of those that OpenSSL cannot be talked to about for good reasons there are only those who show
// what they must not.
void tls_check_counts(struct world *world)
{
	const u64 *cells = world->metrics.values;
	u64 refused = 0;

	for (u32 m = M_TLS_FAILED_TIMEOUT; m <= M_TLS_FAILED_KEY_UPDATES; m++) {
		if (m == M_TLS_FAILED_CERT_MISSING || m == M_TLS_FAILED_CERT_EXPIRED ||
			m == M_TLS_FAILED_CERT_ISSUER || m == M_TLS_FAILED_CERT_REVOKED)
			refused += cells[m];
		else if (cells[m] && m != M_TLS_FAILED_TIMEOUT && m != M_TLS_FAILED_CLOSED &&
			 m != M_TLS_FAILED_BUSY)
			world_fail(world, "a handshake failed for a reason that nobody gave (%u)",
				m - M_TLS_FAILED_TIMEOUT);
	}
	if (refused > world->tls_refusals || refused < world->tls_refused)
		world_fail(world, "%llu clients are counted as refused, of %u; %u heard of it",
			(unsigned long long)refused, world->tls_refusals, world->tls_refused);
}
