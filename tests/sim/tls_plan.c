// SPDX-License-Identifier: Apache-2.0
// Seeds in which some frontends and some backends speak TLS, in any mixture with those that do not
// and with HTTP/2. Drawn from dice of its own, so that the other seeds are what they are without.
#include <stdio.h>

#include "base/mem.h"
#include "server.h"
#include "tls_plan.h"
#include "tls_wire.h"

enum {
	worlds_one_in = 16,
	handshake_bytes_max = 600,
	cut_one_in = 12,
	long_one_in = 8,
	idle_one_in = 8,
	long_bytes_max = 40 * 1024,
	strange_one_in = 3,
};

void tls_plan_world(struct world *world)
{
	rng_init(&world->tls_rng, world->seed ^ 0x746c73);
	world->has_tls = rng_one_in(&world->tls_rng, worlds_one_in);
	world->limits.handshake_ms = rng_between(&world->tls_rng, 500, 2000);
	if (!world->has_tls)
		return;
	tls_wire_seed(world->seed);
	world->tls_sessions = arena_zalloc(&world->arena, sizeof(*world->tls_sessions));
}

static void plan_certificates(struct world *world, struct conf_frontend_tls *conf)
{
	struct conf_certificate *all =
		arena_zalloc(&world->arena, sizeof(*all) * TLS_CERTIFICATES_MAX);

	conf->certificates = all;
	conf->certificate_count = rng_one_in(&world->tls_rng, 2)
					  ? 1
					  : rng_between(&world->tls_rng, 2, TLS_CERTIFICATES_MAX);
	for (u32 i = 0; i < conf->certificate_count; i++)
		all[i].cert = all[i].key = tls_certs_file(tls_names_of(i));
}

static void plan_questions(struct world *world, struct conf_frontend_tls *conf)
{
	if (rng_one_in(&world->tls_rng, 2))
		return;
	conf->client.mode = rng_one_in(&world->tls_rng, 2) ? CONF_CLIENT_CERT_OPTIONAL
							   : CONF_CLIENT_CERT_REQUIRED;
	conf->client.ca = tls_certs_file(TLS_CERT_CA);
	if (rng_one_in(&world->tls_rng, 2))
		conf->client.crl = tls_certs_revoked();
}

void tls_plan_frontend(struct world *world, struct conf_frontend *frontend)
{
	static const struct str alpn[] = {{"h2", 2}, {"http/1.1", 8}};

	if (!world->has_tls || rng_one_in(&world->tls_rng, 2))
		return;
	frontend->tls = (struct conf_frontend_tls){.enabled = true,
		.min_version = rng_one_in(&world->tls_rng, 4) ? CONF_TLS_1_3 : CONF_TLS_1_2,
		.alpn = alpn,
		.alpn_count = ARRAY_LEN(alpn),
		.tickets = !rng_one_in(&world->tls_rng, 5)};
	plan_certificates(world, &frontend->tls);
	plan_questions(world, &frontend->tls);
	frontend->timeouts.tls_handshake_ms = world->limits.handshake_ms;
	frontend->limits.handshakes = 1000;
	if (rng_one_in(&world->tls_rng, 6)) {
		frontend->limits.handshakes = rng_between(&world->tls_rng, 1, 2);
		world->few_handshakes = true;
	}
}

static bool may_be_1_2(struct world *world, enum conf_tls_version least)
{
	return least == CONF_TLS_1_2 && !rng_one_in(&world->tls_rng, 4);
}

void tls_plan_backend(struct world *world, struct server *server, struct conf_backend *backend)
{
	if (!world->has_tls || !rng_one_in(&world->tls_rng, 3))
		return;
	backend->tls = (struct conf_upstream_tls){.enabled = true,
		.verify = rng_one_in(&world->tls_rng, 2),
		.server_name = STR("sim.test"),
		.ca = tls_certs_file(TLS_CERT_CA),
		.min_version = rng_one_in(&world->tls_rng, 4) ? CONF_TLS_1_3 : CONF_TLS_1_2};
	// Always the same, so that sessions can be resumed.
	server_use_tls(server, may_be_1_2(world, backend->tls.min_version));
	server->is_verified = backend->tls.verify;
	if (!rng_one_in(&world->tls_rng, 3))
		return;
	server->wrong_cert = (u8)rng_between(&world->tls_rng, TLS_CERT_WRONG_NAME, TLS_CERT_PAST);
	server->wrong_one_in =
		rng_one_in(&world->tls_rng, 2) ? 1 : rng_between(&world->tls_rng, 2, 6);
}

