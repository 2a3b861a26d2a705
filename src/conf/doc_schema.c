// SPDX-License-Identifier: Apache-2.0
// The table as JSON Schema 2020-12, for editors.
#include <inttypes.h>

#include "base/text.h"
#include "conf/conf.h"
#include "conf/schema.h"

static void add_string(struct text *text, struct str value)
{
	text_addc(text, '"');
	for (size_t i = 0; i < value.len; i++) {
		if (value.ptr[i] == '"' || value.ptr[i] == '\\')
			text_addc(text, '\\');
		text_addc(text, value.ptr[i]);
	}
	text_addc(text, '"');
}

#define DURATION_PATTERN "^([0-9]+[dD])?([0-9]+[hH])?([0-9]+[mM])?([0-9]+[sS])?([0-9]+[mM][sS])?$"
#define SIZE_PATTERN	 "^[0-9]+([kKmMgGtT]([iI]?[bB])?|[bB])$"

static const char *const scalars_or_one =
	"{\"anyOf\": [{\"type\": [\"string\", \"integer\"]}, {\"type\": \"array\", \"items\": "
	"{\"type\": [\"string\", \"integer\"]}}]}";

static const char *const texts_or_one =
	"{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"items\": {\"type\": "
	"\"string\"}}]}";

// What may stand there besides variables, which may stand anywhere.
static const char *fixed_form(enum schema_kind kind)
{
	switch (kind) {
	case KIND_FLAG:
	case KIND_MATCH_VERIFIED:
		return "{\"type\": \"boolean\"}";
	case KIND_VERSION:
		return "{\"const\": 1}";
	case KIND_INCLUDE:
	case KIND_BINDS:
	case KIND_ADMIN_BINDS:
	case KIND_ADMIN_HOSTS:
	case KIND_PREFIXES:
	case KIND_METHODS:
	case KIND_MATCH_ALPN:
	case KIND_PROXY_TLVS:
	case KIND_CERT_SUBJECTS:
	case KIND_CERT_NAMES:
	case KIND_HASH_BY:
	case KIND_OUTCOMES:
	case KIND_BUILTIN_ALLOW:
		return texts_or_one;
	case KIND_STATUSES:
	case KIND_RETRY_WHEN:
		return scalars_or_one;
	case KIND_PART:
		return "{\"type\": \"string\", \"pattern\": \"^[0-9]+([.][0-9]{1,4})?%$\"}";
	case KIND_PERCENT:
		return "{\"type\": \"string\", \"pattern\": \"^[0-9]+%$\"}";
	case KIND_DECIMAL:
		return "{\"type\": \"number\", \"minimum\": 0}";
	case KIND_ALIAS_IN:
		return "{\"type\": \"integer\", \"minimum\": 0}";
	case KIND_IDENTIFY:
		return "{\"type\": [\"boolean\", \"string\"]}";
	case KIND_SECURE:
		return "{\"enum\": [true, false, \"auto\"]}";
	case KIND_HEADERS:
	case KIND_TEST_HEADERS:
	case KIND_EXPECTED_HEADERS:
		return "{\"type\": \"object\", \"additionalProperties\": {\"type\": [\"string\", "
		       "\"integer\", \"boolean\"]}}";
	case KIND_SPLIT:
		return "{\"type\": \"object\", \"additionalProperties\": {\"type\": \"integer\", "
		       "\"minimum\": 0}}";
	case KIND_EXPECTED:
		return "{\"type\": [\"string\", \"integer\"]}";
	case KIND_STATUS:
		return "{\"enum\": [301, 302, 303, 307, 308]}";
	case KIND_ROUTE_RESPONSE:
	case KIND_DURATION:
		return "{\"type\": \"string\", \"pattern\": \"" DURATION_PATTERN "\"}";
	default:
		return "{\"type\": \"string\"}";
	}
}

static void add_words(struct text *text, enum schema_words words)
{
	const char *before = "{\"enum\": [";

	for (u32 i = 0; i < schema_word_count; i++) {
		if (schema_words[i].words != words || schema_words[i].milestone)
			continue;
		text_add(text, str_from(before));
		add_string(text, schema_words[i].word);
		before = ", ";
	}
	text_add(text, STR("]}"));
}

