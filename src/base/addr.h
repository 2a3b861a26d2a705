// SPDX-License-Identifier: Apache-2.0
// Addresses: text to binary and back, prefix match. No I/O and no name lookup.
#pragma once

#include <sys/socket.h>

#include "base/arena.h"
#include "base/str.h"

enum addr_family { ADDR_NONE, ADDR_V4, ADDR_V6, ADDR_UNIX };

struct addr {
	u8 family; // enum addr_family
	u16 port;  // host order; 0 for unix
	u32 scope; // IPv6 zone index, else 0
	union {
		u8 ip[16]; // network order; IPv4 in the first four bytes
		const char
			*path; // unix: borrowed, terminated, shorter than 108; '@' first = abstract
	};
};

enum { ADDR_TEXT_MAX = 128 }; // "[v6%zone]:port" or "unix:/path", with terminator

// "1.2.3.4:80", "[::1]:80", ":80" (any address, IPv4), "unix:/path". A path is borrowed from
// `text`, which must then be zero-terminated at its end. 0, -EINVAL (form), -ERANGE (port),
// -ENAMETOOLONG (path), -ENOENT when the host part is a name and not an address.
int addr_parse(struct str text, struct addr *ret_addr) must_check;

// Host part only, without port: "1.2.3.4" or "::1" or "[::1]". 0 or -EINVAL.
int addr_parse_ip(struct str text, struct addr *ret_addr) must_check;

// Writes text with port (addr_format) or the bare IP (addr_format_ip), zero-terminated; gives its
// length.
size_t addr_format(const struct addr *addr, char text[static ADDR_TEXT_MAX]);
size_t addr_format_ip(const struct addr *addr, char text[static ADDR_TEXT_MAX]);

socklen_t addr_to_sockaddr(const struct addr *addr, struct sockaddr_storage *ret_sockaddr);

// A peer's unix path is not kept (path = ""). IPv4-mapped IPv6 becomes IPv4.
void addr_from_sockaddr(const struct sockaddr_storage *sockaddr, struct addr *ret_addr);

// IPv4-mapped IPv6 (::ffff:1.2.3.4) becomes IPv4; others stay as they are.
void addr_unmap(struct addr *addr);

bool addr_equal(const struct addr *a, const struct addr *b);

struct addr_prefix {
	struct addr addr;
	u8 bits;
};

// "10.0.0.0/8", "::1/128", a bare address (all its bits). 0 or -EINVAL (also when host bits are
// set).
int addr_prefix_parse(struct str text, struct addr_prefix *ret_prefix) must_check;
bool addr_prefix_match(const struct addr_prefix *prefix, const struct addr *addr);
