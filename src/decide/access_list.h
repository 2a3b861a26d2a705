// SPDX-License-Identifier: Apache-2.0
// Who may come in, by address. Denied networks are always refused; where networks are allowed,
// everybody else is refused too. A peer without an IP address (a unix socket) is let in: the rights
// of its path are the list for it.
#pragma once

#include "base/addr.h"

struct access_list {
	const struct addr_prefix *allow, *deny;
	u32 allow_count, deny_count;
};

bool access_list_lets_in(const struct access_list *list, const struct addr *addr);
