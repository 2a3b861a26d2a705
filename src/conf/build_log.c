// SPDX-License-Identifier: Apache-2.0
// Converters of what logs are written to, and of which requests get a line.
#include <errno.h>
#include <inttypes.h>

#include "conf/build.h"

enum {
	path_bytes_max = 4096,
	app_name_bytes_max = 48, // RFC 5424 section 6
	syslog_port = 514,
	part_digits = 4, // behind the point of a percentage
};

// ---- Shares -------------------------------------------------------------------------------------

// "5%", "0.01%" in millionths. 0, -EINVAL, or -ERANGE above 100 %.
static int parse_part(struct str text, u32 *ret_part)
{
	struct str fraction = str_make(text.ptr, text.len - 1), whole = str_cut(&fraction, '.');
	bool has_fraction = whole.len < text.len - 1;
	u64 part = 0, number = 0;
	int rc = str_to_u64(whole, 100, &part);

	if (rc < 0)
		return rc;
	part *= CONF_WHOLE / 100;
	if (has_fraction && (fraction.len == 0 || fraction.len > part_digits ||
				    str_to_u64(fraction, CONF_WHOLE, &number) < 0))
		return -EINVAL;
	for (size_t i = fraction.len; i < part_digits; i++)
		number *= 10;
	part += number;
	if (part > CONF_WHOLE)
		return -ERANGE;
	*ret_part = (u32)part;
	return 0;
}

static const char *format_part(const struct build *build, u32 part)
{
	u32 whole = part / (CONF_WHOLE / 100), fraction = part % (CONF_WHOLE / 100);
	u32 digits = part_digits;

	if (fraction == 0)
		return arena_printf(build->arena, "%u%%", whole);
	for (; fraction % 10 == 0; fraction /= 10)
		digits--;
	return arena_printf(build->arena, "%u.%0*u%%", whole, (int)digits, fraction);
}

void build_part(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u32 *field = (u32 *)(void *)((char *)object + key->offset);
	struct str text;
	bool has_sign;
	int rc;

	if (!build_scalar(build, path, node, &text))
		return;
	has_sign = text.len && text.ptr[text.len - 1] == '%';
	rc = has_sign ? parse_part(text, field) : -EINVAL;
	if (rc == 0)
		build_canonical(build, node, format_part(build, *field), false);
	else if (rc == -ERANGE)
		report_value(build->report, CODE_OUT_OF_RANGE, node,
			"%.*s is too large for %s: 0%% to 100%%", CLIP(text),
			path_text(build, path));
	else if (!has_sign && text.len && ascii_is_digit(text.ptr[0]))
		report_value(build->report, CODE_NO_UNIT, node,
			"'%.*s' has no unit (%s): write it like 5%% or 0.01%%", CLIP(text),
			path_text(build, path));
	else
		report_value(build->report, CODE_WRONG_TYPE, node,
			"'%.*s' is no percentage (%s): write it like 5%% or 0.01%%", CLIP(text),
			path_text(build, path));
}

// ---- Which requests -----------------------------------------------------------------------------

static const struct str outcome_words[] = {
	[CONF_OUTCOME_NOBODY] = {"nobody", 6},
	[CONF_OUTCOME_CLIENT] = {"client", 6},
	[CONF_OUTCOME_BALANCER] = {"balancer", 8},
	[CONF_OUTCOME_BACKEND] = {"backend", 7},
};

static u32 build_outcome(struct build *build, const struct path *path, struct node *node)
{
	struct nearest nearest = {0};
	struct str text;

	if (!build_scalar(build, path, node, &text))
		return 0;
	for (u32 i = 0; i < ARRAY_LEN(outcome_words); i++) {
		nearest_try(&nearest, text, outcome_words[i]);
		if (!str_eq_nocase(text, outcome_words[i]))
			continue;
		build_canonical(build, node, outcome_words[i].ptr, false);
		return 1u << i;
	}
	build_suggest(build,
		report_value(build->report, CODE_UNKNOWN_WORD, node,
			"unknown outcome '%.*s' (%s): nobody, client, balancer, backend, or none",
			CLIP(text), path_text(build, path)),
		&nearest);
	return 0;
}

void build_outcomes(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	u32 *field = (u32 *)(void *)((char *)object + key->offset), outcomes = 0;
	struct path item = {.up = path};

	build_make_list(build, node);
	if (!build_check_list(build, path, node, "outcomes"))
		return;
	if (node->count == 1 && node->first->kind == NODE_TEXT &&
		str_eq_nocase(node->first->text, STR("none")))
		return;
	for (struct node *child = node->first; child; child = child->next, item.index++)
		outcomes |= build_outcome(build, &item, child);
	*field = outcomes;
}

