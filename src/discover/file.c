// SPDX-License-Identifier: Apache-2.0
// Backends in a file (list.h). The folder is watched, not the file: whoever replaces a file as a
// whole renames another one over it. Any event there makes the file be looked at, since its name
// may be a symbolic link that another name leads to.
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "conf/file.h"
#include "discover/list.h"
#include "discover/source.h"

enum {
	settle_ms = 20, // events come in bunches
	text_bytes_max = FILE_BYTES_MAX + 4096,
	events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
		 IN_DELETE_SELF | IN_MOVE_SELF,
};

struct file_source {
	struct source_config config;
	struct timer timer;
	struct backoff backoff;
	struct sock sock; // inotify; -1: not watched
	struct op op;
	char *folder;
	struct stat seen;
	u64 refresh_at_ms;
	bool stopped;
};

static void set_timer(struct file_source *source, u64 wait_ms)
{
	if (!source->stopped)
		loop_timer_set(source->config.loop, &source->timer,
			loop_now_ms(source->config.loop) + wait_ms);
}

// ---- Watching -----------------------------------------------------------------------------------

static void begin_watch(struct file_source *source)
{
	int fd;

	if (source->sock.fd >= 0)
		return;
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (fd < 0)
		return; // read every `refresh` all the same
	if (inotify_add_watch(fd, source->folder, events) < 0) {
		close(fd);
		return;
	}
	sock_open(source->config.loop, &source->sock, fd);
	loop_ready(source->config.loop, &source->sock, &source->op, LOOP_IN);
}

static void end_watch(struct file_source *source)
{
	if (source->sock.fd >= 0)
		sock_close(source->config.loop, &source->sock);
	source->sock.fd = -1;
}

// The folder itself is gone: another one may come under its name.
static bool has_lost_folder(const char *buffer, ssize_t len)
{
	const struct inotify_event *event;

	for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof(*event) + event->len)) {
		event = (const struct inotify_event *)(const void *)(buffer + at);
		if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT))
			return true;
	}
	return false;
}

static void on_event(struct op *op)
{
	struct file_source *source = container_of(op, struct file_source, op);
	_Alignas(struct inotify_event) char buffer[4096];
	bool is_lost = op->result < 0;
	ssize_t len;

	while (!source->stopped && (len = read(source->sock.fd, buffer, sizeof(buffer))) > 0)
		is_lost |= has_lost_folder(buffer, len);
	if (source->stopped || is_lost)
		end_watch(source);
	else
		loop_ready(source->config.loop, &source->sock, op, LOOP_IN);
	set_timer(source, settle_ms);
}

// ---- Reading ------------------------------------------------------------------------------------

static void tell_trouble(struct file_source *source, const char *cause, const char *cure)
{
	source->config.sink.trouble(source->config.sink.owner, cause, cure);
}

static bool read_list(struct file_source *source)
{
	const char *path = source->config.provider->path.ptr;
	char cause[LIST_ERROR_MAX];
	struct arena arena;
	struct rows *rows = NULL;
	struct str text;
	u64 identity;
	int rc;

	arena_init(&arena, text_bytes_max);
	rc = file_read(&arena, path, &text, &identity);
	if (rc < 0) {
		snprintf(cause, sizeof(cause), "%.400s cannot be read: %s", path,
			rc == -EINVAL ? "it is no regular file" : strerror(-rc));
		tell_trouble(source, cause,
			rc == -ENOENT ? "create it, or correct the path" : "let this user read it");
	} else {
		rows = list_read(path, text, cause);
		if (!rows)
			tell_trouble(source, cause, "correct it there");
	}
	arena_done(&arena);
	if (!rows)
		return false;
	source->config.sink.rows(source->config.sink.owner, rows);
	return true;
}

static bool is_unchanged(const struct file_source *source, const struct stat *file)
{
	return file->st_ino == source->seen.st_ino && file->st_dev == source->seen.st_dev &&
	       file->st_size == source->seen.st_size &&
	       file->st_mtim.tv_sec == source->seen.st_mtim.tv_sec &&
	       file->st_mtim.tv_nsec == source->seen.st_mtim.tv_nsec &&
	       file->st_ctim.tv_sec == source->seen.st_ctim.tv_sec &&
	       file->st_ctim.tv_nsec == source->seen.st_ctim.tv_nsec;
}

static void on_timer(struct timer *timer)
{
	struct file_source *source = container_of(timer, struct file_source, timer);
	u64 now_ms = loop_now_ms(source->config.loop);
	struct stat file = {0};

	begin_watch(source); // before the file is read: what changes then is heard of
	(void)stat(source->config.provider->path.ptr, &file);
	if (is_unchanged(source, &file) && now_ms < source->refresh_at_ms) {
		set_timer(source, source->refresh_at_ms - now_ms);
		return;
	}
	if (!read_list(source)) {
		source->refresh_at_ms = 0;
		source->seen = (struct stat){0};
		set_timer(source, backoff_next_ms(&source->backoff));
		return;
	}
	source->seen = file;
	source->backoff.failures = 0;
	source->refresh_at_ms = now_ms + source->config.provider->refresh_ms;
	set_timer(source, source->config.provider->refresh_ms);
}

static void *file_open(const struct source_config *config)
{
	struct file_source *source = mem_alloc(sizeof(*source));
	const char *path = config->provider->path.ptr, *slash = strrchr(path, '/');

	source->config = *config;
	source->sock.fd = -1;
	source->folder =
		mem_strndup(slash ? path : ".", slash ? MAX((size_t)(slash - path), (size_t)1) : 1);
	op_init(&source->op, on_event);
	rng_init(&source->backoff.rng, config->seed);
	timer_init(&source->timer, on_timer);
	set_timer(source, 0);
	return source;
}

static void file_stop(void *owner)
{
	struct file_source *source = owner;

	source->stopped = true;
	loop_timer_cancel(source->config.loop, &source->timer);
	if (op_is_out(&source->op))
		loop_cancel(source->config.loop, &source->op);
	else
		end_watch(source);
}

static bool file_is_idle(const void *owner)
{
	const struct file_source *source = owner;

	return source->sock.fd < 0;
}

static void file_free(void *owner)
{
	struct file_source *source = owner;

	mem_free(source->folder);
	mem_free(source);
}

const struct source_kind source_file = {
	.open = file_open, .stop = file_stop, .is_idle = file_is_idle, .free = file_free};
