// SPDX-License-Identifier: Apache-2.0
#include "control/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/handover.h"
#include "control/keeper_inside.h"
#include "control/notify.h"

enum {
	trial_ms = 1000,	 // of a new binary beside the one that serves
	upgrade_wait_ms = 60000, // until a new binary is ready
	calm_ms = 10000,	 // without a crash
	again_first_ms = 250,	 // before the second start in a row; then twice as long each time
	again_max_ms = 30000,
	exit_by_signal = 128,
};

static const int heard_signals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};

// ---- Small things -------------------------------------------------------------------------------

static void set_timer(struct keeper *keeper, enum keeper_timer timer, u32 in_ms)
{
	struct itimerspec when = {
		.it_value = {.tv_sec = in_ms / 1000, .tv_nsec = (long)(in_ms % 1000) * 1000000}};

	(void)timerfd_settime(keeper->timers[timer], 0, &when, NULL);
}

static void tell_with(
	struct keeper_child *child, enum handover_message kind, const char *text, int fd)
{
	if (child && child->channel >= 0)
		(void)channel_send(child->channel, (char)kind, text, strlen(text), fd);
}

static void tell(struct keeper_child *child, enum handover_message kind, const char *text)
{
	tell_with(child, kind, text, -1);
}

// Not by a signal: where the sender has told the whole group, the kernel would make one of the two,
// and nobody could say whose.
static void forward(struct keeper_child *child, int number)
{
	char text[8];

	snprintf(text, sizeof(text), "%d", number);
	tell(child, HANDOVER_SIGNAL, text);
}

static struct keeper_child *newcomer(struct keeper *keeper)
{
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++) {
		struct keeper_child *child = &keeper->children[i];

		if (child->upgrades &&
			(child->state == CHILD_STARTING || child->state == CHILD_TRIAL))
			return child;
	}
	return NULL;
}

static bool has_children(const struct keeper *keeper)
{
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
		if (keeper->children[i].state != CHILD_NONE)
			return true;
	return false;
}

