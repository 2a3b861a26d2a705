// SPDX-License-Identifier: Apache-2.0
#include "admin/doors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "net/listen.h"

enum { path_bytes_max = 108 };

static int open_private(struct doors *doors, const struct addr *address)
{
	mode_t before = umask(0177);
	int fd = handover_listen(doors->handover, INHERIT_ADMIN, address, 0, false);

	umask(before);
	return fd;
}

static int add(struct doors *doors, const struct addr *address, bool only_metrics)
{
	int fd;

	if (doors->count == DOORS_MAX)
		return -E2BIG;
	fd = address->family == ADDR_UNIX
		     ? open_private(doors, address)
		     : handover_listen(doors->handover, INHERIT_ADMIN, address, 0, false);
	if (fd < 0)
		return fd;
	doors->all[doors->count].fd = fd;
	doors->all[doors->count].address = *address;
	doors->all[doors->count++].only_metrics = only_metrics;
	return 0;
}

static int complain(struct str text, int error)
{
	fprintf(stderr,
		"weir: unable to listen for administration on %.*s: %s. See admin.bind; none "
		"does without.\n",
		STR_FMT(text), strerror(-error));
	return error;
}

// The port may be one that the file does not name: that of another program whose file this is.
static int complain_of_metrics(u32 port, int error)
{
	fprintf(stderr,
		"weir: unable to listen for metrics on port %u: %s. Set metrics.port to a free "
		"one, or to none: they are at the admin address as well.\n",
		port, strerror(-error));
	return error;
}

u32 admin_socket_paths(struct arena *arena, const char *ret_paths[ADMIN_PATHS_MAX])
{
	const char *runtime = getenv("RUNTIME_DIRECTORY"), *user = getenv("XDG_RUNTIME_DIR");
	u32 count = 0;

	if (runtime && runtime[0] == '/')
		ret_paths[count++] = arena_printf(arena, "%s/admin.sock", runtime);
	ret_paths[count++] = "/run/weir/admin.sock";
	if (user && user[0] == '/')
		ret_paths[count++] = arena_printf(arena, "%s/weir/admin.sock", user);
	return count;
}

// The folder may have to be made; that it cannot be is no news.
static int add_socket(struct doors *doors, const char *path)
{
	struct addr address = {.family = ADDR_UNIX, .path = path};
	char folder[path_bytes_max];
	char *end;

	if (strlen(path) >= sizeof(folder))
		return -ENAMETOOLONG;
	snprintf(folder, sizeof(folder), "%s", path);
	end = strrchr(folder, '/');
	if (end && end != folder) {
		*end = '\0';
		(void)mkdir(folder, 0750);
	}
	return add(doors, &address, false);
}

static void skip(struct log *log, const char *where, int error)
{
	LOG(log, LOG_NOTICE, "no administration here: somebody else has it",
		LOG_CSTR("address", where), LOG_ERRNO(error),
		LOG_CSTR("cure", "set admin.bind to another address, or to none"));
}

static void add_by_itself(struct doors *doors, struct log *log)
{
	const char *paths[ADMIN_PATHS_MAX];
	struct addr address = {0};
	u32 count;
	int error = -ENOENT;

	count = admin_socket_paths(&doors->arena, paths);
	for (u32 i = 0; i < count && error; i++) {
		error = add_socket(doors, paths[i]);
		if (error == -EADDRINUSE) {
			skip(log, paths[i], error);
			break;
		}
	}
	if (addr_parse(STR("127.0.0.1:9900"), &address) == 0) {
		error = add(doors, &address, false);
		if (error)
			skip(log, "127.0.0.1:9900", error);
	}
}

static int add_configured(struct doors *doors, const struct conf *conf)
{
	struct addr address = {0};
	int error = 0;

	for (u32 i = 0; i < conf->admin.bind_count && !error; i++) {
		const struct conf_bind *bind = &conf->admin.binds[i];

		error = add(doors, &bind->addr, false);
		if (error)
			return complain(bind->text, error);
	}
	if (!conf->metrics.port || !conf->metrics.enabled)
		return 0;
	if (addr_parse(STR(":1"), &address) != 0)
		return -EINVAL;
	address.port = (u16)conf->metrics.port;
	error = add(doors, &address, true);
	return error ? complain_of_metrics(conf->metrics.port, error) : 0;
}

int doors_open(
	struct doors *doors, const struct conf *conf, struct log *log, struct handover *handover)
{
	int error;

	doors->count = 0;
	doors->handover = handover;
	arena_init(&doors->arena, 64 * 1024);
	error = add_configured(doors, conf);
	if (error) {
		doors_close(doors);
		return error;
	}
	if (conf->admin.binds_itself)
		add_by_itself(doors, log);
	return 0;
}

void doors_close(struct doors *doors)
{
	for (u32 i = 0; i < doors->count; i++) {
		if (doors->all[i].fd >= 0)
			close(doors->all[i].fd);
		if (!doors->handover->left)
			listen_unlink(&doors->all[i].address);
	}
	doors->count = 0;
	arena_done(&doors->arena);
}
