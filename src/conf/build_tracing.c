// SPDX-License-Identifier: Apache-2.0
// Converters of what traces are told to whom, and the variables of OpenTelemetry that may stand in
// for what the configuration does not say.
#include <errno.h>

#include "base/text.h"
#include "conf/build.h"

enum {
	text_bytes_max = 255,
	url_bytes_max = 1024,
	attributes_max = 64,
	http_port = 80,
};

static const struct str http_scheme = {"http://", 7};

// ---- The collector ------------------------------------------------------------------------------

static bool is_path(struct str path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] <= ' ' || path.ptr[i] > '~' || path.ptr[i] == '#')
			return false;
	return true;
}

static struct str skip(struct str text, size_t len)
{
	len = MIN(len, text.len);
	return str_make(text.ptr + len, text.len - len);
}

static bool contains(struct str text, char c)
{
	return str_find(text, c) < text.len;
}

static bool has_port(struct str authority)
{
	if (contains(authority, ']'))
		authority = skip(authority, str_find(authority, ']'));
	return contains(authority, ':');
}

// NULL, or why this is no address of a collector.
static const char *parse_otlp(struct arena *arena, struct str url, struct conf_tracing *ret_tracing)
{
	struct str authority, port, path;
	u64 number = 0;
	int rc;

	if (!str_starts(url, http_scheme) || url.len > url_bytes_max)
		return "write it like http://127.0.0.1:4318";
	path = skip(url, http_scheme.len);
	authority = str_make(path.ptr, str_find(path, '/'));
	path = skip(path, authority.len);
	if (!is_path(path) || !is_path(authority) || contains(authority, '?'))
		return "its path has characters that no path has";
	if (contains(authority, '@'))
		return "a name and a password are of no use here";
	port = arena_str(arena, authority);
	if (!has_port(authority))
		port = str_from(arena_printf(
			arena, "%.*s:%d", (int)authority.len, authority.ptr, http_port));
	if (port.ptr[0] == ':')
		return "it has no host";
	rc = addr_parse(port, &ret_tracing->otlp.addr);
	if ((rc < 0 && rc != -ENOENT) || (rc == 0 && ret_tracing->otlp.addr.family == ADDR_UNIX))
		return "write it like http://127.0.0.1:4318 or http://name:4318";
	if (rc == -ENOENT) {
		ret_tracing->otlp.addr = (struct addr){.family = ADDR_NONE};
		ret_tracing->otlp.host = arena_str(arena, str_cut(&port, ':'));
		rc = str_to_u64(port, UINT16_MAX, &number);
		ASSERT(rc == 0);
		ret_tracing->otlp.port = (u16)number;
	}
	ret_tracing->otlp.url = arena_str(arena, url);
	ret_tracing->otlp.authority = arena_str(arena, authority);
	ret_tracing->otlp.path = path.len ? arena_str(arena, path) : STR("/v1/traces");
	return NULL;
}

void build_otlp(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_tracing tracing = {0};
	struct conf *conf = object;
	const char *why;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (str_eq_nocase(text, STR("none"))) {
		build_canonical(build, node, "none", false);
		return;
	}
	if (str_starts(text, STR("https://"))) {
		report_value(build->report, CODE_NOT_BUILT, node,
			"collectors with 'https://' (%s) are not built yet (planned with %s)",
			path_text(build, path), schema_milestone_text(MILESTONE_TLS));
		return;
	}
	why = parse_otlp(build->arena, text, &tracing);
	if (why)
		report_value(build->report, CODE_MALFORMED, node, "'%.*s' is no collector (%s): %s",
			CLIP(text), path_text(build, path), why);
	else
		conf->tracing.otlp = tracing.otlp;
}

// ---- The resource -------------------------------------------------------------------------------

void build_service(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct str *field = (struct str *)(void *)((char *)object + key->offset);
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return;
	if (text.len == 0 || text.len > text_bytes_max || !build_is_printable(text))
		report_value(build->report, CODE_MALFORMED, node,
			"%s is 1 to %d printable characters", path_text(build, path),
			text_bytes_max);
	else
		*field = text;
}