static void say_end(char why[INHERIT_WHY_MAX], int status)
{
	if (WIFSIGNALED(status))
		snprintf(why, INHERIT_WHY_MAX, "killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		snprintf(why, INHERIT_WHY_MAX, "ended with code %d", WEXITSTATUS(status));
}

// ---- Upgrades -----------------------------------------------------------------------------------

static void tell_failed(struct keeper *keeper, const char *why)
{
	struct keeper_child *serving = keeper_find(keeper, CHILD_SERVING);

	keeper->upgrades_failed++;
	if (serving)
		tell(serving, HANDOVER_FAILED, why);
	else
		fprintf(stderr, "weir: the upgrade failed: %s\n", why);
}

static void fail_upgrade(struct keeper *keeper, const char *why)
{
	set_timer(keeper, TIMER_TRIAL, 0);
	keeper_decide(keeper, false);
	tell_failed(keeper, why);
}

static void begin_upgrade(struct keeper *keeper, const char *path)
{
	struct keeper_child *serving = keeper_find(keeper, CHILD_SERVING);
	char why[INHERIT_WHY_MAX];

	if (keeper->stopping)
		return;
	if (!serving) {
		keeper->upgrade_waits = true;
		return;
	}
	if (newcomer(keeper)) {
		tell_failed(keeper, "another upgrade is on its way");
		return;
	}
	snprintf(keeper->next_binary, sizeof(keeper->next_binary), "%s",
		path[0] ? path : keeper->binary);
	if (!keeper_spawn(keeper, keeper->next_binary, true, why)) {
		tell_failed(keeper, why);
		return;
	}
	tell(serving, HANDOVER_BEGUN, keeper->next_binary);
	set_timer(keeper, TIMER_TRIAL, upgrade_wait_ms);
}

// One is told to leave and the other to begin, with a channel between them, if there can be one:
// tunnels go over by it (control/tunnels.h).
static void introduce(struct keeper_child *before, struct keeper_child *child)
{
	int ends[2] = {-1, -1};

	if (before && channel_pair(ends) != 0)
		ends[0] = ends[1] = -1;
	tell_with(before, HANDOVER_LEAVE, "", ends[0]);
	tell_with(child, HANDOVER_BEGIN, "", ends[1]);
	for (u32 i = 0; i < ARRAY_LEN(ends); i++)
		if (ends[i] >= 0)
			close(ends[i]);
}

// What was asked for while nobody served.
static void catch_up(struct keeper *keeper, struct keeper_child *serving)
{
	if (keeper->reload_waits)
		forward(serving, SIGHUP);
	keeper->reload_waits = false;
	if (keeper->upgrade_waits && !keeper->becomes)
		begin_upgrade(keeper, "");
	keeper->upgrade_waits = false;
}

static void become_later(struct keeper *keeper, struct keeper_child *child)
{
	child->upgrades = false;
	keeper->upgraded++;
	set_timer(keeper, TIMER_TRIAL, 0);
	memcpy(keeper->binary, keeper->next_binary, sizeof(keeper->binary));
	keeper->becomes = true;
}

// What was ordered while a process began beside the one that served: it has to know before it
// serves alone.
static void tell_orders(const struct keeper *keeper, struct keeper_child *child)
{
	if (keeper->left[INHERIT_ORDERS] >= 0)
		tell_with(child, HANDOVER_ORDERED, "", keeper->left[INHERIT_ORDERS]);
}

// From now on it is the one that serves.
static void promote(struct keeper *keeper, struct keeper_child *child)
{
	struct keeper_child *before = keeper_find(keeper, CHILD_SERVING);

	keeper_decide(keeper, true);
	if (child->upgrades)
		tell_orders(keeper, child);
	if (before)
		before->state = CHILD_LEAVING;
	child->state = CHILD_SERVING;
	keeper_left_move(keeper, child);
	keeper->has_served = true;
	introduce(before, child);
	set_timer(keeper, TIMER_AGAIN, 0);
	set_timer(keeper, TIMER_CALM, calm_ms);
	if (child->upgrades)
		become_later(keeper, child);
	catch_up(keeper, child);
}

static void on_trial_over(struct keeper *keeper)
{
	struct keeper_child *child = newcomer(keeper);

	if (child && child->state == CHILD_TRIAL)
		promote(keeper, child);
	else if (child) {
		snprintf(child->why, sizeof(child->why), "it was not ready within %d s",
			upgrade_wait_ms / 1000);
		(void)kill(child->pid, SIGKILL);
	}
}

static void on_ready(struct keeper *keeper, struct keeper_child *child)
{
	if (child->state != CHILD_STARTING)
		return;
	if (!child->upgrades || !keeper_find(keeper, CHILD_SERVING)) {
		promote(keeper, child);
		return;
	}
	child->state = CHILD_TRIAL;
	set_timer(keeper, TIMER_TRIAL, trial_ms);
}

// ---- Messages -----------------------------------------------------------------------------------

static void pass_on(const struct keeper *keeper, const struct keeper_child *child,
	const struct channel_message *message)
{
	if (child->state != CHILD_LEAVING && !child->upgrades)
		(void)notify_send(keeper->notify_path, message->text, message->len, -1);
}

// What a process that leaves has ordered at the last moment is told to the one that serves.
static void take_left(struct keeper *keeper, struct keeper_child *child, enum inherit_left left,
	struct channel_message *message)
{
	if (message->fd < 0)
		return;
	if (child->state == CHILD_LEAVING) {
		if (left == INHERIT_ORDERS)
			tell_with(keeper_find(keeper, CHILD_SERVING), HANDOVER_ORDERED, "",
				message->fd);
		return;
	}
	keeper_leave(child->upgrades ? &child->left[left] : &keeper->left[left], message->fd);
	message->fd = -1;
}

// A descriptor that comes along belongs to whoever keeps it.
static void take(struct keeper *keeper, struct keeper_child *child, struct channel_message *message)
{
	bool leaves = child->state == CHILD_LEAVING;
	enum inherit_left left;

	if (keeper_is_left(message->kind, &left))
		take_left(keeper, child, left, message);
	switch (message->kind) {
	case HANDOVER_HOLD:
		if (leaves || keeper->stopping || message->fd < 0)
			break;
		keeper_hold(keeper, message->text, message->fd, child->upgrades);
		message->fd = -1;
		break;
	case HANDOVER_FORGET:
		if (!leaves)
			keeper_forget(keeper, message->text, child->upgrades);
		break;
	case HANDOVER_READY:
		on_ready(keeper, child);
		break;
	case HANDOVER_NOTIFY:
		pass_on(keeper, child, message);
		break;
	case HANDOVER_UPGRADE:
		if (child->state == CHILD_SERVING)
			begin_upgrade(keeper, message->text);
		break;
	case HANDOVER_BROKEN:
		snprintf(child->why, sizeof(child->why), "%.*s", (int)sizeof(child->why) - 1,
			message->text);
		break;
	}
	if (message->fd >= 0)
		close(message->fd);
}

static void hear(struct keeper *keeper, struct keeper_child *child)
{
	struct channel_message message;
	int got;

	while (child->channel >= 0 && (got = channel_receive(child->channel, &message)) != -EAGAIN)
		if (got > 0) {
			take(keeper, child, &message);
		} else {
			close(child->channel);
			child->channel = -1;
		}
}

// ---- The end of a serving process ---------------------------------------------------------------

static void start_again(struct keeper *keeper)
{
	char why[INHERIT_WHY_MAX];

	if (keeper->stopping)
		return;
	keeper->restarts++;
	if (keeper_spawn(keeper, keeper->binary, false, why))
		return;
	fprintf(stderr, "weir: the serving process cannot be started again: %s\n", why);
	set_timer(keeper, TIMER_AGAIN, again_max_ms);
}

static u32 pause_ms(u32 crashes)
{
	u32 doublings = MIN(crashes - 2, 16u);

	return MIN((u32)again_first_ms << doublings, (u32)again_max_ms);
}

static void on_crash(struct keeper *keeper, const char *why)
{
	snprintf(keeper->why, sizeof(keeper->why), "%s", why);
	set_timer(keeper, TIMER_CALM, 0);
	if (++keeper->crashes == 1) {
		start_again(keeper);
		return;
	}
	fprintf(stderr,
		"weir: the serving process ended %u times in a row (%s); connections wait, the "
		"next start is in %u ms\n",
		keeper->crashes, why, pause_ms(keeper->crashes));
	set_timer(keeper, TIMER_AGAIN, pause_ms(keeper->crashes));
}

static void on_serving_end(struct keeper *keeper, int status, const char *why)
{
	struct keeper_child *next = newcomer(keeper);
	bool in_order = WIFEXITED(status) && WEXITSTATUS(status) == 0;

	if (keeper->stopping || !keeper->has_served || in_order) {
		keeper->code =
			WIFEXITED(status) ? WEXITSTATUS(status) : exit_by_signal + WTERMSIG(status);
		if (WIFSIGNALED(status))
			fprintf(stderr, "weir: the serving process was %s\n", why);
		keeper->ended = true;
	} else if (next && next->state == CHILD_TRIAL) {
		promote(keeper, next);
	} else if (next) {
		tell_orders(keeper, next); // it follows as soon as it is ready
		keeper_left_move(keeper, next);
		next->upgrades = false;
	} else {
		on_crash(keeper, why);
	}
}

static void on_child_end(struct keeper *keeper, struct keeper_child *child, int status)
{
	struct keeper_child gone;

	hear(keeper, child);
	if (child->channel >= 0)
		close(child->channel);
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		keeper_leave(&child->left[i], -1);
	gone = *child;
	keeper_child_init(child);
	if (!gone.why[0])
		say_end(gone.why, status);
	if (gone.state == CHILD_LEAVING)
		return;
	if (gone.upgrades)
		fail_upgrade(keeper, gone.why);
	else
		on_serving_end(keeper, status, gone.why);
}

static void reap(struct keeper *keeper)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
			if (keeper->children[i].state != CHILD_NONE &&
				keeper->children[i].pid == pid)
				on_child_end(keeper, &keeper->children[i], status);
}

