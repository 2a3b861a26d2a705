// SPDX-License-Identifier: Apache-2.0
#include "proxy/faults.h"

#include "base/mem.h"

struct fault {
	struct hush hush;
	struct log *log;
	const struct backend *backend;	 // that could not be connected to
	const struct frontend *frontend; // that somebody may not connect to
	int error;			 // of the last connect
	u8 why;				 // enum guard_answer
	u8 tls;				 // enum tls_fault
	u8 header;			 // enum proxy_header_fault
	u8 outcome;			 // enum outcome, when it is neither of these
	u8 excess;			 // enum h2_excess
	bool tcp;
};

static void say_connects(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);

	if (tls_error_fault(fault->error) != TLS_FAULT_NONE) {
		LOG(fault->log, LOG_WARN,
			"TLS handshake with backend failed again in the last second",
			LOG_U64("times", times), LOG_STR("pool", fault->backend->pool->name),
			LOG_STR("backend", fault->backend->id),
			LOG_STR("reason", tls_fault_info(tls_error_fault(fault->error))->word));
		return;
	}
	LOG(fault->log, LOG_WARN, "connect failed again in the last second",
		LOG_U64("times", times), LOG_STR("pool", fault->backend->pool->name),
		LOG_STR("backend", fault->backend->id), LOG_STR("address", fault->backend->address),
		LOG_ERRNO(fault->error));
}

static enum log_level tls_level(enum tls_fault fault)
{
	switch (fault) {
	case TLS_FAULT_BUSY:
		return LOG_WARN;
	case TLS_FAULT_TIMEOUT:
	case TLS_FAULT_CLOSED:
		return LOG_INFO;
	default:
		return LOG_NOTICE;
	}
}

static const char *tls_message(enum tls_fault fault, bool again)
{
	if (tls_is_excess(fault))
		return again ? "TLS connection ended again in the last second"
			     : "TLS connection ended";
	return again ? "TLS handshake failed again in the last second" : "TLS handshake failed";
}

static void say_tls(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);
	const struct tls_fault_info *info = tls_fault_info((enum tls_fault)fault->tls);

	LOG(fault->log, tls_level((enum tls_fault)fault->tls),
		tls_message((enum tls_fault)fault->tls, true), LOG_U64("times", times),
		LOG_STR("frontend", fault->frontend->conf->name), LOG_STR("reason", info->word),
		LOG_STR("cause", info->cause));
}

static void say_ends(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);
	const struct outcome_info *info = outcome_info((enum outcome)fault->outcome);

	LOG(fault->log, faults_level((enum outcome)fault->outcome, fault->tcp),
		fault->tcp ? "failed to served connection again in the last second"
			   : "request failed again in the last second",
		LOG_U64("times", times), LOG_STR("outcome", info->name),
		LOG_STR("cause", info->cause), LOG_STR("cure", info->cure));
}

static enum log_level denial_level(enum guard_answer why)
{
	return why == GUARD_FULL || why == GUARD_UNTRUSTED ? LOG_WARN : LOG_INFO;
}

static void say_denials(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);
	enum guard_answer why = (enum guard_answer)fault->why;
	char key[GUARD_KEY_MAX];

	guard_key_text(fault->frontend, why, key);
	LOG(fault->log, denial_level(why), "connection denied again in the last second",
		LOG_U64("times", times), LOG_STR("frontend", fault->frontend->conf->name),
		LOG_CSTR("key", key));
}

static void say_headers(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);

	LOG(fault->log, LOG_WARN, "PROXY header refused again in the last second",
		LOG_U64("times", times), LOG_STR("frontend", fault->frontend->conf->name),
		LOG_CSTR(
			"detail", proxy_header_fault_text((enum proxy_header_fault)fault->header)));
}

static void init_ends(struct faults *faults)
{
	for (u32 i = 0; i < 2 * OUTCOME_COUNT; i++) {
		struct fault *fault = &faults->ends[i];

		*fault = (struct fault){.log = faults->log,
			.outcome = (u8)(i % OUTCOME_COUNT),
			.tcp = i >= OUTCOME_COUNT};
		hush_init(&fault->hush, faults->loop, say_ends);
	}
}

