// SPDX-License-Identifier: Apache-2.0
// Converters of routes: which requests, and what becomes of them.
#include <errno.h>
#include <inttypes.h>

#include "conf/build.h"

enum { path_bytes_max = 4096, host_bytes_max = 253, weight_max = 1000000 };

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '-' || c == '.' || c == '_';
}

static const char *find_host_fault(struct str host)
{
	struct addr addr;

	if (host.len == 0 || host.len > host_bytes_max)
		return "it is empty or too long";
	if (host.ptr[0] == '[')
		return addr_parse_ip(host, &addr) == 0 ? NULL : "write it without a port";
	for (size_t i = 0; i < host.len; i++) {
		if (host.ptr[i] == ':')
			return "write it without a port";
		if (host.ptr[i] == '/')
			return "it is a name, not a URL";
		if (host.ptr[i] == '*')
			return "'*.' may only stand in front";
		if (!is_host_char(host.ptr[i]))
			return "it has a character that no host name has";
	}
	return host.ptr[0] == '.' ? "write '*.' in front for everything below a name" : NULL;
}

void build_host(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_match *match = &((struct conf_route *)object)->match;
	bool is_suffix;
	struct str text;
	const char *fault;
	char *host;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	host = arena_zalloc(build->arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++)
		host[i] = ascii_lower(text.ptr[i]);
	is_suffix = text.len > 2 && host[0] == '*' && host[1] == '.';
	fault = find_host_fault(
		str_make(host + (is_suffix ? 2 : 0), text.len - (is_suffix ? 2 : 0)));
	if (fault) {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no host to match (%s): %s", CLIP(text), path_text(build, path),
			fault);
		return;
	}
	build_canonical(build, node, host, false);
	match->host_is_suffix = is_suffix;
	match->host = str_make(host + is_suffix, text.len - is_suffix);
}

static bool has_dot_segment(struct str path)
{
	struct str rest = path;

	while (rest.len) {
		struct str segment = str_cut(&rest, '/');

		if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
			return true;
	}
	return false;
}

static const char *find_path_fault(struct str text)
{
	size_t star = str_find(text, '*');

	if (text.len == 0 || text.ptr[0] != '/')
		return "a path starts with '/'";
	if (text.len > path_bytes_max)
		return "it is too long";
	if (star < text.len && (star + 1 != text.len || text.ptr[star - 1] != '/'))
		return "'*' may only be the last segment, as in '/img/*'";
	if (str_find(text, '?') < text.len || str_find(text, '#') < text.len)
		return "a path has no query or fragment";
	if (!build_is_printable(text) || str_find(text, ' ') < text.len)
		return "spaces and control characters are percent-encoded";
	if (has_dot_segment(text))
		return "requests are matched without '.' and '..' segments";
	return NULL;
}

void build_path(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_match *match = &((struct conf_route *)object)->match;
	struct str text;
	const char *fault;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	fault = find_path_fault(text);
	if (fault) {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no path to match (%s): %s", CLIP(text), path_text(build, path),
			fault);
		return;
	}
	match->path_is_prefix = text.ptr[text.len - 1] == '*';
	match->path = arena_str(build->arena, str_make(text.ptr, text.len - match->path_is_prefix));
}

static const struct str known_methods[] = {{"GET", 3}, {"HEAD", 4}, {"POST", 4}, {"PUT", 3},
	{"DELETE", 6}, {"OPTIONS", 7}, {"PATCH", 5}, {"TRACE", 5}, {"CONNECT", 7}};

// Any token is a method; one letter away from a common one is a slip.
static const struct str *find_slip(struct str method)
{
	for (size_t i = 0; i < ARRAY_LEN(known_methods); i++)
		if (str_distance(method, known_methods[i], 1) == 1)
			return &known_methods[i];
	return NULL;
}

struct str build_method(struct build *build, const struct path *path, struct node *node)
{
	const struct str *slip;
	struct err *err;
	struct str text;
	char *method;

	if (!build_scalar(build, path, node, &text))
		return STR_EMPTY;
	method = arena_zalloc(build->arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++)
		method[i] = text.ptr[i] >= 'a' && text.ptr[i] <= 'z' ? (char)(text.ptr[i] - 0x20)
								     : text.ptr[i];
	slip = find_slip(str_make(method, text.len));
	if (slip || text.len > 32 || !build_is_token(text)) {
		err = report_value(build->report, CODE_UNKNOWN_WORD, node,
			"'%.*s' is no method (%s)", CLIP(text), path_text(build, path));
		if (slip)
			report_advice(build->report, err, "did you mean '%.*s'?", STR_FMT(*slip));
		return STR_EMPTY;
	}
	build_canonical(build, node, method, false);
	return str_make(method, text.len);
}

