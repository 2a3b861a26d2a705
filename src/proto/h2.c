// SPDX-License-Identifier: Apache-2.0
// The session: what the connection calls, and when a peer has gone too far.
#include <errno.h>

#include "base/hash.h"
#include "base/mem.h"
#include "proto/h2_parts.h"

enum {
	linger_bytes_max = 1024 * 1024,
	frame_head_bytes = 9,
	settings_max = 32,  // entries in one frame
	acks_max = 1000,    // queued
	resets_max = 10000, // libnghttp2's own bound, beyond ours
	resets_per_second = 1000,
	frame_header_bytes = 9,
};

const struct str h2_preface = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24};

const char *h2_excess_word(enum h2_excess excess)
{
	static const char *const words[H2_EXCESS_COUNT] = {
#define X(name, rate, burst, word) [H2_##name] = word,
		H2_FLOODS(X)
#undef X
#define X(name, word) [H2_##name] = word,
			H2_OTHER_EXCESSES(X)
#undef X
	};

	ASSERT(excess < H2_EXCESS_COUNT);
	return words[excess];
}

enum h2_excess h2_excess_of(const struct session *session)
{
	return (enum h2_excess)container_of(session, struct h2, session)->excess;
}

void *h2_carrier(const struct session *session)
{
	return container_of(session, struct h2, session)->carrier;
}

// ---- The kit ------------------------------------------------------------------------------------

struct h2_kit *h2_kit_new(
	struct block_pool *pool, const u64 *now_us, u32 sessions_max, u32 streams_max, u64 seed)
{
	struct h2_kit *kit = mem_alloc(sizeof(*kit));

	kit->pool = pool;
	kit->now_us = now_us;
	kit->seed = seed;
	slab_init(&kit->sessions, "h2 session", sizeof(struct h2), sessions_max);
	slab_init(&kit->streams, "h2 stream", sizeof(struct h2_stream), streams_max);
	kit->text = kit->spare = mem_alloc(sizeof(*kit->text) + H2_TEXT_BYTES);
	*kit->text = (struct block){.refs = 1, .size = H2_TEXT_BYTES, .pool = pool};
	h2_memory_init(kit);
	ASSERT(nghttp2_session_callbacks_new(&kit->callbacks) == 0);
	ASSERT(nghttp2_option_new(&kit->options) == 0);
	h2_set_callbacks(kit->callbacks);
	nghttp2_option_set_no_auto_window_update(kit->options, 1);
	nghttp2_option_set_no_http_messaging(kit->options, 1); // h2_text.c judges messages
	nghttp2_option_set_no_closed_streams(kit->options, 1);
	nghttp2_option_set_max_continuations(kit->options, H2_CONTINUATIONS_MAX * frame_head_bytes);
	nghttp2_option_set_max_settings(kit->options, settings_max);
	// It guesses what a block will need: any head that was taken may be sent.
	nghttp2_option_set_max_send_header_block_length(kit->options, 4 * HTTP_HEAD_BYTES_MAX);
	nghttp2_option_set_max_outbound_ack(kit->options, acks_max);
	nghttp2_option_set_stream_reset_rate_limit(kit->options, resets_max, resets_per_second);
	nghttp2_option_set_builtin_recv_extension_type(kit->options, NGHTTP2_PRIORITY_UPDATE);
	// Frames of types that nobody knows are ignored, but counted.
	for (u32 type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		if (type != NGHTTP2_PRIORITY_UPDATE)
			nghttp2_option_set_user_recv_extension_type(kit->options, (u8)type);
	return kit;
}

void h2_kit_free(struct h2_kit *kit)
{
	if (!kit)
		return;
	nghttp2_session_callbacks_del(kit->callbacks);
	nghttp2_option_del(kit->options);
	h2_memory_done(kit);
	slab_done(&kit->streams);
	slab_done(&kit->sessions);
	mem_free(kit->text);
	mem_free(kit);
}

// ---- Streams, as the session has them -----------------------------------------------------------

static void note_open(struct h2 *h2)
{
	h2->session.busy = h2->open_count > 0;
	if (h2->session.role == STREAM_SERVER)
		h2->session.streams = (u8)MIN(h2->open_count, (u32)UINT8_MAX);
}

struct h2_stream *h2_stream_new(struct h2 *h2)
{
	struct h2_stream *s = slab_get(&h2->kit->streams);

