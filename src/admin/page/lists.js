// SPDX-License-Identifier: Apache-2.0
// Events, failed requests, live requests, the record of one request, explain, and the configuration.
import {$, attr, button, bytes, clock, count, dur, event_text, face_of, filter_field, filter_text, h, join, mark, open_sheet, put, state_of, toast, who} from "/dom.js";
import {find_backend, get, get_text, send, store} from "/api.js";
import {facts, open_backend, undo_event} from "/steer.js";

const ROWS_MAX = 300;  // drawn at a time; a filter finds the others
const LIVE_MAX = 1000; // kept of the live tail

const backend_of = (record) => record.backend ?? record.picked ?? record.tries?.at(-1)?.backend;

// Columns are told by their titles.
const cells = (tag, columns, kids) => columns.map((title, i) => h(tag, {class: `l-${title.toLowerCase()}`}, kids[i]));
const row = (columns, kids, tone) => h("tr", {class: tone}, cells("td", columns, kids));
const table = (columns, body, label) => h("table.list", {"aria-label": label}, h("thead", h("tr", cells("th", columns, columns))), body);

function place({pool, ...one}) {
	const id = backend_of(one), found = () => find_backend(pool, id);

	return id ? button(id, () => found() && open_backend(found()), {class: "link-like", title: `${pool} / ${id}`})
		: who({pool, ...one}) ?? "–";
}

// A view with a filter and a table that keeps the rows that it has: `key` tells them apart, `make` makes one.
class View {
	constructor(name, title, note, draw, columns, key, make, more) {
		Object.assign(this, {name, columns, key, make, rows: new Map(), body: h("tbody"), empty: h("p.empty"), more: h("p.note"), note: h("span.quiet", note)});
		this.table = table(columns, this.body, title);
		document.querySelector("main").append(h("section.view", {id: `view-${name}`, "aria-label": title, hidden: true},
			h("header.line", h("h2", title), this.note, filter_field(name, draw), more),
			h("div.card", {id: `${name}-list`}, this.table, this.empty, this.more)));
	}

	draw(all, none) {
		const text = filter_text(this.name);
		const items = all.filter((one) => Object.values(one).join(" ").toLowerCase().includes(text));
		const wanted = new Map(items.slice(0, ROWS_MAX).map((one) => [one[this.key], this.rows.get(one[this.key]) ?? row(this.columns, ...this.make(one))]));

		for (const [key, node] of this.rows)
			if (!wanted.has(key))
				node.remove();
		let at = this.body.firstChild;
		for (const node of wanted.values()) {
			if (node === at)
				at = at.nextSibling;
			else
				this.body.insertBefore(node, at);
		}
		this.rows = wanted;
		this.table.hidden = items.length === 0;
		this.empty.hidden = items.length > 0;
		put(this.empty, all.length ? "Nothing fits the filter." : none);
		this.more.hidden = items.length <= ROWS_MAX;
		put(this.more, `${items.length - ROWS_MAX} more; a filter finds them.`);
	}
}

// -- Events

let events_view, failures_view, live_view, config_view;

const EVENT_COLUMNS = ["Time", "What", "Where", "Change", "Why", "Who", "Undo"];

const event_row = (event) => [[clock(event.at_ms), [mark(face_of(event)), event.text], place(event),
	join([event.from, event.to], " → ").replaceAll("_", "-"), event.reason, event.by,
	event.undo && button("Undo", () => undo_event(event), {class: "small", "data-undo": true, "aria-label": `Undo: ${event_text(event)}`})]];

export function draw_events() {
	events_view.draw(store.events, "Nothing has changed since weir started.");
	for (const node of events_view.body.querySelectorAll("[data-undo]"))
		node.hidden = !store.may_operate();
}

// -- Requests

const REQUEST_COLUMNS = ["Time", "Status", "Ended", "Request", "Backend", "Took", "Cause", "Id"];

function request_row(record) {
	const name = `${record.method} ${record.path}`;

	return [[clock(record.at_ms), record.status || "–", record.ended, button(name, () => show_record(record.id), {class: "link-like", title: name}),
		place(record), dur(record.total_us), record.cause, record.id], (record.outcome !== "ok" || record.status >= 500) && "tone-bad"];
}

export const draw_failures = () => failures_view.draw(store.failures, "No request has failed.");

const live = {records: [], paused: false, due: false};

export function take_request(record) {
	if (live.paused)
		return;
	live.records.unshift(record);
	live.records.length = Math.min(live.records.length, LIVE_MAX);
	if (!live.due)
		setTimeout(draw_live, 250);
	live.due = true;
}

