// SPDX-License-Identifier: Apache-2.0
// What explain says is what then happens: random configurations, random requests, first explained
// and then sent through the same proxy on the simulated network. The route, the pick, every byte
// of the head that the backend sees, and the answers of our own are compared; and to explain
// changes nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/text.h"
#include "loop/loop_sim.h"
#include "peer.h"
#include "proxy/exchange.h"
#include "proxy/explain.h"
#include "still.h"
#include "upstream/view.h"

enum {
	worlds = 1000,
	cases_per_world = 5,
	pools_max = 4,
	backends_max = 6,
	hanging_max = 5,
	arena_bytes_max = 64 * 1024 * 1024,
	a_moment_ms = 60,
	head_bytes_max = 4096,
};

#define SEEDED(condition)                                                                \
	do {                                                                             \
		if (!(condition))                                                        \
			fail_msg("at seed %llu: %s\n%s", (unsigned long long)world.seed, \
				#condition, world.text.data);                            \
	} while (0)

struct server {
	struct sock sock;
	struct op accept;
	u32 pool, index;
	bool open;
};

// A connection to one.
struct visit {
	struct peer peer;
	struct server *server;
	bool is_last; // a body is to come that is of no interest
	u32 len;
	char text[head_bytes_max + 1];
};

// A connection of a client.
struct guest {
	struct peer peer;
	struct addr addr; // its own
	bool connected, closed;
	u32 len;
	char text[head_bytes_max + 1];
};

struct listening {
	struct sock sock;
	struct op accept;
	bool open;
};

static struct world {
	u64 seed;
	struct rng rng;
	struct sim_net *net;
	struct loop *inside, *outside;
	struct arena arena;
	struct text text; // the configuration
	struct snapshot *snapshot;
	struct proxy proxy;
	struct log log;
	struct trace_ring trace;
	struct metrics_cells metrics;
	struct span_ring spans;
	struct listening listening;
	struct server servers[pools_max * backends_max];
	u32 server_count, visits;
	struct guest hanging[hanging_max];
	u32 hanging_count;
	struct timer alarm;
	bool rang;
	// What came last to a backend.
	struct server *asked;
	u32 asked_count;
	char head[head_bytes_max + 1];
	char cookie[64]; // of a pool that is sticky, from the last answer that had one
} world;

// How often the cases came to what.
static u32 ends[5], by_kind[BALANCE_KINDS], by_outcome[OUTCOME_COUNT], failovers, cookies;

static bool same(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || str_eq(a, b));
}

static u32 below(u32 bound)
{
	return rng_below(&world.rng, bound);
}

static bool one_in(u32 n)
{
	return rng_one_in(&world.rng, n);
}

// ---- Backends -----------------------------------------------------------------------------------

static void no_error(struct peer *peer, int error)
{
	(void)peer;
	(void)error;
}

static void nothing(struct peer *peer)
{
	(void)peer;
}

static void visit_bytes(struct peer *peer, const char *bytes, size_t len)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	struct visit *visit = container_of(peer, struct visit, peer);
	char *end;

	assert_true(visit->len + len <= head_bytes_max);
	memcpy(visit->text + visit->len, bytes, len);
	visit->len += (u32)len;
	visit->text[visit->len] = '\0';
	end = strstr(visit->text, "\r\n\r\n");
	if (!end)
		return;
	if (strncmp(visit->text, "GET /hang", 9) == 0)
		return;
	// A body that comes behind the head is no part of it, and small.
	end[4] = '\0';
	memcpy(world.head, visit->text, (size_t)(end + 5 - visit->text));
	world.asked = visit->server;
	world.asked_count++;
	visit->len = 0;
	visit->is_last = strstr(world.head, "\r\nContent-Length: ") ||
			 strstr(world.head, "\r\nTransfer-Encoding: ");
	peer_send(peer, answer, sizeof(answer) - 1);
}

static void visit_sent(struct peer *peer)
{
	if (container_of(peer, struct visit, peer)->is_last)
		peer_shut(peer);
}

