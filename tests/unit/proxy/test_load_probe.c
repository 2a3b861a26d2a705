// SPDX-License-Identifier: Apache-2.0
// Probes for load on the simulated network: backends that tell, tell nothing, fail and hang, in
// virtual time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/text.h"
#include "loop/loop_sim.h"
#include "proxy/load_probe.h"
#include "proxy/snapshot.h"
#include "upstream/pick.h"

enum {
	backends_max = 12,
	request_room = 1024,
	arena_bytes_max = 64 * 1024 * 1024,
	links_max = 48,
	probes_of_a_pool_max = 48, // 16 times prequal.probes
	probes_of_a_backend_max = 4,
	a_moment_ms = 100, // a few round trips
	age_max_ms = 1000, // the default
};

enum conduct { ANSWERS, HANGS, CLOSES };

struct server {
	struct addr addr;
	struct sock sock;
	struct op accept;
	u8 conduct; // enum conduct
	const char *answer;
	u32 accepted, open, open_most, asked;
	char request[request_room];
};

// A connection to it.
struct visit {
	struct server *server;
	struct sock sock;
	struct op recv, send;
	struct bytes out;
	u32 len;
	bool dying;
	char text[request_room];
};

static struct scene {
	struct sim_net *net;
	struct loop *inside, *outside;
	struct arena arena;
	struct snapshot *snapshot;
	struct pool *pool;
	struct h1_parser parser;
	struct metrics_cells metrics;
	struct upstream upstream;
	struct load_probes probes;
	struct server servers[backends_max];
	u32 count, visits;
	struct timer alarm;
	bool rang;
} scene;

// ---- Backends -----------------------------------------------------------------------------------

static void visit_close(struct visit *visit)
{
	visit->dying = true;
	loop_cancel(scene.outside, &visit->recv);
	loop_cancel(scene.outside, &visit->send);
	if (op_is_out(&visit->recv) || op_is_out(&visit->send))
		return; // it is called again when they are heard
	bytes_clear(&visit->out);
	sock_close(scene.outside, &visit->sock);
	visit->server->open--;
	scene.visits--;
	mem_free(visit);
}

static void on_said(struct op *op)
{
	struct visit *visit = container_of(op, struct visit, send);

	if (op->result < 0 || visit->dying)
		visit_close(visit);
}

static void answer(struct visit *visit)
{
	struct server *server = visit->server;
	struct slice slice = {.ptr = server->answer, .len = strlen(server->answer)};

	assert_int_equal(bytes_append(&scene.outside->blocks, &visit->out, slice), 0);
	loop_send(scene.outside, &visit->sock, &visit->send, &visit->out);
}

static void on_request(struct op *op)
{
	struct visit *visit = container_of(op, struct visit, recv);
	struct server *server = visit->server;

	if (op->result > 0 && visit->dying)
		slice_drop(&op->received);
	if (op->result <= 0 || visit->dying) {
		visit_close(visit);
		return;
	}
	assert_true(visit->len + op->received.len < request_room);
	memcpy(visit->text + visit->len, op->received.ptr, op->received.len);
	visit->len += (u32)op->received.len;
	visit->text[visit->len] = '\0';
	slice_drop(&op->received);
	if (strstr(visit->text, "\r\n\r\n")) {
		memcpy(server->request, visit->text, visit->len + 1);
		visit->len = 0;
		server->asked++;
		if (server->conduct == CLOSES) {
			visit_close(visit);
			return;
		}
		if (server->conduct == ANSWERS)
			answer(visit);
	}
	loop_recv(scene.outside, &visit->sock, &visit->recv, 0);
}

static void on_accept(struct op *op)
{
	struct server *server = container_of(op, struct server, accept);
	struct visit *visit;

	if (op->result < 0)
		return;
	visit = mem_alloc(sizeof(*visit));
	visit->server = server;
	server->accepted++;
	server->open++;
	server->open_most = MAX(server->open_most, server->open);
	scene.visits++;
	op_init(&visit->recv, on_request);
	op_init(&visit->send, on_said);
	sock_open(scene.outside, &visit->sock, op->result);
	loop_recv(scene.outside, &visit->sock, &visit->recv, 0);
}

