// SPDX-License-Identifier: Apache-2.0
// Converters of what a backend is chosen by, and of who takes over.
#include "base/text.h"
#include "conf/build.h"

enum { parts_max = 8, name_bytes_max = 128 };

static const struct {
	struct str word;
	bool has_name;
} hash_words[] = {
	[CONF_HASH_CLIENT_IP] = {{"client_ip", 9}, false},
	[CONF_HASH_PATH] = {{"path", 4}, false},
	[CONF_HASH_HEADER] = {{"header", 6}, true},
	[CONF_HASH_COOKIE] = {{"cookie", 6}, true},
	[CONF_HASH_QUERY] = {{"query", 5}, true},
};

static struct str copy_name(struct build *build, struct str name, bool lower)
{
	char *copy = arena_zalloc(build->arena, name.len + 1);

	for (size_t i = 0; i < name.len; i++)
		copy[i] = lower ? ascii_lower(name.ptr[i]) : name.ptr[i];
	return str_make(copy, name.len);
}

static bool parse_hash_part(struct build *build, struct str text, struct nearest *nearest,
	struct conf_hash_part *ret_part)
{
	struct str name = text, word = str_cut(&name, ':');
	bool has_name = word.len < text.len;

	for (u32 i = 0; i < ARRAY_LEN(hash_words); i++) {
		nearest_try(nearest, word, hash_words[i].word);
		if (!str_eq_nocase(word, hash_words[i].word))
			continue;
		if (has_name != hash_words[i].has_name || (has_name && !build_is_token(name)) ||
			name.len > name_bytes_max) {
			nearest->found = false;
			return false;
		}
		*ret_part = (struct conf_hash_part){
			(enum conf_hash_kind)i, copy_name(build, name, i == CONF_HASH_HEADER)};
		return true;
	}
	return false;
}

static void build_hash_part(struct build *build, const struct path *path, struct node *node,
	struct conf_hash_part *part)
{
	struct nearest nearest = {0};
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (parse_hash_part(build, text, &nearest, part)) {
		const struct str *word = &hash_words[part->kind].word;

		build_canonical(build, node,
			arena_printf(build->arena, "%.*s%s%.*s", STR_FMT(*word),
				part->name.len ? ":" : "", STR_FMT(part->name)),
			false);
	} else {
		build_suggest(build,
			report_value(build->report, CODE_UNKNOWN_WORD, node,
				"'%.*s' is nothing to choose by (%s): client_ip, path, "
				"header:NAME, cookie:NAME or query:NAME",
				CLIP(text), path_text(build, path)),
			&nearest);
	}
}

void build_hash_by(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_hash *hash = &((struct conf_pool *)object)->hash;
	struct conf_hash_part *parts;
	struct path item = {.up = path};

	(void)key;
	build_make_list(build, node);
	if (!build_check_list(build, path, node, "parts of a request"))
		return;
	if (node->count > parts_max) {
		report_value(build->report, CODE_TOO_BIG, node, "%s has more than %d parts",
			path_text(build, path), parts_max);
		return;
	}
	parts = arena_zalloc(build->arena, sizeof(*parts) * node->count);
	for (struct node *child = node->first; child; child = child->next, item.index++)
		build_hash_part(build, &item, child, &parts[item.index]);
	hash->parts = parts;
	hash->part_count = node->count;
}

void build_field_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str *field = (struct str *)(void *)((char *)object + key->offset), text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len > name_bytes_max || !build_is_token(text)) {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is not the name of a header field (%s)", CLIP(text),
			path_text(build, path));
		return;
	}
	*field = copy_name(build, text, true);
	build_canonical(build, node, field->ptr, false);
}

void build_failover(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_pool *pool = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	pool->failover = build_find_pool(build, path, node, text, false);
}
