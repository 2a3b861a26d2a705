// SPDX-License-Identifier: Apache-2.0
#include "discover/discover.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "control/control.h"
#include "discover/feed.h"
#include "discover/guard.h"

enum {
	pools_bytes_max = 16 << 20,
	cause_bytes_max = 512,
	end_wait_ms = 2000, // for threads, all together
};

struct provider {
	struct discover *discover;
	struct feed *feed; // NULL: there was no thread for it
	const char *type;
	struct rows *in_use; // NULL: nothing is known
	struct rows *stored; // from the disk, in case it is needed
	u64 read_hash;	     // of the last list as it was read
	u64 fault_hash;	     // of its findings
	bool is_up, has_told, is_held, kept_failed, strangers_told, deaf_told;
	u32 skipped;
	u64 successes, errors;
	i64 success_wall_ms, since_wall_ms;
	char cause[cause_bytes_max];
	char *faults[ROWS_FAULTS_KEPT];
	u32 fault_count;
};

struct told_pool {
	struct str name;
	struct rows *told; // NULL: nothing yet
	bool needs_h2;	   // it is checked by gRPC, which others could not answer
};

struct discover {
	struct loop *loop;
	struct log *log;
	struct discover_sink sink;
	char *folder; // or NULL
	u64 seed;
	struct provider **providers;
	u32 count;
	struct arena arena; // names of pools
	struct told_pool *pools;
	u32 pool_count;
	struct timer settle_timer; // then nothing more is waited for
	bool is_late;
};

// ---- Pools --------------------------------------------------------------------------------------

static struct str pool_of(const struct provider *provider, const struct row *row)
{
	return row->pool.len ? row->pool : feed_provider(provider->feed)->pool;
}

static bool is_deaf(const struct told_pool *pool, const struct row *row)
{
	return pool->needs_h2 && !row->is_h2;
}

// What all providers say about one pool; NULL while none of them knows anything.
static struct rows *gather(const struct discover *discover, const struct told_pool *pool)
{
	struct rows *rows = rows_new();
	bool is_known = false;

	for (u32 i = 0; i < discover->count; i++) {
		const struct provider *provider = discover->providers[i];

		if (!provider->in_use)
			continue;
		is_known = true;
		rows_borrow(rows, provider->in_use);
		for (u32 j = 0; j < provider->in_use->count; j++) {
			struct row row = provider->in_use->list[j];

			if (!str_eq(pool_of(provider, &row), pool->name) ||
				rows->count == ROWS_MAX || is_deaf(pool, &row))
				continue;
			row.pool = STR_EMPTY;
			rows_add_borrowed(rows, &row);
		}
	}
	rows_finish(rows);
	if (is_known)
		return rows;
	rows_free(rows);
	return NULL;
}

static void say_change(
	const struct discover *discover, const struct told_pool *pool, const struct rows *rows)
{
	u32 added = 0, changed = 0, kept = 0, before = pool->told ? pool->told->count : 0;
	struct rows_index index;

	if (pool->told)
		rows_index_init(&index, pool->told);
	for (u32 i = 0; i < rows->count; i++) {
		i32 at = pool->told ? rows_index_find(&index, &rows->list[i]) : -1;

		added += at < 0;
		kept += at >= 0;
		changed += at >= 0 && !row_says_same(&rows->list[i], &pool->told->list[at]);
	}
	if (pool->told)
		rows_index_done(&index);
	LOG(discover->log, LOG_NOTICE, "backends of a pool changed", LOG_STR("pool", pool->name),
		LOG_U64("backends", rows->count), LOG_U64("added", added),
		LOG_U64("removed", before - kept), LOG_U64("changed", changed));
}

static void tell_pool(struct discover *discover, struct told_pool *pool)
{
	struct rows *rows = gather(discover, pool);

	if (!rows)
		return;
	// A pool that nobody has said anything about is none of ours.
	if (pool->told ? rows_hash(pool->told) == rows_hash(rows) : rows->count == 0) {
		rows_free(rows);
		return;
	}
	say_change(discover, pool, rows);
	rows_free(pool->told);
	pool->told = rows;
	discover->sink.changed(discover->sink.owner, pool->name, rows->list, rows->count);
}