static void add_member_map(struct text *text, const char *definition)
{
	text_printf(text,
		"{\"type\": \"object\", \"additionalProperties\": {\"$ref\": \"#/$defs/%s\"}}",
		definition);
}

static void add_form(struct text *text, const struct schema_key *key);

// Shorthands have the form of what they stand for.
static void add_shorthand(struct text *text, const struct schema_key *key)
{
	if (str_eq(key->name, STR("backends")))
		text_add(text, STR("{\"$ref\": \"#/$defs/backends\"}"));
	else if (str_eq(key->name, STR("bind")))
		text_add(text, str_from(texts_or_one));
	else if (str_eq(key->name, STR("algorithm")))
		add_words(text, WORDS_algorithm);
	else if (schema_find(SCHEMA_pool, key->name))
		add_form(text, schema_find(SCHEMA_pool, key->name));
	else
		text_add(text, STR("{\"type\": \"object\"}"));
}

static const char *const map_names[SCHEMA_MAP_COUNT] = {
#define MAP(id, path, prose) [SCHEMA_##id] = #id,
#include "conf/schema_empty.h"
#include "conf/schema.def"
#include "conf/schema_end.h"
};

// A map that has a type, or a page's path, may be written as that alone.
static void add_nested(struct text *text, const struct schema_key *key)
{
	const struct schema_key *type = schema_type_of(key->nested);

	if (type) {
		text_add(text, STR("{\"anyOf\": ["));
		add_form(text, type);
		text_add(text, STR(", "));
	}
	text_printf(text, "{\"$ref\": \"#/$defs/%s\"}", map_names[key->nested]);
	if (type)
		text_add(text, STR("]}"));
}

static void add_form(struct text *text, const struct schema_key *key)
{
	switch ((enum schema_kind)key->kind) {
	case KIND_NESTED:
	case KIND_STICKY:
		add_nested(text, key);
		break;
	case KIND_SECRET:
	case KIND_DATABASE_URL:
	case KIND_LOG_OUTPUT:
	case KIND_ACCESS_OUTPUT:
		text_printf(text,
			"{\"anyOf\": [{\"type\": \"string\"}, {\"$ref\": \"#/$defs/%s\"}]}",
			map_names[key->nested]);
		break;
	case KIND_BACKEND_CHECK:
	case KIND_RETRY:
	case KIND_ROUTE_RETRY:
	case KIND_CLIENT_CERT:
		text_printf(text, "{\"$ref\": \"#/$defs/%s\"}", map_names[key->nested]);
		break;
	case KIND_FRONTENDS:
	case KIND_POOLS:
		add_member_map(text, map_names[schema_inside(key)]);
		break;
	case KIND_ROUTES:
		text_add(text, STR("{\"type\": \"array\", \"items\": {\"$ref\": "
				   "\"#/$defs/route\"}}"));
		break;
	case KIND_PROVIDERS:
		text_add(text, STR("{\"type\": \"array\", \"items\": {\"$ref\": "
				   "\"#/$defs/provider\"}}"));
		break;
	case KIND_TESTS:
		text_add(text,
			STR("{\"type\": \"array\", \"items\": {\"$ref\": \"#/$defs/test\"}}"));
		break;
	case KIND_BACKENDS:
		text_add(text, STR("{\"$ref\": \"#/$defs/backends\"}"));
		break;
	case KIND_POOL:
		text_add(text, STR("{\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\"}, "
				   "{\"$ref\": \"#/$defs/pool\"}]}"));
		break;
	case KIND_REDIRECT:
		text_add(text, STR("{\"anyOf\": [{\"type\": \"string\"}, {\"$ref\": "
				   "\"#/$defs/redirect\"}]}"));
		break;
	case KIND_SHORTHAND:
		add_shorthand(text, key);
		break;
	case KIND_WORDS:
		add_words(text, key->words);
		break;
	case KIND_COUNT:
		text_printf(text,
			"{\"type\": \"integer\", \"minimum\": %" PRIu64 ", \"maximum\": %" PRIu64
			"}",
			key->min, key->max);
		break;
	case KIND_SIZE:
		text_add(text, STR("{\"type\": \"string\", \"pattern\": \"" SIZE_PATTERN "\"}"));
		break;
	default:
		text_add(text, str_from(fixed_form(key->kind)));
		break;
	}
}

