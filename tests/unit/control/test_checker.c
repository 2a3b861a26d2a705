// SPDX-License-Identifier: Apache-2.0
// The checker on the simulated network: backends that answer, refuse, hang and lie, in virtual
// time. One test stands on real sockets, because only the kernel runs out of descriptors.
#include "pools.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/checker.h"
#include "loop/loop_sim.h"
#include "loop/loop_twin.h"

// How a backend treats a request that is complete.
enum conduct {
	ANSWERS, // with origin->answer, then it ends its side
	STAYS,	 // the same, and does not end
	HANGS,
	CLOSES,
	RESETS,
	DRIPS,	   // a byte of its answer every drip_ms
	HALF_HEAD, // and then nothing
	CUTS,	   // the answer lacks its last byte
	CONDUCTS,
};

enum {
	origins_max = 128,
	asked_max = 256,
	request_bytes_max = 1024,
	drip_ms = 50,
	blocks_max = 16 * 1024,
	crowd = 10 * 1000,
	jitter_percent = 10,
	answer_room = 100 * 1024,
};

static const char ok_answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct origin {
	struct scene *scene;
	struct addr addr;
	u8 conduct; // enum conduct
	struct str answer;
	struct sock sock;
	struct op accept;
	bool listening;
	u32 open, open_most; // connections
	u32 accepted;
	u32 ended, broken; // heard of the other side: an end | an error
	u32 asked;
	u64 asked_ms[asked_max]; // moments of requests
	char request[request_bytes_max];
};

// A connection to it.
struct visit {
	struct origin *origin;
	struct sock sock;
	struct op recv, send;
	struct bytes out;
	struct timer drip;
	u32 len, sent;
	bool dying, answered, fin;
	char text[request_bytes_max];
};

struct scene {
	struct pools pools;
	struct sim_net *net;
	struct loop *inside, *outside;
	struct checker *checker;
	struct timer tick;
	struct origin origins[origins_max];
	u32 visits, visits_most;
	u64 start_ms;
};

static struct scene scene;

// ---- Backends -----------------------------------------------------------------------------------

static void visit_close(struct visit *visit)
{
	struct loop *loop = scene.outside;

	visit->dying = true;
	loop_cancel(loop, &visit->recv);
	loop_cancel(loop, &visit->send);
	if (op_is_out(&visit->recv) || op_is_out(&visit->send))
		return;
	loop_timer_cancel(loop, &visit->drip);
	bytes_clear(&visit->out);
	sock_close(loop, &visit->sock);
	visit->origin->open--;
	scene.visits--;
	mem_free(visit);
}

static void say(struct visit *visit, struct str text)
{
	struct slice slice = {.ptr = text.ptr, .len = text.len}; // it outlives the visit

	assert_int_equal(bytes_append(&scene.outside->blocks, &visit->out, slice), 0);
	loop_send(scene.outside, &visit->sock, &visit->send, &visit->out);
}

static void drip_on(struct visit *visit)
{
	loop_timer_set(scene.outside, &visit->drip, loop_now_ms(scene.outside) + drip_ms);
}

static void on_drip(struct timer *timer)
{
	struct visit *visit = container_of(timer, struct visit, drip);

	if (visit->sent == visit->origin->answer.len || visit->dying)
		return;
	if (!op_is_out(&visit->send))
		say(visit, str_make(visit->origin->answer.ptr + visit->sent++, 1));
	drip_on(visit);
}

static void act(struct visit *visit)
{
	struct origin *origin = visit->origin;

	visit->answered = true;
	memcpy(origin->request, visit->text, visit->len + 1);
	if (origin->asked < asked_max)
		origin->asked_ms[origin->asked] = loop_now_ms(scene.outside) - scene.start_ms;
	origin->asked++;
	switch ((enum conduct)origin->conduct) {
	case ANSWERS:
	case STAYS:
		visit->fin = origin->conduct == ANSWERS;
		say(visit, origin->answer);
		break;
	case CUTS:
		visit->fin = true;
		say(visit, str_make(origin->answer.ptr, origin->answer.len - 1));
		break;
	case HALF_HEAD:
		say(visit, str_make(origin->answer.ptr, 20));
		break;
	case RESETS:
		sock_reset_on_close(scene.outside, &visit->sock);
		visit_close(visit);
		break;
	case CLOSES:
		visit_close(visit);
		break;
	case DRIPS:
		drip_on(visit);
		break;
	case HANGS:
	case CONDUCTS:
		break;
	}
}

static void on_request(struct op *op)
{
	struct visit *visit = container_of(op, struct visit, recv);

	if (op->result > 0) {
		assert_true(visit->len + op->received.len < request_bytes_max);
		memcpy(visit->text + visit->len, op->received.ptr, op->received.len);
		visit->len += (u32)op->received.len;
		visit->text[visit->len] = '\0';
		slice_drop(&op->received);
	}
	visit->origin->ended += op->result == 0;
	visit->origin->broken += op->result < 0 && op->result != -ECANCELED;
	if (visit->dying || op->result <= 0) {
		visit_close(visit);
		return;
	}
	loop_recv(scene.outside, &visit->sock, &visit->recv, 0); // for the end, too
	if (!visit->answered && strstr(visit->text, "\r\n\r\n"))
		act(visit);
}