static void tell_pools(struct discover *discover)
{
	for (u32 i = 0; i < discover->pool_count; i++)
		tell_pool(discover, &discover->pools[i]);
}

static const struct told_pool *find_pool(const struct discover *discover, struct str name)
{
	for (u32 i = 0; i < discover->pool_count; i++)
		if (str_eq(discover->pools[i].name, name))
			return &discover->pools[i];
	return NULL;
}

// ---- What a provider tells ----------------------------------------------------------------------

static struct str name_of(const struct provider *provider)
{
	return feed_provider(provider->feed)->name;
}

static void tell(struct provider *provider, const char *text, const char *from, const char *to,
	const char *reason)
{
	const struct discover_sink *sink = &provider->discover->sink;

	if (sink->told)
		sink->told(sink->owner, &(struct control_finding_news){.text = text,
						.from = from,
						.to = to,
						.reason = reason,
						.provider = name_of(provider),
						.pool = feed_provider(provider->feed)->pool});
}

static void forget_faults(struct provider *provider)
{
	for (u32 i = 0; i < ROWS_FAULTS_KEPT; i++) {
		mem_free(provider->faults[i]);
		provider->faults[i] = NULL;
	}
	provider->fault_count = 0;
}

static void keep_faults(struct provider *provider, const struct rows *rows)
{
	forget_faults(provider);
	provider->fault_count = rows->fault_count;
	for (u32 i = 0; i < MIN(rows->fault_count, (u32)ROWS_FAULTS_KEPT); i++)
		provider->faults[i] = mem_strndup(rows->faults[i], strlen(rows->faults[i]));
	if (rows->fault_count)
		tell(provider, "rows of a provider are not as they should be", NULL, NULL,
			rows->faults[0]);
}

static void say_faults(struct provider *provider, const struct rows *rows)
{
	u64 hash = rows_fault_hash(rows);

	if (hash == provider->fault_hash)
		return;
	provider->fault_hash = hash;
	keep_faults(provider, rows);
	for (u32 i = 0; i < MIN(rows->fault_count, (u32)ROWS_FAULTS_KEPT); i++)
		LOG(provider->discover->log, LOG_WARN, "row of a provider is not as it should be",
			LOG_STR("provider", name_of(provider)), LOG_CSTR("row", rows->faults[i]));
	if (rows->fault_count > ROWS_FAULTS_KEPT)
		LOG(provider->discover->log, LOG_WARN, "more rows of a provider are like that",
			LOG_STR("provider", name_of(provider)),
			LOG_U64("more", rows->fault_count - ROWS_FAULTS_KEPT),
			LOG_U64("left_out", rows->skipped));
}

// Rows that no pool gets, of one kind.
struct left_out {
	const struct row *first; // NULL: none
	u32 count;
};

static void leave_out(struct left_out *left_out, const struct row *row)
{
	if (left_out->count++ == 0)
		left_out->first = row;
}

static void say_strangers(struct provider *provider, const struct left_out *strangers)
{
	if (strangers->count && !provider->strangers_told)
		LOG(provider->discover->log, LOG_WARN,
			"rows of a provider name a pool that is not there",
			LOG_STR("provider", name_of(provider)), LOG_U64("rows", strangers->count),
			LOG_STR("row", strangers->first->address),
			LOG_STR("pool", strangers->first->pool),
			LOG_CSTR("cure", "define the pool, or correct the rows"));
	provider->strangers_told = strangers->count > 0;
}

