// SPDX-License-Identifier: Apache-2.0
// What the targets for heads have in common: the promises a parser makes about whatever it takes.
#pragma once

#include <stdlib.h>

#include "base/arena.h"
#include "proto/h1_parse.h"
#include "proto/scan.h"

int LLVMFuzzerInitialize(int *argc, char ***argv); // of those targets that have to prepare
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits fuzz_limits = {
	.head_bytes_max = 16 * 1024,
	.target_bytes_max = 4 * 1024,
};

// In memory of its exact size, so that the address sanitizer sees a read past the end.
static inline char *fuzz_copy(const char *bytes, size_t len)
{
	char *copy = calloc(1, len ? len : 1);

	ASSERT(copy != NULL);
	if (len)
		memcpy(copy, bytes, len);
	return copy;
}

static inline void fuzz_check_inside(struct str slice, struct str whole)
{
	ASSERT(slice.ptr >= whole.ptr && slice.ptr + slice.len <= whole.ptr + whole.len);
}

static inline void fuzz_check_fields(const struct http_field *fields, u16 count, struct str raw)
{
	for (u16 i = 0; i < count; i++) {
		struct str name = str_make(fields[i].name, fields[i].name_len);
		struct str value = str_make(fields[i].value, fields[i].value_len);

		fuzz_check_inside(name, raw);
		fuzz_check_inside(value, raw);
		ASSERT(name.len > 0);
		for (size_t j = 0; j < name.len; j++)
			ASSERT(scan_is(name.ptr[j], SCAN_TOKEN));
		for (size_t j = 0; j < value.len; j++)
			ASSERT(scan_is(value.ptr[j], SCAN_VALUE));
		ASSERT(str_trim(value).len == value.len);
		ASSERT(fields[i].known == http_field_known(name.ptr, name.len));
	}
}

// A plain head can be sent on as it came: its lines follow each other, and there is nothing in them
// but what the fields say.
static inline void fuzz_check_plain(const struct http_head *head)
{
	const char *end = head->raw.ptr + head->raw.len - 2;

	ASSERT(head->sent_count == head->field_count);
	for (u16 i = head->field_count; head->plain && i-- > 0;) {
		const struct http_field *field = &head->fields[i];

		ASSERT(field->value == field->name + field->name_len + 2);
		ASSERT(memcmp(field->value - 2, ": ", 2) == 0);
		ASSERT(field->value + field->value_len == end - 2);
		ASSERT(memcmp(end - 2, "\r\n", 2) == 0);
		end = field->name;
	}
}

// How often a known name occurs, counted without the help of the parser.
static inline u32 fuzz_count(const struct http_head *head, struct str name)
{
	u32 count = 0;

	for (u16 i = 0; i < head->field_count; i++)
		count += str_eq_nocase(
			name, str_make(head->fields[i].name, head->fields[i].name_len));
	return count;
}

static inline void fuzz_check_framing(const struct http_head *head)
{
	u32 lengths = fuzz_count(head, STR("content-length"));
	u32 codings = fuzz_count(head, STR("transfer-encoding"));

	ASSERT(lengths + codings <= 1);
	ASSERT(head->framing != HTTP_LENGTH || lengths == 1);
	ASSERT(head->framing != HTTP_CHUNKED || (codings == 1 && head->version_minor == 1));
	ASSERT(!head->has_content_length || lengths == 1);
	ASSERT(head->framing == HTTP_LENGTH || head->content_length == 0 || head->status);
	ASSERT(head->content_length <= INT64_MAX);
	ASSERT(!head->expect_continue || head->framing != HTTP_NO_BODY);
}

// Parts that a message of this kind does not have are all zero.
static inline bool fuzz_equal(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || str_eq(a, b));
}

static inline bool fuzz_same(struct str a, const char *a_base, struct str b, const char *b_base)
{
	return fuzz_equal(a, b) && (a.len == 0 || a.ptr - a_base == b.ptr - b_base);
}

// Two readings of the same bytes at two places.
static inline void fuzz_check_same(const struct http_head *a, const char *a_base,
	const struct http_head *b, const char *b_base)
{
	ASSERT(a->method == b->method && a->status == b->status && a->framing == b->framing);
	ASSERT(a->keep_alive == b->keep_alive && a->upgrade == b->upgrade);
	ASSERT(a->plain == b->plain && a->sent_count == b->sent_count);
	ASSERT(a->expect_continue == b->expect_continue && a->content_length == b->content_length);
	ASSERT(a->known_seen == b->known_seen && a->known_repeated == b->known_repeated);
	ASSERT(memcmp(a->first_known, b->first_known, sizeof(a->first_known)) == 0);
	ASSERT(fuzz_same(a->target, a_base, b->target, b_base));
	ASSERT(fuzz_same(a->raw, a_base, b->raw, b_base));
	ASSERT(fuzz_equal(a->path, b->path) && fuzz_equal(a->authority, b->authority));
	ASSERT(fuzz_equal(a->reason, b->reason) && a->field_count == b->field_count);
	for (u16 i = 0; i < a->field_count; i++) {
		ASSERT(a->fields[i].name - a_base == b->fields[i].name - b_base);
		ASSERT(a->fields[i].name_len == b->fields[i].name_len);
		ASSERT(a->fields[i].value - a_base == b->fields[i].value - b_base);
		ASSERT(a->fields[i].value_len == b->fields[i].value_len);
	}
}

// A copy holds after the bytes it came from are gone; and nothing that frames or routes a message
// is ever marked as of this connection only.
static inline void fuzz_check_copy(struct http_head *head, char *bytes, size_t len)
{
	struct http_head before, *copy;
	struct arena arena;

	arena_init(&arena, 1024 * 1024);
	copy = http_head_copy(&arena, head);
	ASSERT(copy != NULL);
	before = *head;
	fuzz_check_same(copy, copy->raw.ptr, &before, head->raw.ptr);
	memset(bytes, 0, len);
	fuzz_check_fields(copy->fields, copy->field_count, copy->raw);
	http_mark_hop_fields(copy);
	for (u16 i = 0; i < copy->field_count; i++) {
		ASSERT(!copy->fields[i].hop || copy->fields[i].known != HTTP_F_HOST);
		ASSERT(!copy->fields[i].hop || copy->fields[i].known != HTTP_F_CONTENT_LENGTH ||
			copy->status);
	}
	arena_done(&arena);
}
