// SPDX-License-Identifier: Apache-2.0
// A tree as YAML, TOML or JSON text.
#include "base/text.h"
#include "conf/hide.h"
#include "conf/read.h"
#include "conf/variables.h"

struct writer {
	struct text text;
	bool with_origin; // YAML only
	bool shows_secrets;
	bool hides_variables; // "${" in a value is text by now, and must stay that when read again
};

static void indent(struct writer *writer, u32 depth)
{
	while (depth--)
		text_add(&writer->text, STR("  "));
}

static bool is_word_char(char c)
{
	return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || ascii_is_digit(c) || c == '_' ||
	       c == '-';
}

// Characters beyond ASCII that YAML has as line breaks, or not at all: C1 controls, the line and
// paragraph separators, the byte order mark and the two that are none. They are two or three bytes
// long; 0 stands for all others.
static u32 decode_special(struct str text)
{
	const u8 *at = (const u8 *)text.ptr;
	u32 code = 0;

	if (text.len >= 2 && at[0] == 0xc2 && at[1] < 0xa0)
		return at[1];
	if (text.len >= 3 && (at[0] & 0xf0) == 0xe0)
		code = (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
	return code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe ? code : 0;
}

// Double quotes and escapes that JSON, TOML and YAML read alike.
static void add_quoted(struct text *text, struct str value)
{
	text_addc(text, '"');
	for (size_t i = 0; i < value.len; i++) {
		u8 c = (u8)value.ptr[i];
		u32 special = c < 0x80 ? 0 : decode_special(str_make(value.ptr + i, value.len - i));

		if (c == '"' || c == '\\')
			text_printf(text, "\\%c", c);
		else if (c == '\n')
			text_add(text, STR("\\n"));
		else if (c == '\t')
			text_add(text, STR("\\t"));
		else if (c < 0x20 || c == 0x7f || special)
			text_printf(text, "\\u%04x", special ? special : c);
		else
			text_addc(text, (char)c);
		i += special == 0 ? 0 : special < 0x100 ? 1 : 2;
	}
	text_addc(text, '"');
}

// "${" becomes "$${" where variables were filled in already.
static void add_quoted_value(struct writer *writer, struct str value)
{
	struct text hidden = {0};

	if (!writer->hides_variables) {
		add_quoted(&writer->text, value);
		return;
	}
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '$' && i + 1 < value.len && value.ptr[i + 1] == '{')
			text_addc(&hidden, '$');
		text_addc(&hidden, value.ptr[i]);
	}
	add_quoted(&writer->text, str_make(hidden.data, hidden.len));
	text_done(&hidden);
}

// A secret is shown by the variable that holds it, or not at all.
static struct str shown_secret(const struct node *node)
{
	return variables_is_one(node->written) ? node->written : STR(HIDDEN_SECRET);
}

struct str tree_shown(const struct node *node)
{
	return node->is_secret ? shown_secret(node) : node->text;
}

// A number or boolean in every syntax. What a user wrote without quotes may be one, too.
static bool is_bare(const struct node *node)
{
	u64 number;

	if (node->is_bare)
		return true;
	if (node->is_quoted)
		return false;
	if (str_eq(node->text, STR("true")) || str_eq(node->text, STR("false")))
		return true;
	return (node->text.len == 1 || (node->text.len && node->text.ptr[0] != '0')) &&
	       str_to_u64(node->text, INT64_MAX, &number) == 0;
}

static void add_scalar(struct writer *writer, const struct node *node)
{
	if (node->is_secret && writer->shows_secrets)
		add_quoted_value(writer, node->text);
	else if (node->is_secret)
		add_quoted(&writer->text, shown_secret(node));
	else if (is_bare(node))
		text_add(&writer->text, node->text);
	else
		add_quoted_value(writer, node->text);
}

