// SPDX-License-Identifier: Apache-2.0
// What libpq says about a connection, made fit for people: on one line, without the password, with
// what to do about it.
#pragma once

#include <libpq-fe.h>

#include "conf/conf.h"

enum { POSTGRES_TEXT_MAX = 512 };

struct postgres_trouble {
	char cause[POSTGRES_TEXT_MAX], cure[POSTGRES_TEXT_MAX];
};

// The parameters of a connection, for PQconnectStartParams and the like, expand_dbname set.
enum { POSTGRES_PARAMETERS_MAX = 8 };
struct postgres_parameters {
	const char *names[POSTGRES_PARAMETERS_MAX], *values[POSTGRES_PARAMETERS_MAX];
	char timeout[16];
};

void postgres_set_parameters(
	const struct conf_provider *provider, struct postgres_parameters *ret_parameters);

// Why `conn` could not be had or its last query failed. Nothing of a URL that libpq cannot read is
// told, since what it takes for a port may be a part of a password.
void postgres_explain(const struct conf_provider *provider, const PGconn *conn,
	struct postgres_trouble *ret_trouble);

// Only `message`, as above.
void postgres_clean(const struct conf_provider *provider, const char *message,
	char ret_text[static POSTGRES_TEXT_MAX]);

// A notice processor: notices would go to standard error, past the log.
void postgres_drop_notice(void *owner, const char *message);
