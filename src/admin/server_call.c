// SPDX-License-Identifier: Apache-2.0
// What a request asks for and who may; and the ways to answer it.
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/server_inside.h"
#include "base/json.h"

enum {
	fields_max = 12,
	detail_bytes_max = 512,
};

// ---- The request --------------------------------------------------------------------------------

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Into the arena. What is no escape stays as it is.
static struct str decode(struct admin_call *call, struct str text, bool plus_is_space)
{
	char *out = arena_zalloc(&call->arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int high = i + 2 < text.len ? hex(text.ptr[i + 1]) : -1;
		int low = i + 2 < text.len ? hex(text.ptr[i + 2]) : -1;

		if (text.ptr[i] == '%' && high >= 0 && low >= 0) {
			out[len++] = (char)(high << 4 | low);
			i += 2;
		} else {
			out[len++] = plus_is_space && text.ptr[i] == '+' ? ' ' : text.ptr[i];
		}
	}
	return str_make(out, len);
}

struct str admin_field(const struct admin_call *call, const char *name)
{
	const struct http_field *field =
		call->head ? http_head_find_name(call->head, str_from(name)) : NULL;

	return field ? str_make(field->value, field->value_len) : STR_EMPTY;
}

bool admin_query(struct admin_call *call, const char *name, struct str *ret_value)
{
	struct str rest = call->query, wanted = str_from(name);

	while (rest.len) {
		struct str value = str_cut(&rest, '&');
		struct str key = str_cut(&value, '=');

		if (str_eq(decode(call, key, true), wanted)) {
			*ret_value = decode(call, value, true);
			return true;
		}
	}
	return false;
}

bool admin_query_number(
	struct admin_call *call, const char *name, u64 min, u64 max, u64 otherwise, u64 *ret_number)
{
	struct str text;

	*ret_number = otherwise;
	if (!admin_query(call, name, &text))
		return true;
	if (str_to_u64(text, max, ret_number) == 0 && *ret_number >= min)
		return true;
	admin_problem(call, 422, NULL, "%s=%.*s is no number from %llu to %llu", name,
		STR_FMT(text), (unsigned long long)min, (unsigned long long)max);
	return false;
}

// ---- Answers ------------------------------------------------------------------------------------

struct added {
	struct http_field fields[fields_max];
	u32 count;
};

void admin_add_field(struct admin_call *call, const char *name, struct str value)
{
	struct added *added = call->added;

	if (!added)
		added = call->added = arena_zalloc(&call->arena, sizeof(*added));
	ASSERT(added->count < fields_max);
	added->fields[added->count++] = (struct http_field){.name = name,
		.value = value.ptr,
		.value_len = (u32)value.len,
		.name_len = (u16)strlen(name)};
}

// What keeps pages of other sites, and browsers that guess, from doing harm.
static void add_safety(struct admin_call *call)
{
	admin_add_field(call, "X-Content-Type-Options", STR("nosniff"));
	admin_add_field(call, "X-Frame-Options", STR("DENY"));
	admin_add_field(call, "Referrer-Policy", STR("no-referrer"));
	admin_add_field(call, "Cross-Origin-Resource-Policy", STR("same-origin"));
}

void admin_call_send(struct admin_call *call, u16 status, const char *content_type, u64 len)
{
	struct admin_client *client = call->client;
	bool is_old = call->head && call->head->version_minor == 0;
	bool no_body = status == 204 || status == 304;
	struct http_head head = {.version_minor = 1, .framing = HTTP_LENGTH, .status = status};

	if (content_type && !no_body)
		admin_add_field(call, "Content-Type", str_from(content_type));
	add_safety(call);
	head.fields = call->added->fields;
	head.field_count = (u16)call->added->count;
	head.reason = str_from(http_reason(status));
	head.keep_alive = call->head && client->request_ended && !call->server->stopping;
	if (len == UINT64_MAX) {
		head.framing = is_old ? HTTP_UNTIL_CLOSE : HTTP_CHUNKED;
		head.keep_alive &= !is_old;
	} else {
		head.content_length = len;
		head.has_content_length = !no_body;
	}
	if (client->to_head || no_body)
		head.framing = HTTP_NO_BODY;
	client->stream->ops->send_head(
		client->stream, &head, client->to_head || no_body || len == 0);
}

void admin_answer(struct admin_call *call, u16 status, const char *content_type, struct text *body)
{
	ASSERT(!call->answered);
	call->answered = true;
	call->out = body ? *body : (struct text){0};
	if (body)
		*body = (struct text){0};
	if (!call->client) {
		admin_call_over(call);
		return;
	}
	call->over = true;
	admin_call_send(call, status, content_type, call->out.len);
	admin_call_pump(call); // unless a head was all, and the call is over
}

void admin_answer_static(
	struct admin_call *call, u16 status, const char *content_type, struct str body)
{
	struct text copy = {0};

	text_add(&copy, body);
	admin_answer(call, status, content_type, &copy);
}