// Answers that only the end of their connection ends are few in the plans, and what ends too soon
// is what TLS is asked for.
static void cut_short(struct call *call)
{
	struct answer *answer = &call->answer;

	if (call->bad || call->upgrade || call->is_tunnel || answer->act || answer->bad ||
		answer->flaw || answer->stale || answer->status == 204 || answer->body_len < 2)
		return;
	answer->framing = READ_TO_END;
	answer->close = true;
	answer->extra = false;
	answer->act = ACT_RESET;
	answer->act_at = rng_one_in(&call->world->tls_rng, 2)
				 ? ACT_AT_LAST
				 : 120 + rng_between(&call->world->tls_rng, 0, answer->body_len);
}

// What is left of a record where a block is full shows only in answers of several blocks.
static void make_long(struct call *call)
{
	struct answer *answer = &call->answer;

	if (call->upgrade || call->is_tunnel || answer->act || answer->bad || answer->flaw ||
		answer->status == 204)
		return;
	answer->body_len = rng_between(&call->world->tls_rng, 18 * 1024, long_bytes_max);
	answer->piece_max = 16384;
}

void tls_plan_calls(struct world *world)
{
	if (!world->has_tls)
		return;
	tls_plan_names(world);
	for (u32 i = 0; i < world->call_count; i++)
		if (rng_one_in(&world->tls_rng, cut_one_in))
			cut_short(&world->calls[i]);
		else if (rng_one_in(&world->tls_rng, long_one_in) && world->smooth)
			make_long(&world->calls[i]);
		else if (rng_one_in(&world->tls_rng, idle_one_in))
			world->calls[i].gap_ms = // it comes as its connection is given up
				world->limits.idle_ms - rng_below(&world->tls_rng, 5);
}

// ---- Connections --------------------------------------------------------------------------------

static struct peer_ways some_ways(struct rng *rng)
{
	static const u32 pieces[] = {1, 5, 100, 1400, 16384, 16384, 16384};
	struct peer_ways ways = {.flushes_first = rng_one_in(rng, 2),
		.half_fin = rng_one_in(rng, 2),
		.piece_max = pieces[rng_below(rng, ARRAY_LEN(pieces))],
		.renew_one_in = rng_one_in(rng, 4) ? rng_between(rng, 1, 6) : 0};

	return ways;
}

static void maybe_spoil(struct world *world, struct peer_ways *ways, u32 one_in)
{
	static const u8 acts[] = {ACT_CLOSE, ACT_RESET, ACT_STALL};

	if (!rng_one_in(&world->tls_rng, one_in))
		return;
	ways->act = acts[rng_below(&world->tls_rng, ARRAY_LEN(acts))];
	ways->act_at = rng_between(&world->tls_rng, 0, handshake_bytes_max);
}

// Small ones, and ones that no two fit a block.
static u32 some_record(struct world *world)
{
	switch (rng_below(&world->tls_rng, 3)) {
	case 0:
		return rng_between(&world->tls_rng, 512, 2000);
	case 1:
		return rng_between(&world->tls_rng, 2000, 16384);
	default:
		return 0;
	}
}

static enum tls_cert_id some_identity(struct rng *rng, bool is_asked)
{
	static const u8 ids[] = {TLS_CERT_ROBOT, TLS_CERT_ROBOT, TLS_CERT_PLAIN, TLS_CERT_NONE,
		TLS_CERT_NONE, TLS_CERT_REVOKED, TLS_CERT_LAPSED, TLS_CERT_UNKNOWN};

