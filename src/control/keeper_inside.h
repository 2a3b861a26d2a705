// SPDX-License-Identifier: Apache-2.0
// What the files of the keeper share.
#pragma once

#include <linux/limits.h>
#include <sys/types.h>

#include "control/channel.h"
#include "control/keeper.h"

#define KEEPER_VARIABLE "_WEIR_KEEPER"

enum {
	KEEPER_CHILDREN_MAX = 16, // one serves, one begins, the others leave
	KEEPER_TIMERS = 3,
};

enum keeper_timer {
	TIMER_AGAIN, // start another serving process
	TIMER_TRIAL, // the new binary must be ready, or has served long enough
	TIMER_CALM,  // the last crash is forgotten
};

// X(NAME, word)
#define CHILD_STATES(X)         \
	X(NONE, "none")         \
	X(STARTING, "starting") \
	X(TRIAL, "trial")       \
	X(SERVING, "serving")   \
	X(LEAVING, "leaving")

enum child_state {
#define X(name, word) CHILD_##name,
	CHILD_STATES(X)
#undef X
};

struct keeper_child {
	pid_t pid;
	int channel;		      // -1: none any more
	int left[INHERIT_LEFT_COUNT]; // of one that upgrades; -1: none
	u8 state;		      // enum child_state
	bool upgrades;		      // beside one that serves
	char why[INHERIT_WHY_MAX];    // as it said itself why it cannot
};

// What a process that is on trial adds or gives up is decided with its trial.
enum hold_state { HOLD_KEPT, HOLD_ADDED, HOLD_DROPPED };

struct keeper_socket {
	int fd;
	u8 state; // enum hold_state
	char name[INHERIT_NAME_MAX];
};

struct keeper {
	char *const *argv;
	char binary[PATH_MAX];	    // as it was started
	char next_binary[PATH_MAX]; // of the upgrade that runs
	struct keeper_socket *sockets;
	u32 count;
	struct keeper_child children[KEEPER_CHILDREN_MAX];
	int signals, timers[KEEPER_TIMERS];
	int left[INHERIT_LEFT_COUNT]; // by who serves, or served; -1: none yet
	const char *notify_path;
	u32 crashes; // in a row
	u32 restarts, upgraded, upgrades_failed;
	char why[INHERIT_WHY_MAX]; // of the last crash
	bool has_served, stopping, ended, becomes;
	bool upgrade_waits, reload_waits; // for one that serves
	int code;
};

// ---- Sockets, keeper_sockets.c ------------------------------------------------------------------

// Takes over the descriptor.
void keeper_hold(struct keeper *keeper, const char *name, int fd, bool on_trial);
void keeper_forget(struct keeper *keeper, const char *name, bool on_trial);
void keeper_decide(struct keeper *keeper, bool taken); // the trial is over
void keeper_let_go(struct keeper *keeper);	       // of all of them

// ---- What processes leave, keeper_left.c --------------------------------------------------------

void keeper_left_init(int left[static INHERIT_LEFT_COUNT]);
void keeper_child_init(struct keeper_child *child); // of nobody yet

// Takes over the descriptor; -1: forgets what there was.
void keeper_leave(int *left, int fd);

// What a message is about; false: it is about nothing that is left.
bool keeper_is_left(char kind, enum inherit_left *ret_left);

// From one that was on trial: it serves from now on.
void keeper_left_move(struct keeper *keeper, struct keeper_child *child);

// ---- Processes, keeper_spawn.c ------------------------------------------------------------------

struct keeper_child *keeper_find(struct keeper *keeper, enum child_state state);
struct keeper_child *keeper_new_child(struct keeper *keeper);

// A serving process by exec; NULL: the reason stands in `why`.
struct keeper_child *keeper_spawn(
	struct keeper *keeper, const char *binary, bool upgrades, char why[INHERIT_WHY_MAX]);

// Becomes `binary`; comes back only when that cannot be.
void keeper_become(struct keeper *keeper, const char *binary);

// What keeper_become has left, or false.
bool keeper_take_up(struct keeper *keeper);
