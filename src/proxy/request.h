// SPDX-License-Identifier: Apache-2.0
// What the backend gets to see: the client's request without what concerned only this connection,
// and with what the proxy knows about the client. The one place where forwarding fields are set.
#pragma once

#include "proxy/exchange.h"

// Gives the request its identifier. First of all: our own answers and the log name it too.
void request_identify(struct exchange *x);

// Changes x->request in place, once per exchange. 0 or -ENOMEM.
int request_prepare(struct exchange *x) must_check;

// A field that the client sent and the proxy sets itself, every copy of it.
void request_take_out(struct http_head *head, enum http_known known);

// Names the backend of this attempt (X-Backend-Server; Host where the client sent none).
void request_address(struct exchange *x, const struct backend *backend);

// An identifier for logs: the client's own when the peer is trusted, else random.
struct str request_id(const struct exchange *x);

// May this peer tell who the client is? (client_ip.trusted_proxies)
bool request_is_trusted(const struct conf_frontend *conf, const struct addr *addr);

// The client's address as told by a trusted proxy, else the peer's.
struct str request_client_ip(struct exchange *x);
