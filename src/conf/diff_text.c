// SPDX-License-Identifier: Apache-2.0
// A diff for people and for programs.
#include "base/json.h"
#include "conf/diff.h"

static const char *const kind_words[] = {
	[CONF_ADDED] = "added", [CONF_REMOVED] = "removed", [CONF_CHANGED] = "changed"};

static const char kind_signs[] = {[CONF_ADDED] = '+', [CONF_REMOVED] = '-', [CONF_CHANGED] = '~'};

static bool has_head(const struct conf_change *change, const struct conf_change *before)
{
	return !before || change->group != before->group || !str_eq(change->name, before->name) ||
	       before->key.len == 0;
}

static void add_line(
	struct text *text, const struct conf_change *change, const struct conf_change *before)
{
	bool is_whole = change->key.len == 0;

	if (is_whole) {
		text_printf(text, "%c %s %.*s", kind_signs[change->kind], change->group,
			STR_FMT(change->name));
		if (change->before.len + change->after.len)
			text_add(text, STR(":"));
	} else {
		if (has_head(change, before))
			text_printf(text, "~ %s %.*s\n", change->group, STR_FMT(change->name));
		text_printf(text, "    %c %.*s:", kind_signs[change->kind], STR_FMT(change->key));
	}
	if (change->kind == CONF_CHANGED && change->before.len + change->after.len == 0)
		text_add(text, STR(" is another one"));
	else if (change->kind == CONF_CHANGED)
		text_printf(text, " %.*s → %.*s", STR_FMT(change->before), STR_FMT(change->after));
	else if (change->before.len + change->after.len)
		text_printf(text, " %.*s%.*s", STR_FMT(change->before), STR_FMT(change->after));
	text_printf(text, "  (%s)\n", conf_effect_texts[change->effect]);
}

static void add_sum(struct text *text, u32 count, const char *what)
{
	text_printf(text, "%u %s%s", count, what, count == 1 ? "" : "s");
}

struct str conf_diff_text(const struct conf_diff *diff, struct arena *arena)
{
	const struct conf_change *before = NULL;
	struct text text = {0};

	for (const struct conf_change *one = diff->first; one; before = one, one = one->next)
		add_line(&text, one, before);
	if (diff->count > CONF_CHANGES_MAX)
		text_printf(&text, "and %u more\n", diff->count - CONF_CHANGES_MAX);
	if (diff->count)
		add_sum(&text, diff->count, "change");
	else
		text_add(&text, STR("no change"));
	text_add(&text, STR("; as before: "));
	add_sum(&text, diff->frontends_kept, "frontend");
	text_add(&text, STR(", "));
	add_sum(&text, diff->pools_kept, "pool");
	text_add(&text, STR(", "));
	add_sum(&text, diff->backends_kept, "backend");
	text_addc(&text, '\n');
	return text_take(&text, arena);
}

struct str conf_diff_json(const struct conf_diff *diff, struct arena *arena)
{
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	json_key_bool(&json, "same", diff->count == 0);
	json_key_u64(&json, "count", diff->count);
	json_key(&json, "changes");
	json_array_begin(&json);
	for (const struct conf_change *one = diff->first; one; one = one->next) {
		json_object_begin(&json);
		json_key_cstr(&json, "group", one->group);
		json_key_str(&json, "name", one->name);
		json_key_cstr(&json, "change", kind_words[one->kind]);
		json_key_name(&json, "key", one->key);
		json_key_name(&json, "before", one->before);
		json_key_name(&json, "after", one->after);
		json_key_cstr(&json, "effect", conf_effect_words[one->effect]);
		json_object_end(&json);
	}
	json_array_end(&json);
	json_key(&json, "kept");
	json_object_begin(&json);
	json_key_u64(&json, "frontends", diff->frontends_kept);
	json_key_u64(&json, "pools", diff->pools_kept);
	json_key_u64(&json, "backends", diff->backends_kept);
	json_object_end(&json);
	json_object_end(&json);
	text_addc(&text, '\n');
	return text_take(&text, arena);
}
