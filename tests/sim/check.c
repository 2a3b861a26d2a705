// SPDX-License-Identifier: Apache-2.0
// What must hold, whatever happens: of each request as a backend sees it, of each answer as a
// client sees it, of the worker after each turn, and of everything at the end.
#include <stdio.h>
#include <stdlib.h>

#include "plan.h"
#include "proxy/exchange.h"
#include "sim.h"

enum {
	strict_frontend = 1,
	tcp_frontend = 2,
	// A window of one answer that is leaving, one of the next, heads, and what framing small
	// chunks costs.
	queued_bytes_max = 2 * RELAY_WINDOW_BYTES + 64 * 1024,
	drain_grace_ms = 1000,
	kept_bytes_max = 48 * 1024,
};

// ---- Requests at the backends -------------------------------------------------------------------

void check_field(
	struct call *call, const struct read_message *message, const char *name, const char *wanted)
{
	const struct str *value = message_find(message, name);

	if (!wanted) {
		if (value)
			world_fail(call->world, "call %u: %s was passed on", call->id, name);
		return;
	}
	if (message_count(message, name) != 1 || !str_eq(*value, str_from(wanted)))
		world_fail(call->world, "call %u: %s is \"%.*s\" (%u of them), not \"%s\"",
			call->id, name, value ? (int)value->len : 0, value ? value->ptr : "",
			message_count(message, name), wanted);
}

static bool is_secure(const struct call *call)
{
	return call->world->conf->frontends[caller_frontend(call->caller)].tls.enabled;
}

static void check_forwarding(
	struct call *call, const struct arrival *attempt, const struct read_message *message)
{
	struct str address = server_address(attempt->server);
	const char *own_name = str_starts(address, STR("unix:")) ? "localhost" : address.ptr;
	bool believed = call->spoofs && call->world->trusting;
	char ip[ADDR_TEXT_MAX], forwarded_for[ADDR_TEXT_MAX + 16];
	const struct str *id = message_find(message, "X-Request-Id");
	const char *scheme = is_secure(call) ? "https" : "http";

	addr_format_ip(caller_addr(call->caller), ip);
	snprintf(forwarded_for, sizeof(forwarded_for), "%s%s", believed ? "6.6.6.6, " : "", ip);
	check_field(call, message, "X-Forwarded-For", forwarded_for);
	check_field(call, message, "X-Forwarded-Proto", believed ? "gopher" : scheme);
	check_field(call, message, "X-Forwarded-Host", believed ? "evil" : call->host);
	check_field(call, message, "X-Real-IP", believed ? "6.6.6.7" : NULL);
	check_field(call, message, "Forwarded", believed ? "for=6.6.6.8" : NULL);
	check_field(call, message, "X-Forwarded-By", "weir");
	check_field(call, message, "X-Backend-Server", address.ptr);
	check_field(call, message, "Host", call->host ? call->host : own_name);
	if (!id || message_count(message, "X-Request-Id") != 1 ||
		(believed ? !str_eq(*id, STR("forged")) : id->len != 32))
		world_fail(call->world, "call %u: wrong X-Request-Id", call->id);
}

static void check_hop_fields(
	struct call *call, const struct arrival *attempt, const struct read_message *message)
{
	static const char *const hop[] = {"Keep-Alive", "Proxy-Connection", "TE",
		"Proxy-Authorization", "X-Hop", "HTTP2-Settings"};

	// What it says of trailers is for every connection of HTTP/2 (RFC 9113 8.2.2).
	for (size_t i = 0; i < ARRAY_LEN(hop); i++)
		if (!server_is_h2(attempt->server) || strcmp(hop[i], "TE") != 0)
			check_field(call, message, hop[i], NULL);
	check_field(call, message, "Connection", call->upgrade ? "upgrade" : NULL);
	check_field(call, message, "Upgrade", call->upgrade ? "sim" : NULL);
	check_field(call, message, "Expect", call->expect ? "100-continue" : NULL);
	check_field(call, message, "User-Agent", "sim");
	check_field(call, message, "Accept", "*/*");
}

