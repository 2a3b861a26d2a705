// SPDX-License-Identifier: Apache-2.0
#include "conf/build.h"

#include "base/text.h"

static build_fn build_nested;

static build_fn *const converters[SCHEMA_KIND_COUNT] = {
	[KIND_NESTED] = build_nested,
	[KIND_FLAG] = build_flag,
	[KIND_COUNT] = build_count,
	[KIND_DURATION] = build_duration,
	[KIND_SIZE] = build_size,
	[KIND_WORDS] = build_words,
	[KIND_PERCENT] = build_percent,
	[KIND_DECIMAL] = build_decimal,
	[KIND_POOLS] = build_pools,
	[KIND_BINDS] = build_binds,
	[KIND_POOL] = build_pool_name,
	[KIND_ROUTES] = build_routes,
	[KIND_BACKENDS] = build_backends,
	[KIND_LOG_OUTPUT] = build_log_output,
	[KIND_ACCESS_OUTPUT] = build_access_output,
	[KIND_PREFIXES] = build_prefixes,
	[KIND_IDENTIFY] = build_identify,
	[KIND_REQUEST_ID] = build_request_id,
	[KIND_TEXT] = build_text,
	[KIND_HOST] = build_host,
	[KIND_PATH] = build_path,
	[KIND_METHODS] = build_methods,
	[KIND_MATCH_ALPN] = build_match_alpn,
	[KIND_PROXY_TLVS] = build_proxy_tlvs,
	[KIND_HEADERS] = build_headers,
	[KIND_CLIENT_CERT] = build_client_cert,
	[KIND_MATCH_VERIFIED] = build_match_verified,
	[KIND_CERT_SUBJECTS] = build_cert_subjects,
	[KIND_CERT_NAMES] = build_cert_names,
	[KIND_SPLIT] = build_split,
	[KIND_REDIRECT] = build_redirect,
	[KIND_REDIRECT_TO] = build_redirect_to,
	[KIND_STATUS] = build_status,
	[KIND_ROUTE_RESPONSE] = build_route_response,
	[KIND_BACKEND_ID] = build_backend_id,
	[KIND_ADDRESS] = build_address,
	[KIND_CHECK_PATH] = build_check_path,
	[KIND_CHECK_METHOD] = build_check_method,
	[KIND_CHECK_HOST] = build_check_host,
	[KIND_CHECK_BODY] = build_check_body,
	[KIND_CHECK_SERVICE] = build_check_service,
	[KIND_STATUSES] = build_statuses,
	[KIND_BACKEND_CHECK] = build_backend_check,
	[KIND_RETRY] = build_retry,
	[KIND_ROUTE_RETRY] = build_route_retry,
	[KIND_RETRY_WHEN] = build_retry_when,
	[KIND_HASH_BY] = build_hash_by,
	[KIND_FIELD_NAME] = build_field_name,
	[KIND_STICKY] = build_sticky,
	[KIND_COOKIE_NAME] = build_cookie_name,
	[KIND_COOKIE_PATH] = build_cookie_path,
	[KIND_SECURE] = build_secure,
	[KIND_SECRET] = build_secret,
	[KIND_SECRET_PLACE] = build_secret_place,
	[KIND_FAILOVER] = build_failover,
	[KIND_ADMIN_BINDS] = build_admin_binds,
	[KIND_ADMIN_HOSTS] = build_admin_hosts,
	[KIND_TOKENS] = build_tokens,
	[KIND_METRICS_PATH] = build_metrics_path,
	[KIND_PART] = build_part,
	[KIND_OUTCOMES] = build_outcomes,
	[KIND_SYSLOG] = build_syslog,
	[KIND_APP_NAME] = build_app_name,
	[KIND_OTLP] = build_otlp,
	[KIND_SERVICE] = build_service,
	[KIND_ATTRIBUTES] = build_attributes,
	[KIND_TESTS] = build_tests,
	[KIND_TEST_TEXT] = build_test_text,
	[KIND_TEST_REQUEST] = build_test_request,
	[KIND_TEST_HEADERS] = build_test_headers,
	[KIND_TEST_FROM] = build_test_from,
	[KIND_EXPECTED] = build_expected,
	[KIND_EXPECTED_HEADERS] = build_expected_headers,
	[KIND_PROVIDERS] = build_providers,
	[KIND_PROVIDER_NAME] = build_provider_name,
	[KIND_PROVIDER_POOL] = build_provider_pool,
	[KIND_PROVIDER_PATH] = build_provider_path,
	[KIND_PROVIDER_HOST] = build_provider_host,
	[KIND_DATABASE_URL] = build_database_url,
	[KIND_SQL_NAME] = build_sql_name,
	[KIND_RESOLVER_SERVERS] = build_resolver_servers,
	[KIND_BUILTIN_PATH] = build_builtin_path,
	[KIND_BUILTIN_ALLOW] = build_builtin_allow,
	[KIND_FILE_NAME] = build_file_name,
	[KIND_CERTIFICATES] = build_certificates,
	[KIND_ALPN] = build_alpn,
	[KIND_FRONTEND_TLS] = build_frontend_tls,
	[KIND_POOL_TLS] = build_pool_tls,
	[KIND_BACKEND_TLS] = build_backend_tls,
	[KIND_SERVER_NAME] = build_server_name,
};

