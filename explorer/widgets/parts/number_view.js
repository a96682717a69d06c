// How one number of a map is computed. From the left: the photo with what the cell is computed from, the terms of the
// sum (the map that goes in with a moving window, patch × kernel = product), what is done to the sum, the map with
// the cell. Python sends one cell at a time; to step, to play and to go on to what lies behind is asked of it.

const BLUE = [0x2f, 0x6f, 0xb7], ORANGE = [0xc2, 0x60, 0x1e], NOTHING = [0xf2, 0xf2, 0xf2], OUTSIDE = "#5a5a5a";
const PACE = 650, CALM_PACE = 1200, NOT_FINITE = 255;
const PATIENCE = 1500;                                   // ms: an answer that has not come by then is not waited for

// "1.234", "0.0123", "3.2e-5": as many digits as fit beside others
function shown(value, digits = 4) {
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e5)) return value.toExponential(2).replace("-", "−");
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}
const signed = (value) => (typeof value === "number" && value >= 0 ? `+ ${shown(value, 3)}` : shown(value, 3).replace("−", "− "));
const inCell = (value) => {                               // in a cell
  const size = Math.abs(value);
  const digits = size >= 99.5 ? 0 : size >= (value < 0 ? 0.995 : 9.995) ? 1 : 2, text = value.toFixed(digits);
  return text.replace(/^(-?)0\./, "$1.").replace(/^-?\.00$/, "0").replace("-", "−");
};
const floats = (view) => (view?.byteLength ? new Float32Array(bytesOf(view).slice().buffer) : new Float32Array(0));
const tint = (share) => {
  const full = share >= 0 ? BLUE : ORANGE, strength = Math.sqrt(Math.min(1, Math.abs(share)));
  return NOTHING.map((low, i) => Math.round(low + (full[i] - low) * strength));
};

