// SPDX-License-Identifier: Apache-2.0
#include "h2_caller.h"

#include <stdio.h>

#include "base/mem.h"
#include "h2_wire.h"
#include "pattern.h"

enum {
	slots_max = 8,
	reconnect_ms = 20,
	connects_max = 60,
	deaf_ms = 8000,
	close_wait_ms = 6000, // until weir must have closed after saying so
	whims_max = 8,	      // on one connection
	whim_ms_max = 100,
	fields_max = 32,
};

// A stream at a time.
struct slot {
	struct h2_caller *c;
	struct call *call; // NULL: none
	u32 id;
	u32 body_at;
	bool quiet; // sends nothing more
	struct timer timer, deaf_timer;
};

struct h2_caller {
	struct world *world;
	struct caller *caller;
	u32 index, depth;
	struct addr addr, own_addr;
	struct call **calls;
	const u32 *count;
	u32 next, connects;
	struct slot slots[slots_max];
	struct timer timer, close_timer, whim_timer;
	struct rng rng; // of its own, so that the rest of a seed does not hang on it
	u32 whims;
	bool connected, over, no_more, released, cut_resets, is_low;
	bool is_narrow;	  // its windows are so small that it takes long
	bool has_answers; // at least one on this connection
	u64 idle_since_ms, opened_ms;
	struct peer peer;
	struct h2_wire wire; // last, because its text is not zeroed
};

static const struct peer_events peer_events;
static const struct h2_wire_events h2_wire_events;

static struct h2_caller *of_peer(struct peer *peer)
{
	return container_of(peer, struct h2_caller, peer);
}

static struct h2_caller *of_wire(struct h2_wire *wire)
{
	return container_of(wire, struct h2_caller, wire);
}

bool h2_caller_is_late(const struct h2_caller *c)
{
	return c->peer.read_pause_ms || c->is_narrow;
}

static bool is_alone(const struct h2_caller *c)
{
	for (u32 i = 0; i < c->depth; i++)
		if (c->slots[i].call)
			return false;
	return true;
}

static struct slot *slot_of(struct h2_caller *c, u32 id)
{
	for (u32 i = 0; i < c->depth; i++)
		if (c->slots[i].call && c->slots[i].id == id)
			return &c->slots[i];
	return NULL;
}

static void end_call(struct slot *slot, enum result result)
{
	struct h2_caller *c = slot->c;
	struct call *call = slot->call;

	call->result = (u8)result;
	call->ended_ms = world_now_ms(c->world);
	call->is_over = true;
	call->late |= h2_caller_is_late(c);
	slot->call = NULL;
	loop_timer_cancel(c->world->outside, &slot->timer);
	loop_timer_cancel(c->world->outside, &slot->deaf_timer);
	if (is_alone(c)) {
		c->idle_since_ms = world_now_ms(c->world);
		c->has_answers = true;
		if (c->no_more && !c->peer.closing)
			world_set_timer(c->world, &c->close_timer, close_wait_ms);
	}
	world_say(c->world, "h2 caller %u: call %u over, result %u status %u", c->index, call->id,
		call->result, call->status);
}

static void end_all(struct h2_caller *c, bool broken)
{
	for (u32 i = 0; i < c->depth; i++) {
		struct call *call = c->slots[i].call;

		if (!call)
			continue;
		call->broken |= broken;
		end_call(&c->slots[i], call->got_head ? RESULT_CUT : RESULT_NONE);
	}
}

// ---- The life of a connection -------------------------------------------------------------------

static void connect_again(struct h2_caller *c)
{
	struct world *world = c->world;

	if (c->next == *c->count || world->drained_ms || world->aborted_ms ||
		c->connects >= connects_max || c->released) {
		if (!c->over)
			world->callers_open--;
		c->over = true;
		return;
	}
	world_set_timer(c->world, &c->timer, c->connects ? reconnect_ms : 1);
}

