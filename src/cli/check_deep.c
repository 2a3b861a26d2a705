// SPDX-License-Identifier: Apache-2.0
#include "cli/check_deep.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/text.h"
#include "conf/report.h"
#include "proxy/secure.h"

enum { soon_days = 14, names_bytes_max = 512 };

struct deep {
	struct tls_env *env;
	struct text *text;
	u32 errors;
};

static void add_age(struct deep *deep, const struct tls_cert *cert)
{
	int days = 0, seconds = 0;

	(void)ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert->leaf));
	if (days < 0 || seconds < 0) {
		text_printf(deep->text, "error: it expired %d days ago", -days);
		deep->errors++;
	} else if (X509_cmp_current_time(X509_get0_notBefore(cert->leaf)) > 0) {
		text_printf(deep->text, "error: it is not valid yet");
		deep->errors++;
	} else {
		text_printf(deep->text, "%sgood for %d days",
			days < soon_days ? "warning: only " : "", days);
	}
}

// Whether what is sent along leads to an authority that this machine knows. Clients may know
// others.
static void add_chain(struct deep *deep, const struct tls_cert *cert)
{
	X509_STORE *store = tls_env_system(deep->env);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(deep->env->lib, NULL);
	int error = X509_V_ERR_UNSPECIFIED;

	if (ctx && store && X509_STORE_CTX_init(ctx, store, cert->leaf, cert->chain) == 1) {
		X509_VERIFY_PARAM_set_flags(
			X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_NO_CHECK_TIME);
		error = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	if (error == X509_V_OK)
		text_printf(deep->text, "; its chain is whole");
	else if (error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT)
		text_printf(
			deep->text, "; signed by itself, so only those trust it who are told to");
	else
		text_printf(deep->text,
			"; warning: the chain leads to no authority that this "
			"machine knows (%s)",
			X509_verify_cert_error_string(error));
}

static void add_key(struct deep *deep, struct str file)
{
	struct stat stat_of;

	if (file.len && stat(file.ptr, &stat_of) == 0 && stat_of.st_mode & S_IROTH)
		text_printf(deep->text, "\n    warning: every user of this machine can read %.*s",
			STR_FMT(file));
}

static i64 now_s(void)
{
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
	i64 seconds = now ? tls_cert_time_s(now) : 0;

	ASN1_TIME_free(now);
	return seconds;
}

static void add_staple_age(struct deep *deep, const struct tls_staple *staple)
{
	i64 left_s = staple->until_s - now_s();

	if (!staple->until_s)
		text_printf(deep->text, "good; it says no date of the next one");
	else if (left_s < 86400)
		text_printf(deep->text, "warning: only good for %lld hours",
			(long long)(left_s / 3600));
	else
		text_printf(deep->text, "good for %lld days", (long long)(left_s / 86400));
	if (!staple->is_verified)
		text_printf(deep->text, "; its authority is not in the certificate's file, so its "
					"signature was not "
					"looked at");
}

// What a start leaves out.
static void add_staple(struct deep *deep, const struct tls_staple *staple)
{
	enum tls_staple_fault fault = tls_staple_fault_at(staple, now_s());
	char why[TLS_STAPLE_WHY_MAX];

	if (!staple->file.len)
		return;
	text_printf(deep->text, "\n    OCSP response %.*s: ", STR_FMT(staple->file));
	if (fault == TLS_STAPLE_NONE) {
		add_staple_age(deep, staple);
	} else {
		tls_staple_why(staple, fault, why);
		text_printf(deep->text, "error[E%03d]: %s, so it is not stapled: %s",
			CODE_BAD_RESPONSE, why, tls_staple_info(fault)->cure);
		deep->errors++;
	}
	if (staple->is_revoked)
		text_printf(deep->text,
			"; warning[W%03d]: it says that the certificate is revoked: get another "
			"one, since clients that look at the response refuse this one",
			CODE_REVOKED);
}

static void add_cert(struct deep *deep, const struct tls_cert *cert,
	const struct tls_staple *staple, const struct conf_certificate *conf)
{
	char names[names_bytes_max];
	size_t len = tls_cert_names(cert->leaf, names, sizeof(names));

	text_printf(deep->text, "  %.*s (%.*s): ", STR_FMT(cert->file), (int)(len ? len - 1 : 0),
		names);
	add_age(deep, cert);
	add_chain(deep, cert);
	add_key(deep, conf->key.len ? conf->key : conf->cert);
	add_staple(deep, staple);
	text_printf(deep->text, "\n");
}

// ---- What backends are shown --------------------------------------------------------------------

// Which authorities a backend knows, nobody here can know: its own one is a good guess.
static void add_own_chain(struct deep *deep, const struct tls_cert *cert, struct str ca)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(deep->env->lib, NULL);
	int error = X509_V_ERR_UNSPECIFIED;

	if (store) {
		(void)X509_STORE_set_default_paths_ex(store, deep->env->lib, NULL);
		if (ca.len)
			(void)X509_STORE_load_file(store, ca.ptr);
	}
	if (ctx && store && X509_STORE_CTX_init(ctx, store, cert->leaf, cert->chain) == 1) {
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME);
		X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT);
		error = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_clear_error();
	if (error == X509_V_OK)
		text_printf(deep->text, "; its chain is whole");
	else if (error == X509_V_ERR_INVALID_PURPOSE)
		text_printf(deep->text,
			"; warning: it is for servers only (extended key usage), so "
			"backends will not take it");
	else
		text_printf(deep->text,
			"; its chain leads to no authority known here (%s), so backends have to "
			"know it",
			X509_verify_cert_error_string(error));
}

