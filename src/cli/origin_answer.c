// SPDX-License-Identifier: Apache-2.0
#include "cli/origin_answer.h"

enum {
	delay_max_ms = 600 * 1000,
	status_min = 200,
	status_max = 599,
	flip_ms = 30 * 1000,
};

static const u64 size_max = 1ull << 40;

// ---- JSON ---------------------------------------------------------------------------------------

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

// Bytes of strangers; those beyond ASCII are taken for Latin-1.
void origin_answer_escape(struct text *json, struct str value)
{
	size_t from = 0;

	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (is_plain(c))
			continue;
		text_add(json, str_make(value.ptr + from, i - from));
		from = i + 1;
		if (c == '"' || c == '\\')
			text_printf(json, "\\%c", c);
		else
			text_printf(json, "\\u%04x", c);
	}
	text_add(json, str_make(value.ptr + from, value.len - from));
}

static void add_member(struct text *json, struct str name, struct str value)
{
	text_add(json, STR(",\""));
	origin_answer_escape(json, name);
	text_add(json, STR("\":\""));
	origin_answer_escape(json, value);
	text_add(json, STR("\""));
}

static struct str name_of(const struct http_field *field)
{
	return str_make(field->name, field->name_len);
}

static bool came_before(const struct http_head *head, u32 at)
{
	for (u32 i = 0; i < at; i++)
		if (str_eq_nocase(name_of(&head->fields[i]), name_of(&head->fields[at])))
			return true;
	return false;
}

// Lines of one name become one value, as RFC 9110 5.3 reads them (cookies: RFC 6265 5.4).
static void add_field(struct text *json, const struct http_head *head, u32 at)
{
	struct str name = name_of(&head->fields[at]);
	bool first = true;

	for (size_t i = 0; i < name.len; i++)
		text_addc(json, ascii_lower(name.ptr[i])); // a token: nothing to escape
	text_add(json, STR("\":\""));
	for (u32 i = at; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];

		if (i != at && !str_eq_nocase(name_of(field), name))
			continue;
		if (!first)
			text_add(json, field->known == HTTP_F_COOKIE ? STR("; ") : STR(", "));
		first = false;
		origin_answer_escape(json, str_make(field->value, field->value_len));
	}
	text_addc(json, '"');
}

static void add_fields(struct text *json, const struct http_head *head)
{
	bool first = true;

	text_add(json, STR(",\"headers\":{"));
	for (u32 i = 0; i < head->field_count; i++) {
		if (came_before(head, i))
			continue;
		text_add(json, first ? STR("\"") : STR(",\""));
		first = false;
		add_field(json, head, i);
	}
	text_addc(json, '}');
}

static void begin_mirror(struct origin_client *client, const struct http_head *head,
	struct str path, struct str query)
{
	u16 port = client->origin->options->addr.port;
	struct text *json = &client->json;

	text_printf(json,
		"{\"message\":\"Hello from the test backend on port %u\","
		"\"server_port\":%u",
		port, port);
	add_member(json, STR("path"), path);
	add_member(json, STR("method"), head->method_text);
	add_member(json, STR("query"), query);
	add_fields(json, head);
}

static void begin_health(struct origin_client *client)
{
	const struct origin *origin = client->origin;
	u64 up_ms = loop_now_ms(origin->loop) - origin->start_ms;

	if (origin->options->flips && up_ms / flip_ms % 2)
		client->status = 503;
}

void origin_answer_finish(struct origin_client *client)
{
	if (client->kind == ORIGIN_HEALTH)
		text_printf(&client->json, "{\"status\":\"%s\",\"server_port\":%u",
			client->status < 300 ? "healthy" : "unhealthy",
			client->origin->options->addr.port);
	if (client->kind == ORIGIN_LOAD)
		text_printf(&client->json, "{\"in_flight\":%u,\"latency_ms\":%u.%03u",
			client->origin->in_flight, origin_latency_us(client->origin) / 1000,
			origin_latency_us(client->origin) % 1000);
	if (client->kind == ORIGIN_MIRROR)
		text_printf(&client->json, ",\"body\":{\"bytes\":%llu,\"adler32\":\"%08x\"}",
			(unsigned long long)client->body_bytes, client->adler);
	text_add(&client->json, STR("}\n"));
}

void origin_answer_wrong(struct origin_client *client, u16 status, const char *why)
{
	client->kind = ORIGIN_WRONG;
	client->status = status;
	client->has_size = false;
	client->json.len = 0;
	text_add(&client->json, STR("{\"error\":\""));
	origin_answer_escape(&client->json, str_from(why));
	text_addc(&client->json, '"');
}

// ---- Parameters ---------------------------------------------------------------------------------

static const char *take_parameter(struct origin_client *client, struct str name, struct str value)
{
	u64 number = 0;

	if (str_eq(name, STR("delay"))) {
		if (str_to_u64(value, delay_max_ms, &number) != 0)
			return "delay is a number of milliseconds up to 600000";
		client->delay_ms = (u32)number;
	} else if (str_eq(name, STR("status"))) {
		if (str_to_u64(value, status_max, &number) != 0 || number < status_min)
			return "status is a number from 200 to 599";
		client->status = (u16)number;
	} else if (str_eq(name, STR("size"))) {
		if (str_to_u64(value, size_max, &number) != 0)
			return "size is a number of bytes up to 2^40";
		client->answer_bytes = number;
		client->has_size = true;
	} else if (str_eq(name, STR("chunked"))) {
		client->chunked = !str_eq(value, STR("0"));
	} else if (str_eq(name, STR("load"))) {
		client->tells_load = !str_eq(value, STR("0"));
	}
	return NULL;
}

static void take_parameters(struct origin_client *client, struct str query)
{
	const char *why = NULL;

	while (query.len && !why) {
		struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');

		why = take_parameter(client, name, value);
	}
	if (!why)
		return;
	client->delay_ms = 0;
	origin_answer_wrong(client, 400, why);
}

static void take_upgrade(struct origin_client *client, const struct http_head *head)
{
	const struct http_field *field = http_head_find(head, HTTP_F_UPGRADE);
	struct str protocol = field ? str_make(field->value, field->value_len) : STR_EMPTY;

	if (str_eq_nocase(protocol, STR("echo")))
		client->kind = ORIGIN_TUNNEL;
	else if (str_eq_nocase(protocol, STR("websocket")) &&
		 websocket_begin(&client->websocket, head))
		client->kind = ORIGIN_WEBSOCKET;
}

void origin_answer_begin(struct origin_client *client, const struct http_head *head, bool end)
{
	struct str query = head->path, path = str_cut(&query, '?');

	client->json.len = 0;
	client->to_head = head->method == HTTP_HEAD;
	if (str_eq(path, STR("/-/fault"))) {
		origin_control(client, head, query);
		return;
	}
	take_parameters(client, query);
	if (client->kind == ORIGIN_WRONG)
		return;
	if (head->upgrade && end)
		take_upgrade(client, head);
	if (client->kind != ORIGIN_MIRROR)
		return;
	if (str_eq(path, STR("/echo")) && !client->has_size) {
		client->kind = ORIGIN_ECHO;
		client->answer_bytes =
			head->framing == HTTP_CHUNKED ? UINT64_MAX : head->content_length;
	} else if (str_eq(path, STR("/health"))) {
		client->kind = ORIGIN_HEALTH;
		begin_health(client);
	} else if (str_eq(path, STR("/load"))) {
		client->kind = ORIGIN_LOAD;
		client->tells_load = true;
	} else if (!client->has_size) {
		begin_mirror(client, head, path, query);
	}
}
