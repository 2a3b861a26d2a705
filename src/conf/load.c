// SPDX-License-Identifier: Apache-2.0
// All sources of a configuration to one tree, and that tree to a struct conf.
#include <errno.h>

#include "conf/build.h"
#include "conf/file.h"
#include "conf/hide.h"
#include "conf/load_parts.h"
#include "conf/override.h"
#include "conf/read.h"

enum { include_depth_max = 8, files_max = 10000, bytes_max = 64 * 1024 * 1024 };

struct loader {
	struct report report;
	struct variables variables;
	struct node *root;
	u32 nodes_left;
	size_t byte_count;
	bool is_partial; // a text could not be read
	bool has_files;	 // files that are named in it may be read
	const char *machine_id;
	bool keeps_text; // for conf_convert: variables stay, includes too
	u32 file_count;
	u32 file_room;
	const char **files;
	u64 *identities;
};

static void loader_init(struct loader *loader, struct arena *arena, struct errs *errs)
{
	*loader = (struct loader){
		.report = {.arena = arena, .errs = errs}, .nodes_left = TREE_NODES_MAX};
	loader->root = node_new(arena, NODE_MAP, (struct place){0});
}

static bool has_ending(struct str name, const char *ending)
{
	size_t len = strlen(ending);

	return name.len > len &&
	       str_eq_nocase(str_make(name.ptr + name.len - len, len), str_make(ending, len));
}

enum conf_syntax conf_syntax_of(const char *file)
{
	struct str name = str_from(file);

	if (has_ending(name, ".toml"))
		return CONF_TOML;
	return has_ending(name, ".json") ? CONF_JSON : CONF_YAML;
}

static bool is_yaml_name(const char *file)
{
	struct str name = str_from(file);

	return has_ending(name, ".yaml") || has_ending(name, ".yml");
}

// For a name that does not tell: the first line that says anything.
static enum conf_syntax guess_syntax(struct str text)
{
	while (text.len) {
		struct str line = str_trim(str_cut(&text, '\n'));

		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		if (line.ptr[0] == '{')
			return CONF_JSON;
		if (line.ptr[0] == '[' && line.ptr[line.len - 1] == ']')
			return CONF_TOML;
		return str_find(line, '=') < str_find(line, ':') ? CONF_TOML : CONF_YAML;
	}
	return CONF_YAML;
}

static struct node *read_text(
	struct loader *loader, const char *file, struct str text, enum conf_syntax syntax)
{
	struct read_input input = {.report = &loader->report,
		.file = file,
		.text = text,
		.nodes_left = &loader->nodes_left};

	report_add_source(&loader->report, file, hide_secrets(loader->report.arena, text));
	switch (syntax) {
	case CONF_TOML:
		return read_toml(&input);
	case CONF_JSON:
		return read_json(&input);
	case CONF_YAML:
		break;
	}
	return read_balrs_is(text) ? read_balrs(&input) : read_yaml(&input);
}

static void load_includes(
	struct loader *loader, const char *from, const struct node *include, u32 depth);

static void take_document(struct loader *loader, const char *file, struct node *root, u32 depth)
{
	struct node *include = loader->keeps_text ? NULL : node_get(root, STR("include"));

	if (include)
		node_remove(root, include);
	if (!loader->keeps_text)
		variables_fill(&loader->variables, &loader->report, root);
	shape_document(&loader->report, root, &loader->nodes_left);
	if (!loader->root->place.file)
		loader->root->place = root->place;
	shape_merge(&loader->report, loader->root, root);
	if (include) {
		variables_fill(&loader->variables, &loader->report, include);
		load_includes(loader, file, include, depth);
	}
}

// Where to complain about a file that cannot be read: the include that named it, or itself.
static void report_file(
	struct loader *loader, const char *file, const struct node *named_by, int rc)
{
	const char *why = rc == -EINVAL ? "it is no regular file" : strerror(-rc);
	struct place place = {.file = file};

