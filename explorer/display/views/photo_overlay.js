// One photo and its layers: heat map, mask, patches, boxes, a frame, a box that the reader draws. Places are
// in the photo's own pixels throughout; only what is painted on a canvas knows of the screen's.

const TAGS = 200, TAG_HEIGHT = 17, TAG_WIDTH = 150;      // names on boxes, at most; pixels of one
const MOST_KEYS = 24;                                    // classes in the legend, at most
const MANY = 2000;                                       // so many boxes are drawn by thin lines
const PATIENCE = 300;                                    // ms: a held key asks once, at its end
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const GONE = ["Escape", "Delete", "Backspace"];

// DataViews -> typed arrays; copied, since a buffer need not start on a multiple of four
const typed = (view, Kind) => new Kind(bytesOf(view).slice().buffer);
const rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
// an opaque colour as the little-endian word of an ImageData; 0 is transparent
const word = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
const inkOn = (colour) => {
  const [red, green, blue] = rgb(colour);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#000" : "#fff";
};

function paint(canvas, { width, height }, codes, words) {
  Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height), out = new Uint32Array(pixels.data.buffer);
  for (let i = 0; i < out.length; i++) out[i] = words[codes[i]] ?? 0;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function render({ model, el }) {
  const root = make("div", "vx-view", el);
  root.dataset.lmSuppressShortcuts = "true";             // or an arrow key moves the notebook's selection
  const stage = make("div", "vx-view-stage", root);
  const image = make("img", "", stage);
  image.draggable = false;
  const layer = (tag, name) => make(tag, `vx-view-${name}`, stage);
  const heat = layer("canvas", "heat"), mask = layer("canvas", "mask"), lines = layer("div", "lines");
  const frame = layer("div", "frame"), square = layer("div", "square"), outlines = layer("canvas", "outlines");
  const chosenMarks = layer("div", "chosen"), mark = layer("div", "mark"), hover = layer("div", "hover");
  const tags = layer("div", "tags"), box = layer("div", "box"), tip = layer("div", "tip");
  const reading = make("div", "vx-view-reading", root);
  reading.setAttribute("role", "status");
  const legend = make("div", "vx-view-legend", root);
  legend.setAttribute("role", "group");
  legend.setAttribute("aria-label", "Classes of the mask");
  const foot = make("div", "vx-view-foot", root);
  const bar = make("div", "vx-view-bar", foot), low = make("span", "", bar), strip = make("canvas", "", bar), high = make("span", "", bar);
  const heatSlider = slide("alpha", heat), maskSlider = slide("mask_alpha", mask);
  const linesBox = tick("lines", "patches"), outlinesBox = tick("outlines", "boxes");
  maskSlider.word.textContent = "Mask";
  maskSlider.input.setAttribute("aria-label", "Strength of the mask");

  const of = (key) => model.get(key) || {};
  const size = () => [of("_photo").width ?? 1, of("_photo").height ?? 1];
  const grid = () => [of("_photo").rows ?? 0, of("_photo").columns ?? 0];
  const picks = () => model.get("picks") && grid()[0] > 0;
  const picked = () => { const place = model.get("place") || []; return place.length === 2 ? place : null; };
  let url = "", boxes = null, ghosts = null, classes = null, cursor = -1, spot = null, queued = 0, from = null;
  let moving = 0;                                        // the frame asked for while the square goes over the photo
  const timers = {};

  function slide(key, canvas) {
    const label = make("label", "", foot), word = make("span", "", label), input = make("input", "", label);
    Object.assign(input, { type: "range", min: "0", max: "1", step: "0.05" });
    input.oninput = () => { canvas.style.opacity = input.value; choose(model, key, Number(input.value)); };
    return { label, word, input };
  }
  function tick(key, text) {
    const label = make("label", "", foot), input = make("input", "", label);
    input.type = "checkbox";
    label.append(text);
    input.onchange = () => choose(model, key, input.checked);
    return { label, input };
  }
  function put(node, edges) {
    const [width, height] = size();
    node.hidden = edges?.length !== 4;
    if (node.hidden) return;
    const [left, top, right, bottom] = edges;
    Object.assign(node.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
      width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` });
  }
  // What the reader points out, to Python; a key that is held says it once.
  function point(kind, value, wait = 0) {
    model.set(kind, value);
    clearTimeout(timers[kind]);
    const more = kind === "chosen" ? { generation: boxes.generation } : {};
    timers[kind] = setTimeout(() => tell(model, { kind, [kind]: value, ...more }), wait);
  }

  // --- layers ------------------------------------------------------------------------------------------
  function drawPhoto() {
    URL.revokeObjectURL(url);
    const { data, width, height } = of("_photo");
    root.hidden = !data;
    if (!data) return;
    url = urlOf(bytesOf(data));
    image.src = url;
    const scale = model.get("side") / Math.max(width, height);
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.style.width = `${Math.max(8, Math.round(scale * width))}px`;
    [cursor, spot] = [-1, null];
    rest();
    write();
    drawMarks();
  }
  function drawHeat() {
    const { data, colours, ...found } = of("_heat"), [rows, columns] = grid();
    heat.hidden = !data;
    root.dataset.heat = data ? "yes" : "";
    heat.classList.toggle("vx-view-squares", found.height === rows && found.width === columns);
    if (data) {
      const table = bytesOf(colours);
      const words = Array.from({ length: 256 }, (_, i) => word(table.subarray(3 * i, 3 * i + 3)));
      paint(heat, found, bytesOf(data), words);
      paint(strip, { width: 256, height: 1 }, Uint8Array.from({ length: 256 }, (_, i) => i), words);
      [low.textContent, high.textContent] = found.ends;
    }
    write();
    rest();
  }
  function drawSweep() {
    const { boxes = [], seconds = 0 } = of("_sweep"), begun = performance.now();
    cancelAnimationFrame(moving);
    square.hidden = !boxes.length;
    const go = () => {
      const share = calm() || !seconds ? 1 : Math.min(1, (performance.now() - begun) / (1000 * seconds));
      put(square, boxes[Math.round(share * (boxes.length - 1))]);
      if (share < 1) moving = requestAnimationFrame(go);
    };
    if (boxes.length) go();
  }
  function takeMask() {
    const { data, values, ...sent } = of("_mask");
    classes = data ? { ...sent, codes: typed(data, Uint16Array), values: bytesOf(values) } : null;
    root.dataset.mask = classes ? "yes" : "";
    spot = null;
    drawMask();
    write();
    rest();
  }
  function drawMask() {
    mask.hidden = legend.hidden = !classes;
    legend.replaceChildren();
    if (!classes) return;
    const alone = model.get("isolated"), { colours, names, shares } = classes;
    const painted = (index) => colours[index] && (alone < 0 || alone === index);
    const words = colours.map((colour, index) => (painted(index) ? word(rgb(colour)) : 0));
    paint(mask, classes, classes.codes, words);
    const there = names.map((_, index) => index).filter((index) => shares[index] > 0);
    there.sort((a, b) => shares[b] - shares[a] || a - b).slice(0, MOST_KEYS).forEach((index) => {
      const key = button(legend, "", () => isolate(index), { className: "vx-view-key" });
      key.dataset.index = String(index);
      key.setAttribute("aria-pressed", String(alone === index));
      key.disabled = !colours[index];
      const press = alone === index ? "Show all classes" : "Show this class alone";
      key.title = key.disabled ? "Not painted" : press;
      make("i", "", key).style.background = colours[index] || "transparent";
      make("span", "", key, names[index]);
      make("span", "vx-view-share", key, worded(shares[index], "percent"));
    });
    if (there.length > MOST_KEYS) make("span", "", legend, `and ${there.length - MOST_KEYS} more`);
  }
  function isolate(index) {
    if (!classes.colours[index]) return;
    const focused = legend.contains(document.activeElement);
    choose(model, "isolated", model.get("isolated") === index ? -1 : index);
    if (focused) legend.querySelector(`[data-index="${index}"]`)?.focus();
  }
  function takeBoxes() {
    const sent = of("_boxes"), all = typed(sent.edges, Float32Array);
    const kinds = typed(sent.kinds, Uint32Array), scores = typed(sent.scores, Float32Array);
    const { names = [], texts = [], colours = [], each, generation } = sent;
    boxes = {
      count: all.length / 4, all, generation,
      edges: (i) => all.subarray(4 * i, 4 * i + 4),
      colour: (i) => colours[each ? i : kinds[i]] || "#ffffff",
      name: (i) => names[kinds[i]] || "",
      score: (i) => (Number.isFinite(scores[i]) ? worded(scores[i], "percent") : ""),
      text: (i) => texts[i] || "",
    };
    root.dataset.boxes = String(boxes.count);
    cursor = -1;
    write();
    drawMarks();
    queue();
    rest();
  }
  function takeGhosts() {
    const { edges, colours = [], fine } = of("_ghosts");
    ghosts = { all: typed(edges, Float32Array), colours, fine };
    ghosts.count = ghosts.all.length / 4;
    root.dataset.ghosts = String(ghosts.count);
    write();
    queue();
  }
  const drawn = (i, { all } = boxes) => {                 // a network that has lost its way gives NaN
    return Number.isFinite(all[4 * i] + all[4 * i + 1] + all[4 * i + 2] + all[4 * i + 3]);
  };
  function queue() { queued ||= requestAnimationFrame(() => { queued = 0; drawBoxes(); }); }
  function drawBoxes() {                                 // the first on top; names where there is room
    const wide = stage.clientWidth, high = stage.clientHeight;
    const shown = boxes.count + ghosts.count > 0 && model.get("outlines");
    outlines.hidden = tags.hidden = !shown;
    root.dataset.drawn = String(boxes.generation ?? "");
    tags.replaceChildren();
    if (!shown || !wide) return;
    const dots = window.devicePixelRatio || 1, [width, height] = size(), many = boxes.count > MANY;
    Object.assign(outlines, { width: Math.round(wide * dots), height: Math.round(high * dots) });
    const pen = outlines.getContext("2d");
    const { all } = boxes, across = wide / width, down = high / height;
    const stroke = (i, thick, colour, all = boxes.all) => {
      const left = all[4 * i] * across, top = all[4 * i + 1] * down;
      Object.assign(pen, { lineWidth: thick, strokeStyle: colour });
      pen.strokeRect(left, top, all[4 * i + 2] * across - left, all[4 * i + 3] * down - top);
    };
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    for (let i = ghosts.count - 1; i >= 0; i--) {
      if (!drawn(i, ghosts)) continue;
      pen.setLineDash([]);
      if (!ghosts.fine) stroke(i, 3.5, "rgba(0,0,0,0.55)", ghosts.all);
      pen.setLineDash(ghosts.fine ? [3, 2] : [6, 4]);
      stroke(i, ghosts.fine ? 1 : 2, ghosts.colours[i] || "#ffffff", ghosts.all);
    }
    pen.setLineDash([]);
    for (let i = boxes.count - 1; i >= 0; i--) {
      if (!drawn(i)) continue;
      if (!many) stroke(i, 4, "rgba(0,0,0,0.55)");
      stroke(i, many ? 1 : 2, boxes.colour(i));
    }
    pen.font = `600 12px ${getComputedStyle(root).fontFamily}`;
    const taken = [];
    const free = ([x, y, w]) => x >= 0 && y >= 0 && x + w <= wide && y + TAG_HEIGHT <= high && !taken.some(
      ([a, b, c]) => x < a + c && a < x + w && y < b + TAG_HEIGHT && b < y + TAG_HEIGHT);
    for (let i = 0; i < Math.min(boxes.count, TAGS); i++) {
      const text = tagText(i);
      if (!text || !drawn(i)) continue;
      const [left, right] = [all[4 * i] * across, all[4 * i + 2] * across];
      const [top, bottom] = [all[4 * i + 1] * down, all[4 * i + 3] * down];
      const w = Math.min(TAG_WIDTH, Math.ceil(pen.measureText(text).width) + 10);
      const inside = clamp(left, 0, Math.max(0, wide - w));
      const place = [[inside, top - TAG_HEIGHT, w], [inside, Math.max(0, top), w],
        [right - w, top - TAG_HEIGHT, w], [inside, bottom, w], [inside, bottom - TAG_HEIGHT, w]].find(free);
      if (!place) continue;                              // pointed at, the box says its name
      taken.push(place);
      const tag = make("span", "vx-view-tag", tags), colour = boxes.colour(i);
      const both = boxes.name(i) && boxes.score(i);
      make("span", "", tag, boxes.name(i));
      make("span", "", tag, both ? ` ${boxes.score(i)}` : boxes.score(i));
      Object.assign(tag.style, { left: `${place[0]}px`, top: `${place[1]}px`, width: `${w}px`,
        background: colour, color: inkOn(colour) });
    }
  }
  function patchEdges([row, column]) {
    const [wide, high] = [size()[0] / grid()[1], size()[1] / grid()[0]];
    return [column * wide, row * high, (column + 1) * wide, (row + 1) * high];
  }
  function drawMarks() {                                 // what is few and follows the reader
    const place = picked();
    put(frame, model.get("_frame") || []);
    put(box, model.get("box") || []);
    const [x, y] = model.get("spot") || [], around = size()[0] / 128;
    put(mark, x === undefined ? place && grid()[0] ? patchEdges(place) : []
      : [x - around, y - around, x + around, y + around]);
    root.dataset.spot = (model.get("spot") || []).join(" ");
    root.dataset.box = (model.get("box") || []).join(" ");
    root.dataset.place = (place || []).join(" ");
    const chosen = (model.get("chosen") || []).filter((i) => i < (boxes?.count ?? 0));
    root.dataset.chosen = chosen.join(" ");
    chosenMarks.replaceChildren(...chosen.map((i) => {
      const node = make("div", "vx-view-chosen-one");
      node.style.color = boxes.colour(i);
      put(node, boxes.edges(i));
      return node;
    }));
    rest();
  }
  function write() {                                     // words, switches, and what the keys do
    const [rows, columns] = grid(), count = boxes?.count ?? 0;
    const draws = model.get("draws"), label = model.get("label");
    const words = rows ? ["Map", "Strength of the map"] : ["Heat", "Strength of the heat map"];
    heatSlider.word.textContent = words[0];
    heatSlider.input.setAttribute("aria-label", words[1]);
    heat.style.opacity = heatSlider.input.value = String(model.get("alpha"));
    mask.style.opacity = maskSlider.input.value = String(model.get("mask_alpha"));
    heatSlider.label.hidden = heat.hidden || !model.get("slider");
    bar.hidden = heat.hidden;
    maskSlider.label.hidden = !classes?.colours.some(Boolean);
    linesBox.label.hidden = !rows;
    outlinesBox.label.hidden = !count && !ghosts?.count;
    linesBox.input.checked = model.get("lines");
    outlinesBox.input.checked = model.get("outlines");
    lines.hidden = !rows || !model.get("lines");
    lines.style.setProperty("--rows", rows);
    lines.style.setProperty("--columns", columns);
    foot.hidden = [...foot.children].every((one) => one.hidden);
    const spots = model.get("spots") && !draws;
    const acts = draws || picks() || spots || count > 0 || classes !== null;
    const walk = draws || picks() ? "Page Up and Page Down go" : "arrows go";
    const chooses = model.get("choices") ? ", Enter chooses, Escape lets go" : "";
    const said = [
      draws && "arrows move it, Shift and arrows change its size, Delete takes it away",
      picks() && `arrows pick one of ${rows} by ${columns} patches, Escape lets it go`,
      spots && !count && "arrows point out a place, Escape lets it go",
      count && `${walk} through ${boxWords(count)}${chooses}`,
      classes && !count && !draws && !picks() && !spots && "arrows read the mask, Enter shows a class alone",
    ].filter(Boolean);
    image.alt = acts ? "" : label;
    stage.classList.toggle("vx-view-draws", draws);
    stage.classList.toggle("vx-view-picks", !draws && acts);
    stage.tabIndex = acts ? 0 : -1;
    if (acts) {
      stage.setAttribute("role", "application");
      stage.setAttribute("aria-label", `${label}${draws ? ". Draw a box" : ""}: ${said.join("; ")}.`);
    } else ["role", "aria-label"].forEach((name) => stage.removeAttribute(name));
  }

  // --- what is under a place ---------------------------------------------------------------------------
  function spotOf(event) {
    const [width, height] = size(), around = stage.getBoundingClientRect();
    return [clamp(((event.clientX - around.left) / around.width) * width, 0, width),
      clamp(((event.clientY - around.top) / around.height) * height, 0, height)];
  }
  const cell = ([x, y], rows, columns) => {
    const [width, height] = size(), at = (share, count) => clamp(Math.floor(share * count), 0, count - 1);
    return [at(y / height, rows), at(x / width, columns)];
  };
  function boxAt([x, y]) {                               // the smallest: a larger one is seen around it
    if (!boxes?.count || !model.get("outlines")) return -1;
    const near = (3 * size()[0]) / (stage.clientWidth || 1);
    const { all } = boxes;
    let found = -1, least = Infinity;
    for (let i = 0; i < boxes.count; i++) {              // plain numbers: every move of the pointer comes by
      const left = all[4 * i], top = all[4 * i + 1], right = all[4 * i + 2], bottom = all[4 * i + 3];
      const inside = x > left - near && x < right + near && y > top - near && y < bottom + near;
      const area = (right - left) * (bottom - top);
      if (inside && area < least) [found, least] = [i, area];
    }
    return found;
  }
  const boxWords = (count) => `${count.toLocaleString("en")} ${count === 1 ? "box" : "boxes"}`;
  const tagText = (i) => [boxes.name(i), boxes.score(i)].filter(Boolean).join(" ");
  const boxText = (i) => [tagText(i) || `box ${i}`, boxes.text(i)].filter(Boolean).join(", ");
  function putHover(i) {                                 // a box keeps its colour
    put(hover, boxes.edges(i));
    hover.classList.add("vx-view-hover-box");
    hover.style.color = boxes.colour(i);
  }
  function classAt(at) {
    if (!classes) return null;
    const [row, column] = cell(at, classes.height, classes.width), i = row * classes.width + column;
    const index = classes.codes[i], name = classes.names[index] ?? "no class";
    if (!classes.values.length) return { index, text: name };
    const share = worded(classes.values[i] / 255, "percent");
    if (classes.reads) return { index, text: `${name}; ${classes.reads}: ${share}` };
    return { index, text: index in classes.names ? `${name} ${share}` : name };
  }
  function patchText([row, column]) {
    const { data, low, high, ...found } = of("_heat"), [rows, columns] = grid();
    const where = `row ${row}, column ${column}`;
    if (!data || found.height !== rows || found.width !== columns) return where;
    const value = low + (data.getUint8(row * columns + column) / 255) * (high - low);
    return `${where}: ${(100 * value).toPrecision(3)} %`;
  }
  function say(text, aloud) {
    reading.setAttribute("aria-live", aloud ? "polite" : "off");  // a moving mouse is not read out
    reading.textContent = text;
  }
  function rest(aloud = true) {                          // nothing is pointed at: what is chosen, what to do
    const [rows, columns] = grid(), place = picked(), count = boxes?.count ?? 0;
    const chosen = (model.get("chosen") || []).filter((i) => i < count);
    put(hover, []);
    tip.hidden = true;
    const spots = model.get("spots");
    reading.hidden = !rows && !count && !classes && !spots;
    if (place) return say(patchText(place), aloud);
    if (chosen.length) return say(chosen.map(boxText).join("; "), aloud);
    say([
      rows && `${rows} × ${columns} patches${picks() ? ": click one, or use the arrow keys" : ""}`,
      spots && "Click a place, or use the arrow keys",
      count && `${boxWords(count)}${model.get("choices") ? ": click one, or use the keys" : ""}`,
      classes && "Point at a place to read its class; click a class to see it alone.",
    ].filter(Boolean).join(". "), false);
  }
  function read(at, aloud = false) {                     // what lies under a place, from the top
    const i = boxAt(at), there = classAt(at), patch = grid()[0] ? cell(at, ...grid()) : null;
    if (i >= 0) putHover(i);
    else {
      hover.classList.remove("vx-view-hover-box");
      const ofKeys = aloud ? [...at, ...at] : [];        // their place on the mask
      put(hover, patch ? patchEdges(patch) : ofKeys);
    }
    showTip(i, at);
    const texts = [i >= 0 && boxText(i), patch && patchText(patch), there?.text].filter(Boolean);
    if (texts.length) say(texts.join("; "), aloud);
    else rest();
  }
  function showTip(i, [x, y]) {
    tip.hidden = i < 0;
    if (i < 0) return;
    tip.textContent = boxText(i);
    const [width, height] = size(), wide = stage.clientWidth, high = stage.clientHeight;
    const left = (x / width) * wide + 12, top = (y / height) * high + 12;
    tip.style.left = `${clamp(left, 0, Math.max(0, wide - tip.offsetWidth))}px`;
    const below = top + tip.offsetHeight <= high;
    tip.style.top = `${Math.max(0, below ? top : top - tip.offsetHeight - 24)}px`;
  }

  // --- choosing ----------------------------------------------------------------------------------------
  function chooseBox(i) {
    const now = model.get("chosen") || [], most = model.get("choices");
    if (!most) return;
    point("chosen", now.includes(i) ? now.filter((one) => one !== i) : [...now, i].slice(-most));
  }
  function pick(place, wait) { point("place", place || [], wait); }
  function clicked(at) {                                 // the top one of what can be pointed out there
    const i = boxAt(at);
    if (i >= 0) chooseBox(i);
    else if (picks()) {
      const place = cell(at, ...grid());
      pick(String(place) === String(picked()) ? null : place);
    } else if (model.get("spots")) point("spot", inside(at));
    else if (classes) isolate(classAt(at).index);
  }
  const inside = ([x, y]) => [[x, 0], [y, 1]].map(([at, side]) => clamp(Math.floor(at), 0, size()[side] - 1));
  const between = ([a, b], [c, d]) =>
    [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)].map(Math.round);
  stage.onpointerdown = (event) => {
    if (!model.get("draws") || event.button) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    from = spotOf(event);
  };
  stage.onpointermove = (event) => {
    if (from) put(box, between(from, spotOf(event)));
    else if (!reading.hidden) { cursor = -1; read(spotOf(event)); }
  };
  stage.onpointerup = (event) => {
    if (!from) return;
    const at = spotOf(event), edges = between(from, at), [width, height] = size();
    from = null;
    const tiny = edges[2] - edges[0] < width / 100 || edges[3] - edges[1] < height / 100;
    drawMarks();
    if (!tiny) point("box", edges);
    else if (boxAt(at) >= 0) clicked(at);
    else point("box", []);                               // a click takes the box away
  };
  stage.onpointercancel = () => { from = null; drawMarks(); };
  stage.onpointerleave = () => { if (!from) rest(false); };
  stage.onclick = (event) => {
    if (model.get("draws") || event.target === tip) return;
    clicked(spotOf(event));
  };

  // --- keys --------------------------------------------------------------------------------------------
  function drawByKey(event) {
    const [width, height] = size(), now = model.get("box") || [], way = ARROWS[event.key];
    if (GONE.includes(event.key)) { point("box", []); return true; }
    if (!way) return false;
    const step = Math.max(1, Math.round(Math.min(width, height) / 32));
    if (now.length !== 4) {
      const [left, top] = [width, height].map((side) => Math.floor((3 / 8) * side));
      const [right, bottom] = [width, height].map((side) => Math.ceil((5 / 8) * side));
      point("box", [left, top, right, bottom], PATIENCE);
      return true;
    }
    let [left, top, right, bottom] = now;
    const [x, y] = way.map((one) => one * step);
    if (event.shiftKey) {
      right = clamp(right + x, left + step, Math.max(left + step, width));
      bottom = clamp(bottom + y, top + step, Math.max(top + step, height));
    } else {
      const [dx, dy] = [clamp(x, -left, width - right), clamp(y, -top, height - bottom)];
      [left, right, top, bottom] = [left + dx, right + dx, top + dy, bottom + dy];
    }
    point("box", [left, top, right, bottom], PATIENCE);
    return true;
  }
  function pickByKey(event) {
    const [rows, columns] = grid(), now = picked(), way = ARROWS[event.key];
    if (GONE.includes(event.key)) { pick(null); return true; }
    if (!way) return false;
    const next = now && [clamp(now[0] + way[1], 0, rows - 1), clamp(now[1] + way[0], 0, columns - 1)];
    pick(next ?? [rows >> 1, columns >> 1], PATIENCE);
    return true;
  }
  function spotByKey(event) {
    const [width, height] = size(), now = model.get("spot") || [], way = ARROWS[event.key];
    if (GONE.includes(event.key)) { point("spot", []); return true; }
    if (!way) return false;
    const [x, y] = now.length ? now : [width / 2, height / 2], far = now.length ? 1 / 32 : 0;
    point("spot", inside([x + way[0] * far * width, y + way[1] * far * height]), PATIENCE);
    return true;
  }
  function boxByKey(event, arrows) {
    const last = boxes.count - 1, way = arrows ? ARROWS[event.key] : null;
    const step = { PageDown: 1, PageUp: -1 }[event.key] ?? (way ? way[0] + way[1] : 0);
    if ((event.key === "Enter" || event.key === " ") && cursor >= 0) chooseBox(cursor);
    else if (GONE.includes(event.key) && arrows) { cursor = -1; point("chosen", []); return true; }
    else if (event.key === "Home" || (step && cursor < 0)) cursor = 0;
    else if (event.key === "End") cursor = last;
    else if (step) cursor = clamp(cursor + step, 0, last);
    else return false;
    const edges = boxes.edges(cursor);
    putHover(cursor);
    showTip(cursor, [edges[0], edges[3]]);
    const chosen = (model.get("chosen") || []).includes(cursor);
    say(`${boxText(cursor)}, ${cursor + 1} of ${last + 1}${chosen ? ", chosen" : ""}`, true);
    return true;
  }
  function maskByKey(event) {
    const [width, height] = size(), way = ARROWS[event.key];
    if ((event.key === "Enter" || event.key === " ") && spot) isolate(classAt(spot).index);
    else if (GONE.includes(event.key)) {
      spot = null;
      if (model.get("isolated") >= 0) isolate(model.get("isolated"));
      rest();
      return true;
    } else if (way) {
      const [x, y] = spot ?? [width / 2, height / 2], far = spot ? 1 / 32 : 0;
      spot = [clamp(x + way[0] * far * width, 0, width - 1), clamp(y + way[1] * far * height, 0, height - 1)];
    } else return false;
    read(spot, true);
    return true;
  }
  stage.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== stage) return;
    const draws = model.get("draws"), arrows = !draws && !picks();
    const done = (draws && drawByKey(event)) || (picks() && !draws && pickByKey(event))
      || (boxes?.count > 0 && model.get("outlines") && boxByKey(event, arrows))
      || (model.get("spots") && arrows && !boxes?.count && spotByKey(event))
      || (classes && arrows && !boxes?.count && maskByKey(event));
    if (!done) return;
    event.preventDefault();                              // the notebook would scroll or leave the cell
    event.stopPropagation();
  };
  stage.onblur = () => rest(false);

  const unwatch = watch(model, {
    _photo: drawPhoto, side: drawPhoto, label: write, draws: write, picks: write, slider: write, alpha: write,
    mask_alpha: write, lines: write, _heat: drawHeat, _mask: takeMask, isolated: drawMask,
    _boxes: () => { model.set("chosen", []); takeBoxes(); },   // they were other boxes
    outlines: () => { drawMarks(); queue(); write(); }, choices: () => { write(); rest(); },
    _ghosts: takeGhosts, spot: drawMarks, spots: () => { write(); rest(); },
    _sweep: drawSweep, _frame: drawMarks, box: drawMarks, place: drawMarks, chosen: drawMarks,
  });
  const observer = new ResizeObserver(queue);
  drawPhoto();
  drawHeat();
  drawSweep();
  takeMask();
  takeGhosts();
  takeBoxes();
  observer.observe(stage);
  return () => {
    unwatch();
    observer.disconnect();
    cancelAnimationFrame(queued);
    cancelAnimationFrame(moving);
    Object.values(timers).forEach(clearTimeout);
    URL.revokeObjectURL(url);
    root.remove();
  };
}

export default part(render);