static void check_again(struct call *call, const struct arrival *attempt)
{
	const struct arrival *first = call->attempts;

	if (attempt == first)
		return;
	if (call->world->judged) {
		judge_check_again(call, attempt);
		return;
	}
	if (!call->may_replay)
		world_fail(
			call->world, "call %u: %s came to backends twice", call->id, call->method);
	else if (attempt != first + 1)
		world_fail(call->world, "call %u: replayed more than once", call->id);
	else if (!server_is_h2(first->server) && (!first->kept || (first->spoke && !first->reset)))
		world_fail(call->world, "call %u: replayed though its connection was %s", call->id,
			first->kept ? "answering" : "fresh");
	else if (attempt->kept && !server_is_h2(attempt->server))
		world_fail(call->world, "call %u: replayed on a kept connection", call->id);
}

void check_request(struct call *call, struct arrival *attempt, const struct read_message *message)
{
	struct world *world = call->world;
	const struct script *script = &call->script;

	if (call->bad)
		world_fail(world, "call %u: a refused request (%s) was forwarded", call->id,
			bad_head_name((enum bad_head)call->bad));
	if (call->redirect || call->is_misdirected ||
		(call->large && script->framing == READ_LENGTH) ||
		(caller_frontend(call->caller) == strict_frontend &&
			(call->no_route || !call->host)))
		world_fail(world, "call %u: came to a backend, which it must not", call->id);
	if (!str_eq(message->method, str_from(call->method)) ||
		!str_eq(message->target, str_from(call->target)) || message->minor != 1)
		world_fail(world, "call %u: request line is \"%.*s %.*s\"", call->id,
			STR_FMT(message->method), STR_FMT(message->target));
	if (message->framing != script->framing && !(script->framing == READ_TO_END))
		world_fail(world, "call %u: framing changed", call->id);
	if (script->framing == READ_LENGTH && message->length != script->body_len)
		world_fail(world, "call %u: length changed", call->id);
	if (server_pool(attempt->server) != call->pool &&
		(i32)server_pool(attempt->server) != world->conf->pools[call->pool].failover)
		world_fail(world, "call %u: went to the wrong pool", call->id);
	check_forwarding(call, attempt, message);
	check_hop_fields(call, attempt, message);
	tls_check_request(call, message);
	spans_note(call, message);
	check_again(call, attempt);
}

// ---- Answers at the clients ---------------------------------------------------------------------

static void check_local(struct call *call, const struct read_message *message)
{
	const struct str *status = message_find(message, "Proxy-Status");

	call->local = true;
	if (message->status == 308 ? !message_find(message, "Location")
				   : !status || !str_starts(*status, STR("weir")))
		world_fail(call->world, "call %u: an answer (%u) that nobody gave", call->id,
			message->status);
	if (message->status == 503 && !message_find(message, "Retry-After"))
		world_fail(call->world, "call %u: 503 without Retry-After", call->id);
}

static void check_backends_answer(
	struct call *call, const struct read_message *message, const struct str *tag)
{
	struct world *world = call->world;
	struct str rest = *tag, id_text = str_cut(&rest, '.');
	u64 id, index;

	if (str_to_u64(id_text, CALLS_MAX, &id) != 0 ||
		str_to_u64(rest, ATTEMPTS_MAX - 1, &index) != 0 || id == 0 ||
		id > world->call_count) {
		world_fail(
			world, "call %u: got an answer tagged \"%.*s\"", call->id, STR_FMT(*tag));
		return;
	}
	// Behind bytes that came unasked, just as a request left, all answers shift. Nobody can
	// tell.
	if (world->calls[id - 1].attempts[index].tainted) {
		call->unasked = true;
		return;
	}
	if (id != call->id) {
		world_fail(world, "call %u: got the answer of \"%.*s\"", call->id, STR_FMT(*tag));
		return;
	}
	call->attempt_seen = (i32)index;
	if (index + 1 != call->attempt_count && !judge_hedges(call))
		world_fail(world, "call %u: got the answer of attempt %u of %u", call->id,
			(u32)index, call->attempt_count);
	if (call->answer.bad)
		world_fail(world, "call %u: a malformed answer (%s) was passed on", call->id,
			bad_answer_name((enum bad_answer)call->answer.bad));
	if (message->status != call->answer.status)
		world_fail(world, "call %u: status %u, not %u", call->id, message->status,
			call->answer.status);
	if (call->answer.framing == READ_LENGTH && call->answer.status != 204 &&
		(!message->has_length || message->length != call->answer.body_len))
		world_fail(world, "call %u: length of the answer changed", call->id);
	check_field(call, message, "X-Hop", NULL);
	check_field(call, message, "Keep-Alive", NULL);
	check_field(call, message, "Proxy-Authenticate", NULL);
	check_field(call, message, "Content-Type", "text/sim");
}

