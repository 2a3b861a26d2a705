// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <errno.h>
#include <openssl/err.h>

#include "base/mem.h"

#include "net/tls_bio.h"
#include "net/tls_client.h"
#include "net/tls_env.h"
#include "net/tls_server.h"

static struct tls *new_tls(struct tls_env *env, SSL_CTX *ctx, struct block_pool *pool)
{
	struct tls *tls = slab_get(&env->connections);
	BIO *bio;

	if (!tls)
		return NULL;
	*tls = (struct tls){
		.env = env, .pool = pool, .fault = TLS_FAULT_NONE, .late = TLS_FAULT_NONE};
	list_init(&tls->gate_node);
	tls->ssl = SSL_new(ctx);
	bio = tls->ssl ? tls_bio_new(env->bio, tls) : NULL;
	if (!bio) {
		SSL_free(tls->ssl);
		slab_put(&env->connections, tls);
		ERR_clear_error();
		return NULL;
	}
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_app_data(tls->ssl, tls);
	return tls;
}

struct tls *tls_new_server(struct tls_server *server, struct block_pool *pool)
{
	struct tls *tls = new_tls(tls_server_env(server), tls_server_ctx(server), pool);

	if (!tls)
		return NULL;
	tls->server = tls_server_ref(server);
	SSL_set_accept_state(tls->ssl);
	return tls;
}

struct tls *tls_new_client(struct tls_client *client, struct block_pool *pool)
{
	struct tls *tls = new_tls(tls_client_env(client), tls_client_ctx(client), pool);

	if (!tls)
		return NULL;
	tls->client = tls_client_ref(client);
	SSL_set_connect_state(tls->ssl);
	if (!tls_client_prepare(client, tls->ssl)) {
		tls_free(tls);
		return NULL;
	}
	return tls;
}

void tls_free(struct tls *tls)
{
	struct tls_env *env = tls->env;

	tls_gate_leave(tls);
	slice_drop(&tls->in);
	bytes_clear(&tls->wire);
	mem_free(tls->note);
	// Without this OpenSSL takes an end without close_notify for a reason to forget a session
	// that may well be resumed.
	SSL_set_quiet_shutdown(tls->ssl, 1);
	SSL_shutdown(tls->ssl);
	SSL_free(tls->ssl);
	ERR_clear_error();
	if (tls->server)
		tls_server_unref(tls->server);
	if (tls->client)
		tls_client_unref(tls->client);
	slab_put(&env->connections, tls);
}

void tls_feed(struct tls *tls, struct slice slice)
{
	ASSERT(tls_is_dry(tls));
	tls->in = slice;
	if (tls->state == TLS_BROKEN)
		slice_drop(&tls->in);
}

void tls_feed_end(struct tls *tls)
{
	tls->in_over = true;
}

static void break_off(struct tls *tls, enum tls_fault fault)
{
	tls->state = TLS_BROKEN;
	tls->fault = (u8)fault;
	if (tls->env->detail[0] == '\0')
		snprintf(tls->env->detail, sizeof(tls->env->detail), "%.*s",
			STR_FMT(tls_fault_info(fault)->cause));
	slice_drop(&tls->in);
}

// The methods of HTTP begin with a capital letter, which no record does.
static bool looks_like_http(const struct tls *tls)
{
	return tls->server && !tls->has_begun && tls->in.len && tls->in.ptr[0] >= 'A' &&
	       tls->in.ptr[0] <= 'Z';
}

// Where HTTP/2 is what was asked for, silence and another choice are refused alike.
static bool is_agreed(const struct tls *tls)
{
	struct str chosen = tls_alpn(tls);

	if (!tls->client || !tls_client_needs_h2(tls->client) || str_eq(chosen, STR("h2")))
		return true;
	snprintf(tls->env->detail, sizeof(tls->env->detail), "it chose %.*s by ALPN, not h2",
		STR_FMT(chosen.len ? chosen : STR("nothing")));
	return false;
}

