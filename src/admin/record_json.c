// SPDX-License-Identifier: Apache-2.0
#include "admin/record_json.h"

#include <inttypes.h>
#include <stdio.h>

#include "decide/retry.h"

enum { cost_decimals = 3 };

// A record beside the configuration it is of.
struct story {
	const struct record *record;
	const struct snapshot *snapshot;
	struct json *json;
	struct text line;
};

// ---- Names --------------------------------------------------------------------------------------

// Whether the slot had the same owner when the record was made.
static bool is_known(const struct story *story, const struct slot_set *set, u32 slot)
{
	return slot < set->max && slot_since(set, slot) <= story->record->generation;
}

static const struct frontend *frontend_of(const struct story *story)
{
	const struct snapshot *snapshot = story->snapshot;
	u32 slot = story->record->frontend;

	return is_known(story, &snapshot->slots->frontends, slot) && slot < snapshot->frontend_count
		       ? snapshot->frontends[slot]
		       : NULL;
}

static const struct route *route_of(const struct story *story)
{
	const struct frontend *frontend = frontend_of(story);
	u32 index = story->record->route;

	// Routes of another configuration may stand in another order.
	if (story->record->generation < story->snapshot->generation)
		return NULL;
	return frontend && index < frontend->route_count ? &frontend->routes[index] : NULL;
}

static const struct pool *pool_at(const struct story *story, u32 slot)
{
	const struct snapshot *snapshot = story->snapshot;

	return is_known(story, &snapshot->slots->pools, slot) && slot < snapshot->pool_count
		       ? snapshot->pools[slot]
		       : NULL;
}

static struct str pool_name(const struct story *story, u32 index)
{
	const struct pool *pool = pool_at(story, index);

	return pool ? pool->name : STR("?");
}

static const struct backend *backend_at(const struct story *story, u32 slot)
{
	const struct snapshot *snapshot = story->snapshot;

	return is_known(story, &snapshot->slots->backends, slot) && slot < snapshot->backend_count
		       ? snapshot->backends[slot]
		       : NULL;
}

// By its place in the pool of the record, as long as the pool has the object that it had then.
static const struct backend *member_at(const struct story *story, u32 index)
{
	const struct pool *pool = pool_at(story, story->record->pool);

	return pool && pool->since <= story->record->generation && index < pool->backend_count
		       ? &pool->backends[index]
		       : NULL;
}

// The picked one's place there.
static u32 picked_index(const struct story *story)
{
	const struct backend *backend = backend_at(story, story->record->backend);

	return backend && member_at(story, backend->index) == backend ? backend->index
								      : RECORD_NOBODY;
}

static struct str name_of(const struct backend *backend)
{
	return backend ? backend->id : STR("?");
}

static void key_backend(const struct story *story, const char *key, const struct backend *backend)
{
	json_key(story->json, key);
	if (backend)
		json_str(story->json, backend->id);
	else
		json_none(story->json);
}

// NULL: there was no pool, or it is not known.
static const struct balance_kind_info *algorithm_of(const struct story *story)
{
	const struct pool *pool = pool_at(story, story->record->pool);

	return pool ? balance_kind_info(pool->kind) : NULL;
}

// weir did its part, and the answer is that of a backend that did not.
static bool is_backends_own_error(const struct record *record)
{
	return record->outcome == OUTCOME_OK && record->status >= 500;
}

static const char *cause_of(const struct record *record)
{
	if (is_backends_own_error(record))
		return "it is the backend's own answer";
	if (record->refusal != HTTP_REFUSE_OK)
		return http_refusal_text((enum http_refusal)record->refusal);
	return outcome_info((enum outcome)record->outcome)->cause.ptr;
}

// ---- Sentences ----------------------------------------------------------------------------------

static void say(struct story *story)
{
	json_str(story->json, str_make(story->line.data, story->line.len));
	text_clear(&story->line);
}

// Long enough to be read at a glance, short enough to stay one.
static void add_span(struct text *line, u64 span_us)
{
	if (span_us < 1000)
		text_printf(line, "%" PRIu64 " us", span_us);
	else if (span_us < 1000 * 1000)
		text_printf(line, "%" PRIu64 ".%" PRIu64 " ms", span_us / 1000, span_us / 100 % 10);
	else
		text_printf(line, "%" PRIu64 ".%" PRIu64 " s", span_us / 1000000,
			span_us / 100000 % 10);
}

static void add_subject(struct story *story)
{
	const struct record *record = story->record;
	const char *method = record->id[0] ? http_method_text((enum http_method)record->method)
					   : "A request head";

	if (record->tcp)
		text_add(&story->line, STR("A connection"));
	else if (record->path[0])
		text_printf(&story->line, "%s %s%s", method, record->path,
			record->path_is_cut ? "..." : "");
	else
		text_printf(&story->line, "%s", method);
	if (record->client[0])
		text_printf(&story->line, " from %s", record->client);
}

