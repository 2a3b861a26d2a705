// SPDX-License-Identifier: Apache-2.0
// The configuration as the rest of weir sees it: typed, bounded, complete. Text in YAML, TOML or
// JSON becomes a tree in which each node knows its place (tree.h); the one table schema.def types,
// bounds and defaults it; what comes out is a struct conf in which every reference is resolved and
// every default filled in, or a list of all that is wrong.
//
// Ownership: everything a struct conf points to lives in the arena it was loaded into, and dies
// with it. A struct conf is never changed after it was loaded. All texts are zero-terminated as
// well. Arrays are a pointer and a count; the pointer of an empty one may be NULL.
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "decide/access_list.h"
#include "decide/breaker.h"
#include "decide/ejection.h"
#include "decide/gradient.h"
#include "decide/health.h"
#include "decide/hedge.h"
#include "decide/outlier.h"
#include "decide/prequal.h"
#include "decide/retry.h"
#include "decide/shed.h"

enum conf_confine { CONF_CONFINE_NONE, CONF_CONFINE_NORMAL, CONF_CONFINE_STRICT };
enum conf_io { CONF_IO_AUTO, CONF_IO_URING, CONF_IO_EPOLL };

enum conf_level {
	CONF_LEVEL_ERROR,
	CONF_LEVEL_WARN,
	CONF_LEVEL_NOTICE,
	CONF_LEVEL_INFO,
	CONF_LEVEL_DEBUG,
	CONF_LEVEL_TRACE,
};

enum conf_log_format {
	CONF_LOG_AUTO, // human on a terminal, else json
	CONF_LOG_HUMAN,
	CONF_LOG_LOGFMT,
	CONF_LOG_JSON,
};

enum conf_access_format {
	CONF_ACCESS_COMBINED,
	CONF_ACCESS_JSON,
	CONF_ACCESS_ECS,
	CONF_ACCESS_HAPROXY,
};

enum conf_output_kind {
	CONF_OUTPUT_NONE, // access log only
	CONF_OUTPUT_STDERR,
	CONF_OUTPUT_STDOUT,
	CONF_OUTPUT_FILE,
	CONF_OUTPUT_SYSLOG,	// over a unix socket
	CONF_OUTPUT_SYSLOG_UDP, // to an address
};

// RFC 5424 6.2.1: the numbers of facilities.
enum conf_facility {
	CONF_FACILITY_KERN,
	CONF_FACILITY_USER,
	CONF_FACILITY_MAIL,
	CONF_FACILITY_DAEMON,
	CONF_FACILITY_AUTH,
	CONF_FACILITY_SYSLOG,
	CONF_FACILITY_LPR,
	CONF_FACILITY_NEWS,
	CONF_FACILITY_UUCP,
	CONF_FACILITY_CRON,
	CONF_FACILITY_AUTHPRIV,
	CONF_FACILITY_FTP,
	CONF_FACILITY_LOCAL0 = 16,
	CONF_FACILITY_LOCAL1,
	CONF_FACILITY_LOCAL2,
	CONF_FACILITY_LOCAL3,
	CONF_FACILITY_LOCAL4,
	CONF_FACILITY_LOCAL5,
	CONF_FACILITY_LOCAL6,
	CONF_FACILITY_LOCAL7,
};

struct conf_output {
	enum conf_output_kind kind;
	struct str path;	     // of a file or a unix socket
	struct addr addr;	     // CONF_OUTPUT_SYSLOG_UDP
	enum conf_facility facility; // of both kinds of syslog
	struct str app_name;	     // of both
};

// Shares that may be small are counted in millionths.
enum { CONF_WHOLE = 1000000 };

// What passes: a line that meets one of the conditions that are there. None is there: every line.
struct conf_access_filter {
	u32 status_min;	    // 0 = not asked for
	u64 slower_than_ms; // 0 = not asked for
	u32 outcomes;	    // a bit for each enum conf_outcome_class; 0 = not asked for
};

// Whose doing the end of a request is.
enum conf_outcome_class {
	CONF_OUTCOME_NOBODY, // answered in full, a redirect, a tunnel that was closed
	CONF_OUTCOME_CLIENT,
	CONF_OUTCOME_BALANCER,
	CONF_OUTCOME_BACKEND,
};

