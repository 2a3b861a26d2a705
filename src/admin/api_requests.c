// SPDX-License-Identifier: Apache-2.0
#include "admin/api_requests.h"

#include "admin/record_json.h"
#include "base/hash.h"
#include "base/mem.h"

enum { limit_default = 100 };

// NULL where none are kept.
static struct records **all_records(const struct admin *admin)
{
	const struct workers *workers = admin->face.workers;
	struct records **all = mem_alloc(sizeof(struct records *) * workers->count);

	for (u32 i = 0; i < workers->count; i++)
		all[i] = workers->all[i].records;
	return all;
}

u32 requests_read(
	const struct admin *admin, bool failures_only, struct record *ret_records, u32 max)
{
	struct records **all = all_records(admin);
	u32 count = record_read_newest(
		all, admin->face.workers->count, failures_only, ret_records, max);

	mem_free(all);
	return count;
}

bool requests_is_news(struct requests_seen *seen, const struct record *record)
{
	u64 marks[] = {(u64)record->at_ms, record->total_us, record->worker};
	u64 hash = hash_bytes(marks, sizeof(marks), hash_str(str_from(record->id), 0)) | 1;

	for (u32 i = 0; i < REQUESTS_SEEN; i++)
		if (seen->hashes[i] == hash)
			return false;
	seen->hashes[seen->at] = hash;
	seen->at = (seen->at + 1) % REQUESTS_SEEN;
	return true;
}

static void answer_list(struct admin *admin, struct admin_call *call, bool failures_only)
{
	struct text text = {0};
	struct record *records;
	struct json json;
	u64 limit;
	u32 count;

	if (!admin_query_number(call, "limit", 1, REQUESTS_MAX, limit_default, &limit))
		return;
	records = mem_alloc(sizeof(*records) * limit);
	count = requests_read(admin, failures_only, records, (u32)limit);
	json_init(&json, &text);
	json_object_begin(&json);
	json_key(&json, failures_only ? "failures" : "requests");
	json_array_begin(&json);
	for (u32 i = 0; i < count; i++)
		record_write_json(&json, admin->face.snapshot, &records[i]);
	json_array_end(&json);
	json_object_end(&json);
	text_addc(&text, '\n');
	mem_free(records);
	admin_add_field(call, "Cache-Control", STR("no-store"));
	admin_answer(call, 200, "application/json", &text);
}

void api_requests(void *owner, struct admin_call *call)
{
	answer_list(owner, call, false);
}

void api_failures(void *owner, struct admin_call *call)
{
	answer_list(owner, call, true);
}

void api_request(void *owner, struct admin_call *call)
{
	struct admin *admin = owner;
	struct records **all = all_records(admin);
	struct record record;
	struct text text = {0};
	struct json json;

	if (!record_find(all, admin->face.workers->count, call->params[0], &record)) {
		admin_problem(call, 404,
			"Each worker keeps its last 4096 requests, and its last 512 that failed.",
			"no request '%.*s' is known, or not any more", STR_FMT(call->params[0]));
	} else {
		json_init(&json, &text);
		record_write_json(&json, admin->face.snapshot, &record);
		text_addc(&text, '\n');
		admin_add_field(call, "Cache-Control", STR("no-store"));
		admin_answer(call, 200, "application/json", &text);
	}
	mem_free(all);
}
