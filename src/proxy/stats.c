// SPDX-License-Identifier: Apache-2.0
#include "proxy/stats.h"

#include "base/mem.h"

enum { seat_bits_min = 6 };

// Of a seat that was left. It is in no row, and looked past.
#define no_key (UINT64_MAX - 1)

// Objects that stay where they are, from one thread to any: it writes one and then counts it.
struct pile {
	u32 object_bytes, per_chunk, most;
	_Atomic(u32) count;
	_Atomic(char *) *chunks; // filled as they are needed
};

// A count beyond the slots of its row. While the row names it only `count` changes.
struct stats_more {
	u64 count;
	u32 next; // of the row: index plus 1
	u16 key;
};

// Where the worker finds its rows; open addressing, at most half full.
struct stats_seat {
	u64 key; // 0: free
	struct stats_row *row;
};

struct stats {
	const struct slots *slots;
	struct stats_seat *seats;
	u32 seat_bits, seat_shift; // of the hash: 64 - seat_bits
	u32 left_seats;		   // that were left and not taken again
	u64 *connections;	   // by frontend->index
	struct pile rows, flows, mores;
	// Empty again: of those who are gone.
	struct stats_row *free_rows;
	struct stats_flow *free_flows;
	u32 free_more;	    // index plus 1
	_Atomic(u32) moves; // odd while counts go from one row to another
};

// ---- Piles --------------------------------------------------------------------------------------

static void pile_init(struct pile *pile, u32 object_bytes, u32 per_chunk, u32 most)
{
	*pile = (struct pile){.object_bytes = object_bytes,
		.per_chunk = per_chunk,
		.most = most,
		.chunks = mem_alloc(sizeof(*pile->chunks) * (most / per_chunk))};
}

static void pile_done(struct pile *pile)
{
	for (u32 i = 0; i < pile->most / pile->per_chunk; i++)
		mem_free(atomic_load_explicit(&pile->chunks[i], memory_order_relaxed));
	mem_free(pile->chunks);
}

static u32 pile_count(const struct pile *pile)
{
	return atomic_load_explicit(&pile->count, memory_order_acquire);
}

static void *pile_at(const struct pile *pile, u32 index)
{
	char *chunk =
		atomic_load_explicit(&pile->chunks[index / pile->per_chunk], memory_order_relaxed);

	return chunk + (size_t)(index % pile->per_chunk) * pile->object_bytes;
}

// The next one, zeroed and not counted yet. NULL: there may be no more, or memory is missing.
static void *pile_next(struct pile *pile)
{
	u32 count = atomic_load_explicit(&pile->count, memory_order_relaxed);
	size_t bytes = (size_t)pile->per_chunk * pile->object_bytes;
	_Atomic(char *) *chunk = &pile->chunks[count / pile->per_chunk];

	if (count == pile->most)
		return NULL;
	if (!atomic_load_explicit(chunk, memory_order_relaxed)) {
		char *fresh = mem_try_alloc(bytes);

		if (!fresh)
			return NULL;
		memset(fresh, 0, bytes);
		atomic_store_explicit(chunk, fresh, memory_order_relaxed);
	}
	return pile_at(pile, count);
}

static u32 pile_push(struct pile *pile)
{
	u32 count = atomic_load_explicit(&pile->count, memory_order_relaxed);

	atomic_store_explicit(&pile->count, count + 1, memory_order_release);
	return count;
}

// ---- Life ---------------------------------------------------------------------------------------

struct stats *stats_new(const struct snapshot *snapshot)
{
	struct stats *stats = mem_alloc(sizeof(*stats));
	struct stats_row *row;

