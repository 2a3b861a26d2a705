// SPDX-License-Identifier: Apache-2.0
// What a TLS client says first, without answering it: the name it wants (SNI, RFC 6066 section 3)
// and the protocols it offers (ALPN, RFC 7301). The hello may be cut anywhere: over segments, over
// records, in the middle of a field.
//
// Strict about lengths and about what may be there once, since a backend that reads the same bytes
// differently would serve another name than the one that was routed; lenient about values nobody
// here knows (GREASE, RFC 8701), which are skipped. With encrypted client hello the name is the
// outer one.
#pragma once

#include "base/str.h"

enum {
	CLIENT_HELLO_BYTES_MAX = 16 * 1024 - 64, // with the headers of its records
	CLIENT_HELLO_NAME_MAX = 255,
	CLIENT_HELLO_ALPN_MAX = 255, // bytes of the protocols that are kept, lengths included
};

enum client_hello_state {
	CLIENT_HELLO_DONE,
	CLIENT_HELLO_MORE,	// more has to come
	CLIENT_HELLO_NOT_TLS,	// it does not begin like TLS
	CLIENT_HELLO_MALFORMED, // like TLS, and then not
	CLIENT_HELLO_TOO_LARGE,
};

struct client_hello {
	u8 name_len; // 0: no name was asked for
	u8 alpn_len;
	bool is_alpn_whole;		  // there were not more protocols than fit
	bool has_ech;			  // the true name may be another one
	char name[CLIENT_HELLO_NAME_MAX]; // lower case, without a dot at its end
	char alpn[CLIENT_HELLO_ALPN_MAX]; // as on the wire: a length, and so many bytes
};

// Looks at `bytes`, the beginning of a connection, in one piece. MORE: *ret_need is how many bytes
// there must be in all before another look is worth while (at most CLIENT_HELLO_BYTES_MAX).
// *ret_hello is touched only when it is DONE. How the bytes were cut into pieces does not matter.
enum client_hello_state client_hello_read(
	struct str bytes, struct client_hello *ret_hello, size_t *ret_need) must_check;

static inline struct str client_hello_name(const struct client_hello *hello)
{
	return str_make(hello->name, hello->name_len);
}

// Is this protocol among those that were offered and kept?
bool client_hello_offers(const struct client_hello *hello, struct str protocol);

// A fatal alert of TLS (RFC 8446 section 6), ready to be sent in the clear.
enum { TLS_ALERT_BYTES = 7 };
enum tls_alert {
	TLS_ALERT_NONE,

	TLS_ALERT_DECODE_ERROR = 50,
	TLS_ALERT_INTERNAL_ERROR = 80,
	TLS_ALERT_UNRECOGNIZED_NAME = 112
};
struct str client_hello_alert(enum tls_alert alert, char buffer[static TLS_ALERT_BYTES]);
