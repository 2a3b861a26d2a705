// SPDX-License-Identifier: Apache-2.0
// What weir top shows, as data: the state of the admin API (docs/api.md) as rows, judged, sorted
// and filtered. Knows neither a terminal nor a clock.
//
// A backend that takes requests may still be the one that is looked for, so its row says what weir
// finds odd about it: it answers with errors, it is much slower than the others of its pool, or it
// keeps changing.
//
// Ownership: the model keeps what it was given; texts of rows live until the next state is taken.
#pragma once

#include <jansson.h>

#include "base/text.h"
#include "cli/level.h"

enum {
	TOP_SPARK_MAX = 30,
	TOP_EVENTS_MAX = 512,
	TOP_FILTER_BYTES = 64,
};

// What is odd about a backend beside its state. The order is that of their weight.
// X(ENUM, "word")
#define TOP_FINDINGS(X)    \
	X(NOTHING, "")     \
	X(ERRORS, "fails") \
	X(SLOW, "slow")    \
	X(FLAPS, "flaps")

enum top_finding {
#define X(name, word) TOP_##name,
	TOP_FINDINGS(X)
#undef X
		TOP_FINDING_COUNT
};

// What the API says of one.
struct top_odd {
	const char *text; // its figures; NULL: it is not so
	double since_at_ms;
};

// X(ENUM, "word", key of the column whose title shows it)
#define TOP_SORTS(X)              \
	X(TROUBLE, "trouble")     \
	X(RATE, "requests")       \
	X(ERROR_RATE, "errors")   \
	X(P99, "p99")             \
	X(IN_FLIGHT, "in flight") \
	X(NAME, "configured")

enum top_sort {
#define X(name, word) TOP_BY_##name,
	TOP_SORTS(X)
#undef X
		TOP_SORT_COUNT
};

// Numbers that are not known are NAN.
struct top_backend {
	json_t *tree; // holds the texts
	const char *pool, *id, *address, *etag, *state, *reason, *admin, *breaker, *breaker_forced;
	const char *check_reason;
	double since_at_ms, weight, weight_configured, share, rate, errors, p50_us, p99_us;
	double in_flight, connections, connections_max, idle;
	double checked_at_ms, next_check_at_ms, check_us, streak, ejected_until_at_ms;
	double spark[TOP_SPARK_MAX]; // requests per second, oldest first
	u32 spark_count;
	u32 changes; // within the span
	double changes_span_ms;
	double times; // its latency over that of its peers; where it is slow, of the figure that
		      // says so
	struct top_odd odd[TOP_FINDING_COUNT];
	bool takes, check_passed, is_backup;
	// Judged.
	enum level level;
	enum top_finding finding;
	double shown_since_at_ms; // of the state, or of the finding that is shown with it
	u32 rank;		  // of its trouble; 0 is the worst
};

struct top_pool {
	const char *name, *algorithm, *state, *check, *failover;
	double backends, eligible, up, queued, in_flight, rate, errors, retries;
	double p50_us, p90_us, p99_us, max_us;
	enum level level;
};

struct top_totals {
	double rate, errors, errors_ratio, client_errors, p50_us, p90_us, p99_us, max_us;
	double connections, connections_max, in_flight, queued, tunnels, retries;
	double workers, busy_ratio;
	u32 providers, providers_up;
	double read_at_ms; // of the provider whose last good read is the oldest; NAN: never
};

struct top_event {
	json_t *tree;
	const char *pool, *backend; // "" = none
	double number, at_ms;
};

struct top_model {
	json_t *state; // the newest, without its backends; NULL: none yet
	const char *instance, *verdict;
	struct text said; // the verdict, with the clock on this wall
	enum level level; // of the verdict
	double now_at_ms, started_at_ms;
	bool may_operate, draining;
	struct top_totals totals;
	struct top_pool *pools;
	u32 pool_count, pool_room;
	struct top_backend *backends; // in the order of the configuration
	u32 backend_count, backend_room;
	struct top_event events[TOP_EVENTS_MAX]; // oldest first
	u32 event_count;
	u32 *rows; // indexes of the backends that are shown, in their order
	u32 row_count, row_room;
};

// How rows are arranged.
struct top_order {
	enum top_sort sort;
	bool only_trouble;
	char filter[TOP_FILTER_BYTES]; // "" = all
};

void top_model_init(struct top_model *model);
void top_model_done(struct top_model *model);

// A state, whole or partial. 0, or -EINVAL when it is none.
int top_model_take_state(struct top_model *model, struct str text) must_check;

// The answer of GET /api/v1/events, in place of what was known; one more event of the stream.
void top_model_take_events(struct top_model *model, struct str text);
void top_model_take_event(struct top_model *model, struct str text);

// Judges and fills rows.
void top_model_arrange(struct top_model *model, const struct top_order *order);

// The row of a backend, or row_count when it is not shown.
u32 top_model_find_row(const struct top_model *model, const char *pool, const char *id);

const struct top_pool *top_model_pool(const struct top_model *model, const char *name);

const char *top_finding_word(enum top_finding finding);
const char *top_sort_word(enum top_sort sort);
