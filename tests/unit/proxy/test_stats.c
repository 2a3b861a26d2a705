// SPDX-License-Identifier: Apache-2.0
// What is counted of requests that are over: that nothing is lost whatever comes, that nothing
// grows beyond its bound, and that readers on other threads never see half of anything.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/rng.h"
#include "proxy/stats.h"

enum { frontends_max = 4, pools_max = 8, backends_max = 24 * 1024 };

struct scene {
	struct snapshot snapshot;
	struct frontend frontends[frontends_max];
	struct pool pools[pools_max];
	struct backend backends[backends_max];
	struct stats *stats;
};

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	u32 each = backends_max / pools_max;

	assert_non_null(scene);
	for (u32 i = 0; i < frontends_max; i++)
		scene->frontends[i].index = i;
	for (u32 i = 0; i < pools_max; i++) {
		scene->pools[i].index = i;
		scene->pools[i].backends = &scene->backends[i * each];
		scene->pools[i].backend_count = each;
	}
	for (u32 i = 0; i < backends_max; i++) {
		scene->backends[i].cell = i;
		scene->backends[i].pool = &scene->pools[i / each];
	}
	scene->snapshot =
		(struct snapshot){.slots = slots_new(1, backends_max, pools_max, frontends_max),
			.frontend_count = frontends_max,
			.pool_count = pools_max,
			.backend_count = backends_max};
	scene->stats = stats_new(&scene->snapshot);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	stats_free(scene->stats);
	slots_free(scene->snapshot.slots);
	free(scene);
	return 0;
}

// A GET that backend 0 of pool 0 answered.
static struct stats_entry entry_of(const struct scene *scene)
{
	return (struct stats_entry){.frontend = &scene->frontends[0],
		.pool = &scene->pools[0],
		.backend = &scene->backends[0],
		.bytes_in = 10,
		.bytes_out = 1000,
		.total_us = 400,
		.spent_us = 300,
		.queue_us = STATS_NO_TIME,
		.connect_us = STATS_NO_TIME,
		.first_byte_us = 200,
		.status = 200,
		.method = HTTP_GET,
		.was_sent = true};
}

static struct stats_sum sum_all(const struct scene *scene)
{
	const struct stats *all[] = {scene->stats};
	struct stats_sum sum;

	stats_sum_all(all, 1, &sum);
	return sum;
}

static void test_a_request(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_count counts[STATS_COUNTS_MAX];
	const struct stats_row *row;

	stats_note(scene->stats, &entry);
	stats_note(scene->stats, &entry);
	assert_int_equal(stats_row_count(scene->stats), 2);
	row = stats_row(scene->stats, 1);
	assert_int_equal(row->frontend, entry.frontend->index);
	assert_int_equal(row->pool, entry.pool->index);
	assert_int_equal(row->backend, entry.backend->cell);
	assert_int_equal(stats_row_counts(scene->stats, row, counts), 1);
	assert_int_equal(counts[0].count, 2);
	assert_int_equal(counts[0].status, 200);
	assert_int_equal(counts[0].method, HTTP_GET);
	assert_int_equal(row->bytes_in, 20);
	assert_int_equal(row->bytes_out, 2000);
	assert_int_equal(row->errors, 0);
	assert_int_equal(histogram_count(&row->spent), 2);
	assert_int_equal(row->spent.sum_us, 600);
	assert_int_equal(row->flow->total.sum_us, 800);
	assert_int_equal(row->flow->first_byte.sum_us, 400);
	assert_int_equal(histogram_count(&row->flow->queue), 0);
	assert_int_equal(histogram_count(&row->flow->connect), 0);
	assert_int_equal(row->flow->request.sum, 20);
	assert_int_equal(row->flow->response.sum, 2000);
}

