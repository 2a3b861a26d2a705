// SPDX-License-Identifier: Apache-2.0
// Parsing for the tests of this folder: whole and in pieces, always from memory of the exact size,
// so that a sanitizer sees a read past the end. What was parsed becomes one line of text, which can
// be compared between two ways of getting it.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/str.h"
#include "proto/h1_parse.h"

enum { HEAD_LINE_MAX = 256 * 1024 };

struct parsed {
	int result;
	enum http_refusal why;
	struct http_head head;
	struct http_field fields[HTTP_FIELDS_MAX];
	char *bytes; // what `head` points into
};

extern const struct h1_limits heads_limits;

// `method` HTTP_OTHER_METHOD: a request; else a response to a request of that method.
void heads_parse(struct str text, enum http_method method, struct parsed *ret_parsed);
void heads_done(struct parsed *parsed);

// The same as a session does it: `piece` more bytes at a time, parsed at first and then when
// h1_head_end says so.
void heads_parse_pieces(
	struct str text, enum http_method method, size_t piece, struct parsed *ret_parsed);

// Everything in `parsed` as text of at most HEAD_LINE_MAX bytes.
void heads_describe(const struct parsed *parsed, char *line);

// Asserts that pieces of every size give what the whole gave.
void heads_check_pieces(struct str text, enum http_method method);

// Asserts the refusal, of the whole and in pieces.
void heads_check_refused(struct str text, enum http_method method, enum http_refusal why);
