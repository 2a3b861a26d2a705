// SPDX-License-Identifier: Apache-2.0
// Settings about failure that contradict each other, or do nothing.
#include "conf/build.h"
#include "conf/shape.h"
#include "conf/value.h"

static void check_probe(struct build *build, const struct conf_pool *pool)
{
	const struct health_rules *rules = &pool->check.rules;
	const struct node *section = build_section(build, pool, "health_check");
	struct err *err;

	// Longer than the fast interval is usual: probes of one backend do not overlap.
	if (!section || pool->check.type == CONF_CHECK_NONE ||
		rules->timeout_ms <= rules->interval_ms)
		return;
	err = report_key(build->report, CODE_CHECK_OVERLAPS, section,
		"the checks of pool '%.*s' may take longer (timeout %s) than the time between them "
		"(interval %s)",
		CLIP(pool->name), value_format_duration(build->arena, rules->timeout_ms),
		value_format_duration(build->arena, rules->interval_ms));
	report_advice(build->report, err, "a hanging backend is found only after %u x timeout",
		rules->unhealthy_threshold);
}

// Whether somebody asked for something else than what stands there anyway: what weir itself writes
// down (conf_keep) has all defaults in it.
static bool says_more(const struct node *node, enum schema_map_id map, const char *key)
{
	const struct schema_key *of = schema_find(map, str_from(key));

	if (node && node->kind == NODE_LIST && node->count == 1)
		node = node->first;
	return node && !node->is_default &&
	       (node->kind != NODE_TEXT || !of || !of->default_text ||
		       !str_eq(node->text, str_from(of->default_text)));
}

static bool speaks_of(const struct node *section, const char *key)
{
	const struct node *expect = node_get(section, STR("expect"));

	if (strcmp(key, "expect") != 0)
		return says_more(node_get(section, str_from(key)), SCHEMA_health_check, key);
	return says_more(node_get(expect, STR("body")), SCHEMA_check_expect, "body") ||
	       says_more(node_get(expect, STR("status")), SCHEMA_check_expect, "status");
}

static void report_page(struct build *build, const struct conf_pool *pool,
	const struct node *section, const char *key)
{
	bool is_grpc = pool->check.type == CONF_CHECK_GRPC;

	report_advice(build->report,
		report_key(build->report, is_grpc ? CODE_CONFLICT : CODE_NOT_USED,
			node_get(section, str_from(key)),
			"pools.%.*s.health_check has '%s', but a check of type %s asks for no page",
			CLIP(pool->name), key, is_grpc ? "grpc" : "tcp"),
		is_grpc ? "'service' says what is asked about, like shop.v1.Cart; without it the "
			  "whole server"
			: "leave it out, or set type to http");
}

// Of what is said of a page, what a check of another type has no use for. What only the defaults
// say of it is left out of the effective configuration.
static void check_page(struct build *build, const struct conf_pool *pool)
{
	static const char *const keys[] = {"path", "method", "expect"};
	const struct node *section = build_section(build, pool, "health_check");
	bool is_grpc = pool->check.type == CONF_CHECK_GRPC;

	if (!is_grpc && pool->check.type != CONF_CHECK_TCP)
		return;
	for (u32 i = 0; i < pool->backend_count; i++)
		if (pool->backends[i].check.path.len)
			report_at(build->report, is_grpc ? CODE_CONFLICT : CODE_NOT_USED,
				pool->backends[i].place, 1,
				"backend %.*s has a health_check.path of its own, but the checks "
				"of "
				"pool '%.*s' are of type %s and ask for no page",
				CLIP(pool->backends[i].address), CLIP(pool->name),
				is_grpc ? "grpc" : "tcp");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct node *node = node_get(section, str_from(keys[i]));

		if (speaks_of(section, keys[i]))
			report_page(build, pool, section, keys[i]);
		else if (node)
			node_remove((struct node *)(uintptr_t)section, node);
	}
}

