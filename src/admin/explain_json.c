// SPDX-License-Identifier: Apache-2.0
#include "admin/explain_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/http.h"

enum { cost_decimals = 3 };

static void key_bound(struct json *json, const char *key, u64 bound, u64 none)
{
	json_key(json, key);
	if (bound == none)
		json_none(json);
	else
		json_u64(json, bound);
}

// ---- The connection -----------------------------------------------------------------------------

static const char *guard_text(enum guard_answer answer)
{
	switch (answer) {
	case GUARD_IN:
	case GUARD_IN_COUNTED:
		return "may connect";
	case GUARD_GONE:
		return "its address is not known";
	case GUARD_DENIED:
		return "its address is denied";
	case GUARD_NOT_ALLOWED:
		return "its address is not among those that are allowed";
	case GUARD_UNTRUSTED:
		return "its PROXY header would not be believed";
	case GUARD_FULL:
		return "its address has as many connections as it may";
	}
	return "";
}

static void write_connection(struct json *json, const struct explain *explain)
{
	bool refused = guard_refuses((enum guard_answer)explain->guard);

	json_key_str(json, "frontend", explain->frontend);
	json_key_cstr(json, "protocol", explain->tcp ? "tcp" : "http");
	json_key_u64(json, "generation", explain->generation);
	json_key(json, "client");
	json_object_begin(json);
	json_key_str(json, "peer", explain->peer);
	json_key_str(json, "address", explain->client);
	json_key_bool(json, "trusted", explain->is_trusted);
	json_key_bool(json, "may_connect", !refused);
	json_key_cstr(json, "why", guard_text((enum guard_answer)explain->guard));
	json_key_cstr(json, "key", refused ? explain->guard_key : NULL);
	json_object_end(json);
}

// ---- The routes ---------------------------------------------------------------------------------

static const char *miss_name(enum router_miss miss)
{
	switch (miss) {
	case ROUTER_MATCHES:
		return NULL;
	case ROUTER_MISS_HOST:
		return "host";
	case ROUTER_MISS_PATH:
		return "path";
	case ROUTER_MISS_METHOD:
		return "method";
	case ROUTER_MISS_HEADER:
		return "header";
	case ROUTER_MISS_VERIFIED:
		return "client_cert.verified";
	case ROUTER_MISS_SUBJECT:
		return "client_cert.subject";
	case ROUTER_MISS_SAN:
		return "client_cert.san";
	}
	return NULL;
}

static void write_routes(struct json *json, const struct explain *explain)
{
	json_key(json, "routes");
	json_array_begin(json);
	for (u32 i = 0; i < explain->route_count; i++) {
		const struct explain_route *route = &explain->routes[i];
		bool matched = route->miss == ROUTER_MATCHES;

		json_object_begin(json);
		json_key_str(json, "name", route->name);
		json_key_bool(json, "matched", matched);
		json_key_cstr(json, "condition", miss_name((enum router_miss)route->miss));
		json_key_name(json, "wanted", route->wanted);
		json_key(json, "got");
		if (!matched && route->got.ptr)
			json_str(json, route->got);
		else
			json_none(json);
		json_object_end(json);
	}
	json_array_end(json);
	json_key_u64(json, "routes_left_out", explain->routes_left_out);
	json_key_name(json, "route", explain->route);
}

static void write_shares(struct json *json, const struct explain *explain)
{
	double sum = 0;

	for (u32 i = 0; i < explain->share_count; i++)
		sum += explain->shares[i].weight;
	json_key(json, "shares");
	json_array_begin(json);
	for (u32 i = 0; i < explain->share_count; i++) {
		json_object_begin(json);
		json_key_str(json, "pool", explain->shares[i].pool);
		json_key_u64(json, "weight", explain->shares[i].weight);
		json_key_f64(json, "ratio", explain->shares[i].weight / sum, 6);
		json_object_end(json);
	}
	json_array_end(json);
	json_key_u64(json, "shares_left_out", explain->shares_left_out);
}

static void write_request(struct json *json, const struct explain *explain)
{
	json_key_name(json, "method", explain->method);
	json_key_name(json, "host", explain->host);
	json_key_name(json, "path", explain->path);
	write_routes(json, explain);
	write_shares(json, explain);
}