// ---- Signals ------------------------------------------------------------------------------------

// One that starts reads it when it serves. Where nobody is there, it waits for who comes.
static void on_hup(struct keeper *keeper)
{
	bool is_heard = false;

	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++) {
		struct keeper_child *child = &keeper->children[i];

		if (child->state == CHILD_NONE || child->state == CHILD_LEAVING)
			continue;
		forward(child, SIGHUP);
		is_heard = true;
	}
	keeper->reload_waits = !is_heard;
}

// Copies of the listeners go first: a connection that comes now is refused as if there were no
// keeper.
static void on_stop(struct keeper *keeper, int number)
{
	bool again = keeper->stopping;

	keeper->stopping = true;
	set_timer(keeper, TIMER_TRIAL, 0);
	keeper_let_go(keeper);
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++) {
		struct keeper_child *child = &keeper->children[i];

		if (child->state != CHILD_NONE && (again || child->state != CHILD_LEAVING))
			forward(child, number);
	}
}

static void on_signal(struct keeper *keeper, int number)
{
	switch (number) {
	case SIGCHLD:
		reap(keeper);
		break;
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		on_stop(keeper, number);
		break;
	case SIGHUP:
		on_hup(keeper);
		break;
	case SIGUSR1:
		for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
			if (keeper->children[i].state != CHILD_NONE)
				forward(&keeper->children[i], number);
		break;
	case SIGUSR2:
		begin_upgrade(keeper, "");
		break;
	}
}

