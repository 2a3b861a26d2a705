// SPDX-License-Identifier: Apache-2.0
// A scripted client: makes its calls one after the other or pipelined, over as many connections as
// it takes, and writes down what came back.
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "h2_caller.h"
#include "pattern.h"
#include "sim.h"

enum {
	reconnect_ms = 20,
	connects_max = 60,
	continue_wait_ms = 300, // for a 100, then the body goes anyway
	deaf_ms = 8000,
	close_wait_ms = 6000, // until weir must have closed after saying so
	piece_bytes_max = 16 * 1024,
};

struct caller {
	struct world *world;
	struct h2_caller *h2; // it speaks HTTP/2: what follows means nothing but its calls
	u32 index, frontend;
	struct addr addr, own_addr;
	struct call *calls[32];
	u32 count, next, waiting; // the next to send | the one whose answer comes next
	u32 depth;		  // pipelining
	u32 connects;
	struct call *sending;
	struct script tunnel, *script;
	struct timer timer, deaf_timer, close_timer;
	bool connected, over, no_more, released, was_deaf, left;
	bool has_answers; // at least one on this connection
	u64 idle_since_ms, opened_ms;
	struct peer peer;
	struct reader reader; // last, because its text is not zeroed
};

static const struct peer_events peer_events;
static const struct reader_events reader_events;

static struct caller *of_peer(struct peer *peer)
{
	return container_of(peer, struct caller, peer);
}

static struct caller *of_reader(struct reader *reader)
{
	return container_of(reader, struct caller, reader);
}

static struct call *awaited(const struct caller *caller)
{
	return caller->waiting < caller->next ? caller->calls[caller->waiting] : NULL;
}

bool caller_is_late(const struct caller *caller)
{
	if (caller->h2)
		return h2_caller_is_late(caller->h2);
	return caller->was_deaf || caller->peer.read_pause_ms;
}

static void end_call(struct caller *caller, struct call *call, enum result result)
{
	call->result = (u8)result;
	call->ended_ms = world_now_ms(caller->world);
	call->is_over = true;
	call->was_deaf |= caller->was_deaf;
	call->late |= caller_is_late(caller);
	call->left |= caller->left;
	world_say(caller->world, "caller %u: call %u over, result %u status %u", caller->index,
		call->id, result, call->status);
}

// ---- The life of a connection -------------------------------------------------------------------

static void connect_again(struct caller *caller)
{
	struct world *world = caller->world;

	if (caller->next == caller->count || world->drained_ms || world->aborted_ms ||
		caller->connects >= connects_max || caller->released) {
		if (!caller->over)
			world->callers_open--;
		caller->over = true;
		return;
	}
	world_set_timer(caller->world, &caller->timer, caller->connects ? reconnect_ms : 1);
}

static void open_connection(struct caller *caller)
{
	caller->connects++;
	caller->script = NULL;
	caller->sending = NULL;
	caller->no_more = caller->was_deaf = caller->left = false;
	caller->waiting = caller->next;
	peer_init(&caller->peer, caller->world->outside, &peer_events);
	reader_init(&caller->reader, false, &reader_events);
	if (caller->frontend == 2)
		reader_go_raw(&caller->reader);
	tls_plan_caller(caller->world, caller, &caller->peer, false);
	ASSERT(peer_connect(&caller->peer, &caller->addr) == 0);
}

static void on_closed(struct peer *peer)
{
	struct caller *caller = of_peer(peer);
	struct call *call;

	caller->connected = false;
	loop_timer_cancel(caller->world->outside, &caller->timer);
	loop_timer_cancel(caller->world->outside, &caller->deaf_timer);
	loop_timer_cancel(caller->world->outside, &caller->close_timer);
	while ((call = awaited(caller))) {
		end_call(caller, call,
			!call->got_head	     ? RESULT_NONE
			: call->tunnel_ended ? RESULT_WHOLE
					     : RESULT_CUT);
		caller->waiting++;
	}
	connect_again(caller);
}

static void hang_up(struct caller *caller)
{
	peer_close(&caller->peer);
}

// ---- Sending ------------------------------------------------------------------------------------

static void pump(struct caller *caller);

