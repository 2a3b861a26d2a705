// SPDX-License-Identifier: Apache-2.0
// Settings about TLS that contradict each other, or that leave in the clear what looks encrypted.
#include "conf/build.h"
#include "conf/scheme.h"
#include "conf/shape.h"

enum { https_port = 443 };

// ---- Backends -----------------------------------------------------------------------------------

static const struct node *first_backend(const struct build *build, const struct conf_pool *pool)
{
	const struct node *list = build_section(build, pool, "backends");

	return list && list->kind == NODE_LIST ? list->first : NULL;
}

// What somebody wrote as a backend's own `tls`; NULL: nothing.
static const struct node *own_tls(const struct node *node)
{
	const struct node *own = node_get(node, STR("tls"));

	return own && !own->is_default ? own : NULL;
}

// The scheme in front of an address says one thing, and the backend's own `tls` another.
static void check_own(struct build *build, const struct conf_pool *pool,
	const struct conf_backend *backend, const struct node *node)
{
	struct str front = scheme_text(backend->scheme, backend->is_h2);
	bool is_clear = backend->scheme == CONF_SCHEME_HTTP;
	const struct node *own = own_tls(node);

	if (!own || backend->scheme == CONF_SCHEME_NONE || (own->kind == NODE_MAP) != is_clear)
		return;
	report_advice(build->report,
		report_key(build->report, CODE_CONFLICT, own,
			"backend %.*s of pool '%.*s' is %.*s, which is %s TLS, and its 'tls' says "
			"the opposite",
			CLIP(backend->address), CLIP(pool->name), CLIP(front),
			is_clear ? "without" : "with"),
		"leave one of them out");
}

static void check_clear(struct build *build, const struct conf_pool *pool,
	const struct conf_backend *backend, const struct node *node)
{
	const struct node *address = node_get(node, STR("address"));

	if (!node || backend->scheme != CONF_SCHEME_HTTP || own_tls(node))
		return;
	report_advice(build->report,
		report_value(build->report, CODE_IN_THE_CLEAR, address ? address : node,
			"backend %.*s is spoken to in the clear, though pool '%.*s' has 'tls'",
			CLIP(backend->address), CLIP(pool->name)),
		"%s in front of it encrypts; if it is meant so, say it: {address: ..., tls: false}",
		backend->is_h2 ? "h2://" : "https://");
}

static bool has_encrypted(const struct build *build, const struct conf_pool *pool)
{
	bool has = pool->backend_count == 0 || shape_is_fed(build->root, pool->name);

	for (u32 i = 0; i < pool->backend_count; i++)
		has |= pool->backends[i].tls.enabled;
	return has;
}

// A warning only: an order that takes the last encrypted backend away must not be refused.
static void check_pool(struct build *build, const struct conf_pool *pool)
{
	const struct node *node = first_backend(build, pool);

	for (u32 i = 0; i < pool->backend_count; i++, node = node ? node->next : NULL)
		check_own(build, pool, &pool->backends[i], node);
	if (!pool->tls.enabled)
		return;
	if (!has_encrypted(build, pool)) {
		struct str front = scheme_text(pool->backends[0].scheme, pool->backends[0].is_h2);

		report_advice(build->report,
			report_key(build->report, CODE_IN_THE_CLEAR,
				build_section(build, pool, "tls"),
				"pools.%.*s.tls does nothing: all backends are spoken to in the "
				"clear, as %.*s%.*s",
				CLIP(pool->name), CLIP(front), CLIP(pool->backends[0].address)),
			"with https:// (h2:// for HTTP/2) or nothing in front of their addresses, "
			"and no 'tls: false' of their own, they are encrypted; else leave out "
			"'tls'");
		return;
	}
	node = first_backend(build, pool);
	for (u32 i = 0; i < pool->backend_count; i++, node = node ? node->next : NULL)
		check_clear(build, pool, &pool->backends[i], node);
}

// ---- Frontends ----------------------------------------------------------------------------------

static bool is_https(const struct conf_frontend *frontend)
{
	return frontend->bind_count && frontend->binds[0].addr.family != ADDR_UNIX &&
	       (frontend->protocol == CONF_TLS_PASSTHROUGH ||
		       (frontend->protocol == CONF_HTTP && frontend->tls.enabled));
}

