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
#include "cli/chart.h"
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
		{"weights=1,0", "5,1,1"}, {"serves=3", "did you mean 'servers'"},
		{"load=0.5,", "comma"}, {"load=0.9,0.5", "rising"}, {"load=0.5,2x", "load is"},
		{"servers=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "at most 16"}};

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
	assert_null(simulate_check_scope(&options, false, &arena));
	assert_non_null(strstr(simulate_check_scope(&options, true, &arena), "load means"));
	assert_null(simulate_word(&options, "by=path", &arena));
	assert_non_null(strstr(simulate_check_scope(&options, false, &arena), "by means"));
	assert_true(simulate_is_given(&options, "load") && !simulate_is_given(&options, "mean"));
	options.lose = 7;
	assert_non_null(simulate_check(&options, &arena));
	options.lose = 0;
	options.bound = 100;
	assert_non_null(simulate_check(&options, &arena));
}

static void test_series(void **state)
{
	struct simulate_options options = MODEL("servers=2,4,8", "load=0.5");

	(void)state;
	assert_string_equal(options.series.key, "servers");
	assert_int_equal(options.series.count, 3);
	assert_int_equal(simulate_of_series(&options, 0).servers, 2);
	assert_int_equal(simulate_of_series(&options, 2).servers, 8);
	assert_non_null(strstr(
		simulate_word(&options, "load=0.5,0.6", &arena), "because servers has several"));
	options.lose = 3; // of 2 servers
	assert_non_null(simulate_check(&options, &arena));
	assert_null(simulate_word(&options, "servers=4,8", &arena)); // the last one counts
	assert_int_equal(options.series.count, 2);
	assert_null(simulate_check(&options, &arena));
	assert_null(simulate_word(&options, "servers=5", &arena));
	assert_null(options.series.key);
	assert_null(simulate_plot_check(&options, NULL));
	assert_null(simulate_plot_check(&options, "shares"));
	assert_non_null(strstr(simulate_plot_check(&options, "p99"), "several values"));
	assert_non_null(strstr(simulate_plot_check(&options, "pie"), "latency, time or shares"));
	assert_null(simulate_word(&options, "load=0.5,0.6", &arena));
	assert_null(simulate_plot_check(&options, "breaks"));
	assert_non_null(strstr(simulate_plot_check(&options, "time"), "one run"));
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
		assert_int_equal(a->waited, 0);
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

// What is taken, by whom and how much at a time: `first` fills one server after another, nobody is
// ever beyond the limit, and everybody is served.
static void test_max_connections(void **state)
{
	struct simulate_options options = MODEL("servers=5", "slots=2", "max_connections=2",
		"load=0.4", "requests=20000", "workers=3", "lose=2");

	(void)state;
	for (u32 kind = 0; kind < BALANCE_KINDS; kind++) {
		struct simulate_result *result = run(&options, (enum balance_kind)kind);
		u64 taken = 0;

		assert_int_equal(result->all.count, 20000);
		assert_int_equal(result->longest, 2);
		assert_in_range(result->waited, 1, 5000);
		for (u32 i = 0; i < 5; i++)
			taken += result->taken[i];
		assert_int_equal(taken, 20000);
		mem_free(result);
	}
	options.lose = 0;
	for (u32 seed = 1; seed <= 5; seed++) {
		struct simulate_result *result;

		options.seed = seed;
		result = run(&options, BALANCE_FIRST);
		for (u32 i = 1; i < 5; i++)
			assert_true(result->taken[i] < result->taken[i - 1]);
		assert_true(result->taken[0] > 2 * result->taken[4]);
		mem_free(result);
	}
}

// Who waits in the balancer is served in the order of arrival: with one server that takes one at a
// time that is the same queue as in front of it.
static void test_those_who_wait_keep_their_order(void **state)
{
	struct simulate_options there = MODEL("servers=1", "load=0.8", "requests=50000"),
				here = MODEL("servers=1", "load=0.8", "requests=50000",
					"max_connections=1", "workers=4");
	struct simulate_result *a, *b;

	(void)state;
	there.workers = 4; // the same dice
	a = run(&there, BALANCE_LEAST_CONNECTIONS);
	b = run(&here, BALANCE_LEAST_CONNECTIONS);
	assert_memory_equal(&a->all, &b->all, sizeof(a->all));
	assert_true(b->waited > 30000 && a->waited == 0);
	mem_free(a);
	mem_free(b);
}

static double p99_of(const struct simulate_options *options, enum balance_kind kind)
{
	struct simulate_result *result = run(options, kind);
	double p99 = simulate_percentile(&result->all, 0.99);

	mem_free(result);
	return p99;
}

// Several workers that hear of each other at once are nearly as good as one, and the later they
// hear the worse; who needs no news does not care.
static void test_news_between_workers(void **state)
{
	struct simulate_options options =
		MODEL("servers=50", "load=0.8", "requests=100000", "workers=16");
	double one, soon, late, never, blind;

	(void)state;
	options.news_ms = 0.05;
	soon = p99_of(&options, BALANCE_LEAST_CONNECTIONS);
	options.news_ms = 4;
	late = p99_of(&options, BALANCE_LEAST_CONNECTIONS);
	options.news_ms = 1e5;
	never = p99_of(&options, BALANCE_LEAST_CONNECTIONS);
	blind = p99_of(&options, BALANCE_ROUND_ROBIN);
	options.workers = 1;
	one = p99_of(&options, BALANCE_LEAST_CONNECTIONS);
	near(soon, one, 0.1);
	assert_true(one < late && soon < late && late < 0.8 * never);
	options.workers = 16;
	options.news_ms = 4;
	near(p99_of(&options, BALANCE_ROUND_ROBIN), blind, 1e-9);
}

// A Zipf law over 1,000 clients: the first has 1 / H(1000) of the requests.
static void test_skew(void **state)
{
	struct simulate_options options = MODEL("servers=1000", "skew=1", "load=0.1");
	struct simulate_result *result = run(&options, BALANCE_RENDEZVOUS);
	u32 most = 0;

	(void)state;
	for (u32 i = 0; i < 1000; i++)
		most = MAX(most, result->taken[i]);
	near(most, 200000 / 7.4855, 0.03);
	mem_free(result);
}

// Others get what the lost had, and what is left is judged by itself.
static void test_the_course_of_a_loss(void **state)
{
	struct simulate_options options =
		MODEL("servers=4", "lose=2", "load=0.4", "requests=40000", "service=constant");
	struct simulate_result *result = run(&options, BALANCE_ROUND_ROBIN);
	u64 sum = 0;

	(void)state;
	for (u32 s = 0; s < SIMULATE_SLICES; s++) {
		assert_int_equal(result->slices[s].count, 1000);
		sum += result->slices[s].count;
	}
	assert_int_equal(sum, result->all.count);
	assert_true(simulate_percentile(&result->slices[20], 0.9) >
		    1.5 * simulate_percentile(&result->slices[10], 0.9));
	near(result->busiest_left, 1, 1e-3);
	near(result->busiest, 0.7 + 0.3 * 2, 1e-3);
	near(result->deviation, 0.3, 1e-3);
	mem_free(result);
}

// ---- Logs ---------------------------------------------------------------------------------------

static struct simulate_trace read_log_by(const char *content, enum simulate_by by)
{
	char path[] = "/tmp/weir-simulate-XXXXXX";
	int fd = mkstemp(path);
	struct simulate_trace trace;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
	assert_int_equal(simulate_trace_read(path, by, NULL, NULL, &trace), 0);
	unlink(path);
	return trace;
}

static struct simulate_trace read_log(const char *content)
{
	return read_log_by(content, BY_CLIENT_IP);
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
	assert_true(simulate_trace_prepare(&trace, 1) <= 0);
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
		"\"GET /a?b HTTP/1.1\" 200 12 \"-\" \"an \\\" total_us=1 agent\" outcome=ok "
		"pool=p backend=\"the b\" tries=1 "
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
	near(trace.requests[0].done_ms - trace.requests[0].sent_ms, 9.98, 1e-9);
	near(trace.requests[0].sent_ms, 2.02, 1e-9);
	near(trace.requests[1].at_ms, 500, 1e-6); // two in one second
	near(trace.requests[2].at_ms, 2000, 1e-6);
	assert_int_equal(trace.backend_count, 1);
	assert_string_equal(trace.backends[0].name, "the b");
	near(simulate_percentile(&trace.logged, 0.5), 12, 0.01);
	simulate_trace_done(&trace);
	trace = read_log_by(content, BY_PATH);
	assert_int_equal(trace.client_count, 1);
	simulate_trace_done(&trace);
}

static void add_line(struct text *text, double at_ms, const char *backend, double total_ms)
{
	u32 ms = (u32)at_ms;

	text_printf(text,
		"{\"timestamp\":\"2026-11-21T04:%02u:%02u.%03uZ\",\"client.address\":\"x\","
		"\"backend\":\"%s\",\"tries\":1,\"total_us\":%.0f}\n",
		ms / 60000, ms / 1000 % 60, ms % 1000, backend, 1000 * total_ms);
}

// A backend that takes twice as long is half as quick, and what requests ask for is the same; who
// was sent to nobody loads nobody.
static void test_a_log_tells_speeds(void **state)
{
	struct simulate_options options = MODEL("servers=2");
	struct simulate_trace trace;
	struct text text = {0};

	(void)state;
	for (u32 i = 0; i < 200; i++)
		add_line(&text, 100 * i, i % 2 ? "slow" : "quick", i % 2 ? 20 : 10);
	text_add(&text, STR("{\"timestamp\":\"2026-11-21T04:00:00.000Z\",\"client.address\":\"x\","
			    "\"tries\":0,\"total_us\":20}\n"));
	trace = read_log(text.data);
	text_done(&text);
	assert_int_equal(trace.count, 200);
	assert_int_equal(trace.unsent, 1);
	assert_int_equal(trace.skipped, 0);
	assert_int_equal(trace.backend_count, 2);
	assert_int_equal(simulate_trace_slots(&trace), 1);
	assert_true(simulate_trace_prepare(&trace, 1) <= 0);
	near(trace.backends[0].speed, 4 / 3.0, 1e-9);
	near(trace.backends[1].speed, 2 / 3.0, 1e-9);
	for (u32 i = 0; i < 200; i++)
		near(trace.requests[i].service_ms, 40 / 3.0, 1e-9);
	options.trace = &trace;
	near(simulate_trace_load(&options), 200 * 40 / 3.0 / 19900 / 2, 1e-9);
	options.servers = 4;
	near(simulate_trace_load(&options), 200 * 40 / 3.0 / 19900 / 4, 1e-9);
	simulate_trace_done(&trace);
}

// One backend with three slots that is busy most of the time: the log shows waiting and service
// together, and both are found again.
static void test_waiting_is_told_from_service(void **state)
{
	enum { count = 3000, slots = 3 };
	static double services[count];
	double free_at[slots] = {0}, now = 0, waited = 0;
	struct simulate_trace trace;
	struct text text = {0};
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (u32 i = 0; i < count; i++) {
		u32 first = 0;
		double begun;

		now += 1 + rng_below(&rng, 13); // 7 ms on average, for 18 ms of one slot of three
		services[i] = 1 + rng_below(&rng, 35);
		for (u32 k = 1; k < slots; k++)
			if (free_at[k] < free_at[first])
				first = k;
		begun = fmax(now, free_at[first]);
		free_at[first] = begun + services[i];
		waited += begun - now;
		add_line(&text, now, "only", free_at[first] - now);
	}
	assert_true(waited / count > 5);
	trace = read_log(text.data);
	text_done(&text);
	assert_int_equal(simulate_trace_slots(&trace), slots);
	assert_true(simulate_trace_prepare(&trace, slots) <= 0);
	for (u32 i = 0; i < count; i++)
		near(trace.requests[i].service_ms, services[i], 1e-6);
	assert_true(simulate_trace_prepare(&trace, 1) > 0.02);
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
	simulate_trace_prepare(&trace, 1);
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

static void test_json_form(void **state)
{
	struct simulate_options options = MODEL("requests=3000", "lose=1,2", "weights=3,1");
	struct simulate_options one = simulate_of_series(&options, 1);
	struct simulate_result *result = run(&one, BALANCE_MAGLEV);
	struct simulate_report report = {&options, result, 1, 1};
	struct text text = {0};
	json_t *json, *model, *algorithm, *latency;

	(void)state;
	result->value = 2;
	simulate_print_json(&text, &report);
	json = json_loads(text.data, 0, NULL);
	model = json_object_get(json, "model");
	assert_int_equal(json_integer_value(json_object_get(model, "servers")), 10);
	assert_string_equal(json_string_value(json_object_get(model, "arrival")), "poisson");
	assert_int_equal(json_array_size(json_object_get(model, "weights")), 2);
	assert_null(json_object_get(model, "lose"));
	algorithm = json_array_get(json_object_get(json, "algorithms"), 0);
	assert_string_equal(json_string_value(json_object_get(algorithm, "algorithm")), "maglev");
	assert_int_equal(json_integer_value(json_object_get(algorithm, "lose")), 2);
	latency = json_object_get(algorithm, "latency_ms");
	assert_int_equal(json_integer_value(json_object_get(latency, "requests")), 3000);
	near(json_number_value(json_object_get(latency, "p99.9")),
		simulate_percentile(&result->all, 0.999), 0.001);
	assert_non_null(json_object_get(algorithm, "while_lost_ms"));
	json_decref(json);
	text_done(&text);
	simulate_print_table(&text, &report);
	assert_non_null(strstr(text.data, "\nmaglev                   2 "));
	assert_non_null(strstr(text.data, "while some are lost"));
	text_done(&text);
	mem_free(result);
}

// Every plot of every algorithm is XML without a number that is none.
static void test_plots(void **state)
{
	static const char *const plots[] = {
		"latency", "time", "shares", "p99", "busiest", "breaks"};
	struct simulate_options options = MODEL("requests=3000", "lose=1", "load=0.5,0.9");
	struct simulate_result *results = mem_alloc(sizeof(*results) * 2 * BALANCE_KINDS);

	(void)state;
	for (u32 i = 0; i < 2 * BALANCE_KINDS; i++) {
		struct simulate_options one = simulate_of_series(&options, i / BALANCE_KINDS);

		simulate_run(&one, (enum balance_kind)(i % BALANCE_KINDS), NULL, NULL, &results[i]);
	}
	for (size_t p = 0; p < ARRAY_LEN(plots); p++) {
		struct simulate_options shown = p < 3 ? simulate_of_series(&options, 1) : options;
		struct simulate_report report = {&shown, &results[p < 3 ? BALANCE_KINDS : 0],
			BALANCE_KINDS, p < 3 ? BALANCE_KINDS : 2 * BALANCE_KINDS};
		struct text text = {0};
		const char *at;
		u32 names = 0;

		if (p < 3)
			shown.series = (struct simulate_series){0};
		simulate_print_svg(&text, &report, plots[p]);
		assert_true(strncmp(text.data, "<svg ", 5) == 0);
		assert_string_equal(text.data + text.len - 7, "</svg>\n");
		assert_null(strstr(text.data, "nan"));
		assert_null(strstr(text.data, "inf"));
		for (u32 kind = 0; kind < BALANCE_KINDS; kind++)
			names += strstr(text.data, balance_kind_info(kind)->name) != NULL;
		assert_int_equal(names, BALANCE_KINDS);
		for (at = text.data; (at = strstr(at, "<g ")) != NULL; at++)
			names--;
		assert_int_equal(names, p == 2 ? BALANCE_KINDS : 0); // a line for each
		assert_true(text.len < 60000);
		text_done(&text);
	}
	mem_free(results);
}

// Names that belong to the same place stand one below the other, in the frame.
static void test_labels_do_not_overlap(void **state)
{
	struct chart_label labels[BALANCE_KINDS];
	struct chart chart;
	struct text text = {0};
	const char *at;
	double last = 0, sum = 0;
	u32 count = 0;

	(void)state;
	chart_begin(&chart, &text, "title", STR("a subtitle"), 70);
	for (u32 i = 0; i < BALANCE_KINDS; i++) {
		labels[i] = (struct chart_label){.kind = i, .y = i < 6 ? -1000 : i < 9 ? 300 : 301};
		snprintf(labels[i].text, sizeof(labels[i].text), "label");
	}
	text_done(&text);
	chart_labels(&chart, labels, BALANCE_KINDS);
	for (at = text.data; (at = strstr(at, " y='")) != NULL; at++) {
		double y = strtod(at + 4, NULL);

		assert_true(y >= last + 16.9 && y > chart.top && y < chart.bottom + 20);
		last = y;
		sum += count >= 6 ? y - 4 : 0;
		count++;
	}
	assert_int_equal(count, BALANCE_KINDS);
	near(sum / 6, 300.5, 1e-3); // around what they belong to
	text_done(&text);
}

static void test_axes(void **state)
{
	static const struct {
		double value, below, above;
	} rows[] = {{1, 1, 1}, {1.01, 1, 2}, {2, 2, 2}, {4.9, 3, 5}, {7, 5, 10},
		{0.004, 0.003, 0.005}, {1000, 1000, 1000}, {999, 500, 1000}};
	static const struct {
		double ms;
		const char *text;
	} times[] = {{0.5, "0.5 ms"}, {51.84, "51.8 ms"}, {999, "999 ms"}, {1000, "1 s"},
		{1234, "1.23 s"}, {1312238, "1312 s"}};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		near(chart_below(rows[i].value), rows[i].below, 1e-9);
		near(chart_above(rows[i].value), rows[i].above, 1e-9);
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		chart_format_ms(text, sizeof(text), times[i].ms);
		assert_string_equal(text, times[i].text);
	}
	for (double most = 0.01; most < 1e4; most *= 1.1) {
		struct chart_axis axis = {0};
		double step;

		chart_set_linear(&axis, most, &step);
		assert_true(axis.most >= most && axis.most < 1.5 * most);
		assert_in_range((int)round(axis.most / step), 3, 7);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_series),
		cmocka_unit_test(test_times_follow_theory),
		cmocka_unit_test(test_slots_weights_and_speeds),
		cmocka_unit_test(test_a_seed_is_a_run),
		cmocka_unit_test(test_affinity),
		cmocka_unit_test(test_max_connections),
		cmocka_unit_test(test_those_who_wait_keep_their_order),
		cmocka_unit_test(test_news_between_workers),
		cmocka_unit_test(test_skew),
		cmocka_unit_test(test_the_course_of_a_loss),
		cmocka_unit_test(test_json_logs),
		cmocka_unit_test(test_combined_logs),
		cmocka_unit_test(test_a_log_tells_speeds),
		cmocka_unit_test(test_waiting_is_told_from_service),
		cmocka_unit_test(test_replay_ranks_algorithms),
		cmocka_unit_test(test_json_form),
		cmocka_unit_test(test_plots),
		cmocka_unit_test(test_labels_do_not_overlap),
		cmocka_unit_test(test_axes),
	};
	int failed;

	arena_init(&arena, 64 * 1024 * 1024);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_done(&arena);
	return failed;
}
