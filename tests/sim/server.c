// SPDX-License-Identifier: Apache-2.0
// A scripted backend: reads requests strictly, looks up what was planned for the call, and answers
// or misbehaves accordingly. A service is one connection to it.
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "pattern.h"
#include "plan.h"
#include "server.h"

enum {
	piece_bytes_max = 16 * 1024,
	glued_bytes_max = 8000, // of an answer that surely arrives in one piece
	linger_ms = 1500,	// for the rest of an upload that was answered early
};

struct service {
	struct server *server;
	struct world *world;
	struct list node;
	u32 serial, served;
	struct call *call;
	struct arrival *attempt;
	struct script script;
	struct timer timer;
	u8 waits; // enum waits
	bool answering, answered, request_over, tunnel, says_continue, spoke, glued, acted;
	u32 line_len;
	char line[32];
	u64 tunnel_in, tunnel_out, idle_since_ms;
	struct peer peer;
	struct reader reader; // last, because its text is not zeroed
};

enum waits { WAITS_NOTHING, WAITS_THINKING, WAITS_IDLE, WAITS_LINGER };

static const struct peer_events peer_events;
static const struct reader_events reader_events;

static struct service *of_peer(struct peer *peer)
{
	return container_of(peer, struct service, peer);
}

static struct service *of_reader(struct reader *reader)
{
	return container_of(reader, struct service, reader);
}

static void set_timer(struct service *service, enum waits what, u64 in_ms)
{
	service->waits = (u8)what;
	world_set_timer(service->world, &service->timer, in_ms);
}

void server_note_idle_close(struct server *server)
{
	u32 at = server->idle_closed_count++ % ARRAY_LEN(server->idle_closed_ms);

	server->idle_closed_ms[at] = world_now_ms(server->world);
	server->world->has_trouble[server->pool] = true;
}

void server_note_spoiled(struct server *server)
{
	u32 at = server->spoiled_count++ % ARRAY_LEN(server->spoiled_ms);

	server->spoiled_ms[at] = world_now_ms(server->world);
	server_note_trouble(server);
}

// Whoever joins those who wait for it does so before the first of them has had enough.
void server_end_spoiled(struct server *server, const struct peer *peer)
{
	const struct world *world = server->world;
	u64 most_ms = 2 * (world->limits.connect_ms + SLACK_MS);

	server_note_spoiled(server);
	if (world_now_ms(world) > peer->began_ms + most_ms && !world->scarce)
		world_fail(server->world, "a handshake that stalls keeps others waiting");
}

// ---- Answering ----------------------------------------------------------------------------------

static void pump(struct service *service);

void server_note_trouble(const struct server *server)
{
	server->world->has_trouble[server->pool] = true;
}

static void give_up(struct service *service, enum sim_fault fault)
{
	server_note_trouble(service->server);
	service->acted = true;
	if (service->attempt)
		service->attempt->gave_up = true;
	world_fault(service->world, fault);
	world_say(service->world, "server %u/%u: call %u: %s", service->server->index,
		service->serial, service->call ? service->call->id : 0,
		fault == FAULT_SERVER_STALE    ? "stale"
		: fault == FAULT_SERVER_RESETS ? "resets"
		: fault == FAULT_SERVER_STALLS ? "stalls"
					       : "closes");
}

static void do_act(struct service *service, enum act act)
{
	if (service->acted)
		return;
	switch (act) {
	case ACT_NONE:
		break;
	case ACT_SHUT:
	case ACT_CLOSE:
		give_up(service, service->attempt && service->attempt->spoke ? FAULT_SERVER_CLOSES
									     : FAULT_SERVER_SILENT);
		tls_drop(service->world, &service->peer);
		if (service->attempt) // the rest of a record may be lost
			service->attempt->reset |= service->peer.cuts;
		break;
	case ACT_RESET:
		give_up(service, FAULT_SERVER_RESETS);
		if (service->attempt)
			service->attempt->reset = true; // what it said may be lost
		tls_break(service->world, &service->peer);
		break;
	case ACT_STALL:
		give_up(service, FAULT_SERVER_STALLS);
		service->attempt->stalled = true;
		break;
	}
}

