// SPDX-License-Identifier: Apache-2.0
// From a plan to a configuration: chooses the source among the four start modes (a file named by an
// option or alone, flags, nothing but what is found in place or environment), loads it, and prints
// what is wrong.
#pragma once

#include "cli/cli.h"

struct load {
	const struct conf *conf;
	const char *source; // "weir.yaml", "command line", "environment", "built-in defaults"
	bool has_file;
	struct str deep; // what `weir check --deep` says of files, in lines; else empty
	u32 warning_count;
};

// 0 with *ret_load, or the exit code of the process; then the errors were printed. Warnings are
// printed either way, to standard error; with plan->as_json everything goes to standard output as
// one JSON array.
int load_conf(const struct cli *cli, struct load *ret_load) must_check;

// One file (NULL: what would be found), whatever else the command line says; as load_conf for
// people.
int load_one(const struct cli *cli, const char *const *file, struct load *ret_load) must_check;

// The files that the configuration of this command line is in, each by its whole path; NULL: there
// are none that could be read again.
const char *load_source(const struct cli *cli);

// The configuration that conf_keep has written into this descriptor, without a word: what was wrong
// with it was said when it was loaded. 0 or -1.
int load_kept(const struct cli *cli, int fd, struct load *ret_load) must_check;

// The same source again, whatever there is by now; for another thread, as `owner` is the struct
// cli. Nothing is printed. NULL: errors.
struct conf *load_again(void *owner, struct arena *arena, struct errs *errs);

// What another weir command has sent, or what was in effect before (conf_keep), as load_again.
struct conf *load_sent(
	void *owner, const char *name, struct str text, struct arena *arena, struct errs *errs);

// Whether it can be read again: what came from standard input cannot.
bool load_is_lasting(const struct cli *cli);

// Prints findings, in colour where that is wanted.
void load_print(const struct cli *cli, struct errs *errs);
