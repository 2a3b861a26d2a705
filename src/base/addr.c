// SPDX-License-Identifier: Apache-2.0
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

enum { v6_text_max = INET6_ADDRSTRLEN + 12, unix_path_max = 108, port_max = 65535 };

static const u8 v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

// ::ffff:a.b.c.d is a.b.c.d that came through an IPv6 socket.
void addr_unmap(struct addr *addr)
{
	u8 ip[4];

	if (addr->family != ADDR_V6 || memcmp(addr->ip, v4_mapped, sizeof(v4_mapped)) != 0)
		return;
	memcpy(ip, addr->ip + 12, sizeof(ip));
	memset(addr->ip, 0, sizeof(addr->ip));
	memcpy(addr->ip, ip, sizeof(ip));
	addr->family = ADDR_V4;
	addr->scope = 0;
}

static int parse_v4(struct str text, struct addr *ret_addr)
{
	char copy[INET_ADDRSTRLEN];
	struct addr addr = {.family = ADDR_V4};

	if (text.len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	if (strlen(copy) != text.len || inet_pton(AF_INET, copy, addr.ip) != 1)
		return -EINVAL;
	*ret_addr = addr;
	return 0;
}

// A zone is its number: turning an interface's name into one would be a question to the kernel.
static int parse_v6(struct str text, struct addr *ret_addr)
{
	char copy[INET6_ADDRSTRLEN];
	struct str zone = text, ip = str_cut(&zone, '%');
	struct addr addr = {.family = ADDR_V6};
	u64 scope = 0;

	if (ip.len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, ip.ptr, ip.len);
	copy[ip.len] = '\0';
	if (strlen(copy) != ip.len || inet_pton(AF_INET6, copy, addr.ip) != 1)
		return -EINVAL;
	if (ip.len != text.len && str_to_u64(zone, UINT32_MAX, &scope) < 0)
		return -EINVAL;
	addr.scope = (u32)scope;
	*ret_addr = addr;
	return 0;
}

int addr_parse_ip(struct str text, struct addr *ret_addr)
{
	if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
		return parse_v6(str_make(text.ptr + 1, text.len - 2), ret_addr);
	if (str_find(text, ':') < text.len)
		return parse_v6(text, ret_addr);
	return parse_v4(text, ret_addr);
}

static int parse_unix(struct str path, struct addr *ret_addr)
{
	if (path.len == 0 || (path.ptr[0] != '/' && path.ptr[0] != '@' && path.ptr[0] != '.'))
		return -EINVAL;
	if (path.len >= unix_path_max)
		return -ENAMETOOLONG;
	if (memchr(path.ptr, '\0', path.len))
		return -EINVAL;
	*ret_addr = (struct addr){.family = ADDR_UNIX, .path = path.ptr};
	return 0;
}

// A DNS name or something that can only be a mistyped IPv4 address: a name's last label is not a
// number (RFC 1123 section 2.1).
static int check_name(struct str host)
{
	bool last_is_number = true;

	if (host.len == 0 || host.len > 253 || host.ptr[0] == '.' || host.ptr[0] == '-')
		return -EINVAL;
	for (size_t i = 0; i < host.len; i++) {
		char c = ascii_lower(host.ptr[i]);

		if (c == '.' && i + 1 < host.len) {
			if (host.ptr[i + 1] == '.')
				return -EINVAL;
			last_is_number = true;
		} else if ((c >= 'a' && c <= 'z') || c == '-' || c == '_') {
			last_is_number = false;
		} else if (!ascii_is_digit(c) && c != '.') {
			return -EINVAL;
		}
	}
	return last_is_number ? -EINVAL : -ENOENT;
}

int addr_parse(struct str text, struct addr *ret_addr)
{
	struct addr addr = {.family = ADDR_V4};
	size_t colon = text.len;
	struct str host;
	u64 port = 0;
	int rc = 0;

	if (str_starts(text, STR("unix:")))
		return parse_unix(str_make(text.ptr + 5, text.len - 5), ret_addr);
	while (colon > 0 && text.ptr[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return -EINVAL;
	host = str_make(text.ptr, colon - 1);
	rc = str_to_u64(str_make(text.ptr + colon, text.len - colon), port_max, &port);
	if (rc < 0)
		return rc;
	if (host.len && host.ptr[0] == '[')
		rc = host.ptr[host.len - 1] == ']' ? addr_parse_ip(host, &addr) : -EINVAL;
	else if (host.len && parse_v4(host, &addr) < 0)
		rc = check_name(host);
	if (rc < 0)
		return rc;
	addr.port = (u16)port;
	*ret_addr = addr;
	return 0;
}

static size_t format_v6(const struct addr *addr, char *text, size_t size)
{
	size_t len;

	if (!inet_ntop(AF_INET6, addr->ip, text, INET6_ADDRSTRLEN))
		text[0] = '\0';
	len = strlen(text);
	if (addr->scope)
		len += (size_t)snprintf(text + len, size - len, "%%%u", addr->scope);
	return len;
}

// By hand, because every accepted connection asks for it.
static size_t format_v4(const struct addr *addr, char *text)
{
	char *at = text;

	for (int i = 0; i < 4; i++) {
		u32 part = addr->ip[i];

		if (part >= 100)
			*at++ = (char)('0' + part / 100);
		if (part >= 10)
			*at++ = (char)('0' + part / 10 % 10);
		*at++ = (char)('0' + part % 10);
		*at++ = i < 3 ? '.' : '\0';
	}
	return (size_t)(at - text) - 1;
}

size_t addr_format_ip(const struct addr *addr, char text[static ADDR_TEXT_MAX])
{
	text[0] = '\0';
	switch ((enum addr_family)addr->family) {
	case ADDR_V4:
		return format_v4(addr, text);
	case ADDR_V6:
		return format_v6(addr, text, ADDR_TEXT_MAX);
	case ADDR_UNIX:
		return (size_t)snprintf(text, ADDR_TEXT_MAX, "unix:%s", addr->path);
	case ADDR_NONE:
		break;
	}
	return 0;
}

size_t addr_format(const struct addr *addr, char text[static ADDR_TEXT_MAX])
{
	char ip[v6_text_max];
	size_t len;

	if (addr->family == ADDR_V6) {
		format_v6(addr, ip, sizeof(ip));
		return (size_t)snprintf(text, ADDR_TEXT_MAX, "[%s]:%u", ip, addr->port);
	}
	len = addr_format_ip(addr, text);
	if (addr->family == ADDR_V4)
		len += (size_t)snprintf(text + len, ADDR_TEXT_MAX - len, ":%u", addr->port);
	return len;
}

static socklen_t unix_to_sockaddr(const struct addr *addr, struct sockaddr_storage *ret_sockaddr)
{
	struct sockaddr_un *un = (struct sockaddr_un *)(void *)ret_sockaddr;
	size_t len = strlen(addr->path);

	ASSERT(len < sizeof(un->sun_path));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, addr->path, len + 1);
	if (addr->path[0] != '@')
		return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	// Abstract: a zero byte first, and the length says where the name ends.
	un->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *ret_sockaddr)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)ret_sockaddr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)ret_sockaddr;

	memset(ret_sockaddr, 0, sizeof(*ret_sockaddr));
	switch ((enum addr_family)addr->family) {
	case ADDR_V4:
		in->sin_family = AF_INET;
		in->sin_port = htons(addr->port);
		memcpy(&in->sin_addr, addr->ip, 4);
		return sizeof(*in);
	case ADDR_V6:
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(addr->port);
		in6->sin6_scope_id = addr->scope;
		memcpy(&in6->sin6_addr, addr->ip, 16);
		return sizeof(*in6);
	case ADDR_UNIX:
		return unix_to_sockaddr(addr, ret_sockaddr);
	case ADDR_NONE:
		break;
	}
	return 0;
}

