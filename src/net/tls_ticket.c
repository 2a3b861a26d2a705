// SPDX-License-Identifier: Apache-2.0
#include "net/tls_ticket.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <sys/random.h>

#include "net/tls_env.h"

enum { periods_max = 100 * 1000 }; // further the clock does not honestly jump

static const i64 period_ms = (i64)TLS_TICKET_HOURS * 3600 * 1000;

static i64 period_at(i64 wall_ms)
{
	return wall_ms / period_ms;
}

void tls_secret_make(struct tls_secret *secret, i64 wall_ms)
{
	size_t got = 0;

	while (got < sizeof(secret->bytes)) {
		ssize_t more = getrandom(secret->bytes + got, sizeof(secret->bytes) - got, 0);

		if (more > 0)
			got += (size_t)more;
	}
	secret->period = period_at(wall_ms);
}

// SHA-256 of the chain's secret and a word.
static bool derive(OSSL_LIB_CTX *lib, const struct tls_secret *chain, const char *word, u8 *ret)
{
	u8 text[TLS_SECRET_BYTES + 8] = {0};
	size_t len = strlen(word), digest_len = 0;
	bool good;

	ASSERT(len <= 8);
	memcpy(text, chain->bytes, TLS_SECRET_BYTES);
	memcpy(text + TLS_SECRET_BYTES, word, len);
	good = EVP_Q_digest(lib, "SHA256", NULL, text, sizeof(text), ret, &digest_len) == 1;
	tls_wipe(text, sizeof(text));
	return good;
}

static bool make_key(OSSL_LIB_CTX *lib, const struct tls_secret *chain, struct tls_ticket_key *ret)
{
	u8 name[TLS_SECRET_BYTES];

	if (!derive(lib, chain, "name", name) || !derive(lib, chain, "aes", ret->aes) ||
		!derive(lib, chain, "hmac", ret->hmac))
		return false;
	memcpy(ret->name, name, sizeof(ret->name));
	return true;
}

static bool step(OSSL_LIB_CTX *lib, const struct tls_secret *chain, struct tls_secret *ret)
{
	ret->period = chain->period + 1;
	return derive(lib, chain, "chain", ret->bytes);
}

i64 tls_secret_follow(struct tls_secret *secret, i64 wall_ms)
{
	i64 period = MIN(period_at(wall_ms) - 1, secret->period + periods_max);
	struct tls_secret next;

	while (secret->period < period && step(NULL, secret, &next))
		*secret = next;
	tls_wipe(&next, sizeof(next));
	return period_ms - wall_ms % period_ms;
}

void tls_wipe(void *memory, size_t size)
{
	OPENSSL_cleanse(memory, size);
}

static bool make_next(struct tls_tickets *tickets)
{
	struct tls_secret next;
	bool good = step(tickets->lib, &tickets->chain, &next) &&
		    make_key(tickets->lib, &next, &tickets->next);

	tls_wipe(&next, sizeof(next));
	return good;
}

// Follows the clock. What cannot be derived, for want of memory, is tried again at the next ticket.
static void follow(struct tls_tickets *tickets)
{
	i64 period = tickets->wall_ms ? period_at(*tickets->wall_ms) : tickets->chain.period;

	if (likely(period <= tickets->chain.period))
		return;
	period = MIN(period, tickets->chain.period + periods_max);
	while (tickets->chain.period < period) {
		struct tls_secret next;

		if (!step(tickets->lib, &tickets->chain, &next))
			return;
		tickets->before = tickets->now;
		tickets->now = tickets->next;
		tickets->chain = next;
		tls_wipe(&next, sizeof(next));
		if (!make_next(tickets))
			return;
	}
}

static bool use(const struct tls_tickets *tickets, const struct tls_ticket_key *key, const u8 *iv,
	EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(
			OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->hmac, sizeof(key->hmac)),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CipherInit_ex(cipher, tickets->aes, NULL, key->aes, iv, encrypt) == 1 &&
	       EVP_MAC_CTX_set_params(mac, params) == 1;
}

// OpenSSL's words: negative a failure, 0 not our key, 1 good, 2 good but old.
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int encrypt)
{
	struct tls *tls = SSL_get_app_data(ssl);
	struct tls_tickets *tickets = &tls->env->tickets;
	const struct tls_ticket_key *key = NULL;

	follow(tickets);
	if (encrypt) {
		memcpy(name, tickets->now.name, sizeof(tickets->now.name));
		if (RAND_bytes_ex(tickets->lib, iv, 16, 0) != 1)
			return -1;
		return use(tickets, &tickets->now, iv, cipher, mac, true) ? 1 : -1;
	}
	if (memcmp(name, tickets->now.name, TLS_TICKET_NAME_BYTES) == 0)
		key = &tickets->now;
	else if (memcmp(name, tickets->before.name, TLS_TICKET_NAME_BYTES) == 0)
		key = &tickets->before;
	else if (memcmp(name, tickets->next.name, TLS_TICKET_NAME_BYTES) == 0)
		key = &tickets->next;
	if (!key)
		return 0;
	if (!use(tickets, key, iv, cipher, mac, false))
		return -1;
	// A client of TLS 1.3 uses a ticket once, and needs a new one for the next time.
	return key == &tickets->before || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

bool tls_tickets_init(
	struct tls_tickets *tickets, OSSL_LIB_CTX *lib, const struct tls_secret *secret)
{
	*tickets = (struct tls_tickets){.lib = lib, .chain = *secret};
	tickets->aes = EVP_CIPHER_fetch(lib, "AES-256-CBC", NULL);
	if (!tickets->aes || !make_key(lib, secret, &tickets->now) || !make_next(tickets))
		return false;
	tickets->before = tickets->now; // nothing was before
	return true;
}

void tls_tickets_done(struct tls_tickets *tickets)
{
	EVP_CIPHER_free(tickets->aes);
	OPENSSL_cleanse(tickets, sizeof(*tickets));
}

void tls_tickets_use(SSL_CTX *ctx)
{
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}
