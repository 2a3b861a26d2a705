// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <errno.h>
#include <unistd.h>

#include "base/mem.h"

// ---- The ring -----------------------------------------------------------------------------------

enum { RECORD_SKIP = 255, RECORD_ALIGN = 16 };

struct record_header {
	u32 len; // of the body
	u8 kind; // enum log_record_kind, or RECORD_SKIP: nothing up to the end of the ring
	u8 level;
	u16 unused;
	i64 wall_ms;
};
_Static_assert(sizeof(struct record_header) == RECORD_ALIGN, "a header fits wherever a record may");

void log_ring_init(struct log_ring *ring, u32 bytes, struct log_wake *wake)
{
	ASSERT(bytes >= 1024 && (bytes & (bytes - 1)) == 0);
	*ring = (struct log_ring){.data = mem_alloc(bytes), .bytes = bytes, .wake = wake};
}

void log_ring_done(struct log_ring *ring)
{
	mem_free(ring->data);
	ring->data = NULL;
}

static void wake_consumer(struct log_wake *wake)
{
	u64 one = 1;
	ssize_t written = write(wake->fd, &one, sizeof(one));

	(void)written; // a full eventfd is a wake already on its way
}

// Takes `take` bytes of room at `written`. *ret_half: the ring became more than half full by this.
static bool has_room(struct log_ring *ring, u64 written, u32 take, bool *ret_half)
{
	u64 half = ring->bytes / 2;

	if (written - ring->read_seen + take > half)
		ring->read_seen = atomic_load_explicit(&ring->read, memory_order_acquire);
	*ret_half = written - ring->read_seen <= half && written - ring->read_seen + take > half;
	return written - ring->read_seen + take <= ring->bytes;
}

bool log_ring_put(struct log_ring *ring, enum log_record_kind kind, enum log_level level,
	i64 wall_ms, struct str body)
{
	u64 written = atomic_load_explicit(&ring->written, memory_order_relaxed);
	u32 at = (u32)written & (ring->bytes - 1), to_end = ring->bytes - at, need, skip;
	struct record_header *header;
	bool half;

	if (body.len > ring->bytes / 4)
		goto drop;
	need = (u32)(sizeof(*header) +
		     ((body.len + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1)));
	skip = to_end < need ? to_end : 0;
	if (!has_room(ring, written, skip + need, &half))
		goto drop;
	header = (void *)(ring->data + at);
	if (skip) {
		*header = (struct record_header){.len = skip, .kind = RECORD_SKIP};
		header = (void *)ring->data;
	}
	*header = (struct record_header){
		.len = (u32)body.len,
		.kind = (u8)kind,
		.level = (u8)level,
		.wall_ms = wall_ms,
	};
	memcpy(header + 1, body.ptr, body.len);

	// Sequentially consistent, as in the consumer: either it sees this record before it sleeps,
	// or we see that it sleeps.
	atomic_store(&ring->written, written + skip + need);
	if (ring->wake && ((atomic_load(&ring->wake->asleep) &&
				   atomic_exchange(&ring->wake->asleep, false)) ||
				  half))
		wake_consumer(ring->wake);
	return true;
drop:
	atomic_store_explicit(&ring->dropped,
		atomic_load_explicit(&ring->dropped, memory_order_relaxed) + 1,
		memory_order_relaxed);
	return false;
}

// The header of the next record after whatever was skipped, or NULL.
static struct record_header *next_record(struct log_ring *ring)
{
	u64 read = atomic_load_explicit(&ring->read, memory_order_relaxed);
	struct record_header *header;

	if (read == atomic_load_explicit(&ring->written, memory_order_acquire))
		return NULL;
	header = (void *)(ring->data + (read & (ring->bytes - 1)));
	if (header->kind != RECORD_SKIP)
		return header;
	atomic_store_explicit(&ring->read, read + header->len, memory_order_release);
	return (void *)ring->data; // a skip is always published together with the record behind it
}

