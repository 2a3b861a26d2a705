// SPDX-License-Identifier: Apache-2.0
#include "proxy/record_parts.h"

#include "base/mem.h"
#include "proxy/request.h"

enum {
	id_words = 4,
	client_words = 2, // with the length, enough for RECORD_SHORT_IP_MAX
	client_at = offsetof(struct client, ip_len),
	seen_at = offsetof(struct exchange, seen),
};
_Static_assert(offsetof(struct pick_seen, balance.looks) == 8, "one word in front of the looks");
_Static_assert(offsetof(struct client, ip) == offsetof(struct client, ip_len) + 1 &&
		       sizeof(((struct client *)NULL)->ip) == RECORD_IP_MAX,
	"length and address in a row");

struct record_history {
	const struct attempt *last; // noted
	u64 last_leased_us;
	u8 count;
	u8 paused_at; // x->attempts when nothing ran any more; 0: never yet
	bool is_hedge;
	struct record_try tries[RECORD_TRIES_MAX];
};

const char *record_end_name(u8 ended)
{
	static const char *const names[] = {
#define X(name, word, text) [RECORD_END_##name - RECORD_END_NOT] = word,
		RECORD_ENDS(X)
#undef X
	};

	if (ended < OUTCOME_COUNT)
		return outcome_info((enum outcome)ended)->name.ptr;
	ASSERT(ended > RECORD_END_NOT && ended < RECORD_END_COUNT);
	return names[ended - RECORD_END_NOT];
}

const char *record_end_text(u8 ended)
{
	static const char *const texts[] = {
#define X(name, word, text) [RECORD_END_##name - RECORD_END_NOT] = text,
		RECORD_ENDS(X)
#undef X
	};

	if (ended < OUTCOME_COUNT)
		return outcome_info((enum outcome)ended)->cause.ptr;
	ASSERT(ended > RECORD_END_NOT && ended < RECORD_END_COUNT);
	return texts[ended - RECORD_END_NOT];
}

// ---- Memory -------------------------------------------------------------------------------------

static void ring_init(struct record_ring *ring, u32 slots)
{
	ring->slots = mem_alloc_lines(sizeof(struct record_slot) * (slots + 1)); // fetch_next
	ring->mask = slots - 1;
}

struct records *records_new(u32 worker)
{
	struct records *records = mem_alloc_lines(sizeof(*records));

	records->worker = worker;
	ring_init(&records->all, RECORDS_KEPT);
	ring_init(&records->failed, RECORDS_FAILED_KEPT);
	return records;
}

void records_free(struct records *records)
{
	if (!records)
		return;
	mem_free(records->all.slots);
	mem_free(records->failed.slots);
	mem_free(records);
}

// ---- Tries --------------------------------------------------------------------------------------

static struct record_history *history_of(struct exchange *x)
{
	struct record_history *history = x->history;

	if (history || !x->proxy->records)
		return history;
	history = arena_alloc(&x->arena, sizeof(*history));
	if (history)
		*history = (struct record_history){0};
	x->history = history;
	return history;
}

void record_note_try(struct exchange *x, const struct attempt *attempt, u8 ended, u16 status)
{
	struct record_history *history = history_of(x);
	const struct backend *backend = attempt->pick.backend;

	if (!history || (history->last == attempt && history->last_leased_us == attempt->leased_us))
		return;
	history->last = attempt;
	history->last_leased_us = attempt->leased_us;
	if (history->count < RECORD_TRIES_MAX)
		history->count++;
	history->tries[history->count - 1] = (struct record_try){
		.pool = (u16)backend->pool->index,
		.backend = (u16)backend->cell,
		.status = status,
		.ended = ended,
		.hedge = attempt == x->second || (attempt == x->attempt && history->is_hedge),
		.at_us = record_span_us(x->began_us, attempt->leased_us),
		.took_us = record_span_us(attempt->leased_us, loop_now_us(x->proxy->loop)),
	};
}

void record_note_pause(struct exchange *x)
{
	struct record_history *history = history_of(x);

	if (!history)
		return;
	history->paused_at = x->attempts;
	history->is_hedge = false;
}

void record_note_promoted(struct exchange *x)
{
	struct record_history *history = history_of(x);

	if (history)
		history->is_hedge = true;
}

// ---- Writing ------------------------------------------------------------------------------------