static void stop_listening(struct server *server)
{
	loop_cancel(scene.outside, &server->accept);
	while (op_is_out(&server->accept))
		loop_turn(scene.outside, loop_now_ms(scene.outside) + 1);
	if (server->sock.fd >= 0)
		sock_close(scene.outside, &server->sock);
}

// ---- The scene ----------------------------------------------------------------------------------

static void on_alarm(struct timer *timer)
{
	(void)timer;
	scene.rang = true;
}

static void run(u64 ms)
{
	scene.rang = false;
	loop_timer_set(scene.inside, &scene.alarm, sim_net_now_us(scene.net) / 1000 + ms);
	while (!scene.rang)
		loop_turn(scene.inside, UINT64_MAX); // and with it the other one
	loop_turn(scene.inside, 0);
}

// `count` backends; `keys` of the pool's prequal, and `more` of each backend.
static void begin(u32 count, const char *keys, const char *more)
{
	static const struct loop_limits limits = {
		.large_blocks_max = 512, .small_blocks_max = 4096};
	struct sim_config config = sim_config_calm();
	struct text text = {0};
	struct errs errs;
	struct upstream_config upstream;
	const struct conf *conf;

	scene = (struct scene){.count = count};
	arena_init(&scene.arena, arena_bytes_max);
	errs_init(&errs);
	text_printf(&text,
		"frontends: {web: {bind: '10.0.0.1:80', pool: app}}\n"
		"pools: {app: {algorithm: prequal, prequal: {load: probe%s}, backends: [",
		keys);
	for (u32 i = 0; i < count; i++)
		text_printf(&text, "%s{url: '10.0.1.%u:80'%s}", i ? ", " : "", i, more);
	text_printf(&text, "]}}\n");
	conf = conf_load_text(
		"test", str_make(text.data, text.len), CONF_YAML, &scene.arena, &errs);
	if (!conf)
		fail_msg("%.*s", STR_FMT(errs_format(&errs, &scene.arena, false)));
	errs_done(&errs);
	text_done(&text);

	scene.net = sim_net_new(7, &config);
	scene.inside = sim_loop_new(scene.net, &limits);
	scene.outside = sim_loop_new(scene.net, &limits);
	timer_init(&scene.alarm, on_alarm);
	scene.snapshot = snapshot_build(conf, &scene.arena, 1);
	scene.pool = scene.snapshot->pools[0];
	scene.parser.limits = (struct h1_limits){.head_bytes_max = 8192, .target_bytes_max = 4096};
	upstream = (struct upstream_config){.loop = scene.inside,
		.parser = &scene.parser,
		.metrics = &scene.metrics,
		.slots = scene.snapshot->slots,
		.pools = scene.snapshot->pools,
		.backends = scene.snapshot->backends,
		.backend_count = scene.snapshot->backend_count,
		.pool_count = 1,
		.links_max = links_max,
		.seed = 11};
	upstream_init(&scene.upstream, &upstream);
	load_probes_init(&scene.probes, &scene.upstream);
	for (u32 i = 0; i < count; i++) {
		struct server *server = &scene.servers[i];

		server->addr = scene.pool->backends[i].addr;
		server->answer =
			"HTTP/1.1 204 Fine\r\nX-Weir-Load: in_flight=1, latency_ms=1\r\n\r\n";
		op_init(&server->accept, on_accept);
		sock_open(scene.outside, &server->sock, sim_listen(scene.net, &server->addr));
		loop_accept(scene.outside, &server->sock, &server->accept);
	}
}

static void end(void)
{
	load_probes_drain(&scene.probes);
	upstream_drain(&scene.upstream);
	run(a_moment_ms);
	assert_true(load_probes_is_empty(&scene.probes));
	assert_true(upstream_is_empty(&scene.upstream));
	for (u32 i = 0; i < scene.count; i++) {
		assert_int_equal(scene.upstream.cells[i].load_probes, 0);
		assert_int_equal(scene.upstream.cells[i].in_flight, 0);
		stop_listening(&scene.servers[i]);
	}
	run(a_moment_ms);
	assert_int_equal(scene.visits, 0);
	load_probes_done(&scene.probes);
	upstream_done(&scene.upstream);
	loop_free(scene.inside);
	loop_free(scene.outside);
	sim_net_free(scene.net);
	snapshot_done(scene.snapshot);
	arena_done(&scene.arena);
}

