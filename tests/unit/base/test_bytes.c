// SPDX-License-Identifier: Apache-2.0
// Queues of bytes against a naive model: a flat buffer per queue. Every seed plays several hundred
// random operations on a few queues; after each one every queue must read the same as its model.
#include "base/bytes.h"

#include <errno.h>
#include <stdlib.h>

#include "test.h"

enum { queues = 4, model_max = 256 * 1024 };

struct model {
	char *data;
	size_t len;
};

struct play {
	u64 seed;
	struct rng rng;
	struct block_pool pool;
	struct bytes queues[queues];
	struct model models[queues];
	u32 refused;
};

static size_t some_len(struct rng *rng, size_t max)
{
	size_t bound = rng_one_in(rng, 5) ? max : MIN(max, (size_t)200);

	return rng_below(rng, (u32)bound + 1);
}

static void model_append(struct model *model, const char *data, size_t len)
{
	assert_true(model->len + len <= model_max);
	memcpy(model->data + model->len, data, len);
	model->len += len;
}

static void model_consume(struct model *model, size_t len)
{
	model->len -= len;
	memmove(model->data, model->data + len, model->len);
}

static void check(struct play *play, int which)
{
	const struct bytes *bytes = &play->queues[which];
	const struct model *model = &play->models[which];
	struct iovec iov[7];
	size_t at = 0, sum = 0;
	int count = bytes_peek(bytes, iov, 7);

	SEEDED(play->seed, bytes->len == model->len);
	SEEDED(play->seed, bytes_is_empty(bytes) == (model->len == 0));
	SEEDED(play->seed, !bytes->head == !bytes->tail);
	for (struct segment *segment = bytes->head; segment; segment = segment->next) {
		SEEDED(play->seed, segment->slice.block->refs > 0);
		SEEDED(play->seed, at + segment->slice.len <= model->len);
		SEEDED(play->seed,
			memcmp(model->data + at, segment->slice.ptr, segment->slice.len) == 0);
		at += segment->slice.len;
		SEEDED(play->seed, segment->next || segment == bytes->tail);
	}
	SEEDED(play->seed, at == model->len);
	for (int i = 0; i < count; i++) {
		SEEDED(play->seed, iov[i].iov_len > 0);
		SEEDED(play->seed, memcmp(model->data + sum, iov[i].iov_base, iov[i].iov_len) == 0);
		sum += iov[i].iov_len;
	}
	SEEDED(play->seed, count == 7 || sum == model->len);
}

static void do_write(struct play *play, int which)
{
	static char data[20000];
	size_t len = some_len(&play->rng, sizeof(data));
	int result;

	for (size_t i = 0; i < len; i++)
		data[i] = (char)rng_u64(&play->rng);
	result = bytes_write(&play->pool, &play->queues[which], data, len);
	if (result == 0)
		model_append(&play->models[which], data, len);
	else
		play->refused++;
	SEEDED(play->seed, result == 0 || result == -ENOMEM);
}

static void do_write_bulk(struct play *play, int which)
{
	static char data[40000];
	size_t len = some_len(&play->rng, sizeof(data));
	struct bytes *queue = &play->queues[which];
	size_t before = queue->len;
	int result;

	for (size_t i = 0; i < len; i++)
		data[i] = (char)rng_u64(&play->rng);
	result = bytes_write_bulk(&play->pool, queue, data, len);
	SEEDED(play->seed, result == 0 || result == -ENOMEM);
	SEEDED(play->seed, result ? queue->len < before + len : queue->len == before + len);
	play->refused += result != 0;
	model_append(&play->models[which], data, queue->len - before);
}

// A receive: a block of which some is used, appended in one or two slices.
static void do_append(struct play *play, int which)
{
	struct block *block = block_get(&play->pool, rng_one_in(&play->rng, 2));
	size_t len, cut;
	struct slice first, second;

	if (!block) {
		play->refused++;
		return;
	}
	len = some_len(&play->rng, BLOCK_BYTES);
	cut = len ? rng_below(&play->rng, (u32)len + 1) : 0;
	for (size_t i = 0; i < len; i++)
		block->data[i] = (char)rng_u64(&play->rng);
	first = (struct slice){.block = block, .ptr = block->data, .len = cut};
	second = (struct slice){.block = block, .ptr = block->data + cut, .len = len - cut};
	block_ref(block);
	// The data must be read before a failing append may free the block.
	block_ref(block);
	if (bytes_append(&play->pool, &play->queues[which], first) == 0)
		model_append(&play->models[which], block->data, cut);
	else
		play->refused++;
	if (bytes_append(&play->pool, &play->queues[which], second) == 0)
		model_append(&play->models[which], block->data + cut, len - cut);
	else
		play->refused++;
	block_unref(block);
}

