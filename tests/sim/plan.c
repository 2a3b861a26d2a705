// SPDX-License-Identifier: Apache-2.0
// What will happen in a seed: the configuration, the callers, the calls and their answers.
#include "plan.h"

#include <stdio.h>

#include "pattern.h"
#include "sim.h"

static const struct {
	u16 status;
	const char *name, *text;
} bad_heads[] = {
#define X(name, status, text) [BAD_HEAD_##name] = {status, #name, text},
	BAD_HEADS(X)
#undef X
};

static const struct {
	const char *name, *text;
} bad_answers[] = {
#define X(name, text) [BAD_ANSWER_##name] = {#name, text},
	BAD_ANSWERS(X)
#undef X
};

const char *bad_head_name(enum bad_head bad)
{
	return bad ? bad_heads[bad].name : "none";
}

const char *bad_answer_name(enum bad_answer bad)
{
	return bad ? bad_answers[bad].name : "none";
}

bool plan_one_in(struct world *world, u32 n)
{
	return n && rng_one_in(&world->rng, n);
}

u32 plan_between(struct world *world, u32 least, u32 most)
{
	return rng_between(&world->rng, least, most);
}

// Mostly small, now and then more than any window.
static u32 some_len(struct world *world)
{
	switch (plan_between(world, 0, 15)) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
	case 3:
		return plan_between(world, 1, 20000);
	case 4:
		return plan_between(world, 1, world->long_body_max);
	default:
		return plan_between(world, 1, 1500);
	}
}

static u32 some_piece(struct world *world)
{
	static const u32 sizes[] = {1, 7, 100, 1000, 1400, 4000, 16384, 16384, 16384};

	return sizes[rng_below(&world->rng, ARRAY_LEN(sizes))];
}

// Replaces '@' by the field that tells the call, '@@' by '@'.
static struct str fill_in(struct world *world, const char *text, const char *field)
{
	size_t len = strlen(text) + strlen(field) + 1, at = 0;
	char *to = arena_alloc(&world->arena, len);

	for (; *text; text++) {
		if (*text != '@') {
			to[at++] = *text;
		} else if (text[1] == '@') {
			to[at++] = *text++;
		} else {
			memcpy(to + at, field, strlen(field));
			at += strlen(field);
		}
	}
	return str_make(to, at);
}

// ---- Request heads ------------------------------------------------------------------------------

static struct str long_head(struct world *world, const char *start, const char *field, u32 filler)
{
	size_t len = strlen(start) + strlen(field) + filler + 32;
	char *text = arena_alloc(&world->arena, len);
	int at = snprintf(text, len, "%s%sX-Long: ", start, field);

	memset(text + at, 'x', filler);
	memcpy(text + (u32)at + filler, "\r\n\r\n", 4);
	return str_make(text, (u32)at + filler + 4);
}

static struct str bad_head_text(struct call *call)
{
	struct world *world = call->world;
	char field[48], *text;
	int at;

	snprintf(field, sizeof(field), "X-Sim-Call: %u\r\n", call->id);
	switch ((enum bad_head)call->bad) {
	case BAD_HEAD_LONG_TARGET:
		text = arena_alloc(&world->arena, 5200);
		memcpy(text, "GET /", 5);
		memset(text + 5, 'p', 5000);
		at = snprintf(text + 5005, 150, " HTTP/1.1\r\nHost: a\r\n%s\r\n", field);
		return str_make(text, 5005 + (u32)at);
	case BAD_HEAD_LONG_HEAD:
		return long_head(world, "GET /c HTTP/1.1\r\nHost: a\r\n", field, 9000);
	case BAD_HEAD_MANY_FIELDS:
		text = arena_alloc(&world->arena, 4096);
		at = snprintf(text, 4096, "GET /c HTTP/1.1\r\nHost: a\r\n%s", field);
		for (int i = 0; i < 130; i++)
			at += snprintf(text + at, 4096 - (size_t)at, "X-%d: y\r\n", i);
		at += snprintf(text + at, 4096 - (size_t)at, "\r\n");
		return str_make(text, (size_t)at);
	default:
		return fill_in(world, bad_heads[call->bad].text, field);
	}
}

