// SPDX-License-Identifier: Apache-2.0
// What the files of the admin thread share. Nobody else includes it.
#pragma once

#include <pthread.h>

#include "admin/admin.h"
#include "admin/doors.h"
#include "admin/figures.h"
#include "admin/server.h"
#include "base/json.h"
#include "control/reason.h"
#include "decide/oddity.h"

struct admin {
	struct doors doors;
	struct control_face face;
	struct loop *loop;
	struct log *log;
	struct admin_server *server;
	struct admin_token *tokens;
	struct admin_route *routes;
	pthread_t thread;
	struct message stop_message, *ended;
	bool stopping, started;
	u32 asks_out;	     // of the control thread and of workers
	u32 connection_asks; // of those, each once for all workers
	struct admin_state *state;
	struct figures *figures;
	struct stream_hub *hub;
	struct looker *looker;
	struct otlp *otlp;	      // NULL: nobody traces
	struct list leaving;	      // configurations that spans may still speak of
	struct metrics_cells metrics; // this thread's own
};

// Handlers; `owner` is the struct admin. routes.def names each.
admin_handler_fn api_livez, api_readyz, api_state, api_stream, api_history, api_metrics,
	api_openapi, api_page, api_events, api_undo, api_failures, api_requests, api_request,
	api_explain, api_connections, api_config, api_providers, api_drain, api_enable, api_disable,
	api_weight, api_breaker, api_log_level, api_reload, api_add, api_remove, api_upgrade;
admin_handler_fn api_apply, api_confirm, api_generations, api_rollback, api_journal, api_export;

// ---- api_state.c --------------------------------------------------------------------------------

// Of which backends, and for whom.
struct state_scope {
	const struct pool *pool;				     // NULL: all
	bool (*wants)(void *context, const struct backend *backend); // NULL: all
	void *context;
	u8 role; // enum admin_role
};

// As of the copies at hand (state_fetch).
void api_write_state(struct json *json, struct admin *admin, const struct state_scope *scope);

void api_write_backend(struct json *json, struct admin *admin, const struct backend *backend);

// Why it is in the state that it is in; static, or in `room`.
const char *api_reason_text(const struct backend *backend, const struct desk_backend *one,
	char room[static REASON_BYTES]);

bool api_is_ready(const struct admin *admin);

// Of the pool and the backend of a query or a path. NULL: there is none, and the call was answered.
const struct backend *api_find_backend(
	struct admin *admin, struct admin_call *call, struct str pool, struct str id);

// Has an order carried out and tells how that went. `cell` is the backend's.
void api_give_order(struct admin *admin, struct admin_call *call, enum desk_order_kind kind,
	u32 cell, u32 value);

// ---- api_providers.c ----------------------------------------------------------------------------

// "providers": all that the copies at hand know of them.
void api_write_providers(struct json *json, const struct admin *admin);

// ---- api_reload.c -------------------------------------------------------------------------------

// Takes an edit of the configuration back, by its event.
void api_undo_edit(struct admin *admin, struct admin_call *call, const struct event_copy *event);

// ---- api_change.c -------------------------------------------------------------------------------

// "trial": {"generation", "before", "until_at_ms", "by"} or null.
void api_write_trial(struct json *json, struct admin *admin);

// ---- state.c: copies of what the control thread knows -------------------------------------------

struct admin_state {
	struct admin *admin;
	struct desk_ask ask;
	// Of the same moment, with the figures of the last second; by cell.
	struct oddity_facts *facts;
	struct oddity_finding *findings;
	// Room for the backends of one pool, which need not lie side by side.
	struct oddity_facts *pool_facts;
	struct oddity_finding *pool_findings;
	u32 *room;
	struct list waiting; // calls that want it
	bool asking;
	u64 asked_ms; // of this loop
};

struct admin_state *state_new(struct admin *admin);
void state_free(struct admin_state *state);

// `call` is heard by `then` once the copies are fresh.
void state_fetch(struct admin *admin, struct admin_call *call,
	void (*then)(struct admin *admin, struct admin_call *call));

// Of the copies' clock, in Unix time.
i64 state_wall_ms(const struct admin_state *state, u64 moment_ms);