// Which way it took through the configuration.
static void say_way(struct story *story)
{
	const struct record *record = story->record;
	const struct frontend *frontend = frontend_of(story);
	const struct route *route = route_of(story);
	struct text *line = &story->line;

	add_subject(story);
	if (!frontend) {
		text_add(
			line, STR(" came while another configuration was in force, whose names are "
				  "gone."));
		say(story);
		return;
	}
	text_printf(line, " came to frontend %.*s", STR_FMT(frontend->conf->name));
	if (route && record->pool == RECORD_NOBODY)
		text_printf(line, "; route %.*s answered it.", STR_FMT(route->conf->name));
	else if (route)
		text_printf(line, "; route %.*s took it to pool %.*s.", STR_FMT(route->conf->name),
			STR_FMT(pool_name(story, record->pool)));
	else if (record->pool != RECORD_NOBODY)
		text_printf(line, "%s pool %.*s.",
			frontend->route_count ? "; no route matched, so it went to"
					      : ", which sends everything to",
			STR_FMT(pool_name(story, record->pool)));
	else
		text_add(line, record->outcome == OUTCOME_NO_ROUTE ? STR("; no route matched.")
								   : STR("."));
	say(story);
	if (record->failovers == 0)
		return;
	text_printf(line,
		"That is the pool it ended in: %u pool%s before it had no backend that "
		"could be asked.",
		record->failovers, record->failovers == 1 ? "" : "s");
	say(story);
}

static void say_eligible(struct story *story)
{
	const struct record *record = story->record;
	const struct pool *pool = pool_at(story, record->pool);

	if (!record->is_picked || !pool)
		return;
	text_printf(&story->line, "%u of the pool's %u backends could get requests",
		record->eligible, pool->backend_count);
	if (record->full)
		text_printf(&story->line, "; %u of them had no place", record->full);
	text_addc(&story->line, '.');
	say(story);
	if (!record->may_wait)
		return;
	text_add(&story->line, STR("It waited for a place"));
	if (record->queue_us != RECORD_NO_TIME) {
		text_add(&story->line, STR(", and went on "));
		add_span(&story->line, record->queue_us);
		text_add(&story->line, STR(" after it had come"));
	}
	text_addc(&story->line, '.');
	say(story);
}

static void add_cost(struct text *line, const struct balance_look *look)
{
	struct json number;

	json_init(&number, line);
	json_f64(&number, (double)look->cost, cost_decimals);
}

static void add_look(struct story *story, const struct balance_look *look)
{
	static const char *const verdicts[] = {
		[BALANCE_SKIPPED] = "may not get this request now",
		[BALANCE_AT_BOUND] = "has its share already",
		[BALANCE_NO_PLACE] = "had no place",
	};
	struct text *line = &story->line;

	text_printf(line, "%.*s (", STR_FMT(name_of(member_at(story, look->index))));
	if (look->verdict == BALANCE_COMPARED || look->verdict == BALANCE_HOT) {
		text_add(line, STR("cost "));
		add_cost(line, look);
		text_add(line, look->verdict == BALANCE_HOT ? STR(", hot)") : STR(")"));
	} else {
		text_printf(line, "%s)", verdicts[look->verdict]);
	}
}

static void add_looks(struct story *story)
{
	const struct record *record = story->record;
	struct text *line = &story->line;

	if (record->look_count_seen == 1 && record->looks[0].verdict == BALANCE_COMPARED &&
		record->looks[0].index == picked_index(story)) {
		text_add(line, STR(" with the cost "));
		add_cost(line, &record->looks[0]);
		return;
	}
	for (u32 i = 0; i < record->look_count; i++) {
		text_add(line, i == 0 ? STR("; it looked at ") : STR(", "));
		add_look(story, &record->looks[i]);
	}
	if (record->look_count_seen > record->look_count)
		text_printf(line, " and %u more", record->look_count_seen - record->look_count);
	if (record->by_weight)
		text_add(line, STR("; nobody near its place could take it, so it went by weight"));
}

static void say_pick(struct story *story)
{
	const struct record *record = story->record;
	const struct balance_kind_info *algorithm = algorithm_of(story);
	struct str name = name_of(backend_at(story, record->backend));
	struct text *line = &story->line;

	if (!algorithm)
		return;
	if (record->sticky != BALANCE_NONE && record->sticky != picked_index(story)) {
		text_printf(line, "Its cookie named %.*s, which could not take it.",
			STR_FMT(name_of(member_at(story, record->sticky))));
		say(story);
	}
	if (record->backend == RECORD_NOBODY)
		return;
	if (record->sticky != BALANCE_NONE && record->sticky == picked_index(story)) {
		text_printf(line, "Its cookie named %.*s.", STR_FMT(name));
	} else {
		if (record->attempts > 1)
			text_add(line, STR("For the last try "));
		text_printf(line, "%s chose %.*s", algorithm->name, STR_FMT(name));
		if (algorithm->keyed)
			text_printf(line, " by the key %016" PRIx64, record->key);
		add_looks(story);
		text_addc(line, '.');
	}
	say(story);
}

