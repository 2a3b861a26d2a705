// SPDX-License-Identifier: Apache-2.0
#include "life.h"

#include "guest.h"

enum {
	crowd_max = 40,
	// A place that is free while somebody waits for it, and nobody is served: in a turn or two
	// it is taken, and a connection of another worker takes a few flights to close.
	patience_dry_ms = 2,
	patience_ms = 15,
};

struct life {
	u64 seed, served;
	bool dry;
	struct town *town;
	struct rng rng;
	struct guest guests[crowd_max];
	u32 stuck_ms[crowd_max]; // how long there has been a place for it, and nobody was served
	u64 in;
	bool cuts;
	u32 hold_ms_max, lull; // how long guests stay | one of so many milliseconds is busy
};

static bool has_place_for(const struct life *life, const struct guest *guest, u32 index)
{
	const struct backend *backend = &life->town->pool->backends[index];

	if (!(life->in >> index & 1) || balance_was_tried(&guest->tried, index))
		return false;
	if (life->dry)
		return cap_used(&backend->adaptive->requests) < backend->adaptive->limit;
	if (backend->sockets_max == 0 || cap_used(backend->sockets) < backend->sockets_max)
		return true;
	for (u32 i = 0; i < life->town->worker_count; i++)
		if (upstream_cell(town_upstream(life->town, i), backend)->idle_count)
			return true;
	return false;
}

static void check(struct life *life)
{
	struct town *town = life->town;
	bool served = life->served != guests_served;
	u32 waiting = 0;

	life->served = guests_served;
	SEEDED(life->seed, !town->was_exceeded);
	for (u32 k = 0; k < town->pool->backend_count; k++) {
		const struct backend *backend = &town->pool->backends[k];

		SEEDED(life->seed, !life->dry || cap_used(&backend->adaptive->requests) <=
							 backend->adaptive->limit);
		SEEDED(life->seed, !backend->sockets_max ||
					   cap_used(backend->sockets) <= backend->sockets_max);
		// A reset is on its way while the next connection comes: only orderly ends are
		// waited for.
		SEEDED(life->seed, life->cuts || !backend->sockets_max ||
					   town->servers[k].sockets_most <= backend->sockets_max);
	}
	for (u32 i = 0; i < crowd_max; i++) {
		struct guest *guest = &life->guests[i];
		bool place = false;

		waiting += guest->state == GUEST_QUEUES;
		for (u32 k = 0; k < town->pool->backend_count && guest->state == GUEST_QUEUES; k++)
			place |= has_place_for(life, guest, k);
		life->stuck_ms[i] = place && !served ? life->stuck_ms[i] + 1 : 0;
		if (life->stuck_ms[i] > (u32)(life->dry ? patience_dry_ms : patience_ms))
			fail_msg("at seed %llu: guest %u in worker %u waits for nothing",
				(unsigned long long)life->seed, i, guest->number);
	}
	SEEDED(life->seed, waiting == queue_waiting(town->pool));
}

static void send_in(struct life *life, struct guest *guest)
{
	guest_init(guest, life->town, rng_below(&life->rng, life->town->worker_count));
	guest->dry = life->dry;
	guest->fresh = rng_one_in(&life->rng, 4);
	guest->cuts = life->cuts && rng_one_in(&life->rng, 4);
	guest->hold_ms = rng_one_in(&life->rng, 4) ? 0 : rng_below(&life->rng, life->hold_ms_max);
	if (rng_one_in(&life->rng, 6))
		guest->patience_ms = 1 + rng_below(&life->rng, 60);
	if (rng_one_in(&life->rng, 5))
		assert_true(balance_try(
			&guest->tried, rng_below(&life->rng, life->town->pool->backend_count)));
	guest_come(guest);
}

static void publish(struct life *life)
{
	life->in = rng_below(&life->rng, 1u << life->town->pool->backend_count);
	town_publish(life->town, life->in);
	for (u32 i = 0; i < life->town->worker_count; i++)
		upstream_nudge(town_upstream(life->town, i));
}

static void act(struct life *life, u32 busy)
{
	for (u32 i = rng_below(&life->rng, busy); i > 0; i--) {
		struct guest *guest = &life->guests[rng_below(&life->rng, crowd_max)];

		if (guest_is_over(guest))
			send_in(life, guest);
		else if (rng_one_in(&life->rng, 6) && (life->cuts || guest->state == GUEST_QUEUES ||
							      guest->state == GUEST_HOLDS))
			guest_leave(guest);
	}
	if (rng_one_in(&life->rng, 60))
		publish(life);
}

static bool are_over(const struct life *life)
{
	for (u32 i = 0; i < crowd_max; i++)
		if (!guest_is_over(&life->guests[i]))
			return false;
	return true;
}

static void everybody_is_in(struct life *life)
{
	life->in = (1u << life->town->pool->backend_count) - 1;
	town_publish(life->town, life->in);
	for (u32 i = 0; i < life->town->worker_count; i++)
		upstream_nudge(town_upstream(life->town, i));
}

void life_run(struct town *town, bool dry)
{
	struct life life = {.seed = town->seed, .town = town, .dry = dry, .served = guests_served};
	u32 busy;

	rng_init(&life.rng, town->seed);
	busy = 2 + rng_below(&life.rng, 6);
	life.lull = 1 + rng_below(&life.rng, 3) * 15;
	life.hold_ms_max = rng_one_in(&life.rng, 2) ? 20 : 200;
	life.cuts = rng_one_in(&life.rng, 2);
	everybody_is_in(&life);
	for (u32 i = 0; i < crowd_max; i++)
		guest_init(&life.guests[i], town, 0);
	for (u32 ms = 0; ms < 400; ms++) {
		if (rng_one_in(&life.rng, life.lull))
			act(&life, busy);
		town_run(town, 1);
		check(&life);
	}
	// Nobody comes any more: everybody gets to the end.
	everybody_is_in(&life);
	for (u32 ms = 0; !are_over(&life); ms++) {
		town_run(town, 1);
		check(&life);
		SEEDED(life.seed, ms < 20 * 1000);
	}
	town_free(town);
}
