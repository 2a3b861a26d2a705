// SPDX-License-Identifier: Apache-2.0
#include "h2_wire.h"

#include "base/base.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum { preface_len = sizeof(preface) - 1, head_len = 9, pad_max = 20, table_size = 4096 };

static void fail(struct h2_wire *wire, const char *why)
{
	if (!wire->error)
		wire->error = why;
}

void h2_wire_init(struct h2_wire *wire, bool is_client, struct peer *peer, struct rng *rng,
	u32 initial, const struct h2_wire_events *events)
{
	memset(wire, 0, offsetof(struct h2_wire, block));
	wire->events = events;
	wire->peer = peer;
	wire->rng = rng;
	wire->is_client = is_client;
	wire->scheme = "http";
	wire->next_id = 1;
	wire->piece_max = H2_WIRE_FRAME_MAX;
	wire->streams_limit = UINT32_MAX;
	wire->goaway_last = UINT32_MAX;
	wire->send_window = wire->window = H2_WIRE_WINDOW;
	wire->send_initial = wire->initial = H2_WIRE_WINDOW;
	wire->settings[0].value = initial; // for h2_wire_greet
	ASSERT(nghttp2_hd_deflate_new(&wire->deflater, table_size) == 0);
	ASSERT(nghttp2_hd_inflate_new(&wire->inflater) == 0);
}

void h2_wire_done(struct h2_wire *wire)
{
	nghttp2_hd_deflate_del(wire->deflater);
	nghttp2_hd_inflate_del(wire->inflater);
}

// Streams are numbered 1, 3, 5 ... by the client, and nobody pushes.
struct h2_wire_stream *h2_wire_stream(struct h2_wire *wire, u32 id)
{
	ASSERT(id % 2 == 1 && id / 2 < H2_WIRE_STREAMS_MAX);
	return &wire->streams[id / 2];
}

// ---- Out ----------------------------------------------------------------------------------------

static void add(struct h2_wire *wire, const void *bytes, size_t len)
{
	ASSERT(wire->out_len + len <= H2_WIRE_OUT_MAX);
	memcpy(wire->out + wire->out_len, bytes, len);
	wire->out_len += (u32)len;
}

static void add_number(struct h2_wire *wire, u32 number, u32 bytes)
{
	for (u32 i = bytes; i > 0; i--) {
		char c = (char)(number >> ((i - 1) * 8));

		add(wire, &c, 1);
	}
}

static void add_frame(struct h2_wire *wire, enum h2_wire_type type, u32 flags, u32 id, size_t len)
{
	add_number(wire, (u32)len, 3);
	add_number(wire, type, 1);
	add_number(wire, flags, 1);
	add_number(wire, id, 4);
}

void h2_wire_flush(struct h2_wire *wire)
{
	struct peer *peer = wire->peer;

	while (wire->out_len && !peer_is_sending(peer) && peer->connected && !peer->closing &&
		!peer->shut && !peer->broken && !wire->is_cut) {
		u32 len = MIN(wire->out_len, wire->piece_max);

		if (wire->cut_at && wire->bytes_out + len >= wire->cut_at) {
			len = (u32)(wire->cut_at - wire->bytes_out);
			wire->is_cut = true;
		}
		if (len == 0)
			return;
		wire->bytes_out += len;
		peer_send(peer, wire->out, len);
		wire->out_len -= len;
		memmove(wire->out, wire->out + len, wire->out_len);
	}
}

void h2_wire_send_setting(struct h2_wire *wire, enum h2_wire_setting setting, u32 value)
{
	ASSERT(wire->settings_out < H2_WIRE_SETTINGS_MAX);
	wire->settings[wire->settings_out].id = (u16)setting;
	wire->settings[wire->settings_out++].value = value;
	add_frame(wire, H2_WIRE_SETTINGS, 0, 0, 6);
	add_number(wire, setting, 2);
	add_number(wire, value, 4);
}

static void add_window(struct h2_wire *wire, u32 id, u32 len)
{
	add_frame(wire, H2_WIRE_WINDOW_UPDATE, 0, id, 4);
	add_number(wire, len, 4);
}

