// SPDX-License-Identifier: Apache-2.0
// Clients and servers of TLS, two at a time, with a stranger between them, during the handshake and
// after it: bytes are cut, changed, put in, held back and ended anywhere, memory ends, time passes,
// and an end says what ours never would. Whatever happens, what comes out of one end is a beginning
// of what went into the other; an end that has found a fault gives nothing more; nobody is open who
// should have been refused, or with whom the other end does not agree; and every block is given
// back.
//
// The input is a list of steps, each of two bytes: what, and how much (enum step).
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "fuzz_check.h"
#include "net/tls_client.h"
#include "net/tls_env.h"
#include "net/tls_server.h"
#include "papers.h"

enum {
	blocks_max = 2048,
	wire_max = 512 * 1024,
	steps_max = 120,
	talk_max = 40,
	kinds_max = 8,	 // of servers, and of clients
	words_max = 251, // after so many bytes the plaintext repeats
};

enum step {
	STEP_ALL,    // all bytes of an end arrive, in pieces
	STEP_SOME,   // so many bytes
	STEP_CHANGE, // of one byte
	STEP_OWN,    // bytes of the stranger: the next ones of the input
	STEP_SAY,    // plaintext, at most 255 bytes
	STEP_DROP,   // bytes are lost
	STEP_END,    // close_notify, or the byte stream ends
	STEP_TALK,   // both ends, until nothing more comes
	STEP_AGAIN,  // two new ends: three bits for the server, three for the client
	STEP_SAY_MUCH,
	STEP_TIME,   // hours for the keys of tickets, or tenths of a second for the records
	STEP_TWIST,  // an end says what ours would not
	STEP_MEMORY, // there are no blocks, or they are back
	STEP_COUNT = 16,
};

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
	struct tls_tickets tickets; // as they were at first
	i64 wall_ms;
	u64 now_ms;
	struct tls_server *servers[kinds_max];
	struct tls_client *clients[kinds_max]; // as at first, without a session
	struct tls_client *knowing[kinds_max]; // of this run, with the sessions that it has got
	u8 met[kinds_max];  // servers that a client has had a handshake with, in this run
	u32 server, client; // of the two ends
	struct block_pool pool, feeding;
	struct block *taken[blocks_max];
	u32 taken_count;
	struct end ends[2]; // the client, the server
	const SSL *anew;    // that wants to renegotiate; NULL: none of the two
};

static struct lab lab;

static char byte_at(size_t at)
{
	return (char)(at % words_max);
}

// ---- All kinds of both --------------------------------------------------------------------------

// Each row is a server; what it does not say is nothing or 0.
static const struct {
	const char *files[4];
	const char *alpn[2];
	enum tls_client_auth auth;
	bool only_1_3, without_tickets, has_ocsp;
} server_kinds[kinds_max] = {
	{.files = {"site"}},
	{.files = {"site", "rsa", "wild", "other"}, .alpn = {"h2", "http/1.1"}, .has_ocsp = true},
	{.files = {"site"}, .alpn = {"http/1.1"}, .auth = TLS_CLIENT_REQUIRED},
	{.files = {"rsa"}, .alpn = {"h2"}, .auth = TLS_CLIENT_OPTIONAL, .only_1_3 = true},
	{.files = {"old"}, .alpn = {"h2"}},
	{.files = {"stranger"}, .alpn = {"h2"}},
	{.files = {"other", "wild"}, .without_tickets = true},
	{.files = {"site"}, .alpn = {"h2"}, .auth = TLS_CLIENT_REQUIRED, .without_tickets = true},
};

static const struct {
	const char *name, *own, *ca;
	const char *alpn[2];
	bool is_unverified, needs_h2, only_1_3;
} client_kinds[kinds_max] = {
	{.name = "site.example", .ca = "ca.crt"},
	{.name = "site.example", .ca = "ca.crt", .own = "me", .alpn = {"h2", "http/1.1"}},
	{.name = "site.example", .ca = "ca.crt", .own = "me", .alpn = {"h2"}, .needs_h2 = true},
	{.name = "other.example", .is_unverified = true, .own = "stranger", .only_1_3 = true},
	{.name = "10.0.0.1", .ca = "ca.crt", .alpn = {"http/1.1"}},
	{.name = "a.wild.example", .ca = "ca.crt", .alpn = {"h2"}, .needs_h2 = true},
	{.name = "", .is_unverified = true, .own = "old", .alpn = {"http/1.1"}},
	{.name = "site.example", .ca = "stranger.crt"},
};

