// SPDX-License-Identifier: Apache-2.0
// Who looks: at any moment somebody asks what would be done with a request, which changes nothing;
// and at the end there is a record of each exchange, which says the same as the counters.
#include <jansson.h>
#include <stdio.h>

#include "admin/explain_json.h"
#include "admin/record_json.h"
#include "base/mem.h"
#include "proxy/exchange.h"
#include "proxy/roster.h"
#include "sim.h"
#include "still.h"

enum { looks_one_in = 40, fields_max = 6 };

void look_start(struct world *world)
{
	rng_init(&world->look_rng, ~world->seed);
	world->records = records_new(0);
	world->proxy->records = world->records;
}

static u32 below(struct world *world, u32 bound)
{
	return rng_below(&world->look_rng, bound);
}

static void check_json(struct world *world, const struct text *text, const char *what)
{
	json_error_t error;
	json_t *value = json_loadb(text->data, text->len, JSON_REJECT_DUPLICATES, &error);

	if (!value)
		world_fail(
			world, "what %s says is no JSON: %s: %.200s", what, error.text, text->data);
	json_decref(value);
}

// ---- Explain ------------------------------------------------------------------------------------

static void ask(struct world *world, struct explain_ask *ret_ask, struct explain_field *fields)
{
	static const char *const methods[] = {"GET", "POST", "OPTIONS", "TRACE", "CONNECT", "x"};
	static const char *const urls[] = {"/", "http://sim/", "http://sim/a/b?c", "sim:80/x", "*",
		"/../..", "http://sim:8080?q", "", "http://[::1]/%00", "#"};
	static const struct explain_field some[fields_max] = {
		{{"X-Forwarded-For", 15}, {"1.2.3.4, 5.6.7.8", 16}},
		{{"Transfer-Encoding", 17}, {"chunked", 7}},
		{{"Content-Length", 14}, {"99999999999", 11}},
		{{"Cookie", 6}, {"weir=AAAAAAAAAAAAAAAAAAAAAA", 27}},
		{{"Host", 4}, {"other", 5}},
		{{"Bad", 3}, {"a\r\nb", 4}},
	};
	const struct frontend *frontend =
		world->snapshot->frontends[below(world, world->snapshot->frontend_count)];

	*ret_ask =
		(struct explain_ask){.method = str_from(methods[below(world, ARRAY_LEN(methods))]),
			.url = str_from(urls[below(world, ARRAY_LEN(urls))]),
			.fields = fields};
	if (below(world, 4))
		ret_ask->frontend = frontend->conf->name;
	else if (below(world, 2))
		ret_ask->address = frontend->conf->binds[0].text;
	for (u32 i = below(world, 3); i > 0; i--)
		fields[ret_ask->field_count++] =
			some[below(world, below(world, 8) ? fields_max - 1 : fields_max)];
}

static void look_at_request(struct world *world)
{
	struct explain_field fields[fields_max];
	struct explain_ask question;
	struct explain explain;
	struct text text = {0};
	struct json json;
	u64 before;

	ask(world, &question, fields);
	before = still_hash(world->proxy);
	explain_run(&explain, world->proxy, &question);
	if (before != still_hash(world->proxy))
		world_fail(world, "who explains %.*s %.*s changes something",
			STR_FMT(question.method), STR_FMT(question.url));
	if (explain.end == EXPLAIN_SENT && !explain.tcp && explain.head.len == 0 && !world->scarce)
		world_fail(world, "no head is explained");
	json_init(&json, &text);
	explain_write_json(&json, &explain);
	check_json(world, &text, "explain");
	explain_done(&explain);
	text_done(&text);
}

// ---- Who is connected ---------------------------------------------------------------------------

struct roster_look {
	struct roster roster;
	bool goes_on;
	u64 accepted; // when it began
};

static void check_row(struct world *world, const struct roster_row *row)
{
	bool runs = row->state == ROSTER_REQUEST || row->state == ROSTER_TUNNEL ||
		    row->state == ROSTER_TCP;

	if (row->state >= ROSTER_STATE_COUNT || (row->run_count > 0) != runs)
		world_fail(world, "a connection in state %u has %u requests", row->state,
			row->run_count);
	if (row->since_ms > world->loop->wall_ms)
		world_fail(world, "a connection has come after now");
	if (runs && row->runs[0].age_us > loop_now_us(world->loop))
		world_fail(world, "a request is older than the world");
}

