// SPDX-License-Identifier: Apache-2.0
#include "town.h"

#include <stdio.h>

#include "base/mem.h"

enum { arena_bytes_max = 1 << 28, drain_ms = 5000 };

struct service {
	struct server *server;
	struct list node;
	struct peer peer;
	struct timer timer;
	u32 seen; // of the four bytes that end a head
	bool ended;
};

// ---- Backends -----------------------------------------------------------------------------------

static void answer(struct service *service)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

	peer_send(&service->peer, text, sizeof(text) - 1);
}

static void on_timer(struct timer *timer)
{
	answer(container_of(timer, struct service, timer));
}

static void asked(struct service *service)
{
	struct server *server = service->server;

	server->requests++;
	if (server->is_mute)
		return;
	if (server->think_ms == 0)
		answer(service);
	else
		loop_timer_set(server->town->outside, &service->timer,
			loop_now_ms(server->town->outside) + server->think_ms);
}

static void on_bytes(struct peer *peer, const char *bytes, size_t len)
{
	struct service *service = container_of(peer, struct service, peer);
	static const char end[] = "\r\n\r\n";

	for (size_t i = 0; i < len; i++) {
		service->seen = bytes[i] == end[service->seen] ? service->seen + 1
				: bytes[i] == end[0]	       ? 1
							       : 0;
		if (service->seen == 4) {
			service->seen = 0;
			asked(service);
		}
	}
}

static void on_end(struct peer *peer)
{
	struct service *service = container_of(peer, struct service, peer);

	service->ended = true;
	if (!service->server->closes_slowly)
		peer_close(peer);
}

static void on_broken(struct peer *peer, int error)
{
	(void)error;
	peer_close(peer);
}

static void on_sent(struct peer *peer)
{
	(void)peer;
}

static void on_closed(struct peer *peer)
{
	struct service *service = container_of(peer, struct service, peer);

	loop_timer_cancel(service->server->town->outside, &service->timer);
	service->server->sockets--;
	list_remove(&service->node);
	mem_free(service);
}

static const struct peer_events peer_events = {.on_bytes = on_bytes,
	.on_end = on_end,
	.on_broken = on_broken,
	.on_sent = on_sent,
	.on_closed = on_closed};

static void on_accept(struct op *op)
{
	struct server *server = container_of(op, struct server, accept);
	struct service *service;

	if (op->result < 0) {
		sock_close(server->town->outside, &server->sock);
		return;
	}
	service = mem_alloc(sizeof(*service));
	service->server = server;
	timer_init(&service->timer, on_timer);
	list_push_back(&server->services, &service->node);
	server->accepts++;
	server->sockets++;
	server->sockets_most = MAX(server->sockets_most, server->sockets);
	peer_init(&service->peer, server->town->outside, &peer_events);
	peer_accept(&service->peer, op->result);
}

static void start_server(struct town *town, u32 index)
{
	struct server *server = &town->servers[index];

	server->town = town;
	list_init(&server->services);
	sock_open(town->outside, &server->sock,
		sim_listen(town->net, &town->pool->backends[index].addr));
	op_init(&server->accept, on_accept);
	loop_accept(town->outside, &server->sock, &server->accept);
}

// ---- The control thread -------------------------------------------------------------------------

static void on_report(struct message *message)
{
	struct report *report = container_of(message, struct report, message);
	struct town *town = report->owner;

	if (report->kind == REPORT_EJECT)
		town->ejections++;
	else
		town->looks++;
	mem_free(report);
}

void town_publish_shares(struct town *town, u64 in, const u8 *shares)
{
	u8 why[TOWN_BACKENDS_MAX];
	u32 eligible = 0;

	for (u32 i = 0; i < town->pool->backend_count; i++) {
		why[i] = in >> i & 1 ? ELIGIBLE_OK : ELIGIBLE_EJECTED;
		eligible += in >> i & 1;
	}
	view_publish(town->pool, why, shares, eligible);
}

void town_publish(struct town *town, u64 in)
{
	u8 shares[TOWN_BACKENDS_MAX];

	memset(shares, SLOW_START_WHOLE, sizeof(shares));
	town_publish_shares(town, in, shares);
}

void town_set_why(struct town *town, u32 backend, enum eligible_why of_backend)
{
	struct pool *pool = town->pool;
	u8 why[TOWN_BACKENDS_MAX], shares[TOWN_BACKENDS_MAX];
	u32 eligible = 0;

	for (u32 i = 0; i < pool->backend_count; i++) {
		why[i] = (u8)(i == backend ? of_backend : backend_why(&pool->backends[i]));
		shares[i] = pool->backends[i].share;
		eligible += eligible_is_in((enum eligible_why)why[i]);
	}
	view_publish(pool, why, shares, eligible);
}

// ---- Building -----------------------------------------------------------------------------------

const char *town_backends(u32 count, const char *fields)
{
	static char text[TOWN_BACKENDS_MAX * 256];
	size_t at = 0;

	assert_true(count <= TOWN_BACKENDS_MAX);
	for (u32 i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
			"%s{\"address\": \"10.0.0.%u:80\"%s}", i ? ", " : "[", i + 1, fields);
	snprintf(text + at, sizeof(text) - at, "]");
	return text;
}

