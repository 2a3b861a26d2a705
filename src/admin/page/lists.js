// SPDX-License-Identifier: Apache-2.0
// Events, failed requests, live requests, the record of one request, explain, and the configuration.
import {$, attr, button, bytes, clock, count, dur, event_text, face_of, filter_field, filter_text, h, join, mark, open_sheet, put, toast} from "/dom.js";
import {find_backend, get, send, store} from "/api.js";
import {facts, open_backend, undo_event} from "/steer.js";

const ROWS_MAX = 300;  // drawn at a time; a filter finds the others
const LIVE_MAX = 1000; // kept of the live tail

// The array in an answer, whether it stands alone or under a name.
export const list_in = (answer, name) => (Array.isArray(answer) ? answer : answer[name]);

const backend_of = (record) => record.backend ?? record.picked ?? record.tries?.at(-1)?.backend;

const cell = (name, ...kids) => h("td", {class: `l-${name}`}, kids);
const table = (columns, body, label) => h("table.list", {"aria-label": label}, h("thead", h("tr",
	columns.map(([name, title]) => h("th", {scope: "col", class: `l-${name}`}, title)))), body);

function place({pool, ...one}) {
	const id = backend_of(one);

	return id ? button(id, () => find_backend(pool, id) && open_backend(find_backend(pool, id)), {class: "link-like", title: `${pool} / ${id}`})
		: pool ?? "–";
}

// A table that keeps the rows that it has: `key` tells them apart, `make` makes one.
class Table {
	constructor(name, columns, key, make) {
		Object.assign(this, {name, key, make, rows: new Map(), body: h("tbody"), empty: h("p.empty"), more: h("p.note")});
		this.table = table(columns, this.body, $(`t-${name}`).textContent);
		$(`${name}-list`).append(this.table, this.empty, this.more);
	}

