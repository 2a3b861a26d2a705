// SPDX-License-Identifier: Apache-2.0
#include "cli/origin.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/origin_client.h"
#include "net/listen.h"

enum {
	clients_max = 16384,
	large_blocks_max = 4096,
	small_blocks_max = 10 * clients_max, // 2 KiB each: what the windows of origin_client.c need
	pause_ms = 100,
};

static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

// ---- Accepting ----------------------------------------------------------------------------------

static void pause_accepting(struct origin *origin)
{
	loop_timer_set(origin->loop, &origin->resume, loop_now_ms(origin->loop) + pause_ms);
}

static void on_resume(struct timer *timer)
{
	struct origin *origin = container_of(timer, struct origin, resume);

	if (origin->stopping || origin->refusing || op_is_out(&origin->accept))
		return;
	if (origin->listener.fd < 0) {
		int fd = listen_open(&origin->options->addr, false);

		if (fd < 0) { // somebody else has the port
			pause_accepting(origin);
			return;
		}
		sock_open(origin->loop, &origin->listener, fd);
	}
	loop_accept(origin->loop, &origin->listener, &origin->accept);
}

static void close_listener(struct origin *origin)
{
	loop_timer_cancel(origin->loop, &origin->resume);
	if (origin->listener.fd >= 0)
		sock_close(origin->loop, &origin->listener);
	listen_unlink(&origin->options->addr);
}

static void on_accept(struct op *op)
{
	struct origin *origin = container_of(op, struct origin, accept);

	if (op->result >= 0)
		origin_accept(origin, op->result);
	if (op->more || origin->stopping)
		return;
	if (origin->refusing)
		close_listener(origin);
	else if (op->result >= 0 || op->result == -ECANCELED)
		loop_accept(origin->loop, &origin->listener, &origin->accept);
	else
		pause_accepting(origin);
}

// ---- Faults -------------------------------------------------------------------------------------

void origin_obey(struct origin *origin)
{
	struct loop *loop = origin->loop;

	origin->refusing = origin->faults.kind == ORIGIN_REFUSE;
	if (origin->faults.for_ms)
		loop_timer_set(
			loop, &origin->fault_over, loop_now_ms(loop) + origin->faults.for_ms);
	else
		loop_timer_cancel(loop, &origin->fault_over);
	if (!origin->refusing)
		on_resume(&origin->resume);
	else if (op_is_out(&origin->accept))
		loop_cancel(loop, &origin->accept); // on_accept closes it
	else
		close_listener(origin);
	list_for_each (node, &origin->client_list)
		origin_client_obey(list_entry(node, struct origin_client, node));
}

static void on_fault_over(struct timer *timer)
{
	struct origin *origin = container_of(timer, struct origin, fault_over);

	origin_faults_end(&origin->faults);
	origin_obey(origin);
}

// ---- Signals and the end ------------------------------------------------------------------------

static void stop(struct origin *origin)
{
	origin->stopping = true;
	loop_timer_cancel(origin->loop, &origin->resume);
	loop_timer_cancel(origin->loop, &origin->fault_over);
	loop_cancel(origin->loop, &origin->accept);
	list_for_each (node, &origin->client_list)
		conn_close(&list_entry(node, struct origin_client, node)->conn);
}

static void on_signal(struct op *op)
{
	struct origin *origin = container_of(op, struct origin, signal_op);
	struct signalfd_siginfo info;

	if (read(origin->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		stop(origin);
	else
		loop_ready(origin->loop, &origin->signals, op, LOOP_IN);
}

static int hear_signals(struct origin *origin)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	signal(SIGPIPE, SIG_IGN);
	if (origin->options->hears_terminal)
		sigaddset(&set, SIGINT);
	else
		signal(SIGINT, SIG_IGN); // the terminal tells all its processes; our parent ends us
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	sock_open(origin->loop, &origin->signals, fd);
	op_init(&origin->signal_op, on_signal);
	loop_ready(origin->loop, &origin->signals, &origin->signal_op, LOOP_IN);
	return 0;
}

static bool is_over(const struct origin *origin)
{
	return origin->stopping && list_is_empty(&origin->client_list) &&
	       !op_is_out(&origin->accept);
}

static void run(struct origin *origin)
{
	origin->start_ms = loop_now_ms(origin->loop);
	sock_open(origin->loop, &origin->listener, origin->options->fd);
	origin_obey(origin);
	while (!is_over(origin))
		loop_turn(origin->loop, UINT64_MAX);
	if (origin->listener.fd >= 0)
		sock_close(origin->loop, &origin->listener);
	sock_close(origin->loop, &origin->signals);
}

int origin_serve(const struct origin_options *options, const char **ret_why)
{
	struct loop_limits limits = {
		.large_blocks_max = large_blocks_max, .small_blocks_max = small_blocks_max};
	struct origin *origin = mem_alloc(sizeof(*origin));
	int error;

	raise_fd_limit();
	origin->options = options;
	origin_faults_init(&origin->faults, options->addr.port);
	origin->parser.limits = (struct h1_limits){
		.head_bytes_max = HTTP_HEAD_BYTES_MAX, .target_bytes_max = HTTP_HEAD_BYTES_MAX};
	op_init(&origin->accept, on_accept);
	timer_init(&origin->resume, on_resume);
	timer_init(&origin->fault_over, on_fault_over);
	list_init(&origin->client_list);
	slab_init(&origin->clients, "test clients", sizeof(struct origin_client), clients_max);
	*ret_why = options->fault ? origin_faults_set(&origin->faults, str_from(options->fault))
				  : NULL;
	error = *ret_why ? -EINVAL : loop_new(options->io, &limits, &origin->loop, ret_why);
	if (!error) {
		error = hear_signals(origin);
		if (!error)
			run(origin);
		loop_free(origin->loop);
	}
	slab_done(&origin->clients);
	mem_free(origin);
	return error;
}
