// SPDX-License-Identifier: Apache-2.0
#include "proxy/guard.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "decide/client_cap.h"
#include "proxy/request.h"
#include "proxy/snapshot.h"

enum {
	parts_per_worker = 8,
	parts_max = 64,
	// Clients are not spread evenly over the parts: with twice the mean and this, a part is
	// full in less than one of 10^30 full tables.
	slots_spare = 64,
};

struct guard_part {
	_Alignas(CACHE_LINE) atomic_flag lock;
	struct client_cap cap;
};

struct guard {
	struct guard_part *parts;
	struct client_slot *slots; // of all parts
	u32 part_count;
	u64 seed;
};

static u64 power_of_two(u64 at_least)
{
	u64 power = 1;

	while (power < at_least)
		power *= 2;
	return power;
}

struct guard *guard_new(u64 connections_max, u32 workers, u64 seed)
{
	struct guard *guard = mem_alloc(sizeof(*guard));
	u32 parts = workers > 1 ? MIN(workers * (u32)parts_per_worker, (u32)parts_max) : 1;
	u64 slots = power_of_two(2 * (connections_max / parts) + slots_spare);

	ASSERT(slots <= UINT32_MAX);
	guard->seed = seed;
	guard->part_count = parts;
	guard->parts = mem_alloc_lines(sizeof(*guard->parts) * parts);
	guard->slots = mem_alloc(sizeof(*guard->slots) * parts * slots);
	for (u32 i = 0; i < parts; i++) {
		atomic_flag_clear(&guard->parts[i].lock);
		client_cap_init(
			&guard->parts[i].cap, guard->slots + i * slots, (u32)slots, seed ^ i);
	}
	return guard;
}

void guard_free(struct guard *guard)
{
	if (!guard)
		return;
	mem_free(guard->slots);
	mem_free(guard->parts);
	mem_free(guard);
}

bool guard_counts(const struct conf_frontend *conf)
{
	return conf->limits.per_ip_connections;
}

bool guard_is_wanted(const struct conf_frontend *conf)
{
	return guard_counts(conf) || conf->access.allow_count || conf->access.deny_count;
}

static struct client_key key_of(u32 frontend, const struct addr *peer)
{
	struct client_key key = client_cap_key(peer);

	key.group = frontend;
	return key;
}

static struct guard_part *lock_part(struct guard *guard, const struct client_key *key)
{
	struct guard_part *part =
		&guard->parts[client_cap_part(key, guard->part_count, guard->seed)];

	while (atomic_flag_test_and_set_explicit(&part->lock, memory_order_acquire))
		continue;
	return part;
}

static void unlock(struct guard_part *part)
{
	atomic_flag_clear_explicit(&part->lock, memory_order_release);
}

static enum guard_answer ask_lists(const struct access_list *list, const struct addr *peer)
{
	struct access_list denied = {.deny = list->deny, .deny_count = list->deny_count};

	if (access_list_lets_in(list, peer))
		return GUARD_IN;
	return access_list_lets_in(&denied, peer) ? GUARD_NOT_ALLOWED : GUARD_DENIED;
}

enum guard_answer guard_ask_sender(const struct frontend *frontend, const struct addr *peer)
{
	if (peer->family == ADDR_NONE)
		return GUARD_GONE;
	return peer->family == ADDR_UNIX || request_is_trusted(frontend->conf, peer)
		       ? GUARD_IN
		       : GUARD_UNTRUSTED;
}

enum guard_answer guard_ask(const struct frontend *frontend, const struct addr *peer)
{
	u32 max = frontend->conf->limits.per_ip_connections;
	enum guard_answer answer = ask_lists(&frontend->conf->access, peer);
	enum client_cap_answer taken;
	struct guard_part *part;
	struct client_key key;

	if (peer->family == ADDR_NONE)
		return GUARD_GONE;
	if (answer != GUARD_IN || max == 0)
		return answer;
	ASSERT(frontend->guard);
	key = key_of(frontend->index, peer);
	part = lock_part(frontend->guard, &key);
	taken = client_cap_take(&part->cap, &key, max);
	unlock(part);
	switch (taken) {
	case CLIENT_CAP_OK:
		return GUARD_IN_COUNTED;
	case CLIENT_CAP_REFUSED:
		return GUARD_FULL;
	case CLIENT_CAP_UNCOUNTED:
		break;
	}
	return GUARD_IN;
}

enum guard_answer guard_look(const struct frontend *frontend, const struct addr *peer)
{
	u32 max = frontend->conf->limits.per_ip_connections;
	enum guard_answer answer = ask_lists(&frontend->conf->access, peer);

	if (answer == GUARD_IN && max && frontend->guard && peer->family != ADDR_UNIX &&
		guard_count(frontend, peer) >= max)
		return GUARD_FULL;
	return answer;
}

void guard_leave(struct guard *guard, u32 frontend, const struct addr *peer)
{
	struct client_key key = key_of(frontend, peer);
	struct guard_part *part = lock_part(guard, &key);

	client_cap_give(&part->cap, &key);
	unlock(part);
}

u32 guard_count(const struct frontend *frontend, const struct addr *peer)
{
	struct client_key key = key_of(frontend->index, peer);
	struct guard_part *part = lock_part(frontend->guard, &key);
	u32 count = client_cap_count(&part->cap, &key);

	unlock(part);
	return count;
}

void guard_client_text(const struct addr *peer, char text[static GUARD_TEXT_MAX])
{
	struct addr network = *peer;
	size_t len;

	if (peer->family == ADDR_V6) {
		network.scope = 0;
		memset(network.ip + 8, 0, 8);
	}
	len = addr_format_ip(&network, text);
	if (peer->family == ADDR_V6)
		memcpy(text + len, "/64", sizeof("/64"));
}

void guard_key_text(
	const struct frontend *frontend, enum guard_answer why, char text[static GUARD_KEY_MAX])
{
	const char *key = why == GUARD_DENIED	     ? "deny"
			  : why == GUARD_NOT_ALLOWED ? "allow"
			  : why == GUARD_UNTRUSTED   ? "client_ip.trusted_proxies"
						     : "limits.per_ip_connections";

	snprintf(text, GUARD_KEY_MAX, "frontends.%.*s.%s", STR_FMT(frontend->conf->name), key);
}
