// SPDX-License-Identifier: Apache-2.0
// What an exchange has to do with traces (W3C Trace Context): which trace it belongs to, whether
// that is recorded, what its requests to backends say of it, and its spans.
//
// With tracing off (proxy->spans is NULL) nothing here is called, and the fields pass as they are.
// With it on, a request has a trace from its first step on: the one its client names, when that is
// well-formed and may be believed, else a new one.
#pragma once

#include "proto/trace_context.h"
#include "proxy/span.h"

struct exchange;
struct attempt;

// The configuration, as a request asks for it.
struct tracing_rules {
	u64 sampled_below; // traces whose chance is below it
	bool parent_decides, trusts_all;
};

struct tracing {
	struct trace_context context; // as we pass it on; its parent_id is the span of the request
	u64 remote_id;		      // of the span that the client named, or 0
	char *id_at;		      // where a line names the span of a try; NULL: no line is ours
	struct str lines;	      // for the head of each request
	u8 sends;		      // of the request
};

void tracing_rules_init(struct tracing_rules *rules, const struct conf_tracing *conf);

// Is this trace among those recorded? `part` of CONF_WHOLE; the same on every instance.
u64 tracing_threshold(u32 part);

// Once, first of all. Sets x->is_traced and x->is_recorded.
cold void tracing_begin(struct exchange *x);

// Of a recorded exchange: a try begins, its head is about to be sent, it is over, as records say
// it: enum outcome or enum record_end, and the status of its answer, 0 without one. Only the first
// end of a try is told.
cold void tracing_try(struct exchange *x, struct attempt *attempt);
cold void tracing_send(struct exchange *x, const struct attempt *attempt);
cold void tracing_tried(struct exchange *x, struct attempt *attempt, u8 ended, u16 status);

// Of a recorded exchange: it is over.
cold void tracing_end(struct exchange *x);

// The ids for a log line: of the trace when one is known, also of one that only passes; of the span
// when it is ours. False: none is known.
bool tracing_ids(struct exchange *x, u64 ret_trace_id[static 2], u64 *ret_span_id);
