// SPDX-License-Identifier: Apache-2.0
#include "cli/backend_name.h"

#include "base/text.h"
#include "cli/call.h"

enum { named_max = 6, slips_max = 3 };

static bool is_full_name(const json_t *one, struct str word)
{
	struct str pool = str_from(call_string(one, "pool"));

	return str_starts(word, pool) && word.len > pool.len && word.ptr[pool.len] == '/' &&
	       str_eq(str_make(word.ptr + pool.len + 1, word.len - pool.len - 1),
		       str_from(call_string(one, "id")));
}

// An id may have a slash in it, as that of a unix socket by default.
static bool is_meant(const json_t *one, struct str word)
{
	return str_eq(word, str_from(call_string(one, "id"))) ||
	       str_eq(word, str_from(call_string(one, "address"))) || is_full_name(one, word);
}

static const char *full_name(const json_t *one, struct arena *arena)
{
	return arena_printf(arena, "%s/%s", call_string(one, "pool"), call_string(one, "id"));
}

static u32 slips(const json_t *one, struct str word, struct arena *arena)
{
	return MIN(str_distance(word, str_from(call_string(one, "id")), slips_max),
		str_distance(word, str_from(full_name(one, arena)), slips_max));
}

static const char *near(const json_t *backends, struct str word, struct arena *arena)
{
	const json_t *one, *best = NULL;
	u32 least = MIN((u32)slips_max, (u32)word.len - (word.len > 0)) + 1;
	size_t at;

	json_array_foreach(backends, at, one)
	{
		u32 count = slips(one, word, arena);

		if (count < least) {
			least = count;
			best = one;
		}
	}
	return best ? arena_printf(arena, "Did you mean %s?", full_name(best, arena))
		    : "weir status --json names all of them";
}

// The first few of those that are meant, or of all.
static const char *list(const json_t *backends, struct str word, struct arena *arena)
{
	struct text text = {0};
	const json_t *one;
	size_t at, count = 0;

	json_array_foreach(backends, at, one)
	{
		if (!is_meant(one, word))
			continue;
		if (count++ < named_max)
			text_printf(&text, "%s%s", count > 1 ? ", " : "", full_name(one, arena));
	}
	if (count > named_max)
		text_printf(&text, " and %zu more", count - named_max);
	return text_take(&text, arena).ptr;
}

const json_t *backend_by_name(
	const json_t *state, const char *word, struct arena *arena, struct ask_trouble *ret_trouble)
{
	const json_t *backends = json_object_get(state, "backends"), *one, *found = NULL;
	struct str name = str_from(word);
	u32 meant = 0;
	size_t at;

	json_array_foreach(backends, at, one)
	{
		if (is_full_name(one, name))
			return one;
		if (is_meant(one, name)) {
			found = one;
			meant++;
		}
	}
	if (meant == 1)
		return found;
	if (meant > 1) {
		ret_trouble->cause =
			arena_printf(arena, "'%s' is %s", word, list(backends, name, arena));
		ret_trouble->cure = "Say which one, as POOL/BACKEND";
	} else {
		ret_trouble->cause = arena_printf(arena, "there is no backend '%s'", word);
		ret_trouble->cure = near(backends, name, arena);
	}
	return NULL;
}
