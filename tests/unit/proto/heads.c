// SPDX-License-Identifier: Apache-2.0
#include "heads.h"

#include <stdio.h>

const struct h1_limits heads_limits = {
	.head_bytes_max = HTTP_HEAD_BYTES_MAX,
	.target_bytes_max = 8192,
};

static void parse_copy(
	const char *text, size_t len, enum http_method method, struct parsed *ret_parsed)
{
	ret_parsed->bytes = malloc(len ? len : 1);
	assert_non_null(ret_parsed->bytes);
	memcpy(ret_parsed->bytes, text, len);
	if (method == HTTP_OTHER_METHOD)
		ret_parsed->result = h1_parse_request(ret_parsed->bytes, len, &heads_limits,
			ret_parsed->fields, &ret_parsed->head, &ret_parsed->why);
	else
		ret_parsed->result = h1_parse_response(ret_parsed->bytes, len, &heads_limits,
			method, ret_parsed->fields, &ret_parsed->head, &ret_parsed->why);
}

void heads_parse(struct str text, enum http_method method, struct parsed *ret_parsed)
{
	parse_copy(text.ptr, text.len, method, ret_parsed);
}

void heads_done(struct parsed *parsed)
{
	free(parsed->bytes);
}

static size_t head_end_of_copy(const char *text, size_t len, size_t *scanned)
{
	char *copy = malloc(len ? len : 1);
	size_t end;

	assert_non_null(copy);
	memcpy(copy, text, len);
	end = h1_head_end(copy, len, scanned);
	free(copy);
	return end;
}

void heads_parse_pieces(
	struct str text, enum http_method method, size_t piece, struct parsed *ret_parsed)
{
	size_t have = 0, scanned = 0;
	bool first = true;

	for (;;) {
		size_t end;

		have = MIN(have + piece, text.len);
		end = head_end_of_copy(text.ptr, have, &scanned);
		if (first || end || have >= heads_limits.head_bytes_max || have == text.len) {
			parse_copy(text.ptr, have, method, ret_parsed);
			// What has an end is a head or refused, never something to wait for.
			assert_true(end == 0 || ret_parsed->result != 0);
			if (ret_parsed->result || have == text.len)
				return;
			heads_done(ret_parsed);
		}
		first = false;
	}
}

static char *put_text(char *at, const char *name, struct str text)
{
	at += sprintf(at, " %s=", name);
	for (size_t i = 0; i < text.len; i++)
		at += sprintf(at, "%02x", (unsigned char)text.ptr[i]);
	return at;
}

void heads_describe(const struct parsed *parsed, char *line)
{
	const struct http_head *head = &parsed->head;
	char *at = line;

	at += sprintf(at, "%d %d", parsed->result, parsed->why);
	if (parsed->result <= 0)
		return;
	at += sprintf(at, " method=%d status=%d minor=%d framing=%d alive=%d expect=%d upgrade=%d",
		head->method, head->status, head->version_minor, head->framing, head->keep_alive,
		head->expect_continue, head->upgrade);
	at += sprintf(at, " has=%d length=%llu seen=%llx again=%llx", head->has_content_length,
		(unsigned long long)head->content_length, (unsigned long long)head->known_seen,
		(unsigned long long)head->known_repeated);
	at += sprintf(at, " plain=%d sent=%d", head->plain, head->sent_count);
	at = put_text(at, "method", head->method_text);
	at = put_text(at, "target", head->target);
	at = put_text(at, "path", head->path);
	at = put_text(at, "authority", head->authority);
	at = put_text(at, "reason", head->reason);
	for (u32 i = 0; i < HTTP_F_COUNT; i++)
		at += sprintf(at, ",%d", head->first_known[i]);
	for (u16 i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		at += sprintf(at, " [%d]", field->known);
		at = put_text(at, "name", str_make(field->name, field->name_len));
		at = put_text(at, "value", str_make(field->value, field->value_len));
	}
}

void heads_check_pieces(struct str text, enum http_method method)
{
	static char whole_line[HEAD_LINE_MAX], line[HEAD_LINE_MAX];
	struct parsed whole, parsed;
	size_t scanned = 0;

	heads_parse(text, method, &whole);
	heads_describe(&whole, whole_line);
	for (size_t piece = 1; piece < text.len; piece += piece < 40 ? 1 : piece / 3) {
		heads_parse_pieces(text, method, piece, &parsed);
		heads_describe(&parsed, line);
		heads_done(&parsed);
		assert_string_equal(whole_line, line);
	}
	if (whole.result > 0)
		assert_int_equal(h1_head_end(text.ptr, text.len, &scanned), whole.result);
	heads_done(&whole);
}

void heads_check_refused(struct str text, enum http_method method, enum http_refusal why)
{
	struct parsed parsed;

	heads_parse(text, method, &parsed);
	if (parsed.result != -1 || parsed.why != why)
		print_error("'%.*s': %d '%s' instead of '%s'\n", STR_FMT(text), parsed.result,
			http_refusal_text(parsed.why), http_refusal_text(why));
	assert_int_equal(parsed.result, -1);
	assert_int_equal(parsed.why, why);
	heads_done(&parsed);
	heads_check_pieces(text, method);
}
