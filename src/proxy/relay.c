// SPDX-License-Identifier: Apache-2.0
#include "proxy/relay.h"

static void grant(struct half *half, u64 len)
{
	half->granted += len;
	half->source->ops->grant(half->source, len);
}

static u64 window_of(const struct half *half)
{
	const struct session *source = half->source->session, *target = half->target->session;
	u64 window = half->total < RELAY_WINDOW_BYTES ? (u64)RELAY_WINDOW_FIRST_BYTES
						      : (u64)RELAY_WINDOW_BYTES;
	u32 streams = (u32)MAX(source->streams, target->streams);

	if (streams > RELAY_STREAMS_MAX)
		window = window * RELAY_STREAMS_MAX / streams;
	window = MIN(window, block_pool_share(source->pool));
	return MAX(window, (u64)RELAY_WINDOW_MIN_BYTES);
}

// Keeps credit and bytes under way together at one window.
static void top_up(struct half *half)
{
	u64 out = half->granted + half->undrained, window;

	if (half->state != HALF_OPEN || half->wants_move || mover_is_running(&half->mover))
		return;
	window = window_of(half);
	// In large steps: a grant wakes the connection.
	if (out + window / 4 <= window)
		grant(half, window - out);
}

static bool can_move(const struct half *half, u64 left_min)
{
	const struct stream *source = half->source, *target = half->target;
	u64 left;

	if (!half->pipes)
		return false;
	left = source->ops->raw_left(source);
	return left != 0 && left >= source->ops->held(source) + left_min &&
	       target->ops->raw_fits(target);
}

static void on_moved(struct mover *mover, enum mover_end end)
{
	struct half *half = container_of(mover, struct half, mover);
	struct stream *source = half->source, *target = half->target;

	half->wants_move = false;
	half->run = 0;
	half->total += mover->moved;
	target->ops->moved_out(target, mover->moved);
	switch (end) {
	case MOVER_DONE:
	case MOVER_EOF:
		source->ops->moved_in(source, mover->moved, end == MOVER_EOF);
		break;
	case MOVER_PAUSED:
		source->ops->moved_in(source, mover->moved, false);
		top_up(half);
		break;
	case MOVER_SOURCE_FAILED:
	case MOVER_TARGET_FAILED:
	case MOVER_STOPPED:
		half->events->on_broken(half, end == MOVER_SOURCE_FAILED);
		break;
	}
}

// Starts the mover once everything copied before has left.
static void try_move(struct half *half)
{
	struct conn *source, *target;
	size_t held;

	if (!half->wants_move || half->granted || half->undrained)
		return;
	held = half->source->ops->held(half->source);
	if (held) { // received before the credit ran out: copied, and then we are asked again
		grant(half, held);
		return;
	}
	source = conn_of_session(half->source->session);
	target = conn_of_session(half->target->session);
	if (!conn_is_flushed(target))
		return; // on_drained follows
	if (source->closing || target->closing)
		return;
	if (source->is_secure || target->is_secure)
		half->pipes = NULL; // the bytes have to pass through the process
	if (op_is_out(&source->receive) || !sock_is_quiet(&source->sock) || !can_move(half, 0) ||
		mover_start(&half->mover, half->pipes, source, target,
			half->source->ops->raw_left(half->source), on_moved) != 0) {
		half->wants_move = false;
		half->run = 0;
		top_up(half);
	}
}

void half_init(struct half *half, void *owner, const struct relay_events *events,
	struct mover_pipes *pipes)
{
	half->source = half->target = NULL;
	half->owner = owner;
	half->events = events;
	half->pipes = pipes;
	half->granted = half->undrained = half->total = half->run = 0;
	half->state = HALF_IDLE;
	half->wants_move = false;
	half->mover.source = NULL;
	half->mover.in_pipe = 0;
	half->mover.active_ms = 0;
	half->mover.task.next = NULL;
}

