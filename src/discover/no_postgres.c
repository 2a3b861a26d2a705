// SPDX-License-Identifier: Apache-2.0
#include "discover/no_source.h"
#include "discover/sql.h"

NO_SOURCE(
	source_postgres, "this weir was built without PostgreSQL (libpq-dev, -Dpostgres=enabled)");
const struct sql_kind sql_postgres = {0};