static void write_answer(struct json *json, const struct explain *explain)
{
	const struct outcome_info *info = outcome_info((enum outcome)explain->outcome);

	json_key(json, "answer");
	if (explain->end != EXPLAIN_ANSWERED) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	key_bound(json, "status", explain->status, 0);
	json_key_str(json, "outcome", info->name);
	json_key_cstr(json, "cause",
		explain->refusal ? http_refusal_text((enum http_refusal)explain->refusal)
				 : info->cause.ptr);
	json_key_name(json, "cure", info->cure);
	json_key_name(json, "location", explain->location);
	json_object_end(json);
}

// ---- The pools ----------------------------------------------------------------------------------

static void write_cost(struct json *json, bool has_cost, double cost)
{
	json_key(json, "cost");
	if (has_cost)
		json_f64(json, cost, cost_decimals);
	else
		json_none(json);
}

static void write_backend(
	struct json *json, const struct explain_backend *backend, struct str picked)
{
	json_object_begin(json);
	json_key_str(json, "id", backend->id);
	json_key_str(json, "address", backend->address);
	json_key_bool(json, "eligible", eligible_is_in((enum eligible_why)backend->why));
	json_key_cstr(json, "why", eligible_why_text((enum eligible_why)backend->why));
	json_key_bool(json, "full", backend->is_full);
	json_key_u64(json, "weight", backend->weight);
	json_key_u64(json, "in_flight", backend->in_flight);
	write_cost(json, backend->has_cost, backend->cost);
	json_key_bool(json, "picked", str_eq(backend->id, picked));
	json_object_end(json);
}

static void write_looks(struct json *json, const struct explain_pool *pool)
{
	static const char *const verdicts[] = {
		[BALANCE_COMPARED] = "compared",
		[BALANCE_HOT] = "hot",
		[BALANCE_SKIPPED] = "skipped",
		[BALANCE_AT_BOUND] = "at_bound",
		[BALANCE_NO_PLACE] = "no_place",
	};

	json_key(json, "candidates");
	json_array_begin(json);
	for (u32 i = 0; i < pool->look_count; i++) {
		const struct explain_look *look = &pool->looks[i];

		json_object_begin(json);
		json_key_str(json, "backend", look->backend);
		write_cost(json, look->verdict <= BALANCE_HOT, look->cost);
		json_key_cstr(json, "verdict", verdicts[look->verdict]);
		json_object_end(json);
	}
	json_array_end(json);
	json_key_u64(json, "looked_at", pool->looks_seen);
	json_key_bool(json, "by_weight", pool->by_weight);
}

static const char *verdict_text(const struct explain_pool *pool)
{
	switch ((enum pick_verdict)pool->verdict) {
	case PICK_OK:
		return "one of its backends takes it";
	case PICK_FULL:
		return pool->is_pool_full ? "it serves as many requests as it may"
					  : "those that may get it have no place now";
	case PICK_TRIED:
	case PICK_NOBODY:
		break;
	}
	return "none of its backends may get it";
}

static void write_key(struct json *json, const struct explain_pool *pool)
{
	char key[17];

	snprintf(key, sizeof(key), "%016" PRIx64, pool->key);
	json_key_cstr(json, "key", pool->has_key ? key : NULL);
	json_key_bool(json, "key_is_random", pool->is_key_random);
	json_key_name(json, "cookie", pool->cookie);
}

static void write_pool(
	struct json *json, const struct explain_pool *pool, const struct explain *explain)
{
	struct str picked = pool->verdict == PICK_OK ? explain->picked : STR_EMPTY;

	json_object_begin(json);
	json_key_str(json, "name", pool->name);
	json_key_cstr(
		json, "algorithm", balance_kind_info((enum balance_kind)pool->algorithm)->name);
	json_key_bool(json, "picked", pool->verdict == PICK_OK);
	json_key_cstr(json, "why", verdict_text(pool));
	json_key_u64(json, "of", pool->backend_total);
	json_key_u64(json, "eligible", pool->eligible);
	json_key_u64(json, "full", pool->full);
	json_key_u64(json, "waiting", pool->waiting);
	json_key_u64(json, "queue_max", pool->queue_max);
	write_key(json, pool);
	write_looks(json, pool);
	json_key(json, "backends");
	json_array_begin(json);
	for (u32 i = 0; i < pool->backend_count; i++)
		write_backend(json, &pool->backends[i], picked);
	json_array_end(json);
	json_key_u64(json, "backends_left_out", pool->backends_left_out);
	json_object_end(json);
}

