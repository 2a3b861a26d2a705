// SPDX-License-Identifier: Apache-2.0
#include "cli/call.h"

#include <math.h>
#include <stdio.h>

#include "cli/cells.h"
#include "proto/http.h"

enum { detail_bytes_max = 400 };

static const char give_token[] = "Give a token: in WEIR_TOKEN, or in a file by --token-file. "
				 "admin.tokens of the configuration "
				 "names them";
static const char be_operator[] = "Ask by the unix socket as root or as the user that weir runs "
				  "as, or with a token whose role "
				  "is operate (WEIR_TOKEN, --token-file)";
static const char is_it_weir[] =
	"Is it weir that listens there, and as new as this one? See admin.bind";

// ---- What went wrong ----------------------------------------------------------------------------

// Without a full stop, which follows in the message.
static const char *sentence(struct arena *arena, const char *text)
{
	struct str piece = str_make(text, strnlen(text, detail_bytes_max));

	while (piece.len && strchr(". \n", piece.ptr[piece.len - 1]))
		piece.len--;
	return arena_str(arena, piece).ptr;
}

static const char *cure_for(u16 status, const char *told)
{
	if (status == 401)
		return give_token;
	if (status == 403)
		return be_operator;
	return told[0] ? told : is_it_weir;
}

static void judge(const struct ask_answer *answer, struct arena *arena, struct ask_trouble *trouble)
{
	json_t *problem = json_loadb(answer->body.ptr, answer->body.len, 0, NULL);
	const char *detail = call_string(problem, "detail");
	const char *cure = call_string(problem, "cure");

	if (detail[0]) {
		trouble->cause = sentence(arena, detail);
		trouble->cure =
			sentence(arena, answer->status == 401 || answer->status == 403 || cure[0]
						? cure_for(answer->status, cure)
						: "");
	} else {
		trouble->cause = arena_printf(arena, "%.*s answers %u %s", STR_FMT(answer->from),
			answer->status, http_reason(answer->status));
		trouble->cure = cure_for(answer->status, "");
	}
	json_decref(problem);
}

static const char *fields_of(const struct call *call, struct arena *arena)
{
	if (strcmp(call->method, "GET") == 0)
		return NULL;
	return arena_printf(arena, "X-Weir-Request: 1\r\n%s%s%s", call->etag ? "If-Match: \"" : "",
		call->etag ? call->etag : "", call->etag ? "\"\r\n" : "");
}

int call_try(const struct ask_where *where, const struct call *call, struct arena *arena,
	struct str *ret_body, u16 *ret_status, struct ask_trouble *ret_trouble)
{
	struct ask_question question = {.method = call->method,
		.path = call->path,
		.body = call->body,
		.fields = fields_of(call, arena)};
	struct ask_answer answer;

	*ret_status = 0;
	if (ask(where, &question, arena, &answer, ret_trouble) != 0)
		return EXIT_UNAVAILABLE;
	*ret_status = answer.status;
	if (answer.status < 200 || answer.status >= 300) {
		judge(&answer, arena, ret_trouble);
		return EXIT_FAILED;
	}
	*ret_body = answer.body;
	return EXIT_OK;
}

int call_complain(int code, const struct ask_trouble *trouble)
{
	struct cells_look look = {0};
	struct cells cells;
	struct text text = {0};
	const char *cure = trouble->cure;
	size_t len = strlen(cure);

	cells_init(&cells, &text, &look);
	cells_put(&cells, STR("weir: "));
	cells_put(&cells, str_from(trouble->cause));
	if (len) {
		cells_put(&cells, STR(". "));
		cells_put(&cells, str_from(cure));
	}
	if (len == 0 || !strchr(".?", cure[len - 1]))
		cells_put(&cells, STR("."));
	cells_end(&cells);
	fwrite(text.data, 1, text.len, stderr);
	text_done(&text);
	return code;
}

int call_text(const struct cli *cli, const struct call *call, struct str *ret_body)
{
	struct ask_trouble trouble;
	struct ask_where where;
	u16 status;
	int code;

	if (ask_where_admin(cli, &where, &trouble) != 0)
		return call_complain(EXIT_USAGE, &trouble);
	if (cli->plan->waits) // what --timeout says is for the whole
		where.timeout_ms = ASK_TIMEOUT_MS;
	code = call_try(&where, call, cli->arena, ret_body, &status, &trouble);
	return code == EXIT_OK ? EXIT_OK : call_complain(code, &trouble);
}

int call_read(struct str body, const char *key, json_t **ret_tree)
{
	json_t *tree = json_loadb(body.ptr, body.len, 0, NULL);
	struct ask_trouble trouble = {"what was answered is not what weir answers", is_it_weir};

	if (!json_is_object(tree) || !json_object_get(tree, key)) {
		json_decref(tree);
		return call_complain(EXIT_FAILED, &trouble);
	}
	*ret_tree = tree;
	return EXIT_OK;
}

int call_json(const struct cli *cli, const struct call *call, const char *key, json_t **ret_tree)
{
	struct str body;
	int code = call_text(cli, call, &body);

	return code == EXIT_OK ? call_read(body, key, ret_tree) : code;
}

const char *call_encode(struct arena *arena, struct str part)
{
	static const char plain[] = "-._~!$'()*,;:@";
	struct text text = {0};

	text_add_encoded(&text, part, plain);
	return text_take(&text, arena).ptr;
}

// ---- Reading trees ------------------------------------------------------------------------------

double call_number(const json_t *tree, const char *key)
{
	const json_t *value = json_object_get(tree, key);

	return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *call_string(const json_t *tree, const char *key)
{
	const char *value = json_string_value(json_object_get(tree, key));

	return value ? value : "";
}

bool call_is(const json_t *tree, const char *key)
{
	return json_is_true(json_object_get(tree, key));
}
