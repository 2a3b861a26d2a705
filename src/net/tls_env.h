// SPDX-License-Identifier: Apache-2.0
// What the TLS connections of one thread share: a library context of their own, because OpenSSL's
// locks and reference counts would otherwise be fought over by all threads (docs/decisions/0017),
// the keys of session tickets, and a place for one record.
#pragma once

#include <openssl/ssl.h>

#include "base/slab.h"
#include "loop/loop.h"
#include "net/tls.h"
#include "net/tls_gate.h"
#include "net/tls_ticket.h"

enum { TLS_DETAIL_MAX = 200 };

struct tls_env {
	_Atomic(u32) refs;
	OSSL_LIB_CTX *lib;
	BIO_METHOD *bio;
	struct slab connections;
	struct tls_tickets tickets;
	struct tls_gate gate;
	X509_STORE *system;	     // the machine's authorities; NULL: not loaded yet
	char detail[TLS_DETAIL_MAX]; // of the last fault, for its line in the log
	char record[TLS_RECORD_FULL];
};

// What may go wrong is memory, at start. `secret`: what the keys of tickets are made of, the same
// in all environments that shall resume each other's sessions.
struct tls_env *tls_env_new(const struct tls_secret *secret, u32 connections_max);

// From the thread whose loop it is, before the first connection.
void tls_env_bind(struct tls_env *env, struct loop *loop);

// Unix time by that loop; 0: it is nobody's yet.
i64 tls_env_wall_s(const struct tls_env *env);

// With the last reference, when every connection and every context is gone. NULL is fine.
struct tls_env *tls_env_ref(struct tls_env *env);
void tls_env_unref(struct tls_env *env);

// The machine's authorities, loaded once; NULL: none can be read.
X509_STORE *tls_env_system(struct tls_env *env);

// The fault that OpenSSL's last error amounts to. Notes its text as env->detail.
enum tls_fault tls_env_fault(struct tls_env *env, SSL *ssl);
