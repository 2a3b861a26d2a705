// SPDX-License-Identifier: Apache-2.0
#include "control/bequest.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/sealed.h"

enum {
	room_first = 16,
};

static const char name[] = "orders";

void bequest_init(struct bequest *bequest)
{
	*bequest = (struct bequest){0};
	arena_init(&bequest->arena, CONF_ARENA_BYTES_MAX);
}

void bequest_done(struct bequest *bequest)
{
	mem_free(bequest->orders);
	mem_free(bequest->edits);
	arena_done(&bequest->arena);
	*bequest = (struct bequest){0};
}

static void *make_room(void *all, size_t one, u32 count, u32 *room)
{
	if (count < *room)
		return all;
	*room = MAX(2 * *room, (u32)room_first);
	return mem_realloc(all, one * *room);
}

bool bequest_add_order(struct bequest *bequest, const struct bequest_order *order)
{
	if (bequest->order_count == BEQUEST_ROWS_MAX)
		return false;
	bequest->orders = make_room(bequest->orders, sizeof(*bequest->orders), bequest->order_count,
		&bequest->order_room);
	bequest->orders[bequest->order_count++] = *order;
	return true;
}

bool bequest_add_edit(struct bequest *bequest, const struct bequest_edit *edit)
{
	if (bequest->edit_count == BEQUEST_ROWS_MAX)
		return false;
	bequest->edits = make_room(
		bequest->edits, sizeof(*bequest->edits), bequest->edit_count, &bequest->edit_room);
	bequest->edits[bequest->edit_count++] = *edit;
	return true;
}

// ---- Written ------------------------------------------------------------------------------------

static void format_order(struct text *text, const struct bequest_order *order)
{
	enum orders_kind kind = (enum orders_kind)order->kind;
	char value[ORDERS_VALUE_BYTES];

	orders_format(value, kind, order->value);
	sealed_add(text, STR("order"));
	sealed_add(text, str_from(orders_kind_word(kind)));
	sealed_add(text, order->pool);
	sealed_add(text, order->backend);
	sealed_add(text, str_from(value));
	sealed_add_i64(text, order->wall_ms);
	sealed_add(text, order->who);
	sealed_end(text);
}

void bequest_format_edit(
	struct text *text, const struct conf_edit *edit, struct str who, i64 wall_ms)
{
	const struct conf_edit_backend *backend = edit->backends;

	sealed_add(text, edit->kind == CONF_EDIT_ADD ? STR("add") : STR("remove"));
	sealed_add(text, edit->pool);
	sealed_add(text, backend->id);
	sealed_add(text, backend->address);
	sealed_add_i64(text, backend->weight);
	sealed_add_i64(text, backend->max_connections);
	sealed_add_i64(text, backend->is_backup);
	sealed_add_i64(text, wall_ms);
	sealed_add(text, who);
	sealed_add(text, backend->own); // which earlier versions neither wrote nor read
	sealed_end(text);
}

void bequest_format(struct text *text, const struct bequest *bequest)
{
	struct text body = {0};

	for (u32 i = 0; i < bequest->edit_count; i++)
		bequest_format_edit(&body, &bequest->edits[i].edit, bequest->edits[i].who,
			bequest->edits[i].wall_ms);
	for (u32 i = 0; i < bequest->order_count; i++)
		format_order(&body, &bequest->orders[i]);
	if (bequest->dropped)
		text_printf(&body, "dropped\t%u\n", bequest->dropped);
	sealed_format(text, name, BEQUEST_VERSION, text_str(&body));
	text_done(&body);
}

// ---- Read ---------------------------------------------------------------------------------------

static bool parse_moment(struct str *row, i64 *ret_wall_ms)
{
	u64 moment;

	if (sealed_cut_u64(row, INT64_MAX, &moment) != 0)
		return false;
	*ret_wall_ms = (i64)moment;
	return true;
}

static bool parse_order(struct bequest *bequest, struct str row)
{
	struct bequest_order order = {0};
	struct str word = str_cut(&row, '\t'), value;

	while (order.kind < ORDERS_KIND_COUNT &&
		!str_eq(word, str_from(orders_kind_word((enum orders_kind)order.kind))))
		order.kind++;
	if (order.kind == ORDERS_KIND_COUNT)
		return false;
	order.pool = sealed_cut(&row, &bequest->arena);
	order.backend = sealed_cut(&row, &bequest->arena);
	value = str_cut(&row, '\t');
	if (!orders_parse((enum orders_kind)order.kind, value, &order.value) ||
		!parse_moment(&row, &order.wall_ms))
		return false;
	order.who = sealed_cut(&row, &bequest->arena);
	return (order.kind == ORDERS_LOG_LEVEL || (order.pool.len && order.backend.len)) &&
	       bequest_add_order(bequest, &order);
}