static void visit_end(struct peer *peer)
{
	peer_close(peer);
}

static void visit_broken(struct peer *peer, int error)
{
	(void)error;
	peer_close(peer);
}

static void visit_closed(struct peer *peer)
{
	struct visit *visit = container_of(peer, struct visit, peer);

	world.visits--;
	mem_free(visit);
}

static const struct peer_events visit_events = {
	.on_connected = no_error,
	.on_bytes = visit_bytes,
	.on_end = visit_end,
	.on_broken = visit_broken,
	.on_sent = visit_sent,
	.on_closed = visit_closed,
};

static void on_visit(struct op *op)
{
	struct server *server = container_of(op, struct server, accept);
	struct visit *visit;

	if (op->result >= 0) {
		visit = mem_alloc(sizeof(*visit));
		visit->server = server;
		peer_init(&visit->peer, world.outside, &visit_events);
		world.visits++;
		peer_accept(&visit->peer, op->result);
	}
	if (op->more)
		return;
	sock_close(world.outside, &server->sock);
	server->open = false;
}

static void open_server(u32 pool, u32 index)
{
	struct server *server = &world.servers[world.server_count++];
	const struct addr *addr = &world.snapshot->pools[pool]->backends[index].addr;

	*server = (struct server){.pool = pool, .index = index, .open = true};
	op_init(&server->accept, on_visit);
	sock_open(world.outside, &server->sock, sim_listen(world.net, addr));
	loop_accept(world.outside, &server->sock, &server->accept);
}

// ---- Clients ------------------------------------------------------------------------------------

static void guest_connected(struct peer *peer, int error)
{
	struct guest *guest = container_of(peer, struct guest, peer);

	guest->connected = error == 0;
	if (guest->connected)
		sock_local(world.outside, &peer->sock, &guest->addr);
}

static void guest_bytes(struct peer *peer, const char *bytes, size_t len)
{
	struct guest *guest = container_of(peer, struct guest, peer);

	assert_true(guest->len + len <= head_bytes_max);
	memcpy(guest->text + guest->len, bytes, len);
	guest->len += (u32)len;
	guest->text[guest->len] = '\0';
}

static void guest_end(struct peer *peer)
{
	peer_close(peer);
}

static void guest_broken(struct peer *peer, int error)
{
	(void)error;
	peer_close(peer);
}

static void guest_closed(struct peer *peer)
{
	container_of(peer, struct guest, peer)->closed = true;
}

static const struct peer_events guest_events = {
	.on_connected = guest_connected,
	.on_bytes = guest_bytes,
	.on_end = guest_end,
	.on_broken = guest_broken,
	.on_sent = nothing,
	.on_closed = guest_closed,
};

static void on_alarm(struct timer *timer)
{
	(void)timer;
	world.rang = true;
}

static void pass_ms(u64 ms)
{
	world.rang = false;
	loop_timer_set(world.outside, &world.alarm, sim_net_now_us(world.net) / 1000 + ms);
	while (!world.rang)
		loop_turn(world.inside, sim_net_now_us(world.net) / 1000 + 1);
}

static void guest_enter(struct guest *guest)
{
	*guest = (struct guest){0};
	peer_init(&guest->peer, world.outside, &guest_events);
	assert_int_equal(
		peer_connect(&guest->peer, &world.snapshot->frontends[0]->conf->binds[0].addr), 0);
	pass_ms(5);
	assert_true(guest->connected);
}

static void guest_leave(struct guest *guest)
{
	if (!guest->closed)
		peer_close(&guest->peer);
	while (!guest->closed)
		pass_ms(1);
}

static void on_client(struct op *op)
{
	if (op->result >= 0)
		proxy_accept(&world.proxy, world.snapshot->frontends[0], op->result);
	if (op->more)
		return;
	sock_close(world.inside, &world.listening.sock);
	world.listening.open = false;
}

// ---- Configurations -----------------------------------------------------------------------------

