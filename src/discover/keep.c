// SPDX-License-Identifier: Apache-2.0
#include "discover/keep.h"

#include <errno.h>
#include <stdio.h>

#include "base/sealed.h"
#include "base/stored.h"

enum { version = 1, head_bytes = 64, fields = 8, name_max = 256 };

static const char kind[] = "rows";

static bool make_name(char file[static name_max], struct str name)
{
	int len = snprintf(file, name_max, "%.*s.rows", STR_FMT(name));

	return len > 0 && len < name_max;
}

static void add_row(struct text *text, const struct row *row)
{
	sealed_add(text, row->url);
	sealed_add(text, row->id);
	sealed_add(text, row->pool);
	sealed_add_i64(text, row->weight);
	sealed_add_i64(text, row->max_connections);
	sealed_add(text, str_from(row_state_name(row->state)));
	sealed_add(text, row->is_backup ? STR("backup") : STR(""));
	sealed_add(text, row->metadata);
	sealed_end(text);
}

void keep_format(struct text *text, const struct rows *rows)
{
	struct text body = {0};

	for (u32 i = 0; i < rows->count; i++)
		add_row(&body, &rows->list[i]);
	sealed_format(text, kind, version, text_str(&body));
	text_done(&body);
}

int keep_write(const char *folder, struct str name, const struct rows *rows)
{
	struct text text = {0};
	char file[name_max];
	int rc = -ENAMETOOLONG;

	keep_format(&text, rows);
	if (text.len > KEEP_BYTES_MAX)
		rc = -EFBIG;
	else if (make_name(file, name))
		rc = stored_write(folder, file, str_make(text.data, text.len));
	text_done(&text);
	return rc;
}

static void take_row(struct rows *rows, struct str line)
{
	struct str values[fields];

	for (u32 i = 0; i < fields; i++)
		values[i] = sealed_cut(&line, &rows->arena);
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
	char why[SEALED_WHY_MAX];
	struct str body;
	struct rows *rows;

	if (!sealed_open(text, kind, version, &body, why))
		return NULL;
	rows = rows_new();
	while (body.len)
		take_row(rows, str_cut(&body, '\n'));
	rows_finish(rows);
	rows->is_stored = true;
	return rows;
}

struct rows *keep_read(const char *folder, struct str name, int *ret_error)
{
	struct text text = {0};
	struct rows *rows = NULL;
	char file[name_max];
	int rc = make_name(file, name)
			 ? stored_read(folder, file, KEEP_BYTES_MAX + head_bytes, &text)
			 : -ENAMETOOLONG;

	if (rc == 0) {
		rows = keep_parse(text_str(&text));
		rc = rows ? 0 : -EBADMSG;
	}
	text_done(&text);
	*ret_error = rc == -ENOENT ? 0 : rc;
	return rows;
}
