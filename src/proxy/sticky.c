// SPDX-License-Identifier: Apache-2.0
#include "proxy/sticky.h"

#include <inttypes.h>

#include "proto/http_parts.h"

enum { tag_len = 22 }; // 128 bits in digits of 6

struct sticky {
	struct str name;   // of the cookie
	const char *lines; // of all backends, one behind the other, and equally long
	u32 line_len, tag_at;
	const char *secure_lines; // the same for clients that come by TLS
	u32 secure_len;
	const u32 *slots; // index + 1 of a backend where its tag is looked for; 0: free
	u32 slot_mask;
};

// Two secrets from one, and two hashes from one text, by keys that nobody knows.
static struct key_hash_secret hash_twice(const struct key_hash_secret *secret, struct str text)
{
	u64 first = key_hash_str(secret, STR("first")),
	    second = key_hash_str(secret, STR("second"));

	return (struct key_hash_secret){{key_hash_join(secret, first, text.ptr, text.len),
		key_hash_join(secret, second, text.ptr, text.len)}};
}

static void write_tag(
	const struct key_hash_secret *secret, struct str id, char text[static tag_len])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct key_hash_secret tag = hash_twice(secret, id);
	u64 low = tag.words[0], high = tag.words[1];

	for (u32 i = 0; i < tag_len; i++) {
		text[i] = digits[low & 63];
		low = low >> 6 | high << 58;
		high >>= 6;
	}
}

static const char *tag_of(const struct sticky *sticky, u32 index)
{
	return sticky->lines + (size_t)index * sticky->line_len + sticky->tag_at;
}

// Where a text of tag_len bytes is looked for. Tags are as good as random, and clients cannot add
// any.
static u32 home_of(const struct sticky *sticky, const char *text)
{
	u64 word;

	memcpy(&word, text, sizeof(word));
	return (u32)((word * 0x9e3779b97f4a7c15ull) >> 32) & sticky->slot_mask;
}

// In the same time wherever the first difference is: who measures learns no byte of a tag.
static bool is_tag(const char *tag, const char *text)
{
	u8 differs = 0;

	for (u32 i = 0; i < tag_len; i++)
		differs |= (u8)(tag[i] ^ text[i]);
	return differs == 0;
}

static void build_slots(struct sticky *sticky, u32 backend_count, struct arena *arena)
{
	u32 count = 2, *slots;

	while (count < 2 * backend_count)
		count *= 2;
	slots = arena_zalloc(arena, sizeof(*slots) * count);
	sticky->slot_mask = count - 1;
	sticky->slots = slots;
	for (u32 i = 0; i < backend_count; i++) {
		u32 at = home_of(sticky, tag_of(sticky, i));

		while (slots[at])
			at = (at + 1) & sticky->slot_mask;
		slots[at] = i + 1;
	}
}

static struct str line_end(const struct conf_sticky *conf, bool is_secure, struct arena *arena)
{
	static const char *const same_site[] = {[CONF_SAME_SITE_LAX] = "Lax",
		[CONF_SAME_SITE_STRICT] = "Strict",
		[CONF_SAME_SITE_NONE] = "None"};
	const char *age =
		conf->ttl_ms ? arena_printf(arena, "; Max-Age=%" PRIu64, conf->ttl_ms / 1000) : "";

	return str_from(arena_printf(arena, "; Path=%.*s%s; HttpOnly; SameSite=%s%s\r\n",
		STR_FMT(conf->path), age, same_site[conf->same_site], is_secure ? "; Secure" : ""));
}

static const char *build_lines(const struct pool *pool, const struct key_hash_secret *secret,
	bool is_secure, struct arena *arena, u32 *ret_len)
{
	const struct conf_sticky *conf = &pool->conf->sticky;
	struct str start = str_from(arena_printf(arena, "Set-Cookie: %.*s=", STR_FMT(conf->name)));
	struct str end = line_end(conf, is_secure, arena);
	size_t len = start.len + tag_len + end.len;
	char *lines = arena_zalloc(arena, len * MAX(pool->backend_count, 1u)), *at = lines;

	for (u32 i = 0; i < pool->backend_count; i++, at += len) {
		memcpy(at, start.ptr, start.len);
		write_tag(secret, pool->backends[i].id, at + start.len);
		memcpy(at + start.len + tag_len, end.ptr, end.len);
	}
	*ret_len = (u32)len;
	return lines;
}

struct sticky *sticky_build(const struct pool *pool, struct arena *arena)
{
	const struct conf_sticky *conf = &pool->conf->sticky;
	struct key_hash_secret given = key_hash_secret(conf->secret);
	struct key_hash_secret secret = hash_twice(&given, pool->name);
	struct sticky *sticky;

	if (!conf->enabled)
		return NULL;
	sticky = arena_zalloc(arena, sizeof(*sticky));
	sticky->name = conf->name;
	sticky->tag_at = (u32)(sizeof("Set-Cookie: =") - 1 + conf->name.len);
	sticky->lines = build_lines(pool, &secret, conf->secure, arena, &sticky->line_len);
	sticky->secure_lines = sticky->lines;
	sticky->secure_len = sticky->line_len;
	if (conf->secure_auto)
		sticky->secure_lines = build_lines(pool, &secret, true, arena, &sticky->secure_len);
	build_slots(sticky, pool->backend_count, arena);
	return sticky;
}

u32 sticky_find(const struct exchange *x)
{
	const struct sticky *sticky = x->pool->sticky;
	struct str value;

	if (!sticky || !x->request || !http_cookie(x->request, sticky->name, &value) ||
		value.len != tag_len)
		return BALANCE_NONE;
	for (u32 at = home_of(sticky, value.ptr); sticky->slots[at];
		at = (at + 1) & sticky->slot_mask)
		if (is_tag(tag_of(sticky, sticky->slots[at] - 1), value.ptr))
			return sticky->slots[at] - 1;
	return BALANCE_NONE;
}

struct str sticky_line(const struct exchange *x)
{
	const struct sticky *sticky = x->pool->sticky;

	if (!sticky || x->sticky == x->backend->index)
		return STR_EMPTY;
	if (x->client->conn.is_secure)
		return str_make(
			sticky->secure_lines + (size_t)x->backend->index * sticky->secure_len,
			sticky->secure_len);
	return str_make(
		sticky->lines + (size_t)x->backend->index * sticky->line_len, sticky->line_len);
}
