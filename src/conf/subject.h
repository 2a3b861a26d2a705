// SPDX-License-Identifier: Apache-2.0
// Subjects of certificates as people know them from openssl, in the form in which they are
// compared: RFC 4514, the last part first, without spaces around commas and '='.
#pragma once

#include "base/arena.h"

// "CN=a,O=Example" of "/O=Example/CN=a", "O = Example, CN = a" or "subject=O=Example, CN=a". An
// empty text: it is none of these, and perhaps good as it is.
struct str subject_rewrite(struct arena *arena, struct str subject);