static void test_rare_ends(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_sum sum;

	entry.queue_us = 7000;
	entry.connect_us = 90;
	stats_note(scene->stats, &entry);
	entry = entry_of(scene);
	entry.status = 503; // nobody could be asked
	entry.error = true;
	entry.backend = NULL;
	entry.was_sent = false;
	entry.first_byte_us = STATS_NO_TIME;
	stats_note(scene->stats, &entry);
	entry.pool = NULL; // no route
	entry.error = false;
	entry.status = 404;
	stats_note(scene->stats, &entry);
	entry = entry_of(scene);
	entry.status = 101;
	entry.upgraded = true;
	entry.bytes_in = 1 << 20;
	stats_note(scene->stats, &entry);
	sum = sum_all(scene);
	assert_int_equal(sum.requests, 4);
	assert_int_equal(sum.errors, 1);
	assert_int_equal(sum.client_errors, 1);
	assert_int_equal(sum.upgrades, 1);
	assert_int_equal(sum.classes[1], 1);
	assert_int_equal(sum.classes[2], 1);
	assert_int_equal(sum.classes[4], 1);
	assert_int_equal(sum.classes[5], 1);
	assert_int_equal(stats_row_count(scene->stats), 4);
	assert_int_equal(stats_flow_count(scene->stats), 3);
	assert_int_equal(stats_flow(scene->stats, 1)->queue.sum_us, 7000);
	assert_int_equal(stats_flow(scene->stats, 1)->connect.sum_us, 90);
	assert_int_equal(stats_flow(scene->stats, 1)->request.sum, 20); // without the tunnel
	assert_int_equal(sum.bytes_in, 30 + (1 << 20));
}

static void test_tcp(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_sum sum;

	entry.tcp = true;
	entry.status = 0;
	entry.method = HTTP_OTHER_METHOD;
	stats_note(scene->stats, &entry);
	entry.error = true;
	stats_note(scene->stats, &entry);
	sum = sum_all(scene);
	assert_int_equal(sum.requests, 2);
	assert_int_equal(sum.errors, 1);
	assert_int_equal(sum.classes[0], 2);
	assert_int_equal(stats_flow(scene->stats, 1)->request.sum, 0);
	assert_int_equal(histogram_count(&stats_flow(scene->stats, 1)->total), 2);
}

static u64 count_all(const struct scene *scene, u32 *ret_series)
{
	struct stats_count counts[STATS_COUNTS_MAX];
	u64 sum = 0;

	*ret_series = 0;
	for (u32 i = 0; i < stats_row_count(scene->stats); i++) {
		u32 count = stats_row_counts(scene->stats, stats_row(scene->stats, i), counts);

		*ret_series += count;
		for (u32 k = 0; k < count; k++)
			sum += counts[k].count;
	}
	return sum;
}

// A backend that answers with every status there is, to every method.
static void test_series_of_a_row_are_bounded(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	u32 series;
	u64 noted = 0;

	for (u16 status = 100; status < 1000; status++)
		for (u8 method = 0; method <= HTTP_CONNECT; method++) {
			entry.status = status;
			entry.method = method;
			stats_note(scene->stats, &entry);
			noted++;
		}
	assert_int_equal(count_all(scene, &series), noted);
	assert_in_range(series, STATS_SLOTS + STATS_MORE_OF_ROW_MAX, STATS_COUNTS_MAX);
	assert_int_equal(sum_all(scene).requests, noted);
	assert_int_equal(sum_all(scene).classes[2], 1000);
	assert_int_equal(sum_all(scene).classes[5], 5000); // above 599 too
}

// The same for many backends: what all of them share is bounded as well.
static void test_series_of_all_rows_are_bounded(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	enum { rows = 1000, statuses = 50 };
	u32 series;

	for (u32 i = 0; i < rows; i++)
		for (u16 status = 200; status < 200 + statuses; status++) {
			entry.backend = &scene->backends[i];
			entry.status = status;
			stats_note(scene->stats, &entry);
		}
	assert_int_equal(count_all(scene, &series), rows * statuses);
	assert_in_range(series, STATS_MORE_MAX, STATS_MORE_MAX + rows * (STATS_SLOTS + 1));
	assert_int_equal(sum_all(scene).classes[2], rows * statuses);
}

// More pairs of frontend and backend than there are rows: the rest is counted by nobody's name.
static void test_rows_are_bounded(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	u64 noted = 0;

	for (u32 pass = 0; pass < 2; pass++)
		for (u32 i = 0; i < backends_max; i++, noted++) {
			entry.frontend = &scene->frontends[i % 2];
			entry.backend = &scene->backends[i];
			entry.pool = entry.backend->pool;
			stats_note(scene->stats, &entry);
		}
	assert_int_equal(stats_row_count(scene->stats), STATS_ROWS_MAX);
	assert_int_equal(stats_row(scene->stats, 0)->frontend, STATS_NOBODY);
	assert_int_equal(histogram_count(&stats_row(scene->stats, 0)->spent),
		noted - 2 * (STATS_ROWS_MAX - 1));
	assert_int_equal(sum_all(scene).requests, noted);
}

