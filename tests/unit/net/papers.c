// SPDX-License-Identifier: Apache-2.0
#include "papers.h"

#include <dirent.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

struct str papers_file(const struct papers *papers, const char *file)
{
	static char texts[8][128];
	static unsigned at;
	char *text = texts[at++ % 8];

	snprintf(text, sizeof(texts[0]), "%s/%s", papers->folder, file);
	return str_from(text);
}

static EVP_PKEY *new_key(bool is_rsa)
{
	EVP_PKEY *key = is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");

	assert_non_null(key);
	return key;
}

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	assert_int_equal(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static X509 *new_cert(const char *subject, EVP_PKEY *key, bool is_expired)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
	X509_gmtime_adj(X509_getm_notAfter(cert), is_expired ? -3600 : 86400);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)subject, -1, -1, 0);
	X509_set_pubkey(cert, key);
	return cert;
}

static void sign(X509 *cert, X509 *issuer, EVP_PKEY *key)
{
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
}

static void write_cert(const struct papers *papers, const char *file, X509 *cert)
{
	FILE *out = fopen(papers_file(papers, file).ptr, "w");

	assert_non_null(out);
	assert_int_equal(PEM_write_X509(out, cert), 1);
	fclose(out);
}

void papers_begin(struct papers *papers)
{
	EVP_PKEY *key = new_key(false);
	X509 *cert = new_cert("Test authority", key, false);

	snprintf(papers->folder, sizeof(papers->folder), "/tmp/weir-papers-XXXXXX");
	assert_non_null(mkdtemp(papers->folder));
	extend(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
	sign(cert, cert, key);
	write_cert(papers, "ca.crt", cert);
	papers->authority = cert;
	papers->authority_key = key;
}

static void write_key(const struct papers *papers, const char *name, EVP_PKEY *key)
{
	char file[64];
	FILE *out;

	snprintf(file, sizeof(file), "%s.key", name);
	out = fopen(papers_file(papers, file).ptr, "w");
	assert_non_null(out);
	assert_int_equal(PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(out);
}

void papers_make(struct papers *papers, const struct paper *paper)
{
	EVP_PKEY *key = new_key(paper->is_rsa);
	X509 *cert = new_cert(paper->subject, key, paper->is_expired);
	char file[64];

	if (paper->names)
		extend(cert, papers->authority, NID_subject_alt_name, paper->names);
	if (paper->is_stranger)
		sign(cert, cert, key);
	else
		sign(cert, papers->authority, papers->authority_key);
	snprintf(file, sizeof(file), "%s.crt", paper->file);
	write_cert(papers, file, cert);
	write_key(papers, paper->file, key);
	X509_free(cert);
	EVP_PKEY_free(key);
}

// ---- OCSP ---------------------------------------------------------------------------------------

static X509 *read_cert(const struct papers *papers, const char *name)
{
	char file[64];
	FILE *in;
	X509 *cert;

	snprintf(file, sizeof(file), "%s.crt", name);
	in = fopen(papers_file(papers, file).ptr, "r");
	assert_non_null(in);
	cert = PEM_read_X509(in, NULL, NULL, NULL);
	assert_non_null(cert);
	fclose(in);
	return cert;
}

static EVP_PKEY *read_key(const struct papers *papers, const char *name)
{
	char file[64];
	FILE *in;
	EVP_PKEY *key;

	snprintf(file, sizeof(file), "%s.key", name);
	in = fopen(papers_file(papers, file).ptr, "r");
	assert_non_null(in);
	key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
	assert_non_null(key);
	fclose(in);
	return key;
}

void papers_make_responder(struct papers *papers, const char *file, bool is_expired)
{
	EVP_PKEY *key = new_key(false);
	X509 *cert = new_cert(file, key, is_expired);
	char name[64];

	extend(cert, papers->authority, NID_ext_key_usage, "OCSPSigning");
	sign(cert, papers->authority, papers->authority_key);
	snprintf(name, sizeof(name), "%s.crt", file);
	write_cert(papers, name, cert);
	write_key(papers, file, key);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void add_single(const struct papers *papers, OCSP_BASICRESP *basic, const char *about,
	const struct paper_response *response)
{
	X509 *cert = read_cert(papers, about);
	OCSP_CERTID *id = OCSP_cert_to_id(
		response->is_sha256 ? EVP_sha256() : EVP_sha1(), cert, papers->authority);
	ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)response->from_s),
		  *until = ASN1_TIME_set(NULL, (time_t)response->until_s);
	bool is_revoked = response->status == V_OCSP_CERTSTATUS_REVOKED;

	assert_non_null(OCSP_basic_add1_status(basic, id, response->status, 0,
		is_revoked ? from : NULL, from, response->has_no_end ? NULL : until));
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	OCSP_CERTID_free(id);
	X509_free(cert);
}

void papers_respond(struct papers *papers, const struct paper_response *response)
{
	X509 *signer = response->by ? read_cert(papers, response->by) : papers->authority;
	EVP_PKEY *key = response->by ? read_key(papers, response->by) : papers->authority_key;
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_RESPONSE *whole;
	char file[64];
	BIO *out;

	if (response->other)
		add_single(papers, basic, response->other, response);
	add_single(papers, basic, response->about, response);
	assert_int_equal(OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL, 0), 1);
	whole = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	snprintf(file, sizeof(file), "%s.ocsp", response->file);
	out = BIO_new_file(papers_file(papers, file).ptr, "w");
	assert_non_null(out);
	assert_int_equal(i2d_OCSP_RESPONSE_bio(out, whole), 1);
	BIO_free(out);
	OCSP_RESPONSE_free(whole);
	OCSP_BASICRESP_free(basic);
	if (!response->by)
		return;
	X509_free(signer);
	EVP_PKEY_free(key);
}

void papers_chain(struct papers *papers, const char *file)
{
	X509 *cert = read_cert(papers, file);
	char name[64];
	FILE *out;

	snprintf(name, sizeof(name), "%s-chain.crt", file);
	out = fopen(papers_file(papers, name).ptr, "w");
	assert_non_null(out);
	assert_int_equal(PEM_write_X509(out, cert), 1);
	assert_int_equal(PEM_write_X509(out, papers->authority), 1);
	fclose(out);
	X509_free(cert);
}

void papers_end(struct papers *papers)
{
	DIR *folder = opendir(papers->folder);

	for (struct dirent *each; folder && (each = readdir(folder));)
		if (each->d_name[0] != '.')
			unlink(papers_file(papers, each->d_name).ptr);
	closedir(folder);
	rmdir(papers->folder);
	X509_free(papers->authority);
	EVP_PKEY_free(papers->authority_key);
}
