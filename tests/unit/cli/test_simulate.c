// SPDX-License-Identifier: Apache-2.0
// weir simulate: its words, its logs, what it prints, and that the model is the one it claims to
// be.
#include "test.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/simulate.h"

static struct arena arena;

static struct simulate_options model(const char *const *words, u32 count)
{
	struct simulate_options options;

	simulate_defaults(&options);
	for (u32 i = 0; i < count; i++)
		assert_null(simulate_word(&options, words[i], &arena));
	assert_null(simulate_check(&options, &arena));
	return options;
}

#define MODEL(...)                                \
	model((const char *const[]){__VA_ARGS__}, \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static struct simulate_result *run(const struct simulate_options *options, enum balance_kind kind)
{
	struct simulate_result *result = mem_alloc(sizeof(*result));

	simulate_run(options, kind, NULL, NULL, result);
	return result;
}

static void near(double got, double wanted, double tolerance)
{
	if (fabs(got / wanted - 1) > tolerance)
		fail_msg("%g instead of %g", got, wanted);
}

static void test_words(void **state)
{
	struct simulate_options options = MODEL("load=0.5", "servers=7", "arrival=burst",
		"service=bimodal", "weights=5,1,1", "lose_at=0.25");
	static const char *const wrong[][2] = {{"load", "not KEY=VALUE"}, {"load=", "load is"},
		{"load=1x", "load is"}, {"load=nan", "load is"}, {"servers=0", "servers is"},
		{"servers=2.5", "whole"}, {"servers=10001", "10000"}, {"arrival=late", "poisson"},
		{"weights=1,0", "5,1,1"}, {"serves=3", "did you mean 'servers'"}};

	(void)state;
	assert_true(options.load <= 0.5 && options.load >= 0.5 && options.servers == 7);
	assert_true(options.arrival == ARRIVAL_BURST && options.service == SERVICE_BIMODAL);
	assert_true(options.weight_count == 3 && options.weights[0] == 5);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		const char *error = simulate_word(&options, wrong[i][0], &arena);

		assert_non_null(error);
		if (!strstr(error, wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], error);
	}
	options.lose = 7;
	assert_non_null(simulate_check(&options, &arena));
	options.lose = 0;
	options.bound = 100;
	assert_non_null(simulate_check(&options, &arena));
}

// One server is an M/M/1 queue, or M/D/1; several behind least_connections never wait at low load.
static void test_times_follow_theory(void **state)
{
	struct simulate_options single = MODEL("servers=1", "load=0.5", "requests=400000");
	struct simulate_options constant =
		MODEL("servers=1", "load=0.5", "requests=400000", "service=constant");
	struct simulate_options lognormal =
		MODEL("servers=1", "load=0.01", "requests=400000", "service=lognormal", "mean=20");
	struct simulate_options bimodal =
		MODEL("servers=1", "load=0.01", "requests=400000", "service=bimodal");
	struct simulate_result *result = run(&single, BALANCE_FIRST);

	(void)state;
	near(result->mean_ms, 20, 0.03);
	near(simulate_percentile(&result->all, 0.5), 20 * log(2), 0.03);
	mem_free(result);
	result = run(&constant, BALANCE_FIRST);
	near(result->mean_ms, 15, 0.03); // 1 + load / 2(1 - load)
	mem_free(result);
	result = run(&lognormal, BALANCE_FIRST);
	near(result->mean_ms, 20, 0.06);
	mem_free(result);
	result = run(&bimodal, BALANCE_FIRST);
	near(simulate_percentile(&result->all, 0.95) / simulate_percentile(&result->all, 0.5), 10,
		0.03);
	mem_free(result);
}

