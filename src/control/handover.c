// SPDX-License-Identifier: Apache-2.0
#include "control/handover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/str.h"
#include "control/channel.h"
#include "control/notify.h"
#include "net/listen.h"

void handover_init(struct handover *handover, const struct inherit *inherit, i64 keeper)
{
	*handover = (struct handover){.inherit = *inherit,
		.keeper = inherit->channel >= 0 ? keeper : 0,
		.channel = {.fd = -1},
		.notify_path = getenv("NOTIFY_SOCKET")};
	handover->watchdog_us = notify_watchdog_us(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"),
		handover->keeper ? keeper : (i64)getpid());
}

bool handover_has_keeper(const struct handover *handover)
{
	return handover->inherit.channel >= 0;
}

// A keeper that cannot be told is about to be missed: handover_hears.orphaned follows.
static void tell(struct handover *handover, enum handover_message kind, const char *text, int fd)
{
	if (handover_has_keeper(handover))
		(void)channel_send(handover->inherit.channel, (char)kind, text, strlen(text), fd);
}

// ---- Listening sockets --------------------------------------------------------------------------

// What a manager gave is not known to the keeper yet.
static void hold(struct handover *handover, enum inherit_role role, u32 index,
	const struct addr *address, int fd)
{
	char name[INHERIT_NAME_MAX];

	inherit_name(name, role, index, address);
	tell(handover, HANDOVER_HOLD, name, fd);
}

static bool is_shared(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &len) == 0 && value != 0;
}

int handover_listen(struct handover *handover, enum inherit_role role, const struct addr *address,
	u32 index, bool shared)
{
	int fd = inherit_take(&handover->inherit, role, index, address);

	if (fd >= 0 && index == 0 && shared && !is_shared(fd))
		handover->inherit.single = *address;
	if (fd < 0) {
		if (index && addr_equal(&handover->inherit.single, address))
			return -ENOENT;
		fd = listen_open(address, shared);
	}
	if (fd >= 0)
		hold(handover, role, index, address, fd);
	return fd;
}

bool handover_knows(
	const struct handover *handover, enum inherit_role role, const struct addr *address)
{
	return inherit_has(&handover->inherit, role, address);
}

void handover_release(
	struct handover *handover, enum inherit_role role, const struct addr *address, u32 index)
{
	char name[INHERIT_NAME_MAX];

	inherit_name(name, role, index, address);
	tell(handover, HANDOVER_FORGET, name, -1);
}

int handover_settle(struct handover *handover, const char **ret_stray)
{
	const struct inherit_socket *stray = inherit_stray(&handover->inherit);

	if (stray) {
		*ret_stray = stray->address;
		return -EADDRNOTAVAIL;
	}
	for (u32 i = 0; i < handover->inherit.count; i++) {
		const struct inherit_socket *socket = &handover->inherit.sockets[i];
		char name[INHERIT_NAME_MAX];

		if (socket->fd < 0)
			continue;
		snprintf(name, sizeof(name), "%s %u %s", inherit_role_word(socket->role),
			socket->index, socket->address);
		tell(handover, HANDOVER_FORGET, name, -1);
	}
	inherit_done(&handover->inherit);
	return 0;
}

// ---- What is left -------------------------------------------------------------------------------

static bool write_whole(int fd, struct str text)
{
	while (text.len) {
		ssize_t put = write(fd, text.ptr, text.len);

		if (put <= 0)
			return false;
		text.ptr += put;
		text.len -= (size_t)put;
	}
	return true;
}

void handover_leave(struct handover *handover, enum inherit_left left, struct str text)
{
	static const char letters[] = {
#define X(name, word, letter) [INHERIT_##name] = letter,
		INHERIT_LEFT(X)
#undef X
	};
	int fd;

	if (!handover_has_keeper(handover))
		return;
	fd = memfd_create(inherit_left_word(left), MFD_CLOEXEC);
	if (fd < 0)
		return;
	if (write_whole(fd, text))
		(void)channel_send(handover->inherit.channel, letters[left], "", 0, fd);
	close(fd);
}

