// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) written value by value behind a growing text (text.h). Commas and colons come by
// themselves; what is written is compact and has no line breaks, so a document is one line.
//
//	struct json json;
//
//	json_init(&json, &text);
//	json_object_begin(&json);
//	json_key_str(&json, "name", pool->name);
//	json_key(&json, "backends");
//	json_array_begin(&json);
//	...
//	json_array_end(&json);
//	json_object_end(&json);
//
// What it promises: the result is valid JSON and valid UTF-8 whatever bytes strangers sent. Quotes,
// backslashes and control characters (C0, DEL and C1, so nothing steers a terminal) are escaped;
// each byte that is no part of a UTF-8 sequence becomes U+FFFD. A value in an object without its
// key, a key in an array, or ends that do not fit their beginnings are our own bugs: ASSERT.
//
// It takes no memory but the text's. Whoever writes much asks text_reserve for it once.
#pragma once

#include "base/text.h"

enum { JSON_DEPTH_MAX = 31, JSON_DECIMALS_MAX = 9 };

struct json {
	struct text *text; // borrowed
	u32 depth;
	u32 objects; // bit of each depth: an object, else an array
	u32 begun;   // bit of each depth: it has an element already
	bool keyed;  // a key waits for its value
};

// Writes behind what `text` holds already. One document; then init again.
void json_init(struct json *json, struct text *text);

// Everything that was begun has ended.
bool json_is_complete(const struct json *json);

void json_object_begin(struct json *json);
void json_object_end(struct json *json);
void json_array_begin(struct json *json);
void json_array_end(struct json *json);

void json_key(struct json *json, const char *key);
void json_str(struct json *json, struct str value);
void json_cstr(struct json *json, const char *value); // NULL is written as null
void json_u64(struct json *json, u64 value);
void json_i64(struct json *json, i64 value);
void json_bool(struct json *json, bool value);
void json_none(struct json *json); // null (libjansson owns the better name)

// Rounded to `decimals` digits behind the point (at most JSON_DECIMALS_MAX) without the zeros at
// their end, but always with one: 3 gives 3.0. From 10^15 on with an exponent. What is not finite
// is null.
void json_f64(struct json *json, double value, u32 decimals);

// A value that is JSON already.
void json_raw(struct json *json, struct str value);

// ---- A key and its value ------------------------------------------------------------------------

static inline void json_key_str(struct json *json, const char *key, struct str value)
{
	json_key(json, key);
	json_str(json, value);
}

static inline void json_key_cstr(struct json *json, const char *key, const char *value)
{
	json_key(json, key);
	json_cstr(json, value);
}

static inline void json_key_u64(struct json *json, const char *key, u64 value)
{
	json_key(json, key);
	json_u64(json, value);
}

static inline void json_key_i64(struct json *json, const char *key, i64 value)
{
	json_key(json, key);
	json_i64(json, value);
}

static inline void json_key_f64(struct json *json, const char *key, double value, u32 decimals)
{
	json_key(json, key);
	json_f64(json, value, decimals);
}

static inline void json_key_bool(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	json_bool(json, value);
}

// Empty is null.
static inline void json_key_name(struct json *json, const char *key, struct str name)
{
	json_key(json, key);
	if (name.len)
		json_str(json, name);
	else
		json_none(json);
}

static inline void json_key_none(struct json *json, const char *key)
{
	json_key(json, key);
	json_none(json);
}
