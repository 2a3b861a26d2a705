// SPDX-License-Identifier: Apache-2.0
// What this process takes over from the one before, and what it leaves to the one that follows
// (control/estate.h). Orders are given again as if somebody gave them now, with the name and the
// time of who did.
#include <stdio.h>

#include "base/mem.h"
#include "control/desk.h"
#include "control/reload_parts.h"

enum { own_events_max = 64 }; // beyond it orders are taken over without an event for each

// ---- Left ---------------------------------------------------------------------------------------

static const struct backend *find_backend(
	const struct snapshot *snapshot, struct str pool_name, struct str id)
{
	return snapshot_find_backend(snapshot_find_pool(snapshot, pool_name), id);
}

// What is so now | what would be without orders.
static u32 value_now(const struct reload *reload, u8 kind, const struct backend *backend)
{
	const struct model *model = watch_model(reload->config.watch);

	switch ((enum orders_kind)kind) {
	case ORDERS_STATE:
		return model_orders(model, backend).order;
	case ORDERS_WEIGHT:
		ASSERT(backend);
		return backend->weight;
	case ORDERS_BREAKER:
		return model_state(model, backend)->breaker.forced;
	case ORDERS_LOG_LEVEL:
	case ORDERS_KIND_COUNT:
		break;
	}
	return desk_log_level(reload->config.desk);
}

static u32 value_written(const struct reload *reload, u8 kind, const struct backend *backend)
{
	switch ((enum orders_kind)kind) {
	case ORDERS_STATE:
		return backend->conf->state;
	case ORDERS_WEIGHT:
		return backend->conf->weight;
	case ORDERS_BREAKER:
		return BREAKER_AUTOMATIC;
	case ORDERS_LOG_LEVEL:
	case ORDERS_KIND_COUNT:
		break;
	}
	return (u32)reload->reign->snapshot->conf->log.level + LOG_ERROR;
}

static void add_orders(const struct reload *reload, struct bequest *bequest)
{
	const struct snapshot *snapshot = reload->reign->snapshot;

	list_for_each (node, &desk_orders(reload->config.desk)->notes) {
		const struct orders_note *note = list_entry(node, struct orders_note, node);
		const struct backend *backend = NULL;
		struct bequest_order order = {
			.kind = note->kind, .who = str_from(note->who), .wall_ms = note->wall_ms};

		if (note->kind != ORDERS_LOG_LEVEL) {
			backend = note->cell < snapshot->backend_count
					  ? snapshot->backends[note->cell]
					  : NULL;
			if (!backend)
				continue;
			order.pool = backend->pool->name;
			order.backend = backend->id;
		}
		order.value = value_now(reload, note->kind, backend);
		if (order.value != value_written(reload, note->kind, backend))
			(void)bequest_add_order(bequest, &order);
	}
}

static void add_edits(const struct reload *reload, struct bequest *bequest)
{
	list_for_each (node, &reload->journal.entries) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);
		struct bequest_edit edit = {.edit = entry->edit,
			.who = str_from(entry->who),
			.wall_ms = entry->wall_ms};

		if (entry->edit.kind != CONF_EDIT_LIST)
			(void)bequest_add_edit(bequest, &edit);
	}
}

void reload_leave_orders(struct reload *reload)
{
	const struct bequest *taken = &reload->taken;
	struct bequest bequest;
	struct text text = {0};

	if (!reload->config.handover || !handover_has_keeper(reload->config.handover))
		return;
	bequest_init(&bequest);
	bequest.dropped = taken->dropped;
	add_edits(reload, &bequest);
	add_orders(reload, &bequest);
	for (u32 i = 0; i < taken->order_count; i++)
		if (taken->orders[i].waits)
			(void)bequest_add_order(&bequest, &taken->orders[i]);
	bequest_format(&text, &bequest);
	handover_leave(reload->config.handover, INHERIT_ORDERS, text_str(&text));
	text_done(&text);
	bequest_done(&bequest);
}

// What is on the disk is the business of the process that serves alone.
static bool is_stored(const struct reload *reload)
{
	const struct handover *handover = reload->config.handover;

	return reload->config.file && !reload->is_on_trial && !(handover && handover->left);
}

