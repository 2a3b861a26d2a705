// SPDX-License-Identifier: Apache-2.0
// The load generator: N connections, each with one request under way at most.
//
// Closed loop: each connection sends its next request when the last one is answered. Open loop: the
// requests have intended times at a fixed rate; one that finds no idle connection waits, and its
// latency counts from the intended time, so a slow server cannot hide its pauses. Every answer is
// checked for its status and length.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

enum { LOAD_DIGITS = 6 };

struct load_options {
	struct sockaddr_in to, also; // also: where every second connection goes
	uint32_t connections;
	uint32_t sources;  // source addresses: 127.0.0.1 to 127.0.0.sources
	uint32_t warm;	   // requests of each connection before the measured ones, at least 1
	uint32_t ramp;	   // connections that warm up at the same time
	uint64_t requests; // measured requests; 0: as many as fit into the time
	uint64_t time_ns;  // of the measured part; 0: as long as the requests take
	uint64_t gap_ns;   // open loop: between intended times; 0: closed loop
	uint64_t body;	   // expected length of a body
	bool close_each;   // a connection for each request
	bool tcp;	   // no HTTP: the body follows the request at once
	bool tls;	   // below the requests
	bool handshakes;   // TLS without requests: a connection each, until its ticket has come
	bool resume;	   // each connection of a slot resumes the session of the one before
	char *request;	   // the digits in it count up with each one that is sent
	size_t request_bytes;
	char *digits[LOAD_DIGITS];
	uint32_t digit_count;
};

enum load_error {
	LOAD_REFUSED,	 // connecting failed
	LOAD_CLOSED,	 // the connection ended before the answer did
	LOAD_MALFORMED,	 // the head cannot be read
	LOAD_STATUS,	 // is not 200
	LOAD_LENGTH,	 // is not the expected one, or more bytes came
	LOAD_NOT_CLOSED, // the answer was to be the last one, but the connection stayed
	LOAD_STALLED,	 // nothing moved for ten seconds
	LOAD_HANDSHAKE,	 // failed, or was a full one where a session was offered, or the reverse
	LOAD_ERRORS,
};

struct load_result {
	uint64_t answered; // valid answers
	uint64_t errors[LOAD_ERRORS];
	uint64_t reopened;   // kept connections that the server closed, politely
	uint64_t unsent;     // open loop: due and never sent
	uint64_t elapsed_ns; // from the first send to the last answer
	struct histogram latency;
};

extern const char *const load_error_names[LOAD_ERRORS];

struct load;

struct load *load_new(const struct load_options *options);
void load_free(struct load *load);

// Opens the connections and makes the warm-up requests of each. Nothing is under way afterwards.
void load_warm(struct load *load);

// As many again, of all connections at the same time: what the measured part needs at once, such as
// a proxy's connections to the origin, has been opened afterwards.
void load_warm_together(struct load *load);

// The measured part. Nothing is under way afterwards; the connections stay.
void load_measure(struct load *load);

// Counts since the start; those of the warm-up are errors only.
const struct load_result *load_result(const struct load *load);
