// SPDX-License-Identifier: Apache-2.0
// Lists of backends as files: the first byte says which form, L a line each, Y YAML or JSON, K what
// was kept on the disk. Whatever comes out is usable, and the same when it was kept and is read
// again.
#include <string.h>

#include "discover/keep.h"
#include "discover/list.h"
#include "fuzz_check.h"

static void check_row(const struct row *row, struct arena *arena)
{
	struct scheme_address address;

	ASSERT(row_parse_address(arena, row->url, &address));
	ASSERT(str_eq(address.address, row->address) && address.is_h2 == row->is_h2);
	ASSERT(row->id.len > 0 && row->weight <= CONF_WEIGHT_MAX);
	ASSERT(row->max_connections <= ROW_CONNECTIONS_MAX && row->state <= ROW_DISABLED);
}

static void check_kept(const struct rows *rows)
{
	struct text text = {0};
	struct rows *again;

	keep_format(&text, rows);
	again = keep_parse(str_make(text.data, text.len));
	ASSERT(again && again->count == rows->count);
	ASSERT(rows_hash(again) == rows_hash(rows));
	rows_free(again);
	text_done(&text);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	char error[LIST_ERROR_MAX] = "", *copy;
	struct rows *rows = NULL;
	struct arena arena;

	if (len == 0)
		return 0;
	copy = malloc(len); // terminated, as file_read gives it
	memcpy(copy, data + 1, len - 1);
	copy[len - 1] = '\0';
	if (data[0] == 'K')
		rows = keep_parse(str_make(copy, len - 1));
	else
		rows = list_read(data[0] == 'Y' ? "a.yaml" : "a", str_make(copy, len - 1), error);
	ASSERT(rows || data[0] == 'K' || strncmp(error, "a", 1) == 0);
	free(copy);
	if (!rows)
		return 0;
	arena_init(&arena, 64 << 20);
	for (u32 i = 0; i < rows->count; i++)
		check_row(&rows->list[i], &arena);
	check_kept(rows);
	arena_done(&arena);
	rows_free(rows);
	return 0;
}
