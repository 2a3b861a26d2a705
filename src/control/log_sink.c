// SPDX-License-Identifier: Apache-2.0
#include "control/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"

// ---- Opening ------------------------------------------------------------------------------------

// Standard error and output belong to others too, who would be surprised if they stopped blocking.
// So pipes and terminals are opened a second time for ourselves; where that is not allowed, a copy
// has to do, and polling before each small write keeps us from waiting.
static int open_standard(int standard_fd)
{
	struct stat status;
	char path[32];
	int fd = -1;

	if (fstat(standard_fd, &status) < 0)
		return -errno;
	if (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", standard_fd);
		fd = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	}
	if (fd < 0)
		fd = fcntl(standard_fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int open_file(const char *path)
{
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);

	return fd < 0 ? -errno : fd;
}

static int connect_socket(const struct sockaddr *address, socklen_t address_len)
{
	int fd = socket(address->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	if (connect(fd, address, address_len) == 0)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

static int open_syslog_unix(const char *path)
{
	struct addr addr = {.family = ADDR_UNIX, .path = path};
	struct sockaddr_storage address;
	socklen_t len;

	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return -ENAMETOOLONG;
	len = addr_to_sockaddr(&addr, &address);
	return connect_socket((const struct sockaddr *)&address, len);
}

static int open_syslog_udp(const struct addr *addr)
{
	struct sockaddr_storage address;
	socklen_t len;

	if (addr->family != ADDR_V4 && addr->family != ADDR_V6)
		return -EAFNOSUPPORT;
	len = addr_to_sockaddr(addr, &address);
	return connect_socket((const struct sockaddr *)&address, len);
}

// A descriptor, or negative errno.
static int open_output(const struct log_sink *sink)
{
	switch ((enum logger_kind)sink->kind) {
	case LOGGER_NONE:
		break;
	case LOGGER_STDERR:
		return open_standard(STDERR_FILENO);
	case LOGGER_STDOUT:
		return open_standard(STDOUT_FILENO);
	case LOGGER_FILE:
		return open_file(sink->path);
	case LOGGER_SYSLOG_UNIX:
		return open_syslog_unix(sink->path);
	case LOGGER_SYSLOG_UDP:
		return open_syslog_udp(&sink->address);
	}
	return -EBADF;
}

static void rest(struct log_sink *sink, int error)
{
	sink->resting = true;
	sink->error = error;
}

static void adopt(struct log_sink *sink, int fd)
{
	struct stat status;

	if (sink->fd >= 0)
		close(sink->fd);
	sink->fd = fd;
	sink->whole = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
	sink->blocked = sink->resting = false;
}

int log_sink_open(struct log_sink *sink, const struct logger_output *output)
{
	const char *path = output->path;
	int fd;

	if (output->kind == LOGGER_SYSLOG_UNIX && !path)
		path = "/dev/log";
	*sink = (struct log_sink){.kind = output->kind, .address = output->address, .fd = -1};
	if (output->kind == LOGGER_NONE)
		return 0;
	if (path)
		sink->path = mem_strndup(path, strlen(path));
	fd = open_output(sink);
	if (fd < 0 && !(log_sink_is_syslog(sink) && fd != -ENAMETOOLONG && fd != -EAFNOSUPPORT)) {
		mem_free(sink->path);
		sink->path = NULL;
		return fd;
	}
	sink->buffer = mem_alloc(LOG_SINK_BYTES);
	if (fd >= 0)
		adopt(sink, fd);
	else
		rest(sink, -fd);
	return 0;
}

int log_sink_reopen(struct log_sink *sink)
{
	int fd;

	if (sink->kind != LOGGER_FILE)
		return 0;
	fd = open_output(sink);
	if (fd < 0)
		return fd;
	adopt(sink, fd);
	return 0;
}

void log_sink_wake(struct log_sink *sink)
{
	int fd;

	if (!sink->resting || sink->dead)
		return;
	sink->resting = false;
	if (sink->fd >= 0)
		return;
	fd = open_output(sink);
	if (fd >= 0)
		adopt(sink, fd);
	else
		rest(sink, -fd);
}

bool log_sink_same(const struct log_sink *a, const struct log_sink *b)
{
	struct stat a_status, b_status;

	if (a->fd < 0 || b->fd < 0 || log_sink_is_syslog(a) || log_sink_is_syslog(b))
		return false;
	if (fstat(a->fd, &a_status) < 0 || fstat(b->fd, &b_status) < 0)
		return false;
	return a_status.st_dev == b_status.st_dev && a_status.st_ino == b_status.st_ino;
}

// ---- Lines --------------------------------------------------------------------------------------

static void forget_all(struct log_sink *sink)
{
	u32 at = sink->start;

	while (at < sink->end) {
		if (log_sink_is_syslog(sink)) {
			u32 len;

			memcpy(&len, sink->buffer + at, sizeof(len));
			at += (u32)sizeof(len) + len;
			sink->lost++;
		} else {
			sink->lost += sink->buffer[at++] == '\n';
		}
	}
	sink->start = sink->end = 0;
}

void log_sink_done(struct log_sink *sink)
{
	forget_all(sink);
	if (sink->fd >= 0)
		close(sink->fd);
	mem_free(sink->buffer);
	mem_free(sink->path);
	*sink = (struct log_sink){.fd = -1, .lost = sink->lost};
}

static void make_room(struct log_sink *sink)
{
	if (log_sink_is_well(sink))
		log_sink_flush(sink);
	if (sink->start == 0)
		return;
	memmove(sink->buffer, sink->buffer + sink->start, sink->end - sink->start);
	sink->end -= sink->start;
	sink->start = 0;
}

bool log_sink_put(struct log_sink *sink, struct str prefix, struct str body)
{
	u32 len = (u32)(prefix.len + body.len);
	bool datagram = log_sink_is_syslog(sink);
	u32 need = len + (datagram ? (u32)sizeof(len) : 1);
	char *at;

	if (sink->kind == LOGGER_NONE)
		return true;
	if (sink->end + need > LOG_SINK_BYTES)
		make_room(sink);
	if (sink->dead || sink->end + need > LOG_SINK_BYTES) {
		sink->lost++;
		return false;
	}
	at = sink->buffer + sink->end;
	if (datagram) {
		memcpy(at, &len, sizeof(len));
		at += sizeof(len);
	}
	memcpy(at, prefix.ptr, prefix.len);
	memcpy(at + prefix.len, body.ptr, body.len);
	if (!datagram)
		at[len] = '\n';
	sink->end += need;
	return true;
}

// ---- Writing ------------------------------------------------------------------------------------

static void on_error(struct log_sink *sink, int error)
{
	bool given = sink->kind == LOGGER_STDERR || sink->kind == LOGGER_STDOUT;

	if (error == EAGAIN) {
		sink->blocked = true;
		return;
	}
	rest(sink, error);
	if (error == ENOSPC || error == EDQUOT || error == ENOBUFS || error == ENOMEM ||
		(error == EIO && sink->whole))
		return; // the same descriptor may work again
	close(sink->fd);
	sink->fd = -1;
	if (given) {
		sink->dead = true;
		forget_all(sink);
	}
}

// How much to write at once. A write to a pipe of up to PIPE_BUF bytes is atomic, so whole lines
// stay whole even where other processes write into the same pipe.
static size_t piece_len(const struct log_sink *sink)
{
	const char *at = sink->buffer + sink->start, *newline;
	size_t len = sink->end - sink->start;

	if (sink->whole || len <= PIPE_BUF)
		return len;
	newline = memrchr(at, '\n', PIPE_BUF);
	return newline ? (size_t)(newline + 1 - at) : PIPE_BUF;
}

// Bytes written, or negative errno.
static ssize_t write_piece(const struct log_sink *sink)
{
	const char *at = sink->buffer + sink->start;
	size_t len = piece_len(sink);
	struct pollfd writable = {.fd = sink->fd, .events = POLLOUT};
	ssize_t done;

	if (!sink->whole && poll(&writable, 1, 0) == 0)
		return -EAGAIN;
	done = write(sink->fd, at, len);
	return done < 0 ? -errno : done;
}

// One datagram; gives what it used of the buffer, or negative errno.
static ssize_t send_datagram(struct log_sink *sink)
{
	const char *at = sink->buffer + sink->start;
	ssize_t sent;
	u32 len;

	memcpy(&len, at, sizeof(len));
	sent = send(sink->fd, at + sizeof(len), len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0 && errno != EMSGSIZE)
		return -errno;
	sink->lost += sent < 0; // too large for this socket, now and for ever
	return (ssize_t)(sizeof(len) + len);
}

void log_sink_flush(struct log_sink *sink)
{
	sink->blocked = false;
	while (sink->start < sink->end && log_sink_is_well(sink)) {
		ssize_t done = log_sink_is_syslog(sink) ? send_datagram(sink) : write_piece(sink);

		if (done == -EINTR)
			continue;
		if (done < 0)
			on_error(sink, (int)-done);
		else
			sink->start += (u32)done;
	}
	if (sink->start == sink->end)
		sink->start = sink->end = 0;
}
