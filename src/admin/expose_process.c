// SPDX-License-Identifier: Apache-2.0
// What the kernel says of this process.
#include "admin/expose.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/proc.h"
#include "loop/loop.h"

static const char fd_folder[] = "/proc/self/fd";

// "size resident ...", in pages.
static void read_memory(struct expose_process *process)
{
	char buffer[256];
	struct str text = proc_read("/proc/self/statm", buffer, sizeof(buffer));
	u64 page = (u64)sysconf(_SC_PAGESIZE), pages;

	if (str_to_u64(str_cut(&text, ' '), UINT64_MAX / page, &pages) == 0)
		process->virtual_bytes = pages * page;
	if (str_to_u64(str_cut(&text, ' '), UINT64_MAX / page, &pages) == 0)
		process->resident_bytes = pages * page;
}

static u64 count_entries(void)
{
	DIR *folder = opendir(fd_folder);
	u64 count = 0;

	if (!folder)
		return 0;
	while (readdir(folder))
		count++;
	closedir(folder);
	return count > 3 ? count - 3 : 0; // ".", "..", and the folder's own
}

// Since Linux 6.2 the size of the folder is their number.
static u64 count_fds(void)
{
	struct stat info;

	if (stat(fd_folder, &info) == 0 && info.st_size > 0)
		return (u64)info.st_size;
	return count_entries();
}

void expose_process_read(struct expose_process *process)
{
	struct rlimit limit;

	process->cpu_us = loop_process_busy_us();
	process->resident_bytes = process->virtual_bytes = process->fds_max = 0;
	read_memory(process);
	process->fds = count_fds();
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		process->fds_max = limit.rlim_cur;
}
