// SPDX-License-Identifier: Apache-2.0
#include "net/tls_bio.h"

static int on_read(BIO *bio, char *to, size_t room, size_t *ret_len)
{
	struct tls *tls = BIO_get_data(bio);
	size_t len = MIN(room, tls->in.len);

	BIO_clear_retry_flags(bio);
	if (len == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(to, tls->in.ptr, len);
	tls->in.ptr += len;
	tls->in.len -= len;
	if (tls->in.len == 0)
		slice_drop(&tls->in);
	*ret_len = len;
	return 1;
}

static int on_write(BIO *bio, const char *data, size_t len, size_t *ret_len)
{
	struct tls *tls = BIO_get_data(bio);
	int (*write)(struct block_pool *, struct bytes *, const void *, size_t) =
		len > BLOCK_SMALL_BYTES ? bytes_write_bulk : bytes_write;

	BIO_clear_retry_flags(bio);
	if (write(tls->pool, &tls->wire, data, len) != 0) {
		tls->is_short = true;
		return 0;
	}
	*ret_len = len;
	return 1;
}

static long on_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "weir");

	if (!method)
		return NULL;
	BIO_meth_set_read_ex(method, on_read);
	BIO_meth_set_write_ex(method, on_write);
	BIO_meth_set_ctrl(method, on_control);
	return method;
}

BIO *tls_bio_new(BIO_METHOD *method, struct tls *tls)
{
	BIO *bio = BIO_new(method);

	if (!bio)
		return NULL;
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	return bio;
}
