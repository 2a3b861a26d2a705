// SPDX-License-Identifier: Apache-2.0
// Threads of weir's own. They hear no signals, which are the control thread's, but the one by which
// a refused system call is told (confine.h).
#pragma once

#include <pthread.h>

#include "base/base.h"

// 0 or negative errno.
int thread_start(pthread_t *ret_thread, void *(*run)(void *), void *arg) must_check;

// The calling thread takes less of a processor (nice 10) than those that carry traffic, when they
// share one: a scrape of many backends must not make requests wait for a time slice. Where that is
// not allowed everything stays as it was.
void thread_give_way(void);
