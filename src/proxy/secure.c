// SPDX-License-Identifier: Apache-2.0
#include "proxy/secure.h"

#include "base/mem.h"

bool secure_is_wanted(const struct conf *conf)
{
	for (u32 i = 0; i < conf->frontend_count; i++)
		if (conf->frontends[i].tls.enabled)
			return true;
	for (u32 i = 0; i < conf->pool_count; i++)
		for (u32 j = 0; j < conf->pools[i].backend_count; j++)
			if (conf->pools[i].backends[j].tls.enabled)
				return true;
	return false;
}

static enum tls_version_min version_of(enum conf_tls_version version)
{
	return version == CONF_TLS_1_3 ? TLS_MIN_1_3 : TLS_MIN_1_2;
}

// ---- Frontends ----------------------------------------------------------------------------------

// What may be agreed on. Returns how many.
static u32 list_protocols(const struct conf_frontend *conf, struct str *protocols)
{
	u32 count = 0;

	for (u32 i = 0; i < conf->tls.alpn_count; i++)
		if (conf->http.h2 || !str_eq(conf->tls.alpn[i], STR("h2")))
			protocols[count++] = conf->tls.alpn[i];
	return count;
}

static struct tls_server *build_server(
	struct tls_env *env, const struct conf_frontend *conf, struct tls_error *ret_error)
{
	static const enum tls_client_auth auths[] = {
		[CONF_CLIENT_CERT_NONE] = TLS_CLIENT_NONE,
		[CONF_CLIENT_CERT_OPTIONAL] = TLS_CLIENT_OPTIONAL,
		[CONF_CLIENT_CERT_REQUIRED] = TLS_CLIENT_REQUIRED,
	};
	const struct conf_frontend_tls *tls = &conf->tls;
	struct tls_files *files = mem_alloc(sizeof(*files) * MAX(tls->certificate_count, 1));
	struct str *protocols = mem_alloc(sizeof(*protocols) * MAX(tls->alpn_count, 1));
	struct tls_server_options options = {.name = conf->name,
		.files = files,
		.file_count = tls->certificate_count,
		.version_min = version_of(tls->min_version),
		.alpn = protocols,
		.alpn_count = list_protocols(conf, protocols),
		.without_tickets = !tls->tickets,
		.client_auth = auths[tls->client.mode],
		.client_ca = tls->client.ca,
		.client_crl = tls->client.crl};
	struct tls_server *server;

	for (u32 i = 0; i < tls->certificate_count; i++)
		files[i] = (struct tls_files){.cert = tls->certificates[i].cert,
			.key = tls->certificates[i].key,
			.ocsp = tls->certificates[i].ocsp};
	server = tls_server_new(env, &options, ret_error);
	mem_free(protocols);
	mem_free(files);
	return server;
}

static bool build_servers(struct tls_env *env, const struct snapshot *snapshot,
	struct tls_server **servers, struct tls_error *ret_error)
{
	for (u32 i = 0; i < snapshot->frontend_count; i++) {
		const struct frontend *frontend = snapshot->frontends[i];

		if (!frontend || !frontend->conf->tls.enabled)
			continue;
		servers[i] = build_server(env, frontend->conf, ret_error);
		if (!servers[i])
			return false;
	}
	return true;
}

static void drop_servers(struct tls_server **servers, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (servers[i])
			tls_server_unref(servers[i]);
	mem_free(servers);
}

// ---- Backends -----------------------------------------------------------------------------------

static bool same(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || str_eq(a, b));
}

static bool is_alike(const struct conf_upstream_tls *a, const struct conf_upstream_tls *b)
{
	return a->verify == b->verify && a->min_version == b->min_version && same(a->ca, b->ca) &&
	       same(a->crl, b->crl) && same(a->cert, b->cert) && same(a->key, b->key);
}

static struct tls_client *build_client(struct tls_env *env, const struct conf_backend *backend,
	const struct tls_client *like, struct tls_error *ret_error)
{
	static const struct str h1 = {"http/1.1", 8}, h2 = {"h2", 2};
	const struct conf_upstream_tls *tls = &backend->tls;
	struct tls_client_options options = {.is_unverified = !tls->verify,
		.name = tls->server_name,
		.ca = tls->ca,
		.crl = tls->crl,
		.own = {.cert = tls->cert, .key = tls->key},
		.version_min = version_of(tls->min_version),
		.alpn = backend->is_h2 ? &h2 : &h1,
		.alpn_count = 1,
		.needs_h2 = backend->is_h2};

	return tls_client_new(env, &options, like, ret_error);
}

// Backends of one pool mostly differ in their names only, and then share what is expensive.
static bool build_clients(struct tls_env *env, const struct snapshot *snapshot,
	struct tls_client **clients, struct tls_error *ret_error)
{
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		const struct pool *pool = snapshot->pools[i];
		const struct backend *last = NULL;

