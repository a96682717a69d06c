// Curves that grow. The points live in the model (`_points`: names, sizes, float32 pairs): initialize appends what arrives,
// render draws what is there. Scale, smoothing, legend and reading are done here, without asking Python.

const PAIR = 8;                                          // bytes of one point
const DOTS = 60;                                         // curves of so many points show each of them
const FEW = 20;                                          // shorter curves are not smoothed
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "5 2", "1 3", "12 4", "4 2 1 2"];
const COLOURS = 8;

// --- points -------------------------------------------------------------------------------------------------
function joined(now, content, chunk) {                   // null where a message is missing in between
  const names = [...now.names], parts = [];
  let at = 0;
  now.sizes.forEach((size) => { parts.push([bytesOf(now.data, at, size * PAIR)]); at += size * PAIR; });
  at = 0;
  for (const [name, start, count] of content.curves) {
    let i = names.indexOf(name);
    if (i < 0) { i = names.push(name) - 1; parts.push([new Uint8Array(0)]); }
    const have = parts[i][0];
    if (start * PAIR > have.length) return null;
    parts[i] = [have.subarray(0, start * PAIR), bytesOf(chunk, at, count * PAIR)];   // a repeat is harmless
    at += count * PAIR;
  }
  const sizes = parts.map((two) => two.reduce((sum, part) => sum + part.length, 0) / PAIR);
  const data = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0) * PAIR);
  at = 0;
  parts.flat().forEach((part) => { data.set(part, at); at += part.length; });
  return { names, sizes, generation: now.generation, data: new DataView(data.buffer) };
}

function curvesOf(sent) {
  let at = 0;
  return (sent?.names ?? []).map((name, index) => {
    const count = sent.sizes[index], xs = new Float32Array(count), ys = new Float32Array(count);
    for (let i = 0; i < count; i++, at += PAIR) { xs[i] = sent.data.getFloat32(at, true); ys[i] = sent.data.getFloat32(at + 4, true); }
    return { name, index, count, xs, ys };
  });
}

function smoothed(ys) {                                  // a moving mean that knows nothing of the future
  const share = 2 / (Math.max(3, ys.length / 20) + 1), out = new Float32Array(ys.length);
  let sum = 0, weight = 0;
  ys.forEach((y, i) => {
    if (Number.isFinite(y)) { sum = sum * (1 - share) + y * share; weight = weight * (1 - share) + share; }
    out[i] = weight ? sum / weight : y;
  });
  return out;
}

function nearest(xs, x) {
  let best = -1;
  for (let i = 0; i < xs.length; i++) if (best < 0 || Math.abs(xs[i] - x) < Math.abs(xs[best] - x)) best = i;
  return best;
}

