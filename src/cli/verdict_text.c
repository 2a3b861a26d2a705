// SPDX-License-Identifier: Apache-2.0
#include "cli/verdict_text.h"

#include <math.h>

#include "cli/call.h"
#include "cli/units.h"

void verdict_add(struct text *text, const json_t *verdict)
{
	const json_t *parts = json_object_get(verdict, "parts"), *part;
	size_t at;

	json_array_foreach(parts, at, part)
	{
		double since = call_number(part, "since_at_ms");
		const char *reason = call_string(part, "reason");

		text_printf(text, "%s%s", at ? "; " : "", call_string(part, "text"));
		if (isfinite(since))
			text_printf(text, " since %s", unit_clock(since).text);
		text_printf(text, "%s%s", reason[0] ? ": " : "", reason);
	}
	if (json_array_size(parts) == 0)
		text_printf(text, "%s", call_string(verdict, "text"));
}
