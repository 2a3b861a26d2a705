// SPDX-License-Identifier: Apache-2.0
// Stands in for relay_uring.c where liburing is missing.

#include "common.h"
#include "relay.h"

#include <errno.h>

_Noreturn void relay_uring_run(const struct relay_options *options, bool multishot)
{
	(void)options;
	(void)multishot;
	errno = 0;
	bench_die("built without liburing");
}
