// SPDX-License-Identifier: Apache-2.0
#include "guest.h"

#include <sched.h>

_Atomic(u64) guests_served;

static void seek(struct guest *guest);

static u64 now_ms(const struct guest *guest)
{
	return loop_now_ms(guest->worker->loop);
}

static void set_timer(struct guest *guest, u64 in_ms)
{
	loop_timer_set(guest->worker->loop, &guest->timer, now_ms(guest) + in_ms);
}

static void give_back(struct guest *guest, bool whole, enum guest_state state)
{
	loop_timer_cancel(guest->worker->loop, &guest->timer);
	if (guest->dry)
		atomic_fetch_sub(&guest->town->held[guest->pick.backend->index], 1);
	if (whole)
		lease_release(&guest->lease);
	else
		lease_abandon(&guest->lease);
	pick_end(&guest->worker->upstream, &guest->pick);
	guest->state = (u8)state;
}

// ---- Asking -------------------------------------------------------------------------------------

static void has_all(struct guest *guest)
{
	guest->served_ms = now_ms(guest);
	guest->served_order = ++guests_served;
	guest->state = GUEST_HOLDS;
	if (guest->is_brief)
		loop_defer(guest->worker->loop, &guest->brief);
	else if (guest->hold_ms)
		set_timer(guest, guest->hold_ms);
	else
		give_back(guest, !guest->cuts, GUEST_SERVED);
}

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	struct guest *guest = stream->owner;

	assert_int_equal(head->status, 200);
	assert_true(end);
	pick_note(&guest->worker->upstream, &guest->pick, MISS_NONE);
	has_all(guest);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	(void)stream;
	(void)end;
	slice_drop(&slice);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)stream;
	(void)fields;
	(void)count;
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	(void)fault;
	give_back(stream->owner, false, GUEST_BROKEN);
}

static const struct stream_events stream_events = {.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset};

static void ask(struct guest *guest)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	struct h1_parser *parser = &guest->worker->parser;
	enum http_refusal why;
	struct stream *stream = guest->lease.stream;

	assert_true(h1_parse_request(text, sizeof(text) - 1, &parser->limits, parser->fields,
			    &parser->head, &why) > 0);
	stream->events = &stream_events;
	stream->owner = guest;
	guest->state = GUEST_ASKS;
	stream->ops->send_head(stream, &parser->head, true);
}

static void on_ready(struct lease *lease)
{
	ask(container_of(lease, struct guest, lease));
}

static void on_failed(struct lease *lease, int error)
{
	struct guest *guest = container_of(lease, struct guest, lease);

	(void)error;
	pick_note(&guest->worker->upstream, &guest->pick, MISS_CONNECT);
	give_back(guest, false, GUEST_BROKEN);
}

static const struct lease_events lease_events = {.on_ready = on_ready, .on_failed = on_failed};

// ---- A place ------------------------------------------------------------------------------------

// False: somebody was faster.
static bool begin(struct guest *guest)
{
	struct upstream *upstream = &guest->worker->upstream;
	int error = 0;

	pick_begin(upstream, &guest->pick);
	if (guest->dry) {
		const struct backend *backend = guest->pick.backend;

		if (atomic_fetch_add(&guest->town->held[backend->index], 1) >=
			backend->adaptive->limit)
			guest->town->was_exceeded = true;
		guest->is_next = false;
		has_all(guest);
		return true;
	}
	switch (lease_open(upstream, &guest->lease, guest->pick.backend, !guest->fresh,
		&lease_events, &error)) {
	case LEASE_READY:
		ask(guest);
		break;
	case LEASE_WAIT:
		guest->state = GUEST_CONNECTS;
		break;
	case LEASE_FULL:
		pick_end(upstream, &guest->pick);
		picker_mark_full(upstream_picker(upstream, guest->town->pool), guest->pick.backend);
		return false;
	case LEASE_FAILED:
		give_back(guest, false, GUEST_BROKEN);
		break;
	}
	guest->is_next = false;
	return true;
}

static void wait_in_queue(struct guest *guest)
{
	struct upstream *upstream = &guest->worker->upstream;

	guest->state = GUEST_QUEUES;
	if (guest->dawdles) // the place may become free before it is counted
		sched_yield();
	if (guest->is_next) {
		guest->is_next = false;
		queue_rejoin(upstream, &guest->waiter);
		return;
	}
	if (!queue_join(upstream, guest->town->pool, &guest->waiter,
		    now_ms(guest) + guest->patience_ms)) {
		guest->state = GUEST_REFUSED;
		return;
	}
	guest->waits++;
	set_timer(guest, guest->patience_ms);
}

static void seek(struct guest *guest)
{
	struct pick_ask how = {.preferred = BALANCE_NONE, .tried = &guest->tried};

	for (;;) {
		how.is_next = guest->is_next || guest->tried.count;
		switch (pick_backend(
			&guest->worker->upstream, guest->town->pool, &how, &guest->pick)) {
		case PICK_OK:
			if (begin(guest))
				return;
			break;
		case PICK_FULL:
			wait_in_queue(guest);
			return;
		case PICK_TRIED:
		case PICK_NOBODY:
			guest->state = GUEST_TURNED_AWAY;
			return;
		}
	}
}

static void on_turn(struct queue_waiter *waiter)
{
	struct guest *guest = container_of(waiter, struct guest, waiter);

	guest->turns++;
	guest->is_next = true;
	seek(guest);
	if (guest->state != GUEST_QUEUES && guest->state != GUEST_HOLDS)
		loop_timer_cancel(guest->worker->loop, &guest->timer);
}

// ---- Time ---------------------------------------------------------------------------------------

static void on_timer(struct timer *timer)
{
	struct guest *guest = container_of(timer, struct guest, timer);

	if (guest->state == GUEST_QUEUES) {
		queue_leave(&guest->worker->upstream, &guest->waiter);
		guest->state = GUEST_LATE;
	} else if (guest->state == GUEST_HOLDS) {
		give_back(guest, !guest->cuts, GUEST_SERVED);
	}
}

static void on_brief(struct task *task)
{
	struct guest *guest = container_of(task, struct guest, brief);

	if (guest->state == GUEST_HOLDS)
		give_back(guest, !guest->cuts, GUEST_SERVED);
}

void guest_leave(struct guest *guest)
{
	if (guest->state == GUEST_QUEUES) {
		loop_timer_cancel(guest->worker->loop, &guest->timer);
		queue_leave(&guest->worker->upstream, &guest->waiter);
		guest->state = GUEST_LEFT;
	} else if (guest->state == GUEST_HOLDS) {
		give_back(guest, !guest->cuts, GUEST_SERVED);
	} else if (!guest_is_over(guest)) {
		give_back(guest, false, GUEST_LEFT);
	}
}

void guest_init(struct guest *guest, struct town *town, u32 worker)
{
	*guest = (struct guest){.town = town,
		.worker = &town->workers[worker],
		.number = worker,
		.hold_ms = 10,
		.patience_ms = 1000 * 1000};
	timer_init(&guest->timer, on_timer);
	guest->brief = (struct task){.run = on_brief};
	queue_waiter_init(&guest->waiter, &guest->tried, on_turn);
}

void guest_come(struct guest *guest)
{
	assert_true(guest_is_over(guest));
	guest->came_ms = now_ms(guest);
	guest->waits = guest->turns = 0;
	guest->is_next = false;
	seek(guest);
}
