// SPDX-License-Identifier: Apache-2.0
// Converters of what happens when backends fail: checks, retries.
#include <errno.h>
#include <inttypes.h>

#include "base/text.h"
#include "conf/build.h"

enum {
	body_bytes_max = 1024,
	path_bytes_max = 1024,
	host_bytes_max = 255,
	service_bytes_max = 255
};

static struct str *text_of(void *object, const struct schema_key *key)
{
	return (struct str *)(void *)((char *)object + key->offset);
}

void build_check_path(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.ptr[0] != '/' || text.len > path_bytes_max ||
		!build_is_printable(text) || str_find(text, ' ') < text.len ||
		str_find(text, '#') < text.len)
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no path to check (%s): it starts with '/' and may have a query",
			CLIP(text), path_text(build, path));
	else
		*text_of(object, key) = text;
}

void build_check_host(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > host_bytes_max || !build_is_printable(text) ||
		str_find(text, ' ') < text.len || str_find(text, '/') < text.len)
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no host name (%s): write it like www.example.com", CLIP(text),
			path_text(build, path));
	else
		*text_of(object, key) = text;
}

void build_check_method(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str method = build_method(build, path, node);

	if (method.len == 0)
		return;
	if (str_eq(method, STR("CONNECT")))
		report_value(build->report, CODE_MALFORMED, node,
			"CONNECT asks for a tunnel: it cannot check health (%s)",
			path_text(build, path));
	else
		*text_of(object, key) = method;
}

void build_check_body(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > body_bytes_max)
		report_value(build->report, CODE_MALFORMED, node, "%s is 1 to %d bytes of text",
			path_text(build, path), body_bytes_max);
	else
		*text_of(object, key) = text;
}

void build_check_service(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > service_bytes_max || !build_is_printable(text))
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no name of a service (%s): write it like shop.v1.Cart",
			CLIP(text), path_text(build, path));
	else
		*text_of(object, key) = text;
}

// "200" or "200-299".
static bool parse_statuses(struct str text, struct conf_statuses *ret_statuses)
{
	struct str last = text, first = str_cut(&last, '-');
	u64 low = 0, high = 0;

	if (str_to_u64(first, 599, &low) < 0 || low < 100)
		return false;
	if (first.len == text.len)
		high = low;
	else if (str_to_u64(last, 599, &high) < 0 || high < low)
		return false;
	*ret_statuses = (struct conf_statuses){(u16)low, (u16)high};
	return true;
}

bool build_check_list(
	struct build *build, const struct path *path, const struct node *node, const char *what)
{
	if (node->kind == NODE_LIST && node->count)
		return true;
	if (node->kind == NODE_LIST)
		report_key(build->report, CODE_EMPTY, node, "%s is empty: give it %s",
			path_text(build, path), what);
	else
		report_value(build->report, CODE_WRONG_TYPE, node, "%s is a list of %s, not %s",
			path_text(build, path), what, node_kind_text(node));
	return false;
}

void build_make_list(struct build *build, struct node *node)
{
	struct str rest = node->text;

	if (node->kind != NODE_TEXT || !node->is_default)
		return;
	node->kind = NODE_LIST;
	while (rest.len) {
		struct node *item = node_new_text(
			build->arena, str_trim(str_cut(&rest, ',')), (struct place){0});
		u64 number;

		item->is_default = true;
		item->is_bare = str_to_u64(item->text, 999, &number) == 0;
		item->text = arena_str(build->arena, item->text);
		node_add(build->arena, node, item);
	}
}

void build_statuses(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_pool *pool = object;
	struct conf_statuses *statuses;
	struct path item = {.up = path};

	(void)key;
	build_make_list(build, node);
	if (!build_check_list(build, path, node, "statuses"))
		return;
	statuses = arena_zalloc(build->arena, sizeof(*statuses) * node->count);
	for (struct node *child = node->first; child; child = child->next, item.index++) {
		struct str text;

		if (!build_scalar(build, &item, child, &text))
			continue;
		if (!parse_statuses(text, &statuses[item.index]))
			report_value(build->report, CODE_MALFORMED, child,
				"'%.*s' is no status (%s): write 200 or 200-299, from 100 to 599",
				CLIP(text), path_text(build, &item));
		else if (statuses[item.index].first == statuses[item.index].last)
			build_canonical(build, child,
				arena_printf(build->arena, "%u", statuses[item.index].first), true);
	}
	pool->check.expect.statuses = statuses;
	pool->check.expect.status_count = node->count;
}

