// SPDX-License-Identifier: Apache-2.0
#include "control/worker.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/thread.h"

enum {
	pause_ms = 100,
	expect_ms = 20,	    // between two looks whether tunnels may still come
	handoff_min = 2,    // connections; below, an uneven split is noise
	handoff_share = 10, // and at least a tenth of our own
};

// ---- Hand-off -----------------------------------------------------------------------------------

struct handoff {
	struct message message;
	struct worker *worker; // the other one
	struct listener *to;   // the same address there
	int fd;
};

static u64 load_of(struct worker *worker)
{
	return metrics_read(&worker->metrics, M_CONNECTIONS_ACTIVE) +
	       atomic_load_explicit(&worker->handed, memory_order_relaxed);
}

// The worker with clearly less to do than this one, or NULL.
static struct worker *less_loaded(struct worker *self)
{
	u64 own = load_of(self), least = own;
	struct worker *best = NULL;

	for (u32 i = 0; i < self->workers->count; i++) {
		struct worker *other = &self->workers->all[i];
		u64 load = load_of(other);

		if (load < least && !atomic_load(&other->closed)) {
			least = load;
			best = other;
		}
	}
	if (!best || own < least + MAX((u64)handoff_min, own / handoff_share))
		return NULL;
	return best;
}

static void take_here(struct listener *listener, int fd);

static void deliver_handoff(struct message *message)
{
	struct handoff *handoff = container_of(message, struct handoff, message);
	struct worker *worker = handoff->worker;

	// Its address may have left the configuration on the way.
	if (handoff->to->worker && (worker->draining || !handoff->to->is_leaving))
		take_here(handoff->to, handoff->fd);
	else
		close(handoff->fd);
	atomic_fetch_sub(&worker->handed, 1);
	mem_free(handoff);
}

static bool hand_off(struct listener *listener, int fd)
{
	struct worker *self = listener->worker, *to = less_loaded(self);
	struct handoff *handoff;

	if (!to)
		return false;
	handoff = mem_try_alloc(sizeof(*handoff));
	if (!handoff)
		return false;
	*handoff = (struct handoff){.message = {.deliver = deliver_handoff},
		.worker = to,
		.to = &to->listeners[listener - self->listeners],
		.fd = fd};
	// Either the receiver sees that something is on its way, or we see that it takes no more.
	atomic_fetch_add(&to->handed, 1);
	if (atomic_load(&to->closed)) {
		atomic_fetch_sub(&to->handed, 1);
		mem_free(handoff);
		return false;
	}
	metrics_inc(&self->metrics, M_CONNECTIONS_HANDED);
	loop_post(to->loop, &handoff->message);
	return true;
}

// ---- Waiting for room ---------------------------------------------------------------------------

// A connection that was accepted although there is no room for it: the kernel may take several
// before we can say stop. It waits here as it would have waited in the kernel's queue.
struct waiting {
	struct list node;
	int fd;
};

static bool has_room(const struct listener *listener)
{
	return proxy_has_room(&listener->worker->proxy, listener->frontend);
}

static void look_again(struct listener *listener)
{
	struct loop *loop = listener->worker->loop;

	loop_timer_set(loop, &listener->resume, loop_now_ms(loop) + pause_ms);
}

static void wait_for_room(struct listener *listener, int fd)
{
	struct waiting *waiting = mem_try_alloc(sizeof(*waiting));

	if (!waiting) {
		proxy_accept(&listener->worker->proxy, listener->frontend, fd);
		return;
	}
	waiting->fd = fd;
	list_push_back(&listener->waiting, &waiting->node);
	look_again(listener);
}

static int next_waiting(struct listener *listener)
{
	struct waiting *waiting = list_first(&listener->waiting, struct waiting, node);
	int fd = waiting->fd;

	list_remove(&waiting->node);
	mem_free(waiting);
	return fd;
}

static void serve_waiting(struct listener *listener)
{
	while (!list_is_empty(&listener->waiting) && has_room(listener)) {
		int fd = next_waiting(listener);

		if (!proxy_offer(&listener->worker->proxy, listener->frontend, fd)) {
			wait_for_room(listener, fd); // another worker was faster
			return;
		}
	}
}

static void take_here(struct listener *listener, int fd)
{
	struct worker *worker = listener->worker;

	if (worker->draining)
		proxy_accept(&worker->proxy, listener->frontend, fd);
	else if (!list_is_empty(&listener->waiting) ||
		 !proxy_offer(&worker->proxy, listener->frontend, fd))
		wait_for_room(listener, fd);
}

