// SPDX-License-Identifier: Apache-2.0
#include "proxy/client_cert.h"

#include <openssl/ssl.h>

#include "base/log_text.h"
#include "base/mem.h"
#include "net/tls_cert.h"

enum { value_bytes_max = CONF_CERT_NAME_MAX + 1, lines_bytes_max = 2 * value_bytes_max + 64 };

static const struct str heads[] = {{"X-Client-Cert-Subject: ", 23}, {"X-Client-Cert-San: ", 19}};

static char *put_line(char *at, struct str head, struct str value)
{
	if (value.len == 0)
		return at;
	at = log_put(at, head);
	at = log_put(at, value);
	return LOG_PUT(at, "\r\n");
}

void client_cert_note(struct conn *conn)
{
	struct tls *tls = conn->tls;
	X509 *leaf = SSL_get0_peer_certificate(tls->ssl);
	char value[value_bytes_max], lines[lines_bytes_max], *at = lines;

	if (!leaf || SSL_get_verify_result(tls->ssl) != X509_V_OK)
		return;
	at = put_line(at, heads[0], str_make(value, tls_cert_subject(leaf, value, sizeof(value))));
	at = put_line(
		at, heads[1], str_make(value, tls_cert_alternatives(leaf, value, sizeof(value))));
	tls->note = mem_try_alloc((size_t)(at - lines) + 1); // also one that names nobody is known
	if (!tls->note)
		return;
	memcpy(tls->note, lines, (size_t)(at - lines));
	tls->note_len = (u16)(at - lines);
}

// The value of the line that begins so, which is then behind us.
static struct str take_line(struct str *lines, struct str head)
{
	struct str value;

	if (!str_starts(*lines, head))
		return STR_EMPTY;
	value = str_cut(lines, '\n');
	return str_make(value.ptr + head.len, value.len - head.len - 1);
}

struct router_cert client_cert_known(const struct conn *conn)
{
	const struct tls *tls = conn_tls(conn);
	struct router_cert cert = {0};
	struct str lines;

	if (!tls || !tls->note)
		return cert;
	lines = str_make(tls->note, tls->note_len);
	cert.is_verified = true;
	cert.subject = take_line(&lines, heads[0]);
	cert.sans = take_line(&lines, heads[1]);
	return cert;
}

struct str client_cert_lines(struct arena *arena, struct str subject, struct str sans)
{
	char *start = arena_alloc(arena, subject.len + sans.len + 64), *at;

	if (!start)
		return STR_EMPTY;
	at = put_line(start, heads[0], subject);
	at = put_line(at, heads[1], sans);
	return str_make(start, (size_t)(at - start));
}

void client_cert_describe(const struct tls *tls, struct proxy_header_tls *ret_described,
	char room[static CLIENT_CERT_NAME_MAX])
{
	enum { by_tls = 1, showed_now = 2, showed_once = 4 };
	X509 *leaf = SSL_get0_peer_certificate(tls->ssl);

	*ret_described = (struct proxy_header_tls){.is_set = true,
		.client = by_tls,
		.verify = 1,
		.version = tls_version(tls),
		.cipher = tls_cipher(tls)};
	if (!leaf)
		return;
	ret_described->client |= showed_once | (tls_is_resumed(tls) ? 0 : showed_now);
	if (SSL_get_verify_result(tls->ssl) != X509_V_OK)
		return;
	ret_described->verify = 0;
	ret_described->cn = str_make(room, tls_cert_common_name(leaf, room, CLIENT_CERT_NAME_MAX));
}

void client_cert_tell(struct exchange *x)
{
	struct http_head *head = x->request;
	const struct tls *tls = conn_tls(&x->client->conn);

	ASSERT(head->added_count < HTTP_ADDED_MAX);
	if (tls && tls->note_len)
		head->added[head->added_count++] = str_make(tls->note, tls->note_len);
}
