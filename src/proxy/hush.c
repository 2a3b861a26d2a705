// SPDX-License-Identifier: Apache-2.0
#include "proxy/hush.h"

enum { hush_ms = 1000 };

static bool say_rest(struct hush *hush)
{
	u64 times = hush->unsaid;

	hush->unsaid = 0;
	if (times)
		hush->say(hush, times);
	return times;
}

static void keep_quiet(struct hush *hush)
{
	loop_timer_set(hush->loop, &hush->timer, loop_now_ms(hush->loop) + hush_ms);
}

static void on_timer(struct timer *timer)
{
	struct hush *hush = container_of(timer, struct hush, timer);

	if (say_rest(hush))
		keep_quiet(hush);
}

void hush_init(struct hush *hush, struct loop *loop, hush_say_fn *say)
{
	*hush = (struct hush){.loop = loop, .say = say};
	timer_init(&hush->timer, on_timer);
}

bool hush_is_news(struct hush *hush)
{
	if (timer_is_set(&hush->timer)) {
		hush->unsaid++;
		return false;
	}
	keep_quiet(hush);
	return true;
}

void hush_done(struct hush *hush)
{
	loop_timer_cancel(hush->loop, &hush->timer);
	say_rest(hush);
}
