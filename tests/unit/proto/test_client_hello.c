// SPDX-License-Identifier: Apache-2.0
// Client hellos: those of real clients, and every way to break them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/client_hello.h"

// What Python's ssl and openssl s_client send (OpenSSL 3.0): www.Example.org with h2 and http/1.1;
// api.example.net with TLS 1.2 at most; without a name; db.internal with postgresql.
static const char hello_13[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xe6\x57\xdc\xc2\x9a"
			       "\x32\x14\x70\x0b\x83\xa6\x8e\x30"
			       "\x90\x27\x54\x71\xc0\x52\x5a\x59\x61\x09\x08\x4d\x08\xb5\xae\x4e"
			       "\x3b\x36\xdc\x20\x63\x2f\xd1\xf4"
			       "\x5a\x5b\x78\xd8\x0a\x56\x71\xd6\xa3\xb5\xda\x6c\x72\x4e\x32\xf3"
			       "\xda\xf4\xcb\x36\xc4\x3d\x40\xb4"
			       "\x3c\x29\x70\xdd\x00\x3e\x13\x02\x13\x03\x13\x01\xc0\x2c\xc0\x30"
			       "\x00\x9f\xcc\xa9\xcc\xa8\xcc\xaa"
			       "\xc0\x2b\xc0\x2f\x00\x9e\xc0\x24\xc0\x28\x00\x6b\xc0\x23\xc0\x27"
			       "\x00\x67\xc0\x0a\xc0\x14\x00\x39"
			       "\xc0\x09\xc0\x13\x00\x33\x00\x9d\x00\x9c\x00\x3d\x00\x3c\x00\x35"
			       "\x00\x2f\x00\xff\x01\x00\x01\x75"
			       "\x00\x00\x00\x14\x00\x12\x00\x00\x0f\x77\x77\x77\x2e\x45\x78\x61"
			       "\x6d\x70\x6c\x65\x2e\x6f\x72\x67"
			       "\x00\x0b\x00\x04\x03\x00\x01\x02\x00\x0a\x00\x16\x00\x14\x00\x1d"
			       "\x00\x17\x00\x1e\x00\x19\x00\x18"
			       "\x01\x00\x01\x01\x01\x02\x01\x03\x01\x04\x00\x23\x00\x00\x00\x10"
			       "\x00\x0e\x00\x0c\x02\x68\x32\x08"
			       "\x68\x74\x74\x70\x2f\x31\x2e\x31\x00\x16\x00\x00\x00\x17\x00\x00"
			       "\x00\x0d\x00\x2a\x00\x28\x04\x03"
			       "\x05\x03\x06\x03\x08\x07\x08\x08\x08\x09\x08\x0a\x08\x0b\x08\x04"
			       "\x08\x05\x08\x06\x04\x01\x05\x01"
			       "\x06\x01\x03\x03\x03\x01\x03\x02\x04\x02\x05\x02\x06\x02\x00\x2b"
			       "\x00\x09\x08\x03\x04\x03\x03\x03"
			       "\x02\x03\x01\x00\x2d\x00\x02\x01\x01\x00\x33\x00\x26\x00\x24\x00"
			       "\x1d\x00\x20\x6f\xa2\x95\x4c\x37"
			       "\xc1\x88\x38\x5f\x9f\x1b\x7a\xd2\x00\x48\x6b\x34\xd2\xe8\x67\x24"
			       "\x5d\x5c\x6d\xf0\xc8\x77\x83\x2e"
			       "\x40\x89\x14\x00\x15\x00\xae\x00\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00"
			       "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

static const char hello_12[] =
	"\x16\x03\x01\x00\xcf\x01\x00\x00\xcb\x03\x03\x82\xdf\x0b\x2f\x86\x50\x99\x28\xa2\x32\xe4"
	"\xab\xd9"
	"\x83\x1c\x37\x5d\x26\xf1\x84\xd4\xdc\x9d\xbc\x45\x58\x72\x4d\x69\xee\x03\x9a\x00\x00\x38"
	"\xc0\x2c"
	"\xc0\x30\x00\x9f\xcc\xa9\xcc\xa8\xcc\xaa\xc0\x2b\xc0\x2f\x00\x9e\xc0\x24\xc0\x28\x00\x6b"
	"\xc0\x23"
	"\xc0\x27\x00\x67\xc0\x0a\xc0\x14\x00\x39\xc0\x09\xc0\x13\x00\x33\x00\x9d\x00\x9c\x00\x3d"
	"\x00\x3c"
	"\x00\x35\x00\x2f\x00\xff\x01\x00\x00\x6a\x00\x00\x00\x14\x00\x12\x00\x00\x0f\x61\x70\x69"
	"\x2e\x65"
	"\x78\x61\x6d\x70\x6c\x65\x2e\x6e\x65\x74\x00\x0b\x00\x04\x03\x00\x01\x02\x00\x0a\x00\x0c"
	"\x00\x0a"
	"\x00\x1d\x00\x17\x00\x1e\x00\x19\x00\x18\x00\x23\x00\x00\x00\x16\x00\x00\x00\x17\x00\x00"
	"\x00\x0d"
	"\x00\x2a\x00\x28\x04\x03\x05\x03\x06\x03\x08\x07\x08\x08\x08\x09\x08\x0a\x08\x0b\x08\x04"
	"\x08\x05"
	"\x08\x06\x04\x01\x05\x01\x06\x01\x03\x03\x03\x01\x03\x02\x04\x02\x05\x02\x06\x02";

static const char hello_bare[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x0c\xb8\xf0\x77\xa0"
				 "\xcc\x40\x38\x26\xdc\x35\xa4\x7b"
				 "\xb2\x17\x31\x40\x3c\xcf\x53\xc3\x05\x16\xbb\x50\x2a\x98\x24\x8b"
				 "\xe8\xc0\xb4\x20\xe8\x14\xa3\x07"
				 "\x92\x1e\xa9\xe0\x4b\xff\xaa\xf6\xdc\xcd\x72\xf5\xcf\x7a\x09\xaf"
				 "\xec\x32\xce\x5a\x52\x8b\x1f\x89"
				 "\xf0\x6d\x4f\xaa\x00\x3e\x13\x02\x13\x03\x13\x01\xc0\x2c\xc0\x30"
				 "\x00\x9f\xcc\xa9\xcc\xa8\xcc\xaa"
				 "\xc0\x2b\xc0\x2f\x00\x9e\xc0\x24\xc0\x28\x00\x6b\xc0\x23\xc0\x27"
				 "\x00\x67\xc0\x0a\xc0\x14\x00\x39"
				 "\xc0\x09\xc0\x13\x00\x33\x00\x9d\x00\x9c\x00\x3d\x00\x3c\x00\x35"
				 "\x00\x2f\x00\xff\x01\x00\x01\x75"
				 "\x00\x0b\x00\x04\x03\x00\x01\x02\x00\x0a\x00\x16\x00\x14\x00\x1d"
				 "\x00\x17\x00\x1e\x00\x19\x00\x18"
				 "\x01\x00\x01\x01\x01\x02\x01\x03\x01\x04\x00\x23\x00\x00\x00\x16"
				 "\x00\x00\x00\x17\x00\x00\x00\x0d"
				 "\x00\x2a\x00\x28\x04\x03\x05\x03\x06\x03\x08\x07\x08\x08\x08\x09"
				 "\x08\x0a\x08\x0b\x08\x04\x08\x05"
				 "\x08\x06\x04\x01\x05\x01\x06\x01\x03\x03\x03\x01\x03\x02\x04\x02"
				 "\x05\x02\x06\x02\x00\x2b\x00\x09"
				 "\x08\x03\x04\x03\x03\x03\x02\x03\x01\x00\x2d\x00\x02\x01\x01\x00"
				 "\x33\x00\x26\x00\x24\x00\x1d\x00"
				 "\x20\x1e\x9b\xb3\xdf\xa2\xa1\x85\x3c\x58\x93\xae\x83\x89\x31\x0a"
				 "\x53\x50\xfa\x26\x0e\x65\xe6\x7e"
				 "\xbb\xc6\xd2\xb1\xec\x97\xd0\xc6\x6d\x00\x15\x00\xd8\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00"
				 "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";

static const char hello_openssl[] =
	"\x16\x03\x01\x01\x01\x01\x00\x00\xfd\x03\x03\xaf\x2f\x63\xf6\x8c\x24\xa0\x62\x5b\xf9\x86"
	"\x93\x6e"
	"\x8c\x67\xa5\x3b\x90\x20\x9f\xc1\xe5\xfa\x44\xb7\x95\xa5\x9b\x94\x52\x6c\x78\x20\x73\x56"
	"\x84\x30"
	"\xc5\xc2\xfa\x3a\xee\x4d\x69\x08\xd9\xd2\x08\x8b\x08\xe7\x29\x1b\x17\x63\x8a\x2c\xbc\xb9"
	"\x7f\x7c"
	"\x74\xa8\x06\xaf\x00\x08\x13\x02\x13\x03\x13\x01\x00\xff\x01\x00\x00\xac\x00\x00\x00\x10"
	"\x00\x0e"
	"\x00\x00\x0b\x64\x62\x2e\x69\x6e\x74\x65\x72\x6e\x61\x6c\x00\x0b\x00\x04\x03\x00\x01\x02"
	"\x00\x0a"
	"\x00\x16\x00\x14\x00\x1d\x00\x17\x00\x1e\x00\x19\x00\x18\x01\x00\x01\x01\x01\x02\x01\x03"
	"\x01\x04"
	"\x00\x23\x00\x00\x00\x10\x00\x0d\x00\x0b\x0a\x70\x6f\x73\x74\x67\x72\x65\x73\x71\x6c\x00"
	"\x16\x00"
	"\x00\x00\x17\x00\x00\x00\x0d\x00\x1e\x00\x1c\x04\x03\x05\x03\x06\x03\x08\x07\x08\x08\x08"
	"\x09\x08"
	"\x0a\x08\x0b\x08\x04\x08\x05\x08\x06\x04\x01\x05\x01\x06\x01\x00\x2b\x00\x03\x02\x03\x04"
	"\x00\x2d"
	"\x00\x02\x01\x01\x00\x33\x00\x26\x00\x24\x00\x1d\x00\x20\x21\x63\x10\x52\xa6\x98\xc2\x23"
	"\x64\xa4"
	"\x44\x26\xe4\xb5\x3c\x85\xf8\xec\x2c\xdf\xa0\x22\x43\x3d\xe5\x1c\xbc\xa9\x5b\xac\x69\x35";

enum { room = 64 * 1024 };

#define HELLO(name) str_make(name, sizeof(name) - 1)

// In memory of its exact size.
static enum client_hello_state look(
	struct str bytes, struct client_hello *ret_hello, size_t *ret_need)
{
	char *copy = malloc(bytes.len ? bytes.len : 1);
	enum client_hello_state state;

	assert_non_null(copy);
	memcpy(copy, bytes.ptr, bytes.len);
	state = client_hello_read(str_make(copy, bytes.len), ret_hello, ret_need);
	free(copy);
	return state;
}

// Byte by byte, as a patient attacker sends it; a look that was not asked for must say the same.
static enum client_hello_state look_at_each(struct str bytes, struct client_hello *ret_hello)
{
	enum client_hello_state state = CLIENT_HELLO_MORE;
	size_t need = 0;

	for (size_t len = 0; len <= bytes.len && state == CLIENT_HELLO_MORE; len++) {
		size_t promised = need;

		state = look(str_make(bytes.ptr, len), ret_hello, &need);
		if (state == CLIENT_HELLO_MORE) {
			assert_true(need > len && need <= CLIENT_HELLO_BYTES_MAX);
			assert_true(need >= promised);
		} else if (state == CLIENT_HELLO_DONE) {
			assert_true(len >= promised);
		}
	}
	return state;
}

static struct client_hello taken(struct str bytes)
{
	struct client_hello hello = {0}, again = {0};
	size_t need;

	assert_int_equal(look(bytes, &hello, &need), CLIENT_HELLO_DONE);
	assert_int_equal(look_at_each(bytes, &again), CLIENT_HELLO_DONE);
	assert_true(str_eq(client_hello_name(&hello), client_hello_name(&again)));
	assert_int_equal(hello.alpn_len, again.alpn_len);
	return hello;
}

static void is_refused(struct str bytes, enum client_hello_state wanted)
{
	struct client_hello hello;
	size_t need;

	assert_int_equal(look(bytes, &hello, &need), wanted);
	assert_int_equal(look_at_each(bytes, &hello), wanted);
}

static void has_name(const struct client_hello *hello, const char *name)
{
	if (!str_eq(client_hello_name(hello), str_from(name)))
		fail_msg("'%.*s' is not '%s'", STR_FMT(client_hello_name(hello)), name);
}

// The same message in records of at most `size` bytes.
static struct str cut_into_records(struct str record, size_t size, char *buffer)
{
	struct str message = str_make(record.ptr + 5, record.len - 5);
	char *at = buffer;

	while (message.len) {
		size_t len = MIN(size, message.len);

		memcpy(at, "\x16\3\1", 3);
		at[3] = (char)(len >> 8);
		at[4] = (char)len;
		memcpy(at + 5, message.ptr, len);
		at += 5 + len;
		message.ptr += len;
		message.len -= len;
		assert_true(at < buffer + room - size - 5);
	}
	return str_make(buffer, (size_t)(at - buffer));
}

// A hello with these extensions, in one record.
static struct str hello_with(struct str extensions, bool has_length, char *buffer)
{
	char *at = buffer;
	size_t len;

	memset(buffer, 0, 5 + 4);
	memcpy(buffer, "\x16\3\1", 3);
	buffer[5] = 1;
	at += 9;
	memcpy(at, "\3\3", 2);
	memset(at + 2, 'r', 32);
	memcpy(at + 34, "\0\0\2\x13\1\1\0", 7);
	at += 41;
	if (has_length) {
		*at++ = (char)(extensions.len >> 8);
		*at++ = (char)extensions.len;
	}
	memcpy(at, extensions.ptr, extensions.len);
	at += extensions.len;
	len = (size_t)(at - buffer) - 9;
	buffer[7] = (char)(len >> 8);
	buffer[8] = (char)len;
	buffer[3] = (char)((len + 4) >> 8);
	buffer[4] = (char)(len + 4);
	return str_make(buffer, (size_t)(at - buffer));
}

#define WITH(literal) hello_with(str_make(literal, sizeof(literal) - 1), true, buffer)

static void reads_real_ones(void **state)
{
	struct client_hello hello;

	(void)state;
	hello = taken(HELLO(hello_13));
	has_name(&hello, "www.example.org");
	assert_true(client_hello_offers(&hello, STR("h2")));
	assert_true(client_hello_offers(&hello, STR("http/1.1")));
	assert_false(client_hello_offers(&hello, STR("http/1")));
	assert_true(hello.is_alpn_whole && !hello.has_ech);
	hello = taken(HELLO(hello_12));
	has_name(&hello, "api.example.net");
	assert_int_equal(hello.alpn_len, 0);
	hello = taken(HELLO(hello_bare));
	has_name(&hello, "");
	hello = taken(HELLO(hello_openssl));
	has_name(&hello, "db.internal");
	assert_true(client_hello_offers(&hello, STR("postgresql")));
}

static void reads_through_records(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 64, 100, 511, 512, 16384};
	char *buffer = malloc(room);

	(void)state;
	assert_non_null(buffer);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct client_hello hello;

		hello = taken(cut_into_records(HELLO(hello_12), sizes[i], buffer));
		has_name(&hello, "api.example.net");
		hello = taken(cut_into_records(HELLO(hello_13), sizes[i], buffer));
		has_name(&hello, "www.example.org");
		assert_true(client_hello_offers(&hello, STR("http/1.1")));
	}
	free(buffer);
}

