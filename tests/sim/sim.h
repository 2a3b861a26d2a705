// SPDX-License-Identifier: Apache-2.0
// One seed: a worker's whole core between scripted clients (callers) and scripted backends
// (servers) on a simulated network. A call is one request with its answer, planned in advance; both
// sides write down in it what they saw, and the check compares.
#pragma once

#include "base/arena.h"
#include "loop/loop_sim.h"
#include "peer.h"
#include "proxy/proxy.h"
#include "reader.h"
#include "script.h"

#define SIM_FORGED "CN=forged" // what clients say of their certificates

struct tls_sessions;
struct world;
struct call;
struct caller;
struct server;

// Everything that goes wrong on purpose, counted. X(NAME, text)
#define SIM_FAULTS(X)                                                            \
	X(BAD_HEAD, "malformed or ambiguous request head")                       \
	X(BAD_BODY, "malformed chunked body of a request")                       \
	X(LARGE_BODY, "request body above the limit")                            \
	X(NO_ROUTE, "request without a route")                                   \
	X(CALLER_CLOSES, "client closes in its request")                         \
	X(CALLER_RESETS, "client resets in its request")                         \
	X(CALLER_STALLS, "client stalls in its request")                         \
	X(CALLER_SHUTS, "client half-closes in its request")                     \
	X(CALLER_LEAVES, "client leaves during the answer")                      \
	X(CALLER_DEAF, "client stops reading the answer")                        \
	X(CALLER_DRIPS, "client drips its request")                              \
	X(CALLER_SLOW, "client reads slowly")                                    \
	X(CALLER_IDLES, "client idles beyond its time")                          \
	X(SERVER_CLOSES, "backend closes in its answer")                         \
	X(SERVER_RESETS, "backend resets in its answer")                         \
	X(SERVER_STALLS, "backend stalls in its answer")                         \
	X(SERVER_SILENT, "backend closes without an answer")                     \
	X(SERVER_STALE, "backend closes a kept connection as the request comes") \
	X(SERVER_BAD, "malformed answer")                                        \
	X(SERVER_EARLY, "answer before the upload ends")                         \
	X(SERVER_DEAF, "backend stops reading the upload")                       \
	X(SERVER_EXTRA, "bytes behind an answer")                                \
	X(SERVER_SPEAKS, "backend speaks unasked")                               \
	X(SERVER_FLOODS, "too many interim answers")                             \
	X(SERVER_DOWN, "backend refuses connections")                            \
	X(NET_REFUSED, "connect refused by the network")                         \
	X(NET_TIMEOUT, "connect without an answer")                              \
	X(NET_DISCARD, "reset that throws unread bytes away")                    \
	X(NO_BLOCKS, "receive that had to wait for a block")                     \
	X(FULL, "connection beyond the limit")                                   \
	X(RELOAD, "another configuration while calls run")                       \
	X(DRAIN, "drain while calls run")                                        \
	X(ABORT, "everything ended at once")                                     \
	X(SERVER_HANGS, "backend takes requests and answers none")               \
	X(SERVER_DIES, "backend resets all its connections and is gone")         \
	X(SERVER_SICK, "health check that fails")                                \
	X(WENT_DOWN, "backend taken to be down")                                 \
	X(WENT_UP, "backend taken to be up")                                     \
	X(EJECTED, "backend ejected")                                            \
	X(RETURNED, "ejection over")                                             \
	X(BREAKER_OPENS, "breaker opens")                                        \
	X(BREAKER_HALF_OPENS, "breaker opens half")                              \
	X(BREAKER_CLOSES, "breaker closes")                                      \
	X(PANIC, "panic begins or ends")                                         \
	X(POOL_LOST, "pool loses its last backend, or has one again")            \
	X(RETRY, "retry")                                                        \
	X(RETRY_REFUSED, "retry that the budget refuses")                        \
	X(HEDGE, "second copy of a slow request")                                \
	X(HEDGE_WON, "second copy that wins")                                    \
	X(QUEUED, "request that waits for a place")                              \
	X(H2_SIBLINGS, "HTTP/2: request beside another on its connection")       \
	X(H2_BAD_HEAD, "HTTP/2: malformed request head")                         \
	X(H2_CALLER_CUT, "HTTP/2: client's connection ends at some byte")        \
	X(H2_CALLER_RESETS, "HTTP/2: client resets a stream")                    \
	X(H2_STALL, "HTTP/2: windows that stall")                                \
	X(H2_PING, "HTTP/2: PING")                                               \
	X(H2_TABLE, "HTTP/2: another size of the table of fields")               \
	X(H2_SERVER_CUT, "HTTP/2: backend's connection ends at some byte")       \
	X(H2_SERVER_RESETS, "HTTP/2: backend resets a stream")                   \
	X(H2_SERVER_REFUSES, "HTTP/2: backend refuses a stream")                 \
	X(H2_SERVER_LEAVES, "HTTP/2: backend says GOAWAY")                       \
	X(H2_SERVER_NARROW, "HTTP/2: backend that takes few streams")            \
	X(TLS_FULL, "TLS: full handshake of a client")                           \
	X(TLS_RESUMED, "TLS: resumed session of a client")                       \
	X(TLS_CALLER_SPOILS, "TLS: client breaks its handshake")                 \
	X(TLS_SERVER_SPOILS, "TLS: backend breaks its handshake")                \
	X(TLS_CUT, "TLS: end without close_notify")                              \
	X(TLS_KEYS, "TLS: new keys")                                             \
	X(TLS_IDENTITY, "TLS: request of a client with a certificate")           \
	X(TLS_REFUSED, "TLS: client that is refused")                            \
	X(TLS_STRANGE, "TLS: session of another frontend is offered")            \
	X(TLS_NAME, "TLS: certificate other than the first one")                 \
	X(TLS_MISDIRECTED, "TLS: request for the host of another certificate")   \
	X(TLS_SERVER_WRONG, "TLS: backend with a wrong certificate")             \
	X(TLS_SERVER_REFUSED, "TLS: backend that is refused")