// What was said of a slot's last owner is told before it has another one.
static void take_connects(struct faults *faults, u32 cell, const struct backend *backend)
{
	struct fault *fault = &faults->connects[cell];

	if (fault->backend == backend)
		return;
	if (fault->backend && !backend)
		hush_done(&fault->hush);
	if (!fault->backend) {
		fault->log = faults->log;
		hush_init(&fault->hush, faults->loop, say_connects);
	}
	fault->backend = backend;
}

static void take_denials(struct faults *faults, u32 index, const struct frontend *frontend)
{
	for (u32 i = 0; i < FAULTS_OF_FRONTEND; i++) {
		struct fault *fault = &faults->denials[index * FAULTS_OF_FRONTEND + i];

		if (fault->frontend && !frontend)
			hush_done(&fault->hush);
		if (!fault->frontend) {
			fault->log = faults->log;
			fault->why = (u8)(GUARD_DENIED + i);
			fault->header = (u8)(i - FAULTS_HEADERS);
			fault->tls = (u8)(i - FAULTS_TLS);
			hush_init(&fault->hush, faults->loop,
				i < FAULTS_HEADERS ? say_denials
				: i < FAULTS_TLS   ? say_headers
						   : say_tls);
		}
		fault->frontend = frontend;
	}
}

void faults_adopt(struct faults *faults, const struct snapshot *snapshot)
{
	for (u32 i = 0; i < snapshot->backend_count; i++)
		take_connects(faults, i, snapshot->backends[i]);
	for (u32 i = 0; i < snapshot->frontend_count; i++)
		take_denials(faults, i, snapshot->frontends[i]);
	faults->backend_count = snapshot->backend_count;
	faults->frontend_count = snapshot->frontend_count;
}

static void say_excesses(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);

	LOG(fault->log, LOG_WARN, "HTTP/2 connection ended again in the last second",
		LOG_U64("times", times),
		LOG_CSTR("cause", h2_excess_word((enum h2_excess)fault->excess)));
}

static void say_evicted(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);

	LOG(fault->log, LOG_WARN, "slow client ended again in the last second",
		LOG_U64("times", times));
}

static void init_excesses(struct faults *faults)
{
	for (u32 i = 0; i < H2_EXCESS_COUNT; i++) {
		struct fault *fault = &faults->excesses[i];

		*fault = (struct fault){.log = faults->log, .excess = (u8)i};
		hush_init(&fault->hush, faults->loop, say_excesses);
	}
}

static void say_secured(struct hush *hush, u64 times)
{
	const struct fault *fault = container_of(hush, struct fault, hush);
	const struct tls_fault_info *info = tls_fault_info((enum tls_fault)fault->tls);

	LOG(fault->log, LOG_WARN, "TLS connection with backend ended again in the last second",
		LOG_U64("times", times), LOG_STR("reason", info->word),
		LOG_STR("cause", info->cause));
}

static void init_secured(struct faults *faults)
{
	for (u32 i = 0; i < TLS_FAULT_COUNT; i++) {
		struct fault *fault = &faults->secured[i];

		*fault = (struct fault){.log = faults->log, .tls = (u8)i};
		hush_init(&fault->hush, faults->loop, say_secured);
	}
}

void faults_init(
	struct faults *faults, struct loop *loop, struct log *log, const struct snapshot *snapshot)
{
	const struct slots *slots = snapshot->slots;

	faults->loop = loop;
	faults->log = log;
	faults->tls_detail = NULL;
	faults->ends = mem_alloc(sizeof(struct fault) * 2 * OUTCOME_COUNT);
	faults->connects = mem_alloc(sizeof(struct fault) * MAX(slots->backends.max, 1));
	faults->denials =
		mem_alloc(sizeof(struct fault) * FAULTS_OF_FRONTEND * MAX(slots->frontends.max, 1));
	faults->excesses = mem_alloc(sizeof(struct fault) * H2_EXCESS_COUNT);
	faults->secured = mem_alloc(sizeof(struct fault) * TLS_FAULT_COUNT);
	faults->evicted = mem_alloc(sizeof(struct fault));
	faults->evicted->log = log;
	hush_init(&faults->evicted->hush, loop, say_evicted);
	init_ends(faults);
	init_excesses(faults);
	init_secured(faults);
	faults_adopt(faults, snapshot);
}