static void does_not_look_behind_it(void **state)
{
	char buffer[room];
	struct client_hello hello;
	size_t need;

	(void)state;
	memcpy(buffer, hello_12, sizeof(hello_12) - 1);
	memcpy(buffer + sizeof(hello_12) - 1, "\x17\3\3\xff\xff", 5); // early data
	assert_int_equal(
		look(str_make(buffer, sizeof(hello_12) + 4), &hello, &need), CLIENT_HELLO_DONE);
}

static void knows_what_is_no_tls(void **state)
{
	(void)state;
	is_refused(STR("GET / HTTP/1.1\r\n\r\n"), CLIENT_HELLO_NOT_TLS);
	is_refused(STR("SSH-2.0-x\r\n"), CLIENT_HELLO_NOT_TLS);
	is_refused(STR("\x80\x2e\1\3\1"), CLIENT_HELLO_NOT_TLS); // SSL 2
	is_refused(STR("\x15\3\1"), CLIENT_HELLO_NOT_TLS);
	is_refused(STR("\x16\2\1"), CLIENT_HELLO_NOT_TLS);
	is_refused(STR("\x16\3\1\0\0"), CLIENT_HELLO_MALFORMED);
	is_refused(STR("\x16\3\1\x40\1"), CLIENT_HELLO_MALFORMED);
	is_refused(STR("\x16\3\1\0\4\2\0\0\4"), CLIENT_HELLO_MALFORMED); // a server hello
	is_refused(STR("\x16\3\1\0\2\1\0\x17\3\1\0\2\0\4"), CLIENT_HELLO_MALFORMED);
	is_refused(STR("\x16\3\1\0\4\1\0\0\0"), CLIENT_HELLO_MALFORMED);
}

