// SPDX-License-Identifier: Apache-2.0
// Where a configuration is looked for when none was named.
#include <unistd.h>

#include "conf/conf.h"
#include "conf/file.h"

struct places {
	char *const *environ;
	struct arena *arena;
	const char **files;
	u32 count;
};

static const char *get_variable(const struct places *places, const char *name)
{
	size_t len = strlen(name);

	for (char *const *each = places->environ; each && *each; each++)
		if (strncmp(*each, name, len) == 0 && (*each)[len] == '=' && (*each)[len + 1])
			return *each + len + 1;
	return NULL;
}

static bool take(struct places *places, const char *file)
{
	const char **list;

	if (!file_exists(file))
		return false;
	list = arena_zalloc(places->arena, sizeof(*list) * (places->count + 1));
	if (places->count)
		memcpy(list, places->files, sizeof(*list) * places->count);
	list[places->count++] = arena_str(places->arena, str_from(file)).ptr;
	places->files = list;
	return true;
}

static bool take_weir(struct places *places, const char *folder)
{
	static const char *const endings[] = {"yaml", "yml", "toml", "json"};

	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		if (take(places, arena_printf(places->arena, "%s/weir.%s", folder, endings[i])))
			return true;
	return false;
}

static void take_folder(struct places *places, const char *folder)
{
	static const char *const endings[] = {"yaml", "yml", "toml", "json"};
	const char *const *names;

	for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
		u32 count = file_glob(places->arena,
			arena_printf(places->arena, "%s/*.%s", folder, endings[i]), &names);

		for (u32 j = 0; j < count; j++)
			take(places, names[j]);
	}
}

static bool take_user(struct places *places)
{
	const char *folder = get_variable(places, "XDG_CONFIG_HOME");
	const char *home = get_variable(places, "HOME");

	if (!folder && home)
		folder = arena_printf(places->arena, "%s/.config", home);
	return folder && take_weir(places, arena_printf(places->arena, "%s/weir", folder));
}

u32 conf_locate(char *const *variables, struct arena *arena, const char *const **ret_files)
{
	struct places places = {.environ = variables, .arena = arena};
	const char *named = get_variable(&places, "WEIR_CONFIG");

	if (named) {
		// Taken even when it is missing: what was named must be read, or be an error.
		places.files = arena_zalloc(arena, sizeof(*places.files));
		places.files[0] = arena_str(arena, str_from(named)).ptr;
		places.count = 1;
	} else if (!take_weir(&places, ".") && !take(&places, "config.yaml") &&
		   !take(&places, "mini-balancer.toml") && !take_user(&places) &&
		   take(&places, "/etc/weir/weir.yaml")) {
		take_folder(&places, "/etc/weir/conf.d");
	}
	if (places.count)
		*ret_files = places.files;
	return places.count;
}

const char *conf_state_folder(char *const *variables, struct arena *arena)
{
	struct places places = {.environ = variables, .arena = arena};
	const char *folder = get_variable(&places, "STATE_DIRECTORY");

	if (folder) // systemd gives several with ':' between them
		return arena_printf(arena, "%.*s", (int)strcspn(folder, ":"), folder);
	folder = get_variable(&places, "XDG_STATE_HOME");
	if (folder && folder[0] == '/')
		return arena_printf(arena, "%s/weir", folder);
	if (geteuid() == 0)
		return "/var/lib/weir";
	folder = get_variable(&places, "HOME");
	return folder ? arena_printf(arena, "%s/.local/state/weir", folder) : NULL;
}
