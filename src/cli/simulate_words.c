// SPDX-License-Identifier: Apache-2.0
// The model of weir simulate, as KEY=VALUE.
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "cli/plan.h"
#include "cli/simulate.h"

// Where a word means something.
enum scope { EVERYWHERE, MODEL_ONLY, LOG_ONLY };

struct word {
	const char *key, *usual, *prose;
	size_t offset;
	double least, most;
	bool is_whole;
	enum scope scope;
	const char *const *names; // a choice, in the order of its enum; NULL: a number
};

static const char *const arrivals[] = {"poisson", "constant", "burst", NULL};
static const char *const services[] = {"exponential", "lognormal", "constant", "bimodal", NULL};
static const char *const keys_by[] = {"client_ip", "path", NULL};

#define AT(field) offsetof(struct simulate_options, field)
#define WHOLE(field, usual, least, most, scope, prose)                          \
	{                                                                       \
#field, usual, prose, AT(field), least, most, true, scope, NULL \
	}
#define PART(key, field, usual, least, most, scope, prose)                    \
	{                                                                     \
		key, usual, prose, AT(field), least, most, false, scope, NULL \
	}
#define CHOICE(field, usual, names, scope, prose)                          \
	{                                                                  \
#field, usual, prose, AT(field), 0, 0, false, scope, names \
	}

static const struct word words[] = {
	WHOLE(servers, "10", 1, SIMULATE_SERVERS_MAX, EVERYWHERE,
		"servers; with --replay those of the log"),
	WHOLE(slots, "1", 1, 10000, EVERYWHERE, "requests served at a time; those of the log"),
	WHOLE(requests, "200000", 1, 1e8, MODEL_ONLY, "requests of the run"),
	PART("load", load, "0.7", 0.001, 10, MODEL_ONLY,
		"arrivals to what servers could do, were all well"),
	CHOICE(arrival, "poisson", arrivals, MODEL_ONLY, "poisson, constant or burst"),
	CHOICE(service, "exponential", services, MODEL_ONLY,
		"exponential, lognormal, constant or bimodal"),
	PART("mean", mean_ms, "10", 0.001, 1e6, MODEL_ONLY, "mean service time, ms"),
	WHOLE(slow, "0", 0, 100, EVERYWHERE, "percent of the servers that are slow"),
	PART("slow_factor", slow_factor, "10", 1, 1000, EVERYWHERE, "how much slower they are"),
	WHOLE(lose, "0", 0, SIMULATE_SERVERS_MAX, EVERYWHERE, "servers that are lost at a time"),
	PART("lose_at", lose_at, "0.4", 0, 1, EVERYWHERE, "after this part of the requests"),
	PART("back_at", back_at, "0.7", 0, 1, EVERYWHERE, "and back after this part"),
	WHOLE(max_connections, "0", 0, 1e6, EVERYWHERE,
		"requests at a server, more wait; 0 is no limit"),
	WHOLE(workers, "1", 1, SIMULATE_WORKERS_MAX, EVERYWHERE, "workers of the balancer"),
	PART("news", news_ms, "4", 0.01, 1e5, EVERYWHERE,
		"ms between a worker's hearings of the others"),
	WHOLE(clients, "1000", 1, 1e7, MODEL_ONLY, "different hash keys"),
	PART("skew", skew, "0", 0, 5, MODEL_ONLY, "0: all equally frequent, 1: as words in a text"),
	WHOLE(bound, "0", 0, 1000, EVERYWHERE, "hash.max_load in percent, as 125; 0 is none"),
	CHOICE(by, "client_ip", keys_by, LOG_ONLY, "what hashes go by: client_ip or path"),
	PART("pace", pace, "1", 0.001, 1000, LOG_ONLY, "how much faster the log is replayed"),
};

_Static_assert(ARRAY_LEN(words) <= 32, "struct simulate_options.given has a bit for each");

// ---- Reading ------------------------------------------------------------------------------------

