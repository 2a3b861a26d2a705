// SPDX-License-Identifier: Apache-2.0
// One end of TLS in the hands of a script: OpenSSL between two memory buffers, without a line of
// what is under test. Bytes of the wire go in and come out wherever the script cuts them.
//
// What OpenSSL draws at random comes from a seed, in the whole process, so that a seed always gives
// records of the same sizes.
#pragma once

#include "base/rng.h"
#include "tls_certs.h"

struct ssl_session_st;

struct tls_wire_options {
	bool is_client, is_h2, is_1_2;
	u32 record_max;		// plaintext in a record; 0: as much as it may carry
	enum tls_cert_id shows; // a client: when it is asked; TLS_CERT_NONE: nothing
	const char *asks_for;	// client: this name; NULL: none
	// Client: where the newest session is kept, and taken from. NULL: none. To be freed with
	// tls_wire_session_free.
	struct ssl_session_st **session;
	struct ssl_session_st *offers; // ... unless another one is offered
};

enum tls_wire_got {
	TLS_WIRE_DRY, // more has to come first
	TLS_WIRE_BYTES,
	TLS_WIRE_END,  // close_notify
	TLS_WIRE_ERROR // an alert, or bytes that are no TLS: nothing goes on
};

struct tls_wire;

// Contexts and certificate are made once, the dice are thrown anew for each seed.
void tls_wire_seed(u64 seed);

// The dice as they lie, and put back: of what is made once in a process no seed may know whether it
// was there before. Tickets may be longer by what was drawn for them.
struct rng tls_wire_dice(void);
void tls_wire_put_dice(struct rng dice);

// How many contexts of OpenSSL there are in this process, whoever made them.
u32 tls_wire_contexts(void);

struct tls_wire *tls_wire_new(const struct tls_wire_options *options);
void tls_wire_free(struct tls_wire *wire);
void tls_wire_session_free(struct ssl_session_st **session);

// What came.
void tls_wire_feed(struct tls_wire *wire, const char *bytes, size_t len);

// Goes on with the handshake. TLS_WIRE_BYTES: it is over, and well.
enum tls_wire_got tls_wire_shake(struct tls_wire *wire);
enum tls_wire_got tls_wire_take(struct tls_wire *wire, char *to, size_t room, size_t *ret_len);

void tls_wire_write(struct tls_wire *wire, const char *bytes, size_t len);
void tls_wire_close(struct tls_wire *wire);	 // close_notify
bool tls_wire_renew_keys(struct tls_wire *wire); // TLS 1.3: asks the other side to do so, too

// What is to be sent.
size_t tls_wire_pull(struct tls_wire *wire, char *to, size_t room);
bool tls_wire_is_flushed(const struct tls_wire *wire);

// Behind a handshake.
bool tls_wire_is_1_2(const struct tls_wire *wire);
bool tls_wire_is_resumed(const struct tls_wire *wire);
enum tls_cert_id tls_wire_shown(const struct tls_wire *wire); // by the other side
bool tls_wire_chose_h2(const struct tls_wire *wire);

// Why there was an error; for people.
const char *tls_wire_error(const struct tls_wire *wire);
