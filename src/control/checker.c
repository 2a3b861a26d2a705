// SPDX-License-Identifier: Apache-2.0
#include "control/checker.h"

#include <errno.h>

#include "base/mem.h"
#include "net/conn.h"

enum {
	target_bytes_max = 8 * 1024, // limits of a parser; answers have no target
	no_descriptor_pause_ms = 100,
};

static const struct str own_lines =
	STR("User-Agent: weir/" WEIR_VERSION " health-check\r\nConnection: close\r\n");

// One backend, as far as it is checked.
struct watch {
	struct checker *checker;
	const struct backend *backend;
	const struct conf_check *check;
	const u32 *fallback; // of the text that is searched for, or NULL
	struct timer timer;  // the next probe is due
	struct list node;    // in checker->waiting
	bool probing;
};

struct probe {
	struct conn conn;
	struct addr addr;
	struct watch *watch;
	struct list node; // in checker->running
	u64 begun_us;
	bool over; // its result is known; the connection is still closing
	bool tcp;
	u16 status;   // of the answer, once its head has come
	u32 body_len; // of the answer so far
	u32 matched;  // bytes of the text that the body's end agrees with
};

struct checker {
	struct loop *loop;
	struct model *model;
	struct h1_parser parser;
	struct slab probes;
	struct list running, waiting;
	struct watch *watches; // by cell
	u32 watch_count;
	u32 **fallbacks; // by pool
	u32 pool_count;
	struct task look;   // at all watches, at the end of the turn
	struct timer pause; // for want of a descriptor
	u64 moved;	    // model_checks_moved when it looked last
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
	struct str text = probe->watch->check->expect.body;
	const u32 *fallback = probe->watch->fallback;

	for (size_t i = 0; i < len && probe->matched < text.len; i++) {
		while (probe->matched && bytes[i] != text.ptr[probe->matched])
			probe->matched = fallback[probe->matched - 1];
		probe->matched += bytes[i] == text.ptr[probe->matched];
	}
	return probe->matched == text.len;
}

// ---- The end of a probe -------------------------------------------------------------------------

static struct probe *of_session(struct session *session)
{
	return container_of(conn_of_session(session), struct probe, conn);
}

static void set_timer(struct watch *watch)
{
	struct checker *checker = watch->checker;
	u64 wake_ms = model_check_wake_ms(checker->model, watch->backend);

	if (wake_ms == UINT64_MAX)
		loop_timer_cancel(checker->loop, &watch->timer);
	else
		loop_timer_set(checker->loop, &watch->timer, wake_ms);
}

static void look_if_moved(struct checker *checker)
{
	if (model_checks_moved(checker->model) != checker->moved)
		loop_defer(checker->loop, &checker->look);
}

// The result is known. The connection may still have to close.
static void finish(struct probe *probe, enum health_reason reason)
{
	struct watch *watch = probe->watch;
	struct checker *checker = watch->checker;

	if (probe->over)
		return;
	probe->over = true;
	watch->probing = false;
	model_check_end(checker->model, watch->backend, reason, probe->status,
		loop_now_us(checker->loop) - probe->begun_us, loop_now_ms(checker->loop));
	set_timer(watch);
	look_if_moved(checker);
	conn_close(&probe->conn);
}

static enum health_reason reason_of_fault(enum stream_fault fault)
{
	switch (fault) {
	case STREAM_PEER_CLOSED:
	case STREAM_PEER_RESET:
		return HEALTH_CONNECTION_RESET;
	case STREAM_MALFORMED:
	case STREAM_NO_MEMORY: // its head is larger than we may hold
		break;
	}
	return HEALTH_MALFORMED;
}

static enum health_reason reason_of_connect(int error)
{
	switch (-error) {
	case ECONNREFUSED:
		return HEALTH_CONNECTION_REFUSED;
	case ETIMEDOUT:
		return HEALTH_CONNECTION_TIMEOUT;
	default:
		return HEALTH_CONNECT_FAILED;
	}
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

static void on_head(struct stream *stream, struct http_head *head, bool end)
{
	struct probe *probe = stream->owner;
	const struct conf_check *check = probe->watch->check;

	if (probe->over || head->status < 200)
		return;
	probe->status = head->status;
	if (!is_expected(check, head->status))
		finish(probe, HEALTH_STATUS);
	else if (check->expect.body.len == 0)
		finish(probe, HEALTH_NONE);
	else if (end)
		finish(probe, HEALTH_BODY);
}

static void on_body(struct stream *stream, struct slice slice, bool end)
{
	struct probe *probe = stream->owner;

	if (!probe->over) {
		probe->body_len += (u32)slice.len; // no more than was granted
		if (search(probe, slice.ptr, slice.len))
			finish(probe, HEALTH_NONE);
		else if (end || probe->body_len >= CHECKER_BODY_BYTES_MAX)
			finish(probe, HEALTH_BODY);
	}
	slice_drop(&slice);
}

static void on_trailers(struct stream *stream, const struct http_field *fields, u16 count)
{
	(void)fields;
	(void)count;
	finish(stream->owner, HEALTH_BODY); // the body has ended without the text
}

static void on_drained(struct stream *stream, size_t len)
{
	(void)stream;
	(void)len;
}

static void on_reset(struct stream *stream, enum stream_fault fault)
{
	finish(stream->owner, reason_of_fault(fault));
}

static const struct stream_events stream_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_trailers = on_trailers,
	.on_drained = on_drained,
	.on_reset = on_reset,
};

