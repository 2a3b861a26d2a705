// SPDX-License-Identifier: Apache-2.0
// The word of an authority that a certificate is not revoked (an OCSP response, RFC 6960), which a
// server sends along in its handshakes: it is stapled (RFC 6066 8). Clients that want one refuse a
// certificate beside which a wrong one stands, and take it mostly where none does. So one that is
// of no use is left out, and whoever asks is told why.
//
// It is read once; whether its time is now, is for whoever has a clock.
#pragma once

#include "net/tls_cert.h"

enum {
	TLS_STAPLE_BYTES_MAX = 64 * 1024,
	TLS_STAPLE_EARLY_S = 300, // so much may the responder's clock be ahead of ours
	TLS_STAPLE_DETAIL_MAX = 160,
	TLS_STAPLE_WHY_MAX = 256,
};

// Why it is left out. X(NAME, word, cause, cure)
#define TLS_STAPLE_FAULTS(X)                                                                       \
	X(NONE, "", "", "")                                                                        \
	X(UNOPENED, "unopened", "it cannot be opened",                                             \
		"put it there, where weir can read it, or take `ocsp` away")                       \
	X(UNREADABLE, "unreadable", "it holds no OCSP response in DER",                            \
		"fetch it again (openssl ocsp -respout)")                                          \
	X(UNSUCCESSFUL, "unsuccessful", "it is an error that the responder gave, and no answer",   \
		"fetch it again (openssl ocsp -respout)")                                          \
	X(FOREIGN, "other_certificate", "it is about another certificate",                         \
		"fetch that of this certificate, after each renewal of it")                        \
	X(UNKNOWN, "unknown", "it says that the responder does not know the certificate",          \
		"ask the one that the certificate names (openssl x509 -noout -ocsp_uri)")          \
	X(FORGED, "signature", "its signature is not by the authority that stands in the chain",   \
		"put it there as it came from the responder, and that authority into the chain's " \
		"file")                                                                            \
	X(EARLY, "not_yet_valid", "it is not valid yet", "look whether the clock is right")        \
	X(EXPIRED, "expired", "it has expired", "fetch a new one, and reload")

enum tls_staple_fault {
#define X(name, word, cause, cure) TLS_STAPLE_##name,
	TLS_STAPLE_FAULTS(X)
#undef X
};

struct tls_staple_info {
	const char *word, *cause, *cure;
};

const struct tls_staple_info *tls_staple_info(enum tls_staple_fault fault);

struct tls_staple {
	struct str file; // borrowed; empty: there is none
	u8 *der;
	size_t len;
	u8 fault;	     // enum tls_staple_fault: at no time it is stapled
	bool is_revoked;     // the certificate, as it says; it is stapled nevertheless
	bool is_verified;    // its signature; else the authority is not in the chain
	i64 from_s, until_s; // Unix time, as far as it was read; 0: it says no end
	char detail[TLS_STAPLE_DETAIL_MAX]; // of the fault; may be empty
};

// What is wrong with it stands in it. It is to be freed by tls_staple_done.
void tls_staple_load(struct str file, const struct tls_cert *cert, struct tls_staple *ret_staple);
void tls_staple_done(struct tls_staple *staple);

// NONE: it may be stapled at this moment of Unix time.
enum tls_staple_fault tls_staple_fault_at(const struct tls_staple *staple, i64 now_s);

// The cause of a fault with what else is known of this one.
void tls_staple_why(const struct tls_staple *staple, enum tls_staple_fault fault,
	char text[static TLS_STAPLE_WHY_MAX]);

// When the answer of tls_staple_fault_at changes next; 0: never.
i64 tls_staple_next_s(const struct tls_staple *staple, i64 now_s);
