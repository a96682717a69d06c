// A grid of feature maps on one canvas. Python sends one byte a value (255: not finite) and the lowest and
// highest value of each channel; colours, order, scale and readings are worked out here.

const NAMES = {
  sort: ["Order", { channel: "by number", strength: "strongest first" }],
  scale: ["Scale", { own: "each channel its own", shared: "shared by all" }],
  colormap: ["Colours", { viridis: "viridis", magma: "magma", grey: "grey", coolwarm: "blue to red around zero" }],
};
const LEVELS = 254, NOT_FINITE = 255, MAGENTA = 0xffff00ff, GAP = 1, ZOOM = 336;
// How wide a picture may be: so wide for every model, whatever its maps measure. Maps of 7, 14, 28, 56 and 112
// values (a photo of 224 pixels) get a whole number of pixels a value.
const WIDTHS = [112, 98, 84, 70, 56, 42, 28], DOT_WIDTHS = [32, 28, 24, 20, 16, 14];

const show = (x) => (!isFinite(x) ? "–" : x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : String(+x.toPrecision(3)));

// DataViews -> typed arrays; copied where the buffer does not start on a multiple of four
const typed = (view, Kind) => new Kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

function unpack(sent) {
  if (!sent?.count) return null;
  const maps = { ...sent, data: typed(sent.data, Uint8Array), channels: typed(sent.channels, Int32Array) };
  for (const key of ["lo", "hi", "strength"]) maps[key] = typed(sent[key], Float32Array);
  maps.area = maps.width * maps.height;
  const lows = maps.lo.filter(isFinite), highs = maps.hi.filter(isFinite);
  maps.least = lows.reduce((a, b) => Math.min(a, b), Infinity);
  maps.most = highs.reduce((a, b) => Math.max(a, b), -Infinity);
  return maps;
}

