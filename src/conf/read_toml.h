// SPDX-License-Identifier: Apache-2.0
// What read_toml.cc, the only C++ file, offers to C: a walk over a TOML text. Plain C types only,
// so that both languages can read it. Texts in events live only during the call.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct toml_position {
	unsigned line, column, width;
};

// Each gives 0 to go on or anything else to stop. A key comes before each value in a table.
struct toml_events {
	int (*key)(void *context, const char *text, size_t len, struct toml_position position);
	int (*open)(void *context, int is_table, struct toml_position position);
	int (*close)(void *context);
	int (*scalar)(void *context, const char *text, size_t len, int is_string,
		struct toml_position position);
	void (*error)(void *context, const char *message, struct toml_position position);
};

// 0, or -1 after a syntax error (heard by `error`) or a stop.
int toml_walk(const char *text, size_t len, const struct toml_events *events, void *context);

#ifdef __cplusplus
}
#endif
