// SPDX-License-Identifier: Apache-2.0
#include "control/checker.h"

#include <errno.h>

#include "base/mem.h"
#include "control/check_grpc.h"
#include "control/reason.h"
#include "net/call.h"
#include "proto/grpc_health.h"
#include "proto/proxy_header.h"
#include "proxy/secure.h"

enum {
	target_bytes_max = 8 * 1024, // limits of a parser; answers have no target
	no_descriptor_pause_ms = 100,
	rest_ms = 1000, // for what nobody wants to know of an answer
};

#define OWN_NAME "User-Agent: weir/" WEIR_VERSION " health-check\r\n"
static const struct str own_lines = STR(OWN_NAME "Connection: close\r\n");
static const struct str own_lines_h2 = STR(OWN_NAME);
static const struct str own_lines_grpc =
	STR(OWN_NAME "Content-Type: application/grpc\r\nTE: trailers\r\n");

// One backend, as far as it is checked.
struct subject {
	struct checker *checker;
	const struct backend *backend;
	const struct conf_check *check;
	const u32 *fallback; // of the text that is searched for, or NULL
	struct str question; // what a service of gRPC is asked, as a whole body
	struct timer timer;  // the next probe is due
	struct list node;    // in checker->waiting
	bool probing;
};

struct probe {
	struct call call;
	struct call_request request;
	struct subject *subject;
	struct list node; // in checker->running
	u64 begun_us, deadline_ms;
	bool judged;  // its result is known; the connection is still closing
	u16 status;   // of the answer, once its head has come
	u32 body_len; // of the answer so far
	u32 matched;  // bytes of the text that the body's end agrees with
	struct check_grpc grpc;
};

struct checker {
	const struct secure *secure; // TLS of this thread; NULL: none
	struct loop *loop;
	struct model *model;
	struct h1_parser parser;
	struct h2_kit *h2; // NULL: no backend speaks HTTP/2
	struct slab probes;
	struct list running, waiting;
	const struct snapshot *snapshot;
	struct subject *subjects; // by slot; with backend NULL: nobody has it
	u32 **fallbacks;	  // by slot of the pool
	struct str *questions;	  // by slot of the pool
	struct task look;	  // at all subjects, at the end of the turn
	struct timer pause;	  // for want of a descriptor
	u64 moved;		  // model_checks_moved when it looked last
	bool stopped;
};

// ---- Searching in pieces (Knuth, Morris and Pratt) ----------------------------------------------

// For each beginning of the text: how long its longest proper part is that is a beginning of the
// text and stands at its end.
static u32 *build_fallback(struct str text)
{
	u32 *fallback = mem_alloc(sizeof(u32) * text.len);
	u32 matched = 0;

	for (u32 i = 1; i < text.len; i++) {
		while (matched && text.ptr[i] != text.ptr[matched])
			matched = fallback[matched - 1];
		matched += text.ptr[i] == text.ptr[matched];
		fallback[i] = matched;
	}
	return fallback;
}

// Goes on with `len` bytes. True: the text has been found.
static bool search(struct probe *probe, const char *bytes, size_t len)
{
	struct str text = probe->subject->check->expect.body;
	const u32 *fallback = probe->subject->fallback;

	for (size_t i = 0; i < len && probe->matched < text.len; i++) {
		while (probe->matched && bytes[i] != text.ptr[probe->matched])
			probe->matched = fallback[probe->matched - 1];
		probe->matched += bytes[i] == text.ptr[probe->matched];
	}
	return probe->matched == text.len;
}

// ---- The end of a probe -------------------------------------------------------------------------

static struct probe *of_call(struct call *call)
{
	return container_of(call, struct probe, call);
}

static void set_timer(struct subject *subject)
{
	struct checker *checker = subject->checker;
	u64 wake_ms = model_check_wake_ms(checker->model, subject->backend);

	if (wake_ms == UINT64_MAX)
		loop_timer_cancel(checker->loop, &subject->timer);
	else
		loop_timer_set(checker->loop, &subject->timer, wake_ms);
}

