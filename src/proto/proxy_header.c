// SPDX-License-Identifier: Apache-2.0
#include "proto/proxy_header.h"

#include <stdio.h>

enum {
	v2_fixed_bytes = 16, // signature, version and command, family and transport, length
	v4_addresses_bytes = 12,
	v6_addresses_bytes = 36,
	unix_addresses_bytes = 216,
	tlv_head_bytes = 3,
	tls_fixed_bytes = 5, // client bits and the result of the verification
	checksum_bytes = 4,
};

enum {
	command_local = 0,
	command_proxy = 1,
};

enum {
	family_unspec = 0x00,
	family_v4_stream = 0x11,
	family_v4_datagram = 0x12,
	family_v6_stream = 0x21,
	family_v6_datagram = 0x22,
	family_unix_stream = 0x31,
	family_unix_datagram = 0x32,
};

enum {
	tlv_alpn = 0x01,
	tlv_authority = 0x02,
	tlv_crc32c = 0x03,
	tlv_unique_id = 0x05,
	tlv_tls = 0x20,
	tlv_tls_version = 0x21,
	tlv_tls_cn = 0x22,
	tlv_tls_cipher = 0x23,
};

static const struct str v1_begin = {"PROXY ", 6};
static const struct str v2_begin = {"\r\n\r\n\0\r\nQUIT\n", 12};

const char *proxy_header_fault_text(enum proxy_header_fault fault)
{
	static const char *const texts[] = {
#define X(name, text) text,
		PROXY_HEADER_FAULTS(X)
#undef X
	};

	return texts[fault];
}

static u16 read_u16(const char *at)
{
	return (u16)((u8)at[0] << 8 | (u8)at[1]);
}

static u32 read_u32(const char *at)
{
	return (u32)read_u16(at) << 16 | read_u16(at + 2);
}

// ---- CRC32C (Castagnoli), a nibble at a time: headers are short ---------------------------------

