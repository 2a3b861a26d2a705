// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "control/bequest.h"
#include "control/estate.h"
#include "control/limits.h"
#include "control/logger.h"
#include "control/reload_parts.h"
#include "control/resolver.h"
#include "control/tunnels.h"
#include "control/watch.h"
#include "control/watchdog.h"
#include "control/worker.h"
#include "net/listen.h"
#include "net/tls_cert.h"
#include "net/tls_ticket.h"

enum {
	find_wait_ms = 2000,	// for lists of backends from elsewhere
	found_probes = 1000,	// at the same time, of backends from there
	resolve_wait_ms = 2000, // for names, before the first connection is taken
	again_wait_ms = 100,	// for all of that, when another process served before
	control_blocks = 64,	// and as many as probes
	large_blocks_min = 1024,
	large_blocks_max = 32 * 1024,
	spans_per_worker = 2048, // a second's worth of many of them
	bind_slots = 1024,
	stop_margin_ms = 10000, // for what follows the draining
	move_wait_ms = 10000,	// beyond shutdown_timeout, for tunnels that go over
	move_look_ms = 20,
	backend_slots = RECORD_NOBODY, // what a decision record can name
	pool_slots = 4096,
	frontend_slots = 1024,
};

struct control {
	const struct conf *conf;
	struct arena *arena;
	const struct control_options *options;
	struct slots *slots;
	struct snapshot *snapshot;
	struct tls_secret tls_secret; // of session tickets
	struct loop *loop;
	struct logger *logger;
	struct log *log;
	struct resolver *resolver;
	struct watch *watch;
	struct desk *desk;
	struct reload *reload;
	struct estate estate; // of who served before
	struct shelf_file *shelf_file;
	u64 checks_until_ms; // the start waits for first results
	struct workers workers;
	u32 workers_running;
	struct span_ring **spans; // of each worker, where spans are wanted
	struct sock signals;
	struct op signal_op;
	struct timer drain_timer;
	u64 move_until_ms; // until then nothing is cut while tunnels go over
	u64 fd_limit, max_connections;
	u32 probes_max;
	u64 seed;
	_Atomic(bool) draining;
	bool aborting, finished;
	bool finds;		    // the finder is open
	bool is_collected;	    // what it tells now goes below edits
	bool is_repeated;	    // what it tells now is in the first configuration
	bool found_early;	    // something changed before workers ran
	const struct conf *written; // without what it found
	i64 started_wall_ms;
	struct message guest_ended;
	bool guest_is_open, guest_runs, guest_stops;
	struct handover *handover;
	struct tunnels *tunnels;
	struct watchdog watchdog;
	struct desk_life life;
};

// ---- Limits -------------------------------------------------------------------------------------

static void derive_limits(struct control *control)
{
	u32 wanted = control->conf->runtime.max_connections;
	u64 possible;

	control->workers.count = control->conf->runtime.workers ? control->conf->runtime.workers
								: limits_count_cpus();
	possible =
		limits_connections(control->fd_limit, control->workers.count, control->probes_max);
	control->max_connections = wanted ? MIN((u64)wanted, possible) : possible;
	if (wanted > possible)
		LOG(control->log, LOG_WARN, "max_connections lowered to what descriptors allow",
			LOG_U64("wanted", wanted), LOG_U64("max_connections", possible),
			LOG_U64("descriptors", control->fd_limit),
			LOG_CSTR("cure", "raise the hard limit (ulimit -Hn, LimitNOFILE=)"));
}

// ---- Logs ---------------------------------------------------------------------------------------

static struct logger_output output_of(const struct conf_output *output)
{
	static const u8 kinds[] = {
		[CONF_OUTPUT_NONE] = LOGGER_NONE,
		[CONF_OUTPUT_STDERR] = LOGGER_STDERR,
		[CONF_OUTPUT_STDOUT] = LOGGER_STDOUT,
		[CONF_OUTPUT_FILE] = LOGGER_FILE,
		[CONF_OUTPUT_SYSLOG] = LOGGER_SYSLOG_UNIX,
		[CONF_OUTPUT_SYSLOG_UDP] = LOGGER_SYSLOG_UDP,
	};

	return (struct logger_output){.kind = kinds[output->kind],
		.path = output->path.len ? output->path.ptr : NULL,
		.address = output->addr,
		.facility = (u8)output->facility,
		.app_name = output->app_name};
}

static int start_logger(struct control *control)
{
	const struct conf_log *conf = &control->conf->log;
	struct logger_config config = {
		.level = (enum log_level)(conf->level + LOG_ERROR),
		.format_auto = conf->format == CONF_LOG_AUTO,
		.format = conf->format == CONF_LOG_JSON	    ? LOG_JSON
			  : conf->format == CONF_LOG_LOGFMT ? LOG_LOGFMT
							    : LOG_HUMAN,
		.log = output_of(&conf->output),
		.access = output_of(&conf->access.output),
	};
	const struct logger_output *failed = NULL;
	int error = logger_start(&config, &control->logger, &failed);

	if (error) {
		fprintf(stderr,
			"weir: cannot open the %s output %s: %s. Create its folder, or change "
			"log%s.output.\n",
			failed == &config.access ? "access log" : "log",
			failed && failed->path ? failed->path : "", strerror(-error),
			failed == &config.access ? ".access" : "");
		return error;
	}
	control->log = logger_log(control->logger, &control->loop->wall_ms);
	return 0;
}

