// SPDX-License-Identifier: Apache-2.0
#include "control/channel.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

union rights {
	struct cmsghdr head; // for its alignment
	char bytes[CMSG_SPACE(sizeof(int))];
};

int channel_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0 ? 0 : -errno;
}

static void attach(struct msghdr *message, union rights *rights, int fd)
{
	struct cmsghdr *head;

	message->msg_control = rights->bytes;
	message->msg_controllen = sizeof(rights->bytes);
	head = CMSG_FIRSTHDR(message);
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
}

int channel_send(int channel, char kind, const char *text, size_t len, int fd)
{
	union rights rights = {.bytes = {0}};
	struct iovec parts[] = {{.iov_base = &kind, .iov_len = 1},
		{.iov_base = (void *)(uintptr_t)text,
			.iov_len = MIN(len, (size_t)CHANNEL_TEXT_MAX)}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts)};

	if (fd >= 0)
		attach(&message, &rights, fd);
	while (sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int descriptor_of(struct msghdr *message)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
		head->cmsg_len >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

int channel_receive(int channel, struct channel_message *ret_message)
{
	union rights rights;
	struct iovec parts[] = {{.iov_base = &ret_message->kind, .iov_len = 1},
		{.iov_base = ret_message->text, .iov_len = CHANNEL_TEXT_MAX}};
	struct msghdr message = {.msg_iov = parts,
		.msg_iovlen = ARRAY_LEN(parts),
		.msg_control = rights.bytes,
		.msg_controllen = sizeof(rights.bytes)};
	ssize_t got;

	do
		got = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got == 0 || errno == ECONNRESET ? 0 : -errno;
	ret_message->len = (size_t)got - 1;
	ret_message->text[ret_message->len] = '\0';
	ret_message->fd = descriptor_of(&message);
	return 1;
}