static void do_reserve(struct play *play, int which)
{
	size_t len = 1 + some_len(&play->rng, BLOCK_SMALL_BYTES - 1);
	size_t filled = rng_below(&play->rng, (u32)len + 1);
	char *room = bytes_reserve(&play->pool, &play->queues[which], len);

	if (!room) {
		play->refused++;
		return;
	}
	for (size_t i = 0; i < len; i++)
		room[i] = (char)rng_u64(&play->rng);
	bytes_commit(&play->queues[which], filled);
	model_append(&play->models[which], room, filled);
}

static void do_consume(struct play *play, int which)
{
	size_t len = some_len(&play->rng, play->queues[which].len);

	bytes_consume(&play->queues[which], len);
	model_consume(&play->models[which], len);
}

static void do_pop(struct play *play, int which)
{
	int to = (int)rng_below(&play->rng, queues);
	struct slice slice;

	if (!play->queues[which].head)
		return;
	slice = bytes_pop(&play->queues[which]);
	SEEDED(play->seed, memcmp(slice.ptr, play->models[which].data, slice.len) == 0);
	model_consume(&play->models[which], slice.len);
	if (rng_one_in(&play->rng, 2)) {
		slice_drop(&slice);
		assert_null(slice.block);
		return;
	}
	block_ref(slice.block);
	if (bytes_append(&play->pool, &play->queues[to], slice) == 0)
		model_append(&play->models[to], slice.ptr, slice.len);
	else
		play->refused++;
	block_unref(slice.block);
}

static void do_move(struct play *play, int which)
{
	int to = (int)rng_below(&play->rng, queues);

	if (to == which || play->models[to].len + play->models[which].len > model_max / 2)
		return;
	bytes_move_all(&play->queues[to], &play->queues[which]);
	model_append(&play->models[to], play->models[which].data, play->models[which].len);
	play->models[which].len = 0;
}

static void do_drop(struct play *play, int which)
{
	struct bytes *bytes = &play->queues[which];

	if (bytes->head && !bytes->head->next && rng_one_in(&play->rng, 2))
		bytes_drop_only(bytes);
	else
		bytes_clear(bytes);
	play->models[which].len = 0;
}

static void play_one(struct play *play)
{
	int which = (int)rng_below(&play->rng, queues);

	// Queues that grow too long are emptied rather than refused.
	if (play->models[which].len > model_max / 2)
		do_drop(play, which);
	switch (rng_below(&play->rng, 12)) {
	case 0:
	case 1:
		do_write(play, which);
		break;
	case 2:
		do_write_bulk(play, which);
		break;
	case 3:
	case 4:
		do_append(play, which);
		break;
	case 5:
	case 6:
		do_reserve(play, which);
		break;
	case 7:
	case 8:
		do_consume(play, which);
		break;
	case 9:
		do_pop(play, which);
		break;
	case 10:
		do_move(play, which);
		break;
	default:
		if (rng_one_in(&play->rng, 4))
			do_drop(play, which);
	}
}

static void queues_equal_their_models(void **state)
{
	u32 refused = 0;

	(void)state;
	for (u64 seed = 1; seed <= 120; seed++) {
		struct play play = {.seed = seed};

		rng_init(&play.rng, seed);
		// Every third pool is too small, so that refusals are part of the game.
		if (seed % 3)
			block_pool_init(&play.pool, 64, 512);
		else
			block_pool_init(&play.pool, 6, 12);
		for (int i = 0; i < queues; i++)
			play.models[i].data = malloc(model_max);
		for (u32 step = 0; step < 250; step++) {
			play_one(&play);
			for (int i = 0; i < queues; i++)
				check(&play, i);
		}
		for (int i = 0; i < queues; i++) {
			bytes_clear(&play.queues[i]);
			free(play.models[i].data);
		}
		refused += play.refused;
		// Asserts that every block and segment came back.
		block_pool_done(&play.pool);
	}
	assert_true(refused > 0);
}

static void clients_leave_a_quarter(void **state)
{
	struct block_pool pool;
	struct block *blocks[16];
	u32 count = 0;

	(void)state;
	block_pool_init(&pool, 16, 4);
	while ((blocks[count] = block_get(&pool, false)))
		count++;
	assert_int_equal(count, 12);
	while (count < 16 && (blocks[count] = block_get(&pool, true)))
		count++;
	assert_int_equal(count, 16);
	assert_null(block_get(&pool, true));
	while (count)
		block_unref(blocks[--count]);
	block_pool_done(&pool);
}

