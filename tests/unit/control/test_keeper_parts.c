// SPDX-License-Identifier: Apache-2.0
// What a keeper is made of: datagrams with descriptors, what was inherited, texts for a manager.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/str.h"
#include "control/channel.h"
#include "control/inherit.h"
#include "control/notify.h"
#include "net/listen.h"

// ---- The channel --------------------------------------------------------------------------------

static void test_messages_arrive_whole_and_in_order(void **state)
{
	struct channel_message message;
	char longest[CHANNEL_TEXT_MAX + 100];
	int ends[2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(channel_pair(ends), 0);
	assert_int_equal(channel_receive(ends[1], &message), -EAGAIN);
	assert_int_equal(channel_send(ends[0], 'A', "first", 5, -1), 0);
	assert_int_equal(channel_send(ends[0], 'B', "", 0, -1), 0);
	assert_int_equal(channel_send(ends[0], 'C', longest, sizeof(longest), -1), 0);
	assert_int_equal(channel_receive(ends[1], &message), 1);
	assert_int_equal(message.kind, 'A');
	assert_string_equal(message.text, "first");
	assert_int_equal(message.fd, -1);
	assert_int_equal(channel_receive(ends[1], &message), 1);
	assert_int_equal(message.len, 0);
	assert_int_equal(channel_receive(ends[1], &message), 1);
	assert_int_equal(message.len, CHANNEL_TEXT_MAX);
	close(ends[0]);
	assert_int_equal(channel_receive(ends[1], &message), 0);
	close(ends[1]);
}

static void test_a_descriptor_comes_along(void **state)
{
	struct channel_message message;
	struct stat sent, got;
	int ends[2], fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(channel_pair(ends), 0);
	assert_int_equal(channel_send(ends[0], 'H', "name", 4, fd), 0);
	assert_int_equal(channel_receive(ends[1], &message), 1);
	assert_true(message.fd >= 0 && message.fd != fd);
	assert_int_equal(fcntl(message.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fstat(fd, &sent), 0);
	assert_int_equal(fstat(message.fd, &got), 0);
	assert_int_equal(sent.st_rdev, got.st_rdev);
	close(message.fd);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

// ---- What was inherited -------------------------------------------------------------------------

static void give_text(const char *text)
{
	int fd = memfd_create("test", 0);
	char number[16];

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	snprintf(number, sizeof(number), "%d", fd);
	setenv(INHERIT_VARIABLE, number, 1);
}

static int listening(struct addr *ret_address)
{
	struct sockaddr_storage sockaddr;
	socklen_t len = sizeof(sockaddr);
	int fd;

	*ret_address = (struct addr){.family = ADDR_V4, .ip = {127, 0, 0, 1}};
	fd = listen_open(ret_address, true);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sockaddr, &len), 0);
	addr_from_sockaddr(&sockaddr, ret_address);
	return fd;
}

static void test_sockets_are_taken_by_role_index_and_address(void **state)
{
	struct addr address, other = {.family = ADDR_V4, .port = 1};
	struct inherit inherit;
	char text[512], where[ADDR_TEXT_MAX];
	int fd = listening(&address);

	(void)state;
	addr_format(&address, where);
	snprintf(text, sizeof(text),
		"listener %d traffic 1 %s\nsomething of a later version\nupgrades\n"
		"restarts 3 killed by signal 9 (Killed)\n",
		fd, where);
	give_text(text);
	assert_int_equal(inherit_read(&inherit), 0);
	assert_null(getenv(INHERIT_VARIABLE));
	assert_true(inherit.upgrades);
	assert_int_equal(inherit.restarts, 3);
	assert_string_equal(inherit.why, "killed by signal 9 (Killed)");
	assert_int_equal(inherit.channel, -1);
	assert_true(inherit_has(&inherit, INHERIT_TRAFFIC, &address));
	assert_false(inherit_has(&inherit, INHERIT_ADMIN, &address));
	assert_int_equal(inherit_take(&inherit, INHERIT_TRAFFIC, 0, &address), -ENOENT);
	assert_int_equal(inherit_take(&inherit, INHERIT_ADMIN, 1, &address), -ENOENT);
	assert_int_equal(inherit_take(&inherit, INHERIT_TRAFFIC, 1, &other), -ENOENT);
	assert_int_equal(inherit_take(&inherit, INHERIT_TRAFFIC, 1, &address), fd);
	assert_int_equal(inherit_take(&inherit, INHERIT_TRAFFIC, 1, &address), -ENOENT);
	assert_null(inherit_stray(&inherit));
	inherit_done(&inherit);
	close(fd);
}

static void test_what_makes_no_sense_is_refused(void **state)
{
	static const char *const texts[] = {"listener x traffic 0 127.0.0.1:1\n",
		"listener 9999999 traffic 0 127.0.0.1:1\n", "listener 0 traffic y a\n", "channel\n",
		"conf 99999999999999\n", "restarts many\n"};
	struct inherit inherit;

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(texts); i++) {
		give_text(texts[i]);
		assert_true(inherit_read(&inherit) < 0);
		inherit.count = 0; // nothing to be closed
		inherit_done(&inherit);
	}
}

