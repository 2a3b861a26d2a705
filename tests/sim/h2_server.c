// SPDX-License-Identifier: Apache-2.0
// A scripted backend's connections of HTTP/2: several calls at the same time, answered as planned,
// or not; connections that end at any byte, refuse, retire, and hold back their windows.
#include <stdio.h>

#include "base/mem.h"
#include "h2_wire.h"
#include "pattern.h"
#include "plan.h"
#include "server.h"

enum {
	jobs_max = 256, // on one connection
	whims_max = 6,
	whim_ms_max = 100,
	recent_ms = 500, // what was sent since then may be lost with its connection
	fields_max = 8,
	short_bytes_max = 8000,
	linger_ms = 1500,
	head_bytes = 120, // what plans take a head for
};

// One stream.
struct job {
	struct h2_service *service;
	u32 id;
	struct call *call;	 // NULL: a probe
	struct arrival *attempt; // of it
	struct script answer;	 // its plan; what goes out is counted here
	u32 body_at, interims_left;
	struct timer timer; // thinks
	bool answering, headed, answered, request_over, is_over, got_trailers;
};

struct h2_service {
	struct server *server;
	struct world *world;
	struct list node;
	struct rng rng;
	u32 serial, job_count, whims;
	struct job jobs[jobs_max];
	struct timer idle_timer, whim_timer;
	u64 idle_since_ms;
	bool served, cut_resets, retires, is_low, is_ending;
	bool has_long; // an answer that a slow client may take for long
	struct peer peer;
	struct h2_wire wire; // last, because its text is not zeroed
};

static struct h2_service *of_peer(struct peer *peer)
{
	return container_of(peer, struct h2_service, peer);
}

static struct h2_service *of_wire(struct h2_wire *wire)
{
	return container_of(wire, struct h2_service, wire);
}

static bool may_send(const struct h2_service *service)
{
	return !service->peer.closing && !service->peer.broken && !service->peer.shut &&
	       !service->wire.is_cut && !service->is_ending;
}

static bool is_alone(const struct h2_service *service)
{
	for (u32 i = 0; i < service->job_count; i++)
		if (!service->jobs[i].is_over)
			return false;
	return true;
}

// ---- The end of streams and of the connection ---------------------------------------------------

static void end_job(struct job *job)
{
	struct h2_service *service = job->service;

	job->is_over = true;
	loop_timer_cancel(service->world->outside, &job->timer);
	if (!is_alone(service))
		return;
	service->idle_since_ms = world_now_ms(service->world);
	if (service->server->idle_close_ms && !service->retires)
		world_set_timer(service->world, &service->idle_timer,
			rng_between(&service->rng, 0, service->server->idle_close_ms));
}

// All that it was about to say, and what it has just said, may be lost.
static void spoil(struct h2_service *service)
{
	u64 now_ms = world_now_ms(service->world);

	service->is_ending = true;
	server_note_idle_close(service->server);
	for (u32 i = 0; i < service->job_count; i++) {
		struct job *job = &service->jobs[i];
		struct arrival *attempt = job->attempt;

		if (!attempt ||
			(job->is_over &&
				MAX(attempt->answered_ms, attempt->last_ms) + recent_ms < now_ms))
			continue;
		attempt->gave_up = attempt->reset = true;
	}
}

static void end_connection(struct h2_service *service, bool resets)
{
	spoil(service);
	if (resets)
		tls_break(service->world, &service->peer);
	else
		tls_drop(service->world, &service->peer);
}

static void look_at_cut(struct h2_service *service)
{
	if (!service->wire.is_cut || service->is_ending || peer_is_sending(&service->peer))
		return;
	world_fault(service->world, FAULT_H2_SERVER_CUT);
	world_say(service->world, "server %u/%u: cut behind byte %llu", service->server->index,
		service->serial, (unsigned long long)service->wire.bytes_out);
	end_connection(service, service->cut_resets);
}

// What is not read would make a reset of an end in order.
static void end_in_order(struct h2_service *service)
{
	service->is_ending = true;
	peer_shut(&service->peer);
	world_set_timer(service->world, &service->idle_timer, linger_ms);
}

