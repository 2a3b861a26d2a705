// SPDX-License-Identifier: Apache-2.0
// What one frontend shows to its clients, in one environment: certificates by name, versions,
// protocols, and whom it asks for a certificate.
//
// A client that names a host gets the certificates for just this name, else those for its wildcard,
// else the first of the list; of several with different kinds of keys, the one that the client can
// use. Sessions are resumed with tickets only, and only at frontends of the same name and rules.
// What is wrong with an OCSP response refuses nothing: it is not stapled.
#pragma once

#include "net/tls.h"
#include "net/tls_staple.h"

enum tls_version_min { TLS_MIN_1_2, TLS_MIN_1_3 };
enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };

struct tls_server_options {
	struct str name; // of the frontend
	const struct tls_files *files;
	u32 file_count;
	enum tls_version_min version_min;
	const struct str *alpn; // in the order of preference
	u32 alpn_count;
	bool without_tickets; // nothing is resumed
	enum tls_client_auth client_auth;
	struct str client_ca, client_crl; // PEM files
};

// NULL, with the reason. Starts with one reference.
struct tls_server *tls_server_new(struct tls_env *env, const struct tls_server_options *options,
	struct tls_error *ret_error) must_check;
struct tls_server *tls_server_ref(struct tls_server *server);
void tls_server_unref(struct tls_server *server);

struct tls_env *tls_server_env(const struct tls_server *server);
SSL_CTX *tls_server_ctx(const struct tls_server *server);

// The certificates, in the order of the files.
u32 tls_server_cert_count(const struct tls_server *server);
const struct tls_cert *tls_server_cert(const struct tls_server *server, u32 index);
const struct tls_staple *tls_server_staple(const struct tls_server *server, u32 index);

// There is a certificate for this host, and the client of this connection, which asked for one by
// name, was shown another (RFC 9110 15.5.20): another connection would get the right one. `host`
// may have a port.
bool tls_server_is_misdirected(const struct tls *tls, struct str host);