static void test_sums_by_name(void **state)
{
	struct scene *scene = *state;
	struct stats *other = stats_new(&scene->snapshot);
	const struct stats *both[] = {scene->stats, other};
	static struct stats_sum frontends[frontends_max], pools[pools_max], backends[backends_max];
	struct stats_sums sums = {.frontends = frontends,
		.pools = pools,
		.backends = backends,
		.frontend_count = frontends_max,
		.pool_count = pools_max,
		.backend_count = backends_max};
	struct stats_entry entry = entry_of(scene);
	struct stats_sum one;
	struct rng rng;

	rng_init(&rng, 7);
	for (u32 i = 0; i < 5000; i++) {
		entry.frontend = &scene->frontends[rng_below(&rng, frontends_max)];
		entry.backend = &scene->backends[rng_below(&rng, 40) * 100];
		entry.pool = entry.backend->pool;
		entry.status = rng_one_in(&rng, 3) ? 404 : 200;
		entry.spent_us = rng_below(&rng, 10000);
		entry.total_us = entry.spent_us + rng_below(&rng, 1000);
		if (rng_one_in(&rng, 10))
			entry.backend = NULL;
		if (rng_one_in(&rng, 10) && entry.backend)
			stats_note_try(scene->stats, entry.frontend, entry.backend,
				(enum stats_try)rng_below(&rng, STATS_TRIES));
		stats_note(rng_one_in(&rng, 2) ? scene->stats : other, &entry);
	}
	memset(frontends, 0, sizeof(frontends));
	memset(pools, 0, sizeof(pools));
	memset(backends, 0, sizeof(backends));
	stats_sum_each(both, 2, &sums);
	assert_int_equal(sums.all.requests, 5000);
	assert_int_equal(histogram_count(&sums.all.time), 5000);
	stats_sum_all(both, 2, &one);
	assert_memory_equal(&one, &sums.all, sizeof(one));
	for (u32 i = 0; i < frontends_max; i++) {
		stats_sum_frontend(both, 2, &scene->frontends[i], &one);
		assert_memory_equal(&one, &frontends[i], sizeof(one));
	}
	for (u32 i = 0; i < pools_max; i++) {
		stats_sum_pool(both, 2, &scene->pools[i], &one);
		assert_memory_equal(&one, &pools[i], sizeof(one));
	}
	for (u32 i = 0; i < 40; i++) {
		stats_sum_backend(both, 2, &scene->backends[i * 100], &one);
		assert_memory_equal(&one, &backends[i * 100], sizeof(one));
		assert_true(one.requests > 0);
	}
	stats_free(other);
}

static void test_the_last_second(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_sum before, between;

	entry.total_us = 2000000;
	entry.status = 502;
	entry.error = true;
	stats_note(scene->stats, &entry);
	before = sum_all(scene);
	entry = entry_of(scene);
	for (u32 i = 0; i < 100; i++)
		stats_note(scene->stats, &entry);
	between = sum_all(scene);
	stats_sum_minus(&between, &before, &between);
	assert_int_equal(between.requests, 100);
	assert_int_equal(between.errors, 0);
	assert_int_equal(between.classes[5], 0);
	assert_int_equal(between.bytes_out, 100 * 1000);
	assert_in_range(histogram_quantile_us(&between.time, 0.99), 350, 420);
	assert_int_equal(histogram_max_us(&between.time), 420);
}

static void test_exemplars(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_exemplar exemplar;
	u8 id[16];

	for (u8 i = 0; i < sizeof(id); i++)
		id[i] = (u8)(i + 1);
	stats_note(scene->stats, &entry);
	assert_false(stats_exemplar_of(stats_flow(scene->stats, 1), &exemplar));
	stats_note_trace(scene->stats, &entry, id, 1234);
	assert_true(stats_exemplar_of(stats_flow(scene->stats, 1), &exemplar));
	assert_memory_equal(exemplar.trace_id, id, sizeof(id));
	assert_int_equal(exemplar.total_us, 400);
	assert_int_equal(exemplar.wall_ms, 1234);
}

