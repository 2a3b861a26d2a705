// SPDX-License-Identifier: Apache-2.0
// Keys about logs and traces: defaults, every key, what is refused, and the variables of
// OpenTelemetry.
#include "test_says.h"

#include <stdlib.h>

static void defaults(void **state)
{
	struct world world;
	const struct conf *conf = load(&world, ONE);

	(void)state;
	assert_int_equal(conf->log.access.sample, CONF_WHOLE);
	assert_int_equal(conf->log.access.filter.status_min, 0);
	assert_int_equal(conf->log.access.filter.slower_than_ms, 0);
	assert_int_equal(conf->log.access.filter.outcomes, 0);
	assert_int_equal(conf->tracing.otlp.url.len, 0);
	assert_int_equal(conf->tracing.sample, CONF_WHOLE);
	assert_int_equal(conf->tracing.sampler, CONF_SAMPLER_PARENT);
	assert_int_equal(conf->tracing.trust, CONF_TRUST_ALL);
	assert_int_equal(conf->tracing.service.len, 0);
	assert_false(conf->frontends[0].headers.server_timing);
	assert_false(conf->frontends[0].headers.proxy_status);
	assert_false(conf->frontends[0].headers.tell_backend);
	world_done(&world);
}

static void every_key(void **state)
{
	static const char *const file = SOURCE_ROOT "/tests/conf/good/full.yaml";
	struct conf_input input = {.files = &file, .file_count = 1};
	struct world world;
	const struct conf *conf;

	(void)state;
	world_init(&world);
	conf = conf_load(&input, &world.arena, &world.errs);
	assert_non_null(conf);
	assert_int_equal(conf->log.access.sample, 25000);
	assert_int_equal(conf->log.access.filter.status_min, 400);
	assert_int_equal(conf->log.access.filter.slower_than_ms, 1000);
	assert_int_equal(conf->log.access.filter.outcomes,
		1 << CONF_OUTCOME_CLIENT | 1 << CONF_OUTCOME_BACKEND);
	assert_str(conf->tracing.otlp.url, "http://10.0.0.9:4318");
	assert_str(conf->tracing.otlp.path, "/v1/traces");
	assert_str(conf->tracing.otlp.authority, "10.0.0.9:4318");
	assert_int_equal(conf->tracing.otlp.addr.port, 4318);
	assert_int_equal(conf->tracing.otlp.host.len, 0);
	assert_int_equal(conf->tracing.sample, 1000);
	assert_int_equal(conf->tracing.sampler, CONF_SAMPLER_RATIO);
	assert_int_equal(conf->tracing.trust, CONF_TRUST_PROXIES);
	assert_str(conf->tracing.service, "edge");
	assert_int_equal(conf->tracing.attribute_count, 2);
	assert_str(conf->tracing.attributes[1].key, "deployment.environment.name");
	assert_str(conf->tracing.attributes[1].value, "prod");
	assert_true(conf->frontends[0].headers.server_timing);
	assert_true(conf->frontends[0].headers.proxy_status);
	assert_true(conf->frontends[0].headers.tell_backend);
	world_done(&world);
}

// ---- Shares -------------------------------------------------------------------------------------