		for (u32 j = 0; pool && j < pool->backend_count; j++) {
			const struct backend *backend = &pool->backends[j];
			const struct conf_upstream_tls *tls = &backend->conf->tls;
			bool alike = last && last->is_h2 == backend->is_h2 &&
				     is_alike(tls, &last->conf->tls);

			if (!tls->enabled)
				continue;
			clients[backend->cell] = build_client(
				env, backend->conf, alike ? clients[last->cell] : NULL, ret_error);
			if (!clients[backend->cell])
				return false;
			last = backend;
		}
	}
	return true;
}

static void drop_clients(struct tls_client **clients, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (clients[i])
			tls_client_unref(clients[i]);
	mem_free(clients);
}

// ---- The whole ----------------------------------------------------------------------------------

// Builds both anew, and puts them in place when all is well.
static bool build(struct secure *secure, const struct snapshot *snapshot, bool with_servers,
	struct tls_error *ret_error)
{
	u32 server_count = with_servers ? snapshot->frontend_count : 0;
	u32 client_count = snapshot->backend_count;
	struct tls_server **servers = mem_alloc(sizeof(*servers) * MAX(server_count, 1));
	struct tls_client **clients = mem_alloc(sizeof(*clients) * MAX(client_count, 1));

	if ((with_servers && !build_servers(secure->env, snapshot, servers, ret_error)) ||
		!build_clients(secure->env, snapshot, clients, ret_error)) {
		drop_servers(servers, server_count);
		drop_clients(clients, client_count);
		return false;
	}
	if (secure->servers)
		drop_servers(secure->servers, secure->server_count);
	if (secure->clients)
		drop_clients(secure->clients, secure->client_count);
	secure->servers = servers;
	secure->server_count = server_count;
	secure->clients = clients;
	secure->client_count = client_count;
	return true;
}

struct secure *secure_new(const struct snapshot *snapshot, struct tls_env *env,
	const struct tls_secret *secret, u32 connections_max, bool with_servers,
	struct tls_error *ret_error)
{
	struct secure *secure = mem_alloc(sizeof(*secure));

	secure->env = env ? tls_env_ref(env) : tls_env_new(secret, connections_max);
	if (!secure->env)
		*ret_error = (struct tls_error){.text = "OpenSSL cannot be started"};
	else if (build(secure, snapshot, with_servers, ret_error))
		return secure;
	secure_free(secure);
	return NULL;
}

static void tell_of_server(const struct tls_server *server, secure_tell_fn *tell, void *context)
{
	for (u32 i = 0; i < tls_server_cert_count(server); i++) {
		const struct tls_cert *cert = tls_server_cert(server, i);

		tell(context, cert->file, cert->not_after_s);
	}
}

void secure_each_certificate(const struct snapshot *snapshot, secure_tell_fn *tell, void *context)
{
	const struct secure *secure = snapshot->secure ? snapshot->secure[0] : NULL;

	for (u32 i = 0; secure && i < secure->server_count; i++)
		if (secure->servers[i])
			tell_of_server(secure->servers[i], tell, context);
	for (u32 i = 0; secure && i < secure->client_count; i++) {
		const struct backend *backend = snapshot->backends[i];
		i64 end_s = secure->clients[i] ? tls_client_own_not_after_s(secure->clients[i]) : 0;

		if (backend && end_s)
			tell(context, backend->conf->tls.cert, end_s);
	}
}

void secure_each_staple(const struct snapshot *snapshot, secure_staple_fn *tell, void *context)
{
	const struct secure *secure = snapshot->secure ? snapshot->secure[0] : NULL;

	for (u32 i = 0; secure && i < secure->server_count; i++) {
		const struct tls_server *server = secure->servers[i];

		for (u32 j = 0; server && j < tls_server_cert_count(server); j++)
			if (tls_server_staple(server, j)->file.len)
				tell(context, tls_server_staple(server, j),
					tls_server_cert(server, j));
	}
}

void secure_free(struct secure *secure)
{
	if (!secure)
		return;
	if (secure->servers)
		drop_servers(secure->servers, secure->server_count);
	if (secure->clients)
		drop_clients(secure->clients, secure->client_count);
	tls_env_unref(secure->env);
	mem_free(secure);
}

static const struct tls_client *client_of(const struct snapshot *snapshot, u32 cell)
{
	const struct secure *secure =
		snapshot->secure ? snapshot->secure[snapshot->worker_count] : NULL;

	return secure && cell < secure->client_count ? secure->clients[cell] : NULL;
}

bool secure_reaches_alike(const struct snapshot *a, const struct snapshot *b, u32 cell)
{
	const struct backend *one = a->backends[cell], *other = b->backends[cell];
	const struct tls_client *client = client_of(a, cell), *next = client_of(b, cell);

	return one->is_h2 == other->is_h2 && one->is_tls == other->is_tls &&
	       one->pool->conf->send_proxy.version == other->pool->conf->send_proxy.version &&
	       (!client || !next || tls_client_is_same(client, next));
}
