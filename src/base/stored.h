// SPDX-License-Identifier: Apache-2.0
// Files that are replaced as a whole (written beside, synced, renamed), so that who reads one finds
// the old text or the new one; readable by their owner only.
#pragma once

#include "base/text.h"

// Appends all that is in an open file, which stays open. 0 or a negative errno; -EFBIG: it is
// longer than `bytes_max`.
int stored_read_fd(int fd, size_t bytes_max, struct text *text) must_check;

// The file FOLDER/NAME. 0 or a negative errno. The folder is made when it is missing. May block.
int stored_write(const char *folder, const char *name, struct str text) must_check;

// Appends it to `text`. 0 or a negative errno; -EBADMSG: it is no file, or longer than `bytes_max`.
int stored_read(
	const char *folder, const char *name, size_t bytes_max, struct text *text) must_check;