bool log_ring_peek(struct log_ring *ring, struct log_record *ret_record)
{
	struct record_header *header = next_record(ring);

	if (!header)
		return false;
	*ret_record = (struct log_record){
		.kind = header->kind,
		.level = header->level,
		.wall_ms = header->wall_ms,
		.body = str_make((const char *)(header + 1), header->len),
	};
	return true;
}

void log_ring_next(struct log_ring *ring)
{
	struct record_header *header = next_record(ring);
	u64 read = atomic_load_explicit(&ring->read, memory_order_relaxed);

	ASSERT(header);
	read += sizeof(*header) + ((header->len + RECORD_ALIGN - 1) & ~(u64)(RECORD_ALIGN - 1));
	atomic_store_explicit(&ring->read, read, memory_order_release);
}

bool log_ring_is_empty(const struct log_ring *ring)
{
	return atomic_load_explicit(&ring->read, memory_order_relaxed) ==
	       atomic_load(&ring->written);
}

u64 log_ring_dropped(const struct log_ring *ring)
{
	return atomic_load_explicit(&ring->dropped, memory_order_relaxed);
}

// ---- Levels -------------------------------------------------------------------------------------

static const struct {
	char name[8], human[8], color[8];
} levels[] = {
	[LOG_OFF] = {"off", "  OFF", ""},
	[LOG_ERROR] = {"error", "ERROR", "\033[31m"},
	[LOG_WARN] = {"warn", " WARN", "\033[33m"},
	[LOG_NOTICE] = {"notice", "NOTICE", "\033[36m"},
	[LOG_INFO] = {"info", " INFO", "\033[32m"},
	[LOG_DEBUG] = {"debug", "DEBUG", "\033[34m"},
	[LOG_TRACE] = {"trace", "TRACE", "\033[35m"},
};

const char *log_level_name(enum log_level level)
{
	ASSERT((size_t)level < ARRAY_LEN(levels));
	return levels[level].name;
}

int log_level_parse(struct str text, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		if (!str_eq(text, str_from(levels[i].name)))
			continue;
		*ret_level = (enum log_level)i;
		return 0;
	}
	return -EINVAL;
}

// ---- Lines --------------------------------------------------------------------------------------

enum {
	MESSAGE_MAX = 1024,
	MODULE_MAX = 64,
	CLOSING_MAX = 96, // room kept back for what closes a line
};

// A line being made. Fields may fill it up to `soft_end`; what is needed to end it well has the
// rest.
struct line {
	struct log_text text;
	char *soft_end, *hard_end;
	enum log_format format;
	bool truncated;
};

static void put_value(struct line *line, const struct log_field *field)
{
	struct log_text *text = &line->text;
	bool json = line->format == LOG_JSON, quoted = json;
	struct str value = field->text;

	switch ((enum log_kind)field->kind) {
	case LOG_KIND_U64:
		log_text_u64(text, field->u);
		return;
	case LOG_KIND_I64:
		log_text_i64(text, field->i);
		return;
	case LOG_KIND_BOOL:
		value = field->u ? STR("true") : STR("false");
		log_text_bytes(text, value.ptr, value.len);
		return;
	case LOG_KIND_ADDR:
		if (json)
			log_text_char(text, '"');
		log_text_addr(text, field->addr);
		if (json)
			log_text_char(text, '"');
		return;
	case LOG_KIND_ERRNO: {
		const char *words = strerrordesc_np((int)(field->i < 0 ? -field->i : field->i));

		value = words ? str_from(words) : STR("unknown error");
		break;
	}
	case LOG_KIND_STR:
	case LOG_KIND_SPAN:
		break;
	}
	quoted = quoted || !log_text_is_bare(value);
	if (quoted)
		log_text_char(text, '"');
	log_text_escaped(text, value, json ? LOG_ESCAPE_JSON : LOG_ESCAPE_TEXT, LOG_VALUE_MAX);
	if (quoted)
		log_text_char(text, '"');
}

