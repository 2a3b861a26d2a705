// SPDX-License-Identifier: Apache-2.0
#include "discover/no_source.h"
#include "discover/sql.h"

NO_SOURCE(source_sqlite, "this weir was built without SQLite (libsqlite3-dev, -Dsqlite=enabled)");
const struct sql_kind sql_sqlite = {0};
