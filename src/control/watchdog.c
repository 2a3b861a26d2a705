// SPDX-License-Identifier: Apache-2.0
#include "control/watchdog.h"

#include "base/mem.h"

struct watchdog_ask {
	struct watchdog *watchdog;
	struct worker_call call;
};

// That it runs is the answer.
static void answer(struct worker_call *call, struct proxy *proxy)
{
	(void)call;
	(void)proxy;
}

static void on_answer(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);

	container_of(call, struct watchdog_ask, call)->watchdog->asks_out--;
}

static void ask_all(struct watchdog *watchdog)
{
	for (u32 i = 0; i < watchdog->workers->count; i++) {
		struct watchdog_ask *ask = &watchdog->asks[i];

		ask->watchdog = watchdog;
		ask->call = (struct worker_call){
			.run = answer, .asker = watchdog->loop, .answered = on_answer};
		watchdog->asks_out++;
		worker_call(&watchdog->workers->all[i], &ask->call);
	}
}

static void wait_half(struct watchdog *watchdog)
{
	u64 half_ms = MAX(watchdog->handover->watchdog_us / 2000, 1u);

	loop_timer_set(watchdog->loop, &watchdog->timer, loop_now_ms(watchdog->loop) + half_ms);
}

static void on_half(struct timer *timer)
{
	struct watchdog *watchdog = container_of(timer, struct watchdog, timer);

	if (watchdog->asks_out == 0) {
		handover_notify(watchdog->handover, "WATCHDOG=1", NULL);
		ask_all(watchdog);
	}
	wait_half(watchdog);
}

void watchdog_start(struct watchdog *watchdog, struct loop *loop, struct handover *handover,
	struct workers *workers)
{
	if (!handover->watchdog_us)
		return;
	ASSERT(!watchdog->asks);
	watchdog->loop = loop;
	watchdog->handover = handover;
	watchdog->workers = workers;
	watchdog->asks = mem_alloc(sizeof(*watchdog->asks) * workers->count);
	timer_init(&watchdog->timer, on_half);
	ask_all(watchdog);
	wait_half(watchdog);
}

void watchdog_stop(struct watchdog *watchdog)
{
	if (watchdog->asks)
		loop_timer_cancel(watchdog->loop, &watchdog->timer);
}

// Workers that have ended have answered, too (worker_call).
void watchdog_done(struct watchdog *watchdog)
{
	watchdog_stop(watchdog);
	while (watchdog->asks_out)
		loop_turn(watchdog->loop, UINT64_MAX);
	mem_free(watchdog->asks);
	watchdog->asks = NULL;
}