enum sim_fault {
#define X(name, text) FAULT_##name,
	SIM_FAULTS(X)
#undef X
		FAULT_COUNT
};

enum {
	CALLS_MAX = 256,
	CALLERS_MAX = 16,
	SERVERS_MAX = 8,
	ATTEMPTS_MAX = 8,
	TARGET_MAX = 96,
	HEADER_BYTES_MAX = 8 * 1024,
	BODY_BYTES_MAX = 400 * 1024,
	SLACK_MS = 100, // what latency and slow pieces may add to any wait
};

// What the backend does with this call, planned.
struct answer {
	u16 status;
	u8 framing; // enum reader_framing
	u8 minor;
	u32 body_len;
	u8 interims;
	bool trailers, extensions, close, hop_fields, keep_alive_word;
	u8 bad;	    // enum bad_answer, 0 = none
	u8 act;	    // enum act
	u32 act_at; // in bytes of the answer on the wire
	u32 think_ms;
	bool early; // before the request body was read
	bool deaf;  // reads no more of the request from the head on
	bool stale; // on a kept connection: close when the request comes
	bool stale_reset;
	bool extra;	  // bytes behind the answer
	bool extra_glued; // ... together with its end
	u32 flaw;	  // enum flaw
	u32 chunk_max, piece_max;
};

// One arrival of a call at a backend.
struct arrival {
	struct server *server;
	u32 connection; // serial number of the backend's connection
	bool kept;	// the connection had served before
	bool request_whole;
	bool head_out;	   // the answer's final head has begun to go out
	bool spoke;	   // any byte of an answer has gone out
	bool answer_whole; // handed to the network completely
	bool broken;	   // ended by weir, not in order
	bool in_ended;	   // ... in order
	bool reset;
	bool tainted; // its connection has said something unasked before
	bool gave_up; // the backend did something that makes the answer impossible
	bool stalled;
	u64 began_ms, head_ms, last_ms, answered_ms;
	u64 read_ms; // HTTP/2: when it last read of the request's body
	u64 ended_ms;
	u32 interims;
	u64 body_len; // request bytes
};