	stats->slots = snapshot->slots;
	stats->seat_bits = seat_bits_min;
	stats->seat_shift = 64 - seat_bits_min;
	stats->seats = mem_alloc(sizeof(struct stats_seat) << seat_bits_min);
	stats->connections = mem_alloc(sizeof(u64) * MAX(snapshot->slots->frontends.max, 1));
	pile_init(&stats->rows, sizeof(struct stats_row), 16, STATS_ROWS_MAX);
	pile_init(&stats->flows, sizeof(struct stats_flow), 4, STATS_FLOWS_MAX);
	pile_init(&stats->mores, sizeof(struct stats_more), 256, STATS_MORE_MAX);
	row = pile_next(&stats->rows);
	ASSERT(row);
	row->key = UINT64_MAX;
	row->frontend = row->pool = row->backend = STATS_NOBODY;
	row->flow = pile_next(&stats->flows);
	ASSERT(row->flow);
	row->flow->frontend = row->flow->pool = STATS_NOBODY;
	pile_push(&stats->flows);
	pile_push(&stats->rows);
	return stats;
}

void stats_free(struct stats *stats)
{
	if (!stats)
		return;
	pile_done(&stats->mores);
	pile_done(&stats->flows);
	pile_done(&stats->rows);
	mem_free(stats->connections);
	mem_free(stats->seats);
	mem_free(stats);
}

// ---- Moves --------------------------------------------------------------------------------------

