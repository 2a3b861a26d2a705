// SPDX-License-Identifier: Apache-2.0
// What is written at the end of a request is what is read, by readers in other threads too, and a
// failure is not pushed out by successes.
#include "scene.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/record.h"
#include "proxy/request.h"

enum { backends = 5 };

struct stage {
	struct scene *scene;
	struct loop loop; // only its clocks
	struct snapshot snapshot;
	struct records *records;
	struct record record;
};

static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct scene *scene;

	assert_int_equal(scene_set_up((void **)&stage->scene), 0);
	scene = stage->scene;
	stage->records = records_new(3);
	stage->snapshot.generation = 7;
	scene->proxy.loop = &stage->loop;
	scene->proxy.snapshot = scene->hold.snapshot = &stage->snapshot;
	scene->proxy.records = stage->records;
	scene->frontend.index = 2;
	scene->frontend.place = 2 | 0xffff0000;
	scene->pool.index = 4;
	scene->pool.backend_count = backends;
	for (u32 i = 0; i < backends; i++)
		scene->backends[i] = (struct backend){
			.id = STR("b"), .pool = &scene->pool, .index = i, .cell = i};
	*state = stage;
	return 0;
}

static int tear_down(void **state)
{
	struct stage *stage = *state;
	void *scene = stage->scene;

	records_free(stage->records);
	scene_tear_down(&scene);
	free(stage);
	return 0;
}

// A request that began `age_us` ago and is answered now.
static struct exchange *prepare(struct stage *stage, u64 now_us, u64 age_us)
{
	struct scene *scene = stage->scene;
	struct exchange *x = &scene->x;

	stage->loop.now_us = now_us;
	x->attempt = &x->tries[0];
	x->second = NULL;
	x->history = NULL;
	x->attempt->lease.reused = true;
	x->attempt->pick.backend = x->backend = &scene->backends[1];
	x->attempts = 1;
	x->began_us = x->headed_us = now_us - age_us;
	x->headed_wall_ms = (i64)(1790000000000 + x->headed_us / 1000);
	x->attempt->leased_us = x->headed_us + 10;
	x->attempt->sent_us = x->headed_us + 30;
	x->answered_us = x->headed_us + 70;
	x->status = 200;
	x->outcome = OUTCOME_OK;
	x->refusal = HTTP_REFUSE_OK;
	x->failure = x->no_retry = x->pauses = x->failovers = 0;
	x->sticky = BALANCE_NONE;
	x->tcp = x->replayed = x->tunnelling = x->may_wait = x->keep_request_id = false;
	x->up.total = 12;
	x->answer.total = 345;
	x->key = 0x1234;
	pick_seen_nothing(&x->seen);
	scene->client.is_long = scene->client.trusted || scene->client.ip_len > RECORD_SHORT_IP_MAX;
	request_identify(x);
	return x;
}

static struct str id_of(const struct exchange *x)
{
	return request_id(x);
}

static const struct record *find(struct stage *stage, struct str id)
{
	assert_true(record_find(&stage->records, 1, id, &stage->record));
	return &stage->record;
}

static const struct record *add(struct stage *stage, struct exchange *x)
{
	records_add(stage->records, x);
	return find(stage, id_of(x));
}