enum result {
	RESULT_NONE,  // nothing came
	RESULT_WHOLE, // a complete answer
	RESULT_CUT,   // the head came, the rest did not
};

struct call {
	struct world *world;
	u32 id;
	// The request, planned.
	struct script script;
	const char *method;
	const char *offer; // an upgrade that must not be passed on, or NULL
	char target[TARGET_MAX];
	const char *host;
	u8 minor;
	u8 bad; // enum bad_head, 0 = none
	u16 bad_status;
	bool may_replay, is_head, expect, upgrade, close, keep_alive_word, spoofs;
	bool no_route, redirect, large, tunnel_first; // ..., the backend speaks first
	bool h2;				      // its client speaks HTTP/2
	bool leaves, leaves_reset, deaf, deaf_for_ever;
	u32 leave_at; // bytes of the answer read before it leaves or goes deaf
	u32 gap_ms;   // before it is sent
	u32 piece_max, pause_ms, pause_one_in, read_pause_ms;
	u32 tunnel_len, tunnel_back_len;
	u8 pool;	     // that the route leads to
	u8 asks_for;	     // enum tls_name, of its client
	bool is_misdirected; // its host has another certificate than that
	struct answer answer;
	// What the client saw.
	struct caller *caller;
	bool sent_any, sent_head, sent_all, body_held_back, got_continue;
	bool stalled, left, was_deaf, shut_early, act_done, raced, broken, tunnel_ended;
	bool dripped, unasked, late; // ..., the client did not read all at once
	u8 shows;		     // enum tls_cert_id, what its client does when it is asked
	bool is_unwelcome;	     // ... and is to be refused for that
	u32 connection;		     // the how-manieth of its caller
	u64 began_ms, opened_ms, head_since_ms, sent_ms, left_ms, head_sent_ms, all_sent_ms, got_ms,
		ended_ms;
	bool got_trailers, is_put_back; // HTTP/2: weir said that it did nothing with it
	u32 refused;			// how often a backend said so
	u64 refused_ms;			// when, for the last time
	u8 result;			// enum result
	bool got_head, local, got_close, is_tunnel;
	u16 status;
	u32 interims;
	i32 attempt_seen; // index of the attempt whose answer came
	u64 body_seen, tunnel_seen;
	char outcome[32]; // of a local answer
	bool is_over;
	// What the backends saw.
	u32 attempt_count;
	struct arrival attempts[ATTEMPTS_MAX];
};

struct world {
	struct {
		u32 header_ms, idle_ms, body_idle_ms, tunnel_idle_ms;
		u32 connect_ms, response_ms, response_idle_ms, upstream_idle_ms;
		u32 handshake_ms;
	} limits;
	u64 seed;
	struct rng rng;
	struct sim_net *net;
	struct loop *loop, *outside; // the worker's, the peers'
	struct arena arena;
	struct conf *conf;
	struct snapshot *snapshot;
	bool judged;	     // backends are checked, ejected, retried ...: judge.c
	struct judge *judge; // then
	struct flow *flows;  // of each pool: its requests, and what was sent again
	bool has_lost[4];    // pools that had no eligible backend at some time
	bool has_trouble[4]; // pools of which a backend did something bad

	struct proxy *proxy;
	struct records *records;
	struct roster_look *roster; // of who looks through the clients; NULL: nobody does
	struct rng look_rng;	    // of who only looks, so that nothing depends on it
	struct log log;
	u64 told; // exchanges that failed by our or a backend's doing, by what the log says
	struct trace_ring *trace;
	struct metrics_cells metrics;
	struct stats *stats;
	struct spans *spans; // spans.c; NULL: nothing is traced
	struct again *again; // another configuration now and then
	struct listening *listeners;
	u32 listener_count;
	bool scarce;	     // blocks, links or clients are few: refusals are fair
	bool may_be_full;    // a frontend takes few connections only
	bool trusting;	     // the callers are trusted proxies
	u32 long_body_max;   // what a narrow network can take in time
	bool smooth;	     // what is sent in one piece arrives in one piece
	bool chaotic;	     // connects fail at random
	struct rng h2_rng;   // who speaks HTTP/2: the rest of a seed does not hang on it
	bool has_h2;	     // somebody does
	struct rng tls_rng;  // who speaks TLS, and how
	bool has_tls;	     // somebody does
	bool few_handshakes; // a frontend bounds how many wait
	struct tls_sessions *tls_sessions; // callers of a kind share one
	u32 tls_refusals, tls_refused;	   // clients that must be refused | that heard why
	u64 course;		// a number of all that happened: the same seed has the same
	u64 drain_ms, abort_ms; // planned; 0 = never
	u64 drained_ms, aborted_ms, ending_ms;
	struct caller *callers[CALLERS_MAX];
	u32 caller_count, callers_open;
	struct server *servers[SERVERS_MAX];
	u32 server_count, pool_count, services_open;
	struct call *calls;
	u32 call_count;
	u32 connection_serial;
	u64 faults[FAULT_COUNT];
	u64 exchanges;
	u64 blocks_used_max;
	char failure[512];
};

