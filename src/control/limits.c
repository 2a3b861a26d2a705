// SPDX-License-Identifier: Apache-2.0
#include "control/limits.h"

#include <sched.h>
#include <sys/resource.h>

#include "control/watch.h"

enum {
	reserved_fds = 64, // logs, loops, signals, a little air
	fds_per_worker = 8,
	fds_per_connection = 2, // the client's and the backend's
	probes_share = 4,	// of the descriptors, for health checks: at most one in so many
	connections_most = 4 << 20,
	descriptors_unknown = 1024,
};

u64 limits_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return descriptors_unknown;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	return limit.rlim_cur;
}

u32 limits_count_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (u32)CPU_COUNT(&set);
}

u32 limits_probes(const struct conf *conf, u64 descriptors, u32 found)
{
	u64 most = MIN(descriptors / probes_share, (u64)UINT16_MAX);
	u64 wanted = watch_count_checked(conf) + (conf->provider_count ? found : 0);

	return (u32)MIN(wanted, MAX(most, 1));
}

u64 limits_connections(u64 descriptors, u32 workers, u32 probes)
{
	u64 fixed = reserved_fds + (u64)workers * fds_per_worker + probes;
	u64 rest = descriptors > fixed ? descriptors - fixed : 0;

	return MAX(1, MIN(rest / fds_per_connection, (u64)connections_most));
}
