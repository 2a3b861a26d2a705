// SPDX-License-Identifier: Apache-2.0
// Converters of frontends: what they listen on, whom they believe, what they add.
#include <errno.h>

#include "conf/build.h"
#include "conf/value.h"

enum { field_bytes_max = 255 };

static const char *explain_address(int rc)
{
	switch (rc) {
	case -ERANGE:
		return "the port goes up to 65535";
	case -ENAMETOOLONG:
		return "a unix path has at most 107 bytes";
	default:
		return "write ':8080', '127.0.0.1:8080', '[::1]:8080' or 'unix:/path'";
	}
}

static bool is_number(struct str text)
{
	u64 number;

	return str_to_u64(text, UINT64_MAX, &number) == 0;
}

// The kernel would choose a port, another for each worker and at each start.
static void check_port(struct build *build, const struct path *path, struct node *node,
	const struct conf_bind *bind)
{
	struct str host = bind->text;
	struct err *err;

	if (bind->addr.family == ADDR_UNIX || bind->addr.port != 0)
		return;
	while (host.len && host.ptr[host.len - 1] != ':')
		host.len--;
	err = report_value(build->report, CODE_OUT_OF_RANGE, node,
		"'%.*s' (%s) has port 0, which no client could know: ports go from 1 to 65535",
		CLIP(bind->text), path_text(build, path));
	if (!node->written.ptr)
		report_advice(build->report, err, "did you mean '%.*s8080'?", CLIP(host));
}

void build_bind(
	struct build *build, const struct path *path, struct node *node, struct conf_bind *bind)
{
	struct str text;
	struct err *err;
	int rc;

	bind->place = node->place;
	if (!build_scalar(build, path, node, &text))
		return;
	bind->text = text;
	rc = addr_parse(text, &bind->addr);
	if (rc == 0) {
		check_port(build, path, node, bind);
		return;
	}
	if (rc == -ENOENT) {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' (%s) is a name: listening needs an address, like "
			"127.0.0.1:8080 or [::1]:8080",
			CLIP(text), path_text(build, path));
		return;
	}
	err = report_value(build->report, CODE_MALFORMED, node,
		"'%.*s' is no address to listen on (%s): %s", CLIP(text), path_text(build, path),
		explain_address(rc));
	if (node->written.ptr)
		return;
	if (is_number(text))
		report_advice(build->report, err, "did you mean ':%.*s'?", CLIP(text));
	else if (text.len > 2 && text.ptr[0] == '*' && text.ptr[1] == ':')
		report_advice(build->report, err, "did you mean '%.*s'?",
			CLIP(str_make(text.ptr + 1, text.len - 1)));
}

void build_binds(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_frontend *frontend = object;
	struct conf_bind *binds;
	struct path item = {.up = path};

	(void)key;
	if (node->kind != NODE_LIST) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is an address or a list of them, not %s", path_text(build, path),
			node_kind_text(node));
		return;
	}
	binds = arena_zalloc(build->arena, sizeof(*binds) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++)
		build_bind(build, &item, child, &binds[item.index]);
	frontend->binds = binds;
	frontend->bind_count = node->count;
}

// Groups of networks that everybody would write the same way.
static const struct {
	struct str word;
	const char *const *prefixes;
} prefix_words[] = {
	{{"loopback", 8}, (const char *const[]){"127.0.0.0/8", "::1/128", NULL}},
	{{"private", 7}, (const char *const[]){"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
				 "169.254.0.0/16", "fc00::/7", "fe80::/10", NULL}},
};

enum { prefixes_per_word_max = 6 };

static u32 add_prefix_word(struct str text, struct addr_prefix *prefixes)
{
	for (size_t i = 0; i < ARRAY_LEN(prefix_words); i++) {
		u32 count = 0;

		if (!str_eq(prefix_words[i].word, text))
			continue;
		for (const char *const *each = prefix_words[i].prefixes; *each; each++) {
			int rc = addr_prefix_parse(str_from(*each), &prefixes[count++]);

			ASSERT(rc == 0);
		}
		return count;
	}
	return 0;
}

// The bits of "255.255.0.0"; -1: it is no mask.
static int mask_bits(struct str text)
{
	struct addr addr;
	u32 mask;

	if (addr_parse_ip(text, &addr) != 0 || addr.family != ADDR_V4)
		return -1;
	mask = (u32)addr.ip[0] << 24 | (u32)addr.ip[1] << 16 | (u32)addr.ip[2] << 8 | addr.ip[3];
	return mask & (~mask >> 1) ? -1 : __builtin_popcount(mask);
}

