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
	key_bytes = 24,
	protocol_error = 1002,
};

enum opcode { OP_CONTINUE, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

// ---- The key (SHA-1 of RFC 3174 and Base64, for messages of one or two blocks) ------------------

struct sha1 {
	u32 state[5];
};

static u32 rotate(u32 value, u32 by)
{
	return value << by | value >> (32 - by);
}

static void sha1_block(struct sha1 *sha, const u8 block[static 64])
{
	u32 w[80], a = sha->state[0], b = sha->state[1], c = sha->state[2], d = sha->state[3],
		   e = sha->state[4];

	for (u32 i = 0; i < 16; i++)
		w[i] = (u32)block[i * 4] << 24 | (u32)block[i * 4 + 1] << 16 |
		       (u32)block[i * 4 + 2] << 8 | block[i * 4 + 3];
	for (u32 i = 16; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (u32 i = 0; i < 80; i++) {
		u32 f, k, next;

		if (i < 20) {
			f = (b & c) | (~b & d);
			k = 0x5a827999;
		} else if (i < 40) {
			f = b ^ c ^ d;
			k = 0x6ed9eba1;
		} else if (i < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8f1bbcdc;
		} else {
			f = b ^ c ^ d;
			k = 0xca62c1d6;
		}
		next = rotate(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	sha->state[0] += a;
	sha->state[1] += b;
	sha->state[2] += c;
	sha->state[3] += d;
	sha->state[4] += e;
}

static void base64(const u8 *data, size_t len, char *text)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		u32 left = (u32)MIN(len - i, (size_t)3);
		u32 bits = (u32)data[i] << 16 | (left > 1 ? (u32)data[i + 1] << 8 : 0) |
			   (left > 2 ? data[i + 2] : 0);

		*text++ = digits[bits >> 18];
		*text++ = digits[bits >> 12 & 63];
		*text++ = left > 1 ? digits[bits >> 6 & 63] : '=';
		*text++ = left > 2 ? digits[bits & 63] : '=';
	}
}

void websocket_accept(struct str key, char ret_accept[static WEBSOCKET_ACCEPT_BYTES])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	struct sha1 sha = {{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
	u8 message[128] = {0}, digest[20];
	size_t len = key.len + sizeof(guid) - 1;

	ASSERT(key.len == key_bytes);
	memcpy(message, key.ptr, key.len);
	memcpy(message + key.len, guid, sizeof(guid) - 1);
	message[len] = 0x80;
	message[126] = (u8)(len * 8 >> 8);
	message[127] = (u8)(len * 8);
	sha1_block(&sha, message);
	sha1_block(&sha, message + 64);
	for (u32 i = 0; i < sizeof(digest); i++)
		digest[i] = (u8)(sha.state[i / 4] >> (24 - i % 4 * 8));
	base64(digest, sizeof(digest), ret_accept);
}

bool websocket_begin(struct websocket *websocket, const struct http_head *head)
{
	const struct http_field *key = http_head_find(head, HTTP_F_SEC_WEBSOCKET_KEY);
	const struct http_field *version = http_head_find_name(head, STR("sec-websocket-version"));

	if (!key || key->value_len != key_bytes || !version ||
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
