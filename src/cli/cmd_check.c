// SPDX-License-Identifier: Apache-2.0
// weir check: everything a start would complain about, without the start.
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
	u32 backends;

	if (code || cli->plan->as_json)
		return code;
	conf = load.conf;
	backends = count_backends(conf);
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
	if (code == 0 && load.deep.len)
		code = terminal_print(load.deep);
	return code;
}
