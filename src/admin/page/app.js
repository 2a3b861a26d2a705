// SPDX-License-Identifier: Apache-2.0
// The page as a whole: header, tiles, history, views, keys.
import {$, attr, bytes, clock, count, dur, h, icon, join, open_sheet, pct, put, radio, rate, span, spark, toast} from "/dom.js";
import {get, get_history, kept, start_stream, stop_stream, store, take_news, take_state} from "/api.js";
import {Graphs, Series, forget_palette} from "/graphs.js";
import {draw_pools, focused_backend, move_focus, start_pools} from "/pools.js";
import {open_backend, refresh_sheet, undo_last} from "/steer.js";
import {draw_events, draw_failures, draw_rail, draw_sources, pause_live, show_config, show_live, start_lists, take_request} from "/lists.js";

const VIEWS = {overview: "Overview", events: "Events", failures: "Failed requests", live: "Live requests", explain: "Explain", config: "Configuration"};
const NAMES = Object.keys(VIEWS);
const SPARK_POINTS = 300;
const STALE_MS = 3500;
const HIDDEN_MS = 60000; // after which nobody looks, and the server has nothing to compute

let view = "overview";

// -- Verdict and tiles

// Shape, and sign in the title of the tab.
const LEVELS = {ok: ["check", ""], warn: ["alarm", "▲ "], bad: ["stop", "⬢ "]};
let level = null;

// With the moments of its parts on the viewer's clock.
const sentence = (verdict) => join(verdict.parts.map(({text, reason, since_at_ms}) =>
	join([since_at_ms ? `${text} since ${clock(since_at_ms)}` : text, reason], ": ")), "; ");

function draw_verdict(state) {
	const {verdict, process} = state, [shape, sign] = LEVELS[verdict.level] ?? LEVELS.warn;

	put($("verdict-text"), sentence(verdict));
	$("verdict").dataset.at = state.now_at_ms; // which moment the page shows
	if (verdict.level !== level) {
		level = verdict.level;
		$("verdict").className = `verdict tone-${level}`;
		$("verdict-icon").replaceChildren(icon(shape));
		put($("announce"), sentence(verdict));
	}
	document.title = `${sign}${state.instance} – weir`;
	put($("instance"), state.instance);
	put($("version"), state.version);
	put($("facts"), join([`up ${span(state.now_at_ms - state.started_at_ms)}`, state.draining && "draining", !state.ready && "not ready",
		`${process.workers} worker${process.workers === 1 ? "" : "s"}`, process.io, `configuration ${state.generation}`, `process ${state.pid}`,
		process.log_dropped_total && `${count(process.log_dropped_total)} log lines dropped`, store.may_operate() ? "you may steer" : "you may look"]));
}

// How a field of totals or process is written, by the end of its name.
const WRITERS = Object.entries({bytes_per_s: (value) => `${bytes(value)}/s`, per_s: rate, ratio: pct, saturation: pct, _us: dur, _bytes: bytes});
const written = (name, value) => (WRITERS.find(([end]) => name.endsWith(end))?.[1] ?? count)(value);

// Title, the large figure, the others by their labels.
const TILES = {
	requests: ["Requests", "requests_per_s", {Received: "received_bytes_per_s", Sent: "sent_bytes_per_s", "Since start": "requests_total"}],
	errors: ["Errors", "errors_ratio", {Errors: "errors_per_s", "4xx": "client_errors_per_s", Retries: "retries_per_s"}],
	latency: ["Latency, p99", "p99_us", {p50: "p50_us", p90: "p90_us", Max: "max_us"}],
	saturation: ["Saturation", "saturation", {"In flight": "in_flight", Queued: "queued", Memory: "memory_bytes"}],
};
const METERS = {"Workers busy": "busy_ratio", Connections: "connections", Descriptors: "descriptors"};

const figures = []; // the names of those that are shown

