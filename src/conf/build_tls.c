// SPDX-License-Identifier: Apache-2.0
// Converters of everything about TLS: certificates, what frontends offer, how backends are spoken
// to. Files are only named here; they are opened when contexts are made, and by `weir check
// --deep`.
#include "conf/build.h"
#include "conf/file.h"
#include "conf/scheme.h"
#include "conf/value.h"

// A path alone, or {file: PATH} as secrets have it.
void build_file_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str *field = (struct str *)(void *)((char *)object + key->offset);
	struct node *name = node->kind == NODE_MAP ? node_get(node, STR("file")) : node;
	struct str text;

	if (!name || (name != node && node->count != 1)) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is the path of a file, or {file: PATH}", path_text(build, path));
		return;
	}
	if (!build_scalar(build, path, name, &text))
		return;
	if (text.len == 0 || strlen(text.ptr) != text.len) {
		report_value(build->report, CODE_MALFORMED, name, "%s is no path",
			path_text(build, path));
		return;
	}
	if (str_starts(text, STR("-----BEGIN"))) {
		report_value(build->report, CODE_MALFORMED, name,
			"%s names a file; what is in it does not belong here",
			path_text(build, path));
		return;
	}
	build_canonical(build, name,
		file_absolute(build->arena, file_relative(build->arena, name->place.file, text)),
		false);
	*field = name->text; // the same text, so that conf_fail_file finds its place
}

void build_certificates(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_certificate *certificates;
	struct path item = {.up = path};
	u32 count = 0;

	if (node->kind != NODE_LIST) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a list of certificates, not %s", path_text(build, path),
			node_kind_text(node));
		return;
	}
	certificates = arena_zalloc(build->arena, sizeof(*certificates) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct conf_certificate *certificate = &certificates[count];

		certificate->place = child->place;
		build_map(build, SCHEMA_certificate, &item, child, certificate);
		if (certificate->cert.len)
			count++;
		else if (child->kind == NODE_MAP && !node_get(child, STR("cert")))
			report_key(build->report, CODE_MISSING, child,
				"%s needs 'cert', the file of a certificate",
				path_text(build, &item));
	}
	if (key->map == SCHEMA_root) {
		build->conf->certificates = certificates;
		build->conf->certificate_count = count;
	} else {
		((struct conf_frontend *)object)->tls.certificates = certificates;
		((struct conf_frontend *)object)->tls.certificate_count = count;
	}
}

// The protocols that may be offered, by their words.
void build_alpn(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_frontend *frontend = object;
	struct path item = {.up = path};
	struct str *protocols;
	u32 count = 0;

	(void)key;
	if (frontend->protocol == CONF_TCP && node->is_default)
		return; // nobody here knows what it carries
	build_make_list(build, node);
	if (!build_check_list(build, path, node, "protocols"))
		return;
	protocols = arena_zalloc(build->arena, sizeof(*protocols) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		const struct schema_word *word;

		if (!build_scalar(build, &item, child, &protocols[count]))
			continue;
		word = schema_find_word(WORDS_alpn, protocols[count]);
		if (!word)
			report_value(build->report, CODE_MALFORMED, child,
				"'%.*s' (%s) is no protocol that is known here: %s",
				CLIP(protocols[count]), path_text(build, &item),
				schema_list_words(WORDS_alpn, build->arena));
		else if (word->milestone)
			report_value(build->report, CODE_NOT_BUILT, child,
				"'%.*s' (%s) is not built yet (planned with %s)",
				STR_FMT(word->word), path_text(build, &item),
				schema_milestone_text((enum schema_milestone)word->milestone));
		else
			protocols[count++] = word->word;
	}
	frontend->tls.alpn = protocols;
	frontend->tls.alpn_count = count;
}

// `tls: true` is `tls: {}`, and `tls: false` nothing. False: there is nothing (more) to do.
static bool is_wanted(struct build *build, const struct path *path, struct node *node)
{
	bool flag;

	if (node->kind != NODE_TEXT)
		return true;
	if (!value_parse_flag(node->text, &flag)) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a map of keys, true or false", path_text(build, path));
		return false;
	}
	if (!flag) {
		build_canonical(build, node, "false", true);
		return false;
	}
	node->kind = NODE_MAP;
	node->text = STR_EMPTY;
	return true;
}

// A frontend's client certificates. What follows from a value that could not be understood is not
// told of: the first error is the right one.
static void check_clients(struct build *build, const struct path *path, const struct node *node,
	struct conf_frontend_tls *tls)
{
	const struct node *map = node_get(node, STR("client_certificates"));
	const struct node *mode = node_get(map, STR("mode"));

	if (mode && (mode->kind != NODE_TEXT || !schema_find_word(WORDS_client_cert, mode->text)))
		tls->client.mode = CONF_CLIENT_CERT_OPTIONAL; // somebody is asked, whatever it says
	if (tls->client.mode != CONF_CLIENT_CERT_NONE && !node_get(map, STR("ca")))
		report_key(build->report, CODE_MISSING, map,
			"%s.client_certificates needs 'ca': whose certificates are believed",
			path_text(build, path));
	if (tls->client.mode == CONF_CLIENT_CERT_NONE &&
		(tls->client.ca.len || tls->client.crl.len))
		report_key(build->report, CODE_CONFLICT, map,
			"%s.client_certificates asks for none: set 'mode' to optional or required",
			path_text(build, path));
}

