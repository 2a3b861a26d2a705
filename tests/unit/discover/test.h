// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "discover/rows.h"

static inline void assert_str(struct str text, const char *expected)
{
	if (text.len != strlen(expected) || memcmp(text.ptr, expected, text.len) != 0)
		fail_msg("'%.*s' is not '%s'", STR_FMT(text), expected);
}

static inline void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in:\n%s", part, text);
}

// Addresses with spaces between them, as a finished list.
static inline struct rows *rows_of(const char *addresses)
{
	struct rows *rows = rows_new();
	struct str rest = str_from(addresses), word;

	while (rest.len) {
		word = str_cut(&rest, ' ');
		rows_add(rows, &(struct row_values){.address = word});
	}
	rows_finish(rows);
	return rows;
}

static inline void assert_rows(const struct rows *rows, const char *addresses)
{
	struct str rest = str_from(addresses);

	for (u32 i = 0; i < rows->count; i++) {
		struct str word = str_cut(&rest, ' ');

		if (!str_eq(word, rows->list[i].address))
			fail_msg("row %u is %.*s, not %.*s", i, STR_FMT(rows->list[i].address),
				STR_FMT(word));
	}
	if (rest.len)
		fail_msg("missing: %.*s", STR_FMT(rest));
}
