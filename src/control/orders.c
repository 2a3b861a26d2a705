// SPDX-License-Identifier: Apache-2.0
#include "control/orders.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/model.h"

// ---- Words --------------------------------------------------------------------------------------

static const char *const state_words[] = {
	[MODEL_ENABLED] = "enabled", [MODEL_DRAINED] = "drain", [MODEL_DISABLED] = "disabled"};

static const char *const breaker_words[] = {[BREAKER_AUTOMATIC] = "auto",
	[BREAKER_FORCED_OPEN] = "open",
	[BREAKER_FORCED_CLOSED] = "closed"};

const char *orders_kind_word(enum orders_kind kind)
{
	static const char *const words[] = {
#define X(name, word) [ORDERS_##name] = word,
		ORDERS_KINDS(X)
#undef X
	};

	return words[kind];
}

// NULL: there is no such value.
static const char *word_of(enum orders_kind kind, u32 value)
{
	switch (kind) {
	case ORDERS_STATE:
		return value < ARRAY_LEN(state_words) ? state_words[value] : NULL;
	case ORDERS_BREAKER:
		return value < ARRAY_LEN(breaker_words) ? breaker_words[value] : NULL;
	case ORDERS_LOG_LEVEL:
		return value <= LOG_TRACE ? log_level_name((enum log_level)value) : NULL;
	case ORDERS_WEIGHT:
	case ORDERS_KIND_COUNT:
		break;
	}
	return NULL;
}

void orders_format(char text[static ORDERS_VALUE_BYTES], enum orders_kind kind, u32 value)
{
	const char *word = word_of(kind, value);

	if (word)
		snprintf(text, ORDERS_VALUE_BYTES, "%s", word);
	else
		snprintf(text, ORDERS_VALUE_BYTES, "%u", value);
}

bool orders_parse(enum orders_kind kind, struct str text, u32 *ret_value)
{
	u64 number;

	if (kind == ORDERS_WEIGHT) {
		if (str_to_u64(text, CONF_WEIGHT_MAX, &number) != 0)
			return false;
		*ret_value = (u32)number;
		return true;
	}
	for (u32 value = 0; value <= LOG_TRACE; value++) {
		const char *word = word_of(kind, value);

		if (word && str_eq(text, str_from(word))) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

// ---- Notes --------------------------------------------------------------------------------------

void orders_init(struct orders *orders)
{
	list_init(&orders->notes);
	orders->count = 0;
}

static void drop(struct orders *orders, struct orders_note *note)
{
	list_remove(&note->node);
	orders->count--;
	mem_free(note);
}

void orders_done(struct orders *orders)
{
	while (orders->count)
		drop(orders, list_first(&orders->notes, struct orders_note, node));
}

static struct orders_note *find(const struct orders *orders, enum orders_kind kind, u32 cell)
{
	list_for_each (node, &orders->notes) {
		struct orders_note *note = list_entry(node, struct orders_note, node);

		if (note->kind == kind && note->cell == cell)
			return note;
	}
	return NULL;
}

const struct orders_note *orders_find(const struct orders *orders, enum orders_kind kind, u32 cell)
{
	return find(orders, kind, cell);
}

void orders_note(struct orders *orders, enum orders_kind kind, u32 cell, const char *who,
	i64 wall_ms, u64 event)
{
	struct orders_note *note = find(orders, kind, cell);

	if (note)
		drop(orders, note);
	if (orders->count == ORDERS_MAX)
		drop(orders, list_first(&orders->notes, struct orders_note, node));
	note = mem_alloc(sizeof(*note));
	note->kind = (u8)kind;
	note->cell = cell;
	note->wall_ms = wall_ms;
	note->event = event;
	snprintf(note->who, sizeof(note->who), "%s", who);
	list_init(&note->node);
	list_push_back(&orders->notes, &note->node);
	orders->count++;
}

void orders_adopt(struct orders *orders, const struct snapshot *snapshot)
{
	list_for_each_safe (node, &orders->notes) {
		struct orders_note *note = list_entry(node, struct orders_note, node);

		if (note->kind != ORDERS_LOG_LEVEL &&
			(note->cell >= snapshot->backend_count || !snapshot->backends[note->cell]))
			drop(orders, note);
	}
}
