// SPDX-License-Identifier: Apache-2.0
// Findings about values that only turn out to be wrong when they are used.
#include "conf/conf.h"
#include "conf/tree.h"

// The one that a field of struct conf shares its text with. Trees are at most TREE_DEPTH_MAX deep.
static const struct node *find_text(const struct node *node, const char *text)
{
	const struct node *found = NULL;

	if (node->kind == NODE_TEXT)
		return node->text.ptr == text ? node : NULL;
	for (const struct node *child = node->first; child && !found; child = child->next)
		found = find_text(child, text);
	return found;
}

void conf_fail_file(const struct conf *conf, struct str file, u16 code, const char *what,
	const char *advice, struct errs *errs)
{
	struct report report = {.errs = errs,
		.sources = (struct report_source *)(uintptr_t)conf->sources}; // only read
	const struct node *node = file.len && conf->tree ? find_text(conf->tree, file.ptr) : NULL;
	struct err *err =
		report_at(&report, (enum conf_code)code, node ? node->place : (struct place){0},
			node ? MAX(node->width, 1u) : 1, "%s", what);

	if (advice && advice[0])
		report_advice(&report, err, "%s", advice);
}
