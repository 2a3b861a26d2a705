// SPDX-License-Identifier: Apache-2.0
// Series over time.
#include "admin/admin_inside.h"

enum { seconds_default = 900, seconds_max = HISTORY_MINUTES * 60 };

void api_history(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;
	enum history_of of = HISTORY_WHOLE;
	struct str pool_name, id;
	struct text text = {0};
	struct json json;
	u64 seconds;
	u32 index = 0;

	if (!admin_query_number(call, "seconds", 1, seconds_max, seconds_default, &seconds))
		return;
	if (admin_query(call, "pool", &pool_name)) {
		const struct pool *pool = snapshot_find_pool(admin->face.snapshot, pool_name);

		if (!pool) {
			admin_problem(
				call, 404, NULL, "there is no pool '%.*s'", STR_FMT(pool_name));
			return;
		}
		of = HISTORY_POOL;
		index = pool->index;
		if (admin_query(call, "backend", &id)) {
			const struct backend *backend =
				api_find_backend(admin, call, pool_name, id);

			if (!backend)
				return;
			of = HISTORY_BACKEND;
			index = backend->cell;
		}
	}
	json_init(&json, &text);
	history_write(&json, figures_history(admin->figures), of, index, (u32)seconds);
	text_addc(&text, '\n');
	admin_add_field(call, "Cache-Control", STR("no-store"));
	admin_answer(call, 200, "application/json", &text);
}