void h2_wire_greet(struct h2_wire *wire, u32 streams_limit, u32 more_window)
{
	if (wire->is_client)
		add(wire, preface, preface_len);
	h2_wire_send_setting(wire, H2_WIRE_INITIAL_WINDOW_SIZE, wire->settings[0].value);
	if (wire->is_client)
		h2_wire_send_setting(wire, H2_WIRE_ENABLE_PUSH, 0);
	else
		h2_wire_send_setting(wire, H2_WIRE_MAX_CONCURRENT_STREAMS, streams_limit);
	if (more_window) {
		add_window(wire, 0, more_window);
		wire->window += more_window;
	}
	h2_wire_flush(wire);
}

u32 h2_wire_open(struct h2_wire *wire)
{
	u32 id = wire->next_id;
	struct h2_wire_stream *stream = h2_wire_stream(wire, id);

	wire->next_id += 2;
	stream->is_open = true;
	stream->send_window = wire->send_initial;
	stream->window = wire->initial;
	return id;
}

// Some frames are padded (RFC 9113 6.1).
static u32 some_padding(struct h2_wire *wire)
{
	return wire->pad_one_in && rng_one_in(wire->rng, wire->pad_one_in)
		       ? 1 + rng_below(wire->rng, pad_max)
		       : 0;
}

static void add_padded(struct h2_wire *wire, enum h2_wire_type type, u32 flags, u32 id,
	const char *bytes, u32 len, u32 padding)
{
	static const char zeros[pad_max];

	add_frame(wire, type, flags | (padding ? (u32)H2_WIRE_PADDED : 0), id, len + padding);
	if (padding)
		add_number(wire, padding - 1, 1);
	add(wire, bytes, len);
	if (padding)
		add(wire, zeros, padding - 1);
}

void h2_wire_send_head(
	struct h2_wire *wire, u32 id, const nghttp2_nv *fields, size_t count, bool end)
{
	static uint8_t packed[H2_WIRE_BLOCK_MAX];
	ssize_t len = nghttp2_hd_deflate_hd(wire->deflater, packed, sizeof(packed), fields, count);
	u32 at = 0, type = H2_WIRE_HEADERS, flags = end ? H2_WIRE_END_STREAM : 0, frames = 0;

	ASSERT(len > 0);
	do {
		u32 piece = wire->head_piece && frames++ < 4 ? wire->head_piece
							     : H2_WIRE_FRAME_MAX - pad_max;

		piece = MIN(piece, (u32)len - at);
		if (at + piece == (u32)len)
			flags |= H2_WIRE_END_HEADERS;
		add_padded(wire, (enum h2_wire_type)type, flags, id, (const char *)packed + at,
			piece, type == H2_WIRE_HEADERS ? some_padding(wire) : 0);
		at += piece;
		type = H2_WIRE_CONTINUATION;
		flags = 0;
	} while (at < (u32)len);
	if (end)
		h2_wire_stream(wire, id)->out_ended = true;
	h2_wire_flush(wire);
}

u32 h2_wire_room(struct h2_wire *wire, u32 id)
{
	struct h2_wire_stream *stream = h2_wire_stream(wire, id);
	i64 room = MIN(stream->send_window, wire->send_window) - pad_max;

	if (wire->out_len >= H2_WIRE_OUT_DATA || stream->out_ended || stream->is_reset ||
		stream->was_reset || room <= 0)
		return 0;
	return (u32)MIN(room, (i64)H2_WIRE_FRAME_MAX - pad_max);
}

void h2_wire_send_data(struct h2_wire *wire, u32 id, const char *bytes, u32 len, bool end)
{
	struct h2_wire_stream *stream = h2_wire_stream(wire, id);
	u32 padding = len ? some_padding(wire) : 0;

	add_padded(wire, H2_WIRE_DATA, end ? H2_WIRE_END_STREAM : 0, id, bytes, len, padding);
	stream->send_window -= len + padding;
	wire->send_window -= len + padding;
	stream->out_ended = end;
	h2_wire_flush(wire);
}

void h2_wire_send_reset(struct h2_wire *wire, u32 id, enum h2_wire_code code)
{
	struct h2_wire_stream *stream = h2_wire_stream(wire, id);

	if (stream->is_reset)
		return;
	stream->is_reset = true;
	add_frame(wire, H2_WIRE_RST_STREAM, 0, id, 4);
	add_number(wire, code, 4);
	h2_wire_flush(wire);
}