static void an_ordinary_request(void **state)
{
	struct stage *stage = *state;
	struct exchange *x;
	const struct record *record;

	scene_peer(stage->scene, "192.0.2.111");
	scene_request(stage->scene, "/some/path/of/a/length?query=secret", "");
	x = prepare(stage, 5000000, 100);
	x->headed_us += 20;
	x->seen.eligible = 3;
	x->seen.full = 1;
	x->seen.balance.is_begun = true;
	balance_look(&x->seen.balance, 1, BALANCE_COMPARED, 2.5);
	balance_look(&x->seen.balance, 4, BALANCE_HOT, 7);
	record = add(stage, x);
	assert_memory_equal(record->id, x->request_id, 32);
	assert_int_equal(strlen(record->id), 32);
	assert_string_equal(record->path, "/some/path/of/a/length");
	assert_false(record->path_is_cut);
	assert_string_equal(record->client, "192.0.2.111");
	assert_int_equal(record->worker, 3);
	assert_int_equal(record->generation, 7);
	assert_int_equal(record->frontend, 2);
	assert_int_equal(record->route, RECORD_NOBODY);
	assert_int_equal(record->pool, 4);
	assert_int_equal(record->backend, 1);
	assert_int_equal(record->method, HTTP_GET);
	assert_int_equal(record->status, 200);
	assert_int_equal(record->outcome, OUTCOME_OK);
	assert_true(record->at_ms == x->headed_wall_ms);
	assert_int_equal(record->total_us, 100);
	assert_int_equal(record->head_us, 20);
	assert_int_equal(record->connect_us, 0);
	assert_int_equal(record->first_byte_us, 40);
	assert_int_equal(record->bytes_in, 12);
	assert_int_equal(record->bytes_out, 345);
	assert_int_equal(record->key, 0x1234);
	assert_int_equal(record->eligible, 3);
	assert_int_equal(record->full, 1);
	assert_int_equal(record->sticky, BALANCE_NONE);
	assert_true(record->reused && record->is_picked);
	assert_false(record->tcp || record->tunnelling || record->may_wait || record->by_weight);
	assert_int_equal(record->attempts, 1);
	assert_int_equal(record->try_count, 1);
	assert_int_equal(record->tries[0].pool, 4);
	assert_int_equal(record->tries[0].backend, 1);
	assert_int_equal(record->tries[0].status, 200);
	assert_int_equal(record->tries[0].ended, OUTCOME_OK);
	assert_int_equal(record->tries[0].at_us, 10);
	assert_int_equal(record->tries[0].took_us, 90);
	assert_int_equal(record->look_count, 2);
	assert_int_equal(record->looks[0].index, 1);
	assert_true(record->looks[0].cost > 2.4f && record->looks[0].cost < 2.6f);
	assert_int_equal(record->looks[1].index, 4);
	assert_int_equal(record->looks[1].verdict, BALANCE_HOT);
}

// Of any length, in the head as received and as a normal form beside it.
static void paths(void **state)
{
	struct stage *stage = *state;
	char target[256] = "/";

	for (u32 len = 1; len <= 200; len++) {
		const struct record *record;
		struct exchange *x;
		bool normalized = len % 3 == 0 && len > 4;

		target[len - 1] = len == 1 ? '/' : (char)('a' + len % 26);
		target[len] = '\0';
		if (normalized)
			memcpy(target + len, "/.", 3);
		scene_request(stage->scene, target, "");
		if (normalized)
			target[len] = '\0';
		x = prepare(stage, 1000 * len + 1000, 50);
		record = add(stage, x);
		assert_int_equal(strlen(record->path), MIN(x->path.len, (size_t)RECORD_PATH_MAX));
		assert_memory_equal(record->path, target, MIN(len, (u32)RECORD_PATH_MAX));
		assert_int_equal(record->path_is_cut, x->path.len > RECORD_PATH_MAX);
	}
}

static void what_has_no_normal_form(void **state)
{
	struct stage *stage = *state;
	struct exchange *x;

	scene_request(stage->scene, "/a?secret", "");
	x = prepare(stage, 5000, 50);
	x->path = STR_EMPTY;
	x->outcome = OUTCOME_BAD_REQUEST;
	x->refusal = HTTP_REFUSE_PATH_NUL;
	x->status = 400;
	x->attempts = 0;
	x->backend = NULL;
	x->pool = NULL;
	assert_string_equal(add(stage, x)->path, "/a");
	assert_int_equal(stage->record.pool, RECORD_NOBODY);
	assert_int_equal(stage->record.backend, RECORD_NOBODY);
	assert_int_equal(stage->record.refusal, HTTP_REFUSE_PATH_NUL);
	assert_int_equal(stage->record.try_count, 0);
	assert_false(stage->record.is_picked);
}