// Worth a look at whether it can be spliced from its start: most bodies are not, and one without a
// known length is waited for.
static bool is_long(const struct half *half)
{
	u64 left = half->pipes ? half->source->ops->raw_left(half->source) : 0;

	return unlikely(left >= RELAY_MOVE_MIN_BYTES && left != UINT64_MAX);
}

void half_open(struct half *half, struct stream *source, struct stream *target)
{
	half->source = source;
	half->target = target;
	half->state = HALF_OPEN;
	if (is_long(half) && can_move(half, RELAY_MOVE_MIN_BYTES)) {
		size_t held = source->ops->held(source);

		half->wants_move = true;
		if (held)
			grant(half, held);
		try_move(half);
		return;
	}
	// What is the least of all windows need not be computed: most bodies are shorter.
	if (likely(half->granted + half->undrained == 0))
		grant(half, RELAY_WINDOW_MIN_BYTES);
	else
		top_up(half);
}

static void count(struct half *half, struct half *other, size_t len)
{
	half->granted -= MIN((u64)len, half->granted);
	half->undrained += len;
	half->total += len;
	half->run += len;
	if (other)
		other->run = 0;
	if (half->run >= RELAY_COPY_RUN_BYTES && !half->wants_move)
		half->wants_move = can_move(half, RELAY_MOVE_MIN_BYTES);
}

void half_body(struct half *half, struct half *other, struct slice slice, bool end)
{
	if (half->state != HALF_OPEN) {
		slice_drop(&slice);
		return;
	}
	if (slice.len)
		count(half, other, slice.len);
	if (end)
		half->state = HALF_ENDED;
	half->target->ops->send_body(half->target, slice, end);
}

void half_trailers(struct half *half, const struct http_field *fields, u16 field_count)
{
	if (half->state != HALF_OPEN)
		return;
	half->state = HALF_ENDED;
	half->target->ops->send_trailers(half->target, fields, field_count);
}

void half_skip(struct half *half, size_t len, bool end)
{
	half->granted -= MIN((u64)len, half->granted);
	half->total += len;
	if (end)
		half->state = HALF_ENDED;
}

void half_drained(struct half *half, size_t len)
{
	half->undrained -= MIN((u64)len, half->undrained);
	if (half->state != HALF_OPEN)
		return;
	if (half->wants_move)
		try_move(half);
	else
		top_up(half);
}

// ---- To another process and from it
// --------------------------------------------------------------

static bool spill(struct mover *mover, struct slice slice)
{
	struct half *half = container_of(mover, struct half, mover);

	half->undrained += slice.len;
	half->total += slice.len;
	half->target->ops->send_body(half->target, slice, false);
	return true;
}

void half_halt(struct half *half)
{
	half->pipes = NULL;
	if (mover_is_running(&half->mover))
		mover_halt(&half->mover, spill);
}

bool half_is_halted(struct half *half)
{
	size_t held;

	if (mover_is_running(&half->mover))
		return false;
	if (half->state != HALF_OPEN)
		return true;
	held = half->source->ops->held(half->source);
	if (held)
		grant(half, held);
	else if (sock_holds(&conn_of_session(half->source->session)->sock) && !half->granted)
		grant(half, BLOCK_BYTES);
	return !held;
}

void half_go_on(struct half *half, struct mover_pipes *pipes)
{
	half->pipes = pipes;
}

void half_take_over(struct half *half, struct stream *source, struct stream *target, u64 total)
{
	half->source = source;
	half->target = target;
	half->state = HALF_OPEN;
	half->total = total;
}

void half_left(struct half *half, struct slice slice)
{
	half->undrained += slice.len;
	half->target->ops->send_body(half->target, slice, false);
}

void half_resume(struct half *half, bool has_ended)
{
	if (!has_ended) {
		top_up(half);
		return;
	}
	half->state = HALF_ENDED;
	half->target->ops->send_body(half->target, (struct slice){0}, true);
}

void half_stop(struct half *half)
{
	if (half->state == HALF_OPEN)
		half->state = HALF_ENDED;
	if (mover_is_running(&half->mover))
		half->total += half->mover.moved;
	mover_drop(&half->mover);
}
