// SPDX-License-Identifier: Apache-2.0
#include "control/logger.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/thread.h"
#include "control/log_sink.h"

enum {
	RING_BYTES = 256 * 1024,
	FLUSH_MAX_MS = 2000,
	LINGER_MS = 10,	 // after lines came, others gather this long before the next look
	TICK_MS = 1000,	 // between tries of a failed sink
	TELL_TICKS = 10, // between reports of losses
	HOST_BYTES = 64, // of a syslog header
	SINKS = 2,
	DRAIN_BYTES_MAX = 1024 * 1024, // between two looks at the sinks
};

struct logger {
	pthread_t thread;
	struct log_wake wake;
	int tick_fd, deadline_fd; // timers, so that no clock need be read here
	_Atomic(struct log *) logs;
	_Atomic(u8) level;
	_Atomic(bool) stopping, reopening;
	enum log_format format;
	u32 ring_bytes, flush_max_ms;

	// The thread's own
	struct log_sink sinks[SINKS]; // of lines, of access lines
	struct log_sink *by_kind[2];  // by enum log_record_kind; both may be the first
	struct log_clock clock;
	i64 newest_ms; // date of the newest record seen, for our own lines
	struct {
		u8 facility, app_name_len;
		char app_name[LOGGER_APP_NAME_MAX];
	} syslog[SINKS];
	bool color, journal, ticking;
	u64 dropped_seen, dropped_told, lost_told[SINKS];
	u32 quiet_ticks; // still to go before losses may be reported again
	char host[HOST_BYTES];
	struct metrics_cells cells;
};

// ---- Lines to sinks -----------------------------------------------------------------------------

static u32 syslog_severity(enum log_level level)
{
	static const u8 severities[] = {
		[LOG_OFF] = 7,
		[LOG_ERROR] = 3,
		[LOG_WARN] = 4,
		[LOG_NOTICE] = 5,
		[LOG_INFO] = 6,
		[LOG_DEBUG] = 7,
		[LOG_TRACE] = 7,
	};

	return severities[level];
}

enum { PREFIX_MAX = 256 };

// <PRI>1 DATE HOST APP-NAME PID MSGID - (RFC 5424 6.2)
static size_t syslog_prefix(struct logger *logger, const struct log_sink *sink,
	const struct log_record *record, char buffer[static PREFIX_MAX])
{
	size_t which = (size_t)(sink - logger->sinks);
	struct log_text text;

	log_clock_set(&logger->clock, record->wall_ms);
	log_text_init(&text, buffer, PREFIX_MAX);
	log_text_char(&text, '<');
	log_text_u64(&text, (u64)logger->syslog[which].facility * 8 +
				    syslog_severity((enum log_level)record->level));
	LOG_TEXT_PUT(&text, ">1 ");
	log_text_bytes(&text, logger->clock.iso, sizeof(logger->clock.iso));
	log_text_char(&text, '.');
	log_text_digits(&text, (u64)MAX(record->wall_ms, 0) % 1000, 3);
	LOG_TEXT_PUT(&text, "Z ");
	log_text_bytes(&text, logger->host, strlen(logger->host));
	log_text_char(&text, ' ');
	log_text_bytes(&text, logger->syslog[which].app_name, logger->syslog[which].app_name_len);
	log_text_char(&text, ' ');
	log_text_u64(&text, (u64)getpid());
	if (record->kind == LOG_RECORD_ACCESS)
		LOG_TEXT_PUT(&text, " access - ");
	else
		LOG_TEXT_PUT(&text, " - - ");
	return (size_t)(text.at - buffer);
}

// People read their own time; the zone's offset is asked once per second of log, not per line.
static void set_offset(struct logger *logger, i64 wall_ms)
{
	time_t second = (time_t)(wall_ms / 1000);
	struct tm local;

	if (logger->clock.made && logger->clock.second == second)
		return;
	if (localtime_r(&second, &local))
		logger->clock.offset_s = (i32)local.tm_gmtoff;
	logger->clock.made = false;
}

