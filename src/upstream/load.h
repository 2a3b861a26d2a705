// SPDX-License-Identifier: Apache-2.0
// What backends tell of their own load, for Prequal (pools.NAME.prequal.load). It pays where others
// than this process send them requests, too.
//
// header: a field of the answers to requests. What a backend told last counts in place of our own
// number of requests in flight, plus those of ours that have begun since and minus those that
// ended. Once it is older than age_max, our own counts do again, as they do all the time for a
// backend that tells nothing. The choice is balance_pick's, among a few that are drawn: only who
// gets a request tells anything, so a pool of reports would lead back to those who told last.
//
// probe: the same field of the answers to probes (proxy/load_probe.h), which go into the pool of
// decide/prequal.h. A backend that answers a probe without a load is in it with our own counts.
#pragma once

#include "proto/http.h"
#include "upstream/upstream.h"

// One worker's, of one backend.
struct load_told {
	struct list node; // in its picker's list; unlinked: nothing that counts now
	struct backend *backend;
	u32 in_flight; // that it told
	u32 met;       // of ours, then
	bool has_latency;
	nsec latency, at;
};

// A final head came in answer to a request.
void load_note_answer(
	struct upstream *upstream, struct backend *backend, const struct http_head *head);

// ... to a probe; NULL: it was not asked, so that our own counts are all there is.
void load_note_probe(
	struct upstream *upstream, struct backend *backend, const struct http_head *head);

// ---- Inside of upstream/ ------------------------------------------------------------------------

void load_init(struct picker *picker);

// Before a pick: what is too old does not count any more.
void load_expire(struct picker *picker);

static inline bool load_is_told(const struct load_told *told)
{
	return told && list_is_linked(&told->node);
}

// Requests in flight by what was told, while our own are `own`.
static inline u32 load_in_flight(const struct load_told *told, u32 own)
{
	i64 now = (i64)told->in_flight + own - told->met;

	return (u32)MAX(now, 0);
}
