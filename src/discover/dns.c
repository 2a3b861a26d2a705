// SPDX-License-Identifier: Apache-2.0
// Backends behind a name: its addresses (A and AAAA), or the servers of its SRV records (RFC 2782)
// with their addresses. Asked again when the answer's lifetime is over, within the resolver's
// bounds.
//
// Each round has a c-ares channel of its own, so that a changed /etc/resolv.conf counts. A server
// that does not answer changes nothing; a name that is gone serves its last addresses for
// `resolver.stale`, and then has none.
#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "discover/source.h"

enum {
	watchers_max = ARES_GETSOCK_MAXNUM,
	targets_max = 1000,
	address_text_max = 300,
	tries_max = 2, // for each server
	// RFC 1035 3.2, 4.1; RFC 2782
	class_in = 1,
	type_srv = 33,
	header_bytes = 12,
	question_bytes = 4, // behind its name
	record_bytes = 10,  // behind its name, before its data
};

// A socket of c-ares, as a descriptor of the loop's own (dup): c-ares closes it when it likes.
struct watcher {
	struct dns_source *source;
	struct sock sock;
	struct op in, out;
	ares_socket_t fd; // ARES_SOCKET_BAD: free, once nothing is out
	bool wants_in, wants_out;
};

struct target {
	struct dns_source *source;
	char name[256];
	u16 port, priority, weight;
};

struct dns_source {
	struct source_config config;
	struct timer next, tick; // the next round | c-ares' own deadlines
	struct task finish;
	struct backoff backoff;
	ares_channel channel; // NULL: no round runs
	struct watcher watchers[watchers_max];
	struct target *targets; // of this round
	u32 target_count;
	u32 asked, answered; // questions of this round
	u32 found;
	int error; // the first one of this round
	u64 ttl_s;
	u16 priority_min;
	u32 weight_max;
	struct rows *rows;
	u64 good_ms; // when something was found last; 0 = never
	bool stopped;
};

// ---- Sockets ------------------------------------------------------------------------------------

static void release(struct watcher *watcher)
{
	if (watcher->fd != ARES_SOCKET_BAD || watcher->sock.fd < 0)
		return;
	if (op_is_out(&watcher->in) || op_is_out(&watcher->out))
		return;
	sock_close(watcher->source->config.loop, &watcher->sock);
	watcher->sock.fd = -1;
}

static void watch(struct watcher *watcher)
{
	struct loop *loop = watcher->source->config.loop;

	if (watcher->wants_in && !op_is_out(&watcher->in))
		loop_ready(loop, &watcher->sock, &watcher->in, LOOP_IN);
	if (watcher->wants_out && !op_is_out(&watcher->out))
		loop_ready(loop, &watcher->sock, &watcher->out, LOOP_OUT);
}

static void set_tick(struct dns_source *source)
{
	struct timeval most = {.tv_sec = 60}, wait, *soon;

	if (!source->channel)
		return;
	soon = ares_timeout(source->channel, &most, &wait);
	loop_timer_set(source->config.loop, &source->tick,
		loop_now_ms(source->config.loop) + (u64)soon->tv_sec * 1000 +
			(u64)soon->tv_usec / 1000 + 1);
}

static void on_readable(struct op *op)
{
	struct watcher *watcher = container_of(op, struct watcher, in);
	struct dns_source *source = watcher->source;

	if (watcher->fd != ARES_SOCKET_BAD && source->channel)
		ares_process_fd(source->channel, watcher->fd, ARES_SOCKET_BAD);
	if (watcher->fd != ARES_SOCKET_BAD)
		watch(watcher);
	release(watcher);
	set_tick(source);
}

static void on_writable(struct op *op)
{
	struct watcher *watcher = container_of(op, struct watcher, out);
	struct dns_source *source = watcher->source;

	if (watcher->fd != ARES_SOCKET_BAD && source->channel)
		ares_process_fd(source->channel, ARES_SOCKET_BAD, watcher->fd);
	if (watcher->fd != ARES_SOCKET_BAD)
		watch(watcher);
	release(watcher);
	set_tick(source);
}

static struct watcher *find_watcher(struct dns_source *source, ares_socket_t fd)
{
	for (u32 i = 0; i < watchers_max; i++)
		if (source->watchers[i].fd == fd)
			return &source->watchers[i];
	return NULL;
}