// gRPC is HTTP/2: a backend that is spoken to otherwise could not answer.
static void check_grpc(struct build *build, const struct conf_pool *pool)
{
	const struct node *section = build_section(build, pool, "health_check");
	bool is_grpc = pool->check.type == CONF_CHECK_GRPC;
	// Of rows from elsewhere, those that are not are left out when they come.
	bool is_h2 = pool->protocol == CONF_POOL_H2 || pool->backend_count > 0 ||
		     shape_is_fed(build->root, pool->name);
	struct err *err;

	if (!section)
		return;
	if (pool->check.service.len && !is_grpc)
		report_key(build->report, CODE_CONFLICT, section,
			"pools.%.*s.health_check names a 'service': that is for type grpc only",
			CLIP(pool->name));
	for (u32 i = 0; i < pool->backend_count; i++)
		is_h2 &= pool->backends[i].is_h2;
	if (!is_grpc || is_h2)
		return;
	err = report_key(build->report, CODE_CONFLICT, section,
		"pools.%.*s is checked by gRPC, but not all of its backends are spoken to by "
		"HTTP/2",
		CLIP(pool->name));
	report_advice(build->report, err,
		"protocol: h2 for the whole pool, or h2c:// (h2:// with TLS) in front of each "
		"address");
}

static u32 count_weighted(const struct conf_pool *pool)
{
	u32 count = 0;

	for (u32 i = 0; i < pool->backend_count; i++)
		count += pool->backends[i].weight > 0;
	return count;
}

static void check_breaker(struct build *build, const struct conf_pool *pool)
{
	const struct breaker_rules *rules = &pool->breaker;
	const struct node *section = build_section(build, pool, "circuit_breaker");
	struct share share = {.total = count_weighted(pool)};

	if (!section)
		return;
	if (rules->failure_threshold == 0 && rules->error_percent == 0)
		report_key(build->report, CODE_NEVER_OPENS, section,
			"the circuit breaker of pool '%.*s' can never open: failure_threshold and "
			"error_rate are both none",
			CLIP(pool->name));
	else if (share.total && !share_has_room(&share, rules->share_percent))
		report_key(build->report, CODE_NEVER_OPENS, section,
			"the circuit breaker of pool '%.*s' can never open: max_ejected %u%% of "
			"%u backend%s is less than one",
			CLIP(pool->name), rules->share_percent, share.total,
			share.total == 1 ? "" : "s");
	if (rules->open_ms > rules->open_ms_max)
		report_key(build->report, CODE_CONFLICT, section,
			"pools.%.*s.circuit_breaker.open_for (%s) is longer than open_for_max (%s)",
			CLIP(pool->name), value_format_duration(build->arena, rules->open_ms),
			value_format_duration(build->arena, rules->open_ms_max));
}

// The share that may be out is the breaker's, too. Failed connects do not ask for it.
static void check_streaks(
	struct build *build, const struct conf_pool *pool, const struct node *section)
{
	const struct ejection_rules *rules = &pool->ejection;
	struct share share = {.total = count_weighted(pool)};

	if ((rules->errors || rules->timeouts) && share.total &&
		!share_has_room(&share, pool->breaker.share_percent))
		report_key(build->report, CODE_NEVER_EJECTS, section,
			"pools.%.*s.outliers can never eject by %s: circuit_breaker.max_ejected "
			"%u%% of %u backend%s is less than one",
			CLIP(pool->name), rules->errors ? "errors" : "timeouts",
			pool->breaker.share_percent, share.total, share.total == 1 ? "" : "s");
}

