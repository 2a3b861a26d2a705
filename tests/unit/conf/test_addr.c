// SPDX-License-Identifier: Apache-2.0
#include "test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/un.h>

static struct addr parse(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(str_from(text), &addr), 0);
	return addr;
}

static void round_trips(void **state)
{
	static const char *const texts[][2] = {
		{"127.0.0.1:80", "127.0.0.1:80"},
		{":8080", "0.0.0.0:8080"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"255.255.255.255:65535", "255.255.255.255:65535"},
		{"[::1]:443", "[::1]:443"},
		{"[2001:DB8:0:0::1]:1", "[2001:db8::1]:1"},
		{"[fe80::1%3]:80", "[fe80::1%3]:80"},
		{"unix:/run/weir.sock", "unix:/run/weir.sock"},
		{"unix:@abstract", "unix:@abstract"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct addr addr = parse(texts[i][0]), again;
		char text[ADDR_TEXT_MAX];
		size_t len = addr_format(&addr, text);

		assert_string_equal(text, texts[i][1]);
		assert_int_equal(len, strlen(text));
		again = parse(text);
		assert_true(addr_equal(&addr, &again));
	}
}

static void refuses_what_is_no_address(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{"", -EINVAL},
		{"80", -EINVAL},
		{"127.0.0.1", -EINVAL},
		{"127.0.0.1:", -EINVAL},
		{"127.0.0.1:x", -EINVAL},
		{"127.0.0.1:+1", -EINVAL},
		{"127.0.0.1:65536", -ERANGE},
		{"127.0.0.1:99999999999999999999", -ERANGE},
		{"256.0.0.1:80", -EINVAL},
		{"1.2.3:80", -EINVAL},
		{"1.2.3.4.5:80", -EINVAL},
		{"01.2.3.4:80", -EINVAL},
		{"[::1:80", -EINVAL},
		{"[::1]80", -EINVAL},
		{"[::g]:80", -EINVAL},
		{"[fe80::1%eth0]:80", -EINVAL},
		{"[]:80", -EINVAL},
		{"::1:80", -EINVAL},
		{"a b:80", -EINVAL},
		{"-a:80", -EINVAL},
		{"a..b:80", -EINVAL},
		{"*:80", -EINVAL},
		{"localhost:80", -ENOENT},
		{"my_app-1.internal.:80", -ENOENT},
		{"localhost:65536", -ERANGE},
		{"unix:", -EINVAL},
		{"unix:relative", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct addr addr = {.family = 77};
		int rc = addr_parse(str_from(cases[i].text), &addr);

		if (rc != cases[i].rc)
			fail_msg("'%s' gives %d, not %d", cases[i].text, rc, cases[i].rc);
		assert_int_equal(addr.family, 77);
	}
}

static void bounds_unix_paths(void **state)
{
	char text[5 + 109] = "unix:/";
	struct addr addr;

	(void)state;
	memset(text + 6, 'a', 106);
	text[5 + 107] = '\0';
	assert_int_equal(addr_parse(str_from(text), &addr), 0);
	text[5 + 107] = 'a';
	text[5 + 108] = '\0';
	assert_int_equal(addr_parse(str_from(text), &addr), -ENAMETOOLONG);
}

static void goes_through_the_kernel_form(void **state)
{
	static const char *const texts[] = {"10.1.2.3:80", "[2001:db8::5%7]:443"};
	struct sockaddr_storage storage;
	struct addr addr, again;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		addr = parse(texts[i]);
		assert_true(addr_to_sockaddr(&addr, &storage) > 0);
		addr_from_sockaddr(&storage, &again);
		assert_true(addr_equal(&addr, &again));
	}
	addr = parse("[::ffff:10.1.2.3]:80");
	addr_to_sockaddr(&addr, &storage);
	addr_from_sockaddr(&storage, &again);
	assert_int_equal(again.family, ADDR_V4);
	addr = parse("10.1.2.3:80");
	assert_true(addr_equal(&addr, &again));
}

static void writes_unix_forms(void **state)
{
	struct sockaddr_storage storage;
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)&storage;
	struct addr addr = parse("unix:/run/x"), peer;

	(void)state;
	assert_int_equal(
		addr_to_sockaddr(&addr, &storage), offsetof(struct sockaddr_un, sun_path) + 7);
	assert_string_equal(un->sun_path, "/run/x");
	addr = parse("unix:@x");
	assert_int_equal(
		addr_to_sockaddr(&addr, &storage), offsetof(struct sockaddr_un, sun_path) + 2);
	assert_memory_equal(un->sun_path, "\0x", 2);
	addr_from_sockaddr(&storage, &peer);
	assert_int_equal(peer.family, ADDR_UNIX);
	assert_string_equal(peer.path, "");
}

static bool matches(const char *prefix_text, const char *ip)
{
	struct addr_prefix prefix;
	struct addr addr;

	assert_int_equal(addr_prefix_parse(str_from(prefix_text), &prefix), 0);
	assert_int_equal(addr_parse_ip(str_from(ip), &addr), 0);
	return addr_prefix_match(&prefix, &addr);
}

static void matches_prefixes(void **state)
{
	struct addr_prefix prefix;

	(void)state;
	assert_true(matches("10.0.0.0/8", "10.255.0.1"));
	assert_false(matches("10.0.0.0/8", "11.0.0.1"));
	assert_true(matches("10.128.0.0/9", "10.129.0.0"));
	assert_false(matches("10.128.0.0/9", "10.127.0.0"));
	assert_true(matches("0.0.0.0/0", "1.2.3.4"));
	assert_false(matches("0.0.0.0/0", "::1"));
	assert_true(matches("::/0", "::1"));
	assert_true(matches("1.2.3.4", "1.2.3.4"));
	assert_false(matches("1.2.3.4", "1.2.3.5"));
	assert_true(matches("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(matches("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(matches("[::1]", "::1"));
	assert_true(matches("::ffff:10.0.0.0/104", "10.9.9.9"));
	for (size_t i = 0; i < 6; i++) {
		static const char *const bad[] = {
			"10.0.0.1/8", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/", "10.0.0.0/-1"};

		assert_int_equal(addr_prefix_parse(str_from(bad[i]), &prefix), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trips),
		cmocka_unit_test(refuses_what_is_no_address),
		cmocka_unit_test(bounds_unix_paths),
		cmocka_unit_test(goes_through_the_kernel_form),
		cmocka_unit_test(writes_unix_forms),
		cmocka_unit_test(matches_prefixes),
	};

	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