static void do_act(struct caller *caller)
{
	struct world *world = caller->world;
	struct call *call = caller->sending;

	if (call->act_done)
		return;
	call->act_done = true;
	world_say(
		world, "caller %u: call %u acts %u", caller->index, call->id, caller->script->act);
	switch ((enum act)caller->script->act) {
	case ACT_NONE:
		break;
	case ACT_CLOSE:
		world_fault(world, FAULT_CALLER_CLOSES);
		call->left = caller->left = true;
		tls_drop(world, &caller->peer);
		break;
	case ACT_RESET:
		world_fault(world, FAULT_CALLER_RESETS);
		call->left = caller->left = true;
		call->left_ms = world_now_ms(world);
		tls_break(world, &caller->peer);
		break;
	case ACT_STALL:
		world_fault(world, FAULT_CALLER_STALLS);
		call->stalled = true;
		if (call->tunnel_ended)
			hang_up(caller);
		break;
	case ACT_SHUT:
		world_fault(world, FAULT_CALLER_SHUTS);
		call->shut_early = true;
		peer_shut(&caller->peer);
		break;
	}
}

static void begin_call(struct caller *caller)
{
	struct call *call = caller->calls[caller->next];
	struct world *world = caller->world;
	u64 now_ms = world_now_ms(world);
	bool first = !caller->has_answers;

	caller->next++;
	caller->sending = call;
	caller->script = &call->script;
	call->caller = caller;
	tls_begin_call(call, &caller->peer);
	call->connection = caller->connects;
	call->opened_ms = caller->opened_ms;
	call->dripped = call->pause_one_in > 0;
	call->began_ms = now_ms;
	// The connection may have been closed for idling just now.
	call->raced = now_ms - caller->idle_since_ms + SLACK_MS >=
		      (first ? world->limits.header_ms : world->limits.idle_ms);
	if (!first && now_ms > caller->idle_since_ms + world->limits.idle_ms + SLACK_MS &&
		!caller_is_late(caller) && caller->waiting == caller->next - 1 && !world->scarce &&
		!world->drained_ms)
		world_fail(world, "caller %u: an idle connection was not closed in time",
			caller->index);
	call->late = caller_is_late(caller);
	call->raced |= call->late; // what it takes for fresh may be old
	call->head_since_ms = first ? caller->opened_ms : now_ms;
	call->body_held_back = call->expect;
	if (call->bad)
		world_fault(world, FAULT_BAD_HEAD);
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
	caller->peer.read_pause_ms = call->read_pause_ms;
	if (caller->waiting == caller->next - 1)
		caller->reader.no_body = false; // a head cut short may get an answer with a body
	if (call->close || call->upgrade || call->bad || call->script.act || call->is_tunnel ||
		call->script.flaw || (!call->minor && !call->keep_alive_word))
		caller->no_more = true;
	world_say(world, "caller %u: call %u begins: %s %s bad=%u body=%u", caller->index, call->id,
		call->method, call->target, call->bad, call->script.body_len);
}

static bool may_begin(const struct caller *caller)
{
	return !caller->no_more && caller->next < caller->count &&
	       caller->next - caller->waiting < caller->depth;
}

static void all_sent(struct caller *caller)
{
	struct call *call = caller->sending;
	struct world *world = caller->world;

	call->all_sent_ms = world_now_ms(world);
	call->sent_all = true;
	caller->sending = NULL;
	caller->script = NULL;
	// Whoever half-closes behind a whole request still gets the answer.
	if (call->is_tunnel || (caller->no_more && !call->upgrade && call->id % 5 == 0))
		peer_shut(&caller->peer);
	if (call->tunnel_ended)
		hang_up(caller);
}

static void send_piece(struct caller *caller)
{
	struct call *call = caller->sending;
	struct world *world = caller->world;
	char piece[piece_bytes_max];
	size_t max = call->piece_max ? call->piece_max : piece_bytes_max;
	size_t room = call->pause_one_in ? max : piece_bytes_max, len;

	if (call->body_held_back && !script_head_is_out(caller->script))
		room = (size_t)(caller->script->head.len - caller->script->wire);
	len = script_pull(caller->script, &world->rng, piece, room, max);
	if (len) {
		call->sent_any = true;
		call->sent_ms = world_now_ms(world);
		peer_send(&caller->peer, piece, len);
	}
	if (caller->script == &call->script && !call->sent_head &&
		script_head_is_out(caller->script)) {
		call->sent_head = true;
		call->head_sent_ms = world_now_ms(world);
		if (awaited(caller) == call)
			caller->reader.no_body = call->is_head;
	}
}

