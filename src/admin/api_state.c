// SPDX-License-Identifier: Apache-2.0
// What is known now, as JSON (docs/api.md), and whether the process is ready.
#include <stdio.h>
#include <unistd.h>

#include "admin/admin_inside.h"
#include "admin/verdict.h"
#include "loop/loop.h"

// ---- Backends -----------------------------------------------------------------------------------

static const char *state_word(const struct desk_backend *one)
{
	switch ((enum eligible_why)one->state.why) {
	case ELIGIBLE_OK:
		return "up";
	case ELIGIBLE_TRIAL:
		return "half_open";
	case ELIGIBLE_PANIC:
		return "panic";
	case ELIGIBLE_DISABLED:
		return "disabled";
	case ELIGIBLE_DRAINING:
		return one->order == MODEL_DISABLED ? "disabled" : "draining";
	case ELIGIBLE_UNRESOLVED:
		return "unresolved";
	case ELIGIBLE_UNCHECKED:
		return "unchecked";
	case ELIGIBLE_DOWN:
		return "down";
	case ELIGIBLE_REFUSES:
		return "refuses";
	case ELIGIBLE_EJECTED:
		return "ejected";
	case ELIGIBLE_HELD_OPEN:
	case ELIGIBLE_BREAKER_OPEN:
		return "open";
	case ELIGIBLE_BACKUP:
		return "backup";
	case ELIGIBLE_REASON_COUNT:
		break;
	}
	return "up";
}

const char *api_reason_text(const struct backend *backend, const struct desk_backend *one,
	char room[static REASON_BYTES])
{
	return reason_of_state(backend, &one->state, one->order, room);
}

static const char *order_word(u8 order)
{
	static const char *const words[] = {
		[MODEL_ENABLED] = "enabled",
		[MODEL_DRAINED] = "draining",
		[MODEL_DISABLED] = "disabled",
	};

	return words[order];
}

static void key_moment(
	struct json *json, const char *key, const struct admin_state *state, u64 moment_ms)
{
	if (moment_ms)
		json_key_i64(json, key, state_wall_ms(state, moment_ms));
	else
		json_key_none(json, key);
}

static void write_check(
	struct json *json, const struct admin_state *state, const struct backend *backend)
{
	const struct desk_backend *one = &state->ask.backends[backend->cell];
	const struct health *health = &one->state.health;
	char room[REASON_BYTES];

	json_key_cstr(json, "health", health_state_name((enum health_state)health->state));
	json_key_u64(json, "streak", health->streak);
	key_moment(json, "next_check_at_ms", state, one->probed ? health->next_ms : 0);
	json_key(json, "last_check");
	if (!one->state.checked_ms) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	json_key_bool(json, "passed", health->reason == HEALTH_NONE);
	json_key_cstr(json, "reason", reason_of_check(backend, health, room));
	if (one->state.latency_us)
		json_key_u64(json, "latency_us", one->state.latency_us);
	else
		json_key_none(json, "latency_us");
	key_moment(json, "at_ms", state, one->state.checked_ms);
	json_object_end(json);
}

static void write_breaker(
	struct json *json, const struct admin_state *state, const struct desk_backend *one)
{
	static const char *const forced[] = {[BREAKER_FORCED_CLOSED] = "closed",
		[BREAKER_FORCED_OPEN] = "open",
		[BREAKER_AUTOMATIC] = NULL};
	const struct ejection *ejection = &one->state.ejection;
	bool is_out = ejection_is_out(ejection);

	json_key_cstr(
		json, "breaker", breaker_state_name((enum breaker_state)one->state.breaker.state));
	json_key_cstr(json, "breaker_forced", forced[one->state.breaker.forced]);
	json_key_cstr(json, "ejected",
		is_out ? reason_of_ejection((enum ejection_why)ejection->why, one->state.ejected_by)
		       : NULL);
	key_moment(json, "ejected_until_at_ms", state, is_out ? ejection->until_ms : 0);
}

