// SPDX-License-Identifier: Apache-2.0
// Where backends come from that the configuration does not name, and how that goes.
#include "admin/admin_inside.h"

static void write_provider(struct json *json, const struct desk_provider *provider)
{
	json_object_begin(json);
	json_key_cstr(json, "name", provider->name);
	json_key_cstr(json, "type", provider->type);
	json_key_bool(json, "up", provider->is_up);
	json_key_bool(json, "from_disk", provider->is_stored);
	json_key_bool(json, "held", provider->is_held);
	json_key_u64(json, "rows", provider->rows);
	json_key_u64(json, "left_out", provider->left_out);
	json_key_u64(json, "reads", provider->reads);
	json_key_u64(json, "errors", provider->errors);
	json_key(json, "read_at_ms");
	if (provider->read_wall_ms)
		json_i64(json, provider->read_wall_ms);
	else
		json_none(json);
	json_key_cstr(json, "cause", provider->cause[0] ? provider->cause : NULL);
	json_object_end(json);
}

static void answer(struct admin *admin, struct admin_call *call)
{
	const struct desk_ask *state = &admin->state->ask;
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	json_key(&json, "providers");
	json_array_begin(&json);
	for (u32 i = 0; i < state->provider_count; i++)
		write_provider(&json, &state->providers[i]);
	json_array_end(&json);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_add_field(call, "Cache-Control", STR("no-store"));
	admin_answer(call, 200, "application/json", &text);
}

void api_providers(void *owner, struct admin_call *call)
{
	state_fetch(owner, call, answer);
}
