// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "control/control_inside.h"
#include "control/logger.h"

enum {
	stop_margin_ms = 10000, // for what follows the draining
	move_look_ms = 20,
};

// ---- The end ------------------------------------------------------------------------------------

void control_note_life(struct control *control, const char *text, struct str to, struct str reason)
{
	struct event_said said = {.kind = EVENT_LIFE, .text = text, .to = to, .reason = reason};

	changes_say(watch_changes(control->watch), &said);
}

void control_drain(struct control *control)
{
	control->draining = true;
	reload_stop(control->reload);
	for (u32 i = 0; i < control->workers.count; i++)
		worker_drain(&control->workers.all[i]);
	loop_timer_set(control->loop, &control->drain_timer,
		loop_now_ms(control->loop) + control->conf->runtime.shutdown_timeout_ms);
}

// It was done, or nobody is left to do it to: in the turn in which the last worker is joined,
// signals and timers may still come.
static bool is_cut(const struct control *control)
{
	return control->aborting || control->finished;
}

static void abort_all(struct control *control)
{
	control->aborting = true;
	tunnels_refuse(control->tunnels);
	for (u32 i = 0; i < control->workers.count; i++)
		worker_abort(&control->workers.all[i]);
}

static void on_drain_timeout(struct timer *timer)
{
	struct control *control = container_of(timer, struct control, drain_timer);

	if (is_cut(control))
		return;
	if (tunnels_is_moving(control->tunnels) &&
		loop_now_ms(control->loop) < control->move_until_ms) {
		loop_timer_set(control->loop, timer, loop_now_ms(control->loop) + move_look_ms);
		return;
	}
	LOG(control->log, LOG_WARN, "shutdown_timeout passed, open connections are cut");
	control_note_life(
		control, "weir cuts what still runs", STR("stopping"), STR("shutdown_timeout"));
	abort_all(control);
}

void control_end_init(struct control *control)
{
	control->signals.fd = -1;
	timer_init(&control->drain_timer, on_drain_timeout);
}

// The manager may wait less than the draining takes (TimeoutStopSec); it waits longer when asked.
static void tell_stopping(struct control *control)
{
	u64 ms = control->conf->runtime.shutdown_timeout_ms + stop_margin_ms;
	char state[64];

	snprintf(state, sizeof(state), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%llu",
		(unsigned long long)ms * 1000);
	handover_notify(control->handover, state, "takes nothing new, what runs may finish");
}

// ---- Signals ------------------------------------------------------------------------------------

static void on_term(struct control *control, const char *name)
{
	tell_stopping(control);
	if (!control->draining) {
		LOG(control->log, LOG_NOTICE, "signal: draining, again to stop at once",
			LOG_CSTR("signal", name),
			LOG_U64("shutdown_timeout_ms", control->conf->runtime.shutdown_timeout_ms));
		control_note_life(control, "weir takes nothing new, what runs may finish",
			STR("draining"), str_from(name));
		tunnels_refuse(control->tunnels);
		control_drain(control);
	} else if (!is_cut(control)) {
		LOG(control->log, LOG_NOTICE, "second signal: stopping at once",
			LOG_CSTR("signal", name));
		control_note_life(control, "weir stops at once", STR("stopping"), str_from(name));
		abort_all(control);
	}
}

void control_on_signal(struct control *control, u32 number)
{
	switch (number) {
	case SIGTERM:
		on_term(control, "TERM");
		break;
	case SIGINT:
		on_term(control, "INT");
		break;
	case SIGQUIT:
		on_term(control, "QUIT");
		break;
	case SIGUSR1:
		LOG(control->log, LOG_NOTICE, "signal: reopening logs", LOG_CSTR("signal", "USR1"));
		control_note_life(control, "logs are opened again", STR_EMPTY, STR("USR1"));
		logger_reopen(control->logger);
		break;
	case SIGHUP:
		LOG(control->log, LOG_NOTICE, "signal: reloading", LOG_CSTR("signal", "HUP"));
		reload_now(control->reload, "HUP");
		break;
	case SIGUSR2:
		LOG(control->log, LOG_WARN, "signal: an upgrade needs a keeper, nothing changes",
			LOG_CSTR("signal", "USR2"),
			LOG_CSTR("cure", "set runtime.keeper: true and restart"));
		break;
	}
}

// With a keeper signals come through it. Those that go to the whole group, as a terminal's do, have
// reached it too.
static void on_own_signal(struct control *control, const struct signalfd_siginfo *info)
{
	if (!control->handover->keeper)
		control_on_signal(control, info->ssi_signo);
	else if (info->ssi_code != SI_KERNEL)
		LOG(control->log, LOG_NOTICE, "signals go to the keeper, this one changes nothing",
			LOG_U64("number", info->ssi_signo), LOG_U64("from", info->ssi_pid),
			LOG_U64("keeper", (u64)control->handover->keeper));
}

static void on_signal_ready(struct op *op)
{
	struct control *control = container_of(op, struct control, signal_op);
	struct signalfd_siginfo info;

	while (read(control->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		on_own_signal(control, &info);
	if (!control->finished)
		loop_ready(control->loop, &control->signals, op, LOOP_IN);
}

int control_hear_signals(struct control *control)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (u32 i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	sock_open(control->loop, &control->signals, fd);
	op_init(&control->signal_op, on_signal_ready);
	return 0;
}

void control_follow_signals(struct control *control)
{
	loop_ready(control->loop, &control->signals, &control->signal_op, LOOP_IN);
}

void control_stop_hearing(struct control *control)
{
	if (control->signals.fd < 0)
		return;
	loop_cancel(control->loop, &control->signal_op);
	while (op_is_out(&control->signal_op))
		loop_turn(control->loop, UINT64_MAX);
	sock_close(control->loop, &control->signals);
}
