// SPDX-License-Identifier: Apache-2.0
// All TLS of one thread, as the configuration wants it: what its frontends show, and how backends
// are spoken to. Made with the snapshot, one for each worker and one for the control thread's
// health checks, so that no two threads share anything of OpenSSL (docs/decisions/0017).
#pragma once

#include "net/tls_client.h"
#include "net/tls_env.h"
#include "net/tls_server.h"
#include "proxy/snapshot.h"

struct secure {
	struct tls_env *env;
	struct tls_server **servers; // by frontend->index; NULL: clear
	u32 server_count;
	struct tls_client **clients; // by backend->cell; NULL: clear
	u32 client_count;
};

// Does this configuration want any TLS?
bool secure_is_wanted(const struct conf *conf);

// NULL, with the reason. `with_servers`: frontends too, not only backends. `env` is that of the
// same thread's last one, which connections may outlive; NULL: there was none. In any thread.
struct secure *secure_new(const struct snapshot *snapshot, struct tls_env *env,
	const struct tls_secret *secret, u32 connections_max, bool with_servers,
	struct tls_error *ret_error) must_check;

// Whether a backend that is in both snapshots is reached in the same way: the same protocols, told
// the same, believed and shown the same. By the control thread.
bool secure_reaches_alike(const struct snapshot *a, const struct snapshot *b, u32 cell);

// Tells of each certificate that a snapshot's frontends or we ourselves show: its file, and when it
// ends, in Unix time. A file that is used several times is told of several times. From any thread,
// while the snapshot lives.
typedef void secure_tell_fn(void *context, struct str file, i64 not_after_s);

void secure_each_certificate(const struct snapshot *snapshot, secure_tell_fn *tell, void *context);

// The same of each OCSP response that frontends are to staple, and of what is wrong with it.
typedef void secure_staple_fn(
	void *context, const struct tls_staple *staple, const struct tls_cert *cert);

void secure_each_staple(const struct snapshot *snapshot, secure_staple_fn *tell, void *context);

// Connections keep what they need of it. NULL is fine.
void secure_free(struct secure *secure);