static void check_outliers(struct build *build, const struct conf_pool *pool)
{
	const struct ejection_rules *rules = &pool->ejection;
	const struct node *section = build_section(build, pool, "outliers");

	if (!section)
		return;
	if (rules->base_ms > rules->max_ms)
		report_key(build->report, CODE_CONFLICT, section,
			"pools.%.*s.outliers.eject_for (%s) is longer than eject_for_max (%s)",
			CLIP(pool->name), value_format_duration(build->arena, rules->base_ms),
			value_format_duration(build->arena, rules->max_ms));
	check_streaks(build, pool, section);
	if (pool->success_rate.enabled &&
		count_weighted(pool) < pool->success_rate.rules.backends_min)
		report_key(build->report, CODE_NEVER_EJECTS, section,
			"pools.%.*s.outliers.success_rate can never eject: the pool has %u "
			"backends, and backends_min is %u",
			CLIP(pool->name), count_weighted(pool),
			pool->success_rate.rules.backends_min);
}

// Something may have to be waited for.
static bool has_bound(const struct conf_pool *pool)
{
	for (u32 i = 0; i < pool->backend_count; i++)
		if (pool->backends[i].max_connections)
			return true;
	return pool->limits.requests || pool->limits.adaptive;
}

static void check_shed(
	struct build *build, const struct conf_pool *pool, const struct node *section)
{
	u64 target_ms = pool->limits.shed.target_ms, queue_ms = pool->timeouts.queue_ms;

	if (target_ms && target_ms >= queue_ms)
		report_key(build->report, CODE_NEVER_SHED, section,
			"pools.%.*s.limits.shed.target (%s) never counts: nobody waits longer than "
			"timeouts.queue (%s)",
			CLIP(pool->name), value_format_duration(build->arena, target_ms),
			value_format_duration(build->arena, queue_ms));
	else if (target_ms && !has_bound(pool))
		report_advice(build->report,
			report_key(build->report, CODE_NEVER_SHED, section,
				"pools.%.*s.limits.shed never counts: nothing bounds the pool, so "
				"nobody waits",
				CLIP(pool->name)),
			"max_connections of its backends, limits.requests or limits.adaptive");
}

static void check_limits(struct build *build, const struct conf_pool *pool)
{
	const struct gradient_rules *rules = &pool->limits.gradient;
	const struct node *section = build_section(build, pool, "limits");

	if (!section)
		return;
	if (rules->limit_min > rules->limit_start || rules->limit_start > rules->limit_max)
		report_key(build->report, CODE_CONFLICT, section,
			"pools.%.*s.limits.adaptive: min %u, start %u and max %u are not in this "
			"order",
			CLIP(pool->name), rules->limit_min, rules->limit_start, rules->limit_max);
	check_shed(build, pool, section);
}

// When the last try begins at the latest, after tries that each took as long as they may.
static u64 last_try_ms(const struct conf_retry *retry, const struct conf_pool *pool)
{
	u64 one = retry->try_timeout_ms ? retry->try_timeout_ms : pool->timeouts.connect_ms;
	u64 sum = 0;

	for (u32 i = 0; i + 1 < retry->rules.attempts_max; i++)
		sum += one + retry_backoff_ms(&retry->rules, i, 0);
	return sum;
}

// `node`: the key that is to blame, or NULL: what stands at `place`.
static void check_retry_time(struct build *build, const struct node *node, struct place place,
	const char *where, const struct conf_retry *retry, const struct conf_pool *pool,
	u64 request_ms)
{
	const char *message;
	u64 last_ms;

	if (request_ms == 0 || retry->rules.attempts_max < 2)
		return;
	last_ms = last_try_ms(retry, pool);
	if (last_ms < request_ms)
		return;
	message = arena_printf(build->arena,
		"%s: the last of %u tries may begin only after %s, but timeouts.request ends the "
		"request after %s",
		where, retry->rules.attempts_max, value_format_duration(build->arena, last_ms),
		value_format_duration(build->arena, request_ms));
	report_advice(build->report,
		node ? report_key(build->report, CODE_RETRY_TOO_LONG, node, "%s", message)
		     : report_at(build->report, CODE_RETRY_TOO_LONG, place, 1, "%s", message),
		"a shorter %s leaves time for another backend",
		retry->try_timeout_ms ? "retry.try_timeout" : "timeouts.connect");
}