static void key_known(struct json *json, const char *key, u32 value)
{
	if (value)
		json_key_u64(json, key, value);
	else
		json_key_none(json, key);
}

static void write_oddity(struct json *json, const struct admin_state *state,
	const struct backend *backend, enum oddity oddity)
{
	char text[ODDITY_TEXT_BYTES];

	oddity_describe(
		oddity, &state->facts[backend->cell], &state->findings[backend->cell], text);
	json_object_begin(json);
	json_key_cstr(json, "what", oddity_word(oddity));
	json_key_cstr(json, "text", text);
	key_moment(json, "since_at_ms", state,
		state->ask.backends[backend->cell].odd_since_ms[oddity]);
	json_object_end(json);
}

static void write_oddities(
	struct json *json, const struct admin_state *state, const struct backend *backend)
{
	const struct oddity_finding *finding = &state->findings[backend->cell];
	const struct oddity_facts *facts = &state->facts[backend->cell];

	json_key(json, "oddities");
	json_array_begin(json);
	for (u32 i = 0; i < ODDITY_COUNT; i++)
		if (finding->is[i])
			json_cstr(json, oddity_word((enum oddity)i));
	json_array_end(json);
	json_key(json, "odd");
	json_array_begin(json);
	for (u32 i = 0; i < ODDITY_COUNT; i++)
		if (finding->is[i])
			write_oddity(json, state, backend, (enum oddity)i);
	json_array_end(json);
	json_key_u64(json, "changes", facts->changes);
	json_key_u64(json, "changes_span_ms", facts->changes_span_ms);
	key_known(json, "slow_times", oddity_slowness(facts, finding).times);
	key_known(json, "peers_p50_us", finding->peers_p50_us);
	key_known(json, "peers_p99_us", finding->peers_p99_us);
}

static void write_load(struct json *json, const struct admin *admin, const struct backend *backend)
{
	struct figures_load load = figures_load(admin->face.snapshot, backend);

	json_key_u64(json, "connections", load.connections);
	json_key_u64(json, "idle", load.idle);
	if (backend->sockets_max)
		json_key_u64(json, "connections_max", backend->sockets_max);
	else
		json_key_none(json, "connections_max");
	json_key_u64(json, "in_flight", load.in_flight);
}

void api_write_backend(struct json *json, struct admin *admin, const struct backend *backend)
{
	const struct admin_state *state = admin->state;
	const struct desk_backend *one = &state->ask.backends[backend->cell];
	char etag[24], reason[REASON_BYTES];

	snprintf(etag, sizeof(etag), "%llu", (unsigned long long)one->revision);
	json_object_begin(json);
	json_key_str(json, "pool", backend->pool->name);
	json_key_str(json, "id", backend->id);
	json_key_str(json, "address", backend->address);
	json_key_cstr(json, "etag", etag);
	json_key_cstr(json, "state", state_word(one));
	key_moment(json, "since_at_ms", state, one->state.why_since_ms);
	json_key_cstr(json, "reason", api_reason_text(backend, one, reason));
	json_key_bool(json, "takes_requests", eligible_is_in((enum eligible_why)one->state.why));
	json_key_u64(json, "weight", one->weight);
	json_key_u64(json, "weight_configured", backend->conf->weight);
	json_key_f64(json, "share_ratio",
		atomic_load_explicit(&backend->share, memory_order_relaxed) /
			(double)SLOW_START_WHOLE,
		3);
	json_key_bool(json, "backup", backend->conf->is_backup);
	json_key_cstr(json, "admin", order_word(one->order));
	write_check(json, state, backend);
	write_breaker(json, state, one);
	write_oddities(json, state, backend);
	write_load(json, admin, backend);
	figures_write_backend(json, admin->figures, backend);
	json_object_end(json);
}

// ---- Pools, frontends ---------------------------------------------------------------------------

