// SPDX-License-Identifier: Apache-2.0
#include "proxy/key.h"
#include "proxy/sticky.h"
u64 key_of_request(struct exchange *x)
{
	(void)x;
	return 0;
}
u32 sticky_find(struct exchange *x)
{
	(void)x;
	return BALANCE_NONE;
}
struct str sticky_line(struct exchange *x)
{
	(void)x;
	return STR_EMPTY;
}
