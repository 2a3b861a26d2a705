// SPDX-License-Identifier: Apache-2.0
// History drawn on canvas: requests, errors, and latency as a heatmap with p50 and p99, under one
// time axis with one cursor, and what changed marked in all of them.
import {attr, dur, event_text, face_of, h, icon, mark, put, rate, time_of} from "/dom.js";

const LINES = ["requests_per_s", "errors_per_s", "p50_us", "p99_us", "max_us"];
const RIGHT = 10;       // free space beside the last value
const MARK_APART = 24;  // marks nearer than this are drawn as one
const NICE_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600];

// -- Series

const columns_of = (answer) => [...LINES.map((name) => answer[name]), answer.heatmap?.counts ?? []];

// One answer of /api/v1/history, to which later answers are added.
export class Series {
	constructor(answer, span_ms) {
		Object.assign(this, {span_ms, from_ms: answer.from_at_ms, step_ms: answer.step_ms,
			bounds: answer.heatmap?.bounds_us ?? [], columns: columns_of(answer)});
	}

	get to_ms() {
		return this.from_ms + this.columns[0].length * this.step_ms;
	}

	// False: the answer does not continue this series.
	add(answer) {
		const at = Math.round((answer.from_at_ms - this.from_ms) / this.step_ms);

		if (answer.step_ms !== this.step_ms || at < 0 || at > this.columns[0].length)
			return false;
		columns_of(answer).forEach((news, which) => news.forEach((value, index) => {
			this.columns[which][at + index] = value;
		}));
		const extra = Math.max(0, this.columns[0].length - Math.ceil(this.span_ms / this.step_ms));
		for (const column of this.columns)
			column.splice(0, extra);
		this.from_ms += extra * this.step_ms;
		return true;
	}
}

// Points to bins of at least two pixels, on moments that stay when time moves on: the mean of rates and
// of p50, the highest p99, since peaks must not vanish.
function make_bins(series, width) {
	const nice = NICE_S.find((s) => s * 1000 >= Math.max(series.step_ms, series.span_ms / Math.max(1, width / 2)));
	const ms = Math.ceil((nice ?? 21600) * 1000 / series.step_ms) * series.step_ms;
	const [requests, errors, p50, p99, max, counts] = series.columns;
	const bins = [];
	const mean = (old, value, n) => ((old ?? 0) * n + value) / (n + 1);
	let bin = null;

	for (let i = 0; i < requests.length; i++) {
		const at = Math.floor((series.from_ms + i * series.step_ms) / ms) * ms;

		if (bin?.at_ms !== at)
			bins.push(bin = {at_ms: at, points: 0, answered: 0, counts: null});
		if (requests[i] == null)
			continue;
		bin.requests = mean(bin.requests, requests[i], bin.points);
		bin.errors = mean(bin.errors, errors[i] ?? 0, bin.points++);
		if (p50[i] != null) {
			bin.p50 = mean(bin.p50, p50[i], bin.answered++);
			bin.p99 = Math.max(bin.p99 ?? 0, p99[i]);
			bin.max = Math.max(bin.max ?? 0, max[i]);
		}
		bin.counts ??= new Array(series.bounds.length + 1).fill(0);
		counts[i]?.forEach((n, row) => (bin.counts[row] += n));
	}
	return [ms, bins];
}

// -- Colours and scales

let palette = null;

export function forget_palette() {
	palette = null;
}

// The style sheet's colours as the canvas needs them, and the ramp of the heatmap.
function colours() {
	if (palette)
		return palette;
	const probe = document.body.appendChild(h("i"));
	palette = {};
	const colour = (css) => {
		probe.style.color = css;
		return getComputedStyle(probe).color;
	};
	for (const name of ["mute", "rule", "card", "flow", "bad", "ok", "told", "p50", "p99"])
		palette[name] = colour(`var(--${name})`);
	// As the gradient of .scale.
	palette.ramp = Array.from({length: 101}, (_, i) => (i < 50 ? colour(`color-mix(in srgb, var(--heat1) ${2 * i}%, var(--heat0))`)
		: colour(`color-mix(in srgb, var(--heat2) ${2 * i - 100}%, var(--heat1))`)));
	probe.remove();
	return palette;
}

function nice_top(value) {
	const power = 10 ** Math.floor(Math.log10(value));

	return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= value);
}

// A round number on an axis without its zeros.
const short = (text) => text.replace(/[\d.]+/, (n) => Number(n));