void h2_wire_send_goaway(struct h2_wire *wire, u32 last, enum h2_wire_code code)
{
	wire->goaway_sent = true;
	wire->goaway_last = last;
	add_frame(wire, H2_WIRE_GOAWAY, 0, 0, 8);
	add_number(wire, last, 4);
	add_number(wire, code, 4);
	h2_wire_flush(wire);
}

void h2_wire_send_ping(struct h2_wire *wire)
{
	add_frame(wire, H2_WIRE_PING, 0, 0, 8);
	add_number(wire, 0x73696d, 4);
	add_number(wire, wire->pings_out++, 4);
	h2_wire_flush(wire);
}

static void give_back(struct h2_wire *wire, u32 id, u32 *owed, i64 *window)
{
	if (*owed == 0 || (*owed<wire->window_step && * window> wire->window_step))
		return;
	add_window(wire, id, *owed);
	*window += *owed;
	*owed = 0;
}

static void give_back_stream(struct h2_wire *wire, u32 id)
{
	struct h2_wire_stream *stream = h2_wire_stream(wire, id);

	if (!stream->is_withheld && !stream->in_ended && !stream->is_reset)
		give_back(wire, id, &stream->owed, &stream->window);
}

void h2_wire_withhold(struct h2_wire *wire, u32 id, bool withhold)
{
	if (id) {
		h2_wire_stream(wire, id)->is_withheld = withhold;
		give_back_stream(wire, id);
	} else {
		wire->is_withheld = withhold;
		if (!withhold)
			give_back(wire, 0, &wire->owed, &wire->window);
	}
	h2_wire_flush(wire);
}

// ---- In: header sections ------------------------------------------------------------------------

static struct str keep(struct h2_wire *wire, const uint8_t *bytes, size_t len)
{
	char *to = wire->text + wire->text_len;

	if (wire->text_len + len > sizeof(wire->text)) {
		fail(wire, "a header section is too large");
		return STR_EMPTY;
	}
	memcpy(to, bytes, len);
	wire->text_len += (u32)len;
	return str_make(to, len);
}

static bool is_of_connection(struct str name)
{
	static const char *const names[] = {"connection", "keep-alive", "proxy-connection",
		"transfer-encoding", "upgrade", "http2-settings"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq(name, str_from(names[i])))
			return true;
	return false;
}

static void take_pseudo(struct h2_wire *wire, struct str name, struct str value)
{
	struct read_message *message = &wire->message;
	u64 status;

	if (message->count && !str_eq(message->fields[message->count - 1].name, STR("Host")))
		fail(wire, "a pseudo-header field behind others");
	if (str_eq(name, STR(":method")) && message->method.len == 0)
		message->method = value;
	else if (str_eq(name, STR(":path")) && message->target.len == 0)
		message->target = value;
	else if (str_eq(name, STR(":status")) && message->status == 0 &&
		 str_to_u64(value, 999, &status) == 0 && value.len == 3)
		message->status = (u16)status;
	else if (str_eq(name, STR(":authority")) && !message_find(message, "host")) {
		message->fields[message->count].name = STR("Host");
		message->fields[message->count++].value = value;
	} else if (!str_eq(name, STR(":scheme")) || !str_eq(value, str_from(wire->scheme))) {
		fail(wire, "a pseudo-header field that is unknown or repeated");
	}
}

static void take_field(struct h2_wire *wire, struct str name, struct str value)
{
	struct read_message *message = &wire->message;

	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
			fail(wire, "a field's name is not in lower case");
	if (is_of_connection(name) || (str_eq(name, STR("te")) && !str_eq(value, STR("trailers"))))
		fail(wire, "a field that concerns a connection of HTTP/1");
	if (message->count == READER_FIELDS_MAX) {
		fail(wire, "too many fields");
		return;
	}
	message->fields[message->count].name = name;
	message->fields[message->count++].value = value;
}

static void unpack(struct h2_wire *wire)
{
	const uint8_t *at = (const uint8_t *)wire->block;
	size_t left = wire->block_len;

	wire->message = (struct read_message){.minor = 1};
	wire->text_len = 0;
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t used = nghttp2_hd_inflate_hd2(wire->inflater, &nv, &flags, at, left, 1);

		if (used < 0) {
			fail(wire, "a header section that cannot be unpacked");
			return;
		}
		at += used;
		left -= (size_t)used;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			struct str name = keep(wire, nv.name, nv.namelen);
			struct str value = keep(wire, nv.value, nv.valuelen);

			if (name.len && name.ptr[0] == ':')
				take_pseudo(wire, name, value);
			else
				take_field(wire, name, value);
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL) {
			nghttp2_hd_inflate_end_headers(wire->inflater);
			return;
		}
	}
}