static size_t make_prefix(struct logger *logger, const struct log_sink *sink,
	const struct log_record *record, char buffer[static PREFIX_MAX])
{
	struct log_text text;

	if (log_sink_is_syslog(sink))
		return syslog_prefix(logger, sink, record, buffer);
	log_text_init(&text, buffer, PREFIX_MAX);
	if (logger->journal && sink == &logger->sinks[0]) {
		log_text_char(&text, '<');
		log_text_u64(&text, syslog_severity((enum log_level)record->level));
		log_text_char(&text, '>');
	}
	if (record->kind == LOG_RECORD_LINE) {
		if (logger->format == LOG_HUMAN)
			set_offset(logger, record->wall_ms);
		text.at += log_format_prefix(logger->format, (enum log_level)record->level,
			&logger->clock, record->wall_ms, logger->color, text.at);
	}
	return (size_t)(text.at - buffer);
}

static bool send_record(struct logger *logger, const struct log_record *record)
{
	struct log_sink *sink = logger->by_kind[record->kind];
	char prefix[PREFIX_MAX];
	size_t len = make_prefix(logger, sink, record, prefix);

	return log_sink_put(sink, str_make(prefix, len), record->body);
}

// The ring whose oldest line is the oldest of all; *ret_until_ms: when another ring's turn comes.
static struct log_ring *oldest_ring(struct logger *logger, i64 *ret_until_ms)
{
	struct log_ring *oldest = NULL;
	i64 oldest_ms = INT64_MAX, next_ms = INT64_MAX;
	struct log_record record;

	for (struct log *log = atomic_load(&logger->logs); log; log = log->next) {
		if (!log_ring_peek(&log->ring, &record))
			continue;
		if (!oldest || record.wall_ms < oldest_ms) {
			next_ms = oldest_ms;
			oldest_ms = record.wall_ms;
			oldest = &log->ring;
		} else {
			next_ms = MIN(next_ms, record.wall_ms);
		}
	}
	*ret_until_ms = next_ms;
	return oldest;
}

// Lines of all threads in the order of their dates, as far as they are there. Bounded, so that
// sinks are flushed and drops reported also while lines keep coming.
static bool drain_rings(struct logger *logger)
{
	u32 taken = 0;
	i64 until_ms;

	while (taken < DRAIN_BYTES_MAX) {
		struct log_ring *ring = oldest_ring(logger, &until_ms);
		struct log_record record;

		if (!ring)
			break;
		while (taken < DRAIN_BYTES_MAX && log_ring_peek(ring, &record) &&
			record.wall_ms <= until_ms) {
			logger->newest_ms = record.wall_ms;
			send_record(logger, &record);
			taken += (u32)record.body.len + 1;
			log_ring_next(ring);
		}
	}
	return taken > 0;
}

static void flush_sinks(struct logger *logger)
{
	for (int i = 0; i < SINKS; i++)
		log_sink_flush(&logger->sinks[i]);
}

// ---- What the logger says itself ----------------------------------------------------------------

// False: it could not be said now, but perhaps later.
static bool say(struct logger *logger, enum log_level level, const char *message,
	const struct log_field *fields, size_t field_count)
{
	char buffer[LOG_LINE_MAX];
	struct log_record record = {
		.kind = LOG_RECORD_LINE,
		.level = (u8)level,
		.wall_ms = logger->newest_ms,
	};
	size_t len;

	if (atomic_load_explicit(&logger->level, memory_order_relaxed) < level ||
		logger->by_kind[LOG_RECORD_LINE]->dead)
		return true;
	if (!log_sink_is_well(logger->by_kind[LOG_RECORD_LINE]))
		return false;
	len = log_format_line(
		logger->format, level, __FILE__, message, fields, field_count, buffer);
	record.body = str_make(buffer, len);
	return send_record(logger, &record);
}

#define SAY(logger, log_level, message, ...)                                           \
	say((logger), (log_level), (message), (const struct log_field[]){__VA_ARGS__}, \
		ARRAY_LEN(((const struct log_field[]){__VA_ARGS__})))

static const char *sink_name(const struct log_sink *sink)
{
	switch ((enum logger_kind)sink->kind) {
	case LOGGER_STDERR:
		return "stderr";
	case LOGGER_STDOUT:
		return "stdout";
	case LOGGER_SYSLOG_UDP:
		return "syslog over UDP";
	case LOGGER_FILE:
	case LOGGER_SYSLOG_UNIX:
		return sink->path;
	case LOGGER_NONE:
		break;
	}
	return "nowhere";
}