// Behind all stores before it, for who reads it by an acquiring load: so no word of a record is
// seen before the odd number in front of it.
static inline void put(_Atomic(u64) *word, u64 value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static inline u64 load(const void *at)
{
	u64 word;

	memcpy(&word, at, sizeof(word));
	return word;
}

// Less than a word, zeroes behind it.
static inline u64 load_less(const char *at, size_t len)
{
	u64 word = 0;
	u32 shift = 0;

	if (len & 4) {
		u32 four;

		memcpy(&four, at, 4);
		word = four;
		at += 4;
		shift = 32;
	}
	if (len & 2) {
		u16 two;

		memcpy(&two, at, 2);
		word |= (u64)two << shift;
		at += 2;
		shift += 16;
	}
	if (len & 1)
		word |= (u64)(u8)*at << shift;
	return word;
}

static _Atomic(u64) *put_text(_Atomic(u64) *at, const char *text, size_t len)
{
	for (; len >= 8; text += 8, len -= 8)
		put(at++, load(text));
	if (len)
		put(at++, load_less(text, len));
	return at;
}

static _Atomic(u64) *put_client(_Atomic(u64) *at, struct exchange *x)
{
	struct str ip = request_client_ip(x);
	char text[8 * RECORD_LONG_CLIENT_WORDS] = {0};

	text[0] = (char)MIN(ip.len, (size_t)RECORD_IP_MAX);
	memcpy(text + 1, ip.ptr, (size_t)text[0]);
	return put_text(at, text, sizeof(text));
}

static _Atomic(u64) *put_id(_Atomic(u64) *at, const struct exchange *x)
{
	char text[RECORD_ID_MAX] = {0};
	struct str id = request_id(x);

	memcpy(text, id.ptr, MIN(id.len, sizeof(text)));
	return put_text(at, text, sizeof(text));
}

// What of the path can be told: what has no normal form was refused.
static struct str path_of(const struct exchange *x)
{
	if (x->path.len || !x->request)
		return x->path;
	return str_make(x->request->path.ptr, str_find(x->request->path, '?'));
}

// What a record has of its tries that ended before its end.
static void put_tries(_Atomic(u64) *at, const struct exchange *x, u64 *bits)
{
	const struct record_history *history = x->history;
	bool is_over = history->paused_at == x->attempts;
	u32 count = is_over ? history->count : MIN((u32)history->count, RECORD_TRIES_MAX - 1u);

	for (u32 i = 0; i < count; i++) {
		put(at++, load(&history->tries[i]));
		put(at++, load((const char *)&history->tries[i] + 8));
	}
	*bits |= (u64)count << B_TRIES | (u64)history->is_hedge << B_HEDGE |
		 (u64)is_over << B_PAUSED;
}

static inline u64 places(u32 way, u32 pool, u32 backend)
{
	return way | (u64)(u16)pool << 32 | (u64)backend << 48;
}

static inline void put_fixed(_Atomic(u64) *words, const struct exchange *x)
{
	const struct attempt *attempt = x->attempt;
	const struct proxy *proxy = x->proxy;

	put(&words[W_WALL], (u64)x->headed_wall_ms);
	put(&words[W_FACTS], load((const char *)x + RECORD_FACTS_AT));
	put(&words[W_FACTS2], load((const char *)x + RECORD_FACTS_AT + 8));
	put(&words[W_GENERATION], x->hold->snapshot->generation);
	put(&words[W_BEGAN], x->began_us);
	put(&words[W_HEADED], x->headed_us);
	put(&words[W_LEASED], attempt->leased_us);
	put(&words[W_SENT], attempt->sent_us);
	put(&words[W_ANSWERED], x->answered_us);
	put(&words[W_ENDED], loop_now_us(proxy->loop));
	put(&words[W_IN], x->up.total);
	put(&words[W_OUT], x->answer.total);
	put(&words[W_SEEN], load((const char *)x + seen_at));
	put(&words[W_KEY], x->key);
}

static inline _Atomic(u64) *put_looks(_Atomic(u64) *at, const struct balance_seen *seen)
{
	u32 count = seen->count;

	for (u32 i = 0; i < count && i < BALANCE_LOOKS_MAX; i++)
		put(at++, load(&seen->looks[i]));
	return at;
}

// What is ordinary: a whole answer of a backend at the first try, to a client who is known by an
// IPv4 address and whose id is ours, because nobody who is trusted has told another (is_long). Its
// path lies in the head as it came, and has at least the version behind it, so that whole words may
// be read.
static inline bool is_ordinary(const struct exchange *x)
{
	const struct http_head *head = x->request;

	return x->backend && x->outcome == OUTCOME_OK && x->status < 500 && !x->client->is_long &&
	       !x->history && !x->second &&
	       x->path.len - 1 < RECORD_PATH_MAX && // then it has a head
	       x->path.ptr >= head->raw.ptr &&
	       x->path.ptr + x->path.len + 8 <= head->raw.ptr + head->raw.len;
}

static inline void put_ordinary(_Atomic(u64) *words, const struct exchange *x)
{
	static const u64 bits =
		OUTCOME_OK | (u64)client_words << B_CLIENT_WORDS | (u64)id_words << B_ID_WORDS;
	const struct client *client = x->client;
	const struct route *route = x->route;
	const char *path = x->path.ptr, *path_end = path + x->path.len;
	u32 way = route ? route->place : x->frontend->place;
	_Atomic(u64) *at = words + W_REST;

	put(&words[W_PLACES], places(way, x->pool->index, x->backend->cell));
	put(&words[W_BITS], bits | (u64)x->attempt->lease.reused << B_REUSED |
				    (u64)x->path.len << B_PATH_LEN |
				    (u64)x->request->method << B_METHOD);
	put(at++, load((const char *)client + client_at));
	put(at++, load((const char *)client + client_at + 8));
	put(at++, load(x->request_id));
	put(at++, load(x->request_id + 8));
	put(at++, load(x->request_id + 16));
	put(at++, load(x->request_id + 24));
	put_fixed(words, x);
	at = put_looks(at, &x->seen.balance);
	do {
		put(at++, load(path));
		path += 8;
	} while (path < path_end);
}

static void put_any(_Atomic(u64) *words, struct exchange *x)
{
	struct str path = path_of(x);
	u64 bits = x->outcome | (u64)x->attempt->lease.reused << B_REUSED |
		   (u64)RECORD_LONG_CLIENT_WORDS << B_CLIENT_WORDS;
	_Atomic(u64) *at = put_client(words + W_REST, x);

	put_fixed(words, x);
	put(&words[W_PLACES], places(x->route ? x->route->place : x->frontend->place,
				      x->pool ? x->pool->index : RECORD_NOBODY,
				      x->backend ? x->backend->cell : RECORD_NOBODY));
	if (x->request) {
		at = put_id(at, x);
		bits |= (u64)RECORD_LONG_ID_WORDS << B_ID_WORDS | (u64)x->request->method
									  << B_METHOD;
	}
	at = put_looks(at, &x->seen.balance);
	if (path.len > RECORD_PATH_MAX) {
		path.len = RECORD_PATH_MAX;
		bits |= 1ull << B_PATH_CUT;
	}
	bits |= (u64)path.len << B_PATH_LEN;
	at = put_text(at, path.ptr, path.len);
	if (x->history)
		put_tries(at, x, &bits);
	put(&words[W_BITS], bits);
}

static inline struct record_slot *begin(struct record_ring *ring, u64 sequence)
{
	struct record_slot *slot = &ring->slots[sequence / 2 & ring->mask];

	atomic_store_explicit(&slot->sequence, sequence + 1, memory_order_relaxed);
	return slot;
}

// The next record goes to where nobody has been for thousands of requests: that is fetched
// meanwhile. Behind the last one there is room for this.
static inline void fetch_next(const struct record_slot *slot)
{
	const char *next = (const char *)(slot + 1);

	__builtin_prefetch(next, 1);
	__builtin_prefetch(next + CACHE_LINE, 1);
	__builtin_prefetch(next + 2 * CACHE_LINE, 1);
}

static inline void publish(struct record_ring *ring, struct record_slot *slot, u64 sequence)
{
	atomic_store_explicit(&slot->sequence, sequence + 2, memory_order_release);
	atomic_store_explicit(&ring->sequence, sequence + 2, memory_order_release);
}

static void add_failed(struct record_ring *failed, const struct record_slot *from)
{
	u64 sequence = atomic_load_explicit(&failed->sequence, memory_order_relaxed);
	struct record_slot *to = begin(failed, sequence);

	for (u32 i = 0; i < RECORD_WORDS_MAX; i++)
		put(&to->words[i], atomic_load_explicit(&from->words[i], memory_order_relaxed));
	publish(failed, to, sequence);
}

static __attribute__((noinline)) void add_any(struct records *records, struct exchange *x)
{
	u64 sequence = atomic_load_explicit(&records->all.sequence, memory_order_relaxed);
	struct record_slot *slot = begin(&records->all, sequence);

	if (x->second)
		record_note_try(x, x->second, RECORD_END_DROPPED, 0);
	put_any(slot->words, x);
	publish(&records->all, slot, sequence);
	if (record_is_failure((enum outcome)x->outcome, x->status))
		add_failed(&records->failed, slot);
}

__attribute__((noinline)) void records_add(struct records *records, struct exchange *x)
{
	u64 sequence = atomic_load_explicit(&records->all.sequence, memory_order_relaxed);
	struct record_slot *slot;

	if (unlikely(!is_ordinary(x))) {
		add_any(records, x);
		return;
	}
	slot = begin(&records->all, sequence);
	put_ordinary(slot->words, x);
	publish(&records->all, slot, sequence);
	fetch_next(slot);
}
