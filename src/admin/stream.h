// SPDX-License-Identifier: Apache-2.0
// Server-sent events (WHATWG HTML, section 9.2) for those who watch: the state once a second, and
// what happened in between. Written once for all of them; nothing is written while nobody watches.
#pragma once

#include "admin/admin_inside.h"

struct stream_hub;

struct stream_hub *stream_hub_new(struct admin *admin);
void stream_hub_second(struct stream_hub *hub); // after each look of the figures
void stream_hub_stop(struct stream_hub *hub);	// ends all streams
void stream_hub_free(struct stream_hub *hub);
