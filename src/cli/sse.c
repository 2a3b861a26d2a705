// SPDX-License-Identifier: Apache-2.0
#include "cli/sse.h"

#include <errno.h>

void sse_init(struct sse *sse, size_t bytes_max)
{
	*sse = (struct sse){.bytes_max = bytes_max};
}

void sse_done(struct sse *sse)
{
	text_done(&sse->line);
	text_done(&sse->event);
	text_done(&sse->data);
}

static struct str text_of(const struct text *text)
{
	return text->len ? str_make(text->data, text->len) : STR_EMPTY;
}

static int tell_event(struct sse *sse, sse_event_fn *tell, void *owner)
{
	struct str event = sse->event.len ? text_of(&sse->event) : STR("message");
	bool goes_on = !sse->has_data || tell(owner, event, text_of(&sse->data));

	sse->event.len = sse->data.len = 0;
	sse->has_data = false;
	return goes_on ? 0 : -ECANCELED;
}

static void take_field(struct sse *sse, struct str name, struct str value)
{
	if (str_starts(value, STR(" ")))
		value = str_make(value.ptr + 1, value.len - 1);
	if (str_eq(name, STR("event"))) {
		sse->event.len = 0;
		text_add(&sse->event, value);
	} else if (str_eq(name, STR("data"))) {
		if (sse->has_data)
			text_addc(&sse->data, '\n');
		text_add(&sse->data, value);
		sse->has_data = true;
	}
}

static int take_line(struct sse *sse, sse_event_fn *tell, void *owner)
{
	struct str value = text_of(&sse->line), name;

	if (value.len == 0)
		return tell_event(sse, tell, owner);
	name = str_cut(&value, ':');
	take_field(sse, name, value);
	sse->line.len = 0;
	return 0;
}

static size_t line_end(struct str bytes)
{
	bytes.len = str_find(bytes, '\n');
	return str_find(bytes, '\r');
}

int sse_feed(struct sse *sse, struct str bytes, sse_event_fn *tell, void *owner)
{
	while (bytes.len) {
		struct str piece = bytes;
		int error;

		if (sse->after_cr && bytes.ptr[0] == '\n') {
			sse->after_cr = false;
			bytes = str_make(bytes.ptr + 1, bytes.len - 1);
			continue;
		}
		sse->after_cr = false;
		piece.len = line_end(bytes);
		if (sse->line.len + sse->data.len + piece.len > sse->bytes_max)
			return -EMSGSIZE;
		text_add(&sse->line, piece);
		if (piece.len == bytes.len)
			return 0;
		sse->after_cr = bytes.ptr[piece.len] == '\r';
		bytes = str_make(bytes.ptr + piece.len + 1, bytes.len - piece.len - 1);
		error = take_line(sse, tell, owner);
		if (error)
			return error;
	}
	return 0;
}
