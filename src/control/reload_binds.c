// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/reload_parts.h"
#include "net/listen.h"

void reload_binds_init(struct reload_binds *binds, u32 max, struct handover *handover)
{
	*binds = (struct reload_binds){.max = max,
		.handover = handover,
		.slots = mem_alloc(sizeof(*binds->slots) * max),
		.plans = mem_alloc(sizeof(*binds->plans) * max)};
}

static void drop_fds(struct bind_slot *slot)
{
	mem_free(slot->fds);
	slot->fds = NULL;
}

void reload_binds_done(struct reload_binds *binds)
{
	for (u32 i = 0; i < binds->count; i++)
		drop_fds(&binds->slots[i]);
	mem_free(binds->slots);
	mem_free(binds->plans);
}

static u32 find(const struct reload_binds *binds, const struct addr *addr)
{
	for (u32 i = 0; i < binds->count; i++)
		if (binds->slots[i].is_used && addr_equal(&binds->slots[i].addr, addr))
			return i;
	return binds->max;
}

static u32 find_free(struct reload_binds *binds)
{
	for (u32 i = 0; i < binds->count; i++)
		if (!binds->slots[i].is_used)
			return i;
	return binds->count < binds->max ? binds->count++ : binds->max;
}

static int open_one(
	const struct reload_binds *binds, const struct addr *addr, u32 worker, bool shared)
{
	if (!binds->handover)
		return listen_open(addr, shared);
	return handover_listen(binds->handover, INHERIT_TRAFFIC, addr, worker, shared);
}

static void release(const struct reload_binds *binds, const struct addr *addr, u32 workers)
{
	for (u32 i = 0; i < workers && binds->handover; i++)
		handover_release(binds->handover, INHERIT_TRAFFIC, addr, i);
}

// As at the start: the first open, without SO_REUSEPORT, fails when any other process has the port.
static int open_all(
	const struct reload_binds *binds, const struct addr *addr, int *fds, u32 workers)
{
	bool shared = addr->family != ADDR_UNIX && workers > 1;
	int fd = shared ? listen_open(addr, false) : open_one(binds, addr, 0, false);

	for (u32 i = 0; i < workers; i++)
		fds[i] = -1;
	if (fd < 0 || !shared) {
		fds[0] = fd;
		return MIN(fd, 0);
	}
	close(fd);
	for (u32 i = 0; i < workers; i++) {
		fds[i] = open_one(binds, addr, i, true);
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

static void close_new(struct reload_binds *binds, u32 workers)
{
	for (u32 i = 0; i < binds->count; i++) {
		struct bind_slot *slot = &binds->slots[i];

		if (!slot->is_new)
			continue;
		for (u32 w = 0; w < workers; w++)
			if (slot->fds[w] >= 0)
				close(slot->fds[w]);
		release(binds, &slot->addr, workers);
		listen_unlink(&slot->addr);
		drop_fds(slot);
		*slot = (struct bind_slot){0};
	}
}

// 0, or why it cannot be opened (a negative errno).
static int plan_bind(struct reload_binds *binds, const struct frontend *frontend,
	const struct conf_bind *bind, u32 workers)
{
	u32 at = find(binds, &bind->addr);
	int error = 0;

	if (at == binds->max) {
		struct bind_slot *slot;

		at = find_free(binds);
		if (at == binds->max)
			return -ENFILE;
		slot = &binds->slots[at];
		*slot = (struct bind_slot){.is_used = true,
			.is_new = true,
			.addr = bind->addr,
			.fds = mem_alloc(sizeof(int) * workers)};
		error = open_all(binds, &bind->addr, slot->fds, workers);
	}
	binds->plans[at] = (struct listener_plan){.frontend = frontend,
		.bind = bind,
		.fds = binds->slots[at].is_new ? binds->slots[at].fds : NULL};
	return error;
}

static void say_why(const struct conf_bind *bind, int error, char *what, size_t size)
{
	snprintf(what, size, "unable to bind on %.*s: %s.%s", STR_FMT(bind->text),
		error == -ENFILE ? "there are more addresses than this process has room for"
				 : strerror(-error),
		error == -EACCES ? " Ports below 1024 need CAP_NET_BIND_SERVICE." : "");
}

bool reload_binds_plan(struct reload_binds *binds, const struct snapshot *snapshot, u32 workers,
	char *what, size_t size)
{
	memset(binds->plans, 0, sizeof(*binds->plans) * binds->max);
	for (u32 f = 0; f < snapshot->frontend_count; f++) {
		const struct frontend *frontend = snapshot->frontends[f];

		for (u32 b = 0; frontend && b < frontend->conf->bind_count; b++) {
			const struct conf_bind *bind = &frontend->conf->binds[b];
			int error = plan_bind(binds, frontend, bind, workers);

			if (!error)
				continue;
			say_why(bind, error, what, size);
			close_new(binds, workers);
			return false;
		}
	}
	for (u32 i = 0; i < binds->count; i++) {
		struct bind_slot *slot = &binds->slots[i];

		slot->is_gone = slot->is_used && !binds->plans[i].frontend;
		// Before workers close theirs: what came until then is in the queues that they empty.
		if (slot->is_gone)
			release(binds, &slot->addr, workers);
	}
	return true;
}

void reload_binds_settle(struct reload_binds *binds)
{
	for (u32 i = 0; i < binds->count; i++) {
		struct bind_slot *slot = &binds->slots[i];

		drop_fds(slot);
		slot->is_new = false;
		binds->plans[i].fds = NULL;
		if (!slot->is_gone)
			continue;
		listen_unlink(&slot->addr);
		*slot = (struct bind_slot){0};
	}
}
