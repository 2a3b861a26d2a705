// SPDX-License-Identifier: Apache-2.0
#include "admin/looker.h"

#include "base/mem.h"

struct looker {
	struct admin *admin;
	struct desk_ask ask;
	// On their way; by slot, of all that there may be.
	struct oddity_facts *facts;
	struct oddity_finding *findings;
	u32 seconds;
	bool asking;
};

static void on_heard(struct desk_ask *ask)
{
	struct looker *looker = container_of(ask, struct looker, ask);

	looker->asking = false;
	looker->admin->asks_out--;
}

static void on_state(struct admin *admin, struct admin_call *call)
{
	const struct snapshot *snapshot = admin->face.snapshot;
	struct looker *looker = admin->looker;
	u32 count = snapshot->backend_count;

	(void)call;
	memcpy(looker->facts, admin->state->facts, sizeof(*looker->facts) * count);
	memcpy(looker->findings, admin->state->findings, sizeof(*looker->findings) * count);
	looker->ask.kind = DESK_LOOK;
	looker->ask.generation = snapshot->generation;
	looker->ask.facts = looker->facts;
	looker->ask.findings = looker->findings;
	admin->asks_out++;
	desk_ask(admin->face.desk, &looker->ask, admin->loop, on_heard);
}

void looker_second(struct looker *looker)
{
	if (++looker->seconds % LOOKER_EVERY_S || looker->asking)
		return;
	looker->asking = true;
	state_fetch(looker->admin, NULL, on_state);
}

struct looker *looker_new(struct admin *admin)
{
	struct looker *looker = mem_alloc(sizeof(*looker));
	u32 backends = MAX(admin->face.snapshot->slots->backends.max, 1);

	looker->admin = admin;
	looker->facts = mem_alloc(sizeof(*looker->facts) * backends);
	looker->findings = mem_alloc(sizeof(*looker->findings) * backends);
	return looker;
}

void looker_free(struct looker *looker)
{
	mem_free(looker->facts);
	mem_free(looker->findings);
	mem_free(looker);
}