static void shares(void **state)
{
	static const struct {
		const char *text;
		u32 part;
		const char *shown;
	} rows[] = {
		{"0%", 0, "0%"},
		{"100%", CONF_WHOLE, "100%"},
		{"5%", 50000, "5%"},
		{"5.0%", 50000, "5%"},
		{"0.0001%", 1, "0.0001%"},
		{"12.3456%", 123456, "12.3456%"},
		{"0.10%", 1000, "0.1%"},
		{"99.9%", 999000, "99.9%"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world world;
		const struct conf *conf;
		char text[128], shown[64];

		snprintf(text, sizeof(text), ONE "tracing: {sample: %s}", rows[i].text);
		conf = load(&world, text);
		assert_int_equal(conf->tracing.sample, rows[i].part);
		snprintf(shown, sizeof(shown), "sample: \"%s\"", rows[i].shown);
		assert_contains(conf_show(conf, CONF_YAML, false, &world.arena).ptr, shown);
		world_done(&world);
	}
	refuses(ONE "tracing: {sample: 5}",
		"E018]: '5' has no unit (tracing.sample): write it like 5%");
	refuses(ONE "tracing: {sample: 0.05}", "E018]: '0.05' has no unit");
	refuses(ONE "tracing: {sample: 101%}",
		"E020]: 101% is too large for tracing.sample: 0% to");
	refuses(ONE "tracing: {sample: 100.1%}", "E020]");
	refuses(ONE "tracing: {sample: -1%}", "E014]: '-1%' is no percentage");
	refuses(ONE "tracing: {sample: .5%}", "E014]");
	refuses(ONE "tracing: {sample: 5.%}", "E014]");
	refuses(ONE "tracing: {sample: 0.00001%}", "E014]");
	refuses(ONE "tracing: {sample: \"%\"}", "E014]");
	refuses(ONE "tracing: {sample: half}", "E014]");
	refuses(ONE "log: {sample: 5%}", "unknown key 'sample' in log");
}

static void filters(void **state)
{
	struct world world;

	(void)state;
	assert_int_equal(load(&world, ONE "log: {access: {filter: {outcomes: nobody}}}")
				 ->log.access.filter.outcomes,
		1 << CONF_OUTCOME_NOBODY);
	world_done(&world);
	assert_int_equal(load(&world, ONE "log: {access: {filter: {outcomes: none}}}")
				 ->log.access.filter.outcomes,
		0);
	world_done(&world);
	refuses(ONE "log: {access: {filter: {outcomes: [cleint]}}}", "did you mean 'client'?");
	refuses(ONE "log: {access: {filter: {outcomes: [none, client]}}}",
		"unknown outcome 'none'");
	refuses(ONE "log: {access: {filter: {status_min: 99}}}", "E020]");
	refuses(ONE "log: {access: {filter: {slower_than: 5}}}", "E018]");
	refuses(ONE "log: {access: {format: xml}}", "combined, json, ecs, haproxy");
}

// ---- Outputs ------------------------------------------------------------------------------------

static void syslog_servers(void **state)
{
	struct world world;
	const struct conf_output *output;

	(void)state;
	output = &load(&world, ONE "log: {output: syslog}")->log.output;
	assert_int_equal(output->kind, CONF_OUTPUT_SYSLOG);
	assert_str(output->path, "/dev/log");
	assert_int_equal(output->facility, CONF_FACILITY_DAEMON);
	assert_str(output->app_name, "weir");
	world_done(&world);

	output = &load(&world, ONE "log: {output: {syslog: unix:/run/x.sock, facility: local3, "
				   "app_name: edge-1}}")
			  ->log.output;
	assert_int_equal(output->kind, CONF_OUTPUT_SYSLOG);
	assert_str(output->path, "/run/x.sock");
	assert_int_equal(output->facility, CONF_FACILITY_LOCAL3);
	assert_str(output->app_name, "edge-1");
	world_done(&world);

	output = &load(&world, ONE "log: {access: {output: {syslog: udp://10.0.0.1}}}")
			  ->log.access.output;
	assert_int_equal(output->kind, CONF_OUTPUT_SYSLOG_UDP);
	assert_int_equal(output->addr.port, 514);
	assert_int_equal(output->addr.ip[0], 10);
	assert_int_equal(output->facility, CONF_FACILITY_DAEMON);
	world_done(&world);

	output = &load(&world, ONE "log: {access: {output: {syslog: \"udp://[::1]:1514\"}}}")
			  ->log.access.output;
	assert_int_equal(output->addr.family, ADDR_V6);
	assert_int_equal(output->addr.port, 1514);
	world_done(&world);

	refuses(ONE "log: {output: {syslog: tcp://10.0.0.1}}",
		"E019]: 'tcp://10.0.0.1' is no syslog server (log.output.syslog): write unix:");
	refuses(ONE "log: {output: {syslog: udp://name:514}}", "E019]");
	refuses(ONE "log: {output: {syslog: \"udp://:514\"}}", "E019]");
	refuses(ONE "log: {output: {syslog: udp://10.0.0.1:0}}", "E019]");
	refuses(ONE "log: {output: {syslog: /dev/log}}", "E019]");
	refuses(ONE "log: {output: {facility: user}}", "E015]: log.output needs 'syslog'");
	refuses(ONE "log: {output: {syslog: unix:/x, facility: local8}}",
		"unknown facility 'local8'");
	refuses(ONE "log: {output: {syslog: unix:/x, app_name: a b}}",
		"E019]: log.output.app_name");
	refuses(ONE "log: {output: {sylog: unix:/x}}", "did you mean 'syslog'?");
	refuses(ONE "log: {output: [stderr]}", "E014]");
}

// ---- Collectors ---------------------------------------------------------------------------------

static void collectors(void **state)
{
	struct world world;
	const struct conf_tracing *tracing;

	(void)state;
	tracing = &load(&world, ONE "tracing: {otlp: http://otel.example:4318/x/y?z}")->tracing;
	assert_int_equal(tracing->otlp.addr.family, ADDR_NONE);
	assert_str(tracing->otlp.host, "otel.example");
	assert_int_equal(tracing->otlp.port, 4318);
	assert_str(tracing->otlp.authority, "otel.example:4318");
	assert_str(tracing->otlp.path, "/x/y?z");
	world_done(&world);
	tracing = &load(&world, ONE "tracing: {otlp: \"http://[::1]\"}")->tracing;
	assert_int_equal(tracing->otlp.addr.family, ADDR_V6);
	assert_int_equal(tracing->otlp.addr.port, 80);
	assert_str(tracing->otlp.path, "/v1/traces");
	world_done(&world);
	tracing = &load(&world, ONE "tracing: {otlp: http://name/}")->tracing;
	assert_int_equal(tracing->otlp.port, 80);
	assert_str(tracing->otlp.path, "/");
	world_done(&world);

	refuses(ONE "tracing: {otlp: https://x:4318}", "E013]: collectors with 'https://'");
	refuses(ONE "tracing: {otlp: 10.0.0.1:4318}", "E019]: '10.0.0.1:4318' is no collector");
	refuses(ONE "tracing: {otlp: \"http://:4318\"}", "it has no host");
	refuses(ONE "tracing: {otlp: http://}", "it has no host");
	refuses(ONE "tracing: {otlp: http://u:p@x}", "a name and a password");
	refuses(ONE "tracing: {otlp: \"http://x/a b\"}", "characters that no path has");
	refuses(ONE "tracing: {otlp: http://x:99999}", "E019]");
	refuses(ONE "tracing: {otlp: \"http://unix:/x\"}", "E019]");
	refuses(ONE "tracing: {sampler: parrent}", "did you mean 'parent'?");
	refuses(ONE "tracing: {trust: nobody}",
		"unknown trust 'nobody' (tracing.trust): all, trusted");
	refuses(ONE "tracing: {attributes: zone}", "E019]: 'zone' is no list of attributes");
	refuses(ONE "tracing: {attributes: \"zone=%4\"}", "E019]");
	refuses(ONE "tracing: {attributes: \"=a\"}", "E019]");
	refuses(ONE "tracing: {service: \"\"}", "E019]");
}

// ---- Variables of OpenTelemetry -----------------------------------------------------------------

static const struct conf *load_env(struct world *world, const char *text, char *const *env)
{
	static char path[] = "/tmp/weir-conf-otel-XXXXXX";
	const char *file = path;
	struct conf_input input = {.files = &file, .file_count = 1, .environ = env};
	FILE *stream;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	stream = fdopen(mkstemp(path), "w");
	assert_non_null(stream);
	fputs(text, stream);
	fclose(stream);
	world_init(world);
	{
		const struct conf *conf = conf_load(&input, &world->arena, &world->errs);

		remove(path);
		if (!conf)
			fail_msg("%s", world_errors(world));
		return conf;
	}
}

#define ENV(...)                  \
	(char *const[])           \
	{                         \
		__VA_ARGS__, NULL \
	}

static void variables_stand_in(void **state)
{
	struct world world;
	const struct conf_tracing *tracing;

	(void)state;
	tracing = &load_env(&world, ONE,
		ENV("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318/base/", "OTEL_SERVICE_NAME=edge",
			"OTEL_TRACES_SAMPLER=parentbased_traceidratio",
			"OTEL_TRACES_SAMPLER_ARG=0.125",
			"OTEL_RESOURCE_ATTRIBUTES= a=1 , b=x%2Cy%20z ,"))
			   ->tracing;
	assert_str(tracing->otlp.path, "/base/v1/traces");
	assert_int_equal(tracing->sample, 125000);
	assert_int_equal(tracing->sampler, CONF_SAMPLER_PARENT);
	assert_str(tracing->service, "edge");
	assert_int_equal(tracing->attribute_count, 2);
	assert_str(tracing->attributes[1].value, "x,y z");
	assert_int_equal(world.errs.warning_count, 0);
	world_done(&world);

	tracing = &load_env(&world, ONE,
		ENV("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318",
			"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://d:1",
			"OTEL_TRACES_SAMPLER=always_off", "OTEL_TRACES_EXPORTER=otlp"))
			   ->tracing;
	assert_str(tracing->otlp.host, "d");
	assert_str(tracing->otlp.path, "/");
	assert_int_equal(tracing->sample, 0);
	assert_int_equal(tracing->sampler, CONF_SAMPLER_RATIO);
	world_done(&world);
}

static void variables_count_only_with_a_collector(void **state)
{
	static const char *const offs[] = {"OTEL_SDK_DISABLED=TRUE", "OTEL_TRACES_EXPORTER=none",
		"OTEL_TRACES_EXPORTER=zipkin"};
	struct world world;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offs); i++) {
		char *const off = (char *)(uintptr_t)offs[i];
		const struct conf *conf = load_env(&world, ONE,
			ENV("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", off,
				"OTEL_TRACES_SAMPLER=nonsense"));

		assert_int_equal(conf->tracing.otlp.url.len, 0);
		assert_int_equal(world.errs.warning_count, 0);
		world_done(&world);
	}
	assert_int_equal(load_env(&world, ONE, ENV("OTEL_SERVICE_NAME=x", "OTEL_TRACES_SAMPLER=y"))
				 ->tracing.service.len,
		0);
	assert_int_equal(world.errs.warning_count, 0);
	world_done(&world);
	assert_int_equal(load_env(&world, ONE "tracing:\n",
				 ENV("OTEL_EXPORTER_OTLP_ENDPOINT=", "OTEL_SDK_DISABLED=false"))
				 ->tracing.otlp.url.len,
		0);
	world_done(&world);
}

