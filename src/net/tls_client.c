// SPDX-License-Identifier: Apache-2.0
#include "net/tls_client.h"

#include <stdatomic.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/addr.h"
#include "base/mem.h"
#include "net/tls_env.h"
#include "net/tls_rules.h"

struct tls_client {
	struct tls_env *env;
	_Atomic(u32) refs; // connections of its thread, and snapshots
	SSL_CTX *ctx;
	char *name;
	bool is_address, is_unverified, needs_h2;
	SSL_SESSION *session; // the newest; NULL: none yet
	i64 own_not_after_s;
	u8 digest[TLS_DIGEST_BYTES]; // of all but the name
};

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_get_app_data(ssl);
	struct tls_client *client = tls->client;

	if (!SSL_SESSION_is_resumable(session))
		return 0;
	SSL_SESSION_free(client->session);
	client->session = session;
	return 1; // its reference is ours now
}

static bool set_alpn(SSL_CTX *ctx, const struct tls_client_options *options)
{
	u8 wire[64];
	u32 len = 0;

	for (u32 i = 0; i < options->alpn_count; i++) {
		struct str each = options->alpn[i];

		if (len + each.len + 1 > sizeof(wire))
			break;
		wire[len++] = (u8)each.len;
		memcpy(wire + len, each.ptr, each.len);
		len += (u32)each.len;
	}
	return len == 0 || SSL_CTX_set_alpn_protos(ctx, wire, len) == 0;
}

static bool trust(struct tls_env *env, SSL_CTX *ctx, const struct tls_client_options *options,
	struct tls_error *ret_error)
{
	X509_STORE *system;

	if (options->is_unverified)
		return true;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, tls_rules_verify);
	if (options->ca.len) {
		if (SSL_CTX_load_verify_file(ctx, options->ca.ptr) != 1) {
			tls_file_refuse(ret_error, options->ca, TLS_WANT_AUTHORITIES);
			return false;
		}
	} else if (options->crl.len) { // a store of its own
		(void)SSL_CTX_set_default_verify_paths(ctx);
	} else {
		system = tls_env_system(env);
		if (system)
			SSL_CTX_set1_cert_store(ctx, system);
	}
	return options->crl.len == 0 ||
	       tls_crl_load(SSL_CTX_get_cert_store(ctx), options->crl, ret_error);
}

static bool show_own(struct tls_client *client, SSL_CTX *ctx,
	const struct tls_client_options *options, struct tls_error *ret_error)
{
	struct tls_cert cert;
	bool good;

	if (options->own.cert.len == 0)
		return true;
	good = tls_cert_load(client->env->lib, &options->own, &cert, ret_error) &&
	       tls_cert_use(ctx, &cert, ret_error);
	client->own_not_after_s = cert.not_after_s;
	tls_cert_done(&cert);
	return good;
}

static SSL_CTX *new_ctx(struct tls_client *client, const struct tls_client_options *options,
	struct tls_error *ret_error)
{
	struct tls_env *env = client->env;
	SSL_CTX *ctx = tls_rules_ctx(env, TLS_client_method(), options->version_min);

	if (!ctx || !set_alpn(ctx, options)) {
		tls_error_set(ret_error, options->name, "OpenSSL cannot make a context");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	if (trust(env, ctx, options, ret_error) && show_own(client, ctx, options, ret_error))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static bool digest_options(struct tls_client *client, const struct tls_client_options *options)
{
	const struct str files[] = {options->ca, options->crl, options->own.cert, options->own.key};
	char text[64];

	snprintf(text, sizeof(text), "%d %d %d", options->is_unverified, (int)options->version_min,
		options->needs_h2);
	return tls_files_digest(str_from(text), files, ARRAY_LEN(files), client->digest);
}

struct tls_client *tls_client_new(struct tls_env *env, const struct tls_client_options *options,
	const struct tls_client *like, struct tls_error *ret_error)
{
	struct tls_client *client = mem_alloc(sizeof(*client));
	struct addr addr;

	client->env = env;
	client->refs = 1;
	client->name = mem_strndup(options->name.ptr ? options->name.ptr : "", options->name.len);
	client->is_address = addr_parse_ip(options->name, &addr) == 0;
	client->is_unverified = options->is_unverified;
	client->needs_h2 = options->needs_h2;
	if (like) {
		SSL_CTX_up_ref(like->ctx);
		client->ctx = like->ctx;
		client->own_not_after_s = like->own_not_after_s;
		memcpy(client->digest, like->digest, sizeof(client->digest));
		return client;
	}
	if (digest_options(client, options))
		client->ctx = new_ctx(client, options, ret_error);
	else
		tls_error_set(ret_error, options->name, "OpenSSL cannot make a context");
	if (client->ctx)
		return client;
	tls_client_unref(client);
	return NULL;
}

struct tls_client *tls_client_ref(struct tls_client *client)
{
	atomic_fetch_add(&client->refs, 1);
	return client;
}

void tls_client_unref(struct tls_client *client)
{
	if (atomic_fetch_sub(&client->refs, 1) > 1)
		return;
	SSL_SESSION_free(client->session);
	SSL_CTX_free(client->ctx);
	mem_free(client->name);
	mem_free(client);
}

bool tls_client_is_same(const struct tls_client *a, const struct tls_client *b)
{
	return a == b || (memcmp(a->digest, b->digest, sizeof(a->digest)) == 0 &&
				 strcmp(a->name, b->name) == 0);
}

i64 tls_client_own_not_after_s(const struct tls_client *client)
{
	return client->own_not_after_s;
}

struct tls_env *tls_client_env(const struct tls_client *client)
{
	return client->env;
}

SSL_CTX *tls_client_ctx(const struct tls_client *client)
{
	return client->ctx;
}

bool tls_client_needs_h2(const struct tls_client *client)
{
	return client->needs_h2;
}

static bool set_name(struct tls_client *client, SSL *ssl)
{
	if (client->name[0] == '\0')
		return true;
	if (!client->is_address && SSL_set_tlsext_host_name(ssl, client->name) != 1)
		return false;
	if (client->is_unverified)
		return true;
	if (client->is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), client->name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, client->name) == 1;
}

// A copy, because OpenSSL wants a session of TLS 1.3 to be used once: connections that begin at the
// same time may share one.
static bool offer_session(struct tls_client *client, SSL *ssl)
{
	SSL_SESSION *copy;
	bool good;

	if (!client->session)
		return true;
	copy = SSL_SESSION_dup(client->session);
	good = copy && SSL_set_session(ssl, copy) == 1;
	SSL_SESSION_free(copy);
	return good;
}

bool tls_client_prepare(struct tls_client *client, SSL *ssl)
{
	bool good = set_name(client, ssl) && offer_session(client, ssl);

	ERR_clear_error();
	return good;
}