static void on_said(struct op *op)
{
	struct visit *visit = container_of(op, struct visit, send);

	if (visit->dying || op->result < 0)
		visit_close(visit);
	else if (visit->fin)
		sock_shutdown_send(scene.outside, &visit->sock);
}

static void on_accept(struct op *op)
{
	struct origin *origin = container_of(op, struct origin, accept);
	struct visit *visit;

	if (op->result < 0) {
		if (op->result != -ECANCELED) // the network's fault
			loop_accept(scene.outside, &origin->sock, &origin->accept);
		return;
	}
	visit = mem_alloc(sizeof(*visit));
	visit->origin = origin;
	op_init(&visit->recv, on_request);
	op_init(&visit->send, on_said);
	timer_init(&visit->drip, on_drip);
	sock_open(scene.outside, &visit->sock, op->result);
	origin->accepted++;
	origin->open++;
	origin->open_most = MAX(origin->open_most, origin->open);
	scene.visits++;
	scene.visits_most = MAX(scene.visits_most, scene.visits);
	loop_recv(scene.outside, &visit->sock, &visit->recv, 0);
}

static void origin_listen(struct origin *origin)
{
	origin->listening = true;
	op_init(&origin->accept, on_accept);
	sock_open(scene.outside, &origin->sock, sim_listen(scene.net, &origin->addr));
	loop_accept(scene.outside, &origin->sock, &origin->accept);
}

static void origin_stop(struct origin *origin)
{
	if (!origin->listening)
		return;
	origin->listening = false;
	loop_cancel(scene.outside, &origin->accept);
	while (op_is_out(&origin->accept))
		loop_turn(scene.outside, 0);
	sock_close(scene.outside, &origin->sock);
}

// ---- The scene ----------------------------------------------------------------------------------

static void on_tick(struct timer *timer)
{
	scene.pools.now_ms = loop_now_ms(scene.inside);
	(void)model_tick(scene.pools.model, scene.pools.now_ms);
	loop_timer_set(scene.inside, timer, scene.pools.now_ms + MODEL_TICK_MS);
}

// A pool with HTTP checks whose backends all are well. A test changes what it is about.
static void scene_init(u32 backends, u64 seed, const struct sim_config *config)
{
	static const struct loop_limits limits = {blocks_max, blocks_max};

	scene = (struct scene){.net = sim_net_new(seed, config)};
	scene.inside = sim_loop_new(scene.net, &limits);
	scene.outside = sim_loop_new(scene.net, &limits);
	sim_loop_set_outside(scene.outside);
	pools_init(&scene.pools, backends);
	scene.pools.pools[0].check.type = CONF_CHECK_HTTP;
	for (u32 i = 0; i < MIN(backends, (u32)origins_max); i++)
		scene.origins[i] = (struct origin){.scene = &scene,
			.addr = scene.pools.backends[0][i].addr,
			.answer = str_from(ok_answer)};
	timer_init(&scene.tick, on_tick);
}

static void scene_init_calm(u32 backends)
{
	struct sim_config calm = sim_config_calm();

	scene_init(backends, 1, &calm);
}

static void scene_start(u32 probes_max)
{
	scene.start_ms = loop_now_ms(scene.inside);
	pools_build(&scene.pools, 1, scene.start_ms);
	scene.checker =
		checker_new(scene.inside, scene.pools.model, scene.pools.snapshot, probes_max);
	loop_timer_set(scene.inside, &scene.tick, scene.start_ms);
	checker_wake(scene.checker);
}

// Everybody listens whom the test has not told to.
static void scene_start_all(void)
{
	for (u32 i = 0; i < scene.pools.pools[0].backend_count; i++)
		if (!scene.origins[i].listening)
			origin_listen(&scene.origins[i]);
	scene_start(blocks_max);
}

// Until so many milliseconds after the start.
static void run(u64 until_ms)
{
	sim_net_run(scene.net, scene.start_ms + until_ms);
}

static void scene_done(void)
{
	checker_stop(scene.checker);
	loop_timer_cancel(scene.inside, &scene.tick);
	sim_net_config(scene.net)->latency_us_max = 500;
	while (!checker_is_idle(scene.checker))
		loop_turn(scene.inside, UINT64_MAX);
	for (u32 i = 0; i < origins_max; i++)
		origin_stop(&scene.origins[i]);
	while (scene.visits)
		loop_turn(scene.outside, UINT64_MAX);
	checker_free(scene.checker);
	pools_done(&scene.pools);
	loop_free(scene.inside);
	loop_free(scene.outside);
	sim_net_free(scene.net);
}

static const struct health *health_of(u32 index)
{
	return &model_state(scene.pools.model, pools_backend(&scene.pools, index))->health;
}

