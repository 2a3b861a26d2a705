// SPDX-License-Identifier: Apache-2.0
// Certificates and keys from files, in one library context; and what people want to know of them.
#pragma once

#include <openssl/ssl.h>

#include "net/tls_file.h"

struct tls_files {
	struct str cert; // PEM: the certificate, then those that lead to the authority
	struct str key;	 // PEM; empty: in the same file
	struct str ocsp; // of net/tls_staple.h; empty: none
};

struct tls_cert {
	X509 *leaf;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
	i64 not_before_s, not_after_s; // Unix time
	struct str file;	       // borrowed
};

// False, with the reason. What was loaded is to be freed by tls_cert_done, also then.
bool tls_cert_load(OSSL_LIB_CTX *lib, const struct tls_files *files, struct tls_cert *ret_cert,
	struct tls_error *ret_error) must_check;

// The same, and does not stop at the first file that cannot be used. Gives how many.
enum { TLS_CERT_FILES = 2 };

u32 tls_cert_load_all(OSSL_LIB_CTX *lib, const struct tls_files *files, struct tls_cert *ret_cert,
	struct tls_error ret_errors[static TLS_CERT_FILES]) must_check;
void tls_cert_done(struct tls_cert *cert);

// Unix time; 0: it cannot be read.
i64 tls_cert_time_s(const ASN1_TIME *time);

// Takes the certificate into a context, beside those with other kinds of keys.
bool tls_cert_use(
	SSL_CTX *ctx, const struct tls_cert *cert, struct tls_error *ret_error) must_check;

// Of several for one name, each client gets one whose kind of key it can use.
enum tls_cert_kind { TLS_CERT_RSA, TLS_CERT_ECDSA, TLS_CERT_EDDSA, TLS_CERT_KINDS };

enum tls_cert_kind tls_cert_kind(const struct tls_cert *cert);

// The names it is for, in lower case, each ended by a space: "a.example *.b.example ". What does
// not fit is left out. Gives the length.
size_t tls_cert_names(X509 *leaf, char *text, size_t size);

// "CN=client 7,O=Example" | "DNS:a.example,IP:10.0.0.1", on one line and without control
// characters. Names that do not fit are left out, and a comma inside of one is %2C: each comma
// divides two names. A subject that does not fit is cut.
size_t tls_cert_subject(X509 *leaf, char *text, size_t size);
size_t tls_cert_alternatives(X509 *leaf, char *text, size_t size);

// Its last common name, in UTF-8 and on one line too; 0: it has none, or one that does not fit.
size_t tls_cert_common_name(X509 *leaf, char *text, size_t size);

// Adds the revocation lists of a PEM file, and lets the store look at them.
bool tls_crl_load(X509_STORE *store, struct str file, struct tls_error *ret_error) must_check;

// SHA-256 over `text` and what is in these files, as far as they can be read: for telling whether
// somebody has renewed them. The name of one may be empty.
enum { TLS_DIGEST_BYTES = 32 };

bool tls_files_digest(struct str text, const struct str *files, u32 count,
	u8 ret_digest[static TLS_DIGEST_BYTES]) must_check;
