// SPDX-License-Identifier: Apache-2.0
// traceparent and tracestate by the letter of the recommendation, with its examples.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hex.h"
#include "base/rng.h"
#include "proto/trace_context.h"

// In memory of its exact size.
static bool parse(const char *text, struct trace_context *ret_context)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	bool is_good;

	assert_non_null(copy);
	memcpy(copy, text, len);
	is_good = trace_context_parse(str_make(copy, len), ret_context);
	free(copy);
	return is_good;
}

static void takes(const char *text, u8 flags, const char *written)
{
	struct trace_context context;
	char again[TRACE_PARENT_BYTES];

	if (!parse(text, &context))
		fail_msg("'%s' was refused", text);
	assert_int_equal(context.flags, flags);
	trace_context_write(&context, again);
	assert_memory_equal(again, written, sizeof(again));
}

static void refuses(const char *text)
{
	struct trace_context context = {.flags = 77};

	if (parse(text, &context))
		fail_msg("'%s' was taken", text);
	assert_int_equal(context.flags, 77); // not touched
}

static void takes_what_is_well_formed(void **state)
{
	static const char sampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
	static const char other[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
	static const char both[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

	(void)state;
	takes(sampled, TRACE_SAMPLED, sampled);
	takes(other, 0, other);
	takes(both, TRACE_SAMPLED | TRACE_RANDOM, both);
	takes("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02", TRACE_RANDOM,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02");
	// Flags that have no meaning are not passed on.
	takes("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-09", TRACE_SAMPLED, sampled);
	takes("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-fc", 0, other);
	takes("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff",
		TRACE_SAMPLED | TRACE_RANDOM,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");
}

static void takes_later_versions_as_far_as_it_knows_them(void **state)
{
	static const char known[] = "00-12345678901234567890123456789012-1234567890123456-01";

	(void)state;
	takes("cc-12345678901234567890123456789012-1234567890123456-01", TRACE_SAMPLED, known);
	takes("cc-12345678901234567890123456789012-1234567890123456-01-", TRACE_SAMPLED, known);
	takes("cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-"
	      "like",
		TRACE_SAMPLED, known);
	takes("01-12345678901234567890123456789012-1234567890123456-03", TRACE_SAMPLED, known);
	refuses("cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-not-"
		"be");
	refuses("cc-12345678901234567890123456789012-1234567890123456-012");
	refuses("ff-12345678901234567890123456789012-1234567890123456-01");
	refuses("cc-12345678901234567890123456789012-1234567890123456-0");
}

static void refuses_everything_else(void **state)
{
	static const char good[] = "00-12345678901234567890123456789012-1234567890123456-01";

	(void)state;
	refuses("");
	refuses("00");
	refuses("00-12345678901234567890123456789012-1234567890123456-01-");
	refuses("00-12345678901234567890123456789012-1234567890123456-01-what");
	refuses("00-12345678901234567890123456789012-1234567890123456-0x");
	refuses("0x-12345678901234567890123456789012-1234567890123456-01");
	refuses("00-00000000000000000000000000000000-1234567890123456-01");
	refuses("00-12345678901234567890123456789012-0000000000000000-01");
	refuses("00-ABCDEF78901234567890123456789012-1234567890123456-01");
	refuses("00-.2345678901234567890123456789012-1234567890123456-01");
	refuses("00-1234567890123456789012345678901-1234567890123456-01");
	refuses("00-123456789012345678901234567890123-1234567890123456-01");
	refuses("00-12345678901234567890123456789012-123456789012345-01");
	refuses("00-12345678901234567890123456789012-12345678901234567-01");
	refuses("00-12345678901234567890123456789012-123456789012345A-01");
	for (size_t i = 0; i < sizeof(good) - 1; i++) {
		char bad[sizeof(good)];

		memcpy(bad, good, sizeof(good));
		bad[i] = good[i] == '-' ? '0' : '-';
		refuses(bad);
		bad[i] = good[i] == '-' ? '_' : 'g';
		refuses(bad);
		bad[i] = '\0';
		assert_false(trace_context_parse(
			str_make(bad, sizeof(bad) - 1), &(struct trace_context){0}));
	}
}

static void the_chance_is_the_random_part(void **state)
{
	struct trace_context context;

	(void)state;
	assert_true(parse("00-ffffffffffffffffff00000000000001-1234567890123456-01", &context));
	assert_true(trace_context_chance(context.trace_id) == 1);
	assert_true(parse("00-000000000000000000ffffffffffffff-1234567890123456-01", &context));
	assert_true(trace_context_chance(context.trace_id) == (1ull << TRACE_CHANCE_BITS) - 1);
	assert_true(parse("00-00000000000000000080000000000000-1234567890123456-01", &context));
	assert_true(trace_context_chance(context.trace_id) == 1ull << 55);
}

// ---- tracestate ---------------------------------------------------------------------------------

static bool add(struct trace_state *state, const char *text)
{
	return trace_state_add(state, str_from(text));
}

static void state_is(const struct trace_state *state, const char *expected)
{
	char text[8192];
	size_t len = (size_t)(trace_state_write(state, text) - text);

	assert_int_equal(len, state->bytes);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(text, expected, len);
}

static void takes_states(void **state)
{
	static const char *const good[] = {"rojo=00f067aa0ba902b7",
		"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "vendorname1=opaqueValue1",
		"foo@vendor=1", "fw529a3039@dt=FfAAAQ", "a=b,c=d", "0a-_*/@=!\"#$%&'()*+-./:;<>?@~",
		"a= b", "k=v v"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct trace_state one = {0};

		if (!add(&one, good[i]))
			fail_msg("'%s' was refused", good[i]);
		state_is(&one, good[i]);
	}
}

static void joins_fields_and_drops_what_is_empty(void **state)
{
	struct trace_state one = {0};

	(void)state;
	assert_true(add(&one, "foo=1 \t , \t bar=2, \t baz=3"));
	assert_true(add(&one, ""));
	assert_true(add(&one, ","));
	assert_true(add(&one, ",quux=4,, "));
	state_is(&one, "foo=1,bar=2,baz=3,quux=4");
}

static void refuses_states(void **state)
{
	static const char *const bad[] = {"foo", "foo=", "=1", "foo =1", "FOO=1", "foo.bar=1",
		"@foo=1", "_foo=1", "foo=1=2", "foo=1;=2", "foo=\x80", "foo=a\tb", "foo=1,bar",
		"foo=1,,bar= ", "f\xc3\xa4=1"};
	char text[1200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct trace_state one = {0};

		if (add(&one, bad[i]))
			fail_msg("'%s' was taken", bad[i]);
	}
	for (size_t len = 255; len < 258; len++) {
		struct trace_state key = {0}, value = {0};

		memset(text, 'k', len);
		memcpy(text + len, "=v", 3);
		assert_int_equal(add(&key, text), len <= 256);
		memcpy(text, "k=", 2);
		memset(text + 2, 'v', len);
		text[2 + len] = '\0';
		assert_int_equal(add(&value, text), len <= 256);
	}
}

static void takes_32_members(void **state)
{
	struct trace_state one = {0};

	(void)state;
	for (int i = 0; i < TRACE_STATE_MEMBERS; i++)
		assert_true(add(&one, "a=1"));
	assert_true(add(&one, " , "));
	assert_false(add(&one, "a=1"));
}

static char *member(char *at, char name, size_t len)
{
	*at++ = name;
	*at++ = '=';
	memset(at, name, len - 2);
	at[len - 2] = ',';
	return at + len - 1;
}

static void shortens_as_recommended(void **state)
{
	char text[2048], expected[2048], *at = text;
	struct trace_state one = {0};

	(void)state;
	at = member(at, 'a', 129); // large
	at = member(at, 'b', 128);
	at = member(at, 'c', 200); // large
	at = member(at, 'd', 128);
	at[-1] = '\0';
	assert_true(add(&one, text));
	assert_int_equal(one.bytes, 129 + 128 + 200 + 128 + 3);
	trace_state_shorten(&one); // the last of the large ones is enough
	at = member(expected, 'a', 129);
	at = member(at, 'b', 128);
	at = member(at, 'd', 128);
	at[-1] = '\0';
	state_is(&one, expected);

	one = (struct trace_state){0};
	at = text;
	for (char name = 'a'; name < 'g'; name++)
		at = member(at, name, 127);
	at[-1] = '\0';
	assert_true(add(&one, text));
	trace_state_shorten(&one);
	assert_int_equal(one.count, 4);
	assert_int_equal(one.bytes, 4 * 127 + 3);
	assert_int_equal(one.members[3].ptr[0], 'd');

	one = (struct trace_state){0};
	at = text;
	memset(at, 'k', 256);
	at[256] = '=';
	memset(at + 257, 'v', 256);
	assert_true(trace_state_add(&one, str_make(text, 513)));
	trace_state_shorten(&one);
	assert_int_equal(one.count, 0);
	assert_int_equal(one.bytes, 0);
}

// Whatever the members are: at most so many bytes, in their order, and nothing is left out where
// there was no need.
static void shortens_at_random(void **state)
{
	(void)state;
	for (u64 seed = 0; seed < 2000; seed++) {
		struct trace_state before = {0}, after;
		char text[32 * 300], *at = text;
		struct rng rng;
		u32 i = 0;

		rng_init(&rng, seed);
		for (u32 count = 1 + rng_below(&rng, 32); count > 0; count--)
			at = member(at, (char)('a' + rng_below(&rng, 26)),
				3 + rng_below(&rng, rng_one_in(&rng, 4) ? 250 : 40));
		at[-1] = '\0';
		assert_true(add(&before, text));
		after = before;
		trace_state_shorten(&after);
		assert_true(after.bytes <= TRACE_STATE_BYTES);
		if (before.bytes <= TRACE_STATE_BYTES)
			assert_int_equal(after.count, before.count);
		for (u32 j = 0; j < after.count; j++, i++)
			while (before.members[i].ptr != after.members[j].ptr)
				assert_true(++i < before.count);
	}
}

static void hex_there_and_back(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (int i = 0; i < 1000; i++) {
		u64 numbers[2] = {rng_u64(&rng), rng_u64(&rng)}, back[2];
		char text[32], half[16];

		hex_put_16(text, numbers[0], numbers[1]);
		assert_true(hex_take(text, (u8 *)back, sizeof(back)));
		assert_memory_equal(back, numbers, sizeof(back));
		hex_put_8(half, numbers[0]);
		assert_memory_equal(half, text, sizeof(half));
	}
	for (int byte = 0; byte < 256; byte++) {
		bool is_digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f');

		assert_int_equal(hex_value((char)byte) < 16, is_digit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_there_and_back),
		cmocka_unit_test(takes_what_is_well_formed),
		cmocka_unit_test(takes_later_versions_as_far_as_it_knows_them),
		cmocka_unit_test(refuses_everything_else),
		cmocka_unit_test(the_chance_is_the_random_part),
		cmocka_unit_test(takes_states),
		cmocka_unit_test(joins_fields_and_drops_what_is_empty),
		cmocka_unit_test(refuses_states),
		cmocka_unit_test(takes_32_members),
		cmocka_unit_test(shortens_as_recommended),
		cmocka_unit_test(shortens_at_random),
	};

	return cmocka_run_group_tests_name("trace context", tests, NULL, NULL);
}
