// SPDX-License-Identifier: Apache-2.0
#include "net/tls_server.h"

#include <stdatomic.h>
#include <openssl/err.h>

#include "base/mem.h"
#include "net/tls_env.h"
#include "net/tls_rules.h"

enum {
	kind_max = TLS_CERT_KINDS,
	names_bytes_max = 32 * 1024, // of one certificate
	name_bytes_max = 253,
	alpn_bytes_max = 64,
	// A session remembers its client's certificate, and OpenSSL makes tickets of 65,280 bytes
	// at most: beyond that the handshake would fail behind a certificate that was good.
	chain_bytes_max = 60 * 1024,
	nowhere = UINT32_MAX,
};

// Certificates that stand side by side for the same names. 0: none of this kind, else index + 1.
struct group {
	SSL_CTX *ctx;
	u32 certs[kind_max];
};

// A wildcard's text is what follows its star: ".example.com".
struct name {
	char *text;
	u32 group;
};

struct tls_server {
	struct tls_env *env;
	_Atomic(u32) refs; // connections of its thread, and snapshots
	struct tls_cert *certs;
	struct tls_staple *staples; // of each of them
	u32 cert_count;
	struct group *groups; // the first one is for all others
	u32 group_count;
	struct name *names; // sorted
	u32 name_count, name_room;
	u8 alpn[alpn_bytes_max]; // as on the wire
	u32 alpn_len;
};

// ---- Names --------------------------------------------------------------------------------------

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static struct name *find_name(const struct tls_server *server, const char *text)
{
	struct name key = {.text = (char *)(uintptr_t)text};

	if (server->name_count == 0)
		return NULL;
	return bsearch(&key, server->names, server->name_count, sizeof(struct name), compare_names);
}

// The group for this host, `nowhere` when no certificate is for it.
static u32 group_of_host(const struct tls_server *server, struct str host)
{
	char text[name_bytes_max + 1];
	const struct name *name;
	const char *dot;

	if (host.len && host.ptr[host.len - 1] == '.')
		host.len--;
	if (host.len == 0 || host.len > name_bytes_max)
		return nowhere;
	for (size_t i = 0; i < host.len; i++)
		text[i] = ascii_lower(host.ptr[i]);
	text[host.len] = '\0';
	name = find_name(server, text);
	if (name)
		return name->group;
	dot = strchr(text, '.');
	name = dot && dot != text ? find_name(server, dot) : NULL;
	return name ? name->group : nowhere;
}

static struct name *add_name(struct tls_server *server, struct str text)
{
	struct name *name;

	if (text.len > 1 && text.ptr[0] == '*' && text.ptr[1] == '.')
		text = str_make(text.ptr + 1, text.len - 1);
	for (u32 i = 0; i < server->name_count; i++)
		if (str_eq(str_from(server->names[i].text), text))
			return &server->names[i];
	if (server->name_count == server->name_room) {
		server->name_room = server->name_room * 2 + 8;
		server->names =
			mem_realloc(server->names, sizeof(*server->names) * server->name_room);
	}
	name = &server->names[server->name_count++];
	*name = (struct name){.text = mem_strndup(text.ptr, text.len), .group = nowhere};
	return name;
}

// ---- Groups -------------------------------------------------------------------------------------

static u32 add_group(struct tls_server *server, const u32 *certs)
{
	for (u32 i = 0; i < server->group_count; i++)
		if (memcmp(server->groups[i].certs, certs, sizeof(server->groups[i].certs)) == 0)
			return i;
	server->groups =
		mem_realloc(server->groups, sizeof(*server->groups) * (server->group_count + 1));
	server->groups[server->group_count] = (struct group){0};
	memcpy(server->groups[server->group_count].certs, certs, sizeof(u32) * kind_max);
	return server->group_count++;
}

// The group that a name is in, with one certificate more: the first one of each kind counts.
static u32 group_with(struct tls_server *server, u32 group, u32 cert)
{
	u32 kind = tls_cert_kind(&server->certs[cert]), certs[kind_max] = {0};

	if (group != nowhere)
		memcpy(certs, server->groups[group].certs, sizeof(certs));
	if (!certs[kind])
		certs[kind] = cert + 1;
	return add_group(server, certs);
}

static void take_names(struct tls_server *server, u32 cert)
{
	char *text = mem_alloc(names_bytes_max);
	struct str rest =
		str_make(text, tls_cert_names(server->certs[cert].leaf, text, names_bytes_max));

	while (rest.len) {
		struct name *name = add_name(server, str_cut(&rest, ' '));

		name->group = group_with(server, name->group, cert);
	}
	mem_free(text);
}