enum conf_edit_kind bequest_edit_kind(struct str word)
{
	return str_eq(word, STR("add"))	     ? CONF_EDIT_ADD
	       : str_eq(word, STR("remove")) ? CONF_EDIT_REMOVE
					     : CONF_EDIT_LIST;
}

bool bequest_parse_edit(struct bequest_edit *ret_edit, enum conf_edit_kind kind, struct str row,
	struct arena *arena)
{
	struct conf_edit_backend *backend = arena_zalloc(arena, sizeof(*backend));
	struct bequest_edit edit = {.edit = {.kind = (u8)kind,
					    .pool = sealed_cut(&row, arena),
					    .origin = "api",
					    .backends = backend,
					    .count = 1}};
	u64 weight, connections, backup;

	backend->id = sealed_cut(&row, arena);
	backend->address = sealed_cut(&row, arena);
	if (sealed_cut_u64(&row, CONF_WEIGHT_MAX, &weight) != 0 ||
		sealed_cut_u64(&row, UINT32_MAX, &connections) != 0 ||
		sealed_cut_u64(&row, 1, &backup) != 0 || !parse_moment(&row, &edit.wall_ms))
		return false;
	backend->weight = (u32)weight;
	backend->max_connections = (u32)connections;
	backend->is_backup = backup != 0;
	edit.who = sealed_cut(&row, arena);
	backend->own = sealed_cut(&row, arena);
	*ret_edit = edit;
	return edit.edit.pool.len && backend->id.len && backend->address.len;
}

static bool parse_row(struct bequest *bequest, struct str row)
{
	struct str word = str_cut(&row, '\t');
	enum conf_edit_kind kind = bequest_edit_kind(word);
	struct bequest_edit edit;
	u64 dropped;

	if (str_eq(word, STR("order")))
		return parse_order(bequest, row);
	if (kind != CONF_EDIT_LIST)
		return bequest_parse_edit(&edit, kind, row, &bequest->arena) &&
		       bequest_add_edit(bequest, &edit);
	if (str_eq(word, STR("dropped")) && sealed_cut_u64(&row, UINT32_MAX / 2, &dropped) == 0)
		bequest->dropped += (u32)dropped;
	return true;
}

bool bequest_parse(struct bequest *bequest, struct str text, char why[static BEQUEST_WHY_MAX])
{
	struct str body;

	_Static_assert((int)BEQUEST_WHY_MAX >= (int)SEALED_WHY_MAX, "its reasons fit");
	if (text.len > BEQUEST_BYTES_MAX) {
		snprintf(why, BEQUEST_WHY_MAX, "it is longer than %d MiB", BEQUEST_BYTES_MAX >> 20);
		return false;
	}
	if (!sealed_open(text, name, BEQUEST_VERSION, &body, why))
		return false;
	while (body.len)
		bequest->dropped += !parse_row(bequest, str_cut(&body, '\n'));
	return true;
}

// ---- Compared -----------------------------------------------------------------------------------

bool bequest_same_order(const struct bequest_order *order, const struct bequest_order *other)
{
	return order->kind == other->kind && order->value == other->value &&
	       str_eq(order->pool, other->pool) && str_eq(order->backend, other->backend);
}

bool bequest_same_edit(const struct bequest_edit *edit, const struct bequest_edit *other)
{
	const struct conf_edit_backend *a = edit->edit.backends, *b = other->edit.backends;

	return edit->edit.kind == other->edit.kind && str_eq(edit->edit.pool, other->edit.pool) &&
	       str_eq(a->id, b->id) && str_eq(a->address, b->address) && a->weight == b->weight &&
	       a->max_connections == b->max_connections && a->is_backup == b->is_backup &&
	       str_eq(a->own, b->own);
}

const struct bequest_order *bequest_find_order(
	const struct bequest *bequest, const struct bequest_order *like)
{
	for (u32 i = 0; i < bequest->order_count; i++) {
		const struct bequest_order *order = &bequest->orders[i];

		if (order->kind == like->kind && str_eq(order->pool, like->pool) &&
			str_eq(order->backend, like->backend))
			return order;
	}
	return NULL;
}

const struct bequest_edit *bequest_find_edit(
	const struct bequest *bequest, const struct bequest_edit *like)
{
	for (u32 i = 0; i < bequest->edit_count; i++)
		if (bequest_same_edit(&bequest->edits[i], like))
			return &bequest->edits[i];
	return NULL;
}
