// SPDX-License-Identifier: Apache-2.0
#include "proto/grpc_health.h"

enum {
	field_first = 1,
	varint_bytes_max = 10,
};

// Wire types (protobuf.dev/programming-guides/encoding).
enum {
	wire_varint = 0,
	wire_64_bits = 1,
	wire_bytes = 2,
	wire_32_bits = 5,
};

static char *put_varint(char *at, u32 value)
{
	for (; value >= 0x80; value >>= 7)
		*at++ = (char)(value | 0x80);
	*at++ = (char)value;
	return at;
}

size_t grpc_health_write_request(struct str service, char buffer[static GRPC_HEALTH_REQUEST_MAX])
{
	char *start = buffer + GRPC_MESSAGE_HEAD_BYTES, *at = start;
	size_t len;

	ASSERT(service.len <= GRPC_HEALTH_SERVICE_MAX);
	if (service.len) { // an empty text is left out
		*at++ = field_first << 3 | wire_bytes;
		at = put_varint(at, (u32)service.len);
		memcpy(at, service.ptr, service.len);
		at += service.len;
	}
	len = (size_t)(at - start);
	memset(buffer, 0, GRPC_MESSAGE_HEAD_BYTES);
	buffer[3] = (char)(len >> 8);
	buffer[4] = (char)len;
	return GRPC_MESSAGE_HEAD_BYTES + len;
}

static bool take_varint(struct str *rest, u64 *ret_value)
{
	u64 value = 0;

	for (size_t i = 0; i < MIN(rest->len, (size_t)varint_bytes_max); i++) {
		u8 byte = (u8)rest->ptr[i];

		if (i == varint_bytes_max - 1 && byte > 1)
			return false; // more than 64 bits
		value |= (u64)(byte & 0x7f) << 7 * i;
		if (byte < 0x80) {
			*rest = str_make(rest->ptr + i + 1, rest->len - i - 1);
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool skip(struct str *rest, u64 len)
{
	if (len > rest->len)
		return false;
	*rest = str_make(rest->ptr + len, rest->len - (size_t)len);
	return true;
}

// The last value of a field that is there twice counts.
static bool take_field(struct str *rest, u64 *status)
{
	u64 tag, value;

	if (!take_varint(rest, &tag) || tag >> 3 == 0 || tag > UINT32_MAX)
		return false;
	switch (tag & 7) {
	case wire_varint:
		if (!take_varint(rest, &value))
			return false;
		if (tag >> 3 == field_first)
			*status = value;
		return true;
	case wire_64_bits:
		return skip(rest, 8);
	case wire_bytes:
		return take_varint(rest, &value) && skip(rest, value);
	case wire_32_bits:
		return skip(rest, 4);
	default:
		return false; // groups are of the past
	}
}

enum grpc_health_answer grpc_health_read_answer(
	struct str body, enum grpc_health_status *ret_status)
{
	u64 status = GRPC_HEALTH_UNKNOWN;
	struct str message;
	u32 len = 0;

	if (body.len && body.ptr[0] != 0)
		return GRPC_HEALTH_MALFORMED;
	if (body.len < GRPC_MESSAGE_HEAD_BYTES)
		return GRPC_HEALTH_MORE;
	for (u32 i = 1; i < GRPC_MESSAGE_HEAD_BYTES; i++)
		len = len << 8 | (u8)body.ptr[i];
	if (len > GRPC_HEALTH_ANSWER_MAX - GRPC_MESSAGE_HEAD_BYTES)
		return GRPC_HEALTH_MALFORMED;
	if (body.len - GRPC_MESSAGE_HEAD_BYTES < len)
		return GRPC_HEALTH_MORE;
	message = str_make(body.ptr + GRPC_MESSAGE_HEAD_BYTES, len);
	while (message.len)
		if (!take_field(&message, &status))
			return GRPC_HEALTH_MALFORMED;
	*ret_status = status <= GRPC_HEALTH_SERVICE_UNKNOWN ? (enum grpc_health_status)status
							    : GRPC_HEALTH_UNKNOWN;
	return GRPC_HEALTH_READ;
}
