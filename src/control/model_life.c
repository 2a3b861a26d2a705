// SPDX-License-Identifier: Apache-2.0
// Which pools and backends the model knows of: with the first configuration, and with each that
// follows. What is known of a backend goes on in its next object.
#include "base/mem.h"
#include "control/model_inside.h"
#include "proxy/secure.h"
#include "upstream/view.h"

// ---- Backends -----------------------------------------------------------------------------------

// To the workers, by an object of theirs that is new.
static void show_order(const struct model_backend *one)
{
	atomic_store(&one->backend->is_disabled, one->order == MODEL_DISABLED);
	if (one->order == MODEL_DISABLED)
		atomic_fetch_add(&one->pool->pool->disabled, 1);
}

static void init_backend(struct model *model, struct model_pool *pool, struct backend *backend)
{
	struct model_backend *one = model_of(model, backend);

	*one = (struct model_backend){
		.backend = backend, .pool = pool, .order = (u8)backend->conf->state};
	list_init(&one->node);
	one->resolved = backend->addr.family != ADDR_NONE;
	one->state.checked = pool->conf->check.type != CONF_CHECK_NONE;
	one->state.why = (u8)backend_why(backend);
	one->state.why_since_ms = model->now_ms;
	health_init(&one->state.health, model->now_ms);
	breaker_init(&one->state.breaker, model->now_ms);
	one->is_new = model_is_probed(one);
	model->new_count += one->is_new;
	model_begin_counts(model, one);
	show_order(one);
}

// A weight that somebody gave holds until the configuration has another one than it had then.
static void keep_weight(const struct backend *before, struct backend *now)
{
	if (before->weight != before->conf->weight && before->conf->weight == now->conf->weight)
		view_reweigh(now, before->weight);
}

// What of an object goes on in the next one of the same backend.
static void move_backend(
	struct model *model, struct model_backend *one, struct model_pool *pool, struct backend *to)
{
	struct backend *from = one->backend;
	bool was_checked = one->state.checked;

	if (one->resolved)
		to->addr = from->addr;
	keep_weight(from, to);
	atomic_store(&to->epoch, atomic_load(&from->epoch));
	atomic_store(&to->trials, atomic_exchange(&from->trials, 0));
	atomic_store(&to->checked_ms, atomic_load(&from->checked_ms));
	atomic_store(&to->check_us, atomic_load(&from->check_us));
	// From here on attempts that began with the old object ask the new one (pick.c).
	atomic_store(&from->epoch, BACKEND_EPOCH_PAST);
	one->backend = to;
	one->pool = pool;
	if (from->conf->state != to->conf->state)
		one->order = (u8)to->conf->state;
	show_order(one);
	one->state.checked = pool->conf->check.type != CONF_CHECK_NONE;
	one->state.health.probing = one->probe_void = false; // the checker has given it up
	one->state.health.next_ms =
		MIN(one->state.health.next_ms, model->now_ms + pool->conf->check.rules.interval_ms);
	if (!pool->has_breakers && one->state.breaker.forced == BREAKER_AUTOMATIC)
		breaker_init(&one->state.breaker, model->now_ms);
	if (!one->state.checked)
		model_no_longer_new(model, one);
	if (one->state.checked && !was_checked) {
		health_init(&one->state.health, model->now_ms);
		one->is_new = model_is_probed(one);
		model->new_count += one->is_new;
	}
}

// What was learnt of a backend while it was reached in another way says nothing about it now. One
// that is up goes on, and its check follows at once.
static void try_anew(struct model *model, struct model_backend *one)
{
	struct model_state *state = &one->state;
	struct breaker_step step;

	if (state->health.state == HEALTH_DOWN)
		model_forget_health(model, one, HEALTH_RECONFIGURED);
	else
		state->health.next_ms = model->now_ms;
	if (ejection_is_out(&state->ejection))
		model_tell_returned(model, one, health_reason_text(HEALTH_RECONFIGURED));
	state->ejection = (struct ejection){.calm_ms = model->now_ms};
	if (state->breaker.forced == BREAKER_AUTOMATIC) {
		step = breaker_force(&state->breaker, BREAKER_AUTOMATIC, model->now_ms);
		step.cause = BREAKER_RECONFIGURED;
		model_breaker_moved(model, one, step, 0);
	}
	model_touch(model, one);
}

