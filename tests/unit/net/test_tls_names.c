// SPDX-License-Identifier: Apache-2.0
// Which certificate a client gets, by the name it asks for and the keys it can use.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls_client.h"
#include "net/tls_env.h"
#include "papers.h"

static struct papers papers;
static struct tls_env *env;
static struct block_pool pool;
static struct tls_server *server;

static const struct paper all[] = {
	{.file = "first", .subject = "first", .names = "DNS:a.example,DNS:www.a.example"},
	{.file = "first-rsa", .subject = "first-rsa", .names = "DNS:a.example", .is_rsa = true},
	{.file = "wild", .subject = "wild", .names = "DNS:*.b.example"},
	{.file = "exact", .subject = "exact", .names = "DNS:x.b.example"},
};

static int set_up(void **state)
{
	struct tls_files files[ARRAY_LEN(all)];
	struct tls_secret secret;
	struct tls_error error;
	char name[64];

	(void)state;
	papers_begin(&papers);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		papers_make(&papers, &all[i]);
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		snprintf(name, sizeof(name), "%s.crt", all[i].file);
		files[i] = (struct tls_files){.cert = papers_file(&papers, name)};
		snprintf(name, sizeof(name), "%s.key", all[i].file);
		files[i].key = papers_file(&papers, name);
	}
	tls_secret_make(&secret, 0);
	env = tls_env_new(&secret, 8);
	block_pool_init(&pool, 64, 64);
	server = tls_server_new(env,
		&(struct tls_server_options){
			.name = STR("web"), .files = files, .file_count = ARRAY_LEN(files)},
		&error);
	if (!server)
		fail_msg("%s", error.text);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_server_unref(server);
	block_pool_done(&pool);
	tls_env_unref(env);
	papers_end(&papers);
	return 0;
}

static void pass(struct tls *from, struct tls *to)
{
	while (!bytes_is_empty(&from->wire)) {
		tls_feed(to, bytes_pop(&from->wire));
		if (to->state == TLS_SHAKING)
			tls_shake(to);
	}
}

// A connection by a client that asks for `host`, which then is asked for `then`.
static void visit(const char *host, const char *signatures, const char *want, const char *then,
	bool want_misdirected)
{
	struct tls_client_options options = {.name = str_from(host), .is_unverified = true};
	struct tls_error error;
	struct tls_client *client = tls_client_new(env, &options, NULL, &error);
	struct tls *near = tls_new_client(client, &pool), *far = tls_new_server(server, &pool);
	char name[64];
	size_t len;

	if (signatures)
		assert_int_equal(SSL_set1_sigalgs_list(near->ssl, signatures), 1);
	tls_shake(near);
	for (int i = 0; i < 3; i++) {
		pass(near, far);
		pass(far, near);
	}
	assert_int_equal(near->state, TLS_OPEN);
	len = tls_cert_subject(SSL_get0_peer_certificate(near->ssl), name, sizeof(name));
	assert_int_equal(len, 3 + strlen(want));
	assert_memory_equal(name + 3, want, strlen(want));
	if (then)
		assert_int_equal(tls_server_is_misdirected(far, str_from(then)), want_misdirected);
	tls_free(near);
	tls_free(far);
	tls_client_unref(client);
}

static void by_name(void **state)
{
	(void)state;
	visit("a.example", NULL, "first", NULL, false);
	visit("A.Example", NULL, "first", NULL, false);
	visit("www.a.example", NULL, "first", NULL, false);
	visit("x.b.example", NULL, "exact", NULL, false);
	visit("y.b.example", NULL, "wild", NULL, false);
	visit("y.z.b.example", NULL, "first", NULL, false); // a star is one label
	visit("b.example", NULL, "first", NULL, false);
	visit("unknown", NULL, "first", NULL, false);
	visit("", NULL, "first", NULL, false);
}

static void by_key(void **state)
{
	(void)state;
	visit("a.example", "RSA-PSS+SHA256", "first-rsa", NULL, false);
	visit("a.example", "ECDSA+SHA256:RSA-PSS+SHA256", "first", NULL, false);
	visit("unknown", "RSA-PSS+SHA256", "first-rsa", NULL, false);
}

static void misdirected(void **state)
{
	(void)state;
	visit("a.example", NULL, "first", "a.example", false);
	visit("a.example", NULL, "first", "a.example:8443", false);
	visit("a.example", NULL, "first", "x.b.example", true);
	visit("x.b.example", NULL, "exact", "y.b.example", true);
	visit("x.b.example", NULL, "exact", "nobody.example", false); // no route will want it
	visit("", NULL, "first", "x.b.example", false);		      // it asked for nothing
	// Whose name is not here was shown the default one.
	visit("unknown", NULL, "first", "a.example", false);
	visit("unknown", NULL, "first", "x.b.example", true);
	visit("unknown", NULL, "first", "nobody.example", false);
	visit("a.example", NULL, "first", "unknown", false);
}