// At the first frontend that speaks https; 0: there is none.
static u16 find_https_port(const struct build *build)
{
	for (u32 i = 0; i < build->conf->frontend_count; i++)
		if (is_https(&build->conf->frontends[i]))
			return build->conf->frontends[i].binds[0].addr.port;
	return 0;
}

// What a frontend has besides, and never uses.
static void check_unused(struct build *build, const struct conf_frontend *frontend, const char *key)
{
	const struct node *node = build_frontend_section(build, frontend, key);

	if (!node || (node->kind == NODE_LIST && node->count == 0))
		return;
	report_advice(build->report,
		report_key(build->report, CODE_CONFLICT, node,
			"frontends.%.*s sends every request to https://, so its '%s' can never be "
			"reached",
			CLIP(frontend->name), key),
		"leave out one of them; the frontend with 'tls' needs the %s", key);
}

static void check_redirect(
	struct build *build, const struct conf_frontend *frontend, u16 https_of_ours)
{
	const struct node *node = build_frontend_section(build, frontend, "redirect_https");

	if (frontend->tls.enabled) {
		report_key(build->report, CODE_CONFLICT, node,
			"frontends.%.*s has TLS itself: its redirect_https would lead in a circle",
			CLIP(frontend->name));
		return;
	}
	check_unused(build, frontend, "pool");
	check_unused(build, frontend, "routes");
	if (!https_of_ours && !build->is_partial)
		report_advice(build->report,
			report_key(build->report, CODE_NO_HTTPS, node,
				"frontends.%.*s sends every request to https:// at port %d, where "
				"no frontend listens with TLS",
				CLIP(frontend->name), https_port),
			"give one of the frontends 'tls'; it is fine if something else does so for "
			"it there");
}

// What nobody has to be told of: it is the default, and perhaps stands there because weir itself
// writes down (conf_keep) all of them.
static void drop_h2(struct build *build, struct conf_frontend *frontend, struct node *alpn)
{
	struct str *kept =
		arena_zalloc(build->arena, sizeof(*kept) * (frontend->tls.alpn_count + 1u));
	struct node *next, *child = alpn->first;
	u32 count = 0;

	for (u32 i = 0; i < frontend->tls.alpn_count && child; i++, child = next) {
		next = child->next;
		if (str_eq(frontend->tls.alpn[i], STR("h2")))
			node_remove(alpn, child);
		else
			kept[count++] = frontend->tls.alpn[i];
	}
	frontend->tls.alpn = kept;
	frontend->tls.alpn_count = count;
}

static bool is_usual(const struct conf_frontend_tls *tls)
{
	return tls->alpn_count == 2 && str_eq(tls->alpn[0], STR("h2")) &&
	       str_eq(tls->alpn[1], STR("http/1.1"));
}

static void check_alpn(struct build *build, struct conf_frontend *frontend)
{
	struct node *alpn = node_get(build_frontend_section(build, frontend, "tls"), STR("alpn"));
	bool offers = false;

	if (!alpn || alpn->kind != NODE_LIST || frontend->http.h2)
		return;
	for (u32 i = 0; i < frontend->tls.alpn_count; i++)
		offers |= str_eq(frontend->tls.alpn[i], STR("h2"));
	if (is_usual(&frontend->tls))
		drop_h2(build, frontend, alpn);
	else if (offers)
		report_advice(build->report,
			report_key(build->report, CODE_CONFLICT, alpn,
				"frontends.%.*s.tls.alpn offers h2, and http.h2 is false: nobody "
				"could choose it",
				CLIP(frontend->name)),
			"leave h2 out of alpn, or http.h2 out of the frontend");
}

void build_check_tls(struct build *build)
{
	struct conf_frontend *frontends = (struct conf_frontend *)build->conf->frontends;
	u16 port = find_https_port(build);

	for (u32 i = 0; i < build->conf->frontend_count; i++) {
		frontends[i].redirect_port = port ? port : https_port;
		if (frontends[i].redirect_https)
			check_redirect(build, &frontends[i], port);
		if (frontends[i].protocol == CONF_HTTP)
			check_alpn(build, &frontends[i]);
	}
	for (u32 i = 0; i < build->conf->pool_count; i++)
		check_pool(build, &build->conf->pools[i]);
}