static void open_connection(struct h2_caller *c)
{
	static const u32 initials[] = {100, 1000, 16384, 65535, 65535, 1 << 20};
	u32 initial = initials[rng_between(&c->rng, 0, ARRAY_LEN(initials) - 1)];

	c->connects++;
	c->no_more = c->is_low = false;
	c->is_narrow = initial <= 1000;
	c->whims = 0;
	peer_init(&c->peer, c->world->outside, &peer_events);
	tls_plan_caller(c->world, c->caller, &c->peer, true);
	h2_wire_init(&c->wire, true, &c->peer, &c->rng, initial, &h2_wire_events);
	c->wire.piece_max =
		rng_one_in(&c->rng, 4) ? rng_between(&c->rng, 1, 100) : H2_WIRE_FRAME_MAX;
	c->wire.window_step = rng_one_in(&c->rng, 3) ? 300 : 1;
	c->wire.head_piece = rng_one_in(&c->rng, 5) ? rng_between(&c->rng, 1, 60) : 0;
	c->wire.pad_one_in = rng_one_in(&c->rng, 4) ? 3 : 0;
	if (rng_one_in(&c->rng, 8)) {
		c->wire.cut_at = 60 + rng_between(&c->rng, 0, rng_one_in(&c->rng, 2) ? 400 : 20000);
		c->cut_resets = rng_one_in(&c->rng, 2);
	}
	ASSERT(peer_connect(&c->peer, &c->addr) == 0);
}

static void on_closed(struct peer *peer)
{
	struct h2_caller *c = of_peer(peer);
	struct loop *outside = c->world->outside;

	c->connected = false;
	end_all(c, false);
	loop_timer_cancel(outside, &c->close_timer);
	loop_timer_cancel(outside, &c->whim_timer);
	for (u32 i = 0; i < c->depth; i++)
		loop_timer_cancel(outside, &c->slots[i].timer);
	h2_wire_done(&c->wire);
	connect_again(c);
}

// We go: whatever runs may fail.
static void leave(struct h2_caller *c, bool resets)
{
	for (u32 i = 0; i < c->depth; i++) {
		struct call *call = c->slots[i].call;

		if (!call)
			continue;
		call->left = true;
		if (resets)
			call->left_ms = world_now_ms(c->world);
	}
	if (resets)
		peer_reset(&c->peer);
	else
		tls_drop(c->world, &c->peer);
}

// The wire hands over no more.
static bool look_at_cut(struct h2_caller *c)
{
	if (!c->wire.is_cut || c->peer.closing || peer_is_sending(&c->peer))
		return c->wire.is_cut;
	world_fault(c->world, FAULT_H2_CALLER_CUT);
	world_say(c->world, "h2 caller %u: cut behind byte %llu", c->index,
		(unsigned long long)c->wire.bytes_out);
	leave(c, c->cut_resets);
	return true;
}

static void look_at_error(struct h2_caller *c)
{
	if (c->wire.error && !c->peer.closing)
		world_fail(c->world, "h2 caller %u: %s", c->index, c->wire.error);
}

// ---- Heads --------------------------------------------------------------------------------------

struct fields {
	nghttp2_nv nv[fields_max];
	u32 count;
};

static void put(struct fields *fields, const char *name, const char *value)
{
	ASSERT(fields->count < fields_max);
	fields->nv[fields->count++] = h2_wire_field(name, value);
}

static void put_bad(struct fields *fields, enum h2_bad_head bad)
{
	static const struct {
		const char *name, *value;
	} fields_of[H2_BAD_COUNT] = {
		[H2_BAD_UPPER_CASE] = {"X-Upper", "1"},
		[H2_BAD_CONNECTION] = {"connection", "close"},
		[H2_BAD_TE] = {"te", "gzip"},
		[H2_BAD_TWO_PATHS] = {":path", "/other"},
		[H2_BAD_LATE_PSEUDO] = {":scheme", "http"},
		[H2_BAD_TWO_LENGTHS] = {"content-length", "1"},
		[H2_BAD_OTHER_HOST] = {"host", "other.test"},
		[H2_BAD_LINE_END] = {"x-line", "a\r\nx-other: b"},
	};

	if (fields_of[bad].name)
		put(fields, fields_of[bad].name, fields_of[bad].value);
	if (bad == H2_BAD_TWO_LENGTHS)
		put(fields, "content-length", "2");
}

