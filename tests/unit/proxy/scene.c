// SPDX-License-Identifier: Apache-2.0
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/h1_parse.h"
#include "proxy/request.h"

static const struct conf_hash_part by_address = {.kind = CONF_HASH_CLIENT_IP};

int scene_set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	static struct addr_prefix believed;

	assert_non_null(scene);
	assert_int_equal(addr_prefix_parse(STR(SCENE_PROXY), &believed), 0);
	arena_init(&scene->arena, 1 << 26);
	rng_init(&scene->proxy.rng, 1);
	scene->conf_frontend.client_ip.trusted_proxies = &believed;
	scene->conf_frontend.client_ip.trusted_proxy_count = 1;
	scene->frontend.conf = &scene->conf_frontend;
	scene->client.proxy = &scene->proxy;
	scene->gate.frontend = &scene->frontend;
	scene->client.gate = &scene->gate;
	scene->hold.snapshot = scene->proxy.snapshot = &scene->snapshot;
	scene->proxy.hold = &scene->hold;
	scene->conf_pool.hash = (struct conf_hash){
		.parts = &by_address, .part_count = 1, .ipv4_bits = 32, .ipv6_bits = 64};
	scene->pool.name = STR("app");
	scene->pool.conf = &scene->conf_pool;
	scene->pool.kind = BALANCE_CONSISTENT_HASH;
	scene->pool.hash_secret = key_hash_secret(STR_EMPTY);
	scene->pool.backends = scene->backends;
	scene->pool.backend_count = 1;
	scene->backends[0] = (struct backend){.id = STR("a"), .pool = &scene->pool};
	for (u32 i = 0; i < SCENE_BACKENDS_MAX; i++)
		scene->backends[i].cell = i;
	arena_init(&scene->x.arena, 1 << 16);
	scene->x.proxy = &scene->proxy;
	scene->x.client = &scene->client;
	scene->x.frontend = &scene->frontend;
	scene->x.hold = &scene->hold;
	scene->x.pool = &scene->pool;
	scene->x.backend = &scene->backends[0];
	scene_peer(scene, "192.0.2.1");
	scene_request(scene, "/", "");
	*state = scene;
	return 0;
}

int scene_tear_down(void **state)
{
	struct scene *scene = *state;

	arena_done(&scene->x.arena);
	arena_done(&scene->arena);
	free(scene);
	return 0;
}

void scene_peer(struct scene *scene, const char *ip)
{
	struct addr peer = {.family = ADDR_UNIX, .path = ""};
	char text[ADDR_TEXT_MAX];

	if (ip[0])
		assert_int_equal(addr_parse_ip(str_from(ip), &peer), 0);
	scene->client.ip_len = (u8)addr_format_ip(&peer, text);
	memcpy(scene->client.ip, text, scene->client.ip_len);
	scene->client.trusted = request_is_trusted(&scene->conf_frontend, &peer);
}

void scene_request(struct scene *scene, const char *target, const char *lines)
{
	static const struct h1_limits limits = {
		.head_bytes_max = HTTP_HEAD_BYTES_MAX, .target_bytes_max = 8192};
	enum http_refusal why;
	int len = snprintf(scene->text, sizeof(scene->text), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n",
		target, lines);

	assert_in_range(len, 1, sizeof(scene->text) - 1);
	assert_int_equal(h1_parse_request(scene->text, (size_t)len, &limits, scene->fields,
				 &scene->head, &why),
		len);
	assert_int_equal(
		http_path_normalize(scene->head.path, scene->path, &scene->x.path), HTTP_REFUSE_OK);
	scene->x.request = &scene->head;
}
