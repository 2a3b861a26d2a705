// SPDX-License-Identifier: Apache-2.0
// PROXY headers of both versions, by the letter.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/proxy_header.h"

#define V2	       "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(literal) str_make(literal, sizeof(literal) - 1)

// In memory of its exact size, and once more for each beginning of it: what a beginning says must
// agree with what the whole says.
static enum proxy_header_fault read_header(
	struct str text, struct proxy_header *ret_header, size_t *ret_len)
{
	enum proxy_header_fault fault = PROXY_HEADER_OK;
	size_t need = 0;

	*ret_len = 0;
	for (size_t len = 0; len <= text.len && !fault && !*ret_len; len++) {
		char *copy = malloc(len ? len : 1);
		size_t promised = need;

		assert_non_null(copy);
		memcpy(copy, text.ptr, len);
		fault = proxy_header_read(str_make(copy, len), ret_header, ret_len, &need);
		if (!fault && !*ret_len)
			assert_true(
				need > len && need <= PROXY_HEADER_BYTES_MAX && need >= promised);
		if (*ret_len)
			assert_true(*ret_len == len && need == len && len >= promised);
		free(copy);
	}
	return fault;
}

static void refused(struct str text, enum proxy_header_fault why)
{
	struct proxy_header header;
	size_t len, need, whole_len = 0;
	enum proxy_header_fault got = read_header(text, &header, &len);

	if (got != why)
		fail_msg("'%.*s': %s", STR_FMT(text), proxy_header_fault_text(got));
	assert_int_equal(proxy_header_read(text, &header, &whole_len, &need), why);
}

static void incomplete(struct str text)
{
	struct proxy_header header;
	size_t len;

	assert_int_equal(read_header(text, &header, &len), PROXY_HEADER_OK);
	assert_int_equal(len, 0);
}

static void is_addr(const struct addr *addr, const char *wanted)
{
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	assert_string_equal(text, wanted);
}

// What follows the header is not looked at.
static struct proxy_header taken(struct str text)
{
	struct proxy_header header, again;
	char longer[8192];
	size_t len, need;
	enum proxy_header_fault fault = read_header(text, &header, &len);

	if (fault)
		fail_msg("'%.*s': %s", STR_FMT(text), proxy_header_fault_text(fault));
	assert_int_equal(len, text.len);
	assert_true(text.len + 6 < sizeof(longer));
	memcpy(longer, text.ptr, text.len);
	memcpy(longer + text.len, "GET /\n", 6);
	assert_int_equal(proxy_header_read(str_make(longer, text.len + 6), &again, &len, &need), 0);
	assert_int_equal(len, text.len);
	assert_int_equal(proxy_header_read(text, &header, &len, &need), 0);
	return header;
}

static void takes_lines(void **state)
{
	struct proxy_header header;

	(void)state;
	header = taken(BYTES("PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\r\n"));
	assert_int_equal(header.version, 1);
	assert_false(header.is_local);
	is_addr(&header.source, "192.0.2.1:56324");
	is_addr(&header.target, "198.51.100.9:443");
	header = taken(BYTES("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n"));
	is_addr(&header.source, "255.255.255.255:65535");
	header = taken(BYTES("PROXY TCP6 2001:db8::1 2001:DB8:0:0:0:0:0:2 1 2\r\n"));
	is_addr(&header.source, "[2001:db8::1]:1");
	is_addr(&header.target, "[2001:db8::2]:2");
	header = taken(BYTES("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"));
	is_addr(&header.source, "1.2.3.4:1"); // else access lists would see another client
	header = taken(BYTES("PROXY UNKNOWN\r\n"));
	assert_int_equal(header.source.family, ADDR_NONE);
	header = taken(BYTES("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"));
	assert_int_equal(header.source.family, ADDR_NONE);
}

