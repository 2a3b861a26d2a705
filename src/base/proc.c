// SPDX-License-Identifier: Apache-2.0
#include "base/proc.h"

#include <fcntl.h>
#include <unistd.h>

struct str proc_read(const char *path, char *buffer, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return STR_EMPTY;
	len = read(fd, buffer, size);
	close(fd);
	return str_make(buffer, len > 0 ? (size_t)len : 0);
}
