// SPDX-License-Identifier: Apache-2.0
#include "control/thread.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { give_way_nice = 10 };

int thread_start(pthread_t *ret_thread, void *(*run)(void *), void *arg)
{
	sigset_t blocked, before;
	int error;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	error = pthread_create(ret_thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

// Linux keeps a value for each thread, unlike POSIX (setpriority(2)).
void thread_give_way(void)
{
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), give_way_nice);
}
