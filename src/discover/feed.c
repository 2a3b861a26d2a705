// SPDX-License-Identifier: Apache-2.0
#include "discover/feed.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/thread.h"
#include "discover/keep.h"

enum {
	arena_bytes_max = 1 << 20,
	thread_blocks = 8, // its loop receives nothing
};

struct feed {
	struct arena arena;
	struct conf_provider provider;
	struct conf_resolver resolver;
	const char *folder;
	u64 seed;
	const struct source_kind *kind;
	atomic_uint users;
	int ended_fd;

	pthread_t thread;
	bool is_joined; // the listener's

	pthread_mutex_t lock; // over these three, and over every post
	bool stopped;	      // nobody listens any more
	bool has_ended;
	struct loop *thread_loop; // NULL: not yet

	struct loop *loop; // the listener's
	void *owner;
	void (*told)(void *owner, const struct feed_news *news);

	struct message stop_message; // to the thread
	bool stopping;		     // the thread's
};

struct news {
	struct message message;
	struct feed *feed;
	struct feed_news what;
	char *cause, *cure;
};

static void feed_drop(struct feed *feed)
{
	if (atomic_fetch_sub(&feed->users, 1) > 1)
		return;
	pthread_mutex_destroy(&feed->lock);
	close(feed->ended_fd);
	arena_done(&feed->arena);
	mem_free(feed);
}

// ---- News, from the thread to the listener ------------------------------------------------------

static void free_news(struct news *news)
{
	rows_free(news->what.rows);
	mem_free(news->cause);
	mem_free(news->cure);
	feed_drop(news->feed);
	mem_free(news);
}

static void deliver_news(struct message *message)
{
	struct news *news = container_of(message, struct news, message);
	struct feed *feed = news->feed;

	if (!feed->stopped) { // only this thread writes it
		feed->told(feed->owner, &news->what);
		news->what.rows = NULL;
	}
	free_news(news);
}

static void tell(struct feed *feed, struct feed_news what)
{
	struct news *news = mem_alloc(sizeof(*news));
	bool stopped;

	*news = (struct news){.message = {.deliver = deliver_news},
		.feed = feed,
		.what = what,
		.cause = what.cause ? mem_strndup(what.cause, strlen(what.cause)) : NULL,
		.cure = what.cure ? mem_strndup(what.cure, strlen(what.cure)) : NULL};
	news->what.cause = news->cause;
	news->what.cure = news->cure;
	atomic_fetch_add(&feed->users, 1);
	pthread_mutex_lock(&feed->lock);
	stopped = feed->stopped;
	if (!stopped)
		loop_post(feed->loop, &news->message);
	pthread_mutex_unlock(&feed->lock);
	if (stopped)
		free_news(news);
}

static void on_rows(void *owner, struct rows *rows)
{
	tell(owner, (struct feed_news){.kind = FEED_ROWS, .rows = rows});
}

static void on_trouble(void *owner, const char *cause, const char *cure)
{
	tell(owner, (struct feed_news){.kind = FEED_TROUBLE, .cause = cause, .cure = cure});
}

static void tell_stored(struct feed *feed)
{
	struct feed_news news = {.kind = FEED_STORED};

	if (feed->folder)
		news.rows = keep_read(feed->folder, feed->provider.name, &news.error);
	tell(feed, news);
}

// ---- The thread ---------------------------------------------------------------------------------

static void on_stop(struct message *message)
{
	container_of(message, struct feed, stop_message)->stopping = true;
}

static void serve(struct feed *feed, struct loop *loop)
{
	struct source_config config = {.provider = &feed->provider,
		.resolver = &feed->resolver,
		.loop = loop,
		.seed = feed->seed,
		.sink = {.owner = feed, .rows = on_rows, .trouble = on_trouble}};
	void *source;

	if (feed->kind->missing) {
		on_trouble(feed, feed->kind->missing, "build it with that library");
		while (!feed->stopping)
			loop_turn(loop, UINT64_MAX);
		return;
	}
	source = feed->kind->open(&config);
	while (!feed->stopping)
		loop_turn(loop, UINT64_MAX);
	feed->kind->stop(source);
	while (!feed->kind->is_idle(source))
		loop_turn(loop, UINT64_MAX);
	feed->kind->free(source);
}

