// SPDX-License-Identifier: Apache-2.0
// What libnghttp2 says of the peer's frames. Whatever is told upwards may come back with calls on
// this or any other stream; nothing is freed here.
#include "proto/h2_parts.h"

// Mostly the one that the last frame was about.
static inline struct h2_stream *stream_of(struct h2 *h2, int32_t id)
{
	struct h2_stream *s = h2->recent;

	if (likely(s && s->id == id && !s->closed))
		return s;
	s = id ? nghttp2_session_get_stream_user_data(h2->ng, id) : NULL;
	if (s)
		h2->recent = s;
	return s;
}

// ---- Header sections ----------------------------------------------------------------------------

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2 *h2 = user;
	struct h2_stream *s;

	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s = h2_stream_new(h2);
		if (!s)
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		s->id = frame->hd.stream_id;
		nghttp2_session_set_stream_user_data(ng, s->id, s);
		h2->recent = s;
	} else {
		s = stream_of(h2, frame->hd.stream_id);
		if (!s)
			return h2_reads_on(h2);
	}
	s->heard = true;
	h2->heading = s;
	h2_text_begin(h2, s->headed_in);
	return h2_reads_on(h2);
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
	size_t namelen, const uint8_t *value, size_t valuelen, uint8_t flags, void *user)
{
	struct h2 *h2 = user;

	(void)ng;
	(void)flags;
	if (unlikely(!h2->heading || h2->heading->id != frame->hd.stream_id || h2->is_broken))
		return h2_reads_on(h2);
	if (likely(h2_text_add(h2, str_make((const char *)name, namelen),
			   str_make((const char *)value, valuelen)) == 0))
		return h2_reads_on(h2);
	h2_excessive(h2, H2_HEADER_LIST, NGHTTP2_ENHANCE_YOUR_CALM);
	return h2_reads_on(h2);
}

static void refuse_stream(struct h2 *h2, struct h2_stream *s, enum http_refusal why)
{
	h2->session.refusal = (u8)why;
	if (h2->session.role == STREAM_SERVER && !s->announced) {
		s->announced = true;
		s->headed_in = true;
		h2->session.events->on_refused(&h2->session, &s->stream);
		return;
	}
	// That we have to reset costs the peer as little as a reset of its own.
	if (h2_flood(h2, H2_RESETS))
		return;
	(void)nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_PROTOCOL_ERROR);
	h2_stream_fail(s, STREAM_MALFORMED);
}

// What is announced of a body, and must come (RFC 9113 8.1.1). False: it has ended before it.
static bool count_body(struct h2_stream *s, const struct http_head *head, bool end)
{
	s->counts = head->has_content_length || head->framing == HTTP_NO_BODY;
	s->body_left = head->framing == HTTP_NO_BODY ? 0 : head->content_length;
	return !end || s->body_left == 0;
}

// RFC 9218 5: the order of answers that wait for the same connection.
static void set_priority(struct h2 *h2, const struct h2_stream *s)
{
	nghttp2_extpri priority = {.urgency = h2->text.urgency, .inc = h2->text.incremental};

	(void)nghttp2_session_change_extpri_stream_priority(h2->ng, s->id, &priority, 0);
}

static void take_request(struct h2 *h2, struct h2_stream *s, bool end)
{
	enum http_refusal why = h2_head_request(h2, s, end);

	s->in_ended = end;
	if (!why && !s->upgrade && !count_body(s, &h2->parser->head, end))
		why = HTTP_REFUSE_CONTENT_LENGTH;
	if (why) {
		s->upgrade = false;
		refuse_stream(h2, s, why);
		return;
	}
	if (h2->text.has_priority)
		set_priority(h2, s);
	s->announced = s->headed_in = true;
	// The request that asks for a tunnel is whole; what follows is the tunnel's.
	s->in_told = end && !s->upgrade;
	if (!end)
		h2->session.small = false;
	h2->session.events->on_request(
		&h2->session, &s->stream, &h2->parser->head, end || s->upgrade);
}

// The message has ended before what it announced (RFC 9113 8.1.1).
static bool is_short(struct h2 *h2, struct h2_stream *s)
{
	if (likely(!s->counts || s->body_left == 0))
		return false;
	refuse_stream(h2, s, HTTP_REFUSE_CONTENT_LENGTH);
	return true;
}