static void assert_health(u32 index, enum health_state state, enum health_reason reason)
{
	const struct health *health = health_of(index);

	if (health->state != state || health->reason != reason)
		fail_msg("backend %u is %s (%s), expected %s (%s)", index,
			health_state_name((enum health_state)health->state),
			health_reason_text((enum health_reason)health->reason),
			health_state_name(state), health_reason_text(reason));
}

// ---- Answers ------------------------------------------------------------------------------------

// One kind of backend for each row; what the first check says of it.
static const struct {
	u8 conduct;
	const char *answer;
	u8 reason; // enum health_reason
} rows[] = {
	{ANSWERS, ok_answer, HEALTH_NONE}, {STAYS, ok_answer, HEALTH_NONE},
	{ANSWERS, "HTTP/1.0 204 No Content\r\n\r\n", HEALTH_NONE},
	{ANSWERS, "HTTP/1.1 200 OK\r\n\r\nuntil the end", HEALTH_NONE},
	{ANSWERS, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		HEALTH_NONE},
	{CUTS, ok_answer, HEALTH_NONE}, // the head decides
	{ANSWERS, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", HEALTH_STATUS},
	{ANSWERS, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad",
		HEALTH_STATUS},
	{ANSWERS, "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n", HEALTH_STATUS},
	{ANSWERS, "HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", HEALTH_STATUS},
	{ANSWERS, "SSH-2.0-OpenSSH_9.2\r\n", HEALTH_MALFORMED},
	{ANSWERS, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok",
		HEALTH_MALFORMED},
	{ANSWERS, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		HEALTH_MALFORMED},
	{ANSWERS, "HTTP/1.1 200 O", HEALTH_CONNECTION_RESET}, // cut within the head
	{CLOSES, ok_answer, HEALTH_CONNECTION_RESET}, {RESETS, ok_answer, HEALTH_CONNECTION_RESET},
	{HANGS, ok_answer, HEALTH_RESPONSE_TIMEOUT},
	{HALF_HEAD, ok_answer, HEALTH_RESPONSE_TIMEOUT},
	{DRIPS, "HTTP/1.1 200 OK\r\nX-Padding: 0123456789\r\n\r\n", HEALTH_RESPONSE_TIMEOUT},
	{DRIPS, "HTTP/1.1 200 OK\r\n\r\n", HEALTH_NONE}, // 19 bytes take 0.95 s of 2 s
};

static void test_answers(void **state)
{
	u32 count = ARRAY_LEN(rows);

	(void)state;
	scene_init_calm(count + 1); // the last one refuses
	for (u32 i = 0; i < count; i++) {
		scene.origins[i].conduct = rows[i].conduct;
		scene.origins[i].answer = str_from(rows[i].answer);
		origin_listen(&scene.origins[i]);
	}
	scene_start(blocks_max);
	run(5);
	assert_false(model_is_complete(scene.pools.model)); // some hang
	assert_health(count, HEALTH_DOWN, HEALTH_CONNECTION_REFUSED);
	run(1999);
	assert_false(model_is_complete(scene.pools.model));
	run(2001);
	assert_true(model_is_complete(scene.pools.model));
	for (u32 i = 0; i < count; i++)
		assert_health(i, rows[i].reason == HEALTH_NONE ? HEALTH_UP : HEALTH_DOWN,
			(enum health_reason)rows[i].reason);
	scene_done();
}

static void test_expected_statuses(void **state)
{
	static const struct conf_statuses ranges[] = {{200, 204}, {300, 399}, {418, 418}};
	static const char *const answers[] = {
		"HTTP/1.1 204 x\r\n\r\n",
		"HTTP/1.1 399 x\r\n\r\n",
		"HTTP/1.1 418 x\r\n\r\n",
		"HTTP/1.1 205 x\r\n\r\n",
		"HTTP/1.1 400 x\r\n\r\n",
		"HTTP/1.1 419 x\r\n\r\n",
	};

	(void)state;
	scene_init_calm(6);
	scene.pools.pools[0].check.expect.statuses = ranges;
	scene.pools.pools[0].check.expect.status_count = 3;
	for (u32 i = 0; i < 6; i++)
		scene.origins[i].answer = str_from(answers[i]);
	scene_start_all();
	run(10);
	for (u32 i = 0; i < 6; i++)
		assert_int_equal(health_of(i)->state, i < 3 ? HEALTH_UP : HEALTH_DOWN);
	scene_done();
}

static void test_no_connection_in_time(void **state)
{
	struct sim_config config = sim_config_calm();

	(void)state;
	config.connect_timeout_one_in = 1;
	config.connect_timeout_us = 10 * 1000 * 1000;
	scene_init(2, 1, &config);
	scene_start_all();
	run(1999);
	assert_health(0, HEALTH_UNKNOWN, HEALTH_NONE);
	run(2001);
	assert_health(0, HEALTH_DOWN, HEALTH_CONNECTION_TIMEOUT);
	scene_done();
	config.connect_timeout_us = 500 * 1000; // what the kernel says is said sooner
	scene_init(2, 1, &config);
	scene_start_all();
	run(501);
	assert_health(0, HEALTH_DOWN, HEALTH_CONNECTION_TIMEOUT);
	scene_done();
}

// ---- Bodies -------------------------------------------------------------------------------------

static void test_bodies(void **state)
{
	static char late[answer_room], too_late[answer_room];
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
	size_t start = sizeof(head) - 1;
	const struct {
		const char *answer;
		u8 conduct, reason;
	} bodies[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall well!", STAYS, HEALTH_NONE},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall bad!!", STAYS, HEALTH_BODY},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", STAYS, HEALTH_BODY},
		{"HTTP/1.1 204 OK\r\n\r\n", STAYS, HEALTH_BODY},
		{"HTTP/1.1 200 OK\r\n\r\nall well", ANSWERS, HEALTH_NONE},
		{"HTTP/1.1 200 OK\r\n\r\nall bad", ANSWERS, HEALTH_BODY},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n3\r\n we\r\n"
		 "2\r\nll\r\n0\r\n\r\n",
			STAYS, HEALTH_NONE},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n3\r\n we\r\n"
		 "2\r\nak\r\n0\r\n\r\n",
			STAYS, HEALTH_BODY},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\n"
		 "X-Trailer: all well\r\n\r\n",
			STAYS, HEALTH_BODY},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nall well", STAYS,
			HEALTH_MALFORMED},
		{"HTTP/1.1 500 No\r\nContent-Length: 8\r\n\r\nall well", STAYS, HEALTH_STATUS},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall", STAYS, HEALTH_RESPONSE_TIMEOUT},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall welX", CUTS,
			HEALTH_CONNECTION_RESET},
		{late, ANSWERS, HEALTH_NONE},
		{too_late, ANSWERS, HEALTH_BODY},
	};
	u32 count = ARRAY_LEN(bodies);

	(void)state;
	memset(late, 'a', start + CHECKER_BODY_BYTES_MAX);
	memcpy(late, head, start);
	memcpy(too_late, late, start + CHECKER_BODY_BYTES_MAX);
	memcpy(late + start + CHECKER_BODY_BYTES_MAX - 8, "all well", 8);
	memcpy(too_late + start + CHECKER_BODY_BYTES_MAX - 7, "all well", 8);
	scene_init_calm(count);
	scene.pools.pools[0].check.expect.body = STR("all well");
	for (u32 i = 0; i < count; i++) {
		scene.origins[i].answer = str_from(bodies[i].answer);
		scene.origins[i].conduct = bodies[i].conduct;
	}
	scene_start_all();
	run(2001);
	for (u32 i = 0; i < count; i++)
		assert_health(i, bodies[i].reason == HEALTH_NONE ? HEALTH_UP : HEALTH_DOWN,
			(enum health_reason)bodies[i].reason);
	scene_done();
}

