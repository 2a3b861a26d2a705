// SPDX-License-Identifier: Apache-2.0
#include "admin/event_json.h"

#include <stdio.h>

// Empty does not apply.
static void key_text(struct json *json, const char *key, const char *text)
{
	json_key_cstr(json, key, text[0] ? text : NULL);
}

static void key_number(struct json *json, const char *key, u64 number)
{
	json_key(json, key);
	if (number)
		json_u64(json, number);
	else
		json_none(json);
}

static void write_undo(struct json *json, const struct event_copy *event)
{
	char path[64] = "";

	json_key(json, "undo");
	if (!event->undo_method[0]) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	json_key_cstr(json, "method", event->undo_method);
	if (event->undo.order == EVENT_UNDO_REMOVE)
		snprintf(path, sizeof(path), "/api/v1/events/%llu/undo",
			(unsigned long long)event->number);
	json_key_cstr(json, "path", path[0] ? path : event->undo_path);
	json_key(json, "body");
	if (event->undo_body[0])
		json_raw(json, str_from(event->undo_body));
	else
		json_none(json);
	json_object_end(json);
}

static void write_text(struct json *json, const struct event_copy *event)
{
	char text[128];

	if (event->count)
		snprintf(text, sizeof(text), "%u of %u %s", event->count, event->of, event->text);
	json_key_cstr(json, "text", event->count ? text : event->text);
}

void event_write_json(struct json *json, const struct event_copy *event)
{
	json_object_begin(json);
	json_key_u64(json, "number", event->number);
	json_key_i64(json, "at_ms", event->wall_ms);
	json_key_cstr(json, "kind", event_kind_name((enum event_kind)event->kind));
	key_text(json, "pool", event->pool);
	key_text(json, "backend", event->kind == EVENT_PROVIDER ? "" : event->backend);
	key_text(json, "provider", event->kind == EVENT_PROVIDER ? event->backend : "");
	key_text(json, "from", event->from);
	key_text(json, "to", event->to);
	key_text(json, "reason", event->reason);
	key_number(json, "streak", event->streak);
	key_number(json, "next_ms", event->next_ms);
	json_key(json, "eligible");
	if (event->of)
		json_u64(json, event->eligible);
	else
		json_none(json);
	key_number(json, "of", event->of);
	key_number(json, "count", event->count);
	write_text(json, event);
	key_text(json, "by", event->by);
	write_undo(json, event);
	json_object_end(json);
}