void reload_leave_conf(struct reload *reload)
{
	const struct reload_trial *trial = &reload->trial;
	u32 below = trial->is_on ? reload->status.trial.generation : UINT32_MAX;
	struct text text = {0};

	if (reload->config.handover && !trial->is_on)
		handover_leave(reload->config.handover, INHERIT_CONF,
			shelf_newest(&reload->shelf)->text->text);
	shelf_format(&reload->shelf, below, &text);
	if (reload->config.handover)
		handover_leave(reload->config.handover, INHERIT_GENERATIONS, text_str(&text));
	if (is_stored(reload))
		shelf_file_write(reload->config.file, &text);
	text_done(&text);
}

void reload_leave(struct reload *reload, bool on_trial)
{
	reload->is_on_trial = on_trial;
	reload_leave_conf(reload);
	reload_leave_orders(reload);
}

// ---- Taken --------------------------------------------------------------------------------------

static enum desk_order_kind order_of(const struct bequest_order *order)
{
	switch ((enum orders_kind)order->kind) {
	case ORDERS_STATE:
		return (enum desk_order_kind)(DESK_ENABLE + order->value);
	case ORDERS_WEIGHT:
		return DESK_WEIGHT;
	case ORDERS_BREAKER:
		return DESK_BREAKER;
	case ORDERS_LOG_LEVEL:
	case ORDERS_KIND_COUNT:
		break;
	}
	return DESK_LOG_LEVEL;
}

static void give(
	struct reload *reload, const struct bequest_order *order, const struct backend *backend)
{
	struct desk_order again = {.kind = (u8)order_of(order),
		.cell = backend ? backend->cell : 0,
		.value = order->kind == ORDERS_STATE ? 0 : order->value,
		.revision = UINT64_MAX,
		.wall_ms = order->wall_ms,
		.is_taken_over = true,
		.is_silent = order->is_silent};

	snprintf(again.who, sizeof(again.who), "%.*s", STR_FMT(order->who));
	if (value_now(reload, order->kind, backend) != order->value)
		(void)desk_give(reload->config.desk, &again);
}

static bool has_list(const struct reload *reload, struct str pool)
{
	list_for_each (node, &reload->journal.entries) {
		const struct journal_entry *entry = list_entry(node, struct journal_entry, node);

		if (entry->edit.kind == CONF_EDIT_LIST && str_eq(entry->edit.pool, pool))
			return true;
	}
	return false;
}

// Or waits, or is dropped. False: it waits.
static bool take_order(struct reload *reload, struct bequest_order *order)
{
	const struct snapshot *snapshot = reload->reign->snapshot;
	const struct backend *backend = find_backend(snapshot, order->pool, order->backend);
	bool has_pool = snapshot_find_pool(snapshot, order->pool) != NULL;

	order->waits = false;
	if (order->kind == ORDERS_LOG_LEVEL || backend)
		give(reload, order, backend);
	else if (!has_pool)
		estate_drop_order(
			&reload->taken, order, "there is no such pool", reload->config.log);
	else if (snapshot->conf->provider_count && !has_list(reload, order->pool))
		order->waits = true;
	else
		estate_drop_order(
			&reload->taken, order, "there is no such backend", reload->config.log);
	return !order->waits;
}

void reload_take_waiting(struct reload *reload)
{
	struct bequest *taken = &reload->taken;

	for (u32 i = 0; i < taken->order_count; i++)
		if (taken->orders[i].waits)
			(void)take_order(reload, &taken->orders[i]);
}

u32 reload_count_waiting(const struct reload *reload)
{
	u32 count = 0;

	for (u32 i = 0; i < reload->taken.order_count; i++)
		count += reload->taken.orders[i].waits;
	return count;
}

static u64 tell_taken(struct reload *reload, u32 count, bool upgrades)
{
	char text[32];
	struct event_said said = {.kind = EVENT_LIFE,
		.text = "orders of the process before are taken over",
		.reason = upgrades ? STR("upgrade") : STR("crash")};

	snprintf(text, sizeof(text), "%u", count);
	said.to = str_from(text);
	return changes_say(watch_changes(reload->config.watch), &said);
}

