// SPDX-License-Identifier: Apache-2.0
#include "base/slab.h"

#include <string.h>

#include "test.h"

static void bounded_and_counted(void **state)
{
	struct slab slab;
	void *objects[10];

	(void)state;
	slab_init(&slab, "test", 20, 10);
	assert_int_equal(slab.object_size, 24);
	for (int i = 0; i < 10; i++) {
		objects[i] = slab_get(&slab);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % 8, 0);
		memset(objects[i], i, 20);
	}
	assert_int_equal(slab.used, 10);
	assert_null(slab_get(&slab));
	for (int i = 0; i < 10; i++)
		assert_int_equal(*(char *)objects[i], i);
	slab_put(&slab, objects[3]);
	assert_ptr_equal(slab_get(&slab), objects[3]);
	for (int i = 0; i < 10; i++)
		slab_put(&slab, objects[i]);
	assert_int_equal(slab.used, 0);
	slab_done(&slab);
}

static void limit_holds_for_reused_objects(void **state)
{
	struct slab slab;
	void *first;

	(void)state;
	slab_init(&slab, "test", 16, 2);
	first = slab_get(&slab);
	slab_put(&slab, first);
	// The slab of the last use is warm.
	assert_ptr_equal(slab_get(&slab), first);
	assert_non_null(slab_get(&slab));
	assert_null(slab_get(&slab));
	slab_abandon(&slab);
	assert_int_equal(slab.used, 0);
}

// Objects of every size, over many chunks: none may overlap another.
static void objects_do_not_overlap(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 40; seed++) {
		enum { objects_max = 400 };
		struct {
			unsigned char *ptr, mark;
		} out[objects_max] = {0};
		struct rng rng;
		struct slab slab;
		size_t size;
		u32 used = 0;

		rng_init(&rng, seed);
		size = 1 + rng_below(&rng, rng_one_in(&rng, 4) ? 20000 : 200);
		slab_init(&slab, "test", size, objects_max);
		for (u32 step = 0; step < 1500; step++) {
			u32 i = rng_below(&rng, objects_max);

			if (!out[i].ptr) {
				out[i].ptr = slab_get(&slab);
				out[i].mark = (unsigned char)rng_below(&rng, 256);
				memset(out[i].ptr, out[i].mark, size);
				used++;
			} else {
				SEEDED(seed, out[i].ptr[0] == out[i].mark);
				SEEDED(seed, out[i].ptr[size - 1] == out[i].mark);
				slab_put(&slab, out[i].ptr);
				out[i].ptr = NULL;
				used--;
			}
			SEEDED(seed, slab.used == used);
		}
		for (u32 i = 0; i < objects_max; i++)
			if (out[i].ptr)
				slab_put(&slab, out[i].ptr);
		slab_done(&slab);
	}
}

static void leak(void)
{
	struct slab slab;
	void *object;

	slab_init(&slab, "test", 16, 2);
	object = slab_get(&slab);
	if (object)
		slab_done(&slab);
}

static void put_too_much(void)
{
	struct slab slab;
	char object[16];

	slab_init(&slab, "test", 16, 2);
	slab_put(&slab, object);
}

static void mistakes_are_found(void **state)
{
	(void)state;
	assert_true(aborts(leak));
	assert_true(aborts(put_too_much));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounded_and_counted),
		cmocka_unit_test(limit_holds_for_reused_objects),
		cmocka_unit_test(objects_do_not_overlap),
		cmocka_unit_test(mistakes_are_found),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