// ---- Start --------------------------------------------------------------------------------------

static void await_checks(struct control *control)
{
	control->checks_until_ms = loop_now_ms(control->loop) + watch_first_wait_ms(control->conf);
}

static void on_resolved(
	void *owner, struct backend *backend, const struct addr *addr, const char *error)
{
	struct control *control = owner;

	if (error) {
		LOG(control->log, LOG_WARN, "backend name cannot be resolved",
			LOG_STR("pool", backend->pool->name), LOG_STR("backend", backend->id),
			LOG_STR("name", backend->name), LOG_CSTR("error", error),
			LOG_CSTR("state", "unresolved"),
			LOG_CSTR("cure", "it gets no traffic; correct the name or the resolver and "
					 "reload"));
		watch_resolved(control->watch, backend, false);
		return;
	}
	backend->addr = *addr;
	watch_resolved(control->watch, backend, true);
	await_checks(control);
	LOG(control->log, LOG_INFO, "backend name resolved", LOG_STR("name", backend->name),
		LOG_ADDR("address", addr));
}

static bool names_are_known(const struct control *control)
{
	return !control->resolver || resolver_is_done(control->resolver);
}

// First results come before the first request, and so do names; but neither is waited for long.
static void await_backends(struct control *control)
{
	u64 names_until_ms = loop_now_ms(control->loop) + resolve_wait_ms;
	// After a crash connections are waiting already.
	u64 again_until_ms =
		control->handover->inherit.restarts && !control->handover->inherit.upgrades
			? loop_now_ms(control->loop) + again_wait_ms
			: UINT64_MAX;
	int error = 0;

	control->resolver =
		resolver_start(control->snapshot, control->loop, control, on_resolved, &error);
	if (error)
		LOG(control->log, LOG_ERROR, "names of backends cannot be looked up",
			LOG_ERRNO(error));
	await_checks(control);
	for (;;) {
		u64 until_ms = 0;

		if (!names_are_known(control))
			until_ms = names_until_ms;
		if (!watch_is_complete(control->watch))
			until_ms = MAX(until_ms, control->checks_until_ms);
		until_ms = MIN(until_ms, again_until_ms);
		if (loop_now_ms(control->loop) >= until_ms)
			break;
		loop_turn(control->loop, until_ms);
	}
	if (!names_are_known(control))
		LOG(control->log, LOG_WARN, "names of backends are still being looked up",
			LOG_CSTR("state", "unresolved until the answer comes"));
}

static int report_bind(const struct conf_bind *bind, int error)
{
	char command[64] = "";

	if (error == -EADDRINUSE && bind->addr.port)
		snprintf(command, sizeof(command), " Who has it: ss -tanp 'sport = :%u'.",
			bind->addr.port);
	fprintf(stderr, "weir: unable to bind on %.*s: %s.%s%s\n", STR_FMT(bind->text),
		strerror(-error), command,
		error == -EACCES ? " Ports below 1024 need CAP_NET_BIND_SERVICE." : "");
	return error;
}

// One address for all workers. The first open is without SO_REUSEPORT: it fails when any other
// process has the port, which the shared ones would not notice.
static int open_bind(struct control *control, const struct conf_bind *bind, u32 listener)
{
	bool shared = bind->addr.family != ADDR_UNIX && control->workers.count > 1;
	u32 count = shared ? control->workers.count : 1;
	int fd;

	if (shared && !handover_knows(control->handover, INHERIT_TRAFFIC, &bind->addr)) {
		fd = listen_open(&bind->addr, false);
		if (fd < 0)
			return report_bind(bind, fd);
		close(fd);
	}
	for (u32 i = 0; i < count; i++) {
		fd = handover_listen(control->handover, INHERIT_TRAFFIC, &bind->addr, i, shared);
		if (fd < 0 && fd != -ENOENT)
			return report_bind(bind, fd);
		control->workers.all[i].listeners[listener].fd = MAX(fd, -1);
	}
	return 0;
}

static u32 count_binds(const struct conf *conf)
{
	u32 binds = 0;

	for (u32 i = 0; i < conf->frontend_count; i++)
		binds += conf->frontends[i].bind_count;
	return binds;
}

