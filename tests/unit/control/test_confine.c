// SPDX-License-Identifier: Apache-2.0
// Confinement, in processes of its own: what is forbidden fails, and what is needed does not. Where
// the kernel has none of it there is nothing to test.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/confine_inside.h"
#include "control/thread.h"

enum { good = 0, skipped = 77 };

#define EXPECT(expression)                                                                         \
	do {                                                                                       \
		if (!(expression)) {                                                               \
			fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #expression, errno); \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

// The exit code of a process that runs this, or minus the signal that ended it.
static int run(void (*body)(const char *folder), const char *folder)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		body(folder);
		_exit(good);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void check(void (*body)(const char *folder))
{
	char folder[] = "/tmp/weir-confine-XXXXXX", command[64];
	int code;

	assert_non_null(mkdtemp(folder));
	code = run(body, folder);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	(void)!system(command);
	if (code == skipped)
		skip();
	assert_int_equal(code, good);
}

// ---- Calls --------------------------------------------------------------------------------------

static void *answer(void *arg)
{
	*(int *)arg = 42;
	return NULL;
}

static void confine_own_calls(bool kills)
{
	if (confine_calls_missing())
		_exit(skipped);
	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(confine_calls(kills) == 0);
}

static void calls(const char *folder)
{
	char *const words[] = {"true", NULL};
	int got = 0;
	pthread_t thread;

	(void)folder;
	confine_own_calls(false);
	errno = 0;
	EXPECT(execv("/bin/true", words) == -1 && errno == EPERM);
	EXPECT(fork() == -1 && errno == EPERM);
	EXPECT(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 && errno == EPERM);
	EXPECT(kill(getppid(), 0) == -1 && errno == EPERM);
	EXPECT(setuid(0) == -1 && errno == EPERM);
	EXPECT(pthread_create(&thread, NULL, answer, &got) == 0);
	EXPECT(pthread_join(thread, NULL) == 0 && got == 42);
}

static void test_what_is_not_in_the_list_is_refused(void **state)
{
	(void)state;
	check(calls);
}

static void *refuse(void *arg)
{
	char *const words[] = {"true", NULL};
	sigset_t set;

	EXPECT(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
	EXPECT(sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGSYS) == 0);
	*(int *)arg = execv("/bin/true", words);
	return NULL;
}

static void other_thread(const char *folder)
{
	int got = 0;
	pthread_t thread;

	(void)folder;
	confine_own_calls(false);
	EXPECT(thread_start(&thread, refuse, &got) == 0);
	EXPECT(pthread_join(thread, NULL) == 0 && got == -1);
}

static void test_a_thread_that_blocks_signals_lives_on(void **state)
{
	(void)state;
	check(other_thread);
}

static void strict_calls(const char *folder)
{
	char *const words[] = {"true", NULL};

	(void)folder;
	confine_own_calls(true);
	(void)execv("/bin/true", words);
}

static void test_when_it_is_strict_a_forbidden_call_is_the_end(void **state)
{
	int code = run(strict_calls, "");

	(void)state;
	if (code == skipped)
		skip();
	assert_int_equal(code, -SIGSYS);
}

// ---- Files --------------------------------------------------------------------------------------

static bool can_write(const char *folder, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static void confine_own_files(const char *folder, enum conf_confine how)
{
	struct conf conf = {.runtime = {.confine = how}};
	char path[256], state_folder[256], room[80];
	u32 version;

	if (confine_files_missing(room, &version))
		_exit(skipped);
	snprintf(path, sizeof(path), "%s/logs", folder);
	EXPECT(mkdir(path, 0700) == 0);
	snprintf(state_folder, sizeof(state_folder), "%s/state", folder);
	EXPECT(mkdir(state_folder, 0700) == 0);
	snprintf(path, sizeof(path), "%s/logs/weir.log", folder);
	conf.log.output = (struct conf_output){.kind = CONF_OUTPUT_FILE, .path = str_from(path)};
	EXPECT(can_write(folder, "elsewhere"));
	EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	EXPECT(confine_files(&conf, state_folder) == 0);
}

static void files(const char *folder)
{
	char *const words[] = {"true", NULL};
	char path[256], moved[256];
	int fd;

	confine_own_files(folder, CONF_CONFINE_NORMAL);
	EXPECT(!can_write(folder, "elsewhere") && errno == EACCES);
	EXPECT(!can_write(folder, "new") && errno == EACCES);
	EXPECT(can_write(folder, "logs/weir.log"));
	EXPECT(can_write(folder, "state/kept"));
	snprintf(path, sizeof(path), "%s/logs/weir.log", folder);
	snprintf(moved, sizeof(moved), "%s/logs/weir.log.1", folder);
	EXPECT(rename(path, moved) == 0); // as state files are replaced
	EXPECT(can_write(folder, "logs/weir.log"));
	EXPECT(execv("/bin/true", words) == -1 && errno == EACCES);
	snprintf(path, sizeof(path), "%s/elsewhere", folder);
	fd = open(path, O_RDONLY | O_CLOEXEC); // who may read it still may
	EXPECT(fd >= 0);
	close(fd);
}

static void test_files_are_written_where_the_configuration_leads(void **state)
{
	(void)state;
	check(files);
}

static void strict_files(const char *folder)
{
	char path[256];
	int fd;

	confine_own_files(folder, CONF_CONFINE_STRICT);
	snprintf(path, sizeof(path), "%s/elsewhere", folder);
	EXPECT(open(path, O_RDONLY | O_CLOEXEC) == -1 && errno == EACCES);
	fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
	EXPECT(fd >= 0 || errno == ENOENT);
	if (fd >= 0)
		close(fd);
	EXPECT(can_write(folder, "logs/weir.log"));
}

static void test_when_it_is_strict_reading_is_limited_too(void **state)
{
	(void)state;
	check(strict_files);
}

// ---- The user -----------------------------------------------------------------------------------

static void user(const char *folder)
{
	char name[64], why[CONFINE_WHY_MAX];

	(void)folder;
	if (geteuid() != 0)
		_exit(skipped);
	EXPECT(confine_user(STR("nobody"), name, why) == 0);
	EXPECT(strcmp(name, "nobody") == 0);
	EXPECT(geteuid() != 0 && getuid() != 0 && getegid() != 0);
	EXPECT(setuid(0) == -1);
	EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 10, 0, 0) == 1);
	EXPECT(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0) == 0);
	EXPECT(access("/proc/self/fd", R_OK) == 0);
}

static void test_root_becomes_the_user(void **state)
{
	(void)state;
	check(user);
}

static void test_a_user_that_is_not_there_is_an_error(void **state)
{
	char name[64], why[CONFINE_WHY_MAX] = "";

	(void)state;
	assert_int_equal(confine_user(STR("no-such-user"), name, why), -ENOENT);
	assert_non_null(strstr(why, "there is no user 'no-such-user'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_in_the_list_is_refused),
		cmocka_unit_test(test_a_thread_that_blocks_signals_lives_on),
		cmocka_unit_test(test_when_it_is_strict_a_forbidden_call_is_the_end),
		cmocka_unit_test(test_files_are_written_where_the_configuration_leads),
		cmocka_unit_test(test_when_it_is_strict_reading_is_limited_too),
		cmocka_unit_test(test_root_becomes_the_user),
		cmocka_unit_test(test_a_user_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
