// SPDX-License-Identifier: Apache-2.0
// Any text as a configuration. The first byte says what the rest is: 'y' YAML, 't' TOML, 'j' JSON,
// 's' lines that are --set arguments, or environment variables when they start with WEIR_, and 'f'
// a .env file, a line "---" and a YAML file, both read as files (without includes and secrets in
// files, which could name any file of this machine).
//
// Nothing may crash; what is refused has a finding with a place; what is accepted is shown in each
// syntax, and that text must load again and show the same. Only secrets do not come back: they are
// not shown.
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/conf.h"

enum { lines_max = 64, text_bytes_max = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trial {
	struct arena arena;
	struct errs errs;
};

static void trial_init(struct trial *trial)
{
	arena_init(&trial->arena, CONF_ARENA_BYTES_MAX);
	errs_init(&trial->errs);
}

static void trial_done(struct trial *trial)
{
	errs_done(&trial->errs);
	arena_done(&trial->arena);
}

static void check_findings(struct trial *trial, bool refused)
{
	struct str human, json;

	errs_sort(&trial->errs);
	human = errs_format(&trial->errs, &trial->arena, true);
	json = errs_format_json(&trial->errs, &trial->arena);
	ASSERT(human.ptr[human.len] == '\0' && json.len > 0);
	ASSERT(refused == (trial->errs.error_count > 0));
	for (const struct err *err = trial->errs.first; err; err = err->next) {
		ASSERT(err->message && err->message[0] && err->code);
		ASSERT(err->place.line == 0 || err->place.column > 0);
		ASSERT(!err->source || err->caret > 0);
	}
}

static bool has_secrets(const struct conf *conf)
{
	for (u32 i = 0; i < conf->pool_count; i++)
		if (conf->pools[i].sticky.secret.len)
			return true;
	return false;
}

// Shown, loaded and shown again: nothing may be lost or changed on the way.
static void check_round_trip(const struct conf *conf, struct arena *arena)
{
	struct str expected = conf_show(conf, CONF_YAML, false, arena);

	conf_show(conf, CONF_YAML, true, arena);
	for (u32 syntax = CONF_YAML; syntax <= CONF_JSON; syntax++) {
		struct str text = conf_show(conf, syntax, false, arena), shown;
		struct trial trial;
		const struct conf *again;

		trial_init(&trial);
		again = conf_load_text("again", text, syntax, &trial.arena, &trial.errs);
		if (has_secrets(conf)) {
			trial_done(&trial);
			continue;
		}
		if (!again) {
			errs_sort(&trial.errs);
			fprintf(stderr, "%s\n%s\n", text.ptr,
				errs_format(&trial.errs, &trial.arena, false).ptr);
		}
		ASSERT(again);
		shown = conf_show(again, CONF_YAML, false, &trial.arena);
		if (!str_eq(shown, expected))
			fprintf(stderr, "%s\n---\n%s\n", expected.ptr, shown.ptr);
		ASSERT(str_eq(shown, expected));
		trial_done(&trial);
	}
}

// Lines of a text as an array of C strings, in place.
static u32 split_lines(char *text, bool variables, const char **lines)
{
	u32 count = 0;

	while (text && *text && count < lines_max) {
		char *end = strchr(text, '\n');

		if (end)
			*end = '\0';
		if ((strncmp(text, "WEIR_", 5) == 0) == variables)
			lines[count++] = text;
		if (end)
			*end = '\n';
		text = end ? end + 1 : NULL;
	}
	return count;
}

static void cut_lines(char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			*text = '\0';
}

static struct conf *load_settings(struct trial *trial, struct str text)
{
	const char *sets[lines_max], *environ_lines[lines_max + 1] = {0};
	char *copy = (char *)(uintptr_t)arena_str(&trial->arena, text).ptr;
	struct conf_input input = {.sets = sets, .environ = (char *const *)environ_lines};
	struct conf_flags flags = {0};

	if (strstr(copy, "file"))
		copy = NULL;
	input.set_count = split_lines(copy, false, sets);
	environ_lines[split_lines(copy, true, environ_lines)] = NULL;
	if (copy)
		cut_lines(copy);
	return conf_from_flags(&flags, &input, &trial->arena, &trial->errs);
}

// A file that only this process sees.
static const char *make_file(struct arena *arena, struct str text, int *ret_fd)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	ssize_t len = write(fd, text.ptr, text.len);

	ASSERT(fd >= 0 && len == (ssize_t)text.len);
	*ret_fd = fd;
	return arena_printf(arena, "/proc/self/fd/%d", fd);
}

static struct conf *load_files(struct trial *trial, struct str text)
{
	static const char *const variables[] = {"A=10.0.0.1:80", "B=", "PORT=81", NULL};
	const char *copy = arena_str(&trial->arena, text).ptr;
	const char *mark = strstr(copy, "\n---\n");
	size_t at = mark ? (size_t)(mark - copy) : 0;
	struct conf_input input = {.file_count = 1, .environ = (char *const *)variables};
	struct conf *conf;
	const char *file;
	int fds[2];

	if (strstr(copy, "inc") || strstr(copy, "file") || strlen(copy) != text.len)
		text.len = at = 0;
	input.dotenv = make_file(&trial->arena, str_make(text.ptr, at), &fds[0]);
	at = at ? at + 5 : 0;
	file = make_file(&trial->arena, str_make(text.ptr + at, text.len - at), &fds[1]);
	input.files = &file;
	conf = conf_load(&input, &trial->arena, &trial->errs);
	close(fds[0]);
	close(fds[1]);
	return conf;
}

static struct conf *load(struct trial *trial, char kind, struct str text)
{
	switch (kind) {
	case 't':
		return conf_load_text("fuzz.toml", text, CONF_TOML, &trial->arena, &trial->errs);
	case 'j':
		return conf_load_text("fuzz.json", text, CONF_JSON, &trial->arena, &trial->errs);
	case 's':
		return load_settings(trial, text);
	case 'f':
		return load_files(trial, text);
	default:
		return conf_load_text("fuzz.yaml", text, CONF_YAML, &trial->arena, &trial->errs);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trial trial;
	const struct conf *conf;

	if (size == 0 || size > text_bytes_max)
		return 0;
	trial_init(&trial);
	conf = load(&trial, (char)data[0], str_make((const char *)data + 1, size - 1));
	check_findings(&trial, !conf);
	if (conf)
		check_round_trip(conf, &trial.arena);
	trial_done(&trial);
	return 0;
}
