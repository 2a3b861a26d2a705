// SPDX-License-Identifier: Apache-2.0
// Another configuration by order: the files read again, a backend added or removed.
#include <jansson.h>

#include "admin/api_reload.h"
#include "base/mem.h"

enum { connections_most = 1000 * 1000 };

// ---- The answer ---------------------------------------------------------------------------------

static void answer_done(struct api_order *order)
{
	const struct reload_ask *ask = &order->ask;
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	json_key_bool(&json, "changed", !ask->only_looks);
	json_key_u64(&json, "generation", ask->generation);
	json_key_u64(&json, "event", ask->event);
	if (ask->diff.len) {
		json_key(&json, "diff");
		json_raw(&json, str_trim(ask->diff));
		json_key_str(&json, "changes", ask->changes);
	}
	json_key_name(&json, "restart", ask->restart);
	json_key(&json, "findings");
	json_raw(&json, ask->errors.len ? ask->errors : STR("[]"));
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_answer(order->call, 200, "application/json", &text);
}

static void answer_refused(struct api_order *order)
{
	const struct reload_ask *ask = &order->ask;
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	json_key_u64(&json, "status", 422);
	json_key_cstr(&json, "title", http_reason(422));
	json_key_cstr(&json, "detail", "the configuration is refused; the old one stays in effect");
	json_key_u64(&json, "generation", ask->generation);
	json_key(&json, "errors");
	json_raw(&json, ask->errors.len ? ask->errors : STR("[]"));
	json_key(&json, "text");
	json_str(&json, ask->text);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_answer(order->call, 422, "application/problem+json", &text);
}

void api_write_trial(struct json *json, struct admin *admin)
{
	struct reload_status status = reload_status(admin->face.reload);

	json_key(json, "trial");
	if (!status.trial.generation) {
		json_none(json);
		return;
	}
	json_object_begin(json);
	json_key_u64(json, "generation", status.trial.generation);
	json_key_u64(json, "before", status.trial.before);
	json_key_i64(json, "until_at_ms", status.trial.until_wall_ms);
	json_key_cstr(json, "by", status.trial.who);
	json_object_end(json);
}

static void answer_generations(struct api_order *order)
{
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	json_key_u64(&json, "generation", order->ask.generation);
	json_key(&json, "generations");
	json_raw(&json, order->ask.text);
	api_write_trial(&json, order->admin);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_add_field(order->call, "Cache-Control", STR("no-store"));
	admin_answer(order->call, 200, "application/json", &text);
}

static void answer_journal(struct api_order *order)
{
	struct text text = {0};
	struct json json;

	json_init(&json, &text);
	json_object_begin(&json);
	json_key(&json, "journal");
	json_raw(&json, order->ask.text);
	json_key_u64(&json, "dropped", order->ask.dropped);
	json_key_u64(&json, "waiting", order->ask.waiting);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_add_field(order->call, "Cache-Control", STR("no-store"));
	admin_answer(order->call, 200, "application/json", &text);
}

static void answer_export(struct api_order *order)
{
	static const char *const types[] = {[CONF_YAML] = "application/yaml",
		[CONF_TOML] = "application/toml",
		[CONF_JSON] = "application/json"};

	admin_add_field(order->call, "Cache-Control", STR("no-store"));
	admin_answer_static(order->call, 200, types[order->ask.syntax], order->ask.text);
}

static void answer_read(struct api_order *order)
{
	if (order->ask.kind == RELOAD_SHELF)
		answer_generations(order);
	else if (order->ask.kind == RELOAD_JOURNAL)
		answer_journal(order);
	else if (order->ask.kind == RELOAD_EXPORT)
		answer_export(order);
	else
		answer_done(order);
}

static void answer_no_generation(struct api_order *order)
{
	if (order->ask.number)
		admin_problem(order->call, 404, "GET /api/v1/generations has those that are.",
			"generation %u is not kept", order->ask.number);
	else
		admin_problem(
			order->call, 404, NULL, "there is no generation before the one in effect");
}