static const struct prequal *pool_of_probes(void)
{
	return scene.upstream.pickers[0].prequal;
}

static const struct prequal_probe *find(u32 index)
{
	const struct prequal *prequal = pool_of_probes();

	for (u32 i = 0; i < prequal->count; i++)
		if (prequal->probes[i].index == index)
			return &prequal->probes[i];
	return NULL;
}

static void knows(u32 index, u32 in_flight, nsec latency)
{
	const struct prequal_probe *probe = find(index);

	assert_non_null(probe);
	assert_int_equal(probe->in_flight, in_flight);
	assert_int_equal(probe->latency, latency);
}

static void counted(u64 answered, u64 failed, u64 skipped)
{
	assert_int_equal(scene.metrics.values[M_LOAD_PROBES], answered);
	assert_int_equal(scene.metrics.values[M_LOAD_PROBES_FAILED], failed);
	assert_int_equal(scene.metrics.values[M_LOAD_PROBES_SKIPPED], skipped);
}

static void ask(void)
{
	load_probes_ask(&scene.probes, scene.pool);
}

static u32 open_connections(void)
{
	u32 open = 0;

	for (u32 i = 0; i < scene.count; i++)
		open += scene.servers[i].open;
	return open;
}

// ---- Tests --------------------------------------------------------------------------------------

static void asks_and_hears(void **state)
{
	(void)state;
	begin(3, ", probe: '/load?deep=1'", "");
	scene.servers[1].answer = "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nx-weir-load: "
				  "latency_ms=2.5, in_flight=9\r\n\r\n";
	ask();
	assert_int_equal(scene.probes.probes.used, 0); // not before the turn ends
	run(a_moment_ms);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(scene.servers[i].asked, 1);
	assert_string_equal(scene.servers[1].request,
		"GET /load?deep=1 HTTP/1.1\r\nHost: 10.0.1.1:80\r\n"
		"User-Agent: weir/" WEIR_VERSION " load-probe\r\n\r\n");
	assert_int_equal(pool_of_probes()->count, 3);
	knows(0, 1, NSEC_PER_MS);
	knows(1, 9, 2500 * 1000);
	counted(3, 0, 0);
	end();
}

static void keeps_its_connections(void **state)
{
	(void)state;
	begin(3, "", "");
	for (u32 i = 0; i < 5; i++) {
		ask();
		run(a_moment_ms);
	}
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(scene.servers[i].asked, 5);
		assert_int_equal(scene.servers[i].accepted, 1);
		assert_int_equal(scene.upstream.cells[i].idle_count, 1);
	}
	end();
}

static void reads_bodies_and_drops_them(void **state)
{
	static const char *const whole[] = {
		"HTTP/1.1 200 Fine\r\nX-Weir-Load: in_flight=4\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 Fine\r\nX-Weir-Load: in_flight=4\r\nTransfer-Encoding: "
		"chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 103 Wait\r\nX-Weir-Load: in_flight=8\r\n\r\n"
		"HTTP/1.1 200 Fine\r\nX-Weir-Load: in_flight=4\r\nTransfer-Encoding: "
		"chunked\r\n\r\n"
		"5\r\nhello\r\n0\r\nX-Weir-Load: in_flight=7\r\n\r\n",
	};
	char *long_one;

	(void)state;
	begin(4, ", probes: 4", "");
	long_one = arena_alloc(&scene.arena, 70 * 1024);
	strcpy(long_one,
		"HTTP/1.1 200 Fine\r\nX-Weir-Load: in_flight=4\r\nContent-Length: 99999\r\n\r\n");
	memset(long_one + strlen(long_one), 'x', 66 * 1024);
	long_one[67 * 1024] = '\0';
	for (u32 i = 0; i < 4; i++)
		scene.servers[i].answer = i < 3 ? whole[i] : long_one;
	ask();
	run(a_moment_ms);
	for (u32 i = 0; i < 4; i++) {
		knows(i, 4, 0);
		assert_int_equal(scene.upstream.cells[i].idle_count, i < 3);
	}
	assert_int_equal(scene.servers[3].open, 0);
	assert_true(load_probes_is_empty(&scene.probes));
	counted(4, 0, 0);
	end();
}

