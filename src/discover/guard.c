// SPDX-License-Identifier: Apache-2.0
#include "discover/guard.h"

static u32 count_vanished(const struct rows *in_use, const struct rows_index *fresh)
{
	u32 vanished = 0;

	for (u32 i = 0; in_use && i < in_use->count; i++)
		vanished += rows_index_find(fresh, &in_use->list[i]) < 0;
	return vanished;
}

// `index` is of the list as it came. It still finds in it while more stands behind.
static void keep_vanished(
	struct rows *fresh, const struct rows *in_use, const struct rows_index *index)
{
	u32 skipped = fresh->skipped;

	for (u32 i = 0; i < in_use->count; i++)
		if (rows_index_find(index, &in_use->list[i]) < 0 && fresh->count < ROWS_MAX)
			rows_copy(fresh, &in_use->list[i]);
	rows_finish(fresh);
	fresh->skipped = skipped;
}

void guard_judge(const struct guard_rules *rules, const struct rows *in_use, struct rows *fresh,
	struct guard_result *ret_result)
{
	struct rows_index index;

	rows_index_init(&index, fresh);
	*ret_result = (struct guard_result){.vanished = count_vanished(in_use, &index),
		.fresh = fresh->count,
		.in_use = in_use ? in_use->count : 0};
	if (ret_result->vanished && fresh->count < rules->backends_min)
		ret_result->verdict = GUARD_FEW;
	else if (in_use && ret_result->vanished && !in_use->is_stored &&
		 fresh->count < in_use->count &&
		 (u64)(in_use->count - fresh->count) * 100 >
			 (u64)in_use->count * rules->vanish_percent)
		ret_result->verdict = GUARD_VANISHED;
	if (in_use && ret_result->verdict != GUARD_TAKEN)
		keep_vanished(fresh, in_use, &index);
	rows_index_done(&index);
}