static int open_listeners(struct control *control)
{
	struct reload_binds *binds = reload_binds(control->reload);
	u32 at = 0;

	for (u32 f = 0; f < control->snapshot->frontend_count; f++) {
		const struct frontend *frontend = control->snapshot->frontends[f];

		for (u32 b = 0; b < frontend->conf->bind_count; b++, at++) {
			const struct conf_bind *bind = &frontend->conf->binds[b];
			int error;

			for (u32 w = 0; w < control->workers.count; w++)
				control->workers.all[w].listeners[at] = (struct listener){
					.frontend = frontend, .bind = bind, .fd = -1};
			error = open_bind(control, bind, at);
			if (error)
				return error;
			binds->slots[binds->count++] =
				(struct bind_slot){.is_used = true, .addr = bind->addr};
		}
	}
	return 0;
}

static void on_worker_ended(struct message *message);

static u64 random_seed(void)
{
	u64 seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = (u64)(u32)getpid() * 0x9e3779b97f4a7c15ull;
	return seed;
}

static void prepare_workers(struct control *control)
{
	static const enum loop_kind kinds[] = {[CONF_IO_AUTO] = LOOP_AUTO,
		[CONF_IO_URING] = LOOP_URING,
		[CONF_IO_EPOLL] = LOOP_EPOLL};
	u32 count = control->workers.count, binds = count_binds(control->conf);
	u32 room = MAX(2 * binds, (u32)bind_slots);
	u32 clients = (u32)((control->max_connections + count - 1) / count);
	u32 large = MIN(MAX(clients * 2, (u32)large_blocks_min), (u32)large_blocks_max);

	control->workers.all = mem_alloc_lines(sizeof(struct worker) * count);
	for (u32 i = 0; i < count; i++) {
		struct worker *worker = &control->workers.all[i];

		worker->index = i;
		worker->closed = true;
		worker->workers = &control->workers;
		if (control->conf->metrics.enabled)
			worker->stats = stats_new(control->snapshot);
		if (control->conf->admin.records)
			worker->records = records_new(i);
		worker->listeners = mem_alloc(sizeof(struct listener) * room);
		worker->listener_count = binds;
		worker->config = (struct worker_config){
			.io = kinds[control->conf->runtime.io],
			.blocks = {.large_blocks_max = large,
				.small_blocks_max = clients * 4 + 1024},
			.limits = {.clients_max = clients, .links_max = clients * 2 + 64},
			.snapshot = control->snapshot,
			.logger = control->logger,
			.control_loop = control->loop,
			.on_ended = on_worker_ended,
			.on_let_go = reload_let_go,
			.reload = control->reload,
			.reports = watch_reports(control->watch),
			.pin = control->conf->runtime.pin,
			.seed = control->seed,
		};
		access_config_init(&worker->config.access, &control->conf->log);
	}
	snapshot_guard(control->snapshot, (u64)clients * count, control->seed);
}

static void make_spans(struct control *control)
{
	if (control->conf->tracing.otlp.url.len == 0)
		return;
	control->spans = mem_alloc(sizeof(*control->spans) * control->workers.count);
	for (u32 i = 0; i < control->workers.count; i++) {
		control->spans[i] = &control->workers.all[i].spans;
		span_ring_init(control->spans[i], spans_per_worker);
	}
}

static void free_spans(struct control *control)
{
	if (control->spans)
		for (u32 i = 0; i < control->workers.count; i++)
			span_ring_done(control->spans[i]);
	mem_free(control->spans);
}

static int start_workers(struct control *control)
{
	for (u32 i = 0; i < control->workers.count; i++) {
		int error = worker_start(&control->workers.all[i]);

		if (error) {
			fprintf(stderr,
				"weir: worker %u cannot start: %s%s%s. Try io: epoll, or more "
				"memory.\n",
				i, strerror(-error), control->workers.all[i].loop_why ? ": " : "",
				control->workers.all[i].loop_why ? control->workers.all[i].loop_why
								 : "");
			return error;
		}
		control->workers_running++;
	}
	return 0;
}

// ---- Signals and the end ------------------------------------------------------------------------

// An event of the process' own life; its line is written where it happens.
static void note_life(struct control *control, const char *text, struct str to, struct str reason)
{
	struct event_said said = {.kind = EVENT_LIFE, .text = text, .to = to, .reason = reason};

	changes_say(watch_changes(control->watch), &said);
}

static void drain(struct control *control)
{
	control->draining = true;
	reload_stop(control->reload);
	for (u32 i = 0; i < control->workers.count; i++)
		worker_drain(&control->workers.all[i]);
	loop_timer_set(control->loop, &control->drain_timer,
		loop_now_ms(control->loop) + control->conf->runtime.shutdown_timeout_ms);
}

static void abort_all(struct control *control)
{
	control->aborting = true;
	tunnels_refuse(control->tunnels);
	for (u32 i = 0; i < control->workers.count; i++)
		worker_abort(&control->workers.all[i]);
}

static void on_drain_timeout(struct timer *timer)
{
	struct control *control = container_of(timer, struct control, drain_timer);

	if (control->aborting || control->finished)
		return;
	if (tunnels_is_moving(control->tunnels) &&
		loop_now_ms(control->loop) < control->move_until_ms) {
		loop_timer_set(control->loop, timer, loop_now_ms(control->loop) + move_look_ms);
		return;
	}
	LOG(control->log, LOG_WARN, "shutdown_timeout passed, open connections are cut");
	note_life(control, "weir cuts what still runs", STR("stopping"), STR("shutdown_timeout"));
	abort_all(control);
}

