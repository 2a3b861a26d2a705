// SPDX-License-Identifier: Apache-2.0
#include "admin/stream.h"

#include "admin/api_requests.h"
#include "admin/event_json.h"
#include "admin/record_json.h"
#include "base/hash.h"
#include "base/mem.h"

enum { whole_backends_max = 200, records_max = 50, overlap_ms = 2000 };

struct watcher {
	struct list node;
	struct stream_hub *hub;
	struct admin_call *call;
	bool tails;   // wants requests as well
	bool has_all; // was sent a whole state, and nothing was left out since
};

struct stream_hub {
	struct admin *admin;
	struct list watchers;
	u64 *sent; // by cell: hash of what was sent last
	bool *is_news;
	bool asking;
	struct text text;
	// Events come from the control thread, records are read where they are.
	struct desk_ask ask;
	bool asks_events;
	u64 newest_event;
	i64 since_ms; // what was before is in the lists
	struct requests_seen failures, requests;
};

// ---- Writing ------------------------------------------------------------------------------------

static bool is_news(void *context, const struct backend *backend)
{
	const struct stream_hub *hub = context;

	return hub->is_news[backend->cell];
}

static void find_news(struct stream_hub *hub)
{
	const struct snapshot *snapshot = hub->admin->face.snapshot;
	struct text text = {0};
	struct json json;

	for (u32 i = 0; i < snapshot->backend_count; i++) {
		u64 hash;

		text_clear(&text);
		json_init(&json, &text);
		if (snapshot->backends[i])
			api_write_backend(&json, hub->admin, snapshot->backends[i]);
		hash = hash_bytes(text.data, text.len, 0);
		hub->is_news[i] = hash != hub->sent[i];
		hub->sent[i] = hash;
	}
	text_done(&text);
}

static void write_state(struct stream_hub *hub, u8 role, bool partial)
{
	struct state_scope scope = {
		.role = role, .wants = partial ? is_news : NULL, .context = hub};
	struct json json;

	text_clear(&hub->text);
	text_add(&hub->text, STR("event: state\ndata: "));
	json_init(&json, &hub->text);
	api_write_state(&json, hub->admin, &scope);
	text_add(&hub->text, STR("\n\n"));
}

static void send_to(struct stream_hub *hub, u8 role, bool partial)
{
	bool written = false;

	list_for_each (node, &hub->watchers) {
		struct watcher *watcher = list_entry(node, struct watcher, node);

		if (watcher->call->role != role || watcher->has_all != partial)
			continue;
		if (!written)
			write_state(hub, role, partial);
		written = true;
		watcher->has_all =
			admin_stream_send(watcher->call, str_make(hub->text.data, hub->text.len));
	}
}

static void send_all(struct stream_hub *hub)
{
	bool partial = hub->admin->face.snapshot->backend_count > whole_backends_max;

	if (partial)
		find_news(hub);
	for (u32 role = ADMIN_READER; role <= ADMIN_OPERATOR; role++) {
		if (partial)
			send_to(hub, (u8)role, true);
		send_to(hub, (u8)role, false);
	}
	if (!partial) // everybody gets the whole each time
		list_for_each (node, &hub->watchers)
			list_entry(node, struct watcher, node)->has_all = false;
}

static void on_state(struct admin *admin, struct admin_call *call)
{
	struct stream_hub *hub = admin->hub;

	(void)call;
	hub->asking = false;
	if (!list_is_empty(&hub->watchers))
		send_all(hub);
}

// ---- What happened ------------------------------------------------------------------------------

static void send_text(struct stream_hub *hub, bool to_tails_only)
{
	struct str piece = str_make(hub->text.data, hub->text.len);

	if (piece.len == 0)
		return;
	list_for_each (node, &hub->watchers) {
		struct watcher *watcher = list_entry(node, struct watcher, node);

		if (!to_tails_only || watcher->tails)
			(void)admin_stream_send(watcher->call, piece);
	}
}

static void on_events(struct desk_ask *ask)
{
	struct stream_hub *hub = container_of(ask, struct stream_hub, ask);
	struct json json;

	hub->asks_events = false;
	hub->admin->asks_out--;
	text_clear(&hub->text);
	for (u32 i = 0; i < ask->event_count; i++) {
		hub->newest_event = ask->events[i].number;
		if (ask->events[i].wall_ms < hub->since_ms)
			continue;
		text_add(&hub->text, STR("event: event\ndata: "));
		json_init(&json, &hub->text);
		event_write_json(&json, &ask->events[i]);
		text_add(&hub->text, STR("\n\n"));
	}
	send_text(hub, false);
}

