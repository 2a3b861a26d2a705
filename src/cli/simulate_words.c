// SPDX-License-Identifier: Apache-2.0
// The model of weir simulate, as KEY=VALUE.
#include <stddef.h>
#include <stdlib.h>

#include "cli/plan.h"
#include "cli/simulate.h"

struct word {
	const char *key, *usual, *prose;
	size_t offset;
	double least, most;
	bool is_whole;
	const char *const *names; // a choice, in the order of its enum; NULL: a number
};

static const char *const arrivals[] = {"poisson", "constant", "burst", NULL};
static const char *const services[] = {"exponential", "lognormal", "constant", "bimodal", NULL};

#define WHOLE(field, usual, least, most, prose)                                                    \
	{                                                                                          \
#field, usual, prose, offsetof(struct simulate_options, field), least, most, true, \
			NULL                                                                       \
	}
#define PART(key, field, usual, least, most, prose)                                              \
	{                                                                                        \
		key, usual, prose, offsetof(struct simulate_options, field), least, most, false, \
			NULL                                                                     \
	}
#define CHOICE(field, usual, names, prose)                                                         \
	{                                                                                          \
#field, usual, prose, offsetof(struct simulate_options, field), 0, 0, false, names \
	}

static const struct word words[] = {
	WHOLE(servers, "10", 1, SIMULATE_SERVERS_MAX, "servers in the pool"),
	WHOLE(requests, "200000", 1, 1e8, "requests of the run"),
	PART("load", load, "0.7", 0.001, 10, "arrivals to what the servers could do"),
	CHOICE(arrival, "poisson", arrivals, "poisson, constant or burst"),
	CHOICE(service, "exponential", services, "exponential, lognormal, constant or bimodal"),
	PART("mean", mean_ms, "10", 0.001, 1e6, "mean service time, ms"),
	WHOLE(slots, "1", 1, 10000, "requests that a server serves at a time"),
	WHOLE(slow, "0", 0, 100, "percent of the servers that are slow"),
	PART("slow_factor", slow_factor, "10", 1, 1000, "how much slower they are"),
	WHOLE(lose, "0", 0, SIMULATE_SERVERS_MAX, "servers that are lost at a time"),
	PART("lose_at", lose_at, "0.4", 0, 1, "after this part of the requests"),
	PART("back_at", back_at, "0.7", 0, 1, "and back after this part"),
	WHOLE(workers, "1", 1, SIMULATE_WORKERS_MAX, "workers of the balancer"),
	PART("news", news_ms, "2", 0.01, 1e5, "ms between their hearing of each other"),
	WHOLE(clients, "1000", 1, 1e7, "different hash keys"),
	WHOLE(bound, "0", 0, 1000, "bounded load of hashes, percent: 125; 0 is none"),
};

static const char *set_choice(
	struct simulate_options *options, const struct word *word, struct str value)
{
	for (u32 i = 0; word->names[i]; i++)
		if (str_eq(value, str_from(word->names[i]))) {
			// The two enums are plain ints.
			*(u32 *)((char *)options + word->offset) = i;
			return NULL;
		}
	return word->prose;
}

static const char *set_number(struct simulate_options *options, const struct word *word,
	const char *value, struct arena *arena)
{
	char *end;
	double number = strtod(value, &end);

	if (end == value || *end != '\0' || !(number >= word->least && number <= word->most) ||
		(word->is_whole && number > (double)(u64)number))
		return arena_printf(arena, "a%s number from %g to %g",
			word->is_whole ? " whole" : "", word->least, word->most);
	if (word->is_whole)
		*(u64 *)(void *)((char *)options + word->offset) = (u64)number;
	else
		*(double *)(void *)((char *)options + word->offset) = number;
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
					: set_number(options, &words[i], value.ptr, arena);
	}
	return wanted ? arena_printf(arena, "%.*s is %s", STR_FMT(key), wanted) : NULL;
}

void simulate_defaults(struct simulate_options *options)
{
	*options = (struct simulate_options){.seed = 1};
	for (u32 i = 0; i < ARRAY_LEN(words); i++) {
		const struct word *word = &words[i];
		const char *error = word->names ? set_choice(options, word, str_from(word->usual))
						: set_number(options, word, word->usual, NULL);

		ASSERT(!error);
	}
}

const char *simulate_check(const struct simulate_options *options, struct arena *arena)
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

void simulate_list_words(struct text *text)
{
	for (u32 i = 0; i < ARRAY_LEN(words); i++)
		text_printf(
			text, "  %-11s = %-12s %s\n", words[i].key, words[i].usual, words[i].prose);
	text_printf(text, "  %-11s = %-12s %s\n", "weights", "1",
		"a repeated list, 5,1,1; speeds follow it");
}
