// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <errno.h>

#include "test.h"

static void pieces_are_apart_and_aligned(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 30; seed++) {
		enum { pieces = 300 };
		struct {
			unsigned char *ptr;
			size_t len;
		} piece[pieces];
		struct arena arena;
		struct rng rng;

		rng_init(&rng, seed);
		arena_init(&arena, 16 * 1024 * 1024);
		for (u32 i = 0; i < pieces; i++) {
			piece[i].len = rng_below(&rng, rng_one_in(&rng, 10) ? 40000 : 300);
			piece[i].ptr = arena_alloc(&arena, piece[i].len);
			SEEDED(seed, piece[i].ptr && (uintptr_t)piece[i].ptr % 8 == 0);
			memset(piece[i].ptr, (int)i, piece[i].len);
		}
		for (u32 i = 0; i < pieces; i++)
			for (size_t at = 0; at < piece[i].len; at++)
				SEEDED(seed, piece[i].ptr[at] == (unsigned char)i);
		arena_done(&arena);
	}
}

static void heap_is_bounded(void **state)
{
	struct arena arena;
	size_t taken = 0;

	(void)state;
	arena_init(&arena, 100000);
	while (arena_alloc(&arena, 1000))
		taken += 1000;
	assert_true(taken <= 100000 && taken >= 80000);
	assert_null(arena_alloc(&arena, 100001));
	arena_done(&arena);
	// Sizes are rounded up to 8.
	arena_init(&arena, 104);
	assert_non_null(arena_alloc(&arena, 100));
	assert_null(arena_alloc(&arena, 1));
	arena_done(&arena);
}

static void begins_on_a_slab(void **state)
{
	struct arena first, second;
	struct slab slab;
	char *piece;

	(void)state;
	slab_init(&slab, "test", 1024, 1);
	assert_int_equal(arena_init_slab(&first, &slab, 0), 0);
	assert_int_equal(arena_init_slab(&second, &slab, 0), -ENOMEM);
	piece = arena_alloc(&first, 1024);
	assert_non_null(piece);
	memset(piece, 1, 1024);
	assert_null(arena_alloc(&first, 1));
	arena_done(&first);
	assert_int_equal(slab.used, 0);
	assert_int_equal(arena_init_slab(&first, &slab, 5000), 0);
	assert_non_null(arena_alloc(&first, 3000));
	arena_done(&first);
	arena_done(&first); // twice is nothing
	slab_done(&slab);
}

static void texts(void **state)
{
	struct arena arena;
	struct str copy;
	char *zeroes;

	(void)state;
	arena_init(&arena, 1 << 20);
	copy = arena_str(&arena, STR("hello"));
	assert_string_equal(copy.ptr, "hello");
	assert_int_equal(copy.len, 5);
	assert_string_equal(arena_str(&arena, STR_EMPTY).ptr, "");
	assert_string_equal(arena_printf(&arena, "%d-%s", 42, "x"), "42-x");
	zeroes = arena_zalloc(&arena, 5000);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(zeroes[i], 0);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_apart_and_aligned),
		cmocka_unit_test(heap_is_bounded),
		cmocka_unit_test(begins_on_a_slab),
		cmocka_unit_test(texts),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
