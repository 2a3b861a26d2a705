// SPDX-License-Identifier: Apache-2.0
// SHA-384 (FIPS 180-4): by it sqlx-cli knows the files of migrations, and so does weir. Not for
// secrets.
#pragma once

#include "base/str.h"

enum { SHA384_HEX_LEN = 96 };

// In lower case hexadecimal digits, zero-terminated.
void sha384_hex(struct str text, char ret_hex[static SHA384_HEX_LEN + 1]);