static void look_if_moved(struct checker *checker)
{
	if (!checker->stopped && model_checks_moved(checker->model) != checker->moved)
		loop_defer(checker->loop, &checker->look);
}

// The result is known. The connection may still have to close.
static void finish(struct probe *probe, enum health_reason reason)
{
	struct subject *subject = probe->subject;
	struct checker *checker = subject->checker;

	if (probe->judged)
		return;
	probe->judged = true;
	subject->probing = false;
	model_check_end(checker->model, subject->backend, reason, probe->status,
		loop_now_us(checker->loop) - probe->begun_us, loop_now_ms(checker->loop));
	set_timer(subject);
	look_if_moved(checker);
	call_end_in_order(
		&probe->call, MIN(probe->deadline_ms, loop_now_ms(checker->loop) + rest_ms));
}

static enum health_reason reason_of_fault(enum call_fault fault, int error)
{
	switch (fault) {
	case CALL_CONNECT_FAILED:
		return reason_of_connect(error);
	case CALL_CONNECT_LATE:
		return HEALTH_CONNECTION_TIMEOUT;
	case CALL_ANSWER_LATE:
		return HEALTH_RESPONSE_TIMEOUT;
	case CALL_CLOSED:
		return HEALTH_CONNECTION_RESET;
	case CALL_ANSWER_MALFORMED:
		break;
	}
	return HEALTH_MALFORMED;
}

// ---- The answer ---------------------------------------------------------------------------------

static bool is_expected(const struct conf_check *check, u16 status)
{
	for (u32 i = 0; i < check->expect.status_count; i++) {
		const struct conf_statuses *range = &check->expect.statuses[i];

		if (status >= range->first && status <= range->last)
			return true;
	}
	return false;
}

static bool is_grpc(const struct probe *probe)
{
	return probe->subject->check->type == CONF_CHECK_GRPC;
}

static void on_fields(struct call *call, const struct http_field *fields, u16 count)
{
	if (is_grpc(of_call(call)))
		check_grpc_fields(&of_call(call)->grpc, fields, count);
}

// More than it may have is taken for its end.
static void take_grpc(struct probe *probe, struct str bytes, bool end)
{
	bool fits = check_grpc_body(&probe->grpc, bytes);

	if (!fits)
		finish(probe, HEALTH_GRPC_MALFORMED);
	else if (end || probe->status != 200)
		finish(probe, check_grpc_judge(&probe->grpc, probe->status));
}

static void on_answer(struct call *call, u16 status, bool end)
{
	struct probe *probe = of_call(call);
	const struct conf_check *check = probe->subject->check;

	probe->status = status;
	if (is_grpc(probe))
		take_grpc(probe, STR_EMPTY, end);
	else if (!is_expected(check, status))
		finish(probe, HEALTH_STATUS);
	else if (check->expect.body.len == 0)
		finish(probe, HEALTH_NONE);
	else if (end)
		finish(probe, HEALTH_BODY);
}

static void on_body(struct call *call, struct str bytes, bool end)
{
	struct probe *probe = of_call(call);

	if (is_grpc(probe)) {
		take_grpc(probe, bytes, end);
		return;
	}
	probe->body_len += (u32)bytes.len; // no more than was asked for
	if (search(probe, bytes.ptr, bytes.len))
		finish(probe, HEALTH_NONE);
	else if (end || probe->body_len >= CHECKER_BODY_BYTES_MAX)
		finish(probe, HEALTH_BODY);
}

// ---- The connection -----------------------------------------------------------------------------

static void start_waiting(struct checker *checker);

static void on_connected(struct call *call)
{
	if (!call->request)
		finish(of_call(call), HEALTH_NONE);
}

static void on_failed(struct call *call, enum call_fault fault, int error)
{
	finish(of_call(call), reason_of_fault(fault, error));
}

static void on_closed(struct call *call)
{
	struct probe *probe = of_call(call);
	struct checker *checker = probe->subject->checker;

	list_remove(&probe->node);
	check_grpc_done(&probe->grpc);
	slab_put(&checker->probes, probe);
	start_waiting(checker);
}

