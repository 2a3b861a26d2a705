// SPDX-License-Identifier: Apache-2.0
// What front.c and front_secure.c call of each other.
#pragma once

#include "proxy/front.h"

extern const struct session_events front_session_events;

static inline struct client *front_client_of(struct session *session)
{
	return container_of(conn_of_session(session), struct client, conn);
}

// Puts the session on a connection that is ready for it, and starts.
void front_begin(struct client *client);

// A head is complete, or refused.
void front_head_is_over(struct client *client);

// ---- front_secure.c -----------------------------------------------------------------------------

// Begins the handshake of a connection that was just accepted. False: it cannot be served.
bool front_secure_begin(struct client *client) must_check;

// For conn_events.
void front_on_secured(struct conn *conn, int error);

void front_on_tls_excess(struct conn *conn);

// The time for the handshake is over.
void front_secure_late(struct client *client);

// The connection is closed, whether its handshake was over or not.
void front_secure_closed(struct client *client);

// The events of a session whose bytes came by TLS.
const struct session_events *front_secure_events(const struct client *client);
