// SPDX-License-Identifier: Apache-2.0
// The last configurations that were in effect, by the numbers of their generations: what the files
// (or whoever sent it) said, and the edits that were in force on top. What lists from elsewhere say
// is not kept: it is what is true now.
//
// Texts are the configuration with its secrets (conf_keep). Besides this process' memory they are
// in that of the keeper, and in the state folder where there is one (control/shelf_file.h).
// The control thread's, but for texts that are being made.
#pragma once

#include "base/list.h"
#include "base/text.h"
#include "conf/edit.h"

enum {
	SHELF_MAX = 16,
	SHELF_BYTES_MAX = 64 << 20,	   // of texts; the one in effect is kept however long it is
	SHELF_STORED_BYTES_MAX = 16 << 20, // of texts, in what is left and stored
	SHELF_FILE_BYTES_MAX = 48 << 20,   // of all that, with its edits
	SHELF_WHO_BYTES = 80,
	SHELF_WHY_BYTES = 128,
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
	const char *event;	       // what happened, for people; static or in `arena`
	char about[SHELF_ABOUT_BYTES]; // whom it is about: "app/10.0.0.1:80"; may be empty
	char who[SHELF_WHO_BYTES];
	struct shelf_text *text;
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

// The newest one, with a text of which it becomes a user. The caller fills in the rest. What there
// is no room for is let go.
struct shelf_entry *shelf_add(struct shelf *shelf, u32 number, struct shelf_text *text);

// All of `from`, which is empty then, into an empty one.
void shelf_move(struct shelf *shelf, struct shelf *from);

// NULL: it is not kept.
struct shelf_entry *shelf_find(const struct shelf *shelf, u32 number);
struct shelf_entry *shelf_newest(const struct shelf *shelf);
struct shelf_entry *shelf_before(const struct shelf *shelf, const struct shelf_entry *entry);

// Those with numbers below, as a text for another process; the oldest are left out where texts have
// more than SHELF_STORED_BYTES_MAX.
void shelf_format(const struct shelf *shelf, u32 below, struct text *text);

// Into an empty one. False: `why` says what is wrong with the text, and nothing is there.
bool shelf_parse(struct shelf *shelf, struct str text, char why[static SHELF_WHY_BYTES]);

// An array of {"number", "at_ms", "by", "text", "about", "in_effect"}, the newest first.
struct str shelf_json(const struct shelf *shelf, struct arena *arena);
