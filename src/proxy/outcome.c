// SPDX-License-Identifier: Apache-2.0
#include "proxy/outcome.h"

#include <errno.h>

#include "net/tls.h"

const struct outcome_info outcome_infos[OUTCOME_COUNT] = {
#define X(enum_name, text, row_status, row_origin, row_error, row_cause, row_cure) \
	[OUTCOME_##enum_name] = {                                                  \
		.name = {text, sizeof(text) - 1},                                  \
		.status = row_status,                                              \
		.origin = ORIGIN_##row_origin,                                     \
		.error = {row_error, sizeof(row_error) - 1},                       \
		.cause = {row_cause, sizeof(row_cause) - 1},                       \
		.cure = {row_cure, sizeof(row_cure) - 1},                          \
	},
#include "proxy/outcome.def"
#undef X
};

enum outcome outcome_of_refusal(enum http_refusal why)
{
	static const u16 statuses[HTTP_REFUSE_COUNT] = {
#define X(name, status, text) [HTTP_REFUSE_##name] = status,
		HTTP_REFUSALS(X)
#undef X
	};

	ASSERT(why > HTTP_REFUSE_OK && why < HTTP_REFUSE_COUNT);
	if (why == HTTP_REFUSE_PLAIN_ON_TLS)
		return OUTCOME_PLAIN_HTTP;
	switch (statuses[why]) {
	case 408:
		return OUTCOME_CLIENT_TIMEOUT_HEADER;
	case 405:
		return OUTCOME_METHOD_NOT_ALLOWED;
	case 413:
		return OUTCOME_PAYLOAD_TOO_LARGE;
	case 417:
		return OUTCOME_EXPECTATION_FAILED;
	case 421:
		return OUTCOME_MISDIRECTED;
	case 431:
		return OUTCOME_HEAD_TOO_LARGE;
	case 501:
		return OUTCOME_NOT_IMPLEMENTED;
	case 505:
		return OUTCOME_VERSION;
	default:
		return OUTCOME_BAD_REQUEST;
	}
}

enum outcome outcome_of_connect(int error)
{
	enum tls_fault fault = tls_error_fault(error);

	if (fault == TLS_FAULT_NOT_H2)
		return OUTCOME_TLS_PROTOCOL;
	if (fault != TLS_FAULT_NONE)
		return fault >= TLS_FAULT_CERT_EXPIRED && fault <= TLS_FAULT_CERT_BAD
			       ? OUTCOME_TLS_CERTIFICATE
			       : OUTCOME_TLS_FAILED;
	switch (error < 0 ? -error : error) {
	case ECONNREFUSED:
		return OUTCOME_CONNECTION_REFUSED;
	case ETIMEDOUT:
		return OUTCOME_CONNECTION_TIMEOUT;
	default:
		return OUTCOME_CONNECT_FAILED;
	}
}
