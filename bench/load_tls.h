// SPDX-License-Identifier: Apache-2.0
// TLS for the generator, over its non-blocking sockets: OpenSSL's client with the settings that all
// subjects are compared with (TLS 1.3 first, AES-128-GCM, X25519). Certificates are not verified,
// signatures are.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct load_tls;      // what all connections share
struct load_tls_conn; // one connection, and the session that the next one may resume

struct load_tls *load_tls_new(void);
void load_tls_free(struct load_tls *tls);

// One for each slot of the generator; it outlives its connections. Ends the program without memory.
struct load_tls_conn *load_tls_conn_new(struct load_tls *tls);
void load_tls_conn_free(struct load_tls_conn *conn);

// A new connection on this socket. resume: with the session of the one before, if there is one.
void load_tls_open(struct load_tls_conn *conn, int fd, bool resume);

// 1: the handshake is over; 0: more has to come; -1: it failed.
int load_tls_shake(struct load_tls_conn *conn);

// Valid after the handshake.
bool load_tls_is_resumed(const struct load_tls_conn *conn);

// Has the server sent a session to resume on this connection?
bool load_tls_has_ticket(const struct load_tls_conn *conn);

// As send and recv with a non-blocking socket; 0 of recv also without close_notify.
ssize_t load_tls_send(struct load_tls_conn *conn, const char *data, size_t bytes);
ssize_t load_tls_recv(struct load_tls_conn *conn, char *to, size_t room);

// Says close_notify and lets go of the connection; the socket stays its owner's.
void load_tls_close(struct load_tls_conn *conn);
