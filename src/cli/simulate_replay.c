// SPDX-License-Identifier: Apache-2.0
// Access logs of weir as requests to simulate: when, by which client, and how long the backend
// took. Time at the backend is total_us without queue_us and connect_us, because queues and
// connections are what the simulation makes anew.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/hash.h"
#include "base/mem.h"
#include "cli/simulate.h"

enum { line_bytes_max = 64 * 1024 };

struct reader {
	struct simulate_trace *trace;
	u32 room, key_room, slot_count;
	u32 *slots;    // hash table of clients, index + 1
	double last_s; // combined: the second of the last lines
	u32 in_second; // how many there were
};

// ---- Clients ------------------------------------------------------------------------------------

static void grow_slots(struct reader *reader)
{
	u32 count = reader->slot_count ? reader->slot_count * 2 : 1024;

	mem_free(reader->slots);
	reader->slots = mem_alloc(sizeof(u32) * count);
	reader->slot_count = count;
	for (u32 i = 0; i < reader->trace->client_count; i++) {
		u32 at = (u32)reader->trace->keys[i] & (count - 1);

		while (reader->slots[at])
			at = (at + 1) & (count - 1);
		reader->slots[at] = i + 1;
	}
}

// The hash of an address is the client: two in 2^64 are one.
static u32 client_of(struct reader *reader, struct str address)
{
	struct simulate_trace *trace = reader->trace;
	u64 key = hash_str(address, 0);
	u32 at;

	if (trace->client_count * 2 >= reader->slot_count)
		grow_slots(reader);
	at = (u32)key & (reader->slot_count - 1);
	while (reader->slots[at]) {
		if (trace->keys[reader->slots[at] - 1] == key)
			return reader->slots[at] - 1;
		at = (at + 1) & (reader->slot_count - 1);
	}
	if (trace->client_count == reader->key_room) {
		reader->key_room = reader->key_room ? reader->key_room * 2 : 1024;
		trace->keys = mem_realloc(trace->keys, sizeof(u64) * reader->key_room);
	}
	trace->keys[trace->client_count] = key;
	reader->slots[at] = ++trace->client_count;
	return trace->client_count - 1;
}

// ---- Lines --------------------------------------------------------------------------------------

static void add(struct reader *reader, double at_ms, double service_us, struct str address)
{
	struct simulate_trace *trace = reader->trace;

	if (trace->count == reader->room) {
		reader->room = reader->room ? reader->room * 2 : 4096;
		trace->requests =
			mem_realloc(trace->requests, sizeof(*trace->requests) * reader->room);
	}
	trace->requests[trace->count++] = (struct simulate_request){.at_ms = at_ms,
		.service_ms = service_us > 1 ? service_us / 1000 : 0.001,
		.client = client_of(reader, address)};
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
	const char *when = json_string_value(json_object_get(object, "timestamp"));
	const char *client = json_string_value(json_object_get(object, "client.address"));
	bool good = when && client && json_object_get(object, "total_us");
	double at_ms;

	good = good && parse_iso(when, &at_ms);
	if (good)
		add(reader, at_ms,
			number_at(object, "total_us") - number_at(object, "queue_us") -
				number_at(object, "connect_us"),
			str_from(client));
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

// The log knows the second only. Those of one second are spread over it when the next one begins.
static void spread(struct reader *reader)
{
	struct simulate_trace *trace = reader->trace;

	for (u32 i = 0; i < reader->in_second; i++)
		trace->requests[trace->count - reader->in_second + i].at_ms +=
			1000.0 * i / reader->in_second;
	reader->in_second = 0;
}

static bool read_combined(struct reader *reader, const char *line)
{
	struct str address = str_from(line);
	const char *when = strchr(line, '['), *extras = strrchr(line, '"');
	double at_s;

	if (!when || strlen(when) < 28 || !extras || !strstr(extras, " total_us=") ||
		!parse_clf(when + 1, &at_s))
		return false;
	address.len = str_find(address, ' ');
	if (at_s > reader->last_s || at_s < reader->last_s) {
		spread(reader);
		reader->last_s = at_s;
	}
	add(reader, at_s * 1000,
		span(extras, " total_us=") - span(extras, " queue_us=") -
			span(extras, " connect_us="),
		address);
	reader->in_second++;
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
	return (x->service_ms > y->service_ms) - (x->service_ms < y->service_ms);
}

// Lines are written when a request ends, so they are nearly in order.
static void sort_and_rebase(struct simulate_trace *trace)
{
	double first;

	if (trace->count == 0)
		return;
	qsort(trace->requests, trace->count, sizeof(*trace->requests), by_time);
	first = trace->requests[0].at_ms;
	for (u32 i = 0; i < trace->count; i++)
		trace->requests[i].at_ms -= first;
}

int simulate_trace_read(const char *path, struct simulate_trace *ret_trace)
{
	struct simulate_trace trace = {0};
	struct reader reader = {.trace = &trace};
	FILE *file = fopen(path, "re");
	char *line;
	int error = 0;

	if (!file)
		return -errno;
	line = mem_alloc(line_bytes_max);
	while (fgets(line, line_bytes_max, file) && trace.count < UINT32_MAX / 4)
		trace.skipped +=
			line[0] == '{' ? !read_json(&reader, line) : !read_combined(&reader, line);
	if (ferror(file))
		error = errno ? -errno : -EIO;
	spread(&reader);
	fclose(file);
	mem_free(line);
	mem_free(reader.slots);
	sort_and_rebase(&trace);
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
}