static u64 dropped_in_rings(struct logger *logger)
{
	u64 sum = 0;

	for (struct log *log = atomic_load(&logger->logs); log; log = log->next)
		sum += log_ring_dropped(&log->ring);
	return sum;
}

static void arm_timer(int fd, u32 after_ms)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = after_ms / 1000,
			.tv_nsec = (long)(after_ms % 1000) * 1000000},
	};
	int failed = timerfd_settime(fd, 0, &when, NULL);

	ASSERT(!failed);
}

static void tick_later(struct logger *logger)
{
	if (logger->ticking)
		return;
	logger->ticking = true;
	arm_timer(logger->tick_fd, TICK_MS);
}

// Both give the ticks to be quiet for: 0 when there was nothing to tell, 1 when it could not be
// told.
static u32 tell_lost(struct logger *logger, int i)
{
	struct log_sink *sink = &logger->sinks[i];
	u64 lines = sink->lost - logger->lost_told[i];
	bool told;

	if (lines == 0) {
		if (log_sink_is_well(sink))
			sink->error = 0;
		return 0;
	}
	if (sink->error)
		told = SAY(logger, LOG_WARN, "log lines were lost at an output that failed",
			LOG_U64("lines", lines), LOG_CSTR("output", sink_name(sink)),
			LOG_ERRNO(sink->error));
	else
		told = SAY(logger, LOG_WARN, "log lines were lost at an output that was too slow",
			LOG_U64("lines", lines), LOG_CSTR("output", sink_name(sink)));
	if (!told)
		return 1;
	logger->lost_told[i] += lines;
	return TELL_TICKS;
}

static u32 tell_dropped(struct logger *logger)
{
	u64 lines = logger->dropped_seen - logger->dropped_told;

	if (lines == 0)
		return 0;
	if (!SAY(logger, LOG_WARN, "log lines were dropped because more came than could be written",
		    LOG_U64("lines", lines)))
		return 1;
	logger->dropped_told += lines;
	return TELL_TICKS;
}

static void tell_losses(struct logger *logger)
{
	u64 lost = 0;

	for (int i = 0; i < SINKS; i++)
		lost += logger->sinks[i].lost;
	logger->dropped_seen = dropped_in_rings(logger);
	metrics_set(&logger->cells, M_LOG_DROPPED, logger->dropped_seen + lost);
	if (logger->quiet_ticks > 0)
		return;
	logger->quiet_ticks = tell_dropped(logger);
	for (int i = 0; i < SINKS; i++) {
		u32 ticks = tell_lost(logger, i);

		logger->quiet_ticks = MAX(logger->quiet_ticks, ticks);
	}
	if (logger->quiet_ticks > 0)
		tick_later(logger);
}

static void reopen_sinks(struct logger *logger)
{
	for (int i = 0; i < SINKS; i++) {
		int failed = log_sink_reopen(&logger->sinks[i]);

		if (failed)
			SAY(logger, LOG_ERROR,
				"the log file could not be opened again; the old one "
				"stays in use",
				LOG_CSTR("output", sink_name(&logger->sinks[i])),
				LOG_ERRNO(failed));
	}
}

// ---- The thread ---------------------------------------------------------------------------------

static void read_counter(int fd)
{
	u64 count;
	ssize_t got = read(fd, &count, sizeof(count));

	(void)got; // not blocking; zero or more are both fine
}

static bool something_to_do(struct logger *logger)
{
	for (struct log *log = atomic_load(&logger->logs); log; log = log->next) {
		if (!log_ring_is_empty(&log->ring))
			return true;
	}
	return atomic_load(&logger->stopping) || atomic_load(&logger->reopening) ||
	       dropped_in_rings(logger) != logger->dropped_seen;
}

static void tick(struct logger *logger)
{
	logger->ticking = false;
	for (int i = 0; i < SINKS; i++)
		log_sink_wake(&logger->sinks[i]);
	if (logger->quiet_ticks > 0 && --logger->quiet_ticks > 0)
		tick_later(logger);
}

