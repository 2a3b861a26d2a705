// SPDX-License-Identifier: Apache-2.0
// Two ends of TLS against each other, with nothing between them but these tests: any split of the
// bytes, ends in the wrong place, damage, strangers.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/rng.h"
#include "net/tls_client.h"
#include "net/tls_env.h"
#include "net/tls_server.h"
#include "papers.h"

enum { large_blocks = 256, small_blocks = 512, all = 1 << 20 };

// One end, its pool, and what it has delivered.
struct end {
	struct tls *tls;
	struct bytes plain;
	enum tls_got last;
};

struct scene {
	struct papers papers;
	struct tls_secret secret;
	struct tls_env *env, *other_env; // of two workers
	struct block_pool pool;
	struct end client, server;
	struct rng rng;
	size_t step; // bytes that are fed at once
};

static struct scene scene;

static int set_up(void **state)
{
	(void)state;
	papers_begin(&scene.papers);
	papers_make(&scene.papers,
		&(struct paper){.file = "site", .subject = "site", .names = "DNS:site.example"});
	papers_make(&scene.papers, &(struct paper){.file = "old",
					   .subject = "old",
					   .names = "DNS:site.example",
					   .is_expired = true});
	papers_make(&scene.papers, &(struct paper){.file = "stranger",
					   .subject = "stranger",
					   .names = "DNS:site.example",
					   .is_stranger = true});
	papers_make(&scene.papers, &(struct paper){.file = "me", .subject = "client 7"});
	tls_secret_make(&scene.secret, 0);
	scene.env = tls_env_new(&scene.secret, 64);
	scene.other_env = tls_env_new(&scene.secret, 64);
	assert_non_null(scene.env);
	assert_non_null(scene.other_env);
	block_pool_init(&scene.pool, large_blocks, small_blocks);
	rng_init(&scene.rng, 7);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	block_pool_done(&scene.pool);
	tls_env_unref(scene.env);
	tls_env_unref(scene.other_env);
	papers_end(&scene.papers);
	return 0;
}

static struct tls_server *server_of(const char *cert, const char *key, enum tls_client_auth auth)
{
	struct tls_files files = {
		.cert = papers_file(&scene.papers, cert), .key = papers_file(&scene.papers, key)};
	struct str alpn[] = {STR("http/1.1")};
	struct tls_error error;
	struct tls_server *server = tls_server_new(scene.env,
		&(struct tls_server_options){.name = STR("web"),
			.files = &files,
			.file_count = 1,
			.alpn = alpn,
			.alpn_count = 1,
			.client_auth = auth,
			.client_ca = papers_file(&scene.papers, "ca.crt")},
		&error);

	if (!server)
		fail_msg("%s", error.text);
	return server;
}

static struct tls_client *client_of(const char *name, const char *own)
{
	struct str alpn[] = {STR("http/1.1")};
	struct tls_client_options options = {.name = str_from(name),
		.ca = papers_file(&scene.papers, "ca.crt"),
		.alpn = alpn,
		.alpn_count = 1};
	struct tls_error error;
	struct tls_client *client;

	if (own) {
		options.own.cert = papers_file(&scene.papers, "me.crt");
		options.own.key = papers_file(&scene.papers, "me.key");
	}
	client = tls_client_new(scene.env, &options, NULL, &error);
	if (!client)
		fail_msg("%s", error.text);
	return client;
}

static void begin(struct tls_server *server, struct tls_client *client)
{
	scene.step = all;
	scene.server = (struct end){.tls = tls_new_server(server, &scene.pool)};
	scene.client = (struct end){.tls = tls_new_client(client, &scene.pool)};
	assert_non_null(scene.server.tls);
	assert_non_null(scene.client.tls);
}

static void begin_usual(const char *name)
{
	struct tls_server *server = server_of("site.crt", "site.key", TLS_CLIENT_NONE);
	struct tls_client *client = client_of(name, NULL);

	begin(server, client);
	tls_server_unref(server);
	tls_client_unref(client);
}