static void put_spoofs(struct fields *fields)
{
	put(fields, "x-forwarded-for", "6.6.6.6");
	put(fields, "x-forwarded-proto", "gopher");
	put(fields, "x-forwarded-host", "evil");
	put(fields, "x-forwarded-by", "me");
	put(fields, "x-backend-server", "mine");
	put(fields, "x-real-ip", "6.6.6.7");
	put(fields, "forwarded", "for=6.6.6.8");
	put(fields, "x-request-id", "forged");
}

static void send_head(struct slot *slot)
{
	struct call *call = slot->call;
	enum h2_bad_head bad = (enum h2_bad_head)call->bad;
	struct fields fields = {.count = 0};
	char id[16], length[16];

	snprintf(id, sizeof(id), "%u", call->id);
	snprintf(length, sizeof(length), "%u", call->script.body_len);
	if (bad != H2_BAD_NO_METHOD)
		put(&fields, ":method", call->method);
	if (bad != H2_BAD_LATE_PSEUDO)
		put(&fields, ":scheme", slot->c->peer.tls ? "https" : "http");
	if (bad != H2_BAD_NO_PATH)
		put(&fields, ":path", call->target);
	put(&fields, ":authority", call->host);
	put(&fields, "x-sim-call", id);
	put(&fields, "accept", "*/*");
	put(&fields, "user-agent", "sim");
	if (call->spoofs)
		put_spoofs(&fields);
	if (call->spoofs && call->world->has_tls) {
		put(&fields, "x-client-cert-subject", SIM_FORGED);
		put(&fields, "x-client-cert-san", SIM_FORGED);
	}
	if (call->script.framing == READ_LENGTH)
		put(&fields, "content-length", length);
	put_bad(&fields, bad);
	h2_wire_send_head(&slot->c->wire, slot->id, fields.nv, fields.count,
		call->script.framing == READ_NONE);
}

// ---- Sending ------------------------------------------------------------------------------------

static void all_sent(struct slot *slot)
{
	slot->call->all_sent_ms = world_now_ms(slot->c->world);
	slot->call->sent_all = true;
}

static void do_act(struct slot *slot)
{
	struct h2_caller *c = slot->c;
	struct call *call = slot->call;

	slot->quiet = true;
	call->act_done = true;
	world_say(c->world, "h2 caller %u: call %u acts %u", c->index, call->id, call->script.act);
	switch ((enum act)call->script.act) {
	case ACT_NONE:
		break;
	case ACT_CLOSE:
		world_fault(c->world, FAULT_CALLER_CLOSES);
		leave(c, false);
		break;
	case ACT_RESET:
		world_fault(c->world, FAULT_CALLER_RESETS);
		leave(c, true);
		break;
	case ACT_STALL:
		world_fault(c->world, FAULT_CALLER_STALLS);
		call->stalled = true;
		break;
	case ACT_SHUT:
		world_fault(c->world, FAULT_H2_CALLER_RESETS);
		call->left = true;
		call->left_ms = world_now_ms(c->world);
		h2_wire_send_reset(&c->wire, slot->id, H2_WIRE_CANCEL);
		end_call(slot, call->got_head ? RESULT_CUT : RESULT_NONE);
		break;
	}
}

