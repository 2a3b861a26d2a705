// SPDX-License-Identifier: Apache-2.0
// Calls to workers: each runs on the worker's thread or is told that the worker is gone, and comes
// back once, whenever the worker ends.
#include "pools.h"

#include "base/mem.h"
#include "control/worker.h"

enum { workers = 2, calls = 3000, rounds = 20 };

struct scene {
	struct pools pools;
	struct logger *logger;
	struct loop *loop; // of control and asker
	struct workers workers;
	u32 running;
};

struct question {
	struct worker_call call;
	struct scene *scene;
	pthread_t ran_on;
	u32 again; // runs that are wanted beside the first
	u32 ran, answered;
};

static struct scene scene;

static void on_ended(struct message *message)
{
	(void)message;
	scene.running--;
}

static void start(void)
{
	static const struct loop_limits blocks = {16, 64};
	struct logger_config logger = {.level = LOG_ERROR, .log = {.kind = LOGGER_NONE}};
	const struct logger_output *failed;
	const char *why;

	scene = (struct scene){0};
	assert_int_equal(loop_new(LOOP_EPOLL, &blocks, &scene.loop, &why), 0);
	assert_int_equal(logger_start(&logger, &scene.logger, &failed), 0);
	pools_init(&scene.pools, 3);
	pools_build(&scene.pools, workers, loop_now_ms(scene.loop));
	scene.workers.count = workers;
	scene.workers.all = mem_alloc_lines(sizeof(struct worker) * workers);
	for (u32 i = 0; i < workers; i++) {
		struct worker *worker = &scene.workers.all[i];

		worker->index = i;
		worker->closed = true;
		worker->workers = &scene.workers;
		worker->config = (struct worker_config){.io = LOOP_EPOLL,
			.blocks = blocks,
			.limits = {.clients_max = 8, .links_max = 8},
			.snapshot = scene.pools.snapshot,
			.logger = scene.logger,
			.control_loop = scene.loop,
			.on_ended = on_ended,
			.seed = 1};
		if (i == 0)
			worker->records = records_new(i);
		assert_int_equal(worker_start(worker), 0);
		scene.running++;
	}
}

static void ask(struct question *question, u32 worker);

static void stop(void)
{
	struct question late = {0};

	for (u32 i = 0; i < workers; i++)
		worker_join(&scene.workers.all[i]);
	ask(&late, 0); // who does not know that it is over may still ask
	while (!late.answered)
		loop_turn(scene.loop, UINT64_MAX);
	assert_true(late.call.gone);
	records_free(scene.workers.all[0].records);
	mem_free(scene.workers.all);
	logger_stop(scene.logger);
	pools_done(&scene.pools);
	loop_free(scene.loop);
}

static void run(struct worker_call *call, struct proxy *proxy)
{
	struct question *question = container_of(call, struct question, call);

	assert_ptr_equal(proxy, &call->worker->proxy);
	question->ran_on = pthread_self();
	call->again = question->ran++ < question->again;
}

static void answered(struct message *message)
{
	struct question *question = container_of(message, struct question, call.message);

	question->answered++;
}

static void ask(struct question *question, u32 worker)
{
	question->call.run = run;
	question->call.asker = scene.loop;
	question->call.answered = answered;
	worker_call(&scene.workers.all[worker], &question->call);
}

static void calls_run_on_the_worker(void **state)
{
	struct question questions[workers] = {0};

	(void)state;
	start();
	assert_ptr_equal(scene.workers.all[0].proxy.records, scene.workers.all[0].records);
	assert_null(scene.workers.all[1].proxy.records);
	for (u32 i = 0; i < workers; i++) {
		questions[i].again = i * 100;
		ask(&questions[i], i);
	}
	for (u32 i = 0; i < workers; i++) {
		while (!questions[i].answered)
			loop_turn(scene.loop, UINT64_MAX);
		assert_int_equal(questions[i].ran, 1 + i * 100);
		assert_false(questions[i].call.gone);
		assert_true(pthread_equal(questions[i].ran_on, scene.workers.all[i].thread));
	}
	for (u32 i = 0; i < workers; i++)
		worker_drain(&scene.workers.all[i]);
	while (scene.running)
		loop_turn(scene.loop, UINT64_MAX);
	// It has ended, and its memory is still there.
	ask(&questions[0], 0);
	while (questions[0].answered < 2)
		loop_turn(scene.loop, UINT64_MAX);
	assert_true(questions[0].call.gone);
	assert_int_equal(questions[0].ran, 1);
	stop();
}

// Somewhere among the calls the workers end.
static void calls_while_workers_end(void **state)
{
	struct question *questions = mem_alloc(sizeof(*questions) * calls);

	(void)state;
	for (u32 round = 0; round < rounds; round++) {
		u32 ran = 0, answers = 0;

		memset(questions, 0, sizeof(*questions) * calls);
		start();
		for (u32 i = 0; i < calls; i++) {
			if (i == calls / 4 + round)
				for (u32 k = 0; k < workers; k++)
					worker_drain(&scene.workers.all[k]);
			questions[i].again = i % 3;
			ask(&questions[i], i % workers);
			if (i % 64 == 0)
				loop_turn(scene.loop, 0);
		}
		while (scene.running || answers < calls) {
			loop_turn(scene.loop, loop_now_ms(scene.loop) + 10);
			answers = 0;
			for (u32 i = 0; i < calls; i++)
				answers += questions[i].answered;
		}
		for (u32 i = 0; i < calls; i++) {
			assert_int_equal(questions[i].answered, 1);
			if (questions[i].call.gone)
				assert_in_range(questions[i].ran, 0, i % 3);
			else
				assert_int_equal(questions[i].ran, 1 + i % 3);
			ran += questions[i].ran != 0;
		}
		assert_true(ran >= calls / 4);
		stop();
	}
	mem_free(questions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_run_on_the_worker),
		cmocka_unit_test(calls_while_workers_end),
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
