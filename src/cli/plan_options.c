// SPDX-License-Identifier: Apache-2.0
// What each option means.
#include "cli/plan_inside.h"
#include "conf/value.h"

enum {
	workers_max = 256,
	health_interval_max_s = 86400,
	timeout_max_ms = 3600 * 1000,
	confirm_min_ms = 1000,
	limit_max = 10000,
};

void plan_add_set(struct parser *parser, const char *set)
{
	parser->sets[parser->plan->set_count++] = set;
}

static int take_io(struct parser *parser, const char *value)
{
	static const char *const names[] = {"auto", "io_uring", "epoll"};

	for (u32 i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(value, names[i]) == 0) {
			parser->plan->io = (enum conf_io)i;
			plan_add_set(parser, arena_printf(parser->arena, "runtime.io=%s", value));
			return 0;
		}
	value = plan_near(value, names, ARRAY_LEN(names));
	return FAIL(
		parser, plan_did_you_mean(parser, "", value), "--io is auto, io_uring or epoll");
}

static int take_workers(struct parser *parser, const char *value)
{
	u64 count;

	if (strcmp(value, "auto") != 0 &&
		(str_to_u64(str_from(value), workers_max, &count) != 0 || count == 0))
		return FAIL(
			parser, NULL, "--workers is a number from 1 to %d, or auto", workers_max);
	plan_add_set(parser, arena_printf(parser->arena, "runtime.workers=%s", value));
	return 0;
}

static int take_health(struct parser *parser, const char *value)
{
	u64 seconds;

	if (str_to_u64(str_from(value), health_interval_max_s, &seconds) != 0 || seconds == 0)
		return FAIL(parser, NULL,
			"--health-check-interval is a number of seconds from 1 to %d",
			health_interval_max_s);
	parser->plan->flags.health_interval_s = (u32)seconds;
	return 0;
}

static int take_timeout(struct parser *parser, const char *value)
{
	u64 *ms = &parser->plan->timeout_ms;

	if (value_parse_duration(str_from(value), ms) != VALUE_OK || *ms == 0 ||
		*ms > timeout_max_ms)
		return FAIL(parser, "--timeout 5s, or --timeout 500ms",
			"--timeout is a duration from 1ms to 1h, not '%s'", value);
	return 0;
}

static int take_confirm(struct parser *parser, const char *value)
{
	u64 ms;

	if (value_parse_duration(str_from(value), &ms) != VALUE_OK || ms < confirm_min_ms ||
		ms > timeout_max_ms)
		return FAIL(parser, "--confirm 60s",
			"--confirm is a duration from 1s to 1h, not '%s'", value);
	parser->plan->confirm = value;
	return 0;
}

static int take_limit(struct parser *parser, const char *value)
{
	u64 limit;

	if (str_to_u64(str_from(value), limit_max, &limit) != 0 || limit == 0)
		return FAIL(parser, NULL, "--limit is a number from 1 to %d", limit_max);
	parser->plan->limit = (u32)limit;
	return 0;
}

// What has no colon, or no name before it, would become another request than the one that is meant.
static int take_field(struct parser *parser, const char *value)
{
	const char *colon = strchr(value, ':');

	if (!colon || colon == value || strpbrk(value, "\r\n"))
		return FAIL(parser, "-H 'Accept: text/html'",
			"--header is 'Name: value' on one line, not '%s'", value);
	parser->fields[parser->plan->field_count++] = value;
	return 0;
}

// Options of commands that ask a running weir.
static int take_option_to_ask(struct parser *parser, enum option_id id, const char *value)
{
	struct plan *plan = parser->plan;

	switch (id) {
	case OPTION_ADMIN:
		plan->admin = value;
		break;
	case OPTION_TOKEN_FILE:
		plan->token_file = value;
		break;
	case OPTION_TIMEOUT:
		return take_timeout(parser, value);
	case OPTION_ONCE:
		plan->once = true;
		break;
	case OPTION_FOLLOW:
		plan->follows = true;
		break;
	case OPTION_LIMIT:
		return take_limit(parser, value);
	case OPTION_FIELD:
		return take_field(parser, value);
	case OPTION_FROM:
		plan->from = value;
		break;
	case OPTION_FRONTEND:
		plan->frontend = value;
		break;
	case OPTION_CERT_SUBJECT:
		plan->cert_subject = value;
		break;
	case OPTION_CERT_SAN:
		plan->cert_sans = value;
		break;
	case OPTION_STATE:
		plan->state = value;
		break;
	case OPTION_OLDEST:
		plan->oldest = true;
		break;
	case OPTION_WAIT:
		plan->waits = true;
		break;
	case OPTION_LIVE:
		plan->is_live = true;
		break;
	case OPTION_CONFIRM:
		return take_confirm(parser, value);
	default:
		break;
	}
	return 0;
}