void faults_done(struct faults *faults)
{
	for (u32 i = 0; i < 2 * OUTCOME_COUNT; i++)
		hush_done(&faults->ends[i].hush);
	for (u32 i = 0; i < faults->backend_count; i++)
		take_connects(faults, i, NULL);
	for (u32 i = 0; i < faults->frontend_count; i++)
		take_denials(faults, i, NULL);
	for (u32 i = 0; i < H2_EXCESS_COUNT; i++)
		hush_done(&faults->excesses[i].hush);
	for (u32 i = 0; i < TLS_FAULT_COUNT; i++)
		hush_done(&faults->secured[i].hush);
	mem_free(faults->secured);
	hush_done(&faults->evicted->hush);
	mem_free(faults->evicted);
	mem_free(faults->excesses);
	mem_free(faults->ends);
	mem_free(faults->connects);
	mem_free(faults->denials);
}

void faults_connect(struct faults *faults, const struct backend *backend, int error, u32 tries)
{
	struct fault *fault = &faults->connects[backend->cell];

	enum tls_fault tls = tls_error_fault(error);

	fault->error = error;
	// Of one that the configuration has no more each line is written: there are few.
	if (!log_is_on(faults->log, LOG_WARN) || (fault->backend && !hush_is_news(&fault->hush)))
		return;
	if (tls != TLS_FAULT_NONE) {
		LOG(faults->log, LOG_WARN, "TLS handshake with backend failed",
			LOG_STR("pool", backend->pool->name), LOG_STR("backend", backend->id),
			LOG_STR("address", backend->address), LOG_U64("try", tries),
			LOG_STR("reason", tls_fault_info(tls)->word),
			LOG_CSTR("cause", faults->tls_detail),
			LOG_STR("cure", tls_fault_info(tls)->backend_cure));
		return;
	}
	LOG(faults->log, LOG_WARN, "connect failed", LOG_STR("pool", backend->pool->name),
		LOG_STR("backend", backend->id), LOG_STR("address", backend->address),
		LOG_ERRNO(error), LOG_U64("try", tries));
}

void faults_tls(struct faults *faults, const struct frontend *frontend, enum tls_fault fault,
	const char *detail, const struct addr *peer)
{
	const struct tls_fault_info *info = tls_fault_info(fault);
	struct fault *each =
		&faults->denials[frontend->index * FAULTS_OF_FRONTEND + FAULTS_TLS + (u32)fault];
	char client[GUARD_TEXT_MAX];

	if (!log_is_on(faults->log, tls_level(fault)) ||
		(each->frontend && !hush_is_news(&each->hush)))
		return;
	guard_client_text(peer, client);
	LOG(faults->log, tls_level(fault), tls_message(fault, false), LOG_CSTR("client", client),
		LOG_STR("frontend", frontend->conf->name), LOG_STR("reason", info->word),
		LOG_STR("cause", info->cause), LOG_CSTR("detail", detail),
		LOG_STR("cure", info->client_cure));
}

void faults_tls_of_backend(
	struct faults *faults, const struct backend *backend, enum tls_fault fault)
{
	const struct tls_fault_info *info = tls_fault_info(fault);

	if (!backend || !log_is_on(faults->log, LOG_WARN) ||
		!hush_is_news(&faults->secured[fault].hush))
		return;
	LOG(faults->log, LOG_WARN, "TLS connection with backend ended",
		LOG_STR("pool", backend->pool->name), LOG_STR("backend", backend->id),
		LOG_STR("address", backend->address), LOG_STR("reason", info->word),
		LOG_STR("cause", info->cause), LOG_STR("cure", info->backend_cure));
}

void faults_excess_of_client(struct faults *faults, const struct frontend *frontend,
	enum h2_excess excess, const struct addr *peer)
{
	if (!log_is_on(faults->log, LOG_WARN) || !hush_is_news(&faults->excesses[excess].hush))
		return;
	LOG(faults->log, LOG_WARN, "HTTP/2 connection ended",
		LOG_CSTR("cause", h2_excess_word(excess)),
		LOG_STR("frontend", frontend->conf->name), LOG_ADDR("peer_address", peer));
}