static void check_drain(struct call *call, const struct read_message *message)
{
	const struct world *world = call->world;
	u64 head_ms = call->got_ms - MIN(call->got_ms, SLACK_MS + 0ull);

	if (!world->drained_ms || message->status == 101 || call->h2 ||
		caller_is_late(call->caller))
		return;
	if (!call->local && call->attempt_seen >= 0)
		head_ms = call->attempts[call->attempt_seen].head_ms;
	if (head_ms > world->drained_ms && !message->close)
		world_fail(call->world, "call %u: answer while draining without Connection: close",
			call->id);
}

void check_answer_head(struct call *call, const struct read_message *message)
{
	const struct str *tag = message_find(message, "X-Sim-Answer");

	if (message_find(message, "X-Sim-Unasked"))
		call->unasked = true;
	else if (tag)
		check_backends_answer(call, message, tag);
	else
		check_local(call, message);
	if (call->minor == 0 && message->framing == READ_CHUNKED)
		world_fail(call->world, "call %u: chunks for an HTTP/1.0 client", call->id);
	if (call->close && !message->close && message->status != 101)
		world_fail(call->world, "call %u: asked for close and did not get it", call->id);
	if (message->status == 101 && !call->upgrade)
		world_fail(call->world, "call %u: switched without being asked", call->id);
	check_drain(call, message);
}

// ---- The end of a call --------------------------------------------------------------------------

struct excuses {
	bool caller;	 // the client misbehaved, so its request may fail
	bool backend;	 // ... a backend did
	bool connection; // no backend could be reached
	bool everywhere; // the worker was short of something, or told to stop
};

// A body is held for a second try up to a size, and trailers are not.
static bool body_is_kept(const struct call *call)
{
	return call->script.body_len <= kept_bytes_max &&
	       !(call->script.framing == READ_CHUNKED && call->script.trailers);
}

static void backends_excuses(const struct call *call, struct excuses *excuses)
{
	const struct world *world = call->world;
	u64 to_ms = call->ended_ms ? call->ended_ms : world_now_ms(world);
	bool all_down = true, any_down = false;

	for (u32 i = 0; i < call->attempt_count; i++) {
		const struct arrival *attempt = &call->attempts[i];
		// A request that may be replayed survives a kept connection that goes stale.
		bool survives = call->may_replay && attempt->kept && !attempt->spoke &&
				!attempt->stalled && !call->answer.bad && body_is_kept(call) &&
				!server_is_h2(attempt->server); // it may not have been idle

		if (attempt->gave_up && !survives)
			excuses->backend = true;
	}
	if (call->attempt_count && (call->answer.bad || call->answer.flaw))
		excuses->backend = true;
	if (call->refused && call->script.framing != READ_NONE) // its body may be gone
		excuses->backend = true;
	for (u32 i = 0; i < world->server_count; i++) {
		const struct server *server = world->servers[i];

		if (server_pool(server) != call->pool)
			continue;
		if (!server_was_down(server, call->began_ms, to_ms))
			all_down = false;
		else
			any_down = excuses->backend = true;
		// A kept connection closed just before the request came; of HTTP/2, others were on
		// it.
		if (server_closed_idle(server, call->began_ms, to_ms) &&
			(server_is_h2(server) || !(call->may_replay && body_is_kept(call))))
			excuses->backend = true;
		// The rest of what was said unasked met this one, and looked like its answer.
		if (call->local && call->attempt_count == 0 &&
			server_closed_idle(
				server, call->began_ms - MIN(call->began_ms, SLACK_MS), to_ms))
			excuses->backend = true;
	}
	// It was sent behind a request that had an answer already, by what was said unasked.
	for (u32 i = 0; i < world->call_count && call->local && call->attempt_count == 0; i++)
		if (world->calls[i].unasked && world->calls[i].pool == call->pool &&
			world->calls[i].got_ms <= call->got_ms)
			excuses->backend = true;
	// What one has refused goes to another.
	excuses->connection = all_down || world->chaotic || (any_down && call->refused);
	if (world->judged)
		judge_excuses(call, &excuses->backend, &excuses->connection);
}

