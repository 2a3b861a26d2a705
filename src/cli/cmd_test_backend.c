// SPDX-License-Identifier: Apache-2.0
// weir test-backend: a server to balance over, for trying out and for tests.
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/origin.h"
#include "cli/origin_faults.h"
#include "net/listen.h"

static int fail_address(const char *text)
{
	fprintf(stderr,
		"weir: '%s' is neither a port nor an address with one: weir test-backend 8001, or "
		"weir test-backend 0.0.0.0:8001\n",
		text);
	return EXIT_USAGE;
}

// A port alone listens on 127.0.0.1: strangers have no business with a test server.
static int parse_address(const char *text, struct addr *ret_addr)
{
	struct str word = str_from(text);
	u64 port;

	if (str_to_u64(word, UINT16_MAX, &port) != 0)
		return addr_parse(word, ret_addr);
	*ret_addr = (struct addr){.family = ADDR_V4, .port = (u16)port, .ip = {127, 0, 0, 1}};
	return 0;
}

// Port 0 lets the kernel choose.
static void learn_port(int fd, struct addr *addr)
{
	struct sockaddr_storage sockaddr;
	socklen_t len = sizeof(sockaddr);
	struct addr bound;

	if (addr->family == ADDR_UNIX || addr->port ||
		getsockname(fd, (struct sockaddr *)&sockaddr, &len) != 0)
		return;
	addr_from_sockaddr(&sockaddr, &bound);
	addr->port = bound.port;
}

static void say_ready(const struct addr *addr, bool flips)
{
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	printf("weir test-backend: listening on %s%s; /health %s; try / /echo /load ?delay=MS "
	       "?status=CODE ?size=BYTES; POST /-/fault makes it fail\n",
		addr->family == ADDR_UNIX ? "" : "http://", text,
		flips ? "changes every 30 s" : "stays 200");
	fflush(stdout);
}

static bool is_fault(const char *words)
{
	struct origin_faults faults;
	const char *why;

	origin_faults_init(&faults, 0);
	why = origin_faults_set(&faults, str_from(words));
	if (why)
		fprintf(stderr, "weir: --fault: %s\n       weir help test-backend\n", why);
	return !why;
}

static int report_bind(const struct addr *addr, int error)
{
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	fprintf(stderr, "weir: unable to bind on %s: %s\n", text, strerror(-error));
	return EXIT_FAILED;
}

int test_backend_main(const struct cli *cli)
{
	static const enum loop_kind kinds[] = {[CONF_IO_AUTO] = LOOP_AUTO,
		[CONF_IO_URING] = LOOP_URING,
		[CONF_IO_EPOLL] = LOOP_EPOLL};
	struct origin_options options = {.io = kinds[cli->plan->io],
		.fault = cli->plan->fault,
		.flips = !cli->plan->is_steady,
		.hears_terminal = true};
	const char *why;
	struct addr addr;
	int error;

	if (parse_address(cli->plan->address, &addr) != 0)
		return fail_address(cli->plan->address);
	if (options.fault && !is_fault(options.fault))
		return EXIT_USAGE;
	options.fd = listen_open(&addr, false);
	if (options.fd < 0)
		return report_bind(&addr, options.fd);
	learn_port(options.fd, &addr);
	options.addr = addr;
	say_ready(&addr, options.flips);
	error = origin_serve(&options, &why);
	listen_unlink(&addr);
	if (!error)
		return EXIT_OK;
	fprintf(stderr, "weir: test-backend cannot start: %s%s%s\n", strerror(-error),
		why ? ": " : "", why ? why : "");
	return EXIT_FAILED;
}
