// SPDX-License-Identifier: Apache-2.0
#include "discover/postgres.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void postgres_set_parameters(
	const struct conf_provider *provider, struct postgres_parameters *ret_parameters)
{
	u64 seconds = MAX((provider->timeout_ms + 999) / 1000, 1ull);

	snprintf(ret_parameters->timeout, sizeof(ret_parameters->timeout), "%u", (u32)seconds);
	ret_parameters->names[0] = "dbname";
	ret_parameters->values[0] = provider->url.ptr;
	ret_parameters->names[1] = "fallback_application_name";
	ret_parameters->values[1] = "weir";
	ret_parameters->names[2] = "client_encoding";
	ret_parameters->values[2] = "UTF8";
	// Behind what the URL may say itself: the last one of a name counts.
	ret_parameters->names[3] = "connect_timeout";
	ret_parameters->values[3] = ret_parameters->timeout;
	ret_parameters->names[4] = "keepalives_idle";
	ret_parameters->values[4] = ret_parameters->timeout;
	ret_parameters->names[5] = NULL;
	ret_parameters->values[5] = NULL;
}

// Every occurrence of `secret` becomes ***.
static void hide(char *text, const char *secret)
{
	size_t len = secret ? strlen(secret) : 0;
	char *at = text;

	if (len == 0)
		return;
	while ((at = strstr(at, secret))) {
		size_t stars = MIN(len, 3u);

		memset(at, '*', stars);
		memmove(at + stars, at + len, strlen(at + len) + 1);
		at += stars;
	}
}

// The password as it stands in the URL, which may be encoded otherwise than libpq gives it.
static void hide_written(char *text, struct str url)
{
	const char *begin = memmem(url.ptr, url.len, "://", 3);
	struct str rest, login;
	char written[256];

	if (!begin)
		return;
	rest = str_make(begin + 3, url.len - (size_t)(begin + 3 - url.ptr));
	login = str_cut(&rest, '@');
	if (rest.ptr == login.ptr + login.len)
		return;
	rest = login;
	(void)str_cut(&rest, ':');
	if (rest.len == 0 || rest.len >= sizeof(written))
		return;
	memcpy(written, rest.ptr, rest.len);
	written[rest.len] = '\0';
	hide(text, written);
}

void postgres_clean(const struct conf_provider *provider, const char *message,
	char ret_text[static POSTGRES_TEXT_MAX])
{
	PQconninfoOption *options = PQconninfoParse(provider->url.ptr, NULL);
	size_t len = 0;

	for (; *message && len + 1 < POSTGRES_TEXT_MAX; message++) {
		char c = (u8)*message < ' ' || *message == 0x7f ? ' ' : *message;

		if (c != ' ' || (len && ret_text[len - 1] != ' '))
			ret_text[len++] = c;
	}
	while (len && ret_text[len - 1] == ' ')
		len--;
	ret_text[len] = '\0';
	hide(ret_text, provider->url.ptr);
	for (const PQconninfoOption *option = options; option && option->keyword; option++)
		if (strstr(option->keyword, "password"))
			hide(ret_text, option->val);
	hide_written(ret_text, provider->url);
	if (options)
		PQconninfoFree(options);
}

// An unwritten %40 or %2F in a password moves its rest into the host, the port or the database,
// and then messages would show it.
static bool is_sound(const PQconninfoOption *options)
{
	for (const PQconninfoOption *option = options; option && option->keyword; option++) {
		const char *value = option->val ? option->val : "";

		if (strcmp(option->keyword, "port") == 0 &&
			value[strspn(value, "0123456789,")] != '\0')
			return false;
		if ((strcmp(option->keyword, "host") == 0 ||
			    strcmp(option->keyword, "dbname") == 0) &&
			strchr(value, '@'))
			return false;
	}
	return options != NULL;
}

void postgres_drop_notice(void *owner, const char *message)
{
	(void)owner;
	(void)message;
}

// What to do, by what stands in the message. The words are those of PostgreSQL 15.
static const char *cure_of(const char *message)
{
	static const struct {
		const char *part, *cure;
	} cures[] = {
		{"password authentication failed", "correct user and password in"},
		{"no password supplied", "put the password into"},
		{"authentication failed", "correct the user in"},
		{"no pg_hba.conf entry", "let this user in by pg_hba.conf, or correct"},
		{"role \"", "create the role, or correct the user in"},
		{"database \"", "create the database, or correct its name in"},
		{"permission denied", "grant SELECT on the table to the user in"},
		{"SSL", "look at sslmode in"},
		{"translate host name", "correct the host in"},
		{"starting up", "nothing: it is tried again; else look at"},
		{"too many", "allow more connections there, or look at"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cures); i++)
		if (strstr(message, cures[i].part))
			return cures[i].cure;
	return "start PostgreSQL there, or correct";
}

void postgres_explain(const struct conf_provider *provider, const PGconn *conn,
	struct postgres_trouble *ret_trouble)
{
	PQconninfoOption *options = PQconninfoParse(provider->url.ptr, NULL);
	char message[POSTGRES_TEXT_MAX];
	bool sound = is_sound(options);

	if (options)
		PQconninfoFree(options);
	if (!sound) {
		snprintf(ret_trouble->cause, POSTGRES_TEXT_MAX,
			"%.*s is no URL that PostgreSQL understands", STR_FMT(provider->url_from));
		snprintf(ret_trouble->cure, POSTGRES_TEXT_MAX,
			"write it like postgres://user:password@host/name; in the password %%, /, "
			"@, : "
			"and spaces are written %%25, %%2F, %%40, %%3A and %%20");
		return;
	}
	postgres_clean(provider, conn ? PQerrorMessage(conn) : "out of memory", message);
	snprintf(ret_trouble->cause, POSTGRES_TEXT_MAX, "%.*s: %.400s", STR_FMT(provider->url_from),
		message[0] ? message : "the connection is lost");
	snprintf(ret_trouble->cure, POSTGRES_TEXT_MAX, "%s %.*s", cure_of(message),
		STR_FMT(provider->url_from));
}
