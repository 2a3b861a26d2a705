// SPDX-License-Identifier: Apache-2.0
// What all our contexts have in common, of either role: the intermediate settings of Mozilla's
// guide (version 5.7) without its finite-field key exchange, which costs servers too much. Inside
// of net/.
#pragma once

#include "net/tls_env.h"
#include "net/tls_server.h"

// NULL: no memory.
SSL_CTX *tls_rules_ctx(
	struct tls_env *env, const SSL_METHOD *method, enum tls_version_min version_min);

// For SSL_CTX_set_verify: changes nothing, and notes what a name in a certificate should have been.
int tls_rules_verify(int is_good, X509_STORE_CTX *store);
