// SPDX-License-Identifier: Apache-2.0
// Why a file of certificates or keys cannot be used: what it holds instead of what is wanted, and
// the command that makes the one of the other. Only looked into when it was refused already.
#pragma once

#include "base/str.h"

enum tls_trouble {
#define TROUBLE(name, prose) TLS_TROUBLE_##name,
#include "net/tls_trouble.def"
#undef TROUBLE
	TLS_TROUBLE_COUNT,
};

// One sentence without a full stop that begins with the file; and what to do, which may be empty.
struct tls_error {
	enum tls_trouble trouble;
	struct str file; // as it was given, borrowed; empty: it is not about a file
	char text[400], cure[800];
};

enum tls_want {
	TLS_WANT_CERT,
	TLS_WANT_KEY,
	TLS_WANT_AUTHORITIES,
	TLS_WANT_LIST, // of revoked certificates
	TLS_WANT_OCSP, // in DER, all others in PEM
};

// Explains why what is wanted could not be read from `file`. OpenSSL's reason, if any, is taken
// into account and cleared.
void tls_file_refuse(struct tls_error *error, struct str file, enum tls_want want);

// "FILE: WHAT: " and OpenSSL's reason, which is cleared; TLS_TROUBLE_OTHER.
void tls_error_set(struct tls_error *error, struct str file, const char *what);
