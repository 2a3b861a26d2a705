// SPDX-License-Identifier: Apache-2.0
#include "control/confine.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "control/confine_inside.h"

static const char *reason(char room[static 80], int error)
{
	snprintf(room, 80, "the kernel refuses it: %.48s", strerror(-error));
	return room;
}

static void take_files(const struct conf *conf, const char *state_folder, struct confined *confined)
{
	int error;

	confined->files_why = confine_files_missing(confined->room[0], &confined->files_version);
	if (confined->files_why)
		return;
	error = confine_files(conf, state_folder);
	confined->files = !error;
	if (error)
		confined->files_why = reason(confined->room[0], error);
}

static void take_calls(const struct conf *conf, struct confined *confined)
{
	int error;

	confined->calls_why = confine_calls_missing();
	if (confined->calls_why)
		return;
	error = confine_calls(conf->runtime.confine == CONF_CONFINE_STRICT);
	confined->calls = !error;
	if (error)
		confined->calls_why = reason(confined->room[1], error);
}

int confine(const struct conf *conf, const char *state_folder, struct confined *ret_confined,
	char why[static CONFINE_WHY_MAX])
{
	int error = 0;

	*ret_confined = (struct confined){
		.calls_why = "runtime.confine is none", .files_why = "runtime.confine is none"};
	if (conf->runtime.user.len)
		error = confine_user(conf->runtime.user, ret_confined->user, why);
	if (error || conf->runtime.confine == CONF_CONFINE_NONE)
		return error;
	// Without it neither of the two is for processes without rights.
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	take_files(conf, state_folder, ret_confined);
	take_calls(conf, ret_confined);
	return 0;
}

void confine_say(const struct confined *confined, struct log *log)
{
	LOG(log, LOG_INFO, "confined",
		LOG_CSTR("calls", confined->calls ? "seccomp" : confined->calls_why),
		LOG_CSTR("files", confined->files ? "landlock" : confined->files_why),
		LOG_CSTR("user", confined->user[0] ? confined->user : "unchanged"));
}
