// SPDX-License-Identifier: Apache-2.0
// Texts that a serving process leaves to whoever follows it. The keeper holds descriptors and looks
// into none.
#include <unistd.h>

#include "control/keeper_inside.h"

void keeper_child_init(struct keeper_child *child)
{
	*child = (struct keeper_child){.channel = -1};
	keeper_left_init(child->left);
}

void keeper_left_init(int left[static INHERIT_LEFT_COUNT])
{
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		left[i] = -1;
}

void keeper_leave(int *left, int fd)
{
	if (*left >= 0)
		close(*left);
	*left = fd;
}

bool keeper_is_left(char kind, enum inherit_left *ret_left)
{
	static const char letters[] = {
#define X(name, word, letter) [INHERIT_##name] = letter,
		INHERIT_LEFT(X)
#undef X
	};

	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		if (letters[i] == kind) {
			*ret_left = (enum inherit_left)i;
			return true;
		}
	return false;
}

void keeper_left_move(struct keeper *keeper, struct keeper_child *child)
{
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		if (child->left[i] >= 0) {
			keeper_leave(&keeper->left[i], child->left[i]);
			child->left[i] = -1;
		}
}