function render({ model, el }) {
  const undo = [];
  const root = make("section", "vx-number", el);
  root.dataset.lmSuppressShortcuts = "true";
  root.setAttribute("aria-label", "How is this number computed?");
  const ask = (message) => tell(model, message, (text) => { halt(); said.textContent = text; });

  const head = make("div", "vx-number-head", root);
  make("strong", "vx-number-title", head, "How is this number computed?");
  const back = button(head, "‹ back", () => leave({ kind: "back" }), { className: "vx-number-button" });
  const working = make("span", "vx-number-busy", head);
  working.setAttribute("role", "status");
  button(head, "×", () => leave({ kind: "shut" }), { className: "vx-number-button vx-number-shut", label: "Close" });

  const bar = make("div", "vx-number-bar", root);
  const field = (name) => make("label", "vx-number-field", bar, `${name} `);
  const layers = make("select", "vx-number-layer", field("Layer"));
  const channel = make("input", "vx-number-channel", field("Channel"));
  Object.assign(channel, { type: "number", min: 0, step: 1 });
  const small = (text, act, label) => button(bar, text, act, { className: "vx-number-button", label });
  const backwards = small("‹", () => step(-1), "One cell back");
  const play = small("▶ Play", () => (timer ? pause() : start()), "");
  const onwards = small("›", () => step(1), "One cell on");
  const where = make("span", "vx-number-where", bar);
  const said = make("p", "vx-number-said", root);
  const body = make("div", "vx-number-body", root);

  // --- the photo, and what the cell is computed from ---
  const left = make("figure", "vx-number-photo", body);
  const seen = make("div", "vx-number-seen", left), picture = make("img", "", seen), glow = make("canvas", "vx-number-glow", seen);
  const frame = make("div", "vx-number-frame", seen);
  const reading = make("figcaption", "vx-number-words", left);
  const scale = make("div", "vx-number-scale", left);
  make("span", "", scale, "0");
  const ramp = make("canvas", "", scale);
  make("span", "", scale, "strongest pixel");
  const effective = button(left, "Effective field", () => ask({ kind: "field" }), { className: "vx-number-button",
    label: "Effective field: which pixels move this cell, and how strongly? By gradient (Luo and others, 2016)" });

  const middle = make("div", "vx-number-terms", body);
  const right = make("div", "vx-number-right", body);
  const ladder = make("ol", "vx-number-steps", right);
  const out = make("figure", "vx-number-out", right);
  const map = make("div", "vx-number-map", out), plane = make("canvas", "", map), mark = make("div", "vx-number-cell", map);
  map.tabIndex = 0;
  map.setAttribute("role", "application");
  const words = make("figcaption", "vx-number-words", out);
  const differs = make("p", "vx-number-words", root), notes = make("div", "vx-number-notes", root);

  let layer = null, number = null, photoUrl = "", timer = 0, asked = -Infinity, kept = false;
  let first = !(model.get("_number") || {}).module;       // one that is there already does not move the page

  // --- drawing ---
  function drawCodes(canvas, codes, start, high, wide, colours) {
    const table = colourTable(colours), image = new ImageData(wide, high), pixels = new Uint32Array(image.data.buffer);
    for (let i = 0; i < high * wide; i++) {
      const code = codes[start + i];
      pixels[i] = code === NOT_FINITE ? 0xffff00ff : table[Math.round((code / 254) * 255)];
    }
    Object.assign(canvas, { width: wide, height: high });
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
  const colours = () => (model.get("colormap") in MAP_COLOURS ? model.get("colormap") : "viridis");
  const share = (value, whole) => `${(100 * value) / whole}%`;
  function put(node, top, left_, bottom, right_, high, wide) {
    Object.assign(node.style, { top: share(top, high), left: share(left_, wide), height: share(bottom - top, high), width: share(right_ - left_, wide) });
  }
  // numbers as coloured squares: all of a column on one scale
  function grid(parent, values, start, high, wide, most, inside, label) {
    const side = wide === 1 && high === 1 ? 0 : clamp(Math.floor((number.terms.length === 1 ? 140 : 90) / Math.max(wide, high)), 9, 30);
    const canvas = make("canvas", "vx-number-grid", parent), dots = window.devicePixelRatio || 1;
    const across = side || 62, down = side || 26;
    Object.assign(canvas, { width: Math.round(across * wide * dots), height: Math.round(down * high * dots) });
    Object.assign(canvas.style, { width: `${across * wide}px`, height: `${down * high}px` });
    canvas.setAttribute("role", "img");
    const pen = canvas.getContext("2d"), texts = [];
    pen.scale(dots, dots);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = `${side ? Math.min(12, Math.round(side * 0.35)) : 12}px ${getComputedStyle(root).fontFamily}`;
    for (let y = 0; y < high; y++) for (let x = 0; x < wide; x++) {
      const value = values[start + y * wide + x], there = !inside?.length || inside[y * wide + x];
      const [r, g, b] = tint(most ? value / most : 0);
      pen.fillStyle = there ? `rgb(${r} ${g} ${b})` : OUTSIDE;
      pen.fillRect(x * across + 0.5, y * down + 0.5, across - 1, down - 1);
      texts.push(there ? shown(value) : "padding");
      if (side && side < 24) continue;
      pen.fillStyle = there && 0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#111" : "#fff";
      pen.fillText(there ? (side ? inCell(value) : shown(value)) : "0", (x + 0.5) * across, (y + 0.5) * down + 0.5);
    }
    canvas.setAttribute("aria-label", `${label}: ${texts.join(", ")}`);
    canvas.onpointermove = (event) => {
      const x = clamp(Math.floor(event.offsetX / across), 0, wide - 1), y = clamp(Math.floor(event.offsetY / down), 0, high - 1);
      canvas.title = `${label}, row ${y}, column ${x}: ${texts[y * wide + x]}`;
    };
    return { canvas, at: (event) => ({ row: clamp(Math.floor(event.offsetY / down), 0, high - 1), column: clamp(Math.floor(event.offsetX / across), 0, wide - 1) }) };
  }
  function bar_(parent, value, most) {
    const track = make("span", "vx-number-track", parent), fill = make("i", value >= 0 ? "vx-number-adds" : "vx-number-takes", track);
    const size = most ? Math.abs(value) / most : 0;
    Object.assign(fill.style, { width: `${50 * size}%`, [value >= 0 ? "left" : "right"]: "50%" });
  }
  const largest = (values) => values.reduce((most, one) => Math.max(most, Math.abs(one) || 0), 0);

  function windowOn(canvas, at) {                        // the map that goes in, and what lies under the kernel
    const [high, wide] = number.mapSize, [fullHigh, fullWide] = number.mapFull, [top, left_, bottom, right_] = number.window;
    drawCodes(canvas.plane, canvas.codes, at * high * wide, high, wide, number.photo ? "grey" : colours());
    put(canvas.mark, top, left_, bottom, right_, fullHigh, fullWide);
  }
  function drawTerms() {
    const before = [...middle.querySelectorAll(".vx-number-row[data-number]")].map((row) => [row.dataset.number, row.querySelector(".vx-number-cell")?.style.cssText]);
    middle.replaceChildren();
    if (number.mixed?.said && number.kind === "attention") return drawMixed();
    if (!number.known) return make("p", "vx-number-words", middle, "No terms are shown for this operation.");
    const [high, wide] = number.size, area = high * wide, drawn = area > 1;
    const one = floats(number.first), two = floats(number.second), product = one.map((value, i) => value * two[i]);
    const tops = [largest(one), largest(two), largest(product)], most = largest([...number.terms.map((term) => term.product), number.rest]);
    const codes = number.maps?.byteLength ? bytesOf(number.maps) : null;
    const gathered = number.kind === "mean" || number.kind === "largest";
    const titles = make("div", "vx-number-row vx-number-titles", middle);
    const rowsOf = { drawn, maps: Boolean(codes) && !gathered };
    for (const text of [rowsOf.maps ? "goes in" : "", drawn ? "under the kernel" : gathered ? "value" : "number", "", drawn ? "kernel" : gathered ? "share" : "weight", ...(drawn ? ["", "product"] : []), "adds"])
      make("span", "", titles, text);
    titles.dataset.kind = drawn ? "patch" : "number";
    const lone = drawn && number.terms.length === 1;
    titles.dataset.wide = String(lone);
    if (lone) titles.lastChild.remove();                 // what it adds stands below the squares, and its title there
    if (codes && gathered) {
      const holder = make("div", "vx-number-in vx-number-in-one", middle);
      const canvas = { plane: make("canvas", "", holder), mark: make("div", "vx-number-cell", holder), codes };
      windowOn(canvas, 0);
    }
    number.terms.forEach((term, at) => {
      const row = make("div", "vx-number-row", middle), name = make("div", "vx-number-source", row);
      Object.assign(row.dataset, { kind: titles.dataset.kind, wide: titles.dataset.wide });
      row.dataset.number = String(term.number);
      if (rowsOf.maps) {
        const holder = make("div", "vx-number-in", name);
        const canvas = { plane: make("canvas", "", holder), mark: make("div", "vx-number-cell", holder), codes };
        const old = before[at];
        if (old && old[0] === row.dataset.number && old[1]) canvas.mark.style.cssText = old[1];   // it glides from there
        void canvas.mark.offsetWidth;
        windowOn(canvas, at);
      }
      const behind = (row_, column) => leave({ kind: "behind", term: term.place, row: row_, column });
      if (number.opens) button(name, `${term.name} ›`, () => behind(...middleOf()), { className: "vx-number-link", label: `${term.name}: how is this number computed?` });
      else make("span", "vx-number-name", name, term.name);
      const given = grid(row, one, at * area, high, wide, tops[0], number.inside, `${term.name}, what goes in`);
      if (number.opens) {
        given.canvas.classList.add("vx-number-open");
        given.canvas.onclick = (event) => { const { row: y, column: x } = given.at(event); behind(y, x); };
      }
      make("span", "vx-number-sign", row, "×");
      grid(row, two, at * area, high, wide, tops[1], null, `${term.name}, the ${drawn ? "kernel" : "weight"}`);
      if (drawn) {
        make("span", "vx-number-sign", row, "=");
        grid(row, product, at * area, high, wide, tops[2], number.inside, `${term.name}, the product`);
      }
      adds(row, term.product, most);
    });
    if (number.others) {
      const row = make("div", "vx-number-row vx-number-rest", middle);
      row.dataset.kind = titles.dataset.kind;
      make("span", "vx-number-name", row, `and ${number.others.toLocaleString("en")} more: sum`);
      adds(row, number.rest, most);
    }
    if (number.mixed?.said) drawMixed();
  }
  function adds(row, value, most) {
    if (row.dataset.wide === "true") make("span", "vx-number-title-below", row, "adds");
    const cell = make("div", "vx-number-adding", row);
    bar_(cell, value, most);
    make("span", "vx-number-value", cell, signed(value));
  }
  const middleOf = () => {                               // of the kernel a place that lies on the map
    const [high, wide] = number.size, inside = number.inside, centre = Math.floor(high / 2) * wide + Math.floor(wide / 2);
    const at = !inside?.length || inside[centre] ? centre : Math.max(0, inside.findIndex(Boolean));
    return [Math.floor(at / wide), at % wide];
  };
  function drawMixed() {
    const mixed = number.mixed, box = make("div", "vx-number-mixed", middle);
    make("p", "vx-number-words", box, mixed.said);
    const line = make("div", "vx-number-line", box), weights = floats(mixed.weights), [high, wide] = mixed.grid.length ? mixed.grid : [1, weights.length];
    const most = largest(weights) || 1, figure = make("figure", "vx-number-attention", line), holder = make("div", "vx-number-seen", figure);
    if (mixed.grid.length) {
      const image = make("img", "", holder);
      image.src = photoUrl;
      image.alt = "";
    }
    const canvas = make("canvas", mixed.grid.length ? "vx-number-glow" : "vx-number-strip", holder), table = colourTable("magma");
    const image = new ImageData(wide, high), pixels = new Uint32Array(image.data.buffer);
    weights.forEach((value, i) => { pixels[i] = (table[Math.round(255 * Math.sqrt(value / most))] & 0xffffff) | (mixed.grid.length ? 0xd0000000 : 0xff000000); });
    Object.assign(canvas, { width: wide, height: high });
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "The row of attention weights");
    if (mixed.grid.length) {
      const own = make("div", "vx-number-cell", holder);
      put(own, number.row, number.column, number.row + 1, number.column + 1, high, wide);
    }
    make("figcaption", "vx-number-words", figure, `weights 0 to ${shown(most, 3)}`);
    const places = make("div", "vx-number-places", line), strongest = largest([...mixed.places.map((one) => one.product), mixed.rest]);
    const row = (name, text, value) => {
      const one = make("div", "vx-number-place", places);
      make("span", "vx-number-name", one, name);
      make("span", "vx-number-sign", one, text);
      adds(one, value, strongest);
    };
    for (const one of mixed.places) row(one.name, `${shown(one.weight, 3)} × ${shown(one.value, 3)}`, one.product);
    if (mixed.others) row(`and ${mixed.others} more: sum`, "", mixed.rest);
    row("together", "", mixed.total);
  }
  function drawSteps() {
    ladder.replaceChildren();
    const add = (name, text, value, kind = "") => {
      const one = make("li", `vx-number-step ${kind}`, ladder);
      make("b", "", one, name);
      if (text) make("span", "vx-number-formula", one, text);
      make("span", "vx-number-value", one, shown(value, 6));
      return one;
    };
    const names = { largest: `the largest of ${number.count}`, mean: `the mean of ${number.count}` };
    add(number.known ? names[number.kind] ?? `sum of ${number.count} ${number.of}${number.count === 1 ? "" : "s"}` : number.kind, "", number.sum);
    if (number.bias) add("bias", signed(number.bias), typeof number.sum === "number" ? number.sum + number.bias : number.sum);
    number.steps.forEach((one, at) => {
      const node = add(one.name, one.text === one.name ? "" : one.text, one.value);
      if (one.other && one.opens) node.insertBefore(button(null, `${one.other} ›`, () => leave({ kind: "branch", step: at }), { className: "vx-number-link", label: `${one.other}: how is that number computed?` }), node.lastChild);
      else if (one.other) node.insertBefore(make("span", "vx-number-formula", null, one.other), node.lastChild);
    });
    const gap = typeof number.value === "number" && typeof number.computed === "number" ? Math.abs(number.value - number.computed) : null;
    const last = add("the cell", gap === null ? "" : gap ? `differs by ${gap.toExponential(0)}: ${number.agrees ? "" : "more than "}rounding` : "the very same", number.value, "vx-number-result");
    last.dataset.value = String(number.value);
    last.dataset.computed = String(number.computed);
  }
  function drawPlace() {
    put(mark, number.row, number.column, number.row + 1, number.column + 1, layer.rows, layer.columns);
    where.textContent = layer.rows * layer.columns > 1 ? `row ${number.row}, column ${number.column}` : "one value";
    map.setAttribute("aria-label", `The map of channel ${number.channel}, at ${where.textContent}: ${shown(number.value)}. Arrow keys move, the space bar plays.`);
    const across = layer.reads?.columns?.[number.column], down = layer.reads?.rows?.[number.row];
    frame.hidden = !across || !down;
    if (!frame.hidden) put(frame, down[0], across[0], down[1], across[1], 1, 1);
    reading.textContent = layer.reads?.said ? `The cell is ${layer.reads.said}.` : "";
  }
  function drawHeat() {
    const heat = model.get("_heat") || {}, on = Boolean(heat.data?.byteLength);
    root.dataset.heat = String(on);
    glow.hidden = scale.hidden = !on;
    effective.setAttribute("aria-pressed", String(on));
    differs.textContent = on ? heat.said : "";
    if (!on) return;
    const table = colourTable("magma"), codes = bytesOf(heat.data), image = new ImageData(heat.width, heat.height), pixels = new Uint32Array(image.data.buffer);
    codes.forEach((code, i) => { pixels[i] = (table[code] & 0xffffff) | ((code < 8 ? code * 24 : 235) << 24); });
    Object.assign(glow, { width: heat.width, height: heat.height });
    glow.getContext("2d").putImageData(image, 0, 0);
    const strip = new ImageData(256, 1), words_ = new Uint32Array(strip.data.buffer);
    for (let i = 0; i < 256; i++) words_[i] = table[Math.round(255 * Math.sqrt(i / 255))];
    Object.assign(ramp, { width: 256, height: 1 });
    ramp.getContext("2d").putImageData(strip, 0, 0);
    ramp.setAttribute("aria-hidden", "true");
  }
  function drawLayer() {
    const sent = model.get("_layer") || {};
    if (!sent.map) return;
    layer = { ...sent, reads: { columns: sent.readColumns, rows: sent.readRows, said: sent.said } };
    layers.replaceChildren();
    const names = layer.layers ?? [], known = names.includes(layer.module);
    names.forEach((name, at) => { make("option", "", layers, at ? name : `${name} (the stage)`).value = String(at); });
    if (!known) make("option", "", layers, layer.module).value = "here";
    layers.value = known ? String(names.indexOf(layer.module)) : "here";
    Object.assign(channel, { max: layer.channels - 1, value: layer.channel });
    back.hidden = !layer.back;
    back.title = layer.back ? `Back to ${layer.back}` : "";
    back.textContent = layer.back ? `‹ back to ${layer.back.split(",")[0]}` : "";
    drawCodes(plane, bytesOf(layer.map), 0, layer.height, layer.width, colours());
    map.style.aspectRatio = `${layer.columns} / ${layer.rows}`;
    words.textContent = `${layer.module}, channel ${layer.channel} of ${layer.channels}: ${layer.rows} × ${layer.columns}, ${shown(layer.low, 3)} to ${shown(layer.high, 3)}`;
    for (const one of [backwards, play, onwards]) one.disabled = layer.rows * layer.columns < 2;
    notes.replaceChildren(...(layer.notes ?? []).map((text) => make("p", "vx-number-words", null, text)));
    if (photoUrl) URL.revokeObjectURL(photoUrl);
    photoUrl = layer.photo?.byteLength ? urlOf(bytesOf(layer.photo), "image/jpeg") : "";
    left.hidden = !photoUrl;
    picture.src = photoUrl;
    picture.alt = `What the network sees of ${layer.title ?? "the photo"}`;
  }
  function draw() {
    const sent = model.get("_number") || {};
    asked = -Infinity;
    number = sent.module ? sent : null;
    root.dataset.shown = String(Boolean(number));
    if (!number || !layer) { pause(); first = true; return; }
    said.setAttribute("aria-live", timer ? "off" : "polite");   // of a step by hand it is read out
    said.textContent = `${number.module}, channel ${number.channel}${layer.rows * layer.columns > 1 ? `, row ${number.row}, column ${number.column}` : ""} is ${shown(number.value, 6)}. ${number.said}`;
    Object.assign(root.dataset, { row: number.row, column: number.column, module: number.module });
    drawPlace();
    drawTerms();
    drawSteps();
    drawHeat();
    if (first) requestAnimationFrame(() => root.scrollIntoView({ block: "nearest" }));   // once it has its height
    first = false;
    if (timer) { clearTimeout(timer); timer = setTimeout(tick, pace()); }
  }
  function guarded(act) {
    return () => {
      try { act(); } catch (error) {
        console.error("explorer: the number could not be drawn", error);
        said.textContent = `This number could not be drawn (${error.message}).`;
      }
    };
  }

  // --- stepping ---
  const pace = () => (calm() ? CALM_PACE : PACE);
  function go(row, column, keep = false) {
    if (!number || performance.now() - asked < PATIENCE) return;
    const at = { row: clamp(row, 0, layer.rows - 1), column: clamp(column, 0, layer.columns - 1) };
    if (at.row === number.row && at.column === number.column && keep === kept) return;   // at the edge: it is there
    asked = performance.now();
    kept = keep;
    ask({ kind: "at", ...at, keep });
  }
  function step(by) {
    pause();
    move(by, false);
  }
  function move(by, keep) {
    if (!number) return;
    const all = layer.rows * layer.columns, at = (number.row * layer.columns + number.column + by + all) % all;
    go(Math.floor(at / layer.columns), at % layer.columns, keep);
  }
  function tick() {
    if (!root.clientWidth || document.hidden) return pause();   // nobody looks
    timer = setTimeout(tick, 4 * pace());                // for an answer that never comes; the answer sets the pace
    asked = -Infinity;
    return move(1, true);
  }
  function start() {
    timer = setTimeout(tick, 0);
    showPlay();
  }
  function pause() {
    const was = timer;
    halt();
    if (!was || !kept || !number) return;
    asked = -Infinity;
    go(number.row, number.column);                       // the strongest of where it stopped
    asked = -Infinity;                                   // and the next key does not wait for them
  }
  function halt() {
    clearTimeout(timer);
    timer = 0;
    showPlay();
  }
  function showPlay() {
    play.textContent = timer ? "❚❚ Pause" : "▶ Play";
    play.setAttribute("aria-pressed", String(Boolean(timer)));
    root.dataset.playing = String(Boolean(timer));
  }
  function leave(message) {                              // for another map: what plays stops without a word
    halt();
    [asked, kept] = [-Infinity, false];
    ask(message);
  }

  const acts = [];
  const on = (target, type, act) => { target.addEventListener(type, act); acts.push(() => target.removeEventListener(type, act)); };
  on(map, "click", (event) => {
    const box = map.getBoundingClientRect();
    pause();
    asked = -Infinity;
    go(Math.floor((layer.rows * (event.clientY - box.top)) / box.height), Math.floor((layer.columns * (event.clientX - box.left)) / box.width));
  });
  on(root, "keydown", (event) => {
    event.stopPropagation();
    if (!number || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { leave({ kind: "shut" }); event.preventDefault(); return; }
    if (event.target !== map) return;
    const { row, column } = number, moves = { ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], Home: [row, 0], End: [row, layer.columns - 1] };
    if (event.key === " ") timer || play.disabled ? pause() : start();
    else if (moves[event.key]) { pause(); go(...moves[event.key]); }
    else return;
    event.preventDefault();
  });
  on(layers, "change", () => layers.value !== "here" && leave({ kind: "layer", place: Number(layers.value) }));
  on(channel, "change", () => {
    const wanted = Math.round(Number(channel.value));
    if (!layer || !Number.isFinite(wanted)) return;
    channel.value = String(clamp(wanted, 0, layer.channels - 1));
    leave({ kind: "channel", channel: Number(channel.value) });
  });

  const showBusy = () => { working.textContent = model.get("busy") ? `${model.get("busy")} …` : ""; };
  const drawAll = guarded(() => { drawLayer(); draw(); });
  // a layer and its number come one after the other: drawn when both are there
  undo.push(watch(model, { _layer: guarded(() => {
    drawLayer();
    const sent = model.get("_number") || {};
    if (number && sent.module === layer?.module && sent.channel === layer.channel) { drawPlace(); drawTerms(); }
  }), _number: guarded(draw), _heat: guarded(drawHeat), busy: showBusy, colormap: drawAll }));
  drawAll();
  drawHeat();
  showBusy();
  showPlay();
  return () => {
    clearTimeout(timer);
    acts.forEach((act) => act());
    undo.forEach((act) => act());
    if (photoUrl) URL.revokeObjectURL(photoUrl);
    root.remove();
  };
}

export default part(render);
