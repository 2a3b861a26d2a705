// SPDX-License-Identifier: Apache-2.0
// weir top without a terminal: what is read, judged, sorted; what keys do; frames to the character.
#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "cli/backend_name.h"
#include "cli/call.h"
#include "cli/top_draw.h"
#include "cli/top_terminal.h"

static const double now_ms = 1790000000000;

static struct arena arena;
static struct top_model model;
static struct top_view view;
static struct text text;

static int setup(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	arena_init(&arena, 1 << 26);
	top_model_init(&model);
	top_view_init(&view);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	top_view_done(&view);
	top_model_done(&model);
	text_done(&text);
	arena_done(&arena);
	return 0;
}

// ---- States -------------------------------------------------------------------------------------

// One backend; `more` overrides what is there before: of keys that come twice the last one counts.
static const char *backend(const char *pool, const char *id, const char *more)
{
	return arena_printf(&arena,
		"{\"pool\":\"%s\",\"id\":\"%s\",\"address\":\"10.0.0.1:80\",\"etag\":\"1\","
		"\"state\":\"up\",\"since_at_ms\":1789996400000,\"reason\":null,"
		"\"takes_requests\":true,\"weight\":1,\"weight_configured\":1,\"share_ratio\":1.0,"
		"\"admin\":\"enabled\",\"streak\":3,\"next_check_at_ms\":1790000004000,"
		"\"last_check\":{\"passed\":true,\"reason\":null,\"latency_us\":900,"
		"\"at_ms\":1789999999000},\"breaker\":\"closed\",\"breaker_forced\":null,"
		"\"connections\":8,\"idle\":6,\"connections_max\":64,\"in_flight\":2,"
		"\"requests_per_s\":100.0,\"errors_per_s\":0.0,\"p50_us\":900,\"p99_us\":4000,"
		"\"spark\":[0,0,0,0,0,0,50,50,50,50,50,50,100,100,100,100,100,100]%s}",
		pool, id, more);
}

static const char down[] =
	",\"state\":\"down\",\"reason\":\"connection refused\","
	"\"takes_requests\":false,\"changes\":1,\"changes_span_ms\":600000,\"since_at_ms\":"
	"1789999748000,"
	"\"requests_per_s\":0.0,\"in_flight\":0,\"connections\":0,\"p50_us\":null,"
	"\"p99_us\":null,\"last_check\":{\"passed\":false,"
	"\"reason\":\"connection refused\",\"latency_us\":null,"
	"\"at_ms\":1789999999000}";
static const char slow[] = ",\"p50_us\":36000,\"p99_us\":160000,\"peers_p50_us\":900,"
			   "\"peers_p99_us\":4000,\"slow_times\":40,\"odd\":[{\"what\":\"slow\","
			   "\"text\":\"p50 36 ms, its peers 0.90 ms\","
			   "\"since_at_ms\":1789999880000}]";
static const char flapping[] = ",\"odd\":[{\"what\":\"flapping\",\"text\":"
			       "\"4 changes within 3 minutes\",\"since_at_ms\":null}],"
			       "\"changes\":4";

static const char pools[] =
	"{\"name\":\"app\",\"algorithm\":\"round_robin\",\"state\":\"degraded\",\"backends\":4,"
	"\"eligible\":3,\"up\":3,\"failover\":null,\"check\":\"http\",\"queued\":0,\"in_flight\":6,"
	"\"requests_per_s\":300.0,\"errors_per_s\":0.5,\"retries_per_s\":0.0,\"p50_us\":900,"
	"\"p90_us\":2000,\"p99_us\":150000,\"max_us\":200000}";

static struct str state_of(const char *backends, const char *more)
{
	return str_from(arena_printf(&arena,
		"{\"instance\":\"lb-1\",\"now_at_ms\":1790000000000,\"started_at_ms\":"
		"1789990000000,"
		"\"ready\":true,\"may\":\"operate\",\"verdict\":{\"level\":\"bad\",\"text\":"
		"\"\",\"parts\":[{\"text\":\"Serving 300 requests/s\",\"since_at_ms\":null},"
		"{\"text\":\"1 of 4 backends is down\",\"reason\":\"connection refused\","
		"\"since_at_ms\":1789999748000}]},\"totals\":{\"requests_per_s\":300.0,\"errors_"
		"per_s\":0.5,"
		"\"errors_ratio\":0.0017,\"p50_us\":900,\"p90_us\":2000,\"p99_us\":150000,"
		"\"max_us\":200000,\"connections\":12,\"connections_max\":524288,\"in_flight\":6,"
		"\"queued\":0,\"tunnels\":0},\"process\":{\"workers\":2,\"busy_ratio\":0.31},"
		"\"pools\":[%s],\"backends\":[%s]%s}",
		pools, backends, more));
}

