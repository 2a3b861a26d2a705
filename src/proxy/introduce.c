// SPDX-License-Identifier: Apache-2.0
#include "proxy/introduce.h"

#include "base/hex.h"
#include "net/tls.h"
#include "proto/proxy_header.h"
#include "proxy/client_cert.h"
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

// What TLS agreed on with the client; without it, what the request came by. Of bytes without
// requests nobody knows.
static struct str alpn_of(const struct exchange *x)
{
	const struct tls *tls = conn_tls(&x->client->conn);
	struct str agreed = tls ? tls_alpn(tls) : STR_EMPTY;

	if (agreed.len || !x->request)
		return agreed;
	return x->request->is_h2 ? STR("h2c") : STR("http/1.1");
}

struct room {
	char host[host_bytes_max], name[CLIENT_CERT_NAME_MAX];
};

static void describe_tls(
	const struct exchange *x, struct proxy_header_tls *described, struct room *room)
{
	const struct tls *tls = conn_tls(&x->client->conn);

	// Nobody's certificate was verified where no client came over TLS that ends here.
	*described = (struct proxy_header_tls){.is_set = true, .verify = 1};
	if (tls)
		client_cert_describe(tls, described, room->name);
}

static void describe(struct exchange *x, u32 tlvs, struct proxy_header *header, struct room *room)
{
	if (tlvs & CONF_PROXY_TLV_AUTHORITY)
		header->authority = authority_of(x, room->host);
	if (tlvs & CONF_PROXY_TLV_ALPN)
		header->alpn = alpn_of(x);
	if (tlvs & CONF_PROXY_TLV_UNIQUE_ID)
		header->unique_id = identify(x);
	if (tlvs & CONF_PROXY_TLV_SSL)
		describe_tls(x, &header->tls, room);
	header->has_checksum = tlvs & CONF_PROXY_TLV_CRC32C;
}

bool introduce_client(
	struct exchange *x, const struct pool *pool, const struct lease_intro **ret_intro)
{
	enum conf_send_proxy version = pool->conf->send_proxy.version;
	struct proxy_header header = {.version = (u8)version};
	char buffer[PROXY_HEADER_WRITTEN_MAX];
	struct room room;
	struct lease_intro *intro;
	char *bytes;
	size_t len;

	*ret_intro = NULL;
	if (version == CONF_SEND_PROXY_NONE)
		return true;
	front_client(x->client, &header.source);
	header.target = target_of(x->client);
	if (version == CONF_SEND_PROXY_V2)
		describe(x, pool->conf->send_proxy.tlvs, &header, &room);
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