static void note_begin(struct h2_caller *c, struct call *call, bool alone)
{
	struct world *world = c->world;
	u64 now_ms = world_now_ms(world);
	bool first = !c->has_answers;

	call->caller = c->caller;
	tls_begin_call(call, &c->peer);
	call->connection = c->connects;
	call->opened_ms = c->opened_ms;
	call->dripped = call->pause_one_in > 0;
	call->began_ms = call->sent_ms = call->head_sent_ms = call->head_since_ms = now_ms;
	call->late = h2_caller_is_late(c);
	call->raced = alone && now_ms - c->idle_since_ms + SLACK_MS >=
				       (first ? world->limits.header_ms : world->limits.idle_ms);
	call->raced |= call->late;
	if (alone && !first && now_ms > c->idle_since_ms + world->limits.idle_ms + SLACK_MS &&
		!h2_caller_is_late(c) && !world->scarce && !world->drained_ms)
		world_fail(
			world, "h2 caller %u: an idle connection was not closed in time", c->index);
	if (call->bad)
		world_fault(world, FAULT_H2_BAD_HEAD);
	if (call->script.flaw)
		world_fault(world, FAULT_BAD_BODY);
	if (call->large)
		world_fault(world, FAULT_LARGE_BODY);
	if (call->no_route)
		world_fault(world, FAULT_NO_ROUTE);
	if (call->pause_one_in)
		world_fault(world, FAULT_CALLER_DRIPS);
	if (call->read_pause_ms)
		world_fault(world, FAULT_CALLER_SLOW);
	if (call->read_pause_ms)
		c->peer.read_pause_ms = call->read_pause_ms;
	if (!alone)
		world_fault(world, FAULT_H2_SIBLINGS);
}

static void begin_call(struct slot *slot)
{
	struct h2_caller *c = slot->c;
	struct call *call = c->calls[c->next++];
	bool alone = is_alone(c);

	slot->call = call;
	slot->id = h2_wire_open(&c->wire);
	slot->body_at = 0;
	slot->quiet = false;
	note_begin(c, call, alone);
	world_say(c->world, "h2 caller %u: call %u begins on stream %u: %s %s bad=%u body=%u",
		c->index, call->id, slot->id, call->method, call->target, call->bad,
		call->script.body_len);
	call->sent_any = call->sent_head = true;
	send_head(slot);
	if (call->script.framing != READ_NONE)
		return;
	all_sent(slot);
	slot->quiet = true;
	if (call->script.act)
		do_act(slot);
}

static bool may_begin(const struct h2_caller *c)
{
	return !c->no_more && c->next < *c->count && c->wire.next_id / 2 < H2_WIRE_STREAMS_MAX;
}

// How many bytes come before what the call does instead of going on.
static u32 left_to_send(const struct call *call, u32 body_at)
{
	u32 end = call->script.body_len;

	if (call->script.flaw) // less than was said
		end = end / 2;
	if (call->script.act && call->script.act_at < end)
		end = call->script.act_at;
	return end - MIN(end, body_at);
}

static bool is_act_due(const struct slot *slot)
{
	const struct script *script = &slot->call->script;
	u32 at = script->act_at == ACT_AT_LAST ? script->body_len : script->act_at;

	return script->act && slot->body_at >= at;
}

static void finish_body(struct slot *slot)
{
	nghttp2_nv trailer = h2_wire_field("x-sim-trailer", "yes");

	slot->quiet = true;
	h2_wire_send_head(&slot->c->wire, slot->id, &trailer, 1, true);
	all_sent(slot);
}

