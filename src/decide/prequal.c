// SPDX-License-Identifier: Apache-2.0
#include "decide/prequal.h"

#include <string.h>

void prequal_init(struct prequal *prequal, const struct prequal_options *options, u32 members)
{
	struct prequal_options *own = &prequal->options;

	memset(prequal, 0, sizeof(*prequal));
	*own = *options;
	if (!own->probes)
		own->probes = 3;
	if (!own->pool_max)
		own->pool_max = PREQUAL_POOL_MAX;
	if (!own->removals)
		own->removals = 1;
	if (!own->age_max)
		own->age_max = NSEC_PER_SEC;
	if (own->spread <= 0)
		own->spread = 1;
	if (!own->reuse_max)
		own->reuse_max = 16;
	if (!own->hot_percent)
		own->hot_percent = 84;
	ASSERT(own->probes <= PREQUAL_PROBES_MAX && own->pool_max <= PREQUAL_POOL_MAX);
	prequal->members = members;
	prequal->reuse = prequal_reuse(own, members);
	quantile_init(&prequal->heat, own->hot_percent);
}

double prequal_reuse(const struct prequal_options *options, u32 members)
{
	double kept = 1 - (double)options->pool_max / MAX(members, 1);
	double surplus = kept * options->probes - options->removals, reuse;

	if (surplus <= 0)
		return options->reuse_max;
	reuse = (1 + options->spread) / surplus;
	return MAX(1, MIN(reuse, options->reuse_max));
}

// Floyd's sample without replacement.
u32 prequal_targets(
	const struct prequal *prequal, struct rng *rng, u32 ret_indexes[PREQUAL_PROBES_MAX])
{
	u32 wanted = MIN(prequal->options.probes, prequal->members), count = 0;

	for (u32 top = prequal->members - wanted; top < prequal->members; top++) {
		u32 index = rng_below(rng, top + 1);

		for (u32 i = 0; i < count; i++)
			if (ret_indexes[i] == index) {
				index = top;
				break;
			}
		ret_indexes[count++] = index;
	}
	return count;
}

static void drop(struct prequal *prequal, u32 at)
{
	prequal->count--;
	memmove(&prequal->probes[at], &prequal->probes[at + 1],
		sizeof(prequal->probes[0]) * (prequal->count - at));
}

void prequal_add(
	struct prequal *prequal, u32 index, u32 in_flight, nsec latency, nsec now, struct rng *rng)
{
	u32 uses = (u32)prequal->reuse;
	double rest = prequal->reuse - uses;

	for (u32 i = 0; i < prequal->count; i++)
		if (prequal->probes[i].index == index) {
			drop(prequal, i);
			break;
		}
	if (prequal->count == prequal->options.pool_max)
		drop(prequal, 0);
	if (rest > 0 && (double)(rng_u64(rng) >> 11) * 0x1p-53 < rest)
		uses++;
	prequal->probes[prequal->count++] = (struct prequal_probe){.index = index,
		.in_flight = in_flight,
		.latency = latency,
		.at = now,
		.uses_left = uses};
	quantile_add(&prequal->heat, in_flight);
}

static bool is_hot(const struct prequal *prequal, const struct prequal_probe *probe)
{
	return quantile_is_above(&prequal->heat, probe->in_flight);
}

// Whether `a` is to be preferred: cold before hot, among the cold the quicker, among the hot the
// one with less in flight.
static bool is_better(
	const struct prequal *prequal, const struct prequal_probe *a, const struct prequal_probe *b)
{
	bool a_hot = is_hot(prequal, a), b_hot = is_hot(prequal, b);

	if (a_hot != b_hot)
		return b_hot;
	return a_hot ? a->in_flight < b->in_flight : a->latency < b->latency;
}

static u32 find_best(const struct prequal *prequal, const struct balance_state *state,
	const struct balance_ask *ask)
{
	u32 best = BALANCE_NONE;

	for (u32 i = 0; i < prequal->count; i++) {
		const struct prequal_probe *probe = &prequal->probes[i];

		if (!balance_is_eligible(state, probe->index) ||
			balance_was_tried(ask->tried, probe->index))
			continue;
		if (ask->seen)
			balance_look(ask->seen, probe->index,
				is_hot(prequal, probe) ? BALANCE_HOT : BALANCE_COMPARED,
				probe->in_flight);
		if (best == BALANCE_NONE || is_better(prequal, probe, &prequal->probes[best]))
			best = i;
	}
	return best;
}

static void remove_one(struct prequal *prequal)
{
	u32 worst = 0;

	if (prequal->remove_worst)
		for (u32 i = 1; i < prequal->count; i++)
			if (is_better(prequal, &prequal->probes[worst], &prequal->probes[i]))
				worst = i;
	prequal->remove_worst = !prequal->remove_worst;
	if (prequal->count > 0)
		drop(prequal, worst);
}

u32 prequal_pick(struct prequal *prequal, struct balance_state *state,
	const struct balance_ask *ask, nsec now)
{
	u32 best, picked;

	while (prequal->count > 0 && now > prequal->probes[0].at + prequal->options.age_max)
		drop(prequal, 0);
	best = find_best(prequal, state, ask);
	if (best == BALANCE_NONE) {
		picked = balance_pick(state, ask);
	} else {
		struct prequal_probe *probe = &prequal->probes[best];

		picked = probe->index;
		probe->in_flight++;
		if (--probe->uses_left == 0)
			drop(prequal, best);
	}
	for (u32 i = 0; i < prequal->options.removals; i++)
		remove_one(prequal);
	return picked;
}
