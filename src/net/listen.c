// SPDX-License-Identifier: Apache-2.0
#include "net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

enum { backlog = 4096 }; // the kernel cuts it to net.core.somaxconn

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int prepare(int fd, const struct addr *address, bool reuseport)
{
	int error = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (!error && reuseport)
		error = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (!error && address->family == ADDR_V6)
		error = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!error)
		error = set(fd, IPPROTO_TCP, TCP_NODELAY, 1); // accepted sockets inherit it
	return error;
}

// A socket file left behind by a process that died: nobody answers a connect.
static bool is_stale(const struct sockaddr_storage *sockaddr, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)sockaddr, len) != 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int bind_to(int fd, const struct addr *address)
{
	struct sockaddr_storage sockaddr;
	socklen_t len = addr_to_sockaddr(address, &sockaddr);

	if (bind(fd, (struct sockaddr *)&sockaddr, len) == 0)
		return 0;
	if (errno != EADDRINUSE || address->family != ADDR_UNIX || address->path[0] == '@' ||
		!is_stale(&sockaddr, len))
		return -errno;
	listen_unlink(address);
	return bind(fd, (struct sockaddr *)&sockaddr, len) == 0 ? 0 : -errno;
}

int listen_open(const struct addr *address, bool reuseport)
{
	int family = address->family == ADDR_V4	  ? AF_INET
		     : address->family == ADDR_V6 ? AF_INET6
						  : AF_UNIX;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (family != AF_UNIX)
		error = prepare(fd, address, reuseport);
	if (!error)
		error = bind_to(fd, address);
	if (!error && listen(fd, backlog) != 0)
		error = -errno;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

void listen_unlink(const struct addr *address)
{
	if (address->family == ADDR_UNIX && address->path[0] != '@')
		(void)unlink(address->path);
}