static void answer(struct api_order *order)
{
	const struct reload_ask *ask = &order->ask;
	struct admin_call *call = order->call;

	switch ((enum reload_result)ask->result) {
	case RELOAD_DONE:
		answer_read(order);
		break;
	case RELOAD_NO_GENERATION:
		answer_no_generation(order);
		break;
	case RELOAD_NO_TRIAL:
		admin_problem(call, 409, NULL,
			"no configuration is on probation: it was confirmed, taken back or "
			"replaced");
		break;
	case RELOAD_TRIAL:
		admin_problem(call, 409, "weir confirm, or weir rollback",
			"another configuration is on probation");
		break;
	case RELOAD_UPGRADING:
		admin_problem(call, 409,
			"Ask again when it is over, in a few seconds: GET "
			"/api/v1/events says so.",
			"an upgrade is in trial, and the process that takes over has read the "
			"configuration already");
		break;
	case RELOAD_REFUSED:
		answer_refused(order);
		break;
	case RELOAD_NO_POOL:
		admin_problem(call, 404, "GET /api/v1/state has all names.",
			"there is no pool '%.*s'", STR_FMT(ask->pool));
		break;
	case RELOAD_NO_BACKEND:
		admin_problem(call, 404, "GET /api/v1/state has all names.",
			"there is no backend '%.*s' in pool '%.*s'", STR_FMT(order->backend.id),
			STR_FMT(ask->pool));
		break;
	case RELOAD_EXISTS:
		admin_problem(call, 409, "Remove it first, or give another id.",
			"pool '%.*s' has a backend '%.*s' already", STR_FMT(ask->pool),
			STR_FMT(order->backend.id));
		break;
	case RELOAD_GONE:
		admin_problem(call, 503, NULL, "the process ends; nothing was changed");
		break;
	}
}

static void on_answer(struct reload_ask *ask)
{
	struct api_order *order = container_of(ask, struct api_order, ask);

	order->admin->asks_out--;
	order->admin->state->asked_ms = 0; // what is known is older than this
	answer(order);
	reload_ask_done(ask);
	mem_free(order);
}

struct api_order *api_order_new(struct admin *admin, struct admin_call *call, enum reload_kind kind)
{
	struct api_order *order = mem_alloc(sizeof(*order));

	order->admin = admin;
	order->call = call;
	order->ask.kind = (u8)kind;
	snprintf(order->ask.who, sizeof(order->ask.who), "%s", call->who);
	order->backend.weight = 1;
	return order;
}

void api_order_give(struct api_order *order)
{
	order->ask.backends = &order->backend;
	order->ask.count = order->ask.kind == RELOAD_ADD || order->ask.kind == RELOAD_REMOVE;
	order->admin->asks_out++;
	reload_ask(order->admin->face.reload, &order->ask, order->admin->loop, on_answer);
}

void api_reload(void *owner, struct admin_call *call)
{
	api_order_give(api_order_new(owner, call, RELOAD_FILES));
}

// ---- A backend ----------------------------------------------------------------------------------

static struct str keep(struct api_order *order, const json_t *value)
{
	return arena_str(
		&order->call->arena, str_make(json_string_value(value), json_string_length(value)));
}

static bool read_number(const json_t *value, u32 most, u32 *ret_number)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		json_integer_value(value) > most)
		return false;
	*ret_number = (u32)json_integer_value(value);
	return true;
}

// NULL, or what is wrong. What an address is, and what a weight may be, the configuration knows.
static const char *take(struct api_order *order, const char *key, const json_t *value)
{
	struct conf_edit_backend *backend = &order->backend;

	if (strcmp(key, "address") == 0 || strcmp(key, "id") == 0) {
		if (!json_is_string(value) || json_string_length(value) == 0)
			return "'address' and 'id' are texts";
		*(key[0] == 'a' ? &backend->address : &backend->id) = keep(order, value);
		return NULL;
	}
	if (strcmp(key, "weight") == 0)
		return read_number(value, CONF_WEIGHT_MAX, &backend->weight)
			       ? NULL
			       : arena_printf(&order->call->arena,
					 "'weight' is a whole number from 0 to %d",
					 CONF_WEIGHT_MAX);
	if (strcmp(key, "max_connections") == 0)
		return read_number(value, connections_most, &backend->max_connections)
			       ? NULL
			       : "'max_connections' is a whole number, 0 for no limit";
	if (strcmp(key, "backup") == 0) {
		backend->is_backup = json_is_true(value);
		return json_is_boolean(value) ? NULL : "'backup' is true or false";
	}
	return "unknown field: it takes address, id, weight, max_connections and backup";
}

