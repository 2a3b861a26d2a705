// SPDX-License-Identifier: Apache-2.0
// The messages of gRPC's health check, by the byte.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/grpc_health.h"

#define BYTES(literal) str_make(literal, sizeof(literal) - 1)

// In memory of its exact size; each beginning wants more, or says the same.
static enum grpc_health_answer look(struct str body, enum grpc_health_status *ret_status)
{
	enum grpc_health_answer answer = GRPC_HEALTH_MORE;

	for (size_t len = 0; len <= body.len && answer == GRPC_HEALTH_MORE; len++) {
		char *copy = malloc(len ? len : 1);

		assert_non_null(copy);
		memcpy(copy, body.ptr, len);
		answer = grpc_health_read_answer(str_make(copy, len), ret_status);
		free(copy);
	}
	return answer;
}

static void says(struct str body, enum grpc_health_status wanted)
{
	enum grpc_health_status status = GRPC_HEALTH_UNKNOWN;

	assert_int_equal(look(body, &status), GRPC_HEALTH_READ);
	assert_int_equal(status, wanted);
}

static void says_nothing(struct str body, enum grpc_health_answer wanted)
{
	enum grpc_health_status status;

	assert_int_equal(look(body, &status), wanted);
}

static void writes_requests(void **state)
{
	char buffer[GRPC_HEALTH_REQUEST_MAX], name[GRPC_HEALTH_SERVICE_MAX];
	size_t len;

	(void)state;
	len = grpc_health_write_request(STR_EMPTY, buffer);
	assert_true(str_eq(str_make(buffer, len), BYTES("\0\0\0\0\0")));
	len = grpc_health_write_request(STR("a.B"), buffer);
	assert_true(str_eq(str_make(buffer, len), BYTES("\0\0\0\0\5\x0a\3a.B")));
	memset(name, 'x', sizeof(name));
	len = grpc_health_write_request(str_make(name, 200), buffer);
	assert_int_equal(len, 5 + 3 + 200);
	assert_memory_equal(buffer, "\0\0\0\0\xcb\x0a\xc8\1xxx", 11);
	len = grpc_health_write_request(str_make(name, sizeof(name)), buffer);
	assert_int_equal(len, GRPC_HEALTH_REQUEST_MAX);
	assert_memory_equal(buffer, "\0\0\0\1\2\x0a\xff\1x", 9);
}

static void reads_answers(void **state)
{
	(void)state;
	says(BYTES("\0\0\0\0\2\x08\1"), GRPC_HEALTH_SERVING);
	says(BYTES("\0\0\0\0\2\x08\2"), GRPC_HEALTH_NOT_SERVING);
	says(BYTES("\0\0\0\0\2\x08\3"), GRPC_HEALTH_SERVICE_UNKNOWN);
	says(BYTES("\0\0\0\0\0"), GRPC_HEALTH_UNKNOWN);
	says(BYTES("\0\0\0\0\2\x08\x9"), GRPC_HEALTH_UNKNOWN);
	says(BYTES("\0\0\0\0\4\x08\2\x08\1"), GRPC_HEALTH_SERVING); // the last one counts
	says(BYTES("\0\0\0\0\3\x08\x81\0"), GRPC_HEALTH_SERVING);   // longer than it must be
	says(BYTES("\0\0\0\0\x14\x12\2ab\x19"
		   "12345678\x1d"
		   "1234\x08\1"),
		GRPC_HEALTH_SERVING);
	says(BYTES("\0\0\0\0\xb\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), GRPC_HEALTH_UNKNOWN);
	says(BYTES("\0\0\0\0\2\x08\1\0\0\0\0\2\x08\2"), GRPC_HEALTH_SERVING);
}

static void refuses_answers(void **state)
{
	(void)state;
	says_nothing(BYTES("\1\0\0\0\2\x08\1"), GRPC_HEALTH_MALFORMED); // compressed
	says_nothing(BYTES("\0\0\0\x10\0"), GRPC_HEALTH_MALFORMED);
	says_nothing(BYTES("\0\xff\xff\xff\xff"), GRPC_HEALTH_MALFORMED);
	says_nothing(BYTES("\0\0\0\0\1\x08"), GRPC_HEALTH_MALFORMED);
	says_nothing(BYTES("\0\0\0\0\2\x08\x81"), GRPC_HEALTH_MALFORMED);
	says_nothing(BYTES("\0\0\0\0\2\0\1"), GRPC_HEALTH_MALFORMED);	  // field 0
	says_nothing(BYTES("\0\0\0\0\2\x0b\x0c"), GRPC_HEALTH_MALFORMED); // a group
	says_nothing(BYTES("\0\0\0\0\3\x12\2a"), GRPC_HEALTH_MALFORMED);
	says_nothing(BYTES("\0\0\0\0\3\x1d"
			   "12"),
		GRPC_HEALTH_MALFORMED);
	says_nothing(BYTES("\0\0\0\0\xb\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"),
		GRPC_HEALTH_MALFORMED);
	says_nothing(BYTES("\0\0\0\0\2\x08"), GRPC_HEALTH_MORE);
	says_nothing(BYTES("\0\0\0"), GRPC_HEALTH_MORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_requests),
		cmocka_unit_test(reads_answers),
		cmocka_unit_test(refuses_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
