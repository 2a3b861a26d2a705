// SPDX-License-Identifier: Apache-2.0
#include "admin/otlp.h"

#include <unistd.h>

#include "admin/otlp_text.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/rng.h"
#include "control/resolver.h"
#include "net/call.h"

enum {
	look_ms = 250,	      // between two looks at the rings
	linger_ms = 1000,     // how long a few spans may wait for others
	batch_spans_min = 64, // more are sent at once
	batch_spans_max = 512,
	batch_bytes_max = 512 * 1024,
	call_ms_max = 10 * 1000,
	stop_ms_max = 1000,
	pause_ms_min = 1000, // before the second try
	pause_ms_max = 30 * 1000,
	answer_bytes_max = 64 * 1024,
	head_bytes_max = 16 * 1024,
	host_bytes = 65,
	instance_bytes = 36,
};

static const struct str own_lines =
	STR("Content-Type: application/json\r\nUser-Agent: weir/" WEIR_VERSION
	    " otlp\r\nConnection: close\r\n");

struct otlp {
	struct loop *loop;
	const struct conf_tracing *tracing;
	struct span_ring *const *rings;
	u32 ring_count, next_ring;
	struct log *log;
	struct metrics_cells *metrics;
	struct rng rng;
	struct timer timer; // the next look, or the end of a pause
	struct text body;   // of the batch that is to be sent
	u32 body_spans;	    // 0: there is none
	struct call call;
	struct call_request request;
	struct h1_parser parser;
	struct resolver *resolver;
	struct addr addr;
	u64 sent_ms;	  // when it had nothing left to send last
	u64 pause_ms;	  // 0: the last try went well
	u64 failures;	  // since then
	u64 stop_ms;	  // when it ends at the latest
	u32 answer_bytes; // of the running call
	bool has_addr, calling, judged, resting, stopping, stopped;
	char host[host_bytes], instance[instance_bytes];
};

static u64 now_ms(const struct otlp *otlp)
{
	return loop_now_ms(otlp->loop);
}

// ---- A batch ------------------------------------------------------------------------------------

static u32 count_waiting(const struct otlp *otlp)
{
	u32 waiting = 0;

	for (u32 i = 0; i < otlp->ring_count; i++)
		waiting += span_ring_waiting(otlp->rings[i]);
	return waiting;
}

static bool is_full(const struct otlp *otlp)
{
	return otlp->body_spans >= batch_spans_max || otlp->body.len >= batch_bytes_max;
}

static void take_ring(struct otlp *otlp, struct json *json, struct span_ring *ring)
{
	u32 waiting = span_ring_waiting(ring), taken = 0;

	for (; taken < waiting && !is_full(otlp); taken++) {
		otlp_text_span(json, span_ring_peek(ring, taken));
		otlp->body_spans++;
	}
	span_ring_take(ring, taken);
}

// Another ring is the first each time, so that none is left behind.
static void make_batch(struct otlp *otlp)
{
	u32 first = otlp->next_ring;
	struct json json;

	text_clear(&otlp->body);
	json_init(&json, &otlp->body);
	otlp_text_begin(&json, otlp->tracing, str_from(otlp->host),
		str_make(otlp->instance, sizeof(otlp->instance)));
	for (u32 i = 0; i < otlp->ring_count; i++)
		take_ring(otlp, &json, otlp->rings[(first + i) % otlp->ring_count]);
	otlp_text_end(&json);
	otlp->next_ring = first + 1 < otlp->ring_count ? first + 1 : 0;
}

static bool is_due(const struct otlp *otlp)
{
	u32 waiting = count_waiting(otlp);

	return waiting > 0 && (waiting >= batch_spans_min || otlp->stopping ||
				      now_ms(otlp) >= otlp->sent_ms + linger_ms);
}

// ---- What came of it ----------------------------------------------------------------------------

static void took_it(struct otlp *otlp)
{
	metrics_add(otlp->metrics, M_SPANS_SENT, otlp->body_spans);
	otlp->body_spans = 0;
	otlp->pause_ms = 0;
	otlp->sent_ms = now_ms(otlp);
	if (otlp->failures)
		LOG(otlp->log, LOG_NOTICE, "the collector takes spans again",
			LOG_STR("collector", otlp->tracing->otlp.url),
			LOG_U64("failures", otlp->failures));
	otlp->failures = 0;
}

