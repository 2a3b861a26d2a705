// SPDX-License-Identifier: Apache-2.0
#include "proxy/reply.h"

#include <stdio.h>

#include "base/log_text.h"
#include "proto/grpc.h"
#include "proxy/answer.h"
#include "proxy/request.h"

enum {
	body_bytes_max = 4096,
	backend_bytes_max = 1600, // of its name, with a piece of text around it
	retry_after_s = 1,
};

enum form { FORM_TEXT, FORM_JSON, FORM_HTML };

static const char *const content_types[] = {
	[FORM_TEXT] = "text/plain; charset=utf-8",
	[FORM_JSON] = "application/problem+json",
	[FORM_HTML] = "text/html; charset=utf-8",
};

static bool contains(struct str text, struct str part)
{
	for (size_t i = 0; i + part.len <= text.len; i++)
		if (str_eq_nocase(str_make(text.ptr + i, part.len), part))
			return true;
	return false;
}

static enum form form_for(const struct http_head *request)
{
	const struct http_field *accept =
		request ? http_head_find_name(request, STR("accept")) : NULL;
	struct str value;

	if (!accept)
		return FORM_TEXT;
	value = str_make(accept->value, accept->value_len);
	if (contains(value, STR("text/html")))
		return FORM_HTML;
	return contains(value, STR("json")) ? FORM_JSON : FORM_TEXT;
}

static const char *cause_of(const struct exchange *x)
{
	if (x->refusal != HTTP_REFUSE_OK)
		return http_refusal_text((enum http_refusal)x->refusal);
	return outcome_info((enum outcome)x->outcome)->cause.ptr;
}

static char *put_html(char *at, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		switch (text.ptr[i]) {
		case '<':
			at = LOG_PUT(at, "&lt;");
			break;
		case '>':
			at = LOG_PUT(at, "&gt;");
			break;
		case '&':
			at = LOG_PUT(at, "&amp;");
			break;
		default:
			*at++ = text.ptr[i];
			break;
		}
	}
	return at;
}

// A line, a member or a paragraph that names the backend, where that is wanted; else nothing.
static struct str backend_piece(
	const struct exchange *x, enum form form, char buffer[static backend_bytes_max])
{
	enum { name_bytes_max = 255 };
	struct str id = x->backend ? x->backend->id : STR_EMPTY;
	char *at = buffer;

	if (id.len == 0 || !x->frontend->conf->headers.tell_backend)
		return STR_EMPTY;
	id.len = MIN(id.len, (size_t)name_bytes_max);
	switch (form) {
	case FORM_TEXT:
		at = LOG_PUT(log_put(LOG_PUT(at, "backend: "), id), "\n");
		break;
	case FORM_JSON:
		at = LOG_PUT(at, "\"backend\":\"");
		at = log_put_escaped(at, id, LOG_ESCAPE_JSON, backend_bytes_max - 64);
		at = LOG_PUT(at, "\",");
		break;
	case FORM_HTML:
		at = LOG_PUT(put_html(LOG_PUT(at, "backend: "), id), "<br>");
		break;
	}
	return str_make(buffer, (size_t)(at - buffer));
}

static size_t write_body(const struct exchange *x, enum form form, char *text)
{
	const struct outcome_info *info = outcome_info((enum outcome)x->outcome);
	const char *reason = http_reason(x->status);
	struct str id = x->request ? request_id(x) : STR("-"), backend;
	char buffer[backend_bytes_max];
	int len = 0;

	// Nothing of the request is repeated but the id, which is ours or a trusted peer's; a
	// foreign one is checked by its field's syntax, which has no markup only by luck.
	if (x->keep_request_id)
		id = STR("-");
	backend = backend_piece(x, form, buffer);
	switch (form) {
	case FORM_TEXT:
		len = snprintf(text, body_bytes_max,
			"%u %s\n%s\noutcome: %.*s\n%.*srequest id: %.*s\n", x->status, reason,
			cause_of(x), STR_FMT(info->name), STR_FMT(backend), STR_FMT(id));
		break;
	case FORM_JSON:
		len = snprintf(text, body_bytes_max,
			"{\"status\":%u,\"title\":\"%s\",\"detail\":\"%s\",\"outcome\":\"%.*s\","
			"%.*s\"request_id\":\"%.*s\"}\n",
			x->status, reason, cause_of(x), STR_FMT(info->name), STR_FMT(backend),
			STR_FMT(id));
		break;
	case FORM_HTML:
		len = snprintf(text, body_bytes_max,
			"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%u "
			"%s</title>"
			"<h1>%u %s</h1><p>%s</p><p>outcome: %.*s<br>%.*srequest id: "
			"%.*s</p></html>\n",
			x->status, reason, x->status, reason, cause_of(x), STR_FMT(info->name),
			STR_FMT(backend), STR_FMT(id));
		break;
	}
	ASSERT(len > 0 && len < body_bytes_max);
	return (size_t)len;
}