struct conf_runtime {
	u32 workers; // 0 = auto: one per CPU this process may use
	enum conf_io io;
	bool pin;	 // bind each worker to its CPU
	struct str user; // empty: who started it
	enum conf_confine confine;
	bool keeper;	     // a process that outlives the serving one
	u32 max_connections; // 0 = auto: from the descriptor limit
	u64 shutdown_timeout_ms;
	struct place place;
};

struct conf_log {
	enum conf_level level;
	enum conf_log_format format;
	struct conf_output output;
	struct {
		enum conf_access_format format;
		struct conf_output output; // CONF_OUTPUT_NONE: no access log
		u32 sample;		   // of CONF_WHOLE
		struct conf_access_filter filter;
	} access;
	struct place place;
};

enum conf_admin_role { CONF_ADMIN_READ, CONF_ADMIN_OPERATE };

enum conf_without_token {
	CONF_WITHOUT_TOKEN_AUTO,
	CONF_WITHOUT_TOKEN_NOTHING,
	CONF_WITHOUT_TOKEN_READ,
	CONF_WITHOUT_TOKEN_OPERATE,
};

struct conf_token {
	struct str name;
	enum conf_admin_role role;
	struct str secret;
};

struct conf_admin {
	const struct conf_bind *binds;
	u32 bind_count;
	bool binds_itself; // `auto`: where it finds room; `binds` is empty then
	bool dashboard, records;
	enum conf_without_token without_token;
	struct str token; // empty = none; also in `tokens`
	const struct conf_token *tokens;
	u32 token_count;
	const struct str *hosts;
	u32 host_count;
};

struct conf_metrics {
	bool enabled;
	struct str path;
	u32 port; // 0 = none of their own
};

enum conf_sampler {
	CONF_SAMPLER_PARENT, // as the trace says that a request belongs to, else by `sample`
	CONF_SAMPLER_RATIO,  // always by `sample`
};

enum conf_trust {
	CONF_TRUST_ALL,	    // whoever sends a traceparent
	CONF_TRUST_PROXIES, // those who may name the client
};

struct conf_attribute {
	struct str key, value;
};

struct conf_tracing {
	struct {
		struct str url; // as written; empty = no spans, and no field of a trace is touched
		struct addr addr;     // ADDR_NONE: a name, to be looked up
		struct str host;      // the name then, else empty
		u16 port;	      // the port then
		struct str authority; // for the Host field
		struct str path;
	} otlp;
	u32 sample; // of CONF_WHOLE
	enum conf_sampler sampler;
	enum conf_trust trust;
	struct str service; // the name of the service; empty = as the attributes say, else "weir"
	const struct conf_attribute *attributes; // of the resource
	u32 attribute_count;
};

struct conf_certificate {
	struct str cert, key, ocsp; // paths; empty: no file of its own
	struct place place;
};

enum conf_tls_version { CONF_TLS_1_2, CONF_TLS_1_3 };
enum conf_client_cert {
	CONF_CLIENT_CERT_NONE,
	CONF_CLIENT_CERT_OPTIONAL,
	CONF_CLIENT_CERT_REQUIRED,
};
enum conf_alpn { CONF_ALPN_HTTP_1_1, CONF_ALPN_H2 };

struct conf_frontend_tls {
	bool enabled;				     // else all others are zero
	const struct conf_certificate *certificates; // at least one
	u32 certificate_count;
	enum conf_tls_version min_version;
	const struct str *alpn; // as on the wire, the preferred one first
	u32 alpn_count;
	u64 hsts_ms; // 0 = none
	bool tickets;
	struct {
		enum conf_client_cert mode;
		struct str ca, crl; // paths
	} client;
};

// How a backend is spoken to.
struct conf_upstream_tls {
	bool enabled; // else all others are zero
	bool verify;
	struct str server_name;	       // of each backend set
	struct str ca, crl, cert, key; // paths; empty: none
	enum conf_tls_version min_version;
};

struct conf_bind {
	struct addr addr; // ":8080" is ADDR_V4 0.0.0.0
	struct str text;  // as written, for logs
	struct place place;
};

struct conf_header {
	struct str name; // lower case
	struct str value;
};

struct conf_names {
	const struct str *names;
	u32 count;
};

