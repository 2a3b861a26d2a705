// SPDX-License-Identifier: Apache-2.0
#include "discover/no_source.h"

NO_SOURCE(source_dns, "this weir was built without c-ares (libc-ares-dev, -Ddns=enabled)");
