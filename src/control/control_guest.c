// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "control/control_inside.h"

int control_open_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;

	if (!guest)
		return 0;
	control->guest_is_open = true;
	return guest->open(guest->owner, control->conf, control->log, control->handover);
}

int control_start_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;
	struct control_face face = {.loop = control->loop,
		.desk = control->desk,
		.conf = control->conf,
		.snapshot = reload_snapshot(control->reload),
		.workers = &control->workers,
		.logger = control->logger,
		.mode = control->options->mode,
		.io = loop_kind_name(control->workers.all[0].loop),
		.descriptors_max = control->fd_limit,
		.connections_max = control->max_connections,
		.started_wall_ms = control->started_wall_ms,
		.spans = control->spans,
		.seed = control->seed,
		.keeper_pid = control->handover->keeper,
		.handover = control->handover,
		.draining = &control->draining,
		.reload = control->reload};
	struct reload_follower follower = {.owner = guest ? guest->owner : NULL,
		.adopt = guest ? guest->adopt : NULL,
		.leave = guest ? guest->leave : NULL};
	int error;

	if (!guest)
		return 0;
	error = guest->start(guest->owner, &face);
	if (error)
		fprintf(stderr, "weir: the admin thread cannot start: %s.\n", strerror(-error));
	control->guest_runs = !error;
	if (!error)
		reload_follow(control->reload, &follower);
	return error;
}

static void on_guest_ended(struct message *message)
{
	struct control *control = container_of(message, struct control, guest_ended);

	reload_follow(control->reload, &(struct reload_follower){0});
	control->guest_runs = false;
}

void control_stop_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;

	if (!control->guest_runs || control->guest_stops)
		return;
	control->guest_stops = true;
	desk_close(control->desk);
	control->guest_ended = (struct message){.deliver = on_guest_ended};
	guest->stop(guest->owner, &control->guest_ended);
}

void control_end_guest(struct control *control)
{
	const struct control_guest *guest = control->options->guest;

	control_stop_guest(control);
	while (control->guest_runs)
		loop_turn(control->loop, UINT64_MAX);
	if (control->guest_is_open)
		guest->done(guest->owner);
	control->guest_is_open = false;
}
