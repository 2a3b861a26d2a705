// SPDX-License-Identifier: Apache-2.0
// What is a call of gRPC, and how long it may take.
#include "h2_pair.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "proto/grpc.h"

static bool is_call(const char *type)
{
	struct maker maker;

	maker_request(&maker, "POST", "/");
	maker_add(&maker, "content-type", type);
	return grpc_is_call(&maker.head);
}

static void test_calls(void **state)
{
	struct maker maker;

	(void)state;
	assert_true(is_call("application/grpc"));
	assert_true(is_call("application/grpc+proto"));
	assert_true(is_call("Application/gRPC;charset=utf-8"));
	assert_false(is_call("application/grpc-web"));
	assert_false(is_call("application/grpcx"));
	assert_false(is_call("application/json"));
	maker_request(&maker, "POST", "/");
	assert_false(grpc_is_call(&maker.head));
}

static u64 timeout_ms(const char *value)
{
	struct maker maker;

	maker_request(&maker, "POST", "/");
	maker_add(&maker, "grpc-timeout", value);
	return grpc_timeout_ms(&maker.head);
}

static void test_timeouts(void **state)
{
	(void)state;
	assert_int_equal(timeout_ms("1H"), 3600 * 1000);
	assert_int_equal(timeout_ms("2M"), 120 * 1000);
	assert_int_equal(timeout_ms("3S"), 3000);
	assert_int_equal(timeout_ms("250m"), 250);
	assert_int_equal(timeout_ms("1500u"), 2);
	assert_int_equal(timeout_ms("1n"), 1);
	assert_int_equal(timeout_ms("99999999H"), 99999999ull * 3600 * 1000);
	assert_int_equal(timeout_ms("100000000S"), 0);
	assert_int_equal(timeout_ms("5"), 0);
	assert_int_equal(timeout_ms("S"), 0);
	assert_int_equal(timeout_ms("-5S"), 0);
	assert_int_equal(timeout_ms("5x"), 0);
}

static void test_codes(void **state)
{
	(void)state;
	assert_int_equal(grpc_code_of(503), GRPC_UNAVAILABLE);
	assert_int_equal(grpc_code_of(502), GRPC_UNAVAILABLE);
	assert_int_equal(grpc_code_of(504), GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(grpc_code_of(404), GRPC_UNIMPLEMENTED);
	assert_int_equal(grpc_code_of(413), GRPC_RESOURCE_EXHAUSTED);
	assert_int_equal(grpc_code_of(418), GRPC_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
