// SPDX-License-Identifier: Apache-2.0
// Answers the balancer gives itself: errors that name their cause, and redirects. As text, JSON or
// HTML, by what the client accepts; with Proxy-Status (RFC 9209) so that machines can tell whose
// doing it is.
#pragma once

#include "proxy/exchange.h"

// The status of that answer.
u16 reply_status(const struct exchange *x);

// Sends the whole answer for x->outcome on x->down and sets x->status.
void reply_send(struct exchange *x);
