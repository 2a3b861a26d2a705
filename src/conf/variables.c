// SPDX-License-Identifier: Apache-2.0
#include "conf/variables.h"

#include "base/text.h"
#include "conf/schema.h"

enum { filled_bytes_max = 64 * 1024, variables_max = 100000 };

const struct variable *variables_find(const struct variables *variables, struct str name)
{
	for (u32 i = 0; i < variables->count; i++)
		if (str_eq(variables->list[i].name, name))
			return &variables->list[i];
	return NULL;
}

static struct variable *find(struct variables *variables, struct str name)
{
	return (struct variable *)(uintptr_t)variables_find(variables, name);
}

static void add(struct variables *variables, struct arena *arena, struct variable variable)
{
	struct variable *list;

	if (variables->count == variables_max)
		return;
	if (variables->count == variables->room) {
		variables->room = MAX(64u, variables->room * 2);
		list = arena_zalloc(arena, sizeof(*list) * variables->room);
		if (variables->count)
			memcpy(list, variables->list, sizeof(*list) * variables->count);
		variables->list = list;
	}
	variables->list[variables->count++] = variable;
}

void variables_add_environ(struct variables *variables, struct arena *arena, char *const *environ)
{
	for (; environ && *environ; environ++) {
		struct str value = str_from(*environ), name = str_cut(&value, '=');
		struct variable variable = {
			.name = arena_str(arena, name), .value = arena_str(arena, value)};

		variable.place.file = arena_printf(arena, "environment %.*s", CLIP(variable.name));
		add(variables, arena, variable);
	}
}

static bool is_name_char(char c, bool is_first)
{
	return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' ||
	       (!is_first && ascii_is_digit(c));
}

static bool is_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!is_name_char(name.ptr[i], i == 0))
			return false;
	return name.len > 0;
}

// 'as it is', "with \n and \" escapes", or bare up to a comment.
static struct str parse_value(struct arena *arena, struct str text)
{
	struct text value = {0};
	char quote = text.len ? text.ptr[0] : '\0';

	if (quote != '"' && quote != '\'') {
		for (size_t i = 1; i < text.len; i++)
			if (text.ptr[i] == '#' &&
				(text.ptr[i - 1] == ' ' || text.ptr[i - 1] == '\t'))
				return arena_str(arena, str_trim(str_make(text.ptr, i)));
		return arena_str(arena, text);
	}
	for (size_t i = 1; i < text.len && text.ptr[i] != quote; i++) {
		if (quote == '"' && text.ptr[i] == '\\' && i + 1 < text.len) {
			i++;
			text_addc(&value, text.ptr[i] == 'n' ? '\n' : text.ptr[i]);
		} else {
			text_addc(&value, text.ptr[i]);
		}
	}
	return text_take(&value, arena);
}

void variables_add_dotenv(
	struct variables *variables, struct report *report, const char *file, struct str text)
{
	struct place place = {.file = file, .line = 0, .column = 1};
	u32 environ_count = variables->count;

	while (text.len) {
		struct str line = str_cut(&text, '\n'), name;
		struct variable *old;

		place.line++;
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		line = str_trim(line);
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		if (str_starts(line, STR("export ")))
			line = str_trim(str_make(line.ptr + 7, line.len - 7));
		name = str_trim(str_cut(&line, '='));
		if (!is_name(name)) {
			report_at(report, CODE_SYNTAX, place, 1,
				"'%.*s' is no variable: a line of this file is NAME=value",
				CLIP(name));
			continue;
		}
		old = find(variables, name);
		if (old && old < variables->list + environ_count)
			continue;
		if (old)
			old->value = parse_value(report->arena, str_trim(line));
		else
			add(variables, report->arena,
				(struct variable){.name = arena_str(report->arena, name),
					.value = parse_value(report->arena, str_trim(line)),
					.place = place});
	}
}

bool variables_gave(const struct variables *variables, struct place place)
{
	for (u32 i = 0; i < variables->count; i++)
		if (variables->list[i].place.file == place.file &&
			variables->list[i].place.line == place.line)
			return true;
	return false;
}

bool variables_is_one(struct str written)
{
	size_t colon = str_find(written, ':');

	return str_starts(written, STR("${")) && str_find(written, '}') + 1 == written.len &&
	       !(colon + 1 < written.len && written.ptr[colon + 1] == '-');
}

