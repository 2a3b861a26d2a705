// SPDX-License-Identifier: Apache-2.0
// Gives every macro of schema.def an empty meaning where the includer gave none, so that each
// inclusion defines only the rows it wants. schema_end.h takes all of them away again. No guard: it
// is included several times.
#ifndef MAP
#define MAP(id, path, prose)
#endif
#ifndef NESTED
#define NESTED(map, key, id, prose)
#endif
#ifndef FLAG
#define FLAG(map, key, owner, field, preset, prose)
#endif
#ifndef COUNT
#define COUNT(map, key, owner, field, preset, min, max, word, prose)
#endif
#ifndef DURATION
#define DURATION(map, key, owner, field, preset, min, max, prose)
#endif
#ifndef DURATION_OR
#define DURATION_OR(map, key, owner, field, preset, min, max, word, prose)
#endif
#ifndef PERCENT
#define PERCENT(map, key, owner, field, preset, min, max, word, prose)
#endif
#ifndef DECIMAL
#define DECIMAL(map, key, owner, field, preset, min, max, prose)
#endif
#ifndef SIZE
#define SIZE(map, key, owner, field, preset, min, max, word, prose)
#endif
#ifndef WORDS
#define WORDS(map, key, owner, field, preset, set, prose)
#endif
#ifndef OTHER
#define OTHER(map, key, kind, preset, prose)
#endif
#ifndef OTHER_AT
#define OTHER_AT(map, key, kind, owner, field, preset, prose)
#endif
#ifndef NEEDED
#define NEEDED(map, key, kind, prose)
#endif
#ifndef SECRET
#define SECRET(map, key, owner, field, prose)
#endif
#ifndef SECRET_URL
#define SECRET_URL(map, key, owner, field, prose)
#endif
#ifndef BRANCH
#define BRANCH(map, key, kind, id, prose)
#endif
#ifndef BRANCH_OR
#define BRANCH_OR(map, key, kind, id, preset, prose)
#endif
#ifndef ALIAS
#define ALIAS(map, spelling, key)
#endif
#ifndef ALIAS_IN
#define ALIAS_IN(map, spelling, path, unit)
#endif
#ifndef LATER
#define LATER(map, key, milestone)
#endif
#ifndef WORD
#define WORD(set, word, value)
#endif
#ifndef WORD_ALIAS
#define WORD_ALIAS(set, spelling, word)
#endif
#ifndef WORD_LATER
#define WORD_LATER(set, word, milestone)
#endif