static void pump(struct caller *caller)
{
	struct peer *peer = &caller->peer;

	while (caller->connected && !peer->closing && !peer->broken && !peer->shut) {
		struct call *call = caller->sending;

		if (peer_is_sending(peer) || timer_is_set(&caller->timer))
			return;
		if (!caller->script) {
			if (!may_begin(caller))
				return;
			call = caller->calls[caller->next];
			if (call->gap_ms) {
				if (call->gap_ms > caller->world->limits.idle_ms)
					world_fault(caller->world, FAULT_CALLER_IDLES);
				world_set_timer(caller->world, &caller->timer, call->gap_ms);
				call->gap_ms = 0;
				return;
			}
			begin_call(caller);
			call = caller->sending;
		}
		if (call->body_held_back && call->sent_head) {
			world_set_timer(caller->world, &caller->timer, continue_wait_ms);
			return;
		}
		if (call->sent_any && call->pause_one_in &&
			rng_one_in(&caller->world->rng, call->pause_one_in)) {
			world_set_timer(caller->world, &caller->timer, call->pause_ms);
			call->pause_one_in = call->pause_one_in < 200 ? call->pause_one_in + 1 : 0;
			return;
		}
		send_piece(caller);
		if (peer_is_sending(peer))
			return;
		if (caller->script->act_due) {
			do_act(caller);
			return;
		}
		if (script_is_done(caller->script))
			all_sent(caller);
	}
}

static void on_timer(struct timer *timer)
{
	struct caller *caller = container_of(timer, struct caller, timer);

	if (!caller->connected) {
		open_connection(caller);
		return;
	}
	if (caller->sending && caller->sending->sent_head)
		caller->sending->body_held_back = false;
	pump(caller);
}

static void on_sent(struct peer *peer)
{
	pump(of_peer(peer));
}

static void on_connected(struct peer *peer, int error)
{
	struct caller *caller = of_peer(peer);

	if (error) {
		world_say(caller->world, "caller %u: connect failed: %d", caller->index, error);
		tls_check_failed(caller->world, caller->frontend, peer, error);
		hang_up(caller);
		return;
	}
	tls_check_open(caller->world, caller, peer);
	caller->connected = true;
	sock_local(caller->world->outside, &peer->sock, &caller->own_addr);
	caller->opened_ms = caller->idle_since_ms = world_now_ms(caller->world);
	caller->has_answers = false;
	pump(caller);
}

// ---- Reading ------------------------------------------------------------------------------------

static void leave_or_go_deaf(struct caller *caller, struct call *call)
{
	struct world *world = caller->world;

	if (call->body_seen + call->tunnel_seen < call->leave_at)
		return;
	if (call->leaves && !call->left) {
		world_fault(world, FAULT_CALLER_LEAVES);
		call->left = caller->left = true;
		if (!call->leaves_reset) {
			tls_drop(world, &caller->peer);
			return;
		}
		call->left_ms = world_now_ms(world);
		peer_reset(&caller->peer);
	} else if (call->deaf && !call->was_deaf) {
		world_fault(world, FAULT_CALLER_DEAF);
		call->was_deaf = caller->was_deaf = true;
		peer_set_deaf(&caller->peer, true);
		if (!call->deaf_for_ever)
			world_set_timer(caller->world, &caller->deaf_timer, deaf_ms);
	}
}

static void on_deaf_timer(struct timer *timer)
{
	struct caller *caller = container_of(timer, struct caller, deaf_timer);

	peer_set_deaf(&caller->peer, false);
}

static void on_close_timer(struct timer *timer)
{
	struct caller *caller = container_of(timer, struct caller, close_timer);

	if (!caller->peer.deaf)
		world_fail(caller->world, "caller %u: weir said close and does not close",
			caller->index);
	hang_up(caller);
}

static void start_tunnel(struct caller *caller, struct call *call)
{
	call->is_tunnel = true;
	caller->tunnel = (struct script){
		.key = call->id * 4ull + 2, .framing = READ_LENGTH, .body_len = call->tunnel_len};
	script_start(&caller->tunnel);
	caller->script = &caller->tunnel;
	caller->sending = call;
	reader_go_raw(&caller->reader);
}

