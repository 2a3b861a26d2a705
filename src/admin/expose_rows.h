// SPDX-License-Identifier: Apache-2.0
// What all workers counted of requests, added up for a scrape, each with its labels as text.
#pragma once

#include "admin/expose.h"

struct expose_labels {
	size_t at, len; // in rows->labels
};

// One frontend and backend. Its rows are refs[first] to refs[first + count - 1], a worker each.
struct expose_group {
	struct expose_labels labels; // frontend, pool, backend
	u32 first, count;
	u32 frontend, pool, backend; // slots, or STATS_NOBODY
	bool tcp;
	u64 bytes_in, bytes_out, errors, upgrades;
};

struct expose_flow {
	struct expose_labels labels; // frontend, pool
	bool tcp, has_exemplar;
	struct histogram_classic total;
	struct sizes request, response;
	struct stats_exemplar exemplar; // the latest
};

struct expose_part {
	struct expose_labels labels; // pool, backend
	u64 requests, repeated, hedged, errors;
	struct histogram_classic spent;
};

struct expose_waits {
	struct expose_labels labels; // pool
	struct histogram_classic queue, connect, first_byte;
};

struct expose_ref {
	u64 key;
	const struct stats *stats;
	const struct stats_row *row;
	u32 frontend, pool, backend; // slots, or STATS_NOBODY
};

struct expose_rows {
	const struct snapshot *snapshot;
	struct text labels;
	struct expose_ref *refs;
	u32 ref_count;
	struct expose_group *groups;
	u32 group_count;
	struct expose_flow *flows;
	u32 flow_count;
	struct expose_part *parts;  // by backend->cell
	struct expose_waits *waits; // by pool->index
	struct stats_count *counts; // of one group, see expose_rows_count
};

void expose_rows_init(struct expose_rows *rows, const struct expose_source *source);
void expose_rows_done(struct expose_rows *rows);

static inline struct str expose_rows_text(
	const struct expose_rows *rows, const struct expose_labels *labels)
{
	return str_make(rows->labels.data + labels->at, labels->len);
}

// The group's counts by method and status, in rows->counts until the next call; gives how many.
u32 expose_rows_count(struct expose_rows *rows, const struct expose_group *group);
