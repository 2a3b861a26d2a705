// SPDX-License-Identifier: Apache-2.0
#include "net/tls_rules.h"

static const char suites_1_3[] =
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
static const char suites_1_2[] = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
				 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
				 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char groups[] = "X25519:P-256:P-384";

// The rest of what was received is not looked at: OpenSSL finds nothing more to read, and tls_take
// tells of the fault behind the plaintext that came before.
static void stop_excess(struct tls *tls, enum tls_fault fault)
{
	tls->late = (u8)fault;
	slice_drop(&tls->in);
}

// Hears of alerts and of each step of the handshake messages, and of no other record. OpenSSL
// answers some of them by itself.
static void on_info(const SSL *ssl, int where, int value)
{
	struct tls *tls = SSL_get_app_data(ssl);

	if (tls->state != TLS_OPEN)
		return;
	if (where == SSL_CB_WRITE_ALERT && (value & 0xff) == SSL_AD_NO_RENEGOTIATION) {
		if (tls->server)
			stop_excess(tls, TLS_FAULT_RENEGOTIATION);
		else if (++tls->answers > TLS_ANSWERS_MAX) // a backend may ask (RFC 5246 7.4.1.1)
			stop_excess(tls, TLS_FAULT_KEY_UPDATES);
		return;
	}
	if (!(where & SSL_CB_LOOP))
		return;
	switch (SSL_get_state(ssl)) {
	case TLS_ST_SR_KEY_UPDATE:
	case TLS_ST_CR_KEY_UPDATE:
	case TLS_ST_CR_SESSION_TICKET:
		if (++tls->updates > TLS_UPDATES_MAX)
			stop_excess(tls, TLS_FAULT_KEY_UPDATES);
		break;
	case TLS_ST_SW_KEY_UPDATE:
	case TLS_ST_CW_KEY_UPDATE:
		if (++tls->answers > TLS_ANSWERS_MAX)
			stop_excess(tls, TLS_FAULT_KEY_UPDATES);
		break;
	default:
		break;
	}
}

SSL_CTX *tls_rules_ctx(
	struct tls_env *env, const SSL_METHOD *method, enum tls_version_min version_min)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(env->lib, NULL, method);

	if (!ctx)
		return NULL;
	if (SSL_CTX_set_min_proto_version(
		    ctx, version_min == TLS_MIN_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
		SSL_CTX_set_ciphersuites(ctx, suites_1_3) != 1 ||
		SSL_CTX_set_cipher_list(ctx, suites_1_2) != 1 ||
		SSL_CTX_set1_groups_list(ctx, groups) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_info_callback(ctx, on_info);
	return ctx;
}

int tls_rules_verify(int is_good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *tls = SSL_get_app_data(ssl);
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	int error = X509_STORE_CTX_get_error(store);
	char names[128];
	int len;

	if (is_good || !cert)
		return is_good;
	if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH) {
		len = (int)tls_cert_alternatives(cert, names, sizeof(names));
		if (len == 0)
			len = (int)tls_cert_subject(cert, names, sizeof(names));
		snprintf(tls->env->detail, sizeof(tls->env->detail),
			"hostname mismatch: the certificate is for %.*s", len, names);
		return is_good;
	}
	len = (int)tls_cert_subject(cert, names, sizeof(names));
	snprintf(tls->env->detail, sizeof(tls->env->detail), "%s (%.*s)",
		X509_verify_cert_error_string(error), len, names);
	return is_good;
}
