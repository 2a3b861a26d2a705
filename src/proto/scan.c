// SPDX-License-Identifier: Apache-2.0
#include "proto/scan.h"

enum {
	text = SCAN_VALUE | SCAN_QUOTED,
	visible = text | SCAN_TARGET,
	sub_delim = visible | SCAN_HOST,
	token = visible | SCAN_TOKEN,
	word = token | SCAN_WORD | SCAN_HOST,
};

// SCAN_PATH is set for every byte but three; the rows that stay away below have only that.
#define P SCAN_PATH

const u8 scan_classes[256] = {
	[0x00 ... 0x08] = P,
	['\t'] = text | P,
	[0x0a ... 0x1f] = P,
	[' '] = text | P,
	['!'] = token | SCAN_HOST | P,
	['"'] = SCAN_VALUE | SCAN_TARGET | P,
	['#'] = text | SCAN_TOKEN | P,
	['$'] = token | SCAN_HOST | P,
	['%'] = token,
	['&' ... '\''] = token | SCAN_HOST | P,
	['(' ... ')'] = sub_delim | P,
	['*' ... '+'] = token | SCAN_HOST | P,
	[','] = visible | P,
	['-'] = word | P,
	['.'] = word,
	['/'] = visible | P,
	['0' ... '9'] = word | SCAN_HEX | P,
	[':'] = visible | P,
	[';'] = sub_delim | P,
	['<'] = visible | P,
	['='] = sub_delim | P,
	['>'] = visible | P,
	['?'] = visible,
	['@'] = visible | P,
	['A' ... 'F'] = word | SCAN_HEX | P,
	['G' ... 'Z'] = word | P,
	['['] = visible | P,
	['\\'] = SCAN_VALUE | SCAN_TARGET | P,
	[']'] = visible | P,
	['^'] = token | P,
	['_'] = word | P,
	['`'] = token | P,
	['a' ... 'f'] = word | SCAN_HEX | P,
	['g' ... 'z'] = word | P,
	['{'] = visible | P,
	['|'] = token | P,
	['}'] = visible | P,
	['~'] = token | SCAN_HOST | P,
	[0x7f] = P,
	[0x80 ... 0xff] = text | P,
};
