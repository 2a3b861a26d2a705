// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <unistd.h>

#include "control/keeper_inside.h"
#include "control/notify.h"

static struct keeper_socket *find(struct keeper *keeper, const char *name)
{
	for (u32 i = 0; i < keeper->count; i++)
		if (strcmp(keeper->sockets[i].name, name) == 0)
			return &keeper->sockets[i];
	return NULL;
}

// A manager that stores descriptors says so by FDSTORE (systemd 254 by itself, ours by the unit).
static bool is_stored(const struct keeper *keeper)
{
	const char *wanted = getenv("FDSTORE");

	return keeper->notify_path && wanted && wanted[0] && wanted[0] != '0';
}

static void store(const struct keeper *keeper, const struct keeper_socket *socket)
{
	char name[NOTIFY_NAME_MAX];

	if (!is_stored(keeper))
		return;
	notify_name(name, socket->name);
	(void)notify_store(keeper->notify_path, name, socket->fd);
}

static void drop(struct keeper *keeper, struct keeper_socket *socket)
{
	char name[NOTIFY_NAME_MAX];

	if (is_stored(keeper) && socket->state != HOLD_ADDED) {
		notify_name(name, socket->name);
		(void)notify_unstore(keeper->notify_path, name);
	}
	close(socket->fd);
	*socket = keeper->sockets[--keeper->count];
}

void keeper_hold(struct keeper *keeper, const char *name, int fd, bool on_trial)
{
	struct keeper_socket *socket = find(keeper, name);

	if (socket && on_trial) { // it is the one that it was given
		close(fd);
		return;
	}
	if (socket)
		drop(keeper, socket);
	if (keeper->count == INHERIT_SOCKETS_MAX || strlen(name) >= sizeof(socket->name)) {
		close(fd);
		return;
	}
	socket = &keeper->sockets[keeper->count++];
	socket->fd = fd;
	socket->state = on_trial ? HOLD_ADDED : HOLD_KEPT;
	memcpy(socket->name, name, strlen(name) + 1);
	if (!on_trial)
		store(keeper, socket);
}

void keeper_forget(struct keeper *keeper, const char *name, bool on_trial)
{
	struct keeper_socket *socket = find(keeper, name);

	if (!socket)
		return;
	if (on_trial)
		socket->state = HOLD_DROPPED;
	else
		drop(keeper, socket);
}

void keeper_decide(struct keeper *keeper, bool taken)
{
	for (u32 i = keeper->count; i-- > 0;) {
		struct keeper_socket *socket = &keeper->sockets[i];

		if (socket->state == (taken ? HOLD_DROPPED : HOLD_ADDED)) {
			drop(keeper, socket);
			continue;
		}
		if (taken && socket->state == HOLD_ADDED)
			store(keeper, socket);
		socket->state = HOLD_KEPT;
	}
}

// What a manager stores stays there: whether it stops or restarts weir is not said, and it lets go
// by itself of what belongs to a service that is stopped.
void keeper_let_go(struct keeper *keeper)
{
	for (u32 i = 0; i < keeper->count; i++)
		close(keeper->sockets[i].fd);
	keeper->count = 0;
}
