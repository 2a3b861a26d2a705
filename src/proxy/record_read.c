// SPDX-License-Identifier: Apache-2.0
// The readers' side: whole records out of rings that are being written, and what a record says.
#include "proxy/record_parts.h"

enum { workers_max = 256 };

static u64 count_of(const struct record_ring *ring)
{
	return atomic_load_explicit(&ring->sequence, memory_order_acquire) / 2;
}

// Record `number` of the ring: the first `count` of its words. False: it is written just now, or
// was overwritten.
static bool read_words(const struct record_ring *ring, u64 number, u64 *words, u32 count)
{
	const struct record_slot *slot = &ring->slots[number & ring->mask];

	if (atomic_load_explicit(&slot->sequence, memory_order_acquire) != 2 * number + 2)
		return false;
	for (u32 i = 0; i < count; i++)
		words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
	return atomic_load_explicit(&slot->sequence, memory_order_relaxed) == 2 * number + 2;
}

static u32 bits_of(const u64 *words, u32 from, u32 count)
{
	return (u32)(words[W_BITS] >> from & ((1ull << count) - 1));
}

static i64 ended_ms(const u64 *words)
{
	return (i64)words[W_WALL] + (i64)((words[W_ENDED] - words[W_HEADED]) / 1000);
}

static const char *id_at(const u64 *words)
{
	return (const char *)(words + W_REST + bits_of(words, B_CLIENT_WORDS, 3));
}

static u32 id_len(const u64 *words)
{
	return (u32)strnlen(id_at(words), 8 * bits_of(words, B_ID_WORDS, 4));
}

static void take_text(char *to, const char *from, size_t len)
{
	memcpy(to, from, len);
	to[len] = '\0';
}

#define FACT(words, field)                                                               \
	memcpy(&ret->field,                                                              \
		(const char *)(words) + 8 * W_FACTS + offsetof(struct exchange, field) - \
			RECORD_FACTS_AT,                                                 \
		sizeof(ret->field))

static void take_facts(const u64 *words, struct record *ret)
{
	FACT(words, sticky);
	FACT(words, status);
	FACT(words, refusal);
	FACT(words, failure);
	FACT(words, no_retry);
	FACT(words, attempts);
	FACT(words, pauses);
	FACT(words, failovers);
	FACT(words, tcp);
	FACT(words, replayed);
	FACT(words, tunnelling);
	FACT(words, may_wait);
}

static void take_bits(const u64 *words, struct record *ret)
{
	struct pick_seen seen;

	ret->outcome = (u8)bits_of(words, B_OUTCOME, 8);
	ret->method = (u8)bits_of(words, B_METHOD, 4);
	ret->reused = bits_of(words, B_REUSED, 1);
	ret->path_is_cut = bits_of(words, B_PATH_CUT, 1);
	memcpy(&seen, &words[W_SEEN], sizeof(words[W_SEEN]));
	ret->is_picked = seen.balance.is_begun;
	ret->eligible = seen.eligible;
	ret->full = seen.full;
	ret->look_count_seen = seen.balance.count;
	ret->by_weight = seen.balance.by_weight;
	ret->look_count = (u8)MIN(seen.balance.count, (u16)BALANCE_LOOKS_MAX);
}

static void take_spans(const u64 *words, struct record *ret)
{
	u64 leased_us = words[W_LEASED], sent_us = words[W_SENT];

	ret->head_us = record_span_us(words[W_BEGAN], words[W_HEADED]);
	ret->queue_us = record_span_us(words[W_HEADED], leased_us);
	ret->connect_us = ret->reused ? 0 : record_span_us(leased_us, sent_us);
	ret->first_byte_us = record_span_us(sent_us, words[W_ANSWERED]);
	ret->total_us = words[W_ENDED] - words[W_BEGAN];
	ret->at_ms = (i64)words[W_WALL] - (i64)((words[W_HEADED] - words[W_BEGAN]) / 1000);
}

// The try that ran at the end.
static void take_final(const u64 *words, struct record *ret)
{
	if (ret->attempts == 0 || bits_of(words, B_PAUSED, 1))
		return;
	ret->tries[ret->try_count++] = (struct record_try){
		.pool = ret->pool,
		.backend = ret->backend,
		.status = words[W_ANSWERED] ? ret->status : 0,
		.ended = ret->outcome,
		.hedge = bits_of(words, B_HEDGE, 1),
		.at_us = record_span_us(words[W_BEGAN], words[W_LEASED]),
		.took_us = record_span_us(words[W_LEASED], words[W_ENDED]),
	};
}