static struct control
	*control_of_message; // one control per process; messages carry only themselves

static void on_worker_ended(struct message *message)
{
	struct worker *worker = container_of(message, struct worker, ended_message);
	struct control *control = control_of_message;

	LOG(control->log, LOG_INFO, "worker ended", LOG_U64("worker", worker->index));
	if (--control->workers_running > 0)
		return;
	control->finished = true;
	loop_timer_cancel(control->loop, &control->drain_timer);
	watch_leave_workers(control->watch);
	for (u32 i = 0; i < control->workers.count; i++)
		worker_join(&control->workers.all[i]);
}

// The manager may wait less than the draining takes (TimeoutStopSec); it waits longer when asked.
static void tell_stopping(struct control *control)
{
	u64 ms = control->conf->runtime.shutdown_timeout_ms + stop_margin_ms;
	char state[64];

	snprintf(state, sizeof(state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
		(unsigned long long)ms * 1000);
	handover_notify(control->handover, state, "takes nothing new, what runs may finish");
}

static void on_term(struct control *control, const char *name)
{
	tell_stopping(control);
	if (!control->draining) {
		LOG(control->log, LOG_NOTICE, "signal: draining, again to stop at once",
			LOG_CSTR("signal", name),
			LOG_U64("shutdown_timeout_ms", control->conf->runtime.shutdown_timeout_ms));
		note_life(control, "weir takes nothing new, what runs may finish", STR("draining"),
			str_from(name));
		tunnels_refuse(control->tunnels);
		drain(control);
	} else if (!control->aborting) {
		LOG(control->log, LOG_NOTICE, "second signal: stopping at once",
			LOG_CSTR("signal", name));
		note_life(control, "weir stops at once", STR("stopping"), str_from(name));
		abort_all(control);
	}
}

static void on_signal(struct control *control, u32 number)
{
	switch (number) {
	case SIGTERM:
		on_term(control, "TERM");
		break;
	case SIGINT:
		on_term(control, "INT");
		break;
	case SIGQUIT:
		on_term(control, "QUIT");
		break;
	case SIGUSR1:
		LOG(control->log, LOG_NOTICE, "signal: reopening logs", LOG_CSTR("signal", "USR1"));
		note_life(control, "logs are opened again", STR_EMPTY, STR("USR1"));
		logger_reopen(control->logger);
		break;
	case SIGHUP:
		LOG(control->log, LOG_NOTICE, "signal: reloading", LOG_CSTR("signal", "HUP"));
		reload_now(control->reload, "HUP");
		break;
	case SIGUSR2:
		LOG(control->log, LOG_WARN, "signal: an upgrade needs a keeper, nothing changes",
			LOG_CSTR("signal", "USR2"),
			LOG_CSTR("cure", "set runtime.keeper: true and restart"));
		break;
	}
}

// With a keeper signals come through it. Those that go to the whole group, as a terminal's do, have
// reached it too.
static void on_own_signal(struct control *control, const struct signalfd_siginfo *info)
{
	if (!control->handover->keeper)
		on_signal(control, info->ssi_signo);
	else if (info->ssi_code != SI_KERNEL)
		LOG(control->log, LOG_NOTICE, "signals go to the keeper, this one changes nothing",
			LOG_U64("number", info->ssi_signo), LOG_U64("from", info->ssi_pid),
			LOG_U64("keeper", (u64)control->handover->keeper));
}

static void on_keepers_signal(void *owner, u32 number)
{
	on_signal(owner, number);
}

static void on_signal_ready(struct op *op)
{
	struct control *control = container_of(op, struct control, signal_op);
	struct signalfd_siginfo info;

	while (read(control->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		on_own_signal(control, &info);
	if (!control->finished)
		loop_ready(control->loop, &control->signals, op, LOOP_IN);
}

static int hear_signals(struct control *control)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (u32 i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	sock_open(control->loop, &control->signals, fd);
	op_init(&control->signal_op, on_signal_ready);
	return 0;
}

// ---- Backends from elsewhere --------------------------------------------------------------------

static void on_found(
	void *owner, struct str pool, const struct conf_edit_backend *backends, u32 count)
{
	struct control *control = owner;

	if (control->is_collected)
		estate_add_list(&control->estate, pool, backends, count);
	if (!control->reload)
		return; // the first configuration gets all of them
	if (control->workers_running)
		reload_set_backends(control->reload, pool, backends, count);
	else if (control->is_repeated)
		reload_know_backends(control->reload, pool, backends, count);
	else
		control->found_early = true;
}

static void on_read(void *owner, const struct conf *conf)
{
	const struct control *control = owner;

	if (control->finds)
		control->options->finder->follow(control->options->finder->owner, conf);
}

static void on_found_news(void *owner, const struct control_finding_news *news)
{
	struct control *control = owner;
	struct event_said said = {.kind = EVENT_PROVIDER,
		.text = news->text,
		.pool = news->pool,
		.backend = news->provider,
		.from = str_from(news->from ? news->from : ""),
		.to = str_from(news->to ? news->to : ""),
		.reason = str_from(news->reason ? news->reason : "")};

	if (control->watch)
		changes_say(watch_changes(control->watch), &said);
}

// What is known within a moment is there from the start; the rest comes when it comes.
static void find_backends(struct control *control)
{
	const struct control_finder *finder = control->options->finder;
	u64 until_ms = loop_now_ms(control->loop) + find_wait_ms;

	control->written = control->conf;
	if (!finder)
		return;
	control->finds = true;
	finder->open(finder->owner, &(struct control_finding){.conf = control->conf,
					    .loop = control->loop,
					    .log = control->log,
					    .seed = control->seed,
					    .control = control,
					    .changed = on_found,
					    .told = on_found_news});
	while (!finder->is_settled(finder->owner) && loop_now_ms(control->loop) < until_ms)
		loop_turn(control->loop, until_ms);
	control->conf = finder->complete(finder->owner, control->conf, control->arena);
}

// Trouble that began before there was anybody to tell.
static void note_trouble(struct control *control)
{
	struct desk_provider *providers;
	u32 count;

	if (!control->finds)
		return;
	providers = mem_alloc(sizeof(*providers) * DESK_PROVIDERS_MAX);
	count = control->options->finder->look(
		control->options->finder->owner, providers, DESK_PROVIDERS_MAX);
	for (u32 i = 0; i < count; i++)
		if (!providers[i].is_up && providers[i].cause[0])
			on_found_news(control,
				&(struct control_finding_news){.text = "provider is in trouble",
					.provider = str_from(providers[i].name),
					.pool = str_from(providers[i].pool),
					.to = "down",
					.reason = providers[i].cause});
	mem_free(providers);
}

static void stop_finding(struct control *control)
{
	if (!control->finds)
		return;
	control->options->finder->close(control->options->finder->owner);
	control->finds = false;
	loop_turn(control->loop, 0); // what it had sent already
}

// ---- Lines at start and end ---------------------------------------------------------------------

static void say_listening(struct control *control)
{
	for (u32 f = 0; f < control->snapshot->frontend_count; f++) {
		const struct frontend *frontend = control->snapshot->frontends[f];

		for (u32 b = 0; b < frontend->conf->bind_count; b++)
			LOG(control->log, LOG_INFO, "listening for connections",
				LOG_SPAN("frontend"),
				LOG_ADDR("local_address", &frontend->conf->binds[b].addr));
	}
}

static void say_started(struct control *control)
{
	const struct worker *first = &control->workers.all[0];

	watch_say(control->watch);
	LOG(control->log, LOG_NOTICE, "weir " WEIR_VERSION " serves",
		LOG_CSTR("configuration", control->options->mode),
		LOG_CSTR("io", loop_kind_name(first->loop)), LOG_CSTR("io_why", first->loop_why),
		LOG_U64("workers", control->workers.count),
		LOG_U64("max_connections", control->max_connections),
		LOG_U64("descriptors", control->fd_limit));
	say_listening(control);
	note_life(control, "weir " WEIR_VERSION " serves", STR("serving"),
		str_from(control->options->mode));
}

// ---- The guest ----------------------------------------------------------------------------------

static int open_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;

	if (!guest)
		return 0;
	control->guest_is_open = true;
	return guest->open(guest->owner, control->conf, control->log, control->handover);
}

static int start_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;
	struct control_face face = {.loop = control->loop,
		.desk = control->desk,
		.conf = control->conf,
		.snapshot = reload_snapshot(control->reload),
		.workers = &control->workers,
		.logger = control->logger,
		.mode = control->options->mode,
		.io = loop_kind_name(control->workers.all[0].loop),
		.descriptors_max = control->fd_limit,
		.connections_max = control->max_connections,
		.started_wall_ms = control->started_wall_ms,
		.spans = control->spans,
		.seed = control->seed,
		.keeper_pid = control->handover->keeper,
		.handover = control->handover,
		.draining = &control->draining,
		.reload = control->reload};
	struct reload_follower follower = {.owner = guest ? guest->owner : NULL,
		.adopt = guest ? guest->adopt : NULL,
		.leave = guest ? guest->leave : NULL};
	int error;

	if (!guest)
		return 0;
	error = guest->start(guest->owner, &face);
	if (error)
		fprintf(stderr, "weir: the admin thread cannot start: %s.\n", strerror(-error));
	control->guest_runs = !error;
	if (!error)
		reload_follow(control->reload, &follower);
	return error;
}

static void on_guest_ended(struct message *message)
{
	container_of(message, struct control, guest_ended)->guest_runs = false;
}

static void stop_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;

	if (!control->guest_runs || control->guest_stops)
		return;
	control->guest_stops = true;
	desk_close(control->desk);
	reload_follow(control->reload, &(struct reload_follower){0});
	control->guest_ended = (struct message){.deliver = on_guest_ended};
	guest->stop(guest->owner, &control->guest_ended);
}