// Whatever the text, the body, and where the pieces end: found if and only if it is there.
static void test_search(void **state)
{
	static char answers[20][300];
	u32 found = 0, missed = 0;

	(void)state;
	for (u64 seed = 0; seed < 300; seed++) {
		struct sim_config config = sim_config_calm();
		char text[12];
		struct rng rng;
		u32 len;

		config.short_read_one_in = config.partial_send_one_in = 1;
		rng_init(&rng, seed);
		scene_init(20, seed, &config);
		len = 1 + rng_below(&rng, 10);
		for (u32 i = 0; i < len; i++)
			text[i] = "aaabbc"[rng_below(&rng, 6)];
		text[len] = '\0';
		scene.pools.pools[0].check.expect.body = str_from(text);
		for (u32 i = 0; i < 20; i++) {
			size_t at = strlen("HTTP/1.1 200 OK\r\n\r\n"),
			       end = at + rng_below(&rng, 100);

			memcpy(answers[i], "HTTP/1.1 200 OK\r\n\r\n", at);
			while (at < end) { // beginnings of the text
				u32 part = 1 + rng_below(&rng, MAX(len - 1, 1));

				memcpy(answers[i] + at, text, part);
				at += part;
				if (rng_one_in(&rng, 3))
					answers[i][at++] = text[rng_below(&rng, len)];
			}
			answers[i][at] = '\0';
			scene.origins[i].answer = str_from(answers[i]);
		}
		scene_start_all();
		run(1000);
		for (u32 i = 0; i < 20; i++) {
			bool is_there = strstr(strstr(answers[i], "\r\n\r\n") + 4, text) != NULL;

			if ((health_of(i)->state == HEALTH_UP) != is_there)
				fail_msg("seed %llu: \"%s\" in \"%s\"", (unsigned long long)seed,
					text, answers[i]);
			found += is_there;
			missed += !is_there;
		}
		scene_done();
	}
	assert_true(found > 500 && missed > 500);
}

// After "aabaaa" and a 'b' the last three bytes may be the beginning, and are.
static void test_search_goes_back_in_steps(void **state)
{
	(void)state;
	scene_init_calm(1);
	scene.pools.pools[0].check.expect.body = STR("aabaaac");
	scene.origins[0].answer = STR("HTTP/1.1 200 OK\r\n\r\naabaaabaaac");
	scene_start_all();
	run(10);
	assert_health(0, HEALTH_UP, HEALTH_NONE);
	scene_done();
}