static void take(const char *backends, const char *more)
{
	assert_int_equal(top_model_take_state(&model, state_of(backends, more)), 0);
	top_model_arrange(&model, &view.order);
	top_view_settle(&view, &model, 2);
}

// One is well, one is down, one is slow, one is drained.
static void take_four(void)
{
	take(arena_printf(&arena, "%s,%s,%s,%s",
		     backend("app", "app-1", ",\"peers_p50_us\":36000,\"peers_p99_us\":160000"),
		     backend("app", "app-2", down), backend("app", "app-3", slow),
		     backend("app", "app-4",
			     ",\"state\":\"draining\",\"admin\":\"draining\",\"takes_requests\":"
			     "false,"
			     "\"reason\":\"draining\",\"requests_per_s\":0.0")),
		"");
}

static const char *rows(void)
{
	struct text list = {0};

	for (u32 i = 0; i < model.row_count; i++)
		text_printf(&list, "%s%s", i ? " " : "", model.backends[model.rows[i]].id);
	return text_take(&list, &arena).ptr;
}

static const char *arranged(enum top_sort sort, bool only_trouble, const char *filter)
{
	struct top_order order = {.sort = sort, .only_trouble = only_trouble};

	memcpy(order.filter, filter, strlen(filter) + 1);
	top_model_arrange(&model, &order);
	return rows();
}

// ---- The model ----------------------------------------------------------------------------------

static void test_what_is_no_state(void **state)
{
	static const char *const all[] = {"", "{", "[]", "{}", "null", "{\"backends\":7}"};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(all); i++)
		assert_int_equal(top_model_take_state(&model, str_from(all[i])), -EINVAL);
	take_four();
	assert_int_equal(top_model_take_state(&model, STR("{")), -EINVAL);
	assert_int_equal(model.backend_count, 4); // what was known stays
}

static void test_what_is_missing_is_unknown(void **state)
{
	(void)state;
	assert_int_equal(
		top_model_take_state(&model, STR("{\"backends\":[{\"id\":\"a\"}],\"ready\":true}")),
		0);
	assert_int_equal(model.backend_count, 1);
	assert_true(isnan(model.backends[0].rate) && isnan(model.totals.rate));
	assert_string_equal(model.verdict, "ready");
	assert_string_equal(arranged(TOP_BY_TROUBLE, false, ""), "a");
}

static void test_partial_states(void **state)
{
	(void)state;
	take_four();
	take(arena_printf(&arena, "%s,%s", backend("app", "app-3", ",\"requests_per_s\":7.0"),
		     backend("app", "app-1", ",\"requests_per_s\":8.0")),
		",\"partial\":true");
	assert_int_equal(model.backend_count, 4);
	assert_true(model.backends[0].rate == 8 && model.backends[2].rate == 7);
	assert_string_equal(model.backends[1].state, "down");
	take(backend("app", "app-5", ""), ",\"partial\":true");
	assert_int_equal(model.backend_count, 5);
	take(backend("app", "app-5", ""), "");
	assert_int_equal(model.backend_count, 1);
}

static void test_judging(void **state)
{
	(void)state;
	take_four();
	assert_string_equal(arranged(TOP_BY_TROUBLE, false, ""), "app-2 app-3 app-4 app-1");
	assert_int_equal(model.backends[1].level, LEVEL_BAD);
	assert_int_equal(model.backends[2].finding, TOP_SLOW);
	assert_int_equal(model.backends[2].level, LEVEL_WARN);
	assert_true(model.backends[2].times == 40);
	assert_true(model.backends[0].times == 4000.0 / 160000);
	assert_int_equal(model.backends[3].level, LEVEL_MEANT);
	assert_int_equal(model.backends[0].level, LEVEL_GOOD);
}

