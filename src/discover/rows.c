// SPDX-License-Identifier: Apache-2.0
#include "discover/rows.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/hash.h"
#include "base/mem.h"

enum {
	arena_bytes_max = 64 << 20, // ROWS_MAX rows of the largest kind take less
	fault_bytes_max = 240,
	shown_max = 60, // of a value in a finding
	pool_bytes_max = 64,
	looked_at_max = 2 * ROWS_MAX, // rows, good or not
};

#define SHOWN(s) (int)MIN((s).len, (size_t)shown_max), (s).ptr

struct rows *rows_new(void)
{
	struct rows *rows = mem_alloc(sizeof(*rows));

	arena_init(&rows->arena, arena_bytes_max);
	atomic_store(&rows->users, 1);
	return rows;
}

struct rows *rows_share(struct rows *rows)
{
	atomic_fetch_add(&rows->users, 1);
	return rows;
}

static void give_back(struct rows *rows)
{
	arena_done(&rows->arena);
	mem_free(rows->lenders);
	mem_free(rows->list);
	mem_free(rows);
}

// Lenders borrow from nobody.
void rows_free(struct rows *rows)
{
	if (!rows || atomic_fetch_sub(&rows->users, 1) > 1)
		return;
	for (u32 i = 0; i < rows->lender_count; i++)
		if (atomic_fetch_sub(&rows->lenders[i]->users, 1) == 1)
			give_back(rows->lenders[i]);
	give_back(rows);
}

void rows_fault(struct rows *rows, const char *format, ...)
{
	char text[fault_bytes_max];
	va_list args;

	rows->fault_count++;
	if (rows->fault_count > ROWS_FAULTS_KEPT)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	rows->faults[rows->fault_count - 1] = arena_str(&rows->arena, str_from(text)).ptr;
}

static bool has_bad_byte(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((u8)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
			return true;
	return false;
}

static bool is_host(struct str host)
{
	if (host.len == 0 || host.len > 253 || host.ptr[0] == '.' || host.ptr[0] == '-')
		return false;
	for (size_t i = 0; i < host.len; i++) {
		char c = ascii_lower(host.ptr[i]);

		if (!(c >= 'a' && c <= 'z') && !ascii_is_digit(c) && c != '-' && c != '.' &&
			c != '_')
			return false;
	}
	return true;
}

// Four numbers with points are meant as an address, even if they are none.
static bool looks_like_ip(struct str host)
{
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_is_digit(host.ptr[i]) && host.ptr[i] != '.')
			return false;
	return true;
}

static bool is_name_with_port(struct str text)
{
	struct str port = text, host = str_cut(&port, ':');
	u64 number;

	return is_host(host) && !looks_like_ip(host) &&
	       str_to_u64(port, UINT16_MAX, &number) == 0 && number > 0;
}

bool row_parse_address(struct arena *arena, struct str text, struct scheme_address *ret_address)
{
	struct scheme_address taken;
	struct addr addr;
	int rc;

	text = str_trim(text);
	if (text.len > ROW_URL_MAX)
		return false;
	taken = scheme_take(arena, text);
	text = taken.address;
	if (text.len == 0 || text.len > ROW_ADDRESS_MAX || has_bad_byte(text) || text.ptr[0] == ':')
		return false;
	text = arena_str(arena, text);
	rc = addr_parse(text, &addr);
	if (rc == -ENOENT ? !is_name_with_port(text)
			  : rc != 0 || (addr.family != ADDR_UNIX && addr.port == 0))
		return false;
	*ret_address = (struct scheme_address){taken.scheme, taken.is_h2, text};
	return true;
}

static struct row *grow(struct rows *rows)
{
	if (rows->count == rows->room) {
		rows->room = MAX(64u, rows->room * 2);
		rows->list = mem_realloc(rows->list, sizeof(struct row) * rows->room);
	}
	return &rows->list[rows->count++];
}

static u32 take_number(struct rows *rows, const struct row_values *values, struct str text,
	const char *what, u32 max, u32 otherwise)
{
	u64 number;

	text = str_trim(text);
	if (text.len == 0)
		return otherwise;
	if (str_to_u64(text, max, &number) == 0)
		return (u32)number;
	rows_fault(rows, "%.*s: %s '%.*s' is no number from 0 to %u, %u is taken",
		SHOWN(values->address), what, SHOWN(text), max, otherwise);
	return otherwise;
}

