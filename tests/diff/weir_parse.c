// SPDX-License-Identifier: Apache-2.0
// What weir reads out of a byte stream of requests, for comparison with other parsers: reads cases
// from standard input, each a 32-bit little-endian length and its bytes, and prints one line of
// JSON per case: the messages, bytes as hexadecimal, and how the reading ended.
#include <stdio.h>
#include <stdlib.h>

#include "proto/h1_parse.h"

enum { case_bytes_max = 1024 * 1024 };

static const struct h1_limits limits = {
	.head_bytes_max = HTTP_HEAD_BYTES_MAX,
	.target_bytes_max = 16384,
};

static void print_hex(const char *name, struct str text)
{
	printf("\"%s\":\"", name);
	for (size_t i = 0; i < text.len; i++)
		printf("%02x", (unsigned char)text.ptr[i]);
	printf("\"");
}

static void print_fields(const char *name, const struct http_field *fields, u16 count)
{
	printf("\"%s\":[", name);
	for (u16 i = 0; i < count; i++) {
		printf("%s{", i ? "," : "");
		print_hex("name", str_make(fields[i].name, fields[i].name_len));
		printf(",");
		print_hex("value", str_make(fields[i].value, fields[i].value_len));
		printf("}");
	}
	printf("]");
}

struct reading {
	const char *end; // why there is no next message: "ok", "closed", "incomplete", "refused"
	enum http_refusal why;
};

// Prints the body; gives its bytes, or -1 and the reason in *reading.
static long chunked_body(struct str input, struct reading *reading)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	struct h1_chunked chunked = {0};
	size_t at = 0, used;
	enum h1_chunk_event event;
	struct str data;
	int trailers = 0;
	u16 count = 0;

	printf("\"body\":\"");
	do {
		event = h1_chunked_feed(
			&chunked, input.ptr + at, input.len - at, &used, &data, &reading->why);
		at += used;
		if (event == H1_CHUNK_DATA)
			for (size_t i = 0; i < data.len; i++)
				printf("%02x", (unsigned char)data.ptr[i]);
	} while (event == H1_CHUNK_DATA);
	printf("\"");
	if (event == H1_CHUNK_TRAILERS)
		trailers = h1_parse_trailers(
			input.ptr + at, input.len - at, &limits, fields, &count, &reading->why);
	if (trailers > 0) {
		printf(",");
		print_fields("trailers", fields, count);
		return (long)at + trailers;
	}
	reading->end = event == H1_CHUNK_BAD || trailers < 0 ? "refused" : "incomplete";
	return -1;
}

static long length_body(struct str input, u64 length, struct reading *reading)
{
	size_t have = (size_t)MIN((u64)input.len, length);

	print_hex("body", str_make(input.ptr, have));
	if (have == length)
		return (long)have;
	reading->end = "incomplete";
	return -1;
}

// Prints one message; false when no other can follow.
static bool message(struct str *input, bool first, struct reading *reading)
{
	static struct http_field fields[HTTP_FIELDS_MAX];
	struct http_head head;
	int used;
	long body;

	if (input->len == 0)
		return false;
	used = h1_parse_request(input->ptr, input->len, &limits, fields, &head, &reading->why);
	if (used <= 0) {
		reading->end = used ? "refused" : "incomplete";
		return false;
	}
	*input = str_make(input->ptr + used, input->len - (size_t)used);
	printf("%s{", first ? "" : ",");
	print_hex("method", head.method_text);
	printf(",");
	print_hex("target", head.target);
	printf(",\"minor\":%d,\"keep_alive\":%s,\"framing\":%d,", head.version_minor,
		head.keep_alive ? "true" : "false", head.framing);
	print_fields("fields", fields, head.field_count);
	printf(",");
	if (head.framing == HTTP_CHUNKED)
		body = chunked_body(*input, reading);
	else
		body = length_body(
			*input, head.framing == HTTP_LENGTH ? head.content_length : 0, reading);
	printf(",\"whole\":%s}", body < 0 ? "false" : "true");
	if (body < 0)
		return false;
	*input = str_make(input->ptr + body, input->len - (size_t)body);
	if (!head.keep_alive)
		reading->end = "closed";
	return head.keep_alive;
}

static bool read_case(char *bytes, size_t *ret_len)
{
	unsigned char prefix[4];

	if (fread(prefix, 1, 4, stdin) != 4)
		return false;
	*ret_len = (size_t)prefix[0] | (size_t)prefix[1] << 8 | (size_t)prefix[2] << 16 |
		   (size_t)prefix[3] << 24;
	return *ret_len <= case_bytes_max && fread(bytes, 1, *ret_len, stdin) == *ret_len;
}

int main(void)
{
	char *bytes = malloc(case_bytes_max);
	size_t len;

	if (!bytes)
		return 1;
	while (read_case(bytes, &len)) {
		// Of its exact size, for the sanitizers.
		char *copy = malloc(len ? len : 1);
		struct str input = str_make(copy, len);
		struct reading reading = {.end = "ok"};
		bool first = true;

		if (!copy)
			return 1;
		memcpy(copy, bytes, len);
		printf("{\"messages\":[");
		while (message(&input, first, &reading))
			first = false;
		printf("],\"end\":\"%s\",\"why\":\"%s\"}\n", reading.end,
			reading.why ? http_refusal_text(reading.why) : "");
		free(copy);
	}
	free(bytes);
	return feof(stdin) ? 0 : 1;
}
