// SPDX-License-Identifier: Apache-2.0
#include "cli/origin_faults.h"

#include "conf/value.h"

enum {
	delay_max_ms = 600 * 1000,
	for_max_ms = 3600 * 1000,
	status_min = 200,
	status_max = 599,
	all_percent = 100,
};

// Those that exclude each other come first, in the order of their enum.
static const struct {
	const char *word, *prose;
} lines[] = {
	{"status=CODE", "answers with this status"},
	{"hang=1", "takes requests and does not answer until this is over"},
	{"reset=1", "takes requests and resets the connection"},
	{"close=1", "takes requests and closes the connection"},
	{"cut=1", "closes the connection in the middle of the answer's body"},
	{"refuse=1", "closes its port and all connections; needs for"},
	{"delay=MS", "waits before it answers; delay=100-300: anything between"},
	{"share=PERCENT", "does this to so many of the requests, by chance"},
	{"health=CODE", "what /health answers, whatever happens to the others"},
	{"for=DURATION", "ends by itself: for=30s, for=500ms"},
};

void origin_faults_init(struct origin_faults *faults, u64 seed)
{
	*faults = (struct origin_faults){.seed = seed, .share_percent = all_percent};
	rng_init(&faults->rng, seed);
}

void origin_faults_end(struct origin_faults *faults)
{
	origin_faults_init(faults, faults->seed);
}

// ---- Words --------------------------------------------------------------------------------------

static const char *set_kind(struct origin_faults *faults, enum origin_fault kind, struct str value)
{
	if (kind != ORIGIN_STATUS && !str_eq(value, STR("1")))
		return "hang, reset, close, cut and refuse are switched on with 1";
	if (faults->kind != ORIGIN_SOUND)
		return "one of status, hang, reset, close, cut and refuse at a time";
	faults->kind = (u8)kind;
	return NULL;
}

static const char *set_status(struct str value, u16 *ret_status)
{
	u64 number;

	if (str_to_u64(value, status_max, &number) != 0 || number < status_min)
		return "status and health are numbers from 200 to 599";
	*ret_status = (u16)number;
	return NULL;
}

static const char *set_delay(struct origin_faults *faults, struct str value)
{
	bool is_span = str_find(value, '-') < value.len;
	struct str least = str_cut(&value, '-');
	u64 min, max;

	if (str_to_u64(least, delay_max_ms, &min) != 0)
		goto wrong;
	max = min;
	if (is_span && (str_to_u64(value, delay_max_ms, &max) != 0 || max < min))
		goto wrong;
	faults->delay_min_ms = (u32)min;
	faults->delay_max_ms = (u32)max;
	return NULL;
wrong:
	return "delay is a number of milliseconds up to 600000, or two with - between";
}

// 20, 20% and, as the sign is written in a URL, 20%25.
static const char *set_share(struct origin_faults *faults, struct str value)
{
	struct str number = str_cut(&value, '%');
	u64 percent;

	if (str_to_u64(number, all_percent, &percent) != 0 || percent == 0 ||
		(value.len && !str_eq(value, STR("25"))))
		return "share is a percentage from 1 to 100";
	faults->share_percent = (u32)percent;
	return NULL;
}

static const char *set_for(struct origin_faults *faults, struct str value)
{
	u64 ms;

	if (value_parse_duration(value, &ms) != VALUE_OK || ms == 0 || ms > for_max_ms)
		return "for is a time up to 1h with its unit: for=30s";
	faults->for_ms = (u32)ms;
	return NULL;
}

static const char *set_word(struct origin_faults *faults, struct str name, struct str value)
{
	const char *why;

	if (str_eq(name, STR("delay")))
		return set_delay(faults, value);
	if (str_eq(name, STR("share")))
		return set_share(faults, value);
	if (str_eq(name, STR("health")))
		return set_status(value, &faults->health_status);
	if (str_eq(name, STR("for")))
		return set_for(faults, value);
	for (u32 kind = ORIGIN_STATUS; kind <= ORIGIN_REFUSE; kind++) {
		struct str word = str_from(lines[kind - ORIGIN_STATUS].word);

		if (!str_eq(name, str_cut(&word, '=')))
			continue;
		why = kind == ORIGIN_STATUS ? set_status(value, &faults->status) : NULL;
		return why ? why : set_kind(faults, (enum origin_fault)kind, value);
	}
	return "unknown word: there are status, hang, reset, close, cut, refuse, delay, share, "
	       "health and for";
}

static const char *check(const struct origin_faults *faults)
{
	bool is_partial = faults->share_percent != all_percent;

	if (faults->kind == ORIGIN_REFUSE && !faults->for_ms)
		return "refuse needs for: nobody could tell it to end";
	if (faults->kind == ORIGIN_REFUSE && is_partial)
		return "refuse has no share: nobody listens";
	if (is_partial && faults->kind == ORIGIN_SOUND && !faults->delay_max_ms)
		return "share needs a fault or a delay";
	return NULL;
}

const char *origin_faults_set(struct origin_faults *faults, struct str words)
{
	struct origin_faults next;
	const char *why = NULL;

	origin_faults_init(&next, faults->seed);
	if (words.len > sizeof(next.text))
		return "more than 128 characters";
	memcpy(next.text, words.ptr, words.len);
	next.text_len = (u8)words.len;
	while (words.len && !why) {
		struct str value = str_cut(&words, '&'), name = str_cut(&value, '=');

		if (name.len || value.len)
			why = set_word(&next, name, value);
	}
	if (!why)
		why = check(&next);
	if (!why)
		*faults = next;
	return why;
}

void origin_faults_list_words(struct text *text)
{
	for (u32 i = 0; i < ARRAY_LEN(lines); i++)
		text_printf(text, "  %-15s %s\n", lines[i].word, lines[i].prose);
}

// ---- Requests -----------------------------------------------------------------------------------

struct origin_fate origin_faults_next(struct origin_faults *faults, bool is_health)
{
	struct origin_fate fate = {.kind = ORIGIN_SOUND};

	if (is_health && faults->health_status) {
		fate.status = faults->health_status;
		return fate;
	}
	if (faults->share_percent != all_percent &&
		rng_below(&faults->rng, all_percent) >= faults->share_percent)
		return fate;
	if (faults->kind != ORIGIN_REFUSE)
		fate.kind = faults->kind;
	fate.status = faults->status;
	fate.delay_ms = faults->delay_min_ms;
	if (faults->delay_max_ms > faults->delay_min_ms)
		fate.delay_ms =
			rng_between(&faults->rng, faults->delay_min_ms, faults->delay_max_ms);
	return fate;
}