// ---- Where to -----------------------------------------------------------------------------------

static const struct {
	struct str word;
	enum conf_output_kind kind;
} output_words[] = {
	{{"stderr", 6}, CONF_OUTPUT_STDERR}, {{"stdout", 6}, CONF_OUTPUT_STDOUT},
	{{"syslog", 6}, CONF_OUTPUT_SYSLOG},
	{{"none", 4}, CONF_OUTPUT_NONE}, // last: only the access log has it
};

static struct conf_output plain_output(enum conf_output_kind kind, struct str path)
{
	return (struct conf_output){.kind = kind,
		.path = path,
		.facility = CONF_FACILITY_DAEMON,
		.app_name = STR("weir")};
}

static void parse_output(struct build *build, const struct path *path, struct node *node,
	size_t word_count, struct conf_output *ret_output)
{
	struct nearest nearest = {0};
	struct str text;

	if (node->kind == NODE_MAP) {
		build_map(build, SCHEMA_output, path, node, ret_output);
		return;
	}
	if (!build_scalar(build, path, node, &text))
		return;
	if (str_find(text, '/') < text.len && build_is_printable(text) &&
		text.len < path_bytes_max) {
		*ret_output = plain_output(CONF_OUTPUT_FILE, text);
		return;
	}
	for (size_t i = 0; i < word_count; i++) {
		nearest_try(&nearest, text, output_words[i].word);
		if (!str_eq(output_words[i].word, text))
			continue;
		*ret_output = plain_output(output_words[i].kind,
			output_words[i].kind == CONF_OUTPUT_SYSLOG ? STR("/dev/log") : STR_EMPTY);
		return;
	}
	build_suggest(build,
		report_value(build->report, CODE_UNKNOWN_WORD, node,
			"'%.*s' is no output (%s): stderr, stdout, syslog%s, or a path with '/' "
			"in it",
			CLIP(text), path_text(build, path),
			word_count == ARRAY_LEN(output_words) ? ", none" : ""),
		&nearest);
}

void build_log_output(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;

	(void)key;
	parse_output(build, path, node, ARRAY_LEN(output_words) - 1, &conf->log.output);
}

void build_access_output(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf *conf = object;

	(void)key;
	parse_output(build, path, node, ARRAY_LEN(output_words), &conf->log.access.output);
}

// "udp://127.0.0.1" or with a port.
static bool parse_udp(struct str text, struct addr *ret_addr)
{
	text = str_make(text.ptr + 6, text.len - 6);
	if (addr_parse_ip(text, ret_addr) == 0) {
		ret_addr->port = syslog_port;
		return true;
	}
	return addr_parse(text, ret_addr) == 0 && ret_addr->family != ADDR_UNIX &&
	       ret_addr->port != 0 && text.ptr[0] != ':';
}

void build_syslog(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_output *output = object;
	struct addr addr = {0};
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	if (str_starts(text, STR("unix:")) && addr_parse(text, &addr) == 0) {
		output->kind = CONF_OUTPUT_SYSLOG;
		output->path = str_from(addr.path);
	} else if (str_starts(text, STR("udp://")) && parse_udp(text, &addr)) {
		output->kind = CONF_OUTPUT_SYSLOG_UDP;
		output->addr = addr;
	} else {
		report_value(build->report, CODE_MALFORMED, node,
			"'%.*s' is no syslog server (%s): write unix:/dev/log, udp://127.0.0.1:514 "
			"or udp://[::1]:514",
			CLIP(text), path_text(build, path));
	}
}

void build_app_name(struct build *build, const struct schema_key *key, const struct path *path,
	struct node *node, void *object)
{
	struct conf_output *output = object;
	bool is_good = true;
	struct str text;

	(void)key;
	if (!build_scalar(build, path, node, &text))
		return;
	for (size_t i = 0; i < text.len; i++)
		is_good &= text.ptr[i] > ' ' && text.ptr[i] <= '~';
	if (is_good && text.len > 0 && text.len <= app_name_bytes_max)
		output->app_name = text;
	else
		report_value(build->report, CODE_MALFORMED, node,
			"%s is 1 to %d letters, digits and signs of ASCII without spaces",
			path_text(build, path), app_name_bytes_max);
}
