// SPDX-License-Identifier: Apache-2.0
// The table as a reference: docs/config.md and `weir help KEY`.
#include <inttypes.h>

#include "base/text.h"
#include "conf/conf.h"
#include "conf/schema.h"
#include "conf/value.h"

static void add_words(struct text *text, const struct schema_key *key)
{
	bool is_first = true;

	for (u32 i = 0; i < schema_word_count; i++) {
		const struct schema_word *word = &schema_words[i];

		if (word->words != key->words || word->milestone || word->same_as)
			continue;
		text_printf(text, "%s`%.*s`", is_first ? "" : ", ", STR_FMT(word->word));
		is_first = false;
	}
}

static void add_word_aliases(struct text *text, const struct schema_key *key)
{
	const char *before = "; also ";

	for (u32 i = 0; i < schema_word_count; i++) {
		const struct schema_word *word = &schema_words[i];

		if (word->words != key->words || !word->same_as)
			continue;
		text_printf(text, "%s`%.*s`", before, STR_FMT(word->word));
		before = ", ";
	}
}

static void add_bounds(struct text *text, const struct schema_key *key, struct arena *arena)
{
	switch ((enum schema_kind)key->kind) {
	case KIND_COUNT:
		text_printf(text, " %" PRIu64 " to %" PRIu64, key->min, key->max);
		break;
	case KIND_DURATION:
		text_printf(text, " (%s to %s)", value_format_duration(arena, key->min),
			value_format_duration(arena, key->max));
		break;
	case KIND_PERCENT:
		text_printf(text, " (%" PRIu64 "%% to %" PRIu64 "%%)", key->min, key->max);
		break;
	case KIND_DECIMAL:
		text_printf(text, " %g to %g", (double)key->min / 1000, (double)key->max / 1000);
		break;
	case KIND_SIZE:
		text_printf(text, " (%s to %s)", value_format_size(arena, key->min),
			value_format_size(arena, key->max));
		break;
	default:
		return;
	}
	if (key->other)
		text_printf(text, ", or `%s`", key->other);
}

static void add_type(struct text *text, const struct schema_key *key, struct arena *arena)
{
	const char *kind = schema_kind_text(key->kind);
	size_t colon = str_find(str_from(kind), ':');

	if (key->kind == KIND_WORDS) {
		add_words(text, key);
		add_word_aliases(text, key);
		return;
	}
	text_printf(text, "%.*s", (int)colon, kind);
	add_bounds(text, key, arena);
}

static void add_default(struct text *text, const struct schema_key *key)
{
	if (key->is_needed)
		text_add(text, STR("needed"));
	else if (key->default_text)
		text_printf(text, "`%s`", key->default_text);
}

static bool is_listed(const struct schema_key *key, enum schema_map_id map)
{
	return key->map == map && !schema_is_alias(key) && key->kind != KIND_LATER;
}

static void add_table(struct text *text, enum schema_map_id map, struct arena *arena)
{
	text_add(text, STR("\n| key | value | default | meaning |\n|---|---|---|---|\n"));
	for (u32 i = 0; i < schema_key_count; i++) {
		const struct schema_key *key = &schema_keys[i];

		if (!is_listed(key, map))
			continue;
		text_printf(text, "| `%.*s` | ", STR_FMT(key->name));
		add_type(text, key, arena);
		text_add(text, STR(" | "));
		add_default(text, key);
		text_printf(text, " | %s |\n", key->prose);
	}
}

static void add_aliases(struct text *text, enum schema_map_id map)
{
	const char *before = "\nOther spellings: ";

	for (u32 i = 0; i < schema_key_count; i++) {
		const struct schema_key *key = &schema_keys[i];

		if (key->map != map || !schema_is_alias(key))
			continue;
		text_printf(text, "%s`%.*s` for `%s`", before, STR_FMT(key->name), key->other);
		if (key->unit)
			text_printf(text, " (a number of %s)", key->unit);
		before = ", ";
	}
	if (before[0] == ',')
		text_add(text, STR(".\n"));
}

static void add_later(struct text *text, enum schema_map_id map)
{
	const char *before = "\nKnown, but not built yet, so an error for now: ";

	for (u32 i = 0; i < schema_key_count; i++) {
		const struct schema_key *key = &schema_keys[i];

		if (key->map != map || key->kind != KIND_LATER)
			continue;
		text_printf(text, "%s`%.*s`", before, STR_FMT(key->name));
		before = ", ";
	}
	if (before[0] == ',')
		text_add(text, STR(".\n"));
}

static void add_codes(struct text *text)
{
	text_add(text, STR("\n## Findings\n\n| code | meaning |\n|---|---|\n"));
#define CODE(number, name, prose) \
	text_printf(text, "| %c%03d | %s |\n", (number) < 100 ? 'E' : 'W', (number), prose);
#include "conf/codes.def"
#undef CODE
}

