// SPDX-License-Identifier: Apache-2.0
// Why a backend is in the state that it is in, in words: the same ones in lines, events and the
// API.
#pragma once

#include "control/model.h"

enum { REASON_BYTES = 80 };

// Why nobody could connect: a handshake that failed stands behind the reasons that decide/health.h
// has words for. `error`: negative errno, or a fault of TLS.
enum health_reason reason_of_connect(int error);

// Each gives a text that is static, or in `room`.

// "connection refused", "the peer's certificate has expired"
const char *reason_of_health(u8 reason);

// "connection refused", "status 503 instead of 200-399"
const char *reason_of_change(const struct model_change *change, char room[static REASON_BYTES]);

// Of the last check.
const char *reason_of_check(
	const struct backend *backend, const struct health *health, char room[static REASON_BYTES]);

// Of a backend that is ejected. `ejected_by`: as in its state.
const char *reason_of_ejection(enum ejection_why why, u8 ejected_by);

// Of its place among those that may get requests, and who ordered it. `order`: enum model_order.
const char *reason_of_state(const struct backend *backend, const struct model_state *state,
	u8 order, char room[static REASON_BYTES]);
