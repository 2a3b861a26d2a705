// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <stdio.h>

#include "conf/diff.h"
#include "control/rehearse.h"
#include "control/reload_parts.h"
#include "net/tls_cert.h"
#include "proxy/secure_try.h"

// Certificates and keys of now: what cannot be used leaves everything as it is.
static void open_tls(struct job *job)
{
	const struct reload_config *config = &job->reload->config;
	struct tls_error error;

	if (snapshot_secure(
		    job->snapshot, job->before, &job->tls_secret, config->clients_max, &error))
		return;
	if (secure_try(job->snapshot->conf, &job->errs) == 0)
		snprintf(job->what, sizeof(job->what), "TLS cannot be set up: %.200s", error.text);
	snapshot_cancel(job->snapshot);
	job->snapshot = NULL;
}

// What everything else stands on: the files, or a text that is one.
static bool read_base(struct job *job)
{
	const struct reload_config *config = &job->reload->config;
	struct arena *arena;

	job->base_paper = reload_paper_new(NULL);
	arena = &job->base_paper->arena;
	if (job->kind == RELOAD_FILES)
		job->base = config->load(config->load_owner, arena, &job->errs);
	else
		job->base = config->load_text(config->load_owner,
			job->kind == RELOAD_TEXT ? "the configuration that was sent"
						 : "the configuration of before",
			job->text->text, arena, &job->errs);
	return job->base != NULL;
}

// For going back to it.
static void keep_text(struct job *job)
{
	struct arena scratch;

	if (!job->base_paper)
		return;
	arena_init(&scratch, CONF_ARENA_BYTES_MAX);
	job->kept = shelf_text_new(conf_keep(job->base, &scratch));
	arena_done(&scratch);
}

static void compare(struct job *job, const struct conf *conf)
{
	struct arena *arena = &job->paper->arena;
	const struct conf_diff *diff;

	if (job->kind != RELOAD_TEXT && job->kind != RELOAD_ROLLBACK)
		return;
	diff = conf_diff(job->before->conf, conf, arena);
	job->diff = conf_diff_json(diff, arena);
	job->changes = conf_diff_text(diff, arena);
}

// In a thread of its own. While it runs nobody gives slots back, and the newest snapshot stays.
static void build(struct job *job)
{
	struct reload *reload = job->reload;
	const struct conf *conf;
	const char *what = NULL;

	if (reload_job_has_base(job) && !read_base(job))
		return;
	keep_text(job);
	job->paper = reload_paper_new(job->base_paper ? job->base_paper : reload->base_paper);
	if (job->kind == RELOAD_EXPORT) {
		reload_export_write(job);
		return;
	}
	conf = job->base;
	if (job->edit_count)
		conf = conf_edit(
			job->base, job->edits, job->edit_count, &job->paper->arena, &job->errs);
	// Lists from elsewhere are no work of a hand, and nobody is there to hear of it.
	if (!conf || (job->kind != RELOAD_LIST && rehearse(conf, &job->errs)))
		return;
	compare(job, conf);
	job->restart = reload_restart_sections(reload->config.conf, conf, &job->paper->arena);
	job->snapshot = snapshot_follow(
		job->before, conf, &job->paper->arena, job->before->generation + 1, &what);
	if (!job->snapshot)
		snprintf(job->what, sizeof(job->what),
			"there are more %s than this process has room for: restart it", what);
	else
		open_tls(job);
}

void *reload_build(void *arg)
{
	struct job *job = arg;

	build(job);
	tls_wipe(&job->tls_secret, sizeof(job->tls_secret));
	loop_post(job->reload->config.loop, &job->built);
	return NULL;
}
