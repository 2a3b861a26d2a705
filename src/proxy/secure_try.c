// SPDX-License-Identifier: Apache-2.0
#include "proxy/secure_try.h"

#include "conf/report.h"
#include "net/tls_trial.h"

enum { seen_max = 256 };

// What was tried; beyond seen_max a file may be tried again, and told of twice.
struct trial {
	const struct conf *conf;
	struct errs *errs;
	struct tls_env *env;
	struct str seen[seen_max];
	u32 seen_count;
};

static const enum conf_code codes[TLS_TROUBLE_COUNT] = {
	[TLS_TROUBLE_OTHER] = CODE_CERTIFICATE_REFUSED,
	[TLS_TROUBLE_UNREADABLE] = CODE_FILE_UNREADABLE,
	[TLS_TROUBLE_FORM] = CODE_FILE_FORM,
	[TLS_TROUBLE_ENCRYPTED] = CODE_FILE_ENCRYPTED,
	[TLS_TROUBLE_CONTENT] = CODE_FILE_CONTENT,
	[TLS_TROUBLE_PAIR] = CODE_WRONG_KEY,
	[TLS_TROUBLE_REFUSED] = CODE_CERTIFICATE_REFUSED,
};

static void tell(struct trial *trial, const struct tls_error *error)
{
	conf_fail_file(trial->conf, error->file, (u16)codes[error->trouble], error->text,
		error->cure, trial->errs);
}

// Backends share what their pool says, and then share its texts.
static bool is_news(struct trial *trial, struct str file)
{
	if (file.len == 0)
		return false;
	for (u32 i = 0; i < trial->seen_count; i++)
		if (trial->seen[i].ptr == file.ptr)
			return false;
	if (trial->seen_count < seen_max)
		trial->seen[trial->seen_count++] = file;
	return true;
}

static void try_cert(struct trial *trial, const struct tls_files *files)
{
	struct tls_error errors[TLS_CERT_FILES];
	u32 count;

	if (!is_news(trial, files->cert))
		return;
	count = tls_trial_cert(trial->env, files, errors);
	for (u32 i = 0; i < count; i++)
		tell(trial, &errors[i]);
}

static void try_authorities(struct trial *trial, struct str ca, struct str crl)
{
	struct tls_error error;

	if (is_news(trial, ca) && !tls_trial_authorities(trial->env, ca, &error))
		tell(trial, &error);
	if (is_news(trial, crl) && !tls_trial_list(crl, &error))
		tell(trial, &error);
}

static void try_frontend(struct trial *trial, const struct conf_frontend_tls *tls)
{
	if (!tls->enabled)
		return;
	for (u32 i = 0; i < tls->certificate_count; i++)
		try_cert(trial, &(struct tls_files){.cert = tls->certificates[i].cert,
					.key = tls->certificates[i].key});
	if (tls->client.mode != CONF_CLIENT_CERT_NONE)
		try_authorities(trial, tls->client.ca, tls->client.crl);
}

static void try_upstream(struct trial *trial, const struct conf_upstream_tls *tls)
{
	if (!tls->enabled)
		return;
	if (tls->verify)
		try_authorities(trial, tls->ca, tls->crl);
	try_cert(trial, &(struct tls_files){.cert = tls->cert, .key = tls->key});
}

u32 secure_try(const struct conf *conf, struct errs *errs)
{
	struct trial trial = {.conf = conf, .errs = errs};
	u32 before = errs->error_count;
	struct tls_secret secret;

	tls_secret_make(&secret, 0);
	trial.env = tls_env_new(&secret, 1);
	if (!trial.env)
		return 0;
	for (u32 i = 0; i < conf->frontend_count; i++)
		try_frontend(&trial, &conf->frontends[i].tls);
	for (u32 i = 0; i < conf->pool_count; i++) {
		const struct conf_pool *pool = &conf->pools[i];

		for (u32 j = 0; j < pool->backend_count; j++)
			try_upstream(&trial, &pool->backends[j].tls);
		try_upstream(&trial, &pool->tls); // of backends from elsewhere
	}
	tls_env_unref(trial.env);
	return errs->error_count - before;
}