// The longest name of a client's certificate that can be asked for. A longer subject is cut in
// X-Client-Cert-Subject, and cut it is longer than this, so that it is never taken for another one.
enum { CONF_CERT_NAME_MAX = 1023 };

// What a route wants of the client's certificate. The parts that are given must all hold.
struct conf_match_cert {
	enum { CONF_CERT_NOT_ASKED, CONF_CERT_VERIFIED, CONF_CERT_NONE } verified;
	struct conf_names subjects; // it has one of these; none = any
	struct conf_names sans;	    // as X-Client-Cert-San has them; of these it has at least one
};

struct conf_match {
	struct str host;     // lower case, no port; empty = any. "*.example.com" -> ".example.com"
	bool host_is_suffix; // match names that end in `host` and are longer
	struct str path;     // "/v1" or, for "/v1/*", "/v1/"; empty = any
	bool path_is_prefix; // match paths that start with `path`, and `path` without its last '/'
	const struct str *methods; // upper case; none = any
	u32 method_count;
	const struct conf_header *headers; // all must be there with exactly this value
	u32 header_count;
	const struct str *alpn; // one of them is offered; none = any; TLS that is passed on only
	u32 alpn_count;
	struct conf_match_cert cert; // CONF_CERT_NOT_ASKED: nothing
};

struct conf_split {
	u32 pool;   // index into conf->pools
	u32 weight; // 1..
};

// A redirect's target is these pieces in a row.
enum conf_piece_kind {
	CONF_PIECE_TEXT,
	CONF_PIECE_HOST,  // {host}: host of the request with its port, as received
	CONF_PIECE_PATH,  // {path}: path as received, without query
	CONF_PIECE_REST,  // {rest}: what the '*' of match.path stood for, without query
	CONF_PIECE_QUERY, // {query}: '?' and the query, or nothing
};

struct conf_piece {
	enum conf_piece_kind kind;
	struct str text;
};

struct conf_retry {
	struct retry_rules rules;
	enum { CONF_RETRY_IDEMPOTENT, CONF_RETRY_ANY } methods; // as rules.any_method
	enum { CONF_JITTER_FULL } jitter;
	u64 try_timeout_ms; // for the answer of one try to begin; 0 = timeouts.response only
	u64 body_bytes_max; // of a request's body held to be sent again
};

#define CONF_NOT_SET UINT64_MAX

// Exactly one of: split_count > 0 (a plain pool is a split with one entry), or redirect_status.
struct conf_route {
	struct str name; // as written, else "FRONTEND.routes[N]"
	struct conf_match match;
	const struct conf_split *splits;
	u32 split_count;
	u16 redirect_status; // 301, 302, 303, 307, 308; 0 = no redirect
	const struct conf_piece *redirect_to;
	u32 redirect_to_count;
	u64 response_timeout_ms;	// 0 = the pool's
	u64 request_timeout_ms;		// 0 = none; CONF_NOT_SET = as the frontend and the pool say
	const struct conf_retry *retry; // NULL = the pool's
	struct place place;
};

enum conf_protocol { CONF_HTTP, CONF_TCP, CONF_TLS_PASSTHROUGH };

enum conf_proxy_protocol { CONF_PROXY_PROTOCOL_NONE, CONF_PROXY_PROTOCOL_ACCEPT };

enum conf_client_ip_header {
	CONF_CLIENT_IP_X_FORWARDED_FOR, // the rightmost address that is not a trusted proxy
	CONF_CLIENT_IP_X_REAL_IP,
};

enum conf_forwarded { CONF_FORWARDED_X_FORWARDED, CONF_FORWARDED_NONE };

// A page that is answered without any backend.
struct conf_page {
	struct str path; // in its normal form; empty: there is none
	struct access_list access;
};