static void on_head(struct reader *reader, const struct read_message *message)
{
	struct caller *caller = of_reader(reader);
	struct call *call = awaited(caller);
	struct world *world = caller->world;

	if (caller->peer.closing)
		return;
	if (!call || !call->sent_any) {
		world_fail(world, "caller %u: an answer (%u) that nobody asked for", caller->index,
			message->status);
		return;
	}
	if (message->status < 200 && message->status != 101) {
		call->interims++;
		if (call->minor == 0)
			world_fail(
				world, "call %u: interim answer to an HTTP/1.0 client", call->id);
		if (message->status == 100 && call->body_held_back) {
			call->body_held_back = false;
			call->got_continue = true;
			if (timer_is_set(&caller->timer))
				loop_timer_cancel(world->outside, &caller->timer);
		}
		return;
	}
	call->got_head = true;
	call->got_ms = world_now_ms(world);
	call->status = message->status;
	check_answer_head(call, message);
	if (call->minor == 0 && !message->close && !message->keep_alive &&
		message->framing != READ_TO_END)
		world_fail(world, "call %u: an HTTP/1.0 client cannot tell whether this goes on",
			call->id);
	call->got_close = message->close || message->framing == READ_TO_END ||
			  (message->minor == 0 && !message->keep_alive);
	if (call->got_close)
		caller->no_more = true;
	if (message->status == 101)
		start_tunnel(caller, call);
}

static void local_body(struct call *call, const char *bytes, size_t len)
{
	struct str text = str_make(bytes, len);
	struct str word = STR("outcome: ");

	for (size_t i = 0; i + word.len < text.len; i++) {
		struct str rest = str_make(text.ptr + i + word.len, text.len - i - word.len);

		if (!str_starts(str_make(text.ptr + i, text.len - i), word))
			continue;
		rest = str_cut(&rest, '\n');
		snprintf(call->outcome, sizeof(call->outcome), "%.*s", STR_FMT(rest));
		return;
	}
}

static void on_body(struct reader *reader, u64 at, const char *bytes, size_t len)
{
	struct caller *caller = of_reader(reader);
	struct call *call = awaited(caller);

	if (caller->peer.closing)
		return;
	if (!call) {
		world_fail(caller->world, "caller %u: bytes for nobody", caller->index);
		return;
	}
	if (call->is_tunnel) {
		u64 key = call->id * 4ull + (call->tunnel_first ? 3 : 2);

		if (!pattern_matches(bytes, key, call->tunnel_seen, len))
			world_fail(call->world, "call %u: wrong bytes in the tunnel at %llu",
				call->id, (unsigned long long)call->tunnel_seen);
		call->tunnel_seen += len;
		call->got_head = true;
	} else if (call->unasked) {
		call->body_seen += len;
	} else if (call->local) {
		local_body(call, bytes, len);
		call->body_seen += len;
	} else {
		if (!pattern_matches(bytes, call->id * 4ull + 1, at, len))
			world_fail(call->world, "call %u: wrong bytes in the answer at %llu",
				call->id, (unsigned long long)at);
		call->body_seen += len;
	}
	leave_or_go_deaf(caller, call);
}

static void on_message_end(struct reader *reader, const struct read_message *trailers)
{
	struct caller *caller = of_reader(reader);
	struct call *call = awaited(caller);

	if (!call || caller->peer.closing)
		return;
	if (call->unasked)
		trailers = NULL;
	if (trailers && trailers->count &&
		(call->local || !call->answer.trailers || trailers->count != 1 ||
			!message_find(trailers, "X-Sim-Trailer")))
		world_fail(caller->world, "call %u: trailers that nobody sent", call->id);
	if (!call->local && trailers && call->answer.framing == READ_CHUNKED &&
		call->answer.trailers && trailers->count == 0)
		world_fail(caller->world, "call %u: trailers were lost", call->id);
	leave_or_go_deaf(caller, call);
	end_call(caller, call, RESULT_WHOLE);
	caller->waiting++;
	caller->idle_since_ms = world_now_ms(caller->world);
	caller->has_answers = true;
	call = awaited(caller);
	reader->no_body = call && call->is_head && call->sent_head;
	if (caller->no_more && caller->waiting == caller->next && !caller->peer.closing &&
		!caller->peer.deaf)
		world_set_timer(caller->world, &caller->close_timer, close_wait_ms);
}

static const struct reader_events reader_events = {
	.on_head = on_head, .on_body = on_body, .on_end = on_message_end};

