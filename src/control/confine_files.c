// SPDX-License-Identifier: Apache-2.0
// Landlock (landlock(7)): no program is started, and files are written, made and removed only below
// folders that the configuration leads to. What may be read is left to the user's own rights, so
// that a later configuration may name other certificates and lists; a strict one limits that too.
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/confine_inside.h"

#ifndef LANDLOCK_ACCESS_FS_REFER // since version 2
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE // since version 3
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

enum { path_max = 4096 };

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define MAKES                                                                  \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |      \
		LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |   \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |   \
		LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
		LANDLOCK_ACCESS_FS_MAKE_SYM)
#define NEEDED                                                              \
	(LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |   \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | \
		LANDLOCK_ACCESS_FS_MAKE_SOCK)

struct rules {
	int fd;
	u64 handled, write;
	bool reads_too;
};

static int version(void)
{
	long got = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return got < 0 ? -errno : (int)got;
}

const char *confine_files_missing(char room[static 80], u32 *ret_version)
{
	int got = version();

	*ret_version = (u32)MAX(got, 0);
	if (got > 0)
		return NULL;
	snprintf(room, 80, "the kernel has no landlock: %.40s", strerror(-got));
	return room;
}

// What is not there yet needs no rule: whoever makes it has one for the folder.
static void allow(const struct rules *rules, const char *path, u64 access)
{
	struct landlock_path_beneath_attr rule = {.allowed_access = access & rules->handled};
	int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat stat;

	if (fd < 0)
		return;
	if (fstat(fd, &stat) == 0 && !S_ISDIR(stat.st_mode)) // rights of folders make no sense
		rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | rules->write;
	rule.parent_fd = fd;
	if (rule.allowed_access)
		(void)syscall(
			SYS_landlock_add_rule, rules->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(fd);
}

static void allow_folder(const struct rules *rules, const char *path)
{
	if (path && path[0] == '/' && path[1])
		allow(rules, path, READS | NEEDED | rules->write);
}

// The folder that a path stands in.
static bool folder_of(struct str path, char folder[static path_max])
{
	char *end;

	if (path.len == 0 || path.len >= path_max)
		return false;
	snprintf(folder, path_max, "%.*s", STR_FMT(path));
	end = strrchr(folder, '/');
	if (!end)
		snprintf(folder, path_max, ".");
	else
		end[end == folder] = '\0';
	return true;
}

// A file that is written, and its folder, where it is made again after it was moved away. A device
// or a pipe stays where it is.
static void allow_written(const struct rules *rules, struct str path)
{
	char folder[path_max], file[path_max];
	struct stat found;

	if (!folder_of(path, folder))
		return;
	snprintf(file, sizeof(file), "%.*s", STR_FMT(path));
	if (stat(file, &found) == 0 && !S_ISREG(found.st_mode) && !S_ISSOCK(found.st_mode))
		allow(rules, file, READS | rules->write);
	else
		allow(rules, folder, READS | NEEDED | rules->write);
}

static void allow_bind(const struct rules *rules, const struct conf_bind *bind)
{
	if (bind->addr.family == ADDR_UNIX && bind->addr.path[0] != '@')
		allow_written(rules, str_from(bind->addr.path));
}

// Folders that are there by default, or that a service manager made.
static void allow_own_folders(const struct rules *rules, const char *state_folder)
{
	static const char *const variables[] = {"RUNTIME_DIRECTORY", "STATE_DIRECTORY",
		"LOGS_DIRECTORY", "CACHE_DIRECTORY", "XDG_RUNTIME_DIR"};
	char above[path_max];

	for (u32 i = 0; i < ARRAY_LEN(variables); i++)
		allow_folder(rules, getenv(variables[i]));
	allow_folder(rules, "/run/weir");
	if (access("/run/weir", F_OK) != 0 && access("/run", W_OK) == 0)
		allow_folder(rules, "/run"); // it is made there
	if (!state_folder)
		return;
	allow_folder(rules, state_folder);
	if (access(state_folder, F_OK) != 0 && folder_of(str_from(state_folder), above))
		allow_folder(rules, above);
}

static void allow_configured(const struct rules *rules, const struct conf *conf)
{
	if (conf->log.output.kind == CONF_OUTPUT_FILE)
		allow_written(rules, conf->log.output.path);
	if (conf->log.access.output.kind == CONF_OUTPUT_FILE)
		allow_written(rules, conf->log.access.output.path);
	for (u32 f = 0; f < conf->frontend_count; f++)
		for (u32 b = 0; b < conf->frontends[f].bind_count; b++)
			allow_bind(rules, &conf->frontends[f].binds[b]);
	for (u32 i = 0; i < conf->admin.bind_count; i++)
		allow_bind(rules, &conf->admin.binds[i]);
	for (u32 i = 0; i < conf->provider_count; i++) // a database has files beside it
		allow_written(rules, conf->providers[i].path);
}

// Names of threads are written there, and a few devices take anything.
static void allow_always(const struct rules *rules)
{
	static const char *const paths[] = {
		"/proc/self/task", "/dev/null", "/dev/tty", "/dev/shm", "/dev/full"};

	for (u32 i = 0; i < ARRAY_LEN(paths); i++)
		allow(rules, paths[i], READS | rules->write);
}

static void allow_reads(const struct rules *rules, const struct conf *conf)
{
	static const char *const paths[] = {"/etc", "/usr", "/lib", "/lib64", "/proc", "/sys",
		"/dev", "/run/systemd/resolve", "/run/resolvconf"};
	char folder[path_max];

	for (u32 i = 0; i < ARRAY_LEN(paths); i++)
		allow(rules, paths[i], READS);
	for (u32 i = 0; i < conf->file_count; i++)
		if (folder_of(str_from(conf->files[i]), folder))
			allow(rules, folder, READS);
	if (getenv("CREDENTIALS_DIRECTORY"))
		allow(rules, getenv("CREDENTIALS_DIRECTORY"), READS);
}

int confine_files(const struct conf *conf, const char *state_folder)
{
	struct landlock_ruleset_attr attributes = {0};
	struct rules rules = {.reads_too = conf->runtime.confine == CONF_CONFINE_STRICT};
	int known = version(), error = 0;

	rules.write =
		LANDLOCK_ACCESS_FS_WRITE_FILE | (known >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
	rules.handled = LANDLOCK_ACCESS_FS_EXECUTE | MAKES | rules.write |
			(known >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (rules.reads_too ? READS : 0);
	attributes.handled_access_fs = rules.handled;
	rules.fd = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
	if (rules.fd < 0)
		return -errno;
	allow_always(&rules);
	allow_own_folders(&rules, state_folder);
	allow_configured(&rules, conf);
	if (rules.reads_too)
		allow_reads(&rules, conf);
	if (syscall(SYS_landlock_restrict_self, rules.fd, 0) != 0)
		error = -errno;
	close(rules.fd);
	return error;
}