static void add_path(struct text *text, const struct path *path)
{
	const struct path *parts[TREE_DEPTH_MAX];
	u32 count = 0;

	for (; path && path->up && count < TREE_DEPTH_MAX; path = path->up)
		parts[count++] = path;
	while (count--) {
		if (!parts[count]->name.ptr)
			text_printf(text, "[%u]", parts[count]->index);
		else
			text_printf(text, "%s%.*s", text->len ? "." : "", CLIP(parts[count]->name));
	}
}

const char *path_text(const struct build *build, const struct path *path)
{
	struct text text = {0};

	add_path(&text, path);
	return text_take(&text, build->arena).ptr;
}

static const char *in_place(const struct build *build, const struct path *path)
{
	if (!path->up)
		return "at the top level";
	return arena_printf(build->arena, "in %s", path_text(build, path));
}

bool build_scalar(
	struct build *build, const struct path *path, const struct node *node, struct str *ret_text)
{
	if (node->kind == NODE_TEXT) {
		*ret_text = node->text;
		return true;
	}
	report_value(build->report, CODE_WRONG_TYPE, node, "%s takes a single value, not %s",
		path_text(build, path), node_kind_text(node));
	return false;
}

void build_canonical(struct build *build, struct node *node, const char *text, bool is_bare)
{
	node->text = arena_str(build->arena, str_from(text));
	node->is_bare = is_bare;
}

void build_suggest(struct build *build, struct err *err, const struct nearest *nearest)
{
	if (nearest->found)
		report_advice(build->report, err, "did you mean '%.*s'?", CLIP(nearest->name));
}

