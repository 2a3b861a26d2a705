// SPDX-License-Identifier: Apache-2.0
#include "script.h"

#include <stdio.h>

#include "pattern.h"

enum { extended_bytes_max = 1000 }; // all extensions together are bounded

enum phase { P_HEAD, P_BODY, P_DATA, P_TAIL, P_DONE };

#define PLAIN_TAIL   STR("0\r\n\r\n")
#define TRAILER_TAIL STR("0\r\nX-Sim-Trailer: yes\r\n\r\n")
#define FLAWED_TAIL  STR("0\r\nContent-Length: 5\r\n\r\n")

void script_start(struct script *script)
{
	script->literal = script->head;
	script->wire = 0;
	script->body_at = script->chunk_left = 0;
	script->phase = P_HEAD;
	script->act_due = script->flawed = false;
}

bool script_is_done(const struct script *script)
{
	return script->phase == P_DONE && script->literal.len == 0;
}

bool script_is_whole(const struct script *script)
{
	if (script->literal.len || !script_head_is_out(script))
		return false;
	if (script->framing == READ_LENGTH)
		return script->body_at == script->body_len;
	return script->framing == READ_NONE || script->phase == P_DONE;
}

static struct str chunk_line(struct script *script, u32 len)
{
	bool extend = script->extensions && script->body_at < extended_bytes_max;
	const char *form = extend ? "%x;sim=1\r\n" : "%x\r\n";
	int written;

	if (script->flaw && !script->flawed && script->body_at + len > script->body_len / 2) {
		script->flawed = true;
		if (script->flaw == FLAW_CHUNK_SIZE)
			form = "0x%x\r\n";
		else if (script->flaw == FLAW_CHUNK_LF)
			form = "%x\n";
		else if (script->flaw == FLAW_EXTENSION)
			form = "%x;";
		else
			script->flawed = script->flaw == FLAW_CHUNK_END;
	}
	written = snprintf(script->line, sizeof(script->line), form, len);
	return str_make(script->line, (size_t)written);
}

// Decides what comes behind the literal that just ran out.
static void advance(struct script *script, struct rng *rng)
{
	bool chunked = script->framing == READ_CHUNKED;

	switch ((enum phase)script->phase) {
	case P_HEAD:
		script->phase = script->framing == READ_NONE ? P_DONE : P_BODY;
		break;
	case P_BODY:
		if (script->body_at == script->body_len) {
			script->phase = chunked ? P_TAIL : P_DONE;
			break;
		}
		script->phase = P_DATA;
		script->chunk_left = script->body_len - script->body_at;
		if (chunked) {
			script->chunk_left =
				1 + rng_below(rng, MIN(script->chunk_left, script->chunk_max));
			script->literal = chunk_line(script, script->chunk_left);
		}
		break;
	case P_DATA: // the chunk is complete
		script->phase = P_BODY;
		if (chunked && script->flaw == FLAW_CHUNK_END && script->flawed)
			script->literal = STR("xx");
		else if (chunked)
			script->literal = STR("\r\n");
		break;
	case P_TAIL:
		script->phase = P_DONE;
		script->literal = script->flaw == FLAW_TRAILER ? FLAWED_TAIL
				  : script->trailers	       ? TRAILER_TAIL
							       : PLAIN_TAIL;
		break;
	case P_DONE:
		break;
	}
}

// Is the next byte the one that must not go out?
static bool act_is_due(const struct script *script)
{
	if (script->act == ACT_NONE)
		return false;
	if (script->act_at != ACT_AT_LAST)
		return script->wire >= script->act_at;
	if (script->framing == READ_CHUNKED)
		return script->phase >= P_TAIL;
	if (script->framing == READ_NONE || script->body_len == 0)
		return script->wire + 1 >= script->head.len;
	return script->body_at + 1 >= script->body_len;
}

// How many bytes may go out in one go before the act.
static size_t room_before_act(const struct script *script, size_t len)
{
	if (script->act == ACT_NONE)
		return len;
	if (script->act_at != ACT_AT_LAST)
		return (size_t)MIN((u64)len, script->act_at - script->wire);
	if (script->framing == READ_CHUNKED)
		return len;
	if (script->framing == READ_NONE || script->body_len == 0)
		return MIN(len, script->head.len - 1 - script->wire);
	return script->literal.len ? len
				   : MIN(len, (size_t)(script->body_len - 1 - script->body_at));
}

static size_t pull_some(struct script *script, char *to, size_t max)
{
	size_t len;

	if (script->literal.len) {
		len = room_before_act(script, MIN(max, script->literal.len));
		memcpy(to, script->literal.ptr, len);
		script->literal.ptr += len;
		script->literal.len -= len;
	} else if (script->flawed && script->flaw == FLAW_EXTENSION) {
		len = room_before_act(script, max);
		memset(to, 'e', len);
	} else {
		len = room_before_act(script, MIN(max, (size_t)script->chunk_left));
		pattern_fill(to, script->key, script->body_at, len);
		script->body_at += (u32)len;
		script->chunk_left -= (u32)len;
	}
	script->wire += len;
	return len;
}

size_t script_pull(struct script *script, struct rng *rng, char *to, size_t room, size_t max)
{
	size_t done = 0;

	// Small pieces first: whoever sends a long body byte by byte only takes long.
	max = MIN(room, MAX(max, (size_t)(script->wire / 16)));
	while (done < max) {
		if (act_is_due(script)) {
			script->act_due = true;
			break;
		}
		if (script->literal.len || (script->phase == P_DATA && script->chunk_left > 0)) {
			done += pull_some(script, to + done, max - done);
			continue;
		}
		if (script->phase == P_DONE)
			break;
		advance(script, rng);
	}
	return done;
}
