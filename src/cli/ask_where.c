// SPDX-License-Identifier: Apache-2.0
// Whom to ask: addresses as people write them, where a weir is by default, and the token.
#include <errno.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "conf/file.h"

enum { admin_port = 9900, http_port = 80, token_bytes_max = 256, url_bytes_max = 4096 };

static const char forms[] = "Write unix:/path, 127.0.0.1:9900 or http://127.0.0.1:9900.";

static int fail(struct ask_trouble *trouble, const char *cause, const char *cure)
{
	*trouble = (struct ask_trouble){cause, cure};
	return -EINVAL;
}

// Visible ASCII: what may stand in a request's head as it is.
static bool is_visible(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
			return false;
	return true;
}

// An address that one listens on, of all of them, is reached at this machine's own.
static void make_reachable(struct addr *addr)
{
	static const u8 any[16];

	if ((addr->family != ADDR_V4 && addr->family != ADDR_V6) || memcmp(addr->ip, any, 16) != 0)
		return;
	if (addr->family == ADDR_V4) {
		addr->ip[0] = 127;
		addr->ip[3] = 1;
	} else {
		addr->ip[15] = 1;
	}
}

// "name:80": the name and the port.
static int parse_name(struct str text, struct arena *arena, struct ask_place *place)
{
	size_t colon = text.len;
	u64 port;

	while (colon > 0 && text.ptr[colon - 1] != ':')
		colon--;
	if (colon < 2 ||
		str_to_u64(str_make(text.ptr + colon, text.len - colon), UINT16_MAX, &port) != 0)
		return -EINVAL;
	place->name = arena_str(arena, str_make(text.ptr, colon - 1)).ptr;
	place->addr = (struct addr){.family = ADDR_NONE, .port = (u16)port};
	return 0;
}

static int parse_address(struct str text, struct arena *arena, struct ask_place *place)
{
	int error;

	if (str_starts(text, STR("/")))
		text = str_from(arena_printf(arena, "unix:%.*s", STR_FMT(text)));
	error = addr_parse(text, &place->addr);
	if (error == -ENOENT)
		error = parse_name(text, arena, place);
	if (error)
		return error;
	if (place->addr.family != ADDR_UNIX && place->addr.port == 0)
		return -ERANGE;
	place->host = text;
	if (place->addr.family == ADDR_UNIX)
		place->host = STR("localhost");
	else if (text.ptr[0] == ':')
		place->host = str_from(arena_printf(arena, "127.0.0.1%.*s", STR_FMT(text)));
	make_reachable(&place->addr);
	return 0;
}

static bool has_port(struct str host)
{
	size_t end = host.len;

	while (end > 0 && ascii_is_digit(host.ptr[end - 1]))
		end--;
	return end > 0 && end < host.len && host.ptr[end - 1] == ':' &&
	       (host.ptr[0] != '[' || host.ptr[end - 2] == ']');
}

static int parse_url(struct str rest, struct arena *arena, struct ask_place *place)
{
	struct str host = rest;

	host.len = MIN(str_find(rest, '/'), str_find(rest, '?'));
	rest = str_make(rest.ptr + host.len, rest.len - host.len);
	rest.len = str_find(rest, '#');
	place->target = arena_str(arena, rest);
	if (rest.len == 0 || rest.ptr[0] == '?')
		place->target = str_from(arena_printf(arena, "/%.*s", STR_FMT(rest)));
	if (host.len == 0)
		return -EINVAL;
	return parse_address(
		str_from(has_port(host) ? arena_str(arena, host).ptr
					: arena_printf(arena, "%.*s:%d", STR_FMT(host), http_port)),
		arena, place);
}

int ask_parse(struct str text, struct arena *arena, struct ask_place *ret_place,
	struct ask_trouble *ret_trouble)
{
	struct ask_place place = {.text = text};
	int error;

	if (text.len > url_bytes_max || !is_visible(text))
		return fail(
			ret_trouble, "an address has no spaces and no control characters", forms);
	text = arena_str(arena, text);
	if (str_starts(text, STR("https://")))
		return fail(ret_trouble,
			arena_printf(arena, "'%.*s' cannot be asked: TLS is not built yet",
				STR_FMT(text)),
			forms);
	if (str_starts(text, STR("http://")))
		error = parse_url(str_make(text.ptr + 7, text.len - 7), arena, &place);
	else
		error = parse_address(text, arena, &place);
	if (error)
		return fail(ret_trouble,
			arena_printf(arena, "'%.*s' is no address to ask%s", STR_FMT(text),
				error == -ERANGE ? ": ports go from 1 to 65535"
				: error == -ENAMETOOLONG
					? ": the path of a unix socket has at most 107 bytes"
					: ""),
			forms);
	place.text = text;
	*ret_place = place;
	return 0;
}

// ---- A weir's admin address ---------------------------------------------------------------------

static void add_socket(
	struct ask_where *where, struct arena *arena, const char *folder, const char *name)
{
	struct ask_place *place = &where->places[where->count];
	const char *text = folder ? arena_printf(arena, "unix:%s%s", folder, name) : NULL;
	struct ask_trouble trouble;

	if (folder && folder[0] == '/' && ask_parse(str_from(text), arena, place, &trouble) == 0)
		where->count++;
}

static void add_defaults(const struct cli *cli, struct ask_where *where)
{
	struct ask_trouble trouble;

	add_socket(
		where, cli->arena, plan_variable(cli->environ, "RUNTIME_DIRECTORY"), "/admin.sock");
	add_socket(where, cli->arena, "/run/weir", "/admin.sock");
	add_socket(where, cli->arena, plan_variable(cli->environ, "XDG_RUNTIME_DIR"),
		"/weir/admin.sock");
	if (ask_parse(str_from(arena_printf(cli->arena, "127.0.0.1:%d", admin_port)), cli->arena,
		    &where->places[where->count], &trouble) == 0)
		where->count++;
}

// Of the file, else of the variable; without white space around it.
static int take_token(const struct cli *cli, struct str *ret_token, struct ask_trouble *trouble)
{
	const char *file = cli->plan->token_file;
	const char *variable = plan_variable(cli->environ, "WEIR_TOKEN");
	struct str token = variable ? str_from(variable) : STR_EMPTY;
	u64 identity;
	int error;

	if (file) {
		error = file_read(cli->arena, file, &token, &identity);
		if (error)
			return fail(trouble,
				arena_printf(cli->arena, "unable to read %s: %s", file,
					strerror(-error)),
				"--token-file names a file that holds a token and nothing else.");
		while (token.len && strchr(" \t\r\n", token.ptr[token.len - 1]))
			token.len--;
	}
	if (token.len > token_bytes_max || !is_visible(token) || (file && token.len == 0))
		return fail(trouble,
			arena_printf(cli->arena, "%s holds no token", file ? file : "WEIR_TOKEN"),
			"A token is one word of at most 256 visible characters.");
	*ret_token = token;
	return 0;
}

int ask_where_admin(
	const struct cli *cli, struct ask_where *ret_where, struct ask_trouble *ret_trouble)
{
	const struct plan *plan = cli->plan;
	struct ask_where where = {
		.timeout_ms = plan->timeout_ms ? plan->timeout_ms : (u64)ASK_TIMEOUT_MS};
	int error = take_token(cli, &where.token, ret_trouble);

	if (!error && plan->admin) {
		error = ask_parse(str_from(plan->admin), cli->arena, &where.places[0], ret_trouble);
		where.count = 1;
	} else if (!error) {
		add_defaults(cli, &where);
	}
	if (!error)
		*ret_where = where;
	return error;
}
