// SPDX-License-Identifier: Apache-2.0
// Can io_uring be used here and now, and how much of it? Asked with the real thing, because
// containers, sysctls and old kernels refuse it in many ways.
#pragma once

#include <liburing.h>

#include "loop/loop.h"

struct uring_features {
	bool multishot_accept, multishot_recv;
};

// Makes the ring with the best set of flags that this kernel takes, and tells what else it can. 0,
// or negative errno and the reason.
int uring_setup(struct io_uring *ring, u32 sq_entries, u32 cq_entries,
	struct uring_features *ret_features, const char **ret_why) must_check;

// Tries on a connection of its own, through the finished loop, what the twin lives on: a receive
// into a lent block, a cancel, the end of a stream. 0, or negative errno and the reason; after
// -ETIMEDOUT the kernel still has an op, and the loop must not be freed.
int uring_self_test(struct loop *loop, const char **ret_why) must_check;