static void write_tls(struct json *json, const struct explain *explain)
{
	json_key(json, "tls");
	if (!explain->picked_tls) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	json_key_name(json, "server_name", explain->picked_name);
	json_key_bool(json, "verified", explain->picked_verified);
	json_object_end(json);
}

static void write_pick(struct json *json, const struct explain *explain)
{
	json_key(json, "pick");
	if (explain->end != EXPLAIN_SENT) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	json_key_str(json, "pool", explain->pools[explain->pool_count - 1].name);
	json_key_str(json, "backend", explain->picked);
	json_key_str(json, "address", explain->picked_address);
	json_key_bool(json, "trial", explain->is_trial);
	json_key_cstr(json, "http", explain->tcp ? NULL : explain->picked_h2 ? "2" : "1.1");
	write_tls(json, explain);
	json_object_end(json);
}

// ---- What is sent -------------------------------------------------------------------------------

static void write_line(struct json *json, struct str line)
{
	struct str value = line, name = str_cut(&value, ':');

	json_array_begin(json);
	json_str(json, name);
	json_str(json, str_trim(value));
	json_array_end(json);
}

static struct str next_line(struct str *rest)
{
	struct str line = str_cut(rest, '\n');

	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void write_head(struct json *json, const struct explain *explain)
{
	struct str rest = explain->head, line;

	json_key(json, "sent");
	if (!rest.len) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	json_key_str(json, "line", next_line(&rest));
	json_key(json, "headers");
	json_array_begin(json);
	while (line = next_line(&rest), line.len)
		write_line(json, line);
	json_array_end(json);
	json_object_end(json);
}

static void write_bounds(struct json *json, const struct explain *explain)
{
	json_key(json, "bounds");
	json_object_begin(json);
	json_key_u64(json, "connect_timeout_ms", explain->connect_timeout_ms);
	json_key_u64(json, "queue_timeout_ms", explain->queue_timeout_ms);
	key_bound(json, "response_timeout_ms", explain->response_timeout_ms, 0);
	key_bound(json, "request_timeout_ms", explain->request_timeout_ms, 0);
	key_bound(json, "body_bytes_max", explain->tcp ? UINT64_MAX : explain->body_bytes_max,
		UINT64_MAX);
	json_key_u64(json, "attempts_max", explain->attempts_max);
	json_object_end(json);
}

static const char *end_name(enum explain_end end)
{
	switch (end) {
	case EXPLAIN_ERROR:
		return "error";
	case EXPLAIN_DENIED:
		return "denied";
	case EXPLAIN_ANSWERED:
		return "answered";
	case EXPLAIN_WAITS:
		return "waits";
	case EXPLAIN_SENT:
		return "sent";
	}
	return "";
}

void explain_write_json(struct json *json, const struct explain *explain)
{
	json_object_begin(json);
	json_key_cstr(json, "end", end_name((enum explain_end)explain->end));
	if (explain->end == EXPLAIN_ERROR) {
		json_key_cstr(json, "error", explain->error);
		json_key_cstr(json, "cure", explain->cure);
		json_object_end(json);
		return;
	}
	write_connection(json, explain);
	write_request(json, explain);
	write_answer(json, explain);
	json_key(json, "pools");
	json_array_begin(json);
	for (u32 i = 0; i < explain->pool_count; i++)
		write_pool(json, &explain->pools[i], explain);
	json_array_end(json);
	write_pick(json, explain);
	json_key_bool(json, "chance", explain->is_chance);
	write_head(json, explain);
	if (explain->pool_count)
		write_bounds(json, explain);
	else {
		json_key(json, "bounds");
		json_none(json);
	}
	json_object_end(json);
}