struct conf_frontend {
	struct str name;
	const struct conf_bind *binds; // at least one
	u32 bind_count;
	enum conf_protocol protocol;
	struct conf_frontend_tls tls;
	bool redirect_https; // every request, to redirect_port
	u16 redirect_port;
	struct {
		u64 max_header_size; // bytes
		u64 max_body_size;   // bytes; UINT64_MAX = unlimited
		bool h2;
	} http;
	struct {
		const struct addr_prefix *trusted_proxies;
		u32 trusted_proxy_count;
		enum conf_client_ip_header header; // read only from a trusted proxy
		enum conf_proxy_protocol proxy_protocol;
	} client_ip;
	struct {
		enum conf_forwarded forwarded;
		struct str identify;   // value of X-Forwarded-By; empty: neither it nor
				       // X-Backend-Server
		struct str request_id; // lower case field name; empty = none
		bool server_timing;    // on answers
		bool proxy_status;     // also on answers of backends
		bool tell_backend;     // our own answers and Proxy-Status name the backend
	} headers;
	struct {
		u64 tls_handshake_ms;
		u64 client_header_ms;
		u64 client_idle_ms;
		u64 request_body_idle_ms;
		u64 tunnel_idle_ms; // TCP connections and upgraded ones
		u64 request_ms;	    // from a request's head to the end of its answer; 0 = none
	} timeouts;
	struct access_list access; // who may connect
	struct {
		struct conf_page health, stats;
	} builtin; // pages of our own; none with TCP
	struct {
		u32 connections;	// 0 = no limit
		u32 per_ip_connections; // 0 = no limit
		u32 handshakes;		// per worker
	} limits;
	const struct conf_route *routes; // in the order of the file: the first that matches
	u32 route_count;
	i32 pool; // index into conf->pools for what no route matched; -1 = none (404, or an alert;
		  // TCP always has one)
	struct place place;
};

enum conf_algorithm {
	CONF_ROUND_ROBIN, // smooth weighted
	CONF_RANDOM,
	CONF_WEIGHTED_RANDOM,
	CONF_POWER_OF_TWO,	  // weighted
	CONF_LEAST_CONNECTIONS,	  // weighted
	CONF_LEAST_RESPONSE_TIME, // weighted
	CONF_IP_HASH,
	CONF_CONSISTENT_HASH,
	CONF_MAGLEV,
	CONF_RENDEZVOUS,
	CONF_FIRST,
	CONF_PREQUAL,
};

// What the hashed kinds choose by.
enum conf_hash_kind {
	CONF_HASH_CLIENT_IP,
	CONF_HASH_PATH,	  // without query
	CONF_HASH_HEADER, // by name
	CONF_HASH_COOKIE,
	CONF_HASH_QUERY, // a parameter
};

struct conf_hash_part {
	enum conf_hash_kind kind;
	struct str name; // of header (lower case), cookie or parameter; else empty
};

struct conf_hash {
	const struct conf_hash_part *parts; // in this order; at least one
	u32 part_count;
	u32 ipv4_bits, ipv6_bits; // of a client's address that count
	struct str secret;	  // any bytes; empty = none is given
	u32 load_percent;	  // of the even share that one backend may have; 0 = no bound
};

enum conf_scheme { CONF_SCHEME_NONE, CONF_SCHEME_HTTP, CONF_SCHEME_HTTPS };

// As enum model_order of control/model.h.
enum conf_backend_state { CONF_BACKEND_ENABLED, CONF_BACKEND_DRAINED, CONF_BACKEND_DISABLED };

struct conf_backend {
	enum conf_scheme scheme; // as written in front of its address
	bool has_own_tls;
	struct conf_upstream_tls tls;
	struct str id;		       // as written, else the address; unique in its pool
	struct str address;	       // "10.0.0.1:80", "[::1]:80", "unix:/path" or "name:80"
	struct addr addr;	       // ADDR_NONE: a name, to be looked up once at start
	struct str host;	       // the name then, else empty
	u16 port;		       // the port then
	bool is_h2;		       // it speaks HTTP/2, and nothing else
	u32 weight;		       // 0 = no new requests
	u32 max_connections;	       // idle ones too; 0 = no limit
	u64 slow_start_ms;	       // 0 = the pool's
	enum conf_backend_state state; // at the start
	bool is_backup;		       // gets requests only while no other backend of the pool may
	struct {		       // where it is checked, if not as its pool's check says
		u32 port;	       // 0 = the pool's
		struct str path, host; // empty = the pool's
	} check;
	struct place place;
};

// Where Prequal's numbers are from.
enum conf_prequal_load {
	CONF_PREQUAL_OWN,    // this process' own counts: balance_pick
	CONF_PREQUAL_HEADER, // a field of answers to requests: balance_pick
	CONF_PREQUAL_PROBE,  // the same of answers to probes: prequal_pick
};

