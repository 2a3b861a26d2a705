// SPDX-License-Identifier: Apache-2.0
// Inside of proto/h2* only. h2.c is the session, h2_recv.c what libnghttp2 says of the peer's
// frames, h2_stream.c the calls on a stream and what is sent, h2_text.c, h2_head.c and h2_fields.c
// the translation from and to HTTP/2's header sections, h2_memory.c libnghttp2's memory.
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/list.h"
#include "base/slab.h"
#include "proto/h2.h"
#include "proto/h2_pack.h"
#include "proto/websocket_key.h"

enum {
	H2_OUT_DATA_MAX = 64 * 1024, // no more DATA is framed while so much waits to be sent
	H2_OUT_MAX = 96 * 1024,	     // nor anything else; nor is anything read
	H2_MEMORY_CLASSES = 7,
	H2_UPDATES_PER_FRAME = 8, // of DATA
	H2_NV_MAX = HTTP_FIELDS_MAX + HTTP_FIELDS_EXTRA + 32,
	H2_PROTOCOL_MAX = 24,	      // bytes of the name of a protocol to upgrade to
	H2_FRAME_BYTES_MAX = 16384,   // what every peer takes (RFC 9113 6.5.2)
	H2_FIELDS_SPARE_BYTES = 1024, // of it, for what libnghttp2 has of a block: the method
	H2_TEXT_BYTES = 8 * 1024,     // of a head; what is longer has a block of its own
};

struct h2_kit {
	struct block_pool *pool;
	const u64 *now_us;
	struct slab sessions, streams;
	struct slab memory[H2_MEMORY_CLASSES];
	nghttp2_mem mem;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *options;
	u64 seed, keys; // of the keys that offer a WebSocket
	// For the text of a head that comes in one read; `spare` is NULL while it is in use.
	struct block *text, *spare;
	// Scratch: nothing in it outlives a call.
	nghttp2_nv nv[H2_NV_MAX];
	char status[3], number[20];
	u8 block[H2_FRAME_BYTES_MAX];
};

// Bits of h2_text.pseudo. X(NAME, role that is told it, text)
#define H2_PSEUDO_FIELDS(X)                       \
	X(METHOD, STREAM_SERVER, ":method")       \
	X(SCHEME, STREAM_SERVER, ":scheme")       \
	X(PATH, STREAM_SERVER, ":path")           \
	X(AUTHORITY, STREAM_SERVER, ":authority") \
	X(PROTOCOL, STREAM_SERVER, ":protocol")   \
	X(STATUS, STREAM_CLIENT, ":status")

enum h2_pseudo_number {
#define X(name, role, text) H2_PSEUDO_NUMBER_##name,
	H2_PSEUDO_FIELDS(X)
#undef X
};

enum h2_pseudo {
#define X(name, role, text) H2_PSEUDO_##name = 1 << H2_PSEUDO_NUMBER_##name,
	H2_PSEUDO_FIELDS(X)
#undef X
};

// A header section as text of HTTP/1, while its fields arrive.
struct h2_text {
	struct block *block; // NULL: none is arriving
	u32 len;
	u32 raw_at;	 // where the text of HTTP/1 begins, behind the pseudo-header fields
	u32 list_bytes;	 // as SETTINGS_MAX_HEADER_LIST_SIZE counts
	u16 field_count; // lines written
	u16 status;
	u8 reason_len;
	bool has_start;	   // the start line is written
	bool has_host;	   // so is a host
	bool host_repeats; // a host field was there beside :authority
	bool is_trailers;
	bool has_priority; // the field was there (RFC 9218 5)
	bool is_get;	   // the method, which is not in the block then
	bool is_noted;	   // the parser's fields are those that were written, and beyond doubt
	u8 refusal;	   // enum http_refusal
	u8 pseudo;	   // enum h2_pseudo, those that were there
	u8 urgency;
	bool incremental;
	struct {
		u32 at, len;
	} method, path, authority, protocol;
};