static u8 take_state(struct rows *rows, const struct row_values *values)
{
	static const struct {
		const char *word;
		u8 state;
	} words[] = {
		{"active", ROW_ACTIVE},
		{"enabled", ROW_ACTIVE},
		{"up", ROW_ACTIVE},
		{"true", ROW_ACTIVE},
		{"t", ROW_ACTIVE},
		{"1", ROW_ACTIVE},
		{"drain", ROW_DRAIN},
		{"draining", ROW_DRAIN},
		{"drained", ROW_DRAIN},
		{"disabled", ROW_DISABLED},
		{"down", ROW_DISABLED},
		{"inactive", ROW_DISABLED},
		{"false", ROW_DISABLED},
		{"f", ROW_DISABLED},
		{"0", ROW_DISABLED},
	};
	struct str text = str_trim(values->state);

	if (text.len == 0)
		return ROW_ACTIVE;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_eq_nocase(text, str_from(words[i].word)))
			return words[i].state;
	rows_fault(rows,
		"%.*s: state '%.*s' is none of active, drain and disabled, it gets no requests",
		SHOWN(values->address), SHOWN(text));
	return ROW_DISABLED;
}

static struct str take_id(struct rows *rows, const struct row_values *values, struct str address)
{
	struct str id = str_trim(values->id);

	if (id.len == 0)
		return address;
	if (id.len <= ROW_ID_MAX && !has_bad_byte(id))
		return arena_str(&rows->arena, id);
	rows_fault(rows, "%.*s: its id is longer than %d bytes or has spaces, its address is taken",
		SHOWN(values->address), ROW_ID_MAX);
	return address;
}

static struct str given(struct str value)
{
	return value.ptr ? value : STR_EMPTY;
}

static void add(struct rows *rows, const struct row_values *values)
{
	struct str metadata = values->metadata;
	struct scheme_address address;
	struct row *row;

	if (rows->count == ROWS_MAX || rows->count + rows->skipped >= looked_at_max) {
		if (rows->skipped++ == 0 || rows->fault_count < ROWS_FAULTS_KEPT)
			rows_fault(rows, "there are more than %d rows, the rest is left out",
				ROWS_MAX);
		return;
	}
	if (!row_parse_address(&rows->arena, values->address, &address)) {
		rows->skipped++;
		rows_fault(rows,
			"%s%s'%.*s' is no address of a backend, it is left out: write "
			"10.0.0.1:80, [::1]:80, name:80 or unix:/path, with https:// or h2:// in "
			"front where it speaks TLS",
			values->where ? values->where : "", values->where ? ": " : "",
			SHOWN(values->address));
		return;
	}
	if (values->pool.len > pool_bytes_max) {
		rows->skipped++;
		rows_fault(rows, "%.*s: the name of its pool is too long, it is left out",
			SHOWN(values->address));
		return;
	}
	metadata.len = MIN(metadata.len, (size_t)ROW_METADATA_MAX);
	row = grow(rows);
	*row = (struct row){.address = address.address,
		.url = scheme_url(&rows->arena, address),
		.is_h2 = address.is_h2,
		.id = take_id(rows, values, address.address),
		.pool = arena_str(&rows->arena, str_trim(values->pool)),
		.metadata = arena_str(&rows->arena, metadata),
		.weight = take_number(rows, values, values->weight, "weight", CONF_WEIGHT_MAX, 1),
		.max_connections = take_number(rows, values, values->max_connections,
			"max_connections", ROW_CONNECTIONS_MAX, 0),
		.state = take_state(rows, values),
		.is_backup = values->is_backup};
}

void rows_add(struct rows *rows, const struct row_values *values)
{
	add(rows, &(struct row_values){.address = given(values->address),
			  .id = given(values->id),
			  .pool = given(values->pool),
			  .weight = given(values->weight),
			  .state = given(values->state),
			  .max_connections = given(values->max_connections),
			  .metadata = given(values->metadata),
			  .is_backup = values->is_backup,
			  .where = values->where});
}

void rows_copy(struct rows *rows, const struct row *row)
{
	struct row *copy = grow(rows);

	*copy = *row;
	copy->id = arena_str(&rows->arena, row->id);
	copy->pool = arena_str(&rows->arena, row->pool);
	copy->address = arena_str(&rows->arena, row->address);
	copy->url = arena_str(&rows->arena, row->url);
	copy->metadata = arena_str(&rows->arena, row->metadata);
}

void rows_borrow(struct rows *rows, struct rows *lender)
{
	ASSERT(!lender->lender_count);
	rows->lenders =
		mem_realloc(rows->lenders, sizeof(*rows->lenders) * (rows->lender_count + 1));
	rows->lenders[rows->lender_count++] = rows_share(lender);
}

void rows_add_borrowed(struct rows *rows, const struct row *row)
{
	*grow(rows) = *row;
}

// ---- Finding rows -------------------------------------------------------------------------------

static u64 row_key(const struct row *row)
{
	return hash_str(row->address, hash_str(row->pool, 1));
}