// ---- Requests -----------------------------------------------------------------------------------

static void test_request(void **state)
{
	struct conf_backend *own;

	(void)state;
	scene_init_calm(3);
	scene.pools.pools[0].check.port = 81;
	scene.origins[0].addr.port = 81;
	scene.origins[2].addr.port = 81;
	own = &scene.pools.backends[0][1];
	own->check.port = 82;
	own->check.path = STR("/own?a=b");
	own->check.host = STR("own.example");
	scene.origins[1].addr.port = 82;
	scene_start_all();
	run(5);
	assert_string_equal(scene.origins[0].request,
		"GET /health HTTP/1.1\r\nHost: 10.0.0.0:80\r\n"
		"User-Agent: weir/" WEIR_VERSION " health-check\r\nConnection: close\r\n\r\n");
	assert_string_equal(scene.origins[1].request,
		"GET /own?a=b HTTP/1.1\r\nHost: own.example\r\n"
		"User-Agent: weir/" WEIR_VERSION " health-check\r\nConnection: close\r\n\r\n");
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(health_of(i)->state, HEALTH_UP);
	scene_done();
}

static void test_methods(void **state)
{
	(void)state;
	scene_init_calm(2);
	pools_add(&scene.pools, 1);
	scene.pools.pools[0].check.method = STR("HEAD");
	scene.pools.pools[0].check.host = STR("pool.example");
	scene.pools.pools[1].check.type = CONF_CHECK_HTTP;
	scene.pools.pools[1].check.method = STR("POST");
	scene.origins[2] = (struct origin){.scene = &scene,
		.addr = scene.pools.backends[1][0].addr,
		.answer = str_from(ok_answer)};
	origin_listen(&scene.origins[2]);
	scene.origins[0].answer = STR("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
	scene_start_all();
	run(5);
	assert_true(str_starts(str_from(scene.origins[0].request),
		STR("HEAD /health HTTP/1.1\r\nHost: pool.example\r\n")));
	assert_non_null(strstr(scene.origins[2].request, "POST /health"));
	assert_non_null(strstr(scene.origins[2].request, "\r\nContent-Length: 0\r\n"));
	assert_int_equal(health_of(0)->state, HEALTH_UP);
	assert_int_equal(scene.pools.snapshot->pools[1]->eligible, 1);
	scene_done();
}

static void test_unix_sockets(void **state)
{
	(void)state;
	scene_init_calm(2);
	for (u32 i = 0; i < 2; i++) {
		struct conf_backend *backend = &scene.pools.backends[0][i];

		backend->id = backend->address = i ? STR("unix:/b") : STR("unix:/a");
		assert_int_equal(addr_parse(backend->address, &backend->addr), 0);
		scene.origins[i].addr = backend->addr;
	}
	scene.pools.pools[0].check.port = 81; // means nothing for them
	origin_listen(&scene.origins[0]);
	scene_start(blocks_max);
	run(5);
	assert_health(0, HEALTH_UP, HEALTH_NONE);
	assert_int_equal(health_of(1)->state, HEALTH_DOWN);
	assert_non_null(strstr(scene.origins[0].request, "\r\nHost: localhost\r\n"));
	scene_done();
}

// ---- TCP ----------------------------------------------------------------------------------------

static void test_tcp(void **state)
{
	(void)state;
	scene_init_calm(3);
	scene.pools.pools[0].check.type = CONF_CHECK_TCP;
	origin_listen(&scene.origins[0]);
	origin_listen(&scene.origins[1]);
	scene_start(blocks_max);
	run(20 * 1000);
	assert_health(0, HEALTH_UP, HEALTH_NONE);
	assert_health(1, HEALTH_UP, HEALTH_NONE);
	assert_health(2, HEALTH_DOWN, HEALTH_CONNECTION_REFUSED);
	assert_in_range(scene.origins[0].accepted, 4, 5);
	assert_int_equal(scene.origins[0].ended, scene.origins[0].accepted); // each an orderly end
	assert_int_equal(scene.origins[0].broken, 0);
	assert_int_equal(scene.origins[0].asked, 0);
	scene_done();
}

static void test_auto(void **state)
{
	(void)state;
	scene_init_calm(3);
	scene.pools.pools[0].check.type = CONF_CHECK_AUTO;
	for (u32 i = 0; i < 3; i++)
		scene.origins[i].answer = STR("HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n");
	scene_start_all();
	run(20);
	assert_int_equal(scene.pools.snapshot->pools[0]->eligible, 3);
	assert_int_equal(pools_heard(&scene.pools, MODEL_CHECK_TYPE, "tcp"), 1);
	run(30 * 1000);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(scene.origins[i].asked, 1);
		assert_true(scene.origins[i].accepted > 5); // connects from then on
		assert_int_equal(health_of(i)->state, HEALTH_UP);
	}
	scene_done();
}

// ---- When ---------------------------------------------------------------------------------------

