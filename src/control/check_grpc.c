// SPDX-License-Identifier: Apache-2.0
#include "control/check_grpc.h"

#include "proto/grpc.h"
#include "proto/grpc_health.h"

void check_grpc_done(struct check_grpc *check)
{
	text_done(&check->body);
}

void check_grpc_fields(struct check_grpc *check, const struct http_field *fields, u16 count)
{
	for (u32 i = 0; i < count; i++) {
		struct str name = str_make(fields[i].name, fields[i].name_len);
		struct str value = str_make(fields[i].value, fields[i].value_len);
		u64 status;

		if (str_eq_nocase(name, STR("content-type"))) {
			check->is_grpc = str_starts(value, STR("application/grpc"));
		} else if (str_eq_nocase(name, STR("grpc-status")) &&
			   str_to_u64(value, UINT16_MAX, &status) == 0) {
			check->has_status = true;
			check->status = (u32)status;
		}
	}
}

bool check_grpc_body(struct check_grpc *check, struct str bytes)
{
	if (bytes.len > GRPC_HEALTH_ANSWER_MAX - check->body.len)
		return false;
	text_add(&check->body, bytes);
	return true;
}

static enum health_reason judge_status(u32 status)
{
	switch (status) {
	case GRPC_UNIMPLEMENTED:
		return HEALTH_GRPC_UNIMPLEMENTED;
	case GRPC_NOT_FOUND:
		return HEALTH_GRPC_SERVICE;
	default:
		return HEALTH_GRPC_STATUS;
	}
}

static enum health_reason judge_message(struct str body)
{
	enum grpc_health_status status;

	if (grpc_health_read_answer(body, &status) != GRPC_HEALTH_READ)
		return HEALTH_GRPC_MALFORMED;
	switch (status) {
	case GRPC_HEALTH_SERVING:
		return HEALTH_NONE;
	case GRPC_HEALTH_NOT_SERVING:
		return HEALTH_GRPC_NOT_SERVING;
	case GRPC_HEALTH_SERVICE_UNKNOWN:
		return HEALTH_GRPC_SERVICE;
	case GRPC_HEALTH_UNKNOWN:
		break;
	}
	return HEALTH_GRPC_UNKNOWN;
}

enum health_reason check_grpc_judge(const struct check_grpc *check, u16 http_status)
{
	if (http_status != 200)
		return HEALTH_STATUS;
	if (!check->is_grpc || !check->has_status)
		return HEALTH_GRPC_MALFORMED;
	if (check->status != GRPC_OK)
		return judge_status(check->status);
	return judge_message(str_make(check->body.data, check->body.len));
}