// Who tells nothing is known by our own counts.
static void takes_own_counts_where_nothing_is_told(void **state)
{
	struct pick picks[4];

	(void)state;
	begin(4, ", probes: 4", "");
	scene.servers[0].answer = "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n";
	scene.servers[1].answer =
		"HTTP/1.1 200 Fine\r\nX-Weir-Load: none\r\nContent-Length: 0\r\n\r\n";
	scene.servers[2].answer = "HTTP/1.1 500 Bad\r\nX-Weir-Load: in_flight=0\r\n"
				  "Content-Length: 0\r\n\r\n";
	scene.servers[3].answer = "HTTP/1.1 204 Fine\r\nX-Weir-Load: in_flight=5\r\n\r\n";
	for (u32 i = 0; i < 4; i++) {
		picks[i] = (struct pick){.backend = &scene.pool->backends[i],
			.picker = upstream_picker(&scene.upstream, scene.pool),
			.cell = &scene.upstream.cells[i]};
		pick_begin(&scene.upstream, &picks[i]);
		pick_note_latency(&scene.upstream, &picks[i], 7000);
	}
	ask();
	run(a_moment_ms);
	assert_int_equal(find(0)->in_flight, 1);
	assert_int_equal(find(1)->in_flight, 1);
	assert_null(find(2));
	assert_int_equal(find(3)->in_flight, 5);
	// The latency that was measured here, and has decayed since.
	for (u32 i = 0; i < 4; i++)
		assert_true(i == 2 || (find(i)->latency > 6 * NSEC_PER_MS &&
					      find(i)->latency <= 7 * NSEC_PER_MS));
	counted(3, 1, 0);
	assert_int_equal(scene.metrics.values[M_LOAD_REPORTS], 1);
	assert_int_equal(scene.metrics.values[M_LOAD_REPORTS_MALFORMED], 1);
	for (u32 i = 0; i < 4; i++)
		pick_end(&scene.upstream, &picks[i]);
	end();
}

static void gives_up_in_time(void **state)
{
	(void)state;
	begin(3, "", "");
	scene.servers[0].conduct = HANGS;
	scene.servers[1].conduct = CLOSES;
	stop_listening(&scene.servers[2]);
	ask();
	run(a_moment_ms);
	counted(0, 2, 0);
	assert_int_equal(scene.probes.probes.used, 1);
	assert_int_equal(scene.servers[0].open, 1);
	run(age_max_ms);
	counted(0, 3, 0);
	assert_true(load_probes_is_empty(&scene.probes));
	assert_int_equal(open_connections(), 0);
	assert_int_equal(pool_of_probes()->count, 0);
	// Nobody is judged by it.
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(scene.upstream.cells[i].bad, 0);
		assert_int_equal(scene.upstream.cells[i].misses.connects, 0);
	}
	end();
}

static void has_limits(void **state)
{
	u32 most = 0;

	(void)state;
	begin(12, "", "");
	for (u32 i = 0; i < 12; i++)
		scene.servers[i].conduct = i < 6 ? HANGS : ANSWERS;
	for (u32 i = 0; i < 200; i++) {
		ask();
		run(2);
		most = MAX(most, scene.probes.probes.used);
		for (u32 j = 0; j < 12; j++)
			assert_true(scene.upstream.cells[j].load_probes <= probes_of_a_backend_max);
	}
	// Those that hang do not keep the others from being asked.
	for (u32 i = 6; i < 12; i++)
		assert_true(scene.servers[i].asked > 30 && find(i));
	assert_true(most >= 6 * probes_of_a_backend_max && most < probes_of_a_pool_max);
	assert_true(scene.metrics.values[M_LOAD_PROBES_SKIPPED] > 100);
	end();
}

static void leaves_connections_to_requests(void **state)
{
	(void)state;
	begin(12, ", probes: 8", "");
	for (u32 i = 0; i < 12; i++)
		scene.servers[i].conduct = HANGS;
	for (u32 i = 0; i < 500; i++)
		ask();
	run(2);
	assert_int_equal(scene.upstream.links.used, links_max - links_max / 4);
	run(a_moment_ms);
	end();
}