static enum top_finding finding_of(const char *more)
{
	take(arena_printf(&arena, "%s,%s,%s", backend("app", "a", ""), backend("app", "b", ""),
		     backend("app", "x", more)),
		"");
	(void)arranged(TOP_BY_NAME, false, "");
	return model.backends[2].finding;
}

// What is odd is what the API says; how it is told apart is decide/oddity.h.
static void test_what_is_odd(void **state)
{
	(void)state;
	assert_int_equal(finding_of(""), TOP_NOTHING);
	assert_int_equal(finding_of(",\"odd\":[],\"p50_us\":99999999"), TOP_NOTHING);
	assert_int_equal(finding_of(slow), TOP_SLOW);
	assert_true(model.backends[2].times == 40);
	assert_true(model.backends[2].shown_since_at_ms == 1789999880000.0);
	assert_int_equal(model.backends[2].level, LEVEL_WARN);
	assert_int_equal(finding_of(flapping), TOP_FLAPS);
	assert_int_equal(model.backends[2].changes, 4);
	assert_int_equal(model.backends[2].level, LEVEL_WARN);
	assert_int_equal(finding_of(",\"odd\":[{\"what\":\"slow\"},{\"what\":\"fails\"},"
				    "{\"what\":\"new\"}]"),
		TOP_ERRORS);
	assert_int_equal(model.backends[2].level, LEVEL_BAD);
	assert_int_equal(finding_of(",\"odd\":[1,null,{}],\"changes\":null"), TOP_NOTHING);
	assert_true(isnan(model.backends[2].times));
}

static void add_event(u32 number, const char *id, const char *to, u32 ago_s, const char *by)
{
	top_model_take_event(&model,
		str_from(arena_printf(&arena,
			"{\"number\":%u,\"at_ms\":%.0f,\"kind\":\"health\",\"pool\":\"app\","
			"\"backend\":\"%s\",\"to\":\"%s\",\"reason\":\"no answer in "
			"time\",\"by\":%s}",
			number, now_ms - ago_s * 1000.0, id, to, by)));
}

// In or out: who flaps stays where it is in the list, behind who is out for good.
static void test_what_flaps(void **state)
{
	(void)state;
	take(arena_printf(&arena, "%s,%s,%s,%s", backend("app", "a", ""),
		     backend("app", "b", flapping), backend("app", "c", slow),
		     backend("app", "d", down)),
		"");
	assert_string_equal(arranged(TOP_BY_TROUBLE, false, ""), "d b c a");
	take(arena_printf(&arena, "%s,%s,%s,%s", backend("app", "a", ""),
		     backend("app", "b", arena_printf(&arena, "%s%s", down, flapping)),
		     backend("app", "c", slow), backend("app", "d", down)),
		"");
	assert_string_equal(arranged(TOP_BY_TROUBLE, false, ""), "d b c a");
}

static void test_events_are_bounded(void **state)
{
	(void)state;
	take_four();
	for (u32 i = 1; i <= TOP_EVENTS_MAX + 10; i++)
		add_event(i, "app-1", "down", 1, "null");
	assert_int_equal(model.event_count, TOP_EVENTS_MAX);
	assert_true(model.events[0].number == 11);
	top_model_take_events(&model, STR("{\"newest\":2,\"events\":[{\"number\":2},{\"number\":1},"
					  "{\"number\":null},7]}"));
	assert_int_equal(model.event_count, 2);
	assert_true(model.events[0].number == 1 && model.events[1].number == 2);
	top_model_take_events(&model, STR("no JSON"));
	assert_int_equal(model.event_count, 0);
}

static void test_newest_trouble_first(void **state)
{
	(void)state;
	take(arena_printf(&arena, "%s,%s,%s", backend("app", "a", down),
		     backend("app", "b",
			     arena_printf(&arena, "%s,\"since_at_ms\":1789999990000", down)),
		     backend("app", "c", arena_printf(&arena, "%s,\"since_at_ms\":null", down))),
		"");
	assert_string_equal(arranged(TOP_BY_TROUBLE, false, ""), "b a c");
}

