// SPDX-License-Identifier: Apache-2.0
#include "net/tls_trial.h"

#include "net/tls_rules.h"

u32 tls_trial_cert(struct tls_env *env, const struct tls_files *files,
	struct tls_error ret_errors[static TLS_CERT_FILES])
{
	SSL_CTX *ctx = tls_rules_ctx(env, TLS_server_method(), TLS_MIN_1_2);
	struct tls_cert cert;
	u32 count = tls_cert_load_all(env->lib, files, &cert, ret_errors);

	if (count == 0 && ctx && !tls_cert_use(ctx, &cert, &ret_errors[0]))
		count = 1;
	tls_cert_done(&cert);
	SSL_CTX_free(ctx);
	return count;
}

bool tls_trial_authorities(struct tls_env *env, struct str file, struct tls_error *ret_error)
{
	SSL_CTX *ctx = tls_rules_ctx(env, TLS_server_method(), TLS_MIN_1_2);
	bool good = !ctx || SSL_CTX_load_verify_file(ctx, file.ptr) == 1;

	if (!good)
		tls_file_refuse(ret_error, file, TLS_WANT_AUTHORITIES);
	SSL_CTX_free(ctx);
	return good;
}

bool tls_trial_list(struct str file, struct tls_error *ret_error)
{
	X509_STORE *store = X509_STORE_new();
	bool good = !store || tls_crl_load(store, file, ret_error);

	X509_STORE_free(store);
	return good;
}