static enum tls_fault fault_of_shake(struct tls *tls)
{
	enum tls_fault fault = tls_env_fault(tls->env, tls->ssl);

	if (tls->is_short) {
		snprintf(tls->env->detail, sizeof(tls->env->detail), "no memory for a message");
		return TLS_FAULT_INTERNAL;
	}
	if (fault == TLS_FAULT_PROTOCOL && tls->client && tls_client_needs_h2(tls->client))
		return TLS_FAULT_NOT_H2;
	return fault;
}

enum tls_state tls_shake(struct tls *tls)
{
	int result;

	ASSERT(tls->state == TLS_SHAKING);
	tls->env->detail[0] = '\0';
	if (looks_like_http(tls)) {
		tls->state = TLS_BROKEN; // and `in` is kept: it may be answered
		tls->fault = TLS_FAULT_PLAIN_HTTP;
		return TLS_BROKEN;
	}
	tls->has_begun |= tls->in.len > 0;
	ERR_clear_error();
	result = SSL_do_handshake(tls->ssl);
	if (result == 1 && is_agreed(tls))
		tls->state = TLS_OPEN;
	else if (result == 1)
		break_off(tls, TLS_FAULT_NOT_H2);
	else if (SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ)
		break_off(tls, fault_of_shake(tls));
	else if (tls->in_over)
		break_off(tls, TLS_FAULT_CLOSED);
	ERR_clear_error();
	return (enum tls_state)tls->state;
}

// OpenSSL's list of errors is the thread's. Whoever made one empties it; doing so before each
// record instead would cost a tenth of a small request.

// Fills the block as far as there are records. Gives SSL_ERROR_NONE or why there are no more.
static int fill(struct tls *tls, struct block *block, size_t *ret_len)
{
	size_t len = 0;
	int error = SSL_ERROR_NONE;

	while (len < block->size) {
		size_t more = 0;
		int result = SSL_read_ex(tls->ssl, block->data + len, block->size - len, &more);

		if (result != 1) {
			// What waits says so itself, whatever stands among the errors.
			error = SSL_want_read(tls->ssl) ? SSL_ERROR_WANT_READ
							: SSL_get_error(tls->ssl, result);
			break;
		}
		len += more;
		if (tls_is_dry(tls) && !SSL_has_pending(tls->ssl))
			break;
	}
	*ret_len = len;
	return error;
}

static enum tls_got stop(struct tls *tls, int error)
{
	if (unlikely(tls->late != TLS_FAULT_NONE)) {
		tls->env->detail[0] = '\0';
		break_off(tls, (enum tls_fault)tls->late);
		return TLS_GOT_FAULT;
	}
	switch (error) {
	case SSL_ERROR_NONE:
	case SSL_ERROR_WANT_READ:
		return tls->in_over ? TLS_GOT_CUT : TLS_GOT_DRY;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_GOT_END;
	default:
		break_off(tls, tls_env_fault(tls->env, tls->ssl));
		ERR_clear_error();
		return TLS_GOT_FAULT;
	}
}

enum tls_got tls_take(struct tls *tls, bool upstream, struct slice *ret_slice)
{
	struct block *block;
	size_t len;
	int error;

	if (tls->state != TLS_OPEN)
		return TLS_GOT_FAULT;
	if (unlikely(tls->late != TLS_FAULT_NONE))
		return stop(tls, SSL_ERROR_NONE);
	if (tls_is_dry(tls) && !SSL_has_pending(tls->ssl)) {
		if (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN)
			return TLS_GOT_END;
		return stop(tls, SSL_ERROR_NONE);
	}
	block = block_get(tls->pool, upstream);
	if (!block)
		block = block_get_sized(tls->pool, BLOCK_SMALL_BYTES);
	if (!block) {
		tls->is_short = true;
		tls->env->detail[0] = '\0';
		break_off(tls, TLS_FAULT_INTERNAL);
		return TLS_GOT_FAULT;
	}
	tls->env->detail[0] = '\0';
	error = fill(tls, block, &len);
	if (len == 0) {
		block_unref(block);
		return stop(tls, error);
	}
	// What is behind these bytes is for the next call; OpenSSL tells of an end again.
	if (unlikely(error == SSL_ERROR_SSL)) {
		tls->late = (u8)tls_env_fault(tls->env, tls->ssl);
		ERR_clear_error();
	}
	block->used = block->class == BLOCK_SMALL ? (u32)len : block->size;
	*ret_slice = (struct slice){.block = block, .ptr = block->data, .len = len};
	tls->updates = 0;
	return TLS_GOT_BYTES;
}