static void test_sorting(void **state)
{
	(void)state;
	take(arena_printf(&arena, "%s,%s,%s",
		     backend("app", "a", ",\"errors_per_s\":1,\"p99_us\":null"),
		     backend("app", "b",
			     ",\"requests_per_s\":300,\"errors_per_s\":2,\"in_flight\":1"),
		     backend("app", "c",
			     ",\"requests_per_s\":200,\"p99_us\":5000,\"in_flight\":9")),
		"");
	assert_string_equal(arranged(TOP_BY_NAME, false, ""), "a b c");
	assert_string_equal(arranged(TOP_BY_RATE, false, ""), "b c a");
	assert_string_equal(arranged(TOP_BY_ERROR_RATE, false, ""), "b a c");
	assert_string_equal(arranged(TOP_BY_P99, false, ""), "c b a");
	assert_string_equal(arranged(TOP_BY_IN_FLIGHT, false, ""), "c a b");
}

static void test_filtering(void **state)
{
	(void)state;
	take_four();
	assert_string_equal(arranged(TOP_BY_NAME, true, ""), "app-2 app-3 app-4");
	assert_string_equal(arranged(TOP_BY_NAME, false, "REFUSED"), "app-2");
	assert_string_equal(arranged(TOP_BY_NAME, false, "slow"), "app-3");
	assert_string_equal(arranged(TOP_BY_NAME, false, "app-4"), "app-4");
	assert_string_equal(arranged(TOP_BY_NAME, true, "app-1"), "");
	assert_string_equal(arranged(TOP_BY_NAME, false, "10.0.0.1:80"), "app-1 app-2 app-3 app-4");
}

// ---- Keys ---------------------------------------------------------------------------------------

static struct top_page page_of_two = {.rows = 2};

static enum top_act press(u32 key)
{
	enum top_act act = top_view_key(&view, &model, &page_of_two, key);

	top_model_arrange(&model, &view.order);
	top_view_settle(&view, &model, page_of_two.rows);
	return act;
}

static void press_all(const char *keys)
{
	for (; *keys; keys++)
		assert_int_equal(press((u32)*keys), TOP_GO_ON);
}

static const char *chosen(void)
{
	return model.row_count ? model.backends[model.rows[view.selected]].id : "";
}

static void test_moving(void **state)
{
	(void)state;
	take_four();
	press_all("\n");
	assert_string_equal(chosen(), "app-2");
	press_all("jj");
	assert_string_equal(chosen(), "app-4");
	assert_int_equal(view.scroll, 1);
	(void)press(TOP_KEY_END);
	assert_string_equal(chosen(), "app-1");
	(void)press(TOP_KEY_DOWN);
	assert_string_equal(chosen(), "app-1");
	(void)press(TOP_KEY_PAGE_UP);
	assert_string_equal(chosen(), "app-4");
	(void)press(TOP_KEY_PAGE_DOWN);
	assert_string_equal(chosen(), "app-1");
	press_all("gk");
	assert_string_equal(chosen(), "app-2");
	assert_int_equal(view.scroll, 0);
}

// Who is chosen stays chosen wherever it goes; who chose nobody sees the worst.
static void test_the_choice_follows(void **state)
{
	(void)state;
	take_four();
	press_all("jj");
	assert_string_equal(chosen(), "app-4");
	take(arena_printf(&arena, "%s,%s,%s,%s", backend("app", "app-4", down),
		     backend("app", "app-1", ""), backend("app", "app-2", ""),
		     backend("app", "app-3", "")),
		"");
	press_all("\n");
	assert_string_equal(chosen(), "app-4");
	assert_int_equal(view.selected, 0);
	press_all("g");
	take(arena_printf(&arena, "%s,%s", backend("app", "x", ""), backend("app", "y", down)), "");
	press_all("\n");
	assert_string_equal(chosen(), "y");
	take("", "");
	press_all("jkGg");
	assert_string_equal(chosen(), "");
}

static void test_asking_before_steering(void **state)
{
	(void)state;
	take_four();
	press_all("jd");
	assert_int_equal(view.prompt, TOP_CONFIRMS);
	assert_string_equal(call_string(view.target, "id"), "app-3");
	assert_false(view.enables);
	press_all("q"); // any other key: no
	assert_int_equal(view.prompt, TOP_NO_PROMPT);
	press_all("d");
	assert_int_equal(press('y'), TOP_STEER);
	assert_int_equal(view.prompt, TOP_NO_PROMPT);
	press_all("jd"); // it is drained already
	assert_true(view.enables);
	assert_int_equal(press('y'), TOP_STEER);
	press_all("gE");
	assert_int_equal(view.prompt, TOP_NO_PROMPT);
	assert_string_equal(view.message, "It is enabled already.");
	assert_int_equal(press('y'), TOP_GO_ON);
}

