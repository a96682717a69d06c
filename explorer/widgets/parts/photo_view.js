// One photo, a heat map over it, a line around what was seen, and a box that the reader may draw.

// A heat map, one byte a place, in the colours of its table.
function paint(canvas, heat) {
  const { data, width, height, colours } = heat;
  const codes = new Uint8Array(data.buffer, data.byteOffset, width * height);
  const table = new Uint8Array(colours.buffer, colours.byteOffset, 768);
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  codes.forEach((code, i) => pixels.data.set([table[3 * code], table[3 * code + 1], table[3 * code + 2], 255], 4 * i));
  context.putImageData(pixels, 0, 0);
}

function render({ model, el }) {
  const root = make("div", "vx-view", el);
  const stage = make("div", "vx-view-stage", root);
  const image = make("img", "", stage);
  image.draggable = false;
  const heat = make("canvas", "vx-view-heat", stage);
  const frame = make("div", "vx-view-frame", stage);
  const box = make("div", "vx-view-box", stage);
  const line = make("label", "vx-view-line", root);
  line.append("Heat");
  const slider = make("input", "", line);
  Object.assign(slider, { type: "range", min: "0", max: "1", step: "0.05" });
  slider.setAttribute("aria-label", "Strength of the heat map");
  let url = "";

  const size = () => [model.get("_photo")?.width ?? 1, model.get("_photo")?.height ?? 1];
  function place(node, edges) {
    const [width, height] = size();
    node.hidden = edges.length !== 4;
    if (node.hidden) return;
    const [left, top, right, bottom] = edges;
    Object.assign(node.style, { left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
      width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` });
  }
  function drawPhoto() {
    URL.revokeObjectURL(url);
    const { data, width, height } = model.get("_photo") || {};
    root.hidden = !data;
    if (!data) return;
    url = urlOf(bytesOf(data));
    image.src = url;
    const side = model.get("side");
    stage.style.aspectRatio = `${width} / ${height}`;
    stage.style.width = `${Math.max(8, Math.round((side * width) / Math.max(width, height)))}px`;
    drawMarks();
  }
  function drawHeat() {
    const found = model.get("_heat") || {};
    heat.hidden = !found.data;
    line.hidden = !found.data || !model.get("slider");
    if (found.data) paint(heat, found);
    root.dataset.heat = found.data ? "yes" : "";
  }
  function drawMarks() {
    place(frame, model.get("_frame") || []);
    place(box, model.get("box") || []);
  }
  function drawAlpha() {
    heat.style.opacity = String(model.get("alpha"));
    slider.value = String(model.get("alpha"));
  }
  function write() {
    const draws = model.get("draws");
    image.alt = model.get("label");
    stage.classList.toggle("vx-view-draws", draws);
    stage.tabIndex = draws ? 0 : -1;
    if (draws) {
      stage.setAttribute("role", "application");
      stage.setAttribute("aria-label", `${model.get("label")}. Draw a box: arrows move it, Shift and arrows change its size, `
        + "Delete takes it away.");
      stage.dataset.lmSuppressShortcuts = "true"; // or an arrow key would move the notebook's selection
    } else ["role", "aria-label"].forEach((name) => stage.removeAttribute(name));
  }

  slider.addEventListener("input", () => {
    heat.style.opacity = slider.value;
    model.send({ kind: "choose", key: "alpha", value: Number(slider.value) });
  });

  // --- the box: pointer and keys ---
  let from = null;
  let sending = 0;
  function put(edges, wait = 0) {
    place(box, edges);
    root.dataset.box = edges.join(" ");
    clearTimeout(sending);
    sending = setTimeout(() => model.send({ kind: "box", box: edges }), wait);
  }
  function at(event) {
    const [width, height] = size();
    const around = stage.getBoundingClientRect();
    const clamp = (value, most) => Math.round(Math.max(0, Math.min(most, value)));
    return [clamp(((event.clientX - around.left) / around.width) * width, width),
      clamp(((event.clientY - around.top) / around.height) * height, height)];
  }
  const between = ([a, b], [c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
  stage.addEventListener("pointerdown", (event) => {
    if (!model.get("draws") || event.button) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    from = at(event);
  });
  stage.addEventListener("pointermove", (event) => { if (from) place(box, between(from, at(event))); });
  stage.addEventListener("pointerup", (event) => {
    if (!from) return;
    const edges = between(from, at(event));
    from = null;
    const [width, height] = size();
    const tiny = edges[2] - edges[0] < width / 100 || edges[3] - edges[1] < height / 100;
    put(tiny ? [] : edges); // a click takes the box away
  });
  stage.addEventListener("pointercancel", () => { from = null; drawMarks(); });
  stage.addEventListener("keydown", (event) => {
    if (!model.get("draws")) return;
    const [width, height] = size();
    const step = Math.max(1, Math.round(Math.min(width, height) / 32));
    const now = root.dataset.box ? root.dataset.box.split(" ").map(Number) : [];
    if (event.key === "Delete" || event.key === "Backspace" || event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      return put([]);
    }
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation(); // the notebook would scroll or leave the cell
    if (now.length !== 4) return put([3, 3, 5, 5].map((share, i) => Math[i < 2 ? "floor" : "ceil"]((share / 8) * (i % 2 ? height : width))), 300);
    let [left, top, right, bottom] = now;
    if (event.shiftKey) {
      right = Math.max(left + step, Math.min(width, right + way[0]));
      bottom = Math.max(top + step, Math.min(height, bottom + way[1]));
    } else {
      const dx = Math.max(-left, Math.min(width - right, way[0]));
      const dy = Math.max(-top, Math.min(height - bottom, way[1]));
      [left, right, top, bottom] = [left + dx, right + dx, top + dy, bottom + dy];
    }
    put([left, top, right, bottom], 300); // a held key asks once, at its end
  });

  const keepBox = () => { root.dataset.box = (model.get("box") || []).join(" "); drawMarks(); };
  const watched = { _photo: drawPhoto, side: drawPhoto, _heat: drawHeat, slider: drawHeat, _frame: drawMarks, box: keepBox,
    alpha: drawAlpha, label: write, draws: write };
  Object.entries(watched).forEach(([key, change]) => model.on(`change:${key}`, change));
  drawPhoto();
  drawHeat();
  drawAlpha();
  write();
  keepBox();
  return () => {
    Object.entries(watched).forEach(([key, change]) => model.off(`change:${key}`, change));
    clearTimeout(sending);
    URL.revokeObjectURL(url);
    root.remove();
  };
}

export default part(render);