// ---- Listeners ----------------------------------------------------------------------------------

static void take(struct listener *listener, int fd)
{
	struct worker *worker = listener->worker;

	if (worker->workers->count > 1 && !worker->draining && hand_off(listener, fd))
		return;
	take_here(listener, fd);
}

static void submit_accept(struct listener *listener)
{
	listener->paused = false;
	loop_accept(listener->worker->loop, &listener->sock, &listener->accept);
}

static void pause_accept(struct listener *listener)
{
	if (!listener->paused)
		metrics_inc(&listener->worker->metrics, M_ACCEPT_PAUSES);
	listener->paused = true;
	look_again(listener);
}

static void on_resume(struct timer *timer)
{
	struct listener *listener = container_of(timer, struct listener, resume);

	if (listener->worker->draining || listener->is_leaving)
		return;
	serve_waiting(listener);
	if (!list_is_empty(&listener->waiting) || !has_room(listener))
		look_again(listener);
	else if (listener->sock.fd >= 0 && !op_is_out(&listener->accept))
		submit_accept(listener);
}

// What already waits in the queue of a listener that closes would be reset; it is served instead.
static void accept_rest(struct listener *listener)
{
	for (;;) {
		int fd = accept4(listener->sock.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			proxy_accept(&listener->worker->proxy, listener->frontend, fd);
		else if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void close_listener(struct listener *listener)
{
	if (listener->sock.fd < 0 || op_is_out(&listener->accept))
		return;
	accept_rest(listener);
	loop_timer_cancel(listener->worker->loop, &listener->resume);
	hush_done(&listener->droughts);
	sock_close(listener->worker->loop, &listener->sock);
	listener->sock.fd = -1;
}

static const char drought_cure[] = "raise the descriptor limit (ulimit -n, LimitNOFILE=)";

static void say_droughts(struct hush *hush, u64 times)
{
	struct listener *listener = container_of(hush, struct listener, droughts);

	LOG(listener->worker->proxy.log, LOG_WARN, "accepting pauses again in the last second",
		LOG_U64("times", times), LOG_STR("bind", listener->bind->text),
		LOG_CSTR("cure", drought_cure));
}

static void tell_drought(struct listener *listener, int error)
{
	struct log *log = listener->worker->proxy.log;

	if (!log_is_on(log, LOG_WARN) || !hush_is_news(&listener->droughts))
		return;
	LOG(log, LOG_WARN, "accepting pauses", LOG_ERRNO(error),
		LOG_STR("bind", listener->bind->text), LOG_CSTR("cure", drought_cure));
}

static void on_accept(struct op *op)
{
	struct listener *listener = container_of(op, struct listener, accept);
	struct worker *worker = listener->worker;

	if (op->result >= 0) {
		listener->failed = false;
		take(listener, op->result);
	} else if (op->result != -ECANCELED && op->result != -ECONNABORTED && !listener->failed) {
		listener->failed = true;
		tell_drought(listener, op->result);
	}
	if (op->more) {
		if (!has_room(listener))
			loop_cancel(worker->loop, op);
		return;
	}
	if (worker->draining || listener->is_leaving)
		close_listener(listener);
	else if (op->result < 0 || !has_room(listener))
		pause_accept(listener);
	else
		submit_accept(listener);
}

static void init_listener(struct listener *listener, struct worker *worker)
{
	listener->worker = worker;
	listener->sock.fd = -1;
	list_init(&listener->waiting);
	op_init(&listener->accept, on_accept);
	timer_init(&listener->resume, on_resume);
	hush_init(&listener->droughts, worker->loop, say_droughts);
	listener->paused = listener->failed = listener->is_leaving = false;
}

static void begin_listening(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	sock_open(listener->worker->loop, &listener->sock, listener->fd);
	submit_accept(listener);
}

static void open_listeners(struct worker *worker)
{
	for (u32 i = 0; i < worker->listener_count; i++) {
		if (!worker->listeners[i].frontend)
			continue;
		init_listener(&worker->listeners[i], worker);
		begin_listening(&worker->listeners[i]);
	}
}

// Accepts no more; those who wait are served or reset, as there is room.
static void leave_listener(struct listener *listener)
{
	struct worker *worker = listener->worker;

	listener->is_leaving = true;
	while (!list_is_empty(&listener->waiting))
		proxy_accept(&worker->proxy, listener->frontend, next_waiting(listener));
	loop_timer_cancel(worker->loop, &listener->resume);
	loop_cancel(worker->loop, &listener->accept);
	close_listener(listener);
}

static bool listeners_are_closed(const struct worker *worker)
{
	for (u32 i = 0; i < worker->listener_count; i++)
		if (worker->listeners[i].worker && worker->listeners[i].sock.fd >= 0)
			return false;
	return true;
}

// ---- The thread ---------------------------------------------------------------------------------

static void deliver_drain(struct message *message)
{
	struct worker *worker = container_of(message, struct worker, drain_message);

	if (worker->draining)
		return;
	worker->draining = true;
	atomic_store(&worker->closed, true);
	for (u32 i = 0; i < worker->listener_count; i++)
		if (worker->listeners[i].worker)
			leave_listener(&worker->listeners[i]);
	proxy_drain(&worker->proxy);
}

static void deliver_abort(struct message *message)
{
	struct worker *worker = container_of(message, struct worker, abort_message);

	deliver_drain(&worker->drain_message);
	proxy_abort(&worker->proxy);
}

// ---- Another configuration ----------------------------------------------------------------------

static void on_let_go(struct proxy *proxy, const struct snapshot *snapshot)
{
	struct worker *worker = container_of(proxy, struct worker, proxy);

	worker->config.on_let_go(worker, snapshot);
}

void worker_adopt(struct worker *worker, const struct snapshot *snapshot,
	const struct listener_plan *plans, u32 count)
{
	// What waits at those that are gone is for frontends that may be gone, too.
	for (u32 i = 0; i < worker->listener_count; i++)
		if (worker->listeners[i].worker && !plans[i].frontend)
			leave_listener(&worker->listeners[i]);
	proxy_adopt(&worker->proxy, snapshot);
	worker->listener_count = count;
	for (u32 i = 0; i < count; i++) {
		struct listener *listener = &worker->listeners[i];

		if (plans[i].fds) {
			init_listener(listener, worker);
			listener->fd = plans[i].fds[worker->index];
		}
		if (plans[i].frontend) {
			listener->frontend = plans[i].frontend;
			listener->bind = plans[i].bind;
		}
	}
}

static void end_listener(struct listener *listener)
{
	hush_done(&listener->droughts);
	loop_timer_cancel(listener->worker->loop, &listener->resume);
	*listener = (struct listener){.fd = -1};
}

bool worker_begin_listening(struct worker *worker)
{
	bool all = true;

	for (u32 i = 0; i < worker->listener_count && !worker->draining; i++) {
		struct listener *listener = &worker->listeners[i];

		if (!listener->worker)
			continue;
		if (listener->is_leaving && listener->sock.fd >= 0)
			all = false;
		else if (listener->is_leaving)
			end_listener(listener);
		else if (listener->sock.fd < 0)
			begin_listening(listener);
	}
	return all;
}

// ---- Calls --------------------------------------------------------------------------------------

static void send_back(struct worker_call *call)
{
	call->message.deliver = call->answered;
	loop_post(call->asker, &call->message);
}

static void deliver_call(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);
	struct worker *worker = call->worker;

	call->again = false;
	call->gone = atomic_load(&worker->deaf);
	if (!call->gone)
		call->run(call, &worker->proxy);
	if (call->again) {
		loop_post(worker->loop, message);
		return;
	}
	send_back(call);
	atomic_fetch_sub(&worker->calls, 1);
}

// Either the worker sees that a call is on its way, or we see that it hears none any more.
void worker_call(struct worker *worker, struct worker_call *call)
{
	call->worker = worker;
	call->gone = false;
	call->message.deliver = deliver_call;
	atomic_fetch_add(&worker->calls, 1);
	if (!atomic_load(&worker->deaf)) {
		loop_post(worker->loop, &call->message);
		return;
	}
	atomic_fetch_sub(&worker->calls, 1);
	call->gone = true;
	send_back(call);
}

// ---- Life ---------------------------------------------------------------------------------------

static void pin(u32 index)
{
	cpu_set_t allowed, one;
	u32 at = 0;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return;
	index %= (u32)CPU_COUNT(&allowed);
	for (u32 cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && at++ == index)
			CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one); // a refusal costs speed, nothing else
}

static int start_loop(struct worker *worker)
{
	const struct worker_config *config = &worker->config;
	struct log *log;
	int error = loop_new(config->io, &config->blocks, &worker->loop, &worker->loop_why);

	if (error)
		return error;
	worker->loop->turns = &worker->turns;
	log = logger_log(config->logger, &worker->loop->wall_ms);
	trace_init(&worker->trace, &worker->loop->now_us);
	trace_attach_thread(&worker->trace);
	proxy_init(&worker->proxy, worker->loop, config->snapshot, worker->index, &config->limits,
		log, &worker->trace, &worker->metrics, config->seed + worker->index);
	worker->proxy.stats = worker->stats;
	worker->proxy.records = worker->records;
	worker->proxy.access = config->access;
	if (worker->spans.count) {
		worker->proxy.spans = &worker->spans;
		tracing_rules_init(&worker->proxy.tracing, &config->snapshot->conf->tracing);
	}
	worker->proxy.upstream.reports = config->reports;
	worker->proxy.on_let_go = config->on_let_go ? on_let_go : NULL;
	return 0;
}

struct start {
	struct worker *worker;
	sem_t done;
};

static bool is_over(struct worker *worker)
{
	return worker->draining && listeners_are_closed(worker) && proxy_is_empty(&worker->proxy) &&
	       atomic_load(&worker->handed) == 0 && !atomic_load(&worker->is_expectant);
}

// Everything that can end the work of a worker wakes it, except a connection that was announced and
// then kept by its sender, because this worker takes no more; and the end of tunnels that come from
// another process.
static u64 next_look_ms(struct worker *worker)
{
	if (worker->draining && atomic_load(&worker->handed) != 0)
		return loop_now_ms(worker->loop) + 1;
	if (worker->draining && atomic_load(&worker->is_expectant))
		return loop_now_ms(worker->loop) + expect_ms;
	return UINT64_MAX;
}

static void *thread_main(void *arg)
{
	struct start *start = arg;
	struct worker *worker = start->worker;
	int error;

	if (worker->config.pin)
		pin(worker->index);
	worker->busy_clock = loop_busy_clock();
	worker->number = gettid();
	error = start_loop(worker);
	worker->start_error = error;
	if (!error) {
		open_listeners(worker);
		atomic_store(&worker->closed, false);
		atomic_store(&worker->deaf, false);
	}
	sem_post(&start->done);
	if (error)
		return NULL;
	while (!is_over(worker))
		loop_turn(worker->loop, next_look_ms(worker));
	atomic_store(&worker->deaf, true);
	while (atomic_load(&worker->calls)) // one that is taken back wakes nobody
		loop_turn(worker->loop, loop_now_ms(worker->loop) + 1);
	proxy_done(&worker->proxy);
	atomic_store(&worker->ended_starved_us, loop_starved_us(worker->number));
	atomic_store(&worker->ended_busy_us, loop_busy_us(worker->busy_clock));
	trace_attach_thread(NULL);
	loop_post(worker->config.control_loop, &worker->ended_message);
	// Others may still post to this loop until all have ended; and only this thread may end it.
	while (sem_wait(&worker->may_free) != 0)
		;
	loop_free(worker->loop);
	return NULL;
}

int worker_start(struct worker *worker)
{
	struct start start = {.worker = worker};
	char name[16];
	int error;

	worker->drain_message.deliver = deliver_drain;
	worker->abort_message.deliver = deliver_abort;
	worker->ended_message.deliver = worker->config.on_ended;
	atomic_store(&worker->deaf, true);
	sem_init(&start.done, 0, 0);
	sem_init(&worker->may_free, 0, 0);
	error = thread_start(&worker->thread, thread_main, &start);
	if (error)
		return error;
	while (sem_wait(&start.done) != 0)
		;
	sem_destroy(&start.done);
	snprintf(name, sizeof(name), "weir/%u", worker->index % 1000);
	(void)pthread_setname_np(worker->thread, name);
	if (worker->start_error)
		pthread_join(worker->thread, NULL);
	return worker->start_error;
}

void worker_drain(struct worker *worker)
{
	loop_post(worker->loop, &worker->drain_message);
}

void worker_abort(struct worker *worker)
{
	loop_post(worker->loop, &worker->abort_message);
}

u64 worker_busy_us(const struct worker *worker)
{
	u64 busy_us = loop_busy_us(worker->busy_clock);

	// A clock whose thread has ended says 0.
	return busy_us ? busy_us : atomic_load(&worker->ended_busy_us);
}

u64 worker_starved_us(const struct worker *worker)
{
	u64 ended_us = atomic_load(&worker->ended_starved_us);

	return ended_us ? ended_us : loop_starved_us(worker->number);
}

void worker_join(struct worker *worker)
{
	sem_post(&worker->may_free);
	pthread_join(worker->thread, NULL);
	sem_destroy(&worker->may_free);
	worker->loop = NULL;
}
