// SPDX-License-Identifier: Apache-2.0
#include "net/tls_cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/addr.h"

static int no_password(char *buffer, int size, int writing, void *arg)
{
	(void)buffer;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static X509 *read_one(BIO *bio, OSSL_LIB_CTX *lib)
{
	X509 *cert = X509_new_ex(lib, NULL);

	if (cert && !PEM_read_bio_X509(bio, &cert, no_password, NULL)) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static bool is_end_of_file(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool read_chain(BIO *bio, OSSL_LIB_CTX *lib, struct tls_cert *cert)
{
	X509 *next;

	cert->leaf = read_one(bio, lib);
	if (!cert->leaf)
		return false;
	cert->chain = sk_X509_new_null();
	while (cert->chain && (next = read_one(bio, lib))) {
		if (sk_X509_push(cert->chain, next) == 0) {
			X509_free(next);
			return false;
		}
	}
	if (!cert->chain || !is_end_of_file())
		return false;
	ERR_clear_error();
	return true;
}

i64 tls_cert_time_s(const ASN1_TIME *time)
{
	struct tm parts = {0};

	return ASN1_TIME_to_tm(time, &parts) == 1 ? (i64)timegm(&parts) : 0;
}

static bool load_chain(
	OSSL_LIB_CTX *lib, struct str file, struct tls_cert *cert, struct tls_error *ret_error)
{
	BIO *bio = BIO_new_file(file.ptr, "r");
	bool good = bio && read_chain(bio, lib, cert);

	BIO_free(bio);
	if (!good) {
		tls_file_refuse(ret_error, file, TLS_WANT_CERT);
		return false;
	}
	cert->not_before_s = tls_cert_time_s(X509_get0_notBefore(cert->leaf));
	cert->not_after_s = tls_cert_time_s(X509_get0_notAfter(cert->leaf));
	return true;
}

static bool load_key(
	OSSL_LIB_CTX *lib, struct str file, struct tls_cert *cert, struct tls_error *ret_error)
{
	BIO *bio = BIO_new_file(file.ptr, "r");

	if (bio)
		cert->key = PEM_read_bio_PrivateKey_ex(bio, NULL, no_password, NULL, lib, NULL);
	BIO_free(bio);
	if (!cert->key) {
		tls_file_refuse(ret_error, file, TLS_WANT_KEY);
		return false;
	}
	if (!cert->leaf || X509_check_private_key(cert->leaf, cert->key) == 1)
		return true;
	ERR_clear_error();
	*ret_error = (struct tls_error){.trouble = TLS_TROUBLE_PAIR, .file = file};
	snprintf(ret_error->text, sizeof(ret_error->text),
		"%.*s: this key belongs to another certificate than the first one of %.*s",
		STR_FMT(file), STR_FMT(cert->file));
	snprintf(ret_error->cure, sizeof(ret_error->cure),
		"name the key that the certificate was made for; the certificate of the server "
		"comes first in its file, those of its authorities behind it");
	return false;
}

u32 tls_cert_load_all(OSSL_LIB_CTX *lib, const struct tls_files *files, struct tls_cert *ret_cert,
	struct tls_error ret_errors[static TLS_CERT_FILES])
{
	struct str key = files->key.len ? files->key : files->cert;
	u32 count = 0;

	*ret_cert = (struct tls_cert){.file = files->cert};
	ERR_clear_error();
	count += !load_chain(lib, files->cert, ret_cert, &ret_errors[count]);
	if (count == 0 || files->key.len) // else it is one file, and told of
		count += !load_key(lib, key, ret_cert, &ret_errors[count]);
	return count;
}

bool tls_cert_load(OSSL_LIB_CTX *lib, const struct tls_files *files, struct tls_cert *ret_cert,
	struct tls_error *ret_error)
{
	struct tls_error errors[TLS_CERT_FILES];

	if (tls_cert_load_all(lib, files, ret_cert, errors) == 0)
		return true;
	*ret_error = errors[0];
	return false;
}

void tls_cert_done(struct tls_cert *cert)
{
	X509_free(cert->leaf);
	sk_X509_pop_free(cert->chain, X509_free);
	EVP_PKEY_free(cert->key);
	*cert = (struct tls_cert){0};
}

bool tls_cert_use(SSL_CTX *ctx, const struct tls_cert *cert, struct tls_error *ret_error)
{
	if (SSL_CTX_use_cert_and_key(ctx, cert->leaf, cert->key, cert->chain, 1) == 1)
		return true;
	tls_error_set(ret_error, cert->file, "it cannot be used");
	ret_error->trouble = TLS_TROUBLE_REFUSED;
	return false;
}

enum tls_cert_kind tls_cert_kind(const struct tls_cert *cert)
{
	switch (EVP_PKEY_get_base_id(cert->key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return TLS_CERT_RSA;
	case EVP_PKEY_EC:
		return TLS_CERT_ECDSA;
	default:
		return TLS_CERT_EDDSA;
	}
}

static void add_name(char *text, size_t size, size_t *len, const unsigned char *name, int name_len)
{
	if (name_len <= 0 || *len + (size_t)name_len + 1 > size)
		return;
	for (int i = 0; i < name_len; i++) {
		if (name[i] <= ' ' || name[i] >= 127)
			return;
		text[*len + (size_t)i] = ascii_lower((char)name[i]);
	}
	*len += (size_t)name_len;
	text[(*len)++] = ' ';
}

// Without alternative names the common name counts, as in certificates that people make at home.
static void add_common_name(X509 *leaf, char *text, size_t size, size_t *len)
{
	const X509_NAME *subject = X509_get_subject_name(leaf);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *value;

	if (at < 0)
		return;
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	add_name(text, size, len, ASN1_STRING_get0_data(value), ASN1_STRING_length(value));
}

size_t tls_cert_names(X509 *leaf, char *text, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	size_t len = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS)
			add_name(text, size, &len, ASN1_STRING_get0_data(name->d.dNSName),
				ASN1_STRING_length(name->d.dNSName));
	}
	if (!names)
		add_common_name(leaf, text, size, &len);
	GENERAL_NAMES_free(names);
	ERR_clear_error(); // of a list that cannot be read
	return len;
}

// What a BIO in memory holds, without what would break a line.
static size_t take_line(BIO *bio, char *text, size_t size)
{
	char *data = NULL;
	long len = BIO_get_mem_data(bio, &data);
	size_t kept = len > 0 ? MIN((size_t)len, size) : 0;

	for (size_t i = 0; i < kept; i++)
		text[i] = data[i] < ' ' || data[i] == 127 ? '?' : data[i];
	return kept;
}

size_t tls_cert_subject(X509 *leaf, char *text, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	size_t len = 0;

	if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(leaf), 0, XN_FLAG_RFC2253) >= 0)
		len = take_line(bio, text, size);
	BIO_free(bio);
	ERR_clear_error(); // of a name that cannot be printed
	return len;
}