// again.c
void again_begin(struct world *world);
void again_stop(struct world *world);
void again_check_end(struct world *world);
void again_free(struct world *world);

// What else has to know of another configuration.
void judge_adopt(struct world *world, struct snapshot *snapshot);
void world_listen_for(struct world *world, const struct snapshot *snapshot);

// Totals over all seeds.
extern u64 sim_faults[FAULT_COUNT];
extern u64 sim_exchanges, sim_outcomes[OUTCOME_COUNT];
extern u64 sim_moves[STEP_COUNT][STEP_COUNT];
extern bool sim_verbose;
extern bool sim_repeats; // the seed runs a second time

// The first failure of a seed is kept.
void world_fail(struct world *world, const char *format, ...) printf_like(2, 3);
void world_say(const struct world *world, const char *format, ...) printf_like(2, 3);
static inline u64 world_now_ms(const struct world *world)
{
	return sim_net_now_us(world->net) / 1000;
}

// Of those outside: it rings in so many milliseconds.
static inline void world_set_timer(struct world *world, struct timer *timer, u64 in_ms)
{
	loop_timer_set(world->outside, timer, world_now_ms(world) + in_ms);
}
static inline void world_fault(struct world *world, enum sim_fault fault)
{
	world->faults[fault]++;
}

// 0 = passed; the reason is printed. `ret_course`: a number of all that happened.
int world_run(u64 seed, u64 *ret_course);

// look.c: records and explain. After each turn | when all is over.
void look_start(struct world *world);
void look_turn(struct world *world);
void look_end(struct world *world);
void look_done(struct world *world); // gives back what is left

// plan.c: what will happen in this seed.
void plan_world(struct world *world);
void plan_calls(struct world *world);
// The text of the answer's head, in the world's arena; `attempt` tells which.
void plan_answer_script(struct call *call, u32 attempt, struct script *ret_script);
// The text of the request's head, and the script from its start.
void plan_request_script(struct call *call);
bool plan_one_in(struct world *world, u32 n);
u32 plan_between(struct world *world, u32 least, u32 most);

// h2_plan.c: who speaks HTTP/2, and what that means for the calls. h2_plan_server: true for one
// that does.
void h2_plan_world(struct world *world);
bool h2_plan_server(struct world *world, struct server *server);
void h2_plan_calls(struct world *world);

// tls_plan.c: who speaks TLS, and how its connections do. tls_plan_caller: false for a clear one.
void tls_plan_world(struct world *world);
void tls_plan_frontend(struct world *world, struct conf_frontend *frontend);
void tls_plan_backend(struct world *world, struct server *server, struct conf_backend *backend);
void tls_plan_calls(struct world *world);
bool tls_plan_caller(
	struct world *world, const struct caller *caller, struct peer *peer, bool is_h2);
void tls_plan_service(struct server *server, struct peer *peer);
// A close | a reset, which with TLS half of the time is an end without close_notify.
void tls_drop(struct world *world, struct peer *peer);
void tls_break(struct world *world, struct peer *peer);
void tls_secure(struct world *world, struct snapshot *snapshot); // before anybody uses it
void tls_check_end(struct world *world);
void tls_check_gone(struct world *world); // after everything was taken down
void tls_forget(void);			  // what a failed seed holds on to