	draw(all, none) {
		const text = filter_text(this.name);
		const items = all.filter((one) => Object.values(one).join(" ").toLowerCase().includes(text));
		const wanted = new Map(items.slice(0, ROWS_MAX).map((one) => [one[this.key], this.rows.get(one[this.key]) ?? this.make(one)]));

		for (const [key, row] of this.rows)
			if (!wanted.has(key))
				row.remove();
		let at = this.body.firstChild;
		for (const row of wanted.values()) {
			if (row === at)
				at = at.nextSibling;
			else
				this.body.insertBefore(row, at);
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

let events_table, failures_table, live_table, config_table;

const EVENT_COLUMNS = [["time", "Time"], ["what", "What"], ["where", "Where"], ["change", "Change"], ["why", "Why"], ["who", "Who"], ["act", ""]];

function event_row(event) {
	const undo = event.undo && button("Undo", () => undo_event(event), {class: "small", "data-undo": true, "aria-label": `Undo: ${event_text(event)}`});

	return h("tr", cell("time", clock(event.at_ms, store.now())), cell("what", mark(face_of(event)), event.text),
		cell("where", place(event)), cell("change", join([event.from, event.to], " → ").replaceAll("_", "-")),
		cell("why", event.reason), cell("who", event.by), cell("act", undo));
}

export function draw_events() {
	events_table.draw(store.events, "Nothing has changed since weir started.");
	for (const node of $("events-list").querySelectorAll("[data-undo]"))
		node.hidden = !store.may_operate();
}

// -- Requests

const REQUEST_COLUMNS = [["time", "Time"], ["status", "Status"], ["outcome", "Outcome"], ["request", "Request"],
	["where", "Backend"], ["dur", "Took"], ["why", "Cause"], ["rid", "Request id"]];

function request_row(record) {
	const name = `${record.method} ${record.path}`;

	return h("tr", {class: record.outcome !== "ok" || record.status >= 500 ? "tone-bad" : null},
		cell("time", clock(record.at_ms, store.now())), cell("status", record.status || "–"), cell("outcome", record.outcome),
		cell("request", button(name, () => show_record(record.id), {class: "link-like", title: name})),
		cell("where", place(record)), cell("dur", dur(record.total_us)), cell("why", record.cause), cell("rid", record.id));
}

export const draw_failures = () => failures_table.draw(store.failures, "No request has failed.");

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
	put($("live-note"), live.paused ? "paused" : "as they end, at most 50 in a second");
	live_table.draw(live.records, "Waiting for requests …");
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
			live.records = list_in(await get("/api/v1/requests?limit=100"), "requests");
	} catch (error) {
		toast(`No earlier requests: ${error.message}`, "bad");
	}
	draw_live();
}

// -- The record of one request

// Backends that could be chosen and what they cost; those that could not, and why.
function candidates(list, picked) {
	return list?.length ? table([["name", "Backend"], ["cost", "Cost"], ["why", ""]], h("tbody", list.map((one) => {
		const is_it = one.backend === picked;

		return h("tr", {class: is_it ? "picked" : one.eligible === false ? "quiet" : null}, cell("name", one.backend),
			cell("cost", one.cost == null ? "–" : Math.round(one.cost * 1000) / 1000), cell("why", is_it ? "picked" : one.reason));
	})), "Candidates") : h("p.quiet", "No candidates were kept.");
}

async function show_record(id) {
	const sheet = $("sheet");

	open_sheet(sheet, `Request ${id}`, h("p.empty", "Loading its record …"));
	try {
		const r = await get(`/api/v1/requests/${encodeURIComponent(id)}`);
		open_sheet(sheet, [`${r.method} ${r.path} `, h("small", `${clock(r.at_ms, store.now())} · ${r.id}`)],
			h("ul.words", (r.text ?? []).map((line) => h("li", line))),
			h("div.sheet-grid", h("div", facts([
				["Answer", join([r.status || "none", r.outcome, r.cause], ", ")],
				["Way", join([r.frontend, r.route, r.pool, backend_of(r)], " → ")],
				["Took", `${dur(r.total_us)}: queued ${dur(r.queue_us)}, connect ${dur(r.connect_us)}, first byte ${dur(r.first_byte_us)}`],
				...(r.tries ?? []).map((one) => [one.hedge ? "Hedge" : "Try", `${one.backend}: ${one.ended} at ${dur(one.at_us)} for ${dur(one.took_us)}`]),
				["Client", r.client],
				["Bytes", `${bytes(r.bytes_in)} in, ${bytes(r.bytes_out)} out, on a ${r.reused ? "kept" : "new"} connection`],
				["Worker", r.worker]])),
			h("div", h("h3", `${(r.algorithm ?? "").replaceAll("_", " ")}: ${count(r.eligible)} of ${count(r.of)} could be chosen`),
				candidates(r.candidates, r.picked))));
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

function explained(answer) {
	const step = (title, ...kids) => h("li", h("h3", title), h("div", kids));
	const out = answer.outgoing;

	return [
		answer.text?.length && h("div.card.words", answer.text.map((line) => h("p", line))),
		h("ol.steps.card", step("Arrives at", `frontend ${answer.frontend ?? "–"}`),
			step("Routes", answer.routes?.length ? table([["name", "Route"], ["why", "Why"]], h("tbody", answer.routes.map((route) =>
				h("tr", {class: route.matches ? "picked" : "quiet"}, cell("name", route.name, route.matches && h("small", " matches")), cell("why", route.reason)))), "Routes")
				: "none: the frontend's pool takes all"),
			answer.pool && [step("Pool", `${answer.pool}, ${(answer.algorithm ?? "").replaceAll("_", " ")}`),
				step("Backends", candidates(answer.backends, answer.picked)),
				step("Picked", h("b.pick", answer.picked ?? "nobody"), answer.certain === false && h("span.quiet",
					" for now: this algorithm draws, or looks at the load of the moment"))],
			out && step("Goes out as", h("pre", join([out.line, ...out.headers.map((field) => field.join(": "))], "\n")))),
	].filter(Boolean);
}

async function explain(event) {
	const {method, url, headers, from} = event.target.elements;

	event.preventDefault();
	try {
		$("explain-answer").replaceChildren(...explained(await send("POST", "/api/v1/explain", {method: method.value.trim().toUpperCase(),
			url: url.value.trim(), headers: header_fields(headers.value), from: from.value.trim() || null})));
	} catch (error) {
		$("explain-answer").replaceChildren(h("div.card.alarm", {role: "alert"}, error.message));
	}
}

// -- Configuration

let values = [];

const value_row = ({key, value, origin}) => h("tr", {class: origin !== "default" && "set"}, cell("key", key),
	cell("value", typeof value === "object" ? JSON.stringify(value) : String(value)), cell("origin", origin));

const draw_config = () => config_table.draw(values, "Loading …");

export async function show_config() {
	try {
		values = list_in(await get("/api/v1/config"), "values");
		put($("config-note"), `${values.length} values`);
		draw_config();
	} catch (error) {
		toast(`The configuration cannot be shown: ${error.message}`, "bad");
	}
}

// -- The rail of the overview

function brief(id, items, none) {
	$(id).replaceChildren(...(items.length ? items.map(([sign, title, word, detail, at_ms]) => h("li", sign,
		h("div", h("p", title && h("b", `${title} `), word), h("p.quiet", {title: detail}, detail)), h("span.quiet", clock(at_ms, store.now()))))
		: [h("li.empty", none)]));
}

export function draw_rail() {
	const causes = new Map();

	for (const record of store.failures) {
		const key = `${record.outcome}\n${backend_of(record)}`;

		causes.set(key, {record, many: (causes.get(key)?.many ?? 0) + 1});
	}
	brief("changed", store.events.slice(0, 7).map((event) => [mark(face_of(event)), event.backend ?? event.pool, event.text,
		join([event.reason, event.by && `by ${event.by}`], ", "), event.at_ms]), "Nothing has changed since weir started.");
	brief("causes", [...causes.values()].sort((a, b) => b.many - a.many).slice(0, 5).map(({record, many}) => [h("b.many", many),
		record.outcome, record.status || "", join([backend_of(record) ?? record.pool, record.cause], ": "), record.at_ms]), "No request has failed.");
}

export function start_lists() {
	events_table = new Table("events", EVENT_COLUMNS, "number", event_row);
	failures_table = new Table("failures", REQUEST_COLUMNS, "id", request_row);
	live_table = new Table("live", REQUEST_COLUMNS, "id", request_row);
	config_table = new Table("config", [["key", "Key"], ["value", "Value"], ["origin", "From"]], "key", value_row);
	for (const [name, draw] of Object.entries({events: draw_events, failures: draw_failures, live: draw_live, config: draw_config}))
		document.querySelector(`#view-${name} header`).append(filter_field(name, draw));
	document.querySelector("#view-live header").append(button("Pause", pause_live, {id: "live-pause", "aria-pressed": "false"}));
	$("explain-form").onsubmit = explain;
}