// Behind its GOAWAY it answers what it has, and then it is gone.
static void look_at_end(struct h2_service *service)
{
	if (service->retires && !service->is_ending && is_alone(service) &&
		h2_wire_is_flushed(&service->wire))
		end_in_order(service);
}

static void retire(struct h2_service *service, u32 last)
{
	if (service->retires)
		return;
	world_fault(service->world, FAULT_H2_SERVER_LEAVES);
	server_note_idle_close(service->server); // what is on its way is not taken
	service->retires = true;
	world_say(service->world, "server %u/%u: GOAWAY, last %u", service->server->index,
		service->serial, last);
	h2_wire_send_goaway(&service->wire, last, H2_WIRE_NO_ERROR);
}

// ---- Answers ------------------------------------------------------------------------------------

struct fields {
	nghttp2_nv nv[fields_max];
	u32 count;
};

static void put(struct fields *fields, const char *name, const char *value)
{
	ASSERT(fields->count < fields_max);
	fields->nv[fields->count++] = h2_wire_field(name, value);
}

static void put_bad(struct fields *fields, u32 bad)
{
	switch (bad % 4) {
	case 0:
		put(fields, "connection", "close");
		break;
	case 1:
		put(fields, "X-Upper", "1");
		break;
	case 2:
		put(fields, ":status", "200");
		break;
	case 3:
		put(fields, "transfer-encoding", "chunked");
		break;
	}
}

static bool has_body(const struct job *job)
{
	return job->answer.framing != READ_NONE;
}

static void note_said(struct job *job)
{
	struct arrival *attempt = job->attempt;

	attempt->last_ms = world_now_ms(job->service->world);
	if (!attempt->spoke)
		attempt->head_ms = attempt->last_ms;
	attempt->spoke = true;
}

static void send_interim(struct job *job, const char *status)
{
	struct fields fields = {.count = 0};

	put(&fields, ":status", status);
	put(&fields, "link", "</sim>");
	note_said(job);
	h2_wire_send_head(&job->service->wire, job->id, fields.nv, fields.count, false);
}

static void send_head(struct job *job)
{
	const struct answer *answer = &job->call->answer;
	bool bodiless = job->call->is_head || answer->status == 204 || answer->status == 304;
	struct fields fields = {.count = 0};
	char status[8], tag[24], length[16];

	snprintf(status, sizeof(status), "%u", answer->status);
	snprintf(tag, sizeof(tag), "%u.%u", job->call->id,
		(u32)(job->attempt - job->call->attempts));
	snprintf(length, sizeof(length), "%u", answer->body_len);
	put(&fields, ":status", status);
	put(&fields, "x-sim-answer", tag);
	put(&fields, "content-type", "text/sim");
	if ((answer->framing == READ_LENGTH || answer->flaw) && answer->status != 204)
		put(&fields, "content-length", length);
	if (answer->bad)
		put_bad(&fields, answer->bad);
	job->headed = true;
	// Behind a length of 0 nothing is missed.
	job->attempt->answer_whole = answer->framing == READ_LENGTH && answer->body_len == 0;
	note_said(job);
	h2_wire_send_head(
		&job->service->wire, job->id, fields.nv, fields.count, bodiless || !has_body(job));
}

static void note_trouble_of(struct job *job)
{
	const struct answer *answer = &job->call->answer;
	struct world *world = job->service->world;

	if (answer->bad || answer->flaw || answer->status >= 500)
		server_note_trouble(job->service->server);
	if (answer->bad)
		world_fault(world, FAULT_SERVER_BAD);
	if (!job->request_over && job->call->script.framing != READ_NONE)
		world_fault(world, FAULT_SERVER_EARLY);
}

static void start_answer(struct job *job)
{
	struct call *call = job->call;

	if (job->answering || job->is_over)
		return;
	job->answering = true;
	plan_answer_script(call, (u32)(job->attempt - call->attempts), &job->answer);
	job->interims_left = call->answer.bad ? 0 : call->answer.interims;
	world_say(job->service->world, "server %u/%u: call %u: answers %u, body %u, act %u at %u",
		job->service->server->index, job->service->serial, call->id, call->answer.status,
		job->answer.body_len, job->answer.act, job->answer.act_at);
	note_trouble_of(job);
}

