// SPDX-License-Identifier: Apache-2.0
#include "proxy/roster.h"

#include "proxy/exchange.h"
#include "proxy/request.h"

const char *const roster_state_names[ROSTER_STATE_COUNT] = {
#define X(name, word, text) [ROSTER_##name] = word,
	ROSTER_STATES(X)
#undef X
};

// ---- What a connection does ---------------------------------------------------------------------

static enum roster_state state_of(const struct client *client)
{
	const struct exchange *x = client->exchanges;

	if (x)
		return x->tcp ? ROSTER_TCP : x->tunnelling ? ROSTER_TUNNEL : ROSTER_REQUEST;
	if (client->conn.session->end != SESSION_GOES_ON || client->conn.closing)
		return ROSTER_ENDING;
	switch ((enum client_waiting)client->waiting) {
	case WAITS_OPENING:
	case WAITS_FIRST:
		return ROSTER_NEW;
	case WAITS_HEAD:
		return ROSTER_HEAD;
	case WAITS_NEXT:
		return ROSTER_IDLE;
	case WAITS_HANDSHAKE:
		return ROSTER_HANDSHAKE;
	case WAITS_NOT:
		break;
	}
	return ROSTER_ENDING;
}

static bool is_of_client(const struct roster_ask *ask, struct str ip)
{
	struct addr addr;

	if (ask->client.len)
		return str_eq(ip, ask->client);
	return ask->prefix.addr.family == ADDR_NONE ||
	       (addr_parse_ip(ip, &addr) == 0 && addr_prefix_match(&ask->prefix, &addr));
}

static bool is_of_backend(const struct roster_ask *ask, const struct exchange *x)
{
	if (ask->pool.len + ask->backend.len == 0)
		return true;
	if (!x || (ask->pool.len && (!x->pool || !str_eq(x->pool->name, ask->pool))))
		return false;
	return !ask->backend.len || (x->backend && str_eq(x->backend->id, ask->backend));
}

static bool matches(const struct roster *roster, const struct client *client)
{
	const struct roster_ask *ask = &roster->ask;
	struct exchange *x = client->exchanges;

	if (ask->frontend.len && !str_eq(client->gate->frontend->conf->name, ask->frontend))
		return false;
	if (ask->state != ROSTER_STATE_COUNT && state_of(client) != ask->state)
		return false;
	if (!is_of_backend(ask, x))
		return false;
	return is_of_client(ask, str_make(client->ip, client->ip_len)) ||
	       (x && x->request && is_of_client(ask, request_client_ip(x)));
}

// ---- Rows ---------------------------------------------------------------------------------------

// Empty where memory is missing.
static struct str keep(struct roster *roster, struct str text)
{
	char *copy = text.len ? arena_alloc(&roster->arena, text.len) : NULL;

	if (!copy)
		return STR_EMPTY;
	memcpy(copy, text.ptr, text.len);
	return str_make(copy, text.len);
}

static void add_request(struct roster *roster, struct roster_run *run, struct exchange *x)
{
	const struct http_head *head = x->request;
	// What has no normal form was refused, and is told as it came.
	struct str path =
		x->path.len ? x->path : str_make(head->path.ptr, str_find(head->path, '?'));

	run->path_is_cut = path.len > ROSTER_PATH_MAX;
	path.len = MIN(path.len, (size_t)ROSTER_PATH_MAX);
	run->path = keep(roster, path);
	run->method = keep(roster, head->method_text);
	run->id = keep(roster, request_id(x));
	run->client = keep(roster, request_client_ip(x));
}

static void add_run(struct roster *roster, struct roster_row *row, struct exchange *x)
{
	struct roster_run *run;

	run = &row->runs[row->run_count++];
	*run = (struct roster_run){.step = step_names[x->step],
		.age_us = loop_now_us(roster->proxy->loop) - x->began_us,
		.attempts = x->attempts};
	if (x->request)
		add_request(roster, run, x);
	if (x->route)
		run->route = keep(roster, x->route->conf->name);
	if (x->pool)
		run->pool = keep(roster, x->pool->name);
	if (x->backend)
		run->backend = keep(roster, x->backend->id);
}

