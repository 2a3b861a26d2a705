// SPDX-License-Identifier: Apache-2.0
#include "cli/check_twins.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "conf/report.h"

enum { names_bytes_max = 32 * 1024, twins_max = 1000 * 1000, what_bytes_max = 1024 };

void twins_add(struct twins *twins, const struct tls_cert *cert, u32 index)
{
	char *text = mem_alloc(names_bytes_max);
	struct str rest = str_make(text, tls_cert_names(cert->leaf, text, names_bytes_max));

	while (rest.len && twins->count < twins_max) {
		struct str name = str_cut(&rest, ' ');

		if (twins->count == twins->room) {
			twins->room = twins->room * 2 + 64;
			twins->list = mem_realloc(twins->list, sizeof(*twins->list) * twins->room);
		}
		twins->list[twins->count++] =
			(struct twin){mem_strndup(name.ptr, name.len), tls_cert_kind(cert), index};
	}
	mem_free(text);
}

static int compare(const void *left, const void *right)
{
	const struct twin *a = left, *b = right;
	int names = strcmp(a->name, b->name);

	if (names)
		return names;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

// What hides a certificate: the first name for which it does, and how many more there are.
struct hidden {
	const struct twin *twin;
	u32 by, more;
};

static void tell(const struct conf *conf, const struct conf_certificate *certificates,
	const struct hidden *hidden, struct errs *errs)
{
	static const char *const kinds[TLS_CERT_KINDS] = {"RSA", "ECDSA", "EdDSA"};
	struct str file = certificates[hidden->twin->index].cert;
	char what[what_bytes_max], more[32] = "";

	if (hidden->more)
		snprintf(more, sizeof(more), " and %u more name%s", hidden->more,
			hidden->more == 1 ? "" : "s");
	snprintf(what, sizeof(what),
		"%.*s is never shown for %s%s: %.*s comes first, and its key is of the same kind "
		"(%s)",
		STR_FMT(file), hidden->twin->name, more, STR_FMT(certificates[hidden->by].cert),
		kinds[hidden->twin->kind]);
	conf_fail_file(conf, file, CODE_SAME_NAMES, what, "leave out the older one", errs);
}

void twins_tell(struct twins *twins, const struct conf *conf,
	const struct conf_certificate *certificates, u32 count, struct errs *errs)
{
	struct hidden *hidden = mem_alloc(sizeof(*hidden) * MAX(count, 1u));
	u32 first = 0;

	if (twins->count)
		qsort(twins->list, twins->count, sizeof(*twins->list), compare);
	for (u32 i = 1; i < twins->count; i++) {
		const struct twin *twin = &twins->list[i], *before = &twins->list[first];

		if (twin->kind != before->kind || strcmp(twin->name, before->name) != 0)
			first = i;
		else if (twin->index == before->index)
			continue; // twice in one certificate
		else if (hidden[twin->index].twin)
			hidden[twin->index].more++;
		else
			hidden[twin->index] = (struct hidden){twin, before->index, 0};
	}
	for (u32 i = 0; i < count; i++)
		if (hidden[i].twin)
			tell(conf, certificates, &hidden[i], errs);
	for (u32 i = 0; i < twins->count; i++)
		mem_free(twins->list[i].name);
	mem_free(twins->list);
	mem_free(hidden);
	*twins = (struct twins){0};
}