static void say_deaf(struct provider *provider, const struct left_out *deaf)
{
	if (deaf->count && !provider->deaf_told)
		LOG(provider->discover->log, LOG_WARN,
			"rows of a provider are left out: their pool is checked by gRPC, and they "
			"are not spoken to by HTTP/2",
			LOG_STR("provider", name_of(provider)), LOG_U64("rows", deaf->count),
			LOG_STR("row", deaf->first->url),
			LOG_STR("pool", pool_of(provider, deaf->first)),
			LOG_CSTR("cure", "write h2c:// (h2:// with TLS) in front of their "
					 "addresses, or set protocol: h2 for the pool"));
	provider->deaf_told = deaf->count > 0;
}

static void say_left_out(struct provider *provider)
{
	struct left_out strangers = {0}, deaf = {0};

	for (u32 i = 0; i < provider->in_use->count; i++) {
		const struct row *row = &provider->in_use->list[i];
		const struct told_pool *pool =
			find_pool(provider->discover, pool_of(provider, row));

		if (!pool)
			leave_out(&strangers, row);
		else if (is_deaf(pool, row))
			leave_out(&deaf, row);
	}
	say_strangers(provider, &strangers);
	say_deaf(provider, &deaf);
}

static void say_verdict(struct provider *provider, const struct guard_result *result)
{
	bool holds = result->verdict != GUARD_TAKEN;

	if (holds && !provider->is_held)
		LOG(provider->discover->log, LOG_WARN,
			"list of a provider is not believed, what vanished stays",
			LOG_STR("provider", name_of(provider)), LOG_U64("rows", result->fresh),
			LOG_U64("before", result->in_use), LOG_U64("vanished", result->vanished),
			LOG_CSTR("rule",
				result->verdict == GUARD_FEW ? "min_backends" : "max_vanish"),
			LOG_CSTR("cure", result->verdict == GUARD_FEW
						 ? "fill it again, or lower min_backends"
						 : "fill it again, remove fewer at once, or raise "
						   "max_vanish"));
	if (!holds && provider->is_held)
		LOG(provider->discover->log, LOG_NOTICE, "list of a provider is believed again",
			LOG_STR("provider", name_of(provider)), LOG_U64("rows", result->fresh));
	if (holds && !provider->is_held)
		tell(provider, "list of a provider is not believed, what vanished stays",
			"believed", "held",
			result->verdict == GUARD_FEW ? "min_backends" : "max_vanish");
	if (!holds && provider->is_held)
		tell(provider, "list of a provider is believed again", "held", "believed", NULL);
	provider->is_held = holds;
}

static void say_up(struct provider *provider, const struct rows *rows)
{
	if (provider->is_up)
		return;
	LOG(provider->discover->log, LOG_NOTICE, "provider is well",
		LOG_STR("provider", name_of(provider)), LOG_CSTR("type", provider->type),
		LOG_U64("rows", rows->count), LOG_U64("left_out", rows->skipped));
	if (provider->cause[0])
		tell(provider, "provider is well", "down", "up", NULL);
	provider->since_wall_ms = loop_wall_ms(provider->discover->loop);
	provider->is_up = true;
	provider->cause[0] = '\0';
}

static void use(struct provider *provider, struct rows *rows)
{
	rows_free(provider->in_use);
	provider->in_use = rows;
	rows_free(provider->stored);
	provider->stored = NULL;
	say_left_out(provider);
	tell_pools(provider->discover);
}

static void keep(struct provider *provider)
{
	if (provider->discover->folder)
		feed_keep(provider->feed, rows_share(provider->in_use));
}

static void on_rows(struct provider *provider, struct rows *fresh)
{
	const struct conf_provider *conf = feed_provider(provider->feed);
	struct guard_rules rules = {conf->backends_min, conf->vanish_percent};
	const struct rows *before = provider->in_use ? provider->in_use : provider->stored;
	bool is_first = provider->successes++ == 0;
	struct guard_result result;
	u64 hash = rows_hash(fresh);

	provider->success_wall_ms = loop_wall_ms(provider->discover->loop);
	provider->skipped = fresh->skipped;
	say_up(provider, fresh);
	say_faults(provider, fresh);
	if (!is_first && hash == provider->read_hash) {
		rows_free(fresh);
		return;
	}
	provider->read_hash = hash;
	guard_judge(&rules, before, fresh, &result);
	say_verdict(provider, &result);
	use(provider, fresh);
	keep(provider);
}