static void bounds_its_size(void **state)
{
	char *buffer = malloc(room);
	struct client_hello hello;
	struct str records;
	size_t need;

	(void)state;
	assert_non_null(buffer);
	is_refused(STR("\x16\3\1\x10\0\1\1\0\0"), CLIENT_HELLO_TOO_LARGE);
	is_refused(STR("\x16\3\1\x10\0\1\0\x3f\xff"), CLIENT_HELLO_TOO_LARGE);
	assert_int_equal(look(STR("\x16\3\1\x10\0\1\0\x3f\0"), &hello, &need), CLIENT_HELLO_MORE);
	// A record for each byte makes six of one.
	memset(buffer, 0, room);
	records = hello_with(str_make(buffer, 4000), true, buffer + room / 2);
	records = cut_into_records(records, 1, buffer);
	is_refused(records, CLIENT_HELLO_TOO_LARGE);
	free(buffer);
}

static void reads_extensions(void **state)
{
	char buffer[1024];
	struct client_hello hello;

	(void)state;
	hello = taken(hello_with(STR_EMPTY, false, buffer));
	has_name(&hello, "");
	hello = taken(WITH(""));
	hello = taken(WITH("\x2a\x2a\0\0\0\0\0\x08\0\6\0\0\3a.B\xda\xda\0\1\0"));
	has_name(&hello, "a.b");
	hello = taken(WITH("\0\0\0\x08\0\6\0\0\3ab."));
	has_name(&hello, "ab");
	hello = taken(WITH("\xfe\x0d\0\2xy"));
	assert_true(hello.has_ech);
	hello = taken(WITH("\0\x10\0\7\0\5\2h2\1x"));
	assert_true(client_hello_offers(&hello, STR("x")));
}