// Waits for a timer, a blocked sink, or a wake; lines wake only when `asleep` is set or a ring
// fills.
static void wait_for_work(struct logger *logger, int timeout_ms)
{
	struct pollfd fds[3 + SINKS] = {
		{.fd = logger->wake.fd, .events = POLLIN},
		{.fd = logger->tick_fd, .events = POLLIN},
		{.fd = logger->deadline_fd, .events = POLLIN},
	};

	for (int i = 0; i < SINKS; i++)
		fds[3 + i] = (struct pollfd){
			.fd = logger->sinks[i].blocked ? logger->sinks[i].fd : -1,
			.events = POLLOUT,
		};
	poll(fds, ARRAY_LEN(fds), timeout_ms);
	if (fds[0].revents)
		read_counter(logger->wake.fd);
	if (fds[1].revents) {
		read_counter(logger->tick_fd);
		tick(logger);
	}
}

// The deadline's timer is left unread: once over, always over.
static bool deadline_is_over(const struct logger *logger)
{
	struct pollfd deadline = {.fd = logger->deadline_fd, .events = POLLIN};

	return poll(&deadline, 1, 0) > 0;
}

// A sink that rests when all stops gets no second chance.
static bool all_written(const struct logger *logger)
{
	for (int i = 0; i < SINKS; i++) {
		const struct log_sink *sink = &logger->sinks[i];

		if (sink->start < sink->end && !sink->resting)
			return false;
	}
	return true;
}

static void sleep_well(struct logger *logger)
{
	atomic_store(&logger->wake.asleep, true);
	if (!something_to_do(logger))
		wait_for_work(logger, -1);
	atomic_store(&logger->wake.asleep, false);
}

static void *run(void *context)
{
	struct logger *logger = context;

	for (;;) {
		bool stopping = atomic_load(&logger->stopping);
		bool reopening = atomic_exchange(&logger->reopening, false);
		bool any = drain_rings(logger);

		flush_sinks(logger);
		if (reopening)
			reopen_sinks(logger);
		tell_losses(logger);
		flush_sinks(logger);
		for (int i = 0; i < SINKS; i++) {
			if (logger->sinks[i].resting && !logger->sinks[i].dead)
				tick_later(logger);
		}
		if (stopping && ((!any && all_written(logger)) || deadline_is_over(logger)))
			return NULL;
		if (stopping)
			wait_for_work(logger, any ? 0 : LINGER_MS);
		else if (any)
			wait_for_work(logger, LINGER_MS);
		else
			sleep_well(logger);
	}
}

// ---- Life ---------------------------------------------------------------------------------------

