// SPDX-License-Identifier: Apache-2.0
// Reads the head of an HTTP/1.1 answer, as far as a generator needs it: status, length, close. Only
// answers with Content-Length are understood; another framing counts as malformed, since every
// server here sends a length and no proxy may change that.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct answer_head {
	size_t bytes; // up to and with the empty line
	unsigned int status;
	bool close;
	uint64_t length;
};

enum answer_state { ANSWER_INCOMPLETE, ANSWER_COMPLETE, ANSWER_MALFORMED };

// ret_head is set when the head is complete.
enum answer_state answer_read(const char *data, size_t bytes, struct answer_head *ret_head);
