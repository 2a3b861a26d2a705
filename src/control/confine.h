// SPDX-License-Identifier: Apache-2.0
// What a serving process gives up before it hears anybody: other users' rights, system calls that
// it does not make (seccomp), and files that are none of its business (Landlock). For a process
// with one thread, which passes it on to all that follow; nothing of it can be taken back.
#pragma once

#include "base/log.h"
#include "conf/conf.h"

enum { CONFINE_WHY_MAX = 160 };

struct confined {
	bool calls, files;		   // what is active
	u32 files_version;		   // of Landlock
	char user[64];			   // that it became; empty: it did not change
	const char *calls_why, *files_why; // why not; static, NULL where it is active
	char room[2][80];
};

// 0, or negative errno with a text in `why`: only what the configuration insists on fails, which is
// the user. `state_folder` may be NULL.
int confine(const struct conf *conf, const char *state_folder, struct confined *ret_confined,
	char why[static CONFINE_WHY_MAX]) must_check;

// One line about it.
void confine_say(const struct confined *confined, struct log *log);

// Could it be used here and now? NULL: yes; else the reason, static or in `room`.
const char *confine_calls_missing(void);
const char *confine_files_missing(char room[static 80], u32 *ret_version);
