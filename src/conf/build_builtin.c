// SPDX-License-Identifier: Apache-2.0
// Converters of the pages that weir answers itself on the traffic port.
#include "conf/build.h"

enum { path_bytes_max = 255 };

static const struct str nothing = {"none", 4}, everybody = {"all", 3};

// Requests are compared by the normal form of their path; this is one that nobody need think about.
static bool has_normal_form(struct str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] <= ' ' || path.ptr[i] > '~' || path.ptr[i] == '%')
			return false;
	while (path.len) {
		struct str segment = str_cut(&path, '/');

		if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
			return false;
	}
	return true;
}

static const char *find_fault(struct str text)
{
	if (text.len == 0 || text.ptr[0] != '/')
		return "a path starts with '/'; 'none' leaves the page out";
	if (text.len > path_bytes_max)
		return "it has more than 255 bytes";
	if (str_find(text, '?') < text.len || str_find(text, '#') < text.len)
		return "a path has no query and no fragment";
	if (str_find(text, '*') < text.len)
		return "it is one path, not a pattern";
	return has_normal_form(text) ? NULL
				     : "it has visible characters only, no percent-escapes "
				       "and no '.' or '..' segments";
}

void build_builtin_path(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str *field = (struct str *)(void *)((char *)object + key->offset);
	const char *fault;
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (str_eq_nocase(text, nothing)) {
		*field = STR_EMPTY;
		build_canonical(build, node, nothing.ptr, false);
		return;
	}
	fault = find_fault(text);
	if (fault)
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no path for a page (%s): %s", CLIP(text), path_text(build, path),
			fault);
	else
		*field = text;
}

void build_builtin_allow(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct access_list *list = (struct access_list *)(void *)((char *)object + key->offset);

	build_make_list(build, node);
	if (!build_check_list(build, path, node, "addresses and networks, or 'all'"))
		return;
	if (node->count == 1 && node->first->kind == NODE_TEXT &&
		str_eq_nocase(node->first->text, everybody)) {
		*list = (struct access_list){0};
		build_canonical(build, node->first, everybody.ptr, false);
		return;
	}
	list->allow = build_prefix_list(build, path, node, &list->allow_count);
}

static const struct node *written(const struct node *page, const char *key)
{
	const struct node *node = node_get(page, str_from(key));

	return node && !node->is_default ? node : NULL;
}

static void check_page(struct build *build, const struct path *path, const struct node *page,
	const struct conf_page *conf)
{
	const struct node *allow = written(page, "allow");

	if (allow && conf->path.len == 0)
		report_key(build->report, CODE_NOT_USED, allow,
			"%s.allow changes nothing: the page is left out", path_text(build, path));
}

void build_finish_builtin(struct build *build, const struct path *path, const struct node *node,
	struct conf_frontend *frontend)
{
	const struct node *builtin = node_get(node, STR("builtin"));
	const struct node *health = node_get(builtin, STR("health"));
	const struct node *stats = node_get(builtin, STR("stats"));
	struct path inner = {.up = path, .name = STR("builtin")};
	struct path pages[] = {
		{.up = &inner, .name = STR("health")}, {.up = &inner, .name = STR("stats")}};
	const struct conf_page *a = &frontend->builtin.health, *b = &frontend->builtin.stats;

	check_page(build, &pages[0], health, a);
	check_page(build, &pages[1], stats, b);
	if (a->path.len && str_eq(a->path, b->path))
		report_key(build->report, CODE_CONFLICT, written(stats, "path") ? stats : health,
			"%s has two pages at %.*s: only one could be seen",
			path_text(build, &inner), CLIP(a->path));
}

// ---- Routes that a page takes requests from -----------------------------------------------------

static bool takes_gets(const struct conf_match *match)
{
	bool any = match->method_count == 0;

	for (u32 i = 0; i < match->method_count; i++)
		any |= str_eq(match->methods[i], STR("GET")) ||
		       str_eq(match->methods[i], STR("HEAD"));
	return any;
}

// Written for this very path: "/x", or "/x/*", which takes "/x" too.
static bool is_for(const struct conf_match *match, struct str path)
{
	struct str own = match->path;

	if (match->path_is_prefix && own.len)
		own.len--;
	return own.len && str_eq(own, path) && takes_gets(match);
}

static void check_route(struct build *build, const struct conf_frontend *frontend,
	const struct conf_route *route, const struct conf_page *page, const char *name)
{
	struct err *err;

	if (page->path.len == 0 || !is_for(&route->match, page->path))
		return;
	err = report_at(build->report, CODE_ANSWERED_HERE, route->place, 1,
		"%.*s gets no GET and HEAD of %.*s: frontends.%.*s.builtin.%s answers them",
		CLIP(route->name), CLIP(page->path), CLIP(frontend->name), name);
	report_advice(build->report, err, "frontends.%.*s.builtin.%s: none, or another path",
		CLIP(frontend->name), name);
}

void build_check_builtin(struct build *build, const struct conf_frontend *frontend)
{
	for (u32 i = 0; i < frontend->route_count; i++) {
		const struct conf_route *route = &frontend->routes[i];

		check_route(build, frontend, route, &frontend->builtin.health, "health");
		check_route(build, frontend, route, &frontend->builtin.stats, "stats");
	}
}
