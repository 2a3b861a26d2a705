// SPDX-License-Identifier: Apache-2.0
// The lines of both formats. A family's head (HELP, TYPE, UNIT) is written with its first sample,
// so one without samples leaves nothing. Labels are given as text, ready to stand between braces.
#pragma once

#include "admin/expose.h"

struct expose_lines {
	struct text *text;
	bool openmetrics;
	bool has_head; // of the family that is being written
	const struct metric_family_info *family;
	struct str name;
};

// What follows is of this family.
void expose_family(struct expose_lines *lines, enum metric_family family);

// Adds name="value" to `labels`, escaped, and a comma in front of it when it is not the first one.
// What is no UTF-8 becomes '?'.
void expose_label(struct text *labels, const char *name, struct str value);

void expose_sample(struct expose_lines *lines, struct str labels, u64 value);

// One more label behind `labels`; `more` is text as well.
void expose_sample_more(struct expose_lines *lines, struct str labels, struct str more, u64 value);

// A value in millionths: microseconds of a family in seconds, a ratio.
void expose_sample_micro(struct expose_lines *lines, struct str labels, u64 millionths);

// A cell of one worker may be below zero; a sum may be so for a moment, and then counts as zero.
static inline u64 expose_gauge(u64 sum)
{
	return (i64)sum < 0 ? 0 : sum;
}

// `exemplar` NULL: none.
void expose_spans(struct expose_lines *lines, struct str labels,
	const struct histogram_classic *spans, const struct stats_exemplar *exemplar);
void expose_sizes(struct expose_lines *lines, struct str labels, const struct sizes *sizes);