// Only the first of several failures is told.
static void failed(struct otlp *otlp, struct log_field why)
{
	metrics_inc(otlp->metrics, M_SPAN_EXPORTS_FAILED);
	otlp->resting = true;
	otlp->pause_ms =
		otlp->pause_ms ? MIN(otlp->pause_ms * 2, (u64)pause_ms_max) : (u64)pause_ms_min;
	if (otlp->tracing->otlp.host.len)
		otlp->has_addr = false;
	if (otlp->failures++ == 0)
		LOG(otlp->log, LOG_WARN, "spans cannot be sent",
			LOG_STR("collector", otlp->tracing->otlp.url), why,
			LOG_CSTR("state", "tried again until it works; spans that find no room are "
					  "dropped"),
			LOG_CSTR("cure", "see whether the collector runs and takes OTLP over HTTP "
					 "there (tracing.otlp)"));
}

static void refused_it(struct otlp *otlp, u16 status)
{
	metrics_add(otlp->metrics, M_SPANS_REFUSED, otlp->body_spans);
	otlp->body_spans = 0;
	failed(otlp, LOG_U64("status", status));
}

// OTLP: what may be sent again, as it is, and later.
static bool is_temporary(u16 status)
{
	return status == 429 || status == 502 || status == 503 || status == 504;
}

static void on_answer(struct call *call, u16 status, bool end)
{
	struct otlp *otlp = container_of(call, struct otlp, call);

	(void)end;
	otlp->judged = true;
	if (status < 300)
		took_it(otlp);
	else if (is_temporary(status))
		failed(otlp, LOG_U64("status", status));
	else
		refused_it(otlp, status);
}

// To its end, so that the collector is not cut off; what stands in it is of no use.
static void on_body(struct call *call, struct str bytes, bool end)
{
	struct otlp *otlp = container_of(call, struct otlp, call);

	otlp->answer_bytes += (u32)bytes.len;
	if (!end && otlp->answer_bytes >= answer_bytes_max)
		call_end(call);
}

static struct log_field fault_text(enum call_fault fault, int error)
{
	switch (fault) {
	case CALL_CONNECT_FAILED:
		return LOG_ERRNO(error);
	case CALL_CONNECT_LATE:
		return LOG_CSTR("error", "no connection in time");
	case CALL_ANSWER_LATE:
		return LOG_CSTR("error", "no answer in time");
	case CALL_CLOSED:
		return LOG_CSTR("error", "closed without an answer");
	case CALL_ANSWER_MALFORMED:
		break;
	}
	return LOG_CSTR("error", "the answer is no HTTP");
}

static void on_failed(struct call *call, enum call_fault fault, int error)
{
	struct otlp *otlp = container_of(call, struct otlp, call);

	if (!otlp->judged)
		failed(otlp, fault_text(fault, error));
	otlp->judged = true;
}

static void go_on(struct otlp *otlp);

static void on_closed(struct call *call)
{
	struct otlp *otlp = container_of(call, struct otlp, call);

	otlp->calling = false;
	go_on(otlp);
}

static const struct call_events call_events = {
	.on_answer = on_answer,
	.on_body = on_body,
	.on_failed = on_failed,
	.on_closed = on_closed,
};

// ---- Sending ------------------------------------------------------------------------------------

static void on_resolved(
	void *owner, struct backend *backend, const struct addr *addr, const char *error)
{
	struct otlp *otlp = owner;

	(void)backend;
	resolver_stop(otlp->resolver);
	otlp->resolver = NULL;
	otlp->has_addr = !error;
	if (error)
		failed(otlp, LOG_CSTR("error", error));
	else
		otlp->addr = *addr;
	go_on(otlp);
}

static void look_up(struct otlp *otlp)
{
	int error = 0;

	otlp->resolver = resolver_start_name(otlp->tracing->otlp.host, otlp->tracing->otlp.port,
		otlp->loop, otlp, on_resolved, &error);
	if (!otlp->resolver) {
		failed(otlp, LOG_ERRNO(error));
		go_on(otlp);
	}
}

static void send_batch(struct otlp *otlp)
{
	const struct call_peer peer = {.addr = otlp->addr};
	u64 until_ms = now_ms(otlp) + call_ms_max;
	int error;

	otlp->request.body = str_make(otlp->body.data, otlp->body.len);
	error = call_begin(
		&otlp->call, otlp->loop, &peer, &otlp->request, &otlp->parser, &call_events);
	if (error) {
		failed(otlp, LOG_ERRNO(error));
		go_on(otlp);
		return;
	}
	otlp->calling = true;
	otlp->judged = false;
	otlp->answer_bytes = 0;
	call_set_deadline(&otlp->call, otlp->stopping ? MIN(until_ms, otlp->stop_ms) : until_ms);
}

// ---- When ---------------------------------------------------------------------------------------

static void end(struct otlp *otlp)
{
	otlp->stopped = true;
	loop_timer_cancel(otlp->loop, &otlp->timer);
	metrics_add(otlp->metrics, M_SPANS_DROPPED, otlp->body_spans + count_waiting(otlp));
}

