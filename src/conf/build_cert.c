// SPDX-License-Identifier: Apache-2.0
// Converters of what is asked about a client's certificate: by routes, and by the tests of a
// configuration.
#include "conf/build.h"
#include "conf/subject.h"
#include "conf/value.h"

void build_client_cert(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	build_map(build, key->nested, path, node, object);
}

void build_match_verified(struct build *build, const struct schema_key *key,
	const struct path *path, struct node *node, void *object)
{
	struct conf_match_cert *cert = &((struct conf_route *)object)->match.cert;
	struct str text;
	bool flag;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (!value_parse_flag(text, &flag)) {
		report_value(build->report, CODE_WRONG_TYPE, node,
			"'%.*s' is neither true nor false (%s)", CLIP(text),
			path_text(build, path));
		return;
	}
	build_canonical(build, node, flag ? "true" : "false", true);
	cert->verified = flag ? CONF_CERT_VERIFIED : CONF_CERT_NONE;
}

typedef bool build_name_fn(struct build *, const struct path *, struct node *, struct str *);

static void build_names(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object, build_name_fn *build_name)
{
	struct conf_names *field = (struct conf_names *)(void *)((char *)object + key->offset);
	struct path item = {.up = path};
	struct str *names;
	u32 count = 0;

	if (!build_check_list(build, path, node, "texts"))
		return;
	names = arena_zalloc(build->arena, sizeof(*names) * (node->count + 1u));
	for (struct node *child = node->first; child; child = child->next, item.index++)
		if (build_scalar(build, &item, child, &names[count]) &&
			build_name(build, &item, child, &names[count]))
			count++;
	*field = (struct conf_names){names, count};
}

static bool build_subject(
	struct build *build, const struct path *path, struct node *node, struct str *subject)
{
	struct str meant = subject_rewrite(build->arena, *subject);
	struct err *err;

	if (meant.len == 0 && subject->len && subject->len <= CONF_CERT_NAME_MAX &&
		build_is_printable(*subject) && str_find(*subject, '=') < subject->len)
		return true;
	err = report_value(build->report, CODE_MALFORMED, node,
		"'%.*s' is no subject (%s): write it as RFC 4514 and X-Client-Cert-Subject have "
		"it, the last part first, like CN=client 7,O=Example",
		CLIP(*subject), path_text(build, path));
	if (meant.len && !node->written.ptr)
		report_advice(build->report, err,
			"did you mean '%.*s'? `openssl x509 -noout -subject -nameopt RFC2253 -in "
			"FILE` prints it so",
			STR_FMT(meant));
	return false;
}

void build_cert_subjects(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	build_names(build, key, path, node, object, build_subject);
}

// With its kind in front; an address has the form that is compared.
static bool canonical_name(struct build *build, struct str *name)
{
	static const struct str kinds[] = {{"DNS:", 4}, {"email:", 6}, {"URI:", 4}};
	char text[ADDR_TEXT_MAX];
	struct addr addr;
	size_t len;

	if (name->len > CONF_CERT_NAME_MAX || !build_is_printable(*name) ||
		str_find(*name, ',') < name->len)
		return false;
	*name = arena_str(build->arena, *name);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_starts(*name, kinds[i]))
			return name->len > kinds[i].len;
	if (!str_starts(*name, STR("IP:")) ||
		addr_parse_ip(str_make(name->ptr + 3, name->len - 3), &addr) != 0)
		return false;
	len = addr_format_ip(&addr, text);
	*name = str_from(arena_printf(build->arena, "IP:%.*s", (int)len, text));
	return true;
}

static bool build_name(
	struct build *build, const struct path *path, struct node *node, struct str *name)
{
	struct str text = *name;

	if (canonical_name(build, name)) {
		build_canonical(build, node, name->ptr, false);
		return true;
	}
	report_value(build->report, CODE_MALFORMED, node,
		"'%.*s' is no alternative name (%s): DNS:, email:, URI: or IP: with a name behind "
		"it, and no comma",
		CLIP(text), path_text(build, path));
	return false;
}

void build_cert_names(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	build_names(build, key, path, node, object, build_name);
}

// Who may be asked what: as build_finish_opening, for one route.
void build_finish_cert(struct build *build, const struct path *path, const struct node *match,
	const struct conf_frontend *frontend, struct conf_match_cert *cert)
{
	const struct node *asked = match ? node_get(match, STR("client_cert")) : NULL;
	bool has_names = cert->subjects.count || cert->sans.count;

	if (!asked || (cert->verified == CONF_CERT_NOT_ASKED && !has_names))
		return;
	if (cert->verified == CONF_CERT_NONE && has_names)
		report_key(build->report, CODE_CONFLICT, asked,
			"%s.match.client_cert wants names of a certificate, and that there is none",
			path_text(build, path));
	if (cert->verified == CONF_CERT_NOT_ASKED)
		cert->verified = CONF_CERT_VERIFIED;
	if (frontend->protocol != CONF_HTTP)
		return;
	if (frontend->tls.client.mode == CONF_CLIENT_CERT_NONE)
		report_advice(build->report,
			report_key(build->report, CODE_CONFLICT, asked,
				"'client_cert' means nothing in %s: clients are asked for no "
				"certificate there",
				path_text(build, path)),
			"tls: {client_certificates: {mode: optional, ca: ca.pem}} asks them");
	else if (frontend->tls.client.mode == CONF_CLIENT_CERT_REQUIRED &&
		 cert->verified == CONF_CERT_NONE)
		report_key(build->report, CODE_CONFLICT, asked,
			"%s takes nobody: it wants clients without a certificate, and "
			"tls.client_certificates lets none of them in",
			path_text(build, path));
}
