// SPDX-License-Identifier: Apache-2.0
// A list of backends as a source tells it: one row for each, checked value by value. Whatever a
// database, a file or a name server says, what comes out is usable; what is not is counted, and the
// first few findings are kept as sentences.
//
// Rules: a row whose address is none is skipped. The same address twice in a pool counts once, the
// first time. Another value that cannot be understood is replaced by its default, or, where that
// might send requests to a server that is not meant to get any, by `disabled`. Beyond ROWS_MAX
// nothing is taken.
//
// Ownership: a list owns all its texts, or keeps the lists that do. It may be handed to another
// thread as a whole; one that is finished, and changes no more, may be kept by several.
#pragma once

#include <stdatomic.h>

#include "base/arena.h"
#include "conf/scheme.h"

enum {
	ROWS_MAX = 10000,
	ROWS_FAULTS_KEPT = 8,
	ROW_ADDRESS_MAX = 255, // without what is in front of it
	ROW_URL_MAX = 280,
	ROW_ID_MAX = 128,
	ROW_METADATA_MAX = 1024,
	ROW_CONNECTIONS_MAX = 1000000,
};

enum row_state { ROW_ACTIVE, ROW_DRAIN, ROW_DISABLED };

// All texts are zero-terminated.
struct row {
	struct str id;	     // of its own or its address; unique in its pool
	struct str pool;     // empty: the provider's
	struct str address;  // "10.0.0.1:80", "[::1]:80", "unix:/path" or "name:80"
	struct str url;	     // with what says how it is spoken to: "https://10.0.0.1:443"
	struct str metadata; // as it is; may be empty
	u32 weight;	     // 0 to CONF_WEIGHT_MAX
	u32 max_connections; // 0 = no limit
	u8 state;	     // enum row_state
	bool is_backup;	     // gets requests only while no other can
	bool is_h2;	     // its url says so
};

struct rows {
	_Atomic(u32) users;
	struct arena arena;
	struct rows **lenders; // whose texts are in this list too
	u32 lender_count;
	struct row *list;
	u32 count, room;
	u32 skipped; // rows that are not in the list
	const char *faults[ROWS_FAULTS_KEPT];
	u32 fault_count; // all of them; at most ROWS_FAULTS_KEPT are kept
	bool is_stored;	 // of an earlier time: from the disk, not from its source
};

// A row as text. ptr NULL or empty: the source says nothing.
struct row_values {
	struct str address, id, pool, weight, state, max_connections, metadata;
	bool is_backup;
	const char *where; // "line 3"; NULL = the address says enough
};

struct rows *rows_new(void);
void rows_free(struct rows *rows); // one user less. NULL is fine

// One user more, in any thread.
struct rows *rows_share(struct rows *rows);

void rows_add(struct rows *rows, const struct row_values *values);

// A row that is good already, of another list.
void rows_copy(struct rows *rows, const struct row *row);

// The same without copies: rows of `lender`, a finished list, which is kept as long as this one.
void rows_borrow(struct rows *rows, struct rows *lender);
void rows_add_borrowed(struct rows *rows, const struct row *row);

// A finding of the source's own about something that was left out.
void rows_fault(struct rows *rows, const char *format, ...) printf_like(2, 3);

// By address, for sources without an order of their own.
void rows_sort(struct rows *rows);

// After the last one: drops what is there twice.
void rows_finish(struct rows *rows);

// The same for lists that say the same in the same order; findings do not count.
u64 rows_hash(const struct rows *rows);
u64 rows_fault_hash(const struct rows *rows);

// Position of the row of this pool and address, or -1. Finds in a finished list only.
struct rows_index {
	u32 *slots;
	u32 mask;
	const struct rows *rows;
};

void rows_index_init(struct rows_index *index, const struct rows *rows);
void rows_index_done(struct rows_index *index);
i32 rows_index_find(const struct rows_index *index, const struct row *row);

bool row_says_same(const struct row *a, const struct row *b);

// "active", "drain", "disabled".
const char *row_state_name(enum row_state state);

// Whether a text is a backend's address, with or without what the configuration may have in front
// of one; *ret_address is its normal form in `arena`.
bool row_parse_address(struct arena *arena, struct str text, struct scheme_address *ret_address);
