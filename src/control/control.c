// SPDX-License-Identifier: Apache-2.0
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "control/control_inside.h"
#include "control/limits.h"
#include "control/logger.h"
#include "control/reload_parts.h"
#include "control/staples.h"
#include "net/tls_cert.h"
#include "proxy/secure_try.h"

enum {
	found_probes = 1000,	       // at the same time, of backends from elsewhere
	control_blocks = 64,	       // and as many as probes
	backend_slots = RECORD_NOBODY, // what a decision record can name
	pool_slots = 4096,
	frontend_slots = 1024,
};

// ---- Limits -------------------------------------------------------------------------------------

static u64 random_seed(void)
{
	u64 seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		seed = (u64)(u32)getpid() * 0x9e3779b97f4a7c15ull;
	return seed;
}

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
	control_begin_life(control);
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
	control_note_trouble(control);
}

// All files that cannot be used; else the one reason that there is.
static void print_tls_errors(const struct conf *conf, const struct tls_error *error)
{
	struct arena arena;
	struct errs errs;

	errs_init(&errs);
	arena_init(&arena, CONF_ARENA_BYTES_MAX);
	if (secure_try(conf, &errs)) {
		errs_sort(&errs);
		fprintf(stderr, "%sweir: TLS cannot be set up.\n",
			errs_format(&errs, &arena, false).ptr);
	} else {
		fprintf(stderr, "weir: TLS cannot be set up: %s.\n", error->text);
	}
	arena_done(&arena);
	errs_done(&errs);
}

// Certificates and keys.
static int open_tls(struct control *control)
{
	struct tls_error error;

	tickets_open(&control->tickets, control->loop, control->handover, control->log);
	if (snapshot_secure(control->snapshot, NULL, &control->tickets.secret,
		    control->max_connections, &error))
		return 0;
	print_tls_errors(control->snapshot->conf, &error);
	snapshot_done(control->snapshot);
	control->snapshot = NULL;
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
		.read = control_conf_read,
		.read_owner = control,
		.load = control->options->load,
		.load_owner = control->options->load_owner,
		.load_text = control->options->load_text,
		.resolver = &control->resolver,
		.handover = control->handover,
		.estate = &control->estate,
		.file = control->shelf_file,
		.staples = control->staples,
		.clients_max = control->max_connections,
		.tls_secret = &control->tickets.secret,
		.seed = control->seed};

	control->reload = reload_new(&config);
	reload_binds_init(
		reload_binds(control->reload), control_binds_max(control->conf), control->handover);
	control_repeat_backends(control);
	reload_take_over(control->reload, &control->estate, control->handover->inherit.upgrades);
}

// What was left by who served before is part of the first configuration.
static void open_estate(struct control *control)
{
	control->shelf_file = shelf_file_new(control->loop, control->log,
		control->options->state_folder, control->options->source);
	estate_open(&control->estate, control->handover, control->shelf_file, control->written,
		control->log);
	control_collect_backends(control);
	control->conf = estate_complete(
		&control->estate, control->written, control->conf, control->arena, control->log);
}

static int start(struct control *control)
{
	int error;

	derive_limits(control);
	control_find_backends(control);
	open_estate(control);
	control->slots = new_slots(control->conf, control->workers.count);
	control->snapshot = snapshot_begin(
		control->conf, control->arena, control->slots, control->estate.generation);
	error = open_tls(control);
	if (error)
		return error;
	control->staples = staples_new(control->loop, control->log);
	staples_adopt(control->staples, control->snapshot, true);
	start_watch(control);
	start_reload(control);
	control_prepare_workers(control);
	error = control_open_listeners(control);
	if (error)
		return error;
	error = control_open_guest(control);
	if (error)
		return error;
	error = control_settle_listeners(control);
	if (error)
		return error;
	error = control_hear_signals(control);
	if (error) {
		fprintf(stderr, "weir: cannot start: no descriptor for signals: %s\n",
			strerror(-error));
		return error;
	}
	control_await_backends(control);
	error = control_start_workers(control);
	if (error)
		return error;
	if (!control->handover->inherit.upgrades) // else it begins when the other one leaves
		error = control_start_guest(control);
	if (error)
		return error;
	control_catch_up_backends(control);
	control_follow_signals(control); // not before: there was nobody to drain
	return 0;
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
	control_say_listening(control);
	control_note_life(control, "weir " WEIR_VERSION " serves", STR("serving"),
		str_from(control->options->mode));
}

// ---- The end ------------------------------------------------------------------------------------

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
	watchdog_done(&control->watchdog);
	if (control->reload)
		reload_stop(control->reload);
	while (control->reload && !reload_is_idle(control->reload))
		loop_turn(control->loop, UINT64_MAX);
	control_end_guest(control);
	control_stop_finding(control);
	handover_done(control->handover);
	while (control->tunnels && !tunnels_is_idle(control->tunnels))
		loop_turn(control->loop, UINT64_MAX);
	tunnels_free(control->tunnels);
	control_stop_hearing(control);
	resolver_stop(control->resolver);
	desk_free(control->desk);
	stop_watch(control);
	control_free_workers(control);
	staples_free(control->staples);
	tickets_done(&control->tickets);
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
		.fd_limit = limits_raise_descriptors(),
		.seed = random_seed()};
	struct loop_limits limits;
	const char *why;
	int error;

	control_end_init(&control);
	control.probes_max = limits_probes(conf, control.fd_limit, found_probes);
	limits.large_blocks_max = limits.small_blocks_max = control_blocks + control.probes_max;
	error = loop_new(LOOP_EPOLL, &limits, &control.loop, &why);
	if (error) {
		fprintf(stderr, "weir: cannot start: %s\n", strerror(-error));
		return 1;
	}
	control.started_wall_ms = loop_wall_ms(control.loop);
	trace_install_crash_handlers();
	error = start_logger(&control);
	if (!error)
		error = start(&control);
	if (error) {
		control_end_workers(&control);
		release(&control);
		return 1;
	}
	if (options->greeting.len)
		fwrite(options->greeting.ptr, 1, options->greeting.len, stderr);
	control_meet_keeper(&control);
	say_started(&control);
	if (options->confined)
		confine_say(options->confined, control.log);
	control_tell_ready(&control);
	while (!control.finished)
		loop_turn(control.loop, UINT64_MAX);
	control_unlink_listeners(&control);
	tunnels_stop(control.tunnels);
	LOG(control.log, LOG_NOTICE, "stopped");
	release(&control);
	return 0;
}