static void finish(void)
{
	bytes_clear(&scene.server.plain);
	bytes_clear(&scene.client.plain);
	tls_free(scene.server.tls);
	tls_free(scene.client.tls);
	assert_int_equal(scene.pool.large.used, 0);
	assert_int_equal(scene.pool.small.used, 0);
}

// All that the end can give now.
static void drain(struct end *end)
{
	struct tls *tls = end->tls;
	struct slice slice;

	if (tls->state == TLS_SHAKING)
		tls_shake(tls);
	if (tls->state == TLS_SHAKING)
		return;
	while ((end->last = tls_take(tls, true, &slice)) == TLS_GOT_BYTES)
		assert_int_equal(bytes_append(&scene.pool, &end->plain, slice), 0);
}

static struct slice copy_of(const char *data, size_t len)
{
	struct block *block = block_get_sized(&scene.pool, len);

	assert_non_null(block);
	memcpy(block->data, data, len);
	block->used = (u32)len;
	return (struct slice){.block = block, .ptr = block->data, .len = len};
}

// What one end has to send goes to the other one, in steps. Gives how many bytes went.
static size_t carry(struct end *from, struct end *to)
{
	size_t sent = 0;

	while (!bytes_is_empty(&from->tls->wire)) {
		struct slice slice = bytes_pop(&from->tls->wire);
		size_t at = 0;

		while (at < slice.len) {
			size_t len = MIN(slice.len - at,
				scene.step ? scene.step : 1 + rng_u64(&scene.rng) % 900);

			if (!tls_is_dry(to->tls))
				drain(to);
			assert_true(tls_is_dry(to->tls) || to->tls->state == TLS_BROKEN);
			tls_feed(to->tls, copy_of(slice.ptr + at, len));
			drain(to);
			at += len;
		}
		sent += slice.len;
		slice_drop(&slice);
	}
	return sent;
}

// To and fro until neither has anything to say.
static void talk(void)
{
	drain(&scene.client);
	while (carry(&scene.client, &scene.server) + carry(&scene.server, &scene.client))
		;
}

static void say(struct end *end, const char *text, size_t len)
{
	struct bytes bytes = {0};

	assert_int_equal(bytes_write(&scene.pool, &bytes, text, len), 0);
	assert_int_equal(tls_seal(end->tls, &bytes, 0), 0);
	assert_true(bytes_is_empty(&bytes));
}

static void assert_plain(struct end *end, const char *text, size_t len)
{
	size_t at = 0;

	assert_int_equal(end->plain.len, len);
	while (!bytes_is_empty(&end->plain)) {
		struct slice slice = bytes_pop(&end->plain);

		assert_memory_equal(slice.ptr, text + at, slice.len);
		at += slice.len;
		slice_drop(&slice);
	}
}

static void exchange_text(const char *text, size_t len)
{
	say(&scene.client, text, len);
	talk();
	assert_plain(&scene.server, text, len);
	say(&scene.server, text, len);
	talk();
	assert_plain(&scene.client, text, len);
}

static void handshake_and_bytes(void **state)
{
	(void)state;
	begin_usual("site.example");
	talk();
	assert_int_equal(scene.server.tls->state, TLS_OPEN);
	assert_int_equal(scene.client.tls->state, TLS_OPEN);
	assert_true(str_eq(tls_version(scene.server.tls), STR("TLSv1.3")));
	assert_true(str_eq(tls_sni(scene.server.tls), STR("site.example")));
	assert_true(str_eq(tls_alpn(scene.server.tls), STR("http/1.1")));
	exchange_text("GET / HTTP/1.1\r\n\r\n", 18);
	finish();
}

static char long_text[300 * 1000];

static void any_split_of_the_bytes(void **state)
{
	static const size_t steps[] = {1, 2, 5, 7, 100, 1000, 16384, 0, 0};

	(void)state;
	for (size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = (char)('a' + i % 23);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		begin_usual("site.example");
		scene.step = steps[i];
		talk();
		assert_int_equal(scene.server.tls->state, TLS_OPEN);
		exchange_text(
			long_text, steps[i] < 100 && steps[i] ? 40 * 1000 : sizeof(long_text));
		finish();
	}
}