static const char *pool_state_word(const struct pool *pool, const struct desk_pool *one)
{
	const struct eligible_pool *judged = &one->state.judged;

	if (judged->eligible == 0)
		return "lost";
	if (judged->panic)
		return "panic";
	return judged->share.ejected || judged->eligible < pool->backend_count ? "degraded" : "ok";
}

// Backups that wait and weights of 0 are as somebody wanted it.
static bool is_whole(const struct admin *admin, const struct pool *pool)
{
	for (u32 i = 0; i < pool->backend_count; i++) {
		u8 why = admin->state->ask.backends[pool->backends[i].cell].state.why;

		if (why != ELIGIBLE_OK && why != ELIGIBLE_BACKUP && why != ELIGIBLE_DISABLED)
			return false;
	}
	return true;
}

static const char *check_word(u8 type)
{
	static const char *const words[] = {[CONF_CHECK_AUTO] = "auto",
		[CONF_CHECK_HTTP] = "http",
		[CONF_CHECK_TCP] = "tcp",
		[CONF_CHECK_GRPC] = "grpc",
		[CONF_CHECK_NONE] = "none"};

	return words[type];
}

static void write_pool(struct json *json, struct admin *admin, const struct pool *pool)
{
	const struct desk_pool *one = &admin->state->ask.pools[pool->index];
	const char *word = pool_state_word(pool, one);

	json_object_begin(json);
	json_key_str(json, "name", pool->name);
	json_key_cstr(json, "algorithm", balance_kind_info(pool->kind)->name);
	json_key_cstr(json, "state",
		strcmp(word, "degraded") == 0 && is_whole(admin, pool) ? "ok" : word);
	json_key_u64(json, "backends", pool->backend_count);
	json_key_u64(json, "eligible", one->state.judged.eligible);
	json_key_u64(json, "up", one->state.judged.up);
	json_key_bool(json, "panic", one->state.judged.panic);
	json_key(json, "failover");
	if (pool->failover)
		json_str(json, pool->failover->name);
	else
		json_none(json);
	json_key_cstr(json, "check", check_word(one->state.check_type));
	json_key_u64(json, "queued", atomic_load_explicit(&pool->waiting, memory_order_relaxed));
	json_key_u64(json, "in_flight", figures_pool_in_flight(admin->face.snapshot, pool));
	figures_write_pool(json, admin->figures, pool);
	json_object_end(json);
}

static void write_frontend(struct json *json, struct admin *admin, const struct frontend *frontend)
{
	const struct conf_frontend *conf = frontend->conf;

	json_object_begin(json);
	json_key_str(json, "name", conf->name);
	json_key_cstr(json, "protocol", conf_protocol_name(conf->protocol));
	json_key(json, "binds");
	json_array_begin(json);
	for (u32 i = 0; i < conf->bind_count; i++)
		json_str(json, conf->binds[i].text);
	json_array_end(json);
	if (conf->limits.connections)
		json_key_u64(json, "connections_max", conf->limits.connections);
	else
		json_key_none(json, "connections_max");
	figures_write_frontend(json, admin->figures, frontend);
	json_object_end(json);
}

// ---- The whole ----------------------------------------------------------------------------------

bool api_is_ready(const struct admin *admin)
{
	const struct snapshot *snapshot = admin->face.snapshot;

	if (*admin->face.draining)
		return false;
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] &&
			atomic_load_explicit(&snapshot->pools[i]->eligible, memory_order_relaxed))
			return true;
	// Redirects alone need no backend.
	return snapshot->conf->pool_count == 0;
}

static void write_life(struct json *json, const struct desk_life *life)
{
	json_key_u64(json, "restarts", life->restarts);
	json_key_cstr(json, "restart_reason", life->restart_why[0] ? life->restart_why : NULL);
	json_key_u64(json, "upgrades", life->upgrades);
	json_key_u64(json, "upgrades_failed", life->upgrades_failed);
	json_key_cstr(json, "upgrade_reason", life->upgrade_why[0] ? life->upgrade_why : NULL);
}

