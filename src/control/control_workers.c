// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/mem.h"
#include "control/control_inside.h"
#include "control/logger.h"

enum {
	large_blocks_min = 2048,
	large_blocks_max = 32 * 1024,
	spans_per_worker = 2048, // a second's worth of many of them
};

static void on_worker_ended(struct message *message)
{
	struct worker *worker = container_of(message, struct worker, ended_message);
	struct control *control = container_of(worker->workers, struct control, workers);

	LOG(control->log, LOG_INFO, "worker ended", LOG_U64("worker", worker->index));
	if (--control->workers_running > 0)
		return;
	control->finished = true;
	loop_timer_cancel(control->loop, &control->drain_timer);
	watch_leave_workers(control->watch);
	for (u32 i = 0; i < control->workers_started; i++)
		worker_join(&control->workers.all[i]);
}

static void make_spans(struct control *control)
{
	if (control->conf->tracing.otlp.url.len == 0)
		return;
	control->spans = mem_alloc(sizeof(*control->spans) * control->workers.count);
	for (u32 i = 0; i < control->workers.count; i++) {
		control->spans[i] = &control->workers.all[i].spans;
		span_ring_init(control->spans[i], spans_per_worker);
	}
}

static void free_spans(struct control *control)
{
	if (control->spans)
		for (u32 i = 0; i < control->workers.count; i++)
			span_ring_done(control->spans[i]);
	mem_free(control->spans);
}

void control_prepare_workers(struct control *control)
{
	static const enum loop_kind kinds[] = {[CONF_IO_AUTO] = LOOP_AUTO,
		[CONF_IO_URING] = LOOP_URING,
		[CONF_IO_EPOLL] = LOOP_EPOLL};
	u32 count = control->workers.count, binds = control_count_binds(control->conf);
	u32 room = control_binds_max(control->conf);
	u32 clients = (u32)((control->max_connections + count - 1) / count);
	u32 large = MIN(MAX(clients * 2, (u32)large_blocks_min), (u32)large_blocks_max);

	control->workers.all = mem_alloc_lines(sizeof(struct worker) * count);
	for (u32 i = 0; i < count; i++) {
		struct worker *worker = &control->workers.all[i];

		worker->index = i;
		worker->closed = true;
		worker->workers = &control->workers;
		if (control->conf->metrics.enabled)
			worker->stats = stats_new(control->snapshot);
		if (control->conf->admin.records)
			worker->records = records_new(i);
		worker->listeners = mem_alloc(sizeof(struct listener) * room);
		worker->listener_count = binds;
		worker->config = (struct worker_config){
			.io = kinds[control->conf->runtime.io],
			.blocks = {.large_blocks_max = large,
				.small_blocks_max = clients * 4 + 1024},
			.limits = {.clients_max = clients, .links_max = clients * 2 + 64},
			.snapshot = control->snapshot,
			.logger = control->logger,
			.control_loop = control->loop,
			.on_ended = on_worker_ended,
			.on_let_go = reload_let_go,
			.reload = control->reload,
			.reports = watch_reports(control->watch),
			.pin = control->conf->runtime.pin,
			.seed = control->seed,
		};
		access_config_init(&worker->config.access, &control->conf->log);
	}
	snapshot_guard(control->snapshot, (u64)clients * count, control->seed);
	make_spans(control);
}

int control_start_workers(struct control *control)
{
	for (u32 i = 0; i < control->workers.count; i++) {
		int error = worker_start(&control->workers.all[i]);

		if (error) {
			fprintf(stderr,
				"weir: worker %u cannot start: %s%s%s. Try io: epoll, or more "
				"memory.\n",
				i, strerror(-error), control->workers.all[i].loop_why ? ": " : "",
				control->workers.all[i].loop_why ? control->workers.all[i].loop_why
								 : "");
			return error;
		}
		control->workers_started++;
		control->workers_running++;
	}
	return 0;
}

void control_end_workers(struct control *control)
{
	for (u32 i = 0; i < control->workers_started; i++)
		worker_abort(&control->workers.all[i]);
	while (control->workers_running)
		loop_turn(control->loop, UINT64_MAX);
}

void control_free_workers(struct control *control)
{
	if (control->workers.all)
		for (u32 i = 0; i < control->workers.count; i++) {
			mem_free(control->workers.all[i].listeners);
			stats_free(control->workers.all[i].stats);
			records_free(control->workers.all[i].records);
		}
	free_spans(control);
	mem_free(control->workers.all);
}