static void test_slots_weights_and_speeds(void **state)
{
	struct simulate_options slots = MODEL("servers=1", "slots=50", "load=0.2");
	struct simulate_options weights =
		MODEL("servers=4", "weights=5,1", "load=0.001", "service=constant", "mean=30");
	struct simulate_options slow = MODEL("servers=10", "slow=30", "slow_factor=5", "load=0.01",
		"service=constant", "mean=10");
	struct simulate_result *result = run(&slots, BALANCE_FIRST);

	(void)state;
	near(result->mean_ms, 10, 0.03); // nobody waits
	mem_free(result);
	result = run(&weights, BALANCE_ROUND_ROBIN);
	near(simulate_percentile(&result->all, 0.5), 18, 0.02); // 30 x mean weight 3 / 5
	near(simulate_percentile(&result->all, 0.99), 90, 0.02);
	mem_free(result);
	result = run(&slow, BALANCE_ROUND_ROBIN);
	near(simulate_percentile(&result->all, 0.69), 10, 0.02);
	near(simulate_percentile(&result->all, 0.71), 50, 0.02);
	mem_free(result);
}

static void test_a_seed_is_a_run(void **state)
{
	struct simulate_options options =
		MODEL("servers=5", "requests=5000", "arrival=burst", "lose=2", "workers=3");

	(void)state;
	for (u32 kind = 0; kind < BALANCE_KINDS; kind++) {
		struct simulate_result *a, *b, *c;

		options.seed = 1;
		a = run(&options, (enum balance_kind)kind);
		b = run(&options, (enum balance_kind)kind);
		options.seed = 2;
		c = run(&options, (enum balance_kind)kind);
		assert_memory_equal(a, b, sizeof(*a));
		assert_memory_not_equal(a, c, sizeof(*a));
		assert_int_equal(a->all.count, 5000);
		assert_int_equal(a->while_lost.count, 1500);
		assert_int_equal(a->refused, 0);
		mem_free(a);
		mem_free(b);
		mem_free(c);
	}
}

// Without a loss no client of a hash moves; with it each client of two in ten servers moves there
// and back.
static void test_affinity(void **state)
{
	struct simulate_options calm = MODEL("requests=50000", "clients=500"),
				lossy = MODEL("requests=50000", "clients=500", "lose=2");

	(void)state;
	for (u32 kind = BALANCE_IP_HASH; kind <= BALANCE_RENDEZVOUS; kind++) {
		struct simulate_result *result = run(&calm, (enum balance_kind)kind);

		assert_int_equal(result->breaks, 0);
		mem_free(result);
		result = run(&lossy, (enum balance_kind)kind);
		assert_in_range(result->breaks, 100, 320); // 2 x 500 x 2 / 10 = 200
		mem_free(result);
	}
}

// ---- Logs ---------------------------------------------------------------------------------------

static struct simulate_trace read_log(const char *content)
{
	char path[] = "/tmp/weir-simulate-XXXXXX";
	int fd = mkstemp(path);
	struct simulate_trace trace;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
	assert_int_equal(simulate_trace_read(path, &trace), 0);
	unlink(path);
	return trace;
}

static void test_json_logs(void **state)
{
	struct simulate_trace trace = read_log(
		"{\"timestamp\":\"2026-02-28T23:59:59.900Z\",\"client.address\":\"10.0.0.1\","
		"\"queue_us\":1000,\"connect_us\":500,\"total_us\":11500}\n"
		"{\"timestamp\":\"2026-03-01T00:00:00.100Z\",\"client.address\":\"10.0.0.2\","
		"\"total_us\":20000}\n"
		"rubbish\n{\"timestamp\":\"2026\",\"client.address\":\"x\",\"total_us\":1}\n"
		"{\"timestamp\":\"2026-02-28T23:59:59.950Z\",\"client.address\":\"10.0.0.1\","
		"\"total_us\":0}\n");

	(void)state;
	assert_int_equal(trace.count, 3);
	assert_int_equal(trace.skipped, 2);
	assert_int_equal(trace.client_count, 2);
	near(trace.requests[0].service_ms, 10, 1e-9);
	assert_true(trace.requests[0].at_ms <= 0);
	near(trace.requests[1].at_ms, 50, 1e-6);
	assert_int_equal(trace.requests[1].client, trace.requests[0].client);
	near(trace.requests[2].at_ms, 200, 1e-6);
	near(trace.requests[2].service_ms, 20, 1e-9);
	simulate_trace_done(&trace);
}