static void test_not_steering(void **state)
{
	(void)state;
	press_all("d"); // nobody is there
	assert_int_equal(view.prompt, TOP_NO_PROMPT);
	take_four();
	view.trouble = "gone";
	press_all("d");
	assert_string_equal(view.message, "weir does not answer now.");
	take(backend("app", "a", ""), ",\"may\":\"read\"");
	view.trouble = NULL;
	press_all("d");
	assert_int_equal(view.prompt, TOP_NO_PROMPT);
	assert_memory_equal(view.message, "Only looking", 12);
	for (u32 i = 0; i < TOP_MESSAGE_S; i++)
		top_view_tick(&view);
	assert_int_equal(view.message_s, 0);
}

static void test_typing_a_filter(void **state)
{
	(void)state;
	take_four();
	press_all("/app-q");
	assert_string_equal(view.order.filter, "app-q");
	(void)press(TOP_KEY_BACKSPACE);
	press_all("3");
	assert_string_equal(rows(), "app-3");
	(void)press(TOP_KEY_UP); // means nothing while typing
	(void)press(TOP_KEY_ENTER);
	assert_int_equal(view.prompt, TOP_NO_PROMPT);
	assert_string_equal(view.order.filter, "app-3");
	(void)press(TOP_KEY_ESCAPE);
	assert_string_equal(view.order.filter, "");
	press_all("/");
	for (u32 i = 0; i < 2 * TOP_FILTER_BYTES; i++)
		press_all("a");
	assert_int_equal(strlen(view.order.filter), TOP_FILTER_BYTES - 1);
	(void)press(TOP_KEY_ESCAPE);
	assert_string_equal(view.order.filter, "");
}

static void test_other_keys(void **state)
{
	(void)state;
	take_four();
	press_all("ss");
	assert_int_equal(view.order.sort, TOP_BY_ERROR_RATE);
	press_all("SSS");
	assert_int_equal(view.order.sort, TOP_SORT_COUNT - 1);
	press_all("u");
	assert_string_equal(rows(), "app-2 app-3 app-4");
	press_all("e");
	assert_int_equal(view.events, TOP_EVENTS_SHOWN);
	page_of_two.has_events = true;
	press_all("e");
	assert_int_equal(view.events, TOP_EVENTS_HIDDEN);
	page_of_two.has_events = false;
	press_all("?j");
	assert_true(view.shows_help && view.help_scroll == 1);
	press_all("q");
	assert_false(view.shows_help);
	assert_int_equal(press(TOP_KEY_OTHER), TOP_GO_ON);
	assert_int_equal(press('q'), TOP_QUIT);
}

static void test_bytes_to_keys(void **state)
{
	static const struct {
		const char *bytes;
		u32 key;
		size_t used;
	} all[] = {{"q", 'q', 1}, {"\033[A", TOP_KEY_UP, 3}, {"\033OB", TOP_KEY_DOWN, 3},
		{"\033[5~x", TOP_KEY_PAGE_UP, 4}, {"\033[6~", TOP_KEY_PAGE_DOWN, 4},
		{"\033[H", TOP_KEY_HOME, 3}, {"\033[4~", TOP_KEY_END, 4},
		{"\033", TOP_KEY_ESCAPE, 0}, {"\033[", TOP_KEY_ESCAPE, 0},
		{"\033[1;5", TOP_KEY_ESCAPE, 0}, {"\033[1;5C", TOP_KEY_OTHER, 6},
		{"\033q", TOP_KEY_ESCAPE, 1}, {"\xc3\xa9", TOP_KEY_OTHER, 1}};

	(void)state;
	for (u32 i = 0; i < ARRAY_LEN(all); i++) {
		size_t used;

		assert_int_equal(top_key_decode(str_from(all[i].bytes), &used), all[i].key);
		assert_int_equal(used, all[i].used);
	}
}

// ---- Frames -------------------------------------------------------------------------------------