static struct watcher *free_watcher(struct dns_source *source)
{
	for (u32 i = 0; i < watchers_max; i++)
		if (source->watchers[i].fd == ARES_SOCKET_BAD && source->watchers[i].sock.fd < 0)
			return &source->watchers[i];
	return NULL;
}

static void on_socket(void *owner, ares_socket_t fd, int readable, int writable)
{
	struct dns_source *source = owner;
	struct watcher *watcher = find_watcher(source, fd);
	int own;

	if (!readable && !writable) {
		if (!watcher)
			return;
		watcher->fd = ARES_SOCKET_BAD;
		loop_cancel(source->config.loop, &watcher->in);
		loop_cancel(source->config.loop, &watcher->out);
		release(watcher);
		return;
	}
	if (!watcher) {
		watcher = free_watcher(source);
		own = watcher ? dup(fd) : -1;
		if (own < 0)
			return; // its question runs into its timeout
		watcher->fd = fd;
		sock_open(source->config.loop, &watcher->sock, own);
	}
	watcher->wants_in = readable;
	watcher->wants_out = writable;
	watch(watcher);
}

// ---- A round ------------------------------------------------------------------------------------

static void note_error(struct dns_source *source, int status)
{
	if (source->error == ARES_SUCCESS)
		source->error = status;
}

static void answer_taken(struct dns_source *source)
{
	if (++source->answered == source->asked)
		loop_defer(source->config.loop, &source->finish);
}

static u32 scale_weight(const struct dns_source *source, u16 weight)
{
	u32 scaled = weight;

	if (source->weight_max > CONF_WEIGHT_MAX)
		scaled = weight * (u32)CONF_WEIGHT_MAX / source->weight_max;
	return MAX(scaled, 1u); // RFC 2782: a weight of 0 has a small chance
}

static void add_address(
	struct dns_source *source, const struct sockaddr *found, const struct target *target)
{
	char text[ADDR_TEXT_MAX], id[address_text_max] = "", weight[16] = "";
	struct sockaddr_storage sockaddr = {0};
	struct addr addr;

	memcpy(&sockaddr, found,
		found->sa_family == AF_INET ? sizeof(struct sockaddr_in)
					    : sizeof(struct sockaddr_in6));
	addr_from_sockaddr(&sockaddr, &addr);
	addr.port = target ? target->port : source->config.provider->port;
	addr_format(&addr, text);
	if (target) {
		snprintf(id, sizeof(id), "%.100s:%u/%s", target->name, target->port, text);
		snprintf(weight, sizeof(weight), "%u", scale_weight(source, target->weight));
	}
	rows_add(source->rows,
		&(struct row_values){.address = str_from(text),
			.id = str_from(strlen(id) <= ROW_ID_MAX ? id : ""),
			.weight = str_from(weight),
			.is_backup = target && target->priority > source->priority_min});
	source->found++;
}

static void take_addresses(struct dns_source *source, int status, struct ares_addrinfo *answer,
	const struct target *target)
{
	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		return;
	if (status != ARES_SUCCESS)
		note_error(source, status);
	for (struct ares_addrinfo_node *node = answer ? answer->nodes : NULL; node;
		node = node->ai_next) {
		if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
			continue;
		source->ttl_s = MIN(source->ttl_s, (u64)MAX(node->ai_ttl, 0));
		add_address(source, node->ai_addr, target);
	}
	if (answer)
		ares_freeaddrinfo(answer);
	answer_taken(source);
}

static void on_addresses(void *owner, int status, int timeouts, struct ares_addrinfo *answer)
{
	(void)timeouts;
	take_addresses(owner, status, answer, NULL);
}

static void on_target_addresses(void *owner, int status, int timeouts, struct ares_addrinfo *answer)
{
	const struct target *target = owner;

	(void)timeouts;
	take_addresses(target->source, status, answer, target);
}

static void ask_addresses(
	struct dns_source *source, const char *name, ares_addrinfo_callback answered, void *owner)
{
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};

	source->asked++;
	ares_getaddrinfo(source->channel, name, NULL, &hints, answered, owner);
}

