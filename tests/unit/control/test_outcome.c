// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "conf/file.h"
#include "proxy/access.h"

// RFC 9209 2.3: the registered error types.
static const char *const registered[] = {"dns_timeout", "dns_error", "destination_not_found",
	"destination_unavailable", "destination_ip_prohibited", "destination_ip_unroutable",
	"connection_refused", "connection_terminated", "connection_timeout",
	"connection_read_timeout", "connection_write_timeout", "connection_limit_reached",
	"tls_protocol_error", "tls_certificate_error", "tls_alert_received", "http_request_error",
	"http_request_denied", "http_response_incomplete", "http_response_header_section_size",
	"http_response_header_size", "http_response_body_size",
	"http_response_trailer_section_size", "http_response_trailer_size",
	"http_response_transfer_coding", "http_response_content_coding", "http_response_timeout",
	"http_upgrade_failed", "http_protocol_error", "proxy_internal_response",
	"proxy_internal_error", "proxy_configuration_error", "proxy_loop_detected"};

static bool is_registered(struct str error)
{
	for (size_t i = 0; i < ARRAY_LEN(registered); i++) {
		if (str_eq(error, str_from(registered[i])))
			return true;
	}
	return false;
}

static void test_rows_are_well_formed(void **state)
{
	(void)state;
	assert_true((int)OUTCOME_COUNT <= (int)METRICS_OUTCOMES_MAX);
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_info *row = outcome_info((enum outcome)i);

		for (size_t at = 0; at < row->name.len; at++)
			assert_true(islower(row->name.ptr[at]) || row->name.ptr[at] == '_');
		for (int j = 0; j < i; j++)
			assert_false(str_eq(row->name, outcome_info((enum outcome)j)->name));
		assert_true(row->cause.len > 0);
		assert_true(row->error.len == 0 || is_registered(row->error));
		if (row->cure.len > 0)
			assert_memory_equal(&row->cure.ptr[row->cure.len - 1],
				row->cure.ptr[row->cure.len - 1] == '?' ? "?" : ".", 1);
	}
}

// Every answer that tells of an error names it for other proxies, and says whose doing it is: 4xx
// the client's or the configuration's, 5xx ours or a backend's.
static void test_error_answers_name_their_cause(void **state)
{
	(void)state;
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_info *row = outcome_info((enum outcome)i);

		if (row->status < 400)
			continue;
		assert_true(row->error.len > 0);
		assert_true(row->cure.len > 0);
		assert_int_not_equal(row->origin, ORIGIN_NOBODY);
		if (row->status == 502 || row->status == 504)
			assert_int_equal(row->origin, ORIGIN_BACKEND);
		if (row->status < 500 && row->status != 404)
			assert_int_equal(row->origin, ORIGIN_CLIENT);
	}
}