static u32 crc32c_add(u32 crc, const char *bytes, size_t len)
{
	static const u32 table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc,
		0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

	for (size_t i = 0; i < len; i++) {
		crc ^= (u8)bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

// Of a whole header, with zeros in place of the checksum's value.
static u32 checksum_of(struct str header, size_t value_at)
{
	static const char zeros[checksum_bytes];
	size_t behind = value_at + checksum_bytes;
	u32 crc = crc32c_add(UINT32_MAX, header.ptr, value_at);

	crc = crc32c_add(crc, zeros, sizeof(zeros));
	return ~crc32c_add(crc, header.ptr + behind, header.len - behind);
}

// ---- Version 1 ----------------------------------------------------------------------------------

static bool read_port(struct str text, u16 *ret_port)
{
	u64 port;

	if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0') ||
		str_to_u64(text, UINT16_MAX, &port) != 0)
		return false;
	*ret_port = (u16)port;
	return true;
}

// Four numbers without leading zeros, or an IPv6 address without a zone.
static bool read_address(struct str text, bool is_v6, struct addr *ret_addr)
{
	bool has_colon = str_find(text, ':') < text.len;

	if (has_colon != is_v6 || str_find(text, '%') < text.len || str_find(text, '[') < text.len)
		return false;
	for (size_t i = 0; !is_v6 && i + 1 < text.len; i++)
		if (text.ptr[i] == '0' && (i == 0 || text.ptr[i - 1] == '.') &&
			ascii_is_digit(text.ptr[i + 1]))
			return false;
	return addr_parse_ip(text, ret_addr) == 0;
}

// Up to the next space, which must be there.
static bool take_word(struct str *rest, struct str *ret_word)
{
	size_t space = str_find(*rest, ' ');

	if (space == rest->len)
		return false;
	*ret_word = str_make(rest->ptr, space);
	*rest = str_make(rest->ptr + space + 1, rest->len - space - 1);
	return true;
}

static bool read_line(struct str line, struct proxy_header *header)
{
	struct str rest = line, family, source, target, source_port;
	bool is_v6;

	if (str_eq(line, STR("UNKNOWN")) || str_starts(line, STR("UNKNOWN ")))
		return true; // whatever follows is to be ignored
	if (!take_word(&rest, &family) || !take_word(&rest, &source) ||
		!take_word(&rest, &target) || !take_word(&rest, &source_port))
		return false;
	is_v6 = str_eq(family, STR("TCP6"));
	if (!is_v6 && !str_eq(family, STR("TCP4")))
		return false;
	return read_address(source, is_v6, &header->source) &&
	       read_address(target, is_v6, &header->target) &&
	       read_port(source_port, &header->source.port) &&
	       read_port(rest, &header->target.port);
}

static enum proxy_header_fault read_v1(
	struct str bytes, struct proxy_header *header, size_t *ret_len, size_t *ret_need)
{
	struct str look = str_make(bytes.ptr, MIN(bytes.len, (size_t)PROXY_HEADER_V1_BYTES_MAX));
	size_t end = str_find(look, '\n');

	if (end == look.len) {
		if (look.len == PROXY_HEADER_V1_BYTES_MAX)
			return PROXY_HEADER_LINE_TOO_LONG;
		*ret_need = bytes.len + 1;
		return PROXY_HEADER_OK;
	}
	if (look.ptr[end - 1] != '\r' ||
		!read_line(str_make(look.ptr + v1_begin.len, end - 1 - v1_begin.len), header))
		return PROXY_HEADER_LINE;
	header->version = 1;
	*ret_len = end + 1;
	return PROXY_HEADER_OK;
}

// ---- Version 2 ----------------------------------------------------------------------------------

struct tlv {
	u8 type;
	struct str value;
};

static bool take_tlv(struct str *rest, struct tlv *ret_tlv)
{
	size_t len;

	if (rest->len < tlv_head_bytes)
		return false;
	len = read_u16(rest->ptr + 1);
	if (rest->len - tlv_head_bytes < len)
		return false;
	*ret_tlv = (struct tlv){(u8)rest->ptr[0], str_make(rest->ptr + tlv_head_bytes, len)};
	rest->ptr += tlv_head_bytes + len;
	rest->len -= tlv_head_bytes + len;
	return true;
}

// False: it was there before.
static bool keep_text(struct str *text, struct str value)
{
	if (text->ptr)
		return false;
	*text = value;
	return true;
}

static enum proxy_header_fault read_tls(struct str value, struct proxy_header_tls *tls)
{
	struct str rest = value;

	if (tls->is_set || value.len < tls_fixed_bytes)
		return PROXY_HEADER_TLV_BAD;
	tls->is_set = true;
	tls->client = (u8)value.ptr[0];
	tls->verify = read_u32(value.ptr + 1);
	rest = str_make(value.ptr + tls_fixed_bytes, value.len - tls_fixed_bytes);
	while (rest.len) {
		struct tlv tlv;
		bool is_good = true;

		if (!take_tlv(&rest, &tlv))
			return PROXY_HEADER_TLV_CUT;
		if (tlv.type == tlv_tls_version)
			is_good = keep_text(&tls->version, tlv.value);
		else if (tlv.type == tlv_tls_cn)
			is_good = keep_text(&tls->cn, tlv.value);
		else if (tlv.type == tlv_tls_cipher)
			is_good = keep_text(&tls->cipher, tlv.value);
		if (!is_good)
			return PROXY_HEADER_TLV_BAD;
	}
	return PROXY_HEADER_OK;
}

static enum proxy_header_fault read_checksum(
	struct str header_bytes, struct str value, struct proxy_header *header)
{
	if (header->has_checksum || value.len != checksum_bytes)
		return PROXY_HEADER_TLV_BAD;
	header->has_checksum = true;
	if (checksum_of(header_bytes, (size_t)(value.ptr - header_bytes.ptr)) !=
		read_u32(value.ptr))
		return PROXY_HEADER_CHECKSUM;
	return PROXY_HEADER_OK;
}

static enum proxy_header_fault read_tlv(
	struct str bytes, const struct tlv *tlv, struct proxy_header *header)
{
	bool is_good = true;

	switch (tlv->type) {
	case tlv_alpn:
		is_good = keep_text(&header->alpn, tlv->value);
		break;
	case tlv_authority:
		is_good = tlv->value.len <= PROXY_HEADER_TEXT_MAX &&
			  keep_text(&header->authority, tlv->value);
		break;
	case tlv_unique_id:
		is_good = tlv->value.len <= PROXY_HEADER_UNIQUE_ID_MAX &&
			  keep_text(&header->unique_id, tlv->value);
		break;
	case tlv_crc32c:
		return read_checksum(bytes, tlv->value, header);
	case tlv_tls:
		return read_tls(tlv->value, &header->tls);
	default:
		break;
	}
	return is_good ? PROXY_HEADER_OK : PROXY_HEADER_TLV_BAD;
}

static enum proxy_header_fault read_tlvs(struct str bytes, size_t at, struct proxy_header *header)
{
	struct str rest = str_make(bytes.ptr + at, bytes.len - at);

	while (rest.len) {
		enum proxy_header_fault fault;
		struct tlv tlv;

		if (!take_tlv(&rest, &tlv))
			return PROXY_HEADER_TLV_CUT;
		fault = read_tlv(bytes, &tlv, header);
		if (fault)
			return fault;
	}
	return PROXY_HEADER_OK;
}

// Two addresses of `len` bytes each, and their ports.
static void read_addresses(
	const char *at, enum addr_family family, size_t len, struct proxy_header *header)
{
	header->source.family = header->target.family = (u8)family;
	memcpy(header->source.ip, at, len);
	memcpy(header->target.ip, at + len, len);
	header->source.port = read_u16(at + 2 * len);
	header->target.port = read_u16(at + 2 * len + 2);
}

static size_t addresses_bytes_of(u8 family)
{
	switch (family) {
	case family_v4_stream:
		return v4_addresses_bytes;
	case family_v6_stream:
		return v6_addresses_bytes;
	case family_unix_stream:
		return unix_addresses_bytes;
	default:
		return 0;
	}
}

static enum proxy_header_fault read_proxied(struct str bytes, struct proxy_header *header)
{
	u8 family = (u8)bytes.ptr[13];
	size_t addresses = addresses_bytes_of(family);
	const char *at = bytes.ptr + v2_fixed_bytes;

	if (bytes.len - v2_fixed_bytes < addresses)
		return PROXY_HEADER_ADDRESSES_CUT;
	if (addresses == v4_addresses_bytes)
		read_addresses(at, ADDR_V4, 4, header);
	else if (addresses == v6_addresses_bytes)
		read_addresses(at, ADDR_V6, 16, header);
	else if (addresses == unix_addresses_bytes)
		header->source = header->target = (struct addr){.family = ADDR_UNIX, .path = ""};
	return read_tlvs(bytes, v2_fixed_bytes + addresses, header);
}

static bool is_datagram(u8 family)
{
	return family == family_v4_datagram || family == family_v6_datagram ||
	       family == family_unix_datagram;
}

static enum proxy_header_fault check_fixed(struct str bytes, size_t *ret_len)
{
	u8 command = (u8)bytes.ptr[12] & 15, family = (u8)bytes.ptr[13];

	if ((u8)bytes.ptr[12] >> 4 != 2)
		return PROXY_HEADER_VERSION;
	if (command > command_proxy)
		return PROXY_HEADER_COMMAND;
	if (command == command_proxy && is_datagram(family))
		return PROXY_HEADER_DATAGRAM;
	if (command == command_proxy && family != family_unspec && !addresses_bytes_of(family))
		return PROXY_HEADER_FAMILY;
	*ret_len = v2_fixed_bytes + (size_t)read_u16(bytes.ptr + 14);
	return *ret_len > PROXY_HEADER_BYTES_MAX ? PROXY_HEADER_TOO_LARGE : PROXY_HEADER_OK;
}

static enum proxy_header_fault read_v2(
	struct str bytes, struct proxy_header *header, size_t *ret_len, size_t *ret_need)
{
	enum proxy_header_fault fault;
	size_t len;

	*ret_need = v2_fixed_bytes;
	if (bytes.len < v2_fixed_bytes)
		return PROXY_HEADER_OK;
	fault = check_fixed(bytes, &len);
	if (fault)
		return fault;
	*ret_need = len;
	if (bytes.len < len)
		return PROXY_HEADER_OK;
	header->version = 2;
	*ret_len = len;
	header->is_local = ((u8)bytes.ptr[12] & 15) == command_local;
	if (header->is_local)
		return PROXY_HEADER_OK; // the rest is to be ignored
	return read_proxied(str_make(bytes.ptr, len), header);
}

// ---- Either -------------------------------------------------------------------------------------

static bool may_become(struct str bytes, struct str begin)
{
	size_t len = MIN(bytes.len, begin.len);

	return memcmp(bytes.ptr, begin.ptr, len) == 0;
}

static void make_ready(struct proxy_header *header)
{
	struct str *texts[] = {&header->alpn, &header->authority, &header->unique_id,
		&header->tls.version, &header->tls.cn, &header->tls.cipher};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (!texts[i]->ptr)
			*texts[i] = STR_EMPTY;
	addr_unmap(&header->source);
	addr_unmap(&header->target);
}

enum proxy_header_fault proxy_header_read(
	struct str bytes, struct proxy_header *ret_header, size_t *ret_len, size_t *ret_need)
{
	enum proxy_header_fault fault = PROXY_HEADER_OK;
	struct proxy_header header = {0};
	size_t len = 0, need = 1;

	if (bytes.len == 0)
		;
	else if (may_become(bytes, v1_begin)) {
		need = v1_begin.len;
		if (bytes.len >= v1_begin.len)
			fault = read_v1(bytes, &header, &len, &need);
	} else if (may_become(bytes, v2_begin)) {
		fault = read_v2(bytes, &header, &len, &need);
	} else {
		fault = PROXY_HEADER_NOT_ONE;
	}
	if (fault)
		return fault;
	if (len) {
		make_ready(&header);
		*ret_header = header;
	}
	*ret_len = len;
	*ret_need = len ? len : need;
	return PROXY_HEADER_OK;
}

// ---- Writing ------------------------------------------------------------------------------------

struct out {
	char *start, *at;
};

static void put(struct out *out, const void *bytes, size_t len)
{
	ASSERT(out->at + len <= out->start + PROXY_HEADER_WRITTEN_MAX);
	memcpy(out->at, bytes, len);
	out->at += len;
}

static void put_u8(struct out *out, u8 value)
{
	put(out, &value, 1);
}

static void put_u16(struct out *out, size_t value)
{
	put_u8(out, (u8)(value >> 8));
	put_u8(out, (u8)value);
}

static void put_u32(struct out *out, u32 value)
{
	put_u16(out, value >> 16);
	put_u16(out, value & 0xffff);
}

static void put_tlv(struct out *out, u8 type, struct str value, size_t max)
{
	if (value.len == 0 || value.len > max)
		return;
	put_u8(out, type);
	put_u16(out, value.len);
	put(out, value.ptr, value.len);
}

// Its length comes behind it.
static char *begin_tlv(struct out *out, u8 type)
{
	put_u8(out, type);
	put_u16(out, 0);
	return out->at;
}

static void end_tlv(struct out *out, char *value)
{
	size_t len = (size_t)(out->at - value);

	value[-2] = (char)(len >> 8);
	value[-1] = (char)len;
}

static void put_tls(struct out *out, const struct proxy_header_tls *tls)
{
	char *value;

	if (!tls->is_set)
		return;
	value = begin_tlv(out, tlv_tls);
	put_u8(out, tls->client);
	put_u32(out, tls->verify);
	put_tlv(out, tlv_tls_version, tls->version, PROXY_HEADER_TEXT_MAX);
	put_tlv(out, tlv_tls_cn, tls->cn, PROXY_HEADER_TEXT_MAX);
	put_tlv(out, tlv_tls_cipher, tls->cipher, PROXY_HEADER_TEXT_MAX);
	end_tlv(out, value);
}

static bool is_ip(const struct addr *addr)
{
	return addr->family == ADDR_V4 || addr->family == ADDR_V6;
}

// Both as IPv6 where one is.
static struct addr widen(const struct addr *addr)
{
	struct addr wide = {
		.family = ADDR_V6, .port = addr->port, .ip = {[10] = 0xff, [11] = 0xff}};

	if (addr->family == ADDR_V6)
		return *addr;
	memcpy(wide.ip + 12, addr->ip, 4);
	return wide;
}

static size_t write_v1(const struct addr *source, const struct addr *target, char *buffer)
{
	struct addr from = *source, to = *target;
	char texts[2][ADDR_TEXT_MAX];

	from.scope = to.scope = 0;
	addr_format_ip(&from, texts[0]);
	addr_format_ip(&to, texts[1]);
	return (size_t)snprintf(buffer, PROXY_HEADER_WRITTEN_MAX, "PROXY TCP%c %s %s %u %u\r\n",
		from.family == ADDR_V4 ? '4' : '6', texts[0], texts[1], from.port, to.port);
}

static void put_addresses(
	struct out *out, const struct addr *source, const struct addr *target, size_t len)
{
	put(out, source->ip, len);
	put(out, target->ip, len);
	put_u16(out, source->port);
	put_u16(out, target->port);
}

static size_t write_v2(const struct proxy_header *header, const struct addr *source,
	const struct addr *target, char *buffer)
{
	struct out out = {buffer, buffer};
	bool is_v4 = source && source->family == ADDR_V4;
	size_t len, checksum_at = 0;

	put(&out, v2_begin.ptr, v2_begin.len);
	put_u8(&out, (u8)(0x20 | (header->is_local ? command_local : command_proxy)));
	put_u8(&out, (u8)(!source ? family_unspec : is_v4 ? family_v4_stream : family_v6_stream));
	put_u16(&out, 0);
	if (source)
		put_addresses(&out, source, target, is_v4 ? 4 : 16);
	if (!header->is_local) {
		put_tlv(&out, tlv_alpn, header->alpn, PROXY_HEADER_TEXT_MAX);
		put_tlv(&out, tlv_authority, header->authority, PROXY_HEADER_TEXT_MAX);
		put_tlv(&out, tlv_unique_id, header->unique_id, PROXY_HEADER_UNIQUE_ID_MAX);
		put_tls(&out, &header->tls);
	}
	if (header->has_checksum) {
		put_u8(&out, tlv_crc32c);
		put_u16(&out, checksum_bytes);
		checksum_at = (size_t)(out.at - buffer);
		put_u32(&out, 0);
	}
	len = (size_t)(out.at - buffer);
	buffer[14] = (char)((len - v2_fixed_bytes) >> 8);
	buffer[15] = (char)(len - v2_fixed_bytes);
	if (checksum_at) {
		out.at = buffer + checksum_at;
		put_u32(&out, checksum_of(str_make(buffer, len), checksum_at));
	}
	return len;
}

size_t proxy_header_write(
	const struct proxy_header *header, char buffer[static PROXY_HEADER_WRITTEN_MAX])
{
	bool knows = !header->is_local && is_ip(&header->source) && is_ip(&header->target);
	struct addr source = header->source, target = header->target;

	if (knows && source.family != target.family) {
		source = widen(&source);
		target = widen(&target);
	}
	if (header->version == 2)
		return write_v2(header, knows ? &source : NULL, knows ? &target : NULL, buffer);
	if (knows)
		return write_v1(&source, &target, buffer);
	memcpy(buffer, PROXY_HEADER_V1_NOBODY, sizeof(PROXY_HEADER_V1_NOBODY) - 1);
	return sizeof(PROXY_HEADER_V1_NOBODY) - 1;
}