// To whole pixels of the device.
const snap = (at) => Math.round(at * devicePixelRatio) / devicePixelRatio;

// -- The graphs

export class Graphs {
	// `small`: for a dialog.
	constructor(root, small, label) {
		Object.assign(this, {root, label, series: null, bins: null, events: [], cursor_ms: null, marks: []});
		this.lane = h("div.lane", {role: "group", "aria-label": "What changed, over time"});
		this.strips = [
			this.strip("Requests", small ? 72 : 110, [["requests", "flow"]]),
			this.strip("Errors", small ? 40 : 56, [["errors", "bad"]]),
			this.strip("Latency", small ? 130 : 210, [["p50", "p50"], ["p99", "p99"], ["max", ""]],
				!small && h("span.scale", "few ", h("i"), " many requests")),
		];
		this.time = h("span");
		this.cursor = h("div.cursor", {hidden: true}, this.time);
		this.plots = h("div.plots", {role: "slider", tabindex: 0, "aria-label": "Values over time; arrow keys move the cursor",
			onpointermove: (event) => this.point(event), onpointerleave: () => this.move_to(null), onblur: () => this.move_to(null),
			onkeydown: (event) => this.key(event)}, this.strips.map((strip) => strip.box), this.cursor);
		this.tip = h("div.tip", {hidden: true});
		this.empty = h("p.empty", "Loading the history …");
		root.replaceChildren(this.lane, this.plots, this.tip, this.empty);
		root.className = "graphs";
		this.observer = new ResizeObserver(() => this.draw());
		this.observer.observe(root);
	}

	strip(title, height, keys, more) {
		const values = keys.map(([name]) => [name, h("b")]), canvas = h("canvas");

		return {canvas, height, values, box: h("div", h("div.strip-head", h("h3", title), more, h("span.keys", keys.map(([name, tone], i) =>
			h("span", tone && h("i", {class: tone}), keys.length > 1 && `${name} `, values[i][1])))), canvas)};
	}

	show(series, events, label) {
		Object.assign(this, {series, events, label: label ?? this.label});
		this.draw();
	}

	// -- Drawing

	draw() {
		const width = this.plots.clientWidth;

		this.empty.hidden = this.series !== null;
		if (!this.series || width === 0)
			return;
		this.left = width < 480 ? 44 : 56;
		this.right = width - RIGHT;
		this.width = width;
		this.to_ms = this.series.to_ms;
		this.from_ms = this.to_ms - this.series.span_ms;
		[this.bin_ms, this.bins] = make_bins(this.series, this.right - this.left);
		this.bins = this.bins.filter((bin) => bin.at_ms + this.bin_ms > this.from_ms);
		this.place_marks();
		this.draw_rate(this.strips[0], "requests", "flow");
		this.draw_rate(this.strips[1], "errors", "bad");
		this.draw_latency(this.strips[2]);
		this.tell();
	}

	x(ms) {
		return this.left + (ms - this.from_ms) / (this.to_ms - this.from_ms) * (this.right - this.left);
	}

	// Where a bin begins, and how wide it is.
	place(bin) {
		const [x, end] = [0, this.bin_ms].map((ms) => snap(Math.min(this.right, Math.max(this.left, this.x(bin.at_ms + ms)))));

		return [x, end - x];
	}

	// An empty canvas in device pixels, with the grid of time.
	begin({canvas, height}, axis) {
		const dpr = devicePixelRatio, ctx = canvas.getContext("2d"), c = colours();
		const whole = height + (axis ? 20 : 4);

		canvas.width = Math.round(this.width * dpr);
		canvas.height = Math.round(whole * dpr);
		canvas.style.height = `${whole}px`;
		ctx.scale(dpr, dpr);
		ctx.font = `11px ${getComputedStyle(canvas).fontFamily}`;
		ctx.lineJoin = "round";
		ctx.textAlign = "center";
		ctx.textBaseline = "middle";
		const range_s = this.series.span_ms / 1000;
		const step_s = NICE_S.find((s) => range_s / s <= (this.width - this.left) / 84) ?? 21600;
		const zone_ms = new Date(this.to_ms).getTimezoneOffset() * 60000;
		for (let t = Math.ceil((this.from_ms - zone_ms) / step_s / 1000) * step_s * 1000 + zone_ms; t <= this.to_ms; t += step_s * 1000) {
			const x = Math.round(this.x(t)), label = time_of(t).slice(0, step_s < 60 ? 8 : 5);

			ctx.fillStyle = c.rule;
			ctx.fillRect(x, 0, 1, height);
			ctx.fillStyle = c.mute;
			if (axis && x + ctx.measureText(label).width / 2 <= this.width)
				ctx.fillText(label, x, height + 11);
		}
		return ctx;
	}

