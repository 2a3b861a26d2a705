// SPDX-License-Identifier: Apache-2.0
// Keys of session tickets. All workers have the same without sharing memory: each key is made from
// the one before by a one-way function, at the same hours of the wall clock, and the old ones are
// forgotten. So a ticket of one worker is good at every other one, a reload changes nothing, and
// who steals the process' memory cannot open what was recorded before.
#pragma once

#include <openssl/ssl.h>

#include "base/base.h"

enum {
	TLS_SECRET_BYTES = 32,
	TLS_TICKET_HOURS = 8, // how long a key makes tickets; they are taken for as long again
	TLS_TICKET_NAME_BYTES = 16,
};

// What all keys come from, those of its period and later ones. Never in a file or a log.
struct tls_secret {
	u8 bytes[TLS_SECRET_BYTES];
	i64 period; // of the wall clock, to which `bytes` belong
};

struct tls_ticket_key {
	u8 name[TLS_TICKET_NAME_BYTES];
	u8 aes[32], hmac[32];
};

struct tls_tickets {
	struct tls_secret chain;
	struct tls_ticket_key now, before, next; // clocks of threads differ by a little
	const i64 *wall_ms;			 // the thread's clock; NULL: it stands still
	OSSL_LIB_CTX *lib;
	EVP_CIPHER *aes;
};

void tls_secret_make(struct tls_secret *secret, i64 wall_ms);

// Forgets what is older than the period before that of `wall_ms`, whose tickets are still taken.
// Gives the milliseconds until the next time.
i64 tls_secret_follow(struct tls_secret *secret, i64 wall_ms);

// Also where a compiler sees that nobody reads it again. NULL is fine where `size` is 0.
void tls_wipe(void *memory, size_t size);

// False: OpenSSL lacks what is needed.
bool tls_tickets_init(
	struct tls_tickets *tickets, OSSL_LIB_CTX *lib, const struct tls_secret *secret) must_check;
void tls_tickets_done(struct tls_tickets *tickets);

// Lets a server's context make and take tickets with the keys of its connections' environment.
void tls_tickets_use(SSL_CTX *ctx);