static bool takes_variable(enum schema_kind kind)
{
	return kind == KIND_FLAG || kind == KIND_SECURE || kind == KIND_COUNT ||
	       kind == KIND_DURATION || kind == KIND_SIZE || kind == KIND_WORDS ||
	       kind == KIND_STATUS || kind == KIND_ROUTE_RESPONSE || kind == KIND_PERCENT ||
	       kind == KIND_DECIMAL || kind == KIND_ALIAS_IN || kind == KIND_PART;
}

static void add_property(struct text *text, const struct schema_key *key, struct str name)
{
	bool has_variable = takes_variable(key->kind);

	add_string(text, name);
	text_add(text, STR(": {\"description\": "));
	if (key->kind == KIND_ALIAS_IN)
		text_printf(text, "\"%s, as a number of %s\"", key->other, key->unit);
	else
		add_string(text, str_from(key->prose));
	if (key->default_text) {
		bool is_bare = key->kind == KIND_FLAG || key->kind == KIND_DECIMAL ||
			       ((key->kind == KIND_COUNT || key->kind == KIND_STATUS) &&
				       ascii_is_digit(key->default_text[0]));

		text_add(text, STR(", \"default\": "));
		if (is_bare)
			text_add(text, str_from(key->default_text));
		else
			add_string(text, str_from(key->default_text));
	}
	text_add(text, has_variable ? STR(", \"anyOf\": [") : STR(", \"allOf\": ["));
	add_form(text, key);
	if (key->other && key->kind != KIND_ALIAS_IN)
		text_printf(text, ", {\"const\": \"%s\"}", key->other);
	if (has_variable)
		text_add(text, STR(", {\"$ref\": \"#/$defs/variable\"}"));
	text_add(text, STR("]}"));
}

static void add_properties(struct text *text, enum schema_map_id map)
{
	const char *before = "";

	for (u32 i = 0; i < schema_key_count; i++) {
		const struct schema_key *key = &schema_keys[i];
		struct str name = key->name;

		if (key->map != map || key->kind == KIND_LATER)
			continue;
		if (key->kind == KIND_ALIAS)
			key = schema_find(map, str_from(key->other));
		text_printf(text, "%s\n      ", before);
		add_property(text, key, name);
		before = ",";
	}
}

static void add_map(struct text *text, enum schema_map_id map)
{
	text_printf(
		text, ",\n    \"%s\": {\"type\": \"object\", \"description\": ", map_names[map]);
	add_string(text, str_from(schema_maps[map].prose));
	if (map == SCHEMA_root)
		text_add(text, STR(", \"patternProperties\": {\"^x-\": true}"));
	text_add(text, STR(", \"additionalProperties\": false, \"properties\": {"));
	add_properties(text, map);
	if (map == SCHEMA_root)
		text_add(text, STR(",\n      \"$schema\": {\"type\": \"string\"}"));
	text_add(text, STR("}}"));
}

struct str conf_schema(struct arena *arena)
{
	struct text text = {0};

	text_add(&text,
		STR("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
		    "  \"title\": \"weir configuration\",\n"
		    "  \"$ref\": \"#/$defs/root\",\n  \"$defs\": {\n"
		    "    \"variable\": {\"type\": \"string\", \"pattern\": \"\\\\$\\\\{\"},\n"
		    "    \"backends\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", "
		    "\"items\": {\"anyOf\": [{\"type\": \"string\"}, {\"$ref\": "
		    "\"#/$defs/backend\"}]}}]}"));
	for (u32 map = 0; map < SCHEMA_MAP_COUNT; map++)
		add_map(&text, map);
	text_add(&text, STR("\n  }\n}\n"));
	return text_take(&text, arena);
}