// False: nothing goes on for now.
static bool send_piece(struct slot *slot)
{
	struct h2_caller *c = slot->c;
	struct call *call = slot->call;
	struct script *script = &call->script;
	u32 left = left_to_send(call, slot->body_at), room = h2_wire_room(&c->wire, slot->id), len;
	bool trailers = script->trailers && script->framing == READ_CHUNKED, end;
	char piece[H2_WIRE_FRAME_MAX];

	if (is_act_due(slot)) {
		do_act(slot);
		return false;
	}
	if (left && room == 0)
		return false;
	len = MIN(left, room);
	if (call->piece_max)
		len = MIN(len, MAX(call->piece_max, slot->body_at / 16));
	end = len == left && !trailers && !(script->act && !script->flaw);
	pattern_fill(piece, script->key, slot->body_at, len);
	slot->body_at += len;
	call->sent_ms = world_now_ms(c->world);
	if (len || end)
		h2_wire_send_data(&c->wire, slot->id, piece, len, end);
	if (end) {
		slot->quiet = true;
		all_sent(slot);
	} else if (len == left && !script->act) {
		finish_body(slot);
	}
	return !slot->quiet;
}

static bool pauses(struct slot *slot)
{
	struct call *call = slot->call;

	if (!call->pause_one_in || !rng_one_in(&slot->c->rng, call->pause_one_in))
		return false;
	world_set_timer(slot->c->world, &slot->timer, call->pause_ms);
	call->pause_one_in = call->pause_one_in < 200 ? call->pause_one_in + 1 : 0;
	return true;
}

static bool may_send(const struct h2_caller *c)
{
	return c->connected && !c->peer.closing && !c->peer.broken && !c->wire.is_cut;
}

static void pump_slot(struct slot *slot)
{
	struct h2_caller *c = slot->c;

	while (may_send(c) && !timer_is_set(&slot->timer)) {
		struct call *call;

		if (slot->call) {
			if (slot->quiet || pauses(slot) || !send_piece(slot))
				return;
			continue;
		}
		if (!may_begin(c))
			return;
		call = c->calls[c->next];
		if (call->gap_ms) {
			if (call->gap_ms > c->world->limits.idle_ms)
				world_fault(c->world, FAULT_CALLER_IDLES);
			world_set_timer(c->world, &slot->timer, call->gap_ms);
			call->gap_ms = 0;
			return;
		}
		begin_call(slot);
	}
}

static void pump(struct h2_caller *c)
{
	u32 first = rng_between(&c->rng, 0, c->depth - 1);

	for (u32 i = 0; i < c->depth && may_send(c); i++)
		pump_slot(&c->slots[(first + i) % c->depth]);
	look_at_cut(c);
}

static void on_slot_timer(struct timer *timer)
{
	pump(container_of(timer, struct slot, timer)->c);
}

static void on_timer(struct timer *timer)
{
	open_connection(container_of(timer, struct h2_caller, timer));
}

// ---- Whims --------------------------------------------------------------------------------------

// The window of all streams goes down to nothing, or the connection's is not given back, for a
// while.
static void stall(struct h2_caller *c)
{
	c->is_low = true;
	world_fault(c->world, FAULT_H2_STALL);
	if (rng_one_in(&c->rng, 2))
		h2_wire_withhold(&c->wire, 0, true);
	else
		h2_wire_send_setting(
			&c->wire, H2_WIRE_INITIAL_WINDOW_SIZE, rng_between(&c->rng, 0, 50));
}

static void end_stall(struct h2_caller *c)
{
	c->is_low = false;
	if (c->wire.is_withheld)
		h2_wire_withhold(&c->wire, 0, false);
	else
		h2_wire_send_setting(
			&c->wire, H2_WIRE_INITIAL_WINDOW_SIZE, rng_between(&c->rng, 20000, 100000));
}