// Options that a single command takes.
static void take_option_of_one(struct plan *plan, enum option_id id, const char *value)
{
	switch (id) {
	case OPTION_ORIGIN:
		plan->with_origin = true;
		break;
	case OPTION_DEEP:
		plan->is_deep = true;
		break;
	case OPTION_STEADY:
		plan->is_steady = true;
		break;
	case OPTION_FAULT:
		plan->fault = value;
		break;
	case OPTION_DATABASE_URL:
		plan->database_url = value;
		break;
	case OPTION_SOURCE_FOLDER:
		plan->source = value;
		break;
	case OPTION_REVERSIBLE:
		plan->is_reversible = true;
		break;
	case OPTION_SEED:
		plan->seed = value;
		break;
	case OPTION_SVG:
		plan->svg = value;
		break;
	case OPTION_DRAW:
		plan->draw = value;
		break;
	case OPTION_REPLAY:
		plan->replay = value;
		break;
	default:
		break;
	}
}

int plan_take_option(struct parser *parser, enum option_id id, const char *value)
{
	struct plan *plan = parser->plan;

	parser->seen |= OPTION_BIT(id);
	switch (id) {
	case OPTION_CONFIG:
		parser->files[plan->file_count++] = value;
		break;
	case OPTION_PORT:
		plan->flags.port = value;
		break;
	case OPTION_BACKENDS:
		plan->flags.backends = value;
		break;
	case OPTION_ALGORITHM:
		plan->flags.algorithm = value;
		break;
	case OPTION_HEALTH:
		return take_health(parser, value);
	case OPTION_SET:
		plan_add_set(parser, value);
		break;
	case OPTION_IO:
		return take_io(parser, value);
	case OPTION_WORKERS:
		return take_workers(parser, value);
	case OPTION_NO_ENV_FILE:
		plan->no_env_file = true;
		break;
	case OPTION_VERBOSE:
		parser->verbose++;
		break;
	case OPTION_QUIET:
		parser->quiet++;
		break;
	case OPTION_FORMAT:
		parser->format = value;
		break;
	case OPTION_JSON:
		plan->as_json = true;
		break;
	case OPTION_ADMIN:
	case OPTION_TOKEN_FILE:
	case OPTION_TIMEOUT:
	case OPTION_ONCE:
	case OPTION_FOLLOW:
	case OPTION_LIMIT:
	case OPTION_FIELD:
	case OPTION_FROM:
	case OPTION_FRONTEND:
	case OPTION_CERT_SUBJECT:
	case OPTION_CERT_SAN:
	case OPTION_STATE:
	case OPTION_OLDEST:
	case OPTION_WAIT:
	case OPTION_LIVE:
	case OPTION_CONFIRM:
		return take_option_to_ask(parser, id, value);
	case OPTION_ORIGIN:
	case OPTION_DEEP:
	case OPTION_STEADY:
	case OPTION_FAULT:
	case OPTION_DATABASE_URL:
	case OPTION_SOURCE_FOLDER:
	case OPTION_REVERSIBLE:
	case OPTION_SEED:
	case OPTION_SVG:
	case OPTION_DRAW:
	case OPTION_REPLAY:
		take_option_of_one(parser->plan, id, value);
		break;
	case OPTION_HELP_ALL:
		plan->help_all = true;
		break;
	case OPTION_VERSION:
		plan->version_level++;
		break;
	case OPTION_CHECK:
	case OPTION_PRINT_CONFIG:
	case OPTION_HELP:
	case OPTION_COUNT:
		break;
	}
	return 0;
}
