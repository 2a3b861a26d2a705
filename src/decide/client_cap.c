// SPDX-License-Identifier: Apache-2.0
#include "decide/client_cap.h"

#include "base/hash.h"

void client_cap_init(struct client_cap *cap, struct client_slot *slots, u32 slot_count, u64 seed)
{
	ASSERT(slot_count && (slot_count & (slot_count - 1)) == 0);
	memset(slots, 0, sizeof(*slots) * slot_count);
	*cap = (struct client_cap){.slots = slots, .slot_count = slot_count, .seed = seed};
}

struct client_key client_cap_key(const struct addr *addr)
{
	struct client_key key = {.family = addr->family};
	u32 v4;

	if (addr->family == ADDR_V4) {
		memcpy(&v4, addr->ip, sizeof(v4));
		key.network = v4;
	} else if (addr->family == ADDR_V6) {
		memcpy(&key.network, addr->ip, sizeof(key.network));
	}
	return key;
}

static u64 hash_of(const struct client_key *key, u64 seed)
{
	u64 words[2] = {key->network, (u64)key->group << 32 | key->family};

	return hash_bytes(words, sizeof(words), seed);
}

static bool is_same(const struct client_key *a, const struct client_key *b)
{
	return a->network == b->network && a->family == b->family && a->group == b->group;
}

u32 client_cap_part(const struct client_key *key, u32 parts, u64 seed)
{
	ASSERT(parts);
	// The upper half: the lower one chooses the slot.
	return (u32)((hash_of(key, seed) >> 32) % parts);
}

static u32 home_of(const struct client_cap *cap, const struct client_key *key)
{
	return (u32)hash_of(key, cap->seed) & (cap->slot_count - 1);
}

// The slot of this key or the free one where it would go; slot_count when there is neither.
static u32 find(const struct client_cap *cap, const struct client_key *key)
{
	u32 at = home_of(cap, key);

	for (u32 i = 0; i < cap->slot_count; i++) {
		const struct client_slot *slot = &cap->slots[at];

		if (slot->key.family == ADDR_NONE || is_same(&slot->key, key))
			return at;
		at = (at + 1) & (cap->slot_count - 1);
	}
	return cap->slot_count;
}

enum client_cap_answer client_cap_take(
	struct client_cap *cap, const struct client_key *key, u32 max)
{
	struct client_slot *slot;
	u32 at;

	if (key->family != ADDR_V4 && key->family != ADDR_V6)
		return CLIENT_CAP_UNCOUNTED;
	at = find(cap, key);
	if (at == cap->slot_count)
		return CLIENT_CAP_UNCOUNTED;
	slot = &cap->slots[at];
	if (max && slot->count >= max)
		return CLIENT_CAP_REFUSED;
	if (slot->count++ == 0) {
		slot->key = *key;
		cap->used++;
	}
	return CLIENT_CAP_OK;
}

// Closes the gap at `hole` with those behind it that may stand there, so that every search still
// ends at the first free slot.
static void close_gap(struct client_cap *cap, u32 hole)
{
	u32 mask = cap->slot_count - 1, at = hole;

	for (u32 i = 1; i < cap->slot_count; i++) {
		const struct client_slot *slot;
		u32 home;

		at = (at + 1) & mask;
		slot = &cap->slots[at];
		if (slot->key.family == ADDR_NONE)
			break;
		home = home_of(cap, &slot->key);
		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		cap->slots[hole] = *slot;
		hole = at;
	}
	cap->slots[hole] = (struct client_slot){0};
}

void client_cap_give(struct client_cap *cap, const struct client_key *key)
{
	u32 at = find(cap, key);

	ASSERT(at < cap->slot_count && cap->slots[at].count > 0);
	if (--cap->slots[at].count)
		return;
	cap->used--;
	close_gap(cap, at);
}

u32 client_cap_count(const struct client_cap *cap, const struct client_key *key)
{
	u32 at = find(cap, key);

	return at < cap->slot_count ? cap->slots[at].count : 0;
}