// What of 'ADDRESS/BITS' is wrong, and what was probably meant, as advice. NULL: something else.
static const char *explain_prefix(struct build *build, struct str text, const char **ret_meant)
{
	struct str rest = text, ip = str_cut(&rest, '/');
	char clean[ADDR_TEXT_MAX];
	struct addr addr;
	u64 bits, bits_max;
	int mask = mask_bits(rest);

	if (ip.len == text.len || addr_parse_ip(ip, &addr) != 0)
		return NULL;
	bits_max = addr.family == ADDR_V4 ? 32 : 128;
	if (mask >= 0 && addr.family == ADDR_V4)
		bits = (u64)mask;
	else if (str_to_u64(rest, UINT32_MAX, &bits) != 0)
		return NULL;
	if (bits > bits_max)
		return arena_printf(build->arena, "an address of this kind has %d bits, not %d",
			(int)bits_max, (int)bits);
	for (u64 i = bits; i < bits_max; i++)
		addr.ip[i / 8] = (u8)(addr.ip[i / 8] & ~(0x80 >> i % 8));
	clean[addr_format_ip(&addr, clean)] = '\0';
	if (mask >= 0) {
		*ret_meant = arena_printf(build->arena, "did you mean '%s/%d'?", clean, (int)bits);
		return "the bits of a network are a number";
	}
	*ret_meant =
		bits ? arena_printf(build->arena,
			       "did you mean the network '%s/%d' or the address '%.*s'?", clean,
			       (int)bits, CLIP(ip))
		     : arena_printf(build->arena, "did you mean the address '%.*s'?", CLIP(ip));
	return "behind the bits of a network there are only zeros";
}

static u32 build_prefix(struct build *build, const struct path *path, const struct node *node,
	struct addr_prefix *prefixes)
{
	const char *meant = NULL, *why;
	struct err *err;
	struct nearest nearest = {0};
	struct str text;
	u32 count;

	if (!build_scalar(build, path, node, &text))
		return 0;
	if (addr_prefix_parse(text, prefixes) == 0)
		return 1;
	count = add_prefix_word(text, prefixes);
	if (count)
		return count;
	for (size_t i = 0; i < ARRAY_LEN(prefix_words); i++)
		nearest_try(&nearest, text, prefix_words[i].word);
	why = explain_prefix(build, text, &meant);
	err = report_value(build->report, CODE_MALFORMED, node, "'%.*s' is no network (%s): %s",
		CLIP(text), path_text(build, path),
		why ? why : "write 10.0.0.0/8, ::1, loopback or private");
	build_suggest(build, err, &nearest);
	if (meant && !node->written.ptr)
		report_advice(build->report, err, "%s", meant);
	return 0;
}

const struct addr_prefix *build_prefix_list(
	struct build *build, const struct path *path, const struct node *list, u32 *ret_count)
{
	struct addr_prefix *prefixes = arena_zalloc(
		build->arena, sizeof(*prefixes) * prefixes_per_word_max * (list->count + 1u));
	struct path item = {.up = path};
	u32 count = 0;

	for (struct node *child = list->first; child; child = child->next, item.index++)
		count += build_prefix(build, &item, child, prefixes + count);
	*ret_count = count;
	return prefixes;
}

void build_prefixes(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_frontend *frontend = object;
	const struct addr_prefix *prefixes;
	u32 count;

	if (node->kind != NODE_LIST) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a list of addresses and networks, not %s", path_text(build, path),
			node_kind_text(node));
		return;
	}
	prefixes = build_prefix_list(build, path, node, &count);
	if (str_eq(key->name, STR("allow"))) {
		frontend->access.allow = prefixes;
		frontend->access.allow_count = count;
	} else if (str_eq(key->name, STR("deny"))) {
		frontend->access.deny = prefixes;
		frontend->access.deny_count = count;
	} else {
		frontend->client_ip.trusted_proxies = prefixes;
		frontend->client_ip.trusted_proxy_count = count;
	}
}

void build_identify(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_frontend *frontend = object;
	struct str text;
	bool flag;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (!node->is_quoted && value_parse_flag(text, &flag)) {
		frontend->headers.identify = flag ? STR("weir") : STR_EMPTY;
		build_canonical(build, node, flag ? "true" : "false", true);
	} else if (text.len == 0 || text.len > field_bytes_max || !build_is_printable(text) ||
		   str_trim(text).len != text.len) {
		report_value(build->report, CODE_MALFORMED, node,
			"%s is true, false, or the value of a header field, without control "
			"characters or spaces around it",
			path_text(build, path));
	} else {
		frontend->headers.identify = text;
	}
}

static struct str lower(struct build *build, struct str text)
{
	char *copy = arena_zalloc(build->arena, text.len + 1);

	for (size_t i = 0; i < text.len; i++)
		copy[i] = ascii_lower(text.ptr[i]);
	return str_make(copy, text.len);
}