static struct excuses excuses_of(const struct call *call)
{
	const struct world *world = call->world;
	struct excuses excuses = {
		.caller = call->left || call->stalled || call->shut_early || call->was_deaf ||
			  call->script.flaw || call->bad || call->large || call->pause_one_in ||
			  call->late || call->dripped,
		.everywhere = world->scarce || world->aborted_ms,
	};

	backends_excuses(call, &excuses);
	return excuses;
}

static void fail_call(struct call *call, const char *what)
{
	world_fail(call->world, "call %u (%s %s%s%s): %s (status %u%s%s, attempts %u)", call->id,
		call->method, call->target, call->bad ? ", bad " : "",
		call->bad ? bad_head_name((enum bad_head)call->bad) : "", what, call->status,
		call->local ? " local " : "", call->outcome, call->attempt_count);
}

static void check_whole(struct call *call)
{
	const struct script *script = &call->script;
	const struct arrival *attempt = &call->attempts[call->attempt_seen];
	struct script answer;

	if (call->bad || call->redirect || call->no_route || call->is_misdirected)
		fail_call(call, "answered by a backend");
	if (call->answer.status == 101)
		return;
	plan_answer_script(call, 0, &answer);
	// Those of a copy are not passed on, and what it was copied from may not have arrived.
	if (call->minor && call->interims != call->answer.interims + attempt->interims &&
		!(call->world->judged && (call->attempt_count > 1 || judge_hedges(call))))
		fail_call(call, "interim answers were lost or invented");
	if (!attempt->answer_whole)
		fail_call(call, "an answer looks complete and is not");
	if (call->answer.flaw && answer.body_len)
		fail_call(call, "a malformed body looks like a good one");
	if (call->body_seen != answer.body_len)
		fail_call(call, "the answer's body has the wrong length");
	if (script->flaw && script->flaw != FLAW_TRAILER && attempt->request_whole)
		fail_call(call, "a malformed request was completed");
}

// Weir's handshake is over before the client's, by what the last flight takes.
static bool waited(const struct call *call, u64 from_ms, u64 least_ms)
{
	u32 before_ms = is_secure(call) ? SLACK_MS : 2;

	return call->got_ms + before_ms >= from_ms + least_ms;
}

// A wait that a deadline ends may not last longer either.
static bool in_time(const struct call *call, u64 from_ms, u64 most_ms)
{
	return call->world->scarce || call->late || call->expect ||
	       call->got_ms <= from_ms + most_ms + 3 * SLACK_MS;
}

static bool ended_in_time(const struct call *call, u64 from_ms, u64 most_ms)
{
	return call->world->scarce || call->ended_ms <= from_ms + most_ms + 3 * SLACK_MS;
}

static u64 last_act_ms(const struct call *call)
{
	const struct arrival *last = &call->attempts[call->attempt_count - 1];

	if (!call->attempt_count)
		return call->sent_ms;
	return MAX(MAX(last->began_ms, MAX(last->last_ms, last->read_ms)), call->sent_ms);
}

static const struct call *call_before(const struct call *call)
{
	const struct call *before = call - 1;

	// Streams do not wait for each other.
	return call->id > 1 && !call->h2 && before->caller == call->caller &&
			       before->connection == call->connection
		       ? before
		       : NULL;
}

// The same, and the client has the answer before it: what goes to it is a sign of life, too.
static u64 last_news_ms(const struct call *call)
{
	const struct call *before = call_before(call);

	return MAX(last_act_ms(call), before ? before->ended_ms : 0);
}

// When weir can have begun to wait for the head: a pipelined one is not looked at before.
static u64 head_wait_ms(const struct call *call)
{
	const struct world *world = call->world;
	const struct call *before = call_before(call);

	// The second of grace that draining gives may begin anew with a head's first byte.
	if (world->drained_ms && world->drained_ms >= call->head_since_ms &&
		world->drained_ms <= call->sent_ms)
		return call->sent_ms;
	return before ? MAX(call->head_since_ms, before->ended_ms) : call->head_since_ms;
}