void build_backend_check(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	build_map(build, key->nested, path, node, object);
}

void build_retry(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	build_map(build, key->nested, path, node, &((struct conf_pool *)object)->retry);
}

static void finish_retry(struct conf_retry *retry)
{
	retry->rules.any_method = retry->methods == CONF_RETRY_ANY;
	retry->rules.has_budget = retry->rules.budget.percent > 0;
}

void build_route_retry(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_retry *retry = arena_zalloc(build->arena, sizeof(*retry));

	build_map(build, key->nested, path, node, retry);
	finish_retry(retry);
	((struct conf_route *)object)->retry = retry;
}

void build_finish_pool(struct conf_pool *pool)
{
	// Whatever went wrong with a call of gRPC is told behind a head with this status.
	static const struct conf_statuses of_grpc = {200, 200};

	if (pool->check.type == CONF_CHECK_GRPC) {
		pool->check.expect.statuses = &of_grpc;
		pool->check.expect.status_count = 1;
	}
	finish_retry(&pool->retry);
	pool->ejection.share_percent = pool->breaker.share_percent;
	pool->prequal.options.age_max = pool->prequal.age_max_ms * NSEC_PER_MS;
}

static const struct {
	struct str word;
	u32 cause;
} cause_words[] = {
	{{"connect", 7}, RETRY_CAUSE_BIT(RETRY_CONNECT)},
	{{"reset_before_response", 21}, RETRY_CAUSE_BIT(RETRY_RESET)},
	{{"timeout", 7}, RETRY_CAUSE_BIT(RETRY_TIMEOUT)},
};

static u32 find_cause(struct str text, struct nearest *nearest)
{
	for (size_t i = 0; i < ARRAY_LEN(cause_words); i++) {
		nearest_try(nearest, text, cause_words[i].word);
		if (str_eq_nocase(text, cause_words[i].word))
			return cause_words[i].cause;
	}
	return 0;
}

static bool is_answer_status(struct str text, u64 *ret_status)
{
	return str_to_u64(text, 599, ret_status) == 0 && *ret_status >= 400;
}

static void build_retry_word(
	struct build *build, const struct path *path, struct node *node, struct retry_rules *rules)
{
	struct nearest nearest = {0};
	struct str text;
	u64 status = 0;
	u32 cause;

	if (!build_scalar(build, path, node, &text))
		return;
	cause = find_cause(text, &nearest);
	if (cause) {
		rules->causes |= cause;
		return;
	}
	if (!is_answer_status(text, &status)) {
		build_suggest(build,
			report_value(build->report, CODE_UNKNOWN_WORD, node,
				"'%.*s' is no failure (%s): connect, reset_before_response, "
				"timeout, or a status from 400 to 599",
				CLIP(text), path_text(build, path)),
			&nearest);
		return;
	}
	if (retry_names_status(rules, (u32)status))
		return;
	if (rules->status_count == RETRY_STATUSES_MAX) {
		report_value(build->report, CODE_TOO_BIG, node, "%s has more than %d statuses",
			path_text(build, path->up), RETRY_STATUSES_MAX);
		return;
	}
	rules->statuses[rules->status_count++] = (u16)status;
	build_canonical(build, node, arena_printf(build->arena, "%" PRIu64, status), true);
}

void build_retry_when(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct retry_rules *rules = &((struct conf_retry *)object)->rules;
	struct path item = {.up = path};

	(void)key;
	build_make_list(build, node);
	if (!build_check_list(build, path, node, "failures"))
		return;
	for (struct node *child = node->first; child; child = child->next, item.index++)
		build_retry_word(build, &item, child, rules);
}
