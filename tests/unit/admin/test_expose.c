// SPDX-License-Identifier: Apache-2.0
// The document that a scrape gets, read by a strict reader of our own: that it is well formed in
// both formats, that its numbers are those that were counted, and that no name can break a line.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "shop.h"

// ---- A reader -----------------------------------------------------------------------------------

enum { labels_max = 8, samples_max = 20000 };

struct sample {
	struct str name, labels; // labels as written, between the braces
	struct str exemplar;	 // behind " # "
	double value;
	u32 family; // in document.families
};

struct family {
	struct str name, type, unit;
	bool has_help;
};

struct document {
	struct family families[METRIC_FAMILIES_COUNT];
	u32 family_count;
	struct sample samples[samples_max];
	u32 sample_count;
	bool openmetrics, ended;
};

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+';
}

static struct str take_name(struct str *line)
{
	size_t len = 0;
	struct str name;

	while (len < line->len && is_name_char(line->ptr[len]))
		len++;
	assert_true(len > 0);
	name = str_make(line->ptr, len);
	*line = str_make(line->ptr + len, line->len - len);
	return name;
}

static void take(struct str *line, const char *what)
{
	if (!str_starts(*line, str_from(what)))
		fail_msg("'%s' is missing in: %.*s", what, STR_FMT(*line));
	*line = str_make(line->ptr + strlen(what), line->len - strlen(what));
}

// name="value",... up to the brace, which it takes.
static struct str take_labels(struct str *line)
{
	const char *from = line->ptr;
	struct str labels;

	for (;;) {
		(void)take_name(line);
		take(line, "=\"");
		while (line->len && line->ptr[0] != '"') {
			size_t len = line->ptr[0] == '\\' ? 2 : 1;

			if (len == 2)
				assert_non_null(strchr("\\\"n", line->ptr[1]));
			*line = str_make(line->ptr + len, line->len - len);
		}
		take(line, "\"");
		if (line->len && line->ptr[0] == ',')
			take(line, ",");
		else
			break;
	}
	labels = str_make(from, (size_t)(line->ptr - from));
	take(line, "}");
	return labels;
}

static double take_number(struct str *line)
{
	char *end;
	double value = strtod(line->ptr, &end);

	assert_ptr_not_equal(end, line->ptr);
	*line = str_make(end, line->len - (size_t)(end - line->ptr));
	return value;
}

static struct family *last_family(struct document *document)
{
	assert_true(document->family_count > 0);
	return &document->families[document->family_count - 1];
}

static void begin_family(struct document *document, struct str name)
{
	if (document->family_count && str_eq(last_family(document)->name, name))
		return;
	for (u32 i = 0; i < document->family_count; i++)
		assert_false(str_eq(document->families[i].name, name));
	assert_in_range(document->family_count, 0, METRIC_FAMILIES_COUNT - 1);
	document->families[document->family_count++] = (struct family){.name = name};
}

static void read_comment(struct document *document, struct str line)
{
	struct str keyword, name;

	take(&line, "# ");
	if (str_eq(line, STR("EOF"))) {
		document->ended = true;
		return;
	}
	keyword = str_cut(&line, ' ');
	name = str_cut(&line, ' ');
	begin_family(document, name);
	assert_true(line.len > 0);
	if (str_eq(keyword, STR("HELP")))
		last_family(document)->has_help = true;
	else if (str_eq(keyword, STR("TYPE")))
		last_family(document)->type = line;
	else if (str_eq(keyword, STR("UNIT")) && document->openmetrics)
		last_family(document)->unit = line;
	else
		fail_msg("a comment that means nothing: %.*s", STR_FMT(keyword));
}

// What may stand behind the family's name in a sample's.
static void check_suffix(
	const struct document *document, const struct family *family, struct str name)
{
	struct str suffix = str_make(name.ptr + family->name.len, name.len - family->name.len);

	assert_true(str_starts(name, family->name));
	if (str_eq(family->type, STR("histogram")))
		assert_true(str_eq(suffix, STR("_bucket")) || str_eq(suffix, STR("_sum")) ||
			    str_eq(suffix, STR("_count")));
	else if (document->openmetrics && str_eq(family->type, STR("counter")))
		assert_true(str_eq(suffix, STR("_total")));
	else if (document->openmetrics && str_eq(family->type, STR("info")))
		assert_true(str_eq(suffix, STR("_info")));
	else
		assert_int_equal(suffix.len, 0);
}

