// SPDX-License-Identifier: Apache-2.0
#include "control/shelf.h"

#include "base/json.h"
#include "base/mem.h"

enum { edits_bytes_max = 64 << 20 };

struct shelf_text *shelf_text_new(struct str text)
{
	struct shelf_text *copy = mem_alloc(sizeof(*copy));

	copy->users = 1;
	copy->text = str_make(mem_strndup(text.ptr, text.len), text.len);
	return copy;
}

void shelf_text_drop(struct shelf_text *text)
{
	if (!text || --text->users)
		return;
	mem_free((char *)(uintptr_t)text->text.ptr);
	mem_free(text);
}

void shelf_init(struct shelf *shelf)
{
	list_init(&shelf->entries);
	shelf->count = 0;
}

static void drop(struct shelf *shelf, struct shelf_entry *entry)
{
	list_remove(&entry->node);
	shelf->count--;
	shelf_text_drop(entry->text);
	arena_done(&entry->arena);
	mem_free(entry);
}

void shelf_done(struct shelf *shelf)
{
	while (shelf->count)
		drop(shelf, list_first(&shelf->entries, struct shelf_entry, node));
}

// A text that several have counts once: they stand one after the other.
static size_t bytes_of(const struct shelf *shelf)
{
	const struct shelf_text *last = NULL;
	size_t bytes = 0;

	list_for_each (node, &shelf->entries) {
		const struct shelf_entry *entry = list_entry(node, struct shelf_entry, node);

		if (entry->text && entry->text != last)
			bytes += entry->text->text.len;
		last = entry->text;
	}
	return bytes;
}

struct shelf_entry *shelf_add(struct shelf *shelf, u32 number, struct shelf_text *text)
{
	struct shelf_entry *entry = mem_alloc(sizeof(*entry));

	entry->number = number;
	entry->text = text;
	if (text)
		text->users++;
	list_init(&entry->node);
	arena_init(&entry->arena, edits_bytes_max);
	list_push_back(&shelf->entries, &entry->node);
	shelf->count++;
	while (shelf->count > SHELF_MAX || (shelf->count > 1 && bytes_of(shelf) > SHELF_BYTES_MAX))
		drop(shelf, list_first(&shelf->entries, struct shelf_entry, node));
	return entry;
}

void shelf_move(struct shelf *shelf, struct shelf *from)
{
	ASSERT(!shelf->count);
	list_for_each_safe (node, &from->entries) {
		list_remove(node);
		list_push_back(&shelf->entries, node);
	}
	shelf->count = from->count;
	from->count = 0;
}

struct shelf_entry *shelf_find(const struct shelf *shelf, u32 number)
{
	list_for_each (node, &shelf->entries) {
		struct shelf_entry *entry = list_entry(node, struct shelf_entry, node);

		if (entry->number == number)
			return entry;
	}
	return NULL;
}

struct shelf_entry *shelf_newest(const struct shelf *shelf)
{
	return shelf->count ? list_entry(shelf->entries.prev, struct shelf_entry, node) : NULL;
}

struct shelf_entry *shelf_before(const struct shelf *shelf, const struct shelf_entry *entry)
{
	if (!entry || entry->node.prev == &shelf->entries)
		return NULL;
	return list_entry(entry->node.prev, struct shelf_entry, node);
}

struct str shelf_json(const struct shelf *shelf, struct arena *arena)
{
	const struct shelf_entry *entry = shelf_newest(shelf);
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_array_begin(&json);
	for (; entry; entry = shelf_before(shelf, entry)) {
		json_object_begin(&json);
		json_key_u64(&json, "number", entry->number);
		json_key_i64(&json, "at_ms", entry->wall_ms);
		json_key_cstr(&json, "by", entry->who);
		json_key_cstr(&json, "text", entry->event);
		json_key_cstr(&json, "about", entry->about[0] ? entry->about : NULL);
		json_key_bool(&json, "in_effect", entry == shelf_newest(shelf));
		json_object_end(&json);
	}
	json_array_end(&json);
	return text_take(&text, arena);
}
