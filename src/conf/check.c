// SPDX-License-Identifier: Apache-2.0
// What is well-formed in each part, but wrong or useless as a whole.
#include "conf/build.h"

static const struct node *written(const struct node *map, const char *key)
{
	const struct node *section = node_get(map, str_from(key));

	return section && !section->is_default ? section : NULL;
}

const struct node *build_section(
	const struct build *build, const struct conf_pool *pool, const char *key)
{
	return written(node_get(build->pools, pool->name), key);
}

const struct node *build_frontend_section(
	const struct build *build, const struct conf_frontend *frontend, const char *key)
{
	return written(node_get(build->frontends, frontend->name), key);
}

static void check_binds(struct build *build)
{
	struct node seen = {.kind = NODE_MAP};

	for (u32 i = 0; i < build->conf->frontend_count; i++) {
		const struct conf_frontend *frontend = &build->conf->frontends[i];

		for (u32 j = 0; j < frontend->bind_count; j++) {
			const struct conf_bind *bind = &frontend->binds[j];
			char text[ADDR_TEXT_MAX];
			const struct node *old;
			struct node *node;

			addr_format(&bind->addr, text);
			old = node_get(&seen, str_from(text));
			if (old) {
				report_at(build->report, CODE_NOT_UNIQUE, bind->place,
					(u32)bind->text.len,
					"%s (frontends.%.*s) is listened on already, at %s", text,
					CLIP(frontend->name),
					report_place_text(build->report, old->place));
				continue;
			}
			node = node_new(build->arena, NODE_NULL, bind->place);
			node->key = arena_str(build->arena, str_from(text));
			node_add(build->arena, &seen, node);
		}
	}
}

static void check_pools(struct build *build)
{
	for (u32 i = 0; i < build->conf->pool_count; i++) {
		const struct conf_pool *pool = &build->conf->pools[i];
		u64 weight = 0;

		if (!build->pool_is_used[i])
			report_key(build->report, CODE_UNUSED, node_get(build->pools, pool->name),
				"pool '%.*s' is defined, but nothing leads to it",
				CLIP(pool->name));
		for (u32 j = 0; j < pool->backend_count; j++)
			weight += pool->backends[j].weight;
		if (weight == 0 && pool->backend_count)
			report_key(build->report, CODE_NO_WEIGHT,
				build_section(build, pool, "backends"),
				"all backends of pool '%.*s' have weight 0: each request gets 503",
				CLIP(pool->name));
	}
}

static void check_trust(struct build *build, const struct conf_frontend *frontend)
{
	for (u32 i = 0; i < frontend->client_ip.trusted_proxy_count; i++) {
		if (frontend->client_ip.trusted_proxies[i].bits)
			continue;
		report_key(build->report, CODE_TRUSTS_ALL,
			build_frontend_section(build, frontend, "client_ip"),
			"frontends.%.*s trusts every address in trusted_proxies: each client can "
			"claim to be another",
			CLIP(frontend->name));
		return;
	}
}

static bool same_conditions(const struct conf_match *a, const struct conf_match *b)
{
	if (a->method_count || a->header_count || a->alpn_count || a->cert.verified)
		return false;
	if (a->host.len && (!str_eq(a->host, b->host) || a->host_is_suffix != b->host_is_suffix))
		return false;
	if (a->path.len == 0)
		return true;
	if (!a->path_is_prefix)
		return str_eq(a->path, b->path) && !b->path_is_prefix;
	return str_starts(b->path, a->path);
}

enum { routes_compared_max = 500 };

// Whether an earlier route takes everything that this one could.
static void check_routes(struct build *build, const struct conf_frontend *frontend)
{
	for (u32 i = 1; i < MIN(frontend->route_count, (u32)routes_compared_max); i++) {
		const struct conf_route *route = &frontend->routes[i];

		for (u32 j = 0; j < i; j++) {
			const struct conf_route *earlier = &frontend->routes[j];

			if (!same_conditions(&earlier->match, &route->match))
				continue;
			report_at(build->report, CODE_SHADOWED, route->place, 1,
				"%.*s can never be reached: %.*s at %s takes all its requests",
				CLIP(route->name), CLIP(earlier->name),
				report_place_text(build->report, earlier->place));
			break;
		}
	}
}

static bool is_loopback(const struct addr *addr)
{
	static const u8 one[16] = {[15] = 1};

	return (addr->family == ADDR_V4 && addr->ip[0] == 127) ||
	       (addr->family == ADDR_V6 && memcmp(addr->ip, one, sizeof(one)) == 0);
}

static bool is_any(const struct addr *addr)
{
	static const u8 zero[16];

	return memcmp(addr->ip, zero, sizeof(zero)) == 0;
}

static bool leads_to(const struct addr *backend, const struct addr *bind)
{
	if (addr_equal(backend, bind))
		return true;
	return bind->family != ADDR_UNIX && backend->family == bind->family &&
	       backend->port == bind->port && is_any(bind) && is_loopback(backend);
}

static void check_loop(struct build *build, const struct conf_bind *bind)
{
	for (u32 i = 0; i < build->conf->pool_count; i++) {
		const struct conf_pool *pool = &build->conf->pools[i];

		for (u32 j = 0; j < pool->backend_count; j++)
			if (leads_to(&pool->backends[j].addr, &bind->addr))
				report_at(build->report, CODE_LOOP, pool->backends[j].place,
					(u32)pool->backends[j].address.len,
					"backend %.*s of pool '%.*s' is what weir itself listens "
					"on (%.*s): requests would go round in circles",
					CLIP(pool->backends[j].address), CLIP(pool->name),
					CLIP(bind->text));
	}
}

enum { loop_binds_max = 100 };

void build_check(struct build *build)
{
	u32 bind_count = 0;

	check_binds(build);
	build_check_tls(build);
	build_finish_admin(build);
	check_pools(build);
	build_check_rules(build);
	build_check_choice(build);
	for (u32 i = 0; i < build->conf->frontend_count; i++) {
		const struct conf_frontend *frontend = &build->conf->frontends[i];

		check_trust(build, frontend);
		check_routes(build, frontend);
		build_check_builtin(build, frontend);
		for (u32 j = 0; j < frontend->bind_count && bind_count < loop_binds_max; j++)
			check_loop(build, &frontend->binds[j]), bind_count++;
	}
}
