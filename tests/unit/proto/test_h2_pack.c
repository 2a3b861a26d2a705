// SPDX-License-Identifier: Apache-2.0
// Blocks of HPACK that we write, read by libnghttp2: what comes out is what went in, over long
// sequences in which tables fill, change their size, and blocks are taken back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "base/rng.h"
#include "proto/h2_pack.h"

enum { fields_max = 40, block_bytes = 16384 };

struct pair {
	char name[160], value[1200];
	size_t name_len, value_len;
};

struct ends {
	struct h2_pack pack;
	nghttp2_hd_inflater *reader;
	u8 block[block_bytes];
	struct rng rng;
};

static void begin(struct ends *ends, u64 seed)
{
	memset(ends, 0, sizeof(*ends));
	rng_init(&ends->rng, seed);
	h2_pack_init(&ends->pack, seed);
	assert_int_equal(nghttp2_hd_inflate_new(&ends->reader), 0);
}

static void end(struct ends *ends)
{
	nghttp2_hd_inflate_del(ends->reader);
}

// Reads all of the block; gives the number of fields.
static u32 read_block(struct ends *ends, const u8 *at, const u8 *behind, struct pair *ret_pairs)
{
	u32 count = 0;

	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t used = nghttp2_hd_inflate_hd2(
			ends->reader, &nv, &flags, at, (size_t)(behind - at), 1);

		assert_true(used >= 0);
		at += used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			struct pair *pair = &ret_pairs[count++];

			assert_true(count <= fields_max);
			assert_true(nv.namelen < sizeof(pair->name));
			assert_true(nv.valuelen < sizeof(pair->value));
			memcpy(pair->name, nv.name, nv.namelen);
			memcpy(pair->value, nv.value, nv.valuelen);
			pair->name_len = nv.namelen;
			pair->value_len = nv.valuelen;
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			break;
	}
	assert_ptr_equal(at, behind);
	assert_int_equal(nghttp2_hd_inflate_end_headers(ends->reader), 0);
	return count;
}

static void is_read(struct ends *ends, const struct h2_packer *packer, const u8 *start,
	const struct pair *wanted, u32 count)
{
	static struct pair got[fields_max];

	assert_false(packer->is_full);
	assert_int_equal(read_block(ends, start, packer->at, got), count);
	for (u32 i = 0; i < count; i++) {
		assert_int_equal(got[i].name_len, wanted[i].name_len);
		assert_memory_equal(got[i].name, wanted[i].name, wanted[i].name_len);
		assert_int_equal(got[i].value_len, wanted[i].value_len);
		assert_memory_equal(got[i].value, wanted[i].value, wanted[i].value_len);
	}
}

static struct pair pair_of(struct str name, struct str value)
{
	struct pair pair = {.name_len = name.len, .value_len = value.len};

	memcpy(pair.name, name.ptr, name.len);
	memcpy(pair.value, value.ptr, value.len);
	return pair;
}

static struct h2_packer pack(struct ends *ends)
{
	return h2_pack_begin(&ends->pack, ends->block, ends->block + sizeof(ends->block));
}

// A few names and values, so that many repeat, and some that never do.
static struct pair any_pair(struct rng *rng)
{
	static const struct str names[] = {{"server", 6}, {"content-type", 12}, {"x-frame", 7},
		{"cookie", 6}, {"authorization", 13}, {"set-cookie", 10}, {"x-request-id", 12},
		{"vary", 4}, {"date", 4}, {"a", 1}};
	// Values without a blank at an end, which a line could not have.
	struct pair pair = pair_of(names[rng_below(rng, ARRAY_LEN(names))], STR_EMPTY);
	u32 which = rng_below(rng, 12);
	size_t max = rng_one_in(rng, 20) ? sizeof(pair.value) - 1 : 90;

	pair.value_len = which < 10 ? which * 9 : rng_below(rng, (u32)max);
	for (size_t i = 0; i < pair.value_len; i++)
		pair.value[i] = which < 10 ? (char)('a' + which) : (char)(33 + rng_below(rng, 90));
	return pair;
}

// As a field of a head or as a line: it is the same.
static void put_pair(struct h2_packer *packer, const struct pair *pair)
{
	static char line[1400];
	struct str name = str_make(line, pair->name_len);
	struct str value = str_make(line + pair->name_len + 2, pair->value_len);

	memcpy(line, pair->name, pair->name_len);
	memcpy(line + pair->name_len, ": ", 2);
	memcpy(line + pair->name_len + 2, pair->value, pair->value_len);
	if (pair->value_len % 2)
		h2_pack_line(packer, str_make(line, name.len + 2 + value.len));
	else
		h2_pack_field(packer, http_field_known(name.ptr, name.len), name, true, value);
}

// A change of the table's size stands in front of the next block (RFC 7541 6.3).
static u8 *resize(struct ends *ends, u8 *at)
{
	u32 size = rng_below(&ends->rng, 4097);
	u32 rest = size - 31;

	h2_pack_resize(&ends->pack, size);
	assert_int_equal(nghttp2_hd_inflate_change_table_size(ends->reader, size), 0);
	if (size < 31) {
		*at++ = (u8)(0x20 | size);
		return at;
	}
	*at++ = 0x3f;
	for (; rest >= 128; rest >>= 7)
		*at++ = (u8)(rest | 128);
	*at++ = (u8)rest;
	return at;
}

