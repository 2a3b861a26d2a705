// SPDX-License-Identifier: Apache-2.0
// Where backends come from that the configuration does not name, and how that goes.
#include "admin/admin_inside.h"

static void key_moment(struct json *json, const char *key, i64 wall_ms)
{
	if (wall_ms)
		json_key_i64(json, key, wall_ms);
	else
		json_key_none(json, key);
}

static void write_provider(struct json *json, const struct desk_provider *provider)
{
	json_object_begin(json);
	json_key_cstr(json, "name", provider->name);
	json_key_cstr(json, "type", provider->type);
	json_key_cstr(json, "pool", provider->pool);
	json_key_bool(json, "up", provider->is_up);
	key_moment(json, "since_at_ms", provider->since_wall_ms);
	json_key_bool(json, "from_disk", provider->is_stored);
	json_key_bool(json, "held", provider->is_held);
	json_key_u64(json, "rows", provider->rows);
	json_key_u64(json, "left_out", provider->left_out);
	json_key_u64(json, "finding_count", provider->fault_count);
	json_key(json, "findings");
	json_array_begin(json);
	for (u32 i = 0; i < MIN(provider->fault_count, (u32)DESK_FAULTS_MAX); i++)
		json_cstr(json, provider->faults[i]);
	json_array_end(json);
	json_key_u64(json, "reads", provider->reads);
	json_key_u64(json, "errors", provider->errors);
	key_moment(json, "read_at_ms", provider->read_wall_ms);
	json_key_cstr(json, "cause", provider->cause[0] ? provider->cause : NULL);
	json_object_end(json);
}

void api_write_providers(struct json *json, const struct admin *admin)
{
	const struct desk_ask *state = &admin->state->ask;

	json_key(json, "providers");
	json_array_begin(json);
	for (u32 i = 0; i < state->provider_count; i++)
		write_provider(json, &state->providers[i]);
	json_array_end(json);
}

static void answer(struct admin *admin, struct admin_call *call)
{
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	api_write_providers(&json, admin);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_add_field(call, "Cache-Control", STR("no-store"));
	admin_answer(call, 200, "application/json", &text);
}

void api_providers(void *owner, struct admin_call *call)
{
	state_fetch(owner, call, answer);
}
