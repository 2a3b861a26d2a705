// SPDX-License-Identifier: Apache-2.0
// Settings of how a backend is chosen that contradict each other, or do nothing.
#include "conf/build.h"

enum { rendezvous_max = 64, uses_max = 500 };

static bool hashes(const struct conf_pool *pool)
{
	return pool->algorithm == CONF_IP_HASH || pool->algorithm == CONF_CONSISTENT_HASH ||
	       pool->algorithm == CONF_MAGLEV || pool->algorithm == CONF_RENDEZVOUS;
}

static struct err *report_unused(struct build *build, const struct node *node,
	const struct conf_pool *pool, const char *key, const char *why)
{
	return report_key(build->report, CODE_NOT_USED, node, "pools.%.*s.%s changes nothing: %s",
		CLIP(pool->name), key, why);
}

static const char *algorithm_of(const struct build *build, const struct conf_pool *pool)
{
	return node_get(node_get(build->pools, pool->name), STR("algorithm"))->text.ptr;
}

static void check_cost(struct build *build, const struct conf_pool *pool)
{
	if (pool->algorithm != CONF_RENDEZVOUS || pool->backend_count <= rendezvous_max)
		return;
	report_advice(build->report,
		report_key(build->report, CODE_LINEAR, build_section(build, pool, "algorithm"),
			"rendezvous looks at each of the %u backends of pool '%.*s' for every "
			"request",
			pool->backend_count, CLIP(pool->name)),
		"above %d backends maglev or consistent_hash does the same for less",
		rendezvous_max);
}

// A share that grows wants an algorithm that gives shares.
static void check_slow_start(struct build *build, const struct conf_pool *pool)
{
	const struct node *section = build_section(build, pool, "slow_start");
	const char *why;

	if (!hashes(pool) && pool->algorithm != CONF_FIRST)
		return;
	why = arena_printf(
		build->arena, "algorithm %s has no slow start", algorithm_of(build, pool));
	if (section && pool->slow_start_ms)
		report_unused(build, section, pool, "slow_start", why);
	for (u32 i = 0; i < pool->backend_count; i++) {
		if (!pool->backends[i].slow_start_ms)
			continue;
		report_at(build->report, CODE_NOT_USED, pool->backends[i].place, 1,
			"slow_start of backend '%.*s' changes nothing: %s",
			CLIP(pool->backends[i].id), why);
		return;
	}
}

static void check_hash(struct build *build, const struct conf_pool *pool)
{
	const struct node *section = build_section(build, pool, "hash");
	const struct conf_hash *hash = &pool->hash;

	if (!section)
		return;
	if (!hashes(pool))
		report_advice(build->report,
			report_key(build->report, CODE_NOT_HASHED, section,
				"pools.%.*s.hash changes nothing: its algorithm does not hash",
				CLIP(pool->name)),
			"algorithm: consistent_hash");
	if (pool->algorithm != CONF_IP_HASH)
		return;
	if (hash->part_count > 1 || hash->parts[0].kind != CONF_HASH_CLIENT_IP)
		report_advice(build->report,
			report_unused(build, node_get(section, STR("by")), pool, "hash.by",
				"ip_hash takes the client's address"),
			"algorithm: consistent_hash");
	if (hash->load_percent)
		report_advice(build->report,
			report_unused(build, node_get(section, STR("max_load")), pool,
				"hash.max_load", "ip_hash bounds no load"),
			"algorithm: consistent_hash");
}

// Which of its keys count depends on where the load is from.
static void check_prequal(struct build *build, const struct conf_pool *pool)
{
	static const struct {
		const char *key;
		bool in_header, in_probe; // nowhere else
	} rows[] = {{"header", true, true}, {"age_max", true, true}, {"probe", false, true},
		{"probes", false, true}, {"pool", false, true}, {"removals", false, true},
		{"reuse_max", false, true}};
	const struct node *section = build_section(build, pool, "prequal");
	enum conf_prequal_load load = pool->prequal.load;

	if (!section)
		return;
	if (pool->algorithm != CONF_PREQUAL) {
		report_advice(build->report,
			report_unused(build, section, pool, "prequal",
				arena_printf(build->arena, "its algorithm is %s",
					algorithm_of(build, pool))),
			"algorithm: prequal");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct node *node = node_get(section, str_from(rows[i].key));

		if (node->is_default || (load == CONF_PREQUAL_HEADER && rows[i].in_header) ||
			(load == CONF_PREQUAL_PROBE && rows[i].in_probe))
			continue;
		report_unused(build, node, pool,
			arena_printf(build->arena, "prequal.%s", rows[i].key),
			arena_printf(build->arena, "load is %s",
				node_get(section, STR("load"))->text.ptr));
	}
}