function make_tiles() {
	const figure = (what, name) => {
		figures.push(name);
		return h(what, {id: `v-${name}`}, "–");
	};

	for (const [id, [title, large, more]] of Object.entries(TILES))
		$("tiles").append(h("section.tile", {"aria-label": title}, h("h2", {id: `t-${id}`}, title), figure("p.big", large),
			id in sparks ? h("div.spark", {id: `spark-${id}`}) : h("ul.meters", Object.entries(METERS).map(([label, name]) =>
				h("li", label, h("span.meter", {id: `m-${name}`}, h("i")), figure("b", name)))),
			h("dl", Object.entries(more).map(([label, name]) => h("div", h("dt", label), figure("dd", name))))));
	for (const [id, one] of Object.entries(sparks))
		one.draw = spark($(`spark-${id}`));
}

function draw_tiles({totals, process}) {
	const full = {busy_ratio: process.busy_ratio, connections: totals.connections / (totals.connections_max ?? Infinity),
		descriptors: process.descriptors / (process.descriptors_max ?? Infinity)};
	const [fullest, saturation] = Object.entries(full).sort((a, b) => b[1] - a[1])[0];
	const all = {...process, ...totals, saturation};

	put($("t-saturation"), `Saturation, ${fullest.replace("busy_ratio", "workers")}`);
	for (const name of figures) {
		const max = all[`${name}_max`];

		put($(`v-${name}`), written(name, all[name]) + (max ? ` of ${count(max)}` : ""));
	}
	for (const [name, part] of Object.entries(full)) {
		$(`m-${name}`).firstChild.style.transform = `scaleX(${Math.min(1, part)})`;
		attr($(`m-${name}`), "class", `meter ${part >= 0.95 ? "bad" : part >= 0.8 ? "warn" : "flow"}`);
	}
	$("v-errors_ratio").classList.toggle("bad", totals.errors_ratio >= 0.001);
	$("v-queued").classList.toggle("bad", totals.queued > 0);
}

const sparks = {requests: {field: "requests_per_s"}, errors: {field: "errors_per_s"}, latency: {field: "p99_us"}};

function draw_sparks(add) {
	for (const one of Object.values(sparks)) {
		one.values = add(one).slice(-SPARK_POINTS);
		one.draw(one.values, one === sparks.errors ? Math.max(1, ...sparks.requests.values) / 1000 : 1);
	}
}

// -- History

let graphs, series = null;
let asked = 0; // counts questions, so that an answer that is out of date is known
let refreshed = 0;

const range_s = () => Number(document.querySelector("#range :checked")?.value ?? 900);
const chosen_pool = () => $("graph-pool").value;

async function load_history() {
	const mine = ++asked, seconds = range_s();

	try {
		const answer = await get_history(seconds, chosen_pool());
		if (mine !== asked)
			return;
		series = answer.requests_per_s.some((value) => value != null) ? new Series(answer, seconds * 1000) : null;
		refreshed = performance.now();
		show_history();
	} catch (error) {
		graphs.empty.hidden = false;
		put(graphs.empty, `No history: ${error.message}`);
	}
}

// Only what is new since the last answer, as often as there may be something new.
async function follow_history() {
	const mine = asked;
	const missing = series ? Math.ceil((store.now() - series.to_ms) / 1000) + 3 : Infinity;

	if (view !== "overview" || performance.now() - refreshed < (series?.step_ms ?? 1000) * 0.9)
		return;
	refreshed = performance.now();
	if (missing > range_s()) {
		load_history();
		return;
	}
	try {
		// A point is a minute in the longest range only, so that has to be asked for as a whole.
		const answer = await get_history(series.step_ms > 1000 ? range_s() : Math.max(4, missing), chosen_pool());
		if (mine === asked)
			series.add(answer) ? show_history() : load_history();
	} catch {
		// The stream tells of a lost connection.
	}
}