static void take_stored(struct provider *provider)
{
	if (provider->in_use || !provider->stored)
		return;
	LOG(provider->discover->log, LOG_WARN, "last good list of a provider is used",
		LOG_STR("provider", name_of(provider)), LOG_U64("rows", provider->stored->count),
		LOG_STR("folder", str_from(provider->discover->folder)));
	provider->in_use = provider->stored;
	provider->stored = NULL;
	say_left_out(provider);
	tell_pools(provider->discover);
}

static void on_trouble(struct provider *provider, const char *cause, const char *cure)
{
	u32 left = provider->in_use   ? provider->in_use->count
		   : provider->stored ? provider->stored->count
				      : 0;

	bool is_new = provider->is_up || provider->cause[0] == '\0';

	provider->errors++;
	if (is_new) {
		provider->since_wall_ms = loop_wall_ms(provider->discover->loop);
		tell(provider, "provider is in trouble", provider->is_up ? "up" : NULL, "down",
			cause);
	}
	if (is_new)
		LOG(provider->discover->log, LOG_ERROR, "provider is in trouble",
			LOG_STR("provider", name_of(provider)), LOG_CSTR("type", provider->type),
			LOG_CSTR("cause", cause), LOG_CSTR("cure", cure),
			LOG_U64("last_good_rows", left));
	else if (strcmp(provider->cause, cause) != 0)
		LOG(provider->discover->log, LOG_WARN, "provider is still in trouble",
			LOG_STR("provider", name_of(provider)), LOG_CSTR("cause", cause),
			LOG_CSTR("cure", cure));
	provider->is_up = false;
	(void)snprintf(provider->cause, sizeof(provider->cause), "%s", cause);
	take_stored(provider);
}

static void on_kept(struct provider *provider, int error)
{
	if (error && !provider->kept_failed)
		LOG(provider->discover->log, LOG_WARN, "last good list cannot be kept",
			LOG_STR("provider", name_of(provider)),
			LOG_STR("folder", str_from(provider->discover->folder)), LOG_ERRNO(error),
			LOG_CSTR("cure", "let weir write there, or set STATE_DIRECTORY"));
	provider->kept_failed = error != 0;
}

static void on_stored(struct provider *provider, const struct feed_news *news)
{
	provider->stored = news->rows;
	if (news->error)
		LOG(provider->discover->log, LOG_WARN, "last good list cannot be read",
			LOG_STR("provider", name_of(provider)),
			LOG_STR("folder", str_from(provider->discover->folder)),
			LOG_ERRNO(news->error));
}

static void on_news(void *owner, const struct feed_news *news)
{
	struct provider *provider = owner;

	switch ((enum feed_news_kind)news->kind) {
	case FEED_ROWS:
		provider->has_told = true;
		on_rows(provider, news->rows);
		break;
	case FEED_STORED:
		on_stored(provider, news);
		break;
	case FEED_TROUBLE:
		provider->has_told = true;
		on_trouble(provider, news->cause, news->cure);
		break;
	case FEED_KEPT:
		on_kept(provider, news->error);
		break;
	}
}

// ---- Beginning and end --------------------------------------------------------------------------

static const char *type_name(enum conf_provider_type type)
{
	static const char *const names[] = {[CONF_PROVIDER_AUTO] = "auto",
		[CONF_PROVIDER_SQLITE] = "sqlite",
		[CONF_PROVIDER_POSTGRES] = "postgres",
		[CONF_PROVIDER_DNS] = "dns",
		[CONF_PROVIDER_FILE] = "file"};

	return names[type];
}

