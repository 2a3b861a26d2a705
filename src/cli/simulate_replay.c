// SPDX-License-Identifier: Apache-2.0
// Access logs of weir, read: when each request began, by which client, which backend had it and for
// how long. What that says about the requests and the backends is found in simulate_trace.c.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/hash.h"
#include "base/mem.h"
#include "cli/simulate.h"

enum {
	line_bytes_max = 64 * 1024,
	progress_lines = 10000,
};

// Different names, numbered in the order of their coming. The hash of a name is the name: two in
// 2^64 are one.
struct names {
	u64 *keys;
	u32 count, room, slot_count;
	u32 *slots; // hash table of numbers, + 1
};

struct reader {
	struct simulate_trace *trace;
	enum simulate_by by;
	u32 room, backend_room;
	struct names clients, backends;
	double base_ms; // of the first line, so that microseconds are not lost beside two millennia
	bool has_base;
	double last_s; // combined: the second of the last lines
	u32 in_second; // how many there were
};

// What a line says.
struct entry {
	double at_ms, before_us, total_us; // before: until the backend had it
	struct str client, path, backend;  // empty: not there
	bool unsent;			   // no backend got it
};

// ---- Names --------------------------------------------------------------------------------------

static void grow_slots(struct names *names)
{
	u32 count = names->slot_count ? names->slot_count * 2 : 1024;

	mem_free(names->slots);
	names->slots = mem_alloc(sizeof(u32) * count);
	names->slot_count = count;
	for (u32 i = 0; i < names->count; i++) {
		u32 at = (u32)names->keys[i] & (count - 1);

		while (names->slots[at])
			at = (at + 1) & (count - 1);
		names->slots[at] = i + 1;
	}
}

static u32 number_of(struct names *names, struct str name)
{
	u64 key = hash_str(name, 0);
	u32 at;

	if (names->count * 2 >= names->slot_count)
		grow_slots(names);
	at = (u32)key & (names->slot_count - 1);
	while (names->slots[at]) {
		if (names->keys[names->slots[at] - 1] == key)
			return names->slots[at] - 1;
		at = (at + 1) & (names->slot_count - 1);
	}
	if (names->count == names->room) {
		names->room = names->room ? names->room * 2 : 1024;
		names->keys = mem_realloc(names->keys, sizeof(u64) * names->room);
	}
	names->keys[names->count] = key;
	names->slots[at] = ++names->count;
	return names->count - 1;
}

// ---- Lines --------------------------------------------------------------------------------------

static u32 backend_of(struct reader *reader, struct str name)
{
	struct simulate_trace *trace = reader->trace;
	u32 number;

	if (name.len == 0)
		return SIMULATE_NO_BACKEND;
	number = number_of(&reader->backends, name);
	if (number >= SIMULATE_SERVERS_MAX)
		return SIMULATE_NO_BACKEND;
	if (number == trace->backend_count) {
		struct simulate_backend *backend;

		if (number == reader->backend_room) {
			reader->backend_room = MAX(16, reader->backend_room * 2);
			trace->backends = mem_realloc(
				trace->backends, sizeof(*trace->backends) * reader->backend_room);
		}
		backend = &trace->backends[trace->backend_count++];
		*backend = (struct simulate_backend){.speed = 1};
		memcpy(backend->name, name.ptr, MIN(name.len, SIMULATE_NAME_MAX - 1));
	}
	return number;
}

static void add(struct reader *reader, const struct entry *entry)
{
	struct simulate_trace *trace = reader->trace;
	double total_ms = entry->total_us / 1000, at_ms;

	if (!reader->has_base)
		reader->base_ms = entry->at_ms;
	reader->has_base = true;
	at_ms = entry->at_ms - reader->base_ms;
	if (entry->unsent) {
		trace->unsent++;
		return;
	}
	if (trace->count == reader->room) {
		reader->room = reader->room ? reader->room * 2 : 4096;
		trace->requests =
			mem_realloc(trace->requests, sizeof(*trace->requests) * reader->room);
	}
	trace->requests[trace->count++] = (struct simulate_request){.at_ms = at_ms,
		.sent_ms = at_ms + entry->before_us / 1000,
		.done_ms = at_ms + fmax(total_ms, entry->before_us / 1000 + 0.001),
		.client = number_of(
			&reader->clients, reader->by == BY_PATH ? entry->path : entry->client),
		.backend = backend_of(reader, entry->backend)};
	simulate_count(&trace->logged, total_ms);
}