// The first name of the first certificate stands for whoever asks for nothing that is here.
static void put_default_first(struct tls_server *server)
{
	u32 first = server->name_count && server->names[0].group != nowhere &&
				    server->groups[server->names[0].group]
						    .certs[tls_cert_kind(&server->certs[0])] == 1
			    ? server->names[0].group
			    : group_with(server, nowhere, 0);
	struct group group = server->groups[first];

	server->groups[first] = server->groups[0];
	server->groups[0] = group;
	for (u32 i = 0; i < server->name_count; i++) {
		if (server->names[i].group == first)
			server->names[i].group = 0;
		else if (server->names[i].group == 0)
			server->names[i].group = first;
	}
}

static void sort_out(struct tls_server *server)
{
	for (u32 i = 0; i < server->cert_count; i++)
		take_names(server, i);
	put_default_first(server);
	if (server->name_count)
		qsort(server->names, server->name_count, sizeof(struct name), compare_names);
}

// ---- What OpenSSL asks --------------------------------------------------------------------------

static struct tls_server *server_of(SSL *ssl)
{
	struct tls *tls = SSL_get_app_data(ssl);

	return tls->server;
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *server = server_of(ssl);
	const char *text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	u32 group;

	(void)alert;
	(void)arg;
	if (!text)
		return SSL_TLSEXT_ERR_NOACK;
	group = group_of_host(server, str_from(text));
	if (group != nowhere && group != 0)
		SSL_set_SSL_CTX(ssl, server->groups[group].ctx);
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
	const unsigned char *in, unsigned in_len, void *arg)
{
	const struct tls_server *server = server_of(ssl);
	unsigned char *chosen = NULL;

	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, server->alpn, server->alpn_len, in, in_len) !=
		OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; // RFC 7301 3.2
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

// Its time ends while it is in use.
static bool may_staple(const struct tls_server *server, const struct tls_staple *staple)
{
	return staple->file.len &&
	       tls_staple_fault_at(staple, tls_env_wall_s(server->env)) == TLS_STAPLE_NONE;
}

static int on_status(SSL *ssl, void *arg)
{
	const struct tls_server *server = server_of(ssl);
	const X509 *leaf = SSL_get_certificate(ssl);

	(void)arg;
	for (u32 i = 0; i < server->cert_count; i++) {
		const struct tls_staple *staple = &server->staples[i];
		u8 *copy;

		if (server->certs[i].leaf != leaf || !may_staple(server, staple))
			continue;
		copy = OPENSSL_memdup(staple->der, staple->len);
		if (!copy)
			break;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple->len);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

// ---- Building -----------------------------------------------------------------------------------

static void set_alpn(struct tls_server *server, const struct tls_server_options *options)
{
	for (u32 i = 0; i < options->alpn_count; i++) {
		struct str each = options->alpn[i];

		if (server->alpn_len + each.len + 1 > sizeof(server->alpn))
			return;
		server->alpn[server->alpn_len++] = (u8)each.len;
		memcpy(server->alpn + server->alpn_len, each.ptr, each.len);
		server->alpn_len += (u32)each.len;
	}
}

static bool ask_clients(
	SSL_CTX *ctx, const struct tls_server_options *options, struct tls_error *ret_error)
{
	STACK_OF(X509_NAME) * names;
	int mode = SSL_VERIFY_PEER;

	if (options->client_auth == TLS_CLIENT_NONE)
		return true;
	if (options->client_auth == TLS_CLIENT_REQUIRED)
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, mode, tls_rules_verify);
	names = SSL_load_client_CA_file(options->client_ca.ptr);
	if (!names || SSL_CTX_load_verify_file(ctx, options->client_ca.ptr) != 1) {
		tls_file_refuse(ret_error, options->client_ca, TLS_WANT_AUTHORITIES);
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return false;
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	return options->client_crl.len == 0 ||
	       tls_crl_load(SSL_CTX_get_cert_store(ctx), options->client_crl, ret_error);
}

// Sessions of one frontend must not open another one, whose rules may differ, nor outlive the lists
// by which their clients were believed: who resumes one is not verified again.
static bool bind_sessions(SSL_CTX *ctx, const struct tls_server_options *options)
{
	const struct str files[] = {options->client_ca, options->client_crl};
	char text[512];
	u8 digest[TLS_DIGEST_BYTES];

	snprintf(text, sizeof(text), "%.*s %d", STR_FMT(options->name), (int)options->client_auth);
	return tls_files_digest(str_from(text), files, ARRAY_LEN(files), digest) &&
	       SSL_CTX_set_session_id_context(ctx, digest, sizeof(digest)) == 1;
}

static SSL_CTX *new_ctx(struct tls_server *server, const struct group *group,
	const struct tls_server_options *options, struct tls_error *ret_error)
{
	SSL_CTX *ctx = tls_rules_ctx(server->env, TLS_server_method(), options->version_min);

	if (!ctx) {
		tls_error_set(ret_error, options->name, "OpenSSL cannot make a context");
		return NULL;
	}
	SSL_CTX_set_max_cert_list(ctx, chain_bytes_max);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, options->without_tickets ? 0 : 1);
	if (options->without_tickets)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_timeout(ctx, 2l * TLS_TICKET_HOURS * 3600);
	tls_tickets_use(ctx);
	if (!bind_sessions(ctx, options)) {
		tls_error_set(ret_error, options->name, "OpenSSL cannot make a context");
		goto fail;
	}
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
	if (server->alpn_len)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	for (u32 i = 0; i < kind_max; i++) {
		if (group->certs[i] &&
			!tls_cert_use(ctx, &server->certs[group->certs[i] - 1], ret_error))
			goto fail;
	}
	if (ask_clients(ctx, options, ret_error))
		return ctx;
fail:
	SSL_CTX_free(ctx);
	return NULL;
}