// The whole field with what separates it, or nothing of it.
static void put_field(struct line *line, const char *separator, const struct log_field *field)
{
	struct log_text *text = &line->text, before = *text;

	text->end = MAX(line->soft_end, text->at);
	log_text_bytes(text, separator, strlen(separator));
	if (line->format == LOG_JSON)
		log_text_char(text, '"');
	log_text_bytes(text, field->key, strlen(field->key));
	log_text_bytes(
		text, line->format == LOG_JSON ? "\":" : "=", line->format == LOG_JSON ? 2 : 1);
	put_value(line, field);
	if (text->cut) {
		*text = before;
		line->truncated = true;
	}
	text->end = line->hard_end;
}

// "proxy/front" of ".../src/proxy/front.c", or of a test's path its last two words.
static struct str module_of(const char *file)
{
	struct str path = str_from(file);
	size_t start = path.len, slashes = 0;

	while (start > 0 && (path.ptr[start - 1] != '/' || ++slashes < 2))
		start--;
	path = str_make(path.ptr + start, path.len - start);
	if (path.len > 2 && path.ptr[path.len - 2] == '.')
		path.len -= 2;
	path.len = MIN(path.len, MODULE_MAX / 2);
	return path;
}

static void put_module_human(struct line *line, struct str module)
{
	LOG_TEXT_PUT(&line->text, "weir");
	while (module.len > 0) {
		struct str word = str_cut(&module, '/');

		LOG_TEXT_PUT(&line->text, "::");
		log_text_bytes(&line->text, word.ptr, word.len);
	}
	LOG_TEXT_PUT(&line->text, ": ");
}

static size_t first_span(const struct log_field *fields, size_t count)
{
	size_t i = 0;

	while (i < count && fields[i].kind != LOG_KIND_SPAN)
		i++;
	return i;
}

// outer{a=1 b=2}:inner{c=3}:
static void put_spans_human(struct line *line, const struct log_field *fields, size_t count)
{
	const char *separator = "";

	for (size_t i = 0; i < count; i++) {
		if (fields[i].kind != LOG_KIND_SPAN) {
			put_field(line, separator, &fields[i]);
			separator = " ";
			continue;
		}
		if (i > 0)
			LOG_TEXT_PUT(&line->text, "}:");
		log_text_bytes(&line->text, fields[i].key, strlen(fields[i].key));
		log_text_char(&line->text, '{');
		separator = "";
	}
	if (count > 0)
		LOG_TEXT_PUT(&line->text, "}: ");
}

static void put_line_human(struct line *line, enum log_level level, struct str module,
	struct str message, const struct log_field *fields, size_t count)
{
	size_t span = first_span(fields, count);

	line->soft_end -= message.len + MODULE_MAX;
	put_spans_human(line, fields + span, count - span);
	line->soft_end += message.len + MODULE_MAX;
	if (level >= LOG_INFO)
		put_module_human(line, module);
	log_text_escaped(&line->text, message, LOG_ESCAPE_TEXT, MESSAGE_MAX);
	for (size_t i = 0; i < span; i++)
		put_field(line, " ", &fields[i]);
	if (line->truncated)
		LOG_TEXT_PUT(&line->text, " truncated=true");
}

// outer:inner
static struct str span_path(const struct log_field *fields, size_t count, char *buffer, size_t size)
{
	struct log_text text;

	log_text_init(&text, buffer, size);
	for (size_t i = 0; i < count; i++) {
		if (fields[i].kind != LOG_KIND_SPAN)
			continue;
		if (text.at > buffer)
			log_text_char(&text, ':');
		log_text_bytes(&text, fields[i].key, strlen(fields[i].key));
	}
	return str_make(buffer, (size_t)(text.at - buffer));
}

static void put_line_machine(struct line *line, enum log_level level, struct str module,
	struct str message, const struct log_field *fields, size_t count)
{
	bool json = line->format == LOG_JSON;
	const char *separator = json ? "," : " ";
	struct str spans;
	char buffer[128];