static void end_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;

	stop_guest(control);
	while (control->guest_runs)
		loop_turn(control->loop, UINT64_MAX);
	if (control->guest_is_open)
		guest->done(guest->owner);
	control->guest_is_open = false;
}

// ---- Those before and after this process --------------------------------------------------------

static int settle_listeners(struct control *control)
{
	const char *stray = NULL;
	int error = handover_settle(control->handover, &stray);
	struct text binds = {0};

	if (!error)
		return 0;
	for (u32 f = 0; f < control->conf->frontend_count; f++)
		for (u32 b = 0; b < control->conf->frontends[f].bind_count; b++)
			text_printf(&binds, "%s%.*s", binds.len ? ", " : "",
				STR_FMT(control->conf->frontends[f].binds[b].text));
	fprintf(stderr,
		"weir: the service manager gave a socket for %s, and the configuration binds %.*s. "
		"Make ListenStream= and bind the same, or disable the socket unit.\n",
		stray, (int)binds.len, binds.len ? binds.data : "");
	text_done(&binds);
	return error;
}

static void tell_serving(struct control *control)
{
	char state[64];

	snprintf(state, sizeof(state), "READY=1\nMAINPID=%lld",
		(long long)(control->handover->keeper ? control->handover->keeper : (i64)getpid()));
	handover_notify(control->handover, state, "serves");
	watchdog_start(&control->watchdog, control->loop, control->handover, &control->workers);
}