struct conf_prequal {
	enum conf_prequal_load load;
	struct str header;		// lower case
	struct str probe;		// path of the page
	struct prequal_options options; // hot_percent is for balance_options as well
	u64 age_max_ms;			// as options.age_max
	u32 choices;			// for balance_options
};

enum conf_sticky_by { CONF_STICKY_COOKIE };

enum conf_same_site { CONF_SAME_SITE_LAX, CONF_SAME_SITE_STRICT, CONF_SAME_SITE_NONE };

// What leads a client back to its backend.
struct conf_sticky {
	bool enabled; // else all others are zero
	enum conf_sticky_by by;
	struct str name;   // of the cookie, a token
	u64 ttl_ms;	   // at least a second; 0 = until the browser is closed
	struct str secret; // any bytes; else this machine's; empty = one that everybody knows
	struct str path;   // starts with '/'
	bool secure, secure_auto; // for all clients | for those that come by TLS
	enum conf_same_site same_site;
};

enum conf_check_type {
	CONF_CHECK_AUTO, // health_auto.h
	CONF_CHECK_HTTP,
	CONF_CHECK_TCP,
	CONF_CHECK_GRPC,
	CONF_CHECK_NONE,
};

// Numbers of the versions.
enum conf_send_proxy { CONF_SEND_PROXY_NONE, CONF_SEND_PROXY_V1, CONF_SEND_PROXY_V2 };

// What a PROXY header of version 2 tells besides addresses.
enum conf_proxy_tlv {
	CONF_PROXY_TLV_ALPN = 1,
	CONF_PROXY_TLV_AUTHORITY = 2,
	CONF_PROXY_TLV_UNIQUE_ID = 4,
	CONF_PROXY_TLV_SSL = 8,
	CONF_PROXY_TLV_CRC32C = 16,
};

struct conf_statuses {
	u16 first, last;
};

struct conf_check {
	enum conf_check_type type;
	struct health_rules rules;
	struct str path, method;
	struct str host;    // of the Host field; empty = the backend's address
	u32 port;	    // 0 = the backend's
	struct str service; // that gRPC is asked about; empty = the whole server
	struct {
		const struct conf_statuses *statuses; // at least one range
		u32 status_count;
		struct str body; // the answer's body contains it; empty = any
	} expect;
};

enum conf_pool_protocol { CONF_POOL_AUTO, CONF_POOL_H2 };

struct conf_pool {
	struct str name;
	enum conf_pool_protocol protocol;
	enum conf_algorithm algorithm;
	struct conf_hash hash;
	struct conf_prequal prequal;
	struct conf_sticky sticky;
	i32 failover; // index of the pool that takes over when nobody is left; -1 = none
	struct conf_upstream_tls tls;	     // of backends that say nothing else; see each one's
	const struct conf_backend *backends; // at least one, unless a provider feeds the pool
	u32 backend_count;
	struct {
		u64 connect_ms;
		u64 response_ms;      // until the first byte of the answer
		u64 response_idle_ms; // between two pieces of the answer's body
		u64 upstream_idle_ms; // an unused kept connection
		u64 queue_ms;	      // for a place at a backend that is full
		u64 request_ms;	      // as a frontend's; the shorter one counts; 0 = none
	} timeouts;
	struct {
		u32 idle_connections; // kept per backend and worker; 0 = none is kept
		u32 requests;	      // and TCP connections served at the same time; 0 = no limit
		u32 queue;	      // requests that wait, per worker; 0 = nobody waits
		bool adaptive;	      // by `gradient`, per backend
		struct gradient_rules gradient;
		struct shed_rules shed;
	} limits;
	struct conf_check check;
	struct breaker_rules breaker;
	struct ejection_rules ejection;
	struct {
		bool enabled;
		u64 interval_ms;
		struct outlier_rules rules;
	} success_rate;
	u32 panic_percent; // 0 = no panic
	u64 slow_start_ms; // 0 = none
	struct conf_retry retry;
	struct hedge_rules hedge;
	struct {
		enum conf_send_proxy version;
		u32 tlvs; // bits of enum conf_proxy_tlv; version 2 only
	} send_proxy;
	struct place place;
};