// Fields that a proxy must not pass on or must replace.
static int put_spoofs(bool has_tls, char *text, size_t size)
{
	return snprintf(text, size,
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: gopher\r\n"
		"X-Forwarded-Host: evil\r\nX-Forwarded-By: me\r\n"
		"X-Backend-Server: mine\r\nX-Real-IP: 6.6.6.7\r\nForwarded: for=6.6.6.8\r\n"
		"x-request-id: forged\r\n"
		"Keep-Alive: timeout=9\r\nProxy-Connection: close\r\nTE: trailers\r\n"
		"Proxy-Authorization: Basic eA==\r\nX-Hop: secret\r\n%s",
		has_tls ? "X-Client-Cert-Subject: " SIM_FORGED "\r\nx-client-cert-SAN: " SIM_FORGED
			  "\r\n"
			: "");
}

static int put_connection(struct call *call, char *text, size_t size)
{
	const char *const options[] = {call->upgrade || call->offer ? "upgrade" : NULL,
		call->close ? "close" : NULL,
		call->keep_alive_word && !call->close ? "keep-alive" : NULL,
		call->offer ? "HTTP2-Settings" : NULL,
		call->spoofs ? "x-hop, x-forwarded-for" : NULL,
		call->spoofs && call->world->has_tls ? "x-client-cert-subject" : NULL};
	int at = 0;

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i])
			at += snprintf(text + at, size - (size_t)at, "%s%s",
				at ? ", " : "Connection: ", options[i]);
	return at ? at + snprintf(text + at, size - (size_t)at, "\r\n") : 0;
}

void plan_request_script(struct call *call)
{
	struct world *world = call->world;
	struct script *script = &call->script;
	size_t size = 2048;
	char *text = arena_alloc(&world->arena, size);
	int at = 0;

#define PUT(...) at += snprintf(text + at, size - (size_t)at, __VA_ARGS__)
	if (call->minor && plan_one_in(world, 20))
		PUT("\r\n");
	if (call->minor && call->host && plan_one_in(world, 12))
		PUT("%s http://%s%s HTTP/1.%u\r\n", call->method, call->host, call->target,
			call->minor);
	else
		PUT("%s %s HTTP/1.%u\r\n", call->method, call->target, call->minor);
	if (call->host)
		PUT("Host: %s\r\n", call->host);
	PUT("X-Sim-Call: %u\r\nAccept: */*\r\nUser-Agent:sim\r\n", call->id);
	if (call->upgrade)
		PUT("Upgrade: sim\r\n");
	if (call->offer)
		PUT("Upgrade: %s\r\nHTTP2-Settings: AAMA\r\n", call->offer);
	if (call->spoofs)
		at += put_spoofs(world->has_tls, text + at, size - (size_t)at);
	at += put_connection(call, text + at, size - (size_t)at);
	if (call->expect)
		PUT("Expect: 100-continue\r\n");
	if (script->framing == READ_LENGTH)
		PUT("Content-Length: %u\r\n", script->body_len);
	else if (script->framing == READ_CHUNKED)
		PUT("Transfer-Encoding: chunked\r\n");
	PUT("\r\n");
#undef PUT
	ASSERT((size_t)at < size);
	script->head = str_make(text, (size_t)at);
}

// ---- Answers ------------------------------------------------------------------------------------

static struct str bad_answer_text(struct call *call, const char *field)
{
	struct world *world = call->world;
	char *text;
	int at = 0;