void build_methods(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_match *match = &((struct conf_route *)object)->match;
	struct path item = {.up = path};
	struct str *methods;

	(void)key;
	if (node->kind != NODE_LIST) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a method or a list of them, not %s", path_text(build, path),
			node_kind_text(node));
		return;
	}
	methods = arena_zalloc(build->arena, sizeof(*methods) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++)
		methods[item.index] = build_method(build, &item, child);
	match->methods = methods;
	match->method_count = node->count;
}

bool build_header(struct build *build, const struct path *path, struct node *node,
	struct conf_header *ret_header)
{
	struct path inner = {.up = path, .name = node->key};
	struct str value;
	char *name;

	if (!build_scalar(build, &inner, node, &value))
		return false;
	if (!build_is_token(node->key) || !build_is_printable(value))
		report_key(build->report, CODE_MALFORMED, node,
			"'%.*s' is no header field, or its value has control characters (%s)",
			CLIP(node->key), path_text(build, path));
	name = arena_zalloc(build->arena, node->key.len + 1);
	for (size_t i = 0; i < node->key.len; i++)
		name[i] = ascii_lower(node->key.ptr[i]);
	*ret_header = (struct conf_header){str_make(name, node->key.len), value};
	return true;
}

void build_headers(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_match *match = &((struct conf_route *)object)->match;
	struct conf_header *headers;
	u32 count = 0;

	(void)key;
	if (node->kind != NODE_MAP) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a map of header fields to values, not %s", path_text(build, path),
			node_kind_text(node));
		return;
	}
	headers = arena_zalloc(build->arena, sizeof(*headers) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, count++) {
		(void)build_header(build, path, child, &headers[count]);
	}
	match->headers = headers;
	match->header_count = node->count;
}

void build_split(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_route *route = object;
	u32 count = 0, errors = build->report->errs->error_count;
	struct conf_split *splits;

	(void)key;
	if (node->kind != NODE_MAP || node->count == 0) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a map of pools to weights, like {app: 95, app-next: 5}, not %s",
			path_text(build, path),
			node->kind == NODE_MAP ? "an empty one" : node_kind_text(node));
		return;
	}
	splits = arena_zalloc(build->arena, sizeof(*splits) * node->count);
	for (struct node *child = node->first; child; child = child->next) {
		struct path inner = {.up = path, .name = child->key};
		i32 pool = build_find_pool(build, &inner, child, child->key, true);
		struct str text;
		u64 weight = 0;

		if (!build_scalar(build, &inner, child, &text))
			continue;
		if (str_to_u64(text, weight_max, &weight) < 0)
			report_value(build->report, CODE_WRONG_TYPE, child,
				"'%.*s' is no weight (%s): 0 to %d", CLIP(text),
				path_text(build, &inner), weight_max);
		build_canonical(build, child, arena_printf(build->arena, "%" PRIu64, weight), true);
		if (weight && pool >= 0)
			splits[count++] = (struct conf_split){(u32)pool, (u32)weight};
	}
	if (count == 0 && build->report->errs->error_count == errors && !build->is_partial)
		report_value(build->report, CODE_EMPTY, node, "all weights of %s are 0",
			path_text(build, path));
	route->splits = splits;
	route->split_count = count;
}

void build_redirect(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	(void)key;
	build_map(build, SCHEMA_redirect, path, node, object);
}

static const struct {
	struct str word;
	enum conf_piece_kind kind;
} piece_words[] = {
	{{"host", 4}, CONF_PIECE_HOST},
	{{"path", 4}, CONF_PIECE_PATH},
	{{"rest", 4}, CONF_PIECE_REST},
	{{"query", 5}, CONF_PIECE_QUERY},
};

static bool cut_piece(struct build *build, const struct node *node, struct str *rest,
	struct conf_piece *ret_piece)
{
	struct nearest nearest = {0};
	struct str word;
	size_t len = str_find(*rest, '{');