static void test_with_nothing_given_there_is_nothing(void **state)
{
	struct inherit inherit;

	(void)state;
	assert_int_equal(inherit_read(&inherit), 0);
	assert_int_equal(inherit.count, 0);
	assert_int_equal(inherit.channel, -1);
	assert_int_equal(inherit.left[INHERIT_CONF], -1);
	inherit_done(&inherit);
}

// ---- A manager ----------------------------------------------------------------------------------

static void test_texts_for_a_manager(void **state)
{
	char text[NOTIFY_TEXT_MAX], name[NOTIFY_NAME_MAX], status[1000];
	size_t len = notify_format(text, "READY=1", "serves");

	(void)state;
	assert_string_equal(text, "READY=1\nSTATUS=serves\n");
	assert_int_equal(len, strlen(text));
	len = notify_format_reloading(text, 1234567);
	assert_int_equal(len, strlen(text));
	assert_string_equal(text, "RELOADING=1\nMONOTONIC_USEC=1234567\n");
	memset(status, 's', sizeof(status) - 1);
	status[sizeof(status) - 1] = '\0';
	len = notify_format(text, "READY=1", status);
	assert_int_equal(len, strlen(text));
	assert_true(len < NOTIFY_TEXT_MAX && text[len - 1] == '\n');
	notify_name(name, "traffic 0 [::1]:80\x7f");
	assert_string_equal(name, "weir-traffic.0.[..1].80.");
}

static void test_when_a_watchdog_wants_signs(void **state)
{
	(void)state;
	assert_int_equal(notify_watchdog_us(NULL, NULL, 7), 0);
	assert_int_equal(notify_watchdog_us("30000000", NULL, 7), 30000000);
	assert_int_equal(notify_watchdog_us("30000000", "", 7), 30000000);
	assert_int_equal(notify_watchdog_us("30000000", "7", 7), 30000000);
	assert_int_equal(notify_watchdog_us("30000000", "8", 7), 0);
	assert_int_equal(notify_watchdog_us("soon", "7", 7), 0);
}

static void test_nobody_is_told_nothing(void **state)
{
	(void)state;
	assert_int_equal(notify_send(NULL, "READY=1", 7, -1), -ENOTCONN);
	assert_int_equal(notify_send("", "READY=1", 7, -1), -ENOTCONN);
	assert_int_equal(notify_send("relative", "READY=1", 7, -1), -EINVAL);
	assert_int_equal(notify_send("/nowhere/at/all", "READY=1", 7, -1), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_arrive_whole_and_in_order),
		cmocka_unit_test(test_a_descriptor_comes_along),
		cmocka_unit_test(test_sockets_are_taken_by_role_index_and_address),
		cmocka_unit_test(test_what_makes_no_sense_is_refused),
		cmocka_unit_test(test_with_nothing_given_there_is_nothing),
		cmocka_unit_test(test_texts_for_a_manager),
		cmocka_unit_test(test_when_a_watchdog_wants_signs),
		cmocka_unit_test(test_nobody_is_told_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