static void hear_signals(struct keeper *keeper)
{
	struct signalfd_siginfo info;

	while (read(keeper->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		on_signal(keeper, (int)info.ssi_signo);
}

// ---- Life ---------------------------------------------------------------------------------------

static void on_timer(struct keeper *keeper, enum keeper_timer timer)
{
	u64 times;

	if (read(keeper->timers[timer], &times, sizeof(times)) != (ssize_t)sizeof(times))
		return;
	if (timer == TIMER_AGAIN)
		start_again(keeper);
	else if (timer == TIMER_TRIAL)
		on_trial_over(keeper);
	else
		keeper->crashes = 0;
}

static void turn(struct keeper *keeper)
{
	struct pollfd all[1 + KEEPER_TIMERS + KEEPER_CHILDREN_MAX];
	u32 first = 1 + KEEPER_TIMERS;

	all[0] = (struct pollfd){.fd = keeper->signals, .events = POLLIN};
	for (u32 i = 0; i < KEEPER_TIMERS; i++)
		all[1 + i] = (struct pollfd){.fd = keeper->timers[i], .events = POLLIN};
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
		all[first + i] = (struct pollfd){.fd = keeper->children[i].state == CHILD_NONE
							       ? -1
							       : keeper->children[i].channel,
			.events = POLLIN};
	if (poll(all, ARRAY_LEN(all), -1) <= 0)
		return;
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
		if (all[first + i].revents)
			hear(keeper, &keeper->children[i]);
	for (u32 i = 0; i < KEEPER_TIMERS; i++)
		if (all[1 + i].revents)
			on_timer(keeper, (enum keeper_timer)i);
	if (all[0].revents)
		hear_signals(keeper);
}

static void become_now(struct keeper *keeper)
{
	if (keeper->becomes && !keeper->stopping)
		keeper_become(keeper, keeper->binary);
	keeper->becomes = false;
}

static int keep(struct keeper *keeper)
{
	(void)prctl(PR_SET_NAME, "weir-keeper");
	reap(keeper); // of an earlier life
	while (!((keeper->stopping || keeper->ended) && !has_children(keeper))) {
		turn(keeper);
		if (!newcomer(keeper) || keeper->stopping) // else its trial is to be judged first
			become_now(keeper);
		if (keeper->ended && !keeper->stopping)
			on_stop(keeper, SIGTERM);
	}
	return keeper->code;
}

// How it was named, so that what stands there later is what USR2 starts; a bare name was found by
// the shell, and is known to the kernel.
static int name_binary(struct keeper *keeper)
{
	const char *name = keeper->argv[0];
	char *path = keeper->binary;
	ssize_t len;

	if (name[0] == '/') {
		snprintf(path, PATH_MAX, "%s", name);
		return 0;
	}
	if (strchr(name, '/')) {
		if (!getcwd(path, PATH_MAX / 2))
			return -errno;
		len = (ssize_t)strlen(path);
		snprintf(path + len, (size_t)(PATH_MAX - len), "/%s", name);
		return 0;
	}
	len = readlink("/proc/self/exe", path, PATH_MAX - 1);
	if (len < 0)
		return -errno;
	path[len] = '\0';
	return 0;
}

static int set_up(struct keeper *keeper, const struct keeper_options *options)
{
	sigset_t set;

	*keeper = (struct keeper){.argv = options->argv,
		.notify_path = getenv("NOTIFY_SOCKET"),
		.sockets = mem_alloc(sizeof(struct keeper_socket) * INHERIT_SOCKETS_MAX)};
	for (u32 i = 0; i < KEEPER_CHILDREN_MAX; i++)
		keeper_child_init(&keeper->children[i]);
	keeper_left_init(keeper->left);
	sigemptyset(&set);
	for (u32 i = 0; i < ARRAY_LEN(heard_signals); i++)
		sigaddset(&set, heard_signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	keeper->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (keeper->signals < 0)
		return -errno;
	for (u32 i = 0; i < KEEPER_TIMERS; i++) {
		keeper->timers[i] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
		if (keeper->timers[i] < 0)
			return -errno;
	}
	return name_binary(keeper);
}

static void close_own(const struct keeper *keeper)
{
	close(keeper->signals);
	for (u32 i = 0; i < KEEPER_TIMERS; i++)
		close(keeper->timers[i]);
}

static int complain(const char *what, int error)
{
	fprintf(stderr,
		"weir: cannot start its keeper: %s: %s. runtime.keeper: false does without.\n",
		what, strerror(-error));
	return error;
}

// The first serving process is a plain copy: it has loaded the configuration already.
static enum keeper_side split(struct keeper *keeper, struct inherit *inherit)
{
	struct keeper_child *child = keeper_new_child(keeper);
	int ends[2], error = channel_pair(ends);

	if (error) {
		complain("no channel", error);
		return KEEPER_FAILED;
	}
	child->pid = fork();
	if (child->pid < 0) {
		complain("no second process", -errno);
		return KEEPER_FAILED;
	}
	if (child->pid == 0) {
		close(ends[0]);
		close_own(keeper);
		inherit->channel = ends[1];
		return KEEPER_SERVING;
	}
	close(ends[1]);
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	child->channel = ends[0];
	child->state = CHILD_STARTING;
	return KEEPER_OVER;
}

enum keeper_side keeper_start(
	const struct keeper_options *options, struct inherit *inherit, int *ret_code)
{
	struct keeper *keeper = mem_alloc(sizeof(*keeper));
	enum keeper_side side = KEEPER_FAILED;
	int error = set_up(keeper, options);

	if (error)
		complain("no descriptors", error);
	else
		side = split(keeper, inherit);
	if (side == KEEPER_OVER) {
		inherit_done(inherit); // copies come back by the channel
		arena_done(options->arena);
		(void)malloc_trim(0);
		*ret_code = keep(keeper);
	}
	mem_free(keeper->sockets);
	mem_free(keeper);
	return side;
}

bool keeper_resume(const struct keeper_options *options, int *ret_code)
{
	struct keeper *keeper;

	if (!getenv(KEEPER_VARIABLE))
		return false;
	keeper = mem_alloc(sizeof(*keeper));
	if (set_up(keeper, options) == 0 && keeper_take_up(keeper)) {
		keeper->has_served = true;
		set_timer(keeper, TIMER_CALM, calm_ms);
		*ret_code = keep(keeper);
	} else {
		fprintf(stderr, "weir: the new keeper does not understand what the old one left\n");
		*ret_code = 1;
	}
	mem_free(keeper->sockets);
	mem_free(keeper);
	return true;
}
