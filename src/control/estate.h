// SPDX-License-Identifier: Apache-2.0
// What a process finds when it begins: orders and configurations of whoever served before it, left
// with the keeper (after a crash, at an upgrade) or stored on the disk (after a restart of
// everything: configurations alone). It is taken over before the process says that it serves;
// docs/decisions/0033.
#pragma once

#include "control/bequest.h"
#include "control/handover.h"
#include "control/shelf_file.h"

struct estate {
	struct bequest bequest;
	struct shelf shelf;
	struct shelf_text *text; // of what is written now
	u32 generation;		 // of what serves first
	bool continues;		 // it is the newest one of the shelf, by its text
	bool is_taken;		 // orders were left
	struct conf_edit *lists; // that are known of pools, in the arena of `bequest`
	u32 list_count, list_room;
};

// `written`: the configuration without lists and edits. What cannot be read is told by a line of
// the log. `file` may be NULL.
void estate_open(struct estate *estate, struct handover *handover, struct shelf_file *file,
	const struct conf *written, struct log *log);

// The backends of a pool that come from elsewhere, before the following. Copied.
void estate_add_list(struct estate *estate, struct str pool,
	const struct conf_edit_backend *backends, u32 count);

// `written` with lists and edits, or, where there are no edits, `conf`, which has the lists. Edits
// that make no sense for it any more are dropped with a line each. What is new lives in `arena`.
const struct conf *estate_complete(struct estate *estate, const struct conf *written,
	const struct conf *conf, struct arena *arena, struct log *log);

void estate_done(struct estate *estate);

// The text behind a descriptor, which is closed. 0 or a negative errno; -EFBIG: it is longer.
int estate_read(int fd, size_t bytes_max, struct text *text) must_check;

// A line about one that does not apply, which is counted.
void estate_drop_order(struct bequest *bequest, const struct bequest_order *order, const char *why,
	struct log *log);
