// SPDX-License-Identifier: Apache-2.0
#include "proto/h2_pack.h"

#include "base/hash.h"
#include "proto/http_names.h"

enum {
	static_entries = 61,
	entry_overhead = 32,   // RFC 7541 4.1
	integer_bytes_max = 6, // of a 32-bit number behind its prefix
	short_cookie_bytes = 20,
	bytes_before_anew = 1 << 30, // so that no sum wraps
};

// The first bits of each form of a field, and how many bits of an index follow (RFC 7541 6).
enum form {
	form_indexed = 0x80,
	form_to_table = 0x40,
	form_plain = 0x00,
	form_secret = 0x10,
};

// Names of ours that the static table has.
static const u8 static_names[HTTP_F_COUNT] = {
	[HTTP_F_HOST] = 38,
	[HTTP_F_CONTENT_LENGTH] = 28,
	[HTTP_F_TRANSFER_ENCODING] = 57,
	[HTTP_F_EXPECT] = 35,
	[HTTP_F_PROXY_AUTHENTICATE] = 48,
	[HTTP_F_PROXY_AUTHORIZATION] = 49,
	[HTTP_F_VIA] = 60,
	[HTTP_F_USER_AGENT] = 58,
	[HTTP_F_REFERER] = 51,
	[HTTP_F_COOKIE] = 32,
	[HTTP_F_AUTHORIZATION] = 23,
	[HTTP_F_DATE] = 33,
	[HTTP_F_SERVER] = 54,
	[HTTP_F_CONTENT_TYPE] = 31,
	[HTTP_F_LOCATION] = 46,
	[HTTP_F_RETRY_AFTER] = 53,
};

static const u64 changing = HTTP_BIT(HTTP_F_CONTENT_LENGTH) | HTTP_BIT(HTTP_F_LOCATION) |
			    HTTP_BIT(HTTP_F_X_REQUEST_ID) | HTTP_BIT(HTTP_F_TRACEPARENT);
static const u64 secret = HTTP_BIT(HTTP_F_AUTHORIZATION) | HTTP_BIT(HTTP_F_PROXY_AUTHORIZATION);

void h2_pack_init(struct h2_pack *pack, u64 seed)
{
	memset(pack, 0, offsetof(struct h2_pack, text));
	pack->seed = seed;
	pack->bytes_max = H2_PACK_TABLE_BYTES;
}

static void forget_all(struct h2_pack *pack)
{
	for (u32 i = 0; i < H2_PACK_SLOTS; i++)
		pack->entries[i].is_set = false;
	pack->bytes = 0;
}

void h2_pack_resize(struct h2_pack *pack, u32 bytes_max)
{
	pack->bytes_max = MIN(bytes_max, (u32)H2_PACK_TABLE_BYTES);
	forget_all(pack);
}

struct h2_packer h2_pack_begin(struct h2_pack *pack, u8 *start, u8 *end)
{
	return (struct h2_packer){
		.pack = pack, .start = start, .at = start, .end = end, .count = pack->count};
}

void h2_pack_undo(struct h2_packer *packer)
{
	packer->pack->count = packer->count;
	forget_all(packer->pack);
}

// An integer behind the first bits of its byte (RFC 7541 5.1).
static inline u8 *put_integer(u8 *at, u8 first, u32 prefix_bits, u32 number)
{
	u32 max = (1u << prefix_bits) - 1;

	if (likely(number < max)) {
		*at++ = (u8)(first | number);
		return at;
	}
	*at++ = (u8)(first | max);
	for (number -= max; number >= 128; number >>= 7)
		*at++ = (u8)(number | 128);
	*at++ = (u8)number;
	return at;
}

static inline u8 *put_text(u8 *at, struct str text)
{
	at = put_integer(at, 0, 7, (u32)text.len);
	memcpy(at, text.ptr, text.len);
	return at + text.len;
}

static inline bool has_room(struct h2_packer *packer, size_t text_bytes)
{
	if (likely((size_t)(packer->end - packer->at) >= text_bytes + 3 * integer_bytes_max))
		return true;
	packer->is_full = true;
	return false;
}

void h2_pack_static(struct h2_packer *packer, u32 index)
{
	if (has_room(packer, 0))
		packer->at = put_integer(packer->at, form_indexed, 7, index);
}

static void put_literal(
	struct h2_packer *packer, enum form form, u32 name_index, struct str name, struct str value)
{
	u8 *at = put_integer(packer->at, (u8)form, form == form_to_table ? 6 : 4, name_index);

