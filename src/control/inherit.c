// SPDX-License-Identifier: Apache-2.0
#include "control/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/stored.h"
#include "base/str.h"
#include "control/notify.h"

enum { first_listen_fd = 3, text_bytes_max = INHERIT_SOCKETS_MAX * (INHERIT_NAME_MAX + 32) };

static const char *const role_words[] = {
#define X(name, word) [INHERIT_##name] = word,
	INHERIT_ROLES(X)
#undef X
};

static const char *const left_words[] = {
#define X(name, word, letter) [INHERIT_##name] = word,
	INHERIT_LEFT(X)
#undef X
};

const char *inherit_left_word(enum inherit_left left)
{
	return left_words[left];
}

const char *inherit_role_word(enum inherit_role role)
{
	return role_words[role];
}

void inherit_name(char name[static INHERIT_NAME_MAX], enum inherit_role role, u32 index,
	const struct addr *address)
{
	char text[ADDR_TEXT_MAX];

	addr_format(address, text);
	snprintf(name, INHERIT_NAME_MAX, "%s %u %s", role_words[role], index, text);
}

// ---- From the keeper ----------------------------------------------------------------------------

static bool take_number(struct str *line, u64 max, u64 *ret_number)
{
	return str_to_u64(str_cut(line, ' '), max, ret_number) == 0;
}

static int keep_private(u64 fd)
{
	return fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : -errno;
}

static bool is_shared(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, &len) == 0 && value != 0;
}

static struct inherit_socket *add(struct inherit *inherit, int fd)
{
	struct inherit_socket *socket;

	if (inherit->count == INHERIT_SOCKETS_MAX)
		return NULL;
	socket = &inherit->sockets[inherit->count++];
	*socket =
		(struct inherit_socket){.fd = fd, .role = INHERIT_ANY, .is_shared = is_shared(fd)};
	return socket;
}

// "FD ROLE INDEX ADDRESS"
static int read_listener(struct inherit *inherit, struct str line)
{
	struct inherit_socket *socket;
	struct str word;
	u64 fd, index;
	int error;

	if (!take_number(&line, INT32_MAX, &fd))
		return -EINVAL;
	word = str_cut(&line, ' ');
	if (!take_number(&line, UINT32_MAX, &index) || line.len >= ADDR_TEXT_MAX)
		return -EINVAL;
	error = keep_private(fd);
	if (error)
		return error;
	socket = add(inherit, (int)fd);
	if (!socket)
		return -E2BIG;
	for (u32 i = 0; i < ARRAY_LEN(role_words); i++)
		if (str_eq(word, str_from(role_words[i])))
			socket->role = (u8)i;
	socket->index = (u32)index;
	memcpy(socket->address, line.ptr, line.len);
	return 0;
}

static int read_fd(struct str line, int *ret_fd)
{
	u64 fd;
	int error;

	if (!take_number(&line, INT32_MAX, &fd))
		return -EINVAL;
	error = keep_private(fd);
	if (!error)
		*ret_fd = (int)fd;
	return error;
}

static int read_restarts(struct inherit *inherit, struct str line)
{
	u64 number;

	if (!take_number(&line, UINT32_MAX, &number))
		return -EINVAL;
	inherit->restarts = (u32)number;
	line.len = MIN(line.len, (size_t)INHERIT_WHY_MAX - 1);
	memcpy(inherit->why, line.ptr, line.len);
	return 0;
}

static int read_upgraded(struct inherit *inherit, struct str line)
{
	u64 upgraded, failed;

	if (!take_number(&line, UINT32_MAX, &upgraded) || !take_number(&line, UINT32_MAX, &failed))
		return -EINVAL;
	inherit->upgraded = (u32)upgraded;
	inherit->upgrades_failed = (u32)failed;
	return 0;
}

static int read_line(struct inherit *inherit, struct str line)
{
	struct str word = str_cut(&line, ' ');

	if (str_eq(word, STR("listener")))
		return read_listener(inherit, line);
	if (str_eq(word, STR("channel")))
		return read_fd(line, &inherit->channel);
	if (str_eq(word, STR("restarts")))
		return read_restarts(inherit, line);
	if (str_eq(word, STR("upgraded")))
		return read_upgraded(inherit, line);
	if (str_eq(word, STR("upgrades")))
		inherit->upgrades = true;
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		if (str_eq(word, str_from(left_words[i])))
			return read_fd(line, &inherit->left[i]);
	return 0;
}

static int read_keeper(struct inherit *inherit, const char *variable)
{
	struct text text = {0};
	struct str rest;
	u64 fd;
	int error = str_to_u64(str_from(variable), INT32_MAX, &fd) == 0 ? 0 : -EINVAL;

	if (error)
		return error;
	error = stored_read_fd((int)fd, text_bytes_max, &text);
	if (error) {
		text_done(&text);
		return error;
	}
	rest = text_str(&text);
	while (rest.len && !error)
		error = read_line(inherit, str_cut(&rest, '\n'));
	text_done(&text);
	close((int)fd);
	return error;
}

// ---- From a service manager ---------------------------------------------------------------------

static bool listens(int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value != 0;
}