static const char *const algorithms[] = {"round_robin", "round_robin", "least_connections",
	"ip_hash", "consistent_hash", "maglev", "rendezvous", "first", "power_of_two", "random",
	"prequal", "least_response_time", "weighted_random"};
static const char *const hash_parts[] = {"client_ip", "path", "'header:x-user'", "'query:id'"};
static const char *const hosts[] = {"a.test", "b.test", "'*.test'", "c.example"};
static const char *const paths[] = {"/", "/a", "'/a/*'", "/a/b", "'/b/*'", "'/*'"};

static void add_match(struct text *text)
{
	if (one_in(2))
		text_printf(text, "host: %s, ", hosts[below(ARRAY_LEN(hosts))]);
	if (one_in(2))
		text_printf(text, "path: %s, ", paths[below(ARRAY_LEN(paths))]);
	if (one_in(4))
		text_printf(text, "methods: %s, ", one_in(2) ? "[GET]" : "[POST, DELETE]");
	if (one_in(4))
		text_printf(text, "header: {x-beta: 'yes'}, ");
}

static void add_routes(struct text *text, u32 pools)
{
	u32 count = below(6);

	text_printf(text, "routes: [");
	for (u32 i = 0; i < count; i++) {
		text_printf(text, "%s{name: route-%u, match: {", i ? ", " : "", i);
		add_match(text);
		text_printf(text, "}, ");
		if (one_in(6))
			text_printf(text,
				"redirect: {to: 'https://{host}{path}{query}', status: %u}}",
				one_in(2) ? 301 : 308);
		else if (one_in(6) && pools > 1)
			text_printf(text, "split: {p0: %u, p1: %u}}", 1 + below(5), 1 + below(5));
		else
			text_printf(text, "pool: p%u}", below(pools));
	}
	text_printf(text, "], ");
}

static void add_pool(struct text *text, u32 number, u32 pools)
{
	u32 count = 1 + below(backends_max);
	const char *algorithm = algorithms[below(ARRAY_LEN(algorithms))];

	text_printf(text, "%sp%u: {algorithm: %s, health_check: none, ", number ? ", " : "", number,
		algorithm);
	if (strstr(algorithm, "hash") || strcmp(algorithm, "maglev") == 0 ||
		strcmp(algorithm, "rendezvous") == 0) {
		if (strcmp(algorithm, "ip_hash") != 0)
			text_printf(text, "hash: {by: [%s], max_load: %s}, ",
				hash_parts[below(ARRAY_LEN(hash_parts))],
				one_in(3) ? "125%" : "none");
	}
	if (one_in(4))
		text_printf(text, "sticky: {name: weir}, ");
	if (one_in(5))
		text_printf(text, "limits: {requests: %u, queue: %u}, ", 1 + below(4), below(2));
	if (number + 1 < pools && one_in(2))
		text_printf(text, "failover: p%u, ", number + 1 + below(pools - number - 1));
	text_printf(text, "backends: [");
	for (u32 i = 0; i < count; i++)
		text_printf(text, "%s{id: b%u-%u, address: '10.1.%u.%u:80', weight: %u%s}",
			i ? ", " : "", number, i, number, i + 1, one_in(6) ? 0 : 1 + below(3),
			one_in(5) ? ", max_connections: 1" : "");
	text_printf(text, "]}");
}

static void write_configuration(struct text *text)
{
	u32 pools = 1 + below(pools_max);

	text_printf(text, "frontends: {web: {bind: '10.0.0.9:80', ");
	if (one_in(2))
		text_printf(text, "client_ip: {trusted_proxies: [10.0.0.1]}, ");
	if (one_in(3))
		text_printf(text, "http: {max_body_size: 1KiB}, ");
	if (one_in(3))
		text_printf(text, "headers: {identify: me}, ");
	if (one_in(6))
		text_printf(text, "headers: {forwarded: none}, ");
	if (one_in(10))
		text_printf(text, "deny: [10.0.0.0/8], ");
	add_routes(text, pools);
	if (!one_in(4))
		text_printf(text, "pool: p%u", below(pools));
	text_printf(text, "}}\npools: {");
	for (u32 i = 0; i < pools; i++)
		add_pool(text, i, pools);
	text_printf(text, "}\n");
}