static void test_combined_logs(void **state)
{
	static const char line[] =
		"\"GET /a HTTP/1.1\" 200 12 \"-\" \"an agent\" outcome=ok pool=p backend=b tries=1 "
		"reused=true bytes_in=0 head_us=20 queue_us=1000 connect_us=1000 "
		"first_byte_us=9000 total_us=12000";
	char *content = arena_printf(&arena,
		"10.0.0.1 - - [21/Nov/2026:04:05:06 +0000] %s\n"
		"2001:db8::1 - - [21/Nov/2026:04:05:06 +0000] %s\n"
		"10.0.0.1 - - [21/Nov/2026:05:05:08 +0100] %s\n"
		"10.0.0.1 - - [21/Nov/2026:04:05:06 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n",
		line, line, line);
	struct simulate_trace trace = read_log(content);

	(void)state;
	assert_int_equal(trace.count, 3);
	assert_int_equal(trace.skipped, 1);
	assert_int_equal(trace.client_count, 2);
	near(trace.requests[0].service_ms, 10, 1e-9);
	near(trace.requests[1].at_ms, 500, 1e-6); // two in one second
	near(trace.requests[2].at_ms, 2000, 1e-6);
	simulate_trace_done(&trace);
}

// A log with one slow server in its model: who follows latency is ahead of round robin.
static void test_replay_ranks_algorithms(void **state)
{
	struct simulate_options options = MODEL("servers=4", "slow=25");
	struct text text = {0};
	struct simulate_trace trace;
	struct simulate_result *blind, *seeing;

	(void)state;
	for (u32 i = 0; i < 20000; i++)
		text_printf(&text,
			"{\"timestamp\":\"2026-11-21T04:%02u:%02u.%03uZ\",\"client.address\":\"10."
			"0.%u."
			"%u\",\"total_us\":9000}\n",
			i / 6000, i / 100 % 60, i % 100 * 10, i % 7, i % 250);
	trace = read_log(text.data);
	text_done(&text);
	options.trace = &trace;
	blind = run(&options, BALANCE_ROUND_ROBIN);
	seeing = run(&options, BALANCE_LEAST_RESPONSE_TIME);
	assert_int_equal(blind->all.count, 20000);
	assert_true(simulate_percentile(&seeing->all, 0.9) <
		    0.1 * simulate_percentile(&blind->all, 0.9));
	mem_free(blind);
	mem_free(seeing);
	simulate_trace_done(&trace);
}

// ---- Forms --------------------------------------------------------------------------------------

static void test_forms(void **state)
{
	struct simulate_options options = MODEL("requests=3000", "lose=1");
	struct simulate_result *result = run(&options, BALANCE_MAGLEV);
	struct text text = {0};
	json_t *json, *algorithm;

	(void)state;
	simulate_print_json(&text, &options, result, 1);
	json = json_loads(text.data, 0, NULL);
	algorithm = json_array_get(json_object_get(json, "algorithms"), 0);
	assert_string_equal(json_string_value(json_object_get(algorithm, "algorithm")), "maglev");
	assert_int_equal(json_integer_value(json_object_get(
				 json_object_get(algorithm, "latency_ms"), "requests")),
		3000);
	near(json_number_value(json_object_get(json_object_get(algorithm, "latency_ms"), "p99.9")),
		simulate_percentile(&result->all, 0.999), 0.001);
	assert_non_null(json_object_get(algorithm, "while_lost_ms"));
	json_decref(json);
	text_done(&text);
	simulate_print_table(&text, &options, result, 1);
	assert_non_null(strstr(text.data, "maglev"));
	assert_non_null(strstr(text.data, "lost p99"));
	text_done(&text);
	simulate_print_svg(&text, &options, result, 1);
	assert_true(strncmp(text.data, "<svg ", 5) == 0);
	assert_non_null(strstr(text.data, "maglev</text>\n</svg>\n"));
	assert_null(strstr(text.data, "nan"));
	text_done(&text);
	mem_free(result);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_times_follow_theory),
		cmocka_unit_test(test_slots_weights_and_speeds),
		cmocka_unit_test(test_a_seed_is_a_run),
		cmocka_unit_test(test_affinity),
		cmocka_unit_test(test_json_logs),
		cmocka_unit_test(test_combined_logs),
		cmocka_unit_test(test_replay_ranks_algorithms),
		cmocka_unit_test(test_forms),
	};
	int failed;

	arena_init(&arena, 64 * 1024 * 1024);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