static void small_pieces_do_not_hold_large_blocks(void **state)
{
	struct block_pool pool;
	struct bytes bytes = {0};
	struct block *block;

	(void)state;
	block_pool_init(&pool, 4, 4);
	block = block_get(&pool, true);
	assert_non_null(block);
	memset(block->data, 'x', BYTES_COPY_MAX);
	assert_int_equal(
		bytes_append(&pool, &bytes,
			(struct slice){.block = block, .ptr = block->data, .len = BYTES_COPY_MAX}),
		0);
	assert_int_equal(pool.large.used, 0);
	assert_int_equal(bytes.len, BYTES_COPY_MAX);
	// A piece of text without a block is copied whatever its size.
	assert_int_equal(bytes_append(&pool, &bytes, (struct slice){.ptr = "static", .len = 6}), 0);
	assert_int_equal(bytes.len, BYTES_COPY_MAX + 6);
	bytes_clear(&bytes);
	block_pool_done(&pool);
}

// A large one serves in place of a small one; and a piece that cannot be copied keeps its own.
static void without_small_blocks_large_ones_serve(void **state)
{
	struct block_pool pool;
	struct bytes bytes[4] = {0};
	struct block *block;

	(void)state;
	block_pool_init(&pool, 4, 1);
	assert_int_equal(bytes_write(&pool, &bytes[0], "a", 1), 0);
	assert_int_equal(pool.small.used, 1);
	assert_int_equal(bytes_write(&pool, &bytes[1], "bc", 2), 0);
	assert_int_equal(pool.large.used, 1);
	assert_int_equal(bytes_held(&bytes[1]), BLOCK_BYTES);
	assert_int_equal(bytes_write(&pool, &bytes[1], "d", 1), 0);
	assert_int_equal(pool.large.used, 1);
	block = block_get(&pool, true);
	assert_int_equal(bytes_write(&pool, &bytes[2], "e", 1), 0);
	assert_int_equal(bytes_write(&pool, &bytes[3], "f", 1), 0);
	assert_int_equal(pool.large.used, 4);
	bytes_clear(&bytes[2]);
	assert_non_null(block);
	block->data[0] = 'g';
	block_ref(block);
	assert_int_equal(bytes_write(&pool, &bytes[2], "e", 1), 0);
	bytes_clear(&bytes[0]);
	assert_int_equal(bytes_write(&pool, &bytes[0], "h", 1), 0);
	bytes_clear(&bytes[3]);
	assert_int_equal(bytes_write(&pool, &bytes[3], "i", 1), 0);
	bytes_clear(&bytes[1]);
	// Here the last large block would be taken for the copy; then there is none.
	for (u32 i = 0; i < 2; i++) {
		struct bytes other = {0};

		assert_int_equal(
			bytes_append(&pool, i ? &other : &bytes[1],
				(struct slice){.block = block, .ptr = block->data, .len = 1}),
			0);
		assert_int_equal(pool.large.used, 4);
		bytes_clear(&other);
	}
	for (u32 i = 0; i < ARRAY_LEN(bytes); i++)
		bytes_clear(&bytes[i]);
	block_pool_done(&pool);
}

static void empty_slices_are_nothing(void **state)
{
	struct block_pool pool;
	struct bytes bytes = {0};
	struct block *block;

	(void)state;
	block_pool_init(&pool, 4, 4);
	block = block_get(&pool, true);
	assert_non_null(block);
	assert_int_equal(
		bytes_append(&pool, &bytes, (struct slice){.block = block, .ptr = block->data}), 0);
	assert_int_equal(pool.large.used, 0);
	assert_int_equal(bytes_write(&pool, &bytes, "", 0), 0);
	assert_true(bytes_is_empty(&bytes));
	bytes_clear(&bytes);
	block_pool_done(&pool);
}

static void sized_blocks(void **state)
{
	static const size_t sizes[] = {
		1, BLOCK_SMALL_BYTES, BLOCK_SMALL_BYTES + 1, BLOCK_BYTES, BLOCK_BYTES + 1, 100000};
	struct block_pool pool;
	struct block *huge[3];

	(void)state;
	block_pool_init(&pool, 8, 4);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct block *block = block_get_sized(&pool, sizes[i]);

		assert_non_null(block);
		assert_true(block->size >= sizes[i] && block->used == 0 && block->refs == 1);
		memset(block->data, 1, block->size);
		block_unref(block);
	}
	huge[0] = block_get_sized(&pool, 50000);
	huge[1] = block_get_sized(&pool, 50000);
	huge[2] = block_get_sized(&pool, 50000);
	assert_true(huge[0] && huge[1] && !huge[2]);
	block_unref(huge[0]);
	block_unref(huge[1]);
	block_pool_done(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_equal_their_models),
		cmocka_unit_test(clients_leave_a_quarter),
		cmocka_unit_test(small_pieces_do_not_hold_large_blocks),
		cmocka_unit_test(empty_slices_are_nothing),
		cmocka_unit_test(without_small_blocks_large_ones_serve),
		cmocka_unit_test(sized_blocks),
	};

	return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