static void write_head(struct json *json, struct admin *admin, u8 role)
{
	const struct control_face *face = &admin->face;
	struct reload_status config = reload_status(face->reload);
	char host[128] = "";

	(void)gethostname(host, sizeof(host) - 1);
	json_key_cstr(json, "version", WEIR_VERSION);
	json_key_cstr(json, "instance", host);
	json_key_u64(json, "pid", (u64)(face->keeper_pid ? face->keeper_pid : getpid()));
	json_key_u64(json, "serving_pid", (u64)getpid());
	json_key_u64(json, "generation", config.generation);
	json_key_i64(json, "configured_at_ms", config.taken_wall_ms);
	json_key_bool(json, "reload_failed", !config.last_succeeded);
	api_write_trial(json, admin);
	json_key_i64(json, "now_at_ms", loop_wall_ms(admin->loop));
	json_key_i64(json, "started_at_ms", face->started_wall_ms);
	json_key_cstr(json, "configuration", face->mode);
	json_key_bool(json, "draining", *face->draining);
	json_key_bool(json, "ready", api_is_ready(admin));
	json_key_cstr(
		json, "log_level", log_level_name((enum log_level)admin->state->ask.log_level));
	json_key_cstr(json, "may", role == ADMIN_OPERATOR ? "operate" : "read");
	write_life(json, &admin->state->ask.life);
	json_key(json, "verdict");
	verdict_write(json, admin);
}

void api_write_state(struct json *json, struct admin *admin, const struct state_scope *scope)
{
	const struct snapshot *snapshot = admin->face.snapshot;

	json_object_begin(json);
	write_head(json, admin, scope->role);
	figures_write_whole(json, admin->figures);
	json_key(json, "frontends");
	json_array_begin(json);
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		if (snapshot->frontends[i])
			write_frontend(json, admin, snapshot->frontends[i]);
	json_array_end(json);
	json_key(json, "pools");
	json_array_begin(json);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] && (!scope->pool || scope->pool == snapshot->pools[i]))
			write_pool(json, admin, snapshot->pools[i]);
	json_array_end(json);
	json_key(json, "backends");
	json_array_begin(json);
	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct backend *backend = snapshot->backends[i];

		if (backend && (!scope->pool || backend->pool == scope->pool) &&
			(!scope->wants || scope->wants(scope->context, backend)))
			api_write_backend(json, admin, backend);
	}
	json_array_end(json);
	api_write_providers(json, admin);
	if (scope->wants)
		json_key_bool(json, "partial", true);
	json_object_end(json);
}

static void answer_state(struct admin *admin, struct admin_call *call)
{
	struct state_scope scope = {.role = call->role};
	struct text text = {0};
	struct json json;
	struct str name;

	if (admin_query(call, "pool", &name)) {
		scope.pool = snapshot_find_pool(admin->face.snapshot, name);
		if (!scope.pool) {
			admin_problem(call, 404, NULL, "there is no pool '%.*s'", STR_FMT(name));
			return;
		}
	}
	json_init(&json, &text);
	api_write_state(&json, admin, &scope);
	text_addc(&text, '\n');
	admin_add_field(call, "Cache-Control", STR("no-store"));
	admin_answer(call, 200, "application/json", &text);
}

void api_state(void *owner, struct admin_call *call)
{
	state_fetch(owner, call, answer_state);
}

// ---- Probes of others ---------------------------------------------------------------------------

void api_livez(void *owner, struct admin_call *call)
{
	(void)owner;
	admin_answer_static(call, 200, "text/plain; charset=utf-8", STR("ok\n"));
}

void api_readyz(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;

	if (api_is_ready(admin))
		admin_answer_static(call, 200, "text/plain; charset=utf-8", STR("ready\n"));
	else if (*admin->face.draining)
		admin_answer_static(call, 503, "text/plain; charset=utf-8",
			STR("draining: the process ends soon\n"));
	else
		admin_answer_static(call, 503, "text/plain; charset=utf-8",
			STR("no backend may get requests\n"));
}
