// SPDX-License-Identifier: Apache-2.0
// What conn.c and conn_tls.c call of each other. A conn with TLS has other callbacks than a clear
// one, so that the latter pays nothing for it.
#pragma once

#include "net/conn.h"

void conn_crank(struct task *task);
void conn_on_received(struct op *op);
void conn_on_sent(struct op *op);
void conn_on_sent_tls(struct op *op);

void conn_carry_out_end(struct conn *conn);
void conn_finish_close(struct conn *conn);

// A send ended with this error: nothing more goes out, and the session is told.
void conn_send_failed(struct conn *conn, int result);
