// SPDX-License-Identifier: Apache-2.0
// Arguments and environment to a plan: what to do, with which configuration. A pure function: no
// file is read, nothing is printed.
//
// The four ways to say what to balance (seeds 0, 2 and 3): -c FILE; FILE alone, which is any first
// argument with '.' or '/' in it, so that `weir config.yaml` and `weir config show` never clash;
// flags; nothing at all, when files are searched for and the environment is asked.
//
// Ownership: texts are borrowed from argv and the environment or live in the arena.
#pragma once

#include "conf/conf.h"

// X(ENUM, "words on the command line", "what follows", "what it does")
#define PLAN_COMMANDS(X)                                                                           \
	X(RUN, "run", "[FILE]", "balance; also without the word run")                              \
	X(CHECK, "check", "[FILE]", "check a configuration and stop")                              \
	X(DEMO, "demo", "", "three servers and the balancer, to try it out")                       \
	X(TEST_BACKEND, "test-backend", "PORT", "a server that shows what arrives, for tests")     \
	X(HEALTHCHECK, "healthcheck", "[URL]", "whether a running weir is ready, as an exit code") \
	X(TOP, "top", "", "watch a running weir: what is wrong, and what it does")                 \
	X(STATUS, "status", "", "how a running weir is, in a few lines and as an exit code")       \
	X(EVENTS, "events", "", "what has changed, and who did it (-f: as it happens)")            \
	X(WHY, "why", "[REQUEST-ID]", "what was done with a request; without an ID: what failed")  \
	X(EXPLAIN, "explain", "METHOD URL", "what would be done with a request, and why")          \
	X(CONNECTIONS, "connections", "[[POOL/]BACKEND]",                                          \
		"who is connected, and what each of them does")                                    \
	X(DRAIN, "drain", "[POOL/]BACKEND", "no new requests for it; running ones go on")          \
	X(DISABLE, "disable", "[POOL/]BACKEND", "no new requests, and its connections are closed") \
	X(ENABLE, "enable", "[POOL/]BACKEND", "requests again, after drain or disable")            \
	X(WEIGHT, "weight", "[POOL/]BACKEND N", "its share of new requests, 0 to 1000")            \
	X(BREAKER, "breaker", "[POOL/]BACKEND STATE",                                              \
		"hold its circuit breaker open or closed; auto lets it go")                        \
	X(LOG_LEVEL, "log-level", "LEVEL", "the least important lines that are logged")            \
	X(UNDO, "undo", "NUMBER", "take a change back, by the number of its event")                \
	X(UPGRADE, "upgrade", "[BINARY]", "another binary takes over; no connection is lost")      \
	X(RELOAD, "reload", "", "a running weir reads its configuration again")                    \
	X(DIFF, "diff", "A B|--live [FILE]",                                                       \
		"what a configuration changes, against another or the one that serves")            \
	X(APPLY, "apply", "FILE", "a running weir takes this configuration (--confirm 60s)")       \
	X(CONFIRM, "confirm", "", "what was applied on probation stays")                           \
	X(GENERATIONS, "generations", "", "the last configurations that were in effect")           \
	X(JOURNAL, "journal", "", "what was ordered and is in force, by whom and since when")      \
	X(EXPORT, "export", "", "a configuration that says what is written and was ordered")       \
	X(ROLLBACK, "rollback", "[NUMBER]",                                                        \
		"back to one of them; without a number the one before")                            \
	X(BACKENDS_ADD, "backends add", "[POOL] ADDRESS [WEIGHT]",                                 \
		"one more backend, in the database or for a pool of a running weir")               \
	X(BACKENDS_REMOVE, "backends remove", "[POOL/]BACKEND",                                    \
		"one less; running requests go on")                                                \
	X(BACKENDS_LIST, "backends list", "",                                                      \
		"the backends in the database, or of a running weir")                              \
	X(CONFIG_SHOW, "config show", "[FILE]", "the configuration in effect, with all defaults")  \
	X(CONFIG_SCHEMA, "config schema", "", "JSON Schema of the configuration, for editors")     \
	X(CONVERT, "config convert", "FILE", "the same file as YAML, TOML or JSON (--format)")     \
	X(SIMULATE, "simulate", "[KEY=VALUE]...",                                                  \
		"algorithms compared in virtual time, by a model or a log")                        \
	X(MIGRATE, "migrate", "add NAME|run|status|revert",                                        \
		"numbered SQL files, each run once on the database of the backends")               \
	X(IMPORT, "import bal-rs", "FILE", "Bal.rs' config.yaml as a configuration (--format)")    \
	X(CERT, "cert", "[FOLDER [NAME]...]", "a certificate of our own, to try out HTTPS")        \
	X(HELP, "help", "[KEY]", "help on a command or on a key of the configuration")             \
	X(VERSION, "version", "", "version and what this build can do (-VV)")

