// SPDX-License-Identifier: Apache-2.0
#include "cli/websocket.h"

enum {
	fin_bit = 0x80,
	reserved_bits = 0x70,
	mask_bit = 0x80,
	short_len_max = 125,
	len_is_16_bits = 126,
	len_is_64_bits = 127,
	mask_bytes = 4,
	protocol_error = 1002,
};

enum opcode { OP_CONTINUE, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

bool websocket_begin(struct websocket *websocket, const struct http_head *head)
{
	const struct http_field *key = http_head_find(head, HTTP_F_SEC_WEBSOCKET_KEY);
	const struct http_field *version = http_head_find_name(head, STR("sec-websocket-version"));

	if (!key || key->value_len != WEBSOCKET_KEY_BYTES || !version ||
		!str_eq(str_make(version->value, version->value_len), STR("13")))
		return false;
	*websocket = (struct websocket){0};
	websocket_accept(str_make(key->value, key->value_len), websocket->accept);
	return true;
}

// ---- Frames -------------------------------------------------------------------------------------

static void send(struct websocket *websocket, struct stream *stream, struct slice slice)
{
	websocket->uncounted -= (i64)slice.len;
	stream->ops->send_body(stream, slice, false);
}

// A few bytes of our own: short enough to be copied.
static void send_bytes(
	struct websocket *websocket, struct stream *stream, const u8 *bytes, size_t len)
{
	send(websocket, stream, (struct slice){.ptr = (const char *)bytes, .len = len});
}

static void close_stream(struct websocket *websocket, struct stream *stream)
{
	if (websocket->closed)
		return;
	websocket->closed = true;
	stream->ops->send_body(stream, (struct slice){0}, true);
}

static void fail(struct websocket *websocket, struct stream *stream)
{
	const u8 frame[] = {
		fin_bit | OP_CLOSE, 2, protocol_error >> 8, (u8)(protocol_error & 0xff)};

	send_bytes(websocket, stream, frame, sizeof(frame));
	close_stream(websocket, stream);
}

// Bytes of the header, as far as they are known; 2 before its second byte is here.
static u8 header_size(const struct websocket *websocket)
{
	u8 len = websocket->header[1] & 0x7f;

	if (websocket->header_len < 2)
		return 2;
	return (u8)(2 + mask_bytes + (len == len_is_16_bits ? 2 : len == len_is_64_bits ? 8 : 0));
}

static u64 payload_size(const struct websocket *websocket)
{
	u32 bytes = header_size(websocket) - 2u - mask_bytes;
	u64 len = 0;

	if (!bytes)
		return websocket->header[1] & 0x7f;
	for (u32 i = 0; i < bytes; i++)
		len = len << 8 | websocket->header[2 + i];
	return len;
}

static bool is_control(u8 opcode)
{
	return opcode >= OP_CLOSE;
}

static bool is_valid(const struct websocket *websocket)
{
	u8 first = websocket->header[0], opcode = first & 0xf;

	if (!(websocket->header[1] & mask_bit) || first & reserved_bits ||
		(opcode > OP_BINARY && opcode < OP_CLOSE) || opcode > OP_PONG ||
		websocket->left >> 63)
		return false;
	return !is_control(opcode) || (first & fin_bit && websocket->left <= short_len_max);
}

static u8 opcode_of(const struct websocket *websocket)
{
	return websocket->header[0] & 0xf;
}

static void end_frame(struct websocket *websocket, struct stream *stream)
{
	if (opcode_of(websocket) == OP_CLOSE)
		close_stream(websocket, stream);
	websocket->header_len = 0;
}

// The same header without mask; a ping comes back as a pong.
static void begin_frame(struct websocket *websocket, struct stream *stream)
{
	u8 header[WEBSOCKET_HEADER_MAX], size = (u8)(header_size(websocket) - mask_bytes);

	websocket->mask_at = 0;
	websocket->left = payload_size(websocket);
	if (!is_valid(websocket)) {
		fail(websocket, stream);
		return;
	}
	memcpy(header, websocket->header, size);
	header[1] &= 0x7f;
	if (opcode_of(websocket) == OP_PING)
		header[0] = fin_bit | OP_PONG;
	if (opcode_of(websocket) != OP_PONG)
		send_bytes(websocket, stream, header, size);
	if (websocket->left == 0)
		end_frame(websocket, stream);
}

// Unmasks where the bytes lie: this part of the block is nobody else's.
static void take_payload(struct websocket *websocket, struct stream *stream, struct slice *rest)
{
	const u8 *mask = websocket->header + header_size(websocket) - mask_bytes;
	size_t len = (size_t)MIN((u64)rest->len, websocket->left);
	struct slice piece = {.block = rest->block, .ptr = rest->ptr, .len = len};
	char *bytes = (char *)rest->ptr;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(bytes[i] ^ mask[websocket->mask_at++ & 3]);
	rest->ptr += len;
	rest->len -= len;
	websocket->left -= len;
	if (opcode_of(websocket) != OP_PONG) {
		block_ref(piece.block);
		send(websocket, stream, piece);
	}
	if (websocket->left == 0)
		end_frame(websocket, stream);
}

static void take_header(struct websocket *websocket, struct stream *stream, struct slice *rest)
{
	websocket->header[websocket->header_len++] = (u8)*rest->ptr++;
	rest->len--;
	if (websocket->header_len == header_size(websocket) && websocket->header_len > 2)
		begin_frame(websocket, stream);
}

void websocket_feed(
	struct websocket *websocket, struct stream *stream, struct slice slice, bool end)
{
	struct slice rest = slice;

	websocket->uncounted += (i64)slice.len;
	while (rest.len && !websocket->closed) {
		if (websocket->left)
			take_payload(websocket, stream, &rest);
		else
			take_header(websocket, stream, &rest);
	}
	slice_drop(&slice);
	if (end) {
		close_stream(websocket, stream);
	} else if (websocket->uncounted > 0) {
		stream->ops->grant(stream, (size_t)websocket->uncounted);
		websocket->uncounted = 0;
	}
}
