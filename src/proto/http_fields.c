// SPDX-License-Identifier: Apache-2.0
// The names of HTTP: methods, fields, reasons, refusals, as text and as numbers.
#include "proto/http.h"

#include "proto/http_names.h"

static const struct str method_texts[] = {[HTTP_OTHER_METHOD] = {"OTHER", 5},
#define X(name, text) [HTTP_##name] = {text, sizeof(text) - 1},
	HTTP_METHODS(X)
#undef X
};

const struct http_known_name http_known_names[HTTP_F_COUNT] = {[HTTP_F_OTHER] = {"", 0},
#define X(name, text) [HTTP_F_##name] = {text, sizeof(text) - 1},
	HTTP_KNOWN_FIELDS(X)
#undef X
};

static const struct {
	u16 status;
	const char *text;
} refusals[HTTP_REFUSE_COUNT] = {
#define X(name, number, why) [HTTP_REFUSE_##name] = {number, why},
	HTTP_REFUSALS(X)
#undef X
};

// When a name is added, the unit test that looks all of them up says which slot it wants.
const u8 http_known_slots[HTTP_KNOWN_SLOTS] = {
	[12] = HTTP_F_COOKIE,
	[15] = HTTP_F_FORWARDED,
	[18] = HTTP_F_CONTENT_TYPE,
	[19] = HTTP_F_UPGRADE,
	[23] = HTTP_F_CONTENT_LENGTH,
	[24] = HTTP_F_X_REQUEST_ID,
	[25] = HTTP_F_CONNECTION,
	[26] = HTTP_F_LOCATION,
	[31] = HTTP_F_REFERER,
	[33] = HTTP_F_X_REAL_IP,
	[35] = HTTP_F_RETRY_AFTER,
	[37] = HTTP_F_USER_AGENT,
	[39] = HTTP_F_X_CLIENT_CERT_SAN,
	[40] = HTTP_F_X_FORWARDED_PROTO,
	[41] = HTTP_F_X_FORWARDED_FOR,
	[42] = HTTP_F_X_BACKEND_SERVER,
	[44] = HTTP_F_X_FORWARDED_HOST,
	[47] = HTTP_F_X_FORWARDED_BY,
	[49] = HTTP_F_X_CLIENT_CERT_SUBJECT,
	[53] = HTTP_F_DATE,
	[54] = HTTP_F_VIA,
	[70] = HTTP_F_AUTHORIZATION,
	[71] = HTTP_F_PROXY_AUTHENTICATE,
	[73] = HTTP_F_SERVER,
	[78] = HTTP_F_PROXY_CONNECTION,
	[81] = HTTP_F_PROXY_AUTHORIZATION,
	[89] = HTTP_F_SEC_WEBSOCKET_ACCEPT,
	[91] = HTTP_F_SEC_WEBSOCKET_KEY,
	[99] = HTTP_F_TE,
	[104] = HTTP_F_KEEP_ALIVE,
	[107] = HTTP_F_TRACESTATE,
	[112] = HTTP_F_HOST,
	[113] = HTTP_F_EXPECT,
	[116] = HTTP_F_TRANSFER_ENCODING,
	[117] = HTTP_F_TRAILER,
	[121] = HTTP_F_HTTP2_SETTINGS,
	[123] = HTTP_F_TRACEPARENT,
};

// The bits in which eight bytes of a name differ from those of a text in lower case, but for the
// case of letters. Bit 6 marks the letters among the bytes that known names are made of.
static inline u64 differs64(const char *name, const char *text)
{
	u64 want = scan_load64(text);

	return (scan_load64(name) | (want & 0x4040404040404040ull) >> 1) ^ want;
}

static inline u32 differs32(const char *name, const char *text)
{
	u32 want = scan_load32(text);

	return (scan_load32(name) | (want & 0x40404040) >> 1) ^ want;
}

// Overlapping loads: the first bytes and the last ones, and those between when there are any.
static inline bool known_matches(const char *name, const char *text, size_t len)
{
	if (len >= 8)
		return (differs64(name, text) | differs64(name + len - 8, text + len - 8) |
			       (len > 16 ? differs64(name + 8, text + 8) : 0)) == 0;
	if (len >= 4)
		return (differs32(name, text) | differs32(name + len - 4, text + len - 4)) == 0;
	return str_eq_nocase(str_make(name, len), str_make(text, len));
}

enum http_known http_field_known(const char *name, size_t len)
{
	const struct http_known_name *entry;
	enum http_known known;

	if (unlikely(len == 0))
		return HTTP_F_OTHER;
	known = http_known_slots[http_known_slot(name, len)];
	entry = &http_known_names[known];
	return entry->len == len && known_matches(name, entry->text, len) ? known : HTTP_F_OTHER;
}

struct str http_known_text(enum http_known known)
{
	return str_make(http_known_names[known].text, http_known_names[known].len);
}

enum http_method http_method_parse(struct str text)
{
	for (u32 i = HTTP_OTHER_METHOD + 1; i < ARRAY_LEN(method_texts); i++)
		if (text.len == method_texts[i].len && text.ptr[0] == method_texts[i].ptr[0] &&
			memcmp(text.ptr, method_texts[i].ptr, text.len) == 0)
			return (enum http_method)i;
	return HTTP_OTHER_METHOD;
}

const char *http_method_text(enum http_method method)
{
	return method_texts[method].ptr;
}

bool http_method_is_idempotent(enum http_method method)
{
	switch (method) {
	case HTTP_GET:
	case HTTP_HEAD:
	case HTTP_PUT:
	case HTTP_DELETE:
	case HTTP_OPTIONS:
	case HTTP_TRACE:
		return true;
	default:
		return false;
	}
}

u16 http_refusal_status(enum http_refusal why)
{
	return refusals[why].status;
}

const char *http_refusal_text(enum http_refusal why)
{
	return refusals[why].text;
}

bool http_trailer_allowed(enum http_known known)
{
	switch (known) {
	case HTTP_F_OTHER:
	case HTTP_F_DATE:
	case HTTP_F_SERVER:
	case HTTP_F_USER_AGENT:
	case HTTP_F_REFERER:
		return true;
	default:
		return false;
	}
}

// Registered by IANA.
const char *http_reason(u16 status)
{
	static const struct {
		u16 status;
		const char *text;
	} reasons[] = {
		{100, "Continue"},
		{101, "Switching Protocols"},
		{102, "Processing"},
		{103, "Early Hints"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{203, "Non-Authoritative Information"},
		{204, "No Content"},
		{205, "Reset Content"},
		{206, "Partial Content"},
		{207, "Multi-Status"},
		{208, "Already Reported"},
		{226, "IM Used"},
		{300, "Multiple Choices"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{305, "Use Proxy"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{407, "Proxy Authentication Required"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{423, "Locked"},
		{424, "Failed Dependency"},
		{425, "Too Early"},
		{426, "Upgrade Required"},
		{428, "Precondition Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{451, "Unavailable For Legal Reasons"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{506, "Variant Also Negotiates"},
		{507, "Insufficient Storage"},
		{508, "Loop Detected"},
		{511, "Network Authentication Required"},
	};
	size_t low = 0, high = ARRAY_LEN(reasons);

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (reasons[middle].status == status)
			return reasons[middle].text;
		if (reasons[middle].status < status)
			low = middle + 1;
		else
			high = middle;
	}
	return "";
}