static void take_response(struct h2 *h2, struct h2_stream *s, bool end)
{
	enum http_refusal why = h2_head_response(h2, s, end);
	struct http_head *head = &h2->parser->head;
	const struct stream_events *events = s->stream.events;
	bool interim, over;

	if (why) {
		refuse_stream(h2, s, why);
		return;
	}
	interim = head->status < 200 && head->status != 101;
	if (interim && (end || ++s->interim_heads > HTTP_INTERIM_MAX)) {
		refuse_stream(h2, s, end ? HTTP_REFUSE_FRAMES : HTTP_REFUSE_INTERIM_FLOOD);
		return;
	}
	s->headed_in = !interim;
	s->tunnel = head->status == 101;
	s->in_ended = end;
	if (unlikely(s->upgrade && !s->tunnel && !interim)) {
		s->upgrade = false; // refused: an answer like others, and nothing more of ours
		s->stream.ops->send_body(&s->stream, (struct slice){0}, true);
	}
	if (!interim && !s->tunnel && !count_body(s, head, end)) {
		refuse_stream(h2, s, HTTP_REFUSE_CONTENT_LENGTH);
		return;
	}
	// Where no body can be, its empty DATA frame is not waited for.
	over = end || (!interim && !s->tunnel && head->framing == HTTP_NO_BODY);
	s->in_told = over && !s->tunnel;
	if (!over)
		h2->session.small = false;
	if (events)
		events->on_head(&s->stream, head, s->in_told);
	if (s->tunnel)
		h2_stream_deliver(s);
}

static void take_trailers(struct h2 *h2, struct h2_stream *s, bool end)
{
	struct h2_text *text = &h2->text;
	enum http_refusal why = end ? h2_head_trailers(h2) : HTTP_REFUSE_FRAMES;

	s->in_ended = true;
	if (!s->stream.events)
		return;
	if (why) {
		refuse_stream(h2, s, why);
		return;
	}
	if (is_short(h2, s))
		return;
	s->trailers_in = text->block;
	text->block = NULL;
	h2_stream_deliver(s);
}

static void take_headers(struct h2 *h2, struct h2_stream *s, const nghttp2_frame *frame)
{
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	h2->heading = s; // for what is still written
	h2->continued = 0;
	if (h2->text.is_trailers)
		take_trailers(h2, s, end);
	else if (h2->session.role == STREAM_SERVER)
		take_request(h2, s, end);
	else
		take_response(h2, s, end);
	h2->heading = NULL;
	h2_text_done(h2);
}

// ---- Bodies -------------------------------------------------------------------------------------

static int on_data_chunk(
	nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
	struct h2 *h2 = user;
	struct h2_stream *s = stream_of(h2, id);
	struct slice slice = {.block = h2->feeding, .ptr = (const char *)data, .len = len};
	bool last = (flags & (NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_PADDED)) ==
			    NGHTTP2_FLAG_END_STREAM &&
		    h2->data_left == len;

	h2->data_left -= (u32)len;
	// Whatever its reader does, others go on (ruling of the windows: h2.h).
	(void)nghttp2_session_consume_connection(ng, len);
	if (!s || !s->stream.events || h2->is_broken)
		return h2_reads_on(h2);
	if (unlikely(!s->headed_in)) {
		refuse_stream(h2, s, HTTP_REFUSE_FRAMES);
		return h2_reads_on(h2);
	}
	if (s->counts) {
		if (unlikely(len > s->body_left)) {
			refuse_stream(h2, s, HTTP_REFUSE_CONTENT_LENGTH);
			return h2_reads_on(h2);
		}
		s->body_left -= len;
	}
	if (s->in_told)
		return h2_reads_on(h2);
	if (slice.block)
		block_ref(slice.block);
	if (likely(last)) { // its frame's end follows: both are told in one
		h2->last_data = slice;
		return h2_reads_on(h2);
	}
	h2_stream_hold(s, slice);
	h2_stream_deliver(s);
	return h2_reads_on(h2);
}

// An end that did not come: the frame was refused for what it ends.
void h2_drop_last_data(struct h2 *h2)
{
	if (unlikely(h2->last_data.len))
		slice_drop(&h2->last_data);
}

