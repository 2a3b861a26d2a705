// SPDX-License-Identifier: Apache-2.0
#include "discover/source.h"

#include "decide/jitter.h"

enum { jitter_percent = 50 };

const struct source_kind *source_kind_of(enum conf_provider_type type)
{
	switch (type) {
	case CONF_PROVIDER_SQLITE:
		return &source_sqlite;
	case CONF_PROVIDER_POSTGRES:
		return &source_postgres;
	case CONF_PROVIDER_DNS:
		return &source_dns;
	case CONF_PROVIDER_FILE:
		return &source_file;
	case CONF_PROVIDER_AUTO:
		break;
	}
	ASSERT(false && "every provider has a type once it is built");
	return NULL;
}

u64 backoff_next_ms(struct backoff *backoff)
{
	u64 span_ms = (u64)BACKOFF_MS_MIN << MIN(backoff->failures, 10u);

	backoff->failures++;
	return jitter_shorten(MIN(span_ms, (u64)BACKOFF_MS_MAX), jitter_percent,
		(u32)(rng_u64(&backoff->rng) >> 32));
}