// Nobody else answers any more.
static void serve_alone(struct control *control)
{
	if (start_guest(control) != 0)
		LOG(control->log, LOG_ERROR,
			"nobody can look at this process: its admin thread "
			"cannot start");
	tell_serving(control);
	LOG(control->log, LOG_NOTICE, "upgraded: this process serves alone now",
		LOG_CSTR("version", WEIR_VERSION));
	control->life.upgrades++;
	note_life(control, "weir " WEIR_VERSION " has taken over", STR("serving"), STR("upgrade"));
}

static void on_begin(void *owner, int channel)
{
	struct control *control = owner;

	if (control->handover->inherit.upgrades && !control->draining) {
		serve_alone(control);
		// A keeper of another version may not have known how to hold it.
		reload_leave(control->reload, false);
	}
	if (channel >= 0) // at last, since tunnels are still from now on until they are here
		tunnels_take(control->tunnels, channel);
}

static void on_leave(void *owner, int channel)
{
	struct control *control = owner;

	LOG(control->log, LOG_NOTICE, "upgraded: another process serves, this one drains",
		LOG_U64("shutdown_timeout_ms", control->conf->runtime.shutdown_timeout_ms));
	watchdog_stop(&control->watchdog);
	stop_guest(control);
	if (!control->draining)
		drain(control);
	control->move_until_ms = loop_now_ms(control->loop) +
				 control->conf->runtime.shutdown_timeout_ms + move_wait_ms;
	if (channel >= 0)
		tunnels_give(control->tunnels, channel);
}

static void on_upgrade(void *owner, const char *path, const char *failed)
{
	struct control *control = owner;

	reload_set_upgrading(control->reload, path != NULL);
	if (path) {
		LOG(control->log, LOG_NOTICE, "upgrading: another process starts",
			LOG_CSTR("binary", path));
		note_life(control, "another weir starts, to take over", STR("upgrading"),
			str_from(path));
		return;
	}
	LOG(control->log, LOG_ERROR, "the upgrade failed, this process goes on serving",
		LOG_CSTR("error", failed));
	control->life.upgrades_failed++;
	snprintf(control->life.upgrade_why, sizeof(control->life.upgrade_why), "%.*s",
		(int)sizeof(control->life.upgrade_why) - 1, failed);
	note_life(control, "the upgrade failed, nothing has changed", STR("serving"),
		str_from(failed));
}

static void on_ordered(void *owner, int fd)
{
	struct control *control = owner;
	struct text text = {0};
	int error = estate_read(fd, BEQUEST_BYTES_MAX, &text);

	if (error)
		LOG(control->log, LOG_ERROR, "orders given during the upgrade are lost",
			LOG_ERRNO(error), LOG_CSTR("cure", "give them again"));
	else
		reload_take_late(control->reload, text_str(&text));
	text_done(&text);
}

static void on_orphaned(void *owner)
{
	struct control *control = owner;

	LOG(control->log, LOG_ERROR, "the keeper is gone: draining",
		LOG_CSTR("cure", "start weir again; its listeners are closed already"));
	if (!control->draining)
		drain(control);
}

static void hear_keeper(struct control *control)
{
	struct handover_hears hears = {.owner = control,
		.begin = on_begin,
		.leave = on_leave,
		.signal = on_keepers_signal,
		.upgrade = on_upgrade,
		.ordered = on_ordered,
		.orphaned = on_orphaned};

	handover_hear(control->handover, control->loop, &hears);
}