static struct conf *load(struct town *town, const char *pools)
{
	const char *text = arena_printf(&town->arena,
		"{\"frontends\": {\"web\": {\"bind\": \"127.0.0.1:80\", \"pool\": \"app\"}}, "
		"\"pools\": %s}",
		pools);
	struct conf *conf;
	struct errs errs;

	errs_init(&errs);
	conf = conf_load_text("town.json", str_from(text), CONF_JSON, &town->arena, &errs);
	if (!conf)
		fail_msg("%s", errs_format(&errs, &town->arena, false).ptr);
	errs_done(&errs);
	return conf;
}

void town_start_worker(struct town *town, u32 number, struct loop *loop)
{
	struct resident *worker = &town->workers[number];
	struct upstream_config config = {.loop = loop,
		.parser = &worker->parser,
		.metrics = &worker->metrics,
		.slots = town->snapshot->slots,
		.pools = town->snapshot->pools,
		.backends = town->snapshot->backends,
		.pool_count = town->snapshot->pool_count,
		.backend_count = town->snapshot->backend_count,
		.number = number,
		.links_max = TOWN_LINKS_MAX,
		.reports = {.loop = town->control, .deliver = on_report, .owner = town},
		.seed = town->seed * 1000 + number};

	worker->loop = loop;
	worker->parser.limits =
		(struct h1_limits){.head_bytes_max = 8192, .target_bytes_max = 4096};
	upstream_init(&worker->upstream, &config);
}

struct town *town_new_bare(u64 seed, u32 workers, const char *pools)
{
	struct town *town = mem_alloc(sizeof(*town));

	town->seed = seed;
	arena_init(&town->arena, arena_bytes_max);
	town->snapshot = snapshot_build(load(town, pools), &town->arena, workers);
	town->pool = town->snapshot->pools[0];
	assert_true(str_eq(town->pool->name, STR("app")));
	town->worker_count = workers;
	town->workers = mem_alloc_lines(sizeof(struct resident) * workers);
	return town;
}

void town_free_bare(struct town *town)
{
	snapshot_done(town->snapshot);
	arena_done(&town->arena);
	mem_free(town->workers);
	mem_free(town);
}

struct town *town_new(u64 seed, u32 workers, const char *pools)
{
	struct town *town = town_new_bare(seed, workers, pools);
	struct sim_config calm = sim_config_calm();
	struct loop_limits limits = {256, 2048};

	town->net = sim_net_new(seed, &calm);
	town->control = sim_loop_new(town->net, &limits);
	town->outside = sim_loop_new(town->net, &limits);
	for (u32 i = 0; i < workers; i++)
		town_start_worker(town, i, sim_loop_new(town->net, &limits));
	town->server_count = MIN(town->pool->backend_count, (u32)TOWN_BACKENDS_MAX);
	for (u32 i = 0; i < town->server_count; i++)
		start_server(town, i);
	return town;
}

void town_run(struct town *town, u64 ms)
{
	u64 until_ms = town_now_ms(town) + ms;

	do
		loop_turn(town->control, until_ms);
	while (town_now_ms(town) < until_ms);
	for (u32 i = 0; i < town->worker_count; i++) // what the tests do now is done in this moment
		loop_turn(town->workers[i].loop, 0);
}

static void stop_servers(struct town *town)
{
	for (u32 i = 0; i < town->server_count; i++) {
		struct server *server = &town->servers[i];

		list_for_each_safe (node, &server->services)
			peer_close(&list_entry(node, struct service, node)->peer);
		loop_cancel(town->outside, &server->accept);
	}
}

void town_free(struct town *town)
{
	for (u32 i = 0; i < town->worker_count; i++)
		upstream_drain(town_upstream(town, i));
	town_run(town, drain_ms);
	for (u32 i = 0; i < town->worker_count; i++) {
		assert_true(upstream_is_empty(town_upstream(town, i)));
		upstream_done(town_upstream(town, i));
	}
	for (u32 i = 0; i < town->pool->backend_count; i++)
		assert_int_equal(cap_used(town->pool->backends[i].sockets), 0);
	stop_servers(town);
	town_run(town, drain_ms);
	for (u32 i = 0; i < town->worker_count; i++)
		loop_free(town->workers[i].loop);
	loop_free(town->control);
	loop_free(town->outside);
	sim_net_free(town->net);
	town_free_bare(town);
}

// ---- Picks --------------------------------------------------------------------------------------

enum pick_verdict town_begin(struct town *town, u32 worker, struct pick *ret_pick)
{
	static const struct balance_tried none;
	struct pick_ask ask = {.preferred = BALANCE_NONE, .tried = &none};
	enum pick_verdict verdict =
		pick_backend(town_upstream(town, worker), town->pool, &ask, ret_pick);

	if (verdict == PICK_OK)
		pick_begin(town_upstream(town, worker), ret_pick);
	return verdict;
}

u32 town_pick(struct town *town, u32 worker)
{
	struct pick pick;

	if (town_begin(town, worker, &pick) != PICK_OK)
		return BALANCE_NONE;
	pick_end(town_upstream(town, worker), &pick);
	return pick.backend->index;
}
