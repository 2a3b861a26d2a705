// SPDX-License-Identifier: Apache-2.0
// Texts that another process, or another version of this program, reads again: a first line that
// says what it is and of which version, a checksum, and behind it rows of values. A value may hold
// any bytes but NUL.
#pragma once

#include "base/text.h"

enum { SEALED_WHY_MAX = 128 };

// "weir NAME VERSION\n", the checksum of `body`, and `body`.
void sealed_format(struct text *text, const char *name, u32 version, struct str body);

// What is behind the checksum, a part of `text`. False: `why` says for people what is wrong, of a
// thing that the caller names.
bool sealed_open(struct str text, const char *name, u32 version, struct str *ret_body,
	char why[static SEALED_WHY_MAX]) must_check;

// A row is values and its end.
void sealed_add(struct text *text, struct str value);
void sealed_add_i64(struct text *text, i64 value);
void sealed_end(struct text *text); // behind one value at least

// The next value of a row, copied; empty: there are no more, or it is empty.
struct str sealed_cut(struct str *row, struct arena *arena);

// 0, or -EINVAL where the next value is no number from 0 to `max`.
int sealed_cut_u64(struct str *row, u64 max, u64 *ret_value) must_check;
