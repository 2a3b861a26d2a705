// SPDX-License-Identifier: Apache-2.0
// The names of everything that a scrape shows, and what one thread counts of it in plain cells.
// Every cell has exactly one writer and is read by others at any time: 64-bit numbers, no lock and
// no locked instruction. The rows are in metrics.def.
#pragma once

#include "base/arena.h"
#include "base/base.h"

enum metric {
#define CELL(name, family, labels) M_##name,
#include "base/metrics.def"
	METRICS_COUNT
};

enum metric_family {
#define FAMILY(name, type, text, unit, labels, help) MF_##name,
#include "base/metrics.def"
	METRIC_FAMILIES_COUNT
};

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM, METRIC_INFO };

enum { METRICS_OUTCOMES_MAX = 48 }; // room for proxy/outcome.h

struct metrics_cells {
	u64 values[METRICS_COUNT];
	u64 outcomes[METRICS_OUTCOMES_MAX];	 // exchanges by how they ended; index: enum outcome
	u64 local_answers[METRICS_OUTCOMES_MAX]; // those answered by ourselves
	char apart[CACHE_LINE];			 // from what follows, which may be another thread's
};

struct metric_info {
	u8 family;	    // enum metric_family
	const char *labels; // "" or class="2xx"
};

struct metric_family_info {
	const char *name; // of its samples in Prometheus' own format; a histogram's without _bucket
	const char *unit; // "seconds", "bytes", "ratio"; "" without one
	const char *labels; // names, with commas between them
	const char *help;
	u8 type; // enum metric_type
};

extern const struct metric_info metric_infos[METRICS_COUNT];
extern const struct metric_family_info metric_families[METRIC_FAMILIES_COUNT];

// A plain add; the relaxed forms only keep the compiler and thread checkers honest.
static inlined void metrics_bump(u64 *cell, u64 by)
{
	__atomic_store_n(cell, __atomic_load_n(cell, __ATOMIC_RELAXED) + by, __ATOMIC_RELAXED);
}

static inline void metrics_inc(struct metrics_cells *cells, enum metric metric)
{
	metrics_bump(&cells->values[metric], 1);
}

static inline void metrics_dec(struct metrics_cells *cells, enum metric metric)
{
	metrics_bump(&cells->values[metric], (u64)-1);
}

static inline void metrics_add(struct metrics_cells *cells, enum metric metric, u64 by)
{
	metrics_bump(&cells->values[metric], by);
}

static inline void metrics_set(struct metrics_cells *cells, enum metric metric, u64 value)
{
	__atomic_store_n(&cells->values[metric], value, __ATOMIC_RELAXED);
}

static inline u64 metrics_read(const struct metrics_cells *cells, enum metric metric)
{
	return __atomic_load_n(&cells->values[metric], __ATOMIC_RELAXED);
}

// The row of responses with this status, 100 to 999: above 599 there is no class, and RFC 9110 15
// has such an answer treated as a 5xx.
static inline enum metric metrics_response_class(u16 status)
{
	ASSERT(status >= 100 && status < 1000);
	return (enum metric)(M_RESPONSES_1XX + MIN(status / 100, 5) - 1);
}

// Adds `cells` to `sum` (start with zeros). Any thread. Not one moment for all cells: each is
// right, differences between them may be off by what happened meanwhile.
void metrics_sum(const struct metrics_cells *cells, struct metrics_cells *sum);

// The table as Markdown: docs/metrics.md and `weir help metrics`.
struct str metrics_reference(struct arena *arena);