	if (len > 0) {
		ret_piece->kind = CONF_PIECE_TEXT;
		ret_piece->text = arena_str(build->arena, str_make(rest->ptr, len));
		rest->ptr += len;
		rest->len -= len;
		return true;
	}
	rest->ptr++;
	rest->len--;
	if (str_find(*rest, '}') == rest->len) {
		report_value(build->report, CODE_MALFORMED, node, "a '{' has no '}'");
		return false;
	}
	word = str_cut(rest, '}');
	for (size_t i = 0; i < ARRAY_LEN(piece_words); i++) {
		nearest_try(&nearest, word, piece_words[i].word);
		if (!str_eq(piece_words[i].word, word))
			continue;
		*ret_piece = (struct conf_piece){piece_words[i].kind, STR_EMPTY};
		return true;
	}
	build_suggest(build,
		report_value(build->report, CODE_UNKNOWN_WORD, node,
			"'{%.*s}' cannot be filled in: {host}, {path}, {rest} or {query}",
			CLIP(word)),
		&nearest);
	return false;
}

void build_redirect_to(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_route *route = object;
	struct conf_piece *pieces;
	struct str text, rest;
	u32 count = 0;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || !build_is_printable(text) || str_find(text, ' ') < text.len ||
		!(text.ptr[0] == '/' || str_starts(text, STR("http://")) ||
			str_starts(text, STR("https://")) || str_starts(text, STR("{path}")))) {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no target (%s): it starts with '/', 'http://' or 'https://' and "
			"has no spaces",
			CLIP(text), path_text(build, path));
		return;
	}
	pieces = arena_zalloc(build->arena, sizeof(*pieces) * (text.len + 1));
	for (rest = text; rest.len; count++)
		if (!cut_piece(build, node, &rest, &pieces[count]))
			return;
	route->redirect_to = pieces;
	route->redirect_to_count = count;
}

void build_status(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	static const u16 statuses[] = {301, 302, 303, 307, 308};
	struct conf_route *route = object;
	struct str text;
	u64 status = 0;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (str_to_u64(text, 999, &status) == 0) {
		for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
			if (statuses[i] != status)
				continue;
			route->redirect_status = statuses[i];
			build_canonical(
				build, node, arena_printf(build->arena, "%u", statuses[i]), true);
			return;
		}
	}
	report_value(build->report, CODE_OUT_OF_RANGE, node,
		"'%.*s' is no status of a redirect (%s): 301, 302, 303, 307 or 308", CLIP(text),
		path_text(build, path));
}

void build_route_response(struct build *build, const struct schema_key *key,
	const struct path *path, struct node *node, void *object)
{
	const struct schema_key *bounds = schema_find(SCHEMA_pool_timeouts, STR("response"));
	struct conf_route *route = object;

	(void)key;
	if (!build_parse_duration(
		    build, path, node, bounds->min, bounds->max, &route->response_timeout_ms))
		return;
}

// A route has exactly one destination, and {rest} needs a '*' to stand for.
static void check_route(struct build *build, const struct path *path, const struct node *node,
	const struct conf_route *route)
{
	static const char *const destinations[] = {"pool", "split", "redirect"};
	const struct node *found = NULL;

	for (size_t i = 0; i < ARRAY_LEN(destinations); i++) {
		const struct node *child = node_get(node, str_from(destinations[i]));

		if (child && found)
			report_key(build->report, CODE_CONFLICT, child,
				"%s has both '%.*s' and '%.*s': a route has one destination",
				path_text(build, path), STR_FMT(found->key), STR_FMT(child->key));
		if (child && !found)
			found = child;
	}
	if (!found && node->kind == NODE_MAP)
		report_value(build->report, CODE_MISSING, node,
			"%s leads nowhere: give it a 'pool', a 'split' or a 'redirect'",
			path_text(build, path));
	for (u32 i = 0; i < route->redirect_to_count; i++)
		if (route->redirect_to[i].kind == CONF_PIECE_REST && !route->match.path_is_prefix)
			report_value(build->report, CODE_CONFLICT, found,
				"{rest} in %s stands for nothing: match.path has no '*'",
				path_text(build, path));
}

void build_routes(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_frontend *frontend = object;
	struct conf_route *routes;
	struct path item = {.up = path};

	(void)key;
	if (node->kind != NODE_LIST) {
		report_value(build->report, CODE_WRONG_TYPE, node, "%s is a list of routes, not %s",
			path_text(build, path), node_kind_text(node));
		return;
	}
	routes = arena_zalloc(build->arena, sizeof(*routes) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct conf_route *route = &routes[item.index];

		route->place = child->place;
		route->request_timeout_ms = CONF_NOT_SET;
		route->name = str_from(path_text(build, &item));
		// Without "frontends." in front: the frontend's name says enough.
		route->name.ptr += sizeof("frontends.") - 1;
		route->name.len -= sizeof("frontends.") - 1;
		build_map(build, SCHEMA_route, &item, child, route);
		check_route(build, &item, child, route);
	}
	frontend->routes = routes;
	frontend->route_count = node->count;
}