	y_label(ctx, text, y) {
		ctx.fillStyle = colours().rule;
		ctx.fillRect(this.left, Math.round(y), this.right - this.left, 1);
		ctx.fillStyle = colours().mute;
		ctx.textAlign = "right";
		ctx.fillText(text, this.left - 7, Math.max(6, y));
	}

	draw_marks(ctx, height) {
		for (const {x, tone} of this.marks) {
			ctx.fillStyle = colours()[tone];
			for (let y = 0; y < height; y += 6)
				ctx.fillRect(Math.round(x), y, 1, 3);
		}
	}

	mid(bin) {
		return Math.min(Math.max(this.x(bin.at_ms + this.bin_ms / 2), this.left), this.right);
	}

	// A line with gaps where nothing is known.
	line(ctx, value, y, colour, width) {
		let go = "moveTo";

		ctx.strokeStyle = colour;
		ctx.lineWidth = width;
		ctx.beginPath();
		for (const bin of this.bins) {
			if (bin[value] != null)
				ctx[go](this.mid(bin), y(bin[value]));
			go = bin[value] != null ? "lineTo" : "moveTo";
		}
		ctx.stroke();
	}

	draw_rate(strip, value, tone) {
		const c = colours(), ctx = this.begin(strip), {height} = strip;
		// A few errors among many requests must not look like a mountain.
		const top = nice_top(Math.max(1, ...this.bins.map((bin) => Math.max(bin[value] ?? 0, (bin.requests ?? 0) / 1000))));
		const y = (n) => height - n / top * (height - 8);

		for (const n of height > 60 ? [0, top / 2, top] : [0, top])
			this.y_label(ctx, n ? short(rate(n)) : "0", Math.min(y(n), height - 1));
		this.draw_marks(ctx, height);
		this.line(ctx, value, y, c[tone], 1.6);
		ctx.fillStyle = c[tone];
		ctx.globalAlpha = 0.14;
		for (const bin of this.bins) {
			const [x, width] = this.place(bin), at = y(bin[value] ?? 0);

			ctx.fillRect(x, at, width, height - at);
		}
	}

	// Which rows of the histogram are in use, and a logarithmic axis over them.
	latency_scale(height) {
		const {bounds} = this.series, last = bounds.length;
		const used = [];

		for (const bin of this.bins)
			bin.counts?.forEach((n, row) => (used[row] ||= n > 0));
		const edge = (row) => (row < 0 ? bounds[0] / 2 : bounds[row] ?? bounds[last - 1] * 2);
		const low = Math.max(0, used.indexOf(true) - 1);
		const high = used.includes(true) ? Math.min(last, used.lastIndexOf(true) + 1) : last;
		const values = this.bins.flatMap((bin) => [bin.p50, bin.max]).filter(Boolean); // for want of a histogram
		const [bottom, top] = (last ? [edge(low - 1), edge(high)] : [Math.min(1000, ...values) / 2, Math.max(1000, ...values) * 2]).map(Math.log);
		return {low, high, edge, decades: (top - bottom) / Math.LN10,
			y: (us) => height - (Math.log(Math.max(us, 1)) - bottom) / (top - bottom) * (height - 6)};
	}

	draw_latency(strip) {
		const c = colours(), ctx = this.begin(strip, true), {height} = strip;
		const scale = this.latency_scale(height);

		for (let power = 1; power < 1e9; power *= 10)
			for (const n of scale.decades < 1.4 ? [1, 2, 5] : scale.decades < 2.6 ? [1, 3] : [1]) {
				const y = scale.y(n * power);
				if (y > 4 && y < height - 2)
					this.y_label(ctx, short(dur(n * power)), y);
			}
		this.draw_heat(ctx, scale);
		this.draw_marks(ctx, height);
		for (const value of ["p50", "p99"]) {
			this.line(ctx, value, scale.y, c.card, 4);
			this.line(ctx, value, scale.y, c[value], 1.8);
		}
	}