static void note_framing(struct h2_wire *wire, bool end)
{
	struct read_message *message = &wire->message;
	const struct str *length = message_find(message, "content-length");

	message->has_length = length;
	if (length && (message_count(message, "content-length") > 1 ||
			      str_to_u64(*length, INT64_MAX, &message->length) != 0))
		fail(wire, "malformed content-length");
	message->framing = length ? READ_LENGTH : end ? READ_NONE : READ_CHUNKED;
}

// Whether what comes is a part of a message, or the late rest of one that we have reset.
static bool is_wanted(struct h2_wire *wire, u32 id, bool for_head)
{
	struct h2_wire_stream *stream;

	if (id == 0 || id % 2 == 0 || id / 2 >= H2_WIRE_STREAMS_MAX) {
		fail(wire, "a frame on a stream that cannot be");
		return false;
	}
	stream = h2_wire_stream(wire, id);
	if (!wire->is_client && for_head && !stream->is_open) {
		if (id <= wire->last_id)
			fail(wire, "a stream's number goes back");
		return true;
	}
	if (!stream->is_open || (stream->in_ended && !stream->is_reset) || stream->was_reset)
		fail(wire, "a frame on a stream that is over or not open");
	return !stream->is_reset && stream->is_open;
}

static void begin_stream(struct h2_wire *wire, u32 id)
{
	struct h2_wire_stream *stream = h2_wire_stream(wire, id);

	wire->last_id = id;
	stream->is_open = true;
	stream->send_window = wire->send_initial;
	stream->window = wire->initial;
}

// Streams of the other side that are not over: both directions, or reset.
static u32 count_open(const struct h2_wire *wire)
{
	u32 count = 0;

	for (u32 i = 0; i <= wire->last_id / 2; i++) {
		const struct h2_wire_stream *s = &wire->streams[i];

		count += s->is_open && !s->is_reset && !s->was_reset &&
			 !(s->in_ended && s->out_ended);
	}
	return count;
}

static void take_section(struct h2_wire *wire)
{
	u32 id = wire->block_id;
	bool end = wire->block_flags & H2_WIRE_END_STREAM, is_trailers;
	bool wanted = is_wanted(wire, id, true);
	struct h2_wire_stream *stream;

	wire->block_id = 0;
	unpack(wire); // in any case: what it leaves in the table counts
	if (!wanted || wire->error)
		return;
	stream = h2_wire_stream(wire, id);
	if (!stream->is_open) {
		begin_stream(wire, id);
		if (count_open(wire) > wire->streams_limit)
			fail(wire, "more streams than are allowed");
	}
	is_trailers = stream->headed;
	note_framing(wire, end);
	if (is_trailers && !end)
		fail(wire, "trailers that do not end their message");
	if (!is_trailers &&
		(wire->is_client ? wire->message.status == 0
				 : wire->message.method.len == 0 || wire->message.target.len == 0))
		fail(wire, "a pseudo-header field is missing");
	if (!wire->is_client || wire->message.status >= 200)
		stream->headed = true;
	if (end)
		stream->in_ended = true;
	if (!wire->error)
		wire->events->on_head(wire, id, &wire->message, is_trailers, end);
}

static void take_block(struct h2_wire *wire, u32 flags, const char *bytes, u32 len)
{
	if (wire->block_len + len > sizeof(wire->block)) {
		fail(wire, "a header section is too large");
		return;
	}
	memcpy(wire->block + wire->block_len, bytes, len);
	wire->block_len += len;
	if (flags & H2_WIRE_END_HEADERS)
		take_section(wire);
}

// ---- In: other frames ---------------------------------------------------------------------------

