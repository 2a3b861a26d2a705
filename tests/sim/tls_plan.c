// SPDX-License-Identifier: Apache-2.0
// Seeds in which some frontends and some backends speak TLS, in any mixture with those that do not
// and with HTTP/2. Drawn from dice of its own, so that the other seeds are what they are without.
#include <stdio.h>

#include "base/mem.h"
#include "net/tls_ticket.h"
#include "proxy/secure.h"
#include "server.h"
#include "sim.h"
#include "tls_wire.h"

enum { worlds_one_in = 16, handshake_bytes_max = 600, anew_one_in = 16, cut_one_in = 12 };

void tls_plan_world(struct world *world)
{
	rng_init(&world->tls_rng, world->seed ^ 0x746c73);
	world->has_tls = rng_one_in(&world->tls_rng, worlds_one_in);
	world->limits.handshake_ms = rng_between(&world->tls_rng, 500, 2000);
	if (world->has_tls)
		tls_wire_seed(world->seed);
}

void tls_plan_frontend(struct world *world, struct conf_frontend *frontend)
{
	static const struct str alpn[] = {{"h2", 2}, {"http/1.1", 8}};
	struct conf_certificate *certificate;

	if (!world->has_tls || rng_one_in(&world->tls_rng, 2))
		return;
	certificate = arena_zalloc(&world->arena, sizeof(*certificate));
	certificate->cert = certificate->key = tls_wire_file();
	frontend->tls = (struct conf_frontend_tls){.enabled = true,
		.certificates = certificate,
		.certificate_count = 1,
		.min_version = rng_one_in(&world->tls_rng, 4) ? CONF_TLS_1_3 : CONF_TLS_1_2,
		.alpn = alpn,
		.alpn_count = ARRAY_LEN(alpn),
		.tickets = !rng_one_in(&world->tls_rng, 5)};
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
		.ca = tls_wire_file(),
		.min_version = rng_one_in(&world->tls_rng, 4) ? CONF_TLS_1_3 : CONF_TLS_1_2};
	// Always the same, so that sessions can be resumed.
	server_use_tls(server, may_be_1_2(world, backend->tls.min_version));
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

