// SPDX-License-Identifier: Apache-2.0
// The last good list on disk: what is written is read again, and nothing else is.
#include "test.h"

#include <errno.h>
#include <fcntl.h>

#include "discover/keep.h"

struct kept_place {
	char root[64], folder[80], file[128];
};

static int make_place(void **state)
{
	struct kept_place *place = mem_alloc(sizeof(*place));

	snprintf(place->root, sizeof(place->root), "/tmp/weir-keep-XXXXXX");
	if (!mkdtemp(place->root))
		return -1;
	snprintf(place->folder, sizeof(place->folder), "%s/a/b", place->root);
	snprintf(place->file, sizeof(place->file), "%s/db.rows", place->folder);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct kept_place *place = *state;
	char above[128];

	unlink(place->file);
	rmdir(place->folder);
	snprintf(above, sizeof(above), "%s/a", place->root);
	rmdir(above);
	rmdir(place->root);
	mem_free(place);
	return 0;
}

static struct rows *sample(void)
{
	struct rows *rows = rows_new();

	rows_add(rows, &(struct row_values){.address = STR("10.0.0.1:80"),
			       .id = STR("a"),
			       .pool = STR("p"),
			       .weight = STR("0"),
			       .max_connections = STR("5"),
			       .state = STR("drain"),
			       .metadata = STR("{\"a\":\t\"\\n\n\"}"),
			       .is_backup = true});
	rows_add(rows, &(struct row_values){.address = STR("unix:/run/a")});
	rows_finish(rows);
	return rows;
}

static void reads_what_it_wrote(void **state)
{
	const struct kept_place *place = *state;
	struct rows *rows = sample(), *again;
	struct stat info;
	int error;

	assert_null(keep_read(place->folder, STR("db"), &error));
	assert_int_equal(error, 0);
	assert_int_equal(keep_write(place->folder, STR("db"), rows), 0);
	assert_int_equal(stat(place->file, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	again = keep_read(place->folder, STR("db"), &error);
	assert_non_null(again);
	assert_true(again->is_stored);
	assert_int_equal(again->fault_count, 0);
	assert_true(rows_hash(rows) == rows_hash(again));
	assert_str(again->list[0].metadata, "{\"a\":\t\"\\n\n\"}");
	rows_free(rows);
	rows_free(again);
	rows = rows_of("");
	assert_int_equal(keep_write(place->folder, STR("db"), rows), 0);
	rows_free(rows);
	again = keep_read(place->folder, STR("db"), &error);
	assert_non_null(again);
	assert_int_equal(again->count, 0);
	rows_free(again);
}

// Every byte that is another one, and every length that is shorter.
static void notices_damage(void **state)
{
	const struct kept_place *place = *state;
	struct rows *rows = sample();
	char text[1024], copy[1024];
	int fd, error;
	size_t len;

	assert_int_equal(keep_write(place->folder, STR("db"), rows), 0);
	rows_free(rows);
	fd = open(place->file, O_RDWR);
	len = (size_t)read(fd, text, sizeof(text));
	assert_in_range(len, 40, sizeof(text) - 1);
	for (size_t i = 0; i < len; i++) {
		memcpy(copy, text, len);
		copy[i] ^= 1;
		assert_int_equal(pwrite(fd, copy, len, 0), len);
		assert_null(keep_read(place->folder, STR("db"), &error));
		assert_int_equal(error, -EBADMSG);
	}
	assert_int_equal(pwrite(fd, text, len, 0), len);
	while (len--) {
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		assert_null(keep_read(place->folder, STR("db"), &error));
		assert_int_equal(error, -EBADMSG);
	}
	close(fd);
}

static void tells_why_it_cannot(void **state)
{
	struct rows *rows = sample();

	(void)state;
	assert_true(keep_write("/proc/nowhere", STR("db"), rows) < 0);
	rows_free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_what_it_wrote, make_place, remove_place),
		cmocka_unit_test_setup_teardown(notices_damage, make_place, remove_place),
		cmocka_unit_test_setup_teardown(tells_why_it_cannot, make_place, remove_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
