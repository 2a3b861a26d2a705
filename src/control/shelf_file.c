// SPDX-License-Identifier: Apache-2.0
#include "control/shelf_file.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/stored.h"
#include "control/thread.h"

struct shelf_file {
	struct loop *loop;
	struct log *log;
	char *folder;
	char name[64];
	struct text text, next; // that is written | comes after it
	bool runs, has_next, has_failed;
	pthread_t thread;
	struct message done;
	int error;
};

struct shelf_file *shelf_file_new(
	struct loop *loop, struct log *log, const char *folder, const char *source)
{
	struct shelf_file *file;

	if (!folder || !source || access(folder, F_OK) != 0)
		return NULL;
	file = mem_alloc(sizeof(*file));
	file->loop = loop;
	file->log = log;
	file->folder = mem_strndup(folder, strlen(folder));
	snprintf(file->name, sizeof(file->name), "%016" PRIx64 ".generations",
		hash_str(str_from(source), 0));
	return file;
}

void shelf_file_read(struct shelf_file *file, struct shelf *shelf)
{
	struct text text = {0};
	char why[SHELF_WHY_BYTES];
	int error = stored_read(file->folder, file->name, SHELF_FILE_BYTES_MAX, &text);
	bool is_good = error == -ENOENT;

	if (error)
		snprintf(why, sizeof(why), "%s", strerror(-error));
	else
		is_good = shelf_parse(shelf, text_str(&text), why);
	if (!is_good)
		LOG(file->log, LOG_WARN, "configurations of before are not known",
			LOG_CSTR("folder", file->folder), LOG_CSTR("file", file->name),
			LOG_CSTR("error", why),
			LOG_CSTR("state", "they are kept from this one on"));
	text_done(&text);
}

static void *run(void *arg)
{
	struct shelf_file *file = arg;

	file->error = stored_write(file->folder, file->name, text_str(&file->text));
	loop_post(file->loop, &file->done);
	return NULL;
}

static void begin(struct shelf_file *file);

// Said when it begins, not with each configuration.
static void tell(struct shelf_file *file)
{
	if (file->error && !file->has_failed)
		LOG(file->log, LOG_ERROR, "configurations of before cannot be stored",
			LOG_CSTR("folder", file->folder), LOG_CSTR("file", file->name),
			LOG_ERRNO(file->error),
			LOG_CSTR("state", "a restart of everything will forget them"));
	file->has_failed = file->error != 0;
}

static void on_done(struct message *message)
{
	struct shelf_file *file = container_of(message, struct shelf_file, done);

	pthread_join(file->thread, NULL);
	file->runs = false;
	tell(file);
	text_done(&file->text);
	if (!file->has_next)
		return;
	file->text = file->next;
	file->next = (struct text){0};
	file->has_next = false;
	begin(file);
}

static void begin(struct shelf_file *file)
{
	int error;

	file->done = (struct message){.deliver = on_done};
	error = thread_start(&file->thread, run, file);
	file->runs = !error;
	if (!error)
		return;
	file->error = error;
	tell(file);
	text_done(&file->text);
}

void shelf_file_write(struct shelf_file *file, struct text *text)
{
	if (!file) {
		text_done(text);
		return;
	}
	if (file->runs) {
		text_done(&file->next);
		file->next = *text;
		file->has_next = true;
	} else {
		file->text = *text;
	}
	*text = (struct text){0};
	if (!file->runs)
		begin(file);
}

bool shelf_file_is_idle(const struct shelf_file *file)
{
	return !file || !file->runs;
}

void shelf_file_free(struct shelf_file *file)
{
	if (!file)
		return;
	text_done(&file->text);
	text_done(&file->next);
	mem_free(file->folder);
	mem_free(file);
}
