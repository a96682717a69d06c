// A photo cut into patches: a map of one value a patch lies over it, and the reader may pick a patch.

// A map, one byte a patch, in the colours of its table.
function paint(canvas, { data, width, height, colours }) {
  const codes = new Uint8Array(data.buffer, data.byteOffset, width * height);
  const table = new Uint8Array(colours.buffer, colours.byteOffset, 768);
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  codes.forEach((code, i) => pixels.data.set([table[3 * code], table[3 * code + 1], table[3 * code + 2], 255], 4 * i));
  context.putImageData(pixels, 0, 0);
}

function render({ model, el }) {
  const root = make("div", "vx-patches", el);
  root.dataset.lmSuppressShortcuts = "true"; // or an arrow key moves the notebook's selection
  const stage = make("div", "vx-patches-stage", root);
  const image = make("img", "", stage);
  image.draggable = false;
  image.alt = "";
  const heat = make("canvas", "vx-patches-map", stage);
  const lines = make("div", "vx-patches-lines", stage);
  const hover = make("div", "vx-patches-hover", stage);
  const mark = make("div", "vx-patches-mark", stage);
  const reading = make("div", "vx-patches-reading", root);
  reading.setAttribute("role", "status");
  const foot = make("div", "vx-patches-foot", root);
  const strength = make("label", "", foot);
  strength.append("Map");
  const slider = make("input", "", strength);
  Object.assign(slider, { type: "range", min: "0", max: "1", step: "0.05" });
  slider.setAttribute("aria-label", "Strength of the map");
  const toggle = make("label", "", foot);
  const box = make("input", "", toggle);
  box.type = "checkbox";
  toggle.append("patches");
  let url = "";

  const grid = () => [model.get("_photo")?.rows ?? 0, model.get("_photo")?.columns ?? 0];
  const picked = () => { const place = model.get("place") || []; return place.length === 2 ? place : null; };
  const say = (place) => {
    const map = model.get("_map") || {}, [rows, columns] = grid();
    if (!place) {
      reading.textContent = rows ? `${rows} × ${columns} patches${model.get("picks") ? ": click one, or use the arrow keys" : ""}` : "";
      return;
    }
    const [row, column] = place, same = map.data && map.height === rows && map.width === columns;
    const value = same ? map.low + (map.data.getUint8(row * columns + column) / 255) * (map.high - map.low) : 0;
    reading.textContent = `row ${row}, column ${column}` + (same ? `: ${(100 * value).toPrecision(3)} %` : "");
  };
  function put(node, place) {
    const [rows, columns] = grid();
    node.hidden = !place || !rows;
    if (node.hidden) return;
    Object.assign(node.style, { left: `${(100 * place[1]) / columns}%`, top: `${(100 * place[0]) / rows}%`,
      width: `${100 / columns}%`, height: `${100 / rows}%` });
  }
  function drawPhoto() {
    URL.revokeObjectURL(url);
    const { data, width, height } = model.get("_photo") || {};
    root.hidden = !data;
    if (!data) return;
    url = urlOf(bytesOf(data));
    image.src = url;
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.style.width = `min(100%, ${Math.round((model.get("side") * width) / Math.max(width, height))}px)`;
    put(hover, null);
    write();
  }
  function drawMap() {
    const map = model.get("_map") || {};
    heat.hidden = strength.hidden = !map.data;
    root.dataset.map = map.data ? "yes" : "";
    if (map.data) paint(heat, map);
    say(picked());
  }
  function write() {
    const [rows, columns] = grid(), picks = model.get("picks") && rows > 0;
    lines.hidden = !rows || !model.get("lines");
    toggle.hidden = !rows;
    box.checked = model.get("lines");
    lines.style.setProperty("--rows", rows);
    lines.style.setProperty("--columns", columns);
    heat.style.opacity = slider.value = String(model.get("alpha"));
    stage.classList.toggle("vx-patches-picks", picks);
    stage.tabIndex = picks ? 0 : -1;
    stage.setAttribute("role", picks ? "application" : "img");
    stage.setAttribute("aria-label", picks ? `${model.get("label")}: arrows pick one of ${rows} by ${columns} patches, `
      + "Escape lets it go." : model.get("label"));
    put(mark, picked());
    root.dataset.place = (picked() || []).join(" ");
    say(picked());
  }

  let sending = 0;
  function pick(place, wait = 0) {
    model.set("place", place || []);
    write();
    clearTimeout(sending); // a held key asks once, at its end
    sending = setTimeout(() => model.send({ kind: "place", place: place || [] }), wait);
  }
  function at(event) {
    const [rows, columns] = grid(), around = stage.getBoundingClientRect();
    const clamp = (value, most) => Math.max(0, Math.min(most - 1, Math.floor(value)));
    return [clamp(((event.clientY - around.top) / around.height) * rows, rows),
      clamp(((event.clientX - around.left) / around.width) * columns, columns)];
  }
  stage.onclick = (event) => {
    if (!stage.classList.contains("vx-patches-picks")) return;
    const place = at(event);
    pick(String(place) === String(picked()) ? null : place);
  };
  stage.onmousemove = (event) => {
    if (!grid()[0]) return;
    put(hover, at(event));
    say(at(event));
  };
  stage.onmouseleave = () => { put(hover, null); say(picked()); };
  stage.onkeydown = (event) => {
    if (!stage.classList.contains("vx-patches-picks") || event.ctrlKey || event.metaKey || event.altKey) return;
    const [rows, columns] = grid(), now = picked();
    const way = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!way && !["Escape", "Delete", "Backspace"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (!way) return pick(null);
    if (!now) return pick([rows >> 1, columns >> 1], 250);
    pick([Math.max(0, Math.min(rows - 1, now[0] + way[0])), Math.max(0, Math.min(columns - 1, now[1] + way[1]))], 250);
  };
  slider.oninput = () => {
    heat.style.opacity = slider.value;
    model.send({ kind: "choose", key: "alpha", value: Number(slider.value) });
  };
  box.onchange = () => {
    lines.hidden = !box.checked;
    model.send({ kind: "choose", key: "lines", value: box.checked });
  };

  const watched = { _photo: drawPhoto, side: drawPhoto, _map: drawMap, place: write, alpha: write, lines: write, picks: write, label: write };
  Object.entries(watched).forEach(([key, change]) => model.on(`change:${key}`, change));
  drawPhoto();
  drawMap();
  return () => {
    Object.entries(watched).forEach(([key, change]) => model.off(`change:${key}`, change));
    clearTimeout(sending);
    URL.revokeObjectURL(url);
    root.remove();
  };
}

export default part(render);
