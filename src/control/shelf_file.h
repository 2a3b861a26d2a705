// SPDX-License-Identifier: Apache-2.0
// The shelf on the disk, so that configurations of before can be had again after the machine or the
// service was started anew: a file in the state folder, where there is such a folder, of a name
// that follows from where the configuration comes from. It is written by a thread that lives as
// long as that takes; what comes meanwhile is written next.
//
// All calls are the control thread's.
#pragma once

#include "base/log.h"
#include "control/shelf.h"
#include "loop/loop.h"

struct shelf_file;

// NULL: there is no folder, or nothing that could be read again. `source` names the configuration.
struct shelf_file *shelf_file_new(
	struct loop *loop, struct log *log, const char *folder, const char *source);

// What is there goes into an empty shelf. What cannot be used is told by a line of the log.
void shelf_file_read(struct shelf_file *file, struct shelf *shelf);

// Takes the text over. NULL is fine.
void shelf_file_write(struct shelf_file *file, struct text *text);

// The loop must turn until it is idle; then shelf_file_free. NULL is fine.
bool shelf_file_is_idle(const struct shelf_file *file);
void shelf_file_free(struct shelf_file *file);
