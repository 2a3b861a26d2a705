// SPDX-License-Identifier: Apache-2.0
// Takes the place of loop_uring.c in a build without io_uring.
#include "loop/loop_twin.h"

static const char why[] = "built without io_uring";

const char *loop_uring_missing(void)
{
	return why;
}

int loop_uring_new(const struct loop_limits *limits, struct loop **ret_loop, const char **ret_why)
{
	(void)limits;
	(void)ret_loop;
	*ret_why = why;
	return -ENOSYS;
}
