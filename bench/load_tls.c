// SPDX-License-Identifier: Apache-2.0

#include "load_tls.h"

#include "common.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

struct load_tls {
	SSL_CTX *ctx;
};

struct load_tls_conn {
	struct load_tls *tls;
	SSL *ssl;	      // NULL: none is open
	SSL_SESSION *session; // the newest; used once
	bool has_ticket;
};

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct load_tls_conn *conn = SSL_get_app_data(ssl);

	SSL_SESSION_free(conn->session);
	conn->session = session;
	conn->has_ticket = true;
	return 1; // its reference is ours now
}

struct load_tls *load_tls_new(void)
{
	struct load_tls *tls = bench_alloc(sizeof(*tls));

	tls->ctx = SSL_CTX_new(TLS_client_method());
	errno = 0;
	if (!tls->ctx ||
		SSL_CTX_set_ciphersuites(
			tls->ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384") != 1 ||
		SSL_CTX_set1_groups_list(tls->ctx, "X25519:P-256") != 1)
		bench_die("OpenSSL makes no context");
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(
		tls->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls->ctx, on_session);
	return tls;
}

void load_tls_free(struct load_tls *tls)
{
	SSL_CTX_free(tls->ctx);
	free(tls);
}

struct load_tls_conn *load_tls_conn_new(struct load_tls *tls)
{
	struct load_tls_conn *conn = bench_alloc(sizeof(*conn));

	*conn = (struct load_tls_conn){.tls = tls};
	return conn;
}

void load_tls_conn_free(struct load_tls_conn *conn)
{
	load_tls_close(conn);
	SSL_SESSION_free(conn->session);
	free(conn);
}

void load_tls_open(struct load_tls_conn *conn, int fd, bool resume)
{
	conn->ssl = SSL_new(conn->tls->ctx);
	conn->has_ticket = false;
	errno = 0;
	if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1 ||
		SSL_set_tlsext_host_name(conn->ssl, "bench.example") != 1)
		bench_die("OpenSSL makes no connection");
	SSL_set_app_data(conn->ssl, conn);
	SSL_set_connect_state(conn->ssl);
	if (resume && conn->session)
		SSL_set_session(conn->ssl, conn->session);
}

int load_tls_shake(struct load_tls_conn *conn)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(conn->ssl);
	if (result == 1)
		return 1;
	return SSL_get_error(conn->ssl, result) == SSL_ERROR_WANT_READ ? 0 : -1;
}

bool load_tls_is_resumed(const struct load_tls_conn *conn)
{
	return SSL_session_reused(conn->ssl);
}

bool load_tls_has_ticket(const struct load_tls_conn *conn)
{
	return conn->has_ticket;
}

ssize_t load_tls_send(struct load_tls_conn *conn, const char *data, size_t bytes)
{
	size_t sent = 0;

	ERR_clear_error();
	return SSL_write_ex(conn->ssl, data, bytes, &sent) == 1 ? (ssize_t)sent : -1;
}

ssize_t load_tls_recv(struct load_tls_conn *conn, char *to, size_t room)
{
	int got;

	ERR_clear_error();
	got = SSL_read(conn->ssl, to, room < INT_MAX ? (int)room : INT_MAX);
	if (got > 0)
		return got;
	if (SSL_get_error(conn->ssl, got) != SSL_ERROR_WANT_READ)
		return 0;
	errno = EAGAIN;
	return -1;
}

void load_tls_close(struct load_tls_conn *conn)
{
	if (!conn->ssl)
		return;
	ERR_clear_error();
	if (!SSL_in_init(conn->ssl))
		SSL_shutdown(conn->ssl);
	SSL_free(conn->ssl);
	conn->ssl = NULL;
}
