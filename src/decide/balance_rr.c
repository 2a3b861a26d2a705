// SPDX-License-Identifier: Apache-2.0
#include "decide/balance.h"

enum {
	order_len_max = 1 << 20,
	smooth_members_max = 64, // the scan costs members x length; above, a heap of deadlines
};

bool balance_was_tried(const struct balance_tried *tried, u32 index)
{
	for (u32 i = 0; i < tried->count; i++)
		if (tried->index[i] == index)
			return true;
	return false;
}

bool balance_try(struct balance_tried *tried, u32 index)
{
	if (tried->count == BALANCE_TRIED_MAX)
		return false;
	tried->index[tried->count++] = index;
	return true;
}

static u32 gcd(u32 a, u32 b)
{
	while (b) {
		u32 rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

// Weights in lowest terms; scaled down when their sum would still make the order too long.
static u64 reduce(u32 *scaled, const u32 *weights, u32 count)
{
	u32 divisor = 0;
	u64 sum = 0, reduced = 0;

	for (u32 i = 0; i < count; i++) {
		divisor = gcd(divisor, weights[i]);
		sum += weights[i];
	}
	for (u32 i = 0; i < count; i++) {
		scaled[i] = divisor ? weights[i] / divisor : 0;
		if (divisor && sum / divisor > order_len_max && weights[i])
			scaled[i] = (u32)MAX(1, (u64)weights[i] * order_len_max / sum);
		reduced += scaled[i];
	}
	return reduced;
}

// Each turn everybody's credit grows by the weight, the richest is taken and pays the sum.
static void smooth(const u32 *scaled, u32 count, i64 *credit, struct balance_order *order)
{
	for (u32 at = 0; at < order->len; at++) {
		u32 best = 0;

		for (u32 i = 0; i < count; i++) {
			credit[i] += scaled[i];
			if (credit[i] > credit[best])
				best = i;
		}
		credit[best] -= order->len;
		order->index[at] = best;
	}
}

struct turn {
	double due;
	u32 index;
};

static bool turn_before(struct turn a, struct turn b)
{
	return a.due < b.due || (a.due <= b.due && a.index < b.index);
}

static void sift_down(struct turn *heap, u32 count, u32 at)
{
	struct turn moving = heap[at];

	for (;;) {
		u32 child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && turn_before(heap[child + 1], heap[child]))
			child++;
		if (!turn_before(heap[child], moving))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moving;
}

// Earliest deadline first: member i is due at (k + 1/2) / weight for its k-th place.
static void by_deadline(
	const u32 *scaled, u32 count, struct turn *heap, struct balance_order *order)
{
	u32 members = 0;

	for (u32 i = 0; i < count; i++)
		if (scaled[i])
			heap[members++] = (struct turn){0.5 / scaled[i], i};
	for (u32 i = members / 2; i-- > 0;)
		sift_down(heap, members, i);
	for (u32 at = 0; at < order->len; at++) {
		order->index[at] = heap[0].index;
		heap[0].due += 1.0 / scaled[heap[0].index];
		sift_down(heap, members, 0);
	}
}

void balance_order_build(
	struct arena *arena, const u32 *weights, u32 count, struct balance_order *ret_order)
{
	u32 *scaled = arena_zalloc(arena, sizeof(u32) * MAX(count, 1));
	u64 len = reduce(scaled, weights, count);

	ret_order->len = (u32)len;
	ret_order->index = arena_zalloc(arena, sizeof(u32) * MAX(len, 1));
	if (len == 0)
		return;
	if (count <= smooth_members_max)
		smooth(scaled, count, arena_zalloc(arena, sizeof(i64) * count), ret_order);
	else
		by_deadline(
			scaled, count, arena_zalloc(arena, sizeof(struct turn) * count), ret_order);
}

u32 balance_order_pick(
	const struct balance_order *order, u64 position, const struct balance_tried *tried)
{
	u32 at;

	if (order->len == 0)
		return BALANCE_NONE;
	at = (u32)(position % order->len);
	if (likely(tried->count == 0))
		return order->index[at];
	for (u32 i = 0; i < order->len; i++) {
		u32 index = order->index[at];

		if (!balance_was_tried(tried, index))
			return index;
		at = at + 1 == order->len ? 0 : at + 1;
	}
	return BALANCE_NONE;
}