void tls_plan_calls(struct world *world)
{
	if (!world->has_tls)
		return;
	for (u32 i = 0; i < world->call_count; i++)
		if (rng_one_in(&world->tls_rng, cut_one_in))
			cut_short(&world->calls[i]);
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

static u32 some_record(struct world *world)
{
	return rng_one_in(&world->tls_rng, 3) ? rng_between(&world->tls_rng, 512, 2000) : 0;
}

bool tls_plan_caller(struct world *world, u32 frontend, struct peer *peer, bool is_h2)
{
	const struct conf_frontend_tls *conf = &world->conf->frontends[frontend].tls;
	struct rng *rng = &world->tls_rng;
	struct tls_wire_options options = {.is_client = true, .is_h2 = is_h2};
	struct peer_ways ways;

	if (!conf->enabled)
		return false;
	options.is_1_2 = may_be_1_2(world, conf->min_version);
	options.record_max = some_record(world);
	options.session =
		rng_one_in(rng, 8) ? NULL : &world->tls_sessions[frontend][is_h2][options.is_1_2];
	ways = some_ways(rng);
	ways.is_client = true;
	ways.is_h2 = is_h2;
	ways.leave_ms = SLACK_MS;
	maybe_spoil(world, &ways, 12);
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
	if (!server->released)
		maybe_spoil(world, &ways, 25);
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

// ---- The worker's side --------------------------------------------------------------------------

enum { ENV_WORKER, ENV_CHECKS, ENV_COUNT };

// Environments and contexts cost more to make than all that follows in a seed, so they live as long
// as the process. What changes while it runs, the sessions of backends, is new in each seed.
static struct {
	struct tls_env *env;
	u32 refs, contexts;			// without those of a seed
	struct tls_server *servers[3][2][2][2]; // by frontend, least version, HTTP/2, tickets
	struct tls_client *clients[2][2][2];	// by verification, least version, HTTP/2
} kept[ENV_COUNT];

static u32 of_others = 2; // contexts: the peers', and those that failed seeds have left behind

static void make_envs(const struct loop *loop)
{
	struct tls_secret secret;

	tls_secret_make(&secret, loop->wall_ms); // of that day, else years of keys are passed by
	for (u32 i = 0; i < ENV_COUNT; i++) {
		kept[i].env = tls_env_new(&secret, 1024);
		ASSERT(kept[i].env);
		kept[i].refs = kept[i].env->refs;
	}
}

static struct tls_server *server_for(u32 env, const struct frontend *frontend)
{
	const struct conf_frontend *conf = frontend->conf;
	bool is_1_3 = conf->tls.min_version == CONF_TLS_1_3, h2 = conf->http.h2;
	struct tls_server **found =
		&kept[env].servers[frontend->index][is_1_3][h2][conf->tls.tickets];
	struct tls_files files = {.cert = tls_wire_file(), .key = tls_wire_file()};
	struct tls_server_options options = {.name = conf->name,
		.files = &files,
		.file_count = 1,
		.version_min = is_1_3 ? TLS_MIN_1_3 : TLS_MIN_1_2,
		.alpn = conf->tls.alpn + (h2 ? 0 : 1),
		.alpn_count = conf->tls.alpn_count - (h2 ? 0 : 1),
		.without_tickets = !conf->tls.tickets};
	u32 before = tls_wire_contexts();
	struct tls_error error;

	if (!*found) {
		*found = tls_server_new(kept[env].env, &options, &error);
		kept[env].contexts += tls_wire_contexts() - before;
	}
	ASSERT(*found);
	return tls_server_ref(*found);
}

static struct tls_client *client_for(u32 env, const struct conf_backend *conf)
{
	static const struct str h1 = {"http/1.1", 8}, h2 = {"h2", 2};
	bool is_1_3 = conf->tls.min_version == CONF_TLS_1_3;
	struct tls_client **like = &kept[env].clients[conf->tls.verify][is_1_3][conf->is_h2];
	struct tls_client_options options = {.is_unverified = !conf->tls.verify,
		.name = conf->tls.server_name,
		.ca = conf->tls.ca,
		.version_min = is_1_3 ? TLS_MIN_1_3 : TLS_MIN_1_2,
		.alpn = conf->is_h2 ? &h2 : &h1,
		.alpn_count = 1,
		.needs_h2 = conf->is_h2};
	struct tls_client *client;
	u32 before = tls_wire_contexts();
	struct tls_error error;

	if (!*like) {
		*like = tls_client_new(kept[env].env, &options, NULL, &error);
		ASSERT(*like);
		kept[env].contexts += tls_wire_contexts() - before;
	}
	client = tls_client_new(kept[env].env, &options, *like, &error);
	ASSERT(client);
	return client;
}

// What secure_new makes.
static struct secure *assemble(u32 env, const struct snapshot *snapshot)
{
	struct secure *secure = mem_alloc(sizeof(*secure));

	secure->env = tls_env_ref(kept[env].env);
	secure->server_count = env == ENV_WORKER ? snapshot->frontend_count : 0;
	secure->client_count = snapshot->backend_count;
	secure->servers = mem_alloc(sizeof(*secure->servers) * MAX(secure->server_count, 1));
	secure->clients = mem_alloc(sizeof(*secure->clients) * MAX(secure->client_count, 1));
	for (u32 i = 0; i < secure->server_count; i++)
		if (snapshot->frontends[i]->conf->tls.enabled)
			secure->servers[i] = server_for(env, snapshot->frontends[i]);
	for (u32 i = 0; i < secure->client_count; i++)
		if (snapshot->backends[i]->conf->tls.enabled)
			secure->clients[i] = client_for(env, snapshot->backends[i]->conf);
	return secure;
}

// Now and then by the code that is under test, as if the environments were those of a snapshot
// before.
void tls_secure(struct world *world, struct snapshot *snapshot)
{
	struct secure own[ENV_COUNT] = {0}, *pointers[ENV_COUNT] = {&own[0], &own[1]};
	struct snapshot before = {.secure = pointers};
	struct tls_error error;

	if (!world->has_tls)
		return;
	if (!kept[0].env)
		make_envs(world->loop);
	if (!rng_one_in(&world->tls_rng, anew_one_in)) {
		snapshot->secure = arena_zalloc(snapshot->arena, sizeof(pointers));
		for (u32 i = 0; i < ENV_COUNT; i++)
			snapshot->secure[i] = assemble(i, snapshot);
		return;
	}
	for (u32 i = 0; i < ENV_COUNT; i++)
		own[i].env = kept[i].env;
	if (!snapshot_secure(snapshot, &before, NULL, 64, &error))
		world_fail(world, "TLS cannot be set up: %s", error.text);
}

void tls_check_end(struct world *world)
{
	const u64 *cells = world->metrics.values;

	if (!world->has_tls)
		return;
	world->faults[FAULT_TLS_FULL] += cells[M_TLS_HANDSHAKES_FULL];
	world->faults[FAULT_TLS_RESUMED] += cells[M_TLS_HANDSHAKES_RESUMED];
	for (u32 i = 0; i < ENV_COUNT; i++)
		if (kept[i].env->connections.used)
			world_fail(world, "%u connections of TLS are left at the end",
				kept[i].env->connections.used);
	if (world->proxy->handshakes)
		world_fail(world, "%u handshakes are left at the end", world->proxy->handshakes);
	// Of those that OpenSSL cannot be talked to about for good reasons there is none here.
	for (u32 m = M_TLS_FAILED_TIMEOUT; m <= M_TLS_FAILED_INTERNAL; m++)
		if (cells[m] && m != M_TLS_FAILED_TIMEOUT && m != M_TLS_FAILED_CLOSED &&
			m != M_TLS_FAILED_BUSY)
			world_fail(world, "a handshake failed for a reason that nobody gave (%u)",
				m - M_TLS_FAILED_TIMEOUT);
}

void tls_check_gone(struct world *world)
{
	struct ssl_session_st **sessions = &world->tls_sessions[0][0][0];
	u32 contexts = of_others;

	for (u32 i = 0; i < sizeof(world->tls_sessions) / sizeof(sessions[0]); i++)
		tls_wire_session_free(&sessions[i]);
	for (u32 i = 0; world->has_tls && i < ENV_COUNT; i++) {
		contexts += kept[i].contexts;
		if (kept[i].env->refs != kept[i].refs)
			world_fail(world, "an environment of TLS is never let go");
	}
	if (world->has_tls && tls_wire_contexts() != contexts)
		world_fail(world, "%d contexts of TLS are never let go",
			(int)(tls_wire_contexts() - contexts));
}

void tls_forget(void)
{
	memset(kept, 0, sizeof(kept));
	of_others = tls_wire_contexts();
}
