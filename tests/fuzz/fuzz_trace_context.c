// SPDX-License-Identifier: Apache-2.0
// A traceparent and the tracestate behind it, one field a line: what is taken is the same when it
// is written anew, and never longer than others pass on.
#include "fuzz_check.h"
#include "proto/trace_context.h"

enum { room = TRACE_STATE_MEMBERS * 600 };

static void check_parent(struct str value)
{
	struct trace_context context, again;
	char text[TRACE_PARENT_BYTES];

	if (!trace_context_parse(value, &context))
		return;
	ASSERT(context.trace_id[0] | context.trace_id[1]);
	ASSERT(context.parent_id);
	ASSERT((context.flags & ~(TRACE_SAMPLED | TRACE_RANDOM)) == 0);
	ASSERT(trace_context_chance(context.trace_id) < 1ull << TRACE_CHANCE_BITS);
	trace_context_write(&context, text);
	ASSERT(memcmp(text + 3, value.ptr + 3, 50) == 0);
	ASSERT(trace_context_parse(str_make(text, sizeof(text)), &again));
	ASSERT(memcmp(&again.trace_id, &context.trace_id, sizeof(again.trace_id)) == 0);
	ASSERT(again.parent_id == context.parent_id && again.flags == context.flags);
}

static void check_state(struct str text)
{
	struct trace_state state = {0}, again = {0};
	char written[room], *end;

	while (text.len)
		if (!trace_state_add(&state, str_cut(&text, '\n')))
			return;
	ASSERT(state.bytes < sizeof(written));
	end = trace_state_write(&state, written);
	ASSERT((size_t)(end - written) == state.bytes);
	ASSERT(trace_state_add(&again, str_make(written, state.bytes)));
	ASSERT(again.count == state.count && again.bytes == state.bytes);
	trace_state_shorten(&again);
	ASSERT(again.bytes <= TRACE_STATE_BYTES && again.count <= state.count);
	ASSERT(state.bytes > TRACE_STATE_BYTES || again.count == state.count);
	end = trace_state_write(&again, written);
	ASSERT((size_t)(end - written) == again.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = fuzz_copy((const char *)data, size);
	struct str rest = str_make(copy, size), parent = str_cut(&rest, '\n');

	check_parent(parent);
	check_state(rest);
	free(copy);
	return 0;
}
