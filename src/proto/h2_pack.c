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

// The first bits of each form of a field; an index follows (RFC 7541 6).
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

// What a field is called, and how that is written.
struct called {
	u32 index; // in the static table; 0: not there
	struct str name;
	bool is_lower;
};

static u8 *put_name(u8 *at, const struct called *called)
{
	struct str name = called->name;

	if (likely(called->is_lower))
		return put_text(at, name);
	at = put_integer(at, 0, 7, (u32)name.len);
	for (size_t i = 0; i < name.len; i++)
		at[i] = (u8)ascii_lower(name.ptr[i]);
	return at + name.len;
}

static inline void put_literal(
	struct h2_packer *packer, enum form form, const struct called *called, struct str value)
{
	u8 *at = put_integer(packer->at, (u8)form, form == form_to_table ? 6 : 4, called->index);

	if (!called->index)
		at = put_name(at, called);
	packer->at = put_text(at, value);
}

// A text that stands for a field: its line, or its value behind a name of the static table.
struct mark {
	struct str text;
	u32 name_index, tag; // 0: it is a line
};

static inline struct mark mark_of(const struct h2_pack *pack, struct str text, u32 name_index)
{
	return (struct mark){.text = text,
		.name_index = name_index,
		.tag = (u32)hash_bytes(text.ptr, text.len, pack->seed + name_index)};
}

static inline struct h2_pack_entry *entry_of(struct h2_pack *pack, const struct mark *mark)
{
	return &pack->entries[mark->tag % H2_PACK_SLOTS];
}

// True: the peer has it, and it is written.
static inline bool put_indexed(struct h2_packer *packer, const struct mark *mark)
{
	struct h2_pack *pack = packer->pack;
	const struct h2_pack_entry *entry = entry_of(pack, mark);

	if (unlikely(entry->tag != mark->tag || !entry->is_set ||
		     pack->bytes - entry->place > pack->bytes_max ||
		     entry->text_len != mark->text.len || entry->name_index != mark->name_index ||
		     memcmp(pack->text + entry->text_at, mark->text.ptr, mark->text.len) != 0))
		return false;
	packer->at = put_integer(
		packer->at, form_indexed, 7, static_entries + (pack->count - entry->number));
	return true;
}

// Its text stays where it is as long as it is in the table: the ring is longer by one entry.
static void remember(struct h2_pack *pack, const struct mark *mark, u32 size)
{
	u32 len = (u32)mark->text.len;

	if (unlikely(pack->bytes > bytes_before_anew))
		forget_all(pack);
	if (pack->text_at + len > sizeof(pack->text))
		pack->text_at = 0;
	*entry_of(pack, mark) = (struct h2_pack_entry){.tag = mark->tag,
		.number = pack->count,
		.place = pack->bytes,
		.text_at = (u16)pack->text_at,
		.text_len = (u16)len,
		.name_index = (u8)mark->name_index,
		.is_set = true};
	memcpy(pack->text + pack->text_at, mark->text.ptr, len);
	pack->text_at += len;
	pack->count++;
	pack->bytes += size;
}

// The first time past the table, the second time into it.
static void put_anew(struct h2_packer *packer, const struct mark *mark, const struct called *called,
	struct str value)
{
	struct h2_pack *pack = packer->pack;
	struct h2_pack_entry *entry = entry_of(pack, mark);
	size_t size = called->name.len + value.len + entry_overhead;

	if (entry->last != mark->tag || size > H2_PACK_ENTRY_BYTES ||
		mark->text.len > H2_PACK_ENTRY_BYTES || size > pack->bytes_max) {
		entry->last = mark->tag;
		put_literal(packer, form_plain, called, value);
		return;
	}
	put_literal(packer, form_to_table, called, value);
	remember(pack, mark, (u32)size);
}

void h2_pack_pseudo(struct h2_packer *packer, u32 name_index, struct str name, struct str value,
	bool may_repeat)
{
	struct called called = {.index = name_index, .name = name, .is_lower = true};
	struct mark mark;

	if (!has_room(packer, name.len + value.len))
		return;
	// In the table it is found by its value and the number of its name; 0 is that of whole
	// lines.
	if (!may_repeat || !name_index) {
		put_literal(packer, form_plain, &called, value);
		return;
	}
	mark = mark_of(packer->pack, value, name_index);
	if (!put_indexed(packer, &mark))
		put_anew(packer, &mark, &called, value);
}

static struct called called_of(enum http_known known, struct str name, bool is_lower)
{
	if (likely(known))
		return (struct called){.index = static_names[known],
			.name = str_make(http_known_names[known].text, http_known_names[known].len),
			.is_lower = true};
	return (struct called){.name = name, .is_lower = is_lower};
}

static bool is_secret(enum http_known known, struct str value)
{
	return (secret & HTTP_BIT(known)) ||
	       (known == HTTP_F_COOKIE && value.len < short_cookie_bytes);
}

// A field that is not in the table.
static __attribute__((noinline)) void put_field(struct h2_packer *packer, const struct mark *mark,
	enum http_known known, struct str name, bool is_lower, struct str value)
{
	struct called called = called_of(known, name, is_lower);

	if (is_secret(known, value))
		put_literal(packer, form_secret, &called, value);
	else if (!mark->text.len || (changing & HTTP_BIT(known)) ||
		 (!known && str_eq_nocase(name, STR("set-cookie"))))
		put_literal(packer, form_plain, &called, value);
	else
		put_anew(packer, mark, &called, value);
}

static __attribute__((noinline)) void put_changing(
	struct h2_packer *packer, enum http_known known, struct str value)
{
	struct called called = called_of(known, STR_EMPTY, true);

	put_literal(packer, form_plain, &called, value);
}

static __attribute__((noinline)) void put_lasting(struct h2_packer *packer, enum http_known known,
	struct str name, bool is_lower, struct str value)
{
	struct mark mark = {0};

	// As nearly all fields lie: "name: value".
	if (likely(value.ptr == name.ptr + name.len + 2)) {
		mark = mark_of(packer->pack, str_make(name.ptr, name.len + 2 + value.len), 0);
		if (likely(put_indexed(packer, &mark)))
			return;
	}
	put_field(packer, &mark, known, name, is_lower, value);
}

void h2_pack_field(struct h2_packer *packer, enum http_known known, struct str name, bool is_lower,
	struct str value)
{
	if (unlikely(!has_room(packer, name.len + value.len)))
		return;
	if (changing & HTTP_BIT(known))
		put_changing(packer, known, value);
	else
		put_lasting(packer, known, name, is_lower, value);
}

void h2_pack_line(struct h2_packer *packer, struct str line)
{
	struct mark mark = mark_of(packer->pack, line, 0);
	struct str name, value = line;

	if (!has_room(packer, line.len) || put_indexed(packer, &mark))
		return;
	name = str_cut(&value, ':');
	if (name.len)
		put_field(packer, &mark, http_field_known(name.ptr, name.len), name, false,
			str_trim(value));
}
