// SPDX-License-Identifier: Apache-2.0
// One backend: all that is known of it, and what may be done to it. Nothing is done before the page
// has said what will happen, and what was done can be undone.
import {$, button, clock, count, dur, event_text, h, join, mark, open_sheet, pct, radio, rate, span, state_of, toast} from "/dom.js";
import {ask_for_token, find_backend, get, get_history, path_of, send, store} from "/api.js";
import {Graphs, Series} from "/graphs.js";

// -- What will happen

const share_of = (backends) => backends.reduce((sum, one) => sum + one.weight * one.share_ratio, 0);
const takers_beside = (backend) =>
	store.pools.get(backend.pool).backends.filter((one) => one.id !== backend.id && one.takes_requests);

// Where the requests of a backend go when it takes none.
function where_to(backend) {
	const {pool} = store.pools.get(backend.pool), others = takers_beside(backend), has = backend.requests_per_s;
	const more = (one) => `about +${rate(has * share_of([one]) / share_of(others))}`;

	if (!share_of(others))
		return `Nobody is left in pool ${pool.name}: its requests ${pool.failover ? `go to the pool ${pool.failover}.` : "will be answered with 503."}`;
	if (!has)
		return "It has none to hand over at the moment.";
	return `Its ${rate(has)} (${pct(has / Math.max(pool.requests_per_s, has))} of pool ${pool.name}) move to ${others.length > 3
		? `the ${others.length} others, ${more(others[0])} each` : others.map((one) => `${one.id} (${more(one)})`).join(" and ")}.`;
}

function share_text(backend, weight) {
	const others = share_of(takers_beside(backend));

	return `about ${pct(weight / (weight + others || 1))}`;
}

// Each: when it is offered, its call, what is said before, and whether it takes all requests away.
// `form` has the values of the form.
const ACTIONS = {
	Drain: {
		can: (b) => b.admin === "enabled",
		call: (form) => ["POST", "/drain", {timeout_ms: form.seconds * 1000}],
		will: (b, form) => ["It gets no new requests.", where_to(b), b.in_flight
			? `What runs on it (${count(b.in_flight)} in flight) goes on, for at most ${span(form.seconds * 1000)}.` : "Nothing is running on it now."],
		takes: () => true,
	},
	Disable: {
		can: (b) => b.admin !== "disabled",
		call: () => ["POST", "/disable"],
		will: (b) => ["It gets no new requests, and its kept connections are closed.", where_to(b)],
		takes: () => true,
	},
	Enable: {
		can: (b) => b.admin !== "enabled",
		call: () => ["POST", "/enable"],
		will: (b) => [b.health === "down" ? "It gets requests again as soon as its health checks pass; now they fail."
			: `It gets requests again: ${share_text(b, b.weight)} of pool ${b.pool} by its weight of ${b.weight}.`],
	},
	Weight: {
		call: (form) => ["PUT", "/weight", {weight: form.weight}],
		will: (b, form) => [form.weight ? `Its share of pool ${b.pool} goes from ${share_text(b, b.weight)} to ${share_text(b, form.weight)}.`
			: `With the weight 0 it gets no new requests. ${where_to(b)}`,
		`It holds until the next reload; the configuration says ${b.weight_configured}.`],
		takes: (form) => form.weight === 0,
	},
	Breaker: {
		call: (form) => ["PUT", "/breaker", {state: form.state}],
		will: (b, form) => ({
			open: ["Its breaker is held open: it gets no requests until you let the breaker go.", where_to(b)],
			closed: ["Its breaker is held closed: it gets requests however many of them fail."],
			auto: ["Its breaker decides by itself again, by how requests end."],
		})[form.state],
		takes: (form) => form.state === "open",
	},
};

// -- Undo

let last_undo = null; // the call that takes back what this page did last

async function undo(call) {
	try {
		await send(call.method, call.path, call.body);
		toast("Taken back.");
		last_undo = null;
	} catch (error) {
		toast(`Not taken back: ${error.message}`, "bad");
	}
}

export function undo_last() {
	if (last_undo)
		undo(last_undo);
	else
		toast("Nothing was done from this page that could be undone.");
}

