// SPDX-License-Identifier: Apache-2.0
#include "proto/websocket_key.h"

// SHA-1 of RFC 3174 and Base64, for a message of two blocks.
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

	ASSERT(key.len == WEBSOCKET_KEY_BYTES);
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

void websocket_key(u64 a, u64 b, char ret_key[static WEBSOCKET_KEY_BYTES])
{
	u8 bytes[16];

	memcpy(bytes, &a, 8);
	memcpy(bytes + 8, &b, 8);
	base64(bytes, sizeof(bytes), ret_key);
}
