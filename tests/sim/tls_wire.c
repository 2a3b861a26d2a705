// SPDX-License-Identifier: Apache-2.0
// RAND_set_rand_method is the only way to the dice of library contexts that others have made.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls_wire.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "base/mem.h"

struct tls_wire {
	SSL *ssl;
	BIO *in, *out; // the SSL's
	struct ssl_session_st **session;
	bool is_h2;
	char error[96];
};

static struct {
	struct rng rng;
	SSL_CTX *client, *servers[TLS_CERT_COUNT];
	u32 contexts;
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

static SSL_CTX *make_server(enum tls_cert_id id)
{
	SSL_CTX *ctx = make_ctx(TLS_server_method());

	tls_certs_use(ctx, id);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	return ctx;
}

static void make_shared(void)
{
	static const enum tls_cert_id shown[] = {
		TLS_CERT_SITE, TLS_CERT_WRONG_NAME, TLS_CERT_WRONG_CA, TLS_CERT_PAST};

	tls_certs_make();
	for (u32 i = 0; i < ARRAY_LEN(shown); i++)
		shared.servers[shown[i]] = make_server(shown[i]);
	shared.client = make_ctx(TLS_client_method());
	SSL_CTX_set_session_cache_mode(
		shared.client, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(shared.client, on_session);
}

void tls_wire_seed(u64 seed)
{
	static const RAND_METHOD dice = {.bytes = draw, .pseudorand = draw, .status = has_dice};

	rng_init(&shared.rng, seed ^ 0x715);
	if (shared.client)
		return;
	ASSERT(RAND_set_rand_method(&dice) == 1);
	ASSERT(SSL_CTX_get_ex_new_index(0, NULL, on_ctx, NULL, on_ctx_gone) >= 0);
	make_shared();
	rng_init(&shared.rng, seed ^ 0x715);
}

struct rng tls_wire_dice(void)
{
	return shared.rng;
}

void tls_wire_put_dice(struct rng dice)
{
	shared.rng = dice;
}

// ---- A connection -------------------------------------------------------------------------------

static void offer(struct tls_wire *wire, const struct tls_wire_options *options)
{
	SSL *ssl = wire->ssl;

	SSL_set_connect_state(ssl);
	if (options->asks_for)
		ASSERT(SSL_set_tlsext_host_name(ssl, options->asks_for) == 1);
	if (options->shows)
		tls_certs_use_once(ssl, options->shows);
	ASSERT(SSL_set_alpn_protos(ssl, options->is_h2 ? h2_only : h1_only,
		       options->is_h2 ? sizeof(h2_only) : sizeof(h1_only)) == 0);
	wire->session = options->session;
	if (options->offers)
		(void)SSL_set_session(ssl, options->offers);
	else if (wire->session && *wire->session)
		(void)SSL_set_session(ssl, *wire->session);
}

struct tls_wire *tls_wire_new(const struct tls_wire_options *options)
{
	struct tls_wire *wire = mem_alloc(sizeof(*wire));

	wire->ssl = SSL_new(options->is_client ? shared.client : shared.servers[options->shows]);
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

bool tls_wire_is_1_2(const struct tls_wire *wire)
{
	return SSL_version(wire->ssl) == TLS1_2_VERSION;
}

enum tls_cert_id tls_wire_shown(const struct tls_wire *wire)
{
	return tls_certs_shown(wire->ssl);
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