static void take_data(struct h2_wire *wire, u32 id, u32 flags, const char *bytes, u32 len)
{
	bool end = flags & H2_WIRE_END_STREAM, wanted = is_wanted(wire, id, false);
	struct h2_wire_stream *stream;

	wire->window -= len; // whatever becomes of the stream
	if (wire->window < 0)
		fail(wire, "more DATA than the connection's window");
	wire->owed += len;
	if (wire->error)
		return;
	stream = h2_wire_stream(wire, id);
	stream->window -= len;
	if (stream->window < 0 && !stream->is_reset && len)
		fail(wire, "more DATA than the stream's window");
	stream->owed += len;
	if (wanted && !stream->headed)
		fail(wire, "DATA before a head");
	if (end)
		stream->in_ended = true;
	if (wanted && !wire->error)
		wire->events->on_data(wire, id, bytes, len, end);
	give_back_stream(wire, id);
	if (!wire->is_withheld)
		give_back(wire, 0, &wire->owed, &wire->window);
}

static u32 number_at(const char *bytes, u32 len)
{
	u32 number = 0;

	for (u32 i = 0; i < len; i++)
		number = number << 8 | (u8)bytes[i];
	return number;
}

static void move_windows(struct h2_wire *wire, i64 by, bool ours)
{
	u32 count = wire->is_client ? wire->next_id / 2 : wire->last_id / 2 + 1;

	for (u32 i = 0; i < MIN(count, (u32)H2_WIRE_STREAMS_MAX); i++) {
		if (!wire->streams[i].is_open)
			continue;
		if (ours)
			wire->streams[i].window += by;
		else
			wire->streams[i].send_window += by;
	}
}

// From now on the other side keeps to it.
static void take_ack(struct h2_wire *wire)
{
	u32 value = wire->settings[0].value;

	if (wire->settings_out == 0) {
		fail(wire, "SETTINGS are acknowledged that were not sent");
		return;
	}
	switch (wire->settings[0].id) {
	case H2_WIRE_INITIAL_WINDOW_SIZE:
		move_windows(wire, (i64)value - wire->initial, true);
		wire->initial = value;
		break;
	case H2_WIRE_MAX_CONCURRENT_STREAMS:
		wire->streams_limit = value;
		break;
	case H2_WIRE_HEADER_TABLE_SIZE:
		if (nghttp2_hd_inflate_change_table_size(wire->inflater, value) != 0)
			fail(wire, "the table's size cannot be changed");
		break;
	default:
		break;
	}
	wire->settings_out--;
	memmove(wire->settings, wire->settings + 1, wire->settings_out * sizeof(wire->settings[0]));
}

static void take_settings(struct h2_wire *wire, u32 flags, const char *bytes, u32 len)
{
	if (flags & H2_WIRE_ACK) {
		take_ack(wire);
		return;
	}
	if (len % 6)
		fail(wire, "SETTINGS of a wrong length");
	for (u32 at = 0; at + 6 <= len; at += 6) {
		u32 value = number_at(bytes + at + 2, 4);

		if (number_at(bytes + at, 2) != H2_WIRE_INITIAL_WINDOW_SIZE)
			continue;
		move_windows(wire, (i64)value - wire->send_initial, false);
		wire->send_initial = value;
	}
	wire->settled = true;
	add_frame(wire, H2_WIRE_SETTINGS, H2_WIRE_ACK, 0, 0);
	wire->events->on_settings(wire);
}

static void take_ping(struct h2_wire *wire, u32 flags, const char *bytes, u32 len)
{
	if (len != 8) {
		fail(wire, "a PING of a wrong length");
	} else if (flags & H2_WIRE_ACK) {
		if (number_at(bytes, 4) != 0x73696d || number_at(bytes + 4, 4) >= wire->pings_out)
			fail(wire, "a PING is acknowledged that was not sent");
	} else {
		add_frame(wire, H2_WIRE_PING, H2_WIRE_ACK, 0, 8);
		add(wire, bytes, 8);
	}
}

static void take_reset(struct h2_wire *wire, u32 id, const char *bytes, u32 len)
{
	struct h2_wire_stream *stream;

	if (len != 4 || id % 2 == 0 || id / 2 >= H2_WIRE_STREAMS_MAX) {
		fail(wire, "a malformed RST_STREAM");
		return;
	}
	stream = h2_wire_stream(wire, id);
	if (!stream->is_open)
		fail(wire, "RST_STREAM on a stream that is not open");
	else if (stream->was_reset)
		fail(wire, "RST_STREAM twice");
	stream->was_reset = true;
	if (!wire->error && !stream->is_reset)
		wire->events->on_reset(wire, id, number_at(bytes, 4));
}

