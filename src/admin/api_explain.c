// SPDX-License-Identifier: Apache-2.0
// What would be done with a request: asked of a worker, which runs it without doing it.
#include <jansson.h>

#include "admin/admin_inside.h"
#include "admin/explain_json.h"
#include "base/mem.h"

enum { fields_max = 64 };

struct question {
	struct worker_call call;
	struct admin *admin;
	struct admin_call *asked;
	struct explain_ask ask; // texts are in the call's arena
	struct explain_field fields[fields_max];
	struct explain answer;
};

static void run(struct worker_call *call, struct proxy *proxy)
{
	struct question *question = container_of(call, struct question, call);

	explain_run(&question->answer, proxy, &question->ask);
}

static void answer(struct question *question)
{
	struct admin_call *asked = question->asked;
	struct text text = {0};
	struct json json;

	if (question->answer.end == EXPLAIN_ERROR) {
		admin_problem(asked, 422, question->answer.cure, "%s", question->answer.error);
		return;
	}
	json_init(&json, &text);
	explain_write_json(&json, &question->answer);
	text_addc(&text, '\n');
	admin_add_field(asked, "Cache-Control", STR("no-store"));
	admin_answer(asked, 200, "application/json", &text);
}

static void on_answer(struct message *message)
{
	struct worker_call *call = container_of(message, struct worker_call, message);
	struct question *question = container_of(call, struct question, call);

	question->admin->asks_out--;
	if (call->gone) {
		admin_problem(question->asked, 503, NULL, "the process ends");
	} else {
		answer(question);
		explain_done(&question->answer);
	}
	mem_free(question);
}

static struct str keep(struct admin_call *call, const json_t *value)
{
	return arena_str(
		&call->arena, str_make(json_string_value(value), json_string_length(value)));
}

// NULL, or what is wrong.
static const char *take_fields(struct question *question, json_t *fields)
{
	struct explain_ask *ask = &question->ask;
	const char *name;
	json_t *value;

	if (!json_is_object(fields))
		return "'headers' is an object of texts";
	json_object_foreach(fields, name, value)
	{
		if (!json_is_string(value) || ask->field_count == fields_max)
			return "'headers' is an object of at most 64 texts";
		question->fields[ask->field_count++] = (struct explain_field){
			.name = arena_str(&question->asked->arena, str_from(name)),
			.value = keep(question->asked, value)};
	}
	return NULL;
}

// Alternative names as a list, which routes see with commas between.
static const char *take_names(struct question *question, json_t *names)
{
	struct explain_ask *ask = &question->ask;
	struct arena *arena = &question->asked->arena;
	json_t *name;
	size_t at;

	if (!json_is_array(names) || json_array_size(names) > fields_max)
		return "'client_cert.san' is a list of at most 64 texts";
	json_array_foreach(names, at, name)
	{
		if (!json_is_string(name))
			return "'client_cert.san' is a list of at most 64 texts";
		ask->cert_sans = str_from(arena_printf(arena, "%.*s%s%s", STR_FMT(ask->cert_sans),
			at ? "," : "", json_string_value(name)));
	}
	return NULL;
}

static const char *take_certificate(struct question *question, json_t *cert)
{
	const char *key, *wrong = NULL;
	json_t *value;

	if (!json_is_object(cert))
		return "'client_cert' is an object with subject and san";
	json_object_foreach(cert, key, value)
	{
		if (strcmp(key, "san") == 0)
			wrong = take_names(question, value);
		else if (strcmp(key, "subject") != 0 || !json_is_string(value))
			wrong = "'client_cert' has a text 'subject' and a list 'san'";
		else
			question->ask.cert_subject = keep(question->asked, value);
		if (wrong)
			return wrong;
	}
	return NULL;
}

static const char *take(struct question *question, const char *key, json_t *value)
{
	struct explain_ask *ask = &question->ask;
	struct str text;

	if (strcmp(key, "headers") == 0)
		return take_fields(question, value);
	if (strcmp(key, "client_cert") == 0)
		return take_certificate(question, value);
	if (!json_is_string(value))
		return "all but 'headers' and 'client_cert' are texts";
	text = keep(question->asked, value);
	if (strcmp(key, "method") == 0)
		ask->method = text;
	else if (strcmp(key, "url") == 0)
		ask->url = text;
	else if (strcmp(key, "frontend") == 0)
		ask->frontend = text;
	else if (strcmp(key, "address") == 0)
		ask->address = text;
	else if (strcmp(key, "from") == 0)
		return text.len == 0 || addr_parse_ip(text, &ask->from) == 0
			       ? NULL
			       : "'from' is no IP address";
	else
		return "unknown field: it takes method, url, headers, from, frontend, address "
		       "and client_cert";
	return NULL;
}

static const char *read_question(struct question *question, json_t *root)
{
	const char *key, *wrong = NULL;
	json_t *value;

	if (!json_is_object(root))
		return "the body is an object";
	json_object_foreach(root, key, value)
	{
		wrong = take(question, key, value);
		if (wrong)
			return wrong;
	}
	if (question->ask.url.len == 0)
		return "the field 'url' is missing";
	if (question->ask.method.len == 0)
		question->ask.method = STR("GET");
	return NULL;
}

void api_explain(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;
	struct question *question;
	json_error_t error;
	json_t *root = json_loadb(call->body.ptr, call->body.len, JSON_REJECT_DUPLICATES, &error);
	const char *wrong;

	if (!root) {
		admin_problem(call, 400, NULL, "the body is no JSON: %s (line %d, column %d)",
			error.text, error.line, error.column);
		return;
	}
	question = mem_alloc(sizeof(*question));
	question->admin = admin;
	question->asked = call;
	question->ask.fields = question->fields;
	wrong = read_question(question, root);
	json_decref(root);
	if (wrong) {
		admin_problem(call, 422, NULL, "%s", wrong);
		mem_free(question);
		return;
	}
	question->call.run = run;
	question->call.asker = admin->loop;
	question->call.answered = on_answer;
	admin->asks_out++;
	worker_call(&admin->face.workers->all[0], &question->call);
}