int handover_take_left(struct handover *handover, enum inherit_left left)
{
	int fd = handover->inherit.left[left];

	handover->inherit.left[left] = -1;
	return fd;
}

// ---- The channel --------------------------------------------------------------------------------

static void take(struct handover *handover, struct channel_message *message)
{
	const struct handover_hears *hears = &handover->hears;
	u64 number;

	switch (message->kind) {
	case HANDOVER_BEGIN:
		hears->begin(hears->owner, message->fd);
		message->fd = -1;
		break;
	case HANDOVER_LEAVE:
		handover->left = true;
		hears->leave(hears->owner, message->fd);
		message->fd = -1;
		break;
	case HANDOVER_SIGNAL:
		if (str_to_u64(str_from(message->text), UINT8_MAX, &number) == 0)
			hears->signal(hears->owner, (u32)number);
		break;
	case HANDOVER_BEGUN:
		hears->upgrade(hears->owner, message->text, NULL);
		break;
	case HANDOVER_ORDERED:
		if (message->fd >= 0)
			hears->ordered(hears->owner, message->fd);
		message->fd = -1;
		break;
	case HANDOVER_FAILED:
		hears->upgrade(hears->owner, NULL, message->text);
		break;
	}
}

static void on_message(struct op *op)
{
	struct handover *handover = container_of(op, struct handover, op);
	struct channel_message message;
	int got;

	if (op->result == -ECANCELED)
		return;
	while ((got = channel_receive(handover->channel.fd, &message)) > 0) {
		take(handover, &message);
		if (message.fd >= 0)
			close(message.fd);
	}
	if (got == -EAGAIN) {
		loop_ready(handover->loop, &handover->channel, op, LOOP_IN);
		return;
	}
	handover->keeper = 0;
	if (!handover->left)
		handover->hears.orphaned(handover->hears.owner);
}

void handover_hear(struct handover *handover, struct loop *loop, const struct handover_hears *hears)
{
	if (!handover_has_keeper(handover))
		return;
	handover->loop = loop;
	handover->hears = *hears;
	op_init(&handover->op, on_message);
	sock_open(loop, &handover->channel, handover->inherit.channel);
	loop_ready(loop, &handover->channel, &handover->op, LOOP_IN);
}

void handover_ready(struct handover *handover)
{
	tell(handover, HANDOVER_READY, "", -1);
}

void handover_notify(struct handover *handover, const char *state, const char *status)
{
	char text[NOTIFY_TEXT_MAX];
	size_t len = notify_format(text, state, status);

	if (handover_has_keeper(handover))
		tell(handover, HANDOVER_NOTIFY, text, -1);
	else
		(void)notify_send(handover->notify_path, text, len, -1);
}

void handover_reloading(struct handover *handover, u64 monotonic_us)
{
	char text[NOTIFY_TEXT_MAX];
	size_t len = notify_format_reloading(text, monotonic_us);

	if (handover_has_keeper(handover))
		tell(handover, HANDOVER_NOTIFY, text, -1);
	else
		(void)notify_send(handover->notify_path, text, len, -1);
}

void handover_reloaded(struct handover *handover, const char *status)
{
	handover_notify(handover, "READY=1", status);
}

int handover_upgrade(struct handover *handover, const char *path)
{
	if (!handover_has_keeper(handover))
		return -ENOTCONN;
	return channel_send(handover->inherit.channel, HANDOVER_UPGRADE, path, strlen(path), -1);
}

void handover_done(struct handover *handover)
{
	if (handover->channel.fd >= 0) {
		loop_cancel(handover->loop, &handover->op);
		while (op_is_out(&handover->op))
			loop_turn(handover->loop, UINT64_MAX);
		sock_close(handover->loop, &handover->channel);
		handover->channel.fd = -1;
		handover->inherit.channel = -1;
	}
	inherit_done(&handover->inherit);
}
