// SPDX-License-Identifier: Apache-2.0
#include "control/notify.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"

enum { status_max = 200 };

size_t notify_format(char text[static NOTIFY_TEXT_MAX], const char *state, const char *status)
{
	int len;

	if (status)
		len = snprintf(
			text, NOTIFY_TEXT_MAX, "%s\nSTATUS=%.*s\n", state, status_max, status);
	else
		len = snprintf(text, NOTIFY_TEXT_MAX, "%s\n", state);
	return MIN((size_t)MAX(len, 0), (size_t)NOTIFY_TEXT_MAX - 1);
}

size_t notify_format_reloading(char text[static NOTIFY_TEXT_MAX], u64 monotonic_us)
{
	char state[64];

	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		(unsigned long long)monotonic_us);
	return notify_format(text, state, NULL);
}

void notify_name(char name[static NOTIFY_NAME_MAX], const char *from)
{
	size_t begin = sizeof(NOTIFY_NAME_BEGIN) - 1;

	snprintf(name, NOTIFY_NAME_MAX, NOTIFY_NAME_BEGIN "%s", from);
	for (char *at = name + begin; *at; at++)
		if (*at <= ' ' || *at > '~' || *at == ':')
			*at = '.';
}

// '@' stands for the zero byte of an abstract name.
static int address_of(const char *path, struct sockaddr_un *ret_address, socklen_t *ret_len)
{
	size_t len = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || len < 2 || len >= sizeof(ret_address->sun_path))
		return -EINVAL;
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret_address->sun_path, path, len);
	if (path[0] == '@')
		ret_address->sun_path[0] = '\0';
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'));
	return 0;
}

static int send_to(const char *path, struct msghdr *message)
{
	struct sockaddr_un address;
	socklen_t len;
	int error = address_of(path, &address, &len), fd;

	if (error)
		return error;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	message->msg_name = &address;
	message->msg_namelen = len;
	if (sendmsg(fd, message, MSG_NOSIGNAL) < 0)
		error = -errno;
	message->msg_name = NULL;
	close(fd);
	return error;
}

int notify_send(const char *socket_path, const char *text, size_t len, int fd)
{
	union {
		struct cmsghdr head; // for its alignment
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (!socket_path || !socket_path[0])
		return -ENOTCONN;
	if (fd >= 0) {
		struct cmsghdr *head;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	}
	return send_to(socket_path, &message);
}

// FDPOLL=0: a listening socket tells the manager nothing that it should act on.
int notify_store(const char *socket_path, const char *name, int fd)
{
	char text[NOTIFY_TEXT_MAX], state[NOTIFY_NAME_MAX + 64];

	snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	return notify_send(socket_path, text, notify_format(text, state, NULL), fd);
}

int notify_unstore(const char *socket_path, const char *name)
{
	char text[NOTIFY_TEXT_MAX], state[NOTIFY_NAME_MAX + 64];

	snprintf(state, sizeof(state), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	return notify_send(socket_path, text, notify_format(text, state, NULL), -1);
}

u64 notify_watchdog_us(const char *usec, const char *pid, i64 own_pid)
{
	u64 wanted = 0, of = 0;

	if (!usec || str_to_u64(str_from(usec), UINT64_MAX / 2, &wanted) != 0)
		return 0;
	if (pid && pid[0] && (str_to_u64(str_from(pid), INT32_MAX, &of) != 0 || (i64)of != own_pid))
		return 0;
	return wanted;
}