// Those that were there all the time are in it, and nobody twice.
static void check_roster(struct world *world, const struct roster_look *look)
{
	const struct roster *roster = &look->roster;
	u64 came = world->metrics.values[M_CONNECTIONS_ACCEPTED] - look->accepted;
	u64 left = roster->total + came - world->proxy->client_count;

	if (roster->row_count + left < roster->total)
		world_fail(world, "%u of %u connections are seen, and %llu left", roster->row_count,
			roster->total, (unsigned long long)left);
	if (roster->row_count > roster->total + (roster->ask.oldest_first ? came : 0))
		world_fail(
			world, "%u connections are seen of %u", roster->row_count, roster->total);
	for (u32 i = 0; i < roster->row_count; i++)
		check_row(world, &roster->rows[i]);
}

static void begin_roster(struct world *world)
{
	struct roster_look *look = mem_alloc(sizeof(*look));
	struct roster_ask question = {.rows_max = ROSTER_ROWS_MAX,
		.state = ROSTER_STATE_COUNT,
		.slice = 1 + below(world, 3),
		.oldest_first = below(world, 2)};

	if (below(world, 2)) // all is looked at then
		question.prefix.addr.family = below(world, 2) ? ADDR_V4 : ADDR_V6;
	look->accepted = world->metrics.values[M_CONNECTIONS_ACCEPTED];
	look->goes_on = roster_begin(&look->roster, world->proxy, &question);
	world->roster = look;
}

void look_done(struct world *world)
{
	if (!world->roster)
		return;
	roster_done(&world->roster->roster);
	mem_free(world->roster);
	world->roster = NULL;
}

static void look_at_clients(struct world *world)
{
	struct roster_look *look = world->roster;

	if (!look) {
		if (below(world, looks_one_in) == 0)
			begin_roster(world);
		return;
	}
	if (look->goes_on)
		look->goes_on = roster_more(&look->roster);
	if (look->goes_on)
		return;
	if (look->roster.ask.prefix.addr.family == ADDR_NONE)
		check_roster(world, look);
	look_done(world);
}

void look_turn(struct world *world)
{
	if (below(world, looks_one_in) == 0)
		look_at_request(world);
	look_at_clients(world);
}

// ---- Records ------------------------------------------------------------------------------------

static void check_tries(struct world *world, const struct record *record)
{
	if (record->attempts && record->try_count == 0)
		world_fail(world, "a record has %u attempts and no try", record->attempts);
	for (u32 i = 0; i < record->try_count; i++) {
		const struct record_try *try = &record->tries[i];
		const struct snapshot *snapshot = world->snapshot;

		if (try->pool >= snapshot->pool_count || try->backend >= snapshot->backend_count)
			world_fail(world, "a record knows a backend that nobody knows");
		if (try->at_us > record->total_us || try->took_us > record->total_us)
			world_fail(world, "a try was longer than its request");
		if (!*record_end_name(try->ended) || !*record_end_text(try->ended))
			world_fail(world, "a try ended without a word");
	}
}

static void check_record(struct world *world, const struct record *record)
{
	struct text text = {0};
	struct json json;

	check_tries(world, record);
	if (record->look_count > BALANCE_LOOKS_MAX || record->outcome >= OUTCOME_COUNT)
		world_fail(world, "a record is broken");
	json_init(&json, &text);
	record_write_json(&json, world->snapshot, record);
	check_json(world, &text, "a record");
	if (sim_verbose)
		world_say(world, "record: %s", text.data);
	text_done(&text);
}

void look_end(struct world *world)
{
	struct record *records = mem_alloc(sizeof(*records) * RECORDS_KEPT);
	u64 outcomes[OUTCOME_COUNT] = {0}, failed = 0, wanted = 0;
	u32 count = record_read_newest(&world->records, 1, false, records, RECORDS_KEPT);

	while (world->roster)
		look_at_clients(world);
	if (count != MIN(world->metrics.values[M_REQUESTS], (u64)RECORDS_KEPT))
		world_fail(world, "%u records of %llu exchanges", count,
			(unsigned long long)world->metrics.values[M_REQUESTS]);
	for (u32 i = 0; i < count; i++) {
		check_record(world, &records[i]);
		outcomes[records[i].outcome]++;
		wanted += record_is_failure((enum outcome)records[i].outcome, records[i].status);
	}
	for (u32 i = 0; i < OUTCOME_COUNT && count < RECORDS_KEPT; i++)
		if (outcomes[i] != world->metrics.outcomes[i])
			world_fail(world, "%llu records of %llu ends %s",
				(unsigned long long)outcomes[i],
				(unsigned long long)world->metrics.outcomes[i],
				outcome_info((enum outcome)i)->name.ptr);
	failed = record_read_newest(&world->records, 1, true, records, RECORDS_KEPT);
	if (failed != MIN(wanted, (u64)RECORDS_FAILED_KEPT))
		world_fail(world, "%llu failures are kept of %llu", (unsigned long long)failed,
			(unsigned long long)wanted);
	mem_free(records);
}
