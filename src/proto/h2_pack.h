// SPDX-License-Identifier: Apache-2.0
// Fields as a block of HPACK (RFC 7541), on the way out. One encoder for each connection.
//
// What comes a second time, name and value, goes into the peer's table and is a byte or two from
// then on; what does not is written as it is, without Huffman's code. The encoder has no table of
// its own to keep in step: an entry of the peer's is there as long as those behind it fit, and
// where it stands is how many came since. So it remembers a few entries by their hash, with their
// text to compare, and forgets the oldest where too many fall upon one place.
#pragma once

#include "proto/http.h"

enum {
	H2_PACK_TABLE_BYTES = 4096, // of the peer's table, at most: what every peer has at first
	H2_PACK_SLOTS = 64,
	H2_PACK_ENTRY_BYTES = H2_PACK_TABLE_BYTES / 4, // of one entry, at most
	H2_PACK_NAME_BYTES = 128,		       // of a name that has to be made lower-case
};

struct h2_pack_entry {
	u32 tag;    // of the field that is in the table
	u32 last;   // ... that came and is not; of a set, the newest first
	u32 number; // how many entries were before it
	u32 place;  // their bytes (RFC 7541 4.1)
	u16 text_at, text_len;
	u8 name_index;
	bool is_set;
};

struct h2_pack {
	u64 seed;
	u32 count;     // put into the table, all in all; it may wrap
	u32 bytes;     // ... and their bytes, since all was forgotten
	u32 bytes_max; // of the table
	u32 text_at;
	struct h2_pack_entry entries[H2_PACK_SLOTS];
	char text[H2_PACK_TABLE_BYTES + H2_PACK_ENTRY_BYTES]; // of what is in the table
};

// A block that is being written.
struct h2_packer {
	struct h2_pack *pack;
	u8 *start, *at, *end;
	bool is_full; // there was no room: it is of no use
	u32 count;    // before it
};

void h2_pack_init(struct h2_pack *pack, u64 seed);

// The peer's SETTINGS_HEADER_TABLE_SIZE, also when it is the same again. That it was heard stands
// at the beginning of the next block, and is not written here.
void h2_pack_resize(struct h2_pack *pack, u32 bytes_max);

struct h2_packer h2_pack_begin(struct h2_pack *pack, u8 *start, u8 *end);

// The peer will not see the block. Nothing that was in the table is used again.
void h2_pack_undo(struct h2_packer *packer);

// A field of the static table (RFC 7541 appendix A), name and value.
void h2_pack_static(struct h2_packer *packer, u32 index);

// A field whose name is not one of HTTP/1's. `name_index`: of its name in the static table; 0: it
// is not there.
void h2_pack_pseudo(struct h2_packer *packer, u32 name_index, struct str name, struct str value,
	bool may_repeat);

// A field of a head, by name as far as it is known. `is_lower`: `name` is lower-case.
void h2_pack_field(struct h2_packer *packer, enum http_known known, struct str name, bool is_lower,
	struct str value);

// The same of a field as a line of HTTP/1, without its end.
void h2_pack_line(struct h2_packer *packer, struct str line);