static void finish_answer(struct job *job)
{
	struct h2_service *service = job->service;

	job->answered = job->attempt->answer_whole = true;
	job->attempt->answered_ms = world_now_ms(service->world);
	if (!job->request_over) { // RFC 9113 8.1
		h2_wire_send_reset(&service->wire, job->id, H2_WIRE_NO_ERROR);
		server_note_trouble(service->server);
		job->attempt->gave_up = true;
	}
	end_job(job);
	if (job->call->answer.close)
		retire(service, service->wire.last_id);
}

static void give_up(struct job *job, enum sim_fault fault)
{
	server_note_trouble(job->service->server);
	job->attempt->gave_up = true;
	world_fault(job->service->world, fault);
	world_say(job->service->world, "server %u/%u: call %u: gives up",
		job->service->server->index, job->service->serial, job->call->id);
}

static void do_act(struct job *job)
{
	struct h2_service *service = job->service;

	switch ((enum act)job->answer.act) {
	case ACT_NONE:
		break;
	case ACT_SHUT:
	case ACT_CLOSE: // of the stream
		give_up(job, FAULT_H2_SERVER_RESETS);
		h2_wire_send_reset(&service->wire, job->id, H2_WIRE_INTERNAL_ERROR);
		end_job(job);
		break;
	case ACT_RESET:
		give_up(job, FAULT_SERVER_RESETS);
		end_connection(service, true);
		break;
	case ACT_STALL:
		give_up(job, FAULT_SERVER_STALLS);
		job->attempt->stalled = true;
		job->answered = true;
		break;
	}
}

// Where in the body it does something instead of going on; never behind its last byte.
static u32 act_at(const struct job *job)
{
	const struct script *answer = &job->answer;
	u32 last = answer->body_len ? answer->body_len - 1 : 0;

	if (answer->act_at == ACT_AT_LAST)
		return last;
	return MIN(last, answer->act_at - MIN(answer->act_at, (u32)head_bytes));
}

static bool is_act_due(const struct job *job)
{
	const struct script *answer = &job->answer;

	if (!answer->act)
		return false;
	if (!job->headed)
		return answer->act_at < head_bytes / 2 || job->call->is_head || !has_body(job);
	return job->body_at >= act_at(job);
}

static bool send_piece(struct job *job)
{
	struct h2_wire *wire = &job->service->wire;
	struct script *answer = &job->answer;
	u32 end_at = answer->flaw ? answer->body_len / 2 : answer->body_len;
	bool trailers = answer->trailers && answer->framing == READ_CHUNKED && !answer->flaw, end;
	u32 left, len, room = h2_wire_room(wire, job->id);
	char piece[H2_WIRE_FRAME_MAX];

	if (answer->act)
		end_at = MIN(end_at, act_at(job));
	left = end_at - MIN(end_at, job->body_at);
	len = MIN(left, room);
	if (left && !len)
		return false;
	len = MIN(len, MAX(job->call->answer.piece_max, job->body_at / 16 + 1));
	end = len == left && !trailers && (!answer->act || answer->flaw);
	pattern_fill(piece, answer->key, job->body_at, len);
	job->body_at += len;
	job->service->has_long |= job->body_at > short_bytes_max;
	if (len || end) {
		note_said(job);
		h2_wire_send_data(wire, job->id, piece, len, end);
	}
	if (len == left && !end && !answer->act) {
		nghttp2_nv trailer = h2_wire_field("x-sim-trailer", "yes");

		h2_wire_send_head(wire, job->id, &trailer, 1, true);
		end = true;
	}
	if (end)
		finish_answer(job);
	return !end;
}

static void pump_job(struct job *job)
{
	while (may_send(job->service) && job->answering && !job->answered && !job->is_over) {
		if (job->interims_left) {
			job->interims_left--;
			send_interim(job, "103");
		} else if (is_act_due(job)) {
			do_act(job);
		} else if (!job->headed) {
			send_head(job);
			if (job->call->is_head || !has_body(job))
				finish_answer(job);
		} else if (!send_piece(job)) {
			return;
		}
	}
}

static void pump(struct h2_service *service)
{
	u32 first = service->job_count ? rng_between(&service->rng, 0, service->job_count - 1) : 0;

	for (u32 i = 0; i < service->job_count; i++)
		pump_job(&service->jobs[(first + i) % service->job_count]);
	look_at_cut(service);
	look_at_end(service);
}

