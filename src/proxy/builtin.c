// SPDX-License-Identifier: Apache-2.0
#include "proxy/builtin.h"

#include "base/log_text.h"
#include "proxy/answer.h"
#include "proxy/exchange_parts.h"
#include "proxy/request.h"

enum {
	listed_max = 1000,
	cells_max = 16 * 1024, // looked at for one answer: each may be far away in memory
	entry_bytes_max = 2048,
	address_bytes_max = 1024,
	frame_bytes_max = 256, // what is around the list of backends
};
_Static_assert((int)frame_bytes_max <= (int)BYTES_COPY_MAX, "frames are copied when they are sent");

struct builtin {
	const struct pool **pools; // each once
	u32 pool_count;
	u64 backend_count;
};

// ---- Whose backends -----------------------------------------------------------------------------

// With those that take over for it.
static void add_pool(struct builtin *builtin, const struct pool *pool, bool *is_in)
{
	for (; pool && !is_in[pool->index]; pool = pool->failover) {
		is_in[pool->index] = true;
		builtin->pools[builtin->pool_count++] = pool;
		builtin->backend_count += pool->backend_count;
	}
}

struct builtin *builtin_build(const struct frontend *frontend, const struct snapshot *snapshot)
{
	struct arena *arena = snapshot->arena;
	u32 room = MAX(snapshot->pool_count, 1);
	struct builtin *builtin = arena_zalloc(arena, sizeof(*builtin));
	bool *is_in = arena_zalloc(arena, room * sizeof(bool));

	builtin->pools = arena_zalloc(arena, room * sizeof(*builtin->pools));
	add_pool(builtin, frontend->pool, is_in);
	for (u32 i = 0; i < frontend->route_count; i++)
		for (u32 j = 0; j < frontend->routes[i].target_count; j++)
			add_pool(builtin, frontend->routes[i].targets[j].pool, is_in);
	return builtin;
}

// ---- Whether it is a page -----------------------------------------------------------------------

static const struct conf_page *page_of(const struct exchange *x)
{
	const struct conf_frontend *conf = x->frontend->conf;

	if (x->request->method != HTTP_GET && x->request->method != HTTP_HEAD)
		return NULL;
	if (str_eq(x->path, conf->builtin.health.path))
		return &conf->builtin.health;
	return str_eq(x->path, conf->builtin.stats.path) ? &conf->builtin.stats : NULL;
}

// Apart from the steps of an ordinary request, as builtin_send is.
__attribute__((noinline)) enum outcome builtin_find(struct exchange *x)
{
	const struct conf_page *page = page_of(x);
	struct addr client;

	if (!page)
		return OUTCOME_OK;
	if (addr_parse_ip(request_client_ip(x), &client) != 0)
		client = (struct addr){.family = ADDR_UNIX, .path = ""};
	return access_list_lets_in(&page->access, &client) ? OUTCOME_BUILTIN
							   : OUTCOME_BUILTIN_DENIED;
}

// ---- The list of backends -----------------------------------------------------------------------

struct page {
	struct exchange *x;
	const struct builtin *builtin;
	bool is_stats;
	struct bytes list;
	u32 listed, healthy;
};

static bool is_healthy(const struct backend *backend)
{
	enum eligible_why why = backend_why(backend);

	return eligible_is_in(why) || why == ELIGIBLE_BACKUP;
}

static u64 in_flight(const struct snapshot *snapshot, const struct backend *backend)
{
	u64 sum = 0;

	for (u32 i = 0; i < snapshot->worker_count; i++)
		sum += cell_read(&snapshot->cells[i][backend->cell].in_flight);
	return sum;
}

static void put_flag(struct log_text *text, bool flag)
{
	if (flag)
		LOG_TEXT_PUT(text, "true");
	else
		LOG_TEXT_PUT(text, "false");
}