static u32 words(const char *const *texts, struct str *ret)
{
	u32 count = 0;

	for (; count < 2 && texts[count]; count++)
		ret[count] = str_from(texts[count]);
	return count;
}

static struct str file_of(const struct papers *papers, const char *name, const char *end)
{
	char file[64];

	snprintf(file, sizeof(file), "%s%s", name, end);
	return papers_file(papers, file);
}

static void make_server(const struct papers *papers, u32 kind)
{
	struct tls_files files[4] = {0};
	struct str alpn[2];
	char name[] = "web0";
	struct tls_server_options options = {.name = STR("web0"),
		.files = files,
		.alpn = alpn,
		.alpn_count = words(server_kinds[kind].alpn, alpn),
		.version_min = server_kinds[kind].only_1_3 ? TLS_MIN_1_3 : TLS_MIN_1_2,
		.without_tickets = server_kinds[kind].without_tickets,
		.client_auth = server_kinds[kind].auth};
	struct tls_error error;
	char texts[4][3][128];

	name[3] = (char)('0' + kind);
	options.name = str_from(name);
	for (u32 i = 0; i < 4 && server_kinds[kind].files[i]; i++) {
		const char *file = server_kinds[kind].files[i];

		snprintf(texts[i][0], 128, "%s", file_of(papers, file, ".crt").ptr);
		snprintf(texts[i][1], 128, "%s", file_of(papers, file, ".key").ptr);
		files[i].cert = str_from(texts[i][0]);
		files[i].key = str_from(texts[i][1]);
		snprintf(texts[i][2], 128, "%s", file_of(papers, file, ".ocsp").ptr);
		if (server_kinds[kind].has_ocsp)
			files[i].ocsp = str_from(texts[i][2]);
		options.file_count++;
	}
	options.client_ca = papers_file(papers, "ca.crt");
	lab.servers[kind] = tls_server_new(lab.env, &options, &error);
	ASSERT(lab.servers[kind] != NULL);
}

static struct tls_client *new_client(
	const struct papers *papers, u32 kind, const struct tls_client *like)
{
	struct str alpn[2];
	struct tls_client_options options = {.name = str_from(client_kinds[kind].name),
		.is_unverified = client_kinds[kind].is_unverified,
		.version_min = client_kinds[kind].only_1_3 ? TLS_MIN_1_3 : TLS_MIN_1_2,
		.alpn = alpn,
		.alpn_count = words(client_kinds[kind].alpn, alpn),
		.needs_h2 = client_kinds[kind].needs_h2};
	struct tls_client *client;
	struct tls_error error;

	if (papers && client_kinds[kind].ca)
		options.ca = papers_file(papers, client_kinds[kind].ca);
	if (papers && client_kinds[kind].own) {
		options.own.cert = file_of(papers, client_kinds[kind].own, ".crt");
		options.own.key = file_of(papers, client_kinds[kind].own, ".key");
	}
	client = tls_client_new(lab.env, &options, like, &error);
	ASSERT(client != NULL);
	return client;
}

// Good from the first hour of the fuzzer's clock on, for some time.
static void respond(struct papers *papers, const char *file)
{
	papers_respond(
		papers, &(struct paper_response){
				.file = file, .about = file, .from_s = 1, .until_s = 1000 * 3600});
}