static void take_data_end(struct h2 *h2, const nghttp2_frame *frame)
{
	struct h2_stream *s = stream_of(h2, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
	struct slice last = h2->last_data;

	if (!end) {
		if (frame->hd.length == frame->data.padlen)
			(void)h2_flood(h2, H2_EMPTY_DATA);
		return;
	}
	h2->last_data = (struct slice){0};
	if (s)
		s->in_ended = true;
	// What nobody listens to any more, because it was answered early, is not judged: the answer
	// goes on.
	if (!s || s->in_told || !s->stream.events) {
		slice_drop(&last);
		return;
	}
	if (unlikely(!s->headed_in))
		refuse_stream(h2, s, HTTP_REFUSE_FRAMES);
	if (s->in_told || is_short(h2, s)) {
		slice_drop(&last);
		return;
	}
	h2_stream_take_last(s, last);
}

// ---- Frames -------------------------------------------------------------------------------------

static void take_settings(struct h2 *h2, const nghttp2_frame *frame)
{
	if (frame->hd.flags & NGHTTP2_FLAG_ACK)
		return;
	if (h2_flood(h2, H2_SETTINGS))
		return;
	h2->may_connect = nghttp2_session_get_remote_settings(
		h2->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
	for (size_t i = 0; i < frame->settings.niv; i++)
		if (frame->settings.iv[i].settings_id == NGHTTP2_SETTINGS_HEADER_TABLE_SIZE)
			h2_pack_resize(&h2->pack, frame->settings.iv[i].value);
	h2->streams_max = nghttp2_session_get_remote_settings(
		h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	if (h2->session.role == STREAM_CLIENT && h2->session.events->on_open_limit)
		h2->session.events->on_open_limit(&h2->session);
}

static void take_ping(struct h2 *h2, const nghttp2_frame *frame)
{
	if (!(frame->hd.flags & NGHTTP2_FLAG_ACK)) {
		(void)h2_flood(h2, H2_PINGS);
		return;
	}
	h2->pings = false;
	if (!h2->drain_ping || memcmp(frame->ping.opaque_data, "draining", 8) != 0)
		return;
	h2->drain_ping = false;
	(void)nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(h2->ng), NGHTTP2_NO_ERROR, NULL, 0);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2 *h2 = user;

	(void)ng;
	if (h2->is_broken)
		return h2_reads_on(h2);
	switch (frame->hd.type) {
	case NGHTTP2_DATA:
		take_data_end(h2, frame);
		break;
	case NGHTTP2_HEADERS:
		if (h2->heading && h2->heading->id == frame->hd.stream_id)
			take_headers(h2, h2->heading, frame);
		break;
	case NGHTTP2_SETTINGS:
		take_settings(h2, frame);
		break;
	case NGHTTP2_PING:
		take_ping(h2, frame);
		break;
	case NGHTTP2_GOAWAY:
		h2->goaway_heard = true;
		if (h2->session.role == STREAM_CLIENT && h2->session.events->on_goaway)
			h2->session.events->on_goaway(&h2->session);
		break;
	case NGHTTP2_RST_STREAM:
		(void)h2_flood(h2, H2_RESETS);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (h2->updates_due)
			h2->updates_due--;
		else
			(void)h2_flood(h2, H2_WINDOW_UPDATES);
		break;
	default:
		break;
	}
	return h2_reads_on(h2);
}

// libnghttp2's own count (nghttp2_option_set_max_continuations) is of reads, so that a frame that
// comes byte by byte is many of them; it is only the bound beyond this one.
static void count_continuation(struct h2 *h2, i32 id)
{
	if (h2->continued != id)
		h2->continuations = 0;
	h2->continued = id;
	if (++h2->continuations > H2_CONTINUATIONS_MAX)
		h2_excessive(h2, H2_CONTINUATIONS, NGHTTP2_ENHANCE_YOUR_CALM);
}

// Of every frame, also of those that are then ignored.
static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
	struct h2 *h2 = user;

	bool priority = hd->type == NGHTTP2_PRIORITY || hd->type == NGHTTP2_PRIORITY_UPDATE;

	(void)ng;
	h2_drop_last_data(h2);
	h2->data_left = (u32)hd->length;
	if (likely(!priority && hd->type < NGHTTP2_CONTINUATION) || h2->is_broken)
		return h2_reads_on(h2);
	if (hd->type == NGHTTP2_CONTINUATION) {
		count_continuation(h2, hd->stream_id);
		return h2_reads_on(h2);
	}
	if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0) { // RFC 9113 6.3
		h2_excessive(h2, H2_PROTOCOL_ERROR, NGHTTP2_PROTOCOL_ERROR);
		return h2_reads_on(h2);
	}
	(void)h2_flood(h2, priority ? H2_PRIORITIES : H2_UNKNOWN_FRAMES);
	return h2_reads_on(h2);
}

