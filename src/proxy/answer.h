// SPDX-License-Identifier: Apache-2.0
// What answers say about their way through weir, as far as the frontend wants it: Proxy-Status (RFC
// 9209), with the same word as logs and metrics, and Server-Timing. And that browsers shall come by
// TLS (RFC 6797). A forwarded answer gets them where frontend->has_answer_lines.
#pragma once

#include "proxy/exchange.h"

// Adds the lines to `head`; they live as long as the exchange. An answer of our own always says why
// it is one. Without memory there are none.
void answer_add_lines(struct exchange *x, struct http_head *head, bool is_ours);
