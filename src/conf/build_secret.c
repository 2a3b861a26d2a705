// SPDX-License-Identifier: Apache-2.0
// Converters of secrets. A secret is a text, which had better come from a variable, or a map that
// says where it is kept. No finding and no effective configuration shows one (hide.h).
#include <errno.h>

#include "base/text.h"
#include "conf/build.h"
#include "conf/file.h"
#include "conf/hide.h"

enum { secret_bytes_max = 4096, secret_bytes_advised = 16, machine_id_len = 32 };

static const char advice[] = "keep it elsewhere: ${NAME}, {env: NAME} or {file: PATH}";

static void set_secret(struct build *build, const struct schema_key *key, const struct path *path,
	const struct node *node, struct str secret, void *object)
{
	struct str *field = (struct str *)(void *)((char *)object + key->offset);

	if (secret.len == 0 || secret.len > secret_bytes_max) {
		report_at(build->report, CODE_OUT_OF_RANGE, node->place, node->width,
			"%s has %zu bytes: 1 to %d are possible", path_text(build, path),
			secret.len, secret_bytes_max);
		return;
	}
	if (secret.len < secret_bytes_advised && key->kind == KIND_SECRET)
		report_advice(build->report,
			report_at(build->report, CODE_EXPOSED_SECRET, node->place, node->width,
				"%s has only %zu byte%s: it can be guessed", path_text(build, path),
				secret.len, secret.len == 1 ? "" : "s"),
			"`openssl rand -hex 32` makes a good one");
	*field = secret;
}

static void take_text(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	node->is_secret = true;
	if (str_eq(text, STR(HIDDEN_SECRET))) {
		report_advice(build->report,
			report_at(build->report, CODE_MALFORMED, node->place, node->width,
				"%s is a secret that was not shown: %s only stands for it",
				path_text(build, path), HIDDEN_SECRET),
			advice);
		return;
	}
	if (!variables_is_one(node->written) && !variables_gave(build->variables, node->place))
		report_advice(build->report,
			report_at(build->report, CODE_EXPOSED_SECRET, node->place, node->width,
				"%s stands %s, where others can read it", path_text(build, path),
				node->place.line ? "in the configuration" : "on the command line"),
			advice);
	set_secret(build, key, path, node, text, object);
}

static void take_variable(struct build *build, const struct schema_key *key,
	const struct path *path, const struct node *name, void *object)
{
	const char *why = arena_printf(build->arena, "%s is to be in it", path_text(build, path));
	struct str secret;

	if (variables_use(build->variables, build->report, name, name->text, why, &secret))
		set_secret(build, key, path, name, secret, object);
}

// The secret in a file, or -1 and reported.
static int read_secret(struct build *build, const struct path *path, const struct node *node,
	const char *file, struct str *ret_secret)
{
	u64 identity;
	int rc;

	if (!build->has_files) {
		report_value(build->report, CODE_UNREADABLE, node,
			"%s: a text that is no file cannot name one", path_text(build, path));
		return -1;
	}
	rc = file_read(build->arena, file, ret_secret, &identity);
	if (rc < 0) {
		report_value(build->report, CODE_UNREADABLE, node, "failed to read %s at %s: %s",
			path_text(build, path), file,
			rc == -EINVAL ? "it is no regular file" : strerror(-rc));
		return -1;
	}
	while (ret_secret->len && (ret_secret->ptr[ret_secret->len - 1] == '\n' ||
					  ret_secret->ptr[ret_secret->len - 1] == '\r'))
		ret_secret->len--;
	if (file_is_public(file))
		report_advice(build->report,
			report_at(build->report, CODE_EXPOSED_SECRET, node->place, node->width,
				"every user of this machine can read %s (%s)", file,
				path_text(build, path)),
			"chmod o-r %s", file);
	return 0;
}