static void say_try(struct story *story, u32 number, const struct record_try *try)
{
	const struct record *record = story->record;
	struct text *line = &story->line;
	bool answered = try->status && try->ended < OUTCOME_COUNT;

	if (try->hedge)
		text_add(line, STR("A second copy"));
	else
		text_printf(line, "Try %u", number);
	text_printf(line, " went to %.*s", STR_FMT(name_of(backend_at(story, try->backend))));
	if (try->at_us == 0) {
		text_add(line, STR(" at once"));
	} else if (try->at_us != RECORD_NO_TIME) {
		text_add(line, STR(" after "));
		add_span(line, try->at_us);
	}
	if (answered && record->first_byte_us != RECORD_NO_TIME) {
		text_printf(line, "%s and was answered with %u after another ",
			record->reused ? " on a kept connection" : "", try->status);
		add_span(line, record->first_byte_us);
		text_addc(line, '.');
	} else {
		text_add(line, STR(" and ended"));
		if (try->took_us != RECORD_NO_TIME) {
			text_add(line, STR(" after "));
			add_span(line, try->took_us);
		}
		text_printf(line, " as %s", record_end_name(try->ended));
		if (try->status)
			text_printf(line, " with %u", try->status);
		text_printf(line, ": %s.", record_end_text(try->ended));
	}
	say(story);
}

static void say_tries(struct story *story)
{
	const struct record *record = story->record;

	for (u32 i = 0; i < record->try_count; i++) {
		bool is_last = i + 1 == record->try_count;

		say_try(story, is_last && record->attempts > i + 1 ? record->attempts : i + 1,
			&record->tries[i]);
	}
}

static void say_end(struct story *story)
{
	const struct record *record = story->record;
	const struct outcome_info *info = outcome_info((enum outcome)record->outcome);
	struct text *line = &story->line;

	if (record->status)
		text_printf(line, "It ended with %u", record->status);
	else
		text_add(line, STR("It ended without an answer"));
	text_add(line, STR(" after "));
	add_span(line, record->total_us);
	text_printf(line, " as %.*s: %s.", STR_FMT(info->name), cause_of(record));
	say(story);
	if (record->no_retry && record->outcome == record->failure) {
		text_printf(line, "No other try followed: %s.",
			retry_reason_text((enum retry_reason)record->no_retry));
		say(story);
	}
	if (info->cure.len)
		json_str(story->json, info->cure);
}

// ---- The object ---------------------------------------------------------------------------------

static void key_span(struct json *json, const char *key, u32 span_us)
{
	if (span_us == RECORD_NO_TIME)
		json_key_none(json, key);
	else
		json_key_u64(json, key, span_us);
}

static void key_text(struct json *json, const char *key, const char *text)
{
	json_key_cstr(json, key, text[0] ? text : NULL);
}

static void write_names(const struct story *story)
{
	const struct record *record = story->record;
	const struct frontend *frontend = frontend_of(story);
	const struct route *route = route_of(story);
	const struct pool *pool = pool_at(story, record->pool);
	struct json *json = story->json;

	key_text(json, "id", record->id);
	json_key_i64(json, "at_ms", record->at_ms);
	json_key_u64(json, "worker", record->worker);
	json_key_u64(json, "generation", record->generation);
	json_key_cstr(json, "frontend", frontend ? frontend->conf->name.ptr : NULL);
	json_key_cstr(json, "route", route ? route->conf->name.ptr : NULL);
	json_key_cstr(json, "pool", pool ? pool->name.ptr : NULL);
	json_key_cstr(json, "method",
		record->tcp || !record->path[0]
			? NULL
			: http_method_text((enum http_method)record->method));
	key_text(json, "path", record->path);
	key_text(json, "client", record->client);
}

