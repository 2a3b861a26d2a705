// SPDX-License-Identifier: Apache-2.0

#include "answer.h"

#include <string.h>
#include <strings.h>

static bool read_length(const char *at, const char *end, uint64_t *ret_length)
{
	uint64_t value = 0;

	while (at < end && *at == ' ')
		at++;
	if (at == end || *at < '0' || *at > '9')
		return false;
	for (; at < end && *at >= '0' && *at <= '9'; at++) {
		if (value > UINT64_MAX / 10 - 1)
			return false;
		value = value * 10 + (uint64_t)(*at - '0');
	}
	*ret_length = value;
	return at < end && *at == '\r';
}

static bool starts(const char *line, const char *end, const char *name, size_t bytes)
{
	return (size_t)(end - line) > bytes && !strncasecmp(line, name, bytes);
}

static bool read_status(const char *data, unsigned int *ret_status)
{
	static const char version[] = "HTTP/1.1 ";
	unsigned int status = 0;

	if (memcmp(data, version, sizeof(version) - 1) != 0)
		return false;
	for (int i = 9; i < 12; i++) {
		if (data[i] < '0' || data[i] > '9')
			return false;
		status = status * 10 + (unsigned int)(data[i] - '0');
	}
	*ret_status = status;
	return true;
}

enum answer_state answer_read(const char *data, size_t bytes, struct answer_head *ret_head)
{
	struct answer_head head = {0};
	bool has_length = false;
	const char *end = memmem(data, bytes, "\r\n\r\n", 4);

	if (!end)
		return ANSWER_INCOMPLETE;
	end += 2; // every line, the last one too, now ends before end
	head.bytes = (size_t)(end - data) + 2;
	if (head.bytes < 16 || !read_status(data, &head.status))
		return ANSWER_MALFORMED;
	const char *line = memchr(data, '\n', (size_t)(end - data));
	while (++line < end) {
		const char *next = memchr(line, '\n', (size_t)(end - line));

		if (starts(line, next, "content-length:", 15)) {
			if (has_length || !read_length(line + 15, next, &head.length))
				return ANSWER_MALFORMED;
			has_length = true;
		} else if (starts(line, next, "connection:", 11)) {
			head.close = memmem(line, (size_t)(next - line), "close", 5);
		} else if (starts(line, next, "transfer-encoding:", 18)) {
			return ANSWER_MALFORMED;
		}
		line = next;
	}
	if (!has_length)
		return ANSWER_MALFORMED;
	*ret_head = head;
	return ANSWER_COMPLETE;
}
