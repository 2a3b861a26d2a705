// SPDX-License-Identifier: Apache-2.0
// RAND_set_rand_method is the only way to the dice of library contexts that others have made.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls_wire.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/mem.h"
#include "base/rng.h"

struct tls_wire {
	SSL *ssl;
	BIO *in, *out; // the SSL's
	struct ssl_session_st **session;
	bool is_h2;
	char error[96];
};

static struct {
	struct rng rng;
	SSL_CTX *client, *server;
	u32 contexts;
	char file[32]; // in memory, until the process ends
} shared;

// ---- Once in a process --------------------------------------------------------------------------

static int draw(unsigned char *to, int count)
{
	for (int i = 0; i < count; i++)
		to[i] = (unsigned char)rng_below(&shared.rng, 256);
	return 1;
}

static int has_dice(void)
{
	return 1;
}

static void on_ctx(void *ctx, void *own, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
	(void)ctx, (void)own, (void)data, (void)index, (void)number, (void)arg;
	shared.contexts++;
}

static void on_ctx_gone(
	void *ctx, void *own, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
	(void)ctx, (void)own, (void)data, (void)index, (void)number, (void)arg;
	shared.contexts--;
}

u32 tls_wire_contexts(void)
{
	return shared.contexts;
}

static X509 *make_cert(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	X509_EXTENSION *names;

	ASSERT(X509_set_version(cert, 2) == 1);
	ASSERT(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1);
	ASSERT(X509_gmtime_adj(X509_getm_notBefore(cert), -86400));
	ASSERT(X509_gmtime_adj(X509_getm_notAfter(cert), 86400 * 30));
	ASSERT(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
		       (const unsigned char *)"sim.test", -1, -1, 0) == 1);
	names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:sim.test");
	ASSERT(names && X509_add_ext(cert, names, -1) == 1);
	X509_EXTENSION_free(names);
	ASSERT(X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1);
	ASSERT(X509_sign(cert, key, NULL) > 0);
	return cert;
}

static void keep_file(X509 *cert, EVP_PKEY *key)
{
	int fd = memfd_create("sim", MFD_CLOEXEC);
	FILE *out;

	ASSERT(fd >= 0);
	snprintf(shared.file, sizeof(shared.file), "/proc/self/fd/%d", fd);
	out = fopen(shared.file, "w");
	ASSERT(out && PEM_write_X509(out, cert) == 1 &&
		PEM_write_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) == 1);
	ASSERT(fclose(out) == 0);
}