static const char *set_choice(
	struct simulate_options *options, const struct word *word, struct str value)
{
	for (u32 i = 0; word->names[i]; i++)
		if (str_eq(value, str_from(word->names[i]))) {
			// The enums are plain ints.
			*(u32 *)((char *)options + word->offset) = i;
			return NULL;
		}
	return word->prose;
}

static void put_number(struct simulate_options *options, const struct word *word, double number)
{
	if (word->is_whole)
		*(u64 *)(void *)((char *)options + word->offset) = (u64)number;
	else
		*(double *)(void *)((char *)options + word->offset) = number;
}

static double get_number(const struct simulate_options *options, const struct word *word)
{
	const char *field = (const char *)options + word->offset;

	if (word->is_whole)
		return (double)*(const u64 *)(const void *)field;
	return *(const double *)(const void *)field;
}

// The number at *text, which ends with it or with a comma; moves *text behind both.
static const char *read_number(
	const struct word *word, const char **text, double *ret_number, struct arena *arena)
{
	char *end;
	double number = strtod(*text, &end);

	if (end == *text || (*end != '\0' && *end != ',') ||
		!(number >= word->least && number <= word->most) ||
		(word->is_whole && number > (double)(u64)number))
		return arena_printf(arena, "a%s number from %.9g to %.9g",
			word->is_whole ? " whole" : "", word->least, word->most);
	*ret_number = number;
	*text = *end ? end + 1 : end;
	return NULL;
}

// load=0.5,0.7,0.9: all beyond the first make it a series.
static const char *set_numbers(
	struct simulate_options *options, u32 at, const char *value, struct arena *arena)
{
	const struct word *word = &words[at];
	struct simulate_series series = {.key = word->key, .prose = word->prose, .word = at};
	bool is_list = strchr(value, ',') != NULL;
	const char *error = NULL;

	do {
		double *number = &series.values[series.count];

		if (series.count == SIMULATE_VALUES_MAX)
			return arena_printf(
				arena, "a list of at most %u numbers", SIMULATE_VALUES_MAX);
		error = read_number(word, &value, number, arena);
		if (error)
			return error;
		if (series.count > 0 && *number <= number[-1])
			return "a list of rising numbers";
		series.count++;
	} while (*value);
	if (series.count == 1) {
		put_number(options, word, series.values[0]);
		if (options->series.word == at)
			options->series = (struct simulate_series){0};
		return is_list ? "a list of numbers without a comma at its end" : NULL;
	}
	if (options->series.key && options->series.word != at)
		return arena_printf(
			arena, "one value, because %s has several", options->series.key);
	options->series = series;
	return NULL;
}

static const char *set_weights(struct simulate_options *options, struct str list)
{
	u32 count = 0;

	while (list.len) {
		u64 weight;

		if (count == SIMULATE_WEIGHTS_MAX ||
			str_to_u64(str_cut(&list, ','), BALANCE_WEIGHT_MAX, &weight) != 0 ||
			weight == 0)
			return "up to 64 numbers from 1 to 65535, as in 5,1,1";
		options->weights[count++] = (u32)weight;
	}
	options->weight_count = count;
	return NULL;
}

static const char *unknown(struct str key, struct arena *arena)
{
	const char *keys[ARRAY_LEN(words) + 1], *near;

	for (u32 i = 0; i < ARRAY_LEN(words); i++)
		keys[i] = words[i].key;
	keys[ARRAY_LEN(words)] = "weights";
	near = plan_near(arena_str(arena, key).ptr, keys, ARRAY_LEN(keys));
	return arena_printf(arena, "the model has no '%.*s'%s%s%s", STR_FMT(key),
		near ? "; did you mean '" : "", near ? near : "",
		near ? "'?" : ": weir help simulate");
}