// Lifetime of the answer's records: ares_parse_srv_reply does not tell it.
static u64 least_ttl(const unsigned char *answer, int len, u64 ttl_s)
{
	const unsigned char *at = answer + header_bytes, *end = answer + len;
	u32 questions, records;
	char *name;
	long name_len;

	if (len < header_bytes)
		return ttl_s;
	questions = (u32)(answer[4] << 8 | answer[5]);
	records = (u32)(answer[6] << 8 | answer[7]);
	for (u32 i = 0; i < questions + records; i++) {
		u32 ttl;

		if (ares_expand_name(at, answer, len, &name, &name_len) != ARES_SUCCESS)
			return ttl_s;
		ares_free_string(name);
		at += name_len + (i < questions ? question_bytes : record_bytes);
		if (at > end)
			return ttl_s;
		if (i < questions)
			continue;
		ttl = (u32)at[-6] << 24 | (u32)at[-5] << 16 | (u32)at[-4] << 8 | at[-3];
		ttl_s = MIN(ttl_s, (u64)ttl);
		at += at[-2] << 8 | at[-1];
		if (at > end)
			return ttl_s;
	}
	return ttl_s;
}

static void take_targets(struct dns_source *source, struct ares_srv_reply *first)
{
	u32 count = 0;

	for (struct ares_srv_reply *each = first; each; each = each->next)
		count++;
	source->targets = mem_alloc(sizeof(*source->targets) * MIN(count, (u32)targets_max));
	source->priority_min = UINT16_MAX;
	for (struct ares_srv_reply *each = first; each && source->target_count < targets_max;
		each = each->next) {
		struct target *target = &source->targets[source->target_count];

		// A single dot: the service is decidedly not there.
		if (strcmp(each->host, ".") == 0 || each->host[0] == '\0' || each->port == 0)
			continue;
		source->target_count++;
		*target = (struct target){.source = source,
			.port = each->port,
			.priority = each->priority,
			.weight = each->weight};
		snprintf(target->name, sizeof(target->name), "%s", each->host);
		if (target->priority < source->priority_min)
			source->priority_min = target->priority;
		source->weight_max = MAX(source->weight_max, (u32)target->weight);
	}
	for (u32 i = 0; i < source->target_count; i++)
		ask_addresses(
			source, source->targets[i].name, on_target_addresses, &source->targets[i]);
}

static void on_srv(void *owner, int status, int timeouts, unsigned char *answer, int len)
{
	struct dns_source *source = owner;
	struct ares_srv_reply *records = NULL;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION || status == ARES_ECANCELLED)
		return;
	if (status == ARES_SUCCESS)
		status = ares_parse_srv_reply(answer, len, &records);
	if (status == ARES_SUCCESS) {
		source->ttl_s = least_ttl(answer, len, source->ttl_s);
		take_targets(source, records);
	} else {
		note_error(source, status);
	}
	if (records)
		ares_free_data(records);
	answer_taken(source);
}

static int open_channel(struct dns_source *source)
{
	const struct conf_resolver *resolver = source->config.resolver;
	struct ares_options options = {.timeout = (int)resolver->timeout_ms,
		.tries = tries_max,
		.flags = ARES_FLAG_NOCHECKRESP,
		.sock_state_cb = on_socket,
		.sock_state_cb_data = source};
	int status = ares_init_options(&source->channel, &options,
		ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB);
	struct text servers = {0};

	if (status != ARES_SUCCESS) {
		source->channel = NULL;
		return status;
	}
	for (u32 i = 0; i < resolver->server_count; i++)
		text_printf(&servers, "%s%.*s", i ? "," : "", STR_FMT(resolver->servers[i]));
	if (servers.len)
		status = ares_set_servers_ports_csv(source->channel, servers.data);
	text_done(&servers);
	return status;
}

static void begin(struct timer *timer)
{
	struct dns_source *source = container_of(timer, struct dns_source, next);
	const struct conf_provider *provider = source->config.provider;
	int status;

	source->asked = source->answered = source->found = source->target_count = 0;
	source->error = ARES_SUCCESS;
	source->ttl_s = UINT32_MAX;
	source->weight_max = 0;
	source->rows = rows_new();
	source->asked++; // this one: nothing is over before all is asked
	status = open_channel(source);
	if (status != ARES_SUCCESS) {
		note_error(source, status);
	} else if (provider->port) {
		ask_addresses(source, provider->host.ptr, on_addresses, source);
	} else {
		source->asked++;
		ares_query(source->channel, provider->host.ptr, class_in, type_srv, on_srv, source);
	}
	answer_taken(source);
	set_tick(source);
}