export function undo_event(event) {
	const sheet = $("sheet"), go = button("Undo", () => {
		sheet.close();
		undo(event.undo);
	}, {class: "strong"});

	open_sheet(sheet, "Undo", h("p", `This takes back: ${event_text(event)}${event.by ? `, done by ${event.by}` : ""}.`),
		h("p.buttons", go, button("Cancel", () => sheet.close())));
	go.focus();
}

const events_of = (backend) => store.events.filter((event) => event.pool === backend.pool && event.backend === backend.id);
const last_steering = (backend) => events_of(backend).find((event) => event.kind === "steering");

// Says what was done, by its event, which comes by the stream.
async function tell_done(action, backend, number) {
	let event;

	for (let tries = 0; number && !event && tries < 50; tries++) {
		await new Promise((resolve) => setTimeout(resolve, 100));
		event = store.events.find((one) => one.number === number);
	}
	last_undo = event?.undo ?? last_undo;
	toast(event ? event_text(event) : `${action} ${backend.id}: ${number ? "done" : "nothing had to be changed"}`, "",
		event?.undo && ["Undo", () => undo(event.undo)]);
}

// -- The form

function steer_form(backend, chosen, close) {
	let seen = backend; // what the person decides by; its etag goes along
	const names = Object.keys(ACTIONS).filter((name) => ACTIONS[name].can?.(backend) ?? true);
	const first = names.includes(chosen) ? chosen : names[0];
	const will = h("div.will", {"aria-live": "polite"}), alarm = h("div.alarm", {role: "alert", hidden: true});
	const go = button("", null, {type: "submit", class: "strong"});
	const number = (action, name, label, value) => h("label", {"data-for": action}, label,
		h("input", {type: "number", name, value, min: 0, max: 1000, required: true, oninput: tell}));
	const form = h("form.steer", {onsubmit: submit},
		h("fieldset.choice", h("legend.hidden", "What is to be done"), names.map((name) => radio("action", name, name, name === first, tell))),
		number("Drain", "seconds", "Seconds that running requests may take", 30),
		number("Weight", "weight", "Weight", backend.weight),
		h("fieldset.choice", {"data-for": "Breaker"}, h("legend.hidden", "Breaker"),
			Object.entries({open: "Hold open", closed: "Hold closed", auto: "Automatic"}).map(([state, label]) =>
				radio("state", state, label, state === (backend.breaker_forced ? "auto" : "open"), tell))),
		will, alarm, h("p.buttons", go, button("Cancel", close)));

	const {action, seconds, weight, state} = form.elements;
	const values = () => ({seconds: seconds.valueAsNumber, weight: weight.valueAsNumber, state: state.value});

	function tell() {
		const {will: words, takes} = ACTIONS[action.value], now = find_backend(backend.pool, backend.id);

		for (const part of form.querySelectorAll("[data-for]"))
			part.hidden = part.dataset.for !== action.value;
		seconds.disabled = action.value !== "Drain";
		weight.disabled = action.value !== "Weight";
		go.textContent = `${action.value} ${backend.id}`;
		if (!now || !form.checkValidity())
			return;
		const sentences = words(now, values());
		for (const node of [go, will])
			node.classList.toggle("danger", Boolean(takes?.(values())) && !share_of(takers_beside(now)));
		if (will.textContent !== sentences.join(""))
			will.replaceChildren(...sentences.map((text) => h("p", text)));
	}

	// Somebody else was faster: shows what changed, and takes that as seen.
	async function show_changes() {
		const {backends} = await get(`state?pool=${encodeURIComponent(backend.pool)}`);
		const now = backends.find((one) => one.id === backend.id), by = last_steering(backend);

		go.disabled = !now;
		if (!now)
			return [h("p", `${backend.id} is no longer in pool ${backend.pool}.`)];
		const changes = ["state", "admin", "weight", "breaker", "breaker_forced", "address"].filter((name) => seen[name] !== now[name])
			.map((name) => h("li", `${name.replace("_", " ")}: ${seen[name] ?? "–"} → ${now[name] ?? "–"}`));
		seen = now;
		tell();
		return [h("p", h("b", "Not done: somebody else changed this backend meanwhile.")),
			h("p", by && join([clock(by.at_ms), event_text(by), by.by && `by ${by.by}`], ", ")),
			h("ul", changes), h("p", "Look again; the button does it now.")];
	}

	async function submit(event) {
		const name = action.value, [method, path, body] = ACTIONS[name].call(values());

		event.preventDefault();
		go.disabled = true;
		try {
			const {event: number} = await send(method, path_of(backend) + path, body, seen.etag);
			close();
			tell_done(name, backend, number);
		} catch (error) {
			go.disabled = false;
			alarm.replaceChildren(...error.status === 412 ? await show_changes() : [h("p", error.message)]);
			alarm.hidden = false;
		}
	}

	tell();
	return {form, tell, go};
}

