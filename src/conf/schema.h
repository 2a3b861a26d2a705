// SPDX-License-Identifier: Apache-2.0
// The table schema.def as data: maps, their keys, and the words that some keys take.
#pragma once

#include "conf/tree.h"

enum schema_map_id {
#define MAP(id, path, prose) SCHEMA_##id,
#include "conf/schema_empty.h"
#include "conf/schema.def"
#include "conf/schema_end.h"
	SCHEMA_MAP_COUNT,
};

enum schema_kind {
	KIND_NESTED,
	KIND_FLAG,
	KIND_COUNT,
	KIND_DURATION,
	KIND_SIZE,
	KIND_WORDS,
	KIND_PERCENT,
	KIND_DECIMAL,
	KIND_ALIAS,
	KIND_ALIAS_IN,
	KIND_LATER,
	KIND_VERSION,
	KIND_INCLUDE,
	KIND_SHORTHAND,
	KIND_FRONTENDS,
	KIND_POOLS,
	KIND_BINDS,
	KIND_POOL,
	KIND_ROUTES,
	KIND_BACKENDS,
	KIND_LOG_OUTPUT,
	KIND_ACCESS_OUTPUT,
	KIND_PREFIXES,
	KIND_IDENTIFY,
	KIND_REQUEST_ID,
	KIND_TEXT,
	KIND_HOST,
	KIND_PATH,
	KIND_METHODS,
	KIND_MATCH_ALPN,
	KIND_PROXY_TLVS,
	KIND_CLIENT_CERT,
	KIND_MATCH_VERIFIED,
	KIND_CERT_SUBJECTS,
	KIND_CERT_NAMES,
	KIND_HEADERS,
	KIND_SPLIT,
	KIND_REDIRECT,
	KIND_REDIRECT_TO,
	KIND_STATUS,
	KIND_ROUTE_RESPONSE,
	KIND_BACKEND_ID,
	KIND_ADDRESS,
	KIND_CHECK_PATH,
	KIND_CHECK_METHOD,
	KIND_CHECK_HOST,
	KIND_CHECK_BODY,
	KIND_CHECK_SERVICE,
	KIND_STATUSES,
	KIND_BACKEND_CHECK,
	KIND_RETRY,
	KIND_ROUTE_RETRY,
	KIND_RETRY_WHEN,
	KIND_HASH_BY,
	KIND_FIELD_NAME,
	KIND_STICKY,
	KIND_COOKIE_NAME,
	KIND_COOKIE_PATH,
	KIND_SECURE,
	KIND_SECRET,
	KIND_SECRET_PLACE,
	KIND_FAILOVER,
	KIND_ADMIN_BINDS,
	KIND_ADMIN_HOSTS,
	KIND_TOKENS,
	KIND_METRICS_PATH,
	KIND_PART,
	KIND_OUTCOMES,
	KIND_SYSLOG,
	KIND_APP_NAME,
	KIND_OTLP,
	KIND_SERVICE,
	KIND_ATTRIBUTES,
	KIND_BUILTIN_PATH,
	KIND_BUILTIN_ALLOW,
	KIND_FILE_NAME,
	KIND_CERTIFICATES,
	KIND_ALPN,
	KIND_FRONTEND_TLS,
	KIND_POOL_TLS,
	KIND_BACKEND_TLS,
	KIND_SERVER_NAME,
	KIND_PROVIDERS,
	KIND_PROVIDER_NAME,
	KIND_PROVIDER_POOL,
	KIND_PROVIDER_PATH,
	KIND_PROVIDER_HOST,
	KIND_DATABASE_URL,
	KIND_SQL_NAME,
	KIND_RESOLVER_SERVERS,
	KIND_TESTS,
	KIND_TEST_TEXT,
	KIND_TEST_REQUEST,
	KIND_TEST_HEADERS,
	KIND_TEST_FROM,
	KIND_EXPECTED,
	KIND_EXPECTED_HEADERS,
	SCHEMA_KIND_COUNT,
};