static bool same_place(const struct row *a, const struct row *b)
{
	return str_eq(a->address, b->address) && str_eq(a->pool, b->pool);
}

static void index_add(struct rows_index *index, u32 at)
{
	u32 slot = (u32)row_key(&index->rows->list[at]) & index->mask;

	while (index->slots[slot])
		slot = (slot + 1) & index->mask;
	index->slots[slot] = at + 1;
}

static void index_make(struct rows_index *index, const struct rows *rows)
{
	u32 slots = 64;

	while (slots < rows->count * 2)
		slots *= 2;
	*index = (struct rows_index){
		.slots = mem_alloc(sizeof(u32) * slots), .mask = slots - 1, .rows = rows};
}

void rows_index_init(struct rows_index *index, const struct rows *rows)
{
	index_make(index, rows);
	for (u32 i = 0; i < rows->count; i++)
		index_add(index, i);
}

void rows_index_done(struct rows_index *index)
{
	mem_free(index->slots);
}

i32 rows_index_find(const struct rows_index *index, const struct row *row)
{
	u32 slot = (u32)row_key(row) & index->mask;

	for (; index->slots[slot]; slot = (slot + 1) & index->mask)
		if (same_place(&index->rows->list[index->slots[slot] - 1], row))
			return (i32)index->slots[slot] - 1;
	return -1;
}

static int compare(const void *a, const void *b)
{
	const struct row *left = a, *right = b;

	return strcmp(left->address.ptr, right->address.ptr);
}

void rows_sort(struct rows *rows)
{
	if (rows->count)
		qsort(rows->list, rows->count, sizeof(*rows->list), compare);
}

// By id within a pool; an id that is taken gives way to the address.
static void finish_ids(struct rows *rows)
{
	u32 slots = 64, *seen, slot;

	while (slots < rows->count * 2)
		slots *= 2;
	seen = mem_alloc(sizeof(u32) * slots);
	for (u32 i = 0; i < rows->count; i++) {
		struct row *row = &rows->list[i];

		slot = (u32)hash_str(row->id, hash_str(row->pool, 2)) & (slots - 1);
		for (; seen[slot]; slot = (slot + 1) & (slots - 1)) {
			const struct row *other = &rows->list[seen[slot] - 1];

			if (!str_eq(other->id, row->id) || !str_eq(other->pool, row->pool))
				continue;
			rows_fault(rows, "%.*s: id '%.*s' is taken by %.*s, its address is taken",
				SHOWN(row->address), SHOWN(row->id), SHOWN(other->address));
			row->id = row->address;
			break;
		}
		if (!seen[slot])
			seen[slot] = i + 1;
	}
	mem_free(seen);
}

void rows_finish(struct rows *rows)
{
	struct rows_index index;
	u32 count = rows->count;

	index_make(&index, rows);
	rows->count = 0;
	for (u32 i = 0; i < count; i++) {
		struct row row = rows->list[i];

		if (rows_index_find(&index, &row) >= 0) {
			rows->skipped++;
			rows_fault(rows, "%.*s is there twice, the first one counts",
				SHOWN(row.address));
			continue;
		}
		rows->list[rows->count] = row;
		index_add(&index, rows->count++);
	}
	rows_index_done(&index);
	finish_ids(rows);
}

// ---- Comparing ----------------------------------------------------------------------------------

u64 rows_hash(const struct rows *rows)
{
	u64 hash = rows->count;

	for (u32 i = 0; i < rows->count; i++) {
		const struct row *row = &rows->list[i];
		u32 numbers[] = {row->weight, row->max_connections, row->state, row->is_backup};

		hash = hash_bytes(numbers, sizeof(numbers), hash);
		hash = hash_str(row->pool, hash_str(row->url, hash_str(row->id, hash)));
		hash = hash_str(row->metadata, hash);
	}
	return hash;
}

u64 rows_fault_hash(const struct rows *rows)
{
	u64 hash = rows->fault_count;

	for (u32 i = 0; i < MIN(rows->fault_count, (u32)ROWS_FAULTS_KEPT); i++)
		hash = hash_str(str_from(rows->faults[i]), hash);
	return hash;
}

bool row_says_same(const struct row *a, const struct row *b)
{
	return same_place(a, b) && str_eq(a->url, b->url) && str_eq(a->id, b->id) &&
	       a->weight == b->weight && a->max_connections == b->max_connections &&
	       a->state == b->state && a->is_backup == b->is_backup;
}

const char *row_state_name(enum row_state state)
{
	static const char *const names[] = {
		[ROW_ACTIVE] = "active", [ROW_DRAIN] = "drain", [ROW_DISABLED] = "disabled"};

	return names[state];
}