static int on_unknown_frame(
	nghttp2_session *ng, void **payload, const nghttp2_frame_hd *hd, void *user)
{
	(void)ng;
	(void)payload;
	(void)hd;
	(void)user;
	return NGHTTP2_ERR_CANCEL; // ignored (RFC 9113 5.5)
}

// A stream's error; libnghttp2 has its RST_STREAM ready. That we have to reset costs the peer as
// little as a reset of its own.
static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
	struct h2 *h2 = user;
	struct h2_stream *s = stream_of(h2, frame->hd.stream_id);

	(void)ng;
	(void)error;
	if (h2->is_broken || h2_flood(h2, H2_RESETS) || !s)
		return h2_reads_on(h2);
	s->malformed = true;
	return h2_reads_on(h2);
}

// ---- The end of streams -------------------------------------------------------------------------

static enum stream_fault fault_of(const struct h2 *h2, const struct h2_stream *s, u32 code)
{
	if (s->malformed)
		return STREAM_MALFORMED;
	if (h2->session.role == STREAM_CLIENT && code == NGHTTP2_REFUSED_STREAM && !s->headed_in)
		return STREAM_NOT_PROCESSED;
	return STREAM_PEER_RESET;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user)
{
	struct h2 *h2 = user;
	struct h2_stream *s = stream_of(h2, id);
	bool server = h2->session.role == STREAM_SERVER;

	(void)ng;
	h2->recent = NULL;
	if (!s || h2->over || s->closed)
		return h2_reads_on(h2);
	s->closed = true;
	if (h2->heading == s)
		h2->heading = NULL;
	if (server && !s->announced) { // it is counted, though nobody hears the answer
		h2->session.refusal = HTTP_REFUSE_FRAMES;
		refuse_stream(h2, s, HTTP_REFUSE_FRAMES);
	} else if ((server && !s->out_framed) || !s->in_ended) {
		h2->session.refusal = HTTP_REFUSE_FRAMES;
		h2_stream_fail(s, fault_of(h2, s, code));
	}
	h2_stream_settle(s);
	return h2_reads_on(h2);
}

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct h2 *h2 = user;
	struct h2_stream *s;

	switch (frame->hd.type) {
	case NGHTTP2_GOAWAY:
		// What libnghttp2 itself has found.
		if (frame->goaway.error_code != NGHTTP2_NO_ERROR && !h2->is_broken) {
			h2->is_broken = true;
			h2->excess = H2_PROTOCOL_ERROR;
			if (h2->session.events->on_excess)
				h2->session.events->on_excess(&h2->session);
		}
		return 0;
	case NGHTTP2_DATA:
	case NGHTTP2_HEADERS:
		break;
	default:
		return 0;
	}
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	s = stream_of(h2, frame->hd.stream_id);
	if (!s)
		return 0;
	s->out_framed = true;
	if (s->refuse_rest && !s->in_ended)
		(void)nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
	return 0;
}

// A request that could not be sent any more: the peer's GOAWAY came first.
static int on_frame_not_sent(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
	struct h2 *h2 = user;

	(void)error;
	if (frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (h2->session.role != STREAM_CLIENT) { // who is still there does not wait in vain
		const struct h2_stream *s = stream_of(h2, frame->hd.stream_id);

		return s && !s->closed ? nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, s->id,
						 NGHTTP2_INTERNAL_ERROR)
				       : 0;
	}
	list_for_each (node, &h2->streams) {
		struct h2_stream *s = list_entry(node, struct h2_stream, node);

		if (s->id != frame->hd.stream_id || s->closed ||
			frame->headers.cat != NGHTTP2_HCAT_REQUEST)
			continue;
		s->failed = true;
		s->fault = STREAM_NOT_PROCESSED;
		h2->look = true;
	}
	return 0;
}

void h2_set_callbacks(nghttp2_session_callbacks *callbacks)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_sent);
	nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, h2_send_data);
}