static void on_whim(struct timer *timer)
{
	struct h2_caller *c = container_of(timer, struct h2_caller, whim_timer);

	if (!may_send(c))
		return;
	if (c->wire.out_len > H2_WIRE_OUT_DATA) {
		if (c->is_low) // not for ever
			world_set_timer(c->world, timer, whim_ms_max);
		return;
	}
	if (c->is_low) {
		end_stall(c);
	} else if (rng_one_in(&c->rng, 3)) {
		world_fault(c->world, FAULT_H2_PING);
		h2_wire_send_ping(&c->wire);
	} else if (rng_one_in(&c->rng, 2)) {
		stall(c);
	} else {
		world_fault(c->world, FAULT_H2_TABLE);
		h2_wire_send_setting(&c->wire, H2_WIRE_HEADER_TABLE_SIZE,
			rng_one_in(&c->rng, 2) ? 0 : rng_between(&c->rng, 50, 4096));
	}
	h2_wire_flush(&c->wire);
	if (!look_at_cut(c) && (c->is_low || ++c->whims < whims_max))
		world_set_timer(c->world, timer,
			rng_between(&c->rng, 1, c->is_low ? whim_ms_max : 10 * whim_ms_max));
}

// ---- Reading ------------------------------------------------------------------------------------

static void leave_or_go_deaf(struct slot *slot)
{
	struct h2_caller *c = slot->c;
	struct call *call = slot->call;

	if (call->body_seen < call->leave_at)
		return;
	if (call->leaves) {
		world_fault(c->world, FAULT_CALLER_LEAVES);
		call->left = true;
		call->left_ms = world_now_ms(c->world);
		if (!call->leaves_reset) {
			leave(c, false);
			return;
		}
		h2_wire_send_reset(&c->wire, slot->id, H2_WIRE_CANCEL);
		end_call(slot, RESULT_CUT);
	} else if (call->deaf && !call->was_deaf) {
		world_fault(c->world, FAULT_CALLER_DEAF);
		call->was_deaf = true;
		h2_wire_withhold(&c->wire, slot->id, true);
		if (!call->deaf_for_ever)
			world_set_timer(c->world, &slot->deaf_timer, deaf_ms);
	}
}

static void on_deaf_timer(struct timer *timer)
{
	struct slot *slot = container_of(timer, struct slot, deaf_timer);

	h2_wire_withhold(&slot->c->wire, slot->id, false);
}

static void message_ends(struct slot *slot)
{
	struct h2_caller *c = slot->c;
	struct call *call = slot->call;

	struct script answer;

	plan_answer_script(call, 0, &answer);
	if (!call->local && !call->unasked && answer.framing == READ_CHUNKED && answer.trailers &&
		!answer.flaw && !call->got_trailers)
		world_fail(c->world, "call %u: trailers were lost", call->id);
	// The rest of a request that has its answer is not wanted; weir says so in a moment.
	end_call(slot, RESULT_WHOLE);
	pump(c);
}

static void take_trailers(struct call *call, const struct read_message *trailers)
{
	if (call->local || !call->answer.trailers || trailers->count != 1 ||
		!message_find(trailers, "X-Sim-Trailer"))
		world_fail(call->world, "call %u: trailers that nobody sent", call->id);
}

static void on_head(struct h2_wire *wire, u32 id, const struct read_message *message,
	bool is_trailers, bool end)
{
	struct h2_caller *c = of_wire(wire);
	struct slot *slot = slot_of(c, id);
	struct call *call;

	if (!slot)
		return; // it is over for us
	call = slot->call;
	if (is_trailers) {
		take_trailers(call, message);
		call->got_trailers = true;
	} else if (message->status < 200) {
		call->interims++;
		if (message->status == 101 || end)
			world_fail(c->world, "call %u: an interim answer of HTTP/1", call->id);
		return;
	} else {
		call->got_head = true;
		call->got_ms = world_now_ms(c->world);
		call->status = message->status;
		check_answer_head(call, message);
	}
	if (end)
		message_ends(slot);
}

static void local_body(struct call *call, const char *bytes, size_t len)
{
	struct str word = STR("outcome: ");
	const char *at = memmem(bytes, len, word.ptr, word.len);
	struct str rest;

	if (!at)
		return;
	rest = str_make(at + word.len, len - (size_t)(at + word.len - bytes));
	rest = str_cut(&rest, '\n');
	snprintf(call->outcome, sizeof(call->outcome), "%.*s", STR_FMT(rest));
}