static void add_shown(struct deep *deep, const struct conf_upstream_tls *tls, struct str pool)
{
	struct tls_files files = {.cert = tls->cert, .key = tls->key};
	char subject[names_bytes_max];
	struct tls_error error;
	struct tls_cert cert;

	if (tls_cert_load(deep->env->lib, &files, &cert, &error)) {
		size_t len = tls_cert_subject(cert.leaf, subject, sizeof(subject));

		text_printf(deep->text,
			"  %.*s (%.*s), shown to backends of pool '%.*s': ", STR_FMT(tls->cert),
			(int)len, subject, STR_FMT(pool));
		add_age(deep, &cert);
		add_own_chain(deep, &cert, tls->ca);
		add_key(deep, tls->key.len ? tls->key : tls->cert);
		text_addc(deep->text, '\n');
	} else {
		text_printf(deep->text, "  error: %s\n", error.text);
		deep->errors++;
	}
	tls_cert_done(&cert);
}

// ---- Lists of revoked certificates --------------------------------------------------------------

static void add_list_age(struct deep *deep, const X509_CRL *crl)
{
	const ASN1_TIME *until = X509_CRL_get0_nextUpdate(crl);
	int days = 0, seconds = 0;

	if (until)
		(void)ASN1_TIME_diff(&days, &seconds, NULL, until);
	if (days < 0 || seconds < 0) {
		text_printf(deep->text,
			"error: it is out of date since %d days, and lets in nobody whom this "
			"authority issued a certificate",
			-days);
		deep->errors++;
	} else if (X509_cmp_current_time(X509_CRL_get0_lastUpdate(crl)) > 0) {
		text_printf(deep->text, "error: it is not valid yet");
		deep->errors++;
	} else if (!until) {
		text_printf(deep->text, "good; it says no date of the next one");
	} else {
		text_printf(deep->text, "%sgood for %d days",
			days == 0 ? "warning: less than a day; " : "", days);
	}
}

// Those whose certificates are looked up in such lists: of `ca`, or those that this machine knows.
static X509_STORE *open_authorities(const struct deep *deep, struct str ca)
{
	X509_STORE *store = X509_STORE_new();

	if (store && ca.len)
		(void)X509_STORE_load_file_ex(store, ca.ptr, deep->env->lib, NULL);
	else if (store)
		(void)X509_STORE_set_default_paths_ex(store, deep->env->lib, NULL);
	return store;
}

// Several may have one name: an authority that has got another key.
static bool is_signed(X509_CRL *crl, const STACK_OF(X509) * issuers)
{
	for (int i = 0; i < sk_X509_num(issuers); i++) {
		EVP_PKEY *key = X509_get0_pubkey(sk_X509_value(issuers, i));

		if (key && X509_CRL_verify(crl, key) == 1)
			return true;
	}
	return false;
}

static void add_list_signature(
	struct deep *deep, X509_CRL *crl, X509_STORE *authorities, struct str issuer, struct str ca)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(deep->env->lib, NULL);
	STACK_OF(X509) *issuers = NULL;

	if (!ca.len)
		ca = STR("the authorities of this machine");
	if (ctx && authorities && X509_STORE_CTX_init(ctx, authorities, NULL, NULL) == 1)
		issuers = X509_STORE_CTX_get1_certs(ctx, X509_CRL_get_issuer(crl));
	if (sk_X509_num(issuers) <= 0) {
		text_printf(deep->text,
			"; warning[W%03d]: %.*s is not in %.*s, so this list counts only where "
			"peers "
			"send that authority along: name it there, or put in a list of one that is",
			CODE_FOREIGN_LIST, STR_FMT(issuer), STR_FMT(ca));
	} else if (!is_signed(crl, issuers)) {
		text_printf(deep->text,
			"; error[E%03d]: its signature is not by the key of %.*s in %.*s, so "
			"nobody "
			"is let in whom that authority issued a certificate: put in a list that "
			"this key has signed, as it came from there",
			CODE_FORGED_LIST, STR_FMT(issuer), STR_FMT(ca));
		deep->errors++;
	}
	sk_X509_pop_free(issuers, X509_free);
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
}