static void take_window(struct h2_wire *wire, u32 id, const char *bytes, u32 len)
{
	u32 more = len == 4 ? number_at(bytes, 4) : 0;

	if (more == 0 || more >> 31 || (id && (id % 2 == 0 || id / 2 >= H2_WIRE_STREAMS_MAX)))
		fail(wire, "a malformed WINDOW_UPDATE");
	else if (id)
		h2_wire_stream(wire, id)->send_window += more;
	else
		wire->send_window += more;
}

static void take_padding(struct h2_wire *wire, u32 flags, const char **bytes, u32 *len)
{
	u32 padding;

	if (!(flags & H2_WIRE_PADDED))
		return;
	padding = *len ? (u8) * *bytes : 0;
	if (padding + 1 > *len) {
		fail(wire, "wrong padding");
		return;
	}
	*bytes += 1;
	*len -= padding + 1;
}

static void take_frame(
	struct h2_wire *wire, u32 type, u32 flags, u32 id, const char *bytes, u32 len)
{
	if ((type == H2_WIRE_CONTINUATION) != (wire->block_id != 0) ||
		(wire->block_id && wire->block_id != id)) {
		fail(wire, "another frame within a header section");
		return;
	}
	switch (type) {
	case H2_WIRE_DATA:
		if (flags & H2_WIRE_PADDED)
			fail(wire, "padding that nobody would send");
		else
			take_data(wire, id, flags, bytes, len);
		break;
	case H2_WIRE_HEADERS:
		take_padding(wire, flags, &bytes, &len);
		wire->block_id = id;
		wire->block_flags = flags;
		wire->block_len = 0;
		take_block(wire, flags, bytes, len);
		break;
	case H2_WIRE_CONTINUATION:
		take_block(wire, flags, bytes, len);
		break;
	case H2_WIRE_SETTINGS:
		take_settings(wire, flags, bytes, len);
		break;
	case H2_WIRE_PING:
		take_ping(wire, flags, bytes, len);
		break;
	case H2_WIRE_RST_STREAM:
		take_reset(wire, id, bytes, len);
		break;
	case H2_WIRE_WINDOW_UPDATE:
		take_window(wire, id, bytes, len);
		break;
	case H2_WIRE_GOAWAY:
		if (len < 8)
			fail(wire, "a malformed GOAWAY");
		else
			wire->events->on_goaway(
				wire, number_at(bytes, 4) & INT32_MAX, number_at(bytes + 4, 4));
		break;
	default:
		fail(wire, "a frame that nobody would send");
	}
	if (!wire->settled && !wire->error)
		fail(wire, "the first frame is not SETTINGS");
}

static bool take_one(struct h2_wire *wire)
{
	u32 len;

	if (!wire->is_client && !wire->greeted) {
		if (wire->in_len < preface_len)
			return false;
		if (memcmp(wire->in, preface, preface_len) != 0)
			fail(wire, "not the preface");
		wire->greeted = true;
		wire->in_len -= preface_len;
		memmove(wire->in, wire->in + preface_len, wire->in_len);
		return true;
	}
	if (wire->in_len < head_len)
		return false;
	len = number_at(wire->in, 3);
	if (len > H2_WIRE_FRAME_MAX) {
		fail(wire, "a frame is too large");
		return false;
	}
	if (wire->in_len < head_len + len)
		return false;
	take_frame(wire, (u8)wire->in[3], (u8)wire->in[4], number_at(wire->in + 5, 4) & INT32_MAX,
		wire->in + head_len, len);
	wire->in_len -= head_len + len;
	memmove(wire->in, wire->in + head_len + len, wire->in_len);
	return true;
}

void h2_wire_feed(struct h2_wire *wire, const char *bytes, size_t len)
{
	while (len && !wire->error && !wire->peer->closing) {
		size_t part = MIN(len, sizeof(wire->in) - wire->in_len);

		memcpy(wire->in + wire->in_len, bytes, part);
		wire->in_len += (u32)part;
		bytes += part;
		len -= part;
		while (!wire->error && !wire->peer->closing && take_one(wire))
			;
	}
	h2_wire_flush(wire);
}
