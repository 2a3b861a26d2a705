// SPDX-License-Identifier: Apache-2.0
// The two ends that OpenSSL sees: what was received, and where its records go. Inside of net/.
#pragma once

#include <openssl/bio.h>

#include "net/tls.h"

BIO_METHOD *tls_bio_method(void); // NULL: no memory

// The connection's; OpenSSL takes it over with SSL_set_bio.
BIO *tls_bio_new(BIO_METHOD *method, struct tls *tls);
