// SPDX-License-Identifier: Apache-2.0
// Converters of the cookie that leads a client back to its backend.
#include "base/text.h"
#include "conf/build.h"
#include "conf/value.h"

enum { name_bytes_max = 64, path_bytes_max = 255 };

void build_sticky(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_sticky *sticky = &((struct conf_pool *)object)->sticky;

	sticky->enabled = true;
	build_map(build, key->nested, path, node, sticky);
}

void build_cookie_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_sticky *sticky = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len > name_bytes_max || !build_is_token(text))
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' cannot be the name of a cookie (%s): 1 to %d letters, digits and "
			"!#$%%&'*+-.^_`|~",
			CLIP(text), path_text(build, path), name_bytes_max);
	else
		sticky->name = text;
}

// RFC 6265, section 4.1.1: path-value.
static bool is_cookie_path(struct str text)
{
	if (text.len == 0 || text.len > path_bytes_max || text.ptr[0] != '/')
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] <= 0x20 || text.ptr[i] == 0x7f || text.ptr[i] == ';')
			return false;
	return true;
}

void build_cookie_path(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_sticky *sticky = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (is_cookie_path(text))
		sticky->path = text;
	else
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no path of a cookie (%s): it starts with '/' and has no spaces "
			"and no ';'",
			CLIP(text), path_text(build, path));
}

void build_secure(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_sticky *sticky = object;
	struct nearest nearest = {0};
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	sticky->secure_auto = str_eq_nocase(text, STR("auto"));
	if (sticky->secure_auto) {
		build_canonical(build, node, "auto", false);
	} else if (value_parse_flag(text, &sticky->secure)) {
		build_canonical(build, node, sticky->secure ? "true" : "false", true);
	} else {
		nearest_try(&nearest, text, STR("auto"));
		nearest_try(&nearest, text, STR("true"));
		nearest_try(&nearest, text, STR("false"));
		build_suggest(build,
			report_value(build->report, CODE_WRONG_TYPE, node,
				"'%.*s' is neither true nor false nor auto (%s)", CLIP(text),
				path_text(build, path)),
			&nearest);
	}
}
