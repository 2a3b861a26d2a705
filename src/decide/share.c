// SPDX-License-Identifier: Apache-2.0
#include "decide/share.h"

bool share_has_room(const struct share *share, u32 percent)
{
	return ((u64)share->ejected + 1) * 100 <= (u64)share->total * percent;
}

bool share_is_panic(const struct share *share, u32 percent)
{
	u64 left;

	ASSERT((u64)share->down + share->ejected <= share->total);
	left = share->total - share->down - share->ejected;
	return share->ejected > 0 && left * 100 < (u64)share->total * percent;
}