static void ask_for_events(struct stream_hub *hub)
{
	if (hub->asks_events)
		return;
	hub->asks_events = true;
	hub->ask.kind = DESK_EVENTS;
	hub->ask.after = hub->newest_event;
	hub->ask.events_max = CHANGES_KEPT;
	hub->admin->asks_out++;
	desk_ask(hub->admin->face.desk, &hub->ask, hub->admin->loop, on_events);
}

// The oldest first.
static void send_records(
	struct stream_hub *hub, bool failures_only, struct requests_seen *seen, bool silently)
{
	struct record records[records_max];
	u32 count = requests_read(hub->admin, failures_only, records, ARRAY_LEN(records));
	struct json json;

	text_clear(&hub->text);
	while (count--) {
		if (!requests_is_news(seen, &records[count]) || silently)
			continue;
		text_add(&hub->text, failures_only ? STR("event: failure\ndata: ")
						   : STR("event: request\ndata: "));
		json_init(&json, &hub->text);
		record_write_json(&json, hub->admin->face.snapshot, &records[count]);
		text_add(&hub->text, STR("\n\n"));
	}
	send_text(hub, !failures_only);
}

static bool somebody_tails(const struct stream_hub *hub)
{
	list_for_each (node, &hub->watchers)
		if (list_entry(node, struct watcher, node)->tails)
			return true;
	return false;
}

static void send_news(struct stream_hub *hub)
{
	ask_for_events(hub);
	send_records(hub, true, &hub->failures, false);
	if (somebody_tails(hub))
		send_records(hub, false, &hub->requests, false);
}

void stream_hub_second(struct stream_hub *hub)
{
	if (list_is_empty(&hub->watchers))
		return;
	send_news(hub);
	if (hub->asking)
		return;
	hub->asking = true;
	state_fetch(hub->admin, NULL, on_state);
}

// ---- Watchers -----------------------------------------------------------------------------------

static void drop(struct watcher *watcher)
{
	struct admin_call *call = watcher->call;

	list_remove(&watcher->node);
	mem_free(watcher);
	call->on_gone = NULL;
	admin_stream_end(call);
}

static void on_gone(struct admin_call *call)
{
	drop(call->context);
}

static void on_first(struct admin *admin, struct admin_call *call)
{
	struct stream_hub *hub = admin->hub;
	struct watcher *watcher;
	struct str tail;

	admin_add_field(call, "Cache-Control", STR("no-store"));
	admin_add_field(call, "X-Accel-Buffering", STR("no"));
	if (!admin_stream_begin(call, "text/event-stream"))
		return;
	if (!call->client || admin->stopping) {
		admin_stream_end(call);
		return;
	}
	watcher = mem_alloc(sizeof(*watcher));
	watcher->hub = hub;
	watcher->call = call;
	watcher->tails = admin_query(call, "tail", &tail) && str_eq(tail, STR("1"));
	if (list_is_empty(&hub->watchers)) {
		hub->since_ms = loop_wall_ms(admin->loop) - overlap_ms;
		send_records(hub, true, &hub->failures, true);
	}
	call->context = watcher;
	call->on_gone = on_gone;
	list_push_back(&hub->watchers, &watcher->node);
	write_state(hub, call->role, false);
	(void)admin_stream_send(call, str_make(hub->text.data, hub->text.len));
}

void api_stream(void *owner, struct admin_call *call)
{
	state_fetch(owner, call, on_first);
}

// ---- Life ---------------------------------------------------------------------------------------

struct stream_hub *stream_hub_new(struct admin *admin)
{
	struct stream_hub *hub = mem_alloc(sizeof(*hub));
	u32 backends = MAX(admin->face.snapshot->slots->backends.max, 1);

	hub->admin = admin;
	list_init(&hub->watchers);
	hub->sent = mem_alloc(sizeof(u64) * backends);
	hub->is_news = mem_alloc(sizeof(bool) * backends);
	hub->ask.events = mem_alloc(sizeof(struct event_copy) * CHANGES_KEPT);
	return hub;
}

void stream_hub_stop(struct stream_hub *hub)
{
	while (!list_is_empty(&hub->watchers))
		drop(list_first(&hub->watchers, struct watcher, node));
}

void stream_hub_free(struct stream_hub *hub)
{
	text_done(&hub->text);
	mem_free(hub->ask.events);
	mem_free(hub->sent);
	mem_free(hub->is_news);
	mem_free(hub);
}
