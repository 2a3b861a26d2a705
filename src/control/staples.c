// SPDX-License-Identifier: Apache-2.0
#include "control/staples.h"

#include "base/mem.h"
#include "proxy/secure.h"

enum { look_ms = 3600 * 1000 }; // at the latest: the clock may be set meanwhile

// What was said of one; its names are copies.
struct said {
	char *file, *cert;
	i64 until_s;
	enum tls_staple_fault fault;
	bool is_revoked;
};

struct staples {
	struct loop *loop;
	struct log *log;
	struct timer timer;
	const struct snapshot *snapshot;
	struct said *said;
	u32 count;
	i64 next_s; // when something changes; 0: never
	bool again;
};

static void say_fault(const struct staples *staples, const struct tls_staple *staple,
	const struct tls_cert *cert, enum tls_staple_fault fault)
{
	const struct tls_staple_info *info = tls_staple_info(fault);
	char why[TLS_STAPLE_WHY_MAX];

	tls_staple_why(staple, fault, why);
	LOG(staples->log, LOG_WARN, "OCSP response is not stapled", LOG_STR("file", staple->file),
		LOG_STR("certificate", cert->file), LOG_CSTR("reason", info->word),
		LOG_CSTR("error", why), LOG_CSTR("cure", info->cure));
}

static void say(const struct staples *staples, const struct tls_staple *staple,
	const struct tls_cert *cert, const struct said *now, const struct said *before)
{
	if (now->fault != TLS_STAPLE_NONE)
		say_fault(staples, staple, cert, now->fault);
	else if (before && before->fault != TLS_STAPLE_NONE)
		LOG(staples->log, LOG_NOTICE, "OCSP response is stapled",
			LOG_STR("file", staple->file), LOG_STR("certificate", cert->file));
	if (now->is_revoked)
		LOG(staples->log, LOG_WARN, "OCSP response says that the certificate is revoked",
			LOG_STR("file", staple->file), LOG_STR("certificate", cert->file),
			LOG_CSTR("cure", "get another certificate: clients that look at the "
					 "response refuse this one"));
}

static struct said *find(struct said *all, u32 count, struct str file, struct str cert)
{
	for (u32 i = 0; i < count; i++)
		if (str_eq(str_from(all[i].file), file) && str_eq(str_from(all[i].cert), cert))
			return &all[i];
	return NULL;
}

struct look {
	struct staples *staples;
	struct said *said;
	u32 count, room;
	i64 now_s;
};

static struct said *add(struct look *look, struct str file, struct str cert)
{
	struct said *said;

	if (look->count == look->room) {
		look->room = MAX(8u, 2 * look->room);
		look->said = mem_realloc(look->said, sizeof(*look->said) * look->room);
	}
	said = &look->said[look->count++];
	*said = (struct said){
		.file = mem_strndup(file.ptr, file.len), .cert = mem_strndup(cert.ptr, cert.len)};
	return said;
}

// Frontends mostly have the same ones.
static void look_at(void *context, const struct tls_staple *staple, const struct tls_cert *cert)
{
	struct look *look = context;
	struct staples *staples = look->staples;
	const struct said *before = find(staples->said, staples->count, staple->file, cert->file);
	i64 next_s = tls_staple_next_s(staple, look->now_s);
	struct said *now;

	if (find(look->said, look->count, staple->file, cert->file))
		return;
	now = add(look, staple->file, cert->file);
	now->fault = tls_staple_fault_at(staple, look->now_s);
	now->is_revoked = staple->is_revoked;
	now->until_s = staple->until_s;
	if (next_s && (!staples->next_s || next_s < staples->next_s))
		staples->next_s = next_s;
	if (staples->again || !before || before->fault != now->fault ||
		before->is_revoked != now->is_revoked || before->until_s != now->until_s)
		say(staples, staple, cert, now, before);
}

static void drop(struct said *said, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		mem_free(said[i].file);
		mem_free(said[i].cert);
	}
	mem_free(said);
}

static void look(struct staples *staples)
{
	struct look look = {.staples = staples, .now_s = loop_wall_ms(staples->loop) / 1000};
	i64 wait_ms;

	staples->next_s = 0;
	secure_each_staple(staples->snapshot, look_at, &look);
	drop(staples->said, staples->count);
	staples->said = look.said;
	staples->count = look.count;
	loop_timer_cancel(staples->loop, &staples->timer);
	if (!staples->next_s)
		return;
	wait_ms = staples->next_s * 1000 - loop_wall_ms(staples->loop);
	wait_ms = MIN(MAX(wait_ms, (i64)1), (i64)look_ms);
	loop_timer_set(staples->loop, &staples->timer, loop_now_ms(staples->loop) + (u64)wait_ms);
}

static void on_timer(struct timer *timer)
{
	struct staples *staples = container_of(timer, struct staples, timer);

	staples->again = false;
	look(staples);
}

struct staples *staples_new(struct loop *loop, struct log *log)
{
	struct staples *staples = mem_alloc(sizeof(*staples));

	staples->loop = loop;
	staples->log = log;
	timer_init(&staples->timer, on_timer);
	return staples;
}

void staples_adopt(struct staples *staples, const struct snapshot *snapshot, bool again)
{
	if (!staples)
		return;
	staples->snapshot = snapshot;
	staples->again = again;
	look(staples);
}

void staples_free(struct staples *staples)
{
	if (!staples)
		return;
	loop_timer_cancel(staples->loop, &staples->timer);
	drop(staples->said, staples->count);
	mem_free(staples);
}