static u64 shorter(u64 a, u64 b)
{
	return a && b ? MIN(a, b) : MAX(a, b);
}

static void check_try_timeout(
	struct build *build, const struct conf_pool *pool, const struct node *section)
{
	const struct conf_retry *retry = &pool->retry;
	const char *tried = value_format_duration(build->arena, retry->try_timeout_ms);

	if (retry->try_timeout_ms == 0)
		return;
	if (retry->rules.attempts_max < 2)
		report_key(build->report, CODE_NEVER_RETRIED, section,
			"pools.%.*s.retry.try_timeout (%s) never passes: max_attempts is 1, and "
			"the "
			"last try has timeouts.response",
			CLIP(pool->name), tried);
	else if (!(retry->rules.causes & RETRY_CAUSE_BIT(RETRY_TIMEOUT)))
		report_key(build->report, CODE_NEVER_RETRIED, section,
			"pools.%.*s.retry.try_timeout (%s) never passes: `when` does not name "
			"timeout",
			CLIP(pool->name), tried);
	else if (retry->try_timeout_ms >= pool->timeouts.response_ms)
		report_key(build->report, CODE_NEVER_RETRIED, section,
			"pools.%.*s.retry.try_timeout (%s) never passes: timeouts.response (%s) "
			"ends the request first",
			CLIP(pool->name), tried,
			value_format_duration(build->arena, pool->timeouts.response_ms));
}

static void check_retry(struct build *build, const struct conf_pool *pool)
{
	const struct conf_retry *retry = &pool->retry;
	const struct node *section = build_section(build, pool, "retry");
	const struct node *hedge = build_section(build, pool, "hedge");

	if (hedge && pool->hedge.percent && !retry->rules.has_budget)
		report_key(build->report, CODE_CONFLICT, hedge,
			"pools.%.*s.hedge needs a retry.budget: copies are bounded by it",
			CLIP(pool->name));
	if (section)
		check_try_timeout(build, pool, section);
	if (section && retry->rules.backoff_base_ms > retry->rules.backoff_max_ms)
		report_key(build->report, CODE_CONFLICT, section,
			"pools.%.*s.retry.backoff.base (%s) is longer than its max (%s)",
			CLIP(pool->name),
			value_format_duration(build->arena, retry->rules.backoff_base_ms),
			value_format_duration(build->arena, retry->rules.backoff_max_ms));
	check_retry_time(build, section ? section : build_section(build, pool, "timeouts"),
		pool->place, arena_printf(build->arena, "pool '%.*s'", CLIP(pool->name)), retry,
		pool, pool->timeouts.request_ms);
}

// A route and its frontend may set a deadline that the pool's retries do not fit into. `route` is
// NULL for all that have no settings of their own.
static void check_route_time(struct build *build, const struct conf_frontend *frontend,
	const struct conf_route *route, const struct conf_pool *pool)
{
	const struct conf_retry *retry = route && route->retry ? route->retry : &pool->retry;
	bool is_own = route && route->request_timeout_ms != CONF_NOT_SET;
	u64 bound = is_own ? route->request_timeout_ms
			   : shorter(frontend->timeouts.request_ms, pool->timeouts.request_ms);

	if (!is_own && frontend->timeouts.request_ms == 0 && !(route && route->retry))
		return; // the pool's own settings are looked at with the pool
	check_retry_time(build, route ? NULL : build_frontend_section(build, frontend, "timeouts"),
		route ? route->place : frontend->place,
		arena_printf(build->arena, "%s%.*s to pool '%.*s'", route ? "route " : "frontends.",
			CLIP(route ? route->name : frontend->name), CLIP(pool->name)),
		retry, pool, bound);
}