static const struct call_events call_events = {
	.on_connected = on_connected,
	.on_fields = on_fields,
	.on_answer = on_answer,
	.on_body = on_body,
	.on_failed = on_failed,
	.on_closed = on_closed,
};

// ---- The request --------------------------------------------------------------------------------

static struct str host_of(const struct subject *subject)
{
	const struct conf_backend *conf = subject->backend->conf;

	if (conf->check.host.len)
		return conf->check.host;
	if (subject->check->host.len)
		return subject->check->host;
	return subject->backend->addr.family == ADDR_UNIX ? STR("localhost")
							  : subject->backend->address;
}

// Methods of which an empty body is said to be empty (RFC 9110 8.6).
static bool announces_body(enum http_method method)
{
	return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static struct call_request grpc_request_of(const struct subject *subject)
{
	return (struct call_request){.method = HTTP_POST,
		.method_text = STR("POST"),
		.path = STR(GRPC_HEALTH_PATH),
		.host = host_of(subject),
		.lines = own_lines_grpc,
		.body = subject->question,
		.answer_bytes_max = GRPC_HEALTH_ANSWER_MAX + 1,
		.h2 = subject->checker->h2};
}

static struct call_request request_of(const struct subject *subject)
{
	const struct conf_backend *conf = subject->backend->conf;
	enum http_method method = http_method_parse(subject->check->method);

	return (struct call_request){.method = method,
		.method_text = subject->check->method,
		.path = conf->check.path.len ? conf->check.path : subject->check->path,
		.host = host_of(subject),
		.lines = subject->backend->is_h2 ? own_lines_h2 : own_lines,
		.announces_body = announces_body(method),
		.answer_bytes_max = subject->check->expect.body.len ? CHECKER_BODY_BYTES_MAX : 0,
		.h2 = subject->backend->is_h2 ? subject->checker->h2 : NULL};
}

// A unix address has a port, too, that means nothing.
static struct addr address_of(const struct subject *subject)
{
	struct addr addr = subject->backend->addr;
	u32 own = subject->backend->conf->check.port, port = own ? own : subject->check->port;

	if (port)
		addr.port = (u16)port;
	return addr;
}

static struct tls_client *tls_of(const struct subject *subject)
{
	const struct secure *secure = subject->checker->secure;

	u32 cell = subject->backend->cell;

	return secure && cell < secure->client_count ? secure->clients[cell] : NULL;
}

// ---- Beginning ----------------------------------------------------------------------------------

static bool is_due(const struct subject *subject)
{
	const struct checker *checker = subject->checker;
	u64 wake_ms = model_check_wake_ms(checker->model, subject->backend);

	return !subject->probing && wake_ms <= loop_now_ms(checker->loop);
}

// There is no way to it: it was asked, and this is the answer.
static void fail_at_once(struct subject *subject, int error)
{
	struct checker *checker = subject->checker;
	u64 now_ms = loop_now_ms(checker->loop);

	model_check_begin(checker->model, subject->backend, now_ms);
	model_check_end(checker->model, subject->backend, reason_of_connect(error), 0, 0, now_ms);
	look_if_moved(checker);
}

// That this connection is nobody's, where backends expect to be told.
static struct str intro_of(const struct conf_pool *conf)
{
	switch (conf->send_proxy.version) {
	case CONF_SEND_PROXY_NONE:
		break;
	case CONF_SEND_PROXY_V1:
		return STR(PROXY_HEADER_V1_NOBODY);
	case CONF_SEND_PROXY_V2:
		return STR(PROXY_HEADER_V2_NOBODY);
	}
	return STR_EMPTY;
}

// 0, or negative errno when there is no descriptor: the backend is not to blame, and its check
// begins later.
static int begin(struct subject *subject)
{
	struct checker *checker = subject->checker;
	struct probe *probe = slab_get(&checker->probes);
	bool tcp = model_check_type(checker->model, subject->backend) == CONF_CHECK_TCP;
	struct call_peer peer = {.addr = address_of(subject),
		.tls = tls_of(subject),
		.intro = intro_of(subject->backend->pool->conf)};
	u64 now_ms = loop_now_ms(checker->loop);
	int error;

	if (!probe)
		return -ENOMEM;
	probe->subject = subject;
	probe->begun_us = loop_now_us(checker->loop);
	probe->judged = false;
	probe->status = 0;
	probe->body_len = probe->matched = 0;
	probe->grpc = (struct check_grpc){0};
	probe->request = is_grpc(probe) ? grpc_request_of(subject) : request_of(subject);
	error = call_begin(&probe->call, checker->loop, &peer, tcp ? NULL : &probe->request,
		&checker->parser, &call_events);
	if (error) {
		slab_put(&checker->probes, probe);
		if (conn_is_shortage(error))
			return error;
		fail_at_once(subject, error);
		return 0;
	}
	list_push_back(&checker->running, &probe->node);
	subject->probing = true;
	loop_timer_cancel(checker->loop, &subject->timer);
	model_check_begin(checker->model, subject->backend, now_ms);
	probe->deadline_ms = model_check_wake_ms(checker->model, subject->backend);
	call_set_deadline(&probe->call, probe->deadline_ms);
	return 0;
}

static void start_waiting(struct checker *checker)
{
	while (!checker->stopped && !list_is_empty(&checker->waiting) &&
		checker->probes.used < checker->probes.used_max && !timer_is_set(&checker->pause)) {
		struct subject *subject = list_first(&checker->waiting, struct subject, node);

		if (is_due(subject) && begin(subject) != 0) {
			loop_timer_set(checker->loop, &checker->pause,
				loop_now_ms(checker->loop) + no_descriptor_pause_ms);
			return;
		}
		list_remove(&subject->node);
		if (!subject->probing)
			set_timer(subject);
	}
}

static void queue(struct subject *subject)
{
	if (!list_is_linked(&subject->node))
		list_push_back(&subject->checker->waiting, &subject->node);
}

static void on_due(struct timer *timer)
{
	struct subject *subject = container_of(timer, struct subject, timer);

	if (subject->probing || subject->checker->stopped)
		return;
	queue(subject);
	start_waiting(subject->checker);
}

static void on_pause_over(struct timer *timer)
{
	start_waiting(container_of(timer, struct checker, pause));
}

static void look(struct task *task)
{
	struct checker *checker = container_of(task, struct checker, look);

	if (checker->stopped)
		return;
	checker->moved = model_checks_moved(checker->model);
	for (u32 i = 0; i < checker->snapshot->backend_count; i++) {
		struct subject *subject = &checker->subjects[i];

		if (!subject->backend)
			continue;
		if (is_due(subject))
			queue(subject);
		else if (!subject->probing && !list_is_linked(&subject->node))
			set_timer(subject);
	}
	start_waiting(checker);
}

void checker_wake(struct checker *checker)
{
	look_if_moved(checker);
}

// ---- Life ---------------------------------------------------------------------------------------

static struct str make_question(struct str service)
{
	char *message = mem_alloc(GRPC_HEALTH_REQUEST_MAX);

	return str_make(message, grpc_health_write_request(service, message));
}

static void begin_pool(struct checker *checker, const struct pool *pool)
{
	const struct conf_check *check = &pool->conf->check;

	if (check->expect.body.len)
		checker->fallbacks[pool->index] = build_fallback(check->expect.body);
	if (check->type == CONF_CHECK_GRPC)
		checker->questions[pool->index] = make_question(check->service);
	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct backend *backend = &pool->backends[i];
		struct subject *subject = &checker->subjects[backend->cell];

		subject->checker = checker;
		subject->backend = backend;
		if (backend->is_h2 && !checker->h2)
			checker->h2 = h2_kit_new(&checker->loop->blocks, &checker->loop->now_us,
				checker->probes.used_max, checker->probes.used_max * 2,
				checker->loop->now_us);
		subject->check = check;
		subject->fallback = checker->fallbacks[pool->index];
		subject->question = checker->questions[pool->index];
		timer_init(&subject->timer, on_due);
		list_init(&subject->node);
		subject->probing = false;
	}
}

