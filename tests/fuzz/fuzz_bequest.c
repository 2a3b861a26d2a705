// SPDX-License-Identifier: Apache-2.0
// What one process leaves to the next: O orders, G generations, behind a seal that is right; any
// other first byte: the whole as it is. What was read and is written is read again as the same.
#include "base/sealed.h"
#include "control/bequest.h"
#include "control/shelf.h"
#include "fuzz_check.h"

static void check_orders(struct str text)
{
	struct bequest bequest, again;
	struct text written = {0};
	char why[BEQUEST_WHY_MAX] = "";

	bequest_init(&bequest);
	bequest_init(&again);
	if (bequest_parse(&bequest, text, why)) {
		bequest_format(&written, &bequest);
		ASSERT(bequest_parse(&again, str_make(written.data, written.len), why));
		ASSERT(again.order_count == bequest.order_count);
		ASSERT(again.edit_count == bequest.edit_count);
		ASSERT(again.dropped == bequest.dropped);
		for (u32 i = 0; i < bequest.order_count; i++)
			ASSERT(bequest_same_order(&again.orders[i], &bequest.orders[i]));
		for (u32 i = 0; i < bequest.edit_count; i++)
			ASSERT(bequest_same_edit(&again.edits[i], &bequest.edits[i]));
	} else {
		ASSERT(why[0]);
	}
	bequest_done(&bequest);
	bequest_done(&again);
	text_done(&written);
}

static void check_generations(struct str text)
{
	struct text first = {0}, second = {0};
	char why[SHELF_WHY_BYTES] = "";
	struct shelf shelf, again;

	shelf_init(&shelf);
	shelf_init(&again);
	if (shelf_parse(&shelf, text, why)) {
		ASSERT(shelf.count <= SHELF_MAX);
		shelf_format(&shelf, UINT32_MAX, &first);
		ASSERT(shelf_parse(&again, str_make(first.data, first.len), why));
		shelf_format(&again, UINT32_MAX, &second);
		ASSERT(str_eq(str_make(first.data, first.len), str_make(second.data, second.len)));
	} else {
		ASSERT(why[0]);
	}
	shelf_done(&shelf);
	shelf_done(&again);
	text_done(&first);
	text_done(&second);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t len)
{
	struct text text = {0};
	struct str body;

	if (len == 0)
		return 0;
	body = str_make((const char *)data + 1, len - 1);
	if (data[0] == 'O' || data[0] == 'G')
		sealed_format(&text, data[0] == 'O' ? "orders" : "generations", 1, body);
	else
		text_add(&text, body);
	body = str_make(text.len ? text.data : "", text.len);
	if (data[0] == 'G')
		check_generations(body);
	else
		check_orders(body);
	text_done(&text);
	return 0;
}
