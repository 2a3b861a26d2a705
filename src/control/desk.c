// SPDX-License-Identifier: Apache-2.0
#include "control/desk.h"

#include "base/mem.h"
#include "control/logger.h"

struct desk {
	struct desk_config config;
	bool closed;
};

// ---- Copies -------------------------------------------------------------------------------------

static void copy_state(struct desk *desk, struct desk_ask *ask)
{
	const struct snapshot *snapshot = desk->config.snapshot;
	struct model *model = watch_model(desk->config.watch);

	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct backend *backend = snapshot->crowd.backends[i];
		struct model_orders orders = model_orders(model, backend);

		ask->backends[i] = (struct desk_backend){.state = *model_state(model, backend),
			.revision = orders.revision,
			.resolved = orders.resolved,
			.order = orders.order,
			.weight = backend->weight,
			.probed = model_check_type(model, backend) != CONF_CHECK_NONE};
	}
	for (u32 i = 0; i < snapshot->pool_count; i++)
		ask->pools[i].state = model_pool_state(model, &snapshot->pools[i]);
	ask->log_level = desk->config.log_level;
}

static void copy_events(struct desk *desk, struct desk_ask *ask)
{
	const struct changes *changes = watch_changes(desk->config.watch);
	u64 first = ask->after + 1;

	ask->newest = changes_newest(changes);
	if (ask->newest >= CHANGES_KEPT)
		first = MAX(first, ask->newest - CHANGES_KEPT + 1);
	ask->event_count = 0;
	for (u64 number = first; number <= ask->newest && ask->event_count < ask->events_max;
		number++)
		ask->events[ask->event_count++] = *changes_event(changes, number);
}

// ---- Orders -------------------------------------------------------------------------------------

static void set_log_level(struct desk *desk, struct desk_order *order)
{
	order->undo = DESK_LOG_LEVEL;
	order->before = desk->config.log_level;
	desk->config.log_level = (u8)order->value;
	logger_set_level(desk->config.logger, (enum log_level)order->value);
}

static void carry_out(struct desk *desk, struct desk_order *order, struct backend *backend)
{
	struct watch *watch = desk->config.watch;
	struct model *model = watch_model(watch);
	struct model_orders orders = model_orders(model, backend);

	switch ((enum desk_order_kind)order->kind) {
	case DESK_ENABLE:
	case DESK_DRAIN:
	case DESK_DISABLE:
		order->undo = (u8)(DESK_ENABLE + orders.order);
		watch_order(
			watch, backend, (enum model_order)(order->kind - DESK_ENABLE), order->who);
		break;
	case DESK_WEIGHT:
		order->undo = DESK_WEIGHT;
		order->before = backend->weight;
		watch_reweigh(watch, backend, order->value, order->who);
		break;
	case DESK_BREAKER:
		order->undo = DESK_BREAKER;
		order->before = model_state(model, backend)->breaker.forced;
		watch_force_breaker(watch, backend, (enum breaker_forced)order->value, order->who);
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
		order->event = changes_newest(watch_changes(desk->config.watch));
		return DESK_DONE;
	}
	backend = desk->config.snapshot->crowd.backends[order->cell];
	orders = model_orders(model, backend);
	if (order->revision != UINT64_MAX && order->revision != orders.revision)
		return DESK_STALE;
	if (is_so_already(order, backend, &orders, model_state(model, backend)))
		return DESK_NO_CHANGE;
	carry_out(desk, order, backend);
	order->event = changes_newest(watch_changes(desk->config.watch));
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

struct desk *desk_new(const struct desk_config *config)
{
	struct desk *desk = mem_alloc(sizeof(*desk));

	desk->config = *config;
	return desk;
}

void desk_free(struct desk *desk)
{
	mem_free(desk);
}

void desk_close(struct desk *desk)
{
	desk->closed = true;
}
