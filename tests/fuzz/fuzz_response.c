// SPDX-License-Identifier: Apache-2.0
// Response heads, read as answers to different methods. Whatever is taken keeps the promises of
// http.h, and the same bytes in pieces give the same head.
#include "fuzz_check.h"

static void check(const struct http_head *head, int used, enum http_method method)
{
	ASSERT(used == (int)head->raw.len);
	ASSERT(memcmp(head->raw.ptr + head->raw.len - 4, "\r\n\r\n", 4) == 0);
	ASSERT(head->status >= 100 && head->status <= 999);
	if (head->reason.len)
		fuzz_check_inside(head->reason, head->raw);
	for (size_t i = 0; i < head->reason.len; i++)
		ASSERT(scan_is(head->reason.ptr[i], SCAN_VALUE));
	fuzz_check_fields(head->fields, head->field_count, head->raw);
	fuzz_check_framing(head);
	fuzz_check_plain(head);
	if (head->status < 200 || head->status == 204 || head->status == 304 || method == HTTP_HEAD)
		ASSERT(head->framing == HTTP_NO_BODY);
	else
		ASSERT(head->framing != HTTP_NO_BODY || method == HTTP_CONNECT);
	ASSERT(head->framing != HTTP_UNTIL_CLOSE || !head->keep_alive);
	ASSERT(!head->upgrade || head->status == 101);
}

static void check_pieces(const char *bytes, size_t size, size_t piece, int want,
	const struct http_head *whole, enum http_method method)
{
	struct http_field fields[HTTP_FIELDS_MAX];
	struct http_head head;
	enum http_refusal why;
	size_t have = 0, scanned = 0;
	int used = 0;

	while (have < size && used == 0) {
		size_t end;
		char *copy;

		have = MIN(have + piece, size);
		copy = fuzz_copy(bytes, have);
		end = h1_head_end(copy, have, &scanned);
		if (end || have == size || have >= fuzz_limits.head_bytes_max)
			used = h1_parse_response(
				copy, have, &fuzz_limits, method, fields, &head, &why);
		ASSERT(end == 0 || used != 0);
		if (used > 0) {
			ASSERT(used == want && end == (size_t)used);
			fuzz_check_same(&head, copy, whole, bytes);
		}
		free(copy);
	}
	ASSERT(used == want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_CONNECT};
	static const size_t pieces[] = {1, 16, 61};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		struct http_field fields[HTTP_FIELDS_MAX];
		struct http_head head;
		enum http_refusal why;
		char *bytes = fuzz_copy((const char *)data, size);
		int used = h1_parse_response(
			bytes, size, &fuzz_limits, methods[i], fields, &head, &why);

		ASSERT((used < 0) == (why != HTTP_REFUSE_OK));
		if (used > 0)
			check(&head, used, methods[i]);
		check_pieces(bytes, size, size > 1024 ? 61 : pieces[i], used, &head, methods[i]);
		if (used > 0)
			fuzz_check_copy(&head, bytes, size);
		free(bytes);
	}
	return 0;
}
