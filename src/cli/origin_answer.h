// SPDX-License-Identifier: Apache-2.0
// What the test backend answers: the request's parameters, and the JSON.
#pragma once

#include "cli/origin_client.h"

// Reads method, path and parameters into the client and begins its JSON, which needs the head.
// `end`: the request has no body.
void origin_answer_begin(struct origin_client *client, const struct http_head *head, bool end);

// Ends the JSON, once the request body is known.
void origin_answer_finish(struct origin_client *client);

// An error in place of whatever was asked for; origin_answer_finish ends it.
void origin_answer_wrong(struct origin_client *client, u16 status, const char *why);

// Text of strangers as part of a JSON string.
void origin_answer_escape(struct text *json, struct str value);
