// SPDX-License-Identifier: Apache-2.0
// What every HTTP version shares: the typed head of a message, known names, and the rules that hold
// in all of them (RFC 9110): framing conflicts, hop-by-hop fields, authority, paths. No sockets, no
// clock.
//
// A head borrows its text: from the receive block while a parser's event runs, from an exchange's
// arena after http_head_copy.
#pragma once

#include "base/arena.h"
#include "base/str.h"

enum {
	HTTP_FIELDS_MAX = 128,		  // fields of one head or trailer section
	HTTP_ADDED_MAX = 5,		  // pieces of ready-made lines in a head
	HTTP_FIELDS_EXTRA = 16,		  // room behind them for what the proxy adds
	HTTP_HEAD_BYTES_MAX = 64 * 1024,  // default and upper bound of max_header_size
	HTTP_INTERIM_MAX = 8,		  // 1xx heads before the final one
	HTTP_CONNECTION_OPTIONS_MAX = 32, // elements of Connection, empty ones too
};

// X(ENUM, text)
#define HTTP_METHODS(X)       \
	X(GET, "GET")         \
	X(HEAD, "HEAD")       \
	X(POST, "POST")       \
	X(PUT, "PUT")         \
	X(DELETE, "DELETE")   \
	X(OPTIONS, "OPTIONS") \
	X(PATCH, "PATCH")     \
	X(TRACE, "TRACE")     \
	X(CONNECT, "CONNECT")

enum http_method {
	HTTP_OTHER_METHOD,
#define X(name, text) HTTP_##name,
	HTTP_METHODS(X)
#undef X
};

// Field names the proxy itself reads or writes. X(ENUM, lower-case text)
#define HTTP_KNOWN_FIELDS(X)                              \
	X(HOST, "host")                                   \
	X(CONNECTION, "connection")                       \
	X(CONTENT_LENGTH, "content-length")               \
	X(TRANSFER_ENCODING, "transfer-encoding")         \
	X(EXPECT, "expect")                               \
	X(UPGRADE, "upgrade")                             \
	X(TE, "te")                                       \
	X(TRAILER, "trailer")                             \
	X(KEEP_ALIVE, "keep-alive")                       \
	X(PROXY_CONNECTION, "proxy-connection")           \
	X(PROXY_AUTHENTICATE, "proxy-authenticate")       \
	X(PROXY_AUTHORIZATION, "proxy-authorization")     \
	X(HTTP2_SETTINGS, "http2-settings")               \
	X(X_FORWARDED_FOR, "x-forwarded-for")             \
	X(X_FORWARDED_PROTO, "x-forwarded-proto")         \
	X(X_FORWARDED_HOST, "x-forwarded-host")           \
	X(X_FORWARDED_BY, "x-forwarded-by")               \
	X(X_BACKEND_SERVER, "x-backend-server")           \
	X(X_REQUEST_ID, "x-request-id")                   \
	X(X_REAL_IP, "x-real-ip")                         \
	X(X_CLIENT_CERT_SUBJECT, "x-client-cert-subject") \
	X(X_CLIENT_CERT_SAN, "x-client-cert-san")         \
	X(FORWARDED, "forwarded")                         \
	X(VIA, "via")                                     \
	X(USER_AGENT, "user-agent")                       \
	X(REFERER, "referer")                             \
	X(COOKIE, "cookie")                               \
	X(AUTHORIZATION, "authorization")                 \
	X(SEC_WEBSOCKET_KEY, "sec-websocket-key")         \
	X(SEC_WEBSOCKET_ACCEPT, "sec-websocket-accept")   \
	X(DATE, "date")                                   \
	X(SERVER, "server")                               \
	X(CONTENT_TYPE, "content-type")                   \
	X(LOCATION, "location")                           \
	X(RETRY_AFTER, "retry-after")                     \
	X(TRACEPARENT, "traceparent")                     \
	X(TRACESTATE, "tracestate")

enum http_known {
	HTTP_F_OTHER,
#define X(name, text) HTTP_F_##name,
	HTTP_KNOWN_FIELDS(X)
#undef X
		HTTP_F_COUNT
};

struct http_field {
	const char *name;  // as received
	const char *value; // without surrounding white space
	u32 value_len;
	u16 name_len;
	u8 known; // enum http_known
	bool hop; // concerns this connection only: never forwarded (http_mark_hop_fields)
};

enum http_framing {
	HTTP_NO_BODY, // none can follow
	HTTP_LENGTH,  // content_length bytes, perhaps 0
	HTTP_CHUNKED,
	HTTP_UNTIL_CLOSE, // responses only
};