// Before anybody reads that this process serves: whoever ends it then, or asks for an upgrade,
// finds a keeper that knows it, its sockets and its configuration.
static void meet_keeper(struct control *control)
{
	control->tunnels = tunnels_new(control->loop, control->log, &control->workers);
	hear_keeper(control);
	reload_leave(control->reload, control->handover->inherit.upgrades);
	handover_ready(control->handover);
}

static void tell_ready(struct control *control)
{
	const struct inherit *inherit = &control->handover->inherit;

	if (inherit->restarts && inherit->why[0] && !inherit->upgrades) {
		LOG(control->log, LOG_ERROR, "started again: the process that served is gone",
			LOG_CSTR("end", inherit->why), LOG_U64("restarts", inherit->restarts));
		note_life(control, "weir serves again after a crash", STR("serving"),
			str_from(inherit->why));
	}
	if (!inherit->upgrades)
		tell_serving(control);
}

// Names of sockets are somebody else's where another process goes on with them.
static void unlink_sockets(struct control *control)
{
	const struct reload_binds *binds = reload_binds(control->reload);

	for (u32 i = 0; i < binds->count && !control->handover->left; i++)
		if (binds->slots[i].is_used)
			listen_unlink(&binds->slots[i].addr);
}

static void begin_life(struct control *control)
{
	const struct inherit *inherit = &control->handover->inherit;

	control->life = (struct desk_life){.restarts = inherit->restarts,
		.upgrades = inherit->upgraded,
		.upgrades_failed = inherit->upgrades_failed};
	snprintf(control->life.restart_why, sizeof(control->life.restart_why), "%s", inherit->why);
}

static void on_order(void *owner)
{
	const struct control *control = owner;

	reload_leave_orders(control->reload);
}

static void start_watch(struct control *control)
{
	struct watch_config config = {.loop = control->loop,
		.log = control->log,
		.snapshot = control->snapshot,
		.probes_max = control->probes_max,
		.seed = control->seed};

	control->watch = watch_new(&config);
	begin_life(control);
	control->desk = desk_new(&(struct desk_config){.loop = control->loop,
		.watch = control->watch,
		.snapshot = control->snapshot,
		.logger = control->logger,
		.log_level = (u8)(control->conf->log.level + LOG_ERROR),
		.providers = control->finds ? control->options->finder->look : NULL,
		.providers_owner = control->finds ? control->options->finder->owner : NULL,
		.life = &control->life,
		.ordered = on_order,
		.ordered_owner = control});
	note_trouble(control);
}

// Certificates and keys. The secret of session tickets is as old as the process.
static int open_tls(struct control *control)
{
	struct tls_error error;

	tls_secret_make(&control->tls_secret, loop_wall_ms(control->loop));
	if (snapshot_secure(control->snapshot, NULL, &control->tls_secret, control->max_connections,
		    &error))
		return 0;
	snapshot_done(control->snapshot);
	control->snapshot = NULL;
	fprintf(stderr, "weir: TLS cannot be set up: %s.\n", error.text);
	return -EINVAL;
}

// Room for what this process may have one day. Only what is used takes memory.
static struct slots *new_slots(const struct conf *conf, u32 workers)
{
	u32 backends = 0;

	for (u32 i = 0; i < conf->pool_count; i++)
		backends += conf->pools[i].backend_count;
	return slots_new(workers, MAX(2 * backends, (u32)backend_slots),
		MAX(2 * conf->pool_count, (u32)pool_slots),
		MAX(2 * conf->frontend_count, (u32)frontend_slots));
}

static void start_reload(struct control *control)
{
	struct reload_config config = {.loop = control->loop,
		.log = control->log,
		.watch = control->watch,
		.desk = control->desk,
		.workers = &control->workers,
		.snapshot = control->snapshot,
		.conf = control->written,
		.read = on_read,
		.read_owner = control,
		.load = control->options->load,
		.load_owner = control->options->load_owner,
		.load_text = control->options->load_text,
		.resolver = &control->resolver,
		.handover = control->handover,
		.estate = &control->estate,
		.file = control->shelf_file,
		.clients_max = control->max_connections,
		.tls_secret = &control->tls_secret,
		.seed = control->seed};

	control->reload = reload_new(&config);
	reload_binds_init(reload_binds(control->reload),
		MAX(2 * count_binds(control->conf), (u32)bind_slots), control->handover);
	control->is_repeated = true;
	if (control->finds)
		control->options->finder->repeat(control->options->finder->owner);
	control->is_repeated = false;
	reload_take_over(control->reload, &control->estate, control->handover->inherit.upgrades);
}

// What was left by who served before is part of the first configuration.
static void open_estate(struct control *control)
{
	control->shelf_file = shelf_file_new(control->loop, control->log,
		control->options->state_folder, control->options->source);
	estate_open(&control->estate, control->handover, control->shelf_file, control->written,
		control->log);
	control->is_collected = control->finds && control->estate.bequest.edit_count;
	if (control->is_collected)
		control->options->finder->repeat(control->options->finder->owner);
	control->is_collected = false;
	control->conf = estate_complete(
		&control->estate, control->written, control->conf, control->arena, control->log);
}