// Texts that every reader of YAML takes for the text they are: a word that is no boolean or null,
// a path, a number with a unit.
static bool is_plain_in_yaml(struct str value)
{
	static const char *const taken[] = {
		"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
	bool has_colon = str_find(value, ':') < value.len;
	char first = value.len ? ascii_lower(value.ptr[0]) : '\0';

	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		if (str_eq_nocase(value, str_from(taken[i])))
			return false;
	for (size_t i = 0; i < value.len; i++)
		if (!is_word_char(value.ptr[i]) && !strchr("./:", value.ptr[i]))
			return false;
	if (value.len == 0 || value.ptr[value.len - 1] == ':')
		return false;
	if (ascii_is_digit(first))
		return !has_colon && !ascii_is_digit(value.ptr[value.len - 1]) &&
		       !(value.len > 1 && first == '0' && value.ptr[1] == 'x') &&
		       str_find(value, '.') == value.len;
	return (first >= 'a' && first <= 'z') || first == '/';
}

static void add_yaml_text(struct text *text, struct str value)
{
	if (is_plain_in_yaml(value))
		text_add(text, value);
	else
		add_quoted(text, value);
}

static void add_yaml_scalar(struct writer *writer, const struct node *node)
{
	if (!node->is_secret && is_plain_in_yaml(node->text))
		text_add(&writer->text, node->text);
	else
		add_scalar(writer, node);
	if (writer->with_origin && !node->place.file)
		text_add(&writer->text, STR("  # default"));
	else if (writer->with_origin && node->place.line)
		text_printf(&writer->text, "  # %s:%u:%u", node->place.file, node->place.line,
			node->place.column);
	else if (writer->with_origin)
		text_printf(&writer->text, "  # %s", node->place.file);
	text_addc(&writer->text, '\n');
}

static void add_yaml(struct writer *writer, const struct node *node, u32 depth, bool after_dash);

static void add_yaml_value(struct writer *writer, const struct node *node, u32 depth, bool in_list)
{
	if (node->kind == NODE_TEXT) {
		if (!in_list)
			text_addc(&writer->text, ' ');
		add_yaml_scalar(writer, node);
	} else if (!node->first) {
		text_printf(&writer->text, "%s%s\n", in_list ? "" : " ",
			node->kind == NODE_MAP	  ? "{}"
			: node->kind == NODE_LIST ? "[]"
						  : "null");
	} else {
		if (!in_list || node->kind == NODE_LIST)
			text_addc(&writer->text, '\n');
		add_yaml(writer, node, depth, in_list && node->kind == NODE_MAP);
	}
}

// `after_dash`: the first member goes on the line of its '-'.
static void add_yaml(struct writer *writer, const struct node *node, u32 depth, bool after_dash)
{
	for (const struct node *child = node->first; child; child = child->next) {
		if (!after_dash || child != node->first)
			indent(writer, depth);
		if (node->kind == NODE_LIST) {
			text_add(&writer->text, STR("- "));
			add_yaml_value(writer, child, depth + 1, true);
			continue;
		}
		add_yaml_text(&writer->text, child->key);
		text_addc(&writer->text, ':');
		add_yaml_value(writer, child, depth + 1, false);
	}
}

static void add_json(struct writer *writer, const struct node *node, u32 depth)
{
	bool is_map = node->kind == NODE_MAP;

	if (node->kind == NODE_NULL) {
		text_add(&writer->text, STR("null"));
		return;
	}
	if (node->kind == NODE_TEXT) {
		add_scalar(writer, node);
		return;
	}
	text_addc(&writer->text, is_map ? '{' : '[');
	for (const struct node *child = node->first; child; child = child->next) {
		text_add(&writer->text, child == node->first ? STR("\n") : STR(",\n"));
		indent(writer, depth + 1);
		if (is_map) {
			add_quoted(&writer->text, child->key);
			text_add(&writer->text, STR(": "));
		}
		add_json(writer, child, depth + 1);
	}
	if (node->first) {
		text_addc(&writer->text, '\n');
		indent(writer, depth);
	}
	text_addc(&writer->text, is_map ? '}' : ']');
}

static void add_toml_key(struct text *text, struct str key)
{
	bool is_word = key.len > 0;

	for (size_t i = 0; i < key.len; i++)
		is_word &= is_word_char(key.ptr[i]);
	if (is_word)
		text_add(text, key);
	else
		add_quoted(text, key);
}

// Values inside of others have no lines of their own in TOML, but for the items of a list of maps.
static void add_toml_value(struct writer *writer, const struct node *node, bool is_inline)
{
	bool is_map = node->kind == NODE_MAP;
	bool has_lines = !is_inline && !is_map && node->first && node->first->kind == NODE_MAP;

	if (node->kind == NODE_TEXT) {
		add_scalar(writer, node);
		return;
	}
	text_addc(&writer->text, is_map ? '{' : '[');
	for (const struct node *child = node->first; child; child = child->next) {
		if (child->kind == NODE_NULL)
			continue;
		if (child != node->first)
			text_addc(&writer->text, ',');
		if (has_lines)
			text_add(&writer->text, STR("\n  "));
		else if (child != node->first || is_map)
			text_addc(&writer->text, ' ');
		if (is_map) {
			add_toml_key(&writer->text, child->key);
			text_add(&writer->text, STR(" = "));
		}
		add_toml_value(writer, child, true);
	}
	if (has_lines)
		text_add(&writer->text, STR(",\n"));
	else if (is_map && node->first)
		text_addc(&writer->text, ' ');
	text_addc(&writer->text, is_map ? '}' : ']');
}

static void add_toml_header(struct writer *writer, struct str path)
{
	text_printf(&writer->text, "%s[%.*s]\n", writer->text.len ? "\n" : "", STR_FMT(path));
}

static void add_toml_table(struct writer *writer, const struct node *map, struct str path)
{
	bool has_header = path.len == 0;

	for (const struct node *child = map->first; child; child = child->next) {
		if (child->kind == NODE_MAP || child->kind == NODE_NULL)
			continue;
		if (!has_header)
			add_toml_header(writer, path);
		has_header = true;
		add_toml_key(&writer->text, child->key);
		text_add(&writer->text, STR(" = "));
		add_toml_value(writer, child, false);
		text_addc(&writer->text, '\n');
	}
	if (!map->first)
		add_toml_header(writer, path);
	for (const struct node *child = map->first; child; child = child->next) {
		struct text inner = {0};

		if (child->kind != NODE_MAP)
			continue;
		text_add(&inner, path);
		if (path.len)
			text_addc(&inner, '.');
		add_toml_key(&inner, child->key);
		add_toml_table(writer, child, str_make(inner.data, inner.len));
		text_done(&inner);
	}
}

struct str tree_write(const struct node *root, enum conf_syntax syntax, enum tree_write_kind kind,
	struct arena *arena)
{
	struct writer writer = {.with_origin = kind == TREE_WRITE_ORIGINS && syntax == CONF_YAML,
		.shows_secrets = kind == TREE_WRITE_PRIVATE,
		.hides_variables = kind != TREE_WRITE_SOURCE};

	switch (syntax) {
	case CONF_YAML:
		if (root->first)
			add_yaml(&writer, root, 0, false);
		else
			text_add(&writer.text, STR("{}\n"));
		break;
	case CONF_TOML:
		if (root->first)
			add_toml_table(&writer, root, STR_EMPTY);
		break;
	case CONF_JSON:
		add_json(&writer, root, 0);
		text_addc(&writer.text, '\n');
		break;
	}
	return text_take(&writer.text, arena);
}

struct str conf_show(
	const struct conf *conf, enum conf_syntax syntax, bool with_origin, struct arena *arena)
{
	return tree_write(
		conf->tree, syntax, with_origin ? TREE_WRITE_ORIGINS : TREE_WRITE_EFFECTIVE, arena);
}

struct str conf_keep(const struct conf *conf, struct arena *arena)
{
	return tree_write(conf->tree, CONF_JSON, TREE_WRITE_PRIVATE, arena);
}
