// SPDX-License-Identifier: Apache-2.0
// sim --seeds N [--first S] | --seed S [--verbose]: runs seeds, says what they went through, and
// ends with "N passed, N failed, N skipped". A seed that fails is named and can be run again alone.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "pattern.h"
#include "sim.h"

enum { failures_max = 20, hang_s = 60, repeated_one_in = 100 };

static u64 current_seed, passed, failed;

static const char *const fault_texts[] = {
#define X(name, text) [FAULT_##name] = text,
	SIM_FAULTS(X)
#undef X
};

struct options {
	u64 first, count;
	bool single;
};

// Text of a signal handler: nothing that may lock or allocate.
struct note {
	char text[160];
	size_t len;
};

static void note_text(struct note *note, const char *text)
{
	for (; *text && note->len < sizeof(note->text); text++)
		note->text[note->len++] = *text;
}

static void note_number(struct note *note, u64 number)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	note_text(note, digits + at);
}

static bool tell_death(const char *how)
{
	struct note note = {.len = 0};

	note_text(&note, "\nFAIL seed ");
	note_number(&note, current_seed);
	note_text(&note, how);
	note_number(&note, passed);
	note_text(&note, " passed, ");
	note_number(&note, failed + 1);
	note_text(&note, " failed, 0 skipped\n");
	return write(STDOUT_FILENO, note.text, note.len) > 0;
}

// An assertion, a broken pointer or a loop without end has a seed too.
static void on_signal(int number)
{
	bool told = tell_death(number == SIGALRM   ? ": does not come to an end\n"
			       : number == SIGABRT ? ": aborted\n"
						   : ": crashed\n");

	_exit(told ? 1 : 2);
}

// What a sanitizer calls behind its own report; without one there is no such function.
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void on_report(void)
{
	(void)tell_death(": reported by a sanitizer\n");
}

// On a stack of its own, because the other one may be what is used up.
static void catch_signals(void)
{
	static const int numbers[] = {SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	static char stack[64 * 1024];
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	size_t count = ARRAY_LEN(numbers);

	sigemptyset(&action.sa_mask);
	if (__sanitizer_set_death_callback) { // which says more of the others
		__sanitizer_set_death_callback(on_report);
		count = 2;
	} else {
		(void)sigaltstack(&other, NULL);
	}
	for (size_t i = 0; i < count; i++)
		(void)sigaction(numbers[i], &action, NULL);
}

static void print_faults(void)
{
	u64 total = 0, seeds = passed + failed;

	printf("faults:\n");
	for (u32 i = 0; i < FAULT_COUNT; i++) {
		printf("  %9llu  %s\n", (unsigned long long)sim_faults[i], fault_texts[i]);
		total += sim_faults[i];
	}
	printf("outcomes:\n");
	for (u32 i = 0; i < OUTCOME_COUNT; i++)
		printf("  %9llu  %s\n", (unsigned long long)sim_outcomes[i],
			outcome_info((enum outcome)i)->name.ptr);
	printf("%llu seeds, %llu exchanges (%.1f per seed), %llu faults (%.1f per seed)\n",
		(unsigned long long)seeds, (unsigned long long)sim_exchanges,
		(double)sim_exchanges / (double)seeds, (unsigned long long)total,
		(double)total / (double)seeds);
}

// The moves of the step table that were made; those it allows and nobody made are missing.
static u32 print_moves(void)
{
	u32 missing = 0;

	printf("moves:\n");
	for (u32 from = 0; from < STEP_COUNT; from++)
		for (u32 to = 0; to < STEP_COUNT; to++) {
			if (!step_may_go((enum step)from, (enum step)to))
				continue;
			printf("  %9llu  %s to %s%s\n", (unsigned long long)sim_moves[from][to],
				step_names[from], step_names[to],
				sim_moves[from][to] ? "" : "   MISSING");
			missing += !sim_moves[from][to];
		}
	return missing;
}

static u32 print_gaps(void)
{
	u32 gaps = 0;

	for (u32 i = 0; i < FAULT_COUNT; i++)
		if (!sim_faults[i]) {
			printf("FAIL no seed had this fault: %s\n", fault_texts[i]);
			gaps++;
		}
	if (sim_exchanges < 20 * (passed + failed)) {
		printf("FAIL fewer than 20 exchanges per seed\n");
		gaps++;
	}
	return gaps;
}

static int usage(void)
{
	fprintf(stderr, "sim --seeds N [--first S] | sim --seed S [--verbose]\n");
	return 2;
}

static bool read_number(const char *text, u64 *ret_number)
{
	return text && str_to_u64(str_from(text), UINT64_MAX, ret_number) == 0;
}

static bool read_options(int count, char **words, struct options *ret_options)
{
	struct options options = {.first = 1, .count = 1000};

	for (int i = 1; i < count; i++) {
		const char *word = words[i];

		if (strcmp(word, "--verbose") == 0) {
			sim_verbose = true;
			continue;
		}
		if (strcmp(word, "--seeds") == 0 && read_number(words[i + 1], &options.count)) {
			i++;
		} else if (strcmp(word, "--first") == 0 &&
			   read_number(words[i + 1], &options.first)) {
			i++;
		} else if (strcmp(word, "--seed") == 0 &&
			   read_number(words[i + 1], &options.first)) {
			options.single = true;
			options.count = 1;
			i++;
		} else {
			return false;
		}
	}
	*ret_options = options;
	return true;
}

// A seed is worth printing because it says the same each time, whatever ran before.
static bool is_repeatable(u64 seed, u64 course)
{
	u64 again = 0;
	bool same;

	if (seed % repeated_one_in)
		return true;
	sim_repeats = true;
	same = world_run(seed, &again) == 0 && again == course;
	sim_repeats = false;
	if (!same)
		printf("FAIL seed %llu: it does not say the same again\n",
			(unsigned long long)seed);
	return same;
}

static void run_seeds(const struct options *options)
{
	for (u64 i = 0; i < options->count && failed < failures_max; i++) {
		u64 course = 0;

		current_seed = options->first + i;
		alarm(hang_s);
		if (world_run(current_seed, &course) == 0 && is_repeatable(current_seed, course))
			passed++;
		else
			failed++;
	}
	alarm(0);
}

int main(int count, char **words)
{
	struct options options;

	if (!read_options(count, words, &options))
		return usage();
	catch_signals();
	pattern_init();
	run_seeds(&options);
	if (!options.single)
		print_faults();
	// Few seeds cannot go everywhere.
	if (options.count >= 5000 && failed == 0) {
		u64 missing = print_moves();

		if (missing)
			printf("FAIL %llu moves that the table allows were never made\n",
				(unsigned long long)missing);
		missing += print_gaps();
		failed += missing;
		passed += missing == 0;
	}
	printf("%llu passed, %llu failed, 0 skipped\n", (unsigned long long)passed,
		(unsigned long long)failed);
	return failed ? 1 : 0;
}
