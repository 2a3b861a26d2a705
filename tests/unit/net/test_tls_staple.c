// SPDX-License-Identifier: Apache-2.0
// Which OCSP responses are stapled, and what is wrong with the others.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>

#include "net/tls_client.h"
#include "net/tls_env.h"
#include "net/tls_server.h"
#include "papers.h"

enum { hour = 3600, day = 24 * hour };

static struct papers papers;
static struct tls_env *env;
static struct block_pool pool;
static i64 wall_ms;

static i64 now_s(void)
{
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
	i64 seconds = tls_cert_time_s(now);

	ASN1_TIME_free(now);
	return seconds;
}

static int set_up(void **state)
{
	struct tls_secret secret;

	(void)state;
	papers_begin(&papers);
	papers_make(&papers,
		&(struct paper){.file = "site", .subject = "site", .names = "DNS:site.example"});
	papers_make(&papers,
		&(struct paper){.file = "other", .subject = "other", .names = "DNS:other.example"});
	papers_make_responder(&papers, "responder", false);
	papers_make_responder(&papers, "late-responder", true);
	papers_chain(&papers, "site");
	tls_secret_make(&secret, 0);
	env = tls_env_new(&secret, 8);
	block_pool_init(&pool, 64, 64);
	env->tickets.wall_ms = &wall_ms;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	block_pool_done(&pool);
	tls_env_unref(env);
	papers_end(&papers);
	return 0;
}

// ---- Reading ------------------------------------------------------------------------------------

// Of this file, for the certificate with its authority behind it, or alone.
static void load(const char *response, bool with_chain, struct tls_staple *staple)
{
	struct tls_files files = {.key = papers_file(&papers, "site.key")};
	struct tls_error error;
	struct tls_cert cert;

	files.cert = papers_file(&papers, with_chain ? "site-chain.crt" : "site.crt");
	assert_true(tls_cert_load(env->lib, &files, &cert, &error));
	tls_staple_load(papers_file(&papers, response), &cert, staple);
	tls_cert_done(&cert);
	assert_int_equal(ERR_peek_error(), 0);
}

static enum tls_staple_fault fault_of(const char *response, bool with_chain)
{
	struct tls_staple staple;
	enum tls_staple_fault fault;

	load(response, with_chain, &staple);
	fault = tls_staple_fault_at(&staple, now_s());
	assert_int_equal(staple.is_verified, with_chain && staple.fault == TLS_STAPLE_NONE);
	tls_staple_done(&staple);
	return fault;
}

// Times are from now.
static void respond(struct paper_response response)
{
	if (!response.about)
		response.about = "site";
	if (!response.from_s)
		response.from_s = -hour;
	if (!response.until_s)
		response.until_s = 2 * day;
	response.from_s += now_s();
	response.until_s += now_s();
	papers_respond(&papers, &response);
}

static void good_ones(void **state)
{
	(void)state;
	respond((struct paper_response){.file = "good"});
	respond((struct paper_response){.file = "new-hash", .is_sha256 = true});
	respond((struct paper_response){.file = "second", .other = "other"});
	respond((struct paper_response){.file = "delegated", .by = "responder"});
	respond((struct paper_response){.file = "ahead", .from_s = TLS_STAPLE_EARLY_S - 60});
	for (int with_chain = 0; with_chain < 2; with_chain++) {
		assert_int_equal(fault_of("good.ocsp", with_chain), TLS_STAPLE_NONE);
		assert_int_equal(fault_of("new-hash.ocsp", with_chain), TLS_STAPLE_NONE);
		assert_int_equal(fault_of("second.ocsp", with_chain), TLS_STAPLE_NONE);
		assert_int_equal(fault_of("delegated.ocsp", with_chain), TLS_STAPLE_NONE);
		assert_int_equal(fault_of("ahead.ocsp", with_chain), TLS_STAPLE_NONE);
	}
}

static void no_file_is_no_fault(void **state)
{
	struct tls_staple staple;

	(void)state;
	tls_staple_load(STR_EMPTY, NULL, &staple);
	assert_int_equal(staple.fault, TLS_STAPLE_NONE);
	assert_int_equal(staple.file.len, 0);
	tls_staple_done(&staple);
}

static void write_bytes(const char *file, const void *bytes, size_t len)
{
	FILE *out = fopen(papers_file(&papers, file).ptr, "w");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	fclose(out);
}

static u8 whole[2 * TLS_STAPLE_BYTES_MAX];

static size_t read_bytes(const char *file)
{
	FILE *in = fopen(papers_file(&papers, file).ptr, "r");
	size_t len;

	assert_non_null(in);
	len = fread(whole, 1, sizeof(whole), in);
	fclose(in);
	return len;
}

