// SPDX-License-Identifier: Apache-2.0
// Files of certificates, keys and authorities, tried as contexts use them (tls_server.h,
// tls_client.h): those stop at the first that cannot be used, and here each is asked by itself.
// Memory that is missing is no reason against a file.
#pragma once

#include "net/tls_cert.h"
#include "net/tls_env.h"

// A certificate with its key. Gives how many of its files cannot be used, each with its reason.
u32 tls_trial_cert(struct tls_env *env, const struct tls_files *files,
	struct tls_error ret_errors[static TLS_CERT_FILES]) must_check;

// False, with the reason.
bool tls_trial_authorities(
	struct tls_env *env, struct str file, struct tls_error *ret_error) must_check;
bool tls_trial_list(struct str file, struct tls_error *ret_error) must_check;