static void on_tick(struct timer *timer)
{
	struct dns_source *source = container_of(timer, struct dns_source, tick);

	if (!source->channel)
		return;
	ares_process_fd(source->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_tick(source);
}

// ---- What follows -------------------------------------------------------------------------------

static bool is_gone(int status)
{
	return status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_SUCCESS;
}

static void end_round(struct dns_source *source)
{
	if (source->channel)
		ares_destroy(source->channel);
	source->channel = NULL;
	loop_timer_cancel(source->config.loop, &source->tick);
	rows_free(source->rows);
	source->rows = NULL;
	mem_free(source->targets);
	source->targets = NULL;
}

static void tell_trouble(struct dns_source *source)
{
	const struct conf_provider *provider = source->config.provider;
	u64 now_ms = loop_now_ms(source->config.loop);
	bool is_stale = source->good_ms && is_gone(source->error) &&
			now_ms >= source->good_ms + source->config.resolver->stale_ms;
	char cause[512];

	snprintf(cause, sizeof(cause), "%.*s cannot be looked up: %s", STR_FMT(provider->host),
		source->error == ARES_SUCCESS ? "it has no addresses"
					      : ares_strerror(source->error));
	if (is_stale) {
		struct rows *none = rows_new();

		rows_finish(none);
		source->good_ms = 0; // once
		source->config.sink.rows(source->config.sink.owner, none);
	}
	source->config.sink.trouble(source->config.sink.owner, cause,
		is_gone(source->error) ? "correct the name in providers"
				       : "look at that name server, or correct resolver.servers");
}

static void on_finish(struct task *task)
{
	struct dns_source *source = container_of(task, struct dns_source, finish);
	const struct conf_resolver *resolver = source->config.resolver;
	struct rows *rows = source->rows;
	// An error about a part of it leaves too much open: what is there already serves on.
	bool is_whole =
		source->found > 0 && (source->error == ARES_SUCCESS || is_gone(source->error));
	u64 wait_ms;

	if (source->stopped || !rows)
		return;
	if (is_whole) {
		source->rows = NULL;
		rows_sort(rows); // name servers shuffle their answers
		rows_finish(rows);
		source->good_ms = loop_now_ms(source->config.loop);
		source->backoff.failures = 0;
		wait_ms =
			MIN(MAX(source->ttl_s * 1000, resolver->ttl_min_ms), resolver->ttl_max_ms);
		source->config.sink.rows(source->config.sink.owner, rows);
	} else {
		wait_ms = MAX(backoff_next_ms(&source->backoff), resolver->ttl_min_ms);
		tell_trouble(source);
	}
	end_round(source);
	loop_timer_set(
		source->config.loop, &source->next, loop_now_ms(source->config.loop) + wait_ms);
}

static void *dns_open(const struct source_config *config)
{
	struct dns_source *source = mem_alloc(sizeof(*source));

	source->config = *config;
	rng_init(&source->backoff.rng, config->seed);
	source->finish.run = on_finish;
	for (u32 i = 0; i < watchers_max; i++) {
		struct watcher *watcher = &source->watchers[i];

		watcher->source = source;
		watcher->fd = ARES_SOCKET_BAD;
		watcher->sock.fd = -1;
		op_init(&watcher->in, on_readable);
		op_init(&watcher->out, on_writable);
	}
	timer_init(&source->tick, on_tick);
	timer_init(&source->next, begin);
	loop_timer_set(config->loop, &source->next, loop_now_ms(config->loop));
	return source;
}

static void dns_stop(void *owner)
{
	struct dns_source *source = owner;

	source->stopped = true;
	loop_timer_cancel(source->config.loop, &source->next);
	end_round(source);
}

static bool dns_is_idle(const void *owner)
{
	const struct dns_source *source = owner;

	for (u32 i = 0; i < watchers_max; i++)
		if (source->watchers[i].sock.fd >= 0)
			return false;
	return source->finish.next == NULL;
}

static void dns_free(void *source)
{
	mem_free(source);
}

const struct source_kind source_dns = {
	.open = dns_open, .stop = dns_stop, .is_idle = dns_is_idle, .free = dns_free};
