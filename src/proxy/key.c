// SPDX-License-Identifier: Apache-2.0
#include "proxy/key.h"

#include "decide/key_hash.h"
#include "proto/http_parts.h"
#include "proxy/request.h"

enum { ip_bytes_max = 16 };

static void keep_bits(u8 *bytes, size_t len, u32 bits)
{
	for (size_t i = 0; i < len; i++) {
		u32 before = (u32)i * 8;

		if (bits <= before)
			bytes[i] = 0;
		else if (bits < before + 8)
			bytes[i] &= (u8)(0xff00 >> (bits - before));
	}
}

// The leading bits that count, in 4 or 16 bytes. False: the client has no IP address.
static bool find_client(struct exchange *x, const struct conf_hash *conf, u8 ip[ip_bytes_max],
	struct str *ret_bytes)
{
	struct addr_prefix client;
	size_t len;

	// As a prefix, because that takes an IPv4 address in IPv6 clothes for what it is.
	if (addr_prefix_parse(request_client_ip(x), &client) != 0)
		return false;
	len = client.addr.family == ADDR_V4 ? 4 : ip_bytes_max;
	memcpy(ip, client.addr.ip, len);
	keep_bits(ip, len, client.addr.family == ADDR_V4 ? conf->ipv4_bits : conf->ipv6_bits);
	*ret_bytes = str_make((const char *)ip, len);
	return true;
}

static bool find_header(const struct http_head *head, struct str name, struct str *ret_value)
{
	const struct http_field *field = http_head_find_name(head, name);

	if (field)
		*ret_value = str_make(field->value, field->value_len);
	return field;
}

static bool find_part(struct exchange *x, const struct conf_hash_part *part, u8 ip[ip_bytes_max],
	struct str *ret_text)
{
	switch (part->kind) {
	case CONF_HASH_CLIENT_IP:
		return find_client(x, &x->pool->conf->hash, ip, ret_text);
	case CONF_HASH_PATH:
		*ret_text = x->path;
		return true;
	case CONF_HASH_HEADER:
		return find_header(x->request, part->name, ret_text);
	case CONF_HASH_COOKIE:
		return http_cookie(x->request, part->name, ret_text);
	case CONF_HASH_QUERY:
		return http_query(x->request->path, part->name, ret_text);
	}
	return false;
}

u64 key_of_request(struct exchange *x)
{
	static const struct conf_hash_part address = {CONF_HASH_CLIENT_IP, {"", 0}};
	const struct key_hash_secret *secret = &x->pool->hash_secret;
	bool by_address = x->pool->kind == BALANCE_IP_HASH || !x->request;
	const struct conf_hash_part *parts = by_address ? &address : x->pool->conf->hash.parts;
	u32 count = by_address ? 1 : x->pool->conf->hash.part_count;
	bool any = false;
	u64 key = 0;

	for (u32 i = 0; i < count; i++) {
		u8 ip[ip_bytes_max];
		struct str text;
		bool found = find_part(x, &parts[i], ip, &text);

		key = found ? key_hash_join(secret, key, text.ptr, text.len)
			    : key_hash_join(secret, ~key, "", 0);
		any |= found;
	}
	return any ? key : rng_u64(&x->proxy->rng);
}