static void look_at_ways(struct model *model, const struct snapshot *before)
{
	for (u32 i = 0; i < before->backend_count; i++)
		if (before->backends[i] && model->backends[i].backend &&
			!secure_reaches_alike(before, model->snapshot, i))
			try_anew(model, &model->backends[i]);
}

static void forget_backend(struct model *model, struct model_backend *one)
{
	model_no_longer_new(model, one);
	list_remove(&one->node);
	*one = (struct model_backend){0};
}

static void take_backend(struct model *model, struct model_pool *pool, u32 index)
{
	struct backend *backend = &pool->pool->backends[index];
	struct model_backend *one = model_of(model, backend);

	pool->backends[index] = one;
	pool->shares[index] = SLOW_START_WHOLE;
	if (one->backend) {
		pool->shares[index] = atomic_load(&one->backend->share);
		move_backend(model, one, pool, backend);
	} else {
		init_backend(model, pool, backend);
	}
	pool->why[index] = one->state.why;
	pool->facts[index] = model_facts_of(one);
}

// ---- Pools --------------------------------------------------------------------------------------

static void free_arrays(struct model_pool *pool)
{
	mem_free(pool->backends);
	mem_free(pool->facts);
	mem_free(pool->why);
	mem_free(pool->shares);
	mem_free(pool->failures);
}

// Room for judging one pool.
static void fit_room(struct model *model, u32 count)
{
	if (count <= model->room)
		return;
	model->room = count;
	mem_free(model->fresh_why);
	mem_free(model->samples);
	mem_free(model->is_outlier);
	model->fresh_why = mem_alloc(count);
	model->samples = mem_alloc(sizeof(struct outlier_sample) * count);
	model->is_outlier = mem_alloc(sizeof(bool) * count);
}

// How it is checked, where that is found out by trying, is not found out anew.
static void begin_automatic(struct model_pool *pool, const struct health_auto *before)
{
	health_auto_init(&pool->automatic, pool->count);
	if (before && before->mode != HEALTH_AUTO_OPEN)
		pool->automatic.mode = before->mode;
	if (pool->serves_tcp && !pool->serves_http)
		pool->automatic.mode = HEALTH_AUTO_TCP; // a page would be asked of strangers
}

static void begin_pool(struct model *model, struct model_pool *one, struct pool *pool,
	const struct health_auto *automatic)
{
	u32 room = MAX(pool->backend_count, 1);

	one->pool = pool;
	one->conf = pool->conf;
	one->count = pool->backend_count;
	one->backends = mem_alloc(sizeof(*one->backends) * room);
	one->facts = mem_alloc(sizeof(struct eligible_facts) * room);
	one->why = mem_alloc(room);
	one->shares = mem_alloc(room);
	one->failures = mem_alloc(sizeof(u64) * model->snapshot->worker_count);
	one->due_ms = UINT64_MAX;
	one->window_ms = one->outliers_ms = model->now_ms;
	one->has_breakers =
		one->conf->breaker.failure_threshold || one->conf->breaker.error_percent;
	list_init(&one->dirty);
	list_init(&one->restless);
	begin_automatic(one, automatic);
	fit_room(model, one->count);
	for (u32 i = 0; i < one->count; i++)
		take_backend(model, one, i);
	for (u32 i = 0; i < one->count; i++)
		model_rest(model, one->backends[i]);
}

// Its object is another one now, or none.
static void end_pool(struct model *model, struct model_pool *pool)
{
	for (u32 i = 0; i < pool->count; i++) {
		struct model_backend *one = pool->backends[i];

		list_remove(&one->node);
		one->answer = HEALTH_AUTO_NO_ANSWER;
		if (!model->snapshot->backends[one->backend->cell])
			forget_backend(model, one);
	}
	list_remove(&pool->dirty);
	free_arrays(pool);
	pool->pool = NULL;
}