// Until one is as the configuration's own rules want it (a frontend needs a route or a pool, every
// pool a use).
static const struct conf *make_configuration(void)
{
	for (;;) {
		const struct conf *conf;
		struct errs errs;

		text_clear(&world.text);
		write_configuration(&world.text);
		errs_init(&errs);
		conf = conf_load_text("test", str_make(world.text.data, world.text.len), CONF_YAML,
			&world.arena, &errs);
		errs_done(&errs);
		if (conf)
			return conf;
	}
}

// ---- A world ------------------------------------------------------------------------------------

// As the control thread: some are out.
static void publish(struct pool *pool)
{
	u8 why[backends_max], shares[backends_max];
	u32 eligible = 0;
	bool most_are_out = one_in(4);

	for (u32 i = 0; i < pool->backend_count; i++) {
		why[i] = ELIGIBLE_OK;
		shares[i] = SLOW_START_WHOLE;
		if (pool->backends[i].weight == 0)
			why[i] = ELIGIBLE_DISABLED;
		else if (one_in(6)) {
			why[i] = ELIGIBLE_TRIAL;
			pool->backends[i].trials = below(2);
		} else if (most_are_out || one_in(4))
			why[i] = (u8)(ELIGIBLE_PANIC + 2 + below(ELIGIBLE_REASON_COUNT - 4));
		eligible += eligible_is_in((enum eligible_why)why[i]);
	}
	view_publish(pool, why, shares, eligible);
}

static void begin_tracing(void)
{
	struct conf_tracing conf = {.sample = one_in(3) ? CONF_WHOLE / 2 : CONF_WHOLE,
		.sampler = one_in(2) ? CONF_SAMPLER_PARENT : CONF_SAMPLER_RATIO,
		.trust = one_in(2) ? CONF_TRUST_ALL : CONF_TRUST_PROXIES};

	span_ring_init(&world.spans, 4096);
	world.proxy.spans = &world.spans;
	tracing_rules_init(&world.proxy.tracing, &conf);
}

static void build_world(u64 seed)
{
	static const struct loop_limits limits = {512, 4096};
	static const struct proxy_limits proxy_limits = {64, 64};
	struct sim_config config = sim_config_calm();
	struct text text = world.text;

	world = (struct world){.seed = seed, .text = text};
	rng_init(&world.rng, seed);
	arena_init(&world.arena, arena_bytes_max);
	world.net = sim_net_new(seed, &config);
	world.inside = sim_loop_new(world.net, &limits);
	world.outside = sim_loop_new(world.net, &limits);
	timer_init(&world.alarm, on_alarm);
	world.snapshot = snapshot_build(make_configuration(), &world.arena, 1);
	trace_init(&world.trace, &world.inside->now_us);
	log_init(&world.log, LOG_OFF, LOG_JSON, &world.inside->wall_ms, 4096, NULL);
	snapshot_guard(world.snapshot, 64, seed);
	proxy_init(&world.proxy, world.inside, world.snapshot, 0, &proxy_limits, &world.log,
		&world.trace, &world.metrics, seed);
	world.proxy.records = records_new(0);
	if (one_in(3))
		begin_tracing();
	for (u32 i = 0; i < world.snapshot->pool_count; i++) {
		struct pool *pool = world.snapshot->pools[i];

		for (u32 k = 0; k < pool->backend_count; k++)
			open_server(i, k);
		if (one_in(2))
			publish(pool);
	}
	world.listening.open = true;
	sock_open(world.inside, &world.listening.sock,
		sim_listen(world.net, &world.snapshot->frontends[0]->conf->binds[0].addr));
	op_init(&world.listening.accept, on_client);
	loop_accept(world.inside, &world.listening.sock, &world.listening.accept);
}

