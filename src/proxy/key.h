// SPDX-License-Identifier: Apache-2.0
// What a request is balanced by, as the hash that the keyed algorithms want: the parts that
// pools.NAME.hash.by names (the client's address under its prefix, path, header, cookie, query
// parameter), in their order, each with its absence told from emptiness. ip_hash takes the address
// whatever stands there, and a TCP connection has nothing else. Of several header fields or cookies
// of one name the first counts.
//
// A request that has none of the parts has nothing to be faithful to: its key is random, so that
// such requests are spread out and do not all meet at one backend.
#pragma once

#include "proxy/exchange.h"

// For x->pool. The client's address is the one that request_client_ip gives, so a trusted proxy's
// word counts.
u64 key_of_request(struct exchange *x);