// ---- Cookies ------------------------------------------------------------------------------------

// What browsers ask of a cookie (RFC 6265bis, sections 4.1.2 and 4.1.3), and ours does not have.
static const char *find_refusal(const struct conf *conf, const struct conf_sticky *sticky)
{
	bool is_secure = sticky->secure;
	bool is_host = str_starts(sticky->name, STR("__Host-"));

	if (is_host && !str_eq(sticky->path, STR("/")))
		return "is called __Host-, but its path is not /";
	for (u32 i = 0; i < conf->frontend_count; i++)
		is_secure |= sticky->secure_auto && conf->frontends[i].tls.enabled;
	if (is_secure)
		return NULL;
	if (is_host || str_starts(sticky->name, STR("__Secure-")))
		return "is called __Host- or __Secure-, but is not secure";
	return sticky->same_site == CONF_SAME_SITE_NONE ? "has same_site none, but is not secure"
							: NULL;
}

// A pool that was given no secret.
static void check_own_secret(
	struct build *build, const struct conf_pool *pool, const struct node *section)
{
	struct err *err;

	if (build->machine_id && pool->sticky.secret.len == 0)
		err = report_key(build->report, CODE_EXPOSED_SECRET, section,
			"anybody can make the cookies of pool '%.*s': pools.%.*s.sticky has no "
			"secret, and there is no %s in its place",
			CLIP(pool->name), CLIP(pool->name), build->machine_id);
	else
		err = report_key(build->report, CODE_NO_SECRET, section,
			"the cookies of pool '%.*s' are bound to this machine: "
			"pools.%.*s.sticky has no secret",
			CLIP(pool->name), CLIP(pool->name));
	report_advice(build->report, err,
		"several instances need one, like secret: ${WEIR_STICKY_SECRET}");
}

static void check_sticky(struct build *build, const struct conf_pool *pool)
{
	const struct node *section = build_section(build, pool, "sticky");
	const char *refusal;

	if (!section)
		return;
	refusal = find_refusal(build->conf, &pool->sticky);
	if (refusal)
		report_advice(build->report,
			report_key(build->report, CODE_COOKIE_REFUSED, section,
				"browsers refuse the cookie of pool '%.*s': it %s",
				CLIP(pool->name), refusal),
			"secure: true, where clients come by TLS");
	if (!node_get(section, STR("secret")))
		check_own_secret(build, pool, section);
}

// A pool that requests for some hosts may come to.
struct use {
	struct str host; // as in struct conf_match
	bool is_suffix;
	bool takes_all; // requests for these hosts
	const void *from;
	const struct conf_pool *pool;
};

static bool share_a_host(const struct use *a, const struct use *b)
{
	if (a->host.len == 0 || b->host.len == 0)
		return true;
	if (!a->is_suffix && !b->is_suffix)
		return str_eq(a->host, b->host);
	return (a->is_suffix && str_ends(b->host, a->host)) ||
	       (b->is_suffix && str_ends(a->host, b->host));
}

static bool clash(const struct use *earlier, const struct use *later)
{
	const struct conf_sticky *a = &earlier->pool->sticky, *b = &later->pool->sticky;

	return earlier->pool != later->pool && str_eq(a->name, b->name) &&
	       (str_starts(a->path, b->path) || str_starts(b->path, a->path)) &&
	       (earlier->from == later->from ||
		       (!earlier->takes_all && share_a_host(earlier, later)));
}

static void add_use(struct build *build, struct use *uses, u32 *count, struct use use)
{
	if (!use.pool->sticky.enabled)
		return;
	for (u32 i = 0; i < *count; i++) {
		if (!clash(&uses[i], &use))
			continue;
		report_advice(build->report,
			report_key(build->report, CODE_COOKIES_CLASH,
				build_section(build, use.pool, "sticky"),
				"pools '%.*s' and '%.*s' serve the same site, and both call their "
				"cookie '%.*s': each replaces the other's",
				CLIP(uses[i].pool->name), CLIP(use.pool->name),
				CLIP(use.pool->sticky.name)),
			"give one of them another name");
		break;
	}
	if (*count < uses_max)
		uses[(*count)++] = use;
}

static void check_cookies(struct build *build, const struct conf_frontend *frontend)
{
	struct use *uses = arena_zalloc(build->arena, sizeof(*uses) * uses_max);
	const struct conf_pool *pools = build->conf->pools;
	u32 count = 0;

	for (u32 i = 0; i < frontend->route_count && count < uses_max; i++) {
		const struct conf_match *match = &frontend->routes[i].match;

		for (u32 j = 0; j < frontend->routes[i].split_count; j++)
			add_use(build, uses, &count,
				(struct use){match->host, match->host_is_suffix,
					!match->path.len && !match->method_count &&
						!match->header_count && !match->cert.verified,
					match, &pools[frontend->routes[i].splits[j].pool]});
	}
	if (frontend->pool >= 0)
		add_use(build, uses, &count, (struct use){.pool = &pools[frontend->pool]});
}

