// SPDX-License-Identifier: Apache-2.0
// PROXY headers: however the bytes are cut, the same comes of it; what is written reads back.
#include "fuzz_check.h"
#include "proto/proxy_header.h"

struct verdict {
	enum proxy_header_fault fault;
	size_t len, need;
	struct proxy_header header;
};

static struct verdict look(const char *bytes, size_t len, char **ret_copy)
{
	struct verdict verdict = {0};

	*ret_copy = fuzz_copy(bytes, len);
	verdict.fault = proxy_header_read(
		str_make(*ret_copy, len), &verdict.header, &verdict.len, &verdict.need);
	return verdict;
}

static bool is_same_addr(const struct addr *a, const struct addr *b)
{
	bool is_ip = a->family == ADDR_V4 || a->family == ADDR_V6;

	return a->family == b->family && a->port == b->port &&
	       (!is_ip || memcmp(a->ip, b->ip, a->family == ADDR_V4 ? 4 : 16) == 0);
}

static bool is_same(const struct proxy_header *a, const struct proxy_header *b)
{
	return a->is_local == b->is_local && is_same_addr(&a->source, &b->source) &&
	       is_same_addr(&a->target, &b->target) && str_eq(a->alpn, b->alpn) &&
	       str_eq(a->authority, b->authority) && str_eq(a->unique_id, b->unique_id) &&
	       a->tls.is_set == b->tls.is_set && a->tls.client == b->tls.client &&
	       a->tls.verify == b->tls.verify && str_eq(a->tls.version, b->tls.version) &&
	       str_eq(a->tls.cn, b->tls.cn) && str_eq(a->tls.cipher, b->tls.cipher) &&
	       a->has_checksum == b->has_checksum;
}

static void check_slices(const struct verdict *verdict, const char *copy)
{
	struct str whole = str_make(copy, verdict->len);
	const struct str texts[] = {verdict->header.alpn, verdict->header.authority,
		verdict->header.unique_id, verdict->header.tls.version, verdict->header.tls.cn,
		verdict->header.tls.cipher};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].len)
			fuzz_check_inside(texts[i], whole);
}

// A beginning is either not enough, or says what the whole says.
static void check_beginnings(const struct verdict *whole, const char *bytes, size_t size)
{
	size_t needed = 0;

	for (size_t len = 0; len < size; len++) {
		char *copy;
		struct verdict part = look(bytes, len, &copy);

		if (part.fault) {
			ASSERT(part.fault == whole->fault);
		} else if (part.len) {
			ASSERT(part.len == whole->len && part.len <= len && needed <= len);
			ASSERT(!whole->fault && is_same(&part.header, &whole->header));
		} else {
			ASSERT(part.need > len && part.need >= needed);
			ASSERT(part.need <= PROXY_HEADER_BYTES_MAX);
			needed = part.need;
		}
		free(copy);
		if (part.fault || part.len)
			return;
	}
}

// What nobody can write again stays out of the comparison.
static void make_writable(struct proxy_header *header)
{
	struct str *texts[] = {
		&header->alpn, &header->tls.version, &header->tls.cn, &header->tls.cipher};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i]->len > PROXY_HEADER_TEXT_MAX)
			*texts[i] = STR_EMPTY;
	if (header->source.family == ADDR_UNIX)
		header->source = header->target = (struct addr){0};
}

static void check_written(struct proxy_header header)
{
	char buffer[PROXY_HEADER_WRITTEN_MAX];
	struct verdict again;
	char *copy;
	size_t len;

	make_writable(&header);
	len = proxy_header_write(&header, buffer);
	again = look(buffer, len, &copy);
	ASSERT(!again.fault && again.len == len && again.header.version == header.version);
	ASSERT(is_same(&again.header, &header));
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct verdict whole;
	char *copy;

	if (size > PROXY_HEADER_BYTES_MAX + 64)
		return 0;
	whole = look(bytes, size, &copy);
	check_beginnings(&whole, bytes, size);
	if (!whole.fault && whole.len) {
		ASSERT(whole.len <= size && whole.len <= PROXY_HEADER_BYTES_MAX);
		check_slices(&whole, copy);
		check_written(whole.header);
	}
	free(copy);
	return 0;
}
