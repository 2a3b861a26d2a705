// SPDX-License-Identifier: Apache-2.0
// Processes of the keeper: serving ones by exec, and itself as another binary. What they need to
// know goes along as lines of text in memory (control/inherit.h).
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "control/handover.h"
#include "control/keeper_inside.h"

static const char *const state_words[] = {
#define X(name, word) [CHILD_##name] = word,
	CHILD_STATES(X)
#undef X
};

struct keeper_child *keeper_find(struct keeper *keeper, enum child_state state)
{
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
		if (keeper->children[i].state == state)
			return &keeper->children[i];
	return NULL;
}

struct keeper_child *keeper_new_child(struct keeper *keeper)
{
	struct keeper_child *child = keeper_find(keeper, CHILD_NONE);

	if (child)
		keeper_child_init(child);
	return child;
}

static void survive_exec(int fd, bool survives)
{
	(void)fcntl(fd, F_SETFD, survives ? 0 : FD_CLOEXEC);
}

// ---- Lines --------------------------------------------------------------------------------------

static void add_common(const struct keeper *keeper, int text)
{
	for (u32 i = 0; i < keeper->count; i++)
		dprintf(text, "listener %d %s\n", keeper->sockets[i].fd, keeper->sockets[i].name);
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		if (keeper->left[i] >= 0)
			dprintf(text, "%s %d\n", inherit_left_word((enum inherit_left)i),
				keeper->left[i]);
	dprintf(text, "restarts %u %s\n", keeper->restarts, keeper->why);
	dprintf(text, "upgraded %u %u\n", keeper->upgraded, keeper->upgrades_failed);
}

static void keep_common(const struct keeper *keeper, bool survives)
{
	for (u32 i = 0; i < keeper->count; i++)
		survive_exec(keeper->sockets[i].fd, survives);
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		if (keeper->left[i] >= 0)
			survive_exec(keeper->left[i], survives);
}

static int begin_text(void)
{
	return memfd_create("weir-inheritance", MFD_CLOEXEC);
}

static void name_text(const char *variable, int text)
{
	char number[16];

	survive_exec(text, true);
	snprintf(number, sizeof(number), "%d", text);
	(void)setenv(variable, number, true);
}

// ---- A serving process --------------------------------------------------------------------------

static _Noreturn void become_serving(
	const struct keeper *keeper, const char *binary, bool upgrades, int channel)
{
	char why[INHERIT_WHY_MAX];
	int text = begin_text();

	if (text >= 0) {
		add_common(keeper, text);
		dprintf(text, "channel %d\n", channel);
		if (upgrades)
			dprintf(text, "upgrades\n");
		keep_common(keeper, true);
		survive_exec(channel, true);
		name_text(INHERIT_VARIABLE, text);
		execv(binary, keeper->argv);
	}
	snprintf(why, sizeof(why), "%.60s cannot be started: %.30s", binary, strerror(errno));
	(void)channel_send(channel, HANDOVER_BROKEN, why, strlen(why), -1);
	_exit(127);
}

struct keeper_child *keeper_spawn(
	struct keeper *keeper, const char *binary, bool upgrades, char why[INHERIT_WHY_MAX])
{
	struct keeper_child *child = keeper_new_child(keeper);
	int ends[2], error;

	if (!child) {
		snprintf(why, INHERIT_WHY_MAX, "%d processes are still leaving",
			KEEPER_CHILDREN_MAX);
		return NULL;
	}
	error = channel_pair(ends);
	if (error) {
		snprintf(why, INHERIT_WHY_MAX, "no channel to it: %.64s", strerror(-error));
		return NULL;
	}
	child->pid = fork();
	if (child->pid == 0)
		become_serving(keeper, binary, upgrades, ends[1]);
	close(ends[1]);
	if (child->pid < 0) {
		snprintf(why, INHERIT_WHY_MAX, "no process for it: %.64s", strerror(errno));
		close(ends[0]);
		return NULL;
	}
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	child->channel = ends[0];
	child->state = CHILD_STARTING;
	child->upgrades = upgrades;
	return child;
}

// ---- Becoming another binary --------------------------------------------------------------------

