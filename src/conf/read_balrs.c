// SPDX-License-Identifier: Apache-2.0
// The file of Bal.rs (seed 1), which looks like YAML and is none: lines of "key: value" with spaces
// in the keys, lists without brackets, and notes behind "!!". It becomes the canonical tree, each
// node at its place in the file, so that everything wrong is told as for any other file.
#include "base/text.h"
#include "conf/read.h"
#include "conf/schema.h"

enum balrs_key {
	BALRS_BIND,
	BALRS_ALGORITHM,
	BALRS_SERVERS,
	BALRS_WEIGHTS,
	BALRS_CONNECTIONS,
	BALRS_TIMEOUT,
	BALRS_RETRIES,
	BALRS_INTERVAL,
	BALRS_INTERVAL_MS, // as older versions spelled and counted it
	BALRS_KEY_COUNT,
};

static const struct str key_names[BALRS_KEY_COUNT] = {
	[BALRS_BIND] = {"load balancer", 13},
	[BALRS_ALGORITHM] = {"algorithm", 9},
	[BALRS_SERVERS] = {"servers", 7},
	[BALRS_WEIGHTS] = {"weights", 7},
	[BALRS_CONNECTIONS] = {"max connections", 15},
	[BALRS_TIMEOUT] = {"timeout", 7},
	[BALRS_RETRIES] = {"max retries", 11},
	[BALRS_INTERVAL] = {"health check interval", 21},
	[BALRS_INTERVAL_MS] = {"helth check interval", 20},
};

struct piece {
	struct str text;
	struct place place;
};

struct balrs {
	const struct read_input *input;
	struct tree_builder builder;
	struct piece keys[BALRS_KEY_COUNT], values[BALRS_KEY_COUNT]; // ptr NULL: not there
};

bool read_balrs_is(struct str text)
{
	while (text.len)
		if (str_starts(str_cut(&text, '\n'), STR("load balancer:")))
			return true;
	return false;
}

static struct piece trimmed(const struct piece *whole, struct str part)
{
	struct str text = str_trim(part);
	struct piece piece = {text, whole->place};

	piece.place.column += (u32)(text.ptr - whole->text.ptr);
	return piece;
}

static bool report_line(
	struct balrs *balrs, enum conf_code code, const struct piece *piece, const char *why)
{
	report_at(balrs->input->report, code, piece->place, (u32)MAX(piece->text.len, (size_t)1),
		"%s", why);
	return false;
}

static bool report_unknown(struct balrs *balrs, const struct piece *key)
{
	struct nearest nearest = {0};
	struct err *err = report_at(balrs->input->report, CODE_UNKNOWN_KEY, key->place,
		(u32)MAX(key->text.len, (size_t)1), "unknown key '%.*s' in a file of Bal.rs",
		CLIP(key->text));

	for (u32 i = 0; i < BALRS_INTERVAL_MS; i++)
		nearest_try(&nearest, key->text, key_names[i]);
	if (nearest.found)
		report_advice(
			balrs->input->report, err, "did you mean '%.*s'?", CLIP(nearest.name));
	return false;
}

static bool take_line(struct balrs *balrs, const struct piece *line)
{
	struct str rest = line->text, name = str_cut(&rest, ':');
	struct piece key = trimmed(line, name), value = trimmed(line, rest);

	if (key.text.len == 0 && name.len == line->text.len)
		return true;
	if (str_starts(key.text, STR("!!")) || str_starts(key.text, STR("#")))
		return true;
	if (name.len == line->text.len)
		return report_line(
			balrs, CODE_SYNTAX, line, "a line is 'key: value' or begins with '!!'");
	for (u32 i = 0; i < BALRS_KEY_COUNT; i++) {
		if (!str_eq(key.text, key_names[i]))
			continue;
		if (balrs->keys[i].text.ptr)
			return report_line(
				balrs, CODE_DUPLICATE_KEY, &key, "this key is given twice");
		balrs->keys[i] = key;
		balrs->values[i] = value;
		return true;
	}
	return report_unknown(balrs, &key);
}

static bool is_plain(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (((u8)text.ptr[i] < 0x20 && text.ptr[i] != '\t' && text.ptr[i] != '\r' &&
			    text.ptr[i] != '\n') ||
			text.ptr[i] == 0x7f)
			return false;
	return tree_is_utf8(text);
}

