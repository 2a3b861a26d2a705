// SPDX-License-Identifier: Apache-2.0
// Elements, words and numbers. What comes from outside becomes a text node or the value of an
// attribute here; no file of this page parses markup.

const shown = Symbol("the text that an element shows");

export const $ = (id) => document.getElementById(id);

function fill(node, kids) {
	const props = kids[0]?.constructor === Object ? kids.shift() : {};

	for (const [key, value] of Object.entries(props)) {
		if (value == null || value === false)
			continue;
		if (key.startsWith("on"))
			node.addEventListener(key.slice(2), value);
		else
			node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...kids.flat(2).filter((kid) => kid != null && kid !== false));
	return node;
}

// h("td.num", {title: "x", onclick: f}, "text", node, null); the attributes may be left out
export function h(what, ...kids) {
	const [tag, ...classes] = what.split(".");
	const node = document.createElement(tag);

	if (classes.length)
		node.className = classes.join(" ");
	return fill(node, kids);
}

const svg = (tag, ...kids) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), kids);

export const button = (text, onclick, props) => h("button", {type: "button", onclick, ...props}, text);

export const radio = (name, value, label, checked, onchange) =>
	h("label", h("input", {type: "radio", name, value, checked, onchange}), h("span", label));
export const filter_field = (name, oninput) =>
	h("input.push", {type: "search", id: `${name}-filter`, "aria-label": "Filter", placeholder: "Filter  /", oninput});
export const filter_text = (name) => $(`${name}-filter`).value.trim().toLowerCase();

// Touches the page only when something changes: a thousand rows mostly stay as they are.
export function put(node, text) {
	if (node[shown] !== text)
		node.textContent = node[shown] = text;
}

export function attr(node, name, value) {
	if (value == null)
		node.removeAttribute(name);
	else if (node.getAttribute(name) !== String(value))
		node.setAttribute(name, value);
}

// -- Shapes and states

// Outlines in a square of 16; with a leading "~" they are stroked, with ":" in dashes.
const SHAPES = {
	up: "M3 8a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
	backup: "~M3.5 8a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
	wait: ":M3 8a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
	down: "M1.8 3.5h12.4L8 14z",
	cross: "~M3.5 3.5l9 9m0-9l-9 9",
	eject: "M8 2l6 6.6H2zM2 11h12v2.6H2z",
	open: "~M1 11.5h3.2l6.3-7.3M11.5 11.5H15",
	half: "M8 2a6 6 0 0 0 0 12a6 6 0 0 0 0-12zM8 4v8a4 4 0 0 1 0-8z",
	drain: "~M8 1.8v7.4M4.4 6L8 9.6 11.6 6M2.6 13.6h10.8",
	pause: "M3.6 3h3v10h-3zm5.8 0h3v10h-3z",
	alarm: "M8 1.2L15.4 14.4H.6zM7.2 5.6v4.4h1.6V5.6zM7.2 11.3v1.6h1.6v-1.6z",
	gone: "~M3 8h10",
	steer: "M8 1.4L14.6 8 8 14.6 1.4 8z",
	check: "M.8 8a7.2 7.2 0 1 0 14.4 0a7.2 7.2 0 1 0-14.4 0zM7 11.6L3.9 8.5l1.2-1.2L7 9.2l3.9-4.3 1.2 1.1z",
	stop: "M5.1.9h5.8l4.2 4.2v5.8l-4.2 4.2H5.1L.9 10.9V5.1zM7.1 4v5h1.8V4zM7.1 10.3v1.8h1.8v-1.8z",
	logo: "~M.8 4.2h4.6c2.6 0 2 5.6 4.6 5.6h5.2M.8 8h3c2.4 0 2.2 5.8 5 5.8h6.4",
};

export function icon(name) {
	const path = SHAPES[name].replace(/^[~:]/, "");

	return svg("svg", {class: "icon", viewBox: "0 0 16 16", "aria-hidden": "true"}, path === SHAPES[name]
		? svg("path", {d: path, fill: "currentColor", "fill-rule": "evenodd"})
		: svg("path", {d: path, fill: "none", stroke: "currentColor", "stroke-width": 2.2, "stroke-linecap": "round",
			"stroke-dasharray": SHAPES[name][0] === ":" ? "1.6 3.6" : null}));
}

// The most urgent first: [name, shape, tone]; tone is a class of style.css.
const STATES = [
	["down", "down", "bad"],
	["refuses", "cross", "bad"],
	["unresolved", "wait", "bad"],
	["lost", "stop", "bad"],
	["open", "open", "bad"],
	["ejected", "eject", "bad"],
	["panic", "alarm", "warn"],
	["degraded", "alarm", "warn"],
	["half_open", "half", "warn"],
	["draining", "drain", "warn"],
	["unchecked", "wait", "warn"],
	["disabled", "pause", "mute"],
	["removed", "gone", "mute"],
	["backup", "backup", "mute"],
	["ok", "up", "ok"],
	["up", "up", "ok"],
];

export function state_of(name) {
	const rank = STATES.findIndex(([one]) => one === name);
	const [, shape, tone] = STATES[rank] ?? [name, "wait", "warn"];

	return {word: name.replace("half_", "half-").replace(/^open/, "breaker open"), shape, tone, rank};
}

export const mark = ({tone, shape}) => h("span", {class: `state tone-${tone}`}, icon(shape));
export const is_well = (backend) => ["up", "backup"].includes(backend.state);

const GOOD = ["up", "closed", "returned", "available", "serving", "well", "calm"];
const ODD = ["flapping", "slow", "fails"];
const BAD = ["down", "open", "ejected", "unavailable", "panic", "unresolved", "refuses"];

