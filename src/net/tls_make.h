// SPDX-License-Identifier: Apache-2.0
// A certificate that signs itself, for trying things out: nobody trusts it who was not told to.
#pragma once

#include "net/tls_cert.h"

// A P-256 key and a certificate for these names and addresses, good for `days` from now on, in two
// new PEM files; the key is readable by its owner only. False, with the reason: also when one of
// the files is there already.
bool tls_make_pair(const char *cert_file, const char *key_file, const struct str *names,
	u32 name_count, u32 days, struct tls_error *ret_error) must_check;