static void read_sample(struct document *document, struct str line)
{
	struct sample sample = {.family = document->family_count - 1};

	sample.name = take_name(&line);
	if (line.len && line.ptr[0] == '{') {
		take(&line, "{");
		sample.labels = take_labels(&line);
	}
	take(&line, " ");
	sample.value = take_number(&line);
	if (line.len) {
		take(&line, " # ");
		sample.exemplar = line;
	}
	assert_true(last_family(document)->has_help && last_family(document)->type.len);
	check_suffix(document, last_family(document), sample.name);
	for (u32 i = document->sample_count; i > 0; i--) {
		const struct sample *other = &document->samples[i - 1];

		if (other->family != sample.family)
			break;
		assert_false(
			str_eq(other->name, sample.name) && str_eq(other->labels, sample.labels));
	}
	assert_true(document->sample_count < samples_max);
	document->samples[document->sample_count++] = sample;
}

static bool is_bucket(const struct sample *sample)
{
	return str_find(sample->labels, '=') &&
	       memmem(sample->name.ptr, sample->name.len, "_bucket", strlen("_bucket"));
}

// Buckets grow, and the last one is the count that follows the sum.
static void check_histograms(const struct document *document)
{
	for (u32 i = 1; i < document->sample_count; i++) {
		const struct sample *sample = &document->samples[i], *before = sample - 1;

		if (!str_eq(document->families[sample->family].type, STR("histogram")))
			continue;
		if (is_bucket(sample) && is_bucket(before) && before->family == sample->family)
			assert_true(sample->value >= before->value);
		if (!is_bucket(sample) && is_bucket(before)) {
			assert_non_null(memmem(before->labels.ptr, before->labels.len,
				"le=\"+Inf\"", strlen("le=\"+Inf\"")));
			assert_true(before->value == sample[1].value);
			assert_true(str_eq(sample->labels, sample[1].labels));
		}
	}
}

static struct document *read_document(const struct text *text, bool openmetrics)
{
	struct document *document = mem_alloc(sizeof(*document));
	struct str rest = str_make(text->data, text->len);

	document->openmetrics = openmetrics;
	assert_int_equal(rest.ptr[rest.len - 1], '\n');
	while (rest.len) {
		struct str line = str_cut(&rest, '\n');

		assert_false(document->ended);
		assert_true(line.len > 0);
		if (line.ptr[0] == '#')
			read_comment(document, line);
		else
			read_sample(document, line);
	}
	assert_int_equal(document->ended, openmetrics);
	check_histograms(document);
	return document;
}

static struct document *scrape(
	const struct shop *shop, enum expose_format format, struct text *text)
{
	text->len = 0;
	expose_write(text, format, &shop->source);
	return read_document(text, format == EXPOSE_OPENMETRICS);
}

// The sum of all samples of this name whose labels contain `labels`.
static double total(const struct document *document, const char *name, const char *labels)
{
	double sum = 0;
	u32 found = 0;

	for (u32 i = 0; i < document->sample_count; i++) {
		const struct sample *sample = &document->samples[i];

		if (!str_eq(sample->name, str_from(name)) ||
			(labels[0] && !memmem(sample->labels.ptr, sample->labels.len, labels,
					      strlen(labels))))
			continue;
		sum += sample->value;
		found++;
	}
	return found ? sum : -1;
}

static const struct family *find_family(const struct document *document, const char *name)
{
	for (u32 i = 0; i < document->family_count; i++)
		if (str_eq(document->families[i].name, str_from(name)))
			return &document->families[i];
	return NULL;
}

// ---- Tests --------------------------------------------------------------------------------------

static const struct expose_provider provider = {.name = {"workers", 7},
	.type = {"postgres", 8},
	.is_up = true,
	.rows = 5,
	.left_out = 2,
	.reads = 11,
	.errors = 3,
	.read_at_ms = 1800000000000};

static void test_every_family_is_there(void **state)
{
	static const char *const absent[] = {"lb_certificate_expiry_timestamp_seconds",
		"lb_ocsp_response_expiry_timestamp_seconds", "lb_upgrades_total"};
	struct text text = {0};
	struct document *document;
	struct shop shop;

	(void)state;
	shop_open(&shop, 2, 3, 4, 3, 40);
	shop.source.providers = &provider;
	shop.source.provider_count = 1;
	document = scrape(&shop, EXPOSE_PROMETHEUS, &text);
	for (u32 i = 0; i < METRIC_FAMILIES_COUNT; i++) {
		const char *name = metric_families[i].name;
		bool wanted = true;

		for (u32 k = 0; k < ARRAY_LEN(absent); k++)
			wanted &= strcmp(name, absent[k]) != 0;
		if (wanted != !!find_family(document, name))
			fail_msg("%s is %s", name, wanted ? "missing" : "there");
	}
	mem_free(document);
	text_done(&text);
	shop_close(&shop);
}