// Requests came at once, and then in steps within the jitter (a network's delay allowed for).
static void assert_on_time(const struct origin *origin, u64 until_ms)
{
	u64 interval_ms = 5000, least_ms = interval_ms - interval_ms * jitter_percent / 100;

	assert_true(origin->asked >= until_ms / interval_ms);
	assert_in_range(origin->asked_ms[0], 0, 5);
	for (u32 i = 1; i < MIN(origin->asked, (u32)asked_max); i++)
		assert_in_range(origin->asked_ms[i] - origin->asked_ms[i - 1], least_ms - 5,
			interval_ms + 5);
}

static void test_schedule(void **state)
{
	u64 least = UINT64_MAX, most = 0;

	(void)state;
	scene_init_calm(20);
	scene_start_all();
	run(60 * 1000);
	for (u32 i = 0; i < 20; i++) {
		const struct origin *origin = &scene.origins[i];

		assert_on_time(origin, 60 * 1000);
		least = MIN(least, origin->asked_ms[11]);
		most = MAX(most, origin->asked_ms[11]);
	}
	assert_true(most - least > 500); // chance has spread them
	scene_done();
}

static void test_half_of_them_hang(void **state)
{
	static const u8 bad[] = {HANGS, HALF_HEAD, DRIPS, HANGS};

	(void)state;
	scene_init_calm(100);
	for (u32 i = 1; i < 100; i += 2) {
		scene.origins[i].conduct = bad[i / 2 % ARRAY_LEN(bad)];
		scene.origins[i].answer =
			STR("HTTP/1.1 200 OK\r\nServer: a rather slow one\r\n\r\n");
	}
	scene_start_all();
	run(120 * 1000);
	for (u32 i = 0; i < 100; i++) {
		assert_on_time(&scene.origins[i], 120 * 1000);
		if (i % 2)
			assert_health(i, HEALTH_DOWN, HEALTH_RESPONSE_TIMEOUT);
		else
			assert_health(i, HEALTH_UP, HEALTH_NONE);
		assert_int_equal(scene.origins[i].open_most, 1);
	}
	assert_int_equal(scene.pools.snapshot->pools[0]->eligible, 50);
	scene_done();
}

// Very many, all of them at once; one listener stands for all, and it accepts some ten in a
// millisecond.
static void start_crowd(enum conduct conduct)
{
	scene_init_calm(crowd);
	scene.origins[0].addr = (struct addr){.family = ADDR_V4, .port = 80};
	scene.origins[0].conduct = (u8)conduct;
	origin_listen(&scene.origins[0]);
	scene_start(blocks_max);
}

static void test_crowd(void **state)
{
	(void)state;
	start_crowd(HANGS);
	run(1900);
	assert_int_equal(scene.origins[0].open, crowd);
	run(2001);
	assert_true(model_is_complete(scene.pools.model));
	run(2101); // so large a pool is judged once in a while
	assert_int_equal(scene.pools.snapshot->pools[0]->eligible, 0);
	scene_done();
	start_crowd(ANSWERS);
	run(1900);
	assert_true(model_is_complete(scene.pools.model));
	run(2001);
	assert_int_equal(pools_heard(&scene.pools, MODEL_HEALTH, "up"), crowd);
	assert_int_equal(scene.pools.snapshot->pools[0]->eligible, crowd);
	scene_done();
}

static void test_return(void **state)
{
	(void)state;
	scene_init_calm(2);
	scene_start_all();
	run(3000);
	for (u32 i = 0; i < 2; i++)
		origin_stop(&scene.origins[i]);
	run(30 * 1000);
	assert_int_equal(scene.pools.snapshot->pools[0]->eligible, 0);
	assert_int_equal(pools_heard(&scene.pools, MODEL_POOL, "unavailable"), 1);
	origin_listen(&scene.origins[1]);
	run(30 * 1000 + 2 * 1000 + 5); // healthy_threshold x fast_interval
	assert_health(1, HEALTH_UP, HEALTH_NONE);
	assert_health(0, HEALTH_DOWN, HEALTH_CONNECTION_REFUSED);
	scene_done();
}

// Requests are better evidence than checks; the next probe comes soon, though nobody calls
// checker_wake but for the report.
static void test_suspicion(void **state)
{
	u32 asked;

	(void)state;
	scene_init_calm(2);
	scene_start_all();
	run(1000);
	asked = scene.origins[0].asked;
	scene.pools.now_ms = loop_now_ms(scene.inside);
	pools_eject(&scene.pools, 0, EJECTION_CONNECT);
	checker_wake(scene.checker);
	assert_int_equal(health_of(0)->state, HEALTH_DOWN);
	run(1000 + 1000 + 5);
	assert_int_equal(scene.origins[0].asked, asked + 1);
	run(1000 + 2000 + 5);
	assert_health(0, HEALTH_UP, HEALTH_NONE);
	scene_done();
}

