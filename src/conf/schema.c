// SPDX-License-Identifier: Apache-2.0
#include "conf/schema.h"

#include "base/text.h"
#include "conf/conf.h"

enum { name_len_max = 64 };

#define HOUR_MS (3600ull * 1000)
#define DAY_MS	(24 * HOUR_MS)

const struct schema_map schema_maps[SCHEMA_MAP_COUNT] = {
#define MAP(id, at, text) [SCHEMA_##id] = {.path = (at), .prose = (text)},
#include "conf/schema_empty.h"
#include "conf/schema.def"
#include "conf/schema_end.h"
};

#define NAMED(text)	 .name = {text, sizeof(text) - 1}
#define AT(owner, field) .offset = offsetof(struct owner, field)
#define NESTED(in, key, id, text)      \
	{.map = SCHEMA_##in,           \
		.kind = KIND_NESTED,   \
		NAMED(#key),           \
		.nested = SCHEMA_##id, \
		.prose = (text)},
#define FLAG(in, key, owner, field, preset, text) \
	{.map = SCHEMA_##in,                      \
		.kind = KIND_FLAG,                \
		NAMED(#key),                      \
		AT(owner, field),                 \
		.default_text = (preset),         \
		.prose = (text)},
#define COUNT(in, key, owner, field, preset, low, high, word, text) \
	{.map = SCHEMA_##in,                                        \
		.kind = KIND_COUNT,                                 \
		NAMED(#key),                                        \
		AT(owner, field),                                   \
		.default_text = (preset),                           \
		.min = (low),                                       \
		.max = (high),                                      \
		.other = (word),                                    \
		.prose = (text)},
#define DURATION(in, key, owner, field, preset, low, high, text) \
	{.map = SCHEMA_##in,                                     \
		.kind = KIND_DURATION,                           \
		NAMED(#key),                                     \
		AT(owner, field),                                \
		.default_text = (preset),                        \
		.min = (low),                                    \
		.max = (high),                                   \
		.prose = (text)},
#define DURATION_OR(in, key, owner, field, preset, low, high, word, text) \
	{.map = SCHEMA_##in,                                              \
		.kind = KIND_DURATION,                                    \
		NAMED(#key),                                              \
		AT(owner, field),                                         \
		.default_text = (preset),                                 \
		.min = (low),                                             \
		.max = (high),                                            \
		.other = (word),                                          \
		.prose = (text)},
#define PERCENT(in, key, owner, field, preset, low, high, word, text) \
	{.map = SCHEMA_##in,                                          \
		.kind = KIND_PERCENT,                                 \
		NAMED(#key),                                          \
		AT(owner, field),                                     \
		.default_text = (preset),                             \
		.min = (low),                                         \
		.max = (high),                                        \
		.other = (word),                                      \
		.prose = (text)},
#define DECIMAL(in, key, owner, field, preset, low, high, text) \
	{.map = SCHEMA_##in,                                    \
		.kind = KIND_DECIMAL,                           \
		NAMED(#key),                                    \
		AT(owner, field),                               \
		.default_text = (preset),                       \
		.min = (low),                                   \
		.max = (high),                                  \
		.prose = (text)},
#define SIZE(in, key, owner, field, preset, low, high, word, text) \
	{.map = SCHEMA_##in,                                       \
		.kind = KIND_SIZE,                                 \
		NAMED(#key),                                       \
		AT(owner, field),                                  \
		.default_text = (preset),                          \
		.min = (low),                                      \
		.max = (high),                                     \
		.other = (word),                                   \
		.prose = (text)},
#define WORDS(in, key, owner, field, preset, set, text) \
	{.map = SCHEMA_##in,                            \
		.kind = KIND_WORDS,                     \
		NAMED(#key),                            \
		AT(owner, field),                       \
		.default_text = (preset),               \
		.words = WORDS_##set,                   \
		.prose = (text)},
#define OTHER(in, key, type, preset, text) \
	{.map = SCHEMA_##in,               \
		.kind = KIND_##type,       \
		NAMED(#key),               \
		.default_text = (preset),  \
		.prose = (text)},
#define OTHER_AT(in, key, type, owner, field, preset, text) \
	{.map = SCHEMA_##in,                                \
		.kind = KIND_##type,                        \
		NAMED(#key),                                \
		AT(owner, field),                           \
		.default_text = (preset),                   \
		.prose = (text)},
#define NEEDED(in, key, type, text) \
	{.map = SCHEMA_##in, .kind = KIND_##type, NAMED(#key), .is_needed = true, .prose = (text)},
#define SECRET(in, key, owner, field, text) \
	{.map = SCHEMA_##in,                \
		.kind = KIND_SECRET,        \
		NAMED(#key),                \
		AT(owner, field),           \
		.nested = SCHEMA_secret,    \
		.prose = (text)},
#define SECRET_URL(in, key, owner, field, text) \
	{.map = SCHEMA_##in,                    \
		.kind = KIND_DATABASE_URL,      \
		NAMED(#key),                    \
		AT(owner, field),               \
		.nested = SCHEMA_secret,        \
		.prose = (text)},
#define BRANCH(in, key, type, id, text) \
	{.map = SCHEMA_##in,            \
		.kind = KIND_##type,    \
		NAMED(#key),            \
		.nested = SCHEMA_##id,  \
		.prose = (text)},
#define BRANCH_OR(in, key, type, id, preset, text) \
	{.map = SCHEMA_##in,                       \
		.kind = KIND_##type,               \
		NAMED(#key),                       \
		.nested = SCHEMA_##id,             \
		.default_text = (preset),          \
		.prose = (text)},
#define ALIAS_IN(in, spelling, path, counts) \
	{.map = SCHEMA_##in,                 \
		.kind = KIND_ALIAS_IN,       \
		NAMED(#spelling),            \
		.other = (path),             \
		.unit = (counts)},
#define ALIAS(in, spelling, key) \
	{.map = SCHEMA_##in, .kind = KIND_ALIAS, NAMED(#spelling), .other = #key},
#define LATER(in, key, when) \
	{.map = SCHEMA_##in, .kind = KIND_LATER, NAMED(#key), .milestone = MILESTONE_##when},

const struct schema_key schema_keys[] = {
#include "conf/schema_empty.h"
#include "conf/schema.def"
#include "conf/schema_end.h"
};

const u32 schema_key_count = ARRAY_LEN(schema_keys);

#define WORD(set, text, number) \
	{.words = WORDS_##set, .word = {#text, sizeof(#text) - 1}, .value = (number)},
#define WORD_ALIAS(set, spelling, real) \
	{.words = WORDS_##set, .word = {#spelling, sizeof(#spelling) - 1}, .same_as = #real},
#define WORD_LATER(set, text, when) \
	{.words = WORDS_##set, .word = {#text, sizeof(#text) - 1}, .milestone = MILESTONE_##when},

const struct schema_word schema_words[] = {
#include "conf/schema_empty.h"
#include "conf/schema.def"
#include "conf/schema_end.h"
};

const u32 schema_word_count = ARRAY_LEN(schema_words);

const char *conf_algorithm_name(enum conf_algorithm algorithm)
{
	for (u32 i = 0; i < schema_word_count; i++)
		if (schema_words[i].words == WORDS_algorithm && !schema_words[i].same_as &&
			schema_words[i].value == (int)algorithm)
			return schema_words[i].word.ptr;
	ASSERT(false && "every algorithm has a word");
	return "";
}

const char *conf_protocol_name(enum conf_protocol protocol)
{
	for (u32 i = 0; i < schema_word_count; i++)
		if (schema_words[i].words == WORDS_protocol && !schema_words[i].milestone &&
			schema_words[i].value == (int)protocol)
			return schema_words[i].word.ptr;
	ASSERT(false && "every protocol has a word");
	return "";
}

const char *schema_milestone_text(enum schema_milestone milestone)
{
	static const char *const texts[] = {
		[MILESTONE_NONE] = "",
		[MILESTONE_STEERING] = "metrics, traces and administration",
		[MILESTONE_TLS] = "TLS and HTTP/2",
		[MILESTONE_CHANGE] = "live backends, reload and service management",
		[MILESTONE_POLICIES] = "request policies",
		[MILESTONE_DATAGRAMS] = "UDP",
		[MILESTONE_HTTP3] = "HTTP/3",
	};

	return texts[milestone];
}

const char *schema_kind_text(enum schema_kind kind)
{
	static const char *const texts[SCHEMA_KIND_COUNT] = {
		[KIND_NESTED] = "map",
		[KIND_FLAG] = "true or false",
		[KIND_COUNT] = "number",
		[KIND_DURATION] = "duration: 250ms, 5s, 1m30s, 1h",
		[KIND_SIZE] = "size: 512B, 64KiB, 10MB, 1g",
		[KIND_PERCENT] = "percentage: 50%",
		[KIND_DECIMAL] = "decimal number",
		[KIND_ALIAS_IN] = "number",
		[KIND_WORDS] = "word",
		[KIND_VERSION] = "number",
		[KIND_INCLUDE] = "list of paths or patterns",
		[KIND_SHORTHAND] = "shorthand",
		[KIND_FRONTENDS] = "map of frontends",
		[KIND_POOLS] = "map of pools",
		[KIND_BINDS] = "address, or list of addresses",
		[KIND_POOL] = "name of a pool, or a pool",
		[KIND_ROUTES] = "list of routes",
		[KIND_BACKENDS] = "list of addresses or backends",
		[KIND_LOG_OUTPUT] = "word, path, or map",
		[KIND_ACCESS_OUTPUT] = "word, path, or map",
		[KIND_PREFIXES] = "list of addresses and networks",
		[KIND_IDENTIFY] = "true, false or text",
		[KIND_REQUEST_ID] = "field name or none",
		[KIND_TEXT] = "text",
		[KIND_HOST] = "host name",
		[KIND_PATH] = "path",
		[KIND_METHODS] = "list of methods",
		[KIND_MATCH_ALPN] = "list of protocols",
		[KIND_PROXY_TLVS] = "list of words",
		[KIND_CLIENT_CERT] = "map",
		[KIND_MATCH_VERIFIED] = "true or false",
		[KIND_CERT_SUBJECTS] = "list of subjects",
		[KIND_CERT_NAMES] = "list of names",
		[KIND_HEADERS] = "map of texts",
		[KIND_SPLIT] = "map of weights",
		[KIND_REDIRECT] = "map, or its `to`",
		[KIND_REDIRECT_TO] = "path or URL",
		[KIND_STATUS] = "number",
		[KIND_ROUTE_RESPONSE] = "duration: 250ms, 5s, 1m30s, 1h",
		[KIND_BACKEND_ID] = "text",
		[KIND_ADDRESS] = "address",
		[KIND_CHECK_PATH] = "path",
		[KIND_CHECK_METHOD] = "method",
		[KIND_CHECK_HOST] = "host name",
		[KIND_CHECK_BODY] = "text",
		[KIND_CHECK_SERVICE] = "name",
		[KIND_STATUSES] = "list of statuses: 200, 200-299",
		[KIND_BACKEND_CHECK] = "map",
		[KIND_RETRY] = "map",
		[KIND_ROUTE_RETRY] = "map",
		[KIND_RETRY_WHEN] = "list of failures and statuses",
		[KIND_HASH_BY] = "list of parts of a request",
		[KIND_FIELD_NAME] = "field name",
		[KIND_STICKY] = "map, or `cookie`",
		[KIND_COOKIE_NAME] = "name of a cookie",
		[KIND_COOKIE_PATH] = "path",
		[KIND_SECURE] = "true, false or auto",
		[KIND_SECRET] = "text like ${NAME}, or a map",
		[KIND_SECRET_PLACE] = "text",
		[KIND_FAILOVER] = "name of a pool",
		[KIND_ADMIN_BINDS] = "address, list of addresses, auto or none",
		[KIND_ADMIN_HOSTS] = "list of host names",
		[KIND_TOKENS] = "map of tokens",
		[KIND_METRICS_PATH] = "path",
		[KIND_PART] = "percentage: 5%, 0.01%",
		[KIND_OUTCOMES] = "list of words",
		[KIND_SYSLOG] = "address: unix:/dev/log, udp://127.0.0.1:514",
		[KIND_APP_NAME] = "text",
		[KIND_OTLP] = "URL or none",
		[KIND_SERVICE] = "text",
		[KIND_ATTRIBUTES] = "text: key=value,key=value",
		[KIND_PROVIDERS] = "list of providers",
		[KIND_PROVIDER_NAME] = "text",
		[KIND_PROVIDER_POOL] = "name of a pool",
		[KIND_PROVIDER_PATH] = "path",
		[KIND_PROVIDER_HOST] = "name with its port, or a name that begins with _",
		[KIND_DATABASE_URL] = "URL like ${DATABASE_URL}, or a map",
		[KIND_SQL_NAME] = "name in a database",
		[KIND_TESTS] = "list of tests",
		[KIND_TEST_TEXT] = "text",
		[KIND_TEST_REQUEST] = "method and URL",
		[KIND_TEST_HEADERS] = "map of texts",
		[KIND_TEST_FROM] = "IP address",
		[KIND_EXPECTED] = "text or none",
		[KIND_EXPECTED_HEADERS] = "map of texts",
		[KIND_RESOLVER_SERVERS] = "list of addresses, or system",
		[KIND_BUILTIN_PATH] = "path, or none",
		[KIND_BUILTIN_ALLOW] = "list of addresses and networks, or all",
		[KIND_FILE_NAME] = "path of a file",
		[KIND_CERTIFICATES] = "list of certificates",
		[KIND_ALPN] = "list of protocols",
		[KIND_FRONTEND_TLS] = "map, true or false",
		[KIND_POOL_TLS] = "map, true or false",
		[KIND_BACKEND_TLS] = "map, true or false",
		[KIND_SERVER_NAME] = "host name or address",
	};

	return texts[kind];
}

enum schema_map_id schema_inside(const struct schema_key *key)
{
	switch ((enum schema_kind)key->kind) {
	case KIND_NESTED:
	case KIND_BACKEND_CHECK:
	case KIND_RETRY:
	case KIND_ROUTE_RETRY:
	case KIND_STICKY:
	case KIND_SECRET:
	case KIND_DATABASE_URL:
	case KIND_LOG_OUTPUT:
	case KIND_ACCESS_OUTPUT:
	case KIND_FRONTEND_TLS:
	case KIND_POOL_TLS:
	case KIND_BACKEND_TLS:
	case KIND_CLIENT_CERT:
		return key->nested;
	case KIND_CERTIFICATES:
		return SCHEMA_certificate;
	case KIND_FRONTENDS:
		return SCHEMA_frontend;
	case KIND_POOLS:
		return SCHEMA_pool;
	case KIND_ROUTES:
		return SCHEMA_route;
	case KIND_BACKENDS:
		return SCHEMA_backend;
	case KIND_REDIRECT:
		return SCHEMA_redirect;
	case KIND_TOKENS:
		return SCHEMA_token;
	case KIND_PROVIDERS:
		return SCHEMA_provider;
	case KIND_TESTS:
		return SCHEMA_test;
	default:
		return SCHEMA_MAP_COUNT;
	}
}

const struct schema_key *schema_find(enum schema_map_id map, struct str name)
{
	for (u32 i = 0; i < schema_key_count; i++)
		if (schema_keys[i].map == map && str_eq(schema_keys[i].name, name))
			return &schema_keys[i];
	return NULL;
}

const struct schema_key *schema_type_of(enum schema_map_id map)
{
	static const struct str names[] = {{"type", 4}, {"by", 2}, {"path", 4}, {"version", 7}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct schema_key *key = schema_find(map, names[i]);

		if (key && (key->kind == KIND_WORDS || key->kind == KIND_BUILTIN_PATH))
			return key;
	}
	return NULL;
}

u32 schema_slip_max(struct str name)
{
	return (u32)MIN((name.len + 1) / 2, (size_t)2);
}

static size_t common_start(struct str a, struct str b)
{
	size_t len = 0;

	while (len < a.len && len < b.len && ascii_lower(a.ptr[len]) == ascii_lower(b.ptr[len]))
		len++;
	return len;
}

// Length of the longest common subsequence, of short names only.
static u32 common_letters(struct str a, struct str b)
{
	u32 row[name_len_max + 1] = {0};

	if (a.len > name_len_max || b.len > name_len_max)
		return 0;
	for (size_t i = 0; i < a.len; i++) {
		u32 diagonal = 0;

		for (size_t j = 1; j <= b.len; j++) {
			u32 above = row[j];

			if (ascii_lower(a.ptr[i]) == ascii_lower(b.ptr[j - 1]))
				row[j] = diagonal + 1;
			else
				row[j] = MAX(row[j], row[j - 1]);
			diagonal = above;
		}
	}
	return row[b.len];
}

// Of two equally near names: a letter left out is likelier than a wrong one, and slips are rare in
// the first letters.
static bool is_likelier(struct str wrong, struct str a, struct str b)
{
	u32 letters_a = common_letters(wrong, a), letters_b = common_letters(wrong, b);

	if (letters_a != letters_b)
		return letters_a > letters_b;
	return common_start(wrong, a) > common_start(wrong, b);
}

void nearest_try(struct nearest *nearest, struct str wrong, struct str candidate)
{
	u32 cap = schema_slip_max(wrong);
	u32 distance = str_distance(wrong, candidate, cap);

	if (distance > cap || (nearest->found && distance > nearest->distance))
		return;
	if (nearest->found && distance == nearest->distance &&
		!is_likelier(wrong, candidate, nearest->name))
		return;
	*nearest = (struct nearest){candidate, distance, true};
}

static void nearest_try_nearer(struct nearest *nearest, struct str wrong, struct str candidate)
{
	struct nearest other = {0};

	nearest_try(&other, wrong, candidate);
	if (other.found && (!nearest->found || other.distance < nearest->distance))
		*nearest = other;
}

const struct schema_key *schema_near(enum schema_map_id map, struct str name)
{
	struct nearest nearest = {0};

	// What is built first, so that it wins where both are equally near.
	for (u32 i = 0; i < schema_key_count; i++)
		if (schema_keys[i].map == map && schema_keys[i].kind != KIND_LATER)
			nearest_try(&nearest, name, schema_keys[i].name);
	for (u32 i = 0; i < schema_key_count; i++)
		if (schema_keys[i].map == map && schema_keys[i].kind == KIND_LATER)
			nearest_try_nearer(&nearest, name, schema_keys[i].name);
	return nearest.found ? schema_find(map, nearest.name) : NULL;
}

const struct schema_key *schema_elsewhere(enum schema_map_id map, struct str name)
{
	for (u32 i = 0; i < schema_key_count; i++)
		if (schema_keys[i].map != map && schema_keys[i].kind != KIND_LATER &&
			!schema_is_alias(&schema_keys[i]) &&
			schema_keys[i].kind != KIND_SHORTHAND && str_eq(schema_keys[i].name, name))
			return &schema_keys[i];
	return NULL;
}

const struct schema_word *schema_find_word(enum schema_words words, struct str text)
{
	for (u32 i = 0; i < schema_word_count; i++)
		if (schema_words[i].words == words && str_eq_nocase(schema_words[i].word, text))
			return &schema_words[i];
	return NULL;
}

const struct schema_word *schema_near_word(enum schema_words words, struct str text)
{
	struct nearest nearest = {0};

	for (u32 i = 0; i < schema_word_count; i++)
		if (schema_words[i].words == words && !schema_words[i].milestone)
			nearest_try(&nearest, text, schema_words[i].word);
	for (u32 i = 0; i < schema_word_count; i++)
		if (schema_words[i].words == words && schema_words[i].milestone)
			nearest_try_nearer(&nearest, text, schema_words[i].word);
	return nearest.found ? schema_find_word(words, nearest.name) : NULL;
}

static void add_words(
	struct text *list, enum schema_words words, bool same_as_others, const char *before)
{
	for (u32 i = 0; i < schema_word_count; i++) {
		const struct schema_word *word = &schema_words[i];

		if (word->words != words || word->milestone || !word->same_as == same_as_others)
			continue;
		text_printf(list, "%s%.*s", before, STR_FMT(word->word));
		before = ", ";
	}
}

const char *schema_list_words(enum schema_words words, struct arena *arena)
{
	struct text list = {0};

	add_words(&list, words, false, "");
	add_words(&list, words, true, "; also ");
	return text_take(&list, arena).ptr;
}