static void decode(const u64 *words, u32 worker, struct record *ret)
{
	const char *at = (const char *)(words + W_REST);
	u32 path_len = bits_of(words, B_PATH_LEN, 8);

	*ret = (struct record){.worker = worker,
		.generation = (u32)words[W_GENERATION],
		.bytes_in = words[W_IN],
		.bytes_out = words[W_OUT],
		.key = words[W_KEY],
		.frontend = (u16)words[W_PLACES],
		.route = (u16)(words[W_PLACES] >> 16),
		.pool = (u16)(words[W_PLACES] >> 32),
		.backend = (u16)(words[W_PLACES] >> 48),
		.try_count = (u8)bits_of(words, B_TRIES, 3)};
	take_facts(words, ret);
	take_bits(words, ret);
	take_spans(words, ret);
	take_text(ret->client, at + 1, MIN((size_t)(u8)at[0], (size_t)RECORD_IP_MAX));
	at = id_at(words);
	take_text(ret->id, at, id_len(words));
	at += 8 * bits_of(words, B_ID_WORDS, 4);
	memcpy(ret->looks, at, ret->look_count * sizeof(struct balance_look));
	at += ret->look_count * sizeof(struct balance_look);
	take_text(ret->path, at, path_len);
	at += (path_len + 7) / 8 * 8;
	memcpy(ret->tries, at, ret->try_count * sizeof(struct record_try));
	take_final(words, ret);
}

static bool has_id(const u64 *words, struct str id)
{
	return id.len && str_eq(str_make(id_at(words), id_len(words)),
				 str_make(id.ptr, MIN(id.len, (size_t)RECORD_ID_MAX)));
}

// The first number that may still stand in the ring.
static u64 oldest(const struct record_ring *ring, u64 count)
{
	return count > ring->mask ? count - ring->mask - 1 : 0;
}

static bool find_in(const struct record_ring *ring, struct str id, u64 *ret_words)
{
	u64 count = count_of(ring);

	for (u64 number = count; number > oldest(ring, count); number--)
		if (read_words(ring, number - 1, ret_words, RECORD_WORDS_MAX) &&
			has_id(ret_words, id))
			return true;
	return false;
}

bool record_find(struct records *const *all, u32 count, struct str id, struct record *ret_record)
{
	bool found = false;
	i64 newest_ms = 0;

	for (u32 i = 0; i < 2 * count; i++) {
		const struct records *records = all[i / 2];
		u64 words[RECORD_WORDS_MAX];

		if (!records || !find_in(i % 2 ? &records->failed : &records->all, id, words) ||
			(found && ended_ms(words) <= newest_ms))
			continue;
		found = true;
		newest_ms = ended_ms(words);
		decode(words, records->worker, ret_record);
	}
	return found;
}

// How far the reader of one ring has come.
struct cursor {
	const struct record_ring *ring;
	u32 worker;
	u64 number; // the next one is the one before it
	u64 oldest;
	i64 ended_ms; // of the next one
};

// Makes sure that the next one can be read. False: there is none any more.
static bool cursor_settle(struct cursor *cursor)
{
	u64 words[W_ENDED + 1];

	for (; cursor->number > cursor->oldest; cursor->number--)
		if (read_words(cursor->ring, cursor->number - 1, words, ARRAY_LEN(words))) {
			cursor->ended_ms = ended_ms(words);
			return true;
		}
	return false;
}

static u32 open_cursors(
	struct records *const *all, u32 count, bool failures_only, struct cursor *ret_cursors)
{
	u32 open = 0;

	for (u32 i = 0; i < count; i++) {
		struct cursor *cursor = &ret_cursors[open];
		const struct record_ring *ring;

		if (!all[i])
			continue;
		ring = failures_only ? &all[i]->failed : &all[i]->all;
		*cursor = (struct cursor){
			.ring = ring, .worker = all[i]->worker, .number = count_of(ring)};
		cursor->oldest = oldest(ring, cursor->number);
		open += cursor_settle(cursor);
	}
	return open;
}

u32 record_read_newest(struct records *const *all, u32 count, bool failures_only,
	struct record *ret_records, u32 max)
{
	struct cursor cursors[workers_max];
	u32 open, taken = 0;

	ASSERT(count <= workers_max);
	open = open_cursors(all, count, failures_only, cursors);
	while (taken < max && open) {
		struct cursor *best = &cursors[0];
		u64 words[RECORD_WORDS_MAX];

		for (u32 i = 1; i < open; i++)
			if (cursors[i].ended_ms > best->ended_ms)
				best = &cursors[i];
		best->number--;
		if (read_words(best->ring, best->number, words, RECORD_WORDS_MAX))
			decode(words, best->worker, &ret_records[taken++]);
		if (!cursor_settle(best))
			*best = cursors[--open];
	}
	return taken;
}
