// SPDX-License-Identifier: Apache-2.0
#include "control/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/mem.h"

enum { name_bytes_max = 256 };

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
	atomic_uint users; // the owner and the thread
	struct loop *loop;
	void *owner;
	resolver_answer_fn *told;
	struct answer *answers;
	u32 count, delivered;
};

static void deliver(struct message *message)
{
	struct answer *answer = container_of(message, struct answer, message);
	struct resolver *resolver = answer->resolver;

	resolver->delivered++;
	resolver->told(resolver->owner, answer->backend, &answer->addr,
		answer->error ? gai_strerror(answer->error) : NULL);
}

static void look_up(struct answer *answer)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	struct sockaddr_storage sockaddr = {0};

	answer->error = getaddrinfo(answer->name, NULL, &hints, &found);
	if (answer->error)
		return;
	memcpy(&sockaddr, found->ai_addr, MIN((size_t)found->ai_addrlen, sizeof(sockaddr)));
	freeaddrinfo(found);
	addr_from_sockaddr(&sockaddr, &answer->addr);
	answer->addr.port = answer->port;
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
	if (!stopped)
		loop_post(resolver->loop, &answer->message);
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

static u32 count_names(const struct snapshot *snapshot)
{
	u32 names = 0;

	for (u32 p = 0; p < snapshot->pool_count; p++)
		for (u32 b = 0; b < snapshot->pools[p].backend_count; b++)
			names += snapshot->pools[p].backends[b].name.len > 0;
	return names;
}

static void add(struct resolver *resolver, struct backend *backend)
{
	struct answer *answer = &resolver->answers[resolver->count++];

	*answer = (struct answer){.message = {.deliver = deliver},
		.resolver = resolver,
		.backend = backend,
		.port = backend->addr.port};
	ASSERT(backend->name.len < name_bytes_max);
	memcpy(answer->name, backend->name.ptr, backend->name.len);
}

static void collect(struct resolver *resolver, const struct snapshot *snapshot)
{
	for (u32 p = 0; p < snapshot->pool_count; p++)
		for (u32 b = 0; b < snapshot->pools[p].backend_count; b++)
			if (snapshot->pools[p].backends[b].name.len)
				add(resolver, &snapshot->pools[p].backends[b]);
}

struct resolver *resolver_start(const struct snapshot *snapshot, struct loop *loop, void *owner,
	resolver_answer_fn *answer, int *ret_error)
{
	u32 names = count_names(snapshot);
	struct resolver *resolver;
	sigset_t all, before;
	pthread_t thread;

	if (names == 0)
		return NULL;
	resolver = mem_alloc(sizeof(*resolver));
	*resolver = (struct resolver){.lock = PTHREAD_MUTEX_INITIALIZER,
		.users = 2,
		.loop = loop,
		.owner = owner,
		.told = answer,
		.answers = mem_alloc(sizeof(struct answer) * names)};
	collect(resolver, snapshot);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	*ret_error = -pthread_create(&thread, NULL, thread_main, resolver);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (*ret_error) {
		drop(resolver);
		drop(resolver);
		return NULL;
	}
	pthread_detach(thread);
	return resolver;
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