static void on_bytes(struct peer *peer, const char *bytes, size_t len)
{
	struct caller *caller = of_peer(peer);
	struct call *call = awaited(caller);

	reader_feed(&caller->reader, bytes, len);
	if (caller->reader.error && !peer->closing)
		world_fail(caller->world, "caller %u, call %u: %s", caller->index,
			call ? call->id : 0, caller->reader.error);
	pump(caller);
}

static void on_end(struct peer *peer)
{
	struct caller *caller = of_peer(peer);
	struct call *call = awaited(caller);

	world_say(caller->world, "caller %u: end of stream", caller->index);
	if (call && call->is_tunnel) {
		call->got_head = call->tunnel_ended = true;
		if (caller->script && !call->stalled && !peer->closing)
			return; // our own direction goes on
	} else {
		reader_end(&caller->reader);
	}
	hang_up(caller);
}

static void on_broken(struct peer *peer, int error)
{
	struct caller *caller = of_peer(peer);

	world_say(caller->world, "caller %u: broken: %d", caller->index, error);
	tls_check_broken(caller->world, peer, error, !awaited(caller));
	for (u32 i = caller->waiting; i < caller->next; i++) {
		caller->calls[i]->broken = true;
		caller->calls[i]->late |= peer_met_a_close(peer, error);
	}
	hang_up(caller);
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

// ---- For the world ------------------------------------------------------------------------------

struct caller *caller_new(struct world *world, u32 index, u32 frontend, u32 depth)
{
	struct caller *caller = mem_try_alloc(sizeof(*caller));

	ASSERT(caller);
	memset(caller, 0, offsetof(struct caller, reader));
	caller->world = world;
	caller->index = index;
	caller->frontend = frontend;
	caller->addr = world->conf->frontends[frontend].binds[0].addr;
	caller->depth = depth;
	timer_init(&caller->timer, on_timer);
	timer_init(&caller->deaf_timer, on_deaf_timer);
	timer_init(&caller->close_timer, on_close_timer);
	return caller;
}

void caller_add(struct caller *caller, struct call *call)
{
	if (caller->count < ARRAY_LEN(caller->calls))
		caller->calls[caller->count++] = call;
}

void caller_calls(const struct caller *caller, struct call *const **ret_calls, u32 *ret_count)
{
	*ret_calls = caller->calls;
	*ret_count = caller->count;
}

void caller_start(struct caller *caller)
{
	if (caller->h2) {
		h2_caller_start(caller->h2);
		return;
	}
	caller->world->callers_open++;
	world_set_timer(caller->world, &caller->timer, 1 + plan_between(caller->world, 0, 50));
}

void caller_release(struct caller *caller)
{
	if (caller->h2) {
		h2_caller_release(caller->h2);
		return;
	}
	caller->released = true;
	if (caller->connected)
		peer_reset(&caller->peer);
}

bool caller_is_done(const struct caller *caller)
{
	return caller->h2 ? h2_caller_is_done(caller->h2) : caller->over;
}

bool caller_waits_for_ever(const struct caller *caller)
{
	return caller->peer.deaf && !timer_is_set(&caller->deaf_timer);
}

const struct addr *caller_addr(const struct caller *caller)
{
	return caller->h2 ? h2_caller_addr(caller->h2) : &caller->own_addr;
}

u32 caller_frontend(const struct caller *caller)
{
	return caller->frontend;
}

void caller_describe(const struct caller *caller, char *text, size_t size)
{
	const struct call *call = awaited(caller);

	if (caller->h2) {
		h2_caller_describe(caller->h2, text, size);
		return;
	}
	snprintf(text, size, "caller %u waits for call %u of %u (%s %s, sent %s, got %s%s)",
		caller->index, call ? call->id : 0, caller->count, call ? call->method : "-",
		call ? call->target : "-",
		!call		 ? "nothing"
		: call->sent_all ? "all"
		: call->stalled	 ? "a part, stalls"
				 : "a part",
		call && call->got_head ? "the head" : "nothing", caller->peer.deaf ? ", deaf" : "");
}

void caller_use_h2(struct caller *caller, u32 depth)
{
	caller->h2 = h2_caller_new(caller->world, caller, caller->index, caller->frontend, depth,
		caller->calls, &caller->count);
}

bool caller_is_h2(const struct caller *caller)
{
	return caller->h2;
}

void caller_free(struct caller *caller)
{
	if (caller->h2)
		h2_caller_free(caller->h2);
	mem_free(caller);
}
