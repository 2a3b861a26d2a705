// SPDX-License-Identifier: Apache-2.0
// What the page knows, and how it gets it: calls, the token, the stream of server-sent events.
// EventSource cannot send a token, so the stream is read from fetch().
import {$, button, h, open_sheet} from "/dom.js";

const API = "/api/v1/";

export const store = {
	state: null,         // the newest
	backends: new Map(), // by backend_key
	pools: new Map(),    // name -> {pool, backends}
	events: [],          // newest first, as failures
	failures: [],
	skew_ms: 0,          // the server's clock less ours
	now: () => Date.now() + store.skew_ms,
	may_operate: () => store.state?.may === "operate",
};

export const backend_key = (backend) => `${backend.pool}\n${backend.id}`;
export const find_backend = (pool, id) => store.backends.get(`${pool}\n${id}`);
export const path_of = (backend) => `${API}pools/${encodeURIComponent(backend.pool)}/backends/${encodeURIComponent(backend.id)}`;

// What a browser refuses to keep holds until the page is closed.
export function kept(name, value, storage = "localStorage") {
	try {
		if (value !== undefined)
			window[storage].setItem(`weir.${name}`, value);
		return window[storage].getItem(`weir.${name}`);
	} catch {
		return value ?? null;
	}
}

// -- The token

let token = kept("token", undefined, "sessionStorage");
let asking = null;

// Asks for one and waits for it; an empty one is none.
export function ask_for_token() {
	asking ??= new Promise((resolve) => {
		const door = $("door");
		const input = h("input", {type: "password", id: "token", autocomplete: "off"});

		open_sheet(door, "A token, please", h("form", {onsubmit: (event) => {
			event.preventDefault();
			token = input.value.trim();
			kept("token", token, "sessionStorage");
			door.close();
			asking = null;
			resolve();
		}},
		h("p", {role: token && "alert"}, token && "That one is not known here. ", "Tokens stand in the configuration: admin.token and admin.tokens. This tab keeps yours until it is closed."),
		h("label", {for: "token"}, "Token"), input,
		h("p.buttons", button("Continue", null, {type: "submit", class: "strong"}))));
		door.querySelector("header button").remove();
		door.onmousedown = null;
		door.oncancel = (event) => event.preventDefault();
		input.focus();
	});
	return asking;
}

// fetch() that comes back only with a token that is let in.
async function fetch_known(path, options, fields) {
	for (;;) {
		const used = token;
		const answer = await fetch(path, {cache: "no-store", credentials: "omit", redirect: "error", ...options,
			headers: used ? {...fields, Authorization: `Bearer ${used}`} : fields});

		if (answer.status !== 401)
			return answer;
		answer.body?.cancel();
		if (used === token)
			await ask_for_token();
	}
}

// -- Calls

// The body; or an error with what the server wrote into its problem+json, and the status.
async function body_of(answer) {
	const body = await answer.json().catch(() => null);

	if (answer.ok)
		return body;
	throw Object.assign(new Error([body?.detail ?? `The answer is ${answer.status}.`, body?.cure].filter(Boolean).join(" ")),
		{status: answer.status});
}

export const get = async (path) => body_of(await fetch_known(API + path));

export const get_text = async (path) => (await fetch_known(API + path)).text();
export const get_history = (seconds, pool, backend) => get(`history?${new URLSearchParams(
	{seconds, ...pool && {pool}, ...backend && {backend}})}`);

// A change. `etag` refuses what somebody else has changed since (412).
export const send = async (method, path, body, etag) => body_of(await fetch_known(path, {method, body: body && JSON.stringify(body)}, {
	"X-Weir-Request": "1", ...body && {"Content-Type": "application/json"}, ...etag != null && {"If-Match": `"${etag}"`}}));

// -- State

// Takes a whole or a partial state. False: it does not fit what is known.
export function take_state(state) {
	if (state.partial && !store.state)
		return false;
	if (!state.partial)
		store.backends = new Map();
	for (const backend of state.backends)
		store.backends.set(backend_key(backend), backend);
	store.state = state;
	store.skew_ms = state.now_at_ms - Date.now();
	store.pools = new Map(state.pools.map((pool) => [pool.name, {pool, backends: []}]));
	for (const backend of store.backends.values())
		store.pools.get(backend.pool)?.backends.push(backend);
	return !state.partial || state.pools.every((pool) => store.pools.get(pool.name).backends.length === pool.backends);
}

// Puts what is new into a list that has its newest first.
export function take_news(list, news, key, order, max) {
	const known = new Set(list.map((one) => one[key]));

	list.unshift(...news.filter((one) => !known.has(one[key])));
	list.sort((a, b) => b[order] - a[order]);
	list.length = Math.min(list.length, max);
}

// -- The stream

const SILENCE_MS = 6000; // the server says something every second

async function read_events(reader, alive, hear) {
	const decoder = new TextDecoder();
	let rest = "";

	for (;;) {
		const {done, value} = await reader.read();
		if (done)
			return;
		alive();
		const events = (rest + decoder.decode(value, {stream: true})).split("\n\n");
		rest = events.pop();
		for (const event of events) {
			const [name, data] = ["event", "data"].map((field) => event.match(RegExp(`^${field}: ?(.*)`, "m"))?.[1]);

			if (data)
				hear(name, JSON.parse(data));
		}
	}
}

let wanted = null; // what ends the stream that is wanted

export function stop_stream() {
	wanted?.abort();
}

// hear(name, value) for each event; link("live") or link("reconnecting", why) when the connection changes.
export async function start_stream(tail, hear, link) {
	stop_stream();
	const {signal} = wanted = new AbortController();

	for (let failed = 0; ; failed++) {
		const attempt = new AbortController();
		let timer, why = "weir does not answer", is_live = false;
		const alive = () => {
			clearTimeout(timer);
			timer = setTimeout(() => attempt.abort(), SILENCE_MS);
		};

		try {
			const answer = await fetch_known(`${API}stream${tail ? "?tail=1" : ""}`,
				{signal: AbortSignal.any([signal, attempt.signal])});
			if (!answer.ok)
				await body_of(answer);
			alive();
			await read_events(answer.body.getReader(), alive, (name, value) => {
				if (!is_live)
					link("live");
				is_live = true;
				failed = 0;
				// Our own mistakes must not look like a lost connection.
				try {
					hear(name, value);
				} catch (error) {
					console.error(error);
				}
			});
			why = "the connection ended";
		} catch (error) {
			if (error.status)
				why = error.message;
		}
		clearTimeout(timer);
		if (signal.aborted)
			return;
		link("reconnecting", why);
		await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 500 * 2 ** failed) * (0.75 + Math.random() / 2)));
	}
}