export function face_of(event) {
	if (event.kind === "steering")
		return {tone: "told", shape: "steer"};
	if (ODD.includes(event.to))
		return {tone: "warn", shape: "alarm"};
	if (BAD.includes(event.to))
		return {tone: "bad", shape: event.to === "open" ? "open" : "down"};
	return GOOD.includes(event.to) ? {tone: "ok", shape: "up"} : {tone: "mute", shape: "backup"};
}

export const who = (event) => event.backend ?? event.provider ?? event.pool;

// "app-1: backend is down: connection refused"
export const event_text = (event) =>
	[who(event), event.text, event.reason].filter(Boolean).join(": ");

// -- Numbers; what is not known is a dash

function fit(value, units) {
	let i = 0;

	for (; value >= 999.5; i++)
		value /= 1000;
	return [value, units[i]];
}

// Three digits at most, and a letter: 0.04 3.2 412 12.4k 1.24M.
export function num(value) {
	if (!value)
		return value === 0 ? "0" : "–";
	const [small, letter] = fit(value, ["", "k", "M", "G", "T", "P"]);
	return small.toFixed(small >= 99.95 ? 0 : (letter ? small < 9.995 : small < 0.095) ? 2 : 1) + letter;
}

// Whole numbers are told in full as long as they are short.
export const count = (value) => (value < 10000 ? value == null ? "–" : String(Math.round(value)) : num(value));

export const rate = (value) => (value == null ? "–" : num(value) + "/s");

const with_unit = (value, unit) => value + "\u00a0" + unit;

// Microseconds: 310 µs, 2.1 ms, 21 ms, 1.2 s, 3 min.
export function dur(us) {
	if (us == null || us >= 99.5e6)
		return us == null ? "–" : span(us / 1000);
	const [value, unit] = us < 999.5 ? [us, "µs"] : us < 999500 ? [us / 1000, "ms"] : [us / 1e6, "s"];
	return with_unit(unit !== "µs" && value < 9.95 ? value.toFixed(1) : Math.round(value), unit);
}

export function pct(ratio) {
	const value = ratio * 100;

	if (ratio == null || (value > 0 && value < 0.005))
		return ratio == null ? "–" : with_unit("<0.01", "%");
	return with_unit(value.toFixed(value === 0 || value === 100 ? 0 : value < 0.995 ? 2 : value < 9.95 || value > 99 ? 1 : 0), "%");
}

export function bytes(value) {
	if (value == null)
		return "–";
	const [small, unit] = fit(value, ["B", "kB", "MB", "GB", "TB", "PB"]);
	return with_unit(unit === "B" || small >= 99.5 ? Math.round(small) : small.toFixed(1), unit);
}

// Milliseconds as people say it: 12 s, 3 min, 2 h 5 min, 4 d 3 h.
export function span(ms) {
	const s = Math.max(0, Math.floor(ms / 1000)), m = Math.floor(s / 60), hours = Math.floor(m / 60);
	const two = (a, b) => (b.startsWith("0") ? a : `${a} ${b}`);

	if (m < 60)
		return m ? with_unit(m, "min") : with_unit(s, "s");
	return hours < 24 ? two(with_unit(hours, "h"), with_unit(m % 60, "min"))
		: two(with_unit(Math.floor(hours / 24), "d"), with_unit(hours % 24, "h"));
}

const day = new Intl.DateTimeFormat(undefined, {month: "short", day: "numeric"});

// The viewer's own clock, 24 hours.
export const time_of = (ms) => new Date(ms).toTimeString().slice(0, 8);

// With the day when that is not today.
export function clock(ms) {
	const at = new Date(ms);

	return (at.toDateString() === new Date().toDateString() ? "" : `${day.format(at)} `) + time_of(ms);
}

export const join = (parts, between = " · ") => parts.filter(Boolean).join(between);

// -- Small pictures

// A line over the last values. Returns a call that redraws it.
export function spark(root) {
	const line = svg("path", {class: "line", "vector-effect": "non-scaling-stroke"});
	const area = svg("path", {class: "area"});

	root.append(svg("svg", {viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true"}, area, line));
	return (values, least = 1) => {
		const top = Math.max(least, ...values), step = 100 / Math.max(1, values.length - 1);
		const path = values.map((value, i) => `${(i * step).toFixed(1)} ${(28.5 - 27 * value / top).toFixed(1)}`).join("L");

		attr(line, "d", path && `M${path}`);
		attr(area, "d", path && `M0 30L${path}L100 30Z`);
	};
}

// -- Dialogs and messages

// Fills a dialog and opens it; it is closed by its button, by Escape, and by a click beside it.
export function open_sheet(dialog, title, ...kids) {
	dialog.replaceChildren(
		h("header", h("h2", {id: `${dialog.id}-title`}, title),
			button("✕", () => dialog.close(), {class: "plain", "aria-label": "Close"})),
		h("div.body", kids));
	dialog.onmousedown = ({target}) => {
		if (target === dialog)
			dialog.close();
	};
	if (!dialog.open)
		dialog.showModal();
}

// A message at the edge; `action` = [label, call].
export function toast(text, tone = "", action) {
	const box = h("div", {class: `toast ${tone}`}, text, action && button(action[0], () => {
		box.remove();
		action[1]();
	}), button("✕", () => box.remove(), {class: "plain", "aria-label": "Dismiss"}));

	$("toasts").append(box);
	if ($("toasts").children.length > 3)
		$("toasts").firstChild.remove();
	setTimeout(() => box.remove(), 60000);
}