static void add(struct http_head *head, const char *name, struct str value)
{
	head->fields[head->field_count++] = (struct http_field){.name = name,
		.value = value.ptr,
		.value_len = (u32)value.len,
		.name_len = (u16)strlen(name)};
}

u16 reply_status(const struct exchange *x)
{
	if (x->outcome == OUTCOME_REDIRECTED)
		return x->route ? x->route->conf->redirect_status : 308;
	if (x->refusal != HTTP_REFUSE_OK)
		return http_refusal_status((enum http_refusal)x->refusal);
	return outcome_info((enum outcome)x->outcome)->status;
}

static struct str location_of(struct exchange *x)
{
	if (x->route)
		return router_location(&x->arena, x->route, x->request, x->path);
	return router_https_location(&x->arena, x->request, x->frontend->conf->redirect_port);
}

// A call gets its answer as gRPC has it: one head, which ends it, with the status in it.
static void send_to_call(struct exchange *x)
{
	struct http_field fields[4];
	struct http_head head = {.fields = fields, .version_minor = 1, .framing = HTTP_NO_BODY};
	char code[4];
	int len = snprintf(code, sizeof(code), "%d", grpc_code_of(reply_status(x)));

	x->status = head.status = 200;
	head.reason = str_from(http_reason(200));
	add(&head, "Content-Type", STR("application/grpc"));
	add(&head, "grpc-status", str_make(code, (size_t)len));
	add(&head, "grpc-message", str_from(cause_of(x)));
	answer_add_lines(x, &head, true);
	head.has_content_length = true; // 0, for HTTP/1
	head.keep_alive = x->request_ended && !x->proxy->draining;
	x->answer.total = 0;
	x->answer_begun = true;
	x->down->ops->send_head(x->down, &head, true);
}

void reply_send(struct exchange *x)
{
	struct http_field fields[8];
	struct http_head head = {.fields = fields, .version_minor = 1, .framing = HTTP_LENGTH};
	enum form form = form_for(x->request);
	char body[body_bytes_max], retry[8];
	bool to_head = x->request && x->request->method == HTTP_HEAD;
	size_t len;

	if (x->request && (x->request->known_seen & HTTP_BIT(HTTP_F_CONTENT_TYPE)) &&
		grpc_is_call(x->request) && x->outcome != OUTCOME_REDIRECTED) {
		send_to_call(x);
		return;
	}
	x->status = head.status = reply_status(x);
	ASSERT(x->status >= 300);
	head.reason = str_from(http_reason(x->status));
	len = write_body(x, form, body);
	add(&head, "Content-Type", str_from(content_types[form]));
	if (x->outcome == OUTCOME_REDIRECTED)
		add(&head, "Location", location_of(x));
	if (x->status == 503) {
		int retry_len = snprintf(retry, sizeof(retry), "%d", retry_after_s);

		add(&head, "Retry-After", str_make(retry, (size_t)retry_len));
	}
	if (x->status == 405)
		add(&head, "Allow", STR("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
	answer_add_lines(x, &head, true);
	head.content_length = len;
	x->answer.total = to_head ? 0 : len;
	head.has_content_length = true;
	if (to_head)
		head.framing = HTTP_NO_BODY;
	head.keep_alive =
		x->request_ended && x->refusal == HTTP_REFUSE_OK && !x->client->gate->draining;
	x->answer_begun = true;
	x->down->ops->send_head(x->down, &head, to_head);
	if (!to_head)
		x->down->ops->send_body(x->down, (struct slice){.ptr = body, .len = len}, true);
}
