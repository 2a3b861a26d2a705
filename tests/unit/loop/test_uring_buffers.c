// SPDX-License-Identifier: Apache-2.0
// How many blocks are lent to the kernel: the test takes them out of the ring in its place.
#include "loop/uring_buffers.h"

#include <stdio.h>

#include "base/mem.h"
#include "world.h"

enum { blocks_max = 400, first = 16, easy_refills = 64 };

struct scene {
	struct io_uring uring;
	struct block_pool pool;
	struct buffers buffers;
};

static int set_up(void **state)
{
	struct scene *scene = mem_alloc(sizeof(*scene));

	*scene = (struct scene){0};
	assert_int_equal(io_uring_queue_init(8, &scene->uring, 0), 0);
	block_pool_init(&scene->pool, blocks_max, 8);
	assert_int_equal(buffers_init(&scene->buffers, &scene->uring, &scene->pool), 0);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	io_uring_queue_exit(&scene->uring);
	buffers_done(&scene->buffers);
	block_pool_done(&scene->pool);
	mem_free(scene);
	return 0;
}

static struct buffer_ring *client_ring(struct scene *scene)
{
	return &scene->buffers.rings[GROUP_CLIENT];
}

static void use(struct scene *scene, u32 count)
{
	struct buffer_ring *ring = client_ring(scene);

	for (u32 id = 0; id < ring->entries && count; id++) {
		if (!ring->by_id[id])
			continue;
		block_unref(buffers_take(&scene->buffers, GROUP_CLIENT, (u16)id));
		count--;
	}
	assert_int_equal(count, 0);
}

static void grow_to(struct scene *scene, u32 wanted)
{
	while (client_ring(scene)->wanted < wanted) {
		buffers_want_more(&scene->buffers, GROUP_CLIENT);
		buffers_refill(&scene->buffers);
	}
	assert_int_equal(client_ring(scene)->lent, wanted);
}

static void test_a_few_at_first(void **state)
{
	struct scene *scene = *state;

	buffers_refill(&scene->buffers);
	assert_int_equal(client_ring(scene)->lent, first);
	use(scene, 5);
	buffers_refill(&scene->buffers);
	assert_int_equal(client_ring(scene)->lent, first);
}

// Sixteen connections that find the ring empty in one turn have met one shortage.
static void test_a_shortage_doubles_once(void **state)
{
	struct scene *scene = *state;

	buffers_refill(&scene->buffers);
	use(scene, first);
	for (int i = 0; i < 16; i++)
		buffers_want_more(&scene->buffers, GROUP_CLIENT);
	buffers_refill(&scene->buffers);
	assert_int_equal(client_ring(scene)->lent, 2 * first);
}

static void test_what_is_not_needed_goes(void **state)
{
	struct scene *scene = *state;

	grow_to(scene, 8 * first);
	for (u32 wanted = 8 * first; wanted > first; wanted /= 2) {
		assert_int_equal(client_ring(scene)->wanted, wanted);
		for (int i = 0; i < easy_refills; i++)
			buffers_refill(&scene->buffers);
	}
	for (int i = 0; i < 3 * easy_refills; i++)
		buffers_refill(&scene->buffers);
	assert_int_equal(client_ring(scene)->wanted, first);
	// The blocks that are too many leave as the kernel uses them.
	assert_int_equal(client_ring(scene)->lent, 8 * first);
	use(scene, 7 * first + 1);
	buffers_refill(&scene->buffers);
	assert_int_equal(client_ring(scene)->lent, first);
}

static void test_what_bursts_need_stays(void **state)
{
	struct scene *scene = *state;

	grow_to(scene, 8 * first);
	for (int i = 0; i < 10 * easy_refills; i++) {
		if (i % (easy_refills - 1) == 0)
			use(scene, 4 * first + 1);
		buffers_refill(&scene->buffers);
		assert_int_equal(client_ring(scene)->wanted, 8 * first);
	}
}

static void test_never_more_than_the_ring_holds(void **state)
{
	struct scene *scene = *state;
	struct buffer_ring *ring = client_ring(scene);

	for (int i = 0; i < 20; i++) {
		buffers_want_more(&scene->buffers, GROUP_CLIENT);
		buffers_refill(&scene->buffers);
	}
	assert_int_equal(ring->wanted, ring->wanted_max);
	assert_true(ring->lent <= ring->entries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_few_at_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_shortage_doubles_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_not_needed_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_bursts_need_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_never_more_than_the_ring_holds, set_up, tear_down),
	};

	const char *missing = loop_uring_missing();

	if (missing) {
		printf("skipped: %s\n", missing);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