enum conf_provider_type {
	CONF_PROVIDER_AUTO, // only while it is read
	CONF_PROVIDER_SQLITE,
	CONF_PROVIDER_POSTGRES,
	CONF_PROVIDER_DNS,
	CONF_PROVIDER_FILE,
};

// A source of backends. What its type does not need is empty.
struct conf_provider {
	enum conf_provider_type type;
	struct str name;     // unique
	struct str pool;     // defined
	struct str url;	     // of PostgreSQL; may hold a password
	struct str url_from; // what the user has to correct: "DATABASE_URL", "providers[0].url"
	struct str path;     // of SQLite or a list; absolute where it came from a file
	struct str table, column, channel;
	struct str host; // DNS, without port
	u16 port;	 // DNS; 0: `host` names SRV records
	u64 refresh_ms, poll_ms, timeout_ms;
	u32 backends_min, vanish_percent;
	struct place place;
};

// What something has to be; ptr NULL: not asked for.
struct conf_expected {
	struct str name; // of a header field, lower case; else empty
	struct str text; // "none": there is none
	u32 width;	 // as in a finding
	struct place place;
};

// A request, and what has to become of it.
struct conf_test {
	struct str name; // as written, else "tests[N]"
	struct str method, url, frontend;
	struct addr from;		    // ADDR_NONE: not given
	const struct conf_expected *fields; // of the request; what they have, not what they must
	u32 field_count;
	struct str cert_subject;
	struct conf_names cert_sans; // without both: the client shows no certificate
	struct {
		struct conf_expected route, pool, status, location;
		const struct conf_expected *headers; // as a backend gets to see it
		u32 header_count;
	} expect;
	u32 width;
	struct place place; // of `request`
};

struct conf_resolver {
	const struct str *servers; // addresses with port; none: the system's
	u32 server_count;
	u64 timeout_ms, ttl_min_ms, ttl_max_ms, stale_ms;
};

struct conf {
	struct conf_runtime runtime;
	struct conf_log log;
	struct conf_admin admin;
	struct conf_metrics metrics;
	struct conf_tracing tracing;
	const struct conf_certificate *certificates;
	u32 certificate_count;
	const struct conf_frontend *frontends;
	u32 frontend_count;
	const struct conf_pool *pools;
	u32 pool_count;
	const struct conf_provider *providers;
	u32 provider_count;
	struct conf_resolver resolver;
	const struct conf_test *tests;
	u32 test_count;
	const char *const *files; // what was read, in order; includes and .env among them
	u32 file_count;
	const struct node *tree;	     // canonical and complete, for conf_show
	const char *machine_id;		     // as in struct conf_input
	const struct report_source *sources; // texts without secrets, for findings (conf/report.h)
	bool has_files;			     // files that it names may be read
};

// What to read. Later sources win: files, then `environ`, then `sets`.
struct conf_input {
	const char *const *files; // paths; "-" = standard input (YAML or JSON)
	u32 file_count;
	const char *const *sets; // "frontends.web.bind=:80", from --set and from other flags
	u32 set_count;
	char *const *environ; // NULL-terminated NAME=VALUE list, or NULL: WEIR_* and ${VAR}
	const char *dotenv;   // path of a .env file that may be missing, or NULL
	// Path of a file that names this machine and may be missing, or NULL.
	const char *machine_id;
};

// What one configuration and its tree may take at most; the arena given to the calls below must
// allow at least this much.
#define CONF_ARENA_BYTES_MAX (1ull << 30)

enum { CONF_WEIGHT_MAX = 1000 }; // of a backend, wherever it comes from

// Reads, merges, types and checks. NULL when there is any error; warnings may be there either way.
// What it gives lives in `arena`, as do the names in the places of `errs`.
struct conf *conf_load(
	const struct conf_input *input, struct arena *arena, struct errs *errs) must_check;

// The same from a text; `name` stands in places. It cannot include files and knows no variables.
enum conf_syntax { CONF_YAML, CONF_TOML, CONF_JSON };

struct conf *conf_load_text(const char *name, struct str text, enum conf_syntax syntax,
	struct arena *arena, struct errs *errs) must_check;