static struct top_size size_of(u32 columns, u32 rows_count)
{
	return (struct top_size){.rows = rows_count, .look = {.columns = columns}};
}

static const char *frame(u32 columns, u32 rows_count)
{
	struct top_size size = size_of(columns, rows_count);

	top_model_arrange(&model, &view.order);
	top_view_settle(&view, &model, top_draw_page(&model, &view, &size).rows);
	text_clear(&text);
	top_draw(&model, &view, &size, &text);
	return text.data;
}

static void assert_frame(u32 columns, u32 rows_count, const char *wanted)
{
	const char *got = frame(columns, rows_count);

	if (strcmp(got, wanted) != 0)
		print_message("%s", got);
	assert_string_equal(got, wanted);
}

static void take_for_frame(void)
{
	take_four();
	add_event(1, "app-2", "down", 252, "null");
	add_event(2, "app-4", "draining", 30, "\"unix uid 0\"");
}

// clang-format off
static void test_frame_80x24(void **state)
{
	(void)state;
	take_for_frame();
	assert_frame(80, 24,
		" ✖ BAD  Serving 300 requests/s; 1 of 4 backends is down since 14:09:08:\n"
		" connection refused\n"
		"300 req/s  0.5 err/s 0.17%  p50 900µs  p90 2.0ms  p99 150ms  max 200ms\n"
		"1 out, 1 slow, 1 set aside  conn 12 of 524k  in flight 6  queued 0  busy 31%\n"
		"   POOL    STATE        UP  REQ/S  ERR/S    P50    P99 ACTIVE QUEUED ALGORITHM\n"
		" ▲ app     degraded    3/4    300    0.5  900µs  150ms      6      0 round_robin\n"
		"   STATE▼      SINCE BACKEND  REQ/S LAST MIN   ERR/S    P99 xPEERS ACTIVE CHG10M\n"
		"▸✖ down        4m12s app-2    connection refused\n"
		" ▲ up, slow    2m00s app-3      100 ···▃▃▃▇▇▇      0  160ms    40×      2      0\n"
		" ○ draining    1h00m app-4    2 in flight, draining\n"
		" ● up          1h00m app-1      100 ···▃▃▃▇▇▇      0  4.0ms   0.0×      2      0\n"
		"\n"
		"\n"
		"\n"
		"\n"
		"\n"
		"── what has changed, newest first ──────────────────────────────────────────────\n"
		"14:12:50 ○ app/app-4 draining: no answer in time, by unix uid 0\n"
		"14:09:08 ✖ app/app-2 down: no answer in time\n"
		"── app/app-2 at 10.0.0.1:80 ────────────────────────────────────────────────────\n"
		"down for 4m12s (since 14:09:08): connection refused. 1 change in 10m. Checked 1s\n"
		"ago: connection refused, next in 4s. In flight 0, connections 0 of 64. Weight 1.\n"
		"Breaker closed.\n"
		"q quit  s by trouble  / filter  u not up  d drain  e events  ? help\n");
}

static void test_frame_40x12(void **state)
{
	(void)state;
	take_for_frame();
	assert_frame(40, 12,
		" ✖ BAD  Serving 300 requests/s; 1 of 4\n"
		" backends is down since 14:09:08: conne…\n"
		"300 req/s  0.5 err/s 0.17%  p99 150ms\n"
		"1 out, 1 slow, 1 set aside  in flight 6\n"
		"   STATE▼     BACKEND  REQ/S    P99\n"
		"▸✖ down       app-2    4m12s connection\n"
		" ▲ up, slow   app-3      100  160ms\n"
		" ○ draining   app-4    1h00m 2 in flight\n"
		" ● up         app-1      100  4.0ms\n"
		"app-2 down for 4m12s (since 14:09:08):\n"
		"connection refused. 1 change in 10m. Ch…\n"
		"q quit  s by trouble  d drain  ? help\n");
}