static void leaves_the_last_place_at_a_backend(void **state)
{
	(void)state;
	begin(3, "", ", max_connections: 1");
	for (u32 i = 0; i < 3; i++) {
		ask();
		run(a_moment_ms);
	}
	assert_int_equal(open_connections(), 0);
	assert_int_equal(pool_of_probes()->count, 3);
	counted(0, 0, 9);
	end();

	begin(3, "", ", max_connections: 2");
	for (u32 i = 0; i < 3; i++)
		scene.servers[i].conduct = HANGS;
	for (u32 i = 0; i < 3; i++) {
		ask();
		run(a_moment_ms);
	}
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(scene.servers[i].open_most, 1);
	counted(0, 0, 6);
	end();
}

static void asks_only_who_may_get_requests(void **state)
{
	(void)state;
	begin(3, "", "");
	picker_mark_full(&scene.upstream.pickers[0], &scene.pool->backends[1]);
	ask();
	run(a_moment_ms);
	assert_int_equal(scene.servers[0].asked, 1);
	assert_int_equal(scene.servers[1].asked, 0);
	assert_int_equal(scene.servers[2].asked, 1);
	counted(2, 0, 0);
	end();
}

static void ends_when_it_is_told_to(void **state)
{
	(void)state;
	begin(3, "", "");
	for (u32 i = 0; i < 3; i++)
		scene.servers[i].conduct = HANGS;
	ask();
	run(a_moment_ms);
	assert_int_equal(open_connections(), 3);
	ask(); // goes out in no turn any more
	load_probes_drain(&scene.probes);
	run(a_moment_ms);
	assert_true(load_probes_is_empty(&scene.probes));
	assert_int_equal(open_connections(), 0);
	ask();
	run(a_moment_ms);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(scene.servers[i].asked, 1);
	end();
}

static void survives_a_rough_network(void **state)
{
	(void)state;
	begin(8, "", "");
	*sim_net_config(scene.net) = sim_config_rough();
	for (u32 i = 0; i < 8; i++)
		scene.servers[i].conduct = i == 7 ? HANGS : ANSWERS;
	for (u32 i = 0; i < 2000; i++) {
		ask();
		run(3);
	}
	assert_true(scene.metrics.values[M_LOAD_PROBES] > 1000);
	assert_true(scene.metrics.values[M_LOAD_PROBES_FAILED] > 100);
	*sim_net_config(scene.net) = sim_config_calm();
	run(2 * age_max_ms);
	assert_true(load_probes_is_empty(&scene.probes));
	end();
}

static void picks_by_what_it_hears(void **state)
{
	static const struct balance_tried none = {0};
	const struct pick_ask pick_ask = {.preferred = BALANCE_NONE, .tried = &none};
	struct pick pick;

	(void)state;
	begin(3, "", "");
	scene.servers[0].answer =
		"HTTP/1.1 204 Fine\r\nX-Weir-Load: in_flight=90, latency_ms=80\r\n\r\n";
	scene.servers[1].answer =
		"HTTP/1.1 204 Fine\r\nX-Weir-Load: in_flight=80, latency_ms=70\r\n\r\n";
	for (u32 i = 0; i < 20; i++) {
		ask();
		run(a_moment_ms);
		assert_int_equal(
			pick_backend(&scene.upstream, scene.pool, &pick_ask, &pick), PICK_OK);
		assert_int_equal(pick.backend->index, 2);
		pick_cancel(&scene.upstream, &pick);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_and_hears),
		cmocka_unit_test(keeps_its_connections),
		cmocka_unit_test(reads_bodies_and_drops_them),
		cmocka_unit_test(takes_own_counts_where_nothing_is_told),
		cmocka_unit_test(gives_up_in_time),
		cmocka_unit_test(has_limits),
		cmocka_unit_test(leaves_connections_to_requests),
		cmocka_unit_test(leaves_the_last_place_at_a_backend),
		cmocka_unit_test(asks_only_who_may_get_requests),
		cmocka_unit_test(ends_when_it_is_told_to),
		cmocka_unit_test(survives_a_rough_network),
		cmocka_unit_test(picks_by_what_it_hears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
