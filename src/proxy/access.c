// SPDX-License-Identifier: Apache-2.0
// Which requests get a line, and the way of the line.
#include "proxy/access.h"

#include "proxy/tracing.h"

// Whatever the strangers send, a line fits: four long values, fourteen short ones, and our own
// words.
_Static_assert(ACCESS_LINE_MAX >= ACCESS_TARGET_MAX + 3 * ACCESS_FIELD_MAX + 14 * ACCESS_NAME_MAX +
					  ADDR_TEXT_MAX * 4 + 1536,
	"an access line is never cut");

void access_config_init(struct access_config *config, const struct conf_log *conf)
{
	static const u8 formats[] = {
		[CONF_ACCESS_COMBINED] = ACCESS_COMBINED,
		[CONF_ACCESS_JSON] = ACCESS_JSON,
		[CONF_ACCESS_ECS] = ACCESS_ECS,
		[CONF_ACCESS_HAPROXY] = ACCESS_HAPROXY,
	};
	static const u8 origins[] = {
		[CONF_OUTCOME_NOBODY] = ORIGIN_NOBODY,
		[CONF_OUTCOME_CLIENT] = ORIGIN_CLIENT,
		[CONF_OUTCOME_BALANCER] = ORIGIN_BALANCER,
		[CONF_OUTCOME_BACKEND] = ORIGIN_BACKEND,
	};
	const struct conf_access_filter *filter = &conf->access.filter;

	*config = (struct access_config){.status_min = (u16)filter->status_min,
		.slower_than_us =
			filter->slower_than_ms ? filter->slower_than_ms * 1000 : UINT64_MAX,
		.sampled_below = tracing_threshold(conf->access.sample)};
	if (conf->access.output.kind != CONF_OUTPUT_NONE)
		config->format = formats[conf->access.format];
	for (u32 i = 0; i < ARRAY_LEN(origins); i++)
		if (filter->outcomes >> i & 1)
			config->outcomes |= 1u << origins[i];
	config->is_thinned = conf->access.sample < CONF_WHOLE || filter->status_min ||
			     filter->slower_than_ms || filter->outcomes;
}

bool access_passes(
	const struct access_config *config, u16 status, enum outcome outcome, u64 total_us)
{
	if (!config->status_min && !config->outcomes && config->slower_than_us == UINT64_MAX)
		return true;
	return (config->status_min && status >= config->status_min) ||
	       (config->outcomes >> outcome_info(outcome)->origin & 1) ||
	       total_us > config->slower_than_us;
}

bool access_is_error(u16 status, enum outcome outcome)
{
	return status >= 500 || outcome_info(outcome)->origin != ORIGIN_NOBODY;
}

struct str access_name_json(struct arena *arena, const char *key, struct str value)
{
	char buffer[ACCESS_NAME_MAX];
	size_t len =
		(size_t)(log_put_escaped(buffer, value, LOG_ESCAPE_JSON, sizeof(buffer)) - buffer);

	if (value.len == 0)
		return STR_EMPTY;
	return str_from(arena_printf(arena, ",\"%s\":\"%.*s\"", key, (int)len, buffer));
}

struct str access_shown(struct str url, bool *ret_hidden)
{
	size_t query = str_find(url, '?');

	*ret_hidden = query < url.len;
	return str_make(url.ptr, query);
}

struct str access_protocol_text(u8 protocol)
{
	static const struct str texts[] = {
		[ACCESS_TCP] = STR("TCP"),
		[ACCESS_HTTP_1_0] = STR("HTTP/1.0"),
		[ACCESS_HTTP_1_1] = STR("HTTP/1.1"),
		[ACCESS_HTTP_2] = STR("HTTP/2"),
	};

	return texts[protocol];
}

void access_write(
	struct log *log, const struct access_config *config, const struct access_entry *entry)
{
	char buffer[ACCESS_LINE_MAX];
	size_t len = 0;

	switch ((enum access_format)config->format) {
	case ACCESS_OFF:
		return;
	case ACCESS_COMBINED:
		len = access_format_combined(entry, &log->clock, buffer);
		break;
	case ACCESS_JSON:
		len = access_format_json(entry, &log->clock, buffer);
		break;
	case ACCESS_ECS:
		len = access_format_ecs(entry, &log->clock, buffer);
		break;
	case ACCESS_HAPROXY:
		len = access_format_haproxy(entry, &log->clock, buffer);
		break;
	}
	log_ring_put(
		&log->ring, LOG_RECORD_ACCESS, LOG_INFO, entry->wall_ms, str_make(buffer, len));
}