	if (json)
		LOG_TEXT_PUT(&line->text, "\"msg\":\"");
	else
		LOG_TEXT_PUT(&line->text, "msg=\"");
	log_text_escaped(
		&line->text, message, json ? LOG_ESCAPE_JSON : LOG_ESCAPE_TEXT, MESSAGE_MAX);
	log_text_char(&line->text, '"');
	if (level >= LOG_INFO)
		put_field(line, separator, &LOG_STR("module", module));
	spans = span_path(fields, count, buffer, sizeof(buffer));
	if (spans.len > 0)
		put_field(line, separator, &LOG_STR("span", spans));
	for (size_t i = 0; i < count; i++) {
		if (fields[i].kind != LOG_KIND_SPAN)
			put_field(line, separator, &fields[i]);
	}
	if (line->truncated)
		put_field(line, separator, &LOG_BOOL("truncated", true));
	if (json)
		log_text_char(&line->text, '}');
}

size_t log_format_line(enum log_format format, enum log_level level, const char *file,
	const char *message, const struct log_field *fields, size_t field_count,
	char buffer[static LOG_LINE_MAX])
{
	struct str text = str_from(message), module = module_of(file);
	struct line line = {
		.soft_end = buffer + LOG_LINE_MAX - CLOSING_MAX,
		.hard_end = buffer + LOG_LINE_MAX,
		.format = format,
	};

	text.len = MIN(text.len, MESSAGE_MAX);
	log_text_init(&line.text, buffer, LOG_LINE_MAX);
	if (format == LOG_HUMAN)
		put_line_human(&line, level, module, text, fields, field_count);
	else
		put_line_machine(&line, level, module, text, fields, field_count);
	return (size_t)(line.text.at - buffer);
}

size_t log_format_prefix(enum log_format format, enum log_level level, struct log_clock *clock,
	i64 wall_ms, bool color, char buffer[static LOG_PREFIX_MAX])
{
	const char *name = log_level_name(level);
	struct log_text text;

	log_clock_set(clock, wall_ms);
	log_text_init(&text, buffer, LOG_PREFIX_MAX);
	if (format == LOG_HUMAN) {
		log_text_bytes(&text, clock->human, sizeof(clock->human));
	} else {
		if (format == LOG_JSON)
			LOG_TEXT_PUT(&text, "{\"time\":\"");
		else
			LOG_TEXT_PUT(&text, "time=");
		log_text_bytes(&text, clock->iso, sizeof(clock->iso));
	}
	log_text_char(&text, '.');
	log_text_digits(&text, (u64)MAX(wall_ms, 0) % 1000, 3);
	switch (format) {
	case LOG_HUMAN:
		log_text_char(&text, ' ');
		if (color)
			log_text_bytes(&text, levels[level].color, strlen(levels[level].color));
		log_text_bytes(&text, levels[level].human, strlen(levels[level].human));
		if (color)
			LOG_TEXT_PUT(&text, "\033[0m");
		log_text_char(&text, ' ');
		break;
	case LOG_LOGFMT:
		LOG_TEXT_PUT(&text, "Z level=");
		log_text_bytes(&text, name, strlen(name));
		log_text_char(&text, ' ');
		break;
	case LOG_JSON:
		LOG_TEXT_PUT(&text, "Z\",\"level\":\"");
		log_text_bytes(&text, name, strlen(name));
		LOG_TEXT_PUT(&text, "\",");
		break;
	}
	return (size_t)(text.at - buffer);
}

// ---- The log of one thread ----------------------------------------------------------------------

void log_init(struct log *log, enum log_level level, enum log_format format, const i64 *wall_ms,
	u32 ring_bytes, struct log_wake *wake)
{
	*log = (struct log){.format = (u8)format, .wall_ms = wall_ms};
	log_set_level(log, level);
	log_ring_init(&log->ring, ring_bytes, wake);
}

void log_done(struct log *log)
{
	log_ring_done(&log->ring);
}

void log_write(struct log *log, enum log_level level, const char *file, const char *message,
	const struct log_field *fields, size_t field_count)
{
	char buffer[LOG_LINE_MAX];
	size_t len = log_format_line(
		(enum log_format)log->format, level, file, message, fields, field_count, buffer);

	log_ring_put(&log->ring, LOG_RECORD_LINE, level, *log->wall_ms, str_make(buffer, len));
}