static bool is_empty_list(const struct node *node)
{
	return !node || (node->kind == NODE_LIST && node->count == 0);
}

void build_frontend_tls(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_frontend *frontend = object;
	struct conf_frontend_tls *tls = &frontend->tls;

	if (!is_wanted(build, path, node))
		return;
	tls->enabled = true;
	build_map(build, key->nested, path, node, frontend);
	if (!tls->certificates) {
		tls->certificates = build->conf->certificates;
		tls->certificate_count = build->conf->certificate_count;
	}
	if (tls->certificate_count == 0 && !build->is_partial &&
		is_empty_list(node_get(node, STR("certificates"))) &&
		is_empty_list(node_get(build->root, STR("certificates"))))
		report_advice(build->report,
			report_key(build->report, CODE_MISSING, node,
				"%s has no certificate to show", path_text(build, path)),
			"certificates: [{cert: site.crt, key: site.key}]; `weir cert` makes a pair "
			"for trying it out");
	check_clients(build, path, node, tls);
}

static void build_upstream(struct build *build, const struct schema_key *key,
	const struct path *path, struct node *node, struct conf_upstream_tls *tls)
{
	if (!is_wanted(build, path, node))
		return;
	tls->enabled = true;
	build_map(build, key->nested, path, node, tls);
	if (tls->key.len && !node_get(node, STR("cert")))
		report_key(build->report, CODE_MISSING, node,
			"%s has a 'key', but no 'cert' that it belongs to", path_text(build, path));
	if (!tls->verify && (tls->ca.len || tls->crl.len))
		report_key(build->report, CODE_CONFLICT, node,
			"%s verifies nothing, so nobody looks at its 'ca' and 'crl'",
			path_text(build, path));
}

void build_pool_tls(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	build_upstream(build, key, path, node, &((struct conf_pool *)object)->tls);
}

void build_backend_tls(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_backend *backend = object;

	backend->has_own_tls = true;
	build_upstream(build, key, path, node, &backend->tls);
}

// What stands around a name in a URL, and what certificates do not have: "https://a.example:443/".
static struct str bare_name(struct str text)
{
	size_t colon;

	text = scheme_strip(text);
	text.len = str_find(text, '/');
	if (text.len && text.ptr[0] == '[') {
		text = str_make(text.ptr + 1, text.len - 1);
		text.len = str_find(text, ']');
	}
	colon = str_find(text, ':');
	if (colon < text.len && memchr(text.ptr + colon + 1, ':', text.len - colon - 1) == NULL)
		text.len = colon;
	if (text.len > 1 && text.ptr[text.len - 1] == '.')
		text.len--;
	return text;
}

static bool is_server_name(struct str text)
{
	struct addr addr;

	if (addr_parse_ip(text, &addr) == 0)
		return true;
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= ' ' || text.ptr[i] >= 127 || memchr("/:[]*@,", text.ptr[i], 7))
			return false;
	return text.len && text.len <= 253 && text.ptr[text.len - 1] != '.';
}

// A name as certificates have it, or an address.
void build_server_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str *field = (struct str *)(void *)((char *)object + key->offset);
	struct str text, bare;
	struct err *err;

	if (!build_scalar(build, path, node, &text))
		return;
	if (is_server_name(text)) {
		*field = text;
		return;
	}
	bare = bare_name(text);
	err = report_value(build->report, CODE_MALFORMED, node,
		"'%.*s' is no name of a server (%s): a host or an IP address, without scheme, port "
		"and path",
		CLIP(text), path_text(build, path));
	if (!str_eq(bare, text) && is_server_name(bare) && !node->written.ptr)
		report_advice(build->report, err, "did you mean '%.*s'?", CLIP(bare));
}

// What was written as http:// stays so in the tree where the pool's TLS would count otherwise.
static void keep_clear(struct build *build, const struct conf_backend *backend, struct node *node)
{
	struct node *address = node ? node_get(node, STR("address")) : NULL;

	if (address && address->kind == NODE_TEXT && backend->scheme == CONF_SCHEME_HTTP &&
		!backend->is_h2 && backend->address.len)
		build_canonical(
			build, address, scheme_url(build->arena, scheme_of(backend)).ptr, false);
}

void build_finish_tls(struct build *build, struct conf_pool *pool)
{
	struct node *list = node_get(node_get(build->pools, pool->name), STR("backends"));
	struct node *node = list && list->kind == NODE_LIST ? list->first : NULL;

	for (u32 i = 0; i < pool->backend_count; i++, node = node ? node->next : NULL) {
		struct conf_backend *backend = (struct conf_backend *)&pool->backends[i];

		if (pool->tls.enabled)
			keep_clear(build, backend, node);
		scheme_settle(backend, pool, build->arena);
	}
}
