// SPDX-License-Identifier: Apache-2.0
#include "control/estate.h"

#include <errno.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stored.h"

// ---- Opened -------------------------------------------------------------------------------------

int estate_read(int fd, size_t bytes_max, struct text *text)
{
	int error = stored_read_fd(fd, bytes_max, text);

	close(fd);
	return error;
}

static void tell_lost(struct log *log, const char *what, const char *why)
{
	LOG(log, LOG_ERROR, "what the process before has left cannot be read",
		LOG_CSTR("part", what), LOG_CSTR("error", why),
		LOG_CSTR("state", "it is lost; give orders again where they are needed"));
}

static bool read_left(
	struct handover *handover, enum inherit_left left, struct text *text, struct log *log)
{
	int fd = handover_take_left(handover, left), error;

	if (fd < 0)
		return false;
	error = estate_read(fd, BEQUEST_BYTES_MAX, text);
	if (error)
		tell_lost(log, inherit_left_word(left), strerror(-error));
	return !error;
}

static void open_shelf(
	struct estate *estate, struct handover *handover, struct shelf_file *file, struct log *log)
{
	struct text text = {0};
	char why[SHELF_WHY_BYTES];

	if (!read_left(handover, INHERIT_GENERATIONS, &text, log)) {
		if (file)
			shelf_file_read(file, &estate->shelf);
	} else if (!shelf_parse(&estate->shelf, text_str(&text), why)) {
		tell_lost(log, inherit_left_word(INHERIT_GENERATIONS), why);
	}
	text_done(&text);
}

static void number(struct estate *estate, const struct conf *written)
{
	const struct shelf_entry *newest = shelf_newest(&estate->shelf);
	struct arena scratch;

	arena_init(&scratch, CONF_ARENA_BYTES_MAX);
	estate->text = shelf_text_new(conf_keep(written, &scratch));
	arena_done(&scratch);
	estate->continues = newest && str_eq(newest->text->text, estate->text->text);
	estate->generation = !newest ? 1 : estate->continues ? newest->number : newest->number + 1;
}

void estate_open(struct estate *estate, struct handover *handover, struct shelf_file *file,
	const struct conf *written, struct log *log)
{
	struct text text = {0};
	char why[BEQUEST_WHY_MAX];

	*estate = (struct estate){0};
	bequest_init(&estate->bequest);
	shelf_init(&estate->shelf);
	if (read_left(handover, INHERIT_ORDERS, &text, log)) {
		estate->is_taken = bequest_parse(&estate->bequest, text_str(&text), why);
		if (!estate->is_taken)
			tell_lost(log, inherit_left_word(INHERIT_ORDERS), why);
	}
	text_done(&text);
	open_shelf(estate, handover, file, log);
	number(estate, written);
}

void estate_done(struct estate *estate)
{
	if (!estate->text)
		return;
	bequest_done(&estate->bequest);
	mem_free(estate->lists);
	shelf_done(&estate->shelf);
	shelf_text_drop(estate->text);
	estate->text = NULL;
}

// ---- Edits --------------------------------------------------------------------------------------

void estate_drop_order(struct bequest *bequest, const struct bequest_order *order, const char *why,
	struct log *log)
{
	char value[ORDERS_VALUE_BYTES];

	orders_format(value, (enum orders_kind)order->kind, order->value);
	bequest->dropped++;
	LOG(log, LOG_WARN, "an order of before does not apply any more",
		LOG_CSTR("order", orders_kind_word((enum orders_kind)order->kind)),
		LOG_STR("pool", order->pool), LOG_STR("backend", order->backend),
		LOG_CSTR("value", value), LOG_STR("by", order->who), LOG_CSTR("reason", why));
}

