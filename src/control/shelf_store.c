// SPDX-License-Identifier: Apache-2.0
// The shelf as a text: a configuration, behind it the generations that have it, and behind each of
// these its edits. The newest are in it as far as their configurations have room.
#include <stdio.h>

#include "base/mem.h"
#include "base/sealed.h"
#include "control/bequest.h"
#include "control/shelf.h"

enum { version = 1, edits_max = 65536 };

static const char name[] = "generations";

// ---- Written ------------------------------------------------------------------------------------

static const struct shelf_entry *find_first(const struct shelf *shelf, u32 below)
{
	const struct shelf_entry *entry = shelf_newest(shelf), *first = NULL;
	const struct shelf_text *last = NULL;
	size_t bytes = 0;

	for (; entry; entry = shelf_before(shelf, entry)) {
		if (entry->number >= below)
			continue;
		if (!entry->text)
			break;
		if (entry->text != last)
			bytes += entry->text->text.len;
		if (bytes > SHELF_STORED_BYTES_MAX)
			break;
		last = entry->text;
		first = entry;
	}
	return first;
}

static void format_entry(struct text *body, const struct shelf_entry *entry)
{
	sealed_add(body, STR("generation"));
	sealed_add_i64(body, entry->number);
	sealed_add_i64(body, entry->wall_ms);
	sealed_add(body, str_from(entry->who));
	sealed_add(body, str_from(entry->event));
	sealed_add(body, str_from(entry->about));
	sealed_end(body);
	for (u32 i = 0; i < entry->edit_count; i++)
		bequest_format_edit(body, &entry->edits[i], STR_EMPTY, 0);
}

void shelf_format(const struct shelf *shelf, u32 below, struct text *text)
{
	const struct shelf_entry *first = find_first(shelf, below);
	const struct shelf_text *last = NULL;
	struct text body = {0};
	bool begun = false;

	list_for_each (node, &shelf->entries) {
		const struct shelf_entry *entry = list_entry(node, struct shelf_entry, node);

		begun |= entry == first;
		if (!begun || entry->number >= below)
			continue;
		if (entry->text != last) {
			sealed_add(&body, STR("text"));
			sealed_add(&body, entry->text->text);
			sealed_end(&body);
		}
		last = entry->text;
		format_entry(&body, entry);
	}
	sealed_format(text, name, version, text_str(&body));
	text_done(&body);
}

// ---- Read ---------------------------------------------------------------------------------------

struct parsing {
	struct shelf *shelf;
	struct shelf_text *text; // of generations that follow
	struct shelf_entry *entry;
	u32 edit_room;
};

static void parse_text(struct parsing *parsing, struct str row)
{
	struct arena arena;

	arena_init(&arena, SHELF_FILE_BYTES_MAX + (1 << 20));
	shelf_text_drop(parsing->text);
	parsing->text = shelf_text_new(sealed_cut(&row, &arena));
	arena_done(&arena);
}

static void parse_entry(struct parsing *parsing, struct str row)
{
	const struct shelf_entry *before = shelf_newest(parsing->shelf);
	struct shelf_entry *entry;
	u64 number, wall_ms;

	parsing->entry = NULL;
	if (sealed_cut_u64(&row, UINT32_MAX - 1, &number) != 0 ||
		sealed_cut_u64(&row, INT64_MAX, &wall_ms) != 0 || !parsing->text ||
		number <= (before ? before->number : 0))
		return;
	entry = shelf_add(parsing->shelf, (u32)number, parsing->text);
	entry->wall_ms = (i64)wall_ms;
	snprintf(entry->who, sizeof(entry->who), "%s", sealed_cut(&row, &entry->arena).ptr);
	entry->event = sealed_cut(&row, &entry->arena).ptr;
	snprintf(entry->about, sizeof(entry->about), "%s", sealed_cut(&row, &entry->arena).ptr);
	parsing->entry = entry;
	parsing->edit_room = 0;
}

static void parse_edit(struct parsing *parsing, enum conf_edit_kind kind, struct str row)
{
	struct shelf_entry *entry = parsing->entry;
	struct bequest_edit edit;
	struct conf_edit *more;

	if (!entry || entry->edit_count == edits_max ||
		!bequest_parse_edit(&edit, kind, row, &entry->arena))
		return;
	if (entry->edit_count == parsing->edit_room) {
		parsing->edit_room = MAX(2 * parsing->edit_room, 4u);
		more = arena_zalloc(&entry->arena, sizeof(*more) * parsing->edit_room);
		if (entry->edit_count)
			memcpy(more, entry->edits, sizeof(*more) * entry->edit_count);
		entry->edits = more;
	}
	entry->edits[entry->edit_count++] = edit.edit;
}

bool shelf_parse(struct shelf *shelf, struct str text, char why[static SHELF_WHY_BYTES])
{
	struct parsing parsing = {.shelf = shelf};
	struct str body;

	_Static_assert((int)SHELF_WHY_BYTES >= (int)SEALED_WHY_MAX, "its reasons fit");
	if (text.len > SHELF_FILE_BYTES_MAX) {
		snprintf(why, SHELF_WHY_BYTES, "it is longer than %d MiB",
			SHELF_FILE_BYTES_MAX >> 20);
		return false;
	}
	if (!sealed_open(text, name, version, &body, why))
		return false;
	while (body.len) {
		struct str row = str_cut(&body, '\n'), word = str_cut(&row, '\t');
		enum conf_edit_kind kind = bequest_edit_kind(word);

		if (str_eq(word, STR("text")))
			parse_text(&parsing, row);
		else if (str_eq(word, STR("generation")))
			parse_entry(&parsing, row);
		else if (kind != CONF_EDIT_LIST)
			parse_edit(&parsing, kind, row);
	}
	shelf_text_drop(parsing.text);
	return true;
}
