// SPDX-License-Identifier: Apache-2.0
// The configuration in effect. Secrets are never in it (conf_show).
#include "admin/admin_inside.h"

enum { shown_bytes_max = 256 << 20 };

void api_config(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;
	struct str format = STR("json");
	struct arena arena;
	struct str shown;
	bool as_yaml;

	(void)admin_query(call, "format", &format);
	as_yaml = str_eq(format, STR("yaml"));
	if (!as_yaml && !str_eq(format, STR("json"))) {
		admin_problem(
			call, 422, NULL, "'%.*s' is no format: yaml or json", STR_FMT(format));
		return;
	}
	arena_init(&arena, shown_bytes_max);
	shown = conf_show(admin->face.conf, as_yaml ? CONF_YAML : CONF_JSON, as_yaml, &arena);
	admin_add_field(call, "Cache-Control", STR("no-store"));
	admin_answer_static(call, 200, as_yaml ? "application/yaml" : "application/json", shown);
	arena_done(&arena);
}