static void on_data(struct h2_wire *wire, u32 id, const char *bytes, size_t len, bool end)
{
	struct h2_caller *c = of_wire(wire);
	struct slot *slot = slot_of(c, id);
	struct call *call;

	if (!slot)
		return;
	call = slot->call;
	if (call->local)
		local_body(call, bytes, len);
	else if (!call->unasked &&
		 !pattern_matches(bytes, call->id * 4ull + 1, call->body_seen, len))
		world_fail(c->world, "call %u: wrong bytes in the answer at %llu", call->id,
			(unsigned long long)call->body_seen);
	call->body_seen += len;
	leave_or_go_deaf(slot);
	if (end && slot->call == call)
		message_ends(slot);
}

// Weir says that it has done nothing with it.
static void is_untouched(struct call *call)
{
	if (call->attempt_count)
		world_fail(call->world,
			"call %u: was said not to be processed, and came to a backend", call->id);
}

static void on_reset(struct h2_wire *wire, u32 id, u32 code)
{
	struct h2_caller *c = of_wire(wire);
	struct slot *slot = slot_of(c, id);

	world_say(c->world, "h2 caller %u: stream %u is reset: %u", c->index, id, code);
	if (!slot)
		return;
	if (code == H2_WIRE_REFUSED_STREAM)
		is_untouched(slot->call);
	if (code == H2_WIRE_NO_ERROR)
		world_fail(
			c->world, "call %u: its stream is reset without an error", slot->call->id);
	slot->call->broken = true;
	end_call(slot, slot->call->got_head ? RESULT_CUT : RESULT_NONE);
	pump(c);
}

static void on_goaway(struct h2_wire *wire, u32 last, u32 code)
{
	struct h2_caller *c = of_wire(wire);

	world_say(c->world, "h2 caller %u: GOAWAY, last %u, code %u", c->index, last, code);
	if (code != H2_WIRE_NO_ERROR)
		world_fail(c->world, "h2 caller %u: GOAWAY with code %u", c->index, code);
	c->no_more = true;
	for (u32 i = 0; i < c->depth; i++) {
		struct slot *slot = &c->slots[i];

		loop_timer_cancel(c->world->outside, &slot->timer);
		if (!slot->call || slot->id <= last)
			continue;
		is_untouched(slot->call);
		slot->call->is_put_back = true;
		end_call(slot, RESULT_NONE);
	}
	if (is_alone(c) && !c->peer.closing)
		world_set_timer(c->world, &c->close_timer, close_wait_ms);
	pump(c);
}

static void on_settings(struct h2_wire *wire)
{
	(void)wire;
}

static const struct h2_wire_events h2_wire_events = {
	.on_head = on_head,
	.on_data = on_data,
	.on_reset = on_reset,
	.on_goaway = on_goaway,
	.on_settings = on_settings,
};

static void on_close_timer(struct timer *timer)
{
	struct h2_caller *c = container_of(timer, struct h2_caller, close_timer);

	world_fail(c->world, "h2 caller %u: weir said goodbye and does not close", c->index);
	peer_close(&c->peer);
}

static void on_connected(struct peer *peer, int error)
{
	struct h2_caller *c = of_peer(peer);

	if (error) {
		tls_check_failed(c->world, caller_frontend(c->caller), peer, error);
		peer_close(peer);
		return;
	}
	tls_check_open(c->world, c->caller, peer);
	c->connected = true;
	sock_local(c->world->outside, &peer->sock, &c->own_addr);
	c->opened_ms = c->idle_since_ms = world_now_ms(c->world);
	c->has_answers = false;
	h2_wire_greet(&c->wire, 0, rng_one_in(&c->rng, 2) ? rng_between(&c->rng, 1, 1 << 20) : 0);
	if (rng_one_in(&c->rng, 2))
		world_set_timer(
			c->world, &c->whim_timer, rng_between(&c->rng, 1, 10 * whim_ms_max));
	pump(c);
}

