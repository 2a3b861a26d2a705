// SPDX-License-Identifier: Apache-2.0
// What the streams of both sides say to the exchange, and the request's body that is kept to be
// sent again.
#include "proxy/exchange_parts.h"
#include "upstream/load.h"

static struct exchange *of_down(struct stream *stream)
{
	return stream->owner;
}

static struct attempt *of_up(struct stream *stream)
{
	return stream->owner;
}

// Keeps a copy (by reference) of body bytes while the request may still have to be sent again.
static void keep_for_replay(struct exchange *x, const struct slice *slice)
{
	struct slice copy = *slice;

	if (x->replay_lost || slice->len == 0)
		return;
	if (x->replay.len + slice->len > x->retry->body_bytes_max) {
		x->replay_lost = true;
		bytes_clear(&x->replay);
		return;
	}
	block_ref(copy.block);
	if (bytes_append(&x->proxy->loop->blocks, &x->replay, copy) != 0)
		x->replay_lost = true;
}

// Between two tries it is all that there is of the body.
void exchange_forget_replay(struct exchange *x)
{
	if (x->step != STEP_AWAIT || x->replay.len == 0)
		return;
	x->replay_lost = true;
	bytes_clear(&x->replay);
}

// A body may go on coming between two tries. The credit that was
// granted before bounds how much.
static void keep_while_waiting(struct exchange *x, struct slice slice, bool end)
{
	size_t len = slice.len;

	if (len && bytes_append(&x->proxy->loop->blocks, &x->replay, slice) != 0) {
		exchange_fail(x, OUTCOME_OVERLOADED);
		return;
	}
	half_skip(&x->up, len, end);
	x->request_ended = end;
}

static void tunnel_maybe_over(struct exchange *x)
{
	if (!x->tunnelling || x->up.state != HALF_ENDED || x->answer.state != HALF_ENDED)
		return;
	x->tunnel_whole = true;
	exchange_finish(x, OUTCOME_TUNNEL_CLOSED);
}

// While the answer is awaited, it is now the backend and now the client that is waited for, and
// each has a deadline of its own.
static void look_at_deadline(struct exchange *x)
{
	if (!x->over && x->step == STEP_AWAIT)
		exchange_set_deadline(x);
}

// Whatever the client does meanwhile, the way to the next try is as long as it is.
static void client_was_active(struct exchange *x)
{
	if (!exchange_is_between(x))
		x->active_ms = exchange_now_ms(x);
}

static void down_body(struct stream *stream, struct slice slice, bool end)
{
	struct exchange *x = of_down(stream);

	client_was_active(x);
	if (!x->tunnelling) {
		if (x->up.total + slice.len > x->frontend->conf->http.max_body_size) {
			slice_drop(&slice);
			exchange_fail(x, OUTCOME_PAYLOAD_TOO_LARGE);
			return;
		}
		if (exchange_is_between(x)) {
			keep_while_waiting(x, slice, end);
			return;
		}
		keep_for_replay(x, &slice);
		if (end)
			x->request_ended = true;
	}
	half_body(&x->up, &x->answer, slice, end);
	if (!end)
		return;
	tunnel_maybe_over(x);
	look_at_deadline(x);
}

static void down_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct exchange *x = of_down(stream);

	if (exchange_is_between(x)) { // they may be dropped (RFC 9110 6.5.1)
		keep_while_waiting(x, (struct slice){0}, true);
		return;
	}
	x->active_ms = exchange_now_ms(x);
	x->request_ended = true;
	x->replay_lost = true; // trailers are not kept
	half_trailers(&x->up, fields, count);
	look_at_deadline(x);
}

static void down_drained(struct stream *stream, size_t len)
{
	struct exchange *x = of_down(stream);

	client_was_active(x);
	half_drained(&x->answer, len);
}

