// SPDX-License-Identifier: Apache-2.0
#include "proxy/reply.h"

#include <stdio.h>

#include "proxy/request.h"

enum {
	body_bytes_max = 1024,
	status_field_bytes_max = 128,
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

static size_t write_body(const struct exchange *x, enum form form, char *text)
{
	const struct outcome_info *info = outcome_info((enum outcome)x->outcome);
	const char *reason = http_reason(x->status);
	struct str id = x->request ? request_id(x) : STR("-");
	int len = 0;

	// Nothing of the request is repeated but the id, which is ours or a trusted peer's; a
	// foreign one is checked by its field's syntax, which has no markup only by luck.
	if (x->keep_request_id)
		id = STR("-");
	switch (form) {
	case FORM_TEXT:
		len = snprintf(text, body_bytes_max, "%u %s\n%s\noutcome: %.*s\nrequest id: %.*s\n",
			x->status, reason, cause_of(x), STR_FMT(info->name), STR_FMT(id));
		break;
	case FORM_JSON:
		len = snprintf(text, body_bytes_max,
			"{\"status\":%u,\"title\":\"%s\",\"detail\":\"%s\",\"outcome\":\"%.*s\","
			"\"request_id\":\"%.*s\"}\n",
			x->status, reason, cause_of(x), STR_FMT(info->name), STR_FMT(id));
		break;
	case FORM_HTML:
		len = snprintf(text, body_bytes_max,
			"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%u "
			"%s</title>"
			"<h1>%u %s</h1><p>%s</p><p>outcome: %.*s<br>request id: %.*s</p></html>\n",
			x->status, reason, x->status, reason, cause_of(x), STR_FMT(info->name),
			STR_FMT(id));
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
		return x->route->conf->redirect_status;
	if (x->refusal != HTTP_REFUSE_OK)
		return http_refusal_status((enum http_refusal)x->refusal);
	return outcome_info((enum outcome)x->outcome)->status;
}

void reply_send(struct exchange *x)
{
	struct http_field fields[8];
	struct http_head head = {.fields = fields, .version_minor = 1, .framing = HTTP_LENGTH};
	const struct outcome_info *info = outcome_info((enum outcome)x->outcome);
	enum form form = form_for(x->request);
	char body[body_bytes_max], proxy_status[status_field_bytes_max], retry[8];
	bool to_head = x->request && x->request->method == HTTP_HEAD;
	size_t len;

	x->status = head.status = reply_status(x);
	ASSERT(x->status >= 300);
	head.reason = str_from(http_reason(x->status));
	len = write_body(x, form, body);
	add(&head, "Content-Type", str_from(content_types[form]));
	if (x->outcome == OUTCOME_REDIRECTED)
		add(&head, "Location", router_location(&x->arena, x->route, x->request, x->path));
	if (x->status == 503) {
		int retry_len = snprintf(retry, sizeof(retry), "%d", retry_after_s);

		add(&head, "Retry-After", str_make(retry, (size_t)retry_len));
	}
	if (x->status == 405)
		add(&head, "Allow", STR("GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH"));
	if (info->error.len) {
		int status_len = snprintf(proxy_status, sizeof(proxy_status), "weir; error=%.*s",
			STR_FMT(info->error));

		add(&head, "Proxy-Status", str_make(proxy_status, (size_t)status_len));
	}
	head.content_length = len;
	x->answer.total = to_head ? 0 : len;
	head.has_content_length = true;
	if (to_head)
		head.framing = HTTP_NO_BODY;
	head.keep_alive = x->request_ended && x->refusal == HTTP_REFUSE_OK && !x->proxy->draining;
	x->answer_begun = true;
	x->down->ops->send_head(x->down, &head, to_head);
	if (!to_head)
		x->down->ops->send_body(x->down, (struct slice){.ptr = body, .len = len}, true);
}
