// SPDX-License-Identifier: Apache-2.0
// A client and a server of TLS with a stranger between them, during the handshake and after it:
// bytes are cut, changed, put in, held back and ended anywhere. Whatever the stranger does, what
// comes out of one end is a beginning of what went into the other; an end that has found a fault
// gives nothing more; and every block is given back.
//
// The input is a list of steps, each of two bytes: what, and how much.
#include <stdio.h>
#include <unistd.h>

#include "fuzz_check.h"
#include "net/tls_client.h"
#include "net/tls_env.h"
#include "net/tls_make.h"
#include "net/tls_server.h"

enum { blocks_max = 2048, wire_max = 512 * 1024, steps_max = 120, talk_max = 40 };

struct end {
	struct tls *tls;
	size_t said, heard; // bytes of plaintext
	bool is_over;
	size_t len; // on its way to the other end
	char wire[wire_max];
};

struct lab {
	struct tls_secret secret;
	struct tls_env *env;
	struct tls_server *server;
	struct tls_client *client;
	struct block_pool pool;
	struct end ends[2]; // the client, the server
};

static struct lab lab;

static char byte_at(size_t at)
{
	return (char)(at % 251);
}

// ---- The two ends -------------------------------------------------------------------------------

static void set_up(void)
{
	static char cert[64], key[64];
	const struct str names[] = {STR("site.example")};
	struct tls_files files = {0};
	struct tls_error error;

	snprintf(cert, sizeof(cert), "/tmp/fuzz-tls-%d.crt", (int)getpid());
	snprintf(key, sizeof(key), "/tmp/fuzz-tls-%d.key", (int)getpid());
	ASSERT(tls_make_pair(cert, key, names, 1, 1000, &error));
	files.cert = str_from(cert);
	files.key = str_from(key);
	tls_secret_make(&lab.secret, 0);
	lab.env = tls_env_new(&lab.secret, 8);
	ASSERT(lab.env != NULL);
	lab.server = tls_server_new(lab.env,
		&(struct tls_server_options){.name = STR("web"), .files = &files, .file_count = 1},
		&error);
	ASSERT(lab.server != NULL);
	lab.client = tls_client_new(lab.env,
		&(struct tls_client_options){.name = names[0], .ca = files.cert}, NULL, &error);
	ASSERT(lab.client != NULL);
	unlink(cert);
	unlink(key);
}

static void begin(struct end *end, struct tls *tls)
{
	memset(end, 0, offsetof(struct end, wire));
	end->tls = tls;
}

static void take_wire(struct end *end)
{
	while (!bytes_is_empty(&end->tls->wire)) {
		struct slice slice = bytes_pop(&end->tls->wire);

		ASSERT(end->len + slice.len <= wire_max);
		memcpy(end->wire + end->len, slice.ptr, slice.len);
		end->len += slice.len;
		slice_drop(&slice);
	}
}

static void take_plain(struct end *end, const struct end *other)
{
	struct tls *tls = end->tls;
	enum tls_got got = TLS_GOT_DRY;

	if (tls->state == TLS_SHAKING && tls_shake(tls) == TLS_SHAKING)
		return;
	while (!end->is_over) {
		struct slice slice = {0};

		got = tls_take(tls, true, &slice);
		if (got != TLS_GOT_BYTES)
			break;
		ASSERT(tls->state == TLS_OPEN && end->heard + slice.len <= other->said);
		for (size_t i = 0; i < slice.len; i++)
			ASSERT(slice.ptr[i] == byte_at(end->heard + i));
		end->heard += slice.len;
		slice_drop(&slice);
	}
	ASSERT(got != TLS_GOT_FAULT || tls->state == TLS_BROKEN);
	end->is_over |= got == TLS_GOT_END || got == TLS_GOT_CUT || got == TLS_GOT_FAULT;
}

static void feed(struct end *end, const struct end *other, const char *bytes, size_t len)
{
	struct block *block;

	if (end->is_over || len == 0 || end->tls->in_over)
		return;
	block = block_get_sized(&lab.pool, len);
	ASSERT(block != NULL && tls_is_dry(end->tls));
	memcpy(block->data, bytes, len);
	block->used = (u32)len;
	tls_feed(end->tls, (struct slice){.block = block, .ptr = block->data, .len = len});
	take_plain(end, other);
	if (end->tls->state == TLS_BROKEN)
		end->is_over = true;
}

static void drop(struct end *end, size_t len)
{
	end->len -= len;
	memmove(end->wire, end->wire + len, end->len);
}

// Bytes of `from` arrive at `to`, in pieces.
static void carry(struct end *from, struct end *to, size_t len, size_t piece)
{
	len = MIN(len, from->len);
	while (len) {
		size_t part = MIN(len, piece);

		feed(to, from, from->wire, part);
		drop(from, part);
		len -= part;
	}
}

static void say(struct end *end, size_t len)
{
	struct bytes plain = {0};
	char text[256];

	len = MIN(len, sizeof(text));
	if (end->tls->state != TLS_OPEN || end->tls->closed_out)
		return;
	for (size_t i = 0; i < len; i++)
		text[i] = byte_at(end->said + i);
	ASSERT(bytes_write(&lab.pool, &plain, text, len) == 0);
	if (tls_seal(end->tls, &plain, 0) == 0)
		end->said += len;
	bytes_clear(&plain);
}

// ---- The stranger -------------------------------------------------------------------------------

static void talk(void)
{
	for (u32 i = 0; i < talk_max; i++) {
		struct end *from = &lab.ends[i & 1], *to = &lab.ends[!(i & 1)];

		take_plain(from, to);
		take_wire(from);
		carry(from, to, from->len, BLOCK_BYTES);
	}
}

static void step(u8 what, u8 much, const char *rest, size_t rest_len)
{
	struct end *from = &lab.ends[what & 1], *to = &lab.ends[!(what & 1)];
	size_t at = from->len ? (size_t)much * 7 % from->len : 0;

	switch (what >> 1 & 7) {
	case 0:
		carry(from, to, from->len, much ? much : BLOCK_BYTES);
		break;
	case 1:
		carry(from, to, much, BLOCK_BYTES);
		break;
	case 2: // another byte
		if (from->len)
			from->wire[at] ^= (char)(much | 1);
		break;
	case 3: // bytes of its own
		feed(to, from, rest, MIN(rest_len, (size_t)much));
		break;
	case 4:
		say(from, much);
		break;
	case 5:
		drop(from, MIN(from->len, (size_t)much));
		break;
	case 6:
		if (much & 1 && from->tls->state == TLS_OPEN)
			tls_close(from->tls);
		else if (!to->tls->in_over && !to->is_over)
			tls_feed_end(to->tls);
		break;
	case 7:
		talk();
		break;
	}
	take_plain(from, to);
	take_plain(to, from);
	take_wire(from);
	take_wire(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!lab.env)
		set_up();
	block_pool_init(&lab.pool, blocks_max, blocks_max);
	begin(&lab.ends[0], tls_new_client(lab.client, &lab.pool));
	begin(&lab.ends[1], tls_new_server(lab.server, &lab.pool));
	ASSERT(lab.ends[0].tls && lab.ends[1].tls);
	for (size_t i = 0; i + 2 <= size && i < (size_t)2 * steps_max; i += 2)
		step(data[i], data[i + 1], (const char *)data + i + 2, size - i - 2);
	for (u32 i = 0; i < 2; i++)
		tls_free(lab.ends[i].tls);
	ASSERT(lab.pool.large.used == 0 && lab.pool.small.used == 0);
	block_pool_done(&lab.pool);
	return 0;
}