// Nobody hears how it went.
static void give_up(struct probe *probe)
{
	if (probe->judged)
		return;
	probe->judged = true;
	probe->subject->probing = false;
	call_end(&probe->call);
}

static void forget_pool(struct checker *checker, u32 slot)
{
	mem_free(checker->fallbacks[slot]);
	mem_free((void *)checker->questions[slot].ptr);
	checker->fallbacks[slot] = NULL;
	checker->questions[slot] = (struct str){0};
}

static void end_pool(struct checker *checker, const struct pool *pool)
{
	for (u32 i = 0; i < pool->backend_count; i++) {
		struct subject *subject = &checker->subjects[pool->backends[i].cell];

		loop_timer_cancel(checker->loop, &subject->timer);
		list_remove(&subject->node);
		subject->backend = NULL;
	}
	list_for_each (node, &checker->running) {
		struct probe *probe = list_entry(node, struct probe, node);

		if (!probe->subject->backend)
			give_up(probe);
	}
	forget_pool(checker, pool->index);
}

static void take_secure(struct checker *checker)
{
	const struct snapshot *snapshot = checker->snapshot;

	if (!snapshot->secure)
		return;
	checker->secure = snapshot->secure[snapshot->worker_count];
	tls_env_bind(checker->secure->env, checker->loop);
}