static void refuses_extensions(void **state)
{
	char buffer[1024];

	(void)state;
	is_refused(hello_with(STR("\0"), false, buffer), CLIENT_HELLO_MALFORMED);
	is_refused(hello_with(STR("\0\1"), false, buffer), CLIENT_HELLO_MALFORMED);
	is_refused(hello_with(STR("\0\0x"), false, buffer), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\1"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\x2a\x2a\0\2x"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\0"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\2\0\0"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\5\0\3\0\0\0"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\6\0\4\1\0\1a"), CLIENT_HELLO_MALFORMED);  // no host name
	is_refused(WITH("\0\0\0\6\0\4\0\0\2a"), CLIENT_HELLO_MALFORMED);  // longer than its list
	is_refused(WITH("\0\0\0\7\0\5\0\0\1ab"), CLIENT_HELLO_MALFORMED); // shorter
	is_refused(WITH("\0\0\0\7\0\4\0\0\1ab"), CLIENT_HELLO_MALFORMED); // behind its list
	is_refused(WITH("\0\0\0\x0a\0\x08\0\0\1a\0\0\1b"), CLIENT_HELLO_MALFORMED); // two
	is_refused(WITH("\0\0\0\6\0\4\0\0\1."), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\7\0\5\0\0\2a\0"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\7\0\5\0\0\2a/"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\0\0\6\0\4\0\0\1a\0\0\0\6\0\4\0\0\1a"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\x10\0\2\0\0"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\x10\0\3\0\1\0"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\x10\0\4\0\2\2h"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\x10\0\5\0\2\1hx"), CLIENT_HELLO_MALFORMED);
	is_refused(WITH("\0\x10\0\4\0\2\1h\0\x10\0\4\0\2\1h"), CLIENT_HELLO_MALFORMED);
}

