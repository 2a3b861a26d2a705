// SPDX-License-Identifier: Apache-2.0
#include "cli/check_deep.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/check_twins.h"
#include "conf/report.h"
#include "proxy/secure.h"
#include "proxy/secure_try.h"

enum { soon_days = 14, names_bytes_max = 512, what_bytes_max = 1024 };

struct deep {
	const struct conf *conf;
	struct errs *errs;
	struct tls_env *env;
	struct text *text;
};

static const char *plural(int count)
{
	return count == 1 ? "" : "s";
}

// A finding at the place where the configuration names this file: "FILE (WHO): WHAT".
static void find(struct deep *deep, enum conf_code code, struct str file, struct str who,
	const char *what, const char *advice)
{
	char text[what_bytes_max];

	snprintf(text, sizeof(text), "%.*s (%.*s): %s", STR_FMT(file), STR_FMT(who), what);
	conf_fail_file(deep->conf, file, (u16)code, text, advice, deep->errs);
}

static void add_age(struct deep *deep, const struct tls_cert *cert, struct str who)
{
	int days = 0, seconds = 0;
	char what[64];

	(void)ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert->leaf));
	if (days < 0 || seconds < 0) {
		snprintf(what, sizeof(what), "it expired %d day%s ago", -days, plural(-days));
		find(deep, CODE_OUT_OF_DATE, cert->file, who, what, "renew it");
		text_add(deep->text, str_from(what));
	} else if (X509_cmp_current_time(X509_get0_notBefore(cert->leaf)) > 0) {
		find(deep, CODE_OUT_OF_DATE, cert->file, who, "it is not valid yet",
			"is the clock of this machine right?");
		text_printf(deep->text, "it is not valid yet");
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
		text_printf(deep->text, "warning: only good for %d hour%s", (int)(left_s / 3600),
			plural((int)(left_s / 3600)));
	else
		text_printf(deep->text, "good for %d day%s", (int)(left_s / 86400),
			plural((int)(left_s / 86400)));
	if (!staple->is_verified)
		text_printf(deep->text,
			"; its authority is not in the certificate's file, so its signature was "
			"not looked at");
}

// What a start leaves out.
static void add_staple(
	struct deep *deep, const struct tls_cert *cert, struct str file, struct str who)
{
	char why[TLS_STAPLE_WHY_MAX], what[what_bytes_max];
	enum tls_staple_fault fault;
	struct tls_staple staple;

	if (!file.len)
		return;
	tls_staple_load(file, cert, &staple);
	fault = tls_staple_fault_at(&staple, now_s());
	text_printf(deep->text, "\n    OCSP response %.*s: ", STR_FMT(file));
	if (fault == TLS_STAPLE_NONE) {
		add_staple_age(deep, &staple);
	} else {
		tls_staple_why(&staple, fault, why);
		text_printf(deep->text, "not stapled: %s", why);
		snprintf(what, sizeof(what), "%s, so it is not stapled", why);
		find(deep, CODE_BAD_RESPONSE, file, who, what, tls_staple_info(fault)->cure);
	}
	if (staple.is_revoked)
		find(deep, CODE_REVOKED, file, who, "it says that the certificate is revoked",
			"get another one: clients that look at the response refuse this one");
	tls_staple_done(&staple);
}

static void add_cert(
	struct deep *deep, const struct tls_cert *cert, const struct conf_certificate *conf)
{
	char names[names_bytes_max];
	size_t len = tls_cert_names(cert->leaf, names, sizeof(names));

	len -= len > 0;
	text_printf(deep->text, "  %.*s (%.*s): ", STR_FMT(cert->file), (int)len, names);
	add_age(deep, cert, str_make(names, len));
	add_chain(deep, cert);
	add_key(deep, conf->key.len ? conf->key : conf->cert);
	add_staple(deep, cert, conf->ocsp, str_make(names, len));
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
		add_age(deep, &cert, str_make(subject, len));
		add_own_chain(deep, &cert, tls->ca);
		add_key(deep, tls->key.len ? tls->key : tls->cert);
		text_addc(deep->text, '\n');
	} // else secure_try has told of it
	tls_cert_done(&cert);
}

// ---- Lists of revoked certificates --------------------------------------------------------------

struct crl_file {
	X509_CRL *crl;
	struct str file, issuer, ca;
};

