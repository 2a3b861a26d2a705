// SPDX-License-Identifier: Apache-2.0
// Seeds in which some clients and some backends speak HTTP/2. It is drawn from dice of its own, and
// changes what was planned for HTTP/1 as far as HTTP/2 has no such thing.
#include "h2_caller.h"
#include "h2_wire.h"
#include "plan.h"

enum { worlds_one_in = 3, depth_max = 8, body_max = 3000 };

void h2_plan_world(struct world *world)
{
	rng_init(&world->h2_rng, world->seed ^ 0x4832);
	world->has_h2 = rng_one_in(&world->h2_rng, worlds_one_in);
}

bool h2_plan_server(struct world *world, struct server *server)
{
	if (!world->has_h2 || rng_one_in(&world->h2_rng, 2))
		return false;
	server_use_h2(server);
	return true;
}

static bool pool_has_h2(const struct world *world, i32 pool)
{
	for (u32 i = 0; i < world->server_count; i++)
		if ((i32)server_pool(world->servers[i]) == pool && server_is_h2(world->servers[i]))
			return true;
	return false;
}

// A tunnel needs the word of both sides of HTTP/2 (RFC 8441); these have not given it.
static void make_no_tunnel(struct call *call)
{
	if (!call->upgrade)
		return;
	call->upgrade = false;
	if (call->answer.status != 101)
		return;
	call->answer.status = 200;
	call->answer.flaw = FLAW_NONE;
	call->answer.framing = READ_LENGTH;
	call->answer.body_len = rng_between(&call->world->h2_rng, 0, body_max);
}

static void change_act(struct script *script)
{
	if (script->act == ACT_NONE)
		return;
	if (script->act_at != ACT_AT_LAST)
		script->act_at -= MIN(script->act_at, (u32)script->head.len);
	if (script->framing == READ_NONE && script->act == ACT_STALL)
		script->act = ACT_NONE; // there is nothing to wait for
}

static void change_call(struct call *call)
{
	struct world *world = call->world;
	struct script *script = &call->script;

	call->h2 = true;
	call->minor = 1;
	call->close = call->keep_alive_word = call->expect = false;
	call->offer = NULL;
	make_no_tunnel(call);
	if (!call->host)
		call->host = "sim.test";
	if (call->bad) {
		call->bad = (u8)rng_between(&world->h2_rng, 1, H2_BAD_COUNT - 1);
		call->bad_status = 400;
	}
	change_act(script);
	if (!script->flaw)
		return;
	script->flaw = FLAW_CHUNK_SIZE; // it is shorter than it says
	script->framing = READ_LENGTH;
	script->trailers = false;
}

static void change_caller(struct world *world, struct caller *caller)
{
	struct call *const *calls;
	u32 count;

	if (caller_frontend(caller) == 2 || rng_one_in(&world->h2_rng, 2))
		return;
	caller_use_h2(caller,
		rng_one_in(&world->h2_rng, 4) ? 1 : rng_between(&world->h2_rng, 2, depth_max));
	caller_calls(caller, &calls, &count);
	for (u32 i = 0; i < count; i++)
		change_call(calls[i]);
}

// Of a client of HTTP/1, where HTTP/2 may be behind.
static void change_behind(struct call *call)
{
	i32 failover = call->world->conf->pools[call->pool].failover;

	if (call->h2 || call->is_tunnel || !call->upgrade ||
		!(pool_has_h2(call->world, call->pool) || pool_has_h2(call->world, failover)))
		return;
	make_no_tunnel(call);
	if (call->bad)
		return;
	plan_request_script(call);
	if (call->script.act && call->script.act_at != ACT_AT_LAST)
		call->script.act_at = MIN(call->script.act_at, (u32)call->script.head.len - 1);
	script_start(&call->script);
}

void h2_plan_calls(struct world *world)
{
	if (!world->has_h2)
		return;
	for (u32 i = 0; i < world->caller_count; i++)
		change_caller(world, world->callers[i]);
	for (u32 i = 0; i < world->call_count; i++)
		change_behind(&world->calls[i]);
}
