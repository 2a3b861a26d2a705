// SPDX-License-Identifier: Apache-2.0
// Telling backends who the client is, by a PROXY header in front of everything else
// (pools.NAME.send_proxy). What a connection says cannot be taken back: it serves only the client
// connection that it was introduced with (docs/decisions/0019).
#pragma once

#include "proxy/exchange.h"

// What a connection of this attempt begins with, in the exchange's arena; NULL where its pool tells
// nothing. False: there is no memory for it.
bool introduce_client(struct exchange *x, const struct pool *pool,
	const struct lease_intro **ret_intro) must_check;

// The same for what weir asks on its own account; static, and kept by nobody.
const struct lease_intro *introduce_nobody(const struct pool *pool);
