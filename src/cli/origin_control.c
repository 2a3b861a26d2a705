// SPDX-License-Identifier: Apache-2.0
#include "cli/origin_control.h"

#include "cli/origin_answer.h"

void origin_counts_add_socket(struct origin_counts *counts)
{
	counts->connections++;
	counts->sockets++;
	counts->sockets_max = MAX(counts->sockets_max, counts->sockets);
}

void origin_counts_add_body(struct origin_counts *counts, size_t bytes, bool whole)
{
	counts->body_bytes += bytes;
	counts->bodies += whole;
}

static void begin_counting(struct origin_counts *counts)
{
	u32 sockets = counts->sockets;

	*counts = (struct origin_counts){.sockets = sockets, .sockets_max = sockets};
}

// ---- JSON ---------------------------------------------------------------------------------------

static void add_count(struct text *json, const char *name, u64 count)
{
	bool is_first = json->data[json->len - 1] == '{';

	text_printf(json, "%s\"%s\":%llu", is_first ? "" : ",", name, (unsigned long long)count);
}

static void add_methods(struct text *json, const struct origin_counts *counts)
{
	text_add(json, STR(",\"methods\":{"));
	for (u32 i = 0; i < ORIGIN_METHODS; i++)
		if (counts->methods[i])
			add_count(json, http_method_text((enum http_method)i), counts->methods[i]);
	text_addc(json, '}');
}

static void add_statuses(struct text *json, const struct origin_counts *counts)
{
	text_add(json, STR(",\"statuses\":{"));
	for (u32 i = 0; i <= ORIGIN_STATUS_MAX; i++) {
		char name[] = {(char)('0' + i / 100), (char)('0' + i / 10 % 10),
			(char)('0' + i % 10), '\0'};

		if (counts->statuses[i])
			add_count(json, name, counts->statuses[i]);
	}
	text_addc(json, '}');
}

static void describe(struct origin_client *client)
{
	const struct origin *origin = client->origin;
	const struct origin_counts *counts = &origin->counts;
	struct text *json = &client->json;
	u64 left_ms = 0;

	if (timer_is_set(&origin->fault_over))
		left_ms = origin->fault_over.deadline_ms - loop_now_ms(origin->loop);
	text_printf(json, "{\"server_port\":%u,\"fault\":\"", origin->options->addr.port);
	origin_answer_escape(json, origin_faults_text(&origin->faults));
	text_addc(json, '"');
	add_count(json, "left_ms", left_ms);
	add_count(json, "requests", counts->requests);
	add_count(json, "health_checks", counts->health_checks);
	add_count(json, "faulty", counts->faulty);
	add_methods(json, counts);
	add_statuses(json, counts);
	add_count(json, "bodies", counts->bodies);
	add_count(json, "body_bytes", counts->body_bytes);
	add_count(json, "connections", counts->connections);
	add_count(json, "sockets", counts->sockets);
	add_count(json, "sockets_max", counts->sockets_max);
}

// ---- Requests -----------------------------------------------------------------------------------

static const char *obey(struct origin *origin, const struct http_head *head, struct str words)
{
	const char *why;

	switch ((enum http_method)head->method) {
	case HTTP_GET:
	case HTTP_HEAD:
		return NULL;
	case HTTP_DELETE:
		begin_counting(&origin->counts);
		words = STR_EMPTY;
		break;
	case HTTP_POST:
	case HTTP_PUT:
		break;
	default:
		return "/-/fault takes GET, POST and DELETE";
	}
	why = origin_faults_set(&origin->faults, words);
	if (!why)
		origin_obey(origin);
	return why;
}

void origin_control(struct origin_client *client, const struct http_head *head, struct str query)
{
	const char *why;

	if (!client->is_control) {
		client->is_control = true;
		client->origin->counts.sockets--;
	}
	why = obey(client->origin, head, query);
	if (why)
		origin_answer_wrong(client, 400, why);
	else
		describe(client);
	client->kind = ORIGIN_CONTROL;
}
