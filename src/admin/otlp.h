// SPDX-License-Identifier: Apache-2.0
// Tells a collector about spans: takes them out of the workers' rings, a few times a second, and
// sends them in batches by OTLP over HTTP, in its JSON encoding. Works on any loop, the simulated
// one too.
//
// A collector that cannot be reached costs a counter and a hushed line: one batch is kept and tried
// again after a pause that grows, with jitter; meanwhile spans wait in the rings, and what finds no
// room there is dropped by its worker. What the collector refuses for good is dropped and counted.
//
// Metrics: M_SPANS_SENT, M_SPANS_REFUSED and M_SPAN_EXPORTS_FAILED, of which the thread of `loop`
// is the writer.
#pragma once

#include "base/log.h"
#include "base/metrics.h"
#include "loop/loop.h"
#include "proxy/span.h"

struct otlp;

struct otlp_config {
	const struct conf_tracing *tracing; // with a collector
	u64 seed;			    // for jitter, and for the id of this instance
};

// Borrows all of it, until otlp_free; the snapshot that spans point into as well. `rings` are
// `count` rings of which this is the only reader.
struct otlp *otlp_new(struct loop *loop, const struct otlp_config *config,
	struct span_ring *const *rings, u32 count, struct log *log, struct metrics_cells *metrics);

// Where the writers stand now, `count` numbers; and whether all spans before that were taken.
void otlp_mark(const struct otlp *otlp, u64 *ret_marks);
bool otlp_has_passed(const struct otlp *otlp, const u64 *marks);

// Tries once more to send what there is, for a second at most, and then ends. The workers had
// better have ended before. The loop must turn until otlp_is_idle, then otlp_free.
void otlp_stop(struct otlp *otlp);
bool otlp_is_idle(const struct otlp *otlp);
void otlp_free(struct otlp *otlp); // NULL is fine
