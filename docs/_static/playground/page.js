// The playground's page: map, curves, sliders, and the numbers of one step. What is computed is
// the engine's affair; what is drawn follows from `this.state`, which the link keeps as well.
"use strict";

(() => {
  const { run, defaults, refusal, startsOf, data } = window.myoptim;
  const SVG = "http://www.w3.org/2000/svg";
  const MARKERS = ["M0-5A5 5 0 1 0 0 5A5 5 0 1 0 0-5", "M-4-4H4V4H-4Z", "M0-6L5 4H-5Z", "M0-6L6 0 0 6-6 0Z",
    "M0 6L5-4H-5Z", "M-2-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z", "M-5-3-3-5 0-2 3-5 5-3 2 0 5 3 3 5 0 2-3 5-5 3-2 0Z"];
  const LEVELS = 18;
  const DEEPEST = 1e-14; // of the first loss: below is rounding
  const CURVES = 170; // pixels, where they stand below the map
  const SECONDS = 8; // that a whole run plays
  const MOST_STEPS = 2000;

  // ---------------------------------------------------------------- small tools

  function el(tag, attributes = {}, ...children) {
    const node = tag.startsWith("svg:") ? document.createElementNS(SVG, tag.slice(4)) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key === "html") node.innerHTML = value;
      else if (value !== false && value !== null) node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  // Six digits, short: 0.1 and 1.25e-7.
  function short(value) {
    if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
    return String(Number(value.toPrecision(6))).replaceAll("-", "−");
  }

  function colourOf(name) {
    const colour = data.optimizers[name].colour;
    return colour === "#000000" ? "var(--pg-ink)" : colour;
  }

  // ---------------------------------------------------------------- scales of sliders

  const SCALES = {
    linear: { to: (c, v) => v, from: (c, u) => u, low: (c) => c.low, high: (c) => c.high },
    log: { to: (c, v) => Math.log10(v), from: (c, u) => 10 ** u, low: (c) => Math.log10(c.low), high: (c) => Math.log10(c.high) },
    // β by its distance from one: half of the way is 0.99.
    complement: { to: (c, v) => -Math.log10(1 - v), from: (c, u) => 1 - 10 ** -u, low: (c) => -Math.log10(1 - c.low), high: (c) => -Math.log10(1 - c.high) },
  };

  // A value as a slider of 400 places gives it: three digits, of its distance from one near one.
  function rounded(control, value) {
    if (control.scale === "complement") return Number((1 - Number((1 - value).toPrecision(2))).toPrecision(12));
    return Number(value.toPrecision(3));
  }

  // ---------------------------------------------------------------- the link

  function toLink(state) {
    const query = new URLSearchParams({ problem: state.problem, race: state.race.join(","), focus: state.focus });
    query.set("start", state.start.join(","));
    query.set("steps", state.steps);
    query.set("step", state.step);
    if (state.mistake) query.set("mistake", state.mistake);
    for (const name of Object.keys(state.settings)) {
      const usual = defaults(name, state.problem);
      for (const [key, value] of Object.entries(state.settings[name])) {
        if (!same(value, usual[key])) query.set(`${name}.${key}`, JSON.stringify(value));
      }
    }
    return `#${query}`;
  }

  // What a link says, as far as it makes sense; the rest stays as it was.
  function fromLink(text, state) {
    const query = new URLSearchParams(text.replace(/^#/, ""));
    if (!query.has("problem") || !data.problems[query.get("problem")]) return;
    state.reset(query.get("problem"));
    const race = (query.get("race") ?? "").split(",").filter((name) => data.optimizers[name]);
    if (race.length) state.race = race;
    state.focus = state.race.includes(query.get("focus")) ? query.get("focus") : state.race[0];
    const start = (query.get("start") ?? "").split(",").map(Number);
    if (start.length === 2 && start.every(Number.isFinite)) state.start = start;
    state.steps = clamp(Math.round(Number(query.get("steps"))) || state.steps, 1, MOST_STEPS);
    state.step = clamp(Math.round(Number(query.get("step"))) || 0, 0, state.steps);
    for (const [key, value] of query) {
      const [name, setting] = key.split(".");
      const now = setting && state.settings[name]?.[setting];
      if (now === undefined || now === "") continue;
      try {
        const read = JSON.parse(value);
        if (typeof read === typeof now && read?.length === now?.length) state.settings[name][setting] = read;
      } catch { /* a link that somebody cut short */ }
    }
    const known = (data.mistakes[state.focus] ?? []).some((mistake) => mistake.id === query.get("mistake"));
    state.mistake = known ? query.get("mistake") : "";
  }

  class State {
    constructor(settings) {
      this.race = settings.optimizers.filter((name) => data.optimizers[name]);
      this.focus = this.race[this.race.length - 1];
      this.reset(settings.problem);
      Object.assign(this.settings[this.focus], settings.settings);
      this.mistake = settings.mistake;
    }

    // Another problem: its start, steps and learning rates.
    reset(problem) {
      this.problem = problem;
      this.start = [...data.problems[problem].start];
      this.steps = data.problems[problem].steps;
      this.step = Math.min(10, this.steps); // where the table has numbers
      this.mistake = "";
      this.settings = {};
      for (const name of Object.keys(data.optimizers)) this.settings[name] = defaults(name, problem);
    }

    found() {
      return (data.mistakes[this.focus] ?? []).find((mistake) => mistake.id === this.mistake) ?? null;
    }
  }

  // ---------------------------------------------------------------- a picture with axes

  class Plot {
    constructor(label, height, keyboard = {}) {
      this.height = height;
      this.canvas = el("canvas", { "aria-hidden": "true" });
      this.svg = el("svg:svg", { role: "img", "aria-label": label });
      this.frame = el("div", { class: "pg-plot", ...keyboard }, this.canvas, this.svg);
      this.margin = { left: 46, right: 16, top: 8, bottom: 24 };
    }

    resize(aspect) {
      this.width = Math.max(this.frame.clientWidth, 240);
      this.height = aspect ? Math.round(clamp(this.width / aspect, 200, 460)) : this.height;
      this.frame.style.height = `${this.height}px`;
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
      this.inner = {
        left: this.margin.left, top: this.margin.top,
        width: this.width - this.margin.left - this.margin.right,
        height: this.height - this.margin.top - this.margin.bottom,
      };
    }

    x(value) { return this.inner.left + ((value - this.low[0]) / (this.high[0] - this.low[0])) * this.inner.width; }

    y(value) { return this.inner.top + ((this.high[1] - value) / (this.high[1] - this.low[1])) * this.inner.height; }

    at(event) {
      const box = this.svg.getBoundingClientRect();
      const across = (event.clientX - box.left - this.inner.left) / this.inner.width;
      const up = 1 - (event.clientY - box.top - this.inner.top) / this.inner.height;
      return [across, up].map((part, i) => this.low[i] + clamp(part, 0, 1) * (this.high[i] - this.low[i]));
    }

    clear(idOfClip) {
      const { left, top, width, height } = this.inner;
      const clip = el("svg:clipPath", { id: idOfClip }, el("svg:rect", { x: left, y: top, width, height }));
      this.layer = el("svg:g", { "clip-path": `url(#${idOfClip})` });
      this.axes = el("svg:g", { class: "pg-axes" });
      this.svg.replaceChildren(el("svg:defs", {}, clip), this.axes, this.layer);
    }

    ticks(axis, logarithmic = false) {
      const [low, high] = [this.low[axis], this.high[axis]];
      const rough = (high - low) / 5;
      const unit = 10 ** Math.floor(Math.log10(rough));
      let step = [1, 2, 5, 10].map((n) => n * unit).find((size) => size >= rough);
      if (logarithmic) step = Math.max(1, Math.ceil(step));
      for (let tick = Math.ceil(low / step) * step; tick <= high + step * 1e-9; tick += step) {
        const text = logarithmic ? `1e${Math.round(tick)}`.replace("-", "−") : short(Number(tick.toPrecision(8)));
        const { left, top, height } = this.inner;
        this.axes.append(axis === 0
          ? el("svg:text", { x: this.x(tick), y: top + height + 16, "text-anchor": "middle" }, text)
          : el("svg:text", { x: left - 5, y: this.y(tick) + 4, "text-anchor": "end" }, text));
      }
    }

    path(points, attributes) {
      const drawn = points.filter((point) => point.every(Number.isFinite));
      const place = ([x, y]) => `${clamp(this.x(x), -1e5, 1e5).toFixed(1)},${clamp(this.y(y), -1e5, 1e5).toFixed(1)}`;
      if (drawn.length) this.layer.append(el("svg:polyline", { points: drawn.map(place).join(" "), fill: "none", ...attributes }));
    }

    marker(point, shape, attributes) {
      if (!point.every(Number.isFinite)) return;
      const [x, y] = [clamp(this.x(point[0]), -1e4, 1e4), clamp(this.y(point[1]), -1e4, 1e4)];
      this.layer.append(el("svg:path", { d: shape, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, ...attributes }));
    }
  }

  // ---------------------------------------------------------------- the playground

  let count = 0;

  class Playground {
    constructor(frame) {
      const settings = JSON.parse(frame.dataset.settings);
      this.frame = frame;
      this.root = frame.dataset.root;
      this.small = settings.small;
      this.number = count += 1;
      this.state = new State(settings);
      if (!this.small && !settings.moving) fromLink(location.hash, this.state);
      this.build();
      this.compute();
      this.watch();
      frame.dataset.ready = "true";
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      if (settings.moving && !still) this.play();
      else if (this.small || settings.moving) this.seek(this.state.steps);
    }

    // What a screen reader hears, and what a person sees, of the same state.
    build() {
      this.map = new Plot("", 360, { tabindex: "0", role: "application", class: "pg-plot pg-map", onclick: (e) => this.begin(this.map.at(e)), onkeydown: (e) => this.nudge(e) });
      this.curves = new Plot("", CURVES);
      this.scrubber = el("input", { type: "range", min: 0, class: "pg-scrub", "aria-label": "Step", oninput: () => this.seek(Number(this.scrubber.value)) });
      this.playButton = el("button", { type: "button", class: "pg-play", onclick: () => (this.playing ? this.pause() : this.play()) }, "▶ play");
      this.shown = el("output", { class: "pg-shown" });
      this.status = el("p", { class: "pg-status", role: "status", "aria-live": "polite" });
      const time = el("div", { class: "pg-time" }, this.playButton,
        el("button", { type: "button", "aria-label": "one step back", onclick: () => this.seek(this.state.step - 1) }, "−1"),
        el("button", { type: "button", "aria-label": "one step on", onclick: () => this.seek(this.state.step + 1) }, "+1"),
        this.scrubber, this.shown);
      this.legend = el("div", { class: "pg-legend" });
      this.sliders = el("div", { class: "pg-sliders" });
      this.refused = el("p", { class: "pg-refused", role: "alert" });
      this.lines = el("div", { class: "pg-lines", tabindex: "0", role: "region", "aria-label": "The current step, line by line" });
      this.mistakes = el("div", { class: "pg-mistakes" });
      this.chooser = el("div", { class: "pg-chooser" });
      this.about = el("p", { class: "pg-about" });
      const stage = el("div", { class: "pg-stage" }, this.map.frame, this.small ? null : this.curves.frame);
      const parts = this.small
        ? [stage, this.legend, time, this.sliders, this.refused, this.linkToWhole()]
        : [this.chooser, this.about, stage, this.legend, time, this.status, this.sliders, this.refused, this.mistakes, this.lines];
      this.frame.replaceChildren(...parts);
      if (this.small) this.frame.classList.add("pg-small");
    }

    linkToWhole() {
      this.whole = el("a", { href: `${this.root}playground.html` }, "Open in the playground");
      return el("p", { class: "pg-whole" }, "Click the map to start elsewhere. ", this.whole);
    }

    watch() {
      // In the next frame: what is drawn changes the size of what is watched.
      new ResizeObserver(() => requestAnimationFrame(() => this.draw())).observe(this.frame);
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      new MutationObserver(() => this.draw()).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
      if (!this.small) {
        window.addEventListener("hashchange", () => {
          if (location.hash === toLink(this.state)) return;
          fromLink(location.hash, this.state);
          this.compute();
        });
      }
    }

    // ------------------------------------------------------------ what is computed

    compute(keepControls = false) {
      const { state } = this;
      this.runs = new Map();
      const refused = [];
      for (const name of state.race) {
        const why = refusal(name, state.settings[name]);
        if (why) refused.push(`${name}: ${why}`);
        else this.runs.set(name, this.runOf(name));
      }
      const mistake = state.found();
      this.wrong = mistake && this.runs.has(state.focus) ? this.runOf(state.focus, { mistake }) : null;
      this.refused.textContent = refused.join(". ");
      this.refused.hidden = !refused.length;
      this.measure();
      if (!keepControls) this.buildControls();
      this.scrubber.max = state.steps;
      this.draw();
      this.seek(state.step);
    }

    runOf(optimizer, more = {}) {
      const { problem, start, steps, settings } = this.state;
      return run({ optimizer, problem, start, steps, settings: settings[optimizer], ...more });
    }

    // The ranges of the curves: losses above the least, on a logarithmic scale.
    measure() {
      const problem = data.problems[this.state.problem];
      this.least = Math.min(...problem.minima.map((point) => problem.loss(...point)));
      const first = Math.max(problem.loss(...this.state.start) - this.least, 1e-12);
      const seen = [...this.runs.values()].flatMap((one) => one.losses).map((l) => l - this.least).filter((l) => l > 0 && Number.isFinite(l));
      const low = Math.max(Math.min(first, ...seen), first * DEEPEST);
      const high = Math.min(Math.max(first, ...seen), first * 1e3);
      this.curves.low = [0, Math.log10(low) - 0.3];
      this.curves.high = [this.state.steps, Math.log10(high) + 0.3];
      [this.map.low, this.map.high] = [0, 1].map((end) => problem.window.map((range) => range[end]));
    }

    begin(start) {
      const digits = this.map.high.map((high, i) => Math.max(0, 2 - Math.floor(Math.log10(high - this.map.low[i]))));
      this.state.start = start.map((value, i) => Number(value.toFixed(digits[i])));
      this.pause();
      this.compute();
    }

    nudge(event) {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      this.begin(way.map((part, i) => clamp(this.state.start[i] + (part * (this.map.high[i] - this.map.low[i])) / 40, this.map.low[i], this.map.high[i])));
    }

    // ------------------------------------------------------------ time

    seek(step) {
      this.state.step = clamp(step, 0, this.state.steps);
      this.scrubber.value = this.state.step;
      this.shown.textContent = `step ${this.state.step} of ${this.state.steps}`;
      this.scrubber.setAttribute("aria-valuetext", this.shown.textContent);
      this.drawPaths();
      this.tell();
      if (this.small) this.whole.href = `${this.root}playground.html${toLink(this.state)}`;
      else {
        this.drawLines();
        clearTimeout(this.later);
        this.later = setTimeout(() => history.replaceState(null, "", toLink(this.state)), 200);
      }
    }

    play() {
      this.playing = true;
      this.playButton.textContent = "❚❚ pause";
      if (this.state.step >= this.state.steps) this.state.step = 0;
      let exact = this.state.step;
      let before = null;
      const frame = (now) => {
        if (!this.playing) return;
        exact += before === null ? 0 : ((now - before) / 1000) * (this.state.steps / SECONDS);
        before = now;
        if (Math.floor(exact) !== this.state.step) this.seek(Math.floor(exact));
        if (exact >= this.state.steps) this.pause();
        else requestAnimationFrame(frame);
      };
      requestAnimationFrame(frame);
    }

    pause() {
      this.playing = false;
      this.playButton.textContent = "▶ play";
    }

    // ------------------------------------------------------------ pictures

    draw() {
      const problem = data.problems[this.state.problem];
      const [[x0, x1], [y0, y1]] = problem.window;
      this.map.resize(clamp((x1 - x0) / (y1 - y0), 1.25, 1.9));
      this.drawHeights(problem);
      if (!this.small) {
        const beside = this.curves.frame.offsetTop === this.map.frame.offsetTop;
        this.curves.height = beside ? this.map.height : CURVES;
        this.curves.resize();
      }
      this.drawPaths();
    }

    // The loss as bands between levels that are even in the logarithm, as in the package's pictures.
    drawHeights(problem) {
      const { canvas, inner } = this.map;
      const style = getComputedStyle(this.frame);
      const shade = ["--pg-deep", "--pg-high"].map((name) => style.getPropertyValue(name).trim().split(/[ ,]+/).map(Number));
      const [width, height] = [Math.round(inner.width), Math.round(inner.height)];
      Object.assign(canvas, { width, height });
      Object.assign(canvas.style, { left: `${inner.left}px`, top: `${inner.top}px`, width: `${width}px`, height: `${height}px` });
      const heights = new Float64Array(width * height);
      for (let row = 0, place = 0; row < height; row += 1) {
        const y = this.map.high[1] - ((row + 0.5) / height) * (this.map.high[1] - this.map.low[1]);
        for (let column = 0; column < width; column += 1, place += 1) {
          const x = this.map.low[0] + ((column + 0.5) / width) * (this.map.high[0] - this.map.low[0]);
          heights[place] = problem.loss(x, y) - this.least;
        }
      }
      const top = heights.reduce((a, b) => Math.max(a, b));
      const level = heights.map((h) => clamp(Math.floor(LEVELS * (1 + Math.log10(Math.max(h, top * 1e-4) / top) / 3.5)), 0, LEVELS - 1));
      const context = canvas.getContext("2d");
      const image = context.createImageData(width, height);
      for (let place = 0; place < level.length; place += 1) {
        const edge = (place % width && level[place] !== level[place - 1]) || (place >= width && level[place] !== level[place - width]);
        const part = level[place] / (LEVELS - 1);
        for (let i = 0; i < 3; i += 1) image.data[place * 4 + i] = shade[0][i] + (shade[1][i] - shade[0][i]) * part + (edge ? 14 : 0);
        image.data[place * 4 + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    }

    drawPaths() {
      const { state, map, curves } = this;
      if (!map.inner) return;
      const problem = data.problems[state.problem];
      map.clear(`pg-map-${this.number}`);
      map.ticks(0);
      map.ticks(1);
      for (const point of problem.minima) map.marker(point, "M0-8L2.4-2.6 8-2.2 3.6 1.6 5 7.4 0 4.2-5 7.4-3.6 1.6-8-2.2-2.4-2.6Z", { class: "pg-minimum" });
      if (!this.small) {
        curves.clear(`pg-curves-${this.number}`);
        curves.ticks(0);
        curves.ticks(1, true);
        curves.axes.append(el("svg:text", { x: curves.inner.left + curves.inner.width, y: curves.inner.top + 12, "text-anchor": "end" }, this.least ? "loss above its minimum" : "loss"));
        const x = curves.x(state.step);
        curves.layer.append(el("svg:line", { x1: x, x2: x, y1: curves.inner.top, y2: curves.inner.top + curves.inner.height, class: "pg-now" }));
      }
      state.race.forEach((name) => this.runs.has(name) && this.drawRun(name, this.runs.get(name), false));
      if (this.wrong) this.drawRun(state.focus, this.wrong, true);
      map.marker(state.start, MARKERS[0], { class: "pg-start" });
      this.describe();
    }

    drawRun(name, { points, losses }, wrong) {
      const { map, curves, state } = this;
      const shape = MARKERS[Object.keys(data.optimizers).indexOf(name) % MARKERS.length];
      const stroke = wrong ? "var(--pg-wrong)" : colourOf(name);
      const dashes = wrong ? { "stroke-dasharray": "6 4" } : {};
      const now = Math.min(state.step, points.length - 1);
      map.path(points, { stroke, "stroke-width": 1, opacity: 0.3, ...dashes });
      map.path(points.slice(0, now + 1), { stroke, "stroke-width": name === state.focus ? 2.6 : 1.9, ...dashes });
      map.marker(points[now], shape, { fill: stroke, class: "pg-point" });
      if (this.small) return;
      const heights = losses.map((loss, step) => [step, Math.log10(Math.max(loss - this.least, 1e-300))]);
      curves.path(heights, { stroke, "stroke-width": name === state.focus ? 2.2 : 1.6, ...dashes });
      curves.marker(heights[now], shape, { fill: stroke, class: "pg-point" });
    }

    describe() {
      const { state } = this;
      const problem = data.problems[state.problem];
      const label = `${problem.title}. Start at ${state.start.map(short).join(", ")}; paths of ${state.race.join(", ")}.`;
      this.map.svg.setAttribute("aria-label", label);
      this.map.frame.setAttribute("aria-label", `Map of the loss: click, or move the start with the arrow keys. ${label}`);
      this.curves.svg.setAttribute("aria-label", `The loss over ${state.steps} steps of ${state.race.join(", ")}.`);
    }

    // Where everyone is: the legend to see, the status to hear.
    tell() {
      const { state } = this;
      const problem = data.problems[state.problem];
      const rows = state.race.map((name, place) => this.legendOf(name, this.runs.get(name), false, place));
      if (this.wrong) rows.push(this.legendOf(state.focus, this.wrong, true));
      this.legend.replaceChildren(...rows);
      const focus = this.runs.get(state.focus);
      if (this.small || this.playing || !focus) return;
      const point = focus.points[state.step].map((value, i) => `${problem.names[i]} = ${short(value)}`).join(", ");
      this.status.textContent = `${state.focus} after step ${state.step}: ${point}, loss ${short(focus.losses[state.step])}.`;
    }

    legendOf(name, one, wrong) {
      const shape = MARKERS[Object.keys(data.optimizers).indexOf(name) % MARKERS.length];
      const colour = wrong ? "var(--pg-wrong)" : colourOf(name);
      const mark = el("svg:svg", { viewBox: "-14 -7 28 14", "aria-hidden": "true" },
        el("svg:line", { x1: -14, x2: 14, y1: 0, y2: 0, stroke: colour, "stroke-width": 2.4, ...(wrong ? { "stroke-dasharray": "5 3" } : {}) }),
        el("svg:path", { d: shape, fill: colour, class: "pg-point" }));
      const now = one && one.points[Math.min(this.state.step, one.points.length - 1)];
      const loss = one ? one.losses[Math.min(this.state.step, one.points.length - 1)] : NaN;
      const label = wrong ? `${name} with ${this.state.mistake}` : `${name}, lr ${short(this.state.settings[name].lr)}`;
      return el("span", { class: "pg-key" }, mark, el("b", {}, label), one ? ` (${now.map(short).join(", ")}), loss ${short(loss)}` : " refused");
    }

    // ------------------------------------------------------------ controls

    buildControls() {
      const { state } = this;
      if (!this.small) {
        this.buildChooser();
        this.buildMistakes();
        const problem = data.problems[state.problem];
        this.about.textContent = `${problem.formula}. ${problem.look}`;
      }
      const controls = data.optimizers[state.focus].controls;
      const rows = controls.map((control) => this.control(control));
      const heading = el("div", { class: "pg-tabs", role: "group", "aria-label": "Whose settings" }, ...state.race.map((name) => el("button", {
        type: "button", "aria-pressed": String(name === state.focus), style: `--colour: ${colourOf(name)}`,
        onclick: () => { state.focus = name; state.mistake = ""; this.compute(); },
      }, name)));
      if (!this.small) this.sliders.replaceChildren(heading, el("div", { class: "pg-grid" }, ...rows));
      else this.sliders.replaceChildren(...(state.race.length > 1 ? [] : [el("div", { class: "pg-grid" }, rows[0]),
        el("details", {}, el("summary", {}, "all settings"), el("div", { class: "pg-grid" }, ...rows.slice(1)))]));
    }

    buildChooser() {
      const { state } = this;
      const select = el("select", { onchange: () => { state.reset(select.value); this.pause(); this.compute(); } },
        ...Object.entries(data.problems).map(([name, problem]) => el("option", { value: name, selected: name === state.problem }, problem.title)));
      const racers = Object.keys(data.optimizers).map((name) => el("label", { class: "pg-racer", style: `--colour: ${colourOf(name)}` },
        el("input", { type: "checkbox", value: name, checked: state.race.includes(name), onchange: (event) => this.enter(name, event.target) }), name));
      const starts = data.problems[state.problem].names.map((name, i) => el("label", {}, `start ${name} `,
        el("input", { type: "number", step: "any", value: Number(state.start[i].toPrecision(7)), onchange: (event) => this.setStart(i, Number(event.target.value)) })));
      const steps = el("label", {}, "steps ", el("input", {
        type: "number", min: 1, max: MOST_STEPS, value: state.steps,
        onchange: (event) => { state.steps = clamp(Math.round(Number(event.target.value)) || 1, 1, MOST_STEPS); this.compute(); },
      }));
      const link = el("button", { type: "button", onclick: () => this.copyLink(link) }, "copy link");
      const reset = el("button", { type: "button", onclick: () => { state.reset(state.problem); this.compute(); } }, "reset");
      this.chooser.replaceChildren(
        el("label", { class: "pg-problem" }, "problem ", select),
        el("fieldset", {}, el("legend", {}, "who races"), ...racers),
        el("div", { class: "pg-row" }, ...starts, steps, link, reset));
    }

    setStart(place, value) {
      if (Number.isFinite(value)) this.state.start[place] = value;
      this.compute();
    }

    enter(name, box) {
      const { state } = this;
      const all = Object.keys(data.optimizers);
      const race = box.checked ? [...state.race, name] : state.race.filter((other) => other !== name);
      if (!race.length) { box.checked = true; return; } // somebody must race
      state.race = all.filter((other) => race.includes(other));
      if (box.checked || !race.includes(state.focus)) { state.focus = box.checked ? name : state.race[0]; state.mistake = ""; }
      this.compute();
      this.chooser.querySelector(`input[value="${name}"]`).focus();
    }

    async copyLink(button) {
      history.replaceState(null, "", toLink(this.state));
      try { await navigator.clipboard.writeText(location.href); button.textContent = "copied"; }
      catch { button.textContent = "see the address bar"; } // file:// has no clipboard
      setTimeout(() => { button.textContent = "copy link"; }, 2000);
    }

    control(control) {
      const settings = this.state.settings[this.state.focus];
      const indexed = control.index !== null && control.index !== undefined;
      const read = () => (indexed ? settings[control.name][control.index] : settings[control.name]);
      const put = (value) => {
        if (indexed) settings[control.name][control.index] = value;
        else settings[control.name] = value;
        this.compute(true);
      };
      const name = indexed ? `${control.name}[${control.index}]` : control.name;
      if (control.scale === "switch") {
        return el("label", { class: "pg-switch" }, el("input", { type: "checkbox", checked: read(), "data-setting": name, onchange: (event) => put(event.target.checked) }), ` ${name}`);
      }
      const scale = SCALES[control.scale];
      const label = el("span", {}, el("code", {}, name), control.symbol ? el("i", {}, ` ${control.symbol}`) : null);
      const exact = el("input", { type: "number", step: "any", min: Math.min(0, control.low), value: read(), "aria-label": `${name}, exact`, "data-setting": name });
      const range = el("input", {
        type: "range", min: scale.low(control), max: scale.high(control), step: (scale.high(control) - scale.low(control)) / 400,
        "aria-label": name, "aria-valuetext": short(read()), "data-slider": name,
      });
      range.value = scale.to(control, read());
      range.addEventListener("input", () => {
        const value = rounded(control, scale.from(control, Number(range.value)));
        exact.value = value;
        range.setAttribute("aria-valuetext", short(value));
        put(value);
      });
      exact.addEventListener("change", () => {
        const value = Number(exact.value);
        if (exact.value === "" || !(value >= Math.min(0, control.low)) || (control.scale === "complement" && value >= 1)) { exact.value = read(); return; }
        range.value = scale.to(control, value);
        put(value);
      });
      return el("div", { class: "pg-slider" }, label, range, exact);
    }

    buildMistakes() {
      const { state } = this;
      const known = data.mistakes[state.focus] ?? [];
      const found = state.found();
      const select = el("select", { onchange: () => { state.mistake = select.value; this.compute(); } },
        el("option", { value: "" }, known.length ? "none" : `the catalogue has none for ${state.focus}`),
        ...known.map((mistake) => el("option", { value: mistake.id, selected: mistake.id === state.mistake }, mistake.id)));
      const parts = [el("label", {}, `a mistake in ${state.focus} `, select)];
      if (found) {
        const replayed = found.replays && " Replayed from a run of the package from the problem's own start.";
        const absent = found.replays && !found.replays[state.problem] && " On this problem it does not show.";
        parts.push(el("p", {}, found.what, " ", el("em", {}, found.hint), ` It shows at: ${found.shows}.`, replayed || "", absent || "", " ",
          el("a", { href: `${this.root}mistakes/${found.id}.html` }, "More about it")));
      }
      this.mistakes.replaceChildren(...parts);
    }

    // ------------------------------------------------------------ one step, line by line

    drawLines() {
      const { state } = this;
      if (!this.runs.has(state.focus)) { this.lines.replaceChildren(); return; }
      const { rule: ruleName } = data.optimizers[state.focus];
      const { decay } = startsOf(state.focus, state.settings[state.focus]);
      const one = this.runOf(state.focus, { steps: Math.max(state.step, 1), watched: state.step });
      const names = data.problems[state.problem].names;
      const rows = [];
      if (decay) rows.push(...this.linesOf(data.decays[decay], "decay", one.notes));
      rows.push(...this.linesOf(data.rules[ruleName], "rule", one.notes));
      const grads = one.notes.flatMap((note) => [...note.grad]);
      const given = el("tr", { class: "pg-given" }, el("th", { scope: "row" }, "g"), el("td", {}, "the gradient, from the problem"), ...this.cells(grads, names.length));
      const heading = state.step ? `Step ${state.step} of ${state.focus}` : `${state.focus}: move to step 1 to see its numbers`;
      this.lines.replaceChildren(el("table", {}, el("caption", {}, heading),
        el("thead", {}, el("tr", {}, ...["formula", "code", ...names].map((name) => el("th", { scope: "col" }, name)))),
        el("tbody", {}, given, ...rows)));
    }

    linesOf(rule, part, notes) {
      return rule.lines.map((line) => {
        const values = notes.map((note) => note[part].get(line.at));
        const ran = !notes.length || values.some((value) => value !== undefined);
        const isCode = /\S/.test(line.code.replace(/<[^>]*>/g, "")) && !/^\s*else:\s*$/.test(line.code.replace(/<[^>]*>/g, ""));
        return el("tr", { class: isCode && !ran ? "pg-skipped" : "" },
          el("td", { class: "pg-formula" }, line.formula), el("td", {}, el("pre", { class: "highlight", html: line.code })),
          ...(isCode ? this.valuesOf(values, notes) : this.cells([], data.problems[this.state.problem].names.length)));
      });
    }

    // One cell for each number of the parameters; what is the same for all stands once.
    valuesOf(values, notes) {
      const width = data.problems[this.state.problem].names.length;
      const flat = values.flatMap((value, i) => {
        const size = notes[i].param.length;
        if (value instanceof Float64Array) return [...value];
        const text = Array.isArray(value) ? value.map(short).join(", ") : typeof value === "boolean" ? (value ? "yes" : "no") : value;
        return Array(size).fill(text ?? "");
      });
      const once = values.every((value) => !(value instanceof Float64Array)) && flat.every((value) => value === flat[0]);
      if (once && flat.length) return [el("td", { colspan: width, class: "pg-number" }, typeof flat[0] === "number" ? short(flat[0]) : flat[0])];
      return this.cells(flat, width);
    }

    cells(values, width) {
      return Array.from({ length: width }, (_, i) => {
        const value = values[i];
        return el("td", { class: "pg-number", title: typeof value === "number" ? String(value) : null }, typeof value === "number" ? short(value) : value ?? "");
      });
    }
  }

  for (const frame of document.querySelectorAll(".playground")) frame.playground = new Playground(frame);
})();