struct h2_stream {
	struct stream stream;
	struct h2 *h2;
	struct list node;			  // in h2->streams
	struct list leaving_node;		  // in h2->leaving
	struct bytes held;			  // received without credit
	struct bytes queue;			  // to be framed
	struct block *trailers_in, *trailers_out; // text; NULL: none
	u64 credit;
	u64 unconsumed;	       // delivered, the window not given back
	u64 body_left;	       // where `counts`: bytes that were announced and have not come
	u32 framed, in_flight; // body bytes in `out` | in the batch being sent
	i32 id;		       // 0: none yet
	u8 method;	       // of the request (http_method)
	u8 fault;	       // enum stream_fault, to be told in the next turn
	u8 interim_heads;
	bool heard : 1;	    // the peer has spoken on it
	bool headed_in : 1; // a final head has come | was sent
	bool headed_out : 1;
	bool in_ended : 1, in_told : 1; // the peer's half is over | and its reader knows
	bool out_ended : 1;		// the whole message is in `queue`
	bool out_framed : 1;		// ... and framed
	bool provides : 1;		// libnghttp2 knows whom to ask for body bytes
	bool deferred : 1;		// ... and waits for them
	bool closed : 1;		// libnghttp2 knows it no more
	bool released : 1;		// its owner knows it no more
	bool done_told : 1;
	bool failed : 1;  // `fault` is to be told
	bool upgrade : 1; // a tunnel was asked for
	bool counts : 1;  // `body_left` bytes of body are announced, or none can be
	bool tunnel : 1;
	bool announced : 1;   // server role: it was told of
	bool malformed : 1;   // libnghttp2 resets it
	bool refuse_rest : 1; // what still comes is not wanted: RST_STREAM behind the answer
	bool has_key : 1;
	bool moved : 1; // body bytes were framed since the last look (check_alive)
	bool looked_at : 1;
	bool pending : 1; // libnghttp2 has a DATA frame ready that waits for room in `out`
	u8 protocol_len;
	char key[WEBSOCKET_KEY_BYTES]; // of an upgrade
	char protocol[H2_PROTOCOL_MAX];
};

struct h2 {
	struct session session;
	nghttp2_session *ng;
	struct h2_kit *kit;
	struct h1_parser *parser;
	void *carrier;
	struct list streams; // all of them
	struct list leaving; // with bytes in `out` or in the batch being sent
	struct list dead;    // to be freed when nobody is inside
	struct h2_text text;
	struct h2_stream *heading; // whose header section arrives
	struct h2_stream *recent;  // who was last spoken of; not closed
	struct block *feeding;	   // the block that libnghttp2 reads
	u32 data_left;		   // bytes of the DATA frame that arrives
	struct slice last_data;	   // of a message, between the bytes and the end of its frame
	struct slice passing;	   // ... on its way out, not in the queue of `sender`
	struct h2_stream *sender;
	u64 flood_us[H2_FLOOD_COUNT];
	u32 updates_due; // WINDOW_UPDATE frames that answer DATA of ours, and are no flood
	u32 open_count;	 // streams that libnghttp2 has open, or will have
	u32 streams_max; // that the peer allows
	u32 linger_left;
	u32 end_code;	  // of the GOAWAY with which libnghttp2 is to end
	i32 continued;	  // whose header section comes in several frames
	u8 continuations; // ... so many behind the first
	u8 excess;	  // enum h2_excess
	bool running : 1; // inside of libnghttp2
	bool pings : 1;	  // a PING of ours is on its way
	bool drain_ping : 1;
	bool draining : 1, goaway_heard : 1;
	bool is_secure : 1;
	bool is_broken : 1;  // nothing more is to be had from libnghttp2
	bool reading : 1;    // it reads what has come
	bool leaving_it : 1; // ... and is to be left, then told to end with `end_code`
	bool stalled : 1;    // there is more to frame than `out` took
	bool look : 1;	     // some stream has something to be told
	bool peer_ended : 1, peer_reset : 1;
	bool over : 1;	      // h2_done runs
	bool heard : 1;	      // since the last look (check_alive)
	bool may_connect : 1; // SETTINGS_ENABLE_CONNECT_PROTOCOL was heard
	bool may_ask : 1;     // libnghttp2 would take another request
	struct h2_pack pack;
};

static inline struct h2 *h2_of(struct session *session)
{
	return container_of(session, struct h2, session);
}

static inline struct h2_stream *h2_stream_of(struct stream *stream)
{
	return container_of(stream, struct h2_stream, stream);
}

// ---- The session (h2.c) -------------------------------------------------------------------------

