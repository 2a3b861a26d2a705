// SPDX-License-Identifier: Apache-2.0
#include "admin/odd_log.h"

#include "base/mem.h"

// Of one backend: how many looks in a row found something else than was said, and what was said.
struct told {
	u8 streak[ODDITY_COUNT];
	bool is[ODDITY_COUNT];
};

struct odd_log {
	struct admin *admin;
	struct told *told; // by cell, of all that there may be
	u32 seconds;
	u32 lines, more; // of this look
	bool asking;
};

static void say_slow(struct odd_log *odd, const struct backend *backend)
{
	const struct oddity_facts *facts = &odd->admin->state->facts[backend->cell];
	const struct oddity_finding *finding = &odd->admin->state->findings[backend->cell];

	LOG(odd->admin->log, LOG_WARN, "backend is slow beside its peers",
		LOG_STR("pool", backend->pool->name), LOG_STR("backend", backend->id),
		LOG_STR("address", backend->address),
		LOG_U64("times", oddity_slow_times(facts, finding)),
		LOG_U64("p50_us", facts->p50_us), LOG_U64("peers_p50_us", finding->peers_p50_us),
		LOG_U64("p99_us", facts->p99_us), LOG_U64("peers_p99_us", finding->peers_p99_us));
}

static void say_fails(struct odd_log *odd, const struct backend *backend)
{
	const struct oddity_facts *facts = &odd->admin->state->facts[backend->cell];

	LOG(odd->admin->log, LOG_WARN, "backend fails", LOG_STR("pool", backend->pool->name),
		LOG_STR("backend", backend->id), LOG_STR("address", backend->address),
		LOG_U64("percent", oddity_errors_percent(facts)),
		LOG_U64("requests_per_s", (u64)facts->requests_per_s),
		LOG_CSTR("see", "weir why; its own log"));
}

static void say_over(struct odd_log *odd, const struct backend *backend, enum oddity oddity)
{
	LOG(odd->admin->log, LOG_NOTICE,
		oddity == ODDITY_SLOW ? "backend is slow no more" : "backend fails no more",
		LOG_STR("pool", backend->pool->name), LOG_STR("backend", backend->id),
		LOG_STR("address", backend->address));
}

static void say(struct odd_log *odd, const struct backend *backend, enum oddity oddity, bool is)
{
	if (odd->lines == ODD_LOG_LINES_MAX) {
		odd->more++;
		return;
	}
	odd->lines++;
	if (!is)
		say_over(odd, backend, oddity);
	else if (oddity == ODDITY_SLOW)
		say_slow(odd, backend);
	else
		say_fails(odd, backend);
}

// Whether what is found now says anything: who gets no requests is neither well nor odd.
static bool is_known(const struct oddity_facts *facts, enum oddity oddity)
{
	return oddity == ODDITY_SLOW ? facts->requests >= ODDITY_REQUESTS_MIN
				     : facts->requests_per_s > 0;
}

static void look_for(struct odd_log *odd, const struct backend *backend, enum oddity oddity)
{
	const struct oddity_facts *facts = &odd->admin->state->facts[backend->cell];
	bool is = odd->admin->state->findings[backend->cell].is[oddity];
	struct told *told = &odd->told[backend->cell];

	if (!facts->takes) // that it is out was said
		*told = (struct told){0};
	if (is == told->is[oddity] || !is_known(facts, oddity)) {
		told->streak[oddity] = 0;
		return;
	}
	if (++told->streak[oddity] < ODD_LOG_LASTS)
		return;
	told->is[oddity] = is;
	told->streak[oddity] = 0;
	say(odd, backend, oddity, is);
}

static void on_state(struct admin *admin, struct admin_call *call)
{
	const struct snapshot *snapshot = admin->face.snapshot;
	struct odd_log *odd = admin->odd;

	(void)call;
	odd->asking = false;
	odd->lines = odd->more = 0;
	for (u32 i = 0; i < snapshot->backend_count; i++) {
		const struct backend *backend = snapshot->backends[i];

		if (backend) {
			look_for(odd, backend, ODDITY_FAILS);
			look_for(odd, backend, ODDITY_SLOW);
		} else { // whoever has the place next is another one
			odd->told[i] = (struct told){0};
		}
	}
	if (odd->more)
		LOG(admin->log, LOG_WARN, "more backends began or ceased to be slow or to fail",
			LOG_U64("times", odd->more), LOG_CSTR("see", "weir top"));
}

void odd_log_second(struct odd_log *odd)
{
	if (++odd->seconds % ODD_LOG_EVERY_S || odd->asking)
		return;
	odd->asking = true;
	state_fetch(odd->admin, NULL, on_state);
}

struct odd_log *odd_log_new(struct admin *admin)
{
	struct odd_log *odd = mem_alloc(sizeof(*odd));

	odd->admin = admin;
	odd->told =
		mem_alloc(sizeof(struct told) * MAX(admin->face.snapshot->slots->backends.max, 1));
	return odd;
}

void odd_log_free(struct odd_log *odd)
{
	mem_free(odd->told);
	mem_free(odd);
}
