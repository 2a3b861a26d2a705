// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <ctype.h>
#include <errno.h>

#include "proxy/outcome.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_well_formed),
		cmocka_unit_test(test_error_answers_name_their_cause),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_connect_errors),
	};

	return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