static void test_frame_of_a_question(void **state)
{
	(void)state;
	take_for_frame();
	(void)frame(40, 12);
	press_all("jd");
	assert_frame(40, 12,
		" ✖ BAD  Serving 300 requests/s; 1 of 4\n"
		" backends is down since 14:09:08: conne…\n"
		"300 req/s  0.5 err/s 0.17%  p99 150ms\n"
		"1 out, 1 slow, 1 set aside  in flight 6\n"
		"   STATE▼     BACKEND  REQ/S    P99\n"
		" ✖ down       app-2    4m12s connection\n"
		"▸▲ up, slow   app-3      100  160ms\n"
		" ○ draining   app-4    1h00m 2 in flight\n"
		"Drain app/app-3? It gets no new\n"
		"requests; 2 in flight go on to their\n"
		"end. 1 other backend of app takes over.\n"
		"y: drain it   any other key: no\n");
}

static void test_frame_without_an_answer(void **state)
{
	(void)state;
	take_for_frame();
	view.trouble = "unable to connect to 127.0.0.1:9900 (Connection refused)";
	view.age_s = 75;
	assert_frame(60, 14,
		" ✖ BAD  No answer for 1m15s: unable to connect to\n"
		" 127.0.0.1:9900 (Connection refused). What is shown is from…\n"
		"300 req/s  0.5 err/s 0.17%  p99 150ms\n"
		"1 out, 1 slow, 1 set aside  conn 12 of 524k  in flight 6\n"
		"   STATE▼      SINCE BACKEND  REQ/S  ERR/S    P99 xPEERS\n"
		"▸✖ down        5m27s app-2    connection refused\n"
		" ▲ up, slow    3m15s app-3      100      0  160ms    40×\n"
		" ○ draining    1h01m app-4    2 in flight, draining\n"
		" ● up          1h01m app-1      100      0  4.0ms   0.0×\n"
		"\n"
		"\n"
		"app-2 down for 5m27s (since 14:09:08): connection refused. 1\n"
		"change in 10m. Checked 1m16s ago: connection refused. In fl…\n"
		"q quit  s by trouble  / filter  u not up  d drain  ? help\n");
}

static void test_once(void **state)
{
	(void)state;
	take_for_frame();
	assert_frame(0, 0,
		" ✖ BAD  Serving 300 requests/s; 1 of 4 backends is down since 14:09:08: connection r"
		"efused\n"
		"300 req/s  0.5 err/s 0.17%  p50 900µs  p90 2.0ms  p99 150ms  max 200ms  1 out, 1 slo"
		"w, 1 set aside\n"
		"conn 12 of 524k  in flight 6  queued 0  busy 31%  2 workers  up 2h46m  lb-1\n"
		"\n"
		"   POOL    STATE           UP  REQ/S  ERR/S    P50    P99    MAX ACTIVE QUEUED RETRY"
		"/S ALGORITHM                CHECK FAILOVER\n"
		" ▲ app     degraded       3/4    300    0.5  900µs  150ms  200ms      6      0      "
		" 0 round_robin              http  -\n"
		"\n"
		"   STATE▼      SINCE BACKEND  REQ/S LAST MIN                        ERR/S    P50    "
		"P99 xPEERS ACTIVE CHG10M      CONN BREAKER   WEIGHT LAST CHECK               WHY\n"
		" ✖ down        4m12s app-2    connection refused\n"
		" ▲ up, slow    2m00s app-3      100             ······▃▃▃▃▃▃▇▇▇▇▇▇      0   36ms  16"
		"0ms    40×      2      0      8/64 closed         1 ok in 900µs              p50 36 m"
		"s, its peers 0.90 ms\n"
		" ○ draining    1h00m app-4    2 in flight, draining\n"
		" ● up          1h00m app-1      100             ······▃▃▃▃▃▃▇▇▇▇▇▇      0  900µs  4."
		"0ms   0.0×      2      0      8/64 closed         1 ok in 900µs\n");
}
// clang-format on

// Whatever the size and whatever is shown: so many lines, none of them too long.
static void assert_fits(u32 columns, u32 rows_count)
{
	struct str rest = str_from(frame(columns, rows_count));
	u32 lines = 0;

	for (; rest.len; lines++) {
		struct str line = str_cut(&rest, '\n');

		if (cells_width(line) > columns)
			fail_msg("%ux%u: %.*s", columns, rows_count, STR_FMT(line));
	}
	assert_int_equal(text.data[text.len - 1], '\n');
	if (lines != rows_count)
		fail_msg("%ux%u has %u lines", columns, rows_count, lines);
}