static void test_connections(void **state)
{
	struct scene *scene = *state;

	stats_note_connection(scene->stats, &scene->frontends[1], 1);
	stats_note_connection(scene->stats, &scene->frontends[1], 1);
	stats_note_connection(scene->stats, &scene->frontends[1], -1);
	assert_int_equal(stats_connections(scene->stats, &scene->frontends[1]), 1);
	assert_int_equal(stats_connections(scene->stats, &scene->frontends[0]), 0);
}

// ---- Who comes and goes -------------------------------------------------------------------------

enum { gone_backends = 100 * 1000, statuses = 30 };

// As with a provider whose machines are replaced day by day: more of them than there may be rows.
static void test_backends_that_come_and_go_need_no_more_rows(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_count counts[STATS_COUNTS_MAX];
	u32 count, plain = 0;

	for (u32 i = 0; i < gone_backends; i++) {
		entry.backend = &scene->backends[i % 3000];
		entry.pool = entry.backend->pool;
		entry.status = (u16)(200 + i % statuses); // more than a row has room for
		stats_note(scene->stats, &entry);
		entry.status = 200;
		stats_note(scene->stats, &entry);
		stats_forget_backend(scene->stats, entry.backend->cell);
	}
	assert_in_range(stats_row_count(scene->stats), 2, 3);
	assert_int_equal(stats_flow_count(scene->stats), 2);
	assert_int_equal(sum_all(scene).requests, 2 * gone_backends);
	assert_int_equal(sum_all(scene).bytes_out, 2000ull * gone_backends);
	count = stats_row_counts(scene->stats, stats_row(scene->stats, 1), counts);
	for (u32 i = 0; i < count; i++)
		plain += counts[i].status >= 200;
	assert_int_equal(plain, statuses); // none lost its name
	assert_int_equal(stats_row_names(stats_row(scene->stats, 1)).backend, STATS_NOBODY);
	assert_int_equal(histogram_count(&stats_row(scene->stats, 1)->spent), 2 * gone_backends);
}

static void test_pools_and_frontends_that_go(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_sum end;
	u32 noted = 0;

	for (u32 i = 0; i < 10000; i++, noted++) {
		entry.frontend = &scene->frontends[i % frontends_max];
		entry.backend = i % 5 ? &scene->backends[i % backends_max] : NULL;
		entry.pool = entry.backend ? entry.backend->pool : &scene->pools[i % pools_max];
		stats_note(scene->stats, &entry);
		stats_forget_pool(scene->stats, entry.pool->index);
		if (i % 100 == 0)
			stats_forget_frontend(scene->stats, entry.frontend->index);
	}
	assert_in_range(stats_row_count(scene->stats), 2, 2 * frontends_max + 2);
	assert_in_range(stats_flow_count(scene->stats), 2, 2 * frontends_max + 2);
	assert_int_equal(sum_all(scene).requests, noted);
	end = sum_all(scene);
	assert_int_equal(histogram_count(&end.time), noted);
	for (u32 i = 0; i < frontends_max; i++)
		stats_forget_frontend(scene->stats, i);
	assert_int_equal(sum_all(scene).requests, noted);
	assert_int_equal(stats_row_names(stats_row(scene->stats, 1)).frontend, STATS_NOBODY);
}

// A row that was given up is that of somebody else, with nothing of its former owner.
static void test_an_empty_row_has_a_new_owner(void **state)
{
	struct scene *scene = *state;
	struct stats_entry entry = entry_of(scene);
	struct stats_count counts[STATS_COUNTS_MAX];
	const struct stats_row *row;

	for (u32 i = 0; i < 2; i++) {
		entry.backend = &scene->backends[i];
		entry.status = (u16)(500 + i);
		stats_note(scene->stats, &entry);
	}
	stats_forget_backend(scene->stats, 0);
	stats_forget_backend(scene->stats, 1);
	entry.backend = &scene->backends[2];
	entry.status = 204;
	stats_note(scene->stats, &entry);
	row = stats_row(scene->stats, 2);
	assert_int_equal(stats_row_names(row).backend, 2);
	assert_int_equal(stats_row_counts(scene->stats, row, counts), 1);
	assert_int_equal(counts[0].status, 204);
	assert_int_equal(histogram_count(&row->spent), 1);
	assert_int_equal(sum_all(scene).requests, 3);
}

// ---- Threads ------------------------------------------------------------------------------------

