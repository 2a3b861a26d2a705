// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"
#include "control/control_inside.h"

enum {
	find_wait_ms = 2000,	// for lists of backends from elsewhere
	resolve_wait_ms = 2000, // for names, before the first connection is taken
	again_wait_ms = 100,	// for all of that, when another process served before
};

// ---- From elsewhere -----------------------------------------------------------------------------

static void on_found(
	void *owner, struct str pool, const struct conf_edit_backend *backends, u32 count)
{
	struct control *control = owner;

	if (control->is_collected)
		estate_add_list(&control->estate, pool, backends, count);
	if (!control->reload)
		return; // the first configuration gets all of them
	if (control->workers_running)
		reload_set_backends(control->reload, pool, backends, count);
	else if (control->is_repeated)
		reload_know_backends(control->reload, pool, backends, count);
	else
		control->found_early = true;
}

void control_conf_read(void *owner, const struct conf *conf)
{
	const struct control *control = owner;

	if (control->finds)
		control->options->finder->follow(control->options->finder->owner, conf);
}

static void on_found_news(void *owner, const struct control_finding_news *news)
{
	struct control *control = owner;
	struct event_said said = {.kind = EVENT_PROVIDER,
		.text = news->text,
		.pool = news->pool,
		.backend = news->provider,
		.from = str_from(news->from ? news->from : ""),
		.to = str_from(news->to ? news->to : ""),
		.reason = str_from(news->reason ? news->reason : "")};

	if (control->watch)
		changes_say(watch_changes(control->watch), &said);
}

// What is known within a moment is there from the start; the rest comes when it comes.
void control_find_backends(struct control *control)
{
	const struct control_finder *finder = control->options->finder;
	u64 until_ms = loop_now_ms(control->loop) + find_wait_ms;

	control->written = control->conf;
	if (!finder)
		return;
	control->finds = true;
	finder->open(finder->owner, &(struct control_finding){.conf = control->conf,
					    .loop = control->loop,
					    .log = control->log,
					    .seed = control->seed,
					    .control = control,
					    .changed = on_found,
					    .told = on_found_news});
	while (!finder->is_settled(finder->owner) && loop_now_ms(control->loop) < until_ms)
		loop_turn(control->loop, until_ms);
	control->conf = finder->complete(finder->owner, control->conf, control->arena);
}

static void repeat(struct control *control)
{
	control->options->finder->repeat(control->options->finder->owner);
}

void control_collect_backends(struct control *control)
{
	control->is_collected = control->finds && control->estate.bequest.edit_count;
	if (control->is_collected)
		repeat(control);
	control->is_collected = false;
}

void control_repeat_backends(struct control *control)
{
	control->is_repeated = true;
	if (control->finds)
		repeat(control);
	control->is_repeated = false;
}

void control_catch_up_backends(struct control *control)
{
	if (control->found_early)
		repeat(control);
}

void control_note_trouble(struct control *control)
{
	struct desk_provider *providers;
	u32 count;

	if (!control->finds)
		return;
	providers = mem_alloc(sizeof(*providers) * DESK_PROVIDERS_MAX);
	count = control->options->finder->look(
		control->options->finder->owner, providers, DESK_PROVIDERS_MAX);
	for (u32 i = 0; i < count; i++)
		if (!providers[i].is_up && providers[i].cause[0])
			on_found_news(control,
				&(struct control_finding_news){.text = "provider is in trouble",
					.provider = str_from(providers[i].name),
					.pool = str_from(providers[i].pool),
					.to = "down",
					.reason = providers[i].cause});
	mem_free(providers);
}

void control_stop_finding(struct control *control)
{
	if (!control->finds)
		return;
	control->options->finder->close(control->options->finder->owner);
	control->finds = false;
	loop_turn(control->loop, 0); // what it had sent already
}

// ---- Names and first results --------------------------------------------------------------------

static void await_checks(struct control *control)
{
	control->checks_until_ms = loop_now_ms(control->loop) + watch_first_wait_ms(control->conf);
}

static void on_resolved(
	void *owner, struct backend *backend, const struct addr *addr, const char *error)
{
	struct control *control = owner;

	if (error) {
		LOG(control->log, LOG_WARN, "backend name cannot be resolved",
			LOG_STR("pool", backend->pool->name), LOG_STR("backend", backend->id),
			LOG_STR("name", backend->name), LOG_CSTR("error", error),
			LOG_CSTR("state", "unresolved"),
			LOG_CSTR("cure", "it gets no traffic; correct the name or the resolver and "
					 "reload"));
		watch_resolved(control->watch, backend, false);
		return;
	}
	backend->addr = *addr;
	watch_resolved(control->watch, backend, true);
	await_checks(control);
	LOG(control->log, LOG_INFO, "backend name resolved", LOG_STR("name", backend->name),
		LOG_ADDR("address", addr));
}

static bool names_are_known(const struct control *control)
{
	return !control->resolver || resolver_is_done(control->resolver);
}

void control_await_backends(struct control *control)
{
	u64 names_until_ms = loop_now_ms(control->loop) + resolve_wait_ms;
	// After a crash connections are waiting already.
	u64 again_until_ms =
		control->handover->inherit.restarts && !control->handover->inherit.upgrades
			? loop_now_ms(control->loop) + again_wait_ms
			: UINT64_MAX;
	int error = 0;

	control->resolver =
		resolver_start(control->snapshot, control->loop, control, on_resolved, &error);
	if (error)
		LOG(control->log, LOG_ERROR, "names of backends cannot be looked up",
			LOG_ERRNO(error));
	await_checks(control);
	for (;;) {
		u64 until_ms = 0;

		if (!names_are_known(control))
			until_ms = names_until_ms;
		if (!watch_is_complete(control->watch))
			until_ms = MAX(until_ms, control->checks_until_ms);
		until_ms = MIN(until_ms, again_until_ms);
		if (loop_now_ms(control->loop) >= until_ms)
			break;
		loop_turn(control->loop, until_ms);
	}
	if (!names_are_known(control))
		LOG(control->log, LOG_WARN, "names of backends are still being looked up",
			LOG_CSTR("state", "unresolved until the answer comes"));
}