void checker_adopt(struct checker *checker, const struct snapshot *snapshot)
{
	const struct snapshot *before = checker->snapshot;

	for (u32 i = 0; i < before->pool_count; i++)
		if (before->pools[i] && before->pools[i] != snapshot->pools[i])
			end_pool(checker, before->pools[i]);
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i] &&
			(i >= before->pool_count || before->pools[i] != snapshot->pools[i]))
			begin_pool(checker, snapshot->pools[i]);
	checker->snapshot = snapshot;
	take_secure(checker);
	checker->moved = UINT64_MAX; // it has not looked yet
}

struct checker *checker_new(
	struct loop *loop, struct model *model, const struct snapshot *snapshot, u32 probes_max)
{
	struct checker *checker = mem_alloc(sizeof(*checker));

	checker->loop = loop;
	checker->model = model;
	checker->moved = UINT64_MAX; // it has not looked yet
	checker->parser.limits = (struct h1_limits){
		.head_bytes_max = HTTP_HEAD_BYTES_MAX, .target_bytes_max = target_bytes_max};
	checker->snapshot = snapshot;
	take_secure(checker);
	checker->subjects =
		mem_alloc(sizeof(struct subject) * MAX(snapshot->slots->backends.max, 1));
	checker->fallbacks = mem_alloc(sizeof(u32 *) * MAX(snapshot->slots->pools.max, 1));
	checker->questions = mem_alloc(sizeof(struct str) * MAX(snapshot->slots->pools.max, 1));
	checker->look = (struct task){.run = look};
	timer_init(&checker->pause, on_pause_over);
	list_init(&checker->running);
	list_init(&checker->waiting);
	slab_init(&checker->probes, "probe", sizeof(struct probe), MAX(probes_max, 1));
	for (u32 i = 0; i < snapshot->pool_count; i++)
		if (snapshot->pools[i])
			begin_pool(checker, snapshot->pools[i]);
	return checker;
}

void checker_stop(struct checker *checker)
{
	checker->stopped = true;
	loop_timer_cancel(checker->loop, &checker->pause);
	for (u32 i = 0; i < checker->snapshot->backend_count; i++) {
		if (!checker->subjects[i].backend)
			continue;
		loop_timer_cancel(checker->loop, &checker->subjects[i].timer);
		list_remove(&checker->subjects[i].node);
	}
	list_for_each (node, &checker->running)
		give_up(list_entry(node, struct probe, node));
}

bool checker_is_idle(const struct checker *checker)
{
	return checker->probes.used == 0 && !checker->look.next;
}

void checker_free(struct checker *checker)
{
	if (!checker)
		return;
	ASSERT(checker_is_idle(checker));
	for (u32 i = 0; i < checker->snapshot->pool_count; i++)
		forget_pool(checker, i);
	mem_free(checker->fallbacks);
	mem_free(checker->questions);
	mem_free(checker->subjects);
	slab_done(&checker->probes);
	h2_kit_free(checker->h2);
	mem_free(checker);
}
