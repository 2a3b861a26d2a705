// SPDX-License-Identifier: Apache-2.0
// Chunked bodies with their trailers. The same bytes in pieces give the same body and the same end;
// what was read, written again in the plainest way, is the same body.
#include "fuzz_check.h"

#include <stdio.h>

struct body {
	enum h1_chunk_event last; // H1_CHUNK_MORE, _TRAILERS or _BAD
	enum http_refusal why;
	char *bytes; // room for the whole input
	size_t len, used;
	bool trailers_follow;
};

static void feed(const char *bytes, size_t size, size_t piece, struct body *ret_body)
{
	struct h1_chunked chunked = {0};
	size_t at = 0;

	*ret_body = (struct body){.last = H1_CHUNK_MORE, .bytes = malloc(size + 1)};
	ASSERT(ret_body->bytes != NULL);
	while (at < size && ret_body->last == H1_CHUNK_MORE) {
		size_t len = MIN(piece, size - at), done = 0, used;
		char *copy = fuzz_copy(bytes + at, len);

		while (done < len) {
			struct str data;

			ret_body->last = h1_chunked_feed(
				&chunked, copy + done, len - done, &used, &data, &ret_body->why);
			ASSERT(used <= len - done);
			done += used;
			if (ret_body->last != H1_CHUNK_DATA)
				break;
			ASSERT(data.len > 0 && data.ptr + data.len == copy + done);
			memcpy(ret_body->bytes + ret_body->len, data.ptr, data.len);
			ret_body->len += data.len;
			ret_body->last = H1_CHUNK_MORE;
		}
		ASSERT(ret_body->last != H1_CHUNK_MORE || done == len);
		free(copy);
		at += done;
	}
	ret_body->used = at;
	ret_body->trailers_follow = chunked.trailers_follow;
}

static void check_trailers(const char *bytes, size_t size)
{
	struct http_field fields[HTTP_FIELDS_MAX];
	char *copy = fuzz_copy(bytes, size);
	size_t scanned = 0, end = 0;
	enum http_refusal why;
	u16 count = 0;
	int used = h1_parse_trailers(copy, size, &fuzz_limits, fields, &count, &why);

	if (used > 0) {
		for (size_t have = 1; have <= size && end == 0; have += 7)
			end = h1_trailers_end(copy, have, &scanned);
		if (end == 0)
			end = h1_trailers_end(copy, size, &scanned);
		ASSERT(end == (size_t)used);
		fuzz_check_fields(fields, count, str_make(copy, (size_t)used));
		for (u16 i = 0; i < count; i++)
			ASSERT(http_trailer_allowed(fields[i].known));
	}
	free(copy);
}

static void check_written_again(const struct body *body)
{
	char *text = malloc(body->len + 64);
	struct body again;
	int len = 0;

	ASSERT(text != NULL);
	if (body->len) {
		len = sprintf(text, "%zx\r\n", body->len);
		memcpy(text + len, body->bytes, body->len);
		len += (int)body->len;
		len += sprintf(text + len, "\r\n");
	}
	len += sprintf(text + len, "0\r\n\r\n");
	feed(text, (size_t)len, 4096, &again);
	ASSERT(again.last == H1_CHUNK_TRAILERS && !again.trailers_follow);
	ASSERT(again.len == body->len && memcmp(again.bytes, body->bytes, body->len) == 0);
	free(again.bytes);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 2, 3, 7, 64};
	const char *bytes = (const char *)data;
	struct body body, cut;

	feed(bytes, size, size ? size : 1, &body);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		feed(bytes, size, pieces[i], &cut);
		ASSERT(cut.last == body.last && cut.why == body.why && cut.used == body.used);
		ASSERT(cut.len == body.len && memcmp(cut.bytes, body.bytes, body.len) == 0);
		ASSERT(cut.trailers_follow == body.trailers_follow);
		free(cut.bytes);
	}
	if (body.last == H1_CHUNK_TRAILERS) {
		check_trailers(bytes + body.used, size - body.used);
		check_written_again(&body);
	}
	free(body.bytes);
	return 0;
}