static const char introduction[] =
	"<!-- Made from src/conf/schema.def; to renew it: conf_tool reference > docs/config.md\n"
	"     (conf_tool is built with the tests, and one of them compares). -->\n"
	"# Configuration reference\n\n"
	"YAML, TOML and JSON are the same tree; the ending of the file name says which one it "
	"is. Durations are written `250ms`, `5s`, `1m30s` or `1h`, sizes `512B`, `64KiB` (1024) "
	"or `64kB` (1000): a bare number is an error. `${NAME}`, `${NAME:-default}` and "
	"`${NAME:?message}` are filled in from the environment and `.env`; `$${` stands for "
	"`${`. A single value may stand where a list is meant. Keys that start with `x-` at the "
	"top level are ignored. Later wins: files, then variables like "
	"`WEIR_FRONTENDS__WEB__BIND=:80`, then `--set frontends.web.bind=:80`.\n\n"
	"A secret comes from a variable (`${NAME}`, `{env: NAME}`), a file (`{file: PATH}`) or a "
	"credential of systemd (`{credential: NAME}`). `weir config show` prints where it is, "
	"never "
	"what it is; one that stands in the configuration itself is printed as `***`, which is "
	"refused when it is read again.\n\n"
	"The smallest configuration:\n\n"
	"```yaml\nbackends: [10.0.0.11:8080, 10.0.0.12:8080, 10.0.0.13:8080]\n```\n";

struct str conf_reference(struct arena *arena)
{
	struct text text = {0};

	text_add(&text, STR(introduction));
	for (u32 map = 0; map < SCHEMA_MAP_COUNT; map++) {
		text_printf(&text, "\n## %s\n\n%s\n",
			map == SCHEMA_root ? "Top level" : schema_maps[map].path,
			schema_maps[map].prose);
		add_table(&text, map, arena);
		add_aliases(&text, map);
		add_later(&text, map);
	}
	add_codes(&text);
	return text_take(&text, arena);
}

// ---- weir help KEY ----

static struct str cut_last(struct str *path)
{
	size_t at = path->len;
	struct str last;

	while (at > 0 && path->ptr[at - 1] != '.')
		at--;
	last = str_make(path->ptr + at, path->len - at);
	path->len = at > 0 ? at - 1 : 0;
	return last;
}

static struct str without_index(struct str part)
{
	return str_make(part.ptr, str_find(part, '['));
}

// From the end, so that the tail of a path is enough: "app.algorithm" means "pools.NAME.algorithm".
static bool is_path_of_map(enum schema_map_id map, struct str path, bool whole)
{
	struct str map_path = str_from(schema_maps[map].path);

	while (path.len && map_path.len) {
		struct str want = without_index(cut_last(&map_path));
		struct str part = without_index(cut_last(&path));

		if (!str_eq(want, STR("NAME")) && !str_eq(want, part))
			return false;
	}
	return path.len == 0 && (!whole || map_path.len == 0);
}

static bool is_path_of(const struct schema_key *key, struct str path, bool whole)
{
	if (!str_eq(without_index(cut_last(&path)), key->name))
		return false;
	if (is_path_of_map((enum schema_map_id)key->map, path, whole))
		return true;
	// A map that several keys hold has the path of one of them.
	for (u32 i = 0; i < schema_key_count && path.len; i++) {
		struct str rest = path, name = without_index(cut_last(&rest));

		if (schema_inside(&schema_keys[i]) == (enum schema_map_id)key->map &&
			str_eq(name, schema_keys[i].name) &&
			is_path_of_map((enum schema_map_id)schema_keys[i].map, rest, whole))
			return true;
	}
	return false;
}

static void add_help(struct text *text, const struct schema_key *key, struct arena *arena)
{
	const char *map_path = schema_maps[key->map].path;
	enum schema_map_id inside = schema_inside(key);

	text_printf(text, "%s%s%s%.*s\n", text->len ? "\n" : "", map_path, map_path[0] ? "." : "",
		STR_FMT(key->name));
	if (key->kind == KIND_LATER) {
		text_printf(text, "  not built yet (planned with %s)\n",
			schema_milestone_text(key->milestone));
		return;
	}
	if (schema_is_alias(key)) {
		text_printf(text, "  another spelling of '%s'", key->other);
		if (key->unit)
			text_printf(text, ", as a number of %s", key->unit);
		text_addc(text, '\n');
		return;
	}
	text_printf(text, "  %s\n  value: ", key->prose);
	if (key->kind == KIND_WORDS)
		add_type(text, key, arena);
	else
		text_add(text, str_from(schema_kind_text(key->kind)));
	add_bounds(text, key, arena);
	if (key->is_needed || key->default_text) {
		text_add(text, STR("\n  default: "));
		add_default(text, key);
	}
	text_addc(text, '\n');
	if (inside == SCHEMA_MAP_COUNT)
		return;
	text_add(text, STR("  keys:"));
	for (u32 i = 0; i < schema_key_count; i++)
		if (is_listed(&schema_keys[i], inside))
			text_printf(text, " %.*s", STR_FMT(schema_keys[i].name));
	text_addc(text, '\n');
}

static void find_near(struct str path, struct arena *arena, const char **ret_near)
{
	struct nearest nearest = {0};
	struct str rest = path, name = without_index(cut_last(&rest));

	for (u32 i = 0; i < schema_key_count; i++)
		nearest_try(&nearest, name, schema_keys[i].name);
	if (nearest.found)
		*ret_near = arena_printf(arena, "%.*s%s%.*s", CLIP(rest), rest.len ? "." : "",
			STR_FMT(nearest.name));
}

struct str conf_help_key(struct str key, struct arena *arena, const char **ret_near)
{
	struct text text = {0};

	for (u32 i = 0; i < schema_key_count; i++)
		if (is_path_of(&schema_keys[i], key, true))
			add_help(&text, &schema_keys[i], arena);
	if (!text.len)
		for (u32 i = 0; i < schema_key_count; i++)
			if (is_path_of(&schema_keys[i], key, false))
				add_help(&text, &schema_keys[i], arena);
	if (!text.len && key.len)
		find_near(key, arena, ret_near);
	return text_take(&text, arena);
}