static void become_idle(struct service *service)
{
	struct server *server = service->server;
	u32 wait_ms = server->speaks_ms ? server->speaks_ms : server->idle_close_ms;

	service->call = NULL;
	service->attempt = NULL;
	service->answering = service->answered = service->request_over = false;
	service->served++;
	service->idle_since_ms = world_now_ms(service->world);
	if (wait_ms)
		set_timer(service, WAITS_IDLE, plan_between(service->world, 0, wait_ms));
}

static void start_tunnel(struct service *service)
{
	service->tunnel = true;
	reader_go_raw(&service->reader);
}

// What may follow an answer.
static const char extra[] =
	"HTTP/1.1 200 OK\r\nX-Sim-Unasked: yes\r\nContent-Length: 5\r\n\r\nextra";

static void note_extra(struct service *service)
{
	world_fault(service->world, FAULT_SERVER_EXTRA);
	server_note_idle_close(service->server); // weir will end it
	service->spoke = true;
}

static void finish_answer(struct service *service)
{
	const struct answer *answer = &service->call->answer;

	if (service->answered)
		return;
	service->answered = service->attempt->answer_whole = true;
	service->attempt->answered_ms = world_now_ms(service->world);
	if (answer->status == 101 && !answer->bad) {
		start_tunnel(service);
		return;
	}
	if (answer->extra && !service->spoke) {
		note_extra(service);
		peer_send(&service->peer, extra, sizeof(extra) - 1);
	}
	if (answer->close || answer->framing == READ_TO_END || answer->bad || service->peer.deaf) {
		if (!answer->close)
			server_note_idle_close(service->server); // nobody knows
		if (service->request_over || service->call->id % 2) {
			if (!service->request_over)
				service->attempt->gave_up = true;
			if (!peer_is_sending(&service->peer))
				peer_close(&service->peer);
			else
				set_timer(service, WAITS_LINGER, 50);
			return;
		}
		if (!peer_is_sending(&service->peer))
			peer_shut(&service->peer);
		set_timer(service, WAITS_LINGER, linger_ms);
	} else if (service->request_over) {
		become_idle(service);
	}
}

static void note_sent(struct service *service)
{
	struct arrival *attempt = service->attempt;

	attempt->last_ms = world_now_ms(service->world);
	if (!attempt->spoke)
		attempt->head_ms = attempt->last_ms;
	attempt->spoke = true;
}

static void send_answer(struct service *service)
{
	char piece[piece_bytes_max];
	u32 piece_max = service->call->answer.piece_max;
	size_t len = script_pull(&service->script, &service->world->rng, piece, sizeof(piece),
		MIN(piece_max ? piece_max : piece_bytes_max, (u32)piece_bytes_max));

	if (len && service->call->answer.extra && service->call->answer.extra_glued &&
		script_is_whole(&service->script) && len + sizeof(extra) <= sizeof(piece)) {
		memcpy(piece + len, extra, sizeof(extra) - 1);
		len += sizeof(extra) - 1;
		note_extra(service);
		service->glued = service->script.wire < glued_bytes_max;
		service->attempt->answer_whole = true;
	}
	if (len) {
		note_sent(service);
		peer_send(&service->peer, piece, len);
	} else if (service->script.act_due &&
		   !(service->script.act == ACT_STALL && script_is_whole(&service->script))) {
		service->attempt->answer_whole = script_is_whole(&service->script);
		if (service->attempt->answer_whole) // it might have been used again
			server_note_idle_close(service->server);
		do_act(service, (enum act)service->script.act);
	} else {
		finish_answer(service);
	}
}

// Echoes what came, or says its own piece first and then only listens.
static void send_tunnel(struct service *service)
{
	struct call *call = service->call;
	bool own = call->tunnel_first;
	u64 due = own ? call->tunnel_back_len : service->tunnel_in;
	size_t max = MAX(call->answer.piece_max, (size_t)(service->tunnel_out / 16));
	size_t len = (size_t)MIN(due - service->tunnel_out, MIN(max, piece_bytes_max));
	char piece[piece_bytes_max];

	if (call->answer.act && service->tunnel_out >= call->answer.act_at) {
		do_act(service, (enum act)call->answer.act);
		return;
	}
	if (len) {
		pattern_fill(piece, call->id * 4ull + (own ? 3 : 2), service->tunnel_out, len);
		service->tunnel_out += len;
		note_sent(service);
		peer_send(&service->peer, piece, len);
	} else if (own || service->peer.ended) {
		if (!service->peer.shut)
			service->attempt->answer_whole = true;
		peer_shut(&service->peer);
		if (service->peer.ended)
			peer_close(&service->peer);
	}
}

