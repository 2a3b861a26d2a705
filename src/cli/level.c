// SPDX-License-Identifier: Apache-2.0
#include "cli/level.h"

#include "cli/cells.h"

struct level_info {
	const char *word, *sign;
	u32 style;
};

static const struct level_info levels[] = {
#define X(name, word, sign, style) {word, sign, style},
	LEVELS(X)
#undef X
};

struct word_level {
	const char *word;
	enum level level;
};

static const struct word_level backend_states[] = {
	{"up", LEVEL_GOOD},
	{"backup", LEVEL_GOOD},
	{"unchecked", LEVEL_NOTE},
	{"removed", LEVEL_MEANT},
	{"disabled", LEVEL_MEANT},
	{"draining", LEVEL_MEANT},
	{"half_open", LEVEL_WARN},
	{"panic", LEVEL_WARN},
	{"unresolved", LEVEL_BAD},
	{"down", LEVEL_BAD},
	{"refuses", LEVEL_BAD},
	{"ejected", LEVEL_BAD},
	{"open", LEVEL_BAD},
};

static const struct word_level pool_states[] = {
	{"ok", LEVEL_GOOD},
	{"degraded", LEVEL_WARN},
	{"panic", LEVEL_BAD},
	{"lost", LEVEL_BAD},
};

static const struct word_level verdicts[] = {
	{"ok", LEVEL_GOOD},
	{"warn", LEVEL_WARN},
	{"bad", LEVEL_BAD},
};

const char *level_word(enum level level)
{
	return levels[level].word;
}

const char *level_sign(enum level level)
{
	return levels[level].sign;
}

u32 level_style(enum level level)
{
	return levels[level].style;
}

// A word of a later version is worth a look.
static enum level find(const char *word, const struct word_level *all, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (strcmp(all[i].word, word) == 0)
			return all[i].level;
	return LEVEL_WARN;
}

enum level level_of_verdict(const char *word)
{
	return find(word, verdicts, ARRAY_LEN(verdicts));
}

enum level level_of_backend(const char *state)
{
	return find(state, backend_states, ARRAY_LEN(backend_states));
}

enum level level_of_pool(const char *state)
{
	return find(state, pool_states, ARRAY_LEN(pool_states));
}