static void on_stream_done(struct session *session)
{
	ASSERT(of_session(session)->over);
}

static void on_poke(struct session *session)
{
	conn_poke(&of_session(session)->conn);
}

static const struct session_events session_events = {
	.on_stream_done = on_stream_done,
	.on_poke = on_poke,
};

// ---- The request --------------------------------------------------------------------------------

static struct str host_of(const struct watch *watch)
{
	const struct conf_backend *conf = watch->backend->conf;

	if (conf->check.host.len)
		return conf->check.host;
	if (watch->check->host.len)
		return watch->check->host;
	return watch->backend->addr.family == ADDR_UNIX ? STR("localhost")
							: watch->backend->address;
}

// Methods of which an empty body is said to be empty (RFC 9110 8.6).
static bool announces_body(enum http_method method)
{
	return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH;
}

static void send_request(struct probe *probe)
{
	const struct watch *watch = probe->watch;
	const struct conf_backend *conf = watch->backend->conf;
	struct session *session = probe->conn.session;
	struct stream *stream = session->ops->open(session);
	struct http_head head;

	http_head_init(&head, NULL);
	head.method_text = watch->check->method;
	head.method = (u8)http_method_parse(head.method_text);
	head.path = conf->check.path.len ? conf->check.path : watch->check->path;
	head.authority = host_of(watch);
	head.version_minor = 1;
	head.framing = announces_body((enum http_method)head.method) ? HTTP_LENGTH : HTTP_NO_BODY;
	head.added[head.added_count++] = own_lines;
	stream->events = &stream_events;
	stream->owner = probe;
	stream->ops->send_head(stream, &head, true);
	if (watch->check->expect.body.len)
		stream->ops->grant(stream, CHECKER_BODY_BYTES_MAX);
}

// ---- The connection -----------------------------------------------------------------------------

static void start_waiting(struct checker *checker);

static void on_connected(struct conn *conn, int error)
{
	struct probe *probe = container_of(conn, struct probe, conn);

	if (probe->over)
		return;
	if (error)
		finish(probe, reason_of_connect(error));
	else if (probe->tcp)
		finish(probe, HEALTH_NONE);
	else
		send_request(probe);
}

static void on_timer(struct conn *conn)
{
	struct probe *probe = container_of(conn, struct probe, conn);

	finish(probe, conn->connecting ? HEALTH_CONNECTION_TIMEOUT : HEALTH_RESPONSE_TIMEOUT);
}

static void on_closed(struct conn *conn)
{
	struct probe *probe = container_of(conn, struct probe, conn);
	struct checker *checker = probe->watch->checker;

	ASSERT(probe->over);
	list_remove(&probe->node);
	slab_put(&checker->probes, probe);
	start_waiting(checker);
}

static const struct conn_events conn_events = {
	.on_closed = on_closed,
	.on_connected = on_connected,
	.on_timer = on_timer,
};

static struct addr address_of(const struct watch *watch)
{
	struct addr addr = watch->backend->addr;
	u32 own = watch->backend->conf->check.port, port = own ? own : watch->check->port;

	if (port && addr.family != ADDR_UNIX)
		addr.port = (u16)port;
	return addr;
}

// ---- Beginning ----------------------------------------------------------------------------------

static bool is_due(const struct watch *watch)
{
	const struct checker *checker = watch->checker;
	u64 wake_ms = model_check_wake_ms(checker->model, watch->backend);

	return !watch->probing && wake_ms <= loop_now_ms(checker->loop);
}

