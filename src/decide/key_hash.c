// SPDX-License-Identifier: Apache-2.0
#include "decide/key_hash.h"

struct sip {
	u64 v0, v1, v2, v3;
};

static inline u64 rotate(u64 word, int bits)
{
	return (word << bits) | (word >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, u64 word)
{
	s->v3 ^= word;
	sip_round(s);
	s->v0 ^= word;
}

// Up to eight bytes, the first in the lowest place, whatever the order of this machine.
static inline u64 load(const unsigned char *bytes, size_t len)
{
	u64 word = 0;

	for (size_t i = 0; i < len; i++)
		word |= (u64)bytes[i] << (8 * i);
	return word;
}

u64 key_hash(const struct key_hash_secret *secret, const void *data, size_t len)
{
	const unsigned char *at = data;
	u64 k0 = secret->words[0], k1 = secret->words[1];
	struct sip s = {k0 ^ 0x736f6d6570736575ull, k1 ^ 0x646f72616e646f6dull,
		k0 ^ 0x6c7967656e657261ull, k1 ^ 0x7465646279746573ull};

	for (size_t words = len / 8; words > 0; words--, at += 8)
		sip_word(&s, load(at, 8));
	sip_word(&s, load(at, len % 8) | (u64)len << 56);
	s.v2 ^= 0xff;
	sip_round(&s);
	sip_round(&s);
	sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct key_hash_secret key_hash_secret(struct str text)
{
	// Two hashes with different public keys.
	static const struct key_hash_secret halves[2] = {{{0, 0}}, {{0, 1}}};

	return (struct key_hash_secret){{key_hash(&halves[0], text.ptr, text.len),
		key_hash(&halves[1], text.ptr, text.len)}};
}

u64 key_hash_join(const struct key_hash_secret *secret, u64 hash, const void *data, size_t len)
{
	struct key_hash_secret joined = {{secret->words[0] ^ hash, secret->words[1]}};

	return key_hash(&joined, data, len);
}