	loader->is_partial = true;
	report_at(&loader->report, CODE_UNREADABLE, named_by ? named_by->place : place,
		named_by ? named_by->width : 1, "failed to read configuration at %s: %s", file,
		why);
}

static void add_file(struct loader *loader, const char *file, u64 identity)
{
	struct arena *arena = loader->report.arena;

	if (loader->file_count == loader->file_room) {
		u32 room = MAX(8u, loader->file_room * 2);
		const char **files = arena_zalloc(arena, sizeof(*files) * room);
		u64 *identities = arena_zalloc(arena, sizeof(*identities) * room);

		if (loader->file_count) {
			memcpy(files, loader->files, sizeof(*files) * loader->file_count);
			memcpy(identities, loader->identities,
				sizeof(*identities) * loader->file_count);
		}
		loader->files = files;
		loader->identities = identities;
		loader->file_room = room;
	}
	loader->identities[loader->file_count] = identity;
	loader->files[loader->file_count++] = file;
}

static bool is_known(const struct loader *loader, u64 identity)
{
	for (u32 i = 0; i < loader->file_count && identity; i++)
		if (loader->identities[i] == identity)
			return true;
	return false;
}

// `by_pattern`: a pattern may well mean the file it stands in.
static void load_file(struct loader *loader, const char *file, const struct node *named_by,
	bool by_pattern, u32 depth)
{
	enum conf_syntax syntax = conf_syntax_of(file);
	struct node *root;
	struct str text;
	u64 identity = 0;
	int rc = loader->file_count == files_max
			 ? -EMFILE
			 : file_read(loader->report.arena, file, &text, &identity);

	if (rc < 0) {
		report_file(loader, file, named_by, rc);
		return;
	}
	if (is_known(loader, identity)) {
		if (named_by && !by_pattern)
			report_value(&loader->report, CODE_INCLUDE, named_by,
				"%s is read already: includes make no circles", file);
		return;
	}
	loader->byte_count += text.len;
	if (loader->byte_count > bytes_max) {
		report_file(loader, file, named_by, -EFBIG);
		return;
	}
	add_file(loader, file, identity);
	if (syntax == CONF_YAML && !is_yaml_name(file))
		syntax = guess_syntax(text);
	root = read_text(loader, file, text, syntax);
	if (root)
		take_document(loader, file, root, depth);
	else
		loader->is_partial = true;
}

static void load_include(
	struct loader *loader, const char *from, const struct node *include, u32 depth)
{
	const char *const *names;
	const char *pattern;
	u32 count;

	if (include->kind != NODE_TEXT || include->text.len == 0 || include->text.len > 4000) {
		report_value(&loader->report, CODE_WRONG_TYPE, include,
			"an include is a path or a pattern, or a list of them");
		return;
	}
	pattern = file_relative(loader->report.arena, from, include->text);
	if (!file_is_pattern(pattern)) {
		load_file(loader, pattern, include, false, depth + 1);
		return;
	}
	count = file_glob(loader->report.arena, pattern, &names);
	for (u32 i = 0; i < count; i++)
		load_file(loader, names[i], include, true, depth + 1);
}

static void load_includes(
	struct loader *loader, const char *from, const struct node *include, u32 depth)
{
	if (!loader->has_files || depth == include_depth_max) {
		report_value(&loader->report, CODE_INCLUDE, include,
			loader->has_files ? "includes are nested deeper than 8 files"
					  : "a text that is no file cannot include files");
		loader->is_partial = true;
		return;
	}
	if (include->kind != NODE_LIST) {
		load_include(loader, from, include, depth);
		return;
	}
	for (const struct node *item = include->first; item; item = item->next)
		load_include(loader, from, item, depth);
}

static void load_dotenv(struct loader *loader, const char *file)
{
	struct arena *arena = loader->report.arena;
	struct str text;
	u64 identity;

	if (!file || loader->file_count == files_max ||
		file_read(arena, file, &text, &identity) < 0)
		return;
	report_add_source(&loader->report, file, hide_values(arena, text));
	variables_add_dotenv(&loader->variables, &loader->report, file, text);
	add_file(loader, file, identity);
}