static bool take_lines(struct balrs *balrs)
{
	struct piece line = {.place = {balrs->input->file, 0, 1}};
	struct str rest = balrs->input->text;
	bool is_good = true;

	if (!is_plain(rest))
		return report_line(balrs, CODE_SYNTAX,
			&(struct piece){.place = {balrs->input->file, 1, 1}},
			"the text is no UTF-8, or has control characters");
	while (rest.len) {
		line.text = str_cut(&rest, '\n');
		line.place.line++;
		if (line.text.len && line.text.ptr[line.text.len - 1] == '\r')
			line.text.len--;
		is_good &= take_line(balrs, &line);
	}
	return is_good;
}

// ---- The tree -----------------------------------------------------------------------------------

// Everything that follows from one line stands under its key.
static void say_key(struct balrs *balrs, const char *name, enum balrs_key from)
{
	const struct piece *key = &balrs->keys[from];

	builder_key(&balrs->builder, str_from(name), key->place, (u32)key->text.len);
}

static bool add_text(struct balrs *balrs, const struct piece *piece)
{
	struct arena *arena = balrs->input->report->arena;
	struct node *node = node_new_text(arena, arena_str(arena, piece->text), piece->place);

	node->width = (u32)MAX(piece->text.len, (size_t)1);
	return builder_add(&balrs->builder, node);
}

static bool open_node(struct balrs *balrs, enum node_kind kind, struct place place)
{
	return builder_open(&balrs->builder, node_new(balrs->input->report->arena, kind, place));
}

static bool open_map(struct balrs *balrs, const char *name, enum balrs_key from)
{
	say_key(balrs, name, from);
	return open_node(balrs, NODE_MAP, balrs->keys[from].place);
}

static bool is_digits(struct str text)
{
	u64 number;

	return str_to_u64(text, UINT32_MAX, &number) == 0;
}

static bool add_number(struct balrs *balrs, const char *name, enum balrs_key from, const char *unit)
{
	struct piece piece = balrs->values[from];

	if (is_digits(piece.text))
		piece.text = str_from(arena_printf(
			balrs->input->report->arena, "%.*s%s", STR_FMT(piece.text), unit));
	say_key(balrs, name, from);
	return add_text(balrs, &piece);
}

// The next part of a list, without "http://" and a '/' at the end.
static bool next_part(struct piece *rest, struct piece *ret_part)
{
	struct str tail = rest->text, part = str_cut(&tail, ',');

	if (rest->text.len == 0)
		return false;
	*ret_part = trimmed(rest, part);
	rest->place.column += (u32)(rest->text.len - tail.len);
	rest->text = tail;
	return true;
}

static void strip_url(struct piece *piece)
{
	if (!str_starts(piece->text, STR("http://")))
		return;
	piece->text.ptr += 7;
	piece->text.len -= 7;
	piece->place.column += 7;
	if (piece->text.len && piece->text.ptr[piece->text.len - 1] == '/')
		piece->text.len--;
}

static bool add_part(struct balrs *balrs, const char *name, enum balrs_key from, struct piece *rest)
{
	struct piece part;

	if (!balrs->keys[from].text.ptr || !next_part(rest, &part))
		return true;
	say_key(balrs, name, from);
	return add_text(balrs, &part);
}

// Bal.rs looks at weights only where the algorithm's name says so; ours always do.
static bool has_weights(const struct balrs *balrs)
{
	struct str name = balrs->values[BALRS_ALGORITHM].text;

	return balrs->keys[BALRS_ALGORITHM].text.ptr && name.len && ascii_lower(name.ptr[0]) == 'w';
}

static void warn_unused(struct balrs *balrs, enum balrs_key from, const struct piece *rest)
{
	struct piece extra = trimmed(rest, rest->text);

	if (balrs->keys[from].text.ptr && extra.text.len)
		report_at(balrs->input->report, CODE_NOT_USED, extra.place, (u32)extra.text.len,
			"'%.*s' has more entries than there are servers", STR_FMT(key_names[from]));
}