static void down_reset(struct stream *stream, enum stream_fault fault)
{
	struct exchange *x = of_down(stream);

	trace_add(x->proxy->trace, TRACE_RESET, (u16)fault, x->id, false, 0);
	if (fault == STREAM_MALFORMED && !x->answer_begun) {
		x->refusal = stream->session->refusal;
		exchange_fail(x, outcome_of_refusal((enum http_refusal)x->refusal));
		return;
	}
	if (x->tunnelling && fault == STREAM_PEER_RESET)
		exchange_finish(x, OUTCOME_TUNNEL_CLOSED);
	else
		exchange_finish(
			x, fault == STREAM_NO_MEMORY ? OUTCOME_OVERLOADED : OUTCOME_CLIENT_ABORTED);
}

static void down_head(struct stream *stream, struct http_head *head, bool end)
{
	(void)stream;
	(void)head;
	(void)end;
	ASSERT(false && "a request head comes through on_request");
}

const struct stream_events exchange_down_events = {
	.on_head = down_head,
	.on_body = down_body,
	.on_trailers = down_trailers,
	.on_drained = down_drained,
	.on_reset = down_reset,
};

static void up_interim(struct exchange *x, const struct attempt *attempt, struct http_head *head)
{
	if (attempt != x->attempt)
		return;
	x->active_ms = exchange_now_ms(x);
	http_mark_hop_fields(head);
	x->down->ops->send_head(x->down, head, false);
}

static void up_head(struct stream *stream, struct http_head *head, bool end)
{
	struct attempt *attempt = of_up(stream);
	struct exchange *x = attempt->x;
	enum step next;

	if (head->status < 200 && head->status != 101) {
		up_interim(x, attempt, head);
		return;
	}
	if (unlikely(x->pool->load == CONF_PREQUAL_HEADER))
		load_note_answer(exchange_upstream(x), attempt->pick.backend, head);
	if (head->status == 101 && !http_upgrade_agrees(x->request, head)) {
		pick_note(exchange_upstream(x), &attempt->pick, MISS_RESET);
		exchange_fail(x, OUTCOME_UPGRADE_FAILED);
		return;
	}
	if (unlikely(attempt == x->second) && retry_names_status(&x->retry->rules, head->status)) {
		attempt_tried(x, attempt, RECORD_END_STATUS, head->status);
		attempt_drop_second(x, head->status >= 500 ? (u32)MISS_STATUS : (u32)PICK_VOID);
		return;
	}
	if (attempt_is_refused(x, head->status, end, &next)) {
		exchange_go(x, next);
		return;
	}
	attempt_wins(x, attempt, head->status);
	x->response = head;
	x->response_end = end;
	exchange_go(x, STEP_ANSWER);
}

static void up_body(struct stream *stream, struct slice slice, bool end)
{
	struct exchange *x = of_up(stream)->x;

	x->active_ms = exchange_now_ms(x);
	half_body(&x->answer, x->tunnelling ? &x->up : NULL, slice, end);
	if (!end)
		return;
	if (x->tunnelling)
		tunnel_maybe_over(x);
	else
		exchange_finish(x, OUTCOME_OK);
}

static void up_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	struct exchange *x = of_up(stream)->x;

	half_trailers(&x->answer, fields, count);
	exchange_finish(x, OUTCOME_OK);
}

static void up_drained(struct stream *stream, size_t len)
{
	const struct attempt *attempt = of_up(stream);
	struct exchange *x = attempt->x;

	if (attempt != x->attempt) // a copy has no body, and a time of its own
		return;
	x->active_ms = exchange_now_ms(x);
	// The head of a request without a body: who is waited for stays the same, and on_deadline
	// counts from active_ms.
	if (x->up.state == HALF_IDLE)
		return;
	half_drained(&x->up, len);
	look_at_deadline(x);
}

static enum outcome malformed_outcome(const struct exchange *x, const struct stream *stream)
{
	if (stream->session->refusal == HTTP_REFUSE_HEAD_TOO_LARGE ||
		stream->session->refusal == HTTP_REFUSE_TOO_MANY_FIELDS)
		return OUTCOME_RESPONSE_HEAD_TOO_LARGE;
	return x->answer_begun ? OUTCOME_RESPONSE_CUT : OUTCOME_RESPONSE_MALFORMED;
}