static void pump(struct service *service)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct peer *peer = &service->peer;

	if (peer->closing || peer->broken || peer_is_sending(peer) || service->acted ||
		!service->call)
		return;
	if (service->says_continue) {
		service->says_continue = false;
		service->attempt->interims++;
		note_sent(service);
		peer_send(peer, go_on, sizeof(go_on) - 1);
	} else if (service->tunnel) {
		send_tunnel(service);
	} else if (service->answering && !service->answered) {
		send_answer(service);
	}
}

static void start_answer(struct service *service)
{
	struct call *call = service->call;

	if (service->answering)
		return;
	service->answering = true;
	plan_answer_script(call, (u32)(service->attempt - call->attempts), &service->script);
	world_say(service->world,
		"server %u/%u: call %u: answers %u, body %u, framing %u, act %u at %u",
		service->server->index, service->serial, call->id, call->answer.status,
		service->script.body_len, service->script.framing, service->script.act,
		service->script.act_at);
	if (call->answer.bad || call->answer.flaw || call->answer.status >= 500)
		server_note_trouble(service->server);
	if (call->answer.bad)
		world_fault(service->world, call->answer.bad == BAD_ANSWER_FLOOD
						    ? FAULT_SERVER_FLOODS
						    : FAULT_SERVER_BAD);
	if (!service->request_over && call->script.framing != READ_NONE)
		world_fault(service->world, FAULT_SERVER_EARLY);
	pump(service);
}

static void on_timer(struct timer *timer)
{
	struct service *service = container_of(timer, struct service, timer);
	static const char unasked[] =
		"HTTP/1.1 408 Request Timeout\r\nX-Sim-Unasked: yes\r\nConnection: close\r\n"
		"Content-Length: 0\r\n\r\n";

	switch ((enum waits)service->waits) {
	case WAITS_NOTHING:
		break;
	case WAITS_THINKING:
		start_answer(service);
		break;
	case WAITS_IDLE:
		if (service->call || service->reader.len || service->peer.closing ||
			service->peer.shut)
			break;
		server_note_idle_close(service->server);
		if (service->server->speaks_ms && !peer_is_sending(&service->peer)) {
			world_fault(service->world, FAULT_SERVER_SPEAKS);
			service->spoke = true;
			peer_send(&service->peer, unasked, sizeof(unasked) - 1);
			set_timer(service, WAITS_LINGER, 300);
		} else {
			tls_drop(service->world, &service->peer);
		}
		break;
	case WAITS_LINGER:
		peer_close(&service->peer);
		break;
	}
}

// ---- Reading ------------------------------------------------------------------------------------

static struct arrival *new_attempt(struct service *service, struct call *call)
{
	struct arrival *attempt;

	if (call->attempt_count == ATTEMPTS_MAX) {
		world_fail(service->world, "call %u: came to backends %u times", call->id,
			ATTEMPTS_MAX + 1);
		return NULL;
	}
	attempt = &call->attempts[call->attempt_count++];
	*attempt = (struct arrival){.server = service->server,
		.connection = service->serial,
		.kept = service->served > 0,
		.began_ms = world_now_ms(service->world),
		.tainted = service->spoke,
		.gave_up = service->spoke};
	service->call = call;
	service->attempt = attempt;
	world_say(service->world, "server %u/%u: call %u, attempt %u%s", service->server->index,
		service->serial, call->id, call->attempt_count, attempt->kept ? ", kept" : "");
	return attempt;
}

struct call *server_call_of(struct world *world, const struct read_message *message)
{
	const struct str *field = message_find(message, "X-Sim-Call");
	u64 id = 0;

	if (!field || str_to_u64(*field, world->call_count, &id) != 0 || id == 0) {
		world_fail(world, "a request from nowhere: %.*s %.*s", STR_FMT(message->method),
			STR_FMT(message->target));
		return NULL;
	}
	return &world->calls[id - 1];
}

bool server_is_probe(const struct read_message *message)
{
	const struct str *agent = message_find(message, "User-Agent");

	return str_eq(message->target, STR("/health")) && agent &&
	       memmem(agent->ptr, agent->len, "health", 6);
}