static void set_up(void)
{
	static const struct paper all[] = {
		{.file = "site",
			.subject = "site",
			.names = "DNS:site.example,DNS:www.site.example"},
		{.file = "rsa", .subject = "rsa", .names = "DNS:site.example", .is_rsa = true},
		{.file = "wild", .subject = "wild", .names = "DNS:*.wild.example"},
		{.file = "other", .subject = "other", .names = "DNS:other.example"},
		{.file = "old", .subject = "old", .names = "DNS:site.example", .is_expired = true},
		{.file = "stranger",
			.subject = "stranger",
			.names = "DNS:site.example",
			.is_stranger = true},
		{.file = "me", .subject = "client 7"},
	};
	struct papers papers;

	papers_begin(&papers);
	for (u32 i = 0; i < ARRAY_LEN(all); i++) {
		papers_make(&papers, &all[i]);
		respond(&papers, all[i].file);
	}
	tls_secret_make(&lab.secret, 0);
	lab.env = tls_env_new(&lab.secret, 2);
	ASSERT(lab.env != NULL);
	lab.env->tickets.wall_ms = &lab.wall_ms;
	lab.tickets = lab.env->tickets;
	for (u32 kind = 0; kind < kinds_max; kind++) {
		make_server(&papers, kind);
		lab.clients[kind] = new_client(&papers, kind, NULL);
	}
	papers_end(&papers);
}

// ---- The two ends -------------------------------------------------------------------------------

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

	if ((end->is_over && end->tls->state != TLS_BROKEN) || len == 0 || end->tls->in_over ||
		!tls_is_dry(end->tls)) // plain HTTP is kept
		return;
	block = block_get_sized(&lab.feeding, len);
	ASSERT(block != NULL);
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
	for (size_t at = 0; at < len; at += piece)
		feed(to, from, from->wire + at, MIN(len - at, piece));
	drop(from, len);
}

// Plaintext of an end, in slices of this size.
static void say(struct end *end, size_t len, size_t piece)
{
	static char text[words_max + 64 * 1024];
	struct bytes plain = {0};
	size_t at = end->said % words_max, left;

	if (end->tls->state != TLS_OPEN || end->len > wire_max / 4)
		return;
	for (size_t i = sizeof(text); text[1] == 0 && i--;)
		text[i] = byte_at(i);
	len = MIN(len, sizeof(text) - at);
	for (size_t done = 0; done < len; done += piece) {
		struct slice slice = {.ptr = text + at + done, .len = MIN(piece, len - done)};

		ASSERT(bytes_append(&lab.feeding, &plain, slice) == 0);
	}
	left = plain.len;
	if (tls_seal(end->tls, &plain, lab.now_ms) == 0)
		ASSERT(plain.len == 0);
	else
		ASSERT(end->tls->state == TLS_BROKEN || end->tls->closed_out);
	end->said += left - plain.len;
	bytes_clear(&plain);
}

// ---- What has to hold ---------------------------------------------------------------------------

static void check_server(const struct tls *tls)
{
	bool has_peer = SSL_get0_peer_certificate(tls->ssl) != NULL;

	if (server_kinds[lab.server].auth == TLS_CLIENT_REQUIRED)
		ASSERT(has_peer);
	if (has_peer)
		ASSERT(SSL_get_verify_result(tls->ssl) == X509_V_OK);
	if (server_kinds[lab.server].only_1_3)
		ASSERT(str_eq(tls_version(tls), STR("TLSv1.3")));
	ASSERT(tls_sni(tls).len < 256);
	(void)tls_server_is_misdirected(tls, STR("b.wild.example:443"));
}

static void check_client(const struct tls *tls)
{
	if (!client_kinds[lab.client].is_unverified)
		ASSERT(SSL_get_verify_result(tls->ssl) == X509_V_OK);
	if (client_kinds[lab.client].needs_h2)
		ASSERT(str_eq(tls_alpn(tls), STR("h2")));
	if (client_kinds[lab.client].only_1_3)
		ASSERT(str_eq(tls_version(tls), STR("TLSv1.3")));
}

