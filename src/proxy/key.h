// SPDX-License-Identifier: Apache-2.0
// What a request is balanced by, as the hash that the keyed algorithms want: the parts that
// pools.NAME.hash.by names (the client's address under its prefix, path, header, cookie, query
// parameter), each with its absence told from emptiness. A TCP connection has only its address.
#pragma once

#include "proxy/exchange.h"

// For x->pool. The client's address is the one that request_client_ip gives, so a trusted proxy's
// word counts.
u64 key_of_request(struct exchange *x);