void h2_poke(struct h2 *h2); // something is to be framed or told in this turn
// What is submitted next may be framed before anything else, by h2_frame_next.
bool h2_is_free(const struct h2 *h2);
bool h2_may_open(const struct h2 *h2); // the peer allows the streams that are open now
void h2_frame_next(struct h2 *h2);
// The same of the head of `s`, which goes on with what was packed.
void h2_frame_head(struct h2 *h2, const struct h2_stream *s, struct h2_packer *packer);
void h2_end(struct h2 *h2, enum session_end end);

// What a callback gives that libnghttp2 makes while it reads. It must not be told to end from
// inside of one: it would read on, and some frames of a wrong length then end the process by an
// assertion of its own (as in CVE-2026-27135, whose repair leaves ways to it). So it is left first.
static inline int h2_reads_on(const struct h2 *h2)
{
	return unlikely(h2->reading && (h2->is_broken || h2->leaving_it))
		       ? NGHTTP2_ERR_CALLBACK_FAILURE
		       : 0;
}

void h2_excessive(struct h2 *h2, enum h2_excess excess, u32 code);
bool h2_flood(struct h2 *h2, enum h2_excess kind); // true: it is one, and was dealt with
struct h2_stream *h2_stream_new(struct h2 *h2) must_check;
void h2_stream_fail(struct h2_stream *s, enum stream_fault fault); // at once
void h2_stream_settle(struct h2_stream *s); // tells that it is done, frees it, as far as it is so

// ---- Receiving (h2_recv.c) ----------------------------------------------------------------------

void h2_set_callbacks(nghttp2_session_callbacks *callbacks);
void h2_drop_last_data(struct h2 *h2);

// ---- Streams (h2_stream.c) ----------------------------------------------------------------------

extern const struct stream_ops h2_stream_ops;
int h2_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *framehd, size_t length,
	nghttp2_data_source *source, void *user_data);
void h2_stream_hold(struct h2_stream *s, struct slice slice);
void h2_stream_deliver(struct h2_stream *s);			   // what is held and may go
void h2_stream_take_last(struct h2_stream *s, struct slice slice); // bytes at the end, or none
void h2_stream_cut(struct h2_stream *s, u32 code);

// ---- Text of HTTP/1 (h2_text.c) -----------------------------------------------------------------

void h2_text_begin(struct h2 *h2, bool is_trailers);

// One field. 0, or -1 where the block of fields is beyond all bounds.
int h2_text_add(struct h2 *h2, struct str name, struct str value) must_check;

// No more comes for now: what is there of a head makes room for others.
void h2_text_pause(struct h2 *h2);

// The section is complete. Where there is no memory for its end the text says so by `refusal`, as
// of all that was refused before.
void h2_text_end(struct h2 *h2);

// Several cookie fields become one (RFC 9113 8.2.3) in a text that replaces the one that was read.
void h2_text_join_cookies(struct h2 *h2, const struct http_head *head);
void h2_text_done(struct h2 *h2);

// ---- Heads and trailers of that text (h2_head.c) ------------------------------------------------

// The head is complete: reads it. HTTP_REFUSE_OK: parser->head is it, and borrows from h2->text.
enum http_refusal h2_head_request(struct h2 *h2, struct h2_stream *s, bool end) must_check;
enum http_refusal h2_head_response(struct h2 *h2, struct h2_stream *s, bool end) must_check;
// Trailers are complete: judges them. HTTP_REFUSE_OK: h2->text.block is their text, for
// h2_read_trailers.
enum http_refusal h2_head_trailers(struct h2 *h2) must_check;
enum http_refusal h2_read_trailers(
	struct h1_parser *parser, const struct block *block, u16 *ret_count) must_check;

// ---- Fields of HTTP/2 (h2_fields.c) -------------------------------------------------------------

// A head is packed into kit->block where there is a packer, and its method is in kit->nv. Else all
// of it is in kit->nv. They give the number there.
struct h2_packer h2_fields_begin(struct h2 *h2, const struct http_head *head);
size_t h2_fields_response(struct h2_kit *kit, const struct http_head *head, u16 status, bool end,
	struct h2_packer *packer);
size_t h2_fields_request(struct h2_kit *kit, const struct http_head *head, bool is_secure, bool end,
	struct h2_packer *packer);
size_t h2_fields_trailers(struct h2_kit *kit, const struct http_field *fields, u16 count);

// ---- Memory (h2_memory.c) -----------------------------------------------------------------------

void h2_memory_init(struct h2_kit *kit);
void h2_memory_done(struct h2_kit *kit);