static const unsigned char h2_only[] = {2, 'h', '2'};
static const unsigned char h1_only[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static int on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
	const unsigned char *offered, unsigned offered_len, void *arg)
{
	const struct tls_wire *wire = SSL_get_app_data(ssl);
	bool is_h2 = wire->is_h2;
	unsigned char *found;

	(void)arg;
	if (SSL_select_next_proto(&found, chosen_len, is_h2 ? h2_only : h1_only,
		    is_h2 ? sizeof(h2_only) : sizeof(h1_only), offered,
		    offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*chosen = found;
	return SSL_TLSEXT_ERR_OK;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_wire *wire = SSL_get_app_data(ssl);

	if (!wire->session || !SSL_SESSION_is_resumable(session))
		return 0;
	SSL_SESSION_free(*wire->session);
	*wire->session = session;
	return 1;
}

static SSL_CTX *make_ctx(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	ASSERT(ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
		SSL_CTX_set1_groups_list(ctx, "X25519") == 1);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	return ctx;
}

static void make_shared(void)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	X509 *cert;

	ASSERT(key);
	cert = make_cert(key);
	keep_file(cert, key);
	shared.server = make_ctx(TLS_server_method());
	shared.client = make_ctx(TLS_client_method());
	ASSERT(SSL_CTX_use_certificate(shared.server, cert) == 1 &&
		SSL_CTX_use_PrivateKey(shared.server, key) == 1);
	SSL_CTX_set_alpn_select_cb(shared.server, on_alpn, NULL);
	SSL_CTX_set_session_cache_mode(shared.server, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(shared.server, 1);
	SSL_CTX_set_session_cache_mode(
		shared.client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(shared.client, on_session);
	X509_free(cert);
	EVP_PKEY_free(key);
}

void tls_wire_seed(u64 seed)
{
	static const RAND_METHOD dice = {.bytes = draw, .pseudorand = draw, .status = has_dice};

	rng_init(&shared.rng, seed ^ 0x715);
	if (shared.server)
		return;
	ASSERT(RAND_set_rand_method(&dice) == 1);
	ASSERT(SSL_CTX_get_ex_new_index(0, NULL, on_ctx, NULL, on_ctx_gone) >= 0);
	make_shared();
	rng_init(&shared.rng, seed ^ 0x715);
}

struct str tls_wire_file(void)
{
	return str_from(shared.file);
}

// ---- A connection -------------------------------------------------------------------------------

static void offer(struct tls_wire *wire, const struct tls_wire_options *options)
{
	SSL *ssl = wire->ssl;

	SSL_set_connect_state(ssl);
	ASSERT(SSL_set_tlsext_host_name(ssl, "sim.test") == 1);
	ASSERT(SSL_set_alpn_protos(ssl, options->is_h2 ? h2_only : h1_only,
		       options->is_h2 ? sizeof(h2_only) : sizeof(h1_only)) == 0);
	wire->session = options->session;
	if (wire->session && *wire->session)
		(void)SSL_set_session(ssl, *wire->session);
}

struct tls_wire *tls_wire_new(const struct tls_wire_options *options)
{
	struct tls_wire *wire = mem_alloc(sizeof(*wire));

	wire->ssl = SSL_new(options->is_client ? shared.client : shared.server);
	wire->in = BIO_new(BIO_s_mem());
	wire->out = BIO_new(BIO_s_mem());
	ASSERT(wire->ssl && wire->in && wire->out);
	BIO_set_mem_eof_return(wire->in, -1);
	BIO_set_mem_eof_return(wire->out, -1);
	SSL_set_bio(wire->ssl, wire->in, wire->out);
	SSL_set_app_data(wire->ssl, wire);
	wire->is_h2 = options->is_h2;
	if (options->is_1_2)
		SSL_set_max_proto_version(wire->ssl, TLS1_2_VERSION);
	if (options->record_max)
		SSL_set_max_send_fragment(wire->ssl, options->record_max);
	if (options->is_client) {
		offer(wire, options);
		return wire;
	}
	SSL_set_accept_state(wire->ssl);
	return wire;
}

void tls_wire_free(struct tls_wire *wire)
{
	if (!wire)
		return;
	// A session whose connection ended anyhow may be resumed all the same.
	SSL_set_quiet_shutdown(wire->ssl, 1);
	SSL_shutdown(wire->ssl);
	SSL_free(wire->ssl);
	ERR_clear_error();
	mem_free(wire);
}

void tls_wire_session_free(struct ssl_session_st **session)
{
	SSL_SESSION_free(*session);
	*session = NULL;
}

void tls_wire_feed(struct tls_wire *wire, const char *bytes, size_t len)
{
	ASSERT(BIO_write(wire->in, bytes, (int)len) == (int)len);
}

static enum tls_wire_got stop(struct tls_wire *wire, int result)
{
	int error = SSL_get_error(wire->ssl, result);
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	if (error == SSL_ERROR_WANT_READ)
		return TLS_WIRE_DRY;
	if (error == SSL_ERROR_ZERO_RETURN)
		return TLS_WIRE_END;
	snprintf(wire->error, sizeof(wire->error), "%s", reason ? reason : "no reason");
	ERR_clear_error();
	return TLS_WIRE_ERROR;
}

enum tls_wire_got tls_wire_shake(struct tls_wire *wire)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(wire->ssl);
	return result == 1 ? TLS_WIRE_BYTES : stop(wire, result);
}

enum tls_wire_got tls_wire_take(struct tls_wire *wire, char *to, size_t room, size_t *ret_len)
{
	int result;

	ERR_clear_error();
	result = SSL_read_ex(wire->ssl, to, room, ret_len);
	return result == 1 ? TLS_WIRE_BYTES : stop(wire, result);
}

void tls_wire_write(struct tls_wire *wire, const char *bytes, size_t len)
{
	size_t done = 0;

	ERR_clear_error();
	ASSERT(SSL_write_ex(wire->ssl, bytes, len, &done) == 1 && done == len);
}

void tls_wire_close(struct tls_wire *wire)
{
	ERR_clear_error();
	(void)SSL_shutdown(wire->ssl);
	ERR_clear_error();
}

bool tls_wire_renew_keys(struct tls_wire *wire)
{
	bool can = SSL_version(wire->ssl) == TLS1_3_VERSION;

	ERR_clear_error();
	return can && SSL_key_update(wire->ssl, SSL_KEY_UPDATE_REQUESTED) == 1 &&
	       SSL_do_handshake(wire->ssl) == 1;
}

size_t tls_wire_pull(struct tls_wire *wire, char *to, size_t room)
{
	int len = BIO_read(wire->out, to, (int)room);

	return len > 0 ? (size_t)len : 0;
}

bool tls_wire_is_flushed(const struct tls_wire *wire)
{
	return BIO_ctrl_pending(wire->out) == 0;
}

bool tls_wire_is_resumed(const struct tls_wire *wire)
{
	return SSL_session_reused(wire->ssl);
}

bool tls_wire_chose_h2(const struct tls_wire *wire)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(wire->ssl, &name, &len);
	return len == 2;
}

const char *tls_wire_error(const struct tls_wire *wire)
{
	return wire->error;
}