enum { raced_requests = 300 * 1000 };

static void *write_all(void *context)
{
	struct scene *scene = context;
	struct stats_entry entry = entry_of(scene);
	struct rng rng;
	u8 id[16];

	rng_init(&rng, 3);
	for (u32 i = 0; i < raced_requests; i++) {
		entry.frontend = &scene->frontends[i % frontends_max];
		entry.backend = &scene->backends[rng_below(&rng, 2000)];
		entry.pool = entry.backend->pool;
		entry.status = (u16)(200 + rng_below(&rng, 100));
		entry.total_us = entry.spent_us = 1 + rng_below(&rng, 100000);
		stats_note(scene->stats, &entry);
		memset(id, (int)(entry.total_us & 0xff), sizeof(id)); // it has to fit the time
		if (i % 16 == 0)
			stats_note_trace(scene->stats, &entry, id, 1);
	}
	return NULL;
}

static void check_exemplars(const struct scene *scene)
{
	for (u32 i = 0; i < stats_flow_count(scene->stats); i++) {
		struct stats_exemplar exemplar;

		if (!stats_exemplar_of(stats_flow(scene->stats, i), &exemplar))
			continue;
		assert_int_equal(exemplar.trace_id[0], exemplar.trace_id[1]);
		assert_int_equal(exemplar.trace_id[0] & 0xff, exemplar.total_us & 0xff);
	}
}

static void test_readers_see_whole_rows(void **state)
{
	struct scene *scene = *state;
	struct stats_sum end;
	pthread_t thread;
	u64 seen = 0;

	assert_int_equal(pthread_create(&thread, NULL, write_all, scene), 0);
	while (seen < raced_requests) {
		struct stats_sum sum = sum_all(scene);
		u32 rows = stats_row_count(scene->stats);

		for (u32 i = 1; i < rows; i++) {
			const struct stats_row *row = stats_row(scene->stats, i);

			assert_int_equal(scene->backends[row->backend].pool->index, row->pool);
			assert_int_equal(row->flow->pool, row->pool);
			assert_int_equal(row->flow->frontend, row->frontend);
		}
		check_exemplars(scene);
		assert_true(sum.requests >= seen);
		seen = sum.requests;
	}
	pthread_join(thread, NULL);
	end = sum_all(scene);
	assert_int_equal(end.requests, raced_requests);
	assert_int_equal(histogram_count(&end.time), raced_requests);
}

static void *write_and_forget(void *context)
{
	struct scene *scene = context;
	struct stats_entry entry = entry_of(scene);

	for (u32 i = 0; i < raced_requests; i++) {
		entry.backend = &scene->backends[i % 100];
		entry.pool = entry.backend->pool;
		entry.status = (u16)(200 + i % 20);
		stats_note(scene->stats, &entry);
		if (i % 7 == 0)
			stats_forget_backend(scene->stats, entry.backend->cell);
	}
	return NULL;
}

// Counts that go over are never there twice, nor missing, for who looks whether they did.
static void test_readers_see_moves(void **state)
{
	struct scene *scene = *state;
	const struct stats *all[] = {scene->stats};
	pthread_t thread;
	u64 seen = 0;

	assert_int_equal(pthread_create(&thread, NULL, write_and_forget, scene), 0);
	while (seen < raced_requests) {
		u64 moves = stats_moves(all, 1);
		struct stats_sum sum = sum_all(scene);

		if (stats_may_have_moved(moves, stats_moves(all, 1)))
			continue;
		assert_in_range(sum.requests, seen, raced_requests);
		seen = sum.requests;
	}
	pthread_join(thread, NULL);
	assert_int_equal(sum_all(scene).requests, raced_requests);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_request),
		TEST(test_rare_ends),
		TEST(test_tcp),
		TEST(test_series_of_a_row_are_bounded),
		TEST(test_series_of_all_rows_are_bounded),
		TEST(test_rows_are_bounded),
		TEST(test_sums_by_name),
		TEST(test_the_last_second),
		TEST(test_exemplars),
		TEST(test_connections),
		TEST(test_backends_that_come_and_go_need_no_more_rows),
		TEST(test_pools_and_frontends_that_go),
		TEST(test_an_empty_row_has_a_new_owner),
		TEST(test_readers_see_whole_rows),
		TEST(test_readers_see_moves),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