	draw_heat(ctx, {low, high, edge, y}) {
		const most = Math.max(1, ...this.bins.map((bin) => Math.max(0, ...bin.counts ?? [])));

		for (const bin of this.bins) {
			const [x, width] = this.place(bin), {counts} = bin;

			for (let row = low; counts && row <= high; row++) {
				const top = snap(y(edge(row)));

				ctx.fillStyle = colours().ramp[Math.round(100 * (counts[row] / most) ** 0.4)];
				if (counts[row])
					ctx.fillRect(x, top, width, snap(y(edge(row - 1))) - top);
			}
		}
	}

	// -- Marks

	place_marks() {
		const groups = [];
		const urgency = ["mute", "ok", "told", "bad"];

		for (const event of this.events.toReversed()) {
			const x = Math.min(this.x(event.at_ms), this.right), face = face_of(event);
			let group = groups.at(-1);

			if (event.at_ms < this.from_ms)
				continue;
			if (!group || x - group.x > MARK_APART)
				groups.push(group = {x, ...face, events: []});
			group.events.push(event);
			if (urgency.indexOf(face.tone) > urgency.indexOf(group.tone))
				Object.assign(group, face);
		}
		const faces = groups.map(({events, tone}) => `${events[0].number} ${events.length} ${tone}`).join();
		if (faces !== this.faces)
			this.lane.replaceChildren(...groups.map(({events, shape, tone}, i) => h("button", {type: "button", class: `mark tone-${tone}`,
				"aria-label": `${time_of(events[0].at_ms)}: ${events.map(event_text).join("; ")}`,
				onfocus: () => this.open_tip(i), onpointerenter: () => this.open_tip(i), onblur: () => this.open_tip(), onpointerleave: () => this.open_tip(),
			}, icon(shape), events.length > 1 && events.length)));
		this.faces = faces;
		this.marks = groups;
		groups.forEach(({x}, i) => (this.lane.children[i].style.left = `${x}px`));
	}

	// Of a mark, or closes it.
	open_tip(which = -1) {
		const group = this.marks[which];

		this.tip.hidden = !group;
		if (!group)
			return;
		const {events, x} = group;
		this.tip.replaceChildren(...events.slice(-8).toReversed().map((event) => h("p", mark(face_of(event)),
			h("span.quiet", time_of(event.at_ms)), ` ${event_text(event)}`, event.by && h("span.quiet", ` by ${event.by}`))),
		events.length > 8 ? h("p.quiet", `and ${events.length - 8} before`) : "");
		this.tip.style.left = `${Math.max(0, Math.min(x - this.tip.offsetWidth / 2, this.width - this.tip.offsetWidth))}px`;
	}

	// -- The cursor

	point(event) {
		const x = event.clientX - this.plots.getBoundingClientRect().left;

		if (!this.bins)
			return;
		this.move_to(x < this.left - 8 ? null : this.from_ms + (x - this.left) / (this.right - this.left) * (this.to_ms - this.from_ms));
		this.open_tip(this.marks.findIndex((one) => Math.abs(one.x - x) < 5));
	}

	key(event) {
		const steps = {ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -1e9, End: 1e9}[event.key];

		if (event.key === "Escape")
			this.move_to(null);
		if (!steps || !this.bins)
			return;
		event.preventDefault();
		this.move_to((this.cursor_ms ?? this.to_ms) + steps * this.bin_ms);
	}

	move_to(ms) {
		if (ms === null)
			this.open_tip();
		this.cursor_ms = ms === null ? null : Math.max(this.from_ms, Math.min(this.to_ms - 1, ms));
		this.tell();
	}

	// The values at the cursor, or the newest.
	tell() {
		const at = this.cursor_ms, words = [];

		if (!this.bins)
			return;
		const bin = this.bins.findLast((one) => (at === null ? one.requests != null : one.at_ms <= at));
		this.cursor.hidden = at === null;
		if (at !== null) {
			this.cursor.style.transform = `translateX(${Math.round(this.x(at))}px)`;
			put(this.time, time_of(bin?.at_ms ?? at));
			attr(this.time, "class", this.x(at) > this.width - 90 ? "flip" : null);
		}
		for (const {values} of this.strips)
			for (const [name, node] of values) {
				put(node, (name === "requests" || name === "errors" ? rate : dur)(bin?.[name]));
				words.push(`${name} ${node.textContent}`);
			}
		for (const [name, value] of Object.entries({min: 0, max: this.series.span_ms / 1000, now: Math.round(((at ?? this.to_ms) - this.from_ms) / 1000),
			text: `${this.label}, ${at === null ? "now" : this.time.textContent}: ${words.join(", ")}`}))
			attr(this.plots, `aria-value${name}`, value);
	}
}