const char *simulate_word(struct simulate_options *options, const char *word, struct arena *arena)
{
	struct str value = str_from(word), key = str_cut(&value, '=');
	const char *wanted = NULL;

	if (key.len == strlen(word))
		return arena_printf(arena, "'%s' is not KEY=VALUE, as in load=0.9", word);
	if (str_eq(key, STR("weights"))) {
		wanted = set_weights(options, value);
	} else {
		u32 i = 0;

		while (i < ARRAY_LEN(words) && !str_eq(key, str_from(words[i].key)))
			i++;
		if (i == ARRAY_LEN(words))
			return unknown(key, arena);
		wanted = words[i].names ? set_choice(options, &words[i], value)
					: set_numbers(options, i, value.ptr, arena);
		options->given |= 1u << i;
	}
	return wanted ? arena_printf(arena, "%.*s is %s", STR_FMT(key), wanted) : NULL;
}

void simulate_defaults(struct simulate_options *options)
{
	*options = (struct simulate_options){.seed = 1};
	for (u32 i = 0; i < ARRAY_LEN(words); i++) {
		const struct word *word = &words[i];
		const char *error = word->names ? set_choice(options, word, str_from(word->usual))
						: set_numbers(options, i, word->usual, NULL);

		ASSERT(!error);
	}
}

// ---- What follows from them ---------------------------------------------------------------------

struct simulate_options simulate_of_series(const struct simulate_options *options, u32 value)
{
	struct simulate_options one = *options;

	if (options->series.key)
		put_number(&one, &words[options->series.word], options->series.values[value]);
	return one;
}

static const char *check_one(const struct simulate_options *options, struct arena *arena)
{
	if (options->lose >= options->servers)
		return arena_printf(arena, "lose=%llu leaves none of %llu servers",
			(unsigned long long)options->lose, (unsigned long long)options->servers);
	if (options->lose && options->back_at <= options->lose_at)
		return "back_at comes after lose_at";
	if (options->bound && options->bound <= 100)
		return "bound is 0 (none) or above 100: 100 is just the even share";
	return NULL;
}

const char *simulate_check_scope(
	const struct simulate_options *options, bool from_log, struct arena *arena)
{
	enum scope out = from_log ? MODEL_ONLY : LOG_ONLY;

	for (u32 i = 0; i < ARRAY_LEN(words); i++)
		if (options->given & 1u << i && words[i].scope == out)
			return arena_printf(arena, "%s means nothing %s --replay", words[i].key,
				from_log ? "with" : "without");
	return NULL;
}

const char *simulate_check(const struct simulate_options *options, struct arena *arena)
{
	const char *error = NULL;

	for (u32 v = 0; v < MAX(options->series.count, 1) && !error; v++) {
		struct simulate_options one = simulate_of_series(options, v);

		error = check_one(&one, arena);
	}
	return error;
}

bool simulate_is_given(const struct simulate_options *options, const char *key)
{
	for (u32 i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i].key, key) == 0)
			return options->given & 1u << i;
	return false;
}

// ---- Writing ------------------------------------------------------------------------------------

void simulate_list_words(struct text *text)
{
	for (u32 i = 0; i < ARRAY_LEN(words); i++)
		text_printf(
			text, "  %-15s %-11s  %s\n", words[i].key, words[i].usual, words[i].prose);
	text_printf(text, "  %-15s %-11s  %s\n", "weights", "1",
		"a repeated list, as 5,1,1; speeds follow it");
	text_add(text, STR("\nSeveral values for one key (load=0.5,0.7,0.9) are as many runs.\n"));
}

void simulate_print_words(struct text *text, const struct simulate_options *options)
{
	enum scope out = options->trace ? MODEL_ONLY : LOG_ONLY;
	char before = '{';

	for (u32 i = 0; i < ARRAY_LEN(words); i++) {
		const struct word *word = &words[i];

		if (word->scope == out || (options->series.key && options->series.word == i))
			continue;
		text_printf(text, "%c\"%s\":", before, word->key);
		if (word->names)
			text_printf(text, "\"%s\"",
				word->names[*(const u32 *)(const void *)((const char *)options +
									 word->offset)]);
		else
			text_printf(text, "%.9g", get_number(options, word));
		before = ',';
	}
	text_add(text, STR(",\"weights\":["));
	for (u32 i = 0; i < MAX(options->weight_count, 1); i++)
		text_printf(text, "%s%u", i ? "," : "", simulate_weight(options, i));
	text_add(text, STR("]}"));
}