// The last one fails, and the others, whose next checks were far away, are asked soon.
static void test_hurry(void **state)
{
	(void)state;
	scene_init_calm(3);
	scene.pools.pools[0].check.rules.interval_ms = 60 * 1000;
	origin_listen(&scene.origins[0]);
	scene_start(blocks_max);
	run(1000);
	assert_int_equal(scene.pools.snapshot->pools[0]->eligible, 1);
	origin_listen(&scene.origins[1]);
	origin_listen(&scene.origins[2]);
	run(20 * 1000);
	assert_int_equal(scene.origins[1].asked, 0);
	scene.pools.now_ms = loop_now_ms(scene.inside);
	pools_eject(&scene.pools, 0, EJECTION_CONNECT);
	checker_wake(scene.checker);
	run(20 * 1000 + 1000 + 5);
	assert_int_equal(scene.origins[1].asked, 1);
	assert_int_equal(scene.origins[2].asked, 1);
	scene_done();
}

// The same by its own checks: whoever is told of their end is not the only one concerned.
static void test_failed_checks_hurry_others(void **state)
{
	u64 now_ms = 5000;

	(void)state;
	scene_init_calm(3);
	scene.pools.pools[0].check.rules.interval_ms = 60 * 1000;
	origin_listen(&scene.origins[0]);
	scene_start(blocks_max);
	run(now_ms);
	scene.pools.now_ms = loop_now_ms(scene.inside);
	pools_eject(&scene.pools, 0, EJECTION_CONNECT); // so that they come out of step
	checker_wake(scene.checker);
	run(now_ms += 5000);
	assert_health(0, HEALTH_UP, HEALTH_NONE);
	origin_stop(&scene.origins[0]);
	while (health_of(0)->state == HEALTH_UP)
		run(now_ms += 10);
	assert_in_range(now_ms, 60 * 1000, 72 * 1000);
	run(now_ms + 1010);
	for (u32 i = 0; i < 3; i++) {
		const struct model_state *known =
			model_state(scene.pools.model, pools_backend(&scene.pools, i));

		assert_in_range(known->checked_ms - scene.start_ms, now_ms - 10, now_ms + 1010);
	}
	scene_done();
}

static void test_few_at_once(void **state)
{
	(void)state;
	scene_init_calm(12);
	for (u32 i = 0; i < 6; i++)
		scene.origins[i].conduct = HANGS;
	for (u32 i = 0; i < 12; i++)
		origin_listen(&scene.origins[i]);
	scene_start(3);
	run(4100); // six that hang, three at a time
	assert_true(model_is_complete(scene.pools.model));
	run(120 * 1000);
	assert_in_range(scene.visits_most, 3, 4); // one may still be closing at the other side
	for (u32 i = 0; i < 12; i++) {
		assert_int_equal(health_of(i)->state, i < 6 ? HEALTH_DOWN : HEALTH_UP);
		assert_true(scene.origins[i].asked > 10);
	}
	scene_done();
}

static void test_names(void **state)
{
	struct backend *backend;

	(void)state;
	scene_init_calm(2);
	scene.pools.backends[0][0].addr = (struct addr){0};
	scene.pools.backends[0][0].host = STR("name");
	scene.pools.backends[0][0].address = STR("name:80");
	scene.pools.backends[0][0].port = 80;
	scene_start_all();
	run(3000);
	assert_int_equal(scene.origins[0].accepted, 0);
	assert_true(model_is_complete(scene.pools.model));
	backend = pools_backend(&scene.pools, 0);
	backend->addr = scene.origins[0].addr;
	model_resolved(scene.pools.model, backend, true, loop_now_ms(scene.inside));
	checker_wake(scene.checker);
	run(3005);
	assert_health(0, HEALTH_UP, HEALTH_NONE);
	assert_non_null(strstr(scene.origins[0].request, "\r\nHost: name:80\r\n"));
	assert_int_equal(scene.pools.snapshot->pools[0]->eligible, 2);
	scene_done();
}

// ---- Ends ---------------------------------------------------------------------------------------

static void test_stop_amid_probes(void **state)
{
	(void)state;
	for (u64 until_us = 0; until_us < 2000; until_us += 50) {
		struct sim_config calm = sim_config_calm();
		u32 heard;

		scene_init(40, until_us, &calm);
		for (u32 i = 0; i < 40; i++)
			scene.origins[i].conduct = (u8)(i % CONDUCTS);
		scene_start_all();
		checker_wake(scene.checker); // twice is once
		while (sim_net_now_us(scene.net) < scene.start_ms * 1000 + until_us)
			loop_turn(scene.inside, 0);
		heard = scene.pools.heard_count;
		checker_stop(scene.checker);
		checker_wake(scene.checker);
		sim_net_run(scene.net, scene.start_ms + 10 * 1000);
		assert_true(checker_is_idle(scene.checker));
		assert_int_equal(scene.pools.heard_count, heard);
		scene_done();
	}
}

