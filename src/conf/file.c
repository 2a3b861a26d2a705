// SPDX-License-Identifier: Apache-2.0
#include "conf/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"

enum { glob_files_max = 10000 };

static int read_all(int fd, struct text *text)
{
	char buffer[16 * 1024];
	ssize_t len;

	do {
		len = read(fd, buffer, sizeof(buffer));
		if (len < 0 && errno != EINTR)
			return -errno;
		if (len > 0)
			text_add(text, str_make(buffer, (size_t)len));
		if (text->len > FILE_BYTES_MAX)
			return -EFBIG;
	} while (len != 0);
	return 0;
}

// Only regular files: a pipe or a device named by mistake would block or never end.
static int check_kind(int fd, u64 *ret_identity)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return -errno;
	if (S_ISDIR(info.st_mode))
		return -EISDIR;
	if (!S_ISREG(info.st_mode))
		return -EINVAL;
	*ret_identity = hash_bytes(&info.st_ino, sizeof(info.st_ino), (u64)info.st_dev) | 1;
	return 0;
}

int file_read(struct arena *arena, const char *name, struct str *ret_text, u64 *ret_identity)
{
	bool is_stdin = strcmp(name, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct text text = {0};
	u64 identity = 0;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (!is_stdin)
		rc = check_kind(fd, &identity);
	if (rc == 0)
		rc = read_all(fd, &text);
	if (!is_stdin)
		close(fd);
	if (rc == 0) {
		*ret_text = text_take(&text, arena);
		*ret_identity = identity;
	}
	text_done(&text);
	return rc;
}

bool file_exists(const char *name)
{
	return access(name, F_OK) == 0;
}

const char *file_relative(struct arena *arena, const char *from, struct str name)
{
	const char *slash = strrchr(from, '/');

	if (!slash || (name.len && name.ptr[0] == '/'))
		return arena_str(arena, name).ptr;
	return arena_printf(arena, "%.*s/%s", (int)(slash - from), from, name.ptr);
}

const char *file_absolute(struct arena *arena, const char *name)
{
	char folder[PATH_MAX];

	if (name[0] == '/' || !getcwd(folder, sizeof(folder)))
		return name;
	return arena_printf(arena, "%s/%s", folder, name);
}

bool file_is_public(const char *name)
{
	struct stat info;

	return stat(name, &info) == 0 && (info.st_mode & S_IROTH);
}

bool file_is_pattern(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

u32 file_glob(struct arena *arena, const char *pattern, const char *const **ret_names)
{
	glob_t found = {0};
	const char **names;
	u32 count = 0;

	if (glob(pattern, 0, NULL, &found) == 0) {
		size_t all = MIN(found.gl_pathc, (size_t)glob_files_max);

		names = arena_zalloc(arena, sizeof(*names) * (all + 1));
		for (; count < all; count++)
			names[count] = arena_str(arena, str_from(found.gl_pathv[count])).ptr;
		*ret_names = names;
	}
	globfree(&found);
	return count;
}