static void report_unset(const struct variables *variables, struct report *report,
	const struct node *node, struct str name, struct str message)
{
	struct nearest nearest = {0};
	struct err *err;

	for (u32 i = 0; i < variables->count; i++)
		nearest_try(&nearest, name, variables->list[i].name);
	if (message.len)
		err = report_value(report, CODE_NO_VARIABLE, node,
			"variable '%.*s' is not set: %.*s", CLIP(name), CLIP(message));
	else
		err = report_value(
			report, CODE_NO_VARIABLE, node, "variable '%.*s' is not set", CLIP(name));
	if (nearest.found)
		report_advice(report, err, "did you mean '%.*s'?", CLIP(nearest.name));
	else if (!message.len)
		report_advice(report, err, "set it, or write ${%.*s:-default}", CLIP(name));
}

bool variables_use(struct variables *variables, struct report *report, const struct node *node,
	struct str name, const char *why, struct str *ret_value)
{
	struct variable *variable = find(variables, name);

	if (!variable) {
		report_unset(variables, report, node, name, str_from(why));
		return false;
	}
	variable->is_used = true;
	*ret_value = variable->value;
	return true;
}

// `inside` is what stands between "${" and "}".
static bool fill_one(struct variables *variables, struct report *report, const struct node *node,
	struct str inside, struct text *filled)
{
	struct str name = inside, rest, word = STR_EMPTY;
	struct variable *variable;
	char kind = '\0';

	name.len = 0;
	while (name.len < inside.len && is_name_char(inside.ptr[name.len], name.len == 0))
		name.len++;
	rest = str_make(inside.ptr + name.len, inside.len - name.len);
	if (rest.len >= 2 && rest.ptr[0] == ':' && (rest.ptr[1] == '-' || rest.ptr[1] == '?')) {
		kind = rest.ptr[1];
		word = str_make(rest.ptr + 2, rest.len - 2);
		rest.len = 0;
	}
	if (name.len == 0 || rest.len) {
		report_value(report, CODE_BAD_VARIABLE, node,
			"'${%.*s}' is no variable: ${NAME}, ${NAME:-default} or ${NAME:?message}; "
			"$${ stands for ${",
			CLIP(inside));
		return false;
	}
	variable = find(variables, name);
	if (variable)
		variable->is_used = true;
	if (variable && (variable->value.len || !kind)) {
		text_add(filled, variable->value);
	} else if (kind == '-') {
		text_add(filled, word);
	} else {
		report_unset(variables, report, node, name, word);
		return false;
	}
	return true;
}

static void fill_text(struct variables *variables, struct report *report, struct node *node)
{
	struct str rest = node->text;
	struct text filled = {0};
	bool ok = true;

	while (rest.len && ok) {
		struct str before = str_make(rest.ptr, str_find(rest, '$')), inside;

		text_add(&filled, before);
		rest = str_make(rest.ptr + before.len, rest.len - before.len);
		if (str_starts(rest, STR("$${"))) {
			text_add(&filled, STR("${"));
			rest = str_make(rest.ptr + 3, rest.len - 3);
		} else if (str_starts(rest, STR("${"))) {
			inside = str_make(rest.ptr + 2, rest.len - 2);
			if (str_find(inside, '}') == inside.len) {
				report_value(report, CODE_BAD_VARIABLE, node,
					"'${' without '}'; $${ stands for ${");
				ok = false;
				break;
			}
			rest = inside;
			inside = str_cut(&rest, '}');
			ok = fill_one(variables, report, node, inside, &filled);
		} else if (rest.len) {
			text_addc(&filled, '$');
			rest = str_make(rest.ptr + 1, rest.len - 1);
		}
		if (filled.len > filled_bytes_max) {
			report_value(report, CODE_TOO_BIG, node,
				"with its variables this text is longer than %d bytes",
				filled_bytes_max);
			ok = false;
		}
	}
	if (ok && !tree_is_utf8(str_make(filled.data, filled.len))) {
		report_value(
			report, CODE_MALFORMED, node, "with its variables this is no UTF-8 text");
		ok = false;
	}
	if (ok)
		node->written = node->text;
	if (ok)
		node->text = arena_str(report->arena, str_make(filled.data, filled.len));
	text_done(&filled);
}

void variables_fill(struct variables *variables, struct report *report, struct node *node)
{
	if (node->kind == NODE_TEXT && str_find(node->text, '$') < node->text.len)
		fill_text(variables, report, node);
	for (struct node *child = node->first; child; child = child->next)
		variables_fill(variables, report, child);
}
