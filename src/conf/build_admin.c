// SPDX-License-Identifier: Apache-2.0
// Converters of the admin address, its tokens, and where metrics are read.
#include "conf/build.h"

enum { token_bytes_max = 256, metrics_path_bytes_max = 128, metrics_port_of_seed = 9090 };

static bool is_word(const struct node *node, const char *word)
{
	return node->kind == NODE_LIST && node->count == 1 && node->first->kind == NODE_TEXT &&
	       str_eq(node->first->text, str_from(word));
}

void build_admin_binds(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_admin *admin = &((struct conf *)object)->admin;
	struct path item = {.up = path};
	struct conf_bind *binds;

	(void)key;
	build_make_list(build, node);
	if (is_word(node, "auto")) {
		admin->binds_itself = true;
		return;
	}
	if (is_word(node, "none"))
		return;
	if (!build_check_list(build, path, node, "addresses, or auto, or none"))
		return;
	binds = arena_zalloc(build->arena, sizeof(*binds) * node->count);
	for (struct node *child = node->first; child; child = child->next, item.index++)
		build_bind(build, &item, child, &binds[item.index]);
	admin->binds = binds;
	admin->bind_count = node->count;
}

void build_admin_hosts(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_admin *admin = &((struct conf *)object)->admin;
	struct path item = {.up = path};
	struct str *hosts;

	(void)key;
	if (!build_check_list(build, path, node, "host names"))
		return;
	hosts = arena_zalloc(build->arena, sizeof(*hosts) * node->count);
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct str text;

		if (!build_scalar(build, &item, child, &text))
			continue;
		if (text.len == 0 || text.len > 253 || !build_is_token(text))
			report_value(build->report, CODE_MALFORMED, child,
				"'%.*s' is no host name without port (%s)", CLIP(text),
				path_text(build, &item));
		else
			hosts[admin->host_count++] = text;
	}
	admin->hosts = hosts;
}

static void build_token(
	struct build *build, const struct path *path, struct node *node, struct conf_token *token)
{
	token->name = node->key;
	build_map(build, SCHEMA_token, path, node, token);
	if (node->kind == NODE_MAP && token->secret.len == 0 && !build->is_partial &&
		build->report->errs->error_count == 0)
		report_key(build->report, CODE_MISSING, node, "%s needs 'secret'",
			path_text(build, path));
	else if (token->secret.len > token_bytes_max)
		report_key(build->report, CODE_OUT_OF_RANGE, node,
			"%s has a secret of %zu bytes: a token has at most %d",
			path_text(build, path), token->secret.len, token_bytes_max);
}

void build_tokens(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_admin *admin = &((struct conf *)object)->admin;
	struct conf_token *tokens;
	u32 count = 0;

	(void)key;
	if (node->kind != NODE_MAP) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"%s is a map of names to tokens, not %s", path_text(build, path),
			node_kind_text(node));
		return;
	}
	tokens = arena_zalloc(build->arena, sizeof(*tokens) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next) {
		struct path inner = {.up = path, .name = child->key};

		if (build_check_name(build, child, "token"))
			build_token(build, &inner, child, &tokens[count++]);
	}
	admin->tokens = tokens;
	admin->token_count = count;
}

void build_metrics_path(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len < 2 || text.len > metrics_path_bytes_max || text.ptr[0] != '/' ||
		!build_is_token(str_make(text.ptr + 1, text.len - 1)))
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no path for metrics (%s): write it like /metrics", CLIP(text),
			path_text(build, path));
	else
		conf->metrics.path = text;
}

// admin.token joins the others.
static void add_short_token(struct build *build, struct conf_admin *admin)
{
	struct conf_token *tokens;

	if (admin->token.len == 0)
		return;
	tokens = arena_zalloc(build->arena, sizeof(*tokens) * (admin->token_count + 1u));
	tokens[0] = (struct conf_token){
		.name = STR("token"), .role = CONF_ADMIN_OPERATE, .secret = admin->token};
	for (u32 i = 0; i < admin->token_count; i++)
		tokens[i + 1] = admin->tokens[i];
	admin->tokens = tokens;
	admin->token_count++;
}

static bool is_of_this_machine(const struct addr *addr)
{
	static const char *const prefixes[] = {"127.0.0.0/8", "::1/128"};

	if (addr->family == ADDR_UNIX)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct addr_prefix prefix;

		if (addr_prefix_parse(str_from(prefixes[i]), &prefix) == 0 &&
			addr_prefix_match(&prefix, addr))
			return true;
	}
	return false;
}

static void check_reach(struct build *build, const struct conf_admin *admin)
{
	for (u32 i = 0; i < admin->bind_count; i++) {
		const struct conf_bind *bind = &admin->binds[i];

		if (is_of_this_machine(&bind->addr) || admin->token_count)
			continue;
		report_advice(build->report,
			report_at(build->report, CODE_CONFLICT, bind->place, (u32)bind->text.len,
				"the admin address %.*s can be reached from other machines, and "
				"there is no token",
				CLIP(bind->text)),
			"admin.token: ${WEIR_TOKEN}, or listen on 127.0.0.1 or a unix socket");
	}
}

void build_finish_admin(struct build *build)
{
	struct conf *conf = build->conf;

	add_short_token(build, &conf->admin);
	check_reach(build, &conf->admin);
}
