// SPDX-License-Identifier: Apache-2.0
// What comes before a client's session: the PROXY header that tells who it is, and the hello of TLS
// that is passed through. Either is gathered by a session that only looks (proto/peek.h); what
// follows it goes to whatever comes next.
//
// A header that is malformed or late ends the connection; it is counted, and logged at a limited
// rate. A hello that leads nowhere is the end of an exchange, with everything that is told of one.
#pragma once

#include "proxy/front.h"

// Begins to read a PROXY header; then front_begin_session follows. `events`: as for any session.
void opening_read_header(struct client *client, const struct session_events *events);

// Begins to read a client hello; then an exchange without requests follows, to the pool that the
// frontend's routes choose.
void opening_read_hello(struct client *client, const struct session_events *events);

// It should have come by now.
void opening_is_late(struct client *client);
