// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <ctype.h>
#include <stdio.h>
#include <pthread.h>

#include "base/metrics.h"

static void test_cells_add_up(void **state)
{
	struct metrics_cells a = {0}, b = {0}, sum = {0};

	(void)state;
	metrics_inc(&a, M_REQUESTS);
	metrics_add(&a, M_REQUESTS, 4);
	metrics_inc(&b, M_REQUESTS);
	metrics_inc(&a, M_CONNECTIONS_ACTIVE); // opened here,
	metrics_inc(&a, M_CONNECTIONS_ACTIVE);
	metrics_dec(&b, M_CONNECTIONS_ACTIVE); // closed there
	metrics_set(&b, M_LOG_DROPPED, 9);
	metrics_bump(&a.outcomes[3], 1);
	metrics_bump(&b.local_answers[31], 2);
	metrics_sum(&a, &sum);
	metrics_sum(&b, &sum);
	assert_int_equal(metrics_read(&sum, M_REQUESTS), 6);
	assert_int_equal(metrics_read(&sum, M_CONNECTIONS_ACTIVE), 1);
	assert_int_equal(metrics_read(&sum, M_LOG_DROPPED), 9);
	assert_int_equal(sum.outcomes[3], 1);
	assert_int_equal(sum.local_answers[31], 2);
}

static void test_response_classes(void **state)
{
	(void)state;
	assert_int_equal(metrics_response_class(100), M_RESPONSES_1XX);
	assert_int_equal(metrics_response_class(200), M_RESPONSES_2XX);
	assert_int_equal(metrics_response_class(399), M_RESPONSES_3XX);
	assert_int_equal(metrics_response_class(404), M_RESPONSES_4XX);
	assert_int_equal(metrics_response_class(599), M_RESPONSES_5XX);
	assert_int_equal(metrics_response_class(600), M_RESPONSES_5XX);
	assert_int_equal(metrics_response_class(999), M_RESPONSES_5XX);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool is_name(const char *name)
{
	for (const char *at = name; *at; at++)
		if (!islower(*at) && !isdigit(*at) && *at != '_')
			return false;
	return isalpha(name[0]);
}

// What Prometheus and OpenMetrics ask of names, units and texts.
static void test_families_are_well_formed(void **state)
{
	(void)state;
	for (int i = 0; i < METRIC_FAMILIES_COUNT; i++) {
		const struct metric_family_info *family = &metric_families[i];
		char end[64];

		assert_true(is_name(family->name));
		assert_true(strncmp(family->name, "lb_", 3) == 0 ||
			    strncmp(family->name, "process_", 8) == 0);
		assert_int_equal(family->type == METRIC_COUNTER, ends_with(family->name, "_total"));
		assert_int_equal(family->type == METRIC_INFO, ends_with(family->name, "_info"));
		snprintf(end, sizeof(end), "_%s%s", family->unit,
			family->type == METRIC_COUNTER ? "_total" : "");
		if (family->unit[0])
			assert_true(ends_with(family->name, end));
		else
			assert_null(strstr(family->name, "seconds"));
		assert_true(ends_with(family->help, "."));
		assert_null(strpbrk(family->help, "\"\\\n|"));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(metric_families[j].name, family->name);
	}
}

// Cells of one family differ in the value of its label.
static void test_cells_are_well_formed(void **state)
{
	(void)state;
	for (int i = 0; i < METRICS_COUNT; i++) {
		const struct metric_info *row = &metric_infos[i];
		const struct metric_family_info *family = &metric_families[row->family];

		assert_in_range(family->type, METRIC_COUNTER, METRIC_GAUGE);
		assert_int_equal(row->labels[0] == 0, family->labels[0] == 0);
		assert_int_equal(strncmp(row->labels, family->labels, strlen(family->labels)), 0);
		for (int j = 0; j < i; j++)
			if (metric_infos[j].family == row->family)
				assert_string_not_equal(metric_infos[j].labels, row->labels);
	}
}

static void test_reference_is_up_to_date(void **state)
{
	static char committed[64 * 1024];
	FILE *file = fopen(SOURCE_ROOT "/docs/metrics.md", "r");
	struct arena arena;

	(void)state;
	assert_non_null(file);
	committed[fread(committed, 1, sizeof(committed) - 1, file)] = 0;
	fclose(file);
	arena_init(&arena, 1 << 20);
	// Else: weir help metrics > docs/metrics.md
	assert_string_equal(committed, metrics_reference(&arena).ptr);
	assert_non_null(strstr(
		committed, "`frontend`, `pool`, `backend`, `method`, `status` | HTTP requests"));
	arena_done(&arena);
}

static struct metrics_cells shared;

static void *count(void *context)
{
	(void)context;
	for (int i = 0; i < 100000; i++)
		metrics_inc(&shared, M_REQUESTS);
	return NULL;
}

static void test_readers_never_see_less(void **state)
{
	pthread_t thread;
	u64 last = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, count, NULL), 0);
	while (last < 100000) {
		struct metrics_cells sum = {0};

		metrics_sum(&shared, &sum);
		assert_true(metrics_read(&sum, M_REQUESTS) >= last);
		last = metrics_read(&sum, M_REQUESTS);
	}
	pthread_join(thread, NULL);
	assert_int_equal(metrics_read(&shared, M_REQUESTS), 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cells_add_up),
		cmocka_unit_test(test_response_classes),
		cmocka_unit_test(test_families_are_well_formed),
		cmocka_unit_test(test_cells_are_well_formed),
		cmocka_unit_test(test_reference_is_up_to_date),
		cmocka_unit_test(test_readers_never_see_less),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