void faults_excess_of_backend(
	struct faults *faults, const struct backend *backend, enum h2_excess excess)
{
	if (!backend || !log_is_on(faults->log, LOG_WARN) ||
		!hush_is_news(&faults->excesses[excess].hush))
		return;
	LOG(faults->log, LOG_WARN, "HTTP/2 connection ended",
		LOG_CSTR("cause", h2_excess_word(excess)), LOG_STR("pool", backend->pool->name),
		LOG_STR("backend", backend->id), LOG_STR("address", backend->address));
}

void faults_evicted(struct faults *faults, const struct frontend *frontend, const struct addr *peer,
	u64 held, bool uploads)
{
	if (!log_is_on(faults->log, LOG_WARN) || !hush_is_news(&faults->evicted->hush))
		return;
	LOG(faults->log, LOG_WARN, "slow client ended",
		LOG_CSTR("cause", uploads ? "buffers or connections to backends are short; it held "
					    "many by uploads that no backend reads"
					  : "buffers or connections to backends are short; it held "
					    "many by answers that it did not read"),
		LOG_U64("held_bytes", held), LOG_STR("frontend", frontend->conf->name),
		LOG_ADDR("peer_address", peer),
		LOG_CSTR(
			"cure", uploads ? "See why the backend does not read; "
					  "runtime.max_connections measures the buffers."
					: "If such clients are wanted, raise "
					  "runtime.max_connections, by which buffers are measured; "
					  "if not, set the frontend's "
					  "limits.per_ip_connections."));
}

void faults_denied(struct faults *faults, const struct frontend *frontend, enum guard_answer why,
	const struct addr *peer)
{
	struct fault *fault =
		&faults->denials[frontend->index * FAULTS_OF_FRONTEND + (u32)why - GUARD_DENIED];
	char client[GUARD_TEXT_MAX], key[GUARD_KEY_MAX];

	ASSERT(why >= GUARD_DENIED);
	if (!log_is_on(faults->log, denial_level(why)) ||
		(fault->frontend && !hush_is_news(&fault->hush)))
		return;
	guard_client_text(peer, client);
	guard_key_text(frontend, why, key);
	LOG(faults->log, denial_level(why), "connection denied", LOG_CSTR("client", client),
		LOG_STR("frontend", frontend->conf->name), LOG_CSTR("key", key));
}

void faults_header(struct faults *faults, const struct frontend *frontend, enum outcome outcome,
	const struct addr *peer, enum proxy_header_fault why)
{
	struct fault *fault =
		&faults->denials[frontend->index * FAULTS_OF_FRONTEND + FAULTS_HEADERS + (u32)why];
	const struct outcome_info *info = outcome_info(outcome);

	if (!log_is_on(faults->log, LOG_WARN) || (fault->frontend && !hush_is_news(&fault->hush)))
		return;
	LOG(faults->log, LOG_WARN, "PROXY header refused", LOG_ADDR("peer_address", peer),
		LOG_STR("frontend", frontend->conf->name), LOG_STR("outcome", info->name),
		LOG_CSTR("detail", proxy_header_fault_text(why)), LOG_STR("cure", info->cure));
}

enum log_level faults_level(enum outcome outcome, bool tcp)
{
	switch ((enum outcome_origin)outcome_info(outcome)->origin) {
	case ORIGIN_NOBODY:
		return LOG_OFF;
	case ORIGIN_CLIENT:
		return LOG_INFO;
	case ORIGIN_BALANCER:
	case ORIGIN_BACKEND:
		break;
	}
	return tcp ? LOG_ERROR : LOG_WARN; // TCP: nothing else tells the client why
}

const char *faults_message(bool tcp)
{
	return tcp ? "failed to served connection" : "request failed";
}

bool faults_is_news(struct faults *faults, enum outcome outcome, bool tcp)
{
	enum log_level level = faults_level(outcome, tcp);

	if (level == LOG_OFF || !log_is_on(faults->log, level))
		return false;
	// Who asks for LOG_INFO wants to see each connection anyway.
	return level == LOG_INFO ||
	       hush_is_news(&faults->ends[outcome + (tcp ? OUTCOME_COUNT : 0)].hush);
}