static u32 digits(const char *at, u32 count)
{
	u32 number = 0;

	for (u32 i = 0; i < count; i++) {
		if (at[i] < '0' || at[i] > '9')
			return UINT32_MAX;
		number = number * 10 + (u32)(at[i] - '0');
	}
	return number;
}

// Days since 1970-03-01 of the Gregorian calendar, up to a constant: only differences count.
static double seconds_of(u32 year, u32 month, u32 day, u32 hour, u32 minute, u32 second)
{
	u32 y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
	u32 days = 365 * y + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day;

	return 86400.0 * days + hour * 3600 + minute * 60 + second;
}

static double number_at(json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return json_is_number(value) ? json_number_value(value) : 0;
}

static struct str text_at(json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? str_from(text) : STR_EMPTY;
}

// "2026-11-21T04:05:06.789Z"
static bool parse_iso(const char *text, double *ret_ms)
{
	u32 year, month, day, hour, minute, second, ms;

	if (strlen(text) < 23)
		return false;
	year = digits(text, 4);
	month = digits(text + 5, 2);
	day = digits(text + 8, 2);
	hour = digits(text + 11, 2);
	minute = digits(text + 14, 2);
	second = digits(text + 17, 2);
	ms = digits(text + 20, 3);
	if (year > 9999 || month - 1 > 11 || day > 31 || hour > 23 || minute > 59 || second > 60 ||
		ms > 999)
		return false;
	*ret_ms = seconds_of(year, month, day, hour, minute, second) * 1000 + ms;
	return true;
}

static bool read_json(struct reader *reader, const char *line)
{
	json_t *object = json_loads(line, 0, NULL);
	json_t *tries = json_object_get(object, "tries");
	const char *when = json_string_value(json_object_get(object, "timestamp"));
	struct entry entry = {.total_us = number_at(object, "total_us"),
		.client = text_at(object, "client.address"),
		.path = text_at(object, "url.path"),
		.backend = text_at(object, "backend"),
		.unsent = tries && number_at(object, "tries") < 1};
	bool good = when && entry.client.len && json_object_get(object, "total_us") &&
		    parse_iso(when, &entry.at_ms);

	entry.before_us = number_at(object, "head_us") + number_at(object, "queue_us") +
			  number_at(object, "connect_us");
	if (good)
		add(reader, &entry);
	json_decref(object);
	return good;
}

// "21/Nov/2026:04:05:06 +0000"
static bool parse_clf(const char *text, double *ret_s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	u32 day = digits(text, 2), year, hour, minute, second, month = 0;
	u32 zone_hours, zone_minutes;
	double zone;

	while (month < 12 && memcmp(months + 3 * month, text + 3, 3) != 0)
		month++;
	year = digits(text + 7, 4);
	hour = digits(text + 12, 2);
	minute = digits(text + 15, 2);
	second = digits(text + 18, 2);
	zone_hours = digits(text + 22, 2);
	zone_minutes = digits(text + 24, 2);
	if (day > 31 || month == 12 || year > 9999 || hour > 23 || minute > 59 || second > 60 ||
		zone_hours > 23 || zone_minutes > 59)
		return false;
	zone = zone_hours * 3600 + zone_minutes * 60;
	*ret_s = seconds_of(year, month + 1, day, hour, minute, second) -
		 (text[21] == '-' ? -zone : zone);
	return true;
}

static double span(const char *line, const char *key)
{
	const char *found = strstr(line, key);

	return found ? strtod(found + strlen(key), NULL) : 0;
}

// A value behind a key, without its quotes.
static struct str word(const char *line, const char *key)
{
	const char *found = strstr(line, key);
	struct str value;

	if (!found)
		return STR_EMPTY;
	value = str_from(found + strlen(key));
	if (value.len && value.ptr[0] == '"') {
		value = str_make(value.ptr + 1, value.len - 1);
		value.len = str_find(value, '"');
	} else {
		value.len = MIN(str_find(value, ' '), str_find(value, '\n'));
	}
	return value;
}

// The log knows the second only. Those of one second are spread over it when the next one begins.
static void spread(struct reader *reader)
{
	struct simulate_trace *trace = reader->trace;

	for (u32 i = 0; i < reader->in_second; i++) {
		struct simulate_request *request =
			&trace->requests[trace->count - reader->in_second + i];
		double later = 1000.0 * i / reader->in_second;

		request->at_ms += later;
		request->sent_ms += later;
		request->done_ms += later;
	}
	reader->in_second = 0;
}