static void on_job_timer(struct timer *timer)
{
	struct job *job = container_of(timer, struct job, timer);

	start_answer(job);
	pump(job->service);
}

// ---- Requests -----------------------------------------------------------------------------------

static void answer_probe(struct job *job)
{
	struct h2_service *service = job->service;
	const struct server *server = service->server;
	struct fields fields = {.count = 0};
	bool ill = server_is_between(service->world, server->sick_from_ms, server->sick_to_ms);

	if (server_is_between(service->world, server->hang_from_ms, server->hang_to_ms))
		return;
	if (ill) {
		server_note_trouble(server);
		world_fault(service->world, FAULT_SERVER_SICK);
	}
	put(&fields, ":status", ill ? "503" : "200");
	h2_wire_send_head(&service->wire, job->id, fields.nv, fields.count, true);
	end_job(job);
}

// As if it had never come. The backend says so in one of two ways.
static void refuse(struct h2_service *service, struct call *call, u32 id)
{
	call->refused++;
	call->refused_ms = world_now_ms(service->world);
	service->idle_since_ms = world_now_ms(service->world);
	server_note_trouble(service->server);
	if (rng_one_in(&service->rng, 2)) {
		world_fault(service->world, FAULT_H2_SERVER_REFUSES);
		world_say(service->world, "server %u/%u: call %u is refused",
			service->server->index, service->serial, call->id);
		h2_wire_send_reset(&service->wire, id, H2_WIRE_REFUSED_STREAM);
		return;
	}
	h2_wire_stream(&service->wire, id)->is_reset = true; // nothing is said of it any more
	retire(service, id - 2 == UINT32_MAX ? 0 : id - 2);
	look_at_end(service);
}

static struct arrival *new_attempt(struct job *job)
{
	struct h2_service *service = job->service;
	struct call *call = job->call;

	if (call->attempt_count == ATTEMPTS_MAX) {
		world_fail(service->world, "call %u: came to backends %u times", call->id,
			ATTEMPTS_MAX + 1);
		return NULL;
	}
	job->attempt = &call->attempts[call->attempt_count++];
	*job->attempt = (struct arrival){.server = service->server,
		.connection = service->serial,
		.kept = job->id > 1,
		.began_ms = world_now_ms(service->world)};
	world_say(service->world, "server %u/%u: call %u, attempt %u, stream %u",
		service->server->index, service->serial, call->id, call->attempt_count, job->id);
	return job->attempt;
}