static struct provider *start_provider(struct discover *discover, const struct conf_provider *conf,
	const struct conf_resolver *resolver)
{
	struct provider *provider = mem_alloc(sizeof(*provider));
	struct feed_config config = {.provider = conf,
		.resolver = resolver,
		.state_folder = discover->folder,
		.seed = hash_str(conf->name, discover->seed),
		.loop = discover->loop,
		.owner = provider,
		.told = on_news};
	int error;

	provider->discover = discover;
	provider->type = type_name(conf->type);
	error = feed_start(&config, &provider->feed);
	if (!error)
		return provider;
	LOG(discover->log, LOG_ERROR, "provider cannot begin", LOG_STR("provider", conf->name),
		LOG_ERRNO(error));
	mem_free(provider);
	return NULL;
}

static void stop_provider(struct provider *provider)
{
	feed_stop(provider->feed);
	feed_leave(provider->feed);
	rows_free(provider->in_use);
	rows_free(provider->stored);
	forget_faults(provider);
	mem_free(provider);
}

static void copy_pools(struct discover *discover, const struct conf *conf)
{
	struct told_pool *before = discover->pools;
	struct arena old = discover->arena;
	u32 count = discover->pool_count;

	arena_init(&discover->arena, pools_bytes_max);
	discover->pools = mem_alloc(sizeof(*discover->pools) * MAX(conf->pool_count, 1u));
	discover->pool_count = conf->pool_count;
	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct conf_pool *pool = &conf->pools[i];

		discover->pools[i].name = arena_str(&discover->arena, pool->name);
		discover->pools[i].needs_h2 =
			pool->check.type == CONF_CHECK_GRPC && pool->protocol != CONF_POOL_H2;
		for (u32 j = 0; j < count; j++)
			if (str_eq(before[j].name, conf->pools[i].name)) {
				discover->pools[i].told = before[j].told;
				before[j].told = NULL;
			}
	}
	for (u32 j = 0; j < count; j++)
		rows_free(before[j].told);
	mem_free(before);
	arena_done(&old);
}

static void on_late(struct timer *timer)
{
	struct discover *discover = container_of(timer, struct discover, settle_timer);

	discover->is_late = true;
	for (u32 i = 0; i < discover->count; i++)
		if (!discover->providers[i]->has_told)
			take_stored(discover->providers[i]);
}

struct discover *discover_open(const struct discover_config *config)
{
	struct discover *discover = mem_alloc(sizeof(*discover));

	*discover = (struct discover){.loop = config->loop,
		.log = config->log,
		.sink = config->sink,
		.folder = config->state_folder
				  ? mem_strndup(config->state_folder, strlen(config->state_folder))
				  : NULL,
		.seed = config->seed};
	arena_init(&discover->arena, pools_bytes_max);
	timer_init(&discover->settle_timer, on_late);
	discover_reload(discover, config->conf);
	return discover;
}

static bool same_text(struct str a, struct str b)
{
	return str_eq(a.ptr ? a : STR_EMPTY, b.ptr ? b : STR_EMPTY);
}

// Whether a provider may go on as it is. Of the resolver nothing is compared: DNS begins anew.
static bool says_same(const struct conf_provider *a, const struct conf_provider *b)
{
	return a->type == b->type && a->type != CONF_PROVIDER_DNS && same_text(a->name, b->name) &&
	       same_text(a->pool, b->pool) && same_text(a->url, b->url) &&
	       same_text(a->path, b->path) && same_text(a->table, b->table) &&
	       same_text(a->column, b->column) && same_text(a->channel, b->channel) &&
	       a->refresh_ms == b->refresh_ms && a->poll_ms == b->poll_ms &&
	       a->timeout_ms == b->timeout_ms && a->backends_min == b->backends_min &&
	       a->vanish_percent == b->vanish_percent;
}

// The one of the old ones that is called so; it is taken out.
static struct provider *take_old(struct provider **old, u32 count, const struct conf_provider *conf)
{
	for (u32 i = 0; i < count; i++)
		if (old[i] && str_eq(name_of(old[i]), conf->name)) {
			struct provider *provider = old[i];

			old[i] = NULL;
			return provider;
		}
	return NULL;
}