static void a_head_that_could_not_be_read(void **state)
{
	struct stage *stage = *state;
	struct exchange *x = prepare(stage, 5000, 50);

	x->request = NULL;
	x->path = STR_EMPTY;
	x->attempts = 0;
	x->outcome = OUTCOME_BAD_REQUEST;
	x->status = 400;
	records_add(stage->records, x);
	assert_int_equal(record_read_newest(&stage->records, 1, false, &stage->record, 1), 1);
	assert_string_equal(stage->record.id, "");
	assert_string_equal(stage->record.path, "");
	assert_int_equal(stage->record.outcome, OUTCOME_BAD_REQUEST);
	// Nobody finds it by an empty id.
	assert_false(record_find(&stage->records, 1, STR_EMPTY, &stage->record));
}

static void clients(void **state)
{
	static const struct {
		const char *peer, *lines, *expected;
	} rows[] = {
		{"1.2.3.4", "", "1.2.3.4"},
		{"255.255.255.255", "", "255.255.255.255"},
		{"2001:db8::1", "", "2001:db8::1"},
		{"2001:db8:1111:2222:3333:4444:5555:6666", "",
			"2001:db8:1111:2222:3333:4444:5555:6666"},
		{"192.0.2.1", "X-Forwarded-For: 10.0.0.1\r\n", "192.0.2.1"},
		{SCENE_PROXY, "X-Forwarded-For: 10.0.0.1\r\n", "10.0.0.1"},
		{SCENE_PROXY, "", SCENE_PROXY},
		{"", "", "unix:"},
	};
	struct stage *stage = *state;

	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		scene_peer(stage->scene, rows[i].peer);
		scene_request(stage->scene, "/x", rows[i].lines);
		assert_string_equal(add(stage, prepare(stage, 1000000 + i * 1000, 50))->client,
			rows[i].expected);
	}
}

// A trusted proxy's ids are found by what of them is kept.
static void told_ids(void **state)
{
	static const char *const ids[] = {"a", "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0",
		"0123456789012345678901234567890123456789012345678901234567890123",
		"01234567890123456789012345678901234567890123456789012345678901234567890"};
	struct stage *stage = *state;
	struct scene *scene = stage->scene;

	scene->conf_frontend.headers.request_id = STR("x-request-id");
	scene->frontend.request_id_known = HTTP_F_X_REQUEST_ID;
	scene_peer(scene, SCENE_PROXY);
	for (u32 i = 0; i < ARRAY_LEN(ids); i++) {
		char line[128];
		struct exchange *x;

		snprintf(line, sizeof(line), "X-Request-Id: %s\r\n", ids[i]);
		scene_request(scene, "/x", line);
		x = prepare(stage, 1000000 + i * 1000, 50);
		assert_true(x->keep_request_id);
		assert_memory_equal(
			add(stage, x)->id, ids[i], MIN(strlen(ids[i]), (size_t)RECORD_ID_MAX));
		assert_true(record_find(&stage->records, 1, str_from(ids[i]), &stage->record));
		assert_true(strlen(stage->record.id) <= RECORD_ID_MAX);
	}
	assert_false(record_find(&stage->records, 1, STR("0123"), &stage->record));
}

// Five tries, of which three and the last one are kept.
static void tries(void **state)
{
	struct stage *stage = *state;
	struct scene *scene = stage->scene;
	struct exchange *x = prepare(stage, 1000000, 0);
	const struct record *record;

	for (u32 i = 0; i < 5; i++) {
		x->attempts = (u8)(i + 1);
		x->attempt->leased_us = 1000000 + 100 * i;
		x->attempt->pick.backend = x->backend = &scene->backends[i];
		stage->loop.now_us = 1000050 + 100 * i;
		if (i == 4)
			break;
		record_note_try(x, x->attempt, OUTCOME_CONNECTION_REFUSED, 0);
		record_note_try(x, x->attempt, OUTCOME_CONNECTION_RESET, 0); // said before
		record_note_pause(x);
	}
	record = add(stage, x);
	assert_int_equal(record->attempts, 5);
	assert_int_equal(record->try_count, RECORD_TRIES_MAX);
	for (u32 i = 0; i < RECORD_TRIES_MAX; i++) {
		u32 number = i == 3 ? 4 : i;

		assert_int_equal(record->tries[i].backend, number);
		assert_int_equal(record->tries[i].at_us, 100 * number);
		assert_int_equal(record->tries[i].took_us, 50);
		assert_int_equal(
			record->tries[i].ended, i == 3 ? OUTCOME_OK : OUTCOME_CONNECTION_REFUSED);
		assert_false(record->tries[i].hedge);
	}
}

