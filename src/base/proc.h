// SPDX-License-Identifier: Apache-2.0
// Short texts of the kernel, as /proc has them.
#pragma once

#include "base/str.h"

// The first `size` bytes of a file, in `buffer`: all of it, where it is short, as of one moment.
// Empty: it is not there, or may not be read.
struct str proc_read(const char *path, char *buffer, size_t size);