static void two_records_in_one_feed(void **state)
{
	(void)state;
	begin_usual("site.example");
	talk();
	say(&scene.client, "one ", 4);
	say(&scene.client, "two", 3);
	talk();
	assert_plain(&scene.server, "one two", 7);
	finish();
}

static size_t records_in(struct bytes *bytes, u64 now_ms)
{
	size_t len = bytes->len, count;
	struct slice all_of_it;

	assert_int_equal(scene.server.tls->wire.len, 0);
	assert_int_equal(tls_seal(scene.server.tls, bytes, now_ms), 0);
	count = (scene.server.tls->wire.len - len) / 22;
	while (!bytes_is_empty(&scene.server.tls->wire)) {
		all_of_it = bytes_pop(&scene.server.tls->wire);
		slice_drop(&all_of_it);
	}
	return count;
}

static size_t records_of(size_t len, u64 now_ms)
{
	struct bytes bytes = {0};

	assert_int_equal(bytes_write(&scene.pool, &bytes, long_text, len), 0);
	return records_in(&bytes, now_ms);
}

// What a head and received blocks of so many bytes become.
static size_t records_of_slices(size_t head, size_t each, u32 count)
{
	struct bytes bytes = {0};

	assert_int_equal(bytes_write(&scene.pool, &bytes, long_text, head), 0);
	while (count--) {
		struct block *block = block_get(&scene.pool, false);

		assert_non_null(block);
		memcpy(block->data, long_text, each);
		assert_int_equal(
			bytes_append(&scene.pool, &bytes, (struct slice){block, block->data, each}),
			0);
	}
	return records_in(&bytes, 0);
}

// The list of errors is shared by all connections of the thread: none may find another one's there.
static void faults_leave_no_errors_behind(void **state)
{
	struct slice good, slice;
	struct block *block;

	(void)state;
	begin_usual("site.example");
	talk();
	say(&scene.client, "good", 4);
	good = bytes_pop(&scene.client.tls->wire);
	block = block_get(&scene.pool, false);
	assert_non_null(block);
	memcpy(block->data, good.ptr, good.len);
	memcpy(block->data + good.len, good.ptr, good.len); // again: its number is wrong now
	tls_feed(scene.server.tls, (struct slice){block, block->data, 2 * good.len});
	slice_drop(&good);
	assert_int_equal(tls_take(scene.server.tls, false, &slice), TLS_GOT_BYTES);
	assert_int_equal(slice.len, 4);
	slice_drop(&slice);
	assert_int_equal(ERR_peek_error(), 0);
	assert_int_equal(tls_take(scene.server.tls, false, &slice), TLS_GOT_FAULT);
	assert_int_equal(scene.server.tls->fault, TLS_FAULT_GARBLED);
	assert_int_equal(ERR_peek_error(), 0);
	finish();
}

static void large_slices_are_records(void **state)
{
	(void)state;
	begin_usual("site.example");
	talk();
	assert_true(records_of(2 * TLS_RAMP_BYTES, 0) > 3);
	assert_int_equal(records_of_slices(200, TLS_RECORD_FULL, 4), 5);
	assert_int_equal(records_of_slices(200, TLS_RECORD_PIECE, 8), 1 + 4 + 1);
	assert_int_equal(records_of_slices(200, TLS_RECORD_PIECE, 3), 1); // one record holds all
	assert_int_equal(records_of_slices(200, 2000, 16), 2); // small ones are put together
	finish();
}

static void records_grow_and_shrink(void **state)
{
	(void)state;
	begin_usual("site.example");
	talk();
	assert_int_equal(records_of(100, 10), 1);
	assert_int_equal(records_of(TLS_RAMP_BYTES, 20), TLS_RAMP_BYTES / TLS_RECORD_FIRST + 1);
	assert_int_equal(records_of(4 * TLS_RECORD_FULL, 30), 4);
	assert_int_equal(records_of(2 * TLS_RECORD_FIRST, 30 + TLS_RAMP_IDLE_MS), 2);
	finish();
}