// After the last try nobody was left: it is not told twice.
static void nobody_was_left(void **state)
{
	struct stage *stage = *state;
	struct exchange *x = prepare(stage, 1000000, 100);
	const struct record *record;

	record_note_try(x, x->attempt, OUTCOME_CONNECTION_REFUSED, 0);
	record_note_pause(x);
	x->outcome = x->failure = OUTCOME_CONNECTION_REFUSED;
	x->status = 503;
	record = add(stage, x);
	assert_int_equal(record->try_count, 1);
	assert_int_equal(record->tries[0].ended, OUTCOME_CONNECTION_REFUSED);
	assert_int_equal(record->tries[0].status, 0);
}

static void hedges(void **state)
{
	struct stage *stage = *state;
	struct scene *scene = stage->scene;
	struct exchange *x = prepare(stage, 1000000, 100);
	const struct record *record;

	x->second = &x->tries[1];
	*x->second = (struct attempt){.x = x, .pick = {.backend = &scene->backends[2]}};
	x->second->leased_us = 999950;
	x->attempts = 2;
	// The first one breaks, and the copy answers.
	record_note_try(x, x->attempt, OUTCOME_CONNECTION_RESET, 0);
	record_note_promoted(x);
	x->attempt = x->second;
	x->second = NULL;
	x->backend = &scene->backends[2];
	record = add(stage, x);
	assert_int_equal(record->try_count, 2);
	assert_false(record->tries[0].hedge);
	assert_int_equal(record->tries[0].ended, OUTCOME_CONNECTION_RESET);
	assert_true(record->tries[1].hedge);
	assert_int_equal(record->tries[1].backend, 2);
	assert_int_equal(record->tries[1].ended, OUTCOME_OK);
	// Both run when the client goes.
	x = prepare(stage, 2000000, 100);
	x->second = &x->tries[1];
	x->second->leased_us = 1999950;
	x->attempts = 2;
	x->outcome = OUTCOME_CLIENT_ABORTED;
	record = add(stage, x);
	assert_int_equal(record->try_count, 2);
	assert_true(record->tries[0].hedge);
	assert_int_equal(record->tries[0].ended, RECORD_END_DROPPED);
	assert_int_equal(record->tries[1].ended, OUTCOME_CLIENT_ABORTED);
}

// Everything at its largest fits, and comes back.
static void the_largest_record(void **state)
{
	struct stage *stage = *state;
	struct scene *scene = stage->scene;
	char target[201], lines[256];
	struct exchange *x;
	const struct record *record;

	memset(target, 'p', 200);
	target[0] = '/';
	target[200] = '\0';
	scene->conf_frontend.headers.request_id = STR("x-request-id");
	scene->frontend.request_id_known = HTTP_F_X_REQUEST_ID;
	scene_peer(scene, SCENE_PROXY);
	snprintf(lines, sizeof(lines), "X-Request-Id: %064u\r\nX-Forwarded-For: %s\r\n", 5u,
		"2001:db8:1111:2222:3333:4444:5555:6666");
	scene_request(scene, target, lines);
	x = prepare(stage, 1000000, 100);
	for (u32 i = 0; i < 300; i++)
		balance_look(&x->seen.balance, i, BALANCE_SKIPPED, i);
	for (u32 i = 0; i < 6; i++) {
		x->attempts = (u8)(i + 1);
		x->attempt->leased_us = 999900 + i;
		record_note_try(x, x->attempt, RECORD_END_STATUS, (u16)(500 + i));
		record_note_pause(x);
	}
	x->attempts = 7;
	record = add(stage, x);
	assert_int_equal(strlen(record->id), 64);
	assert_int_equal(strlen(record->path), RECORD_PATH_MAX);
	assert_string_equal(record->client, "2001:db8:1111:2222:3333:4444:5555:6666");
	assert_int_equal(record->look_count, BALANCE_LOOKS_MAX);
	assert_int_equal(record->look_count_seen, 300);
	for (u32 i = 0; i < BALANCE_LOOKS_MAX; i++)
		assert_int_equal(record->looks[i].index, i);
	assert_int_equal(record->try_count, RECORD_TRIES_MAX);
	assert_int_equal(record->tries[2].status, 502);
	assert_int_equal(record->tries[3].ended, OUTCOME_OK);
}