size_t tls_cert_common_name(X509 *leaf, char *text, size_t size)
{
	X509_NAME *name = X509_get_subject_name(leaf);
	int at = -1, last = -1, len;
	unsigned char *value = NULL;

	while ((at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return 0;
	len = ASN1_STRING_to_UTF8(
		&value, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, last)));
	if (len < 0 || (size_t)len > size)
		len = 0;
	for (int i = 0; i < len; i++) {
		bool is_control = value[i] < ' ' || value[i] == 127;

		text[i] = is_control ? '?' : (char)value[i];
	}
	OPENSSL_free(value);
	ERR_clear_error();
	return (size_t)len;
}

static void print_name(BIO *bio, GENERAL_NAME *name)
{
	const ASN1_OCTET_STRING *ip = name->d.iPAddress;
	struct addr addr = {.family = ADDR_V4};
	char text[ADDR_TEXT_MAX];
	int len = name->type == GEN_IPADD ? ASN1_STRING_length(ip) : 0;

	if (len != 4 && len != 16) {
		GENERAL_NAME_print(bio, name);
		return;
	}
	addr.family = len == 4 ? ADDR_V4 : ADDR_V6;
	memcpy(addr.ip, ASN1_STRING_get0_data(ip), (size_t)len);
	BIO_puts(bio, "IP:");
	BIO_write(bio, text, (int)addr_format_ip(&addr, text));
}

// One name behind those that are there, whole or not at all.
static size_t add_alternative(char *text, size_t size, size_t len, BIO *bio)
{
	static const char comma[] = "%2C";
	char *data = NULL;
	long got = BIO_get_mem_data(bio, &data);
	size_t at = len;

	if (got <= 0 || at + 1 > size)
		return len;
	if (at)
		text[at++] = ',';
	for (long i = 0; i < got; i++) {
		bool is_comma = data[i] == ',';

		if (at + (is_comma ? sizeof(comma) - 1 : 1) > size)
			return len;
		if (is_comma)
			for (const char *c = comma; *c; c++)
				text[at++] = *c;
		else
			text[at++] = data[i] < ' ' || data[i] == 127 ? '?' : data[i];
	}
	return at;
}

size_t tls_cert_alternatives(X509 *leaf, char *text, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	BIO *bio = BIO_new(BIO_s_mem());
	size_t len = 0;

	for (int i = 0; bio && i < sk_GENERAL_NAME_num(names); i++) {
		print_name(bio, sk_GENERAL_NAME_value(names, i));
		len = add_alternative(text, size, len, bio);
		(void)BIO_reset(bio);
	}
	BIO_free(bio);
	GENERAL_NAMES_free(names);
	ERR_clear_error(); // of a list that cannot be read
	return len;
}

bool tls_crl_load(X509_STORE *store, struct str file, struct tls_error *ret_error)
{
	BIO *bio = BIO_new_file(file.ptr, "r");
	X509_CRL *crl;
	u32 count = 0;

	while (bio && (crl = PEM_read_bio_X509_CRL(bio, NULL, no_password, NULL))) {
		count += X509_STORE_add_crl(store, crl) == 1;
		X509_CRL_free(crl);
	}
	if (!bio || count == 0 || !is_end_of_file()) {
		tls_file_refuse(ret_error, file, TLS_WANT_LIST);
		BIO_free(bio);
		return false;
	}
	BIO_free(bio);
	ERR_clear_error();
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
	return true;
}

static bool digest_file(EVP_MD_CTX *md, struct str file)
{
	BIO *bio = file.len ? BIO_new_file(file.ptr, "r") : NULL;
	char block[4096];
	u64 total = 0;
	bool good;
	int len;

	while (bio && (len = BIO_read(bio, block, sizeof(block))) > 0) {
		(void)EVP_DigestUpdate(md, block, (size_t)len);
		total += (u64)len;
	}
	good = EVP_DigestUpdate(md, &total, sizeof(total)) ==
	       1; // where one ends and the next begins
	BIO_free(bio);
	return good;
}

bool tls_files_digest(
	struct str text, const struct str *files, u32 count, u8 ret_digest[static TLS_DIGEST_BYTES])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool good = md && EVP_DigestInit_ex2(md, EVP_sha256(), NULL) == 1 &&
		    EVP_DigestUpdate(md, text.ptr, text.len) == 1;

	for (u32 i = 0; good && i < count; i++)
		good = digest_file(md, files[i]);
	good = good && EVP_DigestFinal_ex(md, ret_digest, NULL) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error(); // of files that cannot be read
	return good;
}