function show_history() {
	const pool = chosen_pool();

	if (series && view === "overview")
		graphs.show(series, store.events.filter((event) => !pool || !event.pool || event.pool === pool), pool || "All pools");
}

function fill_pool_choice() {
	const choice = $("graph-pool"), names = ["", ...store.pools.keys()], chosen = choice.value;

	if (names.join("\n") === choice.names)
		return;
	choice.names = names.join("\n");
	choice.replaceChildren(...names.map((name) => h("option", {value: name}, name || "All pools")));
	choice.value = names.includes(chosen) ? chosen : "";
	choice.hidden = names.length < 3;
}

// -- What comes in

let heard_at = 0;

function draw_state() {
	draw_verdict(store.state);
	draw_tiles(store.state);
	draw_sources(store.state);
	fill_pool_choice();
	if (view === "overview")
		draw_pools(false);
	refresh_sheet();
}

function draw_news() {
	draw_rail();
	if (view === "events")
		draw_events();
	if (view === "failures")
		draw_failures();
}

const take_events = (events) => take_news(store.events, events, "number", "number", 2000);
const take_failures = (failures) => take_news(store.failures, failures, "id", "at_ms", 200);

async function load_lists() {
	const [events, failures, past] = await Promise.all([get("events?limit=500"), get("failures?limit=200"),
		get_history(SPARK_POINTS)]);

	take_events(events.events);
	take_failures(failures.failures);
	draw_sparks((one) => past[one.field]);
	draw_news();
	show_history();
}

let news_due = false;

function hear(name, value) {
	heard_at = performance.now();
	if (name === "state" && take_state(value)) {
		draw_state();
		draw_sparks((one) => [...one.values ?? [], value.totals[one.field]]);
		follow_history();
	} else if (name === "state") {
		connect(); // a stream begins with the whole
	} else if (name === "request") {
		take_request(value);
	} else if (name === "event" || name === "failure") {
		(name === "event" ? take_events : take_failures)([value]);
		// They come in bursts; a few times in a second is enough.
		if (!news_due)
			setTimeout(() => {
				news_due = false;
				draw_news();
			}, 200);
		news_due = true;
	}
}

// -- The connection

let link = "connecting", link_why = "", tail = null;

function set_link(state, why) {
	link = state;
	link_why = why;
	if (state === "live") {
		load_lists().catch((error) => toast(error.message, "bad"));
		load_history();
	}
	draw_link();
}

function connect() {
	tail = view === "live";
	start_stream(tail, hear, set_link);
}

function draw_link() {
	const age = performance.now() - heard_at, is_old = heard_at > 0 && (link !== "live" || age > STALE_MS);
	const word = link === "live" && is_old ? "stale" : link;

	attr($("link"), "class", `link ${word}`);
	put($("link-text"), word);
	document.body.classList.toggle("stale", is_old);
	$("stale").hidden = !is_old && link !== "reconnecting";
	put($("stale"), `${is_old ? `What you see is from ${clock(store.now() - age)}, ${span(age)} ago` : "No connection"}${
		link_why ? `: ${link_why}` : ""}. ${link === "paused" ? "" : "Trying again by itself."}`);
}

let hidden_timer;

function follow_visibility() {
	clearTimeout(hidden_timer);
	if (document.hidden)
		hidden_timer = setTimeout(() => {
			stop_stream();
			set_link("paused", "this page was in the background");
		}, HIDDEN_MS);
	else if (link === "paused")
		connect();
}

// -- Views

function show_view() {
	view = NAMES.find((name) => location.hash === `#${name}`) ?? "overview";
	NAMES.forEach((name, i) => {
		$(`view-${name}`).hidden = name !== view;
		attr(document.querySelector("nav").children[i], "aria-current", name === view ? "page" : null);
	});
	if (tail !== (view === "live"))
		connect();
	if (store.state && view === "overview") {
		draw_pools(true);
		follow_history();
		show_history();
	}
	if (view === "live")
		show_live();
	if (view === "config")
		show_config().catch((error) => toast(error.message, "bad"));
	draw_news();
}

