// SPDX-License-Identifier: Apache-2.0
#include "control/desk.h"

#include "base/mem.h"
#include "base/text.h"
#include "control/logger.h"

struct desk {
	struct desk_config config;
	struct orders orders;
	bool closed;
};

// ---- Copies -------------------------------------------------------------------------------------

static void copy_state(struct desk *desk, struct desk_ask *ask)
{
	const struct snapshot *snapshot = desk->config.snapshot;
	struct model *model = watch_model(desk->config.watch);
	const struct unwell *unwell = watch_unwell(desk->config.watch);

	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct backend *backend = snapshot->backends[i];
		struct model_orders orders;
		struct changes_flaps flaps;

		if (!backend)
			continue;
		orders = model_orders(model, backend);
		flaps = changes_flaps(watch_changes(desk->config.watch), backend);
		ask->backends[i] = (struct desk_backend){.state = *model_state(model, backend),
			.revision = orders.revision,
			.resolved = orders.resolved,
			.order = orders.order,
			.weight = backend->weight,
			.probed = model_check_type(model, backend) != CONF_CHECK_NONE,
			.changes = flaps.changes,
			.changes_span_ms = flaps.span_ms};
		for (u32 odd = 0; odd < ODDITY_COUNT; odd++)
			ask->backends[i].odd_since_ms[odd] =
				unwell_since_ms(unwell, backend, (enum oddity)odd);
	}
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			ask->pools[i].state = model_pool_state(model, snapshot->pools[i]);
	ask->log_level = desk->config.log_level;
	if (desk->config.life)
		ask->life = *desk->config.life;
	ask->provider_count = 0;
	if (ask->providers && desk->config.providers)
		ask->provider_count = desk->config.providers(
			desk->config.providers_owner, ask->providers, DESK_PROVIDERS_MAX);
}

static void copy_events(struct desk *desk, struct desk_ask *ask)
{
	const struct changes *changes = watch_changes(desk->config.watch);

	ask->newest = changes_newest(changes);
	ask->event_count = changes_copy(changes, ask->after, ask->events, ask->events_max);
}

// ---- What is told of orders ---------------------------------------------------------------------

static const char *text_of(enum desk_order_kind kind)
{
	static const char *const texts[] = {
		[DESK_ENABLE] = "backend takes requests again by order",
		[DESK_DRAIN] = "backend is drained by order",
		[DESK_DISABLE] = "backend is disabled by order",
		[DESK_WEIGHT] = "backend has another weight by order",
		[DESK_BREAKER] = "circuit breaker is steered by order",
		[DESK_LOG_LEVEL] = "log level is another one by order",
	};

	return texts[kind];
}

// A state that an order leads to, in the words of the API.
static void add_value(struct text *text, enum desk_order_kind kind, u32 value)
{
	static const char *const breakers[] = {[BREAKER_AUTOMATIC] = "auto",
		[BREAKER_FORCED_CLOSED] = "closed",
		[BREAKER_FORCED_OPEN] = "open"};

	switch (kind) {
	case DESK_ENABLE:
		text_add(text, STR("enabled"));
		break;
	case DESK_DRAIN:
		text_add(text, STR("draining"));
		break;
	case DESK_DISABLE:
		text_add(text, STR("disabled"));
		break;
	case DESK_WEIGHT:
		text_u64(text, value);
		break;
	case DESK_BREAKER:
		text_add(text, str_from(breakers[value]));
		break;
	case DESK_LOG_LEVEL:
		text_add(text, str_from(log_level_name((enum log_level)value)));
		break;
	}
}

static void add_undo_path(
	struct text *text, enum desk_order_kind kind, const struct backend *backend)
{
	static const char *const calls[] = {
		[DESK_ENABLE] = "enable",
		[DESK_DRAIN] = "drain",
		[DESK_DISABLE] = "disable",
		[DESK_WEIGHT] = "weight",
		[DESK_BREAKER] = "breaker",
	};

	if (!backend) {
		text_add(text, STR("/api/v1/log/level"));
		return;
	}
	ASSERT((size_t)kind < ARRAY_LEN(calls));
	text_add(text, STR("/api/v1/pools/"));
	text_add_segment(text, backend->pool->name);
	text_add(text, STR("/backends/"));
	text_add_segment(text, backend->id);
	text_printf(text, "/%s", calls[kind]);
}

