// SPDX-License-Identifier: Apache-2.0
// weir demo: three test backends as child processes and the balancer in front of them, all on
// loopback. The children end with their parent, however it ends.
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/load.h"
#include "cli/origin.h"
#include "admin/admin.h"
#include "net/listen.h"

enum { servers = 3, first_port = 3001, default_port = 8080 };

struct server {
	int fd;
	u16 port;
	pid_t pid;
};

struct demo {
	const struct cli *cli;
	u16 port;
	struct server servers[servers];
};

static struct addr loopback(u16 port)
{
	return (struct addr){.family = ADDR_V4, .port = port, .ip = {127, 0, 0, 1}};
}

// ---- Ports --------------------------------------------------------------------------------------

static u32 other_port(u16 port)
{
	return port < 1024 || port == UINT16_MAX ? default_port : port + 1u;
}

static int take_port(struct demo *demo)
{
	const char *text = demo->cli->plan->flags.port;
	u64 port = default_port;
	struct addr addr;
	int fd;

	if (text && (str_to_u64(str_from(text), UINT16_MAX, &port) != 0 || port == 0)) {
		fprintf(stderr, "weir: --port is a number from 1 to 65535\n");
		return EXIT_USAGE;
	}
	demo->port = (u16)port;
	addr = loopback(demo->port);
	fd = listen_open(&addr, false);
	if (fd < 0) {
		fprintf(stderr,
			"weir: unable to bind on 127.0.0.1:%u: %s. Choose another port: weir demo "
			"-p %u\n",
			demo->port, strerror(-fd), other_port(demo->port));
		return EXIT_FAILED;
	}
	close(fd); // only tried: the balancer opens its own
	return 0;
}

// Seed 3's ports where they are free, else whatever the kernel gives.
static int open_server(struct server *server, u16 port)
{
	struct sockaddr_storage sockaddr;
	socklen_t len = sizeof(sockaddr);
	struct addr addr = loopback(port);

	server->fd = listen_open(&addr, false);
	if (server->fd < 0) {
		addr.port = 0;
		server->fd = listen_open(&addr, false);
	}
	if (server->fd < 0)
		return server->fd;
	if (getsockname(server->fd, (struct sockaddr *)&sockaddr, &len) != 0)
		return -errno;
	addr_from_sockaddr(&sockaddr, &addr);
	server->port = addr.port;
	return 0;
}

// ---- Children -----------------------------------------------------------------------------------

static _Noreturn void be_server(struct demo *demo, u32 index, pid_t parent)
{
	static const enum loop_kind kinds[] = {[CONF_IO_AUTO] = LOOP_AUTO,
		[CONF_IO_URING] = LOOP_URING,
		[CONF_IO_EPOLL] = LOOP_EPOLL};
	struct origin_options options = {.fd = demo->servers[index].fd,
		.addr = loopback(demo->servers[index].port),
		.io = kinds[demo->cli->plan->io]};
	const char *why;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent) // it died before the line above
		_exit(EXIT_OK);
	prctl(PR_SET_NAME, "weir-server");
	for (u32 i = 0; i < servers; i++)
		if (i != index)
			close(demo->servers[i].fd);
	_exit(origin_serve(&options, &why) ? EXIT_FAILED : EXIT_OK);
}

static int start_servers(struct demo *demo)
{
	pid_t parent = getpid();

	for (u32 i = 0; i < servers; i++) {
		int error = open_server(&demo->servers[i], (u16)(first_port + i));

		if (error)
			return error;
	}
	for (u32 i = 0; i < servers; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return -errno;
		if (pid == 0)
			be_server(demo, i, parent);
		demo->servers[i].pid = pid;
	}
	for (u32 i = 0; i < servers; i++)
		close(demo->servers[i].fd);
	return 0;
}

static void end_servers(struct demo *demo)
{
	for (u32 i = 0; i < servers; i++)
		if (demo->servers[i].pid > 0)
			kill(demo->servers[i].pid, SIGTERM);
	for (u32 i = 0; i < servers; i++)
		if (demo->servers[i].pid > 0)
			waitpid(demo->servers[i].pid, NULL, 0);
}

// ---- The balancer -------------------------------------------------------------------------------

// Neither files nor the environment: a demonstration shows the same everywhere.
static struct conf *configure(struct demo *demo, struct errs *errs)
{
	const struct plan *plan = demo->cli->plan;
	struct arena *arena = demo->cli->arena;
	const char **sets = arena_zalloc(arena, sizeof(*sets) * (plan->set_count + 3));
	struct conf_flags flags = {.algorithm = plan->flags.algorithm};
	struct conf_input input = {.sets = sets, .set_count = plan->set_count + 3};

	sets[0] = arena_printf(arena, "frontends.default.bind=127.0.0.1:%u", demo->port);
	sets[1] = "frontends.default.headers.identify=true";
	sets[2] = "admin.without_token=operate";
	for (u32 i = 0; i < plan->set_count; i++)
		sets[3 + i] = plan->sets[i];
	flags.backends = arena_printf(arena, "127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u",
		demo->servers[0].port, demo->servers[1].port, demo->servers[2].port);
	return conf_from_flags(&flags, &input, arena, errs);
}

static void explain_line(const char *command, const char *prose)
{
	printf("  %-46s  %s\n", command, prose);
}

static void explain(const struct demo *demo)
{
	struct arena *arena = demo->cli->arena;
	const struct server *all = demo->servers;
	const char *url = arena_printf(arena, "http://127.0.0.1:%u", demo->port);

	printf("weir demo: servers on 127.0.0.1:%u, %u and %u; the balancer on %s/\n\n"
	       "In another terminal:\n",
		all[0].port, all[1].port, all[2].port, url);
	explain_line(arena_printf(arena, "curl %s/", url), "again and again: server_port changes;");
	explain_line("", "x-backend-server and x-forwarded-* are weir's");
	explain_line(arena_printf(arena, "curl '%s/?delay=500'", url),
		"a slow answer; also ?status=503 ?size=1000000");
	explain_line(
		arena_printf(arena, "curl -X POST '127.0.0.1:%u/-/fault?status=500'", all[0].port),
		"one server fails; also ?hang=1 ?delay=300");
	explain_line(arena_printf(arena, "curl -d hello %s/echo", url), "a body, sent back");
	explain_line(arena_printf(arena, "kill %d", (int)all[0].pid),
		"ends one server; the others go on");
	printf("\nCtrl-C ends all of it.\n\n");
	fflush(stdout);
}

static int balance(struct demo *demo)
{
	struct inherit inherit;
	struct handover handover;
	struct control_options options = {.mode = "demo", .handover = &handover};
	struct errs errs;
	struct conf *conf;

	inherit_init(&inherit);
	errs_init(&errs);
	conf = configure(demo, &errs);
	load_print(demo->cli, &errs);
	errs_done(&errs);
	if (!conf)
		return EXIT_CONFIG;
	explain(demo);
	handover_init(&handover, &inherit, 0);
	return admin_run(conf, demo->cli->arena, &options);
}

int demo_main(const struct cli *cli)
{
	struct demo demo = {.cli = cli};
	int code = take_port(&demo), error;

	if (code)
		return code;
	error = start_servers(&demo);
	if (error) {
		fprintf(stderr, "weir: the demo's servers cannot start: %s\n", strerror(-error));
		code = EXIT_FAILED;
	} else {
		code = balance(&demo);
	}
	end_servers(&demo);
	return code;
}