// ---- Connections without requests ---------------------------------------------------------------

bool build_leads_to(const struct conf_frontend *frontend, i32 pool)
{
	for (u32 i = 0; i < frontend->route_count; i++)
		for (u32 j = 0; j < frontend->routes[i].split_count; j++)
			if ((i32)frontend->routes[i].splits[j].pool == pool)
				return true;
	return frontend->pool == pool;
}

static bool has_requests(const struct build *build, i32 pool)
{
	for (u32 i = 0; i < build->conf->frontend_count; i++) {
		const struct conf_frontend *frontend = &build->conf->frontends[i];

		if (frontend->protocol == CONF_HTTP && build_leads_to(frontend, pool))
			return true;
	}
	return false;
}

// What learns from answers finds none.
static void check_learning(struct build *build, const struct conf_frontend *frontend,
	const struct conf_pool *pool, const char *why)
{
	const struct node *hedge = build_section(build, pool, "hedge");
	const struct node *limits = build_section(build, pool, "limits");

	if (has_requests(build, frontend->pool))
		return;
	if (hedge && pool->hedge.percent)
		report_unused(build, hedge, pool, "hedge", why);
	if (limits && pool->limits.adaptive)
		report_advice(build->report,
			report_key(build->report, CODE_NOT_USED, node_get(limits, STR("adaptive")),
				"pools.%.*s.limits.adaptive does not adapt, and stays at %u: %s",
				CLIP(pool->name), pool->limits.gradient.limit_start, why),
			"max_connections of its backends bounds connections");
}

static void check_tcp(struct build *build, const struct conf_frontend *frontend)
{
	const struct conf_pool *pool = &build->conf->pools[frontend->pool];
	const struct node *sticky = build_section(build, pool, "sticky");
	const struct node *hash = build_section(build, pool, "hash");
	const struct node *prequal = build_section(build, pool, "prequal");
	const char *why = arena_printf(build->arena,
		"frontends.%.*s, whose protocol is tcp, has no requests", CLIP(frontend->name));

	check_learning(build, frontend, pool, why);
	if (sticky)
		report_unused(build, sticky, pool, "sticky", why);
	if (prequal && pool->algorithm == CONF_PREQUAL && pool->prequal.load == CONF_PREQUAL_HEADER)
		report_unused(build, node_get(prequal, STR("load")), pool, "prequal.load", why);
	for (u32 i = 0; hash && hashes(pool) && i < pool->hash.part_count; i++) {
		if (pool->hash.parts[i].kind == CONF_HASH_CLIENT_IP ||
			pool->algorithm == CONF_IP_HASH)
			continue;
		report_unused(build, node_get(hash, STR("by")), pool, "hash.by", why);
		return;
	}
}

static bool speaks_of_a_page(const struct node *check)
{
	static const char *const keys[] = {"path", "method", "host", "expect"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct node *node = node_get(check, str_from(keys[i]));

		if (node && !node->is_default)
			return true;
	}
	return false;
}

// Who says how often to check, and nothing of a page, does not want strangers to be asked for one.
static void settle_check(struct build *build, u32 index)
{
	struct conf_pool *pool = &build->pool_list[index];
	const struct node *check = build_section(build, pool, "health_check");
	struct node *type = node_get(check, STR("type"));

	if (!type || !type->is_default || speaks_of_a_page(check) ||
		has_requests(build, (i32)index))
		return;
	pool->check.type = CONF_CHECK_AUTO; // which connects, where only TCP frontends send to
	build_canonical(build, type, "auto", false);
}

void build_check_choice(struct build *build)
{
	for (u32 i = 0; i < build->conf->pool_count; i++)
		settle_check(build, i);
	for (u32 i = 0; i < build->conf->pool_count; i++) {
		const struct conf_pool *pool = &build->conf->pools[i];

		check_cost(build, pool);
		check_slow_start(build, pool);
		check_hash(build, pool);
		check_prequal(build, pool);
		check_sticky(build, pool);
	}
	for (u32 i = 0; i < build->conf->frontend_count; i++) {
		if (build->conf->frontends[i].protocol == CONF_HTTP)
			check_cookies(build, &build->conf->frontends[i]);
		else if (build->conf->frontends[i].pool >= 0)
			check_tcp(build, &build->conf->frontends[i]);
	}
}