// What its own address says, as the configuration would write it. A socket for both families
// stands for the wildcard of the older one, which is what ":8080" means.
static int name_address(struct inherit_socket *socket)
{
	struct sockaddr_storage sockaddr = {0};
	socklen_t len = sizeof(sockaddr), int_len = sizeof(int);
	struct addr address;
	int only_v6 = 1;

	if (getsockname(socket->fd, (struct sockaddr *)&sockaddr, &len) != 0)
		return -errno;
	if (sockaddr.ss_family == AF_UNIX) {
		const char *path = (const char *)&sockaddr + sizeof(sa_family_t);

		snprintf(socket->address, sizeof(socket->address), "unix:%s%.107s",
			path[0] ? "" : "@", path[0] ? path : path + 1);
		return 0;
	}
	addr_from_sockaddr(&sockaddr, &address);
	if (address.family == ADDR_V6 &&
		memcmp(address.ip, &in6addr_any, sizeof(address.ip)) == 0 &&
		getsockopt(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &int_len) == 0 &&
		!only_v6)
		address = (struct addr){.family = ADDR_V4, .port = address.port};
	addr_format(&address, socket->address);
	return 0;
}

static int take_unit_socket(struct inherit *inherit, int fd, struct str name)
{
	struct inherit_socket *socket;
	int error = keep_private((u64)fd);

	if (error)
		return error;
	if (!listens(fd))
		return -ENOTSOCK;
	socket = add(inherit, fd);
	if (!socket)
		return -E2BIG;
	// What an earlier weir had stored may have lost its place in the configuration since.
	socket->from_unit = !str_starts(name, STR(NOTIFY_NAME_BEGIN));
	return name_address(socket);
}

static int read_manager(struct inherit *inherit, const char *count_text, const char *names_text)
{
	struct str names = str_from(names_text ? names_text : "");
	u64 count;

	if (str_to_u64(str_from(count_text), INHERIT_SOCKETS_MAX, &count) != 0)
		return -EINVAL;
	for (u32 i = 0; i < count; i++) {
		int error =
			take_unit_socket(inherit, (int)(first_listen_fd + i), str_cut(&names, ':'));

		if (error)
			return error;
	}
	return 0;
}

static bool is_for_us(const char *pid_text)
{
	u64 pid;

	return pid_text && str_to_u64(str_from(pid_text), INT32_MAX, &pid) == 0 &&
	       pid == (u64)getpid();
}

// Those with the same address come one for each worker: their order is their index.
static void number(struct inherit *inherit)
{
	for (u32 i = 0; i < inherit->count; i++)
		for (u32 j = 0; j < i; j++)
			if (inherit->sockets[i].role == INHERIT_ANY &&
				inherit->sockets[j].role == INHERIT_ANY &&
				strcmp(inherit->sockets[i].address, inherit->sockets[j].address) ==
					0)
				inherit->sockets[i].index++;
}

// ---- Both ---------------------------------------------------------------------------------------

void inherit_init(struct inherit *inherit)
{
	*inherit = (struct inherit){.channel = -1};
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++)
		inherit->left[i] = -1;
}

int inherit_read(struct inherit *ret_inherit)
{
	const char *keeper = getenv(INHERIT_VARIABLE), *count = getenv("LISTEN_FDS");
	int error = 0;

	inherit_init(ret_inherit);
	if (!keeper && !count)
		return 0;
	ret_inherit->sockets = mem_alloc(sizeof(struct inherit_socket) * INHERIT_SOCKETS_MAX);
	if (keeper)
		error = read_keeper(ret_inherit, keeper);
	else if (is_for_us(getenv("LISTEN_PID")))
		error = read_manager(ret_inherit, count, getenv("LISTEN_FDNAMES"));
	number(ret_inherit);
	(void)unsetenv(INHERIT_VARIABLE);
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDNAMES");
	return error;
}

static bool is_for(const struct inherit_socket *socket, enum inherit_role role, const char *address)
{
	return socket->fd >= 0 && (socket->role == role || socket->role == INHERIT_ANY) &&
	       strcmp(socket->address, address) == 0;
}

int inherit_take(
	struct inherit *inherit, enum inherit_role role, u32 index, const struct addr *address)
{
	char text[ADDR_TEXT_MAX];

	addr_format(address, text);
	for (u32 i = 0; i < inherit->count; i++) {
		struct inherit_socket *socket = &inherit->sockets[i];
		int fd = socket->fd;

		if (!is_for(socket, role, text) || socket->index != index)
			continue;
		socket->fd = -1;
		return fd;
	}
	return -ENOENT;
}

bool inherit_has(const struct inherit *inherit, enum inherit_role role, const struct addr *address)
{
	char text[ADDR_TEXT_MAX];

	addr_format(address, text);
	for (u32 i = 0; i < inherit->count; i++)
		if (is_for(&inherit->sockets[i], role, text))
			return true;
	return false;
}

const struct inherit_socket *inherit_stray(const struct inherit *inherit)
{
	for (u32 i = 0; i < inherit->count; i++)
		if (inherit->sockets[i].fd >= 0 && inherit->sockets[i].from_unit)
			return &inherit->sockets[i];
	return NULL;
}

void inherit_done(struct inherit *inherit)
{
	for (u32 i = 0; i < inherit->count; i++)
		if (inherit->sockets[i].fd >= 0)
			close(inherit->sockets[i].fd);
	for (u32 i = 0; i < INHERIT_LEFT_COUNT; i++) {
		if (inherit->left[i] >= 0)
			close(inherit->left[i]);
		inherit->left[i] = -1;
	}
	mem_free(inherit->sockets);
	inherit->sockets = NULL;
	inherit->count = 0;
}
