// SPDX-License-Identifier: Apache-2.0
// The last events of one thread, for the moment it dies. Adding one costs about ten instructions
// and is always on; nothing is formatted before the ring is printed: by a failed ASSERT, by a fatal
// signal, or on request.
#pragma once

#include "base/base.h"

enum trace_code {
#define X(name, text, small_label, id_label, a_label, b_label) TRACE_##name,
#include "base/trace.def"
#undef X
	TRACE_COUNT
};

enum {
	TRACE_EVENTS = 1024, // kept; a power of two
	TRACE_STACK_BYTES = 16 * 1024,
};

struct trace_event {
	u64 time_us;
	u16 code; // enum trace_code
	u16 small;
	u32 id;
	u64 a, b;
};
_Static_assert(sizeof(struct trace_event) == 32, "two events per cache line");

struct trace_ring {
	const u64 *now_us; // the thread's own, usually &loop->now_us
	u64 next;	   // events ever added
	struct trace_event events[TRACE_EVENTS];
	char crash_stack[TRACE_STACK_BYTES]; // handlers run here, so an overrun stack can still
					     // tell
};

void trace_init(struct trace_ring *ring, const u64 *now_us);

// The event may be changed until TRACE_EVENTS more were added.
static inline struct trace_event *trace_add(
	struct trace_ring *ring, enum trace_code code, u16 small, u32 id, u64 a, u64 b)
{
	struct trace_event *event = &ring->events[ring->next++ & (TRACE_EVENTS - 1)];

	event->time_us = *ring->now_us;
	event->code = (u16)code;
	event->small = small;
	event->id = id;
	event->a = a;
	event->b = b;
	return event;
}

// Oldest first, one line each, times relative to the newest. Async-signal-safe: no memory, no
// locks, no stdio.
void trace_print(const struct trace_ring *ring, int fd);

// This ring is the calling thread's: the crash hook and the handlers print it. NULL takes it away,
// which a thread must do before it ends.
void trace_attach_thread(struct trace_ring *ring);

// Once, early: a failed ASSERT, SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT print the ring of the
// thread they hit to standard error; then the process dies of the signal, with its core file.
// Builds with sanitizers keep the sanitizer's own handlers for all but ASSERT and SIGABRT.
void trace_install_crash_handlers(void);
