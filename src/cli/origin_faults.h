// SPDX-License-Identifier: Apache-2.0
// What the test backend does wrong on purpose, as it was told: WORD=VALUE&WORD=VALUE... A small
// state that is asked once for each request; no clock, no sockets. Chance is seeded, so that the
// same words give the same run.
//
// Whoever owns it carries out what it decides, and ends it when for_ms have passed.
#pragma once

#include "base/rng.h"
#include "base/text.h"

enum { ORIGIN_FAULTS_TEXT_MAX = 128 };

enum origin_fault {
	ORIGIN_SOUND,
	ORIGIN_STATUS, // an answer with this status
	ORIGIN_HANG,   // none, until the fault is over
	ORIGIN_RESET,  // the connection is reset once the request's head is here
	ORIGIN_CLOSE,  // the connection ends in order without an answer
	ORIGIN_CUT,    // the connection ends in the middle of the answer's body
	ORIGIN_REFUSE, // nobody listens, and nobody's connection goes on
};

struct origin_faults {
	u64 seed;
	struct rng rng;
	u32 share_percent;
	u32 delay_min_ms, delay_max_ms;
	u32 for_ms;	   // 0 = until told otherwise
	u16 status;	   // of ORIGIN_STATUS
	u16 health_status; // of /health, which then meets no fault; 0 = nothing was said of it
	u8 kind;	   // enum origin_fault
	u8 text_len;
	char text[ORIGIN_FAULTS_TEXT_MAX]; // the words as they came
};

// What becomes of one request.
struct origin_fate {
	u8 kind; // enum origin_fault; never ORIGIN_REFUSE
	u16 status;
	u32 delay_ms;
};

// None.
void origin_faults_init(struct origin_faults *faults, u64 seed);

// In place of what was said before; no words: none. NULL, or what is wrong, and nothing changes.
const char *origin_faults_set(struct origin_faults *faults, struct str words) must_check;

void origin_faults_end(struct origin_faults *faults);

// The fate of the next request. `is_health`: it is one for /health.
struct origin_fate origin_faults_next(struct origin_faults *faults, bool is_health);

static inline struct str origin_faults_text(const struct origin_faults *faults)
{
	return str_make(faults->text, faults->text_len);
}

// The words with their meaning, a line of at most 80 columns each.
void origin_faults_list_words(struct text *text);
