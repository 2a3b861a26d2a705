// SPDX-License-Identifier: Apache-2.0
// What is said of files that hold something else than what is wanted.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <unistd.h>

#include "net/tls_env.h"
#include "net/tls_trial.h"
#include "papers.h"

static struct papers papers;
static struct tls_env *env;

static const struct paper mine = {.file = "a", .subject = "a", .names = "DNS:a.example"},
			  other = {.file = "b", .subject = "b", .names = "DNS:b.example"};

static X509 *cert_of(const char *file)
{
	BIO *bio = BIO_new_file(papers_file(&papers, file).ptr, "r");
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(cert);
	return cert;
}

static EVP_PKEY *key_of(const char *file)
{
	BIO *bio = BIO_new_file(papers_file(&papers, file).ptr, "r");
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	assert_non_null(key);
	return key;
}

static BIO *out(const char *file)
{
	BIO *bio = BIO_new_file(papers_file(&papers, file).ptr, "w");

	assert_non_null(bio);
	return bio;
}

static void write_text(const char *file, const char *text, size_t len)
{
	BIO *bio = out(file);

	BIO_write(bio, text, (int)len);
	BIO_free(bio);
}

// The same certificate and key in all the forms that people have them in.
static void write_forms(X509 *cert, EVP_PKEY *key)
{
	PKCS12 *store = PKCS12_create("pw", "a", key, cert, NULL, 0, 0, 0, 0, 0);
	BIO *bio = out("a.der");

	i2d_X509_bio(bio, cert);
	BIO_free(bio);
	bio = out("a key.der");
	i2d_PrivateKey_bio(bio, key);
	BIO_free(bio);
	bio = out("a.p12");
	i2d_PKCS12_bio(bio, store);
	BIO_free(bio);
	PKCS12_free(store);
	bio = out("locked.key");
	PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), NULL, 0, NULL, (void *)"pw");
	BIO_free(bio);
	bio = out("locked-old.key");
	PEM_write_bio_PrivateKey_traditional(
		bio, key, EVP_aes_256_cbc(), (const unsigned char *)"pw", 2, NULL, NULL);
	BIO_free(bio);
	bio = out("locked.der");
	i2d_PKCS8PrivateKey_bio(bio, key, EVP_aes_256_cbc(), NULL, 0, NULL, (void *)"pw");
	BIO_free(bio);
	bio = out("a.pub");
	PEM_write_bio_PUBKEY(bio, key);
	BIO_free(bio);
}

static void write_list(const char *pem, const char *der, X509 *cert, EVP_PKEY *key)
{
	X509_CRL *crl = X509_CRL_new();
	BIO *bio = out(pem);

	X509_CRL_set_issuer_name(crl, X509_get_subject_name(cert));
	X509_CRL_set1_lastUpdate(crl, X509_get0_notBefore(cert));
	X509_CRL_sign(crl, key, EVP_sha256());
	PEM_write_bio_X509_CRL(bio, crl);
	BIO_free(bio);
	bio = out(der);
	i2d_X509_CRL_bio(bio, crl);
	BIO_free(bio);
	X509_CRL_free(crl);
}

static int set_up(void **state)
{
	struct tls_secret secret;
	EVP_PKEY *key;
	X509 *cert;

	(void)state;
	papers_begin(&papers);
	papers_make(&papers, &mine);
	papers_make(&papers, &other);
	cert = cert_of("a.crt");
	key = key_of("a.key");
	write_forms(cert, key);
	write_list("list.pem", "list.der", cert, key);
	X509_free(cert);
	EVP_PKEY_free(key);
	tls_secret_make(&secret, 0);
	env = tls_env_new(&secret, 8);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_env_unref(env);
	papers_end(&papers);
	return 0;
}

static bool ends(const char *text, const char *end)
{
	size_t len = strlen(end);

	return strlen(text) >= len && strcmp(text + strlen(text) - len, end) == 0;
}

static void says(
	const struct tls_error *error, enum tls_trouble trouble, const char *text, const char *cure)
{
	char name[64];

	if (error->trouble != trouble || !strstr(error->text, text) || !strstr(error->cure, cure))
		fail_msg("%d: %s | %s\nwanted %d: %s | %s", (int)error->trouble, error->text,
			error->cure, (int)trouble, text, cure);
	assert_true(error->file.len > 0);
	snprintf(name, sizeof(name), "%.*s", (int)MIN(error->file.len, sizeof(name) - 1),
		error->file.ptr);
	assert_memory_equal(error->text, name, strlen(name));
	assert_false(ends(error->text, "."));
	assert_int_equal(ERR_peek_error(), 0);
}

static void refuses(enum tls_want want, const char *file, enum tls_trouble trouble,
	const char *text, const char *cure)
{
	struct tls_error error = {.trouble = TLS_TROUBLE_COUNT};

	tls_file_refuse(&error, papers_file(&papers, file), want);
	says(&error, trouble, text, cure);
}