function draw_live() {
	live.due = false;
	put(live_view.note, live.paused ? "paused" : "as they end, at most 50 in a second");
	live_view.draw(live.records, "Waiting for requests …");
}

export function pause_live() {
	live.paused = !live.paused;
	put($("live-pause"), live.paused ? "Go on" : "Pause");
	attr($("live-pause"), "aria-pressed", live.paused);
	draw_live();
}

// What came before is shown at once.
export async function show_live() {
	try {
		if (!live.records.length)
			live.records = (await get("requests?limit=100")).requests;
	} catch (error) {
		toast(`No earlier requests: ${error.message}`, "bad");
	}
	draw_live();
}

// -- The record of one request

// Backends that could be chosen and what they cost; those that could not, and why.
function candidates(list, picked) {
	const columns = ["Backend", "Cost", "Why"];

	return list.length ? table(columns, h("tbody", list.map((one) => {
		const id = one.backend ?? one.id, is_it = id === picked;

		return row(columns, [id, one.cost ?? "–", is_it ? "picked" : one.full ? "has no place now" : (one.why ?? one.verdict).replaceAll("_", " ")],
			is_it ? "picked" : one.eligible === false && "quiet");
	})), "Candidates") : h("p.quiet", "None was looked at.");
}

async function show_record(id) {
	const sheet = $("sheet");

	open_sheet(sheet, `Request ${id}`, h("p.empty", "Loading its record …"));
	try {
		const r = await get(`requests/${encodeURIComponent(id)}`);
		open_sheet(sheet, [`${r.method} ${r.path} `, h("small", `${clock(r.at_ms)} · ${r.id}`)],
			h("ul.words", (r.text ?? []).map((line) => h("li", line))),
			h("div.sheet-grid", h("div", facts([
				["Answer", join([r.status || "none", r.ended, r.cause], ", ")],
				["Way", join([r.frontend, r.route, r.pool, backend_of(r)], " → ")],
				["Took", `${dur(r.total_us)}: queued ${dur(r.queue_us)}, connect ${dur(r.connect_us)}, first byte ${dur(r.first_byte_us)}`],
				...(r.tries ?? []).map((one) => [one.hedge ? "Hedge" : "Try", `${one.backend}: ${one.ended} at ${dur(one.at_us)} for ${dur(one.took_us)}`]),
				["Client", r.client],
				["Bytes", `${bytes(r.bytes_in)} in, ${bytes(r.bytes_out)} out, on a ${r.reused ? "kept" : "new"} connection`],
				["Worker", r.worker]])),
			h("div", h("h3", `${(r.algorithm ?? "").replaceAll("_", " ")}: ${count(r.eligible)} of ${count(r.of)} could be chosen`),
				candidates(r.candidates ?? [], r.picked))));
	} catch (error) {
		open_sheet(sheet, `Request ${id}`, h("p", error.status === 404 ? "There is no record of it any more: newer requests took its place." : error.message));
	}
}

// -- Explain

