// SPDX-License-Identifier: Apache-2.0
// What answers say about their way through weir, as far as the frontend wants it: Proxy-Status (RFC
// 9209), with the same word as logs and metrics, and Server-Timing.
#pragma once

#include "proxy/exchange.h"

// Adds the lines to `head`; they live as long as the exchange. An answer of our own always says why
// it is one. Without memory there are none.
void answer_add_lines(struct exchange *x, struct http_head *head, bool is_ours);

// Whether a forwarded answer gets any.
static inline bool answer_has_lines(const struct conf_frontend *conf)
{
	return conf->headers.server_timing || conf->headers.proxy_status;
}