static void refuses_fixed_parts(void **state)
{
	char buffer[1024];
	struct str hello = WITH("");

	(void)state;
	buffer[9] = 2; // the version inside
	is_refused(hello, CLIENT_HELLO_MALFORMED);
	buffer[9] = 3;
	buffer[43] = 33; // the session's id
	is_refused(hello, CLIENT_HELLO_MALFORMED);
	buffer[43] = 0;
	buffer[45] = 0; // no cipher
	is_refused(hello, CLIENT_HELLO_MALFORMED);
	buffer[45] = 3; // half a one
	is_refused(hello, CLIENT_HELLO_MALFORMED);
	buffer[45] = 2;
	buffer[48] = 0; // no compression, not even none
	is_refused(hello, CLIENT_HELLO_MALFORMED);
	buffer[48] = 1;
	taken(hello);
}

static void keeps_as_many_protocols_as_fit(void **state)
{
	char extension[6 + 400], buffer[1024];
	struct client_hello hello;

	(void)state;
	memcpy(extension, "\0\x10\1\x92\1\x90", 6);
	for (size_t i = 0; i < 400; i += 4)
		memcpy(extension + 6 + i, "\3abc", 4);
	hello = taken(hello_with(str_make(extension, sizeof(extension)), true, buffer));
	assert_false(hello.is_alpn_whole);
	assert_int_equal(hello.alpn_len, 252);
	assert_true(client_hello_offers(&hello, STR("abc")));
}

