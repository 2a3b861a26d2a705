// SPDX-License-Identifier: Apache-2.0
// What the page knows, and how it gets it: calls, the token, the stream of server-sent events.
// EventSource cannot send a token, so the stream is read from fetch().
import {$, button, h, open_sheet} from "/dom.js";

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
export const path_of = (backend) => `/api/v1/pools/${encodeURIComponent(backend.pool)}/backends/${encodeURIComponent(backend.id)}`;

// An answer that says no: what the server wrote into its problem+json.
export class Refusal extends Error {
	constructor(status, problem) {
		super([problem?.detail ?? problem?.title ?? `The answer is ${status}.`, problem?.cure].filter(Boolean).join(" "));
		this.status = status;
	}
}

// What a browser refuses to keep is kept until the page is closed.
export function kept(storage, name, value) {
	try {
		if (value !== undefined)
			window[storage].setItem(`weir.${name}`, value);
		return window[storage].getItem(`weir.${name}`);
	} catch {
		return null;
	}
}

// -- The token

let token = kept("sessionStorage", "token");
let asking = null;

function ask_for_token() {
	asking ??= new Promise((resolve) => {
		const door = $("door");
		const input = h("input", {type: "password", id: "token", autocomplete: "off", required: true});

		open_sheet(door, "This weir asks for a token", h("form", {onsubmit: (event) => {
			event.preventDefault();
			token = input.value.trim();
			kept("sessionStorage", "token", token);
			door.close();
			asking = null;
			resolve();
		}},
		h("p", {role: token && "alert"}, token ? "That token is not known here. Tokens stand in the configuration under admin.tokens."
			: "It stands in the configuration under admin.tokens. It is kept until this tab is closed."),
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

async function body_of(answer) {
	const body = await answer.json().catch(() => null);

	if (!answer.ok)
		throw new Refusal(answer.status, body);
	return body;
}

export const get = async (path) => body_of(await fetch_known(path, {}, {Accept: "application/json"}));

export const get_history = (seconds, pool, backend) => get(`/api/v1/history?${new URLSearchParams(
	{seconds, ...pool && {pool}, ...backend && {backend}})}`);

// A change. `etag` refuses what somebody else has changed since (412).
export async function send(method, path, body, etag) {
	const fields = {Accept: "application/json", "X-Weir-Request": "1"};

	if (etag != null)
		fields["If-Match"] = `"${etag}"`;
	if (body != null)
		fields["Content-Type"] = "application/json";
	return body_of(await fetch_known(path, {method, body: body == null ? undefined : JSON.stringify(body)}, fields));
}

// -- State

// Takes a whole or a partial state. False: it does not fit what is known, ask for all of it.
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
	if (news.length > 1)
		list.sort((a, b) => b[order] - a[order]);
	list.length = Math.min(list.length, max);
}

// -- The stream

const SILENCE_MS = 6000; // the server says something every second

async function read_events(reader, alive, hear) {
	const decoder = new TextDecoder();
	let rest = "", name = "", data = "";

	for (;;) {
		const {done, value} = await reader.read();
		if (done)
			return;
		alive();
		rest += decoder.decode(value, {stream: true});
		let from = 0, end;
		while ((end = rest.indexOf("\n", from)) >= 0) {
			const line = rest.slice(from, rest[end - 1] === "\r" ? end - 1 : end);

			from = end + 1;
			if (line.startsWith("data:"))
				data += (data && "\n") + line.slice(line[5] === " " ? 6 : 5);
			else if (line.startsWith("event:"))
				name = line.slice(6).trim();
			else if (line === "") {
				if (data)
					hear(name, JSON.parse(data));
				name = data = "";
			}
		}
		rest = rest.slice(from);
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
			const answer = await fetch_known(`/api/v1/stream${tail ? "?tail=1" : ""}`,
				{signal: AbortSignal.any([signal, attempt.signal])}, {Accept: "text/event-stream"});
			if (!answer.ok)
				await body_of(answer);
			alive();
			await read_events(answer.body.getReader(), alive, (name, value) => {
				if (!is_live)
					link("live");
				is_live = true;
				failed = 0;
				hear(name, value);
			});
			why = "the connection ended";
		} catch (error) {
			if (error instanceof Refusal)
				why = error.message;
		}
		clearTimeout(timer);
		if (signal.aborted)
			return;
		link("reconnecting", why);
		await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 500 * 2 ** failed) * (0.75 + Math.random() / 2)));
	}
}