static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(fd, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

static bool wants_color(int fd)
{
	const char *no_color = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE");
	const char *terminal = getenv("TERM");

	if (no_color && *no_color)
		return false;
	if (force && *force && strcmp(force, "0") != 0)
		return true;
	return isatty(fd) && terminal && strcmp(terminal, "dumb") != 0;
}

// RFC 5424 6.2.4: printable ASCII without spaces, or "-".
static void find_host(char host[static HOST_BYTES])
{
	if (gethostname(host, HOST_BYTES) < 0)
		host[0] = 0;
	host[HOST_BYTES - 1] = 0;
	for (char *at = host; *at; at++) {
		if (*at <= ' ' || *at > '~')
			*at = '-';
	}
	if (!host[0])
		memcpy(host, "-", 2);
}

static void choose_format(struct logger *logger, const struct logger_config *config)
{
	const struct log_sink *sink = &logger->sinks[0];

	if (log_sink_is_syslog(sink))
		logger->format = LOG_LOGFMT;
	else if (!config->format_auto)
		logger->format = config->format;
	else
		logger->format = sink->fd >= 0 && isatty(sink->fd) ? LOG_HUMAN : LOG_JSON;
	logger->color = logger->format == LOG_HUMAN && sink->fd >= 0 && wants_color(sink->fd);
	logger->journal = sink->fd >= 0 && !log_sink_is_syslog(sink) && is_journal(sink->fd);
}

static void name_sink(struct logger *logger, int which, const struct logger_output *output)
{
	struct str name = output->app_name.len ? output->app_name : STR("weir");

	name.len = MIN(name.len, (size_t)LOGGER_APP_NAME_MAX);
	logger->syslog[which].facility = output->facility;
	logger->syslog[which].app_name_len = (u8)name.len;
	memcpy(logger->syslog[which].app_name, name.ptr, name.len);
}

static int open_sinks(struct logger *logger, const struct logger_config *config,
	const struct logger_output **ret_failed)
{
	const struct logger_output *outputs[SINKS] = {&config->log, &config->access};

	for (int i = 0; i < SINKS; i++) {
		int failed = log_sink_open(&logger->sinks[i], outputs[i]);

		if (failed) {
			*ret_failed = outputs[i];
			return failed;
		}
		logger->by_kind[i] = &logger->sinks[i];
		name_sink(logger, i, outputs[i]);
	}
	// Two sinks on one pipe would cut into each other's lines.
	if (log_sink_same(&logger->sinks[0], &logger->sinks[1]))
		logger->by_kind[LOG_RECORD_ACCESS] = &logger->sinks[0];
	return 0;
}

static int start_thread(struct logger *logger)
{
	int error = thread_start(&logger->thread, run, logger); // SIGPIPE is an errno there

	if (!error)
		pthread_setname_np(logger->thread, "weir-log");
	return error;
}

static void free_logger(struct logger *logger)
{
	struct log *log = atomic_load(&logger->logs);

	while (log) {
		struct log *next = log->next;

		log_done(log);
		mem_free(log);
		log = next;
	}
	for (int i = 0; i < SINKS; i++)
		log_sink_done(&logger->sinks[i]);
	for (size_t i = 0; i < 3; i++) {
		int fd = (int[]){logger->wake.fd, logger->tick_fd, logger->deadline_fd}[i];

		if (fd >= 0)
			close(fd);
	}
	mem_free(logger);
}

int logger_start(const struct logger_config *config, struct logger **ret_logger,
	const struct logger_output **ret_failed)
{
	struct logger *logger = mem_alloc(sizeof(*logger));
	int failed;

	*logger = (struct logger){
		.wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.deadline_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		.ring_bytes = config->ring_bytes ? config->ring_bytes : RING_BYTES,
		.flush_max_ms = config->flush_max_ms ? config->flush_max_ms : FLUSH_MAX_MS,
		.sinks = {{.fd = -1}, {.fd = -1}},
	};
	atomic_store(&logger->level, (u8)config->level);
	find_host(logger->host);
	failed = open_sinks(logger, config, ret_failed);
	if (!failed && (logger->wake.fd < 0 || logger->tick_fd < 0 || logger->deadline_fd < 0)) {
		failed = -EMFILE;
		*ret_failed = &config->log;
	}
	if (!failed) {
		choose_format(logger, config);
		*ret_failed = &config->log;
		failed = start_thread(logger);
	}
	if (failed) {
		free_logger(logger);
		return failed;
	}
	*ret_logger = logger;
	return 0;
}

static void wake_thread(struct logger *logger)
{
	u64 one = 1;
	ssize_t written = write(logger->wake.fd, &one, sizeof(one));

	(void)written; // a full eventfd is a wake already on its way
}

void logger_stop(struct logger *logger)
{
	if (!logger)
		return;
	arm_timer(logger->deadline_fd, logger->flush_max_ms);
	atomic_store(&logger->stopping, true);
	wake_thread(logger);
	pthread_join(logger->thread, NULL);
	free_logger(logger);
}

struct log *logger_log(struct logger *logger, const i64 *wall_ms)
{
	struct log *log = mem_alloc(sizeof(*log));
	struct log *first = atomic_load(&logger->logs);

	log_init(log, (enum log_level)atomic_load(&logger->level), logger->format, wall_ms,
		logger->ring_bytes, &logger->wake);
	do
		log->next = first;
	while (!atomic_compare_exchange_weak(&logger->logs, &first, log));
	return log;
}

void logger_set_level(struct logger *logger, enum log_level level)
{
	atomic_store(&logger->level, (u8)level);
	for (struct log *log = atomic_load(&logger->logs); log; log = log->next)
		log_set_level(log, level);
}

void logger_reopen(struct logger *logger)
{
	atomic_store(&logger->reopening, true);
	wake_thread(logger);
}

const struct metrics_cells *logger_metrics(const struct logger *logger)
{
	return &logger->cells;
}