// A text of conf_keep; `name` stands in places. Files that it names are read. Of `input` what it
// needs to find secrets counts: environ, dotenv and machine_id.
struct conf *conf_load_kept(const char *name, struct str text, const struct conf_input *input,
	struct arena *arena, struct errs *errs) must_check;

// The flags-only mode of seed 3. NULL = the flag was not given.
struct conf_flags {
	const char *port;     // "8080": frontends.default.bind = :8080
	const char *backends; // "a:1,b:2,c:3"
	const char *algorithm;
	u32 health_interval_s; // 0 = not given: 30
};

// No file at all: the flags with seed 3's defaults (8080, 127.0.0.1:3001-3003, round_robin,
// GET /health every 30 s, X-Forwarded-By rust-load-balancer), then `environ` and `sets` of `input`
// on top.
struct conf *conf_from_flags(const struct conf_flags *flags, const struct conf_input *input,
	struct arena *arena, struct errs *errs) must_check;

// No file, but DATABASE_URL in the environment or the .env file: a pool `default` whose backends
// are in that database, and HTTP on :8080. Flags other than `backends` count.
struct conf *conf_from_database(const struct conf_flags *flags, const struct conf_input *input,
	struct arena *arena, struct errs *errs) must_check;

// Where state is kept from one start to the next: $STATE_DIRECTORY, $XDG_STATE_HOME/weir,
// ~/.local/state/weir, or for root /var/lib/weir. NULL: nowhere. It need not exist.
const char *conf_state_folder(char *const *variables, struct arena *arena);

// The file to use when none was named: $WEIR_CONFIG, ./weir.{yaml,yml,toml,json}, ./config.yaml,
// ./mini-balancer.toml, $XDG_CONFIG_HOME/weir/ (or ~/.config/weir/), /etc/weir/weir.yaml with
// /etc/weir/conf.d/*. Gives the number of files written to `files` (in the order to read them), 0
// when there is none. Files other than $WEIR_CONFIG exist.
u32 conf_locate(
	char *const *variables, struct arena *arena, const char *const **ret_files) must_check;

// By the ending of the name; YAML when it is unknown.
enum conf_syntax conf_syntax_of(const char *file);

// The effective configuration, canonical and complete; YAML may carry the origin of each value as a
// comment. Loading what it gives yields the same configuration. Secrets are not in it: one that a
// variable, a file or a credential holds is shown as that reference, and loads where the reference
// leads somewhere; one that stands in the configuration itself is shown as ***, which is refused
// when loaded.
struct str conf_show(
	const struct conf *conf, enum conf_syntax syntax, bool with_origin, struct arena *arena);

// The same with its secrets, for the eyes of this program only: what it gives must not reach a file
// or a log. Never reformatted: load it as JSON.
struct str conf_keep(const struct conf *conf, struct arena *arena);

// One file in another syntax: shorthands and the seeds' formats become canonical, variables stay as
// written, defaults are not filled in. An empty text when the file has errors.
struct str conf_convert(const struct conf_input *input, enum conf_syntax syntax,
	struct arena *arena, struct errs *errs) must_check;

// A finding about a test that does not hold: at what it expects, or (`at` NULL) at its request.
// `advice` may be NULL.
void conf_fail_test(const struct conf *conf, const struct conf_test *test,
	const struct conf_expected *at, const char *what, const char *advice, struct errs *errs);

// A finding (conf/codes.def) about a file that the configuration names: where it does so, when
// `file` is a field of `conf` that names one. `advice` may be NULL or empty.
void conf_fail_file(const struct conf *conf, struct str file, u16 code, const char *what,
	const char *advice, struct errs *errs);

// JSON Schema 2020-12 of the configuration.
struct str conf_schema(struct arena *arena);

const char *conf_algorithm_name(enum conf_algorithm algorithm); // "round_robin"
const char *conf_protocol_name(enum conf_protocol protocol);	// "http"

// docs/config.md.
struct str conf_reference(struct arena *arena);

// Text for `weir help KEY`, where KEY is a path with any names in it ("pools.app.algorithm") or
// only the end of one ("algorithm"). An empty text when nothing has this name; then *ret_near is
// the nearest path, or NULL.
struct str conf_help_key(struct str key, struct arena *arena, const char **ret_near);
