// SPDX-License-Identifier: Apache-2.0
#include "cli/top.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "cli/call.h"
#include "cli/terminal.h"
#include "cli/top_draw.h"
#include "cli/top_feed.h"
#include "cli/top_terminal.h"

enum { escape_wait_ms = 50, news_at_once = 64 };

struct top {
	const struct cli *cli;
	struct top_model *model;
	struct top_view view;
	struct top_size size;
	struct top_terminal terminal;
	struct top_feed *feed;
	struct text frame;
	struct text trouble;
	int signals, ticks;
	int deadly;    // a signal that ends it; 0: none came
	bool has_left; // it is over
	bool key_waits;
};

// ---- Drawing ------------------------------------------------------------------------------------

static struct top_page page(const struct top *top)
{
	return top_draw_page(top->model, &top->view, &top->size);
}

static void arrange(struct top *top)
{
	top_model_arrange(top->model, &top->view.order);
	top_view_settle(&top->view, top->model, page(top).rows);
}

static void draw(struct top *top)
{
	arrange(top);
	text_clear(&top->frame);
	top_draw(top->model, &top->view, &top->size, &top->frame);
	top_terminal_show(&top->terminal, str_make(top->frame.data, top->frame.len));
}

static void measure(struct top *top)
{
	top_terminal_measure(&top->terminal);
	top->size.rows = top->terminal.rows;
	top->size.look.columns = top->terminal.columns;
}

// ---- What comes from weir -----------------------------------------------------------------------

static void take_trouble(struct top *top, struct str body)
{
	text_clear(&top->trouble);
	text_add(&top->trouble, body);
	top->view.trouble = top->trouble.data;
}

static void take_one(struct top *top, const struct top_news *news)
{
	struct str body = str_make(news->body.data, news->body.len);

	switch (news->kind) {
	case TOP_NEWS_STATE:
		if (top_model_take_state(top->model, body) == 0) {
			top->view.trouble = NULL;
			top->view.age_s = 0;
		}
		break;
	case TOP_NEWS_EVENTS:
		top_model_take_events(top->model, body);
		break;
	case TOP_NEWS_EVENT:
		top_model_take_event(top->model, body);
		break;
	case TOP_NEWS_TROUBLE:
		take_trouble(top, body);
		break;
	case TOP_NEWS_ORDER:
		top_view_say(&top->view, news->body.data);
		break;
	}
}

static void take_news(struct top *top)
{
	for (u32 i = 0; i < news_at_once; i++) {
		struct top_news *news = top_feed_take(top->feed);

		if (!news)
			return;
		if (news->body.len)
			take_one(top, news);
		top_news_free(news);
	}
}

// ---- Keys ---------------------------------------------------------------------------------------

static void steer(struct top *top)
{
	const json_t *target = top->view.target;
	struct top_order_ask order = {.pool = call_string(target, "pool"),
		.id = call_string(target, "id"),
		.etag = call_string(target, "etag"),
		.enables = top->view.enables};

	if (!top_feed_order(top->feed, &order))
		top_view_say(&top->view, "Another order is on its way: ask again.");
	else
		top_view_say(&top->view, "Asked for it.");
}

static void take_key(struct top *top, u32 key)
{
	struct top_page shown = page(top);
	enum top_act act = top_view_key(&top->view, top->model, &shown, key);

	if (act == TOP_QUIT)
		top->has_left = true;
	if (act == TOP_STEER)
		steer(top);
	arrange(top); // the next key is about what this one shows
}

static void take_keys(struct top *top)
{
	u32 keys[TOP_KEYS_MAX];
	int count = top_terminal_read(&top->terminal, keys, &top->key_waits);

	if (count < 0)
		top->has_left = true;
	for (int i = 0; i < count && !top->has_left; i++)
		take_key(top, keys[i]);
}

// ---- Signals and time ---------------------------------------------------------------------------

