// SPDX-License-Identifier: Apache-2.0
// bench-load: options, the hand-shake with the harness, and the report.
//
// With --sync, "ready" is printed when the warm-up is over and a line awaited, and again after the
// report: in these pauses nothing is under way, so the harness can read the clocks of the proxy
// exactly at the edges of the measured part, and its memory while the connections idle.

#include "common.h"
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_MAX 8192

static const char usage[] =
	"usage: bench-load --to HOST:PORT [options]\n"
	"  --also HOST:PORT  for every second connection (the same)\n"
	"  --connections N   (64)\n"
	"  --requests N      measured requests, and/or\n"
	"  --seconds S       time of the measured part (S may have a fraction)\n"
	"  --rate R          open loop with R requests per second (else closed loop)\n"
	"  --size BYTES      asked for and expected as body (100)\n"
	"  --answer-fields N header fields the origin is asked for (its default)\n"
	"  --fields N        header fields of a request, Host among them (1)\n"
	"  --close           one connection per request\n"
	"  --vary WHAT       another value in each request: path (/SIZE/NNNNNN) or client\n"
	"                    (X-Forwarded-For: 10.1NN.1NN.1NN)\n"
	"  --tls             HTTPS\n"
	"  --handshakes      TLS without requests: one connection each, until the server's ticket\n"
	"                    has come\n"
	"  --resume          each connection resumes the session of the one before\n"
	"  --tcp             lines instead of HTTP, for bench-origin --tcp\n"
	"  --sources N       source addresses from 127.0.0.1 on (enough for the connections)\n"
	"  --warm N          requests of each connection before the measured ones (3)\n"
	"  --ramp N          connections that warm up at the same time (64)\n"
	"  --warm-only       no measured part\n"
	"  --sync            wait for a line on standard input before and after the measured "
	"part\n";

// What a browser sends, about 900 bytes together with Host and the request line.
static const char *const browser_fields[] = {
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
	"Chrome/126.0.0.0 Safari/537.36",
	"Accept: "
	"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
	"Accept-Language: en-GB,en;q=0.8,de-DE;q=0.6,de;q=0.4",
	"Accept-Encoding: gzip, deflate, br, zstd",
	"Cookie: session=8c1f0e2a9b7d4c6e8f1a2b3c4d5e6f70; theme=dark; "
	"consent=analytics%3Dno%26ads%3Dno; "
	"_visit=GA1.2.1234567890.1700000000; cart=3f9d2c1b-7a6e-4b5c-8d9e-0f1a2b3c4d5e",
	"Referer: https://www.example.com/catalogue/lamps?sort=price&page=3",
	"Cache-Control: max-age=0",
	"Sec-Fetch-Dest: document",
	"Sec-Fetch-Mode: navigate",
	"Sec-Fetch-Site: same-origin",
	"Upgrade-Insecure-Requests: 1",
};

enum option_name {
	OPT_TO = 1,
	OPT_ALSO,
	OPT_CONNECTIONS,
	OPT_REQUESTS,
	OPT_SECONDS,
	OPT_RATE,
	OPT_SIZE,
	OPT_ANSWER_FIELDS,
	OPT_FIELDS,
	OPT_CLOSE,
	OPT_TCP,
	OPT_TLS,
	OPT_HANDSHAKES,
	OPT_RESUME,
	OPT_VARY,
	OPT_SOURCES,
	OPT_WARM,
	OPT_RAMP,
	OPT_WARM_ONLY,
	OPT_SYNC,
};

static const struct option long_options[] = {
	{"to", required_argument, NULL, OPT_TO},
	{"also", required_argument, NULL, OPT_ALSO},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"requests", required_argument, NULL, OPT_REQUESTS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"rate", required_argument, NULL, OPT_RATE},
	{"size", required_argument, NULL, OPT_SIZE},
	{"answer-fields", required_argument, NULL, OPT_ANSWER_FIELDS},
	{"fields", required_argument, NULL, OPT_FIELDS},
	{"close", no_argument, NULL, OPT_CLOSE},
	{"tcp", no_argument, NULL, OPT_TCP},
	{"tls", no_argument, NULL, OPT_TLS},
	{"handshakes", no_argument, NULL, OPT_HANDSHAKES},
	{"resume", no_argument, NULL, OPT_RESUME},
	{"vary", required_argument, NULL, OPT_VARY},
	{"sources", required_argument, NULL, OPT_SOURCES},
	{"warm", required_argument, NULL, OPT_WARM},
	{"ramp", required_argument, NULL, OPT_RAMP},
	{"warm-only", no_argument, NULL, OPT_WARM_ONLY},
	{"sync", no_argument, NULL, OPT_SYNC},
	{NULL, 0, NULL, 0},
};