struct http_head {
	// Request
	u8 method; // enum http_method
	struct str method_text;
	struct str target; // as sent: origin-form, absolute-form, authority-form or "*"
	struct str path; // path and query as sent (of an absolute-form too); "/" when it was empty;
			 // "*", also for OPTIONS of an absolute-form without path (RFC 9112 3.2.4)
	struct str authority; // of the absolute-form or Host; may be empty in HTTP/1.0
	// Response
	u16 status;
	struct str reason;
	// Both
	u8 version_minor;	 // of HTTP/1.x: 0 or 1; of HTTP/2: 1
	bool is_h2;		 // it came as HTTP/2
	u8 framing;		 // enum http_framing
	bool keep_alive;	 // the sender means to go on after this message
	bool expect_continue;	 // request with Expect: 100-continue (ignored from HTTP/1.0)
	bool upgrade;		 // Upgrade together with Connection: upgrade (HTTP/1.1 only)
	bool has_content_length; // the field is present (HEAD and 304 answers carry one without a
				 // body; that of 1xx and 204 answers does not count)
	bool plain;	     // every field line as received is "Name: value", one space and no more
	bool any_hop;	     // some field is marked `hop`
	bool has_underscore; // in the name of some field that is not known
	u16 field_count;
	u16 sent_count;		      // of them received; those behind were appended
	u64 content_length;	      // of HTTP_LENGTH, or as announced
	u64 known_seen;		      // HTTP_BIT of every known name that occurs
	u64 known_repeated;	      // ... more than once
	struct str raw;		      // all bytes the slices above and below point into
	u8 first_known[HTTP_F_COUNT]; // 1 + index of the first field of that name; 0 = absent
	struct http_field *fields;
	u8 added_count;
	// Ready-made lines ("Name: value" CRLF ...) that go out behind the fields; added_count of
	// them are set.
	struct str added[HTTP_ADDED_MAX];
};

#define HTTP_BIT(known) (1ull << (known))
_Static_assert(HTTP_F_COUNT <= 64, "known_seen has a bit for each known field name");

// What a parser or rule refuses. X(ENUM, status for a request, text). A response that is refused is
// a 502 whatever the row says. The text names the cause, for answer and log.
#define HTTP_REFUSALS(X)                                                                 \
	X(OK, 0, "ok")                                                                   \
	X(REQUEST_LINE, 400, "malformed request line")                                   \
	X(METHOD, 400, "method is not a token")                                          \
	X(TARGET, 400, "malformed request target")                                       \
	X(VERSION, 505, "HTTP version not supported")                                    \
	X(STATUS_LINE, 400, "malformed status line")                                     \
	X(LINE_END, 400, "line not ended by CRLF")                                       \
	X(FIELD_NAME, 400, "malformed field name")                                       \
	X(FIELD_VALUE, 400, "control character in a field value")                        \
	X(OBS_FOLD, 400, "folded field line")                                            \
	X(HEAD_TOO_LARGE, 431, "head larger than max_header_size")                       \
	X(TOO_MANY_FIELDS, 431, "too many fields")                                       \
	X(URI_TOO_LONG, 414, "request target too long")                                  \
	X(HOST_MISSING, 400, "HTTP/1.1 request without Host")                            \
	X(HOST_REPEATED, 400, "more than one Host")                                      \
	X(HOST_INVALID, 400, "malformed Host")                                           \
	X(CONTENT_LENGTH, 400, "malformed or contradictory Content-Length")              \
	X(LENGTH_AND_CHUNKED, 400, "both Content-Length and Transfer-Encoding")          \
	X(TRANSFER_ENCODING, 400, "Transfer-Encoding is not exactly chunked")            \
	X(CODING_UNKNOWN, 501, "transfer coding not supported")                          \
	X(CHUNK, 400, "malformed chunk")                                                 \
	X(CHUNK_EXTENSIONS, 400, "chunk extensions too long")                            \
	X(TRAILER, 400, "malformed or forbidden trailer field")                          \
	X(PATH_ABOVE_ROOT, 400, "path climbs above the root")                            \
	X(PATH_NUL, 400, "path contains %00")                                            \
	X(PATH_ESCAPE, 400, "malformed percent-escape in the path")                      \
	X(EXPECT, 417, "unknown expectation")                                            \
	X(CONNECT, 405, "CONNECT is not offered here")                                   \
	X(TIMEOUT, 408, "the request head did not arrive in time")                       \
	X(INTERIM_FLOOD, 400, "too many interim responses")                              \
	X(CONNECTION, 400, "too many options in Connection")                             \
	X(PLAIN_ON_TLS, 400, "plain HTTP arrived on a TLS port: use https://")           \
	X(MISDIRECTED, 421,                                                              \
		"this connection was opened for another host, whose certificate it has") \
	X(FRAMES, 400, "malformed HTTP/2 frames or fields")                              \
	X(UPGRADE, 400, "Upgrade is no list of protocols")