void keeper_become(struct keeper *keeper, const char *binary)
{
	int text = begin_text();

	if (text < 0)
		return;
	add_common(keeper, text);
	dprintf(text, "binary %s\n", binary);
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++) {
		const struct keeper_child *child = &keeper->children[i];

		if (child->state == CHILD_NONE)
			continue;
		dprintf(text, "child %d %d %s\n", (int)child->pid, child->channel,
			state_words[child->state]);
		if (child->channel >= 0)
			survive_exec(child->channel, true);
	}
	keep_common(keeper, true);
	name_text(KEEPER_VARIABLE, text);
	execv(binary, keeper->argv);
	fprintf(stderr, "weir: the keeper stays what it was: %s: %s\n", binary, strerror(errno));
	(void)unsetenv(KEEPER_VARIABLE);
	keep_common(keeper, false);
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
		if (keeper->children[i].channel >= 0)
			survive_exec(keeper->children[i].channel, false);
	close(text);
}

static bool take_number(struct str *line, u64 *ret_number)
{
	return str_to_u64(str_cut(line, ' '), INT32_MAX, ret_number) == 0;
}

static void take_child(struct keeper *keeper, struct str line)
{
	struct keeper_child *child = keeper_new_child(keeper);
	struct str pid = str_cut(&line, ' '), channel = str_cut(&line, ' ');
	u64 number;

	if (!child || str_to_u64(pid, INT32_MAX, &number) != 0)
		return;
	child->pid = (pid_t)number;
	if (str_to_u64(channel, INT32_MAX, &number) == 0) {
		child->channel = (int)number;
		survive_exec(child->channel, false);
	}
	child->state = CHILD_LEAVING;
	for (u32 i = CHILD_STARTING; i <= CHILD_LEAVING; i++)
		if (str_eq(line, str_from(state_words[i])))
			child->state = (u8)i;
}

static void take_left(struct keeper *keeper, struct str word, struct str line)
{
	u64 number;

	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		if (str_eq(word, str_from(inherit_left_word((enum inherit_left)i))) &&
			take_number(&line, &number)) {
			keeper->left[i] = (int)number;
			survive_exec(keeper->left[i], false);
		}
}

static void take_line(struct keeper *keeper, struct str line)
{
	struct str word = str_cut(&line, ' ');
	char name[INHERIT_NAME_MAX];
	u64 number;

	if (str_eq(word, STR("listener")) && take_number(&line, &number)) {
		snprintf(name, sizeof(name), "%.*s", STR_FMT(line));
		survive_exec((int)number, false);
		keeper_hold(keeper, name, (int)number, false);
	} else if (str_eq(word, STR("restarts")) && take_number(&line, &number)) {
		keeper->restarts = (u32)number;
		snprintf(keeper->why, sizeof(keeper->why), "%.*s", STR_FMT(line));
	} else if (str_eq(word, STR("upgraded"))) {
		if (take_number(&line, &number))
			keeper->upgraded = (u32)number;
		if (take_number(&line, &number))
			keeper->upgrades_failed = (u32)number;
	} else if (str_eq(word, STR("binary"))) {
		snprintf(keeper->binary, sizeof(keeper->binary), "%.*s", STR_FMT(line));
	} else if (str_eq(word, STR("child"))) {
		take_child(keeper, line);
	} else {
		take_left(keeper, word, line);
	}
}

// The text is mapped, not read: a keeper has no memory to speak of.
bool keeper_take_up(struct keeper *keeper)
{
	const char *variable = getenv(KEEPER_VARIABLE);
	struct str text;
	u64 fd;
	off_t end;
	void *mapped;

	if (!variable || str_to_u64(str_from(variable), INT32_MAX, &fd) != 0)
		return false;
	(void)unsetenv(KEEPER_VARIABLE);
	end = lseek((int)fd, 0, SEEK_END);
	if (end <= 0)
		return false;
	mapped = mmap(NULL, (size_t)end, PROT_READ, MAP_PRIVATE, (int)fd, 0);
	if (mapped == MAP_FAILED)
		return false;
	text = str_make(mapped, (size_t)end);
	while (text.len)
		take_line(keeper, str_cut(&text, '\n'));
	(void)munmap(mapped, (size_t)end);
	close((int)fd);
	return true;
}