static bool stall_is_due(const struct call *call)
{
	const struct arrival *last = &call->attempts[call->attempt_count - 1];

	return call->attempt_count &&
	       waited(call, last->began_ms, call->world->limits.response_ms - SLACK_MS);
}

// 408: the head or the body came too slowly.
static bool late_is_fair(const struct call *call, struct excuses excuses)
{
	bool in_head = !call->sent_head ||
		       str_eq(str_from(call->outcome), STR("client_timeout_header")) ||
		       (call->attempt_count == 0 &&
			       !str_starts(str_from(call->outcome), STR("client_body")));
	u64 limit_ms = in_head ? call->world->limits.header_ms : call->world->limits.body_idle_ms;

	return (call->stalled || call->dripped || call->raced || excuses.everywhere) &&
	       waited(call, MIN(call->head_since_ms, call->sent_ms), limit_ms) &&
	       in_time(call, in_head ? head_wait_ms(call) : last_act_ms(call), limit_ms);
}

// In a seed where backends are judged.
static bool refusal_is_fair(const struct call *call, struct excuses excuses)
{
	struct str outcome = str_from(call->outcome);

	if (excuses.everywhere)
		return true;
	if (str_starts(outcome, STR("queue_")) || str_eq(outcome, STR("shed")))
		return judge_has_limits(call);
	if (str_eq(outcome, STR("request_timeout")))
		return judge_is_late(call);
	return excuses.backend || excuses.connection;
}

// 504: the answer did not come in time.
static bool lateness_is_fair(const struct call *call, struct excuses excuses)
{
	// It waited behind a request that its backend had not answered in truth.
	if (call->attempt_count == 0)
		return excuses.backend;
	return stall_is_due(call) &&
	       (call->answer.deaf || // it took a while until its window was full
		       in_time(call, last_act_ms(call), call->world->limits.response_ms)) &&
	       (call->attempts[call->attempt_count - 1].stalled || call->dripped ||
		       excuses.everywhere);
}

// A backend said once that it did nothing with it, and nothing else happened in its pool: it goes
// to another connection, whatever its method is.
static bool was_only_refused(const struct call *call, struct excuses excuses)
{
	const struct world *world = call->world;

	if (world->judged || excuses.caller || excuses.everywhere || world->chaotic ||
		call->refused != 1 || call->attempt_count || call->script.framing != READ_NONE ||
		(world->drained_ms && call->ended_ms + SLACK_MS > world->drained_ms))
		return false;
	for (u32 i = 0; i < world->server_count; i++) {
		const struct server *server = world->servers[i];

		if (server_pool(server) == call->pool &&
			(server_was_down(server, call->began_ms, call->ended_ms) ||
				server_closed_else(
					server, call->began_ms, call->ended_ms, call->refused_ms)))
			return false;
	}
	return true;
}

static void check_local_status(struct call *call, struct excuses excuses)
{
	bool strict = caller_frontend(call->caller) == strict_frontend;
	bool fair = false;

	switch (call->status) {
	case 308:
		fair = call->redirect && !call->bad;
		break;
	case 404:
		fair = strict && (call->no_route || !call->host) && !call->bad;
		break;
	case 408:
		fair = late_is_fair(call, excuses);
		break;
	case 413:
		fair = call->large;
		break;
	case 400:
		fair = call->bad_status == 400 || call->script.flaw;
		break;
	case 421:
		fair = call->is_misdirected;
		world_fault(call->world, FAULT_TLS_MISDIRECTED);
		break;
	case 500:
		break;
	case 502:
		fair = (excuses.backend || excuses.everywhere) && !was_only_refused(call, excuses);
		break;
	case 503:
		// Every backend of the plan may be asked, so it is never that nobody could be.
		fair = (excuses.connection || excuses.everywhere) &&
		       !str_eq(str_from(call->outcome), STR("no_backend_available"));
		break;
	case 504:
		fair = lateness_is_fair(call, excuses);
		break;
	default:
		fair = call->bad && call->status == call->bad_status;
	}
	if (call->world->judged && call->status >= 502 && call->status <= 504)
		fair = refusal_is_fair(call, excuses);
	if (!fair || !tls_outcome_is_fair(call))
		fail_call(call, "a local answer for no reason");
	if (call->is_misdirected && call->status != 421 && call->status != 408 &&
		!excuses.everywhere)
		fail_call(call, "a misdirected request got the wrong answer");
	if (call->bad && call->status != call->bad_status && !excuses.everywhere &&
		!(call->status == 408 && (call->dripped || call->raced)))
		fail_call(call, "a malformed request got the wrong answer");
}

