// SPDX-License-Identifier: Apache-2.0
#include "decide/share.h"

bool share_has_room(const struct share *share, u32 percent)
{
	return ((u64)share->ejected + 1) * 100 <= (u64)share->total * percent;
}

bool share_is_panic(const struct share *share, u32 percent)
{
	ASSERT((u64)share->down + share->left <= share->total);
	if (share->down + share->left == share->total)
		return false; // nobody is out by judgement alone
	return (u64)share->left * 100 < (u64)share->total * percent;
}