// What stands between the next two quotes, a backslash hiding one; moves *at behind it. False:
// there is no such thing.
static bool cut_quoted(const char **at, struct str *ret_text)
{
	const char *begin = strchr(*at, '"'), *end;

	if (!begin)
		return false;
	for (end = ++begin; *end != '"'; end++) {
		if (*end == '\\' && end[1])
			end++;
		if (!*end)
			return false;
	}
	*ret_text = str_make(begin, (size_t)(end - begin));
	*at = end + 1;
	return true;
}

// Of "GET /a?b HTTP/1.1".
static struct str path_of(struct str request)
{
	struct str rest = request, path;

	str_cut(&rest, ' ');
	path = str_cut(&rest, ' ');
	path.len = str_find(path, '?');
	return path;
}

static bool read_combined(struct reader *reader, const char *line)
{
	const char *when = strchr(line, '['), *at = when;
	struct entry entry = {.client = str_from(line)};
	struct str request, referer, agent;
	double at_s;

	if (!when || strlen(when) < 28 || !parse_clf(when + 1, &at_s) ||
		!cut_quoted(&at, &request) || !cut_quoted(&at, &referer) ||
		!cut_quoted(&at, &agent) || !strstr(at, " total_us="))
		return false;
	entry.client.len = str_find(entry.client, ' ');
	entry.path = path_of(request);
	entry.backend = word(at, " backend=");
	entry.unsent = strstr(at, " tries=0 ") != NULL;
	entry.at_ms = at_s * 1000;
	entry.total_us = span(at, " total_us=");
	entry.before_us = span(at, " head_us=") + span(at, " queue_us=") + span(at, " connect_us=");
	if (at_s > reader->last_s || at_s < reader->last_s) {
		spread(reader);
		reader->last_s = at_s;
	}
	add(reader, &entry);
	reader->in_second += !entry.unsent;
	return true;
}

// ---- A file -------------------------------------------------------------------------------------

static int by_time(const void *a, const void *b)
{
	const struct simulate_request *x = a, *y = b;

	if (x->at_ms > y->at_ms || x->at_ms < y->at_ms)
		return x->at_ms > y->at_ms ? 1 : -1;
	// The rest only makes the order the same everywhere.
	if (x->client != y->client)
		return x->client > y->client ? 1 : -1;
	return (x->done_ms > y->done_ms) - (x->done_ms < y->done_ms);
}

// Lines are written when a request ends, so they are nearly in order.
static void sort_and_rebase(struct simulate_trace *trace)
{
	double first;

	if (trace->count == 0)
		return;
	qsort(trace->requests, trace->count, sizeof(*trace->requests), by_time);
	first = trace->requests[0].at_ms;
	for (u32 i = 0; i < trace->count; i++) {
		trace->requests[i].at_ms -= first;
		trace->requests[i].sent_ms -= first;
		trace->requests[i].done_ms -= first;
	}
}

static void read_lines(
	struct reader *reader, FILE *file, simulate_progress_fn *progress, void *context)
{
	char *line = mem_alloc(line_bytes_max);
	struct simulate_trace *trace = reader->trace;
	struct stat stat;
	u32 lines = 0;

	if (fstat(fileno(file), &stat) != 0 || stat.st_size <= 0)
		progress = NULL;
	while (fgets(line, line_bytes_max, file) && trace->count < UINT32_MAX / 4) {
		trace->skipped +=
			line[0] == '{' ? !read_json(reader, line) : !read_combined(reader, line);
		if (progress && ++lines % progress_lines == 0)
			progress(context, "reading", (double)ftello(file) / (double)stat.st_size);
	}
	spread(reader);
	mem_free(line);
}

int simulate_trace_read(const char *path, enum simulate_by by, simulate_progress_fn *progress,
	void *context, struct simulate_trace *ret_trace)
{
	struct simulate_trace trace = {0};
	struct reader reader = {.trace = &trace, .by = by};
	FILE *file = fopen(path, "re");
	int error = 0;

	if (!file)
		return -errno;
	read_lines(&reader, file, progress, context);
	if (ferror(file))
		error = errno ? -errno : -EIO;
	fclose(file);
	sort_and_rebase(&trace);
	trace.keys = reader.clients.keys;
	trace.client_count = reader.clients.count;
	mem_free(reader.clients.slots);
	mem_free(reader.backends.slots);
	mem_free(reader.backends.keys);
	if (error)
		simulate_trace_done(&trace);
	else
		*ret_trace = trace;
	return error;
}

void simulate_trace_done(struct simulate_trace *trace)
{
	mem_free(trace->requests);
	mem_free(trace->keys);
	mem_free(trace->backends);
}
