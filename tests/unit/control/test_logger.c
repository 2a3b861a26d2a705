// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/logger.h"
#include "proxy/access.h"

static char directory[] = "/tmp/weir-logger-XXXXXX";
static i64 wall_ms = 1620483525305; // 2021-05-08 14:18:45.305 UTC

static int make_directory(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

static char *path_of(const char *name)
{
	static char paths[4][128];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static char *path_of_fd(int fd)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static struct logger *start(const struct logger_config *config)
{
	const struct logger_output *failed;
	struct logger *logger;

	assert_int_equal(logger_start(config, &logger, &failed), 0);
	return logger;
}

static struct logger_config to_file(const char *path)
{
	return (struct logger_config){
		.level = LOG_NOTICE,
		.format = LOG_LOGFMT,
		.log = {.kind = LOGGER_FILE, .path = path},
	};
}

static struct str read_file(const char *path)
{
	static char buffer[4 * 1024 * 1024];
	FILE *file = fopen(path, "r");
	size_t len;

	assert_non_null(file);
	len = fread(buffer, 1, sizeof(buffer), file);
	fclose(file);
	return str_make(buffer, len);
}

static void assert_file(const char *path, const char *expected)
{
	struct str text = read_file(path);

	if (!str_eq(text, str_from(expected)))
		fail_msg("got \"%.*s\"\nexpected \"%s\"", STR_FMT(text), expected);
}

// Until `condition`; the bound only keeps a broken logger from hanging the tests.
#define WAIT_UNTIL(condition)                          \
	do {                                           \
		for (int i_ = 0; !(condition); i_++) { \
			assert_true(i_ < 30 * 1000);   \
			usleep(1000);                  \
		}                                      \
	} while (0)

static void test_lines_and_access_lines_to_files(void **state)
{
	struct logger_config config = to_file(path_of("weir.log"));
	struct access_config access = {.format = ACCESS_COMBINED};
	struct access_entry entry = {.wall_ms = wall_ms,
		.method = STR("GET"),
		.target = STR("/"),
		.protocol = ACCESS_HTTP_1_1};
	struct logger *logger;
	struct log *log;

	(void)state;
	config.access = (struct logger_output){.kind = LOGGER_FILE, .path = path_of("access.log")};
	logger = start(&config);
	log = logger_log(logger, &wall_ms);
	LOG(log, LOG_NOTICE, "first", LOG_U64("n", 1));
	LOG(log, LOG_INFO, "not wanted");
	access_write(log, &access, &entry);
	logger_set_level(logger, LOG_INFO);
	LOG(log, LOG_INFO, "second");
	logger_stop(logger);
	assert_file(config.log.path,
		"time=2021-05-08T14:18:45.305Z level=notice msg=\"first\" n=1\n"
		"time=2021-05-08T14:18:45.305Z level=info msg=\"second\" "
		"module=control/test_logger\n");
	assert_true(has(
		read_file(config.access.path), "\"GET / HTTP/1.1\" 000 0 \"-\" \"-\" outcome=ok"));
	unlink(config.log.path);
	unlink(config.access.path);
}

static void test_auto_is_json_off_a_terminal(void **state)
{
	struct logger_config config = to_file(path_of("auto.log"));
	struct logger *logger;

	(void)state;
	config.format_auto = true;
	logger = start(&config);
	LOG(logger_log(logger, &wall_ms), LOG_ERROR, "object");
	logger_stop(logger);
	assert_file(config.log.path,
		"{\"time\":\"2021-05-08T14:18:45.305Z\",\"level\":\"error\",\"msg\":\"object\"}\n");
	unlink(config.log.path);
}

static void test_human_lines_have_local_dates(void **state)
{
	struct logger_config config = to_file(path_of("human.log"));
	struct logger *logger;

	(void)state;
	setenv("TZ", "UTC-3", 1); // three hours east
	tzset();
	config.format = LOG_HUMAN;
	logger = start(&config);
	LOG(logger_log(logger, &wall_ms), LOG_WARN, "where am I");
	logger_stop(logger);
	unsetenv("TZ");
	tzset();
	assert_file(config.log.path, "May 08 17:18:45.305  WARN where am I\n");
	unlink(config.log.path);
}

static void test_journal_gets_priorities(void **state)
{
	struct logger_config config = to_file(path_of("journal.log"));
	struct logger *logger;
	struct stat status;
	char stream[64];
	int fd;

	(void)state;
	fd = open(config.log.path, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(fstat(fd, &status), 0);
	close(fd);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		(unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	logger = start(&config);
	unsetenv("JOURNAL_STREAM");
	LOG(logger_log(logger, &wall_ms), LOG_ERROR, "bad");
	logger_stop(logger);
	assert_true(str_starts(read_file(config.log.path), STR("<3>time=")));
	unlink(config.log.path);
}

static void test_failed_output_is_named(void **state)
{
	struct logger_config config = to_file(path_of("good.log"));
	const struct logger_output *failed = NULL;
	struct logger *logger = NULL;

	(void)state;
	config.access = (struct logger_output){.kind = LOGGER_FILE, .path = "/no/such/dir/a.log"};
	assert_int_equal(logger_start(&config, &logger, &failed), -ENOENT);
	assert_ptr_equal(failed, &config.access);
	assert_null(logger);
	unlink(config.log.path);
}

static void test_rotation_loses_nothing(void **state)
{
	enum { ROTATIONS = 20, LINES = 50 };
	struct logger_config config = to_file(path_of("r.log"));
	struct logger *logger = start(&config);
	struct log *log = logger_log(logger, &wall_ms);
	char moved[160];
	u64 next = 0;

	(void)state;
	for (int i = 0; i < ROTATIONS; i++) {
		for (int j = 0; j < LINES; j++)
			LOG(log, LOG_NOTICE, "line", LOG_U64("n", i * LINES + j));
		snprintf(moved, sizeof(moved), "%s.%d", config.log.path, i);
		assert_int_equal(rename(config.log.path, moved), 0);
		logger_reopen(logger);
		WAIT_UNTIL(access(config.log.path, F_OK) == 0);
	}
	logger_stop(logger);
	for (int i = 0; i <= ROTATIONS; i++) {
		struct str text;

		snprintf(moved, sizeof(moved), i < ROTATIONS ? "%s.%d" : "%s", config.log.path, i);
		text = read_file(moved);
		while (text.len > 0) {
			struct str line = str_cut(&text, '\n');
			char expected[32];

			snprintf(expected, sizeof(expected), " n=%d", (int)next++);
			assert_true(has(line, expected));
		}
		unlink(moved);
	}
	assert_int_equal(next, ROTATIONS * LINES);
}

static void test_failed_reopen_keeps_the_old_file(void **state)
{
	char dir[128], moved[128], path[160];
	struct logger_config config;
	struct logger *logger;
	struct log *log;

	(void)state;
	snprintf(dir, sizeof(dir), "%s", path_of("dir"));
	snprintf(moved, sizeof(moved), "%s", path_of("moved"));
	snprintf(path, sizeof(path), "%s/a.log", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	config = to_file(path);
	logger = start(&config);
	log = logger_log(logger, &wall_ms);
	LOG(log, LOG_NOTICE, "before");
	assert_int_equal(rename(dir, moved), 0);
	snprintf(path, sizeof(path), "%s/a.log", moved);
	logger_reopen(logger);
	WAIT_UNTIL(has(read_file(path), "could not be opened again"));
	LOG(log, LOG_NOTICE, "after");
	logger_stop(logger);
	assert_true(has(read_file(path), "error=\"No such file or directory\"\n"));
	assert_true(has(read_file(path), "msg=\"before\""));
	assert_true(has(read_file(path), "msg=\"after\""));
	unlink(path);
	rmdir(moved);
}

struct producer {
	struct log *log;
	u64 id, lines;
};

static void *produce(void *context)
{
	struct producer *producer = context;

	for (u64 n = 0; n < producer->lines; n++)
		LOG(producer->log, LOG_NOTICE, "many", LOG_U64("id", producer->id),
			LOG_U64("n", n));
	return NULL;
}

static void test_many_threads_keep_their_order(void **state)
{
	enum { THREADS = 3, LINES = 3000 };
	struct logger_config config = to_file(path_of("threads.log"));
	struct producer producers[THREADS];
	pthread_t threads[THREADS];
	struct logger *logger;
	struct str text;
	u64 next[THREADS] = {0};

	(void)state;
	config.ring_bytes = 1024 * 1024; // more than all of it: nothing may be lost
	logger = start(&config);
	for (u64 i = 0; i < THREADS; i++) {
		producers[i] = (struct producer){logger_log(logger, &wall_ms), i, LINES};
		assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	logger_stop(logger);
	text = read_file(config.log.path);
	while (text.len > 0) {
		struct str line = str_cut(&text, '\n');
		unsigned long long id, n;
		const char *at = memmem(line.ptr, line.len, "id=", 3);

		assert_non_null(at);
		assert_int_equal(sscanf(at, "id=%llu n=%llu\n", &id, &n), 2);
		assert_in_range(id, 0, THREADS - 1);
		assert_int_equal(n, next[id]++);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(next[i], LINES);
	unlink(config.log.path);
}

// Reads what is there and counts lines with `piece`; the beginning of a line is kept for the next
// call.
static u64 count_lines(int fd, const char *piece, u64 *ret_sum)
{
	static char buffer[256 * 1024];
	static size_t kept;
	u64 count = 0;
	ssize_t got;

	while ((got = read(fd, buffer + kept, sizeof(buffer) - kept)) > 0) {
		struct str text = str_make(buffer, kept + (size_t)got);

		for (;;) {
			size_t len = str_find(text, '\n');
			const char *lines;

			if (len == text.len)
				break;
			count += has(str_make(text.ptr, len), piece);
			lines = memmem(text.ptr, len, " lines=", 7);
			if (lines)
				*ret_sum += strtoull(lines + 7, NULL, 10);
			text = str_make(text.ptr + len + 1, text.len - len - 1);
		}
		memmove(buffer, text.ptr, text.len);
		kept = text.len;
	}
	return count;
}

// A reader that stops: those who log go on, what is lost is counted exactly, reported, and the log
// works again when the reader does.
static void test_stuck_reader(void **state)
{
	enum { LINES = 20000 };
	u64 arrived = 0, told = 0;
	struct logger_config config;
	struct logger *logger;
	struct log *log;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	config = to_file(path_of_fd(fds[1]));
	logger = start(&config);
	log = logger_log(logger, &wall_ms);
	for (int i = 0; i < LINES; i++)
		LOG(log, LOG_NOTICE, "stuck", LOG_U64("n", i));
	WAIT_UNTIL(metrics_read(logger_metrics(logger), M_LOG_DROPPED) > 0);
	WAIT_UNTIL((arrived += count_lines(fds[0], "msg=\"stuck\"", &told)) + told == LINES);
	assert_int_equal(metrics_read(logger_metrics(logger), M_LOG_DROPPED), told);
	LOG(log, LOG_NOTICE, "recovered");
	WAIT_UNTIL(count_lines(fds[0], "msg=\"recovered\"", &told) == 1);
	logger_stop(logger);
	close(fds[0]);
	close(fds[1]);
}

static void test_stop_does_not_wait_for_a_stuck_reader(void **state)
{
	struct logger_config config;
	struct logger *logger;
	struct log *log;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	config = to_file(path_of_fd(fds[1]));
	config.flush_max_ms = 20;
	logger = start(&config);
	log = logger_log(logger, &wall_ms);
	for (int i = 0; i < 5000; i++)
		LOG(log, LOG_NOTICE, "stuck", LOG_U64("n", i));
	logger_stop(logger); // ends, or the test's own timeout does
	assert_true(count_lines(fds[0], "msg=\"stuck\"", &(u64){0}) > 0);
	close(fds[0]);
	close(fds[1]);
}

static void test_full_disk_counts(void **state)
{
	struct logger_config config = to_file("/dev/full");
	struct logger *logger = start(&config);
	struct log *log = logger_log(logger, &wall_ms);

	(void)state;
	for (int i = 0; i < 20000; i++)
		LOG(log, LOG_NOTICE, "no room", LOG_U64("n", i));
	WAIT_UNTIL(metrics_read(logger_metrics(logger), M_LOG_DROPPED) > 0);
	logger_stop(logger);
}

// What one output loses, the other tells.
static void test_losses_of_the_access_log_are_told(void **state)
{
	struct logger_config config = to_file(path_of("told.log"));
	struct access_config access = {.format = ACCESS_JSON};
	struct access_entry entry = {.wall_ms = wall_ms,
		.method = STR("GET"),
		.target = STR("/"),
		.protocol = ACCESS_HTTP_1_1};
	struct logger *logger;
	struct log *log;

	(void)state;
	config.access = (struct logger_output){.kind = LOGGER_FILE, .path = "/dev/full"};
	config.ring_bytes = 8 * 1024 * 1024; // no losses there
	logger = start(&config);
	log = logger_log(logger, &wall_ms);
	for (int i = 0; i < 10000; i++)
		access_write(log, &access, &entry);
	WAIT_UNTIL(has(read_file(config.log.path),
		"msg=\"log lines were lost at an output that failed\""));
	assert_true(has(read_file(config.log.path),
		" output=/dev/full error=\"No space left on device\"\n"));
	logger_stop(logger);
	unlink(config.log.path);
}

static void test_syslog_header(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct logger_config config = {
		.level = LOG_NOTICE,
		.format = LOG_JSON,
		.log = {.kind = LOGGER_SYSLOG_UNIX, .path = path_of("syslog"), .facility = 3},
	};
	char datagram[512], expected[64];
	struct logger *logger;
	ssize_t len;
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	(void)state;
	memcpy(address.sun_path, config.log.path, strlen(config.log.path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	logger = start(&config);
	LOG(logger_log(logger, &wall_ms), LOG_WARN, "to the system", LOG_U64("n", 1));
	logger_stop(logger);
	len = recv(fd, datagram, sizeof(datagram) - 1, MSG_DONTWAIT);
	assert_true(len > 0);
	datagram[len] = 0;
	assert_int_equal(strncmp(datagram, "<28>1 2021-05-08T14:18:45.305Z ", 31), 0);
	snprintf(expected, sizeof(expected), " weir %d - - msg=\"to the system\" n=1",
		(int)getpid());
	assert_true(has(str_from(datagram), expected));

	config.access = config.log;
	config.access.facility = 19;
	config.access.app_name = STR("edge-1234567890123456789012345678901234567890123456789");
	logger = start(&config);
	access_write(logger_log(logger, &wall_ms), &(struct access_config){.format = ACCESS_JSON},
		&(struct access_entry){.wall_ms = wall_ms});
	logger_stop(logger);
	len = recv(fd, datagram, sizeof(datagram) - 1, MSG_DONTWAIT);
	assert_true(len > 0);
	datagram[len] = 0;
	assert_int_equal(strncmp(datagram, "<158>1 2021-05-08T14:18:45.305Z ", 32), 0);
	snprintf(expected, sizeof(expected), "90123 %d access - {\"timestamp\"", (int)getpid());
	assert_true(has(str_from(datagram), expected));
	assert_true(has(str_from(datagram), " edge-1234567890"));
	close(fd);
	unlink(config.log.path);
}

static void test_one_file_for_both(void **state)
{
	enum { LINES = 2000 };
	struct logger_config config = to_file(path_of("both.log"));
	struct access_config access = {.format = ACCESS_JSON};
	struct access_entry entry = {.wall_ms = wall_ms,
		.method = STR("GET"),
		.target = STR("/"),
		.protocol = ACCESS_HTTP_1_1};
	struct logger *logger;
	struct str text;
	u64 next = 0;

	(void)state;
	config.access = config.log;
	config.ring_bytes = 2 * 1024 * 1024;
	logger = start(&config);
	for (int i = 0; i < LINES; i++) {
		static struct log *log;

		if (i == 0)
			log = logger_log(logger, &wall_ms);
		LOG(log, LOG_NOTICE, "line");
		access_write(log, &access, &entry);
	}
	logger_stop(logger);
	text = read_file(config.log.path);
	for (; text.len > 0; next++) {
		struct str line = str_cut(&text, '\n');

		assert_true(str_starts(line, next % 2 ? STR("{\"timestamp\":") : STR("time=")));
	}
	assert_int_equal(next, 2 * LINES);
	unlink(config.log.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_and_access_lines_to_files),
		cmocka_unit_test(test_auto_is_json_off_a_terminal),
		cmocka_unit_test(test_human_lines_have_local_dates),
		cmocka_unit_test(test_journal_gets_priorities),
		cmocka_unit_test(test_failed_output_is_named),
		cmocka_unit_test(test_rotation_loses_nothing),
		cmocka_unit_test(test_failed_reopen_keeps_the_old_file),
		cmocka_unit_test(test_many_threads_keep_their_order),
		cmocka_unit_test(test_stuck_reader),
		cmocka_unit_test(test_stop_does_not_wait_for_a_stuck_reader),
		cmocka_unit_test(test_full_disk_counts),
		cmocka_unit_test(test_losses_of_the_access_log_are_told),
		cmocka_unit_test(test_syslog_header),
		cmocka_unit_test(test_one_file_for_both),
	};

	return cmocka_run_group_tests_name("logger", tests, make_directory, remove_directory);
}
