// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/text.h"
#include "control/control_inside.h"
#include "control/reload_parts.h"
#include "net/listen.h"

enum { bind_slots = 1024 };

static int report_bind(const struct conf_bind *bind, int error)
{
	char command[64] = "";

	if (error == -EADDRINUSE && bind->addr.port)
		snprintf(command, sizeof(command), " Who has it: ss -tanp 'sport = :%u'.",
			bind->addr.port);
	fprintf(stderr, "weir: unable to bind on %.*s: %s.%s%s\n", STR_FMT(bind->text),
		strerror(-error), command,
		error == -EACCES ? " Ports below 1024 need CAP_NET_BIND_SERVICE." : "");
	return error;
}

// One address for all workers. The first open is without SO_REUSEPORT: it fails when any other
// process has the port, which the shared ones would not notice.
static int open_bind(struct control *control, const struct conf_bind *bind, u32 listener)
{
	bool shared = bind->addr.family != ADDR_UNIX && control->workers.count > 1;
	u32 count = shared ? control->workers.count : 1;
	int fd;

	if (shared && !handover_knows(control->handover, INHERIT_TRAFFIC, &bind->addr)) {
		fd = listen_open(&bind->addr, false);
		if (fd < 0)
			return report_bind(bind, fd);
		close(fd);
	}
	for (u32 i = 0; i < count; i++) {
		fd = handover_listen(control->handover, INHERIT_TRAFFIC, &bind->addr, i, shared);
		if (fd < 0 && fd != -ENOENT)
			return report_bind(bind, fd);
		control->workers.all[i].listeners[listener].fd = MAX(fd, -1);
	}
	return 0;
}

u32 control_count_binds(const struct conf *conf)
{
	u32 binds = 0;

	for (u32 i = 0; i < conf->frontend_count; i++)
		binds += conf->frontends[i].bind_count;
	return binds;
}

u32 control_binds_max(const struct conf *conf)
{
	return MAX(2 * control_count_binds(conf), (u32)bind_slots);
}

int control_open_listeners(struct control *control)
{
	struct reload_binds *binds = reload_binds(control->reload);
	u32 at = 0;

	for (u32 f = 0; f < control->snapshot->frontend_count; f++) {
		const struct frontend *frontend = control->snapshot->frontends[f];

		for (u32 b = 0; b < frontend->conf->bind_count; b++, at++) {
			const struct conf_bind *bind = &frontend->conf->binds[b];
			int error;

			for (u32 w = 0; w < control->workers.count; w++)
				control->workers.all[w].listeners[at] = (struct listener){
					.frontend = frontend, .bind = bind, .fd = -1};
			error = open_bind(control, bind, at);
			if (error)
				return error;
			binds->slots[binds->count++] =
				(struct bind_slot){.is_used = true, .addr = bind->addr};
		}
	}
	return 0;
}

int control_settle_listeners(struct control *control)
{
	const char *stray = NULL;
	int error = handover_settle(control->handover, &stray);
	struct text binds = {0};

	if (!error)
		return 0;
	for (u32 f = 0; f < control->conf->frontend_count; f++)
		for (u32 b = 0; b < control->conf->frontends[f].bind_count; b++)
			text_printf(&binds, "%s%.*s", binds.len ? ", " : "",
				STR_FMT(control->conf->frontends[f].binds[b].text));
	fprintf(stderr,
		"weir: the service manager gave a socket for %s, and the configuration binds %.*s. "
		"Make ListenStream= and bind the same, or disable the socket unit.\n",
		stray, (int)binds.len, binds.len ? binds.data : "");
	text_done(&binds);
	return error;
}

void control_say_listening(struct control *control)
{
	for (u32 f = 0; f < control->snapshot->frontend_count; f++) {
		const struct frontend *frontend = control->snapshot->frontends[f];

		for (u32 b = 0; b < frontend->conf->bind_count; b++)
			LOG(control->log, LOG_INFO, "listening for connections",
				LOG_SPAN("frontend"),
				LOG_ADDR("local_address", &frontend->conf->binds[b].addr));
	}
}

void control_unlink_listeners(struct control *control)
{
	const struct reload_binds *binds = reload_binds(control->reload);

	for (u32 i = 0; i < binds->count && !control->handover->left; i++)
		if (binds->slots[i].is_used)
			listen_unlink(&binds->slots[i].addr);
}