	if (!s)
		return NULL;
	*s = (struct h2_stream){
		.stream = {.ops = &h2_stream_ops, .session = &h2->session}, .h2 = h2};
	list_push_back(&h2->streams, &s->node);
	list_init(&s->leaving_node);
	h2->open_count++;
	note_open(h2);
	return s;
}

static void free_stream(struct h2_stream *s)
{
	list_remove(&s->node);
	list_remove(&s->leaving_node);
	if (s->h2->recent == s)
		s->h2->recent = NULL;
	bytes_clear(&s->held);
	bytes_clear(&s->queue);
	if (s->trailers_in)
		block_unref(s->trailers_in);
	if (s->trailers_out)
		block_unref(s->trailers_out);
	slab_put(&s->h2->kit->streams, s);
}

// Called from inside of events, so nothing is freed here.
void h2_stream_settle(struct h2_stream *s)
{
	struct h2 *h2 = s->h2;

	if (!s->closed)
		return;
	if (!s->done_told) {
		s->done_told = true;
		h2->open_count--;
		note_open(h2);
		if (!h2->session.busy)
			h2->session.small = true;
		h2->session.events->on_stream_done(&h2->session, &s->stream);
	}
	if (s->released) {
		list_remove(&s->leaving_node);
		list_push_back(&h2->dead, &s->leaving_node);
		h2_poke(h2);
	}
}

void h2_stream_fail(struct h2_stream *s, enum stream_fault fault)
{
	const struct stream_events *events = s->stream.events;

	s->in_told = true;
	s->stream.events = NULL;
	if (events)
		events->on_reset(&s->stream, fault);
}

// All of its message has come, and its reader has not taken all of it.
static bool is_waiting(const struct h2_stream *s)
{
	return s->in_ended && !s->in_told && s->stream.events && (!s->upgrade || s->tunnel);
}

static bool somebody_waits(const struct h2 *h2)
{
	list_for_each (node, &h2->streams)
		if (is_waiting(list_entry(node, struct h2_stream, node)))
			return true;
	return false;
}

// The connection is over for all of them, or for all who miss something. Streams leave the list
// only in reap().
static void fail_all(struct h2 *h2, enum stream_fault fault, bool whole_ones_too)
{
	list_for_each (node, &h2->streams) {
		struct h2_stream *s = list_entry(node, struct h2_stream, node);

		if (is_waiting(s) ? !whole_ones_too : s->closed)
			continue;
		s->closed = true;
		h2_stream_fail(s, fault);
		h2_stream_settle(s);
	}
}

static void reap(struct h2 *h2)
{
	while (!list_is_empty(&h2->dead))
		free_stream(list_first(&h2->dead, struct h2_stream, leaving_node));
}

// ---- Beginning and end --------------------------------------------------------------------------

void h2_poke(struct h2 *h2)
{
	// Whoever feeds it goes on; and once is enough until then.
	if (h2->running || (h2->session.again && h2->session.end == SESSION_GOES_ON))
		return;
	h2->session.again = true;
	h2->session.events->on_poke(&h2->session);
}

void h2_end(struct h2 *h2, enum session_end end)
{
	if (end <= h2->session.end)
		return;
	h2->session.end = (u8)end;
	h2->linger_left = linger_bytes_max;
	h2->session.events->on_poke(&h2->session);
}

// Whether everything of ours and of the peer's is over, as libnghttp2 sees it.
static void look_at_end(struct h2 *h2)
{
	bool server = h2->session.role == STREAM_SERVER;

	if (h2->session.end != SESSION_GOES_ON || nghttp2_session_want_read(h2->ng) ||
		nghttp2_session_want_write(h2->ng))
		return;
	// Behind GOAWAY nothing comes any more; what has come is still taken.
	if (!server && !h2->is_broken && somebody_waits(h2))
		return;
	h2->session.refusal = HTTP_REFUSE_FRAMES;
	fail_all(h2, h2->is_broken ? STREAM_MALFORMED : STREAM_PEER_CLOSED, true);
	// What the peer has not read yet (GOAWAY) would be lost in a reset.
	h2_end(h2, server && !h2->peer_ended ? SESSION_LINGER : SESSION_CLOSE);
}

// GOAWAY and the end, once libnghttp2 is left.
static void terminate(struct h2 *h2, u32 code)
{
	h2->leaving_it = h2->reading;
	h2->end_code = code;
	if (!h2->reading)
		(void)nghttp2_session_terminate_session(h2->ng, code);
}

void h2_excessive(struct h2 *h2, enum h2_excess excess, u32 code)
{
	if (h2->is_broken)
		return;
	h2->is_broken = true;
	h2->excess = (u8)excess;
	terminate(h2, code);
	if (h2->session.events->on_excess)
		h2->session.events->on_excess(&h2->session);
}

// Each kind has a rate and how far it may run ahead of it.
bool h2_flood(struct h2 *h2, enum h2_excess kind)
{
	static const struct {
		u32 step_us, ahead_us;
	} rules[H2_FLOOD_COUNT] = {
#define X(name, rate, burst, word) [H2_##name] = {1000000 / (rate), 1000000 / (rate) * (burst)},
		H2_FLOODS(X)
#undef X
	};
	u64 now_us = *h2->kit->now_us, *at_us = &h2->flood_us[kind];

	*at_us = MAX(*at_us, now_us) + rules[kind].step_us;
	if (likely(*at_us <= now_us + rules[kind].ahead_us))
		return false;
	h2_excessive(h2, kind, NGHTTP2_ENHANCE_YOUR_CALM);
	return true;
}

static void no_memory(struct h2 *h2)
{
	h2->is_broken = true;
	h2_end(h2, SESSION_ABORT);
}

// ---- Out ----------------------------------------------------------------------------------------

// Nobody reads what would be said: streams may be gone here of which libnghttp2 does not know it.
static bool is_unheard(const struct h2 *h2)
{
	return h2->peer_reset || (h2->session.role == STREAM_CLIENT && h2->peer_ended);
}

// Nothing waits that would be framed before it, and nobody is inside of libnghttp2.
bool h2_is_free(const struct h2 *h2)
{
	return !h2->running && !h2->stalled && !h2->is_broken && !is_unheard(h2) &&
	       !h2->goaway_heard && h2->session.end == SESSION_GOES_ON &&
	       nghttp2_session_get_outbound_queue_size(h2->ng) == 0;
}

bool h2_may_open(const struct h2 *h2)
{
	return h2->open_count <= h2->streams_max;
}

// What may be told from inside of it concerns streams of which both sides have heard all.
void h2_frame_next(struct h2 *h2)
{
	const uint8_t *data;
	ssize_t len;

	h2->running = true;
	len = nghttp2_session_mem_send(h2->ng, &data);
	h2->running = false;
	if (unlikely(len) &&
		(len < 0 || bytes_write(h2->kit->pool, h2->session.out, data, (size_t)len) != 0))
		no_memory(h2);
	// What is still in several pieces, as a head with CONTINUATION, goes on before anything
	// else.
	if (unlikely(len > 0))
		h2->stalled = true;
	h2_poke(h2);
}

// Puts what was packed behind what libnghttp2 has of the same block.
static int put_head(struct h2 *h2, const u8 *frame, size_t len, const struct h2_packer *packer)
{
	struct block_pool *pool = h2->kit->pool;
	struct bytes *out = h2->session.out;
	size_t more = (size_t)(packer->at - packer->start),
	       payload = len - frame_header_bytes + more;
	bool is_short = len + more <= BLOCK_SMALL_BYTES;
	char *at;

	ASSERT(len <= frame_header_bytes + H2_FIELDS_SPARE_BYTES && payload <= H2_FRAME_BYTES_MAX);
	at = bytes_reserve(pool, out, likely(is_short) ? len + more : len);
	if (!at)
		return -ENOMEM;
	at[0] = (char)(payload >> 16);
	at[1] = (char)(payload >> 8);
	at[2] = (char)payload;
	memcpy(at + 3, frame + 3, frame_header_bytes - 3);
	if (len > frame_header_bytes)
		memcpy(at + frame_header_bytes, frame + frame_header_bytes,
			len - frame_header_bytes);
	if (likely(is_short)) {
		memcpy(at + len, packer->start, more);
		len += more;
	}
	bytes_commit(out, len);
	return likely(is_short) ? 0 : bytes_write(pool, out, packer->start, more);
}

static bool is_head_of(const struct h2_stream *s, const u8 *frame)
{
	u32 id = (u32)frame[5] << 24 | (u32)frame[6] << 16 | (u32)frame[7] << 8 | frame[8];

	return frame[3] == NGHTTP2_HEADERS && (frame[4] & NGHTTP2_FLAG_END_HEADERS) &&
	       id == (u32)s->id;
}

void h2_frame_head(struct h2 *h2, const struct h2_stream *s, struct h2_packer *packer)
{
	const uint8_t *data;
	ssize_t len;
	int error;

	h2->running = true;
	len = nghttp2_session_mem_send(h2->ng, &data);
	h2->running = false;
	if (likely(len >= frame_header_bytes && is_head_of(s, data))) {
		error = put_head(h2, data, (size_t)len, packer);
	} else { // its stream is gone; anything else would be followed by a head without its fields
		h2_pack_undo(packer);
		error = len == 0 ? 0 : -ENOMEM;
	}
	if (error)
		no_memory(h2);
	h2_poke(h2);
}

// Frames what may go. Events are told from inside of it.
static void pump(struct h2 *h2)
{
	struct bytes *out = h2->session.out;
	const uint8_t *data;
	ssize_t len;

	h2->stalled = false;
	while (out->len < H2_OUT_MAX && h2->session.end != SESSION_ABORT) {
		len = nghttp2_session_mem_send(h2->ng, &data);
		if (len == 0)
			return;
		if (len < 0 || bytes_write(h2->kit->pool, out, data, (size_t)len) != 0) {
			no_memory(h2);
			return;
		}
	}
	h2->stalled = true;
}

static void h2_taken(struct session *session)
{
	struct h2 *h2 = h2_of(session);

	list_for_each (node, &h2->leaving) {
		struct h2_stream *s = list_entry(node, struct h2_stream, leaving_node);

		s->in_flight += s->framed;
		s->framed = 0;
	}
	if (h2->stalled)
		h2_poke(h2);
}

static void h2_sent(struct session *session)
{
	struct h2 *h2 = h2_of(session);
	struct list left;

	if (list_is_empty(&h2->leaving))
		return;
	// The events may change the list.
	list_insert_between(&left, h2->leaving.prev, &h2->leaving);
	list_remove(&h2->leaving);
	while (!list_is_empty(&left)) {
		struct h2_stream *s = list_first(&left, struct h2_stream, leaving_node);
		const struct stream_events *events = s->stream.events;
		u32 len = s->in_flight;

		list_remove(&s->leaving_node);
		s->in_flight = 0;
		if (s->framed)
			list_push_back(&h2->leaving, &s->leaving_node);
		if (events && len)
			events->on_drained(&s->stream, len);
	}
}

// ---- In -----------------------------------------------------------------------------------------

// What had to wait until libnghttp2 was left, or until there was credit.
static void look_at_streams(struct h2 *h2)
{
	h2->look = false;
	list_for_each (node, &h2->streams) {
		struct h2_stream *s = list_entry(node, struct h2_stream, node);

		if (s->failed) {
			s->failed = false;
			s->closed = true;
			h2_stream_fail(s, (enum stream_fault)s->fault);
			h2_stream_settle(s);
		} else if (!s->in_told) {
			h2_stream_deliver(s);
		}
	}
}

static void read_frames(struct h2 *h2, const struct slice *slice)
{
	ssize_t used;

	h2->feeding = slice->block;
	h2->reading = true;
	used = nghttp2_session_mem_recv(h2->ng, (const uint8_t *)slice->ptr, slice->len);
	h2->reading = false;
	h2->feeding = NULL;
	if (unlikely(h2->text.block))
		h2_text_pause(h2);
	h2_drop_last_data(h2);
	if (unlikely(h2->leaving_it)) {
		terminate(h2, h2->end_code);
		return;
	}
	if (likely(used >= 0))
		return;
	switch (used) {
	case NGHTTP2_ERR_NOMEM:
	case NGHTTP2_ERR_CALLBACK_FAILURE:
		if (!h2->is_broken)
			no_memory(h2);
		break;
	case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
		h2_excessive(h2, H2_CONTINUATIONS, NGHTTP2_ENHANCE_YOUR_CALM);
		break;
	case NGHTTP2_ERR_FLOODED:
		h2_excessive(h2, H2_PINGS, NGHTTP2_ENHANCE_YOUR_CALM);
		break;
	default:
		h2_excessive(h2, H2_PROTOCOL_ERROR, NGHTTP2_PROTOCOL_ERROR);
		break;
	}
}

static void drop_input(struct h2 *h2, size_t len)
{
	if (len > h2->linger_left)
		h2_end(h2, SESSION_ABORT);
	else
		h2->linger_left -= (u32)len;
}

// The peer has ended, and its answers are taken.
static void end_behind_answers(struct h2 *h2)
{
	if (h2->session.end != SESSION_GOES_ON || somebody_waits(h2))
		return;
	fail_all(h2, STREAM_PEER_CLOSED, true);
	h2_end(h2, h2->peer_reset ? SESSION_ABORT : SESSION_CLOSE);
}

static void h2_feed(struct session *session, struct slice slice)
{
	struct h2 *h2 = h2_of(session);

	reap(h2);
	if (session->end != SESSION_GOES_ON) {
		drop_input(h2, slice.len);
		slice_drop(&slice);
		return;
	}
	h2->running = true;
	if (slice.len && !h2->is_broken) {
		h2->heard = true;
		read_frames(h2, &slice);
	}
	slice_drop(&slice);
	while (h2->look)
		look_at_streams(h2);
	if (session->end != SESSION_ABORT && likely(!is_unheard(h2)))
		pump(h2);
	h2->running = false;
	h2->may_ask = nghttp2_session_check_request_allowed(h2->ng);
	if (unlikely(h2->peer_ended))
		end_behind_answers(h2);
	else
		look_at_end(h2);
	if (h2->look || !list_is_empty(&h2->dead))
		h2_poke(h2);
	if (unlikely(h2->heading) && session->role == STREAM_SERVER)
		session->events->on_poke(session); // who waits for its rest
}

static void h2_ended(struct session *session, int error)
{
	struct h2 *h2 = h2_of(session);

	h2->peer_ended = true;
	if (error == SESSION_CUT) // messages say themselves where they end
		error = 0;
	h2->peer_reset |= error < 0;
	// A backend may close behind its last answer, which a slow client takes in its time. What
	// it does not read of ours makes a reset of that.
	if (session->role == STREAM_CLIENT && session->end == SESSION_GOES_ON &&
		somebody_waits(h2)) {
		fail_all(h2, error < 0 ? stream_fault_of_end(error) : STREAM_PEER_CLOSED, false);
		if (session->events->on_goaway)
			session->events->on_goaway(session);
		return;
	}
	if (error < 0)
		h2_end(h2, SESSION_ABORT);
	fail_all(h2, error < 0 ? stream_fault_of_end(error) : STREAM_PEER_CLOSED, true);
	h2_end(h2, SESSION_CLOSE);
}

static bool h2_wants_input(const struct session *session)
{
	const struct h2 *h2 = container_of(session, struct h2, session);

	return !h2->peer_ended && session->end != SESSION_ABORT && session->out->len < H2_OUT_MAX;
}

static struct stream *h2_open(struct session *session)
{
	struct h2_stream *s = h2_stream_new(h2_of(session));

