// SPDX-License-Identifier: Apache-2.0
// The request heads that must be refused and the answer heads that must not be believed.
// '@' stands for the field that tells the call.
#pragma once

#include "base/base.h"

// X(NAME, status of the refusal, text)
#define BAD_HEADS(X)                                                                             \
	X(NO_HOST, 400, "GET /c HTTP/1.1\r\n@\r\n")                                              \
	X(TWO_HOSTS, 400, "GET /c HTTP/1.1\r\nHost: a\r\nHost: b\r\n@\r\n")                      \
	X(SAME_HOSTS, 400, "GET /c HTTP/1.1\r\nHost: a\r\nHost: a\r\n@\r\n")                     \
	X(HOST_SPACE, 400, "GET /c HTTP/1.1\r\nHost: a b\r\n@\r\n")                              \
	X(HOST_USER, 400, "GET /c HTTP/1.1\r\nHost: u@@b\r\n@\r\n")                              \
	X(HOST_COMMA, 400, "GET /c HTTP/1.1\r\nHost: a,b\r\n@\r\n")                              \
	X(TARGET_SPACE, 400, "GET /c d HTTP/1.1\r\nHost: a\r\n@\r\n")                            \
	X(TARGET_USER, 400, "GET http://u@@a/ HTTP/1.1\r\nHost: a\r\n@\r\n")                     \
	X(TARGET_UP, 400, "GET /../c HTTP/1.1\r\nHost: a\r\n@\r\n")                              \
	X(TARGET_NUL, 400, "GET /c%00 HTTP/1.1\r\nHost: a\r\n@\r\n")                             \
	X(TARGET_ESCAPE, 400, "GET /c%zz HTTP/1.1\r\nHost: a\r\n@\r\n")                          \
	X(TARGET_HASH, 400, "GET /c#d HTTP/1.1\r\nHost: a\r\n@\r\n")                             \
	X(TARGET_STAR, 400, "GET * HTTP/1.1\r\nHost: a\r\n@\r\n")                                \
	X(CONNECT, 405, "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n@\r\n")                          \
	X(TRACE, 405, "TRACE /c HTTP/1.1\r\nHost: a\r\n@\r\n")                                   \
	X(VERSION_TWO, 505, "GET /c HTTP/2.0\r\nHost: a\r\n@\r\n")                               \
	X(VERSION_CASE, 400, "GET /c http/1.1\r\nHost: a\r\n@\r\n")                              \
	X(METHOD, 400, "G@@T /c HTTP/1.1\r\nHost: a\r\n@\r\n")                                   \
	X(EXPECTATION, 417, "GET /c HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n@\r\n")            \
	X(LENGTH_AND_CHUNKED, 400,                                                               \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: 5\r\n"                          \
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")                                   \
	X(CHUNKED_AND_LENGTH, 400,                                                               \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: chunked\r\n"                 \
		"Content-Length: 5\r\n\r\n0\r\n\r\n")                                            \
	X(TWO_LENGTHS, 400,                                                                      \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: 5\r\nContent-Length: "          \
		"6\r\n\r\nhello!")                                                               \
	X(SAME_LENGTHS, 400,                                                                     \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: 5\r\nContent-Length: "          \
		"5\r\n\r\nhello")                                                                \
	X(LENGTH_LIST, 400, "POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: 5, 5\r\n\r\nhello") \
	X(LENGTH_SIGN, 400, "POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: +5\r\n\r\nhello")   \
	X(LENGTH_MINUS, 400, "POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: -5\r\n\r\nhello")  \
	X(LENGTH_HEX, 400, "POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: 0x5\r\n\r\nhello")   \
	X(LENGTH_EMPTY, 400, "POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length:\r\n\r\n")          \
	X(LENGTH_HUGE, 400,                                                                      \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Content-Length: "                               \
		"18446744073709551621\r\n\r\nhello")                                             \
	X(CODING_UNKNOWN, 501,                                                                   \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: gzip, "                      \
		"chunked\r\n\r\n0\r\n\r\n")                                                      \
	X(CODING_TWICE, 400,                                                                     \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: chunked, "                   \
		"chunked\r\n\r\n0\r\n\r\n")                                                      \
	X(CODING_TWO_FIELDS, 400,                                                                \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: chunked\r\n"                 \
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")                                   \
	X(CODING_PREFIX, 400,                                                                    \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")  \
	X(CODING_PARAMETER, 400,                                                                 \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: "                            \
		"chunked;q=1\r\n\r\n0\r\n\r\n")                                                  \
	X(CODING_EMPTY, 400, "POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding:\r\n\r\n")       \
	X(CODING_IDENTITY, 400,                                                                  \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: identity\r\n\r\n")           \
	X(CODING_SPACE, 400,                                                                     \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")  \
	X(CODING_IN_TEN, 400,                                                                    \
		"POST /c HTTP/1.0\r\nHost: a\r\n@Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")   \
	X(CODING_TAB, 400,                                                                       \
		"POST /c HTTP/1.1\r\nHost: a\r\n@Transfer-Encoding: "                            \
		"\013chunked\r\n\r\n0\r\n\r\n")                                                  \
	X(BARE_LF, 400, "GET /c HTTP/1.1\nHost: a\n@\n")                                         \
	X(BARE_CR, 400, "GET /c HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n@\r\n")                      \
	X(FOLD, 400, "GET /c HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n@\r\n")                      \
	X(NO_NAME, 400, "GET /c HTTP/1.1\r\nHost: a\r\n: b\r\n@\r\n")                            \
	X(NO_COLON, 400, "GET /c HTTP/1.1\r\nHost: a\r\nword\r\n@\r\n")                          \
	X(NAME_SPACE, 400, "GET /c HTTP/1.1\r\nHost: a\r\nX A: b\r\n@\r\n")                      \
	X(VALUE_DEL, 400, "GET /c HTTP/1.1\r\nHost: a\r\nX-A: \177\r\n@\r\n")                    \
	X(LEADING_SPACE, 400, " GET /c HTTP/1.1\r\nHost: a\r\n@\r\n")                            \
	X(LONG_TARGET, 414, NULL)                                                                \
	X(LONG_HEAD, 431, NULL)                                                                  \
	X(MANY_FIELDS, 431, NULL)