bool build_check_name(struct build *build, const struct node *node, const char *what)
{
	bool is_good = node->key.len > 0 && node->key.len <= 64;

	for (size_t i = 0; i < node->key.len; i++) {
		char c = ascii_lower(node->key.ptr[i]);

		is_good &= (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '_' || c == '-';
	}
	if (!is_good)
		report_key(build->report, CODE_MALFORMED, node,
			"'%.*s' cannot be the name of a %s: letters, digits, '_' and '-', at "
			"most 64",
			CLIP(node->key), what);
	return is_good;
}

static void set_pointer(
	struct build *build, struct err *err, const struct path *path, const struct schema_key *key)
{
	struct path full = {.up = path, .name = key->name};

	err->pointer = errs_text(build->report->errs, "weir help %s", path_text(build, &full));
}

static void report_unknown(struct build *build, enum schema_map_id map, const struct path *path,
	const struct node *child)
{
	const struct schema_key *near, *elsewhere;
	struct err *err;

	if (build->report->errs->kept_count == ERRS_KEPT_MAX) {
		report_key(build->report, CODE_UNKNOWN_KEY, child, "unknown key");
		return;
	}
	near = schema_near(map, child->key);
	elsewhere = schema_elsewhere(map, child->key);
	err = report_key(build->report, CODE_UNKNOWN_KEY, child, "unknown key '%.*s' %s",
		CLIP(child->key), in_place(build, path));
	if (elsewhere && (!near || str_distance(near->name, child->key, 2) > 1)) {
		report_advice(build->report, err, "it belongs in '%s'",
			schema_maps[elsewhere->map].path[0] ? schema_maps[elsewhere->map].path
							    : "the top level");
	} else if (near) {
		report_advice(build->report, err, "did you mean '%.*s'?", STR_FMT(near->name));
		if (!schema_is_alias(near))
			set_pointer(build, err, path, near);
	}
}

static void report_strangers(struct build *build, enum schema_map_id map, const struct path *path,
	const struct node *node)
{
	for (const struct node *child = node->first; child; child = child->next) {
		const struct schema_key *key = schema_find(map, child->key);

		if (!key)
			report_unknown(build, map, path, child);
		else if (key->kind == KIND_LATER)
			report_key(build->report, CODE_NOT_BUILT, child,
				"'%.*s' %s is not built yet (planned with %s)", STR_FMT(child->key),
				in_place(build, path), schema_milestone_text(key->milestone));
	}
}

static bool is_container(const struct schema_key *key)
{
	if (key->kind == KIND_STICKY || key->kind == KIND_SECRET ||
		key->kind == KIND_FRONTEND_TLS || key->kind == KIND_POOL_TLS ||
		key->kind == KIND_BACKEND_TLS || key->kind == KIND_DATABASE_URL)
		return false; // empty they would say nothing, and somebody relies on them
	return schema_inside(key) != SCHEMA_MAP_COUNT || key->kind == KIND_BINDS ||
	       key->kind == KIND_PREFIXES || key->kind == KIND_METHODS ||
	       key->kind == KIND_HEADERS || key->kind == KIND_STATUSES ||
	       key->kind == KIND_RETRY_WHEN || key->kind == KIND_HASH_BY ||
	       key->kind == KIND_ADMIN_HOSTS || key->kind == KIND_OUTCOMES ||
	       key->kind == KIND_MATCH_ALPN || key->kind == KIND_PROXY_TLVS;
}

// A key without a value: an empty map or list may be left empty, a single value may not.
static struct node *take_child(struct build *build, const struct schema_key *key,
	const struct path *path, struct node *map)
{
	struct node *child = node_get(map, key->name);

	if (!child || child->kind != NODE_NULL)
		return child;
	if (!is_container(key))
		report_key(build->report, CODE_WRONG_TYPE, child, "%s has no value (%s)",
			path_text(build, path), schema_kind_text(key->kind));
	node_remove(map, child);
	return NULL;
}

static struct node *make_default(struct build *build, const struct schema_key *key)
{
	struct node *child;

	if (key->kind == KIND_NESTED || key->kind == KIND_RETRY)
		child = node_new(build->arena, NODE_MAP, (struct place){0});
	else if (key->default_text)
		child = node_new_text(build->arena, str_from(key->default_text), (struct place){0});
	else
		return NULL;
	child->is_default = true;
	child->key = key->name;
	return child;
}

static bool is_built(const struct schema_key *key)
{
	return !schema_is_alias(key) && key->kind != KIND_LATER && key->kind != KIND_SHORTHAND &&
	       key->kind != KIND_VERSION && key->kind != KIND_INCLUDE;
}

static void report_missing(struct build *build, const struct schema_key *key,
	const struct path *path, const struct node *node)
{
	struct err *err;

	if (build->is_partial)
		return;
	err = report_key(build->report, CODE_MISSING, node, "%s needs '%.*s' (%s)",
		path_text(build, path), STR_FMT(key->name), schema_kind_text(key->kind));
	set_pointer(build, err, path, key);
}

static void build_key(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, struct node *ordered, void *object)
{
	struct path inner = {.up = path, .name = key->name};
	struct node *child = take_child(build, key, &inner, node);

	if (!child && key->is_needed)
		report_missing(build, key, path, node);
	if (!child)
		child = make_default(build, key);
	else
		node_remove(node, child);
	if (!child)
		return;
	node_add(build->arena, ordered, child);
	if (key->kind == KIND_FRONTENDS)
		build->frontends = child;
	else
		converters[key->kind](build, key, &inner, child, object);
}

void build_map(struct build *build, enum schema_map_id map, const struct path *path,
	struct node *node, void *object)
{
	struct node ordered = {.kind = NODE_MAP};

	if (node->kind != NODE_MAP) {
		report_value(build->report, CODE_WRONG_TYPE, node, "%s is a map of keys, not %s",
			path_text(build, path), node_kind_text(node));
		return;
	}
	report_strangers(build, map, path, node);
	for (u32 i = 0; i < schema_key_count; i++)
		if (schema_keys[i].map == map && is_built(&schema_keys[i]))
			build_key(build, &schema_keys[i], path, node, &ordered, object);
	node->first = ordered.first;
	node->last = ordered.last;
	node->count = ordered.count;
	node->slots = ordered.slots;
	node->slot_count = ordered.slot_count;
}

static void build_nested(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	build_map(build, key->nested, path, node, object);
}

void build_root(struct build *build)
{
	struct path root = {0};
	struct path frontends = {.up = &root, .name = STR("frontends")};

	build_map(build, SCHEMA_root, &root, build->root, build->conf);
	build->conf->runtime.place = build->root->place;
	build->conf->log.place = build->root->place;
	if (build->frontends)
		build_frontends(build, NULL, &frontends, build->frontends, build->conf);
	else if (!build->is_partial)
		report_at(build->report, CODE_MISSING, build->root->place, 1,
			"there is nothing to listen on: give 'backends' or 'frontends'");
}
