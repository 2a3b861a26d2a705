// SPDX-License-Identifier: Apache-2.0
#include "cli/top_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/call.h"

enum { again_ms = 1000, connection_bytes_max = 1 << 28, events_asked = 500 };

struct top_feed {
	struct ask_where where;
	int stop_fd;	// an event counter: readable once it is to end
	int news_fd[2]; // a pipe of pointers
	pthread_t listener, orderer;
	bool has_order;		  // orderer runs, or has run
	atomic_bool order_is_out; // it runs
	// Of the order.
	char *path, *etag, *name;
	bool enables;
};

// ---- News ---------------------------------------------------------------------------------------

void top_news_free(struct top_news *news)
{
	if (news)
		text_done(&news->body);
	mem_free(news);
}

// Who does not look for so long that the pipe is full will get the next ones.
static void send_news(struct top_feed *feed, enum top_news_kind kind, struct str body)
{
	struct top_news *news = mem_alloc(sizeof(*news));

	news->kind = kind;
	text_add(&news->body, body);
	if (write(feed->news_fd[1], &news, sizeof(news)) != (ssize_t)sizeof(news))
		top_news_free(news);
}

struct top_news *top_feed_take(struct top_feed *feed)
{
	struct top_news *news = NULL;

	if (read(feed->news_fd[0], &news, sizeof(news)) != (ssize_t)sizeof(news))
		return NULL;
	return news;
}

// ---- Listening ----------------------------------------------------------------------------------

static bool has_to_stop(const struct top_feed *feed, int wait_ms)
{
	struct pollfd stop = {.fd = feed->stop_fd, .events = POLLIN};

	return poll(&stop, 1, wait_ms) > 0;
}

static bool take_event(void *owner, struct str event, struct str data)
{
	struct top_feed *feed = owner;

	if (str_eq(event, STR("state")))
		send_news(feed, TOP_NEWS_STATE, data);
	else if (str_eq(event, STR("event")))
		send_news(feed, TOP_NEWS_EVENT, data);
	return true;
}

// 0, or what ask says.
static int fetch(struct top_feed *feed, struct arena *arena, const char *path,
	enum top_news_kind kind, struct ask_trouble *trouble)
{
	struct call call = {.method = "GET", .path = path, .body = STR_EMPTY};
	struct str body;
	u16 status;
	int code = call_try(&feed->where, &call, arena, &body, &status, trouble);

	if (code == EXIT_OK)
		send_news(feed, kind, body);
	return code;
}

static void fetch_events(struct top_feed *feed, struct arena *arena)
{
	struct ask_trouble trouble;

	// Whoever has none tells none: the rest is worth seeing without them.
	(void)fetch(feed, arena, arena_printf(arena, "/api/v1/events?limit=%d", events_asked),
		TOP_NEWS_EVENTS, &trouble);
}

static void listen_once(struct top_feed *feed, struct arena *arena, struct ask_trouble *trouble)
{
	struct ask_question question = {
		.method = "GET", .path = "/api/v1/stream", .body = STR_EMPTY};
	struct ask_stream *stream = NULL;
	struct ask_answer answer;
	int more;

	*trouble = (struct ask_trouble){"the connection has ended", ""};
	if (ask_stream_open(&feed->where, &question, arena, &stream, &answer, trouble) != 0)
		return;
	fetch_events(feed, arena);
	if (!stream) { // an older weir, or one whose streams are all taken
		if (fetch(feed, arena, "/api/v1/state", TOP_NEWS_STATE, trouble) == EXIT_OK)
			trouble->cause = NULL;
		return;
	}
	do {
		more = ask_stream_read(stream, true, take_event, feed, trouble);
	} while (more > 0);
	ask_stream_close(stream);
}

static void *listener_main(void *context)
{
	struct top_feed *feed = context;
	struct ask_trouble trouble;
	struct arena arena;

	do {
		arena_init(&arena, connection_bytes_max);
		listen_once(feed, &arena, &trouble);
		if (trouble.cause && !has_to_stop(feed, 0))
			send_news(feed, TOP_NEWS_TROUBLE, str_from(trouble.cause));
		arena_done(&arena);
	} while (!has_to_stop(feed, again_ms));
	return NULL;
}