static void check_ends(void)
{
	struct tls *client = lab.ends[0].tls, *server = lab.ends[1].tls;

	// One that shakes hands while it is open was made to renegotiate, and knows nothing
	// meanwhile.
	if (client->state == TLS_OPEN && !SSL_in_init(client->ssl))
		check_client(client);
	if (server->state == TLS_OPEN && !SSL_in_init(server->ssl))
		check_server(server);
	if (client->state != TLS_OPEN || server->state != TLS_OPEN || SSL_in_init(client->ssl) ||
		SSL_in_init(server->ssl))
		return;
	ASSERT(str_eq(tls_version(client), tls_version(server)));
	ASSERT(str_eq(tls_cipher(client), tls_cipher(server)));
	ASSERT(fuzz_equal(tls_alpn(client), tls_alpn(server)));
	ASSERT(tls_is_resumed(client) == tls_is_resumed(server));
	ASSERT(!tls_is_resumed(server) || lab.met[lab.client] & 1u << lab.server);
	ASSERT(!tls_is_resumed(server) || !server_kinds[lab.server].without_tickets);
	lab.met[lab.client] |= (u8)(1u << lab.server);
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

static void end_both(void)
{
	for (u32 i = 0; i < 2; i++)
		tls_free(lab.ends[i].tls);
}

static void begin_both(u32 server, u32 client)
{
	if (!lab.knowing[client])
		lab.knowing[client] = new_client(NULL, client, lab.clients[client]);
	lab.server = server;
	lab.client = client;
	begin(&lab.ends[0], tls_new_client(lab.knowing[client], &lab.pool));
	begin(&lab.ends[1], tls_new_server(lab.servers[server], &lab.pool));
	ASSERT(lab.ends[0].tls && lab.ends[1].tls);
	lab.anew = NULL;
	// Two are all there may be.
	ASSERT(!tls_new_client(lab.knowing[client], &lab.pool));
	ASSERT(!tls_new_server(lab.servers[server], &lab.pool));
}

static void pass_time(u8 much, bool is_wall)
{
	if (is_wall)
		lab.wall_ms += (i64)much * 3600 * 1000;
	else
		lab.now_ms += (u64)much * 100;
}

// All blocks are somebody else's, or they are back.
static void take_memory(void)
{
	struct block *block;

	lab.pool.large.used_max = lab.pool.large.used;
	lab.pool.small.used_max = lab.pool.small.used;
	while (lab.taken_count < blocks_max &&
		((block = block_get(&lab.pool, true)) || (block = block_get_sized(&lab.pool, 1))))
		lab.taken[lab.taken_count++] = block;
}

static void give_memory(void)
{
	while (lab.taken_count)
		block_unref(lab.taken[--lab.taken_count]);
	lab.pool.large.used_max = lab.pool.small.used_max = blocks_max;
}

// A client that is not ours may say all of this. What a server can, it may say too.
static void twist_hello(SSL *ssl, u8 much)
{
	static const char *const names[] = {"www.site.example", "A.Wild.Example.",
		"x.y.wild.example", "other.example", "nobody", ".", "10.0.0.1", "site.example"};
	static const char *const groups[] = {"P-521", "P-521:X25519", "P-384", "P-256:P-521"};
	static const u8 alpn[] = "\x2hx\x2h2\x8http/1.1";

	switch (much & 7) {
	case 0:
		(void)SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
		break;
	case 1:
		(void)SSL_set_tlsext_max_fragment_length(ssl, (u8)(1 + (much >> 3 & 3)));
		break;
	case 2:
		(void)SSL_set_tlsext_host_name(ssl, names[much >> 3 & 7]);
		break;
	case 3:
		(void)SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
		break;
	case 4:
		(void)SSL_set_alpn_protos(ssl, alpn, much & 8 ? 3 : sizeof(alpn) - 1);
		break;
	case 5:
		(void)SSL_set1_groups_list(ssl, groups[much >> 3 & 3]);
		break;
	case 6:
		(void)SSL_set_ciphersuites(
			ssl, much & 8 ? "TLS_AES_128_CCM_SHA256" : "TLS_CHACHA20_POLY1305_SHA256");
		(void)SSL_set_cipher_list(
			ssl, much & 16 ? "AES128-SHA" : "ECDHE-RSA-AES128-GCM-SHA256");
		break;
	case 7:
		(void)SSL_set1_sigalgs_list(
			ssl, much & 8 ? "RSA+SHA512" : "ECDSA+SHA256:rsa_pss_rsae_sha256");
		break;
	}
}

static void twist_open(SSL *ssl, u8 much)
{
	switch (much & 3) {
	case 0:
		(void)SSL_key_update(
			ssl, much & 4 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		break;
	case 1: // the other one is ours, and refuses
		if (lab.anew && lab.anew != ssl)
			break;
		lab.anew = ssl;
		SSL_clear_options(ssl, SSL_OP_NO_RENEGOTIATION);
		(void)SSL_renegotiate(ssl);
		break;
	case 2:
		(void)SSL_new_session_ticket(ssl);
		break;
	case 3:
		(void)SSL_verify_client_post_handshake(ssl);
		break;
	}
	(void)SSL_do_handshake(ssl);
}

static void twist(struct end *end, u8 much)
{
	if (SSL_in_before(end->tls->ssl))
		twist_hello(end->tls->ssl, much);
	else if (end->tls->state == TLS_OPEN)
		twist_open(end->tls->ssl, much);
	ERR_clear_error();
}

static void step(u8 what, u8 much, const char *rest, size_t rest_len)
{
	static const size_t pieces[] = {100, 2000, 5000, TLS_RECORD_FULL};
	struct end *from = &lab.ends[what & 1], *to = &lab.ends[!(what & 1)];
	size_t at = from->len ? (size_t)much * 7 % from->len : 0;

	switch ((enum step)(what >> 1 & (STEP_COUNT - 1))) {
	case STEP_ALL:
		carry(from, to, from->len, much ? much : BLOCK_BYTES);
		break;
	case STEP_SOME:
		carry(from, to, much, BLOCK_BYTES);
		break;
	case STEP_CHANGE:
		if (from->len)
			from->wire[at] ^= (char)(much | 1);
		break;
	case STEP_OWN:
		feed(to, from, rest, MIN(rest_len, (size_t)much));
		break;
	case STEP_SAY:
		say(from, much, 256);
		break;
	case STEP_DROP:
		drop(from, MIN(from->len, (size_t)much));
		break;
	case STEP_END:
		if (much & 1 && from->tls->state == TLS_OPEN)
			tls_close(from->tls);
		else if (!to->tls->in_over && !to->is_over)
			tls_feed_end(to->tls);
		break;
	case STEP_TALK:
		talk();
		break;
	case STEP_AGAIN:
		end_both();
		begin_both(much & 7, much >> 3 & 7);
		return; // before their first word
	case STEP_SAY_MUCH:
		say(from, (size_t)much * 256, pieces[much & 3]);
		break;
	case STEP_TIME:
		pass_time(much, what & 1);
		break;
	case STEP_TWIST:
		twist(from, much);
		if (SSL_in_before(from->tls->ssl))
			return;
		break;
	case STEP_MEMORY:
		if (what & 1)
			give_memory();
		else
			take_memory();
		break;
	default:
		break;
	}
	take_plain(from, to);
	take_plain(to, from);
	take_wire(from);
	take_wire(to);
	check_ends();
}

static void forget(void)
{
	for (u32 i = 0; i < kinds_max; i++) {
		if (lab.knowing[i])
			tls_client_unref(lab.knowing[i]);
		lab.knowing[i] = NULL;
		lab.met[i] = 0;
	}
	lab.env->tickets = lab.tickets;
	lab.wall_ms = 0;
	lab.now_ms = 0;
}

// Before the first input, whose time is bounded.
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	set_up();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	block_pool_init(&lab.pool, blocks_max, blocks_max);
	block_pool_init(&lab.feeding, blocks_max, blocks_max);
	begin_both(0, 0);
	for (size_t i = 0; i + 2 <= size && i < (size_t)2 * steps_max; i += 2)
		step(data[i], data[i + 1], (const char *)data + i + 2, size - i - 2);
	end_both();
	give_memory();
	forget();
	ASSERT(lab.pool.large.used == 0 && lab.pool.small.used == 0);
	ASSERT(lab.feeding.large.used == 0 && lab.feeding.small.used == 0);
	block_pool_done(&lab.pool);
	block_pool_done(&lab.feeding);
	return 0;
}