static void add_list(
	struct deep *deep, X509_CRL *crl, X509_STORE *authorities, struct str file, struct str ca)
{
	BIO *name = BIO_new(BIO_s_mem());
	STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
	char *data = NULL;
	long len = 0;
	struct str issuer;

	if (name && X509_NAME_print_ex(name, X509_CRL_get_issuer(crl), 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_get_mem_data(name, &data);
	issuer = str_make(data ? data : "", MIN((size_t)MAX(len, 0l), (size_t)names_bytes_max));
	text_printf(deep->text, "  %.*s (%.*s, %d revoked): ", STR_FMT(file), STR_FMT(issuer),
		revoked ? sk_X509_REVOKED_num(revoked) : 0);
	add_list_age(deep, crl);
	add_list_signature(deep, crl, authorities, issuer, ca);
	text_addc(deep->text, '\n');
	BIO_free(name);
}

static void add_lists(struct deep *deep, struct str file, struct str ca)
{
	BIO *bio = BIO_new_file(file.ptr, "r");
	X509_STORE *authorities = open_authorities(deep, ca);
	X509_CRL *crl;

	while (bio && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		add_list(deep, crl, authorities, file, ca);
		X509_CRL_free(crl);
	}
	X509_STORE_free(authorities);
	BIO_free(bio);
	ERR_clear_error();
}

// ---- All of it ----------------------------------------------------------------------------------

enum { seen_max = 256 };

// Files that were told of, and the authorities beside which they stand; beyond seen_max some may be
// told of twice.
struct seen {
	struct str files[seen_max], beside[seen_max];
	u32 count;
};

static bool is_news(struct seen *seen, struct str file, struct str beside)
{
	if (file.len == 0)
		return false;
	for (u32 i = 0; i < seen->count; i++)
		if (str_eq(seen->files[i], file) && str_eq(seen->beside[i], beside))
			return false;
	if (seen->count < seen_max) {
		seen->files[seen->count] = file;
		seen->beside[seen->count++] = beside;
	}
	return true;
}

static void add_upstream(
	struct deep *deep, const struct conf_upstream_tls *tls, struct str pool, struct seen *seen)
{
	if (tls->enabled && is_news(seen, tls->cert, tls->ca))
		add_shown(deep, tls, pool);
	if (tls->enabled && is_news(seen, tls->crl, tls->ca))
		add_lists(deep, tls->crl, tls->ca);
}

static void add_backends(struct deep *deep, const struct conf *conf, struct seen *seen)
{
	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct conf_pool *pool = &conf->pools[i];

		for (u32 j = 0; j < pool->backend_count; j++)
			add_upstream(deep, &pool->backends[j].tls, pool->name, seen);
		add_upstream(deep, &pool->tls, pool->name, seen); // of those from elsewhere
	}
}

u32 check_deep(const struct conf *conf, struct arena *arena, struct text *text)
{
	struct snapshot *snapshot;
	struct tls_secret secret;
	struct tls_error error;
	struct secure *secure;
	struct deep deep = {.text = text};
	struct seen seen = {.count = 0};

	if (!secure_is_wanted(conf))
		return 0;
	snapshot = snapshot_build(conf, arena, 1);
	tls_secret_make(&secret, 0);
	secure = secure_new(snapshot, NULL, &secret, 1, true, &error);
	if (!secure) {
		text_printf(text, "  error: %s\n", error.text);
		snapshot_done(snapshot);
		return 1;
	}
	deep.env = secure->env;
	for (u32 i = 0; i < conf->frontend_count; i++) {
		const struct conf_frontend_tls *tls = &conf->frontends[i].tls;

		if (!secure->servers[i] || (i && tls->certificates == conf->certificates &&
						   deep.text->len && secure->servers[0]))
			continue; // told of already
		for (u32 j = 0; j < tls->certificate_count; j++)
			add_cert(&deep, tls_server_cert(secure->servers[i], j),
				tls_server_staple(secure->servers[i], j), &tls->certificates[j]);
	}
	for (u32 i = 0; i < conf->frontend_count; i++) {
		struct str ca = conf->frontends[i].tls.client.ca;

		if (is_news(&seen, conf->frontends[i].tls.client.crl, ca))
			add_lists(&deep, conf->frontends[i].tls.client.crl, ca);
	}
	add_backends(&deep, conf, &seen);
	secure_free(secure);
	snapshot_done(snapshot);
	return deep.errors;
}
