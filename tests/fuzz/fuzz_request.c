// SPDX-License-Identifier: Apache-2.0
// Request heads. Whatever is taken keeps the promises of http.h; the same bytes in pieces give the
// same head; its path and host have normal forms.
#include "fuzz_check.h"

#include "proto/http_parts.h"

static void check_path(const struct http_head *head)
{
	char *buffer = malloc(head->path.len + 1), *again;
	struct str normal, twice;

	ASSERT(buffer != NULL);
	if (http_path_normalize(head->path, buffer, &normal) == HTTP_REFUSE_OK) {
		ASSERT(normal.len <= head->path.len);
		again = malloc(normal.len + 1);
		ASSERT(again != NULL);
		ASSERT(http_path_normalize(normal, again, &twice) == HTTP_REFUSE_OK);
		ASSERT(str_eq(normal, twice) && twice.ptr == normal.ptr);
		free(again);
	}
	free(buffer);
}

static void check_host(const struct http_head *head)
{
	char *buffer = malloc(head->authority.len ? head->authority.len : 1);
	struct str host;

	ASSERT(buffer != NULL);
	host = http_host_of(head->authority, buffer);
	for (size_t i = 0; i < host.len; i++)
		ASSERT(host.ptr[i] == ascii_lower(head->authority.ptr[i]));
	ASSERT(host.len == head->authority.len || head->authority.ptr[host.len] == ':');
	free(buffer);
}

// The first cookie and the first parameter are found under their own names.
static void check_parts(const struct http_head *head)
{
	const struct http_field *field = http_head_find(head, HTTP_F_COOKIE);
	struct str rest = head->path, pair, value;

	(void)str_cut(&rest, '?');
	if (rest.len) {
		pair = str_cut(&rest, '&');
		ASSERT(http_query(head->path, str_make(pair.ptr, str_find(pair, '=')), &value));
		ASSERT(value.len < pair.len || value.len == 0);
		if (value.len)
			fuzz_check_inside(value, pair);
	}
	if (!field)
		return;
	rest = str_make(field->value, field->value_len);
	pair = str_cut(&rest, ';');
	if (str_find(pair, '=') == pair.len)
		return;
	ASSERT(http_cookie(head, str_trim(str_make(pair.ptr, str_find(pair, '='))), &value));
	fuzz_check_inside(value, pair);
	ASSERT(str_trim(value).len == value.len);
}

static void check(const struct http_head *head, int used)
{
	const char *end = head->raw.ptr + head->raw.len;

	ASSERT(used >= (int)head->raw.len && used <= (int)head->raw.len + 4);
	ASSERT(memcmp(end - 4, "\r\n\r\n", 4) == 0);
	fuzz_check_inside(head->method_text, head->raw);
	fuzz_check_inside(head->target, head->raw);
	fuzz_check_fields(head->fields, head->field_count, head->raw);
	fuzz_check_framing(head);
	fuzz_check_plain(head);
	ASSERT(head->framing != HTTP_UNTIL_CLOSE && head->method != HTTP_CONNECT);
	ASSERT(fuzz_count(head, STR("host")) == 1 ||
		(head->version_minor == 0 && fuzz_count(head, STR("host")) == 0));
	ASSERT(head->path.len > 0 && (head->path.ptr[0] == '/' || str_eq(head->path, STR("*"))));
	ASSERT(head->authority.len > 0 || head->version_minor == 0);
	ASSERT(head->authority.len == 0 || http_authority_valid(head->authority));
	for (size_t i = 0; i < head->target.len; i++)
		ASSERT(scan_is(head->target.ptr[i], SCAN_TARGET));
	check_path(head);
	check_host(head);
	check_parts(head);
}

// As a session reads: `piece` bytes at a time, parsed when the end has been seen.
static void check_pieces(
	const char *bytes, size_t size, size_t piece, int want, const struct http_head *whole)
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
			used = h1_parse_request(copy, have, &fuzz_limits, fields, &head, &why);
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
	static const size_t pieces[] = {1, 3, 16, 61};
	struct http_field fields[HTTP_FIELDS_MAX];
	struct http_head head;
	enum http_refusal why;
	char *bytes = fuzz_copy((const char *)data, size);
	int used = h1_parse_request(bytes, size, &fuzz_limits, fields, &head, &why);

	ASSERT((used < 0) == (why != HTTP_REFUSE_OK));
	if (used > 0)
		check(&head, used);
	// Pieces of one byte over a long input cost its square.
	for (size_t i = size > 1024 ? 3 : 0; i < ARRAY_LEN(pieces); i++)
		check_pieces(bytes, size, pieces[i], used, &head);
	if (used > 0)
		fuzz_check_copy(&head, bytes, size);
	free(bytes);
	return 0;
}
