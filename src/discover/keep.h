// SPDX-License-Identifier: Apache-2.0
// The last good list of a provider on disk, so that a start goes well while its source is down. A
// file NAME.rows in the state folder: replaced as a whole (written beside, synced, renamed),
// bounded, with a checksum, readable by its owner only. What does not hold is no list.
#pragma once

#include "base/text.h"
#include "discover/rows.h"

enum { KEEP_BYTES_MAX = 32 << 20 };

// The file's text, and back; NULL: it does not hold.
void keep_format(struct text *text, const struct rows *rows);
struct rows *keep_parse(struct str text) must_check;

// 0 or a negative errno. The folder is made when it is missing. May block.
int keep_write(const char *folder, struct str name, const struct rows *rows) must_check;

// NULL when there is none; then *ret_error is 0 or a negative errno (-EBADMSG: it is damaged).
struct rows *keep_read(const char *folder, struct str name, int *ret_error) must_check;
