// SPDX-License-Identifier: Apache-2.0
// A relay without any protocol: what one client sends goes to one upstream connection, opened when
// the client is accepted, and back. It parses, routes, counts and times nothing, so its CPU time is
// what the kernel charges any proxy for moving the bytes: the floor weir is held against. One
// thread. Half-close passes through; an error on either side resets both.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay_options {
	struct sockaddr_in upstream;
	int listen_fd;
	size_t buffer_bytes;  // epoll: bytes asked of one recv
	size_t pipe_bytes;    // splice: capacity of each pipe
	uint32_t block_bytes; // io_uring: size of one block of the buffer ring
	uint32_t blocks;      // io_uring: how many, a power of two
};

// Copies through one buffer of the thread; with splice the answers (upstream to client) go through
// a pipe instead, without being copied, while the requests are still copied: short messages are
// cheaper that way. Does not return.
_Noreturn void relay_epoll_run(const struct relay_options *options, bool splice);

// Receives into a ring of blocks shared by all connections. One-shot receives wait first
// (POLL_FIRST) unless the last one said that more is there; multishot ones stay armed. Does not
// return.
_Noreturn void relay_uring_run(const struct relay_options *options, bool multishot);
