// SPDX-License-Identifier: Apache-2.0
// Configurations that are sent, kept, on probation, and taken back.
#include <jansson.h>

#include "admin/api_reload.h"
#include "base/mem.h"
#include "conf/value.h"

enum { confirm_ms_min = 1000, confirm_ms_max = 3600 * 1000 };

// False: the call was answered.
static bool read_span(struct admin_call *call, u64 *ret_ms)
{
	struct str text;

	*ret_ms = 0;
	if (!admin_query(call, "confirm", &text))
		return true;
	if (value_parse_duration(text, ret_ms) == VALUE_OK && *ret_ms >= confirm_ms_min &&
		*ret_ms <= confirm_ms_max)
		return true;
	admin_problem(
		call, 422, NULL, "confirm is a duration from 1s to 1h, not '%.*s'", STR_FMT(text));
	return false;
}

void api_apply(void *owner, struct admin_call *call)
{
	struct api_order *order;
	struct str text;
	u64 confirm_ms;

	if (!read_span(call, &confirm_ms))
		return;
	if (call->body.len == 0) {
		admin_problem(call, 422, "weir apply FILE sends it.",
			"the body is a whole configuration as JSON");
		return;
	}
	order = api_order_new(owner, call, RELOAD_TEXT);
	order->ask.sent = call->body;
	order->ask.confirm_ms = confirm_ms;
	order->ask.only_looks = admin_query(call, "look", &text);
	api_order_give(order);
}

void api_confirm(void *owner, struct admin_call *call)
{
	api_order_give(api_order_new(owner, call, RELOAD_CONFIRM));
}

void api_generations(void *owner, struct admin_call *call)
{
	api_order_give(api_order_new(owner, call, RELOAD_SHELF));
}

void api_journal(void *owner, struct admin_call *call)
{
	api_order_give(api_order_new(owner, call, RELOAD_JOURNAL));
}

void api_export(void *owner, struct admin_call *call)
{
	static const struct {
		struct str name;
		enum conf_syntax syntax;
	} formats[] = {
		{{"yaml", 4}, CONF_YAML}, {{"toml", 4}, CONF_TOML}, {{"json", 4}, CONF_JSON}};
	struct str format = STR("yaml");

	(void)admin_query(call, "format", &format);
	for (u32 i = 0; i < ARRAY_LEN(formats); i++)
		if (str_eq(format, formats[i].name)) {
			struct api_order *order = api_order_new(owner, call, RELOAD_EXPORT);

			order->ask.syntax = (u8)formats[i].syntax;
			api_order_give(order);
			return;
		}
	admin_problem(call, 422, NULL, "'%.*s' is no format: yaml, toml or json", STR_FMT(format));
}

// {"generation": N}, or nothing for the one before. False: it is neither.
static bool read_number(struct str body, u32 *ret_number)
{
	json_error_t error;
	json_t *root, *value;
	bool is_good;

	*ret_number = 0;
	if (body.len == 0)
		return true;
	root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
	value = json_object_get(root, "generation");
	is_good = json_object_size(root) == 1 && json_is_integer(value) &&
		  json_integer_value(value) > 0 && json_integer_value(value) < UINT32_MAX;
	if (is_good)
		*ret_number = (u32)json_integer_value(value);
	json_decref(root);
	return is_good;
}

void api_rollback(void *owner, struct admin_call *call)
{
	struct api_order *order;
	u32 number;

	if (!read_number(call->body, &number)) {
		admin_problem(call, 422, NULL,
			"the body is {\"generation\": NUMBER}, or empty for the one before");
		return;
	}
	order = api_order_new(owner, call, RELOAD_ROLLBACK);
	order->ask.number = number;
	api_order_give(order);
}