// -- The sheet

const FACTS = {
	State: (b) => join([state_of(b.state).word, b.reason], ": "),
	Since: (b, now) => b.since_at_ms && `${clock(b.since_at_ms)}, ${span(now - b.since_at_ms)} ago`,
	Requests: (b) => `${rate(b.requests_per_s)}, errors ${rate(b.errors_per_s)}, ${count(b.requests_total)} in all`,
	Latency: (b) => `p50 ${dur(b.p50_us)}, p99 ${dur(b.p99_us)}, max ${dur(b.max_us)}`,
	"In flight": (b) => count(b.in_flight),
	Connections: (b) => `${count(b.connections)} of ${b.connections_max == null ? "any number" : count(b.connections_max)}, ${count(b.idle)} idle`,
	Weight: (b) => join([String(b.weight), b.weight !== b.weight_configured && `configured ${b.weight_configured}`,
		b.share_ratio < 1 && `at ${pct(b.share_ratio)} of it for now`, b.backup && "a backup"], ", "),
	Steered: (b) => b.admin,
	Breaker: (b) => join([b.breaker.replace("_", "-"), b.breaker_forced && `held ${b.breaker_forced}`], ", "),
	Ejected: (b, now) => b.ejected && `${b.ejected}, until ${clock(b.ejected_until_at_ms)}`,
	"Last check": ({last_check: c, streak}, now) => c && join([c.passed ? "passed" : `failed, ${c.reason}`, c.latency_us != null && dur(c.latency_us),
		`${span(now - c.at_ms)} ago`, `${streak} in a row`], ", "),
	"Next check": (b, now) => b.next_check_at_ms && `in ${span(b.next_check_at_ms - now)}`,
};

export const facts = (list) => h("dl.facts", list.map(([name, value]) => h("div", h("dt", name), h("dd", value || "–"))));

let refresh = null; // of the sheet that is open

// Opens the sheet of a backend, with an action chosen or without.
export async function open_backend(backend, action) {
	const sheet = $("sheet"), room = h("div"), list = h("div"), graphs = new Graphs(room, true, backend.id);
	const steer = store.may_operate() ? steer_form(backend, action, () => sheet.close()) : null;

	refresh = () => {
		const now = find_backend(backend.pool, backend.id);

		if (!now)
			return;
		list.replaceChildren(facts(Object.entries(FACTS).map(([name, text]) => [name, text(now, store.now())])));
		steer?.tell();
	};
	refresh();
	open_sheet(sheet, [mark(state_of(backend.state)), `${backend.id} `, h("small", `${backend.address} · pool ${backend.pool}`)], h("div.sheet-grid",
		h("div", steer?.form ?? h("div.will", h("p", "You may look. Steering needs a token with the role operate."),
			button("Enter a token", () => ask_for_token().then(() => location.reload()))), list),
		h("div", h("h3", "The last 15 minutes"), room)));
	sheet.onclose = () => {
		refresh = null;
		graphs.observer.disconnect();
	};
	(action && steer ? steer.go : sheet.querySelector("header button")).focus();
	try {
		const history = await get_history(900, backend.pool, backend.id);
		graphs.show(new Series(history, 900000), events_of(backend));
		room.after(history.thinned ? h("p.quiet", `With so many backends the history of each is thinned: a point for every ${span(history.step_ms)}.`) : "");
	} catch (error) {
		graphs.empty.textContent = `No history: ${error.message}`;
	}
}

export const refresh_sheet = () => refresh?.();