// 0, or negative errno when there is no descriptor: the backend is not to blame, and its check
// begins later.
static int begin(struct watch *watch)
{
	struct checker *checker = watch->checker;
	struct probe *probe = slab_get(&checker->probes);
	struct addr addr = address_of(watch);
	u64 now_ms = loop_now_ms(checker->loop);
	int error;

	if (!probe)
		return -ENOMEM;
	error = conn_init_new(&probe->conn, checker->loop, &addr, &conn_events);
	if (error) {
		slab_put(&checker->probes, probe);
		return error;
	}
	probe->addr = addr;
	probe->watch = watch;
	probe->begun_us = loop_now_us(checker->loop);
	probe->tcp = model_check_type(checker->model, watch->backend) == CONF_CHECK_TCP;
	probe->over = false;
	probe->status = 0;
	probe->body_len = probe->matched = 0;
	list_push_back(&checker->running, &probe->node);
	watch->probing = true;
	loop_timer_cancel(checker->loop, &watch->timer);
	model_check_begin(checker->model, watch->backend, now_ms);
	if (probe->tcp)
		conn_use_raw(&probe->conn, STREAM_CLIENT, &session_events);
	else
		conn_use_h1(&probe->conn, STREAM_CLIENT, &checker->parser, &session_events);
	conn_set_timer(&probe->conn, model_check_wake_ms(checker->model, watch->backend));
	conn_connect(&probe->conn, &probe->addr);
	return 0;
}

static void start_waiting(struct checker *checker)
{
	while (!checker->stopped && !list_is_empty(&checker->waiting) &&
		checker->probes.used < checker->probes.used_max && !timer_is_set(&checker->pause)) {
		struct watch *watch = list_first(&checker->waiting, struct watch, node);

		if (is_due(watch) && begin(watch) != 0) {
			loop_timer_set(checker->loop, &checker->pause,
				loop_now_ms(checker->loop) + no_descriptor_pause_ms);
			return;
		}
		list_remove(&watch->node);
		if (!watch->probing)
			set_timer(watch);
	}
}

static void queue(struct watch *watch)
{
	if (!list_is_linked(&watch->node))
		list_push_back(&watch->checker->waiting, &watch->node);
}

static void on_due(struct timer *timer)
{
	struct watch *watch = container_of(timer, struct watch, timer);

	if (watch->probing || watch->checker->stopped)
		return;
	queue(watch);
	start_waiting(watch->checker);
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
	for (u32 i = 0; i < checker->watch_count; i++) {
		struct watch *watch = &checker->watches[i];

		if (is_due(watch))
			queue(watch);
		else if (!watch->probing && !list_is_linked(&watch->node))
			set_timer(watch);
	}
	start_waiting(checker);
}

void checker_wake(struct checker *checker)
{
	loop_defer(checker->loop, &checker->look);
}

// ---- Life ---------------------------------------------------------------------------------------

static void init_watches(struct checker *checker, const struct pool *pool)
{
	const struct conf_check *check = &pool->conf->check;

	if (check->expect.body.len)
		checker->fallbacks[pool->index] = build_fallback(check->expect.body);
	for (u32 i = 0; i < pool->backend_count; i++) {
		const struct backend *backend = &pool->backends[i];
		struct watch *watch = &checker->watches[backend->cell];

		watch->checker = checker;
		watch->backend = backend;
		watch->check = check;
		watch->fallback = checker->fallbacks[pool->index];
		timer_init(&watch->timer, on_due);
		list_init(&watch->node);
	}
}

struct checker *checker_new(
	struct loop *loop, struct model *model, const struct snapshot *snapshot, u32 probes_max)
{
	struct checker *checker = mem_alloc(sizeof(*checker));

	checker->loop = loop;
	checker->model = model;
	checker->parser.limits = (struct h1_limits){
		.head_bytes_max = HTTP_HEAD_BYTES_MAX, .target_bytes_max = target_bytes_max};
	checker->watch_count = snapshot->backend_count;
	checker->pool_count = snapshot->pool_count;
	checker->watches = mem_alloc(sizeof(struct watch) * MAX(snapshot->backend_count, 1));
	checker->fallbacks = mem_alloc(sizeof(u32 *) * MAX(snapshot->pool_count, 1));
	checker->look = (struct task){.run = look};
	timer_init(&checker->pause, on_pause_over);
	list_init(&checker->running);
	list_init(&checker->waiting);
	slab_init(&checker->probes, "probe", sizeof(struct probe), MAX(probes_max, 1));
	for (u32 i = 0; i < snapshot->pool_count; i++)
		init_watches(checker, &snapshot->pools[i]);
	return checker;
}

void checker_stop(struct checker *checker)
{
	checker->stopped = true;
	loop_timer_cancel(checker->loop, &checker->pause);
	for (u32 i = 0; i < checker->watch_count; i++) {
		loop_timer_cancel(checker->loop, &checker->watches[i].timer);
		list_remove(&checker->watches[i].node);
	}
	list_for_each (node, &checker->running) {
		struct probe *probe = list_entry(node, struct probe, node);

		probe->over = true;
		conn_close(&probe->conn);
	}
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
	for (u32 i = 0; i < checker->pool_count; i++)
		mem_free(checker->fallbacks[i]);
	mem_free(checker->fallbacks);
	mem_free(checker->watches);
	slab_done(&checker->probes);
	mem_free(checker);
}