static void test_numbers(void **state)
{
	enum { workers = 3, backends = 5, requests = 100 };
	struct text text = {0};
	struct document *d;
	struct shop shop;

	(void)state;
	shop_open(&shop, workers, 3, 4, backends,
		requests); // three pools with requests, one of them TCP
	d = scrape(&shop, EXPOSE_PROMETHEUS, &text);
	assert_int_equal(total(d, "lb_requests_total", ""), 2 * backends * requests);
	assert_int_equal(
		total(d, "lb_request_duration_seconds_count", ""), 2 * backends * requests);
	assert_int_equal(total(d, "lb_request_size_bytes_count", ""), 2 * backends * requests);
	assert_int_equal(total(d, "lb_tcp_connections_total", ""), backends * requests);
	assert_int_equal(
		total(d, "lb_tcp_connection_duration_seconds_count", ""), backends * requests);
	assert_int_equal(
		total(d, "lb_backend_request_duration_seconds_count", ""), 2 * backends * requests);
	assert_int_equal(total(d, "lb_backend_requests_total", "") -
				 total(d, "lb_backend_retries_total", ""),
		3 * backends * requests);
	assert_int_equal(total(d, "lb_backend_requests_total", "pool=\"pool-3\""), 0);
	assert_int_equal(total(d, "lb_requests_total", "status=\"500\"") +
				 total(d, "lb_requests_total", "status=\"503\""),
		total(d, "lb_backend_errors_total", ""));
	assert_true(total(d, "lb_requests_total", "method=\"_OTHER\"") > 0);
	assert_int_equal(total(d, "lb_total_backends", ""), 4 * backends);
	assert_int_equal(total(d, "lb_healthy_backends", ""), 4 * backends - 2);
	assert_int_equal(total(d, "lb_backend_health_status", ""), 4 * backends - 2);
	assert_int_equal(total(d, "lb_circuit_breaker_state", "backend=\"10.0.0.2:8080\""), 2);
	assert_true(total(d, "lb_worker_busy_seconds_total", "worker=\"2\"") == 4.5);
	assert_true(total(d, "lb_worker_starved_seconds_total", "worker=\"1\"") == 0.5);
	assert_true(total(d, "lb_worker_busy_ratio", "worker=\"0\"") == 0.25);
	assert_true(total(d, "lb_worker_turn_seconds_count", "worker=\"2\"") == 3);
	assert_true(total(d, "lb_upstream_reuse_ratio", "") == 0.75);
	assert_true(total(d, "process_start_time_seconds", "") == 1790000000.123);
	assert_true(total(d, "process_cpu_seconds_total", "") == 12.345678);
	assert_int_equal(total(d, "lb_build_info", "version=\"0.1.0\",io=\"epoll\""), 1);
	mem_free(d);
	text_done(&text);
	shop_close(&shop);
}

static void test_openmetrics(void **state)
{
	struct expose_certificate certificate = {STR("example.org"), 1800000000},
				  staple = {STR("example.ocsp"), 1700000000};
	struct text text = {0};
	struct document *d;
	struct shop shop;

	(void)state;
	shop_open(&shop, 2, 2, 2, 2, 10);
	shop.source.certificates = &certificate;
	shop.source.certificate_count = 1;
	shop.source.staples = &staple;
	shop.source.staple_count = 1;
	shop.source.providers = &provider;
	shop.source.provider_count = 1;
	d = scrape(&shop, EXPOSE_OPENMETRICS, &text);
	assert_null(find_family(d, "lb_requests_total"));
	assert_true(str_eq(find_family(d, "lb_requests")->type, STR("counter")));
	assert_true(str_eq(find_family(d, "lb_build")->type, STR("info")));
	assert_true(str_eq(find_family(d, "lb_request_duration_seconds")->unit, STR("seconds")));
	assert_true(str_eq(find_family(d, "lb_client_sent_bytes")->unit, STR("bytes")));
	assert_int_equal(find_family(d, "lb_requests")->unit.len, 0);
	assert_true(total(d, "lb_certificate_expiry_timestamp_seconds", "example.org") == 1.8e9);
	assert_true(total(d, "lb_ocsp_response_expiry_timestamp_seconds",
			    "response=\"example.ocsp\"") == 1.7e9);
	assert_true(total(d, "lb_provider_up", "workers") == 1);
	assert_true(total(d, "lb_provider_rows", "workers") == 5);
	assert_true(total(d, "lb_provider_rows_left_out", "workers") == 2);
	assert_true(total(d, "lb_provider_held", "workers") == 0);
	assert_true(total(d, "lb_provider_reads_total", "failure") == 3);
	assert_true(total(d, "lb_provider_last_success_timestamp_seconds", "workers") == 1.8e9);
	mem_free(d);
	text_done(&text);
	shop_close(&shop);
}

