// SPDX-License-Identifier: Apache-2.0

#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#define LISTEN_BACKLOG 8192

_Noreturn void bench_die(const char *format, ...)
{
	int error = errno;
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	if (error)
		fprintf(stderr, ": %s", strerror(error));
	fputc('\n', stderr);
	exit(1);
}

uint64_t bench_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	char *end;

	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < min || value > max) {
		errno = 0;
		bench_die("%s takes a whole number from %llu to %llu, not '%s'", option,
			(unsigned long long)min, (unsigned long long)max, text);
	}
	return value;
}

struct sockaddr_in bench_address(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char host[INET_ADDRSTRLEN];
	const char *colon = strchr(text, ':');

	errno = 0;
	if (!colon || (size_t)(colon - text) >= sizeof(host))
		bench_die("'%s' is not of the form 127.0.0.1:PORT", text);
	memcpy(host, text, (size_t)(colon - text));
	host[colon - text] = '\0';
	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		bench_die("'%s' is not an IPv4 address", host);
	address.sin_port = htons((uint16_t)bench_number("the port", colon + 1, 1, 65535));
	return address;
}

static void set_nodelay(int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		bench_die("TCP_NODELAY");
}

int bench_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		bench_die("socket");
	set_nodelay(fd);
	return fd;
}

int bench_listen(const struct sockaddr_in *at)
{
	int fd = bench_socket();
	int on = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)))
		bench_die("SO_REUSEADDR");
	if (at->sin_addr.s_addr == INADDR_ANY &&
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof("lo")))
		bench_die("binding to the loopback device");
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)))
		bench_die("bind to port %d", ntohs(at->sin_port));
	if (listen(fd, LISTEN_BACKLOG))
		bench_die("listen");
	return fd;
}

bool bench_connect(int fd, const struct sockaddr_in *to)
{
	if (!connect(fd, (const struct sockaddr *)to, sizeof(*to)))
		return true;
	if (errno != EINPROGRESS)
		bench_die("connect to port %d", ntohs(to->sin_port));
	return false;
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_prepare(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		bench_die("getrlimit");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		bench_die("setrlimit");
	signal(SIGPIPE, SIG_IGN);
}

void *bench_alloc(size_t size)
{
	void *memory = malloc(size);

	if (!memory)
		bench_die("malloc of %zu bytes", size);
	return memory;
}
