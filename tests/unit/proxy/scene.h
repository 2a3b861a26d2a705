// SPDX-License-Identifier: Apache-2.0
// A request in the hands of an exchange, as far as those need one who only look at it: a client, a
// frontend that believes one proxy, a pool. Nothing of it runs.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/exchange.h"

enum { SCENE_BACKENDS_MAX = 1000 };

struct scene {
	struct arena arena; // for what lives as long as a pool
	struct proxy proxy;
	struct conf_frontend conf_frontend;
	struct frontend frontend;
	struct gate gate;
	struct hold hold;
	struct snapshot snapshot;
	struct client client;
	struct conf_pool conf_pool;
	struct pool pool;
	struct backend backends[SCENE_BACKENDS_MAX];
	struct exchange x;
	struct http_head head;
	struct http_field fields[HTTP_FIELDS_MAX];
	char text[1024], path[1024];
};

// The peer is 192.0.2.1, which is not believed (SCENE_PROXY is). The pool `app` hashes by the
// client's address and has one backend, `a`.
#define SCENE_PROXY "192.0.2.99"
int scene_set_up(void **state);
int scene_tear_down(void **state);

// From now on the peer has this address; "": it came over a unix socket.
void scene_peer(struct scene *scene, const char *ip);

// From now on the request is GET `target` with these field lines ("Name: value\r\n" ...).
void scene_request(struct scene *scene, const char *target, const char *lines);