static void fill_signals(sigset_t *set)
{
	static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};

	sigemptyset(set);
	for (u32 i = 0; i < ARRAY_LEN(all); i++)
		sigaddset(set, all[i]);
}

static void come_back(struct top *top)
{
	top_terminal_enter(&top->terminal);
	measure(top);
}

// Stops as everybody is stopped; goes on here when it is continued.
static void suspend(struct top *top)
{
	sigset_t stop;

	top_terminal_leave(&top->terminal);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	come_back(top);
}

static void take_signal(struct top *top)
{
	struct signalfd_siginfo info;

	if (read(top->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGWINCH:
		measure(top);
		break;
	case SIGTSTP:
		suspend(top);
		break;
	case SIGCONT: // after SIGSTOP, of which nobody is told
		come_back(top);
		break;
	default:
		top->deadly = (int)info.ssi_signo;
		top->has_left = true;
		break;
	}
}

static void take_tick(struct top *top)
{
	u64 seconds = 0;

	if (read(top->ticks, &seconds, sizeof(seconds)) != (ssize_t)sizeof(seconds))
		return;
	for (u64 i = 0; i < seconds; i++)
		top_view_tick(&top->view);
}

// ---- The loop -----------------------------------------------------------------------------------

static void turn(struct top *top)
{
	bool is_full = top_terminal_flush(&top->terminal);
	struct pollfd polls[] = {
		{.fd = top->terminal.fd, .events = (short)(is_full ? POLLIN | POLLOUT : POLLIN)},
		{.fd = top->signals, .events = POLLIN},
		{.fd = top->ticks, .events = POLLIN},
		{.fd = top_feed_fd(top->feed), .events = POLLIN},
	};
	int ready = poll(polls, ARRAY_LEN(polls), top->key_waits ? escape_wait_ms : -1);

	if (ready < 0)
		return;
	if (polls[1].revents)
		take_signal(top);
	if (polls[2].revents)
		take_tick(top);
	if (polls[3].revents)
		take_news(top);
	if (polls[0].revents & ~POLLOUT && !top->has_left) {
		take_keys(top);
	} else if (ready == 0 && top->key_waits) {
		top->key_waits = false;
		take_key(top, top_terminal_end_key(&top->terminal));
	}
}

static int prepare(struct top *top, const struct ask_where *where)
{
	struct itimerspec second = {.it_value = {.tv_sec = 1}, .it_interval = {.tv_sec = 1}};
	sigset_t set;
	int error;

	fill_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	top->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	top->ticks = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (top->signals < 0 || top->ticks < 0 ||
		timerfd_settime(top->ticks, 0, &second, NULL) != 0)
		return -errno;
	error = top_terminal_open(&top->terminal);
	if (error)
		return error;
	error = top_feed_start(where, &top->feed);
	if (error)
		top_terminal_close(&top->terminal);
	return error;
}

static void finish(struct top *top)
{
	top_terminal_close(&top->terminal);
	top_feed_stop(top->feed);
	top_view_done(&top->view);
	text_done(&top->frame);
	text_done(&top->trouble);
	close(top->signals);
	close(top->ticks);
}

// The signal does what it would have done.
static void die(int number)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	signal(number, SIG_DFL);
	raise(number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int top_run(const struct cli *cli, const struct ask_where *where, struct top_model *model)
{
	struct top top = {.cli = cli, .model = model};
	int error;

	top_view_init(&top.view);
	top.size.look = terminal_look(cli->environ);
	error = prepare(&top, where);
	if (error) {
		fprintf(stderr,
			"weir: unable to use this terminal: %s. weir top --once does "
			"without.\n",
			strerror(-error));
		return EXIT_FAILED;
	}
	come_back(&top);
	do {
		draw(&top);
		turn(&top);
	} while (!top.has_left);
	finish(&top);
	if (top.deadly)
		die(top.deadly);
	return EXIT_OK;
}
