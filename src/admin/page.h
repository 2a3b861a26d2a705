// SPDX-License-Identifier: Apache-2.0
// The dashboard's files (src/admin/page/), as they are served.
#pragma once

#include "base/base.h"

struct page_file {
	const char *name, *content_type, *etag;
	const char *data;
	size_t len;
};

extern const struct page_file page_files[];
extern const u32 page_file_count;