static void add_list_age(struct deep *deep, const struct crl_file *list)
{
	const ASN1_TIME *until = X509_CRL_get0_nextUpdate(list->crl);
	int days = 0, seconds = 0;
	char what[128];

	if (until)
		(void)ASN1_TIME_diff(&days, &seconds, NULL, until);
	if (days < 0 || seconds < 0) {
		snprintf(what, sizeof(what),
			"it is out of date since %d day%s, and lets in nobody whom this authority "
			"issued a certificate",
			-days, plural(-days));
		find(deep, CODE_OUT_OF_DATE, list->file, list->issuer, what,
			"put in the authority's next list");
		text_printf(deep->text, "it is out of date");
	} else if (X509_cmp_current_time(X509_CRL_get0_lastUpdate(list->crl)) > 0) {
		find(deep, CODE_OUT_OF_DATE, list->file, list->issuer, "it is not valid yet",
			"is the clock of this machine right?");
		text_printf(deep->text, "it is not valid yet");
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
	struct deep *deep, const struct crl_file *list, X509_STORE *authorities)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new_ex(deep->env->lib, NULL);
	STACK_OF(X509) *issuers = NULL;
	struct str ca = list->ca.len ? list->ca : STR("the authorities of this machine");
	char what[what_bytes_max];

	if (ctx && authorities && X509_STORE_CTX_init(ctx, authorities, NULL, NULL) == 1)
		issuers = X509_STORE_CTX_get1_certs(ctx, X509_CRL_get_issuer(list->crl));
	if (sk_X509_num(issuers) <= 0) {
		snprintf(what, sizeof(what),
			"its authority is not in %.*s, so this list counts only where peers send "
			"that authority along",
			STR_FMT(ca));
		find(deep, CODE_FOREIGN_LIST, list->file, list->issuer, what,
			"name it there, or put in a list of one that is");
	} else if (!is_signed(list->crl, issuers)) {
		snprintf(what, sizeof(what),
			"its signature is not by the key of this authority in %.*s, so nobody is "
			"let in whom that authority issued a certificate",
			STR_FMT(ca));
		find(deep, CODE_FORGED_LIST, list->file, list->issuer, what,
			"put in a list that this key has signed, as it came from there");
	}
	sk_X509_pop_free(issuers, X509_free);
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
}

static void add_list(struct deep *deep, struct crl_file *list, X509_STORE *authorities)
{
	BIO *name = BIO_new(BIO_s_mem());
	STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(list->crl);
	char *data = NULL;
	long len = 0;

	if (name &&
		X509_NAME_print_ex(name, X509_CRL_get_issuer(list->crl), 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_get_mem_data(name, &data);
	list->issuer =
		str_make(data ? data : "", MIN((size_t)MAX(len, 0l), (size_t)names_bytes_max));
	text_printf(deep->text, "  %.*s (%.*s, %d revoked): ", STR_FMT(list->file),
		STR_FMT(list->issuer), revoked ? sk_X509_REVOKED_num(revoked) : 0);
	add_list_age(deep, list);
	add_list_signature(deep, list, authorities);
	text_addc(deep->text, '\n');
	BIO_free(name);
}

static void add_lists(struct deep *deep, struct str file, struct str ca)
{
	BIO *bio = BIO_new_file(file.ptr, "r");
	X509_STORE *authorities = open_authorities(deep, ca);
	struct crl_file list = {.file = file, .ca = ca};

	while (bio && (list.crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		add_list(deep, &list, authorities);
		X509_CRL_free(list.crl);
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

static void add_frontend(struct deep *deep, const struct conf_certificate *certificates, u32 count)
{
	struct twins twins = {0};

	for (u32 i = 0; i < count; i++) {
		struct tls_files files = {.cert = certificates[i].cert, .key = certificates[i].key};
		struct tls_error error;
		struct tls_cert cert;

		if (tls_cert_load(deep->env->lib, &files, &cert, &error)) {
			add_cert(deep, &cert, &certificates[i]);
			twins_add(&twins, &cert, i);
		}
		tls_cert_done(&cert);
	}
	twins_tell(&twins, deep->conf, certificates, count, deep->errs);
}

static void add_frontends(struct deep *deep, struct seen *seen)
{
	const struct conf *conf = deep->conf;
	bool told_of_common = false;

	for (u32 i = 0; i < conf->frontend_count; i++) {
		const struct conf_frontend_tls *tls = &conf->frontends[i].tls;
		bool is_common = tls->certificates == conf->certificates;

		if (!tls->enabled || (is_common && told_of_common))
			continue;
		told_of_common |= is_common;
		add_frontend(deep, tls->certificates, tls->certificate_count);
	}
	for (u32 i = 0; i < conf->frontend_count; i++) {
		struct str ca = conf->frontends[i].tls.client.ca;

		if (is_news(seen, conf->frontends[i].tls.client.crl, ca))
			add_lists(deep, conf->frontends[i].tls.client.crl, ca);
	}
}

// What is about no file by itself, but about what is made of all.
static void add_start(const struct deep *deep, struct arena *arena)
{
	struct snapshot *snapshot = snapshot_build(deep->conf, arena, 1);
	struct tls_secret secret;
	struct tls_error error;
	struct secure *secure;

	tls_secret_make(&secret, 0);
	secure = secure_new(snapshot, NULL, &secret, 1, true, &error);
	if (!secure)
		conf_fail_file(deep->conf, error.file, CODE_CERTIFICATE_REFUSED, error.text,
			error.cure, deep->errs);
	secure_free(secure);
	snapshot_done(snapshot);
}

u32 check_deep(const struct conf *conf, struct arena *arena, struct text *text, struct errs *errs)
{
	struct deep deep = {.conf = conf, .errs = errs, .text = text};
	struct seen seen = {.count = 0};
	u32 before = errs->error_count;
	struct tls_secret secret;

	if (!secure_is_wanted(conf))
		return 0;
	tls_secret_make(&secret, 0);
	deep.env = tls_env_new(&secret, 1);
	if (!deep.env) {
		errs_add(errs, ERR_ERROR, CODE_CERTIFICATE_REFUSED, (struct place){0}, 1,
			"OpenSSL cannot be started");
		return 1;
	}
	if (secure_try(conf, errs) == 0)
		add_start(&deep, arena);
	add_frontends(&deep, &seen);
	add_backends(&deep, conf, &seen);
	tls_env_unref(deep.env);
	return errs->error_count - before;
}
