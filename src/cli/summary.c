// SPDX-License-Identifier: Apache-2.0
#include "cli/summary.h"

#include "base/text.h"

enum { frontends_shown = 8 };

static void add_bind(struct text *text, const struct conf_frontend *frontend, u32 at)
{
	const struct addr *addr = &frontend->binds[at].addr;
	const char *scheme = frontend->protocol == CONF_HTTP ? "http://" : "tcp://";
	char address[ADDR_TEXT_MAX];

	addr_format(addr, address);
	text_printf(
		text, "%s%s%s", at ? ", " : "", addr->family == ADDR_UNIX ? "" : scheme, address);
}

// "sqlite", behind what is written; the rows of its table may be of other pools as well.
static void add_providers(struct text *text, const struct conf *conf, const struct conf_pool *pool)
{
	bool is_first = pool->backend_count == 0;

	for (u32 i = 0; i < conf->provider_count; i++) {
		if (!str_eq(conf->providers[i].pool, pool->name))
			continue;
		text_printf(text, "%sthose of %.*s", is_first ? "" : " and ",
			STR_FMT(conf->providers[i].name));
		is_first = false;
	}
}

static void add_target(
	struct text *text, const struct conf *conf, const struct conf_frontend *frontend)
{
	if (frontend->route_count)
		text_printf(text, "%u route%s%s", frontend->route_count,
			frontend->route_count == 1 ? "" : "s",
			frontend->pool >= 0 ? ", else " : "");
	if (frontend->pool >= 0) {
		const struct conf_pool *pool = &conf->pools[frontend->pool];

		text_printf(text, "%s over ", conf_algorithm_name(pool->algorithm));
		if (pool->backend_count || !conf->provider_count)
			text_printf(text, "%u backend%s", pool->backend_count,
				pool->backend_count == 1 ? "" : "s");
		add_providers(text, conf, pool);
	}
}

static void add_frontend(struct text *text, const struct conf *conf, u32 at)
{
	const struct conf_frontend *frontend = &conf->frontends[at];

	text_printf(text, "  %-10s ", at ? "" : "traffic");
	for (u32 i = 0; i < frontend->bind_count; i++)
		add_bind(text, frontend, i);
	text_add(text, STR(" -> "));
	add_target(text, conf, frontend);
	text_addc(text, '\n');
}

static void add_admin(struct text *text, const struct conf *conf)
{
	const struct conf_admin *admin = &conf->admin;
	char address[ADDR_TEXT_MAX] = "127.0.0.1:9900";

	if (!admin->binds_itself && admin->bind_count == 0)
		return;
	if (admin->bind_count)
		addr_format(&admin->binds[0].addr, address);
	text_printf(text, "  %-10s %s%s%s   weir top   weir status\n", "see it",
		str_starts(str_from(address), STR("unix:")) ? "" : "http://", address,
		admin->dashboard ? "/" : "");
}

struct str summary_text(const struct load *load, struct arena *arena)
{
	const struct conf *conf = load->conf;
	struct text text = {0};

	text_printf(&text, "weir " WEIR_VERSION "   %s%s\n", load->source,
		load->has_file ? "" : "   (keep it: same command with --print-config > weir.yaml)");
	for (u32 i = 0; i < MIN(conf->frontend_count, (u32)frontends_shown); i++)
		add_frontend(&text, conf, i);
	if (conf->frontend_count > frontends_shown)
		text_printf(&text, "  %-10s and %u more: weir config show\n", "",
			conf->frontend_count - frontends_shown);
	add_admin(&text, conf);
	text_add(
		&text, STR("  stop       Ctrl-C finishes what runs, a second one stops at once\n"));
	return text_take(&text, arena);
}