static void test_exemplars(void **state)
{
	static const u8 id[16] = {0x4b, 0xf9, 0x2f, 0x35, [15] = 0x36};
	struct stats_entry entry = {.status = 200, .method = HTTP_GET, .total_us = 67000};
	struct text text = {0};
	struct document *d;
	struct shop shop;
	u32 found = 0;

	(void)state;
	shop_open(&shop, 2, 2, 2, 2, 10);
	entry.frontend = shop.snapshot.frontends[0];
	entry.pool = shop.snapshot.pools[0];
	entry.backend = &shop.snapshot.pools[0]->backends[0];
	stats_note(shop.stats[1], &entry);
	stats_note_trace(shop.stats[1], &entry, id, 1520879607789);
	d = scrape(&shop, EXPOSE_OPENMETRICS, &text);
	for (u32 i = 0; i < d->sample_count; i++) {
		if (!d->samples[i].exemplar.len)
			continue;
		found++;
		assert_non_null(strstr(d->samples[i].labels.ptr, "le=\"0.075\""));
		assert_true(str_eq(d->samples[i].exemplar,
			STR("{trace_id=\"4bf92f35000000000000000000000036\"} 0.067 "
			    "1520879607.789")));
	}
	assert_int_equal(found, 1);
	mem_free(d);
	d = scrape(&shop, EXPOSE_PROMETHEUS, &text);
	assert_null(strstr(text.data, "trace_id"));
	mem_free(d);
	text_done(&text);
	shop_close(&shop);
}

static void test_names_cannot_break_a_line(void **state)
{
	struct text text = {0};
	struct document *d;
	struct shop shop;

	(void)state;
	shop_open(&shop, 1, 2, 2, 1, 10);
	shop.snapshot.pools[0]->name = STR("a\"} 1\nlb_forged 1\\");
	shop.snapshot.pools[0]->backends[0].id = STR("\xff"
						     "b\xc3\xa4\xe2\x82\xac\xed\xa0\x80\xc3");
	d = scrape(&shop, EXPOSE_PROMETHEUS, &text);
	assert_null(find_family(d, "lb_forged"));
	assert_true(total(d, "lb_backend_weight",
			    "pool=\"a\\\"} 1\\nlb_forged "
			    "1\\\\\",backend=\"?b\xc3\xa4\xe2\x82\xac????\"") == 1);
	mem_free(d);
	text_done(&text);
	shop_close(&shop);
}

// Before the first request, and where requests are not counted.
static void test_nothing_counted(void **state)
{
	struct text text = {0};
	struct document *d;
	struct shop shop;

	(void)state;
	shop_open(&shop, 2, 2, 2, 2, 0);
	d = scrape(&shop, EXPOSE_PROMETHEUS, &text);
	assert_null(find_family(d, "lb_requests_total"));
	assert_int_equal(total(d, "lb_backend_requests_total", ""), 0);
	mem_free(d);
	shop.source.stats = NULL;
	d = scrape(&shop, EXPOSE_OPENMETRICS, &text);
	assert_null(find_family(d, "lb_frontend_connections_active"));
	assert_int_equal(total(d, "lb_total_backends", ""), 4);
	mem_free(d);
	text_done(&text);
	shop_close(&shop);
}

static void test_what_had_no_row_is_shown(void **state)
{
	enum { frontends = 64, backends = STATS_ROWS_MAX / frontends };
	struct stats_entry entry = {.status = 200, .method = HTTP_GET, .total_us = 1};
	struct text text = {0};
	struct shop shop;

	(void)state;
	shop_open(&shop, 1, frontends + 1, 2, backends, 0);
	entry.pool = shop.snapshot.pools[0];
	for (u32 i = 0; i < frontends * backends; i++) {
		entry.frontend = shop.snapshot.frontends[i % frontends];
		entry.backend = &shop.snapshot.pools[0]->backends[i / frontends];
		stats_note(shop.stats[0], &entry);
	}
	expose_write(&text, EXPOSE_PROMETHEUS, &shop.source);
	assert_non_null(strstr(text.data,
		"lb_requests_total{frontend=\"_OTHER\",pool=\"_OTHER\",backend=\"_OTHER\",method="
		"\"GET\",status=\"200\"} 1\n"));
	text_done(&text);
	shop_close(&shop);
}