static void ends_are_told_apart(void **state)
{
	(void)state;
	begin_usual("site.example");
	talk();
	say(&scene.client, "last", 4);
	tls_close(scene.client.tls);
	talk();
	assert_int_equal(scene.server.last, TLS_GOT_END);
	assert_plain(&scene.server, "last", 4);
	finish();

	begin_usual("site.example");
	talk();
	say(&scene.client, "last", 4);
	talk();
	tls_feed_end(scene.server.tls);
	drain(&scene.server);
	assert_int_equal(scene.server.last, TLS_GOT_CUT);
	finish();
}

static void a_record_cut_short_is_no_end(void **state)
{
	struct slice slice;

	(void)state;
	begin_usual("site.example");
	talk();
	say(&scene.client, "0123456789", 10);
	slice = bytes_pop(&scene.client.tls->wire);
	slice.len -= 3;
	tls_feed(scene.server.tls, slice);
	tls_feed_end(scene.server.tls);
	drain(&scene.server);
	assert_int_equal(scene.server.last, TLS_GOT_CUT);
	assert_int_equal(scene.server.plain.len, 0);
	finish();
}

static void an_end_in_the_handshake(void **state)
{
	(void)state;
	begin_usual("site.example");
	tls_feed_end(scene.server.tls);
	assert_int_equal(tls_shake(scene.server.tls), TLS_BROKEN);
	assert_int_equal(scene.server.tls->fault, TLS_FAULT_CLOSED);
	finish();
}

static void damage_is_found(void **state)
{
	(void)state;
	for (size_t at = 5; at < 20; at++) {
		struct slice slice;

		begin_usual("site.example");
		talk();
		say(&scene.client, "0123456789", 10);
		slice = bytes_pop(&scene.client.tls->wire);
		slice.block->data[(size_t)(slice.ptr - slice.block->data) + at] ^= 1;
		tls_feed(scene.server.tls, slice);
		drain(&scene.server);
		assert_int_equal(scene.server.last, TLS_GOT_FAULT);
		assert_int_equal(scene.server.tls->fault, TLS_FAULT_GARBLED);
		assert_false(bytes_is_empty(&scene.server.tls->wire)); // an alert
		finish();
	}
}

// Whatever comes first: a fault, and no crash.
static void garbage_is_refused(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		char text[200];
		size_t len = 1 + rng_u64(&scene.rng) % sizeof(text);

		begin_usual("site.example");
		for (size_t j = 0; j < len; j++)
			text[j] = (char)rng_u64(&scene.rng);
		if (i % 2)
			memcpy(text, "\x16\x03\x01\x00\x40\x01", MIN(len, (size_t)6));
		tls_feed(scene.server.tls, copy_of(text, len));
		tls_feed_end(scene.server.tls);
		assert_int_equal(tls_shake(scene.server.tls), TLS_BROKEN);
		assert_int_not_equal(scene.server.tls->fault, TLS_FAULT_NONE);
		finish();
	}
}

static void plain_http_is_known(void **state)
{
	(void)state;
	begin_usual("site.example");
	tls_feed(scene.server.tls, copy_of("GET / HTTP/1.1\r\n", 16));
	assert_int_equal(tls_shake(scene.server.tls), TLS_BROKEN);
	assert_int_equal(scene.server.tls->fault, TLS_FAULT_PLAIN_HTTP);
	assert_int_equal(scene.server.tls->in.len, 16); // to be answered
	finish();
}

static void client_fails_with(const char *cert, const char *key, const char *name,
	enum tls_fault fault, const char *words)
{
	struct tls_server *server = server_of(cert, key, TLS_CLIENT_NONE);
	struct tls_client *client = client_of(name, NULL);

	begin(server, client);
	tls_server_unref(server);
	tls_client_unref(client);
	talk();
	assert_int_equal(scene.client.tls->state, TLS_BROKEN);
	assert_int_equal(scene.client.tls->fault, fault);
	if (words)
		assert_non_null(strstr(scene.env->detail, words));
	assert_int_equal(scene.server.last, TLS_GOT_FAULT);
	assert_int_equal(scene.server.tls->fault, TLS_FAULT_OWN_REFUSED);
	finish();
}

