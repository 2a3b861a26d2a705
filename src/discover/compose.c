// SPDX-License-Identifier: Apache-2.0
#include "discover/compose.h"

#include <errno.h>

#include "base/hash.h"
#include "base/mem.h"

// The addresses and ids that are taken, by hash: of 20,000 backends the same 64 bits are no worry
// that would cost more than a backend left out.
struct taken {
	u64 *slots;
	u32 mask;
};

static void taken_init(struct taken *taken, u32 count)
{
	u32 slots = 64;

	while (slots < count * 4)
		slots *= 2;
	*taken = (struct taken){.slots = mem_alloc(sizeof(u64) * slots), .mask = slots - 1};
}

static u64 key_of(struct str text, u64 kind)
{
	return hash_str(text, kind) | 1;
}

static bool is_taken(const struct taken *taken, u64 key)
{
	for (u32 slot = (u32)(key >> 8) & taken->mask; taken->slots[slot];
		slot = (slot + 1) & taken->mask)
		if (taken->slots[slot] == key)
			return true;
	return false;
}

static void take(struct taken *taken, u64 key)
{
	u32 slot = (u32)(key >> 8) & taken->mask;

	while (taken->slots[slot])
		slot = (slot + 1) & taken->mask;
	taken->slots[slot] = key;
}

static void set_address(struct conf_backend *backend, struct arena *arena)
{
	struct str port = backend->address, host;
	u64 number = 0;
	int rc = addr_parse(backend->address, &backend->addr);

	backend->host = STR_EMPTY;
	if (rc == 0)
		return;
	ASSERT(rc == -ENOENT); // a name: rows_add has looked at it
	host = str_cut(&port, ':');
	rc = str_to_u64(port, UINT16_MAX, &number);
	ASSERT(rc == 0);
	backend->host = arena_str(arena, host);
	backend->port = (u16)number;
	backend->addr = (struct addr){.family = ADDR_NONE};
}

static struct conf_backend make_backend(
	const struct row *row, const struct conf_pool *pool, struct arena *arena)
{
	struct scheme_address taken = scheme_take(arena, row->url);
	struct conf_backend backend = {.id = arena_str(arena, row->id),
		.address = arena_str(arena, row->address),
		.scheme = taken.scheme,
		.is_h2 = taken.is_h2,
		.weight = row->state == ROW_ACTIVE ? row->weight : 0,
		.max_connections = row->max_connections,
		.is_backup = row->is_backup,
		.check = {.path = STR_EMPTY, .host = STR_EMPTY}};

	set_address(&backend, arena);
	scheme_settle(&backend, pool, arena);
	return backend;
}

static void fill_pool(struct conf_pool *pool, const struct rows *rows, struct arena *arena)
{
	u32 count = pool->backend_count;
	struct conf_backend *backends =
		arena_zalloc(arena, sizeof(*backends) * (count + rows->count + 1u));
	struct taken taken;

	taken_init(&taken, count + rows->count);
	for (u32 i = 0; i < count; i++) {
		backends[i] = pool->backends[i];
		take(&taken, key_of(backends[i].address, 1));
		take(&taken, key_of(backends[i].id, 2));
	}
	for (u32 i = 0; i < rows->count; i++) {
		const struct row *row = &rows->list[i];
		u64 address = key_of(row->address, 1), id = key_of(row->id, 2);

		if (row->state == ROW_DISABLED || is_taken(&taken, address) || is_taken(&taken, id))
			continue;
		take(&taken, address);
		take(&taken, id);
		backends[count++] = make_backend(row, pool, arena);
	}
	mem_free(taken.slots);
	pool->backends = backends;
	pool->backend_count = count;
}

struct conf *compose_conf(
	const struct conf *conf, compose_rows_fn *rows, const void *owner, struct arena *arena)
{
	struct conf *composed = arena_zalloc(arena, sizeof(*composed));
	struct conf_pool *pools = arena_zalloc(arena, sizeof(*pools) * (conf->pool_count + 1u));

	*composed = *conf;
	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct rows *known = rows(owner, conf->pools[i].name);

		pools[i] = conf->pools[i];
		if (known)
			fill_pool(&pools[i], known, arena);
	}
	composed->pools = pools;
	return composed;
}