static void what_cannot_be_read(void **state)
{
	size_t len;

	(void)state;
	assert_int_equal(fault_of("nowhere.ocsp", true), TLS_STAPLE_UNOPENED);
	write_bytes("bad.ocsp", "", 0);
	assert_int_equal(fault_of("bad.ocsp", true), TLS_STAPLE_UNREADABLE);
	write_bytes("bad.ocsp", "-----BEGIN OCSP RESPONSE-----\n", 30);
	assert_int_equal(fault_of("bad.ocsp", true), TLS_STAPLE_UNREADABLE);
	respond((struct paper_response){.file = "bad"});
	len = read_bytes("bad.ocsp");
	for (size_t cut = 1; cut < len; cut += 7) {
		write_bytes("bad.ocsp", whole, len - cut);
		assert_int_equal(fault_of("bad.ocsp", true), TLS_STAPLE_UNREADABLE);
	}
	write_bytes("bad.ocsp", whole, len + 1);
	assert_int_equal(fault_of("bad.ocsp", true), TLS_STAPLE_UNREADABLE);
	write_bytes("bad.ocsp", whole, sizeof(whole));
	assert_int_equal(fault_of("bad.ocsp", true), TLS_STAPLE_UNREADABLE);
}

static void errors_of_a_responder(void **state)
{
	struct tls_staple staple;

	(void)state;
	write_bytes("error.ocsp", "\x30\3\xa\1\3", 5);
	load("error.ocsp", true, &staple);
	assert_int_equal(tls_staple_fault_at(&staple, now_s()), TLS_STAPLE_UNSUCCESSFUL);
	assert_string_equal(staple.detail, "trylater");
	tls_staple_done(&staple);
	write_bytes("error.ocsp", "\x30\3\xa\1\0", 5); // a success with nothing in it
	assert_int_equal(fault_of("error.ocsp", true), TLS_STAPLE_UNREADABLE);
}

// The same serial of an authority with another name: one bit of its digest, which comes first.
static void of_another_authority(void **state)
{
	static const u8 before[] = {0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 20}; // SHA-1, and 20 bytes
	size_t len, at = 0;

	(void)state;
	respond((struct paper_response){.file = "name"});
	len = read_bytes("name.ocsp");
	while (at + 100 < len && memcmp(whole + at, before, sizeof(before)) != 0)
		at++;
	assert_true(at + 100 < len);
	whole[at + sizeof(before)] ^= 1;
	write_bytes("name.ocsp", whole, len);
	assert_int_equal(fault_of("name.ocsp", false), TLS_STAPLE_FOREIGN);
}

static void of_another_certificate(void **state)
{
	struct papers others;

	(void)state;
	respond((struct paper_response){.file = "foreign", .about = "other"});
	assert_int_equal(fault_of("foreign.ocsp", true), TLS_STAPLE_FOREIGN);
	assert_int_equal(fault_of("foreign.ocsp", false), TLS_STAPLE_FOREIGN);
	respond((struct paper_response){.file = "unknown", .status = V_OCSP_CERTSTATUS_UNKNOWN});
	assert_int_equal(fault_of("unknown.ocsp", true), TLS_STAPLE_UNKNOWN);
	// The same serial of an authority with the same name and another key.
	others = papers;
	others.authority_key = EVP_EC_gen("P-256");
	others.authority = X509_dup(papers.authority);
	X509_set_pubkey(others.authority, others.authority_key);
	papers_respond(&others, &(struct paper_response){.file = "key",
					.about = "site",
					.from_s = now_s(),
					.until_s = now_s() + day});
	assert_int_equal(fault_of("key.ocsp", true), TLS_STAPLE_FOREIGN);
	assert_int_equal(fault_of("key.ocsp", false), TLS_STAPLE_NONE);
	X509_free(others.authority);
	EVP_PKEY_free(others.authority_key);
}

static void by_whom(void **state)
{
	size_t len;

	(void)state;
	respond((struct paper_response){.file = "forged", .by = "other"});
	assert_int_equal(fault_of("forged.ocsp", true), TLS_STAPLE_FORGED);
	assert_int_equal(fault_of("forged.ocsp", false), TLS_STAPLE_NONE);
	respond((struct paper_response){.file = "forged"});
	len = read_bytes("forged.ocsp");
	for (size_t i = 0; i + 2 < len; i++) // "20..." of its times: other ones than were signed
		if (whole[i] == 24 && whole[i + 1] == 15) {
			whole[i + 4]++;
			break;
		}
	write_bytes("forged.ocsp", whole, len);
	assert_int_equal(fault_of("forged.ocsp", true), TLS_STAPLE_FORGED);
}

static void revoked(void **state)
{
	struct tls_staple staple;

	(void)state;
	respond((struct paper_response){.file = "gone", .status = V_OCSP_CERTSTATUS_REVOKED});
	load("gone.ocsp", true, &staple);
	assert_int_equal(tls_staple_fault_at(&staple, now_s()), TLS_STAPLE_NONE);
	assert_true(staple.is_revoked);
	tls_staple_done(&staple);
}

// ---- Its time -----------------------------------------------------------------------------------

