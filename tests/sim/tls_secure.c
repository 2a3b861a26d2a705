// SPDX-License-Identifier: Apache-2.0
// The worker's side of TLS: contexts and environments, as configurations want them, and that all of
// them are let go.
#include "base/mem.h"
#include "net/tls_ticket.h"
#include "proxy/secure.h"
#include "tls_plan.h"
#include "tls_wire.h"

enum { anew_one_in = 16 };

enum { ENV_WORKER, ENV_CHECKS, ENV_COUNT };

// Environments and contexts cost more to make than all that follows in a seed, so they live as long
// as the process. What changes while it runs, the sessions of backends, is new in each seed.
static struct {
	struct tls_env *env;
	u32 refs, contexts; // without those of a seed
	// By frontend, least version, HTTP/2, tickets, who is asked for a certificate, a list of
	// revoked ones, and how many certificates it shows.
	struct tls_server *servers[3][2][2][2][3][2][TLS_CERTIFICATES_MAX];
	struct tls_client *clients[2][2][2]; // by verification, least version, HTTP/2
} kept[ENV_COUNT];

static u32 of_others; // contexts: the peers', and those that failed seeds have left behind

static void make_envs(const struct loop *loop)
{
	struct tls_secret secret;

	of_others = tls_wire_contexts();
	tls_secret_make(&secret, loop->wall_ms); // of that day, else years of keys are passed by
	for (u32 i = 0; i < ENV_COUNT; i++) {
		kept[i].env = tls_env_new(&secret, 1024);
		ASSERT(kept[i].env);
		kept[i].refs = kept[i].env->refs;
	}
}

static struct tls_server **server_like(u32 env, const struct frontend *frontend)
{
	const struct conf_frontend_tls *conf = &frontend->conf->tls;
	bool is_1_3 = conf->min_version == CONF_TLS_1_3, has_crl = conf->client.crl.len;

	return &kept[env].servers[frontend->index][is_1_3][frontend->conf->http.h2][conf->tickets]
				 [conf->client.mode][has_crl][conf->certificate_count - 1];
}

static struct tls_server *server_for(u32 env, const struct frontend *frontend)
{
	static const enum tls_client_auth auths[] = {
		TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED};
	const struct conf_frontend *conf = frontend->conf;
	bool h2 = conf->http.h2;
	struct tls_server **found = server_like(env, frontend);
	struct tls_files files[TLS_CERTIFICATES_MAX];
	struct tls_server_options options = {.name = conf->name,
		.files = files,
		.file_count = conf->tls.certificate_count,
		.version_min = conf->tls.min_version == CONF_TLS_1_3 ? TLS_MIN_1_3 : TLS_MIN_1_2,
		.alpn = conf->tls.alpn + (h2 ? 0 : 1),
		.alpn_count = conf->tls.alpn_count - (h2 ? 0 : 1),
		.without_tickets = !conf->tls.tickets,
		.client_auth = auths[conf->tls.client.mode],
		.client_ca = conf->tls.client.ca,
		.client_crl = conf->tls.client.crl};
	u32 before = tls_wire_contexts();
	struct tls_error error;

	for (u32 i = 0; i < options.file_count; i++)
		files[i] = (struct tls_files){.cert = conf->tls.certificates[i].cert,
			.key = conf->tls.certificates[i].key};
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
	struct rng dice = tls_wire_dice();
	struct tls_error error;

	if (!world->has_tls)
		return;
	if (!kept[0].env)
		make_envs(world->loop);
	if (!rng_one_in(&world->tls_rng, anew_one_in)) {
		snapshot->secure = arena_zalloc(snapshot->arena, sizeof(pointers));
		for (u32 i = 0; i < ENV_COUNT; i++)
			snapshot->secure[i] = assemble(i, snapshot);
		tls_wire_put_dice(dice);
		return;
	}
	tls_wire_put_dice(dice);
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
	tls_check_counts(world);
}

void tls_check_gone(struct world *world)
{
	struct ssl_session_st **sessions;
	u32 contexts = of_others;

	if (!world->has_tls)
		return;
	sessions = &world->tls_sessions->all[0][0][0][0][0];
	for (u32 i = 0; i < sizeof(*world->tls_sessions) / sizeof(sessions[0]); i++)
		tls_wire_session_free(&sessions[i]);
	for (u32 i = 0; i < ENV_COUNT; i++) {
		contexts += kept[i].contexts;
		if (kept[i].env->refs != kept[i].refs)
			world_fail(world, "an environment of TLS is never let go");
	}
	if (tls_wire_contexts() != contexts)
		world_fail(world, "%d contexts of TLS are never let go",
			(int)(tls_wire_contexts() - contexts));
}

void tls_forget(void)
{
	memset(kept, 0, sizeof(kept));
	of_others = tls_wire_contexts();
}