	if (!name_index)
		at = put_text(at, name);
	packer->at = put_text(at, value);
}

static bool is_in_table(const struct h2_pack *pack, const struct h2_pack_entry *entry)
{
	return entry->is_set && pack->bytes - entry->place <= pack->bytes_max;
}

static bool is_same(const struct h2_pack *pack, const struct h2_pack_entry *entry, struct str name,
	struct str value)
{
	const char *text = pack->text + entry->text_at;

	return entry->name_len == name.len && entry->value_len == value.len &&
	       memcmp(text, name.ptr, name.len) == 0 &&
	       memcmp(text + name.len, value.ptr, value.len) == 0;
}

// Its text stays where it is as long as it is in the table: the ring is longer by one entry.
static void remember(
	struct h2_pack *pack, struct h2_pack_entry *entry, struct str name, struct str value)
{
	size_t len = name.len + value.len;

	if (unlikely(pack->bytes > bytes_before_anew))
		forget_all(pack);
	if (pack->text_at + len > sizeof(pack->text))
		pack->text_at = 0;
	*entry = (struct h2_pack_entry){.tag = entry->last,
		.number = pack->count,
		.place = pack->bytes,
		.text_at = (u16)pack->text_at,
		.name_len = (u16)name.len,
		.value_len = (u16)value.len,
		.is_set = true};
	memcpy(pack->text + pack->text_at, name.ptr, name.len);
	memcpy(pack->text + pack->text_at + name.len, value.ptr, value.len);
	pack->text_at += (u32)len;
	pack->count++;
	pack->bytes += (u32)len + entry_overhead;
}

// How a field that may repeat is written: by its place in the table, into it, or past it.
static void put_repeating(
	struct h2_packer *packer, u32 name_index, struct str name, struct str value)
{
	struct h2_pack *pack = packer->pack;
	u64 seed = pack->seed + (name_index ? name_index : hash_bytes(name.ptr, name.len, 0));
	u32 tag = (u32)hash_bytes(value.ptr, value.len, seed);
	struct h2_pack_entry *entry = &pack->entries[tag % H2_PACK_SLOTS];
	size_t size = name.len + value.len + entry_overhead;

	if (likely(entry->tag == tag && is_in_table(pack, entry) &&
		    is_same(pack, entry, name, value))) {
		packer->at = put_integer(packer->at, form_indexed, 7,
			static_entries + (pack->count - entry->number));
	} else if (entry->last == tag && size <= H2_PACK_ENTRY_BYTES && size <= pack->bytes_max) {
		put_literal(packer, form_to_table, name_index, name, value);
		remember(pack, entry, name, value);
	} else {
		entry->last = tag;
		put_literal(packer, form_plain, name_index, name, value);
	}
}

inline void h2_pack_field(struct h2_packer *packer, u32 name_index, struct str name,
	struct str value, enum h2_pack_how how)
{
	if (!has_room(packer, name.len + value.len))
		return;
	switch (how) {
	case H2_PACK_MAY_REPEAT:
		put_repeating(packer, name_index, name, value);
		break;
	case H2_PACK_CHANGES:
		put_literal(packer, form_plain, name_index, name, value);
		break;
	case H2_PACK_SECRET:
		put_literal(packer, form_secret, name_index, name, value);
		break;
	}
}

static void put_unknown(struct h2_packer *packer, struct str name, bool is_lower, struct str value)
{
	char lower[H2_PACK_NAME_BYTES];

	if (!is_lower) {
		if (name.len > sizeof(lower)) {
			packer->is_full = true;
			return;
		}
		for (size_t i = 0; i < name.len; i++)
			lower[i] = ascii_lower(name.ptr[i]);
		name.ptr = lower;
	}
	h2_pack_field(packer, 0, name, value,
		str_eq(name, STR("set-cookie")) ? H2_PACK_CHANGES : H2_PACK_MAY_REPEAT);
}

void h2_pack_named(struct h2_packer *packer, enum http_known known, struct str name, bool is_lower,
	struct str value)
{
	enum h2_pack_how how = H2_PACK_MAY_REPEAT;

	if (unlikely(!known)) {
		put_unknown(packer, name, is_lower, value);
		return;
	}
	if (changing & HTTP_BIT(known))
		how = H2_PACK_CHANGES;
	else if ((secret & HTTP_BIT(known)) ||
		 (known == HTTP_F_COOKIE && value.len < short_cookie_bytes))
		how = H2_PACK_SECRET;
	h2_pack_field(packer, static_names[known],
		str_make(http_known_names[known].text, http_known_names[known].len), value, how);
}
