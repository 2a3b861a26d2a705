// SPDX-License-Identifier: Apache-2.0
// Inside of records only: how one lies in its ring. record.c writes them, record_read.c reads.
#pragma once

#include "proxy/exchange.h"
#include "proxy/record.h"

// Words of a record. Those behind W_REST are as many as it needs: client, id, looks, path, tries.
enum word {
	W_WALL,
	W_FACTS,  // of the exchange, as they stand there
	W_FACTS2, // ... and their second half
	W_PLACES, // indices of frontend, route, pool, backend
	W_BITS,	  // enum bit
	W_GENERATION,
	W_BEGAN, // moments, as in the exchange
	W_HEADED,
	W_LEASED,
	W_SENT,
	W_ANSWERED,
	W_ENDED,
	W_IN,
	W_OUT,
	W_SEEN, // the head of struct pick_seen
	W_KEY,
	W_REST,
};

// Where in W_BITS what begins.
enum bit {
	B_OUTCOME = 0,
	B_PATH_LEN = 8,
	B_METHOD = 16,
	B_CLIENT_WORDS = 20,
	B_ID_WORDS = 24,
	B_TRIES = 28,  // that stand in the record: without the one that ended with the request
	B_PAUSED = 32, // there was none
	B_HEDGE,       // it was a second copy
	B_REUSED,
	B_PATH_CUT,
};

enum {
	RECORD_LONG_ID_WORDS = RECORD_ID_MAX / 8,
	RECORD_LONG_CLIENT_WORDS = (1 + RECORD_IP_MAX + 7) / 8, // with the length
	RECORD_WORDS_MAX = W_REST + RECORD_LONG_CLIENT_WORDS + RECORD_LONG_ID_WORDS +
			   RECORD_PATH_MAX / 8 + 2 * RECORD_TRIES_MAX + BALANCE_LOOKS_MAX,
	RECORD_FACTS_AT = offsetof(struct exchange, sticky),
};
_Static_assert((int)RECORD_WORDS_MAX <= (int)RECORD_WORDS, "every record fits");
_Static_assert(offsetof(struct exchange, may_wait) == RECORD_FACTS_AT + 15, "two words of facts");
_Static_assert(sizeof(struct balance_look) == 8, "a word for each look");
_Static_assert(sizeof(struct record_try) == 16, "two words for each try");

static inline u32 record_span_us(u64 from_us, u64 to_us)
{
	return from_us && to_us >= from_us ? (u32)MIN(to_us - from_us, (u64)UINT32_MAX - 1)
					   : RECORD_NO_TIME;
}
