// SPDX-License-Identifier: Apache-2.0
// The thread that shows weir to people and programs and takes their orders: API, dashboard,
// metrics. It reads what workers count, asks the control thread for what that knows, and waits for
// nobody; nobody waits for it.
#pragma once

#include "control/control.h"

// control_run with such a thread.
int admin_run(const struct conf *conf, struct arena *arena, const struct control_options *options);

enum { ADMIN_PORT = 9900 };

// Paths where the unix socket may be, best first, in `arena`: $RUNTIME_DIRECTORY, /run/weir,
// $XDG_RUNTIME_DIR/weir. The number of them.
enum { ADMIN_PATHS_MAX = 3 };
u32 admin_socket_paths(struct arena *arena, const char *ret_paths[ADMIN_PATHS_MAX]);
