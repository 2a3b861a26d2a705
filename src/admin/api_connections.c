// SPDX-License-Identifier: Apache-2.0
// The client connections: each worker is asked for its own, and what they say is put together.
#include <stdlib.h>

#include "admin/admin_inside.h"
#include "base/mem.h"
#include "proxy/roster.h"

enum {
	limit_default = 100,
	asks_max = 2, // at the same time: each takes a slice of every worker's turns
};

struct part {
	struct worker_call call;
	struct question *question;
	struct roster roster;
	bool begun;
};

struct question {
	struct admin *admin;
	struct admin_call *asked;
	struct roster_ask ask; // texts are in the call's arena
	u32 part_count, parts_out;
	struct part parts[];
};

// ---- The workers' side --------------------------------------------------------------------------

static void run(struct worker_call *call, struct proxy *proxy)
{
	struct part *part = container_of(call, struct part, call);

	if (part->begun)
		call->again = roster_more(&part->roster);
	else
		call->again = roster_begin(&part->roster, proxy, &part->question->ask);
	part->begun = true;
}

// ---- The answer ---------------------------------------------------------------------------------

struct row_ref {
	const struct roster_row *row;
	u32 worker, place; // place: in its worker's order
};

static int compare(const struct row_ref *a, const struct row_ref *b)
{
	if (a->row->since_ms != b->row->since_ms)
		return a->row->since_ms < b->row->since_ms ? -1 : 1;
	return 0;
}

static int compare_newest(const void *a, const void *b)
{
	const struct row_ref *left = a, *right = b;
	int order = compare(right, left);

	return order ? order : (left->place > right->place) - (left->place < right->place);
}

static int compare_oldest(const void *a, const void *b)
{
	const struct row_ref *left = a, *right = b;
	int order = compare(left, right);

	return order ? order : (left->place > right->place) - (left->place < right->place);
}

static void write_run(struct json *json, const struct roster_run *one)
{
	json_object_begin(json);
	json_key_name(json, "id", one->id);
	json_key_name(json, "method", one->method);
	json_key_name(json, "path", one->path);
	json_key_bool(json, "path_is_cut", one->path_is_cut);
	json_key_name(json, "client", one->client);
	json_key_name(json, "route", one->route);
	json_key_name(json, "pool", one->pool);
	json_key_name(json, "backend", one->backend);
	json_key_cstr(json, "step", one->step);
	json_key_u64(json, "attempts", one->attempts);
	json_key_u64(json, "age_us", one->age_us);
	json_object_end(json);
}

static void write_row(struct json *json, const struct row_ref *ref)
{
	const struct roster_row *row = ref->row;

	json_object_begin(json);
	json_key_u64(json, "worker", ref->worker);
	json_key_str(json, "frontend", row->frontend);
	json_key_str(json, "client", row->client);
	json_key(json, "port");
	if (row->port)
		json_u64(json, row->port);
	else
		json_none(json);
	json_key_i64(json, "since_at_ms", row->since_ms);
	json_key_cstr(json, "state", roster_state_names[row->state]);
	json_key_u64(json, "requests_total", row->requests);
	json_key_u64(json, "bytes_in", row->bytes_in);
	json_key_u64(json, "bytes_out", row->bytes_out);
	json_key(json, "running");
	json_array_begin(json);
	for (u32 i = 0; i < row->run_count; i++)
		write_run(json, &row->runs[i]);
	json_array_end(json);
	json_object_end(json);
}

// Gives how many there are.
static u32 collect(const struct question *question, struct row_ref *refs)
{
	u32 count = 0;

	for (u32 i = 0; i < question->part_count; i++) {
		const struct roster *roster = &question->parts[i].roster;

		for (u32 k = 0; k < roster->row_count; k++)
			refs[count++] =
				(struct row_ref){.row = &roster->rows[k], .worker = i, .place = k};
	}
	qsort(refs, count, sizeof(*refs),
		question->ask.oldest_first ? compare_oldest : compare_newest);
	return MIN(count, question->ask.rows_max);
}

static void answer(struct question *question)
{
	u64 total = 0, matching = 0;
	u32 room = 0, count;
	struct row_ref *refs;
	struct text text = {0};
	struct json json;

	for (u32 i = 0; i < question->part_count; i++) {
		const struct roster *roster = &question->parts[i].roster;

		total += roster->total;
		matching += roster->matching;
		room += roster->row_count;
	}
	refs = mem_alloc(sizeof(*refs) * MAX(room, 1));
	count = collect(question, refs);
	json_init(&json, &text);
	json_object_begin(&json);
	json_key_i64(&json, "now_at_ms", question->admin->loop->wall_ms);
	json_key_u64(&json, "total", total);
	json_key_u64(&json, "matching", matching);
	json_key(&json, "connections");
	json_array_begin(&json);
	for (u32 i = 0; i < count; i++)
		write_row(&json, &refs[i]);
	json_array_end(&json);
	json_object_end(&json);
	text_addc(&text, '\n');
	mem_free(refs);
	admin_add_field(question->asked, "Cache-Control", STR("no-store"));
	admin_answer(question->asked, 200, "application/json", &text);
}