static void servers_are_verified(void **state)
{
	(void)state;
	client_fails_with("old.crt", "old.key", "site.example", TLS_FAULT_CERT_EXPIRED, NULL);
	client_fails_with(
		"stranger.crt", "stranger.key", "site.example", TLS_FAULT_CERT_SELF_SIGNED, NULL);
	client_fails_with("site.crt", "site.key", "other.example", TLS_FAULT_CERT_HOSTNAME, NULL);
}

static void clients_are_asked(enum tls_client_auth auth, const char *own, bool good)
{
	struct tls_server *server = server_of("site.crt", "site.key", auth);
	struct tls_client *client = client_of("site.example", own);

	begin(server, client);
	tls_server_unref(server);
	tls_client_unref(client);
	talk();
	assert_int_equal(scene.server.tls->state, good ? TLS_OPEN : TLS_BROKEN);
	if (good)
		exchange_text("x", 1);
	else
		assert_int_equal(scene.server.tls->fault, TLS_FAULT_CERT_MISSING);
	finish();
}

static void client_certificates(void **state)
{
	(void)state;
	clients_are_asked(TLS_CLIENT_OPTIONAL, NULL, true);
	clients_are_asked(TLS_CLIENT_OPTIONAL, "me", true);
	clients_are_asked(TLS_CLIENT_REQUIRED, "me", true);
	clients_are_asked(TLS_CLIENT_REQUIRED, NULL, false);
}

// A session that one connection was given serves the next one, also at another worker.
static void sessions_are_resumed(void **state)
{
	struct tls_server *server = server_of("site.crt", "site.key", TLS_CLIENT_NONE), *other;
	struct tls_client *client = client_of("site.example", NULL);
	struct tls_env *first = scene.env;

	(void)state;
	begin(server, client);
	talk();
	assert_false(tls_is_resumed(scene.client.tls));
	finish();
	scene.env = scene.other_env;
	other = server_of("site.crt", "site.key", TLS_CLIENT_NONE);
	scene.env = first;
	for (int i = 0; i < 3; i++) {
		begin(i % 2 ? server : other, client);
		talk();
		assert_true(tls_is_resumed(scene.client.tls));
		assert_true(tls_is_resumed(scene.server.tls));
		exchange_text("x", 1);
		finish();
	}
	tls_server_unref(server);
	tls_server_unref(other);
	tls_client_unref(client);
}

// Keys follow the clock: the last one's tickets are still taken, older ones are not.
static void ticket_keys_change(void **state)
{
	static const i64 hours = (i64)3600 * 1000;
	static const struct {
		i64 wall_ms;
		bool is_resumed;
	} visits[] = {{0, false}, {TLS_TICKET_HOURS * hours, true},
		{2 * TLS_TICKET_HOURS * hours, true}, {9 * TLS_TICKET_HOURS * hours, false}};
	struct tls_secret secret;
	i64 wall_ms = 0;
	struct tls_env *env, *first = scene.env;
	struct tls_server *server;
	struct tls_client *client;

	(void)state;
	tls_secret_make(&secret, 0);
	env = tls_env_new(&secret, 8);
	assert_non_null(env);
	env->tickets.wall_ms = &wall_ms;
	scene.env = env;
	server = server_of("site.crt", "site.key", TLS_CLIENT_NONE);
	client = client_of("site.example", NULL);
	scene.env = first;
	for (size_t i = 0; i < ARRAY_LEN(visits); i++) {
		wall_ms = visits[i].wall_ms;
		begin(server, client);
		talk();
		assert_int_equal(tls_is_resumed(scene.client.tls), visits[i].is_resumed);
		finish();
	}
	tls_server_unref(server);
	tls_client_unref(client);
	tls_env_unref(env);
}