static void begin_move(struct stats *stats)
{
	u32 moves = atomic_load_explicit(&stats->moves, memory_order_relaxed);

	atomic_store_explicit(&stats->moves, moves + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void end_move(struct stats *stats)
{
	u32 moves = atomic_load_explicit(&stats->moves, memory_order_relaxed);

	atomic_store_explicit(&stats->moves, moves + 1, memory_order_release);
}

u64 stats_moves(const struct stats *const *stats, u32 count)
{
	u64 sum = 0, now = 0;

	atomic_thread_fence(memory_order_acquire); // what was read before stays before
	for (u32 i = 0; i < count; i++) {
		u32 moves = atomic_load_explicit(&stats[i]->moves, memory_order_acquire);

		sum += moves;
		now |= moves & 1;
	}
	return sum | now << 63;
}

static void set_name(u32 *name, u32 value)
{
	__atomic_store_n(name, value, __ATOMIC_RELAXED);
}

// ---- Rows ---------------------------------------------------------------------------------------

static struct stats_row *row_at(const struct stats *stats, u32 index)
{
	return pile_at(&stats->rows, index);
}

static struct stats_flow *flow_at(const struct stats *stats, u32 index)
{
	return pile_at(&stats->flows, index);
}

static struct stats_flow *find_flow(struct stats *stats, u32 frontend, u32 pool)
{
	u32 count = pile_count(&stats->flows);
	struct stats_flow *flow;

	for (u32 i = 1; i < count; i++) {
		flow = flow_at(stats, i);
		if (flow->frontend == frontend && flow->pool == pool)
			return flow;
	}
	flow = stats->free_flows;
	if (flow) {
		stats->free_flows = flow->next_free;
		begin_move(stats);
		set_name(&flow->frontend, frontend);
		set_name(&flow->pool, pool);
		end_move(stats);
		return flow;
	}
	flow = pile_next(&stats->flows);
	if (!flow)
		return flow_at(stats, 0);
	flow->frontend = frontend;
	flow->pool = pool;
	pile_push(&stats->flows);
	return flow;
}

// Rows without a backend stand behind those with one, those of no pool at the end.
static inline u64 key_of(const struct stats *stats, const struct frontend *frontend,
	const struct pool *pool, const struct backend *backend)
{
	// A backend has its pool with it.
	u32 place = backend ? backend->cell
		    : pool  ? stats->slots->backends.max + pool->index
			    : UINT32_MAX;

	return (u64)(frontend->index + 1) << 32 | place;
}

static inline struct stats_seat *first_seat_of(const struct stats *stats, u64 key)
{
	return &stats->seats[key * 0x9e3779b97f4a7c15ull >> stats->seat_shift];
}

// Its own, or the free one that it may have.
static struct stats_seat *seat_of(const struct stats *stats, u64 key)
{
	u32 mask = (1u << stats->seat_bits) - 1;
	u32 at = (u32)(first_seat_of(stats, key) - stats->seats);

	while (stats->seats[at].key && stats->seats[at].key != key)
		at = (at + 1) & mask;
	return &stats->seats[at];
}

// More of them, or the same number without those that were left. False: memory is missing, and what
// is there stays as it is.
static bool renew_seats(struct stats *stats)
{
	struct stats_seat *old = stats->seats, *fresh;
	u32 old_bits = stats->seat_bits,
	    bits = old_bits + (pile_count(&stats->rows) * 4 >= 1u << old_bits);

	fresh = mem_try_alloc(sizeof(struct stats_seat) << bits);
	if (!fresh)
		return false;
	memset(fresh, 0, sizeof(struct stats_seat) << bits);
	stats->seats = fresh;
	stats->seat_bits = bits;
	stats->seat_shift = 64 - bits;
	stats->left_seats = 0;
	for (u32 i = 0; i < 1u << old_bits; i++)
		if (old[i].key && old[i].key != no_key)
			*seat_of(stats, old[i].key) = old[i];
	mem_free(old);
	return true;
}

// Whether there is room for one more.
static bool has_seat(struct stats *stats)
{
	u32 taken = pile_count(&stats->rows) + stats->left_seats;

	return taken * 2 < 1u << stats->seat_bits || renew_seats(stats);
}

static void sit_down(struct stats *stats, struct stats_row *row, u64 key)
{
	__atomic_store_n(&row->key, key, __ATOMIC_RELAXED);
	*seat_of(stats, key) = (struct stats_seat){.key = key, .row = row};
}

static void name_row(struct stats_row *row, u32 frontend, u32 pool, u32 backend)
{
	set_name(&row->frontend, frontend);
	set_name(&row->pool, pool);
	set_name(&row->backend, backend);
}

static struct stats_row *new_row(struct stats *stats, u64 key, const struct frontend *frontend,
	const struct pool *pool, const struct backend *backend)
{
	struct stats_row *row = stats->free_rows;
	bool is_fresh = !row;

	if (is_fresh)
		row = pile_next(&stats->rows);
	if (!row || !has_seat(stats))
		return row_at(stats, 0);
	row->flow = find_flow(stats, frontend->index, pool ? pool->index : STATS_NOBODY);
	begin_move(stats);
	name_row(row, frontend->index, pool ? pool->index : STATS_NOBODY,
		backend ? backend->cell : STATS_NOBODY);
	end_move(stats);
	sit_down(stats, row, key);
	if (is_fresh)
		pile_push(&stats->rows);
	else
		stats->free_rows = row->next_free;
	return row;
}

static __attribute__((noinline)) struct stats_row *find_row_slowly(struct stats *stats, u64 key,
	const struct frontend *frontend, const struct pool *pool, const struct backend *backend)
{
	struct stats_seat *seat = seat_of(stats, key);

	return seat->key ? seat->row : new_row(stats, key, frontend, pool, backend);
}

static inline struct stats_row *find_row(struct stats *stats, const struct frontend *frontend,
	const struct pool *pool, const struct backend *backend)
{
	u64 key = key_of(stats, frontend, pool, backend);
	const struct stats_seat *seat = first_seat_of(stats, key);

	if (likely(seat->key == key))
		return seat->row;
	return find_row_slowly(stats, key, frontend, pool, backend);
}

// ---- Counts by method and status ----------------------------------------------------------------

enum { key_is_used = 1 << 15, key_status_shift = 4, key_method_mask = 15 };
_Static_assert((int)HTTP_CONNECT <= (int)key_method_mask, "a method takes four bits of a key");
_Static_assert(999 << key_status_shift < key_is_used, "a status takes the bits between");

static struct stats_more *more_at(const struct stats *stats, u32 index)
{
	return pile_at(&stats->mores, index);
}

// The index of an empty one plus 1; 0: there is none.
static u32 take_more(struct stats *stats)
{
	u32 at = stats->free_more;

	if (at)
		stats->free_more = more_at(stats, at - 1)->next;
	else if (pile_next(&stats->mores))
		at = pile_push(&stats->mores) + 1;
	return at;
}

static u64 *new_more(struct stats *stats, struct stats_row *row, u16 key)
{
	u32 at = row->more_count < STATS_MORE_OF_ROW_MAX ? take_more(stats) : 0;
	struct stats_more *more;

	if (!at)
		return &row->classes[MIN((key & ~key_is_used) >> key_status_shift, 599) / 100];
	more = more_at(stats, at - 1);
	__atomic_store_n(&more->key, key, __ATOMIC_RELAXED);
	__atomic_store_n(&more->next, row->more, __ATOMIC_RELAXED);
	row->more_count++;
	__atomic_store_n(&row->more, at, __ATOMIC_RELEASE);
	return &more->count;
}

static __attribute__((noinline)) u64 *find_count_slowly(
	struct stats *stats, struct stats_row *row, u16 key)
{
	for (u32 i = 0; i < STATS_SLOTS; i++) {
		if (row->keys[i] == key)
			return &row->counts[i];
		if (row->keys[i] == 0) {
			__atomic_store_n(&row->keys[i], key, __ATOMIC_RELAXED);
			return &row->counts[i];
		}
	}
	for (u32 at = row->more; at; at = more_at(stats, at - 1)->next)
		if (more_at(stats, at - 1)->key == key)
			return &more_at(stats, at - 1)->count;
	return new_more(stats, row, key);
}

static inline u64 *find_count(struct stats *stats, struct stats_row *row, u32 method, u32 status)
{
	u16 key = (u16)(key_is_used | status << key_status_shift | method);

	if (likely(row->keys[0] == key))
		return &row->counts[0];
	return find_count_slowly(stats, row, key);
}

// ---- By the worker ------------------------------------------------------------------------------

static void note_rarities(
	struct stats_row *row, struct stats_flow *flow, const struct stats_entry *entry)
{
	if (entry->error)
		metrics_bump(&row->errors, 1);
	if (entry->upgraded)
		metrics_bump(&row->upgrades, 1);
	if (entry->queue_us != STATS_NO_TIME)
		histogram_note(&flow->queue, entry->queue_us);
	if (entry->connect_us != STATS_NO_TIME)
		histogram_note(&flow->connect, entry->connect_us);
}

void stats_note(struct stats *stats, const struct stats_entry *entry)
{
	struct stats_row *row = find_row(stats, entry->frontend, entry->pool, entry->backend);
	struct stats_flow *flow = row->flow;

	metrics_bump(find_count(stats, row, entry->method, entry->status), 1);
	metrics_bump(&row->bytes_in, entry->bytes_in);
	metrics_bump(&row->bytes_out, entry->bytes_out);
	histogram_note(&flow->total, entry->total_us);
	if (entry->was_sent)
		histogram_note(&row->spent, entry->spent_us);
	if (entry->first_byte_us != STATS_NO_TIME)
		histogram_note(&flow->first_byte, entry->first_byte_us);
	note_rarities(row, flow, entry);
	if (entry->tcp)
		return;
	sizes_note(&flow->request, entry->upgraded ? 0 : entry->bytes_in);
	sizes_note(&flow->response, entry->upgraded ? 0 : entry->bytes_out);
}

// A short answer comes and goes within one turn, and then the three spans are the same.
static inline void note_spans(
	struct stats_row *row, struct stats_flow *flow, const struct stats_entry *entry)
{
	u32 at = histogram_bucket(entry->total_us);

	histogram_note_at(&flow->total, at, entry->total_us);
	if (entry->spent_us != entry->total_us)
		at = histogram_bucket(entry->spent_us);
	histogram_note_at(&row->spent, at, entry->spent_us);
	if (entry->first_byte_us != entry->spent_us)
		at = histogram_index(entry->first_byte_us);
	histogram_note_at(&flow->first_byte, at, entry->first_byte_us);
}

void stats_note_usual(struct stats *stats, const struct stats_entry *entry)
{
	struct stats_row *row =
		find_row(stats, entry->frontend, entry->backend->pool, entry->backend);
	struct stats_flow *flow = row->flow;

	metrics_bump(find_count(stats, row, entry->method, entry->status), 1);
	note_spans(row, flow, entry);
	sizes_note(&flow->request, entry->bytes_in);
	sizes_note(&flow->response, entry->bytes_out);
	if (entry->bytes_in)
		metrics_bump(&row->bytes_in, entry->bytes_in);
	metrics_bump(&row->bytes_out, entry->bytes_out);
}

void stats_note_try(struct stats *stats, const struct frontend *frontend,
	const struct backend *backend, enum stats_try kind)
{
	metrics_bump(&find_row(stats, frontend, backend->pool, backend)->tries[kind], 1);
}

void stats_note_connection(struct stats *stats, const struct frontend *frontend, int by)
{
	metrics_bump(&stats->connections[frontend->index], (u64)(i64)by);
}

static void set_relaxed(u64 *cell, u64 value)
{
	__atomic_store_n(cell, value, __ATOMIC_RELAXED);
}

void stats_note_trace(struct stats *stats, const struct stats_entry *entry,
	const u8 trace_id[static 16], i64 wall_ms)
{
	struct stats_flow *flow =
		find_row(stats, entry->frontend, entry->pool, entry->backend)->flow;
	struct stats_exemplar *exemplar = &flow->exemplar;
	u32 sequence = exemplar->sequence;
	u64 id[2];

	memcpy(id, trace_id, sizeof(id));
	__atomic_store_n(&exemplar->sequence, sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	set_relaxed(&exemplar->trace_id[0], id[0]);
	set_relaxed(&exemplar->trace_id[1], id[1]);
	set_relaxed(&exemplar->total_us, entry->total_us);
	__atomic_store_n(&exemplar->wall_ms, wall_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&exemplar->sequence, sequence + 2, __ATOMIC_RELEASE);
}

// ---- Who is gone --------------------------------------------------------------------------------
// A slot has another owner soon: what its last one counted counts for those around it.

static void leave_seat(struct stats *stats, const struct stats_row *row)
{
	struct stats_seat *seat = seat_of(stats, row->key);

	if (seat->key != row->key || seat->row != row)
		return;
	*seat = (struct stats_seat){.key = no_key};
	stats->left_seats++;
}

// What stands in `from` goes over to `to`.
static void move_cell(u64 *from, u64 *to)
{
	if (!*from)
		return;
	metrics_bump(to, *from);
	set_relaxed(from, 0);
}

static void move_histogram(struct histogram *from, struct histogram *to)
{
	for (u32 i = 0; i < HISTOGRAM_BUCKETS; i++)
		move_cell(&from->counts[i], &to->counts[i]);
	move_cell(&from->sum_us, &to->sum_us);
	if (from->max_us > to->max_us)
		set_relaxed(&to->max_us, from->max_us);
	set_relaxed(&from->max_us, 0);
}

static void move_sizes(struct sizes *from, struct sizes *to)
{
	for (u32 i = 0; i < SIZES_BUCKETS; i++)
		move_cell(&from->counts[i], &to->counts[i]);
	move_cell(&from->sum, &to->sum);
}

static void move_mores(struct stats *stats, struct stats_row *from, struct stats_row *to)
{
	while (from->more) {
		u32 at = from->more;
		struct stats_more *more = more_at(stats, at - 1);

		move_cell(&more->count, find_count_slowly(stats, to, more->key));
		__atomic_store_n(&from->more, more->next, __ATOMIC_RELAXED);
		__atomic_store_n(&more->next, stats->free_more, __ATOMIC_RELAXED);
		stats->free_more = at;
	}
	from->more_count = 0;
}

static void move_counts(struct stats *stats, struct stats_row *from, struct stats_row *to)
{
	for (u32 i = 0; i < STATS_SLOTS; i++) {
		if (from->keys[i])
			move_cell(&from->counts[i], find_count_slowly(stats, to, from->keys[i]));
		__atomic_store_n(&from->keys[i], 0, __ATOMIC_RELAXED);
	}
	move_mores(stats, from, to);
	for (u32 i = 0; i < STATS_CLASSES; i++)
		move_cell(&from->classes[i], &to->classes[i]);
	for (u32 i = 0; i < STATS_TRIES; i++)
		move_cell(&from->tries[i], &to->tries[i]);
	move_cell(&from->bytes_in, &to->bytes_in);
	move_cell(&from->bytes_out, &to->bytes_out);
	move_cell(&from->errors, &to->errors);
	move_cell(&from->upgrades, &to->upgrades);
	move_histogram(&from->spent, &to->spent);
}

// Its counts go to the row of this frontend and pool, or it becomes that row; STATS_NOBODY: none.
static void give_up_row(struct stats *stats, struct stats_row *row, u32 frontend, u32 pool)
{
	u64 key = stats_key(stats, frontend, pool, STATS_NOBODY);
	struct stats_row *to =
		frontend == STATS_NOBODY ? row_at(stats, 0) : seat_of(stats, key)->row;

	leave_seat(stats, row);
	if (!to && has_seat(stats)) {
		row->flow = find_flow(stats, frontend, pool);
		begin_move(stats);
		name_row(row, frontend, pool, STATS_NOBODY);
		end_move(stats);
		sit_down(stats, row, key);
		return;
	}
	to = to ? to : row_at(stats, 0);
	begin_move(stats);
	name_row(row, STATS_NOBODY, STATS_NOBODY, STATS_NOBODY);
	move_counts(stats, row, to);
	end_move(stats);
	__atomic_store_n(&row->key, UINT64_MAX, __ATOMIC_RELAXED);
	row->next_free = stats->free_rows;
	stats->free_rows = row;
}

static void give_up_flow(struct stats *stats, struct stats_flow *flow, struct stats_flow *to)
{
	begin_move(stats);
	set_name(&flow->frontend, STATS_NOBODY);
	set_name(&flow->pool, STATS_NOBODY);
	move_histogram(&flow->total, &to->total);
	move_histogram(&flow->queue, &to->queue);
	move_histogram(&flow->connect, &to->connect);
	move_histogram(&flow->first_byte, &to->first_byte);
	move_sizes(&flow->request, &to->request);
	move_sizes(&flow->response, &to->response);
	__atomic_store_n(&flow->exemplar.sequence, 0, __ATOMIC_RELEASE);
	end_move(stats);
	flow->next_free = stats->free_flows;
	stats->free_flows = flow;
}

void stats_forget_backend(struct stats *stats, u32 slot)
{
	u32 count = pile_count(&stats->rows);

	for (u32 i = 1; i < count; i++)
		if (row_at(stats, i)->backend == slot)
			give_up_row(stats, row_at(stats, i), row_at(stats, i)->frontend,
				row_at(stats, i)->pool);
}

void stats_forget_pool(struct stats *stats, u32 slot)
{
	u32 rows = pile_count(&stats->rows), flows = pile_count(&stats->flows);

	for (u32 i = 1; i < rows; i++)
		if (row_at(stats, i)->pool == slot)
			give_up_row(
				stats, row_at(stats, i), row_at(stats, i)->frontend, STATS_NOBODY);
	for (u32 i = 1; i < flows; i++)
		if (flow_at(stats, i)->pool == slot)
			give_up_flow(stats, flow_at(stats, i),
				find_flow(stats, flow_at(stats, i)->frontend, STATS_NOBODY));
}

void stats_forget_frontend(struct stats *stats, u32 slot)
{
	u32 rows = pile_count(&stats->rows), flows = pile_count(&stats->flows);

	for (u32 i = 1; i < rows; i++)
		if (row_at(stats, i)->frontend == slot)
			give_up_row(stats, row_at(stats, i), STATS_NOBODY, STATS_NOBODY);
	for (u32 i = 1; i < flows; i++)
		if (flow_at(stats, i)->frontend == slot)
			give_up_flow(stats, flow_at(stats, i), flow_at(stats, 0));
}

// ---- By any thread ------------------------------------------------------------------------------

static u64 read_cell(const u64 *cell)
{
	return __atomic_load_n(cell, __ATOMIC_RELAXED);
}

u64 stats_key(const struct stats *stats, u32 frontend, u32 pool, u32 backend)
{
	u32 place = backend != STATS_NOBODY ? backend
		    : pool != STATS_NOBODY  ? stats->slots->backends.max + pool
					    : UINT32_MAX;

	return frontend == STATS_NOBODY ? UINT64_MAX : (u64)(frontend + 1) << 32 | place;
}

u32 stats_row_count(const struct stats *stats)
{
	return pile_count(&stats->rows);
}

const struct stats_row *stats_row(const struct stats *stats, u32 index)
{
	return row_at(stats, index);
}

u32 stats_flow_count(const struct stats *stats)
{
	return pile_count(&stats->flows);
}

const struct stats_flow *stats_flow(const struct stats *stats, u32 index)
{
	return flow_at(stats, index);
}

u64 stats_connections(const struct stats *stats, const struct frontend *frontend)
{
	return read_cell(&stats->connections[frontend->index]);
}

static void put_count(struct stats_count *counts, u32 *at, u16 key, u64 count)
{
	if (!count)
		return;
	counts[*at] = (struct stats_count){.count = count,
		.status = (u16)((key & ~key_is_used) >> key_status_shift),
		.method = key & key_method_mask};
	++*at;
}

u32 stats_row_counts(const struct stats *stats, const struct stats_row *row,
	struct stats_count ret_counts[static STATS_COUNTS_MAX])
{
	u32 at = 0;

	for (u32 i = 0; i < STATS_SLOTS; i++) {
		u16 key = __atomic_load_n(&row->keys[i], __ATOMIC_ACQUIRE);

		if (key)
			put_count(ret_counts, &at, key, read_cell(&row->counts[i]));
	}
	for (u32 next = __atomic_load_n(&row->more, __ATOMIC_ACQUIRE), i = 0;
		next && i < STATS_MORE_OF_ROW_MAX; i++) {
		const struct stats_more *more = more_at(stats, next - 1);

		put_count(ret_counts, &at, __atomic_load_n(&more->key, __ATOMIC_RELAXED),
			read_cell(&more->count));
		next = __atomic_load_n(&more->next, __ATOMIC_RELAXED);
	}
	for (u32 class = 0; class < STATS_CLASSES; class ++)
		put_count(ret_counts, &at, (u16)(class << key_status_shift),
			read_cell(&row->classes[class]));
	return at;
}

bool stats_exemplar_of(const struct stats_flow *flow, struct stats_exemplar *ret_exemplar)
{
	enum { attempts = 8 };
	const struct stats_exemplar *from = &flow->exemplar;

	for (u32 i = 0; i < attempts; i++) {
		u32 sequence = __atomic_load_n(&from->sequence, __ATOMIC_ACQUIRE);
		struct stats_exemplar copy = {.sequence = sequence,
			.trace_id = {read_cell(&from->trace_id[0]), read_cell(&from->trace_id[1])},
			.total_us = read_cell(&from->total_us),
			.wall_ms = __atomic_load_n(&from->wall_ms, __ATOMIC_RELAXED)};

		if (sequence == 0)
			return false;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(sequence & 1) &&
			__atomic_load_n(&from->sequence, __ATOMIC_RELAXED) == sequence) {
			*ret_exemplar = copy;
			return true;
		}
	}
	return false;
}
