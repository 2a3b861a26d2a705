// SPDX-License-Identifier: Apache-2.0
#include "cli/event_text.h"

#include "cli/call.h"
#include "cli/units.h"

struct word_level {
	const char *word;
	enum level level;
};

// What something has become.
static const struct word_level words[] = {
	{"up", LEVEL_GOOD},
	{"closed", LEVEL_GOOD},
	{"available", LEVEL_GOOD},
	{"in", LEVEL_GOOD},
	{"normal", LEVEL_GOOD},
	{"calm", LEVEL_GOOD},
	{"well", LEVEL_GOOD},
	{"half_open", LEVEL_WARN},
	{"flapping", LEVEL_WARN},
	{"slow", LEVEL_WARN},
	{"fails", LEVEL_BAD},
	{"panic", LEVEL_BAD},
	{"down", LEVEL_BAD},
	{"open", LEVEL_BAD},
	{"out", LEVEL_BAD},
	{"ejected", LEVEL_BAD},
	{"unresolved", LEVEL_BAD},
	{"unavailable", LEVEL_BAD},
	{"held", LEVEL_WARN},
	{"believed", LEVEL_GOOD},
};

enum level event_level(const json_t *event)
{
	const char *to = call_string(event, "to");

	if (call_string(event, "by")[0])
		return LEVEL_MEANT;
	for (u32 i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].word, to) == 0)
			return words[i].level;
	return LEVEL_NOTE;
}

static void put(struct cells *cells, const char *text)
{
	cells_put(cells, str_from(text));
}

static void put_who(struct cells *cells, const json_t *event)
{
	const char *by = call_string(event, "by");

	if (by[0]) {
		put(cells, ", by ");
		put(cells, by);
	}
	if (json_is_object(json_object_get(event, "undo")))
		cells_printf(cells, " (weir undo %.0f)", call_number(event, "number"));
}

static void put_name(struct cells *cells, const json_t *event, bool with_pool)
{
	const char *pool = call_string(event, "pool"), *backend = call_string(event, "backend");

	if (call_string(event, "provider")[0])
		backend = call_string(event, "provider");
	cells_style(cells, CELLS_BOLD);
	if (with_pool || !backend[0])
		put(cells, pool);
	put(cells, with_pool && pool[0] && backend[0] ? "/" : "");
	put(cells, backend);
	cells_style(cells, CELLS_PLAIN);
}

static void put_sign(struct cells *cells, enum level level)
{
	cells_style(cells, level_style(level));
	cells_printf(cells, " %s ", level_sign(level));
	cells_style(cells, CELLS_PLAIN);
}

static void put_reason(struct cells *cells, const json_t *event)
{
	const char *reason = call_string(event, "reason");

	if (reason[0] && strcmp(reason, call_string(event, "to")) != 0) {
		put(cells, ": ");
		put(cells, reason);
	}
}

static bool has_subject(const json_t *event)
{
	return call_string(event, "pool")[0] || call_string(event, "backend")[0];
}

void event_put(struct cells *cells, const json_t *event)
{
	const char *from = call_string(event, "from"), *to = call_string(event, "to");

	put(cells, unit_date(call_number(event, "at_ms")).text);
	put_sign(cells, event_level(event));
	put_name(cells, event, true);
	put(cells, has_subject(event) ? ": " : "");
	put(cells, call_string(event, "text"));
	if (from[0] && to[0]) {
		put(cells, ", ");
		put(cells, from);
		put(cells, " → ");
		put(cells, to);
	}
	put_reason(cells, event);
	put_who(cells, event);
}

void event_put_short(struct cells *cells, const json_t *event, bool with_pool)
{
	bool is_change = has_subject(event) && call_string(event, "to")[0];

	put(cells, unit_clock(call_number(event, "at_ms")).text);
	put_sign(cells, event_level(event));
	put_name(cells, event, with_pool);
	put(cells, has_subject(event) ? " " : "");
	put(cells, is_change ? call_string(event, "to") : call_string(event, "text"));
	if (event_level(event) != LEVEL_GOOD)
		put_reason(cells, event);
	put_who(cells, event);
}