// ---- Orders -------------------------------------------------------------------------------------

static const char *told(const struct top_feed *feed, struct str body, struct arena *arena)
{
	json_t *tree = json_loadb(body.ptr, body.len, 0, NULL);
	double event = call_number(tree, "event");
	const char *text = arena_printf(arena, "%s %s.", feed->name,
		feed->enables ? "is enabled" : "drains: it gets no new requests");

	if (event > 0)
		text = arena_printf(arena, "%s weir undo %.0f takes it back.", text, event);
	json_decref(tree);
	return text;
}

static void *orderer_main(void *context)
{
	struct top_feed *feed = context;
	struct call call = {.method = "POST",
		.path = feed->path,
		.body = STR_EMPTY,
		.etag = feed->etag[0] ? feed->etag : NULL};
	struct ask_trouble trouble;
	struct arena arena;
	struct str body;
	u16 status;
	int code;

	arena_init(&arena, connection_bytes_max);
	code = call_try(&feed->where, &call, &arena, &body, &status, &trouble);
	send_news(feed, TOP_NEWS_ORDER,
		str_from(code == EXIT_OK ? told(feed, body, &arena)
					 : arena_printf(&arena, "Not done: %s. %s", trouble.cause,
						   trouble.cure)));
	arena_done(&arena);
	atomic_store(&feed->order_is_out, false);
	return NULL;
}

static void end_order(struct top_feed *feed)
{
	if (feed->has_order)
		pthread_join(feed->orderer, NULL);
	feed->has_order = false;
	mem_free(feed->path);
	mem_free(feed->etag);
	mem_free(feed->name);
	feed->path = feed->etag = feed->name = NULL;
}

static char *copy(const char *text)
{
	return mem_strndup(text, strlen(text));
}

bool top_feed_order(struct top_feed *feed, const struct top_order_ask *order)
{
	struct arena arena;

	if (feed->has_order && atomic_load(&feed->order_is_out))
		return false;
	end_order(feed);
	arena_init(&arena, connection_bytes_max);
	feed->path = copy(arena_printf(&arena, "/api/v1/pools/%s/backends/%s/%s",
		call_encode(&arena, str_from(order->pool)),
		call_encode(&arena, str_from(order->id)), order->enables ? "enable" : "drain"));
	feed->name = copy(arena_printf(&arena, "%s/%s", order->pool, order->id));
	feed->etag = copy(order->etag);
	feed->enables = order->enables;
	arena_done(&arena);
	atomic_store(&feed->order_is_out, true);
	feed->has_order = pthread_create(&feed->orderer, NULL, orderer_main, feed) == 0;
	return feed->has_order;
}

// ---- Beginning and end --------------------------------------------------------------------------

int top_feed_start(const struct ask_where *where, struct top_feed **ret_feed)
{
	struct top_feed *feed = mem_alloc(sizeof(*feed));
	int error = 0;

	feed->where = *where;
	feed->where.stop_fd = &feed->stop_fd;
	feed->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (feed->stop_fd < 0 || pipe2(feed->news_fd, O_CLOEXEC | O_NONBLOCK) != 0)
		error = -errno;
	if (!error)
		error = -pthread_create(&feed->listener, NULL, listener_main, feed);
	if (error) // the process is about to end, and gives back what is open
		mem_free(feed);
	else
		*ret_feed = feed;
	return error;
}

int top_feed_fd(const struct top_feed *feed)
{
	return feed->news_fd[0];
}

void top_feed_stop(struct top_feed *feed)
{
	u64 one = 1;
	struct top_news *news;

	ASSERT(write(feed->stop_fd, &one, sizeof(one)) == (ssize_t)sizeof(one));
	pthread_join(feed->listener, NULL);
	end_order(feed);
	while ((news = top_feed_take(feed)) != NULL)
		top_news_free(news);
	close(feed->news_fd[0]);
	close(feed->news_fd[1]);
	close(feed->stop_fd);
	mem_free(feed);
}