static void on_answer(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);
	struct question *question = container_of(call, struct part, call)->question;
	bool gone = false;

	question->admin->asks_out--;
	if (--question->parts_out)
		return;
	question->admin->connection_asks--;
	for (u32 i = 0; i < question->part_count; i++)
		gone |= question->parts[i].call.gone;
	if (gone)
		admin_problem(question->asked, 503, NULL, "the process ends");
	else
		answer(question);
	for (u32 i = 0; i < question->part_count; i++)
		if (question->parts[i].begun)
			roster_done(&question->parts[i].roster);
	mem_free(question);
}

// ---- The question -------------------------------------------------------------------------------

static bool read_client(struct admin_call *call, struct roster_ask *ask)
{
	char text[ADDR_TEXT_MAX];
	struct addr addr;
	struct str value;

	if (!admin_query(call, "client", &value) || value.len == 0)
		return true;
	if (str_eq(value, STR("unix:"))) {
		ask->client = value;
	} else if (addr_parse_ip(value, &addr) == 0) { // in the one form that it has here
		ask->client = arena_str(&call->arena, str_make(text, addr_format_ip(&addr, text)));
	} else if (addr_prefix_parse(value, &ask->prefix) != 0) {
		admin_problem(call, 422, "It is like 203.0.113.9, 10.0.0.0/8 or 2001:db8::/32.",
			"'client' is no address and no network");
		return false;
	}
	return true;
}

static bool read_state(struct admin_call *call, struct roster_ask *ask)
{
	struct str value;

	ask->state = ROSTER_STATE_COUNT;
	if (!admin_query(call, "state", &value) || value.len == 0)
		return true;
	for (u32 i = 0; i < ROSTER_STATE_COUNT; i++)
		if (str_eq(value, str_from(roster_state_names[i])))
			ask->state = i;
	if (ask->state != ROSTER_STATE_COUNT)
		return true;
	admin_problem(call, 422, "It is new, idle, head, request, tunnel, tcp or ending.",
		"'state' is none that a connection has");
	return false;
}

static bool read_order(struct admin_call *call, struct roster_ask *ask)
{
	struct str value;

	if (!admin_query(call, "order", &value) || value.len == 0 || str_eq(value, STR("newest")))
		return true;
	ask->oldest_first = str_eq(value, STR("oldest"));
	if (!ask->oldest_first)
		admin_problem(call, 422, NULL, "'order' is newest or oldest");
	return ask->oldest_first;
}

static bool has_backend(const struct admin *admin, struct str pool, struct str id)
{
	const struct snapshot *snapshot = admin->face.snapshot;

	for (u32 p = 0; p < snapshot->pool_count; p++) {
		const struct pool *one = snapshot->pools[p];

		if (!one)
			continue;
		if (pool.len && !str_eq(one->name, pool))
			continue;
		if (!id.len || snapshot_find_backend(one, id))
			return true;
	}
	return false;
}

// "POOL/ID" where a pool has that name, else all of it is the id.
static void split_backend(const struct admin *admin, struct roster_ask *ask)
{
	struct str rest = ask->backend, pool = str_cut(&rest, '/');

	if (ask->pool.len || !rest.len || !has_backend(admin, pool, rest))
		return;
	ask->pool = pool;
	ask->backend = rest;
}

// A name that nobody has is a slip, and no reason to say that there are no connections.
static bool read_names(const struct admin *admin, struct admin_call *call, struct roster_ask *ask)
{
	(void)admin_query(call, "frontend", &ask->frontend);
	(void)admin_query(call, "pool", &ask->pool);
	(void)admin_query(call, "backend", &ask->backend);
	split_backend(admin, ask);
	if (ask->frontend.len && !snapshot_find_frontend(admin->face.snapshot, ask->frontend)) {
		admin_problem(
			call, 404, NULL, "no frontend is called '%.*s'", STR_FMT(ask->frontend));
		return false;
	}
	if (ask->pool.len + ask->backend.len == 0 || has_backend(admin, ask->pool, ask->backend))
		return true;
	if (ask->backend.len && (!ask->pool.len || has_backend(admin, ask->pool, STR_EMPTY)))
		admin_problem(
			call, 404, NULL, "no backend is called '%.*s'", STR_FMT(ask->backend));
	else
		admin_problem(call, 404, NULL, "no pool is called '%.*s'", STR_FMT(ask->pool));
	return false;
}

void api_connections(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;
	const struct workers *workers = admin->face.workers;
	struct roster_ask ask = {0};
	struct question *question;
	u64 limit;

	if (!admin_query_number(call, "limit", 1, ROSTER_ROWS_MAX, limit_default, &limit) ||
		!read_names(admin, call, &ask) || !read_client(call, &ask) ||
		!read_state(call, &ask) || !read_order(call, &ask))
		return;
	if (admin->connection_asks == asks_max) {
		admin_problem(call, 503, "Ask again in a second.",
			"others are being told of the connections");
		return;
	}
	ask.rows_max = (u32)limit;
	question = mem_alloc(sizeof(*question) + sizeof(struct part) * workers->count);
	question->admin = admin;
	question->asked = call;
	question->ask = ask;
	question->part_count = question->parts_out = workers->count;
	admin->connection_asks++;
	admin->asks_out += workers->count;
	for (u32 i = 0; i < workers->count; i++) {
		struct part *part = &question->parts[i];

		part->question = question;
		part->call.run = run;
		part->call.asker = admin->loop;
		part->call.answered = on_answer;
		worker_call(&workers->all[i], &part->call);
	}
}