// As the next process does: with what the first one kept of its secret, tickets that the first one
// would still take are taken, and older ones cannot be opened by anybody any more.
static void what_is_kept_opens_what_is_still_taken(void **state)
{
	static const i64 hours = (i64)3600 * 1000;
	static const struct {
		i64 made_h, came_h;
		bool is_resumed;
	} visits[] = {{1, 2, true}, {1, 9, true}, {9, 15, true}, {9, 23, true}, {9, 24, false},
		{17, 40, false}, {17, 31, true}, {81, 95, true}, {81, 96, false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(visits); i++) {
		struct tls_env *envs[2], *first = scene.env;
		struct tls_server *servers[2];
		struct tls_client *client = client_of("site.example", NULL);
		struct tls_secret secret;
		i64 wall_ms = 0, left_ms;

		tls_secret_make(&secret, 0);
		for (int k = 0; k < 2; k++) {
			envs[k] = tls_env_new(&secret, 8);
			assert_non_null(envs[k]);
			envs[k]->tickets.wall_ms = &wall_ms;
			scene.env = envs[k];
			servers[k] = server_of("site.crt", "site.key", TLS_CLIENT_NONE);
			scene.env = first;
			wall_ms = (k ? visits[i].came_h : visits[i].made_h) * hours;
			begin(servers[k], client);
			talk();
			assert_int_equal(
				tls_is_resumed(scene.client.tls), k && visits[i].is_resumed);
			finish();
			wall_ms = visits[i].came_h * hours;
			left_ms = tls_secret_follow(&secret, wall_ms);
			assert_int_equal((wall_ms + left_ms) % (TLS_TICKET_HOURS * hours), 0);
			assert_true(left_ms > 0 && left_ms <= TLS_TICKET_HOURS * hours);
			assert_int_equal(secret.period,
				MAX(wall_ms / (TLS_TICKET_HOURS * hours) - 1, (i64)0));
		}
		for (int k = 0; k < 2; k++) {
			tls_server_unref(servers[k]);
			tls_env_unref(envs[k]);
		}
		tls_client_unref(client);
	}
}

static void a_broken_end_stays_broken(void **state)
{
	struct bytes bytes = {0};

	(void)state;
	begin_usual("site.example");
	tls_feed_end(scene.server.tls);
	tls_shake(scene.server.tls);
	assert_int_equal(bytes_write(&scene.pool, &bytes, "x", 1), 0);
	assert_true(tls_seal(scene.server.tls, &bytes, 0) < 0);
	bytes_clear(&bytes);
	tls_close(scene.server.tls);
	finish();
}

static void few_blocks_are_enough(void **state)
{
	struct block *taken[large_blocks];
	u32 count = 0;

	(void)state;
	begin_usual("site.example");
	talk();
	say(&scene.client, long_text, 5000);
	while (count < large_blocks && (taken[count] = block_get(&scene.pool, true)))
		count++;
	scene.step = 1500;
	carry(&scene.client, &scene.server);
	assert_plain(&scene.server, long_text, 5000);
	while (count)
		block_unref(taken[--count]);
	finish();
}

// ---- What a peer may do behind the handshake
// -----------------------------------------------------

static void change_keys(struct end *end, int kind)
{
	assert_int_equal(SSL_key_update(end->tls->ssl, kind), 1);
	assert_int_equal(SSL_do_handshake(end->tls->ssl), 1);
}

static void keys_may_change(void **state)
{
	(void)state;
	begin_usual("site.example");
	talk();
	for (int i = 0; i < 3 * TLS_UPDATES_MAX; i++) {
		change_keys(i % 2 ? &scene.client : &scene.server, SSL_KEY_UPDATE_REQUESTED);
		talk();
		tls_sent(scene.client.tls);
		tls_sent(scene.server.tls);
		exchange_text("between", 7);
	}
	for (int i = 0; i < TLS_UPDATES_MAX; i++)
		change_keys(&scene.client, SSL_KEY_UPDATE_REQUESTED);
	talk();
	exchange_text("behind", 6);
	finish();
}

// Neither what is asked for nor what is not may go on for ever.
static void keys_that_always_change_end_it(void **state)
{
	static const int kinds[] = {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		begin_usual("site.example");
		talk();
		say(&scene.client, "before", 6);
		for (int j = 0; j < 10 * TLS_UPDATES_MAX; j++)
			change_keys(&scene.client, kinds[i]);
		carry(&scene.client, &scene.server);
		assert_int_equal(scene.server.last, TLS_GOT_FAULT);
		assert_int_equal(scene.server.tls->fault, TLS_FAULT_KEY_UPDATES);
		assert_true(scene.server.tls->wire.len < 64 * TLS_UPDATES_MAX);
		assert_plain(&scene.server, "before", 6);
		finish();
	}
}

// A peer that takes no answers is found out whatever else it sends.
static void answers_that_nobody_takes_are_bounded(void **state)
{
	(void)state;
	begin_usual("site.example");
	talk();
	for (int i = 0; i < 2 * TLS_ANSWERS_MAX; i++) {
		change_keys(&scene.client, SSL_KEY_UPDATE_REQUESTED);
		say(&scene.client, "x", 1);
		carry(&scene.client, &scene.server);
	}
	assert_int_equal(scene.server.last, TLS_GOT_FAULT);
	assert_int_equal(scene.server.tls->fault, TLS_FAULT_KEY_UPDATES);
	assert_true(scene.server.tls->wire.len < 64 * TLS_ANSWERS_MAX);
	finish();
}

static void a_second_handshake_ends_it(void **state)
{
	(void)state;
	begin_usual("site.example");
	SSL_set_max_proto_version(scene.client.tls->ssl, TLS1_2_VERSION);
	talk();
	exchange_text("before", 6);
	SSL_clear_options(scene.client.tls->ssl, SSL_OP_NO_RENEGOTIATION);
	assert_int_equal(SSL_renegotiate(scene.client.tls->ssl), 1);
	assert_int_equal(SSL_do_handshake(scene.client.tls->ssl), -1);
	carry(&scene.client, &scene.server);
	assert_int_equal(scene.server.last, TLS_GOT_FAULT);
	assert_int_equal(scene.server.tls->fault, TLS_FAULT_RENEGOTIATION);
	assert_false(bytes_is_empty(&scene.server.tls->wire)); // it is told
	ERR_clear_error();
	finish();
}

// A backend asks, which is answered, and the connection serves on; but not for ever.
static void a_backend_may_ask_for_one(void **state)
{
	(void)state;
	begin_usual("site.example");
	SSL_set_max_proto_version(scene.client.tls->ssl, TLS1_2_VERSION);
	talk();
	SSL_clear_options(scene.server.tls->ssl, SSL_OP_NO_RENEGOTIATION);
	for (int i = 0; i <= TLS_ANSWERS_MAX; i++) {
		assert_int_not_equal(scene.client.last, TLS_GOT_FAULT);
		assert_int_equal(SSL_renegotiate(scene.server.tls->ssl), 1);
		assert_int_equal(SSL_do_handshake(scene.server.tls->ssl), 1);
		carry(&scene.server, &scene.client);
	}
	assert_int_equal(scene.client.last, TLS_GOT_FAULT);
	assert_int_equal(scene.client.tls->fault, TLS_FAULT_KEY_UPDATES);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_and_bytes),
		cmocka_unit_test(any_split_of_the_bytes),
		cmocka_unit_test(two_records_in_one_feed),
		cmocka_unit_test(faults_leave_no_errors_behind),
		cmocka_unit_test(large_slices_are_records),
		cmocka_unit_test(records_grow_and_shrink),
		cmocka_unit_test(ends_are_told_apart),
		cmocka_unit_test(a_record_cut_short_is_no_end),
		cmocka_unit_test(an_end_in_the_handshake),
		cmocka_unit_test(damage_is_found),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(plain_http_is_known),
		cmocka_unit_test(keys_may_change),
		cmocka_unit_test(keys_that_always_change_end_it),
		cmocka_unit_test(answers_that_nobody_takes_are_bounded),
		cmocka_unit_test(a_second_handshake_ends_it),
		cmocka_unit_test(a_backend_may_ask_for_one),
		cmocka_unit_test(servers_are_verified),
		cmocka_unit_test(client_certificates),
		cmocka_unit_test(sessions_are_resumed),
		cmocka_unit_test(ticket_keys_change),
		cmocka_unit_test(what_is_kept_opens_what_is_still_taken),
		cmocka_unit_test(a_broken_end_stays_broken),
		cmocka_unit_test(few_blocks_are_enough),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
