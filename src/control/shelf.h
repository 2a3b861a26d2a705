// SPDX-License-Identifier: Apache-2.0
// The last configurations that were in effect, by the numbers of their generations: what the files
// (or whoever sent it) said, and the edits that were in force on top. What lists from elsewhere say
// is not kept: it is what is true now.
//
// Texts are the configuration with its secrets (conf_keep): they stay in this process' memory.
// The control thread's, but for texts that are being made.
#pragma once

#include "base/list.h"
#include "conf/edit.h"

enum {
	SHELF_MAX = 16,
	SHELF_BYTES_MAX = 64 << 20, // of texts; the one in effect is kept however long it is
	SHELF_WHO_BYTES = 80,
	SHELF_ABOUT_BYTES = 256,
};

// What a configuration says, shared by the generations that differ by edits alone.
struct shelf_text {
	u32 users;
	struct str text;
};

struct shelf_text *shelf_text_new(struct str text); // copied; one user
void shelf_text_drop(struct shelf_text *text);	    // NULL is fine

struct shelf_entry {
	struct list node;
	u32 number;
	i64 wall_ms;		       // when it was taken
	const char *event;	       // what happened, for people; static
	char about[SHELF_ABOUT_BYTES]; // whom it is about: "app/10.0.0.1:80"; may be empty
	char who[SHELF_WHO_BYTES];
	struct shelf_text *text; // NULL: not made yet (the first one)
	struct conf_edit *edits; // in `arena`
	u32 edit_count;
	struct arena arena;
};

struct shelf {
	struct list entries; // the oldest first; the last one is in effect
	u32 count;
};

void shelf_init(struct shelf *shelf);
void shelf_done(struct shelf *shelf);

// The newest one, with a text of which it becomes a user (NULL: it gets one later). The caller
// fills in the rest. What there is no room for is let go.
struct shelf_entry *shelf_add(struct shelf *shelf, u32 number, struct shelf_text *text);

// NULL: it is not kept.
struct shelf_entry *shelf_find(const struct shelf *shelf, u32 number);
struct shelf_entry *shelf_newest(const struct shelf *shelf);
struct shelf_entry *shelf_before(const struct shelf *shelf, const struct shelf_entry *entry);

// An array of {"number", "at_ms", "by", "text", "about", "in_effect"}, the newest first.
struct str shelf_json(const struct shelf *shelf, struct arena *arena);
