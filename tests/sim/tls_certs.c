// SPDX-License-Identifier: Apache-2.0
#include "tls_certs.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/base.h"

enum { day_s = 86400, text_bytes_max = 128 };

static const struct {
	enum tls_cert_id issuer;
	const char *subject, *names;
	int days;
	const char *told_subject, *told_names;
} plans[TLS_CERT_COUNT] = {
#define X(name, issuer, subject, names, days, told_subject, told_names) \
	[TLS_CERT_##name] = {TLS_CERT_##issuer, subject, names, days, told_subject, told_names},
	TLS_CERTS(X)
#undef X
};

static struct {
	X509 *cert;
	EVP_PKEY *key;
	char file[32];
} made[TLS_CERT_COUNT];

static char revoked_file[32];

static FILE *open_file(char *ret_path, size_t size)
{
	int fd = memfd_create("sim", MFD_CLOEXEC);
	FILE *file;

	ASSERT(fd >= 0);
	snprintf(ret_path, size, "/proc/self/fd/%d", fd);
	file = fopen(ret_path, "w");
	ASSERT(file);
	return file;
}

static bool is_authority(enum tls_cert_id id)
{
	return plans[id].issuer == id;
}

static void set_subject(X509_NAME *name, const char *text)
{
	struct str rest = str_from(text);

	while (rest.len) {
		struct str value = str_cut(&rest, '/'), key = str_cut(&value, '=');
		char field[8];

		snprintf(field, sizeof(field), "%.*s", STR_FMT(key));
		ASSERT(X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC,
			       (const unsigned char *)value.ptr, (int)value.len, -1, 0) == 1);
	}
}

static void add_extension(X509 *cert, int nid, const char *text)
{
	char copy[text_bytes_max];
	X509_EXTENSION *extension;

	snprintf(copy, sizeof(copy), "%s", text);
	extension = X509V3_EXT_conf_nid(NULL, NULL, nid, copy);
	ASSERT(extension && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static void make_cert(enum tls_cert_id id)
{
	enum tls_cert_id issuer = plans[id].issuer;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *cert = X509_new();
	FILE *file;

	ASSERT(key && cert);
	made[id].key = key;
	made[id].cert = cert;
	ASSERT(X509_set_version(cert, 2) == 1);
	ASSERT(ASN1_INTEGER_set(X509_get_serialNumber(cert), (long)id) == 1);
	ASSERT(X509_gmtime_adj(X509_getm_notBefore(cert), -10 * day_s));
	ASSERT(X509_gmtime_adj(X509_getm_notAfter(cert), (long)plans[id].days * day_s));
	set_subject(X509_get_subject_name(cert), plans[id].subject);
	if (plans[id].names)
		add_extension(cert, NID_subject_alt_name, plans[id].names);
	if (is_authority(id))
		add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
	ASSERT(X509_set_issuer_name(cert, X509_get_subject_name(made[issuer].cert)) == 1 &&
		X509_set_pubkey(cert, key) == 1 && X509_sign(cert, made[issuer].key, NULL) > 0);
	file = open_file(made[id].file, sizeof(made[id].file));
	ASSERT(PEM_write_X509(file, cert) == 1 &&
		PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1);
	ASSERT(fclose(file) == 0);
}

static void make_list(void)
{
	X509_CRL *list = X509_CRL_new();
	X509_REVOKED *one = X509_REVOKED_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -day_s), *next = X509_gmtime_adj(NULL, 30 * day_s);
	FILE *file = open_file(revoked_file, sizeof(revoked_file));

	ASSERT(list && one && now && next && X509_CRL_set_version(list, 1) == 1);
	ASSERT(X509_CRL_set_issuer_name(list, X509_get_subject_name(made[TLS_CERT_CA].cert)) == 1);
	ASSERT(X509_CRL_set1_lastUpdate(list, now) == 1 &&
		X509_CRL_set1_nextUpdate(list, next) == 1);
	ASSERT(X509_REVOKED_set_serialNumber(
		       one, X509_get_serialNumber(made[TLS_CERT_REVOKED].cert)) == 1 &&
		X509_REVOKED_set_revocationDate(one, now) == 1 &&
		X509_CRL_add0_revoked(list, one) == 1);
	ASSERT(X509_CRL_sign(list, made[TLS_CERT_CA].key, NULL) > 0 &&
		PEM_write_X509_CRL(file, list) == 1 && fclose(file) == 0);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_CRL_free(list);
}

void tls_certs_make(void)
{
	for (enum tls_cert_id id = TLS_CERT_NONE + 1; id < TLS_CERT_COUNT; id++)
		if (is_authority(id))
			make_cert(id);
	for (enum tls_cert_id id = TLS_CERT_NONE + 1; id < TLS_CERT_COUNT; id++)
		if (!is_authority(id))
			make_cert(id);
	make_list();
}

struct str tls_certs_file(enum tls_cert_id id)
{
	return str_from(made[id].file);
}

struct str tls_certs_revoked(void)
{
	return str_from(revoked_file);
}

const char *tls_certs_subject(enum tls_cert_id id)
{
	return plans[id].told_subject;
}

const char *tls_certs_names(enum tls_cert_id id)
{
	return plans[id].told_names;
}

void tls_certs_use(struct ssl_ctx_st *ctx, enum tls_cert_id id)
{
	ASSERT(SSL_CTX_use_certificate(ctx, made[id].cert) == 1 &&
		SSL_CTX_use_PrivateKey(ctx, made[id].key) == 1);
}

void tls_certs_use_once(struct ssl_st *ssl, enum tls_cert_id id)
{
	ASSERT(SSL_use_certificate(ssl, made[id].cert) == 1 &&
		SSL_use_PrivateKey(ssl, made[id].key) == 1);
}

enum tls_cert_id tls_certs_shown(const struct ssl_st *ssl)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	long serial = cert ? ASN1_INTEGER_get(X509_get0_serialNumber(cert)) : 0;

	if (serial <= TLS_CERT_NONE || serial >= TLS_CERT_COUNT ||
		X509_cmp(cert, made[serial].cert) != 0)
		return TLS_CERT_NONE;
	return (enum tls_cert_id)serial;
}