static bool add_servers(struct balrs *balrs)
{
	struct piece servers = balrs->values[BALRS_SERVERS], server;
	struct piece weights = balrs->values[BALRS_WEIGHTS];
	struct piece connections = balrs->values[BALRS_CONNECTIONS];
	bool goes_on = true, weighted = has_weights(balrs);

	say_key(balrs, "backends", BALRS_SERVERS);
	if (!open_node(balrs, NODE_LIST, servers.place))
		return false;
	while (goes_on && next_part(&servers, &server)) {
		goes_on = open_node(balrs, NODE_MAP, server.place);
		strip_url(&server);
		say_key(balrs, "address", BALRS_SERVERS);
		goes_on = goes_on && add_text(balrs, &server) &&
			  (!weighted || add_part(balrs, "weight", BALRS_WEIGHTS, &weights)) &&
			  add_part(balrs, "max_connections", BALRS_CONNECTIONS, &connections) &&
			  builder_close(&balrs->builder);
	}
	if (goes_on && weighted)
		warn_unused(balrs, BALRS_WEIGHTS, &weights);
	if (goes_on)
		warn_unused(balrs, BALRS_CONNECTIONS, &connections);
	return goes_on && builder_close(&balrs->builder);
}

static bool has(const struct balrs *balrs, enum balrs_key key)
{
	return balrs->keys[key].text.ptr != NULL;
}

static bool add_frontend(struct balrs *balrs)
{
	struct piece bind = balrs->values[BALRS_BIND];

	strip_url(&bind);
	if (!open_map(balrs, "frontends", BALRS_BIND) || !open_map(balrs, "default", BALRS_BIND))
		return false;
	say_key(balrs, "bind", BALRS_BIND);
	return add_text(balrs, &bind) && builder_close(&balrs->builder) &&
	       builder_close(&balrs->builder);
}

static bool add_timeout(struct balrs *balrs)
{
	const char *unit = has(balrs, BALRS_INTERVAL_MS) ? "ms" : "s";

	return open_map(balrs, "timeouts", BALRS_TIMEOUT) &&
	       add_number(balrs, "response", BALRS_TIMEOUT, unit) && builder_close(&balrs->builder);
}

static bool add_retries(struct balrs *balrs)
{
	struct piece tries = balrs->values[BALRS_RETRIES];
	u64 number;

	if (str_to_u64(tries.text, UINT32_MAX, &number) == 0)
		tries.text = str_from(arena_printf(
			balrs->input->report->arena, "%llu", (unsigned long long)number + 1));
	if (!open_map(balrs, "retry", BALRS_RETRIES))
		return false;
	say_key(balrs, "max_attempts", BALRS_RETRIES);
	return add_text(balrs, &tries) && builder_close(&balrs->builder);
}

// Bal.rs asks for the servers' root.
static bool add_check(struct balrs *balrs)
{
	enum balrs_key from = has(balrs, BALRS_INTERVAL) ? BALRS_INTERVAL : BALRS_INTERVAL_MS;
	struct piece path = {STR("/"), balrs->keys[from].place};

	if (!open_map(balrs, "health_check", from) ||
		!add_number(balrs, "interval", from, from == BALRS_INTERVAL ? "s" : "ms"))
		return false;
	say_key(balrs, "path", from);
	return add_text(balrs, &path) && builder_close(&balrs->builder);
}

static bool add_pool(struct balrs *balrs)
{
	enum balrs_key from = has(balrs, BALRS_SERVERS) ? BALRS_SERVERS : BALRS_BIND;

	if (!open_map(balrs, "pools", from) || !open_map(balrs, "default", from))
		return false;
	if (has(balrs, BALRS_ALGORITHM)) {
		say_key(balrs, "algorithm", BALRS_ALGORITHM);
		if (!add_text(balrs, &balrs->values[BALRS_ALGORITHM]))
			return false;
	}
	return (!has(balrs, BALRS_SERVERS) || add_servers(balrs)) &&
	       (!has(balrs, BALRS_TIMEOUT) || add_timeout(balrs)) &&
	       (!has(balrs, BALRS_RETRIES) || add_retries(balrs)) &&
	       ((!has(balrs, BALRS_INTERVAL) && !has(balrs, BALRS_INTERVAL_MS)) ||
		       add_check(balrs)) &&
	       builder_close(&balrs->builder) && builder_close(&balrs->builder);
}

struct node *read_balrs(const struct read_input *input)
{
	struct balrs balrs = {.input = input,
		.builder = {.report = input->report,
			.file = input->file,
			.nodes_left = input->nodes_left}};

	if (!take_lines(&balrs) ||
		!open_node(&balrs, NODE_MAP, (struct place){input->file, 1, 1}) ||
		!add_frontend(&balrs) || !add_pool(&balrs) || !builder_close(&balrs.builder))
		return NULL;
	return balrs.builder.root;
}
