// SPDX-License-Identifier: Apache-2.0
// What has changed, told once: one log line, and one event among the last CHANGES_KEPT that the API
// shows. It hears of changes in the model (control/model.h), of what somebody did (steering), and
// of the process' own life.
//
// Neither lines nor events are a flood. A backend that flaps (decide/flapping.h) is said to do so,
// once, and its single changes are left out until it is calm, which is said too; meanwhile it is
// among those of unwell.h. What changes more than CHANGES_SAID times
// within CHANGES_CALM_MS for another reason is spoken of once a second from then on, with the
// number of changes in between. Many backends that change like each other within a second are one
// line and one event with their number (throng.h). Apart from that every change is an event.
//
// Events keep copies of all names, so they outlive the configuration they are of. All calls are the
// control thread's.
#pragma once

#include "base/log.h"
#include "control/model.h"
#include "control/throng.h"
#include "decide/flapping.h"
#include "proxy/hush.h"

enum {
	CHANGES_KEPT = 512,
	CHANGES_SAID = 8,
	CHANGES_CALM_MS = 10 * 1000,
	CHANGES_FLAPS_MS = 60 * 1000, // between two looks whether it still does
	CHANGES_FLAPS_SAID = 16,      // in one second, of all that do
};

// Provider: of a source of backends, whose name stands in the place of the backend's. Oddity: of
// unwell.h. Steering: somebody did it. Life: of this process. All others are of the model
// (model_change_kind). X(NAME, name in the API)
#define EVENT_KINDS(X)              \
	X(HEALTH, "health")         \
	X(EJECTION, "ejection")     \
	X(BREAKER, "breaker")       \
	X(PANIC, "panic")           \
	X(POOL, "pool")             \
	X(CHECK_TYPE, "check_type") \
	X(FLAPPING, "flapping")     \
	X(PROVIDER, "provider")     \
	X(ODDITY, "oddity")         \
	X(STEERING, "steering")     \
	X(LIFE, "life")

enum event_kind {
#define X(name, text) EVENT_##name,
	EVENT_KINDS(X)
#undef X
		EVENT_KIND_COUNT
};

const char *event_kind_name(enum event_kind kind);

enum {
	EVENT_NAME_MAX = 128, // bytes of each; what is longer is cut
	EVENT_STATE_MAX = 31,
	EVENT_REASON_MAX = 127,
	EVENT_PATH_MAX = 511,
	EVENT_BODY_MAX = 127,
};

// What takes an order back, for who gave it (control/desk.h). EVENT_UNDO_ADD: undo_path says all.
// EVENT_UNDO_REMOVE: control/reload.h remembers what was removed, by the number of the event.
enum { EVENT_UNDO_ADD = 1000, EVENT_UNDO_REMOVE };

struct event_undo {
	u32 order, cell, value;
};

// Complete in itself. Texts are terminated; empty ones do not apply.
struct event_copy {
	u64 number; // the first one is 1
	i64 wall_ms;
	u8 kind;	  // enum event_kind
	u32 streak;	  // results in a row that led to it; 0: does not apply
	u64 next_ms;	  // when it is looked at again, from then on; 0: does not apply
	u32 eligible, of; // of the pool, after the change; 0 of 0: does not apply
	u32 count;	  // backends that it tells of; 0: the one that it names, or none
	const char *text; // what has happened, for people; static
	char pool[EVENT_NAME_MAX + 1], backend[EVENT_NAME_MAX + 1];
	char from[EVENT_STATE_MAX + 1], to[EVENT_STATE_MAX + 1];
	char reason[EVENT_REASON_MAX + 1];
	char by[EVENT_NAME_MAX + 1]; // who did it: "token NAME", "unix uid 0"
	// The call that takes it back, as the API has it.
	char undo_method[8], undo_path[EVENT_PATH_MAX + 1], undo_body[EVENT_BODY_MAX + 1];
	struct event_undo undo; // the same; where there is an undo_method
};

struct changes;

// Borrows all of it until changes_free.
struct changes *changes_new(struct loop *loop, struct log *log, const struct snapshot *snapshot);
void changes_free(struct changes *changes); // tells what was only counted so far

// The next configuration. What was only counted so far of who is not in it is told.
void changes_adopt(struct changes *changes, const struct snapshot *snapshot);

// A model_listener_fn; `owner` is the struct changes.
void changes_note(void *owner, const struct model_change *change);

// How often a backend went out or came back by itself within the span, and since when it flaps; 0:
// it does not.
struct changes_flaps {
	u32 changes;
	u64 span_ms, since_ms;
};

struct changes_flaps changes_flaps(const struct changes *changes, const struct backend *backend);

// What is not the model's. Empty texts do not apply.
struct event_said {
	u8 kind;	  // EVENT_STEERING, which gets a log line here, and those beside it
	const char *text; // what has happened; static
	u32 count;	  // backends; 0: does not apply
	struct str pool, backend;
	struct str from, to, reason, by;
	// Where it does not fit as a whole, there is nothing to take it back by.
	struct str undo_method, undo_path, undo_body;
	struct event_undo undo;
};

// The number of the event.
u64 changes_say(struct changes *changes, const struct event_said *said);

// The number of the newest event; 0: none yet.
u64 changes_newest(const struct changes *changes);

// Events with numbers above `after`, the oldest first, at most `max` of them. Gives how many; there
// are more as long as the last one's number is not the newest one's. What is no longer kept is left
// out.
u32 changes_copy(const struct changes *changes, u64 after, struct event_copy *ret_events, u32 max);
