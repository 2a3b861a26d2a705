// SPDX-License-Identifier: Apache-2.0
// The pools, each with a table of its backends. Only rows in sight are in the page, and a row
// changes only where its backend did: a thousand backends cost as much as thirty.
import {$, attr, button, count, dur, filter_field, filter_text, h, icon, is_well, join, num, pct, put, rate, span, spark, state_of} from "/dom.js";
import {backend_key, store} from "/api.js";
import {open_backend} from "/steer.js";

const SPARE_ROWS = 8;        // drawn beyond the window's edge, for the focus to walk into
const SORT_EVERY_MS = 3000;  // rows do not jump every second

// Why it is not up, and what weir finds odd about it.
const remark = (b) => join([!is_well(b) && b.reason, ...b.odd.map(({what, text, since_at_ms: at_ms}) =>
	`${what}${at_ms ? ` for ${span(store.now() - at_ms)}` : ""}: ${text}`)], "; ");
const is_slow = (b) => b.oddities.includes("slow");
const is_bad = (b) => !is_well(b) || b.odd.length > 0;

const trouble = (b) => (is_bad(b) && is_well(b) ? 10.5 : state_of(b.state).rank);

// [id, title, what it sorts by, first direction, its lines of text, and whether the first is alarming]
const COLUMNS = [
	["state", "State", trouble, 1],
	["id", "Backend", () => 0, 1],
	["rate", "Requests/s", (b) => b.requests_per_s, -1],
	["errors", "Errors/s", (b) => b.errors_per_s, -1, (b) => [num(b.errors_per_s), "", b.errors_per_s]],
	["p50", "p50", (b) => b.p50_us, -1, (b) => [dur(b.p50_us), "", is_slow(b)]],
	["p99", "p99", (b) => b.p99_us, -1, (b) => [dur(b.p99_us), "", is_slow(b)]],
	["flight", "In flight", (b) => b.in_flight, -1, (b) => [count(b.in_flight)]],
	["conns", "Connections", (b) => b.connections, -1, (b) => [count(b.connections),
		b.connections_max && `of ${count(b.connections_max)}`, b.connections >= (b.connections_max ?? Infinity)]],
	["weight", "Weight", (b) => b.weight, -1, (b) => [String(b.weight),
		b.share_ratio < 1 ? `at ${pct(b.share_ratio)}` : b.weight !== b.weight_configured && `not ${b.weight_configured}`]],
	["breaker", "Breaker", (b) => b.breaker === "closed", 1, (b) => [b.breaker.replace("_", "-"),
		b.breaker_forced ? "held" : b.ejected && "ejected", b.breaker === "open"]],
	["check", "Health check", (b) => b.last_check?.passed, 1, ({last_check: c, next_check_at_ms: next_ms}, now) => [
		c ? c.passed ? `passed, ${dur(c.latency_us)}` : c.reason : "–",
		join([c && `${span(now - c.at_ms)} ago`, next_ms && (next_ms > now ? `next in ${span(next_ms - now)}` : "next due")], ", "), c && !c.passed]],
];

const view = {sort: "state", down: 1, text: "", only_bad: false};
const sections = new Map();
const narrow = window.matchMedia("(max-width: 820px)");
let sorted_at = 0;

// -- Order

const names = new Intl.Collator(undefined, {numeric: true});

function compare(a, b) {
	const value = COLUMNS.find(([id]) => id === view.sort)[2];
	const less = Number(value(a) ?? -1) - Number(value(b) ?? -1);

	return less * view.down || names.compare(a.id, b.id) * (view.sort === "id" ? view.down : 1);
}

const is_wanted = (b) => (!view.only_bad || is_bad(b)) &&
	(!view.text || join([b.id, b.address, b.pool, state_of(b.state).word, remark(b)], " ").toLowerCase().includes(view.text));

function sort_by(id, first) {
	view.down = view.sort === id ? -view.down : first;
	view.sort = id;
	draw_pools(true);
}

// -- One row

