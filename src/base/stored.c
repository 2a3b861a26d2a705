// SPDX-License-Identifier: Apache-2.0
#include "base/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { path_max = 4096 };

static bool make_path(
	char path[static path_max], const char *folder, const char *name, const char *ending)
{
	int len = snprintf(path, path_max, "%s/%s%s", folder, name, ending);

	return len > 0 && len < path_max;
}

static int write_all(int fd, struct str text)
{
	while (text.len) {
		ssize_t len = write(fd, text.ptr, text.len);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		text = str_make(text.ptr + len, text.len - (size_t)len);
	}
	return fsync(fd) == 0 ? 0 : -errno;
}

static int replace(const char *folder, const char *name, struct str text)
{
	char path[path_max], beside[path_max];
	int fd, rc, folder_fd;

	if (!make_path(path, folder, name, "") || !make_path(beside, folder, name, ".new"))
		return -ENAMETOOLONG;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, text);
	close(fd);
	if (rc == 0 && rename(beside, path) != 0)
		rc = -errno;
	if (rc) {
		unlink(beside);
		return rc;
	}
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder_fd >= 0) {
		(void)fsync(folder_fd); // the file is there either way; only a power cut can tell
		close(folder_fd);
	}
	return 0;
}

// The folder and those above it.
static int make_folder(const char *folder)
{
	char path[path_max];
	size_t len = strlen(folder);

	if (len == 0 || len >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, folder, len + 1);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		path[i] = '\0';
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return -errno;
		path[i] = folder[i];
	}
	return 0;
}

int stored_write(const char *folder, const char *name, struct str text)
{
	int rc = make_folder(folder);

	return rc ? rc : replace(folder, name, text);
}

int stored_read_fd(int fd, size_t bytes_max, struct text *text)
{
	struct stat info;
	size_t done = 0;

	if (fstat(fd, &info) != 0)
		return -errno;
	if ((size_t)info.st_size > bytes_max)
		return -EFBIG;
	text_reserve(text, (size_t)info.st_size + 1);
	while (done < (size_t)info.st_size) {
		ssize_t len =
			pread(fd, text->data + text->len, (size_t)info.st_size - done, (off_t)done);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		if (len == 0)
			break;
		done += (size_t)len;
		text->len += (size_t)len;
	}
	text->data[text->len] = '\0';
	return 0;
}

int stored_read(const char *folder, const char *name, size_t bytes_max, struct text *text)
{
	char path[path_max];
	struct stat info;
	int fd, error = -EBADMSG;

	if (!make_path(path, folder, name, ""))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		error = stored_read_fd(fd, bytes_max, text);
	close(fd);
	return error == -EFBIG ? -EBADMSG : error;
}
