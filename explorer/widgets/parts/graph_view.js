// A network as a drawing: boxes where Python put them, wires between them. The page zooms, moves and follows the
// wires by itself; what opens and closes is laid out anew by Python, and keeps its place on the screen.
const LEAST = 0.12, MOST = 2.5, STEP = 1.25, READABLE = 0.62;
const WHOLE = 400;                                       // of more boxes only those near the window are made
const WORDS = { block: "block, opens", data: "photo and answers", other: "other module" };
const KEYS = "Click a module to see what it gives. + or a double click opens a block. Keys: arrows follow the wires, "
  + "Enter opens and selects, Escape closes, + and − zoom, F fits.";

function draw(name, parent, facts = {}, text) {
  const node = svgNode(name);
  for (const [key, value] of Object.entries(facts)) if (value !== null && value !== undefined) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

function render({ model, el }) {
  const undo = [], on = (target, type, act, options) => {
    target.addEventListener(type, act, options);
    undo.push(() => target.removeEventListener(type, act, options));
  };
  const root = make("div", "vx-graph", el);
  root.dataset.lmSuppressShortcuts = "true";             // or JupyterLab takes the arrow keys
  const bar = make("div", "vx-graph-bar", root), legend = make("div", "vx-graph-legend", bar);
  const tools = make("div", "vx-graph-tools", bar);
  const tool = (sign, label, act) => button(tools, sign, act, { className: "vx-graph-tool", label });
  tool("−", "Smaller", () => zoom(scale / STEP));
  const percent = tool("100 %", "As large as it was drawn", () => zoom(1));
  tool("+", "Larger", () => zoom(scale * STEP));
  tool("Fit", "All of it at once", () => fit());
  if (document.fullscreenEnabled) {
    const whole = tool("", "The whole screen", () => {
      document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen();
    });
    draw("path", draw("svg", whole, { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" }),
      { d: "M1 4V1h3M8 1h3v3M11 8v3H8M4 11H1V8", fill: "none", stroke: "currentColor", "stroke-width": 1.5 });
  }
  const stage = make("div", "vx-graph-stage", root), box = make("div", "vx-graph-box", stage), ground = make("div", "vx-graph-ground", box);
  const svg = draw("svg", ground, { role: "tree", class: "vx-graph-svg" });
  // opened blocks lie below the wires, what is closed above them
  const blocks = draw("g", svg, { role: "presentation" }), wires = draw("g", svg, { "aria-hidden": "true" });
  const nodes = draw("g", svg, { role: "presentation" });
  const overview = draw("svg", stage, { class: "vx-graph-overview", "aria-hidden": "true" });
  const small = draw("g", overview), lens = draw("rect", overview, { class: "vx-graph-lens", rx: 8 });
  const empty = make("div", "vx-graph-empty", root), said = make("div", "vx-graph-said", root);
  said.id = `vx-graph-${Math.random().toString(36).slice(2)}`;
  svg.setAttribute("aria-describedby", said.id);

  let given = { boxes: [], wires: [], labels: [] }, at = new Map(), made = new Map(), grounds = new Map(), strung = new Map();
  let urls = new Map(), scale = 1, focused = "", queued = 0, fresh = true;

  // --- elements: made when they come near the window ---------------------------------------------------------
  function boxOf(one) {
    const { path, width, height, opened } = one, g = draw("g", null, { role: "treeitem", class: "vx-graph-node",
      tabindex: path === focused ? 0 : -1, "aria-level": one.depth + 1, "aria-label": one.facts,
      "aria-expanded": one.opens ? String(opened) : null, transform: `translate(${one.x} ${one.y})` });
    Object.assign(g.dataset, { path, sort: one.sort, opened: String(opened) });
    draw("title", g, {}, one.facts);
    const round = opened ? 8 : one.sort === "operation" || one.sort === "data" ? Math.min(18, height / 2) : 6;
    if (one.times > 1) for (const shift of [6, 3]) draw("rect", g, { class: "vx-graph-behind", x: shift, y: shift, width, height, rx: round });
    draw("rect", g, { class: "vx-graph-shape", width, height, rx: round });
    let middle = width / 2, anchor = "middle";
    if (one.pictured) {
      draw("rect", g, { class: "vx-graph-blank", x: 5, y: (height - 36) / 2, width: 36, height: 36, rx: 3 });
      if (urls.has(path)) imageIn(g, one);
      [middle, anchor] = [49, "start"];
    }
    if (opened) [middle, anchor] = [12, "start"];
    const first = opened ? 18 : height / 2 + (one.about ? -3 : 4);
    const name = draw("text", g, { class: "vx-graph-name", x: middle, y: first, "text-anchor": anchor }, one.name);
    if (opened && one.about) draw("tspan", name, { class: "vx-graph-about", dx: 8 }, one.about);
    else if (one.about) draw("text", g, { class: "vx-graph-about", x: middle, y: first + 14, "text-anchor": anchor }, one.about);
    if (one.opens) {
      const sign = draw("g", g, { class: "vx-graph-sign", "aria-hidden": "true", transform: `translate(${width} 0)` });
      draw("circle", sign, { class: "vx-graph-reach", r: 13 });
      draw("circle", sign, { class: "vx-graph-dot", r: 8 });
      draw("path", sign, { d: opened ? "M-4 0H4" : "M-4 0H4M0 -4V4" });
    }
    return g;
  }
  function imageIn(g, one) {
    g.querySelector("image")?.remove();
    g.querySelector(".vx-graph-blank").after(draw("image", null, { href: urls.get(one.path), x: 5, y: (one.height - 36) / 2,
      width: 36, height: 36, preserveAspectRatio: "none" }));
  }
  function wireOf(one) {
    const g = draw("g", null, { class: `vx-graph-wire${one.skips ? " vx-graph-skips" : ""}` });
    Object.assign(g.dataset, { source: one.source, target: one.target });
    draw("title", g, {}, one.told);
    draw("path", g, { d: one.d });
    if (one.end) draw("path", g, { class: "vx-graph-head", d: `M${one.end[0]} ${one.end[1]}l-3.6 -7h7.2z` });
    return g;
  }
  const near = (from, to) => {                           // whether that height is in the window, or a screen away
    if (given.boxes.length <= WHOLE) return true;
    const high = box.clientHeight || 600, top = box.scrollTop - high, bottom = box.scrollTop + 2 * high;
    return (to + 8) * scale >= top && (from - 8) * scale <= bottom;
  };
  function settle(parent, known, wanted, build) {        // what is wanted is there, in order; the rest is gone
    for (const [key, node] of known) if (!wanted.has(key)) { node.remove(); known.delete(key); }
    let last = null;
    for (const [key, one] of wanted) {
      let node = known.get(key);
      if (!node) {
        known.set(key, node = build(one));
        last ? last.after(node) : parent.prepend(node);
      }
      last = node;
    }
  }
  function paint() {
    const shown = new Map(), below = new Map(), lines = new Map();
    for (const one of given.boxes)
      if (one.path === focused || near(one.y, one.y + one.height)) (one.opened ? below : shown).set(one.path, one);
    given.wires.forEach((one, i) => { if (near(one.from, one.to)) lines.set(`wire ${i}`, one); });
    given.labels.forEach((one, i) => { if (near(one[1], one[1])) lines.set(`label ${i}`, one); });
    settle(nodes, made, shown, boxOf);
    settle(blocks, grounds, below, boxOf);
    settle(wires, strung, lines, (one) => (Array.isArray(one)
      ? draw("text", null, { class: "vx-graph-size", x: one[0], y: one[1] }, one[2]) : wireOf(one)));
    mark();
    root.dataset.drawn = String(made.size + grounds.size);
  }
  const holder = (path) => at.get(path) ?? given.boxes.find((one) => one.members.includes(path));  // folded, perhaps
  const nodeOf = (path) => made.get(path) ?? grounds.get(path);
  function mark() {
    const chosen = model.get("selected");
    root.dataset.selected = chosen;
    for (const [path, g] of [...grounds, ...made])
      g.setAttribute("aria-selected", String(path === chosen || at.get(path).members.includes(chosen)));
  }

  // --- size and place ---------------------------------------------------------------------------------------
  function size() {
    const [w, h] = [given.width + 36, given.height + 28];
    svg.setAttribute("viewBox", `-18 -14 ${w} ${h}`);
    Object.assign(svg.style, { width: `${w * scale}px`, height: `${h * scale}px` });
    percent.textContent = `${Math.round(100 * scale)} %`;
  }
  function zoom(wanted, x = box.clientWidth / 2, y = box.clientHeight / 2) {
    const before = svg.getBoundingClientRect(), seen = box.getBoundingClientRect();
    const [px, py] = [(seen.left + x - before.left) / scale, (seen.top + y - before.top) / scale];
    scale = clamp(wanted, LEAST, MOST);
    size();
    const now = svg.getBoundingClientRect();
    box.scrollLeft += now.left + px * scale - seen.left - x;
    box.scrollTop += now.top + py * scale - seen.top - y;
    paint();
    outline();
  }
  function fit() {
    scale = clamp(Math.min(box.clientWidth / (given.width + 36), box.clientHeight / (given.height + 28), 1), LEAST, MOST);
    size();
    paint();
    outline();
  }
  function first() {                                     // all of its width, as long as that can be read
    scale = clamp(box.clientWidth / (given.width + 36), READABLE, 1);
    size();
    box.scrollTop = 0;
    box.scrollLeft = (box.scrollWidth - box.clientWidth) / 2;
  }
  const placeOf = (one) => {                             // where a box stands in the window
    const edge = svg.getBoundingClientRect(), seen = box.getBoundingClientRect();
    return { left: edge.left - seen.left + (one.x + 18) * scale, top: edge.top - seen.top + (one.y + 14) * scale,
      width: one.width * scale, height: one.height * scale };
  };
  function bring(one, middle = false) {                  // the box scrolls, never the notebook
    const { left, top, width, height } = placeOf(one), pad = 26;
    const along = (start, length, room) => {
      if (length + 2 * pad > room) return start - pad;
      if (middle) return start - (room - length) / 2;
      return start < pad ? start - pad : start + length > room - pad ? start + length - room + pad : 0;
    };
    box.scrollTop += along(top, height, box.clientHeight);
    box.scrollLeft += along(left, width, box.clientWidth);
  }

  // --- the overview: all of it, and which part is in the window -------------------------------------------------
  function outline() {
    small.replaceChildren();
    const high = box.clientHeight - 20, [w, h] = [given.width + 36, given.height + 28], wide = (w * high) / h;
    overview.toggleAttribute("hidden", !(h * scale > 1.4 * box.clientHeight && wide >= 14 && wide <= box.clientWidth / 5));
    if (overview.hasAttribute("hidden")) return;
    overview.setAttribute("viewBox", `-18 -14 ${w} ${h}`);
    Object.assign(overview.style, { width: `${wide}px`, height: `${high}px` });
    for (const { x, y, width, height, sort, opened } of given.boxes)
      draw("rect", small, { x, y, width, height, rx: 6, "data-sort": sort, "data-opened": opened });
    look();
  }
  function look() {
    const { left, top } = placeOf({ x: -18, y: -14, width: 0, height: 0 }), [w, h] = [box.clientWidth / scale, box.clientHeight / scale];
    const from = clamp(-left / scale, 0, given.width + 36), start = clamp(-top / scale, 0, given.height + 28);
    for (const [key, value] of Object.entries({ x: from - 18, y: start - 14, width: Math.min(w, given.width + 36 - from),
      height: Math.min(h, given.height + 28 - start) })) lens.setAttribute(key, Math.max(0, value));
  }
  const jump = (event) => {
    const seen = overview.getBoundingClientRect();
    box.scrollTop = ((event.clientY - seen.top) / seen.height) * box.scrollHeight - box.clientHeight / 2;
    box.scrollLeft = ((event.clientX - seen.left) / seen.width) * box.scrollWidth - box.clientWidth / 2;
  };
  on(overview, "pointerdown", (event) => { event.preventDefault(); overview.setPointerCapture(event.pointerId); jump(event); });
  on(overview, "pointermove", (event) => { if (event.buttons) jump(event); });

  // --- what Python sent -------------------------------------------------------------------------------------
  const guarded = (act) => (...args) => {
    try { return act(...args); } catch (error) {
      console.error("explorer: the graph failed", error);
      said.textContent = `The graph could not be drawn (${error.message}).`;
    }
  };
  const load = guarded(() => {
    const before = at, held = svg.contains(document.activeElement), sent = model.get("_drawing") || {};
    const old = new Map([...before.values()].map((one) => [one.path, placeOf(one)]));
    const another = sent.title !== given.title || !before.size;
    given = { title: "", width: 0, height: 0, boxes: [], wires: [], labels: [], ...sent };
    at = new Map(given.boxes.map((one) => [one.path, one]));
    for (const known of [made, grounds, strung]) { known.forEach((node) => node.remove()); known.clear(); }
    const any = given.boxes.length > 0;
    stage.hidden = bar.hidden = !any;
    empty.hidden = any;
    empty.textContent = given.message || "No graph yet.";
    said.textContent = any ? [given.said, KEYS].filter(Boolean).join(" ") : "";
    svg.setAttribute("aria-label", `Graph of ${given.title}`);
    root.dataset.boxes = String(given.boxes.length);
    const sorts = [...new Set(given.boxes.map((one) => one.sort))];
    legend.replaceChildren();
    for (const sort of sorts) make("span", "vx-graph-key", legend, WORDS[sort] ?? sort).dataset.sort = sort;
    if (given.wires.some((one) => one.skips)) make("span", "vx-graph-key vx-graph-key-skip", legend, "skip connection");
    if (!at.has(focused)) focused = at.has(given.anchor) ? given.anchor : given.boxes[0]?.path ?? "";
    size();
    if (!any) return;
    fresh ||= another;
    if (fresh && box.clientWidth) { first(); fresh = false; }
    const anchor = holder(given.anchor);
    if (anchor && given.reveal) bring(anchor, true);
    else if (anchor && old.has(anchor.path) && !another) {
      const [was, is] = [old.get(anchor.path), placeOf(anchor)];
      box.scrollTop += is.top - was.top;
      box.scrollLeft += is.left + is.width / 2 - was.left - was.width / 2;
      if (anchor.opened) bring(anchor);
    }
    paint();
    outline();
    if (!another) move(old);
    if (held) nodeOf(focused)?.focus({ preventScroll: true });
  });
  function move(old) {                                   // boxes glide from where they stood
    if (calm() || given.boxes.length > 300) return;
    const timing = { duration: 260, easing: "ease-out" };
    for (const [path, g] of [...grounds, ...made]) {
      const one = at.get(path), was = old.get(path), is = placeOf(one);
      if (!was) g.animate([{ opacity: 0 }, { opacity: 1 }], timing);
      else g.animate([{ transform: `translate(${one.x + (was.left - is.left) / scale}px, ${one.y + (was.top - is.top) / scale}px)` },
        { transform: `translate(${one.x}px, ${one.y}px)` }], timing);
    }
    wires.animate([{ opacity: 0 }, { opacity: 1 }], { ...timing, duration: 420 });
  }
  const pictures = guarded(() => {
    urls.forEach((url) => URL.revokeObjectURL(url));
    const sent = model.get("_pictures") || {}, found = pictureUrls(sent);
    urls = new Map((sent.paths ?? []).map((path, i) => [path, found[i]]));
    root.dataset.pictures = String(urls.size);
    for (const [path, g] of made) {
      if (!at.get(path)?.pictured) continue;
      if (urls.has(path)) imageIn(g, at.get(path));
      else g.querySelector("image")?.remove();
    }
  });

  // --- selecting, opening, following the wires ---------------------------------------------------------------
  function focusOn(path, really = true) {
    nodeOf(focused)?.setAttribute("tabindex", "-1");
    focused = path;
    if (really) bring(at.get(path));
    paint();
    const g = nodeOf(path);
    g.setAttribute("tabindex", "0");
    if (really) g.focus({ preventScroll: true });
  }
  function show(one) {                                   // selected elsewhere: brought into sight, without the focus
    focusOn(one.path, false);
    if (box.clientWidth) { bring(one); paint(); }
  }
  const select = (path) => choose(model, "selected", path);
  const setOpen = (path, opened) => tell(model, { kind: "open", path, opened }, (text) => { said.textContent = text; });
  function light(path) {                                 // the wires of one box
    for (const g of wires.querySelectorAll(".vx-graph-wire"))
      g.classList.toggle("vx-graph-lit", Boolean(path) && (g.dataset.source === path || g.dataset.target === path));
  }
  const ends = (path, from, to) => given.wires.filter((one) => one[from] === path && at.has(one[to])).map((one) => at.get(one[to]));
  const within = (one) => given.boxes.filter((other) => other.parent === one.path);
  function beyond(one) {                                 // down: into an opened block, else along a wire
    if (one.opened && within(one).length) return within(one)[0];
    for (let here = one; here; here = at.get(here.parent)) {
      const next = ends(here.path, "source", "target");
      if (next.length) return next.reduce((a, b) => (b.y < a.y ? b : a));
    }
    return null;
  }
  function before(one) {                                 // up: what it reads, the nearest; else the block around
    const sources = ends(one.path, "target", "source").filter((other) => other.y < one.y);
    return sources.length ? sources.reduce((a, b) => (b.y > a.y ? b : a)) : at.get(one.parent)
      ?? given.boxes[given.boxes.indexOf(one) - 1] ?? null;
  }
  function beside(one, way) {                            // left, right: the nearest box that way
    const centre = (other) => [other.x + other.width / 2, other.y + other.height / 2], [x, y] = centre(one);
    const off = (other) => Math.abs(centre(other)[0] - x) + 3 * Math.abs(centre(other)[1] - y);
    const others = given.boxes.filter((other) => !other.opened && (centre(other)[0] - x) * way > 8
      && Math.abs(centre(other)[1] - y) < 260);
    return others.length ? others.reduce((a, b) => (off(b) < off(a) ? b : a)) : null;
  }
  const nodeAt = (event) => event.target.closest?.(".vx-graph-node");
  on(svg, "click", guarded((event) => {
    const g = nodeAt(event), one = g && at.get(g.dataset.path);
    if (!one) return;
    focusOn(one.path);
    if (event.target.closest(".vx-graph-sign")) setOpen(one.path, !one.opened);
    else select(one.path);
  }));
  on(svg, "dblclick", guarded((event) => {
    const one = at.get(nodeAt(event)?.dataset.path);
    if (one?.opens && !event.target.closest(".vx-graph-sign")) setOpen(one.path, !one.opened);
  }));
  on(svg, "pointerover", (event) => light(nodeAt(event)?.dataset.path));
  on(svg, "pointerleave", () => light(""));
  on(svg, "focusin", (event) => light(nodeAt(event)?.dataset.path));
  on(root, "keydown", guarded((event) => {
    event.stopPropagation();
    const one = at.get(focused);
    if (!one || !svg.contains(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowDown: () => beyond(one), ArrowUp: () => before(one), ArrowLeft: () => beside(one, -1),
      ArrowRight: () => beside(one, 1), Home: () => given.boxes[0], End: () => given.boxes.at(-1) }[event.key];
    if (to) { const found = to(); if (found) focusOn(found.path); }
    else if (event.key === "Enter" || event.key === " ") {
      select(one.path);
      if (one.opens && !one.opened) setOpen(one.path, true);
    } else if (event.key === "Escape" || event.key === "Backspace") {
      const shut = one.opened && one.opens ? one : at.get(one.parent);
      if (!shut?.opens) return;
      focusOn(shut.path);
      setOpen(shut.path, false);
    } else if (event.key === "+" || event.key === "=") zoom(scale * STEP);
    else if (event.key === "-") zoom(scale / STEP);
    else if (event.key === "0") zoom(1);
    else if (event.key.toLowerCase() === "f") fit();
    else return;
    event.preventDefault();
  }));

  // --- the ground -------------------------------------------------------------------------------------------
  on(box, "wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;        // without Ctrl it scrolls
    event.preventDefault();
    const seen = box.getBoundingClientRect();
    zoom(scale * Math.exp(-clamp(event.deltaY, -120, 120) / 400), event.clientX - seen.left, event.clientY - seen.top);
  }, { passive: false });
  let grip = null;
  on(box, "pointerdown", (event) => {
    if (event.button || event.pointerType === "touch" || nodeAt(event)) return;
    if (event.target === box && (event.offsetX > box.clientWidth || event.offsetY > box.clientHeight)) return;   // a scroll bar
    grip = { x: event.clientX + box.scrollLeft, y: event.clientY + box.scrollTop };
    box.setPointerCapture(event.pointerId);
    box.classList.add("vx-graph-held");
  });
  on(box, "pointermove", (event) => {
    if (grip) Object.assign(box, { scrollLeft: grip.x - event.clientX, scrollTop: grip.y - event.clientY });
  });
  for (const type of ["pointerup", "pointercancel"]) on(box, type, () => { grip = null; box.classList.remove("vx-graph-held"); });
  on(box, "scroll", () => {
    if (!queued) queued = requestAnimationFrame(guarded(() => {
      queued = 0;
      if (given.boxes.length > WHOLE) paint();
      look();
    }));
  });
  const observer = new ResizeObserver(guarded(() => {
    if (!box.clientWidth || !given.boxes.length) return;
    if (fresh) { fresh = false; first(); }
    paint();
    outline();
  }));
  observer.observe(box);

  const follow = guarded(() => { mark(); const one = holder(model.get("selected")); if (one) show(one); });
  undo.push(watch(model, { _drawing: load, _pictures: pictures, selected: follow }));
  load();
  pictures();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(queued);
    undo.forEach((act) => act());
    urls.forEach((url) => URL.revokeObjectURL(url));
    root.remove();
  };
}

export default part(render);