	switch ((enum bad_answer)call->answer.bad) {
	case BAD_ANSWER_LONG_HEAD:
		return long_head(world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", field, 9000);
	case BAD_ANSWER_FLOOD:
		text = arena_alloc(&world->arena, 2048);
		for (int i = 0; i < 20; i++)
			at += snprintf(text + at, 2048 - (size_t)at,
				"HTTP/1.1 102 Processing\r\nX-I: %d\r\n\r\n", i);
		at += snprintf(text + at, 2048 - (size_t)at,
			"HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n", field);
		return str_make(text, (size_t)at);
	default:
		return fill_in(world, bad_answers[call->answer.bad].text, field);
	}
}

static struct str good_answer_text(struct call *call, const char *field)
{
	const struct answer *answer = &call->answer;
	size_t size = 1024 + answer->interims * 64u;
	char *text = arena_alloc(&call->world->arena, size);
	int at = 0;

#define PUT(...) at += snprintf(text + at, size - (size_t)at, __VA_ARGS__)
	for (u32 i = 0; i < answer->interims; i++)
		PUT("HTTP/1.1 103 Early Hints\r\nLink: </%u>\r\n\r\n", i);
	PUT("HTTP/1.%u %u %s\r\n%sContent-Type: text/sim\r\n", answer->minor, answer->status,
		answer->status == 204 ? "" : "Reason here", field);
	if (answer->hop_fields)
		PUT("Keep-Alive: timeout=5\r\nX-Hop: secret\r\nProxy-Authenticate: Basic\r\n");
	if (answer->status == 101)
		PUT("Upgrade: sim\r\nConnection: upgrade\r\n");
	else if (answer->close || answer->hop_fields || answer->keep_alive_word)
		PUT("Connection: %s%s%s\r\n",
			answer->close		  ? "close"
			: answer->keep_alive_word ? "keep-alive"
						  : "x-other",
			answer->hop_fields ? ", " : "", answer->hop_fields ? "x-hop" : "");
	if (answer->framing == READ_CHUNKED)
		PUT("Transfer-Encoding: chunked\r\n");
	else if (answer->framing == READ_LENGTH)
		PUT("Content-Length: %u\r\n", answer->body_len);
	PUT("\r\n");
#undef PUT
	ASSERT((size_t)at < size);
	return str_make(text, (size_t)at);
}

void plan_answer_script(struct call *call, u32 attempt, struct script *ret_script)
{
	const struct answer *answer = &call->answer;
	bool bodiless = call->is_head || answer->status == 204 || answer->status == 304 ||
			answer->status < 200 || answer->bad;
	char field[48];

	snprintf(field, sizeof(field), "X-Sim-Answer: %u.%u\r\n", call->id, attempt);
	*ret_script = (struct script){
		.head = answer->bad ? bad_answer_text(call, field) : good_answer_text(call, field),
		.key = call->id * 4ull + 1,
		.body_len = bodiless ? 0 : answer->body_len,
		.framing = bodiless ? READ_NONE : answer->framing,
		.act = answer->act,
		.act_at = answer->act_at,
		.flaw = (u8)answer->flaw,
		.trailers = answer->trailers,
		.extensions = answer->extensions,
		.chunk_max = answer->chunk_max,
	};
	script_start(ret_script);
}

static u32 some_act_at(struct world *world, u32 head_len, u32 body_len)
{
	switch (plan_between(world, 0, 4)) {
	case 0:
		return ACT_AT_LAST;
	case 1:
		return plan_between(world, 0, head_len - 1);
	case 2:
		return head_len;
	default:
		return head_len + plan_between(world, 0, body_len);
	}
}

static void plan_answer_trouble(struct call *call)
{
	struct world *world = call->world;
	struct answer *answer = &call->answer;

	switch (plan_between(world, 0, 11)) {
	case 0:
	case 1:
		answer->act = ACT_CLOSE;
		break;
	case 2:
		answer->act = ACT_RESET;
		break;
	case 3:
		answer->act = ACT_STALL;
		break;
	case 4:
		answer->bad = (u8)plan_between(world, 1, BAD_ANSWER_COUNT - 1);
		break;
	case 5:
		answer->act = plan_one_in(world, 2) ? ACT_CLOSE : ACT_RESET;
		answer->act_at = 0;
		return;
	case 6:
	case 7:
	case 8:
		answer->stale = true;
		answer->stale_reset = plan_one_in(world, 2);
		break;
	case 9:
		answer->extra = answer->framing != READ_TO_END;
		answer->extra_glued = plan_one_in(world, 2);
		if (answer->extra_glued)
			answer->piece_max = 16384;
		break;
	case 10:
		answer->framing = READ_CHUNKED;
		answer->body_len += 10;
		answer->flaw = plan_between(world, 1, FLAW_COUNT - 1);
		break;
	case 11:
		answer->deaf = true;
		answer->early = plan_one_in(world, 2);
		answer->close |= answer->early;
		break;
	}
	// Only a reset ends a body without a length before its time.
	if (answer->framing == READ_TO_END && answer->act == ACT_CLOSE)
		answer->act = ACT_RESET;
	answer->act_at = some_act_at(world, 120, answer->body_len);
}

static void plan_answer(struct call *call, u32 trouble_one_in)
{
	static const u16 statuses[] = {200, 200, 200, 200, 200, 201, 204, 206, 302, 304, 404, 500};
	struct world *world = call->world;
	struct answer *answer = &call->answer;

	answer->status = statuses[rng_below(&world->rng, ARRAY_LEN(statuses))];
	answer->minor = !plan_one_in(world, 12);
	answer->body_len = some_len(world);
	answer->framing = plan_one_in(world, 3) && answer->minor ? READ_CHUNKED
			  : plan_one_in(world, 12)		 ? READ_TO_END
								 : READ_LENGTH;
	if (answer->status == 204 && answer->framing == READ_CHUNKED)
		answer->framing = READ_LENGTH;
	if (answer->status == 204)
		answer->body_len = 0;
	answer->interims =
		plan_one_in(world, 10) && answer->minor ? (u8)plan_between(world, 1, 4) : 0;
	answer->trailers = plan_one_in(world, 3);
	answer->extensions = plan_one_in(world, 5);
	answer->close = answer->framing == READ_TO_END || plan_one_in(world, 8);
	answer->keep_alive_word = plan_one_in(world, 2);
	answer->hop_fields = plan_one_in(world, 4);
	answer->think_ms = plan_one_in(world, 3) ? plan_between(world, 0, 60) : 0;
	answer->chunk_max = plan_one_in(world, 3) ? 50 : 20000;
	answer->piece_max = some_piece(world);
	answer->early = call->script.framing != READ_NONE && plan_one_in(world, 6);
	if (plan_one_in(world, trouble_one_in))
		plan_answer_trouble(call);
	if (call->upgrade && answer->bad == BAD_ANSWER_UNASKED_SWITCH)
		answer->bad = BAD_ANSWER_GARBAGE;
	if (call->upgrade && plan_one_in(world, 4) == 0) {
		answer->status = 101;
		answer->act = answer->act == ACT_CLOSE ? ACT_RESET : answer->act;
		answer->bad = BAD_ANSWER_NONE;
		answer->minor = 1;
		answer->framing = READ_NONE;
		answer->body_len = 0;
		answer->close = answer->early = answer->hop_fields = answer->extra = false;
	}
}

// ---- Calls --------------------------------------------------------------------------------------

static void plan_call_trouble(struct call *call)
{
	struct world *world = call->world;
	struct script *script = &call->script;

	switch (plan_between(world, 0, 13)) {
	case 0:
	case 1:
	case 2:
		call->bad = (u8)plan_between(world, 1, BAD_HEAD_COUNT - 1);
		call->bad_status = bad_heads[call->bad].status;
		call->is_head = call->close = false;
		call->minor = 1;
		break;
	case 3:
		script->act = ACT_CLOSE;
		break;
	case 4:
		script->act = ACT_RESET;
		break;
	case 5:
	case 6:
		script->act = ACT_STALL;
		break;
	case 7:
		script->act = ACT_SHUT;
		break;
	case 8:
		call->leaves = true;
		call->leaves_reset = plan_one_in(world, 2);
		break;
	case 9:
		call->deaf = true;
		call->deaf_for_ever = plan_one_in(world, 2);
		break;
	case 10:
		if (!call->minor || call->upgrade)
			break;
		script->framing = READ_CHUNKED;
		script->body_len += 10;
		script->flaw = (u8)plan_between(world, 1, FLAW_COUNT - 1);
		call->method = "POST";
		call->is_head = false;
		if (!world->judged || plan_one_in(world, 2))
			break;
		// It is refused early and tried again, and the flaw comes while that waits.
		call->method = "PUT";
		call->answer.early = true;
		call->answer.status = 500;
		call->pause_one_in = 2;
		call->pause_ms = plan_between(world, 20, 300);
		call->piece_max = MIN(script->body_len / 2, 16384u);
		break;
	case 11:
		call->no_route = true;
		break;
	case 12:
		// A 408 may cross the end of a dripping head, and whether a body follows it
		// would be unclear for HEAD.
		if (call->is_head)
			break;
		call->pause_one_in = 2;
		call->pause_ms = plan_between(world, 1, 120);
		call->piece_max = plan_between(world, 1, 60);
		break;
	case 13:
		call->read_pause_ms = plan_between(world, 1, 40);
		break;
	}
	call->leave_at = plan_one_in(world, 2) ? 0 : plan_between(world, 0, 3000);
}

static void plan_target(struct call *call)
{
	struct world *world = call->world;
	static const char *const forms[] = {"/c/%u", "/c/%u?q=1&r=%%2e%%2e", "/a/../c/%u/./x",
		"/%%63/%u/y%%2Fz", "//c//%u", "/c/%u/", "/c/%u;p=1/~u"};
	const char *form = forms[rng_below(&world->rng, ARRAY_LEN(forms))];
	int at = 0;

	if (call->redirect)
		at = snprintf(call->target, sizeof(call->target), "/moved");
	else if (call->pool == 1)
		at = snprintf(call->target, sizeof(call->target), "/alt");
	if (at && form[1] == '/')
		form = forms[0];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(call->target + at, sizeof(call->target) - (size_t)at, form, call->id);
#pragma GCC diagnostic pop
}

static void plan_body(struct call *call)
{
	struct world *world = call->world;
	struct script *script = &call->script;
	bool takes_body = strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0 ||
			  strcmp(call->method, "PATCH") == 0;

	script->key = call->id * 4ull;
	script->framing = READ_NONE;
	script->chunk_max = plan_one_in(world, 3) ? 40 : 20000;
	if (!takes_body && !plan_one_in(world, 15))
		return;
	script->framing = call->minor && plan_one_in(world, 2) ? READ_CHUNKED : READ_LENGTH;
	script->body_len = some_len(world);
	script->trailers = plan_one_in(world, 3);
	script->extensions = plan_one_in(world, 5);
	call->expect = call->minor && plan_one_in(world, 6);
	if (plan_one_in(world, 25) && script->body_len &&
		world->long_body_max > BODY_BYTES_MAX / 2) {
		script->body_len = BODY_BYTES_MAX + plan_between(world, 1, 1000);
		call->large = true;
	}
}

static void plan_call(struct world *world, struct call *call, u32 trouble_one_in)
{
	static const char *const methods[] = {"GET", "GET", "GET", "GET", "HEAD", "POST", "POST",
		"PUT", "PUT", "DELETE", "PATCH", "OPTIONS", "FROB"};

	call->world = world;
	call->attempt_seen = -1;
	call->method = methods[rng_below(&world->rng, ARRAY_LEN(methods))];
	call->minor = !plan_one_in(world, 8);
	call->upgrade = call->minor && plan_one_in(world, 14);
	if (call->upgrade)
		call->method = "GET";
	// Without blocks a head may wait until it is late; see the drips below.
	if (world->scarce && strcmp(call->method, "HEAD") == 0)
		call->method = "GET";
	call->is_head = strcmp(call->method, "HEAD") == 0;
	call->host = call->minor || plan_one_in(world, 2) ? "sim.test" : NULL;
	call->redirect = plan_one_in(world, 25);
	call->pool = !call->redirect && world->pool_count > 2 && plan_one_in(world, 3) ? 1 : 0;
	plan_target(call);
	call->close = plan_one_in(world, 15);
	call->close &= !call->upgrade;
	call->keep_alive_word = call->minor ? plan_one_in(world, 4) : !plan_one_in(world, 3);
	call->spoofs = plan_one_in(world, 6);
	call->gap_ms = plan_one_in(world, 3) ? plan_between(world, 0, 200) : 0;
	if (plan_one_in(world, 60))
		call->gap_ms = world->limits.idle_ms + plan_between(world, 300, 2000);
	call->piece_max = some_piece(world);
	call->tunnel_len = some_len(world);
	call->tunnel_back_len = some_len(world);
	call->tunnel_first = plan_one_in(world, 3);
	if (!call->upgrade)
		plan_body(call);
	// Neither to HTTP/2, nor from HTTP/1.0, nor behind a body.
	if (!call->upgrade && plan_one_in(world, 20))
		call->offer = call->minor == 0 || call->script.framing == READ_CHUNKED ||
					      call->script.body_len
				      ? "sim"
				      : "h2c";
	plan_answer(call, trouble_one_in);
	if (plan_one_in(world, trouble_one_in))
		plan_call_trouble(call);
	call->may_replay = strcmp(call->method, "POST") != 0 &&
			   strcmp(call->method, "PATCH") != 0 && strcmp(call->method, "FROB") != 0;
	if (call->no_route)
		call->host = "nowhere.test";
	if (call->bad)
		call->script = (struct script){.head = bad_head_text(call)};
	else
		plan_request_script(call);
	if (call->script.act) {
		call->script.act_at =
			some_act_at(world, (u32)call->script.head.len, call->script.body_len);
		// Closing in order behind the whole request would be no fault.
		if (call->script.framing == READ_NONE && call->script.act_at != ACT_AT_LAST)
			call->script.act_at =
				MIN(call->script.act_at, (u32)call->script.head.len - 1);
	}
	script_start(&call->script);
}

// A call over a TCP frontend: a line that tells which, then bytes both ways.
static void plan_tcp_call(struct world *world, struct call *call, u32 trouble_one_in)
{
	char *line = arena_alloc(&world->arena, 32);
	int len = snprintf(line, 32, "SIM %u\n", call->id);

	call->world = world;
	call->attempt_seen = -1;
	call->method = "TCP";
	call->is_tunnel = true;
	call->pool = (u8)(world->pool_count - 1);
	call->tunnel_len = some_len(world);
	call->tunnel_back_len = some_len(world);
	call->tunnel_first = plan_one_in(world, 3);
	call->piece_max = some_piece(world);
	call->answer.piece_max = some_piece(world);
	call->script = (struct script){.head = str_make(line, (size_t)len),
		.key = call->id * 4ull + 2,
		.framing = READ_LENGTH,
		.body_len = call->tunnel_len};
	if (plan_one_in(world, trouble_one_in)) {
		call->script.act = (u8)plan_between(world, ACT_RESET, ACT_STALL);
		call->script.act_at = (u32)len + plan_between(world, 0, call->tunnel_len);
	} else if (plan_one_in(world, trouble_one_in)) {
		call->answer.act = (u8)plan_between(world, ACT_RESET, ACT_STALL);
		call->answer.act_at = plan_between(world, 0, call->tunnel_len + 1);
	}
	script_start(&call->script);
}

// One of many long answers, asked for at once by somebody who does not read them.
static void make_greedy(struct call *call)
{
	struct world *world = call->world;
	struct answer *answer = &call->answer;

	if (call->bad || call->upgrade || call->redirect || call->script.framing != READ_NONE)
		return;
	call->method = "GET";
	call->is_head = call->expect = false;
	call->may_replay = true;
	call->script.act = ACT_NONE;
	call->piece_max = 0;
	call->pause_one_in = call->gap_ms = 0;
	*answer = (struct answer){.status = 200,
		.minor = 1,
		.framing = READ_LENGTH,
		.body_len = world->long_body_max / 3 + plan_between(world, 0, 10000)};
	call->deaf = call->leaves = call->close = false;
	call->keep_alive_word = true;
	call->leave_at = 0;
	plan_request_script(call);
	script_start(&call->script);
}

void plan_calls(struct world *world)
{
	static const u32 tempers[] = {0, 30, 12, 6, 3};
	u32 trouble_one_in = tempers[rng_below(&world->rng, ARRAY_LEN(tempers))];
	u32 callers = plan_between(world, 2, 7);

	world->calls = arena_zalloc(&world->arena, sizeof(struct call) * CALLS_MAX);
	for (u32 i = 0; i < callers; i++) {
		bool tcp = plan_one_in(world, 8);
		u32 frontend = tcp ? 2 : plan_one_in(world, 4) ? 1 : 0;
		bool greedy = !tcp && plan_one_in(world, 30);
		u32 depth = greedy ? 14 : plan_one_in(world, 3) ? plan_between(world, 2, 6) : 1;
		struct caller *caller = caller_new(world, i, frontend, depth);
		u32 count = tcp ? plan_between(world, 1, 2) : plan_between(world, 2, 14);

		world->callers[world->caller_count++] = caller;
		for (u32 n = 0; n < count && world->call_count < CALLS_MAX; n++) {
			struct call *call = &world->calls[world->call_count];

			call->id = ++world->call_count;
			if (tcp)
				plan_tcp_call(world, call, trouble_one_in);
			else
				plan_call(world, call, trouble_one_in);
			if (greedy)
				make_greedy(call);
			call->deaf |= greedy && n == 0;
			if (frontend == 0)
				call->no_route = false;
			caller_add(caller, call);
		}
	}
	h2_plan_calls(world);
	tls_plan_calls(world);
}

// ---- Configuration ------------------------------------------------------------------------------

static const struct conf_bind *some_bind(struct world *world, u16 port)
{
	struct conf_bind *bind = arena_zalloc(&world->arena, sizeof(*bind));

	bind->addr = (struct addr){.family = ADDR_V4, .ip = {10, 0, 0, 1}, .port = port};
	if (plan_one_in(world, 5))
		bind->addr = (struct addr){
			.family = ADDR_V6, .ip = {[0] = 0xfd, [15] = 1}, .port = port};
	return bind;
}

static const struct conf_route *some_routes(struct world *world, bool strict, u32 *ret_count)
{
	struct conf_route *routes = arena_zalloc(&world->arena, sizeof(*routes) * 3);
	struct conf_split *splits = arena_zalloc(&world->arena, sizeof(*splits) * 2);
	struct conf_piece *pieces = arena_zalloc(&world->arena, sizeof(*pieces) * 2);
	struct str host = strict ? STR("sim.test") : STR_EMPTY;
	u32 count = 0;

	splits[0] = (struct conf_split){.pool = world->pool_count > 2 ? 1 : 0, .weight = 1};
	splits[1] = (struct conf_split){.pool = 0, .weight = 1};
	pieces[0] = (struct conf_piece){.kind = CONF_PIECE_TEXT, .text = STR("https://else.test/")};
	pieces[1] = (struct conf_piece){.kind = CONF_PIECE_REST};
	routes[count++] = (struct conf_route){.name = STR("moved"),
		.match = {.host = host, .path = STR("/moved/"), .path_is_prefix = true},
		.redirect_status = 308,
		.redirect_to = pieces,
		.redirect_to_count = 2};
	routes[count++] = (struct conf_route){.name = STR("alt"),
		.match = {.host = host, .path = STR("/alt/"), .path_is_prefix = true},
		.splits = splits,
		.split_count = 1};
	if (strict)
		routes[count++] = (struct conf_route){.name = STR("rest"),
			.match = {.host = host},
			.splits = splits + 1,
			.split_count = 1};
	*ret_count = count;
	return routes;
}

static void plan_frontend(struct world *world, struct conf_frontend *frontend, u32 index)
{
	static const struct str names[] = {{"web", 3}, {"strict", 6}, {"tcp", 3}};
	struct addr_prefix *trusted = arena_zalloc(&world->arena, sizeof(*trusted) * 2);

	frontend->name = names[index];
	frontend->binds = some_bind(world, (u16)(80 + index));
	frontend->bind_count = 1;
	frontend->protocol = index == 2 ? CONF_TCP : CONF_HTTP;
	frontend->http.max_header_size = HEADER_BYTES_MAX;
	frontend->http.max_body_size = BODY_BYTES_MAX;
	if (world->trusting) {
		ASSERT(addr_prefix_parse(STR("10.0.0.0/8"), &trusted[0]) == 0);
		ASSERT(addr_prefix_parse(STR("fd00::/8"), &trusted[1]) == 0);
		frontend->client_ip.trusted_proxies = trusted;
		frontend->client_ip.trusted_proxy_count = 2;
	}
	frontend->http.h2 = world->has_h2;
	frontend->headers.identify = STR("weir");
	frontend->headers.request_id = STR("x-request-id");
	frontend->timeouts.client_header_ms = world->limits.header_ms;
	frontend->timeouts.client_idle_ms = world->limits.idle_ms;
	frontend->timeouts.request_body_idle_ms = world->limits.body_idle_ms;
	frontend->timeouts.tunnel_idle_ms = world->limits.tunnel_idle_ms;
	frontend->limits.connections = plan_one_in(world, 12) ? 2 : 0;
	tls_plan_frontend(world, frontend);
	frontend->pool = index == 2 ? (i32)world->pool_count - 1 : index == 1 ? -1 : 0;
	if (index < 2)
		frontend->routes = some_routes(world, index == 1, &frontend->route_count);
}

static void plan_pool(struct world *world, struct conf_pool *pool, u32 index)
{
	static const struct str names[] = {{"first", 5}, {"second", 6}, {"third", 5}};
	u32 count = plan_between(world, 1, index ? 2 : 3);
	struct conf_backend *backends = arena_zalloc(&world->arena, sizeof(*backends) * count);

	pool->name = names[index];
	pool->algorithm = CONF_ROUND_ROBIN;
	pool->timeouts.connect_ms = world->limits.connect_ms;
	pool->timeouts.response_ms = world->limits.response_ms;
	pool->timeouts.response_idle_ms = world->limits.response_idle_ms;
	pool->timeouts.upstream_idle_ms = world->limits.upstream_idle_ms;
	pool->limits.idle_connections = plan_between(world, 0, 4);
	pool->failover = -1;
	pool->retry.rules.attempts_max = 16;
	pool->retry.rules.causes = RETRY_CAUSE_BIT(RETRY_CONNECT);
	pool->retry.rules.budget.window_ms = 1000;
	pool->retry.body_bytes_max = 64 * 1024;
	if (world->judged)
		judge_plan_pool(world, pool, index == world->pool_count - 1);
	if (world->judged && index == 0 && world->pool_count > 2 && plan_one_in(world, 3))
		pool->failover = 1;
	pool->backends = backends;
	pool->backend_count = count;
	for (u32 i = 0; i < count; i++) {
		struct server *server = server_new(
			world, world->server_count, index, index == world->pool_count - 1);

		world->servers[world->server_count++] = server;
		backends[i].id = backends[i].address = server_address(server);
		backends[i].addr = *server_addr(server);
		backends[i].weight = plan_between(world, 1, 3);
		if (world->judged)
			judge_plan_backend(world, &backends[i], i);
		tls_plan_backend(world, server, &backends[i]);
		backends[i].is_h2 = index < world->pool_count - 1 && h2_plan_server(world, server);
	}
}

void plan_world(struct world *world)
{
	struct arena *arena = &world->arena;
	struct conf *conf = arena_zalloc(arena, sizeof(*conf));
	struct conf_frontend *frontends = arena_zalloc(arena, sizeof(*frontends) * 3);
	struct conf_pool *pools = arena_zalloc(arena, sizeof(*pools) * 3);

	h2_plan_world(world);
	tls_plan_world(world);
	world->limits.header_ms = plan_between(world, 700, 2500);
	world->limits.idle_ms = plan_between(world, 700, 2500);
	world->limits.body_idle_ms = plan_between(world, 700, 2500);
	world->limits.tunnel_idle_ms = plan_between(world, 1000, 3000);
	world->limits.connect_ms = plan_between(world, 200, 700);
	world->limits.response_ms = plan_between(world, 700, 2500);
	world->limits.response_idle_ms = plan_between(world, 1100, 2500);
	world->limits.upstream_idle_ms = plan_between(world, 700, 2500);
	world->trusting = plan_one_in(world, 4);
	world->chaotic = plan_one_in(world, 5);
	if (plan_one_in(world, 3))
		world->drain_ms = plan_between(world, 1, 1500);
	if (plan_one_in(world, 12))
		world->abort_ms = plan_between(world, 1, 1500);
	world->pool_count = plan_between(world, 2, 3);
	for (u32 i = 0; i < world->pool_count; i++)
		plan_pool(world, &pools[i], i);
	for (u32 i = 0; i < 3; i++)
		plan_frontend(world, &frontends[i], i);
	conf->frontends = frontends;
	conf->frontend_count = 3;
	conf->pools = pools;
	conf->pool_count = world->pool_count;
	world->conf = conf;
}