// Seconds since its last check; the clock of the thread that checks may be a moment ahead.
static void put_age(struct log_text *text, const struct backend *backend, u64 now_ms)
{
	u64 checked_ms = atomic_load_explicit(&backend->checked_ms, memory_order_relaxed);

	if (checked_ms == 0)
		LOG_TEXT_PUT(text, "null");
	else
		log_text_u64(text, now_ms > checked_ms ? (now_ms - checked_ms) / 1000 : 0);
}

static void put_backend(
	const struct page *page, const struct backend *backend, bool healthy, struct log_text *text)
{
	u64 check_us = atomic_load_explicit(&backend->check_us, memory_order_relaxed);

	LOG_TEXT_PUT(text, "{\"address\":\"");
	log_text_escaped(text, backend->address, LOG_ESCAPE_JSON, address_bytes_max);
	LOG_TEXT_PUT(text, "\",\"healthy\":");
	put_flag(text, healthy);
	LOG_TEXT_PUT(text, ",\"connections\":");
	log_text_u64(text, in_flight(page->x->proxy->snapshot, backend));
	if (page->is_stats) {
		LOG_TEXT_PUT(text, ",\"weight\":");
		log_text_u64(text, backend->weight);
	}
	LOG_TEXT_PUT(text, ",\"response_time_ms\":");
	log_text_u64(text, (check_us + 999) / 1000);
	if (page->is_stats) {
		LOG_TEXT_PUT(text, ",\"last_health_check\":");
		put_age(text, backend, exchange_now_ms(page->x));
	}
	LOG_TEXT_PUT(text, "}");
}

static bool may_list(const struct page *page)
{
	u32 most = MIN((u32)listed_max, cells_max / page->x->proxy->snapshot->worker_count);

	return page->listed < most &&
	       page->list.len + entry_bytes_max + 2 * frame_bytes_max <= RELAY_WINDOW_BYTES;
}

// 0 or -ENOMEM.
static int add_backend(struct page *page, const struct backend *backend)
{
	bool healthy = is_healthy(backend);
	char entry[entry_bytes_max];
	struct log_text text;

	page->healthy += healthy;
	if (!may_list(page))
		return 0;
	log_text_init(&text, entry, sizeof(entry));
	if (page->listed++)
		LOG_TEXT_PUT(&text, ",");
	put_backend(page, backend, healthy, &text);
	ASSERT(!text.cut);
	return bytes_write(
		&page->x->proxy->loop->blocks, &page->list, entry, (size_t)(text.at - entry));
}

static int add_backends(struct page *page)
{
	int error = 0;

	for (u32 i = 0; i < page->builtin->pool_count; i++) {
		const struct pool *pool = page->builtin->pools[i];

		for (u32 j = 0; j < pool->backend_count && !error; j++)
			error = add_backend(page, &pool->backends[j]);
	}
	return error;
}

// ---- What is around it --------------------------------------------------------------------------

// "RoundRobin" of "round_robin", of the first pool.
static void put_algorithm(struct log_text *text, const struct builtin *builtin)
{
	const char *name;
	bool begins = true;

	if (builtin->pool_count == 0) {
		LOG_TEXT_PUT(text, "null");
		return;
	}
	LOG_TEXT_PUT(text, "\"");
	for (name = balance_kind_info(builtin->pools[0]->kind)->name; *name; name++) {
		if (*name != '_')
			log_text_char(text, begins ? (char)(*name & ~0x20) : *name);
		begins = *name == '_';
	}
	LOG_TEXT_PUT(text, "\"");
}

// A frontend that only redirects needs nobody.
static bool can_serve(const struct page *page)
{
	return page->healthy || page->builtin->pool_count == 0;
}

static const char *status_text(const struct page *page)
{
	if (page->x->proxy->draining)
		return "draining";
	return can_serve(page) ? "ok" : "unhealthy";
}

