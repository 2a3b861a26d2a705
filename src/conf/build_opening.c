// SPDX-License-Identifier: Apache-2.0
// Converters of what comes before the first request of a connection: PROXY headers on both sides,
// and the hello of TLS that is passed through.
#include "conf/build.h"

enum { alpn_bytes_max = 255 };

void build_match_alpn(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_match *match = &((struct conf_route *)object)->match;
	struct path item = {.up = path};
	struct str *protocols;

	(void)key;
	if (!build_check_list(build, path, node, "protocols"))
		return;
	protocols = arena_zalloc(build->arena, sizeof(*protocols) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct str *protocol = &protocols[item.index];

		if (!build_scalar(build, &item, child, protocol))
			continue;
		if (protocol->len == 0 || protocol->len > alpn_bytes_max ||
			!build_is_printable(*protocol))
			report_value(build->report, CODE_MALFORMED, child,
				"'%.*s' is no protocol of TLS (%s): write h2, http/1.1 or another "
				"name of 1 to %d printable characters",
				CLIP(*protocol), path_text(build, &item), alpn_bytes_max);
	}
	match->alpn = protocols;
	match->alpn_count = node->count;
}

static const struct {
	struct str word;
	enum conf_proxy_tlv tlv;
} tlv_words[] = {
	{{"alpn", 4}, CONF_PROXY_TLV_ALPN},
	{{"authority", 9}, CONF_PROXY_TLV_AUTHORITY},
	{{"unique_id", 9}, CONF_PROXY_TLV_UNIQUE_ID},
	{{"ssl", 3}, CONF_PROXY_TLV_SSL},
	{{"crc32c", 6}, CONF_PROXY_TLV_CRC32C},
};

static u32 build_tlv(struct build *build, const struct path *path, struct node *node)
{
	struct nearest nearest = {0};
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(tlv_words); i++) {
		nearest_try(&nearest, text, tlv_words[i].word);
		if (!str_eq_nocase(text, tlv_words[i].word))
			continue;
		build_canonical(build, node, tlv_words[i].word.ptr, false);
		return tlv_words[i].tlv;
	}
	build_suggest(build,
		report_value(build->report, CODE_UNKNOWN_WORD, node,
			"a PROXY header has no '%.*s' (%s): alpn, authority, unique_id, ssl, "
			"crc32c, or none",
			CLIP(text), path_text(build, path)),
		&nearest);
	return 0;
}

void build_proxy_tlvs(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u32 *field = (u32 *)(void *)((char *)object + key->offset), tlvs = 0;
	struct path item = {.up = path};

	build_make_list(build, node);
	if (!build_check_list(build, path, node, "words"))
		return;
	if (node->count == 1 && node->first->kind == NODE_TEXT &&
		str_eq_nocase(node->first->text, STR("none")))
		return;
	for (struct node *child = node->first; child; child = child->next, item.index++)
		tlvs |= build_tlv(build, &item, child);
	*field = tlvs;
}

void build_finish_send_proxy(struct build *build, const struct path *path, const struct node *node,
	const struct conf_pool *pool)
{
	const struct node *map = node_get(node, STR("send_proxy"));
	const struct node *tlvs = map ? node_get(map, STR("tlvs")) : NULL;

	if (tlvs && !tlvs->is_default && pool->send_proxy.tlvs &&
		pool->send_proxy.version != CONF_SEND_PROXY_V2)
		report_key(build->report, CODE_CONFLICT, tlvs,
			"%s.send_proxy.tlvs needs version v2: nothing else can carry them",
			path_text(build, path));
}

// ---- Frontends ----------------------------------------------------------------------------------

static bool has_unix_bind(const struct conf_frontend *frontend)
{
	for (u32 i = 0; i < frontend->bind_count; i++)
		if (frontend->binds[i].addr.family == ADDR_UNIX)
			return true;
	return false;
}

static void check_trust(struct build *build, const struct path *path, const struct node *node,
	const struct conf_frontend *frontend)
{
	const struct node *map = node_get(node, STR("client_ip"));
	const struct node *trusted = node_get(map, STR("trusted_proxies"));

	if (frontend->client_ip.proxy_protocol == CONF_PROXY_PROTOCOL_NONE ||
		frontend->client_ip.trusted_proxy_count || has_unix_bind(frontend) ||
		build->is_partial)
		return;
	if (trusted && (trusted->kind != NODE_LIST || trusted->count))
		return; // told of already: there are some, which cannot be understood
	report_key(build->report, CODE_MISSING, map,
		"nobody may connect to %s: proxy_protocol needs trusted_proxies, the addresses and "
		"networks whose PROXY headers are believed",
		path_text(build, path));
}

// Only what a hello tells can be asked for, and only a pool can be what comes of it.
static void check_passed_route(
	struct build *build, const struct path *path, const struct node *route)
{
	static const char *const strange[][2] = {{"match", "path"}, {"match", "methods"},
		{"match", "header"}, {"match", "client_cert"}, {NULL, "redirect"},
		{NULL, "timeouts"}, {NULL, "retry"}};

	for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
		const struct node *map =
			strange[i][0] ? node_get(route, str_from(strange[i][0])) : route;
		const struct node *child = map ? node_get(map, str_from(strange[i][1])) : NULL;

		if (child && !child->is_default && (child->kind != NODE_MAP || child->count))
			report_key(build->report, CODE_CONFLICT, child,
				"'%s' means nothing in %s: TLS that is passed through shows names "
				"and protocols, and no requests",
				strange[i][1], path_text(build, path));
	}
}

void build_finish_opening(struct build *build, const struct path *path, const struct node *node,
	const struct conf_frontend *frontend)
{
	const struct node *routes = node_get(node, STR("routes"));
	struct path up = {.up = path, .name = STR("routes")}, item = {.up = &up};

	check_trust(build, path, node, frontend);
	if (!routes || routes->kind != NODE_LIST)
		return;
	for (const struct node *route = routes->first; route; route = route->next, item.index++) {
		const struct node *match = node_get(route, STR("match"));
		const struct node *alpn = match ? node_get(match, STR("alpn")) : NULL;
		struct conf_route *built = (struct conf_route *)&frontend->routes[item.index];

		build_finish_cert(build, &item, match, frontend, &built->match.cert);
		if (frontend->protocol == CONF_TLS_PASSTHROUGH)
			check_passed_route(build, &item, route);
		else if (alpn)
			report_key(build->report, CODE_CONFLICT, alpn,
				"'alpn' means nothing in %s: it is asked for with protocol "
				"tls_passthrough only",
				path_text(build, &item));
	}
}