enum bad_head {
	BAD_HEAD_NONE,
#define X(name, status, text) BAD_HEAD_##name,
	BAD_HEADS(X)
#undef X
		BAD_HEAD_COUNT
};

// X(NAME, text)
#define BAD_ANSWERS(X)                                                                             \
	X(GARBAGE, "garbage\r\n\r\n")                                                              \
	X(SHORT_STATUS, "HTTP/1.1 20 OK\r\n@Content-Length: 0\r\n\r\n")                            \
	X(LONG_STATUS, "HTTP/1.1 2000 OK\r\n@Content-Length: 0\r\n\r\n")                           \
	X(WORD_STATUS, "HTTP/1.1 OK 200\r\n@Content-Length: 0\r\n\r\n")                            \
	X(VERSION, "HTTP/2.0 200 OK\r\n@Content-Length: 0\r\n\r\n")                                \
	X(BOTH, "HTTP/1.1 200 OK\r\n@Content-Length: 5\r\nTransfer-Encoding: "                     \
		"chunked\r\n\r\n0\r\n\r\n")                                                        \
	X(TWO_LENGTHS, "HTTP/1.1 200 OK\r\n@Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!") \
	X(LENGTH_SIGN, "HTTP/1.1 200 OK\r\n@Content-Length: +5\r\n\r\nhello")                      \
	X(CODING, "HTTP/1.1 200 OK\r\n@Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")              \
	X(BARE_LF, "HTTP/1.1 200 OK\n@Content-Length: 0\n\n")                                      \
	X(FOLD, "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n@Content-Length: 0\r\n\r\n")                   \
	X(NAME_SPACE, "HTTP/1.1 200 OK\r\nX-A : b\r\n@Content-Length: 0\r\n\r\n")                  \
	X(UNASKED_SWITCH, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"            \
			  "Upgrade: sim\r\n@\r\n")                                                 \
	X(LONG_HEAD, NULL)                                                                         \
	X(FLOOD, NULL)

enum bad_answer {
	BAD_ANSWER_NONE,
#define X(name, text) BAD_ANSWER_##name,
	BAD_ANSWERS(X)
#undef X
		BAD_ANSWER_COUNT
};

const char *bad_head_name(enum bad_head bad);
const char *bad_answer_name(enum bad_answer bad);
