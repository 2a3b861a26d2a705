// SPDX-License-Identifier: Apache-2.0
#include "proto/grpc.h"

enum { digits_max = 8 };

bool grpc_is_call(const struct http_head *request)
{
	const struct http_field *field = http_head_find(request, HTTP_F_CONTENT_TYPE);
	struct str type = STR("application/grpc"), value;

	if (!field || field->value_len < type.len)
		return false;
	value = str_make(field->value, type.len);
	return str_eq_nocase(value, type) &&
	       (field->value_len == type.len || field->value[type.len] == '+' ||
		       field->value[type.len] == ';');
}

static u64 unit_us(char unit)
{
	switch (unit) {
	case 'H':
		return 3600ull * 1000000;
	case 'M':
		return 60ull * 1000000;
	case 'S':
		return 1000000;
	case 'm':
		return 1000;
	default:
		return unit == 'u';
	}
}

u64 grpc_timeout_ms(const struct http_head *request)
{
	const struct http_field *field = http_head_find_name(request, STR("grpc-timeout"));
	u64 number = 0, us;

	if (!field || field->value_len < 2 || field->value_len > digits_max + 1 ||
		str_to_u64(str_make(field->value, field->value_len - 1), UINT32_MAX, &number) != 0)
		return 0;
	us = unit_us(field->value[field->value_len - 1]);
	if (us == 0)
		return field->value[field->value_len - 1] == 'n' ? number / 1000000 + 1 : 0;
	return (number * us + 999) / 1000;
}

enum grpc_code grpc_code_of(u16 http_status)
{
	switch (http_status) {
	case 400:
	case 431:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
	case 405:
	case 501:
		return GRPC_UNIMPLEMENTED;
	case 408:
	case 504:
		return GRPC_DEADLINE_EXCEEDED;
	case 413:
		return GRPC_RESOURCE_EXHAUSTED;
	case 429:
	case 502:
	case 503:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}
