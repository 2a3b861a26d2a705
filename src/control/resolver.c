// SPDX-License-Identifier: Apache-2.0
#include "control/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>

#include "base/mem.h"

struct answer {
	struct message message;
	struct resolver *resolver;
	struct backend *backend;
	struct addr addr;
	int error; // of getaddrinfo
};

struct resolver {
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
	u16 port = answer->backend->addr.port;

	answer->error = getaddrinfo(answer->backend->name.ptr, NULL, &hints, &found);
	if (answer->error)
		return;
	memcpy(&sockaddr, found->ai_addr, MIN((size_t)found->ai_addrlen, sizeof(sockaddr)));
	freeaddrinfo(found);
	addr_from_sockaddr(&sockaddr, &answer->addr);
	answer->addr.port = port;
}

static void *thread_main(void *arg)
{
	struct resolver *resolver = arg;

	for (u32 i = 0; i < resolver->count; i++) {
		look_up(&resolver->answers[i]);
		loop_post(resolver->loop, &resolver->answers[i].message);
	}
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

static void collect(struct resolver *resolver, const struct snapshot *snapshot)
{
	for (u32 p = 0; p < snapshot->pool_count; p++)
		for (u32 b = 0; b < snapshot->pools[p].backend_count; b++) {
			struct backend *backend = &snapshot->pools[p].backends[b];

			if (backend->name.len)
				resolver->answers[resolver->count++] =
					(struct answer){.message = {.deliver = deliver},
						.resolver = resolver,
						.backend = backend};
		}
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
	*resolver = (struct resolver){.loop = loop,
		.owner = owner,
		.told = answer,
		.answers = mem_alloc(sizeof(struct answer) * names)};
	collect(resolver, snapshot);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	*ret_error = -pthread_create(&thread, NULL, thread_main, resolver);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (*ret_error) {
		mem_free(resolver->answers);
		mem_free(resolver);
		return NULL;
	}
	pthread_detach(thread);
	return resolver;
}

bool resolver_is_done(const struct resolver *resolver)
{
	return resolver->delivered == resolver->count;
}
