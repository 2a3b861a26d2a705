// SPDX-License-Identifier: Apache-2.0
// What weir top's user looks at and has typed: which row, sorted how, and what is being asked. Keys
// change it; drawing reads it. Knows no terminal.
#pragma once

#include "cli/top_model.h"

enum { TOP_MESSAGE_BYTES = 256, TOP_MESSAGE_S = 8, TOP_OLD_S = 3 };

// Keys beyond ASCII.
enum top_key {
	TOP_KEY_ENTER = '\r',
	TOP_KEY_ESCAPE = 0x1b,
	TOP_KEY_BACKSPACE = 0x7f,
	TOP_KEY_UP = 0x100,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_OTHER, // one that means nothing here
};

enum top_prompt { TOP_NO_PROMPT, TOP_TYPES_FILTER, TOP_CONFIRMS };

// Whether what has changed is shown: by itself where the list leaves room.
enum top_events { TOP_EVENTS_WITH_ROOM, TOP_EVENTS_SHOWN, TOP_EVENTS_HIDDEN };

// What of the model a frame shows.
struct top_page {
	u32 rows;	 // backends at once
	bool has_events; // what has changed is shown
};

enum top_act { TOP_GO_ON, TOP_QUIT, TOP_STEER };

struct top_view {
	struct top_order order;
	enum top_prompt prompt;
	enum top_events events;
	bool shows_help;
	u32 selected; // row
	u32 scroll;   // first row that is shown
	u32 help_scroll;
	json_t *chosen; // the backend of the selected row, once somebody chose one; else the first
			// is
	json_t *target; // of TOP_CONFIRMS and TOP_STEER: a backend as it was then
	bool enables;	// it is to be enabled, not drained
	char message[TOP_MESSAGE_BYTES];
	u32 message_s;	     // for so long it is shown
	const char *trouble; // why nothing comes; NULL: it does
	u64 age_s;	     // of what is shown
};

void top_view_init(struct top_view *view);
void top_view_done(struct top_view *view);

// What a key does to what `page` shows. TOP_STEER: `target` is to be drained, or
// enabled. The rows may have to be arranged anew.
enum top_act top_view_key(
	struct top_view *view, const struct top_model *model, const struct top_page *page, u32 key);

// Follows the chosen backend after rows were arranged, and keeps it within `page` rows.
void top_view_settle(struct top_view *view, const struct top_model *model, u32 page);

void top_view_say(struct top_view *view, const char *message); // for TOP_MESSAGE_S

// A second has passed.
void top_view_tick(struct top_view *view);