// Rows of backends that are gone are one group, whose counts may be of very many kinds: one worker
// alone had a row for each of them.
static void test_many_are_gone(void **state)
{
	enum { backends = 60, kinds = 20 };
	struct stats_entry entry = {.total_us = 1, .was_sent = true};
	struct text text = {0};
	struct document *d;
	struct shop shop;

	(void)state;
	shop_open(&shop, 1, 2, 2, backends, 0);
	entry.frontend = shop.snapshot.frontends[0];
	entry.pool = shop.snapshot.pools[0];
	for (u32 i = 0; i < backends * kinds; i++) {
		entry.backend = &shop.snapshot.pools[0]->backends[i / kinds];
		entry.status = (u16)(200 + i / 4 % 300);
		entry.method = (u8)(HTTP_GET + i % 4);
		stats_note(shop.stats[0], &entry);
	}
	for (u32 i = 0; i < backends; i++)
		shop.snapshot.backends[i] = NULL;
	shop.snapshot.pools[0]->backend_count = 0;
	d = scrape(&shop, EXPOSE_PROMETHEUS, &text);
	assert_int_equal(
		total(d, "lb_requests_total", "pool=\"pool-0\",backend=\"\""), backends * kinds);
	mem_free(d);
	text_done(&text);
	shop_close(&shop);
}

static void test_accept(void **state)
{
	static const struct {
		const char *accept;
		enum expose_format format;
	} rows[] = {
		{"", EXPOSE_PROMETHEUS},
		{"*/*", EXPOSE_PROMETHEUS},
		{"text/html, */*;q=0.8", EXPOSE_PROMETHEUS},
		{"application/openmetrics-text", EXPOSE_OPENMETRICS},
		{"application/openmetrics-text; version=1.0.0", EXPOSE_OPENMETRICS},
		{"Application/OpenMetrics-Text;Version=1.0.0", EXPOSE_OPENMETRICS},
		{"application/openmetrics-text;version=0.0.1", EXPOSE_PROMETHEUS},
		{"application/openmetrics-text;version=1.0.0;q=0", EXPOSE_PROMETHEUS},
		{"application/openmetrics-text;q=0.5,text/plain;q=0.9", EXPOSE_PROMETHEUS},
		{"application/openmetrics-text;q=0.9,text/plain;q=0.5", EXPOSE_OPENMETRICS},
		{"application/openmetrics-text;q=0.5, */*", EXPOSE_PROMETHEUS},
		{"application/openmetrics-text;q=x", EXPOSE_PROMETHEUS},
		{"application/openmetrics-text;version=1.0.0,"
		 "application/openmetrics-text;version=0.0.1;q=0.75,"
		 "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			EXPOSE_OPENMETRICS},
		{"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
		 "text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
			EXPOSE_OPENMETRICS},
		{";;;,,,=;q=1", EXPOSE_PROMETHEUS},
	};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(rows); i++)
		if (expose_choose(str_from(rows[i].accept)) != rows[i].format)
			fail_msg("the wrong format for: %s", rows[i].accept);
	assert_true(str_starts(
		expose_content_type(EXPOSE_PROMETHEUS), STR("text/plain; version=0.0.4")));
	assert_true(str_starts(expose_content_type(EXPOSE_OPENMETRICS),
		STR("application/openmetrics-text; version=1.0.0")));
}

static void test_process(void **state)
{
	struct expose_process before = {0}, after = {0};
	FILE *file;

	(void)state;
	expose_process_read(&before);
	assert_true(
		before.resident_bytes > 100 * 1000 && before.resident_bytes < before.virtual_bytes);
	assert_true(before.fds >= 3 && before.fds_max >= before.fds);
	file = fopen("/proc/self/status", "r");
	assert_non_null(file);
	expose_process_read(&after);
	assert_int_equal(after.fds, before.fds + 1);
	assert_true(after.cpu_us >= before.cpu_us && after.cpu_us > 0);
	fclose(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_family_is_there),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_exemplars),
		cmocka_unit_test(test_names_cannot_break_a_line),
		cmocka_unit_test(test_nothing_counted),
		cmocka_unit_test(test_what_had_no_row_is_shown),
		cmocka_unit_test(test_many_are_gone),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_process),
	};

	return cmocka_run_group_tests_name("expose", tests, NULL, NULL);
}
