// SPDX-License-Identifier: Apache-2.0
#include "cli/wait.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { ms_per_s = 1000, ns_per_ms = 1000000 };

void wait_begin(struct wait *wait, u64 bound_ms)
{
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(bound_ms / ms_per_s),
					  .tv_nsec = (long)(bound_ms % ms_per_s) * ns_per_ms}};

	wait->bound = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (wait->bound >= 0)
		ASSERT(timerfd_settime(wait->bound, 0, &when, NULL) == 0);
}

void wait_end(struct wait *wait)
{
	if (wait->bound >= 0)
		close(wait->bound);
	wait->bound = -1;
}

bool wait_for_ms(const struct wait *wait, u32 ms)
{
	struct pollfd bound = {.fd = wait->bound, .events = POLLIN};

	return poll(&bound, 1, (int)ms) <= 0;
}