static void nothing_is_kept_where_records_are_off(void **state)
{
	struct stage *stage = *state;
	struct exchange *x = prepare(stage, 1000000, 100);

	stage->scene->proxy.records = NULL;
	record_note_try(x, x->attempt, OUTCOME_CONNECTION_REFUSED, 0);
	record_note_pause(x);
	record_note_promoted(x);
	assert_null(x->history);
}

static void the_newest_first(void **state)
{
	struct stage *stage = *state;
	static struct record read[RECORDS_KEPT + 10];
	u32 count;

	assert_int_equal(record_read_newest(&stage->records, 1, false, read, 10), 0);
	for (u32 i = 0; i < RECORDS_KEPT + 500; i++) {
		struct exchange *x = prepare(stage, 1000000 + i * 10000ull, 50);

		x->up.total = i;
		records_add(stage->records, x);
		if (i == 2) {
			assert_int_equal(
				record_read_newest(&stage->records, 1, false, read, 10), 3);
			assert_int_equal(read[0].bytes_in, 2);
			assert_int_equal(read[2].bytes_in, 0);
		}
	}
	count = record_read_newest(&stage->records, 1, false, read, ARRAY_LEN(read));
	assert_int_equal(count, RECORDS_KEPT);
	for (u32 i = 0; i < count; i++)
		assert_int_equal(read[i].bytes_in, RECORDS_KEPT + 499 - i);
	assert_int_equal(record_read_newest(&stage->records, 1, false, read, 7), 7);
}

// What is a failure, and that successes do not push it out.
static void failures_stay(void **state)
{
	static const struct {
		u8 outcome;
		u16 status;
		bool failed;
	} rows[] = {
		{OUTCOME_OK, 200, false},
		{OUTCOME_OK, 404, false},
		{OUTCOME_OK, 500, true},
		{OUTCOME_OK, 503, true},
		{OUTCOME_REDIRECTED, 308, false},
		{OUTCOME_TUNNEL_CLOSED, 101, false},
		{OUTCOME_CLIENT_ABORTED, 0, false},
		{OUTCOME_BAD_REQUEST, 400, false},
		{OUTCOME_NO_ROUTE, 404, false},
		{OUTCOME_OVERLOADED, 503, true},
		{OUTCOME_RESPONSE_CUT, 200, true},
		{OUTCOME_CONNECTION_REFUSED, 503, true},
		{OUTCOME_DRAINING, 503, true},
	};
	struct stage *stage = *state;
	static struct record read[RECORDS_FAILED_KEPT];
	u32 failed = 0;

	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		struct exchange *x = prepare(stage, 1000000 + i * 10000ull, 50);
		u32 before = failed;

		x->outcome = rows[i].outcome;
		x->status = rows[i].status;
		records_add(stage->records, x);
		failed = record_read_newest(&stage->records, 1, true, read, ARRAY_LEN(read));
		assert_int_equal(failed, before + rows[i].failed);
		if (rows[i].failed)
			assert_int_equal(read[0].outcome, rows[i].outcome);
	}
	for (u32 i = 0; i < 3 * RECORDS_KEPT; i++)
		records_add(stage->records, prepare(stage, 2000000 + i * 10000ull, 50));
	assert_int_equal(
		record_read_newest(&stage->records, 1, true, read, ARRAY_LEN(read)), failed);
	assert_int_equal(read[0].outcome, OUTCOME_DRAINING);
	assert_true(record_find(
		&stage->records, 1, str_make(read[1].id, strlen(read[1].id)), &stage->record));
	assert_int_equal(stage->record.outcome, OUTCOME_CONNECTION_REFUSED);
}