static int hex_digit(char c)
{
	char lower = ascii_lower(c);

	if (ascii_is_digit(c))
		return c - '0';
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Without its %XX. False: one is not complete.
static bool decode(struct arena *arena, struct str text, struct str *ret_text)
{
	char *copy = arena_zalloc(arena, text.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int high, low;

		if (text.ptr[i] != '%') {
			copy[len++] = text.ptr[i];
			continue;
		}
		high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
		low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
		if (high < 0 || low < 0)
			return false;
		copy[len++] = (char)(high << 4 | low);
		i += 2;
	}
	*ret_text = str_make(copy, len);
	return true;
}

// "key=value,key=value". False: malformed, or too many.
static bool parse_attributes(struct arena *arena, struct str text, struct conf_tracing *ret_tracing)
{
	struct conf_attribute *attributes =
		arena_zalloc(arena, sizeof(*attributes) * attributes_max);
	u32 count = 0;

	while (text.len) {
		struct str pair = str_trim(str_cut(&text, ',')), value = pair;
		struct str name = str_cut(&value, '=');

		if (pair.len == 0)
			continue;
		if (count == attributes_max || name.len == pair.len ||
			!decode(arena, str_trim(name), &attributes[count].key) ||
			!decode(arena, str_trim(value), &attributes[count].value) ||
			attributes[count].key.len == 0 ||
			attributes[count].key.len > text_bytes_max ||
			attributes[count].value.len > text_bytes_max)
			return false;
		count++;
	}
	ret_tracing->attributes = attributes;
	ret_tracing->attribute_count = count;
	return true;
}

void build_attributes(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (!parse_attributes(build->arena, text, &conf->tracing))
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no list of attributes (%s): write key=value,key=value, at most "
			"%d of them, with %%XX for commas and percent signs",
			CLIP(text), path_text(build, path), attributes_max);
}

// ---- Variables of OpenTelemetry -----------------------------------------------------------------

struct otel {
	struct report *report;
	const struct variables *variables;
	struct node *root;
	struct node *map; // of `tracing`, or NULL
};

// One that is set and not empty, else NULL.
static const struct variable *find(const struct otel *otel, const char *name)
{
	const struct variable *variable = variables_find(otel->variables, str_from(name));

	return variable && variable->value.len ? variable : NULL;
}

static bool says(const struct otel *otel, const char *name, const char *value)
{
	const struct variable *variable = find(otel, name);

	return variable && str_eq_nocase(variable->value, str_from(value));
}

static bool is_missing(const struct otel *otel, const char *key)
{
	return !node_get(otel->map, str_from(key));
}

// A variable is for many programs: what this one cannot follow is no error.
static void warn(const struct otel *otel, const struct variable *variable, const char *why)
{
	report_at(otel->report, CODE_OTEL_VARIABLE, variable->place, 1, "'%.*s' is ignored: %s",
		CLIP(variable->value), why);
}

static void set(
	struct otel *otel, const char *key, const char *text, const struct variable *variable)
{
	struct arena *arena = otel->report->arena;
	struct node *node = node_new_text(arena, str_from(text), variable->place);

	if (!otel->map) {
		otel->map = node_new(arena, NODE_MAP, variable->place);
		otel->map->key = STR("tracing");
		node_add(arena, otel->root, otel->map);
	}
	node->key = str_from(key);
	node->key_place = variable->place;
	node_add(arena, otel->map, node);
}