// The reset that a later call on the same connection has earned may throw away this answer too.
static bool later_is_excused(const struct call *call)
{
	const struct call *last = call->world->calls + call->world->call_count;

	for (const struct call *later = call + 1; later < last && later->caller == call->caller &&
						  later->connection == call->connection;
		later++) {
		struct excuses excuses = excuses_of(later);

		if (excuses.backend || excuses.caller)
			return true;
	}
	return false;
}

// The client had all of an answer without a body, whose stream had not ended.
static bool is_half_over(const struct call *call)
{
	const struct arrival *last = &call->attempts[call->attempt_count - 1];

	return call->attempt_count && server_is_h2(last->server) && last->gave_up &&
	       call->answer.body_len == 0;
}

// Why a client may get nothing at all for a request.
static bool silence_is_fair(const struct call *call, struct excuses excuses)
{
	const struct world *world = call->world;
	const struct call *before = call_before(call);

	if (excuses.caller || excuses.everywhere || call->raced || world->may_be_full ||
		call->is_put_back)
		return true;
	// Behind an answer that ended the connection.
	if (before && (before->got_close || before->result != RESULT_WHOLE || before->is_tunnel ||
			      is_half_over(before)))
		return true;
	if (world->drained_ms && (call->began_ms + SLACK_MS > world->drained_ms + drain_grace_ms ||
					 call->opened_ms + SLACK_MS > world->drained_ms))
		return true;
	// A reset that is to make a cut visible may overtake the head.
	if (call->broken && (excuses.backend || later_is_excused(call)))
		return true;
	return call->is_tunnel && (excuses.backend || excuses.connection);
}

static void check_tunnel(struct call *call, struct excuses excuses)
{
	const struct arrival *attempt =
		call->attempt_count ? &call->attempts[call->attempt_count - 1] : NULL;
	u64 due = call->tunnel_first ? call->tunnel_back_len : call->tunnel_len;
	bool disturbed = excuses.caller || excuses.backend || excuses.connection ||
			 excuses.everywhere || call->raced || call->world->may_be_full ||
			 call->script.act || call->answer.act;

	if (call->tunnel_ended && !attempt)
		disturbed = true; // a connection that never reached a backend may end either way
	else if (call->tunnel_ended && !attempt->answer_whole)
		fail_call(call, "a broken tunnel ended in order");
	else if (call->tunnel_ended && call->tunnel_seen != due)
		fail_call(call, "a tunnel lost bytes");
	if (attempt && attempt->in_ended && call->left && call->script.act == ACT_RESET)
		fail_call(call, "a client's reset arrived as an orderly end");
	if (attempt && attempt->in_ended && call->sent_all && !call->left && !attempt->gave_up &&
		attempt->body_len != call->tunnel_len)
		fail_call(call, "a tunnel lost the client's bytes");
	if (!disturbed && !call->tunnel_ended && !silence_is_fair(call, excuses))
		fail_call(call, "a tunnel broke for no reason");
}

// When a client resets its connection, the backend's work for it ends at once.
static void check_leaving(struct call *call)
{
	const struct arrival *last = &call->attempts[call->attempt_count - 1];
	u64 noticed_ms = call->left_ms + 3 * SLACK_MS;

	if (!call->left_ms || !call->sent_all || !call->attempt_count || call->world->scarce ||
		last->answer_whole || last->gave_up || call->is_tunnel)
		return;
	if (last->ended_ms > noticed_ms || (!last->ended_ms && call->world->ending_ms > noticed_ms))
		fail_call(call, "its backend goes on though the client is gone");
}