static int start(struct control *control)
{
	int error;

	derive_limits(control);
	find_backends(control);
	open_estate(control);
	control->slots = new_slots(control->conf, control->workers.count);
	control->snapshot = snapshot_begin(
		control->conf, control->arena, control->slots, control->estate.generation);
	error = open_tls(control);
	if (error)
		return error;
	start_watch(control);
	start_reload(control);
	prepare_workers(control);
	make_spans(control);
	error = open_listeners(control);
	if (error)
		return error;
	error = open_guest(control);
	if (error)
		return error;
	error = settle_listeners(control);
	if (error)
		return error;
	error = hear_signals(control);
	if (error) {
		fprintf(stderr, "weir: cannot start: no descriptor for signals: %s\n",
			strerror(-error));
		return error;
	}
	await_backends(control);
	error = start_workers(control);
	if (error)
		return error;
	if (!control->handover->inherit.upgrades) // else it begins when the other one leaves
		error = start_guest(control);
	if (error)
		return error;
	if (control->found_early)
		control->options->finder->repeat(control->options->finder->owner);
	// Signals that came before wait in their descriptor: there was nobody to drain.
	loop_ready(control->loop, &control->signals, &control->signal_op, LOOP_IN);
	return 0;
}

static void stop_hearing(struct control *control)
{
	if (control->signals.fd < 0)
		return;
	loop_cancel(control->loop, &control->signal_op);
	while (op_is_out(&control->signal_op))
		loop_turn(control->loop, UINT64_MAX);
	sock_close(control->loop, &control->signals);
}

static void stop_watch(struct control *control)
{
	if (!control->watch)
		return;
	watch_stop(control->watch);
	loop_turn(control->loop, 0); // what workers reported last is on its way
	while (!watch_is_idle(control->watch))
		loop_turn(control->loop, UINT64_MAX);
	watch_free(control->watch);
}

// Gives back everything. No worker runs.
static void release(struct control *control)
{
	loop_timer_cancel(control->loop, &control->drain_timer);
	watchdog_stop(&control->watchdog);
	if (control->reload)
		reload_stop(control->reload);
	while (control->reload && !reload_is_idle(control->reload))
		loop_turn(control->loop, UINT64_MAX);
	end_guest(control);
	stop_finding(control);
	handover_done(control->handover);
	while (control->tunnels && !tunnels_is_idle(control->tunnels))
		loop_turn(control->loop, UINT64_MAX);
	tunnels_free(control->tunnels);
	stop_hearing(control);
	resolver_stop(control->resolver);
	desk_free(control->desk);
	stop_watch(control);
	if (control->workers.all)
		for (u32 i = 0; i < control->workers.count; i++) {
			mem_free(control->workers.all[i].listeners);
			stats_free(control->workers.all[i].stats);
			records_free(control->workers.all[i].records);
		}
	free_spans(control);
	mem_free(control->workers.all);
	if (control->logger)
		logger_stop(control->logger);
	reload_free(control->reload);
	shelf_file_free(control->shelf_file);
	estate_done(&control->estate);
	slots_free(control->slots);
	loop_free(control->loop);
}

int control_run(const struct conf *conf, struct arena *arena, const struct control_options *options)
{
	struct control control = {.conf = conf,
		.arena = arena,
		.options = options,
		.handover = options->handover,
		.signals = {.fd = -1},
		.fd_limit = limits_raise_descriptors(),
		.seed = random_seed()};
	struct loop_limits limits;
	const char *why;
	int error;

	control.probes_max = limits_probes(conf, control.fd_limit, found_probes);
	limits.large_blocks_max = limits.small_blocks_max = control_blocks + control.probes_max;
	error = loop_new(LOOP_EPOLL, &limits, &control.loop, &why);
	if (error) {
		fprintf(stderr, "weir: cannot start: %s\n", strerror(-error));
		return 1;
	}
	control_of_message = &control;
	control.started_wall_ms = loop_wall_ms(control.loop);
	timer_init(&control.drain_timer, on_drain_timeout);
	trace_install_crash_handlers();
	error = start_logger(&control);
	if (!error)
		error = start(&control);
	if (error) {
		if (control.workers_running) // they end with the process
			logger_stop(control.logger);
		else
			release(&control);
		return 1;
	}
	if (options->greeting.len)
		fwrite(options->greeting.ptr, 1, options->greeting.len, stderr);
	meet_keeper(&control);
	say_started(&control);
	if (options->confined)
		confine_say(options->confined, control.log);
	tell_ready(&control);
	while (!control.finished)
		loop_turn(control.loop, UINT64_MAX);
	unlink_sockets(&control);
	tunnels_stop(control.tunnels);
	LOG(control.log, LOG_NOTICE, "stopped");
	release(&control);
	return 0;
}
