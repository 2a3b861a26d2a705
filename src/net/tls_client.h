// SPDX-License-Identifier: Apache-2.0
// How one backend is spoken to over TLS, in one environment: whom to believe that it is the one,
// under which name, and the newest session it gave us.
#pragma once

#include "net/tls_server.h"

struct tls_client_options {
	bool is_unverified; // whoever answers is believed; the name is sent all the same
	struct str
		name;	// that its certificate must have, and that it is told; an address: not told
	struct str ca;	// PEM file of its authorities; empty: the machine's
	struct str crl; // PEM file; empty: none
	struct tls_files own; // what we show when it asks; cert empty: nothing
	enum tls_version_min version_min;
	const struct str *alpn; // offered
	u32 alpn_count;
	bool needs_h2; // one that does not choose h2 is none (RFC 9113 3.2)
};

// NULL, with the reason. Starts with one reference. `like`: another one with the same options but
// for the name, or NULL; they share a context.
struct tls_client *tls_client_new(struct tls_env *env, const struct tls_client_options *options,
	const struct tls_client *like, struct tls_error *ret_error) must_check;
struct tls_client *tls_client_ref(struct tls_client *client);
void tls_client_unref(struct tls_client *client);

// When the certificate that we show ends, in Unix time; 0: we show none. From any thread.
i64 tls_client_own_not_after_s(const struct tls_client *client);

struct tls_env *tls_client_env(const struct tls_client *client);
SSL_CTX *tls_client_ctx(const struct tls_client *client);

// ---- For tls.c ----------------------------------------------------------------------------------

// Name and session for a new connection. False: no memory.
bool tls_client_prepare(struct tls_client *client, SSL *ssl) must_check;

bool tls_client_needs_h2(const struct tls_client *client);
