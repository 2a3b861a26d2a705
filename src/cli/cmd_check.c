// SPDX-License-Identifier: Apache-2.0
// weir check: everything a start would complain about, without the start.
#include <stdio.h>

#include "cli/check_deep.h"
#include "cli/load.h"
#include "cli/terminal.h"

static u32 count_backends(const struct conf *conf)
{
	u32 count = 0;

	for (u32 i = 0; i < conf->pool_count; i++)
		count += conf->pools[i].backend_count;
	return count;
}

static const char *plural(u32 count)
{
	return count == 1 ? "" : "s";
}

int check_main(const struct cli *cli)
{
	struct load load;
	int code = load_conf(cli, &load);
	const struct conf *conf;
	struct text deep = {0};
	u32 backends, errors = 0;

	if (code || cli->plan->as_json)
		return code;
	conf = load.conf;
	backends = count_backends(conf);
	if (cli->plan->is_deep)
		errors = check_deep(conf, cli->arena, &deep);
	if (errors) {
		fprintf(stderr, "%s: what it names cannot be used:\n%s", load.source, deep.data);
		text_done(&deep);
		return EXIT_CONFIG;
	}
	code = terminal_print(str_from(arena_printf(cli->arena,
		"%s: ok: %u frontend%s, %u pool%s, %u backend%s%s%s\n", load.source,
		conf->frontend_count, plural(conf->frontend_count), conf->pool_count,
		plural(conf->pool_count), backends, plural(backends),
		conf->provider_count == 0
			? ""
			: arena_printf(cli->arena, ", and those of %u provider%s",
				  conf->provider_count, plural(conf->provider_count)),
		conf->test_count == 0 ? ""
				      : arena_printf(cli->arena, "; %u test%s passed",
						conf->test_count, plural(conf->test_count)))));
	if (code == 0 && deep.len)
		code = terminal_print(str_make(deep.data, deep.len));
	text_done(&deep);
	return code;
}