static void every_flipped_byte_ends_somehow(void **state)
{
	char copy[sizeof(hello_openssl) - 1];

	(void)state;
	memcpy(copy, hello_openssl, sizeof(copy));
	for (size_t i = 0; i < sizeof(copy); i++)
		for (u32 bit = 1; bit < 256; bit <<= 3) {
			struct client_hello hello;
			size_t need = 0;

			copy[i] ^= (char)bit;
			if (look(str_make(copy, sizeof(copy)), &hello, &need) == CLIENT_HELLO_MORE)
				assert_true(need > sizeof(copy));
			copy[i] ^= (char)bit;
		}
}

static void writes_alerts(void **state)
{
	char buffer[TLS_ALERT_BYTES];

	(void)state;
	assert_true(str_eq(client_hello_alert(TLS_ALERT_UNRECOGNIZED_NAME, buffer),
		str_make("\x15\3\3\0\2\2\x70", 7)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_real_ones),
		cmocka_unit_test(reads_through_records),
		cmocka_unit_test(does_not_look_behind_it),
		cmocka_unit_test(knows_what_is_no_tls),
		cmocka_unit_test(bounds_its_size),
		cmocka_unit_test(reads_extensions),
		cmocka_unit_test(refuses_extensions),
		cmocka_unit_test(refuses_fixed_parts),
		cmocka_unit_test(keeps_as_many_protocols_as_fit),
		cmocka_unit_test(every_flipped_byte_ends_somehow),
		cmocka_unit_test(writes_alerts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
