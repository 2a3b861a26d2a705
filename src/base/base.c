// SPDX-License-Identifier: Apache-2.0
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

static crash_hook_fn *crash_hook;

void base_set_crash_hook(crash_hook_fn *hook)
{
	crash_hook = hook;
}

_Noreturn void assert_failed(const char *expression, const char *file, int line)
{
	static __thread bool dying;

	fprintf(stderr,
		"weir: assertion failed: %s at %s:%d. This is a bug in weir; please report it with "
		"the lines below.\n",
		expression, file, line);
	if (crash_hook && !dying) {
		dying = true;
		crash_hook();
	}
	abort();
}
