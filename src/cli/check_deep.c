// SPDX-License-Identifier: Apache-2.0
#include "cli/check_deep.h"

#include <openssl/err.h>
#include <sys/stat.h>

#include "base/text.h"
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

static void add_cert(
	struct deep *deep, const struct tls_cert *cert, const struct conf_certificate *conf)
{
	char names[names_bytes_max];
	size_t len = tls_cert_names(cert->leaf, names, sizeof(names));

	text_printf(deep->text, "  %.*s (%.*s): ", STR_FMT(cert->file), (int)(len ? len - 1 : 0),
		names);
	add_age(deep, cert);
	add_chain(deep, cert);
	add_key(deep, conf->key.len ? conf->key : conf->cert);
	text_printf(deep->text, "\n");
}

u32 check_deep(const struct conf *conf, struct arena *arena, struct text *text)
{
	struct snapshot *snapshot;
	struct tls_secret secret;
	struct tls_error error;
	struct secure *secure;
	struct deep deep = {.text = text};

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
				&tls->certificates[j]);
	}
	secure_free(secure);
	snapshot_done(snapshot);
	return deep.errors;
}
