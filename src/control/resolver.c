// SPDX-License-Identifier: Apache-2.0
#include "control/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/thread.h"

enum {
	name_bytes_max = 256,
	tries_max = 8,
	try_ms = 250, // for one address of several
};

struct answer {
	struct message message;
	struct resolver *resolver;
	struct backend *backend;
	char name[name_bytes_max]; // a copy: the snapshot may be gone while the thread still asks
	u16 port;
	struct addr addr;
	int error; // of getaddrinfo
};

struct resolver {
	pthread_mutex_t lock; // over `stopped`, and over every post
	bool stopped;
	atomic_uint users; // the owner, the thread, and each message on its way
	struct loop *loop;
	void *owner;
	resolver_answer_fn *told;
	struct answer *answers;
	u32 count, delivered;
};

static void drop(struct resolver *resolver);

static void deliver(struct message *message)
{
	struct answer *answer = container_of(message, struct answer, message);
	struct resolver *resolver = answer->resolver;

	resolver->delivered++;
	if (!resolver->stopped)
		resolver->told(resolver->owner, answer->backend, &answer->addr,
			answer->error ? gai_strerror(answer->error) : NULL);
	drop(resolver);
}

static struct addr address_of(const struct addrinfo *info, u16 port)
{
	struct sockaddr_storage sockaddr = {0};
	struct addr addr;

	memcpy(&sockaddr, info->ai_addr, MIN((size_t)info->ai_addrlen, sizeof(sockaddr)));
	addr_from_sockaddr(&sockaddr, &addr);
	addr.port = port;
	return addr;
}

static bool accepts(const struct addr *addr)
{
	struct sockaddr_storage to;
	socklen_t len = addr_to_sockaddr(addr, &to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd connected = {.fd = fd, .events = POLLOUT};
	socklen_t error_len = sizeof(int);
	int error = 0;

	if (fd < 0)
		return false;
	if (connect(fd, (const struct sockaddr *)&to, len) != 0)
		error = errno;
	if (error == EINPROGRESS && poll(&connected, 1, try_ms) == 1 &&
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0)
		error = errno;
	close(fd);
	return error == 0;
}

// "localhost" often has an address of either family, and a server that listens on one of them: the
// first that accepts a connection is taken. When none does, an IPv4 address is the better guess.
static struct addr choose(const struct addrinfo *found, u16 port)
{
	struct addr first = address_of(found, port), addr;
	u32 tries = 0;

	if (!found->ai_next)
		return first;
	for (const struct addrinfo *one = found; one && tries < tries_max; one = one->ai_next) {
		addr = address_of(one, port);
		tries++;
		if (accepts(&addr))
			return addr;
		if (addr.family == ADDR_V4 && first.family != ADDR_V4)
			first = addr;
	}
	return first;
}

static void look_up(struct answer *answer)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;

	answer->error = getaddrinfo(answer->name, NULL, &hints, &found);
	if (answer->error)
		return;
	answer->addr = choose(found, answer->port);
	freeaddrinfo(found);
}

// The last user frees.
static void drop(struct resolver *resolver)
{
	if (atomic_fetch_sub(&resolver->users, 1) > 1)
		return;
	pthread_mutex_destroy(&resolver->lock);
	mem_free(resolver->answers);
	mem_free(resolver);
}

static bool post(struct resolver *resolver, struct answer *answer)
{
	bool stopped;

	pthread_mutex_lock(&resolver->lock);
	stopped = resolver->stopped;
	if (!stopped) {
		atomic_fetch_add(&resolver->users, 1);
		loop_post(resolver->loop, &answer->message);
	}
	pthread_mutex_unlock(&resolver->lock);
	return !stopped;
}

static void *thread_main(void *arg)
{
	struct resolver *resolver = arg;

	for (u32 i = 0; i < resolver->count; i++) {
		look_up(&resolver->answers[i]);
		if (!post(resolver, &resolver->answers[i]))
			break;
	}
	drop(resolver);
	return NULL;
}

static bool wants_address(const struct backend *backend)
{
	return backend && backend->name.len && backend->addr.family == ADDR_NONE;
}

static u32 count_names(const struct snapshot *snapshot)
{
	u32 names = 0;

	for (u32 i = 0; i < snapshot->backend_count; i++)
		names += wants_address(snapshot->backends[i]);
	return names;
}

static void add(struct resolver *resolver, struct str name, u16 port, struct backend *backend)
{
	struct answer *answer = &resolver->answers[resolver->count++];

	*answer = (struct answer){.message = {.deliver = deliver},
		.resolver = resolver,
		.backend = backend,
		.port = port};
	ASSERT(name.len < name_bytes_max);
	memcpy(answer->name, name.ptr, name.len);
}

static void collect(struct resolver *resolver, const struct snapshot *snapshot)
{
	for (u32 i = 0; i < snapshot->backend_count; i++) {
		struct backend *backend = snapshot->backends[i];

		if (wants_address(backend))
			add(resolver, backend->name, backend->addr.port, backend);
	}
}

static struct resolver *new_resolver(
	struct loop *loop, void *owner, resolver_answer_fn *answer, u32 room)
{
	struct resolver *resolver = mem_alloc(sizeof(*resolver));

	*resolver = (struct resolver){.lock = PTHREAD_MUTEX_INITIALIZER,
		.users = 2,
		.loop = loop,
		.owner = owner,
		.told = answer,
		.answers = mem_alloc(sizeof(struct answer) * room)};
	return resolver;
}

// Its thread. NULL, and nothing is left, when there is none to be had.
static struct resolver *begin(struct resolver *resolver, int *ret_error)
{
	pthread_t thread;

	*ret_error = thread_start(&thread, thread_main, resolver);
	if (*ret_error) {
		drop(resolver);
		drop(resolver);
		return NULL;
	}
	pthread_detach(thread);
	return resolver;
}

struct resolver *resolver_start(const struct snapshot *snapshot, struct loop *loop, void *owner,
	resolver_answer_fn *answer, int *ret_error)
{
	u32 names = count_names(snapshot);
	struct resolver *resolver;

	if (names == 0)
		return NULL;
	resolver = new_resolver(loop, owner, answer, names);
	collect(resolver, snapshot);
	return begin(resolver, ret_error);
}

struct resolver *resolver_start_name(struct str name, u16 port, struct loop *loop, void *owner,
	resolver_answer_fn *answer, int *ret_error)
{
	struct resolver *resolver = new_resolver(loop, owner, answer, 1);

	add(resolver, name, port, NULL);
	return begin(resolver, ret_error);
}

bool resolver_is_done(const struct resolver *resolver)
{
	return resolver->delivered == resolver->count;
}

void resolver_stop(struct resolver *resolver)
{
	if (!resolver)
		return;
	pthread_mutex_lock(&resolver->lock);
	resolver->stopped = true;
	pthread_mutex_unlock(&resolver->lock);
	drop(resolver);
}
