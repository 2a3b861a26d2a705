// SPDX-License-Identifier: Apache-2.0
// The API as OpenAPI 3.1, made of the table of routes.
#include "admin/admin_inside.h"

struct described {
	u8 method, role;
	bool changes;
	const char *path, *tag, *what;
};

static const struct described routes[] = {
#define ROUTE(verb, text, least, does, handler, subject, prose) \
	{HTTP_##verb, ADMIN_##least, does, text, subject, prose},
#include "admin/routes.def"
#undef ROUTE
};

static const char *const param_names[] = {"pool", "backend"};

// "/pools/{}/backends/{}" with names; gives how many there are.
static u32 write_path(struct text *text, const char *path)
{
	bool is_event = strstr(path, "/events/{}") != NULL;
	bool is_request = strstr(path, "/requests/{}") != NULL;
	u32 count = 0;

	for (; *path; path++) {
		text_addc(text, *path);
		if (path[0] == '{' && count < ARRAY_LEN(param_names))
			text_add(text, str_from(is_event     ? "number"
						: is_request ? "id"
							     : param_names[count])),
				count++;
	}
	return count;
}

static void write_params(struct json *json, const char *path)
{
	struct text named = {0};
	struct str rest;

	(void)write_path(&named, path);
	rest = str_make(named.data, named.len);
	json_key(json, "parameters");
	json_array_begin(json);
	(void)str_cut(&rest, '{');
	while (rest.len) {
		json_object_begin(json);
		json_key_str(json, "name", str_cut(&rest, '}'));
		json_key_cstr(json, "in", "path");
		json_key_bool(json, "required", true);
		json_key(json, "schema");
		json_raw(json, STR("{\"type\":\"string\"}"));
		json_object_end(json);
		(void)str_cut(&rest, '{');
	}
	json_array_end(json);
	text_done(&named);
}

static void write_responses(struct json *json, const struct described *route)
{
	static const char problem[] = "{\"description\":\"Why not, and what helps.\",\"content\":"
				      "{\"application/problem+json\":{\"schema\":{\"$ref\":"
				      "\"#/components/schemas/problem\"}}}}";

	json_key(json, "responses");
	json_object_begin(json);
	json_key(json, "200");
	json_raw(json, STR("{\"description\":\"Done, or what was asked for.\"}"));
	json_key(json, "default");
	json_raw(json, str_from(problem));
	json_object_end(json);
	if (route->role == ADMIN_NOBODY)
		return;
	json_key(json, "security");
	json_raw(json, STR("[{\"token\":[]}]"));
}

static void write_operation(struct json *json, const struct described *route)
{
	char verb[16];
	const char *method = http_method_text((enum http_method)route->method);
	size_t len = 0;

	for (; method[len] && len + 1 < sizeof(verb); len++)
		verb[len] = ascii_lower(method[len]);
	verb[len] = '\0';
	json_key(json, verb);
	json_object_begin(json);
	json_key_cstr(json, "summary", route->what);
	json_key(json, "tags");
	json_array_begin(json);
	json_cstr(json, route->tag);
	json_array_end(json);
	write_params(json, route->path);
	if (route->method == HTTP_PUT || strstr(route->path, "explain")) {
		json_key(json, "requestBody");
		json_raw(json, STR("{\"required\":true,\"content\":{\"application/json\":"
				   "{\"schema\":{\"type\":\"object\"}}}}"));
	}
	write_responses(json, route);
	json_object_end(json);
}

static void write_paths(struct json *json)
{
	const char *open = NULL;

	json_key(json, "paths");
	json_object_begin(json);
	for (u32 i = 0; i < ARRAY_LEN(routes); i++) {
		const struct described *route = &routes[i];
		struct text named = {0};

		if (strchr(route->path, '*') || strcmp(route->path, "/") == 0)
			continue; // the dashboard's files
		if (open && strcmp(open, route->path) != 0)
			json_object_end(json);
		if (!open || strcmp(open, route->path) != 0) {
			(void)write_path(&named, route->path);
			json_key(json, named.data);
			json_object_begin(json);
			text_done(&named);
		}
		open = route->path;
		write_operation(json, route);
	}
	if (open)
		json_object_end(json);
	json_object_end(json);
}

void api_openapi(void *owner, struct admin_call *call)
{
	struct text text = {0};
	struct json json;

	(void)owner;
	json_init(&json, &text);
	json_object_begin(&json);
	json_key_cstr(&json, "openapi", "3.1.0");
	json_key(&json, "info");
	json_object_begin(&json);
	json_key_cstr(&json, "title", "weir");
	json_key_cstr(&json, "version", WEIR_VERSION);
	json_key_cstr(&json, "description",
		"Looks at a running weir and steers it. Changes over TCP need the field "
		"X-Weir-Request: 1.");
	json_object_end(&json);
	write_paths(&json);
	json_key(&json, "components");
	json_raw(&json, STR("{\"securitySchemes\":{\"token\":{\"type\":\"http\",\"scheme\":"
			    "\"bearer\"}},\"schemas\":{\"problem\":{\"type\":\"object\","
			    "\"properties\":{\"status\":{\"type\":\"integer\"},\"title\":"
			    "{\"type\":\"string\"},\"detail\":{\"type\":\"string\"},\"cure\":"
			    "{\"type\":\"string\"}},\"required\":[\"status\",\"title\","
			    "\"detail\"]}}}"));
	json_object_end(&json);
	text_addc(&text, '\n');
	admin_answer(call, 200, "application/json", &text);
}
