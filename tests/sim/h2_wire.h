// SPDX-License-Identifier: Apache-2.0
// One end of an HTTP/2 connection in the hands of a script (RFC 9113): writes frames as it likes
// and reads them strictly. Frames and flow control are its own and share nothing with what is under
// test; only fields are packed by libnghttp2's HPACK.
//
// What the other side sends is held against what it was told: windows, sizes of frames, the number
// of streams, SETTINGS and PING that are acknowledged. `error` says what was wrong.
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/rng.h"
#include "peer.h"
#include "reader.h"

enum {
	H2_WIRE_STREAMS_MAX = 512,
	H2_WIRE_FRAME_MAX = 16384,
	H2_WIRE_BLOCK_MAX = 24 * 1024, // bytes of a header section
	H2_WIRE_OUT_MAX = 256 * 1024,
	H2_WIRE_OUT_DATA = 40 * 1024, // no DATA is added beyond
	H2_WIRE_SETTINGS_MAX = 16,    // sent and not acknowledged
	H2_WIRE_WINDOW = 65535,	      // RFC 9113 6.9.2
};

enum h2_wire_type {
	H2_WIRE_DATA,
	H2_WIRE_HEADERS,
	H2_WIRE_PRIORITY,
	H2_WIRE_RST_STREAM,
	H2_WIRE_SETTINGS,
	H2_WIRE_PUSH_PROMISE,
	H2_WIRE_PING,
	H2_WIRE_GOAWAY,
	H2_WIRE_WINDOW_UPDATE,
	H2_WIRE_CONTINUATION,
};

enum {
	H2_WIRE_END_STREAM = 1,
	H2_WIRE_ACK = 1,
	H2_WIRE_END_HEADERS = 4,
	H2_WIRE_PADDED = 8,
	H2_WIRE_PRIO = 0x20
};

enum h2_wire_code {
	H2_WIRE_NO_ERROR = 0,
	H2_WIRE_PROTOCOL_ERROR = 1,
	H2_WIRE_INTERNAL_ERROR = 2,
	H2_WIRE_REFUSED_STREAM = 7,
	H2_WIRE_CANCEL = 8,
};

enum h2_wire_setting {
	H2_WIRE_HEADER_TABLE_SIZE = 1,
	H2_WIRE_ENABLE_PUSH = 2,
	H2_WIRE_MAX_CONCURRENT_STREAMS = 3,
	H2_WIRE_INITIAL_WINDOW_SIZE = 4,
};

struct h2_wire;

struct h2_wire_events {
	// A header section: a head (the message is borrowed), or trailers.
	void (*on_head)(struct h2_wire *wire, u32 id, const struct read_message *message,
		bool is_trailers, bool end);
	void (*on_data)(struct h2_wire *wire, u32 id, const char *bytes, size_t len, bool end);
	void (*on_reset)(struct h2_wire *wire, u32 id, u32 code);
	void (*on_goaway)(struct h2_wire *wire, u32 last, u32 code);
	void (*on_settings)(struct h2_wire *wire); // the first, or others
};

struct h2_wire_stream {
	i64 send_window, window; // what we may send | what the other side may
	u32 owed;		 // bytes read, the window not given back
	bool is_open, is_withheld, headed, in_ended, out_ended, is_reset, was_reset;
};

struct h2_wire {
	const struct h2_wire_events *events;
	struct peer *peer;
	struct rng *rng;
	const char *error;  // set once
	const char *scheme; // that requests must have
	bool is_client;

	bool greeted, settled; // the preface was read | the first SETTINGS
	u32 piece_max;	       // bytes given to the peer at once
	u32 window_step;       // owed before a window is given back
	u32 head_piece;	       // bytes of a header section in a frame; 0: all
	u32 pad_one_in;
	u32 streams_limit; // told to the other side, and acknowledged
	u32 next_id, last_id, goaway_last;
	bool goaway_sent;
	u64 bytes_out; // handed to the peer
	u64 cut_at;    // bytes after which nothing more is handed over; 0: never
	bool is_cut;

	i64 send_window, window; // of the connection
	u32 owed;
	bool is_withheld;
	u32 send_initial, initial; // windows of new streams
	u32 open_count;		   // streams that the other side has open
	struct {
		u16 id;
		u32 value;
	} settings[H2_WIRE_SETTINGS_MAX]; // sent, one in each frame
	u32 settings_out;
	u32 pings_out;
	nghttp2_hd_deflater *deflater;
	nghttp2_hd_inflater *inflater;

	u32 block_id, block_flags; // of the header section that arrives; 0: none
	u32 block_len, in_len, out_len, text_len;
	struct read_message message;
	struct h2_wire_stream streams[H2_WIRE_STREAMS_MAX];
	// Not zeroed.
	char block[H2_WIRE_BLOCK_MAX], text[H2_WIRE_BLOCK_MAX];
	char in[H2_WIRE_FRAME_MAX + 9];
	char out[H2_WIRE_OUT_MAX];
};

// Of zeroed memory or not. `initial`: the window of each stream.
void h2_wire_init(struct h2_wire *wire, bool is_client, struct peer *peer, struct rng *rng,
	u32 initial, const struct h2_wire_events *events);
void h2_wire_done(struct h2_wire *wire);

// The preface and the first SETTINGS; from then on what is added goes out.
void h2_wire_greet(struct h2_wire *wire, u32 streams_limit, u32 more_window);

void h2_wire_feed(struct h2_wire *wire, const char *bytes, size_t len);

// To be called when something was added, and by the peer's on_sent.
void h2_wire_flush(struct h2_wire *wire);

// Everything that was added is on its way.
static inline bool h2_wire_is_flushed(const struct h2_wire *wire)
{
	return wire->out_len == 0 && !peer_is_sending(wire->peer);
}

struct h2_wire_stream *h2_wire_stream(struct h2_wire *wire, u32 id);

// Client: the number of a new stream.
u32 h2_wire_open(struct h2_wire *wire);

void h2_wire_send_head(
	struct h2_wire *wire, u32 id, const nghttp2_nv *fields, size_t count, bool end);

// How many bytes of DATA may be sent now.
u32 h2_wire_room(struct h2_wire *wire, u32 id);
void h2_wire_send_data(struct h2_wire *wire, u32 id, const char *bytes, u32 len, bool end);
void h2_wire_send_reset(struct h2_wire *wire, u32 id, enum h2_wire_code code);
void h2_wire_send_goaway(struct h2_wire *wire, u32 last, enum h2_wire_code code);
void h2_wire_send_ping(struct h2_wire *wire);
void h2_wire_send_setting(struct h2_wire *wire, enum h2_wire_setting setting, u32 value);

// What is read on a stream (0: on the connection) is given back no more | again.
void h2_wire_withhold(struct h2_wire *wire, u32 id, bool withhold);

static inline nghttp2_nv h2_wire_field(const char *name, const char *value)
{
	return (nghttp2_nv){.name = (uint8_t *)name,
		.value = (uint8_t *)value,
		.namelen = strlen(name),
		.valuelen = strlen(value)};
}