	if (!is_asked && rng_one_in(rng, 4) == 0)
		return TLS_CERT_NONE;
	return (enum tls_cert_id)ids[rng_below(rng, ARRAY_LEN(ids))];
}

// A session that was begun at another frontend, or NULL.
static struct ssl_session_st *some_strange_session(
	struct world *world, u32 frontend, bool is_h2, bool is_1_2)
{
	u32 other = (frontend + rng_between(&world->tls_rng, 1, 2)) % 3;

	for (u32 shows = 0; shows < TLS_CERT_COUNT; shows++)
		for (u32 name = 0; name < TLS_NAME_COUNT; name++) {
			struct ssl_session_st *found =
				world->tls_sessions->all[other][is_h2][is_1_2][shows][name];

			if (found)
				return found;
		}
	return NULL;
}

bool tls_plan_caller(
	struct world *world, const struct caller *caller, struct peer *peer, bool is_h2)
{
	u32 frontend = caller_frontend(caller);
	const struct conf_frontend_tls *conf = &world->conf->frontends[frontend].tls;
	struct rng *rng = &world->tls_rng;
	struct tls_wire_options options = {.is_client = true, .is_h2 = is_h2};
	struct peer_ways ways;

	if (!conf->enabled)
		return false;
	options.is_1_2 = may_be_1_2(world, conf->min_version);
	options.record_max = some_record(world);
	options.shows = some_identity(rng, conf->client.mode != CONF_CLIENT_CERT_NONE);
	options.asks_for = tls_name_text(tls_name_of(caller));
	if (!rng_one_in(rng, 8))
		options.session = &world->tls_sessions->all[frontend][is_h2][options.is_1_2]
							   [options.shows][tls_name_of(caller)];
	if (rng_one_in(rng, strange_one_in))
		options.offers = some_strange_session(world, frontend, is_h2, options.is_1_2);
	ways = some_ways(rng);
	ways.is_client = true;
	ways.is_h2 = is_h2;
	ways.leave_ms = SLACK_MS;
	ways.shows = (u8)options.shows;
	ways.is_strange = options.offers;
	ways.refusal = tls_refusal_of(conf, options.shows, options.is_1_2);
	maybe_spoil(world, &ways, 12);
	tls_expect_refusal(world, ways.refusal);
	peer_use_tls(peer, tls_wire_new(&options), &ways, rng, &world->faults[FAULT_TLS_KEYS]);
	return true;
}

void tls_plan_service(struct server *server, struct peer *peer)
{
	struct world *world = server->world;
	struct tls_wire_options options = {.is_h2 = server->h2};
	struct peer_ways ways;

	if (!server->tls)
		return;
	options.is_1_2 = server->tls_1_2;
	options.record_max = some_record(world);
	ways = some_ways(&world->tls_rng);
	ways.is_h2 = server->h2;
	ways.leave_ms = 10 * 1000;
	options.shows = TLS_CERT_SITE;
	if (server->wrong_cert && rng_one_in(&world->tls_rng, server->wrong_one_in)) {
		options.shows = (enum tls_cert_id)server->wrong_cert;
		world_fault(world, FAULT_TLS_SERVER_WRONG);
	}
	ways.refusal = tls_refusal_of_backend(server, options.shows);
	if (!server->released)
		maybe_spoil(world, &ways, 25);
	if (ways.refusal)
		server_note_spoiled(server);
	peer_use_tls(peer, tls_wire_new(&options), &ways, &world->tls_rng,
		&world->faults[FAULT_TLS_KEYS]);
}

void tls_drop(struct world *world, struct peer *peer)
{
	if (!peer->tls || rng_one_in(&world->tls_rng, 2)) {
		peer_close(peer);
		return;
	}
	world_fault(world, FAULT_TLS_CUT);
	peer_cut(peer);
}

void tls_break(struct world *world, struct peer *peer)
{
	if (!peer->tls || rng_one_in(&world->tls_rng, 2)) {
		peer_reset(peer);
		return;
	}
	world_fault(world, FAULT_TLS_CUT);
	peer_cut(peer);
}