// What a backend of HTTP/2 has said completely before it ended its connection in order arrives.
static bool was_complete(const struct call *call, struct excuses excuses)
{
	const struct arrival *seen = &call->attempts[call->attempt_seen];

	return call->attempt_seen >= 0 && server_is_h2(seen->server) && seen->answer_whole &&
	       !seen->gave_up && !excuses.caller && !excuses.everywhere && !call->answer.flaw &&
	       !(call->broken && later_is_excused(call)) && !judge_is_late(call);
}

void check_idle_end(struct world *world, u64 since_ms)
{
	if (world_now_ms(world) > since_ms + world->limits.upstream_idle_ms + SLACK_MS &&
		!world->scarce)
		world_fail(world, "an idle connection to a backend was not closed in time");
}

void check_call(struct call *call)
{
	struct excuses excuses;

	if (!call->caller || !call->sent_any)
		return;
	if (!call->is_over) {
		fail_call(call, "never ended");
		return;
	}
	if (call->is_unwelcome) {
		tls_check_unwelcome(call);
		return;
	}
	call->world->exchanges++;
	check_leaving(call);
	excuses = excuses_of(call);
	if (call->unasked) {
		bool gave_up = false;

		for (u32 i = 0; i < call->attempt_count; i++)
			gave_up |= call->attempts[i].gave_up;
		if (!excuses.backend && call->attempt_count && !gave_up)
			fail_call(call, "got what was said unasked");
		return;
	}
	if (call->is_tunnel &&
		(call->status == 101 || caller_frontend(call->caller) == tcp_frontend)) {
		check_tunnel(call, excuses);
		return;
	}
	switch ((enum result)call->result) {
	case RESULT_WHOLE:
		if (call->local)
			check_local_status(call, excuses);
		else
			check_whole(call);
		break;
	case RESULT_CUT:
		if (call->attempt_count && call->attempts[call->attempt_count - 1].stalled &&
			!excuses.caller &&
			!ended_in_time(
				call, last_news_ms(call), call->world->limits.response_idle_ms))
			fail_call(call, "a stalled answer was not ended in time");
		if (!excuses.caller && !excuses.backend && !excuses.everywhere &&
			!(call->broken && later_is_excused(call)))
			fail_call(call, "the answer was cut for no reason");
		if (was_complete(call, excuses))
			fail_call(call, "the answer was complete and was cut");
		break;
	case RESULT_NONE:
		if (!silence_is_fair(call, excuses))
			fail_call(call, "no answer for no reason");
		break;
	}
}

// ---- The worker ---------------------------------------------------------------------------------

static void check_queue(struct world *world, const struct conn *conn, const char *whose)
{
	size_t queued = conn->out.len + conn->sending.len;

	if (queued > queued_bytes_max)
		world_fail(world, "%zu bytes are queued for a %s", queued, whose);
}

// One line tells of one failure, or of as many as it says.
static u64 failures_in(struct str line)
{
	static const char times[] = "\"times\":";
	const char *number;

	if (!memmem(line.ptr, line.len, "\"request failed", 15) &&
		!memmem(line.ptr, line.len, "\"failed to served", 17))
		return 0;
	number = memmem(line.ptr, line.len, times, sizeof(times) - 1);
	return number ? strtoull(number + sizeof(times) - 1, NULL, 10) : 1;
}

static void listen_to_log(struct world *world)
{
	struct log_record record;

	while (log_ring_peek(&world->log.ring, &record)) {
		world->told += failures_in(record.body);
		log_ring_next(&world->log.ring);
	}
}

static void check_exchange(struct world *world, const struct exchange *x)
{
	if (!x->over && !timer_is_set(&x->timer))
		world_fail(world, "an exchange waits in step %s without a deadline",
			step_names[x->step]);
	if (x->step == STEP_LEASE && x->active_ms > x->attempt->leased_us / 1000 + 1)
		world_fail(world, "a wait for a connection was made longer");
	if (x->pool && x->tried.count > x->pool->backend_count)
		world_fail(world, "%u backends were tried of %u", x->tried.count,
			x->pool->backend_count);
	if (x->attempt->lease.link)
		check_queue(world, &x->attempt->lease.link->conn, "backend");
}

