// SPDX-License-Identifier: Apache-2.0
// The test backend: an HTTP/1.1 server that answers with what it received, on weir's own loop and
// HTTP session in the server's role. One thread. For trying out and testing on machines one
// trusts: it has no limits on time.
//
// GET /health     200, or 503 in every other half minute when it flips
// GET /load       what it works on, with the field that tells its load (proto/load_report.h)
// ANY /echo       the request body, as it comes
// ANY anything    JSON: message, server_port, method, path, query, headers, body {bytes, adler32}
// Upgrade: echo   101, then every byte comes back
// Upgrade: websocket   101, then every message comes back (RFC 6455)
//
// ?delay=MS waits before the answer, ?status=CODE sets its status, ?size=BYTES makes it that long,
// ?chunked=1 sends that without a length, and ?load=1 adds the field that tells the load.
//
// It can be told to fail while it runs (origin_faults.h has the words, origin_control.h the
// counts):
//
// POST /-/fault?status=500&share=20   from now on, in place of what was said before; no words: none
// GET /-/fault                        what was said, and what was counted
// DELETE /-/fault                     none, and counting begins anew
//
// No fault meets /-/fault itself. When the port is closed, connections that have asked for it stay.
#pragma once

#include "loop/loop.h"

struct origin_options {
	int fd;		  // bound and listening; the origin's
	struct addr addr; // of fd, to listen there again
	enum loop_kind io;
	const char *fault;   // words of origin_faults.h that hold from the start, or NULL
	bool flips;	     // /health changes every 30 s
	bool hears_terminal; // INT ends it too; else INT is ignored (a child of the demo)
};

// Serves until TERM (or INT). 0 or negative errno when it cannot start (-EINVAL: the words in
// `fault`); *ret_why is then the reason in words, or NULL.
int origin_serve(const struct origin_options *options, const char **ret_why) must_check;