static void times(void **state)
{
	struct tls_staple staple;
	i64 from_s, until_s;

	(void)state;
	respond((struct paper_response){.file = "times", .from_s = hour, .until_s = 2 * hour});
	assert_int_equal(fault_of("times.ocsp", true), TLS_STAPLE_EARLY);
	load("times.ocsp", true, &staple);
	from_s = staple.from_s;
	until_s = staple.until_s;
	assert_int_equal(until_s - from_s, hour);
	assert_int_equal(tls_staple_next_s(&staple, from_s - day), from_s - TLS_STAPLE_EARLY_S);
	assert_int_equal(
		tls_staple_fault_at(&staple, from_s - TLS_STAPLE_EARLY_S - 1), TLS_STAPLE_EARLY);
	assert_int_equal(
		tls_staple_fault_at(&staple, from_s - TLS_STAPLE_EARLY_S), TLS_STAPLE_NONE);
	assert_int_equal(tls_staple_next_s(&staple, from_s), until_s);
	assert_int_equal(tls_staple_fault_at(&staple, until_s - 1), TLS_STAPLE_NONE);
	assert_int_equal(tls_staple_fault_at(&staple, until_s), TLS_STAPLE_EXPIRED);
	assert_int_equal(tls_staple_next_s(&staple, until_s), 0);
	tls_staple_done(&staple);
	respond((struct paper_response){.file = "times", .has_no_end = true});
	load("times.ocsp", false, &staple);
	assert_int_equal(staple.until_s, 0);
	assert_int_equal(tls_staple_fault_at(&staple, now_s() + 1000 * day), TLS_STAPLE_NONE);
	assert_int_equal(tls_staple_next_s(&staple, now_s()), 0);
	tls_staple_done(&staple);
}

// Who was let speak for the authority may do so until its own certificate ends, which is a day.
static void no_longer_than_its_signer(void **state)
{
	struct tls_staple staple;

	(void)state;
	respond((struct paper_response){.file = "long", .by = "responder"});
	load("long.ocsp", true, &staple);
	assert_true(staple.until_s > now_s() && staple.until_s <= now_s() + day);
	tls_staple_done(&staple);
	respond((struct paper_response){.file = "late", .by = "late-responder"});
	assert_int_equal(fault_of("late.ocsp", true), TLS_STAPLE_EXPIRED);
}

// ---- In handshakes ------------------------------------------------------------------------------

static void carry(struct tls *from, struct tls *to)
{
	while (!bytes_is_empty(&from->wire)) {
		tls_feed(to, bytes_pop(&from->wire));
		if (to->state == TLS_SHAKING)
			tls_shake(to);
	}
}

// How many bytes are stapled for a client that wants some.
static long stapled(struct tls_server *server, struct tls_client *client)
{
	struct tls *here = tls_new_server(server, &pool), *there = tls_new_client(client, &pool);
	const unsigned char *der;
	long len;

	assert_int_equal(SSL_set_tlsext_status_type(there->ssl, TLSEXT_STATUSTYPE_ocsp), 1);
	tls_shake(there);
	for (int i = 0; i < 4; i++) {
		carry(there, here);
		carry(here, there);
	}
	assert_int_equal(there->state, TLS_OPEN);
	len = SSL_get_tlsext_status_ocsp_resp(there->ssl, &der);
	tls_free(here);
	tls_free(there);
	return len;
}

static void a_handshake_looks_at_the_clock(void **state)
{
	struct tls_files files = {.cert = papers_file(&papers, "site-chain.crt"),
		.key = papers_file(&papers, "site.key"),
		.ocsp = papers_file(&papers, "wire.ocsp")};
	struct tls_server_options options = {.name = STR("web"), .files = &files, .file_count = 1};
	struct tls_client_options wants = {.name = STR("site.example"), .is_unverified = true};
	struct tls_error error;
	struct tls_server *server;
	struct tls_client *client = tls_client_new(env, &wants, NULL, &error);
	long len;

	(void)state;
	respond((struct paper_response){.file = "wire", .until_s = hour});
	len = (long)read_bytes("wire.ocsp");
	server = tls_server_new(env, &options, &error);
	assert_non_null(server);
	wall_ms = (now_s() + hour - 2) * 1000;
	assert_int_equal(stapled(server, client), len);
	wall_ms = (now_s() + hour + 2) * 1000;
	assert_int_equal(stapled(server, client), -1);
	wall_ms = now_s() * 1000;
	assert_int_equal(stapled(server, client), len);
	tls_server_unref(server);
	respond((struct paper_response){.file = "wire", .about = "other"});
	server = tls_server_new(env, &options, &error);
	assert_non_null(server); // that is no reason to serve nobody
	assert_int_equal(stapled(server, client), -1);
	tls_server_unref(server);
	tls_client_unref(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(no_file_is_no_fault),
		cmocka_unit_test(what_cannot_be_read),
		cmocka_unit_test(errors_of_a_responder),
		cmocka_unit_test(of_another_certificate),
		cmocka_unit_test(of_another_authority),
		cmocka_unit_test(by_whom),
		cmocka_unit_test(revoked),
		cmocka_unit_test(times),
		cmocka_unit_test(no_longer_than_its_signer),
		cmocka_unit_test(a_handshake_looks_at_the_clock),
	};

	return cmocka_run_group_tests_name("net tls_staple", tests, set_up, tear_down);
}
