// SPDX-License-Identifier: Apache-2.0
// What has changed, and taking it back.
#include "admin/admin_inside.h"
#include "admin/event_json.h"
#include "base/mem.h"

struct events {
	struct desk_ask ask;
	struct admin *admin;
	struct admin_call *call;
	u64 number; // of the one that is to be taken back
	u32 limit;
};

static void ask_for(struct admin *admin, struct admin_call *call, u64 after, u32 limit, u64 number,
	void (*answered)(struct desk_ask *ask))
{
	struct events *events = mem_alloc(sizeof(*events));

	events->admin = admin;
	events->call = call;
	events->limit = limit;
	events->number = number;
	events->ask.kind = DESK_EVENTS;
	events->ask.after = after;
	events->ask.events_max = CHANGES_KEPT;
	events->ask.events = mem_alloc(sizeof(struct event_copy) * CHANGES_KEPT);
	admin->asks_out++;
	desk_ask(admin->face.desk, &events->ask, admin->loop, answered);
}

static void give_up(struct events *events)
{
	events->admin->asks_out--;
	mem_free(events->ask.events);
	mem_free(events);
}

// ---- Reading ------------------------------------------------------------------------------------

// The newest first.
static void on_events(struct desk_ask *ask)
{
	struct events *events = container_of(ask, struct events, ask);
	struct text text = {0};
	struct json json;
	u32 count = MIN(ask->event_count, events->limit);

	json_init(&json, &text);
	json_object_begin(&json);
	json_key_u64(&json, "newest", ask->newest);
	json_key(&json, "events");
	json_array_begin(&json);
	for (u32 i = 0; i < count; i++)
		event_write_json(&json, &ask->events[ask->event_count - 1 - i]);
	json_array_end(&json);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_add_field(events->call, "Cache-Control", STR("no-store"));
	admin_answer(events->call, 200, "application/json", &text);
	give_up(events);
}

void api_events(void *owner, struct admin_call *call)
{
	u64 after, limit;

	if (admin_query_number(call, "after", 0, UINT64_MAX, 0, &after) &&
		admin_query_number(call, "limit", 1, CHANGES_KEPT, 100, &limit))
		ask_for(owner, call, after, (u32)limit, 0, on_events);
}

// ---- Undo ---------------------------------------------------------------------------------------

// By its name, as the call that takes the order back has it: it may have been removed and added
// again meanwhile, under another slot. False: it is not there.
static bool find_cell(const struct admin *admin, const struct event_copy *event, u32 *ret_cell)
{
	const struct backend *backend;

	*ret_cell = event->undo.cell;
	if (!event->backend[0])
		return true;
	backend = snapshot_find_backend(
		snapshot_find_pool(admin->face.snapshot, str_from(event->pool)),
		str_from(event->backend));
	if (backend)
		*ret_cell = backend->cell;
	return backend != NULL;
}

static void on_event(struct desk_ask *ask)
{
	struct events *events = container_of(ask, struct events, ask);
	const struct event_copy *event = ask->event_count ? &ask->events[0] : NULL;
	struct admin_call *call = events->call;
	u32 cell;

	if (!event || event->number != events->number)
		admin_problem(call, 404, "GET /api/v1/events has those that are kept.",
			"there is no event %llu, or none any more",
			(unsigned long long)events->number);
	else if (!event->undo_method[0])
		admin_problem(call, 422, "Only what somebody did can be taken back.",
			"event %llu cannot be taken back", (unsigned long long)events->number);
	else if (event->undo.order >= EVENT_UNDO_ADD)
		api_undo_edit(events->admin, call, event);
	else if (!find_cell(events->admin, event, &cell))
		admin_problem(call, 404, NULL, "'%s' is not in pool '%s' any more", event->backend,
			event->pool);
	else
		api_give_order(events->admin, call, (enum desk_order_kind)event->undo.order, cell,
			event->undo.value);
	give_up(events);
}

void api_undo(void *owner, struct admin_call *call)
{
	u64 number;

	if (str_to_u64(call->params[0], UINT64_MAX, &number) != 0 || number == 0)
		admin_problem(call, 422, NULL, "'%.*s' is no number of an event",
			STR_FMT(call->params[0]));
	else
		ask_for(owner, call, number - 1, 1, number, on_event);
}