struct settings {
	struct load_options load;
	uint32_t answer_fields; // 0: the origin's default
	uint32_t fields;
	bool warm_only, sync;
	bool vary_path, vary_client;
};

static double fraction(const char *option, const char *text, double max)
{
	char *end;
	double value = strtod(text, &end);

	errno = 0;
	if (end == text || *end || !(value > 0) || value > max)
		bench_die("%s takes a number above 0 and up to %.0f, not '%s'", option, max, text);
	return value;
}

static uint32_t small(const char *option, uint32_t min, uint32_t max)
{
	return (uint32_t)bench_number(option, optarg, min, max);
}

static void set_load_option(struct load_options *load, int option)
{
	switch (option) {
	case OPT_TO:
		load->to = bench_address(optarg);
		break;
	case OPT_ALSO:
		load->also = bench_address(optarg);
		break;
	case OPT_CONNECTIONS:
		load->connections = small("--connections", 1, 100000);
		break;
	case OPT_REQUESTS:
		load->requests = bench_number("--requests", optarg, 1, UINT32_MAX);
		break;
	case OPT_SECONDS:
		load->time_ns = (uint64_t)(fraction("--seconds", optarg, 3600) * 1e9);
		break;
	case OPT_RATE:
		load->gap_ns = (uint64_t)(1e9 / fraction("--rate", optarg, 1e7));
		break;
	case OPT_SIZE:
		load->body = bench_number("--size", optarg, 0, 64u << 20);
		break;
	case OPT_SOURCES:
		load->sources = small("--sources", 1, 250);
		break;
	case OPT_WARM:
		load->warm = small("--warm", 1, 1000000);
		break;
	case OPT_RAMP:
		load->ramp = small("--ramp", 1, 4096);
		break;
	default:
		fputs(usage, stderr);
		exit(2);
	}
}

static void set_option(struct settings *settings, int option)
{
	switch (option) {
	case OPT_CLOSE:
		settings->load.close_each = true;
		break;
	case OPT_TCP:
		settings->load.tcp = true;
		break;
	case OPT_TLS:
		settings->load.tls = true;
		break;
	case OPT_HANDSHAKES:
		settings->load.tls = true;
		settings->load.handshakes = true;
		break;
	case OPT_RESUME:
		settings->load.resume = true;
		break;
	case OPT_ANSWER_FIELDS:
		settings->answer_fields = small("--answer-fields", 2, 32);
		break;
	case OPT_FIELDS:
		settings->fields = small("--fields", 1, 64);
		break;
	case OPT_VARY:
		settings->vary_path = !strcmp(optarg, "path");
		settings->vary_client = !strcmp(optarg, "client");
		errno = 0;
		if (!settings->vary_path && !settings->vary_client)
			bench_die("--vary takes path or client, not '%s'", optarg);
		break;
	case OPT_WARM_ONLY:
		settings->warm_only = true;
		break;
	case OPT_SYNC:
		settings->sync = true;
		break;
	default:
		set_load_option(&settings->load, option);
	}
}

static size_t append(char *to, size_t used, const char *line)
{
	size_t bytes = strlen(line);

	errno = 0;
	if (used + bytes + 3 > REQUEST_MAX)
		bench_die("the request is larger than %d bytes", REQUEST_MAX);
	memcpy(to + used, line, bytes);
	memcpy(to + used + bytes, "\r\n", 3);
	return used + bytes + 2;
}

// Each '#' of a request is a digit that changes.
static void find_digits(struct load_options *load)
{
	char *at = load->request;

	while ((at = memchr(at, '#', load->request_bytes - (size_t)(at - load->request)))) {
		errno = 0;
		if (load->digit_count == LOAD_DIGITS)
			bench_die("more than %d digits change", LOAD_DIGITS);
		*at = '0';
		load->digits[load->digit_count++] = at++;
	}
}