enum http_refusal {
#define X(name, status, text) HTTP_REFUSE_##name,
	HTTP_REFUSALS(X)
#undef X
		HTTP_REFUSE_COUNT
};

u16 http_refusal_status(enum http_refusal why);
const char *http_refusal_text(enum http_refusal why); // static

enum http_method http_method_parse(struct str text);
const char *http_method_text(enum http_method method); // "OTHER" for HTTP_OTHER_METHOD

// Which known field is this? Case-insensitive; HTTP_F_OTHER when none.
enum http_known http_field_known(const char *name, size_t len);
struct str http_known_text(enum http_known known); // lower case

// RFC 9110 9.2.2: may be sent again without asking.
bool http_method_is_idempotent(enum http_method method);

const char *http_reason(u16 status); // standard phrase, "" when unknown

// Empty, with room for fields at `fields`.
static inline void http_head_init(struct http_head *head, struct http_field *fields)
{
	zero_plain(head, offsetof(struct http_head, added));
	head->fields = fields;
}

static inline const struct http_field *http_head_find(
	const struct http_head *head, enum http_known known)
{
	u8 at = head->first_known[known];

	return at ? &head->fields[at - 1] : NULL;
}

// First field with this name (any case), or NULL.
const struct http_field *http_head_find_name(const struct http_head *head, struct str name);

// Copies head, fields and text into the arena, with room for HTTP_FIELDS_EXTRA more fields. NULL
// when it is full.
struct http_head *http_head_copy(struct arena *arena, const struct http_head *head) must_check;

// The rules that need the whole head, run by every parser after its own: framing (RFC 9112 6.3,
// strict: what two readers could take differently is refused), Host (RFC 9112 3.2, 7230 authority
// form), keep-alive, Expect, Upgrade. They fill framing, content_length, keep_alive,
// expect_continue, upgrade, authority, path. A Content-Length loses its leading zeros. Refused
// though the grammar has it: "http://host?query", whose path no byte of the head can begin with a
// slash.
enum http_refusal http_request_rules(struct http_head *head);

// The same for a response to a request of `method`. `method` decides whether a body can follow
// (HEAD, CONNECT 2xx; 1xx, 204, 304).
enum http_refusal http_response_rules(struct http_head *head, enum http_method method);

// Does this 101 take up what the request offered: a protocol of its Upgrade field (RFC 9110 7.8;
// the version may differ), with Connection: upgrade? Both heads after their rules.
bool http_upgrade_agrees(const struct http_head *request, const struct http_head *response);

// Marks fields that must not be forwarded (RFC 9110 7.6.1): Connection and what it names (never
// Host, Content-Length, Transfer-Encoding or a field the proxy sets, which are handled by their own
// rules), Keep-Alive, Proxy-Connection, TE, Transfer-Encoding, Upgrade, HTTP2-Settings,
// Proxy-Authenticate, Proxy-Authorization, Trailer only as the connection says. Upgrade handling
// puts its own back.
void http_mark_hop_fields(struct http_head *head);

// Field name allowed in a trailer section (not framing, routing, authentication; RFC 9110 6.5.1)?
bool http_trailer_allowed(enum http_known known);

// Normal form of a path, for routing only, since what is forwarded is the path as it came: query
// cut off, dot segments removed, unreserved characters decoded, other escapes upper-cased, %2F
// kept, empty segments kept. Writes at most path.len + 1 bytes to `buffer` (its size).
// HTTP_REFUSE_OK and *ret_normal, or PATH_ABOVE_ROOT, PATH_NUL, PATH_ESCAPE. When the path is
// already normal, *ret_normal borrows from `path` and nothing is written.
enum http_refusal http_path_normalize(struct str path, char *buffer, struct str *ret_normal);

// Is this a host (name, IPv4, bracketed IPv6) with an optional port? No user information, no zone,
// not empty; port empty or 1 to 65535. Commas are refused though RFC 3986 has them: that is what
// two Hosts look like when somebody merged them.
bool http_authority_valid(struct str authority);

// Host without port, lower-cased into `buffer` (at least authority.len bytes).
struct str http_host_of(struct str authority, char *buffer);