void build_request_id(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_frontend *frontend = object;
	struct str text;
	bool flag;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (str_eq_nocase(text, STR("none")) || (value_parse_flag(text, &flag) && !flag)) {
		frontend->headers.request_id = STR_EMPTY;
		build_canonical(build, node, "none", false);
	} else if (text.len > field_bytes_max || !build_is_token(text) ||
		   value_parse_flag(text, &flag)) {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is not the name of a header field (%s); 'none' turns it off",
			CLIP(text), path_text(build, path));
	} else {
		frontend->headers.request_id = lower(build, text);
		build_canonical(build, node, frontend->headers.request_id.ptr, false);
	}
}

static const struct schema_key *find_key(enum schema_map_id map, const char *name)
{
	const struct schema_key *key = schema_find(map, str_from(name));

	ASSERT(key);
	return key;
}

// What has no meaning for TCP is an error when somebody wrote it, and left out of the effective
// configuration when only the defaults did.
static void check_tcp(struct build *build, const struct path *path, struct node *node,
	const struct conf_frontend *frontend)
{
	bool passes_tls = frontend->protocol == CONF_TLS_PASSTHROUGH;
	bool has_header = frontend->client_ip.proxy_protocol != CONF_PROXY_PROTOCOL_NONE;
	const struct {
		const char *map, *key;
		bool is_fine;
	} only_http[] = {{NULL, "http", false}, {NULL, "client_ip", has_header},
		{"client_ip", "header", false}, {NULL, "headers", false}, {NULL, "builtin", false},
		{NULL, "routes", passes_tls}, {NULL, "redirect_https", false},
		{"tls", "hsts", false}, {NULL, "tls", !passes_tls},
		{"timeouts", "client_header", has_header || passes_tls},
		{"timeouts", "client_idle", false}, {"timeouts", "request_body_idle", false},
		{"timeouts", "request", false}};

	for (size_t i = 0; i < ARRAY_LEN(only_http); i++) {
		struct node *map =
			only_http[i].map ? node_get(node, str_from(only_http[i].map)) : node;
		struct node *child = map ? node_get(map, str_from(only_http[i].key)) : NULL;

		if (!child || only_http[i].is_fine)
			continue;
		if (!child->is_default)
			report_key(build->report, CODE_CONFLICT, child,
				"'%s' means nothing in %s, whose protocol is %s", only_http[i].key,
				path_text(build, path), passes_tls ? "tls_passthrough" : "tcp");
		node_remove(map, child);
	}
}

static void check_destination(struct build *build, const struct path *path, struct node *node,
	struct conf_frontend *frontend)
{
	struct path inner = {.up = path, .name = STR("pool")};
	struct node *pool = node_get(node, STR("pool"));
	struct err *err;

	if (pool || frontend->route_count || frontend->redirect_https)
		return;
	if (node_get(build->pools, STR("default"))) {
		pool = node_new_text(build->arena, STR("default"), (struct place){0});
		pool->is_default = true;
		pool->key = STR("pool");
		node_add(build->arena, node, pool);
		build_pool_name(build, find_key(SCHEMA_frontend, "pool"), &inner, pool, frontend);
		return;
	}
	if (build->is_partial)
		return;
	err = report_key(build->report, CODE_MISSING, node,
		"%s leads nowhere: give it a 'pool' or 'routes'", path_text(build, path));
	if (build->pools && build->pools->count == 1)
		report_advice(build->report, err, "pool: %.*s", CLIP(build->pools->first->key));
}

static void build_frontend(struct build *build, const struct path *path, struct node *node,
	struct conf_frontend *frontend)
{
	struct path inner = {.up = path, .name = STR("bind")};
	u32 errors = build->report->errs->error_count;

	frontend->name = node->key;
	frontend->place = node->place;
	frontend->pool = -1;
	build_map(build, SCHEMA_frontend, path, node, frontend);
	if (node->kind != NODE_MAP)
		return;
	if (frontend->bind_count == 0 && errors == build->report->errs->error_count &&
		!build->is_partial)
		report_key(build->report, CODE_MISSING, node, "%s needs '%s': where to listen",
			path_text(build, path), inner.name.ptr);
	if (frontend->protocol != CONF_HTTP) {
		check_tcp(build, path, node, frontend);
		frontend->builtin.health = frontend->builtin.stats = (struct conf_page){0};
	} else {
		build_finish_builtin(build, path, node, frontend);
	}
	build_finish_opening(build, path, node, frontend);
	check_destination(build, path, node, frontend);
}

void build_frontends(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;
	struct conf_frontend *frontends;
	u32 count = 0;

	(void)key;
	if (node->kind != NODE_MAP) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"frontends is a map of names to frontends, not %s", node_kind_text(node));
		return;
	}
	if (node->count == 0 && !build->is_partial)
		report_key(build->report, CODE_EMPTY, node, "there is no frontend in 'frontends'");
	frontends = arena_zalloc(build->arena, sizeof(*frontends) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next) {
		struct path inner = {.up = path, .name = child->key};

		if (build_check_name(build, child, "frontend"))
			build_frontend(build, &inner, child, &frontends[count++]);
	}
	conf->frontends = frontends;
	conf->frontend_count = count;
}