static void test_refusals(void **state)
{
	(void)state;
	assert_int_equal(outcome_of_refusal(HTTP_REFUSE_CHUNK), OUTCOME_BAD_REQUEST);
	assert_int_equal(outcome_of_refusal(HTTP_REFUSE_URI_TOO_LONG), OUTCOME_BAD_REQUEST);
	assert_int_equal(outcome_of_refusal(HTTP_REFUSE_TOO_MANY_FIELDS), OUTCOME_HEAD_TOO_LARGE);
	assert_int_equal(outcome_of_refusal(HTTP_REFUSE_VERSION), OUTCOME_VERSION);
	assert_int_equal(outcome_of_refusal(HTTP_REFUSE_CODING_UNKNOWN), OUTCOME_NOT_IMPLEMENTED);
	assert_int_equal(outcome_of_refusal(HTTP_REFUSE_EXPECT), OUTCOME_EXPECTATION_FAILED);
	assert_int_equal(outcome_of_refusal(HTTP_REFUSE_CONNECT), OUTCOME_METHOD_NOT_ALLOWED);
#define X(name, expected, text)                                        \
	if (HTTP_REFUSE_##name != HTTP_REFUSE_OK && (expected) != 414) \
		assert_int_equal(                                      \
			outcome_info(outcome_of_refusal(HTTP_REFUSE_##name))->status, expected);
	HTTP_REFUSALS(X)
#undef X
}

static void test_connect_errors(void **state)
{
	(void)state;
	assert_int_equal(outcome_of_connect(-ECONNREFUSED), OUTCOME_CONNECTION_REFUSED);
	assert_int_equal(outcome_of_connect(ECONNREFUSED), OUTCOME_CONNECTION_REFUSED);
	assert_int_equal(outcome_of_connect(-ETIMEDOUT), OUTCOME_CONNECTION_TIMEOUT);
	assert_int_equal(outcome_of_connect(-EHOSTUNREACH), OUTCOME_CONNECT_FAILED);
}

// ---- The page about them ------------------------------------------------------------------------

static const char introduction[] =
	"<!-- Made from src/proxy/outcome.def; to renew it: test-outcome page > docs/outcomes.md\n"
	"     (test-outcome is built with the tests, and one of them compares). -->\n"
	"# How requests and connections end\n\n"
	"One word says how, and it is the same in the access log (`outcome`), in the log, in the "
	"counters by outcome, in spans (`weir.outcome`), and in the answers that weir gives "
	"itself: "
	"in their text and as `details` of `Proxy-Status` (RFC 9209), whose `error` is the "
	"registered type that comes closest.\n\n"
	"`answer` is the status of weir's own answer; without one it was too late for an answer, "
	"or "
	"there was nothing wrong. `whose` says who has to do something about it. `HAProxy` is the "
	"beginning of the termination state that the access log has in the format of that name: "
	"who "
	"ended it and when, where `?` stands for as far as it came (`R` request, `Q` queue, `C` "
	"connection, `H` head of the answer, `D` data).\n\n"
	"| outcome | answer | whose | error | HAProxy | what happened | what to do |\n"
	"|---|---|---|---|---|---|---|\n";

static void add_cell(struct text *page, struct str text)
{
	text_printf(page, " %.*s |", STR_FMT(text));
}

static struct str make_page(struct arena *arena)
{
	static const struct str whose[] = {[ORIGIN_NOBODY] = STR("nobody's"),
		[ORIGIN_CLIENT] = STR("the client's"),
		[ORIGIN_BALANCER] = STR("the balancer's"),
		[ORIGIN_BACKEND] = STR("a backend's")};
	struct text page = {0};

	text_add(&page, STR(introduction));
	for (int i = 0; i < OUTCOME_COUNT; i++) {
		const struct outcome_info *row = outcome_info((enum outcome)i);

		text_printf(&page, "| `%.*s` |", STR_FMT(row->name));
		if (row->status)
			text_printf(&page, " %u |", row->status);
		else
			add_cell(&page, STR_EMPTY);
		add_cell(&page, whose[row->origin]);
		add_cell(&page, row->error);
		text_printf(&page, " `%s` |", access_termination_of((enum outcome)i));
		add_cell(&page, row->cause);
		add_cell(&page, row->cure);
		text_addc(&page, '\n');
	}
	return text_take(&page, arena);
}

static void test_the_page_is_made_of_the_table(void **state)
{
	struct arena arena;
	struct str page;
	u64 identity;

	(void)state;
	arena_init(&arena, 1 << 20);
	assert_int_equal(file_read(&arena, SOURCE_ROOT "/docs/outcomes.md", &page, &identity), 0);
	assert_string_equal(page.ptr, make_page(&arena).ptr);
	arena_done(&arena);
}

static int print_page(void)
{
	struct arena arena;

	arena_init(&arena, 1 << 20);
	fputs(make_page(&arena).ptr, stdout);
	arena_done(&arena);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_well_formed),
		cmocka_unit_test(test_error_answers_name_their_cause),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_connect_errors),
		cmocka_unit_test(test_the_page_is_made_of_the_table),
	};

	if (argc == 2 && strcmp(argv[1], "page") == 0)
		return print_page();

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
