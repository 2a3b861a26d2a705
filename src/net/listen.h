// SPDX-License-Identifier: Apache-2.0
// Listening sockets: one per worker and address (SO_REUSEPORT), so that the kernel spreads
// connections and no lock is shared. A unix socket is one descriptor; one worker accepts and hands
// over.
#pragma once

#include "base/addr.h"

// A bound, listening, non-blocking descriptor, or negative errno. `reuseport`: others will bind the
// same address. A stale unix socket file nobody answers on is replaced.
int listen_open(const struct addr *address, bool reuseport);

// Removes the file of a unix socket.
void listen_unlink(const struct addr *address);