static void apply_set(struct loader *loader, const char *set)
{
	struct str value = str_from(set), path = str_cut(&value, '=');
	struct place place = {.file = arena_printf(loader->report.arena, "--set %.*s", CLIP(path))};

	if (path.len == strlen(set))
		report_at(&loader->report, CODE_BAD_OVERRIDE, place, 1,
			"a setting is KEY=VALUE, like frontends.web.bind=:80");
	else
		override_set(
			&loader->report, loader->root, path, value, place, &loader->nodes_left);
}

// The node stands where a flag put it: its name is its origin.
static void apply_flag(
	struct loader *loader, const char *key, const char *value, const char *origin)
{
	override_set(&loader->report, loader->root, str_from(key), str_from(value),
		(struct place){.file = origin}, &loader->nodes_left);
}

static void apply_flags(struct loader *loader, const struct conf_flags *flags)
{
	static const char *const preset = "flags-only mode";
	const char *port = flags->port ? flags->port : "8080";

	apply_flag(loader, "frontends.default.bind",
		arena_printf(loader->report.arena, ":%.*s", CLIP(str_from(port))),
		flags->port ? "flag --port" : preset);
	apply_flag(loader, "pools.default.backends",
		flags->backends ? flags->backends : "127.0.0.1:3001,127.0.0.1:3002,127.0.0.1:3003",
		flags->backends ? "flag --backends" : preset);
	if (flags->algorithm)
		apply_flag(loader, "pools.default.algorithm", flags->algorithm, "flag --algorithm");
	apply_flag(loader, "pools.default.health_check.interval",
		arena_printf(loader->report.arena, "%us",
			flags->health_interval_s ? flags->health_interval_s : 30),
		flags->health_interval_s ? "flag --health-check-interval" : preset);
	apply_flag(loader, "frontends.default.headers.identify", "rust-load-balancer", preset);
}

static void apply_overrides(struct loader *loader, const struct conf_input *input)
{
	override_from_variables(
		&loader->report, loader->root, &loader->variables, &loader->nodes_left);
	for (u32 i = 0; i < input->set_count; i++)
		apply_set(loader, input->sets[i]);
	// An override by number may have put a single value where a map is meant.
	shape_document(&loader->report, loader->root, &loader->nodes_left);
}

static struct conf *finish(struct loader *loader, u32 errors_before)
{
	struct arena *arena = loader->report.arena;
	struct conf *conf = arena_zalloc(arena, sizeof(*conf));
	struct build build = {.arena = arena,
		.report = &loader->report,
		.conf = conf,
		.root = loader->root,
		.variables = &loader->variables,
		.machine_id = loader->machine_id,
		.has_files = loader->has_files,
		.is_partial = loader->is_partial};

	shape_complete(&loader->report, loader->root);
	build_take_otel(&loader->report, loader->root, &loader->variables);
	build_root(&build);
	override_warn_strays(&loader->report, &loader->variables);
	if (loader->report.errs->error_count > errors_before)
		return NULL;
	build_machine_secret(&build);
	build_check(&build);
	if (loader->report.errs->error_count > errors_before)
		return NULL;
	conf->files = loader->files;
	conf->file_count = loader->file_count;
	conf->tree = loader->root;
	conf->sources = loader->report.sources;
	conf->machine_id = loader->machine_id;
	conf->has_files = loader->has_files;
	return conf;
}

struct conf *load_tree(
	const struct conf *base, struct node *root, struct arena *arena, struct errs *errs)
{
	struct loader loader;
	struct conf *conf;

	loader_init(&loader, arena, errs);
	loader.root = root;
	loader.report.sources = (struct report_source *)(uintptr_t)base->sources; // only read
	loader.has_files = base->has_files;
	loader.machine_id = base->machine_id;
	conf = finish(&loader, errs->error_count);
	if (!conf)
		return NULL;
	conf->files = base->files;
	conf->file_count = base->file_count;
	return conf;
}

