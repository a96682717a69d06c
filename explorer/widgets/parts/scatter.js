// Points on a plane. A canvas draws them (thousands, at every step of a zoom); legend, tooltip, reading line and buttons are
// elements. The keyboard reaches all that the mouse does.

const COLOURS = 8, SHAPES = 8, RADIUS = 5, NEAR = 14, ZOOM = 1.4;
const CURVES = Array.from({ length: COLOURS }, (_, i) => `c${i}`);          // --vx-c0 to --vx-c7 of tokens.css
const MOST_KEYS = 24, KEPT = 400, DWELL = 60;            // legend entries; pictures kept; ms until a picture is asked for

const floats = (view) => Float32Array.from({ length: (view?.byteLength ?? 0) / 4 }, (_, i) => view.getFloat32(4 * i, true));
const shorts = (view) => Uint16Array.from({ length: (view?.byteLength ?? 0) / 2 }, (_, i) => view.getUint16(2 * i, true));

const colourOf = (group) => group % COLOURS;
const shapeOf = (group) => (group + Math.floor(group / COLOURS)) % SHAPES;   // 64 pairs of colour and shape

function render({ model, el }) {
  const root = make("div", "vx-scatter", el);
  root.dataset.lmSuppressShortcuts = "true";             // or an arrow key moves the notebook's selection
  const head = make("div", "vx-scatter-head", root);
  const title = make("span", "vx-scatter-title", head);
  const legend = make("div", "vx-scatter-legend", head);
  const menu = make("div", "vx-scatter-menu", head);
  const plot = make("div", "vx-scatter-plot", root);
  const canvas = make("canvas", "", plot);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "scatter plot");
  const tip = make("div", "vx-scatter-tip", plot);
  const none = make("div", "vx-scatter-none", plot);
  const reading = make("div", "vx-scatter-reading", root);
  reading.setAttribute("role", "status");
  const tool = (text, label, act) => button(menu, text, act, { className: "vx-scatter-button", label });
  tool("+", "Zoom in", () => zoom(ZOOM));
  tool("−", "Zoom out", () => zoom(1 / ZOOM));
  const reset = tool("⤢", "Show all points", () => { view = null; queue(); });

  let data = null, view = null, box = null, cursor = -1, queued = 0, asked = 0, byKeys = false;
  let pictures = new Map();

  const about = (kind, index) => tell(model, { kind, index, generation: data.generation });
  const freePictures = () => { pictures.forEach((url) => url && URL.revokeObjectURL(url)); pictures = new Map(); };

  // --- what is drawn ---
  function take() {
    const sent = model.get("_points") || {};
    const labels = sent.labels ?? [];
    const groups = shorts(sent.groups), sizes = floats(sent.sizes), shapes = bytesOf(sent.shapes);
    const log = { x: model.get("log_x"), y: model.get("log_y") };
    const along = (values, isLog) => (isLog ? values.map((value) => (value > 0 ? Math.log10(value) : NaN)) : values);
    data = {
      generation: sent.generation ?? 0, labels, names: sent.names ?? [], line: sent.line ?? [], raw: { x: floats(sent.x), y: floats(sent.y) },
      group: (i) => groups[i] ?? 0, size: (i) => Math.min(40, Math.max(2, sizes[i] ?? RADIUS)), shape: (i) => shapes[i] ?? shapeOf(groups[i] ?? 0),
      sized: sizes.length > 0,
    };
    data.x = along(data.raw.x, log.x);
    data.y = along(data.raw.y, log.y);
    freePictures();
    view = null; cursor = -1;
    drawLegend();
    queue();
  }
  const shown = (i) => Number.isFinite(data.x[i]) && Number.isFinite(data.y[i]) && !model.get("hidden").includes(data.names[data.group(i)]);

  function extent() {                                    // of all points, so that the legend moves nothing
    const range = (values, other) => {
      let low = Infinity, high = -Infinity;
      values.forEach((value, i) => { if (Number.isFinite(value) && Number.isFinite(other[i])) { low = Math.min(low, value); high = Math.max(high, value); } });
      if (low > high) return [0, 1];
      const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
      return [low - margin, high + margin];
    };
    return { x: range(data.x, data.y), y: range(data.y, data.x) };
  }
  function scales(width, height) {
    const left = model.get("ticks") ? 54 : model.get("y_label") ? 26 : 8, bottom = (model.get("ticks") ? 22 : 6) + (model.get("x_label") ? 16 : 0);
    box = { left, top: 8, right: width - 10, bottom: height - bottom };
    const all = extent();
    if (model.get("equal")) {                            // the narrower side gets more room
      const step = Math.max((all.x[1] - all.x[0]) / (box.right - box.left), (all.y[1] - all.y[0]) / (box.bottom - box.top));
      for (const [key, pixels] of [["x", box.right - box.left], ["y", box.bottom - box.top]]) {
        const middle = (all[key][0] + all[key][1]) / 2;
        all[key] = [middle - (step * pixels) / 2, middle + (step * pixels) / 2];
      }
    }
    box.all = all;
    view ??= { x: [...all.x], y: [...all.y] };
    box.zoom = (all.x[1] - all.x[0]) / (view.x[1] - view.x[0]);
  }
  const px = (value) => box.left + ((value - view.x[0]) / (view.x[1] - view.x[0])) * (box.right - box.left);
  const py = (value) => box.bottom - ((value - view.y[0]) / (view.y[1] - view.y[0])) * (box.bottom - box.top);
  const inside = (x, y) => x >= box.left - 1 && x <= box.right + 1 && y >= box.top - 1 && y <= box.bottom + 1;

  function queue() { queued ||= requestAnimationFrame(() => { queued = 0; draw(); }); }

  function draw() {
    const width = plot.clientWidth, height = model.get("height"), count = data.labels.length;
    title.textContent = model.get("title");
    none.textContent = model.get("empty");
    none.hidden = count > 0;
    canvas.hidden = menu.hidden = count === 0;
    plot.style.minHeight = count ? "" : "60px";
    root.dataset.points = String(count);
    if (!width || !count) { tip.hidden = true; reading.textContent = ""; return; }
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    scales(width, height);
    const theme = inks(root, ["ink", "soft", "line", "back", ...CURVES]), colours = CURVES.map((name) => theme[name]);
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.font = `12px ${getComputedStyle(root).fontFamily}`;
    drawAxes(c, theme);
    c.save();
    c.beginPath();
    c.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    c.clip();
    const line = data.line.filter(shown);
    if (line.length > 1) {
      c.beginPath();
      line.forEach((i, k) => (k ? c.lineTo(px(data.x[i]), py(data.y[i])) : c.moveTo(px(data.x[i]), py(data.y[i]))));
      c.strokeStyle = theme.soft; c.lineWidth = 1.5; c.setLineDash([6, 4]); c.stroke(); c.setLineDash([]);
    }
    let visible = 0;
    const dot = (i, more = 0) => {
      trace(c, data.shape(i), px(data.x[i]), py(data.y[i]), data.size(i) + more);
      c.fillStyle = colours[colourOf(data.group(i))];
      c.globalAlpha = data.sized ? 0.75 : 0.85;
      c.fill();
      c.globalAlpha = 1;
      c.strokeStyle = theme.back; c.lineWidth = 0.8; c.stroke();
    };
    const order = Array.from({ length: count }, (_, i) => i).filter(shown);
    if (data.sized) order.sort((a, b) => data.size(b) - data.size(a));   // small ones on top
    for (const i of order) { dot(i); visible += inside(px(data.x[i]), py(data.y[i])) ? 1 : 0; }
    const ring = (i, width_, more) => {
      if (!(i >= 0 && i < count) || !shown(i)) return;
      dot(i, 1);
      c.beginPath();
      c.arc(px(data.x[i]), py(data.y[i]), data.size(i) + more, 0, 2 * Math.PI);
      c.strokeStyle = theme.ink; c.lineWidth = width_; c.stroke();
    };
    model.get("marked").forEach((i) => ring(i, 1.5, 4));
    ring(model.get("selected"), 3, 6);
    if (cursor !== model.get("selected")) ring(cursor, 1, 7);
    if (model.get("names")) drawNames(c, theme, order);
    c.restore();
    root.dataset.visible = String(visible);
    root.dataset.zoom = box.zoom.toFixed(2);
    root.dataset.selected = String(model.get("selected"));
    root.dataset.cursor = String(cursor);
    reset.disabled = Math.abs(box.zoom - 1) < 1e-6 && Math.abs(view.x[0] - box.all.x[0]) < 1e-9;
    canvas.setAttribute("aria-label", `${model.get("title") || "Points"}: ${count} points${data.names.length ? ` in ${data.names.length} groups` : ""}. ` +
      "Arrow keys go from point to point, Enter chooses, plus and minus zoom, 0 shows all.");
    drawTip(width);
  }

  function drawAxes(c, theme) {
    const axis = (key, most) => {
      const isLog = model.get(`log_${key}`), [low, high] = view[key], unit = model.get(`${key}_unit`);
      const { at, step } = isLog ? { at: logTicks(10 ** low, 10 ** high, most) } : ticks(low, high, most);
      return at.map((value) => [isLog ? Math.log10(value) : value, tickText(value, step, unit)]);
    };
    const marked = model.get("ticks");
    const x = marked ? axis("x", (box.right - box.left) / 70).map(([value, text]) => [px(value), text]) : [];
    const y = marked ? axis("y", (box.bottom - box.top) / 45).map(([value, text]) => [py(value), text]) : [];
    drawPlane(c, theme, box, { x, y, xLabel: model.get("x_label"), yLabel: model.get("y_label"), height: model.get("height") });
  }

  function drawNames(c, theme, order) {                  // beside, below or above a point, where there is room
    const taken = order.map((i) => ({ x: px(data.x[i]) - data.size(i), y: py(data.y[i]) - data.size(i), w: 2 * data.size(i), h: 2 * data.size(i) }));
    const free = (r) => r.x >= box.left && r.x + r.w <= box.right && r.y >= box.top && r.y + r.h <= box.bottom
      && !taken.some((one) => r.x < one.x + one.w && one.x < r.x + r.w && r.y < one.y + one.h && one.y < r.y + r.h);
    c.fillStyle = theme.ink; c.textAlign = "left"; c.textBaseline = "top";
    const first = [model.get("selected"), cursor, ...data.line].filter((i) => i >= 0 && order.includes(i));
    for (const i of new Set([...first, ...order])) {
      const x = px(data.x[i]), y = py(data.y[i]), r = data.size(i) + 3, w = c.measureText(data.labels[i]).width, h = 13;
      const place = [[x + r, y - h / 2], [x - r - w, y - h / 2], [x - w / 2, y - r - h], [x - w / 2, y + r]]
        .map(([left, top]) => ({ x: left, y: top, w, h })).find(free);
      if (!place) continue;
      taken.push(place);
      c.fillText(data.labels[i], place.x, place.y + 1);
    }
  }

  // --- the legend: buttons that hide groups ---
  function drawLegend() {
    legend.replaceChildren();
    data.names.slice(0, MOST_KEYS).forEach((name, group) => {
      const key = button(legend, "", toggle, { className: `vx-scatter-key vx-scatter-k${colourOf(group)}` });
      const sign = make("canvas", "", key);
      sign.width = sign.height = 28;
      make("span", "", key, name);
      function toggle() {
        const hidden = model.get("hidden");
        const others = hidden.filter((one) => one !== name);
        choose(model, "hidden", hidden.includes(name) ? others : [...hidden, name]);
        refreshLegend(); queue();
      }
    });
    if (data.names.length > MOST_KEYS) make("span", "vx-scatter-more", legend, `and ${data.names.length - MOST_KEYS} more`);
    refreshLegend();
  }
  function refreshLegend() {
    const colours = inks(root, CURVES);
    legend.querySelectorAll("button").forEach((key, group) => {
      key.setAttribute("aria-pressed", String(!model.get("hidden").includes(data.names[group])));
      const c = key.firstChild.getContext("2d");
      c.setTransform(2, 0, 0, 2, 0, 0);
      c.clearRect(0, 0, 14, 14);
      trace(c, shapeOf(group), 7, 7, 4.6);
      c.fillStyle = colours[CURVES[colourOf(group)]];
      c.fill();
    });
  }

  // --- the point that is looked at ---
  function describe(i) {
    const group = data.names[data.group(i)];
    const values = model.get("ticks") ? ["x", "y"].map((axis) => `${model.get(`${axis}_label`) || axis} ${worded(data.raw[axis][i], model.get(`${axis}_unit`))}`) : [];
    return [data.labels[i], ...(group ? [group] : []), ...values];
  }
  function drawTip(width) {
    tip.hidden = cursor < 0;
    reading.textContent = cursor < 0 ? (byKeys ? "" : "Point at a point to see it, click to choose it; Ctrl + wheel zooms, dragging moves.") : describe(cursor).join(", ");
    if (cursor < 0) return;
    const [name, ...rest] = describe(cursor), url = pictures.get(cursor);
    if (tip.dataset.key !== `${data.generation}:${cursor}:${url ?? ""}`) {
      tip.dataset.key = `${data.generation}:${cursor}:${url ?? ""}`;
      tip.replaceChildren();
      if (model.get("pictures")) {
        const frame = make("div", "vx-scatter-picture", tip);
        if (url) { const image = make("img", "", frame); image.src = url; image.alt = ""; }
      }
      make("b", "", tip, name);
      rest.forEach((text) => make("span", "", tip, text));
    }
    const x = px(data.x[cursor]), y = py(data.y[cursor]), w = tip.offsetWidth, h = tip.offsetHeight, gap = data.size(cursor) + 10;
    tip.style.left = `${Math.max(0, x + gap + w <= width ? x + gap : x - gap - w)}px`;
    tip.style.top = `${Math.max(0, Math.min(model.get("height") - h, y - h / 2))}px`;
  }
  function look(i, keys = false) {
    byKeys = keys;
    if (i === cursor) return;
    cursor = i;
    queue();
    clearTimeout(asked);
    if (i < 0 || !model.get("pictures") || pictures.has(i)) return;
    asked = setTimeout(() => about("hover", i), keys ? 0 : DWELL);
  }
  const where = (i) => (shown(i) ? [px(data.x[i]), py(data.y[i])] : null);
  const nearest = (x, y) => nearestPoint(data.labels.length, where, x, y, (i) => Math.max(NEAR, data.size(i)));
  function pick(i) {
    model.set("selected", i);
    queue();
    about("pick", i);
  }
  function step(dx, dy) {                                // the next point in a direction: near, and not far aside
    if (cursor < 0) return model.get("selected") >= 0 && shown(model.get("selected")) ? model.get("selected") : firstShown();
    const inSight = (i) => { const at = where(i); return at && inside(...at) ? at : null; };
    const from = [px(data.x[cursor]), py(data.y[cursor])];
    return nextPoint(data.labels.length, inSight, from, dx, dy) ?? cursor;
  }
  const firstShown = () => data.labels.findIndex((_, i) => shown(i));
  const lastShown = () => data.labels.reduce((last, _, i) => (shown(i) ? i : last), -1);

  // --- moving the plane ---
  function zoom(factor, x = (box.left + box.right) / 2, y = (box.top + box.bottom) / 2) {
    if (!box || box.zoom * factor > 200 || box.zoom * factor < 0.4) return;
    const fx = (x - box.left) / (box.right - box.left), fy = (box.bottom - y) / (box.bottom - box.top);
    for (const [key, share] of [["x", fx], ["y", fy]]) {
      const [low, high] = view[key], at = low + share * (high - low), span = (high - low) / factor;
      view[key] = [at - share * span, at - share * span + span];
    }
    queue();
  }
  let drag = null;
  const at = (event) => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const [x, y] = at(event);
    drag = { x, y, view: { x: [...view.x], y: [...view.y] }, moved: false };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!box) return;
    const [x, y] = at(event);
    if (!drag) { look(nearest(x, y)); canvas.style.cursor = cursor >= 0 ? "pointer" : "grab"; return; }
    drag.moved ||= Math.hypot(x - drag.x, y - drag.y) > 4;
    if (!drag.moved) return;
    const dx = ((drag.x - x) / (box.right - box.left)) * (drag.view.x[1] - drag.view.x[0]);
    const dy = ((y - drag.y) / (box.bottom - box.top)) * (drag.view.y[1] - drag.view.y[0]);
    view = { x: drag.view.x.map((value) => value + dx), y: drag.view.y.map((value) => value + dy) };
    look(-1);
    queue();
  });
  canvas.addEventListener("pointerup", (event) => {
    const clicked = drag && !drag.moved;
    drag = null;
    if (!clicked) return;
    const i = nearest(...at(event));
    if (i >= 0) { look(i); pick(i); }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("pointerleave", () => { if (!drag && !byKeys) look(-1); });
  canvas.addEventListener("blur", () => { if (byKeys) look(-1); });
  canvas.addEventListener("wheel", (event) => {          // without Ctrl the page scrolls, as everywhere
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, ...at(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowRight: () => step(1, 0), ArrowLeft: () => step(-1, 0), ArrowUp: () => step(0, -1), ArrowDown: () => step(0, 1), Home: firstShown, End: lastShown };
    const acts = { "+": () => zoom(ZOOM), "=": () => zoom(ZOOM), "-": () => zoom(1 / ZOOM), 0: () => { view = null; queue(); }, Escape: () => look(-1),
                   Enter: () => cursor >= 0 && pick(cursor), " ": () => cursor >= 0 && pick(cursor) };
    if (!moves[event.key] && !acts[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    if (moves[event.key]) look(moves[event.key](), true); else acts[event.key]();
  });

  function onMessage(content, buffers) {
    if (content?.kind !== "picture" || content.generation !== data.generation) return;
    const old = pictures.get(content.index);
    if (old) URL.revokeObjectURL(old);
    const view_ = buffers?.[0];
    pictures.set(content.index, view_?.byteLength ? urlOf(bytesOf(view_)) : "");
    if (pictures.size > KEPT) { const [first] = pictures.keys(); if (pictures.get(first)) URL.revokeObjectURL(pictures.get(first)); pictures.delete(first); }
    queue();
  }

  const redrawn = ["title", "x_label", "y_label", "x_unit", "y_unit", "equal", "ticks", "names", "height", "empty", "selected", "marked"];
  const onHidden = () => { refreshLegend(); queue(); };
  const unwatch = watch(model, { ...Object.fromEntries(redrawn.map((key) => [key, queue])),
    _points: take, log_x: take, log_y: take, hidden: onHidden });
  model.on("msg:custom", onMessage);
  const resized = new ResizeObserver(queue);
  resized.observe(plot);
  const themed = new MutationObserver(() => { refreshLegend(); queue(); });
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  take();
  return () => {
    unwatch();
    model.off("msg:custom", onMessage);
    resized.disconnect();
    themed.disconnect();
    cancelAnimationFrame(queued);
    clearTimeout(asked);
    freePictures();
    root.remove();
  };
}

export default part(render);
