// SPDX-License-Identifier: Apache-2.0
#include "proxy/introduce.h"

#include "base/hex.h"
#include "proto/proxy_header.h"
#include "proxy/request.h"

enum { id_len = 32, host_bytes_max = 255 };

// Where the client connected to, as it said through a PROXY header, or as the socket knows.
static struct addr target_of(struct client *client)
{
	struct addr target = {.family = ADDR_NONE};

	if (client->has_origin && front_origin(client)->is_told)
		return front_origin(client)->target;
	if (client->conn.sock.fd >= 0)
		sock_local(client->conn.loop, &client->conn.sock, &target);
	return target;
}

// One that the log has, too; a connection without requests gets one of its own.
static struct str identify(struct exchange *x)
{
	if (x->request)
		return request_id(x);
	if (x->request_id[0] == '\0')
		hex_put_16(x->request_id, rng_u64(&x->proxy->rng), rng_u64(&x->proxy->rng));
	return str_make(x->request_id, id_len);
}

static struct str authority_of(const struct exchange *x, char buffer[static host_bytes_max])
{
	if (!x->request)
		return x->server_name;
	if (x->request->authority.len > host_bytes_max)
		return STR_EMPTY;
	return http_host_of(x->request->authority, buffer);
}

static void describe(struct exchange *x, u32 tlvs, struct proxy_header *header,
	char buffer[static host_bytes_max])
{
	if (tlvs & CONF_PROXY_TLV_AUTHORITY)
		header->authority = authority_of(x, buffer);
	if ((tlvs & CONF_PROXY_TLV_ALPN) && x->request)
		header->alpn = STR("http/1.1");
	if (tlvs & CONF_PROXY_TLV_UNIQUE_ID)
		header->unique_id = identify(x);
	// Nobody's certificate was verified, since no client came over TLS that ends here.
	if (tlvs & CONF_PROXY_TLV_SSL)
		header->tls = (struct proxy_header_tls){.is_set = true, .verify = 1};
	header->has_checksum = tlvs & CONF_PROXY_TLV_CRC32C;
}

bool introduce_client(
	struct exchange *x, const struct pool *pool, const struct lease_intro **ret_intro)
{
	enum conf_send_proxy version = pool->conf->send_proxy.version;
	struct proxy_header header = {.version = (u8)version};
	char buffer[PROXY_HEADER_WRITTEN_MAX], host[host_bytes_max];
	struct lease_intro *intro;
	char *bytes;
	size_t len;

	*ret_intro = NULL;
	if (version == CONF_SEND_PROXY_NONE)
		return true;
	front_client(x->client, &header.source);
	header.target = target_of(x->client);
	if (version == CONF_SEND_PROXY_V2)
		describe(x, pool->conf->send_proxy.tlvs, &header, host);
	len = proxy_header_write(&header, buffer);
	intro = arena_alloc(&x->arena, sizeof(*intro));
	bytes = arena_alloc(&x->arena, len);
	if (!intro || !bytes)
		return false;
	memcpy(bytes, buffer, len);
	*intro = (struct lease_intro){.bytes = str_make(bytes, len),
		.owner = x->client->has_origin ? &front_origin(x->client)->links : NULL};
	*ret_intro = intro;
	return true;
}

const struct lease_intro *introduce_nobody(const struct pool *pool)
{
	static const struct lease_intro intros[] = {
		[CONF_SEND_PROXY_V1] = {.bytes = {PROXY_HEADER_V1_NOBODY,
						sizeof(PROXY_HEADER_V1_NOBODY) - 1}},
		[CONF_SEND_PROXY_V2] = {.bytes = {PROXY_HEADER_V2_NOBODY,
						sizeof(PROXY_HEADER_V2_NOBODY) - 1}},
	};
	enum conf_send_proxy version = pool->conf->send_proxy.version;

	return version == CONF_SEND_PROXY_NONE ? NULL : &intros[version];
}