// caller.c
struct caller *caller_new(struct world *world, u32 index, u32 frontend, u32 depth);
void caller_calls(const struct caller *caller, struct call *const **ret_calls, u32 *ret_count);
void caller_add(struct caller *caller, struct call *call);
void caller_start(struct caller *caller);
void caller_release(struct caller *caller); // ends what waits for ever
void caller_free(struct caller *caller);
bool caller_is_done(const struct caller *caller);
bool caller_waits_for_ever(const struct caller *caller);
const struct addr *caller_addr(const struct caller *caller); // as weir sees it
u32 caller_frontend(const struct caller *caller);
bool caller_is_late(const struct caller *caller); // has not read all at once
void caller_describe(const struct caller *caller, char *text, size_t size);
void caller_use_h2(struct caller *caller, u32 depth); // before it starts
bool caller_is_h2(const struct caller *caller);

// server.c
struct server *server_new(struct world *world, u32 index, u32 pool, bool tcp);
void server_release(struct server *server); // ends what waits for ever and closes the listener
void server_free(struct server *server);
bool server_was_down(const struct server *server, u64 from_ms, u64 to_ms);
bool server_closed_idle(const struct server *server, u64 from_ms, u64 to_ms);
// At another moment than that.
bool server_closed_else(const struct server *server, u64 from_ms, u64 to_ms, u64 but_ms);
void server_use_h2(struct server *server); // before anybody connects
bool server_is_h2(const struct server *server);
void server_use_tls(struct server *server, bool is_1_2); // the same
bool server_is_tls(const struct server *server);
u32 server_pool(const struct server *server);
const struct addr *server_addr(const struct server *server);
struct str server_address(const struct server *server);

// judge.c: seeds in which backends are judged.
void judge_plan_pool(struct world *world, struct conf_pool *pool, bool tcp);
void judge_plan_backend(struct world *world, struct conf_backend *backend, u32 index);
void judge_start(struct world *world);
void judge_stop(struct world *world); // the loop must turn until judge_is_idle
bool judge_is_idle(const struct world *world);
void judge_free(struct world *world);
void judge_check_again(struct call *call, const struct arrival *arrival);
void judge_check_turn(struct world *world);
void judge_check_end(struct world *world);
bool judge_has_limits(const struct call *call); // its pool bounds something
bool judge_hedges(const struct call *call);	// it may be sent twice at the same time
bool judge_is_late(const struct call *call);	// its request's deadline is over
// What its pools have been through since the beginning: a backend that was ill before may still be
// out, or a request may have met it.
void judge_excuses(const struct call *call, bool *backend, bool *connection);

// spans.c: seeds in which requests are traced.
void spans_start(struct world *world);
void spans_note(struct call *call, const struct read_message *message);
void spans_check(struct world *world); // after proxy_done
void spans_free(struct world *world);

// check.c: what the caller saw against what the backends did.
void check_request(struct call *call, struct arrival *attempt, const struct read_message *message);
void check_answer_head(struct call *call, const struct read_message *message);
void check_call(struct call *call);
void check_turn(struct world *world);
void check_end(struct world *world);
void check_gone(struct world *world); // after proxy_done
void check_field(struct call *call, const struct read_message *message, const char *name,
	const char *wanted); // NULL: it must not be there
// A kept connection to a backend ends that was idle since then.
void check_idle_end(struct world *world, u64 since_ms);

// tls_judge.c: what has to come out of TLS, beside what was sent.
void tls_begin_call(struct call *call, const struct peer *peer); // on this connection
// A client's handshake is over | failed | a connection broke; `is_idle`: nothing was under way.
void tls_check_open(struct world *world, const struct caller *caller, const struct peer *peer);
void tls_check_failed(struct world *world, u32 frontend, const struct peer *peer, int error);
void tls_check_broken(struct world *world, const struct peer *peer, int error, bool is_idle);
// What a backend hears of a client's certificate.
void tls_check_request(struct call *call, const struct read_message *message);
void tls_check_unwelcome(const struct call *call); // whose client must be refused
bool tls_outcome_is_fair(const struct call *call);