// A rough network and backends that change their minds: every probe ends in time, and at the end
// nothing is out (loop_free and slab_done assert it).
static void test_rough(void **state)
{
	u32 up = 0, down = 0, timeouts = 0;

	(void)state;
	for (u64 seed = 0; seed < 150; seed++) {
		struct sim_config config = sim_config_rough();
		struct rng rng;

		rng_init(&rng, seed);
		scene_init(12, seed, &config);
		scene.pools.pools[0].check.type =
			rng_one_in(&rng, 4) ? CONF_CHECK_AUTO : CONF_CHECK_HTTP;
		if (rng_one_in(&rng, 2))
			scene.pools.pools[0].check.expect.body = STR("ok");
		for (u32 i = 0; i < 12; i++)
			if (rng_below(&rng, 5))
				origin_listen(&scene.origins[i]);
		scene_start(1 + rng_below(&rng, 20));
		for (u32 at = 1; at < 40; at++) {
			struct origin *origin = &scene.origins[rng_below(&rng, 12)];

			run(at * 500);
			origin->conduct = (u8)rng_below(&rng, CONDUCTS);
			for (u32 i = 0; i < 12; i++) {
				const struct health *health = health_of(i);

				if (health->probing &&
					loop_now_ms(scene.inside) > health->deadline_ms + 1)
					fail_msg("seed %llu: %u is late", (unsigned long long)seed,
						i);
				timeouts += health->reason == HEALTH_RESPONSE_TIMEOUT;
			}
		}
		up += pools_heard(&scene.pools, MODEL_HEALTH, "up");
		down += pools_heard(&scene.pools, MODEL_HEALTH, "down");
		scene_done();
	}
	assert_true(up > 1000 && down > 500 && timeouts > 500);
}

// ---- Addresses that this machine does not know --------------------------------------------------

static const struct loop_ops *true_ops;

static int open_but_the_first(struct loop *loop, struct sock *sock, const struct addr *address)
{
	if (addr_equal(address, &scene.origins[0].addr))
		return -EAFNOSUPPORT;
	return true_ops->open_new(loop, sock, address);
}

// As where IPv6 is switched off: that is no want of descriptors, which all others would wait for.
static void test_no_such_family(void **state)
{
	struct loop_ops ops;

	(void)state;
	scene_init_calm(3);
	true_ops = scene.inside->ops;
	ops = *true_ops;
	ops.open_new = open_but_the_first;
	scene.inside->ops = &ops;
	scene_start_all();
	run(500);
	assert_true(model_is_complete(scene.pools.model));
	assert_health(0, HEALTH_DOWN, HEALTH_CONNECT_FAILED);
	assert_health(1, HEALTH_UP, HEALTH_NONE);
	assert_health(2, HEALTH_UP, HEALTH_NONE);
	run(60 * 1000);
	assert_true(health_of(0)->streak >= 10 && health_of(0)->streak <= 14);
	scene.inside->ops = true_ops;
	scene_done();
}

// ---- Descriptors --------------------------------------------------------------------------------

static void turn_for(struct loop *loop, u64 span_ms)
{
	u64 until_ms = loop_now_ms(loop) + span_ms;

	while (loop_now_ms(loop) < until_ms)
		loop_turn(loop, until_ms);
}

// Want of a descriptor is our fault: the check waits, and nobody is down.
static void test_no_descriptor(void **state)
{
	static const struct loop_limits limits = {16, 16};
	struct rlimit before, none;
	struct pools pools;
	struct checker *checker;
	struct loop *loop;
	const char *why;
	struct sockaddr_storage name = {0};
	socklen_t len = sizeof(name);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(listen(listener, 10), 0); // the kernel chooses
	assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(loop_new(LOOP_EPOLL, &limits, &loop, &why), 0);
	pools_init(&pools, 1);
	pools.pools[0].check.type = CONF_CHECK_TCP;
	addr_from_sockaddr(&name, &pools.backends[0][0].addr);
	assert_int_equal(addr_parse_ip(STR("127.0.0.1"), &pools.backends[0][0].addr), 0);
	addr_from_sockaddr(&name, &pools.backends[0][0].addr);
	pools.backends[0][0].addr.ip[0] = 127;
	pools.backends[0][0].addr.ip[3] = 1;
	pools_build(&pools, 1, loop_now_ms(loop));
	checker = checker_new(loop, pools.model, pools.snapshot, 8);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	checker_wake(checker);
	turn_for(loop, 250);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(pools.heard_count, 0);
	assert_false(model_is_complete(pools.model));
	while (!model_is_complete(pools.model))
		loop_turn(loop, UINT64_MAX);
	assert_int_equal(pools_heard(&pools, MODEL_HEALTH, "up"), 1);
	checker_stop(checker);
	while (!checker_is_idle(checker))
		loop_turn(loop, UINT64_MAX);
	checker_free(checker);
	pools_done(&pools);
	loop_free(loop);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_expected_statuses),
		cmocka_unit_test(test_no_connection_in_time),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_search_goes_back_in_steps),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_unix_sockets),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_auto),
		cmocka_unit_test(test_schedule),
		cmocka_unit_test(test_half_of_them_hang),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_return),
		cmocka_unit_test(test_suspicion),
		cmocka_unit_test(test_hurry),
		cmocka_unit_test(test_failed_checks_hurry_others),
		cmocka_unit_test(test_few_at_once),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_stop_amid_probes),
		cmocka_unit_test(test_rough),
		cmocka_unit_test(test_no_such_family),
		cmocka_unit_test(test_no_descriptor),
	};

	return cmocka_run_group_tests_name("checker", tests, NULL, NULL);
}