static bool servers_are_open(void)
{
	for (u32 i = 0; i < world.server_count; i++)
		if (world.servers[i].open)
			return true;
	return false;
}

static void end_world(void)
{
	for (u32 i = 0; i < world.hanging_count; i++)
		guest_leave(&world.hanging[i]);
	loop_cancel(world.inside, &world.listening.accept);
	proxy_abort(&world.proxy);
	for (u32 i = 0; i < world.server_count; i++)
		loop_cancel(world.outside, &world.servers[i].accept);
	while (!proxy_is_empty(&world.proxy) || world.listening.open || servers_are_open() ||
		world.visits)
		pass_ms(1);
	records_free(world.proxy.records);
	if (world.proxy.spans)
		span_ring_done(&world.spans);
	proxy_done(&world.proxy);
	log_done(&world.log);
	loop_free(world.inside);
	loop_free(world.outside);
	sim_net_free(world.net);
	snapshot_done(world.snapshot);
	arena_done(&world.arena);
}

// ---- A case -------------------------------------------------------------------------------------

static const char *const methods[] = {
	"GET", "GET", "GET", "POST", "DELETE", "HEAD", "FROB", "TRACE"};
static const char *const targets[] = {"/", "/a", "/a/", "/a/b", "/b/c?id=7", "/a/../b/x", "/%61/b",
	"/a/b?id=1&x=y", "/../x", "/b/%2f", "/a/%zz", "/lb-health", "/lb-stats",
	"/long/path/of/many/words?q=1"};
static const char *const names[] = {
	"a.test", "b.test:8080", "x.test", "c.example", "B.TEST", "a b"};

enum { fields_max = 10 };

struct question {
	struct explain_ask ask;
	struct explain_field fields[fields_max];
	char url[256], text[2048];
};

static void add_field(struct question *question, const char *name, const char *value)
{
	question->fields[question->ask.field_count++] =
		(struct explain_field){str_from(name), str_from(value)};
}