// `ret_done`: how much of it was sealed, less than `len` where the peer takes no larger records
// (RFC 6066 4).
static int seal_record(struct tls *tls, const char *data, size_t len, size_t *ret_done)
{
	if (SSL_write_ex(tls->ssl, data, len, ret_done) == 1)
		return 0;
	tls->env->detail[0] = '\0';
	break_off(tls, TLS_FAULT_INTERNAL);
	ERR_clear_error();
	return -ENOMEM;
}

// The first `want` bytes in one piece: where they lie, or copied together.
static const char *gather(struct tls *tls, const struct bytes *plain, size_t want)
{
	const struct segment *segment = plain->head;
	size_t len = 0;

	if (segment->slice.len >= want)
		return segment->slice.ptr;
	for (; len < want; segment = segment->next) {
		size_t part = MIN(want - len, segment->slice.len);

		memcpy(tls->env->record + len, segment->slice.ptr, part);
		len += part;
	}
	return tls->env->record;
}

// Of what does not fit one record, large slices are sealed where they lie and not copied together.
static size_t choose_size(const struct tls *tls, const struct bytes *plain)
{
	const struct segment *segment = plain->head;
	size_t len = segment->slice.len;

	if (tls->ramp < TLS_RAMP_BYTES)
		return MIN(plain->len, (size_t)TLS_RECORD_FIRST);
	if (plain->len <= TLS_RECORD_FULL)
		return plain->len;
	if (len < TLS_RECORD_PIECE) {
		for (segment = segment->next; len < TLS_RECORD_FULL; segment = segment->next) {
			if (segment->slice.len >= TLS_RECORD_PIECE)
				break;
			len += segment->slice.len;
		}
	}
	return MIN(len, (size_t)TLS_RECORD_FULL);
}

int tls_seal(struct tls *tls, struct bytes *plain, u64 now_ms)
{
	if (tls->state != TLS_OPEN || tls->closed_out)
		return -EPIPE;
	if (now_ms - tls->sealed_ms >= TLS_RAMP_IDLE_MS)
		tls->ramp = 0;
	tls->sealed_ms = now_ms;
	while (!bytes_is_empty(plain)) {
		size_t len = choose_size(tls, plain);
		size_t done = 0;
		int error = seal_record(tls, gather(tls, plain, len), len, &done);

		if (error)
			return error;
		if (tls->ramp < TLS_RAMP_BYTES)
			tls->ramp += (u32)done;
		bytes_consume(plain, done);
	}
	bytes_clear(plain);
	return 0;
}

void tls_close(struct tls *tls)
{
	if (tls->state != TLS_OPEN || tls->closed_out)
		return;
	tls->closed_out = true;
	ERR_clear_error();
	(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
}

bool tls_is_resumed(const struct tls *tls)
{
	return SSL_session_reused(tls->ssl);
}

struct str tls_version(const struct tls *tls)
{
	return str_from(SSL_get_version(tls->ssl));
}

struct str tls_cipher(const struct tls *tls)
{
	return str_from(SSL_CIPHER_get_name(SSL_get_current_cipher(tls->ssl)));
}

struct str tls_sni(const struct tls *tls)
{
	const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);

	return name ? str_from(name) : STR_EMPTY;
}

struct str tls_alpn(const struct tls *tls)
{
	const unsigned char *name = NULL;
	unsigned len = 0;

	SSL_get0_alpn_selected(tls->ssl, &name, &len);
	return str_make((const char *)name, len);
}
