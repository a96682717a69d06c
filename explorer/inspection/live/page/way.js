// From the photo to the answer: the notebook's flow of stages, each with its four strongest maps.

const MOST_STOPS = 5, MAPS_OF_STOP = 4, SIDE_OF_STOP = 56;  // as the notebook has them

// At most `most` of the places 0..count-1, evenly spaced, with the first and the last.
const evenly = (count, most) => Array.from({ length: Math.min(count, most) },
  (_, i) => (count <= most ? i : roundedEven((i * (count - 1)) / (most - 1))));

// What the network sees of a source, in the input's size: pixels as an ImageData.
function seenPixels(source, { left, top, width, height }, [, high, wide]) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "high";
  pen.drawImage(canvasOfSource(source), left, top, width, height, 0, 0, wide, high);
  return pen.getImageData(0, 0, wide, high);
}
// Pictures one behind the other, as the notebook sends them.
function strung(pictures) {
  const sizes = pictures.map(({ length }) => length), data = new Uint8Array(sizes.reduce((a, b) => a + b, 0));
  pictures.reduce((start, picture) => { data.set(picture, start); return start + picture.length; }, 0);
  return { sizes, data };
}

function stopOf({ name, words, stride, output }, maps, colours) {
  const [, high, wide] = maps.shape, channels = byStrength(strengthsOf(maps)).slice(0, MAPS_OF_STOP);
  const pictures = channels.map((channel) => {
    const small = shrunken(channelOf(maps, channel), high, wide, SIDE_OF_STOP);
    return pictureOfCodes(codesOf(small.values, rangeOf(small.values)), small.wide, small.high, colours);
  });
  return { stop: { name, words, shape: maps.shape, stride, channels }, pictures, output };
}

// The flow of one model in `root`: face(model) once, draw(model, result, source, title) for each photo.
function flowInto(root, opened = () => {}) {
  const colours = codeColours("viridis");
  const view = hostView(FlowView, root, { _stops: {}, _reads: {}, chosen: "", label: "From the photo to the answer" },
    (message) => { if (message.kind === "open") opened(message.name); });

  function draw(facing, result, source, title) {
    if (!result?.maps) return;
    const stages = facing.stages.filter(({ name }) => result.maps[name]);
    const places = evenly(stages.length, MOST_STOPS);
    const stops = places.map((place) => stopOf(stages[place], result.maps[stages[place].name], colours));
    const seen = seenPixels(source, result.crop, facing.preprocessing.input_size);
    view.set("_stops", { ...strung(stops.flatMap(({ pictures }) => pictures)), stops: stops.map(({ stop }) => stop),
      photo: pictureOfPixels(seen), title, said: `The network sees ${seen.width} × ${seen.height} pixels`,
      note: stops.length < stages.length ? `${stops.length} of ${stages.length} stages; the others: Feature maps.` : "" });
  }
  function face(facing) {
    const known = facing.stages.filter(({ fields }) => fields);
    root.hidden = !facing.stages.length;
    view.set("_reads", Object.fromEntries(known.map(({ name, fields }) => [name, fields])));
    view.set("label", `From the photo to the answer: ${facing.name}`);
  }
  return { draw, face, choose: (name) => view.set("chosen", name) };
}
function setUpWay(app) {
  const flow = flowInto(app.area("flow"), (name) => { app.open(name); bringInView(app.area("stage")); });
  const draw = () => flow.draw(app.facing, app.result, app.source, app.title), face = () => flow.face(app.facing);
  app.on("model", face);
  app.on("result", draw);
  app.on("frame", draw);
  app.on("stage", flow.choose);
  face();
}