static void the_configuration_comes_first(void **state)
{
	struct world world;
	const struct conf_tracing *tracing;

	(void)state;
	tracing =
		&load_env(&world, ONE "tracing: {otlp: http://a:1, sample: 3%, attributes: zone=b}",
			ENV("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318",
				"OTEL_TRACES_SAMPLER=always_on", "OTEL_SERVICE_NAME=env",
				"OTEL_RESOURCE_ATTRIBUTES=zone=a", "OTEL_SDK_DISABLED=true"))
			 ->tracing;
	assert_str(tracing->otlp.host, "a");
	assert_int_equal(tracing->sample, 30000);
	assert_int_equal(tracing->sampler, CONF_SAMPLER_PARENT);
	assert_str(tracing->service, "env");
	assert_str(tracing->attributes[0].value, "b");
	world_done(&world);
	tracing = &load_env(&world, ONE "tracing: {otlp: none}",
		ENV("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"))
			   ->tracing;
	assert_int_equal(tracing->otlp.url.len, 0);
	world_done(&world);
	tracing = &load_env(&world, ONE,
		ENV("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", "WEIR_TRACING__OTLP=http://w:2",
			"WEIR_TRACING__SAMPLE=1%"))
			   ->tracing;
	assert_str(tracing->otlp.host, "w");
	assert_int_equal(tracing->sample, 10000);
	world_done(&world);
}

