// SPDX-License-Identifier: Apache-2.0
// A connection to a backend by TLS whose own side runs out of memory: whoever uses it hears of it
// at once, and that it is no fault of the backend.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/loop_sim.h"
#include "net/conn.h"
#include "net/tls_client.h"
#include "net/tls_env.h"
#include "net/tls_server.h"
#include "papers.h"

enum { blocks_max = 16, turn_ms = 100 };

struct end {
	struct loop *loop;
	struct conn conn;
	u32 connected, resets, closed;
	int connect_error;
	enum stream_fault fault;
};

struct scene {
	struct papers papers;
	struct tls_secret secret;
	struct tls_env *env, *peer_env;
	struct tls_server *server;
	struct tls_client *client;
	struct sim_net *net;
	struct end backend, own;
	struct block *hoard[2 * blocks_max];
	u32 hoarded;
};

static struct scene scene;

static struct end *of_conn(struct conn *conn)
{
	return container_of(conn, struct end, conn);
}

// ---- What both ends hear ------------------------------------------------------------------------

static void on_done(struct conn *conn, int error)
{
	of_conn(conn)->connected++;
	of_conn(conn)->connect_error = error;
}

static void on_closed(struct conn *conn)
{
	of_conn(conn)->closed++;
}

static const struct conn_events conn_events = {
	.on_closed = on_closed, .on_connected = on_done, .on_secured = on_done};

static void on_poke(struct session *session)
{
	conn_poke(conn_of_session(session));
}

static void on_stream_done(struct session *session, struct stream *stream)
{
	(void)session;
	(void)stream;
}

static const struct session_events session_events = {
	.on_poke = on_poke, .on_stream_done = on_stream_done};

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	(void)stream;
	(void)end;
	slice_drop(&slice);
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	struct end *end = stream->owner;

	end->resets++;
	end->fault = fault;
}

static const struct stream_events stream_events = {
	.on_body = on_body, .on_drained = on_drained, .on_reset = on_reset};

// ---- The scene ----------------------------------------------------------------------------------

static void make_ends(void)
{
	struct tls_files files = {.cert = papers_file(&scene.papers, "site.crt"),
		.key = papers_file(&scene.papers, "site.key")};
	struct tls_error error;

	scene.server = tls_server_new(scene.peer_env,
		&(struct tls_server_options){.name = STR("web"), .files = &files, .file_count = 1},
		&error);
	assert_non_null(scene.server);
	scene.client = tls_client_new(scene.env,
		&(struct tls_client_options){
			.name = STR("site.example"), .ca = papers_file(&scene.papers, "ca.crt")},
		NULL, &error);
	assert_non_null(scene.client);
}

static int set_up(void **state)
{
	(void)state;
	papers_begin(&scene.papers);
	papers_make(&scene.papers,
		&(struct paper){.file = "site", .subject = "site", .names = "DNS:site.example"});
	tls_secret_make(&scene.secret, 0);
	scene.env = tls_env_new(&scene.secret, 8);
	scene.peer_env = tls_env_new(&scene.secret, 8);
	assert_non_null(scene.env);
	assert_non_null(scene.peer_env);
	make_ends();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tls_client_unref(scene.client);
	tls_server_unref(scene.server);
	tls_env_unref(scene.env);
	tls_env_unref(scene.peer_env);
	papers_end(&scene.papers);
	return 0;
}

static void run(void)
{
	sim_net_run(scene.net, sim_net_now_us(scene.net) / 1000 + turn_ms);
}

static void begin(void)
{
	struct loop_limits limits = {
		.large_blocks_max = blocks_max, .small_blocks_max = blocks_max};
	struct sim_config calm = sim_config_calm();
	int fds[2];

	scene.net = sim_net_new(1, &calm);
	scene.own = (struct end){.loop = sim_loop_new(scene.net, &limits)};
	scene.backend = (struct end){.loop = sim_loop_new(scene.net, &limits)};
	tls_env_bind(scene.env, scene.own.loop);
	tls_env_bind(scene.peer_env, scene.backend.loop);
	sim_pair(scene.net, fds);
	conn_init_fd(&scene.backend.conn, scene.backend.loop, fds[0], &conn_events);
	conn_use_raw(&scene.backend.conn, STREAM_SERVER, &session_events);
	assert_true(conn_use_tls_server(&scene.backend.conn, scene.server));
	conn_start(&scene.backend.conn);
	conn_init_fd(&scene.own.conn, scene.own.loop, fds[1], &conn_events);
	scene.own.conn.upstream = true;
	conn_use_raw(&scene.own.conn, STREAM_CLIENT, &session_events);
	assert_true(conn_use_tls_client(&scene.own.conn, scene.client));
	conn_start(&scene.own.conn);
}

static void open_stream(void)
{
	struct session *session = scene.own.conn.session;
	struct stream *stream = session->ops->open(session);

	stream->events = &stream_events;
	stream->owner = &scene.own;
	stream->ops->grant(stream, 1000);
}

static void hoard(void)
{
	struct block_pool *pool = &scene.own.loop->blocks;
	struct block *block;

	while ((block = block_get(pool, true)) || (block = block_get_sized(pool, 1)))
		scene.hoard[scene.hoarded++] = block;
}

static void let_go(void)
{
	while (scene.hoarded)
		block_unref(scene.hoard[--scene.hoarded]);
}

static void finish(void)
{
	let_go();
	if (!scene.own.closed)
		conn_close(&scene.own.conn);
	if (!scene.backend.closed)
		conn_close(&scene.backend.conn);
	run();
	assert_int_equal(scene.own.closed, 1);
	assert_int_equal(scene.backend.closed, 1);
	loop_free(scene.own.loop);
	loop_free(scene.backend.loop);
	sim_net_free(scene.net);
}

// ---- The tests ----------------------------------------------------------------------------------

// A receive is out, as is usual while a request goes up, and it can tell nothing any more.
static void a_send_that_cannot_be_sealed_is_told(void **state)
{
	struct end *own = &scene.own;

	(void)state;
	begin();
	run();
	assert_int_equal(own->connected, 1);
	assert_int_equal(own->connect_error, 0);
	open_stream();
	run();
	assert_true(op_is_out(&own->conn.receive));
	assert_int_equal(
		bytes_write(&own->loop->blocks, &own->conn.out, "a part of a request", 19), 0);
	hoard();
	conn_poke(&own->conn);
	run();
	assert_int_equal(own->resets, 1);
	assert_int_equal(own->fault, STREAM_NO_MEMORY);
	assert_int_equal(own->closed, 1);
	finish();
}

static void a_handshake_without_memory_is_our_own_fault(void **state)
{
	(void)state;
	begin();
	hoard();
	run();
	assert_int_equal(scene.own.connected, 1);
	assert_true(conn_is_shortage(scene.own.connect_error));
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_send_that_cannot_be_sealed_is_told),
		cmocka_unit_test(a_handshake_without_memory_is_our_own_fault),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
