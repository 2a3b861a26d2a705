// SPDX-License-Identifier: Apache-2.0
// What was ordered while a process served, as the text that it leaves to whoever follows it after a
// crash or an upgrade (INHERIT_ORDERS): orders in force, and backends that were added and removed.
// Names stand in it and no numbers of slots, since the other one may have another configuration.
//
// Rows that are not known are left alone, so that there can be more without another version. A row
// whose values make no sense is counted among those that were dropped.
#pragma once

#include "base/text.h"
#include "conf/edit.h"
#include "control/orders.h"

enum {
	BEQUEST_VERSION = 1,
	BEQUEST_BYTES_MAX = 64 << 20,
	BEQUEST_ROWS_MAX = ORDERS_MAX + 1, // of orders, and as many of edits
	BEQUEST_WHY_MAX = 128,
};

struct bequest_order {
	u8 kind;	// enum orders_kind
	bool waits;	// for a list from elsewhere that is not known yet
	bool is_silent; // taken without an event of its own
	u32 value;
	struct str pool, backend; // empty for ORDERS_LOG_LEVEL
	struct str who;
	i64 wall_ms;
};

struct bequest_edit {
	struct conf_edit edit; // CONF_EDIT_ADD or _REMOVE, of one backend
	struct str who;
	i64 wall_ms;
};

struct bequest {
	struct arena arena; // of texts that were parsed
	struct bequest_order *orders;
	struct bequest_edit *edits;
	u32 order_count, order_room, edit_count, edit_room;
	u32 dropped; // did not apply any more, to this process or to one before it
};

void bequest_init(struct bequest *bequest);
void bequest_done(struct bequest *bequest);

// Texts are borrowed. False: there are BEQUEST_ROWS_MAX already.
bool bequest_add_order(struct bequest *bequest, const struct bequest_order *order);
bool bequest_add_edit(struct bequest *bequest, const struct bequest_edit *edit);

void bequest_format(struct text *text, const struct bequest *bequest);

// Into an initialized one. False: `why` says what is wrong with the text, and nothing is there.
bool bequest_parse(struct bequest *bequest, struct str text, char why[static BEQUEST_WHY_MAX]);

// Whether they say the same about the same.
bool bequest_same_order(const struct bequest_order *order, const struct bequest_order *other);
bool bequest_same_edit(const struct bequest_edit *edit, const struct bequest_edit *other);
const struct bequest_order *bequest_find_order(
	const struct bequest *bequest, const struct bequest_order *like); // about the same
const struct bequest_edit *bequest_find_edit(
	const struct bequest *bequest, const struct bequest_edit *like); // the same

// ---- For generations, which have edits too ------------------------------------------------------

void bequest_format_edit(
	struct text *text, const struct conf_edit *edit, struct str who, i64 wall_ms);

// `row` behind its first word, `kind`. False: its values make no sense.
bool bequest_parse_edit(struct bequest_edit *ret_edit, enum conf_edit_kind kind, struct str row,
	struct arena *arena) must_check;

// CONF_EDIT_ADD, _REMOVE, or CONF_EDIT_LIST for every other word.
enum conf_edit_kind bequest_edit_kind(struct str word);