// What was known serves until the new source has told something.
static void inherit(struct provider *provider, struct provider *old)
{
	if (!provider)
		return;
	provider->in_use = old->in_use;
	old->in_use = NULL;
}

void discover_reload(struct discover *discover, const struct conf *conf)
{
	struct provider **old = discover->providers;
	u32 old_count = discover->count;

	discover->providers = mem_alloc(sizeof(*old) * MAX(conf->provider_count, 1u));
	discover->count = 0;
	copy_pools(discover, conf);
	for (u32 i = 0; i < conf->provider_count; i++) {
		const struct conf_provider *wanted = &conf->providers[i];
		struct provider *before = take_old(old, old_count, wanted), *provider = before;

		if (!before || !says_same(feed_provider(before->feed), wanted)) {
			provider = start_provider(discover, wanted, &conf->resolver);
			if (before)
				inherit(provider, before);
			if (before)
				stop_provider(before);
		}
		if (provider)
			discover->providers[discover->count++] = provider;
	}
	for (u32 i = 0; i < old_count; i++)
		if (old[i])
			stop_provider(old[i]);
	mem_free(old);
	discover->is_late = false;
	loop_timer_set(discover->loop, &discover->settle_timer,
		loop_now_ms(discover->loop) + DISCOVER_START_WAIT_MS / 2);
	tell_pools(discover);
}

bool discover_is_settled(const struct discover *discover)
{
	for (u32 i = 0; i < discover->count && !discover->is_late; i++)
		if (!discover->providers[i]->has_told)
			return false;
	return true;
}

void discover_free(struct discover *discover)
{
	u32 wait_ms = end_wait_ms;

	if (!discover)
		return;
	loop_timer_cancel(discover->loop, &discover->settle_timer);
	for (u32 i = 0; i < discover->count; i++)
		feed_stop(discover->providers[i]->feed);
	for (u32 i = 0; i < discover->count; i++)
		if (!feed_await_end(discover->providers[i]->feed, wait_ms))
			wait_ms = 0;
	for (u32 i = 0; i < discover->count; i++)
		stop_provider(discover->providers[i]);
	for (u32 i = 0; i < discover->pool_count; i++)
		rows_free(discover->pools[i].told);
	mem_free(discover->pools);
	mem_free(discover->providers);
	mem_free(discover->folder);
	arena_done(&discover->arena);
	mem_free(discover);
}

const char *discover_missing(const struct conf_provider *provider)
{
	return source_kind_of(provider->type)->missing;
}

const struct rows *discover_rows(const struct discover *discover, struct str pool)
{
	for (u32 i = 0; i < discover->pool_count; i++)
		if (str_eq(discover->pools[i].name, pool))
			return discover->pools[i].told;
	return NULL;
}

// ---- Looking ------------------------------------------------------------------------------------

u32 discover_count(const struct discover *discover)
{
	return discover->count;
}

void discover_look(const struct discover *discover, u32 index, struct discover_state *ret_state)
{
	const struct provider *provider = discover->providers[index];

	*ret_state = (struct discover_state){.name = name_of(provider).ptr,
		.pool = feed_provider(provider->feed)->pool.ptr,
		.type = provider->type,
		.is_up = provider->is_up,
		.is_stored = provider->in_use && provider->in_use->is_stored,
		.is_held = provider->is_held,
		.rows = provider->in_use ? provider->in_use->count : 0,
		.skipped = provider->skipped,
		.successes = provider->successes,
		.errors = provider->errors,
		.success_wall_ms = provider->success_wall_ms,
		.cause = provider->cause,
		.since_wall_ms = provider->since_wall_ms,
		.faults = (const char *const *)provider->faults,
		.fault_count = MIN(provider->fault_count, (u32)ROWS_FAULTS_KEPT),
		.fault_total = provider->fault_count};
}
