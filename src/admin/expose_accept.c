// SPDX-License-Identifier: Apache-2.0
// Content negotiation (RFC 9110 12.5.1), as far as two formats need it.
#include "admin/expose.h"

struct str expose_content_type(enum expose_format format)
{
	if (format == EXPOSE_OPENMETRICS)
		return STR("application/openmetrics-text; version=1.0.0; charset=utf-8");
	return STR("text/plain; version=0.0.4; charset=utf-8");
}

// A weight in thousandths; what is malformed counts as nothing.
static u32 weight_of(struct str text)
{
	u32 weight = 0, digit = 1000;
	bool point = false;

	if (text.len == 0 || (text.ptr[0] != '0' && text.ptr[0] != '1'))
		return 0;
	for (size_t i = 0; i < text.len && digit; i++) {
		if (text.ptr[i] == '.' && !point && i == 1) {
			point = true;
			continue;
		}
		if (!ascii_is_digit(text.ptr[i]) || (i > 0 && !point))
			return 0;
		weight += digit * (u32)(text.ptr[i] - '0');
		digit /= 10;
	}
	return MIN(weight, 1000);
}

struct wish {
	struct str type, version;
	u32 weight;
};

static struct wish read_wish(struct str item)
{
	struct wish wish = {.weight = 1000};

	wish.type = str_trim(str_cut(&item, ';'));
	while (item.len) {
		struct str value = str_cut(&item, ';');
		struct str name = str_trim(str_cut(&value, '='));

		value = str_trim(value);
		if (str_eq_nocase(name, STR("version")))
			wish.version = value;
		else if (str_eq_nocase(name, STR("q")))
			wish.weight = weight_of(value);
	}
	return wish;
}

static bool is_version(struct str version, struct str wanted)
{
	return version.len == 0 || str_eq(version, wanted);
}

static bool is_plain(struct str type)
{
	return str_eq_nocase(type, STR("text/plain")) || str_eq_nocase(type, STR("text/*")) ||
	       str_eq(type, STR("*/*"));
}

enum expose_format expose_choose(struct str accept)
{
	u32 open = 0, plain = 0;

	while (accept.len) {
		struct wish wish = read_wish(str_cut(&accept, ','));

		if (str_eq_nocase(wish.type, STR("application/openmetrics-text"))) {
			if (is_version(wish.version, STR("1.0.0")))
				open = MAX(open, wish.weight);
		} else if (is_plain(wish.type) && is_version(wish.version, STR("0.0.4"))) {
			plain = MAX(plain, wish.weight);
		}
	}
	return open > 0 && open >= plain ? EXPOSE_OPENMETRICS : EXPOSE_PROMETHEUS;
}
