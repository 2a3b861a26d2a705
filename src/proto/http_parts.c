// SPDX-License-Identifier: Apache-2.0
#include "proto/http_parts.h"

static bool find_cookie(struct str text, struct str name, struct str *ret_value)
{
	while (text.len) {
		struct str value = str_cut(&text, ';');
		size_t equals = str_find(value, '=');
		struct str key = str_trim(str_make(value.ptr, equals));

		if (equals == value.len || !str_eq(key, name))
			continue;
		*ret_value = str_trim(str_make(value.ptr + equals + 1, value.len - equals - 1));
		return true;
	}
	return false;
}

bool http_cookie(const struct http_head *head, struct str name, struct str *ret_value)
{
	u8 first = head->first_known[HTTP_F_COOKIE];

	for (u32 i = first; first && i <= head->field_count; i++) {
		const struct http_field *field = &head->fields[i - 1];

		if (field->known == HTTP_F_COOKIE &&
			find_cookie(str_make(field->value, field->value_len), name, ret_value))
			return true;
		if (!(head->known_repeated & HTTP_BIT(HTTP_F_COOKIE)))
			break;
	}
	return false;
}

bool http_query(struct str path, struct str name, struct str *ret_value)
{
	(void)str_cut(&path, '?');
	while (path.len) {
		struct str value = str_cut(&path, '&');
		size_t equals = str_find(value, '=');

		if (!str_eq(str_make(value.ptr, equals), name))
			continue;
		*ret_value = equals < value.len
				     ? str_make(value.ptr + equals + 1, value.len - equals - 1)
				     : STR_EMPTY;
		return true;
	}
	return false;
}
