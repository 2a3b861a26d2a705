// SPDX-License-Identifier: Apache-2.0
// The test backend: an HTTP/1.1 server that answers with what it received, on weir's own loop and
// HTTP session in the server's role. One thread. For trying out and testing on machines one
// trusts: it has no limits on time.
//
// GET /health     200, or 503 in every other half minute when it flips
// ANY /echo       the request body, as it comes
// ANY anything    JSON: message, server_port, method, path, query, headers, body {bytes, adler32}
// Upgrade: echo   101, then every byte comes back
// Upgrade: websocket   101, then every message comes back (RFC 6455)
//
// ?delay=MS waits before the answer, ?status=CODE sets its status, ?size=BYTES makes it that long,
// and ?chunked=1 sends that without a length.
#pragma once

#include "loop/loop.h"

struct origin_options {
	int fd;	  // bound and listening; the origin's
	u16 port; // as shown in answers
	enum loop_kind io;
	bool flips;	     // /health changes every 30 s
	bool hears_terminal; // INT ends it too; else INT is ignored (a child of the demo)
};

// Serves until TERM (or INT). 0 or negative errno when it cannot start; *ret_why is then the
// loop's reason, or NULL.
int origin_serve(const struct origin_options *options, const char **ret_why) must_check;
