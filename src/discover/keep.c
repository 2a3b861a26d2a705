// SPDX-License-Identifier: Apache-2.0
#include "discover/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/text.h"

// The first line; the second is the checksum of everything behind it.
static const struct str magic = {"weir rows 1\n", 12};

enum { checksum_len = 17, fields = 8, path_max = 4096 };

static bool make_path(
	char path[static path_max], const char *folder, struct str name, const char *ending)
{
	int len = snprintf(path, path_max, "%s/%.*s%s", folder, STR_FMT(name), ending);

	return len > 0 && len < path_max;
}

// ---- Writing ------------------------------------------------------------------------------------

// Tabs end a value and newlines a row.
static void add_value(struct text *text, struct str value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\\' || c == '\t' || c == '\n')
			text_addc(text, '\\');
		text_addc(text, c == '\t' ? 't' : c == '\n' ? 'n' : c);
	}
	text_addc(text, '\t');
}

static void add_row(struct text *text, const struct row *row)
{
	add_value(text, row->url);
	add_value(text, row->id);
	add_value(text, row->pool);
	text_printf(text, "%u\t%u\t%s\t%s\t", row->weight, row->max_connections,
		row_state_name(row->state), row->is_backup ? "backup" : "");
	add_value(text, row->metadata);
	text->data[text->len - 1] = '\n';
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

static int replace(const char *folder, struct str name, struct str text)
{
	char path[path_max], beside[path_max];
	int fd, rc, folder_fd;

	if (!make_path(path, folder, name, ".rows") ||
		!make_path(beside, folder, name, ".rows.new"))
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
		(void)fsync(folder_fd); // the list is there either way; only a power cut can tell
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

void keep_format(struct text *text, const struct rows *rows)
{
	struct text body = {0};

	for (u32 i = 0; i < rows->count; i++)
		add_row(&body, &rows->list[i]);
	text_add(text, magic);
	text_printf(text, "%016" PRIx64 "\n",
		hash_str(str_make(body.len ? body.data : "", body.len), 0));
	text_add(text, str_make(body.data, body.len));
	text_done(&body);
}

int keep_write(const char *folder, struct str name, const struct rows *rows)
{
	struct text text = {0};
	int rc;

	keep_format(&text, rows);
	rc = text.len > KEEP_BYTES_MAX ? -EFBIG : make_folder(folder);
	if (rc == 0)
		rc = replace(folder, name, str_make(text.data, text.len));
	text_done(&text);
	return rc;
}

// ---- Reading ------------------------------------------------------------------------------------

static int read_all(const char *path, struct text *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	struct stat info;
	ssize_t len;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > KEEP_BYTES_MAX + 64) {
		close(fd);
		return -EBADMSG;
	}
	do {
		text_reserve(text, 64 * 1024);
		len = read(fd, text->data + text->len, 64 * 1024);
		if (len > 0)
			text->len += (size_t)len;
	} while ((len > 0 && text->len <= KEEP_BYTES_MAX + 64) || (len < 0 && errno == EINTR));
	close(fd);
	return len < 0 ? -errno : 0;
}

static struct str unescape(struct arena *arena, struct str value)
{
	struct str copy = arena_str(arena, value);
	char *to = (char *)(uintptr_t)copy.ptr; // our own copy
	size_t len = 0;

	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\\' && i + 1 < value.len) {
			c = value.ptr[++i];
			c = c == 't' ? '\t' : c == 'n' ? '\n' : c;
		}
		to[len++] = c;
	}
	to[len] = '\0';
	return str_make(to, len);
}

static void take_row(struct rows *rows, struct str line)
{
	struct str values[fields];

	for (u32 i = 0; i < fields; i++)
		values[i] = unescape(&rows->arena, str_cut(&line, '\t'));
	rows_add(rows, &(struct row_values){.address = values[0],
			       .id = values[1],
			       .pool = values[2],
			       .weight = values[3],
			       .max_connections = values[4],
			       .state = values[5],
			       .is_backup = values[6].len > 0,
			       .metadata = values[7]});
}

struct rows *keep_parse(struct str text)
{
	char checksum[checksum_len + 1];
	struct rows *rows;

	if (!str_starts(text, magic) || text.len < magic.len + checksum_len)
		return NULL;
	text = str_make(text.ptr + magic.len, text.len - magic.len);
	snprintf(checksum, sizeof(checksum), "%016" PRIx64 "\n",
		hash_bytes(text.ptr + checksum_len, text.len - checksum_len, 0));
	if (memcmp(text.ptr, checksum, checksum_len) != 0)
		return NULL;
	text = str_make(text.ptr + checksum_len, text.len - checksum_len);
	rows = rows_new();
	while (text.len)
		take_row(rows, str_cut(&text, '\n'));
	rows_finish(rows);
	rows->is_stored = true;
	return rows;
}

struct rows *keep_read(const char *folder, struct str name, int *ret_error)
{
	struct text text = {0};
	struct rows *rows = NULL;
	char path[path_max];
	int rc = make_path(path, folder, name, ".rows") ? read_all(path, &text) : -ENAMETOOLONG;

	if (rc == 0) {
		rows = keep_parse(str_make(text.data, text.len));
		rc = rows ? 0 : -EBADMSG;
	}
	text_done(&text);
	*ret_error = rc == -ENOENT ? 0 : rc;
	return rows;
}