static void drop_edit(
	struct bequest *bequest, const struct bequest_edit *edit, const char *why, struct log *log)
{
	bequest->dropped++;
	LOG(log, LOG_WARN, "an order of before does not apply any more",
		LOG_CSTR("order", edit->edit.kind == CONF_EDIT_ADD ? "add" : "remove"),
		LOG_STR("pool", edit->edit.pool), LOG_STR("backend", edit->edit.backends->id),
		LOG_STR("by", edit->who), LOG_CSTR("reason", why));
}

static bool has_backend(const struct conf_pool *pool, struct str id)
{
	for (u32 i = 0; i < pool->backend_count; i++)
		if (str_eq(pool->backends[i].id, id))
			return true;
	return false;
}

// NULL: it may be made. A list that is not there yet may have what somebody has removed.
static const char *is_vain(const struct conf *conf, const struct conf_edit *edit)
{
	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct conf_pool *pool = &conf->pools[i];

		if (!str_eq(pool->name, edit->pool))
			continue;
		return edit->kind == CONF_EDIT_REMOVE && !conf->provider_count &&
				       !has_backend(pool, edit->backends->id)
			       ? "there is no such backend"
			       : NULL;
	}
	return "there is no such pool";
}

void estate_add_list(
	struct estate *estate, struct str pool, const struct conf_edit_backend *backends, u32 count)
{
	struct arena *arena = &estate->bequest.arena;
	struct conf_edit list = {.kind = CONF_EDIT_LIST,
		.pool = arena_str(arena, pool),
		.origin = "provider",
		.backends = conf_edit_copy_backends(arena, backends, count),
		.count = count};

	if (estate->list_count == estate->list_room) {
		estate->list_room = MAX(2 * estate->list_room, 4u);
		estate->lists =
			mem_realloc(estate->lists, sizeof(*estate->lists) * estate->list_room);
	}
	estate->lists[estate->list_count++] = list;
}

// As the journal has it: lists first.
static const struct conf *edited(
	const struct estate *estate, const struct conf *written, struct arena *arena)
{
	const struct bequest *bequest = &estate->bequest;
	u32 count = estate->list_count + bequest->edit_count;
	struct conf_edit *edits = mem_alloc(sizeof(*edits) * MAX(count, 1u));
	const struct conf *made;
	struct errs errs;

	errs_init(&errs);
	for (u32 i = 0; i < count; i++)
		edits[i] = i < estate->list_count ? estate->lists[i]
						  : bequest->edits[i - estate->list_count].edit;
	made = conf_edit(written, edits, count, arena, &errs);
	errs_done(&errs);
	mem_free(edits);
	return made;
}

// One after the other: the first of two that exclude each other stays.
static const struct conf *sift(struct estate *estate, const struct conf *written,
	const struct conf *conf, struct arena *arena, struct log *log)
{
	struct bequest *bequest = &estate->bequest;
	u32 count = bequest->edit_count, kept = 0;
	const struct conf *best = conf;

	for (u32 i = 0; i < count; i++) {
		const struct conf *made;

		bequest->edits[kept] = bequest->edits[i];
		bequest->edit_count = kept + 1;
		made = edited(estate, written, arena);
		if (made) {
			best = made;
			kept++;
		} else {
			drop_edit(bequest, &bequest->edits[i], "the configuration would be wrong",
				log);
		}
	}
	bequest->edit_count = kept;
	return best;
}

const struct conf *estate_complete(struct estate *estate, const struct conf *written,
	const struct conf *conf, struct arena *arena, struct log *log)
{
	struct bequest *bequest = &estate->bequest;
	const struct conf *made;
	u32 count = bequest->edit_count;

	bequest->edit_count = 0;
	for (u32 i = 0; i < count; i++) {
		struct bequest_edit edit = bequest->edits[i];
		const char *why = is_vain(conf, &edit.edit);

		if (why)
			drop_edit(bequest, &edit, why, log);
		else
			bequest->edits[bequest->edit_count++] = edit;
	}
	if (!bequest->edit_count)
		return conf;
	made = edited(estate, written, arena);
	return made ? made : sift(estate, written, conf, arena, log);
}
