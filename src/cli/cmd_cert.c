// SPDX-License-Identifier: Apache-2.0
// weir cert: a certificate for trying out HTTPS, and how to use it.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/terminal.h"
#include "net/tls_make.h"

enum { days = 365 };

static const struct str usual[] = {{"localhost", 9}, {"127.0.0.1", 9}, {"::1", 3}};

int cert_main(const struct cli *cli)
{
	const struct plan *plan = cli->plan;
	const char *folder = plan->set_count ? plan->sets[0] : ".";
	const char *cert = arena_printf(cli->arena, "%s/site.crt", folder);
	const char *key = arena_printf(cli->arena, "%s/site.key", folder);
	u32 count = plan->set_count > 1 ? plan->set_count - 1 : 0;
	struct str *names = arena_zalloc(cli->arena, sizeof(*names) * (count + 1));
	struct tls_error error;

	for (u32 i = 0; i < count; i++)
		names[i] = str_from(plan->sets[i + 1]);
	if (mkdir(folder, 0755) != 0 && errno != EEXIST) {
		fprintf(stderr, "weir: %s cannot be made: %s.\n", folder, strerror(errno));
		return 1;
	}
	if (!tls_make_pair(cert, key, count ? names : usual, count ? count : ARRAY_LEN(usual), days,
		    &error)) {
		fprintf(stderr, "weir: %s.\n", error.text);
		return 1;
	}
	return terminal_print(str_from(arena_printf(cli->arena,
		"%s and %s are good for %d days; only who is told to trusts them.\n"
		"  certificates: [{cert: %s, key: {file: %s}}]\n"
		"  frontends: {web: {bind: \":8443\", tls: true, …}}\n"
		"  curl --cacert %s https://%.*s:8443/\n",
		cert, key, days, cert, key, cert, STR_FMT(count ? names[0] : usual[0]))));
}
