// All feature maps of one stage, as many as there are: only those in view are drawn. One map can be enlarged, and the value
// under the pointer is read out. Values are the network's own: nothing is rounded on the way.

const MAP_WIDTHS = [112, 98, 84, 70, 56, 42, 28], DOT_WIDTHS_HERE = [32, 28, 24, 20, 16], MAP_GAP = 2;
const SHEET_ROOM = 430, ENLARGED = 320;                  // pixels
const CHOICES = {
  sort: ["Order", { strength: "strongest first", channel: "by number" }],
  scale: ["Scale", { own: "each map its own", shared: "shared by all" }],
  colours: ["Colours", { viridis: "viridis", magma: "magma", grey: "grey", coolwarm: "blue to red around zero" }],
};
const numeral = (x) => (!Number.isFinite(x) ? "–" : x === 0 ? "0"
  : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : String(Number(x.toPrecision(3))));

function setUpStage(app) {
  const root = app.area("stage"), head = make("div", "vx-live-bar", root), title = make("h2", "", head, "Feature maps");
  const note = make("span", "vx-soft", head), menus = make("div", "vx-live-bar", root);
  const stageField = pickList(menus, "Stage", {}, ""), picks = {};
  for (const [key, [text, choices]] of Object.entries(CHOICES)) {
    picks[key] = pickList(menus, text, choices, Object.keys(choices)[0]).select;
    picks[key].onchange = redraw;
  }
  const body = make("div", "vx-live-maps", root), box = make("div", "vx-live-maps-box", body), sheet = make("div", "vx-live-sheet", box);
  const canvas = make("canvas", "vx-live-sheet-canvas", sheet), mark = make("div", "vx-live-sheet-mark", sheet);
  const reading = make("p", "vx-live-reading vx-soft", root);
  const side = make("div", "vx-live-side", body), sideHead = make("div", "vx-live-bar", side), sideTitle = make("h3", "", sideHead);
  const small = (text, label, act) => button(sideHead, text, act, { className: "vx-live-small", label });
  small("‹", "The map before", () => step(-1));
  small("›", "The next map", () => step(1));
  small("×", "Close the enlarged map", shut);
  const big = make("canvas", "vx-live-big", side), sideBar = make("div", "vx-live-colours", side), low = make("span", "", sideBar);
  const strip = make("canvas", "", sideBar), high = make("span", "", sideBar), facts = make("p", "vx-soft", side);
  const where = whereInPhoto(app, side);
  sheet.tabIndex = big.tabIndex = 0;
  sheet.setAttribute("role", "listbox");
  Object.assign(mark, { id: newId("map") });
  mark.setAttribute("role", "option");
  sheet.setAttribute("aria-activedescendant", mark.id);
  reading.setAttribute("role", "status");
  big.setAttribute("role", "img");
  strip.setAttribute("aria-hidden", "true");
  canvas.setAttribute("aria-hidden", "true");

  let maps = null, ranges = null, strengths = null, order = [], place = null, table = null, shared = [0, 0];
  let cursor = -1, enlarged = -1, queued = 0, drawnFor = 0;  // cursor, enlarged: channels, -1 for none
  let spotted = [0, 0];                                  // row and column of the enlarged map that were read last

  // --- what is shown ------------------------------------------------------------------------------------------
  const stageHere = () => app.facing.stages.find(({ name }) => name === app.stage);
  function face() {
    const { stages } = app.facing;
    root.hidden = !stages.length;
    stageField.select.replaceChildren();
    for (const { name, words } of stages) make("option", "", stageField.select, `${words}: ${name}`).value = name;
    if (!stageHere() && stages.length) app.open(stages.at(-1).name);
    if (stageHere()) stageField.select.value = app.stage;
  }
  function load() {
    maps = app.result?.maps?.[app.stage] ?? null;
    for (const node of [body, reading]) node.hidden = !maps;
    if (!maps) return;
    const [count, rows, columns] = maps.shape, { words, stride } = stageHere();
    reword(title, `Feature maps: ${words}`);
    const each = rows * columns === 1 ? "one value each" : `${rows} × ${columns} values each, ÷${stride}`;
    reword(note, `${counting(count, "map")}, ${each}`);
    sheet.setAttribute("aria-label", `Feature maps of ${app.stage}: ${note.textContent}. Arrow keys move, Enter enlarges.`);
    strengths = strengthsOf(maps);
    ranges = Array.from({ length: count }, (_, channel) => rangeOf(channelOf(maps, channel)));
    const lows = ranges.map(([one]) => one).filter(Number.isFinite), highs = ranges.map(([, one]) => one).filter(Number.isFinite);
    shared = [lows.reduce((a, b) => Math.min(a, b), Infinity), highs.reduce((a, b) => Math.max(a, b), -Infinity)];
    picks.scale.disabled = rows * columns === 1;
    if (cursor >= count || cursor < 0) cursor = 0;
    if (enlarged >= count) enlarged = -1;
    redraw();
  }
  function redraw() {
    if (!maps) return;
    table = codeColours(picks.colours.value);
    order = picks.sort.value === "strength" ? byStrength(strengths) : Array.from(strengths.keys());
    if (enlarged < 0 && document.activeElement !== sheet) [cursor] = order;
    drawSide();
    lay();
    hint();
  }
  function limits(channel) {
    const alone = picks.scale.value === "own" && maps.shape[1] * maps.shape[2] > 1, [from, to] = alone ? ranges[channel] : shared;
    const far = Math.max(Math.abs(from), Math.abs(to));
    return picks.colours.value === "coolwarm" ? [-far, far] : [from, to];
  }
  function colourMap(channel, wide) {                    // a small canvas of one map, averaged where it is finer than shown
    const [, high, across] = maps.shape, less = shrunken(channelOf(maps, channel), high, across, Math.max(1, wide));
    paintWords(brush, less.wide, less.high, Uint32Array.from(codesOf(less.values, limits(channel)), (code) => table[code]));
    return brush;
  }
  const brush = document.createElement("canvas");

  // --- the sheet ----------------------------------------------------------------------------------------------
  function lay() {                                       // the largest maps that fit without scrolling
    const room = box.clientWidth - 4, [count, high, wide] = maps.shape, ratio = clamp(high / wide, 0.2, 5);
    if (room <= 0) return;
    for (const width of high * wide === 1 ? DOT_WIDTHS_HERE : MAP_WIDTHS) {
      const height = Math.max(1, Math.round(width * ratio)), columns = Math.max(1, Math.floor((room + MAP_GAP) / (width + MAP_GAP)));
      place = { width, height, columns: Math.min(columns, count), rows: Math.ceil(count / columns) };
      if (place.rows * (height + MAP_GAP) <= SHEET_ROOM) break;
    }
    sheet.style.height = `${place.rows * (place.height + MAP_GAP)}px`;
    sheet.style.width = `${place.columns * (place.width + MAP_GAP)}px`;
    paint();
  }
  const spot = (at) => [(at % place.columns) * (place.width + MAP_GAP), Math.floor(at / place.columns) * (place.height + MAP_GAP)];
  function paint() {                                     // the maps in view, and no others
    queued = 0;
    if (!maps || !place || !box.clientHeight) return;
    const dots = window.devicePixelRatio || 1, tall = place.height + MAP_GAP, from = Math.floor(box.scrollTop / tall);
    const rows = Math.min(place.rows - from, Math.ceil(box.clientHeight / tall) + 1);
    const wide = place.columns * (place.width + MAP_GAP);
    Object.assign(canvas, { width: Math.round(wide * dots), height: Math.round(rows * tall * dots) });
    Object.assign(canvas.style, { top: `${from * tall}px`, width: `${wide}px`, height: `${rows * tall}px` });
    const pen = canvas.getContext("2d"), last = Math.min(order.length, (from + rows) * place.columns);
    pen.imageSmoothingEnabled = false;
    for (let at = from * place.columns; at < last; at++) {
      const [x, y] = spot(at);
      pen.drawImage(colourMap(order[at], place.width * dots), Math.round(x * dots), Math.round((y - from * tall) * dots),
        Math.round(place.width * dots), Math.round(place.height * dots));
    }
    root.dataset.painted = String(++drawnFor);
    root.dataset.maps = `${last - from * place.columns} of ${order.length}`;
    putMark();
  }
  const later = () => { queued ||= requestAnimationFrame(paint); };
  function putMark() {
    const at = order.indexOf(cursor), [x, y] = spot(at);
    Object.assign(mark.style, { left: `${x}px`, top: `${y}px`, width: `${place.width}px`, height: `${place.height}px` });
    mark.setAttribute("aria-label", describe(cursor));
    mark.setAttribute("aria-posinset", String(at + 1));
    mark.setAttribute("aria-setsize", String(order.length));
    mark.setAttribute("aria-selected", String(cursor === enlarged));
  }
  function keepInView() {
    const [, y] = spot(order.indexOf(cursor));
    if (y < box.scrollTop) box.scrollTop = y;
    else if (y + place.height > box.scrollTop + box.clientHeight) box.scrollTop = y + place.height - box.clientHeight + 4;
  }

  // --- words --------------------------------------------------------------------------------------------------
  const valueAt = (channel, row, column) => channelOf(maps, channel)[row * maps.shape[2] + column];
  const reads = (channel, row, column) => {
    const value = valueAt(channel, row, column);
    return `value ${Number.isFinite(value) ? numeral(value) : "not finite"} at row ${row}, column ${column}`;
  };
  const about = (channel) => (Number.isNaN(ranges[channel][0]) ? "no finite value"
    : `range ${numeral(ranges[channel][0])} to ${numeral(ranges[channel][1])}; strength ${numeral(strengths[channel])}`);
  const describe = (channel) => `map ${channel}: ${about(channel)}`;
  function tellReading(text, aloud) {
    reading.setAttribute("aria-live", aloud ? "polite" : "off");  // a moving mouse is not read out
    reword(reading, text);
  }
  const hint = () => tellReading("Point at a map to read its values; click it, or use the arrow keys and Enter, to enlarge it.", false);

  // --- the enlarged map ---------------------------------------------------------------------------------------
  function drawSide() {
    side.hidden = enlarged < 0;
    root.dataset.enlarged = String(enlarged);
    if (enlarged < 0) return;
    const [, rows, columns] = maps.shape, grow = ENLARGED / Math.max(rows, columns), [from, to] = limits(enlarged);
    const values = channelOf(maps, enlarged);
    paintWords(big, columns, rows, Uint32Array.from(codesOf(values, [from, to]), (code) => table[code]));
    Object.assign(big.style, { width: `${Math.round(columns * grow)}px`, aspectRatio: `${columns} / ${rows}` });
    big.setAttribute("aria-label", `${describe(enlarged)}. Arrow keys read its values`);
    paintWords(strip, 254, 1, table.subarray(0, 254));
    reword(sideTitle, `Map ${enlarged}`);
    reword(low, numeral(from));
    reword(high, numeral(to));
    reword(facts, about(enlarged));
    where(null);
  }
  function enlarge(channel) {
    const closed = side.hidden;
    enlarged = channel;
    drawSide();
    if (closed !== side.hidden) lay();
    if (closed && !side.hidden) side.scrollIntoView({ block: "nearest" });
  }
  function shut() {
    enlarge(-1);
    sheet.focus({ preventScroll: true });
  }
  function moveTo(channel) {
    cursor = channel;
    if (enlarged >= 0) enlarge(channel);
    putMark();
    keepInView();
    tellReading(describe(channel), true);
  }
  const step = (by) => moveTo(order[clamp(order.indexOf(cursor) + by, 0, order.length - 1)]);

  // --- the reader ---------------------------------------------------------------------------------------------
  function under(event) {                                // { channel, row, column } of the sheet
    const around = sheet.getBoundingClientRect(), x = event.clientX - around.left, y = event.clientY - around.top;
    const column = Math.floor(x / (place.width + MAP_GAP)), at = Math.floor(y / (place.height + MAP_GAP)) * place.columns + column;
    if (x < 0 || y < 0 || column >= place.columns || at >= order.length) return null;
    const inside = (value, size, cells) => clamp(Math.floor((value / size) * cells), 0, cells - 1);
    return { channel: order[at], row: inside(y % (place.height + MAP_GAP), place.height, maps.shape[1]),
      column: inside(x % (place.width + MAP_GAP), place.width, maps.shape[2]) };
  }
  function point(cell) {
    if (enlarged >= 0) where(cell);
    app.emit("cell", cell && { stage: app.stage, ...cell });
  }
  sheet.onpointermove = (event) => {
    const cell = under(event);
    point(cell);
    cell ? tellReading(`map ${cell.channel}: ${reads(cell.channel, cell.row, cell.column)}; ${about(cell.channel)}`, false) : hint();
  };
  // A finger leaves with every touch: what it has pointed at stays.
  sheet.onpointerleave = ({ pointerType }) => { if (pointerType !== "touch") { point(null); hint(); } };
  sheet.onclick = (event) => {
    const cell = under(event);
    if (!cell) return;
    cursor = cell.channel;
    enlarge(cell.channel);
    moveTo(cell.channel);
    point(cell);
  };
  function read(row, column, aloud) {
    const [, rows, columns] = maps.shape;
    spotted = [clamp(row, 0, rows - 1), clamp(column, 0, columns - 1)];
    facts.setAttribute("aria-live", aloud ? "polite" : "off");
    reword(facts, reads(enlarged, ...spotted));
    point({ channel: enlarged, row: spotted[0], column: spotted[1] });
  }
  function unread() {
    point(null);
    if (enlarged >= 0) reword(facts, about(enlarged));
  }
  big.onpointermove = big.onpointerdown = (event) => {
    const around = big.getBoundingClientRect(), [, rows, columns] = maps.shape;
    const row = Math.floor((rows * (event.clientY - around.top)) / around.height);
    read(row, Math.floor((columns * (event.clientX - around.left)) / around.width), false);
  };
  big.onpointerleave = ({ pointerType }) => { if (pointerType !== "touch") unread(); };
  big.onfocus = () => { if (maps && enlarged >= 0) read(...spotted, true); };
  big.onblur = unread;
  body.onkeydown = (event) => {
    if (!maps || !place || event.ctrlKey || event.metaKey || event.altKey) return;
    const onSheet = event.target === sheet, far = order.length;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -place.columns, ArrowDown: place.columns, Home: -far, End: far };
    const cells = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Escape" && enlarged >= 0) shut();
    else if (event.target === big && cells) read(spotted[0] + cells[0], spotted[1] + cells[1], true);
    else if (onSheet && event.key in moves) {
      const at = order.indexOf(cursor) + moves[event.key];
      if (!/Up|Down/.test(event.key) || (at >= 0 && at < far)) step(moves[event.key]);
    } else if (onSheet && (event.key === "Enter" || event.key === " ")) { enlarge(cursor); moveTo(cursor); }
    else return;
    event.preventDefault();
  };
  sheet.onfocus = () => { if (maps && place) { keepInView(); tellReading(describe(cursor), true); } };
  box.onscroll = later;
  stageField.select.onchange = () => app.open(stageField.select.value);
  new ResizeObserver(() => { if (maps) lay(); }).observe(box);

  app.on("model", face);
  app.on("stage", (name) => { stageField.select.value = name; load(); });
  app.on("result", load);
  app.on("frame", load);
  side.hidden = true;
  face();
  load();
}