class Row {
	constructor(key) {
		const open = (action) => store.backends.has(key) && open_backend(store.backends.get(key), action);
		const line = h("span.spark");

		Object.assign(this, {key, shape: h("span.shape"), word: h("span.word"), since: h("span.since"), remark: h("div.two"),
			name: button("", () => open(), {class: "name"}), address: h("div.two.mono"), spark: spark(line), rate: h("span.rate"),
			act: button("", () => open(this.action), {class: "small"})});
		const kids = {state: [h("div.one", this.shape, this.word, this.since), this.remark], id: [this.name, this.address], rate: [line, this.rate]};
		this.cells = COLUMNS.map(([id, title]) => h("td", {class: `c-${id}`, "data-label": title}, kids[id] ?? [h("div.one"), h("div.two")]));
		this.node = h("tr", this.cells, h("td.c-act", this.act));
		this.node.row = this;
	}

	fill(b, index, now) {
		attr(this.node, "aria-rowindex", index + 2);
		if (this.state !== b.state) {
			const {word, shape, tone} = state_of(b.state);

			this.shape.replaceChildren(icon(shape));
			put(this.word, word);
			attr(this.node, "class", `tone-${tone}`);
			this.state = b.state;
		}
		put(this.since, b.since_at_ms == null ? "" : span(now - b.since_at_ms));
		for (const [node, text] of [[this.remark, remark(b)], [this.name, b.id], [this.address, b.address]]) {
			put(node, text);
			attr(node, "title", text || null);
		}
		this.remark.classList.toggle("warn", is_well(b));
		this.spark(b.spark);
		put(this.rate, num(b.requests_per_s));
		COLUMNS.forEach(([, , , , text], i) => {
			if (!text)
				return;
			const [one, two, is_bad] = text(b, now), [first, second] = this.cells[i].children;
			put(first, one);
			put(second, two || "");
			first.classList.toggle("bad", Boolean(is_bad));
		});
		this.action = b.admin === "enabled" ? "Drain" : "Enable";
		put(this.act, this.action);
		attr(this.act, "aria-label", `${this.action} ${b.id}`);
		this.act.hidden = !store.may_operate();
	}
}

// -- One pool

class Section {
	constructor(name) {
		const pad = () => h("tr.pad", h("td"));

		Object.assign(this, {order: [], rows: new Map(), chip: h("span"), notes: h("span.quiet"), top: pad(), bottom: pad()});
		this.figures = ["Requests", "Errors", "p50", "p99", "In flight", "Queued", "Retries"].map((label) => h("span", `${label} `, h("b")));
		this.body = h("tbody", this.top, this.bottom);
		this.heads = COLUMNS.map(([id, title, , first]) => h("th", {class: `c-${id}`, scope: "col"}, button(title, () => sort_by(id, first))));
		this.table = h("table", {"aria-label": `Backends of pool ${name}`}, h("thead", h("tr", this.heads, h("th.c-act", h("span.hidden", "Actions")))), this.body);
		this.node = h("details.pool.card", {open: true, ontoggle: draw_rows}, h("summary", h("h3", name), this.chip, this.notes,
			h("span.figures.push", this.figures)), this.table);
	}

	fill_head(pool) {
		if (this.state !== pool.state) {
			const {word, shape, tone} = state_of(pool.state);

			this.state = pool.state;
			this.chip.className = `chip tone-${tone}`;
			this.chip.replaceChildren(icon(shape), h("span.word", word));
		}
		put(this.notes, join([`${pool.eligible} of ${pool.backends} take requests`, pool.algorithm.replaceAll("_", " "),
			pool.check ? `${pool.check} checks` : "no checks", pool.failover && `failover to ${pool.failover}`]));
		[rate(pool.requests_per_s), rate(pool.errors_per_s), dur(pool.p50_us), dur(pool.p99_us), count(pool.in_flight), count(pool.queued),
			rate(pool.retries_per_s)].forEach((text, i) => put(this.figures[i].lastChild, text));
		this.figures[1].classList.toggle("bad", pool.errors_per_s > 0);
		this.figures[5].classList.toggle("bad", pool.queued > 0);
	}

	fill_order(backends) {
		this.order = backends.filter(is_wanted).sort(compare);
		this.node.hidden = !this.order.length && (view.text || view.only_bad);
		attr(this.table, "aria-rowcount", this.order.length + 1);
		this.heads.forEach((head, i) => attr(head, "aria-sort", COLUMNS[i][0] !== view.sort ? null : view.down < 0 ? "descending" : "ascending"));
	}

