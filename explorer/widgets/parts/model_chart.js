// All published models: top-1 against parameters or multiply-adds. Two canvases lie on each other: the models, which a
// filter changes, and above them what follows the pointer, so that hovering draws a handful of things.

const HEIGHT = 260, NEAR = 12, LIT = 3, FAINT = 1.8;
const INKS = ["ink", "soft", "line", "back", "lit", "open", "second", "compared"];
const AXES = { parameters: [1, "parameters"], macs: [2, "multiply-adds"] };
const SIGNS = { open: [1, 6, "■", "open"], second: [2, 6, "▲", "the second model"], compared: [3, 6, "◆", "to compare"] };  // shape, radius, ...

function counted(number) {                               // 25557032 -> "25.6 M"
  for (const [unit, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (number >= 0.9995 * unit) return `${Number((number / unit).toPrecision(3))} ${letter}`;
  return String(number);
}

function render({ model, el }) {
  const root = make("div", "vx-chart-models", el);
  root.dataset.lmSuppressShortcuts = "true";             // or JupyterLab takes the arrow keys
  const head = make("div", "vx-chart-models-head", root);
  make("span", "vx-chart-models-title", head, "All published models");
  const group = make("div", "vx-chart-models-switch", head), named = newId("models");
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-label", "Top-1 against");
  const radios = Object.entries(AXES).map(([axis, [, text]]) => {
    const label = make("label", "", group), radio = make("input", "", label);
    Object.assign(radio, { type: "radio", name: named, value: axis });
    label.append(text);
    radio.onchange = () => { choose(model, "axis", axis); turn(); };
    return radio;
  });
  const plot = make("div", "vx-chart-models-plot", root);
  const under = make("canvas", "", plot), canvas = make("canvas", "vx-chart-models-top", plot);
  under.setAttribute("aria-hidden", "true");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "scatter plot");
  const tip = make("div", "vx-chart-models-tip", plot);
  const keys = make("div", "vx-chart-models-keys", root);
  const reading = make("div", "vx-chart-models-reading", root);  // for who does not see the tooltip
  reading.setAttribute("role", "status");
  const note = make("div", "vx-chart-models-note", root);

  let rows = [], at = [], lit = new Set(), marks = new Map(), theme = {}, box = null, cursor = -1, byKeys = false, queued = 0, whole = false;

  // --- what is drawn ---
  function load() {
    rows = JSON.parse(model.get("_models") || "[]");
    turn();
  }
  function turn() {                                      // the other axis
    radios.forEach((radio) => { radio.checked = radio.value === model.get("axis"); });
    cursor = -1;
    sort();
  }
  function sort() {
    lit = new Set(model.get("_lit"));
    marks = new Map(model.get("_marks"));
    if (cursor >= 0 && byKeys && !lit.has(cursor)) cursor = -1;
    queue(true);
  }
  const cost = (i) => rows[i][AXES[model.get("axis")][0]];
  function scale(width) {
    const drawn = rows.filter((_, i) => cost(i) > 0), x = drawn.map((row) => Math.log10(row[AXES[model.get("axis")][0]])), y = drawn.map((row) => row[3]);
    const range = (values, margin) => [Math.min(...values) - margin, Math.max(...values) + margin];
    const [left, right] = range(x, 0.08), [low, high] = range(y, 1.5);
    box = { left: 58, top: 6, right: width - 8, bottom: HEIGHT - 38, x: [left, right], y: [low, high] };
    const px = (value) => box.left + ((value - left) / (right - left)) * (box.right - box.left);
    const py = (value) => box.bottom - ((value - low) / (high - low)) * (box.bottom - box.top);
    at = rows.map((row, i) => (cost(i) > 0 ? [px(Math.log10(cost(i))), py(row[3])] : null));
    const across = logTicks(10 ** left, 10 ** right, (box.right - box.left) / 60), up = ticks(low, high, (box.bottom - box.top) / 45);
    return { x: across.map((value) => [px(Math.log10(value)), counted(value)]), y: up.at.map((value) => [py(value), `${value} %`]),
             xLabel: `${AXES[model.get("axis")][1]} (log scale)`, yLabel: "top-1 on ImageNet", height: HEIGHT };
  }
  function queue(all = false) {
    whole ||= all;
    queued ||= requestAnimationFrame(() => {
      queued = 0;
      if (whole) drawModels();
      whole = false;
      if (box) drawTop();
    });
  }
  function prepared(one, width) {
    const ratio = window.devicePixelRatio || 1, c = one.getContext("2d");
    if (one.width !== Math.round(width * ratio)) Object.assign(one, { width: Math.round(width * ratio), height: Math.round(HEIGHT * ratio) });
    Object.assign(one.style, { width: `${width}px`, height: `${HEIGHT}px` });
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.font = `12px ${theme.font}`;
    return c;
  }
  function drawModels() {
    const width = plot.clientWidth;
    box = null;
    if (!width || !rows.length) return;
    const found = inks(root, INKS.map((name) => `chart-${name}`));
    theme = { font: getComputedStyle(root).fontFamily };
    for (const name of INKS) theme[name] = found[`chart-${name}`];
    const c = prepared(under, width);
    const axes = scale(width);
    drawPlane(c, theme, box, axes);
    const dots = (colour, alpha, radius, which) => {
      c.fillStyle = colour; c.globalAlpha = alpha;
      for (let i = 0; i < rows.length; i++)
        if (at[i] && which(i)) { c.beginPath(); c.arc(at[i][0], at[i][1], radius, 0, 2 * Math.PI); c.fill(); }
      c.globalAlpha = 1;
    };
    dots(theme.soft, 0.28, FAINT, (i) => !lit.has(i));
    dots(theme.lit, 0.55, LIT, (i) => lit.has(i));
    let drawn = 0;
    lit.forEach((i) => { drawn += at[i] ? 1 : 0; });
    Object.assign(root.dataset, { models: String(rows.length), lit: String(drawn), axis: model.get("axis") });
    canvas.setAttribute("aria-label", `Top-1 against ${AXES[model.get("axis")][1]}: ${drawn} of ${rows.length} models fit the filters. ` +
      "Arrow keys go from model to model, Enter shows its card.");
    drawKeys(drawn < at.filter(Boolean).length);
  }
  function drawTop() {
    const width = plot.clientWidth, c = prepared(canvas, width);
    c.clearRect(0, 0, width, HEIGHT);
    for (const [i, kind] of marks) {
      if (!at[i]) continue;
      const [shape, radius] = SIGNS[kind];
      trace(c, shape, at[i][0], at[i][1], radius);
      c.lineWidth = 3; c.strokeStyle = theme.back; c.stroke();
      c.lineWidth = 1; c.strokeStyle = theme.ink;
      c.fillStyle = theme[kind]; c.fill(); c.stroke();
    }
    const chosen = rows.findIndex((row) => row[0] === model.get("chosen"));
    const ring = (i, more, line) => {
      if (!at[i]) return;
      c.beginPath();
      c.arc(at[i][0], at[i][1], more, 0, 2 * Math.PI);
      c.strokeStyle = theme.back; c.lineWidth = line + 2; c.stroke();
      c.strokeStyle = theme.ink; c.lineWidth = line; c.stroke();
    };
    ring(chosen, 9, 2);
    if (cursor >= 0) ring(cursor, 7, 1.5);
    drawNames(c, new Set([chosen, ...marks.keys()].filter((i) => at[i] && i !== cursor)));
    Object.assign(root.dataset, { cursor: rows[cursor]?.[0] ?? "", chosen: rows[chosen]?.[0] ?? "" });
    drawTip(width);
  }
  function drawNames(c, which) {                         // beside its point, above or below, where no other name is
    const taken = [];
    c.textAlign = "left"; c.textBaseline = "middle"; c.lineJoin = "round";
    for (const i of which) {
      const [x, y] = at[i], name = rows[i][0], w = c.measureText(name).width;
      const spots = [[x + 12, y], [x - 12 - w, y], [x - w / 2, y - 17], [x - w / 2, y + 17], [x + 8, y - 17], [x + 8, y + 17]];
      const free = ([left, middle]) => left >= box.left && left + w <= box.right && middle > box.top + 6 && middle < box.bottom - 6
        && !taken.some((one) => left < one.x + one.w && one.x < left + w && Math.abs(middle - one.y) < 13);
      const spot = spots.find(free);
      if (!spot) continue;                               // the tooltip names it
      taken.push({ x: spot[0], y: spot[1], w });
      c.strokeStyle = theme.back; c.lineWidth = 4; c.strokeText(name, ...spot);
      c.fillStyle = theme.ink; c.fillText(name, ...spot);
    }
  }
  function drawKeys(some) {                              // what the signs mean, of those that are there
    const kinds = new Set([...marks].filter(([i]) => at[i]).map(([, kind]) => kind));
    keys.replaceChildren();
    const key = (className, sign, text) => {
      const one = make("span", "", keys);
      make("span", `vx-chart-models-${className}`, one, sign).setAttribute("aria-hidden", "true");
      one.append(` ${text}`);
    };
    key("lit", "●", "fits the filters");
    if (some) key("faint", "●", "left out by them");
    Object.entries(SIGNS).filter(([kind]) => kinds.has(kind)).forEach(([kind, [, , sign, text]]) => key(kind, sign, text));
    key("ring", "◯", "its card is shown");
  }

  // --- the model that is looked at ---
  function describe(i) {
    const [, parameters, macs, top1, side] = rows[i];
    const facts = [[parameters, "parameters"], [macs, "multiply-adds"]].map(([number, text]) => (number > 0 ? `${counted(number)} ${text}` : `${text} not counted`));
    return [`${top1.toFixed(1)} % top-1 at ${side} px`, ...facts, ...(marks.has(i) ? [SIGNS[marks.get(i)][3]] : []),
            ...(lit.has(i) ? [] : ["left out by the filters: a click clears them"])];
  }
  function drawTip(width) {
    tip.hidden = cursor < 0;
    const text = byKeys && cursor >= 0 ? [rows[cursor][0], ...describe(cursor)].join(", ") : "";
    if (reading.textContent !== text) reading.textContent = text;
    if (cursor < 0) return;
    tip.replaceChildren();
    make("b", "", tip, rows[cursor][0]);
    describe(cursor).forEach((line) => make("span", "", tip, line));
    const [x, y] = at[cursor], w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.left = `${Math.max(0, Math.min(width - w, x + 14 + w <= width ? x + 14 : x - 14 - w))}px`;
    tip.style.top = `${Math.max(0, Math.min(HEIGHT - h, y - h / 2))}px`;
  }
  function look(i, keyed = false) {
    if (i === cursor && keyed === byKeys) return;
    cursor = i;
    byKeys = keyed;
    queue();
  }
  const fitting = (i) => (lit.has(i) ? at[i] : null);
  function under_(event) {                               // one that fits first, where some lie on each other
    const frame = canvas.getBoundingClientRect(), x = event.clientX - frame.left, y = event.clientY - frame.top;
    const near = nearestPoint(rows.length, fitting, x, y, () => NEAR);
    return near >= 0 ? near : nearestPoint(rows.length, (i) => at[i], x, y, () => NEAR / 2);
  }
  const pick = (i) => { if (i >= 0) tell(model, { kind: "pick", name: rows[i][0] }); };
  function step(dx, dy) {
    const chosen = rows.findIndex((row) => row[0] === model.get("chosen"));
    if (cursor < 0) return fitting(chosen) ? chosen : edge(-1);
    return nextPoint(rows.length, fitting, at[cursor], dx, dy) ?? cursor;
  }
  const edge = (sign) => [...lit].filter((i) => at[i]).reduce((best, i) => (best < 0 || sign * (at[i][0] - at[best][0]) > 0 ? i : best), -1);
  canvas.addEventListener("pointermove", (event) => {
    if (!box) return;
    look(under_(event));
    canvas.style.cursor = cursor >= 0 ? "pointer" : "";
  });
  canvas.addEventListener("pointerleave", () => { if (!byKeys) look(-1); });
  canvas.addEventListener("blur", () => { if (byKeys) look(-1); });
  canvas.addEventListener("click", (event) => { if (box) pick(under_(event)); });
  canvas.addEventListener("keydown", (event) => {
    if (!box || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowRight: () => step(1, 0), ArrowLeft: () => step(-1, 0), ArrowUp: () => step(0, -1), ArrowDown: () => step(0, 1),
                    Home: () => edge(-1), End: () => edge(1), Escape: () => -1 };
    if (moves[event.key]) look(moves[event.key](), true);
    else if (event.key === "Enter" || event.key === " ") pick(cursor);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  const say = () => { note.textContent = model.get("note"); };
  const unwatch = watch(model, { _models: load, _lit: sort, _marks: sort, axis: turn, chosen: () => queue(), note: say });
  const resized = new ResizeObserver(() => queue(true));
  resized.observe(plot);
  const themed = new MutationObserver(() => queue(true));
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  tip.hidden = true;
  say();
  load();
  return () => {
    unwatch();
    resized.disconnect();
    themed.disconnect();
    cancelAnimationFrame(queued);
    root.remove();
  };
}

export default part(render);
