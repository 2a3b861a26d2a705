// SPDX-License-Identifier: Apache-2.0
// Canonical tree to struct conf, by the table. Fills defaults into the tree as well and writes each
// value back in its canonical form, so that afterwards the tree shows the effective configuration.
#pragma once

#include "conf/conf.h"
#include "conf/schema.h"
#include "conf/variables.h"

struct build {
	struct arena *arena;
	struct report *report;
	struct conf *conf;
	struct node *root;
	struct node *pools, *frontends; // NULL: none
	struct conf_pool *pool_list;
	bool *pool_is_used;
	struct variables *variables;
	const char *machine_id; // file that names this machine; NULL: none is read
	bool has_files;		// files that are named in it may be read
	bool is_partial;	// a file could not be read: what is missing may stand there
};

// Where a value stands, for messages: "frontends.web.routes[2].pool".
struct path {
	const struct path *up; // NULL: the root itself
	struct str name;       // or
	u32 index;	       // of an item, when name.ptr is NULL
};

const char *path_text(const struct build *build, const struct path *path);

// Types the whole tree into build->conf.
void build_root(struct build *build);

// Types one map into `object`, a struct that schema.def names for its keys. `node` becomes
// canonical.
void build_map(struct build *build, enum schema_map_id map, const struct path *path,
	struct node *node, void *object);

typedef void build_fn(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object);

// Converters by kind; each reports what is wrong and then leaves its field alone.
build_fn build_flag, build_count, build_duration, build_size, build_words, build_log_output,
	build_access_output, build_text;
build_fn build_binds, build_prefixes, build_identify, build_request_id, build_frontends,
	build_routes, build_pool_name;
build_fn build_host, build_path, build_methods, build_headers, build_split, build_redirect,
	build_redirect_to, build_status, build_route_response;
build_fn build_percent, build_decimal;
build_fn build_check_path, build_check_method, build_check_host, build_check_body,
	build_check_service, build_statuses;
build_fn build_backend_check, build_retry, build_route_retry, build_retry_when;
build_fn build_hash_by, build_failover, build_field_name;
build_fn build_part, build_outcomes, build_syslog, build_app_name;
build_fn build_otlp, build_service, build_attributes;
build_fn build_sticky, build_cookie_name, build_cookie_path, build_secure;
build_fn build_secret, build_secret_place;
build_fn build_builtin_path, build_builtin_allow;
build_fn build_file_name, build_certificates, build_alpn, build_frontend_tls, build_pool_tls,
	build_backend_tls, build_server_name;
build_fn build_match_alpn, build_proxy_tlvs;
build_fn build_client_cert, build_match_verified, build_cert_subjects, build_cert_names;
build_fn build_providers, build_provider_name, build_provider_pool, build_provider_path,
	build_provider_host, build_database_url, build_sql_name, build_resolver_servers;
build_fn build_tests, build_test_text, build_test_request, build_test_headers, build_test_from,
	build_expected, build_expected_headers;

// What stands in variables of OpenTelemetry and not in the tree is put there. Before build_root.
void build_take_otel(struct report *report, struct node *root, const struct variables *variables);

// A sticky pool that was given no secret gets this machine's. After build_root without errors.
void build_machine_secret(struct build *build);
build_fn build_admin_binds, build_admin_hosts, build_tokens, build_metrics_path;
build_fn build_pools, build_backends, build_backend_id, build_address;

// The text of a single value; false, reported, when the node is something else or empty.
bool build_scalar(struct build *build, const struct path *path, const struct node *node,
	struct str *ret_text) must_check;

// Sets the canonical text of a value. `is_bare`: a number or boolean.
void build_canonical(struct build *build, struct node *node, const char *text, bool is_bare);

// "did you mean 'x'?" when something was near.
void build_suggest(struct build *build, struct err *err, const struct nearest *nearest);

// A map whose members have names the user chose. False, reported, when a name is not possible.
bool build_check_name(struct build *build, const struct node *node, const char *what) must_check;

// A duration in its bounds, or false and reported.
bool build_parse_duration(struct build *build, const struct path *path, struct node *node, u64 min,
	u64 max, u64 *ret_ms) must_check;

// What follows from several keys of `admin`. Part of build_check.
void build_finish_admin(struct build *build);

// Index of the pool of this name; -1, reported, when there is none.
i32 build_find_pool(struct build *build, const struct path *path, const struct node *node,
	struct str name, bool is_key) must_check;

// What refers to itself, to nothing, or to the same thing twice. After build_root without errors.
void build_check(struct build *build);

// One address to listen on.
void build_bind(
	struct build *build, const struct path *path, struct node *node, struct conf_bind *bind);

// The networks of a list, with words like `private` in it.
const struct addr_prefix *build_prefix_list(
	struct build *build, const struct path *path, const struct node *list, u32 *ret_count);

// What follows from several keys of a frontend's pages, after its map.
void build_finish_builtin(struct build *build, const struct path *path, const struct node *node,
	struct conf_frontend *frontend);

// What follows from several keys about PROXY headers and hellos, after the frontend's or pool's
// map.
void build_finish_opening(struct build *build, const struct path *path, const struct node *node,
	const struct conf_frontend *frontend);
// What one of its routes asks about a client's certificate: `match` of it, which may be NULL.
void build_finish_cert(struct build *build, const struct path *path, const struct node *match,
	const struct conf_frontend *frontend, struct conf_match_cert *cert);
void build_finish_send_proxy(struct build *build, const struct path *path, const struct node *node,
	const struct conf_pool *pool);

// Routes whose requests a page answers. Part of build_check.
void build_check_builtin(struct build *build, const struct conf_frontend *frontend);

// "GET" of "get"; an empty text, reported, when it is no method.
struct str build_method(struct build *build, const struct path *path, struct node *node);

// How each backend of a pool is spoken to, after the pool's map; and, as a part of build_check,
// where redirects to https lead, and what is meant to be encrypted and is not.
void build_finish_tls(struct build *build, struct conf_pool *pool);
void build_check_tls(struct build *build);

// What follows from several keys of one pool, after its map.
void build_finish_pool(struct conf_pool *pool);

// A list that only a default gave, as one text with commas, becomes a list.
void build_make_list(struct build *build, struct node *node);

// A list of at least one item, or false and reported. `what`: its items, for people.
bool build_check_list(struct build *build, const struct path *path, const struct node *node,
	const char *what) must_check;

// Failure and its consequences, and how backends are chosen: settings that contradict each other.
// Parts of build_check.
void build_check_rules(struct build *build);
void build_check_choice(struct build *build);

// Does the frontend send to this pool, by itself or by a route?
bool build_leads_to(const struct conf_frontend *frontend, i32 pool);

// What stands under a key of a pool or frontend; NULL when nobody wrote it.
const struct node *build_section(
	const struct build *build, const struct conf_pool *pool, const char *key);
const struct node *build_frontend_section(
	const struct build *build, const struct conf_frontend *frontend, const char *key);

// One field of a map of header fields. False: its value is no text. Faults are reported.
bool build_header(struct build *build, const struct path *path, struct node *node,
	struct conf_header *ret_header);

// Names of HTTP (RFC 9110 section 5.6.2) and printable text.
bool build_is_token(struct str text);
bool build_is_printable(struct str text);