static void add_variables(struct loader *loader, const struct conf_input *input)
{
	variables_add_environ(&loader->variables, loader->report.arena, input->environ);
	load_dotenv(loader, input->dotenv);
	loader->machine_id = input->machine_id;
}

struct conf *conf_load(const struct conf_input *input, struct arena *arena, struct errs *errs)
{
	u32 errors_before = errs->error_count;
	struct loader loader;

	loader_init(&loader, arena, errs);
	loader.has_files = true;
	add_variables(&loader, input);
	for (u32 i = 0; i < input->file_count; i++)
		load_file(&loader, input->files[i], NULL, false, 0);
	apply_overrides(&loader, input);
	return finish(&loader, errors_before);
}

struct conf *conf_load_text(const char *name, struct str text, enum conf_syntax syntax,
	struct arena *arena, struct errs *errs)
{
	u32 errors_before = errs->error_count;
	struct loader loader;
	struct node *root;

	loader_init(&loader, arena, errs);
	root = read_text(&loader, name, text, syntax);
	if (root)
		take_document(&loader, name, root, 0);
	else
		loader.is_partial = true;
	return finish(&loader, errors_before);
}

struct conf *conf_load_kept(const char *name, struct str text, const struct conf_input *input,
	struct arena *arena, struct errs *errs)
{
	u32 errors_before = errs->error_count;
	struct loader loader;
	struct node *root;

	loader_init(&loader, arena, errs);
	loader.has_files = true;
	add_variables(&loader, input);
	loader.file_count = 0; // .env says nothing but where secrets are
	root = read_text(&loader, name, text, CONF_JSON);
	if (root)
		take_document(&loader, name, root, 0);
	else
		loader.is_partial = true;
	return finish(&loader, errors_before);
}

struct conf *conf_from_flags(const struct conf_flags *flags, const struct conf_input *input,
	struct arena *arena, struct errs *errs)
{
	u32 errors_before = errs->error_count;
	struct loader loader;

	loader_init(&loader, arena, errs);
	loader.has_files = true;
	add_variables(&loader, input);
	apply_flags(&loader, flags);
	apply_overrides(&loader, input);
	return finish(&loader, errors_before);
}

struct conf *conf_from_database(const struct conf_flags *flags, const struct conf_input *input,
	struct arena *arena, struct errs *errs)
{
	static const char *const preset = "DATABASE_URL alone";
	u32 errors_before = errs->error_count;
	struct loader loader;

	loader_init(&loader, arena, errs);
	loader.has_files = true;
	add_variables(&loader, input);
	apply_flag(&loader, "frontends.default.bind",
		arena_printf(arena, ":%.*s", CLIP(str_from(flags->port ? flags->port : "8080"))),
		flags->port ? "flag --port" : preset);
	apply_flag(&loader, "providers", "[{url: {env: DATABASE_URL}}]", preset);
	apply_flag(&loader, "pools.default", "{}", preset);
	if (flags->algorithm)
		apply_flag(
			&loader, "pools.default.algorithm", flags->algorithm, "flag --algorithm");
	if (flags->health_interval_s)
		apply_flag(&loader, "pools.default.health_check.interval",
			arena_printf(arena, "%us", flags->health_interval_s),
			"flag --health-check-interval");
	apply_overrides(&loader, input);
	return finish(&loader, errors_before);
}

struct str conf_convert(const struct conf_input *input, enum conf_syntax syntax,
	struct arena *arena, struct errs *errs)
{
	u32 errors_before = errs->error_count;
	struct loader loader;

	loader_init(&loader, arena, errs);
	loader.has_files = true;
	loader.keeps_text = true;
	for (u32 i = 0; i < input->file_count; i++)
		load_file(&loader, input->files[i], NULL, false, 0);
	if (errs->error_count > errors_before)
		return STR_EMPTY;
	return tree_write(loader.root, syntax, TREE_WRITE_SOURCE, arena);
}
