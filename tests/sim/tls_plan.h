// SPDX-License-Identifier: Apache-2.0
// Inside of the simulation's TLS only: tls_plan.c draws, tls_names.c knows which name belongs to
// which certificate, tls_secure.c is the worker's side, tls_judge.c says what has to come out.
#pragma once

#include "sim.h"
#include "tls_certs.h"

// What clients ask for. X(NAME, text)
#define TLS_NAMES(X)                \
	X(NOTHING, NULL)            \
	X(SITE, "sim.test")         \
	X(OTHER, "other.test")      \
	X(OTHER_CASE, "Other.TEST") \
	X(WILD, "b.wild.test")      \
	X(EXACT, "a.wild.test")     \
	X(DEEP, "c.b.wild.test")    \
	X(BARE, "wild.test")        \
	X(UNKNOWN, "unknown.test")

enum tls_name {
#define X(name, text) TLS_NAME_##name,
	TLS_NAMES(X)
#undef X
		TLS_NAME_COUNT
};

struct ssl_session_st;

// Newest sessions: by frontend, HTTP/1 or 2, TLS 1.3 or 1.2, what was shown, and the name.
struct tls_sessions {
	struct ssl_session_st *all[3][2][2][TLS_CERT_COUNT][TLS_NAME_COUNT];
};

enum { TLS_CERTIFICATES_MAX = 3 }; // of one frontend

const char *tls_name_text(enum tls_name name);

// Of the first `count` certificates that frontends show, the one for this host, which may have a
// port; TLS_CERT_NONE: none is.
enum tls_cert_id tls_names_cert(u32 count, struct str host);
enum tls_cert_id tls_names_of(u32 index); // the frontends' certificates, in their order

// What each caller asks for, and the hosts of its requests, some of which are misdirected.
void tls_plan_names(struct world *world);
enum tls_name tls_name_of(const struct caller *caller);

// The alert for a client that shows this; NULL: it is let in.
const char *tls_refusal_of(
	const struct conf_frontend_tls *conf, enum tls_cert_id shows, bool is_1_2);

void tls_expect_refusal(struct world *world, const char *refusal); // one more; NULL: none

// The same for a backend.
const char *tls_refusal_of_backend(const struct server *server, enum tls_cert_id shows);

void tls_check_counts(struct world *world);
