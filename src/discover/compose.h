// SPDX-License-Identifier: Apache-2.0
// A configuration with the backends that providers know: as if somebody had written them down.
#pragma once

#include "conf/conf.h"
#include "discover/rows.h"

// What providers say of one pool.
typedef const struct rows *compose_rows_fn(const void *owner, struct str pool);

// `conf` as it is, but for the backends of pools of which `rows` knows something: behind those that
// are written there come its rows, unless their address or id is taken. A row that drains has
// weight 0, one that is disabled is not there. What is new lives in `arena`, and so do the texts of
// rows; the rest is shared with `conf`.
struct conf *compose_conf(
	const struct conf *conf, compose_rows_fn *rows, const void *owner, struct arena *arena);