	return s ? &s->stream : NULL;
}

static u32 h2_room(const struct session *session)
{
	const struct h2 *h2 = container_of(session, struct h2, session);
	u32 max = MIN(h2->streams_max, (u32)H2_STREAMS_MAX);

	if (session->end != SESSION_GOES_ON || h2->is_broken || h2->draining || h2->goaway_heard ||
		h2->peer_ended || !h2->may_ask)
		return 0;
	return max - MIN(max, h2->open_count);
}

// Two steps (RFC 9113 6.8): the first says that there will be an end, and the answer to a PING says
// that what the peer began before it heard so has come.
static void h2_drain(struct session *session)
{
	struct h2 *h2 = h2_of(session);

	if (h2->draining)
		return;
	h2->draining = true;
	if (session->role == STREAM_SERVER) {
		(void)nghttp2_submit_shutdown_notice(h2->ng);
		(void)nghttp2_submit_ping(h2->ng, NGHTTP2_FLAG_NONE, (const uint8_t *)"draining");
		h2->drain_ping = true;
	}
	h2_poke(h2);
}

static void h2_finish(struct session *session)
{
	struct h2 *h2 = h2_of(session);

	if (h2->is_broken)
		return;
	terminate(h2, NGHTTP2_NO_ERROR);
	h2->may_ask = false;
	h2_poke(h2);
}

static bool h2_head_is_partial(const struct session *session)
{
	return container_of(session, struct h2, session)->heading;
}

// There is no request yet that could be answered.
static void h2_refuse_late(struct session *session)
{
	h2_finish(session);
}

// An answer that is complete but for its way out has no deadline above us any more. Its reader may
// be alive and never take it.
static void reset_stalled(struct h2 *h2)
{
	list_for_each (node, &h2->streams) {
		struct h2_stream *s = list_entry(node, struct h2_stream, node);

		if (s->released && !s->closed && !s->out_framed && s->looked_at && !s->moved) {
			h2_stream_cut(s, NGHTTP2_CANCEL);
			h2_poke(h2);
		}
		s->moved = false;
		s->looked_at = s->released;
	}
}

static void h2_check_alive(struct session *session)
{
	struct h2 *h2 = h2_of(session);

	if (session->role == STREAM_SERVER && !h2->is_broken)
		reset_stalled(h2);
	if (h2->heard || session->end != SESSION_GOES_ON) {
		h2->heard = false;
	} else if (h2->pings) {
		h2_end(h2, SESSION_ABORT);
	} else {
		h2->pings = true;
		(void)nghttp2_submit_ping(h2->ng, NGHTTP2_FLAG_NONE, NULL);
		h2_poke(h2);
	}
}

static u64 h2_queued(const struct session *session, u64 *ret_held)
{
	const struct h2 *h2 = container_of(session, const struct h2, session);
	u64 len = 0;

	list_for_each (node, &h2->streams) {
		const struct h2_stream *s = list_entry(node, struct h2_stream, node);

		len += s->queue.len;
		*ret_held += bytes_held(&s->queue);
	}
	return len;
}

static void h2_done(struct session *session)
{
	struct h2 *h2 = h2_of(session);
	struct h2_kit *kit = h2->kit;

	// Nobody is told of anything any more.
	h2->over = true;
	nghttp2_session_del(h2->ng);
	while (!list_is_empty(&h2->streams))
		free_stream(list_first(&h2->streams, struct h2_stream, node));
	h2_text_done(h2);
	slab_put(&kit->sessions, h2);
}

static const struct session_ops session_ops = {
	.feed = h2_feed,
	.ended = h2_ended,
	.wants_input = h2_wants_input,
	.taken = h2_taken,
	.sent = h2_sent,
	.open = h2_open,
	.room = h2_room,
	.drain = h2_drain,
	.finish = h2_finish,
	.head_is_partial = h2_head_is_partial,
	.refuse_late = h2_refuse_late,
	.check_alive = h2_check_alive,
	.queued = h2_queued,
	.done = h2_done,
};

// ---- A new one ----------------------------------------------------------------------------------

static int make_session(struct h2 *h2)
{
	struct h2_kit *kit = h2->kit;

	if (h2->session.role == STREAM_SERVER)
		return nghttp2_session_server_new3(
			&h2->ng, kit->callbacks, h2, kit->options, &kit->mem);
	return nghttp2_session_client_new3(&h2->ng, kit->callbacks, h2, kit->options, &kit->mem);
}

static int greet(struct h2 *h2)
{
	bool server = h2->session.role == STREAM_SERVER;
	nghttp2_settings_entry entries[] = {
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, h2->parser->limits.head_bytes_max},
		{server ? NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS : NGHTTP2_SETTINGS_ENABLE_PUSH,
			server ? H2_STREAMS_MAX : 0},
		{NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
	};
	int error = nghttp2_submit_settings(h2->ng, NGHTTP2_FLAG_NONE, entries,
		server ? ARRAY_LEN(entries) : ARRAY_LEN(entries) - 1);

	return error ? error
		     : nghttp2_session_set_local_window_size(
			       h2->ng, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW);
}

struct session *h2_new(struct h2_kit *kit, enum stream_role role, struct h1_parser *parser,
	struct bytes *out, void *carrier, bool is_secure, const struct session_events *events)
{
	struct h2 *h2 = slab_get(&kit->sessions);

	if (!h2)
		return NULL;
	*h2 = (struct h2){
		.session = {.ops = &session_ops,
			.events = events,
			.pool = kit->pool,
			.out = out,
			.role = (u8)role,
			.again = true,
			.says_goodbye = true,
			.small = true},
		.kit = kit,
		.parser = parser,
		.carrier = carrier,
		.is_secure = is_secure,
		.may_ask = true,
	};
	h2_pack_init(&h2->pack, kit->seed);
	list_init(&h2->streams);
	list_init(&h2->leaving);
	list_init(&h2->dead);
	if (make_session(h2) != 0) {
		slab_put(&kit->sessions, h2);
		return NULL;
	}
	h2->streams_max = nghttp2_session_get_remote_settings(
		h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	if (greet(h2) != 0) {
		nghttp2_session_del(h2->ng);
		slab_put(&kit->sessions, h2);
		return NULL;
	}
	return &h2->session;
}
