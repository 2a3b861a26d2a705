// SPDX-License-Identifier: Apache-2.0
// What a backend is told about the certificate of a client: X-Client-Cert-Subject and
// X-Client-Cert-San, which at such frontends nobody else can set.
#pragma once

#include "proxy/exchange.h"

// Once, after the handshake: makes the lines that all requests of the connection get.
void client_cert_note(struct conn *conn);

// Takes out what the client says about itself, and adds the lines.
void client_cert_tell(struct exchange *x);
