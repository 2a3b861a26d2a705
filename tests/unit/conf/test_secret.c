// SPDX-License-Identifier: Apache-2.0
// Secrets: where they may be, what is warned of, and that nothing shows them.
#include "test_says.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/hide.h"

#define SECRET	     "correct-horse-battery-staple"
#define TEXT(secret) "backends: [a:1, b:1]\npools: {default: {sticky: {secret: " secret "}}}\n"

struct file {
	char name[32];
};

static void file_put(struct file *file, const char *text, mode_t mode)
{
	ssize_t len = (ssize_t)strlen(text);
	int fd;

	strcpy(file->name, "/tmp/weir-secret-XXXXXX");
	fd = mkstemp(file->name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, (size_t)len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

// Loads a text as a file, with an environment.
static const struct conf *load_with(struct world *world, const char *text, char *const *variables)
{
	struct file file;
	const char *name;
	struct conf_input input = {.files = &name, .file_count = 1, .environ = variables};
	const struct conf *conf;

	world_init(world);
	file_put(&file, text, 0600);
	name = arena_str(&world->arena, str_from(file.name)).ptr;
	conf = conf_load(&input, &world->arena, &world->errs);
	unlink(file.name);
	return conf;
}

// What is said of a text, and that it does not tell the secret.
static void finds(const char *text, char *const *variables, bool is_good, const char *expected)
{
	struct world world;
	const struct conf *conf = load_with(&world, text, variables);
	const char *said = world_errors(&world);

	if (is_good != (conf != NULL))
		fail_msg("%s: %s", conf ? "accepted" : "refused", said);
	assert_contains(said, expected);
	if (strstr(said, "horse"))
		fail_msg("the secret is told:\n%s", said);
	assert_null(strstr(errs_format_json(&world.errs, &world.arena).ptr, "horse"));
	world_done(&world);
}

// Shown in every syntax as `shown`, without the secret; and what is shown loads as the same.
static void shows(const char *text, char *const *variables, const char *shown)
{
	struct world world;
	const struct conf *conf = load_with(&world, text, variables);

	if (!conf)
		fail_msg("%s", world_errors(&world));
	assert_str(conf->pools[0].sticky.secret, SECRET);
	assert_int_equal(world.errs.warning_count, 0);
	for (u32 syntax = CONF_YAML; syntax <= CONF_JSON; syntax++) {
		struct str all = conf_show(conf, syntax, syntax == CONF_YAML, &world.arena);
		struct world again;
		const struct conf *same;

		assert_contains(all.ptr, shown);
		assert_null(strstr(all.ptr, "horse"));
		same = load_with(&again, all.ptr, variables);
		if (!same)
			fail_msg("%s", world_errors(&again));
		assert_str(same->pools[0].sticky.secret, SECRET);
		world_done(&again);
	}
	world_done(&world);
}

static char *const env[] = {"WEIR_STICKY_SECRET=" SECRET, "EMPTY=", "SHORT=abc", NULL};

static void a_variable_holds_it(void **state)
{
	(void)state;
	shows(TEXT("\"${WEIR_STICKY_SECRET}\""), env, "\"${WEIR_STICKY_SECRET}\"");
	shows(TEXT("\"${WEIR_STICKY_SECRET:?make one}\""), env, "${WEIR_STICKY_SECRET:?make one}");
	shows(TEXT("{env: WEIR_STICKY_SECRET}"), env, "WEIR_STICKY_SECRET");
	finds(TEXT("\"${WEIR_STICKY_SECRT}\""), env, false, "error[E021]");
	finds(TEXT("{env: WEIR_STICKY_SECRT}"), env, false,
		":2:42: error[E021]: variable 'WEIR_STICKY_SECRT' is not set: "
		"pools.default.sticky.secret is to be in it");
	finds(TEXT("{env: WEIR_STICKY_SECRT}"), env, false, "did you mean 'WEIR_STICKY_SECRET'?");
	finds(TEXT("{env: EMPTY}"), env, false, "error[E020]: pools.default.sticky.secret has 0");
	finds(TEXT("\"${EMPTY}\""), env, false, "error[E020]: pools.default.sticky.secret has 0");
	finds(TEXT("{env: SHORT}"), env, true,
		"warning[W116]: pools.default.sticky.secret has only 3 bytes: it can be guessed");
}

// A variable that a configuration names is no slip for a setting.
static void a_variable_that_is_named_is_no_stray(void **state)
{
	(void)state;
	finds("backends: a:1", env, true, "warning[W103]: 'WEIR_STICKY_SECRET' is no setting");
}

static void a_file_holds_it(void **state)
{
	struct file file;
	char text[256], shown[64];

	(void)state;
	file_put(&file, SECRET "\n", 0600);
	snprintf(text, sizeof(text), TEXT("{file: %s}"), file.name);
	shows(text, NULL, file.name);
	snprintf(text, sizeof(text), TEXT("{file: %s}"), file.name + 5); // from the folder
	snprintf(shown, sizeof(shown), "%s", file.name);
	shows(text, NULL, shown);
	assert_int_equal(chmod(file.name, 0644), 0);
	finds(text, NULL, true, "warning[W116]: every user of this machine can read /tmp/weir-");
	finds(text, NULL, true, "chmod o-r /tmp/weir-");
	unlink(file.name);
	finds(text, NULL, false, "error[E001]: failed to read pools.default.sticky.secret at /tmp");
	finds(TEXT("{file: /tmp}"), NULL, false, "Is a directory");
	finds(TEXT("{file: \"\"}"), NULL, false,
		"error[E019]: pools.default.sticky.secret.file is");
	refuses(TEXT("{file: /etc/hostname}"), "a text that is no file cannot name one");
}

static void a_credential_holds_it(void **state)
{
	struct file file;
	char variable[] = "CREDENTIALS_DIRECTORY=/tmp", text[256];
	char *const with[] = {variable, NULL};

	(void)state;
	file_put(&file, SECRET, 0400);
	snprintf(text, sizeof(text), TEXT("{credential: %s}"), file.name + 5);
	shows(text, with, file.name + 5);
	finds(text, NULL, false,
		"error[E021]: variable 'CREDENTIALS_DIRECTORY' is not set: a service that systemd "
		"starts");
	unlink(file.name);
	finds(text, with, false, "error[E001]: failed to read");
	finds(TEXT("{credential: ../x}"), with, false, "'../x' is no name of a credential");
}

static void it_is_in_one_place(void **state)
{
	(void)state;
	finds(TEXT("{}"), env, false, "error[E015]: pools.default.sticky.secret is in one place");
	finds(TEXT("{env: A, file: b}"), env, false, "error[E023]");
	finds(TEXT("{evn: A}"), env, false, "did you mean 'env'?");
	finds(TEXT("[a]"), env, false, "error[E014]");
	finds(TEXT(""), env, false, "error[E014]: pools.default.sticky.secret has no value");
}

// Written where others read it: a warning, shown as ***, and that is no secret.
static void what_stands_in_the_configuration_is_hidden(void **state)
{
	struct world world;
	const struct conf *conf = load_with(&world, TEXT(SECRET), env);

	(void)state;
	assert_non_null(conf);
	assert_str(conf->pools[0].sticky.secret, SECRET);
	assert_contains(world_errors(&world),
		":2:36: warning[W116]: pools.default.sticky.secret stands in the configuration");
	assert_contains(world_errors(&world), "sticky: {secret: ****************************}");
	for (u32 syntax = CONF_YAML; syntax <= CONF_JSON; syntax++) {
		struct str shown = conf_show(conf, syntax, false, &world.arena);

		assert_contains(shown.ptr, "\"***\"");
		assert_null(strstr(shown.ptr, "horse"));
	}
	world_done(&world);
	finds(TEXT("\"***\""), env, false,
		"error[E019]: pools.default.sticky.secret is a secret that was not shown");
	finds(TEXT("\"${UNSET:-" SECRET "}\""), env, true, "stands in the configuration");
	finds(TEXT("\"" SECRET "${EMPTY}\""), env, true, "stands in the configuration");
	finds(TEXT("12345678901234567890"), env, true, "stands in the configuration");
}

static void settings_on_top(void **state)
{
	static const char *const set = "pools.default.sticky.secret=" SECRET;
	char *const with[] = {"WEIR_POOLS__DEFAULT__STICKY__SECRET=" SECRET, NULL};
	struct conf_flags flags = {.backends = "a:1,b:1"};
	struct conf_input input = {.environ = with};
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = conf_from_flags(&flags, &input, &world.arena, &world.errs);
	assert_non_null(conf);
	assert_str(conf->pools[0].sticky.secret, SECRET);
	assert_int_equal(world.errs.warning_count, 0);
	assert_contains(conf_show(conf, CONF_YAML, false, &world.arena).ptr, "secret: \"***\"");
	world_done(&world);
	input = (struct conf_input){.sets = &set, .set_count = 1};
	world_init(&world);
	conf = conf_from_flags(&flags, &input, &world.arena, &world.errs);
	assert_non_null(conf);
	assert_contains(world_errors(&world),
		"--set pools.default.sticky.secret: warning[W116]: pools.default.sticky.secret "
		"stands on the command line");
	assert_null(strstr(world_errors(&world), "horse"));
	world_done(&world);
}

#define MACHINE "0123456789abcdef0123456789abcdef"

// A sticky pool without a secret, on a machine with this in its /etc/machine-id (NULL: no file).
static const struct conf *load_on_machine(struct world *world, const char *id)
{
	static struct file file; // its name stands in the places of the configuration
	struct file machine = {"/tmp/weir-secret-nowhere"};
	const char *name = file.name;
	struct conf_input input = {.files = &name, .file_count = 1, .machine_id = machine.name};
	const struct conf *conf;

	world_init(world);
	file_put(&file, "backends: [a:1, b:1]\npools: {default: {sticky: cookie}}\n", 0600);
	if (id)
		file_put(&machine, id, 0444);
	conf = conf_load(&input, &world->arena, &world->errs);
	if (!conf)
		fail_msg("%s", world_errors(world));
	unlink(file.name);
	if (id)
		unlink(machine.name);
	return conf;
}

static void this_machine_is_the_secret(void **state)
{
	struct world world;
	const struct conf *conf = load_on_machine(&world, MACHINE "\n");

	(void)state;
	assert_str(conf->pools[0].sticky.secret, MACHINE);
	assert_contains(world_errors(&world), "warning[W117]: the cookies of pool 'default' are "
					      "bound to this machine");
	assert_null(strstr(world_errors(&world), MACHINE));
	assert_null(strstr(conf_show(conf, CONF_YAML, true, &world.arena).ptr, MACHINE));
	world_done(&world);
}

static void a_machine_without_a_name(void **state)
{
	static const char *const ids[] = {NULL, "", "uninitialized\n", "0123\n", MACHINE "0\n",
		"0123456789abcdef0123456789ABCDEF\n"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct world world;
		const struct conf *conf = load_on_machine(&world, ids[i]);

		assert_int_equal(conf->pools[0].sticky.secret.len, 0);
		assert_contains(world_errors(&world), "warning[W116]: anybody can make the cookies "
						      "of pool 'default'");
		assert_null(strstr(world_errors(&world), "W117"));
		world_done(&world);
	}
}

static void a_secret_for_hashes(void **state)
{
	struct world world;
	const struct conf *conf = load_with(&world,
		"backends: [a:1, b:1]\nalgorithm: maglev\n"
		"pools: {default: {hash: {secret: {env: WEIR_STICKY_SECRET}}}}\n",
		env);

	(void)state;
	assert_non_null(conf);
	assert_str(conf->pools[0].hash.secret, SECRET);
	assert_int_equal(conf->pools[0].sticky.secret.len, 0);
	assert_null(strstr(conf_show(conf, CONF_YAML, true, &world.arena).ptr, "horse"));
	world_done(&world);
	finds("backends: [a:1, b:1]\nalgorithm: maglev\n"
	      "pools: {default: {hash: {secret: horse}}}\n",
		NULL, true, "warning[W116]: pools.default.hash.secret has only 5 bytes");
}

// Whatever is wrong with a line, its secret is not told.
static void no_finding_tells_a_secret(void **state)
{
	(void)state;
	finds("backends: a:1\npools:\n  default:\n    sticky: {nme: x, secret: " SECRET "}\n", env,
		false, "nme: x, secret: ****************************}");
	finds("backends: a:1\npools: {default: {sticky: {secret: '" SECRET "', secret: \"" SECRET
	      "\"}}}",
		env, false, "E004");
	finds("backends: a:1\npools:\n  default:\n    sticky:\n      secret: horse, of course: "
	      "no\n",
		env, false, "E002");
	finds("pools = {default = {sticky = {secret = \"horse\\\"horse\"}}\n", env, false, "E002");
	finds("{\"pools\": {\"default\": {\"sticky\": {\"secret\": \"\\\"horse\"}}", env, false,
		"E002");
}

static void hides(const char *text, const char *expected)
{
	struct arena arena;

	arena_init(&arena, 1 << 20);
	assert_string_equal(hide_secrets(&arena, str_from(text)).ptr, expected);
	arena_done(&arena);
}

static void what_is_hidden(void **state)
{
	struct arena arena;

	(void)state;
	hides("a: 1\nsecret: a, b # c\r\nb: 2", "a: 1\nsecret: ********\r\nb: 2");
	hides("x: {secret: a b, y: 1}", "x: {secret: ***, y: 1}");
	hides("x: {secret: 'it''s', y: 1}", "x: {secret: *******, y: 1}");
	hides("{\"secret\": \"a\\\"b\", \"y\": 1}", "{\"secret\": ******, \"y\": 1}");
	hides("secret='\xc3\xa4' # x", "secret=*** # x");
	hides("secret = ", "secret = ");
	hides("secrets: a\nmy_secret: b\nno secret", "secrets: a\nmy_secret: b\nno secret");
	hides("secret: ${A}\nsecret: \"${A:?b}\"\nsecret: {file: x}\n",
		"secret: ${A}\nsecret: \"${A:?b}\"\nsecret: {file: x}\n");
	hides("secret: ${A:-b}", "secret: *******");
	hides("{secret: a, secret: b}", "{secret: *, secret: *}");
	arena_init(&arena, 1 << 20);
	assert_string_equal(hide_values(&arena, STR("# a\nA=b=c\nB=")).ptr, "# a\nA=***\nB=\n");
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_variable_holds_it),
		cmocka_unit_test(a_variable_that_is_named_is_no_stray),
		cmocka_unit_test(a_file_holds_it),
		cmocka_unit_test(a_credential_holds_it),
		cmocka_unit_test(it_is_in_one_place),
		cmocka_unit_test(what_stands_in_the_configuration_is_hidden),
		cmocka_unit_test(settings_on_top),
		cmocka_unit_test(this_machine_is_the_secret),
		cmocka_unit_test(a_machine_without_a_name),
		cmocka_unit_test(a_secret_for_hashes),
		cmocka_unit_test(no_finding_tells_a_secret),
		cmocka_unit_test(what_is_hidden),
	};

	return cmocka_run_group_tests_name("secret", tests, NULL, NULL);
}