static void refuses_lines(void **state)
{
	static const char *const lines[] = {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
		"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1  2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 0x2\r\n", "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
		"PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP6 [::1] ::1 1 2\r\n",
		"PROXY TCP6 ::1%1 ::1 1 2\r\n", "PROXY TCP6 ::1 ::1: 1 2\r\n",
		"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY UNKNOWNS\r\n", "PROXY UNKNOWN", "PROXY \r\n", "PROXY TCP4\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", "PROXY TCP4 1.2.3.4\t1.2.3.4 1 2\r\n",
		"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		if (strchr(lines[i], '\n'))
			refused(str_from(lines[i]), PROXY_HEADER_LINE);
		else
			incomplete(str_from(lines[i]));
	refused(BYTES("GET / HTTP/1.1\r\n\r\n"), PROXY_HEADER_NOT_ONE);
	refused(BYTES("proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), PROXY_HEADER_NOT_ONE);
	refused(BYTES("\r\n\r\n\r\n"), PROXY_HEADER_NOT_ONE);
	refused(BYTES("PROXY\tTCP4 "), PROXY_HEADER_NOT_ONE);
	refused(BYTES("\x16\x03\x01"), PROXY_HEADER_NOT_ONE);
}

static void bounds_lines(void **state)
{
	char line[PROXY_HEADER_V1_BYTES_MAX + 2];

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	memcpy(line + PROXY_HEADER_V1_BYTES_MAX - 2, "\r\n", 2);
	taken(str_make(line, PROXY_HEADER_V1_BYTES_MAX));
	memcpy(line + PROXY_HEADER_V1_BYTES_MAX - 2, "x\r\n", 3);
	refused(str_make(line, PROXY_HEADER_V1_BYTES_MAX + 1), PROXY_HEADER_LINE_TOO_LONG);
}

static void takes_binary(void **state)
{
	struct proxy_header header;

	(void)state;
	header = taken(BYTES(V2 "\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x12\x34\0\x50"));
	assert_int_equal(header.version, 2);
	is_addr(&header.source, "1.2.3.4:4660");
	is_addr(&header.target, "5.6.7.8:80");
	header = taken(BYTES(V2 "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
				"\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04\0\x01\xff\xff"));
	is_addr(&header.source, "[2001:db8::1]:1");
	is_addr(&header.target, "1.2.3.4:65535");
	header = taken(BYTES(V2 "\x20\0\0\0"));
	assert_true(header.is_local);
	header = taken(BYTES(V2 "\x20\x99\0\3xyz")); // to be ignored
	assert_true(header.is_local);
	header = taken(BYTES(V2 "\x21\0\0\0"));
	assert_false(header.is_local);
	assert_int_equal(header.source.family, ADDR_NONE);
}

static void takes_tlvs(void **state)
{
	struct proxy_header header;

	(void)state;
	header = taken(BYTES(V2 "\x21\0\0\x40"
				"\x01\0\2h2"
				"\x04\0\0"
				"\x02\0\4a.bc"
				"\xe0\0\1x"
				"\x05\0\3uid"
				"\x30\0\1n"
				"\x20\0\x1d\7\0\0\0\2\x21\0\7TLSv1.3\x22\0\1c\x25\0\1s\x23\0\3AES"
				"\x04\0\0"));
	assert_true(str_eq(header.alpn, STR("h2")));
	assert_true(str_eq(header.authority, STR("a.bc")));
	assert_true(str_eq(header.unique_id, STR("uid")));
	assert_true(header.tls.is_set && header.tls.client == 7 && header.tls.verify == 2);
	assert_true(str_eq(header.tls.version, STR("TLSv1.3")));
	assert_true(str_eq(header.tls.cn, STR("c")));
	assert_true(str_eq(header.tls.cipher, STR("AES")));
	assert_false(header.has_checksum);
}

static void refuses_binary(void **state)
{
	(void)state;
	refused(BYTES(V2 "\x11\x11\0\0"), PROXY_HEADER_VERSION);
	refused(BYTES(V2 "\x22\x11\0\0"), PROXY_HEADER_COMMAND);
	refused(BYTES(V2 "\x21\x13\0\0"), PROXY_HEADER_FAMILY);
	refused(BYTES(V2 "\x21\x01\0\0"), PROXY_HEADER_FAMILY);
	refused(BYTES(V2 "\x21\x10\0\x0c"), PROXY_HEADER_FAMILY);
	refused(BYTES(V2 "\x21\x41\0\0"), PROXY_HEADER_FAMILY);
	refused(BYTES(V2 "\x21\x11\x0f\xf1"), PROXY_HEADER_TOO_LARGE);
	refused(BYTES(V2 "\x20\0\xff\xff"), PROXY_HEADER_TOO_LARGE);
	incomplete(BYTES(V2 "\x21\x11\x0f\xf0"));
	refused(BYTES(V2 "\x21\x11\0\x0b\1\2\3\4\5\6\7\x08\0\0\0"), PROXY_HEADER_ADDRESSES_CUT);
	refused(BYTES(V2 "\x21\x31\0\1x"), PROXY_HEADER_ADDRESSES_CUT);
	refused(BYTES(V2 "\x21\0\0\2\1\0"), PROXY_HEADER_TLV_CUT);
	refused(BYTES(V2 "\x21\0\0\4\1\0\2h"), PROXY_HEADER_TLV_CUT);
	refused(BYTES(V2 "\x21\0\0\x8\1\0\1a\1\0\1a"), PROXY_HEADER_TLV_BAD);
	refused(BYTES(V2 "\x21\0\0\7\x20\0\4\0\0\0\0"), PROXY_HEADER_TLV_BAD);
	refused(BYTES(V2 "\x21\0\0\xa\x20\0\7\0\0\0\0\0\x21\0"), PROXY_HEADER_TLV_CUT);
	refused(BYTES(V2 "\x21\0\0\xc\x20\0\x9\0\0\0\0\0\x21\0\2x"), PROXY_HEADER_TLV_CUT);
	refused(BYTES(V2 "\x21\0\0\x6\3\0\3abc"), PROXY_HEADER_TLV_BAD);
	refused(BYTES(V2 "\x21\0\0\7\3\0\4abcd"), PROXY_HEADER_CHECKSUM);
}

static void refuses_long_texts(void **state)
{
	char text[512] = V2 "\x21\0\0\x84\5\0\x81";

	(void)state;
	refused(str_make(text, 16 + 0x84), PROXY_HEADER_TLV_BAD);
	memcpy(text + 12, "\x21\0\1\3\2\1\0", 7);
	refused(str_make(text, 16 + 0x103), PROXY_HEADER_TLV_BAD);
}

// The value is from the specification of CRC32C ("123456789" is 0xe3069283), carried through a
// header that another implementation wrote: Python's, by the polynomial bit by bit.
static void knows_checksums(void **state)
{
	struct proxy_header header;
	char bytes[] = V2 "\x21\x11\0\x13\x7f\0\0\1\x7f\0\0\1\0\1\0\2\3\0\4\xe9\x16\x6d\x07";

	(void)state;
	header = taken(BYTES(bytes));
	assert_true(header.has_checksum);
	for (size_t i = 16; i < sizeof(bytes) - 1; i++) {
		if (i >= 28 && i < 31)
			continue; // type and length of the checksum itself
		bytes[i] ^= 4;
		refused(BYTES(bytes), PROXY_HEADER_CHECKSUM);
		bytes[i] ^= 4;
	}
}

static void write_and_read(const struct proxy_header *header, struct proxy_header *ret_header,
	char buffer[static PROXY_HEADER_WRITTEN_MAX])
{
	size_t len = proxy_header_write(header, buffer);

	*ret_header = taken(str_make(buffer, len));
}

static void writes_lines(void **state)
{
	struct proxy_header header = {.version = 1}, got;
	char buffer[PROXY_HEADER_WRITTEN_MAX];

	(void)state;
	assert_int_equal(addr_parse(STR("192.0.2.7:1234"), &header.source), 0);
	assert_int_equal(addr_parse(STR("127.0.0.1:80"), &header.target), 0);
	write_and_read(&header, &got, buffer);
	assert_true(
		str_starts(str_from(buffer), STR("PROXY TCP4 192.0.2.7 127.0.0.1 1234 80\r\n")));
	assert_int_equal(addr_parse(STR("[2001:db8::7]:80"), &header.target), 0);
	write_and_read(&header, &got, buffer);
	is_addr(&got.source, "192.0.2.7:1234");
	is_addr(&got.target, "[2001:db8::7]:80");
	header.target.family = ADDR_NONE;
	write_and_read(&header, &got, buffer);
	assert_int_equal(got.source.family, ADDR_NONE);
}

static void writes_binary(void **state)
{
	struct proxy_header header = {.version = 2,
		.alpn = STR("h2"),
		.authority = STR("example.org"),
		.unique_id = STR("0123456789abcdef0123456789abcdef"),
		.tls = {.is_set = true,
			.client = 1,
			.verify = 1,
			.version = STR("TLSv1.2"),
			.cn = STR("me"),
			.cipher = STR("ECDHE")},
		.has_checksum = true};
	struct proxy_header got;
	char buffer[PROXY_HEADER_WRITTEN_MAX];

	(void)state;
	assert_int_equal(addr_parse(STR("[2001:db8::7]:1234"), &header.source), 0);
	assert_int_equal(addr_parse(STR("127.0.0.1:80"), &header.target), 0);
	write_and_read(&header, &got, buffer);
	is_addr(&got.source, "[2001:db8::7]:1234");
	is_addr(&got.target, "127.0.0.1:80");
	assert_true(
		got.has_checksum && got.tls.is_set && got.tls.client == 1 && got.tls.verify == 1);
	assert_true(str_eq(got.alpn, header.alpn) && str_eq(got.authority, header.authority));
	assert_true(str_eq(got.unique_id, header.unique_id) && str_eq(got.tls.cn, header.tls.cn));
	assert_true(str_eq(got.tls.cipher, header.tls.cipher) &&
		    str_eq(got.tls.version, header.tls.version));
	header.is_local = true;
	write_and_read(&header, &got, buffer);
	assert_true(got.is_local && got.alpn.len == 0);
}

static void writes_no_text_that_is_too_long(void **state)
{
	struct proxy_header header = {.version = 2}, got;
	char buffer[PROXY_HEADER_WRITTEN_MAX], text[300];

	(void)state;
	memset(text, 'x', sizeof(text));
	header.authority = header.alpn = str_make(text, PROXY_HEADER_TEXT_MAX);
	header.unique_id = str_make(text, PROXY_HEADER_UNIQUE_ID_MAX);
	header.tls = (struct proxy_header_tls){true, 1, 1, header.alpn, header.alpn, header.alpn};
	header.has_checksum = true;
	write_and_read(&header, &got, buffer);
	assert_int_equal(got.tls.cipher.len, PROXY_HEADER_TEXT_MAX);
	header.authority = header.unique_id = header.alpn = str_make(text, sizeof(text));
	write_and_read(&header, &got, buffer);
	assert_true(got.authority.len == 0 && got.unique_id.len == 0 && got.alpn.len == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_lines),
		cmocka_unit_test(refuses_lines),
		cmocka_unit_test(bounds_lines),
		cmocka_unit_test(takes_binary),
		cmocka_unit_test(takes_tlvs),
		cmocka_unit_test(refuses_binary),
		cmocka_unit_test(refuses_long_texts),
		cmocka_unit_test(knows_checksums),
		cmocka_unit_test(writes_lines),
		cmocka_unit_test(writes_binary),
		cmocka_unit_test(writes_no_text_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