static void copy_broke(struct exchange *x, enum outcome outcome, u32 miss)
{
	attempt_tried(x, x->second, (u8)outcome, 0);
	attempt_drop_second(x, miss);
}

// The backend broke off.
static void attempt_broke(struct exchange *x, struct attempt *attempt)
{
	bool is_stale = attempt->lease.was_idle && !lease_has_heard(&attempt->lease);

	if (x->tunnelling)
		exchange_finish(x, OUTCOME_TUNNEL_CLOSED);
	else if (attempt == x->second)
		copy_broke(
			x, OUTCOME_CONNECTION_RESET, is_stale ? (u32)PICK_VOID : (u32)MISS_RESET);
	else if (x->step == STEP_AWAIT)
		exchange_go(x, attempt_failed(x, is_stale ? RETRY_STALE : RETRY_RESET,
				       OUTCOME_CONNECTION_RESET));
	else {
		pick_note(exchange_upstream(x), &attempt->pick, MISS_RESET);
		exchange_fail(x, x->answer_begun ? OUTCOME_RESPONSE_CUT : OUTCOME_CONNECTION_RESET);
	}
}

// The backend has done nothing with it.
static void attempt_is_not_taken(struct exchange *x, struct attempt *attempt)
{
	if (attempt == x->second)
		copy_broke(x, OUTCOME_CONNECTION_RESET, PICK_VOID);
	else if (x->step == STEP_AWAIT)
		exchange_go(x, attempt_failed(x, RETRY_NOT_PROCESSED, OUTCOME_CONNECTION_RESET));
	else
		attempt_broke(x, attempt);
}

static void up_reset(struct stream *stream, enum stream_fault fault)
{
	struct attempt *attempt = of_up(stream);
	struct exchange *x = attempt->x;

	trace_add(x->proxy->trace, TRACE_RESET, (u16)fault, x->id, true, 0);
	switch (fault) {
	case STREAM_MALFORMED:
		if (attempt == x->second) {
			copy_broke(x, malformed_outcome(x, stream), MISS_RESET);
			return;
		}
		pick_note(exchange_upstream(x), &attempt->pick, MISS_RESET);
		exchange_fail(x, malformed_outcome(x, stream));
		return;
	case STREAM_NO_MEMORY:
		if (attempt == x->second)
			copy_broke(x, OUTCOME_OVERLOADED, PICK_VOID);
		else
			exchange_fail(x, OUTCOME_OVERLOADED);
		return;
	case STREAM_NOT_PROCESSED:
		attempt_is_not_taken(x, attempt);
		return;
	case STREAM_NO_UPGRADE: // a copy is never an upgrade
		exchange_fail(x, OUTCOME_UPGRADE_UNSUPPORTED);
		return;
	case STREAM_UNWELCOME:
		attempt_is_unwelcome(attempt);
		return;
	case STREAM_PEER_CLOSED:
	case STREAM_PEER_RESET:
		attempt_broke(x, attempt);
		return;
	}
}

const struct stream_events exchange_up_events = {
	.on_head = up_head,
	.on_body = up_body,
	.on_trailers = up_trailers,
	.on_drained = up_drained,
	.on_reset = up_reset,
};

static void on_broken(struct half *half, bool source_failed)
{
	struct exchange *x = half->owner;
	bool upload = half == &x->up;
	bool client_failed = upload == source_failed;

	if (x->tunnelling)
		exchange_finish(x, OUTCOME_TUNNEL_CLOSED);
	else if (client_failed)
		exchange_finish(x, OUTCOME_CLIENT_ABORTED);
	else
		attempt_broke(x, x->attempt);
}

const struct relay_events exchange_relay_events = {.on_broken = on_broken};