static void put_total(const struct page *page, struct log_text *text)
{
	LOG_TEXT_PUT(text, "\"total_backends\":");
	log_text_u64(text, page->builtin->backend_count);
}

static void put_beginning(const struct page *page, struct log_text *text)
{
	const char *status = status_text(page);

	if (page->is_stats) {
		LOG_TEXT_PUT(text, "{\"algorithm\":");
		put_algorithm(text, page->builtin);
	} else {
		LOG_TEXT_PUT(text, "{\"status\":\"");
		log_text_bytes(text, status, strlen(status));
		LOG_TEXT_PUT(text, "\",\"healthy_backends\":");
		log_text_u64(text, page->healthy);
		LOG_TEXT_PUT(text, ",");
		put_total(page, text);
	}
	LOG_TEXT_PUT(text, ",\"backends\":[");
}

static void put_end(const struct page *page, struct log_text *text)
{
	LOG_TEXT_PUT(text, "]");
	if (page->listed < page->builtin->backend_count) {
		LOG_TEXT_PUT(text, ",\"listed_backends\":");
		log_text_u64(text, page->listed);
		if (page->is_stats) {
			LOG_TEXT_PUT(text, ",");
			put_total(page, text);
		}
	}
	LOG_TEXT_PUT(text, "}\n");
}

// ---- The answer ---------------------------------------------------------------------------------

static void add_field(struct http_head *head, const char *name, struct str value)
{
	head->fields[head->field_count++] = (struct http_field){.name = name,
		.name_len = (u16)strlen(name),
		.value = value.ptr,
		.value_len = (u32)value.len};
}

static void send_head(struct exchange *x, size_t len, bool has_body)
{
	struct http_field fields[2];
	struct http_head head = {.fields = fields,
		.version_minor = 1,
		.status = x->status,
		.reason = str_from(http_reason(x->status)),
		.framing = has_body ? HTTP_LENGTH : HTTP_NO_BODY,
		.has_content_length = true,
		.content_length = len,
		.keep_alive = x->request_ended && !x->client->gate->draining};

	add_field(&head, "Content-Type", STR("application/json"));
	add_field(&head, "Cache-Control", STR("no-store"));
	answer_add_lines(x, &head, true);
	x->answer_begun = true;
	x->down->ops->send_head(x->down, &head, !has_body);
}

static void send_piece(struct exchange *x, const char *from, const struct log_text *text, bool end)
{
	struct slice slice = {.ptr = from, .len = (size_t)(text->at - from)};

	x->down->ops->send_body(x->down, slice, end);
}

static void send_page(struct exchange *x, struct page *page)
{
	char beginning[frame_bytes_max], end[frame_bytes_max];
	struct log_text first, last;
	size_t len;

	log_text_init(&first, beginning, sizeof(beginning));
	log_text_init(&last, end, sizeof(end));
	put_beginning(page, &first);
	put_end(page, &last);
	ASSERT(!first.cut && !last.cut);
	len = (size_t)(first.at - beginning) + page->list.len + (size_t)(last.at - end);
	if (x->request->method == HTTP_HEAD) {
		send_head(x, len, false);
		return;
	}
	x->answer.total = len;
	send_head(x, len, true);
	send_piece(x, beginning, &first, false);
	while (page->list.len)
		x->down->ops->send_body(x->down, bytes_pop(&page->list), false);
	send_piece(x, end, &last, true);
}

__attribute__((noinline)) bool builtin_send(struct exchange *x)
{
	const struct frontend *frontend = x->frontend;
	struct page page = {.x = x,
		.builtin = frontend->builtin,
		.is_stats = page_of(x) == &frontend->conf->builtin.stats};

	if (add_backends(&page) != 0) {
		bytes_clear(&page.list);
		return false;
	}
	x->status = page.is_stats || (can_serve(&page) && !x->proxy->draining) ? 200 : 503;
	send_page(x, &page);
	bytes_clear(&page.list);
	return true;
}