void admin_problem(struct admin_call *call, u16 status, const char *cure, const char *format, ...)
{
	char detail[detail_bytes_max];
	struct text text = {0};
	struct json json;
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	json_init(&json, &text);
	json_object_begin(&json);
	json_key_u64(&json, "status", status);
	json_key_cstr(&json, "title", http_reason(status));
	json_key_cstr(&json, "detail", detail);
	if (cure)
		json_key_cstr(&json, "cure", cure);
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_answer(call, status, "application/problem+json", &text);
}

// ---- Streams ------------------------------------------------------------------------------------

bool admin_stream_begin(struct admin_call *call, const char *content_type)
{
	struct admin_server *server = call->server;

	if (server->stream_count >= ADMIN_STREAMS_MAX) {
		admin_problem(call, 503, "Close other dashboards, or ask again later.",
			"%u live streams are open already", (unsigned)ADMIN_STREAMS_MAX);
		return false;
	}
	ASSERT(!call->answered);
	call->answered = true;
	if (!call->client)
		return true;
	call->streams = true;
	server->stream_count++;
	admin_call_send(call, 200, content_type, UINT64_MAX);
	return true;
}

bool admin_stream_send(struct admin_call *call, struct str piece)
{
	if (!call->client || call->over)
		return false;
	if (call->out.len - call->sent + call->queued + piece.len > ADMIN_UNSENT_BYTES_MAX)
		return false;
	// What was handed over is no longer needed here.
	if (call->sent) {
		memmove(call->out.data, call->out.data + call->sent, call->out.len - call->sent);
		call->out.len -= call->sent;
		call->sent = 0;
	}
	text_add(&call->out, piece);
	admin_call_pump(call);
	return true;
}

void admin_stream_end(struct admin_call *call)
{
	struct admin_client *client = call->client;

	call->over = true;
	if (!client)
		admin_call_over(call);
	else if (call->sent == call->out.len)
		client->stream->ops->send_body(client->stream, (struct slice){0}, true);
}

// ---- Who may ------------------------------------------------------------------------------------

// Takes the same time wherever the two differ.
static bool is_secret(struct str given, struct str secret)
{
	unsigned char difference = given.len != secret.len;

	for (size_t i = 0; i < ADMIN_TOKEN_BYTES_MAX; i++) {
		unsigned char a = i < given.len ? (unsigned char)given.ptr[i] : 0;
		unsigned char b = i < secret.len ? (unsigned char)secret.ptr[i] : 0;

		difference |= a ^ b;
	}
	return difference == 0 && given.len <= ADMIN_TOKEN_BYTES_MAX;
}

static const struct admin_token *find_token(const struct admin_server *server, struct str given)
{
	const struct admin_token *found = NULL;

	for (u32 i = 0; i < server->config.token_count; i++)
		if (is_secret(given, server->config.tokens[i].secret))
			found = &server->config.tokens[i];
	return found;
}

static struct str given_token(const struct admin_call *call)
{
	struct str value = admin_field(call, "authorization");
	struct str scheme = str_cut(&value, ' ');

	return str_eq_nocase(scheme, STR("bearer")) ? str_trim(value) : STR_EMPTY;
}

static bool is_loopback(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	struct str ip = str_make(text, addr_format_ip(addr, text));

	return str_starts(ip, STR("127.")) || str_eq(ip, STR("::1"));
}

// False: a token was given that is none, and the call was answered.
static bool identify(struct admin_call *call)
{
	const struct admin_client *client = call->client;
	const struct admin_server *server = call->server;
	struct str given = given_token(call);
	const struct admin_token *token = given.len ? find_token(server, given) : NULL;
	bool is_unix = client->door->address.family == ADDR_UNIX;

	if (token) {
		call->role = token->role;
		snprintf(call->who, sizeof(call->who), "token %.*s", STR_FMT(token->name));
	} else if (given.len) {
		admin_add_field(call, "WWW-Authenticate", STR("Bearer realm=\"weir\""));
		admin_problem(call, 401, "See admin.token and admin.tokens.",
			"this token is not known here");
		return false;
	} else if (is_unix && (client->uid == geteuid() || client->uid == 0)) {
		call->role = ADMIN_OPERATOR;
		snprintf(call->who, sizeof(call->who), "unix uid %u", client->uid);
	} else if (is_unix || is_loopback(&client->peer)) {
		call->role = server->config.without_token;
		snprintf(call->who, sizeof(call->who), "%s", is_unix ? "unix" : "loopback");
	} else {
		call->role = ADMIN_NOBODY;
		snprintf(call->who, sizeof(call->who), "nobody");
	}
	return true;
}

// A name that leads here although it is not ours is how a foreign page would reach us through the
// browser of somebody who may (DNS rebinding). Addresses cannot be rebound.
static bool host_is_ours(const struct admin_call *call)
{
	const struct admin_server_config *config = &call->server->config;
	char *buffer = arena_zalloc((struct arena *)&call->arena, call->head->authority.len + 1);
	struct str host = http_host_of(call->head->authority, buffer);
	struct addr addr;

	// What a door for metrics alone shows is for everybody.
	if (call->client->door->address.family == ADDR_UNIX || call->client->door->only_path ||
		host.len == 0)
		return true;
	if (host.ptr[0] == '[' || addr_parse_ip(host, &addr) == 0 || str_eq(host, STR("localhost")))
		return true;
	for (u32 i = 0; i < config->host_count; i++)
		if (str_eq_nocase(host, config->hosts[i]))
			return true;
	return false;
}