const THEMES = ["Auto", "Light", "Dark"];

function set_theme(name) {
	document.documentElement.dataset.theme = name;
	put($("theme"), name);
	attr($("theme"), "aria-label", `Colours: ${name}`);
	repaint();
}

function next_theme() {
	set_theme(kept("theme", THEMES[(THEMES.indexOf($("theme").textContent) + 1) % 3]));
}

function repaint() {
	forget_palette();
	graphs.draw();
}

// -- Keys

function steer_focused(action) {
	const backend = focused_backend();

	if (backend)
		open_backend(backend, action);
	else
		toast("Choose a backend first: j and k move through the rows.");
}

const KEYS = {
	"?": ["this list", show_keys],
	"1": ["the first view; 2 to 6 the others"],
	"/": ["filter", () => document.querySelector(".view:not([hidden]) [type=search]")?.focus()],
	j: ["next backend; Enter opens it", () => move_focus(1)],
	k: ["previous backend", () => move_focus(-1)],
	d: ["drain the chosen backend", () => steer_focused("Drain")],
	e: ["enable it", () => steer_focused("Enable")],
	u: ["undo what you did last", undo_last],
	n: ["only what is not up and well", () => $("pool-bad").click()],
	g: ["to the graphs; arrow keys move the cursor", () => graphs.plots.focus()],
	p: ["pause the live requests", pause_live],
	t: ["light, dark, or as the system", next_theme],
};

function show_keys() {
	open_sheet($("sheet"), "Keyboard", h("dl.keys", Object.entries(KEYS).map(([key, [what]]) =>
		h("div", h("dt", h("kbd", key)), h("dd", what)))),
	h("label.tick", h("input", {type: "checkbox", checked: kept("keys") !== "off",
		onchange: (event) => kept("keys", event.target.checked ? "on" : "off")}), "Single keys do something"));
}

function on_key(event) {
	const typing = event.target.closest("input:not([type=radio], [type=checkbox]), textarea, select");

	if (event.key === "Escape" && typing?.type === "search") {
		typing.value = "";
		typing.dispatchEvent(new Event("input"));
		typing.blur();
	}
	if (event.ctrlKey || event.metaKey || event.altKey || typing || document.querySelector("dialog[open]") ||
		(kept("keys") === "off" && event.key !== "?"))
		return;
	const call = NAMES[event.key - 1] ? () => (location.hash = NAMES[event.key - 1]) : KEYS[event.key]?.[1];
	if (call) {
		event.preventDefault();
		call();
	}
}

function start() {
	const range = kept("range") ?? "900", theme = kept("theme");

	document.querySelector("nav").append(...NAMES.map((name) => h("a", {href: `#${name}`}, VIEWS[name])));
	$("range").append(...Object.entries({300: "5 min", 900: "15 min", 3600: "1 h", 86400: "24 h"}).map(([seconds, label]) =>
		radio("range", seconds, label, seconds === range, () => {
			kept("range", seconds);
			load_history();
		})));
	make_tiles();
	document.querySelector(".brand").prepend(icon("logo"));
	graphs = new Graphs($("graphs"), false, "All pools");
	set_theme(THEMES.includes(theme) ? theme : "Auto");
	start_pools();
	start_lists();
	$("theme").onclick = next_theme;
	$("help").onclick = show_keys;
	$("graph-pool").onchange = load_history;
	window.addEventListener("hashchange", show_view);
	document.addEventListener("keydown", on_key);
	document.addEventListener("visibilitychange", follow_visibility);
	window.addEventListener("pagehide", stop_stream);
	window.addEventListener("pageshow", (event) => event.persisted && connect());
	window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
	setInterval(draw_link, 1000);
	show_view();
}

start();