function render({ model, el }) {
  const undo = [];                                       // what the clean-up has to take back
  const on = (target, type, act) => {
    target.addEventListener(type, act);
    undo.push(() => target.removeEventListener(type, act));
  };
  const root = make("div", "vx-mosaic", el);
  root.dataset.lmSuppressShortcuts = "true";             // or JupyterLab takes the arrow keys
  const head = make("div", "vx-mosaic-head", root);
  const title = make("strong", "vx-mosaic-title", head);
  const note = make("span", "vx-mosaic-note", head);
  const menus = make("div", "vx-mosaic-menus", root);
  const body = make("div", "vx-mosaic-body", root);
  const box = make("div", "vx-mosaic-box", body);
  const sheet = make("div", "vx-mosaic-sheet", box);
  const canvas = make("canvas", "vx-mosaic-canvas", sheet);
  const hover = make("div", "vx-mosaic-mark vx-mosaic-hover", sheet);
  const mark = make("div", "vx-mosaic-mark vx-mosaic-cursor", sheet);   // also the listbox's one live option
  const side = make("section", "vx-mosaic-side", body);
  const foot = make("div", "vx-mosaic-foot", root);
  const bar = makeBar(foot);
  const reading = make("div", "vx-mosaic-reading", root);
  const empty = make("div", "vx-mosaic-empty", root);

  sheet.setAttribute("role", "listbox");
  sheet.tabIndex = 0;
  mark.setAttribute("role", "option");
  mark.id = newId("mosaic");
  sheet.setAttribute("aria-activedescendant", mark.id);
  reading.setAttribute("role", "status");
  reading.title = "Channels, rows and columns are counted from 0, as in Python. Strength: the mean size of the values.";

  const sideHead = make("div", "vx-mosaic-side-head", side);
  const sideTitle = make("strong", "", sideHead);
  const small = (text, label) => button(sideHead, text, null, { className: "vx-mosaic-button", label });
  const previous = small("‹", "Previous channel"), next = small("›", "Next channel");
  const shut = small("×", "Close the enlarged channel");
  const big = make("canvas", "vx-mosaic-big", side);
  big.setAttribute("role", "img");
  const sideBar = makeBar(side);
  const facts = make("div", "vx-mosaic-facts", side);
  const why = button(side, "How is a number computed?", null, { className: "vx-mosaic-button vx-mosaic-why",
    label: "How is a number computed? The largest of this channel here; or click any cell of the picture" });

  const pickers = {};                                    // the three menus, by the trait they set
  let maps = null, order = [], place = null;             // order: positions on the sheet -> index into maps
  let cursor = 0, atlas = null, table = null, painted = 0, queued = 0, drawn = "";

  function makeBar(parent) {
    const node = make("div", "vx-mosaic-bar", parent);
    const low = make("span", "", node), strip = make("canvas", "", node), high = make("span", "", node);
    Object.assign(strip, { width: 256, height: 1 });
    strip.setAttribute("aria-hidden", "true");
    return { node, low, strip, high, words: make("span", "vx-mosaic-words", node) };
  }
  function fillBar({ strip, low, high, words }, from, to, text) {
    const row = new ImageData(256, 1);
    new Uint32Array(row.data.buffer).set(table);
    strip.getContext("2d").putImageData(row, 0, 0);
    [low.textContent, high.textContent, words.textContent] = [from, to, text];
  }

  // --- colours --------------------------------------------------------------------------------
  const diverging = () => model.get("colormap") === "coolwarm";
  const own = () => model.get("scale") === "own" && maps.area > 1;     // one value has no range of its own
  function limits(i) {                                   // the values at the two ends of the colour table
    const shared = !own();
    const lo = shared ? maps.least : maps.lo[i], hi = shared ? maps.most : maps.hi[i];
    const far = Math.max(Math.abs(lo), Math.abs(hi));
    return diverging() ? [-far, far] : [lo, hi];
  }
  function colourChannel(i, out, start, stride) {
    const [lo, hi] = limits(i), flat = !(hi / 2 - lo / 2 > 0);   // halves: hi - lo may overflow
    const words = new Uint32Array(256).fill(MAGENTA);
    for (let q = 0; q <= LEVELS; q++) {
      const half = (maps.lo[i] / 2) * (1 - q / LEVELS) + (maps.hi[i] / 2) * (q / LEVELS);
      const x = flat ? (diverging() ? 0.5 : 0) : (half - lo / 2) / (hi / 2 - lo / 2);
      words[q] = table[clamp(Math.round(x * 255), 0, 255) || 0];
    }
    let from = i * maps.area;
    for (let y = 0; y < maps.height; y++, start += stride)
      for (let x = 0; x < maps.width; x++) out[start + x] = words[maps.data[from++]];
  }
  function drawAtlas() {                                 // every channel once, pixel for pixel
    const across = clamp(Math.floor(4096 / maps.width), 1, maps.count);
    const picture = new ImageData(across * maps.width, Math.ceil(maps.count / across) * maps.height);
    const out = new Uint32Array(picture.data.buffer);
    for (let i = 0; i < maps.count; i++)
      colourChannel(i, out, Math.floor(i / across) * maps.height * picture.width + (i % across) * maps.width, picture.width);
    atlas = { canvas: document.createElement("canvas"), across };
    Object.assign(atlas.canvas, { width: picture.width, height: picture.height });
    atlas.canvas.getContext("2d").putImageData(picture, 0, 0);
  }

  // --- the sheet ------------------------------------------------------------------------------
  function arrange() {                                   // the largest pictures that fit without scrolling
    const width = Math.floor(box.clientWidth), widths = maps.area === 1 ? DOT_WIDTHS : WIDTHS;
    const ratio = clamp(maps.height / maps.width, 0.2, 5);
    let found;
    for (const wide of widths) {
      const high = Math.max(1, Math.round(wide * ratio)), columns = Math.max(1, Math.floor((width + GAP) / (wide + GAP)));
      found = { wide, high, columns: Math.min(columns, maps.count), rows: Math.ceil(maps.count / columns) };
      if (found.rows * (high + GAP) <= model.get("room")) break;
    }
    return found;
  }
  const cell = (position) => [(position % place.columns) * (place.wide + GAP), Math.floor(position / place.columns) * (place.high + GAP)];
  function put(node, position) {
    node.hidden = !(position >= 0);
    if (node.hidden) return;
    const [x, y] = cell(position);
    Object.assign(node.style, { left: `${x}px`, top: `${y}px`, width: `${place.wide}px`, height: `${place.high}px` });
  }
  const fits = () => `${box.clientWidth} ${window.devicePixelRatio}`;  // what a drawing depends on
  function drawSheet() {
    drawn = fits();
    place = arrange();
    const width = place.columns * (place.wide + GAP) - GAP, height = place.rows * (place.high + GAP) - GAP;
    const dots = window.devicePixelRatio || 1;
    Object.assign(canvas, { width: Math.round(width * dots), height: Math.round(height * dots) });
    for (const node of [canvas, sheet]) Object.assign(node.style, { width: `${width}px`, height: `${height}px` });
    const pen = canvas.getContext("2d");
    // A value is a square with sharp edges. Where it is no whole number of screen pixels wide, its edges are mixed:
    // the map is drawn a little too large first, and then averaged.
    const times = Math.max(1, Math.ceil((place.wide * dots) / maps.width)), high = Math.max(1, Math.ceil((place.high * dots) / maps.height));
    const large = document.createElement("canvas"), brush = large.getContext("2d");
    Object.assign(large, { width: maps.width * times, height: maps.height * high });
    brush.imageSmoothingEnabled = false;
    pen.imageSmoothingEnabled = true;
    pen.imageSmoothingQuality = "high";
    order.forEach((i, position) => {
      const [x, y] = cell(position), right = Math.round((x + place.wide) * dots), low = Math.round((y + place.high) * dots);
      const left = Math.round(x * dots), top = Math.round(y * dots);
      brush.drawImage(atlas.canvas, (i % atlas.across) * maps.width, Math.floor(i / atlas.across) * maps.height,
        maps.width, maps.height, 0, 0, large.width, large.height);
      pen.drawImage(large, left, top, right - left, low - top);
    });
    root.dataset.painted = String(++painted);
    put(hover, -1);
    drawMark();
    if (!side.hidden) keepInView();
  }
  function keepInView() {                                // scrolls the box, never the notebook
    const [, y] = cell(order.indexOf(cursor));
    if (y < box.scrollTop) box.scrollTop = y;
    else if (y + place.high > box.scrollTop + box.clientHeight) box.scrollTop = y + place.high - box.clientHeight + 6;
  }
  function drawMark() {
    put(mark, order.indexOf(cursor));
    mark.setAttribute("aria-posinset", String(order.indexOf(cursor) + 1));
    mark.setAttribute("aria-setsize", String(maps.count));
    mark.setAttribute("aria-selected", String(maps.channels[cursor] === model.get("selected")));
    mark.setAttribute("aria-label", describe(cursor));
  }

  // --- words ----------------------------------------------------------------------------------
  const value = (i, pixel) => {
    const q = maps.data[i * maps.area + pixel];
    return q === NOT_FINITE ? "not finite" : show((maps.lo[i] / 2 * (1 - q / LEVELS) + maps.hi[i] / 2 * (q / LEVELS)) * 2);
  };
  const span = (k, full) => {                            // what one pixel stands for, where it is a mean
    const from = k * maps.step, to = Math.min(from + maps.step, full) - 1;
    return from === to ? `${from}` : `${from} to ${to}`;
  };
  const where = (pixel) => {
    const row = span(Math.floor(pixel / maps.width), maps.full[0]), column = span(pixel % maps.width, maps.full[1]);
    return maps.step > 1 ? `rows ${row}, columns ${column}` : `row ${row}, column ${column}`;
  };
  const reads = (i, pixel) => `${maps.step > 1 ? "mean" : "value"} ${value(i, pixel)} at ${where(pixel)}`;
  const about = (i) => (isNaN(maps.lo[i]) ? "no finite value"
    : `range ${show(maps.lo[i])} to ${show(maps.hi[i])}; strength ${show(maps.strength[i])}`);
  const describe = (i, pixel) =>
    `channel ${maps.channels[i]}: ${pixel === undefined ? "" : reads(i, pixel) + "; "}${about(i)}`;
  function say(text, aloud) {
    reading.setAttribute("aria-live", aloud ? "polite" : "off");     // a moving mouse is not read out
    reading.textContent = text;
  }
  const hint = () => say(maps ? "Point at a picture to read its values. Click it, or use the arrow keys and Enter, to enlarge it." : "", false);

  // --- the enlarged channel -------------------------------------------------------------------
  function drawSide() {
    const wanted = model.get("selected"), i = maps ? maps.channels.indexOf(wanted) : -1;
    root.dataset.selected = String(wanted);
    side.hidden = i < 0;
    if (i < 0 && maps && wanted >= 0) say(`Channel ${wanted} is not among those shown.`, true);
    if (i < 0) return;
    cursor = i;
    const grow = ZOOM / Math.max(maps.width, maps.height);              // as large for every model
    Object.assign(big, { width: maps.width, height: maps.height });
    Object.assign(big.style, { width: `${Math.round(maps.width * grow)}px`, height: `${Math.round(maps.height * grow)}px` });
    const picture = new ImageData(maps.width, maps.height);
    colourChannel(i, new Uint32Array(picture.data.buffer), 0, maps.width);
    big.getContext("2d").putImageData(picture, 0, 0);
    big.setAttribute("aria-label", describe(i));
    const [lo, hi] = limits(i);
    sideTitle.textContent = `Channel ${wanted}`;
    fillBar(sideBar, show(lo), show(hi), "");
    sideBar.node.hidden = isNaN(lo);
    facts.textContent = about(i);
  }
  function enlarge(i) {
    const closed = side.hidden;
    choose(model, "selected", i < 0 ? -1 : maps.channels[i]);
    if (closed && !side.hidden) side.scrollIntoView({ block: "nearest" });   // on a narrow page it is below the sheet
  }
  function step(by) {
    const position = clamp(order.indexOf(cursor) + by, 0, maps.count - 1);
    moveTo(order[position]);
  }
  function moveTo(i) {
    cursor = i;
    if (!side.hidden) enlarge(i);                        // the enlarged picture goes along
    drawMark();
    keepInView();
    say(describe(i), true);
  }

  // --- putting it together ----------------------------------------------------------------------
  function guarded(act) {
    return (...given) => {
      try { return act(...given); } catch (error) {
        console.error("explorer: the feature maps could not be drawn", error);
        empty.textContent = `These feature maps could not be drawn (${error.message}).`;
        empty.hidden = false;
      }
    };
  }
  const redraw = guarded(() => {                         // order, scale or colours have changed
    if (!maps) return;
    table = colourTable(model.get("colormap"));
    order = Array.from({ length: maps.count }, (_, i) => i);
    if (model.get("sort") === "strength") order.sort((a, b) => maps.strength[b] - maps.strength[a] || a - b);
    const [lo, hi] = limits(0);
    if (own()) fillBar(bar, diverging() ? "-m" : "min", diverging() ? "+m" : "max", diverging()
      ? "each channel from -m to +m, where m is its largest absolute value"
      : "each channel from its own minimum to its own maximum");
    else fillBar(bar, show(lo), show(hi), (maps.area > 1 ? "shared by all channels" : "one value a channel, one scale for all") + (diverging() ? ", 0 in the middle" : ""));
    drawAtlas();
    drawSide();
    drawn = "";
    if (box.clientWidth > 0) drawSheet();                // hidden in a closed tab: the observer calls again
    pickers.scale.disabled = maps.area === 1;
  });
  const load = guarded(() => {
    const sent = model.get("_maps") || {};
    maps = unpack(sent);
    for (const node of [menus, body, foot, reading]) node.hidden = !maps;
    head.hidden = !maps;
    empty.hidden = Boolean(maps);
    empty.textContent = sent.message || "No feature maps yet.";
    Object.assign(root.dataset, { channels: maps ? maps.count : 0, height: maps ? maps.full[0] : 0, width: maps ? maps.full[1] : 0 });
    if (!maps) return drawSide();
    title.textContent = maps.title;
    note.textContent = maps.note;
    sheet.setAttribute("aria-label", `Feature maps${maps.title ? " of " + maps.title : ""}: ${maps.note}. Arrow keys move, Enter enlarges.`);
    cursor = clamp(cursor, 0, maps.count - 1);
    hint();
    redraw();
  });

  const cellAt = (event) => {
    const [x, y] = [event.offsetX, event.offsetY];
    const column = Math.floor(x / (place.wide + GAP)), row = Math.floor(y / (place.high + GAP));
    const position = row * place.columns + column;
    if (x < 0 || y < 0 || column >= place.columns || position >= maps.count) return null;
    const pixel = (at, size, values) => clamp(Math.floor((at / size) * values), 0, values - 1);
    return { position, i: order[position],
      pixel: pixel(y % (place.high + GAP), place.high, maps.height) * maps.width + pixel(x % (place.wide + GAP), place.wide, maps.width) };
  };
  on(canvas, "mousemove", (event) => {
    const at = cellAt(event);
    put(hover, at ? at.position : -1);
    at ? say(describe(at.i, at.pixel), false) : hint();
  });
  on(canvas, "mouseleave", () => { put(hover, -1); hint(); });
  on(canvas, "click", (event) => {
    const at = cellAt(event);
    if (!at) return;
    cursor = at.i;
    enlarge(at.i);
    moveTo(at.i);
    sheet.focus({ preventScroll: true });
  });
  const pixelOfBig = (event) => {
    const x = clamp(Math.floor((event.offsetX / big.clientWidth) * maps.width), 0, maps.width - 1);
    const y = clamp(Math.floor((event.offsetY / big.clientHeight) * maps.height), 0, maps.height - 1);
    return y * maps.width + x;
  };
  const ask = (pixel) => tell(model, { kind: "cell", channel: model.get("selected"),
    row: Math.floor(pixel / maps.width) * maps.step, column: (pixel % maps.width) * maps.step });
  on(big, "mousemove", (event) => {
    facts.textContent = reads(maps.channels.indexOf(model.get("selected")), pixelOfBig(event));
  });
  on(big, "click", (event) => ask(pixelOfBig(event)));
  on(why, "click", () => {                               // of the channel's brightest cell
    const start = maps.channels.indexOf(model.get("selected")) * maps.area;
    const values = maps.data.subarray(start, start + maps.area);
    ask(values.reduce((best, code, at) => (code !== NOT_FINITE && code > values[best] ? at : best), 0));
  });
  on(big, "mouseleave", () => { facts.textContent = about(maps.channels.indexOf(model.get("selected"))); });
  on(previous, "click", () => step(-1));
  on(next, "click", () => step(1));
  const closeSide = () => { enlarge(-1); sheet.focus({ preventScroll: true }); };
  on(shut, "click", closeSide);

  on(root, "keydown", (event) => {
    event.stopPropagation();
    if (!maps || !place || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const onSheet = event.target === sheet, far = maps.count;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -place.columns, ArrowDown: place.columns, Home: -far, End: far };
    if (event.key === "Escape" && !side.hidden) closeSide();
    else if ((onSheet || (side.contains(event.target) && /^Arrow(Left|Right)$/.test(event.key))) && event.key in moves) {
      const at = order.indexOf(cursor) + moves[event.key];
      // up and down stay in their column; at the edge they stay where they are
      if (!/Up|Down/.test(event.key) || (at >= 0 && at < maps.count)) step(moves[event.key]);
    } else if (onSheet && (event.key === "Enter" || event.key === " ")) { enlarge(cursor); moveTo(cursor); }
    else return;
    event.preventDefault();
  });
  on(sheet, "focus", () => { if (maps && place) say(describe(cursor), true); });

  for (const [key, [label, choices]] of Object.entries(NAMES)) {
    const field = make("label", "vx-mosaic-field", menus, label + " ");
    const select = pickers[key] = make("select", `vx-mosaic-${key}`, field);
    for (const [choice, words] of Object.entries(choices)) make("option", "", select, words).value = choice;
    const follow = () => { select.value = model.get(key); redraw(); };
    select.value = model.get(key);
    on(select, "change", () => choose(model, key, select.value));
    undo.push(watch(model, { [key]: follow }));
  }
  const follow = guarded(() => { drawSide(); if (maps && place) drawMark(); });
  undo.push(watch(model, { selected: follow, _maps: load }));

  const observer = new ResizeObserver(() => {
    if (queued) return;
    queued = requestAnimationFrame(guarded(() => { queued = 0; if (maps && box.clientWidth > 0 && drawn !== fits()) drawSheet(); }));
  });
  observer.observe(box);
  load();
  return () => {
    observer.disconnect();
    cancelAnimationFrame(queued);
    undo.forEach((act) => act());
    root.remove();
  };
}

export default part(render);
