// SPDX-License-Identifier: Apache-2.0
#include "proxy/snapshot_match.h"

#include "base/hash.h"
#include "base/mem.h"
#include "conf/same.h"

// ---- Names --------------------------------------------------------------------------------------

// Numbers by name; open addressing, at most half full.
struct index {
	const struct str *names;
	u32 *places; // number + 1; 0: free
	u32 mask;
};

static u32 home_of(const struct index *index, struct str name)
{
	return (u32)hash_str(name, 0) & index->mask;
}

// `names`: one that is empty is no name.
static void index_init(struct index *index, const struct str *names, u32 count)
{
	u32 room = 2;

	while (room < 2 * count)
		room *= 2;
	*index = (struct index){
		.names = names, .places = mem_alloc(sizeof(u32) * room), .mask = room - 1};
	for (u32 i = 0; i < count; i++) {
		u32 at = home_of(index, names[i]);

		if (names[i].len == 0)
			continue;
		while (index->places[at])
			at = (at + 1) & index->mask;
		index->places[at] = i + 1;
	}
}

static u32 index_find(const struct index *index, struct str name)
{
	for (u32 at = home_of(index, name); index->places[at]; at = (at + 1) & index->mask)
		if (str_eq(index->names[index->places[at] - 1], name))
			return index->places[at] - 1;
	return SLOT_NONE;
}

// ---- Pools --------------------------------------------------------------------------------------

struct matching {
	struct snapshot_match *match;
	const struct snapshot *before;
	const struct conf *conf;
	struct slots *slots;
	u32 generation;
	const char *what; // there is no room for these
};

static u32 take(struct matching *matching, struct slot_set *set, const char *what)
{
	u32 slot = matching->what ? SLOT_NONE : slot_take(set, matching->generation);

	if (slot == SLOT_NONE && !matching->what)
		matching->what = what;
	return slot;
}

static void match_pools(struct matching *matching)
{
	const struct snapshot *before = matching->before;
	const struct conf *conf = matching->conf;
	u32 count = before ? before->pool_count : 0;
	struct str *names = mem_alloc(sizeof(*names) * MAX(count, 1));
	struct index index;

	for (u32 i = 0; i < count; i++)
		if (before->pools[i])
			names[i] = before->pools[i]->name;
	index_init(&index, names, count);
	for (u32 i = 0; i < conf->pool_count; i++) {
		u32 slot = index_find(&index, conf->pools[i].name);

		matching->match->is_same[i] =
			before && slot != SLOT_NONE &&
			conf_same_pool(
				before->conf, before->pools[slot]->conf, conf, &conf->pools[i]);
		if (slot == SLOT_NONE)
			slot = take(matching, &matching->slots->pools, "pools");
		matching->match->pools[i] = slot;
	}
	mem_free(index.places);
	mem_free(names);
}

// A pool names the one that takes over for it as an object: when that is another one, it is too.
static void match_failovers(struct matching *matching)
{
	const struct conf *conf = matching->conf;
	bool *is_same = matching->match->is_same, changed = true;

	while (changed) {
		changed = false;
		for (u32 i = 0; i < conf->pool_count; i++) {
			i32 to = conf->pools[i].failover;

			if (!is_same[i] || to < 0 || is_same[to])
				continue;
			is_same[i] = false;
			changed = true;
		}
	}
}

// ---- Backends -----------------------------------------------------------------------------------

static void match_backends(struct matching *matching, const struct pool *before,
	const struct conf_pool *now, u32 *cells)
{
	u32 count = before ? before->backend_count : 0;
	struct str *names = mem_alloc(sizeof(*names) * MAX(count, 1));
	struct index index;

	for (u32 i = 0; i < count; i++)
		names[i] = before->backends[i].id;
	index_init(&index, names, count);
	for (u32 i = 0; i < now->backend_count; i++) {
		u32 at = index_find(&index, now->backends[i].id);

		if (before && at != SLOT_NONE &&
			str_eq(before->backends[at].address, now->backends[i].address))
			cells[i] = before->backends[at].cell;
		else
			cells[i] = take(matching, &matching->slots->backends, "backends");
	}
	mem_free(index.places);
	mem_free(names);
}

static const struct pool *pool_before(const struct matching *matching, u32 slot)
{
	const struct snapshot *before = matching->before;

	return before && slot < before->pool_count ? before->pools[slot] : NULL;
}

static void match_all_backends(struct matching *matching)
{
	const struct conf *conf = matching->conf;
	u32 *cells = matching->match->cells;

	for (u32 i = 0; i < conf->pool_count; cells += conf->pools[i++].backend_count)
		if (!matching->match->is_same[i])
			match_backends(matching, pool_before(matching, matching->match->pools[i]),
				&conf->pools[i], cells);
}

// ---- Frontends ----------------------------------------------------------------------------------

static void match_frontends(struct matching *matching)
{
	const struct snapshot *before = matching->before;
	const struct conf *conf = matching->conf;
	u32 count = before ? before->frontend_count : 0;
	struct str *names = mem_alloc(sizeof(*names) * MAX(count, 1));
	struct index index;

	for (u32 i = 0; i < count; i++)
		if (before->frontends[i])
			names[i] = before->frontends[i]->conf->name;
	index_init(&index, names, count);
	for (u32 i = 0; i < conf->frontend_count; i++) {
		u32 slot = index_find(&index, conf->frontends[i].name);

		// One that speaks another protocol is another frontend.
		if (slot != SLOT_NONE &&
			before->frontends[slot]->conf->protocol != conf->frontends[i].protocol)
			slot = SLOT_NONE;
		if (slot == SLOT_NONE)
			slot = take(matching, &matching->slots->frontends, "frontends");
		matching->match->frontends[i] = slot;
	}
	mem_free(index.places);
	mem_free(names);
}

// ---- The whole ----------------------------------------------------------------------------------

static void give_back(struct slot_set *set, const u32 *slots, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (slots[i] != SLOT_NONE && set->users[slots[i]] == 0)
			slot_give(set, slots[i]);
}

static u32 count_backends(const struct conf *conf)
{
	u32 count = 0;

	for (u32 i = 0; i < conf->pool_count; i++)
		count += conf->pools[i].backend_count;
	return count;
}

bool snapshot_match(struct snapshot_match *match, const struct snapshot *before,
	const struct conf *conf, struct slots *slots, u32 generation, struct arena *arena,
	const char **ret_what)
{
	u32 backends = count_backends(conf);
	struct matching matching = {.match = match,
		.before = before,
		.conf = conf,
		.slots = slots,
		.generation = generation};

	match->pools = arena_zalloc(arena, sizeof(u32) * MAX(conf->pool_count, 1));
	match->is_same = arena_zalloc(arena, sizeof(bool) * MAX(conf->pool_count, 1));
	match->frontends = arena_zalloc(arena, sizeof(u32) * MAX(conf->frontend_count, 1));
	match->cells = arena_zalloc(arena, sizeof(u32) * MAX(backends, 1));
	for (u32 i = 0; i < backends; i++)
		match->cells[i] = SLOT_NONE;
	match_pools(&matching);
	match_failovers(&matching);
	match_all_backends(&matching);
	match_frontends(&matching);
	if (!matching.what)
		return true;
	give_back(&slots->pools, match->pools, conf->pool_count);
	give_back(&slots->backends, match->cells, backends);
	give_back(&slots->frontends, match->frontends, conf->frontend_count);
	*ret_what = matching.what;
	return false;
}