static void what_goes_in_comes_out(void **state)
{
	static struct pair pairs[fields_max];
	static struct ends ends;

	(void)state;
	for (u64 seed = 1; seed <= 20; seed++) {
		begin(&ends, seed);
		for (u32 i = 0; i < 400; i++) {
			u32 count = rng_below(&ends.rng, 12);
			u8 *at = ends.block;
			struct h2_packer packer;

			if (rng_one_in(&ends.rng, 40))
				at = resize(&ends, at);
			packer = h2_pack_begin(&ends.pack, at, ends.block + sizeof(ends.block));
			for (u32 k = 0; k < count; k++) {
				pairs[k] = any_pair(&ends.rng);
				put_pair(&packer, &pairs[k]);
			}
			if (at == ends.block && rng_one_in(&ends.rng, 30))
				h2_pack_undo(&packer);
			else
				is_read(&ends, &packer, ends.block, pairs, count);
		}
		end(&ends);
	}
}

static size_t length_of(struct ends *ends, struct str name, struct str value)
{
	struct pair pair = pair_of(name, value);
	struct h2_packer packer = pack(ends);

	put_pair(&packer, &pair);
	is_read(ends, &packer, ends->block, &pair, 1);
	return (size_t)(packer.at - ends->block);
}

static void what_repeats_is_a_byte(void **state)
{
	static struct ends ends;

	(void)state;
	begin(&ends, 1);
	assert_true(length_of(&ends, STR("server"), STR("weir")) > 1);
	assert_true(length_of(&ends, STR("server"), STR("weir")) > 1);
	assert_int_equal(ends.pack.count, 1);
	assert_int_equal(length_of(&ends, STR("server"), STR("weir")), 1);
	assert_true(length_of(&ends, STR("x-any"), STR("1")) > 1);
	assert_true(length_of(&ends, STR("x-any"), STR("1")) > 1);
	assert_int_equal(length_of(&ends, STR("x-any"), STR("1")), 1);
	assert_int_equal(length_of(&ends, STR("server"), STR("weir")), 1);
	end(&ends);
}

// Not into anybody's table: what is secret, and what is another one each time.
static void some_never_go_into_the_table(void **state)
{
	static struct ends ends;

	(void)state;
	begin(&ends, 1);
	for (int i = 0; i < 3; i++) {
		(void)length_of(&ends, STR("authorization"), STR("Basic eDp5"));
		assert_int_equal(ends.block[0] & 0xf0, 0x10);
		(void)length_of(&ends, STR("cookie"), STR("id=1"));
		assert_int_equal(ends.block[0] & 0xf0, 0x10);
		(void)length_of(&ends, STR("set-cookie"), STR("id=123456789012345678901"));
		assert_int_equal(ends.block[0] & 0xf0, 0);
		(void)length_of(&ends, STR("content-length"), STR("12"));
		assert_int_equal(ends.block[0] & 0xf0, 0);
	}
	assert_int_equal(ends.pack.count, 0);
	end(&ends);
}

static void names_become_lower_case(void **state)
{
	static struct ends ends;
	struct pair pair = pair_of(STR("x-odd"), STR("Value"));
	struct h2_packer packer;

	(void)state;
	begin(&ends, 1);
	packer = pack(&ends);
	h2_pack_field(&packer, HTTP_F_OTHER, STR("X-Odd"), false, STR("Value"));
	is_read(&ends, &packer, ends.block, &pair, 1);
	end(&ends);
}

static void what_has_no_room_says_so(void **state)
{
	static struct ends ends;
	struct h2_packer packer;

	(void)state;
	begin(&ends, 1);
	packer = h2_pack_begin(&ends.pack, ends.block, ends.block + 30);
	h2_pack_field(&packer, HTTP_F_SERVER, STR("server"), true, STR("a server with a name"));
	assert_true(packer.is_full);
	end(&ends);
}

// The value of a name without a number reads like a line: neither is taken for the other.
static void a_value_may_read_like_a_line(void **state)
{
	const struct pair protocol = pair_of(STR(":protocol"), STR("accept: */*"));
	const struct pair accept = pair_of(STR("accept"), STR("*/*"));
	struct ends ends;

	(void)state;
	begin(&ends, 1);
	for (u32 i = 0; i < 6; i++) {
		struct h2_packer packer = pack(&ends);

		if (i % 2 == 0)
			h2_pack_pseudo(&packer, 0, STR(":protocol"), STR("accept: */*"), true);
		else
			h2_pack_line(&packer, STR("accept: */*"));
		is_read(&ends, &packer, ends.block, i % 2 == 0 ? &protocol : &accept, 1);
	}
	end(&ends);
}

// What comes in every message is in the table soon, wherever the hashes of a dozen fields fall.
static void what_repeats_is_indexed(void **state)
{
	enum { dozen = 12, seeds = 200 };
	struct pair pairs[dozen];
	struct ends ends;
	u32 short_ones = 0;

	(void)state;
	for (u32 i = 0; i < dozen; i++) {
		pairs[i] = pair_of(STR("x-field"), STR("value 0"));
		pairs[i].value[6] = (char)('a' + i);
	}
	for (u32 seed = 1; seed <= seeds; seed++) {
		struct h2_packer packer = {0};

		begin(&ends, seed);
		for (u32 round = 0; round < 4; round++) {
			packer = pack(&ends);
			for (u32 i = 0; i < dozen; i++)
				put_pair(&packer, &pairs[i]);
			is_read(&ends, &packer, ends.block, pairs, dozen);
		}
		short_ones += packer.at - packer.start == dozen;
		end(&ends);
	}
	assert_true(short_ones > seeds - seeds / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_repeats_is_indexed),
		cmocka_unit_test(a_value_may_read_like_a_line),
		cmocka_unit_test(what_repeats_is_a_byte),
		cmocka_unit_test(some_never_go_into_the_table),
		cmocka_unit_test(names_become_lower_case),
		cmocka_unit_test(what_has_no_room_says_so),
		cmocka_unit_test(what_goes_in_comes_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
