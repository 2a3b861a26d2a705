// SPDX-License-Identifier: Apache-2.0
// Files of the configuration: where they are, and their bytes.
#pragma once

#include "base/arena.h"

enum { FILE_BYTES_MAX = 16 * 1024 * 1024 };

// The whole of a regular file, or of standard input when `name` is "-", zero-terminated. 0 or a
// negative errno: -EISDIR, -EFBIG above FILE_BYTES_MAX, -EINVAL for what is no regular file.
// *ret_identity tells the same file under two names (0 for standard input).
int file_read(
	struct arena *arena, const char *name, struct str *ret_text, u64 *ret_identity) must_check;

bool file_exists(const char *name);

// `name` as seen from the folder of `from`: absolute names stay as they are.
const char *file_relative(struct arena *arena, const char *from, struct str name);

// The same name as seen from everywhere: the folder of the process is put before it.
const char *file_absolute(struct arena *arena, const char *name);

// Whether every user of this machine may read it.
bool file_is_public(const char *name);

// The files a pattern means, in order of their names; 0 when there are none.
u32 file_glob(struct arena *arena, const char *pattern, const char *const **ret_names) must_check;
bool file_is_pattern(const char *name);
