// SPDX-License-Identifier: Apache-2.0
// Spans as OTLP in JSON (opentelemetry-proto 1.x, trace/v1), with the attribute names of
// OpenTelemetry's semantic conventions; what they have no name for begins with "weir.".
#pragma once

#include "base/json.h"
#include "proxy/outcome.h"
#include "proxy/span.h"

// The beginning of a request: the resource. `instance`: an id of this process, for when the
// attributes that are configured have none.
void otlp_text_begin(struct json *json, const struct conf_tracing *tracing, struct str host,
	struct str instance);
void otlp_text_span(struct json *json, const struct span *span);
void otlp_text_end(struct json *json);
