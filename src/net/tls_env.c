// SPDX-License-Identifier: Apache-2.0
#include "net/tls_env.h"

#include <stdatomic.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "net/tls_bio.h"

static const struct tls_fault_info faults[] = {
#define X(name, word, cause, of_client, of_backend)                                 \
	[TLS_FAULT_##name] = {{word, sizeof(word) - 1}, {cause, sizeof(cause) - 1}, \
		{of_client, sizeof(of_client) - 1},                                 \
		{sizeof(of_backend) > 1 ? of_backend : of_client,                   \
			(sizeof(of_backend) > 1 ? sizeof(of_backend) : sizeof(of_client)) - 1}},
#include "net/tls_fault.def"
#undef X
};

const struct tls_fault_info *tls_fault_info(enum tls_fault fault)
{
	ASSERT(fault < TLS_FAULT_COUNT);
	return &faults[fault];
}

enum tls_fault tls_error_fault(int error)
{
	int number = (error < 0 ? -error : error) - TLS_ERROR_FIRST;

	return number >= 0 && number < TLS_FAULT_COUNT ? (enum tls_fault)number : TLS_FAULT_NONE;
}

struct tls_env *tls_env_new(const struct tls_secret *secret, u32 connections_max)
{
	struct tls_env *env = mem_alloc(sizeof(*env));

	env->refs = 1;
	env->lib = OSSL_LIB_CTX_new();
	env->bio = tls_bio_method();
	tls_gate_init(&env->gate);
	slab_init(&env->connections, "tls", sizeof(struct tls), connections_max);
	if (!env->lib || !env->bio || !tls_tickets_init(&env->tickets, env->lib, secret)) {
		tls_env_unref(env);
		return NULL;
	}
	return env;
}

void tls_env_bind(struct tls_env *env, struct loop *loop)
{
	env->tickets.wall_ms = &loop->wall_ms;
	env->gate.loop = loop;
}

i64 tls_env_wall_s(const struct tls_env *env)
{
	return env->tickets.wall_ms ? *env->tickets.wall_ms / 1000 : 0;
}

struct tls_env *tls_env_ref(struct tls_env *env)
{
	atomic_fetch_add(&env->refs, 1);
	return env;
}

void tls_env_unref(struct tls_env *env)
{
	if (!env || atomic_fetch_sub(&env->refs, 1) > 1)
		return;
	X509_STORE_free(env->system);
	tls_tickets_done(&env->tickets);
	slab_done(&env->connections);
	BIO_meth_free(env->bio);
	OSSL_LIB_CTX_free(env->lib);
	mem_free(env);
}

X509_STORE *tls_env_system(struct tls_env *env)
{
	if (!env->system) {
		env->system = X509_STORE_new();
		if (env->system &&
			X509_STORE_set_default_paths_ex(env->system, env->lib, NULL) != 1) {
			X509_STORE_free(env->system);
			env->system = NULL;
		}
		ERR_clear_error();
	}
	return env->system;
}

static enum tls_fault fault_of_certificate(long result)
{
	switch (result) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_FAULT_CERT_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_FAULT_CERT_EARLY;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return TLS_FAULT_CERT_ISSUER;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return TLS_FAULT_CERT_SELF_SIGNED;
	case X509_V_ERR_CERT_REVOKED:
		return TLS_FAULT_CERT_REVOKED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_FAULT_CERT_HOSTNAME;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_DIFFERENT_CRL_SCOPE:
		return TLS_FAULT_CERT_CRL;
	default:
		return TLS_FAULT_CERT_BAD;
	}
}

static enum tls_fault fault_of_reason(int reason)
{
	switch (reason) {
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		return TLS_FAULT_PLAIN_HTTP;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_UNKNOWN_PROTOCOL:
		return TLS_FAULT_NOT_TLS;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		return TLS_FAULT_VERSION;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
		return TLS_FAULT_CIPHER;
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
		return TLS_FAULT_PROTOCOL;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return TLS_FAULT_CERT_MISSING;
	case ERR_R_MALLOC_FAILURE:
	case ERR_R_INTERNAL_ERROR:
		return TLS_FAULT_INTERNAL;
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return TLS_FAULT_OWN_MISSING;
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
		return TLS_FAULT_OWN_REFUSED;
	default:
		return reason >= SSL_AD_REASON_OFFSET ? TLS_FAULT_PEER_REFUSED : TLS_FAULT_GARBLED;
	}
}

// The state stays where it was when the message's length was read.
static bool awaits_certificate(const SSL *ssl)
{
	OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);

	return state == TLS_ST_SR_CERT || state == TLS_ST_CR_CERT;
}

enum tls_fault tls_env_fault(struct tls_env *env, SSL *ssl)
{
	unsigned long error = ERR_peek_error();
	const char *words = ERR_reason_error_string(error);
	long result = SSL_get_verify_result(ssl);

	if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
		ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		if (!env->detail[0]) // else the check of the certificate noted more
			snprintf(env->detail, sizeof(env->detail), "%s",
				X509_verify_cert_error_string(result));
		return fault_of_certificate(result);
	}
	snprintf(env->detail, sizeof(env->detail), "%s", words ? words : "");
	if (error == 0 || ERR_GET_LIB(error) != ERR_LIB_SSL)
		return error && ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? TLS_FAULT_INTERNAL
									      : TLS_FAULT_GARBLED;
	if (ERR_GET_REASON(error) == SSL_R_EXCESSIVE_MESSAGE_SIZE && awaits_certificate(ssl)) {
		snprintf(env->detail, sizeof(env->detail), "it has more than %ld bytes",
			SSL_get_max_cert_list(ssl));
		return TLS_FAULT_CERT_LARGE;
	}
	return fault_of_reason(ERR_GET_REASON(error));
}