// Taking over for each other, nobody would.
static void check_failover(struct build *build, const struct conf_pool *pool)
{
	const struct conf_pool *at = pool;

	for (u32 i = 0; i <= build->conf->pool_count && at->failover >= 0; i++) {
		at = &build->conf->pools[at->failover];
		if (at != pool)
			continue;
		report_key(build->report, CODE_CONFLICT, build_section(build, pool, "failover"),
			"the failover of pool '%.*s' leads back to it", CLIP(pool->name));
		return;
	}
}

static void check_access(struct build *build, const struct conf_frontend *frontend)
{
	for (u32 i = 0; i < frontend->access.deny_count; i++) {
		const struct addr_prefix *prefix = &frontend->access.deny[i];

		if (prefix->bits)
			continue;
		report_key(build->report, CODE_DENIES_ALL,
			build_frontend_section(build, frontend, "deny"),
			"frontends.%.*s denies every IPv%d address", CLIP(frontend->name),
			prefix->addr.family == ADDR_V4 ? 4 : 6);
	}
}

// Each pool once, and each route that has settings of its own.
static void check_deadlines(struct build *build, const struct conf_frontend *frontend)
{
	const struct conf_pool *pools = build->conf->pools;
	bool *seen = arena_zalloc(build->arena, build->conf->pool_count + 1u);

	if (frontend->pool >= 0) {
		seen[frontend->pool] = true;
		check_route_time(build, frontend, NULL, &pools[frontend->pool]);
	}
	for (u32 i = 0; i < frontend->route_count; i++) {
		const struct conf_route *route = &frontend->routes[i];
		bool is_own = route->request_timeout_ms != CONF_NOT_SET || route->retry;

		for (u32 j = 0; j < route->split_count; j++) {
			u32 pool = route->splits[j].pool;

			if (!is_own && seen[pool])
				continue;
			seen[pool] |= !is_own;
			check_route_time(build, frontend, is_own ? route : NULL, &pools[pool]);
		}
	}
}

// The client's TLS would go on inside of another one, which no backend expects.
static void check_passed_pool(
	struct build *build, const struct conf_frontend *frontend, const struct conf_pool *pool)
{
	struct err *err;

	for (u32 i = 0; i < pool->backend_count; i++) {
		if (!pool->backends[i].tls.enabled)
			continue;
		err = report_key(build->report, CODE_CONFLICT,
			build_frontend_section(build, frontend, "protocol"),
			"frontends.%.*s passes TLS on as it comes, but %.*s of pool '%.*s' is "
			"spoken to by TLS, too",
			CLIP(frontend->name), CLIP(pool->backends[i].id), CLIP(pool->name));
		report_advice(build->report, err,
			"leave out https:// or 'tls' there, or let the frontend end TLS "
			"(protocol: http, with 'tls')");
		return;
	}
}

static void check_passthrough(struct build *build, const struct conf_frontend *frontend)
{
	for (u32 i = 0; i < build->conf->pool_count; i++)
		if (build_leads_to(frontend, (i32)i))
			check_passed_pool(build, frontend, &build->conf->pools[i]);
}

static void check_frontend(struct build *build, const struct conf_frontend *frontend)
{
	check_access(build, frontend);
	if (frontend->protocol == CONF_HTTP)
		check_deadlines(build, frontend);
	else if (frontend->protocol == CONF_TLS_PASSTHROUGH)
		check_passthrough(build, frontend);
}

void build_check_rules(struct build *build)
{
	for (u32 i = 0; i < build->conf->pool_count; i++) {
		const struct conf_pool *pool = &build->conf->pools[i];

		check_probe(build, pool);
		check_page(build, pool);
		check_grpc(build, pool);
		check_breaker(build, pool);
		check_outliers(build, pool);
		check_retry(build, pool);
		check_limits(build, pool);
		check_failover(build, pool);
	}
	for (u32 i = 0; i < build->conf->frontend_count; i++)
		check_frontend(build, &build->conf->frontends[i]);
}
