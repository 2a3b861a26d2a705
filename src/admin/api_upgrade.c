// SPDX-License-Identifier: Apache-2.0
// POST /api/v1/upgrade: asks the keeper for another process of the binary. What becomes of it is an
// event, and another serving_pid in the state.
#include <jansson.h>

#include "admin/admin_inside.h"
#include "base/mem.h"

// Goes to the control thread, whose handover_upgrade is, and ends there.
struct order {
	struct message message;
	struct handover *handover;
	char path[HANDOVER_BYTES_MAX];
};

static void deliver(struct message *message)
{
	struct order *order = container_of(message, struct order, message);

	(void)handover_upgrade(order->handover, order->path); // a keeper that is gone is told of
	mem_free(order);
}

// "" without a body; NULL: answered.
static const char *read_path(struct admin_call *call, json_t **ret_root)
{
	json_error_t error;
	const char *path;

	*ret_root = NULL;
	if (call->body.len == 0)
		return "";
	*ret_root = json_loadb(call->body.ptr, call->body.len, JSON_REJECT_DUPLICATES, &error);
	path = json_string_value(json_object_get(*ret_root, "path"));
	if (!path || path[0] != '/' || strlen(path) >= HANDOVER_BYTES_MAX ||
		json_object_size(*ret_root) != 1) {
		admin_problem(call, 422, NULL, "the body is empty, or {\"path\": \"/...\"}");
		return NULL;
	}
	return path;
}

// Who may run a program as weir's user anyway: a token is for steering, not for that.
static bool may_choose(const struct admin_call *call)
{
	return strncmp(call->who, "unix uid ", 9) == 0;
}

static void give(struct admin *admin, struct admin_call *call, const char *path)
{
	struct order *order = mem_alloc(sizeof(*order));
	struct text text = {0};

	*order = (struct order){.message = {.deliver = deliver}, .handover = admin->face.handover};
	memcpy(order->path, path, strlen(path) + 1);
	LOG(admin->log, LOG_NOTICE, "an upgrade is asked for", LOG_CSTR("by", call->who));
	loop_post(admin->face.loop, &order->message);
	text_add(&text, STR("{\"started\":true}\n"));
	admin_answer(call, 202, "application/json", &text);
}

void api_upgrade(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;
	json_t *root;
	const char *path = read_path(call, &root);

	if (path && admin->face.keeper_pid == 0)
		admin_problem(call, 409, "set runtime.keeper: true and restart",
			"an upgrade needs a keeper, and this weir runs without");
	else if (path && path[0] && !may_choose(call))
		admin_problem(call, 403, "ask at the unix socket, or leave the path out",
			"which program runs is not for whoever comes over the network");
	else if (path)
		give(admin, call, path);
	json_decref(root);
}
