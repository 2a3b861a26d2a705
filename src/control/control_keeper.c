// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "control/bequest.h"
#include "control/control_inside.h"

enum { move_wait_ms = 10000 }; // beyond shutdown_timeout, for tunnels that go over

static void tell_serving(struct control *control)
{
	char state[64];

	snprintf(state, sizeof(state), "READY=1\nMAINPID=%lld",
		(long long)(control->handover->keeper ? control->handover->keeper : (i64)getpid()));
	handover_notify(control->handover, state, "serves");
	watchdog_start(&control->watchdog, control->loop, control->handover, &control->workers);
}

// Nobody else answers any more.
static void serve_alone(struct control *control)
{
	if (control_start_guest(control) != 0)
		LOG(control->log, LOG_ERROR,
			"nobody can look at this process: its admin thread "
			"cannot start");
	tell_serving(control);
	LOG(control->log, LOG_NOTICE, "upgraded: this process serves alone now",
		LOG_CSTR("version", WEIR_VERSION));
	control->life.upgrades++;
	control_note_life(
		control, "weir " WEIR_VERSION " has taken over", STR("serving"), STR("upgrade"));
}

static void on_begin(void *owner, int channel)
{
	struct control *control = owner;

	if (control->handover->inherit.upgrades && !control->draining) {
		serve_alone(control);
		// A keeper of another version may not have known how to hold it.
		reload_leave(control->reload, false);
		tickets_leave(&control->tickets);
	}
	if (channel >= 0) // at last, since tunnels are still from now on until they are here
		tunnels_take(control->tunnels, channel);
}

static void on_leave(void *owner, int channel)
{
	struct control *control = owner;

	LOG(control->log, LOG_NOTICE, "upgraded: another process serves, this one drains",
		LOG_U64("shutdown_timeout_ms", control->conf->runtime.shutdown_timeout_ms));
	watchdog_stop(&control->watchdog);
	control_stop_guest(control);
	if (!control->draining)
		control_drain(control);
	control->move_until_ms = loop_now_ms(control->loop) +
				 control->conf->runtime.shutdown_timeout_ms + move_wait_ms;
	if (channel >= 0)
		tunnels_give(control->tunnels, channel);
}

static void on_keepers_signal(void *owner, u32 number)
{
	control_on_signal(owner, number);
}

static void on_upgrade(void *owner, const char *path, const char *failed)
{
	struct control *control = owner;

	reload_set_upgrading(control->reload, path != NULL);
	if (path) {
		LOG(control->log, LOG_NOTICE, "upgrading: another process starts",
			LOG_CSTR("binary", path));
		control_note_life(control, "another weir starts, to take over", STR("upgrading"),
			str_from(path));
		return;
	}
	LOG(control->log, LOG_ERROR, "the upgrade failed, this process goes on serving",
		LOG_CSTR("error", failed));
	control->life.upgrades_failed++;
	snprintf(control->life.upgrade_why, sizeof(control->life.upgrade_why), "%.*s",
		(int)sizeof(control->life.upgrade_why) - 1, failed);
	control_note_life(control, "the upgrade failed, nothing has changed", STR("serving"),
		str_from(failed));
}

static void on_ordered(void *owner, int fd)
{
	struct control *control = owner;
	struct text text = {0};
	int error = estate_read(fd, BEQUEST_BYTES_MAX, &text);

	if (error)
		LOG(control->log, LOG_ERROR, "orders given during the upgrade are lost",
			LOG_ERRNO(error), LOG_CSTR("cure", "give them again"));
	else
		reload_take_late(control->reload, text_str(&text));
	text_done(&text);
}

static void on_orphaned(void *owner)
{
	struct control *control = owner;

	LOG(control->log, LOG_ERROR, "the keeper is gone: draining",
		LOG_CSTR("cure", "start weir again; its listeners are closed already"));
	if (!control->draining)
		control_drain(control);
}

static void hear_keeper(struct control *control)
{
	struct handover_hears hears = {.owner = control,
		.begin = on_begin,
		.leave = on_leave,
		.signal = on_keepers_signal,
		.upgrade = on_upgrade,
		.ordered = on_ordered,
		.orphaned = on_orphaned};

	handover_hear(control->handover, control->loop, &hears);
}

void control_meet_keeper(struct control *control)
{
	control->tunnels = tunnels_new(control->loop, control->log, &control->workers);
	hear_keeper(control);
	reload_leave(control->reload, control->handover->inherit.upgrades);
	tickets_leave(&control->tickets);
	handover_ready(control->handover);
}

void control_tell_ready(struct control *control)
{
	const struct inherit *inherit = &control->handover->inherit;

	if (inherit->restarts && inherit->why[0] && !inherit->upgrades) {
		LOG(control->log, LOG_ERROR, "started again: the process that served is gone",
			LOG_CSTR("end", inherit->why), LOG_U64("restarts", inherit->restarts));
		control_note_life(control, "weir serves again after a crash", STR("serving"),
			str_from(inherit->why));
	}
	if (!inherit->upgrades)
		tell_serving(control);
}

void control_begin_life(struct control *control)
{
	const struct inherit *inherit = &control->handover->inherit;

	control->life = (struct desk_life){.restarts = inherit->restarts,
		.upgrades = inherit->upgraded,
		.upgrades_failed = inherit->upgrades_failed};
	snprintf(control->life.restart_why, sizeof(control->life.restart_why), "%s", inherit->why);
}
