// SPDX-License-Identifier: Apache-2.0
#include "cli/top_view.h"

#include <stdio.h>

#include "cli/call.h"

void top_view_init(struct top_view *view)
{
	*view = (struct top_view){.order = {.sort = TOP_BY_TROUBLE}};
}

void top_view_done(struct top_view *view)
{
	json_decref(view->chosen);
	json_decref(view->target);
	view->chosen = view->target = NULL;
}

void top_view_say(struct top_view *view, const char *message)
{
	snprintf(view->message, sizeof(view->message), "%s", message);
	view->message_s = TOP_MESSAGE_S;
}

void top_view_tick(struct top_view *view)
{
	view->age_s++;
	if (view->message_s)
		view->message_s--;
}

// ---- The selected row ---------------------------------------------------------------------------

static const struct top_backend *selected(
	const struct top_view *view, const struct top_model *model)
{
	return view->selected < model->row_count ? &model->backends[model->rows[view->selected]]
						 : NULL;
}

static void keep(json_t **place, json_t *tree)
{
	json_incref(tree);
	json_decref(*place);
	*place = tree;
}

static void choose(struct top_view *view, const struct top_model *model, u64 row)
{
	const struct top_backend *one;

	view->selected = (u32)MIN(row, (u64)(model->row_count ? model->row_count - 1 : 0));
	one = selected(view, model);
	keep(&view->chosen, one ? one->tree : NULL);
}

void top_view_settle(struct top_view *view, const struct top_model *model, u32 page)
{
	u32 last = model->row_count ? model->row_count - 1 : 0;

	if (view->chosen) {
		u32 row = top_model_find_row(
			model, call_string(view->chosen, "pool"), call_string(view->chosen, "id"));

		if (row < model->row_count)
			view->selected = row;
	}
	view->selected = MIN(view->selected, last);
	page = MAX(page, 1u);
	view->scroll = MIN(view->scroll, last + 1 > page ? last + 1 - page : 0);
	if (view->selected < view->scroll)
		view->scroll = view->selected;
	if (view->selected >= view->scroll + page)
		view->scroll = view->selected - page + 1;
}

// The first row again, whichever it is.
static void unchoose(struct top_view *view)
{
	keep(&view->chosen, NULL);
	view->selected = view->scroll = 0;
}

// ---- Prompts ------------------------------------------------------------------------------------

static enum top_act key_of_filter(struct top_view *view, u32 key)
{
	char *filter = view->order.filter;
	size_t len = strlen(filter);

	if (key == TOP_KEY_ENTER || key == '\n' || key == TOP_KEY_ESCAPE) {
		view->prompt = TOP_NO_PROMPT;
		if (key == TOP_KEY_ESCAPE)
			filter[0] = '\0';
	} else if (key == TOP_KEY_BACKSPACE || key == '\b') {
		if (len)
			filter[len - 1] = '\0';
	} else if (key >= ' ' && key < TOP_KEY_BACKSPACE && len + 1 < TOP_FILTER_BYTES) {
		filter[len] = (char)key;
		filter[len + 1] = '\0';
	}
	unchoose(view);
	return TOP_GO_ON;
}

static enum top_act key_of_question(struct top_view *view, u32 key)
{
	view->prompt = TOP_NO_PROMPT;
	return key == 'y' || key == 'Y' ? TOP_STEER : TOP_GO_ON;
}

static void ask_first(struct top_view *view, const struct top_model *model, bool only_enables)
{
	const struct top_backend *one = selected(view, model);
	bool enables;

	if (!one)
		return;
	enables = only_enables || (one->admin[0] && strcmp(one->admin, "enabled") != 0);
	if (!model->may_operate) {
		top_view_say(view, "Only looking: to steer, use the unix socket as weir's user or "
				   "root, or a token with the role operate.");
		return;
	}
	if (view->trouble) {
		top_view_say(view, "weir does not answer now.");
		return;
	}
	if (enables && strcmp(one->admin, "enabled") == 0) {
		top_view_say(view, "It is enabled already.");
		return;
	}
	view->enables = enables;
	keep(&view->target, one->tree);
	choose(view, model, view->selected);
	view->prompt = TOP_CONFIRMS;
}

// ---- Keys ---------------------------------------------------------------------------------------

static bool move(struct top_view *view, const struct top_model *model, u32 page, u32 key)
{
	u64 row = view->selected, step = MAX(page, 2u) - 1;

	switch (key) {
	case 'k':
	case TOP_KEY_UP:
		row -= row > 0;
		break;
	case 'j':
	case TOP_KEY_DOWN:
		row++;
		break;
	case TOP_KEY_PAGE_UP:
		row -= MIN(row, step);
		break;
	case TOP_KEY_PAGE_DOWN:
		row += step;
		break;
	case 'g':
	case TOP_KEY_HOME:
		unchoose(view);
		return true;
	case 'G':
	case TOP_KEY_END:
		row = UINT32_MAX;
		break;
	default:
		return false;
	}
	choose(view, model, row);
	return true;
}

static void key_of_help(struct top_view *view, u32 page, u32 key)
{
	if (key == 'j' || key == TOP_KEY_DOWN)
		view->help_scroll++;
	else if (key == 'k' || key == TOP_KEY_UP)
		view->help_scroll -= view->help_scroll > 0;
	else if (key == ' ' || key == TOP_KEY_PAGE_DOWN)
		view->help_scroll += page;
	else if (key == TOP_KEY_PAGE_UP)
		view->help_scroll -= MIN(view->help_scroll, page);
	else
		view->shows_help = false;
}

static void escape(struct top_view *view)
{
	view->order.filter[0] = '\0';
	view->order.only_trouble = false;
	unchoose(view);
}

enum top_act top_view_key(
	struct top_view *view, const struct top_model *model, const struct top_page *page, u32 key)
{
	u32 back = TOP_SORT_COUNT - 1;

	if (view->prompt == TOP_TYPES_FILTER)
		return key_of_filter(view, key);
	if (view->prompt == TOP_CONFIRMS)
		return key_of_question(view, key);
	if (view->shows_help) {
		key_of_help(view, page->rows, key);
		return TOP_GO_ON;
	}
	view->message_s = 0;
	if (move(view, model, page->rows, key))
		return TOP_GO_ON;
	switch (key) {
	case 'q':
	case 'Q':
		return TOP_QUIT;
	case 's':
	case 'S':
		view->order.sort = (view->order.sort + (key == 's' ? 1 : back)) % TOP_SORT_COUNT;
		unchoose(view);
		break;
	case '/':
		view->prompt = TOP_TYPES_FILTER;
		break;
	case 'u':
		view->order.only_trouble = !view->order.only_trouble;
		unchoose(view);
		break;
	case 'd':
	case 'E':
		ask_first(view, model, key == 'E');
		break;
	case 'e':
		view->events = page->has_events ? TOP_EVENTS_HIDDEN : TOP_EVENTS_SHOWN;
		break;
	case '?':
	case 'h':
		view->shows_help = true;
		view->help_scroll = 0;
		break;
	case TOP_KEY_ESCAPE:
		escape(view);
		break;
	default:
		break;
	}
	return TOP_GO_ON;
}
