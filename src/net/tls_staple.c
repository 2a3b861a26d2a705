// SPDX-License-Identifier: Apache-2.0
#include "net/tls_staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

const struct tls_staple_info *tls_staple_info(enum tls_staple_fault fault)
{
	static const struct tls_staple_info infos[] = {
#define X(name, word, cause, cure) [TLS_STAPLE_##name] = {word, cause, cure},
		TLS_STAPLE_FAULTS(X)
#undef X
	};

	ASSERT(fault < ARRAY_LEN(infos));
	return &infos[fault];
}

void tls_staple_why(const struct tls_staple *staple, enum tls_staple_fault fault,
	char text[static TLS_STAPLE_WHY_MAX])
{
	const char *cause = tls_staple_info(fault)->cause;

	if (staple->detail[0] && fault <= TLS_STAPLE_UNREADABLE)
		snprintf(text, TLS_STAPLE_WHY_MAX, "%s", staple->detail);
	else if (staple->detail[0])
		snprintf(text, TLS_STAPLE_WHY_MAX, "%s (%s)", cause, staple->detail);
	else
		snprintf(text, TLS_STAPLE_WHY_MAX, "%s", cause);
}

static void detail_error(struct tls_staple *staple)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = ERR_reason_error_string(code);

	if (why)
		snprintf(staple->detail, sizeof(staple->detail), "%s", why);
}

// ---- Whose it is --------------------------------------------------------------------------------

// Who has signed the certificate, where that one stands in its chain; NULL: it does not.
static X509 *find_issuer(const struct tls_cert *cert)
{
	for (int i = 0; i < sk_X509_num(cert->chain); i++) {
		X509 *next = sk_X509_value(cert->chain, i);

		if (X509_check_issued(next, cert->leaf) == X509_V_OK)
			return next;
	}
	return NULL;
}

static bool is_digest(const ASN1_OCTET_STRING *said, const u8 *digest, unsigned len)
{
	return ASN1_STRING_length(said) == (int)len &&
	       memcmp(ASN1_STRING_get0_data(said), digest, len) == 0;
}

// By serial and issuer (RFC 6960 4.1.1): the name of the latter stands in the certificate, its key
// is known with its own certificate only.
static bool is_about(const OCSP_CERTID *id, const struct tls_cert *cert, X509 *issuer)
{
	u8 digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	ASN1_OCTET_STRING *name = NULL, *key = NULL;
	ASN1_OBJECT *kind = NULL;
	ASN1_INTEGER *serial = NULL;
	const EVP_MD *md;

	OCSP_id_get0_info(&name, &kind, &key, &serial, (OCSP_CERTID *)(uintptr_t)id);
	md = EVP_get_digestbyobj(kind);
	if (!md || ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert->leaf)) != 0)
		return false;
	if (X509_NAME_digest(X509_get_issuer_name(cert->leaf), md, digest, &len) != 1 ||
		!is_digest(name, digest, len))
		return false;
	return !issuer ||
	       (X509_pubkey_digest(issuer, md, digest, &len) == 1 && is_digest(key, digest, len));
}

static OCSP_SINGLERESP *find_single(
	OCSP_BASICRESP *basic, const struct tls_cert *cert, X509 *issuer)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

		if (is_about(OCSP_SINGLERESP_get0_id(single), cert, issuer))
			return single;
	}
	return NULL;
}

// ---- Who has signed it --------------------------------------------------------------------------

// The authority itself, or whom it has given a certificate for just this (RFC 6960 4.2.2.2). Times
// are left alone: there is no clock here.
static bool verify(OCSP_BASICRESP *basic, const struct tls_cert *cert, X509 *issuer)
{
	X509_STORE *store = X509_STORE_new();
	bool good = store && X509_STORE_add_cert(store, issuer) == 1 &&
		    X509_STORE_set_flags(
			    store, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME) == 1 &&
		    OCSP_basic_verify(basic, cert->chain, store, 0) == 1;

	X509_STORE_free(store);
	return good;
}

// Clients refuse it also when its signer's certificate has ended.
static void bound_by_signer(
	struct tls_staple *staple, OCSP_BASICRESP *basic, const struct tls_cert *cert)
{
	X509 *signer = NULL;
	i64 end_s;

	if (OCSP_resp_get0_signer(basic, &signer, cert->chain) != 1)
		return;
	end_s = tls_cert_time_s(X509_get0_notAfter(signer));
	if (end_s && (!staple->until_s || end_s < staple->until_s))
		staple->until_s = end_s;
}

// ---- Reading ------------------------------------------------------------------------------------

static enum tls_staple_fault read_single(
	struct tls_staple *staple, OCSP_BASICRESP *basic, const struct tls_cert *cert)
{
	X509 *issuer = find_issuer(cert);
	OCSP_SINGLERESP *single = find_single(basic, cert, issuer);
	ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
	int status, reason;

