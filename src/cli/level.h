// SPDX-License-Identifier: Apache-2.0
// How bad something is: a sign, a word and a colour for it, so that colour never stands alone.
#pragma once

#include "base/str.h"

// X(ENUM, "word", "sign", style of cells.h)
#define LEVELS(X)                                                                                 \
	X(GOOD, "OK", "●", CELLS_GREEN)                                                           \
	X(NOTE, "NOTE", "·", CELLS_CYAN)  /* nothing is wrong, and it is not yet as it will be */ \
	X(MEANT, "NOTE", "○", CELLS_CYAN) /* as somebody wanted it */                             \
	X(WARN, "WARN", "▲", CELLS_YELLOW)                                                        \
	X(BAD, "BAD", "✖", CELLS_RED)

enum level {
#define X(name, word, sign, style) LEVEL_##name,
	LEVELS(X)
#undef X
};

const char *level_word(enum level level);
const char *level_sign(enum level level);
u32 level_style(enum level level);

// Of verdict.level, of a backend's state and of a pool's state, by their words in the admin API.
enum level level_of_verdict(const char *word);
enum level level_of_backend(const char *state);
enum level level_of_pool(const char *state);