static void add_undo_body(struct text *text, enum desk_order_kind kind, struct str value)
{
	if (kind == DESK_WEIGHT)
		text_printf(text, "{\"weight\":%.*s}", STR_FMT(value));
	else if (kind == DESK_BREAKER)
		text_printf(text, "{\"state\":\"%.*s\"}", STR_FMT(value));
	else if (kind == DESK_LOG_LEVEL)
		text_printf(text, "{\"level\":\"%.*s\"}", STR_FMT(value));
}

static struct str str_of(const struct text *text)
{
	return text->len ? str_make(text->data, text->len) : STR_EMPTY;
}

// The cause comes before what follows from it. `undo` and `before` are filled in.
static enum orders_kind kind_of(const struct desk_order *order)
{
	switch ((enum desk_order_kind)order->kind) {
	case DESK_ENABLE:
	case DESK_DRAIN:
	case DESK_DISABLE:
		break;
	case DESK_WEIGHT:
		return ORDERS_WEIGHT;
	case DESK_BREAKER:
		return ORDERS_BREAKER;
	case DESK_LOG_LEVEL:
		return ORDERS_LOG_LEVEL;
	}
	return ORDERS_STATE;
}

static void say_order(struct desk *desk, struct desk_order *order, const struct backend *backend)
{
	enum desk_order_kind kind = (enum desk_order_kind)order->kind;
	enum desk_order_kind undo = (enum desk_order_kind)order->undo;
	struct text from = {0}, to = {0}, path = {0}, body = {0};
	struct event_said said = {.kind = EVENT_STEERING, .text = text_of(kind)};

	add_value(&from, undo, order->before);
	add_value(&to, kind, order->value);
	add_undo_path(&path, undo, backend);
	add_undo_body(&body, undo, str_of(&from));
	if (backend) {
		said.pool = backend->pool->name;
		said.backend = backend->id;
	}
	said.from = str_of(&from);
	said.to = str_of(&to);
	said.by = str_from(order->who);
	said.undo_method = undo >= DESK_WEIGHT ? STR("PUT") : STR("POST");
	said.undo_path = str_of(&path);
	said.undo_body = str_of(&body);
	said.undo = (struct event_undo){
		.order = order->undo, .cell = order->cell, .value = order->before};
	if (order->is_taken_over)
		said.reason = STR("taken over from the process before");
	order->event = order->is_silent ? 0 : changes_say(watch_changes(desk->config.watch), &said);
	orders_note(&desk->orders, kind_of(order), backend ? order->cell : 0, order->who,
		order->wall_ms ? order->wall_ms : loop_wall_ms(desk->config.loop), order->event);
	text_done(&from);
	text_done(&to);
	text_done(&path);
	text_done(&body);
}

// ---- Orders -------------------------------------------------------------------------------------

static void set_log_level(struct desk *desk, struct desk_order *order)
{
	order->undo = DESK_LOG_LEVEL;
	order->before = desk->config.log_level;
	say_order(desk, order, NULL);
	desk->config.log_level = (u8)order->value;
	logger_set_level(desk->config.logger, (enum log_level)order->value);
}

static void find_undo(
	struct desk_order *order, const struct model *model, const struct backend *backend)
{
	order->undo = order->kind;
	if (order->kind == DESK_WEIGHT)
		order->before = backend->weight;
	else if (order->kind == DESK_BREAKER)
		order->before = model_state(model, backend)->breaker.forced;
	else
		order->undo = (u8)(DESK_ENABLE + model_orders(model, backend).order);
}

static void carry_out(struct desk *desk, struct desk_order *order, struct backend *backend)
{
	struct watch *watch = desk->config.watch;

	find_undo(order, watch_model(watch), backend);
	say_order(desk, order, backend);
	if (order->kind != DESK_WEIGHT)
		model_sign(watch_model(watch), backend, order->kind == DESK_BREAKER,
			str_from(order->who));
	switch ((enum desk_order_kind)order->kind) {
	case DESK_ENABLE:
	case DESK_DRAIN:
	case DESK_DISABLE:
		watch_order(watch, backend, (enum model_order)(order->kind - DESK_ENABLE));
		break;
	case DESK_WEIGHT:
		watch_reweigh(watch, backend, order->value);
		break;
	case DESK_BREAKER:
		watch_force_breaker(watch, backend, (enum breaker_forced)order->value);
		break;
	case DESK_LOG_LEVEL:
		break;
	}
}

