// SPDX-License-Identifier: Apache-2.0
#include "upstream/report.h"

#include "base/mem.h"

void report_send(const struct report_to *to, struct backend *backend, enum report_kind kind,
	enum ejection_why why, int error)
{
	struct report *report;

	if (!to->loop)
		return;
	report = mem_try_alloc(sizeof(*report));
	if (!report)
		return;
	*report = (struct report){.message = {.deliver = to->deliver},
		.owner = to->owner,
		.backend = backend,
		.kind = (u8)kind,
		.why = (u8)why,
		.error = error};
	loop_post(to->loop, &report->message);
}