static void assert_fits_in_all_sizes(void)
{
	for (u32 columns = 1; columns <= 200; columns += columns < 50 ? 1 : 13)
		for (u32 count = 1; count <= 60; count += count < 26 ? 1 : 7)
			assert_fits(columns, count);
}

static void take_many(void)
{
	struct text list = {0};

	for (u32 i = 0; i < 100; i++)
		text_printf(&list, "%s%s", i ? "," : "",
			backend("a-pool-with-a-long-name",
				arena_printf(&arena,
					"a-very-long-name-of-a-backend-that-never-ends-%u", i),
				i % 3 ? "" : down));
	take(text_take(&list, &arena).ptr, "");
}

static void test_frames_fit(void **state)
{
	(void)state;
	assert_fits_in_all_sizes(); // nothing is known
	take_for_frame();
	assert_fits_in_all_sizes();
	view.events = TOP_EVENTS_SHOWN;
	assert_fits_in_all_sizes();
	press_all("jd");
	assert_fits_in_all_sizes();
	press_all("n/app");
	assert_fits_in_all_sizes();
	press_all("\r?");
	assert_fits_in_all_sizes();
	press_all("q");
	take_many();
	assert_fits_in_all_sizes();
	press_all("Gd");
	assert_fits_in_all_sizes();
	view.trouble =
		"a reason that is so long that it takes more than one line of every terminal, and "
		"then some more";
	assert_fits_in_all_sizes();
}

static void test_frame_has_styles(void **state)
{
	struct top_size size = size_of(80, 24);

	(void)state;
	take_for_frame();
	size.look.has_colour = size.look.has_attributes = true;
	top_model_arrange(&model, &view.order);
	text_clear(&text);
	top_draw(&model, &view, &size, &text);
	assert_non_null(strstr(text.data, "\033[0;1;7;31m ✖ BAD "));
	assert_non_null(strstr(text.data, "\033[0;7;31m▸✖"));
	assert_non_null(strstr(text.data, "\033[0;1;33m 160ms"));
}

// ---- Names --------------------------------------------------------------------------------------

static void test_names_of_backends(void **state)
{
	struct ask_trouble trouble = {NULL, NULL};
	json_t *tree = json_loads(
		arena_printf(&arena, "{\"backends\":[%s,%s,%s,%s]}", backend("app", "a", ""),
			backend("app", "b", ",\"address\":\"10.0.0.2:80\""),
			backend("api", "a", ""), backend("x/y", "unix:/z", "")),
		0, NULL);

	(void)state;
	assert_non_null(tree);
	assert_string_equal(call_string(backend_by_name(tree, "b", &arena, &trouble), "id"), "b");
	assert_string_equal(
		call_string(backend_by_name(tree, "10.0.0.2:80", &arena, &trouble), "id"), "b");
	assert_string_equal(
		call_string(backend_by_name(tree, "api/a", &arena, &trouble), "pool"), "api");
	assert_string_equal(
		call_string(backend_by_name(tree, "x/y/unix:/z", &arena, &trouble), "pool"), "x/y");
	assert_null(backend_by_name(tree, "a", &arena, &trouble));
	assert_string_equal(trouble.cause, "'a' is app/a, api/a");
	assert_null(backend_by_name(tree, "unix:/x", &arena, &trouble));
	assert_string_equal(trouble.cure, "Did you mean x/y/unix:/z?");
	assert_null(backend_by_name(tree, "", &arena, &trouble));
	assert_null(backend_by_name(tree, "app/", &arena, &trouble));
	json_decref(tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
		TEST(what_is_no_state),
		TEST(what_is_missing_is_unknown),
		TEST(partial_states),
		TEST(judging),
		TEST(what_is_odd),
		TEST(what_flaps),
		TEST(events_are_bounded),
		TEST(newest_trouble_first),
		TEST(sorting),
		TEST(filtering),
		TEST(moving),
		TEST(the_choice_follows),
		TEST(asking_before_steering),
		TEST(not_steering),
		TEST(typing_a_filter),
		TEST(other_keys),
		TEST(bytes_to_keys),
		TEST(frame_80x24),
		TEST(frame_40x12),
		TEST(frame_of_a_question),
		TEST(frame_without_an_answer),
		TEST(once),
		TEST(frames_fit),
		TEST(frame_has_styles),
		TEST(names_of_backends),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