static void other_forms(void **state)
{
	(void)state;
	refuses(TLS_WANT_CERT, "a.der", TLS_TROUBLE_FORM,
		"it holds a certificate in DER, where PEM is wanted",
		"`openssl x509 -inform DER -in /");
	refuses(TLS_WANT_CERT, "a.der", TLS_TROUBLE_FORM, "", "/a.pem`");
	refuses(TLS_WANT_AUTHORITIES, "a.der", TLS_TROUBLE_FORM, "a certificate in DER",
		"`openssl x509 -inform DER -in /");
	refuses(TLS_WANT_KEY, "a key.der", TLS_TROUBLE_FORM,
		"it holds a private key in DER, where PEM is wanted",
		"`openssl pkey -inform DER -in '/");
	refuses(TLS_WANT_KEY, "a key.der", TLS_TROUBLE_FORM, "", "/a key.pem'`");
	refuses(TLS_WANT_LIST, "list.der", TLS_TROUBLE_FORM,
		"it holds a list of revoked certificates in DER", "`openssl crl -inform DER -in /");
	refuses(TLS_WANT_CERT, "a.p12", TLS_TROUBLE_FORM, "it holds a PKCS#12 store",
		"`openssl pkcs12 -nokeys -in /");
	refuses(TLS_WANT_KEY, "a.p12", TLS_TROUBLE_FORM, "it holds a PKCS#12 store",
		"`openssl pkcs12 -nocerts -noenc -in /");
	write_text("utf16", "\xff\xfe-\0-\0-\0", 8);
	refuses(TLS_WANT_CERT, "utf16", TLS_TROUBLE_FORM, "UTF-16", "UTF-8");
	// A DER file with the ending that PEM should have keeps its name.
	rename(papers_file(&papers, "a.der").ptr, papers_file(&papers, "der.pem").ptr);
	refuses(TLS_WANT_CERT, "der.pem", TLS_TROUBLE_FORM, "", "/der.new.pem`");
}

static void encrypted(void **state)
{
	(void)state;
	refuses(TLS_WANT_KEY, "locked.key", TLS_TROUBLE_ENCRYPTED, "its private key is encrypted",
		"`openssl pkey -in /");
	refuses(TLS_WANT_KEY, "locked.key", TLS_TROUBLE_ENCRYPTED, "", "/locked.plain.key`");
	refuses(TLS_WANT_KEY, "locked-old.key", TLS_TROUBLE_ENCRYPTED,
		"its private key is encrypted", "`openssl pkey -in /");
	refuses(TLS_WANT_KEY, "locked.der", TLS_TROUBLE_ENCRYPTED, "its private key is encrypted",
		"`openssl pkey -inform DER -in /");
}

static void other_things(void **state)
{
	(void)state;
	refuses(TLS_WANT_CERT, "a.key", TLS_TROUBLE_CONTENT,
		"it holds no certificate that can be read: a private key", "swapped?");
	refuses(TLS_WANT_KEY, "a.crt", TLS_TROUBLE_CONTENT,
		"it holds no private key that can be read without a password: a certificate",
		"as 'key'");
	refuses(TLS_WANT_KEY, "a.pub", TLS_TROUBLE_CONTENT, ": a public key", "");
	refuses(TLS_WANT_LIST, "a.crt", TLS_TROUBLE_CONTENT,
		"it holds no list of revoked certificates that can be read: a certificate", "");
	refuses(TLS_WANT_OCSP, "a.crt", TLS_TROUBLE_CONTENT, "it holds no OCSP response in DER",
		"");
	write_text("empty", "", 0);
	refuses(TLS_WANT_CERT, "empty", TLS_TROUBLE_CONTENT, ": it is empty", "");
	write_text("words", "hello\n", 6);
	refuses(TLS_WANT_CERT, "words", TLS_TROUBLE_CONTENT, "-----BEGIN", "");
	refuses(TLS_WANT_CERT, "nowhere", TLS_TROUBLE_UNREADABLE,
		"it cannot be opened: No such file", "folder of the configuration file");
	refuses(TLS_WANT_CERT, ".", TLS_TROUBLE_UNREADABLE, "it cannot be read: Is a directory",
		"");
}

static void damaged(void **state)
{
	static const char text[] = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
	struct tls_files files = {.cert = papers_file(&papers, "cut")};
	struct tls_error errors[TLS_CERT_FILES];

	(void)state;
	write_text("cut", text, sizeof(text) - 1);
	assert_int_equal(tls_trial_cert(env, &files, errors), 1);
	says(&errors[0], TLS_TROUBLE_CONTENT, "a certificate in it is damaged: ", "copy it anew");
}

static void all_at_once(void **state)
{
	struct tls_files files = {
		.cert = papers_file(&papers, "a.crt"), .key = papers_file(&papers, "a.key")};
	struct tls_error errors[TLS_CERT_FILES];

	(void)state;
	assert_int_equal(tls_trial_cert(env, &files, errors), 0);
	files.key = papers_file(&papers, "b.key");
	assert_int_equal(tls_trial_cert(env, &files, errors), 1);
	says(&errors[0], TLS_TROUBLE_PAIR, "b.key: this key belongs to another certificate",
		"name the key");
	files.cert = papers_file(&papers, "nowhere");
	files.key = papers_file(&papers, "locked.key");
	assert_int_equal(tls_trial_cert(env, &files, errors), 2);
	says(&errors[0], TLS_TROUBLE_UNREADABLE, "nowhere", "");
	says(&errors[1], TLS_TROUBLE_ENCRYPTED, "locked.key", "");
	files = (struct tls_files){.cert = papers_file(&papers, "nowhere")};
	assert_int_equal(tls_trial_cert(env, &files, errors), 1); // one file is told of once
}

static void authorities_and_lists(void **state)
{
	struct tls_error error;

	(void)state;
	assert_true(tls_trial_authorities(env, papers_file(&papers, "ca.crt"), &error));
	assert_false(tls_trial_authorities(env, papers_file(&papers, "a.key"), &error));
	says(&error, TLS_TROUBLE_CONTENT, "it holds no authority's certificate", "");
	assert_true(tls_trial_list(papers_file(&papers, "list.pem"), &error));
	assert_false(tls_trial_list(papers_file(&papers, "list.der"), &error));
	says(&error, TLS_TROUBLE_FORM, "in DER", "openssl crl");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_forms),
		cmocka_unit_test(encrypted),
		cmocka_unit_test(other_things),
		cmocka_unit_test(damaged),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(authorities_and_lists),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
