// SPDX-License-Identifier: Apache-2.0
// Whatever anybody in the simulation shows to anybody, with what is to be thought of it. All is
// made once in a process; the keys are Ed25519, whose signatures all have one length.
#pragma once

#include "base/str.h"

struct ssl_ctx_st;
struct ssl_st;

// X(NAME, who signs it, subject, its names, days that are left of it, subject and names as weir
// tells them). '/' divides a subject, in the order of the certificate. NULL: none.
#define TLS_CERTS(X)                                                                               \
	X(SITE, CA, "CN=sim.test", "DNS:sim.test", 30, NULL, NULL)                                 \
	X(OTHER, CA, "CN=other", "DNS:other.test,DNS:*.wild.test", 30, NULL, NULL)                 \
	X(EXACT, CA, "CN=exact", "DNS:a.wild.test", 30, NULL, NULL)                                \
	X(WRONG_NAME, CA, "CN=sim.test", "DNS:wrong.test,DNS:*.sim.test,DNS:test", 30, NULL, NULL) \
	X(WRONG_CA, STRANGER, "CN=sim.test", "DNS:sim.test", 30, NULL, NULL)                       \
	X(PAST, CA, "CN=sim.test", "DNS:sim.test", -1, NULL, NULL)                                 \
	X(ROBOT, CA, "O=sim/CN=robot 1", "DNS:robot.test,URI:spiffe://sim/a", 30,                  \
		"CN=robot 1,O=sim", "DNS:robot.test,URI:spiffe://sim/a")                           \
	X(PLAIN, CA, "CN=plain", NULL, 30, "CN=plain", NULL)                                       \
	X(REVOKED, CA, "CN=revoked", NULL, 30, "CN=revoked", NULL)                                 \
	X(LAPSED, CA, "CN=lapsed", "DNS:robot.test", -1, NULL, NULL)                               \
	X(UNKNOWN, STRANGER, "O=sim/CN=robot 1", "DNS:robot.test", 30, NULL, NULL)                 \
	X(CA, CA, "CN=sim authority", NULL, 30, NULL, NULL)                                        \
	X(STRANGER, STRANGER, "CN=strange authority", NULL, 30, NULL, NULL)

enum tls_cert_id {
	TLS_CERT_NONE,
#define X(name, issuer, subject, names, days, told_subject, told_names) TLS_CERT_##name,
	TLS_CERTS(X)
#undef X
		TLS_CERT_COUNT
};

void tls_certs_make(void);

// Files in memory, of PEM: a certificate with its key | the list of those that CA has revoked.
struct str tls_certs_file(enum tls_cert_id id);
struct str tls_certs_revoked(void);

// What weir says of a client that has shown it.
const char *tls_certs_subject(enum tls_cert_id id);
const char *tls_certs_names(enum tls_cert_id id);

void tls_certs_use(struct ssl_ctx_st *ctx, enum tls_cert_id id);  // shows it
void tls_certs_use_once(struct ssl_st *ssl, enum tls_cert_id id); // the same, one connection

// Which one the other side has shown; TLS_CERT_NONE: none, or none of these.
enum tls_cert_id tls_certs_shown(const struct ssl_st *ssl);
