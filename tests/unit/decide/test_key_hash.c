// SPDX-License-Identifier: Apache-2.0
// The keyed hash against values of another implementation of SipHash-1-3 (CPython's own with a key
// of zero, and a model that also reproduces the published vector of SipHash-2-4).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decide/key_hash.h"

static void texts_with_a_key_of_zero(void **state)
{
	static const struct key_hash_secret zero;

	(void)state;
	assert_true(key_hash_str(&zero, STR("")) == 0xd1fba762150c532cull);
	assert_true(key_hash_str(&zero, STR("a")) == 0x407448d2b89b1813ull);
	assert_true(key_hash_str(&zero, STR("abcdefg")) == 0x6db12aae9070f506ull);
	assert_true(key_hash_str(&zero, STR("abcdefgh")) == 0x3f7b849c0b8e35eaull);
	assert_true(key_hash_str(&zero, STR("192.168.100.200")) == 0xf60cdc4f8af01dd9ull);
}

static void counted_bytes_with_the_key_of_the_paper(void **state)
{
	static const struct key_hash_secret secret = {
		{0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull}};
	static const struct {
		size_t len;
		u64 hash;
	} wanted[] = {{0, 0xabac0158050fc4dcull}, {1, 0xc9f49bf37d57ca93ull},
		{8, 0x369095118d299a8eull}, {15, 0xd320d86d2a519956ull},
		{63, 0x9d199062b7bbb3a8ull}};
	u8 bytes[63];

	(void)state;
	for (u32 i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)i;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		assert_true(key_hash(&secret, bytes, wanted[i].len) == wanted[i].hash);
}

static void secrets_come_from_text(void **state)
{
	struct key_hash_secret one = key_hash_secret(STR("secret"));
	struct key_hash_secret other = key_hash_secret(STR("Secret"));

	(void)state;
	assert_true(one.words[0] == 0x565a19db4ef0c121ull);
	assert_true(one.words[1] == 0xbb1f97c1947d0659ull);
	assert_true(key_hash_str(&one, STR("k")) != key_hash_str(&other, STR("k")));
}

static void parts_are_joined_in_order(void **state)
{
	static const struct key_hash_secret secret = {{1, 2}};
	u64 a = key_hash_str(&secret, STR("a")), b = key_hash_str(&secret, STR("b"));
	u64 ab = key_hash_join(&secret, a, "b", 1), ba = key_hash_join(&secret, b, "a", 1);

	(void)state;
	assert_true(ab != ba);
	assert_true(ab == key_hash_join(&secret, a, "b", 1));
	assert_true(ab != key_hash_str(&secret, STR("ab")));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_with_a_key_of_zero),
		cmocka_unit_test(counted_bytes_with_the_key_of_the_paper),
		cmocka_unit_test(secrets_come_from_text),
		cmocka_unit_test(parts_are_joined_in_order),
	};

	return cmocka_run_group_tests_name("key hash", tests, NULL, NULL);
}