static void on_bytes(struct peer *peer, const char *bytes, size_t len)
{
	struct h2_caller *c = of_peer(peer);

	h2_wire_feed(&c->wire, bytes, len);
	look_at_error(c);
	pump(c);
}

static void on_sent(struct peer *peer)
{
	struct h2_caller *c = of_peer(peer);

	h2_wire_flush(&c->wire);
	pump(c);
}

static void on_end(struct peer *peer)
{
	struct h2_caller *c = of_peer(peer);

	world_say(c->world, "h2 caller %u: end of stream", c->index);
	peer_close(peer);
}

static void on_broken(struct peer *peer, int error)
{
	struct h2_caller *c = of_peer(peer);

	world_say(c->world, "h2 caller %u: broken: %d", c->index, error);
	tls_check_broken(c->world, peer, error, is_alone(c));
	for (u32 i = 0; i < c->depth; i++) {
		struct call *call = c->slots[i].call;

		if (!call)
			continue;
		call->broken = true;
		call->late |= peer_met_a_close(peer, error);
	}
	peer_close(peer);
}

static void on_spoiled(struct peer *peer)
{
	world_fault(of_peer(peer)->world, FAULT_TLS_CALLER_SPOILS);
}

static const struct peer_events peer_events = {
	.on_spoiled = on_spoiled,
	.on_connected = on_connected,
	.on_bytes = on_bytes,
	.on_end = on_end,
	.on_broken = on_broken,
	.on_sent = on_sent,
	.on_closed = on_closed,
};

// ---- For the caller -----------------------------------------------------------------------------

struct h2_caller *h2_caller_new(struct world *world, struct caller *caller, u32 index, u32 frontend,
	u32 depth, struct call **calls, const u32 *count)
{
	struct h2_caller *c = mem_try_alloc(sizeof(*c));

	ASSERT(c);
	memset(c, 0, offsetof(struct h2_caller, wire));
	c->world = world;
	c->caller = caller;
	c->index = index;
	c->depth = MIN(depth, (u32)slots_max);
	c->addr = world->conf->frontends[frontend].binds[0].addr;
	c->calls = calls;
	c->count = count;
	rng_init(&c->rng, world->seed ^ (0x482000ull + index));
	timer_init(&c->timer, on_timer);
	timer_init(&c->close_timer, on_close_timer);
	timer_init(&c->whim_timer, on_whim);
	for (u32 i = 0; i < c->depth; i++) {
		c->slots[i].c = c;
		timer_init(&c->slots[i].timer, on_slot_timer);
		timer_init(&c->slots[i].deaf_timer, on_deaf_timer);
	}
	return c;
}

void h2_caller_free(struct h2_caller *c)
{
	mem_free(c);
}

void h2_caller_start(struct h2_caller *c)
{
	c->world->callers_open++;
	world_set_timer(c->world, &c->timer, 1 + rng_between(&c->rng, 0, 50));
}

void h2_caller_release(struct h2_caller *c)
{
	c->released = true;
	if (c->connected)
		peer_reset(&c->peer);
}

bool h2_caller_is_done(const struct h2_caller *c)
{
	return c->over;
}

const struct addr *h2_caller_addr(const struct h2_caller *c)
{
	return &c->own_addr;
}

void h2_caller_describe(const struct h2_caller *c, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "h2 caller %u:", c->index);

	for (u32 i = 0; i < c->depth && at < size; i++) {
		const struct call *call = c->slots[i].call;

		if (call)
			at += (size_t)snprintf(text + at, size - at,
				" call %u (%s, sent %s, got %s%s)", call->id, call->method,
				call->sent_all	? "all"
				: call->stalled ? "a part, stalls"
						: "a part",
				call->got_head ? "the head" : "nothing",
				call->was_deaf ? ", deaf" : "");
	}
}