// Asked before anybody is refused: a wrong token is told when the request is whole.
u32 admin_call_body_max(struct admin_call *call)
{
	const struct admin_client *client = call->client;
	struct str given = given_token(call);
	const struct admin_token *token = given.len ? find_token(call->server, given) : NULL;
	bool is_ours = client->door->address.family == ADDR_UNIX &&
		       (client->uid == geteuid() || client->uid == 0);
	bool operates =
		given.len
			? token && token->role == ADMIN_OPERATOR
			: is_ours || (client->door->address.family != ADDR_UNIX &&
					     is_loopback(&client->peer) &&
					     call->server->config.without_token == ADMIN_OPERATOR);

	if (!operates || !str_starts(call->head->path, STR("/api/v1/apply")))
		return ADMIN_BODY_BYTES_MAX;
	call->arena.bytes_left += ADMIN_CONF_BYTES_MAX;
	return ADMIN_CONF_BYTES_MAX;
}

static bool may(struct admin_call *call, const struct admin_route *route)
{
	bool is_tcp = call->client->door->address.family != ADDR_UNIX;

	if (call->role < route->role && call->role == ADMIN_NOBODY) {
		admin_add_field(call, "WWW-Authenticate", STR("Bearer realm=\"weir\""));
		admin_problem(call, 401, "Send `Authorization: Bearer TOKEN`; see admin.token.",
			"this needs a token");
		return false;
	}
	if (call->role < route->role) {
		admin_problem(call, 403,
			"Use the unix socket, or a token with the role operate (admin.token).",
			"%s may look and not change anything", call->who);
		return false;
	}
	if (route->changes && is_tcp && admin_field(call, "x-weir-request").len == 0) {
		admin_problem(call, 403, "Send the field `X-Weir-Request: 1`.",
			"a change must say that it is meant");
		return false;
	}
	return true;
}

// ---- Routes -------------------------------------------------------------------------------------

static bool fits(struct admin_call *call, const char *pattern, struct str raw)
{
	struct str rest = str_from(pattern);
	u8 params = 0;

	(void)str_cut(&rest, '/');
	(void)str_cut(&raw, '/');
	for (;;) {
		struct str want = str_cut(&rest, '/'), have;

		if (str_eq(want, STR("*"))) {
			call->params[params++] = decode(call, raw, false);
			call->param_count = params;
			return true;
		}
		have = str_cut(&raw, '/');
		if (str_eq(want, STR("{}")) && have.len)
			call->params[params++] = decode(call, have, false);
		else if (!str_eq(want, have))
			return false;
		if (!rest.len || !raw.len) {
			call->param_count = params;
			return rest.len == raw.len || str_eq(rest, STR("*"));
		}
	}
}

static bool method_fits(const struct admin_route *route, const struct http_head *head)
{
	return route->method == head->method ||
	       (route->method == HTTP_GET && head->method == HTTP_HEAD);
}

// Sets `*ret_other` when only the method was wrong.
static const struct admin_route *find(struct admin_call *call, struct str raw, bool *ret_other)
{
	const struct admin_server_config *config = &call->server->config;

	*ret_other = false;
	for (u32 i = 0; i < config->route_count; i++) {
		const struct admin_route *route = &config->routes[i];

		if (!fits(call, route->path, raw))
			continue;
		if (method_fits(route, call->head))
			return route;
		*ret_other |= strcmp(route->path, "/*") != 0;
	}
	return NULL;
}

static bool door_opens(const struct admin_call *call, const struct admin_route *route)
{
	const char *only = call->client->door->only_path;

	return !only || strcmp(route->path, only) == 0;
}

void admin_call_serve(struct admin_call *call)
{
	const struct admin_route *route;
	struct str raw = call->head->path;
	bool other;

	call->query = raw;
	raw = str_cut(&call->query, '?');
	call->path = decode(call, raw, false);
	if (!host_is_ours(call)) {
		admin_problem(call, 421, "Use its address, or add the name to admin.hosts.",
			"%.*s is no name of this admin address", STR_FMT(call->head->authority));
		return;
	}
	if (!identify(call))
		return;
	route = find(call, raw, &other);
	if (other && !route)
		admin_problem(call, 405, "See GET /api/v1/openapi.json.",
			"%.*s is not offered for this path", STR_FMT(call->head->method_text));
	else if (!route || !door_opens(call, route))
		admin_problem(call, 404, "See GET /api/v1/openapi.json.",
			"there is nothing at %.*s", STR_FMT(call->path));
	else if (call->client->door->only_path || may(call, route))
		route->handle(call->owner, call);
}