static bool build(struct tls_server *server, const struct tls_server_options *options,
	struct tls_error *ret_error)
{
	set_alpn(server, options);
	server->certs = mem_alloc(sizeof(*server->certs) * MAX(options->file_count, 1));
	server->staples = mem_alloc(sizeof(*server->staples) * MAX(options->file_count, 1));
	for (u32 i = 0; i < options->file_count; i++) {
		server->cert_count++;
		if (!tls_cert_load(
			    server->env->lib, &options->files[i], &server->certs[i], ret_error))
			return false;
		tls_staple_load(options->files[i].ocsp, &server->certs[i], &server->staples[i]);
	}
	ASSERT(server->cert_count);
	sort_out(server);
	for (u32 i = 0; i < server->group_count; i++) {
		server->groups[i].ctx = new_ctx(server, &server->groups[i], options, ret_error);
		if (!server->groups[i].ctx)
			return false;
	}
	return true;
}

struct tls_server *tls_server_new(
	struct tls_env *env, const struct tls_server_options *options, struct tls_error *ret_error)
{
	struct tls_server *server = mem_alloc(sizeof(*server));

	server->env = env;
	server->refs = 1;
	if (build(server, options, ret_error))
		return server;
	tls_server_unref(server);
	return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
	atomic_fetch_add(&server->refs, 1);
	return server;
}

void tls_server_unref(struct tls_server *server)
{
	if (atomic_fetch_sub(&server->refs, 1) > 1)
		return;
	for (u32 i = 0; i < server->group_count; i++)
		SSL_CTX_free(server->groups[i].ctx);
	for (u32 i = 0; i < server->cert_count; i++) {
		tls_cert_done(&server->certs[i]);
		tls_staple_done(&server->staples[i]);
	}
	for (u32 i = 0; i < server->name_count; i++)
		mem_free(server->names[i].text);
	mem_free(server->groups);
	mem_free(server->certs);
	mem_free(server->staples);
	mem_free(server->names);
	mem_free(server);
}

struct tls_env *tls_server_env(const struct tls_server *server)
{
	return server->env;
}

SSL_CTX *tls_server_ctx(const struct tls_server *server)
{
	return server->groups[0].ctx;
}

u32 tls_server_cert_count(const struct tls_server *server)
{
	return server->cert_count;
}

const struct tls_cert *tls_server_cert(const struct tls_server *server, u32 index)
{
	return &server->certs[index];
}

const struct tls_staple *tls_server_staple(const struct tls_server *server, u32 index)
{
	return &server->staples[index];
}

bool tls_server_is_misdirected(const struct tls *tls, struct str host)
{
	const struct tls_server *server = tls->server;
	struct str asked;
	u32 group, shown;

	if (!server || server->group_count == 1)
		return false;
	asked = tls_sni(tls);
	if (asked.len == 0)
		return false;
	for (size_t i = host.len; i--;)
		if (host.ptr[i] == ':') {
			host.len = i;
			break;
		}
	group = group_of_host(server, host);
	if (group == nowhere) // no other connection would be shown a better one
		return false;
	shown = group_of_host(server, asked);
	return group != (shown == nowhere ? 0 : shown); // the first group is for all others
}