static void wait(struct otlp *otlp)
{
	u64 pause_ms = look_ms;

	// Half of it by chance, so that many who lost the same collector do not come back together.
	if (otlp->resting)
		pause_ms = otlp->pause_ms / 2 + rng_below(&otlp->rng, (u32)otlp->pause_ms / 2 + 1);
	loop_timer_set(otlp->loop, &otlp->timer, now_ms(otlp) + pause_ms);
}

// After a call, an answer to a name, or a failure.
static void go_on(struct otlp *otlp)
{
	if (otlp->stopped || otlp->calling || otlp->resolver)
		return;
	if (otlp->stopping && (otlp->pause_ms || now_ms(otlp) >= otlp->stop_ms)) {
		end(otlp);
		return;
	}
	if (otlp->resting) {
		wait(otlp);
		return;
	}
	if (otlp->body_spans == 0 && is_due(otlp))
		make_batch(otlp);
	if (otlp->body_spans && otlp->has_addr)
		send_batch(otlp);
	else if (otlp->body_spans)
		look_up(otlp);
	else if (otlp->stopping)
		end(otlp);
	else
		wait(otlp);
}

static void on_timer(struct timer *timer)
{
	struct otlp *otlp = container_of(timer, struct otlp, timer);

	otlp->resting = false;
	go_on(otlp);
}

// ---- Life ---------------------------------------------------------------------------------------

// A random UUID (RFC 9562 5.4).
static void make_instance(struct otlp *otlp)
{
	static const u8 parts[] = {8, 4, 4, 4, 12};
	char digits[32], *at = otlp->instance;
	const char *from = digits;

	hex_put_16(digits, rng_u64(&otlp->rng), rng_u64(&otlp->rng));
	digits[12] = '4';
	digits[16] = "89ab"[rng_below(&otlp->rng, 4)];
	for (u32 i = 0; i < ARRAY_LEN(parts); i++) {
		if (i > 0)
			*at++ = '-';
		memcpy(at, from, parts[i]);
		at += parts[i];
		from += parts[i];
	}
}

struct otlp *otlp_new(struct loop *loop, const struct otlp_config *config,
	struct span_ring *const *rings, u32 count, struct log *log, struct metrics_cells *metrics)
{
	const struct conf_tracing *tracing = config->tracing;
	struct otlp *otlp = mem_alloc(sizeof(*otlp));

	ASSERT(tracing->otlp.url.len && count > 0);
	otlp->loop = loop;
	otlp->tracing = tracing;
	otlp->rings = rings;
	otlp->ring_count = count;
	otlp->log = log;
	otlp->metrics = metrics;
	otlp->addr = tracing->otlp.addr;
	otlp->has_addr = tracing->otlp.host.len == 0;
	otlp->sent_ms = loop_now_ms(loop);
	otlp->parser.limits = (struct h1_limits){
		.head_bytes_max = head_bytes_max, .target_bytes_max = head_bytes_max};
	otlp->request = (struct call_request){.method = HTTP_POST,
		.method_text = STR("POST"),
		.path = tracing->otlp.path,
		.host = tracing->otlp.authority,
		.lines = own_lines,
		.answer_bytes_max = answer_bytes_max};
	rng_init(&otlp->rng, config->seed);
	make_instance(otlp);
	if (gethostname(otlp->host, sizeof(otlp->host) - 1) != 0)
		otlp->host[0] = '\0';
	timer_init(&otlp->timer, on_timer);
	wait(otlp);
	return otlp;
}

void otlp_mark(const struct otlp *otlp, u64 *ret_marks)
{
	for (u32 i = 0; i < otlp->ring_count; i++)
		ret_marks[i] = atomic_load(&otlp->rings[i]->written);
}

bool otlp_has_passed(const struct otlp *otlp, const u64 *marks)
{
	for (u32 i = 0; i < otlp->ring_count; i++)
		if (atomic_load(&otlp->rings[i]->read) < marks[i])
			return false;
	return true;
}

void otlp_stop(struct otlp *otlp)
{
	if (otlp->stopping)
		return;
	otlp->stopping = true;
	otlp->stop_ms = now_ms(otlp) + stop_ms_max;
	if (otlp->resolver) {
		resolver_stop(otlp->resolver);
		otlp->resolver = NULL;
		end(otlp);
	} else if (otlp->calling) {
		call_set_deadline(&otlp->call, otlp->stop_ms);
	} else {
		go_on(otlp);
	}
}

bool otlp_is_idle(const struct otlp *otlp)
{
	return otlp->stopped && !otlp->calling;
}

void otlp_free(struct otlp *otlp)
{
	if (!otlp)
		return;
	ASSERT(otlp_is_idle(otlp));
	text_done(&otlp->body);
	mem_free(otlp);
}