static const char *read_backend(struct api_order *order, json_t *root)
{
	const char *key, *wrong = NULL;
	json_t *value;

	if (!json_is_object(root))
		return "the body is an object with the field 'address'";
	json_object_foreach(root, key, value)
	{
		wrong = take(order, key, value);
		if (wrong)
			return wrong;
	}
	if (order->backend.address.len == 0)
		return "the field 'address' is missing";
	order->backend.id = conf_edit_id(&order->call->arena, &order->backend);
	return NULL;
}

static void add(struct admin *admin, struct admin_call *call, struct str pool, struct str body)
{
	struct api_order *order;
	json_error_t error;
	json_t *root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
	const char *wrong;

	if (!root) {
		admin_problem(call, 400, NULL, "the body is no JSON: %s (line %d, column %d)",
			error.text, error.line, error.column);
		return;
	}
	order = api_order_new(admin, call, RELOAD_ADD);
	order->ask.pool = pool;
	wrong = read_backend(order, root);
	json_decref(root);
	if (wrong) {
		admin_problem(call, 422, NULL, "%s", wrong);
		mem_free(order);
		return;
	}
	api_order_give(order);
}

void api_add(void *owner, struct admin_call *call)
{
	add(owner, call, call->params[0], call->body);
}

static void drop(struct admin *admin, struct admin_call *call, struct str pool, struct str id)
{
	struct api_order *order = api_order_new(admin, call, RELOAD_REMOVE);

	order->ask.pool = pool;
	order->backend.id = id;
	order->backend.address = id;
	api_order_give(order);
}

// If-Match: as for other orders, the revision that the backend has to have.
static bool is_stale(struct admin *admin, struct admin_call *call, const struct backend *backend)
{
	const struct desk_backend *one = &admin->state->ask.backends[backend->cell];
	struct str etag = admin_field(call, "if-match");
	u64 revision;

	if (etag.len >= 2 && etag.ptr[0] == '"')
		etag = str_make(etag.ptr + 1, etag.len - 2);
	if (etag.len == 0 || str_eq(etag, STR("*")))
		return false;
	return str_to_u64(etag, UINT64_MAX, &revision) != 0 || revision != one->revision;
}

static void remove_fresh(struct admin *admin, struct admin_call *call)
{
	const struct backend *backend =
		api_find_backend(admin, call, call->params[0], call->params[1]);

	if (!backend)
		return;
	if (is_stale(admin, call, backend))
		admin_problem(call, 412, "Read the backend again and decide anew.",
			"somebody else has changed this backend meanwhile");
	else
		drop(admin, call, call->params[0], call->params[1]);
}

void api_remove(void *owner, struct admin_call *call)
{
	state_fetch(owner, call, remove_fresh);
}

// ---- Taking back --------------------------------------------------------------------------------

void api_undo_edit(struct admin *admin, struct admin_call *call, const struct event_copy *event)
{
	struct str pool = arena_str(&call->arena, str_from(event->pool));

	struct str id = arena_str(&call->arena, str_from(event->backend));
	struct api_order *order;

	if (event->undo.order == EVENT_UNDO_ADD) {
		drop(admin, call, pool, id);
		return;
	}
	order = api_order_new(admin, call, RELOAD_ADD);
	order->ask.pool = pool;
	order->ask.undoes = event->number;
	order->backend.id = order->backend.address = id; // until that is found
	api_order_give(order);
}
