// SPDX-License-Identifier: Apache-2.0
#include "tls_plan.h"

enum { stray_one_in = 6, strict_frontend = 1 };

static const char *const names[TLS_NAME_COUNT] = {
#define X(name, text) [TLS_NAME_##name] = text,
	TLS_NAMES(X)
#undef X
};

const char *tls_name_text(enum tls_name name)
{
	return names[name];
}

enum tls_cert_id tls_names_of(u32 index)
{
	static const enum tls_cert_id ids[TLS_CERTIFICATES_MAX] = {
		TLS_CERT_SITE, TLS_CERT_OTHER, TLS_CERT_EXACT};

	return ids[index];
}

// Each name is written out: this must not be clever in the way of what it is held against.
enum tls_cert_id tls_names_cert(u32 count, struct str host)
{
	static const struct {
		struct str host;
		enum tls_cert_id least[TLS_CERTIFICATES_MAX]; // by the count of certificates
	} rows[] = {
		{{"sim.test", 8}, {TLS_CERT_SITE, TLS_CERT_SITE, TLS_CERT_SITE}},
		{{"other.test", 10}, {TLS_CERT_NONE, TLS_CERT_OTHER, TLS_CERT_OTHER}},
		{{"b.wild.test", 11}, {TLS_CERT_NONE, TLS_CERT_OTHER, TLS_CERT_OTHER}},
		{{"a.wild.test", 11}, {TLS_CERT_NONE, TLS_CERT_OTHER, TLS_CERT_EXACT}},
	};
	struct str name = str_cut(&host, ':');

	for (u32 i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq_nocase(name, rows[i].host))
			return rows[i].least[count - 1];
	return TLS_CERT_NONE;
}

// ---- Plans --------------------------------------------------------------------------------------

enum tls_name tls_name_of(const struct caller *caller)
{
	struct call *const *calls;
	u32 count;

	caller_calls(caller, &calls, &count);
	return count ? (enum tls_name)calls[0]->asks_for : TLS_NAME_SITE;
}

static const char *some_host(struct world *world, enum tls_name asked)
{
	static const char *const hosts[] = {"sim.test", "other.test", "other.test:443",
		"B.wild.test", "a.wild.test", "a.wild.test:8443", "unknown.test", "sim.test:443"};

	if (!rng_one_in(&world->tls_rng, stray_one_in))
		return names[asked] ? names[asked] : "sim.test";
	return hosts[rng_below(&world->tls_rng, ARRAY_LEN(hosts))];
}

static void change_host(struct call *call, const char *host, bool is_strict)
{
	bool is_site = str_eq_nocase(str_from(host), STR("sim.test")) ||
		       str_eq(str_from(host), STR("sim.test:443"));

	if (str_eq(str_from(host), str_from(call->host)))
		return;
	call->host = host;
	call->no_route = is_strict && !is_site;
	if (call->h2)
		return;
	plan_request_script(call);
	if (call->script.act && call->script.framing == READ_NONE &&
		call->script.act_at != ACT_AT_LAST)
		call->script.act_at = MIN(call->script.act_at, (u32)call->script.head.len - 1);
	script_start(&call->script);
}

static void plan_call(struct call *call, enum tls_name asked, u32 certificates, bool is_strict)
{
	struct world *world = call->world;
	enum tls_cert_id wanted, shown;

	call->asks_for = (u8)asked;
	if (call->bad || call->is_tunnel || !call->host || call->no_route)
		return;
	change_host(call, some_host(world, asked), is_strict);
	// Who names nothing, and who wants a host that has no certificate, may go on.
	if (certificates < 2 || asked == TLS_NAME_NOTHING)
		return;
	wanted = tls_names_cert(certificates, str_from(call->host));
	shown = tls_names_cert(certificates, str_from(names[asked]));
	if (shown == TLS_CERT_NONE)
		shown = tls_names_of(0);
	call->is_misdirected = wanted != TLS_CERT_NONE && wanted != shown;
}

static void plan_caller(struct world *world, struct caller *caller)
{
	const struct conf_frontend_tls *conf = &world->conf->frontends[caller_frontend(caller)].tls;
	u32 usual_one_in = conf->certificate_count > 1 ? 3 : 1;
	enum tls_name asked = TLS_NAME_SITE;
	struct call *const *calls;
	u32 count;

	if (!conf->enabled)
		return;
	if (rng_one_in(&world->tls_rng, 4) || !rng_one_in(&world->tls_rng, usual_one_in))
		asked = (enum tls_name)rng_below(&world->tls_rng, TLS_NAME_COUNT);
	caller_calls(caller, &calls, &count);
	for (u32 i = 0; i < count; i++)
		plan_call(calls[i], asked, conf->certificate_count,
			caller_frontend(caller) == strict_frontend);
}

void tls_plan_names(struct world *world)
{
	for (u32 i = 0; i < world->caller_count; i++)
		plan_caller(world, world->callers[i]);
}
