// The photo with a heat map over it: where in the photo does the answer come from? And what the network saw of it.

const HEAT_SIDE = 256, PHOTO_SIDE = 1024;                // pixels of the layers' longer sides
// What the score of a class is that was learnt in the page.
const ASKED = {
  linear: "The score is that of the layer that was learnt here.",
  knn: "The nearest photos have no score with a gradient: it is drawn for the way from the other classes' photos to those of this one.",
};

function setUpHeat(app) {
  const root = app.area("heat"), head = make("div", "vx-live-bar", root), title = make("h2", "", head);
  const back = button(head, "× likeliest again", () => app.ask(null), { label: "Heat map for the likeliest answer again" });
  const stage = make("div", "vx-live-photo-stage", root), photo = make("canvas", "vx-live-layer", stage);
  const heat = make("canvas", "vx-live-layer", stage), crop = make("div", "vx-live-crop", stage), frame = make("div", "vx-live-frame", stage);
  const foot = make("div", "vx-live-foot", root), bar = make("span", "vx-live-colours", foot);
  make("span", "", bar, "no effect");
  const strip = make("canvas", "", bar);
  make("span", "", bar, "most");
  const field = make("label", "vx-live-field", foot, "Heat "), slider = make("input", "", field);
  const said = make("p", "vx-live-words", root), proof = make("p", "vx-soft", root), table = colourTable("magma");
  Object.assign(slider, { type: "range", min: 0, max: 1, step: 0.05, value: 0.5 });
  slider.setAttribute("aria-label", "Strength of the heat map over the photo");
  slider.oninput = () => { heat.style.opacity = slider.value; };
  heat.style.opacity = slider.value;
  photo.setAttribute("role", "img");
  heat.setAttribute("aria-hidden", "true");
  strip.setAttribute("aria-hidden", "true");
  frame.hidden = true;
  paintWords(strip, 256, 1, table);

  const share = (node, { width, height }, [left, top, right, bottom]) => Object.assign(node.style, {
    left: `${(100 * left) / width}%`, top: `${(100 * top) / height}%`,
    width: `${(100 * (right - left)) / width}%`, height: `${(100 * (bottom - top)) / height}%` });

  function drawPhoto({ source, result, title: name }) {
    const { width, height } = source, scale = Math.min(1, PHOTO_SIDE / Math.max(width, height));
    Object.assign(photo, { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) });
    const pen = photo.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(canvasOfSource(source), 0, 0, photo.width, photo.height);
    stage.style.setProperty("--vx-live-ratio", String(width / height));
    const { left, top, width: wide, height: high } = result.crop;
    const seen = [Math.max(0, left), Math.max(0, top), Math.min(width, left + wide), Math.min(height, top + high)];
    share(crop, source, seen);
    crop.hidden = seen[0] <= 1 && seen[1] <= 1 && seen[2] >= width - 1 && seen[3] >= height - 1;
    photo.setAttribute("aria-label", crop.hidden ? name : `${name}; the dashed line is what the network saw`);
  }
  function drawHeat({ source: { width, height }, result, facing }) {
    const { heat: map, crop: box } = result, there = Boolean(map);
    for (const node of [heat, foot, proof]) node.hidden = !there;
    if (!there) return;
    const scale = Math.min(1, HEAT_SIDE / Math.max(width, height));
    const wide = Math.max(1, Math.round(scale * width)), high = Math.max(1, Math.round(scale * height));
    const [x, y] = [wide / width, high / height];
    const values = laidOver(map, { wide, high, left: box.left * x, top: box.top * y,
      right: (box.left + box.width) * x, bottom: (box.top + box.height) * y });
    const words = new Uint32Array(values.length);
    for (let i = 0; i < words.length; i++) words[i] = table[Math.min(255, Math.floor(255 * values[i] + 0.5))];
    paintWords(heat, wide, high, words);
    reword(proof, "It does not say what about that place counts, and a bright place is no proof that the answer would change " +
      "without it. The scale is each map's own: the brightest place is 1 even where nothing matters much." +
      (crop.hidden ? "" : " Outside the dashed line is what the network did not see."));
  }
  function words({ facing, result, wanted, head: learnt }) {
    const answers = facing.task === "classify" ? app.answers(result) : [];
    const about = wanted === null ? answers[0] : answers.find(({ index }) => index === wanted);
    back.hidden = wanted === null || !result.heat;
    const blank = result.heat && result.heat.data.every((value) => !value);
    const nothing = facing.outputs?.kind === "numbers" ? "raises this number" : "speaks for this class";
    reword(said, blank ? `Nothing here ${nothing}: the heat map is zero everywhere.` :
      result.heat ? `${facing.heat?.said ?? ""} ${ASKED[learnt?.kind] ?? ""}` : facing.no_heat || "");
    if (result.heat) return reword(title, about ? `Where “${about.label}” (${about.value}) comes from` : "Heat map");
    return reword(title, "The photo");
  }
  function draw() {
    root.hidden = !app.result || (app.facing.task !== "classify" && !app.result.heat);
    if (root.hidden) return;
    drawPhoto(app);
    drawHeat(app);
    words(app);
    unframe();
  }
  // What a cell of a stage is computed from, as the pointer goes over a map.
  function unframe() { frame.hidden = true; }
  app.on("cell", (cell) => {
    const fields = cell && app.facing.stages.find(({ name }) => name === cell.stage)?.fields;
    if (!fields?.columns.length || !app.result) return unframe();
    const { left, top, width, height } = app.result.crop, [from, to] = fields.columns[cell.column], [above, below] = fields.rows[cell.row];
    share(frame, app.source, [left + from * width, top + above * height, left + to * width, top + below * height]);
    frame.hidden = false;
    return undefined;
  });
  app.on("result", draw);
  app.on("frame", draw);
  root.hidden = true;
}
