// SPDX-License-Identifier: Apache-2.0
#include "control/tickets.h"

#include <errno.h>
#include <stdio.h>

#include "base/hex.h"
#include "base/sealed.h"
#include "control/estate.h"

enum {
	version = 1,
	bytes_max = 1024,
	look_ms = 3600 * 1000, // at the latest: the clock may be set meanwhile
	digits = 2 * TLS_SECRET_BYTES,
};

static const char name[] = "tickets";

static void wipe(struct text *text)
{
	tls_wipe(text->data, text->room);
	text_done(text);
}

void tickets_format(struct text *text, const struct tls_secret *secret)
{
	struct text body = {0};
	char hex[digits];
	u64 numbers[TLS_SECRET_BYTES / 8];

	memcpy(numbers, secret->bytes, sizeof(numbers));
	for (u32 i = 0; i < ARRAY_LEN(numbers); i += 2)
		hex_put_16(hex + (size_t)i * 16, numbers[i], numbers[i + 1]);
	text_reserve(&body, bytes_max); // once: what grows leaves copies behind
	text_reserve(text, bytes_max);
	sealed_add(&body, STR("secret"));
	sealed_add_i64(&body, secret->period);
	sealed_add(&body, str_make(hex, sizeof(hex)));
	sealed_end(&body);
	sealed_format(text, name, version, text_str(&body));
	tls_wipe(hex, sizeof(hex));
	tls_wipe(numbers, sizeof(numbers));
	wipe(&body);
}

bool tickets_parse(struct str text, struct tls_secret *ret_secret, char why[static TICKETS_WHY_MAX])
{
	struct tls_secret secret;
	struct str body, row, hex;
	u64 period;

	_Static_assert((int)TICKETS_WHY_MAX >= (int)SEALED_WHY_MAX, "its reasons fit");
	if (!sealed_open(text, name, version, &body, why))
		return false;
	row = str_cut(&body, '\n');
	if (str_eq(str_cut(&row, '\t'), STR("secret")) &&
		sealed_cut_u64(&row, INT64_MAX / 2, &period) == 0) {
		hex = str_cut(&row, '\t');
		secret.period = (i64)period;
		if (hex.len == digits && hex_take(hex.ptr, secret.bytes, sizeof(secret.bytes))) {
			*ret_secret = secret;
			tls_wipe(&secret, sizeof(secret));
			return true;
		}
	}
	snprintf(why, TICKETS_WHY_MAX, "its first row is no secret");
	return false;
}

static bool take(struct tickets *tickets, struct log *log)
{
	int fd = handover_take_left(tickets->handover, INHERIT_TICKETS), error;
	struct text text = {0};
	char why[TICKETS_WHY_MAX];
	bool good;

	if (fd < 0)
		return false;
	text_reserve(&text, bytes_max);
	error = estate_read(fd, bytes_max, &text);
	if (error)
		snprintf(why, sizeof(why), "%s", strerror(-error));
	good = !error && tickets_parse(text_str(&text), &tickets->secret, why);
	wipe(&text);
	if (!good)
		LOG(log, LOG_WARN, "keys of session tickets cannot be taken over",
			LOG_CSTR("error", why),
			LOG_CSTR("state", "clients make new sessions, nothing is to be done"));
	return good;
}

static void follow(struct tickets *tickets)
{
	i64 wall_ms = loop_wall_ms(tickets->loop);
	u64 wait_ms = (u64)MIN(tls_secret_follow(&tickets->secret, wall_ms), (i64)look_ms);

	loop_timer_set(tickets->loop, &tickets->timer, loop_now_ms(tickets->loop) + wait_ms);
}

static void on_timer(struct timer *timer)
{
	struct tickets *tickets = container_of(timer, struct tickets, timer);
	i64 period = tickets->secret.period;

	follow(tickets);
	if (tickets->secret.period != period)
		tickets_leave(tickets);
}

void tickets_open(
	struct tickets *tickets, struct loop *loop, struct handover *handover, struct log *log)
{
	*tickets = (struct tickets){.loop = loop, .handover = handover};
	timer_init(&tickets->timer, on_timer);
	if (!take(tickets, log))
		tls_secret_make(&tickets->secret, loop_wall_ms(loop));
	follow(tickets);
}

void tickets_leave(struct tickets *tickets)
{
	struct text text = {0};

	if (!handover_has_keeper(tickets->handover))
		return;
	tickets_format(&text, &tickets->secret);
	handover_leave(tickets->handover, INHERIT_TICKETS, text_str(&text));
	wipe(&text);
}

void tickets_done(struct tickets *tickets)
{
	if (tickets->loop)
		loop_timer_cancel(tickets->loop, &tickets->timer);
	tls_wipe(tickets, sizeof(*tickets));
}