static void *thread_main(void *arg)
{
	struct loop_limits limits = {
		.large_blocks_max = thread_blocks, .small_blocks_max = thread_blocks};
	struct feed *feed = arg;
	struct loop *loop = NULL;
	const u64 one = 1;
	const char *why;
	int error;

	thread_give_way();
	error = loop_new(LOOP_EPOLL, &limits, &loop, &why);

	tell_stored(feed);
	if (error) {
		on_trouble(feed, strerror(-error), "raise the limit of descriptors");
	} else {
		pthread_mutex_lock(&feed->lock);
		feed->thread_loop = loop;
		feed->stopping = feed->stopped;
		pthread_mutex_unlock(&feed->lock);
		serve(feed, loop);
		pthread_mutex_lock(&feed->lock);
		feed->has_ended = true;
		pthread_mutex_unlock(&feed->lock);
		loop_turn(loop, 0); // what was posted before
		loop_free(loop);
	}
	(void)!write(feed->ended_fd, &one, sizeof(one));
	feed_drop(feed);
	return NULL;
}

// ---- Orders, from the listener to the thread ----------------------------------------------------

struct keep_order {
	struct message message;
	struct feed *feed;
	struct rows *rows;
};

static void deliver_keep(struct message *message)
{
	struct keep_order *order = container_of(message, struct keep_order, message);
	struct feed *feed = order->feed;

	tell(feed, (struct feed_news){.kind = FEED_KEPT,
			   .error = keep_write(feed->folder, feed->provider.name, order->rows)});
	rows_free(order->rows);
	mem_free(order);
}

void feed_keep(struct feed *feed, struct rows *rows)
{
	struct keep_order *order = mem_alloc(sizeof(*order));
	bool posted;

	*order = (struct keep_order){
		.message = {.deliver = deliver_keep}, .feed = feed, .rows = rows};
	pthread_mutex_lock(&feed->lock);
	posted = feed->folder && feed->thread_loop && !feed->has_ended && !feed->stopped;
	if (posted)
		loop_post(feed->thread_loop, &order->message);
	pthread_mutex_unlock(&feed->lock);
	if (posted)
		return;
	rows_free(rows);
	mem_free(order);
}

void feed_stop(struct feed *feed)
{
	pthread_mutex_lock(&feed->lock);
	if (!feed->stopped && feed->thread_loop && !feed->has_ended)
		loop_post(feed->thread_loop, &feed->stop_message);
	feed->stopped = true;
	pthread_mutex_unlock(&feed->lock);
}

bool feed_await_end(struct feed *feed, u32 wait_ms)
{
	struct pollfd ended = {.fd = feed->ended_fd, .events = POLLIN};

	if (!feed->is_joined && poll(&ended, 1, (int)wait_ms) == 1) {
		pthread_join(feed->thread, NULL); // what its libraries keep for it goes now
		feed->is_joined = true;
	}
	return feed->is_joined;
}

void feed_leave(struct feed *feed)
{
	if (!feed->is_joined)
		pthread_detach(feed->thread);
	feed_drop(feed);
}

const struct conf_provider *feed_provider(const struct feed *feed)
{
	return &feed->provider;
}

// ---- Beginning ----------------------------------------------------------------------------------

static void copy_texts(struct feed *feed, const struct feed_config *config)
{
	struct str *const texts[] = {&feed->provider.name, &feed->provider.pool,
		&feed->provider.url, &feed->provider.url_from, &feed->provider.path,
		&feed->provider.table, &feed->provider.column, &feed->provider.channel,
		&feed->provider.host};
	struct str *servers = arena_zalloc(
		&feed->arena, sizeof(*servers) * (config->resolver->server_count + 1u));

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = arena_str(&feed->arena, texts[i]->ptr ? *texts[i] : STR_EMPTY);
	for (u32 i = 0; i < config->resolver->server_count; i++)
		servers[i] = arena_str(&feed->arena, config->resolver->servers[i]);
	feed->resolver.servers = servers;
	feed->provider.place = (struct place){0};
	if (config->state_folder)
		feed->folder = arena_str(&feed->arena, str_from(config->state_folder)).ptr;
}

int feed_start(const struct feed_config *config, struct feed **ret_feed)
{
	struct feed *feed = mem_alloc(sizeof(*feed));
	int error;

	*feed = (struct feed){.provider = *config->provider,
		.resolver = *config->resolver,
		.seed = config->seed,
		.kind = source_kind_of(config->provider->type),
		.users = 2,
		.ended_fd = eventfd(0, EFD_CLOEXEC),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.loop = config->loop,
		.owner = config->owner,
		.told = config->told,
		.stop_message = {.deliver = on_stop}};
	arena_init(&feed->arena, arena_bytes_max);
	copy_texts(feed, config);
	error = feed->ended_fd < 0 ? -errno : thread_start(&feed->thread, thread_main, feed);
	if (error) {
		feed_drop(feed);
		feed_drop(feed);
		*ret_feed = NULL;
		return error;
	}
	(void)pthread_setname_np(feed->thread, "weir/provider");
	*ret_feed = feed;
	return 0;
}
