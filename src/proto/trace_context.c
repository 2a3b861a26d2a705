// SPDX-License-Identifier: Apache-2.0
#include "proto/trace_context.h"

#include "base/hex.h"

enum {
	trace_id_at = 3,
	trace_id_bytes = 32,
	flags_at = 53,
	key_bytes_max = 256,
	state_value_bytes_max = 256,
};

// ---- traceparent --------------------------------------------------------------------------------

// VERSION "-" trace-id "-" parent-id "-" flags; a later version may go on behind a "-".
static bool has_form(struct str value, u8 version)
{
	const char *text = value.ptr;

	if (text[2] != '-' || text[35] != '-' || text[52] != '-' || version == 0xff)
		return false;
	if (value.len == TRACE_PARENT_BYTES)
		return true;
	return version != 0 && text[TRACE_PARENT_BYTES] == '-';
}

bool trace_context_parse(struct str value, struct trace_context *ret_context)
{
	struct trace_context context;
	u8 version, flags;

	if (value.len < TRACE_PARENT_BYTES || !hex_take(value.ptr, &version, 1) ||
		!has_form(value, version) || !hex_take(value.ptr + flags_at, &flags, 1) ||
		!hex_take(value.ptr + trace_id_at, (u8 *)context.trace_id,
			sizeof(context.trace_id)) ||
		!hex_take(value.ptr + TRACE_PARENT_ID_AT, (u8 *)&context.parent_id,
			sizeof(context.parent_id)))
		return false;
	if ((context.trace_id[0] | context.trace_id[1]) == 0 || context.parent_id == 0)
		return false;
	// A later version promises no more of its flags than that one.
	context.flags = flags & (version == 0 ? TRACE_SAMPLED | TRACE_RANDOM : TRACE_SAMPLED);
	*ret_context = context;
	return true;
}

void trace_context_write(const struct trace_context *context, char text[static TRACE_PARENT_BYTES])
{
	memcpy(text, "00-", 3);
	hex_put_16(text + trace_id_at, context->trace_id[0], context->trace_id[1]);
	text[trace_id_at + trace_id_bytes] = '-';
	hex_put_8(text + TRACE_PARENT_ID_AT, context->parent_id);
	text[TRACE_PARENT_ID_AT + TRACE_PARENT_ID_BYTES] = '-';
	text[flags_at] = '0';
	text[flags_at + 1] = (char)('0' + (context->flags & (TRACE_SAMPLED | TRACE_RANDOM)));
}

u64 trace_context_chance(const u64 trace_id[static 2])
{
	const u8 *last = (const u8 *)&trace_id[1];
	u64 chance = 0;

	for (int i = 1; i < 8; i++)
		chance = chance << 8 | last[i];
	return chance;
}

// ---- tracestate ---------------------------------------------------------------------------------

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

// The grammar of level 2, which has that of level 1 within it.
static bool is_key(struct str key)
{
	if (key.len == 0 || key.len > key_bytes_max ||
		!(is_lower(key.ptr[0]) || ascii_is_digit(key.ptr[0])))
		return false;
	for (size_t i = 1; i < key.len; i++) {
		char c = key.ptr[i];

		if (!is_lower(c) && !ascii_is_digit(c) && c != '_' && c != '-' && c != '*' &&
			c != '/' && c != '@')
			return false;
	}
	return true;
}

// Printable ASCII but ',' and '='; that none is at its end has been seen to.
static bool is_state_value(struct str value)
{
	if (value.len == 0 || value.len > state_value_bytes_max)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c < ' ' || c > '~' || c == '=')
			return false;
	}
	return true;
}

static bool is_member(struct str member)
{
	struct str value = member, key = str_cut(&value, '=');

	return key.len < member.len && is_key(key) && is_state_value(value);
}

bool trace_state_add(struct trace_state *state, struct str value)
{
	while (value.len) {
		struct str member = str_trim(str_cut(&value, ','));

		if (member.len == 0) // lists may have them
			continue;
		if (state->count == TRACE_STATE_MEMBERS || !is_member(member))
			return false;
		state->bytes += member.len + (state->count > 0);
		state->members[state->count++] = member;
	}
	return true;
}

static void leave_out(struct trace_state *state, size_t above)
{
	for (u32 i = state->count; i-- > 0 && state->bytes > TRACE_STATE_BYTES;) {
		size_t len = state->members[i].len;

		if (len <= above)
			continue;
		state->bytes -= len + (state->count > 1);
		state->count--;
		memmove(&state->members[i], &state->members[i + 1],
			sizeof(struct str) * (state->count - i));
	}
}

void trace_state_shorten(struct trace_state *state)
{
	leave_out(state, TRACE_STATE_MEMBER_BYTES);
	leave_out(state, 0);
}

char *trace_state_write(const struct trace_state *state, char *text)
{
	for (u32 i = 0; i < state->count; i++) {
		if (i > 0)
			*text++ = ',';
		memcpy(text, state->members[i].ptr, state->members[i].len);
		text += state->members[i].len;
	}
	return text;
}