static void write_end(const struct story *story)
{
	const struct record *record = story->record;
	const struct outcome_info *info = outcome_info((enum outcome)record->outcome);
	struct json *json = story->json;
	char ended[32] = "";

	json_key(json, "status");
	if (record->status)
		json_u64(json, record->status);
	else
		json_none(json);
	json_key_str(json, "outcome", info->name);
	if (is_backends_own_error(record)) // "ok 503" among failures would be a riddle
		snprintf(ended, sizeof(ended), "backend answered %u", record->status);
	json_key_cstr(json, "ended", ended[0] ? ended : info->name.ptr);
	json_key_cstr(json, "cause", cause_of(record));
	json_key_cstr(json, "cure", info->cure.len ? info->cure.ptr : NULL);
	json_key_u64(json, "total_us", record->total_us);
	key_span(json, "head_us", record->head_us);
	key_span(json, "queue_us", record->queue_us);
	key_span(json, "connect_us", record->connect_us);
	key_span(json, "first_byte_us", record->first_byte_us);
	json_key_u64(json, "bytes_in", record->bytes_in);
	json_key_u64(json, "bytes_out", record->bytes_out);
	json_key_bool(json, "reused", record->reused);
}

static void write_tries(const struct story *story)
{
	const struct record *record = story->record;
	struct json *json = story->json;

	json_key_u64(json, "attempts", record->attempts);
	json_key(json, "tries");
	json_array_begin(json);
	for (u32 i = 0; i < record->try_count; i++) {
		const struct record_try *try = &record->tries[i];

		json_object_begin(json);
		key_backend(story, "backend", backend_at(story, try->backend));
		key_span(json, "at_us", try->at_us);
		key_span(json, "took_us", try->took_us);
		json_key_cstr(json, "ended", record_end_name(try->ended));
		json_key(json, "status");
		if (try->status)
			json_u64(json, try->status);
		else
			json_none(json);
		json_key_bool(json, "hedge", try->hedge);
		json_object_end(json);
	}
	json_array_end(json);
	json_key_cstr(json, "no_retry",
		record->no_retry && record->outcome == record->failure
			? retry_reason_text((enum retry_reason)record->no_retry)
			: NULL);
}

static void write_candidate(const struct story *story, u32 index, const struct balance_look *look)
{
	static const char *const verdicts[] = {
		[BALANCE_COMPARED] = "compared",
		[BALANCE_HOT] = "hot",
		[BALANCE_SKIPPED] = "skipped",
		[BALANCE_AT_BOUND] = "at_bound",
		[BALANCE_NO_PLACE] = "no_place",
	};
	struct json *json = story->json;
	bool has_cost = look && look->verdict <= BALANCE_HOT;

	json_object_begin(json);
	key_backend(story, "backend", member_at(story, index));
	json_key(json, "cost");
	if (has_cost)
		json_f64(json, (double)look->cost, cost_decimals);
	else
		json_none(json);
	json_key_cstr(json, "verdict", look ? verdicts[look->verdict] : "picked");
	json_object_end(json);
}

// Who was picked is one of them, whether the algorithm compared it with anybody or not.
static void write_candidates(const struct story *story)
{
	const struct record *record = story->record;
	bool has_picked = record->backend == RECORD_NOBODY;

	json_key(story->json, "candidates");
	json_array_begin(story->json);
	for (u32 i = 0; i < record->look_count; i++) {
		write_candidate(story, record->looks[i].index, &record->looks[i]);
		has_picked |= record->looks[i].index == picked_index(story);
	}
	if (!has_picked)
		write_candidate(story, picked_index(story), NULL);
	json_array_end(story->json);
}

static void write_pick(const struct story *story)
{
	const struct record *record = story->record;
	const struct pool *pool = pool_at(story, record->pool);
	const struct balance_kind_info *algorithm = algorithm_of(story);
	struct json *json = story->json;
	char key[17];

	key_backend(story, "picked", backend_at(story, record->backend));
	json_key_cstr(json, "algorithm", algorithm ? algorithm->name : NULL);
	json_key(json, "key");
	if (algorithm && algorithm->keyed && record->is_picked) {
		snprintf(key, sizeof(key), "%016" PRIx64, record->key);
		json_cstr(json, key);
	} else {
		json_none(json);
	}
	key_backend(story, "cookie", member_at(story, record->sticky));
	write_candidates(story);
	json_key_u64(json, "looked_at", record->look_count_seen);
	json_key_u64(json, "eligible", record->eligible);
	json_key_u64(json, "full", record->full);
	json_key(json, "of");
	if (pool)
		json_u64(json, pool->backend_count);
	else
		json_none(json);
	json_key_bool(json, "waited", record->may_wait);
}

void record_write_json(
	struct json *json, const struct snapshot *snapshot, const struct record *record)
{
	struct story story = {.record = record, .snapshot = snapshot, .json = json};

	json_object_begin(json);
	write_names(&story);
	write_end(&story);
	write_tries(&story);
	write_pick(&story);
	json_key(json, "text");
	json_array_begin(json);
	say_way(&story);
	say_eligible(&story);
	say_pick(&story);
	say_tries(&story);
	say_end(&story);
	json_array_end(json);
	json_object_end(json);
	text_done(&story.line);
}
