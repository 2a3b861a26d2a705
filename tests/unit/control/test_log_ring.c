// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"

// The body of record `number`: its length and bytes follow from the number alone.
static size_t make_body(u64 seed, u64 number, char *buffer, u32 max)
{
	struct rng rng;
	size_t len;

	rng_init(&rng, seed ^ (number * 0x9e3779b97f4a7c15u));
	len = 8 + rng_below(&rng, max - 8);
	memcpy(buffer, &number, 8);
	for (size_t i = 8; i < len; i++)
		buffer[i] = (char)rng_u64(&rng);
	return len;
}

static bool put_number(struct log_ring *ring, u64 seed, u64 number, u32 max)
{
	char body[512];
	size_t len = make_body(seed, number, body, max);

	return log_ring_put(ring, LOG_RECORD_LINE, (enum log_level)(1 + number % 6), (i64)number,
		str_make(body, len));
}

// Takes one record, which must be exactly as it was put; gives its number.
static u64 take_number(struct log_ring *ring, u64 seed, u32 max)
{
	struct log_record record;
	char body[512];
	u64 number;

	assert_true(log_ring_peek(ring, &record));
	assert_true(record.body.len >= 8);
	memcpy(&number, record.body.ptr, 8);
	assert_int_equal(record.body.len, make_body(seed, number, body, max));
	assert_memory_equal(record.body.ptr, body, record.body.len);
	assert_int_equal(record.wall_ms, number);
	assert_int_equal(record.level, 1 + number % 6);
	assert_int_equal(record.kind, LOG_RECORD_LINE);
	log_ring_next(ring);
	return number;
}

static void test_full_ring_drops_and_counts(void **state)
{
	struct log_ring ring;
	struct log_record record;
	u64 kept = 0;

	(void)state;
	log_ring_init(&ring, 1024, NULL);
	for (u64 i = 0; i < 100; i++)
		kept += put_number(&ring, 1, i, 60);
	assert_in_range(kept, 1024 / 80, 1024 / 32);
	assert_int_equal(log_ring_dropped(&ring), 100 - kept);
	for (u64 i = 0; i < kept; i++)
		take_number(&ring, 1, 60);
	assert_false(log_ring_peek(&ring, &record));
	assert_true(log_ring_is_empty(&ring));
	assert_true(put_number(&ring, 1, 7, 60)); // there is room again
	assert_int_equal(take_number(&ring, 1, 60), 7);
	log_ring_done(&ring);
}

static void test_body_sizes(void **state)
{
	static char body[300];
	struct log_ring ring;
	struct log_record record;

	(void)state;
	log_ring_init(&ring, 1024, NULL);
	for (size_t len = 0; len <= 256; len++) {
		assert_true(
			log_ring_put(&ring, LOG_RECORD_ACCESS, LOG_INFO, 5, str_make(body, len)));
		assert_true(log_ring_peek(&ring, &record));
		assert_int_equal(record.body.len, len);
		assert_int_equal(record.kind, LOG_RECORD_ACCESS);
		log_ring_next(&ring);
	}
	assert_false(log_ring_put(&ring, LOG_RECORD_ACCESS, LOG_INFO, 5, str_make(body, 257)));
	assert_int_equal(log_ring_dropped(&ring), 1);
	log_ring_done(&ring);
}

// One thread, all interleavings a seed comes up with, against a counter as the model: what is kept
// comes out in order and unharmed, and every record is either kept or counted.
static void test_any_interleaving(void **state)
{
	u64 dropped = 0;

	(void)state;
	for (u64 seed = 0; seed < 300; seed++) {
		struct log_ring ring;
		struct rng rng;
		u64 kept[4096], put = 0, taken = 0, count = 0;
		u32 max;

		rng_init(&rng, seed);
		max = 9 + rng_below(&rng, 247);
		log_ring_init(&ring, 1024u << rng_below(&rng, 3), NULL);
		for (int i = 0; i < 1000; i++) {
			if (!rng_one_in(&rng, 2 + (u32)(seed & 1))) {
				if (put_number(&ring, seed, put++, max))
					kept[count++] = put - 1;
			} else if (taken < count) {
				SEEDED(seed, take_number(&ring, seed, max) == kept[taken++]);
			}
			SEEDED(seed, log_ring_is_empty(&ring) == (taken == count));
		}
		SEEDED(seed, log_ring_dropped(&ring) == put - count);
		dropped += put - count;
		log_ring_done(&ring);
	}
	assert_true(dropped > 1000); // full rings did occur
}

struct race {
	struct log_ring ring;
	u64 seed, total, kept;
	_Atomic(bool) over;
};

enum { RACE_BODY_MAX = 200 };

static void *produce(void *context)
{
	struct race *race = context;

	for (u64 number = 0; number < race->total; number++)
		race->kept += put_number(&race->ring, race->seed, number, RACE_BODY_MAX);
	atomic_store(&race->over, true);
	return NULL;
}

// Two threads at once: numbers only grow, bodies are whole, taken + dropped = put.
static void test_two_threads(void **state)
{
	(void)state;
	for (u64 seed = 0; seed < 10; seed++) {
		struct race race = {.seed = seed, .total = 20000};
		u64 taken = 0, last = 0;
		pthread_t thread;

		log_ring_init(&race.ring, 4096, NULL);
		assert_int_equal(pthread_create(&thread, NULL, produce, &race), 0);
		for (;;) {
			bool over = atomic_load(&race.over);
			struct log_record record;

			if (log_ring_peek(&race.ring, &record)) {
				u64 number = take_number(&race.ring, seed, RACE_BODY_MAX);

				SEEDED(seed, taken == 0 || number > last);
				last = number;
				taken++;
			} else if (over) {
				break;
			} else {
				sched_yield();
			}
		}
		pthread_join(thread, NULL);
		SEEDED(seed, taken == race.kept);
		SEEDED(seed, taken + log_ring_dropped(&race.ring) == race.total);
		log_ring_done(&race.ring);
	}
}

static bool take_wake(const struct log_wake *wake)
{
	struct pollfd ready = {.fd = wake->fd, .events = POLLIN};
	u64 count;

	if (poll(&ready, 1, 0) == 0)
		return false;
	assert_int_equal(read(wake->fd, &count, sizeof(count)), sizeof(count));
	return true;
}

static void test_wakes_only_when_needed(void **state)
{
	struct log_wake wake = {.fd = eventfd(0, EFD_NONBLOCK)};
	struct log_ring ring;
	int until_half = 0;

	(void)state;
	assert_true(wake.fd >= 0);
	log_ring_init(&ring, 1024, &wake);
	assert_true(put_number(&ring, 3, 0, 9));
	assert_false(take_wake(&wake)); // nobody sleeps

	atomic_store(&wake.asleep, true);
	assert_true(put_number(&ring, 3, 1, 9));
	assert_true(take_wake(&wake));
	assert_true(put_number(&ring, 3, 2, 9));
	assert_false(take_wake(&wake)); // once is enough

	while (!take_wake(&wake)) { // awake but slow: told once when the ring is half full
		assert_true(put_number(&ring, 3, 3, 9));
		until_half++;
	}
	assert_int_equal(until_half, 512 / 32 - 3 + 1);
	while (put_number(&ring, 3, 4, 9))
		;
	assert_false(take_wake(&wake));
	close(wake.fd);
	log_ring_done(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_ring_drops_and_counts),
		cmocka_unit_test(test_body_sizes),
		cmocka_unit_test(test_any_interleaving),
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_wakes_only_when_needed),
	};

	return cmocka_run_group_tests_name("log_ring", tests, NULL, NULL);
}