static void what_cannot_be_used(void **state)
{
	struct tls_files files = {
		.cert = papers_file(&papers, "first.crt"), .key = papers_file(&papers, "wild.key")};
	struct tls_server_options options = {.name = STR("web"), .files = &files, .file_count = 1};
	struct tls_error error;

	(void)state;
	assert_null(tls_server_new(env, &options, &error));
	assert_non_null(strstr(error.text, "wild.key: this key belongs to another certificate"));
	files.key = papers_file(&papers, "nothing.key");
	assert_null(tls_server_new(env, &options, &error));
	assert_non_null(strstr(error.text, "nothing.key: it cannot be opened: No such file"));
	files.cert = papers_file(&papers, "first.key");
	assert_null(tls_server_new(env, &options, &error));
	assert_non_null(strstr(error.text, "first.key: it holds no certificate"));
}

static X509 *named(const char *subject)
{
	X509 *cert = X509_new();

	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
		(const unsigned char *)subject, -1, -1, 0);
	return cert;
}

static void add_alternative(X509 *cert, int type, const void *data, int len)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_STRING *text = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

	ASN1_STRING_set(text, data, len);
	GENERAL_NAME_set0_value(name, type, text);
	names = names ? names : sk_GENERAL_NAME_new_null();
	sk_GENERAL_NAME_push(names, name);
	assert_int_equal(
		X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_REPLACE), 1);
	GENERAL_NAMES_free(names);
}

static void says(X509 *cert, size_t size, const char *want)
{
	char text[256];
	size_t len = tls_cert_alternatives(cert, text, size);

	assert_int_equal(len, strlen(want));
	assert_memory_equal(text, want, len);
	assert_int_equal(ERR_peek_error(), 0);
}

// Each comma divides two names, whatever stands in them, and none is cut to another one.
static void alternatives(void **state)
{
	static const u8 v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	X509 *cert = named("a");

	(void)state;
	says(cert, 256, "");
	add_alternative(cert, GEN_DNS, "a.example,DNS:b.example", 23);
	says(cert, 256, "DNS:a.example%2CDNS:b.example");
	add_alternative(cert, GEN_IPADD, "\x0a\x00\x00\x01", 4);
	add_alternative(cert, GEN_IPADD, v6, sizeof(v6));
	add_alternative(cert, GEN_URI, "spiffe://x\ny", 12);
	says(cert, 256,
		"DNS:a.example%2CDNS:b.example,IP:10.0.0.1,IP:2001:db8::1,URI:spiffe://x?y");
	says(cert, 41, "DNS:a.example%2CDNS:b.example,IP:10.0.0.1");
	says(cert, 40, "DNS:a.example%2CDNS:b.example");
	says(cert, 28, "IP:10.0.0.1,IP:2001:db8::1");
	says(cert, 3, "");
	X509_free(cert);
}

// What cannot be read or printed leaves nothing behind that a later call would take for its own.
static void names_that_cannot_be_read(void **state)
{
	ASN1_OCTET_STRING *rubbish = ASN1_OCTET_STRING_new();
	X509 *cert = named("b");
	X509_EXTENSION *extension;
	X509_NAME_ENTRY *entry;
	char text[256];

	(void)state;
	ASN1_STRING_set(rubbish, "\x30\x05\x82", 3);
	extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, rubbish);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(rubbish);
	ERR_clear_error();
	says(cert, 256, "");
	(void)tls_cert_names(cert, text, sizeof(text));
	assert_int_equal(ERR_peek_error(), 0);
	// Three bytes are no text of two bytes per character.
	entry = X509_NAME_get_entry(X509_get_subject_name(cert), 0);
	X509_NAME_ENTRY_set_data(entry, V_ASN1_BMPSTRING, (const unsigned char *)"\0ab", 3);
	ERR_clear_error();
	assert_int_equal(tls_cert_subject(cert, text, sizeof(text)), 0);
	assert_int_equal(ERR_peek_error(), 0);
	X509_free(cert);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_name),
		cmocka_unit_test(by_key),
		cmocka_unit_test(misdirected),
		cmocka_unit_test(what_cannot_be_used),
		cmocka_unit_test(alternatives),
		cmocka_unit_test(names_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
