// SPDX-License-Identifier: Apache-2.0
// Single values out of a request: one cookie, one parameter of the query. What is found is a piece
// of the request's own text, as it was sent: nothing is decoded ("%41" is not "A", and "+" is no
// space), so two spellings of one value are two values. Names are compared byte by byte, and the
// first of several counts.
#pragma once

#include "proto/http.h"

// The cookie of this name, over all Cookie fields in their order (RFC 6265 sections 4.2 and 5.4).
// White space around name and value does not count; quotation marks are part of the value, as they
// are for browsers; a piece without '=' has no name. False: there is none.
bool http_cookie(const struct http_head *head, struct str name, struct str *ret_value);

// The parameter of this name in the query of `path`, which is a path and query as sent. Parameters
// stand between '&'; one without '=' is there and empty. False: there is none.
bool http_query(struct str path, struct str name, struct str *ret_value);