void addr_from_sockaddr(const struct sockaddr_storage *sockaddr, struct addr *ret_addr)
{
	const struct sockaddr_in *in = (const void *)sockaddr;
	const struct sockaddr_in6 *in6 = (const void *)sockaddr;
	struct addr addr = {.family = ADDR_NONE};

	if (sockaddr->ss_family == AF_INET) {
		addr.family = ADDR_V4;
		addr.port = ntohs(in->sin_port);
		memcpy(addr.ip, &in->sin_addr, 4);
	} else if (sockaddr->ss_family == AF_INET6) {
		addr.family = ADDR_V6;
		addr.port = ntohs(in6->sin6_port);
		addr.scope = in6->sin6_scope_id;
		memcpy(addr.ip, &in6->sin6_addr, 16);
		addr_unmap(&addr);
	} else if (sockaddr->ss_family == AF_UNIX) {
		addr.family = ADDR_UNIX;
		addr.path = "";
	}
	*ret_addr = addr;
}

static size_t ip_bytes(const struct addr *addr)
{
	return addr->family == ADDR_V4 ? 4 : 16;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family || a->port != b->port)
		return false;
	if (a->family == ADDR_UNIX)
		return strcmp(a->path, b->path) == 0;
	if (a->family == ADDR_NONE)
		return true;
	return a->scope == b->scope && memcmp(a->ip, b->ip, ip_bytes(a)) == 0;
}

static bool has_host_bits(const struct addr_prefix *prefix)
{
	for (size_t bit = prefix->bits; bit < ip_bytes(&prefix->addr) * 8; bit++)
		if (prefix->addr.ip[bit / 8] & (0x80 >> (bit % 8)))
			return true;
	return false;
}

int addr_prefix_parse(struct str text, struct addr_prefix *ret_prefix)
{
	struct str rest = text, ip = str_cut(&rest, '/');
	struct addr_prefix prefix = {0};
	u64 bits;
	u8 mapped_bits;

	if (addr_parse_ip(ip, &prefix.addr) < 0)
		return -EINVAL;
	bits = ip_bytes(&prefix.addr) * 8;
	if (ip.len != text.len && str_to_u64(rest, bits, &bits) < 0)
		return -EINVAL;
	prefix.bits = (u8)bits;
	mapped_bits = prefix.addr.family == ADDR_V6 && bits >= 96 ? 96 : 0;
	if (mapped_bits) {
		addr_unmap(&prefix.addr);
		if (prefix.addr.family == ADDR_V4)
			prefix.bits = (u8)(prefix.bits - mapped_bits);
	}
	if (has_host_bits(&prefix))
		return -EINVAL;
	*ret_prefix = prefix;
	return 0;
}

bool addr_prefix_match(const struct addr_prefix *prefix, const struct addr *addr)
{
	size_t whole = prefix->bits / 8u;
	u8 mask = (u8)(0xff00 >> (prefix->bits % 8));

	if (prefix->addr.family != addr->family ||
		(addr->family != ADDR_V4 && addr->family != ADDR_V6))
		return false;
	if (memcmp(prefix->addr.ip, addr->ip, whole) != 0)
		return false;
	return mask == 0 || ((prefix->addr.ip[whole] ^ addr->ip[whole]) & mask) == 0;
}
