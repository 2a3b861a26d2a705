// SPDX-License-Identifier: Apache-2.0
// TLS as a transform over memory: the peer's ciphertext goes in as slices and comes out as
// plaintext, plaintext goes in as a queue and comes out as ciphertext. No sockets and no clock;
// net/conn does the input and output, for the session above as for the one below.
//
// Promises: at most one received slice is held, and nothing is decrypted before it is asked for, so
// that back-pressure works as without TLS. OpenSSL keeps no buffers while nothing is under way.
//
// Ownership: a struct tls is the conn's and lives in its environment's slab. It must not outlive
// the environment; the context it was made with lives as long as it does.
#pragma once

#include "base/bytes.h"
#include "base/list.h"

struct tls_env;	   // one thread's library context and what its connections share
struct tls_server; // a frontend's certificates and rules, in one environment (tls_server.h)
struct tls_client; // how one backend is spoken to, in one environment (tls_client.h)

enum tls_fault {
#define X(name, word, cause, of_client, of_backend) TLS_FAULT_##name,
#include "net/tls_fault.def"
#undef X
	TLS_FAULT_COUNT,
	TLS_FAULT_NONE,
};

struct tls_fault_info {
	struct str word, cause;
	struct str client_cure, backend_cure; // when it was a client | a backend
};

const struct tls_fault_info *tls_fault_info(enum tls_fault fault);

// Faults as errors, beside negative errnos, and back (TLS_FAULT_NONE: it is an errno).
enum { TLS_ERROR_FIRST = 1000 };

static inline int tls_fault_error(enum tls_fault fault)
{
	return -(TLS_ERROR_FIRST + (int)fault);
}

enum tls_fault tls_error_fault(int error);

struct ssl_st;

enum tls_state {
	TLS_SHAKING,
	TLS_OPEN,
	TLS_BROKEN, // `fault` says why; what is in `wire` (an alert) may still be sent
};

struct tls {
	struct ssl_st *ssl;
	struct tls_env *env;
	struct block_pool *pool;
	struct tls_server *server; // one of these two
	struct tls_client *client;
	struct conn *conn;     // conn's own
	struct list gate_node; // among those who wait for their turn
	struct slice in;       // received, not taken yet
	struct bytes wire;     // to be sent
	u64 sealed_ms;	       // when something was last sealed
	u32 ramp;	       // bytes sealed since the connection was last idle
	char *note;	       // its owner's, from mem_try_alloc; freed with it
	u16 note_len;
	u8 state;	     // enum tls_state
	u8 fault;	     // enum tls_fault
	u8 late;	     // the fault behind the bytes that were taken last, or TLS_FAULT_NONE
	u8 updates;	     // messages behind the handshake, since the last plaintext
	u8 answers;	     // OpenSSL's own to them, since something was last sent
	bool in_over : 1;    // the byte stream below has ended
	bool closed_out : 1; // close_notify is in `wire` or further
	bool has_begun : 1;  // handshake bytes have come (server role)
	bool carries : 1;    // conn's: the send that is out has bytes of the session
	bool told : 1;	     // conn's: the session knows of the end
	bool may_pass : 1;   // the gate's
	bool is_short : 1;   // we had no memory for what is to be sent or was received
};

enum tls_got {
	TLS_GOT_BYTES, // a slice
	TLS_GOT_DRY,   // more has to come first
	TLS_GOT_END,   // close_notify: all bytes have come
	TLS_GOT_CUT,   // the byte stream below ended without one
	TLS_GOT_FAULT, // state is TLS_BROKEN
};

// NULL: no memory.
struct tls *tls_new_server(struct tls_server *server, struct block_pool *pool) must_check;
struct tls *tls_new_client(struct tls_client *client, struct block_pool *pool) must_check;
void tls_free(struct tls *tls);

// Received bytes; takes over the slice. Only while tls_is_dry.
void tls_feed(struct tls *tls, struct slice slice);

// The byte stream below has ended.
void tls_feed_end(struct tls *tls);

// All that was fed has been taken.
static inline bool tls_is_dry(const struct tls *tls)
{
	return tls->in.len == 0;
}

// The next step would cost a signature or a key exchange.
static inline bool tls_is_costly(const struct tls *tls)
{
	return tls->server && !tls->has_begun && tls->in.len;
}

// Goes on with the handshake as far as the fed bytes lead, and says where that is. An end of the
// byte stream is a fault here. `is_short` tells of a fault that is our own.
enum tls_state tls_shake(struct tls *tls);

// The next plaintext, at most a block of it. `upstream`: as of block_get.
enum tls_got tls_take(struct tls *tls, bool upstream, struct slice *ret_slice) must_check;

// Moves all of `plain` to `wire`, as records whose size grows with what was sent since the last
// pause. 0, or negative errno.
int tls_seal(struct tls *tls, struct bytes *plain, u64 now_ms) must_check;

// Says to the peer that nothing follows. Does nothing when that was said, or before the handshake.
void tls_close(struct tls *tls);

// Was the session of an earlier connection resumed?
bool tls_is_resumed(const struct tls *tls);

// Whether both believe the same backends and show them the same: options and files say so.
bool tls_client_is_same(const struct tls_client *a, const struct tls_client *b);

// "TLSv1.3" | "TLS_AES_128_GCM_SHA256" | the name that the client asked for (empty: none) | the
// protocol that ALPN found (empty: none).
struct str tls_version(const struct tls *tls);
struct str tls_cipher(const struct tls *tls);
struct str tls_sni(const struct tls *tls);
struct str tls_alpn(const struct tls *tls);

// What a peer may do behind the handshake, before it is TLS_FAULT_KEY_UPDATES. A change of keys is
// rare, and each costs as much as hundreds of bytes; answers that nobody takes would fill the pool.
enum {
	TLS_UPDATES_MAX = 32, // with no plaintext between
	TLS_ANSWERS_MAX = 32, // with nothing of ours that could be sent
};

static inline bool tls_is_excess(enum tls_fault fault)
{
	return fault == TLS_FAULT_RENEGOTIATION || fault == TLS_FAULT_KEY_UPDATES;
}

// By its alert the peer has ended its handshake. Ours may be over by then: with TLS 1.3 a server
// sees last what the client has to show (RFC 8446 4.4).
static inline bool tls_is_unwelcome(enum tls_fault fault)
{
	return fault == TLS_FAULT_OWN_MISSING || fault == TLS_FAULT_OWN_REFUSED;
}

// Something of `wire` has been sent.
static inline void tls_sent(struct tls *tls)
{
	tls->answers = 0;
}

// Bytes of plaintext that go into one record.
enum {
	TLS_RECORD_FIRST = 1369, // fits one packet of 1460 bytes with its frame
	TLS_RECORD_FULL = 16384, // what a record may carry, and a block
	TLS_RECORD_PIECE = 4096, // slices from this size on are records of their own in long bodies
	TLS_RAMP_BYTES = 32 * 1024,
	TLS_RAMP_IDLE_MS = 1000,
};
