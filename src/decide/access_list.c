// SPDX-License-Identifier: Apache-2.0
#include "decide/access_list.h"

static bool is_among(const struct addr_prefix *prefixes, u32 count, const struct addr *addr)
{
	for (u32 i = 0; i < count; i++)
		if (addr_prefix_match(&prefixes[i], addr))
			return true;
	return false;
}

bool access_list_lets_in(const struct access_list *list, const struct addr *addr)
{
	if (addr->family != ADDR_V4 && addr->family != ADDR_V6)
		return true;
	if (is_among(list->deny, list->deny_count, addr))
		return false;
	return list->allow_count == 0 || is_among(list->allow, list->allow_count, addr);
}
