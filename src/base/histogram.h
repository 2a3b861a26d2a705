// SPDX-License-Identifier: Apache-2.0
// Distributions that one thread counts and any thread reads: of spans of time, and of sizes in
// bytes. The bounds are fixed, so counts of several threads add up and counts of two moments can be
// subtracted.
//
// Spans have two kinds of bounds (histogram.def). The classic ones are those that a scrape shows;
// between them are finer ones, at most a third apart from 30 us to 10 s, from which quantiles are
// estimated. A count stands in the bucket of the smallest bound that is not below the span.
#pragma once

#include "base/metrics.h"

// The last bucket is of all that is longer. What a scrape shows has fewer.
enum {
	HISTOGRAM_BUCKETS = 1
#define CLASSIC(us, text) +1
#define FINE(us)	  +1
#include "base/histogram.def"
	,
	HISTOGRAM_CLASSICS = 1
#define CLASSIC(us, text) +1
#include "base/histogram.def"
	,
};

// One writer. Readers use histogram_add.
struct histogram {
	u64 counts[HISTOGRAM_BUCKETS];
	u64 sum_us;
	u64 max_us; // ever
};

struct histogram_bound {
	u32 us; // UINT32_MAX: of the last bucket
	bool is_classic;
	const char *text; // in seconds, of a classic one
};

extern const struct histogram_bound histogram_bounds[HISTOGRAM_BUCKETS];

enum { HISTOGRAM_CELLS = 240 }; // eight for each power of two
extern const u32 histogram_tops[HISTOGRAM_BUCKETS];
extern const u8 histogram_first[HISTOGRAM_CELLS];

// Two bounds never fall into one cell, so one comparison is enough.
static inline u32 histogram_index(u32 us)
{
	u32 shift = 28 - (u32)__builtin_clz(us | 8);
	u32 at = histogram_first[shift * 8 + (us >> shift)];

	return at + (us > histogram_tops[at]);
}

// By its one writer; `at` is the bucket of `us`.
static inlined void histogram_note_at(struct histogram *histogram, u32 at, u64 us)
{
	metrics_bump(&histogram->counts[at], 1);
	metrics_bump(&histogram->sum_us, us);
	if (unlikely(us > __atomic_load_n(&histogram->max_us, __ATOMIC_RELAXED)))
		__atomic_store_n(&histogram->max_us, us, __ATOMIC_RELAXED);
}

// Above 71 minutes all but the bucket is exact.
static inlined u32 histogram_bucket(u64 us)
{
	return histogram_index((u32)MIN(us, (u64)UINT32_MAX));
}

static inlined void histogram_note(struct histogram *histogram, u64 us)
{
	histogram_note_at(histogram, histogram_bucket(us), us);
}

// ---- By any thread ------------------------------------------------------------------------------

// Adds what `from` has now to `sum`, which is the caller's.
void histogram_add(const struct histogram *from, struct histogram *sum);

// What a scrape shows of it: a bucket up to each classic bound, and one of the rest.
struct histogram_classic {
	u64 counts[HISTOGRAM_CLASSICS];
	u64 sum_us;
};

// Adds what `from` has now to `sum`, which is the caller's.
void histogram_fold(const struct histogram *from, struct histogram_classic *sum);

// What came between two sums of the same cells: `now` minus `before`. The longest ever stays.
void histogram_minus(
	const struct histogram *now, const struct histogram *before, struct histogram *ret_between);

u64 histogram_count(const struct histogram *histogram);

// The span that this share (0 to 1) of all is not above, estimated within its bucket; 0 when there
// is nothing.
u64 histogram_quantile_us(const struct histogram *histogram, double share);

// The longest one, as far as the buckets tell: the bound of the highest one that holds something,
// but not above the longest ever. So a difference has its own maximum, and nothing has to be reset.
u64 histogram_max_us(const struct histogram *histogram);

// ---- Sizes --------------------------------------------------------------------------------------

// Bounds are the powers of four from 256 B to 1 GiB.
enum { SIZES_BUCKETS = 13, SIZES_FIRST_POWER = 4 };

struct sizes {
	u64 counts[SIZES_BUCKETS];
	u64 sum;
};

static inline u64 sizes_bound(u32 bucket) // of all but the last one
{
	return 1ull << 2 * (bucket + SIZES_FIRST_POWER);
}

static inline u32 sizes_index(u64 bytes)
{
	// The highest bit of bytes - 1, which is below the bound's.
	u32 top = 63 ^ (u32)__builtin_clzll((MIN(bytes, sizes_bound(SIZES_BUCKETS - 1)) - 1) | 255);

	return bytes ? (top >> 1) - SIZES_FIRST_POWER + 1 : 0;
}

static inline void sizes_note(struct sizes *sizes, u64 bytes)
{
	if (bytes == 0) { // as most requests
		metrics_bump(&sizes->counts[0], 1);
		return;
	}
	metrics_bump(&sizes->counts[sizes_index(bytes)], 1);
	metrics_bump(&sizes->sum, bytes);
}

void sizes_add(const struct sizes *from, struct sizes *sum);