// --- elements ---------------------------------------------------------------------------------------------------
function shape(tag, attributes, parent, text) {
  const node = svgNode(tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

function render({ model, el }) {
  const root = make("div", "vx-chart", el);
  root.dataset.lmSuppressShortcuts = "true";             // or an arrow key moves the notebook's selection
  const head = make("div", "vx-chart-head", root);
  const title = make("span", "vx-chart-title", head);
  const legend = make("div", "vx-chart-legend", head);
  const menu = make("div", "vx-chart-menu", head);
  const plot = make("div", "vx-chart-plot", root);
  const svg = shape("svg", { role: "img", tabindex: "0" }, plot);
  const reading = make("div", "vx-chart-reading", root);
  reading.setAttribute("role", "status");
  const clip = newId("clip");
  let queued = 0, curves = [], shown = [], scale = null, cursor = null, legendFor = "";

  const unit = () => model.get("unit");
  const switches = {};
  for (const [key, words, why] of [["log", "log scale", "Equal ratios look equal: small losses can be told apart"],
                                   ["smooth", "smooth", `A moving mean over curves of more than ${FEW} points`]]) {
    const label = make("label", "vx-chart-switch", menu);
    const box = make("input", "", label);
    box.type = "checkbox";
    label.append(` ${words}`);
    label.title = why;
    box.onchange = () => choose(model, key, box.checked);
    switches[key] = { label, box };
  }

  function drawLegend() {
    const hidden = model.get("hidden"), key = JSON.stringify([curves.map((c) => c.name), hidden]);
    if (key === legendFor) return;
    legendFor = key;
    const focused = [...legend.children].indexOf(document.activeElement);
    legend.replaceChildren(...curves.map(({ name, index }) => {
      const key = button(null, "", () => {
        const now = model.get("hidden");
        choose(model, "hidden", now.includes(name) ? now.filter((one) => one !== name) : [...now, name]);
      }, { className: `vx-chart-key vx-chart-c${index % COLOURS}` });
      key.setAttribute("aria-pressed", String(!hidden.includes(name)));
      key.title = hidden.includes(name) ? "Show this curve" : "Hide this curve";
      const sample = shape("svg", { width: 22, height: 8, "aria-hidden": "true" }, key);
      const dash = DASHES[index % DASHES.length];
      shape("line", { x1: 1, y1: 4, x2: 21, y2: 4, "stroke-dasharray": dash }, sample);
      key.append(name);
      return key;
    }));
    legend.hidden = curves.length < 2;
    legend.children[focused]?.focus();
  }

  function ranges(width, height) {
    const logarithmic = model.get("log");
    const fits = (y) => Number.isFinite(y) && (!logarithmic || y > 0);
    let left = Infinity, right = model.get("x_end") || -Infinity, low = Infinity, high = -Infinity;
    for (const { xs, ys } of shown) xs.forEach((x, i) => {
      if (!fits(ys[i])) return;
      left = Math.min(left, x); right = Math.max(right, x); low = Math.min(low, ys[i]); high = Math.max(high, ys[i]);
    });
    if (low > high) return null;
    left = Math.min(left, left > 0 && left <= 1 ? 0 : left);     // epoch 1 is the end of a way that begins at 0
    if (left === right) { left -= 0.5; right += 0.5; }
    if (logarithmic) { low /= 1.15; high *= 1.15; } else {
      const room = (high - low || Math.abs(high) * 0.1 || 1) * 0.06;
      const share = unit() === "percent";
      const zero = low >= 0 && (high === low || low < (share ? 0.5 : high - low));   // near zero the axis begins there
      low = zero ? 0 : low - room;
      high += room;
      if (share) { low = Math.max(low, 0); high = Math.min(Math.max(high, low + 0.2), 1.02); }
    }
    const rows = Math.max(2, Math.floor(height / 42));
    const y = logarithmic ? { at: logTicks(low, high, rows) } : ticks(low, high, rows);
    const texts = y.at.map((value) => tickText(value, y.step, unit()));
    const margin = { left: 12 + 6.6 * Math.max(2, ...texts.map((text) => text.length)), right: 12, top: model.get("marks").length ? 18 : 8, bottom: 20 };
    const inner = [Math.max(40, width - margin.left - margin.right), height - margin.top - margin.bottom];
    const x = ticks(left, right, Math.max(2, Math.floor(inner[0] / 64)));
    const [bottom, span] = logarithmic ? [Math.log(low), Math.log(high) - Math.log(low)] : [low, high - low];
    return {
      margin, inner, left, right, yTicks: y.at.map((value, i) => [value, texts[i]]),
      xTicks: x.at.map((value) => [value, tickText(value, x.step, "number")]), fits,
      x: (value) => margin.left + ((value - left) / (right - left)) * inner[0],
      y: (value) => margin.top + (1 - ((logarithmic ? Math.log(value) : value) - bottom) / span) * inner[1],
      back: (pixel) => left + ((pixel - margin.left) / inner[0]) * (right - left),
    };
  }

  function path(xs, ys) {                                // of more points than pixels: the lowest and highest of each column
    const points = [];
    for (let i = 0; i < xs.length; i++) points.push(scale.fits(ys[i]) ? [scale.x(xs[i]), scale.y(ys[i])] : null);
    const text = (point) => `${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
    let line = "", pen = "M";
    if (points.length <= 2 * scale.inner[0]) {
      for (const point of points) { if (point) { line += pen + text(point); pen = "L"; } else pen = "M"; }
      return line;
    }
    let column = [];
    const close = () => {
      if (!column.length) return;
      const order = [...column.keys()];
      const picks = new Set([0, order.reduce((a, b) => (column[b][1] < column[a][1] ? b : a)), order.reduce((a, b) => (column[b][1] > column[a][1] ? b : a)), column.length - 1]);
      [...picks].sort((a, b) => a - b).forEach((i) => { line += pen + text(column[i]); pen = "L"; });
      column = [];
    };
    for (const point of points) {
      if (!point) { close(); pen = "M"; continue; }
      if (column.length && Math.floor(column[0][0]) !== Math.floor(point[0])) close();
      column.push(point);
    }
    close();
    return line;
  }

  function summary() {
    if (!shown.length) return `${model.get("title")}. ${model.get("empty")}`;
    const of = ({ name, xs, ys, count }) => {
      if (!count) return `${name}: no points`;
      let low = 0, high = 0;
      ys.forEach((y, i) => { if (y < ys[low]) low = i; if (y > ys[high]) high = i; });
      const at = (i) => `${worded(ys[i], unit())} at ${plain(xs[i])}`;
      return `${name}: ${count} point${count > 1 ? "s" : ""}, last ${at(count - 1)}, lowest ${at(low)}, highest ${at(high)}`;
    };
    const marks = model.get("marks").map(([x, text]) => `${text} at ${plain(x)}`);
    return `${model.get("title")} by ${model.get("x_label") || "x"}. ${[...shown.map(of), ...marks].join("; ")}.`;
  }

  function draw() {
    queued = 0;
    const width = Math.floor(plot.clientWidth), height = model.get("height");
    if (!width) return;                                  // in a closed tab: the observer calls again
    const hidden = model.get("hidden");
    curves = curvesOf(model.get("_points"));
    shown = curves.filter((curve) => !hidden.includes(curve.name));
    title.textContent = model.get("title");
    title.hidden = !model.get("title");
    for (const [key, { label, box }] of Object.entries(switches)) {
      label.hidden = !model.get("switches").includes(key);
      box.checked = model.get(key);
    }
    menu.hidden = !model.get("switches").length;
    head.hidden = title.hidden && menu.hidden && curves.length < 2;
    drawLegend();
    root.dataset.points = String(curves.reduce((sum, curve) => sum + curve.count, 0));
    root.dataset.curves = String(curves.length);
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.setAttribute("aria-label", summary());
    svg.replaceChildren();
    scale = ranges(width, height);
    if (!scale) {
      shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "vx-chart-text" }, svg, curves.length && !shown.length
        ? "All curves are hidden." : model.get("empty"));
      return;
    }
    const { margin, inner } = scale, bottom = margin.top + inner[1], end = margin.left + inner[0];
    const frame = shape("clipPath", { id: clip }, shape("defs", {}, svg));
    shape("rect", { x: margin.left - 4, y: margin.top - 4, width: inner[0] + 8, height: inner[1] + 8 }, frame);
    const grid = shape("g", { class: "vx-chart-grid" }, svg), texts = shape("g", { class: "vx-chart-text" }, svg);
    for (const [value, text] of scale.yTicks) {
      const y = scale.y(value).toFixed(1);
      shape("line", { x1: margin.left, x2: end, y1: y, y2: y }, grid);
      shape("text", { x: margin.left - 6, y: Number(y) + 4, "text-anchor": "end" }, texts, text);
    }
    const name = model.get("x_label"), [lastTick, lastText] = scale.xTicks.at(-1) ?? [];
    const words = name && scale.x(lastTick) > end - 1 ? `${name} ${lastText}` : name;   // "epoch 8" where the axis ends with a round number
    const free = end - 6.3 * words.length - 20;
    shape("line", { x1: margin.left, x2: end, y1: bottom, y2: bottom, class: "vx-chart-axis" }, grid);
    for (const [value, text] of scale.xTicks) {
      const x = scale.x(value);
      shape("line", { x1: x.toFixed(1), x2: x.toFixed(1), y1: bottom, y2: bottom + 4, class: "vx-chart-axis" }, grid);
      if (name && x > end - 1) continue;
      if (!name || x + 3.3 * text.length < free) shape("text", { x: x.toFixed(1), y: bottom + 16, "text-anchor": "middle" }, texts, text);
    }
    if (name) shape("text", { x: end, y: bottom + 16, "text-anchor": "end", class: "vx-chart-name" }, texts, words);
    for (const [x, text] of model.get("marks")) {
      if (x < scale.left || x > scale.right) continue;
      const at = scale.x(x);
      const mark = shape("g", { class: "vx-chart-mark" }, svg);
      shape("line", { x1: at, x2: at, y1: margin.top, y2: bottom }, mark);
      shape("text", { x: at, y: margin.top - 6, "text-anchor": at > end - 30 ? "end" : "middle" }, mark, text);
    }
    for (const curve of shown) {
      const group = shape("g", { class: `vx-chart-curve vx-chart-c${curve.index % COLOURS}`, "clip-path": `url(#${clip})` }, svg);
      const soft = model.get("smooth") && curve.count > FEW;
      const dash = DASHES[curve.index % DASHES.length];
      if (soft) shape("path", { d: path(curve.xs, curve.ys), class: "vx-chart-raw" }, group);
      shape("path", { d: path(curve.xs, soft ? smoothed(curve.ys) : curve.ys), "stroke-dasharray": curve.count > DOTS * 4 ? "" : dash,
        class: curve.count > DOTS * 4 && !soft ? "vx-chart-fine" : "" }, group);
      if (curve.count <= DOTS) curve.xs.forEach((x, i) => {
        if (scale.fits(curve.ys[i])) shape("circle", { cx: scale.x(x).toFixed(1), cy: scale.y(curve.ys[i]).toFixed(1), r: curve.count > 25 ? 2 : 3 }, group);
      });
    }
    drawCursor();
  }

  let pointer = null;
  function drawCursor() {                                // a line at the nearest x, and each curve's value there
    pointer?.remove();
    pointer = null;
    if (cursor === null || !scale || !shown.some((curve) => curve.count)) { reading.textContent = ""; return; }
    let x = null;
    for (const { xs } of shown) {
      const i = nearest(xs, cursor);
      if (i >= 0 && (x === null || Math.abs(xs[i] - cursor) < Math.abs(x - cursor))) x = xs[i];
    }
    pointer = shape("g", { class: "vx-chart-pointer" }, svg);
    shape("line", { x1: scale.x(x), x2: scale.x(x), y1: scale.margin.top, y2: scale.margin.top + scale.inner[1] }, pointer);
    const values = shown.filter((curve) => curve.count).map((curve) => {
      const i = nearest(curve.xs, x);
      if (scale.fits(curve.ys[i])) shape("circle", { cx: scale.x(curve.xs[i]), cy: scale.y(curve.ys[i]), r: 4, class: `vx-chart-c${curve.index % COLOURS}` }, pointer);
      const elsewhere = Math.abs(curve.xs[i] - x) > (scale.right - scale.left) / 100;
      return `${curve.name} ${worded(curve.ys[i], unit())}${elsewhere ? ` (at ${plain(curve.xs[i])})` : ""}`;
    });
    reading.textContent = `${model.get("x_label") || "x"} ${plain(x)}: ${values.join(", ")}`;
  }
  const later = () => { queued ||= requestAnimationFrame(draw); };

  const onMove = (event) => {
    if (!scale) return;
    reading.setAttribute("aria-live", "off");            // a moving mouse is not read out
    cursor = scale.back(event.clientX - svg.getBoundingClientRect().left);
    drawCursor();
  };
  const onLeave = () => { cursor = null; drawCursor(); };
  const onKey = (event) => {
    event.stopPropagation();
    if (!scale || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = [...new Set(shown.flatMap((curve) => [...curve.xs]))].sort((a, b) => a - b);
    if (!all.length) return;
    const now = cursor === null ? all.length : nearest(all, cursor), far = Math.max(1, Math.round(all.length / 10));
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - far, PageDown: now + far, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Escape") onLeave();
    if (to === undefined) return;
    event.preventDefault();
    reading.setAttribute("aria-live", "polite");
    cursor = all[Math.max(0, Math.min(all.length - 1, to))];
    drawCursor();
  };
  plot.addEventListener("mousemove", onMove);
  plot.addEventListener("mouseleave", onLeave);
  svg.addEventListener("keydown", onKey);
  svg.addEventListener("blur", onLeave);
  const watched = ["_points", "title", "x_label", "unit", "height", "x_end", "switches", "log", "smooth", "hidden", "marks", "empty"];
  const unwatch = watch(model, Object.fromEntries(watched.map((key) => [key, later])));
  const observer = new ResizeObserver(later);
  observer.observe(plot);
  draw();
  return () => {                                         // the other listeners go with the elements
    observer.disconnect();
    cancelAnimationFrame(queued);
    unwatch();
    root.remove();
  };
}

function initialize({ model }) {
  model.on("msg:custom", (content, buffers) => {
    if (content.kind !== "points") return;
    const now = model.get("_points") ?? { names: [], sizes: [], generation: -1, data: null };
    const next = content.generation === now.generation ? joined(now, content, buffers[0]) : null;
    if (next) model.set("_points", next);
    else model.send({ kind: "resync" });                 // a message was lost: reconnected, or too much traffic
  });
}

export default part(render, initialize);