// After each turn: nobody waits without a deadline, nobody holds more than a window.
void check_turn(struct world *world)
{
	judge_check_turn(world);
	listen_to_log(world);
	list_for_each (node, &world->proxy->client_list) {
		const struct client *client = list_entry(node, struct client, node);

		check_queue(world, &client->conn, "client");
		for (const struct exchange *x = client->exchanges; x; x = x->next_of_client)
			check_exchange(world, x);
	}
	world->blocks_used_max = MAX(world->blocks_used_max, (u64)world->loop->blocks.large.used);
}

static void check_zero(struct world *world, u64 value, const char *what)
{
	if (value)
		world_fail(world, "%lld %s are left at the end", (long long)value, what);
}

// Every exchange that ended is counted once, and each try that was not its last one as well.
static void check_stats(struct world *world, u64 ended)
{
	const struct stats *all[] = {world->stats};
	const u64 *cells = world->metrics.values;
	struct stats_sum sum;

	stats_sum_all(all, 1, &sum);
	if (sum.requests != ended || histogram_count(&sum.time) != ended)
		world_fail(world, "%llu exchanges ended and %llu are counted",
			(unsigned long long)ended, (unsigned long long)sum.requests);
	if (sum.tries[STATS_TRY_HEDGE] > cells[M_HEDGES] ||
		sum.tries[STATS_TRY_REPEATED] > cells[M_RETRIES] + cells[M_HEDGES])
		world_fail(world, "more tries are counted than were made");
	for (u32 i = 0; i < world->snapshot->frontend_count; i++)
		check_zero(world, stats_connections(world->stats, world->snapshot->frontends[i]),
			"client connections of a frontend");
}

void check_end(struct world *world)
{
	const struct metrics_cells *cells = &world->metrics;
	const struct block_pool *blocks = &world->loop->blocks;
	u64 ended = 0;

	for (u32 i = 0; i < OUTCOME_COUNT; i++) {
		ended += cells->outcomes[i];
		sim_outcomes[i] += cells->outcomes[i];
	}
	if (ended != cells->values[M_REQUESTS])
		world_fail(world, "%llu exchanges began and %llu ended",
			(unsigned long long)cells->values[M_REQUESTS], (unsigned long long)ended);
	check_stats(world, ended);
	if (cells->outcomes[OUTCOME_INTERNAL_ERROR])
		world_fail(world, "an internal error");
	check_zero(world, cells->values[M_CONNECTIONS_ACTIVE], "client connections in the gauge");
	check_zero(world, cells->values[M_REQUESTS_ACTIVE], "requests in the gauge");
	check_zero(world, cells->values[M_TUNNELS_ACTIVE], "tunnels in the gauge");
	check_zero(world, cells->values[M_BACKEND_CONNECTIONS_ACTIVE],
		"backend connections in the gauge");
	check_zero(
		world, cells->values[M_BACKEND_CONNECTIONS_IDLE], "idle connections in the gauge");
	check_zero(world, world->proxy->clients.used, "clients");
	check_zero(world, world->proxy->exchanges.used, "exchanges");
	check_zero(world, world->proxy->arenas.used, "arenas");
	check_zero(world, world->proxy->upstream.links.used, "links");
	check_zero(world, blocks->large.used, "blocks");
	check_zero(world, blocks->small.used, "small blocks");
	check_zero(world, blocks->segments.used, "segments");
	check_zero(world, blocks->huge_used, "huge blocks");
	check_zero(world, world->loop->ops_out, "operations");
	tls_check_end(world);
	judge_check_end(world);
}

// What the log was spared has its timers until the proxy is gone.
void check_gone(struct world *world)
{
	u64 failed = 0;

	spans_check(world);
	check_zero(world, world->loop->wheel.count, "timers");
	listen_to_log(world);
	for (u32 i = 0; i < OUTCOME_COUNT; i++) {
		u8 origin = outcome_info((enum outcome)i)->origin;

		if (origin == ORIGIN_BALANCER || origin == ORIGIN_BACKEND)
			failed += world->metrics.outcomes[i];
	}
	if (world->told != failed)
		world_fail(world, "the log tells of %llu failures of %llu",
			(unsigned long long)world->told, (unsigned long long)failed);
	check_zero(world, log_ring_dropped(&world->log.ring), "lines of the log too many");
}