// Some frontend sends to this pool, and to the one that takes over from it.
static void note_use(struct model *model, const struct pool *pool, enum conf_protocol protocol)
{
	for (; pool; pool = pool->failover) {
		struct model_pool *used = &model->pools[pool->index];
		bool *serves = protocol == CONF_HTTP ? &used->serves_http : &used->serves_tcp;

		if (*serves)
			return;
		*serves = true;
	}
}

static void note_uses(struct model *model)
{
	for (u32 i = 0; i < model->snapshot->pool_count; i++)
		model->pools[i].serves_tcp = model->pools[i].serves_http = false;
	for (u32 i = 0; i < model->snapshot->frontend_count; i++) {
		const struct frontend *frontend = model->snapshot->frontends[i];

		if (!frontend)
			continue;
		note_use(model, frontend->pool, frontend->conf->protocol);
		for (u32 r = 0; r < frontend->route_count; r++)
			for (u32 t = 0; t < frontend->routes[r].target_count; t++)
				note_use(model, frontend->routes[r].targets[t].pool,
					frontend->conf->protocol);
	}
}

static void succeed(struct model *model, struct model_pool *one, struct pool *pool)
{
	struct health_auto automatic = one->automatic;
	struct eligible_pool before = one->judged;

	end_pool(model, one);
	if (!pool) {
		*one = (struct model_pool){0};
		return;
	}
	begin_pool(model, one, pool, &automatic);
	(void)model_judge(model, one);
	model_publish(model, one); // the new object knows nothing yet
	model_tell_of_judgement(model, one, &before);
}

// ---- Configurations -----------------------------------------------------------------------------

void model_adopt(struct model *model, const struct snapshot *snapshot, u64 now_ms)
{
	const struct snapshot *before = model->snapshot;

	model->now_ms = now_ms;
	model_settle(model, true);
	model->snapshot = snapshot;
	note_uses(model);
	for (u32 i = 0; i < snapshot->pool_count; i++) {
		struct model_pool *one = &model->pools[i];
		struct pool *pool = snapshot->pools[i];

		if (one->pool && one->pool != pool) {
			succeed(model, one, pool);
		} else if (!one->pool && pool) {
			begin_pool(model, one, pool, NULL);
			(void)model_judge(model, one);
		}
	}
	look_at_ways(model, before);
	model->checks_moved++;
	model_settle(model, true);
}

struct model *model_new(const struct snapshot *snapshot, model_listener_fn *listener, void *owner,
	u64 seed, u64 now_ms)
{
	const struct slots *slots = snapshot->slots;
	u32 backends = MAX(slots->backends.max, 1);
	struct model *model = mem_alloc(sizeof(*model));

	*model = (struct model){
		.snapshot = snapshot, .listener = listener, .owner = owner, .now_ms = now_ms};
	rng_init(&model->rng, seed);
	list_init(&model->dirty);
	model->told = mem_alloc(sizeof(struct model_change) * MODEL_CHANGES_MAX);
	model->pools = mem_alloc(sizeof(struct model_pool) * MAX(slots->pools.max, 1));
	model->backends = mem_alloc(sizeof(struct model_backend) * backends);
	model->bad = mem_alloc(sizeof(u32) * backends * snapshot->worker_count);
	fit_room(model, 1);
	note_uses(model);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i]) {
			begin_pool(model, &model->pools[i], snapshot->pools[i], NULL);
			(void)model_judge(model, &model->pools[i]);
		}
	return model;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (u32 i = 0; i < model->snapshot->pool_count; i++)
		if (model->pools[i].pool)
			free_arrays(&model->pools[i]);
	mem_free(model->is_outlier);
	mem_free(model->samples);
	mem_free(model->fresh_why);
	mem_free(model->bad);
	mem_free(model->backends);
	mem_free(model->pools);
	mem_free(model->told);
	mem_free(model);
}