static void add_runs(struct roster *roster, struct roster_row *row, struct exchange *first)
{
	u32 count = 0;

	for (const struct exchange *x = first; x && count < ROSTER_RUNS_MAX; x = x->next_of_client)
		count++;
	row->runs = count ? arena_alloc(&roster->arena, sizeof(*row->runs) * count) : NULL;
	for (struct exchange *x = first; x && row->runs && row->run_count < count;
		x = x->next_of_client)
		add_run(roster, row, x);
}

static void add_row(struct roster *roster, const struct client *client)
{
	const struct loop *loop = roster->proxy->loop;
	struct roster_row *row = &roster->rows[roster->row_count++];

	*row = (struct roster_row){.frontend = keep(roster, client->gate->frontend->conf->name),
		.client = keep(roster, str_make(client->ip, client->ip_len)),
		.port = client->port,
		.state = (u8)state_of(client),
		.since_ms = loop->wall_ms - (i64)loop->now_ms + (i64)client->opened_s * 1000,
		.requests = client->requests,
		.bytes_in = client->conn.bytes_in,
		.bytes_out = client->conn.bytes_out};
	add_runs(roster, row, client->exchanges);
}

// ---- The walk -----------------------------------------------------------------------------------

static struct list *after(const struct roster *roster, const struct list *node)
{
	return roster->ask.oldest_first ? node->prev : node->next;
}

static bool is_filtered(const struct roster_ask *ask)
{
	return ask->frontend.len || ask->pool.len || ask->backend.len || ask->client.len ||
	       ask->prefix.addr.family != ADDR_NONE || ask->state != ROSTER_STATE_COUNT;
}

// Whoever asks for no special ones need not wait until all are counted.
static bool has_enough(const struct roster *roster)
{
	return roster->row_count == roster->ask.rows_max && !is_filtered(&roster->ask);
}

static bool end(struct roster *roster)
{
	list_remove(&roster->node);
	if (!is_filtered(&roster->ask))
		roster->matching = roster->total;
	return false;
}

bool roster_more(struct roster *roster)
{
	const struct list *head = &roster->proxy->client_list;

	for (u32 i = 0; i < roster->ask.slice; i++) {
		const struct client *client;

		if (roster->at == head || has_enough(roster))
			return end(roster);
		client = list_entry(roster->at, struct client, node);
		roster->at = after(roster, roster->at);
		roster->looked_at++;
		if (!matches(roster, client))
			continue;
		roster->matching++;
		if (roster->row_count < roster->ask.rows_max)
			add_row(roster, client);
	}
	return true;
}

bool roster_begin(struct roster *ret_roster, struct proxy *proxy, const struct roster_ask *ask)
{
	struct roster *roster = ret_roster;

	*roster = (struct roster){.ask = *ask, .proxy = proxy, .total = proxy->client_count};
	arena_init(&roster->arena, ROSTER_BYTES_MAX);
	roster->rows = arena_alloc(&roster->arena, sizeof(*roster->rows) * ask->rows_max);
	if (!roster->rows)
		roster->ask.rows_max = 0;
	if (!roster->ask.slice)
		roster->ask.slice = ROSTER_SLICE;
	roster->at = after(roster, &proxy->client_list);
	list_push_back(&proxy->rosters, &roster->node);
	return roster_more(roster);
}

void roster_done(struct roster *roster)
{
	arena_done(&roster->arena);
}

void roster_client_leaves(struct proxy *proxy, const struct client *client)
{
	list_for_each (node, &proxy->rosters) {
		struct roster *roster = list_entry(node, struct roster, node);

		if (roster->at == &client->node)
			roster->at = after(roster, roster->at);
	}
}