	if (!single)
		return TLS_STAPLE_FOREIGN;
	status = OCSP_single_get0_status(single, &reason, NULL, &from, &until);
	staple->from_s = from ? tls_cert_time_s(from) : 0;
	staple->until_s = until ? tls_cert_time_s(until) : 0;
	if (!staple->from_s || (until && !staple->until_s))
		return TLS_STAPLE_UNREADABLE;
	if (status != V_OCSP_CERTSTATUS_GOOD && status != V_OCSP_CERTSTATUS_REVOKED)
		return TLS_STAPLE_UNKNOWN;
	staple->is_revoked = status == V_OCSP_CERTSTATUS_REVOKED;
	if (!issuer)
		return TLS_STAPLE_NONE;
	if (!verify(basic, cert, issuer)) {
		detail_error(staple);
		return TLS_STAPLE_FORGED;
	}
	staple->is_verified = true;
	bound_by_signer(staple, basic, cert);
	return TLS_STAPLE_NONE;
}

static enum tls_staple_fault read_response(struct tls_staple *staple, const struct tls_cert *cert)
{
	const u8 *at = staple->der;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)staple->len);
	enum tls_staple_fault fault = TLS_STAPLE_UNREADABLE;
	OCSP_BASICRESP *basic;
	int status;

	if (!response || at != staple->der + staple->len) {
		OCSP_RESPONSE_free(response);
		return fault;
	}
	status = OCSP_response_status(response);
	basic = status == OCSP_RESPONSE_STATUS_SUCCESSFUL ? OCSP_response_get1_basic(response)
							  : NULL;
	if (basic) {
		fault = read_single(staple, basic, cert);
	} else if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		snprintf(staple->detail, sizeof(staple->detail), "%s",
			OCSP_response_status_str(status));
		fault = TLS_STAPLE_UNSUCCESSFUL;
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return fault;
}

static enum tls_staple_fault read_file(struct tls_staple *staple)
{
	BIO *bio = BIO_new_file(staple->file.ptr, "r");
	int len = -1;

	if (!bio)
		return TLS_STAPLE_UNOPENED;
	staple->der = OPENSSL_malloc(TLS_STAPLE_BYTES_MAX);
	if (staple->der)
		len = BIO_read(bio, staple->der, TLS_STAPLE_BYTES_MAX);
	BIO_free(bio);
	if (len == TLS_STAPLE_BYTES_MAX)
		snprintf(staple->detail, sizeof(staple->detail), "it has %d bytes or more",
			TLS_STAPLE_BYTES_MAX);
	if (len <= 0 || len == TLS_STAPLE_BYTES_MAX)
		return TLS_STAPLE_UNREADABLE;
	staple->len = (size_t)len;
	return TLS_STAPLE_NONE;
}

// What it holds instead.
static void explain(struct tls_staple *staple)
{
	size_t skip = staple->file.len + 2; // "FILE: "
	struct tls_error error;

	tls_file_refuse(&error, staple->file, TLS_WANT_OCSP);
	if (strlen(error.text) > skip)
		snprintf(staple->detail, sizeof(staple->detail), "%s", error.text + skip);
}

void tls_staple_load(struct str file, const struct tls_cert *cert, struct tls_staple *ret_staple)
{
	*ret_staple = (struct tls_staple){.file = file};
	if (file.len == 0)
		return;
	ERR_clear_error();
	ret_staple->fault = (u8)read_file(ret_staple);
	if (ret_staple->fault == TLS_STAPLE_NONE)
		ret_staple->fault = (u8)read_response(ret_staple, cert);
	ERR_clear_error();
	if (ret_staple->fault != TLS_STAPLE_NONE && ret_staple->fault <= TLS_STAPLE_UNREADABLE &&
		!ret_staple->detail[0])
		explain(ret_staple);
}

void tls_staple_done(struct tls_staple *staple)
{
	OPENSSL_free(staple->der);
	*staple = (struct tls_staple){0};
}

// ---- Its time -----------------------------------------------------------------------------------

enum tls_staple_fault tls_staple_fault_at(const struct tls_staple *staple, i64 now_s)
{
	if (staple->fault != TLS_STAPLE_NONE)
		return (enum tls_staple_fault)staple->fault;
	if (now_s + TLS_STAPLE_EARLY_S < staple->from_s)
		return TLS_STAPLE_EARLY;
	return staple->until_s && now_s >= staple->until_s ? TLS_STAPLE_EXPIRED : TLS_STAPLE_NONE;
}

i64 tls_staple_next_s(const struct tls_staple *staple, i64 now_s)
{
	switch (tls_staple_fault_at(staple, now_s)) {
	case TLS_STAPLE_EARLY:
		return staple->from_s - TLS_STAPLE_EARLY_S;
	case TLS_STAPLE_NONE:
		return staple->until_s;
	default:
		return 0;
	}
}
