// SPDX-License-Identifier: Apache-2.0
// How much of everything a process may have: what follows from its descriptors and processors.
#pragma once

#include "conf/conf.h"

// Raises the soft limit of descriptors to the hard one, and gives it.
u64 limits_raise_descriptors(void);

// Processors that this process may run on, at least 1.
u32 limits_count_cpus(void);

// Probes of health checks at the same time: one for each backend that is checked, within bounds;
// beyond them they take turns. `found` more where backends come from elsewhere.
u32 limits_probes(const struct conf *conf, u64 descriptors, u32 found);

// Client connections for which there are descriptors beside all else, at least 1.
u64 limits_connections(u64 descriptors, u32 workers, u32 probes);