static void take_edits(struct reload *reload, const struct bequest *bequest, u64 event)
{
	for (u32 i = 0; i < bequest->edit_count; i++)
		reload_journal_put(&reload->journal, &bequest->edits[i], event);
}

void reload_take_over(struct reload *reload, struct estate *estate, bool upgrades)
{
	struct bequest *taken = &reload->taken;
	struct shelf_entry *newest = shelf_newest(&reload->shelf);
	u32 waiting = 0;
	u64 event;

	bequest_done(taken);
	*taken = estate->bequest;
	bequest_init(&estate->bequest);
	reload->is_on_trial = upgrades;
	if (!estate->is_taken || (!taken->order_count && !taken->edit_count && !taken->dropped))
		return;
	event = tell_taken(reload, taken->order_count + taken->edit_count, upgrades);
	take_edits(reload, taken, event);
	if (!estate->continues) // else it has them
		newest->edits =
			reload_journal_copy(&reload->journal, &newest->arena, &newest->edit_count);
	for (u32 i = 0; i < taken->order_count; i++) {
		taken->orders[i].is_silent = taken->order_count > own_events_max;
		waiting += !take_order(reload, &taken->orders[i]);
	}
	LOG(reload->config.log, LOG_NOTICE, "orders of the process before are taken over",
		LOG_U64("orders", taken->order_count), LOG_U64("backends", taken->edit_count),
		LOG_U64("waiting", waiting), LOG_U64("dropped", taken->dropped));
}

void reload_take_shelf(struct reload *reload, struct estate *estate)
{
	struct shelf *shelf = &reload->shelf;
	struct shelf_entry *entry;

	shelf_move(shelf, &estate->shelf);
	if (estate->continues)
		return;
	entry = shelf_add(shelf, estate->generation, estate->text);
	entry->wall_ms = reload->status.taken_wall_ms;
	entry->event = "start";
	snprintf(entry->who, sizeof(entry->who), "weir");
}

// ---- What came while another process began ------------------------------------------------------

static void take_back(struct reload *reload, const struct bequest_order *order)
{
	const struct backend *backend =
		find_backend(reload->reign->snapshot, order->pool, order->backend);
	struct bequest_order back = *order;

	if (order->kind != ORDERS_LOG_LEVEL && !backend)
		return;
	back.value = value_written(reload, order->kind, backend);
	if (value_now(reload, order->kind, backend) == order->value)
		give(reload, &back, backend);
}

static u32 take_difference(
	struct reload *reload, const struct bequest *before, struct bequest *late)
{
	u32 count = 0;

	for (u32 i = 0; i < before->edit_count; i++)
		if (!bequest_find_edit(late, &before->edits[i])) {
			reload_edit(reload, &before->edits[i], true);
			count++;
		}
	for (u32 i = 0; i < late->edit_count; i++)
		if (!bequest_find_edit(before, &late->edits[i])) {
			reload_edit(reload, &late->edits[i], false);
			count++;
		}
	for (u32 i = 0; i < before->order_count; i++)
		if (!bequest_find_order(late, &before->orders[i])) {
			take_back(reload, &before->orders[i]);
			count++;
		}
	for (u32 i = 0; i < late->order_count; i++) {
		const struct bequest_order *same = bequest_find_order(before, &late->orders[i]);

		if (same && bequest_same_order(same, &late->orders[i])) {
			late->orders[i].waits = same->waits;
			continue;
		}
		(void)take_order(reload, &late->orders[i]);
		count++;
	}
	return count;
}

void reload_take_late(struct reload *reload, struct str text)
{
	struct bequest late, before = reload->taken;
	char why[BEQUEST_WHY_MAX];
	u32 count;

	bequest_init(&late);
	if (!bequest_parse(&late, text, why)) {
		LOG(reload->config.log, LOG_ERROR, "orders given during the upgrade are lost",
			LOG_CSTR("error", why), LOG_CSTR("cure", "give them again"));
		bequest_done(&late);
		return;
	}
	late.dropped = before.dropped;
	reload->taken = late;
	count = take_difference(reload, &before, &reload->taken);
	bequest_done(&before);
	if (!count)
		return;
	LOG(reload->config.log, LOG_NOTICE, "orders given during the upgrade are taken over",
		LOG_U64("orders", count));
	reload_leave_orders(reload);
}