static bool is_so_already(const struct desk_order *order, const struct backend *backend,
	const struct model_orders *orders, const struct model_state *state)
{
	switch ((enum desk_order_kind)order->kind) {
	case DESK_ENABLE:
	case DESK_DRAIN:
	case DESK_DISABLE:
		return orders->order == order->kind - DESK_ENABLE;
	case DESK_WEIGHT:
		return backend->weight == order->value;
	case DESK_BREAKER:
		return state->breaker.forced == order->value;
	case DESK_LOG_LEVEL:
		break;
	}
	return false;
}

static enum desk_result obey(struct desk *desk, struct desk_order *order)
{
	struct model *model = watch_model(desk->config.watch);
	struct backend *backend;
	struct model_orders orders;

	if (desk->closed)
		return DESK_GONE;
	if (order->kind == DESK_LOG_LEVEL) {
		set_log_level(desk, order);
		return DESK_DONE;
	}
	if (order->cell >= desk->config.snapshot->backend_count ||
		!desk->config.snapshot->backends[order->cell])
		return DESK_UNKNOWN;
	backend = desk->config.snapshot->backends[order->cell];
	orders = model_orders(model, backend);
	if (order->revision != UINT64_MAX && order->revision != orders.revision)
		return DESK_STALE;
	if (is_so_already(order, backend, &orders, model_state(model, backend)))
		return DESK_NO_CHANGE;
	carry_out(desk, order, backend);
	return DESK_DONE;
}

// ---- Messages -----------------------------------------------------------------------------------

static void deliver_answer(struct message *message)
{
	struct desk_ask *ask = container_of(message, struct desk_ask, message);

	ask->answered(ask);
}

static void deliver_ask(struct message *message)
{
	struct desk_ask *ask = container_of(message, struct desk_ask, message);
	struct desk *desk = ask->desk;

	ask->now_ms = loop_now_ms(desk->config.loop);
	ask->wall_ms = loop_wall_ms(desk->config.loop);
	ask->result = DESK_DONE;
	switch ((enum desk_kind)ask->kind) {
	case DESK_STATE:
		copy_state(desk, ask);
		break;
	case DESK_EVENTS:
		copy_events(desk, ask);
		break;
	case DESK_ORDER:
		ask->result = (u8)obey(desk, &ask->order);
		if (ask->result == DESK_DONE && desk->config.ordered)
			desk->config.ordered(desk->config.ordered_owner);
		break;
	case DESK_LOOK:
		if (ask->generation == desk->config.snapshot->generation && !desk->closed)
			unwell_look(watch_unwell(desk->config.watch), ask->facts, ask->findings);
		break;
	}
	ask->message = (struct message){.deliver = deliver_answer};
	loop_post(ask->from, &ask->message);
}

void desk_ask(struct desk *desk, struct desk_ask *ask, struct loop *from,
	void (*answered)(struct desk_ask *ask))
{
	ask->desk = desk;
	ask->from = from;
	ask->answered = answered;
	ask->message = (struct message){.deliver = deliver_ask};
	loop_post(desk->config.loop, &ask->message);
}

enum desk_result desk_give(struct desk *desk, struct desk_order *order)
{
	return obey(desk, order);
}

struct desk *desk_new(const struct desk_config *config)
{
	struct desk *desk = mem_alloc(sizeof(*desk));

	desk->config = *config;
	orders_init(&desk->orders);
	return desk;
}

void desk_free(struct desk *desk)
{
	if (desk)
		orders_done(&desk->orders);
	mem_free(desk);
}

const struct orders *desk_orders(const struct desk *desk)
{
	return &desk->orders;
}

u8 desk_log_level(const struct desk *desk)
{
	return desk->config.log_level;
}

void desk_adopt(struct desk *desk, const struct snapshot *snapshot)
{
	desk->config.snapshot = snapshot;
	orders_adopt(&desk->orders, snapshot);
}

void desk_close(struct desk *desk)
{
	desk->closed = true;
}