static void build_request(struct settings *settings, char *to)
{
	const uint32_t named = sizeof(browser_fields) / sizeof(browser_fields[0]);
	uint32_t fields = settings->fields;
	char line[128];
	size_t used;

	settings->load.request = to;
	if (settings->load.tcp) {
		settings->load.request_bytes = (size_t)snprintf(
			to, REQUEST_MAX, "%llu\n", (unsigned long long)settings->load.body);
		return;
	}
	int start = snprintf(line, sizeof(line), "GET /%llu%s",
		(unsigned long long)settings->load.body, settings->vary_path ? "/######" : "");
	if (settings->answer_fields)
		start += snprintf(line + start, sizeof(line) - (size_t)start, "?fields=%u",
			settings->answer_fields);
	snprintf(line + start, sizeof(line) - (size_t)start, " HTTP/1.1");
	used = append(to, 0, line);
	used = append(to, used, "Host: bench.example");
	for (uint32_t i = 0; i + 1 < fields; i++) {
		snprintf(line, sizeof(line), "X-Bench-%u: %u", i, i);
		used = append(to, used, i < named ? browser_fields[i] : line);
	}
	if (settings->vary_client)
		used = append(to, used, "X-Forwarded-For: 10.1##.1##.1##");
	if (settings->load.close_each)
		used = append(to, used, "Connection: close");
	settings->load.request_bytes = append(to, used, "");
	if (settings->vary_path || settings->vary_client)
		find_digits(&settings->load);
}

static void read_options(struct settings *settings, int argc, char **argv)
{
	struct load_options *load = &settings->load;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		set_option(settings, option);
	if (!load->to.sin_port || optind != argc) {
		fputs(usage, stderr);
		exit(2);
	}
	if (!load->also.sin_port)
		load->also = load->to;
	if (!load->requests && !load->time_ns && !settings->warm_only) {
		errno = 0;
		bench_die("one of --requests, --seconds and --warm-only is needed");
	}
	// A source address has some 28,000 ports, and closed connections keep theirs for a minute.
	if (!load->sources)
		load->sources =
			load->close_each || load->handshakes ? 64 : 1 + load->connections / 4000;
}

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static void report(const struct load_result *result)
{
	const struct histogram *latency = &result->latency;
	double seconds = (double)result->elapsed_ns / 1e9;
	const char *comma = "";

	printf("{\"answered\": %llu, \"seconds\": %.6f, \"rate\": %.1f, \"reopened\": %llu, "
	       "\"unsent\": %llu, \"errors\": {",
		(unsigned long long)result->answered, seconds,
		seconds > 0 ? (double)result->answered / seconds : 0,
		(unsigned long long)result->reopened, (unsigned long long)result->unsent);
	for (int i = 0; i < LOAD_ERRORS; i++) {
		if (!result->errors[i])
			continue;
		printf("%s\"%s\": %llu", comma, load_error_names[i],
			(unsigned long long)result->errors[i]);
		comma = ", ";
	}
	printf("}, \"latency_us\": {\"mean\": %.1f, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, "
	       "\"p99.9\": %.1f, \"max\": %.1f}}\n",
		latency->count ? us(latency->sum_ns) / (double)latency->count : 0,
		us(histogram_quantile(latency, 0.5)), us(histogram_quantile(latency, 0.9)),
		us(histogram_quantile(latency, 0.99)), us(histogram_quantile(latency, 0.999)),
		us(latency->max_ns));
	fflush(stdout);
}

// Waits for a line. The end of the input means that the harness is gone.
static void await_line(const struct settings *settings)
{
	int got;

	if (!settings->sync)
		return;
	while ((got = getchar()) != '\n')
		if (got == EOF)
			exit(1);
}

int main(int argc, char **argv)
{
	static char request[REQUEST_MAX];
	struct settings settings = {
		.load = {.connections = 64, .body = 100, .warm = 3, .ramp = 64}, .fields = 1};

	read_options(&settings, argc, argv);
	build_request(&settings, request);
	bench_prepare();
	struct load *load = load_new(&settings.load);
	load_warm(load);
	if (!settings.warm_only && !settings.load.close_each && !settings.load.gap_ns)
		load_warm_together(load);
	if (settings.sync) {
		puts("ready");
		fflush(stdout);
	}
	await_line(&settings);
	if (!settings.warm_only)
		load_measure(load);
	report(load_result(load));
	await_line(&settings);
	bool failed = false;
	for (int i = 0; i < LOAD_ERRORS; i++)
		failed |= load_result(load)->errors[i] > 0;
	load_free(load);
	return failed ? 1 : 0;
}
