// SPDX-License-Identifier: Apache-2.0
// Inside of the API only: one question to control/reload.h on behalf of a call.
#pragma once

#include "admin/admin_inside.h"

struct api_order {
	struct reload_ask ask;
	struct conf_edit_backend backend; // texts are in the call's arena
	struct admin *admin;
	struct admin_call *call;
};

struct api_order *api_order_new(
	struct admin *admin, struct admin_call *call, enum reload_kind kind);

// It is answered and freed.
void api_order_give(struct api_order *order);
