// SPDX-License-Identifier: Apache-2.0
// Orders: found, checked, handed to the control thread, and told how that went.
#include <jansson.h>

#include "admin/admin_inside.h"
#include "base/mem.h"

struct steer {
	struct desk_ask ask;
	struct admin *admin;
	struct admin_call *call;
};

// ---- The answer ---------------------------------------------------------------------------------

static void answer_done(struct admin_call *call, const struct desk_ask *ask)
{
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	json_key_bool(&json, "changed", ask->result == DESK_DONE);
	json_key(&json, "event");
	if (ask->result == DESK_DONE && ask->order.event)
		json_u64(&json, ask->order.event);
	else
		json_none(&json);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_answer(call, 200, "application/json", &text);
}

static void on_answer(struct desk_ask *ask)
{
	struct steer *steer = container_of(ask, struct steer, ask);
	struct admin_call *call = steer->call;

	steer->admin->asks_out--;
	steer->admin->state->asked_ms = 0; // what is known is older than this
	switch ((enum desk_result)ask->result) {
	case DESK_DONE:
	case DESK_NO_CHANGE:
		answer_done(call, ask);
		break;
	case DESK_STALE:
		admin_problem(call, 412, "Read the backend again and decide anew.",
			"somebody else has changed this backend meanwhile");
		break;
	case DESK_UNKNOWN:
		admin_problem(call, 404, "GET /api/v1/state has all names.",
			"this backend is not in the configuration any more");
		break;
	case DESK_GONE:
		admin_problem(call, 503, NULL, "the process ends; nothing was changed");
		break;
	}
	mem_free(steer);
}

void api_give_order(struct admin *admin, struct admin_call *call, enum desk_order_kind kind,
	u32 cell, u32 value)
{
	struct steer *steer = mem_alloc(sizeof(*steer));
	struct str etag = admin_field(call, "if-match");

	steer->admin = admin;
	steer->call = call;
	steer->ask.kind = DESK_ORDER;
	steer->ask.order = (struct desk_order){
		.kind = (u8)kind, .cell = cell, .value = value, .revision = UINT64_MAX};
	if (etag.len >= 2 && etag.ptr[0] == '"')
		etag = str_make(etag.ptr + 1, etag.len - 2);
	if (etag.len && !str_eq(etag, STR("*")) &&
		str_to_u64(etag, UINT64_MAX - 1, &steer->ask.order.revision) != 0)
		steer->ask.order.revision = UINT64_MAX - 1; // fits no backend
	snprintf(steer->ask.order.who, sizeof(steer->ask.order.who), "%s", call->who);
	admin->asks_out++;
	desk_ask(admin->face.desk, &steer->ask, admin->loop, on_answer);
}

// ---- The question -------------------------------------------------------------------------------

const struct backend *api_find_backend(
	struct admin *admin, struct admin_call *call, struct str pool_name, struct str id)
{
	const struct pool *pool = snapshot_find_pool(admin->face.snapshot, pool_name);
	const struct backend *backend;

	if (!pool) {
		admin_problem(call, 404, "GET /api/v1/state has all names.",
			"there is no pool '%.*s'", STR_FMT(pool_name));
		return NULL;
	}
	backend = snapshot_find_backend(pool, id);
	if (backend)
		return backend;
	admin_problem(call, 404, "GET /api/v1/state has all names.",
		"there is no backend '%.*s' in pool '%.*s'", STR_FMT(id), STR_FMT(pool_name));
	return NULL;
}

static const struct backend *find_backend(struct admin *admin, struct admin_call *call)
{
	return api_find_backend(admin, call, call->params[0], call->params[1]);
}

// The one field of the body, which must be an object with nothing else. NULL: answered.
static json_t *read_field(struct admin_call *call, const char *name, json_t **ret_root)
{
	json_error_t error;
	json_t *root = json_loadb(call->body.ptr, call->body.len, JSON_REJECT_DUPLICATES, &error);
	const char *key;
	json_t *value;

	*ret_root = root;
	if (!root) {
		admin_problem(call, 400, NULL, "the body is no JSON: %s (line %d, column %d)",
			error.text, error.line, error.column);
		return NULL;
	}
	if (!json_is_object(root)) {
		admin_problem(call, 422, NULL, "the body is an object with the field '%s'", name);
		return NULL;
	}
	json_object_foreach(root, key, value) if (strcmp(key, name) != 0)
	{
		admin_problem(call, 422, NULL, "unknown field '%.64s': it takes '%s'", key, name);
		return NULL;
	}
	value = json_object_get(root, name);
	if (!value)
		admin_problem(call, 422, NULL, "the field '%s' is missing", name);
	return value;
}

static void give(struct admin *admin, struct admin_call *call, enum desk_order_kind kind)
{
	const struct backend *backend = find_backend(admin, call);

	if (backend)
		api_give_order(admin, call, kind, backend->cell, 0);
}

void api_drain(void *owner, struct admin_call *call)
{
	give(owner, call, DESK_DRAIN);
}

void api_enable(void *owner, struct admin_call *call)
{
	give(owner, call, DESK_ENABLE);
}

void api_disable(void *owner, struct admin_call *call)
{
	give(owner, call, DESK_DISABLE);
}

void api_weight(void *owner, struct admin_call *call)
{
	const struct backend *backend = find_backend(owner, call);
	json_t *root = NULL, *value;

	if (!backend)
		return;
	value = read_field(call, "weight", &root);
	if (json_is_integer(value) && json_integer_value(value) >= 0 &&
		json_integer_value(value) <= CONF_WEIGHT_MAX)
		api_give_order(
			owner, call, DESK_WEIGHT, backend->cell, (u32)json_integer_value(value));
	else if (value)
		admin_problem(call, 422, NULL, "'weight' is a whole number from 0 to %d",
			CONF_WEIGHT_MAX);
	json_decref(root);
}

void api_breaker(void *owner, struct admin_call *call)
{
	static const char *const words[] = {[BREAKER_AUTOMATIC] = "auto",
		[BREAKER_FORCED_CLOSED] = "closed",
		[BREAKER_FORCED_OPEN] = "open"};
	const struct backend *backend = find_backend(owner, call);
	json_t *root = NULL, *value;
	const char *word;

	if (!backend)
		return;
	value = read_field(call, "state", &root);
	word = value ? json_string_value(value) : NULL;
	for (u32 i = 0; word && i < ARRAY_LEN(words); i++)
		if (strcmp(words[i], word) == 0) {
			api_give_order(owner, call, DESK_BREAKER, backend->cell, i);
			value = NULL;
			break;
		}
	if (value)
		admin_problem(call, 422, NULL, "'state' is \"open\", \"closed\" or \"auto\"");
	json_decref(root);
}

void api_log_level(void *owner, struct admin_call *call)
{
	json_t *root = NULL, *value = read_field(call, "level", &root);
	const char *word = value ? json_string_value(value) : NULL;

	for (u32 level = LOG_ERROR; word && level <= LOG_TRACE; level++)
		if (strcmp(log_level_name((enum log_level)level), word) == 0) {
			api_give_order(owner, call, DESK_LOG_LEVEL, 0, level);
			value = NULL;
			break;
		}
	if (value)
		admin_problem(
			call, 422, NULL, "'level' is error, warn, notice, info, debug or trace");
	json_decref(root);
}