function header_fields(text) {
	return Object.fromEntries(text.split("\n").filter((line) => line.trim()).map((line) => {
		const colon = line.indexOf(":");

		if (colon < 1)
			throw new Error(`A header field is "Name: value", not "${line}".`);
		return [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
	}));
}

const ROUTE_COLUMNS = ["Route", "Why"];

function explained(e) {
	const step = (title, ...kids) => h("li", h("h3", title), h("div", kids));
	const {client, answer, pick, sent} = e;

	return h("ol.steps.card", step("Arrives at", `frontend ${e.frontend} from ${client.address}${client.may_connect ? "" : `, and is reset: ${join([client.why, client.key], ", ")}`}`),
		e.routes.length > 0 && step("Routes", table(ROUTE_COLUMNS, h("tbody", e.routes.map((route) => row(ROUTE_COLUMNS, [route.name,
			route.matched ? "takes it" : `its ${route.condition} is ${route.wanted}, not ${route.got ?? "there"}`], route.matched ? "picked" : "quiet"))), "Routes")),
		answer && step("Answer", h("b", `${answer.status ?? ""} ${answer.outcome}`), h("p", join([answer.cause, answer.cure, answer.location]))),
		e.pools.map((pool) => step("Pool", h("p", h("b", pool.name), `, ${pool.algorithm.replaceAll("_", " ")}: ${pool.why}`), candidates(pool.backends, pick?.backend))),
		pick && step("Goes to", h("b.pick", pick.backend), e.chance && h("span.quiet", " for now: this is drawn")),
		sent && step("As", h("pre", join([sent.line, ...sent.headers.map((field) => field.join(": "))], "\n"))));
}

async function explain(event) {
	const {method, url, headers, from} = event.target.elements;

	event.preventDefault();
	try {
		$("explain-answer").replaceChildren(explained(await send("POST", "/api/v1/explain", {method: method.value.trim().toUpperCase(),
			url: url.value.trim(), headers: header_fields(headers.value), from: from.value.trim() || undefined})));
	} catch (error) {
		$("explain-answer").replaceChildren(h("div.card.alarm", {role: "alert"}, error.message));
	}
}

// -- Configuration

let values = [];

// The YAML that weir writes, a value and its origin on each line, to [{key, value, origin}].
function values_of(yaml) {
	const path = [], found = [];

	for (const line of yaml.split("\n").filter(Boolean)) {
		const [, space, dash, key, value, origin] = line.match(/^( *)(- )?(?:("[^"]*"|[^\s":]+):(?: |$))?(.*?)(?:  # ([^#]*))?$/);
		let depth = space.length / 2;

		if (dash) {
			path[depth] = Number.isInteger(path[depth]) ? path[depth] + 1 : 0;
			path.length = ++depth;
		}
		if (key)
			path.splice(depth, path.length, key);
		if (value)
			found.push({key: path.join("."), value, origin});
	}
	return found;
}

const value_row = ({key, value, origin}) => [[key, value, origin], origin !== "default" && "set"];
const draw_config = () => config_view.draw(values, "Loading …");

export async function show_config() {
	values = values_of(await get_text("config?format=yaml"));
	put(config_view.note, `${values.length} values`);
	draw_config();
}

// -- The rail of the overview

function brief(id, items, none) {
	$(id).replaceChildren(...(items.length ? items.map(([sign, title, word, detail, at_ms]) => h("li", sign,
		h("div", h("p", title && h("b", `${title} `), word), h("p.quiet", {title: detail}, detail)), h("span.quiet", at_ms && clock(at_ms))))
		: [h("li.empty", none)]));
}

let sources;

// Providers: the moment is that of the last good read.
export function draw_sources({providers}) {
	if (sources === (sources = JSON.stringify(providers)))
		return;
	$("sources").parentNode.hidden = !providers.length;
	brief("sources", providers.map((one) => [mark(state_of(one.cause ? "down" : one.held || one.left_out ? "degraded" : one.up ? "up" : "unchecked")), one.name, `${count(one.rows)} rows${one.left_out ? `, ${one.left_out} left out` : ""}`,
		join([one.cause, one.held && "what vanished stays", ...one.findings], "; "), one.read_at_ms]));
}

export function draw_rail() {
	const causes = new Map();

	for (const record of store.failures) {
		const key = `${record.ended}\n${backend_of(record)}`;

		causes.set(key, {record, many: (causes.get(key)?.many ?? 0) + 1});
	}
	brief("changed", store.events.slice(0, 7).map((event) => [mark(face_of(event)), who(event), event.text,
		join([event.reason, event.by && `by ${event.by}`], ", "), event.at_ms]), "Nothing has changed since weir started.");
	brief("causes", [...causes.values()].sort((a, b) => b.many - a.many).slice(0, 5).map(({record, many}) => [h("b.many", many),
		record.ended, record.outcome !== "ok" && record.status || "", join([backend_of(record) ?? record.pool, record.cause], ": "), record.at_ms]), "No request has failed.");
}

export function start_lists() {
	for (const [id, title, view] of [["changed", "What changed", "events"], ["causes", "Why requests failed", "failures"], ["sources", "Where backends come from"]])
		$("rail").append(h("section.card", h("header", h("h2", title), view && h("a.push", {href: `#${view}`}, "All")), h("ol.brief", {id})));
	events_view = new View("events", "Events", "what changed, and who did it", draw_events, EVENT_COLUMNS, "number", event_row);
	failures_view = new View("failures", "Failed requests", "the last ones, newest first", draw_failures, REQUEST_COLUMNS, "id", request_row);
	live_view = new View("live", "Live requests", "", draw_live, REQUEST_COLUMNS, "id", request_row,
		button("Pause", pause_live, {id: "live-pause", "aria-pressed": "false"}));
	config_view = new View("config", "Effective configuration", "", draw_config, ["Key", "Value", "From"], "key", value_row);
	$("explain-form").onsubmit = explain;
}
