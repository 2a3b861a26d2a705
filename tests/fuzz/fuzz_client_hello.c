// SPDX-License-Identifier: Apache-2.0
// Client hellos: however the bytes are cut into pieces, and however the message is cut into
// records, the same comes of it.
#include "fuzz_check.h"
#include "proto/client_hello.h"

enum { pieces_max = 3000 }; // each beginning of a longer input would take too long

static enum client_hello_state look(
	const char *bytes, size_t len, struct client_hello *ret_hello, size_t *ret_need)
{
	char *copy = fuzz_copy(bytes, len);
	enum client_hello_state state = client_hello_read(str_make(copy, len), ret_hello, ret_need);

	free(copy);
	return state;
}

static bool is_same(const struct client_hello *a, const struct client_hello *b)
{
	return str_eq(client_hello_name(a), client_hello_name(b)) && a->alpn_len == b->alpn_len &&
	       memcmp(a->alpn, b->alpn, a->alpn_len) == 0 && a->has_ech == b->has_ech &&
	       a->is_alpn_whole == b->is_alpn_whole;
}

static void check_beginnings(const char *bytes, size_t size, enum client_hello_state whole,
	const struct client_hello *hello)
{
	size_t needed = 0;

	for (size_t len = 0; len < size; len++) {
		struct client_hello part = {0};
		size_t need = 0;
		enum client_hello_state state = look(bytes, len, &part, &need);

		if (state == CLIENT_HELLO_MORE) {
			ASSERT(need > len && need >= needed && need <= CLIENT_HELLO_BYTES_MAX);
			needed = need;
			continue;
		}
		ASSERT(state == whole);
		ASSERT(state != CLIENT_HELLO_DONE || (needed <= len && is_same(&part, hello)));
		return;
	}
}

// The same message with a record for every `size` bytes; what follows it is left out.
static void check_recut(
	const char *bytes, size_t size, const struct client_hello *hello, size_t record_max)
{
	char *recut = calloc(1, size * 6 + 16);
	size_t at = 0, out = 0, filled = 0, need;
	struct client_hello again = {0};
	enum client_hello_state state;

	ASSERT(recut != NULL);
	while (size - at >= 5) {
		size_t body = (size_t)((u8)bytes[at + 3] << 8 | (u8)bytes[at + 4]);

		if (bytes[at] != 22 || bytes[at + 1] != 3)
			break;
		at += 5;
		for (size_t i = 0; i < body && at < size; i++, at++) {
			if (filled == 0) {
				memcpy(recut + out, "\x16\3\1", 3);
				out += 5;
			}
			recut[out++] = bytes[at];
			filled++;
			recut[out - filled - 2] = (char)(filled >> 8);
			recut[out - filled - 1] = (char)filled;
			if (filled == record_max)
				filled = 0;
		}
	}
	state = look(recut, out, &again, &need);
	ASSERT(state == CLIENT_HELLO_TOO_LARGE ||
		(state == CLIENT_HELLO_DONE && is_same(&again, hello)));
	free(recut);
}

static void check_taken(const struct client_hello *hello)
{
	size_t at = 0;

	for (u32 i = 0; i < hello->name_len; i++)
		ASSERT(hello->name[i] > ' ' && hello->name[i] <= 'z' &&
			!(hello->name[i] >= 'A' && hello->name[i] <= 'Z'));
	while (at < hello->alpn_len) {
		u8 len = (u8)hello->alpn[at];

		ASSERT(len > 0 && at + 1 + len <= hello->alpn_len);
		ASSERT(client_hello_offers(hello, str_make(hello->alpn + at + 1, len)));
		at += 1u + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct client_hello hello = {0};
	enum client_hello_state state;
	size_t need = 0;

	if (size > CLIENT_HELLO_BYTES_MAX + 64)
		return 0;
	state = look(bytes, size, &hello, &need);
	if (size <= pieces_max)
		check_beginnings(bytes, size, state, &hello);
	if (state == CLIENT_HELLO_DONE) {
		check_taken(&hello);
		check_recut(bytes, size, &hello, 1);
		check_recut(bytes, size, &hello, 7);
		check_recut(bytes, size, &hello, 4096);
	}
	return 0;
}