static void answer_probe(struct service *service)
{
	static const char well[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n"
				   "Content-Length: 2\r\n\r\nok";
	static const char ill[] = "HTTP/1.1 503 Ill\r\nConnection: close\r\n"
				  "Content-Length: 0\r\n\r\n";
	const struct server *server = service->server;

	service->spoke = true; // whatever follows: no request is served here
	if (server_is_between(service->world, server->hang_from_ms, server->hang_to_ms))
		return;
	if (server_is_between(service->world, server->sick_from_ms, server->sick_to_ms)) {
		server_note_trouble(server);
		world_fault(service->world, FAULT_SERVER_SICK);
		peer_send(&service->peer, ill, sizeof(ill) - 1);
	} else {
		peer_send(&service->peer, well, sizeof(well) - 1);
	}
	set_timer(service, WAITS_LINGER, 30);
}

static void hang(struct service *service)
{
	server_note_trouble(service->server);
	world_fault(service->world, FAULT_SERVER_HANGS);
	service->acted = service->attempt->gave_up = service->attempt->stalled = true;
}

static void on_head(struct reader *reader, const struct read_message *message)
{
	struct service *service = of_reader(reader);
	struct world *world = service->world;
	struct arrival *attempt;
	struct call *call;

	if (world->judged && server_is_probe(message)) {
		answer_probe(service);
		return;
	}
	call = server_call_of(world, message);
	if (!call)
		return;
	if (service->glued && world->smooth)
		world_fail(world, "call %u: sent on a connection with unread bytes", call->id);
	if (service->call && service->spoke) {
		service->acted = true; // its unasked words were taken for the answer
		peer_close(&service->peer);
		return;
	}
	if (service->call) {
		world_fail(world, "call %u: comes before the answer to call %u is complete",
			call->id, service->call->id);
		return;
	}
	loop_timer_cancel(world->outside, &service->timer);
	attempt = new_attempt(service, call);
	if (!attempt)
		return;
	check_request(call, attempt, message);
	if (server_is_between(world, service->server->hang_from_ms, service->server->hang_to_ms)) {
		hang(service);
		return;
	}
	if (call->answer.stale && attempt->kept && call->attempt_count == 1) {
		give_up(service, FAULT_SERVER_STALE);
		if (call->answer.stale_reset)
			peer_reset(&service->peer);
		else
			tls_drop(world, &service->peer);
		return;
	}
	// Who goes deaf when nobody ends it any more stays for ever.
	if (call->answer.deaf && message->framing != READ_NONE && !service->server->released) {
		world_fault(world, FAULT_SERVER_DEAF);
		attempt->gave_up = attempt->stalled = true;
		peer_set_deaf(&service->peer, true);
	}
	service->says_continue = call->expect && call->id % 7 && !call->answer.early;
	if (call->answer.early && message->framing != READ_NONE)
		set_timer(service, WAITS_THINKING, call->answer.think_ms);
	pump(service);
}

static void on_body(struct reader *reader, u64 at, const char *bytes, size_t len)
{
	struct service *service = of_reader(reader);
	struct call *call = service->call;

	if (!call || service->acted)
		return;
	if (service->tunnel) {
		// Behind bytes that came unasked all answers shift: weir knows of no tunnel.
		if (!service->attempt->tainted &&
			!pattern_matches(bytes, call->id * 4ull + 2, service->tunnel_in, len))
			world_fail(service->world, "call %u: wrong bytes sent into the tunnel",
				call->id);
		service->tunnel_in += len;
		service->attempt->body_len = service->tunnel_in;
		pump(service);
		return;
	}
	if (!pattern_matches(bytes, call->id * 4ull, at, len))
		world_fail(service->world, "call %u: wrong bytes of the request at %llu", call->id,
			(unsigned long long)at);
	service->attempt->body_len += len;
}

static bool pool_closed_idle(const struct server *server, const struct call *call)
{
	const struct world *world = server->world;

	for (u32 i = 0; i < world->server_count; i++)
		if (world->servers[i]->pool == server->pool &&
			server_closed_idle(world->servers[i], call->began_ms, world_now_ms(world)))
			return true;
	return false;
}

static void on_request_end(struct reader *reader, const struct read_message *trailers)
{
	struct service *service = of_reader(reader);
	struct call *call = service->call;

	if (!call || service->acted)
		return;
	service->request_over = service->attempt->request_whole = true;
	if (service->attempt->body_len != call->script.body_len)
		world_fail(service->world, "call %u: %llu bytes of the request came, not %u",
			call->id, (unsigned long long)service->attempt->body_len,
			call->script.body_len);
	if (call->script.flaw)
		world_fail(service->world, "call %u: a malformed body was completed", call->id);
	// A second try may come without them, and the first may never have arrived here.
	if (trailers && (trailers->count == 1) != call->script.trailers &&
		(trailers->count || (service->attempt == call->attempts &&
					    !pool_closed_idle(service->server, call))))
		world_fail(service->world, "call %u: trailers lost or invented", call->id);
	if (service->answered && !service->peer.shut)
		become_idle(service);
	else if (!service->answering)
		set_timer(service, WAITS_THINKING, call->answer.think_ms);
}

static const struct reader_events reader_events = {
	.on_head = on_head, .on_body = on_body, .on_end = on_request_end};

// The first line of a TCP connection tells the call.
static size_t read_line(struct service *service, const char *bytes, size_t len)
{
	struct world *world = service->world;
	struct arrival *attempt;
	size_t used = 0;
	u64 id;

	while (used < len && service->line_len < sizeof(service->line)) {
		char c = bytes[used++];

		if (c != '\n') {
			service->line[service->line_len++] = c;
			continue;
		}
		if (service->line_len < 5 || memcmp(service->line, "SIM ", 4) != 0 ||
			str_to_u64(str_make(service->line + 4, service->line_len - 4),
				world->call_count, &id) != 0 ||
			id == 0)
			break;
		attempt = new_attempt(service, &world->calls[id - 1]);
		if (!attempt)
			break;
		if (attempt != service->call->attempts)
			world_fail(world, "call %u: a TCP connection was made twice",
				service->call->id);
		start_tunnel(service);
		return used;
	}
	if (service->line_len == sizeof(service->line) || used < len)
		world_fail(world, "server %u: wrong first bytes of a TCP connection",
			service->server->index);
	return len;
}

static void on_bytes(struct peer *peer, const char *bytes, size_t len)
{
	struct service *service = of_peer(peer);

	if (service->server->tcp && !service->call) {
		size_t used = read_line(service, bytes, len);

		bytes += used;
		len -= used;
	}
	if (len)
		reader_feed(&service->reader, bytes, len);
	if (service->reader.error && !peer->closing)
		world_fail(service->world, "server %u/%u, call %u: %s", service->server->index,
			service->serial, service->call ? service->call->id : 0,
			service->reader.error);
	pump(service);
}

// All of the answer was handed over, and the other side had enough of it before that was told.
static void note_whole(struct service *service)
{
	if (service->attempt && service->answering && !service->tunnel &&
		script_is_whole(&service->script))
		service->attempt->answer_whole = true;
}

static void on_end(struct peer *peer)
{
	struct service *service = of_peer(peer);

	note_whole(service);
	world_say(service->world, "server %u/%u: end of stream", service->server->index,
		service->serial);
	if (service->attempt) {
		service->attempt->in_ended = true;
		service->attempt->ended_ms = world_now_ms(service->world);
	}
	if (service->tunnel) {
		pump(service);
		return;
	}
	// Weir never half-closes towards a backend but for a tunnel.
	if (service->attempt && !service->answered)
		service->attempt->broken = true;
	peer_close(peer);
}

static void on_broken(struct peer *peer, int error)
{
	struct service *service = of_peer(peer);

	note_whole(service);
	world_say(service->world, "server %u/%u: broken: %d", service->server->index,
		service->serial, error);
	tls_check_broken(service->world, peer, error, service->served && !service->call);
	if (service->attempt) {
		service->attempt->broken = true;
		service->attempt->ended_ms = world_now_ms(service->world);
	}
	peer_close(peer);
}

static void on_sent(struct peer *peer)
{
	pump(of_peer(peer));
}

static void on_closed(struct peer *peer)
{
	struct service *service = of_peer(peer);

	if (service->served && !service->call && !service->spoke &&
		service->script.wire < glued_bytes_max)
		check_idle_end(service->world, service->idle_since_ms);
	loop_timer_cancel(service->world->outside, &service->timer);
	list_remove(&service->node);
	service->world->services_open--;
	if (peer->spoiled || peer->ways.refusal)
		server_end_spoiled(service->server, peer);
	mem_free(service);
}

static void on_spoiled(struct peer *peer)
{
	struct service *service = of_peer(peer);

	world_say(service->world, "server %u/%u: breaks its handshake: %u", service->server->index,
		service->serial, peer->ways.act);
	world_fault(service->world, FAULT_TLS_SERVER_SPOILS);
	server_note_spoiled(service->server);
}

static const struct peer_events peer_events = {
	.on_spoiled = on_spoiled,
	.on_bytes = on_bytes,
	.on_end = on_end,
	.on_broken = on_broken,
	.on_sent = on_sent,
	.on_closed = on_closed,
};

// ---- Listening ----------------------------------------------------------------------------------

static void new_service(struct server *server, int fd)
{
	struct service *service = mem_try_alloc(sizeof(*service));
	struct world *world = server->world;

	ASSERT(service);
	memset(service, 0, offsetof(struct service, reader));
	service->server = server;
	service->world = world;
	service->serial = ++world->connection_serial;
	timer_init(&service->timer, on_timer);
	list_push_back(&server->services, &service->node);
	world->services_open++;
	reader_init(&service->reader, true, &reader_events);
	if (server->tcp)
		reader_go_raw(&service->reader);
	peer_init(&service->peer, world->outside, &peer_events);
	tls_plan_service(server, &service->peer);
	peer_accept(&service->peer, fd);
}

static void on_accept(struct op *op)
{
	struct server *server = container_of(op, struct server, accept);

	if (op->result >= 0 && server->h2)
		h2_service_new(server, op->result);
	else if (op->result >= 0)
		new_service(server, op->result);
	if (!op->more) {
		sock_close(server->world->outside, &server->sock);
		server->listening = false;
	}
}

static void listen_now(struct server *server)
{
	struct loop *loop = server->world->outside;

	if (server->listening || server->released)
		return;
	server->listening = true;
	sock_open(loop, &server->sock, sim_listen(server->world->net, &server->addr));
	op_init(&server->accept, on_accept);
	loop_accept(loop, &server->sock, &server->accept);
}

static void die(struct server *server)
{
	world_fault(server->world, FAULT_SERVER_DIES);
	if (server->h2) {
		h2_services_die(server);
		return;
	}
	list_for_each_safe (node, &server->services) {
		struct service *service = list_entry(node, struct service, node);

		server_note_idle_close(server);
		if (service->attempt)
			service->attempt->gave_up = service->attempt->reset = true;
		if (service->answering && script_is_whole(&service->script))
			service->attempt->answer_whole = true; // and perhaps there
		service->acted = true;
		loop_timer_cancel(server->world->outside, &service->timer);
		peer_reset(&service->peer);
	}
}

static void on_down_timer(struct timer *timer)
{
	struct server *server = container_of(timer, struct server, timer);
	u64 now_ms = world_now_ms(server->world);

	if (now_ms >= server->down_to_ms) {
		listen_now(server);
		return;
	}
	world_fault(server->world, FAULT_SERVER_DOWN);
	server_note_trouble(server);
	if (server->dies)
		die(server);
	loop_cancel(server->world->outside, &server->accept);
	loop_timer_set(server->world->outside, timer, server->down_to_ms);
}

static void plan_down(struct server *server)
{
	struct world *world = server->world;
	u64 now_ms = world_now_ms(world);

	server->down_from_ms = now_ms + (plan_one_in(world, 2) ? 0 : plan_between(world, 1, 800));
	server->down_to_ms = server->down_from_ms + plan_between(world, 10, 2000);
	loop_timer_set(world->outside, &server->timer, MAX(server->down_from_ms, now_ms + 1));
}

static void plan_illness(struct server *server)
{
	struct world *world = server->world;
	u64 now_ms = world_now_ms(world);

	server->dies = plan_one_in(world, 2);
	if (plan_one_in(world, 5)) {
		server->hang_from_ms = now_ms + plan_between(world, 0, 800);
		server->hang_to_ms = server->hang_from_ms + plan_between(world, 100, 2000);
	}
	if (plan_one_in(world, 5)) {
		server->sick_from_ms = now_ms + plan_between(world, 0, 800);
		server->sick_to_ms = server->sick_from_ms + plan_between(world, 100, 2000);
	}
}

static void choose_address(struct server *server)
{
	struct world *world = server->world;
	u16 port = (u16)(9000 + server->index);

	switch (plan_between(world, 0, 5)) {
	case 0:
		server->addr = (struct addr){
			.family = ADDR_V6, .ip = {[0] = 0xfd, [1] = 1, [15] = 1}, .port = port};
		break;
	case 1:
		snprintf(server->path, sizeof(server->path), "/sim/%u", server->index);
		server->addr = (struct addr){.family = ADDR_UNIX, .path = server->path};
		break;
	default:
		server->addr = (struct addr){
			.family = ADDR_V4, .ip = {10, 1, 0, (u8)server->index}, .port = port};
		break;
	}
	if (server->addr.family == ADDR_UNIX) {
		snprintf(server->address, sizeof(server->address), "unix:%.32s", server->path);
	} else {
		char text[ADDR_TEXT_MAX];

		addr_format(&server->addr, text);
		snprintf(server->address, sizeof(server->address), "%.47s", text);
	}
}

struct server *server_new(struct world *world, u32 index, u32 pool, bool tcp)
{
	struct server *server = mem_alloc(sizeof(*server));

	server->world = world;
	server->index = index;
	server->pool = pool;
	server->tcp = tcp;
	list_init(&server->services);
	timer_init(&server->timer, on_down_timer);
	choose_address(server);
	if (plan_one_in(world, 8))
		server->idle_close_ms = plan_between(world, 1, 300);
	else if (plan_one_in(world, 15))
		server->speaks_ms = plan_between(world, 1, 300);
	listen_now(server);
	if (world->judged)
		plan_illness(server);
	if (plan_one_in(world, world->judged ? 4 : 10))
		plan_down(server);
	return server;
}

void server_release(struct server *server)
{
	struct loop *loop = server->world->outside;

	server->released = true;
	loop_timer_cancel(loop, &server->timer);
	if (server->listening)
		loop_cancel(loop, &server->accept);
	if (server->h2) {
		h2_services_release(server);
		return;
	}
	list_for_each_safe (node, &server->services)
		peer_reset(&list_entry(node, struct service, node)->peer);
}

void server_free(struct server *server)
{
	ASSERT(!server->listening);
	mem_free(server);
}

static bool was_spoiled(const struct server *server, u64 from_ms, u64 to_ms)
{
	u32 count = MIN(server->spoiled_count, (u32)ARRAY_LEN(server->spoiled_ms));

	for (u32 i = 0; i < count; i++)
		if (from_ms <= server->spoiled_ms[i] + SLACK_MS &&
			to_ms + SLACK_MS >= server->spoiled_ms[i])
			return true;
	return false;
}

bool server_was_down(const struct server *server, u64 from_ms, u64 to_ms)
{
	if (was_spoiled(server, from_ms, to_ms) || tls_is_never_believed(server))
		return true;
	return server->down_to_ms && from_ms <= server->down_to_ms + SLACK_MS &&
	       to_ms + SLACK_MS >= server->down_from_ms;
}

bool server_closed_idle(const struct server *server, u64 from_ms, u64 to_ms)
{
	return server_closed_else(server, from_ms, to_ms, UINT64_MAX);
}

bool server_closed_else(const struct server *server, u64 from_ms, u64 to_ms, u64 but_ms)
{
	u32 count = MIN(server->idle_closed_count, (u32)ARRAY_LEN(server->idle_closed_ms));

	for (u32 i = 0; i < count; i++)
		if (server->idle_closed_ms[i] != but_ms &&
			from_ms <= server->idle_closed_ms[i] + SLACK_MS &&
			to_ms + SLACK_MS >= server->idle_closed_ms[i])
			return true;
	return false;
}

bool server_is_h2(const struct server *server)
{
	return server->h2;
}

void server_use_h2(struct server *server)
{
	server->h2 = true;
}

void server_use_tls(struct server *server, bool is_1_2)
{
	server->tls = true;
	server->tls_1_2 = is_1_2;
}

bool server_is_tls(const struct server *server)
{
	return server->tls;
}

u32 server_pool(const struct server *server)
{
	return server->pool;
}

const struct addr *server_addr(const struct server *server)
{
	return &server->addr;
}

struct str server_address(const struct server *server)
{
	return str_from(server->address);
}