// Where spans go by the environment; the variable for all signals names what theirs is below of.
static const struct variable *find_endpoint(const struct otel *otel, const char **ret_url)
{
	const struct variable *variable = find(otel, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
	struct arena *arena = otel->report->arena;
	struct str url;

	if (variable) {
		url = variable->value;
		*ret_url = contains(skip(url, http_scheme.len), '/')
				   ? url.ptr
				   : arena_printf(arena, "%.*s/",
					     (int)MIN(url.len, (size_t)url_bytes_max), url.ptr);
		return variable;
	}
	variable = find(otel, "OTEL_EXPORTER_OTLP_ENDPOINT");
	if (!variable)
		return NULL;
	url = variable->value;
	if (url.len && url.ptr[url.len - 1] == '/')
		url.len--;
	*ret_url = arena_printf(
		arena, "%.*s/v1/traces", (int)MIN(url.len, (size_t)url_bytes_max), url.ptr);
	return variable;
}

static const struct variable *find_protocol(const struct otel *otel)
{
	const struct variable *variable = find(otel, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL");

	return variable ? variable : find(otel, "OTEL_EXPORTER_OTLP_PROTOCOL");
}

static void take_endpoint(struct otel *otel)
{
	const struct variable *exporter = find(otel, "OTEL_TRACES_EXPORTER");
	const struct variable *protocol = find_protocol(otel), *variable;
	struct conf_tracing tracing = {0};
	const char *url = NULL, *why;

	if (says(otel, "OTEL_SDK_DISABLED", "true") ||
		(exporter && !str_eq_nocase(exporter->value, STR("otlp"))))
		return;
	variable = find_endpoint(otel, &url);
	if (!variable)
		return;
	if (protocol && str_eq_nocase(protocol->value, STR("grpc"))) {
		warn(otel, protocol, "spans are sent over HTTP only, so none are sent");
		return;
	}
	why = parse_otlp(otel->report->arena, str_from(url), &tracing);
	if (why)
		warn(otel, variable, why);
	else
		set(otel, "otlp", url, variable);
}

// "0.25" as "25%"; NULL when it is no number from 0 to 1.
static const char *percent_of(struct arena *arena, struct str text)
{
	struct str fraction = text, whole = str_cut(&fraction, '.');
	u64 number = 0, millionths = 0;

	if (str_to_u64(whole.len ? whole : STR("0"), 1, &number) < 0)
		return NULL;
	for (size_t i = 0; i < 6; i++) {
		char digit = i < fraction.len ? fraction.ptr[i] : '0';

		if (!ascii_is_digit(digit))
			return NULL;
		millionths = millionths * 10 + (u64)(digit - '0');
	}
	millionths += number * CONF_WHOLE;
	if (text.len == 0 || millionths > CONF_WHOLE)
		return NULL;
	return arena_printf(
		arena, "%u.%04u%%", (u32)(millionths / 10000), (u32)(millionths % 10000));
}

static const char *ratio_of(const struct otel *otel)
{
	const struct variable *variable = find(otel, "OTEL_TRACES_SAMPLER_ARG");
	const char *percent = variable ? percent_of(otel->report->arena, variable->value) : "100%";

	if (percent)
		return percent;
	warn(otel, variable, "it is no number from 0 to 1");
	return "100%";
}

static void take_sampler(struct otel *otel)
{
	static const struct str parent_based = STR("parentbased_");
	const struct variable *variable = find(otel, "OTEL_TRACES_SAMPLER");
	const char *sample = NULL;
	struct str name;
	bool by_parent;

	if (!variable || !is_missing(otel, "sample") || !is_missing(otel, "sampler"))
		return;
	name = variable->value;
	by_parent = str_starts(name, parent_based);
	if (by_parent)
		name = str_make(name.ptr + parent_based.len, name.len - parent_based.len);
	if (str_eq(name, STR("always_on")))
		sample = "100%";
	else if (str_eq(name, STR("always_off")))
		sample = "0%";
	else if (str_eq(name, STR("traceidratio")))
		sample = ratio_of(otel);
	if (!sample) {
		warn(otel, variable, "this sampler is not known");
		return;
	}
	set(otel, "sample", sample, variable);
	set(otel, "sampler", by_parent ? "parent" : "ratio", variable);
}

static void take_resource(struct otel *otel)
{
	const struct variable *service = find(otel, "OTEL_SERVICE_NAME");
	const struct variable *attributes = find(otel, "OTEL_RESOURCE_ATTRIBUTES");
	struct conf_tracing tracing;

	if (service && is_missing(otel, "service")) {
		if (service->value.len <= text_bytes_max && build_is_printable(service->value))
			set(otel, "service", service->value.ptr, service);
		else
			warn(otel, service, "it is no name");
	}
	if (!attributes || !is_missing(otel, "attributes"))
		return;
	if (parse_attributes(otel->report->arena, attributes->value, &tracing))
		set(otel, "attributes", attributes->value.ptr, attributes);
	else
		warn(otel, attributes, "it is no list like key=value,key=value");
}

void build_take_otel(struct report *report, struct node *root, const struct variables *variables)
{
	struct otel otel = {.report = report,
		.variables = variables,
		.root = root,
		.map = node_get(root, STR("tracing"))};

	if (otel.map && otel.map->kind == NODE_NULL) {
		node_remove(root, otel.map);
		otel.map = NULL;
	}
	if (otel.map && otel.map->kind != NODE_MAP)
		return;
	if (is_missing(&otel, "otlp"))
		take_endpoint(&otel);
	if (is_missing(&otel, "otlp"))
		return;
	take_sampler(&otel);
	take_resource(&otel);
}