static void take_file(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *name, void *object)
{
	const char *file = file_absolute(
		build->arena, file_relative(build->arena, name->place.file, name->text));
	struct str secret;

	if (read_secret(build, path, name, file, &secret) < 0)
		return;
	build_canonical(build, name, file, false);
	set_secret(build, key, path, name, secret, object);
}

static void take_credential(struct build *build, const struct schema_key *key,
	const struct path *path, const struct node *name, void *object)
{
	struct str folder, secret;
	const char *file;

	if (str_find(name->text, '/') < name->text.len || name->text.ptr[0] == '.') {
		report_value(build->report, CODE_MALFORMED, name,
			"'%.*s' is no name of a credential (%s)", CLIP(name->text),
			path_text(build, path));
		return;
	}
	if (!variables_use(build->variables, build->report, name, STR("CREDENTIALS_DIRECTORY"),
		    "a service that systemd starts with LoadCredential= has it", &folder))
		return;
	file = arena_printf(build->arena, "%.*s/%.*s", (int)MIN(folder.len, (size_t)4096),
		folder.ptr, CLIP(name->text));
	if (read_secret(build, path, name, file, &secret) == 0)
		set_secret(build, key, path, name, secret, object);
}

// Exactly one of the keys of schema.def's map `secret`.
static void take_place(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u32 errors = build->report->errs->error_count;

	build_map(build, key->nested, path, node, object);
	if (build->report->errs->error_count > errors)
		return;
	if (node->count != 1)
		report_key(build->report, node->count ? CODE_CONFLICT : CODE_MISSING, node,
			"%s is in one place: file, env or credential", path_text(build, path));
	else if (str_eq(node->first->key, STR("file")))
		take_file(build, key, path, node->first, object);
	else if (str_eq(node->first->key, STR("env")))
		take_variable(build, key, path, node->first, object);
	else
		take_credential(build, key, path, node->first, object);
}

void build_secret(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	if (node->kind == NODE_MAP)
		take_place(build, key, path, node, object);
	else
		take_text(build, key, path, node, object);
}

static bool has_password(struct str url)
{
	struct str rest = url, host;

	for (size_t at = 0; at + 3 < url.len; at++)
		if (memcmp(url.ptr + at, "://", 3) == 0) {
			rest = str_make(url.ptr + at + 3, url.len - at - 3);
			host = str_cut(&rest, '/');
			rest = host;
			host = str_cut(&rest, '@');
			return rest.len > 0 && str_find(host, ':') < host.len;
		}
	return false;
}

// A URL is no secret as a whole, but the password in it is.
void build_database_url(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	if (node->kind == NODE_MAP) {
		take_place(build, key, path, node, object);
		return;
	}
	if (!build_scalar(build, path, node, &text))
		return;
	if (has_password(text))
		take_text(build, key, path, node, object);
	else
		set_secret(build, key, path, node, text, object);
}

// What it leads to is looked at when the whole map is known.
void build_secret_place(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str text;

	(void)key;
	(void)object;
	if (build_scalar(build, path, node, &text) && text.len == 0)
		report_value(
			build->report, CODE_MALFORMED, node, "%s is empty", path_text(build, path));
}

// What systemd writes there once in the life of an installation: 32 hexadecimal digits. Images of
// containers often have an empty file, or "uninitialized".
static struct str read_machine_id(struct build *build)
{
	struct str text;
	u64 identity;

	if (!build->machine_id || file_read(build->arena, build->machine_id, &text, &identity) < 0)
		return STR_EMPTY;
	text = str_cut(&text, '\n');
	return text.len == machine_id_len && strspn(text.ptr, "0123456789abcdef") == text.len
		       ? text
		       : STR_EMPTY;
}

void build_machine_secret(struct build *build)
{
	struct str secret = STR_EMPTY;

	for (u32 i = 0; i < build->conf->pool_count; i++) {
		struct conf_sticky *sticky = &build->pool_list[i].sticky;

		if (!sticky->enabled || sticky->secret.len)
			continue;
		if (secret.len == 0)
			secret = read_machine_id(build);
		sticky->secret = secret;
	}
}