static void add_fields(struct question *question)
{
	if (one_in(3))
		add_field(question, "X-Beta", one_in(2) ? "yes" : "no");
	if (one_in(3))
		add_field(question, "x-user", one_in(2) ? "ann" : "bob");
	if (one_in(3))
		add_field(question, "X-Forwarded-For", one_in(2) ? "9.9.9.9" : "8.8.8.8, 7.7.7.7");
	if (one_in(5))
		add_field(question, "X-Request-Id", "told");
	if (one_in(5))
		add_field(question, "Connection", one_in(2) ? "close" : "x-hop");
	if (one_in(5))
		add_field(question, "X-Hop", "1");
	if (one_in(3))
		add_field(question, "Traceparent",
			one_in(2) ? "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
				  : "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
	if (one_in(6))
		add_field(question, "tracestate", one_in(2) ? "a=b,c=d" : "a,,=");
	if (one_in(8))
		add_field(question, "Content-Length", one_in(2) ? "5" : "2000");
	else if (one_in(8))
		add_field(question, "Transfer-Encoding", one_in(3) ? "gzip, chunked" : "chunked");
	if (world.cookie[0] && one_in(2))
		add_field(question, "Cookie", world.cookie);
	else if (one_in(6))
		add_field(question, "Cookie", "weir=AAAAAAAAAAAAAAAAAAAAAA; a=b");
}

static void make_question(struct question *question, const struct guest *guest)
{
	const char *name = names[below(one_in(10) ? ARRAY_LEN(names) : ARRAY_LEN(names) - 1)];
	const char *target = targets[below(ARRAY_LEN(targets))];
	const char *method = methods[below(ARRAY_LEN(methods))];
	struct text text = {0};

	*question = (struct question){.ask = {.method = str_from(method)}};
	add_fields(question);
	snprintf(question->url, sizeof(question->url), "%s%s%s", one_in(2) ? "http://" : "", name,
		target);
	question->ask.url = str_from(question->url);
	question->ask.fields = question->fields;
	question->ask.from = guest->addr;
	text_printf(&text, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, name);
	for (u32 i = 0; i < question->ask.field_count; i++)
		text_printf(&text, "%.*s: %.*s\r\n", STR_FMT(question->fields[i].name),
			STR_FMT(question->fields[i].value));
	text_printf(&text, "\r\n");
	assert_true(text.len < sizeof(question->text));
	memcpy(question->text, text.data, text.len + 1);
	text_done(&text);
}

static const struct client *client_of(const struct guest *guest)
{
	list_for_each (node, &world.proxy.client_list) {
		const struct client *client = list_entry(node, struct client, node);

		if (client->port == guest->addr.port)
			return client;
	}
	return NULL;
}

static void check_sent(const struct explain *explain)
{
	const struct pool *pool;
	const struct backend *backend;

	SEEDED(world.asked_count == 1);
	pool = world.snapshot->pools[world.asked->pool];
	backend = &pool->backends[world.asked->index];
	SEEDED(str_eq(explain->pools[explain->pool_count - 1].name, pool->name));
	SEEDED(str_eq(explain->picked, backend->id));
	SEEDED(explain->picked_index == backend->index);
	if (!str_eq(explain->head, str_from(world.head)))
		fail_msg("at seed %llu: explained\n%.*s\nand sent\n%s",
			(unsigned long long)world.seed, STR_FMT(explain->head), world.head);
	by_kind[pool->kind]++;
	failovers += explain->pool_count > 1;
	cookies += explain->pools[explain->pool_count - 1].cookie.len > 0;
}

static void check_answered(const struct explain *explain, const struct guest *guest)
{
	const char *location = strstr(guest->text, "\r\nLocation: ");

	SEEDED(world.asked_count == 0);
	SEEDED(guest->len > 12);
	SEEDED(explain->outcome == OUTCOME_BUILTIN ||
		explain->status == (u16)strtol(guest->text + 9, NULL, 10));
	SEEDED(!location == !explain->location.len);
	SEEDED(!location ||
		strncmp(location + 12, explain->location.ptr, explain->location.len) == 0);
	by_outcome[explain->outcome]++;
}

static void check_end(
	const struct explain *explain, const struct guest *guest, const struct client *client)
{
	switch ((enum explain_end)explain->end) {
	case EXPLAIN_ERROR:
		fail_msg("at seed %llu: %s", (unsigned long long)world.seed, explain->error);
		break;
	case EXPLAIN_DENIED:
		SEEDED(!client);
		break;
	case EXPLAIN_ANSWERED:
		check_answered(explain, guest);
		break;
	case EXPLAIN_WAITS:
		SEEDED(world.asked_count == 0);
		SEEDED(client && client->exchanges && client->exchanges->step == STEP_QUEUE);
		break;
	case EXPLAIN_SENT:
		check_sent(explain);
		break;
	}
}

// By the record of the request, if it is over.
static void check_route(const struct explain *explain)
{
	static const struct str none;
	struct record record;
	const struct frontend *frontend = world.snapshot->frontends[0];
	const struct explain_pool *last;

	if (explain->end == EXPLAIN_DENIED || explain->end == EXPLAIN_WAITS)
		return;
	SEEDED(record_read_newest(&world.proxy.records, 1, false, &record, 1) == 1);
	SEEDED(same(
		record.route == RECORD_NOBODY ? none : frontend->routes[record.route].conf->name,
		explain->route));
	SEEDED(record.outcome == (explain->end == EXPLAIN_SENT ? OUTCOME_OK : explain->outcome));
	SEEDED(record.refusal == explain->refusal);
	if (explain->end != EXPLAIN_SENT)
		return;
	last = &explain->pools[explain->pool_count - 1];
	SEEDED(world.snapshot->backends[record.backend]->index == explain->picked_index);
	SEEDED(!last->has_key || record.key == last->key);
	SEEDED(record.look_count_seen == last->looks_seen);
	SEEDED(record.eligible == last->eligible);
}

static void remember_cookie(const struct guest *guest)
{
	const char *cookie = strstr(guest->text, "\r\nSet-Cookie: weir=");

	if (cookie)
		snprintf(world.cookie, sizeof(world.cookie), "%.*s", (int)strcspn(cookie + 14, ";"),
			cookie + 14);
}

static void one_case(void)
{
	struct guest *guest = mem_alloc(sizeof(*guest));
	struct question question;
	struct explain explain, again;
	u64 before;

	guest_enter(guest);
	make_question(&question, guest);
	before = still_hash(&world.proxy);
	explain_run(&explain, &world.proxy, &question.ask);
	SEEDED(before == still_hash(&world.proxy));
	explain_run(&again, &world.proxy, &question.ask);
	SEEDED(before == still_hash(&world.proxy));
	SEEDED(again.end == explain.end && same(again.picked, explain.picked));
	explain_done(&again);
	world.asked_count = 0;
	if (!guest->closed)
		peer_send(&guest->peer, question.text, strlen(question.text));
	pass_ms(a_moment_ms);
	check_end(&explain, guest, client_of(guest));
	ends[explain.end]++;
	remember_cookie(guest);
	guest_leave(guest);
	pass_ms(a_moment_ms);
	check_route(&explain);
	explain_done(&explain);
	mem_free(guest);
}

// Requests that are not answered, so that backends have something in flight.
static void hang(void)
{
	static const char request[] = "GET /hang HTTP/1.1\r\nHost: a.test\r\n\r\n";
	u32 count = below(hanging_max + 1);

	for (u32 i = 0; i < count; i++) {
		struct guest *guest = &world.hanging[world.hanging_count];

		guest_enter(guest);
		world.hanging_count++;
		peer_send(&guest->peer, request, sizeof(request) - 1);
		pass_ms(5);
	}
}

static void what_is_explained_happens(void **state)
{
	u32 cases = 0;

	(void)state;
	for (u64 seed = 1; seed <= worlds; seed++) {
		build_world(seed);
		if (!guard_is_wanted(world.snapshot->frontends[0]->conf))
			hang();
		for (u32 i = 0; i < cases_per_world; i++, cases++)
			one_case();
		end_world();
	}
	text_done(&world.text);
	assert_true(cases >= 1000);
	print_message("# %u sent, %u answered, %u wait, %u denied; %u by failover, %u by cookie\n",
		ends[EXPLAIN_SENT], ends[EXPLAIN_ANSWERED], ends[EXPLAIN_WAITS],
		ends[EXPLAIN_DENIED], failovers, cookies);
	for (u32 i = 0; i < BALANCE_KINDS; i++)
		print_message("# %s: %u picks\n", balance_kind_info((enum balance_kind)i)->name,
			by_kind[i]);
	for (u32 i = 0; i < OUTCOME_COUNT; i++)
		if (by_outcome[i])
			print_message("# %s: %u answers\n", outcome_info((enum outcome)i)->name.ptr,
				by_outcome[i]);
	// Each of these has happened, or nothing was tried.
	for (u32 i = 0; i < BALANCE_KINDS; i++)
		assert_true(by_kind[i] >= 5);
	assert_true(by_outcome[OUTCOME_NO_ROUTE] && by_outcome[OUTCOME_REDIRECTED] &&
		    by_outcome[OUTCOME_BAD_REQUEST] && by_outcome[OUTCOME_NO_BACKEND_AVAILABLE] &&
		    by_outcome[OUTCOME_METHOD_NOT_ALLOWED] &&
		    by_outcome[OUTCOME_PAYLOAD_TOO_LARGE] && by_outcome[OUTCOME_QUEUE_FULL] &&
		    by_outcome[OUTCOME_NOT_IMPLEMENTED] && by_outcome[OUTCOME_BUILTIN]);
	assert_true(ends[EXPLAIN_SENT] > 400 && ends[EXPLAIN_WAITS] && ends[EXPLAIN_DENIED]);
	assert_true(failovers && cookies);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_explained_happens)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