static void what_cannot_be_followed_is_told(void **state)
{
	static const struct {
		const char *variable, *expected;
	} rows[] = {
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "'grpc' is ignored: spans are sent over HTTP"},
		{"OTEL_TRACES_SAMPLER=xray", "'xray' is ignored: this sampler is not known"},
		{"OTEL_RESOURCE_ATTRIBUTES=a", "'a' is ignored: it is no list"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://x",
			"is ignored: write it like http://"},
		{"OTEL_TRACES_SAMPLER_ARG=2", "'2' is ignored: it is no number from 0 to 1"},
		{"OTEL_TRACES_SAMPLER_ARG=1.5", "it is no number"},
		{"OTEL_TRACES_SAMPLER_ARG=x", "it is no number"},
	};
	struct world world;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char *const variable = (char *)(uintptr_t)rows[i].variable;

		(void)load_env(&world, ONE,
			ENV("OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318", variable,
				strstr(variable, "_ARG") ? "OTEL_TRACES_SAMPLER=traceidratio"
							 : "X=y"));
		assert_contains(world_errors(&world), "warning[W125]");
		assert_contains(world_errors(&world), rows[i].expected);
		world_done(&world);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(every_key),
		cmocka_unit_test(shares),
		cmocka_unit_test(filters),
		cmocka_unit_test(syslog_servers),
		cmocka_unit_test(collectors),
		cmocka_unit_test(variables_stand_in),
		cmocka_unit_test(variables_count_only_with_a_collector),
		cmocka_unit_test(the_configuration_comes_first),
		cmocka_unit_test(what_cannot_be_followed_is_told),
	};

	return cmocka_run_group_tests_name("logs and traces", tests, NULL, NULL);
}
