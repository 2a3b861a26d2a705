// SPDX-License-Identifier: Apache-2.0
// What one worker says about things that go wrong again and again: a line at once, and then one a
// second with a count (proxy/hush.h), for each backend that cannot be connected to, for each
// outcome that is a backend's or our own doing, and for each rule of a frontend that turns clients
// away.
#pragma once

#include "base/log.h"
#include "net/tls.h"
#include "proto/h2.h"
#include "proto/proxy_header.h"
#include "proxy/hush.h"
#include "proxy/outcome.h"
#include "proxy/snapshot.h"

// Those who may not connect, PROXY headers that are refused, and handshakes that fail.
enum {
	FAULTS_HEADERS = GUARD_FULL - GUARD_DENIED + 1,
	FAULTS_TLS = FAULTS_HEADERS + PROXY_HEADER_FAULT_COUNT,
	FAULTS_OF_FRONTEND = FAULTS_TLS + TLS_FAULT_COUNT,
};

struct fault;

struct faults {
	struct loop *loop;
	struct log *log;
	struct fault *ends;	// [2 * OUTCOME_COUNT]: of HTTP, then of TCP
	const char *tls_detail; // OpenSSL's words about the last failure; NULL: no TLS
	struct fault *connects; // by slot
	struct fault *denials;	// by slot of the frontend and FAULTS_OF_FRONTEND
	struct fault *excesses; // by enum h2_excess
	struct fault *secured;	// by enum tls_fault, of backends behind the handshake
	struct fault *evicted;	// one
	u32 backend_count, frontend_count;
};

// Borrows all of it until faults_done.
void faults_init(
	struct faults *faults, struct loop *loop, struct log *log, const struct snapshot *snapshot);

// The next one is in use. What was counted of those that are not in it is told.
void faults_adopt(struct faults *faults, const struct snapshot *snapshot);

// Tells what was only counted so far, and cancels all timers.
void faults_done(struct faults *faults);

// No connection to `backend`, the `tries`th that was asked. `error`: positive or negative errno.
void faults_connect(struct faults *faults, const struct backend *backend, int error, u32 tries);

// Somebody may not connect: not GUARD_GONE. A list does what it is there for, which is info; who
// has too many connections may be a client that somebody misses, which is a warning.
void faults_denied(struct faults *faults, const struct frontend *frontend, enum guard_answer why,
	const struct addr *peer);

// A client's handshake failed, or its conduct behind it ended the connection. Scanners and such do
// that all day: a client that only went away or did not speak is info.
void faults_tls(struct faults *faults, const struct frontend *frontend, enum tls_fault fault,
	const char *detail, const struct addr *peer);

// A backend's conduct behind its handshake ended the connection. NULL: nothing is said.
void faults_tls_of_backend(
	struct faults *faults, const struct backend *backend, enum tls_fault fault);

// The PROXY header of this peer's connection is not to be had.
void faults_header(struct faults *faults, const struct frontend *frontend, enum outcome outcome,
	const struct addr *peer, enum proxy_header_fault why);
// A peer's conduct on HTTP/2 has ended its connection: a client's, or a backend's.
void faults_excess_of_client(struct faults *faults, const struct frontend *frontend,
	enum h2_excess excess, const struct addr *peer);
// `backend`: NULL where the configuration has it no more, and nothing is said.
void faults_excess_of_backend(
	struct faults *faults, const struct backend *backend, enum h2_excess excess);

// A client that held `held` bytes of buffers and took nothing was ended, as they are short.
// `uploads`: by what no backend took.
void faults_evicted(struct faults *faults, const struct frontend *frontend, const struct addr *peer,
	u64 held, bool uploads);

// The line about such an end: LOG_OFF where nobody is to blame, LOG_INFO where it is the client.
enum log_level faults_level(enum outcome outcome, bool tcp);
const char *faults_message(bool tcp);

// An exchange ended so. True: its caller writes the line. False: it was counted, or this level is
// off.
bool faults_is_news(struct faults *faults, enum outcome outcome, bool tcp) must_check;