enum plan_command {
#define X(name, words, rest, prose) PLAN_##name,
	PLAN_COMMANDS(X)
#undef X
		PLAN_COMMAND_COUNT
};

struct plan_command_info {
	const char *words, *rest, *prose;
};

struct plan_option_info {
	int short_name; // 0 = none
	const char *long_name;
	const char *value; // NULL = takes none
	u64 commands;	   // bit of each plan_command that takes it
	const char *prose;
};

struct plan {
	enum plan_command command;
	const char *const *files; // -c and positional, in order
	u32 file_count;
	const char *const *sets; // --set, --io, --workers, -v and -q as KEY=VALUE; later ones win
	u32 set_count;
	struct conf_flags flags;
	bool from_flags; // one of seed 3's flags was given
	bool no_env_file;
	enum conf_syntax syntax; // --format
	bool as_json;		 // check, version, simulate and what asks
	bool with_origin;
	bool is_deep;	     // check
	enum conf_io io;     // test-backend
	const char *address; // test-backend: PORT or ADDRESS:PORT
	bool is_steady;	     // test-backend: --steady, or the port came from $PORT
	const char *fault;   // test-backend; NULL = not given
	const char *seed, *svg, *draw, *replay; // simulate; NULL = not given
	const char *admin, *token_file;		// of commands that ask; NULL = not given
	u64 timeout_ms;				// of an answer; 0 = not given
	const char *database_url, *source;	// migrate, backends; NULL = not given
	bool is_reversible;			// migrate
	const char *url;			// healthcheck; NULL = the admin address
	const char *const *words;		// of commands that ask, what follows the command
	u32 word_count;
	const char *const *fields; // explain: -H, as "Name: value"
	u32 field_count;
	const char *from, *frontend;	      // explain, connections; NULL = not given
	const char *cert_subject, *cert_sans; // explain; NULL = not given
	const char *state;		      // connections; NULL = not given
	bool oldest;			      // connections
	bool once;			      // top
	bool follows;			      // events
	bool waits;			      // drain
	bool is_live;			      // diff
	const char *confirm;		      // apply: a duration; NULL = not given
	u32 limit;			      // events, why, connections; 0 = not given
	const char *topic;		      // help: a command or a key; NULL = the one screen
	bool help_all;
	u32 version_level; // 1 = -V, 2 = -VV
	const char *error; // why there is no plan
	const char *hint;  // what to do about it, or NULL
};

// 0, or -EINVAL with ret_plan->error and perhaps hint.
int plan_make(int argc, char *const *argv, char *const *environ, struct arena *arena,
	struct plan *ret_plan) must_check;

extern const struct plan_command_info plan_commands[PLAN_COMMAND_COUNT];
extern const struct plan_option_info plan_options[];
extern const u32 plan_option_count;

// Value of a variable that is set and not empty, or NULL.
const char *plan_variable(char *const *environ, const char *name);

// The nearest of `count` words, at most two slips away; NULL when none is near.
const char *plan_near(const char *word, const char *const *words, u32 count);
