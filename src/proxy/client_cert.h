// SPDX-License-Identifier: Apache-2.0
// What a backend is told about the certificate of a client: X-Client-Cert-Subject and
// X-Client-Cert-San, which clients cannot set.
#pragma once

#include "proto/proxy_header.h"
#include "proxy/exchange.h"

// Once, after the handshake: makes the lines that all requests of the connection get.
void client_cert_note(struct conn *conn);

// What those lines say, for routes.
struct router_cert client_cert_known(const struct conn *conn);

// The lines of a certificate that nobody has shown, in the arena; ptr NULL when it is full.
struct str client_cert_lines(struct arena *arena, struct str subject, struct str sans);

// What a PROXY header says of the client's TLS, and of its certificate where one was verified. The
// common name is put into `room`.
enum { CLIENT_CERT_NAME_MAX = 255 };

void client_cert_describe(const struct tls *tls, struct proxy_header_tls *ret_described,
	char room[static CLIENT_CERT_NAME_MAX]);

// Adds the lines. What the client says about itself is taken out already, here and at every other
// frontend (request.c).
void client_cert_tell(struct exchange *x);