	// Rows from `first` to before `last`, at their places.
	fill_rows(first, last, height, now) {
		const old = this.rows, focused = document.activeElement;

		this.rows = new Map(this.order.slice(first, last).map((backend) => {
			const key = backend_key(backend);

			return [key, old.get(key) ?? new Row(key)];
		}));
		for (const [key, row] of old)
			if (!this.rows.has(key))
				row.node.remove();
		let before = this.top, index = first;
		for (const {key, node} of this.rows.values()) {
			node.row.fill(store.backends.get(key) ?? this.order[index], index++, now);
			if (before.nextSibling !== node)
				before.after(node);
			before = node;
		}
		if (this.body.contains(focused))
			focused.focus({preventScroll: true});
		this.top.firstChild.style.height = `${first * height}px`;
		this.bottom.firstChild.style.height = `${(this.order.length - last) * height}px`;
	}
}

// -- All of them

const row_height = () => (narrow.matches ? 118 : 50);
const open_sections = () => [...sections.values()].filter(({node}) => node.open && !node.hidden);

function draw_rows() {
	const height = row_height(), now = store.now();
	const places = open_sections().map((section) => [section, section.body.getBoundingClientRect().top]);

	for (const [section, top] of places) {
		const inside = (n) => Math.max(0, Math.min(section.order.length, n));

		section.fill_rows(inside(Math.floor(-top / height) - SPARE_ROWS), inside(Math.ceil((window.innerHeight - top) / height) + SPARE_ROWS), height, now);
	}
}

const many = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

// Draws everything from the store; `anew` sorts at once. Nothing moves under a pointer or a focus.
export function draw_pools(anew) {
	const root = $("pools"), now = performance.now();
	const sorts = anew || (now - sorted_at > SORT_EVERY_MS && !root.matches(":hover") && !root.contains(document.activeElement));
	const all = [...store.backends.values()];
	let shown = 0;

	if (sorts)
		sorted_at = now;
	for (const [name, section] of sections)
		if (!store.pools.has(name)) {
			section.node.remove();
			sections.delete(name);
		}
	// A pool in trouble comes first.
	const order = [...store.pools].sort(([, a], [, b]) => state_of(a.pool.state).rank - state_of(b.pool.state).rank);
	for (const [i, [name, {pool, backends}]] of order.entries()) {
		const section = sections.get(name) ?? new Section(name);

		if (root.children[i] !== section.node)
			root.insertBefore(section.node, root.children[i] ?? null);
		sections.set(name, section);
		if (sorts || section.total !== backends.length || section.order.some((backend) => !store.backends.has(backend_key(backend))))
			section.fill_order(backends);
		section.total = backends.length;
		section.fill_head(pool);
		shown += section.order.length;
	}
	put($("pool-count"), `${many(store.pools.size, "pool")}, ${shown === all.length ? "" : `${shown} of `}${many(all.length, "backend")}`);
	put($("pool-bad-count"), String(all.filter(is_bad).length || ""));
	draw_rows();
}

const focused_row = () => document.activeElement.closest("#pools tr")?.row;

// The backend whose row has the focus.
export const focused_backend = () => store.backends.get(focused_row()?.key);

// Moves the focus by rows, through rows that are not drawn yet, too.
export function move_focus(by) {
	const list = open_sections().flatMap((section) => section.order.map((backend, index) => [section, backend_key(backend), index]));
	const at = list.findIndex(([, key]) => key === focused_row()?.key);
	const [section, key, index] = list[at < 0 ? 0 : Math.max(0, Math.min(list.length - 1, at + by))] ?? [];

	if (!section)
		return;
	const top = section.body.getBoundingClientRect().top + index * row_height();
	if (top < 150 || top + row_height() > window.innerHeight)
		window.scrollBy({top: top - window.innerHeight / 2, behavior: "instant"});
	draw_rows();
	section.rows.get(key).name.focus({preventScroll: true});
}

export function start_pools() {
	let frame = 0;
	const later = () => {
		cancelAnimationFrame(frame);
		frame = requestAnimationFrame(draw_rows);
	};

	for (const [target, name] of [[narrow, "change"], [window, "scroll"], [window, "resize"]])
		target.addEventListener(name, later, {passive: true});
	$("pool-count").after(filter_field("pool", () => {
		view.text = filter_text("pool");
		draw_pools(true);
	}));
	$("pool-bad").onchange = (event) => {
		view.only_bad = event.target.checked;
		draw_pools(true);
	};
}