static void begin_job(struct job *job, const struct read_message *message, bool end)
{
	struct h2_service *service = job->service;
	struct world *world = service->world;
	struct call *call = job->call;

	if (!new_attempt(job))
		return;
	check_request(call, job->attempt, message);
	if (server_is_between(world, service->server->hang_from_ms, service->server->hang_to_ms)) {
		give_up(job, FAULT_SERVER_HANGS);
		job->attempt->stalled = true;
		job->answering = job->answered = true;
		return;
	}
	if (call->answer.stale && job->attempt->kept && call->attempt_count == 1) {
		give_up(job, FAULT_SERVER_STALE);
		end_connection(service, call->answer.stale_reset);
		return;
	}
	if (call->answer.deaf && !end && !service->server->released) {
		world_fault(world, FAULT_SERVER_DEAF);
		job->attempt->gave_up = job->attempt->stalled = true;
		h2_wire_withhold(&service->wire, job->id, true);
	}
	if (call->expect && call->id % 7 && !call->answer.early) {
		job->attempt->interims++;
		send_interim(job, "100");
	}
	if (call->answer.early && !end)
		world_set_timer(service->world, &job->timer, call->answer.think_ms);
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

static void request_ends(struct job *job)
{
	struct h2_service *service = job->service;
	struct call *call = job->call;

	job->request_over = job->attempt->request_whole = true;
	if (job->attempt->body_len != call->script.body_len)
		world_fail(service->world, "call %u: %llu bytes of the request came, not %u",
			call->id, (unsigned long long)job->attempt->body_len,
			call->script.body_len);
	if (call->script.flaw)
		world_fail(service->world, "call %u: a malformed body was completed", call->id);
	if (job->got_trailers != (call->script.trailers && call->script.framing == READ_CHUNKED) &&
		(job->got_trailers || (job->attempt == call->attempts && !call->refused &&
					      !pool_closed_idle(service->server, call))))
		world_fail(service->world, "call %u: trailers lost or invented", call->id);
	if (!job->answering)
		world_set_timer(service->world, &job->timer, call->answer.think_ms);
}

static struct job *job_of(struct h2_service *service, u32 id)
{
	for (u32 i = service->job_count; i-- > 0;)
		if (service->jobs[i].id == id)
			return service->jobs[i].is_over ? NULL : &service->jobs[i];
	return NULL;
}

static struct job *new_job(struct h2_service *service, u32 id)
{
	struct job *job = &service->jobs[service->job_count++];

	ASSERT(service->job_count <= jobs_max);
	loop_timer_cancel(service->world->outside, &service->idle_timer);
	service->served = true;
	job->service = service;
	job->id = id;
	timer_init(&job->timer, on_job_timer);
	return job;
}

static bool wants_no_more(const struct h2_service *service, u32 id)
{
	return service->retires && id > service->wire.goaway_last;
}

static void take_request(
	struct h2_service *service, u32 id, const struct read_message *message, bool end)
{
	struct call *call;
	struct job *job;

	if (service->world->judged && server_is_probe(message)) {
		answer_probe(new_job(service, id));
		return;
	}
	call = server_call_of(service->world, message);
	if (!call)
		return;
	if (wants_no_more(service, id)) {
		call->refused++;
		h2_wire_stream(&service->wire, id)->is_reset = true;
		return;
	}
	if (call->answer.extra && call->refused < 2) {
		refuse(service, call, id);
		return;
	}
	job = new_job(service, id);
	job->call = call;
	begin_job(job, message, end);
	if (end && job->attempt && !job->is_over)
		request_ends(job);
}

static void on_head(struct h2_wire *wire, u32 id, const struct read_message *message,
	bool is_trailers, bool end)
{
	struct h2_service *service = of_wire(wire);
	struct job *job;

	if (service->is_ending)
		return;
	if (!is_trailers) {
		take_request(service, id, message, end);
		return;
	}
	job = job_of(service, id);
	if (!job || !job->attempt)
		return;
	job->got_trailers = true;
	if (message->count != 1 || !message_find(message, "X-Sim-Trailer"))
		world_fail(service->world, "call %u: trailers that nobody sent", job->call->id);
	request_ends(job);
}

static void on_data(struct h2_wire *wire, u32 id, const char *bytes, size_t len, bool end)
{
	struct h2_service *service = of_wire(wire);
	struct job *job = job_of(service, id);

	if (!job || !job->attempt || service->is_ending)
		return;
	if (!pattern_matches(bytes, job->call->id * 4ull, job->attempt->body_len, len))
		world_fail(service->world, "call %u: wrong bytes of the request at %llu",
			job->call->id, (unsigned long long)job->attempt->body_len);
	job->attempt->body_len += len;
	job->attempt->read_ms = world_now_ms(service->world);
	if (end)
		request_ends(job);
}

static void on_reset(struct h2_wire *wire, u32 id, u32 code)
{
	struct h2_service *service = of_wire(wire);
	struct job *job = job_of(service, id);

	world_say(service->world, "server %u/%u: stream %u is reset: %u", service->server->index,
		service->serial, id, code);
	if (!job)
		return;
	if (job->attempt) {
		job->attempt->broken = true;
		job->attempt->ended_ms = world_now_ms(service->world);
	}
	end_job(job);
}

static void on_goaway(struct h2_wire *wire, u32 last, u32 code)
{
	struct h2_service *service = of_wire(wire);

	(void)last;
	if (code != H2_WIRE_NO_ERROR)
		for (u32 i = 0; i < service->job_count; i++)
			if (service->jobs[i].call && service->jobs[i].call->answer.bad)
				return;
	if (code != H2_WIRE_NO_ERROR)
		world_fail(service->world, "server %u/%u: GOAWAY with code %u",
			service->server->index, service->serial, code);
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

// ---- Whims --------------------------------------------------------------------------------------

static void change_window(struct h2_service *service)
{
	struct h2_wire *wire = &service->wire;

	if (service->is_low) {
		service->is_low = false;
		if (wire->is_withheld)
			h2_wire_withhold(wire, 0, false);
		else
			h2_wire_send_setting(wire, H2_WIRE_INITIAL_WINDOW_SIZE,
				rng_between(&service->rng, 1000, 100000));
		return;
	}
	service->is_low = true;
	world_fault(service->world, FAULT_H2_STALL);
	if (rng_one_in(&service->rng, 2))
		h2_wire_withhold(wire, 0, true);
	else
		h2_wire_send_setting(
			wire, H2_WIRE_INITIAL_WINDOW_SIZE, rng_between(&service->rng, 0, 50));
}

static void on_whim(struct timer *timer)
{
	struct h2_service *service = container_of(timer, struct h2_service, whim_timer);
	struct h2_wire *wire = &service->wire;

	if (!may_send(service))
		return;
	if (wire->out_len > H2_WIRE_OUT_DATA || wire->settings_out == H2_WIRE_SETTINGS_MAX) {
		if (service->is_low) // not for ever
			world_set_timer(service->world, timer, whim_ms_max);
		return;
	}
	if (service->is_low || rng_one_in(&service->rng, 3)) {
		change_window(service);
	} else if (rng_one_in(&service->rng, 2)) {
		world_fault(service->world, FAULT_H2_PING);
		h2_wire_send_ping(wire);
	} else if (rng_one_in(&service->rng, 2)) {
		world_fault(service->world, FAULT_H2_TABLE);
		h2_wire_send_setting(wire, H2_WIRE_HEADER_TABLE_SIZE,
			rng_one_in(&service->rng, 2) ? 0 : rng_between(&service->rng, 50, 4096));
	} else if (rng_one_in(&service->rng, 3)) {
		retire(service, wire->last_id);
	} else {
		h2_wire_send_setting(
			wire, H2_WIRE_MAX_CONCURRENT_STREAMS, rng_between(&service->rng, 1, 100));
	}
	h2_wire_flush(wire);
	look_at_cut(service);
	look_at_end(service);
	if (may_send(service) && (service->is_low || ++service->whims < whims_max))
		world_set_timer(service->world, timer,
			rng_between(&service->rng, 1,
				service->is_low ? whim_ms_max : 10 * whim_ms_max));
}

// ---- The connection -----------------------------------------------------------------------------

static void on_idle_timer(struct timer *timer)
{
	struct h2_service *service = container_of(timer, struct h2_service, idle_timer);

	if (service->is_ending)
		peer_close(&service->peer);
	if (service->is_ending || !is_alone(service))
		return;
	if (rng_one_in(&service->rng, 2)) {
		retire(service, service->wire.last_id);
		look_at_end(service);
	} else if (h2_wire_is_flushed(&service->wire)) {
		server_note_idle_close(service->server);
		end_in_order(service);
	}
}

static void on_bytes(struct peer *peer, const char *bytes, size_t len)
{
	struct h2_service *service = of_peer(peer);

	h2_wire_feed(&service->wire, bytes, len);
	if (service->wire.error && !peer->closing)
		world_fail(service->world, "server %u/%u: %s", service->server->index,
			service->serial, service->wire.error);
	pump(service);
}

static void note_end(struct h2_service *service, bool broken)
{
	service->is_ending = true;
	for (u32 i = 0; i < service->job_count; i++) {
		struct job *job = &service->jobs[i];

		if (job->is_over || !job->attempt)
			continue;
		job->attempt->broken = true;
		job->attempt->in_ended = !broken;
		job->attempt->ended_ms = world_now_ms(service->world);
	}
	peer_close(&service->peer);
}

static void on_end(struct peer *peer)
{
	struct h2_service *service = of_peer(peer);

	world_say(service->world, "server %u/%u: end of stream", service->server->index,
		service->serial);
	if (service->served && !service->is_ending && !service->retires && is_alone(service) &&
		!service->has_long)
		check_idle_end(service->world, service->idle_since_ms);
	note_end(service, false);
}

static void on_broken(struct peer *peer, int error)
{
	struct h2_service *service = of_peer(peer);

	world_say(service->world, "server %u/%u: broken: %d", service->server->index,
		service->serial, error);
	tls_check_broken(service->world, peer, error,
		service->served && !service->is_ending && !service->retires && is_alone(service));
	note_end(service, true);
}

static void on_sent(struct peer *peer)
{
	struct h2_service *service = of_peer(peer);

	h2_wire_flush(&service->wire);
	pump(service);
}

static void on_closed(struct peer *peer)
{
	struct h2_service *service = of_peer(peer);
	struct loop *outside = service->world->outside;

	for (u32 i = 0; i < service->job_count; i++)
		loop_timer_cancel(outside, &service->jobs[i].timer);
	loop_timer_cancel(outside, &service->idle_timer);
	loop_timer_cancel(outside, &service->whim_timer);
	h2_wire_done(&service->wire);
	list_remove(&service->node);
	service->world->services_open--;
	if (peer->spoiled || peer->ways.refusal)
		server_end_spoiled(service->server, peer);
	mem_free(service);
}

static void on_spoiled(struct peer *peer)
{
	struct h2_service *service = of_peer(peer);

	world_say(service->world, "server %u/%u: breaks its handshake: %u", service->server->index,
		service->serial, peer->ways.act);
	world_fault(service->world, FAULT_TLS_SERVER_SPOILS);
	server_note_spoiled(service->server);
	service->is_ending = true;
}

static const struct peer_events peer_events = {
	.on_spoiled = on_spoiled,
	.on_bytes = on_bytes,
	.on_end = on_end,
	.on_broken = on_broken,
	.on_sent = on_sent,
	.on_closed = on_closed,
};

static void choose_ways(struct h2_service *service)
{
	static const u32 initials[] = {100, 1000, 16384, 65535, 65535, 1 << 20};
	struct h2_wire *wire = &service->wire;
	u32 streams = rng_one_in(&service->rng, 3) ? rng_between(&service->rng, 1, 3) : 100;

	h2_wire_init(wire, false, &service->peer, &service->rng,
		initials[rng_between(&service->rng, 0, 5)], &h2_wire_events);
	wire->scheme = service->server->tls ? "https" : "http";
	wire->piece_max = rng_one_in(&service->rng, 4) ? rng_between(&service->rng, 1, 100)
						       : H2_WIRE_FRAME_MAX;
	wire->window_step = rng_one_in(&service->rng, 3) ? 300 : 1;
	wire->head_piece = rng_one_in(&service->rng, 5) ? rng_between(&service->rng, 1, 60) : 0;
	wire->pad_one_in = rng_one_in(&service->rng, 4) ? 3 : 0;
	if (rng_one_in(&service->rng, 12)) {
		wire->cut_at = 1 + rng_between(&service->rng, 0,
					   rng_one_in(&service->rng, 2) ? 400 : 20000);
		service->cut_resets = rng_one_in(&service->rng, 2);
	}
	if (streams < 100)
		world_fault(service->world, FAULT_H2_SERVER_NARROW);
	h2_wire_greet(wire, streams,
		rng_one_in(&service->rng, 2) ? rng_between(&service->rng, 1, 1 << 20) : 0);
	if (rng_one_in(&service->rng, 2))
		world_set_timer(service->world, &service->whim_timer,
			rng_between(&service->rng, 1, 10 * whim_ms_max));
}

void h2_service_new(struct server *server, int fd)
{
	struct h2_service *service = mem_try_alloc(sizeof(*service));
	struct world *world = server->world;

	ASSERT(service);
	memset(service, 0, offsetof(struct h2_service, wire));
	service->server = server;
	service->world = world;
	service->serial = ++world->connection_serial;
	rng_init(&service->rng, world->seed ^ (0x5e482000ull + service->serial));
	timer_init(&service->idle_timer, on_idle_timer);
	timer_init(&service->whim_timer, on_whim);
	list_push_back(&server->services, &service->node);
	world->services_open++;
	peer_init(&service->peer, world->outside, &peer_events);
	tls_plan_service(server, &service->peer);
	peer_accept(&service->peer, fd);
	choose_ways(service);
}

void h2_services_die(struct server *server)
{
	list_for_each_safe (node, &server->services)
		end_connection(list_entry(node, struct h2_service, node), true);
}

void h2_services_release(struct server *server)
{
	list_for_each_safe (node, &server->services) {
		struct h2_service *service = list_entry(node, struct h2_service, node);

		service->is_ending = true;
		peer_reset(&service->peer);
	}
}