// Of several workers, one of which keeps none, by the time of their end.
static void several_workers(void **state)
{
	struct stage *stage = *state;
	struct records *all[4] = {stage->records, NULL, records_new(9), records_new(5)};
	struct record read[300];
	struct rng rng;
	i64 before;
	u32 count;

	rng_init(&rng, 5);
	for (u32 i = 0; i < 200; i++) {
		u32 worker = rng_below(&rng, 4);
		struct exchange *x = prepare(stage, 1000000 + i * 10000ull, 1000);

		x->up.total = i;
		if (all[worker])
			records_add(all[worker], x);
	}
	count = record_read_newest(all, 4, false, read, ARRAY_LEN(read));
	assert_in_range(count, 100, 199);
	before = INT64_MAX;
	for (u32 i = 0; i < count; i++) {
		i64 ended_ms = read[i].at_ms + (i64)(read[i].total_us / 1000);

		assert_true(ended_ms <= before);
		before = ended_ms;
		assert_true(read[i].worker == 3 || read[i].worker == 9 || read[i].worker == 5);
		assert_true(record_find(
			all, 4, str_make(read[i].id, strlen(read[i].id)), &stage->record));
		assert_int_equal(stage->record.bytes_in, read[i].bytes_in);
		assert_int_equal(stage->record.worker, read[i].worker);
	}
	records_free(all[2]);
	records_free(all[3]);
}

// ---- Threads ------------------------------------------------------------------------------------

enum { written = 400 * 1000 };

struct race {
	struct stage *stage;
	_Atomic(bool) over;
	_Atomic(u64) seen, torn;
};

static void *write_all(void *arg)
{
	struct race *race = arg;
	struct exchange *x = prepare(race->stage, 1000000, 50);

	for (u32 i = 1; i <= written; i++) {
		u64 now_us = 1000000 + i;

		race->stage->loop.now_us = now_us;
		x->began_us = x->headed_us = now_us - i % 1000;
		x->up.total = x->answer.total = x->key = i;
		snprintf(x->request_id, sizeof(x->request_id), "%031u", i);
		x->request_id[31] = '.';
		x->attempts = 1;
		x->status = i % 7 ? 200 : 503;
		x->history = NULL;
		records_add(race->stage->records, x);
	}
	race->over = true;
	return NULL;
}

static bool is_whole(const struct record *record)
{
	u64 number = record->bytes_in;
	char id[34];

	snprintf(id, sizeof(id), "%031u.", (u32)number);
	return number >= 1 && number <= written && record->bytes_out == number &&
	       record->key == number && record->total_us == number % 1000 &&
	       record->status == (number % 7 ? 200 : 503) && strcmp(record->id, id) == 0;
}

static void *read_all(void *arg)
{
	struct race *race = arg;
	struct record *read = calloc(256, sizeof(*read));
	u64 seen = 0;

	do {
		for (u32 failures = 0; failures < 2; failures++) {
			u32 count =
				record_read_newest(&race->stage->records, 1, failures, read, 256);

			for (u32 i = 0; i < count; i++)
				race->torn += !is_whole(&read[i]);
			seen += count;
		}
		// Most of what is looked for by its id is gone, or not.
		if (record_find(&race->stage->records, 1, str_make(read[0].id, strlen(read[0].id)),
			    &read[1]))
			race->torn += !is_whole(&read[1]);
	} while (!race->over);
	free(read);
	race->seen += seen;
	return NULL;
}

static void readers_get_whole_records(void **state)
{
	struct race race = {.stage = *state};
	pthread_t writer, readers[2];

	// Few places, so that the writer is always where somebody reads.
	race.stage->records->all.mask = 3;
	race.stage->records->failed.mask = 0;
	assert_int_equal(pthread_create(&writer, NULL, write_all, &race), 0);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, read_all, &race), 0);
	pthread_join(writer, NULL);
	for (u32 i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_true(race.seen > 0);
	assert_int_equal(race.torn, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_ordinary_request),
		TEST(paths),
		TEST(what_has_no_normal_form),
		TEST(a_head_that_could_not_be_read),
		TEST(clients),
		TEST(told_ids),
		TEST(tries),
		TEST(nobody_was_left),
		TEST(hedges),
		TEST(the_largest_record),
		TEST(nothing_is_kept_where_records_are_off),
		TEST(the_newest_first),
		TEST(failures_stay),
		TEST(several_workers),
		TEST(readers_get_whole_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
