// What was found where: boxes with names and scores, or a mask, over the photo, drawn by the notebook's own view. Another
// threshold is a choice among the boxes that the pass has given: the network does not run again.

const OVERLAY_SIDE = 640, MOST_SURE = 32;                // pixels of the photo's longer side; classes, for certainty to be read
const overlayDefaults = { label: "Photo", side: OVERLAY_SIDE, alpha: 0.5, slider: true, mask_alpha: 0.5, isolated: -1, lines: true,
  picks: false, place: [], spots: false, spot: [], outlines: true, choices: 1, chosen: [], draws: false, box: [], _photo: {},
  _heat: {}, _mask: {}, _boxes: {}, _ghosts: {}, _sweep: {}, _frame: [] };
const rawBytes = (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

// The photo as the view takes it, no larger than it is shown.
function overlayPhoto(source) {
  const { width, height } = source, scale = Math.min(1, OVERLAY_SIDE / Math.max(width, height));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(canvasOfSource(source), 0, 0, canvas.width, canvas.height);
  return { data: pictureOfPixels(pen.getImageData(0, 0, canvas.width, canvas.height)), width, height, rows: 0, columns: 0 };
}
function overlayBoxes(found, { labels, colours }, generation) {
  const kinds = [...new Set(found.map(({ index }) => index))];
  return { edges: rawBytes(Float32Array.from(found.flatMap(({ box }) => box))), generation, texts: [], each: false,
    kinds: rawBytes(Uint32Array.from(found, ({ index }) => kinds.indexOf(index))), names: kinds.map((index) => labels[index]),
    scores: rawBytes(Float32Array.from(found, ({ score }) => score)), colours: kinds.map((index) => colours[index]) };
}
// A mask no finer than it is shown: one place in the middle of each square block.
function overlayMask(mask, { width, height }, { labels, colours }, sure) {
  const step = Math.ceil(Math.max(width, height) / OVERLAY_SIDE);
  const [left, top] = [width, height].map((side) => Math.floor(((side - 1) % step) / 2));
  const wide = Math.ceil((width - left) / step), high = Math.ceil((height - top) / step), codes = new Uint16Array(wide * high);
  const values = new Uint8Array(sure ? wide * high : 0), shares = new Array(labels.length).fill(0);
  for (let row = 0, to = 0; row < high; row++) {
    for (let column = 0; column < wide; column++, to++) {
      const x = left + column * step, y = top + row * step;
      codes[to] = mask[y * width + x];
      if (sure) values[to] = Math.round(255 * sure(x, y)[codes[to]]);
    }
  }
  for (const { index, share } of kindsIn(mask, labels)) shares[index] = share;
  return { data: rawBytes(codes), values, width: wide, height: high, names: labels, colours: colours.map((one) => one ?? ""), shares, reads: "" };
}

// What a result says, beside the numbers of its model: { found } boxes, or { mask, kinds }.
function readPlaces(result, source, facing, asked = {}) {
  if (facing.task === "detect") {
    const told = { ...facing.boxes, iou_threshold: asked.overlap ?? facing.boxes.iou_threshold };
    const all = boxesOf(result.raw, told, placeOf(result, source, facing.preprocessing.input_size));
    const least = asked.score ?? told.score_threshold, found = all.filter(({ score }) => score > least);
    return { found, words: countedKinds(found, facing.labels) };
  }
  const mask = maskOf(result.raw.scores, result.resized, source.width, source.height), kinds = kindsIn(mask, facing.labels);
  const more = kinds.length > 5 ? ` and ${kinds.length - 5} more` : "";
  return { mask, kinds, words: kinds.slice(0, 5).map(({ label, share }) => `${label} ${percentOf(share)}`).join(", ") + more };
}

// The photo with what was found over it; draw(result, source, title, facing, asked) -> what was read.
function overlayFor(root) {
  const values = { ...overlayDefaults };
  let view = null, generation = 0, shown = null;
  const hears = ({ kind, key, value }) => {              // the reader's own choices stay from photo to photo
    if (kind === "choose") values[key] = value;
    if (kind === "chosen") view.set("chosen", value);
  };
  return (result, source, title, facing, asked) => {
    view ??= hostView(OverlayView, root, values, hears);
    const read = readPlaces(result, source, facing, asked);
    view.set("label", `${title}: ${read.words}`);
    if (shown !== source) view.set("_photo", overlayPhoto(source));
    shown = source;
    if (read.found) {
      view.set("_mask", {});
      view.set("_boxes", overlayBoxes(read.found, facing, ++generation));
    } else {
      const kinds = facing.labels.length, { width, height } = source;
      const sure = kinds <= MOST_SURE && asked?.sure ? (x, y) => sharesAt(result.raw.scores, result.resized, width, height, x, y) : null;
      view.set("_boxes", {});
      view.set("_mask", overlayMask(read.mask, source, facing, sure));
    }
    return read;
  };
}

function setUpPlaces(app) {
  const root = app.area("places"), head = make("div", "vx-live-bar", root), title = make("h2", "", head, "What was found where");
  const body = make("div", "vx-live-found", root), draw = overlayFor(make("div", "", body)), side = make("div", "vx-live-about", body);
  const words = make("p", "vx-live-words", side), score = slider("Score above", 0.02), overlap = slider("Overlap up to", 0.05);
  const said = make("p", "vx-soft", side);
  title.id = newId("places");
  words.setAttribute("role", "status");

  function slider(text, least) {
    const field = make("label", "vx-live-field", side, `${text} `), input = make("input", "", field), value = make("span", "vx-live-number", field);
    Object.assign(input, { type: "range", min: least, max: 1, step: 0.01 });
    input.oninput = () => { reword(value, percentOf(Number(input.value))); show(); };
    return { field, input, put(given) { input.value = given; reword(value, percentOf(given)); } };
  }
  function face() {
    const { facing } = app;
    root.hidden = facing.task === "classify";
    if (root.hidden) return;
    const boxes = facing.task === "detect", [, high, wide] = facing.preprocessing.input_size;
    for (const { field } of [score, overlap]) field.hidden = !boxes;
    if (boxes) {
      score.input.min = Math.ceil(100 * facing.boxes.lowest) / 100;
      score.put(facing.boxes.score_threshold);
      overlap.put(facing.boxes.iou_threshold);
    }
    reword(said, `The network sees all of the photo, made to fit into ${wide} × ${high} pixels. ` + (boxes
      ? "Of boxes of one class that overlap by more than the second slider says, the one with the best score stays."
      : "Each pixel has the class with the highest score; where the photo is larger, scores are mixed between pixels."));
  }
  function show(sure = true) {
    if (root.hidden || !app.result) return;
    const asked = { score: Number(score.input.value), overlap: Number(overlap.input.value), sure };
    words.setAttribute("aria-live", sure ? "polite" : "off");  // what changes with every camera frame is not read out
    reword(words, draw(app.result, app.source, app.title, app.facing, asked).words);
  }
  app.on("model", face);
  app.on("result", () => show());
  app.on("frame", () => show(false));
  face();
}