enum schema_words {
	WORDS_backend_state,
	WORDS_confine,
	WORDS_io,
	WORDS_level,
	WORDS_log_format,
	WORDS_access_format,
	WORDS_protocol,
	WORDS_client_ip_header,
	WORDS_forwarded,
	WORDS_algorithm,
	WORDS_check_type,
	WORDS_retry_methods,
	WORDS_pool_protocol,
	WORDS_proxy_protocol,
	WORDS_send_proxy_version,
	WORDS_retry_jitter,
	WORDS_prequal_load,
	WORDS_sticky_by,
	WORDS_same_site,
	WORDS_admin_role,
	WORDS_admin_without_token,
	WORDS_facility,
	WORDS_sampler,
	WORDS_trust,
	WORDS_tls_version,
	WORDS_client_cert,
	WORDS_alpn,
	WORDS_provider_type,
};

enum schema_milestone {
	MILESTONE_NONE,
	MILESTONE_STEERING,
	MILESTONE_TLS,
	MILESTONE_CHANGE,
	MILESTONE_POLICIES,
	MILESTONE_DATAGRAMS,
	MILESTONE_HTTP3,
};

struct schema_key {
	u8 map;	      // enum schema_map_id
	u8 kind;      // enum schema_kind
	u8 words;     // KIND_WORDS: enum schema_words
	u8 nested;    // of a NESTED or BRANCH: enum schema_map_id
	u8 milestone; // KIND_LATER
	bool is_needed;
	u32 offset; // of the field in the struct of its map
	struct str name;
	const char *other;	  // an alias' key; else the word for the extreme value
	const char *unit;	  // KIND_ALIAS_IN: what its bare number counts
	const char *default_text; // NULL: absent
	u64 min, max;
	const char *prose;
};

struct schema_map {
	const char *path, *prose;
};

struct schema_word {
	u8 words;     // enum schema_words
	u8 milestone; // not built yet when not MILESTONE_NONE
	int value;
	struct str word;
	const char *same_as; // an alias' real word
};

extern const struct schema_map schema_maps[SCHEMA_MAP_COUNT];
extern const struct schema_key schema_keys[];
extern const u32 schema_key_count;
extern const struct schema_word schema_words[];
extern const u32 schema_word_count;

// "planned with balancing and health checks"
const char *schema_milestone_text(enum schema_milestone milestone);

// What a value of this kind looks like, for people.
const char *schema_kind_text(enum schema_kind kind);

// The map inside a value of this key ("frontends" -> frontend), or SCHEMA_MAP_COUNT.
enum schema_map_id schema_inside(const struct schema_key *key);

// The key whose value may stand for the whole map ("type" of health_check, "by" of sticky, "path"
// of a page), or NULL.
const struct schema_key *schema_type_of(enum schema_map_id map);

// Whether the key is another spelling.
static inline bool schema_is_alias(const struct schema_key *key)
{
	return key->kind == KIND_ALIAS || key->kind == KIND_ALIAS_IN;
}

// The key of this name, aliases and later ones too, or NULL.
const struct schema_key *schema_find(enum schema_map_id map, struct str name);

// The nearest key or word within a distance a slip can explain, or NULL.
const struct schema_key *schema_near(enum schema_map_id map, struct str name);
const struct schema_word *schema_near_word(enum schema_words words, struct str text);

// Another map that has this key, for "it belongs there", or NULL.
const struct schema_key *schema_elsewhere(enum schema_map_id map, struct str name);

const struct schema_word *schema_find_word(enum schema_words words, struct str text);

// "round_robin, least_connections; also rr, lc": the words of a set that are built.
const char *schema_list_words(enum schema_words words, struct arena *arena);

// How near a wrong name must be for a suggestion: half its letters, at most 2.
u32 schema_slip_max(struct str name);

// Keeps the nearest of the candidates it is shown. Start with {0}.
struct nearest {
	struct str name;
	u32 distance;
	bool found;
};

void nearest_try(struct nearest *nearest, struct str wrong, struct str candidate);
